/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/keys.h - what the files of a bridge's configuration hold: who we are to others, and what they may do.
 *
 * Used by    lib/link/daemon, at open and at each reload.
 */
#ifndef BUSBAR_LIB_LINK_KEYS_H
#define BUSBAR_LIB_LINK_KEYS_H

#include "lib/link/daemon.h"
#include "lib/link/hub.h"

enum { BBI_LINK_KEY_PATH_BYTES = 512 };

/* Holds the key that tls.keys points to, so it stays where it is. */
struct bbi_link_keys {
    enum bbi_security security;
    struct bbi_tls_opts tls; /* for the hub; node is the caller's to set.  Zeros with NONE */
    struct bbi_tls_key key;
    char user_path[BBI_LINK_KEY_PATH_BYTES]; /* of the user's key; tls.key_file may point to it */
    bool is_made;                            /* the user's key was not there, and was made */
};

/*
 * bbi_link_own_name - of this box: as given; else that of its certificate; else the host's and the beginning of the box's
 * id, for a host may have several buses, and two of one name cannot be linked by a key.  As bbi_box_own_name().
 */
BB_MUST_USE int bbi_link_own_name(const struct bbi_daemon_opts *opts,
                                  const struct bbi_link_id *node,
                                  char out[BBI_LINK_NAME_MAX + 1],
                                  struct bbi_fault *f);

/* bbi_link_security - what these options ask for.  BB_EINVAL two kinds at once, or half of one: f says which. */
BB_MUST_USE int bbi_link_security(const struct bbi_daemon_opts *opts, struct bbi_fault *f);

/*
 * bbi_link_keys_load - reads the pre-shared key or the user's (made when it is not there).  Certificates are only named:
 * bbi_hub_open() and bbi_hub_reload_tls() read them.
 *
 * Returns   0; as bbi_link_security(), bbi_key_file(), bbi_key_file_user().
 */
BB_MUST_USE int bbi_link_keys_load(struct bbi_link_keys *out,
                                   const struct bbi_daemon_opts *opts,
                                   struct bbi_fault *f);
/* bbi_link_keys_wipe - no secret stays in memory; once the hub has its own copy. */
void bbi_link_keys_wipe(struct bbi_link_keys *keys);

/*
 * bbi_link_rights_load - the rules of this file.
 *
 * Owner     *out is the caller's: free().  NULL when path is NULL.
 * Returns   0; -errno; BB_EMSGSIZE; BB_EINVAL with file and line in f; BB_ENOMEM.
 */
BB_MUST_USE int
bbi_link_rights_load(struct bbi_rights **out, const char *path, struct bbi_fault *f);

#endif

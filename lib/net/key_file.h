/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/net/key_file.h - files that hold secrets: pre-shared keys of 256 bits, and the one that each user has.
 *
 * Used by    the daemon, before it opens a TLS context; lib/net/tls for private keys.
 * Format     64 hexadecimal digits and at most one line end: `openssl rand -hex 32 >FILE` makes one.
 * Trust      A secret that others may read or write is refused, and so is one of another user (root's is good).
 * Death      The user's key is written whole before it gets its name: nobody ever reads half of it.
 */
#ifndef BUSBAR_LIB_NET_KEY_FILE_H
#define BUSBAR_LIB_NET_KEY_FILE_H

#include "shm/fault.h"

enum {
    BBI_KEY_BYTES = 32,
    BBI_SECRET_MAX = 64 << 10, /* bytes in a file of secrets */
};

/*
 * bbi_secret_read - the bytes of a file that only its owner may read and write.
 *
 * Owner     *out is the caller's: bbi_secret_free().
 * Returns   bytes read; BB_EACCES others may read it; BB_ETRUST it is another user's; BB_ENOENT; BB_EMSGSIZE longer
 *           than BBI_SECRET_MAX; BB_EINVAL not a regular file; -errno.  f says what to do.
 */
BB_MUST_USE int64_t bbi_secret_read(const char *path, unsigned char **out, struct bbi_fault *f);
void bbi_secret_free(unsigned char *secret, size_t bytes); /* NULL is nothing */

/* bbi_key_file - a pre-shared key.  Returns as bbi_secret_read(), 0 when good; BB_EINVAL not 64 digits. */
BB_MUST_USE int
bbi_key_file(const char *path, unsigned char out[BBI_KEY_BYTES], struct bbi_fault *f);

/*
 * bbi_key_file_user - the key DIR/.key of whoever runs this, made when it is not there; dir as bbi_place_dir() says.
 *
 * Two that make it at once get the same one.
 * Returns   1 made, 0 read; BB_ETRUST the directory is another user's or everybody may write there; else as above.
 */
BB_MUST_USE int
bbi_key_file_user(const char *dir, unsigned char out[BBI_KEY_BYTES], struct bbi_fault *f);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/net/lookup.h - names that are looked up while others go on.
 *
 * The C library's resolver blocks, for as long as name servers are silent: links would be thought dead meanwhile.  So
 * it is asked in threads of its own, which do nothing else, and an eventfd says when one has come back.
 *
 * Used by    conn.c (what is dialed), address.c (where to listen).
 * Threads    The functions are for the one thread of their user.
 * Bounds     BBI_LOOKUP_THREADS at once; more lookups wait in turn.  A thread that nobody waits for any more ends when
 *            the resolver lets it go; what it shares with us it frees then.
 */
#ifndef BUSBAR_LIB_NET_LOOKUP_H
#define BUSBAR_LIB_NET_LOOKUP_H

#include "lib/net/net.h"
#include <sys/socket.h>

enum {
    BBI_NET_ADDRESSES = 4, /* of a name, that are tried */
    BBI_LOOKUP_THREADS = 16,
};

#define BBI_LOOKUP_THREAD_NAME "busbar-names" /* at most 15 bytes */

struct bbi_net_addresses {
    struct sockaddr_storage at[BBI_NET_ADDRESSES];
    socklen_t bytes[BBI_NET_ADDRESSES];
    int count;
};

/* One question, and its answer when it is done. */
struct bbi_lookup {
    struct bbi_lookup *next;
    uint64_t tag; /* the asker's */
    char host[256];
    uint16_t port;
    bool is_passive;
    bool is_unwanted; /* being looked up, and nobody waits for it */
    int rc;
    struct bbi_fault fault;
    struct bbi_net_addresses found;
};

struct bbi_lookups;

/* resolve NULL: bbi_net_resolve().  BB_ENOMEM; BB_EMFILE, BB_ENFILE. */
BB_MUST_USE int bbi_lookups_open(struct bbi_lookups **out, bbi_net_resolve_fn resolve);
void bbi_lookups_close(struct bbi_lookups *all); /* waits for nobody; NULL: nothing */
int bbi_lookups_fd(const struct bbi_lookups *all);

/*
 * bbi_lookup_start - the answer comes by bbi_lookups_take(), with this tag.
 *
 * Owner     *out is ours until it is taken or forgotten.
 * Returns   0; BB_EINVAL a host that is too long; BB_ENOMEM no memory or no thread (f says it).
 */
BB_MUST_USE int bbi_lookup_start(struct bbi_lookups *all,
                                 const char *host,
                                 uint16_t port,
                                 bool is_passive,
                                 uint64_t tag,
                                 struct bbi_lookup **out,
                                 struct bbi_fault *f);
/* bbi_lookup_forget - nobody waits for it any more; not after it was taken. */
void bbi_lookup_forget(struct bbi_lookups *all, struct bbi_lookup *lookup);
/* bbi_lookups_take - one that is done, to be given to free(); NULL: none, and the descriptor is quiet. */
struct bbi_lookup *bbi_lookups_take(struct bbi_lookups *all);

#endif

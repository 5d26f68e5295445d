/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bridge/rights.h - what each peer may do with which topics.
 *
 * A rights file has a rule on each line:
 *
 *     # who        what                 topics that begin so
 *     allow  sensor-*   publish              /flows/
 *     allow  *          subscribe,route      ""
 *     deny   sensor-7   publish              "/flows/of me/"
 *     allow  manager    store-read           ""
 *
 * Who is a node's name, or the beginning of one and `*`.  Of the rules that speak of an action, the one with the longest
 * prefix that begins the topic decides; of several with that prefix the one that names the peer most exactly, a whole
 * name before a beginning, a longer one before a shorter; if even that is the same, deny wins.  Where no rule speaks the
 * default decides: deny for peers with certificates.  Topics with `<$>` are reserved: only rules whose prefix has that
 * marker itself speak of them.
 *
 * Used by    a link, on what comes in (publish, interest, store command) and on what goes out (interest, messages).
 * Memory     The caller's, of the size that footprint says; no system call, no allocation.
 * Threads    Reading is free for any; may() counts, so a view belongs to one thread.
 * Reload     Parse into new memory, make new views, exchange: nothing is changed in place.
 */
#ifndef BUSBAR_LIB_BRIDGE_RIGHTS_H
#define BUSBAR_LIB_BRIDGE_RIGHTS_H

#include "shm/fault.h"

enum bbi_right {
    BBI_RIGHT_PUBLISH = 0,
    BBI_RIGHT_SUBSCRIBE = 1,
    BBI_RIGHT_STORE_READ = 2,
    BBI_RIGHT_STORE_WRITE = 3,
    BBI_RIGHT_ROUTE = 4,
    BBI_RIGHTS = 5,
};

enum {
    BBI_RIGHTS_TEXT_MAX = 16 << 20, /* bytes in a file */
    BBI_RIGHTS_NAME_MAX = 255,      /* bytes in the name of a peer */
};

struct bbi_rights;      /* the rules */
struct bbi_rights_view; /* those of one peer, compiled */

const char *bbi_right_name(enum bbi_right right); /* "publish" ... as in the file */

/* bbi_rights_footprint - bytes that the rules in this text may take; 0 if it is longer than the maximum. */
size_t bbi_rights_footprint(const char *text, size_t bytes);

/*
 * bbi_rights_new - parses; mem has the footprint and is aligned for a pointer, the text is not needed any more after.
 *
 * Returns   0; BB_EINVAL with line and what is wrong in f (`name` is the file's, for the sentence).
 */
BB_MUST_USE int bbi_rights_new(struct bbi_rights **out,
                               void *mem,
                               const char *text,
                               size_t bytes,
                               const char *name,
                               struct bbi_fault *f);
uint32_t bbi_rights_count(const struct bbi_rights *rights); /* rules */

/* bbi_rights_view_footprint - bytes for a view of any peer. */
size_t bbi_rights_view_footprint(const struct bbi_rights *rights);

/* bbi_rights_view_new - the rules that speak of this peer.  The view points into the rules: they must outlive it. */
struct bbi_rights_view *bbi_rights_view_new(const struct bbi_rights *rights,
                                            void *mem,
                                            const char *peer,
                                            bool is_allowed_by_default);

/* bbi_rights_may - may it, with this topic?  No is counted.  O(log rules) comparisons, and one a level above it. */
bool
bbi_rights_may(struct bbi_rights_view *view, enum bbi_right right, const char *topic, size_t bytes);

/*
 * bbi_rights_may_some - may it with any topic that begins with this prefix?  For interest, which is asked for by prefix:
 * if so it is taken, and each message is held against bbi_rights_may().  Not counted.
 */
bool bbi_rights_may_some(const struct bbi_rights_view *view,
                         enum bbi_right right,
                         const char *prefix,
                         size_t bytes);

uint64_t bbi_rights_denied(const struct bbi_rights_view *view, enum bbi_right right);

#endif

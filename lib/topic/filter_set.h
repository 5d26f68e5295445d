/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/topic/filter_set.h - all prefixes that a subscriber asked for, and the minimal set of them.
 *
 * Broker's rule: after `/foo`, `/foo/bar` says nothing new.  Broker forgets the longer prefix; here it is
 * kept, hidden, so that removing `/foo` brings it back.
 *
 * Used by    lib/endpoint: what bb_subscribe() asked for and what is announced in shared memory.
 * Memory     The caller's, of a fixed size; an entry takes BBI_FILTER_HEAD_BYTES and its bytes.
 * Threads    One at a time; no system call, no allocation.
 */
#ifndef BUSBAR_LIB_TOPIC_FILTER_SET_H
#define BUSBAR_LIB_TOPIC_FILTER_SET_H

#include "lib/topic/topic.h"

enum { BBI_FILTER_HEAD_BYTES = 4 };

struct bbi_filter_set {
    unsigned char *buf; /* entries, packed: u16 prefix bytes, u8 flags, u8 hidden, the prefix */
    size_t cap_bytes;
    size_t used_bytes;
    uint32_t count; /* prefixes that were added */
    uint32_t shown; /* of these, in the minimal set */
};

void bbi_filter_set_init(struct bbi_filter_set *set, void *buf, size_t cap_bytes);

/*
 * bbi_filter_set_add - adds a prefix; one that is there already stays once.
 *
 * Returns   1 if the minimal set changed, 0 if not; BB_EFULL no room; BB_ENAMETOOLONG; BB_EINVAL flags.
 */
BB_MUST_USE int bbi_filter_set_add(struct bbi_filter_set *set, const struct bbi_filter *filter);

/* bbi_filter_set_remove - 1 if the minimal set changed, 0 if not; BB_ENOENT it was never added. */
BB_MUST_USE int bbi_filter_set_remove(struct bbi_filter_set *set, const struct bbi_filter *filter);

/*
 * bbi_filter_set_next - the next prefix of the minimal set, in the order of adding.
 *
 * Begin with *pos 0.  out->prefix points into the set until it changes.  False after the last.
 */
bool bbi_filter_set_next(const struct bbi_filter_set *set, size_t *pos, struct bbi_filter *out);

/* bbi_filter_set_match - true if some prefix of the set matches the topic. */
bool bbi_filter_set_match(const struct bbi_filter_set *set, const char *topic, size_t topic_bytes);

#endif

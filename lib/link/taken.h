/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/taken.h - what the bridge subscribes on its own bus, for all boxes together.
 *
 * Each prefix is counted, and subscribed while somebody counts.  A subscriber's table in shared memory holds 64 KiB;
 * beyond half of it everything is subscribed instead (the empty prefix), and what no box asked for is passed over here,
 * until there are few prefixes again.
 *
 * Used by    lib/link/local.
 */
#ifndef BUSBAR_LIB_LINK_TAKEN_H
#define BUSBAR_LIB_LINK_TAKEN_H

#include "lib/bridge/interest.h"
#include <busbar/endpoint.h>

struct bbi_taken {
    struct bb_subscriber *sub;
    struct bbi_interest_set set;
    size_t table_bytes; /* that the prefixes would take in shared memory */
    bool is_wide;       /* the empty prefix is subscribed in place of some */
};

BB_MUST_USE int bbi_taken_init(struct bbi_taken *taken,
                               struct bb_subscriber *sub,
                               const struct bbi_memory *memory,
                               const uint64_t seed[2]);
void bbi_taken_fini(struct bbi_taken *taken);
/* flags BB_TOPIC_PATH or 0.  0; BB_ENOMEM, as bb_subscribe(). */
BB_MUST_USE int
bbi_taken_add(struct bbi_taken *taken, const char *prefix, size_t bytes, uint32_t flags);
void bbi_taken_remove(struct bbi_taken *taken, const char *prefix, size_t bytes, uint32_t flags);

#endif

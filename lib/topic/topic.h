/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/topic/topic.h - which prefix covers which: what the filter set needs beyond <busbar/topic.h>.
 *
 * Used by    filter_set.
 * Threads    Pure functions; any thread.
 */
#ifndef BUSBAR_LIB_TOPIC_TOPIC_H
#define BUSBAR_LIB_TOPIC_TOPIC_H

#include <busbar/topic.h>
#include <stdbool.h>

struct bbi_filter {
    const char *prefix; /* not NUL-terminated */
    size_t prefix_bytes;
    uint32_t flags; /* BB_TOPIC_... */
};

/*
 * bbi_topic_covers - true if every topic that b matches is matched by a, and a's interest travels as far.
 *
 * Two different prefixes may cover each other (`a/` with and without the path flag).
 */
bool bbi_topic_covers(const struct bbi_filter *a, const struct bbi_filter *b);

#endif

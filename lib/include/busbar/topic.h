/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/topic.h - topics and prefixes.
 *
 * A topic is a byte string of 0 to BB_TOPIC_MAX bytes, `/`-separated by convention.  A subscription is a
 * prefix: byte-wise as Broker's (`foo` matches `foobar`), or by whole components with BB_TOPIC_PATH.
 * Topics that contain `<$>` are reserved; the empty prefix does not match them.
 *
 * Source     Broker's topic rules: prefix match, join, minimal filter sets.
 * Threads    Pure functions; any thread.
 */
#ifndef BUSBAR_TOPIC_H
#define BUSBAR_TOPIC_H

#include <busbar/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BB_TOPIC_MAX = 65535, /* bytes in a topic or prefix */
};

/* Flags of a prefix.  LOCAL and GLOBAL say how far interest travels over bridges; default LOCAL. */
enum {
    BB_TOPIC_PATH = 1u << 0,   /* match whole components: `a/b` matches `a/b/c`, not `a/bc` */
    BB_TOPIC_LOCAL = 1u << 1,  /* direct neighbours only */
    BB_TOPIC_GLOBAL = 1u << 2, /* every box that can be reached */
};

/*
 * bb_topic_match - 1 if the prefix with these flags matches the topic, else 0.
 *
 * A prefix that holds `<$>` itself matches reserved topics byte-wise; any other prefix never does.
 */
BB_API int bb_topic_match(
    const char *prefix, size_t prefix_bytes, uint32_t flags, const char *topic, size_t topic_bytes);

/* bb_topic_is_reserved - 1 if the topic holds the marker `<$>`. */
BB_API int bb_topic_is_reserved(const char *topic, size_t topic_bytes);

/*
 * bb_topic_join - left and right with one `/` between, as Broker joins them: one `/` at the end of left and
 * one at the end of the result are dropped, so `a/` and `b/` give `a/b`.
 *
 * Returns   bytes of the joined topic (not NUL-terminated); BB_EMSGSIZE if it is longer than cap.
 */
BB_MUST_USE BB_API int bb_topic_join(const char *left,
                                     size_t left_bytes,
                                     const char *right,
                                     size_t right_bytes,
                                     char *out,
                                     size_t cap);

#ifdef __cplusplus
}
#endif
#endif

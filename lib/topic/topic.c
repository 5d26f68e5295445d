/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: starting with the prefix decides nearly every case, so it is looked at first; the marker of the
 * reserved space is searched for only in a topic that would match.
 */
#include "lib/topic/topic.h"

#include <limits.h>
#include <string.h>

static const char reserved_marker[] = "<$>";

static bool
starts_with(const char *s, size_t s_bytes, const char *prefix, size_t prefix_bytes)
{
    return prefix_bytes == 0 || (prefix_bytes <= s_bytes && memcmp(s, prefix, prefix_bytes) == 0);
}

/* A path prefix that is empty or ends in `/` ends at a component's border anyway. */
static bool
ends_at_border(const char *prefix, size_t prefix_bytes)
{
    return prefix_bytes == 0 || prefix[prefix_bytes - 1] == '/';
}

int
bb_topic_is_reserved(const char *topic, size_t topic_bytes)
{
    return topic_bytes >= sizeof(reserved_marker) - 1
           && memmem(topic, topic_bytes, reserved_marker, sizeof(reserved_marker) - 1) != NULL;
}

int
bb_topic_match(
    const char *prefix, size_t prefix_bytes, uint32_t flags, const char *topic, size_t topic_bytes)
{
    if (!starts_with(topic, topic_bytes, prefix, prefix_bytes)) {
        return 0;
    }
    if (bb_topic_is_reserved(topic, topic_bytes)) {
        return bb_topic_is_reserved(prefix, prefix_bytes);
    }
    return (flags & BB_TOPIC_PATH) == 0 || prefix_bytes == topic_bytes
           || ends_at_border(prefix, prefix_bytes) || topic[prefix_bytes] == '/';
}

/* Broker's join of a list: each `/=` drops one `/` at the end of what is there so far. */
int
bb_topic_join(const char *left,
              size_t left_bytes,
              const char *right,
              size_t right_bytes,
              char *out,
              size_t cap)
{
    if (left_bytes > 0 && left[left_bytes - 1] == '/') {
        left_bytes--;
    }
    size_t slash_bytes = left_bytes > 0 && right_bytes > 0 && right[0] != '/';
    if (right_bytes > 0) {
        right_bytes -= right[right_bytes - 1] == '/';
    } else if (left_bytes > 0) {
        left_bytes -= left[left_bytes - 1] == '/';
    }

    size_t bytes;
    if (__builtin_add_overflow(left_bytes, right_bytes + slash_bytes, &bytes) || bytes > cap
        || bytes > INT_MAX) {
        return BB_EMSGSIZE;
    }
    if (right_bytes > 0) {
        memmove(out + left_bytes + slash_bytes, right, right_bytes);
    }
    if (left_bytes > 0) {
        memmove(out, left, left_bytes);
    }
    if (slash_bytes > 0) {
        out[left_bytes] = '/';
    }
    return (int)bytes;
}

bool
bbi_topic_covers(const struct bbi_filter *a, const struct bbi_filter *b)
{
    if (!starts_with(b->prefix, b->prefix_bytes, a->prefix, a->prefix_bytes)) {
        return false; /* most are told apart by this, and who asks of a whole set asks often */
    }
    bool a_reserved = bb_topic_is_reserved(a->prefix, a->prefix_bytes);
    if (a_reserved != (bool)bb_topic_is_reserved(b->prefix, b->prefix_bytes)
        || ((b->flags & BB_TOPIC_GLOBAL) != 0 && (a->flags & BB_TOPIC_GLOBAL) == 0)) {
        return false;
    }
    if (a_reserved || (a->flags & BB_TOPIC_PATH) == 0
        || ends_at_border(a->prefix, a->prefix_bytes)) {
        return true; /* a matches byte-wise, and b only says more */
    }
    if (a->prefix_bytes == b->prefix_bytes) {
        return (b->flags & BB_TOPIC_PATH) != 0;
    }
    return b->prefix[a->prefix_bytes] == '/';
}

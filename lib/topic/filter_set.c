/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: every entry carries whether another one covers it, and that is settled when the set changes, so
 * that reading the minimal set is one walk.
 *
 * Invariant: an entry is hidden exactly if some other entry covers it; of two that cover each other the
 * earlier one is shown.  Covering is transitive, so what an entry hides stays hidden behind its coverer when
 * that entry is itself hidden.
 */
#include "lib/topic/filter_set.h"

#include <string.h>

static const uint32_t known_flags = BB_TOPIC_PATH | BB_TOPIC_LOCAL | BB_TOPIC_GLOBAL;

struct entry {
    size_t off;
    size_t end_off;
    bool hidden;
    struct bbi_filter filter;
};

static bool
entry_at(const struct bbi_filter_set *set, size_t off, struct entry *e)
{
    if (off >= set->used_bytes) {
        return false;
    }
    const unsigned char *p = set->buf + off;
    uint16_t prefix_bytes;
    memcpy(&prefix_bytes, p, sizeof(prefix_bytes));
    e->off = off;
    e->end_off = off + BBI_FILTER_HEAD_BYTES + prefix_bytes;
    e->hidden = p[3] != 0;
    e->filter = (struct bbi_filter){(const char *)p + BBI_FILTER_HEAD_BYTES, prefix_bytes, p[2]};
    return true;
}

static void
set_hidden(struct bbi_filter_set *set, const struct entry *e, bool hidden)
{
    if (e->hidden != hidden) {
        set->buf[e->off + 3] = hidden;
        set->shown = hidden ? set->shown - 1 : set->shown + 1;
    }
}

static bool
is_same(const struct bbi_filter *a, const struct bbi_filter *b)
{
    return a->flags == b->flags && a->prefix_bytes == b->prefix_bytes
           && (a->prefix_bytes == 0 || memcmp(a->prefix, b->prefix, a->prefix_bytes) == 0);
}

static bool
find(const struct bbi_filter_set *set, const struct bbi_filter *filter, struct entry *e)
{
    for (size_t off = 0; entry_at(set, off, e); off = e->end_off) {
        if (is_same(&e->filter, filter)) {
            return true;
        }
    }
    return false;
}

/* Is there another entry that covers the filter that stands (or would stand) at off? */
static bool
is_covered(const struct bbi_filter_set *set, const struct bbi_filter *filter, size_t off)
{
    struct entry e;
    for (size_t at = 0; entry_at(set, at, &e); at = e.end_off) {
        if (at != off && bbi_topic_covers(&e.filter, filter)
            && (at < off || !bbi_topic_covers(filter, &e.filter))) {
            return true;
        }
    }
    return false;
}

void
bbi_filter_set_init(struct bbi_filter_set *set, void *buf, size_t cap_bytes)
{
    *set = (struct bbi_filter_set){.buf = buf, .cap_bytes = cap_bytes};
}

int
bbi_filter_set_add(struct bbi_filter_set *set, const struct bbi_filter *filter)
{
    struct entry e;
    if ((filter->flags & ~known_flags) != 0) {
        return BB_EINVAL;
    }
    if (filter->prefix_bytes > BB_TOPIC_MAX) {
        return BB_ENAMETOOLONG;
    }
    if (find(set, filter, &e)) {
        return 0;
    }
    if (set->cap_bytes - set->used_bytes < BBI_FILTER_HEAD_BYTES + filter->prefix_bytes) {
        return BB_EFULL;
    }

    bool hidden = is_covered(set, filter, set->used_bytes);
    for (size_t off = 0; !hidden && entry_at(set, off, &e); off = e.end_off) {
        if (bbi_topic_covers(filter, &e.filter)) {
            set_hidden(set, &e, true);
        }
    }

    unsigned char *p = set->buf + set->used_bytes;
    uint16_t prefix_bytes = (uint16_t)filter->prefix_bytes;
    memcpy(p, &prefix_bytes, sizeof(prefix_bytes));
    p[2] = (unsigned char)filter->flags;
    p[3] = hidden;
    if (prefix_bytes > 0) {
        memcpy(p + BBI_FILTER_HEAD_BYTES, filter->prefix, prefix_bytes);
    }
    set->used_bytes += BBI_FILTER_HEAD_BYTES + filter->prefix_bytes;
    set->count++;
    set->shown += !hidden;
    return !hidden;
}

int
bbi_filter_set_remove(struct bbi_filter_set *set, const struct bbi_filter *filter)
{
    struct entry gone;
    struct entry e;
    if (!find(set, filter, &gone)) {
        return BB_ENOENT;
    }
    memmove(set->buf + gone.off, set->buf + gone.end_off, set->used_bytes - gone.end_off);
    set->used_bytes -= gone.end_off - gone.off;
    set->count--;
    if (gone.hidden) {
        return 0;
    }
    set->shown--;
    for (size_t off = 0; entry_at(set, off, &e); off = e.end_off) {
        if (e.hidden && !is_covered(set, &e.filter, off)) {
            set_hidden(set, &e, false);
        }
    }
    return 1;
}

bool
bbi_filter_set_next(const struct bbi_filter_set *set, size_t *pos, struct bbi_filter *out)
{
    struct entry e;
    for (size_t off = *pos; entry_at(set, off, &e); off = e.end_off) {
        if (!e.hidden) {
            *pos = e.end_off;
            *out = e.filter;
            return true;
        }
    }
    *pos = set->used_bytes;
    return false;
}

bool
bbi_filter_set_match(const struct bbi_filter_set *set, const char *topic, size_t topic_bytes)
{
    struct bbi_filter f;
    size_t pos = 0;
    while (bbi_filter_set_next(set, &pos, &f)) {
        if (bb_topic_match(f.prefix, f.prefix_bytes, f.flags, topic, topic_bytes)) {
            return true;
        }
    }
    return false;
}

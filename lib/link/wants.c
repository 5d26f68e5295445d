/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: sorted by bytes, all that covers a prefix stands before it, and those that are its beginning form a chain:
 * a stack of them is enough to find what is covered, in one pass.
 */
#include "lib/link/wants.h"
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/for_cluster.h"
#include "lib/endpoint/look_impl.h"
#include "lib/topic/topic.h"
#include "shm/filter.h"
#include <stdlib.h>
#include <string.h>

void
bbi_wants_fini(struct bbi_wants *wants)
{
    free(wants->items);
    free(wants->text);
    *wants = (struct bbi_wants){0};
}

/* Room for need elements in an array that grows; false: no memory, it is as it was. */
static bool
reserve(void **array, size_t *cap, size_t need, size_t element_bytes)
{
    size_t more = *cap != 0 ? *cap : 64;
    while (more < need) {
        more *= 2;
    }
    if (more == *cap) {
        return true;
    }
    void *grown = realloc(*array, more * element_bytes);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    *cap = more;
    return true;
}

/* Until it is settled an item's prefix is an offset: text moves when it grows. */
int
bbi_wants_push(struct bbi_wants *wants, const char *prefix, size_t bytes, uint32_t flags)
{
    void *items = wants->items;
    void *text = wants->text;
    bool has_room = reserve(&items, &wants->item_cap, wants->count + 1, sizeof(struct bbi_interest))
                    && reserve(&text, &wants->text_cap, wants->text_bytes + bytes + 1, 1);
    wants->items = items;
    wants->text = text;
    if (!has_room) {
        return BB_ENOMEM;
    }
    if (bytes > 0) {
        memcpy(wants->text + wants->text_bytes, prefix, bytes);
    }
    wants->items[wants->count++] = (struct bbi_interest){
        .prefix_bytes = bytes,
        .flags = (uint8_t)(flags & BB_TOPIC_PATH),
        .scope = (flags & BB_TOPIC_GLOBAL) != 0 ? BBI_SCOPE_GLOBAL : BBI_SCOPE_LOCAL,
    };
    wants->text_bytes += bytes;
    return 0;
}

/* By bytes; of the same bytes what says more comes first. */
static int
compare(const void *a, const void *b)
{
    const struct bbi_interest *x = a;
    const struct bbi_interest *y = b;
    size_t common = x->prefix_bytes < y->prefix_bytes ? x->prefix_bytes : y->prefix_bytes;
    int order = common == 0 ? 0 : memcmp(x->prefix, y->prefix, common);
    if (order == 0 && x->prefix_bytes != y->prefix_bytes) {
        order = x->prefix_bytes < y->prefix_bytes ? -1 : 1;
    }
    if (order == 0) {
        order = (int)y->scope - (int)x->scope;
    }
    return order != 0 ? order : (int)x->flags - (int)y->flags;
}

static struct bbi_filter
filter_of(const struct bbi_interest *in)
{
    uint32_t scope = in->scope == BBI_SCOPE_GLOBAL ? BB_TOPIC_GLOBAL : 0u;
    return (struct bbi_filter){
        .prefix = in->prefix, .prefix_bytes = in->prefix_bytes, .flags = in->flags | scope};
}

static bool
begins(const struct bbi_interest *a, const struct bbi_interest *b)
{
    return a->prefix_bytes <= b->prefix_bytes
           && (a->prefix_bytes == 0 || memcmp(a->prefix, b->prefix, a->prefix_bytes) == 0);
}

/* The items that were kept and begin with each other: each knows the one before it, by its index plus 1. */
static bool
is_covered(const struct bbi_wants *wants, const uint32_t *up, uint32_t top, uint32_t item)
{
    struct bbi_filter b = filter_of(&wants->items[item]);
    for (uint32_t at = top; at != 0; at = up[at - 1]) {
        struct bbi_filter a = filter_of(&wants->items[at - 1]);
        if (bbi_topic_covers(&a, &b)) {
            return true;
        }
    }
    return false;
}

static void
shrink(struct bbi_wants *wants)
{
    uint32_t *up = calloc(wants->count + 1, sizeof(*up));
    if (up == NULL) {
        return; /* what is covered is told too: more words, the same messages */
    }
    uint32_t top = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < wants->count; i++) {
        while (top != 0 && !begins(&wants->items[top - 1], &wants->items[i])) {
            top = up[top - 1];
        }
        if (is_covered(wants, up, top, i)) {
            continue;
        }
        wants->items[kept] = wants->items[i];
        up[kept] = top;
        top = ++kept;
    }
    wants->count = kept;
    free(up);
}

static void
cut(struct bbi_wants *wants)
{
    size_t bytes = 0;
    size_t kept = 0;
    while (kept < wants->count && kept < BBI_WANTS_MAX
           && bytes + wants->items[kept].prefix_bytes <= BBI_WANTS_BYTES) {
        bytes += wants->items[kept++].prefix_bytes;
    }
    wants->is_cut = kept < wants->count;
    wants->count = kept;
}

void
bbi_wants_settle(struct bbi_wants *wants)
{
    const char *prefix = wants->text;
    for (size_t i = 0; i < wants->count; i++) {
        wants->items[i].prefix = prefix;
        prefix += wants->items[i].prefix_bytes;
    }
    if (wants->count > 1) {
        qsort(wants->items, wants->count, sizeof(struct bbi_interest), compare);
    }
    shrink(wants);
    cut(wants);
}

/* ---- looking ------------------------------------------------------------------------------------------------------ */

static int
push_narrowed(void *user, const char *prefix, size_t bytes, uint32_t flags)
{
    return bbi_wants_push(user, prefix, bytes, flags);
}

/* Is this subscriber alive, and not a bridge's? */
static bool
counts(const struct bbi_attach *at, uint64_t self, uint32_t index, const struct bbi_row *row)
{
    struct bbi_member_view m;
    return bbi_node_id(row->member, row->member_gen) != self
           && bbi_member_read(&at->bus->members[row->member], &m) && m.gen == row->member_gen
           && strcmp(m.name, BBI_BRIDGE_NODE) != 0 && bbi_is_alive(at, BBI_LOCK_SUB + index);
}

static int
look_at(struct bbi_wants *out,
        const struct bbi_pass *pass,
        const struct bbi_sub *sub,
        struct bbi_filter_table *table)
{
    struct bbi_filter_item item;
    uint32_t off = 0;
    int rc = bbi_filter_read(sub, table);
    if (rc == BB_ECORRUPT) {
        return 0; /* publishers know no more of it either */
    }
    while (rc == 0 && bbi_filter_next(table, &off, &item)) {
        rc = bbi_pass_narrow(pass, (const char *)item.bytes, item.len, item.flags, push_narrowed,
                             out);
    }
    return rc;
}

int
bbi_wants_look(struct bbi_wants *out, const struct bb_endpoint *ep, const struct bbi_pass *pass)
{
    const struct bbi_attach *at = bbi_endpoint_at(ep);
    struct bbi_filter_table *table = malloc(sizeof(*table));
    int rc = table != NULL ? 0 : BB_ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < BBI_SUBS; i++) {
        struct bbi_row row;
        struct bbi_segment seg;
        if (!bbi_look_sub(at, i, &row, &seg)) {
            continue;
        }
        if (counts(at, bb_endpoint_id(ep), i, &row)) {
            rc = look_at(out, pass, seg.base, table);
        }
        bbi_segment_close(&seg);
    }
    free(table);
    if (rc == 0) {
        bbi_wants_settle(out);
    }
    return rc;
}

bool
bbi_wants_has(const struct bbi_wants *wants, const struct bbi_interest *item)
{
    return wants->count > 0
           && bsearch(item, wants->items, wants->count, sizeof(*item), compare) != NULL;
}

static void
tell_missing(const struct bbi_wants *from,
             const struct bbi_wants *in,
             bool is_removed,
             bbi_wants_cb cb,
             void *user)
{
    size_t k = 0;
    for (size_t i = 0; i < from->count; i++) {
        int order = 1;
        while (k < in->count && (order = compare(&in->items[k], &from->items[i])) < 0) {
            k++;
        }
        if (k == in->count || order != 0) {
            struct bbi_interest change = from->items[i];
            change.is_removed = is_removed;
            cb(user, &change);
        }
    }
}

void
bbi_wants_diff(const struct bbi_wants *before,
               const struct bbi_wants *after,
               bbi_wants_cb cb,
               void *user)
{
    tell_missing(after, before, false, cb, user);
    tell_missing(before, after, true, cb, user);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: the walk checks bounds, types, lengths and nesting; here each value is checked to have the one
 * form that is canonical, and each element of a set or key of a table to come after the one before.
 */
#include "lib/value/walk.h"

bool
bbi_is_head_canonical(uint64_t head)
{
    uint32_t a = bbi_head_a(head);
    uint32_t b = bbi_head_b(head);
    switch (bbi_head_type(head)) {
    case BB_BOOLEAN:
        return a <= 1 && b == 0;
    case BB_SUBNET:
        return a <= 128 && b == 0;
    case BB_PORT:
        return a <= BB_PROTO_ICMP;
    default:
        return a == 0 && b == 0;
    }
}

static bool
is_subnet_masked(uint64_t head, const unsigned char *p)
{
    unsigned char net[16];
    unsigned char masked[16];
    memcpy(net, p + BBI_HEAD_BYTES, sizeof(net));
    memcpy(masked, net, sizeof(masked));
    bbi_mask_ip(masked, bbi_head_a(head));
    return memcmp(net, masked, sizeof(net)) == 0;
}

/* padding_bytes: what of it is inside the window. */
static bool
is_padding_zero(const unsigned char *padding, size_t padding_bytes)
{
    unsigned char any = 0;
    for (size_t i = 0; i < padding_bytes; i++) {
        any |= padding[i];
    }
    return any == 0;
}

static enum bbi_why
why_not_leaf(const struct bbi_walk *w)
{
    const unsigned char *end = w->value + bbi_head_bytes(w->head);
    if (!bbi_is_head_canonical(w->head)) {
        return BBI_WHY_FIELDS;
    }
    if (!is_padding_zero(end, (size_t)(w->p - end))) {
        return BBI_WHY_PADDING;
    }
    return w->type == BB_SUBNET && !is_subnet_masked(w->head, w->value) ? BBI_WHY_HOST_BITS
                                                                        : BBI_WHY_OK;
}

static enum bbi_why
why_not_container(const struct bbi_walk *w)
{
    if (!bbi_is_head_canonical(w->head)) {
        return BBI_WHY_FIELDS;
    }
    return bbi_get64(w->value + BBI_HEAD_BYTES) >> 32 != 0 ? BBI_WHY_SECOND : BBI_WHY_OK;
}

/* Elements of sets and keys of tables rise. */
static enum bbi_why
why_not_in_order(struct bbi_walk *w)
{
    struct bbi_walk_frame *set = w->parent;
    if (set == NULL || set->type == BB_VECTOR || (set->type == BB_TABLE && set->done % 2 == 0)) {
        return BBI_WHY_OK;
    }
    const unsigned char *before = set->key;
    set->key = w->value;
    if (before == NULL) {
        return BBI_WHY_OK;
    }
    int order =
        bbi_compare(before, (size_t)(set->end - before), w->value, (size_t)(set->end - w->value));
    return order < 0 ? BBI_WHY_OK : order > 0 ? BBI_WHY_ORDER : BBI_WHY_TWICE;
}

int
bbi_check_walk(struct bbi_walk *w)
{
    uint32_t deepest = 0;
    int step;
    while ((step = bbi_walk_next(w)) > 0) {
        if (step == BBI_WALK_LEAVE) {
            continue;
        }
        deepest = w->depth > deepest ? w->depth : deepest;
        enum bbi_why why = step == BBI_WALK_LEAF ? why_not_leaf(w) : why_not_container(w);
        if (why == BBI_WHY_OK) {
            why = why_not_in_order(w);
        }
        if (why != BBI_WHY_OK) {
            w->why = why;
            return BB_ECORRUPT;
        }
    }
    return step < 0 ? step : (int)deepest;
}

int
bbi_check(const unsigned char *p, size_t window)
{
    struct bbi_walk w;
    bbi_walk_init(&w, p, window);
    return bbi_check_walk(&w);
}

int
bb_value_check(const struct bb_value *v)
{
    int depth = bbi_check(v->p, v->bytes);
    return depth < 0 ? depth : 0;
}

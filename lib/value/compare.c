/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: both values are walked side by side until something differs.  Up to there they are alike, so one
 * stack serves both; a container that has fewer values, all equal, decides when it ends.
 *
 * Reals follow IEEE 754's total order, which is the numeric one for different numbers and also places -0
 * before 0 and NaN at the ends: only equal bits are equal, as the form is canonical.
 */
#include "lib/value/native.h"

struct side {
    const unsigned char *p;
    size_t left; /* bytes from p on */
};

/* A container that both sides are in. */
struct level {
    uint64_t left;   /* values that both still have */
    int when_ending; /* the verdict if all of them are equal */
};

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int64_t
total_order(uint64_t bits)
{
    return (int64_t)(bits >> 63 != 0 ? bits ^ (UINT64_MAX >> 1) : bits);
}

static int
compare_bytes(const unsigned char *a, uint32_t a_bytes, const unsigned char *b, uint32_t b_bytes)
{
    uint32_t common = a_bytes < b_bytes ? a_bytes : b_bytes;
    int order = common == 0 ? 0 : memcmp(a, b, common);
    return order != 0 ? order : ORDER(a_bytes, b_bytes);
}

/* Two values of one type, neither a container, whose heads fit. */
static int
compare_leaves(uint64_t a_head, const unsigned char *a, uint64_t b_head, const unsigned char *b)
{
    int order;
    a += BBI_HEAD_BYTES;
    b += BBI_HEAD_BYTES;
    switch (bbi_head_type(a_head)) {
    case BB_COUNT:
        return ORDER(bbi_get64(a), bbi_get64(b));
    case BB_INTEGER:
    case BB_TIMESTAMP:
    case BB_TIMESPAN:
        return ORDER((int64_t)bbi_get64(a), (int64_t)bbi_get64(b));
    case BB_REAL:
        return ORDER(total_order(bbi_get64(a)), total_order(bbi_get64(b)));
    case BB_STRING:
    case BB_ENUM:
        return compare_bytes(a, bbi_head_bytes(a_head) - BBI_HEAD_BYTES, b,
                             bbi_head_bytes(b_head) - BBI_HEAD_BYTES);
    case BB_ADDRESS:
    case BB_SUBNET:
        order = memcmp(a, b, 16);
        return order != 0 ? order : ORDER(bbi_head_a(a_head), bbi_head_a(b_head));
    case BB_PORT:
        order = ORDER(bbi_head_b(a_head), bbi_head_b(b_head));
        return order != 0 ? order : ORDER(bbi_head_a(a_head), bbi_head_a(b_head));
    default: /* boolean; none, whose a is 0 */
        return ORDER(bbi_head_a(a_head), bbi_head_a(b_head));
    }
}

static void
advance(struct side *s, size_t bytes)
{
    bytes = bytes < s->left ? bytes : s->left;
    s->p += bytes;
    s->left -= bytes;
}

/* Goes into a container on both sides. */
static struct level
enter(struct side *x, struct side *y, uint32_t type)
{
    uint64_t a = bbi_child_count(type, bbi_once64(x->p + BBI_HEAD_BYTES));
    uint64_t b = bbi_child_count(type, bbi_once64(y->p + BBI_HEAD_BYTES));
    advance(x, BBI_CONTAINER_BYTES);
    advance(y, BBI_CONTAINER_BYTES);
    return (struct level){a < b ? a : b, ORDER(a, b)};
}

int
bbi_compare(const unsigned char *a, size_t a_window, const unsigned char *b, size_t b_window)
{
    struct side x = {a, a_window};
    struct side y = {b, b_window};
    struct level levels[BB_VALUE_DEPTH];
    uint32_t depth = 0;
    for (;;) {
        uint64_t a_head = bbi_head_read(x.p, x.left);
        uint64_t b_head = bbi_head_read(y.p, y.left);
        uint32_t type = bbi_head_type(a_head); /* unreadable: that of none */
        if (type != bbi_head_type(b_head)) {
            return ORDER(type, bbi_head_type(b_head));
        }
        if (a_head == 0 || b_head == 0) {
            return 0;
        }
        if (bbi_is_container(type)) {
            if (depth == BB_VALUE_DEPTH) {
                return 0;
            }
            levels[depth++] = enter(&x, &y, type);
        } else {
            int order = compare_leaves(a_head, x.p, b_head, y.p);
            if (order != 0) {
                return order;
            }
            advance(&x, bbi_pad8(bbi_head_bytes(a_head)));
            advance(&y, bbi_pad8(bbi_head_bytes(b_head)));
        }
        while (depth > 0 && levels[depth - 1].left == 0) {
            depth--;
            if (levels[depth].when_ending != 0) {
                return levels[depth].when_ending;
            }
        }
        if (depth == 0) {
            return 0;
        }
        levels[depth - 1].left--;
    }
}

int
bb_value_compare(const struct bb_value *a, const struct bb_value *b)
{
    return bbi_compare(a->p, a->bytes, b->p, b->bytes);
}

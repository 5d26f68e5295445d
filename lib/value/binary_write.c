/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Broker's binary v1 from a value: a tag byte (the type), then big-endian words, and lengths and counts as
 * varbyte (7 bits a byte, the least significant first).  Elements stand in the value's order, which is Broker's.
 */
#include "lib/value/binary_real.h"
#include "lib/value/out.h"
#include "lib/value/walk.h"

#include <busbar/codec.h>

static void
put_byte(struct bbi_out *out, uint32_t v)
{
    unsigned char byte = (unsigned char)v;
    bbi_out_bytes(out, &byte, 1);
}

static void
put_be64(struct bbi_out *out, uint64_t v)
{
    v = htobe64(v);
    bbi_out_bytes(out, &v, sizeof(v));
}

static void
put_varbyte(struct bbi_out *out, uint32_t v)
{
    while (v >= 0x80) {
        put_byte(out, v | 0x80);
        v >>= 7;
    }
    put_byte(out, v);
}

static void
put_leaf(struct bbi_out *out, const struct bbi_walk *w)
{
    const unsigned char *body = w->value + BBI_HEAD_BYTES;
    uint32_t body_bytes = bbi_head_bytes(w->head) - BBI_HEAD_BYTES;
    switch (w->type) {
    case BB_NONE:
        break;
    case BB_BOOLEAN:
        put_byte(out, bbi_head_a(w->head));
        break;
    case BB_REAL:
        put_be64(out, bbi_real_to_broker(bbi_get64(body)));
        break;
    case BB_STRING:
    case BB_ENUM:
        put_varbyte(out, body_bytes);
        bbi_out_bytes(out, body, body_bytes);
        break;
    case BB_ADDRESS:
        bbi_out_bytes(out, body, 16);
        break;
    case BB_SUBNET:
        bbi_out_bytes(out, body, 16);
        put_byte(out, bbi_head_a(w->head));
        break;
    case BB_PORT:
        put_byte(out, bbi_head_b(w->head) >> 8);
        put_byte(out, bbi_head_b(w->head));
        put_byte(out, bbi_head_a(w->head));
        break;
    default: /* count, integer, timestamp, timespan */
        put_be64(out, bbi_get64(body));
        break;
    }
}

/* The walk has just gone into a container, so all of its values are still to come. */
static void
put_count(struct bbi_out *out, const struct bbi_walk *w)
{
    uint64_t children = w->frames[w->depth - 1].left;
    put_varbyte(out, (uint32_t)(w->type == BB_TABLE ? children / 2 : children));
}

int64_t
bb_value_binary(const struct bb_value *v, void *out, size_t cap)
{
    struct bbi_out binary;
    struct bbi_walk w;
    int step;
    bbi_out_init(&binary, out, cap);
    bbi_walk_init(&w, v->p, v->bytes);
    while ((step = bbi_walk_next(&w)) > 0) {
        if (step == BBI_WALK_LEAVE) {
            continue;
        }
        if (!bbi_is_head_canonical(w.head)) {
            return BB_ECORRUPT;
        }
        put_byte(&binary, w.type);
        if (step == BBI_WALK_ENTER) {
            put_count(&binary, &w);
        } else {
            put_leaf(&binary, &w);
        }
    }
    return step < 0 ? step : (int64_t)binary.len;
}

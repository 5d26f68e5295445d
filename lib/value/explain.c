/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a value is not well formed, in a sentence.
 *
 * The idea: the check and the explanation are one walk, which stops at the fault and keeps a reason.  Only then
 * are the bytes looked at again, for the figures in the sentence; if they changed meanwhile it says so.
 */
#include "lib/value/refuse.h"
#include "lib/value/walk.h"

static const char *
name_of(uint32_t type)
{
    const char *name = bb_type_name((int)type);
    return name != NULL ? name : "value";
}

/* Of the value at which the walk stands, or of its container if that is what is wrong. */
static void
explain_head(const struct bbi_walk *w, size_t offset, struct bb_codec_error *error)
{
    const unsigned char *end = w->parent != NULL ? w->parent->end : w->end;
    size_t window = (size_t)(end - w->value);
    const char *place = w->parent != NULL ? "its container" : "the message";
    if (window < BBI_HEAD_BYTES) {
        bbi_explain(error, offset,
                    "%s ends where a value should begin: a head has 8 bytes and %zu are left",
                    w->parent != NULL ? "the container" : "the message", window);
        return;
    }
    uint64_t head = bbi_once64(w->value);
    uint32_t type = bbi_head_type(head);
    uint32_t bytes = bbi_head_bytes(head);
    if (type >= BBI_TYPE_COUNT) {
        bbi_explain(error, offset, "type %u is none: they go from 0 (none) to 14 (vector)", type);
    } else if (bytes > window) {
        bbi_explain(error, offset, "the %s is said to have %u bytes, but %s has only %zu from here",
                    name_of(type), bytes, place, window);
    } else if (!bbi_head_fits(head, window)) {
        bbi_explain(error, offset, "%u bytes are no length for a value of type %s", bytes,
                    name_of(type));
    } else {
        bbi_explain(error, offset, "the value changed while it was read");
    }
}

static void
explain_fields(uint64_t head, size_t offset, struct bb_codec_error *error)
{
    uint32_t a = bbi_head_a(head);
    uint32_t type = bbi_head_type(head);
    if (type == BB_BOOLEAN && a > 1) {
        bbi_explain(error, offset, "the boolean is %u, neither 0 nor 1", a);
    } else if (type == BB_SUBNET && a > 128) {
        bbi_explain(error, offset, "the subnet's prefix has %u bits, more than 128", a);
    } else if (type == BB_PORT) {
        bbi_explain(error, offset, "the port's protocol is %u, and 3 (icmp) is the last one", a);
    } else {
        bbi_explain(error, offset, "reserved bytes in the head of the %s are not zero",
                    name_of(type));
    }
}

/* A fault of the container at which the walk stands. */
static void
explain_container(const struct bbi_walk *w, size_t offset, struct bb_codec_error *error)
{
    const char *type = name_of(w->type);
    uint32_t bytes = bbi_head_bytes(w->head);
    uint64_t second = bbi_get64(w->value + BBI_HEAD_BYTES);
    if (w->why == BBI_WHY_DEEP) {
        bbi_explain(error, offset, "containers nest more than %d deep", BB_VALUE_DEPTH);
    } else if (w->why == BBI_WHY_COUNT) {
        bbi_explain(error, offset, "the %s is said to have %u %s, but only %u bytes for them", type,
                    (uint32_t)second, w->type == BB_TABLE ? "pairs" : "elements",
                    bytes - BBI_CONTAINER_BYTES);
    } else {
        bbi_explain(error, offset, "reserved bytes behind the number of elements are not zero");
    }
}

/* The walk wants to leave its innermost container. */
static void
explain_end(const struct bbi_walk *w, const unsigned char *base, struct bb_codec_error *error)
{
    const struct bbi_walk_frame *frame = &w->frames[w->depth - 1];
    size_t bytes = (size_t)(frame->end - frame->begin);
    if (bytes % 8 != 0) {
        bbi_explain(error, (size_t)(frame->begin - base),
                    "the %s has %zu bytes: that is no multiple of 8, and what follows is unaligned",
                    name_of(frame->type), bytes);
        return;
    }
    bbi_explain(error, (size_t)(frame->begin - base),
                "the %s has %zu bytes, but its last element ends after %zu", name_of(frame->type),
                bytes, (size_t)(w->p - frame->begin));
}

static void
explain_order(const struct bbi_walk *w, size_t offset, struct bb_codec_error *error)
{
    const char *what = w->parent->type == BB_TABLE ? "key" : "element";
    const char *type = name_of(w->parent->type);
    if (w->why == BBI_WHY_TWICE) {
        bbi_explain(error, offset, "the %s has this %s twice", type, what);
    } else {
        bbi_explain(error, offset, "this %s of the %s is smaller than the one before it", what,
                    type);
    }
}

static void
explain(const struct bbi_walk *w, const unsigned char *base, struct bb_codec_error *error)
{
    size_t offset = (size_t)((uintptr_t)w->value - (uintptr_t)base); /* both may be NULL */
    switch (w->why) {
    case BBI_WHY_HEAD:
        explain_head(w, offset, error);
        break;
    case BBI_WHY_END:
        explain_end(w, base, error);
        break;
    case BBI_WHY_CUT:
        bbi_explain(error, offset, "the container ends before the padding of this %s",
                    name_of(w->type));
        break;
    case BBI_WHY_FIELDS:
        explain_fields(w->head, offset, error);
        break;
    case BBI_WHY_HOST_BITS:
        bbi_explain(error, offset, "the subnet has bits behind its prefix of %u",
                    bbi_head_a(w->head));
        break;
    case BBI_WHY_PADDING:
        bbi_explain(error, offset, "the padding behind this %s is not zero", name_of(w->type));
        break;
    case BBI_WHY_ORDER:
    case BBI_WHY_TWICE:
        explain_order(w, offset, error);
        break;
    case BBI_WHY_OK:
    case BBI_WHY_DEEP:
    case BBI_WHY_COUNT:
    case BBI_WHY_SECOND:
        explain_container(w, offset, error);
        break;
    }
}

int
bb_value_explain(const struct bb_value *v, struct bb_codec_error *error)
{
    struct bbi_walk w;
    bbi_walk_init(&w, v->p, v->bytes);
    if (bbi_check_walk(&w) >= 0) {
        return 0;
    }
    explain(&w, v->p, error);
    return BB_ECORRUPT;
}

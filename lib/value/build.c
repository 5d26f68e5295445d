/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: values are written once, one after the other.  A container's head cannot be known before its end,
 * so while it is open its two words serve the builder:
 *
 *     u32 offset of the container around it (NO_PARENT: none) | type | 0 | u32 values so far | u32 zero
 *
 * The second word is written when a container is opened inside it; the builder itself counts the values of
 * the innermost one.  Nothing else is kept: no stack, no second pass over what was written, but for sorting
 * at the close.
 *
 * Invariants: while err is 0, need_bytes <= cap_bytes, is a multiple of 8 and is where the next value goes.
 * After an error cap_bytes is 0, need_bytes and depth go on counting, and no byte is written.
 *
 * The functions here stand beside those of <busbar/value_inline.h>, which do the plain case in the caller and
 * write the same words: tests/unit/lib/value_inline.c compares the two.
 */
#define BB_NO_INLINE 1 /* the exported functions are defined here */
#include "lib/value/build.h"
#include "lib/value/sort.h"

#include <assert.h>

static const uint32_t NO_PARENT = UINT32_MAX;

/* Programs have it compiled in: value_inline.h. */
#if __SIZEOF_POINTER__ == 8
static_assert(sizeof(struct bb_builder) == 48, "soname 0");
static_assert(offsetof(struct bb_builder, need_bytes) == 16, "soname 0");
static_assert(offsetof(struct bb_builder, open_off) == 24, "soname 0");
static_assert(offsetof(struct bb_builder, depth) == 32, "soname 0");
static_assert(offsetof(struct bb_builder, err) == 36, "soname 0");
static_assert(offsetof(struct bb_builder, children) == 40, "soname 0");
static_assert(offsetof(struct bb_builder, event_off) == 44, "soname 0");
static_assert(sizeof(struct bb_value) == 16 && sizeof(struct bb_iter) == 24, "soname 0");
static_assert(sizeof(struct bb_event) == 56, "soname 0");
#endif

/* More than any buffer has, and so little that adding the size of a value to it does not wrap. */
static const size_t COUNT_MAX = SIZE_MAX >> 1 & ~(size_t)7;

/* Room for a value of so many bytes (a multiple of 8), counted in the container around it; NULL: do not write. */
static unsigned char *
claim(struct bb_builder *b, size_t bytes)
{
    size_t off = b->need_bytes;
    b->need_bytes = off > COUNT_MAX - bytes ? COUNT_MAX : off + bytes;
    if (b->err != 0) {
        return NULL;
    }
    if (b->need_bytes > b->cap_bytes) {
        bbi_build_fail(b, BB_EMSGSIZE);
        return NULL;
    }
    b->children++;
    return b->buf + off;
}

static void
put_word(struct bb_builder *b, enum bb_type type, uint64_t v)
{
    unsigned char *p = claim(b, BBI_WORD_BYTES);
    if (p != NULL) {
        bbi_put64(p, BBI_HEAD(BBI_WORD_BYTES, type));
        bbi_put64(p + BBI_HEAD_BYTES, v);
    }
}

static void
put_head(struct bb_builder *b, uint64_t head)
{
    unsigned char *p = claim(b, BBI_HEAD_BYTES);
    if (p != NULL) {
        bbi_put64(p, head);
    }
}

static void
put_ip(struct bb_builder *b, uint64_t head, const unsigned char ip[16])
{
    unsigned char *p = claim(b, BBI_ADDRESS_BYTES);
    if (p != NULL) {
        bbi_put64(p, head);
        memcpy(p + BBI_HEAD_BYTES, ip, 16);
    }
}

static void
put_bytes(struct bb_builder *b, enum bb_type type, const char *s, size_t bytes)
{
    if (bytes > UINT32_MAX - BBI_WORD_BYTES) {
        (void)claim(b, COUNT_MAX);
        return;
    }
    size_t padded = bbi_pad8(BBI_HEAD_BYTES + bytes);
    unsigned char *p = claim(b, padded);
    if (p != NULL) {
        bbi_put64(p + padded - 8, 0);
        bbi_put64(p, BBI_HEAD(BBI_HEAD_BYTES + bytes, type));
        if (bytes > 0) {
            memcpy(p + BBI_HEAD_BYTES, s, bytes);
        }
    }
}

void
bb_build_init(struct bb_builder *b, void *buf, size_t cap_bytes)
{
    size_t most = UINT32_MAX & ~UINT32_C(7); /* lengths and offsets are u32 */
    *b = (struct bb_builder){
        .buf = buf,
        .cap_bytes = buf == NULL        ? 0
                     : cap_bytes < most ? cap_bytes
                                        : most,
        .open_off = SIZE_MAX,
    };
}

int64_t
bb_build_end(struct bb_builder *b)
{
    if (bbi_build_depth(b) != 0) {
        bbi_build_fail(b, BB_EINVAL);
    }
    return b->err != 0 ? b->err : (int64_t)b->need_bytes;
}

void
bb_put_none(struct bb_builder *b)
{
    put_head(b, BBI_HEAD(BBI_HEAD_BYTES, BB_NONE));
}

void
bb_put_boolean(struct bb_builder *b, int v)
{
    put_head(b, BBI_HEAD(BBI_HEAD_BYTES, BB_BOOLEAN) | (uint64_t)(v != 0) << 40);
}

void
bb_put_count(struct bb_builder *b, uint64_t v)
{
    put_word(b, BB_COUNT, v);
}

void
bb_put_integer(struct bb_builder *b, int64_t v)
{
    put_word(b, BB_INTEGER, (uint64_t)v);
}

void
bb_put_real(struct bb_builder *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    put_word(b, BB_REAL, bits);
}

void
bb_put_string(struct bb_builder *b, const char *s, size_t bytes)
{
    put_bytes(b, BB_STRING, s, bytes);
}

void
bb_put_address(struct bb_builder *b, const uint8_t ip[16])
{
    put_ip(b, BBI_HEAD(BBI_ADDRESS_BYTES, BB_ADDRESS), ip);
}

void
bbi_mask_ip(unsigned char ip[16], uint32_t bits)
{
    for (uint32_t i = bits / 8; i < 16; i++) {
        uint32_t kept_bits = i == bits / 8 ? bits % 8 : 0;
        ip[i] &= (unsigned char)(0xff00u >> kept_bits);
    }
}

void
bb_put_subnet(struct bb_builder *b, const uint8_t ip[16], uint32_t prefix_bits)
{
    unsigned char net[16];
    bool is_ipv4 = bbi_is_ipv4(ip);
    uint32_t bits = prefix_bits;
    memcpy(net, ip, sizeof(net));
    if (prefix_bits > (is_ipv4 ? 32 : 128)) {
        bits = 0;
    } else if (is_ipv4) {
        bits += 96;
    }
    bbi_mask_ip(net, bits);
    put_ip(b, BBI_HEAD(BBI_ADDRESS_BYTES, BB_SUBNET) | (uint64_t)bits << 40, net);
}

void
bb_put_port(struct bb_builder *b, uint16_t number, enum bb_protocol protocol)
{
    if ((unsigned)protocol > BB_PROTO_ICMP) {
        bbi_build_fail(b, BB_EINVAL);
    }
    put_head(b, BBI_HEAD(BBI_HEAD_BYTES, BB_PORT) | (uint64_t)((unsigned)protocol & 0xff) << 40
                    | (uint64_t)number << 48);
}

void
bb_put_timestamp(struct bb_builder *b, int64_t wall_ns)
{
    put_word(b, BB_TIMESTAMP, (uint64_t)wall_ns);
}

void
bb_put_timespan(struct bb_builder *b, int64_t span_ns)
{
    put_word(b, BB_TIMESPAN, (uint64_t)span_ns);
}

void
bb_put_enum(struct bb_builder *b, const char *name, size_t bytes)
{
    put_bytes(b, BB_ENUM, name, bytes);
}

/* ---- containers -------------------------------------------------------------------------------- */

void
bbi_build_open(struct bb_builder *b, enum bb_type type)
{
    uint32_t depth = bbi_build_depth(b);
    if (depth >= BB_VALUE_DEPTH) {
        bbi_build_fail(b, BB_EINVAL);
    }
    unsigned char *p = claim(b, BBI_CONTAINER_BYTES);
    if (depth < BBI_BUILD_DEPTH) {
        b->depth++;
    }
    if (p == NULL) {
        return;
    }
    uint32_t parent = NO_PARENT;
    if (b->open_off != SIZE_MAX) {
        parent = (uint32_t)b->open_off;
        bbi_put64(b->buf + b->open_off + BBI_HEAD_BYTES, b->children);
    }
    bbi_put64(p, BBI_HEAD(parent, type));
    b->open_off = (size_t)(p - b->buf);
    b->children = 0;
}

/* Sets and tables become canonical here; *children turns into what the head says. */
static int
settle(struct bb_builder *b, uint32_t type, unsigned char *body, uint32_t *children)
{
    uint32_t values_each = type == BB_TABLE ? 2 : 1;
    if (*children % values_each != 0) {
        return BB_EINVAL;
    }
    *children /= values_each;
    if (type == BB_VECTOR || *children < 2) {
        return 0;
    }
    size_t body_bytes = b->need_bytes - (size_t)(body - b->buf);
    return bbi_sort(body, body_bytes, *children, values_each);
}

/* Both words may lie in shared memory: what is read back is checked as any input. */
void
bbi_build_close(struct bb_builder *b)
{
    b->depth--;
    if (b->err != 0) {
        return;
    }
    unsigned char *p = b->buf + b->open_off;
    uint64_t head = bbi_once64(p);
    uint32_t parent = bbi_head_bytes(head);
    uint32_t type = bbi_head_type(head);
    uint32_t children = b->children;
    if (!bbi_is_container(type)
        || (parent != NO_PARENT && (size_t)parent + BBI_CONTAINER_BYTES > b->open_off)) {
        bbi_build_fail(b, BB_ECORRUPT);
        return;
    }
    int rc = settle(b, type, p + BBI_CONTAINER_BYTES, &children);
    if (rc < 0) {
        bbi_build_fail(b, rc);
        return;
    }
    bbi_put64(p, BBI_HEAD(b->need_bytes - b->open_off, type));
    bbi_put64(p + BBI_HEAD_BYTES, children);
    if (parent == NO_PARENT) {
        b->open_off = SIZE_MAX;
        return;
    }
    b->open_off = parent;
    b->children = (uint32_t)bbi_once64(b->buf + parent + BBI_HEAD_BYTES);
}

void
bb_put_set_begin(struct bb_builder *b)
{
    bbi_build_open(b, BB_SET);
}

void
bb_put_table_begin(struct bb_builder *b)
{
    bbi_build_open(b, BB_TABLE);
}

void
bb_put_vector_begin(struct bb_builder *b)
{
    bbi_build_open(b, BB_VECTOR);
}

void
bb_put_end(struct bb_builder *b)
{
    if (bbi_build_depth(b) <= bbi_build_floor(b)) {
        bbi_build_fail(b, BB_EINVAL);
        return;
    }
    bbi_build_close(b);
}

/* Copied first and checked in its new place, as the source may change meanwhile. */
void
bb_put_value(struct bb_builder *b, const struct bb_value *v)
{
    uint64_t head = bbi_head_read(v->p, v->bytes);
    if (head == 0) {
        bbi_build_fail(b, BB_ECORRUPT);
        return;
    }
    size_t bytes = bbi_head_bytes(head);
    size_t padded = bbi_pad8(bytes);
    unsigned char *p = claim(b, padded);
    if (p == NULL) {
        return;
    }
    bbi_put64(p + padded - 8, 0);
    memcpy(p, v->p, bytes);
    bbi_put64(p, head);
    int depth = bbi_check(p, padded);
    if (depth < 0) {
        bbi_build_fail(b, depth);
    } else if ((uint32_t)depth + bbi_build_depth(b) > BB_VALUE_DEPTH) {
        bbi_build_fail(b, BB_EINVAL);
    }
}

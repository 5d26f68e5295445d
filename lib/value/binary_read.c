/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Broker's binary v1 into a builder.
 *
 * The idea: one frame for each open container, in an array as long as nesting may be deep, and a count in a
 * frame only after it was held against the bytes that are left: each element has at least its tag.  So what a
 * hostile input costs is bounded by its own length.
 *
 * Taken as Broker takes it: elements of sets and tables in any order, host bits of a subnet (they are cleared),
 * a varbyte with more bytes than it needs (at most 5), any NaN.  Refused: all that has no meaning, and
 * duplicates.
 */
#include "lib/value/binary_real.h"
#include "lib/value/build.h"
#include "lib/value/refuse.h"

struct frame {
    size_t off;    /* of the container's tag */
    uint64_t left; /* values to come; a table counts keys and values */
    uint32_t type;
};

struct decoder {
    const unsigned char *data;
    size_t bytes;
    size_t off;
    struct bb_builder *b;
    struct bb_codec_error *error;
    uint32_t depth;
    struct frame frames[BB_VALUE_DEPTH];
};

#define REFUSE(d, offset, ...) (bbi_explain((d)->error, offset, __VA_ARGS__), false)

/* So many bytes of a value of this type; NULL and an error if they are not there. */
static const unsigned char *
take(struct decoder *d, uint32_t type, size_t bytes)
{
    size_t left = d->bytes - d->off;
    if (bytes > left) {
        (void)REFUSE(d, d->off, "the %s ends too early: it needs %zu more bytes and %zu are left",
                     bb_type_name((int)type), bytes, left);
        return NULL;
    }
    d->off += bytes;
    return d->data + d->off - bytes;
}

/* The empty asm: the byte is read once, also if it changes meanwhile. */
static bool
take_byte(struct decoder *d, uint32_t type, uint32_t *out)
{
    const unsigned char *p = take(d, type, 1);
    if (p == NULL) {
        return false;
    }
    uint32_t byte = *p;
    __asm__("" : "+r"(byte));
    *out = byte;
    return true;
}

static bool
take_be64(struct decoder *d, uint32_t type, uint64_t *out)
{
    const unsigned char *p = take(d, type, sizeof(*out));
    if (p == NULL) {
        return false;
    }
    memcpy(out, p, sizeof(*out));
    *out = be64toh(*out);
    return true;
}

static bool
take_varbyte(struct decoder *d, uint32_t type, uint32_t *out)
{
    size_t begin = d->off;
    uint64_t v = 0;
    for (uint32_t shift = 0; shift < 35; shift += 7) {
        uint32_t byte;
        if (!take_byte(d, type, &byte)) {
            return false;
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = (uint32_t)v;
            return v <= UINT32_MAX
                   || REFUSE(d, begin,
                             "the %s is said to have %llu elements or bytes: 2^32 or more",
                             bb_type_name((int)type), (unsigned long long)v);
        }
    }
    return REFUSE(d, begin, "the length of the %s has more than 5 bytes", bb_type_name((int)type));
}

/* ---- values without others inside ---------------------------------------------------------------- */

static bool
put_word(struct decoder *d, uint32_t type)
{
    uint64_t v;
    double real;
    if (!take_be64(d, type, &v)) {
        return false;
    }
    switch (type) {
    case BB_COUNT:
        bb_put_count(d->b, v);
        break;
    case BB_INTEGER:
        bb_put_integer(d->b, (int64_t)v);
        break;
    case BB_TIMESTAMP:
        bb_put_timestamp(d->b, (int64_t)v);
        break;
    case BB_TIMESPAN:
        bb_put_timespan(d->b, (int64_t)v);
        break;
    default: /* real */
        v = bbi_real_from_broker(v);
        memcpy(&real, &v, sizeof(real));
        bb_put_real(d->b, real);
        break;
    }
    return true;
}

static bool
put_bytes(struct decoder *d, uint32_t type)
{
    uint32_t bytes;
    const unsigned char *p;
    if (!take_varbyte(d, type, &bytes) || (p = take(d, type, bytes)) == NULL) {
        return false;
    }
    (type == BB_STRING ? bb_put_string : bb_put_enum)(d->b, (const char *)p, bytes);
    return true;
}

static bool
put_boolean(struct decoder *d)
{
    uint32_t v;
    if (!take_byte(d, BB_BOOLEAN, &v)) {
        return false;
    }
    if (v > 1) {
        return REFUSE(d, d->off - 1, "the boolean is %u, neither 0 nor 1", v);
    }
    bb_put_boolean(d->b, (int)v);
    return true;
}

static bool
put_address(struct decoder *d)
{
    const unsigned char *p = take(d, BB_ADDRESS, 16);
    if (p != NULL) {
        bb_put_address(d->b, p);
    }
    return p != NULL;
}

/* The prefix counts from the first of 128 bits also for IPv4, unlike bb_put_subnet()'s. */
static bool
put_subnet(struct decoder *d)
{
    unsigned char net[16];
    uint32_t bits;
    const unsigned char *p = take(d, BB_SUBNET, sizeof(net));
    if (p == NULL || !take_byte(d, BB_SUBNET, &bits)) {
        return false;
    }
    if (bits > 128) {
        return REFUSE(d, d->off - 1, "the subnet's prefix has %u bits, more than 128", bits);
    }
    memcpy(net, p, sizeof(net));
    bbi_mask_ip(net, bits);
    bb_put_subnet(d->b, net, bbi_is_ipv4(net) ? bits - 96 : bits);
    return true;
}

static bool
put_port(struct decoder *d)
{
    uint32_t high;
    uint32_t low;
    uint32_t protocol;
    if (!take_byte(d, BB_PORT, &high) || !take_byte(d, BB_PORT, &low)
        || !take_byte(d, BB_PORT, &protocol)) {
        return false;
    }
    if (protocol > BB_PROTO_ICMP) {
        return REFUSE(d, d->off - 1, "the port's protocol is %u, and 3 (icmp) is the last one",
                      protocol);
    }
    bb_put_port(d->b, (uint16_t)(high << 8 | low), (enum bb_protocol)protocol);
    return true;
}

/* ---- containers ---------------------------------------------------------------------------------- */

static bool
enter(struct decoder *d, uint32_t type)
{
    size_t off = d->off - 1;
    uint32_t count;
    if (!take_varbyte(d, type, &count)) {
        return false;
    }
    uint64_t values = (uint64_t)count << (type == BB_TABLE);
    size_t left = d->bytes - d->off;
    if (values > left) {
        return REFUSE(d, off, "the %s is said to have %u %s, but only %zu bytes are left",
                      bb_type_name((int)type), count, type == BB_TABLE ? "pairs" : "elements",
                      left);
    }
    if (bbi_build_depth(d->b) >= BB_VALUE_DEPTH) {
        return REFUSE(d, off, "containers nest more than %d deep", BB_VALUE_DEPTH);
    }
    bbi_build_open(d->b, (enum bb_type)type);
    d->frames[d->depth++] = (struct frame){off, values, type};
    return true;
}

static bool
leave(struct decoder *d)
{
    const struct frame *frame = &d->frames[--d->depth];
    bb_put_end(d->b);
    if (d->b->err == BB_EEXIST) {
        return REFUSE(d, frame->off, "the %s has %s twice", bb_type_name((int)frame->type),
                      frame->type == BB_TABLE ? "a key" : "an element");
    }
    return true;
}

static bool
put_value(struct decoder *d)
{
    uint32_t type = BB_NONE;
    if (d->off == d->bytes) {
        return REFUSE(d, d->off, "a value is missing: the input ends where its tag should be");
    }
    if (!take_byte(d, type, &type)) {
        return false;
    }
    switch (type) {
    case BB_NONE:
        bb_put_none(d->b);
        return true;
    case BB_BOOLEAN:
        return put_boolean(d);
    case BB_COUNT:
    case BB_INTEGER:
    case BB_REAL:
    case BB_TIMESTAMP:
    case BB_TIMESPAN:
        return put_word(d, type);
    case BB_STRING:
    case BB_ENUM:
        return put_bytes(d, type);
    case BB_ADDRESS:
        return put_address(d);
    case BB_SUBNET:
        return put_subnet(d);
    case BB_PORT:
        return put_port(d);
    case BB_SET:
    case BB_TABLE:
    case BB_VECTOR:
        return enter(d, type);
    default:
        return REFUSE(d, d->off - 1, "tag %u is no type: they go from 0 (none) to 14 (vector)",
                      type);
    }
}

static bool
put_all(struct decoder *d)
{
    bool ok = put_value(d);
    while (ok && d->depth > 0) {
        struct frame *frame = &d->frames[d->depth - 1];
        if (frame->left == 0) {
            ok = leave(d);
        } else {
            frame->left--;
            ok = put_value(d);
        }
    }
    if (ok && d->off < d->bytes) {
        return REFUSE(d, d->off, "%zu bytes follow the value", d->bytes - d->off);
    }
    return ok;
}

void
bb_put_binary(struct bb_builder *b, const void *data, size_t bytes, struct bb_codec_error *error)
{
    struct decoder d;
    if (b->err != 0 && b->err != BB_EMSGSIZE) {
        return;
    }
    d.data = data;
    d.bytes = bytes;
    d.off = 0;
    d.b = b;
    d.error = error;
    d.depth = 0;
    if (!put_all(&d)) {
        bbi_refuse_input(b);
    }
}

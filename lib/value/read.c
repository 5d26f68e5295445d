/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: for a scalar the whole head is known beforehand, so one compare of 8 bytes says that type, length
 * and reserved fields are right; only when it fails is there anything to find out.
 *
 * Each function reads a head or a length once, checks the local against the window, and uses the local.
 */
#define BB_NO_INLINE 1 /* the exported functions are defined here */
#include "lib/value/native.h"

int
bb_value_open(struct bb_value *out, const void *data, size_t bytes)
{
    uint64_t head = bbi_head_read(data, bytes);
    if (head == 0) {
        return BB_ECORRUPT;
    }
    size_t padded = bbi_pad8(bbi_head_bytes(head));
    *out = (struct bb_value){data, padded < bytes ? padded : bytes};
    return 0;
}

int
bb_value_type(const struct bb_value *v)
{
    uint64_t head = bbi_head_read(v->p, v->bytes);
    return head == 0 ? BB_ECORRUPT : (int)bbi_head_type(head);
}

/* Why a head was not as expected. */
static int
refuse(uint64_t head, size_t window, enum bb_type wanted)
{
    if (!bbi_head_fits(head, window)) {
        return BB_ECORRUPT;
    }
    return bbi_head_type(head) != (uint32_t)wanted ? BB_ETYPE : BB_ECORRUPT;
}

/* The 8 bytes of a number or time. */
static int
get_word(const struct bb_value *v, enum bb_type wanted, uint64_t *out)
{
    if (v->bytes < BBI_HEAD_BYTES) {
        return BB_ECORRUPT;
    }
    uint64_t head = bbi_once64(v->p);
    if (head != BBI_HEAD(BBI_WORD_BYTES, wanted) || v->bytes < BBI_WORD_BYTES) {
        return refuse(head, v->bytes, wanted);
    }
    *out = bbi_get64(v->p + BBI_HEAD_BYTES);
    return 0;
}

static int
get_bytes(const struct bb_value *v, enum bb_type wanted, const char **s, size_t *bytes)
{
    if (v->bytes < BBI_HEAD_BYTES) {
        return BB_ECORRUPT;
    }
    uint64_t head = bbi_once64(v->p);
    uint32_t value_bytes = bbi_head_bytes(head);
    if (head != BBI_HEAD(value_bytes, wanted) || value_bytes < BBI_HEAD_BYTES
        || value_bytes > v->bytes) {
        return refuse(head, v->bytes, wanted);
    }
    *s = (const char *)v->p + BBI_HEAD_BYTES;
    *bytes = value_bytes - BBI_HEAD_BYTES;
    return 0;
}

int
bb_get_boolean(const struct bb_value *v, int *out)
{
    if (v->bytes < BBI_HEAD_BYTES) {
        return BB_ECORRUPT;
    }
    uint64_t head = bbi_once64(v->p);
    uint32_t a = bbi_head_a(head);
    if (head != (BBI_HEAD(BBI_HEAD_BYTES, BB_BOOLEAN) | (uint64_t)a << 40) || a > 1) {
        return refuse(head, v->bytes, BB_BOOLEAN);
    }
    *out = (int)a;
    return 0;
}

int
bb_get_count(const struct bb_value *v, uint64_t *out)
{
    return get_word(v, BB_COUNT, out);
}

int
bb_get_integer(const struct bb_value *v, int64_t *out)
{
    uint64_t word;
    int rc = get_word(v, BB_INTEGER, &word);
    if (rc == 0) {
        *out = (int64_t)word;
    }
    return rc;
}

int
bb_get_real(const struct bb_value *v, double *out)
{
    uint64_t word;
    int rc = get_word(v, BB_REAL, &word);
    if (rc == 0) {
        memcpy(out, &word, sizeof(*out));
    }
    return rc;
}

int
bb_get_string(const struct bb_value *v, const char **s, size_t *bytes)
{
    return get_bytes(v, BB_STRING, s, bytes);
}

int
bb_get_address(const struct bb_value *v, uint8_t ip[16])
{
    if (v->bytes < BBI_HEAD_BYTES) {
        return BB_ECORRUPT;
    }
    uint64_t head = bbi_once64(v->p);
    if (head != BBI_HEAD(BBI_ADDRESS_BYTES, BB_ADDRESS) || v->bytes < BBI_ADDRESS_BYTES) {
        return refuse(head, v->bytes, BB_ADDRESS);
    }
    memcpy(ip, v->p + BBI_HEAD_BYTES, 16);
    return 0;
}

int
bb_get_subnet(const struct bb_value *v, uint8_t ip[16], uint32_t *prefix_bits)
{
    if (v->bytes < BBI_HEAD_BYTES) {
        return BB_ECORRUPT;
    }
    uint64_t head = bbi_once64(v->p);
    uint32_t bits = bbi_head_a(head);
    if (head != (BBI_HEAD(BBI_ADDRESS_BYTES, BB_SUBNET) | (uint64_t)bits << 40)
        || v->bytes < BBI_ADDRESS_BYTES || bits > 128) {
        return refuse(head, v->bytes, BB_SUBNET);
    }
    unsigned char net[16];
    memcpy(net, v->p + BBI_HEAD_BYTES, sizeof(net));
    if (bbi_is_ipv4(net)) {
        if (bits < 96) {
            return BB_ECORRUPT;
        }
        bits -= 96;
    }
    memcpy(ip, net, sizeof(net));
    *prefix_bits = bits;
    return 0;
}

int
bb_get_port(const struct bb_value *v, uint16_t *number, enum bb_protocol *protocol)
{
    if (v->bytes < BBI_HEAD_BYTES) {
        return BB_ECORRUPT;
    }
    uint64_t head = bbi_once64(v->p);
    uint64_t fields = UINT64_C(0xffffff) << 40;
    if ((head & ~fields) != BBI_HEAD(BBI_HEAD_BYTES, BB_PORT) || bbi_head_a(head) > BB_PROTO_ICMP) {
        return refuse(head, v->bytes, BB_PORT);
    }
    *number = (uint16_t)bbi_head_b(head);
    *protocol = (enum bb_protocol)bbi_head_a(head);
    return 0;
}

int
bb_get_timestamp(const struct bb_value *v, int64_t *wall_ns)
{
    uint64_t word;
    int rc = get_word(v, BB_TIMESTAMP, &word);
    if (rc == 0) {
        *wall_ns = (int64_t)word;
    }
    return rc;
}

int
bb_get_timespan(const struct bb_value *v, int64_t *span_ns)
{
    uint64_t word;
    int rc = get_word(v, BB_TIMESPAN, &word);
    if (rc == 0) {
        *span_ns = (int64_t)word;
    }
    return rc;
}

int
bb_get_enum(const struct bb_value *v, const char **s, size_t *bytes)
{
    return get_bytes(v, BB_ENUM, s, bytes);
}

/* ---- containers -------------------------------------------------------------------------------- */

int64_t
bb_iter_open(struct bb_iter *it, const struct bb_value *container)
{
    uint64_t head = bbi_head_read(container->p, container->bytes);
    if (head == 0) {
        return BB_ECORRUPT;
    }
    uint32_t type = bbi_head_type(head);
    if (!bbi_is_container(type)) {
        return BB_ETYPE;
    }
    size_t body_bytes = bbi_head_bytes(head) - BBI_CONTAINER_BYTES;
    uint64_t second = bbi_once64(container->p + BBI_HEAD_BYTES);
    uint64_t children = bbi_child_count(type, second);
    if (children > body_bytes / BBI_HEAD_BYTES) {
        return BB_ECORRUPT; /* no value is smaller than its head */
    }
    it->rest = (struct bb_value){container->p + BBI_CONTAINER_BYTES, body_bytes};
    it->left = (uint32_t)children;
    return (int64_t)(second & UINT32_MAX);
}

int
bb_iter_next(struct bb_iter *it, struct bb_value *out)
{
    if (it->left == 0) {
        return BB_EEND;
    }
    uint64_t head = bbi_head_read(it->rest.p, it->rest.bytes);
    size_t padded = bbi_pad8(bbi_head_bytes(head));
    if (head == 0 || padded > it->rest.bytes) {
        return BB_ECORRUPT;
    }
    *out = (struct bb_value){it->rest.p, padded};
    it->rest.p += padded;
    it->rest.bytes -= padded;
    it->left--;
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: values are walked in the order of their bytes, and each leaves bytes that end by themselves, so that
 * what follows never decides before it should.  A container ends with 0, which is below every type's byte: of
 * two that begin alike the shorter comes first, as bb_value_compare() has it.
 *
 * The walk stops when BBI_KEY_PLAIN_MAX bytes are full: what is left makes no difference to the order any more.
 */
#include "lib/store/key.h"
#include "lib/value/native.h"
#include "shm/hash.h"
#include <string.h>

enum { END = 0, STRING_END = 1, ZERO = 0xff, HASHED = 0xff, HASH_BYTES = 16, ADDRESS_BITS = 128 };

static_assert(BBI_KEY_PLAIN_MAX + 1 + HASH_BYTES + 2 <= BBI_DB_KEY_MAX, "LMDB's longest key");

/* A key being made. */
struct out {
    unsigned char *p;
    size_t len;
    bool is_full; /* something did not fit */
};

static void
add(struct out *o, const void *data, size_t bytes)
{
    size_t room = BBI_KEY_PLAIN_MAX - o->len;
    if (bytes > room) {
        bytes = room;
        o->is_full = true;
    }
    memcpy(o->p + o->len, data, bytes);
    o->len += bytes;
}

static void
add_byte(struct out *o, unsigned char byte)
{
    add(o, &byte, 1);
}

static void
add_number(struct out *o, uint64_t v)
{
    v = htobe64(v);
    add(o, &v, sizeof(v));
}

/* Inside a container: ends by itself. */
static void
add_string(struct out *o, const unsigned char *s, size_t bytes)
{
    for (size_t i = 0; i < bytes && !o->is_full; i++) {
        add_byte(o, s[i]);
        if (s[i] == 0) {
            add_byte(o, ZERO);
        }
    }
    add_byte(o, 0);
    add_byte(o, STRING_END);
}

static uint64_t
turn_sign(uint64_t v)
{
    return v ^ (UINT64_C(1) << 63);
}

static uint64_t
total_order(uint64_t bits)
{
    return bits >> 63 != 0 ? ~bits : turn_sign(bits);
}

/* What comes behind the type's byte.  p: behind the head. */
static void
add_leaf(struct out *o, uint64_t head, const unsigned char *p, bool is_whole)
{
    size_t bytes = bbi_head_bytes(head) - BBI_HEAD_BYTES;
    switch (bbi_head_type(head)) {
    case BB_BOOLEAN:
        add_byte(o, (unsigned char)bbi_head_a(head));
        return;
    case BB_COUNT:
        add_number(o, bbi_get64(p));
        return;
    case BB_INTEGER:
    case BB_TIMESTAMP:
    case BB_TIMESPAN:
        add_number(o, turn_sign(bbi_get64(p)));
        return;
    case BB_REAL:
        add_number(o, total_order(bbi_get64(p)));
        return;
    case BB_STRING:
    case BB_ENUM:
        if (is_whole) {
            add(o, p, bytes);
        } else {
            add_string(o, p, bytes);
        }
        return;
    case BB_ADDRESS:
        add(o, p, 16);
        return;
    case BB_SUBNET:
        add(o, p, 16);
        add_byte(o, (unsigned char)bbi_head_a(head));
        return;
    case BB_PORT:
        add_byte(o, (unsigned char)(bbi_head_b(head) >> 8));
        add_byte(o, (unsigned char)bbi_head_b(head));
        add_byte(o, (unsigned char)bbi_head_a(head));
        return;
    default: /* none */
        return;
    }
}

static void
add_type(struct out *o, uint64_t head)
{
    add_byte(o, (unsigned char)(bbi_head_type(head) + 1));
}

/*
 * The values from p on, which were checked; with_ends: also the byte that ends the outermost container (a prefix
 * has none).  A head that does not fit after all ends the walk: then the bytes changed under us.
 */
static int
add_values(struct out *o, const unsigned char *p, size_t left, bool with_ends)
{
    uint64_t counts[BB_VALUE_DEPTH];
    uint32_t depth = 0;
    do {
        uint64_t head = bbi_head_read(p, left);
        if (head == 0) {
            return BB_ECORRUPT;
        }
        add_type(o, head);
        size_t bytes = bbi_pad8(bbi_head_bytes(head));
        if (bbi_is_container(bbi_head_type(head))) {
            if (depth == BB_VALUE_DEPTH) {
                return BB_ECORRUPT;
            }
            counts[depth++] = bbi_child_count(bbi_head_type(head), bbi_get64(p + BBI_HEAD_BYTES));
            bytes = BBI_CONTAINER_BYTES;
        } else {
            add_leaf(o, head, p + BBI_HEAD_BYTES, false);
        }
        bytes = bytes < left ? bytes : left;
        p += bytes;
        left -= bytes;
        while (depth > 0 && counts[depth - 1] == 0) {
            depth--;
            if (depth > 0 || with_ends) {
                add_byte(o, END);
            }
        }
        if (depth > 0) {
            counts[depth - 1]--;
        }
    } while (depth > 0 && !o->is_full);
    return 0;
}

void
bbi_key_set_nth(struct bbi_key *key, unsigned nth)
{
    key->bytes[key->len - 2] = (unsigned char)(nth >> 8);
    key->bytes[key->len - 1] = (unsigned char)nth;
}

static void
add_hash(struct bbi_key *key, const struct bb_value *v, unsigned nth)
{
    uint64_t head = bbi_head_read(v->p, v->bytes);
    key->bytes[BBI_KEY_PLAIN_MAX] = HASHED;
    bbi_hash128(v->p, bbi_head_bytes(head), key->bytes + BBI_KEY_PLAIN_MAX + 1);
    key->len = BBI_KEY_PLAIN_MAX + 1 + HASH_BYTES + 2;
    bbi_key_set_nth(key, nth);
}

int
bbi_key_make(struct bbi_key *out, const struct bb_value *v, unsigned nth)
{
    struct out o = {.p = out->bytes};
    uint64_t head = v->p != NULL ? bbi_head_read(v->p, v->bytes) : 0;
    if (head == 0 || bb_value_check(v) < 0) {
        return BB_ECORRUPT;
    }
    if (bbi_is_container(bbi_head_type(head))) {
        int rc = add_values(&o, v->p, v->bytes, true);
        if (rc < 0) {
            return rc;
        }
    } else {
        add_type(&o, head);
        add_leaf(&o, head, v->p + BBI_HEAD_BYTES, true);
    }
    out->len = (uint16_t)o.len;
    out->is_hashed = o.is_full;
    if (o.is_full) {
        add_hash(out, v, nth);
    }
    return 0;
}

/* ---- prefixes ------------------------------------------------------------------------------------ */

/* The least bytes above everything that begins with first. */
static void
end_behind(struct bbi_key_range *r)
{
    size_t n = r->first_len;
    memcpy(r->behind, r->first, n);
    while (n > 0 && r->behind[n - 1] == 0xff) {
        n--;
    }
    if (n > 0) { /* a key's first byte is its type: never 0xff */
        r->behind[n - 1]++;
    }
    r->behind_len = (uint16_t)n;
}

/* From a type's first address of the net to behind its last. */
static void
subnet_range(struct bbi_key_range *r, int type, const uint8_t ip[16], uint32_t bits)
{
    r->first[0] = (unsigned char)(type + 1);
    memcpy(r->first + 1, ip, 16);
    r->first_len = 1 + 16;
    memcpy(r->behind, r->first, r->first_len);
    r->behind_len = r->first_len;
    /* The first `bits` bits and the type are one number, to which 1 is added: its carry ends at the type. */
    unsigned carry = bits % 8 == 0 ? 1U : 1U << (8 - bits % 8);
    for (size_t i = (bits + 7) / 8;; i--) {
        carry += r->behind[i];
        r->behind[i] = (unsigned char)carry;
        carry >>= 8;
        if (carry == 0) {
            break;
        }
    }
    if (type == BB_SUBNET) { /* a wider net begins at the same address, and before ours */
        r->first[r->first_len++] = (unsigned char)bits;
    }
}

int
bbi_key_range(struct bbi_key_range *out, const struct bb_value *prefix)
{
    struct out o = {.p = out->first};
    uint8_t ip[16];
    uint32_t bits;
    out->first_len = 0;
    out->behind_len = 0;
    out->may_differ = false;
    out->has_next = false;
    if (prefix == NULL || prefix->p == NULL) {
        return 0;
    }
    if (bb_value_check(prefix) < 0) {
        return BB_EINVAL;
    }
    uint64_t head = bbi_head_read(prefix->p, prefix->bytes);
    switch (bbi_head_type(head)) {
    case BB_SUBNET:
        if (bb_get_subnet(prefix, ip, &bits) < 0) {
            return BB_EINVAL;
        }
        subnet_range(out, BB_ADDRESS, ip, bbi_head_a(head));
        out->has_next = true;
        return 0;
    case BB_STRING:
        add_type(&o, head);
        add_leaf(&o, head, prefix->p + BBI_HEAD_BYTES, true);
        break;
    case BB_VECTOR:
        if (add_values(&o, prefix->p, prefix->bytes, false) < 0) {
            return BB_EINVAL;
        }
        break;
    default:
        return BB_EINVAL;
    }
    out->first_len = (uint16_t)o.len;
    out->may_differ = o.is_full;
    end_behind(out);
    return 0;
}

void
bbi_key_range_next(struct bbi_key_range *out, const struct bb_value *prefix)
{
    uint64_t head = bbi_head_read(prefix->p, prefix->bytes);
    uint8_t ip[16];
    memcpy(ip, out->first + 1, sizeof(ip));
    subnet_range(out, BB_SUBNET, ip, bbi_min_u64(bbi_head_a(head), ADDRESS_BITS) & UINT32_MAX);
    out->has_next = false;
}

static bool
is_in_subnet(const struct bb_value *key, uint64_t key_head, const struct bb_value *net)
{
    uint8_t ip[16];
    uint64_t head = bbi_head_read(net->p, net->bytes);
    uint32_t type = bbi_head_type(key_head);
    if ((type != BB_ADDRESS && type != BB_SUBNET)
        || (type == BB_SUBNET && bbi_head_a(key_head) < bbi_head_a(head))) {
        return false;
    }
    memcpy(ip, key->p + BBI_HEAD_BYTES, sizeof(ip));
    bbi_mask_ip(ip, bbi_head_a(head));
    return memcmp(ip, net->p + BBI_HEAD_BYTES, sizeof(ip)) == 0;
}

static bool
begins_with(const struct bb_value *key, const struct bb_value *prefix)
{
    const char *s, *begin;
    size_t bytes, begin_bytes;
    return bb_get_string(key, &s, &bytes) == 0 && bb_get_string(prefix, &begin, &begin_bytes) == 0
           && bytes >= begin_bytes && (begin_bytes == 0 || memcmp(s, begin, begin_bytes) == 0);
}

static bool
has_first_elements(const struct bb_value *key, const struct bb_value *prefix)
{
    struct bb_iter all, first;
    struct bb_value a, b;
    if (bb_iter_open(&all, key) < 0 || bb_iter_open(&first, prefix) < 0) {
        return false;
    }
    while (bb_iter_next(&first, &b) == 0) {
        if (bb_iter_next(&all, &a) != 0 || !bb_value_equal(&a, &b)) {
            return false;
        }
    }
    return true;
}

bool
bbi_key_has_prefix(const struct bb_value *key, const struct bb_value *prefix)
{
    if (prefix == NULL || prefix->p == NULL) {
        return true;
    }
    uint64_t head = bbi_head_read(key->p, key->bytes);
    int type = bb_value_type(prefix);
    if (head == 0) {
        return false;
    }
    switch (type) {
    case BB_STRING:
        return begins_with(key, prefix);
    case BB_SUBNET:
        return is_in_subnet(key, head, prefix);
    case BB_VECTOR:
        return bbi_head_type(head) == BB_VECTOR && has_first_elements(key, prefix);
    default:
        return false;
    }
}

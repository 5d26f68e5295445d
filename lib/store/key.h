/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/key.h - the order of keys: a value as bytes that memcmp() puts in order, short enough for LMDB.
 *
 * Keys sort as bb_value_compare() sorts values, of whatever types, and a prefix of a string, a subnet or the first
 * elements of a vector is a range of bytes.  What is longer than BBI_KEY_PLAIN_MAX keeps its order as far as that
 * goes and ends in a hash (XXH3-128); the record holds the whole key and is compared; of two keys with one hash
 * the second has a discriminator.  Pure.
 *
 * Bytes      Each value is its type + 1, then: boolean 1 byte; count 8, big-endian; integer, times 8, the sign
 *            turned; real 8, in IEEE's total order; address 16; subnet 16 and the prefix length; port number,
 *            protocol; string and enum as they are when they are the whole key, else 0 as 0 255 and 0 1 at the
 *            end; set, table, vector their elements and 0 at the end.
 */
#ifndef BUSBAR_LIB_STORE_KEY_H
#define BUSBAR_LIB_STORE_KEY_H

#include "busbar/value.h"
#include "lib/store/lmdb.h"

enum {
    BBI_KEY_PLAIN_MAX = 480, /* longer: these bytes, then 0xff, hash, discriminator of 2 bytes */
    BBI_KEY_TRIES = 4,       /* keys of one hash that a store can hold */
};

struct bbi_key {
    unsigned char bytes[BBI_DB_KEY_MAX];
    uint16_t len;
    bool is_hashed;
};

/* 0; BB_ECORRUPT not a well-formed value.  nth: the discriminator, 0 at first; only of hashed ones. */
BB_MUST_USE int bbi_key_make(struct bbi_key *out, const struct bb_value *v, unsigned nth);
/* bbi_key_set_nth - the same key with another discriminator; it is hashed. */
void bbi_key_set_nth(struct bbi_key *key, unsigned nth);

/* All keys of a prefix lie in first <= key < behind, and those that do have it if may_differ is not set. */
struct bbi_key_range {
    unsigned char first[BBI_DB_KEY_MAX], behind[BBI_DB_KEY_MAX];
    uint16_t first_len, behind_len; /* behind_len 0: no end */
    bool may_differ;                /* ask bbi_key_has_prefix() about each */
    bool has_next; /* there is another range, behind this one: bbi_key_range_next() */
};
/* NULL: all.  BB_EINVAL the value is no prefix: neither string nor subnet nor vector. */
BB_MUST_USE int bbi_key_range(struct bbi_key_range *out, const struct bb_value *prefix);
/* The subnets within a subnet, behind the addresses in it; out: what bbi_key_range() said of the same prefix. */
void bbi_key_range_next(struct bbi_key_range *out, const struct bb_value *prefix);
/* bbi_key_has_prefix - by the values themselves, as store.h says.  prefix NULL: true. */
bool bbi_key_has_prefix(const struct bb_value *key, const struct bb_value *prefix);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/key.h - the order of keys: a value as bytes that memcmp() puts in order, short enough for LMDB.
 *
 * Scalars and vectors of them sort as values do, and a prefix of a string, a subnet or the first elements of a
 * vector is a prefix of bytes, or a range.  Sets, tables and what is longer keep their prefix as far as it
 * goes and end in a hash (XXH3-128); the record holds the whole key and is compared; of two keys with one hash
 * the second has a discriminator.  Pure.
 */
#ifndef BUSBAR_LIB_STORE_KEY_H
#define BUSBAR_LIB_STORE_KEY_H

#include "busbar/value.h"
#include "lib/store/lmdb.h"

enum {
    BBI_KEY_PLAIN_MAX = 480
}; /* longer: these bytes, then 0xff, hash, discriminator of 2 bytes */

struct bbi_key {
    unsigned char bytes[BBI_DB_KEY_MAX];
    uint16_t len;
    bool is_hashed;
};

/* 0; BB_ECORRUPT not a well-formed value.  nth: the discriminator, 0 at first; only of hashed ones. */
BB_MUST_USE int bbi_key_make(struct bbi_key *out, const struct bb_value *v, unsigned nth);

/* All keys of a prefix lie in first <= key < behind, and those that do have it if may_differ is not set. */
struct bbi_key_range {
    unsigned char first[BBI_DB_KEY_MAX], behind[BBI_DB_KEY_MAX];
    uint16_t first_len, behind_len; /* behind_len 0: no end */
    bool may_differ;                /* ask bbi_key_has_prefix() about each */
};
BB_MUST_USE int bbi_key_range(struct bbi_key_range *out,
                              const struct bb_value *prefix); /* NULL: all */
/* bbi_key_has_prefix - by the values themselves, as store.h says. */
bool bbi_key_has_prefix(const struct bb_value *key, const struct bb_value *prefix);

#endif

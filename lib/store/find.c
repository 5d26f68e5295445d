/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/find.c - the record of a key.
 *
 * A key that is the bytes of its value needs no comparing.  One that ends in a hash may be another's: at most
 * BBI_KEY_TRIES of one hash are looked at, and there may be holes among them, as any may be removed.
 */
#include "lib/store/apply.h"

static int
read_at(struct bbi_db_txn *txn, const struct bbi_key *at, struct bbi_record *out)
{
    struct bbi_bytes raw;
    int rc = bbi_db_get(txn, BBI_DB_MAIN, (struct bbi_bytes){at->bytes, at->len}, &raw);
    return rc < 0 ? rc : bbi_record_read(out, raw);
}

static int
find_hashed(struct bbi_db_txn *txn,
            const struct bb_value *key,
            struct bbi_key *at,
            struct bbi_record *out)
{
    unsigned free_nth = BBI_KEY_TRIES;
    for (unsigned nth = 0; nth < BBI_KEY_TRIES; nth++) {
        bbi_key_set_nth(at, nth);
        int rc = read_at(txn, at, out);
        if (rc == BB_ENOENT) {
            free_nth = free_nth < nth ? free_nth : nth;
        } else if (rc < 0 || bb_value_equal(key, &out->key)) {
            return rc;
        }
    }
    if (free_nth == BBI_KEY_TRIES) {
        return BB_EFULL;
    }
    bbi_key_set_nth(at, free_nth);
    return BB_ENOENT;
}

int
bbi_find_any(struct bbi_db_txn *txn,
             const struct bb_value *key,
             struct bbi_key *at,
             struct bbi_record *out)
{
    int rc = bbi_key_make(at, key, 0);
    if (rc < 0) {
        return BB_EINVAL;
    }
    rc = at->is_hashed ? find_hashed(txn, key, at, out) : read_at(txn, at, out);
    if (rc == BB_ENOENT) {
        out->version = 0;
    }
    return rc;
}

int
bbi_find(struct bbi_db_txn *txn,
         const struct bb_value *key,
         int64_t now_ns,
         struct bbi_key *at,
         struct bbi_record *out)
{
    int rc = bbi_find_any(txn, key, at, out);
    return rc == 0 && bbi_is_due(out, now_ns) ? BB_ENOENT : rc;
}

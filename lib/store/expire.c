/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/expire.c - what goes by itself: keys whose deadline is over, and the oldest part of the log.
 *
 * Both begin at the first entry each time: what was there before is gone, so it is the next one.  An entry of
 * EXPIRY that does not fit its record (only a damaged file has one) is removed alone.
 */
#include "lib/store/apply.h"
#include "shm/os.h"
#include <endian.h>
#include <string.h>

enum {
    LOOK_EVERY = 32,  /* keys between two looks at the clock */
    TRIM_MAX = 20000, /* entries of the log that go in one transaction, beyond what came */
};

static uint64_t
number_at(struct bbi_bytes b)
{
    uint64_t v;
    if (b.bytes < sizeof(v)) {
        return 0;
    }
    memcpy(&v, b.p, sizeof(v));
    return be64toh(v);
}

static bool
is_over(struct bbi_bytes entry, int64_t now_ns)
{
    return (int64_t)number_at(entry) <= now_ns;
}

/* The key of a record, copied: it lies in the map. */
static int
expire_one(struct bbi_apply *a, const struct bbi_key *at, const struct bbi_record *rec)
{
    int rc = bbi_made_copy(&a->made, &rec->key);
    const struct bb_value key = {a->made.p, a->made.bytes};
    return rc < 0 ? rc : bbi_apply_expired(a, &key, at, rec);
}

/* Removes what the first entry stands for: 1; 0 it is an entry of nothing, and removed itself. */
static int
settle_entry(struct bbi_apply *a, struct bbi_bytes entry, struct bbi_bytes main_key)
{
    struct bbi_key at = {.len = 0};
    struct bbi_bytes raw;
    struct bbi_record rec;
    unsigned char name[BBI_DB_KEY_MAX];
    int64_t deadline_ns = (int64_t)number_at(entry);
    if (main_key.bytes != 0 && main_key.bytes <= sizeof(at.bytes)) {
        memcpy(at.bytes, main_key.p, main_key.bytes);
        at.len = (uint16_t)main_key.bytes;
        main_key.p = at.bytes;
        if (bbi_db_get(a->txn, BBI_DB_MAIN, main_key, &raw) == 0 && bbi_record_read(&rec, raw) == 0
            && rec.expires_ns == deadline_ns) {
            int rc = expire_one(a, &at, &rec);
            return rc < 0 ? rc : 1;
        }
    }
    size_t n = entry.bytes < sizeof(name) ? entry.bytes : sizeof(name);
    memcpy(name, entry.p, n);
    return bbi_apply_del(a, BBI_DB_EXPIRY, (struct bbi_bytes){name, n});
}

int64_t
bbi_expire(struct bbi_apply *a, uint32_t max, int64_t until_ns)
{
    struct bbi_db_cursor *c;
    struct bbi_bytes k;
    struct bbi_bytes v;
    int64_t gone = 0;
    int rc = bbi_db_cursor_open(&c, a->txn, BBI_DB_EXPIRY);
    if (rc < 0) {
        return rc;
    }
    for (uint32_t i = 0; i < max; i++) {
        if (i % LOOK_EVERY == LOOK_EVERY - 1 && bbi_os_mono_ns() >= until_ns) {
            break;
        }
        rc = bbi_db_seek(c, (struct bbi_bytes){NULL, 0}, &k, &v);
        if (rc < 0 || !is_over(k, a->now_ns)) {
            break;
        }
        rc = settle_entry(a, k, v);
        if (rc < 0) {
            break;
        }
        gone += rc;
    }
    bbi_db_cursor_close(c);
    return rc < 0 && rc != BB_ENOENT ? rc : gone;
}

int64_t
bbi_expiry_due(struct bbi_db_txn *txn, int64_t now_ns, uint64_t max, int64_t *first_ns)
{
    struct bbi_db_cursor *c;
    struct bbi_bytes k;
    struct bbi_bytes v;
    uint64_t due = 0;
    *first_ns = 0;
    int rc = bbi_db_cursor_open(&c, txn, BBI_DB_EXPIRY);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_db_seek(c, (struct bbi_bytes){NULL, 0}, &k, &v);
    while (rc == 0 && due < max && is_over(k, now_ns)) {
        *first_ns = due == 0 ? (int64_t)number_at(k) : *first_ns;
        due++;
        rc = bbi_db_next(c, &k, &v);
    }
    bbi_db_cursor_close(c);
    return rc < 0 && rc != BB_ENOENT ? rc : (int64_t)due;
}

/* ---- the log ---- */

static int
trim_one(struct bbi_apply *a, struct bbi_db_cursor *c)
{
    struct bbi_bytes k;
    struct bbi_bytes v;
    unsigned char name[sizeof(uint64_t)] = {0};
    int rc = bbi_db_seek(c, (struct bbi_bytes){NULL, 0}, &k, &v);
    if (rc < 0) {
        return rc;
    }
    memcpy(name, k.p, k.bytes < sizeof(name) ? k.bytes : sizeof(name));
    a->state->log_first = number_at(k) + 1;
    a->state->log_bytes -= a->state->log_bytes < v.bytes ? a->state->log_bytes : v.bytes;
    return bbi_apply_del(a, BBI_DB_LOG, (struct bbi_bytes){name, k.bytes});
}

int
bbi_log_trim(struct bbi_apply *a, uint64_t max_entries, uint64_t max_bytes)
{
    struct bbi_db_cursor *c;
    uint64_t entries = bbi_db_entries(a->txn, BBI_DB_LOG);
    if (entries <= max_entries && a->state->log_bytes <= max_bytes) {
        return 0;
    }
    int rc = bbi_db_cursor_open(&c, a->txn, BBI_DB_LOG);
    for (int i = 0; rc == 0 && i < TRIM_MAX; i++) {
        if (entries <= max_entries && (a->state->log_bytes <= max_bytes || entries == 0)) {
            break;
        }
        rc = trim_one(a, c);
        entries--;
    }
    bbi_db_cursor_close(c);
    return rc == BB_ENOENT ? 0 : rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/read.c - one key, or several of one state.
 *
 * In a view what is found is handed out where it lies; without one it is copied behind the others into memory
 * that the handle keeps, so a read allocates nothing once that is large enough.
 */
#include "lib/endpoint/endpoint_impl.h"
#include "lib/store/read_impl.h"
#include <stdlib.h>
#include <string.h>

enum { COPY_LEAST = 4096 };

/* ---- copies -------------------------------------------------------------------------------------- */

static int
have_room(struct bb_store *s, size_t bytes)
{
    if (BBI_LIKELY(bytes <= s->copy_cap)) {
        return 0;
    }
    size_t cap = s->copy_cap < COPY_LEAST ? COPY_LEAST : s->copy_cap;
    while (cap < bytes) {
        cap *= 2;
    }
    unsigned char *p = malloc(cap); /* what was there is of the read before */
    if (p == NULL) {
        return BB_ENOMEM;
    }
    free(s->copy);
    s->copy = p;
    s->copy_cap = cap;
    return 0;
}

static unsigned char *
keep(unsigned char *to, struct bb_value *v)
{
    if (v->p == NULL) {
        return to;
    }
    memcpy(to, v->p, v->bytes);
    v->p = to;
    return to + bbi_align_up(v->bytes, 8);
}

int
bbi_items_keep(struct bb_store *s, struct bb_store_item *items, size_t count)
{
    size_t bytes = 0;
    if (s->is_viewing) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        bytes += items[i].key.p != NULL ? bbi_align_up(items[i].key.bytes, 8) : 0;
        bytes += items[i].value.p != NULL ? bbi_align_up(items[i].value.bytes, 8) : 0;
    }
    int rc = have_room(s, bytes);
    unsigned char *to = s->copy;
    for (size_t i = 0; i < count && rc == 0; i++) {
        to = keep(keep(to, &items[i].key), &items[i].value);
    }
    return rc;
}

static int
keep_value(struct bb_store *s, struct bb_value *v)
{
    if (s->is_viewing) {
        return 0;
    }
    int rc = have_room(s, v->bytes);
    if (rc == 0) {
        (void)keep(s->copy, v);
    }
    return rc;
}

void
bbi_item_fill(struct bb_store_item *out, const struct bbi_record *rec, struct bbi_lazy_now *now)
{
    *out = (struct bb_store_item){.key = rec->key,
                                  .value = rec->value,
                                  .version = rec->version,
                                  .expires_ns = rec->expires_ns == 0
                                                    ? BB_STORE_NEVER
                                                    : rec->expires_ns - bbi_lazy_now_ns(now)};
}

/* ---- one key ------------------------------------------------------------------------------------- */

static int
find_living(struct bb_store *s,
            struct bbi_db_txn *txn,
            const struct bb_value *key,
            struct bbi_record *rec,
            struct bbi_lazy_now *now)
{
    struct bbi_key at;
    *now = (struct bbi_lazy_now){.s = s};
    int rc = bbi_find_any(txn, key, &at, rec);
    if (BBI_LIKELY(rc == 0)) {
        return bbi_is_over(rec, now) ? BB_ENOENT : 0;
    }
    return rc == BB_EFULL ? BB_ENOENT : rc; /* others with its hash: it is not there */
}

int
bb_store_get(struct bb_store *s, const struct bb_value *key, struct bb_value *value)
{
    struct bbi_db_txn *txn;
    struct bbi_record rec;
    struct bbi_lazy_now now;
    if (bbi_is_by_request(s)) {
        struct bb_store_item item;
        int asked = bbi_ask_item(s, key, &item);
        if (asked == 0) {
            *value = item.value;
        }
        return asked;
    }
    int rc = bbi_read_enter(s, &txn);
    if (BBI_UNLIKELY(rc < 0)) {
        return rc;
    }
    rc = find_living(s, txn, key, &rec, &now);
    rc = rc < 0 ? rc : keep_value(s, &rec.value);
    bbi_read_leave(s);
    if (rc == 0) {
        *value = rec.value;
    }
    return rc;
}

int
bb_store_get_item(struct bb_store *s, const struct bb_value *key, struct bb_store_item *out)
{
    struct bbi_db_txn *txn;
    struct bbi_record rec;
    struct bbi_lazy_now now;
    struct bb_store_item item;
    if (bbi_is_by_request(s)) {
        return bbi_ask_item(s, key, out);
    }
    int rc = bbi_read_enter(s, &txn);
    if (rc < 0) {
        return rc;
    }
    rc = find_living(s, txn, key, &rec, &now);
    if (rc == 0) {
        bbi_item_fill(&item, &rec, &now);
        rc = bbi_items_keep(s, &item, 1);
    }
    bbi_read_leave(s);
    if (rc == 0) {
        *out = item;
    }
    return rc;
}

int64_t
bb_store_get_many(struct bb_store *s,
                  const struct bb_value *keys,
                  size_t count,
                  struct bb_store_item *out)
{
    struct bbi_db_txn *txn;
    struct bbi_record rec;
    struct bbi_lazy_now now;
    int64_t found = 0;
    if (count == 0) {
        return 0;
    }
    if (bbi_is_by_request(s)) {
        return bbi_ask_many(s, keys, count, out);
    }
    int rc = bbi_read_enter(s, &txn);
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        out[i] = (struct bb_store_item){.expires_ns = BB_STORE_NEVER};
        rc = find_living(s, txn, &keys[i], &rec, &now);
        if (rc == 0) {
            bbi_item_fill(&out[i], &rec, &now);
            found++;
        } else if (rc == BB_ENOENT) {
            rc = 0;
        }
    }
    rc = rc < 0 ? rc : bbi_items_keep(s, out, count);
    bbi_read_leave(s);
    return rc < 0 ? rc : found;
}

int
bb_store_exists(struct bb_store *s, const struct bb_value *key)
{
    struct bbi_db_txn *txn;
    struct bbi_record rec;
    struct bbi_lazy_now now;
    int rc;
    if (bbi_is_by_request(s)) {
        struct bb_store_item item;
        rc = bbi_ask_item(s, key, &item);
    } else {
        rc = bbi_read_enter(s, &txn);
        if (rc < 0) {
            return rc;
        }
        rc = find_living(s, txn, key, &rec, &now);
        bbi_read_leave(s);
    }
    return rc == 0 ? 1 : rc == BB_ENOENT ? 0 : rc;
}

/* ---- inside a value ------------------------------------------------------------------------------ */

/* What was made is overwritten by the next one, and a view promises more: a boolean is one of two constants. */
static void
keep_made(const struct bbi_made *made, struct bb_value *v)
{
    static const unsigned char both[2][8] = {{8, 0, 0, 0, BB_BOOLEAN, 0},
                                             {8, 0, 0, 0, BB_BOOLEAN, 1}};
    int is_true;
    if (v->p == made->p && bb_get_boolean(v, &is_true) == 0) {
        *v = (struct bb_value){both[is_true != 0], sizeof(both[0])};
    }
}

int
bb_store_get_index(struct bb_store *s,
                   const struct bb_value *key,
                   const struct bb_value *index,
                   struct bb_value *value)
{
    struct bbi_db_txn *txn;
    struct bbi_record rec;
    struct bbi_lazy_now now;
    struct bb_value part;
    if (bbi_is_by_request(s)) {
        struct bb_store_item item;
        int asked = bbi_ask_item(s, key, &item);
        asked = asked < 0 ? asked : bbi_op_index(&item.value, index, &s->made, &part);
        if (asked == 0) {
            *value = part;
        }
        return asked;
    }
    int rc = bbi_read_enter(s, &txn);
    if (rc < 0) {
        return rc;
    }
    rc = find_living(s, txn, key, &rec, &now);
    rc = rc < 0 ? rc : bbi_op_index(&rec.value, index, &s->made, &part);
    if (rc == 0) {
        keep_made(&s->made, &part);
        rc = keep_value(s, &part);
    }
    bbi_read_leave(s);
    if (rc == 0) {
        *value = part;
    }
    return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/scan.c - keys in order: pages of them, and how many.
 *
 * A prefix is one range of MAIN's keys, a subnet two, one behind the other: addresses and then subnets.
 */
#include "lib/store/read_impl.h"
#include <string.h>

/* A walk through the living records of a prefix. */
struct walk {
    struct bbi_db_cursor *cursor;
    const struct bb_value *prefix;
    struct bbi_key_range range;
    struct bbi_lazy_now now;
    struct bbi_bytes key, raw; /* the entry that it stands on */
    int rc;                    /* BB_ENOENT: at the end */
};

static int
compare(struct bbi_bytes a, const unsigned char *b, size_t b_len)
{
    size_t common = a.bytes < b_len ? a.bytes : b_len;
    int order = memcmp(a.p, b, common);
    return order != 0 ? order : (a.bytes > b_len) - (a.bytes < b_len);
}

static bool
is_behind(const struct walk *w)
{
    return w->range.behind_len != 0 && compare(w->key, w->range.behind, w->range.behind_len) >= 0;
}

static void
seek_first(struct walk *w)
{
    w->rc = bbi_db_seek(w->cursor, (struct bbi_bytes){w->range.first, w->range.first_len}, &w->key,
                        &w->raw);
}

/* The first entry behind `after`, when that is behind the range's first. */
static void
seek_after(struct walk *w, const struct bbi_key *after)
{
    if (compare((struct bbi_bytes){after->bytes, after->len}, w->range.first, w->range.first_len)
        < 0) {
        seek_first(w);
        return;
    }
    w->rc = bbi_db_seek(w->cursor, (struct bbi_bytes){after->bytes, after->len}, &w->key, &w->raw);
    if (w->rc == 0 && compare(w->key, after->bytes, after->len) == 0) {
        w->rc = bbi_db_next(w->cursor, &w->key, &w->raw);
    }
}

/* The next living record from where it stands, and on to the next entry. */
static int
take(struct walk *w, struct bbi_record *rec)
{
    for (;;) {
        if (w->rc == BB_ENOENT || (w->rc == 0 && is_behind(w))) {
            if (!w->range.has_next) {
                return BB_ENOENT;
            }
            bbi_key_range_next(&w->range, w->prefix);
            seek_first(w);
            continue;
        }
        if (w->rc < 0) {
            return w->rc;
        }
        int rc = bbi_record_read(rec, w->raw);
        if (rc < 0) {
            return rc;
        }
        w->rc = bbi_db_next(w->cursor, &w->key, &w->raw);
        if (!bbi_is_over(rec, &w->now)
            && (!w->range.may_differ || bbi_key_has_prefix(&rec->key, w->prefix))) {
            return 0;
        }
    }
}

/* Where `after` is: not only its bytes, if it ends in a hash. */
static int
find_after(struct bbi_db_txn *txn, const struct bb_value *after, struct bbi_key *at)
{
    struct bbi_record rec;
    int rc = bbi_find_any(txn, after, at, &rec);
    return rc == BB_ENOENT || rc == BB_EFULL || rc == BB_ECORRUPT ? 0 : rc;
}

static int
begin(struct walk *w,
      struct bb_store *s,
      struct bbi_db_txn *txn,
      const struct bb_value *prefix,
      const struct bb_value *after)
{
    struct bbi_key at;
    if (after != NULL && after->p == NULL) {
        after = NULL;
    }
    *w = (struct walk){.prefix = prefix, .now = {.s = s}};
    int rc = bbi_key_range(&w->range, prefix);
    rc = rc < 0 ? rc : bbi_read_cursor(s, &w->cursor);
    rc = rc < 0 || after == NULL ? rc : find_after(txn, after, &at);
    if (rc < 0) {
        return rc;
    }
    if (after == NULL) {
        seek_first(w);
        return 0;
    }
    if (w->range.has_next
        && compare((struct bbi_bytes){at.bytes, at.len}, w->range.behind, w->range.behind_len)
               >= 0) {
        bbi_key_range_next(&w->range, prefix);
    }
    seek_after(w, &at);
    return 0;
}

int64_t
bb_store_scan(struct bb_store *s,
              const struct bb_value *prefix,
              const struct bb_value *after,
              struct bb_store_item *items,
              size_t max)
{
    struct bbi_db_txn *txn;
    struct bbi_record rec;
    struct walk w;
    size_t n = 0;
    if (bbi_is_by_request(s)) {
        return bbi_ask_scan(s, prefix, after, items, max);
    }
    int rc = bbi_read_enter(s, &txn);
    if (rc < 0) {
        return rc;
    }
    rc = begin(&w, s, txn, prefix, after);
    while (rc == 0 && n < max) {
        rc = take(&w, &rec);
        if (rc == 0) {
            bbi_item_fill(&items[n++], &rec, &w.now);
        }
    }
    rc = rc < 0 && rc != BB_ENOENT ? rc : bbi_items_keep(s, items, n);
    bbi_read_leave(s);
    return rc < 0 ? rc : (int64_t)n;
}

/* All of them but what is due and not swept: the index of deadlines has that first. */
static int64_t
count_all(struct bb_store *s, struct bbi_db_txn *txn)
{
    int64_t first_ns;
    int64_t due = bbi_expiry_due(txn, bbi_store_now_ns(s), UINT64_MAX, &first_ns);
    int64_t all = (int64_t)bbi_db_entries(txn, BBI_DB_MAIN);
    return due < 0 ? due : due < all ? all - due : 0;
}

int64_t
bb_store_count(struct bb_store *s, const struct bb_value *prefix)
{
    struct bbi_db_txn *txn;
    struct bbi_record rec;
    struct walk w;
    int64_t n = 0;
    if (bbi_is_by_request(s)) {
        return bbi_ask_count(s, prefix);
    }
    int rc = bbi_read_enter(s, &txn);
    if (rc < 0) {
        return rc;
    }
    if (prefix == NULL || prefix->p == NULL) {
        n = count_all(s, txn);
    } else {
        rc = begin(&w, s, txn, prefix, NULL);
        while (rc == 0 && (rc = take(&w, &rec)) == 0) {
            n++;
        }
        n = rc == BB_ENOENT ? n : rc;
    }
    bbi_read_leave(s);
    return n;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/read_impl.h - what read.c, scan.c and by_request.c share.
 */
#ifndef BUSBAR_LIB_STORE_READ_IMPL_H
#define BUSBAR_LIB_STORE_READ_IMPL_H

#include "lib/store/store_impl.h"

/* Store time, read when it is asked for first: a record without a deadline needs none. */
struct bbi_lazy_now {
    const struct bb_store *s;
    int64_t ns;
    bool is_known;
};

static inline int64_t
bbi_lazy_now_ns(struct bbi_lazy_now *now)
{
    if (!now->is_known) {
        now->ns = bbi_store_now_ns(now->s);
        now->is_known = true;
    }
    return now->ns;
}

/* It has a deadline, and that is over. */
static inline bool
bbi_is_over(const struct bbi_record *rec, struct bbi_lazy_now *now)
{
    return BBI_UNLIKELY(rec->expires_ns != 0) && bbi_is_due(rec, bbi_lazy_now_ns(now));
}

/* The item of a record that is not due. */
void
bbi_item_fill(struct bb_store_item *out, const struct bbi_record *rec, struct bbi_lazy_now *now);

/* Outside of a view: keys and values are copied to where they stay until the next read.  0; BB_ENOMEM. */
BB_MUST_USE int bbi_items_keep(struct bb_store *s, struct bb_store_item *items, size_t count);

/* by_request.c: the same of a clone that maps nothing.  As bb_store_run(). */
static inline bool
bbi_is_by_request(const struct bb_store *s)
{
    return BBI_UNLIKELY((s->flags & BB_STORE_BY_REQUEST) != 0);
}
BB_MUST_USE int
bbi_ask_item(struct bb_store *s, const struct bb_value *key, struct bb_store_item *out);
BB_MUST_USE int64_t bbi_ask_many(struct bb_store *s,
                                 const struct bb_value *keys,
                                 size_t count,
                                 struct bb_store_item *out);
BB_MUST_USE int64_t bbi_ask_scan(struct bb_store *s,
                                 const struct bb_value *prefix,
                                 const struct bb_value *after,
                                 struct bb_store_item *items,
                                 size_t max);
BB_MUST_USE int64_t bbi_ask_count(struct bb_store *s, const struct bb_value *prefix);

#endif

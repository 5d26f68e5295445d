/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/store_table.h - a set or table kept in a store: known hosts, certificates, software.
 *
 * An element is a key of the store: the vector (string name of the table, the element's key), its value the
 * element's (a set's: none).  So many tables share one store, and one is scanned, watched and cleared by prefix.
 *
 * Threads    The table belongs to the thread of its store handle.
 * Expiry     BB_STORE_CREATE_EXPIRE: so long after the element was new; BB_STORE_WRITE_EXPIRE: after it was last
 *            added or changed.  The same on all nodes.
 * Source     Zeek's &backend tables with &create_expire and &write_expire, and its Known scripts.
 */
#ifndef BUSBAR_STORE_TABLE_H
#define BUSBAR_STORE_TABLE_H

#include <busbar/store.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bb_store_table;

enum bb_store_expire { BB_STORE_CREATE_EXPIRE = 0, BB_STORE_WRITE_EXPIRE = 1 };

/*
 * A change that somebody made, this handle too; called from bb_store_table_poll().  Its key is the element's own.
 * kind GAP: some are missing.
 */
typedef void (*bb_store_table_cb)(struct bb_store_table *t,
                                  const struct bb_store_change *change,
                                  void *user);

struct bb_store_table_opts {
    size_t size;
    const char *name;          /* of the table within its store */
    int64_t expire_ns;         /* 0: never */
    uint32_t expire;           /* enum bb_store_expire */
    uint32_t reserved;         /* 0 */
    bb_store_table_cb changed; /* NULL: changes are not watched */
    void *user;
    struct bb_error *error;
};

BB_MUST_USE BB_API int bb_store_table_open(struct bb_store_table **out,
                                           struct bb_store *s,
                                           const struct bb_store_table_opts *opts);
BB_API void bb_store_table_close(struct bb_store_table *t);

/* Local.  1, 0, or a status. */
BB_MUST_USE BB_API int bb_store_table_contains(struct bb_store_table *t,
                                               const struct bb_value *key);
/* Local.  0 and the value as bb_store_get(); BB_ENOENT. */
BB_MUST_USE BB_API int
bb_store_table_get(struct bb_store_table *t, const struct bb_value *key, struct bb_value *value);
/* value NULL: none.  0, also when it was there: the value is replaced, its deadline as the table says. */
BB_MUST_USE BB_API int bb_store_table_add(struct bb_store_table *t,
                                          const struct bb_value *key,
                                          const struct bb_value *value);
BB_MUST_USE BB_API int bb_store_table_remove(struct bb_store_table *t, const struct bb_value *key);

/*
 * bb_store_table_seen - adds the element if nobody did before: 0 it is new, and of all processes only this one is
 * told so; 1 it was there.  Answers from the local pages when it is there, and asks the master only when not.
 * With BB_STORE_WRITE_EXPIRE an element that was seen is written again when half of its span is over.
 */
BB_MUST_USE BB_API int bb_store_table_seen(struct bb_store_table *t,
                                           const struct bb_value *key,
                                           const struct bb_value *value);

/* Calls back for each element, in order, until it returns non-zero, which is returned.  It changes nothing. */
typedef int (*bb_store_table_each_cb)(const struct bb_store_item *item, void *user);
BB_MUST_USE BB_API int
bb_store_table_each(struct bb_store_table *t, bb_store_table_each_cb cb, void *user);
BB_MUST_USE BB_API int64_t bb_store_table_count(struct bb_store_table *t);
/* Changes since the last call; waits at most timeout_ns for the first.  How many. */
BB_MUST_USE BB_API int bb_store_table_poll(struct bb_store_table *t, int64_t timeout_ns);

#ifdef __cplusplus
}
#endif
#endif

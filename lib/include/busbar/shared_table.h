/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/shared_table.h - a table that several nodes keep alike: changes of one appear on the others.
 *
 * No store: each node has all of it in its memory, and it is gone when the last of them is.  Changes travel in
 * batches on `PREFIXtable/NAME/`; the newer one wins, by time and then by node, so all end with the same.  Who
 * comes late, or lost messages, asks the others for what they have.
 *
 * Threads    A table belongs to the thread of its cluster handle, whose bb_cluster_poll() does its work.
 * Time       Wall clock of the box.  A change that was made knowing another one is always newer than it.
 * Limits     A removal is remembered for a minute; a change that was older and comes later than that is new again.
 * Source     Zeek's &publish_on_change and &create_expire.
 */
#ifndef BUSBAR_SHARED_TABLE_H
#define BUSBAR_SHARED_TABLE_H

#include <busbar/cluster.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bb_table;

enum bb_table_kind {
    BB_TABLE_NEW = 1,
    BB_TABLE_CHANGED = 2,
    BB_TABLE_REMOVED = 3,
    BB_TABLE_EXPIRED = 4,
};

struct bb_table_change {
    struct bb_table *table;
    uint32_t kind;    /* enum bb_table_kind */
    uint32_t is_own;  /* 1: made by this handle; 0: it came from another node */
    uint64_t node_id; /* whose change it is */
    int64_t wall_ns;  /* when it was made */
    struct bb_value key;
    struct bb_value value; /* the new one; REMOVED, EXPIRED: the last one */
    struct bb_value old;   /* CHANGED: the one before */
};
/* Called from the function that changes the table, and from bb_cluster_poll(); it changes no table. */
typedef void (*bb_table_cb)(const struct bb_table_change *change, void *user);

/* Unix time in nanoseconds. */
typedef int64_t (*bb_table_clock_cb)(void);

struct bb_table_opts {
    size_t size;
    const char *name; /* the same on all nodes; without '/' */
    int64_t
        expire_ns; /* an element goes so long after it was new; 0: never; the same on all nodes */
    uint32_t batch_changes; /* at most so many in a message; 0: 100 */
    uint32_t reserved;      /* 0 */
    int64_t
        batch_ns; /* a change waits at most so long for others; 0: 10 ms; negative: not at all */
    bb_table_cb changed; /* may be NULL */
    void *user;
    bb_table_clock_cb wall_ns; /* the clock; NULL: CLOCK_REALTIME */
    struct bb_error *error;
};

/*
 * bb_table_open - joins the table of this name, which `busbar print NAME` then shows (as `table::NAME`).
 *
 * Returns   0; BB_EINVAL no name, or one with '/'; BB_EEXIST this handle has it open; BB_ENOTSUP an observer;
 *           BB_ENOMEM; as bb_cluster_subscribe().
 */
BB_MUST_USE BB_API int
bb_table_open(struct bb_table **out, struct bb_cluster *c, const struct bb_table_opts *opts);
/* bb_table_close - publishes what waits.  Tables that are still open are closed by bb_cluster_leave(). */
BB_API void bb_table_close(struct bb_table *t);

/* bb_table_put - 0; BB_EINVAL, BB_ECORRUPT key or value; BB_EMSGSIZE a message cannot hold them; BB_ENOMEM. */
BB_MUST_USE BB_API int
bb_table_put(struct bb_table *t, const struct bb_value *key, const struct bb_value *value);
/* bb_table_remove - 0; BB_ENOENT; BB_ENOMEM. */
BB_MUST_USE BB_API int bb_table_remove(struct bb_table *t, const struct bb_value *key);
/* bb_table_get - 0 and the value, valid until the table changes or is polled; BB_ENOENT. */
BB_MUST_USE BB_API int
bb_table_get(const struct bb_table *t, const struct bb_value *key, struct bb_value *value);
/* bb_table_count - elements. */
BB_API size_t bb_table_count(const struct bb_table *t);
/* bb_table_put_all - the whole as a table value into the builder; sets no error of its own. */
BB_API void bb_table_put_all(const struct bb_table *t, struct bb_builder *b);
/* bb_table_flush - publishes what waits.  0; BB_EAGAIN the ring is full: it goes on waiting. */
BB_MUST_USE BB_API int bb_table_flush(struct bb_table *t);
/* bb_table_is_filled - 1 when the others were asked and have said what they have, or nobody else has it. */
BB_API int bb_table_is_filled(const struct bb_table *t);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/store_impl.h - what the files of this folder share of a handle.
 *
 *   open.c     open, close, roles           view.c    views; read.c, scan.c: what reads in them
 *   client.c   frames to the master         watch.c   the log, read in place
 *   master.c   frames from clients          info.c, copy.c, verify.c
 */
#ifndef BUSBAR_LIB_STORE_STORE_IMPL_H
#define BUSBAR_LIB_STORE_STORE_IMPL_H

#include "lib/endpoint/for_store.h"
#include "lib/store/apply.h"
#include "lib/store/command.h"
#include "lib/store/dir.h"

struct bbi_master;
struct bbi_client;

/* A reader's slot and its place in the store; reopened when the generation moved on. */
struct bbi_slot {
    struct bbi_db_env *env;
    struct bbi_db_txn *txn;       /* reset between views */
    struct bbi_db_cursor *cursor; /* over MAIN; NULL until it was needed */
    bool has_cursor;              /* it belongs to the view that is open */
    uint64_t generation;
};

struct bb_store {
    char name[BB_NAME_MAX + 1];
    struct bb_endpoint *ep; /* NULL: for looking, or closed before its store */
    struct bbi_closer closer;
    struct bb_error ended; /* why its mastership did, when there is a sentence for it */
    bool is_orphan;        /* its endpoint was closed */
    unsigned fork_gen;
    uint32_t role, flags;
    int64_t timeout_ns;
    uint64_t quota_bytes;
    uint32_t window;
    bb_store_done_cb done;
    void *user;
    struct bb_store_clock clock; /* filled, also with the kernel's */
    struct bbi_store_dir dir;
    struct bbi_slot reader;
    bool is_viewing;
    unsigned char *copy; /* of what was read without a view */
    size_t copy_cap;
    struct bbi_made made;      /* of bb_store_get_index() */
    struct bbi_master *master; /* NULL: not the master now */
    struct bbi_client *client; /* NULL: nothing was written yet */
    struct bb_watch *watches;
    struct bbi_waiter *waiter; /* poll.c; NULL: no descriptor, no standby's clock */
};

/* Why there is no endpoint to do it with. */
static inline int
bbi_store_no_bus(const struct bb_store *s)
{
    return s->is_orphan ? BB_EINVAL : BB_ENOTSUP;
}

/* Store time, from the ctl's base. */
int64_t bbi_store_now_ns(const struct bb_store *s);

/*
 * view.c: the txn of a view, of the generation that counts; leave does nothing inside bb_store_view_begin().
 *
 * enter      BB_ENOTSUP by request; BB_EAGAIN no generation counts yet; as bbi_db_open() and bbi_db_read_begin().
 * cursor     over MAIN, of this view; closed with the reader.
 */
BB_MUST_USE int bbi_read_enter(struct bb_store *s, struct bbi_db_txn **txn);
BB_MUST_USE int bbi_read_cursor(struct bb_store *s, struct bbi_db_cursor **out);
void bbi_read_leave(struct bb_store *s);
void bbi_read_close(struct bb_store *s);
/* What META says of the store, as of an open view.  BB_ECORRUPT. */
BB_MUST_USE int bbi_read_state(struct bbi_db_txn *txn, struct bbi_state *out);

/* write.c: bb_store_run(), which refuses BBI_EXPIRE_KEEP. */
BB_MUST_USE int bbi_store_run(struct bb_store *s,
                              const struct bb_store_cmd *cmds,
                              size_t count,
                              uint32_t flags,
                              struct bb_store_result *results);

/* client.c */
BB_MUST_USE int64_t bbi_client_send(struct bb_store *s,
                                    enum bbi_frame_kind kind,
                                    const struct bb_store_cmd *cmds,
                                    size_t count,
                                    uint32_t flags);
BB_MUST_USE int bbi_client_run(struct bb_store *s,
                               enum bbi_frame_kind kind,
                               const struct bb_store_cmd *cmds,
                               size_t count,
                               uint32_t flags,
                               struct bb_store_result *results);
BB_MUST_USE int bbi_client_poll(struct bb_store *s, int64_t timeout_ns);
void bbi_client_close(struct bb_store *s);

/* master.c: start holds the lock already. */
BB_MUST_USE int bbi_master_start(struct bb_store *s, struct bbi_fault *f);
BB_MUST_USE int bbi_master_poll(struct bb_store *s, int64_t timeout_ns);
/* Commands of the master's own handle, in a transaction of their own. */
BB_MUST_USE int bbi_master_run(struct bb_store *s,
                               const struct bb_store_cmd *cmds,
                               size_t count,
                               uint32_t flags,
                               struct bb_store_result *results);
void bbi_master_stop(struct bb_store *s, bool is_clean);
/* Readable when a frame came; bb_fd() of its subscriber. */
BB_MUST_USE int bbi_master_fd(struct bb_store *s);

/* Topics, reserved: what a master of NAME listens to, and what wakes its watchers. */
#define BBI_STORE_TOPIC  "<$>store/"  /* NAME "/" */
#define BBI_CHANGE_TOPIC "<$>change/" /* NAME "/" */

#endif

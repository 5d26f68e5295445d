/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/store.h - key-value stores with expiration: one writer, readers in place.
 *
 * A store is a directory with an LMDB database.  One process at a time is its *master* and writes it; every
 * process of the box that opens it is a *clone* and reads the master's pages in place: nothing is copied at
 * attach, reading works while the master is away, and what an answered write did is seen by the next read.
 *
 * Where      A store in memory lies below the bus's directory, on its tmpfs: it outlives its master and ends with
 *            the bus (`busbar gc`) or the box.  A persistent one lies where `path` says; an answered write is
 *            synced, unless BB_STORE_RELAXED.
 * Commands   Writes of a clone go to the master over the bus, in frames of one or many commands, and are run in
 *            groups: one transaction, one sync.  Each command has a result.  A frame has a number that is
 *            committed with its effect: it is sent again to the next master and never runs twice.
 * Threads    A handle belongs to one thread at a time; several of one store in one process share what they map.
 *            No thread is started: a master and a standby work inside bb_store_poll() (and inside their own
 *            calls); a clone needs no polling, except for what it sent with bb_store_send() and for watches.
 * Fork       The child's handles are refused (BB_EFORKED).
 * Trust      Lengths are checked at each read, and the file's own at each open; what somebody overwrote within it is
 *            found by bb_store_verify() and BB_STORE_VERIFY alone: LMDB and readers in place trust the file.
 * Keys       Any value.  Order in the store: by type, then within strings, addresses, numbers, ports, times and
 *            vectors of such as the values are ordered; a *prefix* is a string (string keys that begin with it),
 *            a subnet (address and subnet keys in it), a vector (vector keys that begin with its elements), or
 *            NULL (all).
 * Expiry     A span from when the master runs the command.  0 means: none for put, put_unique and put_if; as it
 *            was for all others.  BB_STORE_NEVER takes it away.  A key is never read after its deadline, not
 *            even by a nanosecond, whether or not it was swept.  The deadline is one of store time, which is wall
 *            time when the store is opened first on this boot of the box, and does not follow when the wall
 *            clock is set: nothing expires because of that.
 * Source     Zeek Broker's stores (operations and codes); reference to LMDB for durability.
 */
#ifndef BUSBAR_STORE_H
#define BUSBAR_STORE_H

#include <busbar/endpoint.h>
#include <busbar/inspect.h>
#include <busbar/value.h>

#ifdef __cplusplus
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wshadow" /* bb_store_info() and its struct */
extern "C" {
#endif

struct bb_store;

#define BB_STORE_NEVER INT64_C(-1) /* an expiry: none */

/* ---- opening ----------------------------------------------------------------------------------- */

enum bb_store_role {
    BB_STORE_CLONE = 0,   /* reads in place, writes by request */
    BB_STORE_MASTER = 1,  /* BB_EEXIST when another one lives */
    BB_STORE_STANDBY = 2, /* a clone that becomes master when there is none */
};

enum {
    BB_STORE_RELAXED =
        1u << 0,              /* master: a power cut may take the last commit; nothing is damaged */
    BB_STORE_FRESH = 1u << 1, /* master: begin empty whatever is there */
    BB_STORE_START_EMPTY =
        1u << 2, /* master: a damaged store is moved aside (bb_error says where), not refused */
    BB_STORE_VERIFY =
        1u << 3, /* master: look at every record first, in a child process, as after a power cut */
    BB_STORE_BY_REQUEST = 1u << 4, /* clone: map nothing, ask the master for what is read */
};

/* Clocks for tests: boot_ns must never go back.  user is the options'. */
struct bb_store_clock {
    int64_t (*boot_ns)(void *user); /* CLOCK_BOOTTIME */
    int64_t (*wall_ns)(void *user); /* CLOCK_REALTIME */
    void *user;
};

/* What became of a frame of bb_store_send(); called from functions of its handle.  results are the library's. */
struct bb_store_result;
typedef void (*bb_store_done_cb)(int64_t ticket,
                                 const struct bb_store_result *results,
                                 size_t count,
                                 void *user);

struct bb_store_opts {
    size_t size;      /* sizeof(struct bb_store_opts) */
    const char *name; /* of the store, on this bus: 1 to 47 of A-Z a-z 0-9 . _ -, not first a '.' */
    uint32_t role;    /* enum bb_store_role */
    uint32_t flags;   /* BB_STORE_... */
    const char *path; /* directory of a persistent store; NULL: in memory (clone: wherever it is) */
    /* Master: of its data in all generations, 0.3 MiB each of locks not counted.  0: 1 GiB in memory, 16 GiB on
     * disk; below 1 MiB: BB_EINVAL. */
    uint64_t quota_bytes;
    int64_t timeout_ns; /* for a master to appear or answer, in all calls that wait; 0: 5 s */
    uint32_t
        window; /* frames of bb_store_send() that may wait for their answer; 0: 16, at most 16 */
    uint32_t reserved;     /* 0 */
    bb_store_done_cb done; /* of bb_store_send(); may be NULL */
    void *user;
    const struct bb_store_clock *clock; /* NULL: the kernel's */
    struct bb_error *error;
};

/*
 * bb_store_open - opens a store of the bus; a master makes it when there is none.
 *
 * Clone     waits at most timeout_ns for the store to appear (it need not have a master); BB_ENOENT if it did not.
 * Returns   0; BB_EINVAL; BB_EEXIST it has a living master: the error names it; BB_ENOENT; BB_ECORRUPT damaged,
 *           and START_EMPTY was not given; BB_EVERSION; BB_ENOSPC; BB_EACCES; BB_ENOTSUP another PID
 *           namespace than the master's, and not BY_REQUEST.
 */
BB_MUST_USE BB_API int
bb_store_open(struct bb_store **out, struct bb_endpoint *ep, const struct bb_store_opts *opts);

/*
 * bb_store_open_look - a clone for looking: attaches nothing to the bus; writes give BB_ENOTSUP.  It waits for the store
 * only if timeout_ns is given, and reads also one that had no master since the box was started.
 */
BB_MUST_USE BB_API int
bb_store_open_look(struct bb_store **out, struct bb_look *look, const struct bb_store_opts *opts);

/* bb_store_open_path - the same for the store in this directory (opts->path), with no bus at all. */
BB_MUST_USE BB_API int bb_store_open_path(struct bb_store **out, const struct bb_store_opts *opts);

/* A master answers what it took, and the store stays.  Frames without an answer are told BB_EPEERGONE. */
BB_API void bb_store_close(struct bb_store *s);

BB_API const char *bb_store_name(const struct bb_store *s);
BB_API int bb_store_is_master(const struct bb_store *s); /* 1: this handle is the master now */

/*
 * bb_store_poll - a master runs commands, sweeps and keeps house; a standby looks whether it is its turn; a clone
 * takes answers.  Waits at most timeout_ns when nothing is to be done.
 *
 * A master that is not polled answers nobody.  Call it in the program's loop; each call is bounded (about 4 ms
 * and a sync).
 * Returns   how much was done (commands, answers, changes of role), 0 when the time ran out; a fault that ends
 *           the mastership (BB_EIO, BB_ECORRUPT): the store is closed to writers, other processes go on reading.
 */
BB_MUST_USE BB_API int bb_store_poll(struct bb_store *s, int64_t timeout_ns);

/* bb_store_fd - readable when bb_store_poll() or bb_watch_next() would find something; rules as bb_fd(). */
BB_MUST_USE BB_API int bb_store_fd(struct bb_store *s);

/* ---- writing ----------------------------------------------------------------------------------- */

enum bb_store_op {
    BB_STORE_PUT = 1,
    BB_STORE_PUT_UNIQUE = 2, /* BB_EEXIST, nothing changes */
    BB_STORE_PUT_IF = 3, /* if its version is if_version (0: if it is not there); BB_EBUSY if not */
    BB_STORE_ERASE = 4,  /* not there: 0 and changed 0 */
    BB_STORE_CLEAR = 5,  /* no key */
    BB_STORE_INCREMENT = 6, /* value: the amount.  Starts from zero; result: the sum */
    BB_STORE_DECREMENT =
        7, /* BB_ENOENT; a count below zero, a sum out of range: BB_ERANGE, unchanged */
    BB_STORE_APPEND = 8,  /* a string to a string */
    BB_STORE_INSERT = 9,  /* index into a set; with a value into a table */
    BB_STORE_REMOVE = 10, /* index from a set or table.  BB_ENOENT no such key */
    BB_STORE_PUSH = 11,   /* value to the end of a vector */
    BB_STORE_POP = 12,    /* from its end; result: what it was, or none of an empty one */
    BB_STORE_EXPIRE = 13, /* only the expiry; BB_ENOENT */
    BB_STORE_GET = 14,    /* at the master, in order with the others: result */
};

struct bb_store_cmd {
    uint32_t op;       /* enum bb_store_op */
    uint32_t reserved; /* 0 */
    int64_t expire_ns; /* see Expiry above */
    uint64_t if_version;
    struct bb_value key;
    struct bb_value value; /* p NULL: none */
    struct bb_value index; /* INSERT, REMOVE */
};

struct bb_store_result {
    int code; /* 0, or the command's own: BB_EEXIST, BB_ENOENT, BB_EBUSY, BB_ETYPE, BB_ERANGE, BB_EMSGSIZE;
                         the master's: BB_ENOSPC (quota or file system), BB_EIO */
    uint32_t changed; /* 1: the store is different now */
    uint64_t
        version; /* of the key after the command: of the last change to it; 0: it is not there */
    struct bb_value value; /* INCREMENT, DECREMENT, POP, GET; p NULL: none */
};

enum {
    BB_STORE_ATOMIC =
        1u << 0, /* all or none: the first that fails undoes the others, which say BB_ECANCELED */
};

/*
 * bb_store_run - runs commands and waits for their results; on a master at once.
 *
 * Owner     results[i].value is valid until the next call with this handle.
 * Returns   0 all have code 0; else the first code that is not (with ATOMIC that of the command that failed, not
 *           BB_ECANCELED), all results are filled; or nothing ran that is
 *           known of, and results are not filled: BB_ETIMEDOUT nobody answered in time, what was sent may yet run
 *           (never twice); BB_EINVAL; BB_EMSGSIZE more than 64 MiB; BB_ENOTSUP a handle for looking.  A frame without
 *           an answer is sent again for five minutes at most, however long the timeout.
 */
BB_MUST_USE BB_API int bb_store_run(struct bb_store *s,
                                    const struct bb_store_cmd *cmds,
                                    size_t count,
                                    uint32_t flags,
                                    struct bb_store_result *results);

/*
 * bb_store_send - the same without waiting: opts->done is told, in the order of sending, from bb_store_poll().
 *
 * Returns   a ticket above 0; BB_EAGAIN `window` frames wait already: poll; else as bb_store_run().
 */
BB_MUST_USE BB_API int64_t bb_store_send(struct bb_store *s,
                                         const struct bb_store_cmd *cmds,
                                         size_t count,
                                         uint32_t flags);

/*
 * bb_store_error - in words, why a write of this handle had no answer or was refused as a whole the last time: who
 * is or was the master, where, and whether it is stopped.  Its code is 0 if none ever was.  Valid until the next
 * call with this handle.
 */
BB_API const struct bb_error *bb_store_error(const struct bb_store *s);

/* bb_store_idle - waits until all that was sent is answered: 0; BB_ETIMEDOUT. */
BB_MUST_USE BB_API int bb_store_idle(struct bb_store *s, int64_t timeout_ns);

/* One command each; *out may be NULL.  Returns as bb_store_run(). */
BB_MUST_USE BB_API int bb_store_put(struct bb_store *s,
                                    const struct bb_value *key,
                                    const struct bb_value *value,
                                    int64_t expire_ns,
                                    struct bb_store_result *out);
/* 0: it is ours; BB_EEXIST: somebody was first. */
BB_MUST_USE BB_API int bb_store_put_unique(struct bb_store *s,
                                           const struct bb_value *key,
                                           const struct bb_value *value,
                                           int64_t expire_ns,
                                           struct bb_store_result *out);
BB_MUST_USE BB_API int
bb_store_erase(struct bb_store *s, const struct bb_value *key, struct bb_store_result *out);
BB_MUST_USE BB_API int bb_store_increment(struct bb_store *s,
                                          const struct bb_value *key,
                                          const struct bb_value *amount,
                                          int64_t expire_ns,
                                          struct bb_store_result *out);

/* ---- reading ----------------------------------------------------------------------------------- */

struct bb_store_item {
    struct bb_value key;
    struct bb_value value;
    uint64_t version;   /* of its last change */
    int64_t expires_ns; /* what is left; BB_STORE_NEVER */
};

/*
 * bb_store_view_begin - one state of the store for all reads until bb_store_view_end(); values are then read in
 * place, and valid until the end.  Views do not nest (BB_EBUSY).
 *
 * A view keeps the pages that it sees from being used again: end it soon (100 ms); `busbar store info` names
 * who does not.  With BY_REQUEST there are none (BB_ENOTSUP).
 * Without   each read is a view of its own, and what it gives is a copy, valid until the next call.
 */
BB_MUST_USE BB_API int bb_store_view_begin(struct bb_store *s);
BB_API void bb_store_view_end(struct bb_store *s);
/* bb_store_version - the state of the open view, else of the store now: counts changes. */
BB_API uint64_t bb_store_version(struct bb_store *s);

/* 0; BB_ENOENT; BB_ECORRUPT the record is damaged.  With BY_REQUEST as bb_store_run(). */
BB_MUST_USE BB_API int
bb_store_get(struct bb_store *s, const struct bb_value *key, struct bb_value *value);
BB_MUST_USE BB_API int
bb_store_get_item(struct bb_store *s, const struct bb_value *key, struct bb_store_item *out);
/* How many are there; one that is not has value.p NULL.  All of one state. */
BB_MUST_USE BB_API int64_t bb_store_get_many(struct bb_store *s,
                                             const struct bb_value *keys,
                                             size_t count,
                                             struct bb_store_item *out);
BB_MUST_USE BB_API int bb_store_exists(struct bb_store *s,
                                       const struct bb_value *key); /* 1, 0, status */

/*
 * bb_store_get_index - Broker's get_index_from_value: a vector's element (BB_ENOENT out of range, BB_ETYPE the index
 * is no number), whether a set has it (a boolean), a table's value (BB_ENOENT), anything else itself.
 */
BB_MUST_USE BB_API int bb_store_get_index(struct bb_store *s,
                                          const struct bb_value *key,
                                          const struct bb_value *index,
                                          struct bb_value *value);

/*
 * bb_store_scan - the next items in the store's order, at most max, after the key `after` (NULL: from the first).
 * Returns   how many; 0 there are no more; BB_EINVAL the prefix.
 */
BB_MUST_USE BB_API int64_t bb_store_scan(struct bb_store *s,
                                         const struct bb_value *prefix,
                                         const struct bb_value *after,
                                         struct bb_store_item *items,
                                         size_t max);
/* Items that are not expired: of all without a prefix at once, else by walking them. */
BB_MUST_USE BB_API int64_t bb_store_count(struct bb_store *s, const struct bb_value *prefix);

/* ---- watching ---------------------------------------------------------------------------------- */

enum bb_store_change_kind {
    BB_STORE_INSERTED = 1,
    BB_STORE_UPDATED = 2,
    BB_STORE_ERASED = 3,
    BB_STORE_EXPIRED = 4,
    BB_STORE_GAP = 5, /* changes up to `version` are not known any more: scan, then go on */
};

struct bb_store_change {
    uint32_t kind;
    uint32_t reserved;
    uint64_t version;
    int64_t wall_ns;       /* when */
    int64_t expires_ns;    /* its expiry then: a span; BB_STORE_NEVER */
    uint64_t node_id;      /* who wrote; expired: the master */
    const char *node;      /* its name */
    struct bb_value key;   /* GAP: p NULL */
    struct bb_value value; /* INSERTED, UPDATED: the new one */
    struct bb_value old;   /* UPDATED, ERASED, EXPIRED */
};

struct bb_watch;

/*
 * bb_watch_open - changes of keys with this prefix (NULL: all), from the one after `after_version`; 0: from now,
 * and *now_version (may be NULL) is the state at which it begins: read that, and nothing is missed or twice.
 *
 * The master keeps a log of changes while somebody watches, of at most a million changes and an eighth of the
 * quota.  Who is slower gets BB_STORE_GAP once, and goes on with what is left.
 * Gap       also after a CLEAR of more than a million keys, which is not logged key by key.
 * Returns   0; as bb_store_run() (the master must hear of the first watch); BB_ENOTSUP a handle BY_REQUEST, or for
 *           looking.
 */
BB_MUST_USE BB_API int bb_watch_open(struct bb_watch **out,
                                     struct bb_store *s,
                                     const struct bb_value *prefix,
                                     uint64_t after_version,
                                     uint64_t *now_version);
BB_API void bb_watch_close(struct bb_watch *w);
/* How many, at most max, valid until the next call with this watch; waits at most timeout_ns for the first. */
BB_MUST_USE BB_API int
bb_watch_next(struct bb_watch *w, struct bb_store_change *out, size_t max, int64_t timeout_ns);

/* ---- looking after it -------------------------------------------------------------------------- */

struct bb_store_info {
    size_t size; /* sizeof(struct bb_store_info), by the caller */
    char name[BB_NAME_MAX + 1];
    char path[256];
    uint32_t is_memory;
    uint32_t is_relaxed;
    uint32_t has_master; /* one lives */
    uint32_t generation; /* counts compactions */
    int64_t master_pid;  /* the last one, if it does not live */
    uint64_t master_id;  /* bb_endpoint_id() */
    char master_node[BB_NAME_MAX + 1];
    uint64_t version;    /* changes so far */
    uint64_t keys;       /* those that are due to be swept among them */
    uint64_t bytes;      /* of its files */
    uint64_t used_bytes; /* of pages that are in use */
    uint64_t quota_bytes;
    uint64_t commands, commits, refused,
        repeated; /* since it was made: repeated were not run again */
    uint64_t expired;
    uint64_t due;          /* keys past their deadline, not yet swept */
    int64_t expiry_lag_ns; /* how long the oldest of those is past it */
    uint64_t watchers;
    uint64_t log_first;     /* version of the oldest change in the log; 0: no log */
    uint64_t readers;       /* handles that have a reader's slot */
    int64_t oldest_pid;     /* who holds the oldest view; 0: nobody holds one */
    uint64_t oldest_behind; /* commits since it began */
    int64_t oldest_ns;      /* how long, as far as the master noticed; 0: not yet a second */
    uint64_t held_bytes;    /* pages that cannot be used again because of it */
    int64_t last_error;     /* why writes are refused now; 0 */
};

BB_MUST_USE BB_API int bb_store_info(struct bb_store *s, struct bb_store_info *out);
typedef int (*bb_store_info_cb)(const struct bb_store_info *info, void *user);
/* bb_look_stores - the stores that this bus knows, by name.  As bb_look_nodes(). */
BB_MUST_USE BB_API int bb_look_stores(struct bb_look *look, bb_store_info_cb cb, void *user);

/* bb_store_copy - a compact copy into the new directory, while the store is in use.  BB_EEXIST. */
BB_MUST_USE BB_API int bb_store_copy(struct bb_store *s, const char *path);
/*
 * bb_store_compact - by the master, in steps between commands, into its next generation; waits for it.
 * Returns   0; BB_ECANCELED the master ended meanwhile, or gave it up: the store is as it was; as bb_store_run().
 */
BB_MUST_USE BB_API int bb_store_compact(struct bb_store *s);

struct bb_store_verdict {
    size_t size;
    uint64_t keys, expiring, bytes;
    uint64_t damaged; /* records or index entries that are not as they must be */
    char what[256];   /* the first of them, in words */
};
/* bb_store_verify - reads everything in a child process; 0 or BB_ECORRUPT, and *out. */
BB_MUST_USE BB_API int bb_store_verify(const char *path, struct bb_store_verdict *out);

#ifdef __cplusplus
}
#    pragma GCC diagnostic pop
#endif
#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/lmdb.h - the one door to LMDB: environments, transactions, cursors, with our statuses.
 *
 * Process    LMDB allows one environment of a file in a process: a second would silently lose its readers.  So
 *            environments are shared here by device and inode and counted; open is for any thread.
 * Threads    A transaction belongs to one thread at a time (MDB_NOTLS: a reader's slot goes with the transaction).
 * Writers    One, the master; it holds the store's lock, so LMDB's own mutex is never contended.
 * Fork       A child must not use what its parent opened: opened anew there; nothing is closed.
 * Statuses   MDB_MAP_FULL and ENOSPC: BB_ENOSPC.  MDB_CORRUPTED, PAGE_NOTFOUND, INVALID, PANIC, BAD_*: BB_ECORRUPT.
 *            MDB_TXN_FULL: BB_ENOSPC, too.  MDB_VERSION_MISMATCH: BB_EVERSION.  MDB_READERS_FULL: BB_EFULL.
 *            MDB_NOTFOUND: BB_ENOENT.
 *            MDB_KEYEXIST: BB_EEXIST.
 */
#ifndef BUSBAR_LIB_STORE_LMDB_H
#define BUSBAR_LIB_STORE_LMDB_H

#include "shm/base.h"
#include "shm/fault.h"
#include "shm/status.h"
#include <stdbool.h>
#include <sys/types.h>

struct bbi_bytes {
    const void *p;
    size_t bytes;
};

enum bbi_db {
    BBI_DB_MAIN = 0, /* key -> record */
    BBI_DB_EXPIRY,   /* deadline, key's hash -> key in MAIN */
    BBI_DB_LOG,      /* version -> change */
    BBI_DB_DONE,     /* client, slot -> number of the frame and its results */
    BBI_DB_META,     /* small named records: state, watchers */
    BBI_DB_COUNT
};

enum { BBI_DB_KEY_MAX = 511, BBI_DB_READERS = 4096 };

enum {
    BBI_DB_MAKE = 1u << 0,    /* make it, with all tables, when it is not there */
    BBI_DB_NOSYNC = 1u << 1,  /* only for a tmpfs */
    BBI_DB_RELAXED = 1u << 2, /* MDB_NOMETASYNC */
    BBI_DB_READER =
        1u << 3, /* read-only where the file may not be written; the lock file must be */
    BBI_DB_SHORT =
        1u << 4, /* a file that ends before its last page is opened: reading it may be deadly */
    BBI_DB_EXTEND =
        1u << 5, /* and is made as long as it says: somebody read all of it without harm */
};

struct bbi_db_env;
struct bbi_db_txn;
struct bbi_db_cursor;

/* bbi_db_version_ok - no: this LMDB may destroy a mutex that other processes still use (ITS#9278). */
bool bbi_db_version_ok(int major, int minor, int patch);

/*
 * dir: an existing directory with data.mdb and lock.mdb.  map_bytes: address space, at least the quota.
 *
 * Length     Pages beyond the file's end are SIGBUS for who looks at them, so a file that is shorter than it says
 *            is BB_ECORRUPT.  LMDB does not write a last page that the same transaction gave back: a commit here makes
 *            the file as long as it says; one by a master that died just before that is found whole by reading it.
 */
BB_MUST_USE int bbi_db_open(struct bbi_db_env **out,
                            const char *dir,
                            uint64_t map_bytes,
                            unsigned flags,
                            mode_t mode,
                            struct bbi_fault *f);
void bbi_db_close(struct bbi_db_env *env); /* the last one closes; NULL does nothing */

/* A reader's transaction: begun once, reset after each view, renewed for the next. */
/* BB_EBUSY: the file outgrew the map, and another transaction of this process is open: end that first. */
BB_MUST_USE int bbi_db_read_begin(struct bbi_db_env *env, struct bbi_db_txn **out);
BB_MUST_USE int bbi_db_read_renew(struct bbi_db_txn *txn);
void bbi_db_read_reset(struct bbi_db_txn *txn);

/* parent NULL, or a write transaction: then the whole of the new one can be undone alone. */
BB_MUST_USE int
bbi_db_write_begin(struct bbi_db_env *env, struct bbi_db_txn *parent, struct bbi_db_txn **out);
BB_MUST_USE int bbi_db_commit(struct bbi_db_txn *txn); /* gone afterwards, whatever is returned */
void bbi_db_abort(struct bbi_db_txn *txn);             /* readers too */

/* What is found points into the map: valid until the transaction's end, or (writers) its next change. */
BB_MUST_USE int
bbi_db_get(struct bbi_db_txn *txn, enum bbi_db db, struct bbi_bytes key, struct bbi_bytes *out);
enum { BBI_DB_NEW = 1, BBI_DB_APPEND = 2 }; /* BB_EEXIST if it is there; key is the largest */
BB_MUST_USE int bbi_db_put(struct bbi_db_txn *txn,
                           enum bbi_db db,
                           struct bbi_bytes key,
                           struct bbi_bytes val,
                           unsigned flags);
/* Room of bytes bytes to write the value into, before the next call with this transaction. */
BB_MUST_USE int bbi_db_reserve(struct bbi_db_txn *txn,
                               enum bbi_db db,
                               struct bbi_bytes key,
                               size_t bytes,
                               unsigned flags,
                               void **out);
BB_MUST_USE int bbi_db_del(struct bbi_db_txn *txn, enum bbi_db db, struct bbi_bytes key);
BB_MUST_USE int bbi_db_drop(struct bbi_db_txn *txn, enum bbi_db db); /* all of it */
uint64_t bbi_db_entries(struct bbi_db_txn *txn, enum bbi_db db);

BB_MUST_USE int
bbi_db_cursor_open(struct bbi_db_cursor **out, struct bbi_db_txn *txn, enum bbi_db db);
/* Of a writer: closed before its transaction ends.  Of a reader: renewed with it, closed before it is aborted. */
BB_MUST_USE int bbi_db_cursor_renew(struct bbi_db_cursor *c, struct bbi_db_txn *txn); /* readers */
void bbi_db_cursor_close(struct bbi_db_cursor *c);
/* The first entry whose key is not less (key.p NULL: the first of all); then the next, the last.  BB_ENOENT. */
BB_MUST_USE int bbi_db_seek(struct bbi_db_cursor *c,
                            struct bbi_bytes key,
                            struct bbi_bytes *k,
                            struct bbi_bytes *v);
BB_MUST_USE int bbi_db_next(struct bbi_db_cursor *c, struct bbi_bytes *k, struct bbi_bytes *v);
BB_MUST_USE int bbi_db_last(struct bbi_db_cursor *c, struct bbi_bytes *k, struct bbi_bytes *v);
BB_MUST_USE int bbi_db_cursor_del(struct bbi_db_cursor *c); /* writers: the entry it stands on */

struct bbi_db_usage {
    uint64_t file_bytes; /* as far as pages were ever used */
    uint64_t free_bytes; /* pages of it that can be used again */
    uint64_t held_bytes; /* freed, but a reader may still see them */
    uint64_t last_txn;
    uint32_t readers;
    int64_t oldest_pid;  /* of the reader with the oldest view, 0: none is open */
    uint64_t oldest_txn; /* which state it sees */
};
uint64_t bbi_db_file_bytes(struct bbi_db_env *env); /* the same, without walking what is free */
BB_MUST_USE int bbi_db_usage(struct bbi_db_env *env, struct bbi_db_usage *out);
BB_MUST_USE int
bbi_db_check_readers(struct bbi_db_env *env); /* frees slots of dead processes: how many */
/* Compact copy of a consistent state into the open file; BB_ENOSPC ... */
BB_MUST_USE int bbi_db_copy(struct bbi_db_env *env, int fd);
BB_MUST_USE int bbi_db_sync(struct bbi_db_env *env);
/* Gives the file's blocks back: nobody has a view of it, and nobody will read in one.  What it says of itself stays. */
BB_MUST_USE int bbi_db_discard(struct bbi_db_env *env);

#endif

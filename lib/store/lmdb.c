/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: LMDB as it is, behind a list of the environments of this process.
 *
 *   bbi_db_open ──► stat data.mdb ──► one of the list? ──yes──► counted
 *                                          │ no: mdb_env_open, the five tables, into the list
 *
 * The file is known by device and inode of data.mdb: LMDB keeps it open, so the number is not given to another
 * file meanwhile, and a directory may be renamed (gen-N.new to gen-N) while it is open.
 *
 * Map        Another process may have grown the file beyond our map (MDB_MAP_RESIZED).  It is mapped anew when
 *            no transaction of this process is open.  A transaction says that it is open by a word of its own
 *            and then looks whether the map is being changed; who changes it does both the other way round.
 * Fork       The child forgets the list.  What it inherited stays mapped and open there until it ends: closing
 *            it would take the parent's readers out of the table.
 */
#include "lib/store/lmdb.h"
#include "lib/endpoint/endpoint_impl.h"
#include "shm/atomic.h"
#include "shm/os.h"
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    TABLES_MAX = 8,
    LEAST_BYTES = 8192, /* two pages, both of them meta */
    LENGTH_TRIES = 50,  /* of 1 ms: its master lengthens it just after the commit */
    LOCK_BYTES = BBI_DB_READERS * 64 + 4096, /* a line each, and what is before them */
    FULL_BYTES = 1 << 20,                    /* less room than this: a file system that is full */
    FREE_DBI = 0,                            /* LMDB's own: transaction -> pages that it freed */
    FREE_LOOKED_AT = 20000,                  /* entries of it; the rest is taken to be like them */
};

struct bbi_db_env {
    MDB_env *env;
    dev_t dev;
    ino_t ino;
    unsigned fork_gen;
    uint32_t refs;      /* under list_lock */
    bbi_u32 is_mapping; /* the map is being changed */
    size_t page_bytes;
    bbi_u64
        seen_bytes; /* the file was so long once: by each open, and by its writer; relaxed, of itself */
    MDB_dbi dbi[BBI_DB_COUNT];
    pthread_mutex_t lock; /* over txns, and over changing the map */
    struct bbi_db_txn *txns;
    struct bbi_db_env *next;
};

struct bbi_db_txn {
    MDB_txn *txn;
    struct bbi_db_env *env;
    bbi_u32 is_open; /* begun or renewed, not reset; written by its thread */
    bool is_reader;
    bool is_nested;
    struct bbi_db_txn *next, *prev; /* of the environment; not of nested ones */
};

struct bbi_db_cursor {
    MDB_cursor *cursor;
};

static struct bbi_db_env *all_envs;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void
before_fork(void)
{
    (void)pthread_mutex_lock(&list_lock);
}

static void
after_fork_parent(void)
{
    (void)pthread_mutex_unlock(&list_lock);
}

static void
after_fork_child(void)
{
    all_envs = NULL;
    (void)pthread_mutex_unlock(&list_lock);
}

static void
watch_forks(void)
{
    bbi_watch_forks();
    (void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* The only place that knows LMDB's codes. */
static int
status_of(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return 0;
    case MDB_NOTFOUND:
        return BB_ENOENT;
    case MDB_KEYEXIST:
        return BB_EEXIST;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL: /* more dirty pages than one transaction may have: fewer commands in one */
        return BB_ENOSPC;
    case MDB_VERSION_MISMATCH:
        return BB_EVERSION;
    case MDB_READERS_FULL:
        return BB_EFULL;
    case MDB_MAP_RESIZED:
        return BB_EBUSY;
    case MDB_BAD_VALSIZE:
        return BB_EINVAL;
    default:
        return rc > 0 ? -rc : BB_ECORRUPT;
    }
}

static MDB_val
val_of(struct bbi_bytes b)
{
    union { /* LMDB does not write there */
        const void *in;
        void *out;
    } p = {.in = b.p};
    return (MDB_val){.mv_size = b.bytes, .mv_data = p.out};
}

static struct bbi_bytes
bytes_of(MDB_val v)
{
    return (struct bbi_bytes){.p = v.mv_data, .bytes = v.mv_size};
}

bool
bbi_db_version_ok(int major, int minor, int patch)
{
    return major != 0 || minor != 9 || patch < 26 || patch > 31;
}

/* ---- the map ------------------------------------------------------------------------------------- */

/* Says that a transaction is about to be open; waits while the map changes. */
static void
mark_open(struct bbi_db_txn *t)
{
    struct bbi_db_env *env = t->env;
    (void)bbi_exchange_seq_cst(&t->is_open, 1); /* S3: before the look at is_mapping */
    while (BBI_UNLIKELY(bbi_load_seq_cst(&env->is_mapping) != 0)) { /* S3 */
        bbi_store_release(&t->is_open, 0);
        (void)pthread_mutex_lock(&env->lock); /* until it is done */
        (void)pthread_mutex_unlock(&env->lock);
        (void)bbi_exchange_seq_cst(&t->is_open, 1); /* S3 */
    }
}

static void
mark_closed(struct bbi_db_txn *t)
{
    bbi_store_release(&t->is_open, 0); /* S3: what was read in the map comes before */
}

/* bytes 0: as large as the file asks.  BB_EBUSY: a transaction of this process is open. */
static int
change_map(struct bbi_db_env *env, size_t bytes)
{
    int rc = 0;
    (void)pthread_mutex_lock(&env->lock);
    (void)bbi_exchange_seq_cst(&env->is_mapping, 1); /* S3: before the looks at is_open */
    for (const struct bbi_db_txn *t = env->txns; t != NULL && rc == 0; t = t->next) {
        rc = bbi_load_seq_cst(&t->is_open) != 0 ? BB_EBUSY : 0; /* S3 */
    }
    if (rc == 0) {
        rc = status_of(mdb_env_set_mapsize(env->env, bytes));
    }
    bbi_store_seq_cst(&env->is_mapping, 0); /* S3 */
    (void)pthread_mutex_unlock(&env->lock);
    return rc;
}

/* ---- the length ---------------------------------------------------------------------------------- */

/* What the file says of itself comes first: it only grows. */
static int
lengths(struct bbi_db_env *env, off_t *says, off_t *is)
{
    MDB_envinfo info;
    MDB_stat of_main;
    struct stat st;
    int fd = -1;
    int rc = mdb_env_info(env->env, &info);
    rc = rc != 0 ? rc : mdb_env_stat(env->env, &of_main);
    rc = rc != 0 ? rc : mdb_env_get_fd(env->env, &fd);
    rc = rc != 0 ? rc : fstat(fd, &st) != 0 ? errno : 0;
    if (rc == 0) {
        *says = (off_t)((uint64_t)info.me_last_pgno + 1) * (off_t)of_main.ms_psize;
        *is = st.st_size;
    }
    return rc;
}

static int
lengthen(struct bbi_db_env *env, off_t bytes)
{
    int fd = -1;
    int rc = mdb_env_get_fd(env->env, &fd);
    return rc != 0 ? rc : ftruncate(fd, bytes) == 0 ? 0 : errno;
}

/* Before any page is looked at.  Only meta pages were. */
static int
check_length(struct bbi_db_env *env, unsigned flags)
{
    off_t says = 0, is = 0;
    int rc = 0;
    for (int tries = 0; tries < LENGTH_TRIES; tries++) {
        rc = lengths(env, &says, &is);
        if (rc != 0 || is >= says || (flags & BBI_DB_READER) == 0 || (flags & BBI_DB_SHORT) != 0) {
            break;
        }
        (void)bbi_os_sleep_ns(INT64_C(1000000));
    }
    if (rc == 0 && is < says && (flags & BBI_DB_SHORT) == 0) {
        rc = (flags & BBI_DB_EXTEND) != 0 ? lengthen(env, says) : MDB_CORRUPTED;
        is = says;
    }
    if (rc == 0) {
        bbi_store_relaxed(&env->seen_bytes, (uint64_t)is);
    }
    return rc;
}

/* After a commit.  One that somebody cut stays short: who opens it is to see that. */
static void
keep_length(struct bbi_db_env *env)
{
    off_t says, is;
    if (lengths(env, &says, &is) == 0 && (uint64_t)is >= bbi_load_relaxed(&env->seen_bytes)) {
        bool is_longer = is < says && lengthen(env, says) == 0;
        bbi_store_relaxed(&env->seen_bytes, (uint64_t)(is_longer ? says : is));
    }
}

static void
grow_map(struct bbi_db_env *env, uint64_t map_bytes)
{
    MDB_envinfo info;
    if (mdb_env_info(env->env, &info) == 0 && info.me_mapsize < map_bytes) {
        (void)change_map(env, map_bytes); /* as it is, it serves as long as the file fits */
    }
}

/* ---- environments -------------------------------------------------------------------------------- */

static struct bbi_db_env *
find_env(const struct stat *st)
{
    for (struct bbi_db_env *e = all_envs; e != NULL; e = e->next) {
        if (e->dev == st->st_dev && e->ino == st->st_ino) {
            return e;
        }
    }
    return NULL;
}

static int
say(struct bbi_fault *f, int rc, const char *dir)
{
    return rc == BB_EACCES
               ? bbi_fault_set(f, rc, dir,
                               "the store's files in '%s' cannot be opened: %s; who reads a store "
                               "needs the right to write its lock.mdb: be in its group",
                               dir, bb_strerror(rc))
           : rc == BB_ECORRUPT ? bbi_fault_set(f, rc, dir,
                                               "'%s/data.mdb' is damaged, shorter than it says, or "
                                               "no database of LMDB: restore a copy, or "
                                               "let the store start empty",
                                               dir)
           : rc == BB_ENOENT
               ? bbi_fault_set(f, rc, dir, "there is no store's database in '%s'", dir)
               : bbi_fault_set(f, rc, dir, "cannot open the database in '%s': %s", dir,
                               bb_strerror(rc));
}

static int
open_tables(struct bbi_db_env *env, bool is_made)
{
    static const char *const names[BBI_DB_COUNT] = {"main", "expiry", "log", "done", "meta"};
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->env, NULL, is_made ? 0 : MDB_RDONLY, &txn);
    if (rc != 0) {
        return rc;
    }
    for (int i = 0; i < BBI_DB_COUNT && rc == 0; i++) {
        rc = mdb_dbi_open(txn, names[i], is_made ? MDB_CREATE : 0, &env->dbi[i]);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static unsigned
sync_flags(unsigned flags)
{
    return ((flags & BBI_DB_NOSYNC) != 0 ? MDB_NOSYNC : 0U)
           | ((flags & BBI_DB_RELAXED) != 0 ? MDB_NOMETASYNC : 0U);
}

/* The umask has no say in who shares a store. */
static void
set_modes(const char *dir, mode_t mode, bool is_data_new, bool is_lock_new)
{
    char path[512];
    if (is_data_new && snprintf(path, sizeof(path), "%s/data.mdb", dir) < (int)sizeof(path)) {
        (void)chmod(path, mode);
    }
    if (is_lock_new && snprintf(path, sizeof(path), "%s/lock.mdb", dir) < (int)sizeof(path)) {
        (void)chmod(path, mode);
    }
}

static int
open_lmdb(MDB_env **out, const char *dir, uint64_t map_bytes, unsigned flags, mode_t mode)
{
    MDB_env *env;
    int rc = mdb_env_create(&env);
    if (rc != 0) {
        return rc;
    }
    rc = map_bytes != 0 ? mdb_env_set_mapsize(env, map_bytes) : 0;
    rc = rc != 0 ? rc : mdb_env_set_maxreaders(env, BBI_DB_READERS);
    rc = rc != 0 ? rc : mdb_env_set_maxdbs(env, TABLES_MAX);
    rc = rc != 0 ? rc : mdb_env_open(env, dir, MDB_NOTLS | flags, mode);
    if (rc != 0) {
        mdb_env_close(env);
        return rc;
    }
    *out = env;
    return 0;
}

/*
 * LMDB makes its lock file as a hole and maps it: on a full file system the first look at it would be SIGBUS.  So it
 * is allocated before; LMDB takes a file that is long enough as it is.  No environment of this process has it
 * open, so closing it takes no lock of ours away.
 */
static int
allocate_lock(const char *path, unsigned flags, mode_t mode)
{
    int make = (flags & BBI_DB_READER) == 0 ? O_CREAT : 0;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | make, mode);
    if (fd < 0) {
        return errno == ENOENT || errno == EACCES || errno == EROFS ? 0 : errno;
    }
    int rc = posix_fallocate(fd, 0, LOCK_BYTES);
    (void)close(fd);
    return rc == EINVAL || rc == EOPNOTSUPP ? 0 : rc; /* a file system that cannot */
}

static int
open_env(struct bbi_db_env *env,
         const char *dir,
         uint64_t map_bytes,
         unsigned flags,
         mode_t mode,
         bool is_data_new)
{
    char path[512];
    struct stat st = {0};
    MDB_stat stat_of_main = {0};
    (void)snprintf(path, sizeof(path), "%s/lock.mdb", dir);
    bool is_lock_new = stat(path, &st) != 0;
    int rc = allocate_lock(path, flags, mode);
    if (rc != 0) {
        return rc;
    }
    rc = open_lmdb(&env->env, dir, map_bytes, sync_flags(flags), mode);
    if ((rc == EACCES || rc == EROFS) && (flags & BBI_DB_READER) != 0) {
        rc = open_lmdb(&env->env, dir, map_bytes, MDB_RDONLY, mode);
    }
    if (rc != 0) {
        return rc;
    }
    set_modes(dir, mode, is_data_new, is_lock_new);
    int fd = -1;
    rc = mdb_env_get_fd(env->env, &fd);
    rc = rc != 0 ? rc : fstat(fd, &st) != 0 ? errno : mdb_env_stat(env->env, &stat_of_main);
    rc = rc != 0 ? rc : check_length(env, flags);
    rc = rc != 0 ? rc : open_tables(env, (flags & BBI_DB_MAKE) != 0);
    if (rc != 0) {
        mdb_env_close(env->env);
        return rc;
    }
    env->dev = st.st_dev;
    env->ino = st.st_ino;
    env->page_bytes = stat_of_main.ms_psize;
    return 0;
}

/* The first of this process. */
static int
make_env(struct bbi_db_env **out,
         const char *dir,
         uint64_t map_bytes,
         unsigned flags,
         mode_t mode,
         bool is_data_new)
{
    struct bbi_db_env *env = calloc(1, sizeof(*env));
    if (env == NULL) {
        return ENOMEM;
    }
    int rc = open_env(env, dir, map_bytes, flags, mode, is_data_new);
    if (rc != 0) {
        free(env);
        return rc;
    }
    (void)pthread_mutex_init(&env->lock, NULL);
    env->fork_gen = bbi_fork_gen;
    env->next = all_envs;
    all_envs = env;
    *out = env;
    return 0;
}

static int
check_version(const char *dir, struct bbi_fault *f)
{
    int major, minor, patch;
    (void)mdb_version(&major, &minor, &patch);
    if (bbi_db_version_ok(major, minor, patch)) {
        return 0;
    }
    return bbi_fault_set(f, BB_ENOTSUP, dir,
                         "LMDB %d.%d.%d can destroy a lock that other processes use (0.9.26 to "
                         "0.9.31 do): install 0.9.32 or newer, or 0.9.25 or older",
                         major, minor, patch);
}

int
bbi_db_open(struct bbi_db_env **out,
            const char *dir,
            uint64_t map_bytes,
            unsigned flags,
            mode_t mode,
            struct bbi_fault *f)
{
    char path[512];
    struct stat st;
    int rc = check_version(dir, f);
    if (rc < 0) {
        return rc;
    }
    if (snprintf(path, sizeof(path), "%s/data.mdb", dir) >= (int)sizeof(path)) {
        return say(f, BB_ENAMETOOLONG, dir);
    }
    (void)pthread_once(&fork_once, watch_forks);
    (void)pthread_mutex_lock(&list_lock);
    bool is_there = stat(path, &st) == 0;
    struct bbi_db_env *env = is_there ? find_env(&st) : NULL;
    if (env != NULL) {
        if ((flags & BBI_DB_READER) == 0) { /* the one writer says how it syncs */
            (void)mdb_env_set_flags(env->env, MDB_NOSYNC | MDB_NOMETASYNC, 0);
            (void)mdb_env_set_flags(env->env, sync_flags(flags), 1);
        }
        rc = check_length(env, flags);
        if (rc == 0) {
            grow_map(env, map_bytes);
        }
    } else if (is_there && st.st_size < LEAST_BYTES
               && ((flags & BBI_DB_MAKE) == 0 || st.st_size != 0)) {
        rc = MDB_CORRUPTED; /* LMDB would make a new one of an empty file */
    } else if (!is_there && (flags & BBI_DB_MAKE) == 0) {
        rc = ENOENT;
    } else {
        rc = make_env(&env, dir, map_bytes, flags, mode, !is_there);
    }
    if (rc == 0) {
        env->refs++;
        *out = env;
    }
    (void)pthread_mutex_unlock(&list_lock);
    return rc == 0 ? 0 : say(f, status_of(rc), dir);
}

void
bbi_db_close(struct bbi_db_env *env)
{
    if (env == NULL || bbi_is_forked(env->fork_gen)) {
        return;
    }
    (void)pthread_mutex_lock(&list_lock);
    if (--env->refs == 0) {
        for (struct bbi_db_env **p = &all_envs; *p != NULL; p = &(*p)->next) {
            if (*p == env) {
                *p = env->next;
                break;
            }
        }
        mdb_env_close(env->env); /* in the list's lock: nobody opens the file meanwhile */
        (void)pthread_mutex_destroy(&env->lock);
        free(env);
    }
    (void)pthread_mutex_unlock(&list_lock);
}

/* ---- transactions -------------------------------------------------------------------------------- */

static void
enlist(struct bbi_db_txn *t)
{
    struct bbi_db_env *env = t->env;
    (void)pthread_mutex_lock(&env->lock);
    t->next = env->txns;
    if (t->next != NULL) {
        t->next->prev = t;
    }
    env->txns = t;
    (void)pthread_mutex_unlock(&env->lock);
}

static void
discard(struct bbi_db_txn *t)
{
    struct bbi_db_env *env = t->env;
    if (!t->is_nested) {
        mark_closed(t);
        (void)pthread_mutex_lock(&env->lock);
        *(t->prev != NULL ? &t->prev->next : &env->txns) = t->next;
        if (t->next != NULL) {
            t->next->prev = t->prev;
        }
        (void)pthread_mutex_unlock(&env->lock);
    }
    free(t);
}

/* Begins what t->txn NULL, renews what is there. */
static int
begin_lmdb(struct bbi_db_txn *t)
{
    int rc = 0;
    for (int tries = 0; tries < 3; tries++) {
        mark_open(t);
        rc = t->txn != NULL
                 ? mdb_txn_renew(t->txn)
                 : mdb_txn_begin(t->env->env, NULL, t->is_reader ? MDB_RDONLY : 0, &t->txn);
        if (BBI_LIKELY(rc == 0)) {
            return 0;
        }
        mark_closed(t);
        if (rc != MDB_MAP_RESIZED) {
            break;
        }
        int changed = change_map(t->env, 0);
        if (changed < 0) {
            return changed;
        }
    }
    return status_of(rc);
}

static int
begin(struct bbi_db_env *env, bool is_reader, struct bbi_db_txn **out)
{
    if (bbi_is_forked(env->fork_gen)) {
        return BB_EFORKED;
    }
    struct bbi_db_txn *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return BB_ENOMEM;
    }
    t->env = env;
    t->is_reader = is_reader;
    enlist(t);
    int rc = begin_lmdb(t);
    if (rc < 0) {
        discard(t);
        return rc;
    }
    *out = t;
    return 0;
}

int
bbi_db_read_begin(struct bbi_db_env *env, struct bbi_db_txn **out)
{
    return begin(env, true, out);
}

int
bbi_db_read_renew(struct bbi_db_txn *txn)
{
    return begin_lmdb(txn);
}

void
bbi_db_read_reset(struct bbi_db_txn *txn)
{
    mdb_txn_reset(txn->txn);
    mark_closed(txn);
}

int
bbi_db_write_begin(struct bbi_db_env *env, struct bbi_db_txn *parent, struct bbi_db_txn **out)
{
    if (parent == NULL) {
        return begin(env, false, out);
    }
    struct bbi_db_txn *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return BB_ENOMEM;
    }
    t->env = env;
    t->is_nested = true;
    int rc = mdb_txn_begin(env->env, parent->txn, 0, &t->txn);
    if (rc != 0) {
        free(t);
        return status_of(rc);
    }
    *out = t;
    return 0;
}

/* LMDB calls a write that was cut short an input/output error; a full file system is what does that. */
static int
status_of_write(const struct bbi_db_env *env, int rc)
{
    struct statvfs fs;
    int fd = -1;
    if (rc == EIO && mdb_env_get_fd(env->env, &fd) == 0 && fstatvfs(fd, &fs) == 0
        && (uint64_t)fs.f_bavail * fs.f_frsize < FULL_BYTES) {
        return BB_ENOSPC;
    }
    return status_of(rc);
}

int
bbi_db_commit(struct bbi_db_txn *txn)
{
    struct bbi_db_env *env = txn->env;
    bool is_last = !txn->is_nested && !txn->is_reader;
    int rc = mdb_txn_commit(txn->txn);
    discard(txn);
    if (rc == 0 && is_last) {
        keep_length(env);
    }
    return status_of_write(env, rc);
}

void
bbi_db_abort(struct bbi_db_txn *txn)
{
    if (txn != NULL && !bbi_is_forked(txn->env->fork_gen)) {
        mdb_txn_abort(txn->txn);
        discard(txn);
    }
}

/* ---- entries ------------------------------------------------------------------------------------- */

int
bbi_db_get(struct bbi_db_txn *txn, enum bbi_db db, struct bbi_bytes key, struct bbi_bytes *out)
{
    MDB_val k = val_of(key);
    MDB_val v;
    int rc = mdb_get(txn->txn, txn->env->dbi[db], &k, &v);
    if (BBI_LIKELY(rc == 0)) {
        *out = bytes_of(v);
        return 0;
    }
    return status_of(rc);
}

static unsigned
put_flags(unsigned flags)
{
    return ((flags & BBI_DB_NEW) != 0 ? MDB_NOOVERWRITE : 0U)
           | ((flags & BBI_DB_APPEND) != 0 ? MDB_APPEND : 0U);
}

int
bbi_db_put(struct bbi_db_txn *txn,
           enum bbi_db db,
           struct bbi_bytes key,
           struct bbi_bytes val,
           unsigned flags)
{
    MDB_val k = val_of(key);
    MDB_val v = val_of(val);
    return status_of(mdb_put(txn->txn, txn->env->dbi[db], &k, &v, put_flags(flags)));
}

int
bbi_db_reserve(struct bbi_db_txn *txn,
               enum bbi_db db,
               struct bbi_bytes key,
               size_t bytes,
               unsigned flags,
               void **out)
{
    MDB_val k = val_of(key);
    MDB_val v = {.mv_size = bytes};
    int rc = mdb_put(txn->txn, txn->env->dbi[db], &k, &v, put_flags(flags) | MDB_RESERVE);
    if (rc != 0) {
        return status_of(rc);
    }
    *out = v.mv_data;
    return 0;
}

int
bbi_db_del(struct bbi_db_txn *txn, enum bbi_db db, struct bbi_bytes key)
{
    MDB_val k = val_of(key);
    return status_of(mdb_del(txn->txn, txn->env->dbi[db], &k, NULL));
}

int
bbi_db_drop(struct bbi_db_txn *txn, enum bbi_db db)
{
    return status_of(mdb_drop(txn->txn, txn->env->dbi[db], 0));
}

uint64_t
bbi_db_entries(struct bbi_db_txn *txn, enum bbi_db db)
{
    MDB_stat st;
    return mdb_stat(txn->txn, txn->env->dbi[db], &st) == 0 ? st.ms_entries : 0;
}

/* ---- cursors ------------------------------------------------------------------------------------- */

int
bbi_db_cursor_open(struct bbi_db_cursor **out, struct bbi_db_txn *txn, enum bbi_db db)
{
    struct bbi_db_cursor *c = malloc(sizeof(*c));
    if (c == NULL) {
        return BB_ENOMEM;
    }
    int rc = mdb_cursor_open(txn->txn, txn->env->dbi[db], &c->cursor);
    if (rc != 0) {
        free(c);
        return status_of(rc);
    }
    *out = c;
    return 0;
}

int
bbi_db_cursor_renew(struct bbi_db_cursor *c, struct bbi_db_txn *txn)
{
    return status_of(mdb_cursor_renew(txn->txn, c->cursor));
}

void
bbi_db_cursor_close(struct bbi_db_cursor *c)
{
    if (c != NULL) {
        mdb_cursor_close(c->cursor);
        free(c);
    }
}

static int
move(struct bbi_db_cursor *c,
     MDB_val k,
     MDB_cursor_op op,
     struct bbi_bytes *key,
     struct bbi_bytes *val)
{
    MDB_val v;
    int rc = mdb_cursor_get(c->cursor, &k, &v, op);
    if (BBI_UNLIKELY(rc != 0)) {
        return status_of(rc);
    }
    *key = bytes_of(k);
    *val = bytes_of(v);
    return 0;
}

int
bbi_db_seek(struct bbi_db_cursor *c, struct bbi_bytes key, struct bbi_bytes *k, struct bbi_bytes *v)
{
    return move(c, val_of(key), key.p != NULL && key.bytes > 0 ? MDB_SET_RANGE : MDB_FIRST, k, v);
}

int
bbi_db_next(struct bbi_db_cursor *c, struct bbi_bytes *k, struct bbi_bytes *v)
{
    return move(c, (MDB_val){0}, MDB_NEXT, k, v);
}

int
bbi_db_last(struct bbi_db_cursor *c, struct bbi_bytes *k, struct bbi_bytes *v)
{
    return move(c, (MDB_val){0}, MDB_LAST, k, v);
}

int
bbi_db_cursor_del(struct bbi_db_cursor *c)
{
    return status_of(mdb_cursor_del(c->cursor, 0));
}

/* ---- the whole ----------------------------------------------------------------------------------- */

struct reader_sum {
    uint32_t count;
    int64_t pid;
    uint64_t txn; /* UINT64_MAX: nobody sees anything */
};

/* A line of LMDB's list: pid, thread, and the transaction that it sees or "-". */
static int
add_reader(const char *line, void *user)
{
    struct reader_sum *sum = user;
    char *end;
    long long pid = strtoll(line, &end, 10);
    if (end == line) {
        return 0; /* the heading */
    }
    (void)strtoull(end, &end, 16);
    sum->count++;
    const char *number = end + strspn(end, " ");
    uint64_t txn = strtoull(number, &end, 10);
    if (end != number && txn < sum->txn) {
        sum->txn = txn;
        sum->pid = pid;
    }
    return 0;
}

/* Pages in LMDB's list of free ones; those that `oldest` may still see apart. */
static int
sum_free(MDB_txn *txn, uint64_t oldest, uint64_t *free_pages, uint64_t *held_pages)
{
    MDB_stat st;
    MDB_cursor *c;
    MDB_val k, v;
    uint64_t n = 0, free_sum = 0, held_sum = 0;
    int rc = mdb_stat(txn, FREE_DBI, &st);
    rc = rc != 0 ? rc : mdb_cursor_open(txn, FREE_DBI, &c);
    if (rc != 0) {
        return rc;
    }
    /* From the newest: what is held is there. */
    for (rc = mdb_cursor_get(c, &k, &v, MDB_LAST); rc == 0 && n < FREE_LOOKED_AT;
         rc = mdb_cursor_get(c, &k, &v, MDB_PREV)) {
        size_t id, pages;
        if (k.mv_size != sizeof(id) || v.mv_size < sizeof(pages)) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(&id, k.mv_data, sizeof(id));
        memcpy(&pages, v.mv_data, sizeof(pages));
        *(id >= oldest ? &held_sum : &free_sum) += pages;
        n++;
    }
    mdb_cursor_close(c);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }
    if (rc == 0 && n > 0 && st.ms_entries > n) { /* more than we looked at: like those on average */
        uint64_t rest = (free_sum + held_sum) / n * (st.ms_entries - n);
        *(held_sum > free_sum ? &held_sum : &free_sum) += rest;
    }
    *free_pages = free_sum;
    *held_pages = held_sum;
    return 0;
}

uint64_t
bbi_db_file_bytes(struct bbi_db_env *env)
{
    MDB_envinfo info;
    return mdb_env_info(env->env, &info) == 0 ? (info.me_last_pgno + 1) * env->page_bytes : 0;
}

int
bbi_db_usage(struct bbi_db_env *env, struct bbi_db_usage *out)
{
    struct reader_sum sum = {.txn = UINT64_MAX};
    struct bbi_db_txn *txn;
    MDB_envinfo info;
    uint64_t free_pages = 0, held_pages = 0;
    if (bbi_is_forked(env->fork_gen)) {
        return BB_EFORKED;
    }
    int rc = mdb_reader_list(env->env, add_reader, &sum); /* before there is one of our own */
    if (rc < 0) {
        return BB_EIO;
    }
    rc = bbi_db_read_begin(env, &txn);
    if (rc < 0) {
        return rc;
    }
    rc = mdb_env_info(env->env, &info);
    rc = rc != 0 ? rc : sum_free(txn->txn, sum.txn, &free_pages, &held_pages);
    bbi_db_abort(txn);
    if (rc != 0) {
        return status_of(rc);
    }
    *out = (struct bbi_db_usage){
        .file_bytes = (info.me_last_pgno + 1) * env->page_bytes,
        .free_bytes = free_pages * env->page_bytes,
        .held_bytes = held_pages * env->page_bytes,
        .last_txn = info.me_last_txnid,
        .readers = sum.count,
        .oldest_pid = sum.pid,
        .oldest_txn = sum.txn != UINT64_MAX ? sum.txn : 0,
    };
    return 0;
}

int
bbi_db_check_readers(struct bbi_db_env *env)
{
    int dead = 0;
    int rc = mdb_reader_check(env->env, &dead);
    return rc == 0 ? dead : status_of(rc);
}

int
bbi_db_copy(struct bbi_db_env *env, int fd)
{
    /* LMDB writes in a thread of its own, which ends before this returns: no handler may run in it. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = mdb_env_copyfd2(env->env, fd, MDB_CP_COMPACT);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status_of(rc);
}

int
bbi_db_sync(struct bbi_db_env *env)
{
    return status_of(mdb_env_sync(env->env, 1));
}

int
bbi_db_discard(struct bbi_db_env *env)
{
    int fd = -1;
    struct stat st;
    off_t metas = 2 * (off_t)env->page_bytes; /* a transaction begins by looking at them */
    int rc = mdb_env_get_fd(env->env, &fd);
    if (rc != 0) {
        return status_of(rc);
    }
    return fstat(fd, &st) == 0
                   && (st.st_size <= metas
                       || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, metas,
                                    st.st_size - metas)
                              == 0)
               ? 0
               : -errno;
}

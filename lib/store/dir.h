/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/dir.h - the directory of a store: whose turn it is, which generation counts, what all may see.
 *
 *   DIR/lock        byte 0 is held (OFD) by the master: the kernel says whether it lives, whatever bus it is on
 *   DIR/ctl         struct bbi_store_ctl, a file of shm's kind: born complete, mapped by everybody
 *   DIR/current     symbolic link to the generation that counts; replaced by rename, then the directory is synced
 *   DIR/gen-N/      data.mdb, lock.mdb
 *   DIR/gen-N.new/  a compaction or restore that was not finished: the next master removes it
 *   DIR/damaged-T/  what START_EMPTY moved aside
 *
 * A bus knows a store as BUS/stores/NAME: that directory itself (memory), or a symbolic link to it.
 * Modes      2770 and 0660 where the directory above is shared with a group, else 0700 and 0600.
 * Fork       The child lets go of the lock's description, or it would keep a dead master alive.
 * Crash      Each step may be the last one: what is not named by `current` does not count.
 */
#ifndef BUSBAR_LIB_STORE_DIR_H
#define BUSBAR_LIB_STORE_DIR_H

#include "busbar/store.h"
#include "lib/store/lmdb.h"
#include "shm/atomic.h"
#include "shm/layout.h"
#include "shm/segment.h"

#define BBI_STORE_MAGIC UINT64_C(0x3165726f74736201) /* bytes 01 "bstore1" */

enum { BBI_STORE_IS_MEMORY = 1, BBI_STORE_IS_RELAXED = 2 };

/* Written by the master alone (whoever holds byte 0 of lock), but for watch_bell and readers' words. */
struct bbi_store_ctl {
    struct bbi_ident ident; /* BBI_FILE_STORE */
    alignas(BBI_PAGE_BYTES) uint64_t magic;
    uint8_t store_id[16];
    alignas(BBI_LINE_BYTES) bbi_u64 version; /* of the last commit; release, S1 */
    bbi_u64 generation; /* that `current` names; release, S2: readers open it anew */
    bbi_u64 base_ns;    /* store time = CLOCK_BOOTTIME + this, as int64_t; before version */
    bbi_u32 commits;    /* counts commits: a futex for who waits for a version */
    bbi_u32 waiters;    /* somebody waits for it: set by them, cleared by the master */
    alignas(
        BBI_LINE_BYTES) bbi_u32 is_served; /* 1: bb_store_poll() of a master runs; 0: it closed */
    bbi_u32 has_log;                       /* changes are logged from log_first on */
    bbi_u64 log_first;
    bbi_u64 master_id; /* bb_endpoint_id() */
    bbi_u64 master_pid;
    bbi_u64 master_pidns;
    bbi_u64 takeovers; /* two for each master; odd: it is just writing who it is.  S4 */
    alignas(BBI_LINE_BYTES) char master_node
        [BBI_NAME_BYTES]; /* statistics from here on: each its own word, */
    char bus[256];        /* read whole only while takeovers does not move */
    alignas(BBI_LINE_BYTES) bbi_u64 keys;
    bbi_u64 file_bytes, used_bytes, held_bytes, quota_bytes;
    bbi_u64 commands, commit_count, refused, repeated, expired;
    bbi_u64 due, lag_ns, watchers, log_bytes;
    bbi_u64 readers, oldest_pid, oldest_txn, oldest_since_ns, last_txn;
    bbi_u64 last_error;        /* a status, as int64_t */
    bbi_u64 flags;             /* BBI_STORE_IS_... */
    bbi_u64 compaction_status; /* of the last, as int64_t; BB_EAGAIN: one is under way, */
    bbi_u64 compaction_bytes;  /* and so much of it is done */
    bbi_u64 retired_bytes;     /* of generations that were replaced and that a view still holds */
    bbi_u64 master_start;      /* its process, in ticks: a number may be given again */
    bbi_u64 beat_ns;           /* monotonic: its last look at the lock, each second */
    bbi_u64 reserved[27];
};

struct bbi_store_dir {
    int fd;      /* of the directory */
    int lock_fd; /* -1: not opened for mastering */
    bool is_held;
    bool is_memory;
    bool is_private; /* ctl is our own, for a store that nobody served since the box was started */
    mode_t file_mode;
    char path[256];
    struct bbi_segment seg;
    struct bbi_store_ctl *ctl;
    struct bbi_ident ident;     /* as ctl had it when it was opened */
    struct bbi_store_dir *next; /* all of this process, for fork: it stays where it was opened */
};

/* bbi_store_name_ok - as bb_store_opts says. */
bool bbi_store_name_ok(const char *name);

/*
 * bbi_store_dir_make - opens or makes DIR (mode and group like its parent's), takes the lock if it is free, makes
 * ctl when it is not there or of another boot.  For masters and standbys.
 *
 * is_memory What lies there from another boot is removed: nothing was synced.
 * Returns   0 the lock is ours; BB_EEXIST another holds it (f names pid, node, bus; *out is open all the same when
 *           may_wait, with ctl NULL while it is being made); BB_EACCES, BB_ETRUST, BB_ENOSPC, BB_EVERSION, BB_ECORRUPT;
 *           BB_ENOTSUP it holds other things and nothing of a store: nothing was written into it.
 */
BB_MUST_USE int bbi_store_dir_make(struct bbi_store_dir *out,
                                   const char *path,
                                   bool is_memory,
                                   bool may_wait,
                                   struct bbi_fault *f);
/*
 * bbi_store_dir_open - for clones.  BB_ENOENT there is no store.
 *
 * read_only  for looking: when there is no ctl of this boot a private one is made, without base_ns and version.
 */
BB_MUST_USE int bbi_store_dir_open(struct bbi_store_dir *out,
                                   const char *path,
                                   bool read_only,
                                   struct bbi_fault *f);
void bbi_store_dir_close(struct bbi_store_dir *dir);

/* Who is the master, or was the last one. */
struct bbi_store_master {
    int64_t pid; /* as it saw itself; 0: there was none */
    uint64_t pidns;
    uint64_t id;
    char node[BBI_NAME_BYTES];
    char bus[256];
};
/* For who holds the lock.  id: bb_endpoint_id(). */
void
bbi_store_dir_set_master(struct bbi_store_dir *dir, uint64_t id, const char *node, const char *bus);
void bbi_store_dir_master(const struct bbi_store_dir *dir, struct bbi_store_master *out);
/*
 * bbi_store_dir_lock - a standby's try: 0 it is ours now; BB_EAGAIN.
 *
 * Also when the lock is free, but the name leads to another file by now, or a master whose lock file was removed
 * still runs: that one sees it within a second and ends.
 */
BB_MUST_USE int bbi_store_dir_lock(struct bbi_store_dir *dir);
/* bbi_store_dir_keeps_lock - for a master, each second: false when the name `lock` is not the file it holds. */
bool bbi_store_dir_keeps_lock(struct bbi_store_dir *dir);
/* bbi_store_dir_mend_ctl - for a master: true when its identity was overwritten; that is back, its words are not. */
bool bbi_store_dir_mend_ctl(struct bbi_store_dir *dir);
/* bbi_store_dir_resign - never master again: lets go of the lock and its file. */
void bbi_store_dir_resign(struct bbi_store_dir *dir);
/* bbi_store_dir_unlock - others may try; for a master that gives up.  Closing does it too. */
void bbi_store_dir_unlock(struct bbi_store_dir *dir);
/* bbi_store_dir_is_served - 1: a master holds the lock. */
BB_MUST_USE int bbi_store_dir_is_served(const struct bbi_store_dir *dir);

/* The generation that counts; BB_ENOENT there is none. */
BB_MUST_USE int bbi_store_dir_current(const struct bbi_store_dir *dir, uint64_t *generation);
/* gen-N (or gen-N.new) below the directory. */
void bbi_store_dir_gen_path(const struct bbi_store_dir *dir,
                            uint64_t generation,
                            bool is_new,
                            char out[320]);
BB_MUST_USE int
bbi_store_dir_make_gen(const struct bbi_store_dir *dir, uint64_t generation, bool is_new);
/* bbi_store_dir_sync_above - the name of path itself is there after a power cut. */
BB_MUST_USE int bbi_store_dir_sync_above(const char *path);
/* From .new to the one that counts: rename, current, directory synced.  Not the ctl's word. */
BB_MUST_USE int bbi_store_dir_switch(const struct bbi_store_dir *dir, uint64_t generation);
/* bbi_store_dir_point - `current` names it from now on, also after a power cut; the second half of a switch. */
BB_MUST_USE int bbi_store_dir_point(const struct bbi_store_dir *dir, uint64_t generation);
/*
 * Removes what is older than the one that counts, the one after it (renamed by a master that died before `current`
 * named it) and what was not finished: for a master that has opened `keep`, and after a switch.  keep 0: all.
 */
void bbi_store_dir_tidy(const struct bbi_store_dir *dir, uint64_t keep);
/* Generations that hold data, whatever `current` says. */
struct bbi_store_gens {
    unsigned count;
    uint64_t newest;
    char names[96]; /* the first of them, for sentences */
};
void bbi_store_dir_gens(const struct bbi_store_dir *dir, struct bbi_store_gens *out);
/* Everything that counts moves to DIR/damaged-T, whose path is out; after != 0: only later generations. */
BB_MUST_USE int
bbi_store_dir_set_aside(const struct bbi_store_dir *dir, uint64_t after, char out[320]);

/* The path of a store of this bus: BUS/stores/NAME as it is, or where the link goes.  BB_ENOENT. */
BB_MUST_USE int bbi_store_dir_find(const char *bus_path, const char *name, char out[256]);
/*
 * Makes BUS/stores, and NAME in it a link to the absolute path.  path NULL: a store in memory, no link.
 * BB_EEXIST: the name is another store's that has a master, or one in memory when a path is given, or one in a
 * directory that is there when none is.
 */
BB_MUST_USE int bbi_store_dir_may_announce(const char *bus_path,
                                           const char *name,
                                           const char *path,
                                           struct bbi_fault *f); /* the same, changing nothing */
BB_MUST_USE int bbi_store_dir_announce(const char *bus_path,
                                       const char *name,
                                       const char *path,
                                       struct bbi_fault *f);

#endif

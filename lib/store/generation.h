/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/generation.h - compaction while everybody works: the next generation grows beside the one that counts.
 *
 * In the order of keys: each step copies some entries, as they are now, into gen-N.new; what is written behind
 * that place meanwhile is written to both.  So no view stays open, no step is longer than 2 ms, and at the end
 * both are equal: sync, rename, `current`, the ctl's word.  Readers open the new one with their next view; the
 * old one is unlinked, and its pages go when the last view in it ends.  Dying at any step leaves the old one.
 *
 * What it needs of a master stands in struct bbi_house, which is a member of struct bbi_master.
 */
#ifndef BUSBAR_LIB_STORE_GENERATION_H
#define BUSBAR_LIB_STORE_GENERATION_H

#include "lib/store/lmdb.h"
#include "lib/store/record.h"

struct bbi_mirror;
struct bb_store;

enum { BBI_RETIRED_MAX = 8 }; /* generations that were replaced and that a reader still uses */

/* A generation that does not count any more; its files have no name, its bytes count until nobody maps it. */
struct bbi_retired {
    struct bbi_db_env *env;
    uint64_t generation;
    uint64_t file_bytes;
    int64_t since_ns; /* CLOCK_MONOTONIC of the switch */
};

/* Zeros at first; the master sets env, and before bbi_db_commit() has written *state into META of both. */
struct bbi_house {
    struct bbi_db_env *env; /* of the generation that counts; exchanged by the step that switches */
    struct bbi_state state; /* as it was committed last */
    struct bbi_mirror *mirror; /* the compaction under way, or NULL: pass it to bbi_apply() */
    struct bbi_retired retired[BBI_RETIRED_MAX];
    uint32_t retired_count;
    int status;                             /* of the last bbi_quota_look(), */
    struct bbi_fault why;                   /* and in words */
    int64_t looked_ns;                      /* CLOCK_MONOTONIC of the last whole look, */
    uint64_t looked_bytes;                  /* and all files' bytes then */
    int64_t tried_ns;                       /* when a compaction could not be: not again at once */
    int64_t oldest_pid;                     /* who has the oldest view, 0: nobody; */
    uint64_t oldest_generation, oldest_txn; /* of what state, */
    int64_t oldest_since_ns;                /* and when that was seen first */
};

/* master.c: the one in s->master. */
struct bbi_house *bbi_master_house(struct bb_store *s);

/*
 * What a write transaction of the old one has to do besides; m NULL, or `key` behind the copied part: nothing.
 * They never fail the writer: a mirror that cannot go on is given up by the next step.
 */
BB_MUST_USE int
bbi_mirror_put(struct bbi_mirror *m, enum bbi_db db, struct bbi_bytes key, struct bbi_bytes val);
BB_MUST_USE int bbi_mirror_del(struct bbi_mirror *m, enum bbi_db db, struct bbi_bytes key);
BB_MUST_USE int bbi_mirror_drop(struct bbi_mirror *m, enum bbi_db db);
/* With the transaction it belongs to, and with each one nested in it.  commit: after the one it belongs to. */
BB_MUST_USE int bbi_mirror_begin(struct bbi_mirror *m);
BB_MUST_USE int bbi_mirror_commit(struct bbi_mirror *m);
void bbi_mirror_abort(struct bbi_mirror *m);

/*
 * The master's side, between transactions.  start: BB_EBUSY one is under way; BB_ENOSPC no room for a copy.
 * step: 1 more to do, 0 switched (or none was under way), or a status: given up, nothing changed.
 */
BB_MUST_USE int bbi_compaction_start(struct bb_store *s);
BB_MUST_USE int bbi_compaction_step(struct bb_store *s, int64_t until_ns);
void bbi_compaction_stop(struct bb_store *s);

/*
 * bbi_quota_look - after each commit, when a transaction found no room (is_full), and at least once a second: usage
 * into ctl, readers of the dead freed, generations that nobody uses closed, a compaction started when the files are
 * past half of the quota and would get smaller.  Cheap but once a second, and when the file grew much.
 * Returns   0; BB_ENOSPC nothing helps: writes are refused, and deletes go on in a reserve of 5 %; house->why
 *           says it in words.
 */
BB_MUST_USE int bbi_quota_look(struct bb_store *s, bool is_full);

/* The address space for a master's environment: its transactions then cannot write beyond the quota. */
uint64_t bbi_quota_map_bytes(uint64_t quota_bytes);

/* At the master's end: a compaction is given up, retired generations are closed. */
void bbi_house_fini(struct bb_store *s);

#endif

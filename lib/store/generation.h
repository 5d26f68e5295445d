/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/generation.h - compaction while everybody works: the next generation grows beside the one that counts.
 *
 * In the order of keys: each step copies some entries, as they are now, into gen-N.new; what is written behind
 * that place meanwhile is written to both.  So no view stays open, no step is longer than 2 ms, and at the end
 * both are equal: sync, rename, `current`, the ctl's word.  Readers open the new one with their next view; the
 * old one is unlinked, and its pages go when the last view in it ends.  Dying at any step leaves the old one.
 */
#ifndef BUSBAR_LIB_STORE_GENERATION_H
#define BUSBAR_LIB_STORE_GENERATION_H

#include "lib/store/lmdb.h"

struct bbi_mirror;
struct bb_store;

/* What a write transaction of the old one has to do besides; `key` behind the copied part: nothing. */
BB_MUST_USE int
bbi_mirror_put(struct bbi_mirror *m, enum bbi_db db, struct bbi_bytes key, struct bbi_bytes val);
BB_MUST_USE int bbi_mirror_del(struct bbi_mirror *m, enum bbi_db db, struct bbi_bytes key);
BB_MUST_USE int bbi_mirror_drop(struct bbi_mirror *m, enum bbi_db db);
/* With the transaction it belongs to. */
BB_MUST_USE int bbi_mirror_begin(struct bbi_mirror *m);
BB_MUST_USE int bbi_mirror_commit(struct bbi_mirror *m);
void bbi_mirror_abort(struct bbi_mirror *m);

/* The master's side, between transactions.  step: 1 more to do, 0 switched, or a status: given up, nothing changed. */
BB_MUST_USE int bbi_compaction_start(struct bb_store *s);
BB_MUST_USE int bbi_compaction_step(struct bb_store *s, int64_t until_ns);
void bbi_compaction_stop(struct bb_store *s);

/*
 * bbi_quota_look - at most once a second and when a transaction found no room: usage into ctl, readers of the dead
 * freed, a compaction started when the file is past half of the quota and would get smaller.
 * Returns   0; BB_ENOSPC nothing helps: writes are refused, and deletes go on in a reserve of 5 %.
 */
BB_MUST_USE int bbi_quota_look(struct bb_store *s, bool is_full);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/apply.h - runs one command in a write transaction: MAIN, EXPIRY and LOG change together.
 *
 * Whatever a compaction has copied already is changed in its copy too (`also`).
 */
#ifndef BUSBAR_LIB_STORE_APPLY_H
#define BUSBAR_LIB_STORE_APPLY_H

#include "lib/store/command.h"
#include "lib/store/record.h"

struct bbi_mirror; /* generation.h: a compaction that is under way, or NULL */

struct bbi_apply {
    struct bbi_db_txn *txn;
    struct bbi_state *state; /* version is counted up for each change */
    struct bbi_mirror *also; /* may be NULL */
    int64_t now_ns;          /* store time of this transaction */
    int64_t wall_ns;
    bool has_log;
    uint64_t node_id; /* who asked */
    const char *node;
    uint64_t master_id; /* who expires */
    const char *master;
    struct bbi_made made, old; /* kept from one command to the next */
};

void bbi_apply_fini(struct bbi_apply *a); /* frees what is kept */

/* As bbi_db_put() and its kin, also in the copy of a compaction.  del: 0 also when it is not there. */
BB_MUST_USE int bbi_apply_put(struct bbi_apply *a,
                              enum bbi_db db,
                              struct bbi_bytes key,
                              struct bbi_bytes val,
                              unsigned flags);
BB_MUST_USE int bbi_apply_del(struct bbi_apply *a, enum bbi_db db, struct bbi_bytes key);
BB_MUST_USE int bbi_apply_drop(struct bbi_apply *a, enum bbi_db db);

/*
 * bbi_apply - result->code is the command's; result->value points into `made` or the map, valid until the next.
 * Returns   0; a fault of the transaction (BB_ENOSPC, BB_EIO, BB_ECORRUPT), which then must be aborted.
 */
BB_MUST_USE int
bbi_apply(struct bbi_apply *a, const struct bb_store_cmd *cmd, struct bb_store_result *result);

/*
 * bbi_expire - removes keys whose deadline is over, at most `max` or until until_ns of CLOCK_MONOTONIC; how many.
 * A key that is due and is written before it was swept is expired first, by bbi_apply().
 */
BB_MUST_USE int64_t bbi_expire(struct bbi_apply *a, uint32_t max, int64_t until_ns);
/* How many are due (counted to at most `max`), and since when the first of them. */
BB_MUST_USE int64_t bbi_expiry_due(struct bbi_db_txn *txn,
                                   int64_t now_ns,
                                   uint64_t max,
                                   int64_t *first_ns);
/* bbi_apply_expired - removes this record, which is due.  key: a copy of its key, as the record's lies in the map. */
BB_MUST_USE int bbi_apply_expired(struct bbi_apply *a,
                                  const struct bb_value *key,
                                  const struct bbi_key *at,
                                  const struct bbi_record *rec);
/* bbi_log_restart - an empty LOG; the next change is its first, if there is a log. */
BB_MUST_USE int bbi_log_restart(struct bbi_apply *a);
/* Trims LOG to its bounds, in bounded steps. */
BB_MUST_USE int bbi_log_trim(struct bbi_apply *a, uint64_t max_entries, uint64_t max_bytes);

/*
 * bbi_find - the record of a key as of now_ns (find.c); used by readers and the master.
 *
 * at        where it is, and with BB_ENOENT where it would be put.
 * Returns   0; BB_ENOENT also when it is due: then out is the due one, else out->version is 0; BB_EINVAL the key is
 *           no value; BB_ECORRUPT; BB_EFULL four other keys have its hash.
 */
BB_MUST_USE int bbi_find(struct bbi_db_txn *txn,
                         const struct bb_value *key,
                         int64_t now_ns,
                         struct bbi_key *at,
                         struct bbi_record *out);
/* bbi_find_any - the same whether or not it is due: saves reading the clock for keys without a deadline. */
BB_MUST_USE int bbi_find_any(struct bbi_db_txn *txn,
                             const struct bb_value *key,
                             struct bbi_key *at,
                             struct bbi_record *out);

/* bbi_is_due - its deadline is reached: it must not be served any more. */
static inline bool
bbi_is_due(const struct bbi_record *rec, int64_t now_ns)
{
    return rec->expires_ns != 0 && rec->expires_ns <= now_ns;
}

#endif

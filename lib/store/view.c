/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: a handle has one reader's slot of LMDB, begun with the first read and kept.  A view renews it, which
 * takes no lock and no system call, and its end resets it: then it holds no pages.
 *
 *   generation in ctl ──the one that is open?──no──► close, open gen-N
 *                            │ yes
 *                            ▼
 *                     renew ──► read ──► reset
 *
 * A generation that is gone while we open it was replaced: the ctl says by which.
 */
#include "lib/endpoint/endpoint_impl.h"
#include "lib/store/store_impl.h"
#include <string.h>

enum { OPEN_TRIES = 100 };

int64_t
bbi_store_now_ns(const struct bb_store *s)
{
    /* Fixed on one boot, and written before the generation that we opened: S2. */
    int64_t base_ns = (int64_t)bbi_load_relaxed(&s->dir.ctl->base_ns);
    return s->clock.boot_ns(s->clock.user) + base_ns;
}

void
bbi_read_close(struct bb_store *s)
{
    struct bbi_slot *r = &s->reader;
    bbi_db_cursor_close(r->cursor);
    bbi_db_abort(r->txn);
    bbi_db_close(r->env);
    *r = (struct bbi_slot){0};
}

static int
open_generation(struct bb_store *s, uint64_t generation)
{
    struct bbi_slot *r = &s->reader;
    char path[320];
    bbi_store_dir_gen_path(&s->dir, generation, false, path);
    int rc = bbi_db_open(&r->env, path, 0, BBI_DB_READER, s->dir.file_mode, NULL);
    rc = rc < 0 ? rc : bbi_db_read_begin(r->env, &r->txn);
    if (rc < 0) {
        bbi_read_close(s);
        return rc;
    }
    r->generation = generation;
    return 0;
}

/*
 * After a view began: does its generation still count?  The master gives the blocks of one that it replaced back
 * when it finds no view in it (quota.c), so one that begins later must not read.
 */
static bool
has_moved(const struct bb_store *s, uint64_t generation)
{
    return bbi_load_seq_cst(&s->dir.ctl->generation) != generation; /* S2 */
}

/* The reader is open, and its view too. */
static int
reopen(struct bb_store *s)
{
    int rc = BB_ENOENT;
    for (int i = 0; i < OPEN_TRIES && rc == BB_ENOENT; i++) {
        uint64_t generation = bbi_load_acquire(&s->dir.ctl->generation); /* S2 */
        if (generation == 0) {
            return BB_EAGAIN;
        }
        bbi_read_close(s);
        rc = open_generation(s, generation);
        if (rc == 0 && has_moved(s, generation)) {
            rc = BB_ENOENT;
            continue;
        }
        if (rc == BB_ENOENT && bbi_load_acquire(&s->dir.ctl->generation) == generation) {
            return BB_ECORRUPT; /* the one that counts is not there */
        }
    }
    return rc;
}

int
bbi_read_enter(struct bb_store *s, struct bbi_db_txn **txn)
{
    struct bbi_slot *r = &s->reader;
    if (BBI_UNLIKELY(bbi_is_forked(s->fork_gen))) {
        return BB_EFORKED;
    }
    if (s->is_viewing) {
        *txn = r->txn;
        return 0;
    }
    if (BBI_UNLIKELY((s->flags & BB_STORE_BY_REQUEST) != 0)) {
        return BB_ENOTSUP;
    }
    int rc;
    uint64_t generation = bbi_load_acquire(&s->dir.ctl->generation); /* S2 */
    if (BBI_LIKELY(r->env != NULL && r->generation == generation)) {
        rc = bbi_db_read_renew(r->txn);
        if (BBI_UNLIKELY(rc == 0 && has_moved(s, generation))) {
            rc = reopen(s);
        }
    } else {
        rc = reopen(s);
    }
    if (BBI_UNLIKELY(rc < 0)) {
        return rc;
    }
    *txn = r->txn;
    return 0;
}

int
bbi_read_cursor(struct bb_store *s, struct bbi_db_cursor **out)
{
    struct bbi_slot *r = &s->reader;
    int rc = 0;
    if (!r->has_cursor) {
        rc = r->cursor != NULL ? bbi_db_cursor_renew(r->cursor, r->txn)
                               : bbi_db_cursor_open(&r->cursor, r->txn, BBI_DB_MAIN);
        r->has_cursor = rc == 0;
    }
    *out = r->cursor;
    return rc;
}

void
bbi_read_leave(struct bb_store *s)
{
    if (!s->is_viewing) {
        s->reader.has_cursor = false;
        bbi_db_read_reset(s->reader.txn);
    }
}

int
bbi_read_state(struct bbi_db_txn *txn, struct bbi_state *out)
{
    struct bbi_bytes raw;
    int rc = bbi_db_get(txn, BBI_DB_META, (struct bbi_bytes){"state", 5}, &raw);
    if (rc < 0 || raw.bytes != sizeof(*out)) {
        return rc < 0 && rc != BB_ENOENT ? rc : BB_ECORRUPT;
    }
    memcpy(out, raw.p, sizeof(*out));
    return out->format == BBI_STORE_FORMAT ? 0 : BB_EVERSION;
}

int
bb_store_view_begin(struct bb_store *s)
{
    struct bbi_db_txn *txn;
    if (s->is_viewing && !bbi_is_forked(s->fork_gen)) {
        return BB_EBUSY;
    }
    int rc = bbi_read_enter(s, &txn);
    s->is_viewing = rc == 0;
    return rc;
}

void
bb_store_view_end(struct bb_store *s)
{
    if (s->is_viewing && !bbi_is_forked(s->fork_gen)) {
        s->is_viewing = false;
        bbi_read_leave(s);
    }
}

uint64_t
bb_store_version(struct bb_store *s)
{
    struct bbi_state state;
    if (bbi_is_forked(s->fork_gen)) {
        return 0;
    }
    if (s->is_viewing) {
        return bbi_read_state(s->reader.txn, &state) == 0 ? state.version : 0;
    }
    return bbi_load_acquire(&s->dir.ctl->version); /* S1 */
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/generation.c - the next generation grows beside the one that counts.
 *
 *   old   [a b c d e f g h ...]     all tables, in the order MAIN, EXPIRY, LOG, DONE, META; in each the order of keys
 *   new   [a b c d]
 *                 ^ at: up to here both are equal after every transaction
 *
 * A write before `at` goes to both, one behind it to the old one alone: it is copied when its turn comes.  So the last
 * step, which copies META, leaves two equal generations, and nothing has to be looked at twice.
 *
 * The new one is written without syncs, but a sync each 8 MiB so that the last one is short: until `current` names
 * it nobody would miss it.  It is opened anew with the store's own durability before it counts.
 * Death      Before the switch: gen-N.new, which the next master removes.  After it: the old one has no name, or
 *            is removed by the next master.  `current` names a whole one at every moment.
 */
#include "lib/store/generation.h"
#include "lib/store/quota.h"
#include "lib/store/store_impl.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <stdlib.h>
#include <string.h>

enum {
    NEST_MAX = 4,          /* a transaction, one for a frame that is all or none, and spare */
    LOOK_ENTRIES = 16,     /* copied between two looks at the clock, or */
    LOOK_BYTES = 64 << 10, /* as many bytes */
    STEP_BYTES = 1 << 20,  /* of a step: what is not committed lies in memory */
    SYNC_BYTES = 8 << 20,
};

struct bbi_mirror {
    struct bbi_db_env *old, *env;
    struct bbi_db_txn *txn[NEST_MAX]; /* of env; NULL where begin failed */
    uint32_t depth;
    int status; /* why it has to be given up; nothing is written from then on */
    uint64_t generation;
    enum bbi_db db; /* being copied; those before it are */
    unsigned char at[BBI_DB_KEY_MAX];
    size_t at_bytes; /* 0: nothing of db yet */
    uint64_t unsynced_bytes;
    uint64_t copied_bytes;
};

/* ---- what writers do besides ---- */

static struct bbi_db_txn *
top(const struct bbi_mirror *m)
{
    return m->status < 0 || m->depth == 0 ? NULL : m->txn[m->depth - 1];
}

static bool
is_copied(const struct bbi_mirror *m, enum bbi_db db, struct bbi_bytes key)
{
    if (db != m->db) {
        return db < m->db;
    }
    size_t both = key.bytes < m->at_bytes ? key.bytes : m->at_bytes;
    int order = both != 0 ? memcmp(key.p, m->at, both) : 0;
    return order < 0 || (order == 0 && key.bytes <= m->at_bytes);
}

/* A writer must not fail because of us: what is wrong is told by the next step. */
static int
note(struct bbi_mirror *m, int rc)
{
    if (rc < 0) {
        m->status = rc;
    }
    return 0;
}

int
bbi_mirror_put(struct bbi_mirror *m, enum bbi_db db, struct bbi_bytes key, struct bbi_bytes val)
{
    if (m == NULL || top(m) == NULL || !is_copied(m, db, key)) {
        return 0;
    }
    return note(m, bbi_db_put(top(m), db, key, val, 0));
}

int
bbi_mirror_del(struct bbi_mirror *m, enum bbi_db db, struct bbi_bytes key)
{
    if (m == NULL || top(m) == NULL || !is_copied(m, db, key)) {
        return 0;
    }
    int rc = bbi_db_del(top(m), db, key);
    return note(m, rc == BB_ENOENT ? 0 : rc);
}

int
bbi_mirror_drop(struct bbi_mirror *m, enum bbi_db db)
{
    if (m == NULL || top(m) == NULL || db > m->db || (db == m->db && m->at_bytes == 0)) {
        return 0;
    }
    return note(m, bbi_db_drop(top(m), db));
}

int
bbi_mirror_begin(struct bbi_mirror *m)
{
    if (m == NULL) {
        return 0;
    }
    if (m->depth == NEST_MAX) {
        return BB_EINVAL;
    }
    struct bbi_db_txn *parent = top(m), *txn = NULL;
    if (m->status == 0 && (m->depth == 0 || parent != NULL)) {
        (void)note(m, bbi_db_write_begin(m->env, parent, &txn));
    }
    m->txn[m->depth++] = m->status < 0 ? NULL : txn;
    return 0;
}

void
bbi_mirror_abort(struct bbi_mirror *m)
{
    if (m == NULL || m->depth == 0) {
        return;
    }
    struct bbi_db_txn *txn = m->txn[--m->depth];
    if (txn != NULL) {
        bbi_db_abort(txn);
    }
}

int
bbi_mirror_commit(struct bbi_mirror *m)
{
    if (m == NULL || m->depth == 0) {
        return 0;
    }
    if (m->status < 0) {
        bbi_mirror_abort(m);
        return 0;
    }
    struct bbi_db_txn *txn = m->txn[--m->depth];
    return txn != NULL ? note(m, bbi_db_commit(txn)) : 0;
}

uint64_t
bbi_mirror_bytes(const struct bbi_mirror *m)
{
    return m != NULL ? bbi_db_file_bytes(m->env) : 0;
}

/* ---- the environment ---- */

static int
open_env(struct bb_store *s, uint64_t generation, unsigned flags, struct bbi_db_env **out)
{
    char path[320];
    bbi_store_dir_gen_path(&s->dir, generation, true, path);
    return bbi_db_open(out, path, bbi_quota_map_bytes(s->quota_bytes), flags, s->dir.file_mode,
                       &bbi_master_house(s)->why);
}

static unsigned
own_flags(const struct bb_store *s)
{
    return s->dir.is_memory                     ? BBI_DB_NOSYNC
           : (s->flags & BB_STORE_RELAXED) != 0 ? BBI_DB_RELAXED
                                                : 0;
}

/* ---- steps ---- */

int
bbi_compaction_start(struct bb_store *s)
{
    struct bbi_house *house = bbi_master_house(s);
    if (house->mirror != NULL) {
        return BB_EBUSY;
    }
    int rc = bbi_quota_has_room_for_copy(s);
    if (rc < 0) {
        return rc;
    }
    struct bbi_mirror *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return BB_ENOMEM;
    }
    m->old = house->env;
    m->generation = house->state.generation + 1;
    m->db = BBI_DB_MAIN;
    bbi_store_dir_tidy(&s->dir, house->state.generation);
    rc = bbi_store_dir_make_gen(&s->dir, m->generation, true);
    if (rc == 0) {
        rc = open_env(s, m->generation, BBI_DB_MAKE | BBI_DB_NOSYNC, &m->env);
    }
    if (rc < 0) {
        bbi_store_dir_tidy(&s->dir, house->state.generation);
        free(m);
        return rc;
    }
    BBI_HOOK("store:gen_opened");
    house->mirror = m;
    bbi_store_relaxed(&s->dir.ctl->compaction_status, (uint64_t)(int64_t)BB_EAGAIN);
    return 0;
}

static void
give_up(struct bb_store *s, int status)
{
    struct bbi_house *house = bbi_master_house(s);
    struct bbi_mirror *m = house->mirror;
    while (m->depth > 0) {
        bbi_mirror_abort(m);
    }
    if (m->env != NULL) {
        bbi_db_close(m->env);
    }
    free(m);
    house->mirror = NULL;
    house->tried_ns = bbi_os_mono_ns();
    bbi_store_dir_tidy(&s->dir, house->state.generation);
    bbi_store_release(&s->dir.ctl->compaction_status, (uint64_t)(int64_t)status);
}

void
bbi_compaction_stop(struct bb_store *s)
{
    if (bbi_master_house(s)->mirror != NULL) {
        give_up(s, BB_ECANCELED);
    }
}

/* The first entry behind `at`. */
static int
behind(const struct bbi_mirror *m,
       struct bbi_db_cursor *c,
       struct bbi_bytes *key,
       struct bbi_bytes *val)
{
    const struct bbi_bytes at = {.p = m->at_bytes != 0 ? m->at : NULL, .bytes = m->at_bytes};
    int rc = bbi_db_seek(c, at, key, val);
    if (rc == 0 && m->at_bytes != 0 && key->bytes == m->at_bytes
        && memcmp(key->p, m->at, m->at_bytes) == 0) {
        rc = bbi_db_next(c, key, val);
    }
    return rc;
}

static int
copy_entry(struct bbi_mirror *m, struct bbi_bytes key, struct bbi_bytes val)
{
    if (key.bytes > sizeof(m->at)) {
        return BB_ECORRUPT;
    }
    int rc = bbi_db_put(top(m), m->db, key, val, BBI_DB_APPEND);
    if (rc == 0) {
        memcpy(m->at, key.p, key.bytes);
        m->at_bytes = key.bytes;
        m->copied_bytes += key.bytes + val.bytes;
        m->unsynced_bytes += key.bytes + val.bytes;
    }
    return rc;
}

/* Entries of one table: 1 there may be more, 0 it is at its end. */
static int
copy_table(struct bbi_mirror *m, struct bbi_db_txn *view, uint64_t end_bytes, int64_t until_ns)
{
    struct bbi_db_cursor *c = NULL;
    struct bbi_bytes key, val;
    int rc = bbi_db_cursor_open(&c, view, m->db);
    if (rc < 0) {
        return rc;
    }
    uint64_t looked_bytes = m->copied_bytes;
    rc = behind(m, c, &key, &val);
    for (unsigned n = 1; rc == 0; n++) {
        rc = copy_entry(m, key, val);
        if (rc < 0) {
            break;
        }
        if (n % LOOK_ENTRIES == 0 || m->copied_bytes - looked_bytes >= LOOK_BYTES) {
            looked_bytes = m->copied_bytes;
            if (m->copied_bytes >= end_bytes || bbi_os_mono_ns() >= until_ns) {
                rc = 1;
                break;
            }
        }
        rc = bbi_db_next(c, &key, &val);
    }
    bbi_db_cursor_close(c);
    return rc == BB_ENOENT ? 0 : rc;
}

/* META goes in one piece, at the end; what it says of its generation is true of the new one. */
static int
copy_meta(struct bbi_mirror *m, struct bbi_db_txn *view, struct bbi_state *state)
{
    static const char name[] = BBI_META_STATE;
    const struct bbi_bytes key = {.p = name, .bytes = sizeof(name) - 1};
    int rc = copy_table(m, view, UINT64_MAX, INT64_MAX);
    state->generation = m->generation;
    return rc < 0 ? rc
                  : bbi_db_put(top(m), BBI_DB_META, key,
                               (struct bbi_bytes){.p = state, .bytes = sizeof(*state)}, 0);
}

/* One transaction of the new one: 1 there is more, 0 all is copied. */
static int
copy_some(struct bbi_house *house, struct bbi_db_txn *view, int64_t until_ns)
{
    struct bbi_mirror *m = house->mirror;
    struct bbi_state state = house->state;
    uint64_t end_bytes = m->copied_bytes + STEP_BYTES;
    int rc = 0;
    while (rc == 0 && m->db < BBI_DB_META) {
        rc = copy_table(m, view, end_bytes, until_ns);
        if (rc == 0) {
            m->db = (enum bbi_db)(m->db + 1);
            m->at_bytes = 0;
        }
    }
    return rc == 0 ? copy_meta(m, view, &state) : rc;
}

static int
copy_step(struct bbi_house *house, int64_t until_ns)
{
    struct bbi_mirror *m = house->mirror;
    struct bbi_db_txn *view = NULL;
    int rc = bbi_db_read_begin(m->old, &view);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_mirror_begin(m);
    rc = rc == 0 ? m->status : rc;
    if (rc == 0) {
        rc = copy_some(house, view, until_ns);
    }
    bbi_db_abort(view);
    if (rc < 0) {
        bbi_mirror_abort(m);
        return rc;
    }
    int committed = bbi_mirror_commit(m);
    return committed < 0 ? committed : m->status < 0 ? m->status : rc;
}

/* Who still looks into the old one is asked for until nobody does (quota.c). */
static void
retire(struct bb_store *s, struct bbi_db_env *env, uint64_t generation)
{
    struct bbi_house *house = bbi_master_house(s);
    if (!s->is_viewing) {
        bbi_read_close(s);
    }
    if (house->retired_count == BBI_RETIRED_MAX) {
        bbi_db_close(
            env); /* its bytes are not counted any more; bbi_compaction_start() sees that it is rare */
        return;
    }
    house->retired[house->retired_count++] =
        (struct bbi_retired){.env = env,
                             .generation = generation,
                             .file_bytes = bbi_db_file_bytes(env),
                             .since_ns = bbi_os_mono_ns()};
}

static bool
is_current(const struct bb_store *s, uint64_t generation)
{
    uint64_t now = 0;
    return bbi_store_dir_current(&s->dir, &now) == 0 && now == generation;
}

/* All is copied: opened anew as the store wants it, synced, then named. */
static int
switch_over(struct bb_store *s)
{
    struct bbi_house *house = bbi_master_house(s);
    struct bbi_mirror *m = house->mirror;
    uint64_t before = house->state.generation;
    int rc = s->dir.is_memory ? 0 : bbi_db_sync(m->env);
    BBI_HOOK("store:copied_synced");
    bbi_db_close(m->env);
    m->env = NULL;
    if (rc == 0) {
        rc = open_env(s, m->generation, own_flags(s), &m->env);
    }
    if (rc < 0) {
        return rc;
    }
    BBI_HOOK("store:gen_ready");
    rc = bbi_store_dir_switch(&s->dir, m->generation);
    if (rc < 0 && !is_current(s, m->generation)) {
        return rc;
    }
    BBI_HOOK("store:gen_switched");
    house->env = m->env;
    house->state.generation = m->generation;
    bbi_store_release(&s->dir.ctl->generation, m->generation); /* S2 */
    retire(s, m->old, before);
    free(m);
    house->mirror = NULL;
    house->looked_ns = 0;
    bbi_store_dir_tidy(&s->dir, house->state.generation);
    bbi_store_release(&s->dir.ctl->compaction_status, 0);
    BBI_HOOK("store:gen_tidied");
    return rc; /* named, but perhaps not for ever: a fault that ends the mastership */
}

int
bbi_compaction_step(struct bb_store *s, int64_t until_ns)
{
    struct bbi_house *house = bbi_master_house(s);
    struct bbi_mirror *m = house->mirror;
    if (m == NULL) {
        return 0;
    }
    int rc = m->status;
    if (rc == 0) {
        rc = copy_step(house, until_ns);
    }
    if (rc == 0) {
        BBI_HOOK("store:gen_copied");
        rc = switch_over(s);
    } else if (rc > 0 && m->unsynced_bytes >= SYNC_BYTES && !s->dir.is_memory) {
        m->unsynced_bytes = 0;
        int synced = bbi_db_sync(m->env);
        rc = synced < 0 ? synced : rc;
    }
    if (rc > 0) {
        bbi_store_relaxed(&s->dir.ctl->compaction_bytes, m->copied_bytes);
        rc = bbi_quota_is_over(s) ? BB_ENOSPC : rc;
    }
    if (rc < 0 && house->mirror != NULL) {
        give_up(s, rc);
    }
    return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/admit.c - what a master does before it opens a store.
 *
 * After kill -9 nothing has to be looked at: LMDB's state is that of the last commit, whatever was going on.  After a
 * power cut the same holds if every sync was one; a disk that lies, or a backup that was made by copying files under
 * a running master, are reasons to look.  So a store that no master closed, and that this boot of the box has not
 * served yet, is read whole before it is believed.  That this boot has served it is known without reading it: its
 * ctl, which is made anew on each boot, counts masters.
 */
#include "lib/store/store_impl.h"
#include "lib/store/verify.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <string.h>

static int
put_state(struct bbi_db_env *env, const struct bbi_state *state)
{
    static const char name[] = BBI_META_STATE;
    struct bbi_db_txn *txn = NULL;
    int rc = bbi_db_write_begin(env, NULL, &txn);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_db_put(txn, BBI_DB_META, (struct bbi_bytes){name, sizeof(name) - 1},
                    (struct bbi_bytes){state, sizeof(*state)}, 0);
    if (rc < 0) {
        bbi_db_abort(txn);
        return rc;
    }
    return bbi_db_commit(txn);
}

int
bbi_store_begin_empty(struct bb_store *s, uint64_t generation, struct bbi_fault *f)
{
    struct bbi_state state = {.format = BBI_STORE_FORMAT, .is_clean = 1, .generation = generation};
    struct bbi_db_env *env = NULL;
    char path[320];
    bbi_os_random(state.store_id, sizeof(state.store_id));
    bbi_store_dir_gen_path(&s->dir, generation, true, path);
    bbi_store_dir_tidy(&s->dir, generation - 1); /* what one that was not finished left */
    int rc = bbi_store_dir_make_gen(&s->dir, generation, true);
    if (rc < 0) {
        return bbi_fault_set(f, rc, path, "%s cannot be made: %s", path, bb_strerror(rc));
    }
    rc = bbi_db_open(&env, path, s->quota_bytes,
                     BBI_DB_MAKE | (s->dir.is_memory ? BBI_DB_NOSYNC : 0), s->dir.file_mode, f);
    if (rc < 0) {
        return rc;
    }
    rc = put_state(env, &state);
    rc = rc == 0 && !s->dir.is_memory ? bbi_db_sync(env) : rc;
    bbi_db_close(env);
    BBI_HOOK("store:empty_made");
    rc = rc == 0 ? bbi_store_dir_switch(&s->dir, generation) : rc;
    if (rc < 0) {
        return bbi_fault_set(f, rc, path, "an empty store in %s cannot be made: %s", s->dir.path,
                             bb_strerror(rc));
    }
    bbi_store_release(&s->dir.ctl->generation, generation); /* S2 */
    bbi_store_dir_tidy(&s->dir, generation);
    BBI_HOOK("store:empty_counts");
    return 0;
}

static int
set_aside(struct bb_store *s,
          uint64_t *generation,
          const struct bb_store_verdict *verdict,
          struct bbi_fault *f)
{
    char where[320];
    int rc = bbi_store_dir_set_aside(&s->dir, where);
    if (rc < 0) {
        return bbi_fault_set(f, rc, s->dir.path,
                             "the damaged store in %s cannot be moved aside: %s", s->dir.path,
                             bb_strerror(rc));
    }
    *generation += 1; /* another number: who still reads the old one opens anew */
    rc = bbi_store_begin_empty(s, *generation, f);
    if (rc == 0) {
        (void)bbi_fault_set(
            f, 0, s->dir.path,
            "store '%s' was damaged (%.120s): it begins empty, what was there is in %s", s->name,
            verdict->what, where);
    }
    return rc;
}

/* 0: it can be opened.  BB_ECORRUPT and BB_EVERSION are what it is, others are about the attempt. */
static int
look_at_it(struct bb_store *s, uint64_t generation, struct bb_store_verdict *verdict)
{
    char path[320];
    bool must = (s->flags & BB_STORE_VERIFY) != 0;
    if (!must && (s->dir.is_memory || bbi_load_relaxed(&s->dir.ctl->takeovers) != 0)) {
        return 0;
    }
    bbi_store_dir_gen_path(&s->dir, generation, false, path);
    return bbi_verify_dir(path, !must, verdict);
}

int
bbi_store_admit(struct bb_store *s, uint64_t *generation, struct bbi_fault *f)
{
    struct bb_store_verdict verdict = {0};
    int rc = bbi_store_dir_current(&s->dir, generation);
    if (rc == BB_ENOENT || (s->flags & BB_STORE_FRESH) != 0) {
        /* Who began one before and died left a part of it, also when nothing counts yet. */
        bbi_store_dir_tidy(&s->dir, rc == 0 ? *generation : 0);
        *generation = rc == 0 ? *generation + 1 : 1;
        return bbi_store_begin_empty(s, *generation, f);
    }
    if (rc < 0) {
        return bbi_fault_set(f, rc, s->dir.path, "%s/current: %s", s->dir.path, bb_strerror(rc));
    }
    bbi_store_dir_tidy(&s->dir, *generation);
    rc = look_at_it(s, *generation, &verdict);
    if (rc == BB_ENOENT) { /* what `current` names has no data: lost, not made */
        rc = BB_ECORRUPT;
    }
    if (rc == BB_ECORRUPT && (s->flags & BB_STORE_START_EMPTY) != 0) {
        return set_aside(s, generation, &verdict, f);
    }
    if (rc < 0) {
        return bbi_fault_set(
            f, rc, s->dir.path,
            "store '%s' in %s is damaged or cannot be read (%.120s): restore a copy, "
            "or let it begin empty (what is there is kept)",
            s->name, s->dir.path, verdict.what);
    }
    return 0;
}

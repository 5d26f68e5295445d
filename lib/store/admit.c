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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SMALL_BYTES (UINT64_C(256) << 20) /* read in well under a second */

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

/* The next one has another number: who still reads the old one opens anew. */
static int
set_aside(struct bb_store *s, uint64_t *generation, const char *what, struct bbi_fault *f)
{
    struct bbi_store_gens gens;
    char where[320];
    bbi_store_dir_gens(&s->dir, &gens);
    int rc = bbi_store_dir_set_aside(&s->dir, 0, where);
    if (rc < 0) {
        return bbi_fault_set(f, rc, s->dir.path,
                             "the damaged store in %s cannot be moved aside: %s", s->dir.path,
                             bb_strerror(rc));
    }
    *generation = (gens.newest > *generation ? gens.newest : *generation) + 1;
    rc = bbi_store_begin_empty(s, *generation, f);
    if (rc == 0) {
        (void)bbi_fault_set(
            f, 0, s->dir.path,
            "store '%s' was damaged (%.120s): it begins empty, what was there is in %s", s->name,
            what, where);
    }
    return rc;
}

/* ---- `current` does not say which ---------------------------------------------------------------- */

/* The only one there, not older than what this boot served, and whole: its master died before it was named. */
static bool
is_surely_it(struct bb_store *s, const struct bbi_store_gens *gens)
{
    struct bb_store_verdict verdict;
    char path[320];
    if (gens->count != 1 || gens->newest < bbi_load_relaxed(&s->dir.ctl->generation)) {
        return false;
    }
    bbi_store_dir_gen_path(&s->dir, gens->newest, false, path);
    return bbi_verify_dir(path, BBI_VERIFY_ALL, &verdict) == 0;
}

static int
say_lost(struct bb_store *s, const struct bbi_store_gens *gens, int why, struct bbi_fault *f)
{
    const char *dir = s->dir.path;
    return gens->count == 0
               ? bbi_fault_set(
                   f, BB_ECORRUPT, dir,
                   "store '%s': %s/current names a generation that has no data: restore a "
                   "copy, or let it begin empty (START_EMPTY keeps what is there)",
                   s->name, dir)
               : bbi_fault_set(
                   f, BB_ECORRUPT, dir,
                   "store '%s': %s/current %s, and there is %s: name the one that counts (ln -s "
                   "gen-N %s/current), or let it begin empty (START_EMPTY moves all of them aside)",
                   s->name, dir, why == BB_ENOENT ? "is missing" : "names none that has data",
                   gens->names, dir);
}

/* why: BB_ENOENT there is no `current`; BB_ECORRUPT it is no link to a generation that has data. */
static int
admit_lost(struct bb_store *s, int why, uint64_t *generation, struct bbi_fault *f)
{
    struct bbi_store_gens gens;
    int rc;
    bbi_store_dir_gens(&s->dir, &gens);
    if (why == BB_ENOENT && gens.count == 0) {
        bbi_store_dir_tidy(&s->dir, 0); /* what one that died while it began left */
        *generation = 1;
        return bbi_store_begin_empty(s, 1, f);
    }
    if (why == BB_ENOENT && is_surely_it(s, &gens)) {
        *generation = gens.newest;
        rc = bbi_store_dir_point(&s->dir, gens.newest);
        return rc < 0 ? bbi_fault_set(f, rc, s->dir.path, "%s/current cannot be made: %s",
                                      s->dir.path, bb_strerror(rc))
                      : 0;
    }
    if ((s->flags & BB_STORE_START_EMPTY) != 0) {
        return set_aside(s, generation, "`current` does not name it", f);
    }
    return say_lost(s, &gens, why, f);
}

/* ---- which one ----------------------------------------------------------------------------------- */

static bool
has_data(const struct bb_store *s, uint64_t generation, struct stat *st)
{
    char path[384];
    bbi_store_dir_gen_path(&s->dir, generation, false, path);
    size_t n = strlen(path);
    (void)snprintf(path + n, sizeof(path) - n, "/data.mdb");
    return stat(path, st) == 0;
}

/*
 * 0: it can be opened.  BB_ECORRUPT and BB_EVERSION are what it is, others are about the attempt.  A small one is
 * read also when this boot served it, if its master did not close it or the box was booted since; a large one would
 * keep its clients waiting.  Who takes over from a dead master does not stop for that.
 */
static int
look_at_it(struct bb_store *s,
           uint64_t generation,
           uint64_t bytes,
           struct bb_store_verdict *verdict)
{
    char path[320];
    bool is_served = bbi_load_relaxed(&s->dir.ctl->takeovers) != 0;
    bool must = (s->flags & BB_STORE_VERIFY) != 0
                || (int64_t)bbi_load_relaxed(&s->dir.ctl->last_error) == BB_ECORRUPT;
    bool is_small = s->role == BB_STORE_MASTER && bytes <= SMALL_BYTES;
    if (!must && (s->dir.is_memory || (is_served && !is_small))) {
        return 0;
    }
    bbi_store_dir_gen_path(&s->dir, generation, false, path);
    return bbi_verify_dir(path,
                          must       ? BBI_VERIFY_ALL
                          : is_small ? BBI_VERIFY_UNLESS_CLOSED
                                     : BBI_VERIFY_UNLESS_KNOWN,
                          verdict);
}

int
bbi_store_admit(struct bb_store *s, uint64_t *generation, struct bbi_fault *f)
{
    struct bb_store_verdict verdict = {0};
    struct stat st;
    *generation = 0;
    int rc = bbi_store_dir_current(&s->dir, generation);
    if ((s->flags & BB_STORE_FRESH) != 0) {
        struct bbi_store_gens gens;
        bbi_store_dir_gens(&s->dir, &gens);
        *generation = (gens.newest > *generation ? gens.newest : *generation) + 1;
        return bbi_store_begin_empty(s, *generation, f);
    }
    if (rc < 0 && rc != BB_ENOENT && rc != BB_ECORRUPT) {
        return bbi_fault_set(f, rc, s->dir.path, "%s/current: %s", s->dir.path, bb_strerror(rc));
    }
    if (rc < 0 || !has_data(s, *generation, &st)) {
        return admit_lost(s, rc < 0 ? rc : BB_ECORRUPT, generation, f);
    }
    rc = look_at_it(s, *generation, (uint64_t)st.st_size, &verdict);
    if (rc == BB_ECORRUPT && (s->flags & BB_STORE_START_EMPTY) != 0) {
        return set_aside(s, generation, verdict.what, f);
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

int
bbi_store_tidy_opened(struct bb_store *s, uint64_t generation, struct bbi_fault *f)
{
    struct bbi_store_gens gens;
    char where[320];
    bbi_store_dir_gens(&s->dir, &gens);
    if (gens.newest > generation + 1) { /* nobody made that by a switch: it may be the better one */
        int rc = bbi_store_dir_set_aside(&s->dir, generation + 1, where);
        if (rc < 0) {
            return bbi_fault_set(f, rc, s->dir.path,
                                 "%s has generations later than the one that counts, and they "
                                 "cannot be moved aside: %s",
                                 s->dir.path, bb_strerror(rc));
        }
    }
    bbi_store_dir_tidy(&s->dir, generation);
    return 0;
}

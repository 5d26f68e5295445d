/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A compaction ends with two equal generations whatever is written meanwhile, and dying or failing at any
 *         step leaves one good generation; the quota counts what it must and acts; a damaged store is seen.
 * Method  A store's directory and environment as a master has them, without a bus: transactions are made by hand
 *         between short steps, and all tables are compared.  A child dies at each hook.
 */
#include "lib/store/master_impl.h"
#include "lib/store/quota.h"
#include "lib/store/verify.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUOTA (UINT64_C(8) << 20)

/* Criterion's asserts are for the test's own process: a child that fails ends. */
static bool is_child;
#define MUST(cond, ...)                                                                            \
    do {                                                                                           \
        if (is_child && !(cond)) {                                                                 \
            (void)fprintf(stderr, __VA_ARGS__);                                                    \
            _exit(3);                                                                              \
        } else if (!is_child) {                                                                    \
            cr_assert(cond, __VA_ARGS__);                                                          \
        }                                                                                          \
    } while (0)

static char path[200];
static struct bb_store store;
static struct bbi_master *master;

static int
remove_one(const char *p, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(p);
}

static void
fini(void)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- a master without a bus ---- */

static int
open_env(uint64_t generation)
{
    char gen[320];
    struct bbi_fault f = {0};
    bbi_store_dir_gen_path(&store.dir, generation, false, gen);
    int rc =
        bbi_db_open(&master->house.env, gen, bbi_quota_map_bytes(store.quota_bytes), 0, 0600, &f);
    MUST(rc == 0, "%s", f.sentence);
    return rc;
}

static void
open_store(uint32_t flags)
{
    uint64_t generation = 0;
    struct bbi_fault f = {0};
    store = (struct bb_store){.name = "s", .flags = flags, .quota_bytes = QUOTA};
    store.master = master = calloc(1, sizeof(*master));
    int rc = bbi_store_dir_make(&store.dir, path, false, false, &f);
    MUST(rc == 0, "%s", f.sentence);
    bbi_store_relaxed(&store.dir.ctl->takeovers, 2); /* as if a master had served it on this boot */
    rc = bbi_store_admit(&store, &generation, &f);
    MUST(rc == 0, "%s", f.sentence);
    (void)open_env(generation);
    master->house.state = (struct bbi_state){.format = BBI_STORE_FORMAT, .generation = generation};
}

static void
close_store(void)
{
    bbi_house_fini(&store);
    bbi_db_close(master->house.env);
    bbi_store_dir_close(&store.dir);
    free(master);
}

static void
init(void)
{
    (void)snprintf(path, sizeof(path), "/dev/shm/busbar-test-gen-%d", (int)getpid());
    fini();
    open_store(0);
}

static struct bbi_bytes
str(const char *s)
{
    return (struct bbi_bytes){.p = s, .bytes = strlen(s)};
}

/* One transaction of the old and, with it, of the mirror. */
struct pair {
    struct bbi_db_txn *txn;
    struct bbi_mirror *mirror;
};

static struct pair
begin(struct bbi_db_txn *parent)
{
    struct pair p = {.mirror = master->house.mirror};
    cr_assert_eq(bbi_db_write_begin(master->house.env, parent, &p.txn), 0);
    cr_assert_eq(bbi_mirror_begin(p.mirror), 0);
    return p;
}

static void
commit(struct pair p)
{
    cr_assert_eq(bbi_db_commit(p.txn), 0);
    cr_assert_eq(bbi_mirror_commit(p.mirror), 0);
}

static void
undo(struct pair p)
{
    bbi_db_abort(p.txn);
    bbi_mirror_abort(p.mirror);
}

static void
put(struct pair p, enum bbi_db db, const char *key, const char *val)
{
    cr_assert_eq(bbi_db_put(p.txn, db, str(key), str(val), 0), 0);
    cr_assert_eq(bbi_mirror_put(p.mirror, db, str(key), str(val)), 0);
}

static void
del(struct pair p, enum bbi_db db, const char *key)
{
    cr_assert_eq(bbi_db_del(p.txn, db, str(key)), 0);
    cr_assert_eq(bbi_mirror_del(p.mirror, db, str(key)), 0);
}

static void
drop(struct pair p, enum bbi_db db)
{
    cr_assert_eq(bbi_db_drop(p.txn, db), 0);
    cr_assert_eq(bbi_mirror_drop(p.mirror, db), 0);
}

static void
fill(enum bbi_db db, int from, int to, const char *val)
{
    char key[24];
    struct pair p = begin(NULL);
    for (int i = from; i < to; i++) {
        (void)snprintf(key, sizeof(key), "k%06d", i);
        put(p, db, key, val);
    }
    commit(p);
}

/* ---- all tables as bytes ---- */

struct dump {
    char *p;
    size_t bytes;
};

static struct dump
dump(struct bbi_db_env *env)
{
    struct dump d = {0};
    FILE *f = open_memstream(&d.p, &d.bytes);
    struct bbi_db_txn *txn;
    struct bbi_bytes k, v;
    cr_assert_eq(bbi_db_read_begin(env, &txn), 0);
    for (int db = 0; db < BBI_DB_COUNT; db++) {
        struct bbi_db_cursor *c;
        cr_assert_eq(bbi_db_cursor_open(&c, txn, (enum bbi_db)db), 0);
        for (int rc = bbi_db_seek(c, (struct bbi_bytes){0}, &k, &v); rc == 0;
             rc = bbi_db_next(c, &k, &v)) {
            bool is_state = db == BBI_DB_META && k.bytes == 5 && memcmp(k.p, "state", 5) == 0;
            (void)fprintf(f, "%d %.*s=", db, (int)k.bytes, (const char *)k.p);
            (void)fprintf(f, "%.*s\n", is_state ? 0 : (int)v.bytes, (const char *)v.p);
        }
        bbi_db_cursor_close(c);
    }
    bbi_db_abort(txn);
    (void)fclose(f);
    return d;
}

static void
check_same(struct dump a, struct dump b)
{
    cr_assert_eq(a.bytes, b.bytes, "%zu and %zu bytes", a.bytes, b.bytes);
    cr_assert_eq(memcmp(a.p, b.p, a.bytes), 0, "tables differ");
    free(a.p);
    free(b.p);
}

/* Steps of a few entries each; between() before each, with the step's number. */
static int
compact(void (*between)(int step))
{
    int rc = bbi_compaction_start(&store);
    for (int step = 0; rc >= 0 && (step == 0 || rc == 1); step++) {
        if (between != NULL) {
            between(step);
        }
        rc = bbi_compaction_step(&store, 0);
    }
    return rc;
}

/* ---- compaction ---- */

static char *val(char c, size_t n);
static char *
val(char c, size_t n)
{
    static char room[4096];
    memset(room, c, n);
    room[n] = '\0';
    return room;
}

static void
fill_all(void)
{
    for (int db = 0; db < BBI_DB_META; db++) {
        fill((enum bbi_db)db, 0, 300, val((char)('a' + db), 200));
    }
    fill(BBI_DB_META, 0, 5, "x");
}

Test(store_generation, all_tables_are_copied, .init = init, .fini = fini, .timeout = 60)
{
    fill_all();
    struct dump before = dump(master->house.env);
    cr_assert_eq(compact(NULL), 0);
    cr_assert_eq(master->house.state.generation, 2);
    cr_assert_eq(master->house.retired_count, 1);
    check_same(before, dump(master->house.env));
    cr_assert_eq(bbi_quota_look(&store, false), 0);
    cr_assert_eq(master->house.retired_count, 0, "nobody reads the old one");
    close_store();
}

/* Each step of ours writes before, at and behind the place, some of it undone. */
static void
write_between(int step)
{
    char key[24];
    struct pair p = begin(NULL);
    (void)snprintf(key, sizeof(key), "k%06d", step * 7 % 300);
    put(p, BBI_DB_MAIN, key, "changed");
    (void)snprintf(key, sizeof(key), "k%06dnew", step * 31 % 300);
    put(p, BBI_DB_EXPIRY, key, "inserted");
    put(p, BBI_DB_DONE, key, "inserted");
    (void)snprintf(key, sizeof(key), "k%06d", 299 - step);
    if (step < 200) {
        del(p, BBI_DB_LOG, key);
    }
    struct pair nested = begin(p.txn);
    put(nested, BBI_DB_MAIN, "k000000undone", "never");
    if (step % 2 == 0) {
        undo(nested);
    } else {
        del(nested, BBI_DB_MAIN, "k000000undone");
        put(nested, BBI_DB_MAIN, "k000000kept", "always");
        commit(nested);
    }
    commit(p);
    p = begin(NULL);
    put(p, BBI_DB_MAIN, "k000001undone", "never");
    put(p, BBI_DB_META, "note", "never");
    undo(p);
}

static struct dump at_last;
static void
write_and_dump(int step)
{
    write_between(step);
    free(at_last.p);
    at_last = dump(master->house.env);
}

Test(store_generation,
     what_is_written_meanwhile_is_in_both,
     .init = init,
     .fini = fini,
     .timeout = 60)
{
    fill_all();
    cr_assert_eq(compact(write_and_dump), 0);
    check_same(at_last, dump(master->house.env));
    close_store();
}

static void
drop_between(int step)
{
    write_between(step);
    if (step == 8 || step == 40) {
        struct pair p = begin(NULL);
        drop(p, step == 8 ? BBI_DB_MAIN : BBI_DB_EXPIRY);
        put(p, BBI_DB_MAIN, "k000000", "after");
        put(p, BBI_DB_MAIN, "z", "after");
        commit(p);
    }
    free(at_last.p);
    at_last = dump(master->house.env);
}

Test(store_generation, tables_are_cleared_meanwhile, .init = init, .fini = fini, .timeout = 60)
{
    fill_all();
    cr_assert_eq(compact(drop_between), 0);
    check_same(at_last, dump(master->house.env));
    close_store();
}

Test(store_generation,
     one_at_a_time_and_given_up_leaves_nothing,
     .init = init,
     .fini = fini,
     .timeout = 60)
{
    char gen[320];
    struct stat st;
    fill_all();
    struct dump before = dump(master->house.env);
    cr_assert_eq(bbi_compaction_start(&store), 0);
    cr_assert_eq(bbi_compaction_start(&store), BB_EBUSY);
    cr_assert_eq(bbi_compaction_step(&store, 0), 1);
    store.quota_bytes = 1 << 20; /* both are more than that now */
    fill(BBI_DB_MAIN, 1000, 3000, val('b', 300));
    int rc;
    while ((rc = bbi_compaction_step(&store, 0)) == 1) {
    }
    cr_assert_eq(rc, BB_ENOSPC, "%d", rc);
    cr_assert_eq(master->house.mirror, NULL);
    cr_assert_eq(master->house.state.generation, 1);
    bbi_store_dir_gen_path(&store.dir, 2, true, gen);
    cr_assert_neq(stat(gen, &st), 0, "%s is left", gen);
    cr_assert_eq(bbi_compaction_step(&store, 0), 0, "none is under way");
    free(before.p);
    close_store();
}

/* ---- dying ---- */

static const char *die_at;

static void
die(const char *name)
{
    if (strcmp(name, die_at) == 0) {
        _exit(9);
    }
}

static void
check_death(const char *hook)
{
    struct dump before = dump(master->house.env);
    close_store();
    die_at = hook;
    pid_t pid = fork();
    if (pid == 0) {
        is_child = true;
        open_store(0);
#if defined(BB_HOOKS) && BB_HOOKS
        bbi_hook = die;
#else
        (void)die;
#endif
        int rc = compact(NULL);
        _exit(rc < 0 ? 4 : 1);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 9, "%s was not hit: %d", hook, status);
    open_store(0);
    check_same(before, dump(master->house.env));
    cr_assert_eq(compact(NULL), 0, "after death at %s", hook);
}

Test(store_generation, death_at_any_step_leaves_one, .init = init, .fini = fini, .timeout = 60)
{
#if defined(BB_HOOKS) && BB_HOOKS
    static const char *const hooks[] = {
        "store:gen_made",   "store:gen_opened",     "store:gen_copied",   "store:copied_synced",
        "store:gen_ready",  "store:gen_synced",     "store:gen_renamed",  "store:current_new",
        "store:current",    "store:current_synced", "store:gen_switched", "store:tidied",
        "store:gen_tidied",
    };
    fill_all();
    for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
        check_death(hooks[i]);
    }
    close_store();
#else
    (void)check_death;
    close_store();
    cr_skip_test("this build has no hooks (BB_HOOKS)");
#endif
}

/* ---- the quota ---- */

/* A process that opens a view of the generation that counts and stops there, in it or after it. */
static pid_t
reader(bool is_idle)
{
    int fds[2];
    char gen[320], byte = 0;
    bbi_store_dir_gen_path(&store.dir, master->house.state.generation, false, gen);
    cr_assert_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct bbi_db_env *env;
        struct bbi_db_txn *txn;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (bbi_db_open(&env, gen, QUOTA, BBI_DB_READER, 0600, NULL) == 0
            && bbi_db_read_begin(env, &txn) == 0) {
            if (is_idle) {
                bbi_db_read_reset(txn);
            }
            (void)!write(fds[1], "", 1);
            (void)raise(SIGSTOP);
            (void)pause();
        }
        _exit(1);
    }
    cr_assert_eq(read(fds[0], &byte, 1), 1);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return pid;
}

/* Updates of the same keys until the store was compacted, or so many. */
static int
update(int rounds)
{
    int rc = 0;
    for (int i = 0; i < rounds && rc == 0; i++) {
        fill(BBI_DB_MAIN, 0, 40, val((char)('a' + i % 26), 2000));
        rc = bbi_quota_look(&store, false);
        int step = bbi_compaction_step(&store, bbi_os_mono_ns() + 1000000);
        cr_assert(step >= 0, "step: %d", step);
        uint64_t bytes = bbi_load_relaxed(&store.dir.ctl->file_bytes);
        cr_assert(bytes <= QUOTA, "%lu bytes", (unsigned long)bytes);
    }
    return rc;
}

Test(store_generation,
     a_stuck_reader_is_named_and_left_behind,
     .init = init,
     .fini = fini,
     .timeout = 60)
{
    const struct bbi_store_ctl *ctl = store.dir.ctl;
    fill(BBI_DB_MAIN, 0, 40, val('z', 2000));
    pid_t pid = reader(false);
    cr_assert_eq(update(300), 0, "%s", master->house.why.sentence);
    cr_assert_eq(master->house.state.generation, 2, "one swap is enough, not %lu",
                 (unsigned long)master->house.state.generation);
    master->house.looked_ns = 0;
    cr_assert_eq(bbi_quota_look(&store, false), 0);
    cr_assert_eq((pid_t)bbi_load_relaxed(&ctl->oldest_pid), pid);
    cr_assert(bbi_load_relaxed(&ctl->held_bytes) > QUOTA / 4);
    cr_assert_neq(bbi_load_relaxed(&ctl->oldest_since_ns), 0);
    cr_assert_eq(master->house.retired_count, 1);
    /* Its death frees all of it. */
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    master->house.looked_ns = 0;
    cr_assert_eq(bbi_quota_look(&store, false), 0);
    cr_assert_eq(master->house.retired_count, 0);
    cr_assert_eq(bbi_load_relaxed(&ctl->oldest_pid), 0);
    cr_assert(bbi_load_relaxed(&ctl->file_bytes) < QUOTA / 4);
    close_store();
}

/* An idle reader maps the old one, but holds nothing. */
Test(store_generation, idle_readers_hold_nothing, .init = init, .fini = fini, .timeout = 60)
{
    char gen[320], file[360];
    struct stat st;
    fill_all();
    bbi_store_dir_gen_path(&store.dir, 1, false, gen);
    (void)snprintf(file, sizeof(file), "%s/data.mdb", gen);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    pid_t pid = reader(true);
    cr_assert_eq(compact(NULL), 0);
    cr_assert_eq(bbi_quota_look(&store, false), 0);
    cr_assert_eq(master->house.retired_count, 1, "not at once");
    master->house.retired[0].since_ns -= INT64_C(1000000000);
    master->house.looked_ns = 0;
    cr_assert_eq(bbi_quota_look(&store, false), 0);
    cr_assert_eq(master->house.retired_count, 0);
    cr_assert_eq(fstat(fd, &st), 0);
    cr_assert(st.st_blocks <= 16, "%ld blocks", (long)st.st_blocks);
    (void)close(fd);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    close_store();
}

Test(store_generation,
     stuck_readers_fill_it_and_are_named,
     .init = init,
     .fini = fini,
     .timeout = 60)
{
    enum { READERS = 16 };
    pid_t pids[READERS] = {0};
    int rc = 0, count = 0;
    fill(BBI_DB_MAIN, 0, 40, val('z', 2000));
    while (rc == 0 && count < READERS) { /* one in each generation */
        pids[count++] = reader(false);
        rc = update(300);
    }
    cr_assert_eq(rc, BB_ENOSPC, "%d", rc);
    cr_assert_eq(master->house.why.pid, pids[0], "%s", master->house.why.sentence);
    cr_assert_neq(strstr(master->house.why.sentence, "held by a view"), NULL, "%s",
                  master->house.why.sentence);
    for (int i = 0; i < 40; i++) { /* deletes go on */
        char key[24];
        struct pair p = begin(NULL);
        (void)snprintf(key, sizeof(key), "k%06d", i);
        del(p, BBI_DB_MAIN, key);
        commit(p);
    }
    for (int i = 0; i < count; i++) {
        (void)kill(pids[i], SIGKILL);
        (void)waitpid(pids[i], NULL, 0);
    }
    master->house.looked_ns = 0;
    cr_assert_eq(bbi_quota_look(&store, false), 0, "%s", master->house.why.sentence);
    cr_assert_eq(update(10), 0);
    close_store();
}

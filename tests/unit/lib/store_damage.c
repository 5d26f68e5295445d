/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Nothing that was committed goes because a name, an end of a file or a control file is missing: a master
 *         refuses with a sentence, moves aside when it is asked to, and adopts what can only be the store.
 * Method  A store on disk made by a master; names are removed, files cut; a commit that leaves the file short of its
 *         last page is one transaction that writes a large value and takes it back.
 */
#include "busbar/store.h"
#include "lib/store/store_impl.h"
#include "shm/os.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[300];
static struct bb_error err;
static struct bb_endpoint *ep;
static unsigned char key_room[16];
static struct bb_value one;

static int
open_as(struct bb_store **out, const char *where, uint32_t role, uint32_t flags)
{
    err = (struct bb_error){0};
    return bb_store_open(out, ep,
                         &(struct bb_store_opts){.size = sizeof(struct bb_store_opts),
                                                 .name = "s",
                                                 .role = role,
                                                 .flags = flags,
                                                 .path = where,
                                                 .quota_bytes = 64 << 20,
                                                 .timeout_ns = INT64_C(1000000000),
                                                 .error = &err});
}

static int
master(struct bb_store **out, uint32_t flags)
{
    return open_as(out, path, BB_STORE_MASTER, flags);
}

/* A store with one key that its master closed. */
static void
init(void)
{
    struct bb_store *s = NULL;
    struct bb_builder b;
    bbt_bus_new();
    (void)snprintf(path, sizeof(path), "%s/store", bbt_dir());
    cr_assert_eq(
        bb_endpoint_open(&ep, &(struct bb_endpoint_opts){.size = sizeof(struct bb_endpoint_opts),
                                                         .dir = bbt_dir(),
                                                         .bus = BBT_BUS,
                                                         .name = "maker",
                                                         .error = &err}),
        0, "%s", err.sentence);
    bb_build_init(&b, key_room, sizeof(key_room));
    bb_put_count(&b, 1);
    one = (struct bb_value){.p = key_room, .bytes = (size_t)bb_build_end(&b)};
    cr_assert_eq(master(&s, 0), 0, "%s", err.sentence);
    cr_assert_eq(bb_store_put(s, &one, &one, 0, NULL), 0);
    bb_store_close(s);
}

static void
fini(void)
{
    bb_endpoint_close(ep);
    bbt_bus_end();
}

TestSuite(store_damage, .init = init, .fini = fini, .timeout = 60);

static const char *
at(const char *name)
{
    static char out[2][400];
    static int turn;
    turn = 1 - turn;
    (void)snprintf(out[turn], sizeof(out[turn]), "%s/%s", path, name);
    return out[turn];
}

static bool
is_there(const char *name)
{
    struct stat st;
    return stat(at(name), &st) == 0;
}

static off_t
length_of(const char *name)
{
    struct stat st;
    cr_assert_eq(stat(at(name), &st), 0);
    return st.st_size;
}

static void
check_served(uint32_t flags, int64_t keys)
{
    struct bb_store *s = NULL;
    cr_assert_eq(master(&s, flags), 0, "%s", err.sentence);
    cr_assert_eq(bb_store_count(s, NULL), keys);
    bb_store_close(s);
}

static void
check_refused(const char *words)
{
    struct bb_store *s = NULL;
    cr_assert_eq(master(&s, 0), BB_ECORRUPT);
    cr_assert_not_null(strstr(err.sentence, words), "%s", err.sentence);
    cr_assert_not_null(strstr(err.sentence, path), "%s", err.sentence);
}

/* ---- names --------------------------------------------------------------------------------------- */

Test(store_damage, the_only_generation_is_adopted_when_nothing_names_it)
{
    cr_assert_eq(unlink(at("current")), 0);
    check_served(0, 1);
    check_served(0, 1);
}

/* The only record's value changes in every page that has it, those that are free too. */
static void
spoil_the_record(void)
{
    static unsigned char page[4096];
    unsigned spoiled = 0;
    int fd = open(at("gen-1/data.mdb"), O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    for (off_t off = 2 * (off_t)sizeof(page); pread(fd, page, sizeof(page), off) == sizeof(page);
         off += (off_t)sizeof(page)) {
        unsigned char *p = page;
        while ((p = memmem(p, (size_t)(page + sizeof(page) - p), one.p, one.bytes)) != NULL) {
            p[one.bytes - 1] ^= 1;
            spoiled++;
        }
        cr_assert_eq(pwrite(fd, page, sizeof(page), off), (ssize_t)sizeof(page));
    }
    (void)close(fd);
    cr_assert_geq(spoiled, 2, "key and value");
}

Test(store_damage, a_damaged_generation_is_not_adopted)
{
    spoil_the_record();
    cr_assert_eq(unlink(at("current")), 0);
    check_refused("gen-1");
    cr_assert(is_there("gen-1/data.mdb") && !is_there("current"));
}

Test(store_damage, two_generations_that_nothing_names_are_kept)
{
    char command[900];
    (void)snprintf(command, sizeof(command), "cp -r %s/gen-1 %s/gen-2", path, path);
    cr_assert_eq(system(command), 0); /* NOLINT(cert-env33-c): own names */
    cr_assert_eq(unlink(at("current")), 0);
    check_refused("gen-");
    cr_assert(is_there("gen-1/data.mdb") && is_there("gen-2/data.mdb"));
    cr_assert_eq(symlink("gen-1", at("current")), 0); /* as the sentence says */
    check_served(0, 1);
    cr_assert(!is_there("gen-2"), "as a master leaves it that dies while it switches");
}

Test(store_damage, a_name_that_points_nowhere_is_refused_or_set_aside)
{
    cr_assert_eq(unlink(at("current")), 0);
    cr_assert_eq(symlink("gen-7", at("current")), 0);
    check_refused("gen-1");
    cr_assert(is_there("gen-1/data.mdb"));
    struct bb_store *s = NULL;
    cr_assert_eq(master(&s, BB_STORE_START_EMPTY), 0, "%s", err.sentence);
    cr_assert_eq(bb_store_count(s, NULL), 0);
    const char *where = strstr(err.sentence, "/damaged-");
    cr_assert_not_null(where, "%s", err.sentence);
    char kept[100];
    (void)snprintf(kept, sizeof(kept), "%.60s/gen-1/data.mdb", where + 1);
    cr_assert(is_there(kept), "%s", kept);
    bb_store_close(s);
}

Test(store_damage, a_name_alone_is_no_store)
{
    cr_assert_eq(rename(at("gen-1"), at("taken-away")), 0);
    check_refused("has no data");
    check_served(BB_STORE_START_EMPTY, 0);
}

Test(store_damage, a_later_generation_is_never_removed)
{
    cr_assert_eq(mkdir(at("gen-5"), 0700), 0);
    cr_assert_eq(link(at("gen-1/data.mdb"), at("gen-5/data.mdb")), 0);
    check_served(0, 1);
    cr_assert(!is_there("gen-5"));
    cr_assert_eq(length_of("gen-1/data.mdb") > 0, true);
    struct stat st;
    cr_assert_eq(stat(at("gen-1/data.mdb"), &st), 0);
    cr_assert_eq(st.st_nlink, 2, "it lies in damaged-T");
}

Test(store_damage, a_store_in_memory_does_not_take_the_name_of_one_on_disk)
{
    struct bb_store *s = NULL;
    cr_assert_eq(open_as(&s, NULL, BB_STORE_MASTER, 0), BB_EEXIST);
    cr_assert_not_null(strstr(err.sentence, "--path"), "%s", err.sentence);
    cr_assert_not_null(strstr(err.sentence, path), "%s", err.sentence);
    cr_assert_eq(open_as(&s, NULL, BB_STORE_CLONE, 0), 0, "%s", err.sentence);
    cr_assert_eq(bb_store_put(s, &one, &one, 0, NULL), BB_ETIMEDOUT);
    cr_assert_not_null(strstr(bb_store_error(s)->sentence, "--path"), "%s",
                       bb_store_error(s)->sentence);
    bb_store_close(s);
    check_served(0, 1);
}

Test(store_damage, nothing_is_written_where_it_is_refused)
{
    struct bb_store *s = NULL;
    char other[320], inside[400];
    (void)snprintf(other, sizeof(other), "%s/other", bbt_dir());
    cr_assert_eq(mkdir(other, 0700), 0);
    (void)snprintf(inside, sizeof(inside), "%s/passwd", other);
    cr_assert_eq(mkdir(inside, 0700), 0);
    cr_assert_eq(open_as(&s, other, BB_STORE_MASTER, 0), BB_ENOTSUP, "%s", err.sentence);
    cr_assert_not_null(strstr(err.sentence, "passwd"), "%s", err.sentence);
    cr_assert_eq(rmdir(inside), 0);
    cr_assert_eq(rmdir(other), 0, "something was made in it");

    /* The name is that of a store which is served. */
    cr_assert_eq(master(&s, 0), 0, "%s", err.sentence);
    struct bb_store *second = NULL;
    cr_assert_eq(open_as(&second, other, BB_STORE_MASTER, 0), BB_EEXIST, "%s", err.sentence);
    cr_assert_neq(rmdir(other), 0, "it was made");
    bb_store_close(s);
}

/* ---- lengths ------------------------------------------------------------------------------------- */

Test(store_damage, a_file_that_was_cut_is_refused_before_it_is_read)
{
    struct bb_store *s = NULL;
    const char *const data = "gen-1/data.mdb";
    cr_assert_gt(length_of(data), 12288);
    cr_assert_eq(truncate(at(data), 12288), 0);
    const struct bb_store_opts o = {.size = sizeof(o), .path = path, .error = &err};
    cr_assert_eq(bb_store_open_path(&s, &o), BB_ECORRUPT, "%s", err.sentence);
    check_refused("damaged");
    check_served(BB_STORE_START_EMPTY, 0);
}

Test(store_damage, an_empty_file_is_damage_and_stays_empty)
{
    struct bb_store *s = NULL;
    cr_assert_eq(truncate(at("gen-1/data.mdb"), 0), 0);
    const struct bb_store_opts o = {.size = sizeof(o), .path = path, .error = &err};
    cr_assert_eq(bb_store_open_path(&s, &o), BB_ECORRUPT, "%s", err.sentence);
    check_refused("damaged");
    cr_assert_eq(length_of("gen-1/data.mdb"), 0);
    check_served(BB_STORE_START_EMPTY, 0);
}

/* LMDB does not write the last page when the same transaction gave it back. */
static void
write_and_take_back(struct bbi_db_env *env)
{
    static char large[1 << 20];
    const struct bbi_bytes k = {"k", 1}, small = {"s", 1}, v = {large, sizeof(large)};
    struct bbi_db_txn *txn;
    cr_assert_eq(bbi_db_write_begin(env, NULL, &txn), 0);
    cr_assert_eq(bbi_db_put(txn, BBI_DB_META, k, v, 0), 0);
    cr_assert_eq(bbi_db_del(txn, BBI_DB_META, k), 0);
    cr_assert_eq(bbi_db_put(txn, BBI_DB_META, k, small, 0), 0);
    cr_assert_eq(bbi_db_commit(txn), 0);
}

Test(store_damage, a_commit_leaves_the_file_as_long_as_it_says)
{
    struct bbi_db_env *env;
    cr_assert_eq(bbi_db_open(&env, at("gen-1"), 64 << 20, 0, 0600, NULL), 0);
    write_and_take_back(env);
    uint64_t says = bbi_db_file_bytes(env);
    bbi_db_close(env);
    cr_assert(says > 1 << 20);
    cr_assert_geq((uint64_t)length_of("gen-1/data.mdb"), says);
    /* And as a master leaves it that dies just after such a commit: whole, though it is short. */
    cr_assert_eq(truncate(at("gen-1/data.mdb"), length_of("gen-1/data.mdb") - 4096), 0);
    check_served(0, 1);
    cr_assert_geq((uint64_t)length_of("gen-1/data.mdb"), says);
}

/* ---- the lock and ctl ----------------------------------------------------------------------------- */

/* Polls until it is a fault; 0: it was none in time. */
static int
poll_to_its_end(struct bb_store *s)
{
    int64_t until = bbi_os_mono_ns() + INT64_C(20000000000);
    int rc = 0;
    while (rc >= 0 && bbi_os_mono_ns() < until) {
        rc = bb_store_poll(s, INT64_C(10000000));
    }
    return rc;
}

Test(store_damage, two_masters_are_none_when_the_lock_was_removed)
{
    struct bb_store *s = NULL, *standby = NULL, *second = NULL;
    cr_assert_eq(master(&s, 0), 0, "%s", err.sentence);
    cr_assert_eq(open_as(&standby, path, BB_STORE_STANDBY, 0), 0, "%s", err.sentence);
    cr_assert_eq(unlink(at("lock")), 0);
    cr_assert_eq(master(&second, 0), BB_EEXIST, "it lives, whatever the lock says");
    cr_assert_not_null(strstr(err.sentence, "has a master"), "%s", err.sentence);
    cr_assert_eq(poll_to_its_end(s), BB_EIO);
    cr_assert_not_null(strstr(bb_store_error(s)->sentence, "lock was removed"), "%s",
                       bb_store_error(s)->sentence);
    int64_t until = bbi_os_mono_ns() + INT64_C(20000000000);
    bb_store_close(s);
    while (bb_store_is_master(standby) == 0 && bbi_os_mono_ns() < until) {
        cr_assert_geq(bb_store_poll(standby, INT64_C(10000000)), 0);
    }
    cr_assert_eq(bb_store_is_master(standby), 1);
    cr_assert_eq(master(&second, 0), BB_EEXIST, "it holds the file that the name leads to");
    cr_assert_eq(bb_store_put(standby, &one, &one, 0, NULL), 0);
    bb_store_close(standby);
}

Test(store_damage, a_control_file_that_was_overwritten_is_mended_by_its_master)
{
    struct bb_store *s = NULL, *clone = NULL;
    struct bb_value v;
    static const char zeros[8192];
    cr_assert_eq(master(&s, 0), 0, "%s", err.sentence);
    FILE *file = fopen(at("ctl"), "r+");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(zeros, sizeof(struct bbi_store_ctl), 1, file), 1u);
    (void)fclose(file);
    cr_assert_eq(open_as(&clone, path, BB_STORE_CLONE, 0), BB_ECORRUPT);
    cr_assert_not_null(strstr(err.sentence, "is damaged"), "%s", err.sentence);
    int64_t until = bbi_os_mono_ns() + INT64_C(20000000000);
    int rc = BB_ECORRUPT;
    while (rc < 0 && bbi_os_mono_ns() < until) {
        cr_assert_geq(bb_store_poll(s, INT64_C(10000000)), 0);
        rc = open_as(&clone, path, BB_STORE_CLONE, 0);
    }
    cr_assert_eq(rc, 0, "%s", err.sentence);
    cr_assert_eq(bb_store_get(clone, &one, &v), 0);
    cr_assert_eq(bb_store_version(clone), bb_store_version(s));
    cr_assert_gt(bb_store_version(s), 0u);
    struct bb_store_info info = {.size = sizeof(info)};
    cr_assert_eq(bb_store_info(clone, &info), 0);
    cr_assert_eq(info.has_master, 1u);
    cr_assert_eq(info.master_pid, getpid());
    bb_store_close(clone);
    bb_store_close(s);
}

/* ---- handles -------------------------------------------------------------------------------------- */

static struct bb_endpoint *
attach(const char *name)
{
    struct bb_endpoint *out = NULL;
    cr_assert_eq(
        bb_endpoint_open(&out, &(struct bb_endpoint_opts){.size = sizeof(struct bb_endpoint_opts),
                                                          .dir = bbt_dir(),
                                                          .bus = BBT_BUS,
                                                          .name = name,
                                                          .error = &err}),
        0, "%s", err.sentence);
    return out;
}

static void
check_orphan(struct bb_store *s, struct bb_watch *w)
{
    struct bb_value v;
    struct bb_store_change c;
    struct bb_store_info info = {.size = sizeof(info)};
    struct bb_watch *another;
    cr_assert_eq(bb_store_is_master(s), 0);
    cr_assert_eq(bb_store_put(s, &one, &one, 0, NULL), BB_EINVAL);
    cr_assert_eq(bb_store_poll(s, 0), BB_EINVAL);
    cr_assert_eq(bb_store_compact(s), BB_EINVAL);
    cr_assert_eq(bb_watch_open(&another, s, NULL, 0, NULL), BB_EINVAL);
    cr_assert_eq(bb_watch_next(w, &c, 1, 0), BB_EINVAL);
    cr_assert_eq(bb_store_info(s, &info), 0);
    cr_assert_eq(bb_store_get(s, &one, &v), 0, "what is read in place needs no bus");
    cr_assert_not_null(bb_store_error(s));
    bb_watch_close(w);
    bb_store_close(s);
}

Test(store_damage, an_endpoint_that_goes_first_leaves_handles_that_answer)
{
    struct bb_store *s = NULL, *next = NULL;
    struct bb_watch *w = NULL;
    for (uint32_t role = BB_STORE_MASTER; role <= BB_STORE_STANDBY; role++) {
        struct bb_endpoint *mine = ep;
        ep = attach("short-lived");
        cr_assert_eq(open_as(&s, path, role, 0), 0, "%s", err.sentence);
        cr_assert_eq(bb_store_put(s, &one, &one, 0, NULL), 0);
        cr_assert_eq(bb_watch_open(&w, s, NULL, 0, NULL), 0);
        bb_endpoint_close(ep);
        ep = mine;
        cr_assert_eq(master(&next, 0), 0, "its lock is free: %s", err.sentence);
        check_orphan(s, w);
        bb_store_close(next);
    }
}

Test(store_damage, what_no_caller_may_ask_for)
{
    struct bb_store *s = NULL;
    struct bb_store_result r;
    cr_assert_eq(master(&s, 0), 0, "%s", err.sentence);
    const struct bb_store_cmd keep = {
        .op = BB_STORE_PUT, .expire_ns = INT64_MIN, .key = one, .value = one};
    cr_assert_eq(bb_store_put(s, &one, &one, INT64_MIN, NULL), BB_EINVAL);
    cr_assert_eq(bb_store_run(s, &keep, 1, 0, &r), BB_EINVAL);
    cr_assert_eq(bb_store_send(s, &keep, 1, 0), BB_EINVAL);
    struct bb_store_info info = {.size = 4};
    cr_assert_eq(bb_store_info(s, &info), BB_EINVAL);
    cr_assert_eq(info.size, 4u);
    bb_store_close(s);
}

Test(store_damage, a_forked_child_is_no_master)
{
    struct bb_store *s = NULL;
    cr_assert_eq(master(&s, 0), 0, "%s", err.sentence);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(bb_store_is_master(s) == 0 ? 0 : 1);
    }
    int status = -1;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_assert_eq(bb_store_is_master(s), 1);
    bb_store_close(s);
}

static void
on_alarm(int sig)
{
    (void)sig;
}

Test(store_damage, a_signal_ends_a_masters_poll)
{
    struct bb_store *s = NULL;
    struct sigaction act = {.sa_handler = on_alarm};
    const struct itimerval soon = {.it_value = {.tv_usec = 100000},
                                   .it_interval = {.tv_usec = 100000}};
    cr_assert_eq(master(&s, 0), 0, "%s", err.sentence);
    cr_assert_eq(sigaction(SIGALRM, &act, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
    int64_t from = bbi_os_mono_ns();
    cr_assert_eq(bb_store_poll(s, INT64_C(30000000000)), 0);
    cr_assert_lt(bbi_os_mono_ns() - from, INT64_C(20000000000));
    bb_store_close(s);
}

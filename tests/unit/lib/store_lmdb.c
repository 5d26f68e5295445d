/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: one environment a process, whoever opens it; snapshots that stay; who holds pages is named; a full file is
 * BB_ENOSPC and stays readable; a child of fork does its parent no harm.
 * Method: a directory on the tmpfs for each test, removed afterwards.  What other processes do, forked children do:
 * a reader that stops inside its view, one that is killed there, a writer with a larger map.
 */
#include "lib/store/lmdb.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char where[64];

static void
set_up(void)
{
    (void)snprintf(where, sizeof(where), "/dev/shm/bb-unit-lmdb-XXXXXX");
    cr_assert_not_null(mkdtemp(where));
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void
tear_down(void)
{
    (void)nftw(where, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(store_lmdb, .timeout = 60, .init = set_up, .fini = tear_down);

static const uint64_t MAP = UINT64_C(16) << 20;

static struct bbi_db_env *
open_for(unsigned flags, uint64_t map_bytes)
{
    struct bbi_db_env *env = NULL;
    struct bbi_fault f;
    int rc = bbi_db_open(&env, where, map_bytes, flags, 0600, &f);
    cr_assert_eq(rc, 0, "%d %s", rc, rc < 0 ? f.sentence : "");
    return env;
}

static struct bbi_db_env *
make(void)
{
    return open_for(BBI_DB_MAKE | BBI_DB_NOSYNC, MAP);
}

static struct bbi_bytes
bytes(const char *s)
{
    return (struct bbi_bytes){s, strlen(s)};
}

static void
put(struct bbi_db_env *env, const char *key, const char *val)
{
    struct bbi_db_txn *txn;
    cr_assert_eq(bbi_db_write_begin(env, NULL, &txn), 0);
    cr_assert_eq(bbi_db_put(txn, BBI_DB_MAIN, bytes(key), bytes(val), 0), 0);
    cr_assert_eq(bbi_db_commit(txn), 0);
}

static bool
has(struct bbi_db_txn *txn, const char *key, const char *val)
{
    struct bbi_bytes got;
    int rc = bbi_db_get(txn, BBI_DB_MAIN, bytes(key), &got);
    return rc == 0 && got.bytes == strlen(val) && memcmp(got.p, val, got.bytes) == 0;
}

Test(store_lmdb, which_versions_are_refused)
{
    cr_assert(bbi_db_version_ok(0, 9, 24));
    cr_assert(bbi_db_version_ok(0, 9, 25));
    for (int patch = 26; patch <= 31; patch++) {
        cr_assert(!bbi_db_version_ok(0, 9, patch));
    }
    cr_assert(bbi_db_version_ok(0, 9, 32));
    cr_assert(bbi_db_version_ok(1, 0, 28));
}

Test(store_lmdb, a_snapshot_stays_and_a_renewed_one_moves)
{
    struct bbi_db_env *env = make();
    struct bbi_db_txn *reader;
    put(env, "k", "one");
    cr_assert_eq(bbi_db_read_begin(env, &reader), 0);
    put(env, "k", "two");
    cr_assert(has(reader, "k", "one"));
    bbi_db_read_reset(reader);
    cr_assert_eq(bbi_db_read_renew(reader), 0);
    cr_assert(has(reader, "k", "two"));
    struct bbi_bytes got;
    cr_assert_eq(bbi_db_get(reader, BBI_DB_LOG, bytes("k"), &got), BB_ENOENT);
    bbi_db_abort(reader);
    bbi_db_close(env);
}

Test(store_lmdb, one_environment_a_process)
{
    struct bbi_db_env *env = make();
    struct bbi_db_env *again = open_for(BBI_DB_READER, 0);
    cr_assert_eq(env, again);
    char moved[96];
    (void)snprintf(moved, sizeof(moved), "%s.moved", where);
    cr_assert_eq(rename(where, moved), 0); /* as gen-N.new becomes gen-N */
    struct bbi_fault f;
    struct bbi_db_env *third = NULL;
    cr_assert_eq(bbi_db_open(&third, moved, 0, BBI_DB_READER, 0600, &f), 0);
    cr_assert_eq(third, env);
    cr_assert_eq(rename(moved, where), 0);
    bbi_db_close(env);
    put(again, "k", "v"); /* two users are left */
    bbi_db_close(again);
    bbi_db_close(third);
    env = open_for(BBI_DB_READER, 0);
    struct bbi_db_txn *reader;
    cr_assert_eq(bbi_db_read_begin(env, &reader), 0);
    cr_assert(has(reader, "k", "v"));
    bbi_db_abort(reader);
    bbi_db_close(env);
    bbi_db_close(NULL);
}

Test(store_lmdb, what_is_not_there_and_what_is_no_database)
{
    struct bbi_db_env *env = NULL;
    struct bbi_fault f;
    char path[96];
    cr_assert_eq(bbi_db_open(&env, where, 0, BBI_DB_READER, 0600, &f), BB_ENOENT);
    (void)snprintf(path, sizeof(path), "%s/data.mdb", where);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 3000; i++) {
        (void)fputs("no database", file);
    }
    (void)fclose(file);
    cr_assert_eq(bbi_db_open(&env, where, 0, BBI_DB_READER, 0600, &f), BB_ECORRUPT);
    cr_assert_not_null(strstr(f.sentence, where));
}

Test(store_lmdb, modes_are_exact_whatever_the_umask)
{
    struct bbi_fault f;
    struct bbi_db_env *env = NULL;
    struct stat st;
    char path[96];
    mode_t before = umask(077);
    cr_assert_eq(bbi_db_open(&env, where, MAP, BBI_DB_MAKE, 0660, &f), 0);
    (void)umask(before);
    (void)snprintf(path, sizeof(path), "%s/data.mdb", where);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0660);
    (void)snprintf(path, sizeof(path), "%s/lock.mdb", where);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0660);
    bbi_db_close(env);
}

Test(store_lmdb, nested_ones_are_undone_alone)
{
    struct bbi_db_env *env = make();
    struct bbi_db_txn *outer, *inner;
    cr_assert_eq(bbi_db_write_begin(env, NULL, &outer), 0);
    cr_assert_eq(bbi_db_put(outer, BBI_DB_MAIN, bytes("a"), bytes("1"), 0), 0);
    cr_assert_eq(bbi_db_write_begin(env, outer, &inner), 0);
    cr_assert_eq(bbi_db_put(inner, BBI_DB_MAIN, bytes("b"), bytes("2"), 0), 0);
    bbi_db_abort(inner);
    cr_assert_eq(bbi_db_write_begin(env, outer, &inner), 0);
    cr_assert_eq(bbi_db_put(inner, BBI_DB_MAIN, bytes("c"), bytes("3"), 0), 0);
    cr_assert_eq(bbi_db_commit(inner), 0);
    cr_assert(has(outer, "a", "1"));
    cr_assert(!has(outer, "b", "2"));
    cr_assert(has(outer, "c", "3"));
    cr_assert_eq(bbi_db_commit(outer), 0);
    bbi_db_close(env);
}

Test(store_lmdb, flags_room_and_cursors)
{
    struct bbi_db_env *env = make();
    struct bbi_db_txn *txn;
    struct bbi_db_cursor *c;
    struct bbi_bytes k, v;
    void *room;
    cr_assert_eq(bbi_db_write_begin(env, NULL, &txn), 0);
    cr_assert_eq(bbi_db_put(txn, BBI_DB_LOG, bytes("b"), bytes("1"), BBI_DB_NEW), 0);
    cr_assert_eq(bbi_db_put(txn, BBI_DB_LOG, bytes("b"), bytes("2"), BBI_DB_NEW), BB_EEXIST);
    cr_assert_eq(bbi_db_put(txn, BBI_DB_LOG, bytes("a"), bytes("2"), BBI_DB_APPEND), BB_EEXIST);
    cr_assert_eq(bbi_db_reserve(txn, BBI_DB_LOG, bytes("d"), 3, BBI_DB_APPEND, &room), 0);
    memcpy(room, "444", 3);
    cr_assert_eq(bbi_db_entries(txn, BBI_DB_LOG), 2);
    cr_assert_eq(bbi_db_cursor_open(&c, txn, BBI_DB_LOG), 0);
    cr_assert_eq(bbi_db_seek(c, bytes("c"), &k, &v), 0);
    cr_assert_eq(memcmp(v.p, "444", 3), 0);
    cr_assert_eq(bbi_db_next(c, &k, &v), BB_ENOENT);
    cr_assert_eq(bbi_db_seek(c, (struct bbi_bytes){NULL, 0}, &k, &v), 0);
    cr_assert_eq(memcmp(k.p, "b", 1), 0);
    cr_assert_eq(bbi_db_cursor_del(c), 0);
    cr_assert_eq(bbi_db_last(c, &k, &v), 0);
    cr_assert_eq(memcmp(k.p, "d", 1), 0);
    bbi_db_cursor_close(c);
    cr_assert_eq(bbi_db_del(txn, BBI_DB_LOG, bytes("b")), BB_ENOENT);
    cr_assert_eq(bbi_db_del(txn, BBI_DB_LOG, bytes("d")), 0);
    cr_assert_eq(bbi_db_put(txn, BBI_DB_MAIN, bytes("x"), bytes("y"), 0), 0);
    cr_assert_eq(bbi_db_drop(txn, BBI_DB_MAIN), 0);
    cr_assert_eq(bbi_db_entries(txn, BBI_DB_MAIN), 0);
    cr_assert_eq(bbi_db_commit(txn), 0);

    put(env, "k1", "v");
    cr_assert_eq(bbi_db_read_begin(env, &txn), 0);
    cr_assert_eq(bbi_db_cursor_open(&c, txn, BBI_DB_MAIN), 0);
    bbi_db_read_reset(txn);
    put(env, "k0", "w");
    cr_assert_eq(bbi_db_read_renew(txn), 0);
    cr_assert_eq(bbi_db_cursor_renew(c, txn), 0);
    cr_assert_eq(bbi_db_seek(c, (struct bbi_bytes){NULL, 0}, &k, &v), 0);
    cr_assert_eq(memcmp(k.p, "k0", 2), 0);
    bbi_db_cursor_close(c);
    bbi_db_abort(txn);
    bbi_db_close(env);
}

Test(store_lmdb, a_full_file_is_an_error_and_stays_readable)
{
    struct bbi_db_env *env = open_for(BBI_DB_MAKE | BBI_DB_NOSYNC, 1 << 20);
    struct bbi_db_txn *txn, *reader;
    static char big[65536];
    memset(big, 'x', sizeof(big));
    put(env, "first", "here");
    int rc = 0;
    for (int i = 0; i < 64 && rc == 0; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%d", i);
        cr_assert_eq(bbi_db_write_begin(env, NULL, &txn), 0);
        rc = bbi_db_put(txn, BBI_DB_MAIN, bytes(key), (struct bbi_bytes){big, sizeof(big)}, 0);
        if (rc < 0) {
            bbi_db_abort(txn);
        } else {
            rc = bbi_db_commit(txn);
        }
    }
    cr_assert_eq(rc, BB_ENOSPC);
    cr_assert_eq(bbi_db_read_begin(env, &reader), 0);
    cr_assert(has(reader, "first", "here"));
    bbi_db_abort(reader);
    bbi_db_close(env);
}

/* ---- other processes ----------------------------------------------------------------------------- */

static void
hear(int fd)
{
    char c;
    cr_assert_eq(read(fd, &c, 1), 1);
}

/* A child with an open view; it says so and then stands still. */
static pid_t
child_in_a_view(void)
{
    int fds[2];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct bbi_db_env *env = NULL;
        struct bbi_db_txn *txn;
        if (bbi_db_open(&env, where, 0, BBI_DB_READER, 0600, NULL) < 0
            || bbi_db_read_begin(env, &txn) < 0 || write(fds[1], "x", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            (void)pause();
        }
    }
    cr_assert_gt(pid, 0);
    hear(fds[0]);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return pid;
}

static void
end(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

static void
overwrite(struct bbi_db_env *env, int times)
{
    static char val[2000];
    for (int i = 0; i < times; i++) {
        memset(val, 'a' + i % 26, sizeof(val) - 1);
        put(env, "k", val);
    }
}

Test(store_lmdb, who_holds_pages_is_named_and_the_dead_are_freed)
{
    struct bbi_db_env *env = make();
    struct bbi_db_usage u;
    overwrite(env, 50);
    cr_assert_eq(bbi_db_usage(env, &u), 0);
    cr_assert_eq(u.oldest_pid, 0);
    cr_assert_eq(u.held_bytes, 0);
    cr_assert_gt(u.file_bytes, 0);
    cr_assert_geq(u.last_txn, 50);

    pid_t pid = child_in_a_view();
    uint64_t seen = u.last_txn;
    overwrite(env, 500);
    cr_assert_eq(bbi_db_usage(env, &u), 0);
    cr_assert_eq(u.oldest_pid, pid);
    cr_assert_eq(u.oldest_txn, seen);
    cr_assert_eq(u.last_txn, seen + 500);
    cr_assert_eq(u.readers, 1);
    cr_assert_geq(u.held_bytes, 500 * 4096);
    cr_assert_leq(u.held_bytes + u.free_bytes, u.file_bytes);
    cr_assert_eq(bbi_db_check_readers(env), 0);

    end(pid);
    cr_assert_eq(bbi_db_check_readers(env), 1);
    cr_assert_eq(bbi_db_usage(env, &u), 0);
    cr_assert_eq(u.oldest_pid, 0);
    cr_assert_eq(u.held_bytes, 0);
    cr_assert_geq(u.free_bytes, 500 * 4096);
    uint64_t file_bytes = u.file_bytes;
    overwrite(env, 500);
    cr_assert_eq(bbi_db_usage(env, &u), 0);
    cr_assert_eq(u.file_bytes, file_bytes); /* used again */
    bbi_db_close(env);
}

Test(store_lmdb, a_child_forgets_what_its_parent_opened)
{
    struct bbi_db_env *env = make();
    struct bbi_db_txn *reader;
    struct bbi_db_usage u;
    put(env, "k", "v");
    cr_assert_eq(bbi_db_read_begin(env, &reader), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct bbi_db_txn *txn;
        struct bbi_db_env *own = NULL;
        bool ok = bbi_db_read_begin(env, &txn) == BB_EFORKED && bbi_db_usage(env, &u) == BB_EFORKED;
        bbi_db_abort(reader); /* neither takes the parent's place in the table */
        bbi_db_close(env);
        ok = ok && bbi_db_open(&own, where, 0, BBI_DB_READER, 0600, NULL) == 0 && own != env
             && bbi_db_read_begin(own, &txn) == 0 && has(txn, "k", "v");
        if (ok) {
            bbi_db_abort(txn);
            bbi_db_close(own);
        }
        _exit(ok ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    overwrite(env, 20);
    cr_assert_eq(bbi_db_check_readers(env), 0);
    cr_assert_eq(bbi_db_usage(env, &u), 0);
    cr_assert_eq(u.oldest_pid, getpid());
    cr_assert(has(reader, "k", "v"));
    bbi_db_abort(reader);
    bbi_db_close(env);
}

/* Another process writes with a larger map, beyond ours. */
static void
grow_from_outside(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct bbi_db_env *env = NULL;
        static char big[4 << 20];
        struct bbi_db_txn *txn;
        memset(big, 'x', sizeof(big));
        bool ok =
            bbi_db_open(&env, where, MAP, BBI_DB_NOSYNC, 0600, NULL) == 0
            && bbi_db_write_begin(env, NULL, &txn) == 0
            && bbi_db_put(txn, BBI_DB_MAIN, bytes("big"), (struct bbi_bytes){big, sizeof(big)}, 0)
                   == 0
            && bbi_db_commit(txn) == 0;
        _exit(ok ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
}

Test(store_lmdb, a_file_that_outgrew_the_map_is_mapped_anew)
{
    struct bbi_db_env *env = open_for(BBI_DB_MAKE | BBI_DB_NOSYNC, 1 << 20);
    struct bbi_db_txn *one, *two;
    struct bbi_bytes got;
    put(env, "k", "v");
    cr_assert_eq(bbi_db_read_begin(env, &one), 0);
    cr_assert_eq(bbi_db_read_begin(env, &two), 0);
    bbi_db_read_reset(two);
    grow_from_outside();
    cr_assert_eq(bbi_db_read_renew(two), BB_EBUSY); /* one is open: it would lose its pages */
    cr_assert(has(one, "k", "v"));
    bbi_db_read_reset(one);
    cr_assert_eq(bbi_db_read_renew(two), 0);
    cr_assert_eq(bbi_db_get(two, BBI_DB_MAIN, bytes("big"), &got), 0);
    cr_assert_eq(got.bytes, 4 << 20);
    cr_assert_eq(((const char *)got.p)[got.bytes - 1], 'x');
    bbi_db_abort(one);
    bbi_db_abort(two);
    put(env, "k", "w"); /* a writer too */
    bbi_db_close(env);
}

Test(store_lmdb, a_larger_map_is_taken_when_it_is_asked_for)
{
    struct bbi_db_env *env = open_for(BBI_DB_MAKE | BBI_DB_NOSYNC, 1 << 20);
    struct bbi_db_env *again = open_for(BBI_DB_NOSYNC, MAP);
    cr_assert_eq(env, again);
    static char big[4 << 20];
    struct bbi_db_txn *txn;
    cr_assert_eq(bbi_db_write_begin(env, NULL, &txn), 0);
    cr_assert_eq(
        bbi_db_put(txn, BBI_DB_MAIN, bytes("big"), (struct bbi_bytes){big, sizeof(big)}, 0), 0);
    cr_assert_eq(bbi_db_commit(txn), 0);
    bbi_db_close(env);
    bbi_db_close(again);
}

Test(store_lmdb, a_copy_is_compact_and_whole)
{
    struct bbi_db_env *env = make();
    struct bbi_db_usage u;
    overwrite(env, 10);
    char big[40000] = {0};
    memset(big, 'y', sizeof(big) - 1);
    put(env, "gone", big);
    struct bbi_db_txn *txn;
    cr_assert_eq(bbi_db_write_begin(env, NULL, &txn), 0);
    cr_assert_eq(bbi_db_del(txn, BBI_DB_MAIN, bytes("gone")), 0);
    cr_assert_eq(bbi_db_commit(txn), 0);
    put(env, "stays", "here");
    cr_assert_eq(bbi_db_usage(env, &u), 0);

    char dir[96], path[128];
    (void)snprintf(dir, sizeof(dir), "%s/copy", where);
    cr_assert_eq(mkdir(dir, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/data.mdb", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bbi_db_copy(env, fd), 0);
    struct stat st;
    cr_assert_eq(fstat(fd, &st), 0);
    cr_assert_lt((uint64_t)st.st_size, u.file_bytes);
    (void)close(fd);
    struct bbi_db_env *copy = NULL;
    struct bbi_fault f;
    cr_assert_eq(bbi_db_open(&copy, dir, 0, BBI_DB_READER, 0600, &f), 0);
    cr_assert_neq(copy, env);
    cr_assert_eq(bbi_db_read_begin(copy, &txn), 0);
    cr_assert(has(txn, "stays", "here"));
    cr_assert_eq(bbi_db_entries(txn, BBI_DB_MAIN), 2);
    bbi_db_abort(txn);
    bbi_db_close(copy);
    bbi_db_close(env);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what a command does to a store: MAIN, EXPIRY and LOG agree after each, versions count changes, deadlines are
 * kept by arithmetic, what is due goes first and is told once, nothing is left of what was cleared or trimmed.
 * Method: a database in a directory of its own, a clock that the test sets, commands by hand and at random; after
 * each transaction every record is held against the index of deadlines, and the other way round.
 */
#include "lib/store/apply.h"
#include "tests/unit/lib/random_value.h"
#include "tests/unit/shm/bus_dir.h"
#include <criterion/criterion.h>
#include <endian.h>
#include <sys/stat.h>

static struct bbi_db_env *env;
static struct bbi_state state;
static struct bbi_apply a;
static struct bb_store_result r;

static void
make(void)
{
    struct bbi_fault f = {0};
    bus_dir_make();
    int rc = bbi_db_open(&env, bus_dir, UINT64_C(64) << 20, BBI_DB_MAKE | BBI_DB_NOSYNC, 0600, &f);
    cr_assert_eq(rc, 0, "%s", f.sentence);
    state = (struct bbi_state){.format = BBI_STORE_FORMAT};
    a = (struct bbi_apply){.state = &state,
                           .now_ns = 1000,
                           .wall_ns = 7,
                           .node_id = 5,
                           .node = "writer",
                           .master_id = 9,
                           .master = "master"};
    cr_assert_eq(bbi_db_write_begin(env, NULL, &a.txn), 0);
}

static void
drop(void)
{
    bbi_db_abort(a.txn);
    bbi_apply_fini(&a);
    bbi_db_close(env);
    bus_dir_remove();
}

TestSuite(store_apply, .init = make, .fini = drop, .timeout = 60);

enum { BUF = 2048 };
struct val {
    unsigned char p[BUF];
};

static struct bb_value
string_of(struct val *v, const char *s)
{
    struct bb_builder b;
    bb_build_init(&b, v->p, BUF);
    bb_put_string(&b, s, strlen(s));
    return (struct bb_value){v->p, (size_t)bb_build_end(&b)};
}

static struct bb_value
count_of(struct val *v, uint64_t n)
{
    struct bb_builder b;
    bb_build_init(&b, v->p, BUF);
    bb_put_count(&b, n);
    return (struct bb_value){v->p, (size_t)bb_build_end(&b)};
}

/* 0 or the command's code. */
static int
run(uint32_t op, const char *key, const char *value, int64_t expire_ns)
{
    struct val k, v;
    struct bb_store_cmd cmd = {.op = op, .expire_ns = expire_ns};
    if (key != NULL) {
        cmd.key = string_of(&k, key);
    }
    if (value != NULL) {
        cmd.value = string_of(&v, value);
    }
    cr_assert_eq(bbi_apply(&a, &cmd, &r), 0);
    return r.code;
}

static int
add(const char *key, uint64_t n, int64_t expire_ns)
{
    struct val k, v;
    struct bb_store_cmd cmd = {.op = BB_STORE_INCREMENT,
                               .key = string_of(&k, key),
                               .value = count_of(&v, n),
                               .expire_ns = expire_ns};
    cr_assert_eq(bbi_apply(&a, &cmd, &r), 0);
    return r.code;
}

/* Deadline of a key; -1: it is not there, due or not. */
static int64_t
deadline(const char *key)
{
    struct val k;
    struct bbi_key at;
    struct bbi_record rec;
    struct bb_value v = string_of(&k, key);
    int rc = bbi_find_any(a.txn, &v, &at, &rec);
    cr_assert(rc == 0 || rc == BB_ENOENT);
    return rc == 0 ? rec.expires_ns : -1;
}

/* Every record has its entry in EXPIRY if it has a deadline, and there are no others. */
static void
check_index(void)
{
    struct bbi_db_cursor *c;
    struct bbi_bytes k, v, found;
    uint64_t expiring = 0;
    cr_assert_eq(bbi_db_cursor_open(&c, a.txn, BBI_DB_MAIN), 0);
    int rc = bbi_db_seek(c, (struct bbi_bytes){NULL, 0}, &k, &v);
    for (; rc == 0; rc = bbi_db_next(c, &k, &v)) {
        struct bbi_record rec;
        cr_assert_eq(bbi_record_check(v), 0);
        cr_assert_eq(bbi_record_read(&rec, v), 0);
        cr_assert_leq(rec.version, state.version);
        if (rec.expires_ns != 0) {
            unsigned char entry[BBI_EXPIRY_KEY_BYTES];
            bbi_expiry_key(entry, rec.expires_ns, k);
            rc = bbi_db_get(a.txn, BBI_DB_EXPIRY, (struct bbi_bytes){entry, sizeof(entry)}, &found);
            cr_assert_eq(rc, 0);
            cr_assert(found.bytes == k.bytes && memcmp(found.p, k.p, k.bytes) == 0);
            expiring++;
        }
    }
    bbi_db_cursor_close(c);
    cr_assert_eq(bbi_db_entries(a.txn, BBI_DB_EXPIRY), expiring);
}

/* The change with this version. */
static struct bb_store_change
logged(uint64_t version)
{
    struct bb_store_change c = {0};
    struct bbi_bytes v;
    uint64_t key = htobe64(version);
    cr_assert_eq(bbi_db_get(a.txn, BBI_DB_LOG, (struct bbi_bytes){&key, sizeof(key)}, &v), 0);
    cr_assert_eq(bbi_log_read(&c, version, v), 0);
    return c;
}

static bool
is_text(const struct bb_value *v, const char *want)
{
    char text[128];
    return v->p != NULL && bb_value_text(v, text, sizeof(text)) >= 0 && strcmp(text, want) == 0;
}

Test(store_apply, versions_count_changes_and_are_those_of_the_key)
{
    cr_assert_eq(run(BB_STORE_PUT, "a", "1", 0), 0);
    cr_assert(r.changed == 1 && r.version == 1);
    cr_assert_eq(run(BB_STORE_PUT, "b", "1", 0), 0);
    cr_assert_eq(r.version, 2u);
    cr_assert_eq(run(BB_STORE_PUT_UNIQUE, "a", "2", 0), BB_EEXIST);
    cr_assert(r.changed == 0 && r.version == 1);
    cr_assert_eq(run(BB_STORE_PUT_UNIQUE, "c", "2", 0), 0);
    cr_assert_eq(r.version, 3u);
    cr_assert_eq(run(BB_STORE_ERASE, "b", NULL, 0), 0);
    cr_assert(r.changed == 1 && r.version == 0);
    cr_assert_eq(state.version, 4u);
    cr_assert_eq(run(BB_STORE_ERASE, "b", NULL, 0), 0);
    cr_assert(r.changed == 0 && state.version == 4);
    cr_assert_eq(run(BB_STORE_GET, "a", NULL, 0), 0);
    cr_assert(is_text(&r.value, "1") && r.version == 1 && state.version == 4);
    cr_assert_eq(run(BB_STORE_GET, "b", NULL, 0), BB_ENOENT);
    cr_assert_eq(run(BB_STORE_EXPIRE, "b", NULL, 5), BB_ENOENT);
    check_index();
}

Test(store_apply, put_if_asks_for_the_version)
{
    struct val k, v;
    struct bb_store_cmd cmd = {.op = BB_STORE_PUT_IF,
                               .key = string_of(&k, "a"),
                               .value = string_of(&v, "1"),
                               .if_version = 3};
    cr_assert_eq(bbi_apply(&a, &cmd, &r), 0);
    cr_assert(r.code == BB_EBUSY && r.version == 0);
    cmd.if_version = 0;
    cr_assert_eq(bbi_apply(&a, &cmd, &r), 0);
    cr_assert(r.code == 0 && r.version == 1);
    cr_assert_eq(bbi_apply(&a, &cmd, &r), 0);
    cr_assert(r.code == BB_EBUSY && r.version == 1 && r.changed == 0);
    cmd.if_version = 1;
    cr_assert_eq(bbi_apply(&a, &cmd, &r), 0);
    cr_assert(r.code == 0 && r.version == 2);
}

Test(store_apply, arithmetic_keeps_the_deadline_and_put_does_not)
{
    cr_assert_eq(add("n", 1, 500), 0);
    cr_assert_eq(deadline("n"), 1500);
    cr_assert_eq(add("n", 1, 0), 0);
    cr_assert_eq(deadline("n"), 1500);
    cr_assert_eq(add("n", 0, 900), 0);
    cr_assert(r.changed == 1 && is_text(&r.value, "2"), "the deadline moved");
    cr_assert_eq(deadline("n"), 1900);
    cr_assert_eq(add("n", 1, BB_STORE_NEVER), 0);
    cr_assert_eq(deadline("n"), 0);
    check_index();
    cr_assert_eq(run(BB_STORE_PUT, "p", "x", 100), 0);
    cr_assert_eq(run(BB_STORE_EXPIRE, "p", NULL, 0), 0);
    cr_assert(r.changed == 0 && deadline("p") == 1100);
    cr_assert_eq(run(BB_STORE_EXPIRE, "p", NULL, 300), 0);
    cr_assert(r.changed == 1 && deadline("p") == 1300);
    cr_assert_eq(run(BB_STORE_PUT, "p", "x", 0), 0);
    cr_assert_eq(deadline("p"), 0);
    cr_assert_eq(run(BB_STORE_PUT, "p", "x", INT64_MAX), 0);
    cr_assert_eq(deadline("p"), INT64_MAX);
    check_index();
}

Test(store_apply, what_is_due_goes_before_it_is_written)
{
    a.has_log = true;
    cr_assert_eq(run(BB_STORE_PUT, "k", "old", 100), 0);
    a.now_ns = 1099;
    cr_assert_eq(run(BB_STORE_PUT_UNIQUE, "k", "new", 0), BB_EEXIST);
    a.now_ns = 1100;
    cr_assert_eq(run(BB_STORE_GET, "k", NULL, 0), BB_ENOENT);
    cr_assert_eq(run(BB_STORE_PUT_UNIQUE, "k", "new", 50), 0);
    cr_assert_eq(state.version, 3u);
    struct bb_store_change c = logged(2);
    cr_assert_eq(c.kind, (uint32_t)BB_STORE_EXPIRED);
    cr_assert(is_text(&c.key, "k") && is_text(&c.old, "old") && c.value.p == NULL);
    cr_assert(strcmp(c.node, "master") == 0 && c.node_id == 9);
    c = logged(3);
    cr_assert_eq(c.kind, (uint32_t)BB_STORE_INSERTED);
    cr_assert(is_text(&c.value, "new") && c.old.p == NULL && c.expires_ns == 50);
    cr_assert(strcmp(c.node, "writer") == 0 && c.node_id == 5 && c.wall_ns == 7);
    a.now_ns = 1150;
    cr_assert_eq(run(BB_STORE_POP, "k", NULL, 0), BB_ENOENT);
    cr_assert_eq(run(BB_STORE_ERASE, "k", NULL, 0), 0);
    cr_assert(r.changed == 0 && state.version == 4 && state.expired == 2);
    check_index();
}

Test(store_apply, the_log_has_old_and_new)
{
    struct val k, v;
    a.has_log = true;
    cr_assert_eq(run(BB_STORE_PUT, "k", "one", 0), 0);
    cr_assert_eq(run(BB_STORE_APPEND, "k", "two", 0), 0);
    cr_assert_eq(run(BB_STORE_ERASE, "k", NULL, 0), 0);
    cr_assert_eq(logged(1).kind, (uint32_t)BB_STORE_INSERTED);
    struct bb_store_change c = logged(2);
    cr_assert_eq(c.kind, (uint32_t)BB_STORE_UPDATED);
    cr_assert(is_text(&c.old, "one") && is_text(&c.value, "onetwo"));
    cr_assert_eq(c.expires_ns, BB_STORE_NEVER);
    c = logged(3);
    cr_assert(c.kind == BB_STORE_ERASED && is_text(&c.old, "onetwo") && c.value.p == NULL);
    struct bb_store_cmd cmd = {
        .op = BB_STORE_PUSH, .key = string_of(&k, "v"), .value = string_of(&v, "x")};
    cr_assert_eq(bbi_apply(&a, &cmd, &r), 0);
    cmd = (struct bb_store_cmd){.op = BB_STORE_POP, .key = cmd.key};
    cr_assert_eq(bbi_apply(&a, &cmd, &r), 0);
    cr_assert(is_text(&r.value, "x"), "after the record was overwritten");
    c = logged(5);
    cr_assert(is_text(&c.old, "(x)"));
    cr_assert_eq(state.log_first, 1u);
}

Test(store_apply, clear_tells_each_key_or_only_counts)
{
    char key[16];
    for (int with_log = 0; with_log < 2; with_log++) {
        a.has_log = with_log == 1;
        uint64_t before;
        for (int i = 0; i < 300; i++) {
            (void)snprintf(key, sizeof(key), "k%d", i);
            cr_assert_eq(run(BB_STORE_PUT, key, "x", i % 2 == 0 ? 100 + i : 0), 0);
        }
        before = state.version;
        cr_assert_eq(run(BB_STORE_CLEAR, NULL, NULL, 0), 0);
        cr_assert(r.changed == 1 && state.version == before + 300);
        cr_assert_eq(bbi_db_entries(a.txn, BBI_DB_MAIN), 0u);
        cr_assert_eq(bbi_db_entries(a.txn, BBI_DB_EXPIRY), 0u);
        for (uint64_t v = before + 1; with_log == 1 && v <= state.version; v++) {
            cr_assert_eq(logged(v).kind, (uint32_t)BB_STORE_ERASED);
        }
    }
    cr_assert_eq(run(BB_STORE_CLEAR, NULL, NULL, 0), 0);
    cr_assert_eq(r.changed, 0u);
}

Test(store_apply, sweeping_is_bounded_and_in_order)
{
    char key[16];
    a.has_log = true;
    for (int i = 0; i < 500; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        cr_assert_eq(run(BB_STORE_PUT, key, "x", 1 + (i * 7) % 500), 0);
    }
    int64_t first;
    cr_assert_eq(bbi_expiry_due(a.txn, 1000, 1000, &first), 0);
    a.now_ns = 1250;
    cr_assert_eq(bbi_expiry_due(a.txn, a.now_ns, 1000, &first), 250);
    cr_assert_eq(first, 1001);
    cr_assert_eq(bbi_expire(&a, 100, INT64_MAX), 100);
    cr_assert_eq(bbi_expiry_due(a.txn, a.now_ns, 1000, &first), 150);
    cr_assert_eq(first, 1101);
    cr_assert_eq(bbi_expire(&a, 1000, INT64_MAX), 150);
    cr_assert_eq(bbi_expire(&a, 1000, INT64_MAX), 0);
    cr_assert_eq(state.expired, 250u);
    cr_assert_eq(bbi_db_entries(a.txn, BBI_DB_MAIN), 250u);
    for (uint64_t v = 501; v <= 750; v++) {
        cr_assert_eq(logged(v).kind, (uint32_t)BB_STORE_EXPIRED);
    }
    check_index();
    a.now_ns = 5000;
    cr_assert_leq(bbi_expire(&a, 1000, 0), 32, "its time was over at the first look");
}

Test(store_apply, an_entry_of_nothing_is_removed_alone)
{
    unsigned char entry[BBI_EXPIRY_KEY_BYTES];
    const struct bbi_bytes key = {"nobody", 6};
    cr_assert_eq(run(BB_STORE_PUT, "k", "x", 100), 0);
    bbi_expiry_key(entry, 3, key);
    cr_assert_eq(bbi_db_put(a.txn, BBI_DB_EXPIRY, (struct bbi_bytes){entry, sizeof(entry)}, key, 0),
                 0);
    bbi_expiry_key(entry, 4, key);
    cr_assert_eq(bbi_db_put(a.txn, BBI_DB_EXPIRY, (struct bbi_bytes){entry, 9},
                            (struct bbi_bytes){NULL, 0}, 0),
                 0);
    cr_assert_eq(bbi_expire(&a, 100, INT64_MAX), 0);
    cr_assert_eq(deadline("k"), 1100);
    check_index();
}

Test(store_apply, the_log_is_trimmed_from_its_beginning)
{
    a.has_log = true;
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(run(BB_STORE_PUT, "k", "some value", 0), 0);
    }
    uint64_t bytes = state.log_bytes;
    cr_assert_eq(bbi_log_trim(&a, 100, bytes), 0);
    cr_assert_eq(state.log_first, 1u);
    cr_assert_eq(bbi_log_trim(&a, 60, bytes), 0);
    cr_assert_eq(state.log_first, 41u);
    cr_assert_eq(bbi_db_entries(a.txn, BBI_DB_LOG), 60u);
    cr_assert_eq(logged(41).version, 41u);
    cr_assert_eq(bbi_log_trim(&a, 60, state.log_bytes / 2), 0);
    cr_assert(state.log_first >= 70 && state.log_first <= 72);
    cr_assert_eq(bbi_log_trim(&a, 0, 0), 0);
    cr_assert(bbi_db_entries(a.txn, BBI_DB_LOG) == 0 && state.log_first == 101);
    cr_assert_eq(bbi_log_restart(&a), 0);
    cr_assert(state.log_first == 101 && state.log_bytes == 0);
}

/* Keys that end in one hash: the record of another key lies in the first place. */
Test(store_apply, a_key_whose_place_is_taken_has_the_next_one)
{
    static char first[1600], second[1600];
    struct val k;
    struct bbi_key at;
    struct bbi_record rec;
    memset(first, 'a', sizeof(first) - 1);
    memcpy(second, first, sizeof(first));
    second[1500] = 'b';
    struct bb_value v = string_of(&k, first);
    cr_assert_eq(run(BB_STORE_PUT, second, "other", 0), 0);
    cr_assert_eq(bbi_key_make(&at, &v, 0), 0);
    cr_assert(at.is_hashed);
    /* the record of `second` where `first` belongs */
    struct bbi_bytes raw;
    struct val k2;
    struct bbi_key own;
    struct bb_value v2 = string_of(&k2, second);
    cr_assert_eq(bbi_key_make(&own, &v2, 0), 0);
    cr_assert_eq(bbi_db_get(a.txn, BBI_DB_MAIN, (struct bbi_bytes){own.bytes, own.len}, &raw), 0);
    unsigned char copy[4096];
    memcpy(copy, raw.p, raw.bytes);
    raw.p = copy;
    cr_assert_eq(bbi_db_put(a.txn, BBI_DB_MAIN, (struct bbi_bytes){at.bytes, at.len}, raw, 0), 0);
    cr_assert_eq(run(BB_STORE_PUT_UNIQUE, first, "mine", 100), 0);
    cr_assert_eq(run(BB_STORE_PUT_UNIQUE, first, "mine", 100), BB_EEXIST);
    cr_assert_eq(bbi_find_any(a.txn, &v, &at, &rec), 0);
    cr_assert(is_text(&rec.value, "mine"));
    check_index();
    cr_assert_eq(bbi_key_make(&at, &v, 0), 0);
    cr_assert_eq(bbi_db_del(a.txn, BBI_DB_MAIN, (struct bbi_bytes){at.bytes, at.len}), 0);
    cr_assert_eq(run(BB_STORE_GET, first, NULL, 0), 0, "with a hole before it");
    a.now_ns = 2000;
    cr_assert_eq(bbi_expire(&a, 10, INT64_MAX), 1);
    cr_assert_eq(run(BB_STORE_GET, first, NULL, 0), BB_ENOENT);
}

Test(store_apply, random_commands_keep_the_index_whole)
{
    static const uint32_t ops[] = {BB_STORE_PUT, BB_STORE_PUT_UNIQUE, BB_STORE_ERASE,
                                   BB_STORE_APPEND, BB_STORE_EXPIRE};
    char key[8];
    rnd_seed("store_apply");
    for (int i = 0; i < 5000; i++) {
        uint32_t op = ops[rnd_below(5)];
        bool has_value = op != BB_STORE_ERASE && op != BB_STORE_EXPIRE;
        (void)snprintf(key, sizeof(key), "k%u", rnd_below(20));
        int64_t span = (int64_t)rnd_below(60) - 1;
        a.has_log = rnd_below(2) == 0;
        a.now_ns += rnd_below(4);
        uint64_t before = state.version;
        int code = run(op, key, has_value ? "v" : NULL, span);
        cr_assert(code == 0 || code == BB_EEXIST || code == BB_ENOENT);
        cr_assert(r.changed == 0 || state.version > before);
        cr_assert(r.version <= state.version);
        if (i % 50 == 0) {
            cr_assert_geq(bbi_expire(&a, 3, INT64_MAX), 0);
            check_index();
        }
    }
    check_index();
}

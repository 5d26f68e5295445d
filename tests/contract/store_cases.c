/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: Broker's store cases (60 to 73, 80 to 84 of the list that this project keeps), in our terms: what one
 * node writes all others read, every result is told, keys end with their deadline, nothing acknowledged is lost.
 * Method: a master in a process of its own; clones on endpoints of the test, or in processes where several write at
 * once.  Each case runs over a store in memory and one with a path, read in place and by request.  Deadlines are
 * those of a clock that the test moves; what comes from another process is awaited with a deadline.
 */
#include "shm/os.h"
#include "tests/support/store.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLONES = 3, TIMEOUT_MS = 10000 };

TestSuite(store_cases, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 60);

/* ---- ways ---- */

struct way {
    bool is_persistent;
    uint32_t flags; /* of clones */
};
static const struct way WAYS[] = {
    {false, 0}, {false, BB_STORE_BY_REQUEST}, {true, 0}, {true, BB_STORE_BY_REQUEST}};

struct rig {
    const struct way *way;
    struct bbt_side *me;
    struct bbt_clock *clock;
    char path[128];
    struct bbt_served served;
    struct bbt_child master;
    struct bb_endpoint *ep[CLONES];
    struct bb_store *clone[CLONES];
    int clones;
    struct bb_store *seer; /* for watches: in place, by the last of them */
};

static struct bb_store_opts
opts_of(const struct rig *r, uint32_t role)
{
    return (struct bb_store_opts){
        .name = "cases",
        .role = role,
        .flags = role == BB_STORE_CLONE ? r->way->flags : 0,
        .path = role != BB_STORE_CLONE && r->way->is_persistent ? r->path : NULL,
        .quota_bytes = UINT64_C(256) << 20,
        .timeout_ns = TIMEOUT_MS * BBT_MS_NS,
        .clock = &r->clock->clock,
    };
}

static void
start_master(struct rig *r)
{
    bbt_fork(&r->master, "master", bbt_serve, &r->served);
    bbt_wait_at(&r->master, BBT_SERVE_READY, TIMEOUT_MS);
}

typedef void (*order_fn)(struct bbt_side *side, struct bb_store *s, uint32_t order);

static void
start_ordered(struct rig *r, const struct way *way, int clones, order_fn on_order)
{
    static const char *const NAMES[] = {"A", "B", "C"};
    *r = (struct rig){.way = way, .me = bbt_side_new(), .clock = bbt_clock_new(), .clones = clones};
    (void)snprintf(r->path, sizeof(r->path), "%s/cases-dir", bbt_dir());
    r->served =
        (struct bbt_served){.node = "M", .opts = opts_of(r, BB_STORE_MASTER), .on_order = on_order};
    start_master(r);
    const struct bb_store_opts o = opts_of(r, BB_STORE_CLONE);
    for (int i = 0; i < clones; i++) {
        r->ep[i] = bbt_endpoint(r->me, NAMES[i], 0);
        r->clone[i] = bbt_store(r->me, r->ep[i], &o);
    }
    struct bb_store_opts in_place = o;
    in_place.flags = 0; /* who asks for everything has no watch */
    r->seer = bbt_store(r->me, r->ep[clones - 1], &in_place);
}

static void
start(struct rig *r, const struct way *way, int clones)
{
    start_ordered(r, way, clones, NULL);
}

/* The master does it between two polls. */
static void
ask_master(struct rig *r, uint32_t order)
{
    bbt_order(&r->master, order);
    bbt_wait_at(&r->master, BBT_SERVE_READY + order, TIMEOUT_MS);
}

static void
end(struct rig *r)
{
    bb_store_close(r->seer);
    for (int i = 0; i < r->clones; i++) {
        bb_store_close(r->clone[i]);
        bb_endpoint_close(r->ep[i]);
    }
    bbt_served_quit(&r->master);
}

#define CASE(number, name)                                                                         \
    static void case_##number(const struct way *way);                                              \
    Test(store_cases, c##number##_##name##_memory)                                                 \
    {                                                                                              \
        case_##number(&WAYS[0]);                                                                   \
    }                                                                                              \
    Test(store_cases, c##number##_##name##_memory_by_request)                                      \
    {                                                                                              \
        case_##number(&WAYS[1]);                                                                   \
    }                                                                                              \
    Test(store_cases, c##number##_##name##_persistent)                                             \
    {                                                                                              \
        case_##number(&WAYS[2]);                                                                   \
    }                                                                                              \
    Test(store_cases, c##number##_##name##_persistent_by_request)                                  \
    {                                                                                              \
        case_##number(&WAYS[3]);                                                                   \
    }                                                                                              \
    static void case_##number(const struct way *way)

/* ---- one command, one look ---- */

/* key, value, index: text forms, or NULL. */
static int
run(struct bb_store *s,
    uint32_t op,
    const char *key,
    const char *value,
    const char *index,
    struct bb_store_result *out)
{
    const struct bb_store_cmd cmd = {
        .op = op, .key = bbt_v(key), .value = bbt_v(value), .index = bbt_v(index)};
    struct bb_store_result result = {.code = 1};
    int rc = bb_store_run(s, &cmd, 1, 0, &result);
    if (out != NULL) {
        *out = result;
    }
    return rc;
}

static int
run_for(struct bb_store *s, uint32_t op, const char *key, const char *value, int64_t expire_ns)
{
    const struct bb_store_cmd cmd = {
        .op = op, .key = bbt_v(key), .value = bbt_v(value), .expire_ns = expire_ns};
    struct bb_store_result result;
    return bb_store_run(s, &cmd, 1, 0, &result);
}

/* Text of what is there, or "absent". */
static const char *
get(struct bb_store *s, const char *key)
{
    const struct bb_value k = bbt_v(key);
    struct bb_value v;
    int rc = bb_store_get(s, &k, &v);
    if (rc == BB_ENOENT) {
        return "absent";
    }
    cr_assert_eq(rc, 0, "get %s: %d", key, rc);
    return bbt_text(&v);
}

#define IS(s, key, text)                                                                           \
    do {                                                                                           \
        const char *is_got = get((s), (key));                                                      \
        cr_assert_str_eq(is_got, (text), "%s is %s, not %s", (key), is_got, (text));               \
    } while (0)
#define OK(expr) cr_assert_eq((expr), 0)

static int
exists(struct bb_store *s, const char *key)
{
    const struct bb_value k = bbt_v(key);
    return bb_store_exists(s, &k);
}

/* What is left of a key's time. */
static int64_t
left(struct bb_store *s, const char *key)
{
    const struct bb_value k = bbt_v(key);
    struct bb_store_item item;
    OK(bb_store_get_item(s, &k, &item));
    return item.expires_ns;
}

/* All keys in the store's order, as text with blanks between. */
static const char *
keys(struct bb_store *s)
{
    static char said[1024];
    static unsigned char after_bytes[256] __attribute__((aligned(8)));
    struct bb_store_item items[2]; /* few, so that it pages */
    struct bb_value after = {.p = NULL};
    size_t used = 0;
    int64_t n;
    said[0] = '\0';
    while ((n = bb_store_scan(s, NULL, after.p != NULL ? &after : NULL, items, 2)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            used += (size_t)snprintf(said + used, sizeof(said) - used, "%s%s", used > 0 ? " " : "",
                                     bbt_text(&items[i].key));
        }
        const struct bb_value *last = &items[n - 1].key;
        cr_assert_leq(last->bytes, sizeof(after_bytes));
        memcpy(after_bytes, last->p, last->bytes);
        after = (struct bb_value){after_bytes, last->bytes};
    }
    cr_assert_eq(n, 0, "scan: %lld", (long long)n);
    return said;
}

/* ---- watching ---- */

static char seen[2048];

/* Waits until `count` changes came: "+a=1 ~a=1>2 -a(2) !a(2) ", with who wrote it before each. */
static const char *
watched(struct bb_watch *w, int count)
{
    struct bb_store_change c[8];
    int64_t deadline = bbt_now_ms() + bbt_ms(TIMEOUT_MS);
    size_t used = 0;
    seen[0] = '\0';
    for (int got = 0; got < count;) {
        int n = bb_watch_next(w, c, 8, 50 * BBT_MS_NS);
        cr_assert_geq(n, 0, "watch: %d", n);
        cr_assert_lt(bbt_now_ms(), deadline, "only %d of %d changes came: %s", got, count, seen);
        bbt_check_all();
        for (int i = 0; i < n; i++, got++) {
            used +=
                (size_t)snprintf(seen + used, sizeof(seen) - used, "%s%s:%c%s", used > 0 ? " " : "",
                                 c[i].node, "?+~-!#"[c[i].kind % 6], bbt_text(&c[i].key));
            if (c[i].old.p != NULL) {
                used +=
                    (size_t)snprintf(seen + used, sizeof(seen) - used, "(%s)", bbt_text(&c[i].old));
            }
            if (c[i].value.p != NULL) {
                used += (size_t)snprintf(seen + used, sizeof(seen) - used, "=%s",
                                         bbt_text(&c[i].value));
            }
        }
    }
    cr_assert_eq(bb_watch_next(w, c, 8, 0), 0, "more than %d changes", count);
    return seen;
}

static struct bb_watch *
watch(const struct rig *r)
{
    struct bb_watch *w = NULL;
    OK(bb_watch_open(&w, r->seer, NULL, 0, NULL));
    return w;
}

/* ---- 60 to 63 ---- */

static void
put_a_then_get_b(struct bbt_side *side, struct bb_store *s, uint32_t order)
{
    if (order == 1) {
        int rc = run(s, BB_STORE_PUT, "a", "1", NULL, NULL);
        BBT_CHECK(side, rc == 0, "master's put: %d", rc);
        return;
    }
    BBT_CHECK(side, strcmp(get(s, "b"), "2") == 0, "the master reads b=%s", get(s, "b"));
}

CASE(60, put_is_seen_by_all)
{
    struct rig r;
    start_ordered(&r, way, 2, put_a_then_get_b);
    ask_master(&r, 1);
    IS(r.clone[0], "a", "1");
    OK(run(r.clone[0], BB_STORE_PUT, "b", "2", NULL, NULL));
    IS(r.clone[0], "b", "2");
    IS(r.clone[1], "b", "2");
    ask_master(&r, 2);
    end(&r);
}

CASE(61, nothing_is_there)
{
    struct rig r;
    start(&r, way, 1);
    IS(r.clone[0], "a", "absent");
    cr_assert_eq(exists(r.clone[0], "a"), 0);
    cr_assert_str_eq(keys(r.clone[0]), "");
    cr_assert_eq(bb_store_count(r.clone[0], NULL), 0);
    OK(run(r.clone[0], BB_STORE_PUT, "a", "nil", NULL, NULL)); /* a value of no kind is one */
    cr_assert_eq(exists(r.clone[0], "a"), 1);
    end(&r);
}

enum { UNIQUE_KEYS = 100, N_WON = 0 };

struct racer {
    const struct rig *rig;
    const char *name;
};

/* n[N_WON] and the words after it: a bit for each key that this one won. */
static void
race(struct bbt_side *side, const void *arg)
{
    const struct racer *p = arg;
    const struct bb_store_opts o = opts_of(p->rig, BB_STORE_CLONE);
    struct bb_endpoint *ep = bbt_endpoint(side, p->name, 0);
    struct bb_store *s = bbt_store(side, ep, &o);
    bbt_at(side, 1);
    (void)bbt_wait_go(side, 1, TIMEOUT_MS);
    for (uint64_t k = 0; k < UNIQUE_KEYS; k++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%llu", (unsigned long long)k);
        const struct bb_value v = bbt_v(p->name), kv = bbt_v(key);
        int rc = bb_store_put_unique(s, &kv, &v, 0, NULL);
        BBT_CHECK(side, rc == 0 || rc == BB_EEXIST, "put_unique %s: %d", key, rc);
        if (rc == 0) {
            side->n[N_WON + k / 64] |= UINT64_C(1) << k % 64;
        }
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

CASE(62, put_unique_has_one_winner)
{
    struct rig r;
    struct bbt_child child[3];
    start(&r, way, 1);
    const struct racer racers[] = {{&r, "P1"}, {&r, "P2"}, {&r, "P3"}};
    for (int i = 0; i < 3; i++) {
        bbt_fork(&child[i], racers[i].name, race, &racers[i]);
    }
    for (int i = 0; i < 3; i++) {
        bbt_wait_at(&child[i], 1, TIMEOUT_MS);
    }
    for (int i = 0; i < 3; i++) {
        bbt_order(&child[i], 1);
    }
    for (int i = 0; i < 3; i++) {
        bbt_wait_end(&child[i], TIMEOUT_MS);
    }
    for (uint64_t k = 0; k < UNIQUE_KEYS; k++) {
        char key[16];
        int winners = 0;
        (void)snprintf(key, sizeof(key), "%llu", (unsigned long long)k);
        for (int i = 0; i < 3; i++) {
            if ((child[i].side->n[N_WON + k / 64] >> k % 64 & 1) != 0) {
                winners++;
                IS(r.clone[0], key, racers[i].name);
            }
        }
        cr_assert_eq(winners, 1, "%d winners of key %s", winners, key);
    }
    cr_assert_eq(bb_store_count(r.clone[0], NULL), UNIQUE_KEYS);
    end(&r);
}

CASE(63, put_unique_leaves_what_is_there)
{
    struct rig r;
    struct bb_store_result first, out;
    start(&r, way, 2);
    OK(run(r.clone[0], BB_STORE_PUT_UNIQUE, "a", "1", NULL, &first));
    cr_assert_eq(first.changed, 1);
    cr_assert_eq(run(r.clone[1], BB_STORE_PUT_UNIQUE, "a", "2", NULL, &out), BB_EEXIST);
    cr_assert_eq(out.code, BB_EEXIST);
    cr_assert_eq(out.changed, 0);
    cr_assert_eq(out.version, first.version);
    IS(r.clone[0], "a", "1");
    end(&r);
}

/* ---- 64 to 68 ---- */

CASE(64, arithmetic)
{
    struct rig r;
    struct bb_store_result out;
    start(&r, way, 1);
    struct bb_store *s = r.clone[0];
    OK(run(s, BB_STORE_INCREMENT, "n", "3", NULL, &out));
    cr_assert_str_eq(bbt_text(&out.value), "3");
    OK(run(s, BB_STORE_INCREMENT, "n", "2", NULL, &out));
    cr_assert_str_eq(bbt_text(&out.value), "5");
    OK(run(s, BB_STORE_DECREMENT, "n", "1", NULL, &out));
    cr_assert_str_eq(bbt_text(&out.value), "4");
    IS(s, "n", "4");
    OK(run(s, BB_STORE_PUT, "text", "x", NULL, NULL));
    cr_assert_eq(run(s, BB_STORE_INCREMENT, "text", "1", NULL, &out), BB_ETYPE);
    cr_assert_eq(out.changed, 0);
    IS(s, "text", "x");
    cr_assert_eq(run(s, BB_STORE_INCREMENT, "n", "-1", NULL, NULL), BB_ETYPE, "an integer");
    cr_assert_eq(run(s, BB_STORE_DECREMENT, "n", "5", NULL, NULL), BB_ERANGE);
    cr_assert_eq(run(s, BB_STORE_INCREMENT, "n", "18446744073709551615", NULL, NULL), BB_ERANGE);
    IS(s, "n", "4");
    OK(run(s, BB_STORE_INCREMENT, "i", "-5", NULL, NULL));
    IS(s, "i", "-5");
    OK(run(s, BB_STORE_INCREMENT, "r", "2.5", NULL, NULL));
    OK(run(s, BB_STORE_INCREMENT, "r", "1.25", NULL, NULL));
    IS(s, "r", "3.750000");
    OK(run(s, BB_STORE_INCREMENT, "t", "300ms", NULL, &out));
    cr_assert_eq(bb_value_type(&out.value), BB_TIMESTAMP, "time from 1970 on");
    OK(run(s, BB_STORE_PUT, "d", "2s", NULL, NULL));
    OK(run(s, BB_STORE_DECREMENT, "d", "500ms", NULL, NULL));
    IS(s, "d", "1500000000ns");
    end(&r);
}

CASE(65, taking_from_nothing)
{
    struct rig r;
    struct bb_store_result out;
    start(&r, way, 1);
    struct bb_store *s = r.clone[0];
    cr_assert_eq(run(s, BB_STORE_DECREMENT, "a", "1", NULL, &out), BB_ENOENT);
    cr_assert_eq(out.version, 0);
    cr_assert_eq(run(s, BB_STORE_POP, "a", NULL, NULL, &out), BB_ENOENT);
    cr_assert_eq(run(s, BB_STORE_REMOVE, "a", NULL, "1", &out), BB_ENOENT);
    cr_assert_eq(run(s, BB_STORE_EXPIRE, "a", NULL, NULL, &out), BB_ENOENT);
    OK(run(s, BB_STORE_ERASE, "a", NULL, NULL, &out));
    cr_assert_eq(out.changed, 0);
    cr_assert_eq(exists(s, "a"), 0);
    cr_assert_str_eq(keys(s), "");
    cr_assert_eq(bb_store_version(s), 0, "nothing changed");
    end(&r);
}

CASE(66, append)
{
    struct rig r;
    start(&r, way, 1);
    OK(run(r.clone[0], BB_STORE_APPEND, "a", "x", NULL, NULL));
    IS(r.clone[0], "a", "x");
    OK(run(r.clone[0], BB_STORE_APPEND, "a", "y", NULL, NULL));
    IS(r.clone[0], "a", "xy");
    cr_assert_eq(run(r.clone[0], BB_STORE_APPEND, "a", "1", NULL, NULL), BB_ETYPE);
    OK(run(r.clone[0], BB_STORE_PUT, "n", "1", NULL, NULL));
    cr_assert_eq(run(r.clone[0], BB_STORE_APPEND, "n", "x", NULL, NULL), BB_ETYPE);
    IS(r.clone[0], "n", "1");
    end(&r);
}

CASE(67, containers)
{
    struct rig r;
    struct bb_store_result out;
    start(&r, way, 1);
    struct bb_store *s = r.clone[0];
    OK(run(s, BB_STORE_INSERT, "set", NULL, "2", NULL));
    OK(run(s, BB_STORE_INSERT, "set", NULL, "1", NULL));
    OK(run(s, BB_STORE_INSERT, "set", NULL, "2", &out));
    cr_assert_eq(out.changed, 0, "it was in it");
    IS(s, "set", "{1, 2}");
    OK(run(s, BB_STORE_REMOVE, "set", NULL, "2", NULL));
    OK(run(s, BB_STORE_REMOVE, "set", NULL, "7", &out));
    cr_assert_eq(out.changed, 0, "it was not in it");
    IS(s, "set", "{1}");
    OK(run(s, BB_STORE_INSERT, "table", "one", "1", NULL));
    OK(run(s, BB_STORE_INSERT, "table", "two", "2", NULL));
    OK(run(s, BB_STORE_INSERT, "table", "uno", "1", NULL));
    IS(s, "table", "{1 -> uno, 2 -> two}");
    OK(run(s, BB_STORE_REMOVE, "table", NULL, "1", NULL));
    IS(s, "table", "{2 -> two}");
    OK(run(s, BB_STORE_PUSH, "vector", "a", NULL, NULL));
    OK(run(s, BB_STORE_PUSH, "vector", "b", NULL, NULL));
    IS(s, "vector", "(a, b)");
    OK(run(s, BB_STORE_POP, "vector", NULL, NULL, &out));
    cr_assert_str_eq(bbt_text(&out.value), "b");
    IS(s, "vector", "(a)");
    OK(run(s, BB_STORE_POP, "vector", NULL, NULL, NULL));
    OK(run(s, BB_STORE_POP, "vector", NULL, NULL, &out));
    cr_assert_null(out.value.p, "an empty vector has nothing to give");
    IS(s, "vector", "()");
    cr_assert_eq(run(s, BB_STORE_PUSH, "set", "1", NULL, NULL), BB_ETYPE);
    cr_assert_eq(run(s, BB_STORE_INSERT, "vector", NULL, "1", NULL), BB_ETYPE);
    cr_assert_eq(run(s, BB_STORE_POP, "table", NULL, NULL, NULL), BB_ETYPE);
    IS(s, "set", "{1}");
    end(&r);
}

/* Text of the indexed value, or the status' sentence. */
static const char *
indexed(struct bb_store *s, const char *key, const char *index)
{
    const struct bb_value k = bbt_v(key), i = bbt_v(index);
    struct bb_value v;
    int rc = bb_store_get_index(s, &k, &i, &v);
    return rc == 0 ? bbt_text(&v) : bb_strerror(rc);
}

CASE(68, get_index)
{
    struct rig r;
    start(&r, way, 1);
    struct bb_store *s = r.clone[0];
    OK(run(s, BB_STORE_PUT, "v", "(a, b)", NULL, NULL));
    OK(run(s, BB_STORE_PUT, "s", "{1, 2}", NULL, NULL));
    OK(run(s, BB_STORE_PUT, "t", "{1 -> one}", NULL, NULL));
    OK(run(s, BB_STORE_PUT, "n", "7", NULL, NULL));
    cr_assert_str_eq(indexed(s, "v", "1"), "b");
    cr_assert_str_eq(indexed(s, "v", "2"), bb_strerror(BB_ENOENT));
    cr_assert_str_eq(indexed(s, "v", "-1"), bb_strerror(BB_ENOENT));
    cr_assert_str_eq(indexed(s, "v", "+0"), "a");
    cr_assert_str_eq(indexed(s, "v", "q"), bb_strerror(BB_ETYPE));
    cr_assert_str_eq(indexed(s, "s", "1"), "T");
    cr_assert_str_eq(indexed(s, "s", "3"), "F");
    cr_assert_str_eq(indexed(s, "t", "1"), "one");
    cr_assert_str_eq(indexed(s, "t", "2"), bb_strerror(BB_ENOENT));
    cr_assert_str_eq(indexed(s, "n", "whatever"), "7");
    cr_assert_str_eq(indexed(s, "nothing", "1"), bb_strerror(BB_ENOENT));
    end(&r);
}

/* ---- 69, 70: deadlines ---- */

static void
see_k(struct bbt_side *side, struct bb_store *s, uint32_t order)
{
    const char *want = order == 1 ? "1" : "absent";
    BBT_CHECK(side, strcmp(get(s, "k"), want) == 0, "the master reads k=%s, not %s", get(s, "k"),
              want);
}

CASE(69, keys_end_at_their_deadline)
{
    struct rig r;
    start(&r, way, 2);
    struct bb_store *a = r.clone[0], *b = r.clone[1];
    struct bb_watch *w = watch(&r);
    OK(run_for(a, BB_STORE_PUT, "k", "1", 100 * BBT_MS_NS));
    OK(run_for(a, BB_STORE_PUT, "later", "1", 2 * BBT_S_NS));
    cr_assert_eq(left(b, "k"), 100 * BBT_MS_NS);
    bbt_clock_add(r.clock, 100 * BBT_MS_NS - 1);
    IS(a, "k", "1"); /* a nanosecond before */
    IS(b, "k", "1");
    cr_assert_eq(left(b, "k"), 1);
    cr_assert_eq(bb_store_count(b, NULL), 2);
    bbt_clock_add(r.clock, 2); /* and one after: at once, whether or not it was swept */
    IS(a, "k", "absent");
    IS(b, "k", "absent");
    cr_assert_eq(exists(b, "k"), 0);
    cr_assert_str_eq(keys(a), "later");
    cr_assert_eq(bb_store_count(b, NULL), 1);
    cr_assert_str_eq(watched(w, 3), "A:+k=1 A:+later=1 M:!k(1)");
    bbt_clock_add(r.clock, 400 * BBT_MS_NS);
    IS(b, "later", "1");
    bb_watch_close(w);
    end(&r);
}

CASE(69b, the_master_reads_in_time)
{
    struct rig r;
    start_ordered(&r, way, 1, see_k);
    OK(run_for(r.clone[0], BB_STORE_PUT, "k", "1", BBT_S_NS));
    ask_master(&r, 1);
    bbt_clock_add(r.clock, BBT_S_NS + 1);
    ask_master(&r, 2);
    end(&r);
}

CASE(70, what_a_write_does_to_the_deadline)
{
    struct rig r;
    start(&r, way, 1);
    struct bb_store *s = r.clone[0];
    OK(run_for(s, BB_STORE_PUT, "k", "1", BBT_S_NS));
    OK(run_for(s, BB_STORE_PUT, "k", "2", 0)); /* put without: never */
    cr_assert_eq(left(s, "k"), BB_STORE_NEVER);
    OK(run_for(s, BB_STORE_PUT, "k", "3", BBT_S_NS));
    bbt_clock_add(r.clock, BBT_S_NS / 2);
    OK(run_for(s, BB_STORE_PUT, "k", "4", BBT_S_NS)); /* a new span: a new deadline */
    cr_assert_eq(left(s, "k"), BBT_S_NS);
    bbt_clock_add(r.clock, BBT_S_NS / 4);
    OK(run_for(s, BB_STORE_INCREMENT, "k", "1", 0)); /* all others keep it */
    cr_assert_eq(left(s, "k"), BBT_S_NS / 4 * 3);
    OK(run_for(s, BB_STORE_INCREMENT, "k", "1", 3 * BBT_S_NS));
    cr_assert_eq(left(s, "k"), 3 * BBT_S_NS);
    OK(run_for(s, BB_STORE_INCREMENT, "k", "1", BB_STORE_NEVER));
    cr_assert_eq(left(s, "k"), BB_STORE_NEVER);
    OK(run_for(s, BB_STORE_EXPIRE, "k", NULL, BBT_S_NS));
    cr_assert_eq(left(s, "k"), BBT_S_NS);
    IS(s, "k", "7");
    OK(run_for(s, BB_STORE_EXPIRE, "k", NULL, BB_STORE_NEVER));
    bbt_clock_add(r.clock, 100 * BBT_S_NS);
    IS(s, "k", "7");
    /* One that changes only the deadline leaves the value whole, also while somebody watches. */
    struct bb_watch *w = watch(&r);
    OK(run(s, BB_STORE_PUT, "set", "{1, 2}", NULL, NULL));
    const struct bb_store_cmd again = {
        .op = BB_STORE_INSERT, .key = bbt_v("set"), .index = bbt_v("1"), .expire_ns = BBT_S_NS};
    struct bb_store_result out;
    OK(bb_store_run(s, &again, 1, 0, &out));
    IS(s, "set", "{1, 2}");
    cr_assert_eq(left(s, "set"), BBT_S_NS);
    cr_assert_str_eq(watched(w, 2), "A:+set={1, 2} A:~set({1, 2})={1, 2}");
    bb_watch_close(w);
    end(&r);
}

/* No case of Broker's: it has no batches. */
CASE(67b, a_batch_all_or_none)
{
    struct rig r;
    struct bb_store_result out[3];
    start(&r, way, 1);
    struct bb_store *s = r.clone[0];
    struct bb_store_cmd cmds[] = {
        {.op = BB_STORE_PUT, .key = bbt_v("a"), .value = bbt_v("1")},
        {.op = BB_STORE_POP, .key = bbt_v("none")},
        {.op = BB_STORE_PUT, .key = bbt_v("b"), .value = bbt_v("2")},
    };
    cr_assert_eq(bb_store_run(s, cmds, 3, BB_STORE_ATOMIC, out), BB_ENOENT,
                 "why, not what it undid");
    cr_assert_eq(out[0].code, BB_ECANCELED);
    cr_assert_eq(out[1].code, BB_ENOENT);
    cr_assert_eq(out[2].code, BB_ECANCELED);
    cr_assert_str_eq(keys(s), "");
    cr_assert_eq(bb_store_version(s), 0, "nothing changed");
    cmds[1] = cmds[2];
    OK(bb_store_run(s, cmds, 2, BB_STORE_ATOMIC, out));
    cr_assert_str_eq(get(s, "a"), "1");
    cr_assert_str_eq(get(s, "b"), "2");
    end(&r);
}

CASE(70b, a_key_that_is_due_is_not_there)
{
    struct rig r;
    struct bb_store_result out;
    start(&r, way, 1);
    struct bb_store *s = r.clone[0];
    struct bb_watch *w = watch(&r);
    OK(run_for(s, BB_STORE_PUT, "n", "41", BBT_S_NS));
    bbt_signal(&r.master, SIGSTOP); /* so that nothing sweeps */
    bbt_wait_stop(&r.master, TIMEOUT_MS);
    bbt_clock_add(r.clock, BBT_S_NS + 1);
    bbt_signal(&r.master, SIGCONT);
    OK(run(s, BB_STORE_INCREMENT, "n", "1", NULL, &out));
    cr_assert_str_eq(bbt_text(&out.value), "1", "it starts from zero");
    cr_assert_eq(left(s, "n"), BB_STORE_NEVER);
    cr_assert_str_eq(watched(w, 3), "A:+n=41 M:!n(41) A:+n=1");
    bb_watch_close(w);
    end(&r);
}

/* ---- 71, 72: erasing and watching ---- */

CASE(71, erase_and_clear)
{
    struct rig r;
    struct bb_store_result out;
    start(&r, way, 2);
    struct bb_watch *w = watch(&r);
    OK(run(r.clone[0], BB_STORE_PUT, "a", "1", NULL, NULL));
    OK(run(r.clone[0], BB_STORE_PUT, "b", "2", NULL, NULL));
    OK(run(r.clone[0], BB_STORE_PUT, "c", "3", NULL, NULL));
    OK(run(r.clone[1], BB_STORE_ERASE, "b", NULL, NULL, &out));
    cr_assert_eq(out.changed, 1);
    cr_assert_eq(out.version, 0);
    cr_assert_str_eq(keys(r.clone[0]), "a c");
    OK(run(r.clone[0], BB_STORE_CLEAR, NULL, NULL, NULL, &out));
    cr_assert_eq(out.changed, 1);
    cr_assert_str_eq(keys(r.clone[0]), "");
    cr_assert_str_eq(keys(r.clone[1]), "");
    cr_assert_str_eq(watched(w, 6), "A:+a=1 A:+b=2 A:+c=3 B:-b(2) A:-a(1) A:-c(3)");
    OK(run(r.clone[0], BB_STORE_CLEAR, NULL, NULL, NULL, &out));
    cr_assert_eq(out.changed, 0);
    bb_watch_close(w);
    end(&r);
}

CASE(72, changes_say_what_and_who)
{
    struct rig r;
    struct bb_store_change c[4];
    struct bb_store_result out[4];
    uint64_t now = 99;
    struct bb_watch *w, *only;
    start(&r, way, 2);
    if (way->flags != 0) {
        cr_assert_eq(bb_watch_open(&w, r.clone[0], NULL, 0, NULL), BB_ENOTSUP, "maps nothing");
    }
    const struct bb_value prefix = bbt_v("10.0.0.0/8");
    OK(bb_watch_open(&w, r.seer, NULL, 0, &now));
    OK(bb_watch_open(&only, r.seer, &prefix, 0, NULL));
    cr_assert_eq(now, 0);
    OK(run_for(r.clone[0], BB_STORE_PUT, "10.0.0.1", "1", 5 * BBT_S_NS));
    OK(run(r.clone[0], BB_STORE_PUT, "x", "y", NULL, &out[1]));
    OK(run(r.clone[1], BB_STORE_PUT, "x", "z", NULL, &out[2]));
    OK(run(r.clone[0], BB_STORE_ERASE, "x", NULL, NULL, NULL));
    bbt_clock_add(r.clock, 6 * BBT_S_NS);
    cr_assert_str_eq(watched(only, 2), "A:+10.0.0.1=1 M:!10.0.0.1(1)");
    cr_assert_str_eq(watched(w, 5), "A:+10.0.0.1=1 A:+x=y B:~x(y)=z A:-x(z) M:!10.0.0.1(1)");
    bb_watch_close(w);
    /* From a version on, as long as somebody watches: nothing is missing, nothing comes twice. */
    OK(bb_watch_open(&w, r.seer, NULL, 1, NULL));
    bb_watch_close(only);
    BBT_UNTIL(bb_watch_next(w, c, 2, 0) == 2, TIMEOUT_MS, "two changes");
    cr_assert_eq(c[0].version, 2);
    cr_assert_eq(c[0].version, out[1].version);
    cr_assert_eq(c[1].version, out[2].version);
    cr_assert_eq(c[0].node_id, bb_endpoint_id(r.ep[0]));
    cr_assert_eq(c[1].node_id, bb_endpoint_id(r.ep[1]));
    cr_assert_eq(c[0].expires_ns, BB_STORE_NEVER);
    cr_assert_str_eq(watched(w, 2), "A:-x(z) M:!10.0.0.1(1)");
    bb_watch_close(w);
    end(&r);
}

/* ---- 73: before the master ---- */

static void
wait_for_a(struct bbt_side *side, const void *arg)
{
    const struct rig *r = arg;
    const struct bb_store_opts o = opts_of(r, BB_STORE_CLONE);
    struct bb_endpoint *ep = bbt_endpoint(side, "early", 0);
    bbt_at(side, 1);
    struct bb_store *s = bbt_store(side, ep, &o);
    while (strcmp(get(s, "a"), "1") != 0) {
        bbt_nap();
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

CASE(73, a_clone_waits_for_its_master)
{
    struct rig r = {.way = way, .me = bbt_side_new(), .clock = bbt_clock_new()};
    struct bbt_child early;
    struct bb_store *s = NULL;
    struct bb_error err;
    (void)snprintf(r.path, sizeof(r.path), "%s/cases-dir", bbt_dir());
    struct bb_endpoint *ep = bbt_endpoint(r.me, "A", 0);
    struct bb_store_opts o = opts_of(&r, BB_STORE_CLONE);
    o.timeout_ns = 50 * BBT_MS_NS;
    int rc = bbt_store_try(&s, ep, &o, &err);
    cr_assert_eq(rc, BB_ENOENT, "%d", rc);
    cr_assert_not_null(strstr(err.sentence, "cases"), "which one: %s", err.sentence);
    bbt_fork(&early, "early", wait_for_a, &r);
    bbt_wait_at(&early, 1, TIMEOUT_MS);
    r.served = (struct bbt_served){.node = "M", .opts = opts_of(&r, BB_STORE_MASTER)};
    start_master(&r);
    o.timeout_ns = TIMEOUT_MS * BBT_MS_NS;
    s = bbt_store(r.me, ep, &o);
    OK(run(s, BB_STORE_PUT, "a", "1", NULL, NULL));
    bbt_wait_end(&early, TIMEOUT_MS);
    bb_store_close(s);
    bb_endpoint_close(ep);
    bbt_served_quit(&r.master);
}

/* ---- 78: two masters ---- */

CASE(78, one_master_at_a_time)
{
    struct rig r;
    struct bb_store *s = NULL;
    struct bb_error err;
    start(&r, way, 1);
    const struct bb_store_opts o = opts_of(&r, BB_STORE_MASTER);
    cr_assert_eq(bbt_store_try(&s, r.ep[0], &o, &err), BB_EEXIST);
    cr_assert_not_null(strstr(err.sentence, "M"), "by whom: %s", err.sentence);
    cr_assert_eq(err.owner_pid, r.master.pid);
    end(&r);
}

/* ---- 80 to 82: opening again ---- */

CASE(80, a_restart_keeps_values_and_deadlines)
{
    struct rig r;
    start(&r, way, 1);
    struct bb_store *s = r.clone[0];
    OK(run(s, BB_STORE_PUT, "stays", "1", NULL, NULL));
    OK(run_for(s, BB_STORE_PUT, "short", "2", 10 * BBT_S_NS));
    OK(run_for(s, BB_STORE_PUT, "long", "3", 60 * BBT_S_NS));
    bbt_served_quit(&r.master);
    if (way->flags == 0) {
        IS(s, "long", "3"); /* in place: also while nobody serves it */
    }
    bbt_clock_add(r.clock, 20 * BBT_S_NS);
    start_master(&r);
    cr_assert_str_eq(keys(s), "long stays");
    cr_assert_eq(left(s, "long"), 40 * BBT_S_NS, "its original time");
    struct bb_store_info info = {.size = sizeof(info)};
    OK(bb_store_info(s, &info));
    BBT_UNTIL(bb_store_info(s, &info) == 0 && info.expired == 1, TIMEOUT_MS,
              "expired at the start: %llu", (unsigned long long)info.expired);
    bbt_clock_add(r.clock, 40 * BBT_S_NS + 1);
    IS(s, "long", "absent");
    IS(s, "stays", "1");
    end(&r);
}

static void
damage(const struct bb_store_info *info)
{
    char path[400];
    unsigned char junk[8192];
    (void)snprintf(path, sizeof(path), "%s/current/data.mdb", info->path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
    memset(junk, 0x5a, sizeof(junk));
    cr_assert_eq(pwrite(fd, junk, sizeof(junk), 0), (ssize_t)sizeof(junk));
    (void)close(fd);
}

CASE(81, a_damaged_store)
{
    struct rig r;
    struct bb_store_info info = {.size = sizeof(info)};
    start(&r, way, 1);
    OK(run(r.clone[0], BB_STORE_PUT, "a", "1", NULL, NULL));
    OK(bb_store_info(r.clone[0], &info));
    bb_store_close(r.seer);
    bb_store_close(r.clone[0]);
    bb_endpoint_close(r.ep[0]);
    bbt_served_quit(&r.master);
    damage(&info);
    r.served.is_tried = true;
    start_master(&r);
    cr_assert_eq((int)(int64_t)r.master.side->n[BBT_N_RC], BB_ECORRUPT, "%d: %s",
                 (int)(int64_t)r.master.side->n[BBT_N_RC], r.master.side->said);
    bbt_wait_end(&r.master, TIMEOUT_MS);
    r.served.is_tried = false;
    r.served.opts.flags |= BB_STORE_START_EMPTY;
    start_master(&r);
    const struct bb_store_opts o = opts_of(&r, BB_STORE_CLONE);
    r.ep[0] = bbt_endpoint(r.me, "A2", 0);
    r.clone[0] = bbt_store(r.me, r.ep[0], &o);
    cr_assert_str_eq(keys(r.clone[0]), "");
    OK(run(r.clone[0], BB_STORE_PUT, "b", "1", NULL, NULL));
    cr_assert_str_eq(keys(r.clone[0]), "b");
    r.seer = NULL;
    end(&r);
}

static void
refused(const struct rig *r, struct bb_store_opts o, int want, const char *what)
{
    struct bb_store *s = NULL;
    struct bb_error err;
    int rc = bbt_store_try(&s, r->ep[0], &o, &err);
    cr_assert_eq(rc, want, "%s: %d", what, rc);
    cr_assert_neq(err.sentence[0], '\0', "%s: says nothing", what);
}

CASE(82, options_and_defaults)
{
    struct rig r;
    struct bb_store_info info = {.size = sizeof(info)};
    start(&r, way, 1);
    struct bb_store_opts o = opts_of(&r, BB_STORE_MASTER);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        struct bb_store_opts bad = o;                                                              \
        bad.name = "other";                                                                        \
        change;                                                                                    \
        refused(&r, bad, BB_EINVAL, #change);                                                      \
    } while (0)
    REFUSED(bad.name = NULL);
    REFUSED(bad.name = "");
    REFUSED(bad.name = ".hidden");
    REFUSED(bad.name = "a/b");
    REFUSED(bad.name = "123456789012345678901234567890123456789012345678");
    REFUSED(bad.role = 3);
    REFUSED(bad.quota_bytes = (1 << 20) - 1);
    REFUSED(bad.window = 17);
    o.name = "other";
    o.flags = 1u << 30;
    refused(&r, o, BB_ENOTSUP, "a flag of a later version");
    OK(bb_store_info(r.clone[0], &info));
    cr_assert_eq(info.quota_bytes, UINT64_C(256) << 20);
    cr_assert_eq(info.is_memory, way->is_persistent ? 0u : 1u);
    cr_assert_eq(info.is_relaxed, 0u, "synced unless it was asked for");
    cr_assert_eq(info.has_master, 1u);
    cr_assert_eq(info.master_pid, r.master.pid);
    cr_assert_str_eq(info.master_node, "M");
    end(&r);
}

/* ---- 83: awaiting what was sent ---- */

struct answers {
    int64_t last;
    int count, bad;
};

static void
on_done(int64_t ticket, const struct bb_store_result *results, size_t count, void *user)
{
    struct answers *a = user;
    a->bad += ticket <= a->last || count != 1 || results[0].code != 0;
    a->last = ticket;
    a->count++;
}

CASE(83, idle_when_all_is_answered)
{
    struct rig r;
    struct answers a = {.count = 0};
    start(&r, way, 1);
    struct bb_store_opts o = opts_of(&r, BB_STORE_CLONE);
    o.done = on_done;
    o.user = &a;
    o.window = 4;
    struct bb_store *s = bbt_store(r.me, r.ep[0], &o);
    const struct bb_store_cmd add = {
        .op = BB_STORE_INCREMENT, .key = bbt_v("n"), .value = bbt_v("1")};
    bbt_signal(&r.master, SIGSTOP);
    bbt_wait_stop(&r.master, TIMEOUT_MS);
    for (int i = 0; i < 4; i++) {
        cr_assert_gt(bb_store_send(s, &add, 1, 0), 0);
    }
    cr_assert_eq(bb_store_send(s, &add, 1, 0), BB_EAGAIN, "the window is full");
    cr_assert_eq(bb_store_idle(s, 50 * BBT_MS_NS), BB_ETIMEDOUT);
    cr_assert_eq(a.count, 0);
    bbt_signal(&r.master, SIGCONT);
    OK(bb_store_idle(s, TIMEOUT_MS * BBT_MS_NS));
    cr_assert_eq(a.count, 4);
    cr_assert_eq(a.bad, 0);
    IS(s, "n", "4");
    OK(bb_store_idle(s, 0));
    bb_store_close(s);
    end(&r);
}

/* ---- 84: a master that is killed ---- */

enum { N_ACKED = 0 };

static void
burst(struct bbt_side *side, const void *arg)
{
    const struct rig *r = arg;
    struct bb_store_opts o = opts_of(r, BB_STORE_CLONE);
    struct bb_endpoint *ep = bbt_endpoint(side, "burst", 0);
    struct bb_store *s = bbt_store(side, ep, &o);
    for (uint64_t i = 1;; i++) {
        char key[24];
        (void)snprintf(key, sizeof(key), "%llu", (unsigned long long)i);
        if (run(s, BB_STORE_PUT, key, key, NULL, NULL) != 0) {
            return;
        }
        bbi_store_release(&side->n[N_ACKED], i);
    }
}

CASE(84, an_acknowledged_prefix_is_whole)
{
    struct rig r;
    struct bbt_child child;
    struct bb_store_verdict verdict = {.size = sizeof(verdict)};
    struct bb_store_info info = {.size = sizeof(info)};
    start(&r, way, 1);
    bbt_fork(&child, "burst", burst, &r);
    BBT_UNTIL(bbi_load_acquire(&child.side->n[N_ACKED]) >= 200, TIMEOUT_MS, "200 puts");
    bbt_signal(&r.master, SIGKILL);
    bbt_wait_kill(&r.master, TIMEOUT_MS);
    bbt_signal(&child, SIGKILL); /* so that nobody sends it again */
    bbt_wait_kill(&child, TIMEOUT_MS);
    OK(bb_store_info(r.clone[0], &info));
    cr_assert_eq(info.has_master, 0u);
    cr_assert_eq(info.master_pid, r.master.pid, "who was it");
    OK(bb_store_verify(info.path, &verdict));
    cr_assert_eq(verdict.damaged, 0u, "%s", verdict.what);
    r.served.node = "M2";
    start_master(&r);
    uint64_t acked = bbi_load_acquire(&child.side->n[N_ACKED]);
    uint64_t there = (uint64_t)bb_store_count(r.clone[0], NULL);
    cr_assert_eq(verdict.keys, there);
    cr_assert(there == acked || there == acked + 1, "%llu acknowledged, %llu are there",
              (unsigned long long)acked, (unsigned long long)there);
    for (uint64_t i = 1; i <= there; i++) {
        char key[24];
        (void)snprintf(key, sizeof(key), "%llu", (unsigned long long)i);
        IS(r.clone[0], key, key);
    }
    OK(run(r.clone[0], BB_STORE_PUT, "on", "T", NULL, NULL));
    end(&r);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Deadlines do not follow when somebody sets the wall clock; and very many keys that are due at one moment
 *         are never returned, end with one event each, and stall nobody who writes.
 * Method  A clock that the test moves, in memory that master and clones share.  For the many: all of them get a
 *         deadline, the clock steps over it; a reader goes on asking for them while a writer puts others, and a
 *         watcher counts who expired.
 *
 * BB_KEYS   how many are due at once (100,000).
 * Long      BB_KEYS=1000000 build/dev/tests/process/store_expiry --timeout 1000
 *
 * bb-timeout: 240
 */
#include "shm/os.h"
#include "tests/support/store.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WAIT_MS = 60000,
    BATCH = 1000,
    PUTS = 20000, /* at most, while the many expire */
    GONE_MS = 10000,
    N_READS = 0,
    N_EXPIRED,
    N_QUIT = 30
};
#define DAY_NS (INT64_C(86400) * BBT_S_NS)

static struct bbt_clock *moved;
static struct bbt_served served;
static struct bbt_child server;
static struct bbt_side *me;
static uint64_t key_count;

static struct bb_store_opts
opts_of(uint32_t role)
{
    return (struct bb_store_opts){.name = "due",
                                  .role = role,
                                  .quota_bytes = UINT64_C(4) << 30,
                                  .timeout_ns = WAIT_MS * BBT_MS_NS,
                                  .clock = &moved->clock};
}

static void
init(void)
{
    bbt_bus_new();
    me = bbt_side_new();
    moved = bbt_clock_new();
    served = (struct bbt_served){.node = "master", .opts = opts_of(BB_STORE_MASTER)};
    bbt_fork(&server, "master", bbt_serve, &served);
    bbt_wait_at(&server, BBT_SERVE_READY, WAIT_MS);
}

TestSuite(store_expiry, .init = init, .fini = bbt_bus_end, .timeout = 200);

/* A count as a value, in the caller's 16 bytes. */
static struct bb_value
number(uint64_t n, uint64_t room[2])
{
    struct bb_builder b;
    struct bb_value v = {.p = NULL};
    bb_build_init(&b, room, 16);
    bb_put_count(&b, n);
    if (bb_build_end(&b) != 16 || bb_value_open(&v, room, 16) != 0) {
        abort();
    }
    return v;
}

/* ---- the wall clock ---- */

Test(store_expiry, a_wall_clock_that_jumps_expires_nothing)
{
    static const int64_t JUMPS[] = {DAY_NS, -2 * DAY_NS, DAY_NS, 365 * DAY_NS, -400 * DAY_NS};
    struct bb_endpoint *ep = bbt_endpoint(me, "clone", 0);
    const struct bb_store_opts o = opts_of(BB_STORE_CLONE);
    struct bb_store *s = bbt_store(me, ep, &o);
    const struct bb_value key = bbt_v("hour"), soon = bbt_v("soon"), one = bbt_v("1");
    struct bb_store_item item;
    cr_assert_eq(bb_store_put(s, &key, &one, 3600 * BBT_S_NS, NULL), 0);
    for (size_t i = 0; i < sizeof(JUMPS) / sizeof(JUMPS[0]); i++) {
        bbt_clock_jump(moved, JUMPS[i]);
        uint64_t polls = bbi_load_acquire(&server.side->n[BBT_N_POLLS]);
        cr_assert_eq(bb_store_get_item(s, &key, &item), 0, "after jump %zu", i);
        cr_assert_eq(item.expires_ns, (3600 - (int64_t)i) * BBT_S_NS, "after jump %zu", i);
        BBT_UNTIL(bbi_load_acquire(&server.side->n[BBT_N_POLLS]) > polls + 10, WAIT_MS, "polls");
        cr_assert_eq(bb_store_get_item(s, &key, &item), 0, "swept after jump %zu", i);
        /* Spans that are given now run as always. */
        cr_assert_eq(bb_store_put(s, &soon, &one, BBT_S_NS, NULL), 0);
        bbt_clock_add(moved, BBT_S_NS - 1);
        cr_assert_eq(bb_store_exists(s, &soon), 1);
        bbt_clock_add(moved, 1);
        cr_assert_eq(bb_store_exists(s, &soon), 0, "exactly then: not there any more");
    }
    bbt_clock_add(moved, 3600 * BBT_S_NS);
    cr_assert_eq(bb_store_exists(s, &key), 0);
    bb_store_close(s);
    bb_endpoint_close(ep);
    bbt_served_quit(&server);
}

Test(store_expiry, a_wall_clock_set_back_while_nobody_serves)
{
    struct bb_endpoint *ep = bbt_endpoint(me, "clone", 0);
    const struct bb_store_opts o = opts_of(BB_STORE_CLONE);
    struct bb_store *s = bbt_store(me, ep, &o);
    const struct bb_value key = bbt_v("hour"), one = bbt_v("1");
    struct bb_store_item item;
    cr_assert_eq(bb_store_put(s, &key, &one, 3600 * BBT_S_NS, NULL), 0);
    bbt_served_quit(&server);
    bbt_clock_add(moved, 60 * BBT_S_NS);
    bbt_clock_jump(moved, DAY_NS); /* on the same boot: the box's own clock counts */
    bbt_fork(&server, "master", bbt_serve, &served);
    bbt_wait_at(&server, BBT_SERVE_READY, WAIT_MS);
    cr_assert_eq(bb_store_get_item(s, &key, &item), 0);
    cr_assert_eq(item.expires_ns, 3540 * BBT_S_NS);
    bb_store_close(s);
    bb_endpoint_close(ep);
    bbt_served_quit(&server);
}

/* ---- very many at once ---- */

static void
fill(struct bb_store *s)
{
    static struct bb_store_cmd cmds[BATCH];
    static struct bb_store_result results[BATCH];
    static uint64_t rooms[BATCH][2];
    for (uint64_t k = 0; k < key_count; k += BATCH) {
        for (uint64_t i = 0; i < BATCH; i++) {
            const struct bb_value v = number(k + i, rooms[i]);
            cmds[i] = (struct bb_store_cmd){
                .op = BB_STORE_PUT, .key = v, .value = v, .expire_ns = 100 * BBT_S_NS};
        }
        int rc = bb_store_run(s, cmds, BATCH, 0, results);
        cr_assert_eq(rc, 0, "put %llu: %d", (unsigned long long)k, rc);
    }
}

/* Asks for those that are due, one by one and by scanning, from when the clock stepped. */
static void
asking(struct bbt_side *side, const void *arg)
{
    const struct bb_store_opts o = opts_of(BB_STORE_CLONE);
    struct bb_endpoint *ep = bbt_endpoint(side, "asking", 0);
    struct bb_store *s = bbt_store(side, ep, &o);
    uint64_t room[2], reads = 0;
    unsigned short d[3] = {1, 2, 3};
    (void)arg;
    bbt_at(side, 1);
    (void)bbt_wait_go(side, 1, WAIT_MS);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        for (int i = 0; i < 1000; i++, reads++) {
            const struct bb_value key = number((uint64_t)nrand48(d) % key_count, room);
            struct bb_value v;
            int rc = bb_store_get(s, &key, &v);
            BBT_CHECK(side, rc == BB_ENOENT, "get of a key that is due: %d", rc);
        }
        struct bb_store_item items[4];
        int64_t n = bb_store_scan(s, NULL, NULL, items, 4);
        BBT_CHECK(side, n >= 0, "scan: %lld", (long long)n);
        for (int64_t i = 0; i < n; i++) {
            BBT_CHECK(side, items[i].expires_ns == BB_STORE_NEVER, "scan gives a key that is due");
        }
        bbi_store_release(&side->n[N_READS], reads);
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

/* Each of them expires once. */
static void
counting(struct bbt_side *side, const void *arg)
{
    const struct bb_store_opts o = opts_of(BB_STORE_CLONE);
    struct bb_endpoint *ep = bbt_endpoint(side, "counting", 0);
    struct bb_store *s = bbt_store(side, ep, &o);
    struct bb_store_change c[256];
    struct bb_watch *w = NULL;
    unsigned char *seen = calloc(1, key_count);
    uint64_t expired = 0;
    (void)arg;
    int rc = bb_watch_open(&w, s, NULL, 0, NULL);
    BBT_CHECK(side, rc == 0 && seen != NULL, "watch: %d", rc);
    bbt_at(side, 1);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        int n = bb_watch_next(w, c, 256, 10 * BBT_MS_NS);
        BBT_CHECK(side, n >= 0, "watch: %d", n);
        for (int i = 0; i < n; i++) {
            uint64_t key = 0;
            BBT_CHECK(side, c[i].kind != BB_STORE_GAP, "a gap");
            if (c[i].kind != BB_STORE_EXPIRED) {
                continue;
            }
            rc = bb_get_count(&c[i].key, &key);
            BBT_CHECK(side, rc == 0 && key < key_count, "another key expired");
            BBT_CHECK(side, seen[key] == 0, "key %llu expired twice", (unsigned long long)key);
            seen[key] = 1;
            expired++;
        }
        bbi_store_release(&side->n[N_EXPIRED], expired);
    }
    bb_watch_close(w);
    bb_store_close(s);
    bb_endpoint_close(ep);
    free(seen);
}

static int
by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Puts, one at a time, until all are gone; how many, and how long each took. */
static int
put_meanwhile(struct bb_store *s, const struct bbt_child *counter, int64_t *took_ns)
{
    int puts = 0;
    int64_t deadline = bbt_now_ms() + bbt_ms(WAIT_MS);
    while (bbi_load_acquire(&counter->side->n[N_EXPIRED]) < key_count) {
        uint64_t room[2];
        const struct bb_value one = number(1, room), key = bbt_v("others");
        int64_t begin = bbi_os_mono_ns();
        cr_assert_eq(bb_store_put(s, &key, &one, 0, NULL), 0);
        if (puts < PUTS) {
            took_ns[puts++] = bbi_os_mono_ns() - begin;
        }
        bbt_check_all();
        cr_assert_lt(bbt_now_ms(), deadline, "only %llu of %llu expired",
                     (unsigned long long)bbi_load_acquire(&counter->side->n[N_EXPIRED]),
                     (unsigned long long)key_count);
    }
    return puts;
}

static void
quit(struct bbt_child *c)
{
    bbi_store_release(&c->side->n[N_QUIT], 1);
    bbt_wait_end(c, WAIT_MS);
}

Test(store_expiry, very_many_at_one_moment)
{
    static int64_t took_ns[PUTS];
    struct bbt_child asker, counter;
    struct bb_store_info info = {.size = sizeof(info)};
    key_count = (bbt_number("BB_KEYS", 100000) + BATCH - 1) / BATCH * BATCH;
    struct bb_endpoint *ep = bbt_endpoint(me, "clone", 0);
    const struct bb_store_opts o = opts_of(BB_STORE_CLONE);
    struct bb_store *s = bbt_store(me, ep, &o);
    fill(s);
    bbt_fork(&asker, "asking", asking, NULL);
    bbt_fork(&counter, "counting", counting, NULL);
    bbt_wait_at(&asker, 1, WAIT_MS);
    bbt_wait_at(&counter, 1, WAIT_MS);
    cr_assert_eq(bb_store_count(s, NULL), (int64_t)key_count);
    bbt_clock_add(moved, 100 * BBT_S_NS + 1);
    int64_t begin = bbi_os_mono_ns();
    bbt_order(&asker, 1);
    int puts = put_meanwhile(s, &counter, took_ns);
    int64_t gone_ns = bbi_os_mono_ns() - begin;
    BBT_UNTIL(bbi_load_acquire(&asker.side->n[N_READS]) > 0, WAIT_MS, "it reads");
    quit(&asker);
    quit(&counter);
    cr_assert_eq(counter.side->n[N_EXPIRED], key_count);
    cr_assert_eq(bb_store_info(s, &info), 0);
    cr_assert_eq(info.expired, key_count);
    BBT_UNTIL(bb_store_info(s, &info) == 0 && info.due == 0, 5000, "%llu are said to be due",
              (unsigned long long)info.due);
    cr_assert_eq(bb_store_count(s, NULL), 1);
    qsort(took_ns, (size_t)puts, sizeof(took_ns[0]), by_value);
    (void)printf("%llu keys due at once: all gone after %.0f ms; %llu reads meanwhile, none late; "
                 "%d puts, p50 %.3f ms, p99 %.3f ms, most %.3f ms\n",
                 (unsigned long long)key_count, (double)gone_ns / 1e6,
                 (unsigned long long)asker.side->n[N_READS], puts, (double)took_ns[puts / 2] / 1e6,
                 (double)took_ns[puts * 99 / 100] / 1e6, (double)took_ns[puts - 1] / 1e6);
    if (getenv("BB_KEYS") != NULL) { /* by itself on its box, not among other tests */
        cr_assert_lt(gone_ns / BBT_MS_NS, bbt_ms(GONE_MS), "they have to be gone within 10 s");
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
    bbt_served_quit(&server);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    64 processes that read all of a large store share its pages: together they hold them once, not 64 times;
 *         and one that stands still inside a view is named, and does not make the store grow past its quota.
 * Method  Each reader walks all keys within views and adds them up; while all are there, the share that the kernel
 *         counts for each (Pss of its mappings of the store's files) is summed.  For the second, a reader stops
 *         (SIGSTOP) in a view while another process overwrites the same keys all the time.
 *
 * BB_KEYS     how many keys (100,000).      BB_STUCK_MS  how long the reader is stopped (3,000).
 * Long        BB_KEYS=1000000 BB_STUCK_MS=60000 build/dev/tests/process/store_many --timeout 1000
 *
 * bb-timeout: 240
 */
#include "shm/os.h"
#include "tests/support/store.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    READERS = 64,
    WAIT_MS = 60000,
    BATCH = 1000,
    PAGE = 512, /* items of one scan */
    N_KEYS = 0,
    N_SUM,
    N_WRITTEN,
    N_QUIT = 30
};

static struct bbt_served served;
static struct bbt_child server;
static struct bbt_side *me;
static uint64_t key_count;
static struct bb_store_opts clone_opts = {.name = "many", .timeout_ns = WAIT_MS * BBT_MS_NS};

static void
serve(uint64_t quota_bytes)
{
    served = (struct bbt_served){.node = "master",
                                 .opts = {.name = "many",
                                          .role = BB_STORE_MASTER,
                                          .quota_bytes = quota_bytes,
                                          .timeout_ns = WAIT_MS * BBT_MS_NS}};
    bbt_fork(&server, "master", bbt_serve, &served);
    bbt_wait_at(&server, BBT_SERVE_READY, WAIT_MS);
}

static void
init(void)
{
    bbt_bus_new();
    me = bbt_side_new();
    key_count = (bbt_number("BB_KEYS", 100000) + BATCH - 1) / BATCH * BATCH;
}

TestSuite(store_many, .init = init, .fini = bbt_bus_end, .timeout = 200);

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

/* Keys from `from` on, one batch.  The status. */
static int
put_batch(struct bb_store *s, uint64_t from, uint64_t plus)
{
    static struct bb_store_cmd cmds[BATCH];
    static struct bb_store_result results[BATCH];
    static uint64_t rooms[BATCH][2][2];
    for (uint64_t i = 0; i < BATCH; i++) {
        cmds[i] = (struct bb_store_cmd){.op = BB_STORE_PUT,
                                        .key = number(from + i, rooms[i][0]),
                                        .value = number(from + i + plus, rooms[i][1])};
    }
    return bb_store_run(s, cmds, BATCH, 0, results);
}

static void
fill(struct bb_store *s, uint64_t keys)
{
    for (uint64_t k = 0; k < keys; k += BATCH) {
        int rc = put_batch(s, k, 0);
        cr_assert_eq(rc, 0, "put %llu: %d", (unsigned long long)k, rc);
    }
}

/* All of them, in one view. */
static void
walk(struct bbt_side *side, struct bb_store *s)
{
    static struct bb_store_item items[PAGE];
    static uint64_t room[2];
    struct bb_value after;
    uint64_t keys = 0, sum = 0, last = 0;
    int64_t n;
    int rc = bb_store_view_begin(s);
    BBT_CHECK(side, rc == 0, "view: %d", rc);
    while ((n = bb_store_scan(s, NULL, keys > 0 ? &after : NULL, items, PAGE)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            uint64_t v = 0;
            rc = bb_get_count(&items[i].value, &v);
            BBT_CHECK(side, rc == 0, "value: %d", rc);
            sum += v;
            last = v;
        }
        keys += (uint64_t)n;
        after = number(last, room); /* as filled: the value is the key's number */
    }
    BBT_CHECK(side, n == 0, "scan: %lld", (long long)n);
    bb_store_view_end(s);
    side->n[N_KEYS] = keys;
    side->n[N_SUM] = sum;
}

static void
reading(struct bbt_side *side, const void *arg)
{
    char name[24];
    (void)snprintf(name, sizeof(name), "reader-%d", *(const int *)arg);
    struct bb_endpoint *ep = bbt_endpoint(side, name, 0);
    struct bb_store *s = bbt_store(side, ep, &clone_opts);
    walk(side, s);
    bbt_at(side, 1);
    (void)bbt_wait_go(side, 1, WAIT_MS);
    bb_store_close(s);
    bb_endpoint_close(ep);
}

/* Adds Pss and Rss, in KiB, of what this process maps of files whose path has `part`. */
static void
add_shares(pid_t pid, const char *part, uint64_t *pss_kib, uint64_t *rss_kib)
{
    char path[64], line[512];
    bool is_ours = false;
    unsigned long kib;
    (void)snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f, "%s", path);
    while (fgets(line, sizeof(line), f) != NULL) {
        unsigned long long from, to;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2) {
            is_ours = strstr(line, part) != NULL;
        } else if (is_ours && sscanf(line, "Pss: %lu kB", &kib) == 1) {
            *pss_kib += kib;
        } else if (is_ours && sscanf(line, "Rss: %lu kB", &kib) == 1) {
            *rss_kib += kib;
        }
    }
    (void)fclose(f);
}

Test(store_many, pages_are_counted_once)
{
    static struct bbt_child child[READERS];
    static int numbers[READERS];
    uint64_t pss_kib = 0, rss_kib = 0;
    struct bb_store_info info = {.size = sizeof(info)};
    serve(UINT64_C(2) << 30);
    struct bb_endpoint *ep = bbt_endpoint(me, "writer", 0);
    struct bb_store *s = bbt_store(me, ep, &clone_opts);
    fill(s, key_count);
    for (int i = 0; i < READERS; i++) {
        numbers[i] = i;
        bbt_fork(&child[i], "reader", reading, &numbers[i]);
    }
    for (int i = 0; i < READERS; i++) {
        bbt_wait_at(&child[i], 1, WAIT_MS);
        cr_assert_eq(child[i].side->n[N_KEYS], key_count);
        cr_assert_eq(child[i].side->n[N_SUM], key_count * (key_count - 1) / 2);
    }
    for (int i = 0; i < READERS; i++) {
        add_shares(child[i].pid, "/data.mdb", &pss_kib, &rss_kib);
    }
    add_shares(server.pid, "/data.mdb", &pss_kib, &rss_kib);
    add_shares(getpid(), "/data.mdb", &pss_kib, &rss_kib);
    cr_assert_eq(bb_store_info(s, &info), 0);
    (void)printf("%llu keys in %.1f MiB: %d processes that read all map %.1f MiB together (Rss), "
                 "counted once %.1f MiB (Pss)\n",
                 (unsigned long long)key_count, (double)info.used_bytes / 1048576, READERS,
                 (double)rss_kib / 1024, (double)pss_kib / 1024);
    /* They read all of it, and all of them together hold no more than the files. */
    cr_assert_gt(rss_kib * 1024, READERS * info.used_bytes / 2, "they were to read all");
    cr_assert_leq(pss_kib * 1024, info.bytes + info.bytes / 8 + (UINT64_C(1) << 20),
                  "Pss %llu KiB of files of %llu bytes", (unsigned long long)pss_kib,
                  (unsigned long long)info.bytes);
    cr_assert_geq(info.readers, (uint64_t)READERS);
    for (int i = 0; i < READERS; i++) {
        bbt_order(&child[i], 1);
    }
    for (int i = 0; i < READERS; i++) {
        bbt_wait_end(&child[i], WAIT_MS);
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
    bbt_served_quit(&server);
}

/* ---- a reader that stands still ---- */

static void
standing(struct bbt_side *side, const void *arg)
{
    struct bb_endpoint *ep = bbt_endpoint(side, "standing", 0);
    struct bb_store *s = bbt_store(side, ep, &clone_opts);
    uint64_t room[2], v = 0;
    const struct bb_value key = number(7, room);
    struct bb_value out;
    (void)arg;
    int rc = bb_store_view_begin(s);
    BBT_CHECK(side, rc == 0, "view: %d", rc);
    bbt_at(side, 1);
    (void)bbt_wait_go(side, 1, 10 * WAIT_MS); /* it is stopped here */
    /* Its state of the store is still whole. */
    rc = bb_store_get(s, &key, &out);
    BBT_CHECK(side, rc == BB_EOVERRUN || (rc == 0 && bb_get_count(&out, &v) == 0 && v == 7),
              "in the old view: %d, %llu", rc, (unsigned long long)v);
    bb_store_view_end(s);
    rc = bb_store_get(s, &key, &out);
    BBT_CHECK(side, rc == 0 && bb_get_count(&out, &v) == 0 && v > 7, "in a new one: %d, %llu", rc,
              (unsigned long long)v);
    bb_store_close(s);
    bb_endpoint_close(ep);
}

static void
overwriting(struct bbt_side *side, const void *arg)
{
    struct bb_endpoint *ep = bbt_endpoint(side, "overwriting", 0);
    struct bb_store *s = bbt_store(side, ep, &clone_opts);
    (void)arg;
    for (uint64_t turn = 1; bbi_load_acquire(&side->n[N_QUIT]) == 0; turn++) {
        for (uint64_t k = 0; k < 10 * BATCH; k += BATCH) {
            int rc = put_batch(s, k, turn);
            BBT_CHECK(side, rc == 0, "put: %d", rc);
            bbi_store_release(&side->n[N_WRITTEN], side->n[N_WRITTEN] + BATCH);
            bbi_os_sleep_ns(50 * BBT_MS_NS); /* up to 20,000 a second */
        }
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

Test(store_many, who_stands_still_is_named)
{
    const uint64_t quota = UINT64_C(24) << 20;
    struct bbt_child stuck, writer;
    struct bb_store_info info = {.size = sizeof(info)};
    int64_t stuck_ms = (int64_t)bbt_number("BB_STUCK_MS", 3000);
    uint64_t most_bytes = 0, most_held = 0;
    serve(quota);
    struct bb_endpoint *ep = bbt_endpoint(me, "looking", 0);
    struct bb_store *s = bbt_store(me, ep, &clone_opts);
    fill(s, 10 * BATCH);
    bbt_fork(&stuck, "standing", standing, NULL);
    bbt_wait_at(&stuck, 1, WAIT_MS);
    bbt_signal(&stuck, SIGSTOP);
    bbt_wait_stop(&stuck, WAIT_MS);
    bbt_fork(&writer, "overwriting", overwriting, NULL);
    int64_t begin = bbt_now_ms();
    BBT_UNTIL(bb_store_info(s, &info) == 0 && info.oldest_pid == stuck.pid, 5000,
              "who holds the oldest view: pid %lld, not %d", (long long)info.oldest_pid,
              (int)stuck.pid);
    int64_t named_ms = bbt_now_ms() - begin;
    while (bbt_now_ms() - begin < stuck_ms) {
        bbt_nap();
        bbt_check_alive(&writer);
        cr_assert_eq(bb_store_info(s, &info), 0);
        most_bytes = info.bytes > most_bytes ? info.bytes : most_bytes;
        most_held = info.held_bytes > most_held ? info.held_bytes : most_held;
        cr_assert_leq(info.bytes, quota, "the files have %llu bytes",
                      (unsigned long long)info.bytes);
    }
    (void)printf("named after %lld ms; %llu updates in %lld ms; files at most %.1f MiB of %.1f, "
                 "held at most %.1f MiB; generation %u\n",
                 (long long)named_ms, (unsigned long long)writer.side->n[N_WRITTEN],
                 (long long)stuck_ms, (double)most_bytes / 1048576, (double)quota / 1048576,
                 (double)most_held / 1048576, info.generation);
    bbt_signal(&stuck, SIGCONT);
    bbt_order(&stuck, 1);
    bbt_wait_end(&stuck, WAIT_MS);
    bbi_store_release(&writer.side->n[N_QUIT], 1);
    bbt_wait_end(&writer, WAIT_MS);
    BBT_UNTIL(bb_store_info(s, &info) == 0 && info.oldest_pid != stuck.pid, 5000,
              "it is still named");
    bb_store_close(s);
    bb_endpoint_close(ep);
    bbt_served_quit(&server);
}

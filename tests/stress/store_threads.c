/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: several threads with handles of their own over one store in one process, one of them its master: what is
 * shared (the environment and its count, the ctl, the log's words) has no race, and nobody sees a wrong value.
 * Method: a master, writers by waiting and by pipelining, readers in views, a watcher, one who opens and closes all
 * the time.  Counters are exact, reads see what was answered, the watch has no gap.  TSan sees this library's code
 * and, as every file is mapped once, the ctl and the bus.  LMDB is not instrumented: it sees its mutexes and calls,
 * but not what it does to its pages; values read in place are those that only the master's thread has written.
 */
#include "tests/stress/api.h"
#include <busbar/store.h>

enum { WRITERS = 2, READERS = 2, KEYS = 16, BATCH = 32 };

static bbi_u32 is_done, is_over, ready;
static bbi_u64 counted[WRITERS], looks, changes, opens;

static struct bb_store *
store_open(struct bb_endpoint *ep, uint32_t role, bb_store_done_cb done, void *user)
{
    struct bb_error err = {0};
    struct bb_store *s = NULL;
    int rc = bb_store_open(&s, ep,
                           &(struct bb_store_opts){.size = sizeof(struct bb_store_opts),
                                                   .name = "threads",
                                                   .role = role,
                                                   .quota_bytes = 64 << 20,
                                                   .timeout_ns = 60 * S_NS,
                                                   .window = 8,
                                                   .done = done,
                                                   .user = user,
                                                   .error = &err});
    MUST(rc == 0, "store: %d, %s", rc, err.sentence);
    return s;
}

static struct bb_value
count_value(uint64_t n, uint64_t room[2])
{
    struct bb_builder b;
    struct bb_value v = {.p = NULL};
    bb_build_init(&b, room, 16);
    bb_put_count(&b, n);
    MUST(bb_build_end(&b) == 16 && bb_value_open(&v, room, 16) == 0, "a count");
    return v;
}

/* The number in a key, 0 if it is not there. */
static uint64_t
look_up(struct bb_store *s, uint64_t k)
{
    uint64_t room[2], n = 0;
    const struct bb_value key = count_value(k, room);
    struct bb_value v;
    int rc = bb_store_get(s, &key, &v);
    CHECK(rc == BB_ENOENT || (rc == 0 && bb_get_count(&v, &n) == 0), "get %" PRIu64 ": %d", k, rc);
    return n;
}

static void *
serve(void *user)
{
    struct bb_endpoint *ep = endpoint_open("master");
    struct bb_store *s = store_open(ep, BB_STORE_MASTER, NULL, NULL);
    (void)user;
    CHECK(bb_store_is_master(s) == 1, "it is the master");
    bbi_store_release(&ready, 1);
    while (bbi_load_acquire(&is_over) == 0) {
        int rc = bb_store_poll(s, 5 * MS_NS);
        MUST(rc >= 0, "poll: %d", rc);
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
    return NULL;
}

struct writer {
    uint64_t number;
    uint64_t told; /* of its counter */
};

static void
on_done(int64_t ticket, const struct bb_store_result *results, size_t count, void *user)
{
    struct writer *w = user;
    uint64_t sum = 0;
    CHECK(ticket > 0 && count == 2 && results[0].code == 0 && results[1].code == 0, "results");
    CHECK(bb_get_count(&results[0].value, &sum) == 0 && sum == w->told + 1,
          "told %" PRIu64 " after %" PRIu64, sum, w->told);
    w->told++;
    bbi_store_release(&counted[w->number], w->told);
}

/* Counts up in a key of its own, and in one that both share. */
static void *
write_counts(void *user)
{
    struct writer *w = user;
    char name[16];
    uint64_t rooms[3][2];
    struct bb_store_result results[2];
    (void)snprintf(name, sizeof(name), "writer-%" PRIu64, w->number);
    struct bb_endpoint *ep = endpoint_open(name);
    struct bb_store *s = store_open(ep, BB_STORE_CLONE, on_done, w);
    const struct bb_value own = count_value(w->number, rooms[0]), one = count_value(1, rooms[1]),
                          both = count_value(100, rooms[2]);
    const struct bb_store_cmd cmds[2] = {
        {.op = BB_STORE_INCREMENT, .key = own, .value = one},
        {.op = BB_STORE_INCREMENT, .key = both, .value = one, .expire_ns = 60 * S_NS}};
    while (bbi_load_acquire(&is_done) == 0) {
        if (w->number == 0) {
            int rc = bb_store_run(s, cmds, 2, 0, results);
            MUST(rc == 0, "run: %d", rc);
            on_done(1, results, 2, w);
            CHECK(look_up(s, 0) >= w->told, "it reads what it wrote");
            continue;
        }
        int64_t rc = bb_store_send(s, cmds, 2, BB_STORE_ATOMIC);
        MUST(rc > 0 || rc == BB_EAGAIN, "send: %lld", (long long)rc);
        if (rc == BB_EAGAIN) {
            int polled = bb_store_poll(s, S_NS);
            MUST(polled >= 0, "poll: %d", polled);
        }
    }
    CHECK(bb_store_idle(s, 60 * S_NS) == 0, "idle");
    bb_store_close(s);
    bb_endpoint_close(ep);
    return NULL;
}

static void *
read_views(void *user)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "reader-%d", *(int *)user);
    struct bb_endpoint *ep = endpoint_open(name);
    struct bb_store *s = store_open(ep, BB_STORE_CLONE, NULL, NULL);
    while (bbi_load_acquire(&is_done) == 0) {
        uint64_t told[WRITERS], sum = 0;
        for (int i = 0; i < WRITERS; i++) {
            told[i] = bbi_load_acquire(&counted[i]);
        }
        MUST(bb_store_view_begin(s) == 0, "view");
        for (uint64_t i = 0; i < WRITERS; i++) {
            uint64_t n = look_up(s, i);
            CHECK(n >= told[i], "%" PRIu64 " was told, %" PRIu64 " is read", told[i], n);
            sum += n;
        }
        uint64_t both = look_up(s, 100);
        CHECK(both == sum, "one state: %" PRIu64 " and %" PRIu64, both, sum);
        bb_store_view_end(s);
        (void)bbi_fetch_add_relaxed(&looks, 1);
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
    return NULL;
}

static void *
watch_all(void *user)
{
    struct bb_endpoint *ep = endpoint_open("watcher");
    struct bb_store *s = store_open(ep, BB_STORE_CLONE, NULL, NULL);
    struct bb_store_change c[BATCH];
    struct bb_watch *w = NULL;
    uint64_t last = 0;
    (void)user;
    int rc = bb_watch_open(&w, s, NULL, 0, &last);
    MUST(rc == 0, "watch: %d", rc);
    while (bbi_load_acquire(&is_done) == 0) {
        int n = bb_watch_next(w, c, BATCH, 10 * MS_NS);
        MUST(n >= 0, "watch: %d", n);
        for (int i = 0; i < n; i++, last++) {
            CHECK(c[i].version == last + 1, "version %" PRIu64 " after %" PRIu64, c[i].version,
                  last);
        }
        (void)bbi_fetch_add_relaxed(&changes, (uint64_t)n);
    }
    bb_watch_close(w);
    bb_store_close(s);
    bb_endpoint_close(ep);
    return NULL;
}

/* The environment is shared and counted: who comes and goes does not disturb the others. */
static void *
come_and_go(void *user)
{
    struct bb_endpoint *ep = endpoint_open("guest");
    (void)user;
    while (bbi_load_acquire(&is_done) == 0) {
        struct bb_store *s = store_open(ep, BB_STORE_CLONE, NULL, NULL);
        (void)look_up(s, 0);
        bb_store_close(s);
        (void)bbi_fetch_add_relaxed(&opens, 1);
    }
    bb_endpoint_close(ep);
    return NULL;
}

int
main(void)
{
    static struct writer writers[WRITERS] = {{.number = 0}, {.number = 1}};
    static int numbers[READERS] = {0, 1};
    pthread_t threads[WRITERS + READERS + 2];
    int count = 0;
    stress_start("store_threads");
    stress_dir_make();
    pthread_t master = stress_thread(serve, NULL);
    while (bbi_load_acquire(&ready) == 0) {
        bbi_os_sleep_ns(MS_NS);
    }
    threads[count++] = stress_thread(watch_all, NULL);
    for (int i = 0; i < WRITERS; i++) {
        threads[count++] = stress_thread(write_counts, &writers[i]);
    }
    for (int i = 0; i < READERS; i++) {
        threads[count++] = stress_thread(read_views, &numbers[i]);
    }
    threads[count++] = stress_thread(come_and_go, NULL);
    while (!stress_is_over(100)) {
        bbi_os_sleep_ns(5 * MS_NS);
    }
    bbi_store_release(&is_done, 1);
    for (int i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    struct bb_endpoint *ep = endpoint_open("checker");
    struct bb_store *s = store_open(ep, BB_STORE_CLONE, NULL, NULL);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < WRITERS; i++) {
        CHECK(look_up(s, i) == writers[i].told, "told %" PRIu64 ", there is %" PRIu64,
              writers[i].told, look_up(s, i));
        sum += writers[i].told;
    }
    CHECK(look_up(s, 100) == sum, "together %" PRIu64, sum);
    CHECK(sum > 0 && bbi_load_relaxed(&looks) > 0 && bbi_load_relaxed(&changes) > 0
              && bbi_load_relaxed(&opens) > 0,
          "everybody did something");
    bb_store_close(s);
    bb_endpoint_close(ep);
    bbi_store_release(&is_over, 1);
    (void)pthread_join(master, NULL);
    (void)printf("%" PRIu64 " counted, %" PRIu64 " views, %" PRIu64 " changes, %" PRIu64 " opens\n",
                 sum, bbi_load_relaxed(&looks), bbi_load_relaxed(&changes),
                 bbi_load_relaxed(&opens));
    return stress_end();
}

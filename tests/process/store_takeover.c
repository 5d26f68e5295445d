/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A master that dies at any step loses no acknowledged write and runs none twice; a standby takes over,
 *         and readers and watchers never stop and see each change once.  One that is stopped stays the master:
 *         writes time out and name it.  Two masters cannot be, from two buses neither.
 * Method  Two servers (the first kills or stops itself at a hook), a writer that counts one up and knows how often
 *         it was told so, a reader that looks at the sum all the time, a watcher that follows it by changes.
 *         bb-timeout: 300
 */
#include "busbar/store.h"
#include "shm/os.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MS_NS INT64_C(1000000)

enum { READY = 1, IS_MASTER = 2, PATIENCE_MS = 30000 };
enum { GO_ON = 1, GO_END = 2 };
/* bbt_side.n */
enum { N_ACKED, N_UNKNOWN, N_WORST_NS, N_SUM, N_READS, N_CHANGES, N_GAPS, N_SINCE_NS, N_WON };

static void
make_bus(void)
{
#if !defined(BB_HOOKS) || !BB_HOOKS
    cr_skip_test("this build has no hooks (BB_HOOKS)");
#endif
    bbt_bus_new();
}

TestSuite(store_takeover, .init = make_bus, .fini = bbt_bus_end, .timeout = 290);

/* ---- values ---- */

struct small {
    unsigned char bytes[64];
    struct bb_value v;
};

static void
finish(struct small *out, struct bb_builder *b)
{
    int64_t n = bb_build_end(b);
    out->v = (struct bb_value){out->bytes, n > 0 ? (size_t)n : 0};
}

static void
text(struct small *out, const char *s)
{
    struct bb_builder b;
    bb_build_init(&b, out->bytes, sizeof(out->bytes));
    bb_put_string(&b, s, strlen(s));
    finish(out, &b);
}

static void
count(struct small *out, uint64_t n)
{
    struct bb_builder b;
    bb_build_init(&b, out->bytes, sizeof(out->bytes));
    bb_put_count(&b, n);
    finish(out, &b);
}

/* ---- parts ---- */

struct part {
    const char *name; /* of the node */
    const char *bus;  /* NULL: the test's */
    const char *path; /* of the store; NULL: in memory */
    uint32_t role;
    const char *hook; /* NULL: it is well */
    uint32_t hit;
    int sig;
    int64_t timeout_ns;
    uint64_t keys; /* of who puts unique ones */
};

static struct bb_endpoint *
attach(struct bbt_side *side, const struct part *part)
{
    struct bb_error e = {0};
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o),
                                       .dir = bbt_dir(),
                                       .bus = part->bus != NULL ? part->bus : BBT_BUS,
                                       .name = part->name,
                                       .error = &e};
    int rc = bb_endpoint_open(&ep, &o);
    BBT_CHECK(side, rc == 0, "bb_endpoint_open: %s", e.sentence);
    return ep;
}

static struct bb_store *
open_store(struct bbt_side *side, const struct part *part)
{
    struct bb_error e = {0};
    struct bb_store *s = NULL;
    const struct bb_store_opts o = {.size = sizeof(o),
                                    .name = "t",
                                    .role = part->role,
                                    .path = part->path,
                                    .quota_bytes = UINT64_C(64) << 20,
                                    .timeout_ns = part->timeout_ns,
                                    .error = &e};
    int rc = bb_store_open(&s, attach(side, part), &o);
    BBT_CHECK(side, rc == 0, "bb_store_open: %s (%s)", bb_strerror(rc), e.sentence);
    return s;
}

static bool
is_ordered(struct bbt_side *side, uint32_t go)
{
    return bbi_load_acquire(&side->go) >= go;
}

/* Serves, or stands by, until it is told to end, or killed. */
static void
server(struct bbt_side *side, const void *arg)
{
    const struct part *part = arg;
    if (part->hook != NULL) {
        bbt_hook_arm(side, part->hook, part->hit, part->sig);
    }
    struct bb_store *s = open_store(side, part);
    bbt_at(side, READY);
    bool was_master = false;
    while (!is_ordered(side, GO_END)) {
        int n = bb_store_poll(s, 50 * MS_NS);
        BBT_CHECK(side, n >= 0, "bb_store_poll: %s", bb_strerror(n));
        if (!was_master && bb_store_is_master(s) != 0) {
            was_master = true;
            bbi_store_release(&side->n[N_SINCE_NS], (uint64_t)bbi_os_mono_ns());
            bbt_at(side, IS_MASTER);
        }
    }
    bb_store_close(s);
}

/* Counts up, until it is told to end. */
static void
writer(struct bbt_side *side, const void *arg)
{
    struct bb_store *s = open_store(side, arg);
    struct small key, one;
    text(&key, "sum");
    count(&one, 1);
    bbt_at(side, READY);
    while (!is_ordered(side, GO_END)) {
        struct bb_store_result r;
        int64_t began = bbi_os_mono_ns();
        int rc = bb_store_increment(s, &key.v, &one.v, 0, &r);
        uint64_t took = (uint64_t)(bbi_os_mono_ns() - began);
        if (rc == BB_ETIMEDOUT) {
            (void)snprintf(side->said, sizeof(side->said), "%s", bb_store_error(s)->sentence);
            (void)bbi_fetch_add_relaxed(&side->n[N_UNKNOWN], 1);
            continue;
        }
        BBT_CHECK(side, rc == 0, "increment: %s", bb_strerror(rc));
        if (took > bbi_load_relaxed(&side->n[N_WORST_NS])) {
            bbi_store_relaxed(&side->n[N_WORST_NS], took);
        }
        (void)bbi_fetch_add_relaxed(&side->n[N_ACKED], 1);
    }
    bb_store_close(s);
}

/* The sum in the store; 0 when the key is not there yet. */
static uint64_t
read_sum(struct bbt_side *side, struct bb_store *s)
{
    struct small key;
    struct bb_value v;
    uint64_t sum = 0;
    text(&key, "sum");
    int rc = bb_store_get(s, &key.v, &v);
    BBT_CHECK(side, rc == 0 || rc == BB_ENOENT, "bb_store_get: %s", bb_strerror(rc));
    BBT_CHECK(side, rc != 0 || bb_get_count(&v, &sum) == 0, "no count");
    return sum;
}

/* Reads without a pause: the sum never goes back. */
static void
reader(struct bbt_side *side, const void *arg)
{
    struct bb_store *s = open_store(side, arg);
    uint64_t last = 0;
    bbt_at(side, READY);
    while (!is_ordered(side, GO_END)) {
        uint64_t sum = read_sum(side, s);
        BBT_CHECK(side, sum >= last, "%llu after %llu", (unsigned long long)sum,
                  (unsigned long long)last);
        last = sum;
        bbi_store_relaxed(&side->n[N_SUM], sum);
        (void)bbi_fetch_add_relaxed(&side->n[N_READS], 1);
    }
    bb_store_close(s);
}

static void
follow(struct bbt_side *side, const struct bb_store_change *c, uint64_t *version, uint64_t *sum)
{
    uint64_t now = 0, old = 0;
    BBT_CHECK(side, c->kind != BB_STORE_GAP, "a gap after %llu", (unsigned long long)*version);
    BBT_CHECK(side, c->version == *version + 1, "change %llu after %llu",
              (unsigned long long)c->version, (unsigned long long)*version);
    BBT_CHECK(side, bb_get_count(&c->value, &now) == 0, "no count");
    BBT_CHECK(side, now == *sum + 1, "a sum of %llu after %llu", (unsigned long long)now,
              (unsigned long long)*sum);
    if (c->kind == BB_STORE_UPDATED) {
        BBT_CHECK(side, bb_get_count(&c->old, &old) == 0 && old == *sum, "the old one");
    }
    *version = c->version;
    *sum = now;
}

/* Each change once: versions without gaps, and sums that count up by one. */
static void
watcher(struct bbt_side *side, const void *arg)
{
    struct bb_store *s = open_store(side, arg);
    struct bb_watch *w = NULL;
    struct bb_store_change c[16];
    uint64_t version = 0, sum = 0;
    int rc = bb_watch_open(&w, s, NULL, 0, &version);
    BBT_CHECK(side, rc == 0, "bb_watch_open: %s (%s)", bb_strerror(rc),
              bb_store_error(s)->sentence);
    bbt_at(side, READY);
    while (!is_ordered(side, GO_END)) {
        int n = bb_watch_next(w, c, 16, 20 * MS_NS);
        BBT_CHECK(side, n >= 0, "bb_watch_next: %s", bb_strerror(n));
        for (int i = 0; i < n; i++) {
            follow(side, &c[i], &version, &sum);
        }
        bbi_store_release(&side->n[N_CHANGES], sum);
    }
    bb_store_close(s);
}

/* ---- the scene ---- */

struct scene {
    struct bbt_child a, b, w, r, f;
    struct part pa, pb, pw, pr, pf;
};

static void
begin(struct scene *sc, const char *hook, uint32_t hit, int sig, int64_t timeout_ns)
{
    *sc = (struct scene){
        .pa = {.name = "a", .role = BB_STORE_MASTER, .hook = hook, .hit = hit, .sig = sig},
        .pb = {.name = "b", .role = BB_STORE_STANDBY},
        .pw = {.name = "w", .timeout_ns = timeout_ns},
        .pr = {.name = "r"},
        .pf = {.name = "f"}};
    bbt_fork(&sc->a, "a", server, &sc->pa);
    bbt_wait_at(&sc->a, IS_MASTER, PATIENCE_MS);
    bbt_fork(&sc->b, "b", server, &sc->pb);
    bbt_fork(&sc->r, "r", reader, &sc->pr);
    bbt_fork(&sc->f, "f", watcher, &sc->pf);
    bbt_wait_at(&sc->b, READY, PATIENCE_MS);
    bbt_wait_at(&sc->r, READY, PATIENCE_MS);
    bbt_wait_at(&sc->f, READY, PATIENCE_MS);
    bbt_fork(&sc->w, "w", writer, &sc->pw);
    bbt_wait_at(&sc->w, READY, PATIENCE_MS);
}

static uint64_t
n_of(const struct bbt_child *c, int which)
{
    return bbi_load_acquire(&c->side->n[which]);
}

/* The writer goes on for so many more. */
static void
wait_acked(struct scene *sc, uint64_t more)
{
    uint64_t goal = n_of(&sc->w, N_ACKED) + more;
    BBT_UNTIL(n_of(&sc->w, N_ACKED) >= goal, PATIENCE_MS, "the writer stands still at %llu (%s)",
              (unsigned long long)n_of(&sc->w, N_ACKED), sc->w.side->said);
}

/* Everybody ends; the sum is what was acknowledged, and at most what nobody knows of besides. */
static void
end(struct scene *sc, struct bbt_child *master)
{
    bbt_order(&sc->w, GO_END);
    bbt_wait_end(&sc->w, PATIENCE_MS);
    uint64_t acked = n_of(&sc->w, N_ACKED), unknown = n_of(&sc->w, N_UNKNOWN);
    uint64_t reads = n_of(&sc->r, N_READS);
    BBT_UNTIL(n_of(&sc->r, N_READS) > reads + 1, PATIENCE_MS, "the reader stands still");
    uint64_t sum = n_of(&sc->r, N_SUM);
    cr_assert_geq(sum, acked, "an acknowledged write is lost");
    cr_assert_leq(sum, acked + unknown, "a write ran twice");
    BBT_UNTIL(n_of(&sc->f, N_CHANGES) == sum, PATIENCE_MS, "the watcher saw %llu of %llu",
              (unsigned long long)n_of(&sc->f, N_CHANGES), (unsigned long long)sum);
    struct bbt_child *all[] = {&sc->r, &sc->f, master};
    for (size_t i = 0; i < 3; i++) {
        bbt_order(all[i], GO_END);
        bbt_wait_end(all[i], PATIENCE_MS);
    }
}

/* ---- killed ---- */

/* Where, and at which hits: a few commits pass before. */
static const struct stop {
    const char *hook;
    uint32_t first, last;
} STOPS[] = {
    {"store:commit_ready", 8, 11}, {"store:committed", 8, 11}, {"store:announced", 8, 11},
    {"store:answering", 8, 11},    {"store:answered", 8, 11},
};
enum { STOP_COUNT = sizeof(STOPS) / sizeof(STOPS[0]) };

Test(store_takeover, killed_at_each_step)
{
    for (size_t i = 0; i < STOP_COUNT; i++) {
        for (uint32_t hit = STOPS[i].first; hit <= STOPS[i].last; hit += 3) {
            struct scene sc;
            begin(&sc, STOPS[i].hook, hit, SIGKILL, 0);
            bbt_wait_kill(&sc.a, PATIENCE_MS);
            bbt_wait_at(&sc.b, IS_MASTER, PATIENCE_MS);
            wait_acked(&sc, 50);
            cr_assert_eq(n_of(&sc.w, N_UNKNOWN), 0U);
            (void)fprintf(stderr, "%s %u: the longest write took %.1f ms\n", STOPS[i].hook, hit,
                          (double)n_of(&sc.w, N_WORST_NS) / 1e6);
            end(&sc, &sc.b);
            bbt_bus_end();
            bbt_bus_new();
        }
    }
}

/* The one that takes over dies at it, too: the third one does. */
Test(store_takeover, killed_while_it_takes_over)
{
    static const char *const HOOKS[] = {"store:takeover_locked", "store:opened",
                                        "store:taken_over",      "store:served",
                                        "store:commit_ready",    "store:answered"};
    for (size_t i = 0; i < sizeof(HOOKS) / sizeof(HOOKS[0]); i++) {
        struct scene sc;
        struct bbt_child c;
        const struct part fragile = {
            .name = "b2", .role = BB_STORE_STANDBY, .hook = HOOKS[i], .hit = 1, .sig = SIGKILL};
        begin(&sc, NULL, 0, 0, 0);
        wait_acked(&sc, 20);
        bbt_signal(&sc.b, SIGKILL);
        bbt_wait_kill(&sc.b, PATIENCE_MS);
        bbt_fork(&sc.b, "b2", server, &fragile);
        bbt_wait_at(&sc.b, READY, PATIENCE_MS);
        bbt_signal(&sc.a, SIGKILL);
        bbt_wait_kill(&sc.a, PATIENCE_MS);
        bbt_wait_kill(&sc.b, PATIENCE_MS);
        const struct part third = {.name = "c", .role = BB_STORE_STANDBY};
        bbt_fork(&c, "c", server, &third);
        bbt_wait_at(&c, IS_MASTER, PATIENCE_MS);
        wait_acked(&sc, 20);
        cr_assert_eq(n_of(&sc.w, N_UNKNOWN), 0U, "%s", HOOKS[i]);
        end(&sc, &c);
        bbt_bus_end();
        bbt_bus_new();
    }
}

/* ---- the time that it takes ---- */

Test(store_takeover, time_from_death_to_the_first_answer)
{
    enum { ROUNDS = 8 };
    int64_t worst = 0, sum = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct scene sc;
        begin(&sc, NULL, 0, 0, 0);
        wait_acked(&sc, 50);
        bbi_store_relaxed(&sc.w.side->n[N_WORST_NS], 0);
        int64_t killed = bbi_os_mono_ns();
        bbt_signal(&sc.a, SIGKILL);
        uint64_t acked = n_of(&sc.w, N_ACKED);
        bbt_wait_at(&sc.b, IS_MASTER, PATIENCE_MS);
        BBT_UNTIL(n_of(&sc.w, N_ACKED) > acked + 1, PATIENCE_MS, "no answer");
        int64_t took = (int64_t)n_of(&sc.w, N_WORST_NS);
        (void)fprintf(stderr, "killed: master after %.1f ms, the write at hand took %.1f ms\n",
                      (double)((int64_t)n_of(&sc.b, N_SINCE_NS) - killed) / 1e6,
                      (double)took / 1e6);
        worst = took > worst ? took : worst;
        sum += took;
        bbt_wait_kill(&sc.a, PATIENCE_MS);
        end(&sc, &sc.b);
        bbt_bus_end();
        bbt_bus_new();
    }
    (void)fprintf(stderr, "takeover: mean %.1f ms, worst %.1f ms\n", (double)sum / ROUNDS / 1e6,
                  (double)worst / 1e6);
    cr_assert_lt(worst, bbt_ms(5000) * MS_NS);
}

/* ---- stopped ---- */

Test(store_takeover, a_stopped_master_stays_the_master)
{
    struct scene sc;
    char pid[32];
    begin(&sc, NULL, 0, 0, 300 * MS_NS);
    wait_acked(&sc, 20);
    bbt_signal(&sc.a, SIGSTOP);
    bbt_wait_stop(&sc.a, PATIENCE_MS);
    BBT_UNTIL(n_of(&sc.w, N_UNKNOWN) >= 3, PATIENCE_MS, "writes do not time out");
    uint64_t reads = n_of(&sc.r, N_READS);
    BBT_UNTIL(n_of(&sc.r, N_READS) > reads + 1000, PATIENCE_MS, "the reader stands still");
    cr_assert_eq(bbi_load_acquire(&sc.b.side->at), (uint32_t)READY, "the standby took over");
    (void)snprintf(pid, sizeof(pid), "pid %d", (int)sc.a.pid);
    cr_assert_not_null(strstr(sc.w.side->said, pid), "%s", sc.w.side->said);
    cr_assert_not_null(strstr(sc.w.side->said, "stopped"), "%s", sc.w.side->said);
    bbt_signal(&sc.a, SIGCONT);
    wait_acked(&sc, 20);
    bbt_signal(&sc.a, SIGSTOP);
    bbt_wait_stop(&sc.a, PATIENCE_MS);
    uint64_t unknown = n_of(&sc.w, N_UNKNOWN);
    BBT_UNTIL(n_of(&sc.w, N_UNKNOWN) > unknown, PATIENCE_MS, "writes do not time out");
    bbt_signal(&sc.a, SIGKILL);
    bbt_wait_kill(&sc.a, PATIENCE_MS);
    bbt_wait_at(&sc.b, IS_MASTER, PATIENCE_MS);
    wait_acked(&sc, 20);
    end(&sc, &sc.b);
}

/* ---- one winner ---- */

/* Puts all keys, and notes in a store of its own memory which of them were its own. */
static void
claimer(struct bbt_side *side, const void *arg)
{
    const struct part *part = arg;
    struct bb_store *s = open_store(side, part);
    struct small key, me;
    text(&me, part->name);
    bbt_at(side, READY);
    (void)bbt_wait_go(side, GO_ON, PATIENCE_MS);
    for (uint64_t k = 0; k < part->keys; k++) {
        struct bb_value v;
        count(&key, k);
        int rc = bb_store_put_unique(s, &key.v, &me.v, 0, NULL);
        BBT_CHECK(side, rc == 0 || rc == BB_EEXIST, "put_unique: %s", bb_strerror(rc));
        int got = bb_store_get(s, &key.v, &v);
        BBT_CHECK(side, got == 0, "the next read does not see it: %s", bb_strerror(got));
        bool is_ours = bb_value_equal(&v, &me.v) == 1;
        BBT_CHECK(side, is_ours == (rc == 0), "key %llu: told %s", (unsigned long long)k,
                  bb_strerror(rc));
        (void)bbi_fetch_add_relaxed(&side->n[N_WON], rc == 0);
        (void)bbi_fetch_add_relaxed(&side->n[N_ACKED], 1);
    }
    bb_store_close(s);
}

static struct bbt_child *
master_of(struct bbt_child *servers, int n)
{
    for (int i = 0; i < n; i++) {
        if (!servers[i].is_gone && bbi_load_acquire(&servers[i].side->at) == IS_MASTER) {
            return &servers[i];
        }
    }
    return NULL;
}

Test(store_takeover, each_key_has_one_winner_whoever_is_master)
{
    enum { CLAIMERS = 3, SERVERS = 4, KEYS = 3000 };
    static const char *const NAMES[SERVERS] = {"s0", "s1", "s2", "s3"};
    static const char *const WHO[CLAIMERS] = {"c0", "c1", "c2"};
    struct bbt_child servers[SERVERS], claimers[CLAIMERS];
    struct part ps[SERVERS], pc[CLAIMERS];
    for (int i = 0; i < SERVERS; i++) {
        ps[i] =
            (struct part){.name = NAMES[i], .role = i == 0 ? BB_STORE_MASTER : BB_STORE_STANDBY};
        bbt_fork(&servers[i], NAMES[i], server, &ps[i]);
        bbt_wait_at(&servers[i], READY, PATIENCE_MS);
    }
    for (int i = 0; i < CLAIMERS; i++) {
        pc[i] = (struct part){.name = WHO[i], .keys = KEYS, .timeout_ns = 20000 * MS_NS};
        bbt_fork(&claimers[i], WHO[i], claimer, &pc[i]);
        bbt_wait_at(&claimers[i], READY, PATIENCE_MS);
    }
    for (int i = 0; i < CLAIMERS; i++) {
        bbt_order(&claimers[i], GO_ON);
    }
    for (uint64_t kill = 1; kill < SERVERS; kill++) { /* whoever is master then, another is left */
        uint64_t at = kill * KEYS / SERVERS;
        BBT_UNTIL(n_of(&claimers[0], N_ACKED) >= at, PATIENCE_MS, "%llu of %d keys",
                  (unsigned long long)n_of(&claimers[0], N_ACKED), KEYS);
        struct bbt_child *master = NULL;
        BBT_UNTIL((master = master_of(servers, SERVERS)) != NULL, PATIENCE_MS, "nobody is master");
        bbt_signal(master, SIGKILL);
        bbt_wait_kill(master, PATIENCE_MS);
    }
    uint64_t won = 0;
    for (int i = 0; i < CLAIMERS; i++) {
        bbt_wait_end(&claimers[i], PATIENCE_MS);
        won += n_of(&claimers[i], N_WON);
    }
    cr_assert_eq(won, (uint64_t)KEYS, "keys have one winner each");
    for (int i = 0; i < SERVERS; i++) {
        if (!servers[i].is_gone) {
            bbt_order(&servers[i], GO_END);
            bbt_wait_end(&servers[i], PATIENCE_MS);
        }
    }
}

/* ---- two buses ---- */

Test(store_takeover, two_buses_have_one_master)
{
    char path[256];
    struct bbt_child a, b, w;
    (void)snprintf(path, sizeof(path), "%s/disk", bbt_dir());
    cr_assert_eq(mkdir(path, 0700), 0);
    const struct part pa = {.name = "a", .path = path, .role = BB_STORE_MASTER};
    const struct part pb = {.name = "b", .bus = "other", .path = path, .role = BB_STORE_STANDBY};
    const struct part pw = {.name = "w", .path = path, .timeout_ns = 300 * MS_NS};
    const struct part pm = {.name = "m", .bus = "other"};
    bbt_fork(&a, "a", server, &pa);
    bbt_wait_at(&a, IS_MASTER, PATIENCE_MS);
    bbt_fork(&b, "b", server, &pb);
    bbt_wait_at(&b, READY, PATIENCE_MS);
    struct bbt_side *side = bbt_side_new();
    struct bb_error e = {0};
    struct bb_store *s = NULL;
    const struct bb_store_opts o = {
        .size = sizeof(o), .name = "t", .role = BB_STORE_MASTER, .path = path, .error = &e};
    cr_assert_eq(bb_store_open(&s, attach(side, &pm), &o), BB_EEXIST);
    cr_assert_eq(e.owner_pid, (int64_t)a.pid, "%s", e.sentence);
    bbt_fork(&w, "w", writer, &pw);
    BBT_UNTIL(n_of(&w, N_ACKED) >= 20, PATIENCE_MS, "the writer stands still");
    cr_assert_eq(bbi_load_acquire(&b.side->at), (uint32_t)READY, "two masters");
    bbt_signal(&a, SIGKILL);
    bbt_wait_kill(&a, PATIENCE_MS);
    bbt_wait_at(&b, IS_MASTER, PATIENCE_MS);
    BBT_UNTIL(n_of(&w, N_UNKNOWN) >= 2, PATIENCE_MS, "nobody serves on this bus");
    BBT_UNTIL(strstr(w.side->said, "on another bus") != NULL, PATIENCE_MS, "%s", w.side->said);
    bbt_order(&b, GO_END);
    bbt_wait_end(&b, PATIENCE_MS);
    bbt_order(&w, GO_END);
    bbt_wait_end(&w, PATIENCE_MS);
    bbt_side_free(side);
}

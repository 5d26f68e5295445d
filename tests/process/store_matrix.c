/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Wherever a store's master, its standby or a client is killed or stopped, the others go on: what was
 *         acknowledged is there once, readers never stop, and the store's directory is as it has to be.
 * Method  kill_matrix.txt names every hook of lib/store and the scene that hits it (store_...).  For each: a master, two
 *         standbys, a client that counts, a reader in place; a victim plays the scene and is killed (test `killed`) or
 *         stopped (test `stopped`) at the hook; then the client has to be answered again, by whoever is master.
 *
 * BB_ROW  part of a row's label: for work on one.  bb-timeout: 300
 */
#include "busbar/inspect.h"
#include "shm/hook.h"
#include "tests/support/matrix.h"
#include "tests/support/store.h"
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAIT_MS = 20000,
    MORE = 50, /* answers that have to come afterwards */
    READY = 1,
    LARGE_BYTES = 3 << 20, /* a frame that goes in parts */
    N_ACKED = 0,
    N_LOOKS,
    N_QUIT = 30
};

static const struct bbt_row *row;
static char path[128];
static int victim_signal;
static bool is_in_memory;

static struct bb_store_opts
opts_of(uint32_t role)
{
    return (struct bb_store_opts){.name = "matrix",
                                  .role = role,
                                  .path = role == BB_STORE_CLONE || is_in_memory ? NULL : path,
                                  .quota_bytes = UINT64_C(256) << 20,
                                  .timeout_ns = 3 * WAIT_MS * BBT_MS_NS};
}

/* ---- who lasts ---- */

static uint64_t
count_of(struct bbt_side *side, struct bb_store *s)
{
    const struct bb_value key = bbt_v("n");
    struct bb_value v;
    uint64_t n = 0;
    int rc = bb_store_get(s, &key, &v);
    BBT_CHECK(side, rc == BB_ENOENT || (rc == 0 && bb_get_count(&v, &n) == 0), "get: %d", rc);
    return n;
}

/* All or none: the second command fails when the first has not run in the same transaction. */
static int
count_twice(struct bb_store *s,
            const struct bb_value *key,
            const struct bb_value *one,
            struct bb_store_result *out)
{
    const struct bb_value twin = bbt_v("twin");
    const struct bb_store_cmd cmds[3] = {
        {.op = BB_STORE_INCREMENT, .key = *key, .value = *one},
        {.op = BB_STORE_PUT_UNIQUE, .key = twin, .value = *one},
        {.op = BB_STORE_ERASE, .key = twin},
    };
    struct bb_store_result results[3];
    int rc = bb_store_run(s, cmds, 3, BB_STORE_ATOMIC, results);
    *out = results[0];
    return rc;
}

static void
counting(struct bbt_side *side, const void *arg)
{
    const struct bb_store_opts o = opts_of(BB_STORE_CLONE);
    struct bb_endpoint *ep = bbt_endpoint(side, "counting", 0);
    struct bb_store *s = bbt_store(side, ep, &o);
    (void)arg;
    bbt_at(side, READY);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        const struct bb_value key = bbt_v("n"), one = bbt_v("1"), soon = bbt_v("soon");
        struct bb_store_result r;
        uint64_t acked = bbi_load_relaxed(&side->n[N_ACKED]) + 1, sum = 0;
        int rc = acked % 4 != 0 ? bb_store_increment(s, &key, &one, 0, &r)
                                : count_twice(s, &key, &one, &r);
        BBT_CHECK(side, rc == 0, "increment: %d", rc);
        BBT_CHECK(side, bb_get_count(&r.value, &sum) == 0 && sum == acked, "told %llu, not %llu",
                  (unsigned long long)sum, (unsigned long long)acked);
        bbi_store_release(&side->n[N_ACKED], acked);
        if (acked % 8 == 0) { /* something to sweep */
            rc = bb_store_put(s, &soon, &one, BBT_MS_NS, NULL);
            BBT_CHECK(side, rc == 0, "put: %d", rc);
        }
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

static struct bbt_child counter; /* the reader compares with what it was told */

static void
looking(struct bbt_side *side, const void *arg)
{
    const struct bb_store_opts o = opts_of(BB_STORE_CLONE);
    struct bb_endpoint *ep = bbt_endpoint(side, "looking", 0);
    struct bb_store *s = bbt_store(side, ep, &o);
    (void)arg;
    bbt_at(side, READY);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        uint64_t acked = bbi_load_acquire(&counter.side->n[N_ACKED]);
        uint64_t there = count_of(side, s);
        BBT_CHECK(side, there >= acked, "told %llu, read %llu", (unsigned long long)acked,
                  (unsigned long long)there);
        (void)bbi_fetch_add_seq_cst(&side->n[N_LOOKS], 1);
        bbt_nap();
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

/* ---- what a victim or its helper does, again and again ---- */

static void
compact(struct bbt_side *side, struct bb_store *s, uint64_t turn)
{
    int rc = bb_store_compact(s);
    (void)turn;
    BBT_CHECK(side, rc != BB_ETIMEDOUT && rc != BB_ECORRUPT, "compact: %d", rc);
}

static void
send_large(struct bbt_side *side, struct bb_store *s, uint64_t turn)
{
    static char text[LARGE_BYTES];
    static uint64_t room[LARGE_BYTES / 8 + 8];
    struct bb_builder b;
    struct bb_value v = {.p = NULL};
    memset(text, (int)('a' + turn % 26), sizeof(text));
    bb_build_init(&b, room, sizeof(room));
    bb_put_string(&b, text, sizeof(text));
    int64_t bytes = bb_build_end(&b);
    BBT_CHECK(side, bytes > 0 && bb_value_open(&v, room, (size_t)bytes) == 0, "a large value");
    const struct bb_value key = bbt_v("large");
    int rc = bb_store_put(s, &key, &v, 0, NULL);
    BBT_CHECK(side, rc == 0, "large put: %d", rc);
}

static void
copy_out(struct bbt_side *side, struct bb_store *s, uint64_t turn)
{
    char to[192];
    (void)snprintf(to, sizeof(to), "%s-copy-%llu", path, (unsigned long long)turn);
    int rc = bb_store_copy(s, to);
    BBT_CHECK(side, rc == 0, "copy: %d", rc);
}

static void
watch_shortly(struct bbt_side *side, struct bb_store *s, uint64_t turn)
{
    struct bb_watch *w = NULL;
    struct bb_store_change c[8];
    (void)turn;
    int rc = bb_watch_open(&w, s, NULL, 0, NULL);
    BBT_CHECK(side, rc == 0, "watch: %d", rc);
    for (int i = 0; i < 3; i++) {
        rc = bb_watch_next(w, c, 8, 10 * BBT_MS_NS);
        BBT_CHECK(side, rc >= 0, "watch: %d", rc);
    }
    bb_watch_close(w);
}

typedef void (*turn_fn)(struct bbt_side *side, struct bb_store *s, uint64_t turn);

struct scene {
    const char *name;
    turn_fn turn; /* of a helper, or of the victim if it is a client; NULL: nobody needed */
    bool is_client, is_takeover, is_first, is_aside, is_closed, is_gc;
};

static const struct scene SCENES[] = {
    {.name = "store_write"},
    {.name = "store_watch", .turn = watch_shortly},
    {.name = "store_compact", .turn = compact},
    {.name = "store_take", .is_takeover = true},
    {.name = "store_first", .is_first = true},
    {.name = "store_aside", .is_first = true, .is_aside = true},
    {.name = "store_close", .is_closed = true},
    {.name = "store_gc", .is_gc = true},
    {.name = "store_large", .turn = send_large, .is_client = true},
    {.name = "store_copy", .turn = copy_out, .is_client = true},
};
static const struct scene *scene;

static void
turning(struct bbt_side *side, const void *arg)
{
    const bool is_victim = arg != NULL;
    const struct bb_store_opts o = opts_of(BB_STORE_CLONE);
    if (is_victim) {
        bbt_hook_arm(side, row->hook, row->hit, victim_signal);
    }
    struct bb_endpoint *ep = bbt_endpoint(side, "turning", 0);
    struct bb_store *s = bbt_store(side, ep, &o);
    bbt_at(side, READY);
    for (uint64_t turn = 0; bbi_load_acquire(&side->n[N_QUIT]) == 0; turn++) {
        scene->turn(side, s, turn);
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

/* ---- the play ---- */

enum { SERVERS = 4 };
static struct bbt_served served[SERVERS];
static struct bbt_child server[SERVERS], looker, turner;
static const char *const SERVER_NAMES[SERVERS] = {"master", "standby-1", "standby-2", "late"};

static void
start_server(int i, uint32_t role, bool is_victim, bool is_early)
{
    served[i] = (struct bbt_served){.node = SERVER_NAMES[i], .opts = opts_of(role)};
    served[i].opts.flags = scene->is_aside ? BB_STORE_START_EMPTY : 0;
    if (is_victim) {
        served[i].hook = row->hook;
        served[i].kth = row->hit;
        served[i].sig = victim_signal;
        served[i].is_hooked_early = is_early;
    }
    bbt_fork(&server[i], SERVER_NAMES[i], bbt_serve, &served[i]);
}

static void
find_scene(void)
{
    (void)fprintf(stderr, "%s: %s\n", victim_signal == SIGKILL ? "killed" : "stopped", row->label);
    scene = NULL;
    for (size_t i = 0; i < sizeof(SCENES) / sizeof(SCENES[0]); i++) {
        if (strcmp(SCENES[i].name, row->scene) == 0) {
            scene = &SCENES[i];
        }
    }
    cr_assert_not_null(scene, "there is no scene %s", row->scene);
    (void)snprintf(path, sizeof(path), "%s/matrix-dir", bbt_dir());
}

/* It ends, or stops, by itself at the hook. */
static void
wait_victim(struct bbt_child *v)
{
    if (victim_signal == SIGSTOP) {
        bbt_wait_stop(v, WAIT_MS);
    } else {
        bbt_wait_kill(v, WAIT_MS);
    }
    cr_assert_geq(bbi_load_acquire(&v->side->hit), 1u, "%s was not hit", row->hook);
}

/* A store that was there, and is not one any more. */
static void
make_damaged(void)
{
    char file[192];
    static const char junk[8192] = "no database";
    start_server(0, BB_STORE_MASTER, false, false);
    bbt_wait_at(&server[0], BBT_SERVE_READY, WAIT_MS);
    bbt_served_quit(&server[0]);
    (void)snprintf(file, sizeof(file), "%s/current/data.mdb", path);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0, "%s", file);
    cr_assert_eq(pwrite(fd, junk, sizeof(junk), 0), (ssize_t)sizeof(junk));
    (void)close(fd);
}

static struct bbt_child *
begin(void)
{
    if (scene->is_aside) {
        make_damaged();
    }
    bool is_master_victim = !scene->is_client && !scene->is_takeover && !scene->is_first;
    if (scene->is_first) { /* it makes the store, and does not come to its end */
        start_server(0, BB_STORE_MASTER, true, true);
        wait_victim(&server[0]);
        if (victim_signal == SIGSTOP) {
            bbt_signal(&server[0], SIGCONT);
            bbt_wait_at(&server[0], BBT_SERVE_READY, WAIT_MS);
        }
    } else {
        start_server(0, BB_STORE_MASTER, is_master_victim, false);
        bbt_wait_at(&server[0], BBT_SERVE_READY, WAIT_MS);
    }
    start_server(1, BB_STORE_STANDBY, scene->is_takeover, true);
    bbt_wait_at(&server[1], BBT_SERVE_READY, WAIT_MS);
    bbt_fork(&counter, "counting", counting, NULL);
    bbt_wait_at(&counter, READY, WAIT_MS);
    bbt_fork(&looker, "looking", looking, NULL);
    bbt_wait_at(&looker, READY, WAIT_MS);
    if (scene->turn != NULL) {
        bbt_fork(&turner, "turning", turning, scene->is_client ? scene : NULL);
    }
    return scene->is_client ? &turner : &server[scene->is_takeover ? 1 : 0];
}

static void
goes_on(const struct bbt_child *c, uint64_t from, const char *what)
{
    BBT_UNTIL(bbi_load_acquire(&c->side->n[0]) >= from + MORE, WAIT_MS,
              "%s: %s came to %llu from %llu", row->label, what,
              (unsigned long long)bbi_load_acquire(&c->side->n[0]), (unsigned long long)from);
}

static void
check_reader(void)
{
    uint64_t looks = bbi_load_acquire(&looker.side->n[N_LOOKS]);
    BBT_UNTIL(bbi_load_acquire(&looker.side->n[N_LOOKS]) > looks + 3, WAIT_MS,
              "%s: the reader stands", row->label);
}

static void
quit(struct bbt_child *c)
{
    if (c->pid != 0 && !c->is_gone) {
        bbi_store_release(&c->side->n[N_QUIT], 1);
        bbt_wait_end(c, WAIT_MS);
    }
}

/* One generation, and nothing that somebody did not finish. */
static void
check_directory(void)
{
    int generations = 0;
    DIR *dir = opendir(path);
    const struct dirent *e;
    cr_assert_not_null(dir, "%s", path);
    while ((e = readdir(dir)) != NULL) {
        generations += strncmp(e->d_name, "gen-", 4) == 0;
        cr_assert_null(strstr(e->d_name, ".new"), "%s: %s is left", row->label, e->d_name);
        cr_assert(scene->is_aside || strncmp(e->d_name, "damaged", 7) != 0, "%s: %s", row->label,
                  e->d_name);
    }
    (void)closedir(dir);
    cr_assert_eq(generations, 1, "%s: %d generations", row->label, generations);
}

static void
end(void)
{
    struct bb_store_verdict verdict = {.size = sizeof(verdict)};
    struct bbt_side *me = bbt_side_new();
    quit(&turner);
    quit(&counter);
    quit(&looker);
    struct bb_endpoint *ep = bbt_endpoint(me, "checking", 0);
    const struct bb_store_opts o = opts_of(BB_STORE_CLONE);
    struct bb_store *s = bbt_store(me, ep, &o);
    cr_assert_eq(count_of(me, s), bbi_load_acquire(&counter.side->n[N_ACKED]));
    bb_store_close(s);
    bb_endpoint_close(ep);
    for (int i = 0; i < SERVERS; i++) {
        bbt_check_all();
        if (server[i].pid != 0 && !server[i].is_gone) {
            bbt_order(&server[i], BBT_SERVE_QUIT);
        }
    }
    for (int i = 0; i < SERVERS; i++) {
        if (server[i].pid != 0 && !server[i].is_gone) {
            bbt_wait_end(&server[i], WAIT_MS);
        }
    }
    int rc = bb_store_verify(path, &verdict);
    cr_assert_eq(rc, 0, "%s: verify: %d, %s", row->label, rc, verdict.what);
    check_directory();
}

static void
make_happen(struct bbt_child *victim)
{
    if (scene->is_first) {
        if (victim_signal == SIGKILL) {
            return;
        }
    } else if (scene->is_takeover) {
        goes_on(&counter, 0, "the count");
        bbt_signal(&server[0], SIGKILL);
        bbt_wait_kill(&server[0], WAIT_MS);
        wait_victim(victim);
        start_server(2, BB_STORE_STANDBY, false, false);
    } else {
        if (scene->is_closed) {
            goes_on(&counter, 0, "the count");
            bbt_order(victim, BBT_SERVE_QUIT);
        }
        wait_victim(victim);
    }
}

/* ---- a bus that ends, and its stores in memory with it ---- */

static void
collecting(struct bbt_side *side, const void *arg)
{
    (void)arg;
    bbt_hook_arm(side, row->hook, row->hit, victim_signal);
    int rc = bb_gc(
        &(struct bb_gc_opts){.size = sizeof(struct bb_gc_opts), .dir = bbt_dir(), .bus = BBT_BUS});
    BBT_CHECK(side, rc >= 0, "gc: %d", rc);
}

/* Whoever dies over it: the next one finishes, and a bus begun anew has no store. */
static void
run_gc(void)
{
    struct bbt_child collector;
    is_in_memory = true;
    start_server(0, BB_STORE_MASTER, false, false);
    bbt_wait_at(&server[0], BBT_SERVE_READY, WAIT_MS);
    bbt_served_quit(&server[0]);
    bbt_fork(&collector, "collecting", collecting, NULL);
    wait_victim(&collector);
    if (victim_signal == SIGSTOP) {
        bbt_signal(&collector, SIGCONT);
        bbt_wait_end(&collector, WAIT_MS);
    }
    bbt_gc(row->label);
    start_server(1, BB_STORE_MASTER, false, false);
    bbt_wait_at(&server[1], BBT_SERVE_READY, WAIT_MS);
    struct bbt_side *me = bbt_side_new();
    struct bb_endpoint *ep = bbt_endpoint(me, "checking", 0);
    const struct bb_store_opts o = opts_of(BB_STORE_CLONE);
    struct bb_store *s = bbt_store(me, ep, &o);
    cr_assert_eq(bb_store_version(s), 0, "it is a new one");
    bb_store_close(s);
    bb_endpoint_close(ep);
    bbt_served_quit(&server[1]);
}

static void
run_killed(void)
{
    victim_signal = SIGKILL;
    find_scene();
    if (scene->is_gc) {
        run_gc();
        return;
    }
    struct bbt_child *victim = begin();
    make_happen(victim);
    check_reader();
    goes_on(&counter, bbi_load_acquire(&counter.side->n[N_ACKED]), "the count");
    end();
}

static void
run_stopped(void)
{
    victim_signal = SIGSTOP;
    find_scene();
    if (scene->is_gc) {
        run_gc();
        return;
    }
    struct bbt_child *victim = begin();
    make_happen(victim);
    check_reader(); /* also while a master is stopped */
    if (scene->is_client) {
        goes_on(&counter, bbi_load_acquire(&counter.side->n[N_ACKED]), "the count");
    }
    if (!scene->is_first) {
        bbt_signal(victim, SIGCONT);
    }
    if (scene->is_closed) {
        bbt_wait_end(victim, WAIT_MS);
    }
    goes_on(&counter, bbi_load_acquire(&counter.side->n[N_ACKED]), "the count");
    end();
}

/* ---- the tests ---- */

static void
make_bus(void)
{
    bbt_bus_new();
}

#if defined(BB_HOOKS) && BB_HOOKS
static struct criterion_test_params
params(void)
{
    enum { CAP = 256 };
    struct bbt_row *rows = cr_malloc(sizeof(*rows) * CAP);
    return cr_make_param_array(struct bbt_row, rows, bbt_rows(rows, CAP, true), NULL);
}

ParameterizedTestParameters(store_matrix, killed)
{
    return params();
}

ParameterizedTest(struct bbt_row *param,
                  store_matrix,
                  killed,
                  .init = make_bus,
                  .fini = bbt_bus_end,
                  .timeout = 60)
{
    row = param;
    run_killed();
}

ParameterizedTestParameters(store_matrix, stopped)
{
    return params();
}

ParameterizedTest(struct bbt_row *param,
                  store_matrix,
                  stopped,
                  .init = make_bus,
                  .fini = bbt_bus_end,
                  .timeout = 60)
{
    row = param;
    run_stopped();
}
#else
Test(store_matrix, killed, .init = make_bus)
{
    (void)run_killed;
    (void)run_stopped;
    bbt_bus_end();
    cr_skip_test("this build has no hooks (BB_HOOKS)");
}
#endif

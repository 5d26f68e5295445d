/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    kill -9 of a store's master in the middle of its commits: nothing that it acknowledged is lost, nothing
 *         runs twice, the standby answers, and who reads in place never stops.
 * Method  Two processes are master and standby by turns; the master is killed at a random time, or at a random hit
 *         of one of the store's hooks, also while it takes over.  Clients count up, each a counter of its own and one
 *         that all share, by waiting and by pipelining; each sum that they are told must be the one before plus one.
 *         A reader in place must always find what was acknowledged before it looked.  Time is taken from the death
 *         to the first answer of the next master; percentiles are printed, nothing is asserted about them.
 *
 * BB_SEED  of the dice (default: the time), printed.   BB_KILLS  deaths for each back end (20).
 * Long     BB_KILLS=500 build/dev/tests/process/store_kill --timeout 100000 (a thousand in all)
 *
 * bb-timeout: 240
 */
#include "shm/os.h"
#include "tests/support/matrix.h"
#include "tests/support/store.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MASTERS = 2,
    CLIENTS = 3,
    WINDOW = 8,
    WAIT_MS = 60000,
    ROWS = 256,
    FILL = 200,  /* keys that each client writes in turn */
    N_ACKED = 0, /* of its own counter */
    N_SHARED,    /* how often it counted the shared one */
    N_LAST_NS,   /* when an answer came last */
    N_LOOKS,
    N_QUIT = 30
};

struct client {
    char name[16];
    int number;
    uint32_t flags;
    const struct bbt_child *clients; /* for the reader */
};

static struct client clients[CLIENTS], reader_part;
static struct bbt_child client_child[CLIENTS], reader_child, server[MASTERS];
static struct bbt_served served[MASTERS];
static char names[MASTERS][32];
static struct bb_store_opts master_opts;
static unsigned short dice[3];

static const struct bb_store_opts CLONE = {
    .name = "kill", .timeout_ns = WAIT_MS * BBT_MS_NS, .window = WINDOW};

/* ---- clients ---- */

/* Counts are told in the order of sending, from 1 without a gap. */
struct counting {
    struct bbt_side *side;
    int64_t last_ticket;
};

static void
take_results(struct bbt_side *side, const struct bb_store_result *results, size_t count)
{
    uint64_t acked = bbi_load_relaxed(&side->n[N_ACKED]) + 1;
    BBT_CHECK(side, count == 3, "%zu results", count);
    for (size_t i = 0; i < count; i++) {
        BBT_CHECK(side, results[i].code == 0, "command %zu: %d", i, results[i].code);
    }
    uint64_t sum = 0;
    BBT_CHECK(side, bb_get_count(&results[0].value, &sum) == 0 && sum == acked,
              "counted to %llu, told %llu: it ran twice, or an acknowledged one is lost",
              (unsigned long long)acked, (unsigned long long)sum);
    bbi_store_release(&side->n[N_SHARED], bbi_load_relaxed(&side->n[N_SHARED]) + 1);
    bbi_store_release(&side->n[N_LAST_NS], (uint64_t)bbi_os_mono_ns());
    bbi_store_release(&side->n[N_ACKED], acked);
}

static void
on_done(int64_t ticket, const struct bb_store_result *results, size_t count, void *user)
{
    struct counting *c = user;
    BBT_CHECK(c->side, ticket > c->last_ticket, "ticket %lld after %lld", (long long)ticket,
              (long long)c->last_ticket);
    c->last_ticket = ticket;
    take_results(c->side, results, count);
}

/* Its own counter, the shared one, and one of its keys that says how far it was. */
static void
make_frame(const struct client *p, uint64_t turn, char key[3][24], struct bb_store_cmd cmds[3])
{
    (void)snprintf(key[0], sizeof(key[0]), "own %d", p->number);
    (void)snprintf(key[1], sizeof(key[1]), "(%d, %llu)", p->number,
                   (unsigned long long)(turn % FILL));
    (void)snprintf(key[2], sizeof(key[2]), "%llu", (unsigned long long)turn);
    cmds[0] =
        (struct bb_store_cmd){.op = BB_STORE_INCREMENT, .key = bbt_v(key[0]), .value = bbt_v("1")};
    cmds[1] =
        (struct bb_store_cmd){.op = BB_STORE_INCREMENT, .key = bbt_v("all"), .value = bbt_v("1")};
    cmds[2] =
        (struct bb_store_cmd){.op = BB_STORE_PUT, .key = bbt_v(key[1]), .value = bbt_v(key[2])};
}

static void
counting(struct bbt_side *side, const void *arg)
{
    const struct client *p = arg;
    struct counting c = {.side = side};
    struct bb_store_opts o = CLONE;
    struct bb_store_cmd cmds[3];
    struct bb_store_result results[3];
    char key[3][24];
    o.flags = p->flags;
    o.done = on_done;
    o.user = &c;
    struct bb_endpoint *ep = bbt_endpoint(side, p->name, 0);
    struct bb_store *s = bbt_store(side, ep, &o);
    bbt_at(side, 1);
    for (uint64_t turn = 1; bbi_load_acquire(&side->n[N_QUIT]) == 0; turn++) {
        make_frame(p, turn, key, cmds);
        if (p->number == 0) { /* one that waits for each */
            int rc = bb_store_run(s, cmds, 3, 0, results);
            BBT_CHECK(side, rc == 0, "run: %d", rc);
            take_results(side, results, 3);
            continue;
        }
        int64_t rc;
        while ((rc = bb_store_send(s, cmds, 3, BB_STORE_ATOMIC)) == BB_EAGAIN) {
            int polled = bb_store_poll(s, BBT_S_NS);
            BBT_CHECK(side, polled >= 0, "poll: %d", polled);
        }
        BBT_CHECK(side, rc > 0, "send: %lld", (long long)rc);
    }
    int rc = bb_store_idle(s, WAIT_MS * BBT_MS_NS);
    BBT_CHECK(side, rc == 0, "idle: %d", rc);
    bb_store_close(s);
    bb_endpoint_close(ep);
}

static uint64_t
count_of(struct bbt_side *side, struct bb_store *s, const char *key)
{
    const struct bb_value k = bbt_v(key);
    struct bb_value v;
    uint64_t n = 0;
    int rc = bb_store_get(s, &k, &v);
    BBT_CHECK(side, rc == 0 || rc == BB_ENOENT, "get %s: %d", key, rc);
    BBT_CHECK(side, rc != 0 || bb_get_count(&v, &n) == 0, "%s is no count", key);
    return n;
}

/* In place, all the time: whatever was acknowledged before it looks is there. */
static void
looking(struct bbt_side *side, const void *arg)
{
    const struct client *p = arg;
    char key[24];
    struct bb_endpoint *ep = bbt_endpoint(side, p->name, 0);
    struct bb_store *s = bbt_store(side, ep, &CLONE);
    bbt_at(side, 1);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        for (int i = 0; i < CLIENTS; i++) {
            uint64_t acked = bbi_load_acquire(&p->clients[i].side->n[N_ACKED]);
            (void)snprintf(key, sizeof(key), "own %d", i);
            uint64_t there = count_of(side, s, key);
            BBT_CHECK(side, there >= acked, "client %d was told %llu, but %llu is read", i,
                      (unsigned long long)acked, (unsigned long long)there);
        }
        side->n[N_LOOKS]++;
        bbi_os_sleep_ns(100000);
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

/* ---- masters ---- */

/* A hook at which masters are killed in kill_matrix.txt; NULL: at a time, and when this build has none. */
static const char *
some_hook(void)
{
    static struct bbt_row rows[ROWS];
    size_t count = bbt_rows(rows, ROWS, true), kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].scene, "store_write") == 0 || strcmp(rows[i].scene, "store_take") == 0) {
            rows[kept++] = rows[i];
        }
    }
    return kept == 0 || nrand48(dice) % 2 == 0 ? NULL : rows[(size_t)nrand48(dice) % kept].hook;
}

static void
start_master(int i, uint32_t role, uint64_t generation)
{
    served[i] = (struct bbt_served){.node = names[i], .opts = master_opts};
    served[i].opts.role = role;
    served[i].hook = some_hook();
    served[i].kth = 1 + (uint32_t)nrand48(dice) % 50;
    if (role == BB_STORE_STANDBY && nrand48(dice) % 4 == 0) { /* while it takes over */
        served[i].kth = 1;
        served[i].is_hooked_early = true;
    }
    (void)snprintf(names[i], sizeof(names[i]), "master-%d-%llu", i, (unsigned long long)generation);
    bbt_fork(&server[i], "master", bbt_serve, &served[i]);
    if (role == BB_STORE_MASTER) {
        bbt_wait_at(&server[i], BBT_SERVE_READY, WAIT_MS);
    }
}

static int
who_is_master(void)
{
    for (int i = 0; i < MASTERS; i++) {
        bbt_check_alive(&server[i]);
        if (!server[i].is_gone && bbi_load_acquire(&server[i].side->n[BBT_N_IS_MASTER]) == 1) {
            return i;
        }
    }
    return -1;
}

/* An answer that came after this time. */
static bool
is_answered_since(int64_t ns)
{
    for (int i = 0; i < CLIENTS; i++) {
        if ((int64_t)bbi_load_acquire(&client_child[i].side->n[N_LAST_NS]) > ns) {
            return true;
        }
    }
    return false;
}

static bool
is_any_gone(void)
{
    bool is_gone = false;
    for (int i = 0; i < MASTERS; i++) {
        bbt_check_alive(&server[i]);
        is_gone = is_gone || server[i].is_gone;
    }
    return is_gone;
}

static int
by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

struct tally {
    uint64_t deaths, hook_deaths, generation;
    int64_t *took_ns;
    uint64_t took;
    int64_t most_ns;
    const char *where; /* who took longest died there */
};

/* Everybody who is gone comes back as a standby. */
static void
respawn(struct tally *t)
{
    for (int i = 0; i < MASTERS; i++) {
        bbt_check_alive(&server[i]);
        if (server[i].is_gone) {
            t->deaths++;
            t->hook_deaths += bbi_load_relaxed(&server[i].side->hit) > 0;
            bbt_side_free(server[i].side);
            start_master(i, BB_STORE_STANDBY, ++t->generation);
        }
    }
}

/* From the death of a master on: until another one is, and answered somebody. */
static void
await_answer(struct tally *t, int64_t death_ns, const char *where)
{
    int64_t since = 0;
    int master = -1;
    BBT_UNTIL((master = who_is_master()) >= 0 || (respawn(t), false), WAIT_MS,
              "no master after %llu deaths", (unsigned long long)t->deaths);
    since = (int64_t)bbi_load_acquire(&server[master].side->n[BBT_N_SINCE_NS]);
    BBT_UNTIL(is_answered_since(since) || is_any_gone(), WAIT_MS, "no answer after %llu deaths",
              (unsigned long long)t->deaths);
    if (is_answered_since(since) && since > death_ns) {
        int64_t took_ns = bbi_os_mono_ns() - death_ns;
        t->took_ns[t->took++] = took_ns;
        if (took_ns > t->most_ns) {
            t->most_ns = took_ns;
            t->where = where;
        }
    }
}

/* Where the one that is gone died. */
static const char *
where_it_died(void)
{
    for (int i = 0; i < MASTERS; i++) {
        if (server[i].is_gone) {
            return bbi_load_relaxed(&server[i].side->hit) > 0 ? served[i].hook : "no hook";
        }
    }
    return "nowhere";
}

static void
kill_once(struct tally *t)
{
    int now = who_is_master();
    bool is_hooked =
        now >= 0 && served[now].hook != NULL; /* it dies by itself, if it comes there */
    int64_t until = bbi_os_mono_ns()
                    + (is_hooked ? 100 * BBT_MS_NS : (int64_t)nrand48(dice) % (15 * BBT_MS_NS));
    while (bbi_os_mono_ns() < until && !is_any_gone()) {
        bbi_os_sleep_ns(50000);
    }
    int master = who_is_master();
    if (master >= 0 && !is_any_gone()) {
        (void)kill(server[master].pid, SIGKILL);
        bbt_wait_kill(&server[master], WAIT_MS);
    }
    int64_t death_ns = bbi_os_mono_ns();
    await_answer(t, death_ns, where_it_died());
    respawn(t);
}

static void
check_end(struct bbt_side *me)
{
    char key[24];
    uint64_t sum = 0;
    struct bb_endpoint *ep = bbt_endpoint(me, "checker", 0);
    struct bb_store *s = bbt_store(me, ep, &CLONE);
    struct bb_store_info info = {.size = sizeof(info)};
    for (int i = 0; i < CLIENTS; i++) {
        uint64_t acked = client_child[i].side->n[N_ACKED];
        (void)snprintf(key, sizeof(key), "own %d", i);
        cr_assert_eq(count_of(me, s, key), acked, "client %d was told %llu, there is %llu", i,
                     (unsigned long long)acked, (unsigned long long)count_of(me, s, key));
        sum += acked;
        for (uint64_t turn = acked; turn > 0 && turn + FILL > acked; turn--) {
            (void)snprintf(key, sizeof(key), "(%d, %llu)", i, (unsigned long long)(turn % FILL));
            cr_assert_eq(count_of(me, s, key), turn, "%s", key);
        }
    }
    cr_assert_eq(count_of(me, s, "all"), sum, "together %llu, there is %llu",
                 (unsigned long long)sum, (unsigned long long)count_of(me, s, "all"));
    cr_assert_eq(bb_store_info(s, &info), 0);
    (void)printf("%llu counted by 3 clients, %llu frames were repeated\n", (unsigned long long)sum,
                 (unsigned long long)info.repeated);
    bb_store_close(s);
    bb_endpoint_close(ep);
}

static void
begin(const char *path)
{
    master_opts =
        (struct bb_store_opts){.name = "kill", .path = path, .timeout_ns = WAIT_MS * BBT_MS_NS};
    start_master(0, BB_STORE_MASTER, 0);
    start_master(1, BB_STORE_STANDBY, 0);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] =
            (struct client){.number = i, .flags = i == 2 ? (uint32_t)BB_STORE_BY_REQUEST : 0};
        (void)snprintf(clients[i].name, sizeof(clients[i].name), "client-%d", i);
        bbt_fork(&client_child[i], clients[i].name, counting, &clients[i]);
    }
    reader_part = (struct client){.name = "reader", .clients = client_child};
    bbt_fork(&reader_child, "reader", looking, &reader_part);
    bbt_wait_at(&reader_child, 1, WAIT_MS);
}

static void
kill_many(const char *path)
{
    uint64_t seed = bbt_number("BB_SEED", (uint64_t)bbi_os_wall_ns());
    uint64_t kills = bbt_number("BB_KILLS", 20);
    struct tally t = {.took_ns = calloc(kills * 4 + 16, sizeof(int64_t))};
    struct bbt_side *me = bbt_side_new();
    cr_assert_not_null(t.took_ns);
    dice[0] = (unsigned short)seed;
    dice[1] = (unsigned short)(seed >> 16);
    dice[2] = (unsigned short)(seed >> 32);
    (void)printf("BB_SEED=%llu BB_KILLS=%llu\n", (unsigned long long)seed,
                 (unsigned long long)kills);
    (void)fflush(stdout);
    begin(path);
    while (t.deaths < kills) {
        kill_once(&t);
    }
    for (int i = 0; i < CLIENTS; i++) {
        bbi_store_release(&client_child[i].side->n[N_QUIT], 1);
    }
    for (int i = 0; i < CLIENTS; i++) {
        BBT_UNTIL((respawn(&t), bbt_check_alive(&client_child[i]), client_child[i].is_gone),
                  WAIT_MS, "client %d does not end", i);
        bbt_wait_end(&client_child[i], WAIT_MS);
    }
    bbi_store_release(&reader_child.side->n[N_QUIT], 1);
    bbt_wait_end(&reader_child, WAIT_MS);
    check_end(me);
    qsort(t.took_ns, t.took, sizeof(int64_t), by_value);
    cr_assert_gt(t.took, 0);
    (void)printf(
        "%llu deaths, %llu of them at a hook; first answer after: p50 %.1f ms, p90 %.1f ms, "
        "p99 %.1f ms, most %.1f ms (killed at %s); the reader looked %llu times\n",
        (unsigned long long)t.deaths, (unsigned long long)t.hook_deaths,
        (double)t.took_ns[t.took / 2] / 1e6, (double)t.took_ns[t.took * 9 / 10] / 1e6,
        (double)t.took_ns[t.took * 99 / 100] / 1e6, (double)t.took_ns[t.took - 1] / 1e6, t.where,
        (unsigned long long)reader_child.side->n[N_LOOKS]);
    free(t.took_ns);
}

Test(store_kill, in_memory, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110)
{
    kill_many(NULL);
}

Test(store_kill, persistent, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/kill-dir", bbt_dir());
    kill_many(path);
}

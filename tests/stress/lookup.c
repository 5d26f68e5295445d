/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: names that are looked up in threads of their own: each question is answered once, with its own answer, unless it
 * was forgotten; nothing is lost or freed twice when the asker ends while threads still ask; no race.
 * Method: a resolver of our own that takes some time now and then; random questions, forgettings and ends.
 * bb-links: bb_net
 */
#include "lib/net/lookup.h"
#include "tests/stress/stress.h"
#include <poll.h>

enum { OPEN_MAX = 64, ROUND_MAX = 400 };

static bbi_u64 asking; /* threads within the resolver */
static bbi_u64 asked;

/* The answer says which question it is of. */
static int
resolve(const char *host,
        uint16_t port,
        bool is_passive,
        struct bbi_net_addresses *out,
        struct bbi_fault *f)
{
    (void)bbi_fetch_add_seq_cst(&asking, 1);
    uint64_t n = strtoull(host, NULL, 10);
    uint64_t state = stress_seed ^ n;
    if (stress_random(&state) % 4 == 0) {
        (void)bbi_os_sleep_ns((int64_t)(stress_random(&state) % 500000));
    }
    memcpy(&out->at[0], &n, sizeof(n));
    out->count = is_passive ? 2 : 1;
    (void)bbi_fetch_add_seq_cst(&asked, 1);
    (void)bbi_fetch_add_seq_cst(&asking, UINT64_MAX); /* last of all: nobody waits for more */
    return n % 3 == 0 ? bbi_fault_set(f, BB_ENOENT, host, "%s", host) : (int)(port == 0);
}

struct asker {
    struct bbi_lookups *all;
    struct bbi_lookup *open[OPEN_MAX]; /* by tag */
    uint64_t number[OPEN_MAX];
    uint32_t count;
    uint64_t next, random, answered, forgotten;
};

static void
ask(struct asker *a)
{
    char host[32];
    struct bbi_fault f = {0};
    uint32_t tag = 0;
    while (a->open[tag] != NULL) {
        tag++;
    }
    a->number[tag] = ++a->next;
    (void)snprintf(host, sizeof(host), "%" PRIu64, a->next);
    int rc = bbi_lookup_start(a->all, host, (uint16_t)(a->next % 2), a->next % 5 == 0, tag,
                              &a->open[tag], &f);
    MUST(rc == 0, "start: %d, %s", rc, f.sentence);
    a->count++;
}

static void
forget(struct asker *a)
{
    uint32_t tag = (uint32_t)(stress_random(&a->random) % OPEN_MAX);
    if (a->open[tag] != NULL) {
        bbi_lookup_forget(a->all, a->open[tag]);
        a->open[tag] = NULL;
        a->count--;
        a->forgotten++;
    }
}

static void
take(struct asker *a, int timeout_ms)
{
    struct pollfd ready = {.fd = bbi_lookups_fd(a->all), .events = POLLIN};
    (void)poll(&ready, 1, timeout_ms);
    for (struct bbi_lookup *l = bbi_lookups_take(a->all); l != NULL; l = bbi_lookups_take(a->all)) {
        uint64_t n = 0;
        CHECK(l->tag < OPEN_MAX && a->open[l->tag] == l, "an answer that nobody waits for");
        MUST(l->tag < OPEN_MAX, "tag %" PRIu64, l->tag);
        memcpy(&n, &l->found.at[0], sizeof(n));
        CHECK(n == a->number[l->tag], "%" PRIu64 " for %" PRIu64, n, a->number[l->tag]);
        CHECK(l->rc == (n % 3 == 0 ? BB_ENOENT : n % 2 == 0), "%" PRIu64 ": %d", n, l->rc);
        CHECK(l->found.count == (n % 5 == 0 ? 2 : 1), "%" PRIu64, n);
        a->open[l->tag] = NULL;
        a->count--;
        a->answered++;
        free(l);
    }
}

/* What is open at the end is left to its threads, or waited for. */
static void
live(struct asker *a)
{
    uint64_t rounds = 1 + stress_random(&a->random) % ROUND_MAX;
    MUST(bbi_lookups_open(&a->all, resolve) == 0, "open");
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t dice = stress_random(&a->random) % 8;
        if (dice < 4 && a->count < OPEN_MAX) {
            ask(a);
        } else if (dice == 4) {
            forget(a);
        } else {
            take(a, 0);
        }
    }
    if (stress_random(&a->random) % 2 == 0) {
        int64_t until_ns = bbi_os_mono_ns() + INT64_C(20000000000);
        while (a->count > 0 && bbi_os_mono_ns() < until_ns) {
            take(a, 100);
        }
        CHECK(a->count == 0, "%u questions without an answer", a->count);
    }
    bbi_lookups_close(a->all);
    memset(a->open, 0, sizeof(a->open));
    a->count = 0;
}

int
main(void)
{
    stress_start("lookup");
    struct asker a = {.random = stress_stream(1)};
    uint64_t lives = 0;
    while (!stress_is_over(100) || lives == 0) {
        live(&a);
        lives++;
    }
    int64_t until_ns = bbi_os_mono_ns() + INT64_C(20000000000);
    while (bbi_load_seq_cst(&asking) != 0 && bbi_os_mono_ns() < until_ns) {
        (void)bbi_os_sleep_ns(1000000);
    }
    CHECK(bbi_load_seq_cst(&asking) == 0, "threads that ask for ever");
    CHECK(a.answered > 0 && a.forgotten > 0, "nothing was tried");
    (void)printf("%" PRIu64 " lives, %" PRIu64 " asked, %" PRIu64 " answered, %" PRIu64
                 " forgotten\n",
                 lives, bbi_load_seq_cst(&asked), a.answered, a.forgotten);
    return stress_end();
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Whoever is killed at whatever instant, the others lose nothing and invent nothing.
 * Method  Publishers and subscribers run flat out; every few milliseconds a random one is killed, or stopped for
 *         a while, and a new one takes its name.  Two publishers and two subscribers are never touched: between
 *         them every byte, order, and count is checked, and what the mortal ones say is checked byte by byte.
 *
 * BB_SEED   of the dice (default: the time); printed.     BB_KILLS  how many deaths (default 200).
 * Long form BB_KILLS=100000 BB_SEED=1 build/dev/tests/process/kill_loop --timeout 100000
 */
#include "shm/os.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MORTAL_PUBS = 4,
    MORTAL_SUBS = 3,
    MORTALS = MORTAL_PUBS + MORTAL_SUBS,
    LASTING = 2,
    MAX_MSG = 300,
    READY = 1,
    N_TARGET = 0,
    N_DONE,
    N_QUIT
};

struct part {
    char name[32];
    uint32_t writer;
    uint32_t flags; /* of a subscriber */
    bool by_fd;
    uint32_t depth;
};

static void
publishing(struct bbt_side *side, const void *arg)
{
    const struct part *p = arg;
    /* Dead readers must not be waited for, stopped ones (50 ms) are. */
    const struct bb_publisher_opts o = {.depth = p->depth,
                                        .bytes = p->depth * 256,
                                        .policy = BB_POLICY_BLOCK_EVICT,
                                        .block_ns = 10000000000};
    struct bb_endpoint *ep = bbt_endpoint(side, p->name, 0);
    struct bb_publisher *pub = bbt_publisher(side, ep, &o);
    struct bb_topic *topic = bbt_topic(side, pub, p->writer);
    uint64_t seq = 0;
    bbt_at(side, READY);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        for (int i = 0; i < 20; i++, seq++) {
            int rc = bbt_send(topic, p->writer, seq + 1, MAX_MSG, seq % 5 != 0 ? BB_MORE : 0);
            BBT_CHECK(side, rc == 0, "message %lu: %d", (unsigned long)seq + 1, rc);
        }
        (void)bb_flush(pub);
        bbi_store_release(&side->n[N_DONE], seq);
        bbi_os_sleep_ns(200000); /* its rate */
    }
    struct bb_publisher_stats st = {.size = sizeof(st)};
    bb_publisher_stats(pub, &st);
    BBT_CHECK(side, st.evicted == 0, "evicted %lu: it waited 10 s for somebody",
              (unsigned long)st.evicted);
    bb_endpoint_close(ep);
}

static void
subscribing(struct bbt_side *side, const void *arg)
{
    const struct part *p = arg;
    struct bb_endpoint *ep = bbt_endpoint(side, p->name, 0);
    struct bb_subscriber *sub =
        bbt_subscriber(side, ep, "w/", p->flags | (p->writer != 0 ? 0u : BB_SUBSCRIBER_STATUS));
    if (p->by_fd) {
        BBT_CHECK(side, bb_fd(sub) >= 0, "bb_fd");
    }
    side->reader.max = MAX_MSG;
    bbt_at(side, READY);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        (void)bbt_take(side, sub, 100000000);
        if (bbi_load_relaxed(&side->reader.track_count) > BBT_TRACKS / 2) {
            /* Rings of the dead are of no more interest: keep those of the living. */
            struct bbt_reader *r = &side->reader;
            uint32_t kept = 0;
            for (uint32_t i = 0; i < r->track_count; i++) {
                bool recent = r->tracks[i].writer <= LASTING || i + 64 > r->track_count;
                if (recent) {
                    memmove(&r->tracks[kept++], &r->tracks[i], sizeof(r->tracks[0]));
                }
            }
            bbi_store_release(&r->track_count, kept);
        }
    }
    bbt_balance(side, sub);
    bb_endpoint_close(ep);
}

static uint64_t
env_number(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : fallback;
}

static struct part parts[MORTALS], lasting_pub[LASTING], lasting_sub[LASTING];
static struct bbt_child mortals[MORTALS], pubs[LASTING], subs[LASTING];

static void
respawn(int i)
{
    if (mortals[i].side != NULL) {
        bbt_side_free(mortals[i].side);
    }
    bbt_fork(&mortals[i], parts[i].name, i < MORTAL_PUBS ? publishing : subscribing, &parts[i]);
}

static void
begin(void)
{
    for (int i = 0; i < MORTALS; i++) {
        struct part *p = &parts[i];
        *p = (struct part){
            .writer = (uint32_t)(10 + i), .depth = 256u << (i % 3), .by_fd = i == MORTALS - 1};
        p->flags = i % 2 == 0 ? BB_SUBSCRIBER_RELIABLE : 0;
        (void)snprintf(p->name, sizeof(p->name), "mortal-%d", i);
    }
    for (uint32_t i = 0; i < LASTING; i++) {
        lasting_sub[i] = (struct part){.flags = i == 0 ? BB_SUBSCRIBER_RELIABLE : 0};
        (void)snprintf(lasting_sub[i].name, sizeof(lasting_sub[i].name), "lasting-sub-%u", i);
        bbt_fork(&subs[i], lasting_sub[i].name, subscribing, &lasting_sub[i]);
        bbt_wait_at(&subs[i], READY, 10000);
    }
    for (uint32_t i = 0; i < LASTING; i++) {
        lasting_pub[i] = (struct part){.writer = 1 + i, .depth = 512};
        (void)snprintf(lasting_pub[i].name, sizeof(lasting_pub[i].name), "lasting-pub-%u", i);
        bbt_fork(&pubs[i], lasting_pub[i].name, publishing, &lasting_pub[i]);
        bbt_wait_at(&pubs[i], READY, 10000);
    }
    for (int i = 0; i < MORTALS; i++) {
        respawn(i);
    }
}

static void
quit(struct bbt_child *c)
{
    bbi_store_release(&c->side->n[N_QUIT], 1);
    bbt_wait_end(c, 10000);
}

/* All that the lasting publishers said is where it belongs. */
static void
check_all(void)
{
    for (uint32_t p = 0; p < LASTING; p++) {
        uint64_t done = bbi_load_acquire(&pubs[p].side->n[N_DONE]);
        BBT_UNTIL(bbt_reader_got(&subs[0].side->reader, p + 1) == done, 10000,
                  "reliable: %lu of %lu of writer %u",
                  (unsigned long)bbt_reader_got(&subs[0].side->reader, p + 1), (unsigned long)done,
                  p + 1);
        BBT_UNTIL(bbt_reader_got(&subs[1].side->reader, p + 1)
                          + bbt_reader_lost(&subs[1].side->reader, p + 1)
                      == done,
                  10000, "lossy: %lu and %lu lost of %lu of writer %u",
                  (unsigned long)bbt_reader_got(&subs[1].side->reader, p + 1),
                  (unsigned long)bbt_reader_lost(&subs[1].side->reader, p + 1), (unsigned long)done,
                  p + 1);
        cr_assert_eq(bbt_reader_lost(&subs[0].side->reader, p + 1), 0);
    }
}

Test(kill_loop, random_deaths, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110)
{
    uint64_t seed = env_number("BB_SEED", (uint64_t)bbi_os_wall_ns());
    uint64_t kills = env_number("BB_KILLS", 200);
    uint32_t deaths[MORTALS] = {0};
    unsigned short dice[3] = {(unsigned short)seed, (unsigned short)(seed >> 16),
                              (unsigned short)(seed >> 32)};
    (void)printf("BB_SEED=%llu BB_KILLS=%llu\n", (unsigned long long)seed,
                 (unsigned long long)kills);
    (void)fflush(stdout);
    begin();
    for (uint64_t k = 0; k < kills; k++) {
        int i = (int)(nrand48(dice) % MORTALS);
        int64_t until = bbi_os_mono_ns() + nrand48(dice) % 20000000; /* also while it attaches */
        while (bbi_os_mono_ns() < until) {
            bbi_os_sleep_ns(100000);
        }
        bbt_check_all();
        bool stop_first = nrand48(dice) % 8 == 0;
        if (stop_first) {
            bbt_signal(&mortals[i], SIGSTOP);
            bbt_wait_stop(&mortals[i], 5000);
            bbi_os_sleep_ns(nrand48(dice) % 50000000);
        }
        bool had_name = bbi_load_acquire(&mortals[i].side->at) >= READY;
        bbt_signal(&mortals[i], SIGKILL);
        bbt_wait_kill(&mortals[i], 5000);
        deaths[i] += had_name;
        respawn(i);
    }
    for (int i = 0; i < MORTALS; i++) {
        bbt_wait_at(&mortals[i], READY, 10000);
        quit(&mortals[i]);
    }
    for (int i = 0; i < LASTING; i++) {
        quit(&pubs[i]);
    }
    check_all();
    for (int i = 0; i < MORTALS; i++) {
        for (int s = 0; s < LASTING; s++) {
            const struct bbt_reader *r = &subs[s].side->reader;
            /* Each joining has its end; some were killed before they could say that they were ready. */
            BBT_UNTIL(bbt_reader_told(r, parts[i].name, BB_STATUS_LEFT) == 1
                          && bbt_reader_told(r, parts[i].name, BB_STATUS_DIED) >= deaths[i]
                          && bbt_reader_told(r, parts[i].name, BB_STATUS_DIED) + 1
                                 == bbt_reader_told(r, parts[i].name, BB_STATUS_JOINED),
                      5000,
                      "%s: %s joined %u times, died %u times and left %u times; %u were ready when "
                      "killed",
                      subs[s].name, parts[i].name,
                      bbt_reader_told(r, parts[i].name, BB_STATUS_JOINED),
                      bbt_reader_told(r, parts[i].name, BB_STATUS_DIED),
                      bbt_reader_told(r, parts[i].name, BB_STATUS_LEFT), deaths[i]);
        }
    }
    for (int i = 0; i < LASTING; i++) {
        quit(&subs[i]);
    }
    cr_assert_eq(subs[0].side->stats.evicted, 0);
    bbt_gc("kill loop");
}

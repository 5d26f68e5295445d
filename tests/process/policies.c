/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    What a publisher does when a reliable subscriber is a whole ring behind, is what the header says.
 * Method  A ring of 64 messages; a reader that has joined and then does not poll, here or in another process.
 */
#include "busbar/inspect.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>

enum { MAX_MSG = 32, DEPTH = 64, WRITER = 1, JOINED = 1 };
static struct bbt_side *me;
static struct bb_endpoint *writer_ep, *reader_ep;
static struct bb_publisher *pub;
static struct bb_topic *topic;
static struct bb_subscriber *sub;
static uint64_t seq;

static void
init(void)
{
    bbt_bus_new();
    me = bbt_side_new();
    me->reader.max = MAX_MSG;
}

static int
say(void)
{
    int rc = bbt_send(topic, WRITER, seq + 1, MAX_MSG, 0);
    seq += rc == 0;
    return rc;
}

static void
open_writer(uint32_t lane, uint32_t policy, int64_t block_ns)
{
    const struct bb_publisher_opts o = {
        .lane = lane, .policy = policy, .block_ns = block_ns, .depth = DEPTH, .bytes = 65536};
    writer_ep = bbt_endpoint(me, "writer", 0);
    pub = bbt_publisher(me, writer_ep, &o);
    topic = bbt_topic(me, pub, WRITER);
}

/* A reader that has read message 1 and holds all that comes after. */
static void
open_reader(void)
{
    reader_ep = bbt_endpoint(me, "reader", 0);
    sub = bbt_subscriber(me, reader_ep, "w/", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_STATUS);
    cr_assert_eq(say(), 0);
    BBT_UNTIL((bbt_take(me, sub, 0), bbt_reader_got(&me->reader, WRITER) == 1), 3000, "message 1");
    cr_assert_eq(bb_release(sub), 0);
    (void)bbt_take(me, sub, 0); /* at the tail: the cursor is published */
}

/* Publishes until it is refused or `max` went; how many, and how long the last call took. */
static uint64_t
say_many(uint64_t max, int *rc, int64_t *last_ms)
{
    uint64_t n = 0;
    int64_t before = bbt_now_ms();
    for (*rc = 0; n < max && *rc == 0; n += *rc == 0) {
        before = bbt_now_ms();
        *rc = say();
    }
    *last_ms = bbt_now_ms() - before;
    return n;
}

static struct bb_publisher_stats
stats(void)
{
    struct bb_publisher_stats st = {.size = sizeof(st)};
    bb_publisher_stats(pub, &st);
    return st;
}

static void
catch_up(void)
{
    while (bbt_take(me, sub, 50000000) > 0) {
    }
    bbt_balance(me, sub);
}

static void
close_all(void)
{
    bb_endpoint_close(reader_ep);
    bb_endpoint_close(writer_ep);
    bbt_gc("policies");
}

Test(policies, fail_refuses_at_once_and_goes_on, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    int rc;
    int64_t ms;
    open_writer(BB_LANE_DATA, BB_POLICY_FAIL, 0);
    open_reader();
    cr_assert_eq(say_many(1000, &rc, &ms), DEPTH);
    cr_assert_eq(rc, BB_EAGAIN);
    cr_assert_lt(ms, bbt_ms(100), "it waited %ld ms", (long)ms);
    cr_assert_eq(bb_headroom(pub), 0);
    cr_assert_eq(bb_headroom_messages(pub), 0);
    struct bb_publisher_stats st = stats();
    cr_assert(st.refused == 1 && st.evicted == 0 && st.blocked == 0 && st.messages == DEPTH + 1);
    catch_up();
    cr_assert_eq(bbt_reader_got(&me->reader, WRITER), DEPTH + 1);
    cr_assert_gt(bb_headroom(pub), 0);
    cr_assert_eq(say(), 0);
    catch_up();
    cr_assert_eq(me->stats.lost, 0);
    cr_assert_eq(bbt_reader_got(&me->reader, WRITER), DEPTH + 2);
    close_all();
}

static void
check_evicted(uint64_t total)
{
    struct bb_publisher_stats st = stats();
    cr_assert_eq(st.evicted, 1, "evicted %lu times", (unsigned long)st.evicted);
    cr_assert_eq(st.refused, 0);
    catch_up();
    cr_assert_eq(bbt_reader_told(&me->reader, "writer", BB_STATUS_EVICTED), 1);
    cr_assert_eq(me->stats.evicted, 1);
    cr_assert_eq(me->stats.messages, total);
    cr_assert_gt(me->stats.lost, 0);
    cr_assert_eq(me->stats.delivered + me->stats.lost, total);
    /* From here on it is protected again. */
    uint64_t lost = me->stats.lost;
    for (int i = 0; i < 3; i++) {
        int rc;
        int64_t ms;
        (void)say_many(DEPTH / 2, &rc, &ms);
        cr_assert_eq(rc, 0);
        catch_up();
    }
    cr_assert_eq(me->stats.lost, lost);
    cr_assert_eq(stats().evicted, 1);
}

Test(policies, evict_goes_on_and_tells, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    int rc;
    int64_t ms;
    open_writer(BB_LANE_DATA, BB_POLICY_EVICT, 0);
    open_reader();
    cr_assert_eq(say_many(500, &rc, &ms), 500);
    cr_assert_eq(stats().blocked, 0);
    check_evicted(501);
    close_all();
}

Test(policies, data_lane_evicts_by_default, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    int rc;
    int64_t ms;
    open_writer(BB_LANE_DATA, BB_POLICY_DEFAULT, 0);
    open_reader();
    cr_assert_eq(say_many(500, &rc, &ms), 500);
    cr_assert_eq(stats().blocked, 0);
    check_evicted(501);
    close_all();
}

static void
check_block_evict(uint32_t lane, uint32_t policy, int64_t block_ns, int64_t least_ms)
{
    int rc;
    int64_t ms;
    open_writer(lane, policy, block_ns);
    open_reader();
    cr_assert_eq(say_many(DEPTH, &rc, &ms), DEPTH);
    cr_assert_eq(say_many(1, &rc, &ms), 1);
    cr_assert(ms >= least_ms && ms < least_ms + bbt_ms(500), "it waited %ld ms, not %ld", (long)ms,
              (long)least_ms);
    cr_assert_eq(say_many(500, &rc, &ms), 500);
    cr_assert_eq(stats().blocked, 1);
    check_evicted(DEPTH + 502);
    close_all();
}

Test(policies, block_evict_waits_its_bound, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    check_block_evict(BB_LANE_DATA, BB_POLICY_BLOCK_EVICT, 200000000, 200);
}

Test(policies,
     control_lane_blocks_100_ms_by_default,
     .init = init,
     .fini = bbt_bus_end,
     .timeout = 20)
{
    check_block_evict(BB_LANE_CONTROL, BB_POLICY_DEFAULT, 0, 100);
}

Test(policies,
     block_fail_waits_and_keeps_the_reader,
     .init = init,
     .fini = bbt_bus_end,
     .timeout = 20)
{
    int rc;
    int64_t ms;
    open_writer(BB_LANE_DATA, BB_POLICY_BLOCK_FAIL, 200000000);
    open_reader();
    cr_assert_eq(say_many(1000, &rc, &ms), DEPTH);
    cr_assert_eq(rc, BB_EAGAIN);
    cr_assert(ms >= 200 && ms < bbt_ms(700), "it waited %ld ms", (long)ms);
    struct bb_publisher_stats st = stats();
    cr_assert(st.refused == 1 && st.evicted == 0 && st.blocked == 1);
    catch_up();
    cr_assert_eq(me->stats.lost, 0);
    cr_assert_eq(bbt_reader_got(&me->reader, WRITER), DEPTH + 1);
    close_all();
}

/* ---- the reader is another process ---- */

static bool
is_blocked(struct bb_look *look)
{
    struct bb_ring_info info;
    return bb_look_rings(look, &info, 1) == 1 && info.blocked > 0;
}

/* Holds the ring until its publisher waits; then reads on, or dies. */
static void
hold(struct bbt_side *side, const void *arg)
{
    const int *sig = arg;
    struct bb_look *look;
    struct bb_endpoint *ep = bbt_endpoint(side, "reader", 0);
    struct bb_subscriber *s = bbt_subscriber(side, ep, "w/", BB_SUBSCRIBER_RELIABLE);
    side->reader.max = MAX_MSG;
    BBT_CHECK(side,
              bb_look_open(&look, &(struct bb_look_opts){.size = sizeof(struct bb_look_opts),
                                                         .dir = bbt_dir(),
                                                         .bus = BBT_BUS})
                  == 0,
              "look");
    bbt_at(side, JOINED);
    while (bbt_reader_got(&side->reader, WRITER) == 0) {
        (void)bbt_take(side, s, 1000000);
    }
    (void)bbt_take(side, s, 0);
    bbt_at(side, JOINED + 1);
    while (!is_blocked(look)) {
        bbt_nap();
    }
    if (*sig != 0) {
        (void)raise(*sig);
    }
    while (bbt_reader_next(&side->reader, WRITER) != DEPTH + 12) {
        (void)bbt_take(side, s, 1000000000);
    }
    bbt_balance(side, s);
    bb_look_close(look);
    bb_endpoint_close(ep);
}

static void
check_block_ends_early(struct bbt_child *reader, const int *sig)
{
    int rc;
    int64_t ms;
    open_writer(BB_LANE_DATA, BB_POLICY_BLOCK_FAIL, 15000000000);
    bbt_fork(reader, "reader", hold, sig);
    bbt_wait_at(reader, JOINED, 5000);
    cr_assert_eq(say(), 0);
    bbt_wait_at(reader, JOINED + 1, 5000);
    cr_assert_eq(say_many(DEPTH + 10, &rc, &ms), DEPTH + 10, "refused: %d", rc);
    cr_assert_eq(stats().blocked >= 1, 1);
    cr_assert_eq(stats().evicted, 0);
}

Test(
    policies, block_ends_when_the_reader_reads_on, .init = init, .fini = bbt_bus_end, .timeout = 30)
{
    struct bbt_child reader;
    static const int none = 0;
    int64_t before = bbt_now_ms();
    check_block_ends_early(&reader, &none);
    cr_assert_lt(bbt_now_ms() - before, bbt_ms(5000));
    bbt_wait_end(&reader, 5000);
    cr_assert_eq(reader.side->stats.lost, 0);
    cr_assert_eq(bbt_reader_got(&reader.side->reader, WRITER), DEPTH + 11);
    bb_endpoint_close(writer_ep);
    bbt_gc("policies");
}

Test(policies, block_ends_when_the_reader_dies, .init = init, .fini = bbt_bus_end, .timeout = 30)
{
    struct bbt_child reader;
    static const int sig = SIGKILL;
    int64_t before = bbt_now_ms();
    check_block_ends_early(&reader, &sig);
    cr_assert_lt(bbt_now_ms() - before, bbt_ms(5000), "waited for the dead");
    bbt_wait_kill(&reader, 5000);
    bb_endpoint_close(writer_ep);
    bbt_gc("policies");
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A subscriber begins where it asked to: now, at the oldest, at the last N; and at the first message of
 *         every ring that is made later.  No gap, no message twice, whichever way a ring goes.
 * Method  Endpoints in this process, one for each member; payloads say which writer and number they are.
 */
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { MAX_MSG = 64 };
static struct bbt_side *me;

struct writer {
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_topic *topic;
    uint32_t number;
    uint64_t seq;
};

static void
init(void)
{
    bbt_bus_new();
    me = bbt_side_new();
    me->reader.max = MAX_MSG;
}

static struct writer
begin(const char *name, uint32_t number, uint32_t depth)
{
    const struct bb_publisher_opts o = {
        .depth = depth, .policy = BB_POLICY_BLOCK_FAIL, .block_ns = 50000000};
    struct writer w = {.number = number};
    w.ep = bbt_endpoint(me, name, 0);
    w.pub = bbt_publisher(me, w.ep, &o);
    w.topic = bbt_topic(me, w.pub, number);
    return w;
}

static void
say(struct writer *w, int count)
{
    for (int i = 0; i < count; i++) {
        int rc = bbt_send(w->topic, w->number, w->seq + 1, MAX_MSG, 0);
        cr_assert_eq(rc, 0, "message %lu: %d", (unsigned long)w->seq + 1, rc);
        w->seq++;
    }
}

static void
end(struct writer *w)
{
    bb_publisher_close(w->pub);
    bb_endpoint_close(w->ep);
}

static void
take_all(struct bb_subscriber *sub)
{
    while (bbt_take(me, sub, 20000000) > 0) {
    }
}

static void
expect(uint32_t writer, uint64_t first, uint64_t got)
{
    cr_assert_eq(bbt_reader_got(&me->reader, writer), got, "got %lu of writer %u, not %lu",
                 (unsigned long)bbt_reader_got(&me->reader, writer), writer, (unsigned long)got);
    cr_assert_eq(bbt_reader_first(&me->reader, writer), first, "it began at %lu, not %lu",
                 (unsigned long)bbt_reader_first(&me->reader, writer), (unsigned long)first);
    cr_assert_eq(bbt_reader_lost(&me->reader, writer), 0);
}

static void
check_start(uint32_t flags, uint32_t start, uint32_t count, uint64_t first)
{
    struct writer w = begin("writer", 1, 0);
    say(&w, 10);
    struct bb_endpoint *ep = bbt_endpoint(me, "reader", 0);
    struct bb_subscriber *sub = bbt_subscriber_from(me, ep, "w/", flags, start, count);
    say(&w, 5);
    take_all(sub);
    expect(1, first, 16 - first);
    bbt_balance(me, sub);
    bb_endpoint_close(ep);
    end(&w);
    bbt_gc("start");
}

Test(start, now, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    check_start(0, BB_START_NOW, 0, 11);
}

Test(start, now_reliable, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    check_start(BB_SUBSCRIBER_RELIABLE, BB_START_NOW, 0, 11);
}

Test(start, oldest, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    check_start(0, BB_START_OLDEST, 0, 1);
}

Test(start, oldest_reliable, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    check_start(BB_SUBSCRIBER_RELIABLE, BB_START_OLDEST, 0, 1);
}

Test(start, last_three, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    check_start(0, BB_START_LAST, 3, 8);
}

Test(start, last_three_reliable, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    check_start(BB_SUBSCRIBER_RELIABLE, BB_START_LAST, 3, 8);
}

Test(start, last_more_than_there_are, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    check_start(0, BB_START_LAST, 1000, 1);
}

Test(
    start, ring_made_later_is_read_from_its_first, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    struct bb_endpoint *ep = bbt_endpoint(me, "reader", 0);
    struct bb_subscriber *sub = bbt_subscriber(me, ep, "w/", BB_SUBSCRIBER_STATUS);
    struct writer w = begin("writer", 1, 0);
    say(&w, 50);
    take_all(sub);
    expect(1, 1, 50);
    struct writer second = {.ep = w.ep, .number = 2};
    second.pub = bbt_publisher(me, w.ep, NULL);
    second.topic = bbt_topic(me, second.pub, 2);
    say(&second, 7);
    take_all(sub);
    expect(2, 1, 7);
    cr_assert_eq(bbt_reader_told(&me->reader, "writer", BB_STATUS_JOINED), 1);
    bb_endpoint_close(w.ep);
    bb_endpoint_close(ep);
}

/* A reliable subscriber that has not looked yet is owed the ring from its first message: the policy holds. */
Test(start, ring_made_later_waits_for_reliable, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    struct bb_endpoint *ep = bbt_endpoint(me, "reader", 0);
    struct bb_subscriber *sub = bbt_subscriber(me, ep, "w/", BB_SUBSCRIBER_RELIABLE);
    struct writer w = begin("writer", 1, 64);
    int rc = 0;
    while (w.seq < 1000 && rc == 0) {
        rc = bbt_send(w.topic, 1, w.seq + 1, MAX_MSG, 0);
        w.seq += rc == 0;
    }
    cr_expect_eq(rc, BB_EAGAIN,
                 "%lu messages went into a ring of 64 and no one waited for the reader",
                 (unsigned long)w.seq);
    cr_expect_eq(w.seq, 64);
    take_all(sub);
    expect(1, 1, w.seq);
    bb_endpoint_close(ep);
    end(&w);
}

/* Its publisher closed it before the subscriber looked. */
Test(start, closed_ring_is_drained, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    struct bb_endpoint *ep = bbt_endpoint(me, "reader", 0);
    struct bb_subscriber *sub = bbt_subscriber(me, ep, "w/", BB_SUBSCRIBER_STATUS);
    struct writer w = begin("writer", 1, 0);
    say(&w, 20);
    end(&w);
    take_all(sub);
    expect(1, 1, 20);
    BBT_UNTIL((bbt_take(me, sub, 0), bbt_reader_told(&me->reader, "writer", BB_STATUS_LEFT) == 1),
              3000, "not told that it left");
    cr_assert_eq(bbt_reader_told(&me->reader, "writer", BB_STATUS_DIED), 0);
    bb_endpoint_close(ep);
}

static int
count_dead(void)
{
    char files[2048];
    int n = 0;
    (void)bbt_files(files, sizeof(files));
    for (const char *p = files; (p = strstr(p, " pub-")) != NULL; p++) {
        n++;
    }
    return n;
}

/* Six rings closed and were buried: the newest four are kept and read with OLDEST, not with NOW. */
Test(start, dead_rings_with_oldest, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    struct bb_endpoint *ep = bbt_endpoint(me, "keeper", 0);
    struct bb_subscriber *keeper = bbt_subscriber(me, ep, NULL, 0);
    for (uint32_t i = 1; i <= 6; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "writer-%u", i);
        struct writer w = begin(name, i, 0);
        say(&w, 10);
        end(&w);
        BBT_UNTIL((bbt_take(me, keeper, 1000000), count_dead() == (i < 4 ? (int)i : 4)), 5000,
                  "%d rings are kept after %u", count_dead(), i);
    }
    struct bb_subscriber *now = bbt_subscriber(me, ep, "w/", 0);
    take_all(now);
    for (uint32_t i = 1; i <= 6; i++) {
        cr_assert_eq(bbt_reader_got(&me->reader, i), 0, "NOW read a dead ring");
    }
    struct bb_subscriber *oldest = bbt_subscriber_from(me, ep, "w/", 0, BB_START_OLDEST, 0);
    take_all(oldest);
    for (uint32_t i = 1; i <= 6; i++) {
        cr_assert_eq(bbt_reader_got(&me->reader, i), i <= 2 ? 0 : 10, "%lu of writer %u",
                     (unsigned long)bbt_reader_got(&me->reader, i), i);
    }
    bbt_balance(me, oldest);
    bb_endpoint_close(ep);
    bbt_gc("dead");
}

/* A ring that is closed and not yet buried, then buried while it is read: each message once. */
Test(start, closed_ring_with_oldest_once, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    struct bb_endpoint *ep = bbt_endpoint(me, "holder", BB_ATTACH_CAPTURE);
    struct bb_subscriber *holder = bbt_subscriber(me, ep, "w/", BB_SUBSCRIBER_RELIABLE);
    struct writer w = begin("writer", 1, 0);
    say(&w, 100);
    struct bb_msg first;
    cr_assert_eq(bb_poll(holder, &first, 1, 1000000000), 1);
    end(&w); /* the holder has not read it all: the ring stays */
    struct bb_endpoint *late = bbt_endpoint(me, "late", 0);
    struct bb_subscriber *sub = bbt_subscriber_from(me, late, "w/", 0, BB_START_OLDEST, 0);
    BBT_UNTIL((bbt_take(me, sub, 0), bbt_reader_got(&me->reader, 1) >= 50), 3000, "the first half");
    bb_subscriber_close(holder);
    BBT_UNTIL(
        (bbt_take(me, sub, 5000000), count_dead() == 1 && bbt_reader_got(&me->reader, 1) == 100),
        5000, "got %lu of 100", (unsigned long)bbt_reader_got(&me->reader, 1));
    take_all(sub);
    expect(1, 1, 100);
    bb_endpoint_close(late);
    bb_endpoint_close(ep);
}

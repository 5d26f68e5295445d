/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A message that was committed and not flushed reaches a reader that polls, however it waits: readers go
 *         by what was announced, and look beyond it before they sleep.
 * Method  One process; the publisher says BB_MORE and then nothing.
 */
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>
#include <poll.h>

TestSuite(unflushed, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

static const int64_t SOON_NS = INT64_C(5000000000);

struct scene {
    struct bb_endpoint *a, *p;
    struct bb_subscriber *sub;
    struct bb_publisher *pub;
};

static struct bb_endpoint *
endpoint_new(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

static void
scene_open(struct scene *s, uint32_t wait)
{
    const char *const all[] = {""};
    const struct bb_subscriber_opts so = {
        .size = sizeof(so), .wait = wait, .prefixes = all, .prefix_count = 1};
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_ONESHOT};
    s->a = endpoint_new("a");
    s->p = endpoint_new("p");
    cr_assert_eq(bb_subscriber_open(&s->sub, s->a, &so), 0);
    cr_assert_eq(bb_publisher_open(&s->pub, s->p, &po), 0);
}

static void
scene_close(struct scene *s)
{
    bb_endpoint_close(s->a);
    bb_endpoint_close(s->p);
}

static void
say(struct scene *s, uint32_t attr)
{
    cr_assert_eq(bb_publish_to(s->pub, "t", 1, "x", 1, BB_RAW | attr), 0);
}

Test(unflushed, a_reader_that_waits_gets_it_in_every_mode)
{
    for (uint32_t wait = BB_WAIT_HYBRID; wait <= BB_WAIT_PERIODIC; wait++) {
        struct scene s;
        struct bb_msg msg;
        scene_open(&s, wait);
        say(&s, 0); /* so that the ring is known, and was read to its end */
        cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
        say(&s, BB_MORE);
        cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1, "mode %u", wait);
        cr_assert_eq(msg.seq, 2U);
        scene_close(&s);
    }
}

Test(unflushed, a_reader_that_only_looks_gets_it_after_some_looks)
{
    struct scene s;
    struct bb_msg msg;
    int n = 0;
    scene_open(&s, BB_WAIT_HYBRID);
    say(&s, 0);
    cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
    say(&s, BB_MORE);
    for (int i = 0; i < 64 && n == 0; i++) {
        n = bb_poll(s.sub, &msg, 1, 0);
    }
    cr_assert_eq(n, 1);
    scene_close(&s);
}

Test(unflushed, an_event_loop_gets_it)
{
    struct scene s;
    struct bb_msg msg;
    int n = 0;
    scene_open(&s, BB_WAIT_HYBRID);
    say(&s, 0);
    cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
    struct pollfd fd = {.fd = bb_fd(s.sub), .events = POLLIN};
    cr_assert_geq(fd.fd, 0);
    say(&s, BB_MORE);
    for (int i = 0; i < 64 && n == 0; i++) {
        cr_assert_eq(poll(&fd, 1, 5000), 1, "it is said to be readable until it was read");
        n = bb_poll(s.sub, &msg, 1, 0);
    }
    cr_assert_eq(n, 1);
    scene_close(&s);
}

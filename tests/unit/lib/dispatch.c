/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: callbacks and releases: every message is handed out once whatever a callback returns, and what may
 * not be done inside a callback is refused without harm.
 * Method: numbered messages; callbacks that stop at every place, with every max.
 */
#include "tests/unit/shm/bus_dir.h"
#include <busbar/busbar.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

TestSuite(dispatch, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

enum { MESSAGES = 100 };

static struct bb_endpoint *a, *b;
static struct bb_publisher *pub;
static struct bb_subscriber *sub;

static struct bb_endpoint *
endpoint_new(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

static void
begin(uint32_t flags)
{
    const char *prefix = "";
    const struct bb_subscriber_opts o = {
        .size = sizeof(o), .flags = flags, .prefixes = &prefix, .prefix_count = 1};
    a = endpoint_new("a");
    b = endpoint_new("b");
    cr_assert_eq(bb_subscriber_open(&sub, b, &o), 0);
    cr_assert_eq(bb_publisher_open(&pub, a, NULL), 0);
}

static void
end(void)
{
    bb_endpoint_close(a);
    bb_endpoint_close(b);
}

static void
publish_numbers(uint64_t from, uint64_t count)
{
    for (uint64_t i = from; i < from + count; i++) {
        cr_assert_eq(bb_publish_to(pub, "x", 1, &i, sizeof(i), BB_RAW), 0);
    }
}

struct seen {
    uint64_t next;  /* number that must come */
    int stop_after; /* messages of this call; 0: never */
    int in_call;
};

static int
take(const struct bb_msg *msg, void *user)
{
    struct seen *seen = user;
    uint64_t number = UINT64_MAX;
    cr_assert_eq(msg->bytes, sizeof(number));
    memcpy(&number, msg->data, sizeof(number));
    cr_assert_eq(number, seen->next, "%lu came, not %lu", (unsigned long)number,
                 (unsigned long)seen->next);
    seen->next++;
    return ++seen->in_call == seen->stop_after ? -1 : 0;
}

static int
dispatch(struct seen *seen, size_t max, int stop_after)
{
    seen->stop_after = stop_after;
    seen->in_call = 0;
    int n = bb_dispatch(sub, max, 0, take, seen);
    cr_assert_eq(n, seen->in_call);
    return n;
}

static void
check_every_stop(uint32_t flags)
{
    struct seen seen = {0};
    uint64_t published = 0;
    begin(flags);
    for (int stop = 1; stop <= 70; stop += stop < 4 ? 1 : 11) {
        for (size_t max = 1; max <= 130; max += max < 4 ? 1 : 21) {
            publish_numbers(published, MESSAGES);
            published += MESSAGES;
            for (int i = 0; i < 5; i++) {
                (void)dispatch(&seen, max, stop); /* stops in what an earlier stop left over */
            }
            while (dispatch(&seen, 1000, 0) > 0) {
            }
            cr_assert_eq(seen.next, published, "stop after %d, max %zu", stop, max);
        }
    }
    end();
}

Test(dispatch, each_comes_once_wherever_a_callback_stops)
{
    check_every_stop(0);
    check_every_stop(BB_SUBSCRIBER_RELIABLE);
}

Test(dispatch, what_is_left_over_comes_first_from_a_poll_too)
{
    struct seen seen = {0};
    struct bb_msg msgs[4];
    begin(0);
    publish_numbers(0, 10);
    cr_assert_eq(dispatch(&seen, 10, 3), 3);
    publish_numbers(10, 1);
    for (int i = 0; i < 2; i++) {
        int n = bb_poll(sub, msgs, 4, 0);
        for (int j = 0; j < n; j++) {
            (void)take(&msgs[j], &seen);
        }
    }
    cr_assert_eq(seen.next, 10);
    cr_assert_eq(dispatch(&seen, 10, 0), 1);
    end();
}

Test(dispatch, what_is_left_over_keeps_the_descriptor_readable)
{
    struct seen seen = {0};
    begin(0);
    struct pollfd p = {.fd = bb_fd(sub), .events = POLLIN};
    publish_numbers(0, 10);
    while (seen.next < 10) {
        cr_assert_eq(poll(&p, 1, 5000), 1, "%lu of 10 came", (unsigned long)seen.next);
        (void)dispatch(&seen, 4, 2);
    }
    end();
}

static bool
is_told(int epoll)
{
    struct epoll_event ev;
    return epoll_wait(epoll, &ev, 1, 0) == 1;
}

/* Who is told of changes only polls until fewer than max came: what the rings still have is then told anew. */
Test(dispatch, after_what_was_left_over_a_change_tells_of_the_rest)
{
    struct bb_msg msgs[64];
    struct seen seen = {0};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    begin(BB_SUBSCRIBER_RELIABLE);
    int epoll = epoll_create1(EPOLL_CLOEXEC), fd = bb_fd(sub);
    cr_assert(epoll >= 0 && fd >= 0);
    cr_assert_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev), 0);
    publish_numbers(0, 70);
    cr_assert(is_told(epoll));
    cr_assert_eq(dispatch(&seen, 64, 1), 1);
    cr_assert(is_told(epoll), "63 are left over");
    cr_assert_eq(bb_poll(sub, msgs, 64, 0), 63);
    cr_assert(is_told(epoll), "6 are in the ring");
    cr_assert_eq(bb_poll(sub, msgs, 64, 0), 6);
    cr_assert(!is_told(epoll));
    (void)close(epoll);
    end();
}

Test(dispatch, a_release_gives_up_what_was_left_over)
{
    struct seen seen = {0};
    begin(0);
    publish_numbers(0, 10);
    cr_assert_eq(dispatch(&seen, 10, 3), 3);
    cr_assert_eq(bb_release(sub), 0);
    cr_assert_eq(bb_release(sub), 0, "a second one does nothing");
    publish_numbers(10, 1);
    seen.next = 10;
    cr_assert_eq(dispatch(&seen, 10, 0), 1);
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    bb_subscriber_stats(sub, &st);
    cr_assert_eq(st.delivered, 11, "they count as delivered");
    end();
}

/* ---- inside a callback ---- */

static int
do_what_is_not_allowed(const struct bb_msg *msg, void *user)
{
    struct bb_msg msgs[4];
    struct seen nobody = {0};
    cr_assert_eq(bb_poll(sub, msgs, 4, 0), BB_EBUSY);
    cr_assert_eq(bb_dispatch(sub, 4, 0, take, &nobody), BB_EBUSY);
    cr_assert_eq(nobody.in_call, 0);
    cr_assert_eq(bb_release(sub), BB_EBUSY);
    return take(msg, user); /* the message is whole all the same */
}

Test(dispatch, no_poll_inside_a_callback)
{
    struct seen seen = {.stop_after = 5};
    struct bb_msg msgs[4];
    begin(0);
    publish_numbers(0, 10);
    cr_assert_eq(bb_dispatch(sub, 10, 0, do_what_is_not_allowed, &seen), 5);
    seen.stop_after = 0; /* the rest comes out of what is left over: refused there too */
    cr_assert_eq(bb_dispatch(sub, 10, 0, do_what_is_not_allowed, &seen), 5);
    cr_assert_eq(bb_poll(sub, msgs, 4, 0), 0, "afterwards it is allowed again");
    cr_assert_eq(bb_release(sub), 0);
    end();
}

static int
change_and_publish(const struct bb_msg *msg, void *user)
{
    cr_assert_eq(bb_subscribe(sub, "y", 1, 0), 0);
    cr_assert_eq(bb_unsubscribe(sub, "y", 1, 0), 0);
    cr_assert_eq(bb_publish_to(pub, "unwanted", 8, "", 0, BB_RAW), 0);
    return take(msg, user);
}

Test(dispatch, prefixes_and_publishers_inside_a_callback)
{
    struct seen seen = {0};
    begin(0);
    cr_assert_eq(bb_subscribe(sub, "x", 1, 0), 0);
    cr_assert_eq(bb_unsubscribe(sub, "", 0, 0), 0);
    publish_numbers(0, 10);
    cr_assert_eq(bb_dispatch(sub, 10, 0, change_and_publish, &seen), 10);
    cr_assert_eq(dispatch(&seen, 10, 0), 0);
    end();
}

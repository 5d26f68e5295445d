/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: an event goes where it was declared to go, declared twice the same way is once, and the key of
 * `partition via` is the text that people type.
 * Method: the table alone; events built by hand.
 */
#include "lib/cluster/declare.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(cluster_declare, .timeout = 20);

static int
add(struct bbi_declares *d, struct bb_declare_opts o)
{
    o.size = sizeof(o);
    return bbi_declares_add(d, &o, NULL);
}

Test(cluster_declare, finds_what_was_declared_and_nothing_else)
{
    struct bbi_declares d = {.list = NULL};
    char name[16];
    for (int i = 0; i < 100; i++) { /* not in their order */
        (void)snprintf(name, sizeof(name), "ev%d", i * 37 % 100);
        cr_assert_eq(add(&d, (struct bb_declare_opts){.event = name, .topic = name + 2}), 0);
    }
    cr_assert_eq(d.count, 100U);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "ev%d", i);
        const struct bbi_declared *one = bbi_declares_find(&d, name, strlen(name));
        cr_assert_not_null(one, "%s", name);
        cr_assert_str_eq(one->event, name);
        cr_assert_str_eq(one->topic, name + 2);
    }
    cr_assert_null(bbi_declares_find(&d, "ev100", 5));
    cr_assert_null(bbi_declares_find(&d, "e", 1));
    cr_assert_null(bbi_declares_find(&d, "ev1\0", 4), "not by its beginning");
    bbi_declares_fini(&d);
    cr_assert_null(bbi_declares_find(&d, "ev1", 3));
}

Test(cluster_declare, the_same_again_is_fine_and_another_is_not)
{
    struct bbi_declares d = {.list = NULL};
    struct bb_declare_opts topic = {.event = "a", .topic = "t"};
    struct bb_declare_opts via = {.event = "b", .via = "proxy", .argument = 1};
    struct bb_declare_opts turn = {.event = "c", .via = "proxy", .is_round_robin = 1};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(add(&d, topic), 0);
        cr_assert_eq(add(&d, via), 0);
        cr_assert_eq(add(&d, turn), 0);
    }
    cr_assert_eq(d.count, 3U);
    turn.argument = 7; /* which is not used */
    cr_assert_eq(add(&d, turn), 0);
    cr_assert_eq(add(&d, (struct bb_declare_opts){.event = "a", .topic = "u"}), BB_EEXIST);
    cr_assert_eq(add(&d, (struct bb_declare_opts){.event = "a", .via = "proxy"}), BB_EEXIST);
    cr_assert_eq(add(&d, (struct bb_declare_opts){.event = "b", .via = "proxy"}), BB_EEXIST);
    cr_assert_eq(add(&d, (struct bb_declare_opts){.event = "b", .via = "worker", .argument = 1}),
                 BB_EEXIST);
    via.is_round_robin = 1;
    cr_assert_eq(add(&d, via), BB_EEXIST);
    cr_assert_eq(d.count, 3U);
    bbi_declares_fini(&d);
}

Test(cluster_declare, needs_an_event_and_one_way)
{
    struct bbi_declares d = {.list = NULL};
    cr_assert_eq(add(&d, (struct bb_declare_opts){.topic = "t"}), BB_EINVAL);
    cr_assert_eq(add(&d, (struct bb_declare_opts){.event = "", .topic = "t"}), BB_EINVAL);
    cr_assert_eq(add(&d, (struct bb_declare_opts){.event = "e"}), BB_EINVAL);
    cr_assert_eq(add(&d, (struct bb_declare_opts){.event = "e", .topic = "t", .via = "p"}),
                 BB_EINVAL);
    cr_assert_eq(d.count, 0U);
}

static unsigned char event_buf[4096] __attribute__((aligned(8)));

static struct bb_event
event_with(const char *text)
{
    static const uint8_t IP[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 2, 15};
    struct bb_builder b;
    struct bb_event ev;
    bb_build_init(&b, event_buf, sizeof(event_buf));
    bb_event_begin(&b, "seen", 4);
    bb_put_address(&b, IP);
    bb_put_string(&b, text, strlen(text));
    bb_put_port(&b, 80, BB_PROTO_TCP);
    bb_event_end(&b);
    int64_t bytes = bb_build_end(&b);
    cr_assert_gt(bytes, 0);
    cr_assert_eq(bb_event_open(&ev, event_buf, (size_t)bytes), 0);
    return ev;
}

static void
check_key(const struct bb_event *ev, uint32_t argument, size_t cap, const char *expected)
{
    char buf[64], *more = NULL;
    const struct bbi_declared d = {.argument = argument};
    int64_t n = bbi_declared_key(&d, ev, buf, cap, &more);
    cr_assert_eq(n, (int64_t)strlen(expected), "argument %u", argument);
    cr_assert_eq(memcmp(more != NULL ? more : buf, expected, (size_t)n), 0);
    cr_assert_eq(more != NULL, strlen(expected) >= cap);
    free(more);
}

Test(cluster_declare, the_key_is_the_text_that_people_type)
{
    struct bb_event ev = event_with("example.com");
    check_key(&ev, 0, 64, "10.0.2.15");
    check_key(&ev, 1, 64, "example.com");
    check_key(&ev, 2, 64, "80/tcp");
    check_key(&ev, 0, 10, "10.0.2.15");
    check_key(&ev, 0, 9, "10.0.2.15"); /* no room for the NUL: elsewhere */
    check_key(&ev, 1, 1, "example.com");
    ev = event_with(
        "a name that is much longer than the buffer, which then lies in memory of its own");
    check_key(&ev, 1, 64,
              "a name that is much longer than the buffer, which then lies in memory of its own");
    char buf[8], *more = NULL;
    const struct bbi_declared none = {.argument = 3};
    cr_assert_eq(bbi_declared_key(&none, &ev, buf, sizeof(buf), &more), BB_ENOENT);
    cr_assert_null(more);
}

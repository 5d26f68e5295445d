/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Who does not say who he is costs little and not for long, however many there are; others are unaffected.  A
 *         peer that is there and says nothing is given up in time.  Time is the test's own.
 * Method  Bare sockets against a hub with a clock that the test moves.
 */
#include "tests/unit/link/proxy.h"

enum { REFUSALS_TOLD = 16 }; /* in 10 s */
static struct bbi_link_time clock_a;

static void
open_clocked(struct side *s, const struct kind *k)
{
    struct bbi_hub_opts o = opts_of(k, "alpha", 1);
    clock_a = (struct bbi_link_time){1000 * SECOND_NS, 5000 * SECOND_NS};
    s->clock = &clock_a;
    side_open(s, &o);
}

static void
pass(int64_t ns)
{
    clock_a.mono_ns += ns;
    clock_a.wall_ns += ns;
}

/* The same, with an ear on the network: time that passes at once is a stall of our own, and no silence of others. */
static void
listen_for(struct side *a, int64_t ns)
{
    for (int64_t step_ns = SECOND_NS / 20; ns > 0; ns -= step_ns) {
        pass(step_ns);
        turn(a, 0);
    }
}

/* The other side ended it: 0 or a reset; what it said before is in text. */
static bool
has_ended(int fd, char *text, size_t cap)
{
    static size_t have;
    char buffer[4096];
    ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    have = text[0] == '\0' ? 0 : have;
    for (ssize_t i = 0; i < n && have + 1 < cap; i++) {
        text[have++] = buffer[i] >= ' ' && buffer[i] <= '~' ? buffer[i] : '.';
        text[have] = '\0';
    }
    return n == 0 || (n < 0 && errno != EAGAIN);
}

KIND_PARAMS(link_strangers, says_nothing)
ParameterizedTest(struct kind *k, link_strangers, says_nothing, .timeout = 60)
{
    struct side a = {0}, none = {0};
    char text[1024] = "";
    begin_kind(k);
    open_clocked(&a, k);
    side_listen(&a);
    uint64_t before = bbi_hub_memory(a.hub);
    int fd = bare_connect(a.port);
    UNTIL(&a, &none, bbi_hub_memory(a.hub) > before);
    cr_assert_lt(bbi_hub_memory(a.hub) - before, 32 << 10);
    pass(SECOND_NS * 49 / 10);
    drive(&a, &none, SECOND_NS / 50);
    cr_assert_not(has_ended(fd, text, sizeof(text)), "too early");
    pass(SECOND_NS / 5);
    UNTIL(&a, &none, logged(&a, "warning", "did not say who it is in time") == 1);
    pass(SECOND_NS * 11 / 10);
    UNTIL(&a, &none, has_ended(fd, text, sizeof(text)));
    cr_assert_eq(strstr(text, "did not say who it is") != NULL, k->security == BBI_SECURITY_NONE,
                 "said: %s", text);
    UNTIL(&a, &none, bbi_hub_memory(a.hub) == before);
    (void)close(fd);
    side_close(&a);
}

/* One byte a second is as good as nothing. */
Test(link_strangers, says_little, .timeout = 60)
{
    struct side a = {0}, none = {0};
    unsigned char preface[BBI_LINK_PREFACE_BYTES];
    char text[1024] = "";
    open_clocked(&a, &KINDS[2]);
    side_listen(&a);
    bbi_link_preface_write(preface);
    int fd = bare_connect(a.port);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(send(fd, preface + i, 1, MSG_NOSIGNAL), 1);
        drive(&a, &none, SECOND_NS / 100);
        cr_assert_not(has_ended(fd, text, sizeof(text)));
        pass(SECOND_NS);
    }
    pass(SECOND_NS / 10);
    UNTIL(&a, &none, has_ended(fd, text, sizeof(text)));
    cr_assert_not_null(strstr(text, "did not say who it is"), "said: %s", text);
    (void)close(fd);
    side_close(&a);
}

static int
count_ended(const int *fds, int count)
{
    int ended = 0;
    for (int i = 0; i < count; i++) {
        char text[64] = "";
        ended += has_ended(fds[i], text, sizeof(text));
    }
    return ended;
}

/* 300 at once: 64 are listened to, the others closed at once, and a peer that comes after them comes up. */
KIND_PARAMS(link_strangers, three_hundred)
ParameterizedTest(struct kind *k, link_strangers, three_hundred, .timeout = 60)
{
    enum { COUNT = 300 };
    static int fds[COUNT];
    struct side a = {0}, b = {0}, none = {0};
    struct bbi_hub_opts ob = opts_of(k, "bravo", 2);
    begin_kind(k);
    open_clocked(&a, k);
    side_open(&b, &ob);
    side_listen(&a);
    uint64_t before = bbi_hub_memory(a.hub);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = bare_connect(a.port);
    }
    UNTIL(&a, &none, count_ended(fds, COUNT) == COUNT - 64);
    cr_assert_lt(bbi_hub_memory(a.hub) - before, 64 * (32 << 10));
    cr_assert_eq(logged(&a, "warning", "were closed at once"), 1);
    pass(SECOND_NS * 51 / 10);
    UNTIL(&a, &none, logged(&a, "warning", "in time") == 1);
    pass(SECOND_NS * 11 / 10);
    UNTIL(&a, &none, count_ended(fds, COUNT) == COUNT && bbi_hub_memory(a.hub) == before);
    side_dial(&b, a.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    for (int i = 0; i < COUNT; i++) {
        (void)close(fds[i]);
    }
    pair_close(&a, &b);
}

/* Who says something else each time does not fill the log either; how many they were is said. */
Test(link_strangers, many_sentences, .timeout = 60)
{
    enum { COUNT = 48 };
    struct side a = {0}, none = {0};
    open_clocked(&a, &KINDS[2]);
    side_listen(&a);
    for (int i = 0; i < COUNT; i++) {
        unsigned char preface[BBI_LINK_PREFACE_BYTES];
        char text[1024] = "";
        int fd = bare_connect(a.port);
        bbi_link_preface_write(preface);
        preface[8] = preface[10] = (unsigned char)(9 + i); /* versions */
        cr_assert_eq(send(fd, preface, sizeof(preface), MSG_NOSIGNAL), (ssize_t)sizeof(preface));
        UNTIL(&a, &none, has_ended(fd, text, sizeof(text)) || strstr(text, "versions") != NULL);
        (void)close(fd);
    }
    cr_assert_eq(logged(&a, "warning", "no link with 127.0.0.1:"), REFUSALS_TOLD);
    cr_assert_eq(a.logs, COUNT);
    pass(SECOND_NS * 11);
    drive(&a, &none, SECOND_NS / 50);
    (void)close(bare_connect(a.port));
    UNTIL(&a, &none, logged(&a, "warning", "no link with 32 more in the last 10 s") == 1);
    side_close(&a);
}

/* Somebody listens and says nothing, as a process that was stopped: given up after 5 s, tried again, said once. */
KIND_PARAMS(link_strangers, peer_that_was_stopped)
ParameterizedTest(struct kind *k, link_strangers, peer_that_was_stopped, .timeout = 60)
{
    struct side a = {0}, none = {0};
    uint16_t port;
    begin_kind(k);
    open_clocked(&a, k);
    int fd = bare_listen(&port);
    side_dial(&a, port);
    drive(&a, &none, SECOND_NS / 20);
    uint64_t before = bbi_hub_memory(a.hub);
    for (int i = 1; i <= 5; i++) {
        drive(&a, &none, SECOND_NS / 50); /* connected, and waiting */
        cr_assert_eq(a.unavailable, i - 1);
        pass(SECOND_NS * 51 / 10);
        UNTIL(&a, &none, a.unavailable == i);
        cr_assert_not_null(strstr(a.away, "did not say who it is"), "%s", a.away);
        pass(SECOND_NS * 12 / 10);
        cr_assert_leq(bbi_hub_memory(a.hub), 2 * before);
    }
    cr_assert_eq(logged(&a, "warning", ""), 1, "the same thing is not said again");
    side_close(&a);
    (void)close(fd);
}

/* A box that is up and goes silent is lost after 3 s, and asked before. */
Test(link_strangers, silence_of_a_peer, .timeout = 60)
{
    struct side a = {0}, b = {0}, none = {0};
    struct bbi_hub_opts ob = opts_of(&KINDS[2], "bravo", 2);
    open_clocked(&a, &KINDS[2]);
    side_open(&b, &ob);
    side_listen(&b);
    side_dial(&a, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    drive(&a, &b, SECOND_NS / 20);
    listen_for(&a, SECOND_NS * 29 / 10);
    cr_assert(a.is_up, "%s", a.down);
    listen_for(&a, SECOND_NS / 5);
    UNTIL(&a, &none, !a.is_up);
    cr_assert_not_null(strstr(a.down, "silent"), "%s", a.down);
    pass(2 * SECOND_NS); /* what it was told is not waited for any longer */
    UNTIL(&a, &b, !b.is_up);
    UNTIL(&a, &b, a.is_up && b.is_up);
    cr_assert_eq(a.resumed, 1);
    pair_close(&a, &b);
}

/* Who was up for a minute is dialed again soon, however often it was tried in vain before. */
Test(link_strangers, after_a_minute_up_retries_begin_anew, .timeout = 60)
{
    struct side a = {0}, b = {0};
    struct bb_link_info rows[2];
    struct bbi_hub_opts oa = opts_of(&KINDS[2], "alpha", 1), ob = opts_of(&KINDS[2], "bravo", 2);
    clock_a = (struct bbi_link_time){1000 * SECOND_NS, 5000 * SECOND_NS};
    a.clock = &clock_a;
    oa.retry_min_ns = SECOND_NS / 10;
    oa.retry_max_ns = 3000 * SECOND_NS;
    oa.session.dead_ns = 3600 * SECOND_NS; /* time passes at once */
    side_open(&a, &oa);
    (void)close(bare_listen(&b.port));
    uint16_t port = b.port;
    side_dial(&a, port);
    for (int i = 1; i <= 20; i++) {
        UNTIL(&a, &b, a.unavailable == i);
        pass(3000 * SECOND_NS);
    }
    side_open(&b, &ob);
    b.port = port;
    side_listen(&b);
    for (int i = 0; !a.is_up && i < 100; i++) { /* one more may have failed before it listened */
        drive(&a, &b, SECOND_NS / 20);
        pass(a.is_up ? 0 : 3000 * SECOND_NS);
    }
    UNTIL(&a, &b, a.is_up && b.is_up);
    pass(61 * SECOND_NS);
    bbi_box_end(b.box, BBI_CLOSE_SHUTDOWN, "for a moment");
    while (a.downs == 0) {
        turn(&b, 0);
        turn(&a, 200000);
    }
    cr_assert_geq(bbi_hub_links(a.hub, rows, NULL, 2), 1);
    cr_assert_leq(rows[0].retry_in_ns, SECOND_NS / 10, "%ld", (long)rows[0].retry_in_ns);
    pair_close(&a, &b);
}

/* Boxes are kept for ever, so they are bounded: one more is refused with the reason, and whoever was known may come again. */
KIND_PARAMS(link_strangers, one_box_too_many)
ParameterizedTest(struct kind *k, link_strangers, one_box_too_many, .timeout = 60)
{
    struct side a = {0}, b = {0}, c = {0};
    struct bbi_hub_opts oa = opts_of(k, "alpha", 1), ob = opts_of(k, "bravo", 2);
    struct bbi_hub_opts oc = opts_of(k, "charlie", 3);
    begin_kind(k);
    oa.box_max = 1;
    side_open(&a, &oa);
    side_open(&b, &ob);
    side_open(&c, &oc);
    side_listen(&a);
    side_dial(&b, a.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    side_dial_once(&c, a.port);
    UNTIL(&a, &c, c.dialed == 1);
    cr_assert_lt(c.dialed_status, 0);
    cr_assert_not_null(strstr(c.away, "takes no more"), "%s", c.away);
    cr_assert_eq(a.ups, 1);
    cr_assert(a.is_up && b.is_up);
    bbi_box_end(b.box, BBI_CLOSE_SHUTDOWN, "for a moment");
    UNTIL(&a, &b, a.downs == 1 && b.downs == 1);
    UNTIL(&a, &b, a.ups == 2 && b.ups == 2);
    side_close(&c);
    pair_close(&a, &b);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: who speaks is known, or refused with a sentence of its own; silence is noticed; two transports become one.
 * Method: hand-written first bytes; a clock that the test moves.
 */
#include "tests/unit/bridge/raw_peer.h"

static struct bbi_hello self = {
    .node = {{1}}, .epoch = 101, .cluster = "c", .name = "a", .message_max = 1 << 20};

/* What an accepting side says of these first bytes, fed one by one or at once; the same both times. */
static struct bbi_greet
greet_with(const void *bytes, size_t count)
{
    struct bbi_greet g;
    struct bbi_greet slow;
    bbi_greet_init(&g, BBI_ROLE_ACCEPTED, &self, 1000);
    bbi_greet_init(&slow, BBI_ROLE_ACCEPTED, &self, 1000);
    size_t taken = bbi_greet_receive(&g, bytes, count);
    size_t slowly = 0;
    for (size_t i = 0; i < count && slow.state == BBI_GREET_WAITING; i++) {
        slowly += bbi_greet_receive(&slow, (const unsigned char *)bytes + i, 1);
    }
    cr_assert_eq(slow.state, g.state);
    cr_assert_eq(slow.close.code, g.close.code);
    cr_assert(g.state != BBI_GREET_KNOWN || taken == slowly);
    return g;
}

static void
check_refused(const void *bytes, size_t count, enum bbi_close_code code, const char *word)
{
    struct bbi_greet g = greet_with(bytes, count);
    struct bbi_link_frame frame;
    struct bbi_close told;
    const void *out;
    uint32_t length;
    cr_assert_eq(g.state, BBI_GREET_REFUSED, "%s", word);
    cr_assert_eq(g.close.code, code, "%s: %s", word, g.close.sentence);
    cr_assert_neq(strstr(g.close.sentence, word), NULL, "%s: %s", word, g.close.sentence);
    size_t left = bbi_greet_output(&g, &out);
    cr_assert_eq(bbi_link_looks(out, left), BBI_LOOKS_BUSBAR, "it is told in which protocol");
    const unsigned char *p = (const unsigned char *)out + BBI_LINK_PREFACE_BYTES;
    left -= BBI_LINK_PREFACE_BYTES;
    do {
        cr_assert_eq(bbi_link_frame_read(p, left, 4096, &frame, &length), BBI_LINK_READ_OK);
        p += length;
        left -= length;
    } while (frame.type != BBI_LINK_CLOSE);
    cr_assert(bbi_close_read(&frame, &told));
    cr_assert_str_eq(told.sentence, g.close.sentence);
}

static void
check_hello_refused(const struct bbi_hello *hello, enum bbi_close_code code, const char *word)
{
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES];
    bbi_link_preface_write(out);
    check_refused(out,
                  BBI_LINK_PREFACE_BYTES + bbi_hello_write(out + BBI_LINK_PREFACE_BYTES, hello),
                  code, word);
}

Test(link_greet, strangers_are_told_apart, .timeout = 20)
{
    static const unsigned char tls[] = {22, 3, 1, 0, 200, 1};
    static const unsigned char other[] = {0, 1, 2, 3};
    unsigned char old[BBI_LINK_PREFACE_BYTES];
    check_refused(tls, sizeof(tls), BBI_CLOSE_TLS, "TLS");
    check_refused("GET / HTTP/1.1\r\n", 16, BBI_CLOSE_NOT_BUSBAR, "text");
    check_refused(other, sizeof(other), BBI_CLOSE_NOT_BUSBAR, "port");
    bbi_link_preface_write(old);
    old[8] = 2;
    old[10] = 7;
    check_refused(old, sizeof(old), BBI_CLOSE_VERSION, "versions 2 to 7");
    cr_assert_eq(bbi_link_looks(old, 7), BBI_LOOKS_MORE);
    cr_assert_eq(bbi_link_looks(old, 0), BBI_LOOKS_MORE);
}

Test(link_greet, hellos_that_do_not_fit, .timeout = 20)
{
    struct bbi_hello h = raw_hello;
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES];
    (void)strcpy(h.cluster, "other");
    check_hello_refused(&h, BBI_CLOSE_CLUSTER, "'other'");
    h = raw_hello;
    h.node = self.node;
    check_hello_refused(&h, BBI_CLOSE_SELF, "itself");
    h = raw_hello;
    h.frame_max = 1000;
    check_hello_refused(&h, BBI_CLOSE_LIMIT, "1000");
    h = raw_hello;
    h.epoch = 0;
    check_hello_refused(&h, BBI_CLOSE_PROTOCOL, "HELLO");
    bbi_link_preface_write(out);
    uint32_t bytes = bbi_hello_write(out + BBI_LINK_PREFACE_BYTES, &raw_hello);
    for (uint32_t i = 24; i + 1 < bytes; i++) { /* cut short, its checksum right */
        unsigned char cut[sizeof(out)];
        memcpy(cut, out, sizeof(out));
        bbi_link_frame_seal(cut + BBI_LINK_PREFACE_BYTES, i, BBI_LINK_HELLO, 0, 0);
        struct bbi_greet g = greet_with(cut, BBI_LINK_PREFACE_BYTES + i);
        cr_assert_eq(g.state == BBI_GREET_REFUSED, i != bytes - 20,
                     "%u: only the time may be missing", i);
    }
    struct bbi_greet g = greet_with(out, BBI_LINK_PREFACE_BYTES + bytes);
    cr_assert_eq(g.state, BBI_GREET_KNOWN);
    cr_assert_str_eq(g.peer.name, "raw");
}

Test(link_greet, silence_is_asked_then_given_up, .timeout = 20)
{
    struct pair p;
    struct bbi_link_frame frame;
    struct bbi_session_stats stats;
    raw_open(&p);
    int64_t begun = p.now.mono_ns;
    int64_t due = bbi_session_tick(p.a.session, p.now);
    cr_assert_eq(due, begun + 1000000000);
    p.now.mono_ns = due;
    due = bbi_session_tick(p.a.session, p.now);
    cr_assert(raw_expect(&p, BBI_LINK_PING, &frame));
    /* The answer comes 10 ms later, of a clock that is 5 s ahead. */
    unsigned char out[256];
    const struct bbi_pong pong = {
        frame.body, (uint16_t)frame.body_bytes, {1, p.now.wall_ns + 5000000000 + 5000000}};
    p.now.mono_ns += 10000000;
    p.now.wall_ns += 10000000;
    raw_send(&p, out, bbi_pong_write(out, &pong));
    bbi_session_stats(p.a.session, &stats);
    cr_assert(stats.has_clock);
    cr_assert_eq(stats.clock_offset_ns, 5000000000);
    cr_assert_eq(stats.clock_error_ns, 5000000);
    begun = p.now.mono_ns;
    int pings = 0;
    while (!p.a.is_closed) {
        due = bbi_session_tick(p.a.session, p.now);
        pings += !p.a.is_closed && raw_expect(&p, BBI_LINK_PING, &frame);
        p.now.mono_ns = p.a.is_closed ? p.now.mono_ns : due;
        cr_assert_leq(p.now.mono_ns - begun, 3000000000);
    }
    cr_assert_eq(pings, 2);
    cr_assert_eq(p.a.closed.code, BBI_CLOSE_DEAD);
    cr_assert_eq(p.now.mono_ns - begun, 3000000000);
    raw_fini(&p);
}

/* Nobody asked us for 100 s: we did not listen, and the other side is not silent for that. */
Test(link_greet, a_stall_of_our_own_is_no_silence, .timeout = 20)
{
    struct pair p;
    struct bbi_link_frame frame;
    raw_open(&p);
    int64_t due = bbi_session_tick(p.a.session, p.now);
    for (int stall = 0; stall < 3; stall++) {
        p.now.mono_ns += 100000000000;
        due = bbi_session_tick(p.a.session, p.now);
        cr_assert(!p.a.is_closed, "%s", p.a.closed.sentence);
        cr_assert_leq(due - p.now.mono_ns, 1000000000);
    }
    /* From here on we listen. */
    int64_t begun = p.now.mono_ns;
    int pings = 0;
    while (!p.a.is_closed) {
        p.now.mono_ns = due;
        due = bbi_session_tick(p.a.session, p.now);
        pings += !p.a.is_closed && raw_expect(&p, BBI_LINK_PING, &frame);
        cr_assert_leq(p.now.mono_ns - begun, 3000000000);
    }
    cr_assert_geq(pings, 2);
    cr_assert_eq(p.a.closed.code, BBI_CLOSE_DEAD);
    cr_assert_eq(p.now.mono_ns - begun, 3000000000);
    raw_fini(&p);
}

Test(link_greet, of_two_transports_both_sides_keep_the_same, .timeout = 20)
{
    const struct bbi_link_id low = {{1}};
    const struct bbi_link_id high = {{2}};
    for (int first = 0; first < 2;
         first++) { /* which transport the low side comes to know first: its own, the other's */
        for (int other = 0; other < 2; other++) {
            enum bbi_link_role low_old = first == 0 ? BBI_ROLE_DIALED : BBI_ROLE_ACCEPTED;
            enum bbi_link_role high_old = other == 0 ? BBI_ROLE_ACCEPTED : BBI_ROLE_DIALED;
            bool low_takes_new = bbi_link_prefer_new(&low, &high, low_old, 1 - low_old);
            bool high_takes_new = bbi_link_prefer_new(&high, &low, high_old, 1 - high_old);
            enum bbi_link_role low_stays = low_takes_new ? 1 - low_old : low_old;
            enum bbi_link_role high_stays = high_takes_new ? 1 - high_old : high_old;
            cr_assert_eq(low_stays, BBI_ROLE_DIALED);
            cr_assert_eq(high_stays, BBI_ROLE_ACCEPTED);
        }
    }
    cr_assert(bbi_link_prefer_new(&low, &high, BBI_ROLE_ACCEPTED, BBI_ROLE_ACCEPTED),
              "the newer of one side's");
}

Test(link_greet, a_session_takes_only_its_peer_and_one_at_a_time, .timeout = 20)
{
    struct pair p;
    struct bbi_greet g;
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES];
    struct bbi_hello h = raw_hello;
    raw_open(&p);
    for (int turn = 0; turn < 3; turn++) {
        h = raw_hello;
        h.node.v[0] = turn == 0 ? 3 : 2;
        h.epoch = turn == 2 ? 203 : 202;
        bbi_link_preface_write(out);
        uint32_t bytes = bbi_hello_write(out + BBI_LINK_PREFACE_BYTES, &h);
        bbi_greet_init(&g, BBI_ROLE_ACCEPTED, &p.a.opts.self, INT64_MAX);
        g.self.message_max = 1 << 20;
        (void)bbi_greet_receive(&g, out, BBI_LINK_PREFACE_BYTES + bytes);
        cr_assert_eq(g.state, BBI_GREET_KNOWN);
        cr_assert_eq(bbi_session_prefer(p.a.session, &g), turn == 0   ? BB_EINVAL
                                                          : turn == 1 ? BB_EBUSY
                                                                      : 1);
        cr_assert_eq(bbi_session_attach(p.a.session, &g, p.now), turn == 0 ? BB_EINVAL : BB_EBUSY);
    }
    raw_fini(&p);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: whatever a peer says, memory and time are bounded, and the link ends with a code and a sentence that it is told.
 * Method: hand-written frames against one session; memory is counted by its table.
 */
#include "tests/unit/bridge/raw_peer.h"

/* What a session holds that nobody has spoken to. */
enum { IDLE_BYTES = 512 << 10 };

Test(link_hostile, lengths_beyond_the_limit, .timeout = 20)
{
    struct pair p;
    static const uint32_t lengths[] = {0, 1, 23, BBI_LINK_FRAME_MAX + 1, 1u << 31, UINT32_MAX};
    raw_open(&p);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        unsigned char head[12] = {0};
        (void)bbi_put_le32(head + 8, lengths[i]);
        raw_send(&p, head, sizeof(head));
        check_told(&p, BBI_CLOSE_LIMIT, "length");
        raw_again(&p);
    }
    cr_assert_lt(p.a.memory_peak, IDLE_BYTES);
    raw_fini(&p);
}

Test(link_hostile, no_changed_bit_passes, .timeout = 20)
{
    struct pair p;
    unsigned char out[128];
    const struct bbi_credit credit = {5 << 20, 9000, 0};
    raw_open(&p);
    uint32_t bytes = bbi_credit_write(out, &credit);
    for (uint32_t bit = 0; bit < bytes * 8; bit++) {
        out[bit / 8] ^= (unsigned char)(1u << bit % 8);
        raw_send(&p, out, bytes);
        if (p.a.is_closed) {
            cr_assert(p.a.closed.code == BBI_CLOSE_CHECKSUM || p.a.closed.code == BBI_CLOSE_LIMIT);
        } else { /* the length grew: more is waited for, and what comes is not this frame */
            raw_send(&p, out, bytes);
            for (int i = 0; i < 6000 && !p.a.is_closed; i++) {
                raw_send(&p, out, bytes);
            }
            cr_assert(p.a.is_closed);
        }
        out[bit / 8] ^= (unsigned char)(1u << bit % 8);
        raw_again(&p);
    }
    raw_fini(&p);
}

/* A batch of count empty messages of ring 0. */
static size_t
write_batch(unsigned char *body, uint32_t count, uint64_t seq)
{
    unsigned char *p = bbi_put_le32(body, count);
    unsigned char *length = p;
    struct bbi_link_msg msg = {
        .origin = {.name = "n", .name_bytes = 1}, .topic = "t", .topic_bytes = 1};
    p = bbi_put_le32(p, 0);
    for (uint32_t i = 0; i < count; i++) {
        msg.seq = seq + i;
        p = bbi_msg_write_head(p, &msg, i == 0 ? BBI_MSG_HAS_ORIGIN | BBI_MSG_HAS_TOPIC : 0);
    }
    (void)bbi_put_le32(length, (uint32_t)(p - length - 4));
    return (size_t)(p - body);
}

Test(link_hostile, credit_is_neither_exceeded_nor_taken_back, .timeout = 20)
{
    static unsigned char body[1 << 16];
    struct pair p;
    uint64_t number = 1;
    raw_open(&p);
    while (
        !p.a.is_closed) { /* nobody grants more: the session says nothing, as its output is not asked */
        raw_frame(&p, BBI_LINK_DATA, 0, number, body, write_batch(body, 1024, number));
        number += 1024;
        cr_assert_lt(number, 20000);
    }
    cr_assert_eq(p.a.delivered, 8192);
    check_told(&p, BBI_CLOSE_CREDIT, "messages");
    const uint64_t totals[][2] = {{1, 8192},
                                  {4 << 20, 1},
                                  {UINT64_MAX, 8192},
                                  {4 << 20, UINT64_MAX},
                                  {UINT64_MAX, UINT64_MAX}};
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
        raw_cut(&p);
        raw_attach(&p, &raw_hello);
        raw_say_welcome(
            &p, &(struct bbi_welcome){
                    .first = 1, .next = 20000, .credit_bytes = 4 << 20, .credit_messages = 8192});
        raw_say_credit(&p, totals[i][0], totals[i][1], 0);
        check_told(&p, BBI_CLOSE_CREDIT, "credit");
    }
    raw_fini(&p);
}

Test(link_hostile, numbers_go_neither_back_nor_ahead, .timeout = 20)
{
    static unsigned char body[1 << 16];
    struct bbi_link_frame frame;
    struct pair p;
    raw_open(&p);
    raw_frame(&p, BBI_LINK_DATA, 0, 1, body, write_batch(body, 3, 1));
    p.a.checks_order = false;
    raw_frame(&p, BBI_LINK_DATA, 0, 2, body, write_batch(body, 3, 2)); /* two are old */
    cr_assert_eq(p.a.delivered, 4);
    raw_frame(&p, BBI_LINK_DATA, 0, 6, body, write_batch(body, 1, 6));
    check_told(&p, BBI_CLOSE_SEQUENCE, "ahead");

    struct bbi_welcome w =
        raw_welcome; /* of the same life, whose stream ends before what it said */
    raw_cut(&p);
    raw_attach(&p, &raw_hello);
    raw_say_welcome(&p, &w);
    check_told(&p, BBI_CLOSE_ROLLBACK, "the stream went back");

    w.next = 10;
    cr_assert_eq(side_offer(&p.a, 0, 10), 1);
    cr_assert_eq(side_offer(&p.a, 0, 10), 1);
    raw_cut(&p);
    raw_attach(&p, &raw_hello);
    raw_say_welcome(&p, &w);
    cr_assert(raw_expect(&p, BBI_LINK_DATA, &frame));
    raw_say_credit(&p, 4 << 20, 8192, 2);
    cr_assert_not(p.a.is_closed, "%s", p.a.closed.sentence);
    raw_say_credit(&p, 4 << 20, 8192, 1);
    check_told(&p, BBI_CLOSE_ROLLBACK, "acknowledged less");
    raw_cut(&p);
    raw_attach(&p, &raw_hello);
    w.received_epoch = 101;
    w.received = 3;
    raw_say_welcome(&p, &w);
    check_told(&p, BBI_CLOSE_PROTOCOL, "acknowledged what was never sent");
    raw_cut(&p);
    raw_attach(&p, &raw_hello);
    w.received = 1;
    raw_say_welcome(&p, &w);
    check_told(&p, BBI_CLOSE_ROLLBACK, "has less than it acknowledged");
    raw_fini(&p);
}

/* Of two interests, every shorter frame: whole ones at their borders, else the link ends, and nothing stays. */
Test(link_hostile, interests_that_are_cut_short, .timeout = 20)
{
    unsigned char body[256];
    struct pair p;
    const struct bbi_interest one = {.prefix = "conn/", .prefix_bytes = 5};
    const struct bbi_interest two = {.prefix = "dns/", .prefix_bytes = 4};
    unsigned char *head =
        bbi_put_le32(bbi_put_le64(body, 1), BBI_INTEREST_BEGIN | BBI_INTEREST_END);
    unsigned char *first = bbi_interest_write(head, &one);
    unsigned char *end = bbi_interest_write(first, &two);
    raw_open(&p);
    for (unsigned char *at = body; at <= end; at++) {
        bool is_whole = at == head || at == first || at == end;
        raw_frame(&p, BBI_LINK_INTEREST, 0, 0, body, (size_t)(at - body));
        if (is_whole) {
            cr_assert_not(p.a.is_closed, "%zd: %s", at - body, p.a.closed.sentence);
        } else {
            check_told(&p, BBI_CLOSE_PROTOCOL, "an interest");
        }
        cr_assert_lt(p.a.memory_bytes, IDLE_BYTES + (64 << 10));
        raw_again(&p);
    }
    cr_assert_eq(p.a.interests_added - p.a.interests_removed, 2, "those of the last, whole frame");
    raw_fini(&p);
}

Test(link_hostile, a_million_interests, .timeout = 60)
{
    static unsigned char body[1 << 16];
    struct pair p;
    raw_open(&p);
    for (uint64_t i = 0; i < 1000000 && !p.a.is_closed;) {
        unsigned char *at = bbi_put_le32(bbi_put_le64(body, i), 0);
        for (int k = 0; k < 1000; k++, i++) {
            char prefix[32];
            struct bbi_interest one = {.prefix = prefix};
            one.prefix_bytes = (size_t)snprintf(prefix, sizeof(prefix), "t/%lu", (unsigned long)i);
            at = bbi_interest_write(at, &one);
        }
        raw_frame(&p, BBI_LINK_INTEREST, 0, 0, body, (size_t)(at - body));
    }
    check_told(&p, BBI_CLOSE_INTERESTS, "interests");
    cr_assert_leq(p.a.interests_added, 65536);
    cr_assert_lt(p.a.memory_peak, IDLE_BYTES + (5 << 20));
    raw_fini(&p);
}

Test(link_hostile, one_byte_a_second, .timeout = 20)
{
    struct pair p;
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES] = {0};
    struct bbi_greet g;
    raw_open(&p);
    (void)bbi_put_le32(out + 8, BBI_LINK_FRAME_MAX);
    for (int seconds = 0; seconds < 100 && !p.a.is_closed; seconds++) {
        raw_send(&p, &out[seconds], 1);
        p.now.mono_ns += 1000000000;
        (void)bbi_session_tick(p.a.session, p.now);
        cr_assert_leq(seconds, 30);
    }
    check_told(&p, BBI_CLOSE_STALLED, "a byte a second");

    int64_t begun = p.now.mono_ns;
    bbi_link_preface_write(out);
    (void)bbi_hello_write(out + BBI_LINK_PREFACE_BYTES, &raw_hello);
    bbi_greet_init(&g, BBI_ROLE_ACCEPTED, &p.a.opts.self, begun + 5000000000);
    for (int i = 0; g.state == BBI_GREET_WAITING; i++) {
        cr_assert_eq(bbi_greet_receive(&g, &out[i], 1), 1);
        p.now.mono_ns += 1000000000;
        bbi_greet_tick(&g, p.now.mono_ns);
    }
    cr_assert_eq(g.close.code, BBI_CLOSE_HANDSHAKE);
    cr_assert_leq(p.now.mono_ns - begun, 6000000000);
    raw_fini(&p);
}

Test(link_hostile, messages_that_are_not_well_formed, .timeout = 20)
{
    static unsigned char body[1 << 17];
    struct pair p;
    raw_open(&p);
    size_t bytes = write_batch(body, 1, 1);
    /* byte of the body, what stands there then */
    static const struct {
        size_t at;
        unsigned char value;
        const char *what;
    } changes[] = {{0, 2, "more messages than there are"},
                   {1, 8, "more than a batch holds"},
                   {4, 99, "another length"},
                   {11, 1, "a payload beyond the frame"},
                   {15, 0xff, "a topic beyond it"},
                   {16, 1, "no topic"},
                   {16, 7, "unknown flags"},
                   {17, 2, "unknown scope"},
                   {8 + 28 + 36, 0xff, "a name beyond"}};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        unsigned char old = body[changes[i].at];
        body[changes[i].at] = changes[i].value;
        raw_frame(&p, BBI_LINK_DATA, 0, 1, body, bytes);
        body[changes[i].at] = old;
        check_told(&p, BBI_CLOSE_PROTOCOL, changes[i].what);
        raw_again(&p);
    }
    raw_frame(&p, BBI_LINK_DATA, BBI_LINK_COMPRESSED, 1, body, bytes);
    check_told(&p, BBI_CLOSE_PROTOCOL, "compressed, which was not agreed");
    raw_again(&p);
    raw_frame(&p, BBI_LINK_DATA, 0, 1, body, bytes);
    cr_assert_not(p.a.is_closed);
    cr_assert_eq(p.a.delivered, 1);
    raw_fini(&p);
}

static void
say_chunk(struct pair *p, uint64_t whole, uint64_t offset, const void *bytes, size_t count)
{
    static unsigned char body[BBI_LINK_FRAME_MAX];
    unsigned char *at = bbi_put_le64(bbi_put_le64(body, whole), offset);
    (void)bbi_put_bytes(at, bytes, count);
    raw_frame(p, BBI_LINK_CHUNK, 0, 1, body, BBI_CHUNK_HEAD_BYTES + count);
}

Test(link_hostile, memory_follows_what_came_not_what_was_announced, .timeout = 20)
{
    static const unsigned char bytes[1000];
    struct pair p;
    raw_open(&p);
    size_t before = p.a.memory_bytes;
    for (uint64_t i = 0; i < 100; i++) {
        say_chunk(&p, 1 << 20, i * 10, bytes, 10);
    }
    cr_assert_not(p.a.is_closed, "%s", p.a.closed.sentence);
    cr_assert_leq(p.a.memory_bytes - before, 2048);
    say_chunk(&p, 1 << 20, 5, bytes, 10);
    check_told(&p, BBI_CLOSE_PROTOCOL, "an offset that is not next");
    raw_again(&p);
    say_chunk(&p, (1 << 20) + BBI_MSG_HEAD_MAX + 1, 0, bytes, 10);
    check_told(&p, BBI_CLOSE_LIMIT, "longer than a message may be");
    raw_again(&p);
    say_chunk(&p, UINT64_MAX, 0, bytes, 10);
    check_told(&p, BBI_CLOSE_LIMIT, "a length that overflows");
    raw_again(&p);
    say_chunk(&p, 100, 0, bytes, 101);
    check_told(&p, BBI_CLOSE_PROTOCOL, "more than it is long");
    raw_again(&p);
    say_chunk(&p, 100, UINT64_MAX - 4, bytes, 10);
    check_told(&p, BBI_CLOSE_PROTOCOL, "an offset that overflows");
    raw_fini(&p);
}

Test(link_hostile, unknown_frames_and_wrong_times, .timeout = 20)
{
    struct pair p;
    struct bbi_link_frame frame;
    static unsigned char bytes[128];
    raw_open(&p);
    raw_frame(&p, 99, 0, 0, "x", 1);
    cr_assert_not(p.a.is_closed);
    raw_frame(&p, 99, BBI_LINK_CRITICAL, 0, "x", 1);
    check_told(&p, BBI_CLOSE_UNKNOWN, "unknown");
    raw_again(&p);
    raw_say_welcome(&p, &raw_welcome);
    check_told(&p, BBI_CLOSE_PROTOCOL, "WELCOME twice");
    raw_cut(&p);
    raw_attach(&p, &raw_hello);
    raw_frame(&p, BBI_LINK_GAP, 0, 1, bytes, 40);
    check_told(&p, BBI_CLOSE_PROTOCOL, "data before WELCOME");
    raw_again(&p);
    raw_frame(&p, BBI_LINK_PING, 0, 0, bytes, BBI_LINK_ECHO_MAX + 1);
    check_told(&p, BBI_CLOSE_PROTOCOL, "a long ping");
    raw_again(&p);
    size_t before = p.a.memory_bytes;
    for (int i = 0; i < 10000; i++) {
        raw_frame(&p, BBI_LINK_PING, 0, 0, "11 bytes !!", 11);
    }
    cr_assert_eq(p.a.memory_bytes, before, "what is not answered yet is one answer");
    cr_assert(raw_expect(&p, BBI_LINK_PONG, &frame));
    cr_assert_eq(frame.body_bytes, 16 + 11);
    cr_assert_eq(memcmp(frame.body + 16, "11 bytes !!", 11), 0);
    raw_fini(&p);
}

/* The queue of a session whose peer never acknowledges, but reads and grants, stays what it may be. */
Test(link_hostile, who_never_acknowledges_gets_no_more_than_the_queue, .timeout = 60)
{
    struct pair p;
    raw_open(&p);
    for (uint64_t i = 1; i <= 200; i++) {
        for (int k = 0; k < 200; k++) {
            (void)side_offer(&p.a, 0, 1000);
        }
        while (side_send(&p, &p.a) > 0) {
        }
        p.a.out.begin = p.a.out.end = 0;
        raw_say_credit(&p, (4 << 20) + i * 1000000, 8192 + i * 1000, 0);
        cr_assert_not(p.a.is_closed, "%s", p.a.closed.sentence);
    }
    cr_assert_leq(p.a.memory_peak, IDLE_BYTES + (8 << 20) + (64 << 10));
    raw_fini(&p);
}

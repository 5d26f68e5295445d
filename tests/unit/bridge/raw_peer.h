/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/bridge/raw_peer.h - one session, and a peer made of hand-written frames.
 */
#ifndef BUSBAR_TESTS_UNIT_BRIDGE_RAW_PEER_H
#define BUSBAR_TESTS_UNIT_BRIDGE_RAW_PEER_H

#include "tests/unit/bridge/link_pair.h"

static const struct bbi_hello raw_hello = {.node = {{2}},
                                           .epoch = 202,
                                           .cluster = "c",
                                           .name = "raw",
                                           .frame_max = BBI_LINK_FRAME_MAX,
                                           .message_max = 1 << 20};
static const struct bbi_welcome raw_welcome = {
    .first = 1, .next = 1, .credit_bytes = 4 << 20, .credit_messages = 8192};

static inline void
raw_send(struct pair *p, const void *bytes, size_t count)
{
    side_receive(p, &p->a, bytes, count);
}

/* body as it is, in a frame whose checksum is right. */
static inline void
raw_frame(
    struct pair *p, uint8_t type, uint8_t flags, uint64_t number, const void *body, size_t bytes)
{
    unsigned char *frame = malloc(BBI_LINK_HEADER_BYTES + bytes);
    (void)bbi_put_bytes(frame + BBI_LINK_HEADER_BYTES, body, bytes);
    bbi_link_frame_seal(frame, (uint32_t)(BBI_LINK_HEADER_BYTES + bytes), type, flags, number);
    raw_send(p, frame, BBI_LINK_HEADER_BYTES + bytes);
    free(frame);
}

/* The session sends all it has; returns the first frame of that type, or false. */
static inline bool
raw_expect(struct pair *p, uint8_t type, struct bbi_link_frame *out)
{
    uint32_t length;
    while (side_send(p, &p->a) > 0) {
    }
    for (size_t at = p->a.out.begin; at < p->a.out.end; at += length) {
        enum bbi_link_read read = bbi_link_frame_read(p->a.out.bytes + at, p->a.out.end - at,
                                                      BBI_LINK_FRAME_MAX, out, &length);
        cr_assert_eq(read, BBI_LINK_READ_OK);
        if (out->type == type) {
            p->a.out.begin = at + length;
            return true;
        }
    }
    p->a.out.begin = p->a.out.end = 0;
    return false;
}

static inline void
raw_attach(struct pair *p, const struct bbi_hello *hello)
{
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES];
    struct bbi_hello self = p->a.opts.self;
    self.message_max = 1 << 20;
    bbi_link_preface_write(out);
    uint32_t bytes = bbi_hello_write(out + BBI_LINK_PREFACE_BYTES, hello);
    bbi_greet_init(&p->a.greet, BBI_ROLE_DIALED, &self, p->now.mono_ns + 5000000000);
    p->a.is_greeting = true;
    raw_send(p, out, BBI_LINK_PREFACE_BYTES + bytes);
    cr_assert(p->a.is_attached);
    while (side_send(p, &p->a) > 0) {
    }
    p->a.out.begin += BBI_LINK_PREFACE_BYTES;
}

static inline void
raw_say_welcome(struct pair *p, const struct bbi_welcome *welcome)
{
    unsigned char out[BBI_WELCOME_BYTES];
    raw_send(p, out, bbi_welcome_write(out, welcome));
}

static inline void
raw_say_credit(struct pair *p, uint64_t bytes, uint64_t messages, uint64_t received)
{
    unsigned char out[128];
    const struct bbi_credit c = {bytes, messages, received};
    raw_send(p, out, bbi_credit_write(out, &c));
}

static inline void
raw_cut(struct pair *p)
{
    side_cut(&p->a);
    memset(&p->a.closed, 0, sizeof(p->a.closed));
}

/* A link that is up; codec of the session, NULL: none. */
static inline void
raw_open_with(struct pair *p, const struct bbi_codec *codec)
{
    struct bbi_link_frame frame;
    pair_prepare(p, 1);
    p->a.opts.codec = codec;
    p->b.opts.self.epoch = raw_hello.epoch;
    side_open(&p->a);
    raw_attach(p, &raw_hello);
    raw_say_welcome(p, &raw_welcome);
    cr_assert_eq(p->a.ups, 1);
    cr_assert(raw_expect(p, BBI_LINK_INTEREST, &frame));
}

static inline void
raw_open(struct pair *p)
{
    raw_open_with(p, NULL);
}

static inline void
raw_again(struct pair *p)
{
    raw_cut(p);
    struct bbi_welcome later = raw_welcome;
    later.next = 1000;
    raw_attach(p, &raw_hello);
    raw_say_welcome(p, &later);
}

static inline void
raw_fini(struct pair *p)
{
    free(p->b.out.bytes);
    side_fini(&p->a);
}

/* The link has ended for this reason, and the other side is told before it goes. */
static inline void
check_told(struct pair *p, enum bbi_close_code code, const char *what)
{
    struct bbi_link_frame frame;
    struct bbi_close told;
    cr_assert(p->a.is_closed, "%s: goes on", what);
    cr_assert_eq(p->a.closed.code, code, "%s: %u: %s", what, p->a.closed.code,
                 p->a.closed.sentence);
    cr_assert(raw_expect(p, BBI_LINK_CLOSE, &frame), "%s", what);
    cr_assert(bbi_close_read(&frame, &told));
    cr_assert_eq(told.code, code);
    cr_assert_str_eq(told.sentence, p->a.closed.sentence);
    cr_assert_gt(strlen(told.sentence), 15);
    cr_assert(bbi_session_is_over(p->a.session));
}

#endif

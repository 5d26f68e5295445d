/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands in a link's frames, as another box may have written it.
 * bb-links: bb_bridge
 *
 * Input      u8 kind, then the body of a frame of that type; 0: a whole frame, 255: first bytes of a transport.
 * Oracle     nothing is read beyond the body; what was read, written and read again is the same.
 */
#include "lib/bridge/greet.h"
#include "tests/fuzz/fuzz.h"

static void
fuzz_hello(const struct bbi_link_frame *frame)
{
    static unsigned char out[BBI_HELLO_BYTES];
    struct bbi_hello hello;
    struct bbi_hello again;
    struct bbi_link_frame back;
    uint32_t length;
    if (!bbi_hello_read(frame, &hello)) {
        return;
    }
    uint32_t bytes = bbi_hello_write(out, &hello);
    FUZZ_CHECK(bytes <= sizeof(out));
    FUZZ_CHECK(bbi_link_frame_read(out, bytes, sizeof(out), &back, &length) == BBI_LINK_READ_OK);
    FUZZ_CHECK(bbi_hello_read(&back, &again));
    FUZZ_CHECK(strcmp(again.name, hello.name) == 0 && again.epoch == hello.epoch
               && again.message_max == hello.message_max
               && again.time.mono_ns == hello.time.mono_ns);
}

static void
fuzz_messages(const struct bbi_link_frame *frame)
{
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    struct bbi_link_msg before = {0};
    struct bbi_link_msg msg = {0};
    bool is_first = true;
    uint8_t flags;
    while (bbi_msg_next(&w, &msg, is_first)) {
        fuzz_touch(msg.topic, msg.topic_bytes);
        fuzz_touch(msg.data, msg.bytes);
        fuzz_touch(msg.origin.name, msg.origin.name_bytes);
        /* Written behind the one before, it is as long at most, and reads the same. */
        size_t bytes = bbi_msg_bytes(&msg, is_first ? NULL : &before, &flags);
        unsigned char *exact = malloc(bytes);
        FUZZ_CHECK(exact != NULL);
        unsigned char *end =
            bbi_put_bytes(bbi_msg_write_head(exact, &msg, flags), msg.data, msg.bytes);
        FUZZ_CHECK(end == exact + bytes);
        struct bbi_wire again = {.p = exact, .left = bytes};
        struct bbi_link_msg read = before;
        FUZZ_CHECK(bbi_msg_next(&again, &read, is_first) && again.left == 0);
        FUZZ_CHECK(read.seq == msg.seq && read.topic_bytes == msg.topic_bytes
                   && read.attr == msg.attr);
        free(exact);
        before = msg;
        is_first = false;
    }
}

static void
fuzz_gap(const struct bbi_link_frame *frame)
{
    static unsigned char out[BBI_GAP_BYTES_MAX];
    struct bbi_gap gap = {0};
    struct bbi_gap again = {0};
    struct bbi_link_frame back;
    uint32_t length;
    if (!bbi_gap_read(frame, &gap)) {
        return;
    }
    uint32_t bytes = bbi_gap_write(out, &gap);
    FUZZ_CHECK(bytes == bbi_gap_bytes(&gap) && bytes <= sizeof(out));
    FUZZ_CHECK(bbi_link_frame_read(out, bytes, sizeof(out), &back, &length) == BBI_LINK_READ_OK);
    FUZZ_CHECK(bbi_gap_read(&back, &again));
    FUZZ_CHECK(again.messages == gap.messages && again.ring_count == gap.ring_count);
    again.from = gap.to + 1;
    again.to = gap.to + 1;
    bbi_gap_merge(&gap, &again);
    FUZZ_CHECK(gap.ring_count <= BBI_LINK_GAP_RINGS);
}

static void
fuzz_control(const struct bbi_link_frame *frame)
{
    struct bbi_welcome welcome;
    struct bbi_close close;
    struct bbi_pong pong;
    struct bbi_credit credit;
    struct bbi_interest interest;
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    (void)bbi_welcome_read(frame, &welcome);
    (void)bbi_credit_read(frame, &credit);
    if (bbi_close_read(frame, &close)) {
        FUZZ_CHECK(strlen(close.sentence) <= BBI_LINK_SENTENCE_MAX);
    }
    if (bbi_pong_read(frame, &pong)) {
        fuzz_touch(pong.echo, pong.echo_bytes);
    }
    while (bbi_interest_next(&w, &interest) == 1) {
        fuzz_touch(interest.prefix, interest.prefix_bytes);
    }
}

/* In pieces or at once, the same is said; who is refused is told why. */
static void
fuzz_greet(const unsigned char *bytes, size_t count)
{
    static struct bbi_greet g;
    static struct bbi_greet slow;
    const struct bbi_hello self = {.node = {{1}}, .epoch = 1, .cluster = "c"};
    bbi_greet_init(&g, BBI_ROLE_ACCEPTED, &self, 1);
    bbi_greet_init(&slow, BBI_ROLE_ACCEPTED, &self, 1);
    FUZZ_CHECK(bbi_greet_receive(&g, bytes, count) <= count);
    for (size_t i = 0; i < count; i++) {
        (void)bbi_greet_receive(&slow, bytes + i, 1);
    }
    FUZZ_CHECK(slow.state == g.state && slow.close.code == g.close.code);
    FUZZ_CHECK((g.state == BBI_GREET_REFUSED) == (g.close.code != 0 || g.is_remote));
    FUZZ_CHECK(g.state != BBI_GREET_KNOWN || g.version == 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_in in = {data, bytes};
    uint8_t kind = fuzz_u8(&in);
    unsigned char *exact = fuzz_copy(in.p, in.left);
    struct bbi_link_frame frame = {.type = kind, .number = 1, .body = exact, .body_bytes = in.left};
    uint32_t length;
    switch (kind) {
    case 0:
        if (bbi_link_frame_read(exact, in.left, 1 << 16, &frame, &length) == BBI_LINK_READ_OK) {
            fuzz_touch(frame.body, frame.body_bytes);
        }
        break;
    case BBI_LINK_HELLO:
        fuzz_hello(&frame);
        break;
    case BBI_LINK_DATA:
        fuzz_messages(&frame);
        break;
    case BBI_LINK_GAP:
        fuzz_gap(&frame);
        break;
    case UINT8_MAX:
        fuzz_greet(exact, in.left);
        break;
    default:
        fuzz_control(&frame);
        break;
    }
    free(exact);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the bytes of version 1 stay what they are.  Method: each frame is written and held against tests/data/link1/frames.txt
 * (lines `name hex`), then read and written again from what was read.  docs/wire.md explains some of these lines.
 * BB_GOLDEN=print prints the lines instead.
 */
#include "lib/bridge/frame.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_BYTES = 4096 };

static unsigned char out[LINE_BYTES / 2];

/* The hex of that name, from the file. */
static const char *
golden(const char *name)
{
    static char line[LINE_BYTES];
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/tests/data/link1/frames.txt", getenv("BB_SOURCE_DIR"));
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f, "%s", path);
    while (fgets(line, sizeof(line), f) != NULL) {
        size_t length = strlen(name);
        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            line[strcspn(line, "\n")] = '\0';
            (void)fclose(f);
            return line + length + 1;
        }
    }
    cr_assert_fail("%s: no line for %s", path, name);
    return NULL;
}

static void
check_bytes(const char *name, const unsigned char *bytes, size_t count)
{
    static char hex[LINE_BYTES];
    cr_assert_lt(count * 2, sizeof(hex));
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(hex + i * 2, 3, "%02x", bytes[i]);
    }
    if (getenv("BB_GOLDEN") != NULL) {
        printf("%s %s\n", name, hex);
        return;
    }
    cr_assert_str_eq(hex, golden(name), "%s", name);
}

static struct bbi_link_frame
frame_of(const unsigned char *bytes, uint32_t count, uint8_t type)
{
    struct bbi_link_frame frame;
    uint32_t length;
    cr_assert_eq(bbi_link_frame_read(bytes, count, BBI_LINK_FRAME_MAX, &frame, &length),
                 BBI_LINK_READ_OK);
    cr_assert_eq(length, count);
    cr_assert_eq(frame.type, type);
    return frame;
}

static const struct bbi_hello hello = {
    .node = {{0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255}},
    .epoch = 0x1122334455667788,
    .cluster = "lab",
    .name = "box-1",
    .features = BBI_FEATURE_LZ4,
    .frame_max = BBI_LINK_FRAME_MAX,
    .message_max = 1 << 20,
    .time = {1000000001, 1700000000000000002}};

Test(link_golden, handshake, .timeout = 20)
{
    struct bbi_hello h;
    struct bbi_welcome w = {.received_epoch = 5,
                            .received = 6,
                            .first = 7,
                            .next = 9,
                            .credit_bytes = 4 << 20,
                            .credit_messages = 8192};
    struct bbi_close c = {.code = BBI_CLOSE_DUPLICATE, .sentence = "there is one already"};
    uint16_t min;
    uint16_t max;
    bbi_link_preface_write(out);
    check_bytes("preface", out, BBI_LINK_PREFACE_BYTES);
    cr_assert_eq(bbi_link_preface_version(out, &min, &max), 1);

    uint32_t bytes = bbi_hello_write(out, &hello);
    check_bytes("hello", out, bytes);
    struct bbi_link_frame frame = frame_of(out, bytes, BBI_LINK_HELLO);
    cr_assert(bbi_hello_read(&frame, &h));
    cr_assert_eq(bbi_hello_write(out, &h), bytes);
    check_bytes("hello", out, bytes);

    bytes = bbi_welcome_write(out, &w);
    check_bytes("welcome", out, bytes);
    frame = frame_of(out, bytes, BBI_LINK_WELCOME);
    cr_assert(bbi_welcome_read(&frame, &w));
    cr_assert_eq(bbi_welcome_write(out, &w), bytes);
    check_bytes("welcome", out, bytes);

    bytes = bbi_close_write(out, &c);
    check_bytes("close", out, bytes);
    frame = frame_of(out, bytes, BBI_LINK_CLOSE);
    cr_assert(bbi_close_read(&frame, &c));
    cr_assert_str_eq(c.sentence, "there is one already");
}

Test(link_golden, control, .timeout = 20)
{
    struct bbi_pong pong = {
        .echo = (const unsigned char *)"hello", .echo_bytes = 5, .time = {3, 4}};
    struct bbi_credit credit = {5 << 20, 9000, 77};
    struct bbi_interest interest = {
        .prefix = "conn/", .prefix_bytes = 5, .flags = 1, .scope = BBI_SCOPE_GLOBAL};
    uint32_t bytes = bbi_ping_write(out, "hello", 5);
    check_bytes("ping", out, bytes);
    (void)frame_of(out, bytes, BBI_LINK_PING);
    bytes = bbi_pong_write(out, &pong);
    check_bytes("pong", out, bytes);
    struct bbi_link_frame frame = frame_of(out, bytes, BBI_LINK_PONG);
    cr_assert(bbi_pong_read(&frame, &pong));
    cr_assert_eq(pong.time.wall_ns, 4);
    cr_assert_eq(pong.echo_bytes, 5);
    bytes = bbi_credit_write(out, &credit);
    check_bytes("credit", out, bytes);
    frame = frame_of(out, bytes, BBI_LINK_CREDIT);
    cr_assert(bbi_credit_read(&frame, &credit));
    cr_assert_eq(credit.received, 77);

    unsigned char *p = out + BBI_LINK_HEADER_BYTES;
    p = bbi_put_le32(bbi_put_le64(p, 42), BBI_INTEREST_BEGIN | BBI_INTEREST_END);
    p = bbi_interest_write(p, &interest);
    interest = (struct bbi_interest){.prefix = "dns", .prefix_bytes = 3, .is_removed = true};
    p = bbi_interest_write(p, &interest);
    bytes = (uint32_t)(p - out);
    bbi_link_frame_seal(out, bytes, BBI_LINK_INTEREST, BBI_LINK_CRITICAL, 0);
    check_bytes("interest", out, bytes);
    frame = frame_of(out, bytes, BBI_LINK_INTEREST);
    struct bbi_wire w = {.p = frame.body + BBI_INTEREST_HEAD_BYTES,
                         .left = frame.body_bytes - BBI_INTEREST_HEAD_BYTES};
    cr_assert_eq(bbi_interest_next(&w, &interest), 1);
    cr_assert(!interest.is_removed && interest.scope == BBI_SCOPE_GLOBAL && interest.flags == 1);
    cr_assert_eq(bbi_interest_next(&w, &interest), 1);
    cr_assert(interest.is_removed);
    cr_assert_eq(bbi_interest_next(&w, &interest), 0);
    (void)bbi_put_le64(out + BBI_LINK_HEADER_BYTES, 42);
    bbi_link_frame_seal(out, BBI_LINK_HEADER_BYTES + 8, BBI_LINK_INTEREST_KNOWN, BBI_LINK_CRITICAL,
                        0);
    check_bytes("interest-known", out, BBI_LINK_HEADER_BYTES + 8);
}

static const struct bbi_link_msg message = {.origin = {.box = {{1, 2, 3}},
                                                       .epoch = 9,
                                                       .node_id = 0x700000001,
                                                       .ring = 3,
                                                       .name = "worker-1",
                                                       .name_bytes = 8},
                                            .seq = 1000,
                                            .wall_ns = 1700000000000000003,
                                            .topic = "conn/new",
                                            .topic_bytes = 8,
                                            .data = "payload",
                                            .bytes = 7,
                                            .attr = 0x112,
                                            .scope = BBI_SCOPE_GLOBAL,
                                            .ttl = 32};

Test(link_golden, data, .timeout = 20)
{
    struct bbi_link_msg second = message;
    uint8_t flags;
    second.seq++;
    second.bytes = 0;
    unsigned char *begin = out + BBI_LINK_HEADER_BYTES + BBI_DATA_HEAD_BYTES;
    size_t want = bbi_msg_bytes(&message, NULL, &flags);
    unsigned char *p = bbi_put_bytes(bbi_msg_write_head(begin, &message, flags), message.data, 7);
    cr_assert_eq(want, (size_t)(p - begin));
    cr_assert_eq(bbi_msg_bytes(&second, &message, &flags), BBI_MSG_HEAD_BYTES);
    p = bbi_msg_write_head(p, &second, flags);
    (void)bbi_put_le32(bbi_put_le32(out + BBI_LINK_HEADER_BYTES, 2), (uint32_t)(p - begin));
    bbi_link_frame_seal(out, (uint32_t)(p - out), BBI_LINK_DATA, BBI_LINK_CRITICAL, 55);
    check_bytes("data", out, (size_t)(p - out));

    struct bbi_wire w = {.p = begin, .left = (size_t)(p - begin)};
    struct bbi_link_msg read = {0};
    cr_assert(bbi_msg_next(&w, &read, true));
    cr_assert(read.seq == 1000 && read.attr == 0x112 && read.ttl == 32 && read.bytes == 7);
    cr_assert(bbi_msg_next(&w, &read, false));
    cr_assert(read.seq == 1001 && read.topic_bytes == 8 && read.origin.ring == 3 && w.left == 0);
}

Test(link_golden, chunk_and_gap, .timeout = 20)
{
    struct bbi_gap gap = {
        .from = 10, .to = 19, .reasons = BBI_GAP_OLDEST | BBI_GAP_RESTART, .uncertain = 4};
    struct bbi_gap read = {0};
    unsigned char *p = bbi_put_le64(bbi_put_le64(out + BBI_LINK_HEADER_BYTES, 300000), 262104);
    p = bbi_put_bytes(p, "the rest", 8);
    bbi_link_frame_seal(out, (uint32_t)(p - out), BBI_LINK_CHUNK, BBI_LINK_CRITICAL, 56);
    check_bytes("chunk", out, (size_t)(p - out));
    for (uint64_t i = 0; i < 10; i++) {
        bbi_gap_add(&gap, &message.origin, 2000 + i, 100);
    }
    uint32_t bytes = bbi_gap_write(out, &gap);
    cr_assert_eq(bytes, bbi_gap_bytes(&gap));
    check_bytes("gap", out, bytes);
    struct bbi_link_frame frame = frame_of(out, bytes, BBI_LINK_GAP);
    cr_assert(bbi_gap_read(&frame, &read));
    cr_assert(read.messages == 10 && read.bytes == 1000 && read.uncertain == 4
              && read.ring_count == 1);
    cr_assert(read.rings[0].first_seq == 2000 && read.rings[0].last_seq == 2009
              && read.rings[0].messages == 10);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: an envelope gives back what was put into it, byte for byte, and anything else is refused.
 * Method: the envelope alone; also every prefix of a good one and every byte of it changed.
 */
#include "lib/cluster/relay.h"
#include <criterion/criterion.h>
#include <string.h>

TestSuite(cluster_relay, .timeout = 20);

static unsigned char buf[4096] __attribute__((aligned(8)));

static size_t
put(const struct bbi_envelope *e)
{
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bbi_envelope_put(&b, e);
    int64_t bytes = bb_build_end(&b);
    cr_assert_gt(bytes, 0);
    return (size_t)bytes;
}

Test(cluster_relay, gives_back_what_was_put)
{
    const unsigned char odd[5] = {0, 1, 0xff, '"', 0};
    const struct bbi_envelope in = {.topic = "cluster/worker",
                                    .topic_bytes = 14,
                                    .data = odd,
                                    .bytes = 5,
                                    .attr = BB_EVENT | BB_JSON_V1};
    struct bbi_envelope out;
    size_t bytes = put(&in);
    cr_assert_eq(bbi_envelope_open(&out, buf, bytes), 0);
    cr_assert_eq(out.topic_bytes, 14U);
    cr_assert_eq(memcmp(out.topic, "cluster/worker", 14), 0);
    cr_assert_eq(out.bytes, 5U);
    cr_assert_eq(memcmp(out.data, odd, 5), 0);
    cr_assert_eq(out.attr, (uint32_t)(BB_EVENT | BB_JSON_V1));
    cr_assert_eq((uintptr_t)out.data % 8, 0U, "a native event is read where it lies");
}

Test(cluster_relay, holds_no_control_message_and_no_attribute_that_it_does_not_know)
{
    struct bbi_envelope e = {.topic = "t", .topic_bytes = 1, .data = "x", .bytes = 1}, out;
    const uint32_t bad[] = {BB_CONTROL, BB_CONTROL | BB_JSON_V1, BB_EVENT | BB_REPLY,
                            BB_EVENT | BB_MORE, BB_EVENT | 1U << 20};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        e.attr = bad[i];
        cr_assert_eq(bbi_envelope_open(&out, buf, put(&e)), BB_ETYPE, "attr %x", bad[i]);
    }
    e.attr = BB_EVENT | BB_PRIORITY;
    cr_assert_eq(bbi_envelope_open(&out, buf, put(&e)), 0);
}

Test(cluster_relay, refuses_what_is_no_envelope)
{
    struct bb_builder b;
    struct bbi_envelope out;
    const char *names[] = {"busbar/other", "busbar/rela", BBI_RELAY_SERVICE};
    for (size_t i = 0; i < 3; i++) {
        bb_build_init(&b, buf, sizeof(buf));
        bb_event_begin(&b, names[i], strlen(names[i]));
        bb_put_string(&b, "t", 1);
        bb_put_count(&b, BB_EVENT);
        bb_put_string(&b, "x", 1);
        if (i == 2) {
            bb_put_none(&b); /* an argument too many */
        }
        bb_event_end(&b);
        cr_assert_eq(bbi_envelope_open(&out, buf, (size_t)bb_build_end(&b)), BB_ETYPE);
    }
    cr_assert_lt(bbi_envelope_open(&out, buf, 0), 0);
}

Test(cluster_relay, reads_nothing_outside_whatever_the_bytes)
{
    const struct bbi_envelope in = {.topic = "cluster/worker",
                                    .topic_bytes = 14,
                                    .data = "payload",
                                    .bytes = 7,
                                    .attr = BB_EVENT};
    struct bbi_envelope out;
    size_t bytes = put(&in), good = 0;
    for (size_t i = 0; i < bytes; i++) {
        cr_assert_lt(bbi_envelope_open(&out, buf, i & ~(size_t)7), 0, "the first %zu bytes", i);
        for (int v = 1; v < 256; v *= 2) {
            buf[i] ^= (unsigned char)v;
            if (bbi_envelope_open(&out, buf, bytes) == 0) {
                good++;
                const unsigned char *p = out.data;
                cr_assert(p >= buf && p + out.bytes <= buf + bytes);
                cr_assert((const unsigned char *)out.topic >= buf
                          && (const unsigned char *)out.topic + out.topic_bytes <= buf + bytes);
            }
            buf[i] ^= (unsigned char)v;
        }
    }
    cr_assert_gt(good, 20U * 8, "the text of topic and payload may be anything");
}

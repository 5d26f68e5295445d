/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Two hubs link over loopback and pass messages, interests and barriers, plain and with a key, on both engines.
 * Method  Both in one thread, driven in turn; tests/unit/link/hub_pair.h checks order and bytes of all that comes.
 */
#include "tests/unit/link/hub_pair.h"

KIND_PARAMS(link_pair, messages_both_ways)
ParameterizedTest(struct kind *k, link_pair, messages_both_ways, .timeout = 60)
{
    struct side a = {0}, b = {0};
    begin_kind(k);
    pair_up(&a, &b, k);
    cr_assert_str_eq(bbi_box_name(a.box), "bravo");
    cr_assert_str_eq(bbi_box_name(b.box), "alpha");
    cr_assert_eq(a.resumed + b.resumed, 0);
    for (int i = 0; i < 20000; i++) {
        cr_assert_eq(offer(&a, (size_t)(i % 300)), 1);
        cr_assert_eq(offer(&b, (size_t)(i % 17)), 1);
    }
    UNTIL(&a, &b, a.received == b.offered && b.received == a.offered);
    cr_assert_eq(b.received_bytes, a.offered_bytes);
    cr_assert_eq(a.received_bytes, b.offered_bytes);
    cr_assert_eq(a.gap + b.gap, 0);
    pair_close(&a, &b);
}

/* More than a send takes, frames as long as they may be, messages in many pieces. */
KIND_PARAMS(link_pair, large_messages)
ParameterizedTest(struct kind *k, link_pair, large_messages, .timeout = 60)
{
    static const size_t sizes[] = {1, 16 << 10, 40000, 64 << 10, 250 << 10, 300 << 10, 0, 7};
    struct side a = {0}, b = {0};
    begin_kind(k);
    pair_up(&a, &b, k);
    for (int i = 0; i < 400; i++) {
        cr_assert_eq(offer(&a, sizes[i % 8]), 1);
        UNTIL(&a, &b, a.offered - b.received < 16);
    }
    UNTIL(&a, &b, b.received == a.offered);
    cr_assert_eq(b.received_bytes, a.offered_bytes);
    pair_close(&a, &b);
}

KIND_PARAMS(link_pair, interests_and_barrier)
ParameterizedTest(struct kind *k, link_pair, interests_and_barrier, .timeout = 60)
{
    struct side a = {0}, b = {0};
    const struct bbi_interest want = {.prefix = "conn/", .prefix_bytes = 5};
    begin_kind(k);
    pair_up(&a, &b, k);
    struct bbi_session *s = bbi_box_session(a.box);
    cr_assert_eq(bbi_session_interest_add(s, &want), 1);
    uint64_t token = bbi_session_barrier(s);
    UNTIL(&a, &b, bbi_session_is_known(s, token));
    cr_assert_eq(b.interests, 1);
    cr_assert_str_eq(b.prefix, "conn/");
    cr_assert_geq(a.token, token);
    cr_assert_eq(bbi_session_interest_remove(s, &want), 1);
    UNTIL(&a, &b, b.interests == 0);
    pair_close(&a, &b);
}

/* What was offered between two waits goes with few calls of the kernel: at most one for 32 messages, on either side. */
KIND_PARAMS(link_pair, few_calls_of_the_kernel)
ParameterizedTest(struct kind *k, link_pair, few_calls_of_the_kernel, .timeout = 60)
{
    enum { ROUNDS = 500, ROUND = 256 };
    struct side a = {0}, b = {0};
    struct bbi_net_stats a_before, b_before, a_after, b_after;
    begin_kind(k);
    pair_up(&a, &b, k);
    bbi_net_stats(bbi_hub_net(a.hub), &a_before);
    bbi_net_stats(bbi_hub_net(b.hub), &b_before);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < ROUND; i++) {
            cr_assert_eq(offer(&a, 100), 1);
        }
        turn(&a, 0);
        turn(&b, 0);
        UNTIL(&a, &b, a.offered - b.received < 2048);
    }
    UNTIL(&a, &b, b.received == a.offered);
    bbi_net_stats(bbi_hub_net(a.hub), &a_after);
    bbi_net_stats(bbi_hub_net(b.hub), &b_after);
    cr_assert_leq((a_after.system_calls - a_before.system_calls) * 32, ROUNDS * ROUND, "%lu calls",
                  (unsigned long)(a_after.system_calls - a_before.system_calls));
    cr_assert_leq((b_after.system_calls - b_before.system_calls) * 32, ROUNDS * ROUND, "%lu calls",
                  (unsigned long)(b_after.system_calls - b_before.system_calls));
    pair_close(&a, &b);
}

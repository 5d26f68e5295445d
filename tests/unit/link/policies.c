/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the queue and the policy of a link are those of the address that leads to it, else of the other box's name, else
 * what all have, whichever side's connection carries it; they change while it is up, and it stays up.
 * Method: two hubs in one process; what `bridge ls` would show, and what is lost of a flood.
 */
#include "tests/unit/link/hub_pair.h"

TestSuite(link_policies_of_boxes, .timeout = 60);

static const struct bbi_hub_policy named[] = {
    {.name = "other", .slow = BBI_SLOW_DISCONNECT, .queue_bytes = 80000},
    {.name = "alpha", .slow = BBI_SLOW_DROP_NEWEST, .queue_bytes = 70000},
    {.name = "narrow", .slow = BBI_SLOW_DROP_NEWEST}};
enum { NAMED = sizeof(named) / sizeof(named[0]) };

static struct bb_link_info
row_of(struct side *s)
{
    struct bb_link_info rows[4];
    size_t n = bbi_hub_links(s->hub, rows, NULL, 4);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].state != BB_LINK_LISTENING) {
            return rows[i];
        }
    }
    cr_assert_fail("no link");
    return rows[0];
}

static void
set_policies(struct side *s, size_t count, enum bbi_slow_policy slow, size_t queue_bytes)
{
    struct bbi_fault f = {0};
    const struct bbi_hub_policy others = {.slow = slow, .queue_bytes = queue_bytes};
    cr_assert_eq(bbi_hub_policies(s->hub, named, count, &others, &f), 0, "%s", f.sentence);
}

static void
shows(struct side *s, uint32_t slow, uint64_t queue_bytes)
{
    struct bb_link_info row = row_of(s);
    cr_assert_eq(row.slow, slow, "%u", row.slow);
    cr_assert_eq(row.queue_max, queue_bytes, "%lu", (unsigned long)row.queue_max);
}

Test(link_policies_of_boxes, who_comes_gets_that_of_its_name)
{
    struct side a = {0}, b = {0};
    pair_open(&a, &b, &KINDS[2]);
    set_policies(&b, NAMED, BBI_SLOW_DROP_OLDEST, 90000);
    side_dial(&a, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    shows(&b, BB_SLOW_DROP_NEWEST, 70000);
    shows(&a, BB_SLOW_DROP_OLDEST, 8 << 20);
    uint64_t dropped = 0;
    for (int i = 0; i < 300; i++) {
        dropped += offer(&b, 1000) == 0;
    }
    cr_assert_gt(dropped, 200, "%lu", (unsigned long)dropped);
    UNTIL(&a, &b, a.received + a.gap == b.offered);
    cr_assert_eq(a.gap, dropped);
    cr_assert_eq(a.received, b.offered - dropped);
    pair_close(&a, &b);
}

Test(link_policies_of_boxes, they_change_while_it_is_up)
{
    struct side a = {0}, b = {0};
    struct bbi_fault f = {0};
    pair_open(&a, &b, &KINDS[2]);
    side_dial(&a, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    shows(&b, BB_SLOW_DROP_OLDEST, 8 << 20);
    set_policies(&b, 1, BBI_SLOW_DISCONNECT, 90000);
    shows(&b, BB_SLOW_DISCONNECT, 90000);
    set_policies(&b, NAMED, BBI_SLOW_DISCONNECT, 90000);
    shows(&b, BB_SLOW_DROP_NEWEST, 70000);
    set_policies(&b, 0, BBI_SLOW_DROP_OLDEST, 0);
    shows(&b, BB_SLOW_DROP_OLDEST, 8 << 20);
    /* Of the address that is dialed: it goes before names. */
    const struct bbi_hub_policy mine = {.slow = BBI_SLOW_DROP_NEWEST, .queue_bytes = 65536};
    cr_assert_eq(bbi_hub_retune(a.hub, "127.0.0.1", b.port, &mine, &f), 0);
    shows(&a, BB_SLOW_DROP_NEWEST, 65536);
    set_policies(&a, NAMED, BBI_SLOW_DISCONNECT, 90000);
    shows(&a, BB_SLOW_DROP_NEWEST, 65536);
    cr_assert_eq(bbi_hub_retune(a.hub, "127.0.0.1", 1, &mine, &f), BB_ENOENT);
    drive(&a, &b, SECOND_NS / 10);
    cr_assert_eq(a.ups + b.ups, 2, "it stayed up");
    /* Taken down: nothing leads there any more, and the name counts again. */
    cr_assert_eq(bbi_hub_undial(a.hub, "127.0.0.1", b.port), 0);
    UNTIL(&a, &b, !a.is_up && !b.is_up);
    set_policies(&a, NAMED, BBI_SLOW_DISCONNECT, 90000);
    shows(&a, BB_SLOW_DISCONNECT, 90000);
    pair_close(&a, &b);
}

Test(link_policies_of_boxes, what_cannot_be_is_said_and_all_stays)
{
    struct side a = {0}, b = {0};
    struct bbi_fault f = {0};
    struct bbi_hub_policy bad = {.name = "alpha", .queue_bytes = 5};
    const struct bbi_hub_policy good = {.queue_bytes = 0};
    pair_open(&a, &b, &KINDS[2]);
    set_policies(&b, NAMED, BBI_SLOW_DROP_OLDEST, 90000);
    side_dial(&a, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    cr_assert_eq(bbi_hub_policies(b.hub, &bad, 1, &good, &f), BB_EINVAL);
    cr_assert_not_null(strstr(f.sentence, "at least 65536 bytes, not 5"), "%s", f.sentence);
    cr_assert_eq(bbi_hub_policies(b.hub, NULL, 0, &bad, &f), BB_EINVAL);
    bad = (struct bbi_hub_policy){.slow = (enum bbi_slow_policy)7};
    cr_assert_eq(bbi_hub_policies(b.hub, &bad, 1, &good, &f), BB_EINVAL);
    cr_assert_eq(bbi_hub_retune(a.hub, "127.0.0.1", b.port, &bad, &f), BB_EINVAL);
    shows(&b, BB_SLOW_DROP_NEWEST, 70000);
    pair_close(&a, &b);
}

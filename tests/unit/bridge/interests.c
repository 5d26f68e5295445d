/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: interests arrive, shrink again, survive cuts and restarts, and a barrier tells when.
 * Method: a pair; what the other side was told is counted.
 */
#include "tests/unit/bridge/link_pair.h"

static struct bbi_interest
interest_of(const char *prefix)
{
    return (struct bbi_interest){.prefix = prefix, .prefix_bytes = strlen(prefix)};
}

static int
add(struct side *side, const char *prefix)
{
    struct bbi_interest i = interest_of(prefix);
    return bbi_session_interest_add(side->session, &i);
}

static int
drop(struct side *side, const char *prefix)
{
    struct bbi_interest i = interest_of(prefix);
    return bbi_session_interest_remove(side->session, &i);
}

static uint64_t
known_to(const struct side *side)
{
    struct bbi_session_stats stats;
    bbi_session_stats(side->session, &stats);
    return stats.peer_interests;
}

Test(link_interests, are_counted_and_shrink, .timeout = 20)
{
    struct pair p;
    pair_prepare(&p, 1);
    pair_open(&p);
    pair_connect(&p);
    cr_assert_eq(add(&p.a, "conn/"), 1);
    cr_assert_eq(add(&p.a, "conn/"), 0);
    cr_assert_eq(add(&p.a, "dns/"), 1);
    uint64_t token = bbi_session_barrier(p.a.session);
    cr_assert_not(bbi_session_is_known(p.a.session, token));
    pair_settle(&p);
    cr_assert(bbi_session_is_known(p.a.session, token));
    cr_assert_geq(p.a.barrier, token);
    cr_assert_eq(known_to(&p.b), 2);
    cr_assert_eq(drop(&p.a, "conn/"), 0);
    cr_assert_eq(drop(&p.a, "conn/"), 1);
    cr_assert_eq(drop(&p.a, "conn/"), BB_ENOENT);
    pair_settle(&p);
    cr_assert_eq(known_to(&p.b), 1);
    cr_assert_eq(p.b.interests_added, 2);
    cr_assert_eq(p.b.interests_removed, 1);
    cr_assert_eq(drop(&p.a, "dns/"), 1);
    cr_assert_eq(add(&p.a, "dns/"), 1, "wanted again before that was told");
    pair_settle(&p);
    cr_assert_eq(known_to(&p.b), 1);
    pair_fini(&p);
}

/* The barrier holds for what was published after: the other side heard of the interest before it says so. */
Test(link_interests, what_changed_while_cut_is_told_then, .timeout = 20)
{
    struct pair p;
    pair_prepare(&p, 2);
    pair_open(&p);
    cr_assert_eq(add(&p.a, "a"), 1);
    cr_assert_eq(add(&p.a, "b"), 1);
    pair_connect(&p);
    pair_settle(&p);
    pair_cut(&p);
    cr_assert_eq(drop(&p.a, "a"), 1);
    cr_assert_eq(add(&p.a, "c"), 1);
    uint64_t token = bbi_session_barrier(p.a.session);
    cr_assert_not(bbi_session_is_known(p.a.session, token));
    pair_connect(&p);
    pair_settle(&p);
    cr_assert(bbi_session_is_known(p.a.session, token));
    cr_assert_eq(known_to(&p.b), 2);
    cr_assert_eq(p.b.interests_added, 3, "b is not told twice");
    cr_assert_eq(p.b.interests_removed, 1);
    pair_cut(&p);
    side_restart(&p.b);
    pair_connect(&p);
    cr_assert_not(bbi_session_is_known(p.a.session, token), "the new life knows nothing yet");
    pair_settle(&p);
    cr_assert(bbi_session_is_known(p.a.session, token));
    cr_assert_eq(known_to(&p.b), 2);
    pair_fini(&p);
}

Test(link_interests, many_come_over_cuts_and_go_again, .timeout = 60)
{
    struct pair p;
    char prefix[64];
    pair_prepare(&p, 3);
    p.piece_max = 5000;
    pair_open(&p);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 2000; i++) {
            (void)snprintf(prefix, sizeof(prefix), "topic/%d/%d", round, i);
            cr_assert_eq(add(&p.a, prefix), 1);
            if (round > 0) {
                (void)snprintf(prefix, sizeof(prefix), "topic/%d/%d", round - 1, i);
                cr_assert_eq(drop(&p.a, prefix), 1);
            }
        }
        pair_connect(&p);
        for (uint64_t k = below(&p, 80); k > 0; k--) {
            (void)pair_step(&p);
        }
        pair_cut(&p);
    }
    pair_connect(&p);
    pair_settle(&p);
    cr_assert_eq(known_to(&p.b), 2000);
    cr_assert_eq(p.b.interests_added - p.b.interests_removed, 2000);
    cr_assert_leq(p.a.memory_peak, 4 << 20);
    pair_fini(&p);
}

Test(link_interests, a_table_that_is_full_says_so, .timeout = 20)
{
    struct pair p;
    char prefix[64];
    pair_prepare(&p, 3);
    p.a.opts.interest_count = 10;
    p.a.opts.interest_bytes = 100000;
    pair_open(&p);
    pair_connect(&p);
    for (int i = 0; i < 10; i++) {
        (void)snprintf(prefix, sizeof(prefix), "%d", i);
        cr_assert_eq(add(&p.a, prefix), 1);
    }
    cr_assert_eq(add(&p.a, "x"), BB_EFULL);
    cr_assert_eq(drop(&p.a, "3"), 1);
    cr_assert_eq(add(&p.a, "x"), BB_EFULL, "the other side still thinks it is wanted");
    pair_settle(&p);
    cr_assert_eq(add(&p.a, "x"), 1);
    static char longest[UINT16_MAX + 2];
    memset(longest, 'y', UINT16_MAX + 1);
    cr_assert_eq(add(&p.a, longest), BB_EINVAL);
    longest[UINT16_MAX] = '\0';
    cr_assert_eq(drop(&p.a, "4"), 1);
    pair_settle(&p);
    cr_assert_eq(add(&p.a, longest), 1);
    pair_settle(&p);
    cr_assert_eq(known_to(&p.b), 10);
    pair_fini(&p);
}

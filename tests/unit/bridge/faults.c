/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: over cuts, flipped bits, short writes, slow readers and restarts, each message is delivered once and in order,
 * or is told as missing; the counts of both sides are equal.
 * Method: two sessions over a transport of memory, faults from a seeded generator.  BB_LINK_SEED, BB_LINK_MESSAGES and
 * BB_LINK_CUTS ask for others.
 */
#include "tests/unit/bridge/link_pair.h"

static void
offer_some(struct pair *p, struct side *side, uint64_t max, uint64_t *left)
{
    uint64_t count = below(p, max + 1);
    for (uint64_t i = 0; i<count && * left> 0; i++) {
        size_t bytes = below(p, 100) == 0 ? below(p, 40000) : below(p, 300);
        (void)side_offer(side, (uint32_t)below(p, RINGS), bytes);
        (*left)--;
    }
}

/* One bit of what is on its way. */
static bool
flip_bit(struct pair *p, struct pipe *pipe)
{
    if (pipe->end == pipe->begin) {
        return false;
    }
    size_t at = pipe->begin + below(p, pipe->end - pipe->begin);
    pipe->bytes[at] ^= (unsigned char)(1u << below(p, 8));
    return true;
}

struct plan {
    uint64_t messages, cuts;
    bool has_flips, has_restarts, has_ends;
};

/* Some rounds of life; then the transport goes, in the middle of whatever it carried. */
static void
live_once(struct pair *p, const struct plan *plan, uint64_t *left_a, uint64_t *left_b)
{
    uint64_t flip_at = plan->has_flips ? below(p, 30) : UINT64_MAX;
    uint64_t most =
        plan->messages / plan->cuts / 12; /* about as many are offered as there are cuts for */
    pair_dial(p, below(p, 2) != 0);
    for (uint64_t round = 0, rounds = below(p, 60); round < rounds; round++) {
        offer_some(p, &p->a, most, left_a);
        offer_some(p, &p->b, most / 10, left_b);
        bbi_session_hold(p->b.session, below(p, 8) == 0); /* a reader that is slow at times */
        (void)pair_step(p);
        if (round == flip_at) {
            (void)flip_bit(p, &p->a.out);
        }
        p->now.mono_ns += (int64_t)below(p, 5000000);
        (void)bbi_session_tick(p->a.session, p->now);
        (void)bbi_session_tick(p->b.session, p->now);
    }
    cr_assert(plan->has_flips || plan->has_ends || !(p->a.is_closed || p->b.is_closed), "%s",
              p->b.closed.sentence);
    pair_cut(p);
}

static void
run_plan(struct pair *p, const struct plan *plan)
{
    uint64_t left_a = plan->messages;
    uint64_t left_b = plan->messages / 10;
    p->piece_max = 20000;
    struct bbi_session_stats stats = {0};
    while (stats.cuts < plan->cuts) { /* only those that had begun to speak count */
        live_once(p, plan, &left_a, &left_b);
        bbi_session_stats(p->a.session, &stats);
        if (plan->has_restarts && stats.cuts % 5 == 4) {
            side_restart(&p->b);
        }
    }
    while (left_a > 0 || left_b > 0) {
        pair_connect(p);
        offer_some(p, &p->a, 200, &left_a);
        offer_some(p, &p->b, 200, &left_b);
        pair_settle(p);
        pair_cut(p);
    }
    p->piece_max = 0;
    pair_connect(p);
    pair_settle(p);
    cr_assert_not(p->a.is_closed || p->b.is_closed, "%s%s", p->a.closed.sentence,
                  p->b.closed.sentence);
}

static struct plan
plan_of(uint64_t messages, uint64_t cuts)
{
    return (struct plan){.messages = env_number("BB_LINK_MESSAGES", messages),
                         .cuts = env_number("BB_LINK_CUTS", cuts)};
}

static void
print_run(const struct pair *p, const char *what, uint64_t seed)
{
    struct bbi_session_stats a;
    struct bbi_session_stats b;
    bbi_session_stats(p->a.session, &a);
    bbi_session_stats(p->b.session, &b);
    printf("%s: seed %lu: offered %lu, delivered %lu, missing %lu (uncertain %lu) in %lu gaps, "
           "repeated %lu, cuts %lu, "
           "resumed %lu\n",
           what, (unsigned long)seed, (unsigned long)a.offered, (unsigned long)p->b.delivered,
           (unsigned long)p->b.gap_messages, (unsigned long)p->b.gap_uncertain,
           (unsigned long)p->b.gaps, (unsigned long)(b.repeated + p->b.repeated),
           (unsigned long)a.cuts, (unsigned long)p->a.resumed);
}

Test(link_faults, a_hundred_cuts_lose_nothing, .timeout = 100)
{
    struct pair p;
    struct plan plan = plan_of(100000, 100);
    uint64_t seed = env_number("BB_LINK_SEED", 1);
    pair_prepare(&p, seed);
    p.a.opts.queue_bytes = 64 << 20;
    p.b.opts.queue_bytes = 64 << 20;
    pair_open(&p);
    run_plan(&p, &plan);
    print_run(&p, "cuts", seed);
    cr_assert_eq(p.b.delivered, plan.messages);
    cr_assert_eq(p.a.delivered, plan.messages / 10);
    cr_assert_eq(p.a.gaps + p.b.gaps, 0);
    check_balance(&p.a, "a to b");
    check_balance(&p.b, "b to a");
    pair_fini(&p);
}

Test(link_faults, flipped_bits_are_seen_and_mended, .timeout = 100)
{
    struct pair p;
    struct plan plan = plan_of(20000, 60);
    uint64_t seed = env_number("BB_LINK_SEED", 2);
    plan.has_flips = true;
    pair_prepare(&p, seed);
    p.a.opts.queue_bytes = 64 << 20;
    pair_open(&p);
    run_plan(&p, &plan);
    print_run(&p, "flips", seed);
    cr_assert_eq(p.b.delivered, plan.messages);
    check_balance(&p.a, "a to b");
    pair_fini(&p);
}

Test(link_faults, a_small_queue_loses_exactly_what_it_tells, .timeout = 100)
{
    struct pair p;
    struct plan plan = plan_of(100000, 100);
    uint64_t seed = env_number("BB_LINK_SEED", 3);
    for (int policy = BBI_SLOW_DROP_OLDEST; policy <= BBI_SLOW_DISCONNECT; policy++) {
        struct bbi_session_stats a;
        pair_prepare(&p, seed);
        plan.has_ends = policy == BBI_SLOW_DISCONNECT;
        p.a.opts.policy = (enum bbi_slow_policy)policy;
        p.a.opts.queue_bytes = 2 << 20;
        p.a.opts.batch_bytes = 8 << 10;
        p.b.opts.credit_bytes = BBI_LINK_FRAME_MAX;
        p.b.opts.credit_messages = BBI_LINK_BATCH_MESSAGES;
        pair_open(&p);
        run_plan(&p, &plan);
        print_run(&p,
                  policy == BBI_SLOW_DROP_OLDEST   ? "oldest"
                  : policy == BBI_SLOW_DROP_NEWEST ? "newest"
                                                   : "disconnect",
                  seed);
        bbi_session_stats(p.a.session, &a);
        cr_assert_eq(p.b.gap_messages, a.dropped);
        cr_assert_gt(a.dropped, 0);
        cr_assert_leq(p.a.memory_peak, (2 << 20) + (1 << 20));
        check_balance(&p.a, "a to b");
        pair_fini(&p);
    }
}

Test(link_faults, a_reader_that_restarts_is_told_what_is_uncertain, .timeout = 100)
{
    struct pair p;
    struct plan plan = plan_of(50000, 100);
    uint64_t seed = env_number("BB_LINK_SEED", 4);
    struct bbi_session_stats a;
    plan.has_restarts = true;
    pair_prepare(&p, seed);
    p.a.opts.queue_bytes = 64 << 20;
    pair_open(&p);
    run_plan(&p, &plan);
    print_run(&p, "restarts", seed);
    bbi_session_stats(p.a.session, &a);
    /* An earlier life may have had those that are uncertain, no others. */
    cr_assert_eq(p.b.gap_messages, p.b.gap_uncertain);
    cr_assert_geq(p.b.gap_uncertain, a.uncertain,
                  "told again to a life that may not have heard it");
    cr_assert_gt(a.uncertain, 0);
    cr_assert_geq(p.b.delivered + p.b.gap_messages, plan.messages);
    cr_assert_leq(p.b.delivered, plan.messages, "none twice");
    pair_fini(&p);
}

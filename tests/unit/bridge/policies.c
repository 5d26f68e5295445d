/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a slow peer costs exactly what its policy says, the place and number of what is lost are told, and what was lost
 * before the link is told too.  Method: a pair, queues that are too small, counts by hand.
 */
#include "tests/unit/bridge/link_pair.h"

enum { MESSAGES = 3000, BYTES = 100 };

static void
prepare(struct pair *p, enum bbi_slow_policy policy)
{
    pair_prepare(p, 1);
    p->a.opts.policy = policy;
    p->a.opts.queue_bytes = BBI_QUEUE_BYTES_MIN;
    p->a.opts.batch_bytes = 4096;
    pair_open(p);
}

static void
flood(struct pair *p, int count)
{
    for (int i = 0; i < count; i++) {
        (void)side_offer(&p->a, 0, BYTES);
    }
}

Test(link_policies, oldest_keeps_the_newest, .timeout = 20)
{
    struct pair p;
    struct bbi_session_stats a;
    prepare(&p, BBI_SLOW_DROP_OLDEST);
    flood(&p, MESSAGES);
    bbi_session_stats(p.a.session, &a);
    cr_assert_leq(a.queue_bytes, BBI_QUEUE_BYTES_MIN);
    pair_connect(&p);
    pair_settle(&p);
    cr_assert_eq(p.b.gaps, 1);
    cr_assert_eq(p.b.gap_reasons, BBI_GAP_OLDEST);
    cr_assert_eq(p.b.rings[0].last_seq, MESSAGES, "the newest came");
    cr_assert_eq(p.b.delivered + a.dropped, MESSAGES);
    bbi_session_stats(p.a.session, &a);
    cr_assert_eq(a.sent, p.b.delivered, "gaps are not among what was sent");
    cr_assert_gt(p.b.delivered, 300);
    check_balance(&p.a, "oldest");
    pair_fini(&p);
}

/* With the link up and a reader that does not read: what was handed out stays, and the newest still have their half. */
Test(link_policies, oldest_keeps_the_newest_behind_what_is_on_its_way, .timeout = 20)
{
    struct pair p;
    struct bbi_session_stats a;
    prepare(&p, BBI_SLOW_DROP_OLDEST);
    pair_connect(&p);
    for (int i = 0; i < MESSAGES; i++) {
        (void)side_offer(&p.a, 0, BYTES);
        (void)side_send(&p, &p.a); /* into the pipe, that nobody empties */
    }
    bbi_session_stats(p.a.session, &a);
    cr_assert_gt(a.dropped, 0);
    cr_assert_gt(a.held_messages, 200);
    cr_assert_leq(a.queue_bytes, BBI_QUEUE_BYTES_MIN);
    pair_settle(&p);
    cr_assert_eq(p.b.gaps, 1);
    cr_assert_eq(p.b.rings[0].last_seq, MESSAGES, "the newest came");
    cr_assert_eq(p.b.delivered + a.dropped, MESSAGES);
    check_balance(&p.a, "on its way");
    pair_fini(&p);
}

/* A message longer than what may be on its way goes nevertheless. */
Test(link_policies, a_long_message_is_not_too_much_on_its_way, .timeout = 20)
{
    struct pair p;
    struct bbi_session_stats a;
    pair_prepare(&p, 1);
    p.a.opts.queue_bytes = 1 << 20;
    pair_open(&p);
    pair_connect(&p);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(side_offer(&p.a, 0, 100), 1);
        cr_assert_eq(side_offer(&p.a, 0, 900000), 1);
        pair_settle(&p);
    }
    bbi_session_stats(p.a.session, &a);
    cr_assert_eq(p.b.delivered, 8);
    cr_assert_eq(a.held_messages, 0);
    pair_fini(&p);
}

/* What is held are messages, not numbers of gaps, and nothing when all is acknowledged; segments are not counted. */
Test(link_policies, what_is_held_is_counted_in_messages, .timeout = 20)
{
    struct pair p;
    struct bbi_session_stats a;
    prepare(&p, BBI_SLOW_DROP_OLDEST);
    flood(&p, MESSAGES);
    bbi_session_stats(p.a.session, &a);
    cr_assert_eq(a.held_messages, MESSAGES - a.dropped);
    cr_assert_geq(a.held_bytes, a.held_messages * BYTES);
    cr_assert_leq(a.held_bytes, a.queue_bytes);
    pair_connect(&p);
    pair_settle(&p);
    bbi_session_stats(p.a.session, &a);
    cr_assert_eq(a.held_messages, 0);
    cr_assert_eq(a.held_bytes, 0);
    cr_assert_gt(a.queue_bytes, 0, "a segment stays for the next one");
    /* What is lost before holds a number, and no message. */
    const struct bbi_link_loss loss = {
        .origin = {.box = p.a.opts.self.node, .epoch = 101, .name = "w", .name_bytes = 1},
        .first_seq = MESSAGES + 1,
        .last_seq = MESSAGES + 9,
        .messages = 9,
        .bytes = BBI_LINK_UNKNOWN};
    bbi_session_lost(p.a.session, &loss);
    bbi_session_stats(p.a.session, &a);
    cr_assert_eq(a.held_messages, 0);
    cr_assert_gt(a.next_number - 1, a.acknowledged);
    pair_fini(&p);
}

/* Whatever the size, what is queued fills the queue: no message takes much more than its bytes. */
Test(link_policies, a_queue_holds_what_it_has_bytes_for, .timeout = 20)
{
    enum { QUEUE_BYTES = 1 << 20 };
    static const size_t sizes[] = {64, 1000, 7000, 11000, 15000, 16384, 17000, 32000, 40000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct pair p;
        struct bbi_session_stats a;
        uint64_t fitting = QUEUE_BYTES * 6 / 10 / (sizes[i] + 64);
        pair_prepare(&p, 1);
        p.a.opts.policy = BBI_SLOW_DROP_NEWEST;
        p.a.opts.queue_bytes = QUEUE_BYTES;
        pair_open(&p);
        for (uint64_t n = 0; n < fitting; n++) {
            cr_assert_eq(side_offer(&p.a, 0, sizes[i]), 1, "number %lu of %zu bytes",
                         (unsigned long)n, sizes[i]);
        }
        bbi_session_stats(p.a.session, &a);
        cr_assert_eq(a.dropped, 0);
        cr_assert_leq(a.queue_bytes, QUEUE_BYTES);
        pair_fini(&p);
    }
}

Test(link_policies, newest_keeps_the_oldest, .timeout = 20)
{
    struct pair p;
    struct bbi_session_stats a;
    prepare(&p, BBI_SLOW_DROP_NEWEST);
    flood(&p, MESSAGES);
    bbi_session_stats(p.a.session, &a);
    pair_connect(&p);
    pair_settle(&p);
    cr_assert_eq(p.b.gaps, 1);
    cr_assert_eq(p.b.gap_reasons, BBI_GAP_NEWEST);
    cr_assert_eq(p.b.rings[0].last_seq, p.b.delivered, "the first ones came, without a hole");
    cr_assert_eq(p.b.delivered + a.dropped, MESSAGES);
    bbi_session_stats(p.a.session, &a);
    cr_assert_eq(a.sent, p.b.delivered, "gaps are not among what was sent");
    check_balance(&p.a, "newest");
    pair_fini(&p);
}

Test(link_policies, disconnect_says_so_first, .timeout = 20)
{
    struct pair p;
    prepare(&p, BBI_SLOW_DISCONNECT);
    pair_connect(&p);
    flood(&p, MESSAGES);
    cr_assert(p.a.is_closed);
    cr_assert_eq(p.a.closed.code, BBI_CLOSE_SLOW);
    pair_settle(&p);
    cr_assert(bbi_session_is_over(p.a.session));
    cr_assert(p.b.is_closed && p.b.was_remote, "the reason came before the end");
    cr_assert_eq(p.b.closed.code, BBI_CLOSE_SLOW);
    cr_assert_str_eq(p.b.closed.sentence, p.a.closed.sentence);
    pair_cut(&p);
    pair_connect(&p);
    pair_settle(&p);
    cr_assert_eq(p.b.gap_reasons & BBI_GAP_SLOW, BBI_GAP_SLOW);
    check_balance(&p.a, "disconnect");
    pair_fini(&p);
}

/* A gap between messages stays between them. */
Test(link_policies, what_was_lost_before_is_told_at_its_place, .timeout = 20)
{
    struct pair p;
    struct bbi_session_stats a;
    pair_prepare(&p, 1);
    pair_open(&p);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(side_offer(&p.a, 1, BYTES), 1);
        p.a.rings[1].offered += 10;
        const struct bbi_link_loss loss = {.origin = {.box = p.a.opts.self.node,
                                                      .epoch = 101,
                                                      .node_id = 7,
                                                      .ring = 1,
                                                      .name = "worker-1",
                                                      .name_bytes = 8},
                                           .first_seq = p.a.rings[1].offered - 9,
                                           .last_seq = p.a.rings[1].offered,
                                           .messages = 10,
                                           .bytes = BBI_LINK_UNKNOWN};
        bbi_session_lost(p.a.session, &loss);
    }
    cr_assert_eq(side_offer(&p.a, 1, BYTES), 1);
    pair_connect(&p);
    pair_settle(&p);
    bbi_session_stats(p.a.session, &a);
    cr_assert_eq(a.lost_before, 50);
    cr_assert_eq(a.dropped, 0);
    cr_assert_eq(p.b.gaps, 5);
    cr_assert_eq(p.b.gap_reasons, BBI_GAP_OVERRUN);
    cr_assert_eq(p.b.delivered, 6);
    check_balance(&p.a, "before");
    pair_fini(&p);
}

/* A message of its own frame, one in pieces, and one that the other side does not take. */
Test(link_policies, long_messages_travel_in_pieces, .timeout = 20)
{
    struct pair p;
    pair_prepare(&p, 5);
    p.b.opts.self.message_max = 512 << 10;
    p.piece_max = 9000;
    pair_open(&p);
    cr_assert_eq(side_offer(&p.a, 0, 60000), 1);
    cr_assert_eq(side_offer(&p.a, 0, BBI_LINK_FRAME_MAX - 10), 1);
    cr_assert_eq(side_offer(&p.a, 0, 512 << 10), 1);
    cr_assert_eq(side_offer(&p.a, 0, (512 << 10) + 1), 1);
    cr_assert_eq(side_offer(&p.a, 0, 5), 1);
    for (int i = 0; i < 4; i++) { /* cuts in the middle of it */
        pair_connect(&p);
        for (int k = 0; k < 60; k++) {
            (void)pair_step(&p);
        }
        pair_cut(&p);
    }
    pair_connect(&p);
    pair_settle(&p);
    cr_assert_eq(p.b.delivered, 4);
    cr_assert_eq(p.b.gap_reasons, BBI_GAP_SIZE);
    check_balance(&p.a, "long");
    pair_fini(&p);
}

static bool
may_have(void *user, const char *topic, size_t bytes)
{
    const char *no = user;
    return bytes != strlen(no) || memcmp(topic, no, bytes) != 0;
}

/* Rights become less while messages wait, in batches and in pieces: all of them become a gap, or none. */
Test(link_policies, what_waits_is_looked_at_again, .timeout = 20)
{
    char nothing[] = "nothing", dns[] = "dns/query";
    struct pair p;
    struct bbi_session_stats a;
    pair_prepare(&p, 1);
    pair_open(&p);
    cr_assert_not(bbi_session_recheck(p.a.session, may_have, dns), "nothing waits");
    cr_assert_eq(side_offer(&p.a, 0, 512 << 10), 1); /* conn/new */
    flood(&p, 16);
    cr_assert_not(bbi_session_recheck(p.a.session, may_have, nothing));
    cr_assert_not(bbi_session_recheck(p.a.session, may_have, dns), "the 18th would be the first");
    flood(&p, 1);
    cr_assert(bbi_session_recheck(p.a.session, may_have, dns));
    bbi_session_stats(p.a.session, &a);
    cr_assert_eq(a.dropped, 18);
    cr_assert_eq(side_offer(&p.a, 1, 512 << 10), 1);
    cr_assert(bbi_session_recheck(p.a.session, may_have, (char[]){"conn/new"}), "a long one too");
    flood(&p, 5);
    pair_connect(&p);
    pair_settle(&p);
    cr_assert_eq(p.b.delivered, 5);
    cr_assert_eq(p.b.gaps, 1);
    cr_assert_eq(p.b.gap_reasons, BBI_GAP_RIGHTS);
    cr_assert_not(bbi_session_recheck(p.a.session, may_have, dns), "it was sent");
    /* While the link is up, too. */
    flood(&p, 30);
    cr_assert(bbi_session_recheck(p.a.session, may_have, dns));
    pair_settle(&p);
    check_balance(&p.a, "rights");
    pair_fini(&p);
}

/* A codec that only knows runs of one byte: enough to show when it is used and when not. */
static size_t
run_compress(const void *in, size_t bytes, void *out, size_t cap)
{
    const unsigned char *p = in;
    unsigned char *o = out;
    size_t used = 0;
    for (size_t i = 0; i < bytes;) {
        size_t run = 1;
        while (i + run < bytes && p[i + run] == p[i] && run < 255) {
            run++;
        }
        if (used + 2 > cap) {
            return 0;
        }
        o[used++] = (unsigned char)run;
        o[used++] = p[i];
        i += run;
    }
    return used;
}

static size_t
run_decompress(const void *in, size_t bytes, void *out, size_t cap)
{
    const unsigned char *p = in;
    size_t made = 0;
    for (size_t i = 0; i + 1 < bytes; i += 2) {
        if (p[i] > cap - made) {
            return 0;
        }
        memset((unsigned char *)out + made, p[i + 1], p[i]);
        made += p[i];
    }
    return made;
}

static const struct bbi_codec runs = {run_compress, run_decompress};

/* Messages whose payloads are zeros: they compress. */
static void
offer_zeros(struct pair *p, uint64_t count)
{
    static unsigned char zeros[1000];
    for (uint64_t i = 0; i < count; i++) {
        struct bbi_link_msg msg = {
            .origin = {.box = {{1}}, .epoch = 101, .name = "n", .name_bytes = 1},
            .seq = ++p->a.rings[0].offered,
            .topic = "t",
            .topic_bytes = 1,
            .data = zeros,
            .bytes = 0};
        msg.bytes = 0;
        cr_assert_eq(bbi_session_offer(p->a.session, &msg), 1);
    }
}

Test(link_policies, batches_are_compressed_where_both_can, .timeout = 20)
{
    for (int both = 0; both < 2; both++) {
        struct pair p;
        struct bbi_session_stats a, b;
        pair_prepare(&p, 1);
        p.a.opts.codec = &runs;
        p.b.opts.codec = both ? &runs : NULL;
        pair_open(&p);
        offer_zeros(&p, 2000);
        pair_connect(&p);
        pair_settle(&p);
        bbi_session_stats(p.a.session, &a);
        cr_assert_eq(p.b.delivered, 2000);
        cr_assert_eq(a.out_bytes < 2000 * BBI_MSG_HEAD_BYTES, both == 1);
        cr_assert_eq(a.is_compressing, both == 1);
        cr_assert_geq(a.out_bytes + a.out_saved_bytes, 2000 * BBI_MSG_HEAD_BYTES);
        bbi_session_stats(p.b.session, &b);
        cr_assert_eq(b.in_saved_bytes, a.out_saved_bytes);
        cr_assert_eq(a.held_bytes, 0, "also when fewer bytes went than were queued");
        /* What was sent compressed and not acknowledged is still counted one by one. */
        offer_zeros(&p, 500);
        (void)side_send(&p, &p.a);
        pair_cut(&p);
        side_restart(&p.b);
        pair_connect(&p);
        pair_settle(&p);
        cr_assert_eq(p.b.gap_uncertain, 500);
        check_balance(&p.a, "compressed");
        pair_fini(&p);
    }
}

/*
 * What was compressed and could not go yet is sent plain to a life that does not know how: with the narrow window of a
 * reader that holds, some batches are sealed and wait.
 */
Test(link_policies, a_life_that_cannot_decompress_gets_it_plain, .timeout = 20)
{
    struct pair p;
    struct bbi_session_stats a;
    pair_prepare(&p, 1);
    p.a.opts.codec = p.b.opts.codec = &runs;
    p.b.opts.credit_messages = 1024;
    pair_open(&p);
    pair_connect(&p);
    pair_settle(&p);
    offer_zeros(&p, 5000);
    while (side_send(&p, &p.a) > 0) { /* until there is no credit: the next batch is sealed */
    }
    bbi_session_stats(p.a.session, &a);
    cr_assert_gt(a.blocked, 0);
    cr_assert_gt(a.out_saved_bytes, 0);
    pair_cut(&p);
    p.b.opts.codec = NULL;
    side_restart(&p.b);
    pair_connect(&p);
    pair_settle(&p);
    cr_assert_eq(p.b.delivered + p.b.gap_uncertain, 5000);
    cr_assert_gt(p.b.delivered, 3000);
    bbi_session_stats(p.a.session, &a);
    cr_assert_not(a.is_compressing);
    check_balance(&p.a, "plain again");
    pair_fini(&p);
}

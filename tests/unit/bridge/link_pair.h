/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/bridge/link_pair.h - two sessions, a transport of memory between them, a clock that the test moves.
 *
 * What is delivered is held against what was offered: for each ring in order, none twice, and what is missing stands in
 * gaps.  Faults (cut, bit flip, short writes, pieces of any length) come from a seeded generator.
 */
#ifndef BUSBAR_TESTS_UNIT_BRIDGE_LINK_PAIR_H
#define BUSBAR_TESTS_UNIT_BRIDGE_LINK_PAIR_H

#include "lib/bridge/session.h"
#include "shm/hash.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { RINGS = 5, PIPE_BYTES = 4 << 20, BIG_BYTES = 1 << 20 };

struct ring_count {
    uint64_t offered, delivered, gap, last_seq;
};

struct pipe {
    unsigned char *bytes;
    size_t begin, end;
};

struct side {
    const char *name;
    struct bbi_session *session;
    struct bbi_session_opts opts;
    struct bbi_greet greet;
    bool is_greeting, is_attached, is_closed;
    struct pipe out;
    struct side *peer;
    /* what its user saw */
    struct ring_count rings[RINGS]; /* offered: here; the others: of the peer's */
    uint64_t delivered, gap_messages, gap_uncertain, gaps, ups, resumed;
    uint32_t gap_reasons;
    uint64_t interests_added, interests_removed, barrier;
    struct bbi_close closed;
    bool was_remote;
    uint64_t repeated; /* of sessions that were thrown away */
    size_t memory_bytes, memory_peak;
    bool checks_order;
};

struct pair {
    struct side a, b;
    struct bbi_link_time now;
    uint64_t random;
    size_t piece_max; /* bytes that arrive at once; 0: all */
};

static inline uint64_t
next_random(struct pair *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return p->random;
}

static inline uint64_t
below(struct pair *p, uint64_t n)
{
    return n < 2 ? 0 : next_random(p) % n;
}

/* ---- memory, counted ------------------------------------------------------------------------------------------ */

static inline void *
side_take(void *user, size_t bytes)
{
    struct side *side = user;
    side->memory_bytes += bytes;
    if (side->memory_bytes > side->memory_peak) {
        side->memory_peak = side->memory_bytes;
    }
    return malloc(bytes);
}

static inline void
side_give(void *user, void *p, size_t bytes)
{
    struct side *side = user;
    cr_assert_geq(side->memory_bytes, bytes);
    side->memory_bytes -= bytes;
    free(p);
}

/* ---- what a user sees ------------------------------------------------------------------------------------------- */

static inline void
saw_up(void *user, const struct bbi_hello *peer, bool is_resumed)
{
    struct side *side = user;
    cr_assert_eq(peer->epoch, side->peer->opts.self.epoch);
    side->ups++;
    side->resumed += is_resumed;
}

/* The payload says which ring and number it is of, so that no wrong bytes pass. */
static inline void
fill_payload(unsigned char *data, size_t bytes, uint32_t ring, uint64_t seq)
{
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (unsigned char)(ring * 131 + seq * 7 + i);
    }
}

static inline void
check_payload(const struct bbi_link_msg *m)
{
    const unsigned char *data = m->data;
    for (size_t i = 0; i < m->bytes; i++) {
        cr_assert_eq(data[i], (unsigned char)(m->origin.ring * 131 + m->seq * 7 + i));
    }
}

static inline void
saw_messages(void *user, const struct bbi_link_msg *msgs, size_t count)
{
    struct side *side = user;
    for (size_t i = 0; i < count; i++) {
        const struct bbi_link_msg *m = &msgs[i];
        cr_assert_lt(m->origin.ring, RINGS);
        struct ring_count *ring = &side->rings[m->origin.ring];
        if (side->checks_order) {
            cr_assert_gt(m->seq, ring->last_seq, "%s: ring %u: %lu after %lu", side->name,
                         m->origin.ring, (unsigned long)m->seq, (unsigned long)ring->last_seq);
        }
        check_payload(m);
        ring->last_seq = m->seq;
        ring->delivered++;
        side->delivered++;
    }
}

static inline void
saw_gap(void *user, const struct bbi_gap *gap)
{
    struct side *side = user;
    uint64_t told = 0;
    side->gaps++;
    side->gap_messages += gap->messages;
    side->gap_uncertain += gap->uncertain;
    side->gap_reasons |= gap->reasons;
    for (uint32_t i = 0; i < gap->ring_count; i++) {
        const struct bbi_gap_ring *lost = &gap->rings[i];
        struct ring_count *ring = &side->rings[lost->ring];
        cr_assert_lt(lost->ring, RINGS);
        cr_assert_geq(lost->last_seq, lost->first_seq);
        if (side->checks_order) {
            cr_assert(gap->uncertain > 0 || lost->first_seq > ring->last_seq);
        }
        ring->gap += lost->messages;
        told += lost->messages;
    }
    cr_assert_eq(told, gap->messages, "fewer rings than a gap holds: all are told");
}

static inline void
saw_interest(void *user, const struct bbi_interest *interest)
{
    struct side *side = user;
    *(interest->is_removed ? &side->interests_removed : &side->interests_added) += 1;
}

static inline void
saw_barrier(void *user, uint64_t token)
{
    struct side *side = user;
    side->barrier = token;
}

static inline void
saw_closed(void *user, const struct bbi_close *why, bool is_remote)
{
    struct side *side = user;
    side->is_closed = true;
    side->closed = *why;
    side->was_remote = is_remote;
}

static const struct bbi_session_events side_events = {.up = saw_up,
                                                      .messages = saw_messages,
                                                      .gap = saw_gap,
                                                      .interest = saw_interest,
                                                      .barrier = saw_barrier,
                                                      .closed = saw_closed};

/* ---- life --------------------------------------------------------------------------------------------------------- */

static inline void
side_open(struct side *side)
{
    const struct bbi_memory memory = {side_take, side_give, side};
    cr_assert_eq(bbi_session_init(&side->session, &side->opts, &memory, &side_events, side), 0);
}

static inline void
pair_prepare(struct pair *p, uint64_t seed)
{
    memset(p, 0, sizeof(*p));
    p->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    p->now = (struct bbi_link_time){1000000000, 2000000000};
    p->a.name = "a";
    p->b.name = "b";
    p->a.peer = &p->b;
    p->b.peer = &p->a;
    p->a.opts.self =
        (struct bbi_hello){.node = {{1}}, .epoch = 101, .cluster = "c", .name = "box-a"};
    p->b.opts.self =
        (struct bbi_hello){.node = {{2}}, .epoch = 202, .cluster = "c", .name = "box-b"};
    p->a.opts.peer = p->b.opts.self.node;
    p->b.opts.peer = p->a.opts.self.node;
    p->a.checks_order = p->b.checks_order = true;
    p->a.out.bytes = malloc(PIPE_BYTES);
    p->b.out.bytes = malloc(PIPE_BYTES);
}

static inline void
pair_open(struct pair *p)
{
    side_open(&p->a);
    side_open(&p->b);
}

static inline void
side_fini(struct side *side)
{
    bbi_session_fini(side->session);
    cr_assert_eq(side->memory_bytes, 0);
    free(side->out.bytes);
}

static inline void
pair_fini(struct pair *p)
{
    side_fini(&p->a);
    side_fini(&p->b);
}

/* ---- the transport -------------------------------------------------------------------------------------------------- */

static inline void
side_cut(struct side *side)
{
    bbi_session_cut(side->session);
    side->is_greeting = side->is_attached = side->is_closed = false;
    side->out.begin = side->out.end = 0;
}

static inline void
pair_cut(struct pair *p)
{
    side_cut(&p->a);
    side_cut(&p->b);
}

/* A new transport, dialed by a or by b. */
static inline void
pair_dial(struct pair *p, bool by_b)
{
    int64_t deadline = p->now.mono_ns + INT64_C(5000000000);
    struct bbi_hello a = p->a.opts.self;
    struct bbi_hello b = p->b.opts.self;
    a.message_max = a.message_max != 0 ? a.message_max : 1 << 20;
    b.message_max = b.message_max != 0 ? b.message_max : 1 << 20;
    a.features = p->a.opts.codec != NULL ? BBI_FEATURE_LZ4 : 0;
    b.features = p->b.opts.codec != NULL ? BBI_FEATURE_LZ4 : 0;
    bbi_greet_init(&p->a.greet, by_b ? BBI_ROLE_ACCEPTED : BBI_ROLE_DIALED, &a, deadline);
    bbi_greet_init(&p->b.greet, by_b ? BBI_ROLE_DIALED : BBI_ROLE_ACCEPTED, &b, deadline);
    p->a.is_greeting = p->b.is_greeting = true;
}

static inline size_t
put(struct pipe *pipe, const void *bytes, size_t count)
{
    if (pipe->begin == pipe->end) {
        pipe->begin = pipe->end = 0;
    }
    count = count < PIPE_BYTES - pipe->end ? count : PIPE_BYTES - pipe->end;
    (void)bbi_put_bytes(pipe->bytes + pipe->end, bytes, count);
    pipe->end += count;
    return count;
}

/* What a side has to send goes into its pipe; some bytes of it only, when pieces are short.  Bytes that went. */
static inline size_t
side_send(struct pair *p, struct side *side)
{
    size_t total = 0;
    if (side->is_greeting) {
        const void *out;
        size_t bytes = bbi_greet_output(&side->greet, &out);
        bytes = put(&side->out, out, bytes);
        bbi_greet_sent(&side->greet, bytes);
        return bytes;
    }
    struct iovec pieces[BBI_SESSION_PIECES];
    int count = bbi_session_output(side->session, pieces, BBI_SESSION_PIECES, p->now);
    for (int i = 0; i < count; i++) {
        size_t want = pieces[i].iov_len;
        if (p->piece_max > 0) {
            want = 1 + below(p, want);
        }
        size_t done = put(&side->out, pieces[i].iov_base, want);
        bbi_session_sent(side->session, done);
        total += done;
        if (done < pieces[i].iov_len) {
            break;
        }
    }
    return total;
}

static inline void
side_receive(struct pair *p, struct side *side, const unsigned char *bytes, size_t count)
{
    if (side->is_greeting) {
        size_t taken = bbi_greet_receive(&side->greet, bytes, count);
        bytes += taken;
        count -= taken;
        if (side->greet.state == BBI_GREET_KNOWN) {
            cr_assert_eq(bbi_session_prefer(side->session, &side->greet), 0);
            cr_assert_eq(bbi_session_attach(side->session, &side->greet, p->now), 0);
            side->is_greeting = false;
            side->is_attached = true;
        }
    }
    if (side->is_attached && count > 0) {
        int rc = bbi_session_receive(side->session, bytes, count, p->now);
        cr_assert_eq(rc == BB_EPEERGONE, side->is_closed);
    }
}

/* Bytes that the peer sent arrive, at most max. */
static inline size_t
side_arrive(struct pair *p, struct side *side, size_t max)
{
    struct pipe *pipe = &side->peer->out;
    size_t count = pipe->end - pipe->begin < max ? pipe->end - pipe->begin : max;
    if (count > 0) {
        /* Memory of exactly this size, so that a sanitizer sees a step beyond. */
        unsigned char *exact = malloc(count);
        memcpy(exact, pipe->bytes + pipe->begin, count);
        pipe->begin += count;
        side_receive(p, side, exact, count);
        free(exact);
    }
    return count;
}

static inline size_t
piece(struct pair *p)
{
    return p->piece_max == 0 ? SIZE_MAX : 1 + below(p, p->piece_max);
}

/* One round: both send, both receive.  Bytes that moved. */
static inline size_t
pair_step(struct pair *p)
{
    size_t moved = side_send(p, &p->a) + side_send(p, &p->b);
    moved += side_arrive(p, &p->b, piece(p));
    moved += side_arrive(p, &p->a, piece(p));
    return moved;
}

/* Until nothing moves, also after the time of acknowledgements has passed. */
static inline void
pair_settle(struct pair *p)
{
    for (int quiet = 0; quiet < 3; quiet++) {
        while (pair_step(p) > 0) {
            quiet = 0;
        }
        p->now.mono_ns += 25000000;
        p->now.wall_ns += 25000000;
        (void)bbi_session_tick(p->a.session, p->now);
        (void)bbi_session_tick(p->b.session, p->now);
    }
}

static inline void
pair_connect(struct pair *p)
{
    pair_dial(p, below(p, 2) != 0);
    for (int i = 0; i < 1000000 && !(p->a.is_closed || p->b.is_closed); i++) {
        struct bbi_session_stats a;
        struct bbi_session_stats b;
        (void)pair_step(p);
        bbi_session_stats(p->a.session, &a);
        bbi_session_stats(p->b.session, &b);
        if (a.state == BBI_SESSION_UP && b.state == BBI_SESSION_UP) {
            return;
        }
    }
    cr_assert(p->a.is_closed || p->b.is_closed, "the handshake ends: %d %s, %d %s",
              (int)p->a.greet.state, p->a.greet.close.sentence, (int)p->b.greet.state,
              p->b.greet.close.sentence);
}

/* The side begins anew: another epoch, nothing of what it was. */
static inline void
side_restart(struct side *side)
{
    struct bbi_session_stats stats;
    bbi_session_stats(side->session, &stats);
    side->repeated += stats.repeated;
    bbi_session_fini(side->session);
    side->opts.self.epoch++;
    side_open(side);
}

/* ---- messages --------------------------------------------------------------------------------------------------------- */

static inline int
side_offer(struct side *side, uint32_t ring, size_t bytes)
{
    static unsigned char data[BIG_BYTES];
    static const char *const topics[] = {"conn/new", "conn/end", "dns/query"};
    struct ring_count *count = &side->rings[ring];
    uint64_t seq = ++count->offered;
    const char *topic = topics[seq / 9 % 3];
    struct bbi_link_msg msg = {.origin = {.box = side->opts.self.node,
                                          .epoch = side->opts.self.epoch,
                                          .node_id = 7,
                                          .ring = ring,
                                          .name = "worker-1",
                                          .name_bytes = 8},
                               .seq = seq,
                               .wall_ns = (int64_t)seq,
                               .topic = topic,
                               .topic_bytes = strlen(topic),
                               .data = data,
                               .bytes = bytes,
                               .attr = 2,
                               .ttl = BBI_LINK_TTL};
    fill_payload(data, bytes, ring, seq);
    return bbi_session_offer(side->session, &msg);
}

static inline uint64_t
env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* All that `from` offered was delivered to its peer, or told as missing; ring by ring. */
static inline void
check_balance(const struct side *from, const char *what)
{
    const struct side *to = from->peer;
    for (int i = 0; i < RINGS; i++) {
        cr_assert_eq(to->rings[i].delivered + to->rings[i].gap, from->rings[i].offered,
                     "%s: ring %d: delivered %lu and missing %lu of %lu", what, i,
                     (unsigned long)to->rings[i].delivered, (unsigned long)to->rings[i].gap,
                     (unsigned long)from->rings[i].offered);
    }
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/poll.c - gather messages from all rings and hand them out.
 *
 * A sweep visits the rings round robin, each with a budget, beginning where the last one ended.  What a busy
 * poll does besides is kept to a few loads; everything that needs a clock comes when nothing was there.
 */
#include "lib/endpoint/bridged_impl.h"
#include "lib/endpoint/subscriber_impl.h"
#include "shm/os.h"
#include "shm/steward.h"
#include <stdlib.h>
#include <string.h>

enum {
    FEW_RINGS = 4,
    VISIT_MSGS = 64, /* of one ring, before the others have their turn */
    VISIT_MSGS_FEW = 256,
    HOUSE_POLLS = 256,  /* busy pollers look at the clock this seldom */
    THIN_BYTES = 16384, /* of a poll: fewer, and the reader is ahead of its publishers */
    REST_FROM = 4,      /* polls in a row before it rests */
    REST_MOST = 12,     /* steps of rest, from REST_FROM on: about 5 us */
    PEEK_POLLS = 32,    /* and for what was committed, but not announced */
};

/* ---- statuses ---- */

static void
give_status(struct bb_msg *msg, const struct bbi_event *ev)
{
    *msg = (struct bb_msg){.topic = "",
                           .data = "",
                           .node = ev->name,
                           .node_id = ev->node_id,
                           .seq = ev->seq,
                           .wall_ns = bbi_os_wall_ns(),
                           .ring = ev->ring,
                           .status = &ev->status};
    if (bbi_is_link_status(ev->status.kind)) {
        bbi_link_status_give(ev, msg);
    }
}

static void
give_events(struct bb_subscriber *sub, struct bbi_out *out)
{
    while (out->room > 0 && sub->events != NULL) {
        struct bbi_event *ev = sub->events;
        sub->events = ev->next;
        if (sub->events == NULL) {
            sub->events_end = &sub->events;
        }
        give_status(out->next, ev);
        bbi_out_one(out);
        ev->next = sub->told; /* the caller looks at it until the next poll */
        sub->told = ev;
    }
}

/* ---- one round over all rings ---- */

static inline bool
is_idle(const struct bbi_source *src)
{
    return src->idle_word != BBI_NEVER_IDLE && !src->is_restless
           && bbi_load_relaxed(src->watch) == src->idle_word; /* relaxed: a visit looks again, R5 */
}

static void
sweep(struct bb_subscriber *sub, struct bbi_out *out)
{
    if (sub->events != NULL) {
        give_events(sub, out);
    }
    size_t most = sub->rings <= FEW_RINGS || out->has_bursts ? VISIT_MSGS_FEW : VISIT_MSGS;
    struct bbi_source *first = sub->turn != NULL ? sub->turn : sub->sources;
    struct bbi_source *src = first;
    while (src != NULL && out->room > 0) {
        if (sub->must_peek || !is_idle(src)) {
            bbi_source_visit(sub, src, out, out->has_bursts || most < out->room ? most : out->room);
            if (BBI_UNLIKELY(sub->events != NULL)) {
                give_events(sub, out);
            }
        }
        src = src->next != NULL ? src->next : sub->sources;
        if (src == first) {
            break;
        }
    }
    sub->turn = src;
    sub->must_peek = false;
}

/* ---- housekeeping ---- */

static void
answer_ping(struct bb_subscriber *sub)
{
    struct bbi_sub *file = sub->file.seg.base;
    sub->ping = bbi_load_relaxed(&sub->at->bus->bells[sub->file.index].ping);
    bbi_store_release(&file->pong, sub->ping); /* R6: pairs with wait_for_pong() */
    (void)bbi_os_futex_wake(&file->pong, 64);
}

static void
write_stats(struct bb_subscriber *sub, int64_t now)
{
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    struct bbi_sub *file = sub->file.seg.base;
    bb_subscriber_stats(sub, &st);
    bbi_store_relaxed(&file->delivered, st.delivered);
    bbi_store_relaxed(&file->filtered, st.filtered);
    bbi_store_relaxed(&file->lost, st.lost);
    bbi_store_relaxed(&file->evicted, st.evicted);
    bbi_store_relaxed(&file->wakes, st.wakes);
    bbi_store_relaxed(&file->beat_ns, (uint64_t)now);
}

void
bbi_poll_keep_house(struct bb_subscriber *sub)
{
    int64_t now = bbi_os_mono_ns();
    if (now - sub->kept_house_ns < BBI_STEWARD_EVERY_NS) {
        return;
    }
    sub->kept_house_ns = now;
    sub->must_discover = sub->must_discover || sub->must_retry;
    sub->must_retry = false;
    if (sub->is_registered) {
        if ((sub->ep->flags & BB_ATTACH_CAPTURE) == 0) {
            bbi_endpoint_scan(sub->ep, BBI_STEWARD_EVERY_NS);
        }
        write_stats(sub, now);
    }
    bbi_members_look_again(sub);
    if (sub->at->probe_fd >= 0
        && now - (int64_t)bbi_load_relaxed(&sub->at->bus->steward_ns.v) > BBI_STEWARD_STALE_NS) {
        bbi_members_look_for_dead(sub); /* no steward, or a stopped one */
    }
}

/* Before each sweep: what the caller held is given back, a ping answered. */
static inline void
begin_poll(struct bb_subscriber *sub)
{
    (void)bbi_given_settle(sub);
    if (sub->is_registered
        && BBI_UNLIKELY(bbi_load_relaxed(&sub->at->bus->bells[sub->file.index].ping)
                        != sub->ping)) {
        answer_ping(sub);
    }
    if (BBI_UNLIKELY(++sub->polls % HOUSE_POLLS == 0)) {
        bbi_poll_keep_house(sub);
    }
}

static void
finish(struct bb_subscriber *sub)
{
    if ((sub->must_finish & BBI_FINISH_ENDED) != 0) {
        bool again = bbi_sources_drop_ended(sub, false);
        again = bbi_members_finish(sub) || again;
        sub->must_finish &= (uint8_t)~BBI_FINISH_ENDED;
        sub->must_finish |= again ? BBI_FINISH_ENDED : 0;
    }
    if ((sub->must_finish & BBI_FINISH_REQUESTS) != 0) {
        bbi_requests_check(sub);
    }
}

/* Rings and members that came or went since the last look. */
static void
discover(struct bb_subscriber *sub)
{
    uint64_t epoch = bbi_load_seq_cst(&sub->at->bus->member_epoch.v); /* R8 */
    if (BBI_UNLIKELY(epoch != sub->member_epoch || sub->must_discover) && sub->dead_node == NULL) {
        bbi_sources_discover(sub);
    }
    if (sub->must_finish != 0) {
        finish(sub);
    }
}

/* ---- poll ---- */

/*
 * A reader that is faster than its publisher gets a few messages a poll, and each look takes a line away that
 * is being written: both then go at the speed of the lines.  So when a stream comes in small pieces it is let
 * grow before the next look: longer as long as they stay small, and no longer when nothing came.
 */
static inline void
note_pace(struct bb_subscriber *sub, size_t most, bool is_full)
{
    size_t n = sub->given_messages;
    if (n == 0) {
        sub->rest /= 4;
    } else if (!is_full && n < most / 4 * 3 && sub->given_bytes < THIN_BYTES) {
        sub->rest += sub->rest < REST_MOST;
    } else {
        sub->rest -= sub->rest > REST_FROM;
    }
}

static bool
is_finished_tap(const struct bb_subscriber *sub)
{
    return sub->dead_node != NULL && sub->sources == NULL && sub->events == NULL;
}

/* Nothing was there and nobody waits: only what is due.  0, or a status. */
static int
look_around(struct bb_subscriber *sub)
{
    sub->empty_polls++;
    sub->must_peek = sub->empty_polls % PEEK_POLLS == 0;
    if (sub->empty_polls % HOUSE_POLLS == 1) {
        bbi_poll_keep_house(sub);
    }
    if (sub->is_out_of_memory) {
        sub->is_out_of_memory = false;
        return BB_ENOMEM;
    }
    return is_finished_tap(sub) ? BB_EEND : 0;
}

/* Nothing was there: what there is to do now, and then waiting.  1: sweep again; 0 or a status: return it. */
static int
wait_for_more(struct bb_subscriber *sub, int64_t timeout_ns, int64_t *deadline)
{
    if (bbi_wait_looks(sub)) {
        return 1;
    }
    sub->must_peek = true; /* before we sleep */
    bbi_poll_keep_house(sub);
    if (is_finished_tap(sub) || sub->is_out_of_memory) {
        bool is_out = sub->is_out_of_memory;
        sub->is_out_of_memory = false;
        return is_out ? BB_ENOMEM : BB_EEND;
    }
    int64_t now = bbi_os_mono_ns();
    if (*deadline == 0) {
        *deadline = timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
    }
    if (now >= *deadline || sub->was_interrupted) {
        return 0;
    }
    int64_t next = bbi_min_i64(*deadline, bbi_requests_next_ns(sub));
    if (next > now && !bbi_wait_has_news(sub)) {
        bbi_wait_once(sub, next);
    }
    return 1;
}

static int
poll_until(struct bb_subscriber *sub, const struct bbi_out *to, int64_t timeout_ns)
{
    int64_t deadline = 0;
    for (;;) {
        struct bbi_out out = *to;
        discover(sub);
        sweep(sub, &out);
        size_t n = to->room - out.room;
        note_pace(sub, to->has_bursts || to->room > VISIT_MSGS_FEW ? VISIT_MSGS_FEW : to->room,
                  out.room == 0);
        if (BBI_LIKELY(n > 0)) {
            sub->was_busy = true;
            return (int)n;
        }
        int rc = timeout_ns == 0 ? look_around(sub) : wait_for_more(sub, timeout_ns, &deadline);
        if (rc <= 0) {
            return rc;
        }
        begin_poll(sub);
    }
}

/* What a callback's early stop left of the last batch; still valid.  Inside a callback nobody may poll. */
static int
hand_out_held(struct bb_subscriber *sub, struct bbi_out *out)
{
    if (bbi_is_dispatching(sub)) {
        return BB_EBUSY;
    }
    int n = 0;
    for (; out->room > 0 && sub->held_at != sub->held_count; n++) {
        *out->next = sub->held[sub->held_at++];
        bbi_out_one(out);
    }
    return n;
}

static int
poll_to(struct bb_subscriber *sub, struct bbi_out out, int64_t timeout_ns)
{
    size_t max = out.room;
    if (bbi_is_forked(sub->fork_gen)) {
        return BB_EFORKED;
    }
    if (BBI_UNLIKELY(max == 0 || max > INT32_MAX)) {
        return BB_EINVAL;
    }
    if (BBI_UNLIKELY(sub->held_at != sub->held_count)) {
        int held = hand_out_held(sub, &out);
        if (held >= 0 && out.room > 0) {
            bbi_loop_poke(sub); /* fewer than max, and nobody has looked into the rings */
        }
        return held;
    }
    begin_poll(sub);
    if (BBI_UNLIKELY(sub->rest > REST_FROM) && sub->epoll_fd < 0) { /* a loop polls when told to */
        bbi_wait_rest(sub->rest - REST_FROM);
    }
    int rc = max <= sub->given_capacity ? 0 : bbi_given_reserve(sub, max);
    if (rc < 0) {
        return rc;
    }
    sub->was_interrupted = false;
    if (BBI_LIKELY(sub->epoll_fd < 0)) {
        return poll_until(sub, &out, timeout_ns);
    }
    bbi_loop_enter(sub);
    rc = poll_until(sub, &out, timeout_ns);
    bbi_loop_leave(sub, rc == (int)max);
    return rc;
}

int
bb_poll(struct bb_subscriber *sub, struct bb_msg *msgs, size_t max, int64_t timeout_ns)
{
    return poll_to(sub, (struct bbi_out){.next = msgs, .room = max}, timeout_ns);
}

int
bb_poll_bursts(struct bb_subscriber *sub, struct bb_burst *bursts, size_t max, int64_t timeout_ns)
{
    struct bbi_out out = {.next = &bursts->first, .room = max, .has_bursts = true};
    return poll_to(sub, out, timeout_ns);
}

/* Calls back for each of them, until one says stop; how many. */
static int
call_back(struct bb_subscriber *sub, const struct bb_msg *msgs, int n, bb_msg_cb cb, void *user)
{
    uint32_t at = sub->held_at, count = sub->held_count;
    int done = 0, stop = 0;
    sub->held_at = 1; /* bbi_is_dispatching() */
    sub->held_count = 0;
    while (done < n && stop == 0) {
        stop = cb(&msgs[done++], user);
    }
    sub->held_at = at;
    sub->held_count = count;
    return stop != 0 ? -done : done;
}

/* The last `left` of msgs were not handed out: the next poll gives them. */
static void
hold(struct bb_subscriber *sub, const struct bb_msg *msgs, uint32_t left, bool were_held)
{
    if (were_held) { /* there they are, and perhaps others behind them */
        sub->held_at -= left;
    } else {
        sub->held_at = 0;
        sub->held_count = left;
        memcpy(sub->held, msgs, left * sizeof(*msgs));
    }
    if (left > 0) {
        bbi_loop_poke(sub);
    }
}

int
bb_dispatch(struct bb_subscriber *sub, size_t max, int64_t timeout_ns, bb_msg_cb cb, void *user)
{
    struct bb_msg msgs[BBI_HELD];
    size_t total = 0;
    while (total < max) {
        size_t want = max - total < BBI_HELD ? max - total : BBI_HELD;
        bool were_held = sub->held_at < sub->held_count;
        int n = bb_poll(sub, msgs, want, total == 0 ? timeout_ns : 0);
        if (n <= 0) {
            return total > 0 ? (int)total : n;
        }
        int done = call_back(sub, msgs, n, cb, user);
        if (done < 0) {
            done = -done;
            hold(sub, msgs + done, (uint32_t)(n - done), were_held);
            return (int)total + done;
        }
        total += (size_t)done;
    }
    return (int)total;
}

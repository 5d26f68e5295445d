/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/poll.c - gather messages from all rings, hand them out, wait for more.
 *
 * A sweep visits the rings round robin, each with a budget, beginning where the last one ended.  Nothing is
 * handed out before it was checked: copies are made and then validated, views are checked again at release.
 */
#include "lib/endpoint/subscriber_impl.h"
#include "shm/os.h"
#include "shm/steward.h"
#include <stdlib.h>
#include <string.h>

enum {
    VISIT_MSGS = 64,
    VISIT_BYTES = 64 * 1024,
    SKIP_BUDGET = 1024, /* descriptors that a visit may skip */
    ARENA_FIRST = 256 * 1024,
    HOUSE_POLLS = 256, /* busy pollers look at the clock this seldom */
    SPIN_NS = 20000,
    SPIN_LOOKS = 16, /* between two looks at the clock */
    BRIEF_SLEEP_NS = 1000000,
    ALIGN = 8,
    ARENA_SLACK = 4 * ALIGN, /* a message is copied in two parts at most, each rounded up */
    LAP_COST = 64,           /* of the budget: a hostile ring could look lapped for ever */
};

bool
bbi_subscriber_wants(const struct bb_subscriber *sub, const char *topic, size_t bytes)
{
    return bbi_filter_set_match(&sub->filters, topic, bytes);
}

/* ---- the arena of copies ---- */

enum taken { TAKEN_GIVEN, TAKEN_SKIPPED, TAKEN_LOST, TAKEN_FULL };

/* Room for all copies of one message; what was handed out already never moves. */
static enum taken
arena_reserve(struct bb_subscriber *sub, size_t bytes)
{
    size_t need = bytes + ARENA_SLACK;
    if (sub->arena_capacity - sub->arena_used >= need) {
        return TAKEN_GIVEN;
    }
    if (sub->given_count > 0) {
        return TAKEN_FULL;
    }
    size_t capacity = sub->arena_capacity != 0 ? sub->arena_capacity : ARENA_FIRST;
    while (capacity < need) {
        capacity *= 2;
    }
    unsigned char *arena = realloc(sub->arena, capacity);
    if (arena == NULL) {
        sub->is_out_of_memory = true;
        return TAKEN_FULL;
    }
    sub->arena = arena;
    sub->arena_capacity = capacity;
    return TAKEN_GIVEN;
}

/* A part of what was reserved. */
static unsigned char *
arena_take(struct bb_subscriber *sub, size_t bytes)
{
    unsigned char *p = sub->arena + sub->arena_used;
    sub->arena_used += bbi_align_up(bytes, ALIGN);
    BBI_ASSERT(sub->arena_used <= sub->arena_capacity);
    return p;
}

/* ---- handing out ---- */

static struct bbi_given *
give(struct bb_subscriber *sub)
{
    return &sub->given[sub->given_count++];
}

static void
give_status(struct bb_subscriber *sub, struct bb_msg *msg, struct bbi_event *ev)
{
    struct bbi_given *g = give(sub);
    *g = (struct bbi_given){.status = ev->status};
    memcpy(g->node, ev->name, sizeof(g->node));
    *msg = (struct bb_msg){.topic = "",
                           .data = "",
                           .node = g->node,
                           .node_id = ev->node_id,
                           .wall_ns = bbi_os_wall_ns(),
                           .status = &g->status};
}

static size_t
give_events(struct bb_subscriber *sub, struct bb_msg *msgs, size_t max)
{
    size_t n = 0;
    while (n < max && sub->events != NULL) {
        struct bbi_event *ev = sub->events;
        sub->events = ev->next;
        if (sub->events == NULL) {
            sub->events_end = &sub->events;
        }
        give_status(sub, &msgs[n++], ev);
        free(ev);
    }
    return n;
}

static void
note_loss(struct bb_subscriber *sub, struct bbi_source *src, uint64_t lost)
{
    src->lost_before += lost;
    bbi_event_add(sub, BB_STATUS_OVERRUN, src->node, bbi_node_id(src->member, src->member_gen), 0,
                  0, lost);
}

/* The topic in front of a payload, copied; the item then holds the rest.  TAKEN_SKIPPED: not wanted. */
static enum taken
take_spilled_topic(struct bb_subscriber *sub,
                   struct bbi_source *src,
                   struct bbi_item *item,
                   struct bb_msg *msg)
{
    uint32_t head[2] = {0, 0};
    if (item->bytes >= sizeof(head)) {
        bbi_copy_racy(head, item->data, sizeof(head));
    }
    uint64_t skip = sizeof(head) + bbi_align_up(head[0], 8);
    if (head[0] > BB_TOPIC_MAX || skip > item->bytes) {
        return bbi_reader_is_whole(&src->reader, item->pos) ? TAKEN_SKIPPED : TAKEN_LOST;
    }
    unsigned char *copy = arena_take(sub, head[0]);
    bbi_copy_racy(copy, item->data + sizeof(head), head[0]);
    if (!bbi_reader_is_whole(&src->reader, item->pos)) { /* R2: before it is believed */
        return TAKEN_LOST;
    }
    if (!bbi_subscriber_wants(sub, (const char *)copy, head[0])) {
        return TAKEN_SKIPPED;
    }
    msg->topic = (const char *)copy;
    msg->topic_bytes = head[0];
    item->data += skip;
    item->bytes -= (uint32_t)skip;
    return TAKEN_GIVEN;
}

static enum taken
take_data(struct bb_subscriber *sub,
          struct bbi_source *src,
          const struct bbi_item *item,
          struct bb_msg *msg)
{
    msg->data = item->data;
    msg->bytes = item->bytes;
    if (!sub->is_copying) {
        return TAKEN_GIVEN;
    }
    unsigned char *copy = arena_take(sub, item->bytes);
    bbi_copy_racy(copy, item->data, item->bytes);
    if (!bbi_reader_is_whole(&src->reader, item->pos)) { /* R2 */
        return TAKEN_LOST;
    }
    msg->data = copy;
    return TAKEN_GIVEN;
}

static enum taken
take(struct bb_subscriber *sub, struct bbi_source *src, struct bbi_item *item, struct bb_msg *msg)
{
    bool is_copied = sub->is_copying || item->tag == BBI_TAG_SPILL;
    enum taken t = is_copied ? arena_reserve(sub, item->bytes) : TAKEN_GIVEN;
    uint32_t topic_bytes = 0;
    if (t != TAKEN_GIVEN) {
        return t;
    }
    *msg = (struct bb_msg){.node = src->node};
    if (item->tag == BBI_TAG_SPILL) {
        t = take_spilled_topic(sub, src, item, msg);
    } else if (bbi_reader_topic(&src->reader.map, item->tag, &msg->topic, &topic_bytes) == 0) {
        msg->topic_bytes = topic_bytes;
    }
    return t == TAKEN_GIVEN ? take_data(sub, src, item, msg) : t;
}

static void
finish(struct bb_subscriber *sub,
       struct bbi_source *src,
       const struct bbi_item *item,
       struct bb_msg *msg)
{
    struct bbi_given *g = give(sub);
    g->source = src;
    g->pos = item->pos;
    g->seq = item->seq;
    g->data = msg->data;
    msg->node_id = bbi_node_id(src->member, src->member_gen);
    msg->seq = item->seq;
    msg->wall_ns = bbi_reader_wall_ns(&src->reader, item->seq, item->ts);
    msg->lost = src->lost_before;
    msg->attr = item->attr;
    msg->ring = src->index;
    src->lost_before = 0;
    src->delivered++;
    src->refs++;
    src->unpublished_bytes += item->bytes;
    bbi_reader_pass(&src->reader, item->tag);
}

/* ---- one ring ---- */

static void
look_for_eviction(struct bb_subscriber *sub, struct bbi_source *src)
{
    uint32_t why;
    if (!src->has_joined || !sub->is_registered || !bbi_join_evicted(&src->join, &why)) {
        return;
    }
    src->evictions++;
    sub->evicted++;
    bbi_event_add(sub, BB_STATUS_EVICTED, src->node, bbi_node_id(src->member, src->member_gen), 0,
                  0, src->evictions);
    if (why == BBI_EVICT_UNMAPPED) {
        src->join.is_reliable =
            false; /* that publisher cannot look at our cursor: asking again is no use */
    } else {
        bbi_join_again(&src->join, &src->reader);
    }
}

/* Nothing more to read now. */
static void
at_tail(struct bb_subscriber *sub, struct bbi_source *src)
{
    struct bbi_reader *r = &src->reader;
    if (!r->is_based || r->unsettled != 0) {
        (void)bbi_source_learn_all(sub, src); /* also topics that we know of by what we lost only */
        (void)bbi_reader_rebase(r);
        (void)bbi_reader_settle(r, src->has_ended);
    }
    if (sub->is_copying || src->refs == 0) {
        bbi_source_publish_cursor(sub, src, true);
    }
    src->is_drained = true;
}

static void
corrupt(struct bb_subscriber *sub, struct bbi_source *src)
{
    bbi_event_add(sub, BB_STATUS_CORRUPT, src->node, bbi_node_id(src->member, src->member_gen), 0,
                  0, 0);
    if (src->index < BBI_RINGS) {
        sub->past_keys[src->index] = src->key;
    }
    sub->unreadable++;
    bbi_source_end(sub, src); /* the others go on */
    src->is_drained = true;
}

/* What next said; true when the visit goes on. */
static bool
after_next(struct bb_subscriber *sub, struct bbi_source *src, int rc, const struct bbi_item *item)
{
    switch (rc) {
    case BBI_READ_NONE:
        at_tail(sub, src);
        return false;
    case BBI_READ_TAG:
        if (bbi_source_learn_tags(sub, src, item->tag) < 0) {
            corrupt(sub, src);
            return false;
        }
        return true;
    case BB_EOVERRUN:
        note_loss(sub, src, item->seq);
        return sub->events == NULL; /* told before what comes after */
    case BBI_READ_MORE:
        return false;
    default:
        corrupt(sub, src);
        return false;
    }
}

static size_t
visit(struct bb_subscriber *sub, struct bbi_source *src, struct bb_msg *msgs, size_t max)
{
    uint32_t budget = SKIP_BUDGET;
    size_t n = 0, bytes = 0;
    struct bbi_item item;
    max = max < VISIT_MSGS ? max : VISIT_MSGS;
    src->is_drained = false;
    look_for_eviction(sub, src);
    while (n < max && bytes < VISIT_BYTES && sub->events == NULL) {
        int rc = bbi_reader_next(&src->reader, &item, &budget);
        if (rc != BBI_READ_ITEM) {
            if (!after_next(sub, src, rc, &item)) {
                break;
            }
            budget -= rc == BB_EOVERRUN && budget > LAP_COST ? LAP_COST : budget / 2;
            continue;
        }
        size_t arena_used = sub->arena_used;
        enum taken t = take(sub, src, &item, &msgs[n]);
        if (t == TAKEN_GIVEN) {
            finish(sub, src, &item, &msgs[n++]);
            bytes += item.bytes;
            continue;
        }
        sub->arena_used = arena_used;
        if (t == TAKEN_FULL) {
            break;
        }
        budget--; /* next() took nothing off for this one */
        if (t == TAKEN_LOST) {
            note_loss(sub, src, bbi_reader_overrun(&src->reader));
        } else {
            src->reader.filtered++;
            bbi_reader_pass(&src->reader, item.tag);
        }
    }
    if (sub->is_copying) {
        bbi_source_publish_cursor(sub, src, false);
    }
    return n;
}

/* One round over all rings. */
static size_t
sweep(struct bb_subscriber *sub, struct bb_msg *msgs, size_t max)
{
    size_t n = give_events(sub, msgs, max);
    struct bbi_source *first = sub->turn != NULL ? sub->turn : sub->sources;
    struct bbi_source *src = first;
    while (src != NULL && n < max) {
        n += visit(sub, src, msgs + n, max - n);
        if (sub->events != NULL) {
            n += give_events(sub, msgs + n, max - n);
        }
        src = src->next != NULL ? src->next : sub->sources;
        if (src == first) {
            break;
        }
    }
    sub->turn = src;
    return n;
}

/* ---- release ---- */

void
bbi_poll_settle_given(struct bb_subscriber *sub, int *overwritten)
{
    sub->arena_used = 0;
    if (sub->given_count == 0) {
        return;
    }
    bbi_fence_acquire(); /* R2: what the caller read is read by now */
    for (size_t i = 0; i < sub->given_count; i++) {
        struct bbi_source *src = sub->given[i].source;
        if (src == NULL) {
            continue;
        }
        src->refs--;
        if (!sub->is_copying && !bbi_reader_is_whole(&src->reader, sub->given[i].pos)) {
            src->delivered--;
            src->reader.lost++; /* its topic was wanted: it needs no sorting */
            src->lost_before++;
            ++*overwritten;
        }
        if (!sub->is_copying && src->refs == 0) {
            bbi_source_publish_cursor(sub, src, src->is_drained);
        }
    }
    sub->given_count = 0;
}

int
bb_release(struct bb_subscriber *sub)
{
    int overwritten = 0;
    if (bbi_is_forked(sub->fork_gen)) {
        return BB_EFORKED;
    }
    bbi_poll_settle_given(sub, &overwritten);
    sub->held_at = sub->held_count = 0;
    return overwritten;
}

int
bb_msg_valid(const struct bb_subscriber *sub, const struct bb_msg *msg)
{
    if (bbi_is_forked(sub->fork_gen)) {
        return 0;
    }
    if (sub->is_copying || msg->status != NULL) {
        return 1;
    }
    bbi_fence_acquire(); /* R2 */
    for (size_t i = 0; i < sub->given_count; i++) {
        const struct bbi_given *g = &sub->given[i];
        if (g->source != NULL && g->seq == msg->seq && g->data == msg->data) {
            return bbi_reader_is_whole(&g->source->reader, g->pos);
        }
    }
    return 0;
}

/* ---- housekeeping ---- */

static void
answer_ping(struct bb_subscriber *sub)
{
    uint32_t ping = bbi_load_relaxed(&sub->at->bus->bells[sub->file.index].ping);
    if (ping != sub->ping) {
        struct bbi_sub *file = sub->file.seg.base;
        sub->ping = ping;
        bbi_store_release(&file->pong, ping); /* R6: pairs with wait_for_pong() */
        (void)bbi_os_futex_wake(&file->pong, 64);
    }
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

/* Twice a second at most: tidy up after others, look for the dead, say that we live. */
static void
keep_house(struct bb_subscriber *sub)
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

static void
begin_poll(struct bb_subscriber *sub)
{
    int overwritten = 0;
    bbi_poll_settle_given(sub, &overwritten);
    if (sub->is_registered) {
        answer_ping(sub);
    }
    if (++sub->polls % HOUSE_POLLS == 0) {
        keep_house(sub);
    }
}

/* Rings and members that came or went since the last look. */
static void
discover(struct bb_subscriber *sub)
{
    if (sub->dead_node == NULL) {
        bbi_sources_discover(sub);
    }
    if (sub->must_finish) {
        sub->must_finish = bbi_sources_drop_ended(sub, false);
        sub->must_finish = bbi_members_finish(sub) || sub->must_finish;
    }
}

/* ---- waiting ---- */

bool
bbi_poll_has_news(struct bb_subscriber *sub)
{
    struct bbi_bus *bus = sub->at->bus;
    if (bbi_load_seq_cst(&bus->member_epoch.v) != sub->member_epoch || sub->must_discover
        || sub->events != NULL
        || (sub->is_registered
            && bbi_load_relaxed(&bus->bells[sub->file.index].ping) != sub->ping)) {
        return true;
    }
    for (struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        uint64_t tail =
            bbi_load_seq_cst(&s->reader.map.hdr->tail_seq); /* R5: after the bit was set */
        if (bbi_is_before(s->reader.cursor, tail) || !bbi_reader_is_at_tail(&s->reader)
            || (s->has_ended && s->is_drained)) {
            return true;
        }
    }
    return false;
}

static void
sleep_armed(struct bb_subscriber *sub, int64_t left_ns)
{
    uint32_t idx = sub->file.index;
    int rc = bbi_wake_arm(sub->at->bus, idx, BBI_BELL_FUTEX);
    if (!bbi_poll_has_news(sub)) {
        int64_t most_ns = rc < 0 && left_ns > BRIEF_SLEEP_NS ? BRIEF_SLEEP_NS : left_ns;
        sub->was_interrupted = bbi_wake_sleep(sub->at->bus, idx, most_ns) == -EINTR;
        sub->wakes++;
    }
    bbi_wake_disarm(sub->at->bus, idx);
    bbi_wake_pass_on(sub->at->bus, &sub->waker);
}

static bool
spin(struct bb_subscriber *sub, int64_t until_ns)
{
    do {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (bbi_poll_has_news(sub)) {
                return true;
            }
            bbi_cpu_relax();
        }
    } while (bbi_os_mono_ns() < until_ns);
    return false;
}

/*
 * SPIN always, HYBRID once after something came: where messages come often the next one is near, and a bus
 * that is idle costs no spinning.  True when there is no need to sleep.
 */
static bool
spin_first(struct bb_subscriber *sub, int64_t now, int64_t deadline)
{
    bool always = sub->wait_mode == BB_WAIT_SPIN;
    if (!always && (sub->wait_mode != BB_WAIT_HYBRID || !sub->was_busy)) {
        return false;
    }
    int64_t until = now + (always ? BRIEF_SLEEP_NS : SPIN_NS);
    sub->was_busy = false;
    return spin(sub, until < deadline ? until : deadline) || always;
}

/* Waits a while, at most until deadline; whoever calls sweeps again. */
static void
wait_once(struct bb_subscriber *sub, int64_t deadline)
{
    int64_t now = bbi_os_mono_ns();
    int64_t left = deadline - now;
    if (spin_first(sub, now, deadline)) {
        return;
    }
    if (sub->wait_mode == BB_WAIT_PERIODIC || !sub->is_registered) {
        int64_t most_ns = sub->period_ns < left ? sub->period_ns : left;
        sub->was_interrupted = bbi_os_sleep_ns(most_ns) == -EINTR;
    } else {
        sleep_armed(sub, left);
    }
}

static bool
is_finished_tap(const struct bb_subscriber *sub)
{
    return sub->dead_node != NULL && sub->sources == NULL && sub->events == NULL;
}

static int
make_given(struct bb_subscriber *sub, size_t max)
{
    if (max > sub->given_capacity) {
        struct bbi_given *given = realloc(sub->given, max * sizeof(*given));
        if (given == NULL) {
            return BB_ENOMEM;
        }
        sub->given = given;
        sub->given_capacity = max;
    }
    return 0;
}

static int
poll_until(struct bb_subscriber *sub, struct bb_msg *msgs, size_t max, int64_t timeout_ns)
{
    int64_t deadline = 0;
    sub->was_interrupted = false;
    for (;;) {
        discover(sub);
        size_t n = sweep(sub, msgs, max);
        if (n > 0) {
            sub->was_busy = true;
            return (int)n;
        }
        keep_house(sub);
        if (is_finished_tap(sub) || sub->is_out_of_memory) {
            bool is_out = sub->is_out_of_memory;
            sub->is_out_of_memory = false;
            return is_out ? BB_ENOMEM : BB_EEND;
        }
        if (timeout_ns == 0) {
            return 0;
        }
        int64_t now = bbi_os_mono_ns();
        if (deadline == 0) {
            deadline =
                timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
        }
        if (now >= deadline || sub->was_interrupted) {
            return 0;
        }
        if (!bbi_poll_has_news(sub)) {
            wait_once(sub, deadline);
        }
        begin_poll(sub);
    }
}

/* What a callback's early stop left of the last batch; still valid. */
static int
hand_out_held(struct bb_subscriber *sub, struct bb_msg *msgs, size_t max)
{
    size_t n = sub->held_count - sub->held_at;
    n = n < max ? n : max;
    memcpy(msgs, sub->held + sub->held_at, n * sizeof(*msgs));
    sub->held_at += (uint32_t)n;
    return (int)n;
}

int
bb_poll(struct bb_subscriber *sub, struct bb_msg *msgs, size_t max, int64_t timeout_ns)
{
    if (bbi_is_forked(sub->fork_gen)) {
        return BB_EFORKED;
    }
    if (max == 0 || max > INT32_MAX) {
        return BB_EINVAL;
    }
    if (sub->held_at < sub->held_count) {
        return hand_out_held(sub, msgs, max);
    }
    begin_poll(sub);
    int rc = make_given(sub, max);
    if (rc < 0) {
        return rc;
    }
    bbi_loop_enter(sub);
    rc = poll_until(sub, msgs, max, timeout_ns);
    bbi_loop_leave(sub, rc == (int)max);
    return rc;
}

int
bb_dispatch(struct bb_subscriber *sub, size_t max, int64_t timeout_ns, bb_msg_cb cb, void *user)
{
    struct bb_msg msgs[BBI_HELD];
    size_t done = 0;
    while (done < max) {
        size_t want = max - done < BBI_HELD ? max - done : BBI_HELD;
        int n = bb_poll(sub, msgs, want, done == 0 ? timeout_ns : 0);
        if (n <= 0) {
            return done > 0 ? (int)done : n;
        }
        for (int i = 0; i < n; i++) {
            done++;
            if (cb(&msgs[i], user) != 0) {
                sub->held_at = 0;
                sub->held_count = (uint32_t)(n - i - 1);
                memcpy(sub->held, &msgs[i + 1], sub->held_count * sizeof(*msgs));
                bbi_loop_poke(sub);
                return (int)done;
            }
        }
    }
    return (int)done;
}

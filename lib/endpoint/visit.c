/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/visit.c - one ring: take what is there, at most so much, and make messages of it.
 *
 * Nothing is handed out before it was checked: copies are made and then validated, views are checked again
 * at release.  What a view needs is all in the descriptor and in what we keep of its topic, so a message
 * costs no look at another line of the publisher's.
 */
#include "lib/endpoint/bridged_impl.h"
#include "lib/endpoint/request_impl.h"
#include <stdlib.h>
#include <string.h>

enum {
    SKIP_BUDGET = 1024, /* descriptors that a visit may skip */
    ARENA_VISITS = 4,
    ALIGN = 8,
    /* A message is copied in three parts at most, each rounded up; an address gets longer on the way. */
    ARENA_SLACK = 4 * ALIGN + (int)sizeof(struct bbi_letter),
    MAX_TROUBLES = 16,     /* of a visit: new topics, laps */
    PREFETCHED_BYTES = 64, /* by one hint */
    PREFETCHED_MOST = 512, /* larger payloads are left to the processor */
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
    if (sub->arena_used > 0) {
        return TAKEN_FULL;
    }
    size_t capacity =
        sub->arena_capacity != 0 ? sub->arena_capacity : ARENA_VISITS * sub->visit_bytes;
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

/* Also as a view: its topic or its origin travels with it. */
static inline bool
needs_arena(const struct bbi_item *item)
{
    return item->tag == BBI_TAG_SPILL || (item->attr & BB_BRIDGED) != 0;
}

/* ---- one message ---- */

static void
note_loss(struct bb_subscriber *sub, struct bbi_source *src, uint64_t lost)
{
    src->lost_before += lost;
    struct bbi_event *ev =
        bbi_event_add(sub, BB_STATUS_OVERRUN, src->node, src->from.node_id, 0, 0, lost);
    if (ev != NULL) {
        ev->ring = src->index;
        ev->seq = src->reader.cursor - src->reader.map.depth; /* the one before the cursor */
    }
}

/* The time of messages with another stamp than the one before. */
static BBI_NOINLINE int64_t
turn_clock(struct bbi_source *src, uint64_t seq, uint32_t ts)
{
    src->last_wall_ns = bbi_reader_wall_ns(&src->reader, seq, ts);
    src->last_ts = ts;
    uint64_t seen = src->clock_end > seq ? src->clock_end : seq + 1;
    src->last_ts_until = bbi_min_u64(bbi_reader_anchor_end(&src->reader), seen);
    return src->last_wall_ns;
}

static inline int64_t
wall_ns_of(struct bbi_source *src, uint64_t seq, uint32_t ts)
{
    if (BBI_UNLIKELY(seq >= src->last_ts_until)) {
        return turn_clock(src, seq, ts);
    }
    /* The anchor is the same: so much later, or earlier, than the one before. */
    int64_t later = (int64_t)(int32_t)(ts - src->last_ts) * (1 << BBI_TS_SHIFT);
    src->last_wall_ns = (int64_t)((uint64_t)src->last_wall_ns + (uint64_t)later); /* hostile, too */
    src->last_ts = ts;
    return src->last_wall_ns;
}

/* All of a message but its topic. */
static inline void
fill_message(struct bbi_source *src, const struct bbi_item *item, struct bb_msg *msg)
{
    msg->data = item->data;
    msg->bytes = item->bytes;
    msg->node = src->node;
    msg->node_id = src->from.node_id;
    msg->seq = item->seq;
    msg->wall_ns = wall_ns_of(src, item->seq, item->ts);
    msg->lost = src->lost_before;
    msg->attr = item->attr;
    msg->ring = src->index;
    msg->status = NULL;
    src->lost_before = 0;
}

static inline void
fill_topic(const struct bbi_source *src, const struct bbi_item *item, struct bb_msg *msg)
{
    const struct bbi_tag *t = &src->reader.tags[item->tag];
    msg->topic = src->reader.map.text + t->text_off;
    msg->topic_bytes = t->text_bytes;
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
    item->data += skip;
    item->bytes -= (uint32_t)skip;
    if ((sub->flags & BB_SUBSCRIBER_STATUS) != 0 && bbi_is_link_topic(copy, head[0])) {
        return bbi_link_status_take(sub, src, item) == BB_EOVERRUN ? TAKEN_LOST : TAKEN_SKIPPED;
    }
    if ((item->attr & BB_BRIDGED) != 0 && bb_topic_is_reserved((const char *)copy, head[0])) {
        return TAKEN_SKIPPED; /* requests, stores: nothing of these is from elsewhere */
    }
    if (bbi_is_addressed(copy, head[0])) {
        int rc = bbi_address_take(sub, src, item, msg);
        return rc == BB_EOVERRUN ? TAKEN_LOST : rc != 0 ? TAKEN_GIVEN : TAKEN_SKIPPED;
    }
    if (!bbi_subscriber_wants(sub, (const char *)copy, head[0])) {
        return TAKEN_SKIPPED;
    }
    msg->topic = (const char *)copy;
    msg->topic_bytes = head[0];
    return TAKEN_GIVEN;
}

/* The item then holds the copy.  In line, so that the item of a visit stays in registers. */
static BBI_INLINE enum taken
take_copy(struct bb_subscriber *sub, struct bbi_source *src, struct bbi_item *item)
{
    unsigned char *copy = arena_take(sub, item->bytes);
    bbi_copy_racy(copy, item->data, item->bytes);
    if (!bbi_reader_is_whole(&src->reader, item->pos)) { /* R2 */
        return TAKEN_LOST;
    }
    item->data = copy;
    return TAKEN_GIVEN;
}

/* What follows the topic: of a message from elsewhere where it is from, and the payload. */
static enum taken
take_rest(struct bb_subscriber *sub,
          struct bbi_source *src,
          struct bbi_item *item,
          struct bb_msg *msg)
{
    struct bbi_bridged bridged = {.copy = NULL};
    enum taken t = TAKEN_GIVEN;
    if ((item->attr & BB_BRIDGED) != 0) {
        int rc = bbi_bridged_take(sub, src, item, &bridged);
        t = rc == BB_EOVERRUN ? TAKEN_LOST : rc != 0 ? TAKEN_GIVEN : TAKEN_SKIPPED;
    }
    if (t == TAKEN_GIVEN && sub->is_copying) {
        t = take_copy(sub, src, item);
    }
    if (t == TAKEN_GIVEN) {
        fill_message(src, item, msg);
        if (bridged.copy != NULL) {
            bbi_bridged_given(&bridged, msg);
        }
    }
    return t;
}

/* A message from elsewhere whose topic the dictionary holds. */
static BBI_NOINLINE enum taken
take_bridged(struct bb_subscriber *sub,
             struct bbi_source *src,
             struct bbi_item *item,
             struct bb_msg *msg)
{
    enum taken t = arena_reserve(sub, sub->is_copying ? item->bytes : BBI_ORIGIN_BYTES_MAX);
    if (t == TAKEN_GIVEN) {
        fill_topic(src, item, msg);
        t = take_rest(sub, src, item, msg);
    }
    return t;
}

/* A message whose topic travels with it.  A reply gets the topic of its request, which may be longer than it. */
static BBI_NOINLINE enum taken
take_spilled(struct bb_subscriber *sub,
             struct bbi_source *src,
             struct bbi_item *item,
             struct bb_msg *msg)
{
    enum taken t = arena_reserve(sub, item->bytes + sub->request_topic_bytes);
    if (t == TAKEN_GIVEN) {
        t = take_spilled_topic(sub, src, item, msg);
    }
    if (t == TAKEN_GIVEN) {
        t = take_rest(sub, src, item, msg);
    }
    if (t == TAKEN_GIVEN && (item->attr & BBI_MSG_ADDRESSED) != 0) {
        bbi_address_given(sub, msg);
    }
    return t;
}

/* A message that needs the arena: a copy, or one whose topic or origin travels with it. */
static enum taken
take_into_arena(struct bb_subscriber *sub,
                struct bbi_source *src,
                struct bbi_item *item,
                struct bb_msg *msg)
{
    size_t arena_used = sub->arena_used;
    enum taken t;
    if (BBI_UNLIKELY(needs_arena(item))) {
        struct bbi_item taken = *item; /* whoever knows the item's address keeps it in memory */
        t = item->tag == BBI_TAG_SPILL ? take_spilled(sub, src, &taken, msg)
                                       : take_bridged(sub, src, &taken, msg);
        item->bytes = taken.bytes;
    } else {
        t = arena_reserve(sub, item->bytes);
        if (t == TAKEN_GIVEN) {
            fill_topic(src, item, msg);
            t = take_copy(sub, src, item);
        }
        if (t == TAKEN_GIVEN) {
            fill_message(src, item, msg);
        }
    }
    if (t != TAKEN_GIVEN) {
        sub->arena_used = arena_used;
        sub->origin_end = sub->origin_end > arena_used ? 0 : sub->origin_end;
    }
    return t;
}

/* ---- what is not a message ---- */

static void
look_for_eviction(struct bb_subscriber *sub, struct bbi_source *src)
{
    uint32_t why;
    if (!src->has_joined || !sub->is_registered || !bbi_join_evicted(&src->join, &why)) {
        return;
    }
    src->evictions++;
    sub->evicted++;
    (void)bbi_event_add(sub, BB_STATUS_EVICTED, src->node, src->from.node_id, 0, 0, src->evictions);
    if (why == BBI_EVICT_UNMAPPED) {
        src->join.is_reliable =
            false; /* that publisher cannot look at our cursor: asking again is no use */
    } else {
        bbi_join_again(&src->join, &src->reader);
    }
}

static void
corrupt(struct bb_subscriber *sub, struct bbi_source *src)
{
    (void)bbi_event_add(sub, BB_STATUS_CORRUPT, src->node, src->from.node_id, 0, 0, 0);
    if (src->index < BBI_RINGS) {
        sub->past_keys[src->index] = src->key;
    }
    sub->unreadable++;
    bbi_source_end(sub, src); /* the others go on */
    src->is_corrupt = true;
    src->is_drained = true;
}

/*
 * Up to where descriptors may be looked at: what was announced.  Beyond it the publisher is at work, and each
 * look takes a line away from it; so only now and then, and when it is gone.
 */
static uint64_t
end_of_visit(const struct bb_subscriber *sub, const struct bbi_source *src)
{
    const struct bbi_reader *r = &src->reader;
    uint64_t most = r->cursor + SKIP_BUDGET;
    if (sub->must_peek || src->has_ended || bbi_is_before(most, r->known_tail)) {
        return most;
    }
    return bbi_is_before(r->cursor, r->known_tail) ? r->known_tail : r->cursor;
}

/* What a visit has taken, how far it may go, and how often it met what is no message. */
struct visit {
    struct bbi_out *out;
    struct bbi_given *given; /* the next one */
    size_t bytes, messages;
    size_t most; /* messages */
    uint64_t end;
    uint32_t troubles;
};

/* The cursor moved, or topics were learnt.  A hostile ring could look lapped for ever. */
static bool
go_on_from_cursor(struct visit *v, const struct bb_subscriber *sub, const struct bbi_source *src)
{
    v->end = end_of_visit(sub, src);
    return sub->events == NULL && ++v->troubles <= MAX_TROUBLES; /* told before what comes after */
}

/* What next said; true when the visit goes on. */
static bool
after_next(struct visit *v,
           struct bb_subscriber *sub,
           struct bbi_source *src,
           int rc,
           const struct bbi_item *item)
{
    switch (rc) {
    case BBI_READ_MORE:
        src->is_drained = !bbi_is_before(src->reader.cursor, src->reader.known_tail);
        return false;
    case BBI_READ_NONE:
        src->is_drained = true;
        return false;
    case BBI_READ_TAG:
        if (bbi_source_learn_tags(sub, src, item->tag) < 0) {
            corrupt(sub, src);
            return false;
        }
        return go_on_from_cursor(v, sub, src);
    case BB_EOVERRUN:
        note_loss(sub, src, item->seq);
        return go_on_from_cursor(v, sub, src);
    default:
        corrupt(sub, src);
        return false;
    }
}

/* The message at the cursor could not be taken, or is not wanted after all; true when the visit goes on. */
static bool
after_take(
    struct visit *v, struct bb_subscriber *sub, struct bbi_source *src, uint32_t tag, enum taken t)
{
    if (t == TAKEN_SKIPPED) {
        src->reader.filtered++;
        bbi_reader_pass(&src->reader, tag);
        return sub->events == NULL; /* what happened to a link is told before what comes after */
    }
    if (t == TAKEN_LOST) {
        note_loss(sub, src, bbi_reader_overrun(&src->reader));
        return go_on_from_cursor(v, sub, src);
    }
    return false;
}

/* Nothing more to read now. */
static void
at_tail(struct bb_subscriber *sub, struct bbi_source *src)
{
    struct bbi_reader *r = &src->reader;
    src->idle_word = r->known_tail;
    if (!r->is_based || r->unsettled != 0) {
        (void)bbi_source_learn_all(sub, src); /* also topics that we know of by what we lost only */
        (void)bbi_reader_rebase(r);
        (void)bbi_reader_settle(r, src->has_ended);
    }
    if (sub->is_copying || src->refs == 0) {
        bbi_source_publish_cursor(sub, src, true);
    }
    src->is_restless = !r->is_based || r->unsettled != 0;
}

/* ---- the visit ---- */

static void
end_visit(struct bb_subscriber *sub, struct bbi_source *src, const struct visit *v)
{
    if (v->messages > 0) {
        uint32_t count = (uint32_t)(v->given - sub->given) - sub->given_count;
        const struct bbi_given *last = v->given - 1;
        sub->runs[sub->run_count++] =
            (struct bbi_run){.source = src, .first = sub->given_count, .count = count};
        sub->given_count += count;
        src->refs += count;
        src->delivered += v->messages;
        src->unpublished_bytes += v->bytes;
        sub->given_messages += v->messages;
        sub->given_bytes += v->bytes;
        src->reader.next_pos = last->pos + (uint64_t)last->count * last->stride; /* a guess */
    }
    if (src->is_drained && !src->is_corrupt) {
        at_tail(sub, src);
    } else if (sub->is_copying) {
        bbi_source_publish_cursor(sub, src, false);
    }
}

static void
begin_visit(struct bb_subscriber *sub, struct bbi_source *src, size_t max)
{
    struct bbi_ring *ring = src->reader.map.hdr;
    src->is_drained = false;
    src->idle_word = BBI_NEVER_IDLE;
    bbi_reader_prefetch_next(&src->reader);
    src->reader.known_tail = bbi_load_acquire(&ring->tail_seq); /* R5; a hint here */
    src->reader.is_behind =
        bbi_is_before(src->reader.cursor + max + BBI_READ_AHEAD_DESCS, src->reader.known_tail);
    if (bbi_load_relaxed(&ring->anchors) != src->reader.anchor_count) {
        src->last_ts_until = 0; /* the time of the last message says nothing about the next */
    }
    src->clock_end = UINT64_MAX;
    if (sub->must_peek) { /* beyond the tail there may be anchors that came after this look at them */
        src->clock_end = src->reader.known_tail - (src->reader.map.depth - 1);
        src->last_ts_until = bbi_min_u64(src->last_ts_until, src->clock_end);
    }
    bbi_reader_resume(&src->reader);
    look_for_eviction(sub, src);
}

/* Payloads that lie side by side into the arena, checked; *count: fewer, where it is full.  NULL: none, or not whole. */
static inline const unsigned char *
copy_part(struct bb_subscriber *sub,
          const struct bbi_reader *r,
          const struct bbi_burst *b,
          const unsigned char *data,
          uint64_t pos,
          uint32_t *count)
{
    size_t left = sub->arena_capacity - sub->arena_used;
    if (BBI_UNLIKELY(left <= (size_t)*count
                                 * b->stride)) { /* also where there is no arena yet, for nothing */
        *count = b->stride != 0 ? (uint32_t)(left / b->stride) : 0;
        if (*count == 0) {
            return NULL;
        }
    }
    size_t room = (size_t)*count * b->stride;
    unsigned char *copy = sub->arena + sub->arena_used;
    if (bbi_is_small_racy(data, room)) {
        bbi_copy_small_racy(copy, data, room);
    } else {
        bbi_copy_racy(copy, data, room - b->stride + b->bytes);
    }
    if (BBI_UNLIKELY(!bbi_reader_is_whole(r, pos))) { /* R2 */
        return NULL;
    }
    sub->arena_used += room;
    return copy;
}

/*
 * What all messages of a burst say.  It is made of words that go to registers: a pair that was just written as
 * two words and is read as one would have to wait for its stores.
 */
struct likeness {
    const char *topic;
    size_t topic_bytes, bytes;
    int64_t wall_ns;
    uint64_t attr_ring; /* both fields */
};
static_assert(offsetof(struct bb_msg, ring) == offsetof(struct bb_msg, attr) + 4, "side by side");

static inline uint64_t
attr_and_ring(uint32_t attr, uint32_t ring)
{
    const uint32_t pair[2] = {attr, ring};
    uint64_t both;
    memcpy(&both, pair, sizeof(both));
    return both;
}

static inline void
fill_like(struct bb_msg *msg,
          const struct likeness *like,
          const struct bbi_from *from,
          const void *data,
          uint64_t seq)
{
    msg->topic = like->topic;
    msg->topic_bytes = like->topic_bytes;
    msg->data = data;
    msg->bytes = like->bytes;
    memcpy(&msg->node, from, sizeof(*from)); /* in one store: it was not written for long */
    msg->seq = seq;
    msg->wall_ns = like->wall_ns;
    msg->lost = 0;
    memcpy(&msg->attr, &like->attr_ring, sizeof(like->attr_ring));
    msg->status = NULL;
}

static inline struct likeness
likeness_of(const struct bbi_source *src, const struct bbi_burst *b)
{
    const struct bbi_reader *r = &src->reader;
    const struct bbi_tag *t = &r->tags[b->tag];
    return (struct likeness){
        .topic = r->map.text + t->text_off,
        .topic_bytes = t->text_bytes,
        .bytes = b->bytes,
        .wall_ns = src->last_wall_ns,
        .attr_ring = attr_and_ring(b->attr, src->index),
    };
}

/* Payloads ahead of those that are taken now, as many. */
static inline void
prefetch_part(const unsigned char *data, size_t bytes)
{
    bytes = bytes < BBI_READ_AHEAD_BYTES ? bytes : BBI_READ_AHEAD_BYTES;
    for (size_t at = 0; at < bytes; at += PREFETCHED_BYTES) {
        bbi_prefetch_read(data + BBI_READ_AHEAD_BYTES
                          + at); /* beyond the end: a hint that misses */
    }
}

/* Messages of one burst, count of them, the first numbered seq, with their payloads side by side from data on. */
static BBI_INLINE void
give_messages(struct bbi_out *out,
              const struct bbi_source *src,
              const struct bbi_burst *b,
              const unsigned char *data,
              uint64_t seq,
              uint32_t count,
              bool is_behind)
{
    const struct likeness like = likeness_of(src, b);
    const uint64_t stride = b->stride;
    const size_t ahead = is_behind ? BBI_READ_AHEAD_BYTES : 0; /* 0: what is read anyway */
    struct bb_msg *msg = out->next;
    for (const struct bb_msg *end = msg + count; msg != end; msg++, data += stride) {
        bbi_prefetch_read(data + ahead);
        fill_like(msg, &like, &src->from, data, seq++);
    }
    out->next = msg;
    out->room -= count;
}

/* The same as one element. */
static BBI_INLINE void
give_burst(struct bbi_out *out,
           const struct bbi_source *src,
           const struct bbi_burst *b,
           const unsigned char *data,
           uint64_t seq,
           uint32_t count)
{
    const struct likeness like = likeness_of(src, b);
    struct bb_burst *burst = (struct bb_burst *)(void *)out->next;
    fill_like(&burst->first, &like, &src->from, data, seq);
    burst->count = count;
    burst->reserved = 0;
    burst->stride = b->stride;
    out->next = &burst[1].first;
    out->room--;
}

/* How many of the burst, from message seq on, go before left and bytes end; all of the same time, which is in src. */
static inline uint32_t
part_of_burst(const struct bbi_source *src,
              const struct bbi_burst *b,
              uint64_t n,
              uint64_t seq,
              uint64_t left,
              size_t bytes)
{
    if (BBI_LIKELY(b->count == 1)) {
        return 1;
    }
    uint64_t count = bbi_min_u64(b->first + b->count - n, left); /* hostile numbers wrap */
    count = bbi_min_u64(count, BBI_GIVEN_MOST);
    count =
        bbi_min_u64(count - 1, src->last_ts_until - seq - 1) + 1; /* never none: we would stay */
    return (uint32_t)(BBI_LIKELY(count * b->bytes <= bytes) ? count : bytes / b->bytes + 1);
}

/* Where the visit ends for good, and for messages one by one. */
static inline uint64_t
end_of_run(const struct visit *v, uint64_t n, bool has_bursts)
{
    size_t room = v->most - v->messages;
    room = has_bursts || v->out->room > room ? room : v->out->room;
    return n + bbi_min_u64(room, v->end - n);
}

/*
 * The short way: bursts whose topic is known and wanted, as views or copies.  It stops before anything else and leaves
 * that to bbi_reader_next().
 */
static BBI_INLINE void
take_run(struct visit *v,
         struct bb_subscriber *sub,
         struct bbi_source *src,
         bool is_copying,
         bool has_bursts)
{
    struct bbi_reader *r = &src->reader;
    struct bbi_burst b = r->burst; /* of its own, so that it need not be written for each */
    struct bbi_out out = *v->out;
    struct bbi_given *given = v->given;
    uint64_t n = r->cursor;
    const uint64_t from = n, end = end_of_run(v, n, has_bursts);
    size_t bytes = v->bytes;
    const size_t most_bytes = sub->visit_bytes;
    while (n != end && bytes < most_bytes && (!has_bursts || out.room != 0)) {
        if (!bbi_burst_has(&b, n)) {
            if (BBI_UNLIKELY(!bbi_reader_turn_quickly(r, n, &b))) {
                break;
            }
            if (r->is_behind) {
                bbi_reader_prefetch(r, n);
            }
        }
        if (BBI_UNLIKELY(b.tag >= r->tag_count || (b.attr & BB_BRIDGED) != 0)) {
            break;
        }
        struct bbi_tag *t = &r->tags[b.tag];
        if (BBI_UNLIKELY(!t->is_wanted)) {
            break;
        }
        uint64_t seq = n - (r->map.depth - 1); /* numbers begin at 1 */
        (void)wall_ns_of(src, seq, b.ts);
        uint32_t part = part_of_burst(src, &b, n, seq, end - n, most_bytes - bytes);
        uint64_t pos = bbi_burst_pos(&b, n);
        const unsigned char *data = r->map.pay + (pos & r->map.pay_mask);
        if (r->is_behind && (is_copying || has_bursts) && b.stride <= PREFETCHED_MOST) {
            prefetch_part(data, (size_t)part * b.stride);
        }
        if (is_copying && (data = copy_part(sub, r, &b, data, pos, &part)) == NULL) {
            break;
        }
        *given++ = (struct bbi_given){.pos = pos, .stride = b.stride, .count = part};
        if (has_bursts) {
            give_burst(&out, src, &b, data, seq, part);
        } else {
            give_messages(&out, src, &b, data, seq, part, !is_copying && r->is_behind);
        }
        n += part;
        bytes += (size_t)part * b.bytes;
        t->seen += part;
    }
    if (n != from) {
        v->out->next->lost = src->lost_before;
        src->lost_before = 0;
        *v->out = out;
        v->given = given;
        v->messages += n - from;
        v->bytes = bytes;
        r->cursor = n;
    }
    r->burst = b;
}

/* Four loops, each without a question that is the same each time. */
static BBI_NOINLINE void
take_views(struct visit *v, struct bb_subscriber *sub, struct bbi_source *src)
{
    take_run(v, sub, src, false, false);
}

static BBI_NOINLINE void
take_copies(struct visit *v, struct bb_subscriber *sub, struct bbi_source *src)
{
    take_run(v, sub, src, true, false);
}

static BBI_NOINLINE void
take_bursts(struct visit *v, struct bb_subscriber *sub, struct bbi_source *src)
{
    take_run(v, sub, src, false, true);
}

static BBI_NOINLINE void
take_copied_bursts(struct visit *v, struct bb_subscriber *sub, struct bbi_source *src)
{
    take_run(v, sub, src, true, true);
}

/* The long way: whatever stands at the cursor; true when the visit goes on. */
static bool
take_one(struct visit *v, struct bb_subscriber *sub, struct bbi_source *src)
{
    struct bbi_item item;
    struct bb_msg *msg = v->out->next;
    int rc = bbi_reader_next(&src->reader, &item, v->end);
    if (rc != BBI_READ_ITEM) {
        return after_next(v, sub, src, rc, &item);
    }
    const struct bbi_given given = {
        .pos = item.pos, .stride = bbi_stride_of(item.bytes), .count = 1};
    if (sub->is_copying || needs_arena(&item)) {
        enum taken t = take_into_arena(sub, src, &item, msg);
        if (t != TAKEN_GIVEN) {
            return after_take(v, sub, src, item.tag, t);
        }
    } else {
        fill_topic(src, &item, msg);
        fill_message(src, &item, msg);
    }
    *v->given++ = given;
    v->messages++;
    v->bytes += item.bytes;
    bbi_out_one(v->out);
    bbi_reader_pass(&src->reader, item.tag);
    return true;
}

static inline bool
has_room(const struct visit *v, const struct bb_subscriber *sub)
{
    return v->out->room != 0 && v->messages < v->most && v->bytes < sub->visit_bytes;
}

void
bbi_source_visit(struct bb_subscriber *sub,
                 struct bbi_source *src,
                 struct bbi_out *out,
                 size_t most)
{
    static void (*const take[2][2])(struct visit *, struct bb_subscriber *, struct bbi_source *) = {
        {take_views, take_bursts}, {take_copies, take_copied_bursts}};
    begin_visit(sub, src, most);
    struct visit v = {
        .out = out,
        .given = sub->given + sub->given_count,
        .most = sub->events != NULL ? 0 : most,
        .end = end_of_visit(sub, src),
    };
    while (has_room(&v, sub)) {
        take[sub->is_copying][out->has_bursts](&v, sub, src);
        if (!has_room(&v, sub) || !take_one(&v, sub, src)) {
            break;
        }
    }
    end_visit(sub, src, &v);
}

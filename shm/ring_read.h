/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/ring_read.h - a reader's half of a ring: take, skip, notice being lapped, account for every message.
 *
 * Processes  any number, each with its own cursor; the ring may be mapped read-only.
 * Progress   next looks at no descriptor from its end on; nothing allocates or makes a system call.
 * Safety     a publisher may overwrite anything at any time.  Fields are read once and checked; payload is
 *            good only if bbi_reader_is_whole() says so after it was used.
 * Exactness  from start to cursor: messages = passed on + filtered + lost.
 */
#ifndef BUSBAR_SHM_RING_READ_H
#define BUSBAR_SHM_RING_READ_H

#include "shm/burst.h"

/* What the reader keeps for each topic of the ring; small, since each message touches one. */
struct bbi_tag {
    uint64_t seen;     /* committed before start, plus passed on, filtered, or known lost since */
    uint32_t text_off; /* of the topic's bytes, checked */
    uint16_t text_bytes;
    bool is_wanted;
};

struct bbi_reader {
    struct bbi_ring_map map;
    uint64_t cursor;        /* next message to look at */
    struct bbi_burst burst; /* the last one that was looked at: checked */
    uint64_t known_tail;    /* announced when we last looked; a hint */
    uint64_t next_pos;      /* where the message at the cursor probably begins; a hint */
    struct bbi_tag *tags;   /* the caller's; tag_count of them are filled */
    uint32_t tag_count;
    bool is_behind;     /* by more than a visit takes: what is ahead may be touched */
    bool is_based;      /* seen includes what was committed before start */
    uint64_t start;     /* where counting began */
    uint64_t filtered;  /* skipped: nobody here wants the topic */
    uint64_t lost;      /* overwritten before they could be passed on */
    uint64_t unsettled; /* of lost: not yet sorted into wanted and unwanted */
    uint64_t *now;      /* the caller's, as many as tags: the publisher's counters when last read */
    uint64_t spill_seen, spill_now;
    /* The anchor of the last message and the number where the next one begins. */
    uint64_t anchor_seq, anchor_next, anchor_mono, anchor_wall;
    uint32_t anchor_count;
};

struct bbi_item {
    const unsigned char *data; /* in the ring */
    uint64_t seq;              /* from 1 */
    uint64_t pos;
    uint32_t bytes, tag, ts, attr;
};

enum bbi_read {
    BBI_READ_NONE = 0, /* nothing there yet; item->seq is the word that stands there instead */
    BBI_READ_ITEM =
        1, /* *item is the message at the cursor; call bbi_reader_pass() when it is dealt with */
    BBI_READ_TAG =
        2, /* item->tag is new: fill tags up to it with bbi_reader_topic(), then ask again */
    BBI_READ_MORE = 3, /* came to the end that was given */
    /* or BB_EOVERRUN: lapped, item->seq messages were lost and the cursor has moved on; BB_ECORRUPT */
};

void bbi_reader_init(struct bbi_reader *r, const struct bbi_ring_map *map);

/* Where to begin.  FIRST: the ring's very first message, for rings that are younger than the reader. */
enum bbi_seek { BBI_SEEK_NOW, BBI_SEEK_OLDEST, BBI_SEEK_LAST, BBI_SEEK_FIRST };
void bbi_reader_seek(struct bbi_reader *r, enum bbi_seek how, uint64_t last);

/*
 * bbi_reader_base - what each topic had counted at start, so that losses can be named later.  Tags must be
 * filled.  Returns 0, or BB_EAGAIN when the publisher did not hold still; losses then stay without topic.
 */
int bbi_reader_base(struct bbi_reader *r);

/* bbi_reader_base_here - the same before anything was read: cursor and start move to the tail of that moment. */
int bbi_reader_base_here(struct bbi_reader *r);

/*
 * bbi_reader_rebase - the same later, at the tail, while nothing was lost: what was counted less what was seen.
 */
int bbi_reader_rebase(struct bbi_reader *r);

/* count messages from the cursor on, of one burst, are dealt with: step over them. */
static inline void
bbi_reader_pass_all(struct bbi_reader *r, uint32_t tag, uint64_t count)
{
    if (BBI_UNLIKELY(tag == BBI_TAG_SPILL)) {
        r->spill_seen += count;
    } else {
        r->tags[tag].seen += count;
    }
    r->cursor += count;
}

/* The message at the cursor is dealt with: step over it. */
static inline void
bbi_reader_pass(struct bbi_reader *r, uint32_t tag)
{
    bbi_reader_pass_all(r, tag, 1);
}

/* Something was announced: its lines may come together with the news, not one after the other. */
static inline void
bbi_reader_prefetch_next(const struct bbi_reader *r)
{
    bbi_prefetch_read(&r->map.desc[r->cursor & r->map.desc_mask]);
    bbi_prefetch_read(r->map.pay + (r->next_pos & r->map.pay_mask));
}

/* Where there are more topics than a cache holds: what we keep of one that comes. */
static inline void
bbi_reader_prefetch_tag(const struct bbi_reader *r, uint64_t n)
{
    const struct bbi_ring_map *m = &r->map;
    uint32_t tag =
        bbi_load_relaxed(&m->desc[(n + BBI_READ_AHEAD_TAGS) & m->desc_mask].tag); /* a hint */
    bbi_prefetch_read(&r->tags[tag < r->tag_count ? tag : 0]);
}

/* Descriptors ahead, and what they need. */
static inline void
bbi_reader_prefetch(const struct bbi_reader *r, uint64_t n)
{
    const struct bbi_ring_map *m = &r->map;
    bbi_prefetch_read(&m->desc[n & m->desc_mask]
                      + BBI_READ_AHEAD_DESCS); /* beyond the last: a hint that misses */
    if (BBI_UNLIKELY(r->tag_count > BBI_CACHED_TAGS)) {
        bbi_reader_prefetch_tag(r, n);
    }
}

/*
 * bbi_reader_is_whole - 1 if no byte of the message at pos was overwritten before this call.
 *
 * Order     the caller's reads are before it: bbi_copy_racy() or bbi_fence_acquire(), R2.
 */
static inline bool
bbi_reader_is_whole(const struct bbi_reader *r, uint64_t pos)
{
    return bbi_load_relaxed(&r->map.hdr->claim_pos.v) - pos <= r->map.pay_bytes; /* R2 */
}

/*
 * bbi_reader_turn_slowly - no good burst begins at the cursor: the one that we know may have grown, or the cursor
 * is amid one; or there is nothing yet, or we were lapped.
 *
 * Returns   BBI_READ_ITEM: r->burst has the cursor; BBI_READ_NONE; BB_EOVERRUN, BB_ECORRUPT; *number as item->seq.
 */
int bbi_reader_turn_slowly(struct bbi_reader *r, uint64_t *number);

/*
 * bbi_reader_resume - after some time: if the burst that the cursor is in was overwritten meanwhile it is
 * forgotten, so that the next look finds out.
 */
void bbi_reader_resume(struct bbi_reader *r);

/*
 * bbi_reader_turn_quickly - *b becomes the burst that begins at message n.  Also its bytes are looked at, R2: a
 * slot in which no burst began in the laps since holds an old one.  0: bbi_reader_turn() knows more; *b is as it
 * was, or of count 0.
 */
static BBI_INLINE int
bbi_reader_turn_quickly(const struct bbi_reader *r, uint64_t n, struct bbi_burst *b)
{
    uint64_t word;
    if (BBI_UNLIKELY(!bbi_burst_load(&r->map, n, b, &word))) {
        return 0;
    }
    if (BBI_UNLIKELY(!bbi_burst_is_sound(&r->map, b) || !bbi_reader_is_whole(r, b->pos))) {
        b->count = 0;
        return 0;
    }
    return 1;
}

/* bbi_reader_turn - makes r->burst the one that has the message at the cursor.  As bbi_reader_turn_slowly(). */
static inline int
bbi_reader_turn(struct bbi_reader *r, uint64_t *number)
{
    return BBI_LIKELY(bbi_reader_turn_quickly(r, r->cursor, &r->burst))
               ? BBI_READ_ITEM
               : bbi_reader_turn_slowly(r, number);
}

/* Those of the burst that nobody here wants, up to end. */
static inline void
bbi_reader_skip(struct bbi_reader *r, uint64_t end)
{
    const struct bbi_burst *b = &r->burst;
    uint64_t left = bbi_min_u64(b->first + b->count - r->cursor, end - r->cursor);
    r->filtered += left;
    bbi_reader_pass_all(r, b->tag, left);
}

/*
 * Bursts that nobody here wants, from the cursor on, without a look at the rest of them: where many topics come
 * in turn each message is one.  Stops before anything else.
 */
static inline void
bbi_reader_skip_quickly(struct bbi_reader *r, uint64_t end)
{
    const struct bbi_ring_map *m = &r->map;
    struct bbi_desc *const descs =
        m->desc; /* in registers: what is counted could be anything, to a compiler */
    struct bbi_tag *const tags = r->tags;
    const uint64_t mask = m->desc_mask;
    const uint32_t tag_count = r->tag_count, batch_msgs = m->batch_msgs;
    const size_t ahead = r->is_behind ? BBI_READ_AHEAD_DESCS : 0; /* 0: what is read anyway */
    uint64_t n = r->cursor, count;
    for (; n != end; n += count) {
        struct bbi_desc *d = &descs[n & mask];
        if (bbi_load_acquire(&d->seq) != n) { /* R1 */
            break;
        }
        uint32_t more = bbi_load_acquire(&d->flags) >> BBI_MORE_SHIFT; /* R1, R3 */
        uint32_t tag = bbi_load_acquire(&d->tag);                      /* R3 */
        if (BBI_UNLIKELY(tag >= tag_count) || tags[tag].is_wanted
            || BBI_UNLIKELY(more >= batch_msgs)
            || BBI_UNLIKELY(bbi_load_relaxed(&d->seq) != n)) { /* R3 */
            break;
        }
        bbi_prefetch_read(d + ahead);
        if (BBI_UNLIKELY(tag_count > BBI_CACHED_TAGS)) {
            bbi_reader_prefetch_tag(r, n);
        }
        count = BBI_LIKELY(more == 0) ? 1 : bbi_min_u64(more + UINT64_C(1), end - n);
        tags[tag].seen += count;
    }
    r->filtered += n - r->cursor;
    r->cursor = n;
}

/*
 * bbi_reader_next - look at the message at the cursor, skipping unwanted ones, never at `end` or beyond.
 *
 * Order     acquire on seq, R1; fields, then seq again, R3.
 * Returns   enum bbi_read, BB_EOVERRUN or BB_ECORRUPT.
 */
static inline int
bbi_reader_next(struct bbi_reader *r, struct bbi_item *item, uint64_t end)
{
    const struct bbi_ring_map *m = &r->map;
    const struct bbi_burst *b = &r->burst;
    *item = (struct bbi_item){0};
    while (r->cursor != end) {
        if (!bbi_burst_has(b, r->cursor)) {
            bbi_reader_skip_quickly(r, end);
            if (r->cursor == end) {
                break;
            }
            int rc = bbi_reader_turn(r, &item->seq);
            if (BBI_UNLIKELY(rc != BBI_READ_ITEM)) {
                return rc;
            }
            if (r->is_behind) {
                bbi_reader_prefetch(r, r->cursor);
            }
        }
        item->tag = b->tag;
        if (BBI_UNLIKELY(b->tag >= r->tag_count && b->tag != BBI_TAG_SPILL)) {
            return BBI_READ_TAG;
        }
        if (b->tag != BBI_TAG_SPILL && !r->tags[b->tag].is_wanted) {
            bbi_reader_skip(r, end);
            continue;
        }
        item->pos = bbi_burst_pos(b, r->cursor);
        item->data = m->pay + (item->pos & m->pay_mask);
        item->bytes = b->bytes;
        item->ts = b->ts;
        item->attr = b->attr;
        item->seq = r->cursor - m->depth + 1;
        if (r->is_behind) {
            bbi_prefetch_read(item->data + BBI_READ_AHEAD_BYTES);
        }
        return BBI_READ_ITEM;
    }
    return BBI_READ_MORE;
}

/* bbi_reader_overrun - the message at the cursor was found overwritten while it was used: move on.  Messages lost. */
uint64_t bbi_reader_overrun(struct bbi_reader *r);

/* bbi_reader_is_at_tail - 1 if nothing is readable at the cursor. */
bool bbi_reader_is_at_tail(const struct bbi_reader *r);

/* bbi_reader_tail - number after the last message that can be seen now. */
uint64_t bbi_reader_tail(const struct bbi_reader *r);

/*
 * bbi_reader_settle - at the tail: sort what was lost into wanted (lost) and unwanted (filtered) by the
 * publisher's counters.  is_final: the publisher is gone.  0 done, BB_EAGAIN not now.
 */
int bbi_reader_settle(struct bbi_reader *r, bool is_final);

/*
 * bbi_reader_topic - the topic of a tag, in the ring's memory (its bytes never change once published).
 * Acquire, R7.  BB_ENOENT: not published; BB_ECORRUPT.
 */
BB_MUST_USE int
bbi_reader_topic(const struct bbi_ring_map *m, uint32_t tag, const char **topic, uint32_t *bytes);

/* bbi_reader_anchor_end - the same ts means the same time for messages before this one, after wall_ns(). */
static inline uint64_t
bbi_reader_anchor_end(const struct bbi_reader *r)
{
    return r->anchor_next == UINT64_MAX ? UINT64_MAX : r->anchor_next - r->map.depth + 1;
}

/* bbi_reader_wall_ns - when the message was published, Unix time.  Acquire, R10. */
int64_t bbi_reader_wall_ns(struct bbi_reader *r, uint64_t seq_in_ring, uint32_t ts);

#endif

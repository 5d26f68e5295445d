/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/ring_read.c - the reader's side.
 *
 *   seq == cursor   readable
 *   seq <  cursor   not written yet (0: never)          BUSY | cursor: being written
 *   seq >  cursor   lapped: find the first message that is still whole, with a margin, and count the rest
 */
#include "shm/ring_read.h"
#include <string.h>

enum { BASE_TRIES = 16, LAP_MARGIN = 8 /* skip an eighth of what survives */ };

void
bbi_reader_init(struct bbi_reader *r, const struct bbi_ring_map *map)
{
    *r = (struct bbi_reader){
        .map = *map, .cursor = map->depth, .start = map->depth, .is_based = true};
}

static struct bbi_desc *
desc_at(const struct bbi_reader *r, uint64_t seq)
{
    return &r->map.desc[seq & r->map.desc_mask];
}

uint64_t
bbi_reader_tail(const struct bbi_reader *r)
{
    uint64_t tail = bbi_load_acquire(&r->map.hdr->tail_seq); /* R5; a hint here */
    uint64_t end = tail + r->map.depth;
    while (tail != end && bbi_load_acquire(&desc_at(r, tail)->seq) == tail) { /* R1 */
        tail++;
    }
    return tail;
}

bool
bbi_reader_is_at_tail(const struct bbi_reader *r)
{
    uint64_t w = bbi_load_acquire(&desc_at(r, r->cursor)->seq) & ~BBI_BUSY; /* R1 */
    uint64_t v = bbi_load_acquire(&desc_at(r, r->cursor)->seq);             /* R1 */
    return v != r->cursor && !bbi_is_before(r->cursor, w);
}

/* Message seq is in its descriptor, and its payload was not overwritten so far. */
static bool
is_safe(const struct bbi_reader *r, uint64_t seq)
{
    struct bbi_desc *d = desc_at(r, seq);
    if (bbi_load_acquire(&d->seq) != seq) { /* R1 */
        return false;
    }
    uint64_t pos = bbi_load_acquire(&d->pos);                               /* R3 */
    return bbi_load_relaxed(&d->seq) == seq && bbi_reader_is_whole(r, pos); /* R3, R2 */
}

/* The first safe message of [lo, hi): what is safe is a tail of the window, so halve it. */
static uint64_t
first_safe(const struct bbi_reader *r, uint64_t lo, uint64_t hi)
{
    while (lo != hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (is_safe(r, mid)) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo;
}

/* The oldest message that may still be in the ring, given that hi - 1 was written. */
static uint64_t
window_start(const struct bbi_reader *r, uint64_t hi)
{
    return hi - r->map.depth < r->map.depth ? r->map.depth : hi - r->map.depth;
}

static uint64_t
skip_to(struct bbi_reader *r, uint64_t to)
{
    uint64_t lost = to - r->cursor;
    r->cursor = to;
    r->lost += lost;
    r->unsettled += lost;
    return lost;
}

/* hi: number after the last message known to be written.  At least the message at the cursor is given up. */
static uint64_t
move_on(struct bbi_reader *r, uint64_t hi)
{
    uint64_t lo = bbi_max_u64(r->cursor + 1, window_start(r, hi));
    hi = bbi_max_u64(hi, lo);
    uint64_t safe = first_safe(r, lo, hi);
    return skip_to(r, safe + (hi - safe) / LAP_MARGIN);
}

uint64_t
bbi_reader_overrun(struct bbi_reader *r)
{
    return move_on(r, bbi_reader_tail(r));
}

void
bbi_reader_seek(struct bbi_reader *r, enum bbi_seek how, uint64_t last)
{
    uint64_t first = r->map.depth;
    uint64_t tail = bbi_reader_tail(r);
    uint64_t at = first;
    if (how == BBI_SEEK_NOW) {
        at = bbi_load_seq_cst(&r->map.hdr->tail_seq); /* R5: after the caller's epoch bump */
    } else if (how == BBI_SEEK_OLDEST || how == BBI_SEEK_LAST) {
        uint64_t lo = window_start(r, tail);
        at = first_safe(r, lo, tail);
        if (at
            != first) { /* the ring has wrapped: its publisher is about to overwrite the very oldest */
            at += (tail - at) / LAP_MARGIN;
        }
        if (how == BBI_SEEK_LAST && tail - at > last) {
            at = tail - last;
        }
    }
    r->cursor = at;
    r->start = at;
    r->is_based = at == first;
}

/* Reads all counters into now; returns their sum. */
static uint64_t
read_counters(struct bbi_reader *r)
{
    r->spill_now = bbi_load_relaxed(&r->map.hdr->counters.spill_messages);
    uint64_t sum = r->spill_now;
    for (uint32_t t = 0; t < r->tag_count; t++) {
        r->tags[t].now = bbi_load_relaxed(&r->map.dict[t].messages);
        sum += r->tags[t].now;
    }
    return sum;
}

static void
take_base(struct bbi_reader *r)
{
    r->spill_base = r->spill_now;
    for (uint32_t t = 0; t < r->tag_count; t++) {
        r->tags[t].base = r->tags[t].now;
    }
}

/* base holds the counts at `at`; take off what lies between start and there. */
static int
rewind_base(struct bbi_reader *r, uint64_t at)
{
    for (uint64_t s = r->start; s != at; s++) {
        struct bbi_desc *d = desc_at(r, s);
        uint32_t tag = bbi_load_acquire(&d->tag); /* R3 */
        if (bbi_load_acquire(&d->seq) != s) {     /* R1, R3 */
            return BB_EAGAIN;
        }
        if (tag == BBI_TAG_SPILL) {
            r->spill_base--;
        } else if (tag < r->tag_count) {
            r->tags[tag].base--;
        } else {
            return BB_EAGAIN;
        }
    }
    return 0;
}

int
bbi_reader_base(struct bbi_reader *r)
{
    if (r->is_based) {
        return 0;
    }
    for (int i = 0; i < BASE_TRIES; i++) {
        uint64_t tail = bbi_reader_tail(r);
        uint64_t sum = read_counters(r);
        if (sum == tail - r->map.depth && tail == bbi_reader_tail(r)) {
            take_base(r);
            if (rewind_base(r, tail) == 0) {
                r->is_based = true;
                return 0;
            }
        }
    }
    return BB_EAGAIN;
}

static void
prefetch_ahead(const struct bbi_reader *r, uint64_t pos)
{
    __builtin_prefetch(&r->map.desc[(r->cursor + BBI_READ_AHEAD_DESCS) & r->map.desc_mask]);
    __builtin_prefetch(r->map.pay + ((pos + BBI_READ_AHEAD_BYTES) & r->map.pay_mask));
}

/* Fields of the descriptor at the cursor, R3; false when it was replaced meanwhile. */
static bool
load_desc(struct bbi_reader *r, struct bbi_desc *d, struct bbi_item *item)
{
    item->pos = bbi_load_acquire(&d->pos);
    item->bytes = bbi_load_acquire(&d->len);
    item->tag = bbi_load_acquire(&d->tag);
    item->ts = bbi_load_acquire(&d->ts);
    item->attr = bbi_load_acquire(&d->flags) & BBI_ATTR_MASK;
    return bbi_load_relaxed(&d->seq) == r->cursor; /* R3: after the acquire loads above */
}

/* Not what is at the cursor: nothing yet, or lapped. */
static int
not_ready(struct bbi_reader *r, uint64_t v, struct bbi_item *item)
{
    uint64_t written = v & ~BBI_BUSY;
    if (!bbi_is_before(r->cursor, written)) {
        return BBI_READ_NONE;
    }
    /* A foreign word: never go further than what the publisher announced, or one lap if it did not yet. */
    uint64_t tail = bbi_reader_tail(r);
    item->seq = move_on(r, bbi_is_before(r->cursor, tail) ? tail : r->cursor + 1);
    return BB_EOVERRUN;
}

int
bbi_reader_next(struct bbi_reader *r, struct bbi_item *item, uint32_t *budget)
{
    const struct bbi_ring_map *m = &r->map;
    for (; *budget > 0; --*budget) {
        struct bbi_desc *d = desc_at(r, r->cursor);
        uint64_t v =
            bbi_load_acquire(&d->seq); /* R1: pairs with the release in bbi_writer_commit() */
        if (v != r->cursor) {
            return not_ready(r, v, item);
        }
        if (BBI_UNLIKELY(!load_desc(r, d, item))) {
            item->seq = bbi_reader_overrun(r);
            return BB_EOVERRUN;
        }
        prefetch_ahead(r, item->pos);
        if (BBI_LIKELY(item->tag < r->tag_count)) {
            if (!r->tags[item->tag].is_wanted) {
                r->filtered++;
                bbi_reader_pass(r, item->tag);
                continue;
            }
        } else if (item->tag != BBI_TAG_SPILL) {
            return item->tag < m->dict_count ? BBI_READ_TAG : BB_ECORRUPT;
        }
        uint64_t off = item->pos & m->pay_mask;
        if (BBI_UNLIKELY(item->bytes > m->max_msg || off + item->bytes > m->pay_bytes)) {
            return BB_ECORRUPT;
        }
        item->data = m->pay + off;
        item->seq = r->cursor - m->depth + 1;
        return BBI_READ_ITEM;
    }
    return BBI_READ_MORE;
}

/*
 * Takes back the message that was counted but never committed: its publisher died in between.
 * False when the counters do not speak of exactly the messages before the cursor.
 */
static bool
counters_match(struct bbi_reader *r, uint64_t sum, bool is_final)
{
    uint64_t committed = r->cursor - r->map.depth;
    if (sum == committed + 1 && is_final) {
        uint32_t tag = bbi_load_acquire(&desc_at(r, r->cursor)->tag);
        if (tag < r->tag_count) {
            r->tags[tag].now--;
        } else {
            r->spill_now--;
        }
        sum--;
    }
    /* A publisher in motion would have committed, or counted one more, by the time we look again. */
    return sum == committed && bbi_reader_is_at_tail(r);
}

int
bbi_reader_rebase(struct bbi_reader *r)
{
    if (r->is_based) {
        return 0;
    }
    if (r->lost != 0 || bbi_load_acquire(&r->map.hdr->topics) != r->tag_count /* R7 */
        || !counters_match(r, read_counters(r), false)) {
        return BB_EAGAIN;
    }
    for (uint32_t t = 0; t < r->tag_count; t++) {
        r->tags[t].base = r->tags[t].now - r->tags[t].seen;
    }
    r->spill_base = r->spill_now - r->spill_seen;
    r->is_based = true;
    return 0;
}

/* What was lost of one topic by now; from here on it counts as seen. */
static uint64_t
take_missing(uint64_t now, uint64_t base, uint64_t *seen)
{
    uint64_t missing = now - base - *seen;
    *seen += missing;
    return missing;
}

int
bbi_reader_settle(struct bbi_reader *r, bool is_final)
{
    if (r->unsettled == 0) {
        return 0;
    }
    if (!r->is_based || bbi_load_acquire(&r->map.hdr->topics) != r->tag_count /* R7 */
        || !counters_match(r, read_counters(r), is_final)) {
        return BB_EAGAIN;
    }
    uint64_t unwanted = 0;
    for (uint32_t t = 0; t < r->tag_count; t++) {
        uint64_t missing = take_missing(r->tags[t].now, r->tags[t].base, &r->tags[t].seen);
        unwanted += r->tags[t].is_wanted ? 0 : missing;
    }
    (void)take_missing(r->spill_now, r->spill_base,
                       &r->spill_seen); /* of unknown topic: stay lost */
    r->unsettled = 0;
    if (unwanted > r->lost) { /* counters from outside that make no sense */
        return BB_ECORRUPT;
    }
    r->lost -= unwanted;
    r->filtered += unwanted;
    return 0;
}

int
bbi_reader_topic(const struct bbi_ring_map *m, uint32_t tag, const char **topic, uint32_t *bytes)
{
    uint32_t count = bbi_load_acquire(&m->hdr->topics); /* R7: pairs with bbi_writer_intern() */
    if (tag >= count) {
        return BB_ENOENT;
    }
    if (tag >= m->dict_count) {
        return BB_ECORRUPT;
    }
    uint32_t off = m->dict[tag].text_off;
    uint32_t len = m->dict[tag].len;
    if (len > m->text_bytes || off > m->text_bytes - len) {
        return BB_ECORRUPT;
    }
    *topic = m->text + off;
    *bytes = len;
    return 0;
}

/* Loads anchor i into the reader's cache; false when it was being replaced. */
static bool
load_anchor(struct bbi_reader *r, uint32_t i)
{
    struct bbi_anchor *a = &r->map.anchors[i % r->map.anchor_count];
    uint64_t seq = bbi_load_acquire(&a->seq); /* R10 */
    uint64_t mono = bbi_load_acquire(&a->mono_ns);
    uint64_t wall = bbi_load_acquire(&a->wall_ns);
    if ((seq & BBI_BUSY) != 0 || bbi_load_relaxed(&a->seq) != seq) {
        return false;
    }
    r->anchor_seq = seq;
    r->anchor_mono = mono;
    r->anchor_wall = wall;
    return true;
}

/* The youngest anchor that is not younger than the message; anchor_next is the one after it. */
static void
find_anchor(struct bbi_reader *r, uint64_t seq, uint32_t count)
{
    uint32_t oldest = count > r->map.anchor_count ? count - r->map.anchor_count : 0;
    r->anchor_next = UINT64_MAX;
    for (uint32_t i = count; i != oldest; i--) {
        if (load_anchor(r, i - 1)) {
            if (r->anchor_seq <= seq) {
                return;
            }
            r->anchor_next = r->anchor_seq;
        }
    }
}

int64_t
bbi_reader_wall_ns(struct bbi_reader *r, uint64_t seq_in_ring, uint32_t ts)
{
    uint64_t seq = seq_in_ring + r->map.depth - 1;
    uint32_t count = bbi_load_acquire(&r->map.hdr->anchors); /* R10: pairs with write_anchor() */
    if (count != r->anchor_count || seq < r->anchor_seq || seq >= r->anchor_next) {
        find_anchor(r, seq, count);
        r->anchor_count = count;
    }
    int32_t diff = (int32_t)(ts - (uint32_t)(r->anchor_mono >> BBI_TS_SHIFT));
    return (int64_t)r->anchor_wall + (int64_t)diff * (1 << BBI_TS_SHIFT);
}

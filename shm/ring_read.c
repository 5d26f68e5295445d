/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/ring_read.c - the reader's side.
 *
 *   seq == cursor   a burst begins here, readable
 *   seq <  cursor   amid a burst, or not written yet (0: never)          BUSY | cursor: being written
 *   seq >  cursor   lapped: find the first message that is still whole, with a margin, and count the rest
 */
#include "shm/ring_read.h"
#include <string.h>

enum {
    BASE_TRIES =
        16, /* at least; and for a publisher of few topics so many that BASE_READS are read */
    BASE_READS = 4096,
    LAP_MARGIN = 8, /* skip an eighth of what survives */
};

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
    uint64_t tail =
        bbi_load_acquire(&r->map.hdr->tail_seq); /* R5; a hint here.  The end of a burst */
    uint64_t end = tail + r->map.depth, word;
    struct bbi_burst b;
    while (bbi_is_before(tail, end) && bbi_burst_load(&r->map, tail, &b, &word)) { /* R1 */
        tail += b.count;
    }
    return tail;
}

/* The burst that the cursor is amid: the one that was read to its end, if it has grown since; else any. */
static bool
find_amid(const struct bbi_reader *r, struct bbi_burst *out)
{
    const struct bbi_burst *b = &r->burst;
    uint64_t word;
    if (b->count != 0 && b->first + b->count == r->cursor) {
        return bbi_burst_load(&r->map, b->first, out, &word) && bbi_burst_has(out, r->cursor);
    }
    return bbi_burst_find(&r->map, r->cursor, out, &word);
}

bool
bbi_reader_is_at_tail(const struct bbi_reader *r)
{
    struct bbi_burst b;
    uint64_t word;
    if (bbi_burst_has(&r->burst, r->cursor) || bbi_burst_load(&r->map, r->cursor, &b, &word)
        || word == r->cursor || bbi_is_before(r->cursor, word & ~BBI_BUSY)) {
        return false;
    }
    return !find_amid(r, &b);
}

/* Message seq is described, and its payload was not overwritten so far. */
static bool
is_safe(const struct bbi_reader *r, uint64_t seq)
{
    struct bbi_burst b;
    uint64_t word;
    return bbi_burst_find(&r->map, seq, &b, &word)            /* R1, R3 */
           && bbi_reader_is_whole(r, bbi_burst_pos(&b, seq)); /* R2 */
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
    r->burst.count = 0;
    r->start = at;
    r->is_based = at == first;
}

/* Reads all counters into now; returns their sum. */
static uint64_t
read_counters(struct bbi_reader *r)
{
    r->spill_now = bbi_load_relaxed(&r->map.hdr->counters.spilled.messages);
    uint64_t sum = r->spill_now;
    for (uint32_t t = 0; t < r->tag_count; t++) {
        r->now[t] = bbi_load_relaxed(&r->map.dict[t].counts.messages);
        sum += r->now[t];
    }
    return sum;
}

/* All that was counted by now counts as seen. */
static void
take_base(struct bbi_reader *r)
{
    r->spill_seen = r->spill_now;
    for (uint32_t t = 0; t < r->tag_count; t++) {
        r->tags[t].seen = r->now[t];
    }
}

/* The base holds the counts at `at`; take off what lies between start and there. */
static int
rewind_base(struct bbi_reader *r, uint64_t at)
{
    struct bbi_burst b;
    uint64_t word;
    for (uint64_t s = r->start; s != at;) {
        if (!bbi_burst_find(&r->map, s, &b, &word)) { /* R1, R3 */
            return BB_EAGAIN;
        }
        uint64_t count = bbi_min_u64(b.first + b.count - s, at - s);
        if (b.tag == BBI_TAG_SPILL) {
            r->spill_seen -= count;
        } else if (b.tag < r->tag_count) {
            r->tags[b.tag].seen -= count;
        } else {
            return BB_EAGAIN;
        }
        s += count;
    }
    return 0;
}

/* Reads the counters at a moment when they speak of exactly the messages before *tail. */
static bool
read_base(struct bbi_reader *r, uint64_t *tail)
{
    *tail = bbi_reader_tail(r);
    if (read_counters(r) != *tail - r->map.depth || *tail != bbi_reader_tail(r)) {
        return false;
    }
    take_base(r);
    return true;
}

int
bbi_reader_base(struct bbi_reader *r)
{
    uint64_t tail;
    for (int i = 0; i < BASE_TRIES && !r->is_based; i++) {
        r->is_based = read_base(r, &tail) && rewind_base(r, tail) == 0;
    }
    return r->is_based ? 0 : BB_EAGAIN;
}

int
bbi_reader_base_here(struct bbi_reader *r)
{
    uint64_t tail;
    uint32_t tries = BASE_TRIES + BASE_READS / (r->tag_count + 1);
    for (uint32_t i = 0; i < tries && !r->is_based; i++) {
        if (read_base(r, &tail)) {
            r->cursor = r->start = tail;
            r->is_based = true;
        }
    }
    return r->is_based ? 0 : BB_EAGAIN;
}

/* Neither there nor amid a burst: nothing yet, or lapped. */
static int
not_ready(struct bbi_reader *r, uint64_t v, uint64_t tail, uint64_t *number)
{
    if (v == r->cursor) { /* it was there, and replaced while its fields were read */
        *number = bbi_reader_overrun(r);
        return BB_EOVERRUN;
    }
    if (!bbi_is_before(r->cursor, v & ~BBI_BUSY) && !bbi_is_before(r->cursor, tail)) {
        *number = v;
        return BBI_READ_NONE;
    }
    /* A foreign word: never go further than what the publisher announced, or one lap if it did not yet. */
    *number = move_on(r, bbi_is_before(r->cursor, tail) ? tail : r->cursor + 1);
    return BB_EOVERRUN;
}

/* The cursor is within b: is it sound, and still there? */
static int
turn_to(struct bbi_reader *r, const struct bbi_burst *b, uint64_t *number)
{
    if (!bbi_burst_is_sound(&r->map, b)) {
        return BB_ECORRUPT;
    }
    if (!bbi_reader_is_whole(r, bbi_burst_pos(b, r->cursor))) { /* R2 */
        *number = bbi_reader_overrun(r);
        return BB_EOVERRUN;
    }
    r->burst = *b;
    return BBI_READ_ITEM;
}

int
bbi_reader_turn_slowly(struct bbi_reader *r, uint64_t *number)
{
    struct bbi_burst b;
    uint64_t word;
    if (bbi_burst_load(&r->map, r->cursor, &b, &word)) {
        return turn_to(r, &b, number);
    }
    bool is_lapped = word == r->cursor || bbi_is_before(r->cursor, word & ~BBI_BUSY);
    if (!is_lapped && find_amid(r, &b)) {
        return turn_to(r, &b, number);
    }
    uint64_t tail = bbi_reader_tail(r);
    /* Announced since we looked: then it is to be seen now, as a burst or as one more of one. */
    if (!is_lapped && bbi_is_before(r->cursor, tail)
        && (bbi_burst_load(&r->map, r->cursor, &b, &word) || find_amid(r, &b))) {
        return turn_to(r, &b, number);
    }
    return not_ready(r, word, tail, number);
}

void
bbi_reader_resume(struct bbi_reader *r)
{
    const struct bbi_burst *b = &r->burst;
    if (bbi_burst_has(b, r->cursor)
        && !bbi_reader_is_whole(r, bbi_burst_pos(b, r->cursor))) { /* R2 */
        r->burst.count = 0;
    }
}

/* What the messages at the cursor that were counted but not committed were counted for. */
static uint32_t
tag_of_uncommitted(const struct bbi_reader *r)
{
    struct bbi_burst b;
    uint64_t word;
    const struct bbi_desc *d = desc_at(r, r->cursor);
    if (bbi_load_acquire(&d->seq) != (BBI_BUSY | r->cursor) /* R1: else it was to be one more */
        && bbi_burst_find(&r->map, r->cursor - 1, &b, &word)) {
        return b.tag;
    }
    return bbi_load_acquire(&d->tag);
}

/*
 * Takes back the messages that were counted but never committed: their publisher died in between.
 * False when the counters do not speak of exactly the messages before the cursor.
 */
static bool
counters_match(struct bbi_reader *r, uint64_t sum, bool is_final)
{
    uint64_t committed = r->cursor - r->map.depth;
    uint64_t more = sum - committed;
    if (is_final && more != 0 && more <= r->map.batch_msgs) {
        uint32_t tag = tag_of_uncommitted(r);
        if (tag < r->tag_count) {
            r->now[tag] -= more;
        } else {
            r->spill_now -= more;
        }
        sum = committed;
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
    take_base(r);
    r->is_based = true;
    return 0;
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
        unwanted += r->tags[t].is_wanted ? 0 : r->now[t] - r->tags[t].seen;
    }
    take_base(r); /* what was lost counts as seen; spilled topics are not known and stay lost */
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
    uint32_t count =
        bbi_load_acquire(&r->map.hdr->anchors); /* R10: pairs with bbi_writer_anchor() */
    if (count != r->anchor_count || seq < r->anchor_seq || seq >= r->anchor_next) {
        find_anchor(r, seq, count);
        r->anchor_count = count;
    }
    int32_t diff = (int32_t)(ts - (uint32_t)(r->anchor_mono >> BBI_TS_SHIFT));
    /* Unsigned: a hostile anchor may be anywhere. */
    return (int64_t)(r->anchor_wall + (uint64_t)((int64_t)diff * (1 << BBI_TS_SHIFT)));
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the publisher's half of a ring, by what it leaves in memory: numbers, positions, watermark, BUSY,
 * limits, batches, dictionary, time anchors.
 * Method: a ring over plain memory, looked at word by word.
 */
#include "tests/unit/shm/heap_ring.h"

static uint64_t
watermark(const struct heap_ring *h)
{
    return bbi_load_relaxed(&h->map.hdr->claim_pos.v);
}

Test(ring_write, the_first_message_is_number_depth, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    uint32_t tag = intern(&h, "a");
    cr_assert_eq(put(&h, tag, "hello", 5), 0);
    const struct bbi_desc *d = desc_of(&h, 64);
    cr_assert_eq(bbi_load_relaxed(&d->seq), 64U);
    cr_assert_eq(bbi_load_relaxed(&d->pos), 0U);
    cr_assert_eq(bbi_load_relaxed(&d->len), 5U);
    cr_assert_eq(bbi_load_relaxed(&d->tag), tag);
    cr_assert_eq(memcmp(h.map.pay, "hello", 5), 0);
    cr_assert_eq(h.w.n, 65U);
    cr_assert_eq(h.w.pos, 16U);
    for (uint64_t s = 65; s < 128; s++) {
        cr_assert_eq(bbi_load_relaxed(&desc_of(&h, s)->seq), 0U, "never written is 0");
    }
    heap_ring_delete(&h);
}

Test(ring_write, tail_is_told_by_flush_only, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    cr_assert_eq(bbi_load_relaxed(&h.map.hdr->tail_seq), 64U);
    cr_assert_eq(put(&h, intern(&h, "a"), "x", 1), 0);
    cr_assert_eq(bbi_load_relaxed(&h.map.hdr->tail_seq), 64U);
    cr_assert(!bbi_writer_is_flushed(&h.w));
    bbi_writer_flush(&h.w);
    cr_assert(bbi_writer_is_flushed(&h.w));
    cr_assert_eq(bbi_load_relaxed(&h.map.hdr->tail_seq), 65U);
    cr_assert_eq(bbi_load_relaxed(&h.map.hdr->tail_pos), 16U);
    cr_assert_eq(bbi_load_relaxed(&h.map.hdr->counters.flushes), 1U);
    heap_ring_delete(&h);
}

Test(ring_write, claim_moves_the_watermark_before_any_byte, .timeout = 20)
{
    struct heap_ring h;
    void *p;
    heap_ring_small(&h);
    cr_assert_eq(watermark(&h), 0U);
    cr_assert_eq(bbi_writer_claim(&h.w, 40, &p), 0);
    cr_assert_geq(watermark(&h), 48U, "covers the padded message");
    cr_assert_eq(watermark(&h), h.map.quantum, "moves in steps");
    cr_assert_eq(h.w.n, 64U, "nothing is published yet");
    heap_ring_delete(&h);
}

Test(ring_write, watermark_is_ahead_of_every_byte_ever_claimed, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    uint64_t x = 1;
    for (int i = 0; i < 5000; i++) {
        void *p;
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        uint64_t bytes = (x >> 40) % (h.map.max_msg + 1);
        int rc = bbi_writer_claim(&h.w, bytes, &p);
        if (rc == BB_EBUSY) {
            bbi_writer_flush(&h.w);
            rc = bbi_writer_claim(&h.w, bytes, &p);
        }
        cr_assert_eq(rc, 0);
        uint64_t end = h.w.pos + bytes;
        cr_assert_geq(watermark(&h), end);
        cr_assert_leq(watermark(&h), bbi_align_up(end, 16) + h.map.quantum);
        cr_assert_leq((h.w.pos & h.map.pay_mask) + bytes, h.map.pay_bytes, "never across the end");
        cr_assert_eq((unsigned char *)p, h.map.pay + (h.w.pos & h.map.pay_mask));
        cr_assert_eq((uintptr_t)p % 16, 0U);
        bbi_writer_commit(&h.w, (uint32_t)bytes, BBI_TAG_SPILL, 0, 0);
    }
    heap_ring_delete(&h);
}

Test(ring_write, abort_publishes_nothing_and_the_slot_is_claimed_again, .timeout = 20)
{
    struct heap_ring h;
    void *first, *again;
    heap_ring_small(&h);
    uint32_t tag = intern(&h, "a");
    cr_assert_eq(bbi_writer_claim(&h.w, 8, &first), 0);
    bbi_writer_abort(&h.w);
    cr_assert_eq(h.w.n, 64U);
    cr_assert_eq(bbi_load_relaxed(&h.map.dict[tag].counts.messages), 0U);
    cr_assert_eq(bbi_writer_claim(&h.w, 8, &again), 0);
    cr_assert_eq(first, again);
    memcpy(again, "12345678", 8);
    bbi_writer_commit(&h.w, 8, tag, 0, 0);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 64)->seq), 64U);
    heap_ring_delete(&h);
}

Test(ring_write, commit_may_use_less_than_was_claimed, .timeout = 20)
{
    struct heap_ring h;
    void *p;
    heap_ring_small(&h);
    cr_assert_eq(bbi_writer_claim(&h.w, 1000, &p), 0);
    bbi_writer_commit(&h.w, 33, BBI_TAG_SPILL, 0, 0);
    cr_assert_eq(h.w.pos, 48U);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 64)->len), 33U);
    heap_ring_delete(&h);
}

Test(ring_write, the_largest_message_goes_and_one_byte_more_does_not, .timeout = 20)
{
    struct heap_ring h;
    void *p;
    heap_ring_small(&h);
    cr_assert_eq(bbi_writer_claim(&h.w, h.map.max_msg, &p), 0);
    cr_assert_eq(bbi_writer_claim(&h.w, h.map.max_msg + 1, &p), BB_EMSGSIZE);
    cr_assert_eq(bbi_writer_claim(&h.w, UINT64_MAX, &p), BB_EMSGSIZE);
    heap_ring_delete(&h);
}

Test(ring_write, a_flush_is_due_after_batch_msgs, .timeout = 20)
{
    struct heap_ring h;
    void *p;
    heap_ring_small(&h);
    for (uint32_t i = 0; i < h.map.batch_msgs; i++) {
        cr_assert_eq(bbi_writer_claim(&h.w, 1, &p), 0);
        bbi_writer_commit(&h.w, 1, BBI_TAG_SPILL, 0, 0);
    }
    cr_assert_eq(bbi_writer_claim(&h.w, 1, &p), BB_EBUSY);
    bbi_writer_flush(&h.w);
    cr_assert_eq(bbi_writer_claim(&h.w, 1, &p), 0);
    heap_ring_delete(&h);
}

Test(ring_write, a_flush_is_due_after_batch_bytes, .timeout = 20)
{
    struct heap_ring h;
    void *p;
    heap_ring_small(&h);
    cr_assert_eq(bbi_writer_claim(&h.w, 992, &p), 0);
    bbi_writer_commit(&h.w, 992, BBI_TAG_SPILL, 0, 0);
    cr_assert_eq(bbi_writer_claim(&h.w, 33, &p), BB_EBUSY);
    cr_assert_eq(bbi_writer_claim(&h.w, 32, &p), 0, "exactly the bound");
    bbi_writer_abort(&h.w);
    bbi_writer_flush(&h.w);
    cr_assert_eq(bbi_writer_claim(&h.w, 1024, &p), 0, "alone it may be as large as a batch");
    heap_ring_delete(&h);
}

/* Between two flushes: at most D/4 messages, C/4 bytes and one wrap; the proof of joining rests on it. */
Test(ring_write, what_lies_between_two_flushes_is_bounded, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    uint64_t x = 7;
    for (int i = 0; i < 20000; i++) {
        unsigned char buf[1024] = {0};
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        cr_assert_eq(put(&h, BBI_TAG_SPILL, buf, (x >> 33) % 1025), 0);
        cr_assert_leq(h.w.n - h.w.flushed_seq, 16U);
        cr_assert_leq(h.w.pos - h.w.flushed_pos, h.map.pay_bytes / 2);
        cr_assert_leq(h.w.claim_pos - h.w.flushed_pos, h.map.pay_bytes / 2 + h.map.pay_bytes / 16);
    }
    heap_ring_delete(&h);
}

Test(ring_write, limits_of_a_reliable_cursor_hold, .timeout = 20)
{
    struct heap_ring h;
    void *p;
    heap_ring_small(&h);
    bbi_writer_limit(&h.w, 66, UINT64_MAX);
    put_numbered(&h, BBI_TAG_SPILL, 2, 8);
    cr_assert_eq(bbi_writer_claim(&h.w, 8, &p), BB_EAGAIN);
    cr_assert(!bbi_writer_has_room(&h.w, 8));
    bbi_writer_limit(&h.w, 67, UINT64_MAX);
    cr_assert(bbi_writer_has_room(&h.w, 8));
    cr_assert_eq(bbi_writer_claim(&h.w, 8, &p), 0);
    heap_ring_delete(&h);
}

Test(ring_write, the_quantum_never_eats_into_a_reliable_readers_bytes, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    bbi_writer_limit(&h.w, UINT64_MAX, 48);
    put_numbered(&h, BBI_TAG_SPILL, 2, 8);
    cr_assert_eq(watermark(&h), 48U, "clipped");
    put_numbered(&h, BBI_TAG_SPILL, 1, 8);
    void *p;
    cr_assert_eq(bbi_writer_claim(&h.w, 0, &p), 0, "nothing needs no byte");
    cr_assert_eq(bbi_writer_claim(&h.w, 1, &p), BB_EAGAIN);
    cr_assert_eq(watermark(&h), 48U);
    cr_assert(!bbi_writer_has_room(&h.w, 1));
    heap_ring_delete(&h);
}

Test(ring_write, a_refused_claim_touches_nothing, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    put_numbered(&h, BBI_TAG_SPILL, 70, 8);
    bbi_writer_limit(&h.w, h.w.n, UINT64_MAX);
    unsigned char *copy = malloc(h.bytes);
    void *p;
    memcpy(copy, h.base, h.bytes);
    cr_assert_eq(bbi_writer_claim(&h.w, 8, &p), BB_EAGAIN);
    cr_assert_eq(bbi_writer_claim(&h.w, 5000, &p), BB_EMSGSIZE);
    cr_assert_eq(memcmp(copy, h.base, h.bytes), 0);
    free(copy);
    heap_ring_delete(&h);
}

Test(ring_write, counters_say_what_was_committed, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a"), b = intern(&h, "b");
    put_numbered(&h, a, 300, 16);
    put_numbered(&h, b, 7, 8);
    put_numbered(&h, BBI_TAG_SPILL, 3, 24);
    cr_assert_eq(bbi_load_relaxed(&h.map.dict[a].counts.messages), 300U);
    cr_assert_eq(bbi_load_relaxed(&h.map.dict[a].counts.bytes), 4800U);
    cr_assert_eq(bbi_load_relaxed(&h.map.dict[b].counts.messages), 7U);
    cr_assert_eq(bbi_load_relaxed(&h.map.hdr->counters.spilled.messages), 3U);
    cr_assert_eq(bbi_load_relaxed(&h.map.hdr->counters.spilled.bytes), 72U);
    heap_ring_delete(&h);
}

Test(ring_write, a_full_dictionary_spills, .timeout = 20)
{
    struct heap_ring h;
    char topic[8];
    heap_ring_small(&h);
    for (uint32_t i = 0; i < 16; i++) {
        (void)snprintf(topic, sizeof(topic), "t%u", i);
        cr_assert_eq(intern(&h, topic), i);
    }
    cr_assert_eq(intern(&h, "one more"), BBI_TAG_SPILL);
    cr_assert_eq(bbi_load_relaxed(&h.map.hdr->topics), 16U);
    heap_ring_delete(&h);
}

Test(ring_write, a_topic_longer_than_what_is_left_of_the_text_spills, .timeout = 20)
{
    struct heap_ring h;
    char text[257];
    heap_ring_small(&h);
    memset(text, 'x', sizeof(text));
    cr_assert_eq(bbi_writer_intern(&h.w, text, 257, 1), BBI_TAG_SPILL);
    cr_assert_eq(bbi_writer_intern(&h.w, text, 200, 1), 0U);
    cr_assert_eq(bbi_writer_intern(&h.w, text, 57, 1), BBI_TAG_SPILL);
    cr_assert_eq(bbi_writer_intern(&h.w, text, 56, 1), 1U, "exactly what is left");
    cr_assert_eq(bbi_writer_intern(&h.w, "", 0, 1), 2U, "the empty topic needs no text");
    cr_assert_eq(bbi_writer_intern(&h.w, "x", 1, 1), BBI_TAG_SPILL);
    const char *t;
    uint32_t n;
    cr_assert_eq(bbi_reader_topic(&h.map, 1, &t, &n), 0);
    cr_assert_eq(n, 56U);
    cr_assert_eq(memcmp(t, text, 56), 0);
    heap_ring_delete(&h);
}

/* ---- bursts ---- */

static uint32_t
more_of(const struct heap_ring *h, uint64_t first)
{
    return bbi_load_relaxed(&desc_of(h, first)->flags) >> BBI_MORE_SHIFT;
}

static void
put_byte(struct heap_ring *h, uint32_t tag)
{
    cr_assert_eq(put(h, tag, "x", 1), 0);
}

Test(ring_write, messages_side_by_side_are_described_once, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a"), b = intern(&h, "b");
    for (uint32_t i = 0; i < 5; i++) {
        put_byte(&h, a);
        cr_assert_eq(more_of(&h, 64), i);
        cr_assert_eq(bbi_load_relaxed(&h.map.dict[a].counts.messages), i + 1);
    }
    put_byte(&h, b);
    put_byte(&h, a);
    put_byte(&h, a);
    cr_assert_eq(more_of(&h, 64), 4U);
    cr_assert_eq(more_of(&h, 69), 0U);
    cr_assert_eq(more_of(&h, 70), 1U);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 70)->pos), 6 * 16U);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 71)->seq), 0U);
    heap_ring_delete(&h);
}

Test(ring_write, a_burst_ends_at_the_flush_and_where_the_ring_wraps, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    unsigned char big[512] = {0};
    uint32_t a = intern(&h, "a");
    put_byte(&h, a);
    bbi_writer_flush(&h.w);
    put_byte(&h, a);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 65)->seq), 65U);
    bbi_writer_flush(&h.w);
    heap_ring_delete(&h);
    heap_ring_small(&h);
    a = intern(&h, "a");
    for (int i = 0; i < 7; i++) { /* 3,584 of 4,096 bytes */
        cr_assert_eq(put(&h, a, big, sizeof(big)), 0);
        bbi_writer_flush(&h.w);
    }
    cr_assert_eq(put(&h, a, big, sizeof(big)), 0);
    cr_assert_eq(put(&h, a, big, sizeof(big)), 0); /* at the front, though its position goes on */
    cr_assert_eq(h.w.pos, 4096 + 512U);
    cr_assert_eq(more_of(&h, 64 + 7), 0U);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 64 + 8)->seq), 64 + 8U);
    heap_ring_delete(&h);
}

/* The ring is full to its end, the burst is open, and the limits are looked at: the next one is at the front. */
Test(ring_write, a_burst_ends_where_the_ring_wraps_whoever_looked_at_the_limits, .timeout = 20)
{
    struct heap_ring h;
    unsigned char words[64] = {0};
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a");
    put_numbered(&h, a, 62, 64);
    cr_assert_eq(put(&h, a, words, sizeof(words)), 0);
    cr_assert_eq(put(&h, a, words, sizeof(words)), 0);
    cr_assert_eq(h.w.pos, 4096U);
    bbi_writer_limit(&h.w, UINT64_MAX, UINT64_MAX);
    cr_assert_eq(put(&h, a, words, sizeof(words)), 0);
    cr_assert_eq(more_of(&h, 64 + 62), 1U);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 128)->seq), 128U);
    heap_ring_delete(&h);
}

/*
 * The last message ends where the ring does, and then a limit moves: what follows lies at the front.  One of another size
 * came before, no multiple of the quantum, so that the watermark is ahead of the end already.
 */
Test(ring_write, a_burst_ends_where_the_ring_does_also_below_the_watermark, .timeout = 20)
{
    struct heap_ring h;
    unsigned char bytes[272] = {0};
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a");
    cr_assert_eq(put(&h, a, bytes, sizeof(bytes)), 0);
    bbi_writer_flush(&h.w);
    while (h.w.pos < h.map.pay_bytes) {
        cr_assert_eq(put(&h, a, bytes, 16), 0);
    }
    uint64_t n = h.w.n;
    cr_assert_gt(h.w.claim_pos, h.w.pos);
    cr_assert(!bbi_writer_is_flushed(&h.w));
    bbi_writer_limit(&h.w, UINT64_MAX, UINT64_MAX); /* as bb_headroom() does */
    cr_assert_eq(put(&h, a, bytes, 16), 0);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, n)->seq), n, "a burst of its own");
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, n)->pos), h.map.pay_bytes);
    heap_ring_delete(&h);
}

/* Of a batch whose messages use less than was claimed none lies behind the one before. */
Test(ring_write, a_batch_of_odd_sizes_is_described_one_by_one, .timeout = 20)
{
    struct heap_ring h;
    void *p[4];
    const size_t used[4] = {32, 32, 8, 32};
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a");
    cr_assert_eq(bbi_writer_claim(&h.w, 32, &p[0]), 0);
    cr_assert_eq(bbi_writer_open_loans(&h.w, 32, 4, p), 4U);
    bbi_writer_commit_all(&h.w, &h.map.dict[a].counts, used, 4, a, 0, 0);
    cr_assert_eq(more_of(&h, 64), 1U);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 66)->seq), 66U);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 66)->pos), 64U);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 67)->seq), 67U);
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 67)->pos), 96U, "where it was claimed");
    cr_assert_eq(h.w.n, 68U);
    cr_assert_eq(h.w.pos, 128U);
    heap_ring_delete(&h);
}

Test(ring_write, locate_says_where_a_message_and_its_burst_begin, .timeout = 20)
{
    struct heap_ring h;
    uint64_t first, pos;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a");
    put_numbered(&h, a, 3, 8);
    put_byte(&h, a);
    put_byte(&h, a);
    for (uint64_t c = 64; c <= 69; c++) {
        cr_assert_eq(bbi_writer_locate(&h.w, c, &first, &pos), 1, "%llu", (unsigned long long)c);
        cr_assert_eq(first, c < 67 ? 64U : 67U, "also for the next one: the burst may take it in");
        cr_assert_eq(pos, (c - 64) * 16);
    }
    bbi_writer_flush(&h.w);
    cr_assert_eq(bbi_writer_locate(&h.w, 69, &first, &pos), 1);
    cr_assert_eq(first, 69U);
    put_numbered(&h, a, 80, 8);
    cr_assert_eq(bbi_writer_locate(&h.w, 66, &first, &pos), 1, "nothing began in its slot since");
    put_numbered(&h, a, 200, 8);
    cr_assert_eq(bbi_writer_locate(&h.w, 66, &first, &pos), 0, "its bytes went");
    heap_ring_delete(&h);
}

/* ---- time ---- */

static int64_t wall_now;
static int wall_asked;

static int64_t
fake_wall(int64_t mono_ns)
{
    (void)mono_ns;
    wall_asked++;
    return wall_now;
}

Test(ring_write, the_wall_clock_is_asked_once_in_68_seconds, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    const int64_t s = 1000000000;
    wall_now = 1700000000 * s;
    cr_assert_eq(bbi_writer_stamp(&h.w, 5 * s, fake_wall), (uint32_t)(5 * s >> 6));
    for (int64_t t = 5; t < 5 + 68; t++) {
        cr_assert_eq(bbi_writer_stamp(&h.w, t * s, fake_wall), (uint32_t)(t * s >> 6));
    }
    cr_assert_eq(wall_asked, 1);
    (void)bbi_writer_stamp(&h.w, 5 * s + (INT64_C(1) << 36), fake_wall);
    cr_assert_eq(wall_asked, 2);
    cr_assert_eq(bbi_load_relaxed(&h.map.hdr->anchors), 2U);
    heap_ring_delete(&h);
}

Test(ring_write, an_anchor_names_the_message_that_comes_next, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    put_numbered(&h, BBI_TAG_SPILL, 3, 8);
    wall_now = 42;
    (void)bbi_writer_stamp(&h.w, 1000, fake_wall);
    cr_assert_eq(bbi_load_relaxed(&h.map.anchors[0].seq), h.w.n);
    cr_assert_eq(bbi_load_relaxed(&h.map.anchors[0].mono_ns), 1000U);
    cr_assert_eq(bbi_load_relaxed(&h.map.anchors[0].wall_ns), 42U);
    heap_ring_delete(&h);
}

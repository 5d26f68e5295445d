/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/ring_write.c - claim, commit, flush.
 *
 *      watermark moves      payload        slot is BUSY, fields, seq = n       tail, epochs, sleepers
 *                                          or one more in the open burst
 *   ------ R2 ------------------------------- R3 ------------------ R1 ------------ R5 ---------->
 *          claim            (the caller)      commit                                flush
 *
 * A reader that copied bytes looks at the watermark afterwards: whoever overwrote them had moved it first.
 */
#include "shm/ring_write.h"
#include "shm/hook.h"
#include <string.h>

void
bbi_writer_init(struct bbi_writer *w, const struct bbi_ring_map *map)
{
    *w = (struct bbi_writer){
        .map = *map,
        .n = map->depth,
        .flushed_seq = map->depth,
        .lim_seq = UINT64_MAX,
        .lim_pos = UINT64_MAX,
        .burst.kind.what = BBI_NO_KIND,
    };
    bbi_writer_set_free(w);
    bbi_store_relaxed(&map->hdr->tail_seq, w->n); /* nobody reads before the file is linked */
}

void
bbi_writer_limit(struct bbi_writer *w, uint64_t seq, uint64_t pos)
{
    w->lim_seq = seq;
    w->lim_pos = pos;
    bbi_writer_set_free(w);
}

/* R2: bytes below claim_pos, less C, may be overwritten from now on. */
static void
raise_watermark(struct bbi_writer *w, uint64_t end)
{
    uint64_t to = bbi_min_u64(bbi_max_u64(end, w->claim_pos + w->map.quantum), w->lim_pos);
    w->claim_pos = to;
    bbi_store_relaxed(&w->map.hdr->claim_pos.v, to);
    bbi_fence_release(); /* R2: pairs with the fence in bbi_copy_racy() */
    BBI_HOOK("ring:watermark");
}

/* Where the next message of room bytes begins: never across the end of the payload ring. */
static uint64_t
place_of(const struct bbi_writer *w, uint64_t room)
{
    const struct bbi_ring_map *m = &w->map;
    bool fits = (w->pos & m->pay_mask) + room <= m->pay_bytes;
    return fits ? w->pos
                : bbi_align_up(w->pos, m->pay_bytes); /* bytes skipped belong to no message */
}

bool
bbi_writer_has_room(const struct bbi_writer *w, uint64_t bytes)
{
    uint64_t room = bbi_align_up(bytes, BBI_PAYLOAD_ALIGN);
    return w->n < w->lim_seq && place_of(w, room) + room <= w->lim_pos;
}

int
bbi_writer_claim_slowly(struct bbi_writer *w, uint64_t bytes, void **out)
{
    const struct bbi_ring_map *m = &w->map;
    if (bytes > m->max_msg) {
        return BB_EMSGSIZE;
    }
    uint64_t room = bbi_align_up(bytes, BBI_PAYLOAD_ALIGN);
    uint64_t pos = place_of(w, room);
    uint64_t end = pos + room;
    if (w->n - w->flushed_seq >= m->batch_msgs
        || (end - w->flushed_pos > m->batch_bytes && w->n != w->flushed_seq)) {
        return BB_EBUSY;
    }
    if (w->n >= w->lim_seq || end > w->lim_pos) {
        return BB_EAGAIN;
    }
    if (end > w->claim_pos) {
        raise_watermark(w, end);
    }
    w->pos = pos;
    bbi_writer_set_free(w);
    bbi_writer_open_loan(w, bytes, out);
    return 0;
}

void
bbi_writer_begin_slowly(
    struct bbi_writer *w, struct bbi_counts *counts, uint64_t what, uint64_t how, uint32_t count)
{
    bbi_writer_begin(w, counts, (struct bbi_kind){what, how}, count);
}

int
bbi_writer_locate(const struct bbi_writer *w, uint64_t c, uint64_t *first, uint64_t *pos)
{
    struct bbi_burst b;
    uint64_t word;
    if (c == w->n) { /* the open burst may yet take it in */
        *first = w->burst.kind.what != BBI_NO_KIND ? w->burst.first : c;
        *pos = w->pos;
        return 1;
    }
    if (!bbi_burst_find(&w->map, c, &b, &word)) {
        return 0;
    }
    *first = b.first;
    *pos = bbi_burst_pos(&b, c);
    return w->claim_pos - *pos <= w->map.pay_bytes;
}

uint32_t
bbi_writer_intern(struct bbi_writer *w, const char *topic, size_t bytes, uint64_t hash)
{
    const struct bbi_ring_map *m = &w->map;
    if (w->topics >= m->dict_count || bytes > m->text_bytes - w->text_used) {
        return BBI_TAG_SPILL;
    }
    struct bbi_dict_entry *e = &m->dict[w->topics];
    if (bytes > 0) {
        memcpy(m->text + w->text_used, topic, bytes);
    }
    e->text_off = w->text_used;
    e->len = (uint32_t)bytes;
    e->hash = hash;
    BBI_HOOK("dict:written");
    w->text_used += (uint32_t)bytes;
    bbi_store_release(&m->hdr->topics, w->topics + 1); /* R7: pairs with bbi_reader_topic() */
    BBI_HOOK("dict:published");
    return w->topics++;
}

void
bbi_writer_anchor(struct bbi_writer *w, int64_t mono_ns, int64_t wall_ns)
{
    const struct bbi_ring_map *m = &w->map;
    uint32_t count = bbi_load_relaxed(&m->hdr->anchors); /* our own word */
    struct bbi_anchor *a = &m->anchors[count % m->anchor_count];
    bbi_store_relaxed(&a->seq, BBI_BUSY); /* a reader of the old one sees that it goes */
    bbi_fence_release();                  /* R10 */
    bbi_store_release(&a->mono_ns, (uint64_t)mono_ns);
    bbi_store_release(&a->wall_ns, (uint64_t)wall_ns);
    BBI_HOOK("anchor:written");
    bbi_store_release(&a->seq, w->n);               /* R10: pairs with bbi_reader_wall_ns() */
    bbi_store_release(&m->hdr->anchors, count + 1); /* R10 */
    w->anchor_mono_ns = mono_ns;
}

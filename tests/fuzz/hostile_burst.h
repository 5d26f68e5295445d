/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/fuzz/hostile_burst.h - descriptors as a publisher might write them: what random bytes hit once in a million.
 *
 * Input      burst: u8 distance, u8 form, u16 more, u16 bytes, u16 position; grow: u16 more.
 */
#ifndef BUSBAR_TESTS_FUZZ_HOSTILE_BURST_H
#define BUSBAR_TESTS_FUZZ_HOSTILE_BURST_H

#include "shm/ring_read.h"
#include "tests/fuzz/fuzz.h"

/*
 * Near the cursor.  Of the form say bits 0 to 3 the topic, 4 that it is spilled, 5 that it is being written, 6 that
 * its bytes are gone, 7 that it is announced.
 */
static inline void
hostile_burst(const struct bbi_reader *r, struct fuzz_in *in)
{
    const struct bbi_ring_map *m = &r->map;
    uint64_t seq = r->cursor + fuzz_u8(in) - 32;
    uint32_t form = fuzz_u8(in);
    struct bbi_desc *d = &m->desc[seq & m->desc_mask];
    uint32_t more = fuzz_u16(in);
    bbi_store_relaxed(&d->flags, more << BBI_MORE_SHIFT | form);
    bbi_store_relaxed(&d->len, fuzz_u16(in));
    uint64_t pos = fuzz_u16(in);
    bbi_store_relaxed(&d->pos, pos);
    bbi_store_relaxed(&d->tag, (form & 0x10) != 0 ? BBI_TAG_SPILL : form & 15);
    bbi_store_relaxed(&d->seq, (form & 0x20) != 0 ? seq | BBI_BUSY : seq);
    bbi_store_relaxed(&m->hdr->claim_pos.v, pos + ((form & 0x40) != 0 ? 2 * m->pay_bytes : 0));
    if ((form & 0x80) != 0) {
        bbi_store_relaxed(&m->hdr->tail_seq, seq + more % 64 + 1);
    }
    bbi_store_relaxed(&m->hdr->topics, 16);
}

/* The burst that the reader knows says another count. */
static inline void
hostile_grow(const struct bbi_reader *r, struct fuzz_in *in)
{
    struct bbi_desc *d = &r->map.desc[r->burst.first & r->map.desc_mask];
    uint32_t attr = bbi_load_relaxed(&d->flags) & BBI_ATTR_MASK;
    bbi_store_relaxed(&d->flags, attr | fuzz_u16(in) << BBI_MORE_SHIFT);
}

/* Whatever bytes, anywhere: u16 place in words, u8 words. */
static inline void
hostile_poke(unsigned char *base, uint64_t bytes, struct fuzz_in *in)
{
    size_t at = (size_t)fuzz_u16(in) * 8 % bytes;
    size_t want = (size_t)(fuzz_u8(in) % 32 + 1) * 8;
    size_t got;
    const uint8_t *from = fuzz_bytes(in, want < bytes - at ? want : bytes - at, &got);
    memcpy(base + at, from, got);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/ring.h"
#include <string.h>

static bool
shape_is_possible(const struct bbi_ring_shape *s)
{
    return bbi_is_pow2(s->depth) && s->depth >= 64 && s->depth <= UINT32_C(1) << 24
           && bbi_is_pow2(s->pay_bytes) && s->pay_bytes >= 4096 && s->pay_bytes <= UINT64_C(1) << 33
           && s->dict_count >= 1 && s->dict_count <= UINT32_C(1) << 20
           && s->text_bytes <= UINT64_C(1) << 30;
}

uint64_t
bbi_ring_footprint(const struct bbi_ring_shape *s, struct bbi_ring_geom *g)
{
    if (!shape_is_possible(s)) {
        return 0;
    }
    *g = (struct bbi_ring_geom){
        .depth = s->depth,
        .pay_bytes = s->pay_bytes,
        .dict_count = s->dict_count,
        .text_bytes = bbi_align_up(s->text_bytes, 64),
        .fence = s->fence,
        .max_msg = s->pay_bytes / 4,
        .batch_bytes = s->pay_bytes / 4,
        .batch_msgs = (uint32_t)bbi_min_u64(BBI_BATCH_MSGS, s->depth / 4),
        .anchor_count = (uint32_t)bbi_min_u64(s->depth, 1024), /* slow publishers: one a message */
        .desc_bytes = sizeof(struct bbi_desc),
        .align_bytes = BBI_PAYLOAD_ALIGN,
    };
    /* At least 16 KiB a step, so that readers do not miss the watermark's line all the time; at most C/16. */
    g->quantum = bbi_min_u64(bbi_max_u64(s->pay_bytes / 64, UINT64_C(16384)), s->pay_bytes / 16);
    uint64_t off = bbi_align_up(sizeof(struct bbi_ring), BBI_PAGE_BYTES);
    g->dict_off = off;
    off = bbi_align_up(off + g->dict_count * sizeof(struct bbi_dict_entry), BBI_LINE_BYTES);
    g->text_off = off;
    off = bbi_align_up(off + g->text_bytes, BBI_LINE_BYTES);
    g->anchor_off = off;
    off = bbi_align_up(off + g->anchor_count * sizeof(struct bbi_anchor), BBI_PAGE_BYTES);
    g->desc_off = off;
    off = bbi_align_up(off + (uint64_t)g->depth * sizeof(struct bbi_desc), BBI_PAGE_BYTES);
    g->pay_off = off;
    return off + g->pay_bytes;
}

/* A part of count * size bytes at off lies inside the file and does not overflow. */
static bool
part_fits(uint64_t off, uint64_t count, uint64_t size, uint64_t align, uint64_t file_bytes)
{
    uint64_t len;
    return off >= sizeof(struct bbi_ring) && off % align == 0 && off <= file_bytes
           && !__builtin_mul_overflow(count, size, &len) && len <= file_bytes - off;
}

static bool
geom_fits(const struct bbi_ring_geom *g, uint64_t bytes)
{
    return bbi_is_pow2(g->depth) && g->depth >= 64 && bbi_is_pow2(g->pay_bytes)
           && g->pay_bytes >= 4096 && g->desc_bytes == sizeof(struct bbi_desc)
           && g->align_bytes == BBI_PAYLOAD_ALIGN && g->pay_bytes <= UINT64_C(1) << 33
           && g->max_msg <= g->pay_bytes / 4 && g->quantum <= g->pay_bytes / 16
           && g->batch_bytes <= g->pay_bytes / 4 && g->batch_msgs >= 1
           && g->batch_msgs <= g->depth / 4 && g->batch_msgs <= BBI_BATCH_MOST
           && g->anchor_count >= 1 && g->dict_count >= 1 && g->fence <= BBI_FENCE_MEMBARRIER
           && part_fits(g->dict_off, g->dict_count, sizeof(struct bbi_dict_entry), 32, bytes)
           && part_fits(g->text_off, g->text_bytes, 1, 1, bytes)
           && part_fits(g->anchor_off, g->anchor_count, sizeof(struct bbi_anchor), 32, bytes)
           && part_fits(g->desc_off, g->depth, sizeof(struct bbi_desc), 32, bytes)
           && part_fits(g->pay_off, g->pay_bytes, 1, BBI_PAYLOAD_ALIGN, bytes);
}

int
bbi_ring_join(void *base, uint64_t bytes, struct bbi_ring_map *out)
{
    unsigned char *p = base;
    struct bbi_ring *hdr = base;
    if (bytes < sizeof(struct bbi_ring)) {
        return BB_ECORRUPT;
    }
    struct bbi_ring_geom g =
        hdr->ident.ring; /* the only read: another process could change the page */
    if (!geom_fits(&g, bytes)) {
        return BB_ECORRUPT;
    }
    *out = (struct bbi_ring_map){
        .hdr = hdr,
        .desc = (struct bbi_desc *)(void *)(p + g.desc_off),
        .pay = p + g.pay_off,
        .dict = (struct bbi_dict_entry *)(void *)(p + g.dict_off),
        .text = (char *)(p + g.text_off),
        .anchors = (struct bbi_anchor *)(void *)(p + g.anchor_off),
        .depth = g.depth,
        .desc_mask = g.depth - 1,
        .pay_bytes = g.pay_bytes,
        .pay_mask = g.pay_bytes - 1,
        .max_msg = g.max_msg,
        .quantum = g.quantum,
        .batch_bytes = g.batch_bytes,
        .text_bytes = g.text_bytes,
        .batch_msgs = g.batch_msgs,
        .dict_count = g.dict_count,
        .anchor_count = g.anchor_count,
        .fence = g.fence,
    };
    return 0;
}

#if BBI_TSAN

/* Byte by byte with order on each access: TSan sees both sides, and no fence is needed. */
void
bbi_copy_racy(void *dst, const void *src, size_t bytes)
{
    unsigned char *d = dst;
    const _Atomic unsigned char *s = src;
    for (size_t i = 0; i < bytes; i++) {
        d[i] = bbi_load_acquire(&s[i]);
    }
}

void
bbi_fill_racy(void *dst, const void *src, size_t bytes)
{
    _Atomic unsigned char *d = dst;
    const unsigned char *s = src;
    for (size_t i = 0; i < bytes; i++) {
        bbi_store_release(&d[i], s[i]);
    }
}

#else

void
bbi_copy_racy(void *dst, const void *src, size_t bytes)
{
    if (bbi_is_small_racy(src, bytes)) {
        size_t whole = bytes & ~(size_t)7;
        bbi_copy_small_racy(dst, src, whole);
        if (whole < bytes) {
            uint64_t last;
            bbi_copy_small_racy(&last, (const unsigned char *)src + whole, sizeof(last));
            memcpy((unsigned char *)dst + whole, &last, bytes - whole);
        }
    } else {
        /* The compiler may not look into it: the bytes may change while they are copied. */
        __asm__ __volatile__("" ::: "memory");
        memcpy(dst, src, bytes);
        __asm__ __volatile__("" ::: "memory");
    }
    bbi_fence_acquire(); /* R2: the caller looks at claim_pos after this */
}

void
bbi_fill_racy(void *dst, const void *src, size_t bytes)
{
    if (bytes > 0) {
        memcpy(dst, src, bytes);
    }
}

#endif

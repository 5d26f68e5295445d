/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the shape of a ring: what may be made, where its parts lie (layout 1), and that joining believes no
 * geometry that does not fit the file.
 * Method: golden offsets; a table of hostile geometries over a ring in memory of exactly its size.
 */
#include "tests/unit/shm/heap_ring.h"

Test(ring_shape, golden_offsets_of_layout_1, .timeout = 20)
{
    struct bbi_ring_geom g;
    const struct bbi_ring_shape s = shape_of(256, 128 * 1024, 64, 8 * 1024);
    cr_assert_eq(bbi_ring_footprint(&s, &g), 0x29000U);
    cr_assert_eq(g.dict_off, 0x2000U);
    cr_assert_eq(g.text_off, 0x2800U);
    cr_assert_eq(g.anchor_off, 0x4800U);
    cr_assert_eq(g.desc_off, 0x7000U);
    cr_assert_eq(g.pay_off, 0x9000U);
    cr_assert_eq(g.max_msg, 32U * 1024);
    cr_assert_eq(g.batch_bytes, 32U * 1024);
    cr_assert_eq(g.quantum, 8U * 1024);
    cr_assert_eq(g.batch_msgs, 32U);
    cr_assert_eq(g.anchor_count, 256U);
    cr_assert_eq(g.desc_bytes, 32U);
    cr_assert_eq(g.align_bytes, 16U);
}

Test(ring_shape, golden_offsets_of_the_data_lane, .timeout = 20)
{
    struct bbi_ring_geom g;
    const struct bbi_ring_shape s = shape_of(32 * 1024, 8 << 20, 4096, 256 * 1024);
    cr_assert_eq(bbi_ring_footprint(&s, &g), 0x96a000U);
    cr_assert_eq(g.desc_off, 0x6a000U);
    cr_assert_eq(g.pay_off, 0x16a000U);
    cr_assert_eq(g.quantum, 128U * 1024);
    cr_assert_eq(g.max_msg, 2U << 20);
}

Test(ring_shape, quantum_is_at_least_16_kib_and_at_most_a_sixteenth, .timeout = 20)
{
    for (uint64_t c = 4096; c <= UINT64_C(1) << 30; c *= 2) {
        struct bbi_ring_geom g;
        const struct bbi_ring_shape s = shape_of(64, c, 1, 0);
        cr_assert_neq(bbi_ring_footprint(&s, &g), 0U);
        cr_assert_leq(g.quantum, c / 16);
        cr_assert(g.quantum >= 16 * 1024 || g.quantum == c / 16);
        cr_assert_eq(g.max_msg, c / 4);
    }
}

Test(ring_shape, batches_are_at_most_a_quarter_of_the_descriptors, .timeout = 20)
{
    for (uint32_t d = 64; d <= 1U << 20; d *= 2) {
        struct bbi_ring_geom g;
        const struct bbi_ring_shape s = shape_of(d, 4096, 1, 0);
        cr_assert_neq(bbi_ring_footprint(&s, &g), 0U);
        cr_assert_leq(g.batch_msgs, d / 4);
        cr_assert_geq(g.batch_msgs, 1U);
    }
}

Test(ring_shape, impossible_shapes_have_no_footprint, .timeout = 20)
{
    const struct bbi_ring_shape bad[] = {
        shape_of(0, 4096, 1, 0),
        shape_of(32, 4096, 1, 0),
        shape_of(65, 4096, 1, 0),
        shape_of(UINT32_C(1) << 25, 4096, 1, 0),
        shape_of(UINT32_MAX, 4096, 1, 0),
        shape_of(64, 0, 1, 0),
        shape_of(64, 2048, 1, 0),
        shape_of(64, 4097, 1, 0),
        shape_of(64, UINT64_C(1) << 34, 1, 0),
        shape_of(64, UINT64_MAX, 1, 0),
        shape_of(64, 4096, 0, 0),
        shape_of(64, 4096, UINT32_MAX, 0),
        shape_of(64, 4096, 1, (UINT64_C(1) << 30) + 1),
        shape_of(64, 4096, 1, UINT64_MAX),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct bbi_ring_geom g;
        cr_assert_eq(bbi_ring_footprint(&bad[i], &g), 0U, "shape %zu", i);
    }
}

Test(ring_shape, the_largest_shapes_do_not_overflow, .timeout = 20)
{
    struct bbi_ring_geom g;
    const struct bbi_ring_shape s =
        shape_of(UINT32_C(1) << 24, UINT64_C(1) << 33, UINT32_C(1) << 20, UINT64_C(1) << 30);
    uint64_t bytes = bbi_ring_footprint(&s, &g);
    cr_assert_gt(bytes, s.pay_bytes + s.text_bytes + (uint64_t)s.depth * 32);
    cr_assert_eq(g.pay_off + g.pay_bytes, bytes);
    cr_assert_leq(g.max_msg, UINT32_MAX, "a descriptor's length has 32 bits");
}

Test(ring_shape, join_gives_parts_inside_the_memory, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    unsigned char *base = h.base;
    unsigned char *end = base + h.bytes;
    cr_assert_eq(h.map.depth, 64U);
    cr_assert_eq(h.map.desc_mask, 63U);
    cr_assert_eq(h.map.pay_bytes, 4096U);
    cr_assert((unsigned char *)(h.map.desc + h.map.depth) <= end);
    cr_assert(h.map.pay + h.map.pay_bytes <= end);
    cr_assert((unsigned char *)(h.map.dict + h.map.dict_count) <= end);
    cr_assert((unsigned char *)h.map.text + h.map.text_bytes <= end);
    cr_assert((unsigned char *)(h.map.anchors + h.map.anchor_count) <= end);
    heap_ring_delete(&h);
}

Test(ring_shape, join_refuses_memory_that_is_too_short, .timeout = 20)
{
    struct heap_ring h;
    struct bbi_ring_map m;
    heap_ring_small(&h);
    cr_assert_eq(bbi_ring_join(h.base, h.bytes, &m), 0);
    cr_assert_eq(bbi_ring_join(h.base, h.bytes - 1, &m), BB_ECORRUPT);
    cr_assert_eq(bbi_ring_join(h.base, sizeof(struct bbi_ring), &m), BB_ECORRUPT);
    heap_ring_delete(&h);
}

Test(ring_shape, join_reads_nothing_beyond_memory_that_is_too_short, .timeout = 20)
{
    for (size_t bytes = BBI_LINE_BYTES; bytes <= 512; bytes += BBI_LINE_BYTES) {
        struct bbi_ring_map m;
        void *p = aligned_alloc(BBI_LINE_BYTES, bytes); /* ASan watches its end */
        memset(p, 0xff, bytes);
        cr_assert_eq(bbi_ring_join(p, bytes, &m), BB_ECORRUPT);
        free(p);
    }
}

typedef void (*spoil_fn)(struct bbi_ring_geom *g);
#define SPOIL(name, code)                                                                          \
    static void spoil_##name(struct bbi_ring_geom *g)                                              \
    {                                                                                              \
        code;                                                                                      \
    }
SPOIL(depth_zero, g->depth = 0)
SPOIL(depth_odd, g->depth = 65)
SPOIL(depth_small, g->depth = 32)
SPOIL(depth_huge, g->depth = UINT32_C(1) << 31)
SPOIL(depth_double, g->depth *= 4096)
SPOIL(pay_zero, g->pay_bytes = 0)
SPOIL(pay_odd, g->pay_bytes -= 32)
SPOIL(pay_double, g->pay_bytes *= 2)
SPOIL(pay_huge, g->pay_bytes = UINT64_C(1) << 63)
SPOIL(max_msg, g->max_msg = g->pay_bytes / 4 + 1)
SPOIL(max_msg_huge, g->max_msg = UINT64_MAX)
SPOIL(quantum, g->quantum = g->pay_bytes / 16 + 1)
SPOIL(batch_bytes, g->batch_bytes = g->pay_bytes / 4 + 1)
SPOIL(batch_msgs, g->batch_msgs = g->depth / 4 + 1)
SPOIL(batch_none, g->batch_msgs = 0)
SPOIL(desc_bytes, g->desc_bytes = 64)
SPOIL(no_anchors, g->anchor_count = 0)
SPOIL(anchors_huge, g->anchor_count = UINT32_MAX)
SPOIL(no_dict, g->dict_count = 0)
SPOIL(dict_huge, g->dict_count = UINT32_MAX)
SPOIL(text_huge, g->text_bytes = UINT64_MAX)
SPOIL(fence, g->fence = 2)
SPOIL(dict_in_header, g->dict_off = 0)
SPOIL(text_in_header, g->text_off = 4096)
SPOIL(desc_in_header, g->desc_off = 4096)
SPOIL(pay_in_header, g->pay_off = 4096)
SPOIL(anchor_beyond, g->anchor_off = UINT64_C(1) << 40)
SPOIL(desc_beyond, g->desc_off = UINT64_MAX - 31)
SPOIL(pay_wraps, g->pay_off = UINT64_MAX - 31)
SPOIL(dict_beyond, g->dict_off = UINT64_C(1) << 62)
SPOIL(text_beyond, g->text_off = UINT64_MAX)
SPOIL(desc_unaligned, g->desc_off += 8)
SPOIL(dict_unaligned, g->dict_off += 1)
SPOIL(anchor_unaligned, g->anchor_off += 16)
SPOIL(align, g->align_bytes = 32)
SPOIL(pay_unaligned, g->pay_off -= 8)
SPOIL(pay_one_step_late, g->pay_off += 32)

Test(ring_shape, join_believes_no_geometry_that_does_not_fit, .timeout = 20)
{
    static const struct {
        const char *name;
        spoil_fn spoil;
    } rows[] = {
#define ROW(name) {#name, spoil_##name}
        ROW(depth_zero),     ROW(depth_odd),
        ROW(depth_small),    ROW(depth_huge),
        ROW(depth_double),   ROW(pay_zero),
        ROW(pay_odd),        ROW(pay_double),
        ROW(pay_huge),       ROW(max_msg),
        ROW(max_msg_huge),   ROW(quantum),
        ROW(batch_bytes),    ROW(batch_msgs),
        ROW(batch_none),     ROW(desc_bytes),
        ROW(no_anchors),     ROW(anchors_huge),
        ROW(no_dict),        ROW(dict_huge),
        ROW(text_huge),      ROW(fence),
        ROW(dict_in_header), ROW(text_in_header),
        ROW(desc_in_header), ROW(pay_in_header),
        ROW(anchor_beyond),  ROW(desc_beyond),
        ROW(pay_wraps),      ROW(dict_beyond),
        ROW(text_beyond),    ROW(desc_unaligned),
        ROW(dict_unaligned), ROW(anchor_unaligned),
        ROW(pay_unaligned),  ROW(pay_one_step_late),
        ROW(align),
    };
    struct heap_ring h;
    heap_ring_small(&h);
    struct bbi_ring_geom *g = &((struct bbi_ring *)h.base)->ident.ring;
    const struct bbi_ring_geom good = *g;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bbi_ring_map m;
        *g = good;
        rows[i].spoil(g);
        cr_expect_eq(bbi_ring_join(h.base, h.bytes, &m), BB_ECORRUPT, "%s", rows[i].name);
    }
    *g = good;
    struct bbi_ring_map m;
    cr_assert_eq(bbi_ring_join(h.base, h.bytes, &m), 0);
    heap_ring_delete(&h);
}

/* Whatever join accepts must lie inside: random geometries, all parts touched under ASan. */
Test(ring_shape, random_geometries_are_refused_or_safe, .timeout = 60)
{
    struct heap_ring h;
    heap_ring_small(&h);
    struct bbi_ring_geom *g = &((struct bbi_ring *)h.base)->ident.ring;
    const struct bbi_ring_geom good = *g;
    uint64_t x = 88172645463325252ULL;
    int accepted = 0;
    for (int i = 0; i < 200000; i++) {
        unsigned char *bytes = (unsigned char *)g;
        struct bbi_ring_map m;
        *g = good;
        for (int k = 0; k < 2; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            bytes[x % sizeof(*g)] ^= (unsigned char)(1U << (x >> 32) % 8);
        }
        if (bbi_ring_join(h.base, h.bytes, &m) == 0) {
            accepted++;
            volatile unsigned char sink;
            sink = *(unsigned char *)m.desc;
            sink = ((unsigned char *)(m.desc + m.depth))[-1];
            sink = m.pay[0];
            sink = m.pay[m.pay_bytes - 1];
            sink = ((unsigned char *)(m.dict + m.dict_count))[-1];
            sink = ((unsigned char *)(m.anchors + m.anchor_count))[-1];
            if (m.text_bytes > 0) {
                sink = (unsigned char)m.text[m.text_bytes - 1];
            }
            (void)sink;
        }
    }
    cr_assert_gt(accepted, 0, "some bits do not matter");
    heap_ring_delete(&h);
}

/* A look for the burst that a message is in goes back over a batch: a hostile one must not make that long. */
Test(ring_shape, a_batch_of_thousands_is_refused, .timeout = 20)
{
    const struct bbi_ring_shape shape = shape_of(8192, 65536, 16, 256);
    struct heap_ring h;
    struct bbi_ring_map m;
    heap_ring_new(&h, &shape);
    struct bbi_ring_geom *g = &((struct bbi_ring *)h.base)->ident.ring;
    g->batch_msgs = BBI_BATCH_MOST;
    cr_assert_eq(bbi_ring_join(h.base, h.bytes, &m), 0);
    g->batch_msgs = BBI_BATCH_MOST + 1;
    cr_assert_eq(bbi_ring_join(h.base, h.bytes, &m), BB_ECORRUPT);
    heap_ring_delete(&h);
}

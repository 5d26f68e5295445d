/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring that a hostile publisher writes, read while it changes: joining it, its dictionary, messages, bursts,
 * counters and times.
 *
 * Input      steps: u8 what; poke, burst, grow: as in hostile_burst.h; the others: u8 argument.
 * Oracle     from the start to the cursor: messages = passed on + filtered + lost, whatever the ring says; a message,
 *            and every one of the burst that a reader believes, lies in the ring.
 */
#include "tests/fuzz/hostile_burst.h"

enum { TOPICS = 16, TEXT_BYTES = 256, DEPTH = 64, PAY_BYTES = 4096, STEPS_MAX = 4096 };
enum {
    POKE,
    BURST = 11,
    GROW,
    KINDS
}; /* steps that are more than an argument; 1 to 10 are in step() */

struct hostile {
    unsigned char *base;
    uint64_t bytes;
    struct bbi_reader r;
    uint64_t passed;
    bool is_joined;
};

static void
new_ring(struct hostile *h)
{
    const struct bbi_ring_shape shape = {.depth = DEPTH,
                                         .pay_bytes = PAY_BYTES,
                                         .dict_count = TOPICS,
                                         .text_bytes = TEXT_BYTES,
                                         .fence = BBI_FENCE_FULL};
    struct bbi_ring_geom geom;
    *h = (struct hostile){.bytes = bbi_ring_footprint(&shape, &geom)};
    FUZZ_CHECK(h->bytes > 0);
    h->base = aligned_alloc(BBI_PAGE_BYTES, h->bytes);
    FUZZ_CHECK(h->base != NULL);
    memset(h->base, 0, h->bytes);
    ((struct bbi_ring *)(void *)h->base)->ident.ring = geom;
}

static void
drop_reader(struct hostile *h)
{
    if (h->is_joined) {
        free(h->r.tags);
        free(h->r.now);
        h->is_joined = false;
    }
}

static void
join(struct hostile *h)
{
    struct bbi_ring_map map;
    drop_reader(h);
    if (bbi_ring_join(h->base, h->bytes, &map) < 0) {
        return;
    }
    bbi_reader_init(&h->r, &map);
    h->r.tags = calloc(map.dict_count + 1, sizeof(*h->r.tags));
    h->r.now = calloc(map.dict_count + 1, sizeof(*h->r.now));
    FUZZ_CHECK(h->r.tags != NULL && h->r.now != NULL);
    h->passed = 0;
    h->is_joined = true;
}

/* The reader looks once more. */
static void
grow(struct hostile *h, struct fuzz_in *in)
{
    hostile_grow(&h->r, in);
    bbi_reader_resume(&h->r);
    (void)bbi_reader_is_at_tail(&h->r);
}

/* Who has the burst hands out its messages without another look. */
static void
check_burst(const struct hostile *h, const struct bbi_item *item)
{
    const struct bbi_ring_map *m = &h->r.map;
    const struct bbi_burst *b = &h->r.burst;
    uint64_t left = b->count - (h->r.cursor - b->first);
    FUZZ_CHECK(bbi_burst_has(b, h->r.cursor) && b->count <= m->batch_msgs);
    FUZZ_CHECK(item->bytes <= m->max_msg && item->data >= m->pay);
    FUZZ_CHECK(item->data + (left - 1) * b->stride + item->bytes <= m->pay + m->pay_bytes);
    FUZZ_CHECK(b->stride >= item->bytes && (b->tag == BBI_TAG_SPILL || b->tag < m->dict_count));
}

/* Within the text of all topics, and with no bytes that are not. */
static void
use_topic(const struct bbi_ring_map *map, const char *topic, uint32_t bytes)
{
    FUZZ_CHECK(topic >= map->text && topic + bytes <= map->text + map->text_bytes);
    fuzz_touch(topic, bytes);
}

/* As a subscriber does when it hears of a tag for the first time; every third topic is unwanted. */
static bool
learn(struct hostile *h, uint32_t upto)
{
    struct bbi_reader *r = &h->r;
    while (r->tag_count <= upto) {
        const char *topic;
        uint32_t bytes;
        if (bbi_reader_topic(&r->map, r->tag_count, &topic, &bytes) < 0) {
            return false;
        }
        use_topic(&r->map, topic, bytes);
        r->tags[r->tag_count] = (struct bbi_tag){.is_wanted = r->tag_count % 3 != 2};
        r->tag_count++;
    }
    return true;
}

static void
use_item(struct hostile *h, const struct bbi_item *item)
{
    check_burst(h, item);
    unsigned char *copy = fuzz_copy(item->data, item->bytes);
    bbi_copy_racy(copy, item->data, item->bytes);
    free(copy);
    if (!bbi_reader_is_whole(&h->r, item->pos)) {
        (void)bbi_reader_overrun(&h->r);
        return;
    }
    bbi_reader_pass(&h->r, item->tag);
    h->passed++;
}

static void
read_some(struct hostile *h, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct bbi_item item;
        uint64_t cursor = h->r.cursor;
        bool is_known = bbi_burst_has(&h->r.burst, cursor);
        int rc = bbi_reader_next(&h->r, &item, cursor + DEPTH);
        if (rc == BBI_READ_ITEM) {
            FUZZ_CHECK(is_known || cursor != h->r.cursor || bbi_reader_is_whole(&h->r, item.pos));
            use_item(h, &item);
        } else if (rc == BBI_READ_TAG) {
            FUZZ_CHECK(item.tag < h->r.map.dict_count);
            if (!learn(h, item.tag)) {
                return;
            }
        } else if (rc != BB_EOVERRUN) {
            FUZZ_CHECK(rc == BBI_READ_NONE || rc == BBI_READ_MORE || rc == BB_ECORRUPT);
            return;
        }
    }
}

/* Counting begins again where the reader now stands. */
static void
seek(struct hostile *h, uint32_t argument)
{
    bbi_reader_seek(&h->r, (enum bbi_seek)(argument % 4), argument / 4);
    h->r.filtered = h->r.lost = h->r.unsettled = 0;
    h->passed = 0;
}

static void
step(struct hostile *h, uint32_t what, uint32_t argument)
{
    const char *topic;
    uint32_t bytes;
    switch (what) {
    case 1:
        join(h);
        return;
    case 2:
        seek(h, argument);
        break;
    case 3:
        if (bbi_reader_topic(&h->r.map, argument, &topic, &bytes) == 0) {
            use_topic(&h->r.map, topic, bytes);
        }
        break;
    case 4:
        (void)bbi_reader_base(&h->r);
        break;
    case 5:
        (void)bbi_reader_settle(&h->r, argument % 2 != 0);
        break;
    case 6:
        (void)bbi_reader_wall_ns(&h->r, h->r.cursor, argument << 24);
        break;
    case 7:
        (void)bbi_reader_rebase(&h->r);
        break;
    case 8:
        (void)learn(h, argument % (h->r.map.dict_count + 1));
        break;
    case 9:
        h->r.is_behind = argument % 2 != 0;
        break;
    default:
        read_some(h, argument);
        break;
    }
    FUZZ_CHECK(h->r.cursor - h->r.start == h->passed + h->r.filtered + h->r.lost);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_in in = {data, bytes};
    struct hostile h;
    new_ring(&h);
    join(&h);
    for (int i = 0; i < STEPS_MAX && in.left > 0; i++) {
        uint32_t what = fuzz_u8(&in) % KINDS;
        if (what == POKE) {
            hostile_poke(h.base, h.bytes, &in);
        } else if (what == BURST && h.is_joined) {
            hostile_burst(&h.r, &in);
        } else if (what == GROW && h.is_joined) {
            grow(&h, &in);
        } else {
            uint32_t argument = fuzz_u8(&in);
            if (h.is_joined || what == 1) {
                step(&h, what, argument);
            }
        }
    }
    drop_reader(&h);
    free(h.base);
    return 0;
}

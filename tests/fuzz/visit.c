/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a subscriber makes of a ring that a hostile publisher writes: views and copies, a visit after the other.
 *
 * Input      u8 flags (1: copies, 2: bursts), u64 number that it begins at; steps: u8 what; 0 poke, 1 burst, 2 grow: as in
 *            hostile_burst.h; 3 begin elsewhere: u64; 4 what was given is settled; others: u8 room of a visit.
 * Oracle     no more messages or bursts than room (memory of exactly that size); their bytes and topics are there to read; their
 *            numbers rise, but where some are lost, who may be any number; from the start to the cursor:
 *            messages = given + filtered + lost.
 */
#include "lib/endpoint/subscriber_impl.h"
#include "tests/fuzz/hostile_burst.h"

enum {
    TOPICS = 16,
    TEXT_BYTES = 256,
    DEPTH = 64,
    PAY_BYTES = 4096,
    STEPS_MAX = 512,
    ROOM_MOST = 80
};
enum { POKE, BURST, GROW, ELSEWHERE, SETTLE, VISIT, KINDS = 10 };

struct visited {
    unsigned char *base;
    uint64_t bytes;
    struct bbi_attach at;
    struct bb_subscriber *sub;
    struct bbi_source *src;
    bool has_bursts;
};

static uint64_t
fuzz_u64(struct fuzz_in *in)
{
    uint64_t v = 0;
    for (int i = 0; i < 64; i += 8) {
        v |= (uint64_t)fuzz_u8(in) << i;
    }
    return v;
}

static void
new_ring(struct visited *x)
{
    const struct bbi_ring_shape shape = {.depth = DEPTH,
                                         .pay_bytes = PAY_BYTES,
                                         .dict_count = TOPICS,
                                         .text_bytes = TEXT_BYTES,
                                         .fence = BBI_FENCE_FULL};
    struct bbi_ring_geom geom;
    struct bbi_ring_map map;
    x->bytes = bbi_ring_footprint(&shape, &geom);
    x->base = aligned_alloc(BBI_PAGE_BYTES, x->bytes);
    FUZZ_CHECK(x->base != NULL);
    memset(x->base, 0, x->bytes);
    ((struct bbi_ring *)(void *)x->base)->ident.ring = geom;
    FUZZ_CHECK(bbi_ring_join(x->base, x->bytes, &map) == 0);
    bbi_reader_init(&x->src->reader, &map);
}

/* As a tap has them: nothing is registered, so no other process is told of anything. */
static void
begin(struct visited *x, bool is_copying)
{
    *x = (struct visited){.at = {.lock_fd = -1, .probe_fd = -1, .member = BBI_MEMBERS}};
    x->sub = bbi_subscriber_new(&x->at);
    x->src = calloc(1, sizeof(*x->src));
    FUZZ_CHECK(x->sub != NULL && x->src != NULL && bbi_given_reserve(x->sub, ROOM_MOST) == 0);
    x->sub->is_copying = is_copying;
    const struct bbi_filter all = {.prefix = "", .prefix_bytes = 0};
    FUZZ_CHECK(bbi_filter_set_add(&x->sub->filters, &all) >= 0);
    new_ring(x);
}

static void
end(struct visited *x)
{
    bbi_given_free(x->sub);
    x->sub->runs = NULL;
    free(x->src->reader.tags);
    free(x->src->reader.now);
    free(x->src);
    free(x->sub->filter_buf);
    free(x->sub);
    free(x->base);
}

/* Where a hostile tail sends who begins now. */
static void
begin_at(struct visited *x, uint64_t number)
{
    struct bbi_reader *r = &x->src->reader;
    (void)bbi_given_settle(x->sub);
    bbi_store_relaxed(&r->map.hdr->tail_seq, number);
    bbi_reader_seek(r, BBI_SEEK_NOW, 0);
    r->filtered = r->lost = r->unsettled = 0;
    x->src->delivered = 0;
}

static void
use_message(const struct visited *x, const struct bb_msg *msg)
{
    fuzz_touch(msg->topic, msg->topic_bytes);
    fuzz_touch(msg->data, msg->bytes);
    FUZZ_CHECK(msg->bytes <= PAY_BYTES && msg->status == NULL && msg->node == x->src->node);
}

/* In their order: seq is of the one before, 0 for the first. */
static void
use_in_order(const struct visited *x, const struct bb_msg *msg, uint64_t *seq, bool is_first)
{
    use_message(x, msg);
    FUZZ_CHECK(is_first || msg->lost != 0 || bbi_is_before(*seq, msg->seq));
    *seq = msg->seq;
}

static size_t
visit_for_messages(struct visited *x, uint32_t room)
{
    struct bb_msg *msgs = malloc(room * sizeof(*msgs));
    FUZZ_CHECK(msgs != NULL);
    struct bbi_out out = {.next = msgs, .room = room};
    bbi_source_visit(x->sub, x->src, &out, room);
    FUZZ_CHECK(out.room <= room && out.next == msgs + (room - out.room));
    uint64_t seq = 0;
    for (size_t i = 0; i < room - out.room; i++) {
        use_in_order(x, &msgs[i], &seq, i == 0);
    }
    free(msgs);
    return room - out.room;
}

static size_t
visit_for_bursts(struct visited *x, uint32_t room, uint32_t most)
{
    struct bb_burst *bursts = malloc(room * sizeof(*bursts));
    FUZZ_CHECK(bursts != NULL);
    struct bbi_out out = {.next = &bursts->first, .room = room, .has_bursts = true};
    bbi_source_visit(x->sub, x->src, &out, most);
    FUZZ_CHECK(out.room <= room && out.next == &bursts[room - out.room].first);
    uint64_t seq = 0;
    size_t messages = 0;
    for (const struct bb_burst *b = bursts; b != bursts + (room - out.room); b++) {
        FUZZ_CHECK(b->count > 0);
        for (uint32_t i = 0; i < b->count; i++) {
            const struct bb_msg msg = bb_burst_msg(b, i);
            use_in_order(x, &msg, &seq, messages++ == 0);
        }
    }
    FUZZ_CHECK(messages <= most);
    free(bursts);
    return messages;
}

static void
visit(struct visited *x, uint32_t what)
{
    struct bb_subscriber *sub = x->sub;
    uint32_t room = what % (ROOM_MOST - 1) + 1;
    (void)bbi_given_settle(sub);
    if (x->src->is_corrupt) {
        return;
    }
    sub->must_peek = room % 2 == 0;
    size_t n =
        x->has_bursts ? visit_for_bursts(x, room, what % 13 + 1) : visit_for_messages(x, room);
    const struct bbi_reader *r = &x->src->reader;
    FUZZ_CHECK(n == sub->given_messages);
    FUZZ_CHECK(r->cursor - r->start == x->src->delivered + r->filtered + r->lost);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_in in = {data, bytes};
    struct visited x;
    uint32_t flags = fuzz_u8(&in);
    begin(&x, (flags & 1) != 0);
    x.has_bursts = (flags & 2) != 0;
    x.src->from.node = x.src->node;
    begin_at(&x, fuzz_u64(&in));
    for (int i = 0; i < STEPS_MAX && in.left > 0; i++) {
        uint32_t what = fuzz_u8(&in) % KINDS;
        if (what == POKE) {
            hostile_poke(x.base, x.bytes, &in);
        } else if (what == BURST) {
            hostile_burst(&x.src->reader, &in);
        } else if (what == GROW) {
            hostile_grow(&x.src->reader, &in);
        } else if (what == ELSEWHERE) {
            begin_at(&x, fuzz_u64(&in));
        } else if (what == SETTLE) {
            (void)bbi_given_settle(x.sub);
        } else {
            visit(&x, fuzz_u8(&in));
        }
    }
    end(&x);
    return 0;
}

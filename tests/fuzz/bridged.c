/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a hostile bridge writes in front of payloads, and on the topic of links.
 *
 * Input      steps: u8 what (odd: a link's status; even: an origin), u16 bytes, the bytes as they stand in the ring.
 * Oracle     payload and names lie in what was there, and in the memory that a copying reader keeps for a message;
 *            copies say the same as what they were made of; every message and status is JSON.
 */
#include "lib/endpoint/bridged_impl.h"
#include "lib/endpoint/for_cluster.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS_MAX = 64, TEXT_MAX = 1 << 16 };

static char text[TEXT_MAX];

static void
check_json(const struct bb_msg *msg)
{
    int64_t n = bb_msg_json(msg, text, sizeof(text));
    FUZZ_CHECK(n > 0);
    FUZZ_CHECK(n >= TEXT_MAX || (text[0] == '{' && text[n - 1] == '}'));
}

static void
check_same(const struct bb_msg *a, const struct bb_msg *b)
{
    FUZZ_CHECK(a->node != b->node && strcmp(a->node, b->node) == 0);
    FUZZ_CHECK(a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0);
}

static void
check_origin(const struct bb_msg *msg)
{
    struct bb_origin a = {.size = sizeof(a)}, b = {.size = sizeof(b)};
    struct bb_msg copy;
    FUZZ_CHECK(bb_msg_origin(msg, &a) == 0);
    FUZZ_CHECK(strlen(a.node) <= BBI_ORIGIN_NAME_MAX && strlen(a.box_name) <= BBI_ORIGIN_NAME_MAX);
    FUZZ_CHECK(msg->node_id >> 63 == 1 && (a.node_id ^ msg->node_id) << 16 == 0);
    check_json(msg);
    void *memory = bbi_msg_copy(msg, &copy);
    FUZZ_CHECK(memory != NULL);
    check_same(msg, &copy);
    FUZZ_CHECK(bb_msg_origin(&copy, &b) == 0);
    FUZZ_CHECK(memcmp(a.box, b.box, sizeof(a.box)) == 0 && strcmp(a.box_name, b.box_name) == 0);
    free(memory);
}

/* In memory that ends with the last word, which a reader may read whole. */
static unsigned char *
ring_copy(const uint8_t *p, size_t bytes)
{
    unsigned char *copy = calloc(1, bbi_align_up(bytes, 8) + (bytes == 0));
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, p, bytes);
    return copy;
}

/* The first message of a poll finds the arena empty; what it may use is what its bytes in the ring take. */
static void
take_origin(struct bb_subscriber *sub, const struct bbi_source *src, struct bbi_item *item)
{
    const unsigned char *end = item->data + item->bytes;
    size_t room = bbi_align_up(item->bytes, 8);
    struct bbi_bridged bridged;
    sub->arena = malloc(room + 1);
    FUZZ_CHECK(sub->arena != NULL);
    sub->arena_used = 0;
    sub->origin_end = 0;
    for (int i = 0; i < 2; i++) { /* the second of one node needs nothing more */
        struct bbi_item at = *item;
        size_t used = sub->arena_used;
        if (bbi_bridged_take(sub, src, &at, &bridged) != 1) {
            FUZZ_CHECK(sub->arena_used == used);
            break;
        }
        FUZZ_CHECK(at.data + at.bytes == end && at.bytes < item->bytes);
        FUZZ_CHECK(sub->arena_used + at.bytes <= room && (i == 0 || sub->arena_used == used));
        struct bb_msg msg = {.topic = "t", .topic_bytes = 1, .data = at.data, .bytes = at.bytes};
        msg.attr = BB_BRIDGED;
        bbi_bridged_given(&bridged, &msg);
        check_origin(&msg);
    }
    free(sub->arena);
    sub->arena = NULL;
}

static void
take_status(struct bb_subscriber *sub, const struct bbi_source *src, const struct bbi_item *item)
{
    struct bb_msg msg = {.topic = ""}, copy;
    FUZZ_CHECK(bbi_link_status_take(sub, src, item) == 0);
    struct bbi_event *ev = sub->events;
    if (ev == NULL) {
        return;
    }
    sub->events = NULL;
    sub->events_end = &sub->events;
    msg.status = &ev->status;
    bbi_link_status_give(ev, &msg);
    FUZZ_CHECK(msg.bytes <= BBI_LINK_TEXT_MAX && strlen(msg.node) <= BBI_LINK_NODE_MAX);
    check_json(&msg);
    void *memory = bbi_msg_copy(&msg, &copy);
    FUZZ_CHECK(memory != NULL);
    check_same(&msg, &copy);
    FUZZ_CHECK(memcmp(msg.status, copy.status, sizeof(*msg.status)) == 0);
    free(memory);
    free(ev);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct bbi_ring ring; /* nothing is overwritten */
    static struct bb_subscriber sub;
    static struct bbi_source src;
    struct fuzz_in in = {data, bytes};
    src.reader.map.hdr = &ring;
    sub.events_end = &sub.events;
    for (int i = 0; i < STEPS_MAX && in.left > 0; i++) {
        size_t got;
        bool is_status = fuzz_u8(&in) % 2 != 0;
        size_t want = fuzz_u16(&in);
        const uint8_t *p = fuzz_bytes(&in, want, &got);
        unsigned char *payload = ring_copy(p, got);
        struct bbi_item item = {.data = payload, .bytes = (uint32_t)got};
        if (is_status) {
            take_status(&sub, &src, &item);
        } else {
            take_origin(&sub, &src, &item);
        }
        free(payload);
    }
    return 0;
}

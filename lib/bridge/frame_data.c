/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages and gaps.  A batch is mostly of one origin and few topics, so a message brings those only where they
 * differ from the message before: 28 bytes stand before a payload then.
 */
#include "lib/bridge/frame.h"

/* ---- messages ------------------------------------------------------------------------------------------- */

static bool
is_same_bytes(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    return a_bytes == b_bytes && (a_bytes == 0 || memcmp(a, b, a_bytes) == 0);
}

static bool
is_same_origin(const struct bbi_link_origin *a, const struct bbi_link_origin *b)
{
    return a->node_id == b->node_id && a->ring == b->ring && a->epoch == b->epoch
           && memcmp(a->box.v, b->box.v, sizeof(a->box.v)) == 0 /* two words: no call */
           && is_same_bytes(a->name, a->name_bytes, b->name, b->name_bytes);
}

size_t
bbi_msg_bytes(const struct bbi_link_msg *msg, const struct bbi_link_msg *before, uint8_t *flags)
{
    size_t bytes = BBI_MSG_HEAD_BYTES + msg->bytes;
    *flags = 0;
    if (before == NULL || !is_same_origin(&before->origin, &msg->origin)) {
        *flags |= BBI_MSG_HAS_ORIGIN;
        bytes += BBI_MSG_ORIGIN_BYTES + msg->origin.name_bytes;
    }
    if (before == NULL
        || !is_same_bytes(before->topic, before->topic_bytes, msg->topic, msg->topic_bytes)) {
        *flags |= BBI_MSG_HAS_TOPIC;
        bytes += msg->topic_bytes;
    }
    return bytes;
}

static unsigned char *
put_origin(unsigned char *p, const struct bbi_link_origin *o)
{
    p = bbi_put_le64(p, o->node_id);
    p = bbi_put_bytes(p, o->box.v, sizeof(o->box.v));
    p = bbi_put_le64(p, o->epoch);
    p = bbi_put_le32(p, o->ring);
    p = bbi_put_u8(p, (uint8_t)o->name_bytes);
    return bbi_put_bytes(p, o->name, o->name_bytes);
}

unsigned char *
bbi_msg_write_head(unsigned char *p, const struct bbi_link_msg *msg, uint8_t flags)
{
    bool has_topic = (flags & BBI_MSG_HAS_TOPIC) != 0;
    p = bbi_put_le32(p, (uint32_t)msg->bytes);
    p = bbi_put_le16(p, (uint16_t)msg->attr);
    p = bbi_put_le16(p, has_topic ? (uint16_t)msg->topic_bytes : 0);
    p = bbi_put_u8(p, flags);
    p = bbi_put_u8(p, msg->scope);
    p = bbi_put_u8(p, msg->ttl);
    p = bbi_put_u8(p, 0);
    p = bbi_put_le64(p, msg->seq);
    p = bbi_put_le64(p, (uint64_t)msg->wall_ns);
    if ((flags & BBI_MSG_HAS_ORIGIN) != 0) {
        p = put_origin(p, &msg->origin);
    }
    return has_topic ? bbi_put_bytes(p, msg->topic, msg->topic_bytes) : p;
}

/* False: not whole. */
static bool
take_origin(struct bbi_wire *w, struct bbi_link_origin *o)
{
    o->node_id = bbi_wire_u64(w);
    const unsigned char *box = bbi_wire_bytes(w, sizeof(o->box.v));
    o->epoch = bbi_wire_u64(w);
    o->ring = bbi_wire_u32(w);
    o->name_bytes = bbi_wire_u8(w);
    o->name = (const char *)bbi_wire_bytes(w, o->name_bytes);
    if (box == NULL || o->name == NULL || o->name_bytes > BBI_LINK_NAME_MAX) {
        return false;
    }
    memcpy(o->box.v, box, sizeof(o->box.v));
    return true;
}

bool
bbi_msg_next_head(struct bbi_wire *w, struct bbi_link_msg *msg, bool is_first)
{
    struct bbi_wire head = {.p = bbi_wire_bytes(w, BBI_MSG_HEAD_BYTES), .left = BBI_MSG_HEAD_BYTES};
    if (head.p == NULL) {
        return false;
    }
    msg->bytes = bbi_wire_u32(&head);
    msg->attr = bbi_wire_u16(&head);
    size_t topic_bytes = bbi_wire_u16(&head);
    uint8_t flags = bbi_wire_u8(&head);
    msg->scope = bbi_wire_u8(&head);
    msg->ttl = bbi_wire_u8(&head);
    (void)bbi_wire_u8(&head);
    msg->seq = bbi_wire_u64(&head);
    msg->wall_ns = (int64_t)bbi_wire_u64(&head);
    const uint8_t all = BBI_MSG_HAS_ORIGIN | BBI_MSG_HAS_TOPIC;
    if ((flags & ~all) != 0 || (is_first && flags != all) || msg->scope > BBI_SCOPE_GLOBAL) {
        return false;
    }
    if ((flags & BBI_MSG_HAS_ORIGIN) != 0 && !take_origin(w, &msg->origin)) {
        return false;
    }
    if ((flags & BBI_MSG_HAS_TOPIC) != 0) {
        msg->topic = (const char *)bbi_wire_bytes(w, topic_bytes);
        msg->topic_bytes = topic_bytes;
    } else if (topic_bytes != 0) {
        return false;
    }
    return !w->is_short;
}

bool
bbi_msg_next(struct bbi_wire *w, struct bbi_link_msg *msg, bool is_first)
{
    if (!bbi_msg_next_head(w, msg, is_first)) {
        return false;
    }
    msg->data = bbi_wire_bytes(w, msg->bytes);
    return msg->data != NULL;
}

/* ---- gaps ------------------------------------------------------------------------------------------------ */

uint32_t
bbi_gap_bytes(const struct bbi_gap *gap)
{
    uint32_t bytes = BBI_LINK_HEADER_BYTES + BBI_GAP_HEAD_BYTES;
    for (uint32_t i = 0; i < gap->ring_count; i++) {
        bytes += BBI_GAP_RING_BYTES + gap->rings[i].name_bytes;
    }
    return bytes;
}

static struct bbi_link_origin
origin_of(const struct bbi_gap_ring *ring)
{
    return (struct bbi_link_origin){.box = ring->box,
                                    .epoch = ring->epoch,
                                    .node_id = ring->node_id,
                                    .ring = ring->ring,
                                    .name = ring->name,
                                    .name_bytes = ring->name_bytes};
}

/*  0 u64 to (from is the frame's number)  8 u64 messages  16 u64 uncertain  24 u64 bytes  32 u32 reasons
 * 36 u32 rings; then for each: its origin as in a message, u64 first seq, u64 last seq, u64 messages, u64 bytes
 */
uint32_t
bbi_gap_write(unsigned char *out, const struct bbi_gap *gap)
{
    unsigned char *p = out + BBI_LINK_HEADER_BYTES;
    p = bbi_put_le64(p, gap->to);
    p = bbi_put_le64(p, gap->messages);
    p = bbi_put_le64(p, gap->uncertain);
    p = bbi_put_le64(p, gap->bytes);
    p = bbi_put_le32(p, gap->reasons);
    p = bbi_put_le32(p, gap->ring_count);
    for (uint32_t i = 0; i < gap->ring_count; i++) {
        const struct bbi_gap_ring *ring = &gap->rings[i];
        struct bbi_link_origin origin = origin_of(ring);
        p = put_origin(p, &origin);
        p = bbi_put_le64(p, ring->first_seq);
        p = bbi_put_le64(p, ring->last_seq);
        p = bbi_put_le64(p, ring->messages);
        p = bbi_put_le64(p, ring->bytes);
    }
    uint32_t length = (uint32_t)(p - out);
    bbi_link_frame_seal(out, length, BBI_LINK_GAP, BBI_LINK_CRITICAL, gap->from);
    return length;
}

static void
set_origin(struct bbi_gap_ring *ring, const struct bbi_link_origin *o)
{
    ring->box = o->box;
    ring->epoch = o->epoch;
    ring->node_id = o->node_id;
    ring->ring = o->ring;
    ring->name_bytes =
        (uint8_t)(o->name_bytes < BBI_LINK_NAME_MAX ? o->name_bytes : BBI_LINK_NAME_MAX);
    (void)bbi_put_bytes((unsigned char *)ring->name, o->name, ring->name_bytes);
}

static bool
take_ring(struct bbi_wire *w, struct bbi_gap_ring *ring)
{
    struct bbi_link_origin origin;
    if (!take_origin(w, &origin)) {
        return false;
    }
    set_origin(ring, &origin);
    ring->first_seq = bbi_wire_u64(w);
    ring->last_seq = bbi_wire_u64(w);
    ring->messages = bbi_wire_u64(w);
    ring->bytes = bbi_wire_u64(w);
    return !w->is_short;
}

bool
bbi_gap_read(const struct bbi_link_frame *frame, struct bbi_gap *out)
{
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    out->from = frame->number;
    out->to = bbi_wire_u64(&w);
    out->messages = bbi_wire_u64(&w);
    out->uncertain = bbi_wire_u64(&w);
    out->bytes = bbi_wire_u64(&w);
    out->reasons = bbi_wire_u32(&w);
    out->ring_count = bbi_wire_u32(&w);
    if (w.is_short || out->ring_count > BBI_LINK_GAP_RINGS || out->from == 0 || out->to < out->from
        || out->to > BBI_LINK_NUMBER_MAX || out->messages > BBI_LINK_NUMBER_MAX
        || out->uncertain > out->messages) {
        return false;
    }
    for (uint32_t i = 0; i < out->ring_count; i++) {
        if (!take_ring(&w, &out->rings[i])) {
            return false;
        }
    }
    return true;
}

static uint64_t
sum_bytes(uint64_t a, uint64_t b)
{
    return a > BBI_LINK_NUMBER_MAX || b > BBI_LINK_NUMBER_MAX ? BBI_LINK_UNKNOWN : a + b;
}

/* The ring of this origin, a new one while there is room, else NULL. */
static struct bbi_gap_ring *
find_ring(struct bbi_gap *gap, const struct bbi_link_origin *origin, uint64_t first_seq)
{
    for (uint32_t i = 0; i < gap->ring_count; i++) {
        struct bbi_link_origin have = origin_of(&gap->rings[i]);
        if (is_same_origin(&have, origin)) {
            return &gap->rings[i];
        }
    }
    if (gap->ring_count == BBI_LINK_GAP_RINGS) {
        return NULL;
    }
    struct bbi_gap_ring *ring = &gap->rings[gap->ring_count++];
    memset(ring, 0, sizeof(*ring));
    set_origin(ring, origin);
    ring->first_seq = first_seq;
    return ring;
}

static void
add_to_ring(struct bbi_gap *gap, const struct bbi_gap_ring *lost)
{
    struct bbi_link_origin origin = origin_of(lost);
    struct bbi_gap_ring *ring = find_ring(gap, &origin, lost->first_seq);
    if (ring != NULL) {
        ring->last_seq = lost->last_seq;
        ring->messages += lost->messages;
        ring->bytes = sum_bytes(ring->bytes, lost->bytes);
    }
}

void
bbi_gap_add(struct bbi_gap *gap, const struct bbi_link_origin *origin, uint64_t seq, uint64_t bytes)
{
    struct bbi_gap_ring *ring = find_ring(gap, origin, seq);
    gap->messages++;
    gap->bytes = sum_bytes(gap->bytes, bytes);
    if (ring != NULL) {
        ring->last_seq = seq;
        ring->messages++;
        ring->bytes = sum_bytes(ring->bytes, bytes);
    }
}

void
bbi_gap_merge(struct bbi_gap *gap, const struct bbi_gap *more)
{
    gap->to = more->to;
    gap->messages += more->messages;
    gap->uncertain += more->uncertain;
    gap->bytes = sum_bytes(gap->bytes, more->bytes);
    gap->reasons |= more->reasons;
    for (uint32_t i = 0; i < more->ring_count; i++) {
        add_to_ring(gap, &more->rings[i]);
    }
}

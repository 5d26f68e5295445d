/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/bridged.c - where a message from elsewhere was published: out of a ring, and bb_msg_origin().
 *
 * What stands in front of the payload is copied, checked to be whole, and only then looked at; names are handed out from
 * the private copy.  Messages of one node mostly come one after the other and share one copy.
 */
#include "lib/endpoint/bridged_impl.h"
#include "lib/endpoint/opts.h"
#include "shm/hash.h"
#include <string.h>

union head {
    struct bbi_origin_head head;
    unsigned char bytes[BBI_ORIGIN_BYTES_MAX];
};

/* Everything that is used lies in what was read, and in the message. */
static bool
is_well_formed(const union head *h, size_t read_bytes, size_t message_bytes)
{
    const struct bbi_origin_head *head = &h->head;
    return read_bytes >= sizeof(*head) && head->magic == BBI_ORIGIN_MAGIC && head->bytes % 8 == 0
           && head->bytes <= message_bytes && head->who.name_bytes <= BBI_ORIGIN_NAME_MAX
           && head->who.box_name_bytes <= BBI_ORIGIN_NAME_MAX
           && sizeof(*head) + bbi_origin_names_bytes(&head->who)
                  <= bbi_min_u64(head->bytes, read_bytes);
}

/* An id that no member of this bus has: theirs are 48 bits. */
static uint64_t
local_id(const struct bbi_origin_who *who)
{
    uint64_t life[3];
    memcpy(life, who->box, sizeof(who->box));
    life[2] = who->epoch;
    uint64_t top = UINT64_C(0x8000) | (bbi_hash64(life, sizeof(life)) & 0x7fff);
    return top << 48 | (who->node_id & ((UINT64_C(1) << 48) - 1));
}

static bool
is_same(const struct bbi_origin_copy *copy, const struct bbi_origin_who *who, const char *names)
{
    return memcmp(&copy->who, who, sizeof(*who)) == 0
           && memcmp(copy->names, names, bbi_origin_names_bytes(who)) == 0;
}

/* The one of the message before, or a new one. */
static const struct bbi_origin_copy *
copy_of(struct bb_subscriber *sub, struct bbi_origin_head *head)
{
    size_t names_bytes = bbi_origin_names_bytes(&head->who);
    head->names[head->who.name_bytes] = '\0'; /* whatever was written there */
    head->names[names_bytes - 1] = '\0';
    if (sub->origin_end != 0) {
        const struct bbi_origin_copy *last = (const void *)(sub->arena + sub->origin_at);
        if (is_same(last, &head->who, head->names)) {
            return last;
        }
    }
    struct bbi_origin_copy *copy = (void *)(sub->arena + sub->arena_used);
    copy->local_id = local_id(&head->who);
    copy->who = head->who;
    memcpy(copy->names, head->names, names_bytes);
    sub->origin_at = sub->arena_used;
    sub->arena_used += bbi_align_up(bbi_origin_copy_bytes(copy), 8);
    sub->origin_end = sub->arena_used;
    return copy;
}

int
bbi_bridged_take(struct bb_subscriber *sub,
                 const struct bbi_source *src,
                 struct bbi_item *item,
                 struct bbi_bridged *out)
{
    union head h;
    size_t n = bbi_min_u64(item->bytes, sizeof(h));
    bbi_copy_racy(&h, item->data, n);
    if (!bbi_reader_is_whole(&src->reader, item->pos)) { /* R2: before it is believed */
        return BB_EOVERRUN;
    }
    if (!is_well_formed(&h, n, item->bytes)) {
        return 0;
    }
    *out = (struct bbi_bridged){
        .copy = copy_of(sub, &h.head), .seq = h.head.seq, .wall_ns = h.head.wall_ns};
    item->data += h.head.bytes;
    item->bytes -= h.head.bytes;
    return 1;
}

void
bbi_bridged_given(const struct bbi_bridged *bridged, struct bb_msg *msg)
{
    msg->node = bridged->copy->names;
    msg->node_id = bridged->copy->local_id;
    msg->seq = bridged->seq;
    msg->wall_ns = bridged->wall_ns;
    msg->ring = bridged->copy->who.ring;
    msg->attr |= BBI_MSG_ORIGIN;
}

int
bb_msg_origin(const struct bb_msg *msg, struct bb_origin *out)
{
    if (out->size == 0) {
        return BB_EINVAL;
    }
    if (msg->status != NULL || (msg->attr & BBI_MSG_ORIGIN) == 0) {
        return BB_ENOENT;
    }
    const struct bbi_origin_copy *copy = bbi_origin_of(msg);
    const struct bbi_origin_who *who = &copy->who;
    struct bb_origin o = {
        .size = sizeof(o),
        .epoch = who->epoch,
        .box_name = copy->names + who->name_bytes + 1,
        .node = copy->names,
        .node_id = who->node_id,
        .ring = who->ring,
        .scope = who->scope,
        .ttl = who->ttl,
        .seq = msg->seq,
    };
    memcpy(o.box, who->box, sizeof(o.box));
    bbi_stats_give(out, &o, sizeof(o));
    return 0;
}

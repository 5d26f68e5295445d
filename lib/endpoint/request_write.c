/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/request_write.c - a message with an address, into a ring.
 *
 *   u32 5, u32 0, "<$>to" 0 0 0 | address (64) | topic, padded to 8 | payload
 *
 * It goes the way of any message whose topic no dictionary holds, as a loan of the reserved topic; only who is
 * to be woken is decided here, since no prefix says so.
 */
#include "lib/endpoint/request_impl.h"

void
bbi_address_look(struct bb_publisher *pub)
{
    struct bbi_audience *aud = &pub->audience;
    bbi_audience_look(aud);
    for (uint32_t i = 0; aud->pending != 0 && i < BBI_SUBS; i++) {
        bbi_audience_look(aud); /* maps one at a time */
    }
}

/* Subscribers of another member are not concerned. */
static void
keep_member(const struct bb_publisher *pub, uint64_t node_id, struct bbi_mask *mask)
{
    const struct bbi_bus *bus = pub->ep->at.bus;
    for (uint32_t i = 0; i < pub->audience.top; i++) {
        uint64_t bit = UINT64_C(1) << i % 64;
        struct bbi_row row;
        if ((mask->words[i / 64] & bit) != 0
            && (!bbi_row_read(&bus->subs[i], &row)
                || bbi_node_id(row.member, row.member_gen) != node_id)) {
            mask->words[i / 64] &= ~bit;
        }
    }
}

static void
whom_to_wake(struct bb_publisher *pub, const struct bbi_addressed *msg, struct bbi_mask *mask)
{
    if (msg->to.kind == BBI_TO_REPLY) {
        *mask = (struct bbi_mask){{0}};
        mask->words[msg->to.sub_index / 64] = UINT64_C(1) << msg->to.sub_index % 64;
        return;
    }
    if (msg->known != NULL) {
        bbi_topic_refresh(msg->known);
        *mask = msg->known->mask;
    } else {
        bbi_audience_mask(&pub->audience, msg->topic, msg->topic_bytes, mask);
    }
    if (msg->to.to_node != 0) {
        keep_member(pub, msg->to.to_node, mask);
    }
}

static void
fill(unsigned char *p, const struct bbi_addressed *msg, const char *topic, size_t topic_bytes)
{
    struct bbi_address to = msg->to;
    to.topic_bytes = (uint32_t)topic_bytes;
    bbi_fill_racy(p, &to, sizeof(to));
    bbi_fill_racy(p + sizeof(to), topic, topic_bytes);
    if (msg->bytes > 0) {
        bbi_fill_racy(p + sizeof(to) + bbi_align_up(topic_bytes, 8), msg->data, msg->bytes);
    }
}

int
bbi_address_write(struct bb_publisher *pub, const struct bbi_addressed *msg)
{
    const char *topic = msg->known != NULL ? msg->known->text : msg->topic;
    size_t topic_bytes = msg->known != NULL ? msg->known->bytes : msg->topic_bytes;
    size_t head = sizeof(struct bbi_address) + bbi_align_up(topic_bytes, 8);
    size_t whole;
    void *p;
    if ((msg->attr & BB_BRIDGED) != 0) {
        return BB_EINVAL;
    }
    if (pub->to_somebody == NULL) {
        pub->to_somebody = bbi_topic_reserved(pub, BBI_TO_TOPIC, BBI_TO_TOPIC_BYTES);
    }
    struct bb_topic *t = pub->to_somebody;
    if (t == NULL) {
        return BB_ENOMEM;
    }
    if (__builtin_add_overflow(head, msg->bytes, &whole)) {
        return BB_EMSGSIZE;
    }
    int rc = bb_loan(t, whole, &p);
    if (rc < 0) {
        return rc;
    }
    fill(p, msg, topic, topic_bytes);
    BBI_HOOK("request:filled");
    bbi_address_look(pub);
    whom_to_wake(pub, msg, &t->mask);
    t->mask_epoch = pub->audience.mask_epoch; /* no look at prefixes would find it */
    pub->noted_others = pub->noted_others || pub->noted != NULL;
    pub->noted = NULL; /* the mask is another one each time */
    pub->spill_heads += head;
    return bb_commit(t, whole, msg->attr);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/topics.c - the topics that one publisher knows, by their bytes.
 */
#include "busbar/topic.h"
#include "lib/endpoint/publisher_impl.h"
#include "shm/hash.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 64, TOPIC_ALIGN = 64 };

static struct bb_topic **
find_slot(struct bb_topic **slots, uint32_t count, uint64_t hash, const char *text, size_t bytes)
{
    for (uint64_t i = hash;; i++) {
        struct bb_topic **slot = &slots[i & (count - 1)];
        if (*slot == NULL
            || ((*slot)->hash == hash && (*slot)->bytes == bytes
                && memcmp((*slot)->text, text, bytes) == 0)) {
            return slot;
        }
    }
}

/* Keeps the table at most half full. */
static int
grow(struct bb_publisher *pub)
{
    if (pub->topic_count * 2 < pub->topic_slots) {
        return 0;
    }
    uint32_t count = pub->topic_slots != 0 ? pub->topic_slots * 2 : FIRST_SLOTS;
    struct bb_topic **slots = calloc(count, sizeof(struct bb_topic *));
    if (slots == NULL) {
        return BB_ENOMEM;
    }
    for (uint32_t i = 0; i < pub->topic_slots; i++) {
        struct bb_topic *t = pub->topics[i];
        if (t != NULL) {
            *find_slot(slots, count, t->hash, t->text, t->bytes) = t;
        }
    }
    free(pub->topics);
    pub->topics = slots;
    pub->topic_slots = count;
    return 0;
}

/* A topic that has no tag yet. */
static struct bb_topic *
new_topic(struct bb_publisher *pub, const char *text, size_t bytes, uint64_t hash)
{
    size_t size = bbi_align_up(sizeof(struct bb_topic) + bytes + 1, TOPIC_ALIGN);
    struct bb_topic *t = aligned_alloc(TOPIC_ALIGN, size);
    if (t == NULL) {
        return NULL;
    }
    memset(t, 0, size);
    t->pub = pub;
    t->bytes = (uint32_t)bytes;
    t->hash = hash;
    if (bytes > 0) {
        memcpy(t->text, text, bytes);
    }
    return t;
}

static void
set_tag(struct bb_topic *t, uint32_t tag)
{
    t->tag = tag;
    t->counts = bbi_writer_counts(&t->pub->writer, tag);
    t->spill_bytes =
        tag == BBI_TAG_SPILL ? BBI_SPILL_HEAD + (uint32_t)bbi_align_up(t->bytes, 8) : 0;
}

struct bb_topic *
bbi_topic_reserved(struct bb_publisher *pub, const char *text, size_t bytes)
{
    struct bb_topic *t = new_topic(pub, text, bytes, bbi_hash64(text, bytes));
    if (t != NULL) {
        set_tag(t, BBI_TAG_SPILL);
    }
    return t;
}

static int
make_topic(
    struct bb_publisher *pub, struct bb_topic **slot, const char *text, size_t bytes, uint64_t hash)
{
    struct bb_topic *t = new_topic(pub, text, bytes, hash);
    if (t == NULL) {
        return BB_ENOMEM;
    }
    set_tag(t, bbi_writer_intern(&pub->writer, text, bytes, hash));
    *slot = t;
    pub->topic_count++;
    return 0;
}

int
bbi_topic_find(struct bb_publisher *pub, const char *topic, size_t bytes, struct bb_topic **out)
{
    if (bytes > BB_TOPIC_MAX) {
        return BB_ENAMETOOLONG;
    }
    if (topic == NULL && bytes > 0) {
        return BB_EINVAL;
    }
    int rc = grow(pub);
    if (rc < 0) {
        return rc;
    }
    topic = topic != NULL ? topic : "";
    uint64_t hash = bbi_hash64(topic, bytes);
    struct bb_topic **slot = find_slot(pub->topics, pub->topic_slots, hash, topic, bytes);
    if (*slot == NULL) {
        if (bb_topic_is_reserved(topic, bytes)) {
            return BB_EINVAL;
        }
        rc = make_topic(pub, slot, topic, bytes, hash);
    }
    *out = *slot;
    return rc;
}

void
bbi_topics_free(struct bb_publisher *pub)
{
    for (uint32_t i = 0; i < pub->topic_slots; i++) {
        free(pub->topics[i]);
    }
    free(pub->topics);
    free(pub->to_somebody);
    free(pub->of_links);
    pub->topics = NULL;
    pub->to_somebody = NULL;
    pub->of_links = NULL;
}

void
bbi_topic_refresh(struct bb_topic *topic)
{
    struct bbi_audience *aud = &topic->pub->audience;
    if (topic->mask_epoch != aud->mask_epoch) {
        bbi_audience_mask(aud, topic->text, topic->bytes, &topic->mask);
        topic->mask_epoch = aud->mask_epoch;
    }
}

int
bb_topic_open(struct bb_topic **out,
              struct bb_publisher *pub,
              const char *topic,
              size_t topic_bytes)
{
    if (bbi_is_forked(pub->fork_gen)) {
        return BB_EFORKED;
    }
    return bbi_topic_find(pub, topic, topic_bytes, out);
}

static void
look(struct bb_topic *topic)
{
    bbi_audience_look(&topic->pub->audience);
    bbi_topic_refresh(topic);
}

int
bb_topic_wanted(struct bb_topic *topic)
{
    if (bbi_is_forked(topic->pub->fork_gen)) {
        return 0;
    }
    look(topic);
    return bbi_topic_is_wanted(topic);
}

int
bb_subscriber_count(struct bb_topic *topic)
{
    int n = 0;
    if (bbi_is_forked(topic->pub->fork_gen)) {
        return BB_EFORKED;
    }
    look(topic);
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        if ((topic->mask.words[i / 64] >> i % 64 & 1) != 0) {
            n += bbi_is_alive(&topic->pub->ep->at, BBI_LOCK_SUB + i);
        }
    }
    return n;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/publisher_impl.h - a publisher and its topics.
 */
#ifndef BUSBAR_LIB_ENDPOINT_PUBLISHER_IMPL_H
#define BUSBAR_LIB_ENDPOINT_PUBLISHER_IMPL_H

#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/for_bridge.h"
#include "shm/audience.h"
#include "shm/clock.h"
#include "shm/registry.h"

/* What a message touches is one line: with many topics in no order it is not in the cache. */
struct bb_topic {
    struct bb_publisher *pub;
    struct bbi_counts *counts;
    struct bbi_mask mask; /* who wants it */
    uint64_t mask_epoch;  /* of the audience when mask was made; 0: never */
    uint32_t tag;         /* BBI_TAG_SPILL: the topic leads each payload */
    uint32_t spill_bytes; /* that this takes; else 0 */
    uint64_t hash;
    uint32_t bytes;
    char text[];
};
static_assert(offsetof(struct bb_topic, hash) == 64, "what a message touches is one line");

static inline bool
bbi_topic_is_wanted(const struct bb_topic *topic)
{
    const uint64_t *w = topic->mask.words;
    static_assert(BBI_SUB_WORDS == 4, "all words of the mask");
    return (w[0] | w[1] | w[2] | w[3]) != 0;
}

/* How good the time of the messages since the last flush is. */
enum bbi_ts_state { BBI_TS_STALE, BBI_TS_TICK, BBI_TS_FRESH };

struct bb_publisher {
    struct bbi_writer writer;
    struct bb_topic *loan;        /* topic of the open loan */
    const struct bb_topic *noted; /* who wants it is noted, and nobody else unless noted_others */
    uint64_t noted_epoch;         /* of the audience when it was */
    bool noted_others;
    bool is_late;     /* a flush that a full batch needs wakes nobody: bbi_publisher_late() */
    bool owes_waking; /* there was one */
    struct bbi_clock clock;
    uint32_t ts; /* of the messages since the last flush */
    enum bbi_ts_state ts_state;
    int64_t last_ns; /* no message is older than the one before, whatever clock it had */
    unsigned fork_gen;
    struct bb_endpoint *ep;
    struct bb_publisher *next;
    struct bbi_own_file file;
    struct bb_topic **topics; /* open addressing by hash; a power of two */
    uint32_t topic_slots, topic_count;
    uint64_t spill_heads;         /* bytes of topics in front of payloads, of all messages */
    struct bb_topic *to_somebody; /* of messages with an address; NULL until there was one */
    struct bb_topic *of_links;    /* of what happened to a link; the same */
    /* The head of the last message from elsewhere, as it stands in the ring; 0 bytes: there was none. */
    size_t head_bytes;
    alignas(8) unsigned char head[BBI_ORIGIN_BYTES_MAX];
    struct bb_subscriber *caller; /* hears the replies to bb_call(); NULL until there was one */
    uint64_t unheard;             /* replies to who is gone, or waits no more */
    struct bbi_audience audience;
};

/*
 * bbi_publisher_forked - in a forked child: its mappings were not inherited, and their addresses may soon be
 * somebody else's; so they are forgotten, never unmapped.  No claim and no commit takes the short way again.
 */
void bbi_publisher_forked(struct bb_publisher *pub);

/* bbi_topic_find - the topic of these bytes, made known if it is new. */
BB_MUST_USE int
bbi_topic_find(struct bb_publisher *pub, const char *topic, size_t bytes, struct bb_topic **out);
void bbi_topics_free(struct bb_publisher *pub);

/* bbi_topic_reserved - a topic of our own that no dictionary holds; to be freed with free(). */
struct bb_topic *bbi_topic_reserved(struct bb_publisher *pub, const char *text, size_t bytes);

/* bbi_loan_commit - bb_commit(), also with what no publisher of an application may say. */
BB_MUST_USE int bbi_loan_commit(struct bb_topic *topic, size_t used_bytes, uint32_t attr);

/* bbi_topic_refresh - who wants it, as of the audience's last look. */
void bbi_topic_refresh(struct bb_topic *topic);

/* A topic that travels in the payload: u32 bytes, u32 zero, the bytes padded to a multiple of 8. */
enum { BBI_SPILL_HEAD = 8 };

#endif

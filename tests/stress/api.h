/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/stress/api.h - endpoints in threads that stand for processes, over one mapping of each file.
 */
#ifndef BUSBAR_TESTS_STRESS_API_H
#define BUSBAR_TESTS_STRESS_API_H

#include "tests/stress/one_mapping.h"
#include "tests/stress/stress.h"
#include <busbar/endpoint.h>
#include <busbar/inspect.h>

#define S_NS  INT64_C(1000000000)
#define MS_NS INT64_C(1000000)

static inline struct bb_endpoint *
endpoint_open(const char *name)
{
    struct bb_error err = {0};
    struct bb_endpoint *ep = NULL;
    int rc =
        bb_endpoint_open(&ep, &(struct bb_endpoint_opts){.size = sizeof(struct bb_endpoint_opts),
                                                         .dir = stress_dir,
                                                         .bus = "b",
                                                         .name = name,
                                                         .error = &err,
                                                         .timeout_ns = 10 * S_NS});
    MUST(rc == 0, "endpoint %s: %s", name, err.sentence);
    return ep;
}

/* depth 0: the lane's. */
static inline struct bb_publisher *
publisher_open(struct bb_endpoint *ep,
               uint32_t depth,
               uint64_t bytes,
               uint32_t policy,
               int64_t block_ns,
               uint32_t flags)
{
    struct bb_error err = {0};
    struct bb_publisher *pub = NULL;
    int rc = bb_publisher_open(&pub, ep,
                               &(struct bb_publisher_opts){.size = sizeof(struct bb_publisher_opts),
                                                           .lane = BB_LANE_CONTROL,
                                                           .policy = policy,
                                                           .block_ns = block_ns,
                                                           .depth = depth,
                                                           .bytes = bytes,
                                                           .flags = flags,
                                                           .error = &err});
    MUST(rc == 0, "publisher: %s", err.sentence);
    return pub;
}

static inline struct bb_topic *
topic_open(struct bb_publisher *pub, const char *topic)
{
    struct bb_topic *t = NULL;
    int rc = bb_topic_open(&t, pub, topic, strlen(topic));
    MUST(rc == 0, "topic %s: %d", topic, rc);
    return t;
}

static inline struct bb_subscriber *
subscriber_open(struct bb_endpoint *ep, uint32_t flags, uint32_t wait, const char *prefix)
{
    struct bb_error err = {0};
    struct bb_subscriber *sub = NULL;
    int rc =
        bb_subscriber_open(&sub, ep,
                           &(struct bb_subscriber_opts){.size = sizeof(struct bb_subscriber_opts),
                                                        .flags = flags,
                                                        .wait = wait,
                                                        .prefixes = &prefix,
                                                        .prefix_count = 1,
                                                        .error = &err});
    MUST(rc == 0, "subscriber: %s", err.sentence);
    return sub;
}

/* The promise about numbers. */
static inline void
check_stats(const struct bb_subscriber *sub, const char *who)
{
    struct bb_subscriber_stats s = {.size = sizeof(s)};
    bb_subscriber_stats(sub, &s);
    CHECK(s.messages == s.delivered + s.filtered + s.lost,
          "%s: %" PRIu64 " != %" PRIu64 " + %" PRIu64 " + %" PRIu64, who, s.messages, s.delivered,
          s.filtered, s.lost);
}

/* Message n of a publisher: its number, its publisher, and bytes that follow from both. */
static inline size_t
body_make(unsigned char *out, uint64_t who, uint64_t n, size_t most)
{
    uint64_t s = who * 1000003 + n;
    uint64_t like =
        who * 1000003 + (n / 16 % 2 == 0 ? n - n % 16 : n); /* stretches of one length */
    size_t bytes = 16 + (size_t)(stress_random(&like) % (most - 15));
    memcpy(out, &who, 8);
    memcpy(out + 8, &n, 8);
    for (size_t i = 16; i < bytes; i++) {
        out[i] = (unsigned char)(s >> (i % 8 * 8));
    }
    return bytes;
}

static inline bool
body_is_right(const void *data, size_t bytes, size_t most, uint64_t *who, uint64_t *n)
{
    unsigned char expected[4096];
    if (bytes < 16) {
        return false;
    }
    memcpy(who, data, 8);
    memcpy(n, (const unsigned char *)data + 8, 8);
    return body_make(expected, *who, *n, most) == bytes && memcmp(expected, data, bytes) == 0;
}

#endif

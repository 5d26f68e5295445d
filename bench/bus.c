/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/bus.h"

static const int64_t block_ns = INT64_C(20) * 1000000000; /* longer than any repetition */
static const int64_t attach_ns = INT64_C(5) * 1000000000;

int
bench_bus_complain(const char *what, int rc, const struct bb_error *e)
{
    (void)fprintf(stderr, "busbar: %s: %s\n", what,
                  e != NULL && e->sentence[0] != '\0' ? e->sentence : bb_strerror(rc));
    return rc;
}

int
bench_bus_endpoint(const struct bench_setup *s,
                   const char *role,
                   unsigned index,
                   struct bb_endpoint **ep)
{
    char name[BB_NAME_MAX + 1];
    struct bb_error error = {0};
    (void)snprintf(name, sizeof(name), "%s-%u", role, index);
    const struct bb_endpoint_opts opts = {.size = sizeof(opts),
                                          .dir = s->dir,
                                          .bus = "bench",
                                          .name = name,
                                          .timeout_ns = attach_ns,
                                          .error = &error};
    int rc = bb_endpoint_open(ep, &opts);
    return rc < 0 ? bench_bus_complain("cannot attach", rc, &error) : 0;
}

int
bench_bus_publisher(const struct bench_setup *s, struct bb_endpoint *ep, struct bb_publisher **pub)
{
    struct bb_error error = {0};
    uint32_t topics = s->dictionary != 0 ? s->dictionary : s->topics;
    uint32_t policy = BB_POLICY_EVICT;
    if (s->is_reliable && !s->is_evicting) {
        policy = BB_POLICY_BLOCK_FAIL;
    }
    const struct bb_publisher_opts opts = {.size = sizeof(opts),
                                           .lane = BB_LANE_DATA,
                                           .policy = policy,
                                           .block_ns = block_ns,
                                           .depth = s->ring_depth,
                                           .bytes = s->ring_bytes,
                                           .flags = (s->is_fenced ? BB_PUBLISHER_FENCE : 0u)
                                                    | (s->is_coarse ? BB_PUBLISHER_COARSE : 0u),
                                           .topics = s->dictionary != 0 || topics > 1 ? topics : 0,
                                           .error = &error};
    int rc = bb_publisher_open(pub, ep, &opts);
    return rc < 0 ? bench_bus_complain("cannot open a publisher", rc, &error) : 0;
}

int
bench_bus_subscriber(const struct bench_setup *s,
                     struct bb_endpoint *ep,
                     const char *prefix,
                     struct bb_subscriber **sub)
{
    static const uint32_t waits[] = {BB_WAIT_SPIN, BB_WAIT_SLEEP, BB_WAIT_HYBRID};
    struct bb_error error = {0};
    const struct bb_subscriber_opts opts = {.size = sizeof(opts),
                                            .flags = (s->is_reliable ? BB_SUBSCRIBER_RELIABLE : 0u)
                                                     | (s->is_copying ? BB_SUBSCRIBER_COPIES : 0u),
                                            .wait = waits[s->wait],
                                            .prefixes = &prefix,
                                            .prefix_count = prefix != NULL,
                                            .error = &error};
    int rc = bb_subscriber_open(sub, ep, &opts);
    return rc < 0 ? bench_bus_complain("cannot open a subscriber", rc, &error) : 0;
}

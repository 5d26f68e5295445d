/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One entry for each pair of endpoints, in one fixed pool; a hash table and a list from the entry touched
 * last to the one touched longest ago run through it by index.  Only packets with SYN touch the table:
 * all others cost one test of a flag.
 *
 *   bucket ──► entry ──► entry          newest ⇄ entry ⇄ entry ⇄ oldest (evicted first)
 *
 * The two endpoints of an entry are sorted; `side` 0 or 1 says which of them sent a packet.  An entry
 * keeps the handshake at hand, the one before it (whose segments may still be repeated), and a SYN-ACK
 * that came before its SYN.
 */
#include "tools/sensor/flow.h"

#include "tools/sensor/mix.h"

#include <stdlib.h>
#include <string.h>

#define ATTEMPT_NS                                                                                 \
    INT64_C(130000000000) /* Linux gives a SYN up after 127 s; then it is another attempt */

enum {
    NOBODY = 0, /* index of no entry; the pool's entry 0 is not used */
};

struct handshake {
    uint32_t isn[2];       /* initial sequence number of each side */
    uint32_t syn_bytes[2]; /* payload of its SYN: TCP Fast Open */
    bool known[2];         /* isn is set, by a SYN or a SYN-ACK */
    bool syn[2];           /* its SYN was seen */
    bool established;      /* and said */
    uint8_t first_side;    /* who began */
};

struct stray {
    bool seen;
    uint8_t side;
    uint32_t seq;
    uint32_t ack;
};

struct flow {
    uint8_t ip[2][16];
    uint16_t port[2];
    uint32_t next_idx;  /* in the bucket, or in the list of free entries */
    uint32_t newer_idx; /* NOBODY: newest */
    uint32_t older_idx; /* NOBODY: oldest */
    uint32_t bucket_idx;
    int64_t syn_wall_ns; /* of the first SYN of `now` */
    struct handshake now;
    struct handshake before;
    struct stray stray;
};

struct sensor_flows {
    struct flow *pool;
    uint32_t *buckets;
    uint32_t max_flows;
    uint32_t bucket_count; /* a power of two */
    uint32_t used;         /* entries ever taken from the pool */
    uint32_t newest_idx;
    uint32_t oldest_idx;
    uint64_t seed;
    uint64_t evicted;
    uint64_t evicted_half_open;
};

/* ---- hashing ----------------------------------------------------------------------------------- */

/* The side that sent the packet when the two endpoints are sorted. */
static unsigned
side_of(const struct sensor_packet *p)
{
    int order = memcmp(p->src, p->dst, 16);

    return order > 0 || (order == 0 && p->src_port > p->dst_port);
}

static uint64_t
hash_end(uint64_t hash, const uint8_t ip[16], uint16_t port)
{
    uint64_t word[2];

    memcpy(word, ip, 16);
    hash = sensor_mix_in(hash, word[0]);
    hash = sensor_mix_in(hash, word[1]);
    return sensor_mix_in(hash, port);
}

static uint64_t
hash_of(const struct sensor_packet *p, uint64_t seed)
{
    uint64_t hash = sensor_mix_in(seed, p->protocol);

    if (side_of(p) == 0) {
        hash = hash_end(hash, p->src, p->src_port);
        return hash_end(hash, p->dst, p->dst_port);
    }
    hash = hash_end(hash, p->dst, p->dst_port);
    return hash_end(hash, p->src, p->src_port);
}

uint32_t
sensor_flow_share(const struct sensor_packet *packet, uint32_t workers)
{
    if (!packet->is_ip || workers == 0) {
        return 0;
    }
    /* The seed is a constant: workers that never met must agree. */
    return (uint32_t)((hash_of(packet, 0) >> 32) * workers >> 32);
}

/* ---- the table --------------------------------------------------------------------------------- */

struct sensor_flows *
sensor_flows_open(uint32_t max_flows, uint64_t seed)
{
    struct sensor_flows *flows = calloc(1, sizeof(*flows));
    uint32_t buckets = 1;

    if (flows == NULL) {
        return NULL;
    }
    if (max_flows == 0 || max_flows > UINT32_C(1) << 24) {
        max_flows = UINT32_C(1) << 24;
    }
    while (buckets < max_flows) {
        buckets <<= 1;
    }
    flows->max_flows = max_flows;
    flows->bucket_count = buckets;
    flows->seed = seed;
    /* calloc leaves pages alone that nobody touches: a quiet network uses little of the pool. */
    flows->pool = calloc((size_t)max_flows + 1, sizeof(*flows->pool));
    flows->buckets = calloc(buckets, sizeof(*flows->buckets));
    if (flows->pool == NULL || flows->buckets == NULL) {
        sensor_flows_close(flows);
        return NULL;
    }
    return flows;
}

void
sensor_flows_close(struct sensor_flows *flows)
{
    if (flows == NULL) {
        return;
    }
    free(flows->buckets);
    free(flows->pool);
    free(flows);
}

static void
list_remove(struct sensor_flows *flows, struct flow *flow)
{
    if (flow->newer_idx != NOBODY) {
        flows->pool[flow->newer_idx].older_idx = flow->older_idx;
    } else {
        flows->newest_idx = flow->older_idx;
    }
    if (flow->older_idx != NOBODY) {
        flows->pool[flow->older_idx].newer_idx = flow->newer_idx;
    } else {
        flows->oldest_idx = flow->newer_idx;
    }
}

static void
list_add_newest(struct sensor_flows *flows, struct flow *flow)
{
    uint32_t idx = (uint32_t)(flow - flows->pool);

    flow->newer_idx = NOBODY;
    flow->older_idx = flows->newest_idx;
    if (flows->newest_idx != NOBODY) {
        flows->pool[flows->newest_idx].newer_idx = idx;
    } else {
        flows->oldest_idx = idx;
    }
    flows->newest_idx = idx;
}

static void
bucket_remove(struct sensor_flows *flows, const struct flow *flow)
{
    uint32_t idx = (uint32_t)(flow - flows->pool);
    uint32_t *link = &flows->buckets[flow->bucket_idx];

    while (*link != idx) {
        link = &flows->pool[*link].next_idx;
    }
    *link = flow->next_idx;
}

static struct flow *
evict_oldest(struct sensor_flows *flows)
{
    struct flow *flow = &flows->pool[flows->oldest_idx];

    flows->evicted++;
    flows->evicted_half_open += !flow->now.established;
    list_remove(flows, flow);
    bucket_remove(flows, flow);
    memset(flow, 0, sizeof(*flow));
    return flow;
}

static bool
is_flow_of(const struct flow *flow, const struct sensor_packet *p, unsigned side)
{
    return memcmp(flow->ip[side], p->src, 16) == 0 && memcmp(flow->ip[side ^ 1], p->dst, 16) == 0
           && flow->port[side] == p->src_port && flow->port[side ^ 1] == p->dst_port;
}

static struct flow *
add_flow(struct sensor_flows *flows, const struct sensor_packet *p, unsigned side, uint32_t bucket)
{
    struct flow *flow;

    if (flows->used < flows->max_flows) {
        flow = &flows->pool[++flows->used];
    } else {
        flow = evict_oldest(flows);
    }
    memcpy(flow->ip[side], p->src, 16);
    memcpy(flow->ip[side ^ 1], p->dst, 16);
    flow->port[side] = p->src_port;
    flow->port[side ^ 1] = p->dst_port;
    flow->bucket_idx = bucket;
    flow->next_idx = flows->buckets[bucket];
    flows->buckets[bucket] = (uint32_t)(flow - flows->pool);
    list_add_newest(flows, flow);
    return flow;
}

/* The entry of this packet's endpoints, made when there is none; it is the newest then. */
static struct flow *
touch_flow(struct sensor_flows *flows, const struct sensor_packet *p, unsigned side)
{
    uint32_t bucket = (uint32_t)hash_of(p, flows->seed) & (flows->bucket_count - 1);

    for (uint32_t idx = flows->buckets[bucket]; idx != NOBODY; idx = flows->pool[idx].next_idx) {
        struct flow *flow = &flows->pool[idx];

        if (is_flow_of(flow, p, side)) {
            list_remove(flows, flow);
            list_add_newest(flows, flow);
            return flow;
        }
    }
    return add_flow(flows, p, side, bucket);
}

/* ---- handshakes -------------------------------------------------------------------------------- */

/* The side that answers.  A socket may connect to itself (simultaneous open); it is its own peer. */
static unsigned
peer_of(const struct flow *flow, unsigned side)
{
    if (flow->port[0] == flow->port[1] && memcmp(flow->ip[0], flow->ip[1], 16) == 0) {
        return side;
    }
    return side ^ 1;
}

/* Whether `ack` acknowledges that side's SYN, and perhaps the data that came with it. */
static bool
acknowledges(const struct handshake *hs, unsigned side, uint32_t ack)
{
    return hs->syn[side] && ack - hs->isn[side] - 1 <= hs->syn_bytes[side];
}

static bool
establish(const struct flow *flow, struct handshake *hs, struct sensor_connection *out)
{
    unsigned orig = hs->first_side;
    unsigned resp = peer_of(flow, orig);

    hs->established = true;
    memcpy(out->orig, flow->ip[orig], 16);
    memcpy(out->resp, flow->ip[resp], 16);
    out->orig_port = flow->port[orig];
    out->resp_port = flow->port[resp];
    return true;
}

static void
begin_handshake(struct flow *flow, unsigned side, int64_t wall_ns)
{
    flow->before = flow->now;
    memset(&flow->now, 0, sizeof(flow->now));
    flow->now.first_side = (uint8_t)side;
    flow->syn_wall_ns = wall_ns;
}

static bool
take_syn(struct flow *flow,
         const struct sensor_packet *p,
         unsigned side,
         int64_t wall_ns,
         struct sensor_connection *out)
{
    struct handshake *hs = &flow->now;
    bool open = hs->syn[side ^ 1] && !hs->established && !hs->known[side]
                && wall_ns - flow->syn_wall_ns < ATTEMPT_NS;

    if (hs->known[side] && hs->isn[side] == p->tcp_seq) {
        hs->syn[side] = true;
        return false;
    }
    if (!open) { /* not the other half of a simultaneous open */
        begin_handshake(flow, side, wall_ns);
    }
    hs->syn[side] = hs->known[side] = true;
    hs->isn[side] = p->tcp_seq;
    hs->syn_bytes[side] = p->tcp_bytes;
    if (flow->stray.seen && flow->stray.side == peer_of(flow, side)
        && acknowledges(hs, side, flow->stray.ack)) {
        flow->stray.seen = false;
        hs->isn[flow->stray.side] = flow->stray.seq;
        hs->known[flow->stray.side] = true;
        return establish(flow, hs, out);
    }
    return false;
}

/* A SYN-ACK whose SYN we have not got; it may be on its way. */
static bool
keep_stray(struct flow *flow, const struct sensor_packet *p, unsigned side)
{
    flow->stray.seen = true;
    flow->stray.side = (uint8_t)side;
    flow->stray.seq = p->tcp_seq;
    flow->stray.ack = p->tcp_ack;
    return false;
}

/*
 * A capture with rewritten or zero numbers still has handshakes: the answer to a SYN counts as its answer
 * even if its numbers do not fit, unless they fit the connection before on the same ports.
 */
static bool
take_synack(struct flow *flow,
            const struct sensor_packet *p,
            unsigned side,
            struct sensor_connection *out)
{
    struct handshake *hs = &flow->now;
    struct handshake *before = &flow->before;
    unsigned peer = peer_of(flow, side);

    if (hs->established && hs->known[side] && hs->isn[side] == p->tcp_seq) {
        return false; /* once more the same */
    }
    if (!acknowledges(hs, peer, p->tcp_ack) && acknowledges(before, peer, p->tcp_ack)) {
        return before->established ? false : establish(flow, before, out);
    }
    if (hs->established || !hs->syn[peer]) {
        return keep_stray(flow, p, side);
    }
    hs->isn[side] = p->tcp_seq;
    hs->known[side] = true;
    return establish(flow, hs, out);
}

bool
sensor_flows_take(struct sensor_flows *flows,
                  const struct sensor_packet *packet,
                  int64_t wall_ns,
                  struct sensor_connection *out)
{
    unsigned side;
    struct flow *flow;

    if (!packet->is_tcp
        || (packet->tcp_flags & (SENSOR_TCP_SYN | SENSOR_TCP_RST)) != SENSOR_TCP_SYN) {
        return false;
    }
    side = side_of(packet);
    flow = touch_flow(flows, packet, side);
    if ((packet->tcp_flags & SENSOR_TCP_ACK) != 0) {
        return take_synack(flow, packet, side, out);
    }
    return take_syn(flow, packet, side, wall_ns, out);
}

uint64_t
sensor_flows_evicted(const struct sensor_flows *flows)
{
    return flows->evicted;
}

uint64_t
sensor_flows_evicted_half_open(const struct sensor_flows *flows)
{
    return flows->evicted_half_open;
}

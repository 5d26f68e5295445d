/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/bridge.h - links to other boxes, by request to the busbard of this bus.
 *
 * A link joins two buses over TCP: what one side's subscribers want of the other side's messages comes to them as if
 * it had been published here, with the name, number and time that it had there (bb_msg_origin()).  It goes one link
 * far.  busbard does the work; nothing here opens a socket, and publishers do not notice.
 *
 * Order      Messages of one ring come in their order, once.  What is missing is told: BB_STATUS_GAP.
 * Statuses   BB_STATUS_PEER_ADDED, _REMOVED, _LOST, _UNAVAILABLE and BB_STATUS_GAP come to subscribers with
 *            BB_SUBSCRIBER_STATUS, in order with that link's messages.
 * Threads    Any, several at once.  The first call that finds a busbard makes one small ring (BB_LANE_ONESHOT) on the
 *            bus; all later ones of this endpoint use it again, and bb_endpoint_close() closes it.  So asking often is
 *            no load on the bus; a program that asks again and again keeps its endpoint open.
 * Errors     BB_ENORESPONDERS: no busbard runs on this bus.  The sentence in opts->error is busbard's own.
 */
#ifndef BUSBAR_BRIDGE_H
#define BUSBAR_BRIDGE_H

#include <busbar/endpoint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a link does when its queue is full, since the other side is slow or away. */
enum bb_slow {
    BB_SLOW_DROP_OLDEST = 0, /* what waits longest goes */
    BB_SLOW_DROP_NEWEST = 1, /* what comes goes */
    BB_SLOW_DISCONNECT = 2,  /* the link ends and says so; it is tried again later */
};

enum {
    BB_PEER_ONCE =
        1u << 0, /* try once, wait for the outcome; when it fails or ends, the peer is forgotten */
    BB_PEER_WAIT =
        1u << 1, /* return when the link is up, or the time ran out: it is tried on all the same */
};

struct bb_link_opts {
    size_t size;
    int64_t timeout_ns;   /* for the answer; 0: 10 s */
    uint32_t flags;       /* BB_PEER_... */
    uint32_t slow;        /* enum bb_slow */
    uint64_t queue_bytes; /* for what the other side has not acknowledged; 0: 8 MiB */
    const char *name;     /* of the other box, held against its certificate; NULL: the host */
    struct bb_error *error;
};

/* bb_listen - others may link to us here.  host "*": every address; port 0: the kernel's choice, in *port_out (may be NULL). */
BB_MUST_USE BB_API int bb_listen(struct bb_endpoint *ep,
                                 const char *host,
                                 uint16_t port,
                                 const struct bb_link_opts *opts,
                                 uint16_t *port_out);
/* bb_unlisten - links that came this way stay.  BB_ENOENT nobody listens there. */
BB_MUST_USE BB_API int bb_unlisten(struct bb_endpoint *ep,
                                   const char *host,
                                   uint16_t port,
                                   const struct bb_link_opts *opts);

/*
 * bb_peer - a link to the busbard that listens there, kept up from now on: what ends is tried again.
 *
 * Returns   0 (with ONCE and WAIT: it is up); BB_EEXIST; ONCE: -ECONNREFUSED, BB_EACCES ... why not; WAIT: BB_ETIMEDOUT.
 */
BB_MUST_USE BB_API int
bb_peer(struct bb_endpoint *ep, const char *host, uint16_t port, const struct bb_link_opts *opts);
/*
 * bb_unpeer - ends it for good; the other side is told, and from then on nothing is queued for it.  BB_ENOENT: there is no
 * such peer.
 */
BB_MUST_USE BB_API int
bb_unpeer(struct bb_endpoint *ep, const char *host, uint16_t port, const struct bb_link_opts *opts);

/*
 * bb_interest_wait - returns when every prefix that is subscribed on this bus now is known at all boxes that a link is
 * up to: what is published there from then on comes here.
 *
 * Returns   how many boxes know it; BB_ETIMEDOUT; BB_ENORESPONDERS.
 */
BB_MUST_USE BB_API int
bb_interest_wait(struct bb_endpoint *ep, int64_t timeout_ns, struct bb_error *error);

/* ---- looking ----------------------------------------------------------------------------------- */

enum bb_link_state {
    BB_LINK_DOWN = 0,
    BB_LINK_CONNECTING = 1,
    BB_LINK_UP = 2,
    BB_LINK_LISTENING = 3, /* a place where others may link to us */
};
BB_API const char *bb_link_state_name(uint32_t state);

struct bb_bridge_info {
    size_t size;
    char name[64]; /* of this box */
    uint8_t box[16];
    uint64_t epoch;
    char engine[16];      /* "io_uring", "epoll" */
    char engine_why[256]; /* why not io_uring, when that was not asked for; else "" */
    char security[16];    /* "certificates", "key", "user key", "none" */
    int64_t pid;
    int64_t started_wall_ns;
    uint32_t links, up;
    uint64_t memory_bytes;
    uint64_t
        local_lost; /* messages of this bus that were overwritten before the bridge read them */
};
BB_MUST_USE BB_API int
bb_bridge_look(struct bb_endpoint *ep, struct bb_bridge_info *out, struct bb_error *error);

struct bb_link_info {
    char address[128]; /* that was dialed or listened on; of who dialed us: where it came from */
    char name[64];     /* of the other box; "" not known yet */
    uint8_t box[16];
    uint32_t state;                  /* enum bb_link_state */
    uint32_t dialed;                 /* 1: we keep it up; 0: it came to us */
    uint32_t slow;                   /* enum bb_slow */
    uint32_t compressed;             /* 1: both sides compress */
    char cipher[64];                 /* "none" */
    char last[256];                  /* why it is down, or went down last; "" */
    int64_t up_wall_ns, retry_in_ns; /* -1: no */
    uint64_t ups, attempts;
    uint64_t sent, received; /* messages: acknowledged by the other side; delivered here */
    uint64_t sent_bytes, received_bytes; /* on the wire */
    uint64_t sent_per_s, received_per_s; /* messages, of the last second or two */
    uint64_t queued,
        queue_bytes;       /* messages that the other side has not acknowledged; their bytes */
    uint64_t queue_max;    /* bytes; also what the queue's own memory takes counts */
    uint64_t dropped;      /* messages: the queue was full */
    uint64_t lost_before;  /* messages: overwritten before the bridge read them, or too large */
    uint64_t gap_messages; /* messages that the other side reported as missing to us */
    uint64_t uncertain;    /* of both, those that an earlier life of the reader may have had */
    uint64_t denied_in, denied_out;         /* messages that rights or topics forbid */
    uint64_t credit_bytes, credit_messages; /* that the other side still takes now */
    uint64_t blocked;                       /* times there was something to send and no credit */
    uint64_t interests, peer_interests;     /* prefixes: ours told there, theirs told here */
    int64_t round_trip_ns, clock_offset_ns, clock_error_ns; /* 0: not known */
    uint64_t sent_plain_bytes, received_plain_bytes; /* as above, had nothing been compressed */
};
/* bb_bridge_links - fills out[0 .. min(n, max)) and returns n. */
BB_MUST_USE BB_API int bb_bridge_links(struct bb_endpoint *ep,
                                       struct bb_link_info *out,
                                       size_t max,
                                       struct bb_error *error);

#ifdef __cplusplus
}
#endif
#endif

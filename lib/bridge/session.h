/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bridge/session.h - a link between two nodes, which outlives the transports that carry it.
 *
 * Bytes come in by receive and go out by output; time comes with each call; whatever happens is told by callbacks.
 * There is no socket, clock or key in it, so that busbard, fuzzers and tests run the same code.
 *
 * Used by    lib/link, fuzzers, tests.
 * Threads    One at a time.  Callbacks run within attach, receive, tick, close and offer; they may call offer, lost, the
 *            interest functions, barrier, close and stats, but not receive, output, attach, cut or fini.
 * Stream     Messages are numbered from 1 in each direction of a life (epoch).  A number is delivered once, in order,
 *            or stands in exactly one gap: nothing is missing silently.  What was sent stays until it is acknowledged;
 *            after a cut the reader says what it has, and the rest is sent again.
 * Restart    Of the other side (another epoch): what was sent and not acknowledged is one gap, uncertain; what was not
 *            sent goes on.  Of this side: the stream begins at 1, and the reader is told by up(is_resumed false).
 * Memory     Fixed at init, but for: the queue (queue_bytes, and 64 KiB for gaps), interests (interest_count and
 *            interest_bytes, for each side), the one long message that is being received (message_max).  Nothing is
 *            allocated because a peer announced a length: only for bytes that came.
 * Control    PING, PONG, CREDIT, INTEREST, CLOSE overtake data at each call of output: at most 256 KiB wait before them.
 */
#ifndef BUSBAR_LIB_BRIDGE_SESSION_H
#define BUSBAR_LIB_BRIDGE_SESSION_H

#include "lib/bridge/greet.h"
#include "lib/bridge/memory.h"
#include <sys/uio.h>

enum bbi_slow_policy {
    BBI_SLOW_DROP_OLDEST = 0, /* what waits longest goes, a batch at a time; telemetry */
    BBI_SLOW_DROP_NEWEST = 1, /* what comes goes */
    BBI_SLOW_DISCONNECT =
        2, /* the link ends, saying so; what was not sent is one gap: store replication */
};

enum {
    BBI_SESSION_PIECES = 64,              /* of one output */
    BBI_SESSION_OUTPUT_BYTES = 256 << 10, /* of data in one output; a single frame may be as long */
    BBI_QUEUE_BYTES_MIN = 1 << 16,
    BBI_QUEUE_BYTES = 8 << 20, /* when nothing else is said */
};

struct bbi_session_opts {
    struct bbi_hello
        self; /* node, epoch, cluster, name; message_max 0: 1 MiB; the rest is filled in */
    struct bbi_link_id peer; /* whose transports are taken */
    enum bbi_slow_policy policy;
    size_t queue_bytes;    /* 0: 8 MiB */
    uint32_t batch_bytes;  /* 0: 32 KiB; a frame of many messages is at most so long */
    uint64_t credit_bytes; /* what may be on its way to us; 0: 4 MiB; at least BBI_LINK_FRAME_MAX */
    uint64_t credit_messages;      /* 0: 8,192; at least BBI_LINK_BATCH_MESSAGES */
    int64_t ping_ns;               /* silence after which we ask; 0: 1 s */
    int64_t dead_ns;               /* silence after which the transport is given up; 0: 3 s */
    int64_t handshake_ns;          /* 0: 5 s */
    int64_t frame_ns;              /* a frame arrives within; 0: 30 s */
    int64_t ack_ns;                /* what arrived is acknowledged within; 0: 20 ms */
    uint32_t interest_count;       /* of each side; 0: 65,536 */
    size_t interest_bytes;         /* of each side; 0: 4 MiB */
    uint64_t hash_seed[2];         /* random: peers must not choose what collides */
    const struct bbi_codec *codec; /* NULL: no compression.  Lives as long as the session */
};

struct bbi_session;

struct bbi_session_events {
    /* Both sides agreed.  is_resumed: the other side's stream goes on where it was; else it began anew. */
    void (*up)(void *user, const struct bbi_hello *peer, bool is_resumed);
    /* In order; valid within the call. */
    void (*messages)(void *user, const struct bbi_link_msg *msgs, size_t count);
    void (*gap)(void *user, const struct bbi_gap *gap);
    /* Of the other side: told once each, also over cuts. */
    void (*interest)(void *user, const struct bbi_interest *interest);
    /* The other side knows all interests up to this token (bbi_session_barrier()). */
    void (*barrier)(void *user, uint64_t token);
    /* The transport ends: send what output still has (the reason, when it is ours), end it, then bbi_session_cut(). */
    void (*closed)(void *user, const struct bbi_close *why, bool is_remote);
};

/*
 * bbi_session_init - events and memory are copied; opts are not needed afterwards.
 *
 * Returns   0; BB_EINVAL a limit below its minimum, no epoch; BB_ENOMEM.
 */
BB_MUST_USE int bbi_session_init(struct bbi_session **out,
                                 const struct bbi_session_opts *opts,
                                 const struct bbi_memory *memory,
                                 const struct bbi_session_events *events,
                                 void *user);
void bbi_session_fini(struct bbi_session *s); /* NULL: nothing */

/* ---- transports ------------------------------------------------------------------------------------- */

/*
 * bbi_link_prefer_new - of two transports between the same two nodes, does the one that is known later stay?
 *
 * The one that the lower id dialed stays; of two that the same side dialed, the newer; after a restart of the peer, the
 * newer.  Both sides decide alike, whichever they come to know first.
 */
bool bbi_link_prefer_new(const struct bbi_link_id *self,
                         const struct bbi_link_id *peer,
                         enum bbi_link_role old_role,
                         enum bbi_link_role new_role);

/*
 * bbi_session_prefer - what to do with a transport that is KNOWN.
 *
 * Returns   0: bbi_session_attach() it; 1: end the transport that is there, bbi_session_cut(), then attach this one;
 *           BB_EBUSY: bbi_greet_refuse() it with BBI_CLOSE_DUPLICATE; BB_EINVAL: it is of another node.
 */
BB_MUST_USE int bbi_session_prefer(const struct bbi_session *s, const struct bbi_greet *g);

/*
 * bbi_session_attach - takes a transport over, with what g has still to send.  g is not needed any more.
 *
 * Returns   0; BB_EBUSY there is one; BB_EINVAL of another node, or not KNOWN.
 */
BB_MUST_USE int
bbi_session_attach(struct bbi_session *s, const struct bbi_greet *g, struct bbi_link_time now);

/* bbi_session_cut - the transport is gone and no longer looks at what output gave it.  The session goes on without. */
void bbi_session_cut(struct bbi_session *s);

/*
 * bbi_session_receive - bytes of the transport, in any pieces.
 *
 * Returns   0; BB_EPEERGONE: the link is closing, nothing is read any more (closed() said why).
 */
BB_MUST_USE int bbi_session_receive(struct bbi_session *s,
                                    const void *data,
                                    size_t bytes,
                                    struct bbi_link_time now);

/*
 * bbi_session_output - what is to be sent now, in at most BBI_SESSION_PIECES pieces.
 *
 * Owner     The pieces and what they point to stay as they are until all of them were sent, or until cut.
 *           Called again before that, it returns what is left of them.
 * Returns   pieces; 0 nothing now.
 */
BB_MUST_USE int
bbi_session_output(struct bbi_session *s, struct iovec *pieces, int max, struct bbi_link_time now);
void bbi_session_sent(struct bbi_session *s, size_t bytes);

/* bbi_session_is_over - closing, and the reason is out: end the transport. */
bool bbi_session_is_over(const struct bbi_session *s);

/*
 * bbi_session_tick - what is due.  Returns when it must be called again at the latest (INT64_MAX: never).
 *
 * Called later than that, by half of dead_ns or more, it takes the time since the last tick for our own standing still: it
 * is no silence of the other side, and is not counted as such.  So receive what waits before it is called again.
 */
int64_t bbi_session_tick(struct bbi_session *s, struct bbi_link_time now);

/* bbi_session_close - tells the reason and ends the transport; the session stays, with its queue. */
void bbi_session_close(struct bbi_session *s, enum bbi_close_code code, const char *sentence);

/* bbi_session_hold - no more credit is granted while it holds: at most a window still comes. */
void bbi_session_hold(struct bbi_session *s, bool is_held);

/* bbi_session_tune - policy and queue from now on; what waits stays.  0 bytes: 8 MiB.  BB_EINVAL below the minimum. */
BB_MUST_USE int
bbi_session_tune(struct bbi_session *s, enum bbi_slow_policy policy, size_t queue_bytes);

/* ---- what goes to the other side ---------------------------------------------------------------------- */

/*
 * bbi_session_offer - one message, copied.
 *
 * Returns   1 queued; 0 it, or others in its place, were lost by the policy: a gap tells it; BB_EMSGSIZE above
 *           message_max; BB_EINVAL a name or topic that is too long.
 */
BB_MUST_USE int bbi_session_offer(struct bbi_session *s, const struct bbi_link_msg *msg);

struct bbi_link_loss {
    struct bbi_link_origin origin;
    uint64_t first_seq, last_seq;
    uint64_t messages; /* at least 1 */
    uint64_t bytes;    /* or BBI_LINK_UNKNOWN */
    uint32_t reasons;  /* BBI_GAP_ bits; 0: BBI_GAP_OVERRUN */
};
/* bbi_session_lost - messages that were lost before they could be offered become a gap, here in the stream. */
void bbi_session_lost(struct bbi_session *s, const struct bbi_link_loss *loss);

/*
 * bbi_session_recheck - what the other side may have became less: if a message that was not sent is none of that, all that
 * was not sent becomes a gap (BBI_GAP_RIGHTS).  true: it did.  What was sent and not acknowledged is sent again.
 */
bool bbi_session_recheck(struct bbi_session *s,
                         bool (*may)(void *user, const char *topic, size_t bytes),
                         void *user);

/*
 * bbi_session_interest_add, _remove - this side's interests; the same one may be added several times.
 * Returns   add: 1 it is new, 0 it was there; BB_EFULL, BB_ENOMEM, BB_EINVAL.  remove: 1 gone, 0 others want it; BB_ENOENT.
 */
BB_MUST_USE int bbi_session_interest_add(struct bbi_session *s,
                                         const struct bbi_interest *interest);
BB_MUST_USE int bbi_session_interest_remove(struct bbi_session *s,
                                            const struct bbi_interest *interest);

/* bbi_session_barrier - a token for all changes so far.  bbi_session_is_known - the other side has them all. */
uint64_t bbi_session_barrier(const struct bbi_session *s);
bool bbi_session_is_known(const struct bbi_session *s, uint64_t token);

/* ---- looking -------------------------------------------------------------------------------------------- */

enum bbi_session_state {
    BBI_SESSION_DOWN = 0,    /* no transport */
    BBI_SESSION_OPENING = 1, /* the other side has not agreed yet */
    BBI_SESSION_UP = 2,
    BBI_SESSION_CLOSING = 3,
};

struct bbi_session_stats {
    enum bbi_session_state state;
    uint64_t offered;      /* messages, and those that were lost before */
    uint64_t acknowledged; /* number up to which the other side has all */
    uint64_t sent; /* messages that it acknowledged: numbers also count what gaps stand for */
    uint64_t next_number;     /* of the next message */
    uint64_t dropped;         /* messages that the queue lost, by whatever policy */
    uint64_t lost_before;     /* that came by bbi_session_lost() */
    uint64_t uncertain;       /* that an earlier life of the reader may have had */
    uint64_t delivered;       /* messages handed to messages() */
    uint64_t gap_messages;    /* told by gap() as lost */
    uint64_t gap_uncertain;   /* of these, uncertain */
    uint64_t repeated;        /* messages that came again and were passed over */
    uint64_t received_number; /* of the other side's stream */
    uint64_t queue_bytes;     /* memory of the queue, also what is free in it */
    uint64_t held_messages;   /* not acknowledged: no number of a gap is among them */
    uint64_t held_bytes;      /* of these, as they stand in frames */
    uint64_t in_bytes, out_bytes, in_frames, out_frames;
    bool is_compressing;                      /* both sides know how */
    uint64_t in_saved_bytes, out_saved_bytes; /* that compression made these shorter */
    uint64_t blocked;                         /* times output had data and no credit */
    uint64_t credit_bytes, credit_messages;   /* that the other side takes now; 0: not up */
    uint64_t ups, cuts;
    uint64_t interests, peer_interests;
    uint64_t memory_bytes; /* taken now */
    bool has_clock;
    int64_t clock_offset_ns; /* the other side's wall clock minus ours */
    int64_t clock_error_ns;  /* +- */
    int64_t round_trip_ns;   /* of the last ping; 0: none yet */
};
void bbi_session_stats(const struct bbi_session *s, struct bbi_session_stats *out);

#endif

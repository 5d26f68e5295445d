/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bridge/session_impl.h - what the parts of a session share.
 *
 *   session.c       life, transports, time, what its user asks
 *   session_in.c    bytes into frames; data
 *   session_control.c   frames that are no data
 *   session_out.c   frames that go: control first, then data as far as credit reaches
 */
#ifndef BUSBAR_LIB_BRIDGE_SESSION_IMPL_H
#define BUSBAR_LIB_BRIDGE_SESSION_IMPL_H

#include "lib/bridge/interest.h"
#include "lib/bridge/queue.h"
#include "lib/bridge/session.h"

enum {
    BBI_CONTROL_BYTES = 72 << 10, /* the longest interest, and all small frames at once */
    BBI_CLOCK_FRESH_S = 60,       /* a better sample is preferred for so long */
};

/* What is being received. */
struct bbi_session_in {
    unsigned char *frame; /* BBI_LINK_FRAME_MAX bytes: a frame that came in pieces */
    size_t frame_bytes;
    int64_t frame_since_ns; /* when its first byte came */
    int64_t last_ns; /* when the last byte came; later by the time in which we did not listen */
    int64_t tick_ns, due_ns;  /* the last tick, and when it wanted the next */
    uint64_t epoch;           /* life of the other side whose stream we hold; 0: none */
    uint64_t number;          /* its messages up to here were told */
    uint64_t bytes, messages; /* of data on this transport */
    uint64_t granted_bytes, granted_messages; /* that the other side was told */
    uint64_t acked;                           /* that the other side was told */
    int64_t ack_due_ns;                       /* INT64_MAX: nothing to say */
    unsigned char *chunks;                    /* the long message so far */
    size_t chunks_cap, chunks_bytes;
    uint64_t chunks_whole; /* 0: none */
    unsigned char *plain;  /* of codec */
    uint64_t known_due;    /* revision of the peer's interests to acknowledge; with is_known_due */
    bool is_known_due;
    bool is_told_anew; /* between BEGIN and END */
    bool is_held;
};

/* What is being sent. */
struct bbi_session_out {
    unsigned char *control;
    size_t control_bytes;
    struct iovec pieces[BBI_SESSION_PIECES];
    struct bbi_queue_item *items[BBI_SESSION_PIECES]; /* NULL: control */
    int count, first;                                 /* of an output that is not all sent */
    uint64_t bytes, messages;                         /* of data on this transport */
    uint64_t credit_bytes, credit_messages;
    bool has_welcomed;
    bool is_begun;  /* interests: BEGIN was sent */
    bool is_ended;  /* END was sent */
    uint64_t told;  /* revision of interests that was sent */
    uint64_t known; /* and that the other side knows */
    bool is_ping_due, is_pong_due, is_close_due;
    struct bbi_link_time ping; /* of the last one; mono_ns 0: none */
    unsigned char echo[BBI_LINK_ECHO_MAX];
    uint16_t echo_bytes;
};

struct bbi_session {
    struct bbi_session_opts opts;
    struct bbi_memory memory;  /* the user's, for init and fini */
    struct bbi_memory counted; /* the same, counted */
    struct bbi_session_events events;
    void *user;
    enum bbi_session_state state;
    enum bbi_link_role role;
    struct bbi_hello peer;
    uint64_t sent_epoch; /* life of the other side that what was sent went to */
    uint64_t sent_base;  /* what was acknowledged when that life came up first */
    int64_t opened_ns;
    struct bbi_session_in in;
    struct bbi_session_out out;
    struct bbi_queue queue;
    struct bbi_interest_set interests, peer_interests;
    struct bbi_close close;
    int64_t clock_ns; /* when the clock's sample was taken */
    struct bbi_session_stats stats;
};

/* Ends the link because of the other side, or of us: tells the user, and the other side by the next output. */
void bbi_session_fail(struct bbi_session *s, enum bbi_close_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The other side said it. */
void bbi_session_ended(struct bbi_session *s, const struct bbi_close *why);

/* A frame that is no data. */
void bbi_session_take_control(struct bbi_session *s,
                              const struct bbi_link_frame *frame,
                              struct bbi_link_time now);

/* Credit that the other side may have now. */
static inline uint64_t
bbi_session_grant(uint64_t consumed, uint64_t window, uint64_t granted, bool is_held)
{
    return is_held ? granted : bbi_max_u64(granted, consumed + window);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bridge/queue.h - what goes to the other side: batches as they will stand on the wire, until it acknowledges them.
 *
 *   acked          sent                             next_number
 *     | item item item | head gap | item item item | tail gap
 *       sent, kept       lost here   not sent yet    lost here
 *
 * A message is copied once, into the frame that carries it.  Items lie one behind the other in segments of about a
 * batch, so that a frame of one message does not hold the memory of a whole one.  What the queue loses becomes part of the gap at
 * its place; a gap turns into an item when it is sent, or when a message comes behind it.
 *
 * Used by    session.
 * Memory     At most limit bytes, and BBI_QUEUE_RESERVE for gaps beyond.  Never drops what was sent; so that this leaves
 *            something to drop, BBI_SLOW_OLDEST hands out half of the limit before it waits for acknowledgement.
 */
#ifndef BUSBAR_LIB_BRIDGE_QUEUE_H
#define BUSBAR_LIB_BRIDGE_QUEUE_H

#include "lib/bridge/frame.h"
#include "lib/bridge/memory.h"

enum { BBI_QUEUE_RESERVE = 64 << 10 };

enum bbi_item_kind { BBI_ITEM_DATA = 0, BBI_ITEM_CHUNKS = 1, BBI_ITEM_GAP = 2 };

struct bbi_queue_segment {
    size_t cap_bytes; /* behind this head */
    size_t used_bytes;
    uint32_t items; /* that lie in it */
    alignas(16) unsigned char at[];
};

struct bbi_queue_item {
    struct bbi_queue_item *prev, *next;
    struct bbi_queue_segment *segment;
    unsigned char *frames;
    uint64_t bytes;         /* of frames; while it grows: so far */
    uint64_t pos;           /* bytes of frames that were handed out on this transport */
    uint64_t first, last;   /* numbers */
    uint64_t payload_bytes; /* CHUNKS: of its message */
    uint32_t out;           /* pieces of an output that point into it */
    enum bbi_item_kind kind;
    bool is_sealed;
};

/* What goes when there is no room: what waits longest; what comes; all that was not sent. */
enum bbi_slow { BBI_SLOW_OLDEST, BBI_SLOW_NEWEST, BBI_SLOW_ALL };

struct bbi_queue {
    const struct bbi_memory *memory;
    const struct bbi_codec *codec;
    enum bbi_slow slow;
    size_t limit_bytes, bytes;          /* memory: also what is free in a segment */
    uint64_t held_messages, held_bytes; /* of DATA and CHUNKS, as frames */
    uint64_t flying_bytes; /* handed out on this transport and held; with what items take */
    uint32_t batch_bytes;
    struct bbi_queue_item *oldest, *newest;
    struct bbi_queue_item *cursor; /* the first that is not handed out as a whole; NULL: all are */
    struct bbi_queue_item
        *unsent; /* the first of which nothing was ever handed out; head stands before it */
    struct bbi_queue_item *open;       /* a batch that still grows: the newest */
    struct bbi_queue_segment *segment; /* the last one with room */
    struct bbi_link_msg before;        /* the last message of open, pointing into it */
    struct bbi_gap head, tail;         /* from 0: none; before unsent, and behind the newest */
    uint64_t acked;                    /* the other side has all up to here */
    uint64_t sent;                     /* handed out as a whole, on whatever transport */
    uint64_t next_number;
    uint32_t message_max; /* ours */
    uint32_t peer_message_max;
    bool is_compressing;    /* the other side knows how */
    unsigned char *scratch; /* of codec; NULL without */
    size_t scratch_bytes;
    uint64_t saved_bytes; /* of what was handed out: that compression made it shorter */
    uint64_t dropped, lost_before, uncertain;
    uint64_t
        delivered; /* messages that the other side acknowledged; what a gap stands for is not among them */
};

BB_MUST_USE int bbi_queue_init(struct bbi_queue *q,
                               const struct bbi_memory *memory,
                               const struct bbi_codec *codec,
                               size_t limit_bytes,
                               uint32_t batch_bytes);
void bbi_queue_fini(struct bbi_queue *q);

/* 1 queued, nothing lost; 0 something became part of a gap; BB_EBUSY all did: end the link (BBI_SLOW_ALL). */
int bbi_queue_offer(struct bbi_queue *q, const struct bbi_link_msg *msg);
/* A number of its own for messages that never came; gap->from and to are set here. */
void bbi_queue_lost(struct bbi_queue *q, struct bbi_gap *gap);
/* All that was not sent becomes one gap. */
void bbi_queue_drop_unsent(struct bbi_queue *q, uint32_t reason);

/* May the other side have this topic, as things stand now? */
typedef bool (*bbi_queue_may_cb)(void *user, const char *topic, size_t bytes);
/* bbi_queue_recheck - if it may not have one message of those that were not sent, all of these become one gap: true. */
bool bbi_queue_recheck(struct bbi_queue *q, bbi_queue_may_cb may, void *user);

/*
 * bbi_queue_next - the next frame to send, sealed.
 *
 * Returns   its bytes, 0: nothing, or not with so much credit (*is_blocked).  *messages: what it costs of that.
 */
size_t bbi_queue_next(struct bbi_queue *q,
                      uint64_t credit_bytes,
                      uint64_t credit_messages,
                      struct bbi_queue_item **item,
                      unsigned char **frame,
                      uint32_t *messages,
                      bool *is_blocked);
/* The piece that bbi_queue_next() gave is sent, or the transport gone. */
void bbi_queue_release(struct bbi_queue *q, struct bbi_queue_item *item);

/* acked <= number <= sent: the caller looked. */
void bbi_queue_ack(struct bbi_queue *q, uint64_t number);
/* The transport is gone: all that is not acknowledged is to be sent again. */
void bbi_queue_rewind(struct bbi_queue *q);
/* The other side is a new life that knows nothing: what was sent is a gap, uncertain.  After rewind. */
void bbi_queue_forget_sent(struct bbi_queue *q);

#endif

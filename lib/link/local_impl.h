/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/local_impl.h - what the files of the bus's side share.
 *
 *   local.c       open, close, boxes come and go, a turn      local_out.c  from the bus to the boxes
 *   local_ask.c   what they ask of us, what we ask of them    local_in.c   from the boxes to the bus
 */
#ifndef BUSBAR_LIB_LINK_LOCAL_IMPL_H
#define BUSBAR_LIB_LINK_LOCAL_IMPL_H

#include "lib/endpoint/for_bridge.h"
#include "lib/link/asked.h"
#include "lib/link/local.h"
#include "lib/link/pass.h"
#include "lib/link/taken.h"
#include "lib/link/wants.h"

enum {
    LOCAL_POLL = 256,  /* messages of one poll */
    LOCAL_FLUSH = 256, /* messages, and bytes, after which who sleeps is woken within a turn */
    LOCAL_FLUSH_BYTES = 256 << 10,
    LOCAL_TOPICS = 1 << 14, /* that the dictionary of a ring holds; more travel in their messages */
    LOCAL_TOPIC_BYTES = 256,
    LOCAL_ATTR = BB_KIND_MASK | BB_FORMAT_MASK | BB_PRIORITY, /* of a message, that travels */
};
#define LOCAL_RING_BYTES (UINT64_C(8) << 20)
#define LOCAL_LOOK_NS    INT64_C(10000000)
#define LOCAL_HOLD_NS    INT64_C(1000000000)
#define LOCAL_HELD_NS    INT64_C(1000000)     /* how often a box that is held is looked at */
#define LOCAL_IDLE_NS    INT64_C(10000000000) /* a ring whose link is down so long is closed */

/* What of another box may still be on its way when no more credit is granted, in the ring. */
#define LOCAL_WINDOW_MESSAGES UINT64_C(8192)
#define LOCAL_WINDOW_BYTES                                                                         \
    ((UINT64_C(4) << 20) + LOCAL_WINDOW_MESSAGES * (BBI_ORIGIN_BYTES_MAX + 32))

struct local_box {
    struct local_box *next;
    struct bbi_box *box;
    uint32_t index; /* its bit */
    char name[BBI_LINK_NAME_MAX + 1];
    bool is_up;
    bool is_muted; /* taken down on this side: nothing is offered until it is up again */
    bool is_short; /* there was no room for its ring the last time, and that was said */
    bool is_full;  /* not all of our interests fitted */
    struct bbi_rights_view *view; /* NULL: without rights */
    void *view_memory;
    struct bb_publisher *pub; /* its ring; NULL: not now */
    uint32_t unflushed;       /* messages, and their bytes */
    uint64_t unflushed_bytes;
    bool is_used; /* messages came since the room was looked at */
    bool is_held, is_hold_spent;
    int64_t held_ns, down_ns;
    /* The last topic that came, and what was found about it. */
    struct bb_topic *topic; /* NULL: not allowed, or none yet */
    bool has_topic;
    uint32_t topic_bytes;
    char topic_text[LOCAL_TOPIC_BYTES];
    uint64_t denied_in, denied_out, lost_before;
};

struct bbi_local {
    struct bb_endpoint *ep;
    struct bbi_hub *hub;
    void (*log)(void *user, const char *level, const char *line);
    void *user;
    struct bbi_pass pass;
    struct bbi_rights *rights;
    uint64_t ring_bytes;
    int64_t hold_max_ns;
    struct bbi_memory memory;

    struct local_box *boxes;                     /* all, the first that came first */
    struct local_box *by_index[BBI_ASKED_BOXES]; /* the same */
    struct bbi_asked asked;
    struct bbi_taken taken;
    struct bb_subscriber *sub;
    struct bb_msg msgs[LOCAL_POLL];
    struct bbi_link_msg out; /* what is the same in all messages stands in it */
    uint64_t lost;

    struct bbi_wants wants;
    uint64_t looked_epoch;
    int64_t looked_ns;
    bool must_look;
    bool was_cut, was_full, was_not_taken; /* said once */

    struct bb_publisher *events; /* for what has no link: unavailable */
};

void bbi_local_say(struct bbi_local *local, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- local_ask.c ---- */

/* May this box hear some topic that begins so; may it publish some? */
bool bbi_local_may_hear(const struct local_box *lb, const char *prefix, size_t bytes);
/* bbi_local_tell_all - to a box that knows nothing. */
void bbi_local_tell_all(struct bbi_local *local, struct local_box *lb);
/* bbi_local_retake - subscribes what is asked for and may be heard, and nothing else; after rights or boxes changed. */
void bbi_local_retake(struct bbi_local *local);
/* bbi_local_look - when it is due.  Returns when again. */
int64_t bbi_local_look(struct bbi_local *local, int64_t mono_ns);
/* bbi_local_change - other topics (NULL: the same), other views of all boxes (views[index]): what changes is told. */
void
bbi_local_change(struct bbi_local *local, struct bbi_pass *pass, struct bbi_rights_view **views);

/* ---- local_in.c ---- */

BB_MUST_USE int
bbi_local_ring_open(struct bbi_local *local, struct local_box *lb, struct bbi_fault *f);
/* bbi_local_event - a status in the box's ring, behind its messages. */
void bbi_local_event(struct bbi_local *local,
                     struct local_box *lb,
                     const struct bb_status *status,
                     const char *text);
/* bbi_local_room - flush, and hold or let go on.  Returns when again. */
int64_t bbi_local_room(const struct bbi_local *local, struct local_box *lb, int64_t mono_ns);

#endif

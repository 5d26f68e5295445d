/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/request_impl.h - messages that are for somebody: requests, replies, direct messages.
 *
 *   request_write.c  into a ring          request_ask.c    bb_request(): who is asked, and are they there
 *   request_take.c   out of a ring        request_wait.c   what is open: deadlines, the end
 *   request_reply.c  the responder        request_asked.c  who was asked, and went
 *   request_send.c   to one node          request_call.c   one request, one reply
 *
 * In a ring such a message is one whose topic travels in the payload, and that topic is the reserved
 * BBI_TO_TOPIC: who knows nothing of all this skips it, and every count stays exact.  Behind it follow the
 * address, the message's own topic (padded to 8) and its payload.  No dictionary ever holds any of it, and the
 * way of an ordinary message does not know that these exist.
 */
#ifndef BUSBAR_LIB_ENDPOINT_REQUEST_IMPL_H
#define BUSBAR_LIB_ENDPOINT_REQUEST_IMPL_H

#include "busbar/request.h"
#include "lib/endpoint/opts.h"
#include "lib/endpoint/publisher_impl.h"
#include "lib/endpoint/subscriber_impl.h"
#include <string.h>

/* ---- in the ring ---- */

#define BBI_TO_TOPIC "<$>to"
enum { BBI_TO_TOPIC_BYTES = sizeof(BBI_TO_TOPIC) - 1 };

enum bbi_address_kind { BBI_TO_REQUEST = 1, BBI_TO_REPLY = 2, BBI_TO_NODE = 3 };
enum bbi_address_flags { BBI_REPLY_HAS_MORE = 1, BBI_REPLY_IS_ERROR = 2 };

/* Little-endian; a multiple of 8 bytes.  Other kinds are skipped. */
struct bbi_address {
    uint32_t kind; /* enum bbi_address_kind */
    uint32_t topic_bytes;
    uint64_t to_node;     /* REQUEST: 0: everybody; NODE */
    uint64_t sub_key;     /* REQUEST, REPLY: of the file of the subscriber that hears the replies */
    uint64_t asked_key;   /* REPLY: of the subscriber that heard the request */
    uint64_t id;          /* REQUEST, REPLY: of that subscriber's request */
    int64_t deadline_ns;  /* REQUEST: monotonic; INT64_MAX: none */
    uint32_t sub_index;   /* REQUEST, REPLY: row of sub_key, to wake it */
    uint32_t flags;       /* REPLY: enum bbi_address_flags */
    int32_t code;         /* REPLY with IS_ERROR: a status */
    uint32_t asked_index; /* REPLY: row of asked_key */
};
static_assert(sizeof(struct bbi_address) == 64, "as docs/layout.md says");

static inline bool
bbi_is_addressed(const unsigned char *topic, size_t bytes)
{
    return bytes == BBI_TO_TOPIC_BYTES && memcmp(topic, BBI_TO_TOPIC, BBI_TO_TOPIC_BYTES) == 0;
}

struct bbi_addressed {
    struct bbi_address to;  /* but for topic_bytes */
    struct bb_topic *known; /* the topic, when the publisher knows it; else its text */
    const char *topic;
    size_t topic_bytes;
    const void *data;
    size_t bytes;
    uint32_t attr;
};

/* bbi_address_write - publishes one message to an address, and wakes whom it concerns.  As bb_publish(). */
BB_MUST_USE int bbi_address_write(struct bb_publisher *pub, const struct bbi_addressed *msg);

/* bbi_address_look - everybody who is there is known, with their prefixes. */
void bbi_address_look(struct bb_publisher *pub);

/* ---- as a message of bb_poll() ---- */

/* Above what a ring can hold in attr, so that no publisher can say them. */
enum {
    BBI_MSG_REQUEST = 1 << 18,
    BBI_MSG_REPLY = 1 << 19,
    BBI_MSG_DIRECT = 1 << 20,
    BBI_MSG_ADDRESSED = BBI_MSG_REQUEST | BBI_MSG_REPLY | BBI_MSG_DIRECT,
};

/* Private copy, in front of the message's topic.  What is told of a reply was written into it. */
struct bbi_letter {
    struct bbi_address address;
    struct bb_reply_info reply;
};

static inline struct bbi_letter *
bbi_letter_of(const struct bb_msg *msg)
{
    union {
        const char *topic;
        struct bbi_letter *end;
    } p = {.topic = msg->topic}; /* in our own arena, whatever the message says of it */
    return p.end - 1;
}

/* ---- open requests of a subscriber ---- */

enum {
    BBI_ASKED = 2 * BBI_SUBS, /* subscribers that we wait for, or did lately */
    BBI_ASKED_WORDS = BBI_ASKED / 64,
};

/* Who is gone is forgotten when a look for new rings and a sweep came after, and what it said is read. */
enum bbi_gone { BBI_GONE_NOT, BBI_GONE_NEW, BBI_GONE_DRAINING };

/* A subscriber that was asked.  Whoever has its row later has another key. */
struct bbi_asked {
    uint64_t key; /* 0: free */
    uint32_t index, member, member_gen;
    uint32_t open;     /* requests that wait for it; 0: may be forgotten */
    int64_t looked_ns; /* when its lock was seen to be held */
    enum bbi_gone gone;
};

struct bbi_pending {
    struct bbi_event end; /* first: the request becomes its own end, so that this cannot fail */
    struct bb_reply_info info;
    struct bbi_pending *same_hash;
    uint32_t heap_idx;
    uint32_t answers_wanted; /* 0: all */
    int64_t deadline_ns;
    uint32_t waits; /* bits of awaits */
    bool has_lost;  /* somebody went without an answer */
    uint64_t awaits[BBI_ASKED_WORDS];
    uint32_t topic_bytes;
    char topic[];
};

struct bbi_requests {
    uint64_t last_id;
    uint64_t late;
    struct bbi_pending **by_id; /* chains; a power of two */
    uint32_t by_id_count;
    struct bbi_pending **heap; /* of deadlines, as many slots as by_id_count */
    uint32_t count;
    int64_t checked_ns; /* a deadline before this had a whole sweep since */
    int64_t looked_ns;
    uint64_t sub_epoch;
    uint32_t look_at;               /* of asked, where the next look begins */
    uint32_t gone;                  /* of asked, that are */
    uint16_t slot_of_row[BBI_SUBS]; /* of asked, plus 1 */
    struct bbi_asked asked[BBI_ASKED];
};

/* request_wait.c */
BB_MUST_USE int bbi_requests_reserve(struct bb_subscriber *sub); /* room for one more */
/* bbi_request_opts_take - the caller's options, of whatever age. */
BB_MUST_USE int bbi_request_opts_take(struct bb_request_opts *o,
                                      const struct bb_request_opts *opts);
void bbi_requests_add(struct bb_subscriber *sub, struct bbi_pending *p);
struct bbi_pending *bbi_requests_find(const struct bb_subscriber *sub, uint64_t id);
void bbi_requests_remove(struct bb_subscriber *sub, struct bbi_pending *p); /* no end is told */
/* Has this one not given its last reply before?  Of one that was not asked (NULL) nothing is known. */
bool bbi_requests_is_new(const struct bb_subscriber *sub,
                         const struct bbi_pending *p,
                         const struct bbi_asked *by);
void bbi_requests_answered(struct bb_subscriber *sub,
                           struct bbi_pending *p,
                           struct bbi_asked *by); /* by: NULL when it was not asked */

/* request_asked.c */
/* The subscriber in this row as one that we may wait for; NULL: 512 are waited for. */
struct bbi_asked *bbi_asked_open(struct bbi_requests *r, uint32_t index, const struct bbi_row *row);
struct bbi_asked *bbi_asked_find(struct bbi_requests *r, uint32_t index, uint64_t key);
/* Lives, as far as its row says, and its lock said 10 ms ago at most. */
bool bbi_asked_is_there(const struct bb_subscriber *sub, struct bbi_asked *a, int64_t now);
void bbi_asked_look(struct bb_subscriber *sub, int64_t now); /* who went? */
/* One that is gone, and all it said is read: to be let go with bbi_asked_free(); else NULL. */
struct bbi_asked *bbi_asked_next_read(struct bb_subscriber *sub);
void bbi_asked_free(struct bbi_requests *r, struct bbi_asked *a);
#define BBI_ASKED_LOOK_NS INT64_C(10000000)

/*
 * request_take.c: bbi_address_take - what stands behind BBI_TO_TOPIC, at item->data; room for all of it is in
 * the arena.  1: ours, the item then holds the payload and the message its topic; 0: somebody else's;
 * BB_EOVERRUN: overwritten meanwhile.  bbi_address_given - the message is handed out.
 */
int bbi_address_take(struct bb_subscriber *sub,
                     struct bbi_source *src,
                     struct bbi_item *item,
                     struct bb_msg *msg);
void bbi_address_given(struct bb_subscriber *sub, const struct bb_msg *msg);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/request.h - requests with deadlines and replies; messages to one node.
 *
 * Request    An ordinary message on an ordinary topic, that also says who asks and until when.  Whoever is
 *            subscribed to the topic gets it in bb_poll(); bb_msg_request() says that it is one.
 * Reply      Goes to the subscriber that was named with the request, and to nobody else; no topic is made for
 *            it.  It comes in bb_poll() of that subscriber, whatever its prefixes.  Many may come.
 * End        Each request has exactly one: a status BB_STATUS_REPLIES in bb_poll(), after its last reply (also
 *            without BB_SUBSCRIBER_STATUS).  bb_msg_reply() says why it ended.  What comes later is dropped
 *            and counted, and never taken for the answer to another request.
 * Death      A responder that died or left without its last reply is noticed while the requester polls or
 *            waits, 10 ms later at most, after everything it said before was read.  One that is stopped is
 *            alive: the deadline ends the waiting.
 *            A requester that died or left: replies to it are refused, and cost nothing.
 * Loopback   A subscriber of the requester's own endpoint hears the request if it asked for loopback, and the
 *            answer is heard by `replies` if that did too; else it is not asked.
 */
#ifndef BUSBAR_REQUEST_H
#define BUSBAR_REQUEST_H

#include <busbar/endpoint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- asking ------------------------------------------------------------------------------------ */

struct bb_request_opts {
    size_t size;        /* sizeof(struct bb_request_opts) */
    int64_t timeout_ns; /* until the deadline; 0: 1 s; negative: none */
    uint64_t to_node;   /* only this node's subscribers are asked; 0: everybody's */
    uint32_t answers;   /* end after so many responders gave their last reply; 0: after all */
    uint32_t reserved;  /* 0 */
};

/*
 * bb_request - asks everybody who wants the topic now.
 *
 * replies   hears what comes back; of the same endpoint as the topic's publisher, and used by this thread.
 * opts      NULL: all zeros.
 * asked     One that is only just being opened may count as asked and begin behind the request: then the
 *           deadline ends it.
 * Size      an address of at most 128 bytes and the topic travel in the message: bb_publisher_max() less those.
 * Returns   0 and the request's number, which `replies` uses once; BB_ENORESPONDERS nobody lives that wants
 *           the topic, and nothing was published; BB_EFULL 512 subscribers were asked and have not answered:
 *           poll first; BB_EINVAL; else as bb_publish().
 */
BB_MUST_USE BB_API int bb_request(struct bb_topic *topic,
                                  struct bb_subscriber *replies,
                                  const void *data,
                                  size_t bytes,
                                  uint32_t attr,
                                  const struct bb_request_opts *opts,
                                  uint64_t *id);

/* bb_request_cancel - its replies are not wanted any more; no end is told.  BB_ENOENT: it has ended. */
BB_API int bb_request_cancel(struct bb_subscriber *replies, uint64_t id);

/* What a message of bb_poll() has to do with a request of ours. */
struct bb_reply_info {
    uint64_t id;       /* of the request */
    int code;          /* reply: 0, or what bb_reply_error() said; the end: see bb_msg_reply() */
    uint32_t is_end;   /* a status: no more replies come */
    uint32_t has_more; /* a reply: its responder will send another one */
    uint32_t replies;  /* so far, this one too */
    uint32_t answers;  /* responders that gave their last reply, so far */
    uint32_t asked;    /* subscribers that wanted the topic when the request was made */
};

/*
 * bb_msg_reply - 0 and *out if the message is a reply or the end of a request; BB_ENOENT if it is neither.
 *
 * The message as bb_poll() gave it, while it is valid.  A reply has the topic of its request.  The end's code is BB_EEND: as many answered as were to, or all who were asked;
 * BB_EPEERGONE: those who did not answer died or left; BB_ETIMEDOUT: the deadline is over.
 */
BB_MUST_USE BB_API int bb_msg_reply(const struct bb_msg *msg, struct bb_reply_info *out);

/*
 * bb_call - a request, and its first reply: waits for it until the deadline.
 *
 * The first call of a publisher opens a subscriber that hears nothing but replies to calls, closed with the
 * publisher: other subscribers of the thread miss nothing.  opts->answers does not count.
 * Owner     what *reply points to is valid until the next bb_call() of this publisher or its close.
 * Returns   0; BB_ENORESPONDERS; BB_EPEERGONE all who were asked died or left without a reply;
 *           BB_ETIMEDOUT; the code of bb_reply_error(), and *reply is the sentence; else as bb_request()
 *           and bb_subscriber_open().
 */
BB_MUST_USE BB_API int bb_call(struct bb_topic *topic,
                               const void *data,
                               size_t bytes,
                               uint32_t attr,
                               const struct bb_request_opts *opts,
                               struct bb_msg *reply);

/* ---- answering --------------------------------------------------------------------------------- */

/* Who asked.  The caller's own: it may be kept, and answered when the message is long released. */
struct bb_request_info {
    uint64_t id;         /* unique together with the next */
    uint64_t node_id;    /* bb_endpoint_id() of who asks */
    int64_t deadline_ns; /* of CLOCK_MONOTONIC; INT64_MAX: none */
    uint64_t opaque[3];
};

/* bb_msg_request - 0 and *out if the message, as bb_poll() gave it, is a request; BB_ENOENT if it is none. */
BB_MUST_USE BB_API int bb_msg_request(const struct bb_msg *msg, struct bb_request_info *out);

enum {
    BB_REPLY_MORE =
        1 << 17, /* in the attr of bb_reply(), not stored there: another reply follows */
};

/*
 * bb_reply - answers a request, through any publisher of this bus.  Any number of times with BB_REPLY_MORE;
 * the one without it is the last.
 *
 * Returns   0; BB_EPEERGONE who asked is gone, BB_ETIMEDOUT its deadline is over: nothing was published, the
 *           publisher's statistics count it as unheard; else as bb_publish().
 */
BB_MUST_USE BB_API int bb_reply(struct bb_publisher *pub,
                                const struct bb_request_info *to,
                                const void *data,
                                size_t bytes,
                                uint32_t attr);

/* bb_reply_error - the last reply, of kind raw: a negative code and a sentence.  BB_EINVAL: another code. */
BB_MUST_USE BB_API int bb_reply_error(struct bb_publisher *pub,
                                      const struct bb_request_info *to,
                                      int code,
                                      const char *sentence);

/* ---- messages to one node ---------------------------------------------------------------------- */

/*
 * bb_send - publishes a message for one node: those of its subscribers get it whose prefixes match the topic.
 *
 * Nobody else does, whatever their prefixes.  The topic is not entered in the ring's dictionary.
 * Returns   0; BB_ENOENT no living member has this id; else as bb_publish() and bb_topic_open().
 */
BB_MUST_USE BB_API int bb_send(struct bb_publisher *pub,
                               uint64_t to_node,
                               const char *topic,
                               size_t topic_bytes,
                               const void *data,
                               size_t bytes,
                               uint32_t attr);

/* bb_msg_is_direct - 1 if the message was sent to this node alone. */
BB_API int bb_msg_is_direct(const struct bb_msg *msg);

/* bb_node_find - the id of the living member of this name; BB_ENOENT. */
BB_MUST_USE BB_API int bb_node_find(struct bb_endpoint *ep, const char *name, uint64_t *node_id);

#ifdef __cplusplus
}
#endif
#endif

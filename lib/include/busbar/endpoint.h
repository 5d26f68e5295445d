/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/endpoint.h - attach to a bus, publish, subscribe.
 *
 * A bus is a directory on a tmpfs; no daemon is needed.  An endpoint is one attachment of a process, with
 * a name.  A publisher writes one ring; a subscriber reads all rings of the others with one set of cursors.
 *
 * Threads    An endpoint may be used from any thread.  A publisher or subscriber belongs to one thread at a
 *            time: open one for each thread.  The library starts no thread, installs no signal handler,
 *            prints nothing and never aborts on what came from outside.
 * Waiting    Nothing waits unless it takes a timeout: 0 does not wait, negative waits without bound.
 * Fork       The child's handles are refused with BB_EFORKED; the child opens its own.
 * Options    A struct of options begins with its size; what is left zero has its default, and NULL in place of
 *            the whole struct means all defaults.  Such structs only grow at their end, so a program that was
 *            compiled for an older busbar runs with this one, and a newer one does as long as it sets nothing
 *            that is unknown here (BB_ENOTSUP).  A size that was forgotten is refused (BB_EINVAL).
 *            Statistics are filled as far as the caller's struct reaches; size becomes the bytes that are
 *            valid.
 * Lifetime   Close publishers and subscribers before their endpoint; bb_*_close(NULL) does nothing.
 */
#ifndef BUSBAR_ENDPOINT_H
#define BUSBAR_ENDPOINT_H

#include <busbar/status.h>
#include <busbar/topic.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wshadow" /* bb_publisher_stats() and its struct */
extern "C" {
#endif

enum {
    BB_NAME_MAX = 47, /* bytes of a member's or bus's name, without NUL */
};

/*
 * struct bb_error - what went wrong, in words.  The caller owns it and hands it in with the options; it is
 * written only on failure.
 */
struct bb_error {
    int code;           /* the status that was returned */
    int64_t owner_pid;  /* who holds or owns the thing; 0 if nobody is known */
    int64_t owner_uid;  /* -1 if not known */
    char name[256];     /* the thing: a path, a member's name, a topic */
    char sentence[512]; /* one English sentence: what, whose, what to do */
};

/* ---- endpoint ---------------------------------------------------------------------------------- */

enum bb_role {
    BB_ROLE_NONE = 0,
    BB_ROLE_MANAGER = 1,
    BB_ROLE_PROXY = 2,
    BB_ROLE_LOGGER = 3,
    BB_ROLE_WORKER = 4,
    BB_ROLE_TOOL = 5,
};

/* bb_role_name - "manager" ...; "none" for anything unknown.  bb_role_parse - the role, or BB_EINVAL. */
BB_API const char *bb_role_name(uint32_t role);
BB_MUST_USE BB_API int bb_role_parse(const char *name);

struct bb_endpoint;

struct bb_endpoint_opts {
    size_t size; /* sizeof(struct bb_endpoint_opts) */
    const char
        *dir; /* where buses live; NULL: $BUSBAR_DIR, else a per-user directory on /dev/shm */
    const char *bus;    /* NULL: $BUSBAR_BUS, else "default" */
    const char *name;   /* unique on the bus while we live; NULL: PROGRAM-PID-N */
    uint32_t role;      /* enum bb_role */
    uint32_t flags;     /* BB_ATTACH_... */
    int64_t timeout_ns; /* how long to wait for a bus that is just being made; 0: 1 s */
    const char
        *group; /* group that shares a bus made now (directory 2770); NULL: only this user, 0700 */
    struct bb_error *error; /* may be NULL */
};

enum {
    BB_ATTACH_EXISTING = 1u << 0, /* do not make a bus: BB_ENOBUS when there is none */
    BB_ATTACH_CAPTURE = 1u << 1,  /* never do the steward's work in this process */
};

/*
 * bb_endpoint_open - attach to a bus, making it when there is none.
 *
 * Returns   0; BB_EEXIST the name is taken by a living member; BB_EFULL all 512 slots are taken;
 *           BB_EACCES, BB_ETRUST, BB_EVERSION, BB_ENOSPC, BB_ENOBUS, BB_ETIMEDOUT, BB_EINVAL.
 */
BB_MUST_USE BB_API int bb_endpoint_open(struct bb_endpoint **out,
                                        const struct bb_endpoint_opts *opts);
/*
 * Publishers and subscribers that are still open are closed with it.  A store ends its mastership and stays as a
 * handle that reads; what needs the bus is BB_EINVAL from then on, and bb_store_close() is still called.
 */
BB_API void bb_endpoint_close(struct bb_endpoint *ep);

BB_API const char *bb_endpoint_name(const struct bb_endpoint *ep);
BB_API uint64_t
bb_endpoint_id(const struct bb_endpoint *ep); /* slot and generation; never reused */
BB_API const char *bb_endpoint_path(const struct bb_endpoint *ep); /* the bus's directory */

/* ---- publishing -------------------------------------------------------------------------------- */

/* A message's attributes: kind | format | flags. */
enum {
    BB_RAW = 0, /* kinds, 3 bits */
    BB_VALUE = 1,
    BB_EVENT = 2,
    BB_STORE = 3,
    BB_CONTROL = 4,
    BB_KIND_MASK = 7,

    BB_NATIVE = 0 << 3, /* formats, 4 bits */
    BB_BROKER_V1 = 1 << 3,
    BB_JSON_V1 = 2 << 3,
    BB_OPAQUE = 3 << 3,
    BB_FORMAT_MASK = 15 << 3,

    /* Came over a link from another box: bb_msg_origin().  Not for publishers: BB_EINVAL. */
    BB_BRIDGED = 1 << 7,
    BB_REPLY = 1 << 8,
    BB_PRIORITY = 1 << 9,

    BB_MORE =
        1 << 16, /* not stored: more follows at once, flush later (at most 32 messages later) */
};

enum bb_lane { BB_LANE_DATA = 0, BB_LANE_CONTROL = 1, BB_LANE_ONESHOT = 2 };

/* What a publisher does when a reliable subscriber is a whole ring behind. */
enum bb_policy {
    BB_POLICY_DEFAULT = 0,     /* data lane: EVICT; control lane: BLOCK 100 ms, then EVICT */
    BB_POLICY_FAIL = 1,        /* return BB_EAGAIN at once */
    BB_POLICY_EVICT = 2,       /* go on without that subscriber; it is told */
    BB_POLICY_BLOCK_EVICT = 3, /* wait at most block_ns, then evict */
    BB_POLICY_BLOCK_FAIL = 4,  /* wait at most block_ns, then BB_EAGAIN */
};

struct bb_publisher;
struct bb_topic; /* a topic made known to one publisher; lives as long as it */

struct bb_publisher_opts {
    size_t size;      /* sizeof(struct bb_publisher_opts) */
    uint32_t lane;    /* enum bb_lane: sizes and default policy */
    uint32_t policy;  /* enum bb_policy */
    int64_t block_ns; /* bound of the BLOCK policies; 0: 100 ms */
    uint32_t depth;   /* messages in the ring, a power of two; 0: the lane's (32 Ki, 4 Ki, 256) */
    uint64_t bytes;   /* payload bytes, a power of two; 0: the lane's (8 MiB, 1 MiB, 128 KiB) */
    uint32_t flags;   /* BB_PUBLISHER_... */
    uint32_t
        topics; /* the ring's dictionary holds; 0: the lane's (4,096, 1,024, 64); at most 2^20 */
    uint64_t topics_bytes; /* of their text together; 0: the lane's, or 64 for each of topics */
    struct bb_error *error;
};

enum {
    /* Order by a fence in this thread, not by membarrier in the sleeper. */
    BB_PUBLISHER_FENCE = 1u << 0,
    /* Times from the kernel's last tick, 1 to 4 ms ago: saves reading a clock at each flush. */
    BB_PUBLISHER_COARSE = 1u << 1,
};

/* bb_publisher_open - a ring of our own.  BB_ENOSPC names the bytes needed; BB_EFULL: 1,024 rings exist. */
BB_MUST_USE BB_API int bb_publisher_open(struct bb_publisher **out,
                                         struct bb_endpoint *ep,
                                         const struct bb_publisher_opts *opts);
/* Flushes.  The ring stays for subscribers that have not read it all, at most 10 s. */
BB_API void bb_publisher_close(struct bb_publisher *pub);

/*
 * bb_topic_open - make a topic known, once; the same bytes give the same handle.
 *
 * Topics that the ring's dictionary cannot hold travel inside the messages, at the same rules.
 * Returns   0; BB_EINVAL for a reserved topic (`<$>`), BB_ENAMETOOLONG above 65,535 bytes.
 */
BB_MUST_USE BB_API int bb_topic_open(struct bb_topic **out,
                                     struct bb_publisher *pub,
                                     const char *topic,
                                     size_t topic_bytes);

/*
 * bb_topic_wanted - 1 if some subscriber wants it now, 0 if not: lets the caller skip the work.
 *
 * True of every bb_subscribe() that returned before the call.  A subscriber that died counts until somebody
 * tidied up after it.  What is not published because of this is missing in BB_START_OLDEST and in taps, which
 * register nothing: to them nothing is known of it.
 * Cost      two loads while no subscriber comes, goes or changes; no system call then.
 */
BB_API int bb_topic_wanted(struct bb_topic *topic);

/*
 * bb_publish - copy one message into the ring and flush (unless BB_MORE).
 *
 * Returns   0; BB_EMSGSIZE above bb_publisher_max(), of which a topic that travels in the message takes its bytes, rounded
 *           up to a multiple of 8, and 8 more; by policy BB_EAGAIN; BB_EBUSY while a loan is open.
 */
BB_MUST_USE BB_API int
bb_publish(struct bb_topic *topic, const void *data, size_t bytes, uint32_t attr);
/* The same, with the topic's bytes: looks the topic up each time. */
BB_MUST_USE BB_API int bb_publish_to(struct bb_publisher *pub,
                                     const char *topic,
                                     size_t topic_bytes,
                                     const void *data,
                                     size_t bytes,
                                     uint32_t attr);

struct bb_out {
    struct bb_topic *topic;
    const void *data;
    size_t bytes;
    uint32_t attr;
};
/*
 * bb_publish_batch - several messages of one publisher, one flush.  Those of one topic, size and attr that follow each
 * other lie together and cost less.  Returns how many went, or a status if none.
 */
BB_MUST_USE BB_API int64_t bb_publish_batch(const struct bb_out *msgs, size_t count);

/*
 * bb_loan - room in the ring to build a message in place.  One loan is open at a time.
 *
 * Owner     *data (bytes bytes) is the caller's until bb_commit() or bb_abort().
 * Returns   as bb_publish().
 */
BB_MUST_USE BB_API int bb_loan(struct bb_topic *topic, size_t bytes, void **data);
/* bb_commit - publish the first used_bytes of the loan.  mono_ns stamps it; bb_commit() reads the clock itself. */
BB_MUST_USE BB_API int bb_commit(struct bb_topic *topic, size_t used_bytes, uint32_t attr);
BB_MUST_USE BB_API int
bb_commit_at(struct bb_topic *topic, size_t used_bytes, uint32_t attr, int64_t mono_ns);
BB_API void bb_abort(struct bb_publisher *pub);

/*
 * bb_loan_batch - room for several messages of one topic at once, each of bytes bytes: at the rates of a
 * capture thread the calls for single messages are what costs most.
 *
 * Owner     data[0 .. n - 1] are the caller's until bb_commit_batch() or bb_abort().
 * Returns   n, from 1 to count: the ring's end or a flush that is due makes it fewer; or as bb_publish().
 */
BB_MUST_USE BB_API int
bb_loan_batch(struct bb_topic *topic, size_t bytes, size_t count, void *data[]);
/*
 * bb_commit_batch - publish the first count of them, used_bytes[i] of each (NULL: all bytes); flushes unless
 * BB_MORE.  What is not committed was never published.
 */
BB_MUST_USE BB_API int
bb_commit_batch(struct bb_topic *topic, const size_t *used_bytes, size_t count, uint32_t attr);

/* bb_flush - make known all that was published with BB_MORE; wakes at most one sleeper itself. */
BB_API int bb_flush(struct bb_publisher *pub);

BB_API size_t bb_publisher_max(const struct bb_publisher *pub); /* bytes of the largest message */
/*
 * bb_headroom, bb_headroom_messages - payload bytes, and messages, that can go without waiting for or evicting
 * a reliable subscriber; the whole ring when there is none.  Whichever runs out first counts.
 *
 * For shedding load: while either is below a quarter of the ring, publish only what matters.  Bytes are those
 * of the ring, where a message takes a multiple of 16 and does not lie across the end: leave room for one
 * more of the largest.
 * Cost      looks at the cursors of all reliable subscribers: ask once a batch, not once a message.  No system
 *           call, unless a subscriber came, went or changed its prefixes since the last flush.
 */
BB_API uint64_t bb_headroom(struct bb_publisher *pub);
BB_API uint64_t bb_headroom_messages(struct bb_publisher *pub);
/* bb_subscriber_count - living subscribers on the bus that want this topic. */
BB_API int bb_subscriber_count(struct bb_topic *topic);

struct bb_publisher_stats {
    size_t size;
    uint64_t messages;      /* committed */
    uint64_t payload_bytes; /* committed */
    uint64_t flushes;
    uint64_t wakes;   /* system calls that woke a subscriber */
    uint64_t blocked; /* times it waited for a reliable subscriber */
    uint64_t evicted; /* subscribers that it evicted */
    uint64_t refused; /* messages that were not published: policy FAIL, time ran out */
    uint64_t unheard; /* replies that were not published: who asked is gone, or no longer waits */
};
BB_API void bb_publisher_stats(const struct bb_publisher *pub, struct bb_publisher_stats *out);

/* ---- subscribing ------------------------------------------------------------------------------- */

enum bb_start { BB_START_NOW = 0, BB_START_OLDEST = 1, BB_START_LAST = 2 };

/* How bb_poll() waits; only SPIN and PERIODIC never cost a publisher a system call. */
enum bb_wait {
    BB_WAIT_HYBRID = 0,   /* spin for 20 us after something came, then sleep until woken */
    BB_WAIT_SPIN = 1,     /* never sleep */
    BB_WAIT_SLEEP = 2,    /* sleep at once until woken */
    BB_WAIT_PERIODIC = 3, /* sleep period_ns, look, sleep again: nobody wakes us */
};

enum {
    BB_SUBSCRIBER_RELIABLE = 1u << 0, /* publishers wait for us or evict us, by their policy */
    BB_SUBSCRIBER_VIEWS =
        1u << 1, /* messages are views of the ring, not copies; RELIABLE implies it */
    BB_SUBSCRIBER_COPIES = 1u << 2,   /* copies also when reliable */
    BB_SUBSCRIBER_LOOPBACK = 1u << 3, /* hear our own endpoint too */
    BB_SUBSCRIBER_STATUS = 1u << 4,   /* deliver statuses, in order with the messages */
};

struct bb_subscriber;

struct bb_subscriber_opts {
    size_t size;          /* sizeof(struct bb_subscriber_opts) */
    uint32_t flags;       /* BB_SUBSCRIBER_... */
    uint32_t start;       /* enum bb_start: where to begin in rings that are there already */
    uint32_t start_count; /* BB_START_LAST: at most so many messages of each ring */
    uint32_t wait;        /* enum bb_wait */
    int64_t period_ns;    /* BB_WAIT_PERIODIC: look this often; 0: 1 ms */
    /* Prefixes from the first moment on; more come with bb_subscribe(). */
    const char *const *prefixes;
    const size_t *prefix_bytes; /* NULL: the prefixes end in NUL */
    size_t prefix_count;
    uint32_t prefix_flags; /* BB_TOPIC_... of all of them */
    struct bb_error *error;
};

/*
 * bb_subscriber_open - cursors of our own.  A ring that is made after this returned is read from its first
 * message; BB_START_OLDEST also reads the rings that closed or died lately and are still kept.
 */
BB_MUST_USE BB_API int bb_subscriber_open(struct bb_subscriber **out,
                                          struct bb_endpoint *ep,
                                          const struct bb_subscriber_opts *opts);
BB_API void bb_subscriber_close(struct bb_subscriber *sub);

/* Holds for every publish that begins after this returned.  BB_EFULL: the filter table (64 KiB) is full. */
BB_MUST_USE BB_API int
bb_subscribe(struct bb_subscriber *sub, const char *prefix, size_t prefix_bytes, uint32_t flags);
BB_MUST_USE BB_API int
bb_unsubscribe(struct bb_subscriber *sub, const char *prefix, size_t prefix_bytes, uint32_t flags);

enum bb_status_kind {
    BB_STATUS_JOINED = 1, /* a member attached; comes before its messages */
    BB_STATUS_LEFT = 2,   /* it closed; comes after its last message */
    BB_STATUS_DIED = 3,   /* it was killed or crashed; comes after its last message */
    /* `count` messages of this ring were overwritten before we read them; the last of these was number `seq` of `ring` */
    BB_STATUS_OVERRUN = 4,
    BB_STATUS_EVICTED = 5, /* a publisher gave us up; we go on at what is left */
    BB_STATUS_CORRUPT = 6, /* a ring is not well formed or of another layout; it is put aside */
    BB_STATUS_REPLIES = 7, /* no more replies to request `count`: bb_msg_reply() says why */

    /* Of links to other boxes: `node` is the other box's name, node_id 0, and `data` a sentence that says more.  In
     * order with what came over that link. */
    BB_STATUS_PEER_ADDED =
        8, /* a link is up; count 0: it goes on where it was, what is missing is told as a GAP;
                               * 1: it begins, or begins anew: of what was published there before nothing is told */
    BB_STATUS_PEER_REMOVED = 9,      /* it was taken down, on this side */
    BB_STATUS_PEER_LOST = 10,        /* it was cut, or ended by the other side */
    BB_STATUS_PEER_UNAVAILABLE = 11, /* not reached, or it refused us; `node` is its address */
    BB_STATUS_GAP =
        12, /* `count` messages of that box are missing here; of these `uncertain` may have come before */
};

/* Why messages are missing behind a link: bits. */
enum {
    BB_GAP_OVERRUN = 1 << 0, /* overwritten over there before its bridge read them */
    BB_GAP_OLDEST = 1 << 1,  /* the queue was full: the oldest were dropped */
    BB_GAP_NEWEST = 1 << 2,  /* the queue was full: the newest were dropped */
    BB_GAP_SLOW = 1 << 3,    /* the link was given up as too slow, with what was queued */
    BB_GAP_RESTART = 1 << 4, /* a bridge began anew: what it held is gone */
    BB_GAP_SIZE = 1 << 5,    /* a message larger than the other side takes */
    BB_GAP_RIGHTS = 1 << 6,  /* rights were taken from this side while they were queued for it */
};

/* Only ever handed out, and grows at its end. */
struct bb_status {
    uint32_t kind;      /* enum bb_status_kind */
    uint32_t role;      /* of the member */
    uint64_t count;     /* OVERRUN, GAP: messages lost; EVICTED: times so far; PEER_ADDED */
    int64_t pid;        /* of the member, as it saw itself */
    uint64_t uncertain; /* GAP: of count, may have been delivered before */
    uint64_t bytes;     /* GAP: payload bytes lost; UINT64_MAX: not known */
    uint32_t reasons;   /* GAP: BB_GAP_... */
    uint32_t reserved;  /* 0 */
};

struct bb_msg {
    const char *topic; /* topic_bytes bytes, not NUL-terminated */
    size_t topic_bytes;
    const void *data;
    size_t bytes;
    /* With BB_BRIDGED, node, seq, wall_ns and ring are as at its origin; node_id is one that no member here has, the
     * same for all messages of that node in one life of its box: the exact one is in bb_msg_origin(). */
    const char *node; /* publisher's name, NUL-terminated */
    uint64_t node_id; /* bb_endpoint_id() of the publisher */
    uint64_t seq;     /* number in its ring, from 1 */
    int64_t wall_ns;  /* when its batch was published, Unix time */
    uint64_t lost;    /* messages of the ring that we read, here, that we lost just before it */
    uint32_t attr;    /* kind, format, flags */
    uint32_t ring;    /* number of the ring on the bus: a node may have several */
    const struct bb_status *
        status; /* not NULL: no message but a status; the topic is empty, and the data unless said above */
};

/*
 * bb_poll - the next messages, at most max, waiting at most timeout_ns for the first.
 *
 * Owner     What msgs points to is valid until the next bb_poll(), bb_dispatch(), bb_release() or close: all
 *           of a poll's messages are given back at once, in whatever order and however many of them were
 *           looked at.  Who needs one for longer copies it.
 * Order     as published within a ring; across rings fair, not ordered.
 * Returns   how many; 0 when the time ran out, or a signal handler ran while it slept; BB_EEND of a tap on a
 *           dead node that was read to its end; BB_EBUSY inside a callback of bb_dispatch().
 */
BB_MUST_USE BB_API int
bb_poll(struct bb_subscriber *sub, struct bb_msg *msgs, size_t max, int64_t timeout_ns);

/*
 * struct bb_burst - messages of one ring, topic, size, time and attributes whose payloads lie side by side.
 *
 * The first one is written out; of message i, below count, data is first.data + i * stride, seq is first.seq + i, lost is
 * 0 but for the first, and all else is alike.  bb_burst_msg() says so.  A status is a burst of one.
 */
struct bb_burst {
    struct bb_msg first;
    uint32_t count; /* from 1 */
    uint32_t reserved;
    size_t stride; /* bytes; of no matter when count is 1 */
};

static inline struct bb_msg
bb_burst_msg(const struct bb_burst *burst, uint32_t i)
{
    struct bb_msg msg = burst->first;
    msg.data = (const char *)msg.data + i * burst->stride;
    msg.seq += i;
    msg.lost = i == 0 ? msg.lost : 0;
    return msg;
}

/*
 * bb_poll_bursts - as bb_poll(), which costs more for each message: what lies together comes in one piece.  Messages that
 * a publisher committed at once, or one after the other before a flush, and alike but for their payloads, mostly do.
 *
 * Returns   how many bursts, at most max.  They may hold many more messages, of one ring at most 256.
 */
BB_MUST_USE BB_API int
bb_poll_bursts(struct bb_subscriber *sub, struct bb_burst *bursts, size_t max, int64_t timeout_ns);

/*
 * bb_release - done with all messages of the last bb_poll(), also with those that were not looked at and
 * those that a callback left over: they are gone.  The next bb_poll() does the same, so this is for who
 * works for long before it polls again (publishers wait for a reliable subscriber's views), and for who wants
 * to know.  A second one does nothing.
 *
 * Returns   views: how many were overwritten while in use; those count as lost, not as delivered, and what
 *           was read from them is void.  Copies: 0.  BB_EBUSY inside a callback of bb_dispatch().
 */
BB_API int bb_release(struct bb_subscriber *sub);
/* bb_msg_valid - 1 while this view of the last poll is whole; always 1 for copies. */
BB_API int bb_msg_valid(const struct bb_subscriber *sub, const struct bb_msg *msg);

/* Where a message with BB_BRIDGED was published first. */
struct bb_origin {
    size_t size;     /* sizeof(struct bb_origin); becomes the bytes that are valid */
    uint8_t box[16]; /* id of the box, for ever */
    uint64_t epoch;  /* of that box's life */
    const char *box_name;
    const char *node;
    uint64_t node_id; /* bb_endpoint_id() there */
    uint32_t ring;
    uint32_t scope; /* BB_SCOPE_... of busbar/bridge.h */
    uint32_t ttl;   /* links that it might still cross */
    uint32_t reserved;
    uint64_t seq;
};
/*
 * bb_msg_origin - from which box, node and ring?  Of a message from bb_poll(), while it is valid, or a copy of the
 * struct meanwhile; never reads the view itself.
 *
 * Owner     the names are valid as long as msg->node.
 * Returns   0; BB_ENOENT the message was published on this bus, or is a status; BB_EINVAL the size was forgotten.
 */
BB_MUST_USE BB_API int bb_msg_origin(const struct bb_msg *msg, struct bb_origin *out);

typedef int (*bb_msg_cb)(const struct bb_msg *msg, void *user);
/*
 * bb_dispatch - poll and call back on this thread, for at most max messages.
 *
 * A callback's non-zero return stops after that message; those that are left over come first next time.  In
 * a callback the subscriber may not be polled, dispatched or released (BB_EBUSY), nor closed; prefixes may
 * change, and any publisher may publish.
 * Returns   how many were handed out; as bb_poll().
 */
BB_MUST_USE BB_API int
bb_dispatch(struct bb_subscriber *sub, size_t max, int64_t timeout_ns, bb_msg_cb cb, void *user);

/*
 * bb_fd - a descriptor that is readable when bb_poll() would find something; for epoll, poll, select, libuv,
 * io_uring.  examples/ has a program for each.
 *
 * Rules      1. Readable: call bb_poll() or bb_dispatch() with timeout 0.  Nothing else is done with it:
 *               never read, write or close it.
 *            2. Level-like: it stays readable until a poll came back with fewer than max.  So polling once for
 *               each time that it is readable misses nothing.  Who is told of changes only (EPOLLET, io_uring's
 *               multishot) polls until fewer than max came.
 *            3. It may be readable with nothing there: at first, and once a second for housekeeping.  Poll then
 *               too: that is when the death of others is noticed.
 *            4. Between two polls a publisher knocks with one system call, once.  Not with BB_WAIT_PERIODIC, nor
 *               for a tap: the descriptor is then readable every period_ns, and publishers do nothing.
 *            5. Take it out of the loop before the subscriber is closed: closing closes it.  Where epoll holds
 *               it the kernel takes it out by itself.
 *            The waiting mode is otherwise of no matter; a bb_poll() with a timeout may come between.
 * Owner      the subscriber; each call returns the same descriptor.
 * Returns    the descriptor; BB_EFORKED, BB_EMFILE, BB_ENFILE, or what else the kernel said.
 */
BB_MUST_USE BB_API int bb_fd(struct bb_subscriber *sub);

struct bb_subscriber_stats {
    size_t size;
    uint64_t
        messages; /* sum over rings, from our start to our cursor: delivered + filtered + lost */
    uint64_t delivered;
    uint64_t filtered;   /* no prefix of ours matched */
    uint64_t lost;       /* overwritten before or while we read */
    uint64_t evicted;    /* times a publisher evicted us */
    uint64_t rings;      /* read now */
    uint64_t unreadable; /* rings put aside: corrupt, or of another layout */
    uint64_t wakes;      /* times we slept and were woken */
    uint64_t requests;   /* that have not ended */
    uint64_t late; /* replies that came after the end of their request; counted as filtered too */
};
BB_API void bb_subscriber_stats(const struct bb_subscriber *sub, struct bb_subscriber_stats *out);

/*
 * bb_msg_json - one JSON object for a message or status, as `busbar sub --json` prints it:
 * {"t","topic","node","seq","lost","kind",...}.  Like snprintf: bytes of the whole object, or a status.
 */
BB_MUST_USE BB_API int64_t bb_msg_json(const struct bb_msg *msg, char *out, size_t cap);

/*
 * bb_node_ping - asks a node to answer; *rtt_ns is the time until its subscriber did.
 *
 * Returns   0; BB_ENOENT no such node; BB_ENOTSUP it has no subscriber that could answer; BB_ETIMEDOUT;
 *           BB_EPEERGONE it died meanwhile.
 */
BB_MUST_USE BB_API int
bb_node_ping(struct bb_endpoint *ep, const char *name, int64_t timeout_ns, int64_t *rtt_ns);

#ifdef __cplusplus
}
#    pragma GCC diagnostic pop
#endif
#endif

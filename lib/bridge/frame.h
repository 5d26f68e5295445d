/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bridge/frame.h - the bytes of a link: preface, frames, and what stands in each.  docs/wire.md is the page.
 *
 * Used by    greet, session, queue, fuzzers, tests.
 * Threads    Pure functions; any thread.
 * Input      Comes from another box: every length is checked before it is used, nothing is allocated, what is
 *            read stays in place.  Readers return false for what is not well formed, and no wild pointer ever.
 * Versions   The preface, the frame's header, HELLO and CLOSE stay as they are in every version, so that two
 *            builds that do not understand each other can say so.
 */
#ifndef BUSBAR_LIB_BRIDGE_FRAME_H
#define BUSBAR_LIB_BRIDGE_FRAME_H

#include "lib/bridge/wire.h"
#include "shm/status.h"

enum {
    BBI_LINK_VERSION_MIN = 1,
    BBI_LINK_VERSION_MAX = 1,
    BBI_LINK_PREFACE_BYTES = 16,
    BBI_LINK_HEADER_BYTES = 24,
    BBI_LINK_HEADER_MAX = 64,         /* a later version's; the rest is skipped */
    BBI_LINK_HELLO_MAX = 4096,        /* frame of a peer that is not known yet */
    BBI_LINK_FRAME_MAX = 256 << 10,   /* any frame, its header included: everybody takes so much */
    BBI_LINK_MESSAGE_MIN = 256 << 10, /* everybody takes messages of so much payload */
    BBI_LINK_MESSAGE_MAX = 64 << 20,
    BBI_LINK_BATCH_MESSAGES = 1024, /* in one DATA frame */
    BBI_LINK_NAME_MAX = 63,
    BBI_LINK_SENTENCE_MAX = 400,
    BBI_LINK_ECHO_MAX = 64,
    BBI_LINK_GAP_RINGS = 16, /* told one by one in a gap; the others together */
    BBI_LINK_TTL = 32,
};
/* Numbers of messages stay below, so that sums of two never overflow. */
#define BBI_LINK_NUMBER_MAX (UINT64_C(1) << 62)
#define BBI_LINK_UNKNOWN    UINT64_MAX /* bytes that nobody counted */

/* ---- preface ---------------------------------------------------------------------------------------- */

enum bbi_link_looks {
    BBI_LOOKS_MORE = 0, /* too few bytes to say */
    BBI_LOOKS_BUSBAR = 1,
    BBI_LOOKS_TLS = 2,  /* a TLS record: the other side wants keys */
    BBI_LOOKS_TEXT = 3, /* HTTP or the like */
    BBI_LOOKS_OTHER = 4,
};
/* bbi_link_looks - what begins like this?  Says as soon as it can; busbar only after all of its magic. */
enum bbi_link_looks bbi_link_looks(const void *data, size_t bytes);

void bbi_link_preface_write(unsigned char out[BBI_LINK_PREFACE_BYTES]);
/* bbi_link_preface_version - the version both speak, 0: none.  min and max are the peer's. */
uint16_t bbi_link_preface_version(const unsigned char in[BBI_LINK_PREFACE_BYTES],
                                  uint16_t *min,
                                  uint16_t *max);

/* ---- frame ------------------------------------------------------------------------------------------ */

enum bbi_link_type {
    BBI_LINK_HELLO = 1,
    BBI_LINK_WELCOME = 2,
    BBI_LINK_CLOSE = 3,
    BBI_LINK_PING = 4,
    BBI_LINK_PONG = 5,
    BBI_LINK_CREDIT = 6,
    BBI_LINK_INTEREST = 7,
    BBI_LINK_INTEREST_KNOWN = 8,
    BBI_LINK_DATA = 16,
    BBI_LINK_CHUNK = 17,
    BBI_LINK_GAP = 18,
};
enum {
    BBI_LINK_CRITICAL = 1u << 0,   /* who does not know the type ends the link */
    BBI_LINK_COMPRESSED = 1u << 1, /* DATA: the messages are an LZ4 block */
};

/*  0 u64 check    XXH3-64 of everything behind it; first, so that it covers one piece of memory
 *  8 u32 length   of the frame, header and body
 * 12 u8  type, u8 flags
 * 14 u16 header   bytes: 24, or more in a later version
 * 16 u64 number   DATA, CHUNK, GAP: of the first message; else 0
 */
struct bbi_link_frame {
    uint32_t length;
    uint8_t type, flags;
    uint64_t number;
    const unsigned char *body;
    size_t body_bytes;
};

enum bbi_link_read {
    BBI_LINK_READ_OK = 0,
    BBI_LINK_READ_MORE = 1,   /* not whole yet; *length is known as soon as it is not 0 */
    BBI_LINK_READ_LENGTH = 2, /* shorter than a header, or longer than limit */
    BBI_LINK_READ_CHECK = 3,  /* the checksum says that bytes were changed on the way */
};
/* bbi_link_frame_read - the frame that these bytes begin with.  A length beyond limit is seen in its first 12 bytes. */
enum bbi_link_read bbi_link_frame_read(
    const void *data, size_t bytes, size_t limit, struct bbi_link_frame *out, uint32_t *length);
/* bbi_link_frame_seal - writes the header of a frame of length bytes whose body is there already. */
void bbi_link_frame_seal(
    unsigned char *frame, uint32_t length, uint8_t type, uint8_t flags, uint64_t number);

/* ---- what frames of the handshake and of control hold ------------------------------------------------- */

struct bbi_link_id {
    uint8_t v[16]; /* of a box: made once, kept on disk */
};
int bbi_link_id_compare(const struct bbi_link_id *a, const struct bbi_link_id *b); /* as memcmp */

struct bbi_link_time {
    int64_t mono_ns, wall_ns;
};

enum { BBI_FEATURE_LZ4 = 1u << 0 };

struct bbi_hello {
    struct bbi_link_id node;
    uint64_t epoch; /* random, of one life; never 0 */
    char cluster[BBI_LINK_NAME_MAX + 1];
    char name[BBI_LINK_NAME_MAX + 1]; /* for people */
    uint64_t features;
    uint32_t frame_max, message_max;
    struct bbi_link_time time;
};
enum { BBI_HELLO_BYTES = 512 }; /* bbi_hello_write() never needs more, header included */
uint32_t bbi_hello_write(unsigned char *out, const struct bbi_hello *hello);
/* bbi_hello_read - false: not whole, one part twice, or one that must be there is missing.  Unknown parts: skipped. */
bool bbi_hello_read(const struct bbi_link_frame *frame, struct bbi_hello *out);

struct bbi_welcome {
    uint64_t received_epoch; /* life of the reader whose stream we hold; 0: none of it */
    uint64_t received;       /* its messages up to here */
    uint64_t first, next; /* ours: the oldest that is not acknowledged, the one that comes next */
    uint64_t credit_bytes, credit_messages;
};
enum { BBI_WELCOME_BYTES = 128 };
uint32_t bbi_welcome_write(unsigned char *out, const struct bbi_welcome *welcome);
bool bbi_welcome_read(const struct bbi_link_frame *frame, struct bbi_welcome *out);

/* Why a link ends.  X(name, value, retry, text): retry 1: at once, with backoff; 0: only after long, nothing will change soon. */
#define BBI_CLOSE_LIST(X)                                                                          \
    X(BBI_CLOSE_REMOVED, 1, 0, "the link was taken down")                                          \
    X(BBI_CLOSE_SHUTDOWN, 2, 1, "the bridge is stopping")                                          \
    X(BBI_CLOSE_VERSION, 3, 0, "no common version of the protocol")                                \
    X(BBI_CLOSE_NOT_BUSBAR, 4, 0, "the other side does not speak busbar's link protocol")          \
    X(BBI_CLOSE_TLS, 5, 0, "the other side speaks TLS, this side does not")                        \
    X(BBI_CLOSE_CLUSTER, 6, 0, "the other side is of another cluster")                             \
    X(BBI_CLOSE_SELF, 7, 0, "the other side is this very node")                                    \
    X(BBI_CLOSE_DUPLICATE, 8, 1, "there is a link between these nodes already")                    \
    X(BBI_CLOSE_REFUSED, 9, 0, "the link was refused")                                             \
    X(BBI_CLOSE_PROTOCOL, 10, 1, "a frame is not well formed")                                     \
    X(BBI_CLOSE_LIMIT, 11, 0, "a length beyond the limit")                                         \
    X(BBI_CLOSE_CHECKSUM, 12, 1, "bytes were changed on the way")                                  \
    X(BBI_CLOSE_SEQUENCE, 13, 1, "a message number that is neither next nor old")                  \
    X(BBI_CLOSE_ROLLBACK, 14, 0, "the stream went back behind what was acknowledged")              \
    X(BBI_CLOSE_CREDIT, 15, 0, "more was sent or granted than the credit allows")                  \
    X(BBI_CLOSE_INTERESTS, 16, 0, "more interests than the limit")                                 \
    X(BBI_CLOSE_SLOW, 17, 1, "the queue for a slow peer is full")                                  \
    X(BBI_CLOSE_DEAD, 18, 1, "the other side is silent")                                           \
    X(BBI_CLOSE_STALLED, 19, 1, "a frame took too long to arrive")                                 \
    X(BBI_CLOSE_HANDSHAKE, 20, 1, "the handshake took too long")                                   \
    X(BBI_CLOSE_MEMORY, 21, 0, "out of memory")                                                    \
    X(BBI_CLOSE_UNKNOWN, 22, 0, "a frame of a type that this version does not know")

enum bbi_close_code {
    BBI_CLOSE_NONE = 0,
#define BBI_CLOSE_ENUM(name, value, retry, text) name = (value),
    BBI_CLOSE_LIST(BBI_CLOSE_ENUM)
#undef BBI_CLOSE_ENUM
};
const char *bbi_close_text(uint32_t code); /* never NULL */
bool bbi_close_retry(uint32_t code);       /* false: reconnecting soon changes nothing */

struct bbi_close {
    uint16_t code;
    char sentence[BBI_LINK_SENTENCE_MAX + 1]; /* printable ASCII, whatever came */
};
enum { BBI_CLOSE_BYTES = BBI_LINK_HEADER_BYTES + 4 + BBI_LINK_SENTENCE_MAX };
uint32_t bbi_close_write(unsigned char *out, const struct bbi_close *close);
bool bbi_close_read(const struct bbi_link_frame *frame, struct bbi_close *out);

/* A ping is any bytes, at most BBI_LINK_ECHO_MAX; ours are its times.  A pong: those bytes, and the times of who answers. */
uint32_t bbi_ping_write(unsigned char *out, const void *echo, size_t bytes);
struct bbi_pong {
    const unsigned char *echo;
    uint16_t echo_bytes;
    struct bbi_link_time time;
};
uint32_t bbi_pong_write(unsigned char *out, const struct bbi_pong *pong);
bool bbi_pong_read(const struct bbi_link_frame *frame, struct bbi_pong *out);

struct bbi_credit {
    uint64_t bytes, messages; /* since this transport began, never less than before */
    uint64_t received;        /* messages up to here arrived */
};
uint32_t bbi_credit_write(unsigned char *out, const struct bbi_credit *credit);
bool bbi_credit_read(const struct bbi_link_frame *frame, struct bbi_credit *out);

enum { BBI_INTEREST_BEGIN = 1u << 0, BBI_INTEREST_END = 1u << 1 }; /* of telling all anew */
enum { BBI_SCOPE_LOCAL = 0, BBI_SCOPE_GLOBAL = 1 };
enum { BBI_INTEREST_HEAD_BYTES = 12, BBI_INTEREST_ITEM_BYTES = 6 };

struct bbi_interest {
    const char *prefix;
    size_t prefix_bytes;
    uint8_t flags; /* BB_TOPIC_PATH or 0 */
    uint8_t scope;
    bool is_removed;
};
/*  0 u64 revision after the last of these changes, u32 BEGIN, END;  then for each: u8 removed, u8 flags, u8 scope, u8 0, u16 bytes, prefix */
unsigned char *bbi_interest_write(unsigned char *p, const struct bbi_interest *interest);
/* bbi_interest_next - 1: the next one; 0: no more; -1: not well formed. */
int bbi_interest_next(struct bbi_wire *w, struct bbi_interest *out);

/* ---- messages ---------------------------------------------------------------------------------------- */

/* Where a message was published first: never rewritten on its way. */
struct bbi_link_origin {
    struct bbi_link_id box;
    uint64_t epoch;   /* of that box's life */
    uint64_t node_id; /* bb_endpoint_id() there */
    uint32_t ring;    /* or stream */
    const char *name;
    size_t name_bytes; /* at most BBI_LINK_NAME_MAX */
};

struct bbi_link_msg {
    struct bbi_link_origin origin;
    uint64_t seq; /* in its ring */
    int64_t wall_ns;
    const char *topic;
    size_t topic_bytes;
    const void *data;
    size_t bytes;
    uint32_t attr; /* kind, format, flags: 16 bits */
    uint8_t scope;
    uint8_t ttl;
    uint64_t number; /* on this link: set by who reads it */
};

/*  0 u32 payload bytes
 *  4 u16 attr
 *  6 u16 topic bytes
 *  8 u8  1: an origin follows, 2: a topic follows; else as in the message before, of the same frame
 *  9 u8  scope
 * 10 u8  TTL
 * 11 u8  0
 * 12 u64 seq
 * 20 i64 wall time
 * 28 origin (u64 node id, box, u64 epoch, u32 ring, u8 name bytes, name), topic, payload
 */
enum { BBI_MSG_HEAD_BYTES = 28, BBI_MSG_ORIGIN_BYTES = 37 };
enum { BBI_MSG_HAS_ORIGIN = 1u << 0, BBI_MSG_HAS_TOPIC = 1u << 1 };
/* Everything before the payload is never more. */
enum { BBI_MSG_HEAD_MAX = BBI_MSG_HEAD_BYTES + BBI_MSG_ORIGIN_BYTES + BBI_LINK_NAME_MAX + 65535 };

/* bbi_msg_bytes - what msg takes after before (NULL: it is the first of its frame); *flags is what it must bring. */
size_t
bbi_msg_bytes(const struct bbi_link_msg *msg, const struct bbi_link_msg *before, uint8_t *flags);
/* bbi_msg_write_head - all but the payload; returns where that goes. */
unsigned char *bbi_msg_write_head(unsigned char *p, const struct bbi_link_msg *msg, uint8_t flags);
/* bbi_msg_next_head - the next message without its payload, of which only the length is known. */
bool bbi_msg_next_head(struct bbi_wire *w, struct bbi_link_msg *msg, bool is_first);
/* bbi_msg_next - the next message; *msg holds the one before, all zero at first.  False: not well formed. */
bool bbi_msg_next(struct bbi_wire *w, struct bbi_link_msg *msg, bool is_first);

/* Body of DATA: u32 messages, u32 bytes of them when not compressed, then the messages. */
enum { BBI_DATA_HEAD_BYTES = 8 };
/* Body of CHUNK: u64 bytes of the whole message as it would stand in DATA, u64 offset of these, then they. */
enum { BBI_CHUNK_HEAD_BYTES = 16 };

/* ---- gaps ---------------------------------------------------------------------------------------------- */

enum {
    BBI_GAP_OVERRUN = 1u << 0, /* the bridge lost them before the link: its ring was overwritten */
    BBI_GAP_OLDEST = 1u << 1,  /* the queue for this link was full */
    BBI_GAP_NEWEST = 1u << 2,
    BBI_GAP_SLOW = 1u << 3, /* the link was ended because its queue was full */
    BBI_GAP_RESTART =
        1u << 4, /* sent to an earlier life of the reader, which did not say that it had them */
    BBI_GAP_SIZE = 1u << 5,   /* larger than the reader takes */
    BBI_GAP_RIGHTS = 1u << 6, /* its rights became less while they were queued */
};

struct bbi_gap_ring {
    struct bbi_link_id box;
    uint64_t epoch, node_id;
    uint32_t ring;
    uint8_t name_bytes;
    char name[BBI_LINK_NAME_MAX];
    uint64_t first_seq, last_seq;
    uint64_t messages, bytes;
};

struct bbi_gap {
    uint64_t from, to;  /* numbers of the link that are missing; to >= from */
    uint64_t messages;  /* what was lost */
    uint64_t uncertain; /* of these: an earlier life of the reader may have had them */
    uint64_t bytes;     /* of payload; BBI_LINK_UNKNOWN: not known of some */
    uint32_t reasons;   /* BBI_GAP_... */
    uint32_t ring_count;
    struct bbi_gap_ring rings[BBI_LINK_GAP_RINGS]; /* what they do not hold is of other rings */
};
enum {
    BBI_GAP_HEAD_BYTES = 40,
    BBI_GAP_RING_BYTES = BBI_MSG_ORIGIN_BYTES + 32,
    BBI_GAP_BYTES_MAX = BBI_LINK_HEADER_BYTES + BBI_GAP_HEAD_BYTES
                        + BBI_LINK_GAP_RINGS * (BBI_GAP_RING_BYTES + BBI_LINK_NAME_MAX)
};
uint32_t bbi_gap_bytes(const struct bbi_gap *gap);
uint32_t bbi_gap_write(unsigned char *out, const struct bbi_gap *gap);
bool bbi_gap_read(const struct bbi_link_frame *frame, struct bbi_gap *out);
/* bbi_gap_add - one more message of this origin is lost.  bbi_gap_merge - more follows it without a hole. */
void bbi_gap_add(struct bbi_gap *gap,
                 const struct bbi_link_origin *origin,
                 uint64_t seq,
                 uint64_t bytes);
void bbi_gap_merge(struct bbi_gap *gap, const struct bbi_gap *more);

#endif

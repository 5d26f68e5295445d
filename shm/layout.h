/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/layout.h - every byte that processes share: one bus.ctl, a file for each ring and each subscriber.
 *
 * Rules      Fixed-width types, little-endian, no pointers.  Each mutable word names its one writer; words
 *            with different writers never share a line.  Files are born complete and never change size.
 * Versions   Another major is refused; unknown incompat bits too; compat bits are ignored.
 * Trust      Everything here is input: read a word once, check it, use the local.
 * Docs       docs/layout.md.
 */
#ifndef BUSBAR_SHM_LAYOUT_H
#define BUSBAR_SHM_LAYOUT_H

#include "shm/atomic.h"
#include "shm/base.h"

enum {
    BBI_LAYOUT_MAJOR = 1,
    BBI_LAYOUT_MINOR = 0,
    BBI_MEMBERS = 512,
    BBI_RINGS = 1024,
    BBI_SUBS = 256,
    BBI_SUB_WORDS = BBI_SUBS / 64, /* words of a bit set with one bit for each subscriber */
    BBI_NAME_BYTES = 48,           /* with NUL */
    BBI_BUILD_BYTES = 64,
};

#define BBI_MAGIC  UINT64_C(0x3172616273756201) /* bytes 01 "busbar1" */
#define BBI_ENDIAN UINT32_C(0x01020304)

enum bbi_file_kind {
    BBI_FILE_BUS = 1,
    BBI_FILE_RING = 2,
    BBI_FILE_SUB = 3,
    BBI_FILE_ROLL = 4,
    BBI_FILE_STORE = 5
};

/* ---- identity page: the first 4 KiB of every file; immutable once the file has its name ----------- */

struct bbi_ring_geom {
    uint64_t dict_off, text_off, anchor_off, desc_off, pay_off;
    uint64_t text_bytes;  /* of topics */
    uint64_t pay_bytes;   /* C; a power of two */
    uint64_t max_msg;     /* bytes of the largest message, C/4 */
    uint64_t quantum;     /* the claim watermark moves in steps of this many bytes */
    uint64_t batch_bytes; /* a flush comes at the latest after these, C/4 */
    uint32_t depth;       /* D; descriptors, a power of two */
    uint32_t batch_msgs;  /* or after so many messages, at most D/4 */
    uint32_t dict_count;  /* topics that the dictionary can hold */
    uint32_t anchor_count;
    uint32_t desc_bytes;  /* stride, 32 */
    uint32_t align_bytes; /* of payloads, 16 */
    uint32_t fence;       /* enum bbi_fence */
    uint32_t reserved;
};

enum bbi_fence {
    BBI_FENCE_FULL = 0,       /* the publisher executes a fence at each flush */
    BBI_FENCE_MEMBARRIER = 1, /* the sleeper or joiner makes every publisher execute one */
};

struct bbi_ident {
    uint64_t magic;
    uint16_t major, minor; /* offset 8: the same in every version */
    uint32_t kind;         /* enum bbi_file_kind */
    uint64_t check;        /* XXH3 of this struct with this word 0 */
    uint32_t feat_compat, feat_ro, feat_incompat, endian;
    uint32_t line_bytes, page_bytes;
    uint64_t file_bytes;
    uint8_t boot_id[16], bus_uuid[16];
    uint64_t key; /* random; names this one file */
    int64_t created_wall_ns;
    uint64_t pidns, start_ticks;
    uint32_t generation;         /* of the bus */
    uint32_t member, member_gen; /* owner: slot and its generation */
    uint32_t index;              /* in its table of bus.ctl */
    uint32_t lane;
    int32_t pid;
    uint32_t uid;
    uint32_t reserved;
    char name[BBI_NAME_BYTES];   /* owner's name */
    char build[BBI_BUILD_BYTES]; /* who made it */
    struct bbi_ring_geom ring;   /* BBI_FILE_RING */
};
static_assert(sizeof(struct bbi_ident) <= BBI_PAGE_BYTES, "identity is one page");
static_assert(offsetof(struct bbi_ident, major) == 8, "layout 1");
static_assert(offsetof(struct bbi_ident, check) == 16, "layout 1");
static_assert(offsetof(struct bbi_ident, key) == 88, "layout 1");
static_assert(offsetof(struct bbi_ident, ring) == 264, "layout 1");

/* ---- bus.ctl -------------------------------------------------------------------------------------- */

enum bbi_member_state {
    BBI_MEMBER_FREE = 0,
    BBI_MEMBER_ACTIVE = 1,
    BBI_MEMBER_LEFT = 2, /* closed by itself */
    BBI_MEMBER_DIED = 3, /* its lock was found free */
};

/* Written by whoever holds the lock on its byte: the member, or after its death the one who tidies up. */
struct bbi_member {
    bbi_u32 state; /* enum bbi_member_state; release, R8 */
    bbi_u32 gen;   /* counts the members that had this slot */
    bbi_u32 role;
    bbi_u32 prev_end; /* how the one before ended: BBI_MEMBER_LEFT or _DIED */
    int32_t pid;
    uint32_t uid;
    uint64_t pidns, start_ticks;
    int64_t joined_wall_ns;
    char name[BBI_NAME_BYTES];
    uint8_t reserved[32];
};
static_assert(sizeof(struct bbi_member) == BBI_LINE_BYTES, "layout 1");
enum { /* pid to name: copied as a whole, since a reader may look while a slot changes hands */
       BBI_MEMBER_FIXED_OFF = offsetof(struct bbi_member, pid),
       BBI_MEMBER_FIXED_BYTES = offsetof(struct bbi_member, reserved) - BBI_MEMBER_FIXED_OFF,
};

enum bbi_entry_state {
    BBI_ENTRY_FREE = 0,
    BBI_ENTRY_ACTIVE = 1,
    BBI_ENTRY_CLOSED = 2, /* a ring that readers may still drain */
};

/* A ring's or subscriber's row.  Written by whoever holds the lock on its byte. */
struct bbi_entry {
    bbi_u32 state; /* enum bbi_entry_state; release, R8 */
    bbi_u32 gen;
    bbi_u32 member, member_gen;
    bbi_u64 key;       /* of its file */
    bbi_u64 born;      /* member_epoch when it became active: orders rings and subscribers */
    bbi_u64 closed_ns; /* monotonic; when it was closed or found dead; 0 while alive */
    bbi_u64
        missed; /* subscriber: messages in rings that went before it could look; added by who tidies */
    bbi_u32 lane; /* a ring's lane; a subscriber's enum bbi_sub_flags */
    uint8_t reserved[12];
};
enum bbi_sub_flags { BBI_SUB_RELIABLE = 1, BBI_SUB_LOOPBACK = 2 };
static_assert(sizeof(struct bbi_entry) == 64, "layout 1");

enum bbi_bell_state { BBI_BELL_AWAKE = 0, BBI_BELL_SLEEPING = 1, BBI_BELL_NOTIFIED = 2 };
enum bbi_bell_mode { BBI_BELL_FUTEX = 0, BBI_BELL_SOCKET = 1 };

struct bbi_bell {
    bbi_u32 bell; /* R6: the sleeper arms, anybody rings */
    bbi_u32 mode; /* enum bbi_bell_mode; the sleeper */
    bbi_u32 ping; /* R6: anybody adds one, to be answered by pong in the subscriber's file */
    uint8_t reserved[116];
};
static_assert(sizeof(struct bbi_bell) == BBI_LINE_BYTES, "layout 1");

struct bbi_line_u64 {
    alignas(BBI_LINE_BYTES) bbi_u64 v;
};

struct bbi_bus {
    struct bbi_ident ident;
    alignas(BBI_PAGE_BYTES) struct bbi_line_u64
        sub_epoch;                               /* R5: filters, joins, leaves; anybody adds */
    struct bbi_line_u64 member_epoch;            /* R8: members, rings come and go; anybody adds */
    struct bbi_line_u64 sleepers[BBI_SUB_WORDS]; /* R5: bit i: subscriber i may be asleep */
    struct bbi_line_u64 steward_ns;              /* monotonic time of the last scan: a hint */
    /* R6: sleepers whom a publisher left to those it woke.  Whoever takes a bit off wakes that one. */
    struct bbi_line_u64 pass_on[BBI_SUB_WORDS];
    alignas(BBI_PAGE_BYTES) struct bbi_member members[BBI_MEMBERS];
    struct bbi_entry rings[BBI_RINGS];
    struct bbi_entry subs[BBI_SUBS];
    struct bbi_bell bells[BBI_SUBS];
};
static_assert(offsetof(struct bbi_bus, sub_epoch) == 0x1000, "layout 1");
static_assert(offsetof(struct bbi_bus, sleepers) == 0x1100, "layout 1");
static_assert(offsetof(struct bbi_bus, pass_on) == 0x1380, "layout 1");
static_assert(offsetof(struct bbi_bus, members) == 0x2000, "layout 1");
static_assert(offsetof(struct bbi_bus, rings) == 0x12000, "layout 1");
static_assert(offsetof(struct bbi_bus, subs) == 0x22000, "layout 1");
static_assert(offsetof(struct bbi_bus, bells) == 0x26000, "layout 1");

/* Bytes of the file `lock` that are locked; the file itself holds the starter's pid and nothing else. */
#define BBI_LOCK_PRESENCE INT64_C(0)
#define BBI_LOCK_STEWARD  INT64_C(1)
#define BBI_LOCK_MEMBER   INT64_C(1000)
#define BBI_LOCK_RING     INT64_C(10000)
#define BBI_LOCK_SUB      INT64_C(20000)
#define BBI_LOCK_TIDY     INT64_C(100000)    /* + the byte of a row whose owner is gone */
#define BBI_LOCK_NAME     (INT64_C(1) << 62) /* + 62 bits of the name's hash */

/* ---- ring file ------------------------------------------------------------------------------------ */

struct bbi_desc {
    bbi_u64 seq; /* n when readable; BBI_BUSY | n while being replaced; 0 never written.  R1, R3 */
    bbi_u64 pos; /* byte position that never wraps; payload at pos mod C, never across the end */
    bbi_u32 len; /* payload bytes of each message of the burst */
    bbi_u32 tag; /* index in the dictionary; BBI_TAG_SPILL: the topic leads the payload */
    bbi_u32 ts;  /* CLOCK_MONOTONIC in units of 64 ns, low 32 bits */
    bbi_u32
        flags; /* low 16: kind, format, reply, priority; high 16: messages after the first, growing.  R1 */
};
static_assert(sizeof(struct bbi_desc) == 32, "layout 1");

#define BBI_BUSY      (UINT64_C(1) << 63)
#define BBI_TAG_SPILL UINT32_MAX

enum {
    BBI_TS_SHIFT = 6,       /* ts counts 64 ns */
    BBI_ATTR_MASK = 0xffff, /* what of a descriptor's flags is a message's attributes */
};

/* What was committed with one topic; stored before the descriptor's seq, R1. */
struct bbi_counts {
    bbi_u64 messages;
    bbi_u64 bytes;
};

/* A topic.  The publisher writes all but the counters before it raises `topics`; then only the counters. */
struct bbi_dict_entry {
    struct bbi_counts counts;
    uint32_t text_off; /* from the geometry's text_off */
    uint32_t len;
    uint64_t hash;
};
static_assert(sizeof(struct bbi_dict_entry) == 32, "layout 1");

/* Message `seq` was published at this time; later ones find theirs by the difference of ts. */
struct bbi_anchor {
    bbi_u64 seq;
    bbi_u64 mono_ns;
    bbi_u64 wall_ns;
    bbi_u64 reserved;
};

/* In place of a join's generation (whose top bit is clear): the subscriber as such, by its file's key. */
static inline uint32_t
bbi_evict_mark(uint64_t sub_key)
{
    return (uint32_t)sub_key | UINT32_C(1) << 31;
}

enum bbi_evict_why { BBI_EVICT_SLOW = 1, BBI_EVICT_UNMAPPED = 2 };

struct bbi_evict {
    bbi_u32 gen; /* join_gen that was evicted, or the mark of one that never joined; release, R4 */
    bbi_u32 why; /* enum bbi_evict_why */
};

struct bbi_ring_counters {
    bbi_u64 flushes, wakes, blocked, evicted, refused;
    struct bbi_counts spilled; /* topics that the dictionary could not hold */
};

/* Everything after ident is written by the publisher's one thread. */
struct bbi_ring {
    struct bbi_ident ident;
    alignas(BBI_PAGE_BYTES) struct bbi_line_u64
        claim_pos;                            /* R2: bytes below this may be being overwritten */
    alignas(BBI_LINE_BYTES) bbi_u64 tail_seq; /* R5: written at each flush */
    bbi_u64 tail_pos;
    alignas(BBI_LINE_BYTES) bbi_u32 state; /* enum bbi_entry_state: ACTIVE or CLOSED */
    bbi_u32 blocked; /* R9: the publisher waits for a cursor.  Readers look at this line often */
    alignas(BBI_LINE_BYTES) bbi_u32 topics; /* dictionary entries that are whole; release, R7 */
    bbi_u32 anchors;                        /* anchors ever written; release, R10 */
    alignas(BBI_LINE_BYTES) struct bbi_ring_counters counters;
    bbi_u64 beat_ns; /* monotonic time of the last flush that read the clock */
    alignas(BBI_LINE_BYTES) uint8_t reserved[BBI_LINE_BYTES];
    alignas(BBI_LINE_BYTES) struct bbi_evict evicted[BBI_SUBS];
};
static_assert(offsetof(struct bbi_ring, claim_pos) == 0x1000, "layout 1");
static_assert(offsetof(struct bbi_ring, tail_seq) == 0x1080, "layout 1");
static_assert(offsetof(struct bbi_ring, state) == 0x1100, "layout 1");
static_assert(offsetof(struct bbi_ring, topics) == 0x1180, "layout 1");
static_assert(offsetof(struct bbi_ring, counters) == 0x1200, "layout 1");
static_assert(offsetof(struct bbi_ring, beat_ns) == 0x1238, "layout 1");
static_assert(offsetof(struct bbi_ring, evicted) == 0x1300, "layout 1");

/* ---- subscriber file ------------------------------------------------------------------------------ */

enum { BBI_FILTER_BYTES = 68 * 1024 }; /* one prefix of 65,535 bytes fits */

/* A list of {u16 len, u16 flags, bytes}; the copy that is not selected is written, then selected (R8). */
struct bbi_filter_table {
    uint32_t count;
    uint32_t bytes;
    unsigned char entries[BBI_FILTER_BYTES - 8];
};

enum bbi_join_mode { BBI_JOIN_NONE = 0, BBI_JOIN_LOSSY = 1, BBI_JOIN_RELIABLE = 2 };

#define BBI_CURSOR_RENOUNCED INT64_MAX /* it will never read this ring */

/* What this subscriber tells the ring of the same index; all words are the subscriber's. */
struct bbi_cursor {
    bbi_u64 ring_key; /* 0: not reading that ring */
    bbi_u32 mode;     /* enum bbi_join_mode */
    bbi_u32 join_gen;
    bbi_u64 cursor; /* next message not yet released; R4, R9 */
    bbi_u32 bell;   /* R9: bumped when a blocked publisher should look */
    uint32_t pad;
    bbi_u64 delivered, filtered, lost; /* statistics, now and then */
    uint8_t reserved[72];
};
static_assert(sizeof(struct bbi_cursor) == BBI_LINE_BYTES, "layout 1");

struct bbi_sub {
    struct bbi_ident ident;
    alignas(BBI_PAGE_BYTES) bbi_u32
        filter_sel; /* counts; its lowest bit is the table that holds; release, R8 */
    bbi_u32 flags;  /* enum bbi_sub_flags */
    alignas(BBI_LINE_BYTES) bbi_u64 delivered; /* statistics */
    bbi_u64 filtered, lost, evicted, wakes;
    bbi_u64 beat_ns;                      /* monotonic time of the last poll */
    alignas(BBI_LINE_BYTES) bbi_u32 pong; /* the last ping that was seen; release, R6 */
    alignas(BBI_PAGE_BYTES) struct bbi_filter_table filters[2];
    alignas(BBI_PAGE_BYTES) struct bbi_cursor cursors[BBI_RINGS];
};
static_assert(offsetof(struct bbi_sub, filter_sel) == 0x1000, "layout 1");
static_assert(offsetof(struct bbi_sub, filters) == 0x2000, "layout 1");
static_assert(offsetof(struct bbi_sub, cursors) == 0x24000, "layout 1");

#endif

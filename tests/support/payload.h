/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/support/payload.h - messages whose every byte can be checked.
 *
 * Length and bytes are a function of (writer, seq), where seq is the message's number in its ring.  The
 * writer's number stands in the topic, "w/NUMBER" or "w/NUMBER/...", so a reader needs to know nothing else.
 */
#ifndef BUSBAR_TESTS_SUPPORT_PAYLOAD_H
#define BUSBAR_TESTS_SUPPORT_PAYLOAD_H

#include "busbar/endpoint.h"
#include "shm/atomic.h"

enum { BBT_TRACKS = 256, BBT_NAMES = 128 };

/* bbt_payload_len - from 1 to max bytes; most are small, some in the middle, few are the largest there is. */
size_t bbt_payload_len(uint32_t writer, uint64_t seq, size_t max);
void bbt_payload_fill(void *out, size_t len, uint32_t writer, uint64_t seq);
/* bbt_payload_wrong - the first byte that is not as filled, or -1. */
int64_t bbt_payload_wrong(const void *data, size_t len, uint32_t writer, uint64_t seq);

/* What a reader saw of one ring.  In memory that the test shares with its children, hence the atomics. */
struct bbt_track {
    bbi_u64 node_id;
    bbi_u32 ring, writer;
    bbi_u64 first; /* number of the message it began at: handed out, or lost just before */
    bbi_u64 next;  /* the number that must come now */
    bbi_u64 got, lost, bytes;
};

/* What it was told of one name. */
struct bbt_name {
    char name[BB_NAME_MAX + 1];
    bbi_u32 told[8]; /* by enum bb_status_kind */
};

struct bbt_reader {
    bbi_u32 track_count, name_count;
    bbi_u64 lost, evicted;
    size_t max;     /* of bbt_payload_len() */
    uint32_t skips; /* 1: gaps that are not lost are allowed, for some topics are not wanted */
    struct bbt_track tracks[BBT_TRACKS];
    struct bbt_name names[BBT_NAMES];
};

/*
 * bbt_reader_take - checks one message or status: every byte, each number once, in order, every gap announced.
 *
 * Returns   true; false: `why` (256 bytes) says what is wrong.
 */
bool bbt_reader_take(struct bbt_reader *r, const struct bb_msg *m, char why[256]);

/* Sums over the rings that carried this writer's messages. */
uint64_t bbt_reader_got(const struct bbt_reader *r, uint32_t writer);
uint64_t bbt_reader_lost(const struct bbt_reader *r, uint32_t writer);
uint64_t bbt_reader_next(const struct bbt_reader *r,
                         uint32_t writer); /* largest `next`; 0: none seen */
/* Where the first of them began; 0: none seen. */
uint64_t bbt_reader_first(const struct bbt_reader *r, uint32_t writer);
/* How often it was told this of the name. */
uint32_t bbt_reader_told(const struct bbt_reader *r, const char *name, uint32_t kind);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/record.h - what lies in the tables of a store.  Little-endian, no alignment: copied, not cast.  Pure.
 *
 *   MAIN    bbi_key                      -> struct bbi_record_head, key (native), value (native)
 *   EXPIRY  deadline u64 big-endian, XXH3-128 of the MAIN key -> MAIN key
 *   LOG     version u64 big-endian       -> struct bbi_log_head, name, key, value, old
 *   DONE    client id 16 bytes, slot u8  -> struct bbi_done_head, results as on the wire
 *   META    "state"                      -> struct bbi_state
 *           "watch" client id 16 bytes   -> struct bbi_watch_record
 *
 * A record's check word is XXH3-64 of key and value and of the head's other words: pages of LMDB 0.9 have none.
 * Native values are multiples of 8 bytes, so key and value stand at offsets of 8.
 */
#ifndef BUSBAR_LIB_STORE_RECORD_H
#define BUSBAR_LIB_STORE_RECORD_H

#include "busbar/store.h"
#include "lib/store/key.h"

enum { BBI_STORE_FORMAT = 1 };

struct bbi_record_head {
    uint64_t check;
    uint64_t version;
    int64_t expires_ns; /* store time of the deadline; 0: none */
    uint32_t key_bytes;
    uint16_t format; /* BBI_STORE_FORMAT */
    uint16_t flags;  /* 0 */
};
static_assert(sizeof(struct bbi_record_head) == 32, "store format 1");

struct bbi_record {
    uint64_t version;
    int64_t expires_ns;
    struct bb_value key, value;
};

/* bbi_value_bytes - how many a value has with its padding, whatever its window has; 0: p NULL or no value. */
size_t bbi_value_bytes(const struct bb_value *v);

/* key_bytes, value_bytes: of the windows that are written, from bbi_value_bytes(). */
size_t bbi_record_bytes(size_t key_bytes, size_t value_bytes);
/* Writes bbi_record_bytes(rec->key.bytes, rec->value.bytes); the windows are as long as the values. */
void bbi_record_write(void *out, const struct bbi_record *rec);
/* In place; checks lengths, not the check word. */
BB_MUST_USE int bbi_record_read(struct bbi_record *out, struct bbi_bytes raw);
BB_MUST_USE int bbi_record_check(struct bbi_bytes raw); /* all of it: lengths, check word, values */

enum { BBI_EXPIRY_KEY_BYTES = 24 };
void bbi_expiry_key(unsigned char out[BBI_EXPIRY_KEY_BYTES],
                    int64_t expires_ns,
                    struct bbi_bytes main_key);

struct bbi_log_head {
    uint32_t kind; /* enum bb_store_change_kind */
    uint32_t name_bytes;
    int64_t wall_ns;
    int64_t expires_ns; /* a span; BB_STORE_NEVER */
    uint64_t node_id;
    uint32_t key_bytes, value_bytes, old_bytes; /* 0: none */
    uint32_t reserved;
};
static_assert(sizeof(struct bbi_log_head) == 48, "store format 1");
size_t bbi_log_bytes(const struct bb_store_change *c);
void bbi_log_write(void *out, const struct bb_store_change *c);
/* version is the entry's key.  c->node points into raw and ends in NUL there. */
BB_MUST_USE int bbi_log_read(struct bb_store_change *c, uint64_t version, struct bbi_bytes raw);

enum { BBI_DONE_KEY_BYTES = 17 };
struct bbi_done_head {
    uint64_t number;  /* of the frame; behind it follows its answer, as on the wire */
    uint64_t node_id; /* whose it was */
};
static_assert(sizeof(struct bbi_done_head) == 16, "store format 1");

struct bbi_watch_record {
    uint64_t node_id;
    int64_t wall_ns; /* since when */
};
static_assert(sizeof(struct bbi_watch_record) == 16, "store format 1");

#define BBI_META_STATE "state"
#define BBI_META_WATCH "watch" /* then a client's id */

/* One, in each transaction of the master. */
struct bbi_state {
    uint32_t format;   /* BBI_STORE_FORMAT */
    uint32_t is_clean; /* its master closed it; 0: one serves it, or died */
    uint8_t store_id[16];
    uint8_t boot_id[16]; /* of the box when base_ns was fixed */
    int64_t base_ns;     /* store time = CLOCK_BOOTTIME + base_ns on that boot */
    int64_t last_ns;     /* store time at the last commit */
    uint64_t version;    /* changes so far */
    uint64_t generation;
    uint64_t log_first; /* of the oldest entry of LOG; 0: none is kept */
    uint64_t log_bytes;
    uint64_t expired;
    uint64_t reserved[4];
};
static_assert(sizeof(struct bbi_state) == 128, "store format 1");

#endif

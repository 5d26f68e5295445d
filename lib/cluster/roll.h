/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/roll.h - the changes of membership of a bus, in one order for all.
 *
 * A file beside bus.ctl, one for each generation of the bus.  One word is one change, and one compare-and-swap
 * at the end of the list appends it: no lock, nobody to wait for, and everybody reads the same list.
 *
 *      e - capacity          e (the end: next to be written)
 *   ... │ old lap │ ... │ new lap ...
 *
 * Processes  Any member appends and reads; who looks maps it read-only.
 * Progress   lock-free: a compare-and-swap that fails has let another one in.
 * Death      at any instruction: either the word is there or it is not.  A record that was written and never
 *            named by a word is of no matter.
 * Source     pairs R11, R12 in docs/memory-model.md; model roll.
 */
#ifndef BUSBAR_LIB_CLUSTER_ROLL_H
#define BUSBAR_LIB_CLUSTER_ROLL_H

#include "shm/attach.h"

#define BBI_ROLL_MAGIC UINT64_C(0x316c6c6f72626201) /* bytes 01 "bbroll1" */

enum {
    BBI_ROLL_CHANGES = 8192, /* held; the older ones are overwritten */
    BBI_ROLL_RECORDS = 1024,
    BBI_ROLL_LAPS = 8191, /* of 13 bits; 0 is never written */
};

enum bbi_roll_kind { BBI_ROLL_UP = 0, BBI_ROLL_DOWN = 1, BBI_ROLL_IN = 2, BBI_ROLL_OUT = 3 };

/*
 * Who a node is.  Its member slot says it too, but has another owner soon after the node went.  Written by the
 * node itself before it appends its UP; overwritten after BBI_ROLL_RECORDS further joins.
 */
struct bbi_roll_record {
    bbi_u64 check; /* hash of what follows; what was torn by two who share it does not match */
    uint64_t id;
    uint32_t role;
    int32_t pid;
    char name[BBI_NAME_BYTES];
    uint8_t reserved[56];
};
static_assert(sizeof(struct bbi_roll_record) == BBI_LINE_BYTES, "roll 1");

struct bbi_roll_file {
    struct bbi_ident ident;
    alignas(BBI_PAGE_BYTES) uint64_t magic; /* to here: written once, by who makes it */
    uint64_t seed[2];                       /* of keyed hashing */
    uint32_t changes, records;              /* BBI_ROLL_CHANGES, BBI_ROLL_RECORDS */
    bbi_u32
        hashing; /* 1 + BB_HRW_... of all pools; 0 until the first node says it, by compare-and-swap */
    alignas(BBI_LINE_BYTES) bbi_u64 next_record;             /* anybody adds */
    alignas(BBI_PAGE_BYTES) bbi_u64 words[BBI_ROLL_CHANGES]; /* R11: anybody, by compare-and-swap */
    bbi_u64
        times[BBI_ROLL_CHANGES]; /* when, as its appender says: milliseconds << 13 | lap; a hint */
    struct bbi_roll_record who[BBI_ROLL_RECORDS]; /* R12 */
};
static_assert(offsetof(struct bbi_roll_file, magic) == 0x1000, "roll 1");
static_assert(offsetof(struct bbi_roll_file, next_record) == 0x1080, "roll 1");
static_assert(offsetof(struct bbi_roll_file, words) == 0x2000, "roll 1");
static_assert(offsetof(struct bbi_roll_file, times) == 0x12000, "roll 1");
static_assert(offsetof(struct bbi_roll_file, who) == 0x22000, "roll 1");

/* A change as the word has it. */
struct bbi_change {
    uint64_t epoch;  /* its place in the list, from 0 */
    uint64_t id;     /* bb_endpoint_id(): slot and generation */
    uint32_t kind;   /* enum bbi_roll_kind */
    uint32_t weight; /* IN: its weight; DOWN: 1 it left, 2 it died */
};

struct bbi_roll {
    struct bbi_segment seg;
    struct bbi_roll_file *file; /* NULL: there is none */
};

/* Pure; a word as written at this place. */
uint64_t bbi_roll_word(const struct bbi_change *change);
/* bbi_roll_parse - 1: the word is the change of this place; 0: it is an older one, or none.  Acquire is the caller's. */
int bbi_roll_parse(uint64_t word, uint64_t epoch, struct bbi_change *out);

/*
 * bbi_roll_open - maps the roll of this bus, making it when there is none (may_make).
 *
 * Returns   0; -ENOENT there is none; BB_ECORRUPT, BB_EVERSION; -errno.  f says it in words, and may be NULL.
 */
BB_MUST_USE int bbi_roll_open(struct bbi_roll *roll,
                              const struct bbi_attach *at,
                              bool may_make,
                              struct bbi_fault *f);
void bbi_roll_close(struct bbi_roll *roll);

/* How all pools of this bus hash, BB_HRW_...; what differs from BB_HRW_KEYED is said once and stays. */
uint32_t bbi_roll_hashing(const struct bbi_roll *roll);
void bbi_roll_set_hashing(struct bbi_roll *roll, uint32_t method);

/* bbi_roll_end - the place that is written next: the number of changes so far. */
uint64_t bbi_roll_end(const struct bbi_roll *roll);

/*
 * bbi_roll_read - the change at this place.  Acquire, R11.
 *
 * Returns   1; 0 it is not written yet; BB_EOVERRUN it is overwritten.
 */
BB_MUST_USE int bbi_roll_read(const struct bbi_roll *roll, uint64_t epoch, struct bbi_change *out);

/* bbi_roll_append - the change becomes that of change->epoch: 1; 0 another one is there already.  R11. */
int bbi_roll_append(struct bbi_roll *roll, const struct bbi_change *change);

/* bbi_roll_time - when it was appended, Unix time; 0 if that is not known. */
int64_t bbi_roll_time(const struct bbi_roll *roll, uint64_t epoch);

/* bbi_roll_introduce - says who id is; before its UP is appended, R12. */
void bbi_roll_introduce(
    struct bbi_roll *roll, uint64_t id, uint32_t role, int32_t pid, const char *name);

/* bbi_roll_who - who id is; false: nobody knows any more. */
struct bbi_who {
    uint64_t id;
    uint32_t role;
    int32_t pid;
    char name[BBI_NAME_BYTES];
};
bool bbi_roll_who(const struct bbi_roll *roll, uint64_t id, struct bbi_who *out);

#endif

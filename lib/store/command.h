/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/command.h - commands and results on the wire.  Pure; every length is checked, what is read stays in place.
 *
 *   frame    struct bbi_frame_head, then for each command: struct bbi_cmd_head, key, value, index
 *   answer   struct bbi_answer_head, then for each: struct bbi_result_head, value
 *
 * Values are native and multiples of 8 bytes.  A frame that is longer than a message travels in parts: raw bytes of
 * the frame one after the other, each part behind a struct bbi_part_head; the last part is the request.
 */
#ifndef BUSBAR_LIB_STORE_COMMAND_H
#define BUSBAR_LIB_STORE_COMMAND_H

#include "lib/store/lmdb.h"
#include "lib/store/ops.h"

#define BBI_FRAME_MAGIC UINT32_C(0x31667362) /* bytes "bsf1" */
/* The expiry of a put: as it was, for what tables replace. */
#define BBI_EXPIRE_KEEP INT64_MIN
enum { BBI_FRAMES = 16, BBI_FRAME_BYTES_MAX = 64 << 20 };

enum bbi_frame_kind {
    BBI_FRAME_COMMANDS = 1,
    BBI_FRAME_WATCH =
        2, /* keep the log for this client from now on; its node_id says when it is dead */
    BBI_FRAME_UNWATCH = 3,
    BBI_FRAME_READ = 4, /* of a clone BY_REQUEST: GET commands, or a scan */
    BBI_FRAME_COMPACT = 5,
    BBI_FRAME_BYE = 6, /* no more frames of this client: its entries in DONE can go */
};

struct bbi_client_id {
    uint8_t v[16]; /* random, of one handle */
};

struct bbi_part_head {
    uint32_t magic;
    uint32_t part, parts; /* from 0 */
    uint32_t reserved;
    uint64_t number;      /* of the frame */
    uint64_t frame_bytes; /* of all parts together */
    struct bbi_client_id client;
};
static_assert(sizeof(struct bbi_part_head) == 48, "store protocol 1");

struct bbi_frame_head {
    uint32_t kind;
    uint32_t flags;    /* BB_STORE_ATOMIC */
    uint64_t number;   /* from 1, without gaps; its place in DONE is number % BBI_FRAMES */
    uint64_t answered; /* the client has the answers of all up to here */
    uint32_t count;
    uint32_t reserved;
};

struct bbi_cmd_head {
    uint32_t op;
    uint32_t reserved;
    uint32_t key_bytes, value_bytes, index_bytes; /* 0: none */
    uint32_t reserved2;
    int64_t expire_ns;
    uint64_t if_version;
};

struct bbi_answer_head {
    uint64_t number;
    uint64_t version; /* of the store */
    uint32_t count;
    uint32_t flags; /* 1: it had run before */
};

struct bbi_result_head {
    int32_t code;
    uint32_t changed;
    uint64_t version;
    uint32_t value_bytes;
    uint32_t reserved;
};

/*
 * What a frame of kind READ may ask besides BB_STORE_GET.  One result each, as of GET; the answer's version is the
 * state that all of them are of.
 *
 *   ITEM   key: result.value is a vector of 4: key, value, version (count), what is left (integer; BB_STORE_NEVER)
 *   SCAN   key: the prefix or none; index: the key after which; if_version: how many at most.  A vector of 4 * n,
 *          of as many items as fit about BBI_READ_BYTES, at least one if there is one
 *   COUNT  key: the prefix or none.  A count
 */
enum {
    BBI_OP_COUNT = BB_STORE_GET + 1,
    BBI_READ_ITEM = 64,
    BBI_READ_SCAN = 65,
    BBI_READ_COUNT = 66,
    BBI_READ_BYTES = 1 << 20,
};

/* bbi_cmd_is_whole - a known operation, with the values that it needs and no others; not whether they are well formed. */
bool bbi_cmd_is_whole(const struct bb_store_cmd *cmd);

/* Bytes of the frame; BB_EINVAL a command that is not whole; BB_EMSGSIZE. */
BB_MUST_USE int64_t bbi_frame_bytes(const struct bb_store_cmd *cmds, size_t count);
/* count from head, bytes from bbi_frame_bytes().  BB_EINVAL: a value changed since, out is void. */
BB_MUST_USE int bbi_frame_write(void *out,
                                size_t bytes,
                                const struct bbi_frame_head *head,
                                const struct bb_store_cmd *cmds);
/* BB_ECORRUPT; BB_ENOTSUP a kind or flag of a later version. */
BB_MUST_USE int bbi_frame_read(struct bbi_frame_head *head, struct bbi_bytes frame);
/* Call count times, *off 0 at first.  Values are checked whole; ask bbi_cmd_is_whole() about the command. */
BB_MUST_USE int bbi_frame_next(struct bbi_bytes frame, size_t *off, struct bb_store_cmd *cmd);

BB_MUST_USE int64_t bbi_answer_bytes(const struct bb_store_result *results, size_t count);
void bbi_answer_write(void *out,
                      const struct bbi_answer_head *head,
                      const struct bb_store_result *results);
/* One result, bbi_answer_bytes(r, 1) less the head; what comes behind it. */
unsigned char *bbi_result_write(unsigned char *p, const struct bb_store_result *r);
/* Values are as long as they say, and no more is checked: the master is trusted with what it answers. */
BB_MUST_USE int bbi_answer_read(struct bbi_answer_head *head, struct bbi_bytes answer);
/* What several results come to: the first code that is not 0, and of an atomic frame that of the one that failed. */
static inline int
bbi_first_code(int first, int code)
{
    return first == 0 || (first == BB_ECANCELED && code < 0) ? code : first;
}

BB_MUST_USE int
bbi_answer_next(struct bbi_bytes answer, size_t *off, struct bb_store_result *result);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/log_wire.h - what writers and loggers of a bus say to each other.
 *
 * Topics     PREFIXlane/logger/ is heard by loggers, PREFIXlane/writer/ by writers.
 * Order      A writer's batches to one logger come in the order of its ring, or not at all (the logger was
 *            evicted).  A logger says them in that order, so an earlier one that it does not name was lost.
 *
 *   writer    WHO token       ►  everybody, or one logger     who is there?
 *   logger    HERE token      ►  everybody, or that writer    I am; all that came before your WHO is said
 *   logger    GONE            ►  everybody                 closed: what I did not say I never had
 *   writer    BATCH           ►  one logger                   head, records (vectors), perhaps the schema
 *   logger    SAID            ►  that writer                  head, one entry for each batch
 */
#ifndef BUSBAR_LIB_CLUSTER_LOG_WIRE_H
#define BUSBAR_LIB_CLUSTER_LOG_WIRE_H

#include <assert.h>
#include <busbar/endpoint.h>
#include <stdint.h>

#define BBI_LOG_MAGIC UINT32_C(0x31676f6c) /* bytes "log1": form 1 */

enum {
    BBI_LOG_ATTR = BB_CONTROL | BB_OPAQUE,

    BBI_LOG_WHO = 1,
    BBI_LOG_HERE = 2,
    BBI_LOG_BATCH = 3,
    BBI_LOG_SAID = 4,
    BBI_LOG_GONE = 5,

    BBI_LOG_STREAMS = 65536, /* that a writer may ever open */
    BBI_LOG_SAID_MAX = 256,  /* entries in a message */
};

/* Every message begins so; little-endian as all of a bus's memory is the machine's own. */
struct bbi_log_head {
    uint32_t magic;
    uint32_t kind;
    uint64_t number;     /* WHO, HERE: token; BATCH: of the writer, never used again; SAID: 0 */
    uint32_t count;      /* BATCH: records; SAID: entries */
    uint32_t stream;     /* BATCH: the writer's number for it */
    uint32_t body_bytes; /* BATCH: of all records */
    uint32_t
        schema_bytes; /* BATCH: behind the records; 0: this logger has said one of this stream */
};
static_assert(sizeof(struct bbi_log_head) == 32, "form 1");

struct bbi_log_said {
    uint64_t number;  /* of the batch */
    uint32_t written; /* records that stand in the file */
    uint32_t refused; /* records that never will: they are not as their schema says */
    int32_t code;     /* below 0: nothing was written, but may be another time (BB_ENOSPC ...) */
    uint32_t zero;
};
static_assert(sizeof(struct bbi_log_said) == 24, "form 1");

#endif

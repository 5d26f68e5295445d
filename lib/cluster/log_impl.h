/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/log_impl.h - the lane of a cluster handle, as its files share it.
 *
 *   log.c         open, write, close: a writer's streams
 *   log_send.c    batches to loggers, and what comes back
 *   logger.c      open, close: a logger, and what it says
 *   logger_take.c batches to files
 *
 * Words      leg: a writer's side of one logger.  A batch is open (records are added), waits (for a leg), or is
 *            on a leg (sent, unsaid).
 * Account    of a stream: records = written + unsaid + lost, after every call.
 */
#ifndef BUSBAR_LIB_CLUSTER_LOG_IMPL_H
#define BUSBAR_LIB_CLUSTER_LOG_IMPL_H

#include "busbar/log.h"
#include "lib/cluster/cluster_impl.h"
#include "lib/cluster/log_file.h"
#include "lib/cluster/log_schema.h"
#include "lib/cluster/log_wire.h"

enum {
    BBI_LOG_BATCH_MAX = 256 * 1024, /* bytes of records in a batch; one record may be larger */
};

/* ---- a writer ----------------------------------------------------------------------------------- */

struct bbi_batch {
    struct bbi_batch *next, *prev;
    struct bb_log *log;
    uint64_t number;
    uint32_t records;
    uint32_t sends;       /* legs that it was on */
    size_t bytes, cap;    /* of the message: head and records */
    uint64_t sent_before; /* WHO tokens given when it was sent */
    unsigned char *data;
};

struct bbi_batches {
    struct bbi_batch *first, *last;
};

struct bbi_leg {
    uint64_t id;
    bool is_self;    /* this very handle has the logger */
    bool is_here;    /* it said so */
    bool is_in;      /* the pool uses it */
    bool is_stalled; /* unsaid for too long, and asked in vain */
    bool is_seen;    /* while legs are held against the nodes */
    struct bbi_batches sent;
    uint64_t unsaid_bytes;
    int64_t heard_ns; /* it last said something, or had nothing to say */
    int64_t asked_ns; /* a WHO is on the way since; 0: none */
    uint64_t token;   /* of that */
    int64_t rest_ns;  /* not before: its disk is full */
    uint8_t *known;   /* streams it has said something of, a bit each */
    size_t known_bytes;
};

struct bbi_lane {
    struct bbi_part part;
    struct bb_cluster *c;
    struct bb_publisher *pub;
    char to_logger[128];
    size_t to_logger_bytes;
    struct bb_log *logs;
    struct bbi_leg *legs;
    size_t leg_count, leg_cap, turn;
    struct bbi_batches waiting;
    uint64_t next_number, next_token;
    uint32_t next_stream;
    uint64_t epoch; /* of the nodes that legs were held against */
    uint64_t window_bytes;
    size_t message_max;
    bool is_pumping;
};

struct bb_log {
    struct bb_log *next;
    struct bbi_lane *lane;
    struct bbi_log_schema *schema;
    uint32_t stream;
    uint32_t batch_records;
    int64_t batch_ns;
    uint64_t most_bytes; /* unsaid */
    uint64_t unsaid_bytes;
    struct bbi_batch *open;
    struct bbi_batch *spare; /* one is kept: most batches end before the next begins */
    int64_t due_ns;          /* of the open batch */
    struct bb_log_stats stats;
};

/* bbi_part_remove - takes a part off its handle. */
void bbi_part_remove(struct bb_cluster *c, struct bbi_part *part);

/* bbi_lane_get - the lane of a handle, made when it has none.  As bb_publisher_open(). */
BB_MUST_USE int bbi_lane_get(struct bb_cluster *c, struct bbi_lane **out, struct bb_error *error);
struct bbi_lane *bbi_lane_find(const struct bb_cluster *c);
/*
 * bbi_log_head_of - 1: the message is of the lane, on PREFIX and this tail; *head is all zeros when it is short, of
 * another form, or a view that was overwritten.  0: it is not of the lane.
 */
int bbi_log_head_of(const struct bb_cluster *c,
                    const struct bb_msg *msg,
                    const char *tail,
                    struct bbi_log_head *head);

/* bbi_batch_end - the open batch waits. */
void bbi_batch_end(struct bb_log *log);
void bbi_batch_drop(struct bbi_batch *batch);
/* bbi_lane_pump - sends what waits, as far as loggers take it. */
void bbi_lane_pump(struct bbi_lane *lane, int64_t now_ns);
/* bbi_lane_said - a logger's word. */
void bbi_lane_said(struct bbi_lane *lane,
                   uint64_t logger_id,
                   const struct bbi_log_said *said,
                   uint32_t count,
                   int64_t now_ns);
/* bbi_lane_here - a logger is there; token: all that was sent before this WHO has been said, or was lost. */
void bbi_lane_here(struct bbi_lane *lane, uint64_t logger_id, uint64_t token, int64_t now_ns);
/* bbi_lane_gone - it is no logger any more. */
void bbi_lane_gone(struct bbi_lane *lane, uint64_t logger_id);
/* bbi_lane_ask - who is there?  id 0: everybody. */
void bbi_lane_ask(struct bbi_lane *lane, uint64_t id, uint64_t token);
/* bbi_lane_tick - legs that went or stall, batches that are due.  When to come again. */
int64_t bbi_lane_tick(struct bbi_lane *lane, int64_t now_ns);
/* bbi_lane_forget - nothing of this stream waits or is on a leg any more: it is lost.  Records. */
uint64_t bbi_lane_forget(struct bbi_lane *lane, struct bb_log *log);
/* bbi_lane_move - what silent loggers have goes to others, if there are any: it may be written twice. */
void bbi_lane_move(struct bbi_lane *lane, int64_t now_ns);
void bbi_lane_free(struct bbi_lane *lane);

static inline void
bbi_batches_add(struct bbi_batches *list, struct bbi_batch *batch)
{
    batch->next = NULL;
    batch->prev = list->last;
    *(list->last == NULL ? &list->first : &list->last->next) = batch;
    list->last = batch;
}

static inline void
bbi_batches_remove(struct bbi_batches *list, struct bbi_batch *batch)
{
    *(batch->prev == NULL ? &list->first : &batch->prev->next) = batch->next;
    *(batch->next == NULL ? &list->last : &batch->next->prev) = batch->prev;
}

/* ---- a logger ----------------------------------------------------------------------------------- */

struct bbi_logger_stream {
    struct bbi_log_schema *schema; /* NULL: never seen */
    struct bbi_stream_file *file;
};

struct bbi_stream_file {
    struct bbi_stream_file *next;
    char stream[BBI_LOG_STREAM_MAX + 1];
    struct bbi_log_file f;
    int code;        /* of the last flush or open */
    int64_t rest_ns; /* not tried before: it failed */
};

struct bbi_log_writer {
    uint64_t id;
    struct bbi_logger_stream *streams;
    uint32_t stream_count;
    bool is_asking; /* a WHO, to be answered after what is said */
    uint64_t token;
    struct bbi_log_said *said; /* of this settling */
    uint32_t said_count, said_cap;
};

/* A batch in the buffers. */
struct bbi_taken {
    uint64_t writer_id;
    uint64_t number;
    uint32_t records, refused;
    struct bbi_stream_file *file; /* NULL: it was refused as a whole, for good */
    int code;
    bool is_flushed;
};

struct bb_logger {
    struct bbi_part part;
    struct bb_cluster *c;
    struct bb_publisher *pub;
    struct bbi_log_place place;
    char *dir, *pattern;
    char to_writer[128], to_logger[128];
    size_t to_writer_bytes, to_logger_bytes;
    bool is_settling;
    int64_t retry_ns;
    uint32_t json_flags;
    int64_t (*wall_ns)(void); /* tests put their own */
    struct bbi_stream_file *files;
    struct bbi_log_writer *writers;
    size_t writer_count, writer_cap;
    struct bbi_taken *taken;
    size_t taken_count, taken_cap;
    unsigned char
        *copy; /* of the batch at hand: a ring's bytes may change, a schema's check must not */
    size_t copy_cap;
    struct bb_logger_stats stats;
};

struct bb_logger *bbi_logger_find(const struct bb_cluster *c);
struct bbi_log_writer *bbi_logger_writer(struct bb_logger *l, uint64_t id, bool is_made);
void bbi_logger_forget(struct bb_logger *l, uint64_t id);

/* bbi_logger_take - a batch, whose bytes nobody changes, into the buffers. */
void bbi_logger_take(
    struct bb_logger *l, uint64_t writer_id, const void *data, size_t bytes, int64_t now_ns);
/* bbi_logger_fail - the file takes nothing for a while; what of it is not told yet did not come to be. */
void bbi_logger_fail(struct bb_logger *l, struct bbi_stream_file *file, int code, int64_t now_ns);
/* bbi_logger_flush - what was printed is in the file; rotates it when it is due. */
void bbi_logger_flush(struct bb_logger *l, struct bbi_stream_file *file, int64_t now_ns);
/* bbi_logger_settle - flushes, rotates, and tells the writers. */
void bbi_logger_settle(struct bb_logger *l, int64_t now_ns);

#endif

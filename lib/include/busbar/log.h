/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/log.h - the log lane: records of a stream from many writers to the pool of loggers, and to files.
 *
 * A writer collects records and sends batches to one logger after the other, by turn, the less loaded first.
 * A batch counts as written when a logger said so, after it was flushed to its file.  When a logger dies or
 * leaves, what it had not said goes to another one: so nothing is lost while a logger lives, and what the
 * dead one had written without saying may stand in two files; `resent` counts that.
 *
 * Threads    A writer and a logger belong to the thread of their cluster handle.
 */
#ifndef BUSBAR_LOG_H
#define BUSBAR_LOG_H

#include <busbar/cluster.h>
#include <busbar/codec.h>

#ifdef __cplusplus
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wshadow" /* bb_log_stats() and its struct */
extern "C" {
#endif

/* ---- writing ------------------------------------------------------------------------------------ */

struct bb_log;

struct bb_log_field {
    const char *name;
    int type; /* enum bb_type, or BB_TYPE_ANY; none is always allowed: the field is left out */
};

struct bb_log_opts {
    size_t size;
    const char *stream; /* "conn"; names the files */
    const struct bb_log_field *fields;
    size_t field_count;
    uint32_t batch_records; /* 0: 400 */
    uint32_t flags;         /* 0 */
    int64_t batch_ns;       /* a batch waits at most so long for its end; 0: 1 s */
    uint64_t
        unsaid_bytes; /* kept until a logger said that it wrote them; 0: 64 MiB; above: lost, and counted */
    struct bb_error *error;
};
BB_MUST_USE BB_API int
bb_log_open(struct bb_log **out, struct bb_cluster *c, const struct bb_log_opts *opts);
/* bb_log_close - sends what is there and waits at most timeout_ns for the loggers' word; the rest is lost. */
BB_API int bb_log_close(struct bb_log *log, int64_t timeout_ns);

/*
 * bb_log_write - one record: a vector of as many values as the stream has fields.
 *
 * Returns   0: it is counted, as written, unsaid or lost; BB_ETYPE another shape; BB_EMSGSIZE.
 */
BB_MUST_USE BB_API int bb_log_write(struct bb_log *log, const void *record, size_t bytes);
/* bb_log_flush - sends the batch that is open. */
BB_API int bb_log_flush(struct bb_log *log);

struct bb_log_stats {
    size_t size;
    uint64_t records; /* handed in: written + unsaid + lost */
    uint64_t written; /* a logger said so */
    uint64_t unsaid;  /* on the way, or waiting for a logger */
    uint64_t lost;    /* more than unsaid_bytes, or left at close */
    uint64_t resent;  /* records of batches that went to a second logger */
    uint64_t batches;
};
BB_API void bb_log_stats(const struct bb_log *log, struct bb_log_stats *out);

/* ---- files -------------------------------------------------------------------------------------- */

struct bb_logger;

/*
 * The file that is written is STREAM.log in dir; when that is another living logger's, STREAM.NODE.log.  It is
 * renamed by the pattern when it is rotated, and so is one that an earlier logger left behind; nothing is ever
 * overwritten.  A last line that a killed logger left without its end is cut off then.
 */
struct bb_logger_opts {
    size_t size;
    const char *dir; /* of the files; made when it is not there */
    const char *
        pattern; /* of rotated files; strftime of when it was begun, in UTC, and %{stream}, %{node}, %{n}, a
                    number that is free; NULL: "%{stream}.%Y-%m-%d-%H-%M-%S.log" */
    uint64_t rotate_bytes; /* a new file from here on, at the end of a batch; 0: never */
    int64_t rotate_ns;     /* at multiples of this span of wall time; 0: never */
    int64_t retry_ns;      /* what a file did not take is tried again so much later; 0: 1 s */
    uint32_t flags;        /* BB_LOGGER_... */
    struct bb_error *error;
};
enum {
    BB_LOGGER_SYNC = 1u << 0, /* fdatasync before a batch is said to be written */
    BB_LOGGER_ISO = 1u << 1, /* times as "2018-03-24T17:15:20.866586Z", not as seconds since 1970 */
};

/*
 * bb_logger_open - this node of the cluster writes files.  Others send it records if its role is logger; what
 * this very handle logs goes to it in any case.
 *
 * Returns   0; BB_EEXIST the handle has a logger; BB_EINVAL the pattern; what the directory says; else as
 *           bb_publisher_open().
 */
BB_MUST_USE BB_API int
bb_logger_open(struct bb_logger **out, struct bb_cluster *c, const struct bb_logger_opts *opts);
/* Batches are taken up, flushed and said in bb_cluster_poll() of its cluster. */
/* bb_logger_close - flushes, says what is written and that it goes.  The files stay as they are. */
BB_API void bb_logger_close(struct bb_logger *logger);

struct bb_logger_stats {
    size_t size;
    uint64_t records, bytes; /* written */
    uint64_t batches;
    uint64_t
        refused; /* records that were not as their schema says, or that a full disk did not take: those
                         stay with their writers */
    uint64_t files; /* begun */
    uint64_t torn;  /* last lines of killed loggers that were cut off */
    int64_t code;   /* 0, or why a file takes nothing now: BB_ENOSPC, BB_EIO ... */
};
BB_API void bb_logger_stats(const struct bb_logger *logger, struct bb_logger_stats *out);

#ifdef __cplusplus
}
#    pragma GCC diagnostic pop
#endif
#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/log_file.h - one stream's file: appended to, rotated, mended.
 *
 * Names      The file that is written is STREAM.log; when that one is another living logger's,
 *            STREAM.NODE.log.  It is renamed by the pattern when it is rotated, and so is one that an
 *            earlier logger left.  Nothing that exists is ever overwritten.
 * Death      A logger that is killed inside write(2) may leave a last line without its end.  Nobody was told
 *            that it is written, so whoever finds the file next cuts it off.
 * Failure    A write that fails is undone: the file ends where it ended after the last good flush.
 * Threads    One at a time.
 */
#ifndef BUSBAR_LIB_CLUSTER_LOG_FILE_H
#define BUSBAR_LIB_CLUSTER_LOG_FILE_H

#include <busbar/status.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum {
    BBI_LOG_BUFFER_BYTES = 1024 * 1024, /* one write(2) */
};

/* What is the same for all files of a logger. */
struct bbi_log_place {
    int dir_fd;
    const char *node;
    const char *pattern; /* of rotated files */
    uint64_t rotate_bytes;
    int64_t rotate_ns;
    bool is_synced;
};

struct bbi_log_file {
    const struct bbi_log_place *place;
    const char *stream;
    int fd;                  /* -1: not open */
    char name[NAME_MAX + 1]; /* within the directory */
    char *buf;
    size_t len, cap;
    uint64_t good_bytes;    /* of the file: whole lines, flushed */
    uint64_t file_bytes;    /* written; more than good_bytes only inside a flush */
    int64_t opened_wall_ns; /* names it when it is rotated */
    int64_t rotate_wall_ns; /* INT64_MAX: never */
    uint64_t opened;        /* files begun */
    uint64_t torn;          /* last lines that were cut off */
};

/* bbi_log_file_init - opens nothing yet.  BB_ENOMEM. */
BB_MUST_USE int
bbi_log_file_init(struct bbi_log_file *f, const struct bbi_log_place *place, const char *stream);
/* bbi_log_file_fini - the file stays as it is; what is not flushed is gone. */
void bbi_log_file_fini(struct bbi_log_file *f);

/* bbi_log_file_open - 0 also when it is open; BB_EBUSY others hold both its names; what the kernel said. */
BB_MUST_USE int bbi_log_file_open(struct bbi_log_file *f, int64_t wall_ns);

/*
 * bbi_log_file_room - at least so many bytes at f->buf + f->len.  Writes out what is there if it must.
 * BB_ENOMEM; what write(2) said.
 */
BB_MUST_USE int bbi_log_file_room(struct bbi_log_file *f, size_t bytes);

/* bbi_log_file_flush - all of the buffer is in the file (and synced).  On failure the file is as after the last one. */
BB_MUST_USE int bbi_log_file_flush(struct bbi_log_file *f);

/* bbi_log_file_undo - drops everything since the last flush. */
void bbi_log_file_undo(struct bbi_log_file *f);

/* bbi_log_file_is_due - large or old enough for a new one; of flushed bytes and those in the buffer. */
bool bbi_log_file_is_due(const struct bbi_log_file *f, int64_t wall_ns);
/* bbi_log_file_rotate - renames the flushed file; the next open begins a new one.  What the kernel said. */
BB_MUST_USE int bbi_log_file_rotate(struct bbi_log_file *f);

/*
 * bbi_log_name - the name that a pattern gives: strftime in UTC, %{stream}, %{node}, %{n}.  n: from 1; without
 * %{n} in the pattern it is put before the last dot from 2 on.  BB_EINVAL: empty, too long or outside the directory.
 */
BB_MUST_USE int bbi_log_name(char *out,
                             size_t cap,
                             const char *pattern,
                             const char *stream,
                             const char *node,
                             uint32_t n,
                             int64_t wall_ns);

#endif

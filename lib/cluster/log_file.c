/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: `good_bytes` is where the file may be cut at any time: whole lines, told or about to be told.  A
 * lock on the open file (flock) says that its logger lives; it goes with the process, whatever ends it.
 */
#include "lib/cluster/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAMES_MAX = 100000, /* that are tried before a rotation fails */
    MODE = 0644,
};

int
bbi_log_file_init(struct bbi_log_file *f, const struct bbi_log_place *place, const char *stream)
{
    *f = (struct bbi_log_file){
        .place = place, .stream = stream, .fd = -1, .rotate_wall_ns = INT64_MAX};
    f->buf = malloc(BBI_LOG_BUFFER_BYTES);
    f->cap = f->buf == NULL ? 0 : BBI_LOG_BUFFER_BYTES;
    return f->buf == NULL ? BB_ENOMEM : 0;
}

void
bbi_log_file_fini(struct bbi_log_file *f)
{
    if (f->fd >= 0) {
        (void)close(f->fd);
    }
    free(f->buf);
    *f = (struct bbi_log_file){.fd = -1};
}

/* ---- names ------------------------------------------------------------------------------------- */

struct text {
    char *p;
    size_t cap, len;
};

static void
add(struct text *t, const char *s, size_t bytes)
{
    if (t->len + bytes < t->cap) {
        memcpy(t->p + t->len, s, bytes);
        t->p[t->len + bytes] = '\0';
    }
    t->len += bytes;
}

/* For strftime: a percent sign of a name stands for itself. */
static void
add_name(struct text *t, const char *s)
{
    for (; *s != '\0'; s++) {
        add(t, s, 1);
        if (*s == '%') {
            add(t, "%", 1);
        }
    }
}

/* Replaces %{...}; whether there was %{n}. */
static bool
fill_in(struct text *t, const char *pattern, const char *stream, const char *node, const char *n)
{
    bool has_n = false;
    const char *p = pattern;
    while (*p != '\0') {
        if (strncmp(p, "%{stream}", 9) == 0) {
            add_name(t, stream);
            p += 9;
        } else if (strncmp(p, "%{node}", 7) == 0) {
            add_name(t, node);
            p += 7;
        } else if (strncmp(p, "%{n}", 4) == 0) {
            add(t, n, strlen(n));
            has_n = true;
            p += 4;
        } else {
            size_t bytes = p[0] == '%' && p[1] != '\0' ? 2 : 1;
            add(t, p, bytes);
            p += bytes;
        }
    }
    return has_n;
}

/* No file outside the directory, and none that hides. */
static bool
is_inside(const char *name)
{
    return name[0] != '\0' && name[0] != '/' && name[0] != '.' && strstr(name, "/.") == NULL
           && name[strlen(name) - 1] != '/';
}

/* conn.log, 2: conn-2.log */
static int
put_number(char *out, size_t cap, const char *name, const char *n)
{
    const char *slash = strrchr(name, '/');
    const char *dot = strrchr(slash == NULL ? name : slash, '.');
    int whole = dot == NULL ? (int)strlen(name) : (int)(dot - name);
    int bytes = snprintf(out, cap, "%.*s-%s%s", whole, name, n, dot == NULL ? "" : dot);
    return bytes > 0 && (size_t)bytes < cap ? 0 : BB_EINVAL;
}

int
bbi_log_name(char *out,
             size_t cap,
             const char *pattern,
             const char *stream,
             const char *node,
             uint32_t n,
             int64_t wall_ns)
{
    char format[PATH_MAX], name[PATH_MAX], number[16];
    struct text t = {.p = format, .cap = sizeof(format)};
    time_t wall_s = (time_t)(wall_ns / 1000000000);
    struct tm tm;
    (void)snprintf(number, sizeof(number), "%u", n);
    bool has_n = fill_in(&t, pattern, stream, node, number);
    if (t.len == 0 || t.len >= t.cap || gmtime_r(&wall_s, &tm) == NULL) {
        return BB_EINVAL;
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored                                                                     \
    "-Wformat-nonliteral" /* the pattern is the user's: strftime is what it is for */
    size_t bytes = strftime(name, sizeof(name), format, &tm);
#pragma GCC diagnostic pop
    if (bytes == 0 || bytes >= cap || !is_inside(name)) {
        return BB_EINVAL;
    }
    if (n > 1 && !has_n) {
        return put_number(out, cap, name, number);
    }
    memcpy(out, name, bytes + 1);
    return 0;
}

/* ---- rotation ---------------------------------------------------------------------------------- */

/* The folders that a pattern names. */
static int
make_folders(int dir_fd, char *path)
{
    for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int rc = mkdirat(dir_fd, path, 0755) == 0 || errno == EEXIST ? 0 : -errno;
        *slash = '/';
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* Never over another file, also where the file system cannot promise that in one step. */
static int
move(int dir_fd, const char *from, const char *to)
{
    if (renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -errno;
    }
    if (linkat(dir_fd, from, dir_fd, to, 0) != 0) {
        return -errno;
    }
    return unlinkat(dir_fd, from, 0) == 0 ? 0 : -errno;
}

static int
move_aside(const struct bbi_log_place *place,
           const char *stream,
           const char *from,
           int64_t opened_wall_ns)
{
    char to[PATH_MAX];
    for (uint32_t n = 1; n <= NAMES_MAX; n++) {
        int rc =
            bbi_log_name(to, sizeof(to), place->pattern, stream, place->node, n, opened_wall_ns);
        rc = rc < 0 ? rc : make_folders(place->dir_fd, to);
        rc = rc < 0 ? rc : move(place->dir_fd, from, to);
        if (rc != -EEXIST) {
            return rc;
        }
    }
    return BB_EEXIST;
}

bool
bbi_log_file_is_due(const struct bbi_log_file *f, int64_t wall_ns)
{
    uint64_t most = f->place->rotate_bytes;
    return f->fd >= 0
           && (wall_ns >= f->rotate_wall_ns || (most > 0 && f->file_bytes + f->len >= most));
}

int
bbi_log_file_rotate(struct bbi_log_file *f)
{
    if (f->fd < 0) {
        return 0;
    }
    if (f->good_bytes > 0) {
        int rc = move_aside(f->place, f->stream, f->name, f->opened_wall_ns);
        if (rc < 0) {
            return rc;
        }
    }
    (void)close(f->fd);
    f->fd = -1;
    return 0;
}

/* ---- opening ----------------------------------------------------------------------------------- */

/* Where the last whole line of the file ends; or what the kernel said. */
static int64_t
whole_lines(int fd, int64_t bytes)
{
    char part[4096];
    while (bytes > 0) {
        int64_t from = bytes > (int64_t)sizeof(part) ? bytes - (int64_t)sizeof(part) : 0;
        ssize_t got = pread(fd, part, (size_t)(bytes - from), from);
        if (got <= 0) {
            return got < 0 ? -errno : BB_EIO;
        }
        const char *end = memrchr(part, '\n', (size_t)got);
        if (end != NULL) {
            return from + (end - part) + 1;
        }
        bytes = from;
    }
    return 0;
}

/* The file that a dead or closed logger left: whole lines, under the name that its time gives. */
static int
put_aside(struct bbi_log_file *f, int fd, const struct stat *st)
{
    int64_t whole = whole_lines(fd, st->st_size);
    if (whole < 0) {
        return (int)whole;
    }
    if (whole != st->st_size) {
        if (ftruncate(fd, whole) != 0) {
            return -errno;
        }
        f->torn++;
    }
    if (whole == 0) {
        return 0;
    }
    return move_aside(f->place, f->stream, f->name,
                      (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec);
}

/* 1: fd is an empty file of this name, and locked by us; 0: try again; or a status. */
static int
open_once(struct bbi_log_file *f, int *fd)
{
    struct stat st = {0}, named = {0};
    *fd = openat(f->place->dir_fd, f->name, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                 MODE);
    if (*fd < 0) {
        return -errno;
    }
    int rc = flock(*fd, LOCK_EX | LOCK_NB) == 0 && fstat(*fd, &st) == 0 ? 0 : -errno;
    if (rc == 0
        && (fstatat(f->place->dir_fd, f->name, &named, AT_SYMLINK_NOFOLLOW) != 0
            || named.st_ino != st.st_ino || named.st_dev != st.st_dev)) {
        (void)close(*fd);
        return 0; /* renamed between open and lock */
    }
    rc = rc < 0 ? rc : st.st_size == 0 ? 1 : put_aside(f, *fd, &st);
    if (rc == 0 && fstat(*fd, &st) == 0 && st.st_size == 0) {
        rc = 1; /* a torn line was all it had */
    }
    if (rc <= 0) {
        (void)close(*fd);
    }
    return rc;
}

static int
open_named(struct bbi_log_file *f, const char *node)
{
    enum { TRIES = 100 };
    int fd;
    int bytes = snprintf(f->name, sizeof(f->name), "%s%s%s.log", f->stream,
                         node[0] != '\0' ? "." : "", node);
    if (bytes < 0 || (size_t)bytes >= sizeof(f->name)) {
        return BB_ENAMETOOLONG;
    }
    for (int i = 0; i < TRIES; i++) {
        int rc = open_once(f, &fd);
        if (rc != 0) {
            f->fd = rc < 0 ? -1 : fd;
            return rc < 0 ? rc : 0;
        }
    }
    return BB_EAGAIN;
}

/* The next multiple of the span. */
static int64_t
next_rotation(int64_t span_ns, int64_t wall_ns)
{
    int64_t next;
    if (span_ns <= 0 || __builtin_add_overflow(wall_ns - wall_ns % span_ns, span_ns, &next)) {
        return INT64_MAX;
    }
    return next;
}

int
bbi_log_file_open(struct bbi_log_file *f, int64_t wall_ns)
{
    if (f->fd >= 0) {
        return 0;
    }
    int rc = open_named(f, "");
    if (rc == -EWOULDBLOCK) {
        rc = open_named(f, f->place->node);
    }
    if (rc < 0) {
        return rc == -EWOULDBLOCK ? BB_EBUSY : rc;
    }
    f->good_bytes = 0;
    f->file_bytes = 0;
    f->opened_wall_ns = wall_ns;
    f->rotate_wall_ns = next_rotation(f->place->rotate_ns, wall_ns);
    f->opened++;
    return 0;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static int
write_out(struct bbi_log_file *f)
{
    size_t done = 0;
    while (done < f->len) {
        ssize_t n = write(f->fd, f->buf + done, f->len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : BB_EIO;
        }
        done += (size_t)n;
        f->file_bytes += (uint64_t)n;
    }
    f->len = 0;
    return 0;
}

void
bbi_log_file_undo(struct bbi_log_file *f)
{
    f->len = 0;
    if (f->fd >= 0 && f->file_bytes > f->good_bytes) {
        /* Shortening needs no space; if even that fails, the file is left as a dead logger's would be. */
        if (ftruncate(f->fd, (off_t)f->good_bytes) != 0) {
            (void)close(f->fd);
            f->fd = -1;
        }
        f->file_bytes = f->good_bytes;
    }
}

int
bbi_log_file_flush(struct bbi_log_file *f)
{
    if (f->fd < 0) {
        f->len = 0;
        return 0;
    }
    bool is_new = f->len > 0 || f->file_bytes > f->good_bytes;
    int rc = write_out(f);
    if (rc == 0 && is_new && f->place->is_synced && fdatasync(f->fd) != 0) {
        rc = -errno;
    }
    if (rc < 0) {
        bbi_log_file_undo(f);
        return rc;
    }
    f->good_bytes = f->file_bytes;
    return 0;
}

int
bbi_log_file_room(struct bbi_log_file *f, size_t bytes)
{
    if (f->cap - f->len >= bytes) {
        return 0;
    }
    int rc = write_out(f);
    if (rc < 0 || f->cap >= bytes) {
        return rc;
    }
    char *buf = realloc(f->buf, bytes);
    if (buf == NULL) {
        return BB_ENOMEM;
    }
    f->buf = buf;
    f->cap = bytes;
    return 0;
}

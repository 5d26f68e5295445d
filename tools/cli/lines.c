/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/lines.c - a window over one buffer.
 *
 * The buffer holds one line of the largest size and its end.  Before a read the rest moves to the front;
 * when the buffer is full without a line's end, that line is too long and is thrown away as it comes.
 */
#include "tools/cli/lines.h"

#include <busbar/status.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_MIN = 1 << 16 };

int
cli_lines_init(struct cli_lines *lines, int fd, size_t max_bytes)
{
    size_t cap = max_bytes + 1 > READ_MIN ? max_bytes + 1 : READ_MIN;
    *lines = (struct cli_lines){.fd = fd, .max_bytes = max_bytes, .cap = cap, .buf = malloc(cap)};
    return lines->buf == NULL ? BB_ENOMEM : 0;
}

void
cli_lines_fini(struct cli_lines *lines)
{
    free(lines->buf);
    lines->buf = NULL;
}

static const char *
find_end(const struct cli_lines *lines)
{
    size_t from = lines->begin + lines->searched;
    return from == lines->end ? NULL : memchr(lines->buf + from, '\n', lines->end - from);
}

int
cli_lines_has_next(const struct cli_lines *lines)
{
    return find_end(lines) != NULL;
}

/* take - a line of the buffer's front; 0 if it was too long and is only counted. */
static int
take(struct cli_lines *lines, size_t bytes, size_t end_bytes, const char **line)
{
    int too_long = lines->skipping || bytes > lines->max_bytes;
    *line = lines->buf + lines->begin;
    lines->begin += bytes + end_bytes;
    lines->searched = 0;
    lines->skipping = 0;
    lines->too_long += too_long ? 1U : 0U;
    return !too_long;
}

int
cli_lines_next(struct cli_lines *lines, const char **line, size_t *bytes)
{
    const char *end;
    while ((end = find_end(lines)) != NULL) {
        *bytes = (size_t)(end - (lines->buf + lines->begin));
        if (take(lines, *bytes, 1, line)) {
            return 1;
        }
    }
    lines->searched = lines->end - lines->begin;
    if (lines->at_end && (lines->end > lines->begin || lines->skipping)) {
        *bytes = lines->end - lines->begin;
        return take(lines, *bytes, 0, line);
    }
    return 0;
}

int
cli_lines_read(struct cli_lines *lines, int wait_ms)
{
    struct pollfd in = {.fd = lines->fd, .events = POLLIN};
    if (poll(&in, 1, wait_ms) <= 0) {
        return 0; /* time or a signal: the caller looks whether it is to stop */
    }
    if (lines->end - lines->begin == lines->cap) {
        lines->skipping = 1; /* full, and no line's end in it */
        lines->begin = lines->end;
        lines->searched = 0;
    }
    memmove(lines->buf, lines->buf + lines->begin, lines->end - lines->begin);
    lines->end -= lines->begin;
    lines->begin = 0;
    ssize_t n = read(lines->fd, lines->buf + lines->end, lines->cap - lines->end);
    if (n < 0) {
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    }
    lines->end += (size_t)n;
    lines->at_end = n == 0;
    return 0;
}

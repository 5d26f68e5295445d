/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/lines.h - lines of a descriptor that may be slow, a pipe or a terminal.
 *
 * Limits     A line of more than max_bytes is skipped to its end and counted in too_long.
 */
#ifndef BUSBAR_TOOLS_CLI_LINES_H
#define BUSBAR_TOOLS_CLI_LINES_H

#include <stddef.h>
#include <stdint.h>

struct cli_lines {
    int fd;
    size_t max_bytes;
    uint64_t too_long;
    char *buf;
    size_t cap, begin, end; /* unread bytes are buf[begin .. end) */
    size_t searched;        /* unread bytes that are known to hold no line's end */
    int skipping;           /* inside a line that is too long */
    int at_end;             /* nothing more comes from fd */
};

/* cli_lines_init - 0 or BB_ENOMEM. */
int cli_lines_init(struct cli_lines *lines, int fd, size_t max_bytes);
void cli_lines_fini(struct cli_lines *lines);

/*
 * cli_lines_next - the next line that is already here, without its end; a last line may lack one.
 *
 * Owner     *line is valid until the next call on these lines.
 * Returns   1; 0 when more must be read first, or nothing is left (at_end).
 */
int cli_lines_next(struct cli_lines *lines, const char **line, size_t *bytes);

/* cli_lines_has_next - 1 if a whole line is here: more follows at once. */
int cli_lines_has_next(const struct cli_lines *lines);

/* cli_lines_read - one read(), after at most wait_ms for it.  0 (also when nothing came) or -errno. */
int cli_lines_read(struct cli_lines *lines, int wait_ms);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/buffer.h - a byte buffer that grows.  An error sticks; later appends do nothing.
 */
#ifndef BUSBAR_TOOLS_CLI_BUFFER_H
#define BUSBAR_TOOLS_CLI_BUFFER_H

#include <stddef.h>

struct cli_buffer { /* {0} is an empty one */
    char *p;
    size_t bytes;
    size_t cap;
    int err; /* 0, BB_ENOMEM */
};

/* cli_buffer_room - at least this many bytes after the end, or NULL (err is set). */
char *cli_buffer_room(struct cli_buffer *b, size_t more);
void cli_buffer_put(struct cli_buffer *b, const void *bytes, size_t count);
void cli_buffer_puts(struct cli_buffer *b, const char *text);
__attribute__((format(printf, 2, 3))) void
cli_buffer_printf(struct cli_buffer *b, const char *format, ...);
void cli_buffer_free(struct cli_buffer *b);

#endif

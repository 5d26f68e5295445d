/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/buffer.c - doubles when it is full; printf goes through a small array on the stack.
 */
#include "tools/cli/buffer.h"

#include <busbar/status.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *
cli_buffer_room(struct cli_buffer *b, size_t more)
{
    size_t need;
    if (b->err != 0) {
        return NULL;
    }
    if (__builtin_add_overflow(b->bytes, more, &need)) {
        b->err = BB_ENOMEM;
        return NULL;
    }
    if (need > b->cap || b->p == NULL) {
        size_t cap = b->cap * 2 > need ? b->cap * 2 : need + 64;
        char *p = realloc(b->p, cap);
        if (p == NULL) {
            b->err = BB_ENOMEM;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->bytes;
}

void
cli_buffer_put(struct cli_buffer *b, const void *bytes, size_t count)
{
    char *room = cli_buffer_room(b, count);
    if (room != NULL && count > 0) {
        memcpy(room, bytes, count);
        b->bytes += count;
    }
}

void
cli_buffer_puts(struct cli_buffer *b, const char *text)
{
    cli_buffer_put(b, text, strlen(text));
}

void
cli_buffer_printf(struct cli_buffer *b, const char *format, ...)
{
    char text[256]; /* only numbers and short names are printed in this way */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n > 0) {
        cli_buffer_put(b, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
    }
}

void
cli_buffer_free(struct cli_buffer *b)
{
    free(b->p);
    *b = (struct cli_buffer){0};
}

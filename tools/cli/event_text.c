/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/event_text.c - an event is the vector (string name, vector arguments), and both are put as such.
 */
#include "tools/cli/event_text.h"

#include <stdio.h>
#include <string.h>

static const char *
skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

int
cli_event_put(struct bb_builder *b, const char *text, struct bb_codec_error *error)
{
    const char *name = skip_blanks(text);
    size_t name_bytes = strcspn(name, " \t,()\"");
    const char *args = skip_blanks(name + name_bytes);
    size_t args_bytes = strlen(args);

    if (name_bytes == 0 || *args != '(') {
        error->offset = (size_t)(args - text);
        snprintf(error->sentence, sizeof(error->sentence),
                 "an event is written name(argument, ...)");
        return BB_EINVAL;
    }
    while (args[args_bytes - 1] == ' ' || args[args_bytes - 1] == '\t') {
        args_bytes--;
    }
    bb_put_vector_begin(b);
    bb_put_string(b, name, name_bytes);
    bb_put_text(b, BB_VECTOR, args, args_bytes, error);
    if (b->err != 0 && b->err != BB_EMSGSIZE) {
        error->offset += (size_t)(args - text);
        return BB_EINVAL;
    }
    bb_put_end(b);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/value/refuse.h"
#include "lib/value/build.h"

#include <stdarg.h>
#include <stdio.h>

void
bbi_explain(struct bb_codec_error *error, size_t offset, const char *format, ...)
{
    va_list args;
    if (error == NULL) {
        return;
    }
    error->offset = offset;
    va_start(args, format);
    (void)vsnprintf(error->sentence, sizeof(error->sentence), format, args);
    va_end(args);
}

void
bbi_refuse_input(struct bb_builder *b)
{
    if (b->err == BB_EMSGSIZE || b->err == BB_EEXIST) {
        b->err = 0;
    }
    bbi_build_fail(b, BB_EINVAL);
}

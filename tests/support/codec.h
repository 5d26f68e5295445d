/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/support/codec.h - decode a text, and print what came out.
 *
 * Used by    contract/codec_cases, unit/lib/json_read, text_read, round_trip.  Header-only.
 *
 * A text is decoded from memory of exactly its size, so that a sanitizer sees a read behind its end, and what
 * comes out must be well formed.
 */
#ifndef BUSBAR_TESTS_SUPPORT_CODEC_H
#define BUSBAR_TESTS_SUPPORT_CODEC_H

#include <busbar/codec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CODEC_JSON = -100 }; /* instead of a type: the text is JSON v1 */

struct codec {
    unsigned char native[1 << 18];
    char printed[1 << 20];
    struct bb_codec_error error;
    struct bb_value v;
};

static inline void
codec_fail(const char *what, const char *s, size_t bytes)
{
    fprintf(stderr, "codec: %s: %.*s\n", what, (int)(bytes < 2000 ? bytes : 2000), s);
    abort();
}

/* Bytes of the native form, or a status with c->error filled. */
static inline int64_t
codec_read(struct codec *c, int type, const char *s, size_t bytes)
{
    struct bb_builder b;
    char *exact = malloc(bytes > 0 ? bytes : 1);
    if (exact == NULL) {
        codec_fail("out of memory", s, bytes);
        return BB_ENOMEM;
    }
    memcpy(exact, s, bytes);
    memset(&c->error, 0, sizeof(c->error));
    bb_build_init(&b, c->native, sizeof(c->native));
    if (type == CODEC_JSON) {
        bb_put_json(&b, exact, bytes, &c->error);
    } else {
        bb_put_text(&b, type, exact, bytes, &c->error);
    }
    free(exact);
    int64_t built = bb_build_end(&b);
    c->v = (struct bb_value){c->native, built < 0 ? 0 : (size_t)built};
    if (built >= 0 && bb_value_check(&c->v) != 0) {
        codec_fail("made a value that is not well formed", s, bytes);
    }
    if (built < 0 && (c->error.sentence[0] == '\0' || c->error.offset > bytes)) {
        codec_fail("says no sentence or an offset outside", s, bytes);
    }
    return built;
}

typedef int64_t (*codec_printer)(const struct bb_value *v, char *out, size_t cap);

/* What a text comes out as; "offset: sentence" when it is refused. */
static inline const char *
codec_turn(struct codec *c, int type, const char *s, codec_printer print)
{
    if (codec_read(c, type, s, strlen(s)) < 0) {
        (void)snprintf(c->printed, sizeof(c->printed), "%zu: %s", c->error.offset,
                       c->error.sentence);
    } else if (print(&c->v, c->printed, sizeof(c->printed)) < 0) {
        codec_fail("cannot be printed", s, strlen(s));
    }
    return c->printed;
}

#endif

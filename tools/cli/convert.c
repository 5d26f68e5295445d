/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/convert.c - everything is tried with the room that is there, and once more when that was too small.
 */
#include "tools/cli/convert.h"

#include <stdio.h>
#include <string.h>

int
cli_form_parse(const char *name)
{
    static const struct {
        const char *name;
        enum cli_form form;
    } forms[] = {
        {"text", CLI_FORM_TEXT},
        {"json", CLI_FORM_JSON},
        {"bin", CLI_FORM_BIN},
        {"native", CLI_FORM_NATIVE},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (strcmp(forms[i].name, name) == 0) {
            return (int)forms[i].form;
        }
    }
    return -1;
}

int
cli_type_parse(const char *name)
{
    return strcmp(name, "any") == 0 ? BB_TYPE_ANY : bb_type_parse(name);
}

/* ---- hex --------------------------------------------------------------------------------------- */

static int
refuse(struct bb_codec_error *error, size_t offset, const char *sentence)
{
    error->offset = offset;
    snprintf(error->sentence, sizeof(error->sentence), "%s", sentence);
    return BB_EINVAL;
}

static int
hex_digit(char c)
{
    char lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static int
read_hex(struct cli_buffer *out, const char *s, size_t bytes, struct bb_codec_error *error)
{
    char *p = cli_buffer_room(out, bytes / 2);
    if (p == NULL) {
        return out->err;
    }
    for (size_t i = 0; i < bytes; i++) {
        int digit = hex_digit(s[i]);
        if (digit < 0) {
            return refuse(error, i, "this is no hex digit");
        }
        if (i / 2 < bytes / 2) {
            p[i / 2] = (char)(i % 2 == 0 ? digit << 4 : p[i / 2] | digit);
        }
    }
    if (bytes % 2 != 0) {
        return refuse(error, bytes, "the last byte has only one of its two hex digits");
    }
    out->bytes = bytes / 2;
    return 0;
}

static void
put_hex(struct cli_buffer *out, const unsigned char *p, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *room = cli_buffer_room(out, 2 * bytes);
    if (room == NULL) {
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        room[2 * i] = digits[p[i] >> 4];
        room[2 * i + 1] = digits[p[i] & 15];
    }
    out->bytes += 2 * bytes;
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* A message holds one value; its last padding may be missing, and is there in what is built. */
static void
put_native(struct bb_builder *b, const char *s, size_t bytes, struct bb_codec_error *error)
{
    struct bb_value v = {(const unsigned char *)s, bytes};
    struct bb_value whole = v;
    if (bb_value_explain(&v, error) < 0) {
        b->err = BB_EINVAL;
    } else if (bb_value_open(&whole, s, bytes) < 0 || whole.bytes < bytes) {
        b->err = refuse(error, whole.bytes, "something follows the value");
    } else {
        bb_put_value(b, &v);
    }
}

static void
put_form(struct bb_builder *b,
         enum cli_form form,
         int type,
         const char *s,
         size_t bytes,
         struct bb_codec_error *error)
{
    switch (form) {
    case CLI_FORM_TEXT:
        bb_put_text(b, type, s, bytes, error);
        break;
    case CLI_FORM_JSON:
    case CLI_FORM_EXACT:
        bb_put_json(b, s, bytes, error);
        break;
    case CLI_FORM_BIN:
        bb_put_binary(b, s, bytes, error);
        break;
    case CLI_FORM_NATIVE:
        put_native(b, s, bytes, error);
        break;
    }
}

/* The bytes, not hex any more, into a buffer that is made as large as it takes. */
static int
build(struct cli_buffer *native,
      enum cli_form form,
      int type,
      const char *s,
      size_t bytes,
      struct bb_codec_error *error)
{
    struct bb_builder b;
    size_t need = bytes;
    int64_t built = BB_EMSGSIZE;
    for (int pass = 0; pass < 2 && built == BB_EMSGSIZE; pass++) {
        char *room = cli_buffer_room(native, need);
        if (room == NULL) {
            return native->err;
        }
        bb_build_init(&b, room, native->cap - native->bytes);
        put_form(&b, form, type, s, bytes, error);
        built = bb_build_end(&b);
        need = b.need_bytes;
    }
    if (built < 0) {
        return (int)built;
    }
    native->bytes += (size_t)built;
    return 0;
}

int
cli_value_read(struct cli_buffer *native,
               enum cli_form form,
               int type,
               const char *s,
               size_t bytes,
               struct bb_codec_error *error)
{
    struct cli_buffer binary = {0};
    native->bytes = 0;
    if (form != CLI_FORM_BIN && form != CLI_FORM_NATIVE) {
        return build(native, form, type, s, bytes, error);
    }
    int rc = read_hex(&binary, s, bytes, error);
    if (rc == 0) {
        rc = build(native, form, type, binary.p, binary.bytes, error);
        error->offset *= 2;
    }
    cli_buffer_free(&binary);
    return rc;
}

/* ---- printing ---------------------------------------------------------------------------------- */

/* Like snprintf; binary is bytes here, hex later. */
static int64_t
print(const struct bb_value *v, enum cli_form form, char *out, size_t cap)
{
    switch (form) {
    case CLI_FORM_TEXT:
        return bb_value_text(v, out, cap);
    case CLI_FORM_JSON:
        return bb_value_json(v, out, cap);
    case CLI_FORM_EXACT:
        return bb_value_json_exact(v, out, cap);
    case CLI_FORM_BIN:
        return bb_value_binary(v, out, cap);
    case CLI_FORM_NATIVE:
        break;
    }
    return BB_EINVAL;
}

int
cli_value_append(struct cli_buffer *out, enum cli_form form, const struct bb_value *v)
{
    size_t need = 1024;
    for (;;) {
        char *room = cli_buffer_room(out, need);
        if (room == NULL) {
            return out->err;
        }
        size_t cap = out->cap - out->bytes;
        int64_t bytes = print(v, form, room, cap);
        if (bytes < 0) {
            return (int)bytes;
        }
        if ((size_t)bytes < cap) {
            out->bytes += (size_t)bytes;
            return 0;
        }
        need = (size_t)bytes + 1;
    }
}

int
cli_value_print(struct cli_buffer *out, enum cli_form form, const struct cli_buffer *native)
{
    struct bb_value v = {(const unsigned char *)native->p, native->bytes};
    struct cli_buffer binary = {0};
    if (form == CLI_FORM_NATIVE) {
        put_hex(out, v.p, v.bytes);
        return out->err;
    }
    if (form != CLI_FORM_BIN) {
        return cli_value_append(out, form, &v);
    }
    int rc = cli_value_append(&binary, form, &v);
    if (rc == 0) {
        put_hex(out, (const unsigned char *)binary.p, binary.bytes);
        rc = out->err;
    }
    cli_buffer_free(&binary);
    return rc;
}

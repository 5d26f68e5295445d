/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: a writer builds the value and then reads it as a logger would, so both sides have one and the same
 * way to a schema.
 */
#include "lib/cluster/log_schema.h"
#include "lib/value/native.h"
#include "lib/value/out.h"

#include <stdlib.h>
#include <string.h>

static bool
is_name_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'
           || c == '-' || c == '.';
}

bool
bbi_log_stream_ok(const char *name, size_t bytes)
{
    if (bytes == 0 || bytes > BBI_LOG_STREAM_MAX || name[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (!is_name_byte((unsigned char)name[i])) {
            return false;
        }
    }
    return true;
}

void
bbi_log_schema_free(struct bbi_log_schema *s)
{
    if (s != NULL) {
        free(s->columns);
        free(s->keys);
        free(s->wire);
        free(s);
    }
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* Appends `"name":` of one column; 0 or BB_ECORRUPT. */
static int
read_one(struct bb_iter *it, struct bbi_log_column *column, struct bbi_out *keys)
{
    const char *name;
    size_t bytes;
    int64_t type;
    size_t from = keys->len;
    if (bb_next_string(it, &name, &bytes) != 0 || bytes == 0 || bb_next_integer(it, &type) != 0
        || type < BB_TYPE_ANY || type > BB_VECTOR) {
        return BB_ECORRUPT;
    }
    bbi_out_quoted(keys, name, bytes);
    bbi_out_str(keys, ":");
    *column =
        (struct bbi_log_column){.type = (int32_t)type, .key_bytes = (uint32_t)(keys->len - from)};
    return 0;
}

/* All columns of a value whose stream was read; `keys` has room for six bytes for each of the value's. */
static int
read_columns(struct bbi_log_schema *s, struct bb_iter *it)
{
    struct bbi_out keys;
    size_t cap = (size_t)s->wire_bytes * 6;
    s->columns = calloc(s->count + 1, sizeof(*s->columns));
    s->keys = malloc(cap);
    if (s->columns == NULL || s->keys == NULL) {
        return BB_ENOMEM;
    }
    bbi_out_init(&keys, s->keys, cap);
    for (uint32_t i = 0; i < s->count; i++) {
        int rc = read_one(it, &s->columns[i], &keys);
        if (rc < 0) {
            return rc;
        }
    }
    return keys.len <= cap ? 0 : BB_ECORRUPT;
}

static int
read_wire(struct bbi_log_schema *s)
{
    struct bb_value v;
    struct bb_iter it;
    const char *stream = "";
    size_t bytes = 0;
    if (bb_value_open(&v, s->wire, s->wire_bytes) != 0 || bb_value_check(&v) != 0) {
        return BB_ECORRUPT;
    }
    int64_t n = bb_value_type(&v) == BB_VECTOR ? bb_iter_open(&it, &v) : BB_ECORRUPT;
    if (n < 3 || n % 2 != 1 || n / 2 > BBI_LOG_FIELDS_MAX
        || bb_next_string(&it, &stream, &bytes) != 0 || !bbi_log_stream_ok(stream, bytes)) {
        return BB_ECORRUPT;
    }
    memcpy(s->stream, stream, bytes);
    s->count = (uint32_t)(n / 2);
    return read_columns(s, &it);
}

int
bbi_log_schema_read(struct bbi_log_schema **out, const void *wire, size_t bytes)
{
    struct bbi_log_schema *s = calloc(1, sizeof(*s));
    int rc = s == NULL ? BB_ENOMEM : bytes > BBI_LOG_SCHEMA_MAX ? BB_ECORRUPT : 0;
    if (rc == 0) {
        s->wire = malloc(bytes + 1);
        rc = s->wire == NULL ? BB_ENOMEM : 0;
    }
    if (rc == 0) {
        memcpy(s->wire, wire, bytes);
        s->wire_bytes = (uint32_t)bytes;
        rc = read_wire(s);
    }
    if (rc < 0) {
        bbi_log_schema_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

/* ---- a writer's -------------------------------------------------------------------------------- */

/* What is wrong with it, or NULL. */
static const char *
complaint(const char *stream, const struct bb_log_field *fields, size_t count)
{
    if (stream == NULL || !bbi_log_stream_ok(stream, strlen(stream))) {
        return "a stream's name is 1 to 64 letters, digits, `_`, `-` and `.`, the last not first";
    }
    if (fields == NULL || count == 0 || count > BBI_LOG_FIELDS_MAX) {
        return "a stream has 1 to 1024 fields";
    }
    for (size_t i = 0; i < count; i++) {
        if (fields[i].name == NULL || fields[i].name[0] == '\0') {
            return "a field has no name";
        }
        if (fields[i].type < BB_TYPE_ANY || fields[i].type > BB_VECTOR) {
            return "a field's type is none of enum bb_type, nor BB_TYPE_ANY";
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(fields[i].name, fields[k].name) == 0) {
                return "two fields have the same name";
            }
        }
    }
    return NULL;
}

static int64_t
build(unsigned char *wire,
      size_t cap,
      const char *stream,
      const struct bb_log_field *fields,
      size_t count)
{
    struct bb_builder b;
    bb_build_init(&b, wire, cap);
    bb_put_vector_begin(&b);
    bb_put_string(&b, stream, strlen(stream));
    for (size_t i = 0; i < count; i++) {
        bb_put_string(&b, fields[i].name, strlen(fields[i].name));
        bb_put_integer(&b, fields[i].type);
    }
    bb_put_end(&b);
    return bb_build_end(&b);
}

int
bbi_log_schema_new(struct bbi_log_schema **out,
                   const char *stream,
                   const struct bb_log_field *fields,
                   size_t count,
                   const char **why)
{
    *why = complaint(stream, fields, count);
    if (*why != NULL) {
        return BB_EINVAL;
    }
    unsigned char *wire = malloc(BBI_LOG_SCHEMA_MAX);
    if (wire == NULL) {
        return BB_ENOMEM;
    }
    int64_t bytes = build(wire, BBI_LOG_SCHEMA_MAX, stream, fields, count);
    int rc = bytes < 0 ? (int)bytes : bbi_log_schema_read(out, wire, (size_t)bytes);
    free(wire);
    return rc;
}

/* ---- records ----------------------------------------------------------------------------------- */

int64_t
bbi_log_schema_check(const struct bbi_log_schema *s, const void *record, size_t bytes)
{
    const unsigned char *p = record;
    uint64_t head = bbi_head_read(p, bytes);
    if (head == 0) {
        return BB_ECORRUPT;
    }
    if (bbi_head_type(head) != BB_VECTOR
        || bbi_child_count(BB_VECTOR, bbi_get64(p + BBI_HEAD_BYTES)) != s->count) {
        return BB_ETYPE;
    }
    const unsigned char *end = p + bbi_head_bytes(head);
    const unsigned char *at = p + BBI_CONTAINER_BYTES;
    for (uint32_t i = 0; i < s->count; i++) {
        size_t left = at < end ? (size_t)(end - at) : 0;
        uint64_t field = bbi_head_read(at, left);
        int32_t type = (int32_t)bbi_head_type(field);
        if (field == 0) {
            return BB_ECORRUPT;
        }
        if (type != s->columns[i].type && type != BB_NONE && s->columns[i].type != BB_TYPE_ANY) {
            return BB_ETYPE;
        }
        if (bbi_is_container((uint32_t)type) && bbi_check(at, left) < 0) {
            return BB_ECORRUPT;
        }
        at += bbi_pad8(bbi_head_bytes(field));
    }
    return at == end ? (int64_t)bbi_head_bytes(head) : BB_ECORRUPT;
}

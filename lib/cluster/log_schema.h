/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/log_schema.h - the fields of a stream: as a value that travels, and as what a file needs.
 *
 * Used by    writers, which check records by it; loggers, which print by it.
 * Shape      The value is the vector (string stream, name, type, name, type, ...), types as integers.
 * Safety     A schema that is read may be hostile: it is checked as a whole, then copied.
 */
#ifndef BUSBAR_LIB_CLUSTER_LOG_SCHEMA_H
#define BUSBAR_LIB_CLUSTER_LOG_SCHEMA_H

#include <busbar/log.h>
#include <busbar/value.h>
#include <stdbool.h>

enum {
    BBI_LOG_STREAM_MAX = 64, /* bytes of a stream's name */
    BBI_LOG_FIELDS_MAX = 1024,
    BBI_LOG_SCHEMA_MAX = 32 * 1024, /* bytes of the value */
};

struct bbi_log_column {
    int32_t type;       /* enum bb_type or BB_TYPE_ANY */
    uint32_t key_bytes; /* of its `"name":` in keys */
};

struct bbi_log_schema {
    char stream[BBI_LOG_STREAM_MAX + 1];
    uint32_t count;
    struct bbi_log_column *columns;
    char *keys;          /* of all columns, one after the other */
    unsigned char *wire; /* the value */
    uint32_t wire_bytes;
};

/*
 * bbi_log_schema_new - of a writer.  BB_EINVAL: *why says what is wrong; BB_EMSGSIZE it has more than
 * BBI_LOG_SCHEMA_MAX bytes; BB_ENOMEM.
 */
BB_MUST_USE int bbi_log_schema_new(struct bbi_log_schema **out,
                                   const char *stream,
                                   const struct bb_log_field *fields,
                                   size_t count,
                                   const char **why);
/* bbi_log_schema_read - from a message.  BB_ECORRUPT; BB_ENOMEM. */
BB_MUST_USE int bbi_log_schema_read(struct bbi_log_schema **out, const void *wire, size_t bytes);
void bbi_log_schema_free(struct bbi_log_schema *s);

/* bbi_log_stream_ok - a name of 1 to 64 letters, digits, `_`, `-` and `.`, not first. */
bool bbi_log_stream_ok(const char *name, size_t bytes);

/*
 * bbi_log_schema_check - the bytes of the record that begins there, a multiple of 8; BB_ETYPE it is no vector of
 * these fields; BB_ECORRUPT.
 */
BB_MUST_USE int64_t bbi_log_schema_check(const struct bbi_log_schema *s,
                                         const void *record,
                                         size_t bytes);

#endif

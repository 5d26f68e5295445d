/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/support/vectors.h - rows of Broker's own vectors, and bytes written as hex.
 *
 * Used by    contract/binary_cases, unit/lib/value_binary.  Header-only: needs nothing but the C library.
 */
#ifndef BUSBAR_TESTS_SUPPORT_VECTORS_H
#define BUSBAR_TESTS_SUPPORT_VECTORS_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a hex string, into out; SIZE_MAX if it is no hex or has no room. */
static inline size_t
hex_read(const char *hex, unsigned char *out, size_t cap)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(hex);
    if (n % 2 != 0 || n / 2 > cap) {
        return (size_t)-1;
    }
    for (size_t i = 0; i < n; i++) {
        const char *at = strchr(digits, hex[i]);
        if (at == NULL) {
            return (size_t)-1;
        }
        unsigned char high = (unsigned char)(i % 2 == 0 ? 0 : out[i / 2] << 4);
        out[i / 2] = (unsigned char)(high | (unsigned char)(at - digits));
    }
    return n / 2;
}

/* Lower-case hex with a NUL; out has room for 2 * bytes + 1. */
static inline void
hex_write(const unsigned char *p, size_t bytes, char *out)
{
    for (size_t i = 0; i < bytes; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", (unsigned)p[i]);
    }
    out[2 * bytes] = '\0';
}

/* One row of $BB_DATA/broker/vectors.tsv. */
struct vector_row {
    const char *name;
    const char *hex;
    const char *json;
    const char *text;
};

/* The file, or NULL where the data is not. */
static inline FILE *
vectors_open(void)
{
    char path[4096];
    const char *data = getenv("BB_DATA");
    if (data == NULL) {
        return NULL;
    }
    (void)snprintf(path, sizeof(path), "%s/broker/vectors.tsv", data);
    return fopen(path, "r");
}

/* 1 and the next row, which lies in line; 0 at the end; -1 if a row is not as it should be. */
static inline int
vectors_next(FILE *f, char *line, int cap, struct vector_row *row)
{
    char *columns[4];
    if (fgets(line, cap, f) == NULL) {
        return 0;
    }
    line[strcspn(line, "\n")] = '\0';
    char *at = line;
    for (size_t i = 0; i < 4; i++) {
        columns[i] = at;
        at = strchr(at, '\t');
        if ((at == NULL) != (i == 3)) {
            return -1;
        }
        if (at != NULL) {
            *at++ = '\0';
        }
    }
    *row = (struct vector_row){columns[0], columns[1], columns[2], columns[3]};
    return 1;
}

#endif

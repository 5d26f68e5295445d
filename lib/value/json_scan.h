/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/json_scan.h - the tokens of JSON, one after the other, from a text that stays where it is.
 *
 * Used by    json_read.
 * Errors     Each function that returns false has filled the scanner's error.
 * Memory     None.  Nothing recurses: to skip a value takes one bit a level.
 */
#ifndef BUSBAR_LIB_VALUE_JSON_SCAN_H
#define BUSBAR_LIB_VALUE_JSON_SCAN_H

#include "lib/value/refuse.h"

struct bbi_json {
    const char *begin; /* offsets count from here */
    const char *p;     /* what comes next */
    const char *end;
    uint64_t skip_left; /* bytes that may still be skipped, as skipping reads them twice */
    struct bb_codec_error *error;
};

struct bbi_json_string {
    const char *raw; /* between the quotes */
    size_t raw_bytes;
    size_t bytes; /* once decoded; never more than raw_bytes */
};

/* bbi_json_init - text of at most end - p bytes, of which p may be behind its begin. */
void bbi_json_init(struct bbi_json *in,
                   const char *begin,
                   const char *p,
                   const char *end,
                   struct bb_codec_error *error);

/* bbi_json_refuse - false, with a sentence about the byte at `at`. */
bool bbi_json_refuse(const struct bbi_json *in, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* bbi_json_peek - the next byte that is no blank, or 0 at the end (and for a NUL, which JSON has not). */
char bbi_json_peek(struct bbi_json *in);

/* bbi_json_take - past this sign, with blanks before it. */
bool bbi_json_take(struct bbi_json *in, char sign);

/* bbi_json_string - a string whose escapes are all good. */
bool bbi_json_string(struct bbi_json *in, struct bbi_json_string *out);

/* bbi_json_decode - its bytes into out, which has room for them. */
void bbi_json_decode(const struct bbi_json_string *string, char *out);

/* bbi_json_is - true if the string, once decoded, is this short word. */
bool bbi_json_is(const struct bbi_json_string *string, const char *word);

/*
 * bbi_json_bare - a number, or one of the words true false null, and of Broker's inf -inf nan -nan; 0 bytes and
 * true when something else stands there.  Numbers follow RFC 8259.
 */
bool bbi_json_bare(struct bbi_json *in, const char **at, size_t *bytes);

/* bbi_json_skip - past one value of any kind, which must be legal JSON. */
bool bbi_json_skip(struct bbi_json *in);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/out.h - a text that grows in a buffer of fixed size and goes on counting, like snprintf.
 *
 * Used by    text, json; lib/endpoint/msg_json.
 * Threads    One at a time; no allocation.  Never depends on the locale.
 */
#ifndef BUSBAR_LIB_VALUE_OUT_H
#define BUSBAR_LIB_VALUE_OUT_H

#include <stddef.h>
#include <stdint.h>

struct bbi_out {
    char *p;
    size_t cap;
    size_t
        len; /* of the whole text, also of what found no room; may be set back to an earlier len */
};

void bbi_out_init(struct bbi_out *out, char *p, size_t cap);
/* bbi_out_finish - ends the text with NUL when cap > 0; returns its len. */
int64_t bbi_out_finish(struct bbi_out *out);
/* bbi_out_fail - leaves an empty text; returns the status. */
int64_t bbi_out_fail(struct bbi_out *out, int status);

void bbi_out_bytes(struct bbi_out *out, const void *s, size_t bytes);
void bbi_out_str(struct bbi_out *out, const char *s);
void bbi_out_u64(struct bbi_out *out, uint64_t v);
void bbi_out_i64(struct bbi_out *out, int64_t v);
/* v with zeros in front, `digits` (at most 20) long. */
void bbi_out_digits(struct bbi_out *out, uint64_t v, uint32_t digits);
/* v in lower-case hex, `digits` (at most 16) long. */
void bbi_out_hex(struct bbi_out *out, uint64_t v, uint32_t digits);
/* printf's %f with a point, whatever the locale says; "inf", "-inf", "nan". */
void bbi_out_real(struct bbi_out *out, double v);
/* A finite v with as many digits as it needs to be read back, and with a point or an exponent. */
void bbi_out_real_exact(struct bbi_out *out, double v);
/* YYYY-MM-DDThh:mm:ss in UTC, without fraction. */
void bbi_out_date(struct bbi_out *out, int64_t wall_s);

/*
 * bbi_out_quoted - a JSON string, legal for any bytes.
 *
 * Control bytes become \n and its kin or \u00XX.  A byte that is no part of valid UTF-8 becomes \u00XX, the
 * character of that number in Latin-1: legal and readable, though not told apart from that character itself.
 */
void bbi_out_quoted(struct bbi_out *out, const void *s, size_t bytes);

/* bbi_out_quoted_exact - the same, but such a byte becomes \udcXX, which no character has. */
void bbi_out_quoted_exact(struct bbi_out *out, const void *s, size_t bytes);

/* bbi_utf8_bytes - bytes (1..4) of the character at s, or 0 if it is not valid UTF-8. */
size_t bbi_utf8_bytes(const unsigned char *s, size_t left);

#endif

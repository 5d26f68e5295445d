/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: every piece goes through bbi_out_bytes(), which is the only one that knows where the room ends.
 */
#include "lib/value/out.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
bbi_out_init(struct bbi_out *out, char *p, size_t cap)
{
    *out = (struct bbi_out){.p = p, .cap = cap};
}

int64_t
bbi_out_finish(struct bbi_out *out)
{
    if (out->cap > 0) {
        out->p[out->len < out->cap ? out->len : out->cap - 1] = '\0';
    }
    return (int64_t)out->len;
}

int64_t
bbi_out_fail(struct bbi_out *out, int status)
{
    out->len = 0;
    (void)bbi_out_finish(out);
    return status;
}

void
bbi_out_bytes(struct bbi_out *out, const void *s, size_t bytes)
{
    if (out->len < out->cap && bytes > 0) {
        size_t room = out->cap - out->len;
        memcpy(out->p + out->len, s, bytes < room ? bytes : room);
    }
    out->len += bytes;
}

void
bbi_out_str(struct bbi_out *out, const char *s)
{
    bbi_out_bytes(out, s, strlen(s));
}

void
bbi_out_digits(struct bbi_out *out, uint64_t v, uint32_t digits)
{
    char text[20];
    char *p = text + sizeof(text);
    while (p > text && (v > 0 || text + sizeof(text) - p < (ptrdiff_t)digits)) {
        *--p = (char)('0' + v % 10);
        v /= 10;
    }
    bbi_out_bytes(out, p, (size_t)(text + sizeof(text) - p));
}

void
bbi_out_u64(struct bbi_out *out, uint64_t v)
{
    bbi_out_digits(out, v, 1);
}

void
bbi_out_i64(struct bbi_out *out, int64_t v)
{
    if (v < 0) {
        bbi_out_bytes(out, "-", 1);
    }
    bbi_out_u64(out, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void
bbi_out_real(struct bbi_out *out, double v)
{
    enum { DECIMALS = 6 };
    char text[352]; /* DBL_MAX has 309 digits before the point */
    if (!isfinite(v)) {
        bbi_out_str(out, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
        return;
    }
    int bytes = snprintf(text, sizeof(text), "%.*f", DECIMALS, v);
    size_t whole_bytes = strspn(text, "-0123456789");
    bbi_out_bytes(out, text, whole_bytes);
    bbi_out_bytes(out, ".", 1);
    bbi_out_bytes(out, text + bytes - DECIMALS, DECIMALS);
}

void
bbi_out_hex(struct bbi_out *out, uint64_t v, uint32_t digits)
{
    static const char hex[] = "0123456789abcdef";
    for (uint32_t i = digits; i > 0; i--) {
        bbi_out_bytes(out, hex + (v >> (4 * (i - 1)) & 15), 1);
    }
}

/* 17 digits are enough for every double, 15 are never wrong; both in the locale at hand, so the point is mended. */
void
bbi_out_real_exact(struct bbi_out *out, double v)
{
    char text[40];
    int bytes = 0;
    for (int digits = 15; digits <= 17; digits++) {
        bytes = snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    size_t whole_bytes = strspn(text, "-0123456789");
    const char *rest = text + whole_bytes;
    bbi_out_bytes(out, text, whole_bytes);
    if (whole_bytes == (size_t)bytes) {
        bbi_out_str(out, ".0");
        return;
    }
    if (*rest != 'e') {
        bbi_out_str(out, ".");
        rest += strcspn(rest, "0123456789");
    }
    bbi_out_str(out, rest);
}

/* The civil calendar from days since 1970-01-01, in eras of 400 years that begin on 1 March. */
static void
put_day(struct bbi_out *out, int64_t days)
{
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    uint64_t day_of_era = (uint64_t)(shifted - era * 146097);
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t march_month = (5 * day_of_year + 2) / 153;
    uint64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    int64_t year = (int64_t)year_of_era + era * 400 + (month <= 2);
    bbi_out_digits(out, (uint64_t)year, 4); /* nanoseconds in 64 bits: 1677 to 2262 */
    bbi_out_bytes(out, "-", 1);
    bbi_out_digits(out, month, 2);
    bbi_out_bytes(out, "-", 1);
    bbi_out_digits(out, day_of_year - (153 * march_month + 2) / 5 + 1, 2);
}

void
bbi_out_date(struct bbi_out *out, int64_t wall_s)
{
    int64_t days = wall_s / 86400 - (wall_s % 86400 < 0);
    uint64_t s = (uint64_t)(wall_s - days * 86400);
    put_day(out, days);
    bbi_out_bytes(out, "T", 1);
    bbi_out_digits(out, s / 3600, 2);
    bbi_out_bytes(out, ":", 1);
    bbi_out_digits(out, s / 60 % 60, 2);
    bbi_out_bytes(out, ":", 1);
    bbi_out_digits(out, s % 60, 2);
}

/* ---- JSON strings ------------------------------------------------------------------------------ */

size_t
bbi_utf8_bytes(const unsigned char *s, size_t left)
{
    if (left == 0) {
        return 0;
    }
    unsigned char lead = s[0];
    if (lead < 0x80) {
        return 1;
    }
    /* The second byte's range shuts out overlong forms, surrogates and what is above U+10FFFF. */
    size_t bytes = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned char least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0xc2 || lead > 0xf4 || left < bytes || s[1] < least || s[1] > most) {
        return 0;
    }
    for (size_t i = 2; i < bytes; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return bytes;
}

/* How many bytes from s on stand for themselves inside quotes. */
static size_t
plain_bytes(const unsigned char *s, size_t bytes)
{
    size_t i = 0;
    while (i < bytes) {
        size_t step =
            s[i] < 0x20 || s[i] == '"' || s[i] == '\\' ? 0 : bbi_utf8_bytes(s + i, bytes - i);
        if (step == 0) {
            break;
        }
        i += step;
    }
    return i;
}

static void
put_escaped(struct bbi_out *out, unsigned char c, const char *not_ascii)
{
    static const char named[] = "\"\\\b\f\n\r\t";
    static const char names[] = "\"\\bfnrt";
    const char *at = c == 0 ? NULL : strchr(named, c);
    if (at != NULL) {
        bbi_out_bytes(out, "\\", 1);
        bbi_out_bytes(out, names + (at - named), 1);
        return;
    }
    bbi_out_str(out, c < 0x80 ? "\\u00" : not_ascii);
    bbi_out_hex(out, c, 2);
}

static void
put_quoted(struct bbi_out *out, const void *s, size_t bytes, const char *not_ascii)
{
    const unsigned char *p = s;
    bbi_out_bytes(out, "\"", 1);
    while (bytes > 0) {
        size_t plain = plain_bytes(p, bytes);
        bbi_out_bytes(out, p, plain);
        p += plain;
        bytes -= plain;
        if (bytes > 0) {
            put_escaped(out, *p, not_ascii);
            p++;
            bytes--;
        }
    }
    bbi_out_bytes(out, "\"", 1);
}

void
bbi_out_quoted(struct bbi_out *out, const void *s, size_t bytes)
{
    put_quoted(out, s, bytes, "\\u00");
}

void
bbi_out_quoted_exact(struct bbi_out *out, const void *s, size_t bytes)
{
    put_quoted(out, s, bytes, "\\udc");
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/read.c - strict readers.  Times are exact: integer arithmetic, cut below one nanosecond.
 */
#include "tools/cli/read.h"

#include <busbar/status.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* skip_digits - the first character that is no digit. */
static const char *
skip_digits(const char *p)
{
    while (is_digit(*p)) {
        p++;
    }
    return p;
}

/* read_digits - digits up to end as a number; BB_EINVAL when there are none or too many. */
static int
read_digits(const char *p, const char *end, uint64_t *out)
{
    uint64_t v = 0;
    if (p == end) {
        return BB_EINVAL;
    }
    for (; p < end; p++) {
        if (__builtin_mul_overflow(v, UINT64_C(10), &v)
            || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v)) {
            return BB_EINVAL;
        }
    }
    *out = v;
    return 0;
}

int
cli_read_count(const char *text, uint64_t *out)
{
    const char *end = skip_digits(text);
    return *end == '\0' ? read_digits(text, end, out) : BB_EINVAL;
}

int
cli_read_number(const char *text, double *out)
{
    const char *p = text + (*text == '-' || *text == '+');
    const char *whole_end = skip_digits(p);
    int has_digits = whole_end > p;

    p = whole_end;
    if (*p == '.') {
        const char *fraction_end = skip_digits(p + 1);
        has_digits |= fraction_end > p + 1;
        p = fraction_end;
    }
    if (has_digits && (*p == 'e' || *p == 'E')) {
        const char *exponent = p + 1 + (p[1] == '-' || p[1] == '+');
        p = skip_digits(exponent);
        has_digits = p > exponent;
    }
    if (!has_digits || *p != '\0') {
        return BB_EINVAL;
    }
    *out = strtod(text, NULL);
    return 0;
}

/* unit_ns - nanoseconds of a unit's name, 0 if there is no such unit. */
static uint64_t
unit_ns(const char *name)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        {"ns", UINT64_C(1)},
        {"us", UINT64_C(1000)},
        {"ms", UINT64_C(1000000)},
        {"s", UINT64_C(1000000000)},
        {"m", UINT64_C(60000000000)},
        {"min", UINT64_C(60000000000)},
        {"h", UINT64_C(3600000000000)},
        {"d", UINT64_C(86400000000000)},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(units[i].name, name) == 0) {
            return units[i].ns;
        }
    }
    return 0;
}

int
cli_read_seconds(const char *text, int64_t *span_ns)
{
    const char *whole_end = skip_digits(text);
    const char *end = *whole_end == '.' ? skip_digits(whole_end + 1) : whole_end;
    uint64_t unit = unit_ns(*end == '\0' ? "s" : end);
    uint64_t v;

    if (unit == 0 || end == whole_end + 1 || read_digits(text, whole_end, &v) != 0
        || __builtin_mul_overflow(v, unit, &v)) {
        return BB_EINVAL;
    }
    for (const char *p = whole_end + 1; p < end; p++) {
        unit /= 10; /* every unit from us up is a multiple of 1000: exact to the nanosecond */
        if (__builtin_add_overflow(v, unit * (uint64_t)(*p - '0'), &v)) {
            return BB_EINVAL;
        }
    }
    if (v > INT64_MAX) {
        return BB_EINVAL;
    }
    *span_ns = (int64_t)v;
    return 0;
}

int
cli_read_life(const char *text, int64_t *span_ns)
{
    const int64_t max_ns = CLI_LIFE_DAYS_MAX * INT64_C(86400000000000);
    int64_t v;
    if (cli_read_seconds(text, &v) < 0 || v <= 0 || v > max_ns) {
        return BB_EINVAL;
    }
    *span_ns = v;
    return 0;
}

int
cli_read_bytes(const char *text, uint64_t *bytes)
{
    static const char units[] = "BKMGT";
    const char *end = skip_digits(text);
    const char *unit = *end != '\0' ? strchr(units, *end) : units;
    uint64_t v;

    if (unit == NULL || read_digits(text, end, &v) != 0) {
        return BB_EINVAL;
    }
    const int has_tail = *end != '\0' && end[1] != '\0';
    if (has_tail && (unit == units || strcmp(end + 1, "iB") != 0)) {
        return BB_EINVAL;
    }
    if (__builtin_mul_overflow(v, UINT64_C(1) << (10 * (unit - units)), &v)) {
        return BB_EINVAL;
    }
    *bytes = v;
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Times from their text, in integers throughout: exact to the nanosecond, what is below is cut off.
 */
#include "lib/value/leaf.h"

static const int64_t SECOND_NS = 1000000000;

struct cursor {
    const char *p;
    const char *end;
};

static bool
take_sign(struct cursor *c, char sign)
{
    if (c->p == c->end || *c->p != sign) {
        return false;
    }
    c->p++;
    return true;
}

/* Exactly so many digits, as a number from 0 to most. */
static bool
take_number(struct cursor *c, size_t digits, uint64_t most, int64_t *out)
{
    uint64_t v;
    if ((size_t)(c->end - c->p) < digits || !bbi_read_digits(c->p, digits, &v) || v > most) {
        return false;
    }
    c->p += digits;
    *out = (int64_t)v;
    return true;
}

/* ---- a point in time --------------------------------------------------------------------------- */

/* Days since 1970-01-01, in eras of 400 years that begin on 1 March; the inverse of out.c's put_day(). */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t march_year = year - (month <= 2);
    int64_t era = march_year / 400; /* -1 is rounded wrongly, and is refused with all before 1677 */
    int64_t year_of_era = march_year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
           - 719468;
}

static int64_t
days_in_month(int64_t year, int64_t month)
{
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    bool is_short = month == 4 || month == 6 || month == 9 || month == 11;
    return month == 2 ? 28 + is_leap : 31 - is_short;
}

static bool
take_date(struct cursor *c, int64_t *days)
{
    int64_t year;
    int64_t month;
    int64_t day;
    if (!take_number(c, 4, 9999, &year) || !take_sign(c, '-') || !take_number(c, 2, 12, &month)
        || !take_sign(c, '-') || !take_number(c, 2, 31, &day)) {
        return false;
    }
    if (month == 0 || day == 0 || day > days_in_month(year, month)) {
        return false;
    }
    *days = days_of(year, month, day);
    return true;
}

/* hh:mm:ss as seconds. */
static bool
take_clock(struct cursor *c, int64_t *s)
{
    int64_t hour;
    int64_t minute;
    int64_t second;
    if (!take_number(c, 2, 23, &hour) || !take_sign(c, ':') || !take_number(c, 2, 59, &minute)
        || !take_sign(c, ':') || !take_number(c, 2, 59, &second)) {
        return false;
    }
    *s = (hour * 60 + minute) * 60 + second;
    return true;
}

/* Digits behind a point, as so many of a whole; true also when there is no point. */
static bool
take_fraction(struct cursor *c, int64_t whole, int64_t *out)
{
    *out = 0;
    if (!take_sign(c, '.')) {
        return true;
    }
    size_t digits = bbi_digit_count(c->p, (size_t)(c->end - c->p));
    for (size_t i = 0; i < digits; i++) {
        whole /= 10;
        *out += whole * (c->p[i] - '0');
    }
    c->p += digits;
    return digits > 0;
}

/* Z, +hh, +hh:mm, +hhmm or nothing: seconds to the east of UTC. */
static bool
take_zone(struct cursor *c, int64_t *east_s)
{
    int64_t hour;
    int64_t minute = 0;
    *east_s = 0;
    if (c->p == c->end || take_sign(c, 'Z')) {
        return true;
    }
    bool is_west = take_sign(c, '-');
    if ((!is_west && !take_sign(c, '+')) || !take_number(c, 2, 23, &hour)) {
        return false;
    }
    bool has_minute = take_sign(c, ':') || c->p < c->end;
    if (has_minute && !take_number(c, 2, 59, &minute)) {
        return false;
    }
    *east_s = (hour * 60 + minute) * (is_west ? -60 : 60);
    return true;
}

/* The part below zero is counted from above, as the smallest time has a fraction too. */
static bool
join_ns(int64_t s, int64_t ns, int64_t *out)
{
    if (s < 0) {
        s++;
        ns -= SECOND_NS;
    }
    int64_t v;
    if (__builtin_mul_overflow(s, SECOND_NS, &v) || __builtin_add_overflow(v, ns, &v)) {
        return false;
    }
    *out = v;
    return true;
}

bool
bbi_read_time(const char *s, size_t bytes, int64_t *wall_ns)
{
    struct cursor c = {s, s + bytes};
    int64_t days;
    int64_t clock_s;
    int64_t ns;
    int64_t east_s;
    if (!take_date(&c, &days) || (!take_sign(&c, 'T') && !take_sign(&c, ' '))
        || !take_clock(&c, &clock_s) || !take_fraction(&c, SECOND_NS, &ns)
        || !take_zone(&c, &east_s) || c.p != c.end) {
        return false;
    }
    return join_ns(days * 86400 + clock_s - east_s, ns, wall_ns);
}

/* ---- a span of time ---------------------------------------------------------------------------- */

/* Nanoseconds of a unit, 0 if there is no such unit. */
static int64_t
unit_ns(const char *name, size_t bytes)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        {"ns", 1},
        {"us", 1000},
        {"ms", 1000000},
        {"s", 1000000000},
        {"m", INT64_C(60000000000)},
        {"min", INT64_C(60000000000)},
        {"h", INT64_C(3600000000000)},
        {"d", INT64_C(86400000000000)},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strlen(units[i].name) == bytes && memcmp(units[i].name, name, bytes) == 0) {
            return units[i].ns;
        }
    }
    return 0;
}

struct span_text {
    bool is_negative;
    const char *digits;
    size_t digit_count;
    int64_t unit_ns;
    int64_t fraction_ns;
};

static bool
split_span(const char *s, size_t bytes, struct span_text *out)
{
    struct cursor c = {s + bbi_sign_bytes(s, bytes), s + bytes};
    size_t digits = bbi_digit_count(c.p, (size_t)(c.end - c.p));
    *out = (struct span_text){
        .is_negative = bytes > 0 && *s == '-', .digits = c.p, .digit_count = digits};
    c.p += digits;
    const char *point = c.p;
    if (digits == 0 || !take_fraction(&c, 1, &out->fraction_ns)) {
        return false;
    }
    out->unit_ns = unit_ns(c.p, (size_t)(c.end - c.p));
    c.p = point;
    return out->unit_ns != 0 && take_fraction(&c, out->unit_ns, &out->fraction_ns);
}

bool
bbi_is_span(const char *s, size_t bytes)
{
    struct span_text text;
    return split_span(s, bytes, &text);
}

bool
bbi_read_span(const char *s, size_t bytes, int64_t *span_ns)
{
    struct span_text text;
    uint64_t v;
    if (!split_span(s, bytes, &text) || !bbi_read_digits(text.digits, text.digit_count, &v)
        || __builtin_mul_overflow(v, (uint64_t)text.unit_ns, &v)
        || __builtin_add_overflow(v, (uint64_t)text.fraction_ns, &v)
        || v > (uint64_t)INT64_MAX + text.is_negative) {
        return false;
    }
    *span_ns = (int64_t)(text.is_negative ? UINT64_C(0) - v : v);
    return true;
}

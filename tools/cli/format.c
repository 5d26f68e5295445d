/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/format.c - text for people.  Exact numbers go to JSON; here three digits are enough.
 */
#include "tools/cli/format.h"

#include "tools/cli/utf8.h"
#include <pwd.h>
#include <stdio.h>
#include <time.h>

/* put_scaled - v with as many digits as say something, and a unit. */
static const char *
put_scaled(char *buf, double v, double step, const char *const *units)
{
    size_t i = 0;
    while (v >= step && units[i + 1] != NULL) {
        v /= step;
        i++;
    }
    int digits = i > 0 && v < 1000 ? 1 : 0;
    snprintf(buf, CLI_NUMBER_BYTES, "%.*f%s", digits, v, units[i]);
    return buf;
}

const char *
cli_scaled(char buf[CLI_NUMBER_BYTES], double v)
{
    static const char *const units[] = {"", "k", "M", "G", "T", NULL};
    if (v > 0 && v < 10 && v != (double)(int)v) { /* a rate of 0.5 or 2.5 */
        snprintf(buf, CLI_NUMBER_BYTES, "%.1f", v);
        return buf;
    }
    return put_scaled(buf, v, 1000, units);
}

const char *
cli_bytes(char buf[CLI_NUMBER_BYTES], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", NULL};
    return put_scaled(buf, bytes, 1024, units);
}

const char *
cli_span(char buf[CLI_NUMBER_BYTES], int64_t span_ns)
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {
        {INT64_C(86400000000000), "d"}, {INT64_C(3600000000000), "h"}, {INT64_C(60000000000), "m"},
        {INT64_C(1000000000), "s"},     {INT64_C(1000000), "ms"},      {INT64_C(1000), "us"},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (span_ns >= units[i].ns) {
            double v = (double)span_ns / (double)units[i].ns;
            snprintf(buf, CLI_NUMBER_BYTES, "%.*f%s", v < 10 ? 1 : 0, v, units[i].name);
            return buf;
        }
    }
    snprintf(buf, CLI_NUMBER_BYTES, "%lldns", (long long)span_ns);
    return buf;
}

const char *
cli_wall(char buf[CLI_NUMBER_BYTES], int64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / INT64_C(1000000000));
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL
        || strftime(buf, CLI_NUMBER_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        snprintf(buf, CLI_NUMBER_BYTES, "-");
    }
    return buf;
}

const char *
cli_owner(char buf[CLI_OWNER_BYTES], int64_t uid)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char text[1024];

    if (uid < 0) {
        snprintf(buf, CLI_OWNER_BYTES, "an unknown user");
    } else if (getpwuid_r((uid_t)uid, &entry, text, sizeof(text), &found) == 0 && found != NULL) {
        snprintf(buf, CLI_OWNER_BYTES, "%.40s (uid %lld)", entry.pw_name, (long long)uid);
    } else {
        snprintf(buf, CLI_OWNER_BYTES, "uid %lld", (long long)uid);
    }
    return buf;
}

/* short_escape - the letter after the backslash, or 0. */
static char
short_escape(unsigned char c)
{
    switch (c) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\\':
        return '\\';
    default:
        return 0;
    }
}

/* is_printable - no control character, neither of ASCII nor of Latin 1 (C1, understood by terminals). */
static int
is_printable(uint32_t rune, int word)
{
    return rune >= (word ? 0x21U : 0x20U) && rune != 0x7f && !(rune >= 0x80 && rune < 0xa0)
           && rune != '\\';
}

void
cli_put_escaped(struct cli_buffer *out, const void *bytes, size_t count, int word)
{
    const unsigned char *p = bytes;
    const unsigned char *end = p + count;

    while (p < end) {
        uint32_t rune = 0;
        size_t length = cli_utf8_next(p, (size_t)(end - p), &rune);
        if (length > 0 && is_printable(rune, word)) {
            cli_buffer_put(out, p, length);
            p += length;
            continue;
        }
        char letter = short_escape(*p);
        if (letter != 0) {
            cli_buffer_printf(out, "\\%c", letter);
        } else {
            cli_buffer_printf(out, "\\x%02x", (unsigned)*p);
        }
        p++;
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/json.c - one flag is enough for the commas: it is cleared by `{` and `[` and set by all else.
 */
#include "tools/cli/json.h"

#include "tools/cli/utf8.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void
put_string(const char *text, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)text;
    const unsigned char *end = p + bytes;

    putchar('"');
    while (p < end) {
        uint32_t rune = 0;
        size_t length = cli_utf8_next(p, (size_t)(end - p), &rune);
        if (length == 0) {
            fputs("\xef\xbf\xbd", stdout);
            length = 1;
        } else if (rune == '"' || rune == '\\') {
            printf("\\%c", (int)rune);
        } else if (rune < 0x20 || rune == 0x7f) {
            printf("\\u%04x", (unsigned)rune);
        } else {
            fwrite(p, 1, length, stdout);
        }
        p += length;
    }
    putchar('"');
}

static void
begin(struct cli_json *j, const char *key)
{
    if (j->has_before) {
        putchar(',');
    }
    j->has_before = 1;
    if (key != NULL) {
        put_string(key, strlen(key));
        putchar(':');
    }
}

void
cli_json_object(struct cli_json *j, const char *key)
{
    begin(j, key);
    putchar('{');
    j->has_before = 0;
}

void
cli_json_array(struct cli_json *j, const char *key)
{
    begin(j, key);
    putchar('[');
    j->has_before = 0;
}

void
cli_json_end_object(struct cli_json *j)
{
    putchar('}');
    j->has_before = 1;
}

void
cli_json_end_array(struct cli_json *j)
{
    putchar(']');
    j->has_before = 1;
}

void
cli_json_bytes(struct cli_json *j, const char *key, const char *text, size_t bytes)
{
    begin(j, key);
    put_string(text, bytes);
}

void
cli_json_text(struct cli_json *j, const char *key, const char *text)
{
    cli_json_bytes(j, key, text, strlen(text));
}

void
cli_json_count(struct cli_json *j, const char *key, uint64_t v)
{
    begin(j, key);
    printf("%" PRIu64, v);
}

void
cli_json_integer(struct cli_json *j, const char *key, int64_t v)
{
    begin(j, key);
    printf("%" PRId64, v);
}

void
cli_json_real(struct cli_json *j, const char *key, double v)
{
    begin(j, key);
    printf("%.3f", isfinite(v) ? v : 0.0);
}

void
cli_json_boolean(struct cli_json *j, const char *key, int v)
{
    begin(j, key);
    fputs(v ? "true" : "false", stdout);
}

void
cli_json_null(struct cli_json *j, const char *key)
{
    begin(j, key);
    fputs("null", stdout);
}

void
cli_json_wall(struct cli_json *j, const char *key, int64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / INT64_C(1000000000));
    long long rest = (long long)(wall_ns % INT64_C(1000000000));
    char text[32];
    struct tm tm;

    if (wall_ns <= 0 || gmtime_r(&seconds, &tm) == NULL
        || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        cli_json_null(j, key);
        return;
    }
    begin(j, key);
    printf("\"%s.%09lldZ\"", text, rest);
}

void
cli_json_raw(struct cli_json *j, const char *key, const char *json, size_t bytes)
{
    begin(j, key);
    fwrite(json, 1, bytes, stdout);
}

void
cli_json_line_end(struct cli_json *j)
{
    putchar('\n');
    j->has_before = 0;
}

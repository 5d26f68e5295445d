/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/event_text.c - splits at commas outside quotes; each piece is tried as one type after the other.
 */
#include "tools/cli/event_text.h"

#include "tools/cli/buffer.h"
#include "tools/cli/read.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
fail(char *wrong, const char *what, const char *text, size_t bytes)
{
    snprintf(wrong, CLI_WRONG_BYTES, "%s: \"%.*s\"", what, (int)(bytes < 80 ? bytes : 80), text);
    return BB_EINVAL;
}

static const char *
skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

static int
is_digits(const char *text)
{
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* unescape - the character after a backslash at *p, which moves on; -1 if there is no such escape. */
static int
unescape(const char **p)
{
    static const char letters[] = "nrt\"\\";
    static const char meanings[] = "\n\r\t\"\\";
    char c = **p;
    const char *letter = c != '\0' ? strchr(letters, c) : NULL;

    if (letter != NULL) {
        (*p)++;
        return (unsigned char)meanings[letter - letters];
    }
    if (c == 'x' && hex_digit((*p)[1]) >= 0 && hex_digit((*p)[2]) >= 0) {
        int v = hex_digit((*p)[1]) * 16 + hex_digit((*p)[2]);
        *p += 3;
        return v;
    }
    return -1;
}

/* put_quoted - a string from the character after its quote; *p moves behind the closing one. */
static int
put_quoted(struct bb_builder *b, const char **p, char *wrong)
{
    const char *begin = *p;
    struct cli_buffer text = {0};
    int rc = 0;

    while (rc == 0 && **p != '"') {
        int c = (unsigned char)**p;
        if (c == '\0') {
            rc = fail(wrong, "a quote is not closed", begin, strlen(begin));
            break;
        }
        (*p)++;
        if (c == '\\') {
            c = unescape(p);
            rc = c < 0 ? fail(wrong, "no such escape", *p, 1) : 0;
        }
        char byte = (char)c;
        cli_buffer_put(&text, &byte, 1);
    }
    if (rc == 0) {
        (*p)++;
        bb_put_string(b, text.p != NULL ? text.p : "", text.bytes);
        rc = text.err;
    }
    cli_buffer_free(&text);
    return rc;
}

/* ---- bare words: each returns 1 when it was its type, 0 to try the next, BB_EINVAL --------------- */

static int
put_word(struct bb_builder *b, const char *text)
{
    if (strcmp(text, "T") == 0 || strcmp(text, "F") == 0) {
        bb_put_boolean(b, text[0] == 'T');
        return 1;
    }
    if (strcmp(text, "nil") == 0) {
        bb_put_none(b);
        return 1;
    }
    return 0;
}

static int
put_whole_number(struct bb_builder *b, const char *text, char *wrong)
{
    int has_sign = *text == '-' || *text == '+';
    uint64_t v;

    if (!is_digits(text + has_sign)) {
        return 0;
    }
    int rc = cli_read_count(text + has_sign, &v);
    if (rc != 0 || (has_sign && v > (uint64_t)INT64_MAX + (*text == '-'))) {
        return fail(wrong, "this number does not fit in 64 bits", text, strlen(text));
    }
    if (!has_sign) {
        bb_put_count(b, v);
    } else {
        bb_put_integer(b, (int64_t)(*text == '-' ? UINT64_C(0) - v : v));
    }
    return 1;
}

static int
put_real_or_span(struct bb_builder *b, const char *text)
{
    double real;
    int64_t span_ns;
    if (cli_read_number(text, &real) == 0) {
        bb_put_real(b, real);
        return 1;
    }
    if (cli_read_span(text, &span_ns) == 0) {
        bb_put_timespan(b, span_ns);
        return 1;
    }
    return 0;
}

/* read_address - IPv4 as ::ffff:a.b.c.d; *bits is what a whole address has. */
static int
read_address(const char *text, uint8_t ip[16], uint32_t *bits)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (inet_pton(AF_INET, text, ip + 12) == 1) {
        memcpy(ip, mapped, sizeof(mapped));
        *bits = 32;
        return 1;
    }
    *bits = 128;
    return inet_pton(AF_INET6, text, ip) == 1;
}

static int
put_port(struct bb_builder *b, const char *number, const char *protocol, char *wrong)
{
    static const char *const names[] = {"?", "tcp", "udp", "icmp"};
    uint64_t v;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!is_digits(number) || strcmp(names[i], protocol) != 0) {
            continue;
        }
        if (cli_read_count(number, &v) != 0 || v > UINT16_MAX) {
            return fail(wrong, "a port is at most 65535", number, strlen(number));
        }
        bb_put_port(b, (uint16_t)v, (enum bb_protocol)i);
        return 1;
    }
    return 0;
}

static int
put_network(struct bb_builder *b, const char *text, char *wrong)
{
    char head[64];
    const char *slash = strchr(text, '/');
    size_t head_bytes = slash != NULL ? (size_t)(slash - text) : strlen(text);
    uint8_t ip[16];
    uint32_t bits;
    uint64_t prefix;

    if (head_bytes >= sizeof(head)) {
        return 0;
    }
    memcpy(head, text, head_bytes);
    head[head_bytes] = '\0';
    if (slash == NULL) {
        if (!read_address(head, ip, &bits)) {
            return 0;
        }
        bb_put_address(b, ip);
        return 1;
    }
    if (!is_digits(slash + 1) || !read_address(head, ip, &bits)) {
        return put_port(b, head, slash + 1, wrong);
    }
    if (cli_read_count(slash + 1, &prefix) != 0 || prefix > bits) {
        return fail(wrong, "a subnet's prefix is at most 32 bits, IPv6 128", text, strlen(text));
    }
    bb_put_subnet(b, ip, (uint32_t)prefix);
    return 1;
}

static int
put_bare(struct bb_builder *b, const char *text, size_t bytes, char *wrong)
{
    char word[128]; /* what is longer is a string in any case */
    if (bytes >= sizeof(word)) {
        bb_put_string(b, text, bytes);
        return 0;
    }
    memcpy(word, text, bytes);
    word[bytes] = '\0';
    int rc = put_word(b, word);
    rc = rc == 0 ? put_whole_number(b, word, wrong) : rc;
    rc = rc == 0 ? put_real_or_span(b, word) : rc;
    rc = rc == 0 ? put_network(b, word, wrong) : rc;
    if (rc == 0) {
        bb_put_string(b, text, bytes);
    }
    return rc < 0 ? rc : 0;
}

/* put_argument - one argument; *p moves to what follows it and its blanks. */
static int
put_argument(struct bb_builder *b, const char **p, char *wrong)
{
    int rc;
    if (**p == '"') {
        (*p)++;
        rc = put_quoted(b, p, wrong);
    } else {
        const char *begin = *p;
        size_t bytes = strcspn(begin, ",()\"");
        *p += bytes;
        while (bytes > 0 && (begin[bytes - 1] == ' ' || begin[bytes - 1] == '\t')) {
            bytes--;
        }
        if (bytes == 0) {
            return fail(wrong, "an argument is empty (write \"\" for an empty string) before", *p,
                        strlen(*p));
        }
        rc = put_bare(b, begin, bytes, wrong);
    }
    if (rc == 0) {
        *p = skip_blanks(*p);
    }
    return rc;
}

/* put_arguments - from behind `(` to behind `)`. */
static int
put_arguments(struct bb_builder *b, const char **p, char *wrong)
{
    *p = skip_blanks(*p);
    if (**p == ')') {
        (*p)++;
        return 0;
    }
    for (;;) {
        int rc = put_argument(b, p, wrong);
        if (rc != 0) {
            return rc;
        }
        char c = **p;
        if (c != ',' && c != ')') {
            return fail(wrong, "`,` or `)` is missing (strings with such signs need quotes) before",
                        *p, strlen(*p));
        }
        (*p)++;
        if (c == ')') {
            return 0;
        }
        *p = skip_blanks(*p);
    }
}

int
cli_event_put(struct bb_builder *b, const char *text, char wrong[CLI_WRONG_BYTES])
{
    const char *name = skip_blanks(text);
    size_t bytes = strcspn(name, " \t,()\"");
    const char *p = skip_blanks(name + bytes);

    if (bytes == 0 || *p != '(') {
        return fail(wrong, "an event is written name(argument, ...), not", text, strlen(text));
    }
    p++;
    bb_event_begin(b, name, bytes);
    int rc = put_arguments(b, &p, wrong);
    if (rc != 0) {
        return rc;
    }
    bb_event_end(b);
    p = skip_blanks(p);
    return *p == '\0' ? 0 : fail(wrong, "something follows the event's `)`", p, strlen(p));
}

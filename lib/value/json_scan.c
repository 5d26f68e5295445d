/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: each byte is looked at where it lies; a string is measured and checked first, and decoded only
 * once its place is known.
 *
 * More liberal than RFC 8259 in what Broker itself writes: \v, bare inf and nan, bytes in strings that are no
 * UTF-8.  A lone surrogate \udc80 to \udcff is the byte of its last two digits, as bb_value_json_exact() writes.
 */
#include "lib/value/json_scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    SKIP_DEPTH =
        1024,        /* arrays and objects in what is skipped; a container of JSON v1 has up to 3 */
    SKIP_TIMES = 32, /* so often each byte may be skipped on average */
    SKIP_FREE_BYTES = 16 << 20, /* and so many in any case */
};

void
bbi_json_init(struct bbi_json *in,
              const char *begin,
              const char *p,
              const char *end,
              struct bb_codec_error *error)
{
    uint64_t bytes = (uint64_t)(end - p);
    *in = (struct bbi_json){
        .begin = begin,
        .p = p,
        .end = end,
        .skip_left = bytes > UINT64_MAX / 64 ? UINT64_MAX : bytes * SKIP_TIMES + SKIP_FREE_BYTES,
        .error = error,
    };
}

bool
bbi_json_refuse(const struct bbi_json *in, const char *at, const char *format, ...)
{
    char sentence[sizeof(in->error->sentence)];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    bbi_explain(in->error, (size_t)(at - in->begin), "%s", sentence);
    return false;
}

char
bbi_json_peek(struct bbi_json *in)
{
    while (in->p < in->end
           && (*in->p == ' ' || *in->p == '\t' || *in->p == '\n' || *in->p == '\r')) {
        in->p++;
    }
    return in->p < in->end ? *in->p : '\0';
}

static bool
refuse_missing(const struct bbi_json *in, const char *what)
{
    if (in->p == in->end) {
        return bbi_json_refuse(in, in->p, "the text ends where %s should stand", what);
    }
    return bbi_json_refuse(in, in->p, "here should stand %s", what);
}

bool
bbi_json_take(struct bbi_json *in, char sign)
{
    char what[4] = {'`', sign, '`', '\0'};
    if (bbi_json_peek(in) != sign) {
        return refuse_missing(in, what);
    }
    in->p++;
    return true;
}

/* ---- strings ----------------------------------------------------------------------------------- */

/* A piece of a string: so many raw bytes stand for so many bytes of utf8 (NULL: for themselves). */
struct piece {
    size_t raw_bytes; /* 0: not good, and why says so */
    size_t bytes;
    bool is_plain;
    unsigned char utf8[4];
    const char *why;
};

static struct piece
bad_piece(const char *why)
{
    return (struct piece){.why = why};
}

/* Four hex digits, or -1. */
static int32_t
read_hex4(const char *p, const char *end)
{
    int32_t v = 0;
    if (end - p < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        char lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9') {
            v = v << 4 | (c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            v = v << 4 | (lower - 'a' + 10);
        } else {
            return -1;
        }
    }
    return v;
}

static struct piece
utf8_piece(size_t raw_bytes, uint32_t code)
{
    static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
    struct piece piece = {.raw_bytes = raw_bytes};
    uint32_t more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    piece.utf8[piece.bytes++] = (unsigned char)(leads[more] | code >> (6 * more));
    while (more > 0) {
        more--;
        piece.utf8[piece.bytes++] = (unsigned char)(0x80 | (code >> (6 * more) & 0x3f));
    }
    return piece;
}

/* At the u of \uXXXX. */
static struct piece
unicode_piece(const char *p, const char *end)
{
    int32_t code = read_hex4(p + 1, end);
    if (code < 0) {
        return bad_piece("\\u needs four hex digits");
    }
    if (code < 0xd800 || code > 0xdfff) {
        return utf8_piece(6, (uint32_t)code);
    }
    if (code >= 0xdc80 && code <= 0xdcff) {
        struct piece byte = {.raw_bytes = 6, .bytes = 1, .utf8 = {(unsigned char)(code & 0xff)}};
        return byte;
    }
    int32_t low = end - p > 6 && p[5] == '\\' && p[6] == 'u' ? read_hex4(p + 7, end) : -1;
    if (code > 0xdbff || low < 0xdc00 || low > 0xdfff) {
        return bad_piece("half of a surrogate pair stands alone");
    }
    return utf8_piece(12, 0x10000u + (((uint32_t)code - 0xd800u) << 10) + (uint32_t)low - 0xdc00u);
}

/* At a backslash. */
static struct piece
escape_piece(const char *p, const char *end)
{
    static const char letters[] = "\"\\/bfnrtv";
    static const char meanings[] = "\"\\/\b\f\n\r\t\v";
    if (end - p < 2) {
        return bad_piece("the text ends inside an escape");
    }
    if (p[1] == 'u') {
        return unicode_piece(p + 1, end);
    }
    const char *at = p[1] == '\0' ? NULL : strchr(letters, p[1]);
    if (at == NULL) {
        return bad_piece(
            "there is no such escape; JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
    }
    struct piece piece = {.raw_bytes = 2, .bytes = 1};
    piece.utf8[0] = (unsigned char)meanings[at - letters];
    return piece;
}

/* The next piece at p, which is not the closing quote. */
static struct piece
next_piece(const char *p, const char *end)
{
    const char *q = p;
    while (q < end && (unsigned char)*q >= 0x20 && *q != '"' && *q != '\\') {
        q++;
    }
    if (q > p) {
        size_t bytes = (size_t)(q - p);
        return (struct piece){.raw_bytes = bytes, .bytes = bytes, .is_plain = true};
    }
    if (p < end && *p == '\\') {
        return escape_piece(p, end);
    }
    return bad_piece(p == end ? "the text ends inside a string"
                              : "a control character stands in a string; write it as \\u00XX");
}

bool
bbi_json_string(struct bbi_json *in, struct bbi_json_string *out)
{
    if (bbi_json_peek(in) != '"') {
        return refuse_missing(in, "a string in quotes");
    }
    const char *p = in->p + 1;
    struct bbi_json_string string = {.raw = p};
    while (p == in->end || *p != '"') {
        struct piece piece = next_piece(p, in->end);
        if (piece.raw_bytes == 0) {
            return bbi_json_refuse(in, p, "%s", piece.why);
        }
        p += piece.raw_bytes;
        string.bytes += piece.bytes;
    }
    string.raw_bytes = (size_t)(p - string.raw);
    in->p = p + 1;
    *out = string;
    return true;
}

void
bbi_json_decode(const struct bbi_json_string *string, char *out)
{
    const char *p = string->raw;
    const char *end = p + string->raw_bytes;
    size_t left =
        string->bytes; /* what was measured; the input may be shared memory that changes */
    while (p < end) {
        struct piece piece = next_piece(p, end);
        if (piece.raw_bytes == 0 || piece.bytes > left) {
            break;
        }
        memcpy(out, piece.is_plain ? p : (const char *)piece.utf8, piece.bytes);
        out += piece.bytes;
        left -= piece.bytes;
        p += piece.raw_bytes;
    }
    memset(out, 0, left);
}

bool
bbi_json_is(const struct bbi_json_string *string, const char *word)
{
    char text[32];
    size_t bytes = strlen(word);
    if (string->bytes != bytes || bytes > sizeof(text)) {
        return false;
    }
    bbi_json_decode(string, text);
    return memcmp(text, word, bytes) == 0;
}

/* ---- what stands bare -------------------------------------------------------------------------- */

static const char *
skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

/* The end of a number that RFC 8259 allows, or NULL. */
static const char *
number_end(const char *p, const char *end)
{
    p += p < end && *p == '-';
    const char *q = skip_digits(p, end);
    if (q == p || (*p == '0' && q > p + 1)) {
        return NULL;
    }
    if (q < end && *q == '.') {
        p = q + 1;
        q = skip_digits(p, end);
        if (q == p) {
            return NULL;
        }
    }
    if (q < end && (*q == 'e' || *q == 'E')) {
        p = q + 1;
        p += p < end && (*p == '-' || *p == '+');
        q = skip_digits(p, end);
        if (q == p) {
            return NULL;
        }
    }
    return q;
}

/* Letters, digits and signs that stand together: the whole of them must be one number or word. */
static const char *
run_end(const char *p, const char *end)
{
    while (p < end
           && ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
               || *p == '-' || *p == '+' || *p == '.')) {
        p++;
    }
    return p;
}

bool
bbi_json_bare(struct bbi_json *in, const char **at, size_t *bytes)
{
    static const char *const words[] = {"true", "false", "null", "inf", "-inf", "nan", "-nan"};
    (void)bbi_json_peek(in);
    const char *end = run_end(in->p, in->end);
    size_t run_bytes = (size_t)(end - in->p);
    bool is_good = run_bytes == 0 || number_end(in->p, end) == end;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !is_good; i++) {
        is_good = strlen(words[i]) == run_bytes && memcmp(words[i], in->p, run_bytes) == 0;
    }
    if (!is_good) {
        return bbi_json_refuse(in, in->p, "\"%.*s\" is neither a number nor a word of JSON",
                               (int)(run_bytes < 40 ? run_bytes : 40), in->p);
    }
    *at = in->p;
    *bytes = run_bytes;
    in->p = end;
    return true;
}

/* ---- skipping ---------------------------------------------------------------------------------- */

struct skip {
    uint32_t depth;
    unsigned char is_object[SKIP_DEPTH / 8]; /* a bit a level */
};

static bool
is_object(const struct skip *skip)
{
    uint32_t level = skip->depth - 1;
    return (skip->is_object[level / 8] >> level % 8 & 1) != 0;
}

static bool
skip_name(struct bbi_json *in)
{
    struct bbi_json_string name;
    return bbi_json_string(in, &name) && bbi_json_take(in, ':');
}

static bool
skip_scalar(struct bbi_json *in)
{
    struct bbi_json_string string;
    const char *at;
    size_t bytes;
    if (bbi_json_peek(in) == '"') {
        return bbi_json_string(in, &string);
    }
    return bbi_json_bare(in, &at, &bytes) && (bytes > 0 || refuse_missing(in, "a value"));
}

/* Into an array or object up to its first value, or past it if it is empty: *is_value says which. */
static bool
skip_open(struct bbi_json *in, struct skip *skip, bool *is_value)
{
    bool object = *in->p == '{';
    if (skip->depth == SKIP_DEPTH) {
        return bbi_json_refuse(in, in->p, "arrays and objects nest more than %d deep", SKIP_DEPTH);
    }
    in->p++;
    *is_value = false;
    if (bbi_json_peek(in) == (object ? '}' : ']')) {
        in->p++;
        *is_value = true;
        return true;
    }
    unsigned char bit = (unsigned char)(1u << skip->depth % 8);
    unsigned char *byte = &skip->is_object[skip->depth / 8];
    *byte = (unsigned char)(object ? *byte | bit : *byte & ~bit);
    skip->depth++;
    return !object || skip_name(in);
}

/* Behind a value: past what ends there, up to the next value; depth is 0 when none comes. */
static bool
skip_close(struct bbi_json *in, struct skip *skip)
{
    while (skip->depth > 0) {
        bool object = is_object(skip);
        if (bbi_json_peek(in) == ',') {
            in->p++;
            return !object || skip_name(in);
        }
        if (!bbi_json_take(in, object ? '}' : ']')) {
            return false;
        }
        skip->depth--;
    }
    return true;
}

static bool
skip_value(struct bbi_json *in)
{
    struct skip skip = {.depth = 0};
    do {
        char sign = bbi_json_peek(in);
        bool is_value = true;
        if (sign == '[' || sign == '{') {
            if (!skip_open(in, &skip, &is_value)) {
                return false;
            }
        } else if (!skip_scalar(in)) {
            return false;
        }
        if (is_value && !skip_close(in, &skip)) {
            return false;
        }
    } while (skip.depth > 0);
    return true;
}

bool
bbi_json_skip(struct bbi_json *in)
{
    const char *from = in->p;
    if (!skip_value(in)) {
        return false;
    }
    uint64_t bytes = (uint64_t)(in->p - from);
    if (bytes > in->skip_left) {
        return bbi_json_refuse(in, from,
                               "\"@data-type\" and \"key\" come last in too many values that nest; "
                               "write them first");
    }
    in->skip_left -= bytes;
    return true;
}

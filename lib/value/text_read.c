/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text into a builder: what bb_value_text() prints where it can be told what was meant, and what people type.
 *
 *     5  -5  2.5  T  nil  300ms  10.0.0.1  80/tcp  word    a leaf, by its looks (leaf.c)
 *     "a, b"                                               a string in quotes: \" \\ \n \t \r \xNN
 *     (a, b)  {a, b}  {k -> v}  {}                         vector, set, table, empty set
 *     {"@data-type":"count","data":5}                      JSON v1
 *
 * Inside containers a bare word ends at one of , ( ) { } " and inside braces at ->; blanks around it are not its.
 *
 * The idea: whether braces hold a set or a table shows behind the first element, so a set is begun, and its head
 * in the builder is made a table's when the arrow comes.  One byte for each open container, no recursion.
 */
#include "lib/value/build.h"
#include "lib/value/json_read.h"
#include "lib/value/leaf.h"
#include "lib/value/types.h"

enum kind {
    VECTOR,
    BRACES, /* a set or a table: the first element has not ended */
    SET,
    TABLE_KEY,
    TABLE_VALUE,
};

struct reader {
    struct bb_builder *b;
    struct bb_codec_error *error;
    const char *begin;
    const char *p;
    const char *end;
    int wanted;    /* the outermost container's type, or BB_TYPE_ANY */
    int outermost; /* what it turned out to be */
    uint32_t depth;
    uint8_t kinds[BB_VALUE_DEPTH];
};

#define REFUSE(r, at, ...)                                                                         \
    (bbi_explain((r)->error, (size_t)((at) - (r)->begin), __VA_ARGS__), false)

/* A piece of the text for a sentence: short, and without what would upset a terminal. */
struct quote {
    char text[44];
};

static struct quote
quote(const char *s, size_t bytes)
{
    struct quote q;
    size_t shown = bytes < 40 ? bytes : 40;
    for (size_t i = 0; i < shown; i++) {
        q.text[i] = s[i];
        if (s[i] < 0x20 || s[i] > 0x7e) {
            q.text[i] = '?';
        }
    }
    memcpy(q.text + shown, bytes > shown ? "..." : "", bytes > shown ? 4 : 1);
    return q;
}

static void
skip_blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t')) {
        r->p++;
    }
}

/* ---- strings in quotes ------------------------------------------------------------------------- */

static int
hex_digit(char c)
{
    char lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte at *p, which moves behind it, escapes undone; -1 if there is no such escape. */
static int
take_byte(const char **p, const char *end)
{
    static const char letters[] = "nrt\"\\";
    static const char meanings[] = "\n\r\t\"\\";
    const char *s = (*p)++;
    if (*s != '\\') {
        return (unsigned char)*s;
    }
    char c = end - s > 1 ? s[1] : '\0';
    const char *letter = c == '\0' ? NULL : strchr(letters, c);
    if (letter != NULL) {
        *p = s + 2;
        return (unsigned char)meanings[letter - letters];
    }
    if (c != 'x' || end - s < 4 || hex_digit(s[2]) < 0 || hex_digit(s[3]) < 0) {
        return -1;
    }
    *p = s + 4;
    return hex_digit(s[2]) * 16 + hex_digit(s[3]);
}

static void
decode(const char *p, const char *end, char *out, size_t bytes)
{
    for (size_t i = 0; i < bytes && p < end; i++) {
        out[i] = (char)take_byte(&p, end);
    }
}

static bool
put_quoted(struct reader *r, int type)
{
    const char *quote_at = r->p;
    const char *p = quote_at + 1;
    size_t bytes = 0;
    while (p < r->end && *p != '"') {
        const char *at = p;
        if (take_byte(&p, r->end) < 0) {
            return REFUSE(r, at, "there is no such escape; there are \\\" \\\\ \\n \\r \\t \\xNN");
        }
        bytes++;
    }
    if (p == r->end) {
        return REFUSE(r, quote_at, "a quote is not closed");
    }
    char *place = bbi_put_decoded(r->b, type, quote_at + 1, bytes);
    if (place != NULL) {
        decode(quote_at + 1, p, place, bytes);
    }
    r->p = p + 1;
    return true;
}

/* ---- leaves ------------------------------------------------------------------------------------ */

static const char *
article(int type)
{
    return type == BB_INTEGER || type == BB_ADDRESS || type == BB_ENUM ? "an" : "a";
}

static bool
put_typed(struct reader *r, int type, const char *s, size_t bytes)
{
    if (bbi_leaf_put(r->b, type, s, bytes)) {
        return true;
    }
    struct quote q = quote(s, bytes);
    return REFUSE(r, s, "\"%s\" is not %s %s, which is written %s", q.text, article(type),
                  bb_type_name(type), bbi_leaf_form(type));
}

static bool
put_guessed(struct reader *r, const char *s, size_t bytes)
{
    int type = bbi_leaf_type(s, bytes);
    if (bbi_leaf_put(r->b, type, s, bytes)) {
        return true;
    }
    struct quote q = quote(s, bytes);
    return REFUSE(r, s, "\"%s\" looks like %s %s, but is out of range: %s", q.text, article(type),
                  bb_type_name(type), bbi_leaf_form(type));
}

/* ---- containers -------------------------------------------------------------------------------- */

static bool
is_in_braces(const struct reader *r)
{
    return r->kinds[r->depth - 1] != VECTOR;
}

static bool
is_arrow(const struct reader *r, const char *p)
{
    return is_in_braces(r) && r->end - p >= 2 && p[0] == '-' && p[1] == '>';
}

/* Signs that end a bare word; a NUL is none. */
static bool
ends_word(const struct reader *r, const char *p)
{
    return (*p != '\0' && strchr(",(){}\"", *p) != NULL) || is_arrow(r, p);
}

static bool
put_word(struct reader *r)
{
    const char *s = r->p;
    while (r->p < r->end && !ends_word(r, r->p)) {
        r->p++;
    }
    const char *p = r->p;
    while (p > s && (p[-1] == ' ' || p[-1] == '\t')) {
        p--;
    }
    if (p == s) {
        return REFUSE(r, s, "%s",
                      r->p == r->end ? "the text ends where an element should stand"
                                     : "an element is empty; write \"\" for an empty string");
    }
    return put_guessed(r, s, (size_t)(p - s));
}

static bool
open_container(struct reader *r)
{
    if (bbi_build_depth(r->b) >= BB_VALUE_DEPTH) {
        return REFUSE(r, r->p, "containers nest more than %d deep", BB_VALUE_DEPTH);
    }
    bool is_vector = *r->p++ == '(';
    if (is_vector) {
        bb_put_vector_begin(r->b);
    } else if (r->depth == 0 && r->wanted == BB_TABLE) {
        bb_put_table_begin(r->b);
    } else {
        bb_put_set_begin(r->b);
    }
    r->kinds[r->depth++] = is_vector ? VECTOR : BRACES;
    skip_blanks(r);
    return true;
}

/* The open set is a table after all.  build.c says what its head holds meanwhile. */
static void
make_table(struct bb_builder *b)
{
    if (b->err == 0) {
        unsigned char *p = b->buf + b->open_off;
        bbi_put64(p, BBI_HEAD(bbi_head_bytes(bbi_once64(p)), BB_TABLE));
    }
}

static bool
close_container(struct reader *r)
{
    int kind = r->kinds[--r->depth];
    r->outermost = kind == VECTOR ? BB_VECTOR : kind == TABLE_VALUE ? BB_TABLE : BB_SET;
    bool was_good = r->b->err == 0;
    bb_put_end(r->b);
    if (was_good && r->b->err == BB_EEXIST) {
        return REFUSE(r, r->p,
                      kind == TABLE_VALUE ? "the table that ends here holds the same key twice"
                                          : "the set that ends here holds the same element twice");
    }
    r->p++;
    return true;
}

/* Behind an element: past what separates it from the next. */
static bool
separate(struct reader *r)
{
    uint8_t *kind = &r->kinds[r->depth - 1];
    if (is_arrow(r, r->p) && (*kind == BRACES || *kind == TABLE_KEY)) {
        if (*kind == BRACES) {
            make_table(r->b);
        }
        *kind = TABLE_VALUE;
        r->p += 2;
        return true;
    }
    if (*kind == TABLE_KEY) {
        return REFUSE(r, r->p, "`->` and a value are missing behind the key");
    }
    if (r->p == r->end || *r->p != ',') {
        return REFUSE(r, r->p,
                      "here `,` or `%c` should stand (strings with such signs need quotes)",
                      *kind == VECTOR ? ')' : '}');
    }
    *kind = *kind == BRACES ? SET : *kind == TABLE_VALUE ? TABLE_KEY : *kind;
    r->p++;
    return true;
}

static bool
is_closing(const struct reader *r)
{
    int kind = r->kinds[r->depth - 1];
    return r->p < r->end && kind != TABLE_KEY && *r->p == (kind == VECTOR ? ')' : '}');
}

/* Behind an element: past all that ends there, up to the next element; depth is 0 when none comes. */
static bool
go_on(struct reader *r)
{
    while (r->depth > 0) {
        skip_blanks(r);
        if (!is_closing(r)) {
            if (!separate(r)) {
                return false;
            }
            skip_blanks(r);
            return true;
        }
        if (!close_container(r)) {
            return false;
        }
    }
    return true;
}

static bool
put_json(struct reader *r)
{
    r->outermost = bbi_json_read(r->b, r->begin, &r->p, r->end, r->error);
    return r->outermost >= 0;
}

/* A container that has just been opened. */
static bool
close_empty(struct reader *r)
{
    if (r->depth == 1 && r->wanted == BB_TABLE && is_in_braces(r)) {
        r->kinds[0] = TABLE_VALUE;
    }
    return close_container(r) && go_on(r);
}

/* One element of the innermost container, or the outermost one. */
static bool
put_element(struct reader *r)
{
    char sign = r->p < r->end ? *r->p : '\0';
    if (sign == '{' && bbi_looks_like_json(r->p, r->end)) {
        return put_json(r) && go_on(r);
    }
    if (sign == '(' || sign == '{') {
        return open_container(r) && (!is_closing(r) || close_empty(r));
    }
    return (sign == '"' ? put_quoted(r, BB_STRING) : put_word(r)) && go_on(r);
}

static bool
expect_end(struct reader *r)
{
    skip_blanks(r);
    return r->p == r->end || REFUSE(r, r->p, "something follows the value");
}

static bool
put_container(struct reader *r)
{
    do {
        if (!put_element(r)) {
            return false;
        }
    } while (r->depth > 0);
    return expect_end(r);
}

static bool
put_wanted(struct reader *r)
{
    char sign = r->p < r->end ? *r->p : '\0';
    bool is_json = sign == '{' && bbi_looks_like_json(r->p, r->end);
    if (sign != (r->wanted == BB_VECTOR ? '(' : '{') && !is_json) {
        return put_typed(r, r->wanted, r->p, (size_t)(r->end - r->p));
    }
    if (!put_container(r)) {
        return false;
    }
    return r->outermost == r->wanted
           || REFUSE(r, r->begin, "this is not a %s, which is written %s", bb_type_name(r->wanted),
                     bbi_leaf_form(r->wanted));
}

static bool
put_any(struct reader *r)
{
    char sign = r->p < r->end ? *r->p : '\0';
    if (sign == '(' || sign == '{') {
        return put_container(r);
    }
    if (sign == '"') {
        return put_quoted(r, BB_STRING) && expect_end(r);
    }
    return put_guessed(r, r->p, (size_t)(r->end - r->p));
}

void
bb_put_text(
    struct bb_builder *b, int type, const char *text, size_t bytes, struct bb_codec_error *error)
{
    static const char empty[1];
    struct reader r;
    bool is_good;
    if (b->err != 0 && b->err != BB_EMSGSIZE) {
        return;
    }
    r.b = b;
    r.wanted = type;
    r.error = error;
    r.depth = 0;
    r.begin = r.p = bytes == 0 ? empty : text;
    r.end = r.begin + bytes;
    if (type == BB_TYPE_ANY) {
        is_good = put_any(&r);
    } else if (type < 0 || type >= BBI_TYPE_COUNT) {
        is_good = REFUSE(&r, r.p, "there is no type %d", type);
    } else {
        is_good =
            bbi_is_container((uint32_t)type) ? put_wanted(&r) : put_typed(&r, type, r.p, bytes);
    }
    if (!is_good) {
        bbi_refuse_input(b);
    }
}

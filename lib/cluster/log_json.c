/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: almost all fields are small.  So the room for a field's key and the longest small value is asked
 * for once, and then digits are put by a bare pointer; whatever is longer, rarer or nested goes through struct
 * bbi_out, which counts.
 */
#include "lib/cluster/log_json.h"
#include "lib/value/text.h"

#include <arpa/inet.h>
#include <math.h>
#include <string.h>

enum {
    SMALL_BYTES =
        64,      /* every value but strings, odd reals and containers; with the comma and the end */
    ESCAPED = 6, /* bytes that one byte of a string may become */
};

/* ---- small values: the caller has asked for room ------------------------------------------------ */

static char *
put_u64(char *p, uint64_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char text[20];
    char *at = text + sizeof(text);
    while (v >= 100) {
        at -= 2;
        memcpy(at, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        memcpy(at, pairs + v * 2, 2);
    } else {
        *--at = (char)('0' + v);
    }
    size_t bytes = (size_t)(text + sizeof(text) - at);
    memcpy(p, at, bytes);
    return p + bytes;
}

static char *
put_i64(char *p, int64_t v)
{
    if (v < 0) {
        *p++ = '-';
    }
    return put_u64(p, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

static char *
put_byte(char *p, unsigned v)
{
    if (v >= 100) {
        *p++ = (char)('0' + v / 100);
        v %= 100;
        *p++ = (char)('0' + v / 10);
        v %= 10;
    } else if (v >= 10) {
        *p++ = (char)('0' + v / 10);
        v %= 10;
    }
    *p++ = (char)('0' + v);
    return p;
}

/* v with zeros in front, so many digits long. */
static char *
put_digits(char *p, uint32_t v, uint32_t digits)
{
    for (uint32_t i = digits; i > 0; i--) {
        p[i - 1] = (char)('0' + v % 10);
        v /= 10;
    }
    return p + digits;
}

static char *
put_word(char *p, const char *word)
{
    while (*word != '\0') {
        *p++ = *word++;
    }
    return p;
}

/* Seconds with as many of nine decimals as are not zero, one at least. */
static char *
put_seconds(char *p, int64_t ns)
{
    uint64_t abs_ns = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    if (ns < 0) {
        *p++ = '-';
    }
    p = put_u64(p, abs_ns / 1000000000);
    *p++ = '.';
    p = put_digits(p, (uint32_t)(abs_ns % 1000000000), 9);
    for (int i = 0; i < 8 && p[-1] == '0'; i++) {
        p--;
    }
    return p;
}

/* Microseconds, as Zeek has them; rounded down, so that a time never comes out later than it was. */
static char *
put_time(char *p, int64_t wall_ns, uint32_t flags)
{
    int64_t us = wall_ns / 1000 - (wall_ns % 1000 < 0);
    int64_t s = us / 1000000 - (us % 1000000 < 0);
    uint32_t fraction = (uint32_t)(us - s * 1000000);
    if ((flags & BBI_LOG_JSON_ISO) != 0) {
        struct bbi_out out;
        *p++ = '"';
        bbi_out_init(&out, p, SMALL_BYTES / 2);
        bbi_out_date(&out, s);
        p += out.len;
        *p++ = '.';
        p = put_digits(p, fraction, 6);
        return put_word(p, "Z\"");
    }
    if (us < 0) { /* before 1970 the fraction counts away from it */
        *p++ = '-';
        us = -us;
        s = us / 1000000;
        fraction = (uint32_t)(us - s * 1000000);
    }
    p = put_u64(p, (uint64_t)s);
    *p++ = '.';
    return put_digits(p, fraction, 6);
}

static char *
put_ipv4(char *p, const unsigned char ip[4])
{
    for (int i = 0; i < 4; i++) {
        p = put_byte(p, ip[i]);
        *p++ = '.';
    }
    return p - 1;
}

static char *
put_ip(char *p, const unsigned char *body)
{
    unsigned char ip[16];
    memcpy(ip, body, sizeof(ip));
    if (bbi_is_ipv4(ip)) {
        return put_ipv4(p, ip + 12);
    }
    return inet_ntop(AF_INET6, ip, p, INET6_ADDRSTRLEN) != NULL ? p + strlen(p) : p;
}

static char *
put_subnet(char *p, const unsigned char *body, uint32_t bits)
{
    unsigned char ip[16];
    memcpy(ip, body, sizeof(ip));
    bool is_ipv4 = bits >= 96 && bbi_is_ipv4(ip);
    if (is_ipv4) {
        p = put_ipv4(p, ip + 12);
    } else {
        p = inet_ntop(AF_INET6, ip, p, INET6_ADDRSTRLEN) != NULL ? p + strlen(p) : p;
    }
    *p++ = '/';
    return put_u64(p, is_ipv4 ? bits - 96 : bits);
}

/*
 * A real that six decimals say exactly, as most are: in digits, without asking printf().  Else with as many
 * digits as it takes to be read back.
 */
static char *
put_real(char *p, uint64_t bits)
{
    double v;
    struct bbi_out out;
    memcpy(&v, &bits, sizeof(v));
    double micro = v * 1e6;
    int64_t n = micro > -9e15 && micro < 9e15 ? (int64_t)micro : 0;
    if ((double)n == micro && micro / 1e6 == v) {
        if (signbit(v) != 0) {
            *p++ = '-';
        }
        n = n < 0 ? -n : n;
        p = put_u64(p, (uint64_t)n / 1000000);
        *p++ = '.';
        p = put_digits(p, (uint32_t)(n % 1000000), 6);
        for (int i = 0; i < 5 && p[-1] == '0'; i++) {
            p--;
        }
        return p;
    }
    bbi_out_init(&out, p, SMALL_BYTES - 2);
    if (isfinite(v)) {
        bbi_out_real_exact(&out, v);
    } else {
        bbi_out_str(&out, isnan(v) ? "\"nan\"" : v < 0 ? "\"-inf\"" : "\"inf\"");
    }
    return p + out.len;
}

/* Everything that fits SMALL_BYTES with what stands around it: no string, enum, container. */
static char *
put_small(char *p, const unsigned char *value, uint64_t head, uint32_t flags)
{
    const unsigned char *body = value + BBI_HEAD_BYTES;
    switch (bbi_head_type(head)) {
    case BB_BOOLEAN:
        return put_word(p, bbi_head_a(head) != 0 ? "true" : "false");
    case BB_COUNT:
        return put_u64(p, bbi_get64(body));
    case BB_INTEGER:
        return put_i64(p, (int64_t)bbi_get64(body));
    case BB_REAL:
        return put_real(p, bbi_get64(body));
    case BB_PORT:
        return put_u64(p, bbi_head_b(head));
    case BB_TIMESTAMP:
        return put_time(p, (int64_t)bbi_get64(body), flags);
    case BB_TIMESPAN:
        return put_seconds(p, (int64_t)bbi_get64(body));
    case BB_ADDRESS:
        *p++ = '"';
        p = put_ip(p, body);
        *p++ = '"';
        return p;
    case BB_SUBNET:
        *p++ = '"';
        p = put_subnet(p, body, bbi_head_a(head));
        *p++ = '"';
        return p;
    default:
        return put_word(p, "null");
    }
}

/* ---- strings ----------------------------------------------------------------------------------- */

static bool
is_text(uint32_t type)
{
    return type == BB_STRING || type == BB_ENUM;
}

/* Copies what stands for itself in quotes, eight bytes at a time; how many bytes that were. */
static size_t
copy_plain(char *p, const unsigned char *s, size_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    size_t i = 0;
    while (bytes - i >= 8) {
        uint64_t w;
        memcpy(&w, s + i, 8);
        memcpy(p + i, &w, 8);
        uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';
        uint64_t odd = (w | (w - ones * 0x20) | (quote - ones) | (slash - ones)) & tops;
        if (odd != 0) {
            break;
        }
        i += 8;
    }
    while (i < bytes && s[i] >= 0x20 && s[i] < 0x80 && s[i] != '"' && s[i] != '\\') {
        p[i] = (char)s[i];
        i++;
    }
    return i;
}

/* The caller has asked for 8 + ESCAPED * bytes. */
static char *
put_text(char *p, const unsigned char *s, size_t bytes)
{
    char *from = p++;
    *from = '"';
    size_t plain = copy_plain(p, s, bytes);
    if (plain == bytes) {
        p[bytes] = '"';
        return p + bytes + 1;
    }
    struct bbi_out out;
    bbi_out_init(&out, from, 8 + ESCAPED * bytes);
    bbi_out_quoted(&out, s, bytes);
    return from + out.len;
}

/* ---- containers -------------------------------------------------------------------------------- */

/* A table's key has to be a string: its JSON when that is one, else its text in quotes. */
static void
put_key(struct bbi_out *out, const struct bbi_walk *w, uint32_t flags)
{
    char text[SMALL_BYTES];
    const unsigned char *body = w->value + BBI_HEAD_BYTES;
    if (is_text(w->type)) {
        bbi_out_quoted(out, body, bbi_head_bytes(w->head) - BBI_HEAD_BYTES);
        return;
    }
    char *end = put_small(text, w->value, w->head, flags);
    bool is_quoted = text[0] == '"';
    bbi_out_str(out, is_quoted ? "" : "\"");
    bbi_out_bytes(out, text, (size_t)(end - text));
    bbi_out_str(out, is_quoted ? "" : "\"");
}

static void
put_leaf(struct bbi_out *out, const struct bbi_walk *w, uint32_t flags)
{
    char text[SMALL_BYTES];
    if (is_text(w->type)) {
        bbi_out_quoted(out, w->value + BBI_HEAD_BYTES, bbi_head_bytes(w->head) - BBI_HEAD_BYTES);
    } else {
        char *end = put_small(text, w->value, w->head, flags);
        bbi_out_bytes(out, text, (size_t)(end - text));
    }
}

static bool
is_key(const struct bbi_walk_frame *parent)
{
    return parent != NULL && parent->type == BB_TABLE && parent->done % 2 == 1;
}

static void
put_separator(struct bbi_out *out, const struct bbi_walk_frame *parent)
{
    if (parent != NULL && parent->type == BB_TABLE && parent->done % 2 == 0) {
        bbi_out_str(out, ":");
    } else if (parent != NULL && parent->done > 1) {
        bbi_out_str(out, ",");
    }
}

/* A key that is a container: its text form, in quotes, and the walk stands behind it. */
static int
put_container_key(struct bbi_out *out, struct bbi_walk *w)
{
    struct bb_value v = {.p = w->value, .bytes = bbi_head_bytes(w->head)};
    uint32_t depth = w->depth;
    int64_t bytes = bb_value_text(&v, NULL, 0);
    if (bytes < 0) {
        return (int)bytes;
    }
    /* The text is put behind the room that its quoted form may need, then moved into it. */
    size_t need = (size_t)bytes * ESCAPED + 2;
    if (out->len + need + (size_t)bytes + 1 <= out->cap) {
        char *text = out->p + out->len + need;
        int64_t again = bb_value_text(&v, text, (size_t)bytes + 1);
        bbi_out_quoted(out, text, again < 0 ? 0 : again < bytes ? (size_t)again : (size_t)bytes);
    } else {
        out->len += need + (size_t)bytes + 1;
    }
    int step;
    while ((step = bbi_walk_next(w)) > 0) {
        if (step == BBI_WALK_LEAVE && w->depth < depth) {
            break;
        }
    }
    return step < 0 ? step : 0;
}

static int
put_container(struct bbi_out *out, const unsigned char *value, size_t bytes, uint32_t flags)
{
    struct bbi_walk w;
    int step;
    bbi_walk_init(&w, value, bytes);
    while ((step = bbi_walk_next(&w)) > 0) {
        if (step == BBI_WALK_LEAVE) {
            bbi_out_str(out, w.type == BB_TABLE ? "}" : "]");
            continue;
        }
        put_separator(out, w.parent);
        if (step == BBI_WALK_ENTER && is_key(w.parent)) {
            step = put_container_key(out, &w);
            if (step < 0) {
                break;
            }
        } else if (step == BBI_WALK_ENTER) {
            bbi_out_str(out, w.type == BB_TABLE ? "{" : "[");
        } else if (is_key(w.parent)) {
            put_key(out, &w, flags);
        } else {
            put_leaf(out, &w, flags);
        }
    }
    return step;
}

/* ---- a record ---------------------------------------------------------------------------------- */

struct line {
    char *out;
    size_t cap;
    size_t len; /* beyond cap: only counted from here on */
    uint32_t flags;
};

static bool
has_room(const struct line *l, size_t bytes)
{
    return l->len <= l->cap && bytes <= l->cap - l->len;
}

/* The key, and what stands before it. */
static char *
put_field_key(char *p, const char *key, size_t key_bytes, bool is_first)
{
    *p = is_first ? '{' : ',';
    memcpy(p + 1, key, key_bytes);
    return p + 1 + key_bytes;
}

static int
put_field(struct line *l, const char *key, size_t key_bytes, const unsigned char *at, uint64_t head)
{
    uint32_t type = bbi_head_type(head);
    size_t text_bytes = is_text(type) ? bbi_head_bytes(head) - BBI_HEAD_BYTES : 0;
    size_t need = key_bytes + SMALL_BYTES + text_bytes * ESCAPED;
    if (!has_room(l, need)) {
        l->len += need;
        l->cap = l->len > l->cap ? 0 : l->cap; /* nothing is put from here on */
        if (!bbi_is_container(type)) {
            return 0;
        }
    }
    struct bbi_out out;
    bool is_put = has_room(l, need);
    char *p = is_put ? put_field_key(l->out + l->len, key, key_bytes, l->len == 0) : NULL;
    if (bbi_is_container(type)) {
        size_t room = is_put ? l->cap - l->len - 1 - key_bytes : 0;
        bbi_out_init(&out, p, room);
        int rc = put_container(&out, at, bbi_head_bytes(head), l->flags);
        l->len += 1 + key_bytes + out.len;
        l->cap = l->len > l->cap ? 0 : l->cap;
        return rc;
    }
    p = is_text(type) ? put_text(p, at + BBI_HEAD_BYTES, text_bytes)
                      : put_small(p, at, head, l->flags);
    l->len = (size_t)(p - l->out);
    return 0;
}

static int64_t
put_end(struct line *l)
{
    if (has_room(l, 3)) {
        char *p = l->out + l->len;
        p = l->len == 0 ? put_word(p, "{") : p;
        p = put_word(p, "}\n");
        return p - l->out;
    }
    return (int64_t)(l->len + 3);
}

int64_t
bbi_log_json(char *out,
             size_t cap,
             const struct bbi_log_schema *s,
             const unsigned char *record,
             size_t window,
             uint32_t flags,
             size_t *used)
{
    struct line l = {.out = out, .cap = cap, .flags = flags};
    uint64_t whole = bbi_head_read(record, window);
    if (whole == 0) {
        return BB_ECORRUPT;
    }
    *used = bbi_pad8(bbi_head_bytes(whole));
    if (bbi_head_type(whole) != BB_VECTOR
        || bbi_child_count(BB_VECTOR, bbi_get64(record + BBI_HEAD_BYTES)) != s->count) {
        return BB_ETYPE;
    }
    const char *key = s->keys;
    size_t at = BBI_CONTAINER_BYTES, bytes = bbi_head_bytes(whole);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct bbi_log_column *column = &s->columns[i];
        uint64_t head = at < bytes ? bbi_head_read(record + at, bytes - at) : 0;
        int32_t type = (int32_t)bbi_head_type(head);
        if (head == 0 || (type != column->type && type != BB_NONE && column->type != BB_TYPE_ANY)) {
            return BB_ETYPE;
        }
        if (type != BB_NONE && put_field(&l, key, column->key_bytes, record + at, head) < 0) {
            return BB_ETYPE;
        }
        key += column->key_bytes;
        at += bbi_pad8(bbi_head_bytes(head));
    }
    return put_end(&l);
}

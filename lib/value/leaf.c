/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: one strict reader a type.  What a text looks like is told by its shape alone, so that a number that
 * does not fit is refused and does not turn into a string.
 */
#include "lib/value/leaf.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const protocols[] = {"?", "tcp", "udp", "icmp"};

static bool
is_word(const char *s, size_t bytes, const char *word)
{
    return strlen(word) == bytes && memcmp(s, word, bytes) == 0;
}

/* Where the slash is; bytes if there is none. */
static size_t
find_slash(const char *s, size_t bytes)
{
    const char *slash = bytes == 0 ? NULL : memchr(s, '/', bytes);
    return slash == NULL ? bytes : (size_t)(slash - s);
}

/* ---- numbers ----------------------------------------------------------------------------------- */

static bool
read_integer(const char *s, size_t bytes, int64_t *out)
{
    size_t sign = bbi_sign_bytes(s, bytes);
    bool is_negative = sign == 1 && *s == '-';
    uint64_t v;
    if (!bbi_read_digits(s + sign, bytes - sign, &v) || v > (uint64_t)INT64_MAX + is_negative) {
        return false;
    }
    *out = (int64_t)(is_negative ? UINT64_C(0) - v : v);
    return true;
}

/* -0 is a count too: JSON's parsers make no difference. */
static bool
read_count(const char *s, size_t bytes, uint64_t *out)
{
    int64_t v;
    if (bytes > 0 && *s == '-' && read_integer(s, bytes, &v) && v == 0) {
        *out = 0;
        return true;
    }
    return bbi_read_digits(s, bytes, out);
}

/* [sign]digits[.digits][e[sign]digits] with a digit before the exponent. */
static bool
is_decimal(const char *s, size_t bytes)
{
    size_t i = bbi_sign_bytes(s, bytes);
    size_t digits = bbi_digit_count(s + i, bytes - i);
    i += digits;
    if (i < bytes && s[i] == '.') {
        size_t decimals = bbi_digit_count(s + i + 1, bytes - i - 1);
        digits += decimals;
        i += 1 + decimals;
    }
    if (digits > 0 && i < bytes && (s[i] == 'e' || s[i] == 'E')) {
        i++;
        i += bbi_sign_bytes(s + i, bytes - i);
        digits = bbi_digit_count(s + i, bytes - i);
        i += digits;
    }
    return digits > 0 && i == bytes;
}

/* strtod() reads the point of the locale at hand, and printf() says which that is. */
static bool
read_decimal(const char *s, size_t bytes, double *out)
{
    char text[BBI_WORD_MAX + 8];
    char half[16];
    if (bytes > BBI_WORD_MAX || !is_decimal(s, bytes)) {
        return false;
    }
    const char *point = memchr(s, '.', bytes);
    size_t whole_bytes = point == NULL ? bytes : (size_t)(point - s);
    size_t at = whole_bytes;
    memcpy(text, s, whole_bytes);
    if (point != NULL) {
        size_t point_bytes = (size_t)snprintf(half, sizeof(half), "%.1f", 0.5) - 2;
        memcpy(text + at, half + 1, point_bytes);
        at += point_bytes;
        memcpy(text + at, point + 1, bytes - whole_bytes - 1);
        at += bytes - whole_bytes - 1;
    }
    text[at] = '\0';
    *out = strtod(text, NULL);
    return isfinite(*out) != 0;
}

/* The bits of nan(HEX): 16 hex digits that are a NaN. */
static bool
read_nan_bits(const char *s, size_t bytes, uint64_t *bits)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t v = 0;
    if (bytes != 21 || memcmp(s, "nan(", 4) != 0 || s[20] != ')') {
        return false;
    }
    for (size_t i = 4; i < 20; i++) {
        const char *at = s[i] == '\0' ? NULL : strchr(digits, s[i]);
        if (at == NULL) {
            return false;
        }
        v = v << 4 | (uint64_t)(at - digits);
    }
    *bits = v;
    return (v & INT64_MAX) > UINT64_C(0x7ff) << 52;
}

static bool
read_real(const char *s, size_t bytes, double *out)
{
    static const struct {
        const char *word;
        uint64_t bits;
    } odd[] = {
        {"inf", UINT64_C(0x7ff) << 52},
        {"-inf", UINT64_C(0xfff) << 52},
        {"nan", UINT64_C(0xfff) << 51},
        {"-nan", UINT64_C(0x1fff) << 51},
    };
    uint64_t bits = 0;
    bool is_odd = read_nan_bits(s, bytes, &bits);
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]) && !is_odd; i++) {
        is_odd = is_word(s, bytes, odd[i].word);
        bits = odd[i].bits;
    }
    if (is_odd) {
        memcpy(out, &bits, sizeof(*out));
        return true;
    }
    return read_decimal(s, bytes, out);
}

/* ---- networks ---------------------------------------------------------------------------------- */

/* IPv4 as ::ffff:a.b.c.d; *bits is what a whole address of its kind has. */
static bool
read_ip(const char *s, size_t bytes, uint8_t ip[16], uint32_t *bits)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[INET6_ADDRSTRLEN];
    if (bytes >= sizeof(text) || (bytes > 0 && memchr(s, '\0', bytes) != NULL)) {
        return false;
    }
    memcpy(text, s, bytes);
    text[bytes] = '\0';
    if (inet_pton(AF_INET, text, ip + 12) == 1) {
        memcpy(ip, mapped, sizeof(mapped));
        *bits = 32;
        return true;
    }
    *bits = 128;
    return inet_pton(AF_INET6, text, ip) == 1;
}

/* ::ffff:10.0.0.0/104 is 10.0.0.0/8; with fewer than 96 bits it is a subnet of IPv6. */
static bool
put_subnet(struct bb_builder *b, const char *s, size_t bytes)
{
    size_t slash = find_slash(s, bytes);
    uint8_t ip[16];
    uint32_t most;
    uint64_t prefix;
    if (slash == bytes || !read_ip(s, slash, ip, &most)
        || !bbi_read_digits(s + slash + 1, bytes - slash - 1, &prefix) || prefix > most) {
        return false;
    }
    uint32_t bits = (uint32_t)prefix;
    if (most == 128 && bbi_is_ipv4(ip) && bits >= 96) {
        bits -= 96;
    } else if (most == 128) {
        bbi_mask_ip(ip, bits);
    }
    bb_put_subnet(b, ip, bits);
    return true;
}

static bool
is_subnet(const char *s, size_t bytes)
{
    size_t slash = find_slash(s, bytes);
    uint8_t ip[16];
    uint32_t bits;
    return slash + 1 < bytes
           && bbi_digit_count(s + slash + 1, bytes - slash - 1) == bytes - slash - 1
           && read_ip(s, slash, ip, &bits);
}

/* The protocol's number, -1 if there is none of this name; without slash it is TCP, as for Broker. */
static int
read_protocol(const char *s, size_t bytes, size_t slash)
{
    for (int i = 0; i < 4 && slash < bytes; i++) {
        if (is_word(s + slash + 1, bytes - slash - 1, protocols[i])) {
            return i;
        }
    }
    return slash == bytes ? BB_PROTO_TCP : -1;
}

static bool
put_port(struct bb_builder *b, const char *s, size_t bytes)
{
    size_t slash = find_slash(s, bytes);
    int protocol = read_protocol(s, bytes, slash);
    uint64_t number;
    if (protocol < 0 || !bbi_read_digits(s, slash, &number) || number > UINT16_MAX) {
        return false;
    }
    bb_put_port(b, (uint16_t)number, (enum bb_protocol)protocol);
    return true;
}

static bool
is_port(const char *s, size_t bytes)
{
    size_t slash = find_slash(s, bytes);
    return slash > 0 && slash < bytes && bbi_digit_count(s, slash) == slash
           && read_protocol(s, bytes, slash) >= 0;
}

/* ---- all types --------------------------------------------------------------------------------- */

static bool
put_boolean(struct bb_builder *b, const char *s, size_t bytes)
{
    bool v = is_word(s, bytes, "T") || is_word(s, bytes, "true");
    if (!v && !is_word(s, bytes, "F") && !is_word(s, bytes, "false")) {
        return false;
    }
    bb_put_boolean(b, v);
    return true;
}

static bool
put_number(struct bb_builder *b, int type, const char *s, size_t bytes)
{
    uint64_t count;
    int64_t integer;
    double real;
    if (type == BB_COUNT && read_count(s, bytes, &count)) {
        bb_put_count(b, count);
    } else if (type == BB_INTEGER && read_integer(s, bytes, &integer)) {
        bb_put_integer(b, integer);
    } else if (type == BB_REAL && read_real(s, bytes, &real)) {
        bb_put_real(b, real);
    } else {
        return false;
    }
    return true;
}

/* A timestamp is also the span since 1970, which is its text form. */
static bool
put_time(struct bb_builder *b, int type, const char *s, size_t bytes)
{
    int64_t ns;
    bool is_span = bbi_read_span(s, bytes, &ns);
    if (!is_span && (type == BB_TIMESPAN || !bbi_read_time(s, bytes, &ns))) {
        return false;
    }
    (type == BB_TIMESPAN ? bb_put_timespan : bb_put_timestamp)(b, ns);
    return true;
}

static bool
put_address(struct bb_builder *b, const char *s, size_t bytes)
{
    uint8_t ip[16];
    uint32_t bits;
    if (!read_ip(s, bytes, ip, &bits)) {
        return false;
    }
    bb_put_address(b, ip);
    return true;
}

static bool
put_none(struct bb_builder *b, const char *s, size_t bytes)
{
    if (!is_word(s, bytes, "nil")) {
        return false;
    }
    bb_put_none(b);
    return true;
}

bool
bbi_leaf_put(struct bb_builder *b, int type, const char *s, size_t bytes)
{
    switch (type) {
    case BB_NONE:
        return put_none(b, s, bytes);
    case BB_BOOLEAN:
        return put_boolean(b, s, bytes);
    case BB_COUNT:
    case BB_INTEGER:
    case BB_REAL:
        return put_number(b, type, s, bytes);
    case BB_ADDRESS:
        return put_address(b, s, bytes);
    case BB_SUBNET:
        return put_subnet(b, s, bytes);
    case BB_PORT:
        return put_port(b, s, bytes);
    case BB_TIMESTAMP:
    case BB_TIMESPAN:
        return put_time(b, type, s, bytes);
    case BB_STRING:
    case BB_ENUM:
        (type == BB_STRING ? bb_put_string : bb_put_enum)(b, s, bytes);
        return true;
    default:
        return false;
    }
}

int
bbi_leaf_type(const char *s, size_t bytes)
{
    enum { LONGEST = 352 }; /* DBL_MAX as text; what is longer is a string in any case */
    size_t sign = bbi_sign_bytes(s, bytes);
    uint8_t ip[16];
    uint32_t bits;
    if (bytes == 0 || bytes > LONGEST) {
        return BB_STRING;
    }
    if (is_word(s, bytes, "nil")) {
        return BB_NONE;
    }
    if (is_word(s, bytes, "T") || is_word(s, bytes, "F")) {
        return BB_BOOLEAN;
    }
    if (sign < bytes && bbi_digit_count(s + sign, bytes - sign) == bytes - sign) {
        return sign == 0 ? BB_COUNT : BB_INTEGER;
    }
    if (is_decimal(s, bytes)) {
        return BB_REAL;
    }
    if (bbi_is_span(s, bytes)) {
        return BB_TIMESPAN;
    }
    if (is_port(s, bytes)) {
        return BB_PORT;
    }
    if (is_subnet(s, bytes)) {
        return BB_SUBNET;
    }
    return read_ip(s, bytes, ip, &bits) ? BB_ADDRESS : BB_STRING;
}

const char *
bbi_leaf_form(int type)
{
    static const char *const forms[BBI_TYPE_COUNT] = {
        [BB_NONE] = "nil",
        [BB_BOOLEAN] = "T or F",
        [BB_COUNT] = "a whole number from 0 to 18446744073709551615",
        [BB_INTEGER] = "a whole number from -9223372036854775808 to 9223372036854775807",
        [BB_REAL] = "a number such as 2.5 or 1e-9, below 1.8e308",
        [BB_STRING] = "a string",
        [BB_ADDRESS] = "10.0.0.1 or fe80::1",
        [BB_SUBNET] = "10.0.0.0/8 or fe80::/10, with at most 32 or 128 bits",
        [BB_PORT] = "80/tcp: a number up to 65535 and tcp, udp, icmp or ?",
        [BB_TIMESTAMP] = "2018-07-07T01:12:38.459, from 1677 to 2262, or as nanoseconds since 1970",
        [BB_TIMESPAN] = "a number with ns, us, ms, s, min, h or d, at most 292 years",
        [BB_ENUM] = "a name",
        [BB_SET] = "{a, b}",
        [BB_TABLE] = "{a -> b, c -> d}",
        [BB_VECTOR] = "(a, b)",
    };
    return type >= 0 && type < BBI_TYPE_COUNT ? forms[type] : "";
}

/*
 * The raw bytes are put first and the decoded ones over them, as the builder has no strings that grow; they are
 * never more.
 */
char *
bbi_put_decoded(struct bb_builder *b, int type, const char *raw, size_t bytes)
{
    (type == BB_STRING ? bb_put_string : bb_put_enum)(b, raw, bytes);
    if (b->err != 0) {
        return NULL;
    }
    return (char *)b->buf + b->need_bytes - bbi_pad8(BBI_HEAD_BYTES + bytes) + BBI_HEAD_BYTES;
}

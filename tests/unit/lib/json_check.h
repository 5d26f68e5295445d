/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/lib/json_check.h - is a text one legal JSON value (RFC 8259) in valid UTF-8?
 *
 * Used by    value_json, msg_json.  Recursion is the test's own.
 */
#ifndef BUSBAR_TESTS_UNIT_LIB_JSON_CHECK_H
#define BUSBAR_TESTS_UNIT_LIB_JSON_CHECK_H

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Each returns where it ended, or NULL. */
static inline const char *json_value_end(const char *p);

static inline const char *
json_utf8_end(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    unsigned lead = u[0];
    int more = lead < 0x80                   ? 0
               : lead >= 0xc2 && lead < 0xe0 ? 1
               : (lead & 0xf0) == 0xe0       ? 2
               : lead >= 0xf0 && lead < 0xf5 ? 3
                                             : -1;
    unsigned code = more == 0 ? lead : lead & (0x3fu >> more);
    for (int i = 1; i <= more; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            return NULL;
        }
        code = code << 6 | (u[i] & 0x3f);
    }
    static const unsigned least[4] = {0, 0x80, 0x800, 0x10000};
    bool bad =
        more < 0 || code < least[more] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff;
    return bad ? NULL : p + 1 + more;
}

static inline const char *
json_string_end(const char *p)
{
    if (*p != '"') {
        return NULL;
    }
    for (p++; p != NULL && *p != '"';) {
        if ((unsigned char)*p < 0x20) {
            return NULL;
        }
        if (*p != '\\') {
            p = json_utf8_end(p);
        } else if (p[1] == 'u') {
            for (int i = 2; i < 6; i++) {
                if (!isxdigit((unsigned char)p[i])) {
                    return NULL;
                }
            }
            p += 6;
        } else {
            p = p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL ? p + 2 : NULL;
        }
    }
    return p == NULL ? NULL : p + 1;
}

static inline const char *
json_number_end(const char *p)
{
    p += *p == '-';
    size_t digits = strspn(p, "0123456789");
    if (digits == 0 || (digits > 1 && *p == '0')) {
        return NULL;
    }
    p += digits;
    if (*p == '.') {
        digits = strspn(p + 1, "0123456789");
        p = digits == 0 ? NULL : p + 1 + digits;
    }
    return p;
}

/* [a, b] or {"k": a, "l": b} */
static inline const char *
json_list_end(const char *p, char close)
{
    p++;
    if (*p == close) {
        return p + 1;
    }
    for (;;) {
        if (close == '}') {
            p = json_string_end(p);
            if (p == NULL || *p++ != ':') {
                return NULL;
            }
        }
        p = json_value_end(p);
        if (p == NULL || *p == close) {
            return p == NULL ? NULL : p + 1;
        }
        if (*p++ != ',') {
            return NULL;
        }
    }
}

static inline const char *
json_value_end(const char *p)
{
    switch (*p) {
    case '{':
        return json_list_end(p, '}');
    case '[':
        return json_list_end(p, ']');
    case '"':
        return json_string_end(p);
    case 't':
        return strncmp(p, "true", 4) == 0 ? p + 4 : NULL;
    case 'f':
        return strncmp(p, "false", 5) == 0 ? p + 5 : NULL;
    default:
        return json_number_end(p);
    }
}

static inline bool
json_is_legal(const char *text, size_t bytes)
{
    const char *end = json_value_end(text);
    return strlen(text) == bytes && end != NULL && *end == '\0';
}

#endif

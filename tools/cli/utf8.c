/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/utf8.c - RFC 3629, one character at a time.
 */
#include "tools/cli/utf8.h"

size_t
cli_utf8_next(const unsigned char *p, size_t bytes, uint32_t *rune)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800,
                                        0x10000}; /* below it: an overlong form */
    size_t length;
    uint32_t v;

    if (bytes == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        *rune = p[0];
        return 1;
    }
    length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || length > bytes) {
        return 0;
    }
    v = p[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        v = v << 6 | (p[i] & 0x3fU);
    }
    if (v < smallest[length] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)) {
        return 0;
    }
    *rune = v;
    return length;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/utf8.h - is this text?
 */
#ifndef BUSBAR_TOOLS_CLI_UTF8_H
#define BUSBAR_TOOLS_CLI_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * cli_utf8_next - bytes (1 to 4) of the well-formed character at the start, *rune its number; 0 if there
 * is none: a stray or missing byte, an overlong form, a surrogate, above U+10FFFF.
 */
size_t cli_utf8_next(const unsigned char *p, size_t bytes, uint32_t *rune);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/format.h - bytes, numbers, times and owners as people read them.
 *
 * Each writes into the caller's buffer, always with a NUL, and returns it, so that calls fit in a printf.
 */
#ifndef BUSBAR_TOOLS_CLI_FORMAT_H
#define BUSBAR_TOOLS_CLI_FORMAT_H

#include "tools/cli/buffer.h"
#include <stdint.h>

enum {
    CLI_NUMBER_BYTES = 32,
    CLI_OWNER_BYTES = 80,
};

const char *cli_scaled(char buf[CLI_NUMBER_BYTES], double v);      /* 950  41.2k  3.1M */
const char *cli_bytes(char buf[CLI_NUMBER_BYTES], double bytes);   /* 950B  8.0MiB  */
const char *cli_span(char buf[CLI_NUMBER_BYTES], int64_t span_ns); /* 180ns  3.1us  12ms  41s  3h */
const char *cli_wall(char buf[CLI_NUMBER_BYTES], int64_t wall_ns); /* 2026-11-21T10:04:11Z */
const char *cli_owner(char buf[CLI_OWNER_BYTES], int64_t uid);     /* sam (uid 1000), uid 1000 */

/*
 * cli_put_escaped - appends bytes of a message so that a terminal is safe and nothing is lost: printable
 * UTF-8 as it is, `\` as `\\`, line ends and tabs as \n \r \t, all else as \xNN.  With word also spaces
 * are escaped: the text stays one word.
 */
void cli_put_escaped(struct cli_buffer *out, const void *bytes, size_t count, int word);

#endif

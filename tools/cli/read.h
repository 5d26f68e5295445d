/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/read.h - numbers and times as people write them.
 *
 * All read the whole text or nothing: 0, or BB_EINVAL with *out unchanged.
 */
#ifndef BUSBAR_TOOLS_CLI_READ_H
#define BUSBAR_TOOLS_CLI_READ_H

#include <stdint.h>

/* cli_read_count - decimal digits only, up to 2^64 - 1. */
int cli_read_count(const char *text, uint64_t *out);

/* cli_read_number - a decimal number with optional sign, fraction and exponent; never hex, inf or nan. */
int cli_read_number(const char *text, double *out);

/*
 * cli_read_seconds - NUMBER[.FRACTION][UNIT] with UNIT ns us ms s min m h d, in nanoseconds; a bare number means
 * seconds.
 */
int cli_read_seconds(const char *text, int64_t *span_ns);

/* cli_read_life - the same for how long a key lives: above zero, and so that now and it are no more than a time holds. */
enum { CLI_LIFE_DAYS_MAX = 36500 };
#define CLI_LIFE_NEEDS "a time above zero and of at most 36500 days, such as 90s or 1h"
int cli_read_life(const char *text, int64_t *span_ns);

/* cli_read_bytes - NUMBER[UNIT] with UNIT B, K, M, G, T or KiB, MiB, GiB, TiB, all of them powers of 1024. */
int cli_read_bytes(const char *text, uint64_t *bytes);

#endif

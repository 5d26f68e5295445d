/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/histogram.h - percentiles of nanoseconds in 15 KiB: exact below 64, then within 1/32.
 */
#ifndef BUSBAR_TOOLS_CLI_HISTOGRAM_H
#define BUSBAR_TOOLS_CLI_HISTOGRAM_H

#include <stdint.h>

enum { CLI_HISTOGRAM_BUCKETS = 64 + 57 * 32 };

struct cli_histogram { /* {0} is an empty one */
    uint64_t counts[CLI_HISTOGRAM_BUCKETS];
    uint64_t total;
    int64_t min, max; /* exact */
};

void cli_histogram_add(struct cli_histogram *h, int64_t v); /* negative counts as 0 */

/* cli_histogram_at - the value below or at which this share (0..1) of all lies; 0 when empty. */
int64_t cli_histogram_at(const struct cli_histogram *h, double share);

#endif

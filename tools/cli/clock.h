/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/clock.h - time, and sleeping that a signal ends.
 */
#ifndef BUSBAR_TOOLS_CLI_CLOCK_H
#define BUSBAR_TOOLS_CLI_CLOCK_H

#include <stdint.h>

#define CLI_SECOND_NS INT64_C(1000000000)
#define CLI_SLICE_NS                                                                               \
    INT64_C(1000000000) /* a signal ends a wait; one that came just before it is seen after this */
#define CLI_BLOCK_SLICE_NS INT64_C(200000000) /* waiting for room is not ended by a signal */

int64_t cli_mono_ns(void);
int64_t cli_wall_ns(void);

/* cli_deadline - now + wait_ns; a negative wait has none (INT64_MAX). */
int64_t cli_deadline(int64_t wait_ns);
/* cli_left_ns - until the deadline, at least 0 and at most limit_ns. */
int64_t cli_left_ns(int64_t deadline_ns, int64_t limit_ns);
/* cli_sleep_until - returns at that monotonic time, or earlier on a signal. */
void cli_sleep_until(int64_t mono_ns);

#endif

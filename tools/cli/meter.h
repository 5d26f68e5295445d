/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/meter.h - what was published between two looks, from the publishers' own counters.
 *
 * Exact whether or not anybody subscribes.  A ring that comes between two looks counts from its first
 * message; what a ring got after the last look before it went away is not seen.
 */
#ifndef BUSBAR_TOOLS_CLI_METER_H
#define BUSBAR_TOOLS_CLI_METER_H

#include "tools/cli/listing.h"

/* cli_topic_delta - published in one topic of one ring since `before`, by position in the sorted lists. */
struct cli_delta {
    uint64_t messages;
    uint64_t payload_bytes;
};

/*
 * cli_topics_delta - for each entry of `after` what was added since `before`, into out[after->count].
 */
void cli_topics_delta(const struct cli_topics *before,
                      const struct cli_topics *after,
                      struct cli_delta *out);

struct cli_meter {
    const struct cli_call *call;
    struct bb_look *look;
    const struct cli_topic_filter *filter;
    struct cli_topics last;
    int64_t start_ns, last_ns; /* monotonic time of the first and of the last look */
    uint64_t messages;         /* since the first look */
    uint64_t payload_bytes;
};

/* Both return CLI_DONE, or an exit code after they said what is wrong. */
int cli_meter_start(struct cli_meter *m);
int cli_meter_step(struct cli_meter *m);
void cli_meter_stop(struct cli_meter *m);

#endif

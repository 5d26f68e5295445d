/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/receive.h - the loop of sub and tap: messages to standard output until enough, late or stopped.
 */
#ifndef BUSBAR_TOOLS_CLI_RECEIVE_H
#define BUSBAR_TOOLS_CLI_RECEIVE_H

#include "tools/cli/message.h"
#include "tools/cli/verbs.h"
#include <busbar/endpoint.h>
#include <stdint.h>

struct cli_receive {
    const struct cli_call *call;
    struct bb_subscriber *sub;
    enum cli_form form;
    uint64_t count;  /* messages to print; 0: no limit */
    int64_t wait_ns; /* for all of it; negative: no limit */
    int quiet;       /* no line about losses: a look into the past has none of its own */
};

/*
 * cli_receive - prints until `count` messages are out, `wait_ns` is over, a signal came, the reader of our
 * output went away, or the subscriber ended.  Says at the end what was lost, if anything was.
 *
 * Returns   CLI_DONE; CLI_TIME when the time was over short of `count`; else what cli_report() returned.
 */
int cli_receive(const struct cli_receive *receive);

/* cli_print_batch - prints the messages of one bb_poll(); how many messages (not statuses), or a status. */
int
cli_print_batch(struct bb_subscriber *sub, const struct bb_msg *msgs, size_t n, enum cli_form form);

/* cli_say_losses - one line on standard error when messages were lost or rings could not be read. */
void cli_say_losses(const struct bb_subscriber *sub);

/* Where to begin: `now`, `oldest`, or a number of messages of each ring.  0, or BB_EINVAL. */
struct cli_start {
    uint32_t start; /* enum bb_start */
    uint32_t count;
};
int cli_start_parse(const char *text, struct cli_start *out);

#endif

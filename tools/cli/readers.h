/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/readers.h - the subscribers of a bus with their prefixes: who wants a topic?
 */
#ifndef BUSBAR_TOOLS_CLI_READERS_H
#define BUSBAR_TOOLS_CLI_READERS_H

#include "tools/cli/verbs.h"
#include <busbar/inspect.h>

struct cli_prefix {
    char *p;
    size_t bytes;
    uint32_t flags; /* BB_TOPIC_... */
};

struct cli_reader {
    struct bb_subscriber_info info;
    struct cli_prefix *prefixes;
    size_t prefix_count;
};

struct cli_readers {
    struct cli_reader *v; /* sorted by node */
    size_t count;
};

/* cli_list_readers - CLI_DONE, or an exit code after it said what is wrong. */
int cli_list_readers(const struct cli_call *call, struct bb_look *look, struct cli_readers *out);
void cli_readers_free(struct cli_readers *readers);

int cli_reader_wants(const struct cli_reader *reader, const char *topic, size_t topic_bytes);

#endif

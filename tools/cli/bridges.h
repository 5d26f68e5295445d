/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/bridges.h - what the verbs of `busbar bridge` share: addresses, links, and what can go wrong with busbard.
 */
#ifndef BUSBAR_TOOLS_CLI_BRIDGES_H
#define BUSBAR_TOOLS_CLI_BRIDGES_H

#include "tools/cli/json.h"
#include "tools/cli/verbs.h"
#include <busbar/bridge.h>

enum { CLI_HOST_BYTES = 256 };

struct cli_place {
    const char *text; /* as it was typed */
    char host[CLI_HOST_BYTES];
    uint16_t port;
};

/*
 * cli_place_read - `HOST:PORT`, `[::1]:PORT`; port 0 and the host `*` only for a place to listen at.
 * CLI_DONE, or CLI_USAGE after it was said.
 */
int cli_place_read(const struct cli_call *call, const char *text, struct cli_place *out);
int cli_place_read_listen(const struct cli_call *call, const char *text, struct cli_place *out);

/* cli_bridge_report - as cli_report(); no busbard is CLI_NONE, a link that does not come about CLI_NO. */
int cli_bridge_report(const struct cli_call *call,
                      int status,
                      const struct bb_error *error,
                      const char *what);

struct cli_links {
    struct bb_link_info *v; /* for free() */
    size_t count;
};
/* cli_links_list - all of one moment; CLI_DONE, or an exit code after it was said. */
int cli_links_list(const struct cli_call *call, struct bb_endpoint *ep, struct cli_links *out);

/* cli_link_put_json - one link as an object. */
void cli_link_put_json(struct cli_json *j, const struct bb_link_info *link);

enum { CLI_BOX_BYTES = 33 };
/* cli_box_text - the id of a box in hex. */
const char *cli_box_text(char buf[CLI_BOX_BYTES], const uint8_t box[16]);

const char *cli_slow_name(uint32_t slow); /* "drop-oldest" ... */
/* cli_slow_parse - enum bb_slow, or -1. */
int cli_slow_parse(const char *name);
#define CLI_SLOW_WORDS "drop-oldest drop-newest disconnect"

#endif

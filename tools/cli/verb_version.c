/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_version.c - `busbar version`.
 */
#include "tools/cli/json.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <busbar/inspect.h>
#include <stdio.h>

static int
run(const struct cli_call *call, const void *options)
{
    (void)options;
    if (call->common.json) {
        struct cli_json j = {0};
        cli_json_object(&j, NULL);
        cli_json_text(&j, "version", bb_version());
        cli_json_count(&j, "layout", bb_layout_version());
        cli_json_end_object(&j);
        cli_json_line_end(&j);
    } else {
        printf("busbar %s, memory layout %u\n", bb_version(), bb_layout_version());
    }
    return CLI_DONE;
}

const struct cli_verb cli_verb_version = {
    .name = "version",
    .line = "print the version of library and memory layout",
    .usage = "[--json]",
    .text = "Programs of one bus need the same layout; their versions may differ.",
    .flags = CLI_JSON,
    .run = run,
};

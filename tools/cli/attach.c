/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/attach.c - the two ways to a bus.
 */
#include "tools/cli/attach.h"

#include "tools/cli/report.h"

int
cli_attach(const struct cli_call *call,
           const char *name,
           const char *group,
           uint32_t flags,
           struct bb_endpoint **ep)
{
    struct bb_error error = {0};
    struct bb_endpoint_opts opts = {
        .size = sizeof(opts),
        .dir = call->common.dir,
        .bus = call->common.bus,
        .name = name,
        .role = BB_ROLE_TOOL,
        .flags = flags,
        .group = group,
        .error = &error,
    };
    int rc = bb_endpoint_open(ep, &opts);
    return rc < 0 ? cli_report(call, rc, &error, "cannot attach to the bus") : CLI_DONE;
}

int
cli_look(const struct cli_call *call, struct bb_look **look)
{
    struct bb_error error = {0};
    struct bb_look_opts opts = {
        .size = sizeof(opts), .dir = call->common.dir, .bus = call->common.bus, .error = &error};
    int rc = bb_look_open(look, &opts);
    return rc < 0 ? cli_report(call, rc, &error, "cannot look at the bus") : CLI_DONE;
}

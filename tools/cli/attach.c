/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/attach.c - the two ways to a bus.
 */
#include "tools/cli/attach.h"

#include "tools/cli/clock.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"

static const int64_t AGAIN_NS = CLI_SECOND_NS / 50;

static int
attach(const struct cli_call *call,
       const char *name,
       const char *group,
       uint32_t flags,
       struct bb_endpoint **ep,
       struct bb_error *error)
{
    struct bb_endpoint_opts opts = {
        .size = sizeof(opts),
        .dir = call->common.dir,
        .bus = call->common.bus,
        .name = name,
        .role = BB_ROLE_TOOL,
        .flags = flags,
        .group = group,
        .error = error,
    };
    return bb_endpoint_open(ep, &opts);
}

int
cli_attach(const struct cli_call *call,
           const char *name,
           const char *group,
           uint32_t flags,
           struct bb_endpoint **ep)
{
    struct bb_error error = {0};
    int rc = attach(call, name, group, flags, ep, &error);
    return rc < 0 ? cli_report(call, rc, &error, "cannot attach to the bus") : CLI_DONE;
}

int
cli_attach_until(const struct cli_call *call, int64_t deadline_ns, struct bb_endpoint **ep)
{
    struct bb_error error = {0};
    int rc = attach(call, NULL, NULL, BB_ATTACH_EXISTING, ep, &error);
    while (rc == BB_ENOBUS && cli_again(deadline_ns)) {
        rc = attach(call, NULL, NULL, BB_ATTACH_EXISTING, ep, &error);
    }
    return rc < 0 ? cli_report(call, rc, &error, "cannot attach to the bus") : CLI_DONE;
}

bool
cli_again(int64_t deadline_ns)
{
    if (cli_stopped() || cli_left_ns(deadline_ns, AGAIN_NS) == 0) {
        return false;
    }
    cli_sleep_until(cli_mono_ns() + cli_left_ns(deadline_ns, AGAIN_NS));
    return true;
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

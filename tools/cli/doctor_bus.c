/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/doctor_bus.c - is this bus well?  Only looked at, never attached to.
 */
#include "tools/cli/doctor.h"
#include "tools/cli/format.h"
#include "tools/cli/listing.h"
#include "tools/cli/report.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bus_lists {
    struct cli_nodes nodes;
    struct cli_rings rings;
    struct cli_subscribers subscribers;
};

/* names - a list of names that ends with "and more" when it is long. */
struct names {
    char text[160];
    unsigned count;
};

static void
add_name(struct names *names, const char *name)
{
    size_t used = strlen(names->text);
    names->count++;
    if (used + strlen(name) + 12 < sizeof(names->text)) {
        snprintf(names->text + used, sizeof(names->text) - used, "%s%s", used > 0 ? ", " : "",
                 name);
    } else if (used > 0 && names->text[used - 1] != '.') {
        snprintf(names->text + used, sizeof(names->text) - used, ", ...");
    }
}

static void
check_rights(struct cli_doctor *d)
{
    char owner[CLI_OWNER_BYTES];
    unsigned mode = d->bus.mode & 07777U;

    cli_owner(owner, d->bus.uid);
    if (mode == 0700 || mode == 02770) {
        cli_check_add(d, CLI_OK, "bus rights", "%s of %s, mode %04o", d->bus.path, owner, mode);
    } else {
        cli_check_add(d, mode & 0002U ? CLI_FAIL : CLI_WARN, "bus rights",
                      "%s of %s has mode %04o, not 0700 or 2770", d->bus.path, owner, mode);
        cli_check_fix(d, "chmod 0700 %s (or 2770 for a group)", d->bus.path);
    }
}

static void
check_debris(struct cli_doctor *d, const struct bus_lists *lists)
{
    struct names dead = {"", 0};
    for (size_t i = 0; i < lists->nodes.count; i++) {
        if (lists->nodes.v[i].state == BB_NODE_DEAD) {
            add_name(&dead, lists->nodes.v[i].name);
        }
    }
    if (dead.count > 0) {
        cli_check_add(d, CLI_WARN, "debris",
                      "%u dead nodes are not tidied up yet: %s; %u rings kept after death",
                      dead.count, dead.text, d->bus.dead_rings);
        cli_check_fix(d,
                      "busbar gc (first busbar tap --dead NODE, if you want their last messages)");
    } else {
        cli_check_add(d, CLI_OK, "debris", "no dead nodes; %u rings kept for a look after death",
                      d->bus.dead_rings);
    }
}

static void
check_stopped(struct cli_doctor *d, const struct bus_lists *lists)
{
    struct names stopped = {"", 0};
    int64_t pid = 0;
    for (size_t i = 0; i < lists->nodes.count; i++) {
        if (lists->nodes.v[i].state == BB_NODE_STOPPED) {
            add_name(&stopped, lists->nodes.v[i].name);
            pid = lists->nodes.v[i].pid;
        }
    }
    if (stopped.count > 0) {
        cli_check_add(d, CLI_WARN, "stopped nodes", "%s %s stopped", stopped.text,
                      stopped.count == 1 ? "is" : "are");
        cli_check_fix(d, "kill -CONT %" PRId64 " (a debugger may hold it)", pid);
    } else {
        cli_check_add(d, CLI_OK, "stopped nodes", "none");
    }
}

static void
check_losses(struct cli_doctor *d, const struct bus_lists *lists)
{
    struct names losers = {"", 0};
    uint64_t lost = 0;
    for (size_t i = 0; i < lists->subscribers.count; i++) {
        if (lists->subscribers.v[i].lost > 0) {
            add_name(&losers, lists->subscribers.v[i].node);
            lost += lists->subscribers.v[i].lost;
        }
    }
    if (losers.count > 0) {
        cli_check_add(d, CLI_WARN, "losses", "%" PRIu64 " messages lost by %s", lost, losers.text);
        cli_check_fix(d,
                      "a faster reader, a larger ring, fewer prefixes, or a reliable subscription");
    } else {
        cli_check_add(d, CLI_OK, "losses", "none by %zu subscribers", lists->subscribers.count);
    }
}

/* depth_of - messages in the largest ring of a node; 0 if it has none. */
static uint64_t
depth_of(const struct bus_lists *lists, const char *node)
{
    uint64_t depth = 0;
    for (size_t i = 0; i < lists->rings.count; i++) {
        const struct bb_ring_info *ring = &lists->rings.v[i];
        if (strcmp(ring->node, node) == 0 && ring->depth > depth) {
            depth = ring->depth;
        }
    }
    return depth;
}

static void
check_lag(struct cli_doctor *d, const struct bus_lists *lists)
{
    const struct bb_subscriber_info *worst = NULL;
    for (size_t i = 0; i < lists->subscribers.count; i++) {
        if (worst == NULL || lists->subscribers.v[i].lag > worst->lag) {
            worst = &lists->subscribers.v[i];
        }
    }
    uint64_t depth = worst != NULL ? depth_of(lists, worst->lag_node) : 0;
    if (worst == NULL || worst->lag == 0) {
        cli_check_add(d, CLI_OK, "lag", "none");
    } else if (depth > 0 && worst->lag > depth / 2) {
        cli_check_add(d, CLI_WARN, "lag",
                      "%s is %" PRIu64 " messages behind %s, more than half of its ring",
                      worst->node, worst->lag, worst->lag_node);
        cli_check_fix(d, "busbar node info %s; is it stopped, or too slow?", worst->node);
    } else {
        cli_check_add(d, CLI_OK, "lag", "%s is %" PRIu64 " messages behind %s", worst->node,
                      worst->lag, worst->lag_node);
    }
}

static void
check_evictions(struct cli_doctor *d, const struct bus_lists *lists)
{
    struct names evicted = {"", 0};
    uint64_t by_rings = 0;
    for (size_t i = 0; i < lists->rings.count; i++) {
        by_rings += lists->rings.v[i].evicted;
    }
    for (size_t i = 0; i < lists->subscribers.count; i++) {
        if (lists->subscribers.v[i].evicted > 0) {
            add_name(&evicted, lists->subscribers.v[i].node);
        }
    }
    if (by_rings > 0 || evicted.count > 0) {
        cli_check_add(d, CLI_WARN, "evictions",
                      "publishers gave up reliable subscribers %" PRIu64 " times%s%s", by_rings,
                      evicted.count > 0 ? "; still here: " : "", evicted.text);
        cli_check_fix(d, "a faster subscriber, a larger ring, or publishers that wait (--block)");
    } else {
        cli_check_add(d, CLI_OK, "evictions", "none");
    }
}

int
cli_doctor_bus(struct cli_doctor *d)
{
    struct bus_lists lists = {.nodes = {NULL, 0}};
    int code = cli_list_nodes(d->call, d->look, &lists.nodes);

    if (code == CLI_DONE) {
        code = cli_list_rings(d->call, d->look, &lists.rings);
    }
    if (code == CLI_DONE) {
        code = cli_list_subscribers(d->call, d->look, &lists.subscribers);
    }
    if (code == CLI_DONE) {
        check_rights(d);
        check_debris(d, &lists);
        check_stopped(d, &lists);
        check_losses(d, &lists);
        check_lag(d, &lists);
        check_evictions(d, &lists);
    }
    free(lists.nodes.v);
    free(lists.rings.v);
    free(lists.subscribers.v);
    return code;
}

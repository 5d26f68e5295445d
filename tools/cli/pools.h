/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/pools.h - the pools of a cluster, as its nodes' subscriptions show them.
 *
 * A node hears `PREFIXpool/NAME` of each pool that it belongs to, and `PREFIXnode/NODE/` of itself: so both
 * the pools and the prefix can be seen from outside, without asking anybody.
 */
#ifndef BUSBAR_TOOLS_CLI_POOLS_H
#define BUSBAR_TOOLS_CLI_POOLS_H

#include "tools/cli/members.h"
#include <busbar/inspect.h>

enum { CLI_POOL_NAME_MAX = 255, CLI_PREFIX_MAX = 255 };

struct cli_pool {
    char name[CLI_POOL_NAME_MAX + 1];
    uint32_t role;      /* of the four that are there always; BB_ROLE_NONE: a registered one */
    unsigned char *has; /* has[i]: members->v[i] belongs to it */
    size_t nodes;       /* of these */
    size_t in;          /* that it uses now */
};

struct cli_pools {
    struct cli_pool *v; /* by name */
    size_t count;
};

/* cli_list_pools - CLI_DONE, or an exit code after it said what is wrong. */
int cli_list_pools(const struct cli_call *call,
                   struct bb_look *look,
                   const struct cli_members *members,
                   struct cli_pools *out);
void cli_pools_free(struct cli_pools *pools);

/* cli_pool_uses - 1 if this node of it is up and in. */
int cli_pool_uses(const struct cli_member *member);

/* cli_cluster_prefix - of the topics of the first node that is up; "cluster/" when there is none. */
int cli_cluster_prefix(const struct cli_call *call,
                       struct bb_look *look,
                       const struct cli_members *members,
                       char out[CLI_PREFIX_MAX + 1]);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/members.h - the nodes of a cluster as shared memory has them: the roll, the processes, and who
 * is expected.
 *
 * No node is asked: a stopped or hung one is shown as well as the others.
 */
#ifndef BUSBAR_TOOLS_CLI_MEMBERS_H
#define BUSBAR_TOOLS_CLI_MEMBERS_H

#include "tools/cli/expected.h"
#include "tools/cli/verbs.h"
#include <busbar/cluster.h>
#include <busbar/inspect.h>
#include <stddef.h>
#include <stdint.h>

enum cli_member_state {
    CLI_MEMBER_UP,
    CLI_MEMBER_JOINING,  /* up, and pools do not use it yet */
    CLI_MEMBER_DRAINING, /* up, and pools use it no longer */
    CLI_MEMBER_STOPPED,  /* by a signal or a debugger; still up */
    CLI_MEMBER_LEFT,     /* in order */
    CLI_MEMBER_DOWN,     /* it died */
    CLI_MEMBER_MISSING,  /* expected, and never seen */
};
const char *cli_member_state_name(enum cli_member_state state);

struct cli_member {
    struct bb_cluster_node node;
    struct bb_node_info process; /* if has_process */
    int has_process;             /* the member table still has it */
    int is_expected;             /* it should be up */
    uint32_t expected_role;      /* BB_ROLE_NONE: any */
    enum cli_member_state state;
};

struct cli_members {
    struct cli_member *v; /* by name */
    size_t count;
    uint64_t epoch; /* changes so far */
};

/*
 * cli_list_members - all nodes that the roll has, and the expected ones that it has not.
 *
 * With nothing expected those are: who died, and who is of a layout that the roll knows.
 * Returns   CLI_DONE, or an exit code after it said what is wrong.
 */
int cli_list_members(const struct cli_call *call,
                     struct bb_look *look,
                     const struct cli_expected *expected,
                     struct cli_members *out);
void cli_members_free(struct cli_members *members);

const struct cli_member *cli_member_find(const struct cli_members *members, const char *name);
/* cli_member_is_up - it takes part: also when it is stopped or drains. */
int cli_member_is_up(const struct cli_member *member);
/* cli_member_is_wrong - expected, and not up or of another role. */
int cli_member_is_wrong(const struct cli_member *member);

/* cli_say_wrong - one sentence for who is missing, and one for each other role; how many there were. */
size_t cli_say_wrong_members(const struct cli_members *members);
/* cli_no_cluster - says that nobody has joined; returns CLI_NONE. */
int cli_no_cluster(void);

#endif

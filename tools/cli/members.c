/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/members.c - the roll says who belongs, the member table whether its process is there.
 */
#include "tools/cli/members.h"

#include "tools/cli/buffer.h"
#include "tools/cli/listing.h"
#include "tools/cli/report.h"
#include <stdlib.h>
#include <string.h>

enum { SPARE = 8 }; /* nodes that may come between counting and reading */

const char *
cli_member_state_name(enum cli_member_state state)
{
    static const char *const names[] = {"up",   "joining", "draining", "stopped",
                                        "left", "down",    "missing"};
    return names[state];
}

int
cli_member_is_up(const struct cli_member *member)
{
    return member->state <= CLI_MEMBER_STOPPED;
}

static int
is_other_role(const struct cli_member *member)
{
    return member->expected_role != BB_ROLE_NONE && member->node.role != member->expected_role;
}

int
cli_member_is_wrong(const struct cli_member *member)
{
    return member->is_expected && (!cli_member_is_up(member) || is_other_role(member));
}

const struct cli_member *
cli_member_find(const struct cli_members *members, const char *name)
{
    for (size_t i = 0; i < members->count; i++) {
        if (strcmp(members->v[i].node.name, name) == 0) {
            return &members->v[i];
        }
    }
    return NULL;
}

void
cli_members_free(struct cli_members *members)
{
    free(members->v);
    *members = (struct cli_members){0};
}

/* ---- what the roll says ---------------------------------------------------------------------------- */

/* last_change - the kind of the node's last change, and what stands with it; 0 when that is gone. */
static uint32_t
last_change(struct bb_look *look, const struct bb_cluster_node *node, uint32_t *weight)
{
    struct bb_change change;
    uint64_t first;
    int n = bb_look_changes(look, node->epoch, &change, 1, &first);
    if (n < 1 || change.epoch != node->epoch || change.id != node->id) {
        return 0;
    }
    *weight = change.weight;
    return change.kind;
}

static enum cli_member_state
state_of(struct bb_look *look, const struct cli_member *member)
{
    const struct bb_cluster_node *node = &member->node;
    uint32_t weight = 0;

    if (node->id == 0) {
        return CLI_MEMBER_MISSING;
    }
    uint32_t kind = last_change(look, node, &weight);
    int has_left = member->has_process && member->process.state == BB_NODE_LEFT;
    if (has_left || (!node->is_up && kind == BB_STATUS_NODE_DOWN && weight == 1)) {
        return CLI_MEMBER_LEFT;
    }
    if (!node->is_up || !member->has_process || member->process.state == BB_NODE_DEAD) {
        return CLI_MEMBER_DOWN; /* whether somebody noticed yet or not */
    }
    if (member->process.state == BB_NODE_STOPPED) {
        return CLI_MEMBER_STOPPED;
    }
    if (node->is_in) {
        return CLI_MEMBER_UP;
    }
    return kind == BB_STATUS_NODE_OUT ? CLI_MEMBER_DRAINING : CLI_MEMBER_JOINING;
}

/* read_roll - the nodes into members, with room for `more` besides.  0 or a status. */
static int
read_roll(struct bb_look *look, struct cli_members *members, size_t more)
{
    struct bb_cluster_node *nodes = NULL;
    size_t cap = 0;
    int n = bb_look_cluster(look, NULL, 0, &members->epoch);

    while (n >= 0 && (nodes == NULL || (size_t)n > cap)) {
        cap = (size_t)n + SPARE;
        free(nodes);
        nodes = calloc(cap, sizeof(*nodes));
        n = nodes == NULL ? BB_ENOMEM : bb_look_cluster(look, nodes, cap, &members->epoch);
    }
    members->v = n < 0 ? NULL : calloc((size_t)n + more + 1, sizeof(*members->v));
    if (n >= 0 && members->v == NULL) {
        n = BB_ENOMEM;
    }
    for (int i = 0; i < n; i++) {
        members->v[members->count++].node = nodes[i];
    }
    free(nodes);
    return n < 0 ? n : 0;
}

/* ---- with the processes, and the expected ones ------------------------------------------------------- */

static void
add_process(struct cli_member *member, const struct cli_nodes *processes)
{
    for (size_t i = 0; i < processes->count; i++) {
        if (processes->v[i].id == member->node.id) {
            member->process = processes->v[i];
            member->has_process = 1;
        }
    }
}

static void
add_missing(struct cli_members *members, const struct cli_expected_node *expected)
{
    if (cli_member_find(members, expected->name) == NULL) {
        struct cli_member *member = &members->v[members->count++];
        memcpy(member->node.name, expected->name, sizeof(member->node.name));
        member->node.role = expected->role;
    }
}

static int
compare_members(const void *a, const void *b)
{
    const struct cli_member *x = a;
    const struct cli_member *y = b;
    return strcmp(x->node.name, y->node.name);
}

/* judge - its state, and whether it should be up. */
static void
judge(struct bb_look *look, struct cli_member *member, const struct cli_expected *expected)
{
    const struct cli_expected_node *wish = cli_expected_find(expected, member->node.name);

    member->state = state_of(look, member);
    if (expected->count == 0) {
        member->is_expected = member->node.is_expected != 0 || member->state == CLI_MEMBER_DOWN;
    } else if (wish != NULL) {
        member->is_expected = 1;
        member->expected_role = wish->role;
    }
}

int
cli_list_members(const struct cli_call *call,
                 struct bb_look *look,
                 const struct cli_expected *expected,
                 struct cli_members *out)
{
    struct cli_nodes processes = {NULL, 0};

    *out = (struct cli_members){0};
    /* First the roll: whom it has is in the table of members by then, or was. */
    int rc = read_roll(look, out, expected->count);
    if (rc < 0) {
        cli_members_free(out);
        return cli_report(call, rc, NULL, "cannot read the roll of the cluster");
    }
    int code = cli_list_nodes(call, look, &processes);
    if (code != CLI_DONE) {
        cli_members_free(out);
        return code;
    }
    for (size_t i = 0; i < expected->count; i++) {
        add_missing(out, &expected->v[i]);
    }
    for (size_t i = 0; i < out->count; i++) {
        add_process(&out->v[i], &processes);
        judge(look, &out->v[i], expected);
    }
    if (out->count > 0) {
        qsort(out->v, out->count, sizeof(*out->v), compare_members);
    }
    free(processes.v);
    return CLI_DONE;
}

/* ---- sentences --------------------------------------------------------------------------------------- */

size_t
cli_say_wrong_members(const struct cli_members *members)
{
    struct cli_buffer names = {0};
    size_t expected = 0;
    size_t missing = 0;
    size_t others = 0;

    for (size_t i = 0; i < members->count; i++) {
        const struct cli_member *m = &members->v[i];
        expected += m->is_expected != 0;
        if (m->is_expected && !cli_member_is_up(m)) {
            cli_buffer_printf(&names, "%s%s", missing++ > 0 ? ", " : "", m->node.name);
        } else if (cli_member_is_wrong(m)) {
            others++;
            cli_say("\"%s\" is a %s, not a %s", m->node.name, bb_role_name(m->node.role),
                    bb_role_name(m->expected_role));
        }
    }
    if (missing > 0) {
        cli_say("%zu of %zu expected nodes %s missing: %.*s", missing, expected,
                missing == 1 ? "is" : "are", (int)names.bytes, names.p != NULL ? names.p : "");
    }
    cli_buffer_free(&names);
    return missing + others;
}

int
cli_no_cluster(void)
{
    cli_say("no node has joined a cluster on this bus; `busbar node list` shows who is attached");
    return CLI_NONE;
}

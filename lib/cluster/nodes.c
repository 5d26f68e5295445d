/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/nodes.c - nodes by name, what a change does to them, and what the application is told.
 */
#include "lib/cluster/cluster_impl.h"
#include "shm/os.h"
#include "shm/registry.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16, STRANGERS_KEPT = 1024 };

struct bbi_node *
bbi_node_find(const struct bb_cluster *c, const char *name)
{
    for (size_t i = 0; i < c->node_count; i++) {
        if (strcmp(c->nodes[i]->info.name, name) == 0) {
            return c->nodes[i];
        }
    }
    return NULL;
}

struct bbi_node *
bbi_node_by_id(const struct bb_cluster *c, uint64_t id)
{
    for (size_t i = 0; i < c->node_count; i++) {
        if (c->nodes[i]->info.id == id) {
            return c->nodes[i];
        }
    }
    return NULL;
}

/* Expected ones first, then by name: nodes lie in that order. */
static int
compare(const struct bb_cluster_node *a, const struct bb_cluster_node *b)
{
    return a->is_expected != b->is_expected ? (a->is_expected ? -1 : 1) : strcmp(a->name, b->name);
}

/* Names that nobody expects, come and go: the one that has been down longest is forgotten. */
static void
forget_a_stranger(struct bb_cluster *c)
{
    size_t oldest = c->node_count;
    for (size_t i = 0; i < c->node_count; i++) {
        const struct bb_cluster_node *n = &c->nodes[i]->info;
        if (!n->is_expected && !n->is_up
            && (oldest == c->node_count || n->epoch < c->nodes[oldest]->info.epoch)) {
            oldest = i;
        }
    }
    if (oldest < c->node_count) {
        free(c->nodes[oldest]);
        c->node_count--;
        memmove(&c->nodes[oldest], &c->nodes[oldest + 1],
                (c->node_count - oldest) * sizeof(struct bbi_node *));
    }
}

static struct bbi_node *
add(struct bb_cluster *c, const char *name, bool is_expected)
{
    if (c->node_count >= STRANGERS_KEPT && !is_expected) {
        forget_a_stranger(c);
    }
    if (c->node_count == c->node_capacity) {
        size_t capacity = c->node_capacity != 0 ? 2 * c->node_capacity : FIRST_CAPACITY;
        struct bbi_node **nodes = realloc(c->nodes, capacity * sizeof(struct bbi_node *));
        if (nodes == NULL) {
            return NULL;
        }
        c->nodes = nodes;
        c->node_capacity = capacity;
    }
    struct bbi_node *node = calloc(1, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    (void)snprintf(node->info.name, sizeof(node->info.name), "%s", name);
    node->info.is_expected = is_expected;
    size_t at = 0;
    while (at < c->node_count && compare(&c->nodes[at]->info, &node->info) < 0) {
        at++;
    }
    memmove(&c->nodes[at + 1], &c->nodes[at], (c->node_count - at) * sizeof(struct bbi_node *));
    c->nodes[at] = node;
    c->node_count++;
    return node;
}

struct bbi_node *
bbi_node_of(struct bb_cluster *c, const char *name)
{
    struct bbi_node *node = bbi_node_find(c, name);
    if (node == NULL) {
        node = add(c, name, false);
        c->is_out_of_memory = c->is_out_of_memory || node == NULL;
    }
    return node;
}

int
bbi_nodes_expect(struct bb_cluster *c, const struct bb_layout_node *layout, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(layout[i].name);
        if (n == 0 || n > BB_NAME_MAX || bbi_node_find(c, layout[i].name) != NULL) {
            return BB_EINVAL;
        }
        struct bbi_node *node = add(c, layout[i].name, true);
        if (node == NULL) {
            return BB_ENOMEM;
        }
        node->layout_role = node->info.role = layout[i].role;
        node->info.weight = BB_WEIGHT_EVEN;
    }
    c->has_layout = count > 0;
    return 0;
}

void
bbi_nodes_free(struct bb_cluster *c)
{
    for (size_t i = 0; i < c->node_count; i++) {
        free(c->nodes[i]);
    }
    free(c->nodes);
    c->nodes = NULL;
    c->node_count = c->node_capacity = 0;
}

/* ---- telling ---- */

void
bbi_tell(struct bb_cluster *c, uint32_t kind, const struct bb_cluster_node *node, uint64_t count)
{
    struct bbi_item *item = calloc(1, sizeof(*item));
    if (item == NULL) {
        c->is_out_of_memory = true;
        return;
    }
    (void)snprintf(item->name, sizeof(item->name), "%s", node->name);
    item->status =
        (struct bb_status){.kind = kind, .role = node->role, .count = count, .pid = node->pid};
    item->msg = (struct bb_msg){.topic = "",
                                .data = "",
                                .node = item->name,
                                .node_id = node->id,
                                .wall_ns = bbi_os_wall_ns(),
                                .status = &item->status};
    bbi_items_add(&c->ready, item);
}

static void
tell_change(struct bb_cluster *c,
            uint32_t kind,
            const struct bb_cluster_node *node,
            uint64_t epoch,
            uint32_t count)
{
    const struct bbi_node_change change = {
        .kind = kind, .count = count, .epoch = epoch, .node = node};
    bbi_pools_changed(c, &change);
    for (struct bbi_part *p = c->parts; p != NULL; p = p->next) {
        if (p->change != NULL) {
            p->change(p, c, &change);
        }
    }
    bbi_tell(c, kind, node, count);
}

/* ---- changes ---- */

/* The member's slot knows it while it is its; the roll's record for longer. */
static struct bbi_who
who_is(struct bb_cluster *c, uint64_t id)
{
    struct bbi_member_view v;
    struct bbi_who who = {.id = id, .name = "?"};
    uint64_t slot = id & 0xffff;
    if (bbi_roll_who(&c->roll, id, &who)) {
        return who;
    }
    if (slot < BBI_MEMBERS && bbi_member_read(&bbi_endpoint_at(c->ep)->bus->members[slot], &v)
        && v.gen == id >> 16) {
        who.role = v.role;
        who.pid = v.pid;
        memcpy(who.name, v.name, sizeof(who.name));
    }
    return who;
}

static bool
is_complete(const struct bb_cluster *c)
{
    for (size_t i = 0; i < c->node_count; i++) {
        if (c->nodes[i]->info.is_expected && !c->nodes[i]->info.is_up) {
            return false;
        }
    }
    return true;
}

/* Once for each time that it becomes so. */
static void
look_at_layout(struct bb_cluster *c)
{
    bool was_complete = c->is_complete;
    c->is_complete = is_complete(c);
    if (c->is_complete && !was_complete && c->has_layout) {
        const struct bbi_node *self = bbi_node_by_id(c, c->id);
        struct bb_cluster_node me = {.id = c->id, .role = c->role};
        (void)snprintf(me.name, sizeof(me.name), "%s", c->name);
        bbi_tell(c, BB_STATUS_LAYOUT_COMPLETE, self != NULL ? &self->info : &me, 0);
    }
}

static bool
is_welcome(const struct bb_cluster *c, const struct bbi_who *who)
{
    const struct bbi_node *node = bbi_node_find(c, who->name);
    if (node == NULL || !node->info.is_expected) {
        return (c->flags & BB_CLUSTER_CLOSED) == 0;
    }
    return node->layout_role == who->role;
}

static void
apply_up(struct bb_cluster *c, struct bbi_peer *peer, const struct bbi_change *change)
{
    const struct bbi_who who = who_is(c, change->id);
    if (!is_welcome(c, &who)) {
        struct bb_cluster_node stranger = {.id = who.id, .role = who.role, .pid = who.pid};
        memcpy(stranger.name, who.name, sizeof(stranger.name));
        peer->is_refused = true;
        bbi_tell(c, BB_STATUS_NODE_REFUSED, &stranger, 0);
        return;
    }
    struct bbi_node *node = bbi_node_of(c, who.name);
    if (node == NULL) {
        return;
    }
    struct bb_cluster_node *n = &node->info;
    n->id = who.id;
    n->role = who.role;
    n->pid = who.pid;
    n->is_up = 1;
    n->is_in = 0;
    n->starts++;
    n->epoch = change->epoch;
    n->change_wall_ns = bbi_roll_time(&c->roll, change->epoch);
    tell_change(c, BB_STATUS_NODE_UP, n, change->epoch, 0);
    look_at_layout(c);
}

static void
apply_use(struct bb_cluster *c, struct bb_cluster_node *n, const struct bbi_change *change, bool on)
{
    n->is_in = on;
    n->epoch = change->epoch;
    n->change_wall_ns = bbi_roll_time(&c->roll, change->epoch);
    if (on) {
        n->weight = change->weight != 0 ? change->weight : BB_WEIGHT_EVEN;
    }
    tell_change(c, on ? BB_STATUS_NODE_IN : BB_STATUS_NODE_OUT, n, change->epoch,
                on ? n->weight : 0);
}

static void
apply_down(struct bb_cluster *c, struct bb_cluster_node *n, const struct bbi_change *change)
{
    n->is_up = n->is_in = 0;
    n->epoch = change->epoch;
    n->change_wall_ns = bbi_roll_time(&c->roll, change->epoch);
    tell_change(c, BB_STATUS_NODE_DOWN, n, change->epoch, change->weight);
    look_at_layout(c);
}

void
bbi_node_apply(struct bb_cluster *c, struct bbi_peer *peer, const struct bbi_change *change)
{
    if (change->kind == BBI_ROLL_UP) {
        peer->state = BBI_PEER_UP;
        apply_up(c, peer, change);
    }
    struct bbi_node *node = peer->is_refused ? NULL : bbi_node_by_id(c, change->id);
    if (node == NULL || !node->info.is_up) {
        return;
    }
    bool is_in = change->kind == BBI_ROLL_IN || (change->kind == BBI_ROLL_UP && change->weight > 0);
    if (is_in || change->kind == BBI_ROLL_OUT) {
        apply_use(c, &node->info, change, is_in);
    } else if (change->kind == BBI_ROLL_DOWN) {
        apply_down(c, &node->info, change);
    }
}

int
bb_cluster_nodes(const struct bb_cluster *c, struct bb_cluster_node *out, size_t max)
{
    for (size_t i = 0; i < c->node_count && i < max; i++) {
        out[i] = c->nodes[i]->info;
    }
    return (int)c->node_count;
}

int
bb_cluster_is_complete(struct bb_cluster *c)
{
    return c->is_complete || !c->has_layout;
}

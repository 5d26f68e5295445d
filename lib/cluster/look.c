/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/look.c - nodes and changes without joining, also when nobody lives any more.
 *
 * The roll says what was noticed; who died since the last member looked is up there still.  So the members'
 * table and locks have the last word on whether a node is up.
 */
#include "lib/cluster/cluster_impl.h"
#include "shm/registry.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
name_node(const struct bb_look *look,
          const struct bbi_roll *roll,
          uint64_t id,
          struct bb_cluster_node *out)
{
    struct bbi_member_view v;
    struct bbi_who who;
    uint64_t slot = id & 0xffff;
    out->id = id;
    if (bbi_roll_who(roll, id, &who)) {
        out->role = who.role;
        out->pid = who.pid;
        memcpy(out->name, who.name, sizeof(out->name));
    } else if (slot < BBI_MEMBERS && bbi_member_read(&bbi_look_at(look)->bus->members[slot], &v)
               && v.gen == id >> 16) {
        out->role = v.role;
        out->pid = v.pid;
        memcpy(out->name, v.name, sizeof(out->name));
    }
}

/* ---- nodes ---- */

struct nodes {
    struct bb_cluster_node *at;
    size_t count, capacity;
};

static struct bb_cluster_node *
node_by_id(const struct nodes *nodes, uint64_t id)
{
    for (size_t i = 0; i < nodes->count; i++) {
        if (nodes->at[i].id == id) {
            return &nodes->at[i];
        }
    }
    return NULL;
}

/* The entry of this name, which a new process of the same node takes over. */
static struct bb_cluster_node *
node_by_name(struct nodes *nodes, const char *name)
{
    for (size_t i = 0; i < nodes->count; i++) {
        if (strcmp(nodes->at[i].name, name) == 0) {
            return &nodes->at[i];
        }
    }
    if (nodes->count == nodes->capacity) {
        size_t capacity = nodes->capacity != 0 ? 2 * nodes->capacity : 64;
        struct bb_cluster_node *at = realloc(nodes->at, capacity * sizeof(*at));
        if (at == NULL) {
            return NULL;
        }
        nodes->at = at;
        nodes->capacity = capacity;
    }
    struct bb_cluster_node *n = &nodes->at[nodes->count++];
    *n = (struct bb_cluster_node){.weight = BB_WEIGHT_EVEN};
    return n;
}

static int
come_up(const struct bb_look *look,
        const struct bbi_roll *roll,
        struct nodes *nodes,
        const struct bbi_change *change)
{
    struct bb_cluster_node who = {0};
    name_node(look, roll, change->id, &who);
    if (who.name[0] == '\0') {
        return 0; /* long gone, and its slot another's */
    }
    struct bb_cluster_node *n = node_by_name(nodes, who.name);
    if (n == NULL) {
        return BB_ENOMEM;
    }
    memcpy(n->name, who.name, sizeof(n->name));
    n->id = who.id;
    n->role = who.role;
    n->pid = who.pid;
    n->is_up = 1;
    n->is_in = change->weight != 0;
    n->weight = change->weight != 0 ? change->weight : BB_WEIGHT_EVEN;
    n->starts++;
    return 0;
}

static int
apply(const struct bb_look *look,
      const struct bbi_roll *roll,
      struct nodes *nodes,
      const struct bbi_change *change)
{
    struct bb_cluster_node *n = node_by_id(nodes, change->id);
    if (change->kind == BBI_ROLL_UP && n == NULL) {
        int rc = come_up(look, roll, nodes, change);
        n = node_by_id(nodes, change->id);
        if (rc < 0 || n == NULL) {
            return rc;
        }
    } else if (n == NULL || !n->is_up || change->kind == BBI_ROLL_UP) {
        return 0; /* nobody we know, or said anew */
    } else {
        n->is_in = change->kind == BBI_ROLL_IN;
        n->is_up = change->kind != BBI_ROLL_DOWN;
        n->weight = n->is_in && change->weight != 0 ? change->weight : n->weight;
    }
    n->epoch = change->epoch;
    n->change_wall_ns = bbi_roll_time(roll, change->epoch);
    return 0;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct bb_cluster_node *)a)->name,
                  ((const struct bb_cluster_node *)b)->name);
}

static int
read_nodes(const struct bb_look *look,
           const struct bbi_roll *roll,
           struct nodes *nodes,
           uint64_t end)
{
    uint64_t e = end > BBI_ROLL_CHANGES ? end - BBI_ROLL_CHANGES : 0;
    int rc = 0;
    for (; e < end && rc == 0; e++) {
        struct bbi_change change;
        if (bbi_roll_read(roll, e, &change) > 0) {
            rc = apply(look, roll, nodes, &change);
        }
    }
    for (size_t i = 0; i < nodes->count; i++) {
        struct bb_cluster_node *n = &nodes->at[i];
        if (n->is_up && bbi_member_ending(bbi_look_at(look), n->id) != 0) {
            n->is_up = n->is_in = 0; /* nobody noticed yet, or nobody is left */
        }
    }
    if (nodes->count > 1) {
        qsort(nodes->at, nodes->count, sizeof(*nodes->at), by_name);
    }
    return rc;
}

/* 1: it is open; 0: nobody ever joined; or a status. */
static int
open_roll(struct bb_look *look, struct bbi_roll *roll)
{
    int rc = bbi_roll_open(roll, bbi_look_at(look), false, NULL);
    return rc == 0 ? 1 : rc == BB_ENOENT ? 0 : rc;
}

int
bb_look_cluster(struct bb_look *look, struct bb_cluster_node *out, size_t max, uint64_t *epoch)
{
    struct bbi_roll roll;
    struct nodes nodes = {0};
    int rc = open_roll(look, &roll);
    uint64_t end = 0;
    if (rc > 0) {
        end = bbi_roll_end(&roll);
        rc = read_nodes(look, &roll, &nodes, end);
        bbi_roll_close(&roll);
    }
    if (rc == 0) {
        rc = (int)nodes.count;
        for (size_t i = 0; i < nodes.count && i < max; i++) {
            out[i] = nodes.at[i];
        }
        if (epoch != NULL) {
            *epoch = end;
        }
    }
    free(nodes.at);
    return rc;
}

/* ---- changes ---- */

static uint32_t
status_of(uint32_t kind)
{
    return kind == BBI_ROLL_UP     ? BB_STATUS_NODE_UP
           : kind == BBI_ROLL_DOWN ? BB_STATUS_NODE_DOWN
           : kind == BBI_ROLL_IN   ? BB_STATUS_NODE_IN
                                   : BB_STATUS_NODE_OUT;
}

int
bb_look_changes(
    struct bb_look *look, uint64_t from, struct bb_change *out, size_t max, uint64_t *first)
{
    struct bbi_roll roll;
    int rc = open_roll(look, &roll);
    if (rc <= 0) {
        return rc;
    }
    uint64_t end = bbi_roll_end(&roll);
    uint64_t oldest = end > BBI_ROLL_CHANGES ? end - BBI_ROLL_CHANGES : 0;
    size_t n = 0;
    rc = from < oldest ? BB_EOVERRUN : 0;
    for (uint64_t e = from; rc == 0 && e < end && n < max; e++) {
        struct bbi_change change;
        struct bb_cluster_node who = {0};
        if (bbi_roll_read(&roll, e, &change) <= 0) {
            rc = n > 0 ? 0 : BB_EOVERRUN; /* overwritten while we read */
            oldest = e + 1;
            break;
        }
        name_node(look, &roll, change.id, &who);
        out[n] = (struct bb_change){.epoch = e,
                                    .kind = status_of(change.kind),
                                    .role = who.role,
                                    .weight = change.weight,
                                    .id = change.id};
        memcpy(out[n++].name, who.name, sizeof(who.name));
    }
    if (first != NULL) {
        *first = oldest;
    }
    bbi_roll_close(&roll);
    return rc < 0 ? rc : (int)n;
}

int
bb_cluster_hashing(struct bb_look *look, struct bb_hrw_opts *out)
{
    struct bbi_roll roll;
    int rc = bbi_roll_open(&roll, bbi_look_at(look), false, NULL);
    if (rc < 0) {
        return rc;
    }
    *out = (struct bb_hrw_opts){.size = sizeof(*out), .method = bbi_roll_hashing(&roll)};
    memcpy(out->seed, roll.file->seed, sizeof(out->seed));
    bbi_roll_close(&roll);
    return 0;
}

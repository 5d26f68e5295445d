/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/pools.c - the pools of a handle, worked out anew at each change of membership.
 *
 * Nodes keep their index as long as they are known, so that turns and owners name the same node before and
 * after a change.
 */
#include "lib/cluster/pools.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
is_alone(const struct bb_cluster *c)
{
    return (c->flags & BB_CLUSTER_STANDALONE) != 0;
}

/* ---- indices ---- */

static bool
is_known(const struct bb_cluster *c, const struct bbi_node *node)
{
    for (size_t i = 0; i < c->node_count; i++) {
        if (c->nodes[i] == node) {
            return true;
        }
    }
    return false;
}

/* A free one; else that of a node that is down and not expected. */
static void
take_index(struct bbi_pools *p, const struct bbi_node *node)
{
    size_t second = BBI_HRW_NODES_MAX;
    for (size_t i = 0; i < BBI_HRW_NODES_MAX; i++) {
        const struct bbi_node *there = p->seats[i];
        if (there == NULL) {
            p->seats[i] = node;
            return;
        }
        second = there->info.is_expected || there->info.is_up ? second : i;
    }
    if (second < BBI_HRW_NODES_MAX) {
        p->seats[second] = node;
    }
}

/* Those that are expected or up have an index; a forgotten one's is free again. */
static void
place_nodes(struct bb_cluster *c)
{
    struct bbi_pools *p = c->pools;
    for (size_t i = 0; i < BBI_HRW_NODES_MAX; i++) {
        if (p->seats[i] != NULL && !is_known(c, p->seats[i])) {
            p->seats[i] = NULL;
        }
    }
    for (size_t n = 0; n < c->node_count; n++) {
        struct bbi_node *node = c->nodes[n];
        size_t i = 0;
        if (!node->info.is_expected && !node->info.is_up) {
            continue;
        }
        while (i < BBI_HRW_NODES_MAX && p->seats[i] != node) {
            i++;
        }
        if (i == BBI_HRW_NODES_MAX) {
            take_index(p, node);
        }
    }
}

static uint32_t
index_of(const struct bb_cluster *c, const char *name)
{
    for (uint32_t i = 0; i < BBI_HRW_NODES_MAX; i++) {
        if (c->pools->seats[i] != NULL && strcmp(c->pools->seats[i]->info.name, name) == 0) {
            return i;
        }
    }
    return BBI_HRW_NOBODY;
}

/* As the bus does: a node that joined may have said how. */
static int
hash_alike(struct bb_cluster *c)
{
    uint32_t method = bbi_roll_hashing(&c->roll);
    struct bbi_hrw *hrw = &c->pools->hrw;
    return method == hrw->method ? 0 : bbi_hrw_init(hrw, method, c->roll.file->seed);
}

static int
seat(struct bb_cluster *c, struct bbi_pool_lack *lack)
{
    struct bbi_pools *p = c->pools;
    struct bbi_pool_node nodes[BBI_HRW_NODES_MAX];
    int rc = hash_alike(c);
    if (rc < 0) {
        return rc;
    }
    place_nodes(c);
    if (is_alone(c)) {
        uint32_t self = index_of(c, c->name);
        return self == BBI_HRW_NOBODY ? 0
                                      : bbi_pools_seat_alone(p->sorted, p->count, c->name, self);
    }
    for (size_t i = 0; i < BBI_HRW_NODES_MAX; i++) {
        const struct bbi_node *node = p->seats[i];
        nodes[i] = (struct bbi_pool_node){.name = ""};
        if (node != NULL) {
            const struct bb_cluster_node *n = &node->info;
            nodes[i] = (struct bbi_pool_node){.name = n->name,
                                              .role = n->role,
                                              .weight = n->weight,
                                              .is_expected = n->is_expected != 0,
                                              .is_up = n->is_up != 0,
                                              .is_in = n->is_in != 0};
        }
    }
    return bbi_pools_seat(p->sorted, p->count, nodes, BBI_HRW_NODES_MAX, lack);
}

/* ---- hearing ---- */

/*
 * A pool's topic is for those who have a seat.  Until we are up we hear it all the same: others may publish
 * to us from our UP on, which they see before us.
 */
static bool
should_hear(const struct bb_cluster *c, const struct bb_pool *pool)
{
    uint32_t self = index_of(c, c->name);
    if (is_alone(c)) {
        return true;
    }
    if ((c->flags & BB_CLUSTER_OBSERVER) != 0 || pool->pool.spec.role != c->role) {
        return false;
    }
    return self == BBI_HRW_NOBODY || !c->pools->seats[self]->info.is_up
           || bbi_pool_has(&pool->pool, self);
}

static int
hear(struct bb_cluster *c, struct bb_pool *pool)
{
    char topic[192];
    bool is_wanted = should_hear(c, pool);
    int n = bb_cluster_topic_pool(c, pool->name, topic, sizeof(topic));
    if (n < 0 || is_wanted == pool->is_heard) {
        return n < 0 ? n : 0;
    }
    int rc = is_wanted ? bb_subscribe(c->sub, topic, (size_t)n, BB_TOPIC_PATH)
                       : bb_unsubscribe(c->sub, topic, (size_t)n, BB_TOPIC_PATH);
    pool->is_heard = rc < 0 ? pool->is_heard : is_wanted;
    return rc < 0 ? rc : 0;
}

/* One that the filter table has no room for is tried again at the next change. */
static void
hear_all(struct bb_cluster *c)
{
    for (struct bb_pool *pool = c->pools->first; pool != NULL; pool = pool->next) {
        (void)hear(c, pool);
    }
}

/* ---- changes ---- */

static void
tell_fate(struct bb_cluster *c, struct bb_pool *pool, uint64_t epoch)
{
    uint32_t pos = 0, self = index_of(c, c->name);
    struct bbi_pool_move move;
    while (self != BBI_HRW_NOBODY && bbi_pool_moves(&pool->pool, self, &pos, &move)) {
        const struct bbi_node *other = c->pools->seats[move.other];
        const struct bb_fate fate = {.pool = pool,
                                     .epoch = epoch,
                                     .came = move.came,
                                     .other = other != NULL ? other->info.name : "?"};
        c->fate(&fate, c->user);
    }
}

void
bbi_pools_changed(struct bb_cluster *c, const struct bbi_node_change *change)
{
    struct bbi_pool_lack lack;
    if (seat(c, &lack) < 0) {
        return; /* more than 512 nodes by name, or too few for an exclusive pool: as before */
    }
    hear_all(c);
    for (struct bb_pool *p = c->pools->first; p != NULL && c->fate != NULL; p = p->next) {
        tell_fate(c, p, change->epoch);
    }
}

/* ---- registering ---- */

static int
add_pool(struct bb_cluster *c, const struct bbi_pool_spec *spec, struct bb_pool **out)
{
    struct bbi_pools *p = c->pools;
    struct bb_pool *pool = calloc(1, sizeof(*pool));
    struct bbi_pool **sorted = realloc(p->sorted, (p->count + 1) * sizeof(struct bbi_pool *));
    p->sorted = sorted != NULL ? sorted : p->sorted;
    if (pool == NULL || sorted == NULL) {
        free(pool);
        return BB_ENOMEM;
    }
    pool->c = c;
    (void)snprintf(pool->name, sizeof(pool->name), "%s", spec->name);
    pool->pool.spec = *spec;
    pool->pool.spec.name = pool->name;
    pool->pool.hrw = &p->hrw;
    p->sorted[p->count++] = &pool->pool;
    struct bb_pool **end = &p->first;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = pool;
    *out = pool;
    return 0;
}

static void
remove_pool(struct bb_cluster *c, struct bb_pool *pool)
{
    struct bbi_pools *p = c->pools;
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->sorted[i] != &pool->pool) {
            p->sorted[kept++] = p->sorted[i];
        }
    }
    p->count = kept;
    struct bb_pool **at = &p->first;
    while (*at != pool) {
        at = &(*at)->next;
    }
    *at = pool->next;
    free(pool);
}

static int
check(const struct bb_cluster *c, const struct bb_pool_opts *o, struct bbi_fault *f)
{
    size_t n = o->name != NULL ? strlen(o->name) : 0;
    if (n == 0 || n > BB_NAME_MAX || strchr(o->name, '/') != NULL) {
        return bbi_fault_set(f, BB_EINVAL, "pool",
                             "a pool's name has 1 to %d bytes and no '/': choose another one",
                             BB_NAME_MAX);
    }
    for (const struct bb_pool *p = c->pools->first; p != NULL; p = p->next) {
        if (strcmp(p->name, o->name) == 0) {
            return bbi_fault_set(f, BB_EEXIST, o->name,
                                 "there is a pool '%s' already: choose another name", o->name);
        }
    }
    return 0;
}

static int
say_lack(const char *name, int rc, const struct bbi_pool_lack *lack, struct bbi_fault *f)
{
    return rc != BB_ENOENT
               ? bbi_fault_set(f, rc, name,
                               "the pool '%s' is not possible: it needs a role that nodes have, "
                               "and max_nodes when it is exclusive",
                               name)
               : bbi_fault_set(
                   f, rc, name,
                   "exclusive pools want %u nodes of role %s and the layout has %u: add "
                   "nodes, or make the pool '%s' smaller",
                   lack->wanted, bb_role_name(lack->role), lack->have, name);
}

int
bb_pool_register(struct bb_cluster *c, const struct bb_pool_opts *opts, struct bb_pool **out)
{
    struct bb_pool_opts o;
    struct bbi_fault f = {.code = BB_ENOMEM, .uid = -1, .sentence = "out of memory"};
    struct bbi_pool_lack lack = {0};
    struct bb_pool *pool;
    int rc = BBI_OPTS_TAKE(struct bb_pool_opts, &o, opts);
    if (rc < 0) {
        return rc;
    }
    rc = check(c, &o, &f);
    if (rc < 0) {
        return bbi_error_fill(o.error, &f);
    }
    const struct bbi_pool_spec spec = {.name = o.name,
                                       .role = o.role,
                                       .max_nodes = o.max_nodes,
                                       .is_exclusive = o.is_exclusive != 0};
    rc = add_pool(c, &spec, &pool);
    if (rc < 0) {
        return bbi_error_fill(o.error, &f);
    }
    rc = seat(c, &lack);
    if (rc < 0) {
        (void)say_lack(o.name, rc, &lack, &f);
    } else if ((rc = hear(c, pool)) < 0) {
        (void)bbi_fault_set(&f, rc, o.name, "cannot subscribe to the topic of pool '%s': %s",
                            o.name, bb_strerror(rc));
    }
    if (rc < 0) {
        remove_pool(c, pool);
        (void)seat(c, &lack); /* as it was */
        return bbi_error_fill(o.error, &f);
    }
    hear_all(c); /* an exclusive one takes seats from others */
    if (out != NULL) {
        *out = pool;
    }
    return 0;
}

int
bbi_pools_begin(struct bb_cluster *c)
{
    static const uint32_t roles[] = {BB_ROLE_MANAGER, BB_ROLE_PROXY, BB_ROLE_LOGGER,
                                     BB_ROLE_WORKER};
    struct bbi_pool_lack lack;
    struct bb_pool *pool;
    c->pools = calloc(1, sizeof(*c->pools));
    if (c->pools == NULL) {
        return BB_ENOMEM;
    }
    int rc = bbi_hrw_init(&c->pools->hrw, bbi_roll_hashing(&c->roll), c->roll.file->seed);
    for (size_t i = 0; rc == 0 && i < sizeof(roles) / sizeof(roles[0]); i++) {
        const struct bbi_pool_spec spec = {.name = bb_role_name(roles[i]), .role = roles[i]};
        rc = add_pool(c, &spec, &pool);
        if (rc == 0) {
            rc = hear(c, pool);
        }
    }
    return rc == 0 ? seat(c, &lack) : rc;
}

void
bbi_pools_free(struct bb_cluster *c)
{
    if (c->pools == NULL) {
        return;
    }
    while (c->pools->first != NULL) {
        struct bb_pool *pool = c->pools->first;
        c->pools->first = pool->next;
        free(pool);
    }
    free(c->pools->sorted);
    free(c->pools);
    c->pools = NULL;
}

/* ---- asking ---- */

struct bb_pool *
bb_pool_find(struct bb_cluster *c, const char *name)
{
    struct bb_pool *p = c->pools->first;
    while (p != NULL && strcmp(p->name, name) != 0) {
        p = p->next;
    }
    return p;
}

const char *
bb_pool_name(const struct bb_pool *pool)
{
    return pool->name;
}

int
bb_pool_nodes(const struct bb_pool *pool, struct bb_cluster_node *out, size_t max)
{
    const struct bb_cluster *c = pool->c;
    size_t n = 0;
    for (size_t i = 0; i < c->node_count; i++) { /* expected ones first, then by name */
        const struct bb_cluster_node *info = &c->nodes[i]->info;
        uint32_t index = index_of(c, info->name);
        if (index == BBI_HRW_NOBODY || !bbi_pool_has(&pool->pool, index)) {
            continue;
        }
        if (n < max) {
            out[n] = *info;
        }
        n++;
    }
    return (int)n;
}

static int
name_of(const struct bb_pool *pool, uint32_t index, const char **name)
{
    if (index == BBI_HRW_NOBODY) {
        return BB_ENOENT;
    }
    *name = pool->c->pools->seats[index]->info.name;
    return 0;
}

int
bb_pool_where(
    const struct bb_pool *pool, const void *key, size_t key_bytes, uint32_t rank, const char **name)
{
    return name_of(pool, bbi_pool_owner(&pool->pool, key, key_bytes, rank), name);
}

int
bb_pool_next(struct bb_pool *pool, const char *key, const char **name)
{
    return name_of(pool, bbi_pool_next(&pool->pool, key), name);
}

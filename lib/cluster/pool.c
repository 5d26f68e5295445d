/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: everything is worked out anew from the list of nodes after each change, which is cheap (a few
 * hundred names at most) and leaves nothing that could drift apart between two processes.  The only memory
 * is whose turn it is, and who was live before, to tell whose keys moved.
 */
#include "lib/cluster/pool.h"

#include <string.h>

enum { ROLES = BB_ROLE_TOOL + 1 };

/* The nodes that may have seats, role by role in this order; taken counts those of exclusive pools. */
struct candidates {
    const struct bbi_pool_node *nodes;
    uint32_t count;
    uint16_t idx[BBI_HRW_NODES_MAX];
    uint32_t role_first[ROLES]; /* in idx */
    uint32_t role_count[ROLES];
    uint32_t role_taken[ROLES];
    uint32_t role_next[ROLES]; /* of those that are left: where the next shared pool begins */
};

/* Roles come from other processes: one that we do not know has no seat, and harms nobody else's. */
static bool
is_candidate(const struct bbi_pool_node *node)
{
    return (node->is_expected || node->is_up) && node->role < ROLES;
}

/* ---- checks ---------------------------------------------------------------------------------------- */

static int
check_pools(struct bbi_pool *const *pools, size_t pool_count)
{
    for (size_t i = 0; i < pool_count; i++) {
        const struct bbi_pool_spec *spec = &pools[i]->spec;
        if (spec->role == BB_ROLE_NONE || spec->role >= ROLES
            || (spec->is_exclusive && spec->max_nodes == 0)) {
            return BB_EINVAL;
        }
    }
    return 0;
}

static int
check_nodes(const struct bbi_hrw *hrw, const struct bbi_pool_node *nodes, size_t node_count)
{
    const char *names[BBI_HRW_NODES_MAX];
    uint64_t hashes[BBI_HRW_NODES_MAX];
    size_t count = 0;
    if (node_count > BBI_HRW_NODES_MAX) {
        return BB_ENOMEM;
    }
    for (size_t i = 0; i < node_count; i++) {
        if (nodes[i].weight > UINT8_MAX) {
            return BB_EINVAL;
        }
        if (is_candidate(&nodes[i])) {
            names[count++] = nodes[i].name;
        }
    }
    return bbi_hrw_names(hrw, names, count, hashes);
}

/* Without a layout (nobody is expected) exclusive pools take what there is. */
static int
check_layout(struct bbi_pool *const *pools,
             size_t pool_count,
             const struct bbi_pool_node *nodes,
             size_t node_count,
             struct bbi_pool_lack *lack)
{
    uint32_t wanted[ROLES] = {0};
    uint32_t have[ROLES] = {0};
    bool has_layout = false;
    for (size_t i = 0; i < node_count; i++) {
        if (nodes[i].is_expected && is_candidate(&nodes[i])) {
            have[nodes[i].role]++;
            has_layout = true;
        }
    }
    for (size_t i = 0; has_layout && i < pool_count; i++) {
        const struct bbi_pool_spec *spec = &pools[i]->spec;
        if (!spec->is_exclusive) {
            continue;
        }
        uint32_t *sum = &wanted[spec->role];
        *sum += (uint32_t)bbi_min_u64(spec->max_nodes, BBI_HRW_NODES_MAX + 1);
        if (*sum > have[spec->role]) {
            *lack = (struct bbi_pool_lack){spec->role, *sum, have[spec->role]};
            return BB_ENOENT;
        }
    }
    return 0;
}

/* ---- candidates -------------------------------------------------------------------------------------- */

static bool
stands_before(const struct bbi_pool_node *a, const struct bbi_pool_node *b)
{
    if (a->role != b->role) {
        return a->role < b->role;
    }
    if (a->is_expected != b->is_expected) {
        return a->is_expected;
    }
    return strcmp(a->name, b->name) < 0;
}

/* By gaps, as Shell did: the C library's sort may allocate. */
static void
sort_candidates(struct candidates *c)
{
    static const uint32_t gaps[] = {132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
        for (uint32_t i = gaps[g]; i < c->count; i++) {
            uint16_t idx = c->idx[i];
            uint32_t at = i;
            while (at >= gaps[g]
                   && stands_before(&c->nodes[idx], &c->nodes[c->idx[at - gaps[g]]])) {
                c->idx[at] = c->idx[at - gaps[g]];
                at -= gaps[g];
            }
            c->idx[at] = idx;
        }
    }
}

static void
find_candidates(struct candidates *c, const struct bbi_pool_node *nodes, size_t node_count)
{
    *c = (struct candidates){.nodes = nodes};
    for (size_t i = 0; i < node_count; i++) {
        if (is_candidate(&nodes[i])) {
            c->idx[c->count++] = (uint16_t)i;
        }
    }
    sort_candidates(c);
    for (uint32_t i = c->count; i-- > 0;) {
        c->role_first[nodes[c->idx[i]].role] = i;
        c->role_count[nodes[c->idx[i]].role]++;
    }
}

/* ---- seats ------------------------------------------------------------------------------------------- */

static void
sort_pools(struct bbi_pool **pools, size_t pool_count)
{
    for (size_t i = 1; i < pool_count; i++) {
        struct bbi_pool *pool = pools[i];
        size_t at = i;
        while (at > 0 && strcmp(pool->spec.name, pools[at - 1]->spec.name) < 0) {
            pools[at] = pools[at - 1];
            at--;
        }
        pools[at] = pool;
    }
}

/* The pool's share of what is left of its role: `count` nodes from the `from`th on, in a circle. */
static void
take_seats(struct bbi_pool *pool, const struct candidates *c, uint32_t from, uint32_t count)
{
    uint32_t role = pool->spec.role;
    uint32_t first = c->role_first[role] + c->role_taken[role];
    uint32_t left = c->role_count[role] - c->role_taken[role];
    pool->seat_count = count;
    for (uint32_t i = 0; i < count; i++) {
        pool->seats[i] = c->idx[first + (from + i) % left];
    }
}

static void
seat_pool(struct bbi_pool *pool, struct candidates *c)
{
    const struct bbi_pool_spec *spec = &pool->spec;
    uint32_t left = c->role_count[spec->role] - c->role_taken[spec->role];
    uint32_t count = spec->max_nodes > 0 && spec->max_nodes < left ? spec->max_nodes : left;
    if (spec->is_exclusive) {
        take_seats(pool, c, 0, count);
        c->role_taken[spec->role] += count;
        return;
    }
    take_seats(pool, c, c->role_next[spec->role], count);
    if (left > 0) {
        c->role_next[spec->role] = (c->role_next[spec->role] + count) % left;
    }
}

/* Those of the seats that are live, with the hashes that they have in this pool. */
static void
find_live(struct bbi_pool *pool, const struct bbi_pool_node *nodes)
{
    const char *names[BBI_HRW_NODES_MAX];
    uint64_t hashes[BBI_HRW_NODES_MAX];
    for (uint32_t i = 0; i < pool->seat_count; i++) {
        names[i] = nodes[pool->seats[i]].name;
    }
    int rc = bbi_hrw_names(pool->hrw, names, pool->seat_count, hashes);
    BBI_ASSERT(rc == 0); /* check_nodes() took all of them */
    pool->was = pool->live;
    pool->live = (struct bbi_hrw_live){0};
    for (uint32_t i = 0; i < pool->seat_count; i++) {
        const struct bbi_pool_node *node = &nodes[pool->seats[i]];
        if (node->is_up && node->is_in) {
            bbi_hrw_live_add(pool->hrw, &pool->live, pool->seats[i], hashes[i], node->weight);
        }
    }
}

int
bbi_pools_seat(struct bbi_pool **pools,
               size_t pool_count,
               const struct bbi_pool_node *nodes,
               size_t node_count,
               struct bbi_pool_lack *lack)
{
    struct candidates c;
    int rc = check_pools(pools, pool_count);
    if (rc == 0 && pool_count > 0) {
        rc = check_nodes(pools[0]->hrw, nodes, node_count);
    }
    if (rc == 0) {
        rc = check_layout(pools, pool_count, nodes, node_count, lack);
    }
    if (rc < 0) {
        return rc;
    }
    sort_pools(pools, pool_count);
    find_candidates(&c, nodes, node_count);
    for (int exclusive = 1; exclusive >= 0; exclusive--) {
        for (size_t i = 0; i < pool_count; i++) {
            if (pools[i]->spec.is_exclusive == (exclusive == 1)) {
                seat_pool(pools[i], &c);
            }
        }
    }
    for (size_t i = 0; i < pool_count; i++) {
        find_live(pools[i], nodes);
    }
    return 0;
}

int
bbi_pools_seat_alone(struct bbi_pool **pools, size_t pool_count, const char *name, uint32_t node)
{
    for (size_t i = 0; i < pool_count; i++) {
        struct bbi_pool *pool = pools[i];
        uint64_t hash;
        int rc = bbi_hrw_names(pool->hrw, &name, 1, &hash);
        if (rc < 0) {
            return rc;
        }
        pool->seat_count = 1;
        pool->seats[0] = (uint16_t)node;
        pool->was = pool->live;
        pool->live = (struct bbi_hrw_live){0};
        bbi_hrw_live_add(pool->hrw, &pool->live, node, hash, BB_WEIGHT_EVEN);
    }
    return 0;
}

bool
bbi_pool_has(const struct bbi_pool *pool, uint32_t node)
{
    for (uint32_t i = 0; i < pool->seat_count; i++) {
        if (pool->seats[i] == node) {
            return true;
        }
    }
    return false;
}

/* ---- keys and turns ---------------------------------------------------------------------------------- */

uint32_t
bbi_pool_owner(const struct bbi_pool *pool, const void *key, size_t key_bytes, uint32_t rank)
{
    uint32_t order[BBI_HRW_NODES_MAX];
    if (rank == 0) {
        return bbi_hrw_owner(pool->hrw, &pool->live, key, key_bytes);
    }
    if (rank >= pool->live.count) {
        return BBI_HRW_NOBODY;
    }
    (void)bbi_hrw_order(pool->hrw, &pool->live, key, key_bytes, order, (size_t)rank + 1);
    return order[rank];
}

static const struct bbi_hrw_site *
site_of(const struct bbi_hrw_live *live, uint32_t node)
{
    for (uint32_t i = 0; i < live->count; i++) {
        if (live->sites[i].node == node) {
            return &live->sites[i];
        }
    }
    return NULL;
}

/* The key's turn; when all are taken, that of the key whose place this one's would be. */
static struct bbi_pool_turn *
turn_of(struct bbi_pool *pool, const char *key)
{
    uint64_t hash = bbi_hash64(key, strlen(key));
    size_t home = hash % BBI_POOL_TURNS;
    for (size_t i = 0; i < BBI_POOL_TURNS; i++) {
        struct bbi_pool_turn *turn = &pool->turns[(home + i) % BBI_POOL_TURNS];
        if (turn->is_taken && turn->hash == hash) {
            return turn;
        }
        if (!turn->is_taken) {
            *turn = (struct bbi_pool_turn){hash, 0, 1};
            return turn;
        }
    }
    pool->turns[home].hash = hash;
    return &pool->turns[home];
}

uint32_t
bbi_pool_next(struct bbi_pool *pool, const char *key)
{
    struct bbi_pool_turn *turn = turn_of(pool, key);
    for (uint32_t i = 0; i < pool->seat_count; i++) {
        uint32_t seat = (turn->seat + i) % pool->seat_count;
        if (site_of(&pool->live, pool->seats[seat]) != NULL) {
            turn->seat = (seat + 1) % pool->seat_count;
            return pool->seats[seat];
        }
    }
    return BBI_HRW_NOBODY;
}

/* ---- whose keys move --------------------------------------------------------------------------------- */

/*
 * With scores a node's claim to keys depends on itself alone: it is gone, or there, or has this weight.  So
 * keys move between two nodes exactly when the claim of one rises beside the other's.
 */
static uint32_t
claim(const struct bbi_hrw_live *live, uint32_t node)
{
    const struct bbi_hrw_site *site = site_of(live, node);
    return site != NULL ? site->weight : 0;
}

static bool
move_between(const struct bbi_pool *pool, uint32_t self, struct bbi_pool_move *move)
{
    uint32_t before = claim(&pool->was, self);
    uint32_t now = claim(&pool->live, self);
    uint32_t other_before = claim(&pool->was, move->other);
    uint32_t other_now = claim(&pool->live, move->other);
    /* Keys come from who had some, and go to who has some; a share is compared by cross products. */
    bool came = other_before > 0 && now * other_before > before * other_now;
    bool went = before > 0 && now * other_before < before * other_now;
    move->came = came;
    return move->other != self && (came || went);
}

bool
bbi_pool_moves(const struct bbi_pool *pool,
               uint32_t self,
               uint32_t *pos,
               struct bbi_pool_move *move)
{
    while (*pos < pool->was.count + pool->live.count) {
        uint32_t at = (*pos)++;
        bool is_old = at < pool->was.count;
        *move =
            (struct bbi_pool_move){.other = is_old ? pool->was.sites[at].node
                                                   : pool->live.sites[at - pool->was.count].node};
        bool is_seen = !is_old && site_of(&pool->was, move->other) != NULL;
        if (!is_seen && move_between(pool, self, move)) {
            return true;
        }
    }
    return false;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/pools.c - who is in a pool, from who hears its topic.
 *
 * A node that an exclusive pool took does not hear the topic of its role's pool.  Nodes that are down hear
 * nothing; by their role they are shown all the same.
 */
#include "tools/cli/pools.h"

#include "tools/cli/readers.h"
#include "tools/cli/report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char pool_part[] = "pool/";

static const struct {
    const char *name;
    uint32_t role;
} role_pools[] = {
    {"logger", BB_ROLE_LOGGER},
    {"manager", BB_ROLE_MANAGER},
    {"proxy", BB_ROLE_PROXY},
    {"worker", BB_ROLE_WORKER},
};

int
cli_pool_uses(const struct cli_member *member)
{
    return cli_member_is_up(member) && member->node.is_in;
}

/* ---- the prefix -------------------------------------------------------------------------------------- */

/* find_prefix - what stands before `node/NAME/` in a prefix that this node hears. */
static int
find_prefix(const struct cli_reader *reader, const char *name, char out[CLI_PREFIX_MAX + 1])
{
    char end[sizeof("node//") + BB_NAME_MAX];
    size_t end_bytes = (size_t)snprintf(end, sizeof(end), "node/%s/", name);

    for (size_t i = 0; i < reader->prefix_count; i++) {
        const struct cli_prefix *prefix = &reader->prefixes[i];
        if (prefix->bytes < end_bytes || prefix->bytes - end_bytes > CLI_PREFIX_MAX) {
            continue;
        }
        size_t bytes = prefix->bytes - end_bytes;
        if (memcmp(prefix->p + bytes, end, end_bytes) == 0) {
            memcpy(out, prefix->p, bytes);
            out[bytes] = '\0';
            return 1;
        }
    }
    return 0;
}

static void
choose_prefix(const struct cli_readers *readers,
              const struct cli_members *members,
              char out[CLI_PREFIX_MAX + 1])
{
    for (size_t m = 0; m < members->count; m++) {
        const struct bb_cluster_node *node = &members->v[m].node;
        for (size_t i = 0; i < readers->count && cli_member_is_up(&members->v[m]); i++) {
            if (readers->v[i].info.node_id == node->id
                && find_prefix(&readers->v[i], node->name, out)) {
                return;
            }
        }
    }
    (void)snprintf(out, CLI_PREFIX_MAX + 1, "cluster/");
}

int
cli_cluster_prefix(const struct cli_call *call,
                   struct bb_look *look,
                   const struct cli_members *members,
                   char out[CLI_PREFIX_MAX + 1])
{
    struct cli_readers readers;
    int code = cli_list_readers(call, look, &readers);
    if (code == CLI_DONE) {
        choose_prefix(&readers, members, out);
        cli_readers_free(&readers);
    }
    return code;
}

/* ---- pools ------------------------------------------------------------------------------------------- */

static struct cli_pool *
find_pool(const struct cli_pools *pools, const char *name, size_t bytes)
{
    for (size_t i = 0; i < pools->count; i++) {
        if (strlen(pools->v[i].name) == bytes && memcmp(pools->v[i].name, name, bytes) == 0) {
            return &pools->v[i];
        }
    }
    return NULL;
}

/* add_pool - NULL: out of memory. */
static struct cli_pool *
add_pool(struct cli_pools *pools, const char *name, size_t bytes, size_t members)
{
    struct cli_pool *v = reallocarray(pools->v, pools->count + 1, sizeof(*v));
    if (v == NULL) {
        return NULL;
    }
    pools->v = v;
    struct cli_pool *pool = &v[pools->count];
    *pool = (struct cli_pool){.has = calloc(members + 1, 1)};
    if (pool->has == NULL) {
        return NULL;
    }
    memcpy(pool->name, name, bytes);
    pools->count++;
    return pool;
}

static void
add_node(struct cli_pool *pool, const struct cli_members *members, size_t i)
{
    if (!pool->has[i]) {
        pool->has[i] = 1;
        pool->nodes++;
        pool->in += cli_pool_uses(&members->v[i]) != 0;
    }
}

static int
add_roles(struct cli_pools *pools, const struct cli_members *members)
{
    for (size_t k = 0; k < sizeof(role_pools) / sizeof(role_pools[0]); k++) {
        const char *name = role_pools[k].name;
        struct cli_pool *pool = add_pool(pools, name, strlen(name), members->count);
        if (pool == NULL) {
            return BB_ENOMEM;
        }
        pool->role = role_pools[k].role;
        for (size_t i = 0; i < members->count; i++) {
            if (members->v[i].node.role == pool->role && !cli_member_is_up(&members->v[i])) {
                add_node(pool, members, i); /* what it would hear nobody knows */
            }
        }
    }
    return 0;
}

/* pool_of - the name of the pool in this prefix; 0 bytes: it is none of a pool. */
static const char *
pool_of(const struct cli_prefix *heard, const char *prefix, size_t *bytes)
{
    size_t before = strlen(prefix);
    size_t part = sizeof(pool_part) - 1;

    *bytes = 0;
    if (heard->bytes > before + part && memcmp(heard->p, prefix, before) == 0
        && memcmp(heard->p + before, pool_part, part) == 0) {
        size_t rest = heard->bytes - before - part;
        if (rest <= CLI_POOL_NAME_MAX && memchr(heard->p + before + part, '/', rest) == NULL) {
            *bytes = rest;
        }
    }
    return heard->p + before + part;
}

/* add_heard - the pools that one subscriber of members->v[i] hears. */
static int
add_heard(struct cli_pools *pools,
          const struct cli_members *members,
          size_t i,
          const struct cli_reader *reader,
          const char *prefix)
{
    for (size_t k = 0; k < reader->prefix_count; k++) {
        size_t bytes;
        const char *name = pool_of(&reader->prefixes[k], prefix, &bytes);
        if (bytes == 0) {
            continue;
        }
        struct cli_pool *pool = find_pool(pools, name, bytes);
        pool = pool != NULL ? pool : add_pool(pools, name, bytes, members->count);
        if (pool == NULL) {
            return BB_ENOMEM;
        }
        if (pool->role == BB_ROLE_NONE || pool->role == members->v[i].node.role) {
            add_node(pool, members, i);
        }
    }
    return 0;
}

static int
add_registered(struct cli_pools *pools,
               const struct cli_members *members,
               const struct cli_readers *readers,
               const char *prefix)
{
    int rc = 0;
    for (size_t i = 0; i < members->count; i++) {
        for (size_t k = 0; k < readers->count && rc == 0; k++) {
            if (readers->v[k].info.node_id == members->v[i].node.id) {
                rc = add_heard(pools, members, i, &readers->v[k], prefix);
            }
        }
    }
    return rc;
}

static int
compare_pools(const void *a, const void *b)
{
    const struct cli_pool *x = a;
    const struct cli_pool *y = b;
    return strcmp(x->name, y->name);
}

int
cli_list_pools(const struct cli_call *call,
               struct bb_look *look,
               const struct cli_members *members,
               struct cli_pools *out)
{
    struct cli_readers readers;
    char prefix[CLI_PREFIX_MAX + 1];

    *out = (struct cli_pools){0};
    int code = cli_list_readers(call, look, &readers);
    if (code != CLI_DONE) {
        return code;
    }
    choose_prefix(&readers, members, prefix);
    int rc = add_roles(out, members);
    if (rc == 0) {
        rc = add_registered(out, members, &readers, prefix);
    }
    cli_readers_free(&readers);
    if (rc < 0) {
        cli_pools_free(out);
        return cli_report(call, rc, NULL, "cannot list the pools");
    }
    qsort(out->v, out->count, sizeof(*out->v), compare_pools);
    return CLI_DONE;
}

void
cli_pools_free(struct cli_pools *pools)
{
    for (size_t i = 0; i < pools->count; i++) {
        free(pools->v[i].has);
    }
    free(pools->v);
    *pools = (struct cli_pools){0};
}

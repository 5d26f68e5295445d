/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_pool_where.c - `busbar pool where KEY`: the node that owns a key, and who would if it were gone.
 *
 * The nodes come from a bus, as shared memory has them, or from the command line; the owner comes from the
 * same function that the nodes use.
 */
#include "tools/cli/attach.h"
#include "tools/cli/json.h"
#include "tools/cli/pools.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_MAX = 512 }; /* of bb_hrw() */

struct where_options {
    const char *pool;
    const char *if_down;
    const char *nodes;
    const char *alive;
    const char *seed;
    uint64_t rank;
    int zeek;
};

struct where {
    const struct cli_call *call;
    const struct where_options *o;
    struct bb_hrw_opts hrw;
    struct bb_hrw_node *nodes; /* their names: in words, or in members */
    size_t count;
    char *words;
    struct cli_members members;
};

static struct bb_hrw_node *
find_node(const struct where *w, const char *name, size_t bytes)
{
    for (size_t i = 0; i < w->count; i++) {
        if (strlen(w->nodes[i].name) == bytes && memcmp(w->nodes[i].name, name, bytes) == 0) {
            return &w->nodes[i];
        }
    }
    return NULL;
}

static int
no_memory(void)
{
    cli_say("out of memory for the list of nodes");
    return CLI_RESOURCE;
}

/* ---- from the command line ---------------------------------------------------------------------------- */

/* read_seed - up to 32 hexadecimal digits, as one number of 128 bits; 0, or BB_EINVAL. */
static int
read_seed(const char *text, uint64_t seed[2])
{
    size_t digits = strlen(text);
    if (digits == 0 || digits > 32 || text[strspn(text, "0123456789abcdefABCDEF")] != '\0') {
        return BB_EINVAL;
    }
    for (; *text != '\0'; text++) {
        char digit[2] = {*text, '\0'};
        seed[0] = seed[0] << 4 | seed[1] >> 60;
        seed[1] = seed[1] << 4 | strtoull(digit, NULL, 16);
    }
    return 0;
}

/* read_method - a seed means keyed; without one there is only Zeek's way to know an owner without a bus. */
static int
read_method(struct where *w)
{
    const struct where_options *o = w->o;
    w->hrw.method = o->zeek || (o->nodes != NULL && o->seed == NULL) ? BB_HRW_ZEEK : BB_HRW_KEYED;
    if (o->seed == NULL) {
        return CLI_DONE;
    }
    if (o->zeek) {
        return cli_wrong(w->call->verb, "Zeek's hashing has no seed: give --zeek or --seed");
    }
    if (read_seed(o->seed, w->hrw.seed) < 0) {
        return cli_wrong(w->call->verb, "--seed takes 1 to 32 hexadecimal digits, not \"%.40s\"",
                         o->seed);
    }
    return CLI_DONE;
}

/* take_words - --nodes, cut at its commas. */
static int
take_words(struct where *w)
{
    size_t most = 1;
    for (const char *p = w->o->nodes; *p != '\0'; p++) {
        most += *p == ',';
    }
    if (most > NODES_MAX) {
        return cli_wrong(w->call->verb, "--nodes takes at most %d names, not %zu", NODES_MAX, most);
    }
    w->words = strdup(w->o->nodes);
    w->nodes = calloc(most, sizeof(*w->nodes));
    if (w->words == NULL || w->nodes == NULL) {
        return no_memory();
    }
    char *rest = w->words;
    while (rest != NULL) {
        const char *name = strsep(&rest, ",");
        if (name[0] == '\0') {
            return cli_wrong(w->call->verb,
                             "--nodes takes names with commas between them; one of "
                             "\"%.80s\" is empty",
                             w->o->nodes);
        }
        if (find_node(w, name, strlen(name)) != NULL) {
            return cli_wrong(w->call->verb, "--nodes has \"%.47s\" twice", name);
        }
        w->nodes[w->count++] = (struct bb_hrw_node){.name = name, .is_alive = w->o->alive == NULL};
    }
    return CLI_DONE;
}

/* take_alive - --alive, of which each must be one of --nodes; "" means that nobody is. */
static int
take_alive(struct where *w)
{
    const char *p = w->o->alive;
    while (p != NULL && *p != '\0') {
        size_t bytes = strcspn(p, ",");
        struct bb_hrw_node *node = find_node(w, p, bytes);
        if (node == NULL) {
            return cli_wrong(w->call->verb, "--alive has \"%.*s\", which --nodes has not",
                             (int)(bytes < 48 ? bytes : 47), p);
        }
        node->is_alive = 1;
        p += bytes + (p[bytes] == ',');
    }
    return CLI_DONE;
}

static int
nodes_from_words(struct where *w)
{
    if (w->o->pool != NULL) {
        return cli_wrong(w->call->verb, "--pool asks a bus, --nodes needs none: give one of them");
    }
    int code = take_words(w);
    return code == CLI_DONE ? take_alive(w) : code;
}

/* ---- from a bus ----------------------------------------------------------------------------------------- */

static const struct cli_pool *
find_pool(const struct cli_pools *pools, const char *name)
{
    for (size_t i = 0; i < pools->count; i++) {
        if (strcmp(pools->v[i].name, name) == 0) {
            return &pools->v[i];
        }
    }
    cli_say("no pool \"%.80s\" on this bus; `busbar pool list` lists those there are", name);
    return NULL;
}

static int
take_members(struct where *w, const struct cli_pool *pool)
{
    w->nodes = calloc(w->members.count + 1, sizeof(*w->nodes));
    if (w->nodes == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < w->members.count; i++) {
        const struct cli_member *member = &w->members.v[i];
        if (pool->has[i]) {
            w->nodes[w->count++] = (struct bb_hrw_node){
                .name = member->node.name,
                .is_alive = cli_pool_uses(member) != 0,
                .weight = member->node.weight,
            };
        }
    }
    return CLI_DONE;
}

/* As the bus's nodes hash, unless the command line says how. */
static int
take_hashing(struct where *w, struct bb_look *look)
{
    if (w->o->zeek || w->o->seed != NULL) {
        return CLI_DONE;
    }
    int rc = bb_cluster_hashing(look, &w->hrw);
    return rc < 0 ? cli_report(w->call, rc, NULL, "how the bus's pools hash") : CLI_DONE;
}

static int
nodes_from_bus(struct where *w)
{
    static const struct cli_expected nobody;
    struct cli_pools pools = {0};
    struct bb_look *look = NULL;

    if (w->o->alive != NULL) {
        return cli_wrong(w->call->verb, "--alive needs --nodes: a bus says itself who is alive");
    }
    int code = cli_look(w->call, &look);
    if (code == CLI_DONE) {
        code = cli_list_members(w->call, look, &nobody, &w->members);
    }
    if (code == CLI_DONE) {
        code = cli_list_pools(w->call, look, &w->members, &pools);
    }
    if (code == CLI_DONE) {
        const struct cli_pool *pool = find_pool(&pools, w->o->pool != NULL ? w->o->pool : "proxy");
        code = pool != NULL ? take_members(w, pool) : CLI_NONE;
    }
    if (code == CLI_DONE) {
        code = take_hashing(w, look);
    }
    cli_pools_free(&pools);
    bb_look_close(look);
    return code;
}

/* ---- the answer ------------------------------------------------------------------------------------------- */

static int
take_down(struct where *w)
{
    if (w->o->if_down == NULL) {
        return CLI_DONE;
    }
    struct bb_hrw_node *node = find_node(w, w->o->if_down, strlen(w->o->if_down));
    if (node == NULL) {
        cli_say("the pool has no node \"%.47s\": --if-down takes one of its nodes", w->o->if_down);
        return CLI_NONE;
    }
    node->is_alive = 0;
    return CLI_DONE;
}

static void
print_json(const struct where *w, const char *key, const char *const names[2])
{
    struct cli_json j = {0};
    static const char *const keys[2] = {"owner", "next"};
    cli_json_object(&j, NULL);
    cli_json_text(&j, "key", key);
    for (size_t i = 0; i < 2; i++) {
        if (names[i] != NULL) {
            cli_json_text(&j, keys[i], names[i]);
        } else {
            cli_json_null(&j, keys[i]);
        }
    }
    if (w->o->rank > 0) {
        cli_json_count(&j, "rank", w->o->rank);
    }
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

/* answer - the order's names from `rank` on, the first of which is printed. */
static int
answer(const struct where *w)
{
    const char *key = w->call->args[0];
    const char *names[2] = {NULL, NULL};
    uint32_t *order = calloc(w->count + 1, sizeof(*order));
    if (order == NULL) {
        return no_memory();
    }
    int got = bb_hrw(w->nodes, w->count, key, strlen(key), &w->hrw, order, w->count);
    for (size_t i = 0; got > 0 && i < 2 && w->o->rank + i < (uint64_t)got; i++) {
        names[i] = w->nodes[order[w->o->rank + i]].name;
    }
    free(order);
    if (got < 0) {
        return cli_report(w->call, got, NULL, "the list of nodes");
    }
    if (w->call->common.json) {
        print_json(w, key, names);
    } else if (names[0] != NULL) {
        printf("%s\n", names[0]);
    }
    if (names[0] == NULL && w->o->rank > 0) {
        cli_say("no node has rank %" PRIu64 " for this key: %d of %zu nodes are alive", w->o->rank,
                got, w->count);
        return CLI_NO;
    }
    if (names[0] == NULL) {
        cli_say("nobody owns this key: none of %zu nodes is alive", w->count);
        return CLI_NO;
    }
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct where w = {.call = call, .o = options, .hrw = {.size = sizeof(w.hrw)}};

    int code = read_method(&w);
    if (code == CLI_DONE) {
        code = w.o->nodes != NULL ? nodes_from_words(&w) : nodes_from_bus(&w);
    }
    if (code == CLI_DONE) {
        code = take_down(&w);
    }
    if (code == CLI_DONE) {
        code = answer(&w);
    }
    cli_members_free(&w.members);
    free(w.nodes);
    free(w.words);
    return code;
}

#define AT(member) offsetof(struct where_options, member)
static const struct cli_option options[] = {
    {.letter = 'p',
     .name = "pool",
     .type = CLI_TEXT,
     .offset = AT(pool),
     .arg = "POOL",
     .help = "the pool on the bus (default proxy)",
     .values = "@pools"},
    {.name = "if-down",
     .type = CLI_TEXT,
     .offset = AT(if_down),
     .arg = "NODE",
     .help = "as if this node were down",
     .values = "@nodes"},
    {.name = "rank",
     .type = CLI_COUNT,
     .offset = AT(rank),
     .arg = "N",
     .help = "who owns it when the first N owners are down (default 0)"},
    {.name = "nodes",
     .type = CLI_TEXT,
     .offset = AT(nodes),
     .arg = "A,B,...",
     .help = "no bus: all nodes of the pool, in its order (Zeek's is by name)"},
    {.name = "alive",
     .type = CLI_TEXT,
     .offset = AT(alive),
     .arg = "A,C,...",
     .help = "those of --nodes that are alive (default all)"},
    {.name = "zeek",
     .type = CLI_FLAG,
     .offset = AT(zeek),
     .help = "hash as Zeek does (default: as the bus's nodes do; without a bus as Zeek)"},
    {.name = "seed",
     .type = CLI_TEXT,
     .offset = AT(seed),
     .arg = "HEX",
     .help = "hash keyed, with this seed of 128 bits"},
    {.name = NULL},
};

const struct cli_verb cli_verb_pool_where = {
    .noun = "pool",
    .name = "where",
    .line = "print which node owns a key",
    .usage = "[OPTION]... KEY",
    .text = "Asks nobody: a bus's nodes stand in shared memory, and with --nodes there need be no\n"
            "bus.  KEY is hashed as the bytes that it has.  With --json: key, owner, and next,\n"
            "who owns it when the owner is gone.  Exits 1 when nobody is alive.",
    .examples = "busbar pool where 10.0.2.15\n"
                "busbar pool where 10.0.2.15 --if-down proxy-2\n"
                "busbar pool where --nodes proxy-1,proxy-2,proxy-3 --alive proxy-1,proxy-3 "
                "10.0.2.15\n",
    .options = options,
    .options_bytes = sizeof(struct where_options),
    .min_args = 1,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run,
};

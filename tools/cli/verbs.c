/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verbs.c - the table of verbs, and finding one by what was typed.
 */
#include "tools/cli/verbs.h"

#include "tools/cli/verb_list.h"
#include "tools/common/distance.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct cli_verb *const verbs[] = {
    &cli_verb_pub,
    &cli_verb_sub,
    &cli_verb_pipe,
    &cli_verb_tap,
    &cli_verb_req,
    &cli_verb_reply,
    &cli_verb_ls,
    &cli_verb_topic_info,
    &cli_verb_topic_hz,
    &cli_verb_topic_bw,
    &cli_verb_topic_delay,
    &cli_verb_node_list,
    &cli_verb_node_info,
    &cli_verb_node_ping,
    &cli_verb_cluster_status,
    &cli_verb_cluster_nodes,
    &cli_verb_cluster_watch,
    &cli_verb_pool_list,
    &cli_verb_pool_show,
    &cli_verb_pool_where,
    &cli_verb_print,
    &cli_verb_set,
    &cli_verb_log,
    &cli_verb_store_ls,
    &cli_verb_store_info,
    &cli_verb_store_get,
    &cli_verb_store_put,
    &cli_verb_store_add,
    &cli_verb_store_del,
    &cli_verb_store_incr,
    &cli_verb_store_decr,
    &cli_verb_store_append,
    &cli_verb_store_push,
    &cli_verb_store_pop,
    &cli_verb_store_sadd,
    &cli_verb_store_srem,
    &cli_verb_store_keys,
    &cli_verb_store_scan,
    &cli_verb_store_count,
    &cli_verb_store_ttl,
    &cli_verb_store_watch,
    &cli_verb_store_dump,
    &cli_verb_store_restore,
    &cli_verb_store_copy,
    &cli_verb_store_compact,
    &cli_verb_store_verify,
    &cli_verb_store_serve,
    &cli_verb_bridge_ls,
    &cli_verb_bridge_info,
    &cli_verb_bridge_add,
    &cli_verb_bridge_remove,
    &cli_verb_bridge_wait,
    &cli_verb_pki_init,
    &cli_verb_pki_issue,
    &cli_verb_pki_revoke,
    &cli_verb_pki_show,
    &cli_verb_bench,
    &cli_verb_latency,
    &cli_verb_value,
    &cli_verb_gc,
    &cli_verb_doctor,
    &cli_verb_version,
    &cli_verb_completion,
    &cli_verb_help,
};

enum { VERB_COUNT = sizeof(verbs) / sizeof(verbs[0]) };

const struct cli_option cli_common_options[] = {
    {.name = "dir",
     .type = CLI_WORD,
     .offset = offsetof(struct cli_common, dir),
     .arg = "DIR",
     .help = "directory that holds the buses (else $BUSBAR_DIR)",
     .values = "@dirs"},
    {.letter = 'b',
     .name = "bus",
     .type = CLI_WORD,
     .offset = offsetof(struct cli_common, bus),
     .arg = "NAME",
     .help = "name of the bus (else $BUSBAR_BUS, else \"default\")",
     .values = "@buses"},
    {.name = "json",
     .type = CLI_FLAG,
     .offset = offsetof(struct cli_common, json),
     .help = "print JSON (listings and messages)"},
    {.name = "header",
     .type = CLI_FLAG,
     .offset = offsetof(struct cli_common, header),
     .help = "print a table's header also into a pipe"},
    {.letter = 'h',
     .name = "help",
     .type = CLI_FLAG,
     .offset = offsetof(struct cli_common, help),
     .help = "say how a verb is used"},
    {.name = "version",
     .type = CLI_FLAG,
     .offset = offsetof(struct cli_common, version),
     .help = "print the version of library and memory layout"},
    {.name = NULL},
};

int
cli_verb_takes_common(const struct cli_verb *verb, const struct cli_option *common)
{
    int is_json = common->offset == offsetof(struct cli_common, json);
    int is_header = common->offset == offsetof(struct cli_common, header);
    return (!is_json || (verb->flags & CLI_JSON)) && (!is_header || (verb->flags & CLI_TABLE));
}

const struct cli_verb *
cli_verb_at(size_t i)
{
    return i < VERB_COUNT ? verbs[i] : NULL;
}

const struct cli_verb *
cli_verb_find(const char *noun, const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        const struct cli_verb *verb = verbs[i];
        int same_noun =
            noun == NULL ? verb->noun == NULL : verb->noun != NULL && strcmp(verb->noun, noun) == 0;
        if (same_noun && strcmp(verb->name, name) == 0) {
            return verb;
        }
    }
    return NULL;
}

int
cli_verb_is_noun(const char *word)
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (verbs[i]->noun != NULL && strcmp(verbs[i]->noun, word) == 0) {
            return 1;
        }
    }
    return 0;
}

const char *
cli_verb_name(const struct cli_verb *verb, char *buf, size_t bytes)
{
    snprintf(buf, bytes, "%s%s%s", verb->noun != NULL ? verb->noun : "",
             verb->noun != NULL ? " " : "", verb->name);
    return buf;
}

const char *
cli_verb_nearest(const char *word)
{
    const char *best = NULL;
    size_t best_distance = strlen(word); /* nothing in common is no suggestion */

    if (best_distance >= WORD_DISTANCE_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < VERB_COUNT; i++) {
        const char *name = verbs[i]->noun != NULL ? verbs[i]->noun : verbs[i]->name;
        size_t d = word_distance(word, name);
        if (d < best_distance) {
            best = name;
            best_distance = d;
        }
    }
    return best;
}

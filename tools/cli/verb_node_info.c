/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_node_info.c - `busbar node info NAME`: one node with its rings and subscribers.
 *
 * A name may stand for several entries: a living node and what a dead one of that name left behind.
 */
#include "tools/cli/attach.h"
#include "tools/cli/format.h"
#include "tools/cli/listing.h"
#include "tools/cli/node_json.h"
#include "tools/cli/readers.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <busbar/topic.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct info {
    const struct cli_call *call;
    struct cli_nodes nodes;
    struct cli_rings rings;
    struct cli_readers readers;
    struct cli_json json;
};

static const char *
lane_name(uint32_t lane)
{
    static const char *const names[] = {"data", "control", "oneshot"};
    return lane < sizeof(names) / sizeof(names[0]) ? names[lane] : "unknown";
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void
json_ring(struct cli_json *j, const struct bb_ring_info *ring)
{
    cli_json_object(j, NULL);
    cli_json_count(j, "ring", ring->ring);
    cli_json_text(j, "lane", lane_name(ring->lane));
    cli_json_boolean(j, "closed", ring->closed != 0);
    cli_json_count(j, "depth", ring->depth);
    cli_json_count(j, "bytes", ring->bytes);
    cli_json_count(j, "file_bytes", ring->file_bytes);
    cli_json_count(j, "first_seq", ring->first_seq);
    cli_json_count(j, "next_seq", ring->next_seq);
    cli_json_count(j, "messages", ring->messages);
    cli_json_count(j, "payload_bytes", ring->payload_bytes);
    cli_json_count(j, "topics", ring->topics);
    cli_json_count(j, "blocked", ring->blocked);
    cli_json_count(j, "evicted", ring->evicted);
    cli_json_count(j, "refused", ring->refused);
    cli_json_count(j, "wakes", ring->wakes);
    cli_json_boolean(j, "membarrier", ring->membarrier != 0);
    cli_json_end_object(j);
}

static void
json_prefixes(struct cli_json *j, const struct cli_reader *reader)
{
    cli_json_array(j, "prefixes");
    for (size_t i = 0; i < reader->prefix_count; i++) {
        cli_json_object(j, NULL);
        cli_json_bytes(j, "prefix", reader->prefixes[i].p, reader->prefixes[i].bytes);
        cli_json_boolean(j, "path", (reader->prefixes[i].flags & BB_TOPIC_PATH) != 0);
        cli_json_end_object(j);
    }
    cli_json_end_array(j);
}

static void
json_subscriber(struct cli_json *j, const struct cli_reader *reader)
{
    const struct bb_subscriber_info *s = &reader->info;
    cli_json_object(j, NULL);
    cli_json_count(j, "subscriber", s->subscriber);
    cli_json_boolean(j, "reliable", s->reliable != 0);
    cli_json_boolean(j, "asleep", s->asleep != 0);
    cli_json_boolean(j, "fd", s->fd_mode != 0);
    cli_json_count(j, "delivered", s->delivered);
    cli_json_count(j, "filtered", s->filtered);
    cli_json_count(j, "lost", s->lost);
    cli_json_count(j, "evicted", s->evicted);
    cli_json_count(j, "lag", s->lag);
    cli_json_text(j, "lag_node", s->lag_node);
    json_prefixes(j, reader);
    cli_json_end_object(j);
}

static void
json_node(struct info *info, const struct bb_node_info *node)
{
    struct cli_json *j = &info->json;
    cli_json_object(j, NULL);
    cli_node_json_fields(j, node);
    cli_json_array(j, "ring_list");
    for (size_t i = 0; i < info->rings.count; i++) {
        if (info->rings.v[i].node_id == node->id) {
            json_ring(j, &info->rings.v[i]);
        }
    }
    cli_json_end_array(j);
    cli_json_array(j, "subscriber_list");
    for (size_t i = 0; i < info->readers.count; i++) {
        if (info->readers.v[i].info.node_id == node->id) {
            json_subscriber(j, &info->readers.v[i]);
        }
    }
    cli_json_end_array(j);
    cli_json_end_object(j);
}

/* ---- text ------------------------------------------------------------------------------------------ */

static void
text_ring(const struct bb_ring_info *ring)
{
    char bytes[CLI_NUMBER_BYTES];
    printf("ring %u      %s lane, %u messages and %s%s\n", ring->ring, lane_name(ring->lane),
           ring->depth, cli_bytes(bytes, (double)ring->bytes), ring->closed ? ", closed" : "");
    printf("            published %" PRIu64 " messages, %" PRIu64
           " bytes on %u topics; readable %" PRIu64 " to %" PRIu64 "\n",
           ring->messages, ring->payload_bytes, ring->topics, ring->first_seq, ring->next_seq);
    printf("            blocked %" PRIu64 ", evicted %" PRIu64 ", refused %" PRIu64
           ", wakes %" PRIu64 "; %s\n",
           ring->blocked, ring->evicted, ring->refused, ring->wakes,
           ring->membarrier ? "membarrier" : "fence");
}

static void
text_subscriber(const struct cli_reader *reader)
{
    const struct bb_subscriber_info *s = &reader->info;
    struct cli_buffer text = {0};

    printf("subscriber  %s%s%s, lag %" PRIu64 "%s%s\n", s->reliable ? "reliable" : "lossy",
           s->asleep ? ", asleep" : "", s->fd_mode ? ", waits by descriptor" : "", s->lag,
           s->lag > 0 ? " behind " : "", s->lag > 0 ? s->lag_node : "");
    printf("            delivered %" PRIu64 ", filtered %" PRIu64 ", lost %" PRIu64
           ", evicted %" PRIu64 "\n",
           s->delivered, s->filtered, s->lost, s->evicted);
    for (size_t i = 0; i < reader->prefix_count; i++) {
        const struct cli_prefix *prefix = &reader->prefixes[i];
        cli_buffer_puts(&text, i == 0 ? "            prefixes '" : " '");
        cli_put_escaped(&text, prefix->p, prefix->bytes, 0);
        cli_buffer_puts(&text, prefix->flags & BB_TOPIC_PATH ? "' (path)" : "'");
    }
    if (text.bytes > 0) {
        printf("%.*s\n", (int)text.bytes, text.p);
    }
    cli_buffer_free(&text);
}

static void
text_node(const struct info *info, const struct bb_node_info *node)
{
    char owner[CLI_OWNER_BYTES];
    char text[CLI_NUMBER_BYTES];

    printf("node        %s\nrole        %s\nstate       %s\n", node->name, bb_role_name(node->role),
           bb_node_state_name(node->state));
    printf("process     pid %" PRId64 " of %s\n", node->pid, cli_owner(owner, node->uid));
    printf("attached    %s\n", cli_wall(text, node->joined_wall_ns));
    if (node->beat_age_ns >= 0) {
        printf("last beat   %s ago\n", cli_span(text, node->beat_age_ns));
    }
    for (size_t i = 0; i < info->rings.count; i++) {
        if (info->rings.v[i].node_id == node->id) {
            text_ring(&info->rings.v[i]);
        }
    }
    for (size_t i = 0; i < info->readers.count; i++) {
        if (info->readers.v[i].info.node_id == node->id) {
            text_subscriber(&info->readers.v[i]);
        }
    }
}

static int
print_nodes(struct info *info)
{
    const char *name = info->call->args[0];
    int json = info->call->common.json;
    int found = 0;

    for (size_t i = 0; i < info->nodes.count; i++) {
        if (strcmp(info->nodes.v[i].name, name) != 0) {
            continue;
        }
        if (json && found == 0) {
            cli_json_object(&info->json, NULL);
            cli_json_array(&info->json, "nodes");
        }
        found++;
        if (json) {
            json_node(info, &info->nodes.v[i]);
        } else {
            text_node(info, &info->nodes.v[i]);
        }
    }
    if (found == 0) {
        cli_say("no node \"%.47s\" on this bus; `busbar node list` lists those there are", name);
        return CLI_NONE;
    }
    if (json) {
        cli_json_end_array(&info->json);
        cli_json_end_object(&info->json);
        cli_json_line_end(&info->json);
    }
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct info info = {.call = call};
    struct bb_look *look = NULL;
    (void)options;

    int code = cli_look(call, &look);
    if (code == CLI_DONE) {
        code = cli_list_nodes(call, look, &info.nodes);
    }
    if (code == CLI_DONE) {
        code = cli_list_rings(call, look, &info.rings);
    }
    if (code == CLI_DONE) {
        code = cli_list_readers(call, look, &info.readers);
    }
    if (code == CLI_DONE) {
        code = print_nodes(&info);
    }
    cli_readers_free(&info.readers);
    free(info.rings.v);
    free(info.nodes.v);
    bb_look_close(look);
    return code;
}

const struct cli_verb cli_verb_node_info = {
    .noun = "node",
    .name = "info",
    .line = "show one node with its rings, subscribers and prefixes",
    .usage = "[--json] NAME",
    .examples = "busbar node info worker-3\n",
    .min_args = 1,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run,
};

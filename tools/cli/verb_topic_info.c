/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_topic_info.c - `busbar topic info T`: who publishes it, who reads it, how far behind.
 */
#include "tools/cli/attach.h"
#include "tools/cli/json.h"
#include "tools/cli/listing.h"
#include "tools/cli/readers.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>

struct info_options {
    int exact;
};

struct info {
    const struct cli_call *call;
    struct cli_topics topics;
    struct cli_readers readers;
    struct cli_cells table;
    struct cli_json json;
};

static void
put_publisher(struct info *info, const struct cli_topic *t)
{
    struct cli_json *j = &info->json;
    const char *state = bb_node_state_name(t->node_state);

    if (info->call->common.json) {
        cli_json_object(j, NULL);
        cli_json_text(j, "node", t->node);
        cli_json_text(j, "state", state);
        cli_json_count(j, "ring", t->ring);
        cli_json_count(j, "messages", t->messages);
        cli_json_count(j, "bytes", t->payload_bytes);
        cli_json_end_object(j);
        return;
    }
    cli_cell_escaped(&info->table, t->topic, t->topic_bytes);
    cli_cell(&info->table, "publisher");
    cli_cell(&info->table, "%s", t->node);
    cli_cell(&info->table, "%s", state);
    cli_cell(&info->table, "%" PRIu64 " messages, %" PRIu64 " bytes in ring %u", t->messages,
             t->payload_bytes, t->ring);
}

static void
put_subscriber(struct info *info, const struct cli_topic *t, const struct bb_subscriber_info *s)
{
    struct cli_json *j = &info->json;
    const char *state = bb_node_state_name(s->node_state);

    if (info->call->common.json) {
        cli_json_object(j, NULL);
        cli_json_text(j, "node", s->node);
        cli_json_text(j, "state", state);
        cli_json_boolean(j, "reliable", s->reliable != 0);
        cli_json_count(j, "lag", s->lag);
        cli_json_text(j, "lag_node", s->lag_node);
        cli_json_count(j, "delivered", s->delivered);
        cli_json_count(j, "filtered", s->filtered);
        cli_json_count(j, "lost", s->lost);
        cli_json_count(j, "evicted", s->evicted);
        cli_json_end_object(j);
        return;
    }
    cli_cell_escaped(&info->table, t->topic, t->topic_bytes);
    cli_cell(&info->table, "subscriber");
    cli_cell(&info->table, "%s", s->node);
    cli_cell(&info->table, "%s", state);
    cli_cell(&info->table, "%s, lag %" PRIu64 "%s%s, lost %" PRIu64,
             s->reliable ? "reliable" : "lossy", s->lag, s->lag > 0 ? " behind " : "",
             s->lag > 0 ? s->lag_node : "", s->lost);
}

/* put_topic - the topic that begins at entry i and goes on for n entries. */
static void
put_topic(struct info *info, size_t i, size_t n)
{
    const struct cli_topic *first = &info->topics.v[i];
    struct cli_json *j = &info->json;
    int json = info->call->common.json;

    if (json) {
        cli_json_object(j, NULL);
        cli_json_bytes(j, "topic", first->topic, first->topic_bytes);
        cli_json_array(j, "publishers");
    }
    for (size_t k = i; k < i + n; k++) {
        put_publisher(info, &info->topics.v[k]);
    }
    if (json) {
        cli_json_end_array(j);
        cli_json_array(j, "subscribers");
    }
    for (size_t k = 0; k < info->readers.count; k++) {
        const struct cli_reader *reader = &info->readers.v[k];
        if (cli_reader_wants(reader, first->topic, first->topic_bytes)) {
            put_subscriber(info, first, &reader->info);
        }
    }
    if (json) {
        cli_json_end_array(j);
        cli_json_end_object(j);
    }
}

static int
print_all(struct info *info)
{
    static const struct cli_column columns[] = {{"TOPIC", 0}, {"SIDE", 0}, {"NODE", 0},
                                                {"STATE", 0}, {"WHAT", 0}, {NULL, 0}};
    size_t n;

    info->table.columns = columns;
    if (info->call->common.json) {
        cli_json_object(&info->json, NULL);
        cli_json_array(&info->json, "topics");
    }
    for (size_t i = 0; i < info->topics.count; i += n) {
        n = cli_topics_same(&info->topics, i);
        put_topic(info, i, n);
    }
    if (info->call->common.json) {
        cli_json_end_array(&info->json);
        cli_json_end_object(&info->json);
        cli_json_line_end(&info->json);
        return CLI_DONE;
    }
    return cli_cells_print(&info->table, info->call->common.header);
}

static int
run(const struct cli_call *call, const void *options)
{
    const struct info_options *o = options;
    struct info info = {.call = call};
    struct cli_topic_filter filter = {call->args, call->arg_count, o->exact};
    struct bb_look *look = NULL;

    int code = cli_look(call, &look);
    if (code == CLI_DONE) {
        code = cli_list_topics(call, look, &filter, &info.topics);
    }
    if (code == CLI_DONE && info.topics.count == 0) {
        code = cli_no_topic(&filter);
    }
    if (code == CLI_DONE) {
        code = cli_list_readers(call, look, &info.readers);
    }
    if (code == CLI_DONE) {
        code = print_all(&info);
    }
    cli_readers_free(&info.readers);
    cli_topics_free(&info.topics);
    bb_look_close(look);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'x',
     .name = "exact",
     .type = CLI_FLAG,
     .offset = offsetof(struct info_options, exact),
     .help = "T is a whole topic, not a prefix"},
    {.name = NULL},
};

const struct cli_verb cli_verb_topic_info = {
    .noun = "topic",
    .name = "info",
    .line = "show who publishes and who reads the topics that begin with T",
    .usage = "[OPTION]... T...",
    .text = "One line for each ring that carries the topic, then one for each subscriber\n"
            "that wants it.  Lag and loss are the subscriber's, over all that it reads.",
    .examples = "busbar topic info zeek/\nbusbar topic info -x zeek/logs/conn --json\n",
    .options = options,
    .options_bytes = sizeof(struct info_options),
    .min_args = 1,
    .max_args = -1,
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};

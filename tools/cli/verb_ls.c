/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_ls.c - `busbar ls [-l]`: the topics of a bus.
 *
 * A topic may live in several rings; here it is one line.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/json.h"
#include "tools/cli/listing.h"
#include "tools/cli/meter.h"
#include "tools/cli/output.h"
#include "tools/cli/readers.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct ls_options {
    int64_t for_ns;
    int is_long;
    int exact;
};

static const struct ls_options defaults = {.for_ns = CLI_SECOND_NS};

/* line - one topic, summed over its rings. */
struct line {
    const struct cli_topic *first;
    unsigned publishers; /* living nodes */
    uint64_t messages, payload_bytes;
    double hz, bytes_per_s;
    unsigned subscribers, reliable;
    uint64_t max_lag, lost;
    const char *loser; /* the subscriber that lost most */
};

struct ls {
    const struct cli_call *call;
    const struct ls_options *o;
    struct cli_topics topics;
    struct cli_delta *delta; /* of each entry of topics, within seconds; NULL without -l */
    double seconds;
    struct cli_readers readers;
};

static void
add_readers(const struct ls *ls, struct line *line)
{
    uint64_t most_lost = 0;
    for (size_t i = 0; i < ls->readers.count; i++) {
        const struct cli_reader *reader = &ls->readers.v[i];
        if (!cli_node_is_alive(reader->info.node_state)
            || !cli_reader_wants(reader, line->first->topic, line->first->topic_bytes)) {
            continue;
        }
        line->subscribers++;
        line->reliable += reader->info.reliable != 0;
        line->lost += reader->info.lost;
        line->max_lag = reader->info.lag > line->max_lag ? reader->info.lag : line->max_lag;
        if (reader->info.lost > most_lost) {
            most_lost = reader->info.lost;
            line->loser = reader->info.node;
        }
    }
}

/* sum - the topic that begins at entry i and goes on for n entries, sorted by node. */
static struct line
sum(const struct ls *ls, size_t i, size_t n)
{
    struct line line = {.first = &ls->topics.v[i]};
    const char *last = "";
    for (size_t k = i; k < i + n; k++) {
        const struct cli_topic *t = &ls->topics.v[k];
        if (cli_node_is_alive(t->node_state) && strcmp(t->node, last) != 0) {
            line.publishers++;
            last = t->node;
        }
        line.messages += t->messages;
        line.payload_bytes += t->payload_bytes;
        if (ls->delta != NULL) {
            line.hz += (double)ls->delta[k].messages / ls->seconds;
            line.bytes_per_s += (double)ls->delta[k].payload_bytes / ls->seconds;
        }
    }
    add_readers(ls, &line);
    return line;
}

static const char *
policy_name(const struct line *line)
{
    if (line->subscribers == 0) {
        return "-";
    }
    return line->reliable == 0                   ? "lossy"
           : line->reliable == line->subscribers ? "reliable"
                                                 : "mixed";
}

static void
put_cells(const struct ls *ls, const struct line *line, struct cli_cells *table)
{
    char a[CLI_NUMBER_BYTES];
    char b[CLI_NUMBER_BYTES];

    cli_cell_escaped(table, line->first->topic, line->first->topic_bytes);
    cli_cell(table, "%u", line->publishers);
    cli_cell(table, "%u", line->subscribers);
    cli_cell(table, "%" PRIu64, line->messages);
    cli_cell(table, "%" PRIu64, line->payload_bytes);
    if (ls->o->is_long) {
        cli_cell(table, "%s", cli_scaled(a, line->hz));
        cli_cell(table, "%s/s", cli_bytes(b, line->bytes_per_s));
        cli_cell(table, "%" PRIu64, line->max_lag);
        cli_cell(table, "%" PRIu64, line->lost);
        cli_cell(table, "%s%s%s", policy_name(line), line->loser != NULL ? "  <- loser: " : "",
                 line->loser != NULL ? line->loser : "");
    }
}

static void
put_json(const struct ls *ls, const struct line *line, struct cli_json *j)
{
    cli_json_object(j, NULL);
    cli_json_bytes(j, "topic", line->first->topic, line->first->topic_bytes);
    cli_json_count(j, "publishers", line->publishers);
    cli_json_count(j, "subscribers", line->subscribers);
    cli_json_count(j, "reliable", line->reliable);
    cli_json_count(j, "messages", line->messages);
    cli_json_count(j, "bytes", line->payload_bytes);
    cli_json_count(j, "max_lag", line->max_lag);
    cli_json_count(j, "lost", line->lost);
    if (ls->o->is_long) {
        cli_json_real(j, "hz", line->hz);
        cli_json_real(j, "bytes_per_s", line->bytes_per_s);
    }
    cli_json_end_object(j);
}

static int
print_lines(const struct ls *ls)
{
    static const struct cli_column short_columns[] = {{"TOPIC", 0},    {"PUBS", 1},  {"SUBS", 1},
                                                      {"MESSAGES", 1}, {"BYTES", 1}, {NULL, 0}};
    static const struct cli_column long_columns[] = {
        {"TOPIC", 0},   {"PUBS", 1},   {"SUBS", 1}, {"MESSAGES", 1}, {"BYTES", 1}, {"RATE", 1},
        {"BYTES/S", 1}, {"MAXLAG", 1}, {"LOST", 1}, {"POLICY", 0},   {NULL, 0}};
    struct cli_cells table = {.columns = ls->o->is_long ? long_columns : short_columns};
    struct cli_json j = {0};
    size_t n;

    if (ls->call->common.json) {
        cli_json_object(&j, NULL);
        cli_json_array(&j, "topics");
    }
    for (size_t i = 0; i < ls->topics.count; i += n) {
        n = cli_topics_same(&ls->topics, i);
        struct line line = sum(ls, i, n);
        if (ls->call->common.json) {
            put_json(ls, &line, &j);
        } else {
            put_cells(ls, &line, &table);
        }
    }
    if (ls->call->common.json) {
        cli_json_end_array(&j);
        cli_json_end_object(&j);
        cli_json_line_end(&j);
        return CLI_DONE;
    }
    return cli_cells_print(&table, ls->call->common.header);
}

/* measure - a second look after a while: what was published meanwhile. */
static int
measure(struct ls *ls, struct bb_look *look, const struct cli_topic_filter *filter)
{
    struct cli_topics before = ls->topics;
    int64_t start_ns = cli_mono_ns();

    ls->topics = (struct cli_topics){0};
    cli_sleep_until(start_ns + ls->o->for_ns);
    int code = cli_list_topics(ls->call, look, filter, &ls->topics);
    if (code == CLI_DONE) {
        ls->seconds = (double)(cli_mono_ns() - start_ns) / (double)CLI_SECOND_NS;
        ls->delta = calloc(ls->topics.count + 1, sizeof(*ls->delta));
        if (ls->delta == NULL) {
            code = cli_report(ls->call, BB_ENOMEM, NULL, "the rates");
        } else {
            cli_topics_delta(&before, &ls->topics, ls->delta);
        }
    }
    cli_topics_free(&before);
    return code;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct ls ls = {.call = call, .o = options};
    struct cli_topic_filter filter = {call->args, call->arg_count, ls.o->exact};
    struct bb_look *look = NULL;

    int code = cli_look(call, &look);
    if (code == CLI_DONE) {
        code = cli_list_topics(call, look, &filter, &ls.topics);
    }
    if (code == CLI_DONE && ls.o->is_long) {
        code = measure(&ls, look, &filter);
    }
    if (code == CLI_DONE) {
        code = cli_list_readers(call, look, &ls.readers);
    }
    if (code == CLI_DONE) {
        code = print_lines(&ls);
    }
    free(ls.delta);
    cli_readers_free(&ls.readers);
    cli_topics_free(&ls.topics);
    bb_look_close(look);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'l',
     .name = "long",
     .type = CLI_FLAG,
     .offset = offsetof(struct ls_options, is_long),
     .help = "measure rates, and show lag, loss and policy of the subscribers"},
    {.letter = 'x',
     .name = "exact",
     .type = CLI_FLAG,
     .offset = offsetof(struct ls_options, exact),
     .help = "the arguments are whole topics, not prefixes"},
    {.name = "for",
     .type = CLI_SPAN,
     .offset = offsetof(struct ls_options, for_ns),
     .arg = "TIME",
     .help = "with -l: measure so long (default 1s)"},
    {.name = NULL},
};

const struct cli_verb cli_verb_ls = {
    .name = "ls",
    .line = "list the topics",
    .usage = "[OPTION]... [PREFIX...]",
    .text = "MESSAGES and BYTES were published since the rings that are there now were\n"
            "made; PUBS are living nodes.  MAXLAG and LOST are those of the subscribers\n"
            "that want the topic, over all that they read.  Topics that a ring's dictionary\n"
            "could not take are not listed.",
    .examples = "busbar ls\nbusbar ls -l zeek/\nbusbar ls --json\n",
    .options = options,
    .options_bytes = sizeof(struct ls_options),
    .defaults = &defaults,
    .max_args = -1,
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};

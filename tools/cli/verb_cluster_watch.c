/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_cluster_watch.c - `busbar cluster watch`: changes of membership as they happen.
 *
 * The roll is looked at again and again: nobody sees it or waits for it.  A bus whose members all went is
 * begun anew by the next one, in new files: so now and then it is looked at from outside again.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/json.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <busbar/cluster.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PERIOD_NS INT64_C(10000000)
#define ANEW_NS   INT64_C(500000000)

enum { CHANGES = 64 }; /* read at once */

struct watch_options {
    uint64_t count;
    int64_t wait_ns;
    const char *from;
};

static const struct watch_options defaults = {.wait_ns = -1, .from = "now"};

struct watch {
    const struct cli_call *call;
    const struct watch_options *o;
    struct bb_look *look;
    struct bb_bus_info bus;
    uint64_t next; /* epoch of the change that comes next */
    uint64_t printed;
    uint64_t lost;
};

static const char *
kind_name(const struct bb_change *change)
{
    switch (change->kind) {
    case BB_STATUS_NODE_UP:
        return "up";
    case BB_STATUS_NODE_DOWN:
        return change->weight == 1 ? "left" : "died";
    case BB_STATUS_NODE_IN:
        return "in";
    case BB_STATUS_NODE_OUT:
        return "out";
    default:
        return "changed";
    }
}

static void
print_json(const struct bb_change *change)
{
    struct cli_json j = {0};
    cli_json_object(&j, NULL);
    cli_json_count(&j, "epoch", change->epoch);
    cli_json_text(&j, "change", kind_name(change));
    if (change->name[0] != '\0') {
        cli_json_text(&j, "name", change->name);
        cli_json_text(&j, "role", bb_role_name(change->role));
    } else {
        cli_json_null(&j, "name");
        cli_json_null(&j, "role");
    }
    cli_json_count(&j, "id", change->id);
    if (change->kind == BB_STATUS_NODE_IN) {
        cli_json_count(&j, "weight", change->weight);
    }
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

static void
print_text(const struct bb_change *change)
{
    printf("%" PRIu64 " %s ", change->epoch, kind_name(change));
    if (change->name[0] != '\0') {
        printf("%s %s", change->name, bb_role_name(change->role));
    } else {
        printf("? ?"); /* its record is another node's by now */
    }
    if (change->kind == BB_STATUS_NODE_IN && change->weight != BB_WEIGHT_EVEN) {
        printf(" weight %u", change->weight);
    }
    putchar('\n');
}

static int
is_enough(const struct watch *watch)
{
    return watch->o->count != 0 && watch->printed >= watch->o->count;
}

/* print_new - what has come since.  How many changes, or a status. */
static int
print_new(struct watch *watch)
{
    struct bb_change changes[CHANGES];
    uint64_t first = 0;
    int n = bb_look_changes(watch->look, watch->next, changes, CHANGES, &first);

    if (n == BB_EOVERRUN && first > watch->next) {
        watch->lost += first - watch->next;
        watch->next = first;
        return 1;
    }
    n = n > CHANGES ? CHANGES : n;
    for (int i = 0; i < n && !is_enough(watch); i++) {
        if (watch->call->common.json) {
            print_json(&changes[i]);
        } else {
            print_text(&changes[i]);
        }
        watch->next = changes[i].epoch + 1;
        watch->printed++;
    }
    return n;
}

/* look_anew - the same bus, or the one that has taken its place since.  0 or a status. */
static int
look_anew(struct watch *watch)
{
    const struct cli_common *common = &watch->call->common;
    struct bb_look_opts opts = {.size = sizeof(opts), .dir = common->dir, .bus = common->bus};
    struct bb_look *look = NULL;
    struct bb_bus_info bus;

    int rc = bb_look_open(&look, &opts);
    if (rc < 0) {
        return rc == BB_ENOBUS ? 0 : rc; /* between two of its lives */
    }
    rc = bb_look_bus(look, &bus);
    if (rc < 0 || (bus.uuid == watch->bus.uuid && bus.generation == watch->bus.generation)) {
        bb_look_close(look);
        return rc < 0 ? rc : 0;
    }
    rc = print_new(watch); /* what the old one still had to say */
    while (rc > 0 && !is_enough(watch)) {
        rc = print_new(watch);
    }
    cli_say("the bus was begun anew; its changes count from the start again");
    bb_look_close(watch->look);
    watch->look = look;
    watch->bus = bus;
    watch->next = 0;
    return 0;
}

static int
begin(struct watch *watch)
{
    int rc = bb_look_bus(watch->look, &watch->bus);
    if (rc >= 0 && strcmp(watch->o->from, "now") == 0) {
        rc = bb_look_cluster(watch->look, NULL, 0, &watch->next);
    }
    return rc < 0 ? rc : 0;
}

/* follow - until enough, late or stopped.  0 or a status. */
static int
follow(struct watch *watch)
{
    const int64_t deadline_ns = cli_deadline(watch->o->wait_ns);
    int64_t anew_ns = cli_mono_ns() + ANEW_NS;
    int rc = begin(watch);

    while (rc >= 0 && !cli_stopped()) {
        rc = print_new(watch);
        if (rc < 0 || cli_output_flush() != 0 || cli_output_is_gone() || is_enough(watch)) {
            break;
        }
        int64_t left_ns = cli_left_ns(deadline_ns, PERIOD_NS);
        if (left_ns == 0) {
            break;
        }
        if (rc == 0) {
            cli_sleep_until(cli_mono_ns() + left_ns);
        }
        if (rc == 0 && cli_mono_ns() >= anew_ns) {
            rc = look_anew(watch);
            anew_ns = cli_mono_ns() + ANEW_NS;
        }
    }
    return rc < 0 ? rc : 0;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct watch watch = {.call = call, .o = options};

    if (strcmp(watch.o->from, "now") != 0 && strcmp(watch.o->from, "oldest") != 0) {
        return cli_wrong(call->verb, "--from takes now or oldest, not \"%.40s\"", watch.o->from);
    }
    cli_signals_catch();
    int code = cli_look(call, &watch.look);
    if (code != CLI_DONE) {
        return code;
    }
    int rc = follow(&watch);
    if (watch.lost > 0) {
        cli_say("%" PRIu64 " older changes were overwritten before they could be read", watch.lost);
    }
    if (rc < 0) {
        code = cli_report(call, rc, NULL, "cannot read the roll of the cluster");
    } else if (watch.o->count != 0 && !is_enough(&watch) && !cli_stopped()
               && !cli_output_is_gone()) {
        cli_say("time ran out: %" PRIu64 " of %" PRIu64 " changes came", watch.printed,
                watch.o->count);
        code = CLI_TIME;
    }
    bb_look_close(watch.look);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'n',
     .name = "count",
     .type = CLI_COUNT,
     .offset = offsetof(struct watch_options, count),
     .arg = "COUNT",
     .help = "end after so many changes"},
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct watch_options, wait_ns),
     .arg = "SECONDS",
     .help = "end after this time; short of --count the exit code is 3"},
    {.name = "from",
     .type = CLI_TEXT,
     .offset = offsetof(struct watch_options, from),
     .arg = "WHERE",
     .help = "begin at now (default) or oldest, the first change that is kept",
     .values = "now oldest"},
    {.name = NULL},
};

const struct cli_verb cli_verb_cluster_watch = {
    .noun = "cluster",
    .name = "watch",
    .line = "print who comes, goes and drains, as it happens",
    .usage = "[OPTION]...",
    .text = "A line for each change, in the order in which all nodes see them: its number\n"
            "(the epoch), what happened, the node, its role.  What happened: up; in, pools\n"
            "use it from now on; out, it drains; left, in order; died.\n"
            "\n"
            "A death is noticed by the other nodes: when all are gone nobody says it.",
    .examples = "busbar cluster watch\n"
                "busbar cluster watch --from oldest -W 0\n"
                "busbar cluster watch --json -n 1 -W 1m\n",
    .options = options,
    .options_bytes = sizeof(struct watch_options),
    .defaults = &defaults,
    .max_args = 0,
    .flags = CLI_JSON,
    .run = run,
};

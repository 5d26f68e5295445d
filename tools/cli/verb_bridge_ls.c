/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_bridge_ls.c - `busbar bridge ls`: the links of this bus, one a line.
 */
#include "tools/cli/attach.h"
#include "tools/cli/bridges.h"
#include "tools/cli/format.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* put_text - a cell that comes from elsewhere, and may hold blanks. */
static void
put_text(struct cli_cells *t, const char *text)
{
    struct cli_buffer out = {0};
    cli_put_escaped(&out, text, strlen(text), 0);
    cli_cell(t, "%.*s", (int)out.bytes, out.bytes > 0 ? out.p : "");
    cli_buffer_free(&out);
}

static void
put_row(struct cli_cells *t, const struct bb_link_info *l)
{
    char since[CLI_NUMBER_BYTES], sent[CLI_NUMBER_BYTES], received[CLI_NUMBER_BYTES];
    char queue[CLI_NUMBER_BYTES];
    int is_place = l->state == BB_LINK_LISTENING;

    put_text(t, l->name[0] != '\0' ? l->name : "-");
    put_text(t, l->address);
    cli_cell(t, "%s", bb_link_state_name(l->state));
    cli_cell(t, "%s", l->state == BB_LINK_UP ? cli_wall(since, l->up_wall_ns) : "-");
    if (is_place) {
        for (int i = 0; i < 5; i++) {
            cli_cell(t, "-");
        }
    } else {
        cli_cell(t, "%s", cli_scaled(sent, (double)l->sent_per_s));
        cli_cell(t, "%s", cli_scaled(received, (double)l->received_per_s));
        cli_cell(t, "%s", cli_bytes(queue, (double)l->queue_bytes));
        cli_cell(t, "%" PRIu64, l->dropped + l->lost_before);
        cli_cell(t, "%" PRIu64, l->gap_messages);
    }
    put_text(t, l->last[0] != '\0' ? l->last : "-");
}

static int
print_table(const struct cli_call *call, const struct cli_links *links)
{
    static const struct cli_column columns[] = {
        {"BOX", 0},   {"ADDRESS", 0}, {"STATE", 0},   {"UP SINCE", 0}, {"SENT/S", 1}, {"RECV/S", 1},
        {"QUEUE", 1}, {"DROPPED", 1}, {"MISSING", 1}, {"LAST", 0},     {NULL, 0}};
    struct cli_cells table = {.columns = columns};
    for (size_t i = 0; i < links->count; i++) {
        put_row(&table, &links->v[i]);
    }
    return cli_cells_print(&table, call->common.header);
}

static void
print_json(const struct cli_links *links)
{
    for (size_t i = 0; i < links->count; i++) {
        struct cli_json j = {0};
        cli_link_put_json(&j, &links->v[i]);
        cli_json_line_end(&j);
    }
}

static int
run(const struct cli_call *call, const void *options)
{
    struct bb_endpoint *ep = NULL;
    struct cli_links links = {0};
    (void)options;

    int code = cli_attach(call, NULL, NULL, BB_ATTACH_EXISTING, &ep);
    if (code == CLI_DONE) {
        code = cli_links_list(call, ep, &links);
    }
    if (code == CLI_DONE && call->common.json) {
        print_json(&links);
    } else if (code == CLI_DONE) {
        code = print_table(call, &links);
    }
    free(links.v);
    bb_endpoint_close(ep);
    return code;
}

const struct cli_verb cli_verb_bridge_ls = {
    .noun = "bridge",
    .name = "ls",
    .line = "list the links to other boxes, and where others may link to us",
    .usage = "[--json]",
    .text = "Asks the busbard of this bus; when none runs the exit code is 4.  SENT/S and\n"
            "RECV/S are messages; QUEUE is what the other box has not acknowledged; DROPPED\n"
            "are messages that could not go there, since the queue was full or they were\n"
            "overwritten before busbard read them; MISSING are messages that the other box\n"
            "told us it could not send.  LAST is why a link is down, or went down last.\n"
            "\n"
            "With --json each link is an object on a line of its own.",
    .examples = "busbar bridge ls\n"
                "busbar bridge ls --json | jq -r 'select(.state == \"up\").name'\n",
    .max_args = 0,
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};

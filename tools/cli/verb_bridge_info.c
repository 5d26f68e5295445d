/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_bridge_info.c - `busbar bridge info [BOX|ADDRESS]`: the bridge itself, and all that is known of links.
 */
#include "tools/cli/attach.h"
#include "tools/cli/bridges.h"
#include "tools/cli/buffer.h"
#include "tools/cli/format.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void
print_json(const struct bb_bridge_info *info, const struct cli_links *links)
{
    struct cli_json j = {0};
    char box[CLI_BOX_BYTES], epoch[17];
    cli_json_object(&j, NULL);
    cli_json_text(&j, "name", info->name);
    cli_json_text(&j, "box", cli_box_text(box, info->box));
    (void)snprintf(epoch, sizeof(epoch), "%016" PRIx64, info->epoch);
    cli_json_text(&j, "epoch", epoch); /* as text: many readers of JSON round such numbers */
    cli_json_text(&j, "engine", info->engine);
    cli_json_text(&j, "engine_why", info->engine_why);
    cli_json_text(&j, "security", info->security);
    cli_json_integer(&j, "pid", info->pid);
    cli_json_wall(&j, "started", info->started_wall_ns);
    cli_json_count(&j, "up", info->up);
    cli_json_count(&j, "memory_bytes", info->memory_bytes);
    cli_json_count(&j, "local_lost", info->local_lost);
    cli_json_array(&j, "links");
    for (size_t i = 0; i < links->count; i++) {
        cli_link_put_json(&j, &links->v[i]);
    }
    cli_json_end_array(&j);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

/* ---- words ----------------------------------------------------------------------------------------- */

/* print_text - a line whose text comes from elsewhere. */
static void
print_text(const char *what, const char *text)
{
    struct cli_buffer out = {0};
    cli_put_escaped(&out, text, strlen(text), 0);
    printf("%s%.*s\n", what, (int)out.bytes, out.p != NULL ? out.p : "");
    cli_buffer_free(&out);
}

static void
print_bridge(const struct bb_bridge_info *info)
{
    char box[CLI_BOX_BYTES], a[CLI_NUMBER_BYTES];
    print_text("bridge      ", info->name);
    printf("box         %s\n", cli_box_text(box, info->box));
    printf("busbard     pid %" PRId64 ", since %s, epoch %016" PRIx64 "\n", info->pid,
           cli_wall(a, info->started_wall_ns), info->epoch);
    printf("engine      %s%s%s\n", info->engine, info->engine_why[0] != '\0' ? ": " : "",
           info->engine_why);
    printf("security    %s\n", strcmp(info->security, "none") == 0
                                   ? "INSECURE: anybody may link to us and read or change all of it"
                                   : info->security);
    printf("links       %" PRIu32 " of %" PRIu32 " are up\n", info->up, info->links);
    printf("memory      %s\n", cli_bytes(a, (double)info->memory_bytes));
    printf("lost here   %" PRIu64 " messages were overwritten before busbard read them\n",
           info->local_lost);
}

static void
print_state(const struct bb_link_info *l)
{
    char a[CLI_NUMBER_BYTES];
    printf("  state     %s", bb_link_state_name(l->state));
    if (l->state == BB_LINK_UP) {
        printf(" since %s", cli_wall(a, l->up_wall_ns));
    } else if (l->state == BB_LINK_DOWN && l->dialed != 0 && l->retry_in_ns >= 0) {
        printf(", tried again in %s", cli_span(a, l->retry_in_ns));
    }
    printf("; %s; up %" PRIu64 " times, tried %" PRIu64 " times\n",
           l->dialed != 0             ? "we keep it up"
           : l->state == BB_LINK_DOWN ? "not tried from here"
                                      : "it came to us",
           l->ups, l->attempts);
    if (l->last[0] != '\0') {
        print_text("  last      ", l->last);
    }
}

static void
print_out(const struct bb_link_info *l)
{
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES], c[CLI_NUMBER_BYTES];
    printf("  sent      %" PRIu64 " messages (%s/s), %s\n", l->sent,
           cli_scaled(a, (double)l->sent_per_s), cli_bytes(b, (double)l->sent_bytes));
    printf("  queue     %" PRIu64 " messages, %s of %s; when it is full: %s\n", l->queued,
           cli_bytes(a, (double)l->queue_bytes), cli_bytes(b, (double)l->queue_max),
           cli_slow_name(l->slow));
    printf("  credit    %s, %" PRIu64 " messages; was out of it %" PRIu64 " times\n",
           cli_bytes(c, (double)l->credit_bytes), l->credit_messages, l->blocked);
    printf("  not sent  %" PRIu64 " dropped, %" PRIu64 " lost before, %" PRIu64 " not allowed\n",
           l->dropped, l->lost_before, l->denied_out);
}

static double
ratio(uint64_t plain, uint64_t wire)
{
    return wire > 0 ? (double)plain / (double)wire : 1.0;
}

/* print_compression - how much shorter, when it ever was. */
static void
print_compression(const struct bb_link_info *l)
{
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES];
    if (l->compressed == 0 && l->sent_plain_bytes == l->sent_bytes
        && l->received_plain_bytes == l->received_bytes) {
        return;
    }
    printf("  LZ4       %s; without it %s (%.2f times) were sent, %s (%.2f times) received\n",
           l->compressed != 0 ? "on" : "off", cli_bytes(a, (double)l->sent_plain_bytes),
           ratio(l->sent_plain_bytes, l->sent_bytes), cli_bytes(b, (double)l->received_plain_bytes),
           ratio(l->received_plain_bytes, l->received_bytes));
}

static void
print_in(const struct bb_link_info *l)
{
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES];
    printf("  received  %" PRIu64 " messages (%s/s), %s\n", l->received,
           cli_scaled(a, (double)l->received_per_s), cli_bytes(b, (double)l->received_bytes));
    printf("  missing   %" PRIu64 " told by the other box; %" PRIu64
           " of all that is missing may have come before\n",
           l->gap_messages, l->uncertain);
    printf("  refused   %" PRIu64 " not allowed\n", l->denied_in);
    printf("  prefixes  %" PRIu64 " of ours told there, %" PRIu64 " of theirs told here\n",
           l->interests, l->peer_interests);
}

static void
print_clock(const struct bb_link_info *l)
{
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES], c[CLI_NUMBER_BYTES];
    if (l->round_trip_ns > 0) {
        int64_t offset = l->clock_offset_ns;
        printf("  round     %s; its clock is %s%s of ours, +- %s\n", cli_span(a, l->round_trip_ns),
               cli_span(b, offset < 0 ? -offset : offset), offset < 0 ? " behind" : " ahead",
               cli_span(c, l->clock_error_ns));
    }
}

static void
print_link(const struct bb_link_info *l)
{
    char box[CLI_BOX_BYTES];
    printf("\n");
    if (l->state == BB_LINK_LISTENING) {
        print_text("listening   ", l->address);
        return;
    }
    print_text("link        ", l->name[0] != '\0' ? l->name : "(its name is not known yet)");
    print_text("  address   ", l->address);
    printf("  box       %s\n", cli_box_text(box, l->box));
    printf("  cipher    %s\n",
           strcmp(l->cipher, "none") == 0 && l->state == BB_LINK_UP ? "INSECURE: none" : l->cipher);
    print_state(l);
    print_out(l);
    print_in(l);
    print_compression(l);
    print_clock(l);
}

/* ---- the verb -------------------------------------------------------------------------------------- */

/* keep - those of the box or address only; CLI_NONE when there is none. */
static int
keep(const struct cli_call *call, struct cli_links *links)
{
    const char *wanted = call->arg_count > 0 ? call->args[0] : NULL;
    size_t kept = 0;
    for (size_t i = 0; i < links->count; i++) {
        struct bb_link_info *l = &links->v[i];
        if (wanted == NULL || strcmp(l->name, wanted) == 0 || strcmp(l->address, wanted) == 0) {
            links->v[kept++] = *l;
        }
    }
    links->count = kept;
    if (wanted != NULL && kept == 0) {
        cli_say("there is no link to \"%.120s\"; `busbar bridge ls` lists those there are", wanted);
        return CLI_NONE;
    }
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct bb_endpoint *ep = NULL;
    struct cli_links links = {0};
    struct bb_error error = {0};
    struct bb_bridge_info info = {.size = sizeof(info)};
    (void)options;

    int code = cli_attach(call, NULL, NULL, BB_ATTACH_EXISTING, &ep);
    if (code == CLI_DONE) {
        int rc = bb_bridge_look(ep, &info, &error);
        code = rc < 0 ? cli_bridge_report(call, rc, &error, "cannot look at the bridge") : CLI_DONE;
    }
    if (code == CLI_DONE) {
        code = cli_links_list(call, ep, &links);
    }
    if (code == CLI_DONE) {
        code = keep(call, &links);
    }
    if (code == CLI_DONE && call->common.json) {
        print_json(&info, &links);
    } else if (code == CLI_DONE) {
        print_bridge(&info);
        for (size_t i = 0; i < links.count; i++) {
            print_link(&links.v[i]);
        }
    }
    free(links.v);
    bb_endpoint_close(ep);
    return code;
}

const struct cli_verb cli_verb_bridge_info = {
    .noun = "bridge",
    .name = "info",
    .line = "show the bridge of this bus, and all that is known of its links",
    .usage = "[--json] [BOX]",
    .text = "BOX is the name of another box or the address of a link, as `busbar bridge ls`\n"
            "prints them: only its links are shown then.\n"
            "\n"
            "Says which engine carries the links and why, how they are kept safe (INSECURE\n"
            "when they are not), and of each link what went there and came, what waits, what\n"
            "was lost and why.  Counts are since busbard started.",
    .examples = "busbar bridge info\n"
                "busbar bridge info box-2\n"
                "busbar bridge info --json | jq .engine\n",
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run,
};

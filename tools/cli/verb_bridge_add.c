/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_bridge_add.c - `busbar bridge add`, `remove`: links and places to link to, while busbard runs.
 */
#include "tools/cli/attach.h"
#include "tools/cli/bridges.h"
#include "tools/cli/clock.h"
#include "tools/cli/read.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <stdio.h>

struct add_options {
    const char *name;
    const char *slow;
    const char *queue;
    int64_t timeout_ns; /* -1: not given */
    int once, wait, listen;
};

static const struct add_options add_defaults = {.timeout_ns = -1};

struct remove_options {
    int listen;
};

static const int64_t NO_WAIT_NS = 1; /* 0 would be the library's 10 s */

/* ---- add ------------------------------------------------------------------------------------------- */

static int
check(const struct cli_call *call, const struct add_options *o)
{
    int is_of_peers = o->name != NULL || o->slow != NULL || o->queue != NULL || o->once || o->wait;
    if (o->listen && is_of_peers) {
        return cli_wrong(call->verb, "--listen goes with no other option: who links to us brings "
                                     "its own");
    }
    if (o->once && o->wait) {
        return cli_wrong(call->verb, "--once and --wait exclude each other: the first forgets a "
                                     "link that does not come about, the other keeps trying it");
    }
    if (o->timeout_ns >= 0 && !o->once && !o->wait) {
        return cli_wrong(call->verb, "--timeout is for --once and --wait: else nothing is waited "
                                     "for");
    }
    return CLI_DONE;
}

static int
make_opts(const struct cli_call *call,
          const struct add_options *o,
          struct bb_error *error,
          struct bb_link_opts *out)
{
    int slow = o->slow != NULL ? cli_slow_parse(o->slow) : 0;
    uint64_t queue_bytes = 0;
    if (slow < 0) {
        return cli_wrong(call->verb,
                         "--slow takes drop-oldest, drop-newest or disconnect, not \"%.40s\"",
                         o->slow);
    }
    if (o->queue != NULL && (cli_read_bytes(o->queue, &queue_bytes) < 0 || queue_bytes == 0)) {
        return cli_wrong(call->verb, "--queue takes a size such as 8MiB, not \"%.40s\"", o->queue);
    }
    *out = (struct bb_link_opts){
        .size = sizeof(*out),
        .timeout_ns = o->timeout_ns < 0   ? 0
                      : o->timeout_ns > 0 ? o->timeout_ns
                                          : NO_WAIT_NS,
        .flags = (o->once ? (uint32_t)BB_PEER_ONCE : 0) | (o->wait ? (uint32_t)BB_PEER_WAIT : 0),
        .slow = (uint32_t)slow,
        .queue_bytes = queue_bytes,
        .name = o->name,
        .error = error,
    };
    return CLI_DONE;
}

static int
add_place(const struct cli_call *call,
          struct bb_endpoint *ep,
          const struct cli_place *place,
          const struct bb_link_opts *opts)
{
    uint16_t port = 0;
    int rc = bb_listen(ep, place->host, place->port, opts, &port);
    if (rc < 0) {
        return cli_bridge_report(call, rc, opts->error, "cannot listen");
    }
    printf("%u\n", (unsigned)port);
    return CLI_DONE;
}

static int
run_add(const struct cli_call *call, const void *options)
{
    const struct add_options *o = options;
    struct bb_error error = {0};
    struct bb_endpoint *ep = NULL;
    struct bb_link_opts opts = {.size = sizeof(opts)};
    struct cli_place place = {.port = 0};
    int code = check(call, o);
    if (code == CLI_DONE) {
        code = o->listen ? cli_place_read_listen(call, call->args[0], &place)
                         : cli_place_read(call, call->args[0], &place);
    }
    if (code == CLI_DONE) {
        code = make_opts(call, o, &error, &opts);
    }
    if (code == CLI_DONE) {
        code = cli_attach(call, NULL, NULL, BB_ATTACH_EXISTING, &ep);
    }
    if (code == CLI_DONE && o->listen) {
        code = add_place(call, ep, &place, &opts);
    } else if (code == CLI_DONE) {
        int rc = bb_peer(ep, place.host, place.port, &opts);
        code = rc < 0 ? cli_bridge_report(call, rc, &error, "cannot link to it") : CLI_DONE;
    }
    bb_endpoint_close(ep);
    return code;
}

/* ---- remove ---------------------------------------------------------------------------------------- */

static int
run_remove(const struct cli_call *call, const void *options)
{
    const struct remove_options *o = options;
    struct bb_error error = {0};
    const struct bb_link_opts opts = {.size = sizeof(opts), .error = &error};
    struct bb_endpoint *ep = NULL;
    struct cli_place place = {.port = 0};
    int code = o->listen ? cli_place_read_listen(call, call->args[0], &place)
                         : cli_place_read(call, call->args[0], &place);
    if (code == CLI_DONE) {
        code = cli_attach(call, NULL, NULL, BB_ATTACH_EXISTING, &ep);
    }
    if (code == CLI_DONE) {
        int rc = o->listen ? bb_unlisten(ep, place.host, place.port, &opts)
                           : bb_unpeer(ep, place.host, place.port, &opts);
        code = rc < 0 ? cli_bridge_report(call, rc, &error, "cannot take it down") : CLI_DONE;
    }
    bb_endpoint_close(ep);
    return code;
}

/* ---- the verbs ------------------------------------------------------------------------------------- */

static const struct cli_option add_table[] = {
    {.name = "listen",
     .type = CLI_FLAG,
     .offset = offsetof(struct add_options, listen),
     .help = "let others link to us there; prints the port"},
    {.name = "once",
     .type = CLI_FLAG,
     .offset = offsetof(struct add_options, once),
     .help = "try once and wait for the outcome; when it fails or ends, forget it"},
    {.name = "wait",
     .type = CLI_FLAG,
     .offset = offsetof(struct add_options, wait),
     .help = "wait until the link is up; it is tried on also when time ran out"},
    {.letter = 'W',
     .name = "timeout",
     .type = CLI_SPAN,
     .offset = offsetof(struct add_options, timeout_ns),
     .arg = "SPAN",
     .help = "with --once or --wait: at most so long (else 10s); then the code is 3"},
    {.name = "name",
     .type = CLI_WORD,
     .offset = offsetof(struct add_options, name),
     .arg = "NAME",
     .help = "what the other box's certificate must say (else HOST)"},
    {.name = "slow",
     .type = CLI_WORD,
     .offset = offsetof(struct add_options, slow),
     .arg = "POLICY",
     .help = "when the queue is full: drop-oldest (default), drop-newest, disconnect",
     .values = CLI_SLOW_WORDS},
    {.name = "queue",
     .type = CLI_WORD,
     .offset = offsetof(struct add_options, queue),
     .arg = "SIZE",
     .help = "for what the other box has not acknowledged (else 8MiB, or as busbard says)"},
    {.name = NULL},
};

const struct cli_verb cli_verb_bridge_add = {
    .noun = "bridge",
    .name = "add",
    .line = "link this bus to another box, or let others link to it",
    .usage = "[OPTION]... HOST:PORT",
    .text = "Asks the busbard of this bus; when none runs the exit code is 4.  The link is\n"
            "kept up from then on: what ends is tried again, with growing pauses.  Without\n"
            "--once or --wait nothing is waited for, and `busbar bridge ls` says what comes\n"
            "of it.  With --once the exit code is 1 when nobody listens there, 5 when one\n"
            "side refuses the other, and 3 when time ran out.\n"
            "\n"
            "With --listen HOST may be * for every address, and PORT 0 for one that the\n"
            "system chooses; the port is printed.  IPv6 is written [::1]:PORT.\n"
            "\n"
            "busbard forgets all of it when it ends; what is to stay belongs to its flags\n"
            "or its file (busbard(8)).",
    .examples = "busbar bridge add box-2:4711 --wait\n"
                "busbar bridge add --listen '*:4711'\n"
                "busbar bridge add [2001:db8::2]:4711 --name box-2 --slow disconnect\n",
    .options = add_table,
    .options_bytes = sizeof(struct add_options),
    .defaults = &add_defaults,
    .min_args = 1,
    .max_args = 1,
    .run = run_add,
};

static const struct cli_option remove_table[] = {
    {.name = "listen",
     .type = CLI_FLAG,
     .offset = offsetof(struct remove_options, listen),
     .help = "nobody new may link to us there; links that came this way stay"},
    {.name = NULL},
};

const struct cli_verb cli_verb_bridge_remove = {
    .noun = "bridge",
    .name = "remove",
    .line = "end a link for good, or stop listening",
    .usage = "[--listen] HOST:PORT",
    .text = "The other box is told that it was taken down.  The address is the one that the\n"
            "link was added with, as `busbar bridge ls` prints it; of one that was never\n"
            "added the exit code is 4.",
    .examples = "busbar bridge remove box-2:4711\n"
                "busbar bridge remove --listen '*:4711'\n",
    .options = remove_table,
    .options_bytes = sizeof(struct remove_options),
    .min_args = 1,
    .max_args = 1,
    .run = run_remove,
};

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_log.c - `busbar log [DIR]`: a logger in the foreground.
 *
 * It joins the cluster as a logger and writes what nodes hand to the log lane, until it is told to end.
 */
#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/json.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <busbar/log.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct log_options {
    const char *name;
    const char *prefix;
    const char *rotate_size;
    int64_t rotate_every_ns;
    int64_t wait_ns;
    const char *pattern;
    int iso;
    int sync;
};

static const struct log_options defaults = {.name = "logger-1", .wait_ns = -1};

struct log_run {
    const struct cli_call *call;
    const struct log_options *o;
    const char *dir;
    struct bb_cluster *c;
    struct bb_logger *logger;
    int64_t code; /* of the files, as it was last said */
};

/* parse_size - 100M, 1G, 4096: K, M and G are powers of 1024.  0, or -1. */
static int
parse_size(const char *text, uint64_t *out)
{
    static const char units[] = "KMG";
    char *end;
    if (text[0] < '0' || text[0] > '9') {
        return -1;
    }
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    unsigned shift = unit != NULL ? 10 * ((unsigned)(unit - units) + 1) : 0;
    if (errno != 0 || v == 0 || (*end != '\0' && (unit == NULL || end[1] != '\0'))
        || v > UINT64_MAX >> shift) {
        return -1;
    }
    *out = (uint64_t)v << shift;
    return 0;
}

static int
open_all(struct log_run *r)
{
    struct bb_error error = {0};
    uint64_t rotate_bytes = 0;
    if (r->o->rotate_size != NULL && parse_size(r->o->rotate_size, &rotate_bytes) != 0) {
        return cli_wrong(r->call->verb, "--rotate-size takes bytes, as 100M or 1G, not \"%.40s\"",
                         r->o->rotate_size);
    }
    struct bb_cluster_opts co = {.size = sizeof(co),
                                 .dir = r->call->common.dir,
                                 .bus = r->call->common.bus,
                                 .name = r->o->name,
                                 .role = BB_ROLE_LOGGER,
                                 .prefix = r->o->prefix,
                                 .wait = BB_WAIT_SLEEP,
                                 .error = &error};
    struct bb_logger_opts lo = {.size = sizeof(lo),
                                .dir = r->dir,
                                .pattern = r->o->pattern,
                                .rotate_bytes = rotate_bytes,
                                .rotate_ns = r->o->rotate_every_ns,
                                .flags = (r->o->sync ? (uint32_t)BB_LOGGER_SYNC : 0U)
                                         | (r->o->iso ? (uint32_t)BB_LOGGER_ISO : 0U),
                                .error = &error};
    int rc = bb_cluster_join(&r->c, &co);
    if (rc < 0) {
        return cli_report(r->call, rc, &error, "cannot join the cluster");
    }
    rc = bb_logger_open(&r->logger, r->c, &lo);
    int code = rc < 0 ? cli_report(r->call, rc, &error, "cannot write logs") : CLI_DONE;
    return rc == BB_ENOENT ? CLI_FAILED : code; /* it is no bus or node that is missing */
}

static struct bb_logger_stats
stats_of(const struct log_run *r)
{
    struct bb_logger_stats s = {.size = sizeof(s)};
    bb_logger_stats(r->logger, &s);
    return s;
}

/* A disk that is full is said once, and once that it is not any more. */
static void
say_trouble(struct log_run *r)
{
    int64_t code = stats_of(r).code;
    if (code == r->code) {
        return;
    }
    if (code < 0) {
        cli_say("%s: %s; the writers keep their records, and it is tried again", r->dir,
                bb_strerror((int)code));
    } else {
        cli_say("%s: takes records again", r->dir);
    }
    r->code = code;
}

static int
serve(struct log_run *r)
{
    int64_t deadline_ns = cli_deadline(r->o->wait_ns);
    struct bb_msg msgs[64];
    while (!cli_stopped() && cli_left_ns(deadline_ns, 1) > 0) {
        int n = bb_cluster_poll(r->c, msgs, 64, cli_left_ns(deadline_ns, CLI_SLICE_NS));
        if (n < 0) {
            return cli_report(r->call, n, NULL, "the bus");
        }
        say_trouble(r);
    }
    return CLI_DONE;
}

static void
print_json(const struct bb_logger_stats *s)
{
    struct cli_json j = {0};
    cli_json_object(&j, NULL);
    cli_json_count(&j, "records", s->records);
    cli_json_count(&j, "bytes", s->bytes);
    cli_json_count(&j, "batches", s->batches);
    cli_json_count(&j, "refused", s->refused);
    cli_json_count(&j, "files", s->files);
    cli_json_count(&j, "torn", s->torn);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

static void
print_end(const struct log_run *r, const struct bb_logger_stats *s)
{
    if (r->call->common.json) {
        print_json(s);
        return;
    }
    printf("%" PRIu64 " records, %" PRIu64 " bytes, in %" PRIu64 " files of %s; %" PRIu64
           " refused\n",
           s->records, s->bytes, s->files, r->dir, s->refused);
    if (s->torn > 0) {
        printf("%" PRIu64 " lines that a killed logger had left without their end were cut off\n",
               s->torn);
    }
}

/* What is flushed as it closes counts too, so the numbers are asked for when nothing more can come. */
static int
end(struct log_run *r)
{
    struct bb_msg msgs[64];
    int n = bb_cluster_drain(r->c, 1);
    while (n >= 0 && (n = bb_cluster_poll(r->c, msgs, 64, 0)) > 0) {
    }
    struct bb_logger_stats s = stats_of(r);
    print_end(r, &s);
    return s.code < 0 ? CLI_RESOURCE : CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct log_run r = {.call = call, .o = options};
    r.dir = call->arg_count > 0 ? call->args[0] : ".";
    cli_signals_catch();
    int code = open_all(&r);
    if (code == CLI_DONE) {
        code = serve(&r);
        int last = end(&r);
        code = code == CLI_DONE ? last : code;
    }
    bb_logger_close(r.logger);
    bb_cluster_leave(r.c);
    return code;
}

static const struct cli_option options[] = {
    {.name = "name",
     .type = CLI_WORD,
     .offset = offsetof(struct log_options, name),
     .arg = "NODE",
     .help = "join under this name (default: logger-1)"},
    {.name = "prefix",
     .type = CLI_TEXT,
     .offset = offsetof(struct log_options, prefix),
     .arg = "PREFIX",
     .help = "of the cluster's topics (default: cluster/)"},
    {.name = "rotate-size",
     .type = CLI_TEXT,
     .offset = offsetof(struct log_options, rotate_size),
     .arg = "BYTES",
     .help = "a new file from here on: 100M, 1G"},
    {.name = "rotate-every",
     .type = CLI_SPAN,
     .offset = offsetof(struct log_options, rotate_every_ns),
     .arg = "SECONDS",
     .help = "a new file at multiples of this time: 1h (0, the default: never)"},
    {.name = "pattern",
     .type = CLI_TEXT,
     .offset = offsetof(struct log_options, pattern),
     .arg = "PATTERN",
     .help = "name of a rotated file: strftime in UTC, %{stream}, %{node}, %{n}"},
    {.name = "iso",
     .type = CLI_FLAG,
     .offset = offsetof(struct log_options, iso),
     .help = "times as 2018-03-24T17:15:20.865716Z, not as seconds"},
    {.name = "sync",
     .type = CLI_FLAG,
     .offset = offsetof(struct log_options, sync),
     .help = "records count as written when the disk has them (fdatasync)"},
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct log_options, wait_ns),
     .arg = "SECONDS",
     .help = "end after this time"},
    {.name = NULL},
};

const struct cli_verb cli_verb_log = {
    .name = "log",
    .line = "a logger: writes the records of the cluster's log lane as JSON lines",
    .usage = "[OPTION]... [DIR]",
    .text = "Each stream has a file, DIR/STREAM.log (DIR/STREAM.NODE.log when another logger\n"
            "writes that one), one JSON object a line.  Rotated files, and those that an\n"
            "earlier logger left, are renamed; nothing is overwritten.  Writers keep a record\n"
            "until a logger said that it is in its file.  It runs until it is told to end,\n"
            "and then prints what it wrote.",
    .examples = "busbar log /var/log/sensor --rotate-every 1h\n"
                "busbar log --name logger-2 --rotate-size 100M --pattern "
                "'%Y-%m-%d/%{stream}.%{n}.log'\n",
    .options = options,
    .options_bytes = sizeof(struct log_options),
    .defaults = &defaults,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run,
};

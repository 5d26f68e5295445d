/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_doctor.c - `busbar doctor`: what is wrong, or soon will be, and what mends it.
 */
#include "tools/cli/attach.h"
#include "tools/cli/doctor.h"
#include "tools/cli/json.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
cli_check_add(
    struct cli_doctor *d, enum cli_verdict verdict, const char *name, const char *format, ...)
{
    if (d->check_count >= CLI_CHECKS_MAX) {
        return;
    }
    struct cli_check *check = &d->checks[d->check_count++];
    va_list args;
    *check = (struct cli_check){.name = name, .verdict = verdict};
    va_start(args, format);
    vsnprintf(check->detail, sizeof(check->detail), format, args);
    va_end(args);
}

void
cli_check_fix(struct cli_doctor *d, const char *format, ...)
{
    struct cli_check *check = &d->checks[d->check_count - 1];
    va_list args;
    va_start(args, format);
    vsnprintf(check->fix, sizeof(check->fix), format, args);
    va_end(args);
}

static void
find_directory(struct cli_doctor *d)
{
    if (d->call->common.dir != NULL) {
        snprintf(d->dir, sizeof(d->dir), "%s", d->call->common.dir);
        return;
    }
    int bytes = bb_bus_dir(d->dir, sizeof(d->dir) - 1);
    d->dir[bytes > 0 ? bytes : 0] = '\0';
}

/* open_bus - the checks whether there is a bus that we can read. */
static void
open_bus(struct cli_doctor *d)
{
    struct bb_error error = {0};
    struct bb_look_opts opts = {.size = sizeof(opts),
                                .dir = d->call->common.dir,
                                .bus = d->call->common.bus,
                                .error = &error};
    int rc = bb_look_open(&d->look, &opts);

    if (rc == 0) {
        rc = bb_look_bus(d->look, &d->bus);
    }
    if (rc == BB_ENOBUS) {
        snprintf(d->no_bus, sizeof(d->no_bus), "%s",
                 error.sentence[0] != '\0' ? error.sentence : "there is no bus");
    } else if (rc < 0) {
        cli_check_add(d, CLI_FAIL, rc == BB_EVERSION ? "layout" : "bus", "%s",
                      error.sentence[0] != '\0' ? error.sentence : bb_strerror(rc));
        cli_check_fix(d, "%s",
                      rc == BB_EVERSION
                          ? "end its programs or use another bus: -b NAME"
                          : "choose another bus with -b, or another directory with --dir");
    } else {
        cli_check_add(d, CLI_OK, "layout", "layout %u of the bus matches this program (%s)",
                      d->bus.major, d->bus.build);
    }
    if (rc < 0) {
        bb_look_close(d->look);
        d->look = NULL;
    }
}

static const char *const verdict_names[] = {"OK", "WARN", "FAIL"};

struct counts {
    unsigned of[3]; /* by enum cli_verdict */
};

static struct counts
count_verdicts(const struct cli_doctor *d)
{
    struct counts counts = {{0}};
    for (size_t i = 0; i < d->check_count; i++) {
        counts.of[d->checks[i].verdict]++;
    }
    return counts;
}

static void
print_json(const struct cli_doctor *d, struct counts counts)
{
    struct cli_json j = {0};
    cli_json_object(&j, NULL);
    cli_json_array(&j, "checks");
    for (size_t i = 0; i < d->check_count; i++) {
        cli_json_object(&j, NULL);
        cli_json_text(&j, "name", d->checks[i].name);
        cli_json_text(&j, "result", verdict_names[d->checks[i].verdict]);
        cli_json_text(&j, "detail", d->checks[i].detail);
        cli_json_text(&j, "fix", d->checks[i].fix);
        cli_json_end_object(&j);
    }
    cli_json_end_array(&j);
    cli_json_boolean(&j, "bus", d->look != NULL);
    cli_json_count(&j, "ok", counts.of[CLI_OK]);
    cli_json_count(&j, "warn", counts.of[CLI_WARN]);
    cli_json_count(&j, "fail", counts.of[CLI_FAIL]);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

static void
print_text(const struct cli_doctor *d, struct counts counts)
{
    for (size_t i = 0; i < d->check_count; i++) {
        const struct cli_check *check = &d->checks[i];
        printf("%-5s %s: %s\n", verdict_names[check->verdict], check->name, check->detail);
        if (check->fix[0] != '\0') {
            printf("        fix: %s\n", check->fix);
        }
    }
    if (d->no_bus[0] != '\0') {
        printf("no bus to check: %s\n", d->no_bus);
    }
    printf("%zu checks, %u ok, %u warning%s, %u failure%s\n", d->check_count, counts.of[CLI_OK],
           counts.of[CLI_WARN], counts.of[CLI_WARN] == 1 ? "" : "s", counts.of[CLI_FAIL],
           counts.of[CLI_FAIL] == 1 ? "" : "s");
}

static int
run(const struct cli_call *call, const void *options)
{
    (void)options;
    struct cli_doctor *d = calloc(1, sizeof(*d)); /* too large for the stack's taste */
    int code = CLI_DONE;

    if (d == NULL) {
        return cli_report(call, BB_ENOMEM, NULL, "doctor");
    }
    d->call = call;
    find_directory(d);
    open_bus(d);
    cli_doctor_box(d);
    cli_doctor_links(d);
    if (d->look != NULL) {
        code = cli_doctor_bus(d);
    }
    struct counts counts = count_verdicts(d);
    if (code == CLI_DONE && call->common.json) {
        print_json(d, counts);
    } else if (code == CLI_DONE) {
        print_text(d, counts);
    }
    bb_look_close(d->look);
    free(d);
    return code != CLI_DONE ? code : counts.of[CLI_FAIL] > 0 ? CLI_NO : CLI_DONE;
}

const struct cli_verb cli_verb_doctor = {
    .name = "doctor",
    .line = "check the box and the bus; say what mends what is wrong",
    .usage = "[--json]",
    .text = "Each check is OK, WARN or FAIL, with a command that mends it.  Without a bus\n"
            "only the box is checked.  The exit code is 1 when a check fails.",
    .examples =
        "busbar doctor\nbusbar doctor --json | jq '.checks[] | select(.result != \"OK\")'\n",
    .flags = CLI_JSON,
    .run = run,
};

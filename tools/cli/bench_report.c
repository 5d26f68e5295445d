/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/bench_report.c - a rate is the median over the slices of the time.
 */
#include "tools/cli/bench_report.h"

#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/json.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct rates {
    double median, min, max; /* messages a second */
};

static int
compare_rates(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct rates
sorted_rates(double *v, size_t count)
{
    struct rates r = {0};
    if (count > 0) {
        qsort(v, count, sizeof(*v), compare_rates);
        r = (struct rates){
            .median = (v[(count - 1) / 2] + v[count / 2]) / 2, .min = v[0], .max = v[count - 1]};
    }
    return r;
}

/* put_rates - appends the rate of each slice that is over; how many. */
static size_t
put_rates(const struct cli_bench_count *c, int64_t for_ns, double out[CLI_BENCH_SLICES])
{
    int64_t slice_ns = for_ns / CLI_BENCH_SLICES;
    size_t done = 0;
    while (done < CLI_BENCH_SLICES && (int64_t)(done + 1) * slice_ns <= c->wall_ns) {
        out[done] = (double)c->slices[done] / (double)slice_ns * (double)CLI_SECOND_NS;
        done++;
    }
    if (done == 0 && c->wall_ns > 0) { /* interrupted in the first one */
        out[done++] = (double)c->messages / (double)c->wall_ns * (double)CLI_SECOND_NS;
    }
    return done;
}

static const struct cli_bench_count *
count_of(const struct cli_bench_report *r, unsigned i)
{
    return (const struct cli_bench_count *)(const void *)r->crew->members[i].result;
}

static int
is_subscriber(const struct cli_bench_report *r, unsigned i)
{
    return i < r->o->subscribers; /* they are hired first */
}

static struct rates
rates_of(const struct cli_bench_report *r, unsigned i)
{
    double v[CLI_BENCH_SLICES];
    return sorted_rates(v, put_rates(count_of(r, i), r->o->for_ns, v));
}

/* rates_of_subscribers - over the slices of all of them. */
static struct rates
rates_of_subscribers(const struct cli_bench_report *r)
{
    double v[CLI_BENCH_EACH_MAX * CLI_BENCH_SLICES];
    size_t n = 0;
    for (unsigned i = 0; i < r->crew->count && is_subscriber(r, i); i++) {
        n += put_rates(count_of(r, i), r->o->for_ns, v + n);
    }
    return sorted_rates(v, n);
}

static double
cpu_per_message(const struct cli_bench_count *c)
{
    return c->messages > 0 ? (double)c->cpu_ns / (double)c->messages : 0.0;
}

/* sum_up - messages and losses of the subscribers, waits and other readers of the publishers. */
static struct cli_bench_count
sum_up(const struct cli_bench_report *r)
{
    struct cli_bench_count sum = {.messages = 0};
    for (unsigned i = 0; i < r->crew->count; i++) {
        const struct cli_bench_count *c = count_of(r, i);
        if (is_subscriber(r, i)) {
            sum.messages += c->messages;
            sum.lost += c->lost;
            sum.torn += c->torn;
        }
        sum.waited += c->waited;
        sum.others = c->others > sum.others ? c->others : sum.others;
    }
    return sum;
}

static void
put_row(struct cli_cells *t, const struct cli_bench_report *r, unsigned i)
{
    const struct cli_bench_count *c = count_of(r, i);
    const struct cli_crew_member *m = &r->crew->members[i];
    struct rates rates = rates_of(r, i);
    char text[CLI_NUMBER_BYTES];

    cli_cell(t, "%s %u", is_subscriber(r, i) ? "subscriber" : "publisher", m->index + 1);
    cli_cell(t, "%s", cli_scaled(text, rates.median));
    cli_cell(t, "%s", cli_scaled(text, rates.min));
    cli_cell(t, "%s", cli_scaled(text, rates.max));
    cli_cell(t, "%s/s", cli_bytes(text, rates.median * (double)r->o->size));
    if (is_subscriber(r, i)) {
        cli_cell(t, "%" PRIu64, c->lost);
    } else {
        cli_cell(t, "-");
    }
    cli_cell(t, "%.0fns", cpu_per_message(c));
    cli_cell(t, "%" PRIu64, c->wakes);
}

static int
print_text(const struct cli_bench_report *r)
{
    static const struct cli_column columns[] = {{"PROCESS", 0}, {"MSGS/S", 1},  {"MIN", 1},
                                                {"MAX", 1},     {"BYTES/S", 1}, {"LOST", 1},
                                                {"CPU/MSG", 1}, {"WAKES", 1},   {NULL, 0}};
    struct cli_cells table = {.columns = columns};
    struct rates each = rates_of_subscribers(r);
    struct cli_bench_count sum = sum_up(r);
    char text[3][CLI_NUMBER_BYTES];
    double all = (double)sum.messages + (double)sum.lost;

    for (unsigned i = 0; i < r->crew->count; i++) {
        unsigned publishers_first = (i + (unsigned)r->o->subscribers) % r->crew->count;
        put_row(&table, r, publishers_first);
    }
    int code = cli_cells_print(&table, r->crew->call.common.header);
    printf("\neach subscriber: %s messages/s [%s .. %s] of %" PRIu64 " bytes; %" PRIu64
           " lost (%.2f%%)\n",
           cli_scaled(text[0], each.median), cli_scaled(text[1], each.min),
           cli_scaled(text[2], each.max), r->o->size, sum.lost,
           all > 0 ? 100.0 * (double)sum.lost / all : 0.0);
    return code;
}

static void
put_rates_json(struct cli_json *j, struct rates rates)
{
    cli_json_object(j, "msgs_per_s");
    cli_json_real(j, "median", rates.median);
    cli_json_real(j, "min", rates.min);
    cli_json_real(j, "max", rates.max);
    cli_json_end_object(j);
}

static void
put_process_json(struct cli_json *j, const struct cli_bench_report *r, unsigned i)
{
    const struct cli_bench_count *c = count_of(r, i);
    cli_json_object(j, NULL);
    put_rates_json(j, rates_of(r, i));
    cli_json_count(j, "messages", c->messages);
    if (is_subscriber(r, i)) {
        cli_json_count(j, "lost", c->lost);
    } else {
        cli_json_count(j, "waited", c->waited);
    }
    cli_json_count(j, "wakes", c->wakes);
    cli_json_real(j, "cpu_ns_per_msg", cpu_per_message(c));
    cli_json_end_object(j);
}

static void
put_processes_json(struct cli_json *j,
                   const struct cli_bench_report *r,
                   const char *key,
                   int subscribers)
{
    cli_json_array(j, key);
    for (unsigned i = 0; i < r->crew->count; i++) {
        if (is_subscriber(r, i) == subscribers) {
            put_process_json(j, r, i);
        }
    }
    cli_json_end_array(j);
}

static void
print_json(const struct cli_bench_report *r)
{
    struct cli_json j = {0};
    struct cli_bench_count sum = sum_up(r);

    cli_json_object(&j, NULL);
    cli_json_text(&j, "bus", r->crew->path);
    cli_json_boolean(&j, "own_bus", r->crew->own_bus[0] != '\0');
    cli_json_text(&j, "topic", r->topic);
    cli_json_count(&j, "size", r->o->size);
    cli_json_count(&j, "batch", r->o->batch);
    cli_json_boolean(&j, "reliable", r->o->reliable);
    cli_json_real(&j, "seconds", (double)r->o->for_ns / (double)CLI_SECOND_NS);
    put_rates_json(&j, rates_of_subscribers(r));
    cli_json_count(&j, "messages", sum.messages);
    cli_json_count(&j, "lost", sum.lost);
    cli_json_count(&j, "other_subscribers", sum.others);
    put_processes_json(&j, r, "publishers", 0);
    put_processes_json(&j, r, "subscribers", 1);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

int
cli_bench_print(const struct cli_bench_report *r)
{
    struct cli_bench_count sum = sum_up(r);
    int code = CLI_DONE;

    if (sum.others > 0) {
        cli_say("%" PRIu64 " more subscriber%s of this bus want%s \"%.80s\" too", sum.others,
                sum.others == 1 ? "" : "s", sum.others == 1 ? "s" : "", r->topic);
    }
    if (sum.waited > 0 && !r->o->reliable) {
        cli_say("the publishers waited %" PRIu64
                " times for a reliable subscriber of this bus that is "
                "a whole ring behind; `busbar node list` shows which",
                sum.waited);
    }
    if (r->crew->call.common.json) {
        print_json(r);
    } else {
        code = print_text(r);
    }
    if (sum.torn > 0) {
        cli_say("%" PRIu64 " messages were not what was sent: please report this as a defect",
                sum.torn);
        return CLI_FAILED;
    }
    if (sum.messages == 0 && !cli_stopped()) {
        cli_say("no message arrived");
        return CLI_NO;
    }
    return code;
}

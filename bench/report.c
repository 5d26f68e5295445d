/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/report.c - one row, one line.
 */
#include "bench/report.h"

#include "bench/machine.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ------------------------------------------------------------------------------------- */

/* 12.3 M, 45.6 k */
static void
write_short(char *out, size_t cap, double v)
{
    static const char units[] = " kMG";
    size_t unit = 0;
    while (v >= 1000 && unit < 3) {
        v /= 1000;
        unit++;
    }
    (void)snprintf(out, cap, "%.3g%s%c", v, unit > 0 ? " " : "", unit > 0 ? units[unit] : '\0');
}

static void
write_span(char *out, size_t cap, double ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    size_t unit = 0;
    while (ns >= 1000 && unit < 3) {
        ns /= 1000;
        unit++;
    }
    (void)snprintf(out, cap, "%.3g %s", ns, units[unit]);
}

static void
write_series(char *out,
             size_t cap,
             const struct bench_series *s,
             void (*word)(char *, size_t, double))
{
    char mid[24], low[24], high[24];
    word(mid, sizeof(mid), bench_series_median(s));
    word(low, sizeof(low), bench_series_min(s));
    word(high, sizeof(high), bench_series_max(s));
    (void)snprintf(out, cap, "%s [%s-%s]", mid, low, high);
}

/* As %.4g, but never in the form 1e+06, which some readers of JSON refuse to call a number. */
static void
write_number(FILE *out, double v)
{
    if (v >= 100) {
        (void)fprintf(out, "%.0f", v);
    } else {
        (void)fprintf(out, "%.4g", v);
    }
}

static bool
is_reliable(const struct bench_row *row)
{
    return bench_is_reliable(row->plan, row->driver);
}

/* ---- table ------------------------------------------------------------------------------------- */

static void
table_of_raw(FILE *out, const struct bench_row *row, bool is_rate, const char *what)
{
    struct bench_series ratio;
    bench_row_of_raw(row, is_rate, &ratio);
    if (ratio.count > 0) {
        (void)fprintf(out, "  %s%.2f of %s", what, bench_series_median(&ratio),
                      row->raw->driver->name);
    }
}

static void
table_figures(FILE *out, const struct bench_row *row)
{
    char text[96];
    if (row->rate.count > 0) {
        write_series(text, sizeof(text), &row->rate, write_short);
        (void)fprintf(out, "  %-28s msgs/s", text);
        table_of_raw(out, row, true, "");
    }
    if (row->has_latency && row->hist.total == 0) {
        (void)fputs("  nothing came in the window", out);
    } else if (row->has_latency) {
        const struct bench_series *series[] = {&row->p50, &row->p99, &row->p999};
        static const char *const names[] = {"p50", "p99", "p99.9"};
        for (unsigned i = 0; i < 3; i++) {
            write_series(text, sizeof(text), series[i], write_span);
            (void)fprintf(out, "  %s %-26s", names[i], text);
        }
        table_of_raw(out, row, false, "p50 ");
    }
    for (unsigned i = 0; i < BENCH_EXTRAS; i++) {
        if (row->plan->extra[i] != NULL && row->extra[i].count > 0) {
            write_series(text, sizeof(text), &row->extra[i], write_short);
            (void)fprintf(out, "  %s %s", row->plan->extra[i], text);
        }
    }
}

static void
table_row(FILE *out, const struct bench_row *row)
{
    (void)fprintf(out, "  %-10s", row->driver->name);
    if (row->has_failed) {
        (void)fputs("  failed, see above\n", out);
        return;
    }
    table_figures(out, row);
    if (row->lost > 0 || !is_reliable(row)) {
        (void)fprintf(out, "  lost %" PRIu64, row->lost);
    }
    if (row->disorder > 0 || row->torn > 0) {
        (void)fprintf(out, "  DISORDER %" PRIu64 " TORN %" PRIu64, row->disorder, row->torn);
    }
    if (bench_series_max(&row->line_ns) > 0) {
        char text[96];
        write_series(text, sizeof(text), &row->line_ns, write_span);
        (void)fprintf(out, "  line %s", text);
    }
    if (row->disturbed > 0) {
        (void)fprintf(out, "  (%u disturbed)", row->disturbed);
    }
    (void)fputc('\n', out);
}

static void
table_rows(FILE *out, const struct bench_row *rows, unsigned count)
{
    const struct bench_plan *plan = rows[0].plan;
    const struct bench_setup *s = &plan->setup;
    (void)fprintf(out, "%s%s%s: %zu bytes, batch %u, %s, %s\n", plan->case_name,
                  plan->mode[0] != '\0' ? ", " : "", plan->mode, s->size, s->batch,
                  s->is_reliable ? "reliable" : "lossy", s->is_copying ? "copy" : "loan");
    for (unsigned i = 0; i < count; i++) {
        table_row(out, &rows[i]);
    }
    (void)fputc('\n', out);
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static void
json_text(FILE *out, const char *name, const char *value)
{
    (void)fprintf(out, ",\"%s\":\"", name);
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            (void)fputc('\\', out);
        }
        if ((unsigned char)*c >= 0x20) {
            (void)fputc(*c, out);
        }
    }
    (void)fputc('"', out);
}

static void
json_series(FILE *out, const char *name, const struct bench_series *s)
{
    (void)fprintf(out, ",\"%s\":{\"median\":", name);
    write_number(out, bench_series_median(s));
    (void)fputs(",\"min\":", out);
    write_number(out, bench_series_min(s));
    (void)fputs(",\"max\":", out);
    write_number(out, bench_series_max(s));
    (void)fputc('}', out);
}

static void
json_some(FILE *out, const char *name, const struct bench_series *s)
{
    if (s->count > 0) {
        json_series(out, name, s);
    }
}

static void
json_latency(FILE *out,
             const char *name,
             const struct bench_row *row,
             double (*pick)(const struct bench_series *))
{
    const struct bench_series *series[] = {&row->p50, &row->p99, &row->p999, &row->max};
    static const char *const names[] = {"p50", "p99", "p999", "max"};
    (void)fprintf(out, ",\"%s\":{", name);
    for (unsigned i = 0; i < 4; i++) {
        (void)fprintf(out, "%s\"%s\":", i > 0 ? "," : "", names[i]);
        write_number(out, pick(series[i]));
    }
    (void)fputc('}', out);
}

static void
json_raw(FILE *out, const struct bench_row *row)
{
    const struct bench_row *raw = row->raw;
    if (raw == NULL || raw->has_failed) {
        return;
    }
    struct bench_series ratio;
    if (raw->rate.count > 0) {
        json_series(out, "raw_msgs_per_s", &raw->rate);
        bench_row_of_raw(row, true, &ratio);
        json_some(out, "of_raw", &ratio);
    }
    if (raw->hist.total > 0) {
        json_latency(out, "raw_latency_ns", raw, bench_series_median);
        bench_row_of_raw(row, false, &ratio);
        json_some(out, "p50_of_raw", &ratio);
    }
    if (strcmp(raw->driver->name, "raw") != 0) {
        json_text(out, "raw_peer", raw->driver->name);
    }
    if (raw->size != row->size) {
        (void)fprintf(out, ",\"raw_size\":%zu", raw->size);
    }
}

static void
json_where(FILE *out, const struct bench_options *o)
{
    char text[512];
    bench_machine(text, sizeof(text));
    json_text(out, "machine", text);
    bench_build(text, sizeof(text));
    json_text(out, "build", text);
    bench_pins(o, text, sizeof(text));
    json_text(out, "pin", text);
}

static void
json_row(FILE *out, const struct bench_row *row, const struct bench_options *o)
{
    const struct bench_setup *s = &row->plan->setup;
    (void)fprintf(out, "{\"case\":\"%s\",\"peer\":\"%s\"", row->plan->case_name, row->driver->name);
    if (row->plan->mode[0] != '\0') {
        json_text(out, "mode", row->plan->mode);
    }
    (void)fprintf(out, ",\"size\":%zu,\"batch\":%u,\"publishers\":%u,\"subscribers\":%u", row->size,
                  s->batch, s->publishers, s->subscribers);
    (void)fprintf(out, ",\"reliable\":%s,\"copy\":%s", is_reliable(row) ? "true" : "false",
                  s->is_copying ? "true" : "false");
    if (row->rate.count > 0) {
        json_series(out, "msgs_per_s", &row->rate);
    }
    if (row->hist.total > 0) {
        json_latency(out, "latency_ns", row, bench_series_median);
        json_latency(out, "latency_min_ns", row, bench_series_min);
        json_latency(out, "latency_max_ns", row, bench_series_max);
    }
    for (unsigned i = 0; i < BENCH_EXTRAS; i++) {
        if (row->plan->extra[i] != NULL && row->extra[i].count > 0) {
            json_series(out, row->plan->extra[i], &row->extra[i]);
        }
    }
    (void)fprintf(out, ",\"lost\":%" PRIu64 ",\"disorder\":%" PRIu64 ",\"torn\":%" PRIu64,
                  row->lost, row->disorder, row->torn);
    if (bench_series_max(&row->line_ns) > 0) {
        json_series(out, "line_ns", &row->line_ns);
    }
    (void)fprintf(out, ",\"best_of\":%u,\"disturbed\":%u", o->repeat, row->disturbed);
    if (row->has_failed || (row->has_latency && row->hist.total == 0)) {
        (void)fputs(",\"failed\":true", out);
    }
    json_raw(out, row);
    json_where(out, o);
    (void)fputs("}\n", out);
}

/* ---- CSV --------------------------------------------------------------------------------------- */

static void
csv_series(FILE *out, const struct bench_series *s)
{
    double (*const pick[])(const struct bench_series *) = {bench_series_median, bench_series_min,
                                                           bench_series_max};
    for (unsigned i = 0; i < 3; i++) {
        (void)fputc(',', out);
        if (s != NULL && s->count > 0) {
            write_number(out, pick[i](s));
        }
    }
}

static void
csv_row(struct bench_report *r, const struct bench_row *row)
{
    if (!r->has_header) {
        r->has_header = true;
        (void)fputs("case,mode,peer,size,batch,publishers,subscribers,reliable,copy,"
                    "msgs_per_s,msgs_per_s_min,msgs_per_s_max,p50_ns,p50_min_ns,p50_max_ns,"
                    "p99_ns,p99_min_ns,p99_max_ns,p999_ns,p999_min_ns,p999_max_ns,"
                    "raw_msgs_per_s,raw_msgs_per_s_min,raw_msgs_per_s_max,raw_p50_ns,raw_p99_ns,"
                    "raw_p999_ns,"
                    "lost,disorder,torn,repeat,disturbed,failed,extra\n",
                    r->out);
    }
    const struct bench_setup *s = &row->plan->setup;
    const struct bench_row *raw = row->raw;
    (void)fprintf(r->out, "%s,\"%s\",%s,%zu,%u,%u,%u,%d,%d", row->plan->case_name, row->plan->mode,
                  row->driver->name, row->size, s->batch, s->publishers, s->subscribers,
                  is_reliable(row), s->is_copying);
    csv_series(r->out, &row->rate);
    csv_series(r->out, &row->p50);
    csv_series(r->out, &row->p99);
    csv_series(r->out, &row->p999);
    csv_series(r->out, raw != NULL ? &raw->rate : NULL);
    const struct bench_series *of_raw[] = {raw != NULL ? &raw->p50 : NULL,
                                           raw != NULL ? &raw->p99 : NULL,
                                           raw != NULL ? &raw->p999 : NULL};
    for (unsigned i = 0; i < 3; i++) {
        (void)fputc(',', r->out);
        if (of_raw[i] != NULL && of_raw[i]->count > 0) {
            write_number(r->out, bench_series_median(of_raw[i]));
        }
    }
    (void)fprintf(r->out, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%u,%u,%d,", row->lost,
                  row->disorder, row->torn, r->options->repeat, row->disturbed, row->has_failed);
    for (unsigned i = 0; i < BENCH_EXTRAS; i++) {
        if (row->plan->extra[i] != NULL && row->extra[i].count > 0) {
            (void)fprintf(r->out, "%s%s=%.4g", i > 0 ? ";" : "", row->plan->extra[i],
                          bench_series_median(&row->extra[i]));
        }
    }
    (void)fputc('\n', r->out);
}

/* ---- percentile curves ------------------------------------------------------------------------- */

static void
hgrm_row(struct bench_report *r, const struct bench_row *row)
{
    char path[1024];
    const char *mode = row->plan->mode;
    if (row->hist.total == 0) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s%s%s-%zu-%s%s%s.hgrm",
                   r->options->hgrm_dir != NULL ? r->options->hgrm_dir : "",
                   r->options->hgrm_dir != NULL ? "/" : "", row->plan->case_name, row->size,
                   row->driver->name, mode[0] != '\0' ? "-" : "", mode);
    size_t from = r->options->hgrm_dir != NULL ? strlen(r->options->hgrm_dir) + 1 : 0;
    for (char *c = path + from; *c != '\0'; c++) {
        *c = *c == ' ' || *c == '/' || *c == ',' ? '_' : *c;
    }
    if (r->options->hgrm_dir == NULL) {
        (void)fprintf(r->out, "# %s\n", path);
        bench_hist_write(&row->hist, r->out);
        return;
    }
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        (void)fprintf(stderr, "busbar-bench: cannot write %s; does the directory exist?\n", path);
        return;
    }
    bench_hist_write(&row->hist, f);
    (void)fclose(f);
}

/* ---- all --------------------------------------------------------------------------------------- */

void
bench_report_open(struct bench_report *r, const struct bench_options *o)
{
    char text[512];
    *r = (struct bench_report){.out = stdout, .options = o};
    FILE *out = o->format == BENCH_TABLE ? stdout : stderr;
    bench_machine(text, sizeof(text));
    (void)fprintf(out, "machine  %s\n", text);
    bench_build(text, sizeof(text));
    (void)fprintf(out, "build    %s\n", text);
    bench_pins(o, text, sizeof(text));
    (void)fprintf(out, "pinning  %s\n", text);
    (void)fprintf(out, "figures  median [min-max] of %u, %g s each, peers round robin\n\n",
                  o->repeat, o->seconds);
}

void
bench_report_note(struct bench_report *r, const char *format, ...)
{
    FILE *out = r->options->format == BENCH_TABLE ? r->out : stderr;
    va_list args;
    va_start(args, format);
    (void)vfprintf(out, format, args);
    va_end(args);
    (void)fputc('\n', out);
}

void
bench_report_rows(struct bench_report *r, const struct bench_row *rows, unsigned count)
{
    if (r->options->format == BENCH_TABLE) {
        table_rows(r->out, rows, count);
    }
    for (unsigned i = 0; i < count; i++) {
        if (r->options->format == BENCH_HGRM) {
            hgrm_row(r, &rows[i]);
        } else if (r->options->format == BENCH_CSV && rows[i].is_asked) {
            csv_row(r, &rows[i]);
        } else if (r->options->format == BENCH_JSON && rows[i].is_asked) {
            json_row(r->out, &rows[i], r->options);
        }
    }
    (void)fflush(r->out);
}

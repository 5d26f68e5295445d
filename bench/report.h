/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/report.h - rows as a table, JSON lines, CSV or percentile curves.
 */
#ifndef BUSBAR_BENCH_REPORT_H
#define BUSBAR_BENCH_REPORT_H

#include "bench/race.h"

struct bench_report {
    FILE *out;
    const struct bench_options *options;
    bool has_header; /* of CSV */
};

/* bench_report_open - says machine, build and pinning, where the format has a place for it, else on stderr. */
void bench_report_open(struct bench_report *r, const struct bench_options *o);

/* bench_report_rows - of one plan, raw first if it is there. */
void bench_report_rows(struct bench_report *r, const struct bench_row *rows, unsigned count);

/* bench_report_note - a sentence on a case; on stderr unless the format is a table. */
void bench_report_note(struct bench_report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

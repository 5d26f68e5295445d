/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/options.h - what the command line asks for.
 */
#ifndef BUSBAR_BENCH_OPTIONS_H
#define BUSBAR_BENCH_OPTIONS_H

#include "bench/driver.h"

enum { BENCH_LIST_MAX = 32 };
enum bench_format { BENCH_TABLE, BENCH_JSON, BENCH_CSV, BENCH_HGRM };
enum bench_pinning { BENCH_PIN_AUTO, BENCH_PIN_ON, BENCH_PIN_OFF, BENCH_PIN_SAME };

struct bench_options {
    const char *cases[BENCH_LIST_MAX];
    unsigned case_count;
    const char *peers[BENCH_LIST_MAX];
    unsigned peer_count;
    size_t sizes[BENCH_LIST_MAX];
    unsigned size_count;
    unsigned batch, repeat, patience;
    unsigned publishers, subscribers, topics, active; /* 0: the case's own */
    uint64_t keys;                                    /* 0: the case's own */
    bool has_batch;                                   /* --batch was given */
    double seconds, rate;                             /* rate 0: the case's own */
    double line_min_ns, line_max_ns;                  /* max 0: any */
    enum bench_pinning pinning;
    int cpus[BENCH_LIST_MAX]; /* of --pin; else those that we may use */
    unsigned cpu_count;
    const char *engine;   /* of --engine; NULL: each that there is */
    bool has_tls, is_tls; /* --tls or --plain was given */
    bool is_lossy, is_copying, is_fenced, is_coarse, is_single, without_raw;
    bool has_wait; /* --wait was given */
    enum bench_wait wait;
    uint64_t ring_bytes;
    uint32_t ring_depth;
    const char *data; /* file of --data */
    enum bench_format format;
    const char *hgrm_dir; /* --hgrm=DIR */
    bool wants_help, wants_peers, wants_cases;
};

/* bench_options_read - 0; -1 after a sentence on stderr. */
int bench_options_read(struct bench_options *o, int argc, char **argv);
void bench_options_help(FILE *out);

#endif

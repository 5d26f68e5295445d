/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/cases.h - the cases, each with a name; several may share a file.
 */
#ifndef BUSBAR_BENCH_CASES_H
#define BUSBAR_BENCH_CASES_H

#include "bench/race.h"
#include "bench/report.h"

struct bench_case {
    const char *name;
    const char *what; /* one line for `list` */
    bool is_sized;    /* runs once for each --size */
    /* As bench_race(). */
    int (*run)(const struct bench_case *c,
               const struct bench_options *o,
               struct bench_report *report,
               size_t size);
};

/* case_throughput.c */
extern const struct bench_case bench_case_one_to_one, bench_case_fan_out, bench_case_fan_in;
/* case_rings.c, case_topics.c */
extern const struct bench_case bench_case_many_rings, bench_case_many_topics;
/* case_ping.c, case_open_loop.c */
extern const struct bench_case bench_case_ping_pong, bench_case_open_loop;
/* case_slow_reader.c, case_unwanted.c, case_skip.c */
extern const struct bench_case bench_case_slow_reader, bench_case_unwanted, bench_case_skip;
/* case_attach.c, case_records.c, case_log.c */
extern const struct bench_case bench_case_attach, bench_case_record_mix, bench_case_log_lane;

/* case_store_put.c, case_store_get.c, case_store_sync.c, case_store_expire.c, case_store_readers.c */
extern const struct bench_case bench_case_store_put, bench_case_store_put_unique;
extern const struct bench_case bench_case_store_persistent, bench_case_store_get;
extern const struct bench_case bench_case_store_sync, bench_case_store_expire;
extern const struct bench_case bench_case_store_readers;

/* case_bridge.c */
extern const struct bench_case bench_case_bridge_one_to_one, bench_case_bridge_ping_pong;
extern const struct bench_case bench_case_bridge_fan_out;

/* case_ping.c: the two sides of a round trip, whose times are in the first one's histogram. */
void bench_cast_ping(const struct bench_plan *plan,
                     const struct bench_options *o,
                     struct bench_stage *st);
void bench_gather_ping(const struct bench_plan *plan,
                       const struct bench_stage *st,
                       struct bench_sample *out);

/* case_skip.c: publisher and reader by turns on two cores; what the reader takes for a message, in extra[0]. */
void bench_cast_turns(const struct bench_plan *plan,
                      const struct bench_options *o,
                      struct bench_stage *st);
void bench_gather_turns(const struct bench_plan *plan,
                        const struct bench_stage *st,
                        struct bench_sample *out);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/records.h - a log as events: each line's fields, read once, before anything is measured.
 */
#ifndef BUSBAR_BENCH_RECORDS_H
#define BUSBAR_BENCH_RECORDS_H

#include <stddef.h>
#include <stdint.h>

struct bench_field {
    const char *text; /* into the log's text; not NUL-terminated */
    uint32_t bytes;
};

struct bench_record {
    const struct bench_field *fields;
    uint32_t field_count;
    uint32_t event_bytes; /* as an event of busbar, see bench_record_event() */
    uint64_t sum;         /* bench_text_sum() of all fields together */
};

struct bench_records {
    char name[64]; /* of the events: the log's "_path", else "record" */
    struct bench_record *records;
    size_t count;
    size_t mean_bytes; /* of the events, rounded up to a multiple of 8 */
    struct bench_field *fields;
    char *text;
};

/* bench_records_load - a file of lines, unpacked by gzip if its name ends in .gz.  -1 after a sentence. */
int bench_records_load(struct bench_records *r, const char *path);
/* bench_records_make - lines that look like a name server's log, the same in every run. */
int bench_records_make(struct bench_records *r);
void bench_records_free(struct bench_records *r);

/* bench_records_parse - from r->text, text_bytes long; the lines are not copied. */
int bench_records_parse(struct bench_records *r, size_t text_bytes);

struct bb_builder;
/* bench_record_event - the event: number, sum, then each field as a string. */
void bench_record_event(struct bb_builder *b,
                        const struct bench_records *r,
                        const struct bench_record *record,
                        uint64_t word);

/* bench_text_sum - depends on every byte. */
uint64_t bench_text_sum(const char *text, size_t bytes);

#endif

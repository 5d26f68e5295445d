/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cli_log_probe.c - a writer for cli_log.sh: joins as NAME, writes COUNT records of the stream STREAM, waits for the
 * loggers' word and prints its account: records written unsaid lost resent.
 */
#include <busbar/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t
now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int
put(struct bb_log *log, uint64_t id)
{
    static const uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1};
    unsigned char buf[512];
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_vector_begin(&b);
    bb_put_timestamp(&b, INT64_C(1521911720865716000));
    bb_put_count(&b, id);
    bb_put_address(&b, ip);
    bb_put_port(&b, 80, BB_PROTO_TCP);
    bb_put_string(&b, "a \"quoted\" text", 15);
    bb_put_none(&b);
    bb_put_end(&b);
    int64_t bytes = bb_build_end(&b);
    return bytes < 0 ? (int)bytes : bb_log_write(log, buf, (size_t)bytes);
}

/* The account when nothing is unsaid any more, or the time is over. */
static struct bb_log_stats
wait_for_word(struct bb_cluster *c, const struct bb_log *log, int64_t deadline)
{
    struct bb_log_stats s = {.size = sizeof(s)};
    struct bb_msg msgs[16];
    do {
        if (bb_cluster_poll(c, msgs, 16, 10000000) < 0) {
            exit(1);
        }
        bb_log_stats(log, &s);
    } while (s.unsaid > 0 && now_ns() < deadline);
    return s;
}

int
main(int argc, char **argv)
{
    static const struct bb_log_field fields[] = {{"ts", BB_TIMESTAMP},      {"id", BB_COUNT},
                                                 {"id.orig_h", BB_ADDRESS}, {"id.orig_p", BB_PORT},
                                                 {"text", BB_STRING},       {"nothing", BB_STRING}};
    struct bb_error error = {0};
    struct bb_cluster *c;
    struct bb_log *log;
    if (argc != 5) {
        return 2;
    }
    struct bb_cluster_opts co = {
        .size = sizeof(co), .name = argv[1], .role = BB_ROLE_WORKER, .error = &error};
    struct bb_log_opts lo = {.size = sizeof(lo),
                             .stream = argv[2],
                             .fields = fields,
                             .field_count = sizeof(fields) / sizeof(fields[0]),
                             .error = &error};
    if (bb_cluster_join(&c, &co) < 0 || bb_log_open(&log, c, &lo) < 0) {
        (void)fprintf(stderr, "%s\n", error.sentence);
        return 1;
    }
    uint64_t count = strtoull(argv[3], NULL, 10);
    for (uint64_t i = 0; i < count; i++) {
        if (put(log, i) < 0) {
            return 1;
        }
    }
    (void)bb_log_flush(log);
    int64_t deadline = now_ns() + strtoll(argv[4], NULL, 10) * 1000000;
    struct bb_log_stats s = wait_for_word(c, log, deadline);
    (void)printf("%llu %llu %llu %llu %llu\n", (unsigned long long)s.records,
                 (unsigned long long)s.written, (unsigned long long)s.unsaid,
                 (unsigned long long)s.lost, (unsigned long long)s.resent);
    (void)bb_log_close(log, 0);
    bb_cluster_leave(c);
    return 0;
}

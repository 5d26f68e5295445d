/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: records of writers reach the files of loggers, and every one of them is accounted for.
 * Method: several handles of one process on a bus of its own, polled in turn, with a deadline; the files are read.
 */
#include "busbar/busbar.h"
#include "busbar/cluster.h"
#include "busbar/log.h"
#include "lib/cluster/log_impl.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 4, LINE_MAX_BYTES = 4096 };

static struct bb_cluster *nodes[NODES];
static size_t node_count;

static struct bb_cluster *
join(const char *name, uint32_t role, uint32_t flags)
{
    struct bb_error error = {0};
    struct bb_cluster *c = NULL;
    struct bb_cluster_opts o = {.size = sizeof(o),
                                .dir = bus_dir,
                                .bus = "b",
                                .name = name,
                                .role = role,
                                .flags = flags,
                                .error = &error};
    int rc = bb_cluster_join(&c, &o);
    cr_assert_eq(rc, 0, "%s: %s", bb_strerror(rc), error.sentence);
    nodes[node_count++] = c;
    return c;
}

static void
leave(struct bb_cluster *c)
{
    for (size_t i = 0; i < node_count; i++) {
        if (nodes[i] == c) {
            nodes[i] = nodes[--node_count];
            bb_cluster_leave(c);
            return;
        }
    }
}

static void
poll_all(void)
{
    for (size_t i = 0; i < node_count; i++) {
        struct bb_msg msgs[16];
        int n = bb_cluster_poll(nodes[i], msgs, 16, 100000);
        cr_assert_geq(n, 0, "%s", bb_strerror(n));
    }
}

#define UNTIL(expr)                                                                                \
    do {                                                                                           \
        int64_t deadline = bbi_os_mono_ns() + INT64_C(20000000000);                                \
        while (!(expr)) {                                                                          \
            cr_assert(bbi_os_mono_ns() < deadline, "did not come: %s", #expr);                     \
            poll_all();                                                                            \
        }                                                                                          \
    } while (0)

static const char *
logs(void)
{
    static char path[256];
    (void)snprintf(path, sizeof(path), "%s/logs", bus_dir);
    return path;
}

static struct bb_logger *
logger(struct bb_cluster *c, uint64_t rotate_bytes)
{
    struct bb_error error = {0};
    struct bb_logger *l = NULL;
    struct bb_logger_opts o = {
        .size = sizeof(o), .dir = logs(), .rotate_bytes = rotate_bytes, .error = &error};
    cr_assert_eq(bb_logger_open(&l, c, &o), 0, "%s", error.sentence);
    return l;
}

static struct bb_log *
writer(struct bb_cluster *c, const char *stream, uint64_t unsaid_bytes)
{
    static const struct bb_log_field fields[] = {{"id", BB_COUNT}, {"who", BB_STRING}};
    struct bb_error error = {0};
    struct bb_log *log = NULL;
    struct bb_log_opts o = {.size = sizeof(o),
                            .stream = stream,
                            .fields = fields,
                            .field_count = 2,
                            .batch_records = 10,
                            .batch_ns = 1000000,
                            .unsaid_bytes = unsaid_bytes,
                            .error = &error};
    cr_assert_eq(bb_log_open(&log, c, &o), 0, "%s", error.sentence);
    return log;
}

static void
put(struct bb_log *log, uint64_t id, const char *who)
{
    unsigned char buf[256];
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_vector_begin(&b);
    bb_put_count(&b, id);
    bb_put_string(&b, who, strlen(who));
    bb_put_end(&b);
    int64_t n = bb_build_end(&b);
    cr_assert_gt(n, 0);
    cr_assert_eq(bb_log_write(log, buf, (size_t)n), 0);
}

static struct bb_log_stats
stats(const struct bb_log *log)
{
    struct bb_log_stats s = {.size = sizeof(s)};
    bb_log_stats(log, &s);
    cr_assert_eq(s.records, s.written + s.unsaid + s.lost);
    return s;
}

static struct bb_logger_stats
logger_stats(const struct bb_logger *l)
{
    struct bb_logger_stats s = {.size = sizeof(s)};
    bb_logger_stats(l, &s);
    return s;
}

/* Counts ids in all files of a stream: seen[id]++ for each line of this writer. */
static size_t
read_files(const char *stream, const char *who, unsigned *seen, size_t ids)
{
    size_t lines = 0;
    DIR *dir = opendir(logs());
    cr_assert_not_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char path[600], line[LINE_MAX_BYTES], name[64];
        unsigned long long id;
        if (strncmp(e->d_name, stream, strlen(stream)) != 0) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", logs(), e->d_name);
        FILE *f = fopen(path, "re");
        cr_assert_not_null(f);
        while (fgets(line, sizeof(line), f) != NULL) {
            cr_assert_eq(sscanf(line, "{\"id\":%llu,\"who\":\"%63[^\"]\"}", &id, name), 2,
                         "%s in %s", line, e->d_name);
            cr_assert_eq(line[strlen(line) - 1], '\n', "%s in %s", line, e->d_name);
            if (strcmp(name, who) == 0) {
                cr_assert_lt(id, ids);
                seen[id]++;
                lines++;
            }
        }
        (void)fclose(f);
    }
    (void)closedir(dir);
    return lines;
}

static void
end(void)
{
    while (node_count > 0) {
        leave(nodes[0]);
    }
    char cmd[300];
    (void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", logs());
    cr_assert_eq(system(cmd), 0);
    bus_dir_remove();
}

TestSuite(log_lane, .init = bus_dir_make, .fini = end, .timeout = 60);

Test(log_lane, one_writer_one_logger)
{
    unsigned seen[100] = {0};
    struct bb_logger *l = logger(join("logger-1", BB_ROLE_LOGGER, 0), 0);
    struct bb_log *log = writer(join("worker-1", BB_ROLE_WORKER, 0), "conn", 0);
    for (uint64_t i = 0; i < 95; i++) {
        put(log, i, "worker-1");
    }
    cr_assert_eq(stats(log).records, 95);
    UNTIL(stats(log).written == 95);
    struct bb_logger_stats s = logger_stats(l);
    cr_assert_eq(s.records, 95);
    cr_assert_eq(s.batches, 10);
    cr_assert_eq(s.files, 1);
    cr_assert_eq(read_files("conn.log", "worker-1", seen, 100), 95);
    for (size_t i = 0; i < 95; i++) {
        cr_assert_eq(seen[i], 1, "%zu", i);
    }
    cr_assert_eq(stats(log).resent, 0);
    cr_assert_eq(stats(log).batches, 10);
    cr_assert_eq(bb_log_close(log, 0), 0);
}

Test(log_lane, a_logger_that_comes_late)
{
    unsigned seen[100] = {0};
    struct bb_log *log = writer(join("worker-1", BB_ROLE_WORKER, 0), "conn", 0);
    for (uint64_t i = 0; i < 50; i++) {
        put(log, i, "worker-1");
        poll_all();
    }
    cr_assert_eq(stats(log).unsaid, 50);
    struct bb_cluster *c = join("logger-1", BB_ROLE_LOGGER, 0);
    poll_all();
    (void)logger(c, 0);
    UNTIL(stats(log).written == 50);
    cr_assert_eq(read_files("conn.log", "worker-1", seen, 100), 50);
}

Test(log_lane, without_logger_it_keeps_what_it_may)
{
    struct bb_log *log = writer(join("worker-1", BB_ROLE_WORKER, 0), "conn", 1000);
    for (uint64_t i = 0; i < 50; i++) {
        put(log, i, "worker-1");
    }
    /* 16 of the vector, 16 of the count, 16 of the string: 48 bytes. */
    cr_assert_eq(stats(log).unsaid, 20);
    cr_assert_eq(stats(log).lost, 30);
    cr_assert_eq(bb_log_close(log, 1000000), BB_ETIMEDOUT);
}

Test(log_lane, two_loggers_share_and_one_goes)
{
    unsigned seen[2000] = {0};
    struct bb_cluster *one = join("logger-1", BB_ROLE_LOGGER, 0);
    struct bb_cluster *two = join("logger-2", BB_ROLE_LOGGER, 0);
    struct bb_logger *first = logger(one, 0), *second = logger(two, 0);
    struct bb_log *log = writer(join("worker-1", BB_ROLE_WORKER, 0), "conn", 0);
    for (uint64_t i = 0; i < 1000; i++) {
        put(log, i, "worker-1");
        if (i % 100 == 0) {
            poll_all();
        }
    }
    UNTIL(stats(log).written == 1000);
    cr_assert_eq(logger_stats(first).records + logger_stats(second).records, 1000);
    cr_assert_geq(logger_stats(first).records, 300);
    cr_assert_geq(logger_stats(second).records, 300);
    for (uint64_t i = 1000; i < 1500; i++) {
        put(log, i, "worker-1");
    }
    leave(one); /* with batches in the ring that it never read */
    for (uint64_t i = 1500; i < 2000; i++) {
        put(log, i, "worker-1");
    }
    UNTIL(stats(log).written == 2000);
    cr_assert_eq(stats(log).lost, 0);
    size_t lines = read_files("conn", "worker-1", seen, 2000);
    cr_assert_leq(lines, 2000 + stats(log).resent);
    for (size_t i = 0; i < 2000; i++) {
        cr_assert_geq(seen[i], 1, "%zu", i);
    }
}

Test(log_lane, writer_and_logger_in_one)
{
    unsigned seen[5000] = {0};
    struct bb_cluster *c = join("all", BB_ROLE_WORKER, 0);
    struct bb_logger *l = logger(c, 0);
    struct bb_log *log = writer(c, "conn", 0);
    for (uint64_t i = 0; i < 5000; i++) {
        put(log, i, "all");
    }
    cr_assert_eq(bb_log_close(log, INT64_C(5000000000)), 0);
    cr_assert_eq(logger_stats(l).records, 5000);
    cr_assert_eq(read_files("conn.log", "all", seen, 5000), 5000);
    bb_logger_close(l);
}

Test(log_lane, rotation_by_size_keeps_every_line)
{
    unsigned seen[1000] = {0};
    struct bb_logger *l = logger(join("logger-1", BB_ROLE_LOGGER, 0), 1000);
    struct bb_log *log = writer(join("worker-1", BB_ROLE_WORKER, 0), "conn", 0);
    for (uint64_t i = 0; i < 1000; i++) {
        put(log, i, "worker-1");
        if (i % 50 == 0) {
            poll_all();
        }
    }
    UNTIL(stats(log).written == 1000);
    cr_assert_gt(logger_stats(l).files, 5);
    cr_assert_eq(read_files("conn", "worker-1", seen, 1000), 1000);
    for (size_t i = 0; i < 1000; i++) {
        cr_assert_eq(seen[i], 1, "%zu", i);
    }
}

Test(log_lane, what_is_wrong_is_refused)
{
    struct bb_cluster *c = join("worker-1", BB_ROLE_WORKER, 0);
    struct bb_log *log = writer(c, "conn", 0), *other = NULL;
    struct bb_error error = {0};
    static const struct bb_log_field twice[] = {{"a", BB_COUNT}, {"a", BB_COUNT}};
    struct bb_log_opts o = {
        .size = sizeof(o), .stream = "conn", .fields = twice, .field_count = 1, .error = &error};
    cr_assert_eq(bb_log_open(&other, c, &o), BB_EEXIST);
    o.stream = "../conn";
    cr_assert_eq(bb_log_open(&other, c, &o), BB_EINVAL);
    cr_assert_not_null(strstr(error.sentence, "letters"), "%s", error.sentence);
    o.stream = "dns";
    o.field_count = 2;
    cr_assert_eq(bb_log_open(&other, c, &o), BB_EINVAL);
    cr_assert_not_null(strstr(error.sentence, "same name"), "%s", error.sentence);
    o.field_count = 0;
    cr_assert_eq(bb_log_open(&other, c, &o), BB_EINVAL);
    unsigned char buf[64];
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_vector_begin(&b);
    bb_put_count(&b, 1);
    bb_put_end(&b);
    cr_assert_eq(bb_log_write(log, buf, (size_t)bb_build_end(&b)), BB_ETYPE);
    cr_assert_eq(bb_log_write(log, buf, 7), BB_ECORRUPT);
    cr_assert_eq(stats(log).records, 0);
    struct bb_logger *l = NULL;
    struct bb_logger_opts lo = {
        .size = sizeof(lo), .dir = logs(), .pattern = "../%{stream}", .error = &error};
    cr_assert_eq(bb_logger_open(&l, c, &lo), BB_EINVAL);
    cr_assert_not_null(strstr(error.sentence, "below the directory"), "%s", error.sentence);
    lo.pattern = "%{stream}.log";
    cr_assert_eq(bb_logger_open(&l, c, &lo), BB_EINVAL);
    lo.pattern = NULL;
    lo.dir = NULL;
    cr_assert_eq(bb_logger_open(&l, c, &lo), BB_EINVAL);
}

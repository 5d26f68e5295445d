/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_log.c - log-lane: records of workers through one logger to a file on disk.  busbar only.
 *
 * Record     20 fields as Zeek's conn.log has them, built anew for each; about 395 bytes as JSON.
 * Pace       Each worker writes what is due once a millisecond and polls meanwhile, as a capture process does;
 *            --rate is of each worker, without it 25,000 (4 workers: 100,000 records a second).
 * Disk       a directory in $TMPDIR, else /var/tmp; removed at the end.
 * Figures    the rate at which records reach the file; CPU of a record at the worker (building it too) and at
 *            the logger; bytes of JSON.  Lost: what no logger had said at the end.
 */
#include "bench/cases.h"
#include "bench/clock.h"
#include "bench/stream.h"

#include <busbar/log.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIELDS = 20, POLL_MAX = 64 };
static const int64_t tick_ns = 1000000;
static const int64_t patience_ns = INT64_C(20000000000); /* for the loggers' last word */

static const struct bb_log_field fields[FIELDS] = {
    {"ts", BB_TIMESTAMP},        {"uid", BB_STRING},          {"id.orig_h", BB_ADDRESS},
    {"id.orig_p", BB_PORT},      {"id.resp_h", BB_ADDRESS},   {"id.resp_p", BB_PORT},
    {"proto", BB_ENUM},          {"service", BB_STRING},      {"duration", BB_TIMESPAN},
    {"orig_bytes", BB_COUNT},    {"resp_bytes", BB_COUNT},    {"conn_state", BB_STRING},
    {"local_orig", BB_BOOLEAN},  {"missed_bytes", BB_COUNT},  {"history", BB_STRING},
    {"orig_pkts", BB_COUNT},     {"orig_ip_bytes", BB_COUNT}, {"resp_pkts", BB_COUNT},
    {"resp_ip_bytes", BB_COUNT}, {"tunnel_parents", BB_SET}};

static int
complain(const char *what, int rc, const struct bb_error *e)
{
    (void)fprintf(stderr, "busbar-bench: log-lane: %s: %s\n", what,
                  e->sentence[0] != '\0' ? e->sentence : bb_strerror(rc));
    return rc;
}

static int
join(const struct bench_stage *st,
     const char *kind,
     unsigned index,
     uint32_t role,
     struct bb_cluster **c)
{
    char name[32];
    struct bb_error error = {0};
    (void)snprintf(name, sizeof(name), "%s-%u", kind, index + 1);
    const struct bb_cluster_opts opts = {.size = sizeof(opts),
                                         .dir = st->setup.dir,
                                         .bus = "bench",
                                         .name = name,
                                         .role = role,
                                         .wait = BB_WAIT_SLEEP,
                                         .error = &error};
    int rc = bb_cluster_join(c, &opts);
    return rc < 0 ? complain("cannot join", rc, &error) : 0;
}

static int
poll_for(struct bb_cluster *c, int64_t timeout_ns)
{
    static struct bb_msg msgs[POLL_MAX];
    int n = bb_cluster_poll(c, msgs, POLL_MAX, timeout_ns);
    return n < 0 ? complain("cannot poll", n, &(struct bb_error){0}) : n;
}

/* ---- worker ------------------------------------------------------------------------------------ */

struct worker {
    struct bb_cluster *c;
    struct bb_log *log;
    uint64_t records;
};

static int
put(struct worker *w, unsigned index)
{
    unsigned char buf[1024];
    char uid[20] = "C0000000000000000";
    uint64_t n = w->records;
    uint8_t orig[16] = {[10] = 0xff,    [11] = 0xff,       [12] = 10,
                        (uint8_t)index, (uint8_t)(n >> 8), (uint8_t)n};
    const uint8_t resp[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, 150, 187, 43};
    struct bb_builder b;
    for (size_t i = 17; i > 1; i--, n >>= 4) {
        uid[i - 1] = (char)("0123456789abcdef"[n & 15]);
    }
    n = w->records;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_vector_begin(&b);
    bb_put_timestamp(&b, INT64_C(1521911720865716000) + (int64_t)n * 10000);
    bb_put_string(&b, uid, 17);
    bb_put_address(&b, orig);
    bb_put_port(&b, (uint16_t)(1024 + n % 60000), BB_PROTO_TCP);
    bb_put_address(&b, resp);
    bb_put_port(&b, 443, BB_PROTO_TCP);
    bb_put_enum(&b, "tcp", 3);
    bb_put_string(&b, "ssl", 3);
    bb_put_timespan(&b, (int64_t)(n % 1000000) * 1000 + 870);
    bb_put_count(&b, n % 10000);
    bb_put_count(&b, n % 1000000);
    bb_put_string(&b, "SF", 2);
    bb_put_boolean(&b, 1);
    bb_put_count(&b, 0);
    bb_put_string(&b, "ShADadFf", 8);
    bb_put_count(&b, n % 100);
    bb_put_count(&b, n % 10000 + 400);
    bb_put_count(&b, n % 200);
    bb_put_count(&b, n % 1000000 + 800);
    bb_put_set_begin(&b);
    bb_put_end(&b);
    bb_put_end(&b);
    int64_t bytes = bb_build_end(&b);
    int rc = bytes < 0 ? (int)bytes : bb_log_write(w->log, buf, (size_t)bytes);
    w->records += rc == 0;
    return rc < 0 ? complain("cannot write a record", rc, &(struct bb_error){0}) : 0;
}

static int
open_worker(struct bench_stage *st, struct bench_actor *self, struct worker *w)
{
    struct bb_error error = {0};
    const struct bb_log_opts opts = {.size = sizeof(opts),
                                     .stream = "conn",
                                     .fields = fields,
                                     .field_count = FIELDS,
                                     .error = &error};
    int rc = join(st, "worker", self->index, BB_ROLE_WORKER, &w->c);
    if (rc < 0) {
        return rc;
    }
    rc = bb_log_open(&w->log, w->c, &opts);
    if (rc < 0) {
        return complain("cannot open a log", rc, &error);
    }
    bench_set_state(self, BENCH_OPENED);
    while (bench_phase(st) < BENCH_WARM) {
        rc = poll_for(w->c, tick_ns);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* What is due by now, and a poll until the next tick. */
static int
work(const struct bench_stage *st,
     struct worker *w,
     unsigned index,
     int64_t start_ns,
     int64_t *due_ns)
{
    int64_t now = bench_now_ns();
    uint64_t due = (uint64_t)((double)(now - start_ns) * st->rate / 1e9);
    while (w->records < due) {
        if (put(w, index) < 0) {
            return -1;
        }
    }
    *due_ns += tick_ns;
    now = bench_now_ns();
    *due_ns = *due_ns < now ? now : *due_ns;
    return poll_for(w->c, *due_ns - now);
}

/* The rest is said, or lost. */
static int
end_worker(struct bench_stage *st, struct bench_actor *self, struct worker *w)
{
    struct bb_log_stats s = {.size = sizeof(s)};
    int64_t deadline = bench_now_ns() + patience_ns;
    int rc = bb_log_flush(w->log);
    bb_log_stats(w->log, &s);
    while (rc >= 0 && s.unsaid > 0 && bench_now_ns() < deadline) {
        rc = poll_for(w->c, tick_ns);
        bb_log_stats(w->log, &s);
    }
    self->lost = s.records - s.written;
    self->extra[0] = (double)s.resent;
    atomic_store_explicit(&st->sent[self->index], s.records, memory_order_relaxed);
    atomic_fetch_add_explicit(&st->pubs_done, 1, memory_order_release);
    bench_set_state(self, BENCH_SENT);
    (void)bb_log_close(w->log, 0);
    bb_cluster_leave(w->c);
    return rc < 0 ? 1 : 0;
}

static int
play_worker(struct bench_stage *st, struct bench_actor *self)
{
    static struct worker w;
    struct bench_window window = {0};
    if (open_worker(st, self, &w) < 0) {
        return 1;
    }
    int64_t start_ns = bench_now_ns(), due_ns = start_ns;
    for (uint32_t phase; (phase = bench_phase(st)) < BENCH_DRAIN;) {
        bench_window_look(&window, self, phase, w.records, 0);
        if (work(st, &w, self->index, start_ns, &due_ns) < 0) {
            return 1;
        }
    }
    bench_window_look(&window, self, BENCH_DRAIN, w.records, 0);
    return end_worker(st, self, &w);
}

/* ---- logger ------------------------------------------------------------------------------------ */

static struct bb_logger_stats
stats_of(const struct bb_logger *l)
{
    struct bb_logger_stats s = {.size = sizeof(s)};
    bb_logger_stats(l, &s);
    return s;
}

static void
remove_files(const char *dir)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/conn.log", dir);
    (void)unlink(path);
    (void)rmdir(dir);
}

static int
serve(struct bench_stage *st, struct bench_actor *self, struct bb_cluster *c, struct bb_logger *l)
{
    struct bench_window w = {0};
    for (;;) {
        uint32_t phase = bench_phase(st);
        struct bb_logger_stats s = stats_of(l);
        bench_window_look(&w, self, phase, s.records, s.bytes);
        if (atomic_load_explicit(&st->pubs_done, memory_order_acquire) >= st->setup.publishers) {
            return 0;
        }
        if (poll_for(c, tick_ns) < 0) {
            return 1;
        }
    }
}

static int
play_logger(struct bench_stage *st, struct bench_actor *self)
{
    struct bb_error error = {0};
    struct bb_cluster *c;
    struct bb_logger *l;
    const char *tmp = getenv("TMPDIR");
    char dir[256];
    (void)snprintf(dir, sizeof(dir), "%s/busbar-bench-log.XXXXXX", tmp != NULL ? tmp : "/var/tmp");
    if (mkdtemp(dir) == NULL) {
        return complain("no directory for the files", -errno, &error) < 0;
    }
    const struct bb_logger_opts opts = {.size = sizeof(opts), .dir = dir, .error = &error};
    if (join(st, "logger", 0, BB_ROLE_LOGGER, &c) < 0) {
        remove_files(dir);
        return 1;
    }
    int rc = bb_logger_open(&l, c, &opts);
    if (rc < 0) {
        remove_files(dir);
        return complain("cannot open a logger", rc, &error) < 0;
    }
    bench_set_state(self, BENCH_LISTENING);
    bench_await_phase(st, BENCH_HELLO);
    bench_set_state(self, BENCH_HEARD);
    rc = serve(st, self, c, l);
    bb_logger_close(l);
    bb_cluster_leave(c);
    remove_files(dir);
    return rc;
}

/* ---- case -------------------------------------------------------------------------------------- */

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    (void)bench_stage_cast(st, "logger", play_logger, 0, 0, bench_cpu(o, 0));
    for (unsigned i = 0; i < plan->setup.publishers; i++) {
        (void)bench_stage_cast(st, "worker", play_worker, i, 1, bench_cpu(o, 1 + i));
    }
}

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    const struct bench_actor *logger = &st->actors[0];
    double worker_cpu_ns = 0, worker_records = 0;
    (void)plan;
    for (unsigned i = 1; i < st->actor_count; i++) {
        worker_cpu_ns += (double)st->actors[i].cpu_ns;
        worker_records += (double)st->actors[i].messages;
        out->lost += st->actors[i].lost;
        out->extra[3] += st->actors[i].extra[0];
    }
    out->has_rate = true;
    out->rate =
        logger->window_ns > 0 ? (double)logger->messages * 1e9 / (double)logger->window_ns : 0;
    out->extra[0] = worker_records > 0 ? worker_cpu_ns / worker_records : 0;
    out->extra[1] = logger->messages > 0 ? (double)logger->cpu_ns / (double)logger->messages : 0;
    out->extra[2] = logger->messages > 0 ? (double)logger->bytes / (double)logger->messages : 0;
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    struct bench_plan plan;
    bench_plan_init(&plan, c->name, o, size);
    plan.setup.publishers = o->publishers != 0 ? o->publishers : 4;
    plan.setup.subscribers = 1;
    plan.rate = o->rate > 0 ? o->rate : 25000;
    plan.is_ours = true;
    plan.raw = NULL;
    plan.extra[0] = "worker_ns_per_record";
    plan.extra[1] = "logger_ns_per_record";
    plan.extra[2] = "json_bytes_per_record";
    plan.extra[3] = "resent";
    plan.cast = cast;
    plan.gather = gather;
    return bench_race(o, report, &plan, 1, NULL);
}

const struct bench_case bench_case_log_lane = {
    "log-lane", "records of workers through one logger to a file", false, run};

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    What writers hand in stands in the loggers' files or is counted as lost, whoever is killed or stopped.
 * Method  Writers and loggers are processes; loggers are killed again and again, when the writers got so far (the
 *         seed, BBT_SEED, says who and when).  Then the files are read: every line whole, but perhaps the last
 *         one of a file whose logger was killed; every record there at least once, and twice only as often as
 *         `resent` allows.
 */
#include "busbar/log.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WRITERS = 4, LOGGERS = 2, RECORDS = 20000, KILLS = 8, LINE_BYTES = 512 };
enum { SAID_RECORDS, SAID_WRITTEN, SAID_UNSAID, SAID_LOST, SAID_RESENT, SAID_BYTES };

struct part {
    uint32_t number;
    uint64_t records;
    uint64_t pause_at; /* writers: wait here for the order 2; 0: no */
};

static char log_dir[128];
static uint8_t *seen[WRITERS]; /* how often each record stands in the files */

static void
init(void)
{
    bbt_bus_new();
    (void)snprintf(log_dir, sizeof(log_dir), "%s/logs", bbt_dir());
    for (int i = 0; i < WRITERS; i++) {
        seen[i] = calloc(RECORDS, 1);
        cr_assert_not_null(seen[i]);
    }
}

static void
fini(void)
{
    bbt_bus_end();
    for (int i = 0; i < WRITERS; i++) {
        free(seen[i]);
    }
}

TestSuite(log_lane, .init = init, .fini = fini, .timeout = 110);

/* ---- children ---- */

static struct bb_cluster *
join(struct bbt_side *side, const char *kind, uint32_t number, uint32_t role)
{
    char name[32];
    struct bb_error error = {0};
    struct bb_cluster *c;
    (void)snprintf(name, sizeof(name), "%s-%u", kind, number);
    struct bb_cluster_opts o = {.size = sizeof(o),
                                .dir = bbt_dir(),
                                .bus = BBT_BUS,
                                .name = name,
                                .role = role,
                                .error = &error};
    int rc = bb_cluster_join(&c, &o);
    BBT_CHECK(side, rc == 0, "%s: %s", name, error.sentence);
    return c;
}

static void
poll_once(struct bbt_side *side, struct bb_cluster *c, int64_t timeout_ns)
{
    struct bb_msg msgs[64];
    int n = bb_cluster_poll(c, msgs, 64, timeout_ns);
    BBT_CHECK(side, n >= 0, "poll: %d", n);
}

static void
tell_logger(struct bbt_side *side, const struct bb_logger *l)
{
    struct bb_logger_stats s = {.size = sizeof(s)};
    bb_logger_stats(l, &s);
    side->n[SAID_RECORDS] = s.records;
    side->n[SAID_BYTES] = s.bytes;
}

static void
run_logger(struct bbt_side *side, const void *arg)
{
    const struct part *p = arg;
    struct bb_error error = {0};
    struct bb_logger *l;
    struct bb_cluster *c = join(side, "logger", p->number, BB_ROLE_LOGGER);
    struct bb_logger_opts o = {
        .size = sizeof(o), .dir = log_dir, .rotate_bytes = 200000, .error = &error};
    int rc = bb_logger_open(&l, c, &o);
    BBT_CHECK(side, rc == 0, "logger: %s", error.sentence);
    bbt_at(side, 1);
    while (side->go < 1) {
        poll_once(side, c, 10000000);
        tell_logger(side, l);
    }
    bb_logger_close(l);
    bb_cluster_leave(c);
}

static void
put(struct bbt_side *side, struct bb_log *log, uint32_t writer, uint64_t id)
{
    unsigned char buf[256];
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_vector_begin(&b);
    bb_put_count(&b, writer);
    bb_put_count(&b, id);
    bb_put_string(&b, "a text that makes the line longer", 33);
    bb_put_end(&b);
    int64_t bytes = bb_build_end(&b);
    int rc = bytes > 0 ? bb_log_write(log, buf, (size_t)bytes) : (int)bytes;
    BBT_CHECK(side, rc == 0, "write: %d", rc);
}

static void
tell_writer(struct bbt_side *side, const struct bb_log *log)
{
    struct bb_log_stats s = {.size = sizeof(s)};
    bb_log_stats(log, &s);
    BBT_CHECK(side, s.records == s.written + s.unsaid + s.lost, "the account does not close");
    side->n[SAID_RECORDS] = s.records;
    side->n[SAID_WRITTEN] = s.written;
    side->n[SAID_UNSAID] = s.unsaid;
    side->n[SAID_LOST] = s.lost;
    side->n[SAID_RESENT] = s.resent;
}

static struct bb_log *
open_log(struct bbt_side *side, struct bb_cluster *c)
{
    static const struct bb_log_field fields[] = {
        {"writer", BB_COUNT}, {"id", BB_COUNT}, {"text", BB_STRING}};
    struct bb_error error = {0};
    struct bb_log *log;
    struct bb_log_opts o = {.size = sizeof(o),
                            .stream = "conn",
                            .fields = fields,
                            .field_count = 3,
                            .batch_records = 50,
                            .batch_ns = 20000000,
                            .error = &error};
    int rc = bb_log_open(&log, c, &o);
    BBT_CHECK(side, rc == 0, "log: %s", error.sentence);
    return log;
}

static void
run_writer(struct bbt_side *side, const void *arg)
{
    const struct part *p = arg;
    struct bb_cluster *c = join(side, "worker", p->number, BB_ROLE_WORKER);
    struct bb_log *log = open_log(side, c);
    bbt_at(side, 1);
    for (uint64_t id = 0; id < p->records; id++) {
        put(side, log, p->number, id);
        if (id % 50 == 49) {
            poll_once(side, c, 200000);
            tell_writer(side, log);
        }
        while (p->pause_at != 0 && id == p->pause_at && side->go < 2) {
            poll_once(side, c, 1000000);
            tell_writer(side, log);
        }
    }
    bb_log_flush(log);
    int64_t deadline = bbt_now_ms() + bbt_ms(40000);
    do {
        poll_once(side, c, 10000000);
        tell_writer(side, log);
    } while (side->n[SAID_UNSAID] > 0 && bbt_now_ms() < deadline);
    int rc = bb_log_close(log, 0);
    BBT_CHECK(side, rc == 0, "close: %d with %lu unsaid", rc, (unsigned long)side->n[SAID_UNSAID]);
    bb_cluster_leave(c);
}

/* ---- files ---- */

static uint64_t lines_read, torn_lines;

static void
take_line(const char *line, const char *file)
{
    unsigned writer;
    unsigned long long id;
    int end = 0;
    size_t bytes = strlen(line);
    if (bytes == 0 || line[bytes - 1] != '\n') {
        torn_lines++; /* the last of its file: fgets gives no other without its end */
        return;
    }
    int n = sscanf(line,
                   "{\"writer\":%u,\"id\":%llu,\"text\":\"a text that makes the line longer\"}\n%n",
                   &writer, &id, &end);
    cr_assert_eq(n, 2, "%s: %s", file, line);
    cr_assert_eq((size_t)end, bytes, "%s: %s", file, line);
    cr_assert_lt(writer, WRITERS);
    cr_assert_lt(id, RECORDS);
    if (seen[writer][id] < UINT8_MAX) {
        seen[writer][id]++;
    }
    lines_read++;
}

static void
read_files(void)
{
    DIR *dir = opendir(log_dir);
    cr_assert_not_null(dir);
    lines_read = torn_lines = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char path[512], line[LINE_BYTES];
        if (e->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", log_dir, e->d_name);
        FILE *f = fopen(path, "re");
        cr_assert_not_null(f);
        while (fgets(line, sizeof(line), f) != NULL) {
            take_line(line, e->d_name);
        }
        (void)fclose(f);
    }
    (void)closedir(dir);
}

/* handed in = distinct in the files + lost; and no more twice than was resent. */
static void
check_writer(const struct bbt_child *w, uint32_t number, uint64_t records)
{
    uint64_t distinct = 0, copies = 0;
    for (uint64_t id = 0; id < records; id++) {
        distinct += seen[number][id] > 0;
        copies += seen[number][id];
    }
    cr_assert_eq(w->side->n[SAID_RECORDS], records);
    cr_assert_eq(w->side->n[SAID_UNSAID], 0);
    cr_assert_eq(w->side->n[SAID_LOST], 0);
    cr_assert_eq(distinct, records, "worker-%u: %lu of %lu records are there", number,
                 (unsigned long)distinct, (unsigned long)records);
    cr_assert_leq(copies, records + w->side->n[SAID_RESENT], "worker-%u: %lu copies, resent %lu",
                  number, (unsigned long)copies, (unsigned long)w->side->n[SAID_RESENT]);
}

/* ---- tests ---- */

static uint64_t
seed(void)
{
    const char *text = getenv("BBT_SEED");
    uint64_t v = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    (void)printf("seed %llu\n", (unsigned long long)v);
    return v | 1;
}

static uint64_t
draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t
handed_in(const struct bbt_child *writers, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += writers[i].side->n[SAID_RECORDS];
    }
    return sum;
}

Test(log_lane, loggers_are_killed_in_a_loop)
{
    static const char *const names[LOGGERS] = {"logger-1", "logger-2"};
    struct part lparts[LOGGERS], wparts[WRITERS];
    struct bbt_child loggers[LOGGERS], writers[WRITERS];
    uint64_t state = seed(), next = 0;
    for (uint32_t i = 0; i < LOGGERS; i++) {
        lparts[i] = (struct part){.number = i + 1};
        bbt_fork(&loggers[i], names[i], run_logger, &lparts[i]);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        wparts[i] = (struct part){.number = i, .records = RECORDS};
        bbt_fork(&writers[i], "writer", run_writer, &wparts[i]);
    }
    for (int kill = 0; kill < KILLS; kill++) {
        next += 1 + draw(&state) % (WRITERS * RECORDS / KILLS - 1);
        uint64_t victim = draw(&state) % LOGGERS;
        bbt_wait_at(&loggers[victim], 1, 10000);
        BBT_UNTIL(handed_in(writers, WRITERS) >= next, 30000, "no progress at %lu",
                  (unsigned long)next);
        bbt_signal(&loggers[victim], SIGKILL);
        bbt_wait_kill(&loggers[victim], 5000);
        bbt_fork(&loggers[victim], names[victim], run_logger, &lparts[victim]);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        bbt_wait_end(&writers[i], 60000);
    }
    for (uint32_t i = 0; i < LOGGERS; i++) {
        bbt_order(&loggers[i], 1);
        bbt_wait_end(&loggers[i], 10000);
    }
    read_files();
    cr_assert_leq(torn_lines, KILLS);
    for (uint32_t i = 0; i < WRITERS; i++) {
        check_writer(&writers[i], i, RECORDS);
    }
}

/* The one that is stopped keeps nobody from anything: what it has goes to the other one after a while. */
Test(log_lane, a_stopped_logger_harms_nobody)
{
    struct part one = {.number = 1}, two = {.number = 2}, wp = {.number = 0, .records = RECORDS};
    struct bbt_child first, second, w;
    bbt_fork(&first, "logger-1", run_logger, &one);
    bbt_fork(&second, "logger-2", run_logger, &two);
    bbt_wait_at(&first, 1, 10000);
    bbt_wait_at(&second, 1, 10000);
    bbt_fork(&w, "writer", run_writer, &wp);
    BBT_UNTIL(w.side->n[SAID_WRITTEN] >= RECORDS / 10, 20000, "nothing was written");
    bbt_signal(&first, SIGSTOP);
    bbt_wait_stop(&first, 5000);
    bbt_wait_end(&w, 60000); /* all of it said, and it fails if it is not */
    bbt_signal(&first, SIGCONT);
    bbt_order(&first, 1);
    bbt_order(&second, 1);
    bbt_wait_end(&first, 20000);
    bbt_wait_end(&second, 20000);
    read_files();
    cr_assert_eq(torn_lines, 0);
    check_writer(&w, 0, RECORDS);
}

/* Nobody knows what a killed writer had in hand; but what its logger counted is what stands in the files. */
Test(log_lane, a_writer_is_killed)
{
    struct part lp = {.number = 1}, wp = {.number = 0, .records = RECORDS, .pause_at = 10025};
    struct bbt_child l, w;
    bbt_fork(&l, "logger-1", run_logger, &lp);
    bbt_fork(&w, "writer", run_writer, &wp);
    BBT_UNTIL(w.side->n[SAID_WRITTEN] >= 10000, 20000, "nothing was written");
    bbt_signal(&w, SIGKILL);
    bbt_wait_kill(&w, 5000);
    BBT_UNTIL(l.side->n[SAID_RECORDS] >= w.side->n[SAID_WRITTEN], 5000, "the logger knows less");
    bbt_order(&l, 1);
    bbt_wait_end(&l, 10000);
    read_files();
    cr_assert_eq(lines_read, l.side->n[SAID_RECORDS]);
    cr_assert_geq(lines_read, w.side->n[SAID_WRITTEN]);
    cr_assert_eq(torn_lines, 0);
    for (uint64_t id = 0; id < 10000; id++) {
        cr_assert_eq(seen[0][id], 1, "%lu", (unsigned long)id);
    }
}

/* Writer and loggers all at once; then everybody anew, in the same directory. */
Test(log_lane, all_are_killed_and_begin_anew)
{
    struct part lp = {.number = 1}, wp = {.number = 0, .records = RECORDS},
                again = {.number = 1, .records = RECORDS};
    struct bbt_child l, w;
    bbt_fork(&l, "logger-1", run_logger, &lp);
    bbt_fork(&w, "writer", run_writer, &wp);
    BBT_UNTIL(w.side->n[SAID_WRITTEN] >= 5000, 20000, "nothing was written");
    bbt_signal(&l, SIGKILL);
    bbt_signal(&w, SIGKILL);
    bbt_wait_kill(&l, 5000);
    bbt_wait_kill(&w, 5000);
    uint64_t written = w.side->n[SAID_WRITTEN];
    bbt_fork(&l, "logger-1", run_logger, &lp);
    bbt_fork(&w, "writer", run_writer, &again);
    bbt_wait_end(&w, 60000);
    bbt_order(&l, 1);
    bbt_wait_end(&l, 10000);
    read_files();
    cr_assert_eq(torn_lines, 0); /* the next logger mended what the first one left */
    check_writer(&w, 1, RECORDS);
    for (uint64_t id = 0; id < written; id++) { /* in order: there was one logger */
        cr_assert_eq(seen[0][id], 1, "%lu of %lu", (unsigned long)id, (unsigned long)written);
    }
}

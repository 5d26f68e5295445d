/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/acceptance/no_syscall_probe.c - publishes between markers that strace shows; no_syscall.sh counts the
 * system calls of that thread in between.
 *
 * Usage: no_syscall_probe SITUATION
 *   clock      no bus: only reads the clocks that publishing reads
 *   nobody     nobody is attached
 *   unwanted   a subscriber sleeps that wants another topic
 *   lossy      a lossy subscriber that wants the topic spins
 *   reliable   the same, reliable; it keeps up, since we wait for headroom in user space
 *   asleep     a subscriber that wants the topic sleeps: at least the first message must wake it
 *   capture    what a capture thread does: for each message it asks whether the topic is wanted and how much
 *              headroom there is, and builds an event in a loan; three periodic subscribers, one of them
 *              reliable, one that looks only every 50 ms
 *   capture-asleep   the same with a fourth one that sleeps until it is woken: the fault that must be seen
 * In all but the last two, 64 bytes are published in every way there is, one and eight at a time.  A marker is
 * a line `begin WAY` or `end WAY` in one write() to stderr.
 *
 * Each subscriber is a process of its own, this program with `reader NAME`.  It is started by exec, so that
 * strace lets go of it (`-b execve`), before the ring is made: it counts from the ring's first message.  It
 * writes a byte to descriptor 3 when it is open, another when it got the topic `hello`; `end` ends it.
 */
#include <busbar/busbar.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    BYTES = 64,
    EVENT_BYTES = 256, /* enough for one */
    BATCH = 8,
    QUIET_MESSAGES = 200000, /* in each way; a multiple of BATCH */
    WAKING_MESSAGES = 800,
    WARM_MESSAGES = 64,
    DEPTH = 16384,
    RING_BYTES = DEPTH * BYTES, /* so that headroom tells about both limits */
    PACE_BYTES = RING_BYTES / 4 * 3,
    READER_FD = 3,
    WAIT_S = 20, /* for anything */
    LIFE_S = 60, /* of each process */
};

struct reader {
    const char *name, *prefix;
    uint32_t flags, wait;
    int64_t period_ns;
};

static const struct reader READERS[] = {
    {"unwanted", "other", 0, BB_WAIT_SLEEP, 0},
    {"lossy", "test", 0, BB_WAIT_SPIN, 0},
    {"reliable", "test", BB_SUBSCRIBER_RELIABLE, BB_WAIT_SPIN, 0},
    {"asleep", "test", 0, BB_WAIT_SLEEP, 0},
    {"periodic", "test", 0, BB_WAIT_PERIODIC, 0},
    {"periodic-reliable", "test", BB_SUBSCRIBER_RELIABLE, BB_WAIT_PERIODIC, 0},
    {"periodic-seldom", "test", 0, BB_WAIT_PERIODIC, 50000000},
};

enum { MOST_READERS = 4 };

struct situation {
    const char *name;
    const char *readers[MOST_READERS]; /* NULL after the last */
    int messages;
    int is_capture; /* published as a capture thread does */
};

static const struct situation SITUATIONS[] = {
    {"nobody", {NULL}, QUIET_MESSAGES, 0},
    {"unwanted", {"unwanted"}, QUIET_MESSAGES, 0},
    {"lossy", {"lossy"}, QUIET_MESSAGES, 0},
    {"reliable", {"reliable"}, QUIET_MESSAGES, 0},
    {"asleep", {"asleep"}, WAKING_MESSAGES, 0},
    {"capture", {"periodic", "periodic-reliable", "periodic-seldom"}, QUIET_MESSAGES, 1},
    {"capture-asleep",
     {"periodic", "periodic-reliable", "periodic-seldom", "asleep"},
     QUIET_MESSAGES,
     1},
};

struct running {
    const struct reader *how;
    pid_t pid;
    int fd; /* what it says */
};

struct bus {
    const struct situation *how;
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_topic *topic, *hello, *end;
    struct running readers[MOST_READERS];
    int reader_count;
};

extern char **environ;
static unsigned char payload[BYTES];

static int
fail(const char *what, int rc)
{
    (void)fprintf(stderr, "no_syscall_probe: %s: %s\n", what, rc < 0 ? bb_strerror(rc) : "?");
    return 1;
}

static const struct situation *
find_situation(const char *name)
{
    for (size_t i = 0; i < sizeof(SITUATIONS) / sizeof(SITUATIONS[0]); i++) {
        if (strcmp(SITUATIONS[i].name, name) == 0) {
            return &SITUATIONS[i];
        }
    }
    return NULL;
}

static const struct reader *
find_reader(const char *name)
{
    for (size_t i = 0; i < sizeof(READERS) / sizeof(READERS[0]); i++) {
        if (strcmp(READERS[i].name, name) == 0) {
            return &READERS[i];
        }
    }
    return NULL;
}

static double
now_s(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void
mark(const char *what, const char *way)
{
    char line[64];
    int n = snprintf(line, sizeof(line), "%s %s\n", what, way);
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

/* ---- the reader ---- */

static int
open_reader(const struct reader *how, struct bb_endpoint **ep, struct bb_subscriber **sub)
{
    const struct bb_endpoint_opts eo = {.size = sizeof(eo), .name = how->name};
    const char *prefixes[] = {"hello", "end", how->prefix};
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = how->flags,
                                          .wait = how->wait,
                                          .period_ns = how->period_ns,
                                          .prefixes = prefixes,
                                          .prefix_count = 3};
    int rc = bb_endpoint_open(ep, &eo);
    return rc < 0 ? rc : bb_subscriber_open(sub, *ep, &so);
}

static int
is_topic(const struct bb_msg *msg, const char *topic)
{
    return msg->topic_bytes == strlen(topic) && memcmp(msg->topic, topic, msg->topic_bytes) == 0;
}

/* Until the topic `end`, whose payload is the number of all messages.  A status, or 0. */
static int
read_all(struct bb_subscriber *sub, uint64_t *total)
{
    struct bb_msg msgs[64];
    for (;;) {
        int n = bb_poll(sub, msgs, 64, 100000000);
        for (int i = 0; i < n; i++) {
            if (is_topic(&msgs[i], "hello") && write(READER_FD, "h", 1) != 1) {
                return -errno;
            }
            if (is_topic(&msgs[i], "end")) {
                memcpy(total, msgs[i].data, sizeof(*total));
                return 0;
            }
        }
        if (n < 0) {
            return n;
        }
    }
}

/* It was the reader that the situation speaks of. */
static int
is_as_said(const struct reader *how, const struct bb_subscriber_stats *s, uint64_t total)
{
    if (s->messages != total) {
        return 0;
    }
    if (strcmp(how->name, "unwanted") == 0) {
        return s->delivered == 2;
    }
    if ((how->flags & BB_SUBSCRIBER_RELIABLE) != 0) {
        return s->delivered == total && s->lost == 0 && s->evicted == 0;
    }
    return s->delivered > 2 && s->filtered == 0;
}

static int
be_reader(const struct reader *how)
{
    struct bb_endpoint *ep = NULL;
    struct bb_subscriber *sub = NULL;
    struct bb_subscriber_stats s = {.size = sizeof(s)};
    uint64_t total = 0;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int rc = open_reader(how, &ep, &sub);
    if (rc == 0 && write(READER_FD, "o", 1) != 1) {
        rc = -errno;
    }
    rc = rc < 0 ? rc : read_all(sub, &total);
    if (rc < 0) {
        return fail("the reader stopped", rc);
    }
    (void)bb_release(sub);
    bb_subscriber_stats(sub, &s);
    bb_endpoint_close(ep);
    if (!is_as_said(how, &s, total)) {
        (void)fprintf(stderr,
                      "no_syscall_probe: of %llu messages the reader `%s` saw %llu: %llu delivered,"
                      " %llu filtered, %llu lost\n",
                      (unsigned long long)total, how->name, (unsigned long long)s.messages,
                      (unsigned long long)s.delivered, (unsigned long long)s.filtered,
                      (unsigned long long)s.lost);
        return 1;
    }
    return 0;
}

static int
start_reader(struct bus *bus, const char *name)
{
    char *argv[] = {"no_syscall_probe", "reader", (char *)(uintptr_t)name, NULL};
    struct running *r = &bus->readers[bus->reader_count];
    posix_spawn_file_actions_t actions;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return -errno;
    }
    /* Never READER_FD itself: dup2() to the same number would leave it close-on-exec. */
    int out = fcntl(fds[1], F_DUPFD_CLOEXEC, READER_FD + 1);
    (void)close(fds[1]);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, out, READER_FD);
    int rc = posix_spawn(&r->pid, "/proc/self/exe", &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(out);
    r->fd = fds[0];
    r->how = find_reader(name);
    bus->reader_count += rc == 0;
    return -rc;
}

static int
start_readers(struct bus *bus)
{
    int rc = 0;
    for (int i = 0; i < MOST_READERS && bus->how->readers[i] != NULL && rc == 0; i++) {
        rc = start_reader(bus, bus->how->readers[i]);
    }
    return rc;
}

/* The next byte that each reader says; it dies after LIFE_S at the latest. */
static int
hear_readers(const struct bus *bus)
{
    char c;
    for (int i = 0; i < bus->reader_count; i++) {
        if (read(bus->readers[i].fd, &c, 1) != 1) {
            return BB_EPEERGONE;
        }
    }
    return 0;
}

static int
is_sleeping(pid_t pid)
{
    char path[64], line[512] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    const char *name_end = f != NULL && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
    if (f != NULL) {
        (void)fclose(f);
    }
    return name_end != NULL && strncmp(name_end, ") S", 3) == 0;
}

/* Until a reader that sleeps when it has nothing to do is seen asleep three times in a row. */
static int
await_sleep_of(const struct running *r)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    double deadline = now_s() + WAIT_S;
    int seen = 0;
    while (r->how->wait == BB_WAIT_SLEEP && seen < 3) {
        (void)nanosleep(&pause, NULL);
        seen = is_sleeping(r->pid) ? seen + 1 : 0;
        if (now_s() > deadline) {
            return BB_ETIMEDOUT;
        }
    }
    return 0;
}

static int
await_sleep(const struct bus *bus)
{
    int rc = 0;
    for (int i = 0; i < bus->reader_count && rc == 0; i++) {
        rc = await_sleep_of(&bus->readers[i]);
    }
    return rc;
}

/* ---- the ways to publish: one batch each ---- */

static uint32_t
attr_of(int i, int batch)
{
    return (uint32_t)BB_RAW | (i < batch ? (uint32_t)BB_MORE : 0);
}

static int
publish_loan(const struct bus *bus, int batch)
{
    int rc = 0;
    for (int i = 1; i <= batch && rc == 0; i++) {
        void *loan;
        rc = bb_loan(bus->topic, BYTES, &loan);
        if (rc == 0) {
            memcpy(loan, payload, BYTES);
            rc = bb_commit(bus->topic, BYTES, attr_of(i, batch));
        }
    }
    return rc;
}

static int
publish_loan_batch(const struct bus *bus, int batch)
{
    int rc = 0;
    for (int done = 0; done < batch && rc == 0;) {
        void *loans[BATCH];
        int n = bb_loan_batch(bus->topic, BYTES, (size_t)(batch - done), loans);
        for (int i = 0; i < n; i++) {
            memcpy(loans[i], payload, BYTES);
        }
        done += n;
        rc = n < 0 ? n : bb_commit_batch(bus->topic, NULL, (size_t)n, attr_of(done, batch));
    }
    return rc;
}

static int
publish_copy(const struct bus *bus, int batch)
{
    int rc = 0;
    for (int i = 1; i <= batch && rc == 0; i++) {
        rc = bb_publish(bus->topic, payload, BYTES, attr_of(i, batch));
    }
    return rc;
}

static int
publish_batch(const struct bus *bus, int batch)
{
    struct bb_out outs[BATCH];
    for (int i = 0; i < batch; i++) {
        outs[i] = (struct bb_out){bus->topic, payload, BYTES, BB_RAW};
    }
    int64_t n = bb_publish_batch(outs, (size_t)batch);
    return n == batch ? 0 : n < 0 ? (int)n : BB_EAGAIN;
}

/* ---- what a capture thread does ---- */

/* An event in place: who talks to whom, and how much. */
static int64_t
build_event(void *loan, uint64_t number)
{
    static const uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, 10, 1, 2, 3};
    struct bb_builder b;
    bb_build_init(&b, loan, EVENT_BYTES);
    bb_event_begin(&b, "conn", 4);
    bb_put_address(&b, ip);
    bb_put_port(&b, 443, BB_PROTO_TCP);
    bb_put_count(&b, number);
    bb_event_end(&b);
    return bb_build_end(&b);
}

/* 1: published; 0: shed, since a reliable reader is behind. */
static int
capture_one(const struct bus *bus, uint64_t number, uint32_t more)
{
    void *loan;
    if (!bb_topic_wanted(bus->topic)) {
        return BB_EPEERGONE; /* somebody wants it */
    }
    if (bb_headroom(bus->pub) < PACE_BYTES || bb_headroom_messages(bus->pub) < DEPTH / 4) {
        return 0;
    }
    int rc = bb_loan(bus->topic, EVENT_BYTES, &loan);
    if (rc < 0) {
        return rc;
    }
    int64_t bytes = build_event(loan, number);
    if (bytes < 0) {
        bb_abort(bus->pub);
        return (int)bytes;
    }
    rc = bb_commit(bus->topic, (size_t)bytes, (uint32_t)BB_EVENT | more);
    return rc < 0 ? rc : 1;
}

static int
capture(const struct bus *bus, int batch)
{
    static uint64_t number;
    double deadline = now_s() + WAIT_S;
    for (int sent = 0; sent < batch;) {
        int rc = capture_one(bus, ++number, sent + 1 < batch ? (uint32_t)BB_MORE : 0);
        if (rc < 0 || (rc == 0 && now_s() > deadline)) {
            return rc < 0 ? rc : BB_ETIMEDOUT;
        }
        if (rc == 0) { /* what it has must not wait for the next that goes */
            (void)bb_flush(bus->pub);
        }
        sent += rc;
    }
    return 0;
}

struct way {
    const char *name;
    int (*publish)(const struct bus *bus, int batch);
    int batch;
};

static const struct way WAYS[] = {
    {"bb_loan-1", publish_loan, 1},
    {"bb_loan-8", publish_loan, BATCH},
    {"bb_loan_batch-1", publish_loan_batch, 1},
    {"bb_loan_batch-8", publish_loan_batch, BATCH},
    {"bb_publish-1", publish_copy, 1},
    {"bb_publish-8", publish_copy, BATCH},
    {"bb_publish_batch-8", publish_batch, BATCH},
};
static const struct way CAPTURE_WAYS[] = {
    {"capture-1", capture, 1},
    {"capture-8", capture, BATCH},
};

static const struct way *
ways_of(const struct situation *how, int *count)
{
    *count = (int)(how->is_capture ? sizeof(CAPTURE_WAYS) / sizeof(CAPTURE_WAYS[0])
                                   : sizeof(WAYS) / sizeof(WAYS[0]));
    return how->is_capture ? CAPTURE_WAYS : WAYS;
}

/* Lets a reliable reader keep up, without a system call of our own. */
static int
pace(const struct bus *bus)
{
    if (bb_headroom(bus->pub) >= PACE_BYTES) {
        return 0;
    }
    double deadline = now_s() + WAIT_S;
    while (bb_headroom(bus->pub) < PACE_BYTES) {
        if (now_s() > deadline) {
            return BB_ETIMEDOUT;
        }
    }
    return 0;
}

static int
publish(const struct bus *bus, const struct way *way, int messages)
{
    int rc = 0;
    for (int sent = 0; sent < messages && rc == 0; sent += way->batch) {
        rc = pace(bus);
        rc = rc < 0 ? rc : way->publish(bus, way->batch);
    }
    return rc;
}

static int
publish_in_all_ways(const struct bus *bus)
{
    int rc = 0, count;
    const struct way *way = ways_of(bus->how, &count);
    for (int w = 0; w < count && rc == 0; w++, way++) {
        rc = await_sleep(bus);
        if (rc < 0) {
            break;
        }
        mark("begin", way->name);
        rc = publish(bus, way, bus->how->messages);
        mark("end", way->name);
    }
    return rc;
}

/* ---- one situation ---- */

static int
open_bus(struct bus *bus)
{
    const struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .name = "writer", .flags = BB_ATTACH_CAPTURE};
    const struct bb_publisher_opts po = {
        .size = sizeof(po), .policy = BB_POLICY_FAIL, .depth = DEPTH, .bytes = RING_BYTES};
    int rc = bb_endpoint_open(&bus->ep, &eo);
    rc = rc < 0 ? rc : bb_publisher_open(&bus->pub, bus->ep, &po);
    rc = rc < 0 ? rc : bb_topic_open(&bus->topic, bus->pub, "test/topic", 10);
    rc = rc < 0 ? rc : bb_topic_open(&bus->hello, bus->pub, "hello", 5);
    return rc < 0 ? rc : bb_topic_open(&bus->end, bus->pub, "end", 3);
}

/* The reader joined our ring, we took it up, and what is done once is done. */
static int
warm_up(const struct bus *bus)
{
    int rc = bb_publish(bus->hello, payload, BYTES, BB_RAW);
    rc = rc < 0 ? rc : hear_readers(bus);
    return rc < 0 ? rc : publish(bus, &WAYS[0], WARM_MESSAGES);
}

/* The last message says how many there were. */
static int
say_end(const struct bus *bus, uint64_t total)
{
    uint64_t word[BYTES / sizeof(uint64_t)] = {total};
    int rc = pace(bus);
    return rc < 0 ? rc : bb_publish(bus->end, word, BYTES, BB_RAW);
}

static int
await_readers(const struct bus *bus)
{
    int rc = 0;
    for (int i = 0; i < bus->reader_count; i++) {
        int status = 0;
        if (waitpid(bus->readers[i].pid, &status, 0) != bus->readers[i].pid || status != 0) {
            rc = BB_EPEERGONE;
        }
    }
    return rc;
}

static int
run(struct bus *bus)
{
    int ways;
    (void)ways_of(bus->how, &ways);
    uint64_t total = 1 + WARM_MESSAGES + (uint64_t)bus->how->messages * (uint64_t)ways + 1;
    struct bb_publisher_stats s = {.size = sizeof(s)};
    int rc = start_readers(bus);
    rc = rc < 0 ? rc : hear_readers(bus);
    rc = rc < 0 ? rc : open_bus(bus);
    rc = rc < 0 ? rc : warm_up(bus);
    rc = rc < 0 ? rc : publish_in_all_ways(bus);
    rc = rc < 0 ? rc : say_end(bus, total);
    rc = rc < 0 ? rc : await_readers(bus);
    if (rc < 0) {
        return fail(bus->how->name, rc);
    }
    bb_publisher_stats(bus->pub, &s);
    bb_endpoint_close(bus->ep);
    if (s.messages != total || s.blocked != 0 || s.refused != 0 || s.evicted != 0) {
        return fail("messages are missing, or the publisher had to wait", 0);
    }
    return 0;
}

/* Where the kernel's clock cannot be read in user space, these are system calls. */
static int
read_clocks(void)
{
    struct timespec ts;
    mark("begin", "clock");
    for (int i = 0; i < 1000; i++) {
        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
        (void)clock_gettime(CLOCK_REALTIME, &ts);
    }
    mark("end", "clock");
    return 0;
}

int
main(int argc, char **argv)
{
    int is_reader = argc == 3 && strcmp(argv[1], "reader") == 0;
    const char *name = argc > 1 ? argv[argc - 1] : "";
    const struct situation *how = find_situation(name);
    const struct reader *reader = find_reader(name);
    (void)alarm(LIFE_S);
    if (argc == 2 && strcmp(argv[1], "clock") == 0) {
        return read_clocks();
    }
    if ((is_reader ? reader == NULL : how == NULL) || argc != 2 + is_reader) {
        (void)fprintf(stderr, "usage: no_syscall_probe SITUATION (see the head of its source)\n");
        return 2;
    }
    if (is_reader) {
        return be_reader(reader);
    }
    struct bus bus = {.how = how};
    return run(&bus);
}

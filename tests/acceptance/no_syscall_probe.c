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
 * In each, 64 bytes are published in every way there is, one and eight at a time.  A marker is a line
 * `begin WAY` or `end WAY` in one write() to stderr.
 *
 * The subscriber is a process of its own, this program with `reader SITUATION`.  It is started by exec, so that
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

struct situation {
    const char *name, *prefix; /* of the reader; NULL: there is none */
    uint32_t flags, wait;
    int messages;
};

static const struct situation SITUATIONS[] = {
    {"nobody", NULL, 0, 0, QUIET_MESSAGES},
    {"unwanted", "other", 0, BB_WAIT_SLEEP, QUIET_MESSAGES},
    {"lossy", "test", 0, BB_WAIT_SPIN, QUIET_MESSAGES},
    {"reliable", "test", BB_SUBSCRIBER_RELIABLE, BB_WAIT_SPIN, QUIET_MESSAGES},
    {"asleep", "test", 0, BB_WAIT_SLEEP, WAKING_MESSAGES},
};

struct bus {
    const struct situation *how;
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_topic *topic, *hello, *end;
    pid_t reader;  /* 0: none */
    int reader_fd; /* what it says */
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
open_reader(const struct situation *how, struct bb_endpoint **ep, struct bb_subscriber **sub)
{
    const struct bb_endpoint_opts eo = {.size = sizeof(eo), .name = "reader"};
    const char *prefixes[] = {"hello", "end", how->prefix};
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = how->flags,
                                          .wait = how->wait,
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
is_as_said(const struct situation *how, const struct bb_subscriber_stats *s, uint64_t total)
{
    if (s->messages != total) {
        return 0;
    }
    if (strcmp(how->name, "unwanted") == 0) {
        return s->delivered == 2;
    }
    if (strcmp(how->name, "reliable") == 0) {
        return s->delivered == total && s->lost == 0 && s->evicted == 0;
    }
    return s->delivered > 2 && s->filtered == 0;
}

static int
be_reader(const struct situation *how)
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
start_reader(struct bus *bus)
{
    char *argv[] = {"no_syscall_probe", "reader", (char *)(uintptr_t)bus->how->name, NULL};
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
    int rc = posix_spawn(&bus->reader, "/proc/self/exe", &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(out);
    bus->reader_fd = fds[0];
    return -rc;
}

/* The next byte that the reader says; it dies after LIFE_S at the latest. */
static int
hear_reader(const struct bus *bus)
{
    char c;
    return bus->reader == 0 || read(bus->reader_fd, &c, 1) == 1 ? 0 : BB_EPEERGONE;
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
await_sleep(const struct bus *bus)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    double deadline = now_s() + WAIT_S;
    int seen = 0;
    while (bus->reader != 0 && bus->how->wait == BB_WAIT_SLEEP && seen < 3) {
        (void)nanosleep(&pause, NULL);
        seen = is_sleeping(bus->reader) ? seen + 1 : 0;
        if (now_s() > deadline) {
            return BB_ETIMEDOUT;
        }
    }
    return 0;
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
enum { WAY_COUNT = (int)(sizeof(WAYS) / sizeof(WAYS[0])) };

/* Lets a reliable reader keep up, without a system call of our own. */
static int
pace(const struct bus *bus)
{
    if ((bus->how->flags & BB_SUBSCRIBER_RELIABLE) == 0 || bb_headroom(bus->pub) >= PACE_BYTES) {
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
    int rc = 0;
    for (int w = 0; w < WAY_COUNT && rc == 0; w++) {
        rc = await_sleep(bus);
        if (rc < 0) {
            break;
        }
        mark("begin", WAYS[w].name);
        rc = publish(bus, &WAYS[w], bus->how->messages);
        mark("end", WAYS[w].name);
    }
    return rc;
}

/* ---- one situation ---- */

static int
open_bus(struct bus *bus)
{
    const struct bb_endpoint_opts eo = {.size = sizeof(eo), .name = "writer"};
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
    rc = rc < 0 ? rc : hear_reader(bus);
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
await_reader(const struct bus *bus)
{
    int status = 0;
    if (bus->reader != 0 && waitpid(bus->reader, &status, 0) != bus->reader) {
        return -errno;
    }
    return status == 0 ? 0 : BB_EPEERGONE;
}

static int
run(struct bus *bus)
{
    uint64_t total = 1 + WARM_MESSAGES + (uint64_t)bus->how->messages * WAY_COUNT + 1;
    struct bb_publisher_stats s = {.size = sizeof(s)};
    int rc = bus->how->prefix != NULL ? start_reader(bus) : 0;
    rc = rc < 0 ? rc : hear_reader(bus);
    rc = rc < 0 ? rc : open_bus(bus);
    rc = rc < 0 ? rc : warm_up(bus);
    rc = rc < 0 ? rc : publish_in_all_ways(bus);
    rc = rc < 0 ? rc : say_end(bus, total);
    rc = rc < 0 ? rc : await_reader(bus);
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
    const struct situation *how = find_situation(argc > 1 ? argv[argc - 1] : "");
    (void)alarm(LIFE_S);
    if (argc == 2 && strcmp(argv[1], "clock") == 0) {
        return read_clocks();
    }
    if (how == NULL || argc != 2 + is_reader) {
        (void)fprintf(stderr, "usage: no_syscall_probe SITUATION (see the head of its source)\n");
        return 2;
    }
    if (is_reader) {
        return be_reader(how);
    }
    struct bus bus = {.how = how, .reader_fd = -1};
    return run(&bus);
}

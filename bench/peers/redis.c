/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/redis.c - Redis publish and subscribe through hiredis, over a unix socket.
 *
 * Daemon     redis-server without TCP, without persistence, in the case's directory.
 * Publisher  pipelined: as many PUBLISH as a batch has go out in one write, and with CLIENT REPLY OFF none is
 *            answered.  The payload is written into the command, which is formatted once.
 * Reliable   Redis cuts off a subscriber whose output buffer is full.  That limit is lifted, and a window is
 *            lent: how far each subscriber is stands in memory made by start, and a publisher stays within 16384
 *            messages or 16 MiB of the slowest.  Lossy: Redis's own limit, and who was cut off comes back.
 * Topics     SUBSCRIBE of each that is wanted by name; PSUBSCRIBE of one pattern when all of several are.
 * Connected  sub_open has read the answer to each subscription.
 */
#include "bench/driver.h"

#include "bench/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef BENCH_PROGRAM
#    define BENCH_PROGRAM "redis-server" /* the build says where it is */
#endif

enum {
    WINDOW_MESSAGES = 16384,
    WINDOW_BYTES = 16 << 20,
    TAKE_MAX = 256,        /* messages in one sub_recv */
    CHANNEL_BYTES = 24,    /* "bench:w:0000000" */
    HEAD_MAX = 96,         /* bytes of a command before its payload */
    SUBSCRIBE_STEP = 1024, /* channels named before their answers are read */
};
static const int64_t ready_ns = 10000000000, end_ns = 5000000000, glance_ns = 2000000;
static const int64_t stuck_ns = 20000000000, room_nap_ns = 50000;
static const int64_t hybrid_spin_ns = 50000;
static const struct timeval patience = {.tv_sec = 20};

/* Made by start, before any fork.  next: [subscriber][publisher], the number that it expects; written by the
 * subscriber alone, after it took messages.  CLOSED: it takes no more. */
struct bus {
    pid_t server;
    char path[108];
    unsigned publishers, subscribers;
    size_t bytes;
    _Atomic uint64_t next[];
};
#define CLOSED UINT64_MAX

struct window {
    struct bus *bus; /* NULL: there is none */
    unsigned publisher;
    uint64_t size, limit; /* messages; the number that must not be sent yet */
};

struct pub {
    redisContext *c;
    /* A command: its head ends where the payload begins, which is aligned; then the line's end. */
    unsigned char *command;
    size_t payload_off, size;
    char (*heads)[HEAD_MAX];
    unsigned topic_count, turn, batch;
    struct window window;
};

struct sub {
    struct bench_setup setup;
    struct bus *bus;
    redisContext *c;
    unsigned index;
};

static int
complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "redis: %s: %s.\n", what, why);
    return -1;
}

static bool
must_hold(const struct bench_setup *s)
{
    return s->is_reliable && !s->is_evicting;
}

/* ---- daemon ------------------------------------------------------------------------------------ */

static _Noreturn void
become_daemon(char *const argv[], const char *log_path, int death_signal, pid_t harness)
{
    int out = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (out < 0 || in < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0
        || dup2(out, STDERR_FILENO) < 0) {
        _exit(127);
    }
    (void)setsid(); /* an interrupt from the keyboard is the harness's */
    (void)prctl(PR_SET_PDEATHSIG, death_signal);
    if (getppid() != harness) {
        _exit(127);
    }
    (void)execvp(argv[0], argv);
    (void)fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static bool
has_ended(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) == pid;
}

static void
stop_daemon(pid_t pid)
{
    (void)kill(pid, SIGTERM);
    for (int64_t until = bench_now_ns() + end_ns; bench_now_ns() < until;) {
        if (has_ended(pid)) {
            return;
        }
        bench_nap(glance_ns);
    }
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static void
last_line(const char *log_path, char *line, int bytes)
{
    char next[256];
    FILE *log = fopen(log_path, "re");
    (void)snprintf(line, (size_t)bytes, "it said nothing");
    while (log != NULL && fgets(next, sizeof(next), log) != NULL) {
        next[strcspn(next, "\n")] = '\0';
        (void)snprintf(line, (size_t)bytes, "%s", next);
    }
    if (log != NULL) {
        (void)fclose(log);
    }
}

static bool
answers(const char *path)
{
    redisContext *c = redisConnectUnixWithTimeout(path, patience);
    bool is_up = false;
    if (c != NULL && c->err == 0) {
        redisReply *r = redisCommand(c, "PING");
        is_up = r != NULL && r->type == REDIS_REPLY_STATUS;
        freeReplyObject(r);
    }
    if (c != NULL) {
        redisFree(c);
    }
    return is_up;
}

static int
write_config(const struct bench_setup *s, const struct bus *bus, const char *path)
{
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        return complain(path, strerror(errno));
    }
    (void)fprintf(f,
                  "port 0\nunixsocket %s\nunixsocketperm 700\ndir %s\nsave \"\"\nappendonly no\n"
                  "daemonize no\nclient-output-buffer-limit pubsub %s\n",
                  bus->path, s->dir, must_hold(s) ? "0 0 0" : "32mb 8mb 60");
    return fclose(f) == 0 ? 0 : complain(path, strerror(errno));
}

static int
start_server(const struct bench_setup *s, struct bus *bus)
{
    char config[PATH_MAX], log[PATH_MAX], line[256], server[] = BENCH_PROGRAM;
    char *const argv[] = {server, config, NULL};
    pid_t harness = getpid();
    (void)snprintf(config, sizeof(config), "%s/redis.conf", s->dir);
    (void)snprintf(log, sizeof(log), "%s/redis.log", s->dir);
    if (snprintf(bus->path, sizeof(bus->path), "%s/redis.sock", s->dir) >= (int)sizeof(bus->path)) {
        return complain("cannot start", "the directory's name is too long for a socket");
    }
    if (write_config(s, bus, config) < 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        become_daemon(argv, log, SIGKILL, harness);
    }
    if (pid < 0) {
        return complain("cannot start redis-server", strerror(errno));
    }
    bus->server = pid;
    int64_t until = bench_now_ns() + ready_ns;
    while (!answers(bus->path)) {
        bool is_late = bench_now_ns() > until;
        if (has_ended(pid)) {
            last_line(log, line, sizeof(line));
            return complain("redis-server ended", line);
        }
        if (is_late) {
            stop_daemon(pid);
            return complain("redis-server is not ready in time", "it did not answer PING");
        }
        bench_nap(glance_ns);
    }
    return 0;
}

static int
start(const struct bench_setup *s, void **shared)
{
    size_t counters = (size_t)s->publishers * s->subscribers;
    size_t bytes = sizeof(struct bus) + counters * sizeof(uint64_t);
    struct bus *bus = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bus == MAP_FAILED) {
        return complain("cannot start", strerror(errno));
    }
    bus->bytes = bytes;
    bus->publishers = s->publishers;
    bus->subscribers = s->subscribers;
    if (start_server(s, bus) < 0) {
        (void)munmap(bus, bytes);
        return -1;
    }
    *shared = bus;
    return 0;
}

static void
stop(void *shared)
{
    struct bus *bus = shared;
    stop_daemon(bus->server);
    (void)munmap(bus, bus->bytes);
}

static void
describe(const struct bench_setup *s, FILE *out)
{
    char version[64] = "of unknown version";
    FILE *server = popen(BENCH_PROGRAM " --version 2>/dev/null", "re");
    if (server != NULL) {
        (void)!fscanf(server, "Redis server v=%63s", version);
        (void)pclose(server);
    }
    (void)fprintf(
        out,
        "redis-server %s and hiredis %d.%d.%d over a unix socket, no persistence, PUBLISH "
        "pipelined by batch without replies, client-output-buffer-limit pubsub %s",
        version, HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH,
        must_hold(s) ? "lifted to 0 0 0, lossless by a lent window of 16384 messages or 16 MiB"
                     : "32mb 8mb 60, no window: who is cut off comes back");
}

/* ---- window ------------------------------------------------------------------------------------ */

static uint64_t
slowest_next(const struct window *w)
{
    uint64_t slowest = CLOSED;
    for (unsigned i = 0; i < w->bus->subscribers; i++) {
        uint64_t next = atomic_load_explicit(&w->bus->next[i * w->bus->publishers + w->publisher],
                                             memory_order_relaxed);
        slowest = next < slowest ? next : slowest;
    }
    return slowest;
}

/* Waits until message `number` may be sent. */
static int
await_room(struct window *w, uint64_t number)
{
    for (int64_t until = bench_now_ns() + stuck_ns;;) {
        uint64_t slowest = slowest_next(w);
        w->limit = slowest < CLOSED - w->size ? slowest + w->size : CLOSED;
        if (number < w->limit) {
            return 0;
        }
        if (bench_now_ns() > until) {
            return complain("cannot send", "a subscriber has taken nothing for 20 s");
        }
        bench_nap(room_nap_ns);
    }
}

static void
open_window(const struct bench_setup *s, struct bus *bus, unsigned publisher, struct window *w)
{
    uint64_t messages = WINDOW_BYTES / s->size;
    messages = messages < WINDOW_MESSAGES ? messages : WINDOW_MESSAGES;
    *w = (struct window){.bus = bus, .publisher = publisher, .limit = CLOSED};
    if (must_hold(s) && !s->is_ping && s->wanted > 0) {
        /* With topics that nobody wants a subscriber knows how far it is only once a round. */
        w->size = messages + s->topics - s->wanted;
        w->limit = 0;
    }
}

static void
tell_next(struct bus *bus, unsigned subscriber, const struct bench_sink *sink)
{
    for (unsigned i = 0; i < bus->publishers; i++) {
        uint64_t next = sink != NULL ? sink->next[i] : CLOSED;
        _Atomic uint64_t *told = &bus->next[subscriber * bus->publishers + i];
        if (atomic_load_explicit(told, memory_order_relaxed) != next) {
            atomic_store_explicit(told, next, memory_order_relaxed);
        }
    }
}

/* ---- both sides -------------------------------------------------------------------------------- */

static redisContext *
connect_to(const struct bus *bus)
{
    redisContext *c = redisConnectUnixWithTimeout(bus->path, patience);
    if (c == NULL || c->err != 0) {
        (void)complain("cannot connect", c != NULL ? c->errstr : "no memory");
        if (c != NULL) {
            redisFree(c);
        }
        return NULL;
    }
    (void)redisSetTimeout(c, patience);
    return c;
}

static void
name_channel(const struct bench_setup *s, unsigned publisher, unsigned topic, char *name)
{
    if (s->is_ping) {
        (void)snprintf(name, CHANNEL_BYTES, "bench:ping:%u", publisher);
    } else {
        (void)snprintf(name, CHANNEL_BYTES, "bench:%07u", topic);
    }
}

/* ---- publisher --------------------------------------------------------------------------------- */

/* Whether the server has taken all that was sent before. */
static int
await_server(redisContext *c)
{
    redisReply *r;
    (void)redisAppendCommand(c, "CLIENT REPLY ON");
    if (redisGetReply(c, (void **)&r) != REDIS_OK) {
        return complain("cannot end", c->errstr);
    }
    freeReplyObject(r);
    return 0;
}

static void
pub_close(void *pub)
{
    struct pub *p = pub;
    if (p->c != NULL) {
        (void)await_server(p->c);
        redisFree(p->c);
    }
    free(p->heads);
    free(p->command);
    free(p);
}

/* "*3 $7 PUBLISH $n channel $n", each with its line's end. */
static void
format_heads(const struct bench_setup *s, unsigned index, struct pub *p)
{
    for (unsigned i = 0; i < s->topics; i++) {
        char channel[CHANNEL_BYTES];
        name_channel(s, index, i, channel);
        (void)snprintf(p->heads[i], HEAD_MAX, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%zu\r\n",
                       strlen(channel), channel, s->size);
    }
}

/* A small generator with a fixed start: every run takes the topics in the same order. */
static void
shuffle(char (*heads)[HEAD_MAX], unsigned count)
{
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
    for (unsigned i = count; i > 1; i--) {
        char t[HEAD_MAX];
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        unsigned j = (unsigned)(x % i);
        memcpy(t, heads[i - 1], sizeof(t));
        memcpy(heads[i - 1], heads[j], sizeof(t));
        memcpy(heads[j], t, sizeof(t));
    }
}

static int
open_commands(const struct bench_setup *s, unsigned index, struct pub *p)
{
    p->size = s->size;
    p->payload_off = HEAD_MAX;
    p->topic_count = s->topics;
    p->batch = s->batch;
    p->command = malloc(HEAD_MAX + s->size + 2);
    p->heads = calloc(s->topics, sizeof(*p->heads));
    if (p->command == NULL || p->heads == NULL) {
        return complain("cannot open a publisher", "no memory");
    }
    memcpy(p->command + HEAD_MAX + s->size, "\r\n", 2);
    format_heads(s, index, p);
    if (s->is_shuffled) {
        shuffle(p->heads, s->topics);
    }
    return 0;
}

static int
write_all(redisContext *c)
{
    for (int done = 0; done == 0;) {
        if (redisBufferWrite(c, &done) != REDIS_OK) {
            return complain("cannot send", c->errstr);
        }
    }
    return 0;
}

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **pub)
{
    struct pub *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return complain("cannot open a publisher", "no memory");
    }
    open_window(s, shared, index, &p->window);
    int rc = open_commands(s, index, p);
    p->c = rc < 0 ? NULL : connect_to(shared);
    rc = p->c != NULL ? 0 : -1;
    if (rc == 0) {
        (void)redisAppendCommand(p->c, "CLIENT REPLY OFF");
        rc = write_all(p->c);
    }
    if (rc < 0) {
        pub_close(p);
        return rc;
    }
    *pub = p;
    return 0;
}

/* The head goes right before the payload, which stays where it is aligned. */
static int
append_one(struct pub *p, struct bench_source *src)
{
    const char *head = p->heads[p->turn];
    size_t head_bytes = strlen(head);
    unsigned char *from = p->command + p->payload_off - head_bytes;
    p->turn = p->turn + 1 == p->topic_count ? 0 : p->turn + 1;
    memcpy(from, head, head_bytes);
    bench_fill(src, p->command + p->payload_off);
    if (redisAppendFormattedCommand(p->c, (const char *)from, head_bytes + p->size + 2)
        != REDIS_OK) {
        return complain("cannot send", p->c->errstr);
    }
    return 0;
}

static int
pub_send(void *pub, struct bench_source *src, uint64_t count)
{
    struct pub *p = pub;
    unsigned open = 0; /* messages since the last flush */
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = src->word & BENCH_NUMBER_MASK;
        if (__builtin_expect(number >= p->window.limit, 0)
            && (write_all(p->c) < 0 || await_room(&p->window, number) < 0)) {
            return -1;
        }
        if (append_one(p, src) < 0) {
            return -1;
        }
        if (++open == p->batch || i + 1 == count) {
            open = 0;
            if (write_all(p->c) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* ---- subscriber -------------------------------------------------------------------------------- */

static void
sub_close(void *sub)
{
    struct sub *r = sub;
    tell_next(r->bus, r->index, NULL);
    if (r->c != NULL) {
        redisFree(r->c);
    }
    free(r);
}

static int
read_answers(redisContext *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        redisReply *r;
        if (redisGetReply(c, (void **)&r) != REDIS_OK) {
            return complain("cannot subscribe", c->errstr);
        }
        bool is_good = r->type == REDIS_REPLY_ARRAY;
        freeReplyObject(r);
        if (!is_good) {
            return complain("cannot subscribe", "the server refused");
        }
    }
    return 0;
}

static int
subscribe_by_name(struct sub *r)
{
    const struct bench_setup *s = &r->setup;
    for (unsigned i = 0; i < s->wanted;) {
        unsigned step = 0;
        for (; step < SUBSCRIBE_STEP && i < s->wanted; step++, i++) {
            char channel[CHANNEL_BYTES];
            name_channel(s, s->is_ping ? 1 - r->index : 0, i, channel);
            (void)redisAppendCommand(r->c, "SUBSCRIBE %s", channel);
        }
        if (read_answers(r->c, step) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
subscribe(struct sub *r)
{
    r->c = connect_to(r->bus);
    if (r->c == NULL) {
        return -1;
    }
    r->c->reader->maxbuf = 0; /* keeps its buffer */
    if (r->setup.topics > 1 && r->setup.wanted == r->setup.topics) {
        (void)redisAppendCommand(r->c, "PSUBSCRIBE bench:*");
        return read_answers(r->c, 1);
    }
    return subscribe_by_name(r);
}

static int
sub_open(const struct bench_setup *s, void *shared, unsigned index, void **sub)
{
    static const struct bench_sink nothing_yet;
    struct sub *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return complain("cannot open a subscriber", "no memory");
    }
    r->setup = *s;
    r->bus = shared;
    r->index = index;
    tell_next(r->bus, index, &nothing_yet);
    if (subscribe(r) < 0) {
        sub_close(r);
        return -1;
    }
    *sub = r;
    return 0;
}

/* message, channel, payload; or pmessage, pattern, channel, payload. */
static int
take_ready(struct sub *r, struct bench_sink *sink)
{
    int got = 0;
    while (got < TAKE_MAX) {
        redisReply *reply;
        if (redisGetReplyFromReader(r->c, (void **)&reply) != REDIS_OK) {
            return complain("cannot take", r->c->errstr);
        }
        if (reply == NULL) {
            break;
        }
        const redisReply *payload = reply->type == REDIS_REPLY_ARRAY && reply->elements >= 3
                                        ? reply->element[reply->elements - 1]
                                        : NULL;
        if (payload == NULL || payload->type != REDIS_REPLY_STRING
            || payload->len != r->setup.size) {
            freeReplyObject(reply);
            return complain("cannot take", "the server sent something else");
        }
        bench_take(sink, payload->str, payload->len);
        freeReplyObject(reply);
        got++;
    }
    return got;
}

/* Returns whether something can be read. */
static bool
await_input(const struct sub *r, int64_t timeout_ns)
{
    struct pollfd fd = {.fd = r->c->fd, .events = POLLIN};
    int64_t until = bench_now_ns() + timeout_ns;
    int64_t spin_ns = r->setup.wait == BENCH_SPIN ? timeout_ns : hybrid_spin_ns;
    while (r->setup.wait != BENCH_SLEEP) {
        if (poll(&fd, 1, 0) > 0) {
            return true;
        }
        if (until - bench_now_ns() <= timeout_ns - spin_ns) {
            break;
        }
    }
    int64_t left = until - bench_now_ns();
    left = left > 0 ? left : 0;
    struct timespec t = {.tv_sec = (time_t)(left / 1000000000),
                         .tv_nsec = (long)(left % 1000000000)};
    return ppoll(&fd, 1, &t, NULL) > 0;
}

/* The server cut us off, as it does when we are too slow: what it held for us is lost. */
static int
come_back(struct sub *r)
{
    redisFree(r->c);
    return subscribe(r);
}

static int
sub_recv(void *sub, struct bench_sink *sink, int64_t timeout_ns)
{
    struct sub *r = sub;
    int got = take_ready(r, sink);
    if (got == 0 && await_input(r, timeout_ns)) {
        if (redisBufferRead(r->c) == REDIS_OK) {
            got = take_ready(r, sink);
        } else if (must_hold(&r->setup) || come_back(r) < 0) {
            return complain("cannot take", r->c != NULL ? r->c->errstr : "no connection");
        }
    }
    if (got > 0) {
        tell_next(r->bus, r->index, sink);
    }
    return got;
}

const struct bench_driver bench_driver_redis = {
    .name = "redis",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_LOSE | BENCH_CAN_RELY
           | BENCH_CAN_TOPICS | BENCH_CAN_SPIN | BENCH_CAN_SLEEP,
    .describe = describe,
    .start = start,
    .stop = stop,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};

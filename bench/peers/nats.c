/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/nats.c - NATS through cnats: core publish and subscribe, no JetStream.
 *
 * Daemon     nats-server on a free port of the loopback, which it writes into a file; TCP is all it speaks.
 * Reliable   NATS has no flow control: the server cuts off who does not follow.  So a window is lent: how far
 *            each subscriber is stands in memory made by start, and a publisher stays within 65536 messages or
 *            16 MiB of the slowest.  It costs NATS no message.  Lossy: no window, and what NATS does by itself.
 * Flush      each message by itself: SendAsap, a write for each.  In batches: cnats gathers up to 32 KiB, and
 *            its flusher sends what is left about a millisecond later; there is no other flush but a round trip.
 * Topics     bench.w.N those that are wanted, bench.u.N the rest: a synchronous subscription has a queue of its
 *            own, so subscribers take one, for bench.w.*, to see all in order.
 * Connected  sub_open makes a round trip after the subscription, so the server knows it.
 */
#include "bench/driver.h"

#include "bench/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef BENCH_PROGRAM
#    define BENCH_PROGRAM "nats-server" /* the build says where it is */
#endif

enum {
    WINDOW_MESSAGES = 65536,
    WINDOW_BYTES = 16 << 20,
    MAX_PENDING = 256 << 20, /* bytes that the server holds for a client before it cuts it off */
    TAKE_MAX = 256,          /* messages in one sub_recv */
    SUBJECT_BYTES = 24, /* "bench.w.000000.": the payload that follows in a natsMsg is aligned */
    OPEN_MS = 10000,
};
static const int64_t ready_ns = 10000000000, end_ns = 5000000000, glance_ns = 2000000;
static const int64_t stuck_ns = 20000000000, room_nap_ns = 50000, ms_ns = 1000000;

/* Made by start, before any fork.  next: [subscriber][publisher], the number that it expects; written by the
 * subscriber alone, after it took messages.  CLOSED: it takes no more. */
struct bus {
    pid_t server;
    char url[64];
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
    natsConnection *nc;
    void *buffer;
    char (*subjects)[SUBJECT_BYTES];
    unsigned topic_count, turn;
    struct window window;
};

struct sub {
    natsConnection *nc;
    natsSubscription *sub;
    struct bus *bus;
    unsigned index;
    void *aligned; /* for a payload that is not */
    size_t size;
};

static int
complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "nats: %s: %s.\n", what, why);
    return -1;
}

static int
check(natsStatus status, const char *what)
{
    return status == NATS_OK ? 0 : complain(what, natsStatus_GetText(status));
}

static bool
must_hold(const struct bench_setup *s)
{
    return s->is_reliable && !s->is_evicting;
}

/* Each message goes out at once. */
static bool
is_hasty(const struct bench_setup *s)
{
    return s->is_ping || s->batch == 1;
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

static int
write_config(const struct bench_setup *s, const char *path)
{
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        return complain(path, strerror(errno));
    }
    size_t payload = s->size > 1 << 20 ? s->size : 1 << 20;
    (void)fprintf(f, "max_pending: %d\nmax_payload: %zu\nports_file_dir: \"%s\"\n", MAX_PENDING,
                  payload, s->dir);
    return fclose(f) == 0 ? 0 : complain(path, strerror(errno));
}

/* The ports file is JSON with one address for clients: "nats://127.0.0.1:12345". */
static bool
read_url(const char *path, char *url, int bytes)
{
    char text[1024] = {0};
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    (void)!fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    char *from = strstr(text, "nats://");
    char *to = from != NULL ? strchr(from, '"') : NULL;
    if (to == NULL || to - from >= bytes) {
        return false;
    }
    (void)snprintf(url, (size_t)bytes, "%.*s", (int)(to - from), from);
    return true;
}

static int
start_server(const struct bench_setup *s, struct bus *bus)
{
    char config[PATH_MAX], log[PATH_MAX], ports[PATH_MAX], line[256];
    char server[] = BENCH_PROGRAM, on[] = "--addr", lo[] = "127.0.0.1", port[] = "--port",
         any[] = "-1", with[] = "--config";
    char *const argv[] = {server, on, lo, port, any, with, config, NULL};
    pid_t harness = getpid();
    (void)snprintf(config, sizeof(config), "%s/nats.conf", s->dir);
    (void)snprintf(log, sizeof(log), "%s/nats.log", s->dir);
    if (write_config(s, config) < 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        become_daemon(argv, log, SIGKILL, harness);
    }
    if (pid < 0) {
        return complain("cannot start nats-server", strerror(errno));
    }
    bus->server = pid;
    (void)snprintf(ports, sizeof(ports), "%s/nats-server_%ld.ports", s->dir, (long)bus->server);
    int64_t until = bench_now_ns() + ready_ns;
    while (!read_url(ports, bus->url, sizeof(bus->url))) {
        bool is_late = bench_now_ns() > until;
        if (has_ended(bus->server)) {
            last_line(log, line, sizeof(line));
            return complain("nats-server ended", line);
        }
        if (is_late) {
            stop_daemon(bus->server);
            return complain("nats-server is not ready in time", "it wrote no ports file");
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
    char version[64] = "version unknown";
    FILE *server = popen(BENCH_PROGRAM " --version 2>/dev/null", "re");
    if (server != NULL) {
        (void)!fscanf(server, "nats-server: %63[^\n]", version);
        (void)pclose(server);
    }
    (void)fprintf(
        out,
        "nats-server %s and cnats %s over TCP loopback, synchronous subscription, max_pending "
        "%d MiB, %s, %s",
        version, nats_GetVersion(), MAX_PENDING >> 20,
        is_hasty(s) ? "SendAsap" : "flushed by the library",
        must_hold(s) ? "lossless by a lent window of 65536 messages or 16 MiB"
                     : "no window: slow subscribers lose");
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

static int
connect_to(const struct bench_setup *s, const struct bus *bus, natsConnection **nc)
{
    natsOptions *options = NULL;
    natsStatus st = natsOptions_Create(&options);
    st = st != NATS_OK ? st : natsOptions_SetURL(options, bus->url);
    st = st != NATS_OK ? st : natsOptions_SetTimeout(options, OPEN_MS);
    st = st != NATS_OK ? st : natsOptions_SetSendAsap(options, is_hasty(s));
    st = st != NATS_OK ? st : natsConnection_Connect(nc, options);
    natsOptions_Destroy(options);
    return check(st, "cannot connect");
}

static void
name_subject(const struct bench_setup *s, unsigned publisher, unsigned topic, char *name)
{
    if (s->is_ping) {
        (void)snprintf(name, SUBJECT_BYTES, "bench.ping.%04u", publisher);
    } else {
        (void)snprintf(name, SUBJECT_BYTES, "bench.%c.%07u", topic < s->wanted ? 'w' : 'u', topic);
    }
}

/* ---- publisher --------------------------------------------------------------------------------- */

static void
pub_close(void *pub)
{
    struct pub *p = pub;
    if (p->nc != NULL) {
        (void)check(natsConnection_FlushTimeout(p->nc, OPEN_MS), "cannot flush");
        natsConnection_Destroy(p->nc);
    }
    free(p->subjects);
    free(p->buffer);
    free(p);
}

/* A small generator with a fixed start: every run takes the topics in the same order. */
static void
shuffle(char (*subjects)[SUBJECT_BYTES], unsigned count)
{
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
    for (unsigned i = count; i > 1; i--) {
        char t[SUBJECT_BYTES];
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        unsigned j = (unsigned)(x % i);
        memcpy(t, subjects[i - 1], sizeof(t));
        memcpy(subjects[i - 1], subjects[j], sizeof(t));
        memcpy(subjects[j], t, sizeof(t));
    }
}

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **pub)
{
    struct pub *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return complain("cannot open a publisher", "no memory");
    }
    p->buffer = malloc(s->size);
    p->subjects = calloc(s->topics, sizeof(*p->subjects));
    p->topic_count = s->topics;
    int rc = p->buffer != NULL && p->subjects != NULL ? 0 : complain("cannot open", "no memory");
    for (unsigned i = 0; rc == 0 && i < s->topics; i++) {
        name_subject(s, index, i, p->subjects[i]);
    }
    if (rc == 0 && s->is_shuffled) {
        shuffle(p->subjects, s->topics);
    }
    open_window(s, shared, index, &p->window);
    rc = rc < 0 ? rc : connect_to(s, shared, &p->nc);
    if (rc < 0) {
        pub_close(p);
        return rc;
    }
    *pub = p;
    return 0;
}

static int
pub_send(void *pub, struct bench_source *src, uint64_t count)
{
    struct pub *p = pub;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = src->word & BENCH_NUMBER_MASK;
        if (__builtin_expect(number >= p->window.limit, 0) && await_room(&p->window, number) < 0) {
            return -1;
        }
        bench_fill(src, p->buffer);
        const char *subject = p->subjects[p->turn];
        p->turn = p->turn + 1 == p->topic_count ? 0 : p->turn + 1;
        natsStatus st = natsConnection_Publish(p->nc, subject, p->buffer, (int)src->size);
        if (__builtin_expect(st != NATS_OK, 0)) {
            return check(st, "cannot publish");
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
    natsSubscription_Destroy(r->sub);
    natsConnection_Destroy(r->nc);
    free(r->aligned);
    free(r);
}

static int
subscribe(const struct bench_setup *s, struct sub *r)
{
    char subject[SUBJECT_BYTES] = "bench.w.*";
    if (s->is_ping) {
        name_subject(s, 1 - r->index, 0, subject);
    } else if (s->topics == 1 && s->wanted == 1) {
        name_subject(s, 0, 0, subject);
    }
    int rc = check(natsConnection_SubscribeSync(&r->sub, r->nc, subject), "cannot subscribe");
    if (rc == 0 && must_hold(s)) {
        /* The window bounds what waits here; the library's own bound would drop. */
        rc = check(natsSubscription_SetPendingLimits(r->sub, -1, -1), "cannot lift the limits");
    }
    return rc < 0 ? rc : check(natsConnection_FlushTimeout(r->nc, OPEN_MS), "cannot subscribe");
}

static int
sub_open(const struct bench_setup *s, void *shared, unsigned index, void **sub)
{
    static const struct bench_sink nothing_yet;
    struct sub *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return complain("cannot open a subscriber", "no memory");
    }
    r->bus = shared;
    r->index = index;
    r->size = s->size;
    r->aligned = malloc(s->size);
    int rc = r->aligned != NULL ? 0 : complain("cannot open a subscriber", "no memory");
    tell_next(r->bus, index, &nothing_yet);
    rc = rc < 0 ? rc : connect_to(s, shared, &r->nc);
    rc = rc < 0 ? rc : subscribe(s, r);
    if (rc < 0) {
        sub_close(r);
        return rc;
    }
    *sub = r;
    return 0;
}

static int
take(struct sub *r, natsMsg *msg, struct bench_sink *sink)
{
    const void *data = natsMsg_GetData(msg);
    if ((size_t)natsMsg_GetDataLength(msg) != r->size) {
        natsMsg_Destroy(msg);
        return complain("cannot take", "a message has another size");
    }
    if (__builtin_expect((uintptr_t)data % sizeof(uint64_t) != 0, 0)) {
        data = memcpy(r->aligned, data, r->size);
    }
    bench_take(sink, data, r->size);
    natsMsg_Destroy(msg);
    return 0;
}

static int
sub_recv(void *sub, struct bench_sink *sink, int64_t timeout_ns)
{
    struct sub *r = sub;
    int64_t wait_ms = (timeout_ns + ms_ns - 1) / ms_ns;
    int got = 0;
    while (got < TAKE_MAX) {
        natsMsg *msg;
        natsStatus st = natsSubscription_NextMsg(&msg, r->sub, got == 0 ? wait_ms : 0);
        if (st == NATS_OK) {
            if (take(r, msg, sink) < 0) {
                return -1;
            }
            got++;
        } else if (st == NATS_TIMEOUT) {
            break;
        } else if (st != NATS_SLOW_CONSUMER) {
            return check(st, "cannot take");
        }
    }
    if (got > 0) {
        tell_next(r->bus, r->index, sink);
    }
    return got;
}

const struct bench_driver bench_driver_nats = {
    .name = "nats",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_LOSE | BENCH_CAN_RELY
           | BENCH_CAN_TOPICS | BENCH_CAN_SLEEP,
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

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/nats.c - NATS through cnats: core publish and subscribe, no JetStream.
 *
 * Daemon     nats-server on a free port of the loopback, which it writes into a file; TCP is all it speaks.
 * Reliable   NATS has no flow control: the server cuts off who does not follow.  So a window is lent
 *            (credit.h): 65536 messages or 16 MiB.  Lossy: no window, and what NATS does by itself.
 * Flush      each message by itself: SendAsap, a write for each.  In batches: cnats gathers up to 32 KiB, and
 *            its flusher sends what is left about a millisecond later; there is no other flush but a round trip.
 * Topics     bench.w.N those that are wanted, bench.u.N the rest: a synchronous subscription has a queue of its
 *            own, so subscribers take one, for bench.w.*, to see all in order.
 * Connected  sub_open makes a round trip after the subscription, so the server knows it.
 */
#include "bench/driver.h"
#include "bench/shuffle.h"

#include "bench/peers/credit.h"
#include "bench/peers/daemon.h"
#include <limits.h>
#include <nats/nats.h>
#include <stdlib.h>
#include <string.h>

#ifndef BENCH_PROGRAM
#    define BENCH_PROGRAM "nats-server" /* the build says where it is */
#endif

enum {
    WINDOW_MESSAGES = 65536,
    MAX_PENDING = 256 << 20, /* bytes that the server holds for a client before it cuts it off */
    TAKE_MAX = 256,          /* messages in one sub_recv */
    SUBJECT_BYTES = 24, /* "bench.w.000000.": the payload that follows in a natsMsg is aligned */
    OPEN_MS = 10000,
};
static const int64_t ms_ns = 1000000;

/* Made by start, before any fork. */
struct bus {
    struct bench_credit credit;
    struct bench_daemon server;
    char url[64];
};

struct pub {
    natsConnection *nc;
    void *buffer;
    char (*subjects)[SUBJECT_BYTES];
    unsigned topic_count, turn;
    struct bench_window window;
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

/* Each message goes out at once. */
static bool
is_hasty(const struct bench_setup *s)
{
    return s->is_ping || s->batch == 1;
}

/* ---- daemon ------------------------------------------------------------------------------------ */

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

static bool
is_ready(const struct bench_setup *s, void *shared)
{
    struct bus *bus = shared;
    char ports[PATH_MAX];
    (void)snprintf(ports, sizeof(ports), "%s/nats-server_%ld.ports", s->dir, (long)bus->server.pid);
    return read_url(ports, bus->url, sizeof(bus->url));
}

static int
start_server(const struct bench_setup *s, void *shared)
{
    struct bus *bus = shared;
    char config[PATH_MAX];
    size_t payload = s->size > 1 << 20 ? s->size : 1 << 20;
    const struct bench_daemon_opts opts = {
        .driver = "nats",
        .name = "nats-server",
        .argv = {BENCH_PROGRAM, "--addr", "127.0.0.1", "--port", "-1", "--config", config},
        .is_ready = is_ready,
    };
    (void)snprintf(config, sizeof(config), "%s/nats.conf", s->dir);
    int rc = bench_daemon_configure("nats", config,
                                    "max_pending: %d\nmax_payload: %zu\nports_file_dir: \"%s\"\n",
                                    MAX_PENDING, payload, s->dir);
    return rc < 0 ? rc : bench_daemon_start(&bus->server, &opts, s, bus);
}

static int
start(const struct bench_setup *s, void **shared)
{
    return bench_credit_start(s, "nats", sizeof(struct bus), start_server, shared);
}

static void
stop(void *shared)
{
    struct bus *bus = shared;
    bench_daemon_stop(&bus->server);
    bench_credit_stop(&bus->credit);
}

static int64_t
server_cpu_ns(void *shared)
{
    struct bus *bus = shared;
    return bench_daemon_cpu_ns(&bus->server);
}

static void
describe(const struct bench_setup *s, FILE *out)
{
    (void)fprintf(
        out,
        "nats-server %s and cnats %s over TCP loopback, synchronous subscription, max_pending "
        "%d MiB, %s, %s",
        bench_daemon_version(BENCH_PROGRAM, "nats-server: ", "\n").text, nats_GetVersion(),
        MAX_PENDING >> 20, is_hasty(s) ? "SendAsap" : "flushed by the library",
        bench_must_hold(s) ? "lossless by a lent window of 65536 messages or 16 MiB"
                           : "no window: slow subscribers lose");
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

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **pub)
{
    struct bus *bus = shared;
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
        bench_shuffle(p->subjects, s->topics, sizeof(*p->subjects));
    }
    bench_window_open(&p->window, s, &bus->credit, index, bench_must_hold(s) ? WINDOW_MESSAGES : 0);
    rc = rc < 0 ? rc : connect_to(s, bus, &p->nc);
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
        if (!bench_window_has_room(&p->window, number)
            && bench_window_await(&p->window, number) < 0) {
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
    bench_credit_close(&r->bus->credit, r->index);
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
    if (rc == 0 && bench_must_hold(s)) {
        /* The window bounds what waits here; the library's own bound would drop. */
        rc = check(natsSubscription_SetPendingLimits(r->sub, -1, -1), "cannot lift the limits");
    }
    return rc < 0 ? rc : check(natsConnection_FlushTimeout(r->nc, OPEN_MS), "cannot subscribe");
}

static int
sub_open(const struct bench_setup *s, void *shared, unsigned index, void **sub)
{
    struct sub *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return complain("cannot open a subscriber", "no memory");
    }
    r->bus = shared;
    r->index = index;
    r->size = s->size;
    r->aligned = malloc(s->size);
    int rc = r->aligned != NULL ? 0 : complain("cannot open a subscriber", "no memory");
    bench_credit_open(&r->bus->credit, index);
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
        bench_credit_tell(&r->bus->credit, r->index, sink);
    }
    return got;
}

const struct bench_driver bench_driver_nats = {
    .name = "nats",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_LOSE | BENCH_CAN_RELY
           | BENCH_CAN_TOPICS | BENCH_CAN_SLEEP | BENCH_CAN_BRIDGE,
    .describe = describe,
    .start = start,
    .stop = stop,
    .carriers_cpu_ns = server_cpu_ns,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};

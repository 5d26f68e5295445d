/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/redis.c - Redis publish and subscribe through hiredis, over a unix socket.
 *
 * Daemon     redis-server without TCP, without persistence, in the case's directory.
 * Publisher  pipelined: as many PUBLISH as a batch has go out in one write, and with CLIENT REPLY OFF none is
 *            answered.  The payload is written into the command, which is formatted once.
 * Reliable   Redis cuts off a subscriber whose output buffer is full.  That limit is lifted, and a window is
 *            lent (credit.h): 16384 messages or 16 MiB.  Lossy: Redis's own limit, and who was cut off comes back.
 * Topics     SUBSCRIBE of each that is wanted by name; PSUBSCRIBE of one pattern when all of several are.
 * Connected  sub_open has read the answer to each subscription.
 */
#include "bench/driver.h"
#include "bench/shuffle.h"

#include "bench/clock.h"
#include "bench/peers/credit.h"
#include "bench/peers/daemon.h"
#include "bench/peers/stores.h"
#include <hiredis/hiredis.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#ifndef BENCH_PROGRAM
#    define BENCH_PROGRAM "redis-server" /* the build says where it is */
#endif

enum {
    WINDOW_MESSAGES = 16384,
    TAKE_MAX = 256,        /* messages in one sub_recv */
    CHANNEL_BYTES = 24,    /* "bench:w:0000000" */
    HEAD_MAX = 96,         /* bytes of a command before its payload */
    SUBSCRIBE_STEP = 1024, /* channels named before their answers are read */
};
static const int64_t hybrid_spin_ns = 50000;
static const struct timeval patience = {.tv_sec = 20};

/* Made by start, before any fork. */
struct bus {
    struct bench_credit credit;
    struct bench_daemon server;
    char path[108];
};

struct pub {
    redisContext *c;
    /* A command: its head ends where the payload begins, which is aligned; then the line's end. */
    unsigned char *command;
    size_t payload_off, size;
    char (*heads)[HEAD_MAX];
    unsigned topic_count, turn, batch;
    struct bench_window window;
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

/* ---- daemon ------------------------------------------------------------------------------------ */

/* A connection that waits 20 s at most; NULL, or with its error, if there is none. */
static redisContext *
dial(const struct bus *bus)
{
    redisContext *c = redisConnectUnixWithTimeout(bus->path, patience);
    if (c != NULL && c->err == 0) {
        (void)redisSetTimeout(c, patience);
    }
    return c;
}

static bool
is_ready(const struct bench_setup *s, void *shared)
{
    (void)s;
    redisContext *c = dial(shared);
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
start_server(const struct bench_setup *s, void *shared)
{
    struct bus *bus = shared;
    char config[PATH_MAX];
    const struct bench_daemon_opts opts = {.driver = "redis",
                                           .name = "redis-server",
                                           .argv = {BENCH_PROGRAM, config},
                                           .is_ready = is_ready};
    (void)snprintf(config, sizeof(config), "%s/redis.conf", s->dir);
    if (snprintf(bus->path, sizeof(bus->path), "%s/redis.sock", s->dir) >= (int)sizeof(bus->path)) {
        return complain("cannot start", "the directory's name is too long for a socket");
    }
    int rc = bench_daemon_configure(
        "redis", config,
        "port 0\nunixsocket %s\nunixsocketperm 700\ndir %s\nsave \"\"\nappendonly no\n"
        "daemonize no\nclient-output-buffer-limit pubsub %s\n",
        bus->path, s->dir, bench_must_hold(s) ? "0 0 0" : "32mb 8mb 60");
    return rc < 0 ? rc : bench_daemon_start(&bus->server, &opts, s, bus);
}

static int
start(const struct bench_setup *s, void **shared)
{
    return bench_credit_start(s, "redis", sizeof(struct bus), start_server, shared);
}

static void
stop(void *shared)
{
    struct bus *bus = shared;
    bench_daemon_stop(&bus->server);
    bench_credit_stop(&bus->credit);
}

static void
describe(const struct bench_setup *s, FILE *out)
{
    (void)fprintf(
        out,
        "redis-server %s and hiredis %d.%d.%d over a unix socket, no persistence, PUBLISH "
        "pipelined by batch without replies, client-output-buffer-limit pubsub %s",
        bench_daemon_version(BENCH_PROGRAM, "Redis server v=", " \n").text, HIREDIS_MAJOR,
        HIREDIS_MINOR, HIREDIS_PATCH,
        bench_must_hold(s)
            ? "lifted to 0 0 0, lossless by a lent window of 16384 messages or 16 MiB"
            : "32mb 8mb 60, no window: who is cut off comes back");
}

/* ---- both sides -------------------------------------------------------------------------------- */

static redisContext *
connect_to(const struct bus *bus)
{
    redisContext *c = dial(bus);
    if (c == NULL || c->err != 0) {
        (void)complain("cannot connect", c != NULL ? c->errstr : "no memory");
        if (c != NULL) {
            redisFree(c);
        }
        return NULL;
    }
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
        bench_shuffle(p->heads, s->topics, sizeof(*p->heads));
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
    bench_window_open(&p->window, s, shared, index, bench_must_hold(s) ? WINDOW_MESSAGES : 0);
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
        if (!bench_window_has_room(&p->window, number)
            && (write_all(p->c) < 0 || bench_window_await(&p->window, number) < 0)) {
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
    bench_credit_close(&r->bus->credit, r->index);
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
    struct sub *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return complain("cannot open a subscriber", "no memory");
    }
    r->setup = *s;
    r->bus = shared;
    r->index = index;
    bench_credit_open(&r->bus->credit, index);
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
        } else if (bench_must_hold(&r->setup) || come_back(r) < 0) {
            return complain("cannot take", r->c != NULL ? r->c->errstr : "no connection");
        }
    }
    if (got > 0) {
        bench_credit_tell(&r->bus->credit, r->index, sink);
    }
    return got;
}

const struct bench_driver bench_driver_redis = {
    .name = "redis",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_LOSE | BENCH_CAN_RELY
           | BENCH_CAN_TOPICS | BENCH_CAN_SPIN | BENCH_CAN_SLEEP | BENCH_CAN_STORE
           | BENCH_CAN_DURABLE,
    .describe = describe,
    .start = start,
    .stop = stop,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
    .store = &bench_store_redis,
};

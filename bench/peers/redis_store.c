/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/redis_store.c - Redis as a store, through hiredis, over a unix socket: SET, SET NX, GET, DBSIZE.
 *
 * Pipeline   a batch of commands goes out in one write; at most setup.window batches wait for their answers.
 * Durable    appendonly with appendfsync always: Redis syncs once for each turn of its loop, before it answers.
 */
#include "bench/peers/stores.h"

#include "bench/peers/daemon.h"
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <sys/time.h>

#ifndef BENCH_PROGRAM
#    define BENCH_PROGRAM "redis-server" /* the build says where it is */
#endif

enum { HEAD_MAX = 96 };
static const struct timeval patience = {.tv_sec = 60};

/* Made by start, before any fork. */
struct bus {
    struct bench_daemon server;
    char path[108];
};

struct client {
    redisContext *c;
    unsigned batch, window;
    unsigned held;    /* commands that were formatted since the last write */
    uint64_t waiting; /* commands without an answer */
    size_t size;
    char *command;
};

static int
complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "redis: %s: %s.\n", what, why);
    return -1;
}

static void
describe(const struct bench_setup *s, FILE *out)
{
    (void)fprintf(
        out,
        "redis-server over a unix socket, %s, SET, SET NX and GET pipelined, %u commands a "
        "write, %u writes ahead",
        s->is_durable ? "appendfsync always" : "no persistence", s->batch, s->window);
}

/* ---- daemon ------------------------------------------------------------------------------------ */

static redisContext *
dial(const struct bus *bus)
{
    redisContext *c = redisConnectUnixWithTimeout(bus->path, patience);
    if (c != NULL && c->err == 0) {
        (void)redisSetTimeout(c, patience);
        return c;
    }
    if (c != NULL) {
        redisFree(c);
    }
    return NULL;
}

static bool
is_ready(const struct bench_setup *s, void *shared)
{
    (void)s;
    redisContext *c = dial(shared);
    bool is_up = false;
    if (c != NULL) {
        redisReply *r = redisCommand(c, "PING");
        is_up = r != NULL && r->type == REDIS_REPLY_STATUS;
        freeReplyObject(r);
        redisFree(c);
    }
    return is_up;
}

static int
start(const struct bench_setup *s, void **shared)
{
    char config[PATH_MAX];
    const struct bench_daemon_opts opts = {.driver = "redis",
                                           .name = "redis-server",
                                           .argv = {BENCH_PROGRAM, config},
                                           .is_ready = is_ready};
    struct bus *bus = calloc(1, sizeof(*bus));
    if (bus == NULL) {
        return complain("cannot start", "no memory");
    }
    (void)snprintf(config, sizeof(config), "%s/redis.conf", s->dir);
    (void)snprintf(bus->path, sizeof(bus->path), "%s/redis.sock", s->dir);
    int rc = bench_daemon_configure("redis", config,
                                    "port 0\nunixsocket %s\nunixsocketperm 700\ndir %s\nsave \"\"\n"
                                    "appendonly %s\nappendfsync always\ndaemonize no\n",
                                    bus->path, s->is_durable ? s->disk_dir : s->dir,
                                    s->is_durable ? "yes" : "no");
    rc = rc < 0 ? rc : bench_daemon_start(&bus->server, &opts, s, bus);
    if (rc < 0) {
        free(bus);
        return rc;
    }
    *shared = bus;
    return 0;
}

static void
stop(void *shared)
{
    struct bus *bus = shared;
    bench_daemon_stop(&bus->server);
    free(bus);
}

/* ---- client ------------------------------------------------------------------------------------ */

static void
close_client(void *client)
{
    struct client *k = client;
    if (k->c != NULL) {
        redisFree(k->c);
    }
    free(k->command);
    free(k);
}

static int
open_client(const struct bench_setup *s, void *shared, unsigned index, void **client)
{
    struct client *k = calloc(1, sizeof(*k));
    (void)index;
    if (k == NULL) {
        return complain("cannot open", "no memory");
    }
    k->batch = s->batch;
    k->window = s->window;
    k->size = s->size;
    k->command = malloc(2 * HEAD_MAX + s->size);
    k->c = k->command != NULL ? dial(shared) : NULL;
    if (k->c == NULL) {
        close_client(k);
        return complain("cannot open", "no connection");
    }
    *client = k;
    return 0;
}

static int
flush(struct client *k)
{
    k->held = 0;
    for (int done = 0; done == 0;) {
        if (redisBufferWrite(k->c, &done) != REDIS_OK) {
            return complain("cannot send", k->c->errstr);
        }
    }
    return 0;
}

static int
add_command(struct client *k, size_t bytes)
{
    if (redisAppendFormattedCommand(k->c, k->command, bytes) != REDIS_OK) {
        return complain("cannot send", k->c->errstr);
    }
    k->waiting++;
    return ++k->held >= k->batch ? flush(k) : 0;
}

static redisReply *
next_reply(struct client *k)
{
    redisReply *r = NULL;
    if (redisGetReply(k->c, (void **)&r) != REDIS_OK) {
        (void)complain("no answer", k->c->errstr);
        return NULL;
    }
    k->waiting--;
    return r;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* Answers, until at most so many commands wait. */
static int
take_results(struct client *k, struct bench_store_work *w, uint64_t most)
{
    while (k->waiting > most) {
        redisReply *r = next_reply(k);
        if (r == NULL) {
            return -1;
        }
        bool is_done = r->type == REDIS_REPLY_STATUS;
        bench_store_result(w, is_done, !is_done && r->type != REDIS_REPLY_NIL);
        freeReplyObject(r);
    }
    return 0;
}

static int
add_put(struct client *k, struct bench_store_work *w)
{
    char key[BENCH_STORE_KEY_BYTES];
    bool is_unique = w->op == BENCH_STORE_PUT_UNIQUE;
    uint64_t number = w->next % w->keys;
    bench_store_key(key, number);
    int head =
        snprintf(k->command, HEAD_MAX, "*%d\r\n$3\r\nSET\r\n$%d\r\n%.*s\r\n$%zu\r\n",
                 is_unique ? 4 : 3, BENCH_STORE_KEY_BYTES, BENCH_STORE_KEY_BYTES, key, k->size);
    char *at = k->command + head;
    const char *tail = is_unique ? "\r\n$2\r\nNX\r\n" : "\r\n";
    bench_store_fill(at, k->size, number, w->next / w->keys);
    memcpy(at + k->size, tail, strlen(tail));
    w->next++;
    return add_command(k, (size_t)head + k->size + strlen(tail));
}

static int
write_all(void *client, struct bench_store_work *w, uint64_t count)
{
    struct client *k = client;
    const uint64_t most = (uint64_t)k->batch * k->window;
    for (uint64_t i = 0; i < count; i++) {
        if (add_put(k, w) < 0) {
            return -1;
        }
        if (k->waiting >= most && take_results(k, w, most - k->batch) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
settle(void *client, struct bench_store_work *w)
{
    return flush(client) < 0 ? -1 : take_results(client, w, 0);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static int
get_batch(struct client *k, struct bench_store_reads *r, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        char key[BENCH_STORE_KEY_BYTES];
        bench_store_key(key, (r->next + i) % r->keys);
        int bytes = snprintf(k->command, HEAD_MAX, "*2\r\n$3\r\nGET\r\n$%d\r\n%.*s\r\n",
                             BENCH_STORE_KEY_BYTES, BENCH_STORE_KEY_BYTES, key);
        if (add_command(k, (size_t)bytes) < 0) {
            return -1;
        }
    }
    if (flush(k) < 0) {
        return -1;
    }
    for (uint64_t i = 0; i < count; i++) {
        redisReply *reply = next_reply(k);
        if (reply == NULL) {
            return -1;
        }
        bool is_there = reply->type == REDIS_REPLY_STRING;
        bench_store_take(r, r->next % r->keys, is_there ? reply->str : NULL,
                         is_there ? reply->len : 0);
        freeReplyObject(reply);
    }
    return 0;
}

static int
get_all(void *client, struct bench_store_reads *r, uint64_t count)
{
    struct client *k = client;
    for (uint64_t left = count; left > 0;) {
        uint64_t n = left < k->batch ? left : k->batch;
        if (get_batch(k, r, n) < 0) {
            return -1;
        }
        left -= n;
    }
    return 0;
}

static int64_t
count_keys(void *client)
{
    struct client *k = client;
    redisReply *r = redisCommand(k->c, "DBSIZE");
    int64_t count = r != NULL && r->type == REDIS_REPLY_INTEGER ? r->integer : -1;
    freeReplyObject(r);
    return count >= 0 ? count : complain("cannot count", "DBSIZE has no answer");
}

const struct bench_store_driver bench_store_redis = {
    .describe = describe,
    .start = start,
    .stop = stop,
    .open = open_client,
    .write = write_all,
    .settle = settle,
    .get = get_all,
    .count = count_keys,
    .close = close_client,
};

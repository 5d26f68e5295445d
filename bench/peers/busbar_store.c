/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/busbar_store.c - our own stores: a master that polls in a process of its own, a clone in each client.
 *
 * Writes     bb_store_send() in frames of a batch, setup.window frames ahead; a frame of one command with no window is
 *            bb_store_put_unique() and waits.
 * Reads      in place, in a view of a batch; a batch of one: bb_store_get() without a view, which copies the value.
 */
#include "bench/peers/stores.h"

#include "bench/bus.h"
#include "bench/store_bus.h"
#include <math.h>
#include <stdlib.h>

static void
describe(const struct bench_setup *s, FILE *out)
{
    (void)fprintf(out,
                  "busbar store, %s, a master in a process of its own, frames of %u commands, %u "
                  "ahead, views of as many reads",
                  s->is_durable ? "synced group commit" : "in memory", s->batch, s->window);
}

/* ---- master ------------------------------------------------------------------------------------ */

struct server {
    struct bb_endpoint *ep;
    struct bb_store *store;
};

static void
serve_close(void *server)
{
    struct server *m = server;
    bb_store_close(m->store);
    bb_endpoint_close(m->ep);
    free(m);
}

static int
serve_open(const struct bench_setup *s, void *shared, void **server)
{
    struct server *m = calloc(1, sizeof(*m));
    (void)shared;
    if (m == NULL) {
        return bench_bus_complain("cannot serve", BB_ENOMEM, NULL);
    }
    int rc = bench_bus_endpoint(s, "master", 0, &m->ep);
    rc = rc < 0 ? rc : bench_store_bus_open(s, m->ep, BB_STORE_MASTER, NULL, NULL, &m->store);
    if (rc < 0) {
        bb_endpoint_close(m->ep);
        free(m);
        return rc;
    }
    *server = m;
    return 0;
}

static int
serve(void *server, int64_t timeout_ns)
{
    struct server *m = server;
    int rc = bb_store_poll(m->store, timeout_ns);
    return rc < 0 ? bench_bus_complain("the master cannot go on", rc, NULL) : rc;
}

static double
grouped(void *server)
{
    struct server *m = server;
    struct bb_store_info info = {.size = sizeof(info)};
    if (bb_store_info(m->store, &info) < 0 || info.commits == 0) {
        return (double)NAN;
    }
    return (double)info.commands / (double)info.commits;
}

/* ---- client ------------------------------------------------------------------------------------ */

struct client {
    struct bb_endpoint *ep;
    struct bb_store *store;
    struct bench_store_frame frame;
    struct bench_store_work *work; /* of the frames that wait */
    bool is_sync;
    unsigned batch;
};

static void
close_client(void *client)
{
    struct client *c = client;
    bb_store_close(c->store);
    bb_endpoint_close(c->ep);
    bench_store_frame_fini(&c->frame);
    free(c);
}

static void
take_result(struct bench_store_work *w, const struct bb_store_result *r)
{
    bench_store_result(w, r->code == 0, r->code != 0 && r->code != BB_EEXIST);
}

static void
on_done(int64_t ticket, const struct bb_store_result *results, size_t count, void *user)
{
    struct client *c = user;
    (void)ticket; /* they come in the order of sending */
    for (size_t i = 0; i < count; i++) {
        take_result(c->work, &results[i]);
    }
}

static int
open_client(const struct bench_setup *s, void *shared, unsigned index, void **client)
{
    struct client *c = calloc(1, sizeof(*c));
    (void)shared;
    if (c == NULL) {
        return bench_bus_complain("cannot open", BB_ENOMEM, NULL);
    }
    c->is_sync = s->is_ping;
    c->batch = s->batch;
    int rc = bench_store_frame_init(&c->frame, s->batch, s->size);
    rc = rc < 0 ? rc : bench_bus_endpoint(s, "client", index, &c->ep);
    rc = rc < 0 ? rc : bench_store_bus_open(s, c->ep, BB_STORE_CLONE, on_done, c, &c->store);
    if (rc < 0) {
        close_client(c);
        return rc;
    }
    *client = c;
    return 0;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static int
write_sync(struct client *c, struct bench_store_work *w, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct bb_store_result result;
        bench_store_frame_begin(&c->frame);
        bench_store_frame_add(&c->frame, w);
        const struct bb_store_cmd *cmd = &c->frame.cmds[0];
        int rc = w->op == BENCH_STORE_PUT
                     ? bb_store_put(c->store, &cmd->key, &cmd->value, 0, &result)
                     : bb_store_put_unique(c->store, &cmd->key, &cmd->value, 0, &result);
        if (rc < 0 && rc != BB_EEXIST) {
            return bench_bus_complain("cannot write", rc, NULL);
        }
        take_result(w, &result);
    }
    return 0;
}

static int
write_all(void *client, struct bench_store_work *w, uint64_t count)
{
    struct client *c = client;
    c->work = w;
    if (c->is_sync) {
        return write_sync(c, w, count);
    }
    for (uint64_t done = 0; done < count;) {
        bench_store_frame_begin(&c->frame);
        while (done < count && bench_store_frame_add(&c->frame, w)) {
            done++;
        }
        int rc = bench_store_frame_send(&c->frame, c->store);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int
settle(void *client, struct bench_store_work *w)
{
    struct client *c = client;
    c->work = w;
    return bench_store_bus_settle(c->store);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static int
get_one(struct client *c, struct bench_store_reads *r)
{
    struct bench_store_key_value key;
    struct bb_value value;
    const char *text = NULL;
    size_t bytes = 0;
    uint64_t number = r->next % r->keys;
    bench_store_bus_key(&key, number);
    int rc = bb_store_get(c->store, &key.value, &value);
    if (rc == 0 && bb_get_string(&value, &text, &bytes) < 0) {
        text = ""; /* counts as wrong */
    }
    if (rc < 0 && rc != BB_ENOENT) {
        return bench_bus_complain("cannot get", rc, NULL);
    }
    bench_store_take(r, number, text, bytes);
    return 0;
}

static int
get_view(struct client *c, struct bench_store_reads *r, uint64_t count)
{
    int rc = bb_store_view_begin(c->store);
    if (rc < 0) {
        return bench_bus_complain("cannot begin a view", rc, NULL);
    }
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        rc = get_one(c, r);
    }
    bb_store_view_end(c->store);
    return rc;
}

static int
get_all(void *client, struct bench_store_reads *r, uint64_t count)
{
    struct client *c = client;
    int rc = 0;
    for (uint64_t done = 0; done < count && rc == 0;) {
        uint64_t n = count - done < c->batch ? count - done : c->batch;
        rc = c->batch > 1 ? get_view(c, r, n) : get_one(c, r);
        done += n;
    }
    return rc;
}

static int64_t
count_keys(void *client)
{
    struct client *c = client;
    int64_t count = bb_store_count(c->store, NULL);
    return count < 0 ? bench_bus_complain("cannot count", (int)count, NULL) : count;
}

const struct bench_store_driver bench_store_busbar = {
    .describe = describe,
    .serve_open = serve_open,
    .serve = serve,
    .grouped = grouped,
    .serve_close = serve_close,
    .open = open_client,
    .write = write_all,
    .settle = settle,
    .get = get_all,
    .count = count_keys,
    .close = close_client,
};

/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/protocol.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { END_COUNTS = 9, TALLY_COUNTS = 5 };

static const char *const names[] = {
    [SENSOR_MSG_UNKNOWN] = "",
    [SENSOR_MSG_HELLO] = "sensor_hello",
    [SENSOR_MSG_READY] = "sensor_ready",
    [SENSOR_MSG_START] = "sensor_start",
    [SENSOR_MSG_STOP] = "sensor_stop",
    [SENSOR_MSG_END] = "sensor_end",
    [SENSOR_MSG_PASSED] = "sensor_passed",
    [SENSOR_MSG_TALLY] = "sensor_tally",
    [SENSOR_MSG_RESULT] = "sensor_result",
    [SENSOR_MSG_CONNECTION] = "connection_established",
};

/* ---- writing ----------------------------------------------------------------------------------- */

static void
begin(struct bb_builder *b, void *buf, size_t cap, enum sensor_kind kind)
{
    bb_build_init(b, buf, cap);
    bb_event_begin(b, names[kind], strlen(names[kind]));
}

static int64_t
finish(struct bb_builder *b)
{
    bb_event_end(b);
    return bb_build_end(b);
}

static void
put_counts(struct bb_builder *b, const uint64_t *counts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bb_put_count(b, counts[i]);
    }
}

int64_t
sensor_write_hello(void *buf, size_t cap, uint64_t workers)
{
    struct bb_builder b;

    begin(&b, buf, cap, SENSOR_MSG_HELLO);
    bb_put_count(&b, workers);
    return finish(&b);
}

int64_t
sensor_write_ready(void *buf, size_t cap, uint64_t share, uint64_t workers, uint32_t role)
{
    struct bb_builder b;

    begin(&b, buf, cap, SENSOR_MSG_READY);
    bb_put_count(&b, share);
    bb_put_count(&b, workers);
    bb_put_count(&b, role);
    return finish(&b);
}

int64_t
sensor_write_start(void *buf, size_t cap, const struct sensor_start *start)
{
    struct bb_builder b;

    begin(&b, buf, cap, SENSOR_MSG_START);
    bb_put_count(&b, start->workers);
    bb_put_timestamp(&b, start->wall_ns);
    bb_put_count(&b, start->epoch);
    bb_put_vector_begin(&b);
    put_counts(&b, start->ids, start->id_count);
    bb_put_end(&b);
    return finish(&b);
}

int64_t
sensor_write_stop(void *buf, size_t cap)
{
    struct bb_builder b;

    begin(&b, buf, cap, SENSOR_MSG_STOP);
    return finish(&b);
}

int64_t
sensor_write_end(void *buf, size_t cap, const struct sensor_end *end)
{
    const uint64_t counts[] = {end->packets, end->connections, end->events,
                               end->state,   end->waits,       end->half_open,
                               end->dropped, end->nowhere,     end->epoch};
    struct bb_builder b;

    begin(&b, buf, cap, SENSOR_MSG_END);
    put_counts(&b, counts, sizeof(counts) / sizeof(counts[0]));
    bb_put_vector_begin(&b);
    for (uint64_t i = 0; i < end->sent_count && i < SENSOR_SENT_MAX; i++) {
        bb_put_count(&b, end->sent[i].id);
        bb_put_count(&b, end->sent[i].events);
    }
    bb_put_end(&b);
    return finish(&b);
}

int64_t
sensor_write_passed(void *buf, size_t cap)
{
    struct bb_builder b;

    begin(&b, buf, cap, SENSOR_MSG_PASSED);
    return finish(&b);
}

int64_t
sensor_write_tally(void *buf, size_t cap, const struct sensor_tally *tally)
{
    const uint64_t counts[] = {tally->handled, tally->lost, tally->refused, tally->logged,
                               tally->unsaid};
    struct bb_builder b;

    begin(&b, buf, cap, SENSOR_MSG_TALLY);
    put_counts(&b, counts, sizeof(counts) / sizeof(counts[0]));
    return finish(&b);
}

int64_t
sensor_write_connection(void *buf,
                        size_t cap,
                        const struct sensor_connection *conn,
                        int64_t network_wall_ns)
{
    struct bb_builder b;

    begin(&b, buf, cap, SENSOR_MSG_CONNECTION);
    bb_put_address(&b, conn->orig);
    bb_put_address(&b, conn->resp);
    bb_put_port(&b, conn->resp_port, BB_PROTO_TCP);
    bb_event_meta(&b, BB_META_NETWORK_TIME);
    bb_put_timestamp(&b, network_wall_ns);
    return finish(&b);
}

int64_t
sensor_write_result(void *buf,
                    size_t cap,
                    const struct sensor_result *result,
                    const struct sensor_address *clients,
                    size_t client_count)
{
    const uint64_t counts[] = {result->packets,   result->connections, result->events,
                               result->delivered, result->filtered,    result->lost};
    struct bb_builder b;

    begin(&b, buf, cap, SENSOR_MSG_RESULT);
    put_counts(&b, counts, sizeof(counts) / sizeof(counts[0]));
    if (clients == NULL) {
        bb_put_none(&b);
    } else {
        bb_put_set_begin(&b);
        for (size_t i = 0; i < client_count; i++) {
            bb_put_address(&b, clients[i].ip);
        }
        bb_put_end(&b);
    }
    return finish(&b);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static enum sensor_kind
kind_of(const struct bb_event *ev)
{
    for (enum sensor_kind kind = SENSOR_MSG_HELLO; kind <= SENSOR_MSG_CONNECTION; kind++) {
        if (strlen(names[kind]) == ev->name_bytes
            && memcmp(names[kind], ev->name, ev->name_bytes) == 0) {
            return kind;
        }
    }
    return SENSOR_MSG_UNKNOWN;
}

/* The first n arguments as counts. */
static bool
get_counts(const struct bb_event *ev, uint64_t *counts, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct bb_value v;

        if (bb_event_arg(ev, i, &v) != 0 || bb_get_count(&v, &counts[i]) != 0) {
            return false;
        }
    }
    return true;
}

static bool
get_ids(struct sensor_start *out, const struct bb_value *vector)
{
    struct bb_iter it;
    int64_t n = bb_value_type(vector) == BB_VECTOR ? bb_iter_open(&it, vector) : BB_ETYPE;

    if (n < 0 || n > SENSOR_IDS_MAX) {
        return false;
    }
    for (; out->id_count < (uint32_t)n; out->id_count++) {
        if (bb_next_count(&it, &out->ids[out->id_count]) != 0) {
            return false;
        }
    }
    return true;
}

static bool
get_start(struct sensor_message *out, const struct bb_event *ev)
{
    struct sensor_start *start = &out->start;
    struct bb_value v;

    if (!get_counts(ev, &out->workers, 1) || bb_event_arg(ev, 1, &v) != 0
        || bb_get_timestamp(&v, &start->wall_ns) != 0 || bb_event_arg(ev, 2, &v) != 0
        || bb_get_count(&v, &start->epoch) != 0 || bb_event_arg(ev, 3, &v) != 0) {
        return false;
    }
    start->workers = out->workers;
    return get_ids(start, &v);
}

static bool
get_ready(struct sensor_message *out, const struct bb_event *ev)
{
    uint64_t counts[3];

    if (!get_counts(ev, counts, 3)) {
        return false;
    }
    out->share = counts[0];
    out->workers = counts[1];
    out->role = counts[2];
    return true;
}

/* id, events, id, events ... */
static bool
get_sent(struct sensor_end *out, const struct bb_event *ev)
{
    struct bb_iter it;
    struct bb_value v;
    int64_t n;

    if (bb_event_arg(ev, END_COUNTS, &v) != 0 || bb_value_type(&v) != BB_VECTOR) {
        return false;
    }
    n = bb_iter_open(&it, &v);
    if (n < 0 || n % 2 != 0 || n / 2 > SENSOR_SENT_MAX) {
        return false;
    }
    for (; out->sent_count < (uint64_t)n / 2; out->sent_count++) {
        struct sensor_sent *sent = &out->sent[out->sent_count];

        if (bb_next_count(&it, &sent->id) != 0 || bb_next_count(&it, &sent->events) != 0) {
            return false;
        }
    }
    return true;
}

static bool
get_end(struct sensor_message *out, const struct bb_event *ev)
{
    uint64_t c[END_COUNTS];

    if (!get_counts(ev, c, END_COUNTS)) {
        return false;
    }
    out->end = (struct sensor_end){.packets = c[0],
                                   .connections = c[1],
                                   .events = c[2],
                                   .state = c[3],
                                   .waits = c[4],
                                   .half_open = c[5],
                                   .dropped = c[6],
                                   .nowhere = c[7],
                                   .epoch = c[8]};
    return get_sent(&out->end, ev);
}

static bool
get_tally(struct sensor_message *out, const struct bb_event *ev)
{
    uint64_t c[TALLY_COUNTS];

    if (!get_counts(ev, c, TALLY_COUNTS)) {
        return false;
    }
    out->tally = (struct sensor_tally){
        .handled = c[0], .lost = c[1], .refused = c[2], .logged = c[3], .unsaid = c[4]};
    return true;
}

static bool
get_connection(struct sensor_message *out, const struct bb_event *ev)
{
    struct bb_value v;

    return bb_event_arg(ev, 0, &v) == 0 && bb_get_address(&v, out->orig) == 0
           && bb_event_arg(ev, 1, &v) == 0 && bb_get_address(&v, out->resp) == 0;
}

static bool
get_arguments(struct sensor_message *out, const struct bb_event *ev)
{
    switch (out->kind) {
    case SENSOR_MSG_HELLO:
        return get_counts(ev, &out->workers, 1);
    case SENSOR_MSG_READY:
        return get_ready(out, ev);
    case SENSOR_MSG_START:
        return get_start(out, ev);
    case SENSOR_MSG_END:
        return get_end(out, ev);
    case SENSOR_MSG_TALLY:
        return get_tally(out, ev);
    case SENSOR_MSG_CONNECTION:
        return get_connection(out, ev);
    case SENSOR_MSG_PASSED:
    case SENSOR_MSG_STOP:
    case SENSOR_MSG_RESULT:
        return true;
    case SENSOR_MSG_UNKNOWN:
    default:
        return false;
    }
}

int
sensor_read_clients(const struct bb_value *set, struct sensor_address **out, size_t *count)
{
    struct sensor_address *clients;
    struct bb_iter it;
    int64_t n = bb_value_type(set) == BB_SET ? bb_iter_open(&it, set) : BB_ETYPE;
    int rc = 0;

    if (n < 0) {
        return (int)n;
    }
    clients = calloc((size_t)n + 1, sizeof(*clients));
    if (clients == NULL) {
        return BB_ENOMEM;
    }
    for (int64_t i = 0; i < n && rc == 0; i++) {
        rc = bb_next_address(&it, clients[i].ip);
    }
    if (rc != 0) {
        free(clients);
        return rc;
    }
    *out = clients;
    *count = (size_t)n;
    return 0;
}

void
sensor_read(struct sensor_message *out, const void *data, size_t bytes)
{
    struct bb_event ev;

    memset(out, 0, sizeof(*out));
    if (bb_event_open(&ev, data, bytes) != 0) {
        return;
    }
    out->kind = kind_of(&ev);
    if (!get_arguments(out, &ev)) {
        out->kind = SENSOR_MSG_UNKNOWN;
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/boxes.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [SENSOR_BOX_NO_WORD] = "",
    [SENSOR_BOX_MANAGER] = "sensor_box_manager",
    [SENSOR_BOX_SITE] = "sensor_box_site",
    [SENSOR_BOX_ASK] = "sensor_box_ask",
    [SENSOR_BOX_GONE] = "sensor_box_gone",
};

/* ---- writing ----------------------------------------------------------------------------------- */

static void
put_counts(struct bb_builder *b, const uint64_t *counts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bb_put_count(b, counts[i]);
    }
}

static void
put_taken(struct bb_builder *b, const struct sensor_box_word *word)
{
    bb_put_vector_begin(b);
    for (uint32_t i = 0; i < word->taken_count; i++) {
        bb_put_count(b, word->taken[i].id);
        bb_put_count(b, word->taken[i].seq);
    }
    bb_put_end(b);
}

static void
put_peers(struct bb_builder *b, const struct sensor_box_word *word)
{
    bb_put_vector_begin(b);
    for (uint32_t i = 0; i < word->peer_count; i++) {
        const struct sensor_box_peer *peer = &word->peers[i];
        const uint64_t counts[] = {
            peer->id,           peer->role,          peer->state,           peer->is_told,
            peer->is_gone,      peer->end.packets,   peer->end.connections, peer->end.events,
            peer->end.state,    peer->end.waits,     peer->end.half_open,   peer->end.dropped,
            peer->end.nowhere,  peer->tally.handled, peer->tally.lost,      peer->tally.refused,
            peer->tally.logged, peer->tally.unsaid};

        bb_put_string(b, peer->name, strlen(peer->name));
        bb_put_string(b, peer->why, strlen(peer->why));
        put_counts(b, counts, sizeof(counts) / sizeof(counts[0]));
    }
    bb_put_end(b);
}

int64_t
sensor_box_write(void *buf, size_t cap, const struct sensor_box_word *word)
{
    struct bb_builder b;

    bb_build_init(&b, buf, cap);
    bb_event_begin(&b, names[word->kind], strlen(names[word->kind]));
    bb_put_count(&b, word->run);
    bb_put_count(&b, word->phase);
    if (word->kind == SENSOR_BOX_MANAGER) {
        put_taken(&b, word);
    }
    if (word->kind == SENSOR_BOX_SITE) {
        bb_put_count(&b, word->workers);
        bb_put_count(&b, word->loggers);
        put_peers(&b, word);
    }
    bb_event_end(&b);
    return bb_build_end(&b);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static bool
get_count(const struct bb_event *ev, uint32_t argument, uint64_t *out)
{
    struct bb_value v;

    return bb_event_arg(ev, argument, &v) == 0 && bb_get_count(&v, out) == 0;
}

/* A vector of groups of `width` values, at most max of them.  How many there are, or -1. */
static int64_t
open_groups(
    const struct bb_event *ev, uint32_t argument, struct bb_iter *it, int64_t width, int64_t max)
{
    struct bb_value v;
    int64_t n;

    if (bb_event_arg(ev, argument, &v) != 0 || bb_value_type(&v) != BB_VECTOR) {
        return -1;
    }
    n = bb_iter_open(it, &v);
    return n < 0 || n % width != 0 || n / width > max ? -1 : n / width;
}

static bool
get_taken(struct sensor_box_word *out, const struct bb_event *ev)
{
    struct bb_iter it;
    int64_t n = open_groups(ev, 2, &it, 2, SENSOR_WORKERS_MAX);

    for (; (int64_t)out->taken_count < n; out->taken_count++) {
        struct sensor_box_taken *taken = &out->taken[out->taken_count];

        if (bb_next_count(&it, &taken->id) != 0 || bb_next_count(&it, &taken->seq) != 0) {
            return false;
        }
    }
    return n >= 0;
}

/* Names and reasons are printed: what does not fit, or is no text for a terminal, is not one of ours. */
static bool
next_text(struct bb_iter *it, char *out, size_t cap)
{
    const char *text;
    size_t bytes;

    if (bb_next_string(it, &text, &bytes) != 0 || bytes >= cap) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7e) {
            return false;
        }
    }
    memcpy(out, text, bytes);
    out[bytes] = '\0';
    return true;
}

/* In the order in which put_peers() has them. */
enum {
    ID,
    ROLE,
    STATE,
    TOLD,
    GONE,
    PACKETS,
    CONNECTIONS,
    EVENTS,
    END_STATE,
    WAITS,
    HALF_OPEN,
    DROPPED,
    NOWHERE,
    HANDLED,
    LOST,
    REFUSED,
    LOGGED,
    UNSAID,
    PEER_COUNTS
};

static bool
next_peer(struct bb_iter *it, struct sensor_box_peer *out)
{
    uint64_t c[PEER_COUNTS];

    if (!next_text(it, out->name, sizeof(out->name))
        || !next_text(it, out->why, sizeof(out->why))) {
        return false;
    }
    for (size_t i = 0; i < PEER_COUNTS; i++) {
        if (bb_next_count(it, &c[i]) != 0) {
            return false;
        }
    }
    out->id = c[ID];
    out->role = c[ROLE];
    out->state = c[STATE];
    out->is_told = c[TOLD] != 0;
    out->is_gone = c[GONE] != 0;
    out->end = (struct sensor_end){.packets = c[PACKETS],
                                   .connections = c[CONNECTIONS],
                                   .events = c[EVENTS],
                                   .state = c[END_STATE],
                                   .waits = c[WAITS],
                                   .half_open = c[HALF_OPEN],
                                   .dropped = c[DROPPED],
                                   .nowhere = c[NOWHERE]};
    out->tally = (struct sensor_tally){.handled = c[HANDLED],
                                       .lost = c[LOST],
                                       .refused = c[REFUSED],
                                       .logged = c[LOGGED],
                                       .unsaid = c[UNSAID]};
    return out->state <= SENSOR_PEER_MISSING;
}

static bool
get_site(struct sensor_box_word *out, const struct bb_event *ev)
{
    enum { PEER_VALUES = 2 + PEER_COUNTS };
    struct bb_iter it;
    int64_t n = -1;

    if (get_count(ev, 2, &out->workers) && get_count(ev, 3, &out->loggers)) {
        n = open_groups(ev, 4, &it, PEER_VALUES, SENSOR_BOX_PEERS_MAX);
    }
    if (n < 0 || out->workers < 1 || out->workers > SENSOR_WORKERS_MAX
        || out->loggers > SENSOR_HELPERS_MAX
        || (n != 0 && (uint64_t)n != out->workers + out->loggers)) {
        return false;
    }
    for (; (int64_t)out->peer_count < n; out->peer_count++) {
        if (!next_peer(&it, &out->peers[out->peer_count])) {
            return false;
        }
    }
    return true;
}

static enum sensor_box_kind
kind_of(const struct bb_event *ev)
{
    for (enum sensor_box_kind kind = SENSOR_BOX_MANAGER; kind <= SENSOR_BOX_GONE; kind++) {
        if (strlen(names[kind]) == ev->name_bytes
            && memcmp(names[kind], ev->name, ev->name_bytes) == 0) {
            return kind;
        }
    }
    return SENSOR_BOX_NO_WORD;
}

static bool
get_arguments(struct sensor_box_word *out, const struct bb_event *ev)
{
    if (!get_count(ev, 0, &out->run) || !get_count(ev, 1, &out->phase)) {
        return false;
    }
    if (out->kind == SENSOR_BOX_MANAGER) {
        return get_taken(out, ev);
    }
    return out->kind == SENSOR_BOX_SITE ? get_site(out, ev) : true;
}

void
sensor_box_read(struct sensor_box_word *out, const void *data, size_t bytes)
{
    struct bb_event ev;

    out->kind = SENSOR_BOX_NO_WORD;
    out->taken_count = out->peer_count = 0;
    if (bb_event_open(&ev, data, bytes) != 0) {
        return;
    }
    out->kind = kind_of(&ev);
    if (out->kind != SENSOR_BOX_NO_WORD && !get_arguments(out, &ev)) {
        out->kind = SENSOR_BOX_NO_WORD;
    }
}

/* ---- what a site tells, and how much may be under way ------------------------------------------------ */

void
sensor_box_tell(struct sensor_box_word *out, const struct sensor_layout *layout)
{
    out->workers = layout->workers;
    out->loggers = layout->loggers;
    out->peer_count = layout->count < SENSOR_BOX_PEERS_MAX ? layout->count : SENSOR_BOX_PEERS_MAX;
    for (uint32_t i = 0; i < out->peer_count; i++) {
        const struct sensor_peer *from = &layout->peers[i];
        struct sensor_box_peer *peer = &out->peers[i];

        *peer = (struct sensor_box_peer){.id = from->node_id,
                                         .role = from->role,
                                         .state = from->state,
                                         .is_told = from->is_told,
                                         .is_gone = from->is_gone,
                                         .end = from->end,
                                         .tally = from->tally};
        (void)snprintf(peer->name, sizeof(peer->name), "%s", from->name);
        (void)snprintf(peer->why, sizeof(peer->why), "%s", from->why != NULL ? from->why : "");
    }
}

uint64_t
sensor_box_window(uint32_t workers)
{
    uint64_t window = SENSOR_BOX_UNDER_WAY / workers;

    if (window > SENSOR_BOX_WINDOW_MAX) {
        return SENSOR_BOX_WINDOW_MAX;
    }
    return window < SENSOR_BOX_WINDOW_MIN ? SENSOR_BOX_WINDOW_MIN : window;
}

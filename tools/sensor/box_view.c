/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/box_view.h"

#include <string.h>

/* ---- who is there ------------------------------------------------------------------------------- */

/* The place of a node, as it is now on the other box. */
static void
place(struct sensor_box_view *view, uint32_t idx, const struct sensor_box_peer *from)
{
    struct sensor_peer *peer = &view->layout->peers[idx];
    uint32_t workers = view->layout->workers;
    uint32_t share = idx < workers ? idx : idx - workers;

    memcpy(view->why[idx], from->why, sizeof(from->why));
    if (from->id != 0) {
        (void)sensor_layout_ready(view->layout, peer->role, share, from->name, from->id);
    }
    if (idx < workers) {
        view->taken[idx].id = from->id;
    }
    if (from->state == SENSOR_PEER_MISSING) {
        peer->state = SENSOR_PEER_MISSING;
        peer->why = view->why[idx];
    }
}

int
sensor_box_view_begin(struct sensor_box_view *view,
                      struct sensor_layout *layout,
                      const struct sensor_box_word *word)
{
    memset(view, 0, sizeof(*view));
    view->layout = layout;
    if (word->peer_count == 0
        || sensor_layout_init(layout, (uint32_t)word->workers, 0, (uint32_t)word->loggers) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i < word->peer_count; i++) {
        place(view, i, &word->peers[i]);
    }
    return 0;
}

/* ---- what comes --------------------------------------------------------------------------------- */

/* Notes message seq of this worker.  Its index, or -1. */
static int64_t
take(struct sensor_box_view *view, uint64_t id, uint64_t seq)
{
    for (uint32_t i = 0; view->layout != NULL && i < view->layout->workers; i++) {
        if (view->taken[i].id == id && id != 0) {
            view->taken[i].seq = seq > view->taken[i].seq ? seq : view->taken[i].seq;
            view->quiet[i] = 0;
            return (int64_t)i;
        }
    }
    return -1;
}

bool
sensor_box_view_event(struct sensor_box_view *view, uint64_t id, uint64_t seq)
{
    int64_t idx = take(view, id, seq);

    if (idx < 0) {
        return false;
    }
    view->layout->peers[idx].delivered++;
    return true;
}

bool
sensor_box_view_ask(struct sensor_box_view *view, uint64_t id, uint64_t seq)
{
    int64_t idx = take(view, id, seq);

    if (idx < 0) {
        return false;
    }
    view->is_asked = true;
    return true;
}

bool
sensor_box_view_end(struct sensor_box_view *view,
                    uint64_t id,
                    uint64_t seq,
                    const struct sensor_end *end)
{
    int64_t idx = take(view, id, seq);

    if (idx < 0) {
        return false;
    }
    sensor_layout_end(view->layout, id, end);
    view->has_end[idx] = true;
    return true;
}

/* ---- what the site says --------------------------------------------------------------------------- */

static void
take_worker(struct sensor_box_view *view, uint32_t idx, const struct sensor_box_peer *from)
{
    struct sensor_peer *peer = &view->layout->peers[idx];

    if (view->quiet[idx] < SENSOR_BOX_QUIET) {
        view->quiet[idx]++;
    }
    if (from->state != SENSOR_PEER_ENDED) { /* it died, or was given up */
        peer->state = SENSOR_PEER_MISSING;
        peer->why = view->why[idx];
        return;
    }
    if (!view->has_end[idx] && view->quiet[idx] == SENSOR_BOX_QUIET) { /* its mark was lost */
        sensor_layout_end(view->layout, from->id, &from->end);
    }
}

/* The same for all nodes: what each handled, and how it went. */
static void
take_peer(struct sensor_box_view *view, uint32_t idx, const struct sensor_box_peer *from)
{
    struct sensor_peer *peer = &view->layout->peers[idx];

    if (peer->node_id != from->id) { /* a logger that came again; a worker does not */
        place(view, idx, from);
    }
    memcpy(view->why[idx], from->why, sizeof(from->why));
    if (idx < view->layout->workers) {
        take_worker(view, idx, from);
    } else if (from->state == SENSOR_PEER_MISSING) {
        peer->state = SENSOR_PEER_MISSING;
        peer->why = view->why[idx];
    }
    if (from->is_told) {
        sensor_layout_tally(view->layout, from->id, &from->tally);
    }
    if (from->is_gone) {
        peer->is_gone = true;
        peer->why = view->why[idx];
    }
}

void
sensor_box_view_site(struct sensor_box_view *view, const struct sensor_box_word *word)
{
    if (view->layout == NULL || word->phase != SENSOR_BOX_ENDED
        || word->peer_count != view->layout->count) {
        return;
    }
    view->has_ended = true;
    for (uint32_t i = 0; i < word->peer_count; i++) {
        take_peer(view, i, &word->peers[i]);
    }
}

bool
sensor_box_view_is_over(const struct sensor_box_view *view)
{
    if (view->layout == NULL || !view->has_ended) {
        return false;
    }
    for (uint32_t i = 0; i < view->layout->workers; i++) {
        bool was_there = view->taken[i].id != 0;

        if (was_there && !view->has_end[i] && view->quiet[i] < SENSOR_BOX_QUIET) {
            return false;
        }
    }
    return true;
}

uint64_t
sensor_box_view_lost(const struct sensor_box_view *view)
{
    uint64_t lost = 0;

    for (uint32_t i = 0; view->layout != NULL && i < view->layout->workers; i++) {
        const struct sensor_peer *peer = &view->layout->peers[i];

        if (peer->state == SENSOR_PEER_ENDED && peer->end.events > peer->delivered) {
            lost += peer->end.events - peer->delivered;
        }
    }
    return lost;
}

/* ---- what workers are told ------------------------------------------------------------------------ */

bool
sensor_box_view_is_due(const struct sensor_box_view *view)
{
    if (view->is_asked) {
        return true;
    }
    for (uint32_t i = 0; view->layout != NULL && i < view->layout->workers; i++) {
        if (view->taken[i].seq - view->said_seq[i]
            >= sensor_box_window(view->layout->workers) / 4) {
            return true;
        }
    }
    return false;
}

void
sensor_box_view_say(struct sensor_box_view *view, struct sensor_box_word *out)
{
    out->taken_count = 0;
    view->is_asked = false;
    for (uint32_t i = 0; view->layout != NULL && i < view->layout->workers; i++) {
        view->said_seq[i] = view->taken[i].seq;
        out->taken[out->taken_count++] = view->taken[i];
    }
}

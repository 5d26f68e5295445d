/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/box_view.h - the manager's view of the nodes on the other box: what came of each, and is that all?
 *
 * Pure.  Messages of one ring come in their order, so a worker's end mark is behind all its events; what its site says
 * comes in another ring, and may be sooner.  Of a worker whose end mark does not come (it died, or the link reported
 * a gap) all is here when its site, which says that it has ended, was heard QUIET times without a word of it between.
 */
#ifndef BUSBAR_SENSOR_BOX_VIEW_H
#define BUSBAR_SENSOR_BOX_VIEW_H

#include "tools/sensor/boxes.h"
#include "tools/sensor/layout.h"

#include <stdbool.h>
#include <stdint.h>

enum { SENSOR_BOX_QUIET = 4 };

struct sensor_box_view {
    struct sensor_layout *layout; /* filled here */
    struct sensor_box_taken taken[SENSOR_WORKERS_MAX];
    uint64_t said_seq[SENSOR_WORKERS_MAX]; /* of these, what the worker was told */
    uint32_t quiet[SENSOR_WORKERS_MAX];
    bool has_end[SENSOR_WORKERS_MAX];
    char why[SENSOR_BOX_PEERS_MAX][SENSOR_BOX_WHY_TEXT];
    bool is_asked;  /* by some worker, what was taken of it */
    bool has_ended; /* all of them did, says the site */
};

/* sensor_box_view_begin - makes the layout as a site's first word has it.  0; -1 without memory or a list of nodes. */
int sensor_box_view_begin(struct sensor_box_view *view,
                          struct sensor_layout *layout,
                          const struct sensor_box_word *word);

/* Each: message `seq` of a worker.  False: there is no such worker. */
bool sensor_box_view_event(struct sensor_box_view *view, uint64_t id, uint64_t seq);
bool sensor_box_view_ask(struct sensor_box_view *view, uint64_t id, uint64_t seq);
bool sensor_box_view_end(struct sensor_box_view *view,
                         uint64_t id,
                         uint64_t seq,
                         const struct sensor_end *end);

/* sensor_box_view_site - what the site says now. */
void sensor_box_view_site(struct sensor_box_view *view, const struct sensor_box_word *word);

bool sensor_box_view_is_over(const struct sensor_box_view *view);

/* sensor_box_view_lost - events that workers raised, and that did not come. */
uint64_t sensor_box_view_lost(const struct sensor_box_view *view);

/* sensor_box_view_is_due - some worker should hear what was taken of it: a quarter of its window. */
bool sensor_box_view_is_due(const struct sensor_box_view *view);
/* sensor_box_view_say - for a word of the manager. */
void sensor_box_view_say(struct sensor_box_view *view, struct sensor_box_word *out);

#endif

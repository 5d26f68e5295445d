/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/boxes.h - what the two boxes of a sensor say to each other, over a link.
 *
 *   the manager's box                      the workers' box
 *   manager  ── sensor/box/manager ──►     site, workers      here I am; what I took; go; stop; done
 *            ◄── sensor/box/site ────      site               here we are; we run; all ended, and this is what each said
 *            ◄── sensor/box/ask ─────      a worker           my window is full: what did you take of me?
 *            ◄── sensor/connection_established, sensor/end ── workers, as on one box
 *
 * A link carries messages and nothing else: no roll of members, no requests.  So whoever leads on either side says
 * all that it knows each time, and says it again: a word that is lost or comes twice does no harm.  The site speaks when
 * it was spoken to, and once more when something changed; hearing each other is the proof that both ways are open.
 *
 * Pace       A worker publishes at most a window beyond what the manager said that it took (by the number of the message in
 *            the worker's ring).  So what is under way fits into the ring, and into the link's queue, however long the
 *            link is cut: nothing is overwritten, nothing is dropped.
 * Life       Each of the two is given up when nothing was heard of it for --wait seconds, cut or not; a launcher whose
 *            leader was killed says `gone`, which is sooner.
 */
#ifndef BUSBAR_SENSOR_BOXES_H
#define BUSBAR_SENSOR_BOXES_H

#include "tools/sensor/layout.h"
#include "tools/sensor/options.h"
#include "tools/sensor/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SENSOR_TOPIC_BOX_MANAGER "sensor/box/manager" /* the manager, and its launcher */
#define SENSOR_TOPIC_BOX_SITE    "sensor/box/site"    /* the site, and its launcher */
#define SENSOR_TOPIC_BOX_ASK     "sensor/box/ask"     /* workers */

enum {
    SENSOR_BOX_PEERS_MAX = SENSOR_WORKERS_MAX + SENSOR_HELPERS_MAX, /* workers and loggers */
    SENSOR_BOX_WHY_TEXT = 48,
    SENSOR_BOX_WORD_BYTES = 128 << 10, /* room for the longest word */

    SENSOR_BOX_UNDER_WAY =
        16384, /* events of all workers: some 240 bytes each, not 4 of the 8 MiB of a link's queue */
    SENSOR_BOX_WINDOW_MAX = 4096, /* of one worker: half of its ring */
    SENSOR_BOX_WINDOW_MIN = 64,
};

enum sensor_box_kind {
    SENSOR_BOX_NO_WORD,
    SENSOR_BOX_MANAGER,
    SENSOR_BOX_SITE,
    SENSOR_BOX_ASK,
    SENSOR_BOX_GONE
};

/* How far it is; each goes through them in this order. */
enum sensor_box_phase {
    SENSOR_BOX_GATHERING = 0, /* manager: calls; site: not all its nodes are there */
    SENSOR_BOX_READY = 1,     /* site only */
    SENSOR_BOX_RUNNING = 2,
    SENSOR_BOX_STOPPING = 3, /* manager only: end now */
    SENSOR_BOX_ENDED = 4,    /* site: all said what they handled; manager: the result is printed */
};

/* Up to which message of a ring all was taken. */
struct sensor_box_taken {
    uint64_t id;  /* of the worker, on its bus */
    uint64_t seq; /* in its ring */
};

struct sensor_box_peer {
    char name[BB_NAME_MAX + 1];
    uint64_t id; /* on its bus; 0: never there */
    uint64_t role;
    uint64_t state; /* enum sensor_peer_state */
    bool is_told;
    bool is_gone;
    char why[SENSOR_BOX_WHY_TEXT]; /* MISSING or is_gone; "" else */
    struct sensor_end end;         /* of a worker that ENDED, but for `sent` */
    struct sensor_tally tally;
};

/* Large, and not cleared: what is not counted here is not there. */
struct sensor_box_word {
    enum sensor_box_kind kind;
    uint64_t run; /* of the manager: drawn at its start, repeated by the site that follows it */
    uint64_t phase;
    struct sensor_box_taken taken[SENSOR_WORKERS_MAX]; /* manager */
    uint32_t taken_count;
    uint64_t workers, loggers; /* site */
    struct sensor_box_peer
        peers[SENSOR_BOX_PEERS_MAX]; /* site: as in its layout; none before all were there */
    uint32_t peer_count;
};

/* sensor_box_write - MANAGER, SITE, ASK or GONE.  Bytes written, or a negative status: BB_EMSGSIZE. */
BB_MUST_USE int64_t sensor_box_write(void *buf, size_t cap, const struct sensor_box_word *word);

/* sensor_box_read - SENSOR_BOX_NO_WORD for all that is not one of these, whole and well formed. */
void sensor_box_read(struct sensor_box_word *out, const void *data, size_t bytes);

/* sensor_box_tell - fills a site's word with what its layout has. */
void sensor_box_tell(struct sensor_box_word *out, const struct sensor_layout *layout);

/* sensor_box_window - messages that one of so many workers may have under way. */
uint64_t sensor_box_window(uint32_t workers);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/far.h - whoever leads on the other box, as we hear it: manager or site.
 */
#ifndef BUSBAR_SENSOR_FAR_H
#define BUSBAR_SENSOR_FAR_H

#include "tools/sensor/boxes.h"
#include "tools/sensor/lead.h"

#include <busbar/bridge.h>
#include <stdbool.h>
#include <stdint.h>

#define SENSOR_WORD_NS INT64_C(500000000) /* a manager says where it is at least this often */

struct sensor_far {
    const struct sensor_options *opts;
    bool is_known;
    uint8_t box[16];
    char box_name[64];
    uint64_t node_id;
    int64_t heard_ns; /* of the monotonic clock; 0: never */
    bool is_gone;     /* its launcher says that it was killed */
    bool is_cut;      /* the link is down */
    uint64_t gap_messages;
    int64_t hint_ns; /* when we say why nothing is heard */
};

void sensor_far_init(struct sensor_far *far, const struct sensor_options *opts);

/* sensor_far_follow - from now on it is the node that this message is of. */
void sensor_far_follow(struct sensor_far *far, const struct bb_origin *from);
bool sensor_far_is_its_box(const struct sensor_far *far, const struct bb_origin *from);
/* sensor_far_is_it - a message of the node that is followed; notes that it was heard. */
bool sensor_far_is_it(struct sensor_far *far, const struct bb_origin *from);

/* sensor_far_status - a status of a link: said to people if it is about that box, and counted. */
void sensor_far_status(struct sensor_far *far, const struct bb_msg *msg);

/* sensor_far_is_over - NULL, or why it is waited for no longer. */
const char *sensor_far_is_over(const struct sensor_far *far);

/* sensor_far_hint - nothing was heard for 5 s: says on standard error, once, what is missing. */
void sensor_far_hint(struct sensor_far *far, struct bb_cluster *cluster);

/* sensor_far_knows - 1: what we subscribed to is known on the other box; 0: not yet; -1 and the sentence. */
int sensor_far_knows(struct sensor_lead *lead);

/* sensor_far_say - a word on a topic.  0 (also when the ring is full: it is said again), or -1. */
int sensor_far_say(struct sensor_lead *lead, const char *topic, const struct sensor_box_word *word);

/* sensor_far_read - the word in a message that came over a link, and whose it is.  False: it is none. */
bool sensor_far_read(const struct sensor_lead *lead,
                     const struct bb_msg *msg,
                     struct sensor_box_word *word,
                     struct bb_origin *from);

/* sensor_far_say_gone - of a launcher, at its end: the leader on this box was killed.  Best effort. */
void sensor_far_say_gone(const struct sensor_options *opts);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/member.h - a node that is led by the manager: worker, proxy, logger.
 *
 *   joined ─► ready ─► start ─► (a worker reads its share) ─► marks ─► tally ─► result ─► leave
 *
 * What is to be said is noted while messages are read, and published between two polls: a ring that is full
 * because we did not read would else wait for ourselves.
 */
#ifndef BUSBAR_SENSOR_MEMBER_H
#define BUSBAR_SENSOR_MEMBER_H

#include "tools/sensor/node.h"

#include <busbar/log.h>
#include <stdbool.h>
#include <stdint.h>

struct sensor_member {
    const struct sensor_options *opts;
    struct sensor_node node;
    struct bb_log *log;       /* a worker's, when there are loggers */
    struct sensor_end end;    /* of a worker: counted as it goes */
    uint32_t to_say;          /* bits, member.c */
    uint64_t manager_id;      /* whose hello or start we heard; 0: nobody's */
    int64_t start_mono_ns;    /* ours */
    int64_t stop_mono_ns;     /* when we were told to stop by a signal; 0: not */
    int64_t give_up_log_ns;   /* when the loggers' word is waited for no longer; 0: not yet known */
    const char *manager_gone; /* "left" or "died" after the start */
    uint64_t taken_seq; /* over two boxes: up to this message of our ring the manager took all */
    bool is_blocked;    /* our window is full */
    bool started;
    bool has_end; /* the end mark was said */
    bool has_passed;
    bool has_told; /* the tally */
    bool told_stop;
    bool told_result;
    struct sensor_fail fail;
};

/* sensor_member_open - joined, and ready to say so.  0, or -1 and the sentence. */
int sensor_member_open(struct sensor_member *m, const struct sensor_options *opts);
void sensor_member_close(struct sensor_member *m);

/* sensor_member_service - flush, take what came within timeout_ns, say what is due.  0, or -1. */
int sensor_member_service(struct sensor_member *m, int64_t timeout_ns);

/* sensor_member_wait_for_start - until m->started or told to stop. */
int sensor_member_wait_for_start(struct sensor_member *m);

/* sensor_member_end - the end mark, with m->end; only a worker has one. */
int sensor_member_end(struct sensor_member *m);

/* sensor_member_finish - marks, tally, then stay until the manager said the result. */
int sensor_member_finish(struct sensor_member *m);

/* sensor_member_is_told_to_end - by the manager, its going or a signal. */
bool sensor_member_is_told_to_end(const struct sensor_member *m);

/* sensor_member_exit - the exit code; what went wrong is said unless the launcher says it for all. */
int sensor_member_exit(const struct sensor_member *m, int rc, bool is_early);

#endif

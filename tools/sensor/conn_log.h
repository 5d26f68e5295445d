/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/conn_log.h - each connection as a record of the stream `conn`, its fields named as Zeek's.
 */
#ifndef BUSBAR_SENSOR_CONN_LOG_H
#define BUSBAR_SENSOR_CONN_LOG_H

#include "tools/sensor/flow.h"

#include <busbar/log.h>
#include <stddef.h>
#include <stdint.h>

enum { SENSOR_RECORD_BYTES = 512, SENSOR_UID_TEXT = 19 };

/* sensor_uid - "C" and 17 letters and digits: the same for the same seed and number, and for no other. */
void sensor_uid(uint64_t seed, uint64_t number, char out[SENSOR_UID_TEXT]);

/* sensor_write_record - ts, uid, id.orig_h, id.orig_p, id.resp_h, id.resp_p, proto.  Bytes, or a status. */
BB_MUST_USE int64_t sensor_write_record(
    void *buf, size_t cap, const struct sensor_connection *conn, int64_t wall_ns, const char *uid);

/* sensor_conn_log_open - as bb_log_open(). */
BB_MUST_USE int
sensor_conn_log_open(struct bb_log **out, struct bb_cluster *cluster, struct bb_error *error);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A proxy keeps clients or relays, a logger writes files: the cluster does both while it polls, and what is left
 * to a helper is to be there and to say what it handled.
 */
#include "tools/sensor/member.h"

int
sensor_helper_run(const struct sensor_options *opts)
{
    static struct sensor_member m; /* large */
    int rc = sensor_member_open(&m, opts);
    bool is_early = false;

    if (rc == 0) {
        rc = sensor_node_open_store(&m.node, &m.fail);
    }
    is_early = rc != 0;
    if (rc == 0) {
        rc = sensor_member_wait_for_start(&m);
    }
    if (rc == 0 && m.started) {
        rc = sensor_member_finish(&m);
    }
    sensor_member_close(&m);
    return sensor_member_exit(&m, rc, is_early);
}

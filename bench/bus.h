/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/bus.h - how the harness opens busbar, as a setup says: the driver and the case of records alike.
 */
#ifndef BUSBAR_BENCH_BUS_H
#define BUSBAR_BENCH_BUS_H

#include "bench/driver.h"
#include <busbar/busbar.h>

enum {
    BENCH_BUS_POLL = 64, /* messages for each bb_poll, bursts for each bb_poll_bursts */
    BENCH_BUS_MORE = 32, /* messages that BB_MORE may hold back */
};

/* bench_bus_complain - on stderr, in busbar's words where it has some; returns rc. */
int bench_bus_complain(const char *what, int rc, const struct bb_error *e);

/* Each 0, or a status after complaining.  role and index make the endpoint's name. */
int bench_bus_endpoint(const struct bench_setup *s,
                       const char *role,
                       unsigned index,
                       struct bb_endpoint **ep);
int
bench_bus_publisher(const struct bench_setup *s, struct bb_endpoint *ep, struct bb_publisher **pub);
/* prefix NULL: none yet. */
int bench_bus_subscriber(const struct bench_setup *s,
                         struct bb_endpoint *ep,
                         const char *prefix,
                         struct bb_subscriber **sub);

#endif

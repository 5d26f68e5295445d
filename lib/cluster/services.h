/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/services.h - what a node does for others besides being there: it relays, and answers questions
 * about its variables.  With them, what it declared.
 *
 * One part of a cluster handle (cluster_impl.h), there from join to leave.
 */
#ifndef BUSBAR_LIB_CLUSTER_SERVICES_H
#define BUSBAR_LIB_CLUSTER_SERVICES_H

#include "lib/cluster/cluster_impl.h"
#include "lib/cluster/declare.h"
#include "lib/cluster/relay.h"
#include "lib/cluster/standalone.h"
#include "lib/cluster/variable.h"

enum { BBI_SERVICE_TOPIC_BYTES = 256 };

struct bbi_services {
    struct bbi_part part; /* first */
    size_t topic_bytes;
    char topic[BBI_SERVICE_TOPIC_BYTES]; /* of this node: services stand behind it */
    struct bbi_declares declares;
    struct bbi_variables variables;
    struct bbi_relayed relayed;
};

/* bbi_services_begin - hangs it in: c->services.  After the endpoint, its rings and pools are open.  0; BB_ENOMEM. */
BB_MUST_USE int bbi_services_begin(struct bb_cluster *c);

/* bbi_service_topic - of a node and one of its services; bytes, or BB_EMSGSIZE. */
BB_MUST_USE int bbi_service_topic(const struct bb_cluster *c,
                                  const char *node,
                                  const char *service,
                                  char out[BBI_SERVICE_TOPIC_BYTES]);
#endif

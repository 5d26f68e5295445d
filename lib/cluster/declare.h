/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/declare.h - where events go whenever they are raised: a table by the event's name.
 */
#ifndef BUSBAR_LIB_CLUSTER_DECLARE_H
#define BUSBAR_LIB_CLUSTER_DECLARE_H

#include "busbar/cluster.h"

struct bbi_declared {
    char *event, *topic, *via; /* one of topic and via is NULL */
    struct bb_pool *pool;      /* of via */
    uint32_t argument;
    uint32_t is_round_robin;
};

/* Sorted by event; all zeros is an empty one. */
struct bbi_declares {
    struct bbi_declared *list;
    size_t count;
};

/* bbi_declares_find - NULL if there is none. */
const struct bbi_declared *
bbi_declares_find(const struct bbi_declares *d, const char *event, size_t bytes);
/*
 * bbi_declares_add - 0, also when the same is there already; BB_EEXIST it is there and goes elsewhere;
 * BB_EINVAL no event, or not just one of topic and via; BB_ENOMEM.
 */
BB_MUST_USE int
bbi_declares_add(struct bbi_declares *d, const struct bb_declare_opts *o, struct bb_pool *pool);
void bbi_declares_fini(struct bbi_declares *d);

/*
 * bbi_declared_key - the text form of the event's argument: what `busbar pool where` takes.
 *
 * In buf when it has room, else in *more, which the caller frees.  Returns its bytes; BB_ENOENT the event
 * has no such argument; BB_ECORRUPT; BB_ENOMEM.
 */
BB_MUST_USE int64_t bbi_declared_key(
    const struct bbi_declared *d, const struct bb_event *ev, char *buf, size_t cap, char **more);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/endpoint_impl.h - what the files of this folder share of an endpoint.
 */
#ifndef BUSBAR_LIB_ENDPOINT_ENDPOINT_IMPL_H
#define BUSBAR_LIB_ENDPOINT_ENDPOINT_IMPL_H

#include "busbar/endpoint.h"
#include "lib/endpoint/opts.h"
#include "shm/attach.h"
#include "shm/fault.h"
#include "shm/wake.h"
#include <pthread.h>

/*
 * What an endpoint asks its busbard through (bridge.c): a ring, made by the first question, that later ones use again.
 * One for each question would stay, when closed, for whoever does not read, and a bus holds 1,024.
 */
struct bbi_asking {
    pthread_mutex_t lock;     /* before the endpoint's; not held while an answer is awaited */
    struct bb_publisher *pub; /* NULL: there is none */
    struct bb_topic *topic;
    uint64_t made; /* how many there were: tells one from the next */
};

struct bb_endpoint {
    struct bbi_attach at;
    pthread_mutex_t lock; /* over at's locks and rows: registering, closing, the steward's scan */
    struct bbi_waker waker;
    unsigned fork_gen;
    uint32_t flags; /* BB_ATTACH_... */
    uint64_t id;
    struct bb_publisher *publishers; /* open ones, newest first */
    struct bb_subscriber *subscribers;
    struct bbi_closer *closers; /* for_store.h; under lock */
    struct bbi_asking asking;
    struct bb_endpoint *next; /* all endpoints of this process, for fork */
};

/* Counts forks: a handle with another number was opened in a parent process. */
extern unsigned bbi_fork_gen;
/* bbi_watch_forks - counts them from now on, for handles that have no endpoint. */
void bbi_watch_forks(void);

static inline bool
bbi_is_forked(unsigned fork_gen)
{
    return BBI_UNLIKELY(fork_gen != bbi_fork_gen);
}

static inline uint64_t
bbi_node_id(uint32_t member, uint32_t gen)
{
    return (uint64_t)gen << 16 | member;
}

/* bbi_member_find - the slot of the living member of this name; BBI_MEMBERS if there is none. */
uint32_t bbi_member_find(const struct bbi_attach *at, const char *name, uint32_t *gen);

/* bbi_error_set - the caller's bb_error from a fault of shm; error may be NULL.  Returns the code. */
int bbi_error_set(struct bb_error *error, const struct bbi_fault *fault);

/* bbi_endpoint_scan - the steward's scan, when it is due and nobody here is at it. */
void bbi_endpoint_scan(struct bb_endpoint *ep, int64_t every_ns);

#endif

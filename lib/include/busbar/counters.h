/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/counters.h - all numbers of a publisher, a subscriber, an endpoint or a whole bus, by name.
 *
 * Names      are stable and fit Prometheus: busbar_published_messages_total.  docs/counters.md lists them.
 * Order      name by name: all samples of one name come together, as Prometheus wants them.
 * Threads    A publisher's and a subscriber's counters are asked for on their own thread.  Those of an
 *            endpoint are read from shared memory, so any thread may ask; a subscriber writes its numbers
 *            there twice a second while it polls.
 * Cost       Nothing is counted for this: the numbers are there anyway.  Of an endpoint or a bus each ring
 *            is mapped for a moment: some tens of microseconds each.
 */
#ifndef BUSBAR_COUNTERS_H
#define BUSBAR_COUNTERS_H

#include <busbar/endpoint.h>
#include <busbar/inspect.h>
#include <busbar/status.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum bb_counter_type {
    BB_COUNTER_RISING = 1, /* only rises while its publisher or subscriber lives */
    BB_COUNTER_GAUGE = 2,  /* goes up and down */
};

/* Valid during the callback; name, unit and help for ever. */
struct bb_counter {
    const char *name; /* "busbar_published_messages_total" */
    const char
        *labels;      /* `node="worker-1",ring="3"`, escaped for Prometheus; "" if there are none */
    const char *unit; /* "messages", "bytes", ...; "" of a plain number */
    const char *help; /* one English sentence */
    uint32_t type;    /* enum bb_counter_type */
    uint64_t value;
};
typedef int (*bb_counter_cb)(const struct bb_counter *counter, void *user);

/*
 * bb_..._counters - one call back for each number; a non-zero return stops.
 *
 * Of an endpoint: all its publishers and subscribers.  Of a look: the bus, its nodes, rings and subscribers.
 * Returns   0, or what the callback returned; BB_EFORKED, BB_ENOMEM.
 */
BB_MUST_USE BB_API int
bb_publisher_counters(const struct bb_publisher *pub, bb_counter_cb cb, void *user);
BB_MUST_USE BB_API int
bb_subscriber_counters(const struct bb_subscriber *sub, bb_counter_cb cb, void *user);
BB_MUST_USE BB_API int
bb_endpoint_counters(const struct bb_endpoint *ep, bb_counter_cb cb, void *user);
BB_MUST_USE BB_API int bb_look_counters(struct bb_look *look, bb_counter_cb cb, void *user);

/* bb_counter_list - every name there is, with value 0 and no labels. */
BB_MUST_USE BB_API int bb_counter_list(bb_counter_cb cb, void *user);

#ifdef __cplusplus
}
#endif
#endif

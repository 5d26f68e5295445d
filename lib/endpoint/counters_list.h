/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/counters_list.h - the one table of counters: bb_counters() and docs/counters.md come from it.
 *
 * Rule       A name is promised for years: none is changed or taken away, new ones come at a list's end.
 *            Rising ones end in _total; the unit stands in the name.
 */
#ifndef BUSBAR_LIB_ENDPOINT_COUNTERS_LIST_H
#define BUSBAR_LIB_ENDPOINT_COUNTERS_LIST_H

/* X(id, name, type, unit, help) */
#define BBI_RING_COUNTERS(X)                                                                       \
    X(MESSAGES, "busbar_published_messages_total", RISING, "messages", "Messages committed.")      \
    X(BYTES, "busbar_published_bytes_total", RISING, "bytes", "Payload bytes committed.")          \
    X(FLUSHES, "busbar_publisher_flushes_total", RISING, "",                                       \
      "Times that new messages were made known; only of a publisher itself.")                      \
    X(WAKES, "busbar_publisher_wakes_total", RISING, "", "System calls that woke a subscriber.")   \
    X(BLOCKED, "busbar_publisher_waits_total", RISING, "",                                         \
      "Times that the publisher waited for a reliable subscriber.")                                \
    X(EVICTED, "busbar_publisher_evictions_total", RISING, "",                                     \
      "Reliable subscribers that it gave up for being too slow.")                                  \
    X(REFUSED, "busbar_refused_messages_total", RISING, "messages",                                \
      "Messages that were not published since a reliable subscriber was in the way.")              \
    X(TOPICS, "busbar_ring_topics", GAUGE, "topics", "Topics in the ring's dictionary.")           \
    X(UNHEARD, "busbar_unheard_replies_total", RISING, "replies",                                  \
      "Replies not published since who asked no longer waits; only of a publisher itself.")

#define BBI_SUBSCRIBER_COUNTERS(X)                                                                 \
    X(MESSAGES, "busbar_subscriber_messages_total", RISING, "messages",                            \
      "Messages that passed: delivered, filtered and lost.")                                       \
    X(DELIVERED, "busbar_delivered_messages_total", RISING, "messages", "Messages handed out.")    \
    X(FILTERED, "busbar_filtered_messages_total", RISING, "messages",                              \
      "Messages that no prefix of it matched.")                                                    \
    X(LOST, "busbar_lost_messages_total", RISING, "messages",                                      \
      "Messages overwritten before or while they were read.")                                      \
    X(EVICTED, "busbar_subscriber_evictions_total", RISING, "",                                    \
      "Times that a publisher gave this subscriber up.")                                           \
    X(WAKES, "busbar_subscriber_wakes_total", RISING, "",                                          \
      "Times that it slept and was woken; only of a subscriber itself.")                           \
    X(RINGS, "busbar_subscriber_rings", GAUGE, "rings",                                            \
      "Rings that it reads now; only of a subscriber itself.")                                     \
    X(UNREADABLE, "busbar_subscriber_unreadable_rings", GAUGE, "rings",                            \
      "Rings put aside as corrupt or of another layout; only of a subscriber itself.")             \
    X(LAG, "busbar_subscriber_lag_messages", GAUGE, "messages",                                    \
      "Messages that it is behind, of the ring where it is most.")                                 \
    X(REQUESTS, "busbar_subscriber_requests", GAUGE, "requests",                                   \
      "Requests that have not ended; only of a subscriber itself.")                                \
    X(LATE, "busbar_late_replies_total", RISING, "replies",                                        \
      "Replies that came after the end of their request; only of a subscriber itself.")

#define BBI_NODE_COUNTERS(X)                                                                       \
    X(STATE, "busbar_node_state", GAUGE, "",                                                       \
      "1 running, 2 stopped by a signal, 3 dead and not tidied up yet, 4 left.")

#define BBI_BUS_COUNTERS(X)                                                                        \
    X(NODES, "busbar_bus_nodes", GAUGE, "nodes", "Living members.")                                \
    X(RINGS, "busbar_bus_rings", GAUGE, "rings", "Rings of living members.")                       \
    X(SUBSCRIBERS, "busbar_bus_subscribers", GAUGE, "subscribers", "Living subscribers.")          \
    X(DEAD_RINGS, "busbar_bus_dead_rings", GAUGE, "rings", "Rings kept for a look after death.")   \
    X(BYTES, "busbar_bus_bytes", GAUGE, "bytes", "Memory of all files of the bus.")                \
    X(GENERATION, "busbar_bus_generations_total", RISING, "", "How often the bus was begun anew.")

#endif

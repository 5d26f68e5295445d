/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/for_store.h - what stores need of endpoints, and the public headers do not have.
 *
 * Stores talk on reserved topics (`<$>store/NAME/`, `<$>change/NAME/`), so that no application's prefix hears
 * them.  Subscribing to such a prefix is open to all; publishing on it is not, but through this door.
 */
#ifndef BUSBAR_LIB_ENDPOINT_FOR_STORE_H
#define BUSBAR_LIB_ENDPOINT_FOR_STORE_H

#include "busbar/endpoint.h"
#include "busbar/inspect.h"

/*
 * bbi_reserved_open - a topic that begins with `<$>`, for bb_publish(), bb_request() and their kin.
 *
 * It travels inside each message; no dictionary holds it, and no listing of topics shows it.
 * Owner     the caller: bbi_reserved_close() after the publisher was closed, as that may still name it.
 * Returns   0; BB_EINVAL it is not reserved; BB_ENAMETOOLONG; BB_EFORKED; BB_ENOMEM.
 */
BB_MUST_USE int bbi_reserved_open(struct bb_topic **out,
                                  struct bb_publisher *pub,
                                  const char *topic,
                                  size_t topic_bytes);
void bbi_reserved_close(struct bb_topic *topic);

/*
 * bbi_visit_more - a poll may take so many bytes from one ring.  For a master: what it takes together it commits
 * together, and 64 KiB are five frames of a hundred commands.  Before the first poll.
 */
void bbi_visit_more(struct bb_subscriber *sub, size_t bytes);

/*
 * What is closed with an endpoint though this folder does not know it: called first, while it still works, and not
 * again.  In a child after fork, too, where nothing may be sent.
 */
struct bbi_closer {
    void (*close)(struct bbi_closer *c);
    struct bbi_closer *next;
};
void bbi_closer_add(struct bb_endpoint *ep, struct bbi_closer *c);
void bbi_closer_remove(struct bb_endpoint *ep, struct bbi_closer *c);

/* bbi_look_path - the bus's directory; NULL: the handle was opened before fork. */
const char *bbi_look_path(const struct bb_look *look);

#endif

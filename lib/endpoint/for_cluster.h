/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/for_cluster.h - what the cluster needs of endpoints, and the public headers do not have.
 */
#ifndef BUSBAR_LIB_ENDPOINT_FOR_CLUSTER_H
#define BUSBAR_LIB_ENDPOINT_FOR_CLUSTER_H

#include "busbar/endpoint.h"
#include "busbar/inspect.h"
#include "lib/endpoint/opts.h"
#include "shm/attach.h"
#include "shm/fault.h"

/* The attachment of a handle: its directory, bus.ctl, the files beside it. */
const struct bbi_attach *bbi_endpoint_at(const struct bb_endpoint *ep);
const struct bbi_attach *bbi_look_at(const struct bb_look *look);
bool bbi_endpoint_is_forked(const struct bb_endpoint *ep);

/* bbi_error_fill - as bbi_error_set(): the caller's bb_error, which may be NULL.  Returns the code. */
int bbi_error_fill(struct bb_error *error, const struct bbi_fault *fault);

/*
 * bbi_endpoint_leave - closes what is open of it and says LEFT; everybody who sleeps is woken to hear it.
 *
 * The bus stays mapped and its locks held until bb_endpoint_close().
 */
void bbi_endpoint_leave(struct bb_endpoint *ep);

/* Some member has or had this id: its slot's generation came so far. */
bool bbi_member_was(const struct bbi_attach *at, uint64_t node_id);

/* How a member ended, by the table and its lock: 0 it lives; BB_STATUS_LEFT; BB_STATUS_DIED. */
uint32_t bbi_member_ending(const struct bbi_attach *at, uint64_t node_id);

/*
 * bbi_subscriber_is_past - 1 if nothing of this member comes any more: no ring of its is read or waits to be,
 * and its end, if the subscriber tells it at all, was handed out.  Only for a member that ended.
 */
int bbi_subscriber_is_past(const struct bb_subscriber *sub, uint64_t node_id);

/* bbi_subscriber_poke - its descriptor, if it has one, is readable until the next bb_poll(). */
void bbi_subscriber_poke(struct bb_subscriber *sub);

/* bbi_subscriber_hears - a prefix of its matches the topic. */
bool bbi_subscriber_hears(const struct bb_subscriber *sub, const char *topic, size_t bytes);

/* Above what a ring can hold in attr, as in request_impl.h. */
enum {
    BBI_MSG_PERSONAL = 7 << 18, /* a request, a reply, a message to one node */
    BBI_MSG_COPIED = 1 << 21,   /* by bbi_msg_copy(): always valid */
};

/*
 * bbi_msg_copy - *out is a private copy with all that it points to; the memory to free, NULL: none is left.
 * A view may be overwritten meanwhile: ask bbi_msg_was_copied() about msg afterwards.
 */
void *bbi_msg_copy(const struct bb_msg *msg, struct bb_msg *out);
/*
 * bbi_msg_was_copied - true if this message of the last poll is whole still: the copy is good, and counts as
 * delivered whatever happens to the view before it is released.  Once for each message.
 */
BB_MUST_USE bool bbi_msg_was_copied(struct bb_subscriber *sub, const struct bb_msg *msg);

#endif

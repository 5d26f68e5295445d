/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/local.h - the bus's side of links: who wants what, messages out and in, statuses.
 *
 * Out        What the peers want of this bus (their prefixes, as far as topics and rights allow) is subscribed by one
 *            lossy subscriber with copies: nothing ever pins a ring, no publisher waits.  What was overwritten before we
 *            read it goes to each peer that wanted it as a gap.  Messages that came over a link (BB_BRIDGED), requests,
 *            replies, messages to one node and reserved topics stay here.
 * In         A ring for each peer, so that its messages keep their order; the origin goes with them.  Published with
 *            BB_MORE and flushed at the end of a turn.  While a reliable subscriber is so far behind that what a window
 *            holds could evict it, no credit is granted (bbi_session_hold()), for hold_max_ns at most: then the ring's
 *            policy decides.
 * Interest   The prefixes of all other subscribers of this bus, and not those of bridges; looked at when
 *            bbi_audience_epoch() moved, at most every 10 ms, and at once for a barrier.
 *
 * Used by    lib/link/daemon.
 * Threads    One, the hub's.
 */
#ifndef BUSBAR_LIB_LINK_LOCAL_H
#define BUSBAR_LIB_LINK_LOCAL_H

#include "lib/link/hub.h"

struct bbi_local;

struct bbi_local_opts {
    struct bb_endpoint *ep;
    const char *box_name;
    uint8_t box[16];
    uint64_t epoch;
    const char *const *topics; /* prefixes that may pass, either way; none: all but reserved ones */
    size_t topic_count;
    struct bbi_rights
        *rights;         /* NULL: topics alone decide; else both must allow, deny by default */
    uint64_t ring_bytes; /* of the rings in; 0: 8 MiB */
    int64_t hold_max_ns; /* that a reliable subscriber holds a link; 0: 1 s */
    struct bbi_hub *hub;
    void (*log)(void *user, const char *level, const char *line); /* as the hub's; may be NULL */
    void *user;
};

BB_MUST_USE int
bbi_local_open(struct bbi_local **out, const struct bbi_local_opts *opts, struct bbi_fault *f);
void bbi_local_close(struct bbi_local *local);

/* What the hub's events call; local keeps its own of each peer by bbi_box_set_user(). */
void bbi_local_up(struct bbi_local *local, struct bbi_box *box, bool is_resumed);
void bbi_local_down(struct bbi_local *local,
                    struct bbi_box *box,
                    enum bbi_down why,
                    const char *sentence);
void bbi_local_unavailable(struct bbi_local *local, const char *address, const char *sentence);
void bbi_local_messages(struct bbi_local *local,
                        struct bbi_box *box,
                        const struct bbi_link_msg *msgs,
                        size_t count);
void bbi_local_gap(struct bbi_local *local, struct bbi_box *box, const struct bbi_gap *gap);
void bbi_local_interest(struct bbi_local *local,
                        struct bbi_box *box,
                        const struct bbi_interest *interest);

/* bbi_local_settle - what interests changed holds now, all at once: each change by itself costs every publisher. */
void bbi_local_settle(struct bbi_local *local);

/* bbi_local_fd - readable: bbi_local_out() has something. */
int bbi_local_fd(struct bbi_local *local);
/*
 * bbi_local_out - takes at most so many messages from the bus and offers them to the peers that want them.
 * Returns   how many were taken: call again, soon: nobody knocks.  0: nothing is there, and bbi_local_fd() says when there
 *           is.  Or a status.
 */
BB_MUST_USE int bbi_local_out(struct bbi_local *local, size_t max);
/* bbi_local_turn - at the end of a turn: flush, interests that changed, holds.  Returns when it wants to be called again. */
int64_t bbi_local_turn(struct bbi_local *local, int64_t mono_ns);

/* bbi_local_look_now - interests, whether the epoch moved or not: for a barrier. */
void bbi_local_look_now(struct bbi_local *local);

/* bbi_local_reload - topics and rights; interests are told anew where that changes them. */
BB_MUST_USE int
bbi_local_reload(struct bbi_local *local, const struct bbi_local_opts *opts, struct bbi_fault *f);

/* The columns of a link that are local's: denied_in, denied_out, lost_before; and local_lost of the bridge. */
void
bbi_local_link(const struct bbi_local *local, const struct bbi_box *box, struct bb_link_info *out);
uint64_t bbi_local_lost(const struct bbi_local *local);

#endif

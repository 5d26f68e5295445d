/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/box.h - another box: its session, which of its transports carries that, and what the hub's user was told.
 *
 * Used by    the other parts of lib/link's hub.
 * Told       up and down in turn, up before the first message and down after the last.  When one transport takes the
 *            place of another since both sides dialed at once, nothing is told; when the other side came anew, it is
 *            down(LOST) and up, as over there.
 */
#ifndef BUSBAR_LIB_LINK_BOX_H
#define BUSBAR_LIB_LINK_BOX_H

#include "lib/link/hub_impl.h"

/* bbi_box_known - the greeting of t is KNOWN: attached to its box, or refused. */
void bbi_box_known(struct bbi_transport *t);

/* bbi_box_settle - after each call of its session: tells what that ended. */
void bbi_box_settle(struct bbi_box *box);

/* bbi_box_broke - its transport is of no use any more.  The caller ends that. */
void bbi_box_broke(struct bbi_box *box, int status, const char *sentence);

/* bbi_box_tick - what is due.  Returns when again. */
int64_t bbi_box_tick(struct bbi_box *box);

/* bbi_box_tune - what bbi_policy_apply() found. */
void bbi_box_tune(struct bbi_box *box, enum bbi_slow_policy slow, size_t queue_bytes);
void bbi_box_sweep(struct bbi_hub *hub); /* those that were never up, of which nobody knows */
void bbi_box_free(struct bbi_box *box);

/* bbi_close_status - the status that says best why a link ended. */
int bbi_close_status(uint32_t code);

#endif

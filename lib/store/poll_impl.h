/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/poll_impl.h - whose turn it is: a standby becomes the master; one descriptor for all that a handle does.
 */
#ifndef BUSBAR_LIB_STORE_POLL_IMPL_H
#define BUSBAR_LIB_STORE_POLL_IMPL_H

#include "lib/store/store_impl.h"

/*
 * bbi_role_step - a standby tries the lock when it is due; with it, it is the master.
 *
 * Returns   1 it became the master just now; 0; a fault of bbi_master_start(): the lock was given back.
 */
BB_MUST_USE int bbi_role_step(struct bb_store *s);
/* When bbi_role_step() has something to do; INT64_MAX. */
int64_t bbi_role_next_ns(const struct bb_store *s);

bool bbi_store_is_forked(const struct bb_store *s);

/* The time on CLOCK_MONOTONIC that is so far away; negative: INT64_MAX. */
int64_t bbi_until_ns(int64_t timeout_ns);

/* What the descriptor watches follows what is open now; does nothing while nobody asked for one. */
void bbi_poll_arm(struct bb_store *s);
/* poll.c: frees what bb_store_fd() and the role keep.  For bb_store_close(), after the client and the master. */
void bbi_poll_close(struct bb_store *s);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/policy.h - what is done when the queue for a box is full: which policy and queue each box has.
 *
 *   the address that leads to it (bbi_hub_dial())  ►  its name (bbi_hub_policies())  ►  what all others have
 *
 * The first that says something counts, whichever side's connection carries the link.
 *
 * Used by    box, dial, daemon_reload, check.
 */
#ifndef BUSBAR_LIB_LINK_POLICY_H
#define BUSBAR_LIB_LINK_POLICY_H

#include "lib/link/hub_impl.h"

/* bbi_policy_check - 0; BB_EINVAL: no such policy, or a queue that is too short; 0 bytes are good.  whose: in the sentence. */
int bbi_policy_check(const char *whose, uint32_t slow, uint64_t queue_bytes, struct bbi_fault *f);

/* bbi_policy_apply - to a box of this name, whose session may be down. */
void bbi_policy_apply(struct bbi_box *box, const char *name);

void bbi_policies_free(struct bbi_hub *hub);

#endif

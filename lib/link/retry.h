/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/retry.h - how long to wait before an address is dialed again.
 *
 * Each delay is drawn between nothing and a bound that doubles (full jitter), so that many who lost the same peer do not
 * come back at once.
 *
 * Used by    dial.
 */
#ifndef BUSBAR_LIB_LINK_RETRY_H
#define BUSBAR_LIB_LINK_RETRY_H

#include "shm/base.h"

struct bbi_retry {
    int64_t min_ns, max_ns;
    int64_t bound_ns; /* of the next delay */
    uint64_t seed;    /* not 0 */
};

void bbi_retry_init(struct bbi_retry *r, int64_t min_ns, int64_t max_ns, uint64_t seed);
void bbi_retry_reset(struct bbi_retry *r);

/* bbi_retry_next - the next delay; the one after it may be twice as long. */
int64_t bbi_retry_next(struct bbi_retry *r);

/* bbi_retry_long - for what a retry soon cannot change: the longest delay at once. */
int64_t bbi_retry_long(struct bbi_retry *r);

#endif

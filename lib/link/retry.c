/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/link/retry.h"

void
bbi_retry_init(struct bbi_retry *r, int64_t min_ns, int64_t max_ns, uint64_t seed)
{
    r->min_ns = min_ns;
    r->max_ns = max_ns;
    r->seed = seed != 0 ? seed : 1;
    bbi_retry_reset(r);
}

void
bbi_retry_reset(struct bbi_retry *r)
{
    r->bound_ns = r->min_ns;
}

/* xorshift64 */
static uint64_t
draw(struct bbi_retry *r)
{
    r->seed ^= r->seed << 13;
    r->seed ^= r->seed >> 7;
    r->seed ^= r->seed << 17;
    return r->seed;
}

int64_t
bbi_retry_next(struct bbi_retry *r)
{
    int64_t delay_ns = (int64_t)(draw(r) % ((uint64_t)r->bound_ns + 1));
    r->bound_ns = r->bound_ns > r->max_ns / 2 ? r->max_ns : r->bound_ns * 2;
    return delay_ns;
}

int64_t
bbi_retry_long(struct bbi_retry *r)
{
    r->bound_ns = r->max_ns;
    return r->max_ns;
}

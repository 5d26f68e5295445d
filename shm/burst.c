/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/burst.h"

int
bbi_burst_find(const struct bbi_ring_map *m, uint64_t n, struct bbi_burst *out, uint64_t *word)
{
    uint64_t other;
    if (bbi_burst_load(m, n, out, word)) {
        return 1;
    }
    if (!bbi_is_before(*word & ~BBI_BUSY,
                       n)) { /* a burst begins there now, or did in the next lap */
        return 0;
    }
    for (uint64_t first = n - 1; n - first < m->batch_msgs && first >= m->depth; first--) {
        if (bbi_burst_load(m, first, out, &other)) {
            return bbi_burst_has(out, n); /* what began before that one ended before it */
        }
    }
    return 0;
}

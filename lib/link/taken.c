/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * While it is wide, prefixes that were subscribed before stay subscribed, and new ones are not: removing one that never
 * was is no matter, and becoming narrow again subscribes all (again) before the empty prefix goes, so that nothing is
 * missed in between.
 */
#include "lib/link/taken.h"

enum { ENTRY_BYTES = 4, WIDE_BYTES = 32 << 10, NARROW_BYTES = 16 << 10 };

int
bbi_taken_init(struct bbi_taken *taken,
               struct bb_subscriber *sub,
               const struct bbi_memory *memory,
               const uint64_t seed[2])
{
    *taken = (struct bbi_taken){.sub = sub};
    return bbi_interest_set_init(&taken->set, memory, seed, UINT32_MAX, SIZE_MAX);
}

void
bbi_taken_fini(struct bbi_taken *taken)
{
    bbi_interest_set_fini(&taken->set);
}

static int
widen(struct bbi_taken *taken)
{
    int rc = taken->is_wide ? 0 : bb_subscribe(taken->sub, "", 0, 0);
    taken->is_wide = rc >= 0;
    return rc < 0 ? rc : 0;
}

static void
narrow(struct bbi_taken *taken)
{
    bool wants_all = false;
    for (const struct bbi_interest_node *n = taken->set.oldest; n != NULL; n = n->next) {
        wants_all = wants_all || n->prefix_bytes == 0;
        if (bb_subscribe(taken->sub, n->prefix, n->prefix_bytes, n->flags) < 0) {
            return; /* it stays wide */
        }
    }
    taken->is_wide = !wants_all && bb_unsubscribe(taken->sub, "", 0, 0) < 0;
}

int
bbi_taken_add(struct bbi_taken *taken, const char *prefix, size_t bytes, uint32_t flags)
{
    struct bbi_interest in = {.prefix = prefix, .prefix_bytes = bytes, .flags = (uint8_t)flags};
    int rc = bbi_interest_set_add(&taken->set, &in);
    if (rc != 1) {
        return rc;
    }
    taken->table_bytes += ENTRY_BYTES + bytes;
    if (taken->is_wide || taken->table_bytes > WIDE_BYTES) {
        rc = widen(taken);
    } else {
        rc = bb_subscribe(taken->sub, prefix, bytes, flags);
    }
    if (rc < 0) {
        taken->table_bytes -= ENTRY_BYTES + bytes;
        return bbi_interest_set_remove(&taken->set, &in) < 0 ? BB_ENOENT : rc;
    }
    return 0;
}

void
bbi_taken_remove(struct bbi_taken *taken, const char *prefix, size_t bytes, uint32_t flags)
{
    struct bbi_interest in = {.prefix = prefix, .prefix_bytes = bytes, .flags = (uint8_t)flags};
    if (bbi_interest_set_remove(&taken->set, &in) != 1) {
        return;
    }
    taken->table_bytes -= ENTRY_BYTES + bytes;
    if (!taken->is_wide || bytes > 0) {
        int rc = bb_unsubscribe(taken->sub, prefix, bytes, flags);
        (void)rc; /* BB_ENOENT: it came while this was wide */
    }
    if (taken->is_wide && taken->table_bytes < NARROW_BYTES) {
        narrow(taken);
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/debris.h - files that nobody uses any more.
 *
 * Only files with our names and our magic are touched.  Every step may be repeated and may be cut short at
 * any point: names carry index, generation and a random key, so a file is never mistaken for another.
 * The newest four rings that ended are kept in `dead/` for a look after death.
 */
#ifndef BUSBAR_SHM_DEBRIS_H
#define BUSBAR_SHM_DEBRIS_H

#include "shm/attach.h"

enum { BBI_DEAD_KEPT = 4 };

enum {
    BBI_DEBRIS_KEEP_DEAD = 1u << 0, /* rings go to dead/, else they are removed, and dead/ too */
    BBI_DEBRIS_DRY_RUN = 1u << 1,
};

struct bbi_debris_item {
    const char *file; /* within the bus's directory */
    const char *node;
    int64_t pid;
    uint64_t bytes;
    bool removed;
    const char *why;
};
typedef void (*bbi_debris_cb)(const struct bbi_debris_item *item, void *user);

/* bbi_debris_clear - the caller holds presence exclusively: everything but `lock` goes.  How many files. */
int bbi_debris_clear(struct bbi_attach *at, unsigned flags, bbi_debris_cb cb, void *user);

/* bbi_debris_orphans - files that no row of bus.ctl names and whose row nobody holds.  How many files. */
int bbi_debris_orphans(struct bbi_attach *at, unsigned flags, bbi_debris_cb cb, void *user);

/* bbi_debris_bury - moves a ring that ended to dead/ and keeps the newest four there. */
void bbi_debris_bury(struct bbi_attach *at, const char *ring_name);

/* bbi_debris_dead - calls back with the name below the bus's directory of each ring in dead/, oldest first. */
int
bbi_debris_dead(const struct bbi_attach *at, int (*cb)(const char *file, void *user), void *user);

#endif

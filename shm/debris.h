/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/debris.h - files that nobody uses any more.
 *
 * Only files with our names and our magic are touched.  Every step may be repeated and may be cut short at
 * any point: names carry index, generation and a random key, so a file is never mistaken for another.
 * The newest four rings that ended are kept in `dead/` for a look after death.  What lies in `stores/` outlives a
 * generation of the bus; it goes when that is asked for and nobody is attached.
 */
#ifndef BUSBAR_SHM_DEBRIS_H
#define BUSBAR_SHM_DEBRIS_H

#include "shm/attach.h"

enum { BBI_DEAD_KEPT = 4 };

enum {
    BBI_DEBRIS_KEEP_DEAD = 1u << 0, /* rings go to dead/, else they are removed, and dead/ too */
    BBI_DEBRIS_DRY_RUN = 1u << 1,
    BBI_DEBRIS_STORES =
        1u << 2, /* with nobody attached: stores in memory, and links to others, too */
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

/* bbi_debris_clear - the caller holds presence exclusively: everything but `lock` and stores goes.  How many files. */
int bbi_debris_clear(struct bbi_attach *at, unsigned flags, bbi_debris_cb cb, void *user);

/* bbi_debris_orphans - files that no row of bus.ctl names and whose row nobody holds.  How many files. */
int bbi_debris_orphans(struct bbi_attach *at, unsigned flags, bbi_debris_cb cb, void *user);

/* bbi_debris_bury - moves a ring that ended to dead/ and keeps the newest four there. */
void bbi_debris_bury(struct bbi_attach *at, const char *ring_name);

/* bbi_debris_dead - calls back with the name below the bus's directory of each ring in dead/, oldest first. */
int
bbi_debris_dead(const struct bbi_attach *at, int (*cb)(const char *file, void *user), void *user);

/*
 * bbi_debris_stores - removes each store in `stores/` that has no master, also one of another bus; a link goes, not
 * what it names.  How many.
 */
int bbi_debris_stores(const struct bbi_attach *at, unsigned flags, bbi_debris_cb cb, void *user);

/* bbi_debris_remove_dir - a directory of files, and of directories of files, of one store; true when it is gone. */
bool bbi_debris_remove_dir(int dir_fd, const char *name);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/filter.h - a subscriber's list of byte strings with flags, in its file.
 *
 * Two copies: the unselected one is written whole, then selected, then sub_epoch is raised.  What the
 * strings mean (prefixes of topics) is the business of the layer above.
 */
#ifndef BUSBAR_SHM_FILTER_H
#define BUSBAR_SHM_FILTER_H

#include "shm/layout.h"

struct bbi_filter_item {
    const unsigned char *bytes;
    uint16_t len;
    uint16_t flags;
};

/* bbi_filter_write - replaces the list.  BB_EFULL: more than a table holds, nothing changed.  Release, R8. */
BB_MUST_USE int
bbi_filter_write(struct bbi_sub *sub, const struct bbi_filter_item *items, uint32_t count);

/*
 * bbi_filter_read - copies the selected table, checked; *out is then private and safe.
 *
 * Returns   0; BB_EAGAIN when the owner switched meanwhile twice; BB_ECORRUPT.  Acquire, R8.
 */
BB_MUST_USE int bbi_filter_read(const struct bbi_sub *sub, struct bbi_filter_table *out);

/* Walks a private copy: 1 and the next item, 0 at the end.  *off starts at 0. */
int
bbi_filter_next(const struct bbi_filter_table *table, uint32_t *off, struct bbi_filter_item *out);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/walk.h - visits a value and all that is in it, from the left, without recursion.
 *
 * Used by    check, text, json.
 * Safety     Never reads outside the window; each container must end where its head says.
 */
#ifndef BUSBAR_LIB_VALUE_WALK_H
#define BUSBAR_LIB_VALUE_WALK_H

#include "lib/value/native.h"

enum bbi_walk_step {
    BBI_WALK_END = 0,
    BBI_WALK_LEAF = 1,  /* a value that is no container */
    BBI_WALK_ENTER = 2, /* a container begins */
    BBI_WALK_LEAVE = 3, /* it has ended */
};

struct bbi_walk_frame {
    const unsigned char *end; /* of the container */
    const unsigned char *key; /* check's: the last element of a set or key of a table, or NULL */
    uint64_t left;            /* values to come; a table counts keys and values */
    uint64_t done;            /* values begun */
    uint32_t type;
};

/* About 10 KiB, of which only the frames in use are touched. */
struct bbi_walk {
    const unsigned char *p; /* what comes next */
    const unsigned char *end;
    bool started;
    uint32_t depth;                /* containers that are open */
    const unsigned char *value;    /* LEAF, ENTER: where it begins */
    uint64_t head;                 /* LEAF, ENTER: its head, the only read of it */
    uint32_t type;                 /* LEAF, ENTER, LEAVE */
    struct bbi_walk_frame *parent; /* the container around it, or NULL */
    struct bbi_walk_frame frames[BB_VALUE_DEPTH];
};

void bbi_walk_init(struct bbi_walk *w, const unsigned char *p, size_t window);

/* bbi_walk_next - enum bbi_walk_step, or BB_ECORRUPT. */
BB_MUST_USE int bbi_walk_next(struct bbi_walk *w);

#endif

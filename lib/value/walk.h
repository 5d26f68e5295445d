/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/walk.h - visits a value and all that is in it, from the left, without recursion.
 *
 * Used by    check, explain, text, json, binary_write.
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

/* Why a value is not well formed: set by the walk as it fails, or by check. */
enum bbi_why {
    BBI_WHY_OK = 0,
    BBI_WHY_HEAD, /* no value of a known type and length begins here, or it is larger than its place */
    BBI_WHY_DEEP,      /* containers nest too deep */
    BBI_WHY_COUNT,     /* more elements than its bytes can hold */
    BBI_WHY_END,       /* a container does not end with its last element */
    BBI_WHY_CUT,       /* padding is missing inside a container */
    BBI_WHY_FIELDS,    /* small fields of the head */
    BBI_WHY_SECOND,    /* a container's second word */
    BBI_WHY_HOST_BITS, /* a subnet's */
    BBI_WHY_PADDING,   /* is not zero */
    BBI_WHY_ORDER,     /* of a set or table */
    BBI_WHY_TWICE,     /* a duplicate there */
};

struct bbi_walk_frame {
    const unsigned char *begin; /* of the container */
    const unsigned char *end;   /* of the container */
    const unsigned char *key;   /* check's: the last element of a set or key of a table, or NULL */
    uint64_t left;              /* values to come; a table counts keys and values */
    uint64_t done;              /* values begun */
    uint32_t type;
};

/* About 10 KiB, of which only the frames in use are touched. */
struct bbi_walk {
    const unsigned char *p; /* what comes next */
    const unsigned char *end;
    bool started;
    enum bbi_why why;
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

/* bbi_check_walk - bbi_check() over a fresh walk, which afterwards stands where it failed, and knows why. */
BB_MUST_USE int bbi_check_walk(struct bbi_walk *w);

#endif

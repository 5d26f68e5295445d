/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/look_impl.h - what the files of the inspection handle share.
 */
#ifndef BUSBAR_LIB_ENDPOINT_LOOK_IMPL_H
#define BUSBAR_LIB_ENDPOINT_LOOK_IMPL_H

#include "busbar/inspect.h"
#include "shm/attach.h"
#include "shm/registry.h"
#include "shm/ring_read.h"

struct bb_look {
    struct bbi_attach at; /* read-only: no lock, no slot */
    unsigned fork_gen;
};

/* A ring, mapped for one call. */
struct bbi_ring_look {
    struct bbi_segment seg;
    struct bbi_ring_map map;
    struct bbi_row row;
    struct bbi_member_view member;
    bool knows_member; /* its slot still belongs to it */
    uint32_t state;    /* enum bb_node_state of its member */
};

/* bbi_look_ring - maps ring index; false when there is none or it is unreadable.  Close seg afterwards. */
bool bbi_look_ring(const struct bbi_attach *at, uint32_t index, struct bbi_ring_look *out);
/* bbi_look_sub - maps the cursors of subscriber index. */
bool bbi_look_sub(const struct bbi_attach *at,
                  uint32_t index,
                  struct bbi_row *row,
                  struct bbi_segment *seg);
/* bbi_look_state - enum bb_node_state of a member. */
uint32_t
bbi_look_state(const struct bbi_attach *at, uint32_t slot, const struct bbi_member_view *m);

#endif

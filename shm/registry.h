/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/registry.h - rings and subscribers come and go.
 *
 * A row of bus.ctl belongs to whoever holds the OFD lock on its byte: the member, or after its end the one
 * who tidies up.  Files are linked before their row becomes ACTIVE, so a row always names a whole file.
 * Threads    calls on one attachment are serialised by the caller.
 */
#ifndef BUSBAR_SHM_REGISTRY_H
#define BUSBAR_SHM_REGISTRY_H

#include "shm/attach.h"
#include "shm/ring.h"

struct bbi_own_file {
    struct bbi_segment seg;
    uint32_t index;
    uint32_t gen;
    uint64_t key;
    uint64_t born;
};

/* bbi_ring_register - a ring of our own.  BB_EFULL: 1,024 rings; BB_ENOSPC with the bytes in words. */
BB_MUST_USE int bbi_ring_register(struct bbi_attach *at,
                                  const struct bbi_ring_shape *shape,
                                  uint32_t lane,
                                  struct bbi_own_file *out,
                                  struct bbi_fault *f);
/* bbi_ring_close - no more messages; the file stays for its readers until the steward buries it. */
void bbi_ring_close(struct bbi_attach *at, struct bbi_own_file *own);

/* bbi_sub_register - cursors of our own.  Nobody looks at them before the first join. */
BB_MUST_USE int bbi_sub_register(struct bbi_attach *at,
                                 uint32_t flags,
                                 struct bbi_own_file *out,
                                 struct bbi_fault *f);
void bbi_sub_close(struct bbi_attach *at, struct bbi_own_file *own);

/* A row as one look saw it. */
struct bbi_row {
    uint32_t state, gen, member, member_gen, lane;
    uint64_t key, born, closed_ns;
};

/* bbi_row_read - false when the row is free or changes while it is read.  Acquire, R8. */
bool bbi_row_read(const struct bbi_entry *e, struct bbi_row *out);

/* bbi_member_read - name and role of a slot; false when it is free or changes while it is read. */
struct bbi_member_view {
    uint32_t state, gen, role, prev_end;
    int32_t pid;
    uint32_t uid;
    int64_t joined_wall_ns;
    char name[BBI_NAME_BYTES];
};
bool bbi_member_read(const struct bbi_member *m, struct bbi_member_view *out);

#endif

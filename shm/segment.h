/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/segment.h - files in shared memory: born complete, checked when opened.
 *
 * A file is made without a name, allocated to its last byte, filled, and then linked: nobody ever sees a
 * half-made one, there is nothing to wait for and nothing to repair.
 */
#ifndef BUSBAR_SHM_SEGMENT_H
#define BUSBAR_SHM_SEGMENT_H

#include "shm/layout.h"
#include <sys/types.h>

struct bbi_segment {
    void *base;
    uint64_t bytes;
};

/* bbi_segment_new - an unnamed, zeroed, writable file of bytes bytes; *fd_out is the caller's. */
BB_MUST_USE int
bbi_segment_new(int dir_fd, uint64_t bytes, mode_t mode, struct bbi_segment *out, int *fd_out);

/* bbi_segment_seal - computes the identity's check word; call last before linking. */
void bbi_segment_seal(struct bbi_ident *ident);

/* bbi_segment_ident - fills what every identity has in common. */
void bbi_segment_ident(struct bbi_ident *ident, enum bbi_file_kind kind, uint64_t file_bytes);

/*
 * bbi_segment_open - maps a file and checks its identity.
 *
 * Returns   0; -errno of opening; BB_EVERSION another layout major or unknown incompat bits;
 *           BB_ECORRUPT not one of our files, or of another kind, or shorter than it says.
 */
BB_MUST_USE int bbi_segment_open(
    int dir_fd, const char *name, enum bbi_file_kind kind, bool writable, struct bbi_segment *out);
void bbi_segment_close(struct bbi_segment *seg);

/* bbi_segment_check - the checks of open on an identity page; file_bytes is what the kernel says. */
BB_MUST_USE int
bbi_segment_check(const struct bbi_ident *ident, enum bbi_file_kind kind, uint64_t file_bytes);

#endif

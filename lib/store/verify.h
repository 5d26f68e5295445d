/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/verify.h - is it whole?  Everything is read, in a child process: LMDB ends a process over some damages.
 */
#ifndef BUSBAR_LIB_STORE_VERIFY_H
#define BUSBAR_LIB_STORE_VERIFY_H

#include "lib/store/dir.h"
#include "lib/store/record.h"

struct bb_store;

/*
 * bbi_store_admit - which generation a master may open; called with the lock held, before it opens anything.
 *
 * When no master closed it and the box was booted since, or VERIFY was asked for, it is read whole first.  When
 * there is none, or FRESH was asked for, an empty one is made; a damaged one is moved aside with START_EMPTY.
 * Returns   0; BB_ECORRUPT; BB_EVERSION; BB_ENOSPC, BB_EIO...; f says it in words, also when something was moved aside.
 */
BB_MUST_USE int bbi_store_admit(struct bb_store *s, uint64_t *generation, struct bbi_fault *f);

/* bbi_store_begin_empty - an empty generation becomes the one that counts, as another store than it was. */
BB_MUST_USE int bbi_store_begin_empty(struct bb_store *s, uint64_t generation, struct bbi_fault *f);

/*
 * bbi_store_tidy_opened - the one that counts is open: what is older goes.  What is later than a switch leaves behind
 * is moved to DIR/damaged-T.
 */
BB_MUST_USE int bbi_store_tidy_opened(struct bb_store *s, uint64_t generation, struct bbi_fault *f);

enum bbi_verify {
    BBI_VERIFY_ALL,
    BBI_VERIFY_UNLESS_CLOSED, /* by its master, on this boot: then only its state is read */
    BBI_VERIFY_UNLESS_KNOWN,  /* closed by its master, or of this boot */
};
/* bbi_verify_dir - gen_path holds data.mdb. */
BB_MUST_USE int
bbi_verify_dir(const char *gen_path, enum bbi_verify how, struct bb_store_verdict *out);

#endif

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

/* bbi_verify_dir - gen_path holds data.mdb.  only_if_open: a store that its master closed is not walked. */
BB_MUST_USE int
bbi_verify_dir(const char *gen_path, bool only_if_open, struct bb_store_verdict *out);

#endif

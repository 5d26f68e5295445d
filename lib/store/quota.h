/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/quota.h - what generation.c asks quota.c, and the other way round.
 */
#ifndef BUSBAR_LIB_STORE_QUOTA_H
#define BUSBAR_LIB_STORE_QUOTA_H

#include "lib/store/generation.h"

/* Bytes of the generation that grows, 0 when none does. */
uint64_t bbi_mirror_bytes(const struct bbi_mirror *m);

/* 0; BB_ENOSPC a copy of what is in use would go beyond the quota, or BBI_RETIRED_MAX are still in use. */
BB_MUST_USE int bbi_quota_has_room_for_copy(struct bb_store *s);
/* All generations together are more than the quota. */
bool bbi_quota_is_over(struct bb_store *s);

/* What is kept for deletes when writes are refused. */
uint64_t bbi_quota_reserve(uint64_t quota_bytes);

#endif

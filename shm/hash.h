/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/hash.h - the one door to xxHash: checks of identity pages, bytes of names, dictionary look-ups.
 */
#ifndef BUSBAR_SHM_HASH_H
#define BUSBAR_SHM_HASH_H

#include "shm/base.h"

/* bbi_hash64 - XXH3 (64 bit) of the bytes; the same on every machine. */
uint64_t bbi_hash64(const void *data, size_t bytes);

#endif

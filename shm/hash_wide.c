/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same hash in vectors of 32 bytes: frames of links are hashed as a whole on both sides, and the two passes cost more
 * than all else that is done with a large message.  This file alone is compiled for AVX2; hash.c asks the processor.
 */
#include "shm/hash_impl.h"

uint64_t
bbi_hash64_wide(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/hash.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wpedantic"
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic ignored "-Wcast-align"
#    pragma GCC diagnostic ignored "-Wduplicated-branches"
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>
#pragma GCC diagnostic pop

uint64_t
bbi_hash64(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

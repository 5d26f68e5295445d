/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/hash_impl.h - xxHash in a file of its own, as the compiler's flags for that file let it be.
 *
 * Used by    hash.c, and hash_wide.c where the processor may have wider vectors than the build asks for.
 */
#ifndef BUSBAR_SHM_HASH_IMPL_H
#define BUSBAR_SHM_HASH_IMPL_H

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

/* bbi_hash64_wide - as bbi_hash64(), for a processor with AVX2 only.  Built where BBI_HASH_WIDE is defined. */
uint64_t bbi_hash64_wide(const void *data, size_t bytes);

#endif

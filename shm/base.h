/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/base.h - what every file of shm/ builds on: sizes, checks, small arithmetic.
 */
#ifndef BUSBAR_SHM_BASE_H
#define BUSBAR_SHM_BASE_H

#include "shm/status.h"
#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BBI_LINE_BYTES =
        128, /* two cache lines: x86 prefetches the neighbour, some arm64 lines are as long */
    BBI_PAGE_BYTES = 4096, /* unit of the layout, not of the kernel's pages */
};

/* Our own mistakes only, never for what came from shared memory, a file or a user. */
_Noreturn void bbi_assert_failed(const char *file, int line, const char *condition);
#define BBI_ASSERT(cond) ((cond) ? (void)0 : bbi_assert_failed(__FILE__, __LINE__, #cond))

#ifndef NDEBUG
#    define BBI_DEBUG_ASSERT(cond) BBI_ASSERT(cond)
#else
#    define BBI_DEBUG_ASSERT(cond) ((void)0)
#endif

/* Out of the short way: its callers then save no registers for it. */
#define BBI_NOINLINE __attribute__((noinline))
#define BBI_INLINE                                                                                 \
    inline __attribute__((always_inline)) /* where the caller makes constants of arguments */

#define BBI_LIKELY(x)   __builtin_expect(!!(x), 1)
#define BBI_UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline uint64_t
bbi_align_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) & ~(to - 1);
}

static inline bool
bbi_is_pow2(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

static inline int64_t
bbi_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t
bbi_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t
bbi_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Positions and sequences run free; compare them by difference. */
static inline bool
bbi_is_before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

#endif

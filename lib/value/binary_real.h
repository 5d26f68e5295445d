/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/binary_real.h - reals as Broker's packer writes them: IEEE 754 in big-endian order, but
 *
 *   +inf  ff f0 00 ...   where IEEE has -inf
 *   -inf  7f f0 00 ...   where IEEE has +inf
 *   NaN   ff ff ff ...   whatever its bits were: there is only one
 *
 * Subnormals are plain IEEE here, both ways; Broker's own packer gets them wrong, and no reader could tell.
 *
 * Used by    binary_read, binary_write.
 */
#ifndef BUSBAR_LIB_VALUE_BINARY_REAL_H
#define BUSBAR_LIB_VALUE_BINARY_REAL_H

#include <stdint.h>

#define BBI_REAL_SIGN     (UINT64_C(1) << 63)
#define BBI_REAL_INFINITY (UINT64_C(0x7ff) << 52)
#define BBI_REAL_NAN      (UINT64_C(0xfff) << 51) /* the quiet one without sign, as compilers write it */

/* Both kinds of a NaN become the other side's one NaN, infinities change sign, all else stays. */
static inline uint64_t
bbi_real_swap(uint64_t bits, uint64_t nan)
{
    uint64_t magnitude = bits & ~BBI_REAL_SIGN;
    if (magnitude > BBI_REAL_INFINITY) {
        return nan;
    }
    return magnitude == BBI_REAL_INFINITY ? bits ^ BBI_REAL_SIGN : bits;
}

static inline uint64_t
bbi_real_to_broker(uint64_t bits)
{
    return bbi_real_swap(bits, UINT64_MAX);
}

static inline uint64_t
bbi_real_from_broker(uint64_t bits)
{
    return bbi_real_swap(bits, BBI_REAL_NAN);
}

#endif

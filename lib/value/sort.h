/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/sort.h - puts the elements of a set or table into Broker's order, in place.
 *
 * Used by    build.
 * Memory     None but a small constant on the stack.
 */
#ifndef BUSBAR_LIB_VALUE_SORT_H
#define BUSBAR_LIB_VALUE_SORT_H

#include "lib/value/native.h"

/*
 * bbi_sort - sorts count units of values_each values (2: key and value, ordered by the key).
 *
 * Cost      count - 1 compares when in order already; else O(n log n) compares, and O(n log^2 n) moves and
 *           steps, as units have different sizes.
 * Returns   0; BB_EEXIST two units are equal; BB_ECORRUPT the values do not fill the body.
 */
BB_MUST_USE int
bbi_sort(unsigned char *body, size_t body_bytes, uint32_t count, uint32_t values_each);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/common/distance.h - how far a word is from one that it may have been meant to be.
 *
 * Used by    the programs, to name the nearest word when one is unknown.
 * Method     Levenshtein, one row; O(a * b).
 */
#ifndef BUSBAR_TOOLS_COMMON_DISTANCE_H
#define BUSBAR_TOOLS_COMMON_DISTANCE_H

#include <stddef.h>
#include <string.h>

enum { WORD_DISTANCE_MAX = 32 }; /* bytes of b; a longer word is no misspelt one */

static inline size_t
word_distance_smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* word_distance - letters to insert, drop or change to make b of a; b of WORD_DISTANCE_MAX bytes at most. */
static inline size_t
word_distance(const char *a, const char *b)
{
    size_t row[WORD_DISTANCE_MAX + 1];
    size_t bytes = strlen(b);

    for (size_t k = 0; k <= bytes; k++) {
        row[k] = k;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t k = 0; k < bytes; k++) {
            size_t changed = diagonal + (a[i] != b[k]);

            diagonal = row[k + 1];
            row[k + 1] =
                word_distance_smaller(changed, word_distance_smaller(row[k], row[k + 1]) + 1);
        }
    }
    return row[bytes];
}

#endif

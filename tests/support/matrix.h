/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/support/matrix.h - the rows of tests/process/kill_matrix.txt: at which hook somebody is killed, doing what.
 */
#ifndef BUSBAR_TESTS_SUPPORT_MATRIX_H
#define BUSBAR_TESTS_SUPPORT_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bbt_row {
    char hook[40];
    char scene[16];
    char end[8];
    char label[80];
    uint32_t hit;
};

/* Scenes of stores begin so. */
#define BBT_STORE_SCENE "store_"

/* bbt_rows - those of stores, or all others.  BB_ROW: only those with this in their label.  How many. */
size_t bbt_rows(struct bbt_row *rows, size_t cap, bool is_store);

#endif

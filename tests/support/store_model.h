/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/support/store_model.h - what a command does to a key, as busbar/store.h says it: plain and slow.
 *
 * It shares nothing with lib/store but the header: elements are compared one by one and rebuilt with a builder.
 */
#ifndef BUSBAR_TESTS_SUPPORT_STORE_MODEL_H
#define BUSBAR_TESTS_SUPPORT_STORE_MODEL_H

#include "busbar/store.h"
#include <stdbool.h>

enum { BBT_MODEL_BYTES = 4 << 20 }; /* the largest value */

struct bbt_model_result {
    int code;
    bool has_value;        /* the key is there afterwards */
    struct bb_value value; /* its value then: within the model's buffer, or `old` */
    struct bb_value told;  /* the result's; p NULL: none */
};

/*
 * bbt_model_run - one command on a key with this value (NULL: it is not there) and version; not CLEAR.
 * What is pointed to is valid until the next call.
 */
void bbt_model_run(const struct bb_store_cmd *cmd,
                   const struct bb_value *old,
                   uint64_t version,
                   struct bbt_model_result *out);

/* bbt_model_hash - of a value, 0 for none. */
uint64_t bbt_model_hash(const struct bb_value *v);

#endif

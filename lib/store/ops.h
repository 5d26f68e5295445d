/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/ops.h - what a command does to a value: Broker's rules (who adds what to what).  Pure.
 *
 * Broker's verbs all are one "add" and one "subtract": the container in the store decides, not the verb; here
 * the verb has to fit (BB_ETYPE), so that a mistake is seen.  INCREMENT: count by count, integer by integer, real by real,
 * timespan by timespan, timestamp by timespan; DECREMENT the same.  A missing key starts as zero of the amount's type
 * (timespan: a timestamp at 1970), "", {}, [] or a table.
 */
#ifndef BUSBAR_LIB_STORE_OPS_H
#define BUSBAR_LIB_STORE_OPS_H

#include "busbar/store.h"
#include <stdbool.h>

/* A value being built, in memory that grows. */
struct bbi_made {
    unsigned char *p;
    size_t bytes, cap;
};
void bbi_made_free(struct bbi_made *m);
/* bbi_made_copy - the value, with its padding; v may lie in memory that is void soon. */
BB_MUST_USE int bbi_made_copy(struct bbi_made *m, const struct bb_value *v);

/*
 * bbi_op_apply - what `cmd` makes of `old` (NULL: there is none), for INCREMENT to POP.
 *
 * made      the new value; may point to nothing new: then changed is 0.
 * result    of INCREMENT, DECREMENT: within made; of POP: within old; else p NULL.
 * Returns   0; BB_ENOENT, BB_ETYPE, BB_ERANGE, BB_ENOMEM, BB_EMSGSIZE above 1 GiB.
 */
BB_MUST_USE int bbi_op_apply(const struct bb_store_cmd *cmd,
                             const struct bb_value *old,
                             struct bbi_made *made,
                             bool *changed,
                             struct bb_value *result);

/* bbi_op_index - get_index_from_value; made holds what is not in v (a boolean). */
BB_MUST_USE int bbi_op_index(const struct bb_value *v,
                             const struct bb_value *index,
                             struct bbi_made *made,
                             struct bb_value *out);

#endif

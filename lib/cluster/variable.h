/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/variable.h - names that others may ask a node for, and set.
 *
 * A question is a request of kind BB_CONTROL on `PREFIXnode/NAME/busbar/variable` with the event
 * busbar/variable (string name[, value to set]); the reply is the value alone, or a status with a sentence.
 */
#ifndef BUSBAR_LIB_CLUSTER_VARIABLE_H
#define BUSBAR_LIB_CLUSTER_VARIABLE_H

#include "busbar/cluster.h"
#include <stdbool.h>

#define BBI_VARIABLE_SERVICE "busbar/variable" /* behind the node topic; and the event's name */

enum { BBI_VARIABLE_NAME_MAX = 255, BBI_SENTENCE_BYTES = 160 };

struct bbi_variable {
    struct bbi_variable *next;
    bb_show_cb show;
    bb_set_cb set; /* NULL: only to be read */
    void *user;
    char name[]; /* NUL-terminated */
};

/* All zeros is an empty one. */
struct bbi_variables {
    struct bbi_variable *first;
    unsigned char *buf; /* of the last answer */
    size_t buf_bytes;
};

/* bbi_variables_find - NULL if there is none. */
const struct bbi_variable *
bbi_variables_find(const struct bbi_variables *v, const char *name, size_t bytes);
BB_MUST_USE int bbi_variables_add(
    struct bbi_variables *v, const char *name, bb_show_cb show, bb_set_cb set, void *user);
/* bbi_variables_drop - no more; nothing if there is none. */
void bbi_variables_drop(struct bbi_variables *v, const char *name);
void bbi_variables_fini(struct bbi_variables *v);

/*
 * bbi_variables_answer - what this node says to a question: sets it when value is not NULL, then shows it.
 *
 * value   not in shared memory.
 * *out    valid until the next answer.  sentence: why, when the code is not 0.
 * Returns 0; BB_ENOENT no such variable; BB_ENOTSUP it cannot be set; what set said; BB_ECORRUPT the value;
 *         BB_EMSGSIZE it is larger than most_bytes; BB_EINVAL show did not put one value.
 */
BB_MUST_USE int bbi_variables_answer(struct bbi_variables *v,
                                     const char *name,
                                     size_t name_bytes,
                                     const struct bb_value *value,
                                     size_t most_bytes,
                                     struct bb_value *out,
                                     char sentence[BBI_SENTENCE_BYTES]);

struct bb_cluster;
/* bbi_variables_standard - busbar::node and its kin, which every node has.  0 or BB_ENOMEM. */
BB_MUST_USE int bbi_variables_standard(struct bb_cluster *c);
/* bbi_variables_take - answers the request, if it is one. */
void bbi_variables_take(struct bb_cluster *c, const struct bb_msg *msg);

#endif

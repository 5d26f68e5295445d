/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/wants.h - what this bus wants of other boxes: the prefixes of all its subscribers, and how they changed.
 *
 * Sorted, each once, without those that another covers (`/a` makes `/a/b` say nothing new), narrowed to the topics that
 * links carry.  Bridges do not count: what one asks for here it asks for on behalf of another box.
 *
 * Used by    lib/link/local.
 */
#ifndef BUSBAR_LIB_LINK_WANTS_H
#define BUSBAR_LIB_LINK_WANTS_H

#include "lib/bridge/frame.h"
#include "lib/endpoint/bridge_words.h"
#include "lib/link/pass.h"
#include <busbar/endpoint.h>

enum { BBI_WANTS_MAX = 65536, BBI_WANTS_BYTES = 2 << 20 }; /* told to each box; see session.h */

struct bbi_wants {
    struct bbi_interest *items; /* sorted */
    size_t count, item_cap;
    char *text; /* of all prefixes */
    size_t text_bytes, text_cap;
    bool is_cut; /* there are more than the limits allow: the rest is not told */
};

void bbi_wants_fini(struct bbi_wants *wants);

/*
 * bbi_wants_look - what is wanted now, into *out, which is empty.
 *
 * Returns   0; BB_EAGAIN a subscriber was changing it: look again soon; BB_ENOMEM.
 */
BB_MUST_USE int
bbi_wants_look(struct bbi_wants *out, const struct bb_endpoint *ep, const struct bbi_pass *pass);

typedef void (*bbi_wants_cb)(void *user, const struct bbi_interest *change);
/* bbi_wants_diff - first all that is new, then all that went (is_removed): nothing is uncovered in between. */
void bbi_wants_diff(const struct bbi_wants *before,
                    const struct bbi_wants *after,
                    bbi_wants_cb cb,
                    void *user);

bool bbi_wants_has(const struct bbi_wants *wants, const struct bbi_interest *item);

/* For tests and bbi_wants_look(): one prefix more; then bbi_wants_settle() once. */
BB_MUST_USE int
bbi_wants_push(struct bbi_wants *wants, const char *prefix, size_t bytes, uint32_t flags);
void bbi_wants_settle(struct bbi_wants *wants);

#endif

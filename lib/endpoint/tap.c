/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/tap.c - a subscriber that registers nothing.
 */
#include "busbar/inspect.h"
#include "lib/endpoint/look_impl.h"
#include "lib/endpoint/subscriber_impl.h"
#include <stdlib.h>
#include <string.h>

/* Rings of a dead node that nobody buried yet. */
static int
open_dead_rows(struct bb_subscriber *sub, const char *node)
{
    int found = 0;
    for (uint32_t i = 0; i < BBI_RINGS; i++) {
        struct bbi_ring_look ring;
        if (!bbi_look_ring(sub->at, i, &ring)) {
            continue;
        }
        bool is_it = strcmp(((struct bbi_ident *)ring.seg.base)->name, node) == 0
                     && (ring.state == BB_NODE_DEAD || ring.row.state == BBI_ENTRY_CLOSED);
        bbi_segment_close(&ring.seg);
        if (is_it) {
            found += bbi_sources_open_row(sub, i);
        }
    }
    return found;
}

static int
start_dead(struct bb_subscriber *sub, const char *node, struct bbi_fault *f)
{
    sub->dead_node = strdup(node);
    if (sub->dead_node == NULL) {
        return BB_ENOMEM;
    }
    int found = open_dead_rows(sub, node) + bbi_sources_open_dead(sub, node);
    if (found == 0) {
        return bbi_fault_set(
            f, BB_ENOENT, node,
            "no dead node '%s' left a ring on bus '%s': the newest four are kept, look in %s/dead",
            node, sub->at->place.path, sub->at->place.path);
    }
    return 0;
}

int
bb_tap_open(struct bb_subscriber **out, struct bb_look *look, const struct bb_tap_opts *opts)
{
    struct bb_tap_opts o;
    struct bbi_fault f = {.code = BB_ENOMEM, .uid = -1, .sentence = "out of memory"};
    int rc = BBI_OPTS_TAKE(struct bb_tap_opts, &o, opts);
    rc = rc < 0 ? rc : bbi_opts_flags(o.flags, BB_SUBSCRIBER_STATUS, "struct bb_tap_opts", o.error);
    if (rc < 0) {
        return rc;
    }
    struct bb_subscriber *sub = bbi_subscriber_new(&look->at);
    if (sub == NULL) {
        return bbi_error_set(o.error, &f);
    }
    sub->flags = o.flags & BB_SUBSCRIBER_STATUS;
    sub->start = o.dead_node != NULL && o.start == BB_START_NOW ? BB_START_OLDEST : o.start;
    sub->start_count = o.start_count;
    sub->wait_mode = BB_WAIT_PERIODIC;
    sub->period_ns = o.period_ns > 0 ? o.period_ns : sub->period_ns;
    sub->is_copying = true;
    rc = bbi_subscriber_first_prefixes(sub, o.prefixes, o.prefix_bytes, o.prefix_count,
                                       o.prefix_flags);
    if (rc == 0 && o.dead_node != NULL) {
        rc = start_dead(sub, o.dead_node, &f);
    } else if (rc == 0) {
        bbi_sources_discover(sub);
        sub->is_started = true;
    }
    if (rc < 0) {
        bb_subscriber_close(sub);
        f.code = rc;
        return bbi_error_set(o.error, &f);
    }
    *out = sub;
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/control.h - requests of programs to this bridge: lib/include/busbar/bridge.h is the other end.
 *
 * Requests are native values on the reserved topic `<$>bridge/ask`, answers too; lib/endpoint/bridge_words.h has both.
 * Who may attach to this bus may ask: the directory's permissions are the rule.
 */
#ifndef BUSBAR_LIB_LINK_CONTROL_H
#define BUSBAR_LIB_LINK_CONTROL_H

#include "lib/link/local.h"

struct bbi_control;

struct bbi_control_opts {
    struct bb_endpoint *ep;
    struct bbi_hub *hub;
    struct bbi_local *local;
    enum bbi_security security;
    const struct bbi_hello *self;
    int64_t started_wall_ns;
};
BB_MUST_USE int bbi_control_open(struct bbi_control **out,
                                 const struct bbi_control_opts *opts,
                                 struct bbi_fault *f);
void bbi_control_close(struct bbi_control *control);
int bbi_control_fd(struct bbi_control *control);
/* bbi_control_turn - takes what was asked, answers what is known, and what waits when its time is over.  Returns when again. */
int64_t bbi_control_turn(struct bbi_control *control, int64_t mono_ns);
/* Of the hub's events: what somebody waits for. */
void bbi_control_dialed(struct bbi_control *control,
                        const char *address,
                        int status,
                        const char *sentence);
void bbi_control_up(struct bbi_control *control, struct bbi_box *box);
void bbi_control_barrier(struct bbi_control *control, struct bbi_box *box, uint64_t token);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/daemon/plan.h - what a start would do, in words: `busbard --check` and `busbard --probe`.
 */
#ifndef BUSBAR_TOOLS_DAEMON_PLAN_H
#define BUSBAR_TOOLS_DAEMON_PLAN_H

#include "tools/daemon/settings.h"
#include <stdio.h>

/* daemon_plan_print - a line for each thing. */
void daemon_plan_print(FILE *to, const struct daemon_opts *o, const struct bbi_daemon_plan *plan);

/* daemon_probe_print - one line, "engine: io_uring" or "engine: epoll: WHY"; `busbar doctor` reads it. */
void daemon_probe_print(FILE *to);

#endif

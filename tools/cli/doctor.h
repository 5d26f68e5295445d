/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/doctor.h - a list of checks, each with a verdict and, unless all is well, what mends it.
 */
#ifndef BUSBAR_TOOLS_CLI_DOCTOR_H
#define BUSBAR_TOOLS_CLI_DOCTOR_H

#include "tools/cli/verbs.h"
#include <busbar/inspect.h>
#include <stddef.h>
#include <stdint.h>

enum cli_verdict { CLI_OK, CLI_WARN, CLI_FAIL };

struct cli_check {
    const char *name;
    enum cli_verdict verdict;
    char detail[512];
    char fix[256]; /* a command or a sentence; empty when all is well */
};

enum { CLI_CHECKS_MAX = 32 };

struct cli_doctor {
    const struct cli_call *call;
    char dir[256];          /* where the buses live */
    struct bb_look *look;   /* NULL: there is no bus that we could look at */
    struct bb_bus_info bus; /* zeros without a bus */
    char no_bus[512];       /* why there is none, if there is none */
    struct cli_check checks[CLI_CHECKS_MAX];
    size_t check_count;
};

/* cli_check_add - appends a check. */
__attribute__((format(printf, 4, 5))) void cli_check_add(
    struct cli_doctor *d, enum cli_verdict verdict, const char *name, const char *format, ...);

/* cli_check_fix - what mends the check that was added last. */
__attribute__((format(printf, 2, 3))) void
cli_check_fix(struct cli_doctor *d, const char *format, ...);

void cli_doctor_box(struct cli_doctor *d);   /* the machine and this user's limits */
void cli_doctor_links(struct cli_doctor *d); /* what links between boxes would use */
int
cli_doctor_bus(struct cli_doctor *d); /* the bus, when d->look is open; CLI_DONE or an exit code */

#endif

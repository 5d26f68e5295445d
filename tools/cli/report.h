/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/report.h - exit codes, and sentences on standard error.
 */
#ifndef BUSBAR_TOOLS_CLI_REPORT_H
#define BUSBAR_TOOLS_CLI_REPORT_H

#include "tools/cli/verbs.h"
#include <busbar/endpoint.h>

enum cli_exit {
    CLI_DONE = 0,
    CLI_NO = 1,         /* the answer is no */
    CLI_USAGE = 2,      /* wrong usage */
    CLI_TIME = 3,       /* time ran out */
    CLI_NONE = 4,       /* no such bus, node, topic */
    CLI_PERMISSION = 5, /* permission */
    CLI_VERSION = 6,    /* versions differ */
    CLI_RESOURCE = 7,   /* memory, files, space */
    CLI_FAILED = 8,     /* any other failure */
};

/* cli_exit_code - the exit code for a status of the library; 0 for zero and above. */
int cli_exit_code(int status);

/* cli_say - one line on standard error: `busbar: ...`. */
__attribute__((format(printf, 1, 2))) void cli_say(const char *format, ...);

/* cli_wrong - the sentence and the verb's usage (verb NULL: none); returns CLI_USAGE. */
__attribute__((format(printf, 2, 3))) int
cli_wrong(const struct cli_verb *verb, const char *format, ...);

/*
 * cli_report - says the error's sentence, or `what: status` when there is none, and for BB_ENOBUS which
 * buses this box has; returns the exit code.  error may be NULL.
 */
int
cli_report(const struct cli_call *call, int status, const struct bb_error *error, const char *what);

/* cli_check_topic - CLI_DONE, or CLI_USAGE after saying that one may not publish on a reserved topic. */
int cli_check_topic(const char *topic);

#endif

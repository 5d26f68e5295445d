/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/daemon/exit.h - exit codes, those of busbar(1).
 */
#ifndef BUSBAR_TOOLS_DAEMON_EXIT_H
#define BUSBAR_TOOLS_DAEMON_EXIT_H

enum daemon_exit {
    DAEMON_DONE = 0,
    DAEMON_NO = 1,         /* another busbard serves this bus */
    DAEMON_USAGE = 2,      /* flags or file are wrong */
    DAEMON_NONE = 4,       /* no such host or file */
    DAEMON_PERMISSION = 5, /* keys that others may read; listening without a key; not ours */
    DAEMON_VERSION = 6,
    DAEMON_RESOURCE = 7,
    DAEMON_FAILED = 8,
};

/* daemon_exit_code - for a status of the library; 0 for zero and above. */
int daemon_exit_code(int status);

#endif

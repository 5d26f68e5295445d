/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/daemon/say.h - lines for people on standard error: `busbard: warning: ...`.
 *
 * When standard error is the journal, a line begins with its priority instead (`<4>...`), and the journal adds the name.
 */
#ifndef BUSBAR_TOOLS_DAEMON_SAY_H
#define BUSBAR_TOOLS_DAEMON_SAY_H

/* daemon_say_start - verbosity -1: warnings and errors; 0: notices and information too; 1: all. */
void daemon_say_start(int verbosity);

/* level "error", "warning", "notice", "info", "debug". */
__attribute__((format(printf, 2, 3))) void daemon_say(const char *level, const char *format, ...);

#endif

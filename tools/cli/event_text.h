/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/event_text.h - `name(arg, arg)` as people type it becomes a typed event.
 *
 *   5  count      -5 +5  integer     2.5 1e3  real      T F  boolean     300ms  timespan    nil  none
 *   10.0.0.1 ::1  address            10.0.0.0/8  subnet                  80/tcp  port
 *   "a, b"        string, with \" \\ \n \t \r \xNN      anything else    string, as it stands
 */
#ifndef BUSBAR_TOOLS_CLI_EVENT_TEXT_H
#define BUSBAR_TOOLS_CLI_EVENT_TEXT_H

#include <busbar/value.h>
#include <stddef.h>

enum { CLI_WRONG_BYTES = 256 };

/*
 * cli_event_put - puts the whole event.  With a builder without buffer it only measures.
 *
 * Returns   0, or BB_EINVAL with a sentence in wrong; what the builder says is in b->err.
 */
int cli_event_put(struct bb_builder *b, const char *text, char wrong[CLI_WRONG_BYTES]);

#endif

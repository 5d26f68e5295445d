/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/event_text.h - `name(arg, arg)` as people type it becomes a typed event.
 *
 * The arguments are the text form of a vector, so bb_put_text() says what they are:
 *   5  count      -5 +5  integer     2.5 1e3  real      T F  boolean     300ms  timespan    nil  none
 *   10.0.0.1 ::1  address            10.0.0.0/8  subnet                  80/tcp  port
 *   (a, b)  vector                   {a, b}  set                         {a -> b}  table
 *   "a, b"        string, with \" \\ \n \t \r \xNN      anything else    string, as it stands
 */
#ifndef BUSBAR_TOOLS_CLI_EVENT_TEXT_H
#define BUSBAR_TOOLS_CLI_EVENT_TEXT_H

#include <busbar/codec.h>
#include <stddef.h>

/*
 * cli_event_put - puts the whole event.  With a builder without buffer it only measures.
 *
 * Returns   0, or BB_EINVAL with *error filled, whose offset counts from text; what else the builder says is
 *           in b->err.
 */
int cli_event_put(struct bb_builder *b, const char *text, struct bb_codec_error *error);

#endif

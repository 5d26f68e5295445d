/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/json.h - writes JSON to standard output; commas and quotes take care of themselves.
 *
 * A key of NULL is an element of an array.  Strings that are no UTF-8 get U+FFFD for each wrong byte.
 */
#ifndef BUSBAR_TOOLS_CLI_JSON_H
#define BUSBAR_TOOLS_CLI_JSON_H

#include <stddef.h>
#include <stdint.h>

struct cli_json {   /* {0} at the start */
    int has_before; /* something stands before, on this level: a comma is due */
};

void cli_json_object(struct cli_json *j, const char *key);
void cli_json_array(struct cli_json *j, const char *key);
void cli_json_end_object(struct cli_json *j);
void cli_json_end_array(struct cli_json *j);
void cli_json_text(struct cli_json *j, const char *key, const char *text);
void cli_json_bytes(struct cli_json *j, const char *key, const char *text, size_t bytes);
void cli_json_count(struct cli_json *j, const char *key, uint64_t v);
void cli_json_integer(struct cli_json *j, const char *key, int64_t v);
void cli_json_real(struct cli_json *j, const char *key, double v); /* three decimals */
void cli_json_boolean(struct cli_json *j, const char *key, int v);
void cli_json_null(struct cli_json *j, const char *key);
void
cli_json_wall(struct cli_json *j, const char *key, int64_t wall_ns); /* RFC 3339 with nanoseconds */
/* cli_json_raw - what is JSON already. */
void cli_json_raw(struct cli_json *j, const char *key, const char *json, size_t bytes);
void cli_json_line_end(struct cli_json *j);

#endif

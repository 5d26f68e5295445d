/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/json_members.h - takes a JSON object apart into its members, without looking into their values.
 *
 * Whose values they are reads them, and refuses what is wrong inside them.
 */
#ifndef BUSBAR_TOOLS_CLI_JSON_MEMBERS_H
#define BUSBAR_TOOLS_CLI_JSON_MEMBERS_H

#include <busbar/codec.h>
#include <stddef.h>

struct cli_json_member {
    const char *name; /* between its quotes; escapes stand as they are */
    size_t name_bytes;
    const char *value; /* with its quotes or brackets, without blanks around it */
    size_t value_bytes;
};

/*
 * cli_json_members - the members of `{"name":value,...}`, which blanks may surround.
 *
 * Returns   how many; BB_EINVAL with *error when it is no object, is cut short, or has more than max members.
 */
int cli_json_members(const char *text,
                     size_t bytes,
                     struct cli_json_member *out,
                     int max,
                     struct bb_codec_error *error);

#endif

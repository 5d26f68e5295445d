/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/message.h - a message or status as one line.
 */
#ifndef BUSBAR_TOOLS_CLI_MESSAGE_H
#define BUSBAR_TOOLS_CLI_MESSAGE_H

#include "tools/cli/buffer.h"
#include <busbar/endpoint.h>

enum cli_form {
    CLI_FORM_TEXT, /* TOPIC DATA, unprintable bytes escaped */
    CLI_FORM_JSON, /* bb_msg_json() */
    CLI_FORM_DATA, /* raw data as it is, values and events as text */
};

/* cli_put_message - appends the line with its end; on failure out->err is set. */
void cli_put_message(struct cli_buffer *out, const struct bb_msg *msg, enum cli_form form);

#endif

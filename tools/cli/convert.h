/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/convert.h - a value from one of its forms into another, by way of the native one.
 *
 * Used by    value, pub --type, print, set.
 */
#ifndef BUSBAR_TOOLS_CLI_CONVERT_H
#define BUSBAR_TOOLS_CLI_CONVERT_H

#include "tools/cli/buffer.h"
#include <busbar/codec.h>

enum cli_form {
    CLI_FORM_TEXT,   /* as bb_put_text() and bb_value_text() */
    CLI_FORM_JSON,   /* JSON v1 */
    CLI_FORM_EXACT,  /* JSON v1 that loses nothing; read as JSON */
    CLI_FORM_BIN,    /* Broker's binary v1, in hex */
    CLI_FORM_NATIVE, /* the bytes of a message, in hex */
};

/* cli_form_parse - the form of this name (text, json, bin, native), or -1. */
int cli_form_parse(const char *name);

/* cli_type_parse - BB_TYPE_ANY for "any", a type by its name, or BB_EINVAL. */
int cli_type_parse(const char *name);

/*
 * cli_value_read - the native form of what is written, in *native, whose content is replaced.
 *
 * type      of CLI_FORM_TEXT, else not looked at.
 * Returns   0; BB_EINVAL with *error, whose offset counts in s; BB_ENOMEM.
 */
int cli_value_read(struct cli_buffer *native,
                   enum cli_form form,
                   int type,
                   const char *s,
                   size_t bytes,
                   struct bb_codec_error *error);

/* cli_value_print - the value in this form at the end of *out.  0, or a status. */
int cli_value_print(struct cli_buffer *out, enum cli_form form, const struct cli_buffer *native);

/* cli_value_append - the same for a value that lies elsewhere; not for CLI_FORM_BIN and CLI_FORM_NATIVE. */
int cli_value_append(struct cli_buffer *out, enum cli_form form, const struct bb_value *v);

#endif

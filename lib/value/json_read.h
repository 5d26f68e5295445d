/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/json_read.h - JSON v1 inside another text.
 *
 * Used by    text_read.
 */
#ifndef BUSBAR_LIB_VALUE_JSON_READ_H
#define BUSBAR_LIB_VALUE_JSON_READ_H

#include "lib/value/refuse.h"

/* bbi_looks_like_json - true if an object begins here whose first member is "@data-type" or "data". */
bool bbi_looks_like_json(const char *p, const char *end);

/*
 * bbi_json_read - puts the value that begins at *p, which moves behind it.  Offsets of errors count from begin.
 *
 * Returns   its type, or a negative status after filling *error; the builder is not touched then.
 */
BB_MUST_USE int bbi_json_read(struct bb_builder *b,
                              const char *begin,
                              const char **p,
                              const char *end,
                              struct bb_codec_error *error);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/text.h - what the printed forms share.
 *
 * Used by    text, json; lib/endpoint/msg_json.
 */
#ifndef BUSBAR_LIB_VALUE_TEXT_H
#define BUSBAR_LIB_VALUE_TEXT_H

#include "lib/value/out.h"
#include "lib/value/walk.h"

/* bbi_text_leaf - the text form of the value at which the walk stands, which is no container. */
void bbi_text_leaf(struct bbi_out *out, const struct bbi_walk *w);

/* bbi_json_value - appends JSON v1; BB_ECORRUPT leaves out->len in the middle: the caller sets it back. */
BB_MUST_USE int bbi_json_value(struct bbi_out *out, const struct bb_value *v);

#endif

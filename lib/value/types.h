/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/types.h - the names of the types, as JSON v1 has them.
 *
 * Used by    json, json_read, text_read, leaf.
 */
#ifndef BUSBAR_LIB_VALUE_TYPES_H
#define BUSBAR_LIB_VALUE_TYPES_H

#include <busbar/codec.h>

/* bbi_type_find - the type of exactly this name, or BB_EINVAL; unlike bb_type_parse() it knows no "enum". */
BB_MUST_USE int bbi_type_find(const char *name, size_t bytes);

#endif

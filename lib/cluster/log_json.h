/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/log_json.h - a record as one line of JSON, as Zeek's JSON logs have them.
 *
 * Form       {"ts":1521911720.866586,"id.orig_h":"10.0.0.1","id.orig_p":41772,"answers":["a","b"]}
 *            none is left out (null inside a container); times and spans are seconds; ports are numbers;
 *            addresses, subnets, enums and strings are strings; sets and vectors are arrays, tables objects.
 *            Infinities and NaN are the strings "inf", "-inf", "nan", since JSON has no others.
 * Safety     The record may change under us, in a ring: the line is then wrong, never a read outside.
 * Threads    Pure; any thread.
 */
#ifndef BUSBAR_LIB_CLUSTER_LOG_JSON_H
#define BUSBAR_LIB_CLUSTER_LOG_JSON_H

#include "lib/cluster/log_schema.h"

enum {
    BBI_LOG_JSON_ISO = 1u << 0, /* times as "2018-03-24T17:15:20.866586Z" */
};

/*
 * bbi_log_json - the line of the record at the start of the window, with its newline.
 *
 * Returns   its bytes; more than cap: what was written is void, and so many bytes of room are surely enough.
 *           BB_ETYPE, BB_ECORRUPT: it is not as the schema says.  *used: bytes of the record, in any case but
 *           BB_ECORRUPT.
 */
BB_MUST_USE int64_t bbi_log_json(char *out,
                                 size_t cap,
                                 const struct bbi_log_schema *s,
                                 const unsigned char *record,
                                 size_t window,
                                 uint32_t flags,
                                 size_t *used);

#endif

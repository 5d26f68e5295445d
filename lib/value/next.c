/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: each takes the next value with a cursor of its own, and the caller's cursor moves there only when
 * the accessor was content.
 */
#define BB_NO_INLINE 1 /* the exported functions are defined here */
#include "lib/value/native.h"

/* The cursor after the next value, and that value. */
static int
look(const struct bb_iter *it, struct bb_iter *after, struct bb_value *v)
{
    *after = *it;
    return bb_iter_next(after, v);
}

/* Moves on if the accessor returned 0; passes on what it returned. */
static int
move(struct bb_iter *it, const struct bb_iter *after, int rc)
{
    if (rc == 0) {
        *it = *after;
    }
    return rc;
}

int
bb_next_boolean(struct bb_iter *it, int *out)
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_boolean(&v, out));
}

int
bb_next_count(struct bb_iter *it, uint64_t *out)
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_count(&v, out));
}

int
bb_next_integer(struct bb_iter *it, int64_t *out)
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_integer(&v, out));
}

int
bb_next_real(struct bb_iter *it, double *out)
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_real(&v, out));
}

int
bb_next_string(struct bb_iter *it, const char **s, size_t *bytes)
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_string(&v, s, bytes));
}

int
bb_next_address(struct bb_iter *it, uint8_t ip[16])
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_address(&v, ip));
}

int
bb_next_subnet(struct bb_iter *it, uint8_t ip[16], uint32_t *prefix_bits)
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_subnet(&v, ip, prefix_bits));
}

int
bb_next_port(struct bb_iter *it, uint16_t *number, enum bb_protocol *protocol)
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_port(&v, number, protocol));
}

int
bb_next_timestamp(struct bb_iter *it, int64_t *wall_ns)
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_timestamp(&v, wall_ns));
}

int
bb_next_timespan(struct bb_iter *it, int64_t *span_ns)
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_timespan(&v, span_ns));
}

int
bb_next_enum(struct bb_iter *it, const char **s, size_t *bytes)
{
    struct bb_iter after;
    struct bb_value v;
    int rc = look(it, &after, &v);
    return rc < 0 ? rc : move(it, &after, bb_get_enum(&v, s, bytes));
}

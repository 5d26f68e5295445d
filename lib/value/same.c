/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Equality and hash.
 *
 * The idea: the form is canonical, so both are of the bytes, without looking at what is in them.  The padding
 * behind a value is no part of it: the last one of a message may be missing.
 */
#include "lib/value/native.h"
#include "shm/hash.h"

#include <busbar/value.h>

int
bb_value_equal(const struct bb_value *a, const struct bb_value *b)
{
    uint64_t a_head = bbi_head_read(a->p, a->bytes);
    uint64_t b_head = bbi_head_read(b->p, b->bytes);
    return a_head != 0 && a_head == b_head
           && memcmp(a->p + BBI_HEAD_BYTES, b->p + BBI_HEAD_BYTES,
                     bbi_head_bytes(a_head) - BBI_HEAD_BYTES)
                  == 0;
}

uint64_t
bb_value_hash(const struct bb_value *v)
{
    static const unsigned char none[BBI_HEAD_BYTES] = {BBI_HEAD_BYTES};
    uint64_t head = bbi_head_read(v->p, v->bytes);
    return head == 0 ? bbi_hash64(none, sizeof(none)) : bbi_hash64(v->p, bbi_head_bytes(head));
}

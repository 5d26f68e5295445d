/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames and answers of a store from hostile bytes, and what their commands do to a value.
 *
 * Input      u8 what (even: a frame, odd: an answer); then its bytes.
 * Oracle     a frame that is read is written again as the same bytes; what a command makes of the key or value
 *            before it passes the check of values.
 */
#include "lib/store/command.h"
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>

enum { CMDS_MAX = 64 };

static bool
is_good(const struct bb_value *v)
{
    return v->p == NULL || bb_value_check(v) == 0;
}

static void
apply(const struct bb_store_cmd *c, const struct bb_value *old, struct bbi_made *made)
{
    bool changed;
    struct bb_value result;
    if (!bbi_cmd_is_whole(c) || c->op < BB_STORE_INCREMENT || c->op > BB_STORE_POP) {
        return;
    }
    if (bbi_op_apply(c, old->p != NULL ? old : NULL, made, &changed, &result) == 0 && changed) {
        const struct bb_value v = {made->p, made->bytes};
        FUZZ_CHECK(is_good(&v) && is_good(&result));
    }
    if (c->index.p != NULL && old->p != NULL && bbi_op_index(old, &c->index, made, &result) == 0) {
        FUZZ_CHECK(is_good(&result));
    }
}

static void
read_frame(struct bbi_bytes raw)
{
    struct bbi_frame_head head;
    static struct bb_store_cmd cmds[CMDS_MAX];
    struct bb_value old = {NULL, 0};
    struct bbi_made made = {0};
    size_t off = 0;
    uint32_t n = 0;
    int rc = bbi_frame_read(&head, raw);
    bool are_whole = true;
    for (; rc == 0 && n < head.count && n < CMDS_MAX; n++) {
        rc = bbi_frame_next(raw, &off, &cmds[n]);
        if (rc == 0) {
            FUZZ_CHECK(is_good(&cmds[n].key) && is_good(&cmds[n].value) && is_good(&cmds[n].index));
            apply(&cmds[n], &old, &made);
            old = cmds[n].value.p != NULL ? cmds[n].value : cmds[n].key;
            are_whole = are_whole && bbi_cmd_is_whole(&cmds[n]);
        }
    }
    bbi_made_free(&made);
    if (rc == 0 && n == head.count && n > 0 && off == raw.bytes && are_whole) {
        FUZZ_CHECK(bbi_frame_bytes(cmds, n) == (int64_t)raw.bytes);
        unsigned char *again = malloc(raw.bytes);
        FUZZ_CHECK(again != NULL && bbi_frame_write(again, raw.bytes, &head, cmds) == 0);
        FUZZ_CHECK(memcmp(again, raw.p, raw.bytes) == 0);
        free(again);
    }
}

static void
read_answer(struct bbi_bytes raw)
{
    struct bbi_answer_head head;
    struct bb_store_result r;
    size_t off = 0;
    int rc = bbi_answer_read(&head, raw);
    for (uint32_t i = 0; rc == 0 && i < head.count; i++) {
        rc = bbi_answer_next(raw, &off, &r);
        if (rc == 0 && r.value.p != NULL) {
            fuzz_touch(r.value.p, r.value.bytes);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_in in = {data, bytes};
    bool is_frame = fuzz_u8(&in) % 2 == 0;
    unsigned char *copy = fuzz_copy(in.p, in.left);
    (is_frame ? read_frame : read_answer)((struct bbi_bytes){copy, in.left});
    free(copy);
    return 0;
}

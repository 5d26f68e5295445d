/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Broker's binary v1 from hostile bytes.
 * Oracle     what decodes encodes, and decodes to the same; encoding that a second time gives the same bytes.
 */
#include "tests/fuzz/decoded.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct bb_value v;
    if (!fuzz_decode(bb_put_binary, data, bytes, &v)) {
        return 0;
    }
    int64_t coded = bb_value_binary(&v, NULL, 0);
    FUZZ_CHECK(coded > 0
               && coded <= (int64_t)bytes); /* a varbyte may have had more bytes than it needs */
    unsigned char *again = malloc((size_t)coded);
    FUZZ_CHECK(again != NULL && bb_value_binary(&v, again, (size_t)coded) == coded);
    fuzz_expect_same(bb_put_binary, again, (size_t)coded, &v);
    free(again);
    fuzz_decoded_free(&v);
    return 0;
}

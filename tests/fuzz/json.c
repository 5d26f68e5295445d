/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON v1 from hostile bytes.
 * Oracle     what decodes comes back as the same value from the exact form; Broker's form is legal JSON v1 too.
 */
#include "tests/fuzz/decoded.h"

static void
put_json(struct bb_builder *b, const void *data, size_t bytes, struct bb_codec_error *error)
{
    bb_put_json(b, data, bytes, error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct bb_value v;
    if (!fuzz_decode(put_json, data, bytes, &v)) {
        return 0;
    }
    int64_t exact = bb_value_json_exact(&v, NULL, 0);
    FUZZ_CHECK(exact > 0);
    char *json = malloc((size_t)exact + 1);
    FUZZ_CHECK(json != NULL && bb_value_json_exact(&v, json, (size_t)exact + 1) == exact);
    fuzz_expect_same(put_json, json, (size_t)exact, &v);
    free(json);
    FUZZ_CHECK(bb_value_json(&v, NULL, 0) > 0);
    fuzz_decoded_free(&v);
    return 0;
}

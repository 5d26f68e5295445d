/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text from hostile bytes.
 *
 * Input      u8 type (15 and up: any), then the text.
 * Oracle     a value of the wanted type; one that is no container is written and read again as the same, a real
 *            at least as the same text; a whole number has the digits of its text, a span its sign.
 */
#include "tests/fuzz/decoded.h"

static int wanted_type;

static void
put_text(struct bb_builder *b, const void *data, size_t bytes, struct bb_codec_error *error)
{
    bb_put_text(b, wanted_type, data, bytes, error);
}

/* The text of v, for free(). */
static char *
text_of(const struct bb_value *v, size_t *bytes)
{
    int64_t text_bytes = bb_value_text(v, NULL, 0);
    FUZZ_CHECK(text_bytes >= 0);
    char *text = malloc((size_t)text_bytes + 1);
    FUZZ_CHECK(text != NULL && bb_value_text(v, text, (size_t)text_bytes + 1) == text_bytes);
    *bytes = (size_t)text_bytes;
    return text;
}

static void
check_again(const struct bb_value *v, int type)
{
    size_t bytes;
    size_t again_bytes;
    struct bb_value w;
    char *text = text_of(v, &bytes);
    wanted_type = type;
    FUZZ_CHECK(fuzz_decode(put_text, text, bytes, &w));
    char *again = text_of(&w, &again_bytes);
    FUZZ_CHECK(again_bytes == bytes && memcmp(text, again, bytes) == 0);
    FUZZ_CHECK(type == BB_REAL || bb_value_equal(v, &w) == 1);
    free(again);
    free(text);
    fuzz_decoded_free(&w);
}

/* The digits that count, without sign and zeros in front. */
static const char *
digits_of(const char *text, size_t *bytes)
{
    while (*bytes > 1 && (*text == '+' || *text == '-' || *text == '0')) {
        text++;
        (*bytes)--;
    }
    return text;
}

/* Held against the text itself, which a decoder that wraps around would not notice. */
static void
check_number(const struct bb_value *v, int type, const char *text, size_t bytes)
{
    int64_t span_ns;
    if (bytes == 0 || *text == '{') {
        return; /* JSON */
    }
    if (type == BB_COUNT || type == BB_INTEGER) {
        size_t own_bytes;
        char *own = text_of(v, &own_bytes);
        bool is_same_sign = (own[0] == '-') == (text[0] == '-');
        const char *wanted = digits_of(text, &bytes);
        const char *got = digits_of(own, &own_bytes);
        FUZZ_CHECK(own_bytes == bytes && memcmp(got, wanted, bytes) == 0);
        FUZZ_CHECK(is_same_sign || (bytes == 1 && *wanted == '0'));
        free(own);
    } else if (bb_get_timespan(v, &span_ns) == 0) {
        FUZZ_CHECK(*text == '-' ? span_ns <= 0 : span_ns >= 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_in in = {data, bytes};
    struct bb_value v;
    uint8_t type_byte = fuzz_u8(&in);
    wanted_type = type_byte <= BB_VECTOR ? type_byte : BB_TYPE_ANY;
    if (!fuzz_decode(put_text, in.p, in.left, &v)) {
        return 0;
    }
    int type = bb_value_type(&v);
    FUZZ_CHECK(wanted_type == BB_TYPE_ANY || wanted_type == type);
    if (type != BB_SET && type != BB_TABLE && type != BB_VECTOR) {
        check_number(&v, type, (const char *)in.p, in.left);
        check_again(&v, type);
    }
    fuzz_decoded_free(&v);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    An object's members are found where they are, whatever their values hold; what is no object is refused.
 * Method  Fixed texts, good and bad; a good one cut at every byte.
 */
#include "tools/cli/json_members.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { MAX = 3 };

static int
members(const char *text, struct cli_json_member out[MAX], struct bb_codec_error *error)
{
    return cli_json_members(text, strlen(text), out, MAX, error);
}

static int
is(const char *p, size_t bytes, const char *text)
{
    return bytes == strlen(text) && memcmp(p, text, bytes) == 0;
}

Test(cli_json_members, found_where_they_are)
{
    struct cli_json_member m[MAX];
    struct bb_codec_error error;

    cr_assert_eq(
        members(" { \"a\" : {\"b\":[1,\"]}\\\"\"]} ,\"c\":-1.5e3, \"\\u0041\":\"x\\\\\" }\r", m,
                &error),
        3);
    cr_assert(is(m[0].name, m[0].name_bytes, "a"));
    cr_assert(is(m[0].value, m[0].value_bytes, "{\"b\":[1,\"]}\\\"\"]}"));
    cr_assert(is(m[1].name, m[1].name_bytes, "c"));
    cr_assert(is(m[1].value, m[1].value_bytes, "-1.5e3"));
    cr_assert(is(m[2].name, m[2].name_bytes, "\\u0041"));
    cr_assert(is(m[2].value, m[2].value_bytes, "\"x\\\\\""));
    cr_assert_eq(members("{}", m, &error), 0);
    cr_assert_eq(members("{\"a\":null}", m, &error), 1);
    cr_assert(is(m[0].value, m[0].value_bytes, "null"));
}

Test(cli_json_members, refused_with_a_place)
{
    static const struct {
        const char *text;
        size_t offset;
    } bad[] = {
        {"", 0},           {"[1]", 0},        {"{\"a\":1} x", 8},
        {"{\"a\"}", 4},    {"{\"a\":}", 5},   {"{\"a\":1 \"b\":2}", 7},
        {"{a:1}", 1},      {"{\"a\":1,}", 7}, {"{\"a\":\"x}", 8},
        {"{\"a\":[1}", 8}, {"{\"a\":1", 6},   {"{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", 19},
    };
    struct cli_json_member m[MAX];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct bb_codec_error error = {.offset = 99};
        cr_assert_eq(members(bad[i].text, m, &error), BB_EINVAL, "%s", bad[i].text);
        cr_assert_eq(error.offset, bad[i].offset, "%s: %zu %s", bad[i].text, error.offset,
                     error.sentence);
        cr_assert_neq(error.sentence[0], '\0');
    }
}

/* Each in memory of its own size, so that a sanitizer sees a read behind its end. */
Test(cli_json_members, cut_anywhere)
{
    static const char text[] = "{\"a\":{\"b\":[\"\\\"\",{}]},\"c\":\"\\\\\"}";
    struct cli_json_member m[MAX];
    struct bb_codec_error error;
    for (size_t n = 0; n + 1 < sizeof(text); n++) {
        char *cut = malloc(n > 0 ? n : 1);
        cr_assert_not_null(cut);
        memcpy(cut, text, n);
        int got = cli_json_members(cut, n, m, MAX, &error);
        cr_assert_eq(got, BB_EINVAL, "%zu bytes", n);
        cr_assert_leq(error.offset, n);
        free(cut);
    }
    cr_assert_eq(members(text, m, &error), 2);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: Broker's prefix rule, its join, path mode and the reserved space, on edges of both.
 * Method: tables.
 */
#include <busbar/topic.h>
#include <criterion/criterion.h>
#include <string.h>

static int
match(const char *prefix, uint32_t flags, const char *topic)
{
    return bb_topic_match(prefix, strlen(prefix), flags, topic, strlen(topic));
}

Test(topic, prefixes_match_byte_wise_as_brokers_table_says, .timeout = 20)
{
    static const char *const topics[] = {"foo", "foo/", "foo/bar", "foobar", "fo", ""};
    static const struct {
        const char *prefix;
        int wanted[6];
    } rows[] = {
        {"foo", {1, 1, 1, 1, 0, 0}},
        {"foo/", {0, 1, 1, 0, 0, 0}},
        {"foobar", {0, 0, 0, 1, 0, 0}},
        {"", {1, 1, 1, 1, 1, 1}},
    };
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        for (size_t t = 0; t < 6; t++) {
            cr_assert_eq(match(rows[r].prefix, 0, topics[t]), rows[r].wanted[t], "'%s' on '%s'",
                         rows[r].prefix, topics[t]);
        }
    }
}

Test(topic, acceptance_cases_1_and_2, .timeout = 20)
{
    cr_assert_eq(match("a/b", 0, "a/b"), 1);
    cr_assert_eq(match("a/b", 0, "a/b/c"), 1);
    cr_assert_eq(match("a/b", 0, "a/bc"), 1);
    cr_assert_eq(match("a/b", 0, "a"), 0);
    cr_assert_eq(match("a/b/", 0, "a/b"), 0);
    cr_assert_eq(match("a/b/", 0, "a/b/c"), 1);
    cr_assert_eq(match("a/b/", 0, "a/bc"), 0);
}

Test(topic, path_mode_matches_whole_components, .timeout = 20)
{
    cr_assert_eq(match("a/b", BB_TOPIC_PATH, "a/b"), 1);
    cr_assert_eq(match("a/b", BB_TOPIC_PATH, "a/b/c"), 1);
    cr_assert_eq(match("a/b", BB_TOPIC_PATH, "a/b/"), 1);
    cr_assert_eq(match("a/b", BB_TOPIC_PATH, "a/bc"), 0);
    cr_assert_eq(match("a/b", BB_TOPIC_PATH, "a/"), 0);
    cr_assert_eq(match("a/b/", BB_TOPIC_PATH, "a/b/c"), 1);
    cr_assert_eq(match("a/b/", BB_TOPIC_PATH, "a/b"), 0);
    cr_assert_eq(match("", BB_TOPIC_PATH, "anything"), 1);
    cr_assert_eq(match("a", BB_TOPIC_PATH | BB_TOPIC_GLOBAL, "ab"), 0);
}

Test(topic, reserved_topics_need_a_reserved_prefix, .timeout = 20)
{
    cr_assert_eq(bb_topic_is_reserved("x/<$>/y", 7), 1);
    cr_assert_eq(bb_topic_is_reserved("<$>", 3), 1);
    cr_assert_eq(bb_topic_is_reserved("<$", 2), 0);
    cr_assert_eq(bb_topic_is_reserved("x<$y>", 5), 0);
    cr_assert_eq(bb_topic_is_reserved(NULL, 0), 0);
    cr_assert_eq(match("", 0, "kv/<$>/data/master"), 0);
    cr_assert_eq(match("kv/", 0, "kv/<$>/data/master"), 0);
    cr_assert_eq(match("kv/<$", 0, "kv/<$>/data/master"), 0);
    cr_assert_eq(match("kv/<$>", 0, "kv/<$>/data/master"), 1);
    cr_assert_eq(match("kv/<$>/da", BB_TOPIC_PATH, "kv/<$>/data/master"), 1, "byte-wise there");
    cr_assert_eq(match("kv/<$>/clone", 0, "kv/<$>/data/master"), 0);
}

Test(topic, bytes_are_bytes, .timeout = 20)
{
    cr_assert_eq(bb_topic_match("a\0b", 3, 0, "a\0bc", 4), 1);
    cr_assert_eq(bb_topic_match("a\0b", 3, 0, "a\0c", 3), 0);
    cr_assert_eq(bb_topic_match("\xff", 1, 0, "\xff\xfe", 2), 1);
    cr_assert_eq(bb_topic_match(NULL, 0, 0, NULL, 0), 1);
}

Test(topic, the_longest_topic_matches_itself, .timeout = 20)
{
    static char longest[BB_TOPIC_MAX];
    memset(longest, 'x', sizeof(longest));
    cr_assert_eq(bb_topic_match(longest, sizeof(longest), 0, longest, sizeof(longest)), 1);
    cr_assert_eq(bb_topic_match(longest, sizeof(longest), BB_TOPIC_PATH, longest, sizeof(longest)),
                 1);
    cr_assert_eq(bb_topic_match(longest, sizeof(longest), 0, longest, sizeof(longest) - 1), 0);
}

Test(topic, join_as_broker, .timeout = 20)
{
    static const char *const rows[][3] = {
        {"a", "b", "a/b"},         {"a", "/b", "a/b"},   {"a/", "b", "a/b"}, {"a/", "/b", "a/b"},
        {"a//", "b", "a//b"},      {"", "b", "b"},       {"", "/b", "/b"},   {"a", "", "a"},
        {"a/", "", "a"},           {"a//", "", "a"},     {"", "", ""},       {"/", "b", "b"},
        {"a", "b/", "a/b"},        {"a", "b//", "a/b/"}, {"a", "/", "a"},    {"", "/", ""},
        {"a/b", "c/d", "a/b/c/d"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[16];
        int bytes = bb_topic_join(rows[i][0], strlen(rows[i][0]), rows[i][1], strlen(rows[i][1]),
                                  out, sizeof(out));
        cr_assert_eq(bytes, (int)strlen(rows[i][2]), "'%s' + '%s': %d", rows[i][0], rows[i][1],
                     bytes);
        cr_assert_eq(memcmp(out, rows[i][2], (size_t)bytes), 0, "'%s' + '%s'", rows[i][0],
                     rows[i][1]);
    }
}

Test(topic, join_says_when_it_does_not_fit, .timeout = 20)
{
    char out[4] = "????";
    cr_assert_eq(bb_topic_join("a", 1, "bc", 2, out, 3), BB_EMSGSIZE);
    cr_assert_eq(memcmp(out, "????", 4), 0, "nothing is written");
    cr_assert_eq(bb_topic_join("a", 1, "bc", 2, out, 4), 4);
}

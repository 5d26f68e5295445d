/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    What was published between two looks is counted once, also when rings come and go.
 * Method  Two lists made by hand.
 */
#include "tools/cli/meter.h"

#include <criterion/criterion.h>
#include <string.h>

static char topic_a[] = "a";
static char topic_b[] = "b";

static struct cli_topic
entry(char *topic, const char *node, uint32_t ring, uint64_t messages)
{
    struct cli_topic t = {.topic = topic,
                          .topic_bytes = strlen(topic),
                          .ring = ring,
                          .messages = messages,
                          .payload_bytes = messages * 10};
    strcpy(t.node, node);
    return t;
}

Test(cli_meter, old_new_and_gone)
{
    struct cli_topic before[] = {entry(topic_a, "gone", 1, 5), entry(topic_a, "old", 2, 100),
                                 entry(topic_b, "reused", 3, 50)};
    struct cli_topic after[] = {entry(topic_a, "new", 4, 7), entry(topic_a, "old", 2, 130),
                                entry(topic_b, "reused", 3, 8), entry(topic_b, "reused", 5, 1)};
    struct cli_topics x = {.v = before, .count = 3};
    struct cli_topics y = {.v = after, .count = 4};
    struct cli_delta delta[4];

    cli_topics_delta(&x, &y, delta);
    cr_assert_eq(delta[0].messages, 7, "a new ring counts from its first message");
    cr_assert_eq(delta[1].messages, 30);
    cr_assert_eq(delta[1].payload_bytes, 300);
    cr_assert_eq(delta[2].messages, 8, "a counter that went back is a new ring");
    cr_assert_eq(delta[3].messages, 1);
}

Test(cli_meter, topics_are_grouped)
{
    struct cli_topic v[] = {entry(topic_a, "n", 1, 1), entry(topic_a, "n", 2, 1),
                            entry(topic_b, "n", 1, 1)};
    struct cli_topics topics = {.v = v, .count = 3};
    cr_assert_eq(cli_topics_same(&topics, 0), 2);
    cr_assert_eq(cli_topics_same(&topics, 2), 1);
}

Test(cli_meter, filters)
{
    char word[] = "zeek/";
    char *words[] = {word};
    struct cli_topic_filter all = {NULL, 0, 0};
    struct cli_topic_filter prefix = {words, 1, 0};
    struct cli_topic_filter exact = {words, 1, 1};
    cr_assert(cli_topic_matches(&all, "anything", 8));
    cr_assert(!cli_topic_matches(&all, "<$>/reserved", 12));
    cr_assert(cli_topic_matches(&prefix, "zeek/x", 6));
    cr_assert(!cli_topic_matches(&prefix, "zeek", 4));
    cr_assert(!cli_topic_matches(&exact, "zeek/x", 6));
    cr_assert(cli_topic_matches(&exact, "zeek/", 5));
}

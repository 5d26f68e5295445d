/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: rights decide as their header says, on every peer, action and topic; a file with a mistake is refused by line.
 * Method: tables; and an oracle that reads the rules one after the other, on a million random questions.
 */
#include "lib/bridge/rights.h"
#include <busbar/topic.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(rights, .timeout = 100);

static struct bbi_rights *
parse(const char *text)
{
    struct bbi_rights *rights = NULL;
    struct bbi_fault f = {0};
    void *mem = malloc(bbi_rights_footprint(text, strlen(text)));
    cr_assert_not_null(mem);
    cr_assert_eq(bbi_rights_new(&rights, mem, text, strlen(text), "rights", &f), 0, "%s",
                 f.sentence);
    cr_assert_eq((void *)rights, mem);
    return rights;
}

static struct bbi_rights_view *
view_of(const struct bbi_rights *rights, const char *peer, bool is_allowed)
{
    void *mem = malloc(bbi_rights_view_footprint(rights));
    cr_assert_not_null(mem);
    return bbi_rights_view_new(rights, mem, peer, is_allowed);
}

/* ---- the file ---- */

Test(rights, mistakes_are_told_by_line)
{
    static const struct {
        const char *text, *part;
    } CASES[] = {
        {"allow a publish", "line 1: a topic prefix follows"},
        {"\n# fine\nallow a publish /x\npermit a publish /x\n", "line 4: a rule begins with allow"},
        {"allow", "line 1: a peer's name follows"},
        {"allow # a publish x", "line 1: a peer's name follows"},
        {"allow a*b publish x", "line 1: a peer's name is of printable ASCII"},
        {"allow ** publish x", "line 1: a peer's name is of printable ASCII"},
        {"allow a\xc3\xa4 publish x", "line 1: a peer's name is of printable ASCII"},
        {"allow a read x", "line 1: publish, subscribe"},
        {"allow a publish, x", "line 1: publish, subscribe"},
        {"allow a ,publish x", "line 1: publish, subscribe"},
        {"allow a publish,,route x", "line 1: publish, subscribe"},
        {"allow a Publish x", "line 1: publish, subscribe"},
        {"allow a publish \"x", "line 1: the quote of the topic prefix does not end"},
        {"allow a publish \"x\"y", "line 1: the quote of the topic prefix does not end"},
        {"allow a publish \"x\\n\"", "line 1: in quotes, a backslash"},
        {"allow a publish \"x\\x4\"", "line 1: in quotes, a backslash"},
        {"allow a publish \"x\\", "line 1: in quotes, a backslash"},
        {"allow a publish x\"y", "line 1: quote a topic prefix that holds"},
        {"allow a publish x y", "line 1: something follows"},
        {"allow a publish x\x01", "line 1: a control character"},
        {"allow a publish x\rallow b publish y", "line 1: a control character"},
    };
    struct bbi_fault f;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct bbi_rights *rights = NULL;
        size_t bytes = strlen(CASES[i].text);
        void *mem = malloc(bbi_rights_footprint(CASES[i].text, bytes));
        cr_assert_eq(bbi_rights_new(&rights, mem, CASES[i].text, bytes, "my rights", &f), BB_EINVAL,
                     "%s", CASES[i].text);
        cr_assert_not_null(strstr(f.sentence, CASES[i].part), "%s: %s", CASES[i].text, f.sentence);
        cr_assert_eq(strncmp(f.sentence, "my rights, line ", 16), 0);
        cr_assert_null(rights);
        free(mem);
    }
    cr_assert_eq(bbi_rights_footprint(NULL, BBI_RIGHTS_TEXT_MAX + 1), 0);
}

Test(rights, good_files)
{
    struct bbi_rights *rights = parse("");
    cr_assert_eq(bbi_rights_count(rights), 0);
    free(rights);
    rights = parse("\n\t # only remarks\r\n#\n\r\n");
    cr_assert_eq(bbi_rights_count(rights), 0);
    free(rights);
    rights =
        parse("allow\ta publish,route \"\\x00 \\\"\\\\\" # with a remark\r\ndeny * publish x#y");
    cr_assert_eq(bbi_rights_count(rights), 2);
    struct bbi_rights_view *view = view_of(rights, "a", true);
    cr_assert(!bbi_rights_may(view, BBI_RIGHT_PUBLISH, "x#y", 3));
    free(view);
    view = view_of(rights, "a", false);
    cr_assert(bbi_rights_may(view, BBI_RIGHT_ROUTE, "\0 \"\\and", 7));
    cr_assert(!bbi_rights_may(view, BBI_RIGHT_ROUTE, "\0 \"", 3));
    cr_assert(!bbi_rights_may(view, BBI_RIGHT_SUBSCRIBE, "\0 \"\\and", 7));
    free(view);
    free(rights);
}

/* ---- decisions ---- */

static bool
ask(const char *rules, const char *peer, enum bbi_right right, const char *topic)
{
    struct bbi_rights *rights = parse(rules);
    struct bbi_rights_view *view = view_of(rights, peer, false);
    bool may = bbi_rights_may(view, right, topic, strlen(topic));
    cr_assert_eq(bbi_rights_denied(view, right), !may);
    free(view);
    free(rights);
    return may;
}

Test(rights, the_longest_prefix_then_the_most_exact_name_then_deny)
{
    const char *rules = "allow * publish /a\n"
                        "deny s-* publish /a/b\n"
                        "allow s-1 publish /a/b\n"
                        "deny s-1 publish /a/b/c\n"
                        "allow s-* publish /a/b/c\n"
                        "allow t publish /same\n"
                        "deny t publish /same\n"
                        "allow * subscribe \"\"\n"
                        "allow ops publish <$>/x\n";
    cr_assert(!ask("", "s-1", BBI_RIGHT_PUBLISH, "/a"), "deny by default");
    cr_assert(ask(rules, "anyone", BBI_RIGHT_PUBLISH, "/a"));
    cr_assert(ask(rules, "anyone", BBI_RIGHT_PUBLISH, "/abc"), "prefixes are of bytes");
    cr_assert(!ask(rules, "anyone", BBI_RIGHT_PUBLISH, "/"));
    cr_assert(!ask(rules, "anyone", BBI_RIGHT_ROUTE, "/a"));
    cr_assert(!ask(rules, "s-2", BBI_RIGHT_PUBLISH, "/a/b"));
    cr_assert(ask(rules, "s-1", BBI_RIGHT_PUBLISH, "/a/b"));
    cr_assert(ask(rules, "s", BBI_RIGHT_PUBLISH, "/a/b"), "s-* is not of it");
    cr_assert(ask(rules, "s-", BBI_RIGHT_PUBLISH, "/a/b/c"));
    cr_assert(!ask(rules, "s-1", BBI_RIGHT_PUBLISH, "/a/b/cd"));
    cr_assert(!ask(rules, "t", BBI_RIGHT_PUBLISH, "/same"));
    cr_assert(ask(rules, "t", BBI_RIGHT_SUBSCRIBE, "/same"), "another action looks further up");
    cr_assert(!ask(rules, "t", BBI_RIGHT_SUBSCRIBE, "/x<$>"),
              "reserved topics want their own rule");
    cr_assert(ask(rules, "ops", BBI_RIGHT_PUBLISH, "<$>/xy"));
    cr_assert(!ask(rules, "ops", BBI_RIGHT_PUBLISH, "<$>/"));
    cr_assert(!ask(rules, "op", BBI_RIGHT_PUBLISH, "<$>/xy"));
}

/* ---- the oracle ---- */

enum { RULES = 60, PEERS = 12, QUESTIONS = 1000000, TEXT_BYTES = RULES * 80 };

struct rule {
    char peer[8], topic[16];
    unsigned actions;
    bool is_allowed;
};

static uint64_t seed = 7;

static unsigned
below(unsigned bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % bound);
}

/* Few letters, so that rules meet. */
static void
random_text(char *out, unsigned max)
{
    static const char *const PARTS[] = {"a", "b", "/", "<$>", "ab"};
    unsigned n = below(max + 1);
    out[0] = '\0';
    for (unsigned i = 0; i < n; i++) {
        (void)strcat(out, PARTS[below(100) < 90 ? below(3) : 3 + below(2)]);
    }
}

static void
random_peer(char *out)
{
    unsigned n = 1 + below(3);
    for (unsigned i = 0; i < n; i++) {
        *out++ = (char)('a' + below(2));
    }
    *out = '\0';
}

static int
peer_rank(const char *pattern, const char *peer)
{
    size_t n = strlen(pattern);
    if (n > 0 && pattern[n - 1] == '*') {
        return strncmp(pattern, peer, n - 1) == 0 ? (int)n : 0;
    }
    return strcmp(pattern, peer) == 0 ? 1000 : 0;
}

static bool
oracle(
    const struct rule *rules, const char *peer, unsigned right, const char *topic, bool is_allowed)
{
    int best = -1;
    for (int i = 0; i < RULES; i++) {
        const struct rule *rule = &rules[i];
        int rank = peer_rank(rule->peer, peer);
        if (rank == 0 || (rule->actions >> right & 1) == 0
            || bb_topic_match(rule->topic, strlen(rule->topic), 0, topic, strlen(topic)) == 0) {
            continue;
        }
        int value = (int)strlen(rule->topic) * 4000 + rank * 2 + !rule->is_allowed;
        if (value > best) {
            best = value;
            is_allowed = rule->is_allowed;
        }
    }
    return is_allowed;
}

static void
random_rules(struct rule *rules, char *text)
{
    char *at = text;
    for (int i = 0; i < RULES; i++) {
        struct rule *rule = &rules[i];
        bool is_first = true;
        random_peer(rule->peer);
        if (below(3) == 0) {
            (void)strcpy(rule->peer + below((unsigned)strlen(rule->peer) + 1), "*");
        }
        do {
            random_text(rule->topic, 4);
        } while (strlen(rule->topic) > 12);
        rule->actions = 1 + below(31);
        rule->is_allowed = below(2) != 0;
        at += sprintf(at, "%s %s ", rule->is_allowed ? "allow" : "deny", rule->peer);
        for (unsigned r = 0; r < BBI_RIGHTS; r++) {
            if ((rule->actions >> r & 1) != 0) {
                at += sprintf(at, "%s%s", is_first ? "" : ",", bbi_right_name((enum bbi_right)r));
                is_first = false;
            }
        }
        at += sprintf(at, " \"%s\"\n", rule->topic);
    }
}

/* Some topic that such an interest matches: asked of all that rules speak of, and of the prefix itself. */
static bool
oracle_some(
    const struct rule *rules, const char *peer, unsigned right, const char *prefix, bool is_allowed)
{
    bool found = oracle(rules, peer, right, prefix, is_allowed);
    for (int i = 0; i < RULES && !found; i++) {
        const char *topic = rules[i].topic;
        found = bb_topic_match(prefix, strlen(prefix), 0, topic, strlen(topic)) != 0
                && peer_rank(rules[i].peer, peer) != 0
                && oracle(rules, peer, right, topic, is_allowed);
    }
    return found;
}

Test(rights, a_million_questions_as_an_oracle_answers_them)
{
    static struct rule rules[RULES];
    static char text[TEXT_BYTES];
    unsigned asked = 0, allowed = 0, some = 0;
    while (asked < QUESTIONS) {
        char peer[8], topic[64];
        random_rules(rules, text);
        struct bbi_rights *rights = parse(text);
        cr_assert_eq(bbi_rights_count(rights), RULES);
        for (int p = 0; p < PEERS; p++) {
            bool is_allowed = below(2) != 0;
            uint64_t denied[BBI_RIGHTS] = {0};
            random_peer(peer);
            struct bbi_rights_view *view = view_of(rights, peer, is_allowed);
            for (int q = 0; q < 500; q++, asked++) {
                unsigned right = below(BBI_RIGHTS);
                random_text(topic, 8);
                bool may = bbi_rights_may(view, (enum bbi_right)right, topic, strlen(topic));
                cr_assert_eq(may, oracle(rules, peer, right, topic, is_allowed),
                             "%s %s '%s' by default %d of\n%s", peer,
                             bbi_right_name((enum bbi_right)right), topic, is_allowed, text);
                denied[right] += !may;
                allowed += may;
                bool may_some =
                    bbi_rights_may_some(view, (enum bbi_right)right, topic, strlen(topic));
                cr_assert_eq(may_some, oracle_some(rules, peer, right, topic, is_allowed),
                             "%s %s any of '%s' by default %d of\n%s", peer,
                             bbi_right_name((enum bbi_right)right), topic, is_allowed, text);
                some += may_some && !may;
            }
            for (unsigned r = 0; r < BBI_RIGHTS; r++) {
                cr_assert_eq(bbi_rights_denied(view, (enum bbi_right)r), denied[r]);
            }
            free(view);
        }
        free(rights);
    }
    cr_assert(allowed > QUESTIONS / 10 && allowed < QUESTIONS / 10 * 9, "%u", allowed);
    cr_assert_gt(some, QUESTIONS / 1000, "%u", some);
}

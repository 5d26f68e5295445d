/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what is asked for, wanted, taken and let pass is what it would be if each prefix were held against each topic.
 * Method: small sets by hand, large ones at random against the plain loop over bb_topic_match().
 */
#include "lib/link/asked.h"
#include "lib/link/pass.h"
#include "lib/link/taken.h"
#include "lib/link/wants.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(prefixes, .timeout = 60);

static uint64_t random_state = 88172645463325252u;
static uint64_t
below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

/* Few letters and slashes: prefixes that meet. */
static size_t
random_text(char *out, size_t max)
{
    size_t n = below(max + 1);
    for (size_t i = 0; i < n; i++) {
        out[i] = "ab/"[below(3)];
    }
    return n;
}

/* ---- pass ---- */

struct narrowed {
    char text[256];
};

static int
note(void *user, const char *prefix, size_t bytes, uint32_t flags)
{
    struct narrowed *n = user;
    size_t used = strlen(n->text);
    (void)snprintf(n->text + used, sizeof(n->text) - used, "[%.*s%s]", (int)bytes, prefix,
                   (flags & BB_TOPIC_PATH) != 0 ? "|" : "");
    return 0;
}

static const char *
narrow(const struct bbi_pass *pass, const char *prefix, uint32_t flags)
{
    static struct narrowed n;
    n = (struct narrowed){{0}};
    cr_assert_eq(bbi_pass_narrow(pass, prefix, strlen(prefix), flags, note, &n), 0);
    return n.text;
}

Test(prefixes, narrow_to_topics)
{
    const char *topics[] = {"/flows/", "/dns/"};
    struct bbi_pass some;
    struct bbi_pass all;
    cr_assert_eq(bbi_pass_init(&some, topics, 2), 0);
    cr_assert_eq(bbi_pass_init(&all, NULL, 0), 0);
    cr_assert_str_eq(narrow(&some, "", 0), "[/flows/][/dns/]");
    cr_assert_str_eq(narrow(&some, "/fl", BB_TOPIC_PATH), "[/flows/]");
    cr_assert_str_eq(narrow(&some, "/flows/", BB_TOPIC_PATH), "[/flows/|]");
    cr_assert_str_eq(narrow(&some, "/flows/tcp", 0), "[/flows/tcp]");
    cr_assert_str_eq(narrow(&some, "/http", 0), "");
    cr_assert_str_eq(narrow(&all, "", BB_TOPIC_PATH), "[|]");
    cr_assert_str_eq(narrow(&all, "a<$>b", 0), "");
    cr_assert(bbi_pass_topic(&some, "/dns/x", 6));
    cr_assert_not(bbi_pass_topic(&some, "/dn", 3));
    cr_assert_not(bbi_pass_topic(&some, "/dns/<$>", 8));
    cr_assert(bbi_pass_topic(&all, "", 0));
    cr_assert_not(bbi_pass_topic(&all, "<$>x", 4));
    bbi_pass_fini(&some);
    bbi_pass_fini(&all);
}

/* ---- wants ---- */

static struct narrowed told;
static void
note_change(void *user, const struct bbi_interest *change)
{
    (void)user;
    size_t used = strlen(told.text);
    (void)snprintf(told.text + used, sizeof(told.text) - used, "%c%.*s%s%s ",
                   change->is_removed ? '-' : '+', (int)change->prefix_bytes, change->prefix,
                   change->flags != 0 ? "|" : "", change->scope != 0 ? "*" : "");
}

static struct bbi_wants
wants_of(const char *words) /* "a b| c*": | path, * global */
{
    struct bbi_wants w = {0};
    while (*words != '\0') {
        size_t n = strcspn(words, " ");
        size_t bytes = strcspn(words, " |*");
        uint32_t flags = (memchr(words, '|', n) != NULL ? (uint32_t)BB_TOPIC_PATH : 0u)
                         | (memchr(words, '*', n) != NULL ? (uint32_t)BB_TOPIC_GLOBAL : 0u);
        cr_assert_eq(bbi_wants_push(&w, words, bytes, flags), 0);
        words += n + (words[n] == ' ');
    }
    bbi_wants_settle(&w);
    return w;
}

static const char *
diff(const char *before, const char *after)
{
    struct bbi_wants b = wants_of(before);
    struct bbi_wants a = wants_of(after);
    told = (struct narrowed){{0}};
    bbi_wants_diff(&b, &a, note_change, NULL);
    bbi_wants_fini(&b);
    bbi_wants_fini(&a);
    return told.text;
}

Test(prefixes, wants_shrink_and_differ)
{
    cr_assert_str_eq(diff("", "b a a"), "+a +b ");
    cr_assert_str_eq(diff("", "a/b a/c a"), "+a ");
    cr_assert_str_eq(diff("", "a| ab a/x"), "+a| +ab "); /* a path covers its components alone */
    cr_assert_str_eq(diff("", "a a|"), "+a ");
    cr_assert_str_eq(diff("", "a a*"), "+a* ");
    cr_assert_str_eq(diff("", "a ab*"), "+a +ab* ");    /* local interest does not cover global */
    cr_assert_str_eq(diff("a/b c", "a c"), "+a -a/b "); /* what is new comes first */
    cr_assert_str_eq(diff("a", "a/b"), "+a/b -a ");
    cr_assert_str_eq(diff("a b c", "a b c"), "");
    cr_assert_str_eq(diff("a b c", ""), "-a -b -c ");
}

Test(prefixes, wants_match_what_was_pushed)
{
    for (int round = 0; round < 300; round++) {
        char text[40][8];
        size_t bytes[40];
        uint32_t flags[40];
        struct bbi_wants w = {0};
        size_t count = below(40);
        for (size_t i = 0; i < count; i++) {
            bytes[i] = random_text(text[i], 6);
            flags[i] = below(2) != 0 ? (uint32_t)BB_TOPIC_PATH : 0u;
            cr_assert_eq(bbi_wants_push(&w, text[i], bytes[i], flags[i]), 0);
        }
        bbi_wants_settle(&w);
        for (int t = 0; t < 50; t++) {
            char topic[8];
            size_t topic_bytes = random_text(topic, 8);
            int plain = 0;
            int settled = 0;
            for (size_t i = 0; i < count; i++) {
                plain |= bb_topic_match(text[i], bytes[i], flags[i], topic, topic_bytes);
            }
            for (size_t i = 0; i < w.count; i++) {
                settled |= bb_topic_match(w.items[i].prefix, w.items[i].prefix_bytes,
                                          w.items[i].flags, topic, topic_bytes);
            }
            cr_assert_eq(plain, settled, "'%.*s'", (int)topic_bytes, topic);
        }
        bbi_wants_fini(&w);
    }
}

Test(prefixes, wants_are_bounded)
{
    struct bbi_wants w = {0};
    for (int i = 0; i < BBI_WANTS_MAX + 10; i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "t%07d", i);
        cr_assert_eq(bbi_wants_push(&w, text, (size_t)n, 0), 0);
    }
    bbi_wants_settle(&w);
    cr_assert(w.is_cut);
    cr_assert_eq(w.count, (size_t)BBI_WANTS_MAX);
    bbi_wants_fini(&w);
}

/* ---- asked ---- */

struct ask {
    uint32_t box;
    char text[8];
    struct bbi_interest in;
    bool is_in;
};

Test(prefixes, asked_match_as_one_by_one)
{
    enum { ASKS = 600, ROUNDS = 4000 };
    static struct ask asks[ASKS];
    struct bbi_asked asked;
    const uint64_t seed[2] = {1, 2};
    cr_assert_eq(bbi_asked_init(&asked, seed), 0);
    for (int i = 0; i < ASKS; i++) {
        asks[i].box = (uint32_t)below(BBI_ASKED_BOXES);
        asks[i].in = (struct bbi_interest){.prefix = asks[i].text,
                                           .prefix_bytes = random_text(asks[i].text, 7),
                                           .flags = (uint8_t)below(2),
                                           .scope = (uint8_t)below(2)};
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct ask *ask = &asks[below(ASKS)];
        bool is_twin = false; /* the very same of another place in the list counts once */
        for (int i = 0; i < ASKS; i++) {
            struct ask *b = &asks[i];
            is_twin =
                is_twin
                || (b != ask && b->is_in && b->box == ask->box && b->in.flags == ask->in.flags
                    && b->in.scope == ask->in.scope && b->in.prefix_bytes == ask->in.prefix_bytes
                    && memcmp(b->text, ask->text, ask->in.prefix_bytes) == 0);
        }
        if (is_twin) {
            continue;
        }
        struct bbi_asked_node *node = ask->is_in ? bbi_asked_remove(&asked, ask->box, &ask->in)
                                                 : bbi_asked_add(&asked, ask->box, &ask->in);
        cr_assert_neq(node, NULL);
        ask->is_in = !ask->is_in;
        struct bbi_box_mask of = bbi_asked_of(node);
        cr_assert(ask->is_in || bbi_box_mask_is_empty(&of) || node->bytes <= 7);
        if (bbi_box_mask_is_empty(&of)) {
            bbi_asked_drop(&asked, node);
        }
        char topic[8];
        size_t bytes = random_text(topic, 8);
        struct bbi_box_mask plain = {0};
        struct bbi_box_mask found;
        for (int i = 0; i < ASKS; i++) {
            if (asks[i].is_in
                && bb_topic_match(asks[i].text, asks[i].in.prefix_bytes, asks[i].in.flags, topic,
                                  bytes)
                       != 0) {
                bbi_box_mask_set(&plain, asks[i].box, true);
            }
        }
        bbi_asked_match(&asked, topic, bytes, &found);
        cr_assert_eq(memcmp(&plain, &found, sizeof(plain)), 0);
    }
    bbi_asked_fini(&asked);
}

Test(prefixes, asked_remembers_until_it_changes)
{
    struct bbi_asked asked;
    const uint64_t seed[2] = {3, 4};
    struct bbi_interest in = {.prefix = "/a", .prefix_bytes = 2};
    char longest[BBI_ASKED_CACHE_TOPIC + 1];
    bool is_known = true;
    memset(longest, 'x', sizeof(longest));
    cr_assert_eq(bbi_asked_init(&asked, seed), 0);
    struct bbi_asked_topic *t = bbi_asked_cached(&asked, "/a/b", 4, &is_known);
    cr_assert_not(is_known);
    bbi_box_mask_set(&t->send, 70, true);
    cr_assert(bbi_box_mask_has(&bbi_asked_cached(&asked, "/a/b", 4, &is_known)->send, 70));
    cr_assert(is_known);
    (void)bbi_asked_cached(&asked, "/a/c", 4, &is_known);
    cr_assert_not(is_known);
    cr_assert_neq(bbi_asked_add(&asked, 3, &in), NULL);
    (void)bbi_asked_cached(&asked, "/a/b", 4, &is_known);
    cr_assert_not(is_known);
    cr_assert_neq(bbi_asked_cached(&asked, longest, sizeof(longest) - 1, &is_known), NULL);
    cr_assert_eq(bbi_asked_cached(&asked, longest, sizeof(longest), &is_known), NULL);
    cr_assert_not(is_known);
    bbi_asked_fini(&asked);
}

/* ---- taken ---- */

static void *
take_memory(void *user, size_t bytes)
{
    (void)user;
    return malloc(bytes);
}

static void
give_memory(void *user, void *p, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(p);
}

static int
wanted(struct bb_publisher *pub, const char *text)
{
    struct bb_topic *topic;
    cr_assert_eq(bb_topic_open(&topic, pub, text, strlen(text)), 0);
    return bb_topic_wanted(topic);
}

Test(prefixes, taken_widens_and_narrows, .init = bbt_bus_new, .fini = bbt_bus_end)
{
    enum { PREFIXES = 3000 };
    struct bbt_side *side = bbt_side_new();
    struct bb_endpoint *ep = bbt_endpoint(side, "taker", 0);
    struct bb_endpoint *other = bbt_endpoint(side, "other", 0);
    struct bb_publisher *pub = bbt_publisher(side, other, NULL);
    struct bb_subscriber *sub;
    struct bbi_memory memory = {.take = take_memory, .give = give_memory};
    struct bbi_taken taken;
    const uint64_t seed[2] = {5, 6};
    char text[32];
    cr_assert_eq(bb_subscriber_open(&sub, ep, NULL), 0);
    cr_assert_eq(bbi_taken_init(&taken, sub, &memory, seed), 0);
    for (int i = 0; i < PREFIXES; i++) {
        int n = snprintf(text, sizeof(text), "/topic/%07d", i);
        cr_assert_eq(bbi_taken_add(&taken, text, (size_t)n, 0), 0);
    }
    cr_assert_eq(bbi_taken_add(&taken, "/topic/0000001", 14, 0), 0); /* counted */
    cr_assert(taken.is_wide);
    cr_assert_eq(wanted(pub, "/topic/0002999"), 1);
    cr_assert_eq(wanted(pub, "/nobody"), 1);
    for (int i = 1; i < PREFIXES; i++) {
        int n = snprintf(text, sizeof(text), "/topic/%07d", i);
        cr_assert_eq(wanted(pub, text), 1);
        bbi_taken_remove(&taken, text, (size_t)n, 0);
    }
    cr_assert_not(taken.is_wide);
    cr_assert_eq(wanted(pub, "/topic/0000000"), 1);
    cr_assert_eq(wanted(pub, "/topic/0000001"), 1);
    cr_assert_eq(wanted(pub, "/topic/0000002"), 0);
    cr_assert_eq(wanted(pub, "/nobody"), 0);
    bbi_taken_remove(&taken, "/topic/0000001", 14, 0);
    bbi_taken_remove(&taken, "/topic/0000000", 14, 0);
    bbi_taken_remove(&taken, "/never", 6, 0);
    cr_assert_eq(taken.table_bytes, 0);
    cr_assert_eq(wanted(pub, "/topic/0000001"), 0);
    bbi_taken_fini(&taken);
    bb_subscriber_close(sub);
    bb_publisher_close(pub);
    bb_endpoint_close(ep);
    bb_endpoint_close(other);
    bbt_side_free(side);
}

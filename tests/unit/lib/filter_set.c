/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the minimal set is always what the definition says, after any adds and removes.
 * Method: the cases by hand, then random operations against a model that computes the minimal set anew.
 */
#include "lib/topic/filter_set.h"

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

static unsigned char memory[4096];

static int
add(struct bbi_filter_set *set, const char *prefix, uint32_t flags)
{
    return bbi_filter_set_add(set, &(struct bbi_filter){prefix, strlen(prefix), flags});
}

static int
del(struct bbi_filter_set *set, const char *prefix, uint32_t flags)
{
    return bbi_filter_set_remove(set, &(struct bbi_filter){prefix, strlen(prefix), flags});
}

/* The minimal set as one string: prefixes, each followed by a blank. */
static const char *
shown(const struct bbi_filter_set *set)
{
    static char text[512];
    struct bbi_filter f;
    size_t pos = 0;
    uint32_t count = 0;
    char *p = text;
    while (bbi_filter_set_next(set, &pos, &f)) {
        p += sprintf(p, "%.*s ", (int)f.prefix_bytes, f.prefix);
        count++;
    }
    *p = '\0';
    cr_assert_eq(count, set->shown);
    return text;
}

static struct bbi_filter_set
fresh(void)
{
    struct bbi_filter_set set;
    bbi_filter_set_init(&set, memory, sizeof(memory));
    return set;
}

Test(filter_set, case_7_shorter_replaces_longer, .timeout = 20)
{
    struct bbi_filter_set set = fresh();
    cr_assert_eq(add(&set, "/foo/bar", 0), 1);
    cr_assert_eq(add(&set, "/foo", 0), 1);
    cr_assert_str_eq(shown(&set), "/foo ");
    cr_assert_eq(add(&set, "/foo/x", 0), 0);
    cr_assert_str_eq(shown(&set), "/foo ");
    cr_assert_eq(set.count, 3);
}

Test(filter_set, removing_brings_back_what_was_asked_for, .timeout = 20)
{
    struct bbi_filter_set set = fresh();
    cr_assert_eq(add(&set, "a/b", 0), 1);
    cr_assert_eq(add(&set, "a", 0), 1);
    cr_assert_eq(add(&set, "a/c", 0), 0);
    cr_assert_eq(add(&set, "a/c/d", 0), 0);
    cr_assert_eq(del(&set, "a", 0), 1);
    cr_assert_str_eq(shown(&set), "a/b a/c ");
    cr_assert_eq(del(&set, "a/c/d", 0), 0);
    cr_assert_eq(del(&set, "a/c", 0), 1);
    cr_assert_str_eq(shown(&set), "a/b ");
    cr_assert_eq(del(&set, "a/c", 0), BB_ENOENT);
    cr_assert_eq(del(&set, "a/b", 0), 1);
    cr_assert_eq(set.used_bytes, 0);
}

Test(filter_set, the_same_twice_is_there_once, .timeout = 20)
{
    struct bbi_filter_set set = fresh();
    cr_assert_eq(add(&set, "a", 0), 1);
    cr_assert_eq(add(&set, "a", 0), 0);
    cr_assert_eq(del(&set, "a", 0), 1);
    cr_assert_eq(del(&set, "a", 0), BB_ENOENT);
}

Test(filter_set, a_path_prefix_covers_only_what_it_matches, .timeout = 20)
{
    struct bbi_filter_set set = fresh();
    cr_assert_eq(add(&set, "a", BB_TOPIC_PATH), 1);
    cr_assert_eq(add(&set, "ab", 0), 1, "a as path does not match ab");
    cr_assert_eq(add(&set, "a/b", 0), 0);
    cr_assert_eq(add(&set, "a/b/c", BB_TOPIC_PATH), 0);
    cr_assert_eq(add(&set, "a", 0), 1, "byte-wise a matches more");
    cr_assert_str_eq(shown(&set), "a ");
    cr_assert_eq(del(&set, "a", 0), 1);
    cr_assert_str_eq(shown(&set), "a ab ");
    cr_assert_eq(add(&set, "x/", BB_TOPIC_PATH), 1);
    cr_assert_eq(add(&set, "x/y", 0), 0);
    cr_assert_eq(add(&set, "x/", 0), 0, "the same topics");
    cr_assert_eq(del(&set, "x/", BB_TOPIC_PATH), 1);
    cr_assert_str_eq(shown(&set), "a ab x/ ");
}

Test(filter_set, narrow_interest_does_not_cover_wide, .timeout = 20)
{
    struct bbi_filter_set set = fresh();
    cr_assert_eq(add(&set, "a", BB_TOPIC_LOCAL), 1);
    cr_assert_eq(add(&set, "a/b", BB_TOPIC_GLOBAL), 1);
    cr_assert_str_eq(shown(&set), "a a/b ");
    cr_assert_eq(add(&set, "a", BB_TOPIC_GLOBAL), 1);
    cr_assert_str_eq(shown(&set), "a ");
    cr_assert_eq(add(&set, "a", 0), 0);
}

Test(filter_set, reserved_and_user_prefixes_do_not_cover_each_other, .timeout = 20)
{
    struct bbi_filter_set set = fresh();
    cr_assert_eq(add(&set, "", 0), 1);
    cr_assert_eq(add(&set, "kv/<$>/data", 0), 1);
    cr_assert_eq(add(&set, "kv/<$>/data/master", 0), 0);
    cr_assert_eq(add(&set, "anything", 0), 0);
    cr_assert(bbi_filter_set_match(&set, "kv/<$>/data/clone", 17));
    cr_assert(!bbi_filter_set_match(&set, "kv/<$>/x", 8));
    cr_assert(bbi_filter_set_match(&set, "kv/x", 4));
}

Test(filter_set, it_is_bounded, .timeout = 20)
{
    struct bbi_filter_set set;
    unsigned char *exact = malloc(16);
    char *longest = calloc(1, BB_TOPIC_MAX + 1);
    bbi_filter_set_init(&set, exact, 16);
    cr_assert_eq(add(&set, "1234", 0), 1);
    cr_assert_eq(add(&set, "56789", 0), BB_EFULL);
    cr_assert_eq(add(&set, "5678", 0), 1);
    cr_assert_eq(add(&set, "", 0), BB_EFULL);
    cr_assert_str_eq(shown(&set), "1234 5678 ");
    cr_assert_eq(add(&set, "x", 8), BB_EINVAL);
    cr_assert_eq(bbi_filter_set_add(&set, &(struct bbi_filter){longest, BB_TOPIC_MAX + 1, 0}),
                 BB_ENAMETOOLONG);
    free(exact);
    free(longest);
}

/* ---- against a model --------------------------------------------------------------------------- */

enum { MODEL_MAX = 24 };

static struct {
    char text[8];
    uint32_t flags;
} model[MODEL_MAX];
static uint32_t model_count;

static struct bbi_filter
model_filter(uint32_t i)
{
    return (struct bbi_filter){model[i].text, strlen(model[i].text), model[i].flags};
}

static bool
model_hides(uint32_t j, uint32_t i)
{
    struct bbi_filter a = model_filter(j);
    struct bbi_filter b = model_filter(i);
    return j != i && bbi_topic_covers(&a, &b) && (j < i || !bbi_topic_covers(&b, &a));
}

static void
check_against_model(const struct bbi_filter_set *set)
{
    size_t pos = 0;
    struct bbi_filter f;
    for (uint32_t i = 0; i < model_count; i++) {
        bool hidden = false;
        for (uint32_t j = 0; j < model_count; j++) {
            hidden = hidden || model_hides(j, i);
        }
        if (!hidden) {
            cr_assert(bbi_filter_set_next(set, &pos, &f));
            cr_assert_eq(f.prefix_bytes, strlen(model[i].text));
            cr_assert_eq(memcmp(f.prefix, model[i].text, f.prefix_bytes), 0);
            cr_assert_eq(f.flags, model[i].flags);
        }
    }
    cr_assert(!bbi_filter_set_next(set, &pos, &f));
    cr_assert_eq(set->count, model_count);
}

/* One prefix, added or removed in both. */
static void
random_step(struct bbi_filter_set *set)
{
    char text[8] = "";
    uint32_t bytes = rnd_below(4);
    uint32_t flags = rnd_below(8);
    for (uint32_t k = 0; k < bytes; k++) {
        text[k] = "ab/"[rnd_below(3)];
    }
    uint32_t i = 0;
    while (i < model_count && (strcmp(model[i].text, text) != 0 || model[i].flags != flags)) {
        i++;
    }
    if (rnd_below(2) == 0) {
        cr_assert_eq(del(set, text, flags) >= 0, i < model_count);
        if (i < model_count) {
            memmove(&model[i], &model[i + 1], (model_count - i - 1) * sizeof(model[0]));
            model_count--;
        }
    } else if (i == model_count && model_count < MODEL_MAX) {
        cr_assert_geq(add(set, text, flags), 0);
        strcpy(model[model_count].text, text);
        model[model_count++].flags = flags;
    }
}

Test(filter_set, random_operations_keep_the_definition, .timeout = 20)
{
    struct bbi_filter_set set = fresh();
    rnd_seed("filter_set");
    for (int round = 0; round < 20000; round++) {
        random_step(&set);
        check_against_model(&set);
    }
}

/* Covering is right if the covered one never matches a topic that the other does not. */
Test(filter_set, covering_agrees_with_matching, .timeout = 20)
{
    static const char *const texts[] = {"",     "a",   "a/",    "a/b",     "ab",  "a/b/",
                                        "a/bc", "<$>", "a/<$>", "a/<$>/x", "a//b"};
    enum { N = sizeof(texts) / sizeof(texts[0]) };
    for (uint32_t i = 0; i < N * 2 * N * 2; i++) {
        struct bbi_filter a = {texts[i / 2 % N], strlen(texts[i / 2 % N]), i % 2};
        uint32_t k = i / (2 * N);
        struct bbi_filter b = {texts[k / 2], strlen(texts[k / 2]), k % 2};
        bool covers = bbi_topic_covers(&a, &b);
        for (uint32_t t = 0; t < N; t++) {
            int by_a =
                bb_topic_match(a.prefix, a.prefix_bytes, a.flags, texts[t], strlen(texts[t]));
            int by_b =
                bb_topic_match(b.prefix, b.prefix_bytes, b.flags, texts[t], strlen(texts[t]));
            cr_assert(!covers || by_a || !by_b, "'%s' %u covers '%s' %u but not '%s'", a.prefix,
                      a.flags, b.prefix, b.flags, texts[t]);
        }
    }
}

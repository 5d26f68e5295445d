/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a question about a variable has one answer: its value of whatever size, or a status with a sentence.
 * Method: the table alone, without a cluster.
 */
#include "lib/cluster/variable.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(cluster_variable, .timeout = 20);

static struct bbi_variables table;
static char sentence[BBI_SENTENCE_BYTES];
static struct bb_value out;

static int
answer(const char *name, const struct bb_value *value, size_t most)
{
    return bbi_variables_answer(&table, name, strlen(name), value, most, &out, sentence);
}

static void
show_count(struct bb_builder *b, void *user)
{
    bb_put_count(b, *(uint64_t *)user);
}

static int
set_count(const struct bb_value *value, void *user)
{
    return bb_get_count(value, user);
}

static void
show_addresses(struct bb_builder *b, void *user)
{
    uint32_t n = *(uint32_t *)user;
    bb_put_set_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, [12] = 10};
        ip[13] = (uint8_t)(i >> 16);
        ip[14] = (uint8_t)(i >> 8);
        ip[15] = (uint8_t)i;
        bb_put_address(b, ip);
    }
    bb_put_end(b);
}

static void
show_nothing(struct bb_builder *b, void *user)
{
    (void)b;
    (void)user;
}

static void
show_two(struct bb_builder *b, void *user)
{
    (void)user;
    bb_put_count(b, 1);
    bb_put_count(b, 2);
}

static void
show_half(struct bb_builder *b, void *user)
{
    (void)user;
    bb_put_set_begin(b);
    bb_put_count(b, 2);
}

static void
show_double(struct bb_builder *b, void *user)
{
    (void)user;
    bb_put_set_begin(b);
    bb_put_count(b, 2);
    bb_put_count(b, 2);
    bb_put_end(b);
}

Test(cluster_variable, shows_and_sets)
{
    uint64_t n = 5, got = 0;
    unsigned char buf[64] __attribute__((aligned(8)));
    struct bb_builder b;
    struct bb_value value;
    cr_assert_eq(bbi_variables_add(&table, "n", show_count, set_count, &n), 0);
    cr_assert_eq(answer("n", NULL, 1 << 20), 0);
    cr_assert_eq(bb_get_count(&out, &got), 0);
    cr_assert_eq(got, 5U);
    cr_assert_str_eq(sentence, "");
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_count(&b, 7);
    cr_assert_eq(bb_value_open(&value, buf, (size_t)bb_build_end(&b)), 0);
    cr_assert_eq(answer("n", &value, 1 << 20), 0);
    cr_assert_eq(bb_get_count(&out, &got), 0);
    cr_assert_eq(got, 7U, "as it is after the set");
    cr_assert_eq(n, 7U);
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_string(&b, "seven", 5);
    cr_assert_eq(bb_value_open(&value, buf, (size_t)bb_build_end(&b)), 0);
    cr_assert_eq(answer("n", &value, 1 << 20), BB_ETYPE);
    cr_assert_not_null(strstr(sentence, "'n'"));
    cr_assert_eq(n, 7U);
    bbi_variables_fini(&table);
}

Test(cluster_variable, says_no_in_words)
{
    uint64_t n = 5;
    unsigned char bad[8] = {0xff, 0xff, 0xff, 0xff, 2};
    const struct bb_value value = {.p = bad, .bytes = sizeof(bad)};
    cr_assert_eq(bbi_variables_add(&table, "n", show_count, NULL, &n), 0);
    cr_assert_eq(bbi_variables_add(&table, "m", show_count, set_count, &n), 0);
    cr_assert_eq(answer("other", NULL, 1 << 20), BB_ENOENT);
    cr_assert_not_null(strstr(sentence, "'other'"));
    cr_assert_eq(answer("nn", NULL, 1 << 20), BB_ENOENT);
    cr_assert_eq(answer("", NULL, 1 << 20), BB_ENOENT);
    cr_assert_eq(answer("n", &value, 1 << 20), BB_ENOTSUP);
    cr_assert_eq(answer("m", &value, 1 << 20), BB_ECORRUPT, "set never sees it");
    cr_assert_eq(n, 5U);
    bbi_variables_fini(&table);
}

Test(cluster_variable, takes_any_size_up_to_what_a_message_takes)
{
    uint32_t n = 0;
    cr_assert_eq(bbi_variables_add(&table, "clients", show_addresses, NULL, &n), 0);
    for (n = 0; n < 20000; n = n * 3 + 1) {
        struct bb_iter it;
        cr_assert_eq(answer("clients", NULL, 1 << 20), 0, "%u: %s", n, sentence);
        cr_assert_eq(bb_value_check(&out), 0);
        cr_assert_eq(bb_iter_open(&it, &out), (int64_t)n);
    }
    n = 10000; /* 16 bytes of the set, 24 for each */
    cr_assert_eq(answer("clients", NULL, 240016), 0);
    cr_assert_eq(answer("clients", NULL, 240015), BB_EMSGSIZE);
    cr_assert_not_null(strstr(sentence, "240016"), "%s", sentence);
    bbi_variables_fini(&table);
}

Test(cluster_variable, wants_one_whole_value)
{
    cr_assert_eq(bbi_variables_add(&table, "nothing", show_nothing, NULL, NULL), 0);
    cr_assert_eq(bbi_variables_add(&table, "two", show_two, NULL, NULL), 0);
    cr_assert_eq(bbi_variables_add(&table, "half", show_half, NULL, NULL), 0);
    cr_assert_eq(bbi_variables_add(&table, "double", show_double, NULL, NULL), 0);
    cr_assert_eq(answer("nothing", NULL, 1 << 20), BB_EINVAL);
    cr_assert_eq(answer("two", NULL, 1 << 20), BB_EINVAL);
    cr_assert_eq(answer("half", NULL, 1 << 20), BB_EINVAL);
    cr_assert_eq(answer("double", NULL, 1 << 20), BB_EEXIST, "a set has each element once");
    bbi_variables_fini(&table);
}

Test(cluster_variable, has_each_name_once)
{
    uint64_t n = 0;
    char name[300];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    cr_assert_eq(bbi_variables_add(&table, "n", show_count, NULL, &n), 0);
    cr_assert_eq(bbi_variables_add(&table, "n", show_two, NULL, &n), BB_EEXIST);
    cr_assert_eq(bbi_variables_add(&table, "", show_count, NULL, &n), BB_EINVAL);
    cr_assert_eq(bbi_variables_add(&table, NULL, show_count, NULL, &n), BB_EINVAL);
    cr_assert_eq(bbi_variables_add(&table, "m", NULL, NULL, &n), BB_EINVAL);
    cr_assert_eq(bbi_variables_add(&table, name, show_count, NULL, &n), BB_ENAMETOOLONG);
    name[BBI_VARIABLE_NAME_MAX] = '\0';
    cr_assert_eq(bbi_variables_add(&table, name, show_count, NULL, &n), 0);
    bbi_variables_fini(&table);
}

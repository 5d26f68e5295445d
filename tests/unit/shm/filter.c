/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a subscriber's list of prefixes is seen whole or not at all, has a bound, and is believed only when
 * it is well formed.
 * Method: write and read over one struct; hostile tables by hand; reading in the middle of a switch.
 */
#include "shm/filter.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct bbi_sub *sub;
static struct bbi_filter_table *table;

static void
set_up(void)
{
    sub = aligned_alloc(BBI_PAGE_BYTES, bbi_align_up(sizeof(*sub), BBI_PAGE_BYTES));
    table = malloc(sizeof(*table));
    memset(sub, 0, sizeof(*sub));
}

static void
tear_down(void)
{
    free(sub);
    free(table);
}

TestSuite(filter, .init = set_up, .fini = tear_down, .timeout = 30);

static struct bbi_filter_item
item_of(const char *text, uint16_t flags)
{
    return (struct bbi_filter_item){
        .bytes = (const unsigned char *)text, .len = (uint16_t)strlen(text), .flags = flags};
}

static int
read_items(struct bbi_filter_item *out, int max)
{
    uint32_t off = 0;
    int n = 0;
    cr_assert_eq(bbi_filter_read(sub, table), 0);
    while (n < max && bbi_filter_next(table, &off, &out[n])) {
        n++;
    }
    return n;
}

Test(filter, a_fresh_file_has_an_empty_list)
{
    struct bbi_filter_item out[1];
    cr_assert_eq(read_items(out, 1), 0);
}

Test(filter, what_was_written_is_read)
{
    const struct bbi_filter_item in[] = {item_of("", 0), item_of("zeek/", 1), item_of("x", 0xffff)};
    struct bbi_filter_item out[4];
    cr_assert_eq(bbi_filter_write(sub, in, 3), 0);
    cr_assert_eq(read_items(out, 4), 3);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(out[i].len, in[i].len);
        cr_assert_eq(out[i].flags, in[i].flags);
        cr_assert_eq(memcmp(out[i].bytes, in[i].bytes, in[i].len), 0);
    }
}

Test(filter, each_write_selects_the_other_copy)
{
    struct bbi_filter_item out[1];
    for (int i = 0; i < 10; i++) {
        char text[2] = {(char)('a' + i), '\0'};
        const struct bbi_filter_item in = item_of(text, 0);
        uint32_t before = bbi_load_relaxed(&sub->filter_sel);
        cr_assert_eq(bbi_filter_write(sub, &in, 1), 0);
        cr_assert_eq(bbi_load_relaxed(&sub->filter_sel), before + 1);
        cr_assert_eq(read_items(out, 1), 1);
        cr_assert_eq(out[0].bytes[0], 'a' + i);
    }
}

Test(filter, the_selected_copy_is_never_written)
{
    const struct bbi_filter_item one = item_of("one", 0), two = item_of("two", 0);
    cr_assert_eq(bbi_filter_write(sub, &one, 1), 0);
    struct bbi_filter_table *before = malloc(sizeof(*before));
    uint32_t sel = bbi_load_relaxed(&sub->filter_sel);
    memcpy(before, &sub->filters[sel & 1], sizeof(*before));
    cr_assert_eq(bbi_filter_write(sub, &two, 1), 0);
    cr_assert_eq(memcmp(before, &sub->filters[sel & 1], sizeof(*before)), 0,
                 "who read it a moment ago still has it whole");
    free(before);
}

Test(filter, one_prefix_of_the_longest_topic_fits_and_a_second_does_not)
{
    char *text = malloc(65536);
    memset(text, 'p', 65536);
    struct bbi_filter_item in[2];
    for (int i = 0; i < 2; i++) {
        in[i] = (struct bbi_filter_item){.bytes = (unsigned char *)text, .len = UINT16_MAX};
    }
    struct bbi_filter_item out[2];
    cr_assert_eq(bbi_filter_write(sub, in, 1), 0);
    cr_assert_eq(read_items(out, 2), 1);
    cr_assert_eq(out[0].len, UINT16_MAX);
    uint32_t sel = bbi_load_relaxed(&sub->filter_sel);
    cr_assert_eq(bbi_filter_write(sub, in, 2), BB_EFULL);
    cr_assert_eq(bbi_load_relaxed(&sub->filter_sel), sel, "nothing changed");
    cr_assert_eq(read_items(out, 2), 1);
    free(text);
}

Test(filter, exactly_full_fits_and_one_byte_more_does_not)
{
    enum { CAP = BBI_FILTER_BYTES - 8 };
    unsigned char *text = calloc(1, UINT16_MAX);
    struct bbi_filter_item in[2] = {{.bytes = text, .len = UINT16_MAX},
                                    {.bytes = text, .len = CAP - UINT16_MAX - 8}};
    cr_assert_eq(bbi_filter_write(sub, in, 2), 0);
    struct bbi_filter_item out[3];
    cr_assert_eq(read_items(out, 3), 2);
    in[1].len++;
    cr_assert_eq(bbi_filter_write(sub, in, 2), BB_EFULL);
    free(text);
}

Test(filter, hostile_tables_are_corrupt)
{
    static const struct {
        uint32_t count, bytes;
        uint16_t len;
        const char *what;
    } bad[] = {
        {1, UINT32_MAX, 0, "more bytes than there are"},
        {1, BBI_FILTER_BYTES - 7, 0, "one byte more than there are"},
        {1, 0, 0, "an item and no bytes"},
        {1, 3, 0, "less than an item's head"},
        {1, 4, 1, "an item that is cut off"},
        {1, 8, 65535, "an item longer than the table"},
        {2, 4, 0, "more items than bytes"},
        {UINT32_MAX, 68 * 1024 - 8, 0, "items without end"},
        {0, 4, 0, "bytes that no item owns"},
        {1, 5, 0, "a byte too much"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct bbi_filter_table *t = &sub->filters[0];
        memset(t, 0, sizeof(*t));
        t->count = bad[i].count;
        t->bytes = bad[i].bytes;
        memcpy(t->entries, &bad[i].len, 2);
        cr_assert_eq(bbi_filter_read(sub, table), BB_ECORRUPT, "%s", bad[i].what);
    }
}

Test(filter, many_empty_items_are_walked_to_their_end)
{
    struct bbi_filter_table *t = &sub->filters[0];
    t->count = (BBI_FILTER_BYTES - 8) / 4;
    t->bytes = t->count * 4;
    cr_assert_eq(bbi_filter_read(sub, table), 0);
    struct bbi_filter_item item;
    uint32_t off = 0, n = 0;
    while (bbi_filter_next(table, &off, &item)) {
        n++;
    }
    cr_assert_eq(n, t->count);
}

Test(filter, random_tables_are_refused_or_safe_to_walk)
{
    uint64_t x = 42;
    for (int round = 0; round < 2000; round++) {
        struct bbi_filter_table *t = &sub->filters[0];
        for (int i = 0; i < 64; i++) {
            x = x * 6364136223846793005ULL + 1442695040888963407ULL;
            t->entries[i] = (unsigned char)(x >> 33) & 3;
        }
        t->count = (uint32_t)(x >> 40) % 16;
        t->bytes = (uint32_t)(x >> 50) % 64;
        if (bbi_filter_read(sub, table) == 0) {
            struct bbi_filter_item item;
            uint32_t off = 0;
            while (bbi_filter_next(table, &off, &item)) {
                cr_assert(item.bytes + item.len <= table->entries + table->bytes);
            }
        }
    }
}

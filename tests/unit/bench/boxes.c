/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Where a busbard listens is read from what it printed, and not before that is there to its end; a setup is
 *         moved to a box's directory only where there are boxes.
 * Method  Texts as they stand in a log while it grows.
 */
#include "bench/peers/boxes.h"

#include <criterion/criterion.h>
#include <string.h>

Test(bench_boxes, address_of_a_whole_line)
{
    char address[64] = "before";
    cr_assert(bench_boxes_read_address("notice a\nlistening on 127.0.0.1:40123\nmore\n", address,
                                       sizeof(address)));
    cr_assert_str_eq(address, "127.0.0.1:40123");
    cr_assert(bench_boxes_read_address("listening on [::1]:7 (TLS)\n", address, sizeof(address)));
    cr_assert_str_eq(address, "[::1]:7");
}

Test(bench_boxes, half_a_line_is_none)
{
    static const char *const texts[] = {"", "listening", "listening on ", "listening on \n",
                                        "listening on 127.0.0.1:40"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char address[64] = "before";
        cr_assert_not(bench_boxes_read_address(texts[i], address, sizeof(address)), "%zu", i);
        cr_assert_str_eq(address, "before");
    }
}

Test(bench_boxes, too_long_is_none)
{
    char address[8] = "before";
    cr_assert_not(
        bench_boxes_read_address("listening on 127.0.0.1:40123\n", address, sizeof(address)));
    cr_assert_str_eq(address, "before");
}

Test(bench_boxes, each_box_has_its_directory)
{
    struct bench_place place;
    struct bench_setup s = {.dir = "/somewhere", .size = 64};
    cr_assert_eq(bench_boxes_at(&place, &s, 1), &s, "one bus: the setup itself");
    s.is_bridge = true;
    const struct bench_setup *there = bench_boxes_at(&place, &s, 1);
    cr_assert_neq(there, &s);
    cr_assert_str_eq(there->dir, "/somewhere/box1");
    cr_assert_eq(there->size, 64);
    cr_assert_str_eq(s.dir, "/somewhere");
}

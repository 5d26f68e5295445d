/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    What measuring verbs send is what they read, and any changed byte shows.
 * Method  Every size around the smallest, every single byte changed.
 */
#include "tools/cli/load.h"

#include <criterion/criterion.h>

static const struct cli_load sent = {.run = 0x12345, .publisher = 7, .number = 4711, .at_ns = 99};

Test(cli_load, comes_back_at_every_size)
{
    unsigned char bytes[300];
    for (size_t size = CLI_LOAD_MIN_BYTES; size <= sizeof(bytes); size++) {
        struct cli_load got = {0};
        cli_load_fill(bytes, size, &sent);
        cr_assert_eq(cli_load_read(bytes, size, sent.run, &got), 1, "%zu", size);
        cr_assert_eq(got.run, sent.run & 0xffffU);
        cr_assert_eq(got.publisher, sent.publisher);
        cr_assert_eq(got.number, sent.number);
        cr_assert_eq(got.at_ns, sent.at_ns);
    }
}

Test(cli_load, every_changed_byte_shows)
{
    unsigned char bytes[67];
    struct cli_load got;
    cli_load_fill(bytes, sizeof(bytes), &sent);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        int is_time = i >= 8 && i < 16;
        bytes[i] ^= 0x10;
        int whole = cli_load_read(bytes, sizeof(bytes), sent.run, &got);
        cr_assert(is_time ? whole == 1 : whole <= 0, "byte %zu", i);
        bytes[i] ^= 0x10;
    }
}

Test(cli_load, others_are_not_ours)
{
    unsigned char bytes[64] = {0};
    struct cli_load got;
    cli_load_fill(bytes, sizeof(bytes), &sent);
    cr_assert_eq(cli_load_read(bytes, sizeof(bytes), sent.run + 1, &got), 0);
    cr_assert_eq(cli_load_read(bytes, CLI_LOAD_MIN_BYTES - 1, sent.run, &got), 0);
    cr_assert_eq(cli_load_read(bytes, 0, sent.run, &got), 0);
}

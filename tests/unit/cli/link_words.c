/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    `busbar sub --status` says in words what happened to a link, and a name from another box cannot reach the
 *         terminal.
 * Method  Whole lines compared.
 */
#include "tools/cli/message.h"
#include <criterion/criterion.h>
#include <string.h>

static void
expect(const struct bb_status *status, const char *node, const char *text, const char *wanted)
{
    struct cli_buffer out = {0};
    const struct bb_msg msg = {
        .topic = "", .data = text, .bytes = strlen(text), .node = node, .status = status};
    cli_put_message(&out, &msg, CLI_FORM_TEXT);
    cr_assert_eq(out.err, 0);
    cr_assert_eq(out.bytes, strlen(wanted), "%.*s", (int)out.bytes, out.p);
    cr_assert_eq(memcmp(out.p, wanted, out.bytes), 0, "%.*s", (int)out.bytes, out.p);
    cli_buffer_free(&out);
}

Test(link_words, each_status, .timeout = 20)
{
    struct bb_status s = {.kind = BB_STATUS_PEER_ADDED};
    expect(&s, "north", "up at 10.0.0.1:4711", "* north: peer added: up at 10.0.0.1:4711\n");
    s.kind = BB_STATUS_PEER_REMOVED;
    expect(&s, "north", "taken down", "* north: peer removed: taken down\n");
    s.kind = BB_STATUS_PEER_LOST;
    expect(&s, "north", "reset", "* north: peer lost: reset\n");
    s.kind = BB_STATUS_PEER_UNAVAILABLE;
    expect(&s, "[::1]:4711", "refused", "* [::1]:4711: peer unavailable: refused\n");
    s = (struct bb_status){.kind = BB_STATUS_GAP, .count = 12};
    expect(&s, "north", "cut", "* north: gap, 12 messages lost: cut\n");
    s.uncertain = 3;
    expect(&s, "north", "cut", "* north: gap, 12 messages lost, 3 of them perhaps not: cut\n");
}

Test(link_words, nothing_steers_the_terminal, .timeout = 20)
{
    const struct bb_status s = {.kind = BB_STATUS_PEER_LOST};
    expect(&s, "a\033[2J", "b\nc", "* a\\x1b[2J: peer lost: b\\nc\n");
}

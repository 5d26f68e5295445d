/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Every line arrives whole, whatever the pieces in which it was written; too long ones are counted.
 * Method  A pipe that is written piece by piece; a limit of a few bytes around which lines are cut.
 */
#include "tools/cli/lines.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fds[2];
static struct cli_lines lines;

static void
begin(size_t max_bytes)
{
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(cli_lines_init(&lines, fds[0], max_bytes), 0);
}

static void
put(const char *text)
{
    cr_assert_eq(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
    cr_assert_eq(cli_lines_read(&lines, 1000), 0);
}

static void
end_input(void)
{
    close(fds[1]);
    cr_assert_eq(cli_lines_read(&lines, 1000), 0);
}

static void
expect(const char *text)
{
    const char *line;
    size_t bytes;
    cr_assert_eq(cli_lines_next(&lines, &line, &bytes), 1, "no line, expected %s", text);
    cr_assert_eq(bytes, strlen(text), "%zu bytes, expected %s", bytes, text);
    cr_assert_eq(memcmp(line, text, bytes), 0);
}

static void
expect_none(void)
{
    const char *line;
    size_t bytes;
    cr_assert_eq(cli_lines_next(&lines, &line, &bytes), 0);
}

Test(cli_lines, pieces_become_lines)
{
    begin(100);
    put("on");
    expect_none();
    put("e\n\ntwo\nthr");
    cr_assert(cli_lines_has_next(&lines));
    expect("one");
    expect("");
    cr_assert(cli_lines_has_next(&lines));
    expect("two");
    cr_assert(!cli_lines_has_next(&lines));
    expect_none();
    put("ee");
    expect_none();
    end_input();
    cr_assert(lines.at_end);
    expect("three"); /* the last line lacks its end */
    expect_none();
    cli_lines_fini(&lines);
}

Test(cli_lines, an_end_without_a_rest)
{
    begin(100);
    put("x\n");
    expect("x");
    end_input();
    expect_none();
    cr_assert(lines.at_end);
    cli_lines_fini(&lines);
}

Test(cli_lines, too_long_ones_are_skipped_and_counted)
{
    begin(4);
    put("1234\n12345\nok\n");
    expect("1234");
    expect("ok");
    cr_assert_eq(lines.too_long, 1);
    put("123456");
    end_input();
    expect_none();
    cr_assert_eq(lines.too_long, 2);
    cli_lines_fini(&lines);
}

Test(cli_lines, longer_than_the_buffer)
{
    enum { BIG = 200000 };
    char *big = malloc(BIG);
    begin(70000);
    memset(big, 'a', BIG);
    for (size_t sent = 0; sent < BIG;) {
        ssize_t n = write(fds[1], big + sent, BIG - sent < 30000 ? BIG - sent : 30000);
        cr_assert_gt(n, 0);
        sent += (size_t)n;
        cr_assert_eq(cli_lines_read(&lines, 1000), 0);
        expect_none();
    }
    put("\nnext\n");
    expect("next");
    cr_assert_eq(lines.too_long, 1);
    free(big);
    cli_lines_fini(&lines);
}

Test(cli_lines, waits_no_longer_than_asked)
{
    begin(10);
    cr_assert_eq(cli_lines_read(&lines, 1), 0);
    cr_assert(!lines.at_end);
    expect_none();
    cli_lines_fini(&lines);
}

Test(cli_lines, a_failed_read_is_said)
{
    begin(10);
    lines.fd = fds[1]; /* not open for reading: poll() says so, read() fails */
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        close(fds[0]);
        rc = cli_lines_read(&lines, 10);
    }
    cr_assert_eq(rc, -EBADF);
    cli_lines_fini(&lines);
}

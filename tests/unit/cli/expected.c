/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Expected nodes are read from words and from a file, each once, and what is no node is refused.
 * Method  A call with arguments, and a file of its own in memory.
 */
#include "tools/cli/expected.h"
#include "tools/cli/report.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct cli_verb verb = {.name = "status", .usage = "[NODE...]"};
static struct cli_expected expected;

/* read_words - the exit code; the words are separated by blanks. */
static int
read_words(const char *text, const char *layout_path)
{
    static char copy[256];
    char *words[16];
    char *rest = NULL;
    struct cli_call call = {.verb = &verb, .args = words};

    (void)snprintf(copy, sizeof(copy), "%s", text);
    for (char *w = strtok_r(copy, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest)) {
        words[call.arg_count++] = w;
    }
    return cli_expected_read(&call, layout_path, &expected);
}

/* read_file - the exit code for a layout with this content, beside these words. */
static int
read_file(const char *words, const char *content)
{
    char path[64];
    int fd = memfd_create("layout", MFD_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int code = read_words(words, path);
    close(fd);
    return code;
}

static void
expect(size_t i, const char *name, uint32_t role)
{
    cr_assert_lt(i, expected.count);
    cr_assert_str_eq(expected.v[i].name, name);
    cr_assert_eq(expected.v[i].role, role);
}

static void
fini(void)
{
    cli_expected_free(&expected);
}

TestSuite(cli_expected, .timeout = 30, .fini = fini);

Test(cli_expected, words)
{
    cr_assert_eq(read_words("manager:manager w-1 a:b:worker", NULL), CLI_DONE);
    cr_assert_eq(expected.count, 3);
    expect(0, "manager", BB_ROLE_MANAGER);
    expect(1, "w-1", BB_ROLE_NONE);
    expect(2, "a:b", BB_ROLE_WORKER);
    cr_assert_eq(cli_expected_find(&expected, "w-1"), &expected.v[1]);
    cr_assert_null(cli_expected_find(&expected, "w-"));
}

Test(cli_expected, nothing)
{
    cr_assert_eq(read_words("", NULL), CLI_DONE);
    cr_assert_eq(expected.count, 0);
}

Test(cli_expected, twice_is_once_and_the_role_is_kept)
{
    cr_assert_eq(read_words("a a:proxy a", NULL), CLI_DONE);
    cr_assert_eq(expected.count, 1);
    expect(0, "a", BB_ROLE_PROXY);
    cli_expected_free(&expected);
    cr_assert_eq(read_words("a:proxy a:worker", NULL), CLI_USAGE);
    cr_assert_eq(expected.count, 0);
}

Test(cli_expected, what_is_no_node)
{
    static const char *const wrong[] = {"a:", ":worker", "a:boss", "a:Worker"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(read_words(wrong[i], NULL), CLI_USAGE, "%s", wrong[i]);
    }
}

Test(cli_expected, names_have_47_bytes_at_most)
{
    char name[BB_NAME_MAX + 2];
    memset(name, 'x', sizeof(name));
    name[BB_NAME_MAX] = '\0';
    cr_assert_eq(read_words(name, NULL), CLI_DONE);
    expect(0, name, BB_ROLE_NONE);
    cli_expected_free(&expected);
    name[BB_NAME_MAX] = 'x';
    name[BB_NAME_MAX + 1] = '\0';
    cr_assert_eq(read_words(name, NULL), CLI_USAGE);
}

Test(cli_expected, a_file)
{
    cr_assert_eq(read_file("w-2:worker", "# all\n\nmanager manager\r\n\tw-1   worker  # one\nw-2"),
                 CLI_DONE);
    cr_assert_eq(expected.count, 3);
    expect(0, "w-2", BB_ROLE_WORKER);
    expect(1, "manager", BB_ROLE_MANAGER);
    expect(2, "w-1", BB_ROLE_WORKER);
}

Test(cli_expected, a_file_that_is_wrong)
{
    static const char *const wrong[] = {"a worker b\n", "a boss\n", "a worker\na proxy\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(read_file("", wrong[i]), CLI_USAGE, "%s", wrong[i]);
        cr_assert_eq(expected.count, 0);
    }
}

Test(cli_expected, a_file_that_is_not_there)
{
    cr_assert_eq(read_words("", "/nonexistent/layout"), CLI_NONE);
    cr_assert_eq(read_words("a", "/proc/self/fd"), CLI_FAILED); /* a folder */
    cr_assert_eq(expected.count, 0);
}

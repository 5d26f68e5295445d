/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a log's file rotates by size and time, never overwrites another, and ends in whole lines after a crash or
 * a full disk.
 * Method: one file in a directory of its own, with times that the test gives; a limit on file sizes is the full disk.
 */
#include "lib/cluster/log_file.h"
#include "tests/unit/shm/bus_dir.h"
#include <signal.h>
#include <sys/resource.h>

#define HOUR_NS INT64_C(3600000000000)
#define NOON_NS INT64_C(1521892800000000000) /* 2018-03-24T12:00:00Z */

static struct bbi_log_place place;

static void
init(void)
{
    bus_dir_make();
    place =
        (struct bbi_log_place){.node = "logger-1", .pattern = "%{stream}.%Y-%m-%d-%H-%M-%S.log"};
    place.dir_fd = open(bus_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(place.dir_fd, 0);
}

static void
fini(void)
{
    char cmd[128];
    (void)close(place.dir_fd);
    (void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", bus_dir);
    cr_assert_eq(system(cmd), 0);
}

TestSuite(log_file, .init = init, .fini = fini, .timeout = 30);

static void
begin(struct bbi_log_file *f, int64_t wall_ns)
{
    cr_assert_eq(bbi_log_file_init(f, &place, "conn"), 0);
    cr_assert_eq(bbi_log_file_open(f, wall_ns), 0);
}

static int
put(struct bbi_log_file *f, const char *line)
{
    int rc = bbi_log_file_room(f, strlen(line));
    if (rc == 0) {
        memcpy(f->buf + f->len, line, strlen(line));
        f->len += strlen(line);
    }
    return rc;
}

static const char *
content(const char *name)
{
    static char text[4096];
    int fd = openat(place.dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

#define CONTENT(name, want)                                                                        \
    do {                                                                                           \
        const char *is = content(name);                                                            \
        cr_assert_not_null(is, "no %s", name);                                                     \
        cr_assert_str_eq(is, want, "%s: %s", name, is);                                            \
    } while (0)

Test(log_file, names)
{
    char name[64];
    cr_assert_eq(bbi_log_name(name, 64, place.pattern, "conn", "n", 1, NOON_NS), 0);
    cr_assert_str_eq(name, "conn.2018-03-24-12-00-00.log");
    cr_assert_eq(bbi_log_name(name, 64, place.pattern, "conn", "n", 2, NOON_NS), 0);
    cr_assert_str_eq(name, "conn.2018-03-24-12-00-00-2.log");
    cr_assert_eq(bbi_log_name(name, 64, "%Y/%{stream}_%{node}_%{n}", "dns", "a%b", 7, NOON_NS), 0);
    cr_assert_str_eq(name, "2018/dns_a%b_7");
    cr_assert_eq(bbi_log_name(name, 64, "../x", "conn", "n", 1, NOON_NS), BB_EINVAL);
    cr_assert_eq(bbi_log_name(name, 64, "a/../x", "conn", "n", 1, NOON_NS), BB_EINVAL);
    cr_assert_eq(bbi_log_name(name, 64, "/x", "conn", "n", 1, NOON_NS), BB_EINVAL);
    cr_assert_eq(bbi_log_name(name, 64, "", "conn", "n", 1, NOON_NS), BB_EINVAL);
    cr_assert_eq(bbi_log_name(name, 8, "%{stream}.log", "connect", "n", 1, NOON_NS), BB_EINVAL);
}

Test(log_file, rotates_by_time)
{
    struct bbi_log_file f;
    place.rotate_ns = HOUR_NS;
    begin(&f, NOON_NS + 5);
    cr_assert_eq(put(&f, "one\n"), 0);
    cr_assert_eq(bbi_log_file_flush(&f), 0);
    cr_assert_eq(bbi_log_file_is_due(&f, NOON_NS + HOUR_NS - 1), false);
    cr_assert_eq(bbi_log_file_is_due(&f, NOON_NS + HOUR_NS), true);
    cr_assert_eq(bbi_log_file_rotate(&f), 0);
    CONTENT("conn.2018-03-24-12-00-00.log", "one\n");
    cr_assert_null(content("conn.log"));
    cr_assert_eq(bbi_log_file_open(&f, NOON_NS + HOUR_NS), 0);
    cr_assert_eq(put(&f, "two\n"), 0);
    cr_assert_eq(bbi_log_file_flush(&f), 0);
    CONTENT("conn.log", "two\n");
    bbi_log_file_fini(&f);
}

Test(log_file, rotates_by_size_and_never_overwrites)
{
    struct bbi_log_file f;
    place.rotate_bytes = 8;
    begin(&f, NOON_NS);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(bbi_log_file_open(&f, NOON_NS), 0);
        cr_assert_eq(put(&f, "12345678\n"), 0);
        cr_assert_eq(bbi_log_file_is_due(&f, NOON_NS), true);
        cr_assert_eq(bbi_log_file_flush(&f), 0);
        cr_assert_eq(bbi_log_file_rotate(&f), 0);
    }
    CONTENT("conn.2018-03-24-12-00-00.log", "12345678\n");
    CONTENT("conn.2018-03-24-12-00-00-2.log", "12345678\n");
    CONTENT("conn.2018-03-24-12-00-00-3.log", "12345678\n");
    cr_assert_eq(f.opened, 3);
    bbi_log_file_fini(&f);
}

Test(log_file, a_torn_line_is_cut_off_and_the_rest_kept)
{
    struct bbi_log_file f;
    static char text[10000];
    memset(text, 'x', sizeof(text));
    memcpy(text, "whole\n", 6);
    int fd = openat(place.dir_fd, "conn.log", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_eq(write(fd, text, sizeof(text)), (ssize_t)sizeof(text));
    const struct timespec times[2] = {{.tv_sec = NOON_NS / 1000000000},
                                      {.tv_sec = NOON_NS / 1000000000}};
    cr_assert_eq(futimens(fd, times), 0);
    (void)close(fd);
    begin(&f, NOON_NS + HOUR_NS);
    cr_assert_eq(f.torn, 1);
    cr_assert_eq(put(&f, "new\n"), 0);
    cr_assert_eq(bbi_log_file_flush(&f), 0);
    CONTENT("conn.log", "new\n");
    bbi_log_file_fini(&f);
    /* Named by the time at which it was last written. */
    CONTENT("conn.2018-03-24-12-00-00.log", "whole\n");
}

Test(log_file, another_living_logger_keeps_its_file)
{
    struct bbi_log_file one, two, three;
    begin(&one, NOON_NS);
    begin(&two, NOON_NS);
    cr_assert_str_eq(one.name, "conn.log");
    cr_assert_str_eq(two.name, "conn.logger-1.log");
    cr_assert_eq(bbi_log_file_init(&three, &place, "conn"), 0);
    cr_assert_eq(bbi_log_file_open(&three, NOON_NS), BB_EBUSY);
    bbi_log_file_fini(&one);
    cr_assert_eq(bbi_log_file_open(&three, NOON_NS), 0);
    cr_assert_str_eq(three.name, "conn.log");
    bbi_log_file_fini(&two);
    bbi_log_file_fini(&three);
}

/* A file size limit is met in the middle of a line, as a full disk is. */
Test(log_file, what_does_not_fit_is_undone)
{
    struct bbi_log_file f;
    struct rlimit limit = {.rlim_cur = 10, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    begin(&f, NOON_NS);
    cr_assert_eq(put(&f, "good\n"), 0);
    cr_assert_eq(bbi_log_file_flush(&f), 0);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(put(&f, "too long for it\n"), 0);
    cr_assert_eq(bbi_log_file_flush(&f), -EFBIG);
    CONTENT("conn.log", "good\n");
    cr_assert_eq(put(&f, "fits\n"), 0);
    cr_assert_eq(bbi_log_file_flush(&f), 0);
    CONTENT("conn.log", "good\nfits\n");
    bbi_log_file_fini(&f);
}

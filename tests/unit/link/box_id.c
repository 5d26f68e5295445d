/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the id of a box is made once, by whoever is first, and nothing else passes for it.  Method: many processes at
 * once; files that are short, long, another's or open to others.
 */
#include "lib/link/box_id.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(box_id, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 30);

static const char *
path(void)
{
    static char text[512];
    (void)snprintf(text, sizeof(text), "%s/.box-bus", bbt_dir());
    return text;
}

Test(box_id, made_once)
{
    struct bbi_link_id first;
    struct bbi_link_id again;
    struct bbi_link_id other;
    struct stat st;
    struct bbi_fault f = {0};
    cr_assert_eq(bbi_box_id(bbt_dir(), "bus", &first, &f), 1, "%s", f.sentence);
    cr_assert_eq(bbi_box_id(bbt_dir(), "bus", &again, &f), 0, "%s", f.sentence);
    cr_assert_eq(bbi_link_id_compare(&first, &again), 0);
    cr_assert_eq(bbi_box_id(bbt_dir(), "other", &other, &f), 1);
    cr_assert_neq(bbi_link_id_compare(&first, &other), 0);
    cr_assert_eq(stat(path(), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
    cr_assert_eq(st.st_size, 16);
    cr_assert_lt(bbi_box_id("/nonexistent", "bus", &first, &f), 0);
}

static void
make(struct bbt_side *side, const void *arg)
{
    struct bbi_link_id id;
    struct bbi_fault f = {0};
    (void)arg;
    (void)bbt_wait_go(side, 1, 10000);
    int rc = bbi_box_id(bbt_dir(), "bus", &id, &f);
    BBT_CHECK(side, rc >= 0, "%s", f.sentence);
    memcpy(&side->n[0], id.v, 16);
    side->n[2] = (uint64_t)rc;
}

Test(box_id, two_at_once_get_the_same)
{
    enum { N = 8 };
    struct bbt_child c[N];
    uint64_t made = 0;
    for (int i = 0; i < N; i++) {
        bbt_fork(&c[i], "maker", make, NULL);
    }
    for (int i = 0; i < N; i++) {
        bbt_order(&c[i], 1);
    }
    for (int i = 0; i < N; i++) {
        bbt_wait_end(&c[i], 10000);
        made += c[i].side->n[2];
        cr_assert_eq(c[i].side->n[0], c[0].side->n[0]);
        cr_assert_eq(c[i].side->n[1], c[0].side->n[1]);
    }
    cr_assert_eq(made, 1);
}

static int
read_file(const char *bytes, size_t count, mode_t mode, struct bbi_fault *f)
{
    struct bbi_link_id id;
    int fd = open(path(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, count), (ssize_t)count);
    cr_assert_eq(fchmod(fd, mode), 0);
    (void)close(fd);
    *f = (struct bbi_fault){0};
    return bbi_box_id(bbt_dir(), "bus", &id, f);
}

Test(box_id, nothing_else_passes)
{
    struct bbi_fault f;
    struct bbi_link_id id;
    cr_assert_eq(read_file("0123456789abcdef", 16, 0600, &f), 0, "%s", f.sentence);
    cr_assert_eq(read_file("0123456789abcde", 15, 0600, &f), BB_ECORRUPT);
    cr_assert_eq(read_file("0123456789abcdefg", 17, 0600, &f), BB_ECORRUPT);
    cr_assert_eq(read_file("0123456789abcdef", 16, 0620, &f), BB_ETRUST);
    cr_assert_neq(strstr(f.sentence, "remove it"), NULL);
    cr_assert_eq(unlink(path()), 0);
    cr_assert_eq(symlink("/etc/hostname", path()), 0);
    cr_assert_lt(bbi_box_id(bbt_dir(), "bus", &id, &f), 0);
}

Test(box_id, names)
{
    char name[BBI_LINK_NAME_MAX + 1];
    char longest[BBI_LINK_NAME_MAX + 1];
    struct bbi_fault f = {0};
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    cr_assert_eq(bbi_box_own_name("sensor-1", name, &f), 0);
    cr_assert_str_eq(name, "sensor-1");
    cr_assert_eq(bbi_box_own_name(longest, name, &f), 0);
    cr_assert_eq(bbi_box_own_name("", name, &f), BB_EINVAL);
    cr_assert_eq(bbi_box_own_name("a b", name, &f), BB_EINVAL);
    cr_assert_eq(bbi_box_own_name("\xc3\xa4", name, &f), BB_EINVAL);
    cr_assert_neq(strstr(f.sentence, "--name"), NULL);
    char with_one_more[BBI_LINK_NAME_MAX + 2];
    (void)snprintf(with_one_more, sizeof(with_one_more), "%sy", longest);
    cr_assert_eq(bbi_box_own_name(with_one_more, name, &f), BB_EINVAL);
}

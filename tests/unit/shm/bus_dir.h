/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/shm/bus_dir.h - a bus of its own in a temporary directory, and members of it in one process.
 *
 * Each attachment opens its lock file anew, so several in one process exclude each other as processes do;
 * closing its descriptors without a word (die) is what the kernel does for a killed process.
 */
#ifndef BUSBAR_TESTS_UNIT_SHM_BUS_DIR_H
#define BUSBAR_TESTS_UNIT_SHM_BUS_DIR_H

#include "shm/attach.h"
#include "shm/registry.h"
#include "shm/wake.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char bus_dir[64];

static inline int
count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(d) != NULL) {
        n++;
    }
    (void)closedir(d);
    return n;
}

static inline void
bus_dir_make(void)
{
    (void)strcpy(bus_dir, "/dev/shm/busbar-test-XXXXXX");
    cr_assert_not_null(mkdtemp(bus_dir));
}

static inline void
bus_dir_remove(void)
{
    char command[128];
    if (strncmp(bus_dir, "/dev/shm/busbar-test-", 21) == 0) {
        (void)snprintf(command, sizeof(command), "rm -rf '%s'", bus_dir);
        (void)!system(command); /* NOLINT(cert-env33-c): a path of ours */
    }
}

static inline void
attach_named(struct bbi_attach *at, const char *name)
{
    struct bbi_fault f = {0};
    const struct bbi_attach_opts o = {
        .dir = bus_dir, .bus = "b", .may_make = true, .wait_ns = 2000000000};
    int rc = bbi_attach_open(at, &o, &f);
    cr_assert_eq(rc, 0, "%s", f.sentence);
    rc = bbi_attach_join(at, name, 4, &f);
    cr_assert_eq(rc, 0, "%s", f.sentence);
}

/* All that the kernel does when the process of this member is killed; nothing of ours runs. */
static inline void
die(struct bbi_attach *at)
{
    bbi_attach_forked(at);
}

static inline const struct bbi_ring_shape *
small_shape(void)
{
    static const struct bbi_ring_shape s = {
        .depth = 64, .pay_bytes = 4096, .dict_count = 16, .text_bytes = 256};
    return &s;
}

static inline bool
file_exists(const char *file)
{
    char path[256];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/b/%s", bus_dir, file);
    return lstat(path, &st) == 0;
}

/* Files below the bus whose name begins so. */
static inline int
count_files(const char *sub, const char *prefix)
{
    char path[256];
    int n = 0;
    (void)snprintf(path, sizeof(path), "%s/b/%s", bus_dir, sub);
    DIR *d = opendir(path);
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return n;
}

#endif

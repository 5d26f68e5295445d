/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME "busbar-bench-"

enum { YOUNG_S = 60 }; /* made so lately that it may not be locked yet */

static int
remove_one(const char *path, const struct stat *sb, int kind, struct FTW *ftw)
{
    (void)sb;
    (void)ftw;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

static void
remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The lock is released with the last process that has the descriptor. */
static int
lock_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void
remove_if_left(const char *path)
{
    struct stat st;
    int fd = lock_dir(path);
    if (fd < 0) {
        return;
    }
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && time(NULL) - st.st_mtime > YOUNG_S) {
        remove_tree(path);
    }
    (void)close(fd);
}

static void
remove_leftovers(const char *base)
{
    char path[512];
    DIR *dir = opendir(base);
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (strncmp(e->d_name, NAME, strlen(NAME)) == 0
            && snprintf(path, sizeof(path), "%s/%s", base, e->d_name) < (int)sizeof(path)) {
            remove_if_left(path);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

static int
make_in(const char *base, struct bench_scratch *scratch)
{
    remove_leftovers(base);
    (void)snprintf(scratch->path, sizeof(scratch->path), "%s/" NAME "XXXXXX", base);
    if (mkdtemp(scratch->path) == NULL) {
        (void)fprintf(stderr, "busbar-bench: cannot make the directory %s: %s.\n", scratch->path,
                      strerror(errno));
        return -1;
    }
    scratch->lock_fd = lock_dir(scratch->path);
    return 0;
}

int
bench_scratch_make(struct bench_scratch *scratch)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    return make_in(base != NULL ? base : "/tmp", scratch);
}

int
bench_scratch_make_on_disk(struct bench_scratch *scratch)
{
    const char *base = getenv("TMPDIR");
    return make_in(base != NULL ? base : "/var/tmp", scratch);
}

void
bench_scratch_remove(struct bench_scratch *scratch)
{
    remove_tree(scratch->path);
    if (scratch->lock_fd >= 0) {
        (void)close(scratch->lock_fd);
    }
}

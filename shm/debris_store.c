/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: a store's directory holds files, links and generations, which are directories of files.  Only names
 * that a store has are touched, so that what somebody else laid there stays, and its directory too.
 */
#include "shm/debris.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STORE_DEPTH = 3 }; /* a store, what was damaged, its generations; then files */

static bool
begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static bool
is_of_store(const char *name)
{
    return begins(name, "gen-") || begins(name, "damaged-") || begins(name, "current")
           || strcmp(name, "lock") == 0 || strcmp(name, "ctl") == 0 || strcmp(name, "ctl.new") == 0
           || strcmp(name, "data.mdb") == 0 || strcmp(name, "lock.mdb") == 0;
}

struct walk {
    bool removes;
    uint64_t bytes;
};

static DIR *
open_dir(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL && fd >= 0) {
        (void)close(fd);
    }
    return dir;
}

/* Adds up what a directory of a store has, and removes it.  depth: of directories that may still come. */
static void
walk_dir(struct walk *w, int dir_fd, const char *name, int depth)
{
    DIR *dir = depth > 0 ? open_dir(dir_fd, name) : NULL;
    const struct dirent *e;
    struct stat st;
    if (dir == NULL) {
        return;
    }
    int fd = dirfd(dir);
    while ((e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (!is_of_store(e->d_name) || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            walk_dir(w, fd, e->d_name, depth - 1);
            continue;
        }
        w->bytes += (uint64_t)st.st_blocks * 512;
        if (w->removes) {
            (void)unlinkat(fd, e->d_name, 0);
            BBI_HOOK("debris:store_file");
        }
    }
    (void)closedir(dir);
    if (w->removes) {
        (void)unlinkat(dir_fd, name, AT_REMOVEDIR);
    }
}

bool
bbi_debris_remove_dir(int dir_fd, const char *name)
{
    struct walk w = {.removes = true};
    walk_dir(&w, dir_fd, name, STORE_DEPTH);
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

/* Its master holds byte 0: one on another bus may serve it. */
static bool
is_served(int dir_fd, const char *name)
{
    char path[BBI_FILE_NAME_BYTES + 8];
    (void)snprintf(path, sizeof(path), "%.63s/lock", name);
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool is = fd >= 0 && bbi_os_lock_test(fd, 0) != 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is;
}

/* Removes one, or says what it has. */
static void
clear_store(int stores_fd, const char *name, bool is_dry, struct bbi_debris_item *item)
{
    struct stat st;
    bool is_link = fstatat(stores_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
    if (is_link) {
        item->why = "it names a store elsewhere, which stays";
        item->removed = !is_dry && unlinkat(stores_fd, name, 0) == 0;
        return;
    }
    struct walk w = {.removes = false};
    walk_dir(&w, stores_fd, name, STORE_DEPTH);
    item->bytes = w.bytes;
    if (is_served(stores_fd, name)) {
        item->why = "it has a master, on another bus";
        return;
    }
    item->why = "a store in memory, and nobody is attached";
    item->removed = !is_dry && bbi_debris_remove_dir(stores_fd, name);
}

int
bbi_debris_stores(const struct bbi_attach *at, unsigned flags, bbi_debris_cb cb, void *user)
{
    bool is_dry = (flags & BBI_DEBRIS_DRY_RUN) != 0;
    int count = 0;
    DIR *dir = open_dir(at->place.dir_fd, "stores");
    const struct dirent *e;
    if (dir == NULL) {
        return 0;
    }
    while ((e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        char file[BBI_FILE_NAME_BYTES + 8];
        struct bbi_debris_item item = {.file = file, .node = ""};
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0
            || strlen(e->d_name) >= BBI_FILE_NAME_BYTES) {
            continue;
        }
        (void)snprintf(file, sizeof(file), "stores/%.63s", e->d_name);
        clear_store(dirfd(dir), e->d_name, is_dry, &item);
        BBI_HOOK("debris:store");
        count++;
        if (cb != NULL) {
            cb(&item, user);
        }
    }
    (void)closedir(dir);
    if (!is_dry) {
        (void)unlinkat(at->place.dir_fd, "stores", AT_REMOVEDIR);
    }
    return count;
}

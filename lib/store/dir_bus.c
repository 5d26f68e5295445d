/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bus knows its stores by name: directories of its own, links to those that outlive it.
 */
#include "lib/store/dir_impl.h"

int
bbi_store_dir_find(const char *bus_path, const char *name, char out[256])
{
    char path[BBI_PATH_BYTES + BBI_NAME_BYTES + 16];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/stores/%s", bus_path, name);
    if (lstat(path, &st) != 0) {
        return -errno;
    }
    if (S_ISDIR(st.st_mode)) {
        return snprintf(out, 256, "%s", path) < 256 ? 0 : BB_ENAMETOOLONG;
    }
    char target[256];
    ssize_t n = S_ISLNK(st.st_mode) ? readlink(path, target, sizeof(target)) : -1;
    if (n <= 0 || n >= (ssize_t)sizeof(target) || target[0] != '/') {
        return BB_ECORRUPT;
    }
    memcpy(out, target, (size_t)n);
    out[n] = '\0';
    return 0;
}

/* Another store has this name: is somebody its master? */
static bool
is_served_at(const char *path)
{
    struct bbi_store_dir dir = {.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                .lock_fd = -1};
    bool is = dir.fd >= 0 && bbi_store_dir_is_served(&dir) != 0;
    if (dir.fd >= 0) {
        (void)close(dir.fd);
    }
    return is;
}

static int
say_taken(const char *name, const char *at, bool is_served, struct bbi_fault *f)
{
    return bbi_fault_set(f, BB_EEXIST, name,
                         is_served ? "the store '%s' of this bus is the one in '%s', which has a "
                                     "master: end it, or choose another name"
                                   : "the store '%s' of this bus is one in memory, '%s': remove "
                                     "that directory, or choose another name",
                         name, at);
}

static int
say_persistent(const char *name, const char *at, const char *link, struct bbi_fault *f)
{
    return bbi_fault_set(f, BB_EEXIST, name,
                         "the store '%s' of this bus is the one in '%s', which is kept: give its "
                         "path (--path %s), or remove the link '%s' for an empty one in memory",
                         name, at, at, link);
}

int
bbi_store_dir_may_announce(const char *bus_path,
                           const char *name,
                           const char *path,
                           struct bbi_fault *f)
{
    char link[BBI_PATH_BYTES + BBI_NAME_BYTES + 16];
    char now[256];
    struct stat st;
    (void)snprintf(link, sizeof(link), "%s/stores/%s", bus_path, name);
    bool is_link = lstat(link, &st) == 0 && S_ISLNK(st.st_mode);
    if (bbi_store_dir_find(bus_path, name, now) < 0
        || (path != NULL ? strcmp(now, path) == 0 : !is_link)) {
        return 0; /* nobody's, or this one's */
    }
    if (is_link && is_served_at(now)) {
        return say_taken(name, now, true, f);
    }
    if (path == NULL) { /* a link to a directory that is there is somebody's data */
        return access(now, F_OK) == 0 ? say_persistent(name, now, link, f) : 0;
    }
    return is_link ? 0 : say_taken(name, now, is_served_at(now), f);
}

int
bbi_store_dir_announce(const char *bus_path,
                       const char *name,
                       const char *path,
                       struct bbi_fault *f)
{
    char link[BBI_PATH_BYTES + BBI_NAME_BYTES + 16];
    char fresh[sizeof(link) + 32];
    char now[256];
    uint64_t number;
    struct stat st;
    (void)snprintf(link, sizeof(link), "%s/stores", bus_path);
    int rc = bbi_dir_make_like_parent(link, f);
    if (rc < 0) {
        return rc;
    }
    (void)snprintf(link, sizeof(link), "%s/stores/%s", bus_path, name);
    bool is_link = lstat(link, &st) == 0 && S_ISLNK(st.st_mode);
    if (path != NULL && bbi_store_dir_find(bus_path, name, now) == 0 && strcmp(now, path) == 0) {
        return 0;
    }
    rc = bbi_store_dir_may_announce(bus_path, name, path, f);
    if (rc < 0) {
        return rc;
    }
    if (path == NULL) { /* a link that leads nowhere gives way */
        return !is_link || unlink(link) == 0 || errno == ENOENT
                   ? 0
                   : bbi_dir_say_errno(f, -errno, "remove", link);
    }
    bbi_os_random(&number, sizeof(number));
    (void)snprintf(fresh, sizeof(fresh), "%s/stores/.%s.%016" PRIx64, bus_path, name, number);
    if (symlink(path, fresh) != 0) {
        return bbi_dir_say_errno(f, -errno, "make the link", fresh);
    }
    if (rename(fresh, link) != 0) {
        rc = -errno;
        (void)unlink(fresh);
        return bbi_dir_say_errno(f, rc, "make the link", link);
    }
    return 0;
}

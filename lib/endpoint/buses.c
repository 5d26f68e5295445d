/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/buses.c - one bus in numbers, and all buses of the box.
 */
#include "busbar/inspect.h"
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/look_impl.h"
#include "shm/debris.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t
dir_bytes(int parent_fd, const char *name)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    uint64_t bytes = 0;
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        struct stat st;
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            bytes += (uint64_t)st.st_blocks * 512;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    return bytes;
}

static int
count_one(const char *file, void *user)
{
    (void)file;
    ++*(uint32_t *)user;
    return 0;
}

static void
count_living(const struct bbi_attach *at, struct bb_bus_info *out)
{
    for (uint32_t i = 0; i < BBI_MEMBERS; i++) {
        out->nodes += bbi_load_acquire(&at->bus->members[i].state) == BBI_MEMBER_ACTIVE
                      && bbi_is_alive(at, BBI_LOCK_MEMBER + i);
    }
    for (uint32_t i = 0; i < BBI_RINGS; i++) {
        out->rings += bbi_load_acquire(&at->bus->rings[i].state) == BBI_ENTRY_ACTIVE
                      && bbi_is_alive(at, BBI_LOCK_RING + i);
    }
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        out->subscribers += bbi_load_acquire(&at->bus->subs[i].state) == BBI_ENTRY_ACTIVE
                            && bbi_is_alive(at, BBI_LOCK_SUB + i);
    }
}

int
bb_look_bus(struct bb_look *look, struct bb_bus_info *out)
{
    const struct bbi_attach *at = &look->at;
    const struct bbi_ident *ident = &at->bus->ident;
    struct stat st;
    if (fstat(at->place.dir_fd, &st) != 0) {
        return -errno;
    }
    *out = (struct bb_bus_info){
        .created_wall_ns = ident->created_wall_ns,
        .generation = ident->generation,
        .major = ident->major,
        .minor = ident->minor,
        .uid = st.st_uid,
        .gid = st.st_gid,
        .mode = st.st_mode & 07777,
        .bytes = dir_bytes(at->place.dir_fd, ".") + dir_bytes(at->place.dir_fd, "dead"),
    };
    memcpy(&out->uuid, ident->bus_uuid, sizeof(out->uuid));
    (void)snprintf(out->path, sizeof(out->path), "%s", at->place.path);
    (void)snprintf(out->build, sizeof(out->build), "%.63s", ident->build);
    count_living(at, out);
    (void)bbi_debris_dead(at, count_one, &out->dead_rings);
    return 0;
}

/* A bus that we may not open: whose it is, at least. */
static int
say_closed_bus(const char *path, bb_bus_cb cb, void *user)
{
    struct bb_bus_info info = {.uid = -1, .gid = -1};
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return 0;
    }
    (void)snprintf(info.path, sizeof(info.path), "%s", path);
    info.uid = st.st_uid;
    info.gid = st.st_gid;
    info.mode = st.st_mode & 07777;
    return cb(&info, user);
}

static int
list_one(const char *dir, const char *bus, bb_bus_cb cb, void *user)
{
    struct bb_look *look;
    struct bb_bus_info info;
    char path[BBI_PATH_BYTES];
    int rc = bb_look_open(
        &look, &(struct bb_look_opts){.size = sizeof(struct bb_look_opts), .dir = dir, .bus = bus});
    if (rc == BB_ENOBUS || rc == BB_EINVAL || rc == -ENOTDIR || rc == BB_ENAMETOOLONG) {
        return 0;
    }
    if (rc < 0) {
        return snprintf(path, sizeof(path), "%s/%s", dir, bus) < (int)sizeof(path)
                   ? say_closed_bus(path, cb, user)
                   : 0;
    }
    rc = bb_look_bus(look, &info);
    bb_look_close(look);
    return rc < 0 ? 0 : cb(&info, user);
}

static int
list_dir(const char *path, bb_bus_cb cb, void *user)
{
    DIR *dir = opendir(path);
    const struct dirent *e;
    int rc = 0;
    if (dir == NULL) {
        return errno == EACCES ? say_closed_bus(path, cb, user) : 0;
    }
    while (rc == 0 && (e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (e->d_name[0] != '.') {
            rc = list_one(path, e->d_name, cb, user);
        }
    }
    (void)closedir(dir);
    return rc;
}

int
bb_bus_list(const char *dir, bb_bus_cb cb, void *user)
{
    char own[BBI_PATH_BYTES];
    char path[BBI_PATH_BYTES + 64];
    if (dir != NULL) {
        return list_dir(dir, cb, user);
    }
    int rc = bbi_place_dir(own, sizeof(own)) == 0 ? list_dir(own, cb, user) : 0;
    DIR *shm = opendir("/dev/shm");
    const struct dirent *e;
    while (shm != NULL && rc == 0
           && (e = readdir(shm)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (strncmp(e->d_name, "busbar-", 7) == 0 && strlen(e->d_name) < 64) {
            (void)snprintf(path, sizeof(path), "/dev/shm/%s", e->d_name);
            rc = strcmp(path, own) == 0 && getenv("BUSBAR_DIR") != NULL ? 0
                                                                        : list_dir(path, cb, user);
        }
    }
    if (shm != NULL) {
        (void)closedir(shm);
    }
    return rc;
}

int
bb_bus_dir(char *out, size_t cap)
{
    char path[BBI_PATH_BYTES];
    (void)bbi_place_dir(path, sizeof(path));
    size_t n = strlen(path);
    if (n >= cap) {
        return BB_EMSGSIZE;
    }
    memcpy(out, path, n + 1);
    return (int)n;
}

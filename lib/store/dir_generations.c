/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of generations, and the link that says which one counts.
 */
#include "lib/store/dir_impl.h"
#include "shm/debris.h"
#include <dirent.h>
#include <time.h>

enum { GEN_NAME_BYTES = 40, ASIDE_TRIES = 100 };

static void
gen_name(char out[GEN_NAME_BYTES], uint64_t generation, bool is_new)
{
    (void)snprintf(out, GEN_NAME_BYTES, "gen-%" PRIu64 "%s", generation, is_new ? ".new" : "");
}

bool
bbi_dir_parse_gen(const char *name, uint64_t *generation, bool *is_new)
{
    char again[GEN_NAME_BYTES];
    if (strncmp(name, "gen-", 4) != 0) {
        return false;
    }
    char *end;
    *generation = strtoull(name + 4, &end, 10);
    *is_new = *end != '\0';
    gen_name(again, *generation, *is_new);
    return *generation != 0 && strcmp(again, name) == 0;
}

void
bbi_dir_each_entry(int dir_fd, void (*cb)(int dir_fd, const char *name, void *user), void *user)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        cb(dir_fd, e->d_name, user);
    }
    (void)closedir(d);
}

int
bbi_store_dir_current(const struct bbi_store_dir *dir, uint64_t *generation)
{
    char target[GEN_NAME_BYTES + 1];
    bool is_new;
    ssize_t n = readlinkat(dir->fd, "current", target, sizeof(target) - 1);
    if (n < 0) {
        return errno == EINVAL ? BB_ECORRUPT : -errno; /* not a link */
    }
    target[n] = '\0';
    return bbi_dir_parse_gen(target, generation, &is_new) && !is_new ? 0 : BB_ECORRUPT;
}

void
bbi_store_dir_gen_path(const struct bbi_store_dir *dir,
                       uint64_t generation,
                       bool is_new,
                       char out[320])
{
    char name[GEN_NAME_BYTES];
    gen_name(name, generation, is_new);
    (void)snprintf(out, 320, "%s/%s", dir->path, name);
}

int
bbi_store_dir_make_gen(const struct bbi_store_dir *dir, uint64_t generation, bool is_new)
{
    char name[GEN_NAME_BYTES];
    gen_name(name, generation, is_new);
    if (mkdirat(dir->fd, name, 0700) != 0) {
        return -errno;
    }
    /* The group comes from the directory above, whose sticky bit it has. */
    if (dir->file_mode == 0660 && fchmodat(dir->fd, name, 02770, 0) != 0) {
        int rc = -errno;
        (void)unlinkat(dir->fd, name, AT_REMOVEDIR);
        return rc;
    }
    BBI_HOOK("store:gen_made");
    return 0;
}

static int
sync_entry(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    int rc = fsync(fd) == 0 ? 0 : -errno;
    (void)close(fd);
    return rc;
}

int
bbi_store_dir_point(const struct bbi_store_dir *dir, uint64_t generation)
{
    char to[GEN_NAME_BYTES];
    gen_name(to, generation, false);
    (void)unlinkat(dir->fd, "current.new", 0);
    int rc = symlinkat(to, dir->fd, "current.new") == 0 ? 0 : -errno;
    BBI_HOOK("store:current_new");
    if (rc == 0 && renameat(dir->fd, "current.new", dir->fd, "current") != 0) {
        rc = -errno;
    }
    BBI_HOOK("store:current");
    if (rc == 0 && fsync(dir->fd) != 0) {
        rc = -errno;
    }
    BBI_HOOK("store:current_synced");
    return rc;
}

int
bbi_store_dir_switch(const struct bbi_store_dir *dir, uint64_t generation)
{
    char from[GEN_NAME_BYTES], to[GEN_NAME_BYTES];
    gen_name(from, generation, true);
    gen_name(to, generation, false);
    int rc = sync_entry(dir->fd, from); /* its files have their names after a power cut */
    BBI_HOOK("store:gen_synced");
    if (rc == 0 && renameat(dir->fd, from, dir->fd, to) != 0) {
        rc = -errno;
    }
    BBI_HOOK("store:gen_renamed");
    if (rc == 0 && fsync(dir->fd) != 0) {
        rc = -errno;
    }
    return rc < 0 ? rc : bbi_store_dir_point(dir, generation);
}

/* The next one was renamed and its master died before `current` named it; later ones nobody makes: not ours to end. */
static bool
is_rubbish(uint64_t generation, uint64_t keep)
{
    return keep == 0 || generation < keep || generation == keep + 1;
}

static void
tidy_entry(int dir_fd, const char *name, void *user)
{
    const uint64_t *keep = user;
    uint64_t generation;
    bool is_new;
    if (strcmp(name, "ctl.new") == 0 || strcmp(name, "current.new") == 0) {
        (void)unlinkat(dir_fd, name, 0);
    } else if (bbi_dir_parse_gen(name, &generation, &is_new)
               && (is_new || is_rubbish(generation, *keep))) {
        (void)bbi_debris_remove_dir(dir_fd, name);
        BBI_HOOK("store:tidied");
    }
}

void
bbi_store_dir_tidy(const struct bbi_store_dir *dir, uint64_t keep)
{
    bbi_dir_each_entry(dir->fd, tidy_entry, &keep);
}

static void
see_gen(int dir_fd, const char *name, void *user)
{
    struct bbi_store_gens *seen = user;
    char data[GEN_NAME_BYTES + 16];
    uint64_t generation;
    bool is_new;
    if (!bbi_dir_parse_gen(name, &generation, &is_new) || is_new) {
        return;
    }
    (void)snprintf(data, sizeof(data), "%s/data.mdb", name);
    if (faccessat(dir_fd, data, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
        return; /* nothing that could be lost */
    }
    size_t n = strlen(seen->names);
    (void)snprintf(seen->names + n, sizeof(seen->names) - n, "%s%s", n > 0 ? ", " : "", name);
    seen->newest = generation > seen->newest ? generation : seen->newest;
    seen->count++;
}

void
bbi_store_dir_gens(const struct bbi_store_dir *dir, struct bbi_store_gens *out)
{
    *out = (struct bbi_store_gens){0};
    bbi_dir_each_entry(dir->fd, see_gen, out);
}

struct aside {
    int fd; /* of damaged-T */
    int rc;
    uint64_t after; /* later ones alone; 0: everything, and `current` */
};

static void
move_aside(int dir_fd, const char *name, void *user)
{
    struct aside *a = user;
    uint64_t generation;
    bool is_new;
    bool is_it = bbi_dir_parse_gen(name, &generation, &is_new)
                     ? generation > a->after
                     : a->after == 0 && strcmp(name, "current") == 0;
    if (is_it && renameat(dir_fd, name, a->fd, name) != 0 && a->rc == 0) {
        a->rc = -errno;
    }
}

int
bbi_store_dir_set_aside(const struct bbi_store_dir *dir, uint64_t after, char out[320])
{
    char name[GEN_NAME_BYTES];
    char when[24];
    struct tm tm;
    time_t now = (time_t)(bbi_os_wall_ns() / 1000000000);
    int rc = -EEXIST;
    (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    for (int i = 0; i < ASIDE_TRIES && rc == -EEXIST; i++) {
        (void)snprintf(name, sizeof(name), i == 0 ? "damaged-%s" : "damaged-%s-%d", when, i);
        rc = mkdirat(dir->fd, name, 0700) == 0 ? 0 : -errno;
    }
    struct aside a = {.fd = -1, .after = after};
    if (rc == 0) {
        a.fd = openat(dir->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        rc = a.fd >= 0 ? 0 : -errno;
    }
    if (rc < 0) {
        return rc;
    }
    bbi_dir_each_entry(dir->fd, move_aside, &a);
    BBI_HOOK("store:set_aside");
    if (fsync(a.fd) != 0 && a.rc == 0) {
        a.rc = -errno;
    }
    (void)close(a.fd);
    if (a.rc == 0 && fsync(dir->fd) != 0) {
        a.rc = -errno;
    }
    (void)snprintf(out, 320, "%s/%s", dir->path, name);
    return a.rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/place.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
bbi_place_dir(char *out, size_t cap)
{
    const char *env = getenv("BUSBAR_DIR");
    if (env != NULL && env[0] != '\0') {
        (void)snprintf(out, cap, "%s", env);
        return 0;
    }
    (void)snprintf(out, cap, "/dev/shm/busbar-%u", (unsigned)geteuid());
    return 1;
}

static bool
name_is_good(const char *bus)
{
    size_t n = strlen(bus);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)bus[i] < 0x20 || bus[i] == 0x7f || bus[i] == '/') {
            return false;
        }
    }
    return n > 0 && n < BBI_NAME_BYTES && bus[0] != '.';
}

static int
group_id(const char *group, gid_t *out, struct bbi_fault *f)
{
    char *end;
    unsigned long number = strtoul(group, &end, 10);
    const struct group *gr =
        getgrnam(group); /* NOLINT(concurrency-mt-unsafe): only while a bus is made */
    if (gr != NULL) {
        *out = gr->gr_gid;
        return 0;
    }
    if (group[0] != '\0' && *end == '\0') {
        *out = (gid_t)number;
        return 0;
    }
    return bbi_fault_set(f, BB_EINVAL, group,
                         "group '%s' does not exist; give the name or number of one", group);
}

/* Makes one directory with the mode exactly as asked; it may be there already. */
static int
make_dir(const char *path, const char *group, struct bbi_fault *f)
{
    gid_t gid = 0;
    int rc = group != NULL ? group_id(group, &gid, f) : 0;
    if (rc < 0) {
        return rc;
    }
    if (mkdir(path, 0700) != 0) {
        rc = -errno;
        return rc == -EEXIST ? 0
                             : bbi_fault_set(f, rc, path, "cannot make directory '%s': %s", path,
                                             bbi_errno_text(-rc));
    }
    if (group != NULL && (chown(path, (uid_t)-1, gid) != 0 || chmod(path, 02770) != 0)) {
        rc = -errno;
        (void)rmdir(path);
        return bbi_fault_set(f, rc, path, "cannot give '%s' to group '%s': %s", path, group,
                             bbi_errno_text(-rc));
    }
    return 0;
}

static int
no_access(const char *path, struct bbi_fault *f)
{
    struct stat st;
    int64_t uid = stat(path, &st) == 0 ? (int64_t)st.st_uid : -1;
    int rc = bbi_fault_set(
        f, BB_EACCES, path,
        "bus '%s' belongs to user %" PRId64 " and you are user %u: ask its owner to "
        "make it with a group that you are in, or use a bus of your own (--dir or --bus)",
        path, uid, (unsigned)geteuid());
    bbi_fault_owner(f, 0, uid);
    return rc;
}

/* Opens one directory and looks at whose it is. */
static int
open_dir(const char *path, bool must_own, struct bbi_fault *f)
{
    struct stat st;
    int fd = bbi_os_keep_fd(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (fd < 0) {
        int rc = -errno;
        return rc == BB_EACCES ? no_access(path, f)
               : rc == -ENOENT ? bbi_fault_set(f, BB_ENOBUS, path, "there is no bus '%s'", path)
                               : bbi_fault_set(f, rc, path, "cannot open directory '%s': %s", path,
                                               bbi_errno_text(-rc));
    }
    if (fstat(fd, &st) == 0
        && ((must_own && st.st_uid != geteuid())
            || (st.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH)) {
        (void)close(fd);
        int rc = bbi_fault_set(
            f, BB_ETRUST, path, "directory '%s' (user %u, mode %o) is not safe to use: %s", path,
            (unsigned)st.st_uid, (unsigned)st.st_mode & 07777,
            must_own && st.st_uid != geteuid()
                ? "somebody else made it where yours should be; remove it or set BUSBAR_DIR"
                : "everybody may write in it; take that right away (chmod o-w)");
        bbi_fault_owner(f, 0, st.st_uid);
        return rc;
    }
    return fd;
}

int
bbi_place_open(struct bbi_place *out,
               const char *dir,
               const char *bus,
               const char *group,
               bool may_make,
               struct bbi_fault *f)
{
    char base[BBI_PATH_BYTES];
    int is_default = 0;
    const char *env = getenv("BUSBAR_BUS");
    bus = bus != NULL ? bus : env != NULL && env[0] != '\0' ? env : "default";
    if (dir != NULL) {
        (void)snprintf(base, sizeof(base), "%s", dir);
    } else {
        is_default = bbi_place_dir(base, sizeof(base));
    }
    if (!name_is_good(bus)) {
        return bbi_fault_set(
            f, BB_EINVAL, bus,
            "'%s' cannot be a bus's name: 1 to %d bytes, no '/', no control bytes, no '.' in front",
            bus, BBI_NAME_BYTES - 1);
    }
    if (snprintf(out->path, sizeof(out->path), "%s/%s", base, bus) >= (int)sizeof(out->path)) {
        return bbi_fault_set(f, BB_ENAMETOOLONG, base, "directory '%s' is longer than 200 bytes",
                             base);
    }
    int rc = may_make ? make_dir(base, group, f) : 0;
    int base_fd = rc < 0 ? rc : open_dir(base, is_default != 0, f);
    if (base_fd < 0) {
        return base_fd;
    }
    (void)close(base_fd);
    rc = may_make ? make_dir(out->path, group, f) : 0;
    BBI_HOOK("place:made");
    out->dir_fd = rc < 0 ? rc : open_dir(out->path, false, f);
    return out->dir_fd < 0 ? out->dir_fd : 0;
}

void
bbi_place_subdir(const struct bbi_place *place, const char *name)
{
    struct stat st;
    if (mkdirat(place->dir_fd, name, 0770) == 0
        && fstatat(place->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        /* The sticky group that came from the bus's directory stays. */
        int rc = fchmodat(place->dir_fd, name, (st.st_mode & S_ISGID) | 0770, 0);
        (void)rc; /* without it the umask's bits are missing; a member that cannot write says so */
    }
}

void
bbi_place_close(struct bbi_place *place)
{
    if (place->dir_fd >= 0) {
        (void)close(place->dir_fd);
        place->dir_fd = -1;
    }
}

void
bbi_place_ring_name(char out[BBI_FILE_NAME_BYTES], uint32_t index, uint32_t gen, uint64_t key)
{
    (void)snprintf(out, BBI_FILE_NAME_BYTES, "pub-%u-%u-%016" PRIx64 ".ring", index, gen, key);
}

void
bbi_place_sub_name(char out[BBI_FILE_NAME_BYTES], uint32_t index, uint32_t gen, uint64_t key)
{
    (void)snprintf(out, BBI_FILE_NAME_BYTES, "sub-%u-%u-%016" PRIx64 ".cur", index, gen, key);
}

void
bbi_place_roll_name(char out[BBI_FILE_NAME_BYTES], uint32_t generation, uint64_t key)
{
    (void)snprintf(out, BBI_FILE_NAME_BYTES, "roll-%u-%016" PRIx64, generation, key);
}

int
bbi_place_parse_name(const char *name, uint32_t *index, uint32_t *gen, uint64_t *key)
{
    char again[BBI_FILE_NAME_BYTES];
    if (sscanf(name, "pub-%u-%u-%" SCNx64 ".ring", index, gen, key)
        == 3) { /* NOLINT(cert-err34-c) */
        bbi_place_ring_name(again, *index, *gen, *key);
        return strcmp(again, name) == 0 ? BBI_FILE_RING : 0;
    }
    if (sscanf(name, "sub-%u-%u-%" SCNx64 ".cur", index, gen, key)
        == 3) { /* NOLINT(cert-err34-c) */
        bbi_place_sub_name(again, *index, *gen, *key);
        return strcmp(again, name) == 0 ? BBI_FILE_SUB : 0;
    }
    if (sscanf(name, "roll-%u-%" SCNx64, index, key) == 2) { /* NOLINT(cert-err34-c) */
        *gen = *index;
        bbi_place_roll_name(again, *index, *key);
        return strcmp(again, name) == 0 ? BBI_FILE_ROLL : 0;
    }
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/link/box_id.h"
#include "shm/os.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ID_BYTES = sizeof(((struct bbi_link_id *)0)->v),
    FILE_NAME_BYTES = 64,
    FILE_PATH_BYTES = 512
};

/* 0; BB_ENOENT it is not there. */
static int
read_id(
    int dir_fd, const char *name, const char *path, struct bbi_link_id *out, struct bbi_fault *f)
{
    struct stat st;
    unsigned char bytes[ID_BYTES + 1];
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        int error = errno;
        return error == ENOENT ? BB_ENOENT
                               : bbi_fault_set(f, -error, path,
                                               "'%s', the id of this box, cannot be opened: %s",
                                               path, bbi_errno_text(error));
    }
    bool is_ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid()
                   && (st.st_mode & 022) == 0;
    ssize_t n = is_ours ? pread(fd, bytes, sizeof(bytes), 0) : 0;
    (void)close(fd);
    if (!is_ours) {
        return bbi_fault_set(f, BB_ETRUST, path,
                             "'%s', the id of this box, is not a file of ours that only we may "
                             "write: another could pass for this box; remove it",
                             path);
    }
    if (n != ID_BYTES) {
        return bbi_fault_set(f, BB_ECORRUPT, path,
                             "'%s', the id of this box, does not hold %d bytes; remove it and a "
                             "new one is made (others then take this box for a new one)",
                             path, ID_BYTES);
    }
    memcpy(out->v, bytes, ID_BYTES);
    return 0;
}

/* Whole before it has its name.  0; BB_EEXIST somebody else was first. */
static int
make_id(int dir_fd, const char *name, const char *path, struct bbi_fault *f)
{
    unsigned char bytes[ID_BYTES];
    bbi_os_random(bytes, sizeof(bytes));
    int fd = bbi_os_create_file(dir_fd, ID_BYTES, 0600);
    int rc = fd < 0 ? fd : 0;
    if (rc == 0 && pwrite(fd, bytes, ID_BYTES, 0) != ID_BYTES) {
        rc = BB_EIO;
    }
    if (rc == 0) {
        rc = bbi_os_link_file(fd, dir_fd, name);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (rc != 0 && rc != BB_EEXIST) {
        return bbi_fault_set(f, rc, path, "'%s', the id of this box, cannot be made: %s", path,
                             bb_strerror(rc));
    }
    return rc;
}

int
bbi_box_id(const char *dir, const char *bus, struct bbi_link_id *out, struct bbi_fault *f)
{
    char name[FILE_NAME_BYTES];
    char path[FILE_PATH_BYTES];
    (void)snprintf(name, sizeof(name), ".box-%s", bus);
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return bbi_fault_set(f, -errno, dir, "directory '%s' cannot be opened: %s", dir,
                             bbi_errno_text(errno));
    }
    int made = BB_EEXIST;
    int rc = read_id(dir_fd, name, path, out, f);
    if (rc == BB_ENOENT) {
        made = make_id(dir_fd, name, path, f);
        rc = made == 0 || made == BB_EEXIST ? read_id(dir_fd, name, path, out, f) : made;
    }
    (void)close(dir_fd);
    return rc == 0 && made == 0 ? 1 : rc;
}

static bool
is_name(const char *name)
{
    size_t n = 0;
    while (name[n] > ' ' && name[n] < 127) {
        n++;
    }
    return name[n] == '\0' && n > 0 && n <= BBI_LINK_NAME_MAX;
}

int
bbi_box_own_name(const char *wanted, char out[BBI_LINK_NAME_MAX + 1], struct bbi_fault *f)
{
    char host[256] = "";
    const char *name = wanted;
    if (name == NULL) {
        int rc = gethostname(host, sizeof(host) - 1);
        name = rc == 0 ? host : "";
    }
    if (!is_name(name)) {
        return bbi_fault_set(f, BB_EINVAL, name,
                             "'%.80s'%s cannot be the name of this box: it has 1 to %d printable "
                             "ASCII characters and no blank; give another with --name",
                             name, wanted == NULL ? ", the host's name," : "", BBI_LINK_NAME_MAX);
    }
    memcpy(out, name, strlen(name) + 1);
    return 0;
}

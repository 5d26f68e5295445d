/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each change and its place in the log are made under one lock, so that the order of the log is the order of the
 * changes.  Files are known by device and inode, whatever descriptor or path leads to them; a new file of a recorded
 * directory is a new node.  What is written through a mapping is not seen: ctl and lock.mdb, which are
 * made anew on each boot, so an image has them empty.
 */
#include "tests/process/power_cut/record.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NODES_MAX = 4096 };
#define LOG_BYTES (UINT64_C(4) << 30) /* of address space; what is not written takes nothing */

struct node {
    dev_t dev;
    ino_t ino;
    uint32_t kind;
};

struct log {
    pthread_mutex_t lock;
    uint32_t nodes;
    uint64_t used, count;
    struct node node[NODES_MAX]; /* 0 is none, 1 the root */
    unsigned char bytes[];
};

static struct log *rec;
static bool is_on, is_rebooted;
static uint64_t changes, dies_at;

/* ---- the log ---- */

void
rec_new(const char *root)
{
    pthread_mutexattr_t attr;
    struct stat st;
    rec = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
               -1, 0);
    if (rec == MAP_FAILED || stat(root, &st) < 0) {
        abort();
    }
    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    (void)pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    (void)pthread_mutex_init(&rec->lock, &attr);
    rec->node[1] = (struct node){.dev = st.st_dev, .ino = st.st_ino, .kind = REC_DIR};
    rec->nodes = 2;
}

void
rec_free(void)
{
    (void)munmap(rec, LOG_BYTES);
    rec = NULL;
}

void
rec_start(uint64_t die_at)
{
    is_on = true;
    changes = 0;
    dies_at = die_at;
}

void
rec_reboot(void)
{
    is_rebooted = true;
}

static void
lock(void)
{
    if (pthread_mutex_lock(&rec->lock) == EOWNERDEAD) {
        (void)pthread_mutex_consistent(&rec->lock);
    }
}

static void
unlock(void)
{
    (void)pthread_mutex_unlock(&rec->lock);
}

static struct rec_event *
add(enum rec_kind kind, const void *data, uint64_t data_bytes)
{
    uint64_t bytes = sizeof(struct rec_event) + ((data_bytes + 7) & ~UINT64_C(7));
    if (rec->used + bytes > LOG_BYTES - sizeof(*rec)) {
        abort();
    }
    struct rec_event *e = (struct rec_event *)(void *)(rec->bytes + rec->used);
    *e = (struct rec_event){.kind = kind, .data_bytes = data_bytes};
    if (data_bytes > 0) {
        memcpy(e + 1, data, data_bytes);
    }
    rec->used += bytes;
    rec->count++;
    return e;
}

void
rec_mark(uint64_t what, uint64_t value)
{
    lock();
    struct rec_event *e = add(REC_MARK, NULL, 0);
    e->off = what;
    e->bytes = value;
    unlock();
}

const struct rec_event *
rec_next(uint64_t *pos)
{
    if (*pos >= rec->used) {
        return NULL;
    }
    const struct rec_event *e = (const struct rec_event *)(const void *)(rec->bytes + *pos);
    *pos += sizeof(*e) + ((e->data_bytes + 7) & ~UINT64_C(7));
    return e;
}

const void *
rec_data(const struct rec_event *e)
{
    return e + 1;
}

uint64_t
rec_count(void)
{
    return rec->count;
}

/* ---- nodes ---- */

static uint32_t
find(const struct stat *st)
{
    for (uint32_t i = rec->nodes - 1; i > 0; i--) {
        if (rec->node[i].ino == st->st_ino && rec->node[i].dev == st->st_dev) {
            return i;
        }
    }
    return 0;
}

static uint32_t
find_fd(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? find(&st) : 0;
}

static uint32_t
find_path(int dir_fd, const char *path, int flags)
{
    struct stat st;
    return fstatat(dir_fd, path, &st, flags) == 0 ? find(&st) : 0;
}

/* The recorded directory in which the path's last part is, 0 if it is another. */
static uint32_t
dir_of(int dir_fd, const char *path, const char **base)
{
    char parent[512];
    const char *slash = strrchr(path, '/');
    *base = slash != NULL ? slash + 1 : path;
    size_t n = slash != NULL ? (size_t)(slash - path) : 0;
    if (n >= sizeof(parent)) {
        return 0;
    }
    memcpy(parent, slash == NULL ? "." : path, slash == NULL ? 1 : n);
    parent[slash == NULL ? 1 : n] = '\0';
    return find_path(dir_fd, n == 0 && slash != NULL ? "/" : parent, 0);
}

/* A number given to a new file may have been another's before: the newest is found first. */
static uint32_t
add_node(const struct stat *st, uint32_t kind)
{
    if (rec->nodes == NODES_MAX) {
        abort();
    }
    rec->node[rec->nodes] = (struct node){.dev = st->st_dev, .ino = st->st_ino, .kind = kind};
    return rec->nodes++;
}

static void
name_it(struct rec_event *e, uint32_t dir, const char *base)
{
    e->dir = dir;
    if (strlen(base) >= sizeof(e->name)) {
        abort();
    }
    memcpy(e->name, base, strlen(base) + 1);
}

static void
add_entry(uint32_t dir, const char *base, uint32_t node, uint32_t kind, const char *target)
{
    struct rec_event *e = add(REC_ENTRY, target, target != NULL ? strlen(target) + 1 : 0);
    e->node = node;
    e->node_kind = kind;
    name_it(e, dir, base);
}

/* Before each change: locked, or the process ends here. */
static bool
begin(void)
{
    if (!is_on || rec == NULL) {
        return false;
    }
    lock();
    return true;
}

/* This one is of a recorded file. */
static void
change(void)
{
    if (dies_at != 0 && ++changes == dies_at) {
        unlock();
        _exit(77);
    }
}

static long
end(long rc)
{
    int error = errno;
    unlock();
    errno = error;
    return rc;
}

/* ---- making files ---- */

#pragma GCC visibility push(default) /* LMDB's library finds them, too */

static int
open_it(int dir_fd, const char *path, int flags, mode_t mode)
{
    const char *base;
    struct stat st;
    if (is_rebooted && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) {
        static const char id[] = "01234567-89ab-4cde-8f01-23456789abcd\n";
        int fd = memfd_create("boot_id", MFD_CLOEXEC);
        (void)!syscall(SYS_pwrite64, fd, id, sizeof(id) - 1, 0);
        return fd;
    }
    bool is_unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    if ((!is_unnamed && (flags & (O_CREAT | O_TRUNC)) == 0) || !begin()) {
        return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
    }
    uint32_t dir = is_unnamed ? find_path(dir_fd, path, 0) : dir_of(dir_fd, path, &base);
    bool was_there = fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (dir != 0 && (is_unnamed || !was_there || (flags & O_TRUNC) != 0)) {
        change();
    }
    int fd = (int)syscall(SYS_openat, dir_fd, path, flags, mode);
    if (fd >= 0 && dir != 0 && fstat(fd, &st) == 0) {
        if (is_unnamed) {
            (void)add_node(&st, REC_FILE);
        } else if (!was_there) {
            add_entry(dir, base, add_node(&st, REC_FILE), REC_FILE, NULL);
        } else if ((flags & O_TRUNC) != 0) {
            add(REC_SIZE, NULL, 0)->node = find(&st);
        }
    }
    return (int)end(fd);
}

#define MODE_OF(flags)                                                                             \
    mode_t mode = 0;                                                                               \
    if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                                                  \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode = va_arg(args, mode_t);                                                               \
        va_end(args);                                                                              \
    }

int
open(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_it(AT_FDCWD, path, flags, mode);
}

int
openat(int dir_fd, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_it(dir_fd, path, flags, mode);
}

int
mkdirat(int dir_fd, const char *path, mode_t mode)
{
    const char *base;
    struct stat st;
    if (!begin()) {
        return (int)syscall(SYS_mkdirat, dir_fd, path, mode);
    }
    uint32_t dir = dir_of(dir_fd, path, &base);
    if (dir != 0) {
        change();
    }
    long rc = syscall(SYS_mkdirat, dir_fd, path, mode);
    if (rc == 0 && dir != 0 && fstatat(dir_fd, path, &st, 0) == 0) {
        add_entry(dir, base, add_node(&st, REC_DIR), REC_DIR, NULL);
    }
    return (int)end(rc);
}

int
mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

int
symlinkat(const char *target, int dir_fd, const char *path)
{
    const char *base;
    struct stat st;
    if (!begin()) {
        return (int)syscall(SYS_symlinkat, target, dir_fd, path);
    }
    uint32_t dir = dir_of(dir_fd, path, &base);
    if (dir != 0) {
        change();
    }
    long rc = syscall(SYS_symlinkat, target, dir_fd, path);
    if (rc == 0 && dir != 0 && fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        add_entry(dir, base, add_node(&st, REC_LINK), REC_LINK, target);
    }
    return (int)end(rc);
}

int
symlink(const char *target, const char *path)
{
    return symlinkat(target, AT_FDCWD, path);
}

int
linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    const char *base;
    if (!begin()) {
        return (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
    }
    uint32_t dir = dir_of(to_fd, to, &base);
    uint32_t node = (flags & AT_EMPTY_PATH) != 0 ? find_fd(from_fd) : find_path(from_fd, from, 0);
    if (dir != 0) {
        change();
    }
    long rc = syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
    if (rc == 0 && dir != 0) {
        add_entry(dir, base, node, REC_FILE, NULL);
    }
    return (int)end(rc);
}

/* ---- names ---- */

int
unlinkat(int dir_fd, const char *path, int flags)
{
    const char *base;
    if (!begin()) {
        return (int)syscall(SYS_unlinkat, dir_fd, path, flags);
    }
    uint32_t dir = dir_of(dir_fd, path, &base);
    if (dir != 0) {
        change();
    }
    long rc = syscall(SYS_unlinkat, dir_fd, path, flags);
    if (rc == 0 && dir != 0) {
        name_it(add(REC_REMOVE, NULL, 0), dir, base);
    }
    return (int)end(rc);
}

int
unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int
rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int
renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    const char *from_base, *to_base;
    if (!begin()) {
        return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
    }
    uint32_t from_dir = dir_of(from_fd, from, &from_base);
    uint32_t to_dir = dir_of(to_fd, to, &to_base);
    if (from_dir != 0) {
        change();
    }
    long rc = syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
    if (rc == 0 && from_dir != 0) {
        struct rec_event *e = add(REC_RENAME, to_base, strlen(to_base) + 1);
        name_it(e, from_dir, from_base);
        e->to_dir = to_dir;
    }
    return (int)end(rc);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return renameat2(from_fd, from, to_fd, to, 0);
}

int
rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ---- what is in files ---- */

static void
add_write(uint32_t node, int fd, uint64_t off, const void *data, uint64_t bytes)
{
    int flags = fcntl(fd, F_GETFL);
    struct rec_event *e = add(REC_WRITE, data, bytes);
    e->node = node;
    e->off = off;
    e->bytes = bytes;
    e->is_synced = flags >= 0 && (flags & O_DSYNC) != 0;
}

ssize_t
pwrite(int fd, const void *data, size_t bytes, off_t off)
{
    if (!begin()) {
        return syscall(SYS_pwrite64, fd, data, bytes, off);
    }
    uint32_t node = find_fd(fd);
    if (node != 0) {
        change();
    }
    long n = syscall(SYS_pwrite64, fd, data, bytes, off);
    if (n > 0 && node != 0) {
        add_write(node, fd, (uint64_t)off, data, (uint64_t)n);
    }
    return end(n);
}

ssize_t
pwrite64(int fd, const void *data, size_t bytes, off_t off)
{
    return pwrite(fd, data, bytes, off);
}

ssize_t
write(int fd, const void *data, size_t bytes)
{
    if (!begin()) {
        return syscall(SYS_write, fd, data, bytes);
    }
    uint32_t node = find_fd(fd);
    if (node != 0) {
        change();
    }
    off_t off = node != 0 ? lseek(fd, 0, SEEK_CUR) : 0;
    long n = syscall(SYS_write, fd, data, bytes);
    if (n > 0 && node != 0) {
        add_write(node, fd, (uint64_t)off, data, (uint64_t)n);
    }
    return end(n);
}

ssize_t
writev(int fd, const struct iovec *iov, int count)
{
    if (!begin()) {
        return syscall(SYS_writev, fd, iov, count);
    }
    uint32_t node = find_fd(fd);
    if (node != 0) {
        change();
    }
    off_t off = node != 0 ? lseek(fd, 0, SEEK_CUR) : 0;
    long n = syscall(SYS_writev, fd, iov, count);
    long left = node != 0 ? n : 0;
    for (int i = 0; i < count && left > 0; i++) {
        long some = (long)iov[i].iov_len < left ? (long)iov[i].iov_len : left;
        add_write(node, fd, (uint64_t)off, iov[i].iov_base, (uint64_t)some);
        off += some;
        left -= some;
    }
    return end(n);
}

int
ftruncate(int fd, off_t bytes)
{
    if (!begin()) {
        return (int)syscall(SYS_ftruncate, fd, bytes);
    }
    uint32_t node = find_fd(fd);
    if (node != 0) {
        change();
    }
    long rc = syscall(SYS_ftruncate, fd, bytes);
    if (rc == 0 && node != 0) {
        struct rec_event *e = add(REC_SIZE, NULL, 0);
        e->node = node;
        e->off = (uint64_t)bytes;
    }
    return (int)end(rc);
}

int
fallocate(int fd, int mode, off_t off, off_t bytes)
{
    if (!begin()) {
        return (int)syscall(SYS_fallocate, fd, mode, off, bytes);
    }
    uint32_t node = find_fd(fd);
    if (node != 0) {
        change();
    }
    long rc = syscall(SYS_fallocate, fd, mode, off, bytes);
    if (rc == 0 && node != 0 && mode == 0) {
        struct rec_event *e = add(REC_ALLOC, NULL, 0);
        e->node = node;
        e->off = (uint64_t)(off + bytes);
    }
    return (int)end(rc);
}

int
posix_fallocate(int fd, off_t off, off_t bytes)
{
    return fallocate(fd, 0, off, bytes) == 0 ? 0 : errno;
}

static int
sync_it(long number, int fd)
{
    if (!begin()) {
        return (int)syscall(number, fd);
    }
    uint32_t node = find_fd(fd);
    if (node != 0) {
        change();
    }
    long rc = syscall(number, fd);
    if (rc == 0 && node != 0) {
        struct rec_event *e = add(REC_SYNC, NULL, 0);
        e->node = node;
        e->node_kind = rec->node[node].kind;
    }
    return (int)end(rc);
}

int
fdatasync(int fd)
{
    return sync_it(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
    return sync_it(SYS_fsync, fd);
}

#pragma GCC visibility pop

/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/os.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_S = 1000000000 };

static int64_t
read_clock(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t
bbi_os_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t
bbi_os_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t
bbi_os_coarse_ns(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

bool
bbi_os_clock_is_counter(void)
{
    char name[16] = "";
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                  O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!read(fd, name, sizeof(name) - 1);
        (void)close(fd);
    }
    return strcmp(name, "tsc\n") == 0;
}

void
bbi_os_random(void *out, size_t bytes)
{
    unsigned char *p = out;
    while (bytes > 0) {
        ssize_t n = getrandom(p, bytes, 0);
        if (n > 0) {
            p += n;
            bytes -= (size_t)n;
        }
    }
}

static ssize_t
read_small_file(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = read(fd, out, cap - 1);
    (void)close(fd);
    if (n >= 0) {
        out[n] = '\0';
    }
    return n;
}

void
bbi_os_boot_id(uint8_t out[16])
{
    char text[64];
    memset(out, 0, 16);
    if (read_small_file("/proc/sys/kernel/random/boot_id", text, sizeof(text)) <= 0) {
        return;
    }
    size_t nibble = 0;
    for (const char *p = text; *p != '\0' && nibble < 32; p++) {
        int v = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : -1;
        if (v >= 0) {
            out[nibble / 2] = (uint8_t)(out[nibble / 2] << 4 | v);
            nibble++;
        }
    }
}

uint64_t
bbi_os_pidns(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

/* Field n (from 1) of /proc/PID/stat; the name in field 2 may hold blanks and brackets, so count from the last ')'. */
static const char *
stat_field(char *text, int n)
{
    char *p = strrchr(text, ')');
    if (p == NULL) {
        return NULL;
    }
    p++;
    for (int field = 3; *p != '\0'; field++) {
        while (*p == ' ') {
            p++;
        }
        if (field == n) {
            return p;
        }
        while (*p != ' ' && *p != '\0') {
            p++;
        }
    }
    return NULL;
}

static const char *
process_field(pid_t pid, int n, char *text, size_t cap)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    return read_small_file(path, text, cap) > 0 ? stat_field(text, n) : NULL;
}

uint64_t
bbi_os_start_ticks(pid_t pid)
{
    char text[1024];
    const char *field = process_field(pid, 22, text, sizeof(text));
    return field != NULL ? strtoull(field, NULL, 10) : 0;
}

char
bbi_os_process_state(pid_t pid)
{
    char text[1024];
    const char *field = process_field(pid, 3, text, sizeof(text));
    return field != NULL ? *field : '\0';
}

int
bbi_os_keep_fd(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO) {
        return fd;
    }
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int error = errno;
    (void)close(fd);
    errno = error;
    return kept;
}

int
bbi_os_create_file(int dir_fd, uint64_t bytes, mode_t mode)
{
    int fd = bbi_os_keep_fd(openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
    if (fd < 0) {
        return -errno;
    }
    /* Allocated, not sparse: a full tmpfs is an error here and never a SIGBUS later. */
    int rc;
    do {
        rc = posix_fallocate(fd, 0, (off_t)bytes);
    } while (rc == EINTR);
    if (rc == 0 && fchmod(fd, mode) != 0) { /* whatever the umask said */
        rc = errno;
    }
    if (rc != 0) {
        (void)close(fd);
        return -rc;
    }
    return fd;
}

int64_t
bbi_os_read_all(int fd, void *out, size_t cap)
{
    size_t have = 0;
    while (have < cap) {
        ssize_t n = read(fd, (unsigned char *)out + have, cap - have);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : (int64_t)have;
        }
        have += (size_t)n;
    }
    return (int64_t)have;
}

int
bbi_os_link_file(int fd, int dir_fd, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

int
bbi_os_map(int fd, uint64_t bytes, bool writable, void **out)
{
    int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *p = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        return -errno;
    }
    /* A forked child that touches a ring faults instead of writing into its parent's. */
    (void)madvise(p, bytes, MADV_DONTFORK);
    if (!writable) {
        (void)madvise(p, bytes, MADV_DONTDUMP);
    }
    *out = p;
    return 0;
}

void
bbi_os_unmap(void *base, uint64_t bytes)
{
    if (base != NULL) {
        (void)munmap(base, bytes);
    }
}

static int
lock_call(int fd, int cmd, int64_t off, short type, struct flock *fl)
{
    *fl = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = off, .l_len = 1};
    int rc;
    do {
        rc = fcntl(fd, cmd, fl);
    } while (rc < 0 && errno == EINTR);
    return rc == 0 ? 0 : -errno;
}

int
bbi_os_lock_try(int fd, int64_t off, bool exclusive)
{
    struct flock fl;
    int rc = lock_call(fd, F_OFD_SETLK, off, exclusive ? F_WRLCK : F_RDLCK, &fl);
    return rc == -EACCES ? BB_EAGAIN : rc; /* POSIX allows either word for "held" */
}

void
bbi_os_unlock(int fd, int64_t off)
{
    struct flock fl;
    (void)lock_call(fd, F_OFD_SETLK, off, F_UNLCK, &fl);
}

int
bbi_os_lock_test(int fd, int64_t off)
{
    struct flock fl;
    int rc = lock_call(fd, F_OFD_GETLK, off, F_RDLCK, &fl);
    return rc < 0 ? rc : fl.l_type != F_UNLCK;
}

static long
futex(const bbi_u32 *word, int op, uint32_t val, const struct timespec *ts)
{
    /* Not FUTEX_PRIVATE: the word is keyed by the file, so it works between processes. */
    return syscall(SYS_futex, word, op, val, ts, NULL, 0);
}

int
bbi_os_futex_wait(const bbi_u32 *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec ts = {.tv_sec = timeout_ns / NS_PER_S, .tv_nsec = timeout_ns % NS_PER_S};
    if (futex(word, FUTEX_WAIT, expected, &ts) == 0 || errno == EAGAIN) {
        return 0;
    }
    return -errno;
}

int
bbi_os_futex_wake(const bbi_u32 *word, int count)
{
    long n = futex(word, FUTEX_WAKE, (uint32_t)count, NULL);
    return n >= 0 ? (int)n : -errno;
}

void
bbi_os_yield(void)
{
    (void)sched_yield();
}

int
bbi_os_sleep_ns(int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    return -clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

int
bbi_os_membarrier_register(void)
{
    long rc = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
    return rc == 0 ? 0 : -errno;
}

int
bbi_os_membarrier_run(void)
{
    long rc = syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
    return rc == 0 ? 0 : -errno;
}

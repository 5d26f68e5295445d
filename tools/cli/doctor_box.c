/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/doctor_box.c - is this machine, and are this user's limits, good for a bus?
 *
 * Each check reads what the kernel says and makes nothing.  What cannot be read (a container without /sys)
 * is said as such and is no warning.
 */
#include "tools/cli/clock.h"
#include "tools/cli/doctor.h"
#include "tools/cli/format.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const uint64_t mib = UINT64_C(1) << 20;

enum {
    RING_MIB = 10,        /* a default data ring, rounded up */
    AMPLE_MIB = 128,      /* a dozen of them */
    CLOCK_SLOW_NS = 200,  /* a reading that left the vdso */
    MAPS_FOR_RING = 3,    /* mappings of one ring in one member */
    SYSTEM_UID_MAX = 999, /* users up to here keep their files at logout */
};

/* read_line - the first line of a small file, without its end; 0 when it cannot be read. */
static int
read_line(const char *path, char *out, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, out, bytes - 1);
    close(fd);
    if (n <= 0) {
        return 0;
    }
    out[n] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return 1;
}

static int
read_number(const char *path, uint64_t *out)
{
    char text[64];
    char *end;
    if (!read_line(path, text, sizeof(text))) {
        return 0;
    }
    errno = 0;
    *out = strtoull(text, &end, 10);
    return end != text && errno == 0;
}

/* ---- where the buses live ---------------------------------------------------------------------------- */

/* existing - the directory itself, or its nearest parent that is there. */
static void
existing(const char *dir, char *out, size_t bytes)
{
    struct stat st;
    snprintf(out, bytes, "%s", dir);
    while (stat(out, &st) != 0) {
        char *slash = strrchr(out, '/');
        if (slash == NULL || slash == out) {
            snprintf(out, bytes, "/");
            return;
        }
        *slash = '\0';
    }
}

static void
check_directory(struct cli_doctor *d)
{
    struct stat st;
    char owner[CLI_OWNER_BYTES];

    if (stat(d->dir, &st) != 0) {
        if (errno == ENOENT) {
            cli_check_add(d, CLI_OK, "directory", "%s is not there yet; the first bus makes it",
                          d->dir);
        } else {
            cli_check_add(d, CLI_FAIL, "directory", "%s: %s", d->dir, strerrordesc_np(errno));
            cli_check_fix(d, "look at the rights of its parents: namei -l %s", d->dir);
        }
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        cli_check_add(d, CLI_FAIL, "directory", "%s is not a directory", d->dir);
        cli_check_fix(d, "choose another with --dir or BUSBAR_DIR");
    } else if (access(d->dir, X_OK) != 0) {
        cli_check_add(d, CLI_FAIL, "directory", "%s of %s, mode %04o, is closed to us", d->dir,
                      cli_owner(owner, st.st_uid), (unsigned)st.st_mode & 07777U);
        cli_check_fix(d, "choose another with --dir or BUSBAR_DIR, or join its group");
    } else if ((st.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH) {
        cli_check_add(d, CLI_FAIL, "directory", "%s: everybody may remove its files (mode %04o)",
                      d->dir, (unsigned)st.st_mode & 07777U);
        cli_check_fix(d, "chmod o-w %s", d->dir);
    } else {
        cli_check_add(d, CLI_OK, "directory", "%s of %s, mode %04o", d->dir,
                      cli_owner(owner, st.st_uid), (unsigned)st.st_mode & 07777U);
    }
}

static void
check_file_system(struct cli_doctor *d)
{
    char dir[256];
    struct statfs fs;

    existing(d->dir, dir, sizeof(dir));
    if (statfs(dir, &fs) != 0) {
        cli_check_add(d, CLI_WARN, "file system", "%s: %s", dir, strerrordesc_np(errno));
    } else if (fs.f_type == TMPFS_MAGIC) {
        cli_check_add(d, CLI_OK, "file system", "%s is on a tmpfs", dir);
    } else if (fs.f_type == HUGETLBFS_MAGIC) {
        cli_check_add(d, CLI_WARN, "file system", "%s is on hugetlbfs, where full means a crash",
                      dir);
        cli_check_fix(d, "reserve the pages, or use a tmpfs: BUSBAR_DIR=/dev/shm/...");
    } else {
        cli_check_add(d, CLI_FAIL, "file system", "%s is on no tmpfs: messages would go to a disk",
                      dir);
        cli_check_fix(d, "choose a directory below /dev/shm or /run with --dir or BUSBAR_DIR");
    }
}

static void
check_space(struct cli_doctor *d)
{
    char dir[256];
    char space[CLI_NUMBER_BYTES];
    struct statvfs fs;

    existing(d->dir, dir, sizeof(dir));
    if (statvfs(dir, &fs) != 0) {
        cli_check_add(d, CLI_WARN, "space", "%s: %s", dir, strerrordesc_np(errno));
        return;
    }
    uint64_t bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    int few_files = fs.f_files > 0 && fs.f_favail < 256;
    cli_bytes(space, (double)bytes);
    if (bytes < RING_MIB * mib || few_files) {
        cli_check_add(d, CLI_FAIL, "space",
                      "%s free and %" PRIu64 " files in %s: no room for a ring", space,
                      (uint64_t)fs.f_favail, dir);
    } else if (bytes < AMPLE_MIB * mib) {
        cli_check_add(d, CLI_WARN, "space", "%s free in %s; a default ring takes up to %d MiB",
                      space, dir, RING_MIB);
    } else {
        cli_check_add(d, CLI_OK, "space", "%s free in %s", space, dir);
        return;
    }
    cli_check_fix(
        d, "busbar gc; or more space: mount -o remount,size=1g %s (a container: --shm-size=1g)",
        dir);
}

/* ---- the kernel -------------------------------------------------------------------------------------- */

static int64_t
clock_reading_ns(void)
{
    enum { READINGS = 2000 };
    struct timespec t;
    int64_t start_ns = cli_mono_ns();
    for (int i = 0; i < READINGS; i++) {
        clock_gettime(CLOCK_MONOTONIC, &t);
    }
    return (cli_mono_ns() - start_ns) / READINGS;
}

static void
check_clock(struct cli_doctor *d)
{
    char source[64];
    int64_t ns = clock_reading_ns();

    if (!read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", source,
                   sizeof(source))) {
        snprintf(source, sizeof(source), "not visible here");
    }
    if (ns > CLOCK_SLOW_NS) {
        cli_check_add(d, CLI_WARN, "clock",
                      "source %s: %" PRId64 " ns a reading, once for each flush", source, ns);
        cli_check_fix(d, "cat /sys/devices/system/clocksource/clocksource0/available_clocksource "
                         "and choose tsc or kvm-clock");
    } else {
        cli_check_add(d, CLI_OK, "clock", "source %s, %" PRId64 " ns a reading", source, ns);
    }
}

static void
check_membarrier(struct cli_doctor *d)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands >= 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0) {
        cli_check_add(d, CLI_OK, "membarrier", "the kernel has it: publishing needs no fence");
    } else {
        cli_check_add(d, CLI_WARN, "membarrier",
                      "not available: each publish without a batch costs a fence more");
        cli_check_fix(
            d, "allow membarrier in the container's seccomp profile, or use a kernel from 4.16 on");
    }
}

static void
check_io_uring(struct cli_doctor *d)
{
    /* Without a place for parameters nothing is made: allowed means EFAULT or EINVAL. */
    long rc = syscall(SYS_io_uring_setup, 0, NULL);
    int why = rc < 0 ? errno : 0;
    if (why == EFAULT || why == EINVAL) {
        cli_check_add(d, CLI_OK, "io_uring", "allowed");
    } else {
        cli_check_add(d, CLI_WARN, "io_uring", "refused (%s); local traffic does not need it",
                      why != 0 ? strerrordesc_np(why) : "unknown");
        cli_check_fix(
            d, "sysctl kernel.io_uring_disabled=0, or allow it in the container's seccomp profile");
    }
}

static void
check_huge_pages(struct cli_doctor *d)
{
    char text[128];
    const char *begin = NULL;
    size_t bytes = 0;

    if (read_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text, sizeof(text))
        && (begin = strchr(text, '[')) != NULL) {
        begin++;
        bytes = strcspn(begin, "]");
    }
    if (begin == NULL) {
        cli_check_add(d, CLI_OK, "huge pages", "the setting for shared memory is not visible here");
        return;
    }
    int none = strncmp(begin, "never", bytes) == 0 || strncmp(begin, "deny", bytes) == 0;
    if (none && d->bus.bytes > 1024 * mib) {
        cli_check_add(d, CLI_WARN, "huge pages",
                      "shmem_enabled is %.*s, and this bus is large: page tables", (int)bytes,
                      begin);
        cli_check_fix(d, "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled, "
                         "or mount the tmpfs with huge=within_size");
    } else {
        cli_check_add(d, CLI_OK, "huge pages", "shmem_enabled is %.*s", (int)bytes, begin);
    }
}

/* ---- limits ------------------------------------------------------------------------------------------ */

static void
check_open_files(struct cli_doctor *d)
{
    struct rlimit limit;
    uint64_t need = 64 + d->bus.rings + d->bus.subscribers;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        cli_check_add(d, CLI_WARN, "open files", "the limit cannot be read");
    } else if (limit.rlim_cur < need) {
        cli_check_add(d, CLI_FAIL, "open files", "limit %" PRIu64 ", this bus may need %" PRIu64,
                      (uint64_t)limit.rlim_cur, need);
        cli_check_fix(d, "ulimit -n %" PRIu64, need * 2);
    } else {
        cli_check_add(d, CLI_OK, "open files", "limit %" PRIu64 ", need about %" PRIu64,
                      (uint64_t)limit.rlim_cur, need);
    }
}

static void
check_mappings(struct cli_doctor *d)
{
    uint64_t limit;
    uint64_t need = 256 + (uint64_t)MAPS_FOR_RING * (d->bus.rings + d->bus.subscribers);

    if (!read_number("/proc/sys/vm/max_map_count", &limit)) {
        cli_check_add(d, CLI_OK, "mappings", "vm.max_map_count is not visible here");
    } else if (limit < need) {
        cli_check_add(d, CLI_FAIL, "mappings",
                      "vm.max_map_count is %" PRIu64 ", this bus may need %" PRIu64, limit, need);
        cli_check_fix(d, "sysctl vm.max_map_count=%" PRIu64, need * 2);
    } else {
        cli_check_add(d, CLI_OK, "mappings", "vm.max_map_count %" PRIu64 ", need about %" PRIu64,
                      limit, need);
    }
}

/* group_limit - the smallest memory.max from this process's control group up to the root; 0: none. */
static uint64_t
group_limit(void)
{
    char line[256];
    char file[512];
    uint64_t smallest = 0;
    uint64_t v;
    char *path = NULL;

    if (read_line("/proc/self/cgroup", line, sizeof(line)) && strncmp(line, "0::", 3) == 0) {
        path = line + 3;
    }
    while (path != NULL) {
        snprintf(file, sizeof(file), "/sys/fs/cgroup%s/memory.max", path);
        if (read_number(file, &v) && (smallest == 0 || v < smallest)) {
            smallest = v;
        }
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            break;
        }
        *slash = '\0';
    }
    if (path == NULL && read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", &v)
        && v < UINT64_C(1) << 60) {
        smallest = v;
    }
    return smallest;
}

static void
check_memory_limit(struct cli_doctor *d)
{
    char bus[CLI_NUMBER_BYTES];
    char text[CLI_NUMBER_BYTES];
    uint64_t limit = group_limit();
    uint64_t use = d->bus.bytes > 0 ? d->bus.bytes : RING_MIB * mib;

    cli_bytes(text, (double)limit);
    cli_bytes(bus, (double)d->bus.bytes);
    if (limit == 0) {
        cli_check_add(d, CLI_OK, "memory limit", "this control group has none; the bus takes %s",
                      bus);
        return;
    }
    if (use > limit / 10 * 9) {
        cli_check_add(d, CLI_FAIL, "memory limit",
                      "the control group may use %s, the bus alone takes %s", text, bus);
    } else if (use > limit / 2) {
        cli_check_add(d, CLI_WARN, "memory limit",
                      "the control group may use %s, the bus takes %s of it", text, bus);
    } else {
        cli_check_add(d, CLI_OK, "memory limit", "the control group may use %s, the bus takes %s",
                      text, bus);
        return;
    }
    cli_check_fix(
        d,
        "raise the container's memory limit (at the limit the kernel kills), or use smaller rings");
}

/* ---- what happens at logout --------------------------------------------------------------------------- */

/* read_remove_ipc - the last RemoveIPC= of one file changes *on. */
static void
read_remove_ipc(const char *path, int *on)
{
    char line[256];
    char value[16];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, " RemoveIPC = %15s", value) == 1) {
            *on = strchr("yYtT1", value[0]) != NULL || strcmp(value, "on") == 0;
        }
    }
    fclose(file);
}

static int
removes_ipc(void)
{
    static const char *const patterns[] = {
        "/etc/systemd/logind.conf", "/usr/lib/systemd/logind.conf.d/*.conf",
        "/run/systemd/logind.conf.d/*.conf", "/etc/systemd/logind.conf.d/*.conf"};
    int on = 1; /* systemd's default */
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        glob_t found;
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
        if (glob(patterns[i], 0, NULL, &found) == 0) {
            for (size_t k = 0; k < found.gl_pathc; k++) {
                read_remove_ipc(found.gl_pathv[k], &on);
            }
            globfree(&found);
        }
    }
    return on;
}

/* user_name - of this process, for paths and commands. */
static void
user_name(char *out, size_t bytes)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char text[1024];
    if (getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) == 0 && found != NULL) {
        snprintf(out, bytes, "%.64s", entry.pw_name);
    } else {
        snprintf(out, bytes, "%u", (unsigned)geteuid());
    }
}

static void
check_logout(struct cli_doctor *d)
{
    char user[80];
    char linger[160];

    user_name(user, sizeof(user));
    snprintf(linger, sizeof(linger), "/var/lib/systemd/linger/%s", user);
    if (geteuid() <= SYSTEM_UID_MAX) {
        cli_check_add(d, CLI_OK, "logout", "%s (uid %u) is a system user: files stay", user,
                      (unsigned)geteuid());
    } else if (access("/run/systemd/system", F_OK) != 0) {
        cli_check_add(d, CLI_OK, "logout", "no systemd here that could remove files");
    } else if (strncmp(d->dir, "/dev/shm", 8) != 0) {
        cli_check_add(d, CLI_OK, "logout", "the directory is out of systemd-logind's reach");
    } else if (access(linger, F_OK) == 0 || !removes_ipc()) {
        cli_check_add(d, CLI_OK, "logout", "the files of %s stay", user);
    } else {
        cli_check_add(d, CLI_WARN, "logout",
                      "RemoveIPC=yes, and %s (uid %u) is no system user: files of a bus vanish "
                      "at the last logout",
                      user, (unsigned)geteuid());
        cli_check_fix(d, "loginctl enable-linger %s, or RemoveIPC=no in /etc/systemd/logind.conf",
                      user);
    }
}

void
cli_doctor_box(struct cli_doctor *d)
{
    check_directory(d);
    check_file_system(d);
    check_space(d);
    check_memory_limit(d);
    check_open_files(d);
    check_mappings(d);
    check_clock(d);
    check_membarrier(d);
    check_io_uring(d);
    check_huge_pages(d);
    check_logout(d);
}

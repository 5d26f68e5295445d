/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whoever holds a byte of the lock file is master; the control file says who that is.
 */
#include "lib/store/dir_impl.h"
#include "shm/ring.h"

enum { MASTER_BYTE = 0, MASTER_TRIES = 100, ENDING_TRIES = 25 };
#define BEAT_LOST_NS INT64_C(5000000000) /* no master that is polled is silent for so long */

int
bbi_dir_open_lock(struct bbi_store_dir *dir, struct bbi_fault *f)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    dir->lock_fd = bbi_os_keep_fd(openat(dir->fd, "lock", flags));
    if (dir->lock_fd < 0 && errno == ENOENT) {
        dir->lock_fd = bbi_os_keep_fd(openat(dir->fd, "lock", flags | O_CREAT, dir->file_mode));
        if (dir->lock_fd >= 0) {
            (void)fchmod(dir->lock_fd, dir->file_mode); /* whatever the umask said */
        }
    }
    return dir->lock_fd >= 0
               ? 0
               : bbi_dir_say_errno(f, -errno, "open the lock of the store in", dir->path);
}

static bool
is_lock_named(const struct bbi_store_dir *dir)
{
    struct stat held, named;
    return fstat(dir->lock_fd, &held) == 0
           && fstatat(dir->fd, "lock", &named, AT_SYMLINK_NOFOLLOW) == 0
           && held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

static bool
is_running(uint64_t pid, uint64_t start)
{
    char state = pid != 0 && pid <= INT32_MAX ? bbi_os_process_state((pid_t)pid) : 0;
    return state != 0 && state != 'Z' && state != 'X' && bbi_os_start_ticks((pid_t)pid) == start;
}

bool
bbi_dir_another_lives(const struct bbi_store_dir *dir)
{
    const struct bbi_store_ctl *ctl = dir->ctl;
    for (int tries = 0; tries < ENDING_TRIES; tries++) {
        if (ctl == NULL || bbi_load_acquire(&ctl->is_served) == 0
            || bbi_load_relaxed(&ctl->master_pidns) != bbi_os_pidns()
            || bbi_os_mono_ns() - (int64_t)bbi_load_relaxed(&ctl->beat_ns) > BEAT_LOST_NS
            || !is_running(bbi_load_relaxed(&ctl->master_pid),
                           bbi_load_relaxed(&ctl->master_start))) {
            return false;
        }
        (void)bbi_os_sleep_ns(INT64_C(200000));
    }
    return true;
}

bool
bbi_store_dir_keeps_lock(struct bbi_store_dir *dir)
{
    bbi_store_relaxed(&dir->ctl->beat_ns, (uint64_t)bbi_os_mono_ns());
    return is_lock_named(dir);
}

int
bbi_store_dir_lock(struct bbi_store_dir *dir)
{
    if (dir->is_held) {
        return 0;
    }
    int rc = dir->lock_fd >= 0 ? bbi_os_lock_try(dir->lock_fd, MASTER_BYTE, true) : BB_EAGAIN;
    dir->is_held = rc == 0;
    if (rc == 0 && !is_lock_named(dir)) {
        bbi_store_dir_resign(dir); /* a file that nobody else will look at */
        rc = bbi_dir_open_lock(dir, NULL);
        return rc < 0 ? rc : BB_EAGAIN;
    }
    if (rc == 0 && bbi_dir_another_lives(dir)) {
        bbi_store_dir_unlock(dir);
        return BB_EAGAIN;
    }
    if (rc == 0) {
        BBI_HOOK("store:locked");
    }
    return rc;
}

void
bbi_store_dir_unlock(struct bbi_store_dir *dir)
{
    if (dir->is_held) {
        bbi_os_unlock(dir->lock_fd, MASTER_BYTE);
        dir->is_held = false;
    }
}

void
bbi_store_dir_resign(struct bbi_store_dir *dir)
{
    bbi_store_dir_unlock(dir);
    if (dir->lock_fd >= 0) {
        (void)close(dir->lock_fd);
    }
    dir->lock_fd = -1;
}

int
bbi_store_dir_is_served(const struct bbi_store_dir *dir)
{
    if (dir->is_held) {
        return 1;
    }
    int fd = openat(dir->fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    int rc = bbi_os_lock_test(fd, MASTER_BYTE);
    (void)close(fd);
    return rc;
}

/* ---- who it is ---- */

void
bbi_store_dir_set_master(struct bbi_store_dir *dir, uint64_t id, const char *node, const char *bus)
{
    struct bbi_store_ctl *ctl = dir->ctl;
    struct bbi_store_master m = {.id = id};
    (void)snprintf(m.node, sizeof(m.node), "%s", node);
    (void)snprintf(m.bus, sizeof(m.bus), "%s", bus);
    uint64_t turn = bbi_load_relaxed(&ctl->takeovers) | 1; /* odd already: the last one died here */
    bbi_store_relaxed(&ctl->takeovers, turn);
    bbi_fence_release(); /* S4: who reads a word of ours sees the odd count */
    BBI_HOOK("store:master_words");
    bbi_store_relaxed(&ctl->master_pid, (uint64_t)getpid());
    bbi_store_relaxed(&ctl->master_pidns, bbi_os_pidns());
    bbi_store_relaxed(&ctl->master_start, bbi_os_start_ticks(getpid()));
    bbi_store_relaxed(&ctl->beat_ns, (uint64_t)bbi_os_mono_ns());
    bbi_store_relaxed(&ctl->master_id, id);
    bbi_fill_racy(ctl->master_node, m.node, sizeof(m.node));
    bbi_fill_racy(ctl->bus, m.bus, sizeof(m.bus));
    bbi_store_release(&ctl->takeovers, turn + 1); /* S4 */
}

void
bbi_store_dir_master(const struct bbi_store_dir *dir, struct bbi_store_master *out)
{
    const struct bbi_store_ctl *ctl = dir->ctl;
    memset(out, 0, sizeof(*out));
    for (int tries = 0; ctl != NULL && tries < MASTER_TRIES; tries++) {
        uint64_t before = bbi_load_acquire(&ctl->takeovers); /* S4: its words come after */
        out->pid = (int64_t)bbi_load_relaxed(&ctl->master_pid);
        out->pidns = bbi_load_relaxed(&ctl->master_pidns);
        out->id = bbi_load_relaxed(&ctl->master_id);
        bbi_copy_racy(out->node, ctl->master_node, sizeof(out->node));
        bbi_copy_racy(out->bus, ctl->bus, sizeof(out->bus)); /* S4: ends with a fence */
        out->node[sizeof(out->node) - 1] = '\0';
        out->bus[sizeof(out->bus) - 1] = '\0';
        if (before % 2 == 0 && bbi_load_relaxed(&ctl->takeovers) == before) { /* S4 */
            break; /* else one is just beginning, or died while it did */
        }
    }
}

int
bbi_dir_say_held(const struct bbi_store_dir *dir, struct bbi_fault *f)
{
    struct bbi_store_master m;
    bbi_store_dir_master(dir, &m);
    int rc = bbi_fault_set(f, BB_EEXIST, dir->path,
                           "the store in '%s' has a master: process %" PRId64
                           ", '%s' on bus '%s'; end it, or open the store as a clone or standby",
                           dir->path, m.pid, m.node, m.bus);
    bbi_fault_owner(f, m.pid, -1);
    return rc;
}

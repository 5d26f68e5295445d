/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: one byte of one file says who is master, one link says which generation counts.
 *
 *   lock byte 0 ours ──► ctl of this boot? ──no──► a new one takes its place ──► master_start()
 *
 * Whoever holds the byte is alone in changing names here, so nothing of this needs another lock.  A new name is
 * made beside the old one and renamed over it, and the directory is synced before anything is built on it.
 */
#include "lib/store/dir.h"
#include "lib/endpoint/endpoint_impl.h"
#include "shm/debris.h"
#include "shm/hook.h"
#include "shm/os.h"
#include "shm/ring.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    GEN_NAME_BYTES = 40,
    MASTER_BYTE = 0,
    ASIDE_TRIES = 100,
    MASTER_TRIES = 100,
    ENDING_TRIES = 25
};
#define BEAT_LOST_NS INT64_C(5000000000) /* no master that is polled is silent for so long */

static struct bbi_store_dir *all_dirs;
static pthread_mutex_t dirs_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* ---- fork ---------------------------------------------------------------------------------------- */

static void
before_fork(void)
{
    (void)pthread_mutex_lock(&dirs_lock);
}

static void
after_fork_parent(void)
{
    (void)pthread_mutex_unlock(&dirs_lock);
}

static void
close_fds(struct bbi_store_dir *dir)
{
    if (dir->lock_fd >= 0) {
        (void)close(dir->lock_fd); /* the last descriptor of a description frees its locks */
    }
    if (dir->fd >= 0) {
        (void)close(dir->fd);
    }
    dir->lock_fd = -1;
    dir->fd = -1;
    dir->is_held = false;
}

static void
after_fork_child(void)
{
    for (struct bbi_store_dir *d = all_dirs; d != NULL; d = d->next) {
        close_fds(d);
        if (!d->is_private) {
            d->seg.base = NULL; /* the mapping was not inherited */
            d->ctl = NULL;
        }
    }
    all_dirs = NULL;
    (void)pthread_mutex_unlock(&dirs_lock);
}

static void
watch_forks(void)
{
    bbi_watch_forks();
    (void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static void
enlist(struct bbi_store_dir *dir)
{
    (void)pthread_once(&fork_once, watch_forks);
    (void)pthread_mutex_lock(&dirs_lock);
    dir->next = all_dirs;
    all_dirs = dir;
    (void)pthread_mutex_unlock(&dirs_lock);
}

static void
delist(struct bbi_store_dir *dir)
{
    (void)pthread_mutex_lock(&dirs_lock);
    for (struct bbi_store_dir **p = &all_dirs; *p != NULL; p = &(*p)->next) {
        if (*p == dir) {
            *p = dir->next;
            break;
        }
    }
    (void)pthread_mutex_unlock(&dirs_lock);
}

/* ---- names and directories ----------------------------------------------------------------------- */

bool
bbi_store_name_ok(const char *name)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = name != NULL ? strlen(name) : 0;
    return n > 0 && n <= BB_NAME_MAX && name[0] != '.' && strspn(name, good) == n;
}

static bool
is_shared(const struct stat *st)
{
    return (st->st_mode & (S_IWGRP | S_IWOTH)) == S_IWGRP;
}

static mode_t
mode_for_files(const struct stat *dir)
{
    return is_shared(dir) ? 0660 : 0600;
}

static int
say_errno(struct bbi_fault *f, int rc, const char *what, const char *path)
{
    return bbi_fault_set(f, rc, path, "cannot %s '%s': %s%s", what, path, bbi_errno_text(-rc),
                         rc == BB_EACCES   ? "; its owner can share it with a group that you are in"
                         : rc == BB_ENOSPC ? "; remove what fills its file system"
                                           : "");
}

static void
path_above(const char *path, char out[BBI_PATH_BYTES])
{
    (void)snprintf(out, BBI_PATH_BYTES, "%s", path);
    char *slash = strrchr(out, '/');
    if (slash == NULL) {
        (void)snprintf(out, BBI_PATH_BYTES, ".");
    } else {
        slash[slash == out ? 1 : 0] = '\0';
    }
}

int
bbi_store_dir_sync_above(const char *path)
{
    char parent[BBI_PATH_BYTES];
    path_above(path, parent);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == EACCES
                   ? 0
                   : -errno; /* not ours to read: its owner synced it, or the kernel will */
    }
    int rc = fsync(fd) == 0 ? 0 : -errno;
    (void)close(fd);
    return rc;
}

/* Makes path, shared as the directory above it is.  It may be there already. */
static int
make_like_parent(const char *path, struct bbi_fault *f)
{
    char parent[BBI_PATH_BYTES];
    struct stat st;
    path_above(path, parent);
    if (stat(parent, &st) != 0) {
        return say_errno(f, -errno, "look at the directory above", path);
    }
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST ? 0 : say_errno(f, -errno, "make directory", path);
    }
    if (is_shared(&st) && (chown(path, (uid_t)-1, st.st_gid) != 0 || chmod(path, 02770) != 0)) {
        int rc = -errno;
        (void)rmdir(path);
        return say_errno(f, rc, "share with the group of the directory above", path);
    }
    int rc = bbi_store_dir_sync_above(path);
    return rc < 0 ? say_errno(f, rc, "sync the directory above", path) : 0;
}

static int
say_whose(const char *path, const struct stat *st, const char *why, struct bbi_fault *f)
{
    int rc = bbi_fault_set(f, BB_ETRUST, path,
                           "the store's directory '%s' (user %u, mode %o) is not safe to use: %s",
                           path, (unsigned)st->st_uid, (unsigned)st->st_mode & 07777, why);
    bbi_fault_owner(f, 0, st->st_uid);
    return rc;
}

static int
open_directory(struct bbi_store_dir *out, const char *path, bool to_write, struct bbi_fault *f)
{
    struct stat st;
    if (snprintf(out->path, sizeof(out->path), "%s", path) >= (int)sizeof(out->path)) {
        return bbi_fault_set(f, BB_ENAMETOOLONG, path, "path '%s' is longer than 255 bytes", path);
    }
    out->fd = bbi_os_keep_fd(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (out->fd < 0) {
        int rc = -errno;
        return rc == BB_ENOENT ? bbi_fault_set(f, rc, path, "there is no store in '%s'", path)
                               : say_errno(f, rc, "open the store's directory", path);
    }
    if (fstat(out->fd, &st) != 0) {
        return say_errno(f, -errno, "look at the store's directory", path);
    }
    if ((st.st_mode & S_IWOTH) != 0) {
        return say_whose(path, &st, "everybody may write in it; take that right away (chmod o-w)",
                         f);
    }
    if (to_write && st.st_uid != geteuid() && !is_shared(&st)) {
        return say_whose(path, &st,
                         "it belongs to somebody else; have its owner share it with a group "
                         "(chmod 2770), or use a directory of your own",
                         f);
    }
    out->file_mode = mode_for_files(&st);
    return 0;
}

/* ---- what is in it --------------------------------------------------------------------------------- */

static void
gen_name(char out[GEN_NAME_BYTES], uint64_t generation, bool is_new)
{
    (void)snprintf(out, GEN_NAME_BYTES, "gen-%" PRIu64 "%s", generation, is_new ? ".new" : "");
}

/* false: not a name of ours. */
static bool
parse_gen(const char *name, uint64_t *generation, bool *is_new)
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

/* Calls back with each name; the directory's position is our own. */
static void
each_entry(int dir_fd, void (*cb)(int dir_fd, const char *name, void *user), void *user)
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

struct content {
    bool has_ours;
    char stranger[64]; /* the first that was seen */
};

static void
see_entry(int dir_fd, const char *name, void *user)
{
    static const char *const ours[] = {"ctl", "ctl.new", "current", "current.new"};
    static const char *const neutral[] = {".", "..", "lock", "lost+found"};
    struct content *seen = user;
    uint64_t generation;
    bool is_new;
    bool is_ours = parse_gen(name, &generation, &is_new) || strncmp(name, "damaged-", 8) == 0;
    bool is_neutral = false;
    (void)dir_fd;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        is_ours = is_ours || strcmp(name, ours[i]) == 0;
        is_neutral = is_neutral || strcmp(name, neutral[i]) == 0;
    }
    seen->has_ours = seen->has_ours || is_ours;
    if (!is_ours && !is_neutral && seen->stranger[0] == '\0') {
        (void)snprintf(seen->stranger, sizeof(seen->stranger), "%s", name);
    }
}

/* Nothing is written into a directory that is somebody else's. */
static int
check_ours(const struct bbi_store_dir *dir, struct bbi_fault *f)
{
    struct content seen = {.has_ours = false};
    each_entry(dir->fd, see_entry, &seen);
    return seen.has_ours || seen.stranger[0] == '\0'
               ? 0
               : bbi_fault_set(
                   f, BB_ENOTSUP, dir->path,
                   "'%s' is no store's directory: it holds '%s' and nothing of a store; "
                   "give one that is empty or not there yet",
                   dir->path, seen.stranger);
}

/* ---- ctl ----------------------------------------------------------------------------------------- */

/* 0; BB_ENOENT it is not there or of another boot; BB_ECORRUPT; BB_EVERSION; -errno. */
static int
map_ctl(struct bbi_store_dir *dir, bool writable)
{
    uint8_t boot_id[16];
    struct bbi_segment seg;
    int rc = bbi_segment_open(dir->fd, "ctl", BBI_FILE_STORE, writable, &seg);
    if (rc < 0) {
        return rc;
    }
    struct bbi_store_ctl *ctl = seg.base;
    bbi_os_boot_id(boot_id);
    if (seg.bytes < sizeof(*ctl) || ctl->magic != BBI_STORE_MAGIC) {
        bbi_segment_close(&seg);
        return BB_ECORRUPT;
    }
    if (memcmp(ctl->ident.boot_id, boot_id, sizeof(boot_id)) != 0) {
        bbi_segment_close(&seg);
        return BB_ENOENT;
    }
    dir->seg = seg;
    dir->ctl = ctl;
    dir->ident = ctl->ident;
    return 0;
}

static int
make_ctl(struct bbi_store_dir *dir)
{
    struct bbi_segment seg;
    int fd;
    int rc = bbi_segment_new(dir->fd, sizeof(struct bbi_store_ctl), dir->file_mode, &seg, &fd);
    if (rc < 0) {
        return rc;
    }
    struct bbi_store_ctl *ctl = seg.base;
    ctl->magic = BBI_STORE_MAGIC;
    bbi_store_relaxed(&ctl->flags, dir->is_memory ? UINT64_C(1) : 0); /* nobody sees it yet */
    bbi_segment_ident(&ctl->ident, BBI_FILE_STORE, sizeof(*ctl));
    bbi_segment_seal(&ctl->ident);
    (void)unlinkat(dir->fd, "ctl.new", 0);
    rc = bbi_os_link_file(fd, dir->fd, "ctl.new");
    BBI_HOOK("store:ctl_new");
    if (rc == 0 && renameat(dir->fd, "ctl.new", dir->fd, "ctl") != 0) {
        rc = -errno;
    }
    BBI_HOOK("store:ctl");
    (void)close(fd);
    if (rc < 0) {
        bbi_segment_close(&seg);
        return rc;
    }
    dir->seg = seg;
    dir->ctl = ctl;
    dir->ident = ctl->ident;
    return 0;
}

static int
say_ctl(const struct bbi_store_dir *dir, int rc, struct bbi_fault *f)
{
    return rc == BB_EVERSION
               ? bbi_fault_set(f, rc, dir->path,
                               "the store in '%s' is used by programs with another layout: end "
                               "them, then remove '%s/ctl'",
                               dir->path, dir->path)
           : rc == BB_ECORRUPT
               ? bbi_fault_set(f, rc, dir->path,
                               "the control file '%s/ctl' is damaged: its master mends "
                               "it within a second, or makes it anew when it starts",
                               dir->path)
           : rc == BB_ENOENT ? bbi_fault_set(f, rc, dir->path,
                                             "the store in '%s' had no master since this box was "
                                             "started: start its master",
                                             dir->path)
                             : say_errno(f, rc, "open the control file of the store in", dir->path);
}

/* For one that holds the lock. */
static int
have_ctl(struct bbi_store_dir *dir, struct bbi_fault *f)
{
    int rc = map_ctl(dir, true);
    if (rc == BB_ENOENT || rc == BB_ECORRUPT) {
        if (dir->is_memory) {
            (void)unlinkat(dir->fd, "current", 0); /* never synced: of another boot it is void */
            bbi_store_dir_tidy(dir, 0);
        }
        rc = make_ctl(dir);
    }
    return rc < 0 ? say_ctl(dir, rc, f) : 0;
}

/* ---- opening ------------------------------------------------------------------------------------- */

static int
open_lock(struct bbi_store_dir *dir, struct bbi_fault *f)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    dir->lock_fd = bbi_os_keep_fd(openat(dir->fd, "lock", flags));
    if (dir->lock_fd < 0 && errno == ENOENT) {
        dir->lock_fd = bbi_os_keep_fd(openat(dir->fd, "lock", flags | O_CREAT, dir->file_mode));
        if (dir->lock_fd >= 0) {
            (void)fchmod(dir->lock_fd, dir->file_mode); /* whatever the umask said */
        }
    }
    return dir->lock_fd >= 0 ? 0 : say_errno(f, -errno, "open the lock of the store in", dir->path);
}

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

static int
say_held(const struct bbi_store_dir *dir, struct bbi_fault *f)
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

/*
 * The lock is ours, and so the last master is dead: unless the file that it holds was removed.  One that is just
 * ending has let go of its files already, and is waited for.
 */
static bool
another_lives(const struct bbi_store_dir *dir)
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

bool
bbi_store_dir_mend_ctl(struct bbi_store_dir *dir)
{
    struct bbi_store_ctl *ctl = dir->ctl;
    if (ctl->magic == BBI_STORE_MAGIC
        && memcmp(&ctl->ident, &dir->ident, sizeof(dir->ident)) == 0) {
        return false;
    }
    memcpy(&ctl->ident, &dir->ident, sizeof(dir->ident));
    ctl->magic = BBI_STORE_MAGIC;
    return true;
}

int
bbi_store_dir_make(
    struct bbi_store_dir *out, const char *path, bool is_memory, bool may_wait, struct bbi_fault *f)
{
    *out = (struct bbi_store_dir){.fd = -1, .lock_fd = -1, .is_memory = is_memory};
    enlist(out);
    int rc = make_like_parent(path, f);
    BBI_HOOK("store:dir");
    rc = rc < 0 ? rc : open_directory(out, path, true, f);
    rc = rc < 0 ? rc : check_ours(out, f);
    rc = rc < 0 ? rc : open_lock(out, f);
    if (rc == 0) {
        rc = bbi_store_dir_lock(out);
        if (rc == BB_EAGAIN) {
            (void)!map_ctl(out, true); /* to wait beside it, and to say whose it is */
            rc = say_held(out, f);
            if (may_wait) {
                return rc;
            }
        } else if (rc < 0) {
            rc = say_errno(f, rc, "lock the store in", path);
        }
    }
    rc = rc < 0 ? rc : have_ctl(out, f);
    if (rc == 0 && another_lives(out)) {
        bbi_store_dir_unlock(out);
        rc = say_held(out, f);
        if (may_wait) {
            return rc;
        }
    }
    if (rc < 0) {
        bbi_store_dir_close(out);
    }
    return rc;
}

/* A store that no master of this boot ever touched: what its ctl would say, as far as names tell. */
static int
make_private(struct bbi_store_dir *dir)
{
    uint64_t generation;
    int rc = bbi_store_dir_current(dir, &generation);
    if (rc < 0) {
        return rc;
    }
    struct bbi_store_ctl *ctl = aligned_alloc(BBI_PAGE_BYTES, sizeof(*ctl));
    if (ctl == NULL) {
        return BB_ENOMEM;
    }
    memset(ctl, 0, sizeof(*ctl));
    ctl->magic = BBI_STORE_MAGIC;
    bbi_store_relaxed(&ctl->generation, generation); /* our own memory */
    dir->ctl = ctl;
    dir->is_private = true;
    return 0;
}

int
bbi_store_dir_open(struct bbi_store_dir *out, const char *path, bool read_only, struct bbi_fault *f)
{
    *out = (struct bbi_store_dir){.fd = -1, .lock_fd = -1};
    enlist(out);
    int rc = open_directory(out, path, false, f);
    if (rc == 0) {
        rc = map_ctl(out, !read_only);
        if ((rc == BB_ENOENT || rc == BB_ECORRUPT) && read_only) {
            rc = make_private(out);
        }
        rc = rc < 0 ? say_ctl(out, rc, f) : 0;
    }
    if (rc < 0) {
        bbi_store_dir_close(out);
        return rc;
    }
    out->is_memory = (bbi_load_relaxed(&out->ctl->flags) & 1) != 0; /* never changes */
    return 0;
}

void
bbi_store_dir_close(struct bbi_store_dir *dir)
{
    delist(dir);
    close_fds(dir);
    if (dir->is_private) {
        free(dir->ctl);
    } else {
        bbi_segment_close(&dir->seg);
    }
    dir->ctl = NULL;
    dir->is_private = false;
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
        rc = open_lock(dir, NULL);
        return rc < 0 ? rc : BB_EAGAIN;
    }
    if (rc == 0 && another_lives(dir)) {
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

/* ---- generations --------------------------------------------------------------------------------- */

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
    return parse_gen(target, generation, &is_new) && !is_new ? 0 : BB_ECORRUPT;
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
    } else if (parse_gen(name, &generation, &is_new) && (is_new || is_rubbish(generation, *keep))) {
        (void)bbi_debris_remove_dir(dir_fd, name);
        BBI_HOOK("store:tidied");
    }
}

void
bbi_store_dir_tidy(const struct bbi_store_dir *dir, uint64_t keep)
{
    each_entry(dir->fd, tidy_entry, &keep);
}

static void
see_gen(int dir_fd, const char *name, void *user)
{
    struct bbi_store_gens *seen = user;
    char data[GEN_NAME_BYTES + 16];
    uint64_t generation;
    bool is_new;
    if (!parse_gen(name, &generation, &is_new) || is_new) {
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
    each_entry(dir->fd, see_gen, out);
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
    bool is_it = parse_gen(name, &generation, &is_new)
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
    each_entry(dir->fd, move_aside, &a);
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

/* ---- what a bus knows ---------------------------------------------------------------------------- */

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
    int rc = make_like_parent(link, f);
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
                   : say_errno(f, -errno, "remove", link);
    }
    bbi_os_random(&number, sizeof(number));
    (void)snprintf(fresh, sizeof(fresh), "%s/stores/.%s.%016" PRIx64, bus_path, name, number);
    if (symlink(path, fresh) != 0) {
        return say_errno(f, -errno, "make the link", fresh);
    }
    if (rename(fresh, link) != 0) {
        rc = -errno;
        (void)unlink(fresh);
        return say_errno(f, rc, "make the link", link);
    }
    return 0;
}

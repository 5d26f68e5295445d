/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: one byte of one file says who is master, one link says which generation counts.
 *
 *   lock byte 0 ours ──► ctl of this boot? ──no──► a new one takes its place ──► master_start()
 *
 * Whoever holds the byte is alone in changing names here, so nothing of this needs another lock.  A new name is
 * made beside the old one and renamed over it, and the directory is synced before anything is built on it.
 */
#include "lib/store/dir_impl.h"
#include <pthread.h>

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

int
bbi_dir_say_errno(struct bbi_fault *f, int rc, const char *what, const char *path)
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
int
bbi_dir_make_like_parent(const char *path, struct bbi_fault *f)
{
    char parent[BBI_PATH_BYTES];
    struct stat st;
    path_above(path, parent);
    if (stat(parent, &st) != 0) {
        return bbi_dir_say_errno(f, -errno, "look at the directory above", path);
    }
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST ? 0 : bbi_dir_say_errno(f, -errno, "make directory", path);
    }
    if (is_shared(&st) && (chown(path, (uid_t)-1, st.st_gid) != 0 || chmod(path, 02770) != 0)) {
        int rc = -errno;
        (void)rmdir(path);
        return bbi_dir_say_errno(f, rc, "share with the group of the directory above", path);
    }
    int rc = bbi_store_dir_sync_above(path);
    return rc < 0 ? bbi_dir_say_errno(f, rc, "sync the directory above", path) : 0;
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
                               : bbi_dir_say_errno(f, rc, "open the store's directory", path);
    }
    if (fstat(out->fd, &st) != 0) {
        return bbi_dir_say_errno(f, -errno, "look at the store's directory", path);
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
    bool is_ours =
        bbi_dir_parse_gen(name, &generation, &is_new) || strncmp(name, "damaged-", 8) == 0;
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
    bbi_dir_each_entry(dir->fd, see_entry, &seen);
    return seen.has_ours || seen.stranger[0] == '\0'
               ? 0
               : bbi_fault_set(
                   f, BB_ENOTSUP, dir->path,
                   "'%s' is no store's directory: it holds '%s' and nothing of a store; "
                   "give one that is empty or not there yet",
                   dir->path, seen.stranger);
}

/* ---- opening ------------------------------------------------------------------------------------- */

int
bbi_store_dir_make(
    struct bbi_store_dir *out, const char *path, bool is_memory, bool may_wait, struct bbi_fault *f)
{
    *out = (struct bbi_store_dir){.fd = -1, .lock_fd = -1, .is_memory = is_memory};
    enlist(out);
    int rc = bbi_dir_make_like_parent(path, f);
    BBI_HOOK("store:dir");
    rc = rc < 0 ? rc : open_directory(out, path, true, f);
    rc = rc < 0 ? rc : check_ours(out, f);
    rc = rc < 0 ? rc : bbi_dir_open_lock(out, f);
    if (rc == 0) {
        rc = bbi_store_dir_lock(out);
        if (rc == BB_EAGAIN) {
            (void)!bbi_dir_map_ctl(out, true); /* to wait beside it, and to say whose it is */
            rc = bbi_dir_say_held(out, f);
            if (may_wait) {
                return rc;
            }
        } else if (rc < 0) {
            rc = bbi_dir_say_errno(f, rc, "lock the store in", path);
        }
    }
    rc = rc < 0 ? rc : bbi_dir_have_ctl(out, f);
    if (rc == 0 && bbi_dir_another_lives(out)) {
        bbi_store_dir_unlock(out);
        rc = bbi_dir_say_held(out, f);
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
        rc = bbi_dir_map_ctl(out, !read_only);
        if ((rc == BB_ENOENT || rc == BB_ECORRUPT) && read_only) {
            rc = make_private(out);
        }
        rc = rc < 0 ? bbi_dir_say_ctl(out, rc, f) : 0;
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

/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/debris.h"
#include "shm/hook.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEAD_LISTED = 64 };

struct dead_ring {
    char name[BBI_FILE_NAME_BYTES];
    int64_t ended_ns; /* when it came to dead/ */
};

/* What a file says of itself; false when it is not one of ours. */
static bool
read_ident(int dir_fd, const char *name, struct bbi_ident *out, struct stat *st)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    bool ok = fstat(fd, st) == 0 && S_ISREG(st->st_mode)
              && pread(fd, out, sizeof(*out), 0) == (ssize_t)sizeof(*out)
              && out->magic == BBI_MAGIC;
    (void)close(fd);
    return ok;
}

static void
report(bbi_debris_cb cb,
       void *user,
       const char *file,
       const struct bbi_ident *ident,
       const struct stat *st,
       bool removed,
       const char *why)
{
    char node[BBI_NAME_BYTES];
    if (cb != NULL) {
        (void)snprintf(node, sizeof(node), "%.47s", ident->name);
        const struct bbi_debris_item item = {.file = file,
                                             .node = node,
                                             .pid = ident->pid,
                                             .bytes = (uint64_t)st->st_blocks * 512,
                                             .removed = removed,
                                             .why = why};
        cb(&item, user);
    }
}

static int
by_end(const void *a, const void *b)
{
    const struct dead_ring *x = a;
    const struct dead_ring *y = b;
    return x->ended_ns < y->ended_ns ? -1 : x->ended_ns > y->ended_ns;
}

/* The rings of dead/, oldest first.  How many. */
static int
list_dead(int dir_fd, struct dead_ring *out, int cap)
{
    int fd = openat(dir_fd, "dead", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return 0;
    }
    int n = 0;
    const struct dirent *e;
    while (n < cap && (e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        uint32_t index, gen;
        uint64_t key;
        struct stat st;
        if (bbi_place_parse_name(e->d_name, &index, &gen, &key) == BBI_FILE_RING
            && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            bbi_place_ring_name(out[n].name, index, gen, key);
            out[n++].ended_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
        }
    }
    (void)closedir(dir);
    qsort(out, (size_t)n, sizeof(*out), by_end);
    return n;
}

static void
trim_dead(int dir_fd)
{
    struct dead_ring dead[DEAD_LISTED];
    char path[BBI_FILE_NAME_BYTES + 8];
    int n = list_dead(dir_fd, dead, DEAD_LISTED);
    for (int i = 0; i < n - BBI_DEAD_KEPT; i++) {
        (void)snprintf(path, sizeof(path), "dead/%.63s", dead[i].name);
        (void)unlinkat(dir_fd, path, 0);
        BBI_HOOK("debris:trimmed");
    }
}

void
bbi_debris_bury(struct bbi_attach *at, const char *ring_name)
{
    char path[BBI_FILE_NAME_BYTES + 8];
    int dir_fd = at->place.dir_fd;
    bbi_place_subdir(&at->place, "dead");
    (void)snprintf(path, sizeof(path), "dead/%.63s", ring_name);
    if (renameat(dir_fd, ring_name, dir_fd, path) != 0 && errno != ENOENT) {
        (void)unlinkat(dir_fd, ring_name, 0);
    }
    BBI_HOOK("debris:buried");
    trim_dead(dir_fd);
}

int
bbi_debris_dead(const struct bbi_attach *at, int (*cb)(const char *file, void *user), void *user)
{
    struct dead_ring dead[DEAD_LISTED];
    char path[BBI_FILE_NAME_BYTES + 8];
    int n = list_dead(at->place.dir_fd, dead, DEAD_LISTED);
    int rc = 0;
    for (int i = 0; i < n && rc == 0; i++) {
        (void)snprintf(path, sizeof(path), "dead/%.63s", dead[i].name);
        rc = cb(path, user);
    }
    return rc;
}

struct sweep {
    struct bbi_attach *at;
    unsigned flags;
    bbi_debris_cb cb;
    void *user;
    bool is_alone;
    int count;
};

/* A living row names this very file, or somebody holds the row and may be about to. */
static bool
row_needs_file(const struct sweep *s, int kind, uint32_t index, uint64_t key)
{
    const struct bbi_attach *at = s->at;
    bool is_ring = kind == BBI_FILE_RING;
    if (kind == BBI_FILE_ROLL) { /* `index` is a generation; only this one's is read by anybody */
        return index == at->bus->ident.generation;
    }
    if (index >= (is_ring ? (uint32_t)BBI_RINGS : (uint32_t)BBI_SUBS)) {
        return false;
    }
    const struct bbi_entry *e = is_ring ? &at->bus->rings[index] : &at->bus->subs[index];
    bool is_held = bbi_is_alive(at, (is_ring ? BBI_LOCK_RING : BBI_LOCK_SUB) + index);
    bool is_free = bbi_load_acquire(&e->state) == BBI_ENTRY_FREE;
    if (is_held && is_free) {
        return true; /* perhaps its owner is just about to fill the row */
    }
    /* A ring that ended is the steward's to bury; a dry run says what would become of it. */
    bool counts = is_held || (is_ring && (s->flags & BBI_DEBRIS_DRY_RUN) == 0);
    return counts && !is_free && bbi_load_acquire(&e->key) == key;
}

/* Asked to remove all (gc), alone: a bus.ctl that says nothing of itself goes too, or the name is lost for ever. */
static bool
is_damaged_control(const struct sweep *s, bool is_control, struct bbi_ident *ident, struct stat *st)
{
    memset(ident, 0, sizeof(*ident));
    return is_control && s->cb != NULL
           && fstatat(s->at->place.dir_fd, "bus.ctl", st, AT_SYMLINK_NOFOLLOW) == 0
           && S_ISREG(st->st_mode);
}

static void
sweep_file(struct sweep *s, const char *name)
{
    struct bbi_ident ident;
    struct stat st;
    uint32_t index = 0, gen = 0;
    uint64_t key = 0;
    int kind = bbi_place_parse_name(name, &index, &gen, &key);
    bool is_control = strcmp(name, "bus.ctl") == 0;
    if ((kind == 0 && !(is_control && s->is_alone))
        || (!s->is_alone && row_needs_file(s, kind, index, key))
        || (!read_ident(s->at->place.dir_fd, name, &ident, &st)
            && !is_damaged_control(s, is_control, &ident, &st))) {
        return;
    }
    bool dry = (s->flags & BBI_DEBRIS_DRY_RUN) != 0;
    /* Of a ring that no row names nobody ever read a message. */
    bool bury = s->is_alone && kind == BBI_FILE_RING && (s->flags & BBI_DEBRIS_KEEP_DEAD) != 0;
    bool removed = false;
    if (!dry && bury) {
        bbi_debris_bury(s->at, name);
        removed = true;
    } else if (!dry) {
        removed = unlinkat(s->at->place.dir_fd, name, 0) == 0;
        BBI_HOOK("debris:unlinked");
    }
    s->count++;
    report(s->cb, s->user, name, &ident, &st, removed,
           is_control ? "nobody is attached" : "its process is gone");
}

/* When its publisher was last active; monotonic, of this boot or another. */
static int64_t
last_beat(int dir_fd, const char *name)
{
    uint64_t beat = 0;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        (void)!pread(fd, &beat, sizeof(beat), offsetof(struct bbi_ring, beat_ns));
        (void)close(fd);
    }
    return (int64_t)beat;
}

/* The names of all rings, in the order in which they fell silent: the newest are buried last, and kept. */
static int
list_rings(DIR *dir, int dir_fd, struct dead_ring *out, int cap)
{
    int n = 0;
    const struct dirent *e;
    while (n < cap && (e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        uint32_t index, gen;
        uint64_t key;
        if (bbi_place_parse_name(e->d_name, &index, &gen, &key) == BBI_FILE_RING) {
            bbi_place_ring_name(out[n].name, index, gen, key);
            out[n].ended_ns = last_beat(dir_fd, out[n].name);
            n++;
        }
    }
    qsort(out, (size_t)n, sizeof(*out), by_end);
    rewinddir(dir);
    return n;
}

static void
sweep_rings_in_order(struct sweep *s, DIR *dir)
{
    struct dead_ring *rings = calloc(BBI_RINGS, sizeof(*rings));
    int n = rings != NULL ? list_rings(dir, s->at->place.dir_fd, rings, BBI_RINGS) : 0;
    for (int i = 0; i < n; i++) {
        sweep_file(s, rings[i].name);
    }
    free(rings);
}

static void
sweep_dir(struct sweep *s)
{
    int fd = openat(s->at->place.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    const struct dirent *e;
    if (s->is_alone && (s->flags & BBI_DEBRIS_KEEP_DEAD) != 0) {
        sweep_rings_in_order(s, dir);
    }
    while ((e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        sweep_file(s, e->d_name);
    }
    (void)closedir(dir);
}

/* Sockets of subscribers: `sock/N` belongs to row N. */
static void
sweep_sockets(struct sweep *s)
{
    int dry = (s->flags & BBI_DEBRIS_DRY_RUN) != 0;
    for (uint32_t i = 0; i < BBI_SUBS && !dry; i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "sock/%u", i);
        if (s->is_alone || !bbi_is_alive(s->at, BBI_LOCK_SUB + i)) {
            (void)unlinkat(s->at->place.dir_fd, path, 0);
        }
    }
    if (!dry && s->is_alone) {
        (void)unlinkat(s->at->place.dir_fd, "sock", AT_REMOVEDIR);
    }
}

static int
sweep_dead_file(const char *file, void *user)
{
    struct sweep *s = user;
    struct bbi_ident ident;
    struct stat st;
    if (read_ident(s->at->place.dir_fd, file, &ident, &st)) {
        bool removed =
            (s->flags & BBI_DEBRIS_DRY_RUN) == 0 && unlinkat(s->at->place.dir_fd, file, 0) == 0;
        s->count++;
        report(s->cb, s->user, file, &ident, &st, removed, "kept for a look after death");
    }
    return 0;
}

static int
sweep(struct bbi_attach *at, unsigned flags, bool is_alone, bbi_debris_cb cb, void *user)
{
    struct sweep s = {.at = at, .flags = flags, .cb = cb, .user = user, .is_alone = is_alone};
    sweep_dir(&s);
    sweep_sockets(&s);
    if (is_alone && (flags & BBI_DEBRIS_STORES) != 0) {
        s.count += bbi_debris_stores(at, flags, cb, user);
    }
    if ((flags & BBI_DEBRIS_KEEP_DEAD) == 0) {
        (void)bbi_debris_dead(at, sweep_dead_file, &s);
        if ((flags & BBI_DEBRIS_DRY_RUN) == 0) {
            (void)unlinkat(at->place.dir_fd, "dead", AT_REMOVEDIR);
        }
    }
    return s.count;
}

int
bbi_debris_clear(struct bbi_attach *at, unsigned flags, bbi_debris_cb cb, void *user)
{
    return sweep(at, flags, true, cb, user);
}

int
bbi_debris_orphans(struct bbi_attach *at, unsigned flags, bbi_debris_cb cb, void *user)
{
    return sweep(at, flags, false, cb, user);
}

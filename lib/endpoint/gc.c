/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/gc.c - remove what dead processes left, on demand.
 *
 * With nobody attached everything but `lock` goes, stores in memory too.  With members alive the steward's scan runs at once, and
 * files that no row names are swept.
 */
#include "busbar/inspect.h"
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/private_bus.h"
#include "shm/debris.h"
#include "shm/os.h"
#include "shm/steward.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct gc {
    const struct bb_gc_opts *o;
};

static void
pass_on(const struct bbi_debris_item *item, void *user)
{
    const struct gc *gc = user;
    struct bb_gc_item out = {.file = item->file,
                             .pid = item->pid,
                             .bytes = item->bytes,
                             .removed = item->removed,
                             .why = item->why};
    (void)snprintf(out.node, sizeof(out.node), "%.47s", item->node);
    if (gc->o->cb != NULL) {
        (void)gc->o->cb(&out, gc->o->user);
    }
}

/* Opens the bus for tidying: its lock file writable, its control file mapped when there is one. */
static int
open_bus(struct bbi_attach *at, const struct bb_gc_opts *o, bool *is_alone, struct bbi_fault *f)
{
    *at = (struct bbi_attach){.lock_fd = -1, .probe_fd = -1, .member = BBI_MEMBERS};
    at->place.dir_fd = -1;
    int rc = bbi_place_open(&at->place, o->dir, o->bus, NULL, false, f);
    if (rc < 0) {
        return rc;
    }
    at->lock_fd = bbi_os_keep_fd(openat(at->place.dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    at->probe_fd =
        bbi_os_keep_fd(openat(at->place.dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (at->lock_fd < 0 || at->probe_fd < 0) {
        rc = errno == ENOENT ? BB_ENOBUS : -errno;
        return bbi_fault_set(f, rc, at->place.path,
                             rc == BB_ENOBUS ? "there is no bus '%s': %s"
                                             : "cannot open '%s/lock': %s",
                             at->place.path, bb_strerror(rc));
    }
    *is_alone = bbi_os_lock_try(at->lock_fd, BBI_LOCK_PRESENCE, true) == 0;
    if (*is_alone) { /* so that those who wait for us can say for whom */
        pid_t pid = getpid();
        (void)!pwrite(at->lock_fd, &pid, sizeof(pid), 0);
    }
    /* Present, so that no new generation begins while we judge by this one's rows. */
    if (!*is_alone && bbi_os_lock_try(at->lock_fd, BBI_LOCK_PRESENCE, false) < 0) {
        return bbi_fault_set(f, BB_EBUSY, at->place.path,
                             "bus '%s' is just being made: try again in a moment", at->place.path);
    }
    rc = bbi_segment_open(at->place.dir_fd, "bus.ctl", BBI_FILE_BUS, true, &at->seg);
    at->bus = rc == 0 ? at->seg.base : NULL;
    if (rc == BB_EVERSION || (rc < 0 && !*is_alone)) {
        return bbi_fault_set(f, rc, at->place.path, "cannot tidy up bus '%s': its control file: %s",
                             at->place.path,
                             rc == -ENOENT ? "it is just being made" : bb_strerror(rc));
    }
    return 0;
}

/* Rows whose owners are gone, as the steward finds them: their files count too. */
static int
tidy_living(struct bbi_attach *at, struct gc *gc, unsigned flags)
{
    struct bbi_waker waker = {.sock_fd = -1, .dir_fd = at->place.dir_fd};
    int n = bbi_debris_orphans(at, flags, pass_on, gc);
    if ((flags & BBI_DEBRIS_DRY_RUN) == 0) {
        (void)bbi_steward_scan(at, &waker, 0);
        n += bbi_debris_orphans(at, flags, pass_on, gc);
    }
    if (waker.sock_fd >= 0) {
        (void)close(waker.sock_fd);
    }
    return n;
}

int
bb_gc(const struct bb_gc_opts *opts)
{
    struct bb_gc_opts o;
    struct bbi_fault f = {.code = BB_ENOMEM, .uid = -1};
    struct bbi_attach at;
    bool is_alone = false;
    int rc = BBI_OPTS_TAKE(struct bb_gc_opts, &o, opts);
    rc = rc < 0 ? rc
                : bbi_opts_flags(o.flags, BB_GC_DRY_RUN | BB_GC_KEEP_DEAD, "struct bb_gc_opts",
                                 o.error);
    if (rc < 0) {
        return rc;
    }
    struct gc gc = {.o = &o};
    unsigned flags = ((o.flags & BB_GC_DRY_RUN) != 0 ? BBI_DEBRIS_DRY_RUN : 0)
                     | ((o.flags & BB_GC_KEEP_DEAD) != 0 ? BBI_DEBRIS_KEEP_DEAD : 0);
    rc = open_bus(&at, &o, &is_alone, &f);
    if (rc == 0) {
        rc = is_alone ? bbi_debris_clear(&at, flags | BBI_DEBRIS_STORES, pass_on, &gc)
                      : tidy_living(&at, &gc, flags);
    } else {
        f.code = rc;
        (void)bbi_error_set(o.error, &f);
    }
    bbi_attach_forked(&at);
    return rc;
}

int
bbi_bus_remove(const char *dir, const char *bus)
{
    const struct bb_gc_opts o = {.size = sizeof(o), .dir = dir, .bus = bus};
    struct bbi_fault f;
    struct bbi_attach at;
    bool is_alone = false;
    int rc = open_bus(&at, &o, &is_alone, &f);
    if (rc == 0 && !is_alone) {
        rc = BB_EBUSY;
    }
    if (rc == 0) {
        (void)bbi_debris_clear(&at, BBI_DEBRIS_STORES, NULL, NULL);
        (void)unlinkat(at.place.dir_fd, "lock", 0); /* held until the directory is gone */
    }
    /* Without a lock file: whoever removed this one was killed before it was done. */
    if ((rc == 0 || rc == BB_ENOBUS) && at.place.dir_fd >= 0) {
        rc = rmdir(at.place.path) == 0 ? 0 : -errno;
    }
    bbi_attach_forked(&at);
    return rc;
}

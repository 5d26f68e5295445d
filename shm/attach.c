/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/attach.c - from a directory to a member.
 *
 *   open lock ──► presence exclusive? ──yes──► clean, make bus.ctl ──► presence shared ──► slot, name
 *                     │ no                                                  ▲
 *                     └──► presence shared? ──yes──► bus.ctl there? ──yes───┘
 *                               │ no: somebody is making it       │ no: the maker died: let go, try again
 */
#include "shm/attach.h"
#include "shm/debris.h"
#include "shm/hash.h"
#include "shm/hook.h"
#include "shm/os.h"
#include "shm/registry.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_HASH_BITS = 62,
    SLOTS_IN_TURN = 128, /* few enough that looking through the used ones stays cheap */
};
static const int64_t BACK_OFF_NS = 2000000;

uint64_t
bbi_announce(struct bbi_attach *at)
{
    return bbi_fetch_add_seq_cst(&at->bus->member_epoch.v, 1)
           + 1; /* R8: pairs with readers' looks */
}

int
bbi_is_alive(const struct bbi_attach *at, int64_t lock_off)
{
    return bbi_os_lock_test(at->probe_fd, lock_off)
           != 0; /* who cannot be asked about is not dead */
}

static int
open_lock(struct bbi_attach *at, bool may_make, struct bbi_fault *f)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    at->lock_fd = bbi_os_keep_fd(openat(at->place.dir_fd, "lock", flags));
    if (at->lock_fd < 0 && errno == ENOENT && may_make) {
        at->lock_fd = bbi_os_keep_fd(openat(at->place.dir_fd, "lock", flags | O_CREAT, 0660));
        if (at->lock_fd >= 0) {
            (void)fchmod(at->lock_fd,
                         0660); /* whatever the umask said; not ours if we lost a race */
        }
    }
    if (at->lock_fd >= 0) {
        at->probe_fd =
            bbi_os_keep_fd(openat(at->place.dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    }
    if (at->lock_fd >= 0 && at->probe_fd >= 0) {
        BBI_HOOK("attach:lock_file");
        return 0;
    }
    int rc = -errno;
    return rc == -ENOENT
               ? bbi_fault_set(f, BB_ENOBUS, at->place.path, "there is no bus '%s'", at->place.path)
               : bbi_fault_set(f, rc, at->place.path, "cannot open '%s/lock': %s", at->place.path,
                               bbi_errno_text(-rc));
}

static int
say_version(const struct bbi_attach *at, struct bbi_fault *f)
{
    struct bbi_ident ident;
    int fd = bbi_os_keep_fd(openat(at->place.dir_fd, "bus.ctl", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    ssize_t n = fd >= 0 ? pread(fd, &ident, sizeof(ident), 0) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    unsigned major = n >= 10 ? ident.major : 0;
    return bbi_fault_set(
        f, BB_EVERSION, at->place.path,
        "bus '%s' has layout %u (made by '%.63s') and this program knows layout %d: use programs "
        "of one version on a bus, or another bus name (--bus) for this one",
        at->place.path, major,
        n == (ssize_t)sizeof(ident) && major == BBI_LAYOUT_MAJOR ? ident.build
        : n > 272                                                ? "another build"
                                                                 : "?",
        BBI_LAYOUT_MAJOR);
}

static int
say_unreadable(const struct bbi_attach *at, int rc, struct bbi_fault *f)
{
    return bbi_fault_set(f, rc, at->place.path,
                         rc == BB_ECORRUPT
                             ? "'%s/bus.ctl' is not a bus of ours or is damaged (%s); stop "
                               "its processes and run 'busbar gc', or remove the directory"
                             : "cannot open '%s/bus.ctl': %s",
                         at->place.path, bb_strerror(rc));
}

static int
open_control(struct bbi_attach *at, bool writable, struct bbi_fault *f)
{
    int rc = bbi_segment_open(at->place.dir_fd, "bus.ctl", BBI_FILE_BUS, writable, &at->seg);
    if (rc == BB_EVERSION) {
        return say_version(at, f);
    }
    if (rc == -ENOENT) {
        return bbi_fault_set(f, BB_ENOBUS, at->place.path, "there is no bus '%s'", at->place.path);
    }
    if (rc < 0) {
        return say_unreadable(at, rc, f);
    }
    at->bus = at->seg.base;
    return 0;
}

/* We are alone.  Everything that lies here is debris, whatever state it is in. */
static int
begin_generation(struct bbi_attach *at, struct bbi_fault *f)
{
    struct bbi_segment seg;
    uint32_t generation = 1;
    int rc = bbi_segment_open(at->place.dir_fd, "bus.ctl", BBI_FILE_BUS, false, &seg);
    if (rc == BB_EVERSION) {
        return say_version(at, f);
    }
    if (rc == BB_ECORRUPT) {
        return say_unreadable(at, rc, f);
    }
    if (rc == 0) {
        generation = ((struct bbi_bus *)seg.base)->ident.generation + 1;
        bbi_segment_close(&seg);
    }
    pid_t pid = getpid();
    (void)!pwrite(at->lock_fd, &pid, sizeof(pid), 0); /* so that those who wait can say for whom */
    BBI_HOOK("attach:alone");
    bbi_debris_clear(at, BBI_DEBRIS_KEEP_DEAD, NULL, NULL);
    BBI_HOOK("attach:cleared");
    int fd;
    rc = bbi_segment_new(at->place.dir_fd, sizeof(struct bbi_bus), 0660, &seg, &fd);
    if (rc < 0) {
        return bbi_fault_set(f, rc, at->place.path,
                             "cannot make bus '%s': its control file needs %zu bytes: %s; remove "
                             "what fills its file system, or choose another (--dir)",
                             at->place.path, sizeof(struct bbi_bus), bbi_errno_text(-rc));
    }
    struct bbi_bus *bus = seg.base;
    bbi_segment_ident(&bus->ident, BBI_FILE_BUS, sizeof(struct bbi_bus));
    bbi_os_random(bus->ident.bus_uuid, sizeof(bus->ident.bus_uuid));
    bus->ident.generation = generation;
    bbi_segment_seal(&bus->ident);
    rc = bbi_os_link_file(fd, at->place.dir_fd, "bus.ctl");
    BBI_HOOK("attach:control_linked");
    (void)close(fd);
    if (rc < 0) {
        bbi_segment_close(&seg);
        return bbi_fault_set(f, rc, at->place.path, "cannot name '%s/bus.ctl': %s", at->place.path,
                             bbi_errno_text(-rc));
    }
    at->seg = seg;
    at->bus = bus;
    return 0;
}

/* Alone: begin and then share.  Not alone: map what is there.  BB_EAGAIN: neither, try again. */
static int
try_presence(struct bbi_attach *at, bool may_make, struct bbi_fault *f)
{
    int rc = may_make ? bbi_os_lock_try(at->lock_fd, BBI_LOCK_PRESENCE, true) : BB_EAGAIN;
    if (rc == 0) {
        rc = begin_generation(at, f);
        if (rc == 0) {
            rc = bbi_os_lock_try(at->lock_fd, BBI_LOCK_PRESENCE, false); /* downgrade: atomic */
            BBI_HOOK("attach:shared");
        }
        return rc;
    }
    if (rc != BB_EAGAIN) {
        return rc;
    }
    rc = bbi_os_lock_try(at->lock_fd, BBI_LOCK_PRESENCE, false);
    if (rc < 0) {
        return rc;
    }
    BBI_HOOK("attach:present");
    rc = open_control(at, true, f);
    if (rc == BB_ENOBUS && may_make) {
        bbi_os_unlock(at->lock_fd,
                      BBI_LOCK_PRESENCE); /* its maker died: somebody must be alone again */
        return BB_EAGAIN;
    }
    return rc;
}

static int
say_starter(struct bbi_attach *at, int64_t wait_ns, struct bbi_fault *f)
{
    pid_t pid = 0;
    if (pread(at->lock_fd, &pid, sizeof(pid), 0) != (ssize_t)sizeof(pid)) {
        pid = 0;
    }
    int rc = bbi_fault_set(
        f, BB_ETIMEDOUT, at->place.path,
        "process %d has been making bus '%s' for more than %.1f s (is it stopped?): continue or "
        "end it, then try again",
        (int)pid, at->place.path, (double)wait_ns / 1e9);
    bbi_fault_owner(f, pid, -1);
    return rc;
}

int
bbi_attach_open(struct bbi_attach *at, const struct bbi_attach_opts *o, struct bbi_fault *f)
{
    *at = (struct bbi_attach){.lock_fd = -1, .probe_fd = -1, .member = BBI_MEMBERS};
    at->place.dir_fd = -1;
    int rc = bbi_place_open(&at->place, o->dir, o->bus, o->group, o->may_make, f);
    if (rc == 0) {
        rc = open_lock(at, o->may_make, f);
    }
    int64_t deadline = bbi_os_mono_ns() + o->wait_ns;
    while (rc == 0) {
        rc = try_presence(at, o->may_make, f);
        if (rc != BB_EAGAIN) {
            break;
        }
        if (bbi_os_mono_ns() >= deadline) {
            rc = say_starter(at, o->wait_ns, f);
            break;
        }
        uint16_t jitter;
        bbi_os_random(&jitter, sizeof(jitter));
        (void)bbi_os_sleep_ns(BACK_OFF_NS + (int64_t)jitter * 64);
        rc = 0;
    }
    if (rc < 0) {
        bbi_attach_close(at);
    }
    return rc;
}

int
bbi_attach_look(struct bbi_attach *at, const char *dir, const char *bus, struct bbi_fault *f)
{
    *at = (struct bbi_attach){.lock_fd = -1, .probe_fd = -1, .member = BBI_MEMBERS};
    at->place.dir_fd = -1;
    int rc = bbi_place_open(&at->place, dir, bus, NULL, false, f);
    if (rc == 0) {
        at->probe_fd =
            bbi_os_keep_fd(openat(at->place.dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        rc = open_control(at, false, f);
    }
    if (rc < 0) {
        bbi_attach_close(at);
    }
    return rc;
}

static int64_t
name_byte(const char *name)
{
    uint64_t hash = bbi_hash64(name, strlen(name)) & ((UINT64_C(1) << NAME_HASH_BITS) - 1);
    return BBI_LOCK_NAME + (int64_t)(hash == (UINT64_C(1) << NAME_HASH_BITS) - 1 ? 0 : hash);
}

static int
say_name_taken(const struct bbi_attach *at, const char *name, struct bbi_fault *f)
{
    for (uint32_t i = 0; i < BBI_MEMBERS; i++) {
        struct bbi_member_view v;
        if (bbi_member_read(&at->bus->members[i], &v) && v.state == BBI_MEMBER_ACTIVE
            && strcmp(v.name, name) == 0) {
            int rc = bbi_fault_set(
                f, BB_EEXIST, name,
                "the name '%s' on bus '%s' belongs to process %d of user %u: end it or "
                "choose another name",
                name, at->place.path, (int)v.pid, (unsigned)v.uid);
            bbi_fault_owner(f, v.pid, v.uid);
            return rc;
        }
    }
    return bbi_fault_set(f, BB_EEXIST, name,
                         "the name '%s' on bus '%s' is taken: choose another name", name,
                         at->place.path);
}

/*
 * A slot whose byte nobody holds is free, whatever its row says.  Where the search begins moves on: a slot
 * that was just freed would most often be the next, and who had not looked by then never hears how it ended.
 */
static int
take_slot(struct bbi_attach *at)
{
    uint32_t first = (uint32_t)(bbi_load_relaxed(&at->bus->member_epoch.v) % SLOTS_IN_TURN);
    for (uint32_t n = 0; n < BBI_MEMBERS; n++) {
        uint32_t i = (first + n) % BBI_MEMBERS;
        int rc = bbi_os_lock_try(at->lock_fd, BBI_LOCK_MEMBER + i, true);
        if (rc == 0) {
            at->member = i;
            return 0;
        }
        if (rc != BB_EAGAIN) {
            return rc;
        }
    }
    return BB_EFULL;
}

static void
fill_slot(struct bbi_attach *at, uint32_t role)
{
    struct bbi_member *m = &at->bus->members[at->member];
    uint32_t old = bbi_load_relaxed(&m->state); /* ours since we hold its byte */
    bbi_store_relaxed(&m->prev_end, old == BBI_MEMBER_LEFT ? BBI_MEMBER_LEFT : BBI_MEMBER_DIED);
    bbi_store_release(&m->state, BBI_MEMBER_FREE); /* R8: who reads the old one sees it go */
    at->member_gen = bbi_load_relaxed(&m->gen) + 1;
    bbi_store_release(&m->gen, at->member_gen);
    bbi_fence_release(); /* R8: who reads a word of ours as one of the old member's sees gen moved */
    bbi_store_release(&m->role, role);
    BBI_HOOK("member:filling");
    struct bbi_member ours = {
        .pid = (int32_t)getpid(),
        .uid = (uint32_t)geteuid(),
        .pidns = bbi_os_pidns(),
        .start_ticks = bbi_os_start_ticks(getpid()),
        .joined_wall_ns = bbi_os_wall_ns(),
    };
    memcpy(ours.name, at->name, strlen(at->name));
    bbi_fill_racy((unsigned char *)m + BBI_MEMBER_FIXED_OFF,
                  (unsigned char *)&ours + BBI_MEMBER_FIXED_OFF, BBI_MEMBER_FIXED_BYTES); /* R8 */
    bbi_store_release(&m->state, BBI_MEMBER_ACTIVE); /* R8: pairs with every look at a member */
    BBI_HOOK("member:active");
    (void)bbi_announce(at);
    BBI_HOOK("member:announced");
}

int
bbi_attach_join(struct bbi_attach *at, const char *name, uint32_t role, struct bbi_fault *f)
{
    size_t n = strlen(name);
    if (n == 0 || n >= BBI_NAME_BYTES) {
        return bbi_fault_set(f, BB_EINVAL, name, "'%s' cannot be a name: 1 to %d bytes", name,
                             BBI_NAME_BYTES - 1);
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)name[i] < 0x21 || (unsigned char)name[i] == 0x7f || name[i] == '/') {
            return bbi_fault_set(f, BB_EINVAL, name,
                                 "a name has no blanks, control bytes or '/': choose another one");
        }
    }
    memcpy(at->name, name, n + 1);
    int rc = bbi_os_lock_try(at->lock_fd, name_byte(name), true);
    if (rc == BB_EAGAIN) {
        return say_name_taken(at, name, f);
    }
    BBI_HOOK("member:named");
    if (rc == 0) {
        rc = take_slot(at);
    }
    if (rc < 0) {
        return bbi_fault_set(f, rc, at->place.path,
                             rc == BB_EFULL ? "bus '%s' has 512 members already: %s"
                                            : "cannot take a slot of bus '%s': %s",
                             at->place.path,
                             rc == BB_EFULL ? "end one, or use a second bus" : bb_strerror(rc));
    }
    BBI_HOOK("member:slot");
    fill_slot(at, role);
    return 0;
}

void
bbi_attach_leave(struct bbi_attach *at)
{
    if (at->bus != NULL && at->member < BBI_MEMBERS && at->lock_fd >= 0) {
        bbi_store_release(&at->bus->members[at->member].state, BBI_MEMBER_LEFT); /* R8 */
        BBI_HOOK("member:left");
        (void)bbi_announce(at);
        at->member = BBI_MEMBERS;
    }
}

void
bbi_attach_close(struct bbi_attach *at)
{
    bbi_attach_leave(at);
    bbi_attach_forked(at);
}

void
bbi_attach_forked(struct bbi_attach *at)
{
    if (at->lock_fd >= 0) {
        (void)close(at->lock_fd); /* the last descriptor of a description frees its locks */
    }
    if (at->probe_fd >= 0) {
        (void)close(at->probe_fd);
    }
    at->lock_fd = -1;
    at->probe_fd = -1;
    bbi_segment_close(&at->seg);
    at->bus = NULL;
    at->member = BBI_MEMBERS;
    bbi_place_close(&at->place);
}

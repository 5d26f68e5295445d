/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/registry.h"
#include "shm/hook.h"
#include "shm/os.h"
#include "shm/ring_write.h"
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

bool
bbi_row_read(const struct bbi_entry *e, struct bbi_row *out)
{
    uint32_t state = bbi_load_acquire(&e->state); /* R8 */
    if (state != BBI_ENTRY_ACTIVE && state != BBI_ENTRY_CLOSED) {
        return false;
    }
    *out = (struct bbi_row){
        .state = state,
        .gen = bbi_load_acquire(&e->gen),
        .member = bbi_load_acquire(&e->member),
        .member_gen = bbi_load_acquire(&e->member_gen),
        .lane = bbi_load_acquire(&e->lane),
        .key = bbi_load_acquire(&e->key),
        .born = bbi_load_acquire(&e->born),
        .closed_ns = bbi_load_acquire(&e->closed_ns),
    };
    /* R8: the loads above are acquire, so a row that was taken anew meanwhile shows here. */
    return bbi_load_relaxed(&e->gen) == out->gen && bbi_load_relaxed(&e->key) == out->key
           && bbi_load_relaxed(&e->state) != BBI_ENTRY_FREE && out->member < BBI_MEMBERS;
}

bool
bbi_member_read(const struct bbi_member *m, struct bbi_member_view *out)
{
    uint32_t state = bbi_load_acquire(&m->state); /* R8 */
    if (state == BBI_MEMBER_FREE || state > BBI_MEMBER_DIED) {
        return false;
    }
    uint32_t gen = bbi_load_acquire(&m->gen);
    struct bbi_member copy;
    bbi_copy_racy((unsigned char *)&copy + BBI_MEMBER_FIXED_OFF,
                  (const unsigned char *)m + BBI_MEMBER_FIXED_OFF,
                  BBI_MEMBER_FIXED_BYTES); /* R8: ends with an acquire fence */
    *out = (struct bbi_member_view){
        .state = state,
        .gen = gen,
        .role = bbi_load_acquire(&m->role),
        .prev_end = bbi_load_acquire(&m->prev_end),
        .pid = copy.pid,
        .uid = copy.uid,
        .joined_wall_ns = copy.joined_wall_ns,
    };
    memcpy(out->name, copy.name, BBI_NAME_BYTES);
    out->name[BBI_NAME_BYTES - 1] = '\0';
    return bbi_load_acquire(&m->state) != BBI_MEMBER_FREE && bbi_load_relaxed(&m->gen) == out->gen;
}

/* A row that nobody holds and that nobody has to tidy up first. */
static int
take_row(
    struct bbi_attach *at, struct bbi_entry *rows, uint32_t count, int64_t lock, uint32_t *index)
{
    for (uint32_t i = 0; i < count; i++) {
        if (bbi_load_acquire(&rows[i].state) != BBI_ENTRY_FREE) { /* R8 */
            continue;
        }
        int rc = bbi_os_lock_try(at->lock_fd, lock + i, true);
        if (rc == 0 && bbi_load_acquire(&rows[i].state) == BBI_ENTRY_FREE) {
            *index = i;
            return 0;
        }
        if (rc == 0) {
            bbi_os_unlock(at->lock_fd, lock + i);
        } else if (rc != BB_EAGAIN) {
            return rc;
        }
    }
    return BB_EFULL;
}

static int
say_no_file(
    const struct bbi_attach *at, int rc, const char *what, uint64_t bytes, struct bbi_fault *f)
{
    struct statvfs vfs;
    uint64_t free_bytes =
        fstatvfs(at->place.dir_fd, &vfs) == 0 ? (uint64_t)vfs.f_bavail * vfs.f_frsize : 0;
    if (rc != BB_ENOSPC) {
        return bbi_fault_set(f, rc, at->place.path, "cannot make a %s on bus '%s': %s", what,
                             at->place.path, bbi_errno_text(-rc));
    }
    return bbi_fault_set(
        f, rc, at->place.path,
        "a %s on bus '%s' needs %llu bytes and its file system has %llu left: remove debris with "
        "'busbar gc', choose smaller rings, or enlarge the tmpfs (mount -o remount,size=...)",
        what, at->place.path, (unsigned long long)bytes, (unsigned long long)free_bytes);
}

static void
fill_ident(const struct bbi_attach *at, struct bbi_ident *ident, uint32_t index, uint32_t lane)
{
    memcpy(ident->bus_uuid, at->bus->ident.bus_uuid, sizeof(ident->bus_uuid));
    ident->generation = at->bus->ident.generation;
    ident->member = at->member;
    ident->member_gen = at->member_gen;
    ident->index = index;
    ident->lane = lane;
    memcpy(ident->name, at->name, sizeof(ident->name));
}

/* From here on others find the row. */
static void
activate(struct bbi_attach *at, struct bbi_entry *e, struct bbi_own_file *own, uint32_t lane)
{
    bbi_store_release(&e->gen, own->gen);
    bbi_fence_release(); /* R8: who reads a word of ours as one of the old owner's sees gen moved */
    bbi_store_release(&e->member, at->member);
    bbi_store_release(&e->member_gen, at->member_gen);
    bbi_store_release(&e->lane, lane);
    bbi_store_release(&e->key, own->key);
    bbi_store_release(&e->closed_ns, 0);
    bbi_store_release(&e->missed, 0);
    own->born = bbi_announce(at);
    bbi_store_release(&e->born, own->born);
    BBI_HOOK("registry:row_filled");
    bbi_store_release(&e->state, BBI_ENTRY_ACTIVE); /* R8: pairs with bbi_row_read() */
    BBI_HOOK("registry:row_active");
    (void)bbi_announce(at);
    BBI_HOOK("registry:row_announced");
}

/* Links the finished file under the name of its row. */
static int
link_own(struct bbi_attach *at, struct bbi_own_file *own, int fd, const char *name)
{
    struct bbi_ident *ident = own->seg.base;
    own->key = ident->key;
    bbi_segment_seal(ident);
    int rc = bbi_os_link_file(fd, at->place.dir_fd, name);
    (void)close(fd);
    BBI_HOOK("registry:linked");
    if (rc < 0) {
        bbi_segment_close(&own->seg);
    }
    return rc;
}

static int
make_ring_file(struct bbi_attach *at,
               const struct bbi_ring_shape *shape,
               uint32_t lane,
               struct bbi_own_file *own,
               struct bbi_fault *f)
{
    struct bbi_ring_geom geom;
    int fd;
    uint64_t bytes = bbi_ring_footprint(shape, &geom);
    if (bytes == 0) {
        return bbi_fault_set(f, BB_EINVAL, at->place.path,
                             "a ring of %u messages and %llu bytes is not possible: both are "
                             "powers of two, at least "
                             "64 messages and 4096 bytes",
                             shape->depth, (unsigned long long)shape->pay_bytes);
    }
    int rc = bbi_segment_new(at->place.dir_fd, bytes, 0640, &own->seg, &fd);
    if (rc < 0) {
        return say_no_file(at, rc, "ring", bytes, f);
    }
    struct bbi_ring *ring = own->seg.base;
    bbi_segment_ident(&ring->ident, BBI_FILE_RING, bytes);
    fill_ident(at, &ring->ident, own->index, lane);
    ring->ident.ring = geom;
    bbi_store_relaxed(&ring->state, BBI_ENTRY_ACTIVE);
    bbi_store_relaxed(&ring->tail_seq, geom.depth);
    char name[BBI_FILE_NAME_BYTES];
    bbi_place_ring_name(name, own->index, own->gen, ring->ident.key);
    rc = link_own(at, own, fd, name);
    return rc < 0 ? say_no_file(at, rc, "ring", bytes, f) : 0;
}

int
bbi_ring_register(struct bbi_attach *at,
                  const struct bbi_ring_shape *shape,
                  uint32_t lane,
                  struct bbi_own_file *out,
                  struct bbi_fault *f)
{
    int rc = take_row(at, at->bus->rings, BBI_RINGS, BBI_LOCK_RING, &out->index);
    if (rc < 0) {
        return bbi_fault_set(f, rc, at->place.path,
                             rc == BB_EFULL ? "bus '%s' has 1024 rings already: %s"
                                            : "cannot take a ring of bus '%s': %s",
                             at->place.path,
                             rc == BB_EFULL ? "close some, or use a second bus" : bb_strerror(rc));
    }
    BBI_HOOK("registry:ring_row");
    struct bbi_entry *e = &at->bus->rings[out->index];
    out->gen = bbi_load_relaxed(&e->gen) + 1;
    rc = make_ring_file(at, shape, lane, out, f);
    if (rc < 0) {
        bbi_os_unlock(at->lock_fd, BBI_LOCK_RING + out->index);
        return rc;
    }
    activate(at, e, out, lane);
    return 0;
}

void
bbi_ring_close(struct bbi_attach *at, struct bbi_own_file *own)
{
    struct bbi_ring *ring = own->seg.base;
    struct bbi_entry *e = &at->bus->rings[own->index];
    bbi_store_release(&ring->state, BBI_ENTRY_CLOSED); /* R8: after its last commit */
    bbi_store_relaxed(&e->closed_ns, (uint64_t)bbi_os_mono_ns());
    bbi_store_release(&e->state, BBI_ENTRY_CLOSED); /* R8 */
    BBI_HOOK("registry:ring_closed");
    bbi_os_unlock(at->lock_fd, BBI_LOCK_RING + own->index);
    (void)bbi_announce(at);
    BBI_HOOK("registry:ring_unlocked");
    bbi_segment_close(&own->seg);
}

int
bbi_sub_register(struct bbi_attach *at,
                 uint32_t flags,
                 struct bbi_own_file *out,
                 struct bbi_fault *f)
{
    int fd;
    int rc = take_row(at, at->bus->subs, BBI_SUBS, BBI_LOCK_SUB, &out->index);
    if (rc < 0) {
        return bbi_fault_set(f, rc, at->place.path,
                             rc == BB_EFULL ? "bus '%s' has 256 subscribers already: %s"
                                            : "cannot subscribe on bus '%s': %s",
                             at->place.path,
                             rc == BB_EFULL ? "end one, or use a second bus" : bb_strerror(rc));
    }
    BBI_HOOK("registry:sub_row");
    struct bbi_entry *e = &at->bus->subs[out->index];
    out->gen = bbi_load_relaxed(&e->gen) + 1;
    rc = bbi_segment_new(at->place.dir_fd, sizeof(struct bbi_sub), 0640, &out->seg, &fd);
    if (rc == 0) {
        struct bbi_sub *sub = out->seg.base;
        char name[BBI_FILE_NAME_BYTES];
        bbi_segment_ident(&sub->ident, BBI_FILE_SUB, sizeof(struct bbi_sub));
        fill_ident(at, &sub->ident, out->index, 0);
        bbi_store_relaxed(&sub->flags, flags);
        bbi_place_sub_name(name, out->index, out->gen, sub->ident.key);
        rc = link_own(at, out, fd, name);
    }
    if (rc < 0) {
        bbi_os_unlock(at->lock_fd, BBI_LOCK_SUB + out->index);
        return say_no_file(at, rc, "subscriber", sizeof(struct bbi_sub), f);
    }
    /* What the one before left of its sleep. */
    bbi_store_relaxed(&at->bus->bells[out->index].bell, BBI_BELL_AWAKE);
    (void)bbi_fetch_and_seq_cst(&at->bus->sleepers[out->index / 64].v,
                                ~(UINT64_C(1) << out->index % 64));
    activate(at, e, out, flags);
    return 0;
}

void
bbi_sub_close(struct bbi_attach *at, struct bbi_own_file *own)
{
    struct bbi_entry *e = &at->bus->subs[own->index];
    char name[BBI_FILE_NAME_BYTES];
    bbi_place_sub_name(name, own->index, own->gen, own->key);
    bbi_store_release(&e->state, BBI_ENTRY_FREE); /* R8 */
    BBI_HOOK("registry:sub_closed");
    (void)bbi_fetch_add_seq_cst(&at->bus->sub_epoch.v, 1); /* R5: publishers forget us */
    (void)unlinkat(at->place.dir_fd, name, 0);
    BBI_HOOK("registry:sub_unlinked");
    bbi_os_unlock(at->lock_fd, BBI_LOCK_SUB + own->index);
    (void)bbi_announce(at);
    bbi_segment_close(&own->seg);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/attach.h - be present on a bus: locks, bus.ctl, generations, one member slot.
 *
 * Alive      = some process holds the OFD write lock on that byte of `lock`.  Nothing else decides: not a
 *            pid, not a heartbeat, not a clock.  Who tidies a row up holds a read lock on its byte, so a
 *            steward that is stopped there does not make the dead look alive.
 * Presence   every member holds byte 0 shared.  Who gets it exclusively is alone: it begins a new
 *            generation, removes what older ones left, and then shares the lock.
 * Death      at any point the kernel frees the locks; the next one finds free bytes and old rows.
 * Threads    any, except open and close.
 */
#ifndef BUSBAR_SHM_ATTACH_H
#define BUSBAR_SHM_ATTACH_H

#include "shm/place.h"
#include "shm/segment.h"

struct bbi_attach {
    struct bbi_place place;
    int lock_fd;  /* holds this member's locks; -1 when only looking */
    int probe_fd; /* another description of the same file: sees our own locks too */
    struct bbi_segment seg;
    struct bbi_bus *bus;
    uint32_t member, member_gen; /* our slot; BBI_MEMBERS before bbi_attach_join() */
    char name[BBI_NAME_BYTES];
};

struct bbi_attach_opts {
    const char *dir, *bus, *group;
    bool may_make;
    int64_t wait_ns; /* for a bus that somebody is just making */
};

/* bbi_attach_open - be present, making the bus when it is not there (may_make). */
BB_MUST_USE int
bbi_attach_open(struct bbi_attach *at, const struct bbi_attach_opts *o, struct bbi_fault *f);

/* bbi_attach_look - map the bus read-only: no lock, no slot. */
BB_MUST_USE int
bbi_attach_look(struct bbi_attach *at, const char *dir, const char *bus, struct bbi_fault *f);

/* bbi_attach_join - take a member slot and a name.  BB_EEXIST: a living member has it; BB_EFULL. */
BB_MUST_USE int
bbi_attach_join(struct bbi_attach *at, const char *name, uint32_t role, struct bbi_fault *f);

/* bbi_attach_leave - the slot says LEFT from now on; locks are still held.  A second one does nothing. */
void bbi_attach_leave(struct bbi_attach *at);

/* bbi_attach_close - leaves the slot (LEFT), lets go of every lock. */
void bbi_attach_close(struct bbi_attach *at);

/* bbi_attach_forked - in a forked child: lets go of the descriptors, not of the parent's locks. */
void bbi_attach_forked(struct bbi_attach *at);

/* bbi_is_alive - 1 if somebody holds this byte, also when it is us, or if it cannot be known. */
int bbi_is_alive(const struct bbi_attach *at, int64_t lock_off);

/* bbi_announce - members or rings changed: raise member_epoch.  Returns the new one. */
uint64_t bbi_announce(struct bbi_attach *at);

#endif

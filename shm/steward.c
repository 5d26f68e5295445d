/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/steward.c - one bounded scan.
 *
 * Whoever holds the lock on a row's byte owns the row.  So the steward takes the byte of a row whose owner
 * is gone, looks at the row again, and only then writes it.  It takes it shared: that keeps a new owner off
 * and does not look like one that is alive.  Two stewards cannot meet there: they hold the STEWARD byte.
 */
#include "shm/steward.h"
#include "shm/debris.h"
#include "shm/hook.h"
#include "shm/os.h"
#include "shm/registry.h"
#include "shm/ring_read.h"
#include <unistd.h>

enum { BURIED_PER_SCAN = 64 };

struct scan {
    struct bbi_attach *at;
    struct bbi_segment subs[BBI_SUBS]; /* mapped when first needed */
    int64_t now_ns;
    uint32_t buried;
    bool someone_died;
};

/*
 * The row of that byte, if its owner is gone.  Shared, so that it does not look alive because of us; the
 * TIDY byte keeps a second steward off, who may be here when the first one was stopped.
 */
static bool
take_over(struct bbi_attach *at, int64_t off)
{
    if (bbi_is_alive(at, off) || bbi_os_lock_try(at->lock_fd, BBI_LOCK_TIDY + off, true) < 0) {
        return false;
    }
    if (bbi_os_lock_try(at->lock_fd, off, false) < 0) {
        bbi_os_unlock(at->lock_fd, BBI_LOCK_TIDY + off);
        return false;
    }
    return true;
}

static void
give_back(struct bbi_attach *at, int64_t off)
{
    bbi_os_unlock(at->lock_fd, off);
    bbi_os_unlock(at->lock_fd, BBI_LOCK_TIDY + off);
}

static void
scan_members(struct scan *s)
{
    struct bbi_attach *at = s->at;
    for (uint32_t i = 0; i < BBI_MEMBERS; i++) {
        struct bbi_member *m = &at->bus->members[i];
        if (bbi_load_acquire(&m->state) != BBI_MEMBER_ACTIVE
            || !take_over(at, BBI_LOCK_MEMBER + i)) {
            continue;
        }
        if (bbi_load_acquire(&m->state) == BBI_MEMBER_ACTIVE) { /* R8: we hold its byte now */
            bbi_store_release(&m->state, BBI_MEMBER_DIED);      /* R8 */
            BBI_HOOK("steward:member_died");
            (void)bbi_announce(at);
            s->someone_died = true;
        }
        give_back(at, BBI_LOCK_MEMBER + i);
    }
}

static void
tidy_sub(struct scan *s, uint32_t i)
{
    struct bbi_attach *at = s->at;
    struct bbi_entry *e = &at->bus->subs[i];
    struct bbi_row row;
    if (!bbi_row_read(e, &row)) {
        return;
    }
    char name[BBI_FILE_NAME_BYTES];
    bbi_place_sub_name(name, i, row.gen, row.key);
    (void)unlinkat(at->place.dir_fd, name, 0);
    bbi_wake_socket_remove(at, i);
    BBI_HOOK("steward:sub_unlinked");
    (void)bbi_exchange_seq_cst(&at->bus->bells[i].bell, BBI_BELL_AWAKE); /* R6 */
    (void)bbi_fetch_and_seq_cst(&at->bus->sleepers[i / 64].v, ~(UINT64_C(1) << i % 64));
    bbi_store_release(&e->state, BBI_ENTRY_FREE); /* R8 */
    BBI_HOOK("steward:sub_freed");
    (void)bbi_fetch_add_seq_cst(&at->bus->sub_epoch.v, 1); /* R5: publishers forget it */
    (void)bbi_announce(at);
}

static void
scan_subs(struct scan *s)
{
    struct bbi_attach *at = s->at;
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        if (bbi_load_acquire(&at->bus->subs[i].state) == BBI_ENTRY_FREE
            || !take_over(at, BBI_LOCK_SUB + i)) {
            continue;
        }
        tidy_sub(s, i);
        give_back(at, BBI_LOCK_SUB + i);
    }
}

/* The cursors of subscriber i; NULL when it is not there. */
static const struct bbi_sub *
sub_file(struct scan *s, uint32_t i, const struct bbi_row *row)
{
    char name[BBI_FILE_NAME_BYTES];
    if (s->subs[i].base == NULL) {
        bbi_place_sub_name(name, i, row->gen, row->key);
        if (bbi_segment_open(s->at->place.dir_fd, name, BBI_FILE_SUB, false, &s->subs[i]) < 0) {
            return NULL;
        }
    }
    return s->subs[i].base;
}

enum drain { DRAINED, READING, OWED };

/* Has subscriber i read the ring to its end, is it at it, or has it a right to it and not begun? */
static enum drain
look_at_reader(
    struct scan *s, uint32_t i, uint32_t ring_index, const struct bbi_row *ring, uint64_t tail)
{
    struct bbi_row row;
    if (!bbi_row_read(&s->at->bus->subs[i], &row) || !bbi_is_alive(s->at, BBI_LOCK_SUB + i)) {
        return DRAINED;
    }
    const struct bbi_sub *sub = sub_file(s, i, &row);
    if (sub == NULL) {
        return DRAINED;
    }
    const struct bbi_cursor *line = &sub->cursors[ring_index];
    if (bbi_load_acquire(&line->ring_key) == ring->key) { /* R4 */
        return bbi_is_before(bbi_load_acquire(&line->cursor), tail) ? READING : DRAINED;
    }
    /* A ring that is younger than the subscriber is owed to it from the first message on. */
    bool hears_it = row.member != ring->member || (row.lane & BBI_SUB_LOOPBACK) != 0;
    return bbi_is_before(row.born, ring->born) && hears_it ? OWED : DRAINED;
}

static bool
all_drained(struct scan *s, uint32_t ring_index, const struct bbi_row *ring, uint64_t tail)
{
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        if (look_at_reader(s, i, ring_index, ring, tail) != DRAINED) {
            return false;
        }
    }
    return true;
}

/* Those that had a right to a ring that is now out of reach are told how many messages it had. */
static void
tell_owed(
    struct scan *s, uint32_t ring_index, const struct bbi_row *ring, uint64_t first, uint64_t tail)
{
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        if (look_at_reader(s, i, ring_index, ring, tail) == OWED) {
            (void)bbi_fetch_add_relaxed(&s->at->bus->subs[i].missed, tail - first);
        }
    }
}

/* We hold the ring's byte. */
static void
tidy_ring(struct scan *s, uint32_t i)
{
    struct bbi_attach *at = s->at;
    struct bbi_entry *e = &at->bus->rings[i];
    struct bbi_row row;
    struct bbi_segment seg = {0};
    struct bbi_ring_map map;
    struct bbi_reader r;
    char name[BBI_FILE_NAME_BYTES];
    if (!bbi_row_read(e, &row)) {
        return;
    }
    if (row.state == BBI_ENTRY_ACTIVE) { /* it did not close it: it died */
        bbi_store_relaxed(&e->closed_ns, (uint64_t)s->now_ns);
        bbi_store_release(&e->state, BBI_ENTRY_CLOSED); /* R8 */
        BBI_HOOK("steward:ring_closed");
        (void)bbi_announce(at);
        s->someone_died = true;
        row.closed_ns = (uint64_t)s->now_ns;
    }
    bbi_place_ring_name(name, i, row.gen, row.key);
    int rc = bbi_segment_open(at->place.dir_fd, name, BBI_FILE_RING, false, &seg);
    bool is_over = s->now_ns - (int64_t)row.closed_ns > BBI_LINGER_NS;
    bool bury = true;
    uint64_t first = 0, tail = 0;
    if (rc == 0 && bbi_ring_join(seg.base, seg.bytes, &map) == 0) {
        bbi_reader_init(&r, &map);
        first = map.depth;
        tail = bbi_reader_tail(&r);
        bury = is_over || all_drained(s, i, &row, tail);
    }
    bbi_segment_close(&seg);
    if (bury) {
        bbi_debris_bury(at, name);
        if (is_over) {
            tell_owed(s, i, &row, first,
                      tail); /* after it is out of reach: nobody counts it twice */
        }
        bbi_store_release(&e->state, BBI_ENTRY_FREE); /* R8 */
        BBI_HOOK("steward:ring_freed");
        (void)bbi_announce(at);
        s->buried++;
    }
}

static void
scan_rings(struct scan *s)
{
    struct bbi_attach *at = s->at;
    for (uint32_t i = 0; i < BBI_RINGS && s->buried < BURIED_PER_SCAN; i++) {
        if (bbi_load_acquire(&at->bus->rings[i].state) == BBI_ENTRY_FREE
            || !take_over(at, BBI_LOCK_RING + i)) {
            continue;
        }
        tidy_ring(s, i);
        give_back(at, BBI_LOCK_RING + i);
    }
}

int
bbi_steward_scan(struct bbi_attach *at, struct bbi_waker *waker, int64_t every_ns)
{
    int64_t now = bbi_os_mono_ns();
    int64_t since = now - (int64_t)bbi_load_relaxed(&at->bus->steward_ns.v);
    if (since < every_ns
        || (bbi_os_lock_try(at->lock_fd, BBI_LOCK_STEWARD, true) < 0
            && since < BBI_STEWARD_STALE_NS)) {
        return 0; /* somebody just did it, or is at it; one that is at it for long may be stopped */
    }
    BBI_HOOK("steward:scan");
    bbi_store_relaxed(&at->bus->steward_ns.v, (uint64_t)now);
    struct scan s = {.at = at, .now_ns = now};
    scan_members(&s);
    scan_subs(&s);
    scan_rings(&s);
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        bbi_segment_close(&s.subs[i]);
    }
    if (s.someone_died) {
        (void)bbi_debris_orphans(at, BBI_DEBRIS_KEEP_DEAD, NULL,
                                 NULL); /* killed before its row named its file */
        bbi_wake_all(at->bus, waker);
    }
    BBI_HOOK("steward:done");
    bbi_os_unlock(at->lock_fd, BBI_LOCK_STEWARD);
    return 1;
}

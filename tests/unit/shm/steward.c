/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: one scan finds who died, buries rings that were read or that lingered, frees rows of subscribers
 * that are gone, and touches nobody who lives.
 * Method: members of one bus in one process; death is their descriptors closing without a word.
 */
#include "shm/steward.h"
#include "shm/debris.h"
#include "shm/join.h"
#include "shm/os.h"
#include "shm/ring_write.h"
#include "tests/unit/shm/bus_dir.h"

static struct bbi_attach us;
static struct bbi_waker waker;

static void
set_up(void)
{
    bus_dir_make();
    attach_named(&us, "steward");
    waker = (struct bbi_waker){.sock_fd = -1, .dir_fd = us.place.dir_fd};
}

static void
tear_down(void)
{
    bbi_attach_close(&us);
    bus_dir_remove();
}

TestSuite(steward, .init = set_up, .fini = tear_down, .timeout = 60);

static uint32_t
member_state(uint32_t slot)
{
    return bbi_load_relaxed(&us.bus->members[slot].state);
}

static uint32_t
ring_state(const struct bbi_own_file *own)
{
    return bbi_load_relaxed(&us.bus->rings[own->index].state);
}

/* A ring with count messages, flushed. */
static void
ring_with(struct bbi_attach *at, struct bbi_own_file *own, int count)
{
    struct bbi_ring_map map;
    struct bbi_writer w;
    cr_assert_eq(bbi_ring_register(at, small_shape(), 0, own, NULL), 0);
    cr_assert_eq(bbi_ring_join(own->seg.base, own->seg.bytes, &map), 0);
    bbi_writer_init(&w, &map);
    for (int i = 0; i < count; i++) {
        void *p;
        cr_assert_eq(bbi_writer_claim(&w, 8, &p), 0);
        bbi_writer_commit(&w, 8, BBI_TAG_SPILL, 0, 0);
        bbi_writer_flush(&w);
    }
}

/* What a subscriber writes into its line of the ring. */
static void
claim_to_read(struct bbi_own_file *sub, const struct bbi_own_file *ring, uint64_t cursor)
{
    struct bbi_sub *file = sub->seg.base;
    struct bbi_cursor *line = &file->cursors[ring->index];
    bbi_store_relaxed(&line->cursor, cursor);
    bbi_store_relaxed(&line->mode, BBI_JOIN_LOSSY);
    bbi_store_release(&line->ring_key, ring->key);
}

Test(steward, nobody_died_nothing_changes)
{
    struct bbi_attach a;
    struct bbi_own_file ring, sub;
    attach_named(&a, "a");
    ring_with(&a, &ring, 3);
    cr_assert_eq(bbi_sub_register(&a, 0, &sub, NULL), 0);
    uint64_t epoch = bbi_load_relaxed(&us.bus->member_epoch.v);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(bbi_load_relaxed(&us.bus->member_epoch.v), epoch);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_ACTIVE);
    cr_assert_eq(member_state(a.member), (uint32_t)BBI_MEMBER_ACTIVE);
    bbi_attach_close(&a);
}

Test(steward, a_scan_is_made_once_in_a_while_and_by_one)
{
    struct bbi_attach a;
    struct bbi_waker other;
    attach_named(&a, "a");
    other = (struct bbi_waker){.sock_fd = -1, .dir_fd = a.place.dir_fd};
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(bbi_steward_scan(&a, &other, INT64_C(60000000000)), 0, "somebody just did");
    cr_assert_eq(bbi_os_lock_try(us.lock_fd, BBI_LOCK_STEWARD, true), 0);
    cr_assert_eq(bbi_steward_scan(&a, &other, 0), 0, "somebody is at it");
    bbi_os_unlock(us.lock_fd, BBI_LOCK_STEWARD);
    cr_assert_eq(bbi_steward_scan(&a, &other, 0), 1);
    cr_assert(!bbi_is_alive(&us, BBI_LOCK_STEWARD), "let go");
    bbi_attach_close(&a);
}

Test(steward, a_dead_member_is_died_and_its_slot_is_free)
{
    struct bbi_attach a;
    attach_named(&a, "victim");
    uint32_t slot = a.member, gen = a.member_gen;
    die(&a);
    cr_assert_eq(member_state(slot), (uint32_t)BBI_MEMBER_ACTIVE, "nobody looked yet");
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(member_state(slot), (uint32_t)BBI_MEMBER_DIED);
    cr_assert(!bbi_is_alive(&us, BBI_LOCK_MEMBER + slot));
    attach_named(&a, "victim"); /* the name can be taken at once */
    bbi_attach_close(&a);
    do { /* and the slot, when the search comes round to it */
        attach_named(&a, "next");
        bool is_it = a.member == slot;
        cr_assert(!is_it || a.member_gen == gen + 1);
        bbi_attach_close(&a);
        if (is_it) {
            break;
        }
    } while (bbi_load_relaxed(&us.bus->member_epoch.v) < 2000);
    cr_assert_eq(bbi_load_relaxed(&us.bus->members[slot].gen), gen + 1);
    cr_assert_eq(bbi_load_relaxed(&us.bus->members[slot].prev_end), (uint32_t)BBI_MEMBER_DIED);
}

Test(steward, a_member_that_left_is_not_died)
{
    struct bbi_attach a;
    attach_named(&a, "a");
    uint32_t slot = a.member;
    bbi_attach_close(&a);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(member_state(slot), (uint32_t)BBI_MEMBER_LEFT);
}

Test(steward, a_dead_ring_without_readers_is_buried)
{
    struct bbi_attach a;
    struct bbi_own_file ring;
    attach_named(&a, "a");
    ring_with(&a, &ring, 3);
    die(&a);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_FREE);
    cr_assert_eq(count_files(".", "pub-"), 0);
    cr_assert_eq(count_files("dead", "pub-"), 1);
}

Test(steward, a_dead_ring_waits_for_a_reader_that_is_behind)
{
    struct bbi_attach a;
    struct bbi_own_file ring, sub;
    attach_named(&a, "a");
    cr_assert_eq(bbi_sub_register(&us, 0, &sub, NULL), 0);
    ring_with(&a, &ring, 3);
    claim_to_read(&sub, &ring, 65);
    die(&a);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_CLOSED);
    cr_assert_eq(count_files(".", "pub-"), 1);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_CLOSED, "as long as it takes");
    claim_to_read(&sub, &ring, 67);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_FREE);
}

Test(steward, a_dead_ring_waits_for_a_message_that_was_committed_and_not_flushed)
{
    struct bbi_attach a;
    struct bbi_own_file ring, sub;
    attach_named(&a, "a");
    cr_assert_eq(bbi_sub_register(&us, 0, &sub, NULL), 0);
    ring_with(&a, &ring, 3);
    /* Message 67 is committed; its publisher is killed before the flush. */
    struct bbi_ring_map map;
    cr_assert_eq(bbi_ring_join(ring.seg.base, ring.seg.bytes, &map), 0);
    bbi_store_release(&map.desc[67 & map.desc_mask].seq, 67);
    claim_to_read(&sub, &ring, 67);
    die(&a);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_CLOSED);
    claim_to_read(&sub, &ring, 68);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_FREE);
}

Test(steward, a_ring_younger_than_a_subscriber_is_owed_to_it)
{
    struct bbi_attach a, b;
    struct bbi_own_file ring, sub;
    attach_named(&a, "a");
    attach_named(&b, "b");
    cr_assert_eq(bbi_sub_register(&b, 0, &sub, NULL), 0);
    ring_with(&a, &ring, 3);
    bbi_ring_close(&a, &ring);
    bbi_attach_close(&a);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_CLOSED, "it did not look yet");
    die(&b);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_FREE, "the dead are owed nothing");
}

Test(steward, a_ring_older_than_a_subscriber_is_not_owed_to_it)
{
    struct bbi_attach a;
    struct bbi_own_file ring, sub;
    attach_named(&a, "a");
    ring_with(&a, &ring, 3);
    cr_assert_eq(bbi_sub_register(&us, 0, &sub, NULL), 0);
    bbi_ring_close(&a, &ring);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_FREE);
    bbi_attach_close(&a);
}

/* A subscriber that hears its own endpoint is owed that endpoint's rings like any other. */
Test(steward, a_ring_is_owed_to_a_loopback_subscriber_of_the_same_member)
{
    struct bbi_attach a;
    struct bbi_own_file ring, sub;
    attach_named(&a, "a");
    cr_assert_eq(bbi_sub_register(&a, BBI_SUB_LOOPBACK, &sub, NULL), 0);
    ring_with(&a, &ring, 3);
    bbi_ring_close(&a, &ring);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_CLOSED);
    bbi_attach_close(&a);
}

Test(steward, a_ring_is_not_owed_to_a_deaf_subscriber_of_the_same_member)
{
    struct bbi_attach a;
    struct bbi_own_file ring, sub;
    attach_named(&a, "a");
    cr_assert_eq(bbi_sub_register(&a, 0, &sub, NULL), 0);
    ring_with(&a, &ring, 3);
    bbi_ring_close(&a, &ring);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_FREE);
    bbi_attach_close(&a);
}

Test(steward, nobody_is_waited_for_longer_than_the_linger_and_is_told_by_number)
{
    struct bbi_attach a;
    struct bbi_own_file ring, sub;
    attach_named(&a, "a");
    cr_assert_eq(bbi_sub_register(&us, 0, &sub, NULL), 0);
    ring_with(&a, &ring, 3);
    bbi_ring_close(&a, &ring);
    struct bbi_entry *e = &us.bus->rings[ring.index];
    bbi_store_relaxed(&e->closed_ns, (uint64_t)(bbi_os_mono_ns() - BBI_LINGER_NS - 1000000));
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_FREE);
    cr_assert_eq(bbi_load_relaxed(&us.bus->subs[sub.index].missed), 3U);
    bbi_attach_close(&a);
}

Test(steward, a_dead_subscriber_leaves_no_file_bit_bell_or_row)
{
    struct bbi_attach a;
    struct bbi_own_file sub;
    attach_named(&a, "a");
    cr_assert_eq(bbi_sub_register(&a, 0, &sub, NULL), 0);
    (void)close(bbi_wake_socket(&a, sub.index));
    (void)bbi_wake_arm(us.bus, sub.index, BBI_BELL_SOCKET);
    uint64_t epoch = bbi_load_relaxed(&us.bus->sub_epoch.v);
    die(&a);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(bbi_load_relaxed(&us.bus->subs[sub.index].state), (uint32_t)BBI_ENTRY_FREE);
    cr_assert_eq(bbi_load_relaxed(&us.bus->bells[sub.index].bell), (uint32_t)BBI_BELL_AWAKE);
    cr_assert_eq(bbi_load_relaxed(&us.bus->sleepers[0].v), 0U);
    cr_assert_gt(bbi_load_relaxed(&us.bus->sub_epoch.v), epoch, "publishers forget it");
    cr_assert_eq(count_files(".", "sub-"), 0);
    cr_assert(!file_exists("sock/0"));
}

Test(steward, after_a_death_every_bell_is_rung_whatever_it_says)
{
    struct bbi_attach a;
    struct bbi_own_file sub;
    cr_assert_eq(bbi_sub_register(&us, 0, &sub, NULL), 0);
    attach_named(&a, "a");
    (void)bbi_wake_arm(us.bus, sub.index, BBI_BELL_FUTEX);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(bbi_load_relaxed(&us.bus->bells[sub.index].bell), (uint32_t)BBI_BELL_SLEEPING,
                 "no death, no bell");
    die(&a);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(bbi_load_relaxed(&us.bus->bells[sub.index].bell), (uint32_t)BBI_BELL_NOTIFIED);
}

Test(steward, a_corrupt_or_missing_ring_file_is_buried_too)
{
    struct bbi_attach a;
    struct bbi_own_file bad, gone;
    char name[BBI_FILE_NAME_BYTES];
    attach_named(&a, "a");
    ring_with(&a, &bad, 1);
    ring_with(&a, &gone, 1);
    ((struct bbi_ring *)bad.seg.base)->ident.ring.depth = 3;
    bbi_place_ring_name(name, gone.index, gone.gen, gone.key);
    cr_assert_eq(unlinkat(us.place.dir_fd, name, 0), 0);
    die(&a);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&bad), (uint32_t)BBI_ENTRY_FREE);
    cr_assert_eq(ring_state(&gone), (uint32_t)BBI_ENTRY_FREE);
    cr_assert_eq(count_files(".", "pub-"), 0);
}

Test(steward, a_row_that_another_tidies_right_now_is_left_to_it)
{
    struct bbi_attach a, b;
    struct bbi_own_file ring;
    attach_named(&a, "a");
    attach_named(&b, "b");
    ring_with(&a, &ring, 1);
    die(&a);
    cr_assert_eq(bbi_os_lock_try(b.lock_fd, BBI_LOCK_RING + ring.index, true), 0);
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_ACTIVE);
    die(&b); /* a steward killed in the middle: the next one goes on */
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(ring_state(&ring), (uint32_t)BBI_ENTRY_FREE);
}

Test(steward, many_dead_rings_are_buried_over_several_scans)
{
    struct bbi_attach a;
    struct bbi_own_file ring;
    attach_named(&a, "a");
    for (int i = 0; i < 100; i++) {
        ring_with(&a, &ring, 0);
        bbi_segment_close(&ring.seg);
    }
    die(&a);
    int before = count_fds();
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_gt(count_files(".", "pub-"), 0, "a scan is bounded");
    cr_assert_eq(bbi_steward_scan(&us, &waker, 0), 1);
    cr_assert_eq(count_files(".", "pub-"), 0);
    cr_assert_eq(count_files("dead", "pub-"), BBI_DEAD_KEPT);
    cr_assert_eq(count_fds(), before);
}

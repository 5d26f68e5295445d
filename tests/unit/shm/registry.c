/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: rows and files of rings and subscribers: made whole, named after their row, counted, used again,
 * never by two.
 * Method: several members of one bus in one process; rows read as others read them.
 */
#include "shm/registry.h"
#include "shm/os.h"
#include "shm/ring_read.h"
#include "tests/unit/shm/bus_dir.h"
#include <sched.h>
#include <sys/mount.h>

TestSuite(registry, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

static void
ring_new(struct bbi_attach *at, struct bbi_own_file *own)
{
    struct bbi_fault f = {0};
    int rc = bbi_ring_register(at, small_shape(), 1, own, &f);
    cr_assert_eq(rc, 0, "%s", f.sentence);
}

static void
sub_new(struct bbi_attach *at, struct bbi_own_file *own)
{
    struct bbi_fault f = {0};
    int rc = bbi_sub_register(at, BBI_SUB_RELIABLE, own, &f);
    cr_assert_eq(rc, 0, "%s", f.sentence);
}

Test(registry, a_ring_is_a_row_and_a_whole_file_of_that_name)
{
    struct bbi_attach at;
    struct bbi_own_file own;
    struct bbi_row row;
    char name[BBI_FILE_NAME_BYTES];
    attach_named(&at, "a");
    ring_new(&at, &own);
    cr_assert(bbi_row_read(&at.bus->rings[own.index], &row));
    cr_assert_eq(row.state, (uint32_t)BBI_ENTRY_ACTIVE);
    cr_assert_eq(row.key, own.key);
    cr_assert_eq(row.gen, own.gen);
    cr_assert_eq(row.member, at.member);
    cr_assert_eq(row.member_gen, at.member_gen);
    cr_assert_eq(row.lane, 1U);
    cr_assert_eq(row.closed_ns, 0U);
    bbi_place_ring_name(name, own.index, row.gen, row.key);
    cr_assert(file_exists(name));
    struct bbi_segment seg;
    struct bbi_ring_map map;
    cr_assert_eq(bbi_segment_open(at.place.dir_fd, name, BBI_FILE_RING, false, &seg), 0);
    cr_assert_eq(bbi_ring_join(seg.base, seg.bytes, &map), 0);
    const struct bbi_ident *ident = seg.base;
    cr_assert_str_eq(ident->name, "a");
    cr_assert_eq(ident->member, at.member);
    cr_assert_eq(ident->generation, at.bus->ident.generation);
    cr_assert_eq(memcmp(ident->bus_uuid, at.bus->ident.bus_uuid, 16), 0);
    cr_assert_eq(bbi_load_relaxed(&map.hdr->tail_seq), 64U);
    bbi_segment_close(&seg);
    cr_assert(bbi_is_alive(&at, BBI_LOCK_RING + own.index));
    bbi_ring_close(&at, &own);
    bbi_attach_close(&at);
}

Test(registry, closing_a_ring_leaves_its_file_and_frees_its_byte)
{
    struct bbi_attach at;
    struct bbi_own_file own;
    struct bbi_row row;
    attach_named(&at, "a");
    ring_new(&at, &own);
    uint64_t epoch = bbi_load_relaxed(&at.bus->member_epoch.v);
    bbi_ring_close(&at, &own);
    cr_assert(bbi_row_read(&at.bus->rings[own.index], &row));
    cr_assert_eq(row.state, (uint32_t)BBI_ENTRY_CLOSED);
    cr_assert_gt(row.closed_ns, 0U);
    cr_assert_gt(bbi_load_relaxed(&at.bus->member_epoch.v), epoch, "readers are told");
    cr_assert(!bbi_is_alive(&at, BBI_LOCK_RING + own.index));
    cr_assert_eq(count_files(".", "pub-"), 1);
    bbi_attach_close(&at);
}

Test(registry, a_closed_row_is_not_used_again_before_it_is_tidied)
{
    struct bbi_attach at;
    struct bbi_own_file a, b;
    attach_named(&at, "a");
    ring_new(&at, &a);
    uint32_t index = a.index;
    bbi_ring_close(&at, &a);
    ring_new(&at, &b);
    cr_assert_neq(b.index, index);
    bbi_store_release(&at.bus->rings[index].state, BBI_ENTRY_FREE); /* as the steward */
    struct bbi_own_file c;
    ring_new(&at, &c);
    cr_assert_eq(c.index, index);
    cr_assert_eq(c.gen, a.gen + 1, "another generation");
    cr_assert_neq(c.key, a.key);
    bbi_attach_close(&at);
}

Test(registry, a_subscriber_goes_without_a_trace)
{
    struct bbi_attach at;
    struct bbi_own_file own;
    struct bbi_row row;
    attach_named(&at, "a");
    sub_new(&at, &own);
    cr_assert(bbi_row_read(&at.bus->subs[own.index], &row));
    cr_assert_eq(row.lane, (uint32_t)BBI_SUB_RELIABLE);
    cr_assert_eq(count_files(".", "sub-"), 1);
    uint64_t epoch = bbi_load_relaxed(&at.bus->sub_epoch.v);
    bbi_sub_close(&at, &own);
    cr_assert(!bbi_row_read(&at.bus->subs[own.index], &row));
    cr_assert_eq(count_files(".", "sub-"), 0);
    cr_assert_gt(bbi_load_relaxed(&at.bus->sub_epoch.v), epoch, "publishers are told");
    cr_assert(!bbi_is_alive(&at, BBI_LOCK_SUB + own.index));
    sub_new(&at, &own);
    cr_assert_eq(own.gen, 2U);
    bbi_attach_close(&at);
}

Test(registry, a_new_subscriber_has_no_sleep_of_the_one_before)
{
    struct bbi_attach at;
    struct bbi_own_file own;
    attach_named(&at, "a");
    bbi_store_relaxed(&at.bus->bells[0].bell, BBI_BELL_NOTIFIED);
    bbi_store_relaxed(&at.bus->sleepers[0].v, 1);
    sub_new(&at, &own);
    cr_assert_eq(own.index, 0U);
    cr_assert_eq(bbi_load_relaxed(&at.bus->bells[0].bell), (uint32_t)BBI_BELL_AWAKE);
    cr_assert_eq(bbi_load_relaxed(&at.bus->sleepers[0].v), 0U);
    bbi_attach_close(&at);
}

Test(registry, members_never_share_a_row)
{
    struct bbi_attach at[4];
    struct bbi_own_file own[4][8];
    bool used[BBI_RINGS] = {false};
    for (int i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "m%d", i);
        attach_named(&at[i], name);
        for (int k = 0; k < 8; k++) {
            ring_new(&at[i], &own[i][k]);
            cr_assert(!used[own[i][k].index]);
            used[own[i][k].index] = true;
        }
    }
    cr_assert_eq(count_files(".", "pub-"), 32);
    for (int i = 0; i < 4; i++) {
        bbi_attach_close(&at[i]);
    }
}

Test(registry, a_row_whose_byte_is_held_is_passed_over)
{
    struct bbi_attach a, b;
    struct bbi_own_file own;
    attach_named(&a, "a");
    attach_named(&b, "b");
    cr_assert_eq(bbi_os_lock_try(a.lock_fd, BBI_LOCK_RING + 0, true), 0); /* about to fill it */
    ring_new(&b, &own);
    cr_assert_eq(own.index, 1U);
    bbi_attach_close(&a);
    bbi_attach_close(&b);
}

Test(registry, the_256th_subscriber_is_the_last)
{
    struct bbi_attach at;
    struct bbi_own_file own;
    struct bbi_fault f = {0};
    attach_named(&at, "a");
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        sub_new(&at, &own);
        bbi_segment_close(&own.seg);
    }
    int before = count_fds();
    cr_assert_eq(bbi_sub_register(&at, 0, &own, &f), BB_EFULL);
    cr_assert_neq(strstr(f.sentence, "256"), NULL);
    cr_assert_eq(count_fds(), before);
    bbi_attach_close(&at);
}

Test(registry, an_impossible_ring_takes_no_row)
{
    struct bbi_attach at;
    struct bbi_own_file own;
    struct bbi_fault f = {0};
    const struct bbi_ring_shape odd = {.depth = 100, .pay_bytes = 4096, .dict_count = 1};
    attach_named(&at, "a");
    cr_assert_eq(bbi_ring_register(&at, &odd, 0, &own, &f), BB_EINVAL);
    cr_assert_gt(strlen(f.sentence), 20U);
    cr_assert_eq(bbi_load_relaxed(&at.bus->rings[0].state), (uint32_t)BBI_ENTRY_FREE);
    cr_assert(!bbi_is_alive(&at, BBI_LOCK_RING));
    cr_assert_eq(count_files(".", "pub-"), 0);
    bbi_attach_close(&at);
}

/* A tmpfs of this size over the test's directory, seen by this process only. */
static bool
mount_small(const char *size)
{
    bool alone = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    return alone && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
           && mount("none", bus_dir, "tmpfs", 0, size) == 0;
}

Test(registry, a_ring_larger_than_the_file_system_says_how_much_it_needs)
{
    struct bbi_attach at;
    struct bbi_own_file own;
    struct bbi_fault f = {0};
    const struct bbi_ring_shape big = {
        .depth = 64, .pay_bytes = UINT64_C(1) << 24, .dict_count = 1, .text_bytes = 0};
    if (!mount_small("size=4m,mode=0700")) {
        cr_skip("needs root: no mount namespace for this user");
    }
    attach_named(&at, "a");
    int before = count_fds();
    cr_assert_eq(bbi_ring_register(&at, &big, 0, &own, &f), BB_ENOSPC);
    cr_assert_neq(strstr(f.sentence, "1679"), NULL, "%s", f.sentence);
    cr_assert_eq(count_fds(), before);
    cr_assert(!bbi_is_alive(&at, BBI_LOCK_RING));
    cr_assert_eq(count_files(".", "pub-"), 0);
    cr_assert_eq(bbi_ring_register(&at, small_shape(), 0, &own, &f), 0, "a small one still fits");
    (void)umount2(bus_dir, MNT_DETACH);
    bbi_attach_close(&at);
}

Test(registry, names_of_files_are_read_back)
{
    static const uint32_t n[] = {0, 1, 1023, UINT32_MAX};
    static const uint64_t k[] = {1, 0x0123456789abcdefULL, UINT64_MAX};
    char name[BBI_FILE_NAME_BYTES];
    for (int i = 0; i < 4; i++) {
        for (int g = 0; g < 4; g++) {
            for (int j = 0; j < 3; j++) {
                uint32_t index, gen;
                uint64_t key;
                bbi_place_ring_name(name, n[i], n[g], k[j]);
                cr_assert_eq(bbi_place_parse_name(name, &index, &gen, &key), BBI_FILE_RING);
                cr_assert(index == n[i] && gen == n[g] && key == k[j]);
                bbi_place_sub_name(name, n[i], n[g], k[j]);
                cr_assert_eq(bbi_place_parse_name(name, &index, &gen, &key), BBI_FILE_SUB);
                cr_assert(index == n[i] && gen == n[g] && key == k[j]);
            }
        }
    }
}

Test(registry, other_names_are_not_ours)
{
    static const char *const bad[] = {
        "",
        "lock",
        "bus.ctl",
        "pub-",
        "pub-1-1-0000000000000001",
        "pub-1-1-0000000000000001.ringx",
        "pub-1-1-1.ring",
        "pub-01-1-0000000000000001.ring",
        "pub-+1-1-0000000000000001.ring",
        "pub--1-1-0000000000000001.ring",
        "pub-1-1-000000000000000G.ring",
        "pub-1-1-0000000000000ABC.ring",
        "pub-4294967296-1-0000000000000001.ring",
        "sub-1-1-0000000000000001.ring",
        "pub-1-1-0000000000000001.cur",
        "xpub-1-1-0000000000000001.ring",
        " pub-1-1-0000000000000001.ring",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint32_t index, gen;
        uint64_t key;
        cr_assert_eq(bbi_place_parse_name(bad[i], &index, &gen, &key), 0, "'%s'", bad[i]);
    }
}

Test(registry, a_row_that_makes_no_sense_is_not_read)
{
    struct bbi_entry e;
    struct bbi_row row;
    memset(&e, 0, sizeof(e));
    cr_assert(!bbi_row_read(&e, &row), "free");
    bbi_store_relaxed(&e.state, BBI_ENTRY_ACTIVE);
    cr_assert(bbi_row_read(&e, &row));
    bbi_store_relaxed(&e.member, BBI_MEMBERS);
    cr_assert(!bbi_row_read(&e, &row), "there are no so many members");
    bbi_store_relaxed(&e.member, 0);
    bbi_store_relaxed(&e.state, 77);
    cr_assert(!bbi_row_read(&e, &row));
}

Test(registry, a_member_is_read_with_a_name_that_ends)
{
    struct bbi_member m;
    struct bbi_member_view v;
    memset(&m, 0, sizeof(m));
    cr_assert(!bbi_member_read(&m, &v));
    bbi_store_relaxed(&m.state, BBI_MEMBER_ACTIVE);
    memset(m.name, 'x', sizeof(m.name)); /* no NUL */
    cr_assert(bbi_member_read(&m, &v));
    cr_assert_eq(strlen(v.name), sizeof(m.name) - 1);
    bbi_store_relaxed(&m.state, 4);
    cr_assert(!bbi_member_read(&m, &v));
}

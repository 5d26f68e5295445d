/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what nobody uses goes, what somebody uses or what is not ours stays; four dead rings are kept.
 * Method: members that die (their descriptors close without a word), files planted by hand.
 */
#include "shm/debris.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"

TestSuite(debris, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

struct seen {
    int items, removed;
    char last_node[BBI_NAME_BYTES];
    uint64_t bytes;
};

static void
note(const struct bbi_debris_item *item, void *user)
{
    struct seen *s = user;
    s->items++;
    s->removed += item->removed;
    s->bytes += item->bytes;
    (void)snprintf(s->last_node, sizeof(s->last_node), "%s", item->node);
    cr_assert_gt(strlen(item->why), 0U);
}

static void
ring_new(struct bbi_attach *at, struct bbi_own_file *own)
{
    cr_assert_eq(bbi_ring_register(at, small_shape(), 0, own, NULL), 0);
}

static void
plant(const char *file, const void *data, size_t bytes)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/b/%s", bus_dir, file);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, data, bytes), (ssize_t)bytes);
    (void)close(fd);
}

Test(debris, living_files_are_no_orphans)
{
    struct bbi_attach a, b;
    struct bbi_own_file ring, sub;
    struct seen s = {0};
    attach_named(&a, "a");
    attach_named(&b, "b");
    ring_new(&a, &ring);
    cr_assert_eq(bbi_sub_register(&a, 0, &sub, NULL), 0);
    cr_assert_eq(bbi_debris_orphans(&b, 0, note, &s), 0);
    cr_assert_eq(bbi_debris_orphans(&a, 0, note, &s), 0, "nor one's own");
    cr_assert_eq(count_files(".", "pub-"), 1);
    cr_assert_eq(count_files(".", "sub-"), 1);
    bbi_attach_close(&a);
    bbi_attach_close(&b);
}

Test(debris, a_file_that_was_linked_before_its_row_was_filled_is_an_orphan)
{
    struct bbi_attach a, b;
    struct bbi_own_file ring;
    struct seen s = {0};
    attach_named(&a, "dead-one");
    attach_named(&b, "b");
    ring_new(&a, &ring);
    bbi_store_relaxed(&a.bus->rings[ring.index].state, BBI_ENTRY_FREE);
    cr_assert_eq(bbi_debris_orphans(&b, 0, note, &s), 0, "its owner may be about to");
    die(&a);
    cr_assert_eq(bbi_debris_orphans(&b, BBI_DEBRIS_DRY_RUN, note, &s), 1);
    cr_assert_eq(s.removed, 0);
    cr_assert_eq(count_files(".", "pub-"), 1, "a dry run removes nothing");
    cr_assert_eq(bbi_debris_orphans(&b, 0, note, &s), 1);
    cr_assert_eq(s.removed, 1);
    cr_assert_str_eq(s.last_node, "dead-one");
    cr_assert_gt(s.bytes, 4096U);
    cr_assert_eq(count_files(".", "pub-"), 0);
    cr_assert_eq(bbi_debris_orphans(&b, 0, note, &s), 0, "again: nothing");
    bbi_attach_close(&b);
}

Test(debris, a_ring_that_ended_is_left_to_the_steward)
{
    struct bbi_attach a, b;
    struct bbi_own_file ring;
    attach_named(&a, "a");
    attach_named(&b, "b");
    ring_new(&a, &ring);
    die(&a);
    cr_assert_eq(bbi_debris_orphans(&b, 0, NULL, NULL), 0, "its row still says ACTIVE");
    cr_assert_eq(count_files(".", "pub-"), 1);
    bbi_attach_close(&b);
}

Test(debris, only_our_names_with_our_magic_are_touched)
{
    struct bbi_attach a;
    uint64_t junk[64] = {0};
    attach_named(&a, "a");
    plant("pub-5-1-0000000000000001.ring", junk, sizeof(junk)); /* our name, not our magic */
    plant("pub-6-1-0000000000000001.ring", junk, 3);
    plant("README", "hello", 5);
    struct bbi_ident ident = {.magic = BBI_MAGIC};
    plant("mine.ring", &ident, sizeof(ident)); /* our magic, not our name */
    cr_assert_eq(bbi_debris_orphans(&a, 0, NULL, NULL), 0);
    cr_assert_eq(bbi_debris_clear(&a, 0, NULL, NULL), 1, "bus.ctl");
    cr_assert(file_exists("pub-5-1-0000000000000001.ring"));
    cr_assert(file_exists("pub-6-1-0000000000000001.ring"));
    cr_assert(file_exists("README"));
    cr_assert(file_exists("mine.ring"));
    cr_assert(file_exists("lock"));
    bbi_attach_close(&a);
}

Test(debris, links_and_directories_with_our_names_are_not_followed)
{
    struct bbi_attach a;
    char path[256], target[256];
    struct bbi_ident ident = {.magic = BBI_MAGIC};
    attach_named(&a, "a");
    (void)snprintf(target, sizeof(target), "%s/precious", bus_dir);
    int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_eq(write(fd, &ident, sizeof(ident)), (ssize_t)sizeof(ident));
    (void)snprintf(path, sizeof(path), "%s/b/pub-7-1-0000000000000001.ring", bus_dir);
    cr_assert_eq(symlink(target, path), 0);
    (void)snprintf(path, sizeof(path), "%s/b/pub-8-1-0000000000000001.ring", bus_dir);
    cr_assert_eq(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/b/pub-9-1-0000000000000001.ring", bus_dir);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(bbi_debris_orphans(&a, 0, NULL, NULL), 0);
    cr_assert_eq(access(target, F_OK), 0);
    bbi_attach_close(&a);
}

Test(debris, the_newest_four_dead_rings_are_kept)
{
    struct bbi_attach a;
    struct bbi_own_file ring[7];
    char name[7][BBI_FILE_NAME_BYTES], path[BBI_FILE_NAME_BYTES + 8];
    attach_named(&a, "a");
    for (int i = 0; i < 7; i++) {
        ring_new(&a, &ring[i]);
        bbi_place_ring_name(name[i], ring[i].index, ring[i].gen, ring[i].key);
    }
    for (int i = 0; i < 7; i++) {
        bbi_debris_bury(&a, name[i]);
        bbi_os_sleep_ns(2000000); /* a file's times are as coarse as the kernel's tick */
        bbi_os_sleep_ns(8000000);
    }
    cr_assert_eq(count_files("dead", "pub-"), BBI_DEAD_KEPT);
    cr_assert_eq(count_files(".", "pub-"), 0);
    for (int i = 0; i < 7; i++) {
        (void)snprintf(path, sizeof(path), "dead/%s", name[i]);
        cr_assert_eq(file_exists(path), i >= 3, "ring %d", i);
    }
    bbi_debris_bury(&a, name[0]); /* already gone: no harm */
    cr_assert_eq(count_files("dead", "pub-"), BBI_DEAD_KEPT);
    bbi_attach_close(&a);
}

static int
count_dead(const char *file, void *user)
{
    cr_assert_eq(strncmp(file, "dead/pub-", 9), 0);
    ++*(int *)user;
    return 0;
}

static int
stop_at_once(const char *file, void *user)
{
    (void)file;
    ++*(int *)user;
    return 5;
}

Test(debris, dead_rings_are_listed_oldest_first_until_told_to_stop)
{
    struct bbi_attach a;
    char name[BBI_FILE_NAME_BYTES];
    int n = 0;
    attach_named(&a, "a");
    cr_assert_eq(bbi_debris_dead(&a, count_dead, &n), 0);
    cr_assert_eq(n, 0, "there is no dead/ yet");
    for (int i = 0; i < 3; i++) {
        struct bbi_own_file ring;
        ring_new(&a, &ring);
        bbi_place_ring_name(name, ring.index, ring.gen, ring.key);
        bbi_debris_bury(&a, name);
    }
    cr_assert_eq(bbi_debris_dead(&a, count_dead, &n), 0);
    cr_assert_eq(n, 3);
    n = 0;
    cr_assert_eq(bbi_debris_dead(&a, stop_at_once, &n), 5);
    cr_assert_eq(n, 1);
    bbi_attach_close(&a);
}

Test(debris, clear_takes_all_of_ours_and_leaves_the_lock)
{
    struct bbi_attach a;
    struct bbi_own_file ring, sub;
    char name[BBI_FILE_NAME_BYTES];
    attach_named(&a, "a");
    ring_new(&a, &ring);
    bbi_place_ring_name(name, ring.index, ring.gen, ring.key);
    bbi_debris_bury(&a, name);
    ring_new(&a, &ring);
    cr_assert_eq(bbi_sub_register(&a, 0, &sub, NULL), 0);
    int fd = bbi_wake_socket(&a, sub.index);
    (void)close(fd);
    struct seen s = {0};
    cr_assert_eq(bbi_debris_clear(&a, BBI_DEBRIS_DRY_RUN, note, &s), 4);
    cr_assert(file_exists("bus.ctl"));
    cr_assert(file_exists("sock/0"));
    cr_assert_eq(bbi_debris_clear(&a, BBI_DEBRIS_KEEP_DEAD, NULL, NULL), 3);
    cr_assert_eq(count_files("dead", "pub-"), 2, "kept for a look after death");
    cr_assert_eq(bbi_debris_clear(&a, 0, NULL, NULL), 2);
    cr_assert(!file_exists("dead"));
    cr_assert(!file_exists("sock"));
    cr_assert(!file_exists("bus.ctl"));
    cr_assert(file_exists("lock"));
    die(&a);
}

Test(debris, the_next_generation_keeps_dead_rings_and_nothing_else)
{
    struct bbi_attach a;
    struct bbi_own_file ring, sub;
    attach_named(&a, "a");
    uint32_t generation = a.bus->ident.generation;
    ring_new(&a, &ring);
    cr_assert_eq(bbi_sub_register(&a, 0, &sub, NULL), 0);
    die(&a);
    attach_named(&a, "a");
    cr_assert_eq(a.bus->ident.generation, generation + 1);
    cr_assert_eq(count_files(".", "pub-"), 0);
    cr_assert_eq(count_files(".", "sub-"), 0);
    cr_assert_eq(count_files("dead", "pub-"), 1);
    bbi_attach_close(&a);
}

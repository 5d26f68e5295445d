/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: words of the roll say what was put into them and where they stand, each place is said once, a file that is
 * not ours, short or full of nonsense is refused or passed over, and a whole lap that was missed is told.
 * Method: rolls of a bus in a temporary directory, written from outside where somebody hostile would.
 */
#include "busbar/cluster.h"
#include "lib/cluster/roll.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"

TestSuite(cluster_roll, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

static struct bbi_attach at;
static struct bbi_fault fault;

static struct bbi_roll
roll_new(void)
{
    struct bbi_roll roll;
    attach_named(&at, "member");
    cr_assert_eq(bbi_roll_open(&roll, &at, true, &fault), 0, "%s", fault.sentence);
    return roll;
}

static void
append(struct bbi_roll *roll, uint64_t epoch, uint32_t kind, uint64_t id)
{
    const struct bbi_change change = {.epoch = epoch, .id = id, .kind = kind, .weight = 7};
    cr_assert_eq(bbi_roll_append(roll, &change), 1, "change %lu", (unsigned long)epoch);
}

Test(cluster_roll, word_says_what_was_put_in)
{
    const uint64_t ids[] = {0, 511, UINT64_C(0xffffffff) << 16 | 511, UINT64_C(1) << 16};
    const uint64_t epochs[] = {0, 8191, 8192, UINT64_C(8192) * 8191, UINT64_C(8192) * 8191 - 1};
    for (size_t i = 0; i < 4; i++) {
        for (size_t e = 0; e < 5; e++) {
            const struct bbi_change in = {
                .epoch = epochs[e], .id = ids[i], .kind = (uint32_t)i, .weight = 255};
            struct bbi_change out;
            uint64_t word = bbi_roll_word(&in);
            cr_assert_neq(word, 0);
            cr_assert_eq(bbi_roll_parse(word, in.epoch, &out), 1);
            cr_assert_eq(out.id, in.id);
            cr_assert_eq(out.kind, in.kind);
            cr_assert_eq(out.weight, in.weight);
            cr_assert_eq(bbi_roll_parse(word, in.epoch + BBI_ROLL_CHANGES, &out), 0);
            cr_assert_eq(bbi_roll_parse(0, in.epoch, &out), 0);
        }
    }
}

Test(cluster_roll, a_place_is_said_once)
{
    struct bbi_roll roll = roll_new();
    struct bbi_change change = {.epoch = 0, .id = 1 << 16, .kind = BBI_ROLL_UP}, out;
    cr_assert_eq(bbi_roll_end(&roll), 0);
    cr_assert_eq(bbi_roll_read(&roll, 0, &out), 0);
    cr_assert_eq(bbi_roll_append(&roll, &change), 1);
    change.kind = BBI_ROLL_DOWN;
    cr_assert_eq(bbi_roll_append(&roll, &change), 0, "the place is taken");
    cr_assert_eq(bbi_roll_read(&roll, 0, &out), 1);
    cr_assert_eq(out.kind, (uint32_t)BBI_ROLL_UP);
    cr_assert_eq(bbi_roll_end(&roll), 1);
    int64_t now = bbi_os_wall_ns(), said = bbi_roll_time(&roll, 0);
    cr_assert(said <= now && said > now - INT64_C(60000000000));
    cr_assert_eq(bbi_roll_time(&roll, BBI_ROLL_CHANGES), 0, "of another lap nothing is known");
    bbi_roll_close(&roll);
    bbi_attach_close(&at);
}

Test(cluster_roll, laps_are_told_apart)
{
    struct bbi_roll roll = roll_new();
    struct bbi_change out;
    for (uint64_t e = 0; e < 3 * BBI_ROLL_CHANGES + 5; e++) {
        append(&roll, e, BBI_ROLL_UP, e << 16);
        if (e % 997 == 0) {
            cr_assert_eq(bbi_roll_end(&roll), e + 1);
        }
    }
    uint64_t end = bbi_roll_end(&roll);
    cr_assert_eq(end, 3 * BBI_ROLL_CHANGES + 5);
    cr_assert_eq(bbi_roll_read(&roll, end, &out), 0);
    cr_assert_eq(bbi_roll_read(&roll, end - BBI_ROLL_CHANGES, &out), 1);
    cr_assert_eq(out.id, (end - BBI_ROLL_CHANGES) << 16);
    cr_assert_eq(bbi_roll_read(&roll, end - BBI_ROLL_CHANGES - 1, &out), BB_EOVERRUN);
    cr_assert_eq(bbi_roll_read(&roll, 0, &out), BB_EOVERRUN);
    bbi_roll_close(&roll);
    bbi_attach_close(&at);
}

/* The 67 millionth change: laps come again. */
Test(cluster_roll, laps_come_again)
{
    struct bbi_roll roll = roll_new();
    struct bbi_change out;
    const uint64_t wrap = (uint64_t)BBI_ROLL_LAPS * BBI_ROLL_CHANGES;
    for (uint64_t e = wrap - BBI_ROLL_CHANGES; e < wrap; e++) {
        const struct bbi_change change = {.epoch = e, .id = e << 16};
        bbi_store_relaxed(&roll.file->words[e % BBI_ROLL_CHANGES], bbi_roll_word(&change));
    }
    cr_assert_eq(bbi_roll_end(&roll), wrap);
    for (uint64_t e = wrap; e < wrap + 3; e++) {
        append(&roll, e, BBI_ROLL_DOWN, 5 << 16);
    }
    cr_assert_eq(bbi_roll_end(&roll), wrap + 3);
    cr_assert_eq(bbi_roll_read(&roll, wrap + 2, &out), 1);
    cr_assert_eq(bbi_roll_read(&roll, wrap + 3, &out), 0);
    cr_assert_eq(bbi_roll_read(&roll, wrap + 2 - BBI_ROLL_CHANGES, &out), BB_EOVERRUN);
    bbi_roll_close(&roll);
    bbi_attach_close(&at);
}

Test(cluster_roll, who_is_who)
{
    struct bbi_roll roll = roll_new();
    struct bbi_who who;
    for (uint64_t i = 1; i <= BBI_ROLL_RECORDS + 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%lu", (unsigned long)i);
        bbi_roll_introduce(&roll, i << 16 | 9, BB_ROLE_PROXY, (int32_t)i, name);
    }
    cr_assert(!bbi_roll_who(&roll, 3 << 16 | 9, &who), "its record is another's");
    cr_assert(bbi_roll_who(&roll, 4 << 16 | 9, &who));
    cr_assert_str_eq(who.name, "n4");
    cr_assert_eq(who.role, (uint32_t)BB_ROLE_PROXY);
    cr_assert_eq(who.pid, 4);
    roll.file->who[3].name[0] = 'x'; /* torn: its check does not match */
    cr_assert(!bbi_roll_who(&roll, 4 << 16 | 9, &who));
    bbi_roll_close(&roll);
    bbi_attach_close(&at);
}

/* ---- hostile files ---- */

static char roll_path[512];

static void
write_at(size_t off, const void *data, size_t bytes)
{
    int fd = open(roll_path, O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(pwrite(fd, data, bytes, (off_t)off), (ssize_t)bytes);
    (void)close(fd);
}

static void
hostile_new(void)
{
    char name[BBI_FILE_NAME_BYTES];
    struct bbi_roll roll = roll_new();
    bbi_place_roll_name(name, at.bus->ident.generation, at.bus->ident.key);
    (void)snprintf(roll_path, sizeof(roll_path), "%s/%s", at.place.path, name);
    bbi_roll_close(&roll);
}

static int
open_hostile(void)
{
    struct bbi_roll roll;
    fault.sentence[0] = '\0';
    int rc = bbi_roll_open(&roll, &at, true, &fault);
    if (rc == 0) {
        bbi_roll_close(&roll);
    }
    return rc;
}

Test(cluster_roll, hostile_files_are_refused)
{
    const uint64_t nonsense = UINT64_C(0x1234567812345678);
    const uint32_t few = 64;
    hostile_new();
    cr_assert_eq(open_hostile(), 0);
    write_at(offsetof(struct bbi_roll_file, changes), &few, sizeof(few));
    cr_assert_eq(open_hostile(), BB_EVERSION);
    cr_assert_neq(strstr(fault.sentence, "roll"), NULL, "%s", fault.sentence);
    write_at(offsetof(struct bbi_roll_file, magic), &nonsense, sizeof(nonsense));
    cr_assert_eq(open_hostile(), BB_ECORRUPT);
    write_at(offsetof(struct bbi_ident, check), &nonsense, sizeof(nonsense));
    cr_assert_eq(open_hostile(), BB_ECORRUPT);
    cr_assert_eq(truncate(roll_path, sizeof(struct bbi_roll_file) - 1), 0);
    cr_assert_eq(open_hostile(), BB_ECORRUPT);
    cr_assert_eq(truncate(roll_path, 0), 0);
    cr_assert_eq(open_hostile(), BB_ECORRUPT);
    cr_assert_eq(unlink(roll_path), 0);
    cr_assert_eq(open_hostile(), 0, "a new one is made");
    bbi_attach_close(&at);
}

/* Whatever the words are, a node joins or is refused in bounded time, and nobody reads outside. */
Test(cluster_roll, words_of_nonsense)
{
    uint64_t words[BBI_ROLL_CHANGES];
    uint64_t dice = 88172645463325252;
    hostile_new();
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < BBI_ROLL_CHANGES; i++) {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            /* Half of the rounds have laps as they should be, and nonsense in the rest of the word. */
            words[i] = round % 2 == 0 ? dice : (dice >> 13 | UINT64_C(1) << 51);
        }
        write_at(offsetof(struct bbi_roll_file, words), words, sizeof(words));
        struct bb_cluster *c = NULL;
        struct bb_error error = {0};
        const struct bb_cluster_opts o = {.size = sizeof(o),
                                          .dir = bus_dir,
                                          .bus = "b",
                                          .name = "node",
                                          .role = BB_ROLE_WORKER,
                                          .error = &error};
        int rc = bb_cluster_join(&c, &o);
        cr_assert(rc == 0 || rc == BB_ECORRUPT, "%d %s", rc, error.sentence);
        for (int i = 0; i < 100 && rc == 0; i++) {
            struct bb_msg msgs[64];
            cr_assert_geq(bb_cluster_poll(c, msgs, 64, 0), 0);
        }
        if (rc == 0) {
            bb_cluster_leave(c);
        }
    }
    bbi_attach_close(&at);
}

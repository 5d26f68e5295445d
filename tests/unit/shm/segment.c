/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a file is opened only if it is whole, ours, of this layout and of the kind that is asked for.
 * Method: one good file of each kind; then one word or the length is changed at a time.
 */
#include "shm/segment.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"

static int dir_fd;

static void
set_up(void)
{
    bus_dir_make();
    dir_fd = open(bus_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

TestSuite(segment, .init = set_up, .fini = bus_dir_remove, .timeout = 30);

static void
make_file(const char *name, enum bbi_file_kind kind, uint64_t bytes)
{
    struct bbi_segment seg;
    int fd;
    cr_assert_eq(bbi_segment_new(dir_fd, bytes, 0600, &seg, &fd), 0);
    bbi_segment_ident(seg.base, kind, bytes);
    bbi_segment_seal(seg.base);
    cr_assert_eq(bbi_os_link_file(fd, dir_fd, name), 0);
    (void)close(fd);
    bbi_segment_close(&seg);
}

static int
try_open(const char *name, enum bbi_file_kind kind)
{
    struct bbi_segment seg = {0};
    int before = count_fds();
    int rc = bbi_segment_open(dir_fd, name, kind, false, &seg);
    cr_assert_eq(count_fds(), before, "no descriptor is kept");
    if (rc == 0) {
        bbi_segment_close(&seg);
        cr_assert_null(seg.base);
    }
    return rc;
}

/* Changes bytes of a file, with or without making its check word right again. */
static void
change(const char *name, size_t off, const void *data, size_t bytes, bool seal)
{
    int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    struct bbi_ident ident;
    cr_assert_eq(pread(fd, &ident, sizeof(ident), 0), (ssize_t)sizeof(ident));
    memcpy((unsigned char *)&ident + off, data, bytes);
    if (seal) {
        bbi_segment_seal(&ident);
    }
    cr_assert_eq(pwrite(fd, &ident, sizeof(ident), 0), (ssize_t)sizeof(ident));
    (void)close(fd);
}

static void
set_length(const char *name, off_t bytes)
{
    int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    cr_assert_eq(ftruncate(fd, bytes), 0);
    (void)close(fd);
}

#define FIELD(name, field, value, seal)                                                            \
    do {                                                                                           \
        struct bbi_ident ident_;                                                                   \
        ident_.field = (value);                                                                    \
        change((name), offsetof(struct bbi_ident, field), &ident_.field, sizeof(ident_.field),     \
               (seal));                                                                            \
    } while (0)

Test(segment, good_files_of_each_kind_open)
{
    make_file("bus", BBI_FILE_BUS, sizeof(struct bbi_bus));
    make_file("ring", BBI_FILE_RING, sizeof(struct bbi_ring) + 4096);
    make_file("sub", BBI_FILE_SUB, sizeof(struct bbi_sub));
    cr_assert_eq(try_open("bus", BBI_FILE_BUS), 0);
    cr_assert_eq(try_open("ring", BBI_FILE_RING), 0);
    cr_assert_eq(try_open("sub", BBI_FILE_SUB), 0);
}

Test(segment, a_new_identity_says_who_and_when)
{
    struct bbi_ident ident = {0};
    bbi_segment_ident(&ident, BBI_FILE_RING, 12345);
    cr_assert_eq(ident.magic, BBI_MAGIC);
    cr_assert_eq(ident.major, 1);
    cr_assert_eq(ident.kind, (uint32_t)BBI_FILE_RING);
    cr_assert_eq(ident.file_bytes, 12345U);
    cr_assert_eq(ident.pid, (int32_t)getpid());
    cr_assert_eq(ident.key & 1, 1U, "never 0");
    cr_assert_eq(strncmp(ident.build, "busbar", 6), 0);
    struct bbi_ident other = {0};
    bbi_segment_ident(&other, BBI_FILE_RING, 12345);
    cr_assert_neq(ident.key, other.key);
}

Test(segment, another_kind_is_corrupt)
{
    make_file("bus", BBI_FILE_BUS, sizeof(struct bbi_bus));
    cr_assert_eq(try_open("bus", BBI_FILE_RING), BB_ECORRUPT);
    cr_assert_eq(try_open("bus", BBI_FILE_SUB), BB_ECORRUPT);
}

Test(segment, wrong_magic_is_corrupt)
{
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus));
    FIELD("f", magic, BBI_MAGIC ^ 1, true);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_ECORRUPT);
    FIELD("f", magic, 0, true);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_ECORRUPT);
}

Test(segment, another_major_is_another_version_whatever_else_the_page_says)
{
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus));
    FIELD("f", major, 2, true);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_EVERSION);
    FIELD("f", major, 0, false);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_EVERSION, "its check word need not be ours");
    FIELD("f", kind, 77, false);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_EVERSION);
}

Test(segment, a_newer_minor_and_compat_bits_are_welcome)
{
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus));
    FIELD("f", minor, 9, true);
    FIELD("f", feat_compat, 0xffffffffU, true);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), 0);
}

Test(segment, an_unknown_incompat_bit_is_another_version)
{
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus));
    for (uint32_t bit = 1; bit != 0; bit <<= 1) {
        FIELD("f", feat_incompat, bit, true);
        cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_EVERSION, "bit %x", bit);
    }
}

Test(segment, a_changed_check_word_or_any_changed_bit_is_corrupt)
{
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus));
    struct bbi_ident good;
    int fd = openat(dir_fd, "f", O_RDWR | O_CLOEXEC);
    cr_assert_eq(pread(fd, &good, sizeof(good), 0), (ssize_t)sizeof(good));
    for (size_t off = 0; off < sizeof(good); off += 3) {
        struct bbi_ident bad = good;
        ((unsigned char *)&bad)[off] ^= 0x10;
        cr_assert_eq(pwrite(fd, &bad, sizeof(bad), 0), (ssize_t)sizeof(bad));
        int rc = try_open("f", BBI_FILE_BUS);
        bool in_major = off >= 8 && off < 10;
        cr_assert_eq(rc, in_major ? BB_EVERSION : BB_ECORRUPT, "byte %zu: %d", off, rc);
    }
    (void)close(fd);
}

Test(segment, other_sizes_of_lines_pages_or_bytes_are_corrupt)
{
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus));
    FIELD("f", line_bytes, 64, true);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_ECORRUPT);
    FIELD("f", line_bytes, BBI_LINE_BYTES, true);
    FIELD("f", page_bytes, 16384, true);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_ECORRUPT);
    FIELD("f", page_bytes, BBI_PAGE_BYTES, true);
    FIELD("f", endian, 0x04030201U, true);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_ECORRUPT);
    FIELD("f", endian, BBI_ENDIAN, true);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), 0);
}

Test(segment, a_file_shorter_than_it_says_is_corrupt)
{
    off_t whole = (off_t)sizeof(struct bbi_bus);
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus));
    set_length("f", whole - 1);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_ECORRUPT, "one byte too short");
    for (off_t n = 0; n < (off_t)sizeof(struct bbi_ident) + 8; n++) {
        set_length("f", n);
        cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_ECORRUPT, "%lld bytes", (long long)n);
    }
}

Test(segment, a_file_shorter_than_its_kind_needs_is_corrupt_also_when_it_says_so)
{
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus) - 1);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_ECORRUPT);
    make_file("g", BBI_FILE_RING, sizeof(struct bbi_ring) - 8);
    cr_assert_eq(try_open("g", BBI_FILE_RING), BB_ECORRUPT);
    make_file("h", BBI_FILE_SUB, 8192);
    cr_assert_eq(try_open("h", BBI_FILE_SUB), BB_ECORRUPT);
}

Test(segment, a_file_one_byte_longer_than_it_says_opens)
{
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus));
    set_length("f", (off_t)sizeof(struct bbi_bus) + 1);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), 0, "nothing of it is beyond its end");
}

Test(segment, a_length_that_claims_more_than_there_is_is_corrupt)
{
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus));
    FIELD("f", file_bytes, sizeof(struct bbi_bus) + 1, true);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_ECORRUPT);
    FIELD("f", file_bytes, UINT64_MAX, true);
    cr_assert_eq(try_open("f", BBI_FILE_BUS), BB_ECORRUPT);
}

Test(segment, what_is_not_a_regular_file_is_refused)
{
    cr_assert_eq(try_open("missing", BBI_FILE_BUS), BB_ENOENT);
    cr_assert_eq(mkdirat(dir_fd, "dir", 0700), 0);
    cr_assert_eq(try_open("dir", BBI_FILE_BUS), BB_ECORRUPT);
    make_file("f", BBI_FILE_BUS, sizeof(struct bbi_bus));
    cr_assert_eq(symlinkat("f", dir_fd, "link"), 0);
    cr_assert_eq(try_open("link", BBI_FILE_BUS), -ELOOP, "links are not followed");
}

Test(segment, a_full_file_system_is_a_status_and_leaves_nothing)
{
    struct bbi_segment seg;
    int fd, before = count_fds();
    int rc = bbi_segment_new(dir_fd, UINT64_C(1) << 50, 0600, &seg, &fd);
    cr_assert_lt(rc, 0);
    cr_assert_eq(count_fds(), before);
    cr_assert_eq(count_files("..", "pub"), 0);
}

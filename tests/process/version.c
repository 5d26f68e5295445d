/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Another layout is refused with a sentence that says what to do; a ring with a feature that we do not
 *         know is put aside and counted, the others are read.
 * Method  The identity pages of files of this build are changed.
 */
#include "busbar/inspect.h"
#include "shm/segment.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_MSG = 64, OTHER_MAJOR = 7 };
static struct bbt_side *me;

static void
init(void)
{
    bbt_bus_new();
    me = bbt_side_new();
    me->reader.max = MAX_MSG;
}

/* Maps the identity page of a file of the bus. */
static struct bbi_ident *
map_ident(const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/%s", bbt_path(), name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
    void *p = mmap(NULL, BBI_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    cr_assert_neq(p, MAP_FAILED);
    return p;
}

static void
find_ring(char out[256], uint32_t index)
{
    char begin[32];
    DIR *dir = opendir(bbt_path());
    const struct dirent *e;
    int n = snprintf(begin, sizeof(begin), "pub-%u-", index);
    out[0] = '\0';
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (strncmp(e->d_name, begin, (size_t)n) == 0) {
            (void)snprintf(out, 256, "%s", e->d_name);
        }
    }
    (void)closedir(dir);
    cr_assert_neq(out[0], '\0', "no ring %u", index);
}

static int
try_attach(uint32_t flags, struct bb_error *err)
{
    struct bb_endpoint *ep;
    *err = (struct bb_error){0};
    int rc =
        bb_endpoint_open(&ep, &(struct bb_endpoint_opts){.size = sizeof(struct bb_endpoint_opts),
                                                         .dir = bbt_dir(),
                                                         .bus = BBT_BUS,
                                                         .flags = flags,
                                                         .error = err});
    if (rc == 0) {
        bb_endpoint_close(ep);
    }
    return rc;
}

static void
check_sentence(const struct bb_error *err)
{
    cr_assert_eq(err->code, BB_EVERSION);
    cr_assert_not_null(strstr(err->sentence, "layout 7"), "its layout: %s", err->sentence);
    cr_assert_not_null(strstr(err->sentence, "layout 1"), "ours: %s", err->sentence);
    cr_assert_not_null(strstr(err->sentence, "--bus"), "what to do: %s", err->sentence);
}

static void
check_refused(void)
{
    struct bb_error err;
    struct bb_look *look;
    cr_assert_eq(try_attach(0, &err), BB_EVERSION, "%s", err.sentence);
    check_sentence(&err);
    cr_assert_eq(try_attach(BB_ATTACH_EXISTING, &err), BB_EVERSION, "%s", err.sentence);
    check_sentence(&err);
    err = (struct bb_error){0};
    cr_assert_eq(bb_look_open(&look, &(struct bb_look_opts){.size = sizeof(struct bb_look_opts),
                                                            .dir = bbt_dir(),
                                                            .bus = BBT_BUS,
                                                            .error = &err}),
                 BB_EVERSION);
    check_sentence(&err);
    err = (struct bb_error){0};
    cr_assert_eq(
        bb_gc(&(struct bb_gc_opts){
            .size = sizeof(struct bb_gc_opts), .dir = bbt_dir(), .bus = BBT_BUS, .error = &err}),
        BB_EVERSION, "gc must not remove what it does not know");
    cr_assert_gt(strlen(err.sentence), 20);
}

/* Nobody is attached: not even then is a bus of another layout begun anew. */
Test(version, other_major_alone, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    struct bb_error err;
    char files[512];
    cr_assert_eq(try_attach(0, &err), 0, "%s", err.sentence);
    struct bbi_ident *ident = map_ident("bus.ctl");
    ident->major = OTHER_MAJOR;
    bbi_segment_seal(ident);
    check_refused();
    cr_assert_eq(bbt_files(files, sizeof(files)), 1, "left:%s", files);
    cr_assert_str_eq(files, " bus.ctl");
    ident->major = BBI_LAYOUT_MAJOR;
    bbi_segment_seal(ident);
    cr_assert_eq(try_attach(0, &err), 0, "%s", err.sentence);
}

Test(version, other_major_with_members, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    struct bb_endpoint *ep = bbt_endpoint(me, "member", 0);
    struct bbi_ident *ident = map_ident("bus.ctl");
    ident->major = OTHER_MAJOR;
    check_refused();
    bb_endpoint_close(ep);
}

Test(version, unknown_incompat_bit_of_the_bus, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    struct bb_error err;
    cr_assert_eq(try_attach(0, &err), 0, "%s", err.sentence);
    struct bbi_ident *ident = map_ident("bus.ctl");
    ident->feat_incompat = 1u << 31;
    bbi_segment_seal(ident);
    cr_assert_eq(try_attach(0, &err), BB_EVERSION, "%s", err.sentence);
    ident->feat_incompat = 0;
    ident->feat_compat = 1u << 31;
    bbi_segment_seal(ident);
    cr_assert_eq(try_attach(0, &err), 0, "compat bits are ignored: %s", err.sentence);
}

Test(version, unknown_ring_is_put_aside, .init = init, .fini = bbt_bus_end, .timeout = 20)
{
    struct bb_endpoint *ep = bbt_endpoint(me, "writer", 0);
    struct bb_publisher *pubs[3];
    struct bb_topic *topics[3];
    char name[256];
    for (uint32_t i = 0; i < 3; i++) {
        pubs[i] = bbt_publisher(me, ep, NULL);
        topics[i] = bbt_topic(me, pubs[i], i + 1);
    }
    find_ring(name, 1);
    struct bbi_ident *ident = map_ident(name);
    ident->feat_incompat = 1u << 5;
    bbi_segment_seal(ident);
    struct bb_endpoint *reader = bbt_endpoint(me, "reader", 0);
    struct bb_subscriber *sub =
        bbt_subscriber(me, reader, "w/", BB_SUBSCRIBER_STATUS | BB_SUBSCRIBER_RELIABLE);
    for (uint64_t seq = 1; seq <= 20; seq++) {
        for (uint32_t i = 0; i < 3; i++) {
            cr_assert_eq(bbt_send(topics[i], i + 1, seq, MAX_MSG, 0), 0);
        }
    }
    BBT_UNTIL((bbt_take(me, sub, 0),
               bbt_reader_got(&me->reader, 1) == 20 && bbt_reader_got(&me->reader, 3) == 20),
              3000, "got %lu and %lu", (unsigned long)bbt_reader_got(&me->reader, 1),
              (unsigned long)bbt_reader_got(&me->reader, 3));
    bbt_balance(me, sub);
    cr_assert_eq(me->stats.unreadable, 1);
    cr_assert_eq(me->stats.rings, 2);
    cr_assert_eq(bbt_reader_got(&me->reader, 2), 0);
    cr_assert_eq(bbt_reader_told(&me->reader, "writer", BB_STATUS_CORRUPT), 1);
    /* And it stays so: not tried again at each look. */
    struct bb_endpoint *other = bbt_endpoint(me, "other", 0);
    (void)bbt_take(me, sub, 20000000);
    bb_endpoint_close(other);
    (void)bbt_take(me, sub, 20000000);
    bbt_balance(me, sub);
    cr_assert_eq(me->stats.unreadable, 1);
    bb_endpoint_close(reader);
    bb_endpoint_close(ep);
}

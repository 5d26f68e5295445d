/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A full tmpfs is a status with the bytes that are missing, never a SIGBUS; who has a ring goes on, and
 *         when there is space again all works.
 * Method  As root: a tmpfs of a few MiB of its own, mounted in a mount namespace that only this test sees.
 */
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { MAX_MSG = 1000, SMALL = 64 * 1024 };
static struct bbt_side *me;
static bool is_mounted;

static void
init(void)
{
    bbt_bus_new();
    me = bbt_side_new();
    me->reader.max = MAX_MSG;
}

static void
fini(void)
{
    if (is_mounted) {
        (void)umount2(bbt_dir(), MNT_DETACH);
    }
    bbt_bus_end();
}

/* False: the reason is printed. */
static bool
mount_small(const char *size)
{
    char opts[64];
    (void)snprintf(opts, sizeof(opts), "size=%s,mode=0700", size);
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0
        || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
        || mount("tmpfs", bbt_dir(), "tmpfs", 0, opts) != 0) {
        return false;
    }
    is_mounted = true;
    return true;
}

static int
try_ring(struct bb_endpoint *ep,
         uint32_t depth,
         uint64_t bytes,
         struct bb_publisher **pub,
         struct bb_error *err)
{
    *err = (struct bb_error){0};
    return bb_publisher_open(pub, ep,
                             &(struct bb_publisher_opts){.size = sizeof(struct bb_publisher_opts),
                                                         .depth = depth,
                                                         .bytes = bytes,
                                                         .error = err});
}

/* Fills what is left to the last page; the descriptor keeps it. */
static int
fill(void)
{
    char path[128];
    static char zeros[4096];
    (void)snprintf(path, sizeof(path), "%s/filler", bbt_dir());
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    while (write(fd, zeros, sizeof(zeros)) > 0) {
    }
    return fd;
}

static void
empty(int fd)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/filler", bbt_dir());
    (void)close(fd);
    (void)unlink(path);
}

static void
say(struct bb_topic *topic, uint64_t *seq, int count)
{
    for (int i = 0; i < count; i++) {
        ++*seq;
        cr_assert_eq(bbt_send(topic, 1, *seq, MAX_MSG, 0), 0);
    }
}

Test(full, the_others_go_on, .init = init, .fini = fini, .timeout = 30)
{
    struct bb_error err;
    struct bb_publisher *pub, *other;
    uint64_t seq = 0;
    if (!mount_small("4m")) {
        cr_skip_test("needs root and the right to mount a tmpfs");
    }
    struct bb_endpoint *ep = bbt_endpoint(me, "writer", 0), *rep = bbt_endpoint(me, "reader", 0);
    struct bb_subscriber *sub = bbt_subscriber(me, rep, "w/", BB_SUBSCRIBER_RELIABLE);
    cr_assert_eq(try_ring(ep, 256, SMALL, &pub, &err), 0, "%s", err.sentence);
    struct bb_topic *topic = bbt_topic(me, pub, 1);
    say(topic, &seq, 50);
    /* The default ring has 9 MiB and more. */
    cr_assert_eq(try_ring(ep, 0, 0, &other, &err), BB_ENOSPC, "%s", err.sentence);
    cr_assert_eq(err.code, BB_ENOSPC);
    unsigned long long needed = 0, left = 0;
    const char *at = strstr(err.sentence, "needs ");
    cr_assert_not_null(at, "%s", err.sentence);
    cr_assert_eq(sscanf(at, "needs %llu bytes and its file system has %llu left", &needed, &left),
                 2, "%s", err.sentence);
    cr_assert(needed > 9u << 20 && needed < 12u << 20, "%s", err.sentence);
    cr_assert(left > 1u << 20 && left < 4u << 20, "%s", err.sentence);
    /* Full to the last page. */
    int fd = fill();
    cr_assert_eq(try_ring(ep, 64, 4096, &other, &err), BB_ENOSPC, "%s", err.sentence);
    struct bb_subscriber *sub2;
    err = (struct bb_error){0};
    cr_assert_eq(bb_subscriber_open(&sub2, rep,
                                    &(struct bb_subscriber_opts){
                                        .size = sizeof(struct bb_subscriber_opts), .error = &err}),
                 BB_ENOSPC, "%s", err.sentence);
    cr_assert_not_null(strstr(err.sentence, "bytes"), "%s", err.sentence);
    /* Rings own their pages: every byte of both can be written several times round. */
    for (int i = 0; i < 20; i++) {
        say(topic, &seq, 100);
        while (bbt_take(me, sub, 0) > 0) {
        }
    }
    BBT_UNTIL((bbt_take(me, sub, 0), bbt_reader_got(&me->reader, 1) == seq), 3000, "%lu of %lu",
              (unsigned long)bbt_reader_got(&me->reader, 1), (unsigned long)seq);
    /* Members attach all the same: a member is a row. */
    struct bb_endpoint *third = bbt_endpoint(me, "third", 0);
    empty(fd);
    cr_assert_eq(try_ring(third, 256, SMALL, &other, &err), 0, "%s", err.sentence);
    cr_assert_eq(try_ring(ep, 0, 0, &other, &err), BB_ENOSPC, "%s", err.sentence);
    bbt_balance(me, sub);
    cr_assert_eq(me->stats.lost, 0);
    bb_endpoint_close(third);
    bb_endpoint_close(rep);
    bb_endpoint_close(ep);
    bbt_gc("full");
}

Test(full, a_bus_cannot_be_made, .init = init, .fini = fini, .timeout = 30)
{
    struct bb_error err = {0};
    struct bb_endpoint *ep;
    const struct bb_endpoint_opts o = {
        .size = sizeof(o), .dir = bbt_dir(), .bus = BBT_BUS, .name = "first", .error = &err};
    char files[256];
    if (!mount_small("1m")) {
        cr_skip_test("needs root and the right to mount a tmpfs");
    }
    int fd = fill();
    int rc = bb_endpoint_open(&ep, &o);
    cr_assert_eq(rc, BB_ENOSPC, "%d %s", rc, err.sentence);
    cr_assert_gt(strlen(err.sentence), 20);
    cr_assert_eq(bbt_files(files, sizeof(files)), 0, "left%s", files);
    empty(fd);
    rc = bb_endpoint_open(&ep, &o);
    cr_assert_eq(rc, 0, "%d %s", rc, err.sentence);
    bb_endpoint_close(ep);
}

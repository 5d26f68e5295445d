/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/acceptance/zero_copy.c - messages go from loan to take; the payload is neither written nor read here.
 *
 * Usage: zero_copy COUNT BYTES.  Fails when a view does not lie inside a mapping of a ring's file, or is not
 * at the same place of that file as the loan was.  zero_copy.sh counts its instructions.
 */
#include <busbar/busbar.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
    unsigned long inode;
    uint64_t off; /* in that file */
    int is_ring; /* its name ends in .ring; the publisher's own mapping was made before it had a name */
};

/* The file and offset that is mapped at p; inode 0 when there is none. */
static struct place
place_of(const void *p)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    struct place found = {0};
    while (maps != NULL && found.inode == 0 && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long from, to, off, inode;
        if (sscanf(line, "%lx-%lx %*s %lx %*s %lu", &from, &to, &off, &inode) == 4
            && (uintptr_t)p >= from && (uintptr_t)p < to) {
            found.inode = inode;
            found.off = (uintptr_t)p - from + off;
            found.is_ring = strstr(line, ".ring") != NULL;
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return found;
}

/* Two mappings of one place of the ring's file. */
static int
is_same_place(const void *view, const void *loan)
{
    struct place v = place_of(view);
    struct place l = place_of(loan);
    return v.is_ring && v.inode != 0 && v.inode == l.inode && v.off == l.off && view != loan;
}

static int
fail(const char *what, int rc)
{
    (void)fprintf(stderr, "zero_copy: %s: %s\n", what, bb_strerror(rc));
    return 1;
}

static int
run(struct bb_subscriber *sub, struct bb_topic *topic, long count, size_t bytes)
{
    for (long i = 0; i < count; i++) {
        struct bb_msg msg;
        void *loan;
        int rc = bb_loan(topic, bytes, &loan);
        rc = rc < 0 ? rc : bb_commit(topic, bytes, BB_RAW);
        rc = rc < 0 ? rc : bb_poll(sub, &msg, 1, 1000000000);
        if (rc != 1 || msg.bytes != bytes) {
            return fail("a message did not arrive", rc);
        }
        if (i == 0 && !is_same_place(msg.data, loan)) {
            return fail("the view is not where the loan was", BB_ECORRUPT);
        }
        if (bb_release(sub) != 0) {
            return fail("a view was overwritten", BB_EOVERRUN);
        }
    }
    return 0;
}

int
main(int argc, char **argv)
{
    const struct bb_endpoint_opts eo = {.size = sizeof(eo), .name = "zero-copy"};
    const struct bb_publisher_opts po = {.size = sizeof(po)};
    const char *prefix = "z";
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_LOOPBACK,
                                          .prefixes = &prefix,
                                          .prefix_count = 1};
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
    struct bb_topic *topic;
    if (argc != 3) {
        return 2;
    }
    int rc = bb_endpoint_open(&ep, &eo);
    rc = rc < 0 ? rc : bb_publisher_open(&pub, ep, &po);
    rc = rc < 0 ? rc : bb_topic_open(&topic, pub, "z", 1);
    rc = rc < 0 ? rc : bb_subscriber_open(&sub, ep, &so);
    if (rc < 0) {
        return fail("cannot attach", rc);
    }
    int verdict = run(sub, topic, strtol(argv[1], NULL, 10), strtoul(argv[2], NULL, 10));
    bb_endpoint_close(ep);
    return verdict;
}

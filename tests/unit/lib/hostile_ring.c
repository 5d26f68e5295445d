/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Whatever numbers a publisher writes into its ring, a poll gives at most as many messages as were asked
 *         for, and comes back.
 * Method  One process, two endpoints; the publisher's ring is scribbled on before the subscriber looks.
 */
#include "lib/endpoint/publisher_impl.h"
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>

enum { DEPTH = 64, BYTES = 4096, ROOM = 2, CANARIES = 64 };

TestSuite(hostile_ring, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 20);

static struct bb_endpoint *
endpoint_new(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

/* A burst of `more` messages behind number n of topic 0, and all that a reader asks before it believes it. */
static void
write_burst(const struct bbi_ring_map *m, uint64_t n, uint32_t more, uint32_t bytes)
{
    struct bbi_desc *d = &m->desc[n & m->desc_mask];
    bbi_store_relaxed(&d->pos, 0);
    bbi_store_relaxed(&d->len, bytes);
    bbi_store_relaxed(&d->tag, 0);
    bbi_store_relaxed(&d->ts, 0);
    bbi_store_relaxed(&d->flags, more << BBI_MORE_SHIFT);
    bbi_store_relaxed(&d->seq, n);
}

/* A subscriber that begins at message n of a ring where that many follow; how many messages it was given at most. */
static void
check_from(uint64_t n, uint32_t more, uint32_t flags)
{
    const char *const all[] = {""};
    const struct bb_publisher_opts po = {.size = sizeof(po), .depth = DEPTH, .bytes = BYTES};
    const struct bb_subscriber_opts so = {
        .size = sizeof(so), .flags = flags, .prefixes = all, .prefix_count = 1};
    struct bb_endpoint *p = endpoint_new("p"), *s = endpoint_new("s");
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
    struct bb_msg msgs[ROOM + CANARIES];
    cr_assert_eq(bb_publisher_open(&pub, p, &po), 0);
    cr_assert_eq(bb_publish_to(pub, "t", 1, "x", 1, 0), 0);
    const struct bbi_ring_map *m = &pub->writer.map;
    write_burst(m, n, more, 8);
    bbi_store_relaxed(&m->hdr->anchors, 0);
    bbi_store_relaxed(&m->hdr->tail_seq, n);
    cr_assert_eq(bb_subscriber_open(&sub, s, &so), 0);
    bbi_store_relaxed(&m->hdr->tail_seq, n + more + 1);
    int given = 0;
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < ROOM + CANARIES; k++) {
            msgs[k].seq = 0xcccc;
            msgs[k].bytes = 0xcccc;
        }
        int got = bb_poll(sub, msgs, ROOM, 0);
        cr_assert_leq(got, ROOM);
        for (int k = got > 0 ? got : 0; k < ROOM + CANARIES; k++) {
            cr_assert_eq(msgs[k].bytes, 0xccccU, "message %d was not asked for", k);
        }
        for (int k = 0; k < got; k++) {
            given += msgs[k].status == NULL;
        }
    }
    cr_assert_leq(given, (int)more + 1);
    cr_assert_gt(given, 0, "the burst at %llu was read at all", (unsigned long long)n);
    bb_endpoint_close(s);
    bb_endpoint_close(p);
}

/* Where numbers wrap: the end of the burst is a small one. */
Test(hostile_ring, no_more_is_given_than_was_asked_for_where_numbers_wrap)
{
    check_from(UINT64_MAX - 3, 15, 0);
    check_from(UINT64_MAX - 3, 15, BB_SUBSCRIBER_COPIES);
}

/* A number below the first: the number in the ring is the highest there is. */
Test(hostile_ring, a_number_below_the_first_does_not_keep_the_reader)
{
    check_from(DEPTH - 2, 0, 0);
    check_from(DEPTH - 2, 7, 0);
    check_from(DEPTH - 2, 7, BB_SUBSCRIBER_COPIES);
}

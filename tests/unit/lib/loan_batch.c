/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    bb_loan_batch() and bb_commit_batch(): what is committed arrives in order, the rest never was;
 *         bb_publish_batch(), which uses them: all of it in order up to the first that is refused, and one flush.
 * Method  One process, two endpoints; a small ring, so that its end and a flush that is due are met.
 */
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>

enum { DEPTH = 64, BYTES = 4096 };

TestSuite(loan_batch, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

static struct bb_endpoint *
endpoint_new(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

struct pair {
    struct bb_endpoint *a, *p;
    struct bb_subscriber *sub;
    struct bb_publisher *pub;
    struct bb_topic *topic;
};

static void
pair_open(struct pair *x, uint32_t topics)
{
    const char *const all[] = {""};
    const struct bb_subscriber_opts so = {
        .size = sizeof(so), .flags = BB_SUBSCRIBER_RELIABLE, .prefixes = all, .prefix_count = 1};
    const struct bb_publisher_opts po = {.size = sizeof(po),
                                         .policy = BB_POLICY_FAIL,
                                         .depth = DEPTH,
                                         .bytes = BYTES,
                                         .topics = topics};
    x->a = endpoint_new("a");
    x->p = endpoint_new("p");
    cr_assert_eq(bb_subscriber_open(&x->sub, x->a, &so), 0);
    cr_assert_eq(bb_publisher_open(&x->pub, x->p, &po), 0);
    cr_assert_eq(bb_topic_open(&x->topic, x->pub, "first", 5), 0);
    cr_assert_eq(bb_topic_open(&x->topic, x->pub, "topic", 5), 0);
}

static void
pair_close(struct pair *x)
{
    bb_endpoint_close(x->a);
    bb_endpoint_close(x->p);
}

/* Takes all that is there; each holds its number, and they come in order. */
static uint64_t
take_all(struct pair *x, uint64_t first)
{
    struct bb_msg msgs[16];
    int n;
    while ((n = bb_poll(x->sub, msgs, 16, 0)) > 0) {
        for (int i = 0; i < n; i++) {
            cr_assert_eq(*(const uint64_t *)msgs[i].data, first++);
            cr_assert_eq(msgs[i].lost, 0U);
        }
    }
    (void)bb_release(x->sub);
    return first;
}

Test(loan_batch, what_is_committed_arrives_in_order_over_many_laps)
{
    struct pair x;
    uint64_t sent = 0, seen = 0;
    pair_open(&x, 0);
    while (sent < 1000) {
        void *data[8];
        size_t used[8];
        int n = bb_loan_batch(x.topic, 40, 8, data);
        cr_assert(n >= 1 && n <= 8, "%d after %llu", n, (unsigned long long)sent);
        for (int i = 0; i < n; i++) {
            *(uint64_t *)data[i] = sent + (uint64_t)i;
            used[i] = 8 + (size_t)i % 3 * 16;
        }
        size_t count = sent % 3 == 0 ? 1 : (size_t)n; /* now and then only the first */
        cr_assert_eq(bb_commit_batch(x.topic, used, count, BB_RAW), 0);
        sent += count;
        seen = take_all(&x, seen);
        cr_assert_eq(seen, sent);
    }
    pair_close(&x);
}

Test(loan_batch, a_topic_that_travels_with_its_messages_goes_one_by_one)
{
    struct pair x;
    void *data[4];
    pair_open(&x, 1); /* the dictionary holds the first topic only */
    cr_assert_eq(bb_loan_batch(x.topic, 8, 4, data), 1);
    *(uint64_t *)data[0] = 0;
    cr_assert_eq(bb_commit_batch(x.topic, NULL, 1, BB_RAW), 0);
    cr_assert_eq(take_all(&x, 0), 1U);
    pair_close(&x);
}

Test(loan_batch, what_makes_no_sense_is_refused)
{
    struct pair x;
    void *data[4], *one;
    const size_t large[] = {8, 9};
    pair_open(&x, 0);
    cr_assert_eq(bb_loan_batch(x.topic, 8, 0, data), BB_EINVAL);
    cr_assert_eq(bb_loan_batch(x.topic, BYTES, 4, data), BB_EMSGSIZE);
    cr_assert_eq(bb_commit_batch(x.topic, NULL, 1, BB_RAW), BB_EINVAL, "nothing on loan");
    cr_assert_eq(bb_loan_batch(x.topic, 8, 2, data), 2);
    cr_assert_eq(bb_loan_batch(x.topic, 8, 2, data), BB_EBUSY);
    cr_assert_eq(bb_loan(x.topic, 8, &one), BB_EBUSY);
    cr_assert_eq(bb_commit_batch(x.topic, NULL, 3, BB_RAW), BB_EINVAL, "more than were lent");
    cr_assert_eq(bb_commit_batch(x.topic, large, 2, BB_RAW), BB_EINVAL, "larger than was lent");
    bb_abort(x.pub);
    cr_assert_eq(take_all(&x, 0), 0U);
    cr_assert_eq(bb_loan(x.topic, 8, &one), 0, "the slots are free again");
    bb_abort(x.pub);
    pair_close(&x);
}

Test(loan_batch, a_reliable_reader_in_the_way_is_not_overrun)
{
    struct pair x;
    uint64_t sent = 0;
    int rc;
    pair_open(&x, 0);
    for (;;) {
        void *data[8];
        rc = bb_loan_batch(x.topic, 32, 8, data);
        if (rc < 0) {
            break;
        }
        for (int i = 0; i < rc; i++) {
            *(uint64_t *)data[i] = sent++;
        }
        cr_assert_eq(bb_commit_batch(x.topic, NULL, (size_t)rc, BB_RAW), 0);
    }
    cr_assert_eq(rc, BB_EAGAIN);
    cr_assert_eq(sent, (uint64_t)DEPTH);
    cr_assert_eq(take_all(&x, 0), sent);
    pair_close(&x);
}

/* Asking for room moves limits: also where a message ends with the ring, and the next one lies at its front. */
Test(loan_batch, asking_for_room_at_the_end_of_the_ring_harms_nothing)
{
    struct pair x;
    uint64_t sent = 0, seen = 0;
    pair_open(&x, 0);
    for (uint64_t pos = 0; pos < 3 * (uint64_t)BYTES; sent++) {
        unsigned char body[272] = {
            0}; /* once, so that the watermark is not at the end just when messages are */
        size_t bytes = sent == 0 ? sizeof(body) : 16;
        memcpy(body, &sent, sizeof(sent));
        if (bb_headroom_messages(x.pub) < 8 || bb_headroom(x.pub) < 512) {
            cr_assert_eq(bb_flush(x.pub), 0);
            seen = take_all(&x, seen);
        }
        (void)bb_headroom(x.pub);
        cr_assert_eq(bb_publish(x.topic, body, bytes, BB_MORE), 0);
        pos += bytes;
    }
    cr_assert_eq(bb_flush(x.pub), 0);
    cr_assert_eq(take_all(&x, seen), sent);
    pair_close(&x);
}

/* Stamps have 32 bits: these two are the same, so both messages may be of one burst, and 275 s lie between them. */
Test(loan_batch, the_same_stamp_of_another_anchor_is_another_time)
{
    struct pair x;
    struct bb_msg msgs[4];
    const int64_t first_ns = INT64_C(1000000000000), later_ns = INT64_C(1) << 38;
    pair_open(&x, 0);
    for (int i = 0; i < 4; i++) {
        void *data;
        cr_assert_eq(bb_loan(x.topic, 8, &data), 0);
        memset(data, 0, 8);
        cr_assert_eq(
            bb_commit_at(x.topic, 8, i < 3 ? BB_MORE : 0, first_ns + (i < 2 ? 0 : later_ns)), 0);
    }
    cr_assert_eq(bb_poll(x.sub, msgs, 4, 0), 4);
    cr_assert_eq(msgs[1].wall_ns, msgs[0].wall_ns);
    cr_assert_eq(msgs[3].wall_ns, msgs[2].wall_ns);
    int64_t off_ns = msgs[2].wall_ns - msgs[1].wall_ns - later_ns;
    cr_assert(off_ns > -1000000000 && off_ns < 1000000000, "%lld ns off", (long long)off_ns);
    pair_close(&x);
}

/* Some alike and some not; each holds its number, and ends with it. */
Test(loan_batch, a_batch_of_copies_arrives_in_order)
{
    enum { MOST = 40 };
    static uint64_t payload[MOST][8];
    struct pair x;
    struct bb_topic *other;
    struct bb_publisher_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    pair_open(&x, 0);
    cr_assert_eq(bb_topic_open(&other, x.pub, "other", 5), 0);
    for (uint64_t sent = 0, round = 0; round < 200; round++) {
        struct bb_out out[MOST];
        size_t count = 1 + round % MOST;
        for (size_t i = 0; i < count; i++) {
            size_t words = 1 + (i / 5 + round) % 3;
            payload[i][0] = payload[i][words - 1] = sent + i;
            out[i] = (struct bb_out){i / 7 % 2 == 0 ? x.topic : other, payload[i], words * 8,
                                     i / 9 % 2 == 0 ? BB_RAW : BB_OPAQUE};
        }
        bb_publisher_stats(x.pub, &before);
        cr_assert_eq(bb_publish_batch(out, count), (int64_t)count);
        bb_publisher_stats(x.pub, &after);
        cr_assert_leq(after.flushes - before.flushes, 1 + count / 16,
                      "a quarter of the ring at a time");
        for (size_t i = 0; i < count; i++) {
            struct bb_msg msg;
            cr_assert_eq(bb_poll(x.sub, &msg, 1, 0), 1);
            const uint64_t *words = msg.data;
            cr_assert_eq(msg.bytes, out[i].bytes);
            cr_assert(words[0] == sent + i && words[msg.bytes / 8 - 1] == sent + i);
            cr_assert_eq(msg.attr, out[i].attr);
            cr_assert_eq(msg.topic[0], out[i].topic == other ? 'o' : 't');
        }
        (void)bb_release(x.sub);
        sent += count;
    }
    pair_close(&x);
}

Test(loan_batch, a_batch_of_copies_goes_up_to_the_first_that_is_refused)
{
    struct pair x;
    static uint64_t payload[BYTES / 8];
    pair_open(&x, 0);
    struct bb_out out[4];
    for (int i = 0; i < 4; i++) {
        out[i] = (struct bb_out){x.topic, payload, 8, BB_RAW};
    }
    out[2].bytes = BYTES; /* larger than this ring takes */
    cr_assert_eq(bb_publish_batch(out, 4), 2);
    cr_assert_eq(bb_publish_batch(out + 2, 2), BB_EMSGSIZE);
    out[2] = out[3] = (struct bb_out){x.topic, payload, 8, BB_BRIDGED};
    cr_assert_eq(bb_publish_batch(out + 2, 2), BB_EINVAL);
    cr_assert_eq(bb_publish_batch(out, 2), 2, "nothing is left on loan");
    struct bb_msg msgs[8];
    cr_assert_eq(bb_poll(x.sub, msgs, 8, 0), 4);
    pair_close(&x);
}

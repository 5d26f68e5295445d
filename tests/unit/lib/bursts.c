/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    bb_poll_bursts() gives what bb_poll() gives, in fewer pieces: the same messages, losses and statuses.
 * Method  Two subscribers of one publisher, or one that is asked both ways; streams of known and of random shape.
 */
#include "lib/endpoint/for_cluster.h"
#include "tests/unit/lib/random_value.h"
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>
#include <stdlib.h>

enum { DEPTH = 256, BYTES = 16384, MOST = 24, TOPICS = 3 };

TestSuite(bursts, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

struct pair {
    struct bb_endpoint *reader, *writer;
    struct bb_subscriber *sub, *twin;
    struct bb_publisher *pub;
    struct bb_topic *topic[TOPICS];
};

static struct bb_endpoint *
endpoint_new(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

static struct bb_subscriber *
subscriber_new(struct bb_endpoint *ep, uint32_t flags)
{
    const char *const all[] = {""};
    struct bb_subscriber *sub = NULL;
    const struct bb_subscriber_opts o = {
        .size = sizeof(o), .flags = flags, .prefixes = all, .prefix_count = 1};
    cr_assert_eq(bb_subscriber_open(&sub, ep, &o), 0);
    return sub;
}

static struct pair
pair_open(uint32_t flags, uint32_t policy)
{
    static const char *const names[TOPICS] = {"zero", "one", "two"};
    struct pair x = {.reader = endpoint_new("reader"), .writer = endpoint_new("writer")};
    const struct bb_publisher_opts po = {
        .size = sizeof(po), .policy = policy, .depth = DEPTH, .bytes = BYTES};
    x.sub = subscriber_new(x.reader, flags);
    x.twin = subscriber_new(x.reader, flags);
    cr_assert_eq(bb_publisher_open(&x.pub, x.writer, &po), 0);
    for (int i = 0; i < TOPICS; i++) {
        cr_assert_eq(bb_topic_open(&x.topic[i], x.pub, names[i], strlen(names[i])), 0);
    }
    return x;
}

static void
pair_close(struct pair *x)
{
    bb_endpoint_close(x->reader);
    bb_endpoint_close(x->writer);
}

/* count messages side by side, each with its number in all its words; without a flush. */
static void
commit_some(struct pair *x, int topic, size_t bytes, int count, uint64_t *number)
{
    void *data[MOST];
    while (count > 0) {
        int n = bb_loan_batch(x->topic[topic], bytes, (size_t)count, data);
        cr_assert_gt(n, 0);
        for (int i = 0; i < n; i++, ++*number) {
            for (size_t w = 0; w < bytes / 8; w++) {
                ((uint64_t *)data[i])[w] = *number;
            }
        }
        cr_assert_eq(bb_commit_batch(x->topic[topic], NULL, (size_t)n, BB_RAW | BB_MORE), 0);
        count -= n;
    }
}

static void
publish_batch(struct pair *x, int topic, size_t bytes, int count, uint64_t *number)
{
    commit_some(x, topic, bytes, count, number);
    cr_assert_eq(bb_flush(x->pub), 0);
}

static void
check_same(const struct bb_msg *a, const struct bb_msg *b)
{
    cr_assert_eq(a->seq, b->seq);
    cr_assert_eq(a->bytes, b->bytes);
    cr_assert_eq(a->topic_bytes, b->topic_bytes);
    cr_assert_eq(memcmp(a->topic, b->topic, a->topic_bytes), 0);
    cr_assert_eq(memcmp(a->data, b->data, a->bytes), 0);
    cr_assert_eq(strcmp(a->node, b->node), 0);
    cr_assert_eq(a->node_id, b->node_id);
    cr_assert_eq(a->wall_ns, b->wall_ns);
    cr_assert_eq(a->lost, b->lost);
    cr_assert_eq(a->attr, b->attr);
    cr_assert_eq(a->ring, b->ring);
}

Test(bursts, a_batch_is_one)
{
    struct pair x = pair_open(BB_SUBSCRIBER_RELIABLE, BB_POLICY_FAIL);
    struct bb_burst burst[2];
    uint64_t number = 0;
    publish_batch(&x, 1, 40, 8, &number);
    cr_assert_eq(bb_poll_bursts(x.sub, burst, 2, 0), 1);
    cr_assert_eq(burst[0].count, 8);
    cr_assert_eq(burst[0].stride, 48U, "at multiples of 16");
    for (uint32_t i = 0; i < 8; i++) {
        const struct bb_msg msg = bb_burst_msg(&burst[0], i);
        cr_assert_eq(msg.seq, i + 1);
        cr_assert_eq(msg.lost, 0U);
        cr_assert_eq(msg.bytes, 40U);
        cr_assert(msg.topic_bytes == 3 && memcmp(msg.topic, "one", 3) == 0);
        cr_assert_eq(((const uint64_t *)msg.data)[4], i);
        cr_assert(bb_msg_valid(x.sub, &msg));
    }
    cr_assert_eq(bb_poll_bursts(x.sub, burst, 2, 0), 0);
    pair_close(&x);
}

/* All that both have to say, compared; how many messages. */
static uint64_t
compare(struct pair *x, size_t room)
{
    struct bb_burst bursts[MOST];
    struct bb_msg msgs[DEPTH];
    uint64_t seen = 0;
    int n, held = 0, at = 0;
    while ((n = bb_poll_bursts(x->sub, bursts, room, 0)) > 0) {
        cr_assert_leq((size_t)n, room);
        for (int b = 0; b < n; b++) {
            for (uint32_t i = 0; i < bursts[b].count; i++, seen++) {
                if (at == held) {
                    held = bb_poll(x->twin, msgs, DEPTH, 0);
                    at = 0;
                    cr_assert_gt(held, 0);
                }
                const struct bb_msg msg = bb_burst_msg(&bursts[b], i);
                check_same(&msg, &msgs[at++]);
            }
        }
    }
    cr_assert_eq(n, 0);
    cr_assert_eq(at, held);
    cr_assert_eq(bb_poll(x->twin, msgs, DEPTH, 0), 0);
    (void)bb_release(x->sub);
    (void)bb_release(x->twin);
    return seen;
}

static void
random_streams(const char *test, uint32_t flags)
{
    static const size_t sizes[] = {0, 8, 16, 40, 64, 200, 600};
    rnd_seed(test);
    struct pair x = pair_open(flags, BB_POLICY_FAIL);
    uint64_t sent = 0, seen = 0;
    for (int round = 0; round < 2000; round++) {
        for (uint32_t part = rnd_below(4) + 1; part > 0; part--) {
            commit_some(&x, (int)rnd_below(TOPICS), sizes[rnd_below(7)], (int)rnd_below(6) + 1,
                        &sent);
        }
        cr_assert_eq(bb_flush(x.pub), 0);
        seen += compare(&x, rnd_below(MOST) + 1);
    }
    cr_assert_eq(seen, sent);
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    bb_subscriber_stats(x.sub, &st);
    cr_assert_eq(st.delivered, sent);
    cr_assert_eq(st.lost + st.filtered, 0U);
    pair_close(&x);
}

Test(bursts, views_are_the_messages)
{
    random_streams("bursts/views", BB_SUBSCRIBER_RELIABLE);
}

Test(bursts, copies_are_the_messages)
{
    random_streams("bursts/copies", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_COPIES);
}

Test(bursts, so_many_messages_and_no_more)
{
    enum { ALL = 768 };
    struct bb_endpoint *reader = endpoint_new("reader"), *writer = endpoint_new("writer");
    struct pair x = {.reader = reader, .writer = writer};
    const struct bb_publisher_opts po = {.size = sizeof(po), .policy = BB_POLICY_FAIL};
    struct bb_burst bursts[ALL];
    uint64_t number = 0, seen = 0;
    x.sub = subscriber_new(reader, BB_SUBSCRIBER_RELIABLE);
    cr_assert_eq(bb_publisher_open(&x.pub, writer, &po), 0);
    cr_assert_eq(bb_topic_open(&x.topic[0], x.pub, "zero", 4), 0);
    for (int i = 0; i < ALL / 16; i++) {
        publish_batch(&x, 0, 8, 16, &number);
    }
    int polls = 0;
    for (int n; (n = bb_poll_bursts(x.sub, bursts, ALL, 0)) > 0; polls++) {
        uint64_t messages = 0;
        for (int b = 0; b < n; b++) {
            messages += bursts[b].count;
        }
        cr_assert_leq(messages, 256U);
        seen += messages;
    }
    cr_assert_eq(seen, number);
    cr_assert_eq(polls, ALL / 256);
    pair_close(&x);
}

static size_t
bytes_of_a_visit(uint32_t flags)
{
    enum { ALL = 256, SIZE = 1000 };
    struct pair x = {.reader = endpoint_new("reader"), .writer = endpoint_new("writer")};
    const struct bb_publisher_opts po = {.size = sizeof(po), .policy = BB_POLICY_FAIL};
    struct bb_burst bursts[ALL];
    uint64_t number = 0;
    size_t bytes = 0;
    x.sub = subscriber_new(x.reader, BB_SUBSCRIBER_RELIABLE | flags);
    cr_assert_eq(bb_publisher_open(&x.pub, x.writer, &po), 0);
    cr_assert_eq(bb_topic_open(&x.topic[0], x.pub, "zero", 4), 0);
    for (int i = 0; i < ALL / 16; i++) {
        publish_batch(&x, 0, SIZE, 16, &number);
    }
    cr_assert_gt(bb_poll_bursts(x.sub, bursts, 1, 0),
                 0); /* of copies, this one makes room for others */
    int n = bb_poll_bursts(x.sub, bursts, ALL, 0);
    for (int b = 0; b < n; b++) {
        bytes += bursts[b].count * bursts[b].first.bytes;
    }
    pair_close(&x);
    return bytes;
}

/* So that the other rings have their turn. */
Test(bursts, so_many_bytes_and_one_message)
{
    size_t views = bytes_of_a_visit(0), copies = bytes_of_a_visit(BB_SUBSCRIBER_COPIES);
    cr_assert(views >= 65536 && views < 65536 + 1000, "%zu", views);
    cr_assert(copies >= 65536 && copies < 65536 + 1000, "%zu", copies);
}

/* Some of a burst are written over while the caller holds it. */
Test(bursts, what_is_written_over_is_lost_once)
{
    struct pair x = pair_open(BB_SUBSCRIBER_VIEWS, BB_POLICY_EVICT);
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    struct bb_burst burst;
    uint64_t number = 0;
    int whole = 0;
    publish_batch(&x, 0, 512, 8, &number);
    cr_assert_eq(bb_poll_bursts(x.sub, &burst, 1, 0), 1);
    cr_assert_eq(burst.count, 8);
    const struct bb_msg second = bb_burst_msg(&burst, 1);
    cr_assert(bbi_msg_was_copied(x.sub, &second), "and is delivered, whatever happens to it now");
    for (int i = 0; i < 28; i++) { /* 32 fill the ring */
        publish_batch(&x, 0, 512, 1, &number);
    }
    for (uint32_t i = 0; i < 8; i++) {
        const struct bb_msg msg = bb_burst_msg(&burst, i);
        whole += bb_msg_valid(x.sub, &msg);
    }
    cr_assert(whole > 0 && whole < 7, "%d of 8: nothing is tested", whole);
    cr_assert_eq(bb_release(x.sub), 8 - whole - 1);
    bb_subscriber_stats(x.sub, &st);
    cr_assert_eq(st.delivered, (uint64_t)whole + 1);
    cr_assert_eq(st.lost, (uint64_t)(8 - whole - 1));
    cr_assert_eq(bb_poll_bursts(x.sub, &burst, 1, 0), 1);
    cr_assert_geq(burst.first.lost, (uint64_t)(8 - whole - 1), "told with the next message");
    pair_close(&x);
}

static int
stop_at_once(const struct bb_msg *msg, void *user)
{
    (void)msg;
    *(int *)user += 1;
    return 1;
}

Test(bursts, what_a_callback_left_comes_first)
{
    struct pair x = pair_open(BB_SUBSCRIBER_RELIABLE, BB_POLICY_FAIL);
    struct bb_burst bursts[MOST];
    uint64_t number = 0;
    int called = 0;
    publish_batch(&x, 0, 8, 5, &number);
    cr_assert_eq(bb_dispatch(x.sub, 10, 0, stop_at_once, &called), 1);
    cr_assert_eq(bb_poll_bursts(x.sub, bursts, MOST, 0), 4);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(bursts[i].count, 1U);
        cr_assert_eq(bursts[i].first.seq, i + 2);
    }
    pair_close(&x);
}

Test(bursts, a_status_is_a_burst_of_one)
{
    struct bb_endpoint *reader = endpoint_new("reader");
    struct bb_subscriber *sub = subscriber_new(reader, BB_SUBSCRIBER_STATUS);
    struct bb_endpoint *writer = endpoint_new("writer");
    struct bb_burst burst;
    do {
        cr_assert_eq(bb_poll_bursts(sub, &burst, 1, INT64_C(5000000000)), 1);
        cr_assert_neq(burst.first.status, NULL);
        cr_assert_eq(burst.count, 1U);
    } while (strcmp(burst.first.node, "writer") != 0);
    cr_assert_eq(burst.first.status->kind, BB_STATUS_JOINED);
    bb_endpoint_close(writer);
    bb_endpoint_close(reader);
}

Test(bursts, wrong_arguments)
{
    struct pair x = pair_open(BB_SUBSCRIBER_RELIABLE, BB_POLICY_FAIL);
    struct bb_burst burst;
    cr_assert_eq(bb_poll_bursts(x.sub, &burst, 0, 0), BB_EINVAL);
    pair_close(&x);
}

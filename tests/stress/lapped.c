/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: two lossy subscribers of a very small ring, which a publisher at full speed writes over all the time: each copy that
 * bb_poll() or bb_poll_bursts() hands out is whole and is the message that its number says, and all are accounted for.
 * Method: threads with an endpoint each; batches of one size as bursts, several sizes in turn; the words of a payload
 * follow from the message's number.
 */
#include "tests/stress/api.h"

enum { DEPTH = 64, PAY = 4096, BATCH = 8, SUBS = 2, ROOM = 16, PAUSE_EVERY = 4096 };

static bbi_u32 is_done, subscribed;
static uint64_t published; /* by the publisher; read after it is joined */

static size_t
words_of(uint64_t seq)
{
    static const size_t words[] = {1, 2, 8, 13};
    return words[seq / (8 * BATCH) % 4];
}

static uint64_t
word_of(uint64_t seq, size_t i)
{
    return (seq + i) * UINT64_C(0x9e3779b97f4a7c15);
}

/* The next messages, all of a size: numbers begin at 1. */
static int
publish_some(struct bb_topic *topic, uint64_t *seq)
{
    void *room[BATCH];
    size_t words = words_of(*seq);
    int n = bb_loan_batch(topic, words * 8, BATCH - *seq % BATCH, room);
    for (int i = 0; i < n; i++, ++*seq) {
        for (size_t w = 0; w < words; w++) {
            bbi_store_release(&((bbi_u64 *)room[i])[w],
                              word_of(*seq, w)); /* ordered where TSan looks */
        }
    }
    return n < 0 ? n : bb_commit_batch(topic, NULL, (size_t)n, BB_RAW);
}

static void *
publish_all(void *user)
{
    struct bb_topic *topic = user;
    uint64_t seq = 1;
    while (!stress_is_over(85)) {
        int rc = publish_some(topic, &seq);
        MUST(rc == 0, "publish: %d", rc);
        if (seq % PAUSE_EVERY == 0) {
            bbi_os_sleep_ns(100000); /* readers reach the tail now and then */
        }
    }
    published = seq - 1;
    bbi_store_seq_cst(&is_done, 1);
    return NULL;
}

struct reader {
    int number;
    uint64_t next; /* number that comes, when nothing is lost */
    uint64_t whole, torn, wrong;
};

static void
look_at(struct reader *r, const struct bb_msg *msg)
{
    size_t words = words_of(msg->seq);
    r->wrong += msg->bytes != words * 8 || msg->seq != r->next + msg->lost;
    r->next = msg->seq + 1;
    bool is_whole = msg->bytes == words * 8;
    for (size_t w = 0; is_whole && w < words; w++) {
        uint64_t word;
        memcpy(&word, (const unsigned char *)msg->data + 8 * w, sizeof(word));
        is_whole = word == word_of(msg->seq, w);
    }
    r->whole += is_whole;
    r->torn += !is_whole;
}

static int
take_messages(struct reader *r, struct bb_subscriber *sub)
{
    struct bb_msg msgs[ROOM];
    int n = bb_poll(sub, msgs, ROOM, MS_NS);
    for (int i = 0; i < n; i++) {
        look_at(r, &msgs[i]);
    }
    return n;
}

static int
take_bursts(struct reader *r, struct bb_subscriber *sub)
{
    struct bb_burst bursts[ROOM];
    int n = bb_poll_bursts(sub, bursts, ROOM, MS_NS);
    for (int b = 0; b < n; b++) {
        for (uint32_t i = 0; i < bursts[b].count; i++) {
            const struct bb_msg msg = bb_burst_msg(&bursts[b], i);
            look_at(r, &msg);
        }
    }
    return n;
}

static void *
read_all(void *user)
{
    static const char *const names[SUBS] = {"messages", "bursts"};
    struct reader *r = user;
    struct bb_endpoint *ep = endpoint_open(names[r->number]);
    struct bb_subscriber *sub = NULL;
    const struct bb_subscriber_opts o = {.size = sizeof(o),
                                         .wait = BB_WAIT_SPIN,
                                         .prefixes = (const char *const[]){""},
                                         .prefix_count = 1};
    MUST(bb_subscriber_open(&sub, ep, &o) == 0, "no subscriber");
    (void)bbi_fetch_add_relaxed(&subscribed, 1);
    for (int n = 1; n > 0 || bbi_load_seq_cst(&is_done) == 0;) {
        n = r->number == 0 ? take_messages(r, sub) : take_bursts(r, sub);
        MUST(n >= 0, "poll: %d", n);
    }
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    bb_subscriber_stats(sub, &st);
    CHECK(r->torn == 0, "%s: %" PRIu64 " of %" PRIu64, names[r->number], r->torn,
          r->whole + r->torn);
    CHECK(r->wrong == 0, "%s: %" PRIu64 " of %" PRIu64, names[r->number], r->wrong, r->whole);
    CHECK(st.delivered == r->whole && st.messages == st.delivered + st.lost + st.filtered, "%s",
          names[r->number]);
    CHECK(st.messages == published && st.lost > 0,
          "%s: %" PRIu64 " of %" PRIu64 ", %" PRIu64 " lost", names[r->number], st.messages,
          published, st.lost);
    bb_endpoint_close(ep);
    return NULL;
}

int
main(void)
{
    static struct reader readers[SUBS] = {{.number = 0, .next = 1}, {.number = 1, .next = 1}};
    pthread_t threads[SUBS], publisher;
    struct bb_publisher *pub = NULL;
    struct bb_topic *topic = NULL;
    stress_start("lapped");
    stress_dir_make();
    for (int i = 0; i < SUBS; i++) {
        threads[i] = stress_thread(read_all, &readers[i]);
    }
    while (bbi_load_seq_cst(&subscribed) < SUBS) {
        bbi_os_sleep_ns(MS_NS);
    }
    struct bb_endpoint *ep = endpoint_open("writer");
    const struct bb_publisher_opts o = {.size = sizeof(o), .depth = DEPTH, .bytes = PAY};
    MUST(bb_publisher_open(&pub, ep, &o) == 0 && bb_topic_open(&topic, pub, "t", 1) == 0,
         "no publisher");
    publisher = stress_thread(publish_all, topic);
    (void)pthread_join(publisher, NULL);
    for (int i = 0; i < SUBS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    bb_endpoint_close(ep);
    return stress_end();
}

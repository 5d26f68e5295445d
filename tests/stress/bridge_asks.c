/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: threads that ask the busbard through one endpoint, and so through one ring, harm neither each other nor the bus:
 * each gets the answer to its own question, also while busbards come and go, and the bus holds a few rings only.
 * Method: three threads ask, a fourth plays one busbard after the other and answers with the number that it was asked
 * for; a subscriber that never reads looks on.  What is left at the end is counted.
 */
#include "lib/endpoint/bridge_words.h"
#include "tests/stress/api.h"
#include <busbar/bridge.h>
#include <busbar/request.h>

enum { ASKERS = 3, RINGS = 64, MOST_RINGS = 16 };

static struct bb_endpoint *shared;
static bbi_u32 is_over;
static bbi_u64 answered, unanswered;

/* The host's number is the port that busbard says it listens at; a link's number is its place. */
static void
answer(struct bb_publisher *pub, const struct bb_request_info *to, const struct bbi_bridge_ask *ask)
{
    unsigned char buf[BBI_BRIDGE_ANSWER_MAX];
    struct bb_link_info links[2] = {{.sent = 1}, {.sent = 2}};
    struct bbi_bridge_answer a = {.port = (uint32_t)atoi(ask->host), /* NOLINT(cert-err34-c) */
                                  .count = ask->max};
    int64_t bytes = bbi_bridge_answer_write(
        buf, sizeof(buf), &a,
        &(struct bbi_bridge_answer_parts){.links = links, .link_count = ask->max});
    int rc = bytes < 0 ? (int)bytes : bb_reply(pub, to, buf, (size_t)bytes, BB_VALUE);
    CHECK(rc == 0 || rc == BB_EPEERGONE, "reply: %d", rc);
}

static void
serve(struct bb_subscriber *sub, struct bb_publisher *pub, uint64_t polls)
{
    for (; polls > 0; polls--) {
        struct bb_msg m;
        struct bb_request_info to;
        struct bbi_bridge_ask ask;
        struct bbi_fault f;
        if (bb_poll(sub, &m, 1, 3 * MS_NS) == 1 && bb_msg_request(&m, &to) == 0) {
            int kind = bbi_bridge_ask_read(&ask, m.data, m.bytes, &f);
            MUST(kind >= 0, "what was asked cannot be read: %d", kind);
            answer(pub, &to, &ask);
        }
    }
}

static void *
be_busbards(void *user)
{
    uint64_t rnd = stress_stream(99);
    (void)user;
    while (bbi_load_seq_cst(&is_over) == 0) {
        struct bb_endpoint *ep = endpoint_open(BBI_BRIDGE_NODE);
        struct bb_publisher *pub = publisher_open(ep, 0, 0, BB_POLICY_EVICT, 0, 0);
        struct bb_subscriber *sub = subscriber_open(ep, 0, BB_WAIT_HYBRID, BBI_BRIDGE_PREFIX);
        serve(sub, pub, 20 + stress_random(&rnd) % 200);
        bb_endpoint_close(ep);
    }
    return NULL;
}

/* Nobody there, gone meanwhile, or silent since it began behind the question: all are answers while busbards come and go. */
static bool
is_expected(int rc)
{
    return rc == BB_ENORESPONDERS || rc == BB_EPEERGONE || rc == BB_ETIMEDOUT;
}

static void
note(int rc, bool is_right, const struct bb_error *error)
{
    CHECK(rc < 0 ? is_expected(rc) : is_right, "%d: %s", rc, error->sentence);
    (void)bbi_fetch_add_relaxed(rc < 0 ? &unanswered : &answered, 1);
}

static void *
ask(void *user)
{
    uint64_t rnd = stress_stream((uint64_t)(intptr_t)user);
    while (!stress_is_over(80)) {
        struct bb_error error = {0};
        uint16_t port = 0;
        uint64_t number = 1 + stress_random(&rnd) % 60000;
        char host[16];
        (void)snprintf(host, sizeof(host), "%" PRIu64, number);
        const struct bb_link_opts o = {
            .size = sizeof(o), .timeout_ns = 100 * MS_NS, .error = &error};
        int rc = bb_listen(shared, host, 1, &o, &port);
        note(rc, port == number, &error);
        if (number % 4 == 0) {
            struct bb_link_info links[2] = {0};
            size_t max = number % 3;
            rc = bb_bridge_links(shared, links, max, &error);
            note(rc, rc == (int)max && links[0].sent == (max > 0) && links[1].sent == 2 * (max > 1),
                 &error);
        }
    }
    return NULL;
}

/* Rings of the endpoint that is asked through. */
static int
count_rings(void)
{
    struct bb_ring_info rings[RINGS];
    struct bb_look *look = NULL;
    int rc = bb_look_open(
        &look,
        &(struct bb_look_opts){.size = sizeof(struct bb_look_opts), .dir = stress_dir, .bus = "b"});
    MUST(rc == 0, "look: %d", rc);
    int n = bb_look_rings(look, rings, RINGS);
    int own = 0;
    for (int i = 0; i < n && i < RINGS; i++) {
        own += strcmp(rings[i].node, "shared") == 0;
    }
    bb_look_close(look);
    return own;
}

int
main(void)
{
    pthread_t askers[ASKERS];
    stress_start("stress/bridge_asks");
    stress_dir_make();
    shared = endpoint_open("shared");
    struct bb_endpoint *idle = endpoint_open("idle");
    (void)subscriber_open(idle, 0, BB_WAIT_SLEEP, "/of/its/own"); /* never read */
    pthread_t busbards = stress_thread(be_busbards, NULL);
    for (intptr_t i = 0; i < ASKERS; i++) {
        askers[i] = stress_thread(ask, (void *)i);
    }
    for (int i = 0; i < ASKERS; i++) {
        (void)pthread_join(askers[i], NULL);
    }
    int rings = count_rings();
    bbi_store_seq_cst(&is_over, 1);
    (void)pthread_join(busbards, NULL);
    /* One, and those that it gave up since no answer came in time. */
    CHECK(rings >= 1 && rings <= MOST_RINGS, "%d rings", rings);
    CHECK(bbi_load_seq_cst(&answered) > 0, "nothing was answered");
    (void)printf("%" PRIu64 " answered, %" PRIu64 " not, %d rings\n", bbi_load_seq_cst(&answered),
                 bbi_load_seq_cst(&unanswered), rings);
    bb_endpoint_close(idle);
    bb_endpoint_close(shared);
    return stress_end();
}

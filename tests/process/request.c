/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A responder or requester that is killed or stopped anywhere harms nobody: who waits for it is told
 *         soon or at the deadline, the others are answered meanwhile, and every count stays exact.
 * Method  A child plays the part and kills or stops itself at a hook, at a different hit each time; the test
 *         plays the other part, beside a third process that is well.
 */
#include "busbar/request.h"
#include "shm/os.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

enum { READY = 1, PATIENCE_MS = 20000 };
static const int64_t LONG_NS = INT64_C(20000000000);

/* Without the kill points nobody can be stopped at one. */
static void
make_bus(void)
{
#if !defined(BB_HOOKS) || !BB_HOOKS
    cr_skip_test("this build has no hooks (BB_HOOKS)");
#endif
    bbt_bus_new();
}

TestSuite(request, .init = make_bus, .fini = bbt_bus_end, .timeout = 110);

/* Where, and at which hits. */
static const struct stop {
    const char *hook;
    uint32_t first, last;
} STOPS[] = {{"request:filled", 1, 4}, {"ring:claimed", 1, 4}, {"ring:counted", 1, 4},
             {"ring:committed", 1, 4}, {"ring:flushed", 1, 4}, {"wake:armed", 1, 2}};
enum { STOP_COUNT = sizeof(STOPS) / sizeof(STOPS[0]) };

struct part {
    const char *name;
    const char *hook; /* NULL: it is well */
    uint32_t hit;
    int sig;
};

/* Answers with three parts, until it is killed. */
static void
responder(struct bbt_side *side, const void *arg)
{
    const struct part *part = arg;
    if (part->hook != NULL) {
        bbt_hook_arm(side, part->hook, part->hit, part->sig);
    }
    struct bb_endpoint *ep = bbt_endpoint(side, part->name, 0);
    const struct bb_publisher_opts o = {.size = sizeof(o), .lane = BB_LANE_ONESHOT};
    struct bb_publisher *pub = bbt_publisher(side, ep, &o);
    struct bb_subscriber *sub = bbt_subscriber(side, ep, "q", 0);
    bbt_at(side, READY);
    for (;;) {
        struct bb_msg m;
        struct bb_request_info to;
        if (bb_poll(sub, &m, 1, LONG_NS) == 1 && bb_msg_request(&m, &to) == 0) {
            (void)!bb_reply(pub, &to, "a", 1, BB_RAW | BB_REPLY_MORE);
            (void)!bb_reply(pub, &to, "b", 1, BB_RAW | BB_REPLY_MORE | BB_MORE);
            (void)!bb_reply(pub, &to, "c", 1, BB_RAW);
        }
    }
}

/* Asks, again and again, until it is killed. */
static void
requester(struct bbt_side *side, const void *arg)
{
    const struct part *part = arg;
    bbt_hook_arm(side, part->hook, part->hit, part->sig);
    struct bb_endpoint *ep = bbt_endpoint(side, part->name, 0);
    const struct bb_publisher_opts o = {.size = sizeof(o), .lane = BB_LANE_ONESHOT};
    struct bb_publisher *pub = bbt_publisher(side, ep, &o);
    struct bb_topic *topic = NULL;
    BBT_CHECK(side, bb_topic_open(&topic, pub, "q", 1) == 0, "the topic");
    bbt_at(side, READY);
    for (;;) {
        const struct bb_request_opts ro = {.size = sizeof(ro), .timeout_ns = LONG_NS};
        struct bb_msg m;
        int rc = bb_call(topic, "?", 1, BB_RAW, &ro, &m);
        BBT_CHECK(side, rc == 0, "bb_call: %s", bb_strerror(rc));
    }
}

/* The test's own part. */
struct asker {
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
    struct bb_topic *topic;
};

static struct asker
asker_new(void)
{
    struct asker a = {0};
    const struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bbt_dir(), .bus = BBT_BUS, .name = "asker"};
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_ONESHOT};
    const struct bb_subscriber_opts so = {.size = sizeof(so)};
    cr_assert_eq(bb_endpoint_open(&a.ep, &eo), 0);
    cr_assert_eq(bb_publisher_open(&a.pub, a.ep, &po), 0);
    cr_assert_eq(bb_subscriber_open(&a.sub, a.ep, &so), 0);
    cr_assert_eq(bb_topic_open(&a.topic, a.pub, "q", 1), 0);
    return a;
}

/* One request to all, until its end; replies of each name are counted and have to come in order. */
struct outcome {
    struct bb_reply_info end;
    char well[8], other[8];
};

static struct outcome
ask(struct asker *a, int64_t timeout_ns)
{
    struct outcome out = {.end = {.is_end = 0}};
    const struct bb_request_opts o = {.size = sizeof(o), .timeout_ns = timeout_ns};
    int64_t deadline = bbt_now_ms() + bbt_ms(PATIENCE_MS);
    uint64_t id = 0;
    int rc = bb_request(a->topic, a->sub, "?", 1, BB_RAW, &o, &id);
    cr_assert_eq(rc, 0, "%s", bb_strerror(rc));
    while (out.end.is_end == 0) {
        struct bb_msg m;
        struct bb_reply_info info;
        cr_assert_lt(bbt_now_ms(), deadline, "no end came");
        if (bb_poll(a->sub, &m, 1, LONG_NS) != 1) {
            continue;
        }
        cr_assert_eq(bb_msg_reply(&m, &info), 0);
        cr_assert_eq(info.id, id, "of another request");
        if (info.is_end != 0) {
            out.end = info;
        } else {
            char *said = strcmp(m.node, "well") == 0 ? out.well : out.other;
            cr_assert_lt(strlen(said), 3U);
            (void)strncat(said, m.data, 1);
        }
    }
    return out;
}

/* Whoever is not polled while others ask as fast as they can may be lapped by a ring of 256 messages. */
static void
check_balance(const struct asker *a, bool may_be_lapped)
{
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    bb_subscriber_stats(a->sub, &st);
    cr_assert_eq(st.messages, st.delivered + st.filtered + st.lost);
    cr_assert(may_be_lapped || st.lost == 0, "%llu lost", (unsigned long long)st.lost);
    cr_assert_eq(st.requests, 0U);
}

/* Until it has subscribed: one that is just doing so may be asked, and begin behind the request. */
static void
start(struct bbt_child *c, const struct part *part)
{
    int64_t deadline = bbt_now_ms() + bbt_ms(PATIENCE_MS);
    bbt_fork(c, part->name, responder, part);
    while (bbi_load_acquire(&c->side->at) < READY) {
        cr_assert_lt(bbt_now_ms(), deadline, "it does not start");
        bbt_nap();
    }
}

Test(request, killed_responder)
{
    const struct part healthy = {.name = "well"};
    struct asker a = asker_new();
    struct bbt_child well;
    int gone = 0;
    start(&well, &healthy);
    for (int s = 0; s < STOP_COUNT; s++) {
        for (uint32_t hit = STOPS[s].first; hit <= STOPS[s].last; hit++) {
            const struct part sick = {
                .name = "sick", .hook = STOPS[s].hook, .hit = hit, .sig = SIGKILL};
            struct bbt_child c;
            start(&c, &sick);
            for (int round = 0; bbi_load_acquire(&c.side->hit) == 0 && round < 1000; round++) {
                struct outcome out = ask(&a, LONG_NS);
                cr_assert_str_eq(out.well, "abc", "%s:%u", sick.hook, hit);
                cr_assert_eq(strncmp("abc", out.other, strlen(out.other)), 0, "%s", out.other);
                bool is_whole = out.end.answers == out.end.asked;
                cr_assert_eq(out.end.code, is_whole ? (int)BB_EEND : (int)BB_EPEERGONE, "%s:%u: %s",
                             sick.hook, hit, bb_strerror(out.end.code));
                gone += !is_whole;
            }
            bbt_wait_kill(&c, PATIENCE_MS);
            /* Within 10 ms it may still count as there. */
            BBT_UNTIL(ask(&a, LONG_NS).end.asked == 1, PATIENCE_MS, "the dead are asked");
        }
    }
    cr_assert_geq(gone, 5, "hardly any died with a request: the test tests nothing");
    check_balance(&a, false);
    bbt_signal(&well, SIGKILL);
    bbt_wait_kill(&well, PATIENCE_MS);
    bb_endpoint_close(a.ep);
    bbt_gc("killed responders");
}

Test(request, stopped_responder)
{
    const struct part healthy = {.name = "well"};
    struct asker a = asker_new();
    struct bbt_child well;
    start(&well, &healthy);
    for (int s = 0; s < STOP_COUNT; s++) {
        const struct part sick = {
            .name = "sick", .hook = STOPS[s].hook, .hit = STOPS[s].first, .sig = SIGSTOP};
        struct bbt_child c;
        start(&c, &sick);
        for (int round = 0; bbi_load_acquire(&c.side->hit) == 0 && round < 1000; round++) {
            (void)ask(&a, bbt_ms(100) * 1000000);
        }
        bbt_wait_stop(&c, PATIENCE_MS);
        struct outcome out = ask(&a, bbt_ms(100) * 1000000);
        cr_assert_str_eq(out.well, "abc", "%s", sick.hook);
        if (out.end.asked == 2) { /* else it stopped before it had subscribed */
            cr_assert_eq(out.end.code, (int)BB_ETIMEDOUT);
            bbt_signal(&c, SIGCONT);
            bbt_wait_at(&c, READY, PATIENCE_MS);
            /* What it says now is too late for the old ones; the next is answered by both. */
            BBT_UNTIL(ask(&a, LONG_NS).end.code == BB_EEND, PATIENCE_MS, "%s", sick.hook);
        }
        bbt_signal(&c, SIGKILL);
        bbt_wait_kill(&c, PATIENCE_MS);
        BBT_UNTIL(ask(&a, LONG_NS).end.asked == 1, PATIENCE_MS, "the dead are asked");
    }
    check_balance(&a, false);
    bbt_signal(&well, SIGKILL);
    bbt_wait_kill(&well, PATIENCE_MS);
    bb_endpoint_close(a.ep);
}

/* The responder is well; requesters die or stop around ours. */
static void
play_requesters(int sig)
{
    const struct part healthy = {.name = "well"};
    struct asker a = asker_new();
    struct bbt_child well;
    start(&well, &healthy);
    for (int s = 0; s < STOP_COUNT; s++) {
        const struct part sick = {
            .name = "sick", .hook = STOPS[s].hook, .hit = STOPS[s].last, .sig = sig};
        struct bbt_child c;
        bbt_fork(&c, "sick", requester, &sick);
        if (sig == SIGKILL) {
            bbt_wait_kill(&c, PATIENCE_MS);
        } else {
            bbt_wait_stop(&c, PATIENCE_MS);
        }
        for (int i = 0; i < 5; i++) {
            struct outcome out = ask(&a, LONG_NS);
            cr_assert_eq(out.end.code, (int)BB_EEND);
            cr_assert_str_eq(out.well, "abc", "%s", sick.hook);
        }
        if (sig != SIGKILL) {
            bbt_signal(&c, SIGKILL);
            bbt_wait_kill(&c, PATIENCE_MS);
        }
    }
    check_balance(&a, true);
    bbt_signal(&well, SIGKILL);
    bbt_wait_kill(&well, PATIENCE_MS);
    bb_endpoint_close(a.ep);
    bbt_gc("requesters");
}

Test(request, killed_requester)
{
    play_requesters(SIGKILL);
}

Test(request, stopped_requester)
{
    play_requesters(SIGSTOP);
}

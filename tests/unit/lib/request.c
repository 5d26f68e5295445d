/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what request.h promises: replies come to who asked and to nobody else, each request ends once and for
 * the right reason, late replies are dropped and counted, nothing grows, every count is exact.
 * Method: endpoints of one process on a bus of its own.  A member dies by losing its locks, as when it is
 * killed; deadlines pass by polling until they have.
 */
#include "lib/endpoint/request_impl.h"
#include "shm/hook.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <malloc.h>
#include <poll.h>
#include <pthread.h>

#define S_NS  INT64_C(1000000000)
#define MS_NS INT64_C(1000000)

TestSuite(request, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

struct side {
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
};

static struct side
side_new(const char *name, const char *prefix, uint32_t flags)
{
    struct side s = {0};
    const struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bus_dir, .bus = "b", .name = name};
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_CONTROL};
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = flags,
                                          .wait = BB_WAIT_SLEEP,
                                          .prefixes = &prefix,
                                          .prefix_count = prefix != NULL};
    cr_assert_eq(bb_endpoint_open(&s.ep, &eo), 0);
    cr_assert_eq(bb_publisher_open(&s.pub, s.ep, &po), 0);
    cr_assert_eq(bb_subscriber_open(&s.sub, s.ep, &so), 0);
    return s;
}

static void
close_all(struct side *sides, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bb_endpoint_close(sides[i].ep);
    }
}

static struct bb_topic *
topic_of(struct side *s, const char *topic)
{
    struct bb_topic *t = NULL;
    cr_assert_eq(bb_topic_open(&t, s->pub, topic, strlen(topic)), 0);
    return t;
}

static uint64_t
ask(struct side *s, const char *topic, const char *text, struct bb_request_opts o)
{
    uint64_t id = 0;
    o.size = sizeof(o);
    int rc = bb_request(topic_of(s, topic), s->sub, text, strlen(text), BB_RAW, &o, &id);
    cr_assert_eq(rc, 0, "%s", bb_strerror(rc));
    return id;
}

/* The next message; fails the test when none comes. */
static struct bb_msg
next(struct side *s)
{
    struct bb_msg m = {0};
    int n;
    while ((n = bb_poll(s->sub, &m, 1, 10 * S_NS)) == 0) {
    }
    cr_assert_eq(n, 1, "%s", bb_strerror(n));
    return m;
}

static bool
is_text(const struct bb_msg *m, const char *text)
{
    return m->bytes == strlen(text) && memcmp(m->data, text, m->bytes) == 0;
}

static struct bb_request_info
next_request(struct side *s, const char *text)
{
    struct bb_request_info info = {0};
    struct bb_msg m = next(s);
    cr_assert_eq(bb_msg_request(&m, &info), 0, "a message, but no request");
    cr_assert(is_text(&m, text), "%.*s", (int)m.bytes, (const char *)m.data);
    return info;
}

static struct bb_reply_info
next_reply(struct side *s, const char *text)
{
    struct bb_reply_info info = {0};
    struct bb_msg m = next(s);
    cr_assert_null(m.status);
    cr_assert_eq(bb_msg_reply(&m, &info), 0, "a message, but no reply");
    cr_assert(is_text(&m, text), "%.*s", (int)m.bytes, (const char *)m.data);
    return info;
}

static struct bb_reply_info
next_end(struct side *s)
{
    struct bb_reply_info info = {0};
    struct bb_msg m = next(s);
    cr_assert_not_null(m.status);
    cr_assert_eq(m.status->kind, (uint32_t)BB_STATUS_REPLIES);
    cr_assert_eq(bb_msg_reply(&m, &info), 0);
    cr_assert_eq(info.is_end, 1U);
    cr_assert_eq(m.status->count, info.id);
    return info;
}

static void
answer(struct side *s, const struct bb_request_info *to, const char *text, uint32_t attr)
{
    int rc = bb_reply(s->pub, to, text, strlen(text), attr);
    cr_assert_eq(rc, 0, "%s", bb_strerror(rc));
}

static struct bb_subscriber_stats
stats_of(const struct bb_subscriber *sub)
{
    struct bb_subscriber_stats s = {.size = sizeof(s)};
    bb_subscriber_stats(sub, &s);
    return s;
}

static void
check_balance(const struct side *s)
{
    struct bb_subscriber_stats st = stats_of(s->sub);
    cr_assert_eq(st.messages, st.delivered + st.filtered + st.lost);
}

/* Nothing is there, also after what would come by itself. */
static void
check_silent(struct side *s)
{
    struct bb_msg m;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(bb_poll(s->sub, &m, 1, 0), 0);
    }
}

/* What a killed process leaves: no lock is held any more, nothing else is said. */
static void
lose_locks(struct side *s)
{
    (void)close(s->ep->at.lock_fd);
    s->ep->at.lock_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* ---- while somebody opens ---- */

#if defined(BB_HOOKS) && BB_HOOKS
static struct side *hook_asker;
static const char *hook_at;
static int hook_rc;

static void
ask_at(const char *name)
{
    if (strcmp(name, hook_at) == 0) {
        const struct bb_request_opts o = {.size = sizeof(o)};
        hook_at = "";
        hook_rc =
            bb_request(topic_of(hook_asker, "add"), hook_asker->sub, "?", 1, BB_RAW, &o, NULL);
    }
}

/* Whoever is counted as asked hears it, also one that is just opening. */
Test(request, one_that_opens_is_asked_only_when_it_hears)
{
    static const char *const points[] = {"registry:row_active", "join:line",   "join:told",
                                         "join:started",        "filter:half", "filter:selected"};
    static const uint32_t flags[] = {BB_SUBSCRIBER_RELIABLE, 0};
    for (size_t i = 0; i < 2 * sizeof(points) / sizeof(points[0]); i++) {
        struct side both[2] = {side_new("asker", NULL, 0)};
        hook_asker = &both[0];
        hook_rc = BB_ENORESPONDERS;
        hook_at = points[i / 2];
        bbi_hook = ask_at;
        both[1] = side_new("responder", "add", flags[i % 2]);
        bbi_hook = NULL;
        if (hook_rc == 0) {
            struct bb_msg m;
            cr_assert_eq(bb_poll(both[1].sub, &m, 1, 2 * S_NS), 1, "at %s", points[i / 2]);
            cr_assert_eq(m.bytes, 1, "at %s", points[i / 2]);
        } else {
            cr_assert_eq(hook_rc, BB_ENORESPONDERS, "at %s", points[i / 2]);
        }
        close_all(both, 2);
    }
}
#endif

/* ---- one request, one reply ---- */

Test(request, reply_comes_to_who_asked_and_to_nobody_else)
{
    struct side s[] = {side_new("a", "a/", 0), side_new("b", "svc/", 0), side_new("c", "", 0)};
    uint64_t id = ask(&s[0], "svc/time", "what?", (struct bb_request_opts){.to_node = 0});
    struct bb_request_info req = next_request(&s[1], "what?");
    struct bb_msg m = next(&s[2]);
    cr_assert_eq(req.id, id);
    cr_assert_eq(req.node_id, bb_endpoint_id(s[0].ep));
    cr_assert_eq(m.topic_bytes, 8U);
    cr_assert_eq(memcmp(m.topic, "svc/time", 8), 0);
    answer(&s[1], &req, "noon", BB_VALUE | BB_JSON_V1);
    m = next(&s[0]);
    struct bb_reply_info info;
    cr_assert_eq(bb_msg_reply(&m, &info), 0);
    cr_assert(is_text(&m, "noon"));
    cr_assert_eq(m.attr & (BB_KIND_MASK | BB_FORMAT_MASK), (uint32_t)(BB_VALUE | BB_JSON_V1));
    cr_assert_neq(m.attr & BB_REPLY, 0U);
    cr_assert_str_eq(m.node, "b");
    cr_assert_eq(m.topic_bytes, 8U);
    cr_assert_eq(memcmp(m.topic, "svc/time", 8), 0);
    cr_assert_eq(info.id, id);
    cr_assert_eq(info.code, 0);
    cr_assert_eq(info.has_more, 0U);
    cr_assert_eq(info.replies, 1U);
    cr_assert_eq(info.asked, 2U);
    check_silent(&s[2]); /* whoever wants everything does not want others' replies */
    check_silent(&s[1]);
    check_balance(&s[0]);
    check_balance(&s[1]);
    check_balance(&s[2]);
    cr_assert_eq(stats_of(s[0].sub).requests, 1U, "c has not answered");
    cr_assert_eq(stats_of(s[2].sub).lost, 0U);
    close_all(s, 3);
}

Test(request, ends_once_after_its_last_reply)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    uint64_t id = ask(&s[0], "q", "?", (struct bb_request_opts){.answers = 0});
    struct bb_request_info req = next_request(&s[1], "?");
    answer(&s[1], &req, "one", BB_REPLY_MORE);
    answer(&s[1], &req, "two", BB_REPLY_MORE);
    answer(&s[1], &req, "", 0);
    cr_assert_eq(next_reply(&s[0], "one").has_more, 1U);
    cr_assert_eq(next_reply(&s[0], "two").replies, 2U);
    cr_assert_eq(next_reply(&s[0], "").has_more, 0U);
    struct bb_reply_info end = next_end(&s[0]);
    cr_assert_eq(end.id, id);
    cr_assert_eq(end.code, (int)BB_EEND);
    cr_assert_eq(end.replies, 3U);
    cr_assert_eq(end.answers, 1U);
    check_silent(&s[0]);
    cr_assert_eq(stats_of(s[0].sub).requests, 0U);
    close_all(s, 2);
}

Test(request, a_second_last_reply_is_no_second_answer)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0), side_new("c", "q", 0)};
    (void)ask(&s[0], "q", "?", (struct bb_request_opts){.answers = 2});
    struct bb_request_info req[] = {next_request(&s[1], "?"), next_request(&s[2], "?")};
    answer(&s[1], &req[0], "one", 0);
    answer(&s[1], &req[0], "again", 0);
    cr_assert_eq(next_reply(&s[0], "one").answers, 1U);
    cr_assert_eq(next_reply(&s[0], "again").answers, 1U);
    check_silent(&s[0]); /* who is wanted is still awaited */
    answer(&s[2], &req[1], "two", 0);
    cr_assert_eq(next_reply(&s[0], "two").answers, 2U);
    struct bb_reply_info end = next_end(&s[0]);
    cr_assert_eq(end.code, (int)BB_EEND);
    cr_assert_eq(end.replies, 3U);
    cr_assert_eq(end.answers, 2U);
    close_all(s, 3);
}

Test(request, views_and_large_ones_are_whole)
{
    static unsigned char big[100000];
    struct side s[] = {side_new("a", NULL, BB_SUBSCRIBER_VIEWS),
                       side_new("b", "q", BB_SUBSCRIBER_RELIABLE)};
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (unsigned char)(i * 7);
    }
    for (size_t bytes = 0; bytes <= sizeof(big); bytes = bytes * 3 + 1) {
        struct bb_request_info req;
        struct bb_reply_info info;
        cr_assert_eq(bb_request(topic_of(&s[0], "q/with-a-longer-topic"), s[0].sub, big, bytes,
                                BB_RAW, NULL, NULL),
                     0);
        struct bb_msg m = next(&s[1]);
        cr_assert_eq(bb_msg_request(&m, &req), 0);
        cr_assert_eq(m.bytes, bytes);
        cr_assert_eq(memcmp(m.data, big, bytes), 0);
        cr_assert_eq(bb_msg_valid(s[1].sub, &m), 1);
        cr_assert_eq(bb_reply(s[1].pub, &req, m.data, m.bytes, BB_RAW), 0);
        m = next(&s[0]);
        cr_assert_eq(bb_msg_reply(&m, &info), 0);
        cr_assert_eq(m.bytes, bytes);
        cr_assert_eq(memcmp(m.data, big, bytes), 0);
        cr_assert_eq(bb_msg_valid(s[0].sub, &m), 1);
        (void)next_end(&s[0]);
    }
    cr_assert_eq(bb_request(topic_of(&s[0], "q"), s[0].sub, big, bb_publisher_max(s[0].pub), BB_RAW,
                            NULL, NULL),
                 (int)BB_EMSGSIZE, "the address needs room as well");
    cr_assert_eq(stats_of(s[0].sub).requests, 0U, "what was not published is not open");
    check_balance(&s[0]);
    check_balance(&s[1]);
    close_all(s, 2);
}

/* The replies of one poll together need far more room for their topic than they have bytes. */
Test(request, replies_have_the_topic_of_their_request)
{
    static char topic[60000];
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "", 0)};
    struct bb_reply_info info = {0};
    struct bb_topic *t = NULL;
    int got = 0;
    memset(topic, 't', sizeof(topic));
    cr_assert_eq(bb_topic_open(&t, s[0].pub, topic, sizeof(topic)), 0);
    cr_assert_eq(bb_request(t, s[0].sub, "?", 1, BB_RAW, NULL, NULL), 0);
    struct bb_request_info req = next_request(&s[1], "?");
    for (int i = 0; i < 64; i++) {
        answer(&s[1], &req, "!", i < 63 ? BB_REPLY_MORE : 0);
    }
    while (info.is_end == 0) {
        struct bb_msg m[64];
        int n = bb_poll(s[0].sub, m, 64, 10 * S_NS);
        cr_assert_gt(n, 0);
        for (int i = 0; i < n; i++) {
            cr_assert_eq(bb_msg_reply(&m[i], &info), 0);
            if (info.is_end == 0) {
                cr_assert(is_text(&m[i], "!"));
                cr_assert_eq(m[i].topic_bytes, sizeof(topic));
                cr_assert_eq(memcmp(m[i].topic, topic, sizeof(topic)), 0);
                got++;
            }
        }
    }
    cr_assert_eq(got, 64);
    check_balance(&s[0]);
    close_all(s, 2);
}

Test(request, error_reply_has_a_code_and_a_sentence)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    (void)ask(&s[0], "q", "?", (struct bb_request_opts){.answers = 1});
    struct bb_request_info req = next_request(&s[1], "?");
    cr_assert_eq(bb_reply_error(s[1].pub, &req, 5, "no"), (int)BB_EINVAL, "5 is no error");
    cr_assert_eq(bb_reply_error(s[1].pub, &req, BB_EACCES, "ask somebody else"), 0);
    cr_assert_eq(next_reply(&s[0], "ask somebody else").code, (int)BB_EACCES);
    cr_assert_eq(next_end(&s[0]).code, (int)BB_EEND);
    close_all(s, 2);
}

Test(request, may_be_answered_long_after_its_message)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    struct bb_request_info kept[8];
    uint64_t ids[8];
    for (int i = 0; i < 8; i++) {
        ids[i] = ask(&s[0], "q", "?", (struct bb_request_opts){.answers = 1});
        kept[i] = next_request(&s[1], "?");
    }
    for (int i = 7; i >= 0; i--) {
        answer(&s[1], &kept[i], "late is not too late", 0);
        cr_assert_eq(next_reply(&s[0], "late is not too late").id, ids[i]);
        cr_assert_eq(next_end(&s[0]).id, ids[i]);
    }
    close_all(s, 2);
}

/* ---- nobody there ---- */

Test(request, nobody_there_is_said_at_once)
{
    struct side s[] = {side_new("a", "q", 0), side_new("b", "other", 0)};
    struct bb_topic *t = topic_of(&s[0], "q");
    uint64_t id = 77;
    cr_assert_eq(bb_request(t, s[0].sub, "?", 1, BB_RAW, NULL, &id), (int)BB_ENORESPONDERS);
    cr_assert_eq(id, 77U);
    cr_assert_eq(bb_subscribe(s[1].sub, "q", 1, 0), 0);
    cr_assert_eq(bb_request(t, s[0].sub, "?", 1, BB_RAW, NULL, &id), 0);
    lose_locks(&s[1]);
    /* Seen to be alive within the last 10 ms is alive; then it is not. */
    cr_assert_eq(next_end(&s[0]).code, (int)BB_EPEERGONE);
    cr_assert_eq(bb_request(t, s[0].sub, "?", 1, BB_RAW, NULL, &id), (int)BB_ENORESPONDERS);
    struct bb_publisher_stats st = {.size = sizeof(st)};
    bb_publisher_stats(s[0].pub, &st);
    cr_assert_eq(st.messages, 1U, "what nobody answers is not published");
    close_all(s, 2);
}

Test(request, to_one_node_asks_nobody_else)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0), side_new("c", "q", 0)};
    uint64_t id =
        ask(&s[0], "q", "?", (struct bb_request_opts){.to_node = bb_endpoint_id(s[2].ep)});
    struct bb_request_info req = next_request(&s[2], "?");
    check_silent(&s[1]);
    answer(&s[2], &req, "me", 0);
    struct bb_reply_info info = next_reply(&s[0], "me");
    cr_assert_eq(info.id, id);
    cr_assert_eq(info.asked, 1U);
    cr_assert_eq(next_end(&s[0]).code, (int)BB_EEND);
    const struct bb_request_opts o = {.size = sizeof(o), .to_node = bb_endpoint_id(s[0].ep)};
    cr_assert_eq(bb_request(topic_of(&s[0], "q"), s[0].sub, "?", 1, BB_RAW, &o, NULL),
                 (int)BB_ENORESPONDERS, "we do not hear ourselves");
    close_all(s, 3);
}

/* ---- loopback ---- */

Test(request, a_process_alone_asks_itself)
{
    struct side s = side_new("alone", "q", BB_SUBSCRIBER_LOOPBACK);
    (void)ask(&s, "q", "?", (struct bb_request_opts){.answers = 1});
    struct bb_request_info req = next_request(&s, "?");
    cr_assert_eq(req.node_id, bb_endpoint_id(s.ep));
    answer(&s, &req, "!", 0);
    (void)next_reply(&s, "!");
    cr_assert_eq(next_end(&s).code, (int)BB_EEND);
    check_balance(&s);
    close_all(&s, 1);
}

/* ---- ends ---- */

Test(request, deadline_ends_it_and_a_late_reply_is_dropped_and_counted)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    int64_t began = bbi_os_mono_ns();
    uint64_t id = ask(&s[0], "q", "?", (struct bb_request_opts){.timeout_ns = 20 * MS_NS});
    struct bb_request_info req = next_request(&s[1], "?");
    struct bb_reply_info end = next_end(&s[0]);
    cr_assert_eq(end.id, id);
    cr_assert_eq(end.code, (int)BB_ETIMEDOUT);
    cr_assert_geq(bbi_os_mono_ns() - began, 20 * MS_NS);
    cr_assert_eq(bb_reply(s[1].pub, &req, "x", 1, BB_RAW), (int)BB_ETIMEDOUT);
    struct bb_publisher_stats st = {.size = sizeof(st)};
    bb_publisher_stats(s[1].pub, &st);
    cr_assert_eq(st.unheard, 1U);
    cr_assert_eq(st.messages, 0U);

    /* One whose clock is not ours: it is published, and dropped by who asked. */
    req.deadline_ns = INT64_MAX;
    answer(&s[1], &req, "late", 0);
    id = ask(&s[0], "q", "again?", (struct bb_request_opts){.answers = 1});
    req = next_request(&s[1], "again?");
    answer(&s[1], &req, "right", 0);
    cr_assert_eq(next_reply(&s[0], "right").id, id);
    (void)next_end(&s[0]);
    cr_assert_eq(stats_of(s[0].sub).late, 1U);
    cr_assert_eq(stats_of(s[0].sub).filtered, 1U);
    check_balance(&s[0]);
    close_all(s, 2);
}

Test(request, a_reply_that_waited_beyond_the_deadline_is_still_one)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    (void)ask(&s[0], "q", "?", (struct bb_request_opts){.timeout_ns = 50 * MS_NS});
    struct bb_request_info req = next_request(&s[1], "?");
    answer(&s[1], &req, "in time", 0);
    while (bbi_os_mono_ns() <= req.deadline_ns) { /* the requester is busy elsewhere */
        bbi_os_yield();
    }
    (void)next_reply(&s[0], "in time");
    cr_assert_eq(next_end(&s[0]).code, (int)BB_EEND);
    close_all(s, 2);
}

Test(request, many_deadlines_end_in_their_order)
{
    enum { COUNT = 500 };
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    static int64_t deadlines[COUNT + 1];
    unsigned seed = 12345;
    int64_t base = 5 * S_NS;
    for (uint64_t i = 1; i <= COUNT; i++) {
        seed = seed * 1103515245U + 12345U;
        int64_t ns = base + (int64_t)(seed >> 8 & 0xffff) * 1000;
        cr_assert_eq(ask(&s[0], "q", "?", (struct bb_request_opts){.timeout_ns = ns}), i);
        deadlines[i] = next_request(&s[1], "?").deadline_ns;
    }
    /* A third is cancelled, a third is answered; the rest ends as the clock says.  It is set here. */
    for (uint64_t i = 1; i <= COUNT; i += 3) {
        cr_assert_eq(bb_request_cancel(s[0].sub, i), 0);
        cr_assert_eq(bb_request_cancel(s[0].sub, i), (int)BB_ENOENT);
    }
    cr_assert_eq(stats_of(s[0].sub).requests, (uint64_t)(COUNT - (COUNT + 2) / 3));
    s[0].sub->requests->checked_ns = INT64_MAX - 1;
    int64_t last = 0;
    for (int i = 0; i < COUNT - (COUNT + 2) / 3; i++) {
        struct bb_reply_info end = next_end(&s[0]);
        cr_assert_eq(end.code, (int)BB_ETIMEDOUT);
        cr_assert_neq(end.id % 3, 1U);
        cr_assert_leq(last, deadlines[end.id]);
        last = deadlines[end.id];
    }
    check_silent(&s[0]);
    close_all(s, 2);
}

Test(request, who_leaves_without_an_answer_ends_it)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0), side_new("c", "q", 0)};
    (void)ask(&s[0], "q", "?", (struct bb_request_opts){.timeout_ns = -1});
    struct bb_request_info req = next_request(&s[1], "?");
    answer(&s[1], &req, "one of two", 0);
    (void)next_reply(&s[0], "one of two");
    bb_endpoint_close(s[2].ep);
    struct bb_reply_info end = next_end(&s[0]);
    cr_assert_eq(end.code, (int)BB_EPEERGONE);
    cr_assert_eq(end.answers, 1U);
    cr_assert_eq(end.asked, 2U);
    close_all(s, 2);
}

Test(request, what_it_said_before_it_died_comes_first)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    uint64_t id = ask(&s[0], "q", "?", (struct bb_request_opts){.timeout_ns = -1});
    struct bb_request_info req = next_request(&s[1], "?");
    answer(&s[1], &req, "half", BB_REPLY_MORE | BB_MORE);
    struct bb_publisher *late = NULL; /* a ring that the requester has not seen yet */
    const struct bb_publisher_opts o = {.size = sizeof(o), .lane = BB_LANE_ONESHOT};
    cr_assert_eq(bb_publisher_open(&late, s[1].ep, &o), 0);
    cr_assert_eq(bb_reply(late, &req, "other half", 10, BB_REPLY_MORE | BB_MORE), 0);
    lose_locks(&s[1]); /* neither was announced */
    cr_assert_eq(next_reply(&s[0], "half").id, id);
    cr_assert_eq(next_reply(&s[0], "other half").id, id);
    cr_assert_eq(next_end(&s[0]).code, (int)BB_EPEERGONE);
    check_balance(&s[0]);
    close_all(s, 2);
}

Test(request, who_came_in_its_place_is_another)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    uint64_t first = ask(&s[0], "q", "1", (struct bb_request_opts){.timeout_ns = -1});
    bb_endpoint_close(s[1].ep);
    s[1] = side_new("b", "q", 0); /* the same name, the same rows */
    uint64_t second = ask(&s[0], "q", "2", (struct bb_request_opts){.timeout_ns = -1});
    struct bb_request_info req = next_request(&s[1], "2");
    cr_assert_eq(req.id, second);
    struct bb_reply_info end = next_end(&s[0]);
    cr_assert_eq(end.id, first);
    cr_assert_eq(end.code, (int)BB_EPEERGONE);
    answer(&s[1], &req, "!", 0);
    cr_assert_eq(next_reply(&s[0], "!").id, second);
    (void)next_end(&s[0]);
    close_all(s, 2);
}

Test(request, a_restarted_requester_gets_nothing_of_its_predecessor)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    uint64_t first = ask(&s[0], "q", "?", (struct bb_request_opts){.timeout_ns = -1});
    struct bb_request_info req = next_request(&s[1], "?");
    bb_endpoint_close(s[0].ep);
    cr_assert_eq(bb_reply(s[1].pub, &req, "x", 1, BB_RAW), (int)BB_EPEERGONE);
    s[0] = side_new("a", NULL, 0);
    uint64_t second = ask(&s[0], "q", "?", (struct bb_request_opts){.timeout_ns = -1});
    cr_assert_eq(first, second, "the numbers are the same: the test tests nothing if not");
    struct bb_request_info again = next_request(&s[1], "?");
    cr_assert_eq(bb_reply(s[1].pub, &req, "x", 1, BB_RAW), (int)BB_EPEERGONE);
    answer(&s[1], &again, "yours", 0);
    (void)next_reply(&s[0], "yours");
    (void)next_end(&s[0]);
    struct bb_publisher_stats st = {.size = sizeof(st)};
    bb_publisher_stats(s[1].pub, &st);
    cr_assert_eq(st.unheard, 2U);
    cr_assert_eq(st.messages, 1U);
    close_all(s, 2);
}

Test(request, other_messages_keep_their_order_around_replies)
{
    struct side s[] = {side_new("a", "data", 0), side_new("b", "q", 0)};
    (void)ask(&s[0], "q", "?", (struct bb_request_opts){.answers = 1});
    struct bb_request_info req = next_request(&s[1], "?");
    for (int i = 0; i < 10; i++) {
        char c = (char)('0' + i);
        cr_assert_eq(bb_publish_to(s[1].pub, "data", 4, &c, 1, BB_RAW), 0);
        if (i == 4) {
            answer(&s[1], &req, "!", 0);
        }
    }
    char seen[16] = "";
    for (size_t i = 0; i < 12; i++) {
        struct bb_msg m = next(&s[0]);
        seen[i] = m.status != NULL ? 'E' : *(const char *)m.data;
    }
    seen[seen[5] == '!' ? 12 : 0] = '\0';
    cr_assert_eq(strncmp(seen, "01234!", 6), 0, "%s", seen);
    cr_assert_not_null(strchr(seen, 'E'));
    check_balance(&s[0]);
    close_all(s, 2);
}

/* ---- many ---- */

Test(request, a_hundred_responders)
{
    enum { COUNT = 100 };
    static struct side r[COUNT];
    struct side s = side_new("a", NULL, 0);
    char name[16];
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof(name), "r%d", i);
        r[i] = side_new(name, "q", 0);
    }
    for (int round = 0; round < 3; round++) {
        uint64_t id = ask(&s, "q", "who?", (struct bb_request_opts){.timeout_ns = 30 * S_NS});
        for (int i = 0; i < COUNT; i++) {
            struct bb_request_info req = next_request(&r[i], "who?");
            answer(&r[i], &req, bb_endpoint_name(r[i].ep), 0);
        }
        for (int i = 0; i < COUNT; i++) {
            struct bb_msg m = next(&s);
            struct bb_reply_info info;
            cr_assert_eq(bb_msg_reply(&m, &info), 0);
            cr_assert_eq(info.id, id);
            cr_assert_eq(info.asked, (uint32_t)COUNT);
            cr_assert(is_text(&m, m.node));
        }
        struct bb_reply_info end = next_end(&s);
        cr_assert_eq(end.answers, (uint32_t)COUNT);
        cr_assert_eq(end.code, (int)BB_EEND);
    }
    check_balance(&s);
    close_all(r, COUNT);
    close_all(&s, 1);
}

static uint32_t
topics_in(const struct bb_publisher *pub)
{
    return bbi_load_acquire(&pub->writer.map.hdr->topics);
}

Test(request, hundred_thousand_leave_dictionary_and_memory_flat, .timeout = 110)
{
    enum { COUNT = 100000, WARM = 1000 };
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    size_t before = 0;
    uint32_t topics = 0;
    for (int i = 0; i < COUNT; i++) {
        if (i == WARM) {
            before = mallinfo2().uordblks;
            topics = topics_in(s[0].pub) + topics_in(s[1].pub);
        }
        (void)ask(&s[0], "q", "?", (struct bb_request_opts){.answers = 1});
        struct bb_request_info req = next_request(&s[1], "?");
        answer(&s[1], &req, "!", 0);
        (void)next_reply(&s[0], "!");
        (void)next_end(&s[0]);
        (void)bb_release(s[0].sub);
    }
    struct bb_msg m;
    (void)!bb_poll(s[0].sub, &m, 1, 0);
    cr_assert_eq(topics_in(s[0].pub) + topics_in(s[1].pub), topics);
    cr_assert_leq(mallinfo2().uordblks, before + 4096);
    cr_assert_eq(stats_of(s[0].sub).delivered, (uint64_t)COUNT);
    cr_assert_eq(stats_of(s[0].sub).lost, 0U);
    check_balance(&s[0]);
    check_balance(&s[1]);
    close_all(s, 2);
}

/* ---- loss ---- */

Test(request, replies_that_were_overwritten_are_counted_as_lost)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    (void)ask(&s[0], "q", "?", (struct bb_request_opts){.timeout_ns = -1});
    struct bb_request_info req = next_request(&s[1], "?");
    enum { COUNT = 10000 }; /* the ring has 4,096 */
    for (int i = 0; i < COUNT; i++) {
        answer(&s[1], &req, "part", BB_REPLY_MORE);
    }
    answer(&s[1], &req, "last", 0);
    uint64_t got = 0;
    struct bb_msg m;
    struct bb_reply_info info = {0};
    while (info.is_end == 0) {
        m = next(&s[0]);
        cr_assert_eq(bb_msg_reply(&m, &info), 0);
        got += info.is_end == 0;
    }
    struct bb_subscriber_stats st = stats_of(s[0].sub);
    cr_assert_eq(st.messages, (uint64_t)COUNT + 1);
    cr_assert_eq(st.delivered, got);
    cr_assert_eq(st.lost, (uint64_t)COUNT + 1 - got);
    cr_assert_gt(st.lost, 0U, "it was not lapped: the test tests nothing");
    cr_assert_eq(info.replies, got);
    cr_assert_eq(info.code, (int)BB_EEND);
    close_all(s, 2);
}

/* ---- bb_call ---- */

struct responder {
    struct side side;
    _Atomic int stop;
    const char *mode; /* what it does with a request */
};

static void *
respond(void *arg)
{
    struct responder *r = arg;
    while (!r->stop) {
        struct bb_request_info req;
        struct bb_msg m;
        if (bb_poll(r->side.sub, &m, 1, MS_NS) != 1 || bb_msg_request(&m, &req) != 0) {
            continue;
        }
        if (strcmp(r->mode, "echo") == 0) {
            (void)!bb_reply(r->side.pub, &req, m.data, m.bytes, BB_RAW | BB_REPLY_MORE);
            (void)!bb_reply(r->side.pub, &req, "second", 6, BB_RAW);
        } else if (strcmp(r->mode, "error") == 0) {
            (void)!bb_reply_error(r->side.pub, &req, BB_EBUSY, "not now");
        } else if (strcmp(r->mode, "leave") == 0) {
            bb_endpoint_close(r->side.ep);
            return NULL;
        }
    }
    bb_endpoint_close(r->side.ep);
    return NULL;
}

static int
call(struct side *s, const char *text, int64_t timeout_ns, struct bb_msg *m)
{
    const struct bb_request_opts o = {.size = sizeof(o), .timeout_ns = timeout_ns};
    return bb_call(topic_of(s, "q"), text, strlen(text), BB_RAW, &o, m);
}

Test(request, call_hands_out_the_first_reply)
{
    struct side s = side_new("a", "", 0);
    struct bb_msg m;
    cr_assert_eq(call(&s, "?", S_NS, &m), (int)BB_ENORESPONDERS);
    struct responder r = {.side = side_new("b", "q", 0), .mode = "echo"};
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, respond, &r), 0);
    for (int i = 0; i < 200; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "call %d", i);
        int rc = call(&s, text, 10 * S_NS, &m);
        cr_assert_eq(rc, 0, "%s", bb_strerror(rc));
        cr_assert(is_text(&m, text), "%.*s", (int)m.bytes, (const char *)m.data);
        cr_assert_str_eq(m.node, "b");
    }
    cr_assert_eq(stats_of(s.pub->caller).requests, 0U);
    cr_assert_gt(stats_of(s.pub->caller).late, 0U, "every second reply comes too late");
    check_silent(&s); /* replies to calls are not for this subscriber */
    r.stop = 1;
    cr_assert_eq(pthread_join(t, NULL), 0);
    close_all(&s, 1);
}

Test(request, call_says_why_there_is_no_reply)
{
    struct side s = side_new("a", NULL, 0);
    const struct {
        const char *mode;
        int64_t timeout_ns;
        int status;
    } cases[] = {{"error", 10 * S_NS, BB_EBUSY},
                 {"silent", 20 * MS_NS, BB_ETIMEDOUT},
                 {"leave", 10 * S_NS, BB_EPEERGONE},
                 {"leave", -1, BB_EPEERGONE}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct responder r = {.side = side_new("b", "q", 0), .mode = cases[i].mode};
        struct bb_msg m = {.bytes = 0};
        pthread_t t;
        cr_assert_eq(pthread_create(&t, NULL, respond, &r), 0);
        cr_assert_eq(call(&s, "?", cases[i].timeout_ns, &m), cases[i].status, "%s", r.mode);
        cr_assert_eq(m.bytes, strcmp(r.mode, "error") == 0 ? 7U : 0U);
        r.stop = 1;
        cr_assert_eq(pthread_join(t, NULL), 0);
    }
    close_all(&s, 1);
}

/* The options of a program that was compiled for a newer busbar, or of one that wants all defaults. */
Test(request, call_takes_options_as_requests_do)
{
    struct side s = side_new("a", NULL, 0);
    struct {
        struct bb_request_opts ours;
        uint64_t newer[64];
    } o = {.ours = {.size = sizeof(o), .timeout_ns = 20 * MS_NS}};
    struct bb_topic *q = topic_of(&s, "q");
    struct bb_msg m;
    cr_assert_eq(bb_call(q, "?", 1, BB_RAW, NULL, &m), (int)BB_ENORESPONDERS);
    cr_assert_eq(bb_call(q, "?", 1, BB_RAW, &o.ours, &m), (int)BB_ENORESPONDERS);
    struct side silent = side_new("b", "q", 0);
    cr_assert_eq(bb_call(q, "?", 1, BB_RAW, &o.ours, &m), (int)BB_ETIMEDOUT);
    o.newer[63] = 1;
    cr_assert_eq(bb_call(q, "?", 1, BB_RAW, &o.ours, &m), (int)BB_ENOTSUP);
    close_all(&silent, 1);
    close_all(&s, 1);
}

/* ---- the descriptor ---- */

Test(request, descriptor_is_readable_when_a_request_ends)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    struct pollfd fd = {.fd = bb_fd(s[0].sub), .events = POLLIN};
    struct bb_msg m;
    const struct {
        int64_t timeout_ns;
        int code;
    } cases[] = {{30 * MS_NS, BB_ETIMEDOUT}, {20 * S_NS, BB_EPEERGONE}};
    while (bb_poll(s[0].sub, &m, 1, 0) > 0) {
    }
    for (int i = 0; i < 2; i++) {
        struct bb_reply_info info = {0};
        (void)ask(&s[0], "q", "?", (struct bb_request_opts){.timeout_ns = cases[i].timeout_ns});
        (void)!bb_poll(s[0].sub, &m, 1, 0);
        if (i == 1) {
            lose_locks(&s[1]);
        }
        int64_t began = bbi_os_mono_ns();
        while (info.is_end == 0 && bbi_os_mono_ns() - began < 10 * S_NS) {
            (void)poll(&fd, 1, 10000);
            if (bb_poll(s[0].sub, &m, 1, 0) == 1) {
                cr_assert_eq(bb_msg_reply(&m, &info), 0);
            }
        }
        cr_assert_eq(info.code, cases[i].code);
        cr_assert_lt(bbi_os_mono_ns() - began, 900 * MS_NS, "it waited for the timer of a second");
    }
    close_all(s, 2);
}

/* ---- to one node ---- */

Test(request, direct_message_comes_to_one_node_by_its_own_prefixes)
{
    struct side s[] = {side_new("a", "", BB_SUBSCRIBER_LOOPBACK), side_new("b", "x/y", 0),
                       side_new("c", "", 0)};
    uint64_t b = 0;
    cr_assert_eq(bb_node_find(s[0].ep, "nobody", &b), (int)BB_ENOENT);
    cr_assert_eq(bb_node_find(s[0].ep, "b", &b), 0);
    cr_assert_eq(b, bb_endpoint_id(s[1].ep));
    cr_assert_eq(bb_send(s[0].pub, b, "x/other", 7, "no", 2, BB_RAW), 0, "b does not want it");
    cr_assert_eq(bb_send(s[0].pub, b, "x/y/z", 5, "yes", 3, BB_VALUE), 0);
    struct bb_msg m = next(&s[1]);
    cr_assert(is_text(&m, "yes"));
    cr_assert_eq(memcmp(m.topic, "x/y/z", 5), 0);
    cr_assert_eq(m.attr & BB_KIND_MASK, (uint32_t)BB_VALUE);
    cr_assert_eq(bb_msg_is_direct(&m), 1);
    struct bb_request_info req;
    cr_assert_eq(bb_msg_request(&m, &req), (int)BB_ENOENT);
    check_silent(&s[2]); /* it wants everything, but this is not for it */
    check_silent(&s[0]);
    cr_assert_eq(bb_send(s[0].pub, bb_endpoint_id(s[0].ep), "me", 2, "!", 1, BB_RAW), 0);
    m = next(&s[0]);
    cr_assert(is_text(&m, "!"));
    cr_assert_eq(topics_in(s[0].pub), 0U);
    struct bb_publisher_stats st = {.size = sizeof(st)};
    bb_publisher_stats(s[0].pub, &st);
    cr_assert_eq(st.messages, 3U);
    cr_assert_eq(st.payload_bytes, 6U, "topics and addresses are no payload");
    for (int i = 0; i < 3; i++) {
        check_balance(&s[i]);
    }
    cr_assert_eq(bb_send(s[0].pub, b, "a<$>b", 5, "x", 1, BB_RAW), (int)BB_EINVAL);
    bb_endpoint_close(s[1].ep);
    cr_assert_eq(bb_send(s[0].pub, b, "x/y", 3, "x", 1, BB_RAW), (int)BB_ENOENT);
    s[1] = side_new("b", "x/y", 0);
    cr_assert_eq(bb_send(s[0].pub, b, "x/y", 3, "x", 1, BB_RAW), (int)BB_ENOENT, "another b");
    lose_locks(&s[1]);
    cr_assert_eq(bb_send(s[0].pub, bb_endpoint_id(s[1].ep), "x/y", 3, "x", 1, BB_RAW),
                 (int)BB_ENOENT);
    close_all(s, 3);
}

/* ---- what others may write ---- */

/* A publisher that says REPLY of an ordinary message, or writes an address that is none. */
Test(request, what_is_not_well_formed_is_skipped)
{
    struct side s[] = {side_new("a", "x", 0), side_new("b", "q", 0)};
    struct bb_reply_info info;
    uint64_t id = ask(&s[0], "q", "?", (struct bb_request_opts){.timeout_ns = -1});
    struct bb_request_info req = next_request(&s[1], "?");
    cr_assert_eq(bb_publish_to(s[1].pub, "x", 1, "x", 1, BB_RAW | BB_REPLY | 0x7f0000), 0);
    cr_assert_eq(bb_flush(s[1].pub), 0);
    struct bb_msg m = next(&s[0]);
    cr_assert_eq(bb_msg_reply(&m, &info), (int)BB_ENOENT);
    cr_assert_eq(bb_msg_request(&m, &req), (int)BB_ENOENT);
    answer(&s[1], &req, "first", BB_REPLY_MORE); /* makes the reserved topic */
    (void)next_reply(&s[0], "first");
    uint64_t filtered = stats_of(s[0].sub).filtered;
    struct bbi_address a = {.kind = BBI_TO_REPLY,
                            .sub_key = req.opaque[0],
                            .id = id,
                            .asked_index = UINT32_MAX,
                            .asked_key = 1};
    struct bbi_address bad[] = {a, a, a, a};
    bad[0].kind = 9;
    bad[1].topic_bytes = UINT32_MAX;
    bad[2].topic_bytes = 8;
    bad[3].id = id + 1;
    for (size_t i = 0; i <= 4; i++) { /* the last one is too short */
        void *p;
        size_t bytes = i < 4 ? sizeof(a) : sizeof(a) - 1;
        cr_assert_eq(bb_loan(s[1].pub->to_somebody, sizeof(a), &p), 0);
        memcpy(p, i < 4 ? &bad[i] : &a, bytes);
        cr_assert_eq(bb_commit(s[1].pub->to_somebody, bytes, BB_RAW), 0);
    }
    check_silent(&s[0]);
    cr_assert_eq(stats_of(s[0].sub).filtered, filtered + 5);
    cr_assert_eq(stats_of(s[0].sub).requests, 1U);
    check_balance(&s[0]);
    close_all(s, 2);
}

Test(request, arguments_are_checked)
{
    struct side s[] = {side_new("a", NULL, 0), side_new("b", "q", 0)};
    struct bb_topic *t = topic_of(&s[0], "q");
    const struct bb_request_opts o = {.size = sizeof(o), .reserved = 1};
    const struct bb_request_info none = {.opaque = {1, 1, UINT32_MAX}};
    cr_assert_eq(bb_request(t, s[1].sub, "?", 1, BB_RAW, NULL, NULL), (int)BB_EINVAL,
                 "the subscriber of another endpoint");
    cr_assert_eq(bb_request(t, s[0].sub, "?", 1, BB_RAW, &o, NULL), (int)BB_EINVAL);
    cr_assert_eq(bb_request(t, s[0].sub, NULL, 1, BB_RAW, NULL, NULL), (int)BB_EINVAL);
    cr_assert_eq(bb_reply(s[1].pub, &none, "x", 1, BB_RAW), (int)BB_EINVAL);
    cr_assert_eq(bb_request_cancel(s[0].sub, 1), (int)BB_ENOENT);
    void *p;
    cr_assert_eq(bb_loan(t, 8, &p), 0);
    cr_assert_eq(bb_request(t, s[0].sub, "?", 1, BB_RAW, NULL, NULL), (int)BB_EBUSY);
    bb_abort(s[0].pub);
    cr_assert_eq(bb_request(t, s[0].sub, "?", 1, BB_RAW, NULL, NULL), 0);
    close_all(s, 2);
}

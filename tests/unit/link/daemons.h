/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/link/daemons.h - bridges as child processes, each on a bus of its own below one directory: boxes of a test.
 *
 * The test itself attaches to their buses and publishes and subscribes there.
 */
#ifndef BUSBAR_TESTS_UNIT_LINK_DAEMONS_H
#define BUSBAR_TESTS_UNIT_LINK_DAEMONS_H

#include "busbar/request.h"
#include "lib/link/daemon.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNUSED    __attribute__((unused))
#define SECOND_NS INT64_C(1000000000)
enum { PEERS = 2, LISTENS = 2, WAIT_MS = 20000 };

struct daemon_arg {
    const char *bus;
    uint16_t listen; /* 0: the kernel's choice */
    uint16_t peers[PEERS];
    uint32_t engine;
    const char *topics;       /* NULL: all; one prefix */
    const char *topics_after; /* a wake changes them */
    const char *rights;       /* a file; NULL: none */
    const char *name;         /* NULL: that of the bus */
    bool is_compressing;
    uint32_t slow;
    uint64_t queue_bytes;
    int64_t stop_max_ns,
        hold_max_ns;  /* a busy box takes its time: where no time is tested, much of it */
    const char *host; /* where it listens; NULL: 127.0.0.1 */
    /* What else a wake changes; 0: nothing. */
    struct bbi_daemon_place listen_after[LISTENS];
    bool is_alone_after; /* no peers any more */
    int after;           /* the status that is expected of the reload */
};

static struct bbi_daemon *running;
static struct bbt_side *running_side;

static UNUSED void
daemon_stop(int sig)
{
    (void)sig;
    bbi_daemon_stop(running);
}

static UNUSED void
daemon_reload(int sig)
{
    (void)sig;
    bbi_daemon_wake(running);
}

static UNUSED void
daemon_listening(void *user, const char *host, uint16_t port)
{
    struct bbt_side *side = user;
    (void)host;
    side->n[0] = port;
}

static UNUSED void
daemon_log(void *user, const char *level, const char *line)
{
    (void)user;
    if (getenv("BB_TEST_LOG") != NULL) {
        (void)fprintf(stderr, "%d %s %s\n", (int)getpid(), level, line);
    }
}

static const struct daemon_arg *woken_arg;
static UNUSED struct bbi_daemon_opts daemon_opts(const struct daemon_arg *a,
                                                 struct bbi_daemon_peer *peers,
                                                 struct bbi_daemon_place *listen,
                                                 struct bb_error *error);

static UNUSED void
daemon_woken(void *user)
{
    struct bbi_daemon_peer peers[PEERS];
    struct bbi_daemon_place listen;
    struct bb_error error = {0};
    struct daemon_arg a = *woken_arg;
    a.topics = a.topics_after;
    struct bbi_daemon_opts o = daemon_opts(&a, peers, &listen, &error);
    o.topics = a.topics != NULL ? &a.topics : NULL;
    o.peer_count = a.is_alone_after ? 0 : o.peer_count;
    if (a.listen_after[0].host != NULL) {
        o.listen = a.listen_after;
        o.listen_count = a.listen_after[1].host != NULL ? 2 : 1;
    }
    int rc = bbi_daemon_reload(running, &o);
    bool may_fail = running_side->n[2] != 0;
    BBT_CHECK(running_side, rc == a.after || may_fail, "reload: %d %s", rc, error.sentence);
    ((struct bbt_side *)user)->n[1]++;
}

static UNUSED struct bbi_daemon_opts
daemon_opts(const struct daemon_arg *a,
            struct bbi_daemon_peer *peers,
            struct bbi_daemon_place *listen,
            struct bb_error *error)
{
    *listen = (struct bbi_daemon_place){.host = a->host != NULL ? a->host : "127.0.0.1",
                                        .port = a->listen};
    struct bbi_daemon_opts o = {.dir = bbt_dir(),
                                .bus = a->bus,
                                .name = a->name != NULL ? a->name : a->bus,
                                .rights = a->rights,
                                .engine = a->engine,
                                .listen = listen,
                                .listen_count = 1,
                                .peers = peers,
                                .topics = a->topics != NULL ? &a->topics : NULL,
                                .topic_count = a->topics != NULL,
                                .is_insecure = true,
                                .is_compressing = a->is_compressing,
                                .slow = a->slow,
                                .queue_bytes = a->queue_bytes,
                                .retry_max_ns = SECOND_NS / 10,
                                .stop_max_ns = a->stop_max_ns,
                                .hold_max_ns = a->hold_max_ns,
                                .error = error,
                                .log = daemon_log,
                                .listening = daemon_listening,
                                .user = running_side};
    for (; o.peer_count < PEERS && a->peers[o.peer_count] != 0; o.peer_count++) {
        peers[o.peer_count] = (struct bbi_daemon_peer){
            .host = "127.0.0.1", .port = a->peers[o.peer_count], .slow = a->slow};
    }
    return o;
}

/* A child: the bridge, until SIGTERM. */
static UNUSED void
daemon_child(struct bbt_side *side, const void *arg)
{
    const struct daemon_arg *a = arg;
    struct bbi_daemon_peer peers[PEERS];
    struct bbi_daemon_place listen;
    struct bb_error error = {0};
    running_side = side;
    woken_arg = a;
    struct bbi_daemon_opts o = daemon_opts(a, peers, &listen, &error);
    int rc = bbi_daemon_open(&running, &o);
    BBT_CHECK(side, rc == 0, "open %s: %s", a->bus, error.sentence);
    bbi_daemon_set_wake(running, daemon_woken, side);
    (void)signal(SIGTERM, daemon_stop);
    (void)signal(SIGHUP, daemon_reload);
    bbt_at(side, 1);
    rc = bbi_daemon_run(running);
    BBT_CHECK(side, rc == 0, "run %s: %s", a->bus, error.sentence);
    bbi_daemon_close(running);
}

struct box {
    struct daemon_arg arg;
    struct bbt_child child;
    uint16_t port;
    struct bb_endpoint *ep; /* the test's own on that bus */
};

static UNUSED void
box_start(struct box *b)
{
    bbt_fork(&b->child, b->arg.bus, daemon_child, &b->arg);
    bbt_wait_at(&b->child, 1, WAIT_MS);
    b->port = (uint16_t)b->child.side->n[0];
    cr_assert_neq(b->port, 0);
}

static UNUSED void
box_new_with(struct box *b, const struct daemon_arg *arg)
{
    memset(b, 0, sizeof(*b));
    b->arg = *arg;
    box_start(b);
    struct bb_error error = {0};
    struct bb_endpoint_opts o = {
        .size = sizeof(o), .dir = bbt_dir(), .bus = arg->bus, .name = arg->bus, .error = &error};
    cr_assert_eq(bb_endpoint_open(&b->ep, &o), 0, "%s", error.sentence);
}

static UNUSED void
box_new(struct box *b, const char *bus, uint16_t peer)
{
    box_new_with(b, &(struct daemon_arg){.bus = bus, .peers = {peer}});
}

static UNUSED void
box_end(struct box *b)
{
    bb_endpoint_close(b->ep);
    if (!b->child.is_gone) {
        bbt_signal(&b->child, SIGTERM);
        bbt_wait_end(&b->child, WAIT_MS);
    }
}

/* Its links that are up. */
static UNUSED int
box_links(struct box *b, struct bb_link_info *first)
{
    struct bb_error error = {0};
    struct bb_link_info links[8] = {0};
    int n = bb_bridge_links(b->ep, links, 8, &error);
    cr_assert_geq(n, 0, "links of %s: %s", b->arg.bus, error.sentence);
    int up = 0;
    for (int i = 0; i < n && i < 8; i++) {
        if (links[i].state == BB_LINK_UP) {
            if (first != NULL && up == 0) {
                *first = links[i];
            }
            up++;
        }
    }
    return up;
}

static UNUSED struct bb_subscriber *
box_sub(struct box *b, const char *prefix, uint32_t flags)
{
    struct bb_error error = {0};
    struct bb_subscriber *sub;
    struct bb_subscriber_opts o = {.size = sizeof(o),
                                   .flags = flags | BB_SUBSCRIBER_STATUS | BB_SUBSCRIBER_LOOPBACK,
                                   .prefixes = &prefix,
                                   .prefix_count = 1,
                                   .error = &error};
    cr_assert_eq(bb_subscriber_open(&sub, b->ep, &o), 0, "%s", error.sentence);
    return sub;
}

static UNUSED struct bb_publisher *
box_pub(struct box *b, uint32_t depth, uint64_t bytes, struct bb_topic **topic, const char *text)
{
    struct bb_error error = {0};
    struct bb_publisher *pub;
    struct bb_publisher_opts o = {
        .size = sizeof(o), .depth = depth, .bytes = bytes, .error = &error};
    cr_assert_eq(bb_publisher_open(&pub, b->ep, &o), 0, "%s", error.sentence);
    cr_assert_eq(bb_topic_open(topic, pub, text, strlen(text)), 0);
    return pub;
}

/* All that is subscribed here is known at so many boxes. */
static UNUSED void
box_known(struct box *b, int boxes)
{
    struct bb_error error = {0};
    cr_assert_eq(bb_interest_wait(b->ep, WAIT_MS * INT64_C(1000000), &error), boxes, "%s",
                 error.sentence);
}

/* What a subscriber saw of one publisher far away: numbers rise, and what is missing stands in gaps. */
struct seen {
    uint64_t messages, first_seq, last_seq, skipped;
    uint64_t gap, uncertain;
    uint32_t reasons;
    uint64_t evicted, lost;
    int added, removed, gone; /* peers */
    int anew;                 /* of added */
    int died;                 /* bridges of this very bus */
    char order[64];           /* a letter for each status */
    char node[64], box[64], text[512];
    uint64_t node_id;
    int64_t wall_sum;
};

static UNUSED void
saw_letter(struct seen *s, char letter)
{
    size_t n = strlen(s->order);
    if (n + 1 < sizeof(s->order)) {
        s->order[n] = letter;
    }
}

static UNUSED void
saw_status(struct seen *s, const struct bb_msg *m)
{
    switch (m->status->kind) {
    case BB_STATUS_GAP:
        s->gap += m->status->count;
        s->uncertain += m->status->uncertain;
        s->reasons |= m->status->reasons;
        saw_letter(s, 'g');
        break;
    case BB_STATUS_PEER_ADDED:
        s->added++;
        s->anew += m->status->count == 1;
        cr_assert_leq(m->status->count, 1);
        saw_letter(s, 'A');
        (void)snprintf(s->box, sizeof(s->box), "%s", m->node);
        break;
    case BB_STATUS_PEER_REMOVED:
        s->removed++;
        saw_letter(s, 'R');
        break;
    case BB_STATUS_PEER_LOST:
        s->gone++;
        saw_letter(s, 'L');
        (void)snprintf(s->text, sizeof(s->text), "%.*s", (int)m->bytes, (const char *)m->data);
        break;
    case BB_STATUS_DIED:
        s->died++;
        break;
    case BB_STATUS_EVICTED:
        s->evicted++;
        break;
    case BB_STATUS_OVERRUN:
        s->lost += m->status->count;
        break;
    default:
        break;
    }
}

static UNUSED void
saw_message(struct seen *s, const struct bb_msg *m)
{
    uint64_t value = 0;
    cr_assert_geq(m->bytes, sizeof(value));
    memcpy(&value, m->data, sizeof(value));
    cr_assert_eq(value, m->seq, "message %" PRIu64 " has the number %" PRIu64, value, m->seq);
    if (s->messages == 0) {
        s->first_seq = m->seq;
    } else {
        cr_assert_gt(m->seq, s->last_seq, "%" PRIu64 " came after %" PRIu64, m->seq, s->last_seq);
        s->skipped += m->seq - s->last_seq - 1;
        cr_assert_eq(m->node_id, s->node_id);
    }
    s->messages++;
    s->last_seq = m->seq;
    s->node_id = m->node_id;
    s->wall_sum += m->wall_ns & 0xffffffff;
    (void)snprintf(s->node, sizeof(s->node), "%s", m->node);
}

static UNUSED int
see(struct bb_subscriber *sub, struct seen *s)
{
    struct bb_msg msgs[64];
    int n = bb_poll(sub, msgs, 64, SECOND_NS / 100);
    cr_assert_geq(n, 0);
    for (int i = 0; i < n; i++) {
        if (msgs[i].status != NULL) {
            saw_status(s, &msgs[i]);
        } else {
            saw_message(s, &msgs[i]);
        }
    }
    return n;
}

#define SEE_UNTIL(sub, s, expr, ...)                                                               \
    do {                                                                                           \
        int64_t see_end = bbt_now_ms() + bbt_ms(WAIT_MS);                                          \
        while (!(expr)) {                                                                          \
            (void)see((sub), (s));                                                                 \
            bbt_check_all();                                                                       \
            if (bbt_now_ms() > see_end) {                                                          \
                cr_assert_fail(__VA_ARGS__);                                                       \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Messages first to last, each with its number at its beginning. */
static UNUSED void
send_some(struct bb_topic *topic, uint64_t first, uint64_t last, size_t bytes)
{
    unsigned char data[4096] = {0};
    for (uint64_t i = first; i <= last; i++) {
        memcpy(data, &i, sizeof(i));
        uint32_t more = i % 8 != 0 && i != last ? (uint32_t)BB_MORE : 0u;
        cr_assert_eq(bb_publish(topic, data, bytes, BB_RAW | more), 0);
    }
}

/*
 * As send_some(), and waits for all of it: never more is under way than every ring and queue on it holds, so that none may
 * drop any, however late who reads it comes to run.
 */
static UNUSED void
send_and_see(struct bb_topic *topic,
             struct bb_subscriber *sub,
             struct seen *s,
             uint64_t first,
             uint64_t last,
             size_t bytes)
{
    enum { UNDER_WAY_BYTES = 1 << 20 };
    uint64_t step = UNDER_WAY_BYTES / bytes;
    for (uint64_t i = first; i <= last; i += step) {
        uint64_t to = last - i < step ? last : i + step - 1;
        send_some(topic, i, to, bytes);
        SEE_UNTIL(sub, s, s->last_seq == to, "%" PRIu64 " of %" PRIu64, s->last_seq, to);
    }
}

#endif

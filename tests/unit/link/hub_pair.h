/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/link/hub_pair.h - hubs in one thread, what their events told, and how they are driven.
 *
 * A side counts what came: messages of one ring, in order, each with the bytes that its number says.  Whatever is told
 * in the wrong order (a message while the link is down, up twice) fails the test at once.
 */
#ifndef BUSBAR_TESTS_UNIT_LINK_HUB_PAIR_H
#define BUSBAR_TESTS_UNIT_LINK_HUB_PAIR_H

#include "lib/link/hub.h"
#include "shm/os.h"
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNUSED    __attribute__((unused))
#define SECOND_NS INT64_C(1000000000)

struct kind {
    char name[32];
    enum bbi_net_engine engine;
    enum bbi_security security;
};
static struct kind KINDS[] UNUSED = {
    {"io_uring, plain", BBI_NET_URING, BBI_SECURITY_NONE},
    {"io_uring, user key", BBI_NET_URING, BBI_SECURITY_USER_KEY},
    {"epoll, plain", BBI_NET_EPOLL, BBI_SECURITY_NONE},
    {"epoll, user key", BBI_NET_EPOLL, BBI_SECURITY_USER_KEY},
};
#define KIND_PARAMS(suite, name)                                                                   \
    ParameterizedTestParameters(suite, name)                                                       \
    {                                                                                              \
        return cr_make_param_array(struct kind, KINDS, sizeof(KINDS) / sizeof(KINDS[0]));          \
    }

static UNUSED void
begin_kind(const struct kind *k)
{
    char why[512];
    if (k->engine == BBI_NET_URING && bbi_net_probe(why, sizeof(why)) != BBI_NET_URING) {
        cr_skip_test("no io_uring here: %s", why);
    }
}

/* ---- a side ---- */

enum { MESSAGE_MAX = 300 << 10, LOGS = 64 };

struct side {
    struct bbi_hub *hub;
    uint16_t port;
    struct bbi_box *box; /* the last that came up */
    bool is_up;
    int ups, resumed, downs, unavailable, dialed, interests, barriers, readable;
    enum bbi_down why;
    char down[512];        /* sentences, the last of each */
    char away[512];        /* of unavailable */
    char dialed_text[512]; /* of dialed */
    int dialed_status;
    uint64_t offered, offered_bytes;
    uint64_t seq, received, received_bytes, gap; /* of the other side's messages */
    uint64_t token;
    char prefix[64];
    char log[LOGS][800]; /* "level line" */
    int logs;
    struct bbi_link_time *clock; /* NULL: the clocks */
};

static UNUSED unsigned char
byte_of(uint64_t seq, size_t i)
{
    return (unsigned char)(seq * 31 + i * 7 + (i >> 8));
}

static UNUSED void
side_up(void *user, struct bbi_box *box, bool is_resumed)
{
    struct side *s = user;
    cr_assert_not(s->is_up, "up twice");
    s->is_up = true;
    s->box = box;
    s->ups++;
    s->resumed += is_resumed;
    cr_assert(bbi_box_is_up(box));
}

static UNUSED void
side_down(void *user, struct bbi_box *box, enum bbi_down why, const char *sentence)
{
    struct side *s = user;
    cr_assert(s->is_up, "down twice");
    cr_assert_not(bbi_box_is_up(box));
    s->is_up = false;
    s->downs++;
    s->why = why;
    (void)snprintf(s->down, sizeof(s->down), "%s", sentence);
}

static UNUSED void
side_unavailable(void *user, const char *address, const char *sentence)
{
    struct side *s = user;
    (void)address;
    s->unavailable++;
    (void)snprintf(s->away, sizeof(s->away), "%s", sentence);
}

static UNUSED void
side_messages(void *user, struct bbi_box *box, const struct bbi_link_msg *msgs, size_t count)
{
    struct side *s = user;
    (void)box;
    cr_assert(s->is_up, "a message while the link is down");
    for (size_t m = 0; m < count; m++) {
        const unsigned char *p = msgs[m].data;
        cr_assert_eq(msgs[m].seq, s->seq + 1, "message %lu came after %lu",
                     (unsigned long)msgs[m].seq, (unsigned long)s->seq);
        s->seq = msgs[m].seq;
        for (size_t i = 0; i < msgs[m].bytes; i += 97) {
            cr_assert_eq(p[i], byte_of(s->seq, i));
        }
        s->received++;
        s->received_bytes += msgs[m].bytes;
    }
}

static UNUSED void
side_gap(void *user, struct bbi_box *box, const struct bbi_gap *gap)
{
    struct side *s = user;
    (void)box;
    s->gap += gap->messages;
    s->seq += gap->messages;
}

static UNUSED void
side_interest(void *user, struct bbi_box *box, const struct bbi_interest *interest)
{
    struct side *s = user;
    (void)box;
    s->interests += interest->is_removed ? -1 : 1;
    (void)snprintf(s->prefix, sizeof(s->prefix), "%.*s", (int)interest->prefix_bytes,
                   interest->prefix);
}

static UNUSED void
side_barrier(void *user, struct bbi_box *box, uint64_t token)
{
    struct side *s = user;
    (void)box;
    s->barriers++;
    s->token = token;
}

static UNUSED void
side_dialed(void *user, const char *address, int status, const char *sentence)
{
    struct side *s = user;
    (void)address;
    s->dialed++;
    s->dialed_status = status;
    (void)snprintf(s->dialed_text, sizeof(s->dialed_text), "%s", sentence);
}

static UNUSED void
side_readable(void *user, int fd)
{
    struct side *s = user;
    char c;
    s->readable += read(fd, &c, 1) == 1;
}

static UNUSED void
side_log(void *user, const char *level, const char *line)
{
    struct side *s = user;
    (void)snprintf(s->log[s->logs % LOGS], sizeof(s->log[0]), "%s %s", level, line);
    s->logs++;
    if (getenv("BB_TEST_LOG") != NULL) {
        (void)fprintf(stderr, "%p %s %s\n", user, level, line);
    }
}

static UNUSED void
side_now(void *user, struct bbi_link_time *out)
{
    struct side *s = user;
    *out = *s->clock;
}

/* How often the log holds this. */
static UNUSED int
logged(const struct side *s, const char *level, const char *text)
{
    int count = 0;
    for (int i = 0; i < LOGS && i < s->logs; i++) {
        count += strncmp(s->log[i], level, strlen(level)) == 0 && strstr(s->log[i], text) != NULL;
    }
    return count;
}

/* The usual options of a side: name, and an id that begins with id. */
static UNUSED struct bbi_hub_opts
opts_of(const struct kind *k, const char *name, uint8_t id)
{
    static struct bbi_tls_key key = {.peer = NULL, .bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9}};
    struct bbi_hub_opts o = {.engine = k->engine, .security = k->security};
    o.self.node.v[0] = id;
    o.self.node.v[15] = 0x77;
    o.self.epoch = 1000u + id;
    (void)snprintf(o.self.name, sizeof(o.self.name), "%s", name);
    o.retry_min_ns = SECOND_NS / 200;
    o.retry_max_ns = SECOND_NS / 10;
    if (k->security == BBI_SECURITY_USER_KEY || k->security == BBI_SECURITY_KEY) {
        o.tls.keys = &key;
        o.tls.key_count = 1;
    }
    return o;
}

static UNUSED void
side_open(struct side *s, const struct bbi_hub_opts *opts)
{
    static const struct bbi_hub_events events = {.up = side_up,
                                                 .down = side_down,
                                                 .unavailable = side_unavailable,
                                                 .messages = side_messages,
                                                 .gap = side_gap,
                                                 .interest = side_interest,
                                                 .barrier = side_barrier,
                                                 .dialed = side_dialed,
                                                 .readable = side_readable,
                                                 .log = side_log};
    struct bbi_fault f = {0};
    struct bbi_hub_opts o = *opts;
    struct bbi_link_time *clock = s->clock;
    memset(s, 0, sizeof(*s));
    s->clock = clock;
    o.now = clock != NULL ? side_now : NULL;
    cr_assert_eq(bbi_hub_open(&s->hub, &o, &events, s, &f), 0, "%s", f.sentence);
}

static UNUSED void
side_listen(struct side *s)
{
    struct bbi_fault f = {0};
    cr_assert_eq(bbi_hub_listen(s->hub, "127.0.0.1", s->port, &s->port, &f), 0, "%s", f.sentence);
    cr_assert_neq(s->port, 0);
}

static UNUSED void
side_dial(struct side *s, uint16_t port)
{
    struct bbi_fault f = {0};
    cr_assert_eq(bbi_hub_dial(s->hub, "127.0.0.1", port, NULL, &f), 0, "%s", f.sentence);
}

static UNUSED void
side_dial_once(struct side *s, uint16_t port)
{
    struct bbi_fault f = {0};
    const struct bbi_dial_opts once = {.is_once = true};
    cr_assert_eq(bbi_hub_dial(s->hub, "127.0.0.1", port, &once, &f), 0, "%s", f.sentence);
}

static UNUSED void
side_close(struct side *s)
{
    bbi_hub_close(s->hub);
    s->hub = NULL;
}

/* ---- driving ---- */

static UNUSED void
turn(struct side *s, int64_t timeout_ns)
{
    int rc = s->hub != NULL ? bbi_hub_wait(s->hub, timeout_ns) : 0;
    cr_assert_geq(rc, 0, "%s", bb_strerror(rc));
}

/* Until the expression holds, both sides taking turns; b may be a side without a hub.  20 s at most. */
#define UNTIL(a, b, expr)                                                                          \
    do {                                                                                           \
        int64_t until_deadline_ns = bbi_os_mono_ns() + 20 * SECOND_NS;                             \
        while (!(expr)) {                                                                          \
            cr_assert_lt(bbi_os_mono_ns(), until_deadline_ns,                                      \
                         "never: %s\n a: %s | %s | %s\n b: %s | %s | %s", #expr, (a)->down,        \
                         (a)->away, (a)->log[((a)->logs + LOGS - 1) % LOGS], (b)->down, (b)->away, \
                         (b)->log[((b)->logs + LOGS - 1) % LOGS]);                                 \
            turn((a), 200000);                                                                     \
            turn((b), 0);                                                                          \
        }                                                                                          \
    } while (0)

/* For so long, whatever happens. */
static UNUSED void
drive(struct side *a, struct side *b, int64_t ns)
{
    int64_t until_ns = bbi_os_mono_ns() + ns;
    while (bbi_os_mono_ns() < until_ns) {
        turn(a, 1000000);
        turn(b, 0);
    }
}

/* ---- messages ---- */

static UNUSED int
offer(struct side *s, size_t bytes)
{
    static unsigned char data[MESSAGE_MAX];
    uint64_t seq = ++s->offered;
    struct bbi_link_msg msg = {
        .origin = {.epoch = 5, .node_id = 7, .ring = 1, .name = "worker", .name_bytes = 6},
        .seq = seq,
        .wall_ns = (int64_t)seq,
        .topic = "conn/new",
        .topic_bytes = 8,
        .data = data,
        .bytes = bytes,
        .attr = 2,
        .ttl = BBI_LINK_TTL};
    for (size_t i = 0; i < bytes; i += 97) {
        data[i] = byte_of(seq, i);
    }
    s->offered_bytes += bytes;
    return bbi_session_offer(bbi_box_session(s->box), &msg);
}

static UNUSED void
pair_open(struct side *a, struct side *b, const struct kind *k)
{
    struct bbi_hub_opts oa = opts_of(k, "alpha", 1), ob = opts_of(k, "bravo", 2);
    side_open(a, &oa);
    side_open(b, &ob);
    side_listen(b);
}

static UNUSED void
pair_up(struct side *a, struct side *b, const struct kind *k)
{
    pair_open(a, b, k);
    side_dial(a, b->port);
    UNTIL(a, b, a->is_up && b->is_up);
}

static UNUSED void
pair_close(struct side *a, struct side *b)
{
    side_close(a);
    side_close(b);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what programs ask of a bridge happens, and is answered once: at once, or when the outcome is known; whatever is
 * wrong is said in a sentence; who asks too much is refused.
 * Method: a thread is busbard: a bus, a hub, control, and the hub of another box that it can link to.  The test's thread is
 * a program with the public calls.  The bus's side of links (lib/link/local.h) is not there: its three calls are here, and
 * count.
 */
#include "lib/link/control.h"
#include "busbar/busbar.h"
#include "lib/endpoint/bridge_words.h"
#include "lib/endpoint/for_store.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS_NS INT64_C(1000000)

TestSuite(link_control, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

/* ---- in place of lib/link/local.c ---- */

static _Atomic int looks;

void
bbi_local_look_now(struct bbi_local *local)
{
    (void)local;
    looks++;
}

void
bbi_local_link(const struct bbi_local *local, const struct bbi_box *box, struct bb_link_info *out)
{
    (void)local;
    (void)box;
    out->denied_in = 11;
    out->denied_out = 12;
}

uint64_t
bbi_local_lost(const struct bbi_local *local)
{
    (void)local;
    return 13;
}

/* ---- busbard ---- */

struct bridge {
    struct bb_endpoint *ep;
    struct bbi_hub *hub, *other;
    struct bbi_control *control;
    uint16_t port; /* of the other box */
    _Atomic int is_ready, stop;
    pthread_t thread;
};

static void
on_up(void *user, struct bbi_box *box, bool is_resumed)
{
    struct bridge *b = user;
    (void)is_resumed;
    bbi_control_up(b->control, box);
}

static void
on_dialed(void *user, const char *address, int status, const char *sentence)
{
    struct bridge *b = user;
    bbi_control_dialed(b->control, address, status, sentence);
}

static void
on_barrier(void *user, struct bbi_box *box, uint64_t token)
{
    struct bridge *b = user;
    bbi_control_barrier(b->control, box, token);
}

static struct bbi_hub *
open_hub(struct bridge *b, const char *name, uint8_t id)
{
    static const struct bbi_hub_events ours = {
        .up = on_up, .dialed = on_dialed, .barrier = on_barrier};
    static const struct bbi_hub_events none = {0};
    struct bbi_hub_opts o = {.engine = BBI_NET_EPOLL, .security = BBI_SECURITY_NONE};
    struct bbi_fault f = {0};
    struct bbi_hub *hub = NULL;
    o.self.node.v[0] = id;
    o.self.epoch = 1000u + id;
    o.retry_min_ns = 5 * MS_NS;
    o.retry_max_ns = 50 * MS_NS;
    (void)snprintf(o.self.name, sizeof(o.self.name), "%s", name);
    int rc = bbi_hub_open(&hub, &o, id == 1 ? &ours : &none, b, &f);
    return rc < 0 ? NULL : hub;
}

/* Everything of a hub belongs to one thread. */
static bool
open_all(struct bridge *b, struct bbi_hello *self)
{
    struct bbi_fault f = {0};
    b->hub = open_hub(b, "alpha", 1);
    b->other = open_hub(b, "bravo", 2);
    self->node.v[0] = 1;
    self->epoch = 1001;
    (void)snprintf(self->name, sizeof(self->name), "alpha");
    const struct bbi_control_opts o = {.ep = b->ep,
                                       .hub = b->hub,
                                       .security = BBI_SECURITY_NONE,
                                       .self = self,
                                       .started_wall_ns = 99};
    return b->hub != NULL && b->other != NULL
           && bbi_hub_listen(b->other, "127.0.0.1", 0, &b->port, &f) == 0
           && bbi_control_open(&b->control, &o, &f) == 0;
}

static void *
run_bridge(void *user)
{
    struct bridge *b = user;
    struct bbi_hello self = {0};
    b->is_ready = open_all(b, &self) ? 1 : -1;
    while (b->is_ready > 0 && !b->stop) {
        int rc = bbi_hub_wait(b->hub, MS_NS);
        rc = rc < 0 ? rc : bbi_hub_wait(b->other, 0);
        b->is_ready = rc < 0 ? -1 : b->is_ready;
        (void)bbi_control_turn(b->control, bbi_os_mono_ns());
    }
    bbi_control_close(b->control);
    bbi_hub_close(b->hub);
    bbi_hub_close(b->other);
    return NULL;
}

static struct bb_endpoint *
attach(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

static struct bridge bridge;
static struct bb_endpoint *ep;
static struct bb_error error;

static void
begin(void)
{
    looks = 0;
    bridge = (struct bridge){.ep = attach(BBI_BRIDGE_NODE)};
    ep = attach("program");
    cr_assert_eq(pthread_create(&bridge.thread, NULL, run_bridge, &bridge), 0);
    while (bridge.is_ready == 0) {
        (void)usleep(1000);
    }
    cr_assert_eq(bridge.is_ready, 1);
}

static void
end(void)
{
    bridge.stop = 1;
    cr_assert_eq(pthread_join(bridge.thread, NULL), 0);
    cr_assert_eq(bridge.is_ready, 1);
    bb_endpoint_close(bridge.ep);
    bb_endpoint_close(ep);
}

static struct bb_link_opts
opts(uint32_t flags, int64_t timeout_ns)
{
    memset(&error, 0, sizeof(error));
    return (struct bb_link_opts){.size = sizeof(struct bb_link_opts),
                                 .flags = flags,
                                 .timeout_ns = timeout_ns,
                                 .error = &error};
}

#define PEER(port, flags, timeout_ns)                                                              \
    bb_peer(ep, "127.0.0.1", (port), &(struct bb_link_opts[]){opts((flags), (timeout_ns))}[0])
#define UNPEER(port) bb_unpeer(ep, "127.0.0.1", (port), &(struct bb_link_opts[]){opts(0, 0)}[0])
#define HAS(text)    cr_assert_neq((void *)strstr(error.sentence, (text)), NULL, "%s", error.sentence)

/* A port of this box at which nobody listens, or a socket that takes connections and never speaks. */
static int
silent_port(uint16_t *port, bool is_listening)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    cr_assert_eq(is_listening ? listen(fd, 5) : 0, 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &bytes), 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

/* ---- links ---- */

Test(link_control, a_link_comes_up_is_seen_and_goes)
{
    struct bb_link_info l[4];
    struct bb_bridge_info info = {.size = sizeof(info)};
    char address[64];
    begin();
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)bridge.port);
    cr_assert_eq(PEER(bridge.port, BB_PEER_WAIT, 20000 * MS_NS), 0, "%s", error.sentence);
    cr_assert_eq(bb_bridge_links(ep, l, 4, &error), 1);
    cr_assert_str_eq(l[0].address, address);
    cr_assert_str_eq(l[0].name, "bravo");
    cr_assert_str_eq(l[0].cipher, "none");
    cr_assert_eq(l[0].state, BB_LINK_UP);
    cr_assert_eq(l[0].dialed, 1);
    cr_assert_eq(l[0].box[0], 2);
    cr_assert_eq(l[0].denied_out, 12); /* local's columns */
    cr_assert_eq(bb_bridge_look(ep, &info, &error), 0);
    cr_assert_str_eq(info.name, "alpha");
    cr_assert_str_eq(info.engine, "epoll");
    cr_assert_str_eq(info.security, "none");
    cr_assert_eq(info.box[0], 1);
    cr_assert_eq(info.epoch, 1001);
    cr_assert_eq(info.pid, getpid());
    cr_assert_eq(info.started_wall_ns, 99);
    cr_assert_eq(info.links, 1);
    cr_assert_eq(info.up, 1);
    cr_assert_eq(info.local_lost, 13);
    cr_assert_gt(info.memory_bytes, 0);

    cr_assert_eq(PEER(bridge.port, 0, 0), BB_EEXIST); /* case 22: once is enough */
    HAS(address);
    cr_assert_eq(UNPEER(bridge.port), 0, "%s", error.sentence); /* case 23 */
    cr_assert_eq(UNPEER(bridge.port), BB_ENOENT);               /* case 26 */
    HAS(address);
    cr_assert_eq(bb_bridge_look(ep, &info, &error), 0);
    cr_assert_eq(info.up, 0);
    end();
}

Test(link_control, once_at_a_closed_port_is_refused_and_forgotten)
{
    uint16_t port;
    int fd = silent_port(&port, false);
    begin(); /* case 25, without retries */
    cr_assert_eq(PEER(port, BB_PEER_ONCE, 20000 * MS_NS), -ECONNREFUSED, "%s", error.sentence);
    cr_assert_neq(error.sentence[0], '\0');
    cr_assert_eq(bb_bridge_links(ep, NULL, 0, &error), 0);
    cr_assert_eq(UNPEER(port), BB_ENOENT);
    close(fd);
    end();
}

Test(link_control, a_closed_port_is_tried_on_and_said_so)
{
    struct bb_link_info l;
    uint16_t port;
    int fd = silent_port(&port, false);
    begin(); /* case 25, with retries */
    cr_assert_eq(PEER(port, BB_PEER_WAIT, 200 * MS_NS), BB_ETIMEDOUT);
    HAS("it is tried on");
    cr_assert_eq(bb_bridge_links(ep, &l, 1, &error), 1);
    cr_assert_eq(l.dialed, 1);
    cr_assert_gt(l.attempts, 1);
    cr_assert_neq(l.last[0], '\0');
    close(fd);
    cr_assert_eq(UNPEER(port), 0);
    cr_assert_eq(bb_bridge_links(ep, NULL, 0, &error), 0);
    end();
}

Test(link_control, once_gives_a_silent_listener_up_when_time_ran_out)
{
    uint16_t port;
    int fd = silent_port(&port, true);
    begin();
    cr_assert_eq(PEER(port, BB_PEER_ONCE, 100 * MS_NS), BB_ETIMEDOUT);
    HAS("it is not tried any more");
    int64_t deadline_ns = bbi_os_mono_ns() + 10000 * MS_NS;
    while (bb_bridge_links(ep, NULL, 0, &error) != 0 && bbi_os_mono_ns() < deadline_ns) {
    }
    cr_assert_eq(bb_bridge_links(ep, NULL, 0, &error), 0);
    close(fd);
    end();
}

/* ---- places ---- */

Test(link_control, places_to_listen_at_come_and_go)
{
    struct bb_link_info l;
    uint16_t port = 0, again = 0;
    char address[64];
    begin();
    const struct bb_link_opts o = opts(0, 0);
    cr_assert_eq(bb_listen(ep, "127.0.0.1", 0, &o, &port), 0, "%s", error.sentence);
    cr_assert_neq(port, 0);
    cr_assert_eq(bb_bridge_links(ep, &l, 1, &error), 1);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)port);
    cr_assert_str_eq(l.address, address);
    cr_assert_eq(l.state, BB_LINK_LISTENING);
    cr_assert_lt(bb_listen(ep, "127.0.0.1", port, &o, &again), 0);
    cr_assert_neq(error.sentence[0], '\0');
    cr_assert_eq(again, 0);
    cr_assert_eq(bb_unlisten(ep, "127.0.0.1", port, &o), 0);
    cr_assert_eq(bb_unlisten(ep, "127.0.0.1", port, &o), BB_ENOENT);
    HAS(address);
    cr_assert_eq(bb_listen(ep, "no.such.host.invalid", 0, &o, &again), BB_ENOENT);
    end();
}

/* ---- barrier ---- */

Test(link_control, a_barrier_returns_how_many_boxes_know)
{
    begin();
    cr_assert_eq(bb_interest_wait(ep, 0, &error), 0); /* nobody to tell, at once */
    cr_assert_eq(PEER(bridge.port, BB_PEER_WAIT, 20000 * MS_NS), 0, "%s", error.sentence);
    cr_assert_eq(bb_interest_wait(ep, 20000 * MS_NS, &error), 1, "%s", error.sentence);
    cr_assert_eq(looks, 2);
    end();
}

/* ---- what is wrong ---- */

Test(link_control, what_a_link_cannot_have_is_said)
{
    begin();
    struct bb_link_opts o = opts(0, 0);
    o.queue_bytes = 100;
    cr_assert_eq(bb_peer(ep, "127.0.0.1", 1, &o), BB_EINVAL);
    HAS("64 KiB");
    o = opts(0, 0);
    o.queue_bytes = UINT64_MAX;
    cr_assert_eq(bb_peer(ep, "127.0.0.1", 1, &o), BB_EINVAL);
    cr_assert_eq(bb_peer(ep, "127.0.0.1", 0, &o), BB_EINVAL);
    HAS("port");
    cr_assert_eq(bb_bridge_links(ep, NULL, 0, &error), 0);
    end();
}

struct asker {
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
    struct bb_topic *topic;
    uint64_t to;
};

static struct asker
asker_open(void)
{
    struct asker a = {0};
    const struct bb_subscriber_opts so = {.size = sizeof(so)};
    cr_assert_eq(bb_publisher_open(&a.pub, ep, NULL), 0);
    cr_assert_eq(bb_subscriber_open(&a.sub, ep, &so), 0);
    cr_assert_eq(bbi_reserved_open(&a.topic, a.pub, BBI_BRIDGE_ASK, strlen(BBI_BRIDGE_ASK)), 0);
    cr_assert_eq(bb_node_find(ep, BBI_BRIDGE_NODE, &a.to), 0);
    return a;
}

static void
asker_close(struct asker *a)
{
    bb_publisher_close(a->pub);
    bbi_reserved_close(a->topic);
    bb_subscriber_close(a->sub);
}

static void
send_bytes(struct asker *a, const void *data, size_t bytes)
{
    uint64_t id;
    const struct bb_request_opts o = {
        .size = sizeof(o), .timeout_ns = 30000 * MS_NS, .to_node = a->to};
    cr_assert_eq(bb_request(a->topic, a->sub, data, bytes, BB_VALUE, &o, &id), 0);
}

/* The next answer. */
static struct bbi_bridge_answer
next_answer(struct asker *a)
{
    struct bbi_bridge_answer answer;
    struct bbi_bridge_answer_body body;
    struct bb_reply_info info;
    struct bb_msg m;
    for (;;) {
        int n = bb_poll(a->sub, &m, 1, 30000 * MS_NS);
        cr_assert_eq(n, 1);
        if (bb_msg_reply(&m, &info) == 0 && info.is_end == 0) {
            cr_assert_eq(bbi_bridge_answer_read(&answer, &body, m.data, m.bytes), 0);
            return answer;
        }
    }
}

Test(link_control, what_cannot_be_read_or_is_not_known_is_answered)
{
    unsigned char buf[BBI_BRIDGE_ASK_MAX];
    struct bbi_bridge_ask ask = {.request = "dance"};
    begin();
    struct asker a = asker_open();
    send_bytes(&a, "nonsense", 8);
    struct bbi_bridge_answer got = next_answer(&a);
    cr_assert_eq(got.code, BB_ECORRUPT);
    int64_t bytes = bbi_bridge_ask_write(buf, sizeof(buf), &ask);
    send_bytes(&a, buf, (size_t)bytes);
    got = next_answer(&a);
    cr_assert_eq(got.code, BB_ENOTSUP);
    cr_assert_str_eq(got.sentence,
                     "this busbard does not know the request \"dance\": is the program newer?");
    ask = (struct bbi_bridge_ask){.request = "peer", .host = "h", .port = 1, .flags = 8};
    bytes = bbi_bridge_ask_write(buf, sizeof(buf), &ask);
    send_bytes(&a, buf, (size_t)bytes);
    got = next_answer(&a);
    cr_assert_eq(got.code, BB_ENOTSUP);
    ask = (struct bbi_bridge_ask){.request = "peer", .host = "h", .port = 1, .slow = 8};
    bytes = bbi_bridge_ask_write(buf, sizeof(buf), &ask);
    send_bytes(&a, buf, (size_t)bytes);
    got = next_answer(&a);
    cr_assert_eq(got.code, BB_ENOTSUP);
    asker_close(&a);
    end();
}

/* 64 links that do not come up are waited for; the next one is refused, and not made. */
Test(link_control, who_waits_is_bounded)
{
    enum { WAITING = 64 };
    unsigned char buf[BBI_BRIDGE_ASK_MAX];
    struct bbi_bridge_ask ask;
    begin();
    struct asker a = asker_open();
    uint16_t port;
    int fd = silent_port(&port, true); /* takes connections into its queue, and says nothing */
    ask = (struct bbi_bridge_ask){
        .request = "peer", .flags = BB_PEER_WAIT, .wait_ns = 25000 * MS_NS, .port = port};
    for (int i = 0; i < WAITING; i++) {
        (void)snprintf(ask.host, sizeof(ask.host), "127.0.1.%d",
                       i + 1); /* each an address of its own */
        int64_t bytes = bbi_bridge_ask_write(buf, sizeof(buf), &ask);
        send_bytes(&a, buf, (size_t)bytes);
    }
    (void)snprintf(ask.host, sizeof(ask.host), "127.0.2.1");
    int64_t bytes = bbi_bridge_ask_write(buf, sizeof(buf), &ask);
    send_bytes(&a, buf, (size_t)bytes);
    struct bbi_bridge_answer got = next_answer(&a);
    cr_assert_eq(got.code, BB_EFULL, "%s", got.sentence);
    cr_assert_eq(bb_bridge_links(ep, NULL, 0, &error), WAITING); /* and it was not dialed */
    asker_close(&a); /* they went: their answers are refused by the bus */
    close(fd);
    end();
}

/* Who waits hears that busbard ended. */
Test(link_control, an_end_answers_those_who_wait)
{
    unsigned char buf[BBI_BRIDGE_ASK_MAX];
    struct bbi_bridge_ask ask = {
        .request = "peer", .host = "127.0.0.1", .flags = BB_PEER_WAIT, .wait_ns = INT64_MAX};
    begin();
    struct asker a = asker_open();
    uint16_t port;
    int fd = silent_port(&port, false);
    ask.port = port;
    int64_t bytes = bbi_bridge_ask_write(buf, sizeof(buf), &ask);
    send_bytes(&a, buf, (size_t)bytes);
    int64_t deadline_ns = bbi_os_mono_ns() + 20000 * MS_NS;
    while (bb_bridge_links(ep, NULL, 0, &error) != 1 && bbi_os_mono_ns() < deadline_ns) {
    }
    bridge.stop = 1;
    struct bbi_bridge_answer got = next_answer(&a);
    cr_assert_eq(got.code, BB_EPEERGONE);
    asker_close(&a);
    close(fd);
    end();
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/bridge.c - the client of this bus's busbard.
 *
 * A call is one request to the node `busbard`: the caller's subscribers neither miss anything nor hear anything of it.
 * busbard is told how long it may wait for an outcome and answers then, also that time ran out; the request itself lives
 * a little longer, so that this answer, which says more, still comes.
 *
 * The ring is the endpoint's, made by its first question and used by all its threads, each for as long as it takes to
 * publish one (struct bbi_asking).  The subscriber is the call's own: one that is kept, and read only while something is
 * asked, would hold every ring that closes meanwhile for 10 s, which is what keeping the ring spares the bus.
 */
#include "busbar/bridge.h"
#include "busbar/request.h"
#include "lib/endpoint/bridge_words.h"
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/for_store.h"
#include "lib/endpoint/opts.h"
#include "shm/os.h"
#include "shm/registry.h"
#include <stdio.h>
#include <string.h>

static const int64_t TIMEOUT_NS = INT64_C(10000000000);
static const int64_t LOOK_NS = INT64_C(5000000000); /* of calls that only look */
static const int64_t GRACE_NS = INT64_C(500000000);
enum { TRIES = 3 }; /* of a listing that was overwritten before it was read */

struct call {
    struct bb_endpoint *ep;
    struct bbi_bridge_ask ask;
    struct bbi_fault fault;
    struct bb_subscriber *sub;
    uint64_t asking_made; /* which ring it was asked through */
    uint64_t node_id, id;
    int64_t pid;
    /* What came. */
    struct bbi_bridge_answer answer;
    struct bb_bridge_info *info; /* NULL: is not wanted */
    struct bb_link_info *links;
    size_t max, links_came;
    bool is_answered; /* whole */
};

/* ---- who answers -------------------------------------------------------------------------------- */

static const char *
bus_name(const struct bb_endpoint *ep)
{
    const char *path = bb_endpoint_path(ep);
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int
say_none(struct call *c)
{
    const char *bus = bus_name(c->ep);
    return bbi_fault_set(&c->fault, BB_ENORESPONDERS, bus,
                         "no busbard runs on bus %s: start one with `busbard --bus %s`", bus, bus);
}

static int
say_ended(struct call *c)
{
    bbi_fault_owner(&c->fault, c->pid, -1);
    return bbi_fault_set(&c->fault, BB_EPEERGONE, BBI_BRIDGE_NODE,
                         "the busbard (pid %lld) of bus %s ended before it answered",
                         (long long)c->pid, bus_name(c->ep));
}

static int
say_silent(struct call *c)
{
    bool is_stopped = bbi_os_process_state((pid_t)c->pid) == 'T';
    int rc = is_stopped ? bbi_fault_set(&c->fault, BB_ETIMEDOUT, BBI_BRIDGE_NODE,
                                        "the busbard (pid %lld) of bus %s is stopped and does not "
                                        "answer: `kill -CONT %lld` lets it go on",
                                        (long long)c->pid, bus_name(c->ep), (long long)c->pid)
                        : bbi_fault_set(&c->fault, BB_ETIMEDOUT, BBI_BRIDGE_NODE,
                                        "the busbard (pid %lld) of bus %s did not answer in time",
                                        (long long)c->pid, bus_name(c->ep));
    bbi_fault_owner(&c->fault, c->pid, -1);
    return rc;
}

/* What the bus itself said: a ring or a subscriber could not be had. */
static int
say_status(struct call *c, int rc)
{
    if (rc < 0 && c->fault.sentence[0] == '\0') {
        (void)bbi_fault_set(&c->fault, rc, bus_name(c->ep), "cannot ask the busbard of bus %s: %s",
                            bus_name(c->ep), bb_strerror(rc));
    }
    return rc;
}

static int
find_busbard(struct call *c)
{
    struct bbi_member_view m;
    uint32_t gen;
    uint32_t slot = bbi_member_find(&c->ep->at, BBI_BRIDGE_NODE, &gen);
    if (slot == BBI_MEMBERS || !bbi_member_read(&c->ep->at.bus->members[slot], &m)) {
        return say_none(c);
    }
    c->node_id = bbi_node_id(slot, gen);
    c->pid = m.pid;
    return 0;
}

/* ---- asking ------------------------------------------------------------------------------------- */

/* Under the lock.  Other calls have published through it and wait: to them it is of no more use. */
static void
asking_close(struct bbi_asking *a)
{
    struct bb_publisher *pub = a->pub;
    struct bb_topic *topic = a->topic;
    a->pub = NULL; /* before they are freed: a child of fork frees what stands here */
    a->topic = NULL;
    bb_publisher_close(pub);
    bbi_reserved_close(topic);
}

static int
asking_open(struct call *c, struct bbi_asking *a)
{
    struct bb_error error = {0};
    const struct bb_publisher_opts o = {
        .size = sizeof(o), .lane = BB_LANE_ONESHOT, .error = &error};
    if (a->topic != NULL) {
        return 0;
    }
    int rc = bb_publisher_open(&a->pub, c->ep, &o);
    if (rc < 0) {
        return error.sentence[0] == '\0'
                   ? rc
                   : bbi_fault_set(&c->fault, rc, error.name, "%s", error.sentence);
    }
    a->made++;
    rc = bbi_reserved_open(&a->topic, a->pub, BBI_BRIDGE_ASK, strlen(BBI_BRIDGE_ASK));
    if (rc < 0) {
        asking_close(a);
    }
    return rc;
}

/* Under the lock. */
static int
publish(struct call *c, struct bbi_asking *a)
{
    unsigned char buf[BBI_BRIDGE_ASK_MAX];
    int64_t bytes = bbi_bridge_ask_write(buf, sizeof(buf), &c->ask);
    int64_t wait_ns = c->ask.wait_ns;
    const struct bb_request_opts o = {
        .size = sizeof(o),
        .timeout_ns = wait_ns > INT64_MAX - GRACE_NS ? -1 : wait_ns + GRACE_NS,
        .to_node = c->node_id,
        .answers = 1,
    };
    c->asking_made = a->made;
    return bytes < 0
               ? (int)bytes
               : bb_request(a->topic, c->sub, buf, (size_t)bytes, BB_VALUE | BB_NATIVE, &o, &c->id);
}

static int
send_request(struct call *c)
{
    struct bbi_asking *a = &c->ep->asking;
    (void)pthread_mutex_lock(&a->lock);
    int rc = asking_open(c, a);
    rc = rc < 0 ? rc : publish(c, a);
    (void)pthread_mutex_unlock(&a->lock);
    return rc == BB_ENORESPONDERS ? say_none(c) : rc;
}

/* Whatever went wrong with the ring, also on busbard's side where it may have been put aside: the next call makes another. */
static void
give_up_asking(struct call *c)
{
    struct bbi_asking *a = &c->ep->asking;
    (void)pthread_mutex_lock(&a->lock);
    if (a->made == c->asking_made) {
        asking_close(a);
    }
    (void)pthread_mutex_unlock(&a->lock);
}

static int
open_replies(struct call *c)
{
    struct bb_error error = {0};
    const struct bb_subscriber_opts o = {
        .size = sizeof(o), .flags = BB_SUBSCRIBER_LOOPBACK, .error = &error};
    int rc = bb_subscriber_open(&c->sub, c->ep, &o);
    return rc < 0 && error.sentence[0] != '\0'
               ? bbi_fault_set(&c->fault, rc, error.name, "%s", error.sentence)
               : rc;
}

/* ---- what comes --------------------------------------------------------------------------------- */

static int
take_links(struct call *c, struct bbi_bridge_answer_body *body)
{
    struct bb_link_info link;
    int rc;
    while ((rc = bbi_bridge_link_read(&link, body)) == 0) {
        if (c->links_came < c->max) {
            c->links[c->links_came] = link;
        }
        c->links_came++;
    }
    return rc == BB_EEND ? 0 : rc;
}

static int
take_reply(struct call *c, const struct bb_msg *msg, const struct bb_reply_info *info)
{
    struct bbi_bridge_answer_body body;
    if (info->code != 0) { /* bb_reply_error(): of a responder that is no busbard as we know it */
        return bbi_fault_set(&c->fault, info->code, BBI_BRIDGE_NODE, "%.*s",
                             (int)(msg->bytes < 400 ? msg->bytes : 400), (const char *)msg->data);
    }
    int rc = bbi_bridge_answer_read(&c->answer, &body, msg->data, msg->bytes);
    rc = rc == 0 ? take_links(c, &body) : rc;
    if (rc == 0 && c->info != NULL && c->answer.code >= 0) {
        rc = bbi_bridge_info_read(c->info, &body);
    }
    if (rc < 0) {
        return bbi_fault_set(&c->fault, BB_ECORRUPT, BBI_BRIDGE_NODE,
                             "what the busbard (pid %lld) of bus %s answers cannot be read: is it "
                             "another version?",
                             (long long)c->pid, bus_name(c->ep));
    }
    c->is_answered = info->has_more == 0;
    return 0;
}

static int
say_end(struct call *c, int code)
{
    return code == BB_ETIMEDOUT ? say_silent(c) : code == BB_EPEERGONE ? say_ended(c) : BB_EOVERRUN;
}

/* Until the last reply, or the end of the request.  bb_poll() knows the deadline. */
static int
take_all(struct call *c)
{
    struct bb_msg msg;
    struct bb_reply_info info;
    int rc = 0;
    while (rc >= 0 && !c->is_answered) {
        rc = bb_poll(c->sub, &msg, 1, -1);
        if (rc == 1 && bb_msg_reply(&msg, &info) == 0 && info.id == c->id) {
            rc = info.is_end != 0 ? say_end(c, info.code) : take_reply(c, &msg, &info);
        }
    }
    return rc < 0 ? rc : 0;
}

/* BB_EOVERRUN: replies were overwritten before we read them. */
static int
ask_once(struct call *c)
{
    c->links_came = 0;
    c->is_answered = false;
    int rc = find_busbard(c);
    rc = rc < 0 ? rc : open_replies(c);
    rc = rc < 0 ? rc : send_request(c);
    rc = rc < 0 ? rc : take_all(c);
    bb_subscriber_close(c->sub);
    c->sub = NULL;
    if (rc == BB_ETIMEDOUT || rc == BB_EAGAIN) {
        give_up_asking(c);
    }
    bool is_listing = c->ask.max > 0;
    uint64_t due = c->answer.count < c->max ? c->answer.count : c->max;
    return rc == 0 && is_listing && c->links_came < due ? BB_EOVERRUN : rc;
}

/* 0 or more: as the answer says. */
static int
ask(struct call *c, enum bbi_bridge_ask_kind kind)
{
    if (bbi_is_forked(c->ep->fork_gen)) {
        return BB_EFORKED;
    }
    (void)snprintf(c->ask.request, sizeof(c->ask.request), "%s", bbi_bridge_ask_name(kind));
    c->fault = (struct bbi_fault){.uid = -1};
    int rc = BB_EOVERRUN;
    for (int i = 0; rc == BB_EOVERRUN && i < TRIES; i++) {
        rc = ask_once(c);
    }
    if (rc < 0) {
        return say_status(c, rc);
    }
    int code = (int)c->answer.code;
    return code < 0 ? bbi_fault_set(&c->fault, code, c->ask.host, "%s", c->answer.sentence) : code;
}

static int
end(struct call *c, int rc, struct bb_error *error)
{
    return rc < 0 && rc != BB_EFORKED ? bbi_error_set(error, &c->fault) : rc;
}

/* ---- links and places --------------------------------------------------------------------------- */

static int
refuse(struct bb_error *error, int code, const char *name, const char *sentence)
{
    struct bbi_fault f = {.uid = -1};
    (void)bbi_fault_set(&f, code, name, "%s", sentence);
    return bbi_error_set(error, &f);
}

static int
take_opts(struct bb_link_opts *o, const struct bb_link_opts *opts)
{
    int rc = BBI_OPTS_TAKE(struct bb_link_opts, o, opts);
    rc = rc < 0 ? rc
                : bbi_opts_flags(o->flags, BB_PEER_ONCE | BB_PEER_WAIT, "bb_link_opts", o->error);
    if (rc == 0 && o->slow > BB_SLOW_DISCONNECT) {
        return refuse(o->error, BB_EINVAL, "slow", "there is no such policy for a slow link");
    }
    if (rc == 0 && o->name != NULL && strlen(o->name) >= BBI_BRIDGE_NAME_BYTES) {
        return refuse(o->error, BB_ENAMETOOLONG, "name", "the name of a box has at most 63 bytes");
    }
    return rc;
}

static int
fill(struct call *c, const char *host, uint16_t port, const struct bb_link_opts *o)
{
    int64_t timeout_ns = o->timeout_ns != 0 ? o->timeout_ns : TIMEOUT_NS;
    c->ask = (struct bbi_bridge_ask){
        .port = port,
        .flags = o->flags,
        .slow = o->slow,
        .queue_bytes = o->queue_bytes,
        .wait_ns = timeout_ns < 0 ? INT64_MAX : timeout_ns,
    };
    size_t host_bytes = host != NULL ? strlen(host) : 0;
    if (host_bytes == 0) {
        return refuse(o->error, BB_EINVAL, "host", "a link needs the name or address of a host");
    }
    if (host_bytes >= sizeof(c->ask.host)) {
        return refuse(o->error, BB_ENAMETOOLONG, "host",
                      "the name of a host has at most 119 bytes");
    }
    memcpy(c->ask.host, host, host_bytes);
    if (o->name != NULL) {
        memcpy(c->ask.name, o->name, strlen(o->name));
    }
    return 0;
}

static int
ask_of_place(struct call *c,
             enum bbi_bridge_ask_kind kind,
             const char *host,
             uint16_t port,
             const struct bb_link_opts *opts)
{
    struct bb_link_opts o;
    int rc = take_opts(&o, opts);
    rc = rc < 0 ? rc : fill(c, host, port, &o);
    return rc < 0 ? rc : end(c, ask(c, kind), o.error);
}

int
bb_listen(struct bb_endpoint *ep,
          const char *host,
          uint16_t port,
          const struct bb_link_opts *opts,
          uint16_t *port_out)
{
    struct call c = {.ep = ep};
    int rc = ask_of_place(&c, BBI_ASK_LISTEN, host, port, opts);
    if (rc >= 0 && port_out != NULL) {
        *port_out = (uint16_t)c.answer.port;
    }
    return rc < 0 ? rc : 0;
}

/* One that has no other answer than its code. */
static int
ask_plainly(struct bb_endpoint *ep,
            enum bbi_bridge_ask_kind kind,
            const char *host,
            uint16_t port,
            const struct bb_link_opts *opts)
{
    struct call c = {.ep = ep};
    int rc = ask_of_place(&c, kind, host, port, opts);
    return rc < 0 ? rc : 0;
}

int
bb_unlisten(struct bb_endpoint *ep,
            const char *host,
            uint16_t port,
            const struct bb_link_opts *opts)
{
    return ask_plainly(ep, BBI_ASK_UNLISTEN, host, port, opts);
}

int
bb_peer(struct bb_endpoint *ep, const char *host, uint16_t port, const struct bb_link_opts *opts)
{
    return ask_plainly(ep, BBI_ASK_PEER, host, port, opts);
}

int
bb_unpeer(struct bb_endpoint *ep, const char *host, uint16_t port, const struct bb_link_opts *opts)
{
    return ask_plainly(ep, BBI_ASK_UNPEER, host, port, opts);
}

int
bb_interest_wait(struct bb_endpoint *ep, int64_t timeout_ns, struct bb_error *error)
{
    struct call c = {.ep = ep, .ask.wait_ns = timeout_ns < 0 ? INT64_MAX : timeout_ns};
    int rc = ask(&c, BBI_ASK_KNOWN);
    return rc < 0 ? end(&c, rc, error)
                  : (int)(c.answer.count < INT32_MAX ? c.answer.count : INT32_MAX);
}

/* ---- looking ------------------------------------------------------------------------------------ */

const char *
bb_link_state_name(uint32_t state)
{
    static const char *const names[] = {"down", "connecting", "up", "listening"};
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

int
bb_bridge_look(struct bb_endpoint *ep, struct bb_bridge_info *out, struct bb_error *error)
{
    struct bb_bridge_info info = {0};
    struct call c = {.ep = ep, .ask.wait_ns = LOOK_NS, .info = &info};
    int rc = ask(&c, BBI_ASK_INFO);
    if (rc < 0) {
        return end(&c, rc, error);
    }
    bbi_stats_give(out, &info, sizeof(info));
    return 0;
}

int
bb_bridge_links(struct bb_endpoint *ep,
                struct bb_link_info *out,
                size_t max,
                struct bb_error *error)
{
    struct call c = {.ep = ep, .ask = {.wait_ns = LOOK_NS, .max = max}, .links = out, .max = max};
    int rc = ask(&c, BBI_ASK_LINKS);
    return rc < 0 ? end(&c, rc, error)
                  : (int)(c.answer.count < INT32_MAX ? c.answer.count : INT32_MAX);
}

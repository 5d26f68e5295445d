/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/control.c - requests of programs, answered at once or when the outcome is known.
 *
 *   bb_poll() ─► bbi_bridge_ask_read() ─► answer       what is known: places, looking, a peer that is only dialed
 *                               └► control_wait.c      ONCE, WAIT, KNOWN
 *
 * A program that went meanwhile costs nothing: its reply is refused by the bus.  The ring of answers never waits for anybody
 * (BB_POLICY_EVICT): a program that stands still must not hold up the links.
 */
#include "lib/link/control_impl.h"
#include "shm/base.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TAKEN = 32, /* requests of one turn */
    QUEUE_MIN = BBI_QUEUE_BYTES_MIN,
    ADDRESS_BYTES = sizeof(((struct bb_link_info *)0)->address),
};
static const uint64_t QUEUE_MAX = UINT64_C(64) << 30;

static_assert((int)BB_SLOW_DROP_OLDEST == (int)BBI_SLOW_DROP_OLDEST, "one list of policies");
static_assert((int)BB_SLOW_DROP_NEWEST == (int)BBI_SLOW_DROP_NEWEST, "one list of policies");
static_assert((int)BB_SLOW_DISCONNECT == (int)BBI_SLOW_DISCONNECT, "one list of policies");

/* ---- answering ---------------------------------------------------------------------------------- */

void
bbi_control_send(struct bbi_control *c,
                 const struct bb_request_info *to,
                 const struct bbi_bridge_answer *answer,
                 const struct bbi_bridge_answer_parts *parts,
                 uint32_t more)
{
    int64_t bytes = bbi_bridge_answer_write(c->buf, sizeof(c->buf), answer, parts);
    if (bytes < 0) {
        (void)!bb_reply_error(c->pub, to, (int)bytes, "the answer could not be built");
        return;
    }
    (void)!bb_reply(c->pub, to, c->buf, (size_t)bytes, BB_VALUE | BB_NATIVE | more);
}

void
bbi_control_answer(struct bbi_control *c,
                   const struct bb_request_info *to,
                   int code,
                   const char *sentence)
{
    struct bbi_bridge_answer answer = {.code = code};
    (void)snprintf(answer.sentence, sizeof(answer.sentence), "%s", sentence);
    bbi_control_send(c, to, &answer, NULL, 0);
}

static void
answer_fault(struct bbi_control *c,
             const struct bb_request_info *to,
             int code,
             const struct bbi_fault *f)
{
    bbi_control_answer(c, to, code, f->sentence[0] != '\0' ? f->sentence : bb_strerror(code));
}

/* ---- links -------------------------------------------------------------------------------------- */

void
bbi_control_list_free(struct bbi_control_links *links)
{
    free(links->v);
    free(links->boxes);
}

int
bbi_control_list(const struct bbi_control *c, struct bbi_control_links *out)
{
    size_t count = bbi_hub_links(c->o.hub, NULL, NULL, 0);
    *out = (struct bbi_control_links){
        .v = calloc(count + 1, sizeof(*out->v)),
        .boxes = calloc(count + 1, sizeof(struct bbi_box *)),
    };
    if (out->v == NULL || out->boxes == NULL) {
        bbi_control_list_free(out);
        return BB_ENOMEM;
    }
    size_t now = bbi_hub_links(c->o.hub, out->v, out->boxes, count);
    out->count = now < count ? now : count;
    for (size_t i = 0; i < out->count; i++) {
        if (out->boxes[i] != NULL) {
            bbi_local_link(c->o.local, out->boxes[i], &out->v[i]);
        }
    }
    return 0;
}

/* ---- what is asked ------------------------------------------------------------------------------ */

static void
do_listen(struct bbi_control *c, const struct bb_request_info *to, const struct bbi_bridge_ask *ask)
{
    struct bbi_fault f = {.uid = -1};
    uint16_t port = 0;
    int rc = bbi_hub_listen(c->o.hub, ask->host, (uint16_t)ask->port, &port, &f);
    if (rc < 0) {
        answer_fault(c, to, rc, &f);
        return;
    }
    bbi_control_send(c, to, &(struct bbi_bridge_answer){.port = port}, NULL, 0);
}

/* Of what is to end; what: "listens at", "is linked to". */
static void
answer_end(struct bbi_control *c,
           const struct bb_request_info *to,
           const struct bbi_bridge_ask *ask,
           int rc,
           const char *what)
{
    char address[ADDRESS_BYTES];
    struct bbi_fault f = {.uid = -1};
    (void)bbi_bridge_address(address, sizeof(address), ask->host, (uint16_t)ask->port);
    if (rc == BB_ENOENT) {
        (void)bbi_fault_set(&f, rc, address,
                            "nothing %s %s; `busbar bridge ls` lists what there is", what, address);
    }
    answer_fault(c, to, rc, &f);
}

static void
do_unlisten(struct bbi_control *c,
            const struct bb_request_info *to,
            const struct bbi_bridge_ask *ask)
{
    int rc = bbi_hub_unlisten(c->o.hub, ask->host, (uint16_t)ask->port);
    answer_end(c, to, ask, rc, "listens at");
}

static void
do_unpeer(struct bbi_control *c, const struct bb_request_info *to, const struct bbi_bridge_ask *ask)
{
    int rc = bbi_hub_undial(c->o.hub, ask->host, (uint16_t)ask->port);
    answer_end(c, to, ask, rc, "is linked to");
}

static int
check_peer(const struct bbi_bridge_ask *ask, struct bbi_fault *f)
{
    if ((ask->flags & ~(uint32_t)(BB_PEER_ONCE | BB_PEER_WAIT)) != 0) {
        return bbi_fault_set(f, BB_ENOTSUP, "flags",
                             "this busbard does not know the flags 0x%x: is the program newer?",
                             ask->flags);
    }
    if (ask->slow > BB_SLOW_DISCONNECT) {
        return bbi_fault_set(f, BB_ENOTSUP, "slow",
                             "this busbard does not know the policy %u for a slow link", ask->slow);
    }
    if (ask->queue_bytes != 0 && (ask->queue_bytes < QUEUE_MIN || ask->queue_bytes > QUEUE_MAX)) {
        return bbi_fault_set(f, BB_EINVAL, "queue",
                             "the queue of a link has 64 KiB to 64 GiB, not %llu bytes",
                             (unsigned long long)ask->queue_bytes);
    }
    return 0;
}

static void
do_peer(struct bbi_control *c, const struct bb_request_info *to, const struct bbi_bridge_ask *ask)
{
    struct bbi_fault f = {.uid = -1};
    struct bbi_waiter *w = NULL;
    bool is_once = (ask->flags & BB_PEER_ONCE) != 0;
    bool waits = (ask->flags & (BB_PEER_ONCE | BB_PEER_WAIT)) != 0;
    const struct bbi_dial_opts o = {
        .name = ask->name[0] != '\0' ? ask->name : NULL,
        .slow = (enum bbi_slow_policy)ask->slow,
        .queue_bytes = ask->queue_bytes,
        .is_once = is_once,
    };
    int rc = check_peer(ask, &f);
    if (rc == 0 && waits) { /* before it is dialed: it may come out at once */
        w = bbi_control_wait(c, is_once ? BBI_WAITS_ONCE : BBI_WAITS_UP, to, ask);
        if (w == NULL) {
            return;
        }
    }
    rc = rc < 0 ? rc : bbi_hub_dial(c->o.hub, ask->host, (uint16_t)ask->port, &o, &f);
    if (rc < 0 && w != NULL && bbi_control_is_of_link(w)) {
        bbi_control_forget(c, w);
    }
    if (rc < 0 || !waits) {
        answer_fault(c, to, rc, rc < 0 ? &f : &(struct bbi_fault){.uid = -1});
    }
}

static void
do_known(struct bbi_control *c, const struct bb_request_info *to, const struct bbi_bridge_ask *ask)
{
    size_t boxes = 0;
    for (struct bbi_box *b = bbi_hub_next(c->o.hub, NULL); b != NULL;
         b = bbi_hub_next(c->o.hub, b)) {
        boxes++;
    }
    struct bbi_barrier *barriers = calloc(boxes + 1, sizeof(*barriers));
    if (barriers == NULL) {
        bbi_control_answer(c, to, BB_ENOMEM, bb_strerror(BB_ENOMEM));
        return;
    }
    struct bbi_waiter *w = bbi_control_wait(c, BBI_WAITS_KNOWN, to, ask);
    if (w == NULL) {
        free(barriers);
        return;
    }
    w->barriers = barriers;
    bbi_local_look_now(c->o.local); /* what is subscribed now is told from now on */
    for (struct bbi_box *b = bbi_hub_next(c->o.hub, NULL); b != NULL && w->barrier_count < boxes;
         b = bbi_hub_next(c->o.hub, b)) {
        if (bbi_box_is_up(b)) {
            barriers[w->barrier_count++] =
                (struct bbi_barrier){.box = b, .token = bbi_session_barrier(bbi_box_session(b))};
        }
    }
}

static void
do_info(struct bbi_control *c, const struct bb_request_info *to)
{
    struct bbi_control_links links;
    struct bbi_net *net = bbi_hub_net(c->o.hub);
    struct bb_bridge_info info = {
        .epoch = c->o.self->epoch,
        .pid = getpid(),
        .started_wall_ns = c->o.started_wall_ns,
        .memory_bytes = bbi_hub_memory(c->o.hub),
        .local_lost = bbi_local_lost(c->o.local),
    };
    int rc = bbi_control_list(c, &links);
    if (rc < 0) {
        bbi_control_answer(c, to, rc, bb_strerror(rc));
        return;
    }
    for (size_t i = 0; i < links.count; i++) {
        info.links += links.v[i].state != BB_LINK_LISTENING;
        info.up += links.v[i].state == BB_LINK_UP;
    }
    bbi_control_list_free(&links);
    (void)snprintf(info.name, sizeof(info.name), "%s", c->o.self->name);
    (void)snprintf(info.engine, sizeof(info.engine), "%s", bbi_net_engine_name(net));
    (void)snprintf(info.engine_why, sizeof(info.engine_why), "%s", bbi_net_why(net));
    (void)snprintf(info.security, sizeof(info.security), "%s", bbi_security_name(c->o.security));
    memcpy(info.box, c->o.self->node.v, sizeof(info.box));
    const struct bbi_bridge_answer_parts parts = {.info = &info};
    bbi_control_send(c, to, &(struct bbi_bridge_answer){0}, &parts, 0);
}

/* Some at a time; all of one moment. */
static void
do_links(struct bbi_control *c, const struct bb_request_info *to, const struct bbi_bridge_ask *ask)
{
    struct bbi_control_links links;
    int rc = bbi_control_list(c, &links);
    if (rc < 0) {
        bbi_control_answer(c, to, rc, bb_strerror(rc));
        return;
    }
    const struct bbi_bridge_answer answer = {.count = links.count};
    size_t wanted = ask->max < links.count ? (size_t)ask->max : links.count;
    size_t sent = 0;
    do {
        size_t left = wanted - sent;
        const struct bbi_bridge_answer_parts parts = {
            .links = links.v + sent,
            .link_count = left < BBI_BRIDGE_LINKS_EACH ? left : BBI_BRIDGE_LINKS_EACH,
        };
        sent += parts.link_count;
        bbi_control_send(c, to, &answer, &parts, sent < wanted ? (uint32_t)BB_REPLY_MORE : 0);
    } while (sent < wanted);
    bbi_control_list_free(&links);
}

static void
do_ask(struct bbi_control *c,
       const struct bb_request_info *to,
       enum bbi_bridge_ask_kind kind,
       const struct bbi_bridge_ask *ask)
{
    char sentence[128];
    switch (kind) {
    case BBI_ASK_LISTEN:
        do_listen(c, to, ask);
        break;
    case BBI_ASK_UNLISTEN:
        do_unlisten(c, to, ask);
        break;
    case BBI_ASK_PEER:
        do_peer(c, to, ask);
        break;
    case BBI_ASK_UNPEER:
        do_unpeer(c, to, ask);
        break;
    case BBI_ASK_KNOWN:
        do_known(c, to, ask);
        break;
    case BBI_ASK_INFO:
        do_info(c, to);
        break;
    case BBI_ASK_LINKS:
        do_links(c, to, ask);
        break;
    case BBI_ASK_NONE:
        (void)snprintf(sentence, sizeof(sentence),
                       "this busbard does not know the request \"%s\": is the program newer?",
                       ask->request);
        bbi_control_answer(c, to, BB_ENOTSUP, sentence);
        break;
    }
}

/* What is no request is somebody's message on a reserved topic: passed over. */
static void
take(struct bbi_control *c, const struct bb_msg *msg)
{
    struct bb_request_info to;
    struct bbi_bridge_ask ask;
    struct bbi_fault f = {.uid = -1};
    if (msg->status != NULL || bb_msg_request(msg, &to) != 0) {
        return;
    }
    int kind = bbi_bridge_ask_read(&ask, msg->data, msg->bytes, &f);
    if (kind < 0) {
        answer_fault(c, &to, kind, &f);
    } else {
        do_ask(c, &to, (enum bbi_bridge_ask_kind)kind, &ask);
    }
}

int64_t
bbi_control_turn(struct bbi_control *control, int64_t mono_ns)
{
    struct bb_msg msgs[TAKEN];
    int n = bb_poll(control->sub, msgs, TAKEN, 0);
    for (int i = 0; i < n; i++) {
        take(control, &msgs[i]);
    }
    int64_t next = bbi_control_look(control, n > 0 ? bbi_os_mono_ns() : mono_ns);
    return n == TAKEN ? mono_ns : next;
}

/* ---- open, close -------------------------------------------------------------------------------- */

static int
open_ends(struct bbi_control *c, struct bbi_fault *f)
{
    static const char *const prefixes[] = {BBI_BRIDGE_PREFIX};
    struct bb_error error = {0};
    const struct bb_publisher_opts po = {
        .size = sizeof(po), .lane = BB_LANE_CONTROL, .policy = BB_POLICY_EVICT, .error = &error};
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = BB_SUBSCRIBER_LOOPBACK | BB_SUBSCRIBER_COPIES,
                                          .prefixes = prefixes,
                                          .prefix_count = 1,
                                          .error = &error};
    int rc = bb_publisher_open(&c->pub, c->o.ep, &po);
    rc = rc < 0 ? rc : bb_subscriber_open(&c->sub, c->o.ep, &so);
    rc = rc < 0 ? rc : bb_fd(c->sub);
    return rc < 0 ? bbi_fault_set(f, rc, error.name, "cannot take requests of programs: %s",
                                  error.sentence[0] != '\0' ? error.sentence : bb_strerror(rc))
                  : 0;
}

int
bbi_control_open(struct bbi_control **out, const struct bbi_control_opts *opts, struct bbi_fault *f)
{
    struct bbi_control *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, "", "out of memory");
    }
    c->o = *opts;
    int rc = open_ends(c, f);
    if (rc < 0) {
        bbi_control_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void
bbi_control_close(struct bbi_control *control)
{
    if (control == NULL) {
        return;
    }
    bbi_control_end_waits(control);
    bb_publisher_close(control->pub);
    bb_subscriber_close(control->sub);
    free(control);
}

int
bbi_control_fd(struct bbi_control *control)
{
    return bb_fd(control->sub);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/client.c - a clone's frames: made, waited for, given up.
 *
 * The publisher and the subscriber of answers are opened with the first frame: who only reads costs the bus
 * nothing.  The subscriber is lossy, so that a clone that stands still holds up no master; what it loses it
 * asks for again.  A handle that became master talks to itself over the bus until its old frames are settled.
 */
#include "lib/endpoint/for_store.h"
#include "lib/store/client_impl.h"
#include "lib/store/poll_impl.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t BLOCK_NS = INT64_C(1000000);
static const int64_t OWN_TURN_NS = INT64_C(200000);

/* ---- open, close ---- */

static int
open_ends(struct bb_store *s, struct bbi_client *c)
{
    const struct bb_publisher_opts po = {.size = sizeof(po),
                                         .lane = BB_LANE_CONTROL,
                                         .policy = BB_POLICY_BLOCK_FAIL,
                                         .block_ns = BLOCK_NS,
                                         .error = &c->error};
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = BB_SUBSCRIBER_LOOPBACK | BB_SUBSCRIBER_STATUS,
                                          .error = &c->error};
    char topic[sizeof(BBI_STORE_TOPIC) + BB_NAME_MAX + 2];
    int n = snprintf(topic, sizeof(topic), "%s%s/", BBI_STORE_TOPIC, s->name);
    int rc = bb_subscriber_open(&c->sub, s->ep, &so);
    rc = rc < 0 ? rc : bb_publisher_open(&c->pub, s->ep, &po);
    return rc < 0 ? rc : bbi_reserved_open(&c->topic, c->pub, topic, (size_t)n);
}

static void
free_client(struct bbi_client *c)
{
    for (int i = 0; i < BBI_FRAMES; i++) {
        free(c->outs[i].frame);
        free(c->outs[i].answer);
    }
    bb_publisher_close(c->pub);
    bbi_reserved_close(c->topic);
    bb_subscriber_close(c->sub);
    free(c->kept);
    free(c->results);
    free(c);
}

int
bbi_client_open(struct bb_store *s)
{
    if (s->client != NULL) {
        return 0;
    }
    if (s->ep == NULL) {
        return bbi_store_no_bus(s);
    }
    struct bbi_client *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return BB_ENOMEM;
    }
    bbi_os_random(&c->id, sizeof(c->id));
    c->first = c->next = 1;
    c->may_ask = BBI_FRAMES;
    c->master_node = s->dir.ctl != NULL ? bbi_load_relaxed(&s->dir.ctl->master_id) : 0;
    int rc = open_ends(s, c);
    if (rc < 0) {
        free_client(c);
        return rc;
    }
    s->client = c;
    return 0;
}

void
bbi_client_close(struct bb_store *s)
{
    struct bbi_client *c = s->client;
    if (c == NULL) {
        return;
    }
    bool is_forked = bbi_store_is_forked(s);
    for (uint64_t n = c->first; !is_forked && n < c->next; n++) {
        bbi_client_settle(c, bbi_out_of(c, n), BB_EPEERGONE);
    }
    if (!is_forked) {
        bbi_client_tell(s);
        if (c->next > 1) {
            (void)!bbi_client_send(s, BBI_FRAME_BYE, NULL, 0, 0); /* nobody waits for its answer */
        }
    }
    free_client(c);
    s->client = NULL;
}

/* ---- a frame ---- */

/* The next number; its place is free. */
static int
make_frame(struct bb_store *s,
           enum bbi_frame_kind kind,
           const struct bb_store_cmd *cmds,
           size_t count,
           uint32_t flags)
{
    struct bbi_client *c = s->client;
    struct bbi_out *o = bbi_out_of(c, c->next);
    int64_t bytes = bbi_frame_bytes(cmds, count);
    if (bytes < 0) {
        return (int)bytes;
    }
    unsigned char *room = malloc(sizeof(struct bbi_part_head) + (size_t)bytes);
    if (room == NULL) {
        return BB_ENOMEM;
    }
    const struct bbi_frame_head head = {.kind = kind,
                                        .flags = flags,
                                        .number = c->next,
                                        .answered = c->first - 1,
                                        .count = (uint32_t)count};
    int rc = bbi_frame_write(room + sizeof(struct bbi_part_head), (size_t)bytes, &head, cmds);
    if (rc < 0) {
        free(room);
        return rc;
    }
    *o = (struct bbi_out){.state = BBI_OUT_WAITS,
                          .number = c->next,
                          .count = count,
                          .frame = room,
                          .frame_bytes = (size_t)bytes,
                          .deadline_ns = bbi_until_ns(s->timeout_ns)};
    c->next++;
    return 0;
}

static uint64_t
open_count(const struct bbi_client *c)
{
    return c->next - c->first;
}

bool
bbi_client_is_idle(const struct bb_store *s)
{
    return s->client == NULL || open_count(s->client) == 0;
}

/* ticket 0: nobody is told of it. */
static int64_t
send_frame(struct bb_store *s,
           enum bbi_frame_kind kind,
           const struct bb_store_cmd *cmds,
           size_t count,
           uint32_t flags,
           bool has_ticket)
{
    int rc = bbi_client_open(s);
    if (rc < 0) {
        return rc;
    }
    struct bbi_client *c = s->client;
    if (open_count(c) >= s->window) {
        return BB_EAGAIN;
    }
    rc = make_frame(s, kind, cmds, count, flags);
    if (rc < 0) {
        return rc;
    }
    int64_t ticket = has_ticket ? ++c->last_ticket : 0;
    bbi_out_of(c, c->next - 1)->ticket = ticket;
    bbi_client_pump(s, bbi_os_mono_ns());
    return ticket;
}

int64_t
bbi_client_send(struct bb_store *s,
                enum bbi_frame_kind kind,
                const struct bb_store_cmd *cmds,
                size_t count,
                uint32_t flags)
{
    return send_frame(s, kind, cmds, count, flags, kind == BBI_FRAME_COMMANDS);
}

int
bbi_client_send_unheard(struct bb_store *s, const struct bb_store_cmd *cmds, size_t count)
{
    return (int)send_frame(s, BBI_FRAME_COMMANDS, cmds, count, 0, false);
}

/* ---- waiting ---- */

int64_t
bbi_client_next_ns(const struct bb_store *s)
{
    const struct bbi_client *c = s->client;
    int64_t next = INT64_MAX;
    bool waits = false, asked = false;
    for (uint64_t n = c != NULL ? c->first : 0; c != NULL && n < c->next; n++) {
        const struct bbi_out *o = &c->outs[n % BBI_FRAMES];
        waits = waits || o->state == BBI_OUT_WAITS;
        asked = asked || o->state == BBI_OUT_ASKED;
        if (o->state == BBI_OUT_WAITS || o->state == BBI_OUT_ASKED) {
            next = bbi_min_i64(next, o->deadline_ns);
        }
    }
    next = waits ? bbi_min_i64(next, c->retry_ns) : next;
    return asked ? bbi_min_i64(next, bbi_client_silence_ns(c)) : next;
}

/* One that was never sent has not run; one that may have been forgotten is not sent again. */
static void
give_up_what_is_over(struct bb_store *s, int64_t now)
{
    struct bbi_client *c = s->client;
    for (uint64_t n = c->first; n < c->next; n++) {
        struct bbi_out *o = bbi_out_of(c, n);
        bool is_open = o->state == BBI_OUT_WAITS || o->state == BBI_OUT_ASKED;
        bool is_too_old =
            o->state == BBI_OUT_WAITS && o->first_ns != 0 && now - o->first_ns > BBI_AGAIN_MAX_NS;
        if (is_open && (now >= o->deadline_ns || is_too_old)) {
            (void)bbi_client_say(s, BB_ETIMEDOUT,
                                 o->first_ns != 0 ? "may yet run" : "was not sent");
            bbi_client_settle(c, o, BB_ETIMEDOUT);
        }
    }
}

static bool
is_any_asked(const struct bbi_client *c)
{
    for (uint64_t n = c->first; n < c->next; n++) {
        if (c->outs[n % BBI_FRAMES].state == BBI_OUT_ASKED) {
            return true;
        }
    }
    return false;
}

int
bbi_client_step(struct bb_store *s, int64_t until_ns)
{
    struct bbi_client *c = s->client;
    int64_t now = bbi_os_mono_ns();
    give_up_what_is_over(s, now); /* before anything is sent again */
    bbi_client_pump(s, now);
    if (c->first != c->next && bbi_out_of(c, c->first)->state == BBI_OUT_SETTLED) {
        until_ns = 0; /* there is something to tell already */
    }
    until_ns = bbi_min_i64(until_ns, bbi_client_next_ns(s));
    if (!is_any_asked(c) && !bbi_client_is_idle(s)) {
        bbi_client_wait_master(s, until_ns);
        until_ns = 0;
    }
    int n = bbi_client_take(s, until_ns);
    give_up_what_is_over(s, bbi_os_mono_ns());
    bbi_client_tell(s);
    return n;
}

/* Steps until the frame is settled.  A standby tries the lock meanwhile; a master answers itself. */
static int
wait_for(struct bb_store *s, const struct bbi_outcome *outcome)
{
    while (!outcome->is_settled) {
        int rc = bbi_role_step(s);
        if (rc >= 0 && s->master != NULL) {
            rc = bbi_master_poll(s, 0);
        }
        if (rc < 0) {
            return rc;
        }
        int64_t until = s->master != NULL ? bbi_os_mono_ns() + OWN_TURN_NS : bbi_role_next_ns(s);
        rc = bbi_client_step(s, until);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* Room for one more: the oldest has to be told. */
static int
wait_for_room(struct bb_store *s)
{
    struct bbi_client *c = s->client;
    while (open_count(c) >= BBI_FRAMES) {
        int rc = bbi_role_step(s);
        rc = rc >= 0 && s->master != NULL ? bbi_master_poll(s, 0) : rc;
        rc = rc < 0 ? rc : bbi_client_step(s, bbi_role_next_ns(s));
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int
bbi_client_run(struct bb_store *s,
               enum bbi_frame_kind kind,
               const struct bb_store_cmd *cmds,
               size_t count,
               uint32_t flags,
               struct bb_store_result *results)
{
    int rc = bbi_client_open(s);
    rc = rc < 0 ? rc : wait_for_room(s);
    rc = rc < 0 ? rc : make_frame(s, kind, cmds, count, flags);
    if (rc < 0) {
        return rc;
    }
    struct bbi_client *c = s->client;
    struct bbi_outcome outcome = {0};
    struct bbi_out *o = bbi_out_of(c, c->next - 1);
    o->outcome = &outcome;
    rc = wait_for(s, &outcome);
    if (!outcome.is_settled) { /* a fault of the handle: nobody looks at this frame any more */
        o->outcome = NULL;
        return rc;
    }
    free(c->kept);
    c->kept = outcome.answer;
    c->last_version = outcome.code == 0 ? outcome.version : c->last_version;
    const struct bbi_bytes answer = {outcome.answer, outcome.answer_bytes};
    return outcome.code < 0 ? outcome.code : bbi_client_results(answer, count, results);
}

int
bbi_client_poll(struct bb_store *s, int64_t timeout_ns)
{
    struct bbi_client *c = s->client;
    c->told = 0;
    int rc = bbi_client_step(s, bbi_until_ns(timeout_ns));
    return rc < 0 ? rc : (int)c->told;
}

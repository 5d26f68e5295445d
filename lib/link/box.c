/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session outlives its transports; which of two stays is the session's rule (bbi_session_prefer()).
 *
 * Callbacks of a session come from within its calls, where it must not be cut: closed() only notes, and bbi_box_settle()
 * tells, when the call is over.
 */
#include "lib/link/box.h"
#include "lib/link/dial.h"
#include "lib/link/policy.h"
#include "lib/link/transport.h"
#include "shm/os.h"

#include <stdio.h>
#include <string.h>

/* ---- words ---- */

int
bbi_close_status(uint32_t code)
{
    switch (code) {
    case BBI_CLOSE_REMOVED:
    case BBI_CLOSE_SHUTDOWN:
    case BBI_CLOSE_SLOW:
        return BB_EPEERGONE;
    case BBI_CLOSE_VERSION:
    case BBI_CLOSE_UNKNOWN:
    case BBI_CLOSE_TLS:
        return BB_EVERSION;
    case BBI_CLOSE_SELF:
        return BB_EINVAL;
    case BBI_CLOSE_DUPLICATE:
        return BB_EEXIST;
    case BBI_CLOSE_CLUSTER:
    case BBI_CLOSE_REFUSED:
        return BB_EACCES;
    case BBI_CLOSE_DEAD:
    case BBI_CLOSE_STALLED:
    case BBI_CLOSE_HANDSHAKE:
        return BB_ETIMEDOUT;
    case BBI_CLOSE_MEMORY:
        return BB_ENOMEM;
    case BBI_CLOSE_LIMIT:
    case BBI_CLOSE_INTERESTS:
        return BB_EFULL;
    default:
        return BB_ECORRUPT;
    }
}

/* ---- up and down ---- */

static void
tell_down(struct bbi_box *box, enum bbi_down why, const char *sentence)
{
    struct bbi_hub *hub = box->hub;
    (void)snprintf(box->last, sizeof(box->last), "%.*s", (int)sizeof(box->last) - 1, sentence);
    if (!box->is_up) {
        return;
    }
    box->is_up = false;
    box->sent_per_s = box->received_per_s = 0;
    bbi_hub_log(hub, why == BBI_DOWN_LOST ? "warning" : "notice", "link to %s (%s) is down: %s",
                box->hello.name, box->address, sentence);
    if (hub->events.down != NULL) {
        hub->events.down(hub->user, box, why, sentence);
    }
}

/* The attempt, or the link, came to its end; who dials it hears that. */
static void
ended(struct bbi_box *box, enum bbi_down why, int status, bool is_soon, const char *sentence)
{
    struct bbi_transport *t = box->transport;
    bool was_up = box->is_up;
    if (t == NULL || t->is_told) {
        return; /* its CLOSE was said before it broke */
    }
    t->is_told = true;
    tell_down(box, why, sentence);
    if (t->dial != NULL) {
        struct bbi_dial *d = t->dial;
        d->transport = NULL;
        t->dial = NULL;
        bbi_dial_failed(d, status, is_soon, sentence);
    } else if (was_up) {
        bbi_dial_box_down(box, is_soon, sentence);
    } else if (t->role == BBI_ROLE_ACCEPTED) {
        bbi_hub_log_refused(box->hub, t->address, sentence);
    }
}

static bool
is_removal(const struct bbi_box *box)
{
    uint32_t code = box->close.code;
    return !box->is_ended_remotely
           && (code == BBI_CLOSE_REMOVED || code == BBI_CLOSE_SHUTDOWN
               || code == BBI_CLOSE_REFUSED);
}

/* Both dialed: the other transport carries the link, or soon will. */
static void
settle_duplicate(struct bbi_box *box)
{
    struct bbi_transport *t = box->transport;
    struct bbi_dial *d = t != NULL ? t->dial : NULL;
    if (t != NULL) {
        t->is_told = true;
    }
    if (d != NULL) {
        t->dial = NULL;
        d->transport = NULL;
        bbi_dial_satisfied(d, box);
    }
    tell_down(box, BBI_DOWN_LOST, box->close.sentence);
}

void
bbi_box_settle(struct bbi_box *box)
{
    char sentence[BBI_HUB_SENTENCE_BYTES];
    if (!box->has_ended) {
        return;
    }
    box->has_ended = false;
    if (box->close.code == BBI_CLOSE_DUPLICATE) {
        settle_duplicate(box);
        return;
    }
    box->is_parted =
        box->is_parted
        || (box->is_ended_remotely
            && (box->close.code == BBI_CLOSE_REMOVED || box->close.code == BBI_CLOSE_REFUSED));
    (void)snprintf(sentence, sizeof(sentence), "%s%s", box->is_ended_remotely ? "it says: " : "",
                   box->close.sentence);
    ended(box, is_removal(box) ? BBI_DOWN_REMOVED : BBI_DOWN_LOST,
          bbi_close_status(box->close.code), bbi_close_retry(box->close.code), sentence);
}

void
bbi_box_broke(struct bbi_box *box, int status, const char *sentence)
{
    bbi_box_settle(box);
    ended(box, BBI_DOWN_LOST, status, true, sentence);
}

/* ---- what the session tells ---- */

/* Does what it showed vouch for this name?  A key that all have vouches for none. */
static bool
vouches_for(const struct bbi_transport *t, const char *name)
{
    return t->tls != NULL && t->hub->is_named_by_keys
           && bbi_tls_peer_is(t->tls, name, NULL, NULL) == 0;
}

/* Who was up first under this id, as far as that is certified. */
static void
note_holder(struct bbi_box *box)
{
    if (box->certified[0] == '\0' && box->transport != NULL
        && vouches_for(box->transport, box->hello.name)) {
        (void)snprintf(box->certified, sizeof(box->certified), "%s", box->hello.name);
    }
}

static void
on_up(void *user, const struct bbi_hello *peer, bool is_resumed)
{
    struct bbi_box *box = user;
    struct bbi_hub *hub = box->hub;
    bool was_up = box->is_up;
    box->hello = *peer;
    box->is_up = box->was_ever = true;
    note_holder(box);
    box->up_mono_ns = hub->time.mono_ns;
    if (was_up) {
        bbi_dial_box_up(box); /* another transport carries it now; nothing else changed */
        return;
    }
    box->up_wall_ns = hub->time.wall_ns;
    box->ups++;
    is_resumed = is_resumed && !box->is_parted;
    box->is_parted = false;
    bbi_hub_log(hub, "notice", "link to %s (%s) is up%s%s", peer->name, box->address,
                is_resumed ? ", it goes on where it was" : "",
                box->cipher[0] != '\0' ? "" : ", without TLS");
    if (hub->events.up != NULL) {
        hub->events.up(hub->user, box, is_resumed);
    }
    bbi_dial_box_up(box);
}

static void
on_messages(void *user, const struct bbi_link_msg *msgs, size_t count)
{
    struct bbi_box *box = user;
    if (box->hub->events.messages != NULL) {
        box->hub->events.messages(box->hub->user, box, msgs, count);
    }
}

static void
on_gap(void *user, const struct bbi_gap *gap)
{
    struct bbi_box *box = user;
    if (box->hub->events.gap != NULL) {
        box->hub->events.gap(box->hub->user, box, gap);
    }
}

static void
on_interest(void *user, const struct bbi_interest *interest)
{
    struct bbi_box *box = user;
    box->hub->must_settle = true;
    if (box->hub->events.interest != NULL) {
        box->hub->events.interest(box->hub->user, box, interest);
    }
}

static void
on_barrier(void *user, uint64_t token)
{
    struct bbi_box *box = user;
    if (box->hub->events.barrier != NULL) {
        box->hub->events.barrier(box->hub->user, box, token);
    }
}

static void
on_closed(void *user, const struct bbi_close *why, bool is_remote)
{
    struct bbi_box *box = user;
    box->has_ended = true;
    box->is_ended_remotely = is_remote;
    box->close = *why;
    if (box->transport != NULL) {
        box->transport->deadline_ns = box->hub->time.mono_ns + BBI_HUB_LEAVE_NS;
    }
}

/* ---- boxes ---- */

static int
open_session(struct bbi_box *box)
{
    static const struct bbi_session_events events = {.up = on_up,
                                                     .messages = on_messages,
                                                     .gap = on_gap,
                                                     .interest = on_interest,
                                                     .barrier = on_barrier,
                                                     .closed = on_closed};
    struct bbi_hub *hub = box->hub;
    struct bbi_session_opts o = hub->opts.session;
    o.self = hub->opts.self;
    o.peer = box->id;
    bbi_os_random(o.hash_seed, sizeof(o.hash_seed));
    return bbi_session_init(&box->session, &o, &hub->memory, &events, box);
}

static struct bbi_box *
find_box(struct bbi_hub *hub, const struct bbi_link_id *id)
{
    struct bbi_box *box = hub->boxes;
    while (box != NULL && bbi_link_id_compare(&box->id, id) != 0) {
        box = box->next;
    }
    return box;
}

static struct bbi_box *
new_box(struct bbi_hub *hub, const struct bbi_link_id *id)
{
    struct bbi_box *box = bbi_hub_take(hub, sizeof(*box));
    struct bbi_box **p = &hub->boxes;
    if (box == NULL) {
        return NULL;
    }
    box->hub = hub;
    box->id = *id;
    box->slow = hub->opts.session.policy;
    box->queue_bytes = hub->opts.session.queue_bytes;
    box->rate_ns = hub->time.mono_ns;
    if (open_session(box) != 0) {
        bbi_hub_give(hub, box, sizeof(*box));
        return NULL;
    }
    while (*p != NULL) {
        p = &(*p)->next;
    }
    *p = box;
    hub->box_count++;
    return box;
}

void
bbi_box_free(struct bbi_box *box)
{
    bbi_session_fini(box->session);
    box->hub->box_count--;
    bbi_hub_give(box->hub, box, sizeof(*box));
}

void
bbi_box_sweep(struct bbi_hub *hub)
{
    struct bbi_box **p = &hub->boxes;
    while (*p != NULL) {
        struct bbi_box *box = *p;
        if (!box->was_ever && box->transport == NULL && box->parked == NULL && box->user == NULL
            && bbi_dial_of_box(box) == NULL) {
            *p = box->next;
            bbi_box_free(box);
        } else {
            p = &box->next;
        }
    }
}

void
bbi_box_tune(struct bbi_box *box, enum bbi_slow_policy slow, size_t queue_bytes)
{
    if (bbi_session_tune(box->session, slow, queue_bytes) == 0) {
        box->slow = slow;
        box->queue_bytes = queue_bytes;
    }
}

/* ---- a transport that is known ---- */

static void
id_text(const struct bbi_link_id *id, char out[2 * sizeof(id->v) + 1])
{
    for (size_t i = 0; i < sizeof(id->v); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", id->v[i]);
    }
}

/* Is it who it should be?  What a name without keys is worth, its users know. */
static int
check_name(const struct bbi_transport *t, struct bbi_fault *f)
{
    const struct bbi_hello *peer = &t->greet->peer;
    const char *wanted = t->dial != NULL ? t->dial->name : "";
    enum bbi_security security = t->hub->opts.security;
    char id[2 * sizeof(peer->node.v) + 1];
    if (wanted[0] != '\0' && strcmp(wanted, peer->name) != 0) {
        return bbi_fault_set(f, BB_EACCES, wanted,
                             "'%s' was to be at %s, but there is '%s': dial another address, or "
                             "give the name that it has",
                             wanted, t->address, peer->name);
    }
    /* With a key, whoever listens is vouched for by the key, and has no name beside. */
    if (t->tls == NULL || (security != BBI_SECURITY_CERT && t->role == BBI_ROLE_DIALED)) {
        return 0;
    }
    id_text(&peer->node, id);
    return bbi_tls_peer_is(t->tls, peer->name, id, f);
}

/*
 * An id is claimed in HELLO, a name is certified: under which name an id was up once, under that it stays.  Otherwise one
 * box could come as another, take over its session, and be sent what is queued for that.
 */
static int
check_holder(const struct bbi_box *box, const struct bbi_transport *t, struct bbi_fault *f)
{
    const char *name = t->greet->peer.name;
    char id[2 * sizeof(box->id.v) + 1];
    if (box->certified[0] == '\0' || strcmp(box->certified, name) == 0
        || vouches_for(t, box->certified)) {
        return 0;
    }
    id_text(&box->id, id);
    return bbi_fault_set(
        f, BB_EACCES, name,
        "'%s' shows the node id %s, which is that of '%s' here: each box needs an id of "
        "its own, so remove the copied file .box-BUS of one of them; if '%s' was "
        "renamed, restart the busbard of '%s'",
        name, id, box->certified, box->certified, box->hub->opts.self.name);
}

static void
attach(struct bbi_box *box, struct bbi_transport *t)
{
    struct bbi_hub *hub = box->hub;
    box->hello = t->greet->peer;
    box->has_ended = false;
    (void)snprintf(box->address, sizeof(box->address), "%s", t->address);
    (void)snprintf(box->cipher, sizeof(box->cipher), "%s",
                   t->tls != NULL ? bbi_tls_peer(t->tls)->cipher : "");
    int rc = bbi_session_attach(box->session, t->greet, hub->time);
    BBI_ASSERT(rc == 0);
    bbi_hub_give(hub, t->greet, sizeof(*t->greet));
    t->greet = NULL;
    t->box = box;
    t->deadline_ns = 0;
    t->state = BBI_TRANSPORT_ATTACHED;
    box->transport = t;
}

/*
 * The new one takes the place of the old.
 *
 * The old one stays for a moment: were it aborted here, the other side could see that before it knows the new one, and
 * take the link for lost.  For the same reason the new one is parked while lib/net looks at the session's pieces.
 */
static void
replace(struct bbi_box *box, struct bbi_transport *t)
{
    struct bbi_transport *old = box->transport;
    bbi_box_settle(box);
    if (box->hello.epoch != t->greet->peer.epoch) {
        ended(box, BBI_DOWN_LOST, BB_EPEERGONE, true, "the other side was started anew");
    } else if (old->role == t->role) {
        ended(box, BBI_DOWN_LOST, BB_EPEERGONE, true,
              "the other side connected anew: to it, this link was lost");
    }
    if (old->dial != NULL) {
        struct bbi_dial *d = old->dial;
        d->transport = NULL;
        old->dial = NULL;
        bbi_dial_satisfied(d, box);
    }
    bbi_transport_leave(old);
    attach(box, t);
}

static void
refuse_known(struct bbi_transport *t, enum bbi_close_code code, const char *sentence)
{
    bbi_greet_refuse(t->greet, code, "%s", sentence);
}

/* Its box, made if there is room. */
static struct bbi_box *
box_of(struct bbi_transport *t)
{
    struct bbi_hub *hub = t->hub;
    struct bbi_box *box = find_box(hub, &t->greet->peer.node);
    if (box != NULL) {
        return box;
    }
    if (hub->box_count >= hub->opts.box_max) {
        bbi_greet_refuse(
            t->greet, BBI_CLOSE_LIMIT,
            "%s knows %u other boxes already, and takes no more: restart its busbard, which "
            "forgets those that are gone",
            hub->opts.self.name, hub->box_count);
        return NULL;
    }
    box = new_box(hub, &t->greet->peer.node);
    if (box == NULL) {
        refuse_known(t, BBI_CLOSE_MEMORY, "there is no memory for another link");
    }
    return box;
}

void
bbi_box_known(struct bbi_transport *t)
{
    struct bbi_fault f = {0};
    if (t->hub->is_stopping) {
        refuse_known(t, BBI_CLOSE_SHUTDOWN, bbi_close_text(BBI_CLOSE_SHUTDOWN));
        return;
    }
    if (check_name(t, &f) != 0) {
        refuse_known(t, BBI_CLOSE_REFUSED, f.sentence);
        return;
    }
    struct bbi_box *box = box_of(t);
    if (box == NULL) {
        return;
    }
    if (check_holder(box, t, &f) != 0) {
        refuse_known(t, BBI_CLOSE_REFUSED, f.sentence);
        return;
    }
    if (t->dial != NULL) {
        t->dial->box = box;
    }
    bbi_policy_apply(box, t->greet->peer.name);
    if (!bbi_transport_flush(t)) {
        return;
    }
    int rc = bbi_session_prefer(box->session, t->greet);
    if (rc == 0) {
        attach(box, t);
    } else if (rc == 1 && box->transport->sending_pieces > 0 && box->parked == NULL) {
        box->parked = t;
        t->waits_for = box;
        t->deadline_ns = t->hub->time.mono_ns + BBI_HUB_PARK_NS;
    } else if (rc == 1) {
        replace(box, t);
    } else {
        refuse_known(t, BBI_CLOSE_DUPLICATE, bbi_close_text(BBI_CLOSE_DUPLICATE));
    }
}

/* ---- time ---- */

static void
note_rates(struct bbi_box *box, int64_t now_ns)
{
    struct bbi_session_stats stats;
    int64_t past_ns = now_ns - box->rate_ns;
    if (past_ns < BBI_HUB_RATE_NS) {
        return;
    }
    bbi_session_stats(box->session, &stats);
    double past_s = (double)past_ns / 1e9;
    box->sent_per_s = (uint64_t)((double)(stats.sent - box->rate_sent) / past_s);
    box->received_per_s = (uint64_t)((double)(stats.delivered - box->rate_received) / past_s);
    box->rate_sent = stats.sent;
    box->rate_received = stats.delivered;
    box->rate_ns = now_ns;
}

int64_t
bbi_box_tick(struct bbi_box *box)
{
    int64_t next_ns = INT64_MAX;
    bbi_box_settle(box); /* somebody may have ended it between two waits */
    if (box->transport != NULL) {
        next_ns = bbi_session_tick(box->session, box->hub->time);
        bbi_box_settle(box);
    }
    note_rates(box, box->hub->time.mono_ns);
    return next_ns;
}

/* ---- for the hub's user ---- */

struct bbi_session *
bbi_box_session(struct bbi_box *box)
{
    return box->session;
}

bool
bbi_box_is_up(const struct bbi_box *box)
{
    return box->is_up;
}

const char *
bbi_box_name(const struct bbi_box *box)
{
    return box->hello.name;
}

const struct bbi_hello *
bbi_box_hello(const struct bbi_box *box)
{
    return &box->hello;
}

void *
bbi_box_user(const struct bbi_box *box)
{
    return box->user;
}

void
bbi_box_set_user(struct bbi_box *box, void *user)
{
    box->user = user;
}

void
bbi_box_end(struct bbi_box *box, enum bbi_close_code code, const char *sentence)
{
    bbi_hub_look_at_clock(box->hub);
    bbi_session_close(box->session, code, sentence);
}

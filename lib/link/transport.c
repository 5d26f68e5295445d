/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One TCP connection of a link.
 *
 *   received ─► (TLS opens) ─► greeting until KNOWN ─► session
 *   greeting ─► wire ─► send        the greeting's bytes are copied: it may be gone before they are sent
 *   session ─► pieces ─► send       plain: as they are, they stay until sent()
 *   session ─► pieces ─► (stage) ─► TLS seals ─► wire ─► send      small pieces share a record
 *
 * One send at a time.  What is being sent is either of wire or the session's pieces, never both.  TLS may add to wire
 * behind what is being sent; who makes it answer so often that there is no room any more is cut off.
 */
#include "lib/link/transport.h"
#include "lib/link/box.h"
#include "lib/link/dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    WIRE_PLAIN = 1024,        /* a greeting, and why it is refused */
    WIRE_STRANGER = 16 << 10, /* a handshake's flight with certificates */
    WIRE_FULL = BBI_NET_SEND_BYTES,
    WIRE_RESERVE = 4096, /* for what TLS says on its own */
    STAGE_BYTES = BBI_TLS_RECORD_BYTES,
    SEALED_RECORD = BBI_TLS_RECORD_BYTES + BBI_TLS_EXTRA_BYTES,
};
static_assert(WIRE_PLAIN >= sizeof(((struct bbi_greet *)0)->out), "a greeting fits");

/* ---- life ---- */

static struct bbi_transport **
bucket_of(struct bbi_hub *hub, struct bbi_net_id id)
{
    return &hub->buckets[id.v % BBI_HUB_BUCKETS];
}

struct bbi_transport *
bbi_transport_find(struct bbi_hub *hub, struct bbi_net_id id)
{
    struct bbi_transport *t = *bucket_of(hub, id);
    while (t != NULL && t->id.v != id.v) {
        t = t->in_bucket;
    }
    return t;
}

static void
begin_greeting(struct bbi_transport *t)
{
    struct bbi_hub *hub = t->hub;
    struct bbi_hello self = hub->opts.self;
    self.time = hub->time;
    bbi_greet_init(t->greet, t->role, &self, hub->time.mono_ns + BBI_HUB_STRANGER_NS);
}

struct bbi_transport *
bbi_transport_new(struct bbi_hub *hub,
                  struct bbi_net_id id,
                  enum bbi_link_role role,
                  const char *address,
                  struct bbi_tls *tls)
{
    struct bbi_transport *t = bbi_hub_take(hub, sizeof(*t));
    struct bbi_greet *greet = bbi_hub_take(hub, sizeof(*greet));
    size_t cap = tls != NULL ? WIRE_STRANGER : WIRE_PLAIN;
    unsigned char *wire = bbi_hub_take(hub, cap);
    if (t == NULL || greet == NULL || wire == NULL) {
        bbi_hub_give(hub, t, sizeof(*t));
        bbi_hub_give(hub, greet, sizeof(*greet));
        bbi_hub_give(hub, wire, cap);
        return NULL;
    }
    t->hub = hub;
    t->id = id;
    t->role = role;
    t->tls = tls;
    t->greet = greet;
    t->wire = wire;
    t->wire_cap = cap;
    (void)snprintf(t->address, sizeof(t->address), "%s", address);
    t->state = role == BBI_ROLE_DIALED ? BBI_TRANSPORT_CONNECTING : BBI_TRANSPORT_GREETING;
    begin_greeting(t);
    t->is_stranger = role == BBI_ROLE_ACCEPTED;
    hub->stranger_count += t->is_stranger;
    t->next = hub->transports;
    hub->transports = t;
    struct bbi_transport **bucket = bucket_of(hub, id);
    t->in_bucket = *bucket;
    *bucket = t;
    return t;
}

static void
no_stranger(struct bbi_transport *t)
{
    t->hub->stranger_count -= t->is_stranger;
    t->is_stranger = false;
}

/* lib/net will say nothing of it any more. */
static void
die(struct bbi_transport *t)
{
    struct bbi_transport **p = bucket_of(t->hub, t->id);
    while (*p != NULL && *p != t) {
        p = &(*p)->in_bucket;
    }
    if (*p == t) {
        *p = t->in_bucket;
    }
    no_stranger(t);
    t->state = BBI_TRANSPORT_DEAD;
    t->is_sending = false;
}

static void
free_transport(struct bbi_transport *t)
{
    struct bbi_hub *hub = t->hub;
    bbi_tls_close(t->tls);
    bbi_hub_give(hub, t->greet, sizeof(*t->greet));
    bbi_hub_give(hub, t->wire, t->wire_cap);
    bbi_hub_give(hub, t->stage, STAGE_BYTES);
    bbi_hub_give(hub, t, sizeof(*t));
}

void
bbi_transport_sweep(struct bbi_hub *hub)
{
    struct bbi_transport **p = &hub->transports;
    while (*p != NULL) {
        struct bbi_transport *t = *p;
        if (t->state == BBI_TRANSPORT_DEAD) {
            *p = t->next;
            free_transport(t);
        } else {
            p = &t->next;
        }
    }
}

/* Its session goes on without it.  What it gave must not be in use any more. */
static void
cut_session(struct bbi_transport *t)
{
    if (t->box != NULL) {
        bbi_session_cut(t->box->session);
        t->box->transport = NULL;
        t->box = NULL;
    }
}

/* Nobody waits for it any more. */
static void
leave_dial(struct bbi_transport *t)
{
    if (t->waits_for != NULL) {
        t->waits_for->parked = NULL;
        t->waits_for = NULL;
    }
    if (t->dial != NULL) {
        t->dial->transport = NULL;
        t->dial = NULL;
    }
}

void
bbi_transport_abort(struct bbi_transport *t)
{
    if (t->state == BBI_TRANSPORT_DEAD) {
        return;
    }
    bbi_net_end(t->hub->net, t->id, BBI_NET_ABORT);
    cut_session(t);
    leave_dial(t);
    die(t);
}

/*
 * Whom we do not hear may still hear us: RST tells it at once.  FIN, and the reason too, wait in the kernel behind bytes
 * that nobody acknowledges, and the other side would find out for itself only, a second later than we did.
 */
static bool
is_unheard(const struct bbi_transport *t)
{
    return t->box != NULL && !t->box->is_ended_remotely && t->box->close.code == BBI_CLOSE_DEAD
           && bbi_session_is_over(t->box->session);
}

/* What is being sent goes out still; none of it is the session's. */
static void
end_in_order(struct bbi_transport *t)
{
    BBI_ASSERT(t->sending_pieces == 0);
    t->is_unheard = is_unheard(t);
    bool is_now = t->is_unheard && !t->is_sending;
    bbi_net_end(t->hub->net, t->id, is_now ? BBI_NET_ABORT : BBI_NET_ORDERLY);
    cut_session(t);
    leave_dial(t);
    no_stranger(t);
    if (t->is_sending) {
        t->state = BBI_TRANSPORT_ENDING;
    } else {
        die(t);
    }
}

void
bbi_transport_over(struct bbi_transport *t)
{
    if (t->sending_pieces != 0) {
        bbi_transport_abort(t);
    } else {
        end_in_order(t);
    }
}

void
bbi_transport_leave(struct bbi_transport *t)
{
    if (t->sending_pieces != 0) {
        bbi_transport_abort(t); /* the session's memory must be free now */
        return;
    }
    cut_session(t);
    leave_dial(t);
    t->is_told = true;
    t->state = BBI_TRANSPORT_LEAVING;
    t->deadline_ns = t->hub->time.mono_ns + BBI_HUB_LEAVE_NS;
}

/* ---- what came to nothing ---- */

/* Before anybody was known: of an attempt of ours its dial hears, of others people. */
static void
tell_refused(struct bbi_transport *t, int status, bool is_soon, const char *sentence)
{
    struct bbi_dial *d = t->dial;
    if (t->is_told) {
        return;
    }
    t->is_told = true;
    if (d != NULL) {
        leave_dial(t);
        if (t->is_self) {
            bbi_dial_failed(d, BB_EINVAL, false,
                            "this address is that of the node itself: name another box as peer");
        } else {
            bbi_dial_failed(d, status, is_soon, sentence);
        }
    } else if (t->role == BBI_ROLE_ACCEPTED && !t->is_self) {
        bbi_hub_log_refused(t->hub, t->address, sentence);
    }
}

/* The connection is of no use any more, for a reason that the other side cannot be told. */
static void
broke(struct bbi_transport *t, int status, bool is_soon, const char *sentence)
{
    struct bbi_box *box = t->box;
    if (box != NULL) {
        bbi_box_broke(box, status, sentence);
    } else {
        tell_refused(t, status, is_soon, sentence);
    }
}

static void
greeting_refused(struct bbi_transport *t)
{
    const struct bbi_greet *g = t->greet;
    char sentence[BBI_HUB_SENTENCE_BYTES];
    struct bbi_dial *d = t->dial;
    (void)snprintf(sentence, sizeof(sentence), "%s%s", g->is_remote ? "it says: " : "",
                   g->close.sentence);
    t->deadline_ns = t->hub->time.mono_ns + BBI_HUB_LEAVE_NS;
    if (g->close.code == BBI_CLOSE_DUPLICATE) {
        bool is_first = !t->is_told;
        t->is_told = true;
        leave_dial(t);
        if (d != NULL && is_first) {
            bbi_dial_satisfied(d, d->box);
        }
        return;
    }
    tell_refused(t, bbi_close_status(g->close.code), bbi_close_retry(g->close.code), sentence);
    if (g->is_remote) {
        bbi_transport_over(t);
    }
}

/* ---- bytes in ---- */

static void
to_session(struct bbi_transport *t, const unsigned char *data, size_t bytes)
{
    struct bbi_box *box = t->box;
    int rc = bytes > 0 ? bbi_session_receive(box->session, data, bytes, t->hub->time) : 0;
    (void)rc; /* closed() said why */
    bbi_box_settle(box);
}

/* What became of it when it was known, or refused. */
static void
settle_greeting(struct bbi_transport *t)
{
    if (t->state == BBI_TRANSPORT_ATTACHED) {
        no_stranger(t);
    } else if (t->state == BBI_TRANSPORT_GREETING && t->greet->state == BBI_GREET_REFUSED) {
        greeting_refused(t);
    }
}

/* Kept until the one before it is out of the way. */
static void
park(struct bbi_transport *t, const unsigned char *data, size_t bytes)
{
    if (bytes > sizeof(t->parked) - t->parked_bytes) {
        tell_refused(t, BB_ECORRUPT, true, "it sends before it was answered");
        bbi_transport_abort(t);
        return;
    }
    memcpy(t->parked + t->parked_bytes, data, bytes);
    t->parked_bytes = (uint16_t)(t->parked_bytes + bytes);
}

static void
to_greeting(struct bbi_transport *t, const unsigned char *data, size_t bytes)
{
    if (t->greet->state == BBI_GREET_WAITING) {
        size_t taken = bbi_greet_receive(t->greet, data, bytes);
        data += taken;
        bytes -= taken;
        if (t->greet->state == BBI_GREET_KNOWN) {
            bbi_box_known(t);
        }
        settle_greeting(t);
    }
    if (t->waits_for != NULL) {
        park(t, data, bytes);
    } else if (t->state == BBI_TRANSPORT_ATTACHED) {
        to_session(t, data, bytes);
    }
}

void
bbi_transport_unpark(struct bbi_transport *t)
{
    uint16_t bytes = t->parked_bytes;
    t->waits_for->parked = NULL;
    t->waits_for = NULL;
    bbi_box_known(t);
    settle_greeting(t);
    if (t->state == BBI_TRANSPORT_ATTACHED) {
        to_session(t, t->parked, bytes);
    }
}

static void
take_plain(struct bbi_transport *t, const unsigned char *data, size_t bytes)
{
    if (t->state == BBI_TRANSPORT_GREETING) {
        to_greeting(t, data, bytes);
    } else if (t->state == BBI_TRANSPORT_ATTACHED) {
        to_session(t, data, bytes);
    }
}

static bool
is_live(const struct bbi_transport *t)
{
    return t->state <= BBI_TRANSPORT_LEAVING;
}

static void send_wire(struct bbi_transport *t);

/* TLS refuses: the alert that it left in wire goes out, then the end. */
static void
tls_refused(struct bbi_transport *t, int rc, const char *sentence)
{
    broke(t, rc, false, sentence);
    if (is_live(t)) {
        send_wire(t);
        bbi_transport_over(t);
    }
}

/* One turn with what wire has room for. */
static int
turn(struct bbi_transport *t, struct bbi_tls_io *io, struct bbi_fault *f)
{
    io->wire_out = t->wire + t->wire_end;
    io->wire_out_cap = t->wire_cap - t->wire_end;
    io->wire_out_bytes = 0;
    int rc = bbi_tls_turn(t->tls, io, f);
    t->wire_end += io->wire_out_bytes;
    return rc;
}

static void
take_tls(struct bbi_transport *t, const unsigned char *data, size_t bytes)
{
    struct bbi_tls_io io = {.wire_in = data, .wire_in_bytes = bytes};
    struct bbi_fault f = {0};
    bool is_more = true;
    while (is_more && is_live(t)) {
        size_t before = io.wire_in_bytes;
        io.plain_out = t->hub->plain;
        io.plain_out_cap = BBI_HUB_PLAIN_BYTES;
        io.plain_out_bytes = 0;
        int rc = turn(t, &io, &f);
        if (io.plain_out_bytes > 0) {
            take_plain(t, io.plain_out, io.plain_out_bytes);
        }
        if (rc != 0 && is_live(t)) {
            tls_refused(t, rc, f.sentence);
            return;
        }
        is_more = io.plain_out_bytes == BBI_HUB_PLAIN_BYTES
                  || (io.wire_in_bytes > 0 && io.wire_in_bytes < before);
    }
    if (is_live(t) && io.wire_in_bytes > 0) {
        broke(t, BB_ECORRUPT, false, "it makes TLS answer, and does not read what it answers");
        bbi_transport_abort(t);
    } else if (is_live(t) && bbi_tls_has_ended(t->tls)) {
        broke(t, BB_EPEERGONE, true, "it ended the connection, and did not say why");
        bbi_transport_abort(t);
    }
}

void
bbi_transport_received(struct bbi_transport *t, const unsigned char *data, size_t bytes)
{
    if (t->tls != NULL) {
        take_tls(t, data, bytes);
    } else {
        take_plain(t, data, bytes);
    }
}

/* ---- bytes out ---- */

static void
send_pieces(struct bbi_transport *t, const struct iovec *pieces, int count)
{
    int rc = bbi_net_send(t->hub->net, t->id, pieces, count);
    BBI_ASSERT(rc != BB_EINVAL && rc != BB_EMSGSIZE && rc != BB_EBUSY);
    t->is_sending = rc == 0; /* else closed() is on its way */
}

static void
send_wire(struct bbi_transport *t)
{
    size_t bytes = t->wire_end - t->wire_begin;
    if (t->is_sending || bytes == 0) {
        return;
    }
    struct iovec piece = {.iov_base = t->wire + t->wire_begin, .iov_len = bytes};
    send_pieces(t, &piece, 1);
    t->sending_wire = t->is_sending ? bytes : 0;
}

void
bbi_transport_sent(struct bbi_transport *t)
{
    size_t pieces = t->sending_pieces;
    t->is_sending = false;
    t->wire_begin += t->sending_wire;
    t->sending_wire = t->sending_pieces = 0;
    if (t->wire_begin == t->wire_end) {
        t->wire_begin = t->wire_end = 0;
    }
    if (t->state == BBI_TRANSPORT_ENDING) {
        if (t->is_unheard) {
            bbi_net_end(t->hub->net, t->id, BBI_NET_ABORT);
        }
        die(t);
        return;
    }
    if (t->box != NULL && pieces > 0) {
        bbi_session_sent(t->box->session, pieces);
    }
    if (t->box != NULL && t->box->parked != NULL) {
        bbi_transport_unpark(t->box->parked);
    }
    bbi_transport_pump(t);
}

/* Of pieces as much as bytes; the last one is shortened.  Returns how many. */
static int
shorten(struct iovec *pieces, int count, size_t bytes, size_t *total)
{
    *total = 0;
    for (int i = 0; i < count; i++) {
        if (pieces[i].iov_len >= bytes - *total) {
            pieces[i].iov_len = bytes - *total;
            *total = bytes;
            return i + 1;
        }
        *total += pieces[i].iov_len;
    }
    return count;
}

static void
pump_plain(struct bbi_transport *t)
{
    struct iovec pieces[BBI_SESSION_PIECES];
    size_t bytes;
    struct bbi_session *s = t->box->session;
    int count = bbi_session_output(s, pieces, BBI_SESSION_PIECES, t->hub->time);
    if (count > 0) {
        count = shorten(pieces, count, BBI_NET_SEND_BYTES, &bytes);
        send_pieces(t, pieces, count);
        t->sending_pieces = t->is_sending ? bytes : 0;
    } else if (bbi_session_is_over(s)) {
        bbi_transport_over(t);
    }
}

/* Seals these, all of them: there is room.  False: TLS is broken, which was told. */
static bool
seal(struct bbi_transport *t, const unsigned char *p, size_t bytes)
{
    struct bbi_tls_io io = {.plain_in = p, .plain_in_bytes = bytes};
    struct bbi_fault f = {0};
    int rc = turn(t, &io, &f);
    if (rc == 0 && io.plain_in_bytes != 0) {
        rc = bbi_fault_set(&f, BB_ECORRUPT, "", "TLS takes more room than its records may");
    }
    if (rc != 0) {
        tls_refused(t, rc, f.sentence);
    }
    return rc == 0;
}

/* Whole records from where they lie; what is shorter is gathered. */
static bool
gather(struct bbi_transport *t, const unsigned char *p, size_t bytes)
{
    while (bytes > 0) {
        if (t->stage_bytes == 0 && bytes >= STAGE_BYTES) {
            size_t whole = bytes - bytes % STAGE_BYTES;
            if (!seal(t, p, whole)) {
                return false;
            }
            p += whole;
            bytes -= whole;
            continue;
        }
        size_t some = bbi_min_u64(bytes, STAGE_BYTES - t->stage_bytes);
        memcpy(t->stage + t->stage_bytes, p, some);
        t->stage_bytes += some;
        p += some;
        bytes -= some;
        if (t->stage_bytes == STAGE_BYTES) {
            t->stage_bytes = 0;
            if (!seal(t, t->stage, STAGE_BYTES)) {
                return false;
            }
        }
    }
    return true;
}

/* Plaintext that wire takes, sealed, beside what is staged. */
static size_t
room(const struct bbi_transport *t)
{
    size_t left = t->wire_cap - t->wire_end;
    size_t records = left > WIRE_RESERVE ? (left - WIRE_RESERVE) / SEALED_RECORD : 0;
    return records * STAGE_BYTES - (records > 0 ? t->stage_bytes : 0);
}

/* Now that it is known who it is, there is room for a whole send. */
static bool
widen(struct bbi_transport *t)
{
    struct bbi_hub *hub = t->hub;
    if (t->wire_cap >= WIRE_FULL || t->wire_end > 0 || t->is_sending) {
        return t->wire_cap >= WIRE_FULL;
    }
    unsigned char *wire = bbi_hub_take(hub, WIRE_FULL);
    unsigned char *stage = bbi_hub_take(hub, STAGE_BYTES);
    if (wire == NULL || stage == NULL) {
        bbi_hub_give(hub, wire, WIRE_FULL);
        bbi_hub_give(hub, stage, STAGE_BYTES);
        broke(t, BB_ENOMEM, true, "there is no memory to send to it");
        bbi_transport_abort(t);
        return false;
    }
    bbi_hub_give(hub, t->wire, t->wire_cap);
    t->wire = wire;
    t->wire_cap = WIRE_FULL;
    t->stage = stage;
    return true;
}

static bool
seal_session(struct bbi_transport *t)
{
    struct iovec pieces[BBI_SESSION_PIECES];
    struct bbi_session *s = t->box->session;
    size_t space;
    while ((space = room(t)) > 0) {
        size_t total;
        int count = bbi_session_output(s, pieces, BBI_SESSION_PIECES, t->hub->time);
        if (count == 0) {
            break;
        }
        count = shorten(pieces, count, space, &total);
        for (int i = 0; i < count; i++) {
            if (!gather(t, pieces[i].iov_base, pieces[i].iov_len)) {
                return false;
            }
        }
        bbi_session_sent(s, total); /* copied, or sealed */
    }
    size_t bytes = t->stage_bytes;
    t->stage_bytes = 0;
    return bytes == 0 || seal(t, t->stage, bytes);
}

/* One send at a time, and one wire of records: it is filled when all before it is sent. */
static void
pump_tls(struct bbi_transport *t)
{
    if (t->wire_end == 0 && widen(t) && seal_session(t)) {
        if (t->wire_end == 0 && bbi_session_is_over(t->box->session)) {
            struct bbi_tls_io io = {0};
            bbi_tls_end(t->tls);
            (void)turn(t, &io, NULL);
            send_wire(t);
            bbi_transport_over(t);
            return;
        }
    }
    if (is_live(t)) {
        send_wire(t);
    }
}

bool
bbi_transport_flush(struct bbi_transport *t)
{
    const void *out;
    size_t bytes = bbi_greet_output(t->greet, &out);
    size_t extra = t->tls != NULL ? WIRE_RESERVE : 0;
    if (bytes == 0 || t->wire_cap - t->wire_end < bytes + extra) {
        return true; /* later */
    }
    bbi_greet_sent(t->greet, bytes);
    if (t->tls != NULL) {
        return seal(t, out, bytes);
    }
    memcpy(t->wire + t->wire_end, out, bytes);
    t->wire_end += bytes;
    return true;
}

static void
pump_greeting(struct bbi_transport *t)
{
    const void *out;
    size_t bytes = bbi_greet_output(t->greet, &out);
    if (t->tls != NULL && !bbi_tls_is_ready(t->tls)) {
        struct bbi_tls_io io = {0};
        struct bbi_fault f = {0};
        int rc = turn(t, &io, &f);
        if (rc != 0) {
            tls_refused(t, rc, f.sentence);
            return;
        }
        bytes = 0;
    }
    if (bytes > 0 && !bbi_transport_flush(t)) {
        return;
    }
    send_wire(t);
    if (t->greet->state == BBI_GREET_REFUSED && bbi_greet_output(t->greet, &out) == 0
        && t->wire_begin + t->sending_wire == t->wire_end) {
        bbi_transport_over(t);
    }
}

void
bbi_transport_pump(struct bbi_transport *t)
{
    bbi_hub_settle(t->hub);
    if (t->is_sending || !is_live(t) || t->state == BBI_TRANSPORT_CONNECTING) {
        return;
    }
    if (t->state == BBI_TRANSPORT_GREETING) {
        pump_greeting(t);
    } else if (t->wire_end > 0 || t->state == BBI_TRANSPORT_LEAVING) {
        send_wire(t);
    } else if (t->box == NULL || t->box->parked != NULL) {
        return;
    } else if (t->tls != NULL) {
        pump_tls(t);
    } else {
        pump_plain(t);
    }
}

/* ---- what lib/net tells, and time ---- */

void
bbi_transport_connected(struct bbi_transport *t)
{
    t->state = BBI_TRANSPORT_GREETING;
    begin_greeting(t); /* its time begins now */
    bbi_transport_pump(t);
}

/* What an errno means for who waits for the other box. */
static void
say_broken(char sentence[BBI_HUB_SENTENCE_BYTES], bool is_connecting, int status)
{
    const char *plain = NULL;
    switch (is_connecting ? status : 0) {
    case -ECONNREFUSED:
        plain = "nobody listens there: busbard does not run, or it listens elsewhere";
        break;
    case -ETIMEDOUT:
        plain = "no answer came: that box is down, or a firewall drops what we send";
        break;
    case -EHOSTUNREACH:
        plain = "that box cannot be reached: it is down, or a router says so";
        break;
    case -ENETUNREACH:
        plain = "there is no way to that network from here";
        break;
    default:
        break;
    }
    if (plain != NULL) {
        (void)snprintf(sentence, BBI_HUB_SENTENCE_BYTES, "%s (%s)", plain, bbi_errno_text(-status));
    } else {
        (void)snprintf(sentence, BBI_HUB_SENTENCE_BYTES, "%s: %s",
                       is_connecting ? "it cannot be connected to" : "the connection broke",
                       bbi_errno_text(-status));
    }
}

void
bbi_transport_closed(struct bbi_transport *t, int status)
{
    struct bbi_fault f = {0};
    char sentence[BBI_HUB_SENTENCE_BYTES];
    if (status != 0) {
        say_broken(sentence, t->state == BBI_TRANSPORT_CONNECTING, status);
    } else if (t->tls != NULL && bbi_tls_cut(t->tls, &f) != 0) {
        (void)snprintf(sentence, sizeof(sentence), "%s", f.sentence);
    } else {
        (void)snprintf(sentence, sizeof(sentence),
                       "it ended the connection, and did not say why: it was killed, or what "
                       "listens there is no busbard");
    }
    broke(t, status != 0 ? status : BB_EPEERGONE, true, sentence);
    cut_session(t);
    leave_dial(t);
    die(t);
}

void
bbi_transport_unknown(struct bbi_transport *t, int status, const char *sentence)
{
    broke(t, status, true, sentence);
    leave_dial(t);
    die(t);
}

static int64_t
tick_greeting(struct bbi_transport *t, int64_t now_ns)
{
    struct bbi_greet *g = t->greet;
    if (t->waits_for != NULL && (t->waits_for->transport == NULL || now_ns >= t->deadline_ns)) {
        if (t->waits_for->transport != NULL) {
            bbi_transport_abort(t->waits_for->transport); /* what is being sent goes nowhere */
        }
        bbi_transport_unpark(t);
        return now_ns;
    }
    if (g->state == BBI_GREET_WAITING) {
        bbi_greet_tick(g, now_ns);
        if (g->state == BBI_GREET_WAITING) {
            return g->deadline_ns;
        }
        greeting_refused(t);
        if (t->tls != NULL && !bbi_tls_is_ready(t->tls)) {
            bbi_transport_abort(t); /* there is no way to say it */
            return INT64_MAX;
        }
    }
    if (now_ns >= t->deadline_ns) {
        bbi_transport_abort(t);
        return INT64_MAX;
    }
    return t->deadline_ns;
}

int64_t
bbi_transport_tick(struct bbi_transport *t)
{
    int64_t now_ns = t->hub->time.mono_ns;
    bool is_late = t->deadline_ns != 0 && now_ns >= t->deadline_ns;
    switch (t->state) {
    case BBI_TRANSPORT_GREETING:
        return tick_greeting(t, now_ns);
    case BBI_TRANSPORT_ATTACHED:
        if (is_late) {
            bbi_transport_abort(t);
        }
        break;
    case BBI_TRANSPORT_LEAVING:
        if (is_late) {
            bbi_transport_over(t);
        }
        break;
    case BBI_TRANSPORT_CONNECTING:
    case BBI_TRANSPORT_ENDING:
    case BBI_TRANSPORT_DEAD:
        return INT64_MAX;
    }
    return is_live(t) && t->deadline_ns != 0 ? t->deadline_ns : INT64_MAX;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One turn of bbi_hub_wait():
 *
 *   time ► what is due (dials, greetings, sessions) ► pump all ► one wait of lib/net ► settle ► pump all ► sweep
 *
 * The second pump's sends go out with the next wait's call of the kernel, together with whatever comes up before it.
 */
#include "lib/link/box.h"
#include "lib/link/dial.h"
#include "lib/link/policy.h"
#include "lib/link/transport.h"
#include "shm/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)

/* ---- small things ---- */

void
bbi_hub_look_at_clock(struct bbi_hub *hub)
{
    if (hub->opts.now != NULL) {
        hub->opts.now(hub->user, &hub->time);
    } else {
        hub->time = (struct bbi_link_time){bbi_os_mono_ns(), bbi_os_wall_ns()};
    }
}

void
bbi_hub_log(struct bbi_hub *hub, const char *level, const char *format, ...)
{
    char line[BBI_HUB_SENTENCE_BYTES + BBI_HUB_ADDRESS_BYTES + 128];
    va_list ap;
    if (hub->events.log == NULL) {
        return;
    }
    va_start(ap, format);
    (void)vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    hub->events.log(hub->user, level, line);
}

/* How many were passed over in silence, before the next one is told. */
static void
tell_quiet(struct bbi_hub *hub)
{
    if (hub->refused_again > 0) {
        bbi_hub_log(hub, "warning", "no link with %llu more in the last %lld s, the last: %s",
                    (unsigned long long)hub->refused_again,
                    (long long)(BBI_HUB_QUIET_NS / SECOND_NS), hub->refused);
    }
    hub->refused_again = 0;
}

/* Strangers choose what stands in a sentence: so many different ones are told in a while, no more. */
void
bbi_hub_log_refused(struct bbi_hub *hub, const char *address, const char *sentence)
{
    bool is_quiet = hub->refused_told > 0 && hub->time.mono_ns - hub->refused_ns < BBI_HUB_QUIET_NS;
    bool is_same = strncmp(hub->refused, sentence, sizeof(hub->refused) - 1) == 0;
    if (!is_quiet) {
        tell_quiet(hub);
        hub->refused_ns = hub->time.mono_ns;
        hub->refused_told = 0;
    }
    (void)snprintf(hub->refused, sizeof(hub->refused), "%s", sentence);
    if (is_quiet && (is_same || hub->refused_told >= BBI_HUB_REFUSALS)) {
        hub->refused_again++;
        bbi_hub_log(hub, "debug", "no link with %s: %s", address, sentence);
        return;
    }
    hub->refused_told++;
    bbi_hub_log(hub, "warning", "no link with %s: %s", address, sentence);
}

void *
bbi_hub_take(struct bbi_hub *hub, size_t bytes)
{
    void *p = calloc(1, bytes);
    hub->memory_bytes += p != NULL ? bytes : 0;
    return p;
}

void
bbi_hub_give(struct bbi_hub *hub, void *p, size_t bytes)
{
    if (p != NULL) {
        hub->memory_bytes -= bytes;
        free(p);
    }
}

static void *
take_plain(void *user, size_t bytes)
{
    struct bbi_hub *hub = user;
    void *p = malloc(bytes);
    hub->memory_bytes += p != NULL ? bytes : 0;
    return p;
}

static void
give_plain(void *user, void *p, size_t bytes)
{
    bbi_hub_give(user, p, bytes);
}

/* ---- what lib/net tells ---- */

static void
turn_away(struct bbi_hub *hub, struct bbi_net_id conn)
{
    bbi_net_end(hub->net, conn, BBI_NET_ABORT);
    hub->turned_away++;
    if (hub->turned_away_told != 0 && hub->time.mono_ns - hub->turned_away_ns < BBI_HUB_QUIET_NS) {
        return;
    }
    bbi_hub_log(hub, "warning",
                "%llu connections were closed at once: %u others have not said yet who they are",
                (unsigned long long)(hub->turned_away - hub->turned_away_told),
                hub->stranger_count);
    hub->turned_away_told = hub->turned_away;
    hub->turned_away_ns = hub->time.mono_ns;
}

/* A connection whose other end is an attempt of ours. */
static bool
is_own(struct bbi_hub *hub, const char *peer)
{
    char local[BBI_NET_ADDRESS_BYTES];
    for (struct bbi_transport *t = hub->transports; t != NULL; t = t->next) {
        if (t->role == BBI_ROLE_DIALED && t->state <= BBI_TRANSPORT_GREETING
            && bbi_net_local(hub->net, t->id, local) == 0 && strcmp(local, peer) == 0) {
            t->is_self = true;
            return true;
        }
    }
    return false;
}

static void
on_accepted(void *user, struct bbi_net_id listener, struct bbi_net_id conn, const char *peer)
{
    struct bbi_hub *hub = user;
    struct bbi_tls *tls = NULL;
    struct bbi_fault f = {0};
    (void)listener;
    bbi_hub_look_at_clock(hub);
    if (hub->stranger_count >= hub->opts.stranger_max || hub->is_stopping) {
        turn_away(hub, conn);
        return;
    }
    if (hub->tls != NULL && bbi_tls_open(&tls, hub->tls, BBI_TLS_SERVER, NULL, &f) != 0) {
        bbi_net_end(hub->net, conn, BBI_NET_ABORT);
        bbi_hub_log(hub, "error", "no link with %s: %s", peer, f.sentence);
        return;
    }
    struct bbi_transport *t = bbi_transport_new(hub, conn, BBI_ROLE_ACCEPTED, peer, tls);
    if (t == NULL) {
        bbi_tls_close(tls);
        bbi_net_end(hub->net, conn, BBI_NET_ABORT);
        bbi_hub_log(hub, "error", "no link with %s: there is no memory for it", peer);
        return;
    }
    t->is_self = is_own(hub, peer);
}

static void
on_connected(void *user, struct bbi_net_id conn, int status)
{
    struct bbi_hub *hub = user;
    struct bbi_transport *t = bbi_transport_find(hub, conn);
    bbi_hub_look_at_clock(hub);
    if (t == NULL) {
        return;
    }
    if (status == 0) {
        bbi_transport_connected(t);
    } else if (bbi_net_said(hub->net)[0] != '\0') {
        bbi_transport_unknown(t, status, bbi_net_said(hub->net));
    } else {
        bbi_transport_closed(t, status);
    }
}

static void
on_received(void *user, struct bbi_net_id conn, const void *data, size_t bytes)
{
    struct bbi_hub *hub = user;
    struct bbi_transport *t = bbi_transport_find(hub, conn);
    bbi_hub_look_at_clock(hub);
    if (t != NULL) {
        bbi_transport_received(t, data, bytes);
    }
}

static void
on_sent(void *user, struct bbi_net_id conn)
{
    struct bbi_hub *hub = user;
    struct bbi_transport *t = bbi_transport_find(hub, conn);
    bbi_hub_look_at_clock(hub);
    if (t != NULL) {
        bbi_transport_sent(t);
    }
}

static void
on_closed(void *user, struct bbi_net_id conn, int status)
{
    struct bbi_hub *hub = user;
    struct bbi_transport *t = bbi_transport_find(hub, conn);
    bbi_hub_look_at_clock(hub);
    if (t != NULL) {
        bbi_transport_closed(t, status);
    }
}

static void
on_readable(void *user, int fd)
{
    struct bbi_hub *hub = user;
    if (hub->events.readable != NULL) {
        hub->events.readable(hub->user, fd);
    }
}

/* ---- open, close ---- */

static void
complete(struct bbi_hub *hub, const struct bbi_hub_opts *opts)
{
    struct bbi_hub_opts *o = &hub->opts;
    *o = *opts;
    o->box_max = o->box_max != 0 ? o->box_max : 256;
    o->stranger_max = o->stranger_max != 0 ? o->stranger_max : 64;
    o->retry_min_ns = o->retry_min_ns != 0 ? o->retry_min_ns : SECOND_NS / 10;
    o->retry_max_ns = o->retry_max_ns != 0 ? o->retry_max_ns : 30 * SECOND_NS;
    o->stable_ns = o->stable_ns != 0 ? o->stable_ns : 60 * SECOND_NS;
    o->stop_max_ns = o->stop_max_ns != 0 ? o->stop_max_ns : SECOND_NS;
    o->self.message_max = o->self.message_max != 0 ? o->self.message_max : 1 << 20;
    o->self.frame_max = BBI_LINK_FRAME_MAX;
    o->self.features = o->session.codec != NULL ? BBI_FEATURE_LZ4 : 0;
    bbi_os_random(&hub->seed, sizeof(hub->seed));
    hub->memory = (struct bbi_memory){take_plain, give_plain, hub};
    hub->memory_bytes = sizeof(*hub);
}

/* Certificates are of one node each; a key that is nobody's own lets its holders take any name. */
static bool
is_named_by_keys(const struct bbi_tls_opts *opts)
{
    bool is_each = true;
    for (uint32_t i = 0; i < opts->key_count; i++) {
        is_each = is_each && opts->keys[i].peer != NULL;
    }
    return is_each;
}

int
bbi_hub_prepare_tls(const struct bbi_hub *hub,
                    struct bbi_hub_tls *out,
                    const struct bbi_tls_opts *tls,
                    struct bbi_fault *f)
{
    struct bbi_tls_opts o = *tls;
    if (hub->opts.security == BBI_SECURITY_NONE) {
        return bbi_fault_set(f, BB_EINVAL, hub->opts.self.name,
                             "this bridge was started without TLS: start it anew for that");
    }
    o.node = hub->opts.self.name;
    out->is_named_by_keys = is_named_by_keys(&o);
    return bbi_tls_ctx_open(&out->ctx, &o, f);
}

void
bbi_hub_take_tls(struct bbi_hub *hub, const struct bbi_hub_tls *prepared)
{
    bbi_tls_ctx_close(hub->tls);
    hub->tls = prepared->ctx;
    hub->is_named_by_keys = prepared->is_named_by_keys;
}

int
bbi_hub_reload_tls(struct bbi_hub *hub, const struct bbi_tls_opts *tls, struct bbi_fault *f)
{
    struct bbi_hub_tls prepared = {0};
    int rc = bbi_hub_prepare_tls(hub, &prepared, tls, f);
    if (rc == 0) {
        bbi_hub_take_tls(hub, &prepared);
    }
    return rc;
}

static int
open_net(struct bbi_hub *hub, struct bbi_fault *f)
{
    static const struct bbi_net_handler handler = {.accepted = on_accepted,
                                                   .connected = on_connected,
                                                   .received = on_received,
                                                   .sent = on_sent,
                                                   .closed = on_closed,
                                                   .readable = on_readable};
    const struct bbi_hub_opts *o = &hub->opts;
    /* Each box may have one that leaves, each address one that is being dialed, and strangers may be turned away. */
    struct bbi_net_opts net = {.engine = o->engine,
                               .is_restricted = o->is_restricted,
                               .connections = o->box_max * 2 + o->stranger_max * 2 + BBI_HUB_DIALS,
                               .user_timeout_ns = o->user_timeout_ns != 0 ? o->user_timeout_ns : -1,
                               .resolve = o->resolve};
    return bbi_net_open(&hub->net, &net, &handler, hub, f);
}

int
bbi_hub_open(struct bbi_hub **out,
             const struct bbi_hub_opts *opts,
             const struct bbi_hub_events *events,
             void *user,
             struct bbi_fault *f)
{
    if (opts->self.epoch == 0 || opts->box_max > 8192 || opts->stranger_max > 4096) {
        return bbi_fault_set(f, BB_EINVAL, opts->self.name,
                             "a bridge needs an epoch, and room for at most 8192 boxes and 4096 "
                             "strangers");
    }
    struct bbi_hub *hub = calloc(1, sizeof(*hub));
    if (hub == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, opts->self.name, "no memory for a bridge");
    }
    hub->events = *events;
    hub->user = user;
    complete(hub, opts);
    bbi_hub_look_at_clock(hub);
    int rc = opts->security != BBI_SECURITY_NONE ? bbi_hub_reload_tls(hub, &opts->tls, f) : 0;
    if (rc == 0) {
        rc = open_net(hub, f);
    }
    if (rc != 0) {
        bbi_hub_close(hub);
        return rc;
    }
    memset(&hub->opts.tls, 0, sizeof(hub->opts.tls)); /* the caller's memory */
    *out = hub;
    return 0;
}

void
bbi_hub_close(struct bbi_hub *hub)
{
    if (hub == NULL) {
        return;
    }
    hub->events = (struct bbi_hub_events){0};
    if (hub->net != NULL) {
        bbi_listen_close_all(hub);
    }
    bbi_net_close(hub->net); /* nobody looks at anything from here on */
    while (hub->dials != NULL) {
        struct bbi_dial *d = hub->dials;
        hub->dials = d->next;
        bbi_hub_give(hub, d, sizeof(*d));
    }
    for (struct bbi_transport *t = hub->transports; t != NULL; t = t->next) {
        t->state = BBI_TRANSPORT_DEAD;
    }
    bbi_transport_sweep(hub);
    while (hub->boxes != NULL) {
        struct bbi_box *box = hub->boxes;
        hub->boxes = box->next;
        bbi_session_cut(box->session);
        bbi_box_free(box);
    }
    bbi_tls_ctx_close(hub->tls);
    bbi_policies_free(hub);
    BBI_ASSERT(hub->memory_bytes == sizeof(*hub));
    free(hub);
}

struct bbi_net *
bbi_hub_net(struct bbi_hub *hub)
{
    return hub->net;
}

uint64_t
bbi_hub_memory(const struct bbi_hub *hub)
{
    return hub->memory_bytes;
}

struct bbi_box *
bbi_hub_next(struct bbi_hub *hub, struct bbi_box *before)
{
    return before == NULL ? hub->boxes : before->next;
}

/* ---- the wait ---- */

/* What is due; when again. */
static int64_t
tick(struct bbi_hub *hub)
{
    int64_t next_ns = INT64_MAX;
    for (struct bbi_box *box = hub->boxes; box != NULL; box = box->next) {
        next_ns = bbi_min_i64(next_ns, bbi_box_tick(box));
    }
    for (struct bbi_transport *t = hub->transports; t != NULL; t = t->next) {
        next_ns = bbi_min_i64(next_ns, bbi_transport_tick(t));
    }
    for (struct bbi_dial *d = hub->dials; d != NULL; d = d->next) {
        next_ns = bbi_min_i64(next_ns, bbi_dial_tick(d));
    }
    return next_ns;
}

static void
pump(struct bbi_hub *hub)
{
    for (struct bbi_transport *t = hub->transports; t != NULL; t = t->next) {
        bbi_transport_pump(t);
    }
}

void
bbi_hub_settle(struct bbi_hub *hub)
{
    if (hub->must_settle) {
        hub->must_settle = false;
        if (hub->events.settle != NULL) {
            hub->events.settle(hub->user);
        }
    }
}

static void
sweep(struct bbi_hub *hub)
{
    bbi_transport_sweep(hub);
    bbi_dial_sweep(hub);
    bbi_box_sweep(hub);
}

/* How long lib/net may wait. */
static int64_t
patience(const struct bbi_hub *hub, int64_t timeout_ns, int64_t next_ns)
{
    if (next_ns == INT64_MAX) {
        return timeout_ns;
    }
    int64_t left_ns = next_ns > hub->time.mono_ns ? next_ns - hub->time.mono_ns : 0;
    return timeout_ns < 0 ? left_ns : bbi_min_i64(timeout_ns, left_ns);
}

int
bbi_hub_wait(struct bbi_hub *hub, int64_t timeout_ns)
{
    bbi_hub_look_at_clock(hub);
    int64_t next_ns = tick(hub);
    pump(hub);
    int rc = bbi_net_wait(hub->net, patience(hub, timeout_ns, next_ns));
    if (rc < 0) {
        return rc;
    }
    bbi_hub_look_at_clock(hub);
    (void)tick(hub);
    bbi_hub_settle(hub);
    pump(hub);
    sweep(hub);
    return rc;
}

/* ---- stop ---- */

static void
begin_stop(struct bbi_hub *hub)
{
    hub->is_stopping = true;
    hub->stop_ns = hub->time.mono_ns;
    bbi_listen_close_all(hub);
    for (struct bbi_transport *t = hub->transports; t != NULL; t = t->next) {
        if (t->state == BBI_TRANSPORT_CONNECTING || t->state == BBI_TRANSPORT_GREETING) {
            bbi_transport_abort(t);
        }
    }
}

/* What was offered reaches the other side first, within four fifths of the time; saying that we stop has the rest. */
static bool
is_drained(const struct bbi_hub *hub, const struct bbi_box *box)
{
    struct bbi_session_stats s;
    bbi_session_stats(box->session, &s);
    return s.state != BBI_SESSION_UP || s.acknowledged + 1 == s.next_number
           || hub->time.mono_ns - hub->stop_ns >= hub->opts.stop_max_ns / 5 * 4;
}

bool
bbi_hub_stop(struct bbi_hub *hub)
{
    bool is_over = true;
    bbi_hub_look_at_clock(hub);
    if (!hub->is_stopping) {
        begin_stop(hub);
    }
    for (struct bbi_box *box = hub->boxes; box != NULL; box = box->next) {
        if (box->transport != NULL && is_drained(hub, box)) {
            bbi_session_close(box->session, BBI_CLOSE_SHUTDOWN, NULL); /* said once */
        }
        is_over = is_over && box->transport == NULL && !box->has_ended;
    }
    for (const struct bbi_transport *t = hub->transports; t != NULL; t = t->next) {
        is_over = is_over && t->state == BBI_TRANSPORT_DEAD;
    }
    return is_over;
}

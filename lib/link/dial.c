/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An address is dialed, rests while its box is linked, and is dialed again after a delay that grows.  It is dialed from
 * bbi_hub_wait() alone, and all that it tells comes from there.
 */
#include "lib/link/dial.h"
#include "lib/link/box.h"
#include "lib/link/policy.h"
#include "lib/link/transport.h"

#include <stdio.h>
#include <string.h>

/* ---- words ---- */

void
bbi_hub_address(char out[BBI_HUB_ADDRESS_BYTES], const char *host, uint16_t port)
{
    bool is_six = strchr(host, ':') != NULL && host[0] != '[';
    (void)snprintf(out, BBI_HUB_ADDRESS_BYTES, "%s%.255s%s:%u", is_six ? "[" : "", host,
                   is_six ? "]" : "", (unsigned)port);
}

static void
decide(struct bbi_dial *d, int status, const char *sentence)
{
    struct bbi_hub *hub = d->hub;
    if (d->is_decided) {
        return;
    }
    d->is_decided = true;
    if (hub->events.dialed != NULL) {
        hub->events.dialed(hub->user, d->address, status, sentence);
    }
}

/* ---- outcomes ---- */

static void
wait_for(struct bbi_dial *d, bool is_soon)
{
    int64_t delay_ns = is_soon ? bbi_retry_next(&d->retry) : bbi_retry_long(&d->retry);
    d->due_ns = d->hub->time.mono_ns + delay_ns;
}

void
bbi_dial_failed(struct bbi_dial *d, int status, bool is_soon, const char *sentence)
{
    struct bbi_hub *hub = d->hub;
    if (d->is_undialed || d->is_over) {
        return;
    }
    wait_for(d, is_soon);
    /* What was said already is for those who look for it. */
    bool is_new = strncmp(d->last, sentence, sizeof(d->last) - 1) != 0;
    bbi_hub_log(hub, is_new ? "warning" : "debug", "no link to %s: %s", d->address, sentence);
    (void)snprintf(d->last, sizeof(d->last), "%.*s", (int)sizeof(d->last) - 1, sentence);
    if (hub->events.unavailable != NULL) {
        hub->events.unavailable(hub->user, d->address, sentence);
    }
    if (d->is_once) {
        decide(d, status, sentence);
        d->is_over = true;
    }
}

void
bbi_dial_satisfied(struct bbi_dial *d, struct bbi_box *box)
{
    wait_for(d, true);
    d->box = box;
    if (box != NULL && box->is_up) {
        decide(d, 0, "");
    }
}

void
bbi_dial_box_up(struct bbi_box *box)
{
    struct bbi_transport *t = box->transport;
    if (t->dial != NULL) {
        t->dial->transport = NULL;
        t->dial = NULL;
    }
    for (struct bbi_dial *d = box->hub->dials; d != NULL; d = d->next) {
        if (d->box == box && !d->is_undialed) {
            d->last[0] = '\0';
            decide(d, 0, "");
        }
    }
}

void
bbi_dial_box_down(struct bbi_box *box, bool is_soon, const char *sentence)
{
    struct bbi_hub *hub = box->hub;
    bool was_stable = hub->time.mono_ns - box->up_mono_ns >= hub->opts.stable_ns;
    for (struct bbi_dial *d = hub->dials; d != NULL; d = d->next) {
        if (d->box != box) {
            continue;
        }
        d->is_over = d->is_over || d->is_once;
        if (was_stable) {
            bbi_retry_reset(&d->retry);
        }
        wait_for(d, is_soon);
        (void)snprintf(d->last, sizeof(d->last), "%.*s", (int)sizeof(d->last) - 1, sentence);
    }
}

struct bbi_dial *
bbi_dial_of_box(const struct bbi_box *box)
{
    struct bbi_dial *d = box->hub->dials;
    while (d != NULL && (d->box != box || d->is_undialed || d->is_over)) {
        d = d->next;
    }
    return d;
}

/* ---- an attempt ---- */

static int
begin(struct bbi_dial *d, struct bbi_fault *f)
{
    struct bbi_hub *hub = d->hub;
    struct bbi_tls *tls = NULL;
    struct bbi_net_id id;
    if (hub->tls != NULL) {
        int rc =
            bbi_tls_open(&tls, hub->tls, BBI_TLS_CLIENT, d->name[0] != '\0' ? d->name : d->host, f);
        if (rc != 0) {
            return rc;
        }
    }
    int rc = bbi_net_connect(hub->net, d->host, d->port, BBI_HUB_STRANGER_NS, &id, f);
    if (rc != 0) {
        bbi_tls_close(tls);
        return rc;
    }
    struct bbi_transport *t = bbi_transport_new(hub, id, BBI_ROLE_DIALED, d->address, tls);
    if (t == NULL) {
        bbi_net_end(hub->net, id, BBI_NET_ABORT);
        bbi_tls_close(tls);
        return bbi_fault_set(f, BB_ENOMEM, d->address, "no memory to dial %s", d->address);
    }
    t->dial = d;
    d->transport = t;
    return 0;
}

int64_t
bbi_dial_tick(struct bbi_dial *d)
{
    struct bbi_hub *hub = d->hub;
    struct bbi_fault f = {0};
    if (d->is_undialed) {
        decide(d, BB_ECANCELED, "it was taken down");
        d->is_over = true;
    }
    if (d->is_over || hub->is_stopping || d->transport != NULL) {
        return INT64_MAX;
    }
    if (d->box != NULL && d->box->transport != NULL) {
        return INT64_MAX;
    }
    if (hub->time.mono_ns < d->due_ns) {
        return d->due_ns;
    }
    d->attempts++;
    int rc = begin(d, &f);
    if (rc != 0) {
        bbi_dial_failed(d, rc, rc != BB_EINVAL, f.sentence);
        return d->is_over ? INT64_MAX : d->due_ns;
    }
    return INT64_MAX;
}

void
bbi_dial_sweep(struct bbi_hub *hub)
{
    struct bbi_dial **p = &hub->dials;
    while (*p != NULL) {
        struct bbi_dial *d = *p;
        if (d->is_over && d->transport == NULL) {
            *p = d->next;
            hub->dial_count--;
            bbi_hub_give(hub, d, sizeof(*d));
        } else {
            p = &d->next;
        }
    }
}

/* ---- for the hub's user ---- */

struct bbi_dial *
bbi_dial_find(const struct bbi_hub *hub, const char *host, uint16_t port)
{
    struct bbi_dial *d = hub->dials;
    while (d != NULL
           && (d->is_over || d->is_undialed || d->port != port || strcmp(d->host, host) != 0)) {
        d = d->next;
    }
    return d;
}

int
bbi_hub_may_dial(const char *host,
                 uint16_t port,
                 const struct bbi_dial_opts *opts,
                 struct bbi_fault *f)
{
    size_t bytes = host != NULL ? strlen(host) : 0;
    if (bytes == 0 || bytes >= BBI_HUB_HOST_BYTES || port == 0) {
        return bbi_fault_set(f, BB_EINVAL, "", "a peer is HOST:PORT, with a port that is not 0");
    }
    if (opts->name != NULL && strlen(opts->name) > BBI_LINK_NAME_MAX) {
        return bbi_fault_set(f, BB_EINVAL, opts->name, "a box's name has at most %d bytes",
                             BBI_LINK_NAME_MAX);
    }
    int rc = bbi_policy_check(host, opts->slow, opts->queue_bytes, f);
    if (rc != 0) {
        return rc;
    }
    return 0;
}

static int
check_room(const struct bbi_hub *hub, const char *host, uint16_t port, struct bbi_fault *f)
{
    if (bbi_dial_find(hub, host, port) != NULL) {
        return bbi_fault_set(f, BB_EEXIST, host, "%s:%u is dialed already", host, (unsigned)port);
    }
    if (hub->dial_count >= BBI_HUB_DIALS) {
        return bbi_fault_set(f, BB_EFULL, host, "%u addresses are dialed already, at most %d are",
                             hub->dial_count, BBI_HUB_DIALS);
    }
    return 0;
}

int
bbi_hub_dial(struct bbi_hub *hub,
             const char *host,
             uint16_t port,
             const struct bbi_dial_opts *opts,
             struct bbi_fault *f)
{
    const struct bbi_dial_opts none = {0};
    struct bbi_dial **p = &hub->dials;
    opts = opts != NULL ? opts : &none;
    int rc = bbi_hub_may_dial(host, port, opts, f);
    rc = rc != 0 ? rc : check_room(hub, host, port, f);
    if (rc != 0) {
        return rc;
    }
    struct bbi_dial *d = bbi_hub_take(hub, sizeof(*d));
    if (d == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, host, "no memory to dial %s", host);
    }
    d->hub = hub;
    d->port = port;
    d->slow = opts->slow;
    d->queue_bytes = opts->queue_bytes != 0 ? opts->queue_bytes : hub->opts.session.queue_bytes;
    d->is_once = opts->is_once;
    (void)snprintf(d->host, sizeof(d->host), "%s", host);
    (void)snprintf(d->name, sizeof(d->name), "%s", opts->name != NULL ? opts->name : "");
    bbi_hub_address(d->address, host, port);
    hub->seed = hub->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    bbi_retry_init(&d->retry, hub->opts.retry_min_ns, hub->opts.retry_max_ns, hub->seed);
    while (*p != NULL) {
        p = &(*p)->next;
    }
    *p = d;
    hub->dial_count++;
    return 0;
}

int
bbi_hub_undial(struct bbi_hub *hub, const char *host, uint16_t port)
{
    struct bbi_dial *d = bbi_dial_find(hub, host, port);
    if (d == NULL) {
        return BB_ENOENT;
    }
    struct bbi_box *box = d->box;
    d->is_undialed = true;
    if (d->transport != NULL && d->transport->state != BBI_TRANSPORT_ATTACHED) {
        bbi_transport_abort(d->transport);
    }
    if (box != NULL && bbi_dial_of_box(box) == NULL) {
        bbi_box_end(box, BBI_CLOSE_REMOVED, bbi_close_text(BBI_CLOSE_REMOVED));
    }
    return 0;
}

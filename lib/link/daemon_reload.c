/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/daemon_reload.c - where it listens and whom it dials, at the start and whenever the options change; the rest
 * of what may change while links are up.
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/link/box_id.h"
#include "lib/link/daemon_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- places ------------------------------------------------------------------------------------------------------- */

static void
free_place(struct daemon_place *place)
{
    free(place->host);
    free(place->name);
    free(place);
}

void
bbi_daemon_places_free(struct daemon_place *places)
{
    while (places != NULL) {
        struct daemon_place *next = places->next;
        free_place(places);
        places = next;
    }
}

/* Behind the others; NULL: no memory. */
static struct daemon_place *
add_place(struct daemon_place **list, const char *host, uint16_t port, const char *name)
{
    struct daemon_place *place = calloc(1, sizeof(*place));
    if (place == NULL) {
        return NULL;
    }
    place->host = strdup(host);
    place->name = name != NULL ? strdup(name) : NULL;
    place->port = place->port_got = port;
    if (place->host == NULL || (name != NULL && place->name == NULL)) {
        free_place(place);
        return NULL;
    }
    while (*list != NULL) {
        list = &(*list)->next;
    }
    *list = place;
    return place;
}

static bool
is_same_name(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void
keep_first(int rc, struct bbi_fault *each, int *first, struct bbi_fault *f)
{
    if (rc < 0 && *first == 0) {
        *first = rc;
        *f = *each;
    }
    *each = (struct bbi_fault){.uid = -1};
}

/* ---- listening ---------------------------------------------------------------------------------------------------- */

static bool
is_listed(const struct daemon_place *place, const struct bbi_daemon_opts *opts)
{
    for (size_t i = 0; i < opts->listen_count; i++) {
        if (opts->listen[i].port == place->port && strcmp(opts->listen[i].host, place->host) == 0) {
            return true;
        }
    }
    return false;
}

static bool
is_there(const struct daemon_place *list, const char *host, uint16_t port)
{
    while (list != NULL && (list->port != port || strcmp(list->host, host) != 0)) {
        list = list->next;
    }
    return list != NULL;
}

static int
begin_listen(struct bbi_daemon *d, const struct bbi_daemon_place *at, struct bbi_fault *f)
{
    uint16_t port = 0;
    int rc = bbi_hub_listen(d->hub, at->host, at->port, &port, f);
    if (rc < 0) {
        return rc;
    }
    struct daemon_place *place = add_place(&d->listens, at->host, at->port, NULL);
    if (place == NULL) {
        rc = bbi_hub_unlisten(d->hub, at->host, port);
        return bbi_fault_set(f, BB_ENOMEM, at->host, "no memory to listen on %s (%s)", at->host,
                             bb_strerror(rc));
    }
    place->port_got = port;
    if (d->listening != NULL) {
        d->listening(d->user, at->host, port);
    }
    return 0;
}

static void
end_listens(struct bbi_daemon *d, const struct bbi_daemon_opts *opts)
{
    struct daemon_place **at = &d->listens;
    while (*at != NULL) {
        struct daemon_place *place = *at;
        if (is_listed(place, opts)) {
            at = &place->next;
            continue;
        }
        int rc = bbi_hub_unlisten(d->hub, place->host, place->port_got);
        (void)rc; /* BB_ENOENT: a program ended it by request */
        *at = place->next;
        free_place(place);
    }
}

/* ---- dialing ------------------------------------------------------------------------------------------------------ */

static bool
is_same_peer(const struct daemon_place *place, const struct bbi_daemon_peer *peer)
{
    return peer->host != NULL && place->port == peer->port && strcmp(place->host, peer->host) == 0
           && is_same_name(place->name, peer->name);
}

static bool
is_wanted(const struct daemon_place *place, const struct bbi_daemon_opts *opts)
{
    for (size_t i = 0; i < opts->peer_count; i++) {
        if (is_same_peer(place, &opts->peers[i])) {
            return true;
        }
    }
    return false;
}

static int
begin_dial(struct bbi_daemon *d, const struct bbi_daemon_peer *peer, struct bbi_fault *f)
{
    struct bbi_dial_opts dial = {.name = peer->name,
                                 .slow = (enum bbi_slow_policy)peer->slow,
                                 .queue_bytes = peer->queue_bytes};
    int rc = bbi_hub_dial(d->hub, peer->host, peer->port, &dial, f);
    if (rc < 0 && rc != BB_EEXIST) { /* a program asked for it before: as it stands it is dialed */
        return rc;
    }
    struct daemon_place *place = add_place(&d->peers, peer->host, peer->port, peer->name);
    if (place == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, peer->host, "no memory for the peer %s", peer->host);
    }
    return 0;
}

/* Of the link that is dialed already. */
static int
retune(struct bbi_daemon *d, const struct bbi_daemon_peer *peer, struct bbi_fault *f)
{
    const struct bbi_hub_policy policy = {.slow = (enum bbi_slow_policy)peer->slow,
                                          .queue_bytes = peer->queue_bytes};
    int rc = bbi_hub_retune(d->hub, peer->host, peer->port, &policy, f);
    return rc == BB_ENOENT ? 0 : rc; /* a program ended it by request */
}

/* By name: also a peer that we dial may have come to us. */
static int
set_policies(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    const struct bbi_hub_policy others = {.slow = (enum bbi_slow_policy)opts->slow,
                                          .queue_bytes = opts->queue_bytes};
    struct bbi_hub_policy *list = calloc(opts->peer_count + 1, sizeof(*list));
    if (list == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, d->self.name, "no memory for the peers");
    }
    for (size_t i = 0; i < opts->peer_count; i++) {
        const struct bbi_daemon_peer *peer = &opts->peers[i];
        const char *name = peer->name != NULL ? peer->name : peer->host;
        (void)snprintf(list[i].name, sizeof(list[i].name), "%s", name);
        list[i].slow = (enum bbi_slow_policy)peer->slow;
        list[i].queue_bytes = peer->queue_bytes;
    }
    int rc = bbi_hub_policies(d->hub, list, opts->peer_count, &others, f);
    free(list);
    return rc;
}

static void
end_dials(struct bbi_daemon *d, const struct bbi_daemon_opts *opts)
{
    struct daemon_place **at = &d->peers;
    while (*at != NULL) {
        struct daemon_place *place = *at;
        if (is_wanted(place, opts)) {
            at = &place->next;
            continue;
        }
        int rc = bbi_hub_undial(d->hub, place->host, place->port);
        (void)rc; /* BB_ENOENT: a program ended it by request */
        *at = place->next;
        free_place(place);
    }
}

int
bbi_daemon_places(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    struct bbi_fault each = {.uid = -1};
    int first = set_policies(d, opts, f);
    if (first < 0) {
        return first;
    }
    end_listens(d, opts);
    end_dials(d, opts);
    for (size_t i = 0; i < opts->listen_count; i++) {
        const struct bbi_daemon_place *at = &opts->listen[i];
        int rc = is_there(d->listens, at->host, at->port) ? 0 : begin_listen(d, at, &each);
        keep_first(rc, &each, &first, f);
    }
    for (size_t i = 0; i < opts->peer_count; i++) {
        const struct bbi_daemon_peer *peer = &opts->peers[i];
        int rc = peer->host == NULL                           ? 0
                 : is_there(d->peers, peer->host, peer->port) ? retune(d, peer, &each)
                                                              : begin_dial(d, peer, &each);
        keep_first(rc, &each, &first, f);
    }
    return first;
}

/* ---- what stays --------------------------------------------------------------------------------------------------- */

static int
check_stays(const struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    char name[BBI_LINK_NAME_MAX + 1];
    int security = bbi_link_security(opts, f);
    int rc = security < 0 ? security : bbi_link_own_name(opts, name, f);
    if (rc < 0) {
        return rc;
    }
    const char *what = !is_same_name(d->dir, opts->dir) || !is_same_name(d->bus, opts->bus)
                           ? "the bus"
                       : strcmp(name, d->self.name) != 0           ? "the name of this box"
                       : d->engine != opts->engine                 ? "the engine"
                       : security != (int)d->security              ? "the kind of security"
                       : opts->is_compressing != d->is_compressing ? "compression"
                                                                   : NULL;
    return what == NULL
               ? 0
               : bbi_fault_set(f, BB_EINVAL, what,
                               "%s cannot change while busbard runs: restart it for that", what);
}

static int
reload_keys(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    struct bbi_link_keys keys;
    if (d->security == BBI_SECURITY_NONE) {
        return 0;
    }
    int rc = bbi_link_keys_load(&keys, opts, f);
    if (rc < 0) {
        return rc;
    }
    keys.tls.node = d->self.name;
    rc = bbi_hub_reload_tls(d->hub, &keys.tls, f);
    bbi_link_keys_wipe(&keys);
    return rc;
}

static int
reload_rights(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    struct bbi_rights *rights = NULL;
    int rc = bbi_link_rights_load(&rights, opts->rights, f);
    if (rc < 0) {
        return rc;
    }
    struct bbi_local_opts local = bbi_daemon_local_opts(d, opts, rights);
    rc = bbi_local_reload(d->local, &local, f);
    if (rc < 0) {
        free(rights);
        return rc;
    }
    free(d->rights);
    d->rights = rights;
    return 0;
}

int
bbi_daemon_reload(struct bbi_daemon *daemon, const struct bbi_daemon_opts *opts)
{
    struct bbi_fault f = {.uid = -1};
    int rc = check_stays(daemon, opts, &f);
    rc = rc < 0 ? rc : reload_keys(daemon, opts, &f);
    rc = rc < 0 ? rc : reload_rights(daemon, opts, &f);
    rc = rc < 0 ? rc : bbi_daemon_places(daemon, opts, &f);
    return rc < 0 ? bbi_error_fill(opts->error, &f) : 0;
}

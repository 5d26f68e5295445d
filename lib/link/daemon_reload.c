/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/daemon_reload.c - where it listens and whom it dials, at the start and whenever the options change; the rest
 * of what may change while links are up.
 *
 * All that can fail comes first - keys, rights, new listeners, new peers, the bus's side - and can be undone; what ends
 * something comes last and cannot fail:
 *
 *   check ► prepare ► switch ► commit
 *              └──────► undo
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/link/box_id.h"
#include "lib/link/daemon_impl.h"
#include "lib/link/policy.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* Takes those out of the list that are over, by the given mark. */
static void
drop_places(struct daemon_place **at, bool (*is_over)(const struct daemon_place *place))
{
    while (*at != NULL) {
        struct daemon_place *place = *at;
        if (is_over(place)) {
            *at = place->next;
            free_place(place);
        } else {
            at = &place->next;
        }
    }
}

static bool
is_new_place(const struct daemon_place *place)
{
    return place->is_new;
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

/* Listeners of ours that are to end anyway, and have the port that a new one wants: on * or on one address only. */
static void
make_way(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, uint16_t port)
{
    for (struct daemon_place *place = d->listens; place != NULL; place = place->next) {
        if (place->port_got == port && !place->is_new && !place->is_away
            && !is_listed(place, opts)) {
            place->is_away = bbi_hub_unlisten(d->hub, place->host, place->port_got) == 0;
        }
    }
}

/*
 * A port may still be held for some milliseconds: what an io_uring had under way the kernel ends after the descriptor is
 * closed, or the process killed.  Who starts busbard anew at once shall not be refused; links outlive this pause at a
 * reload.
 */
static int
listen_patiently(
    struct bbi_daemon *d, const char *host, uint16_t port, uint16_t *port_out, struct bbi_fault *f)
{
    const struct timespec rest = {0, 10000000};
    int64_t end_ns = bbi_os_mono_ns() + 1000000000;
    int rc = bbi_hub_listen(d->hub, host, port, port_out, f);
    while (rc == -EADDRINUSE && bbi_os_mono_ns() < end_ns) {
        (void)nanosleep(&rest, NULL);
        rc = bbi_hub_listen(d->hub, host, port, port_out, f);
    }
    return rc;
}

static int
begin_listen(struct bbi_daemon *d,
             const struct bbi_daemon_opts *opts,
             const struct bbi_daemon_place *at,
             struct bbi_fault *f)
{
    uint16_t port = 0;
    int rc = bbi_hub_listen(d->hub, at->host, at->port, &port, f);
    if (rc == -EADDRINUSE) {
        make_way(d, opts, at->port);
        rc = listen_patiently(d, at->host, at->port, &port, f);
    }
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
    place->is_new = true;
    return 0;
}

static int
prepare_listens(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < opts->listen_count; i++) {
        const struct bbi_daemon_place *at = &opts->listen[i];
        if (is_there(d->listens, at->host, at->port)) {
            continue;
        }
        rc = begin_listen(d, opts, at, f);
    }
    return rc;
}

static void
undo_listens(struct bbi_daemon *d)
{
    struct bbi_fault f = {.uid = -1};
    for (struct daemon_place *place = d->listens; place != NULL; place = place->next) {
        if (place->is_new) {
            int rc = bbi_hub_unlisten(d->hub, place->host, place->port_got);
            (void)rc; /* it listens since just now */
        }
    }
    drop_places(&d->listens, is_new_place);
    for (struct daemon_place *place = d->listens; place != NULL; place = place->next) {
        if (place->is_away && listen_patiently(d, place->host, place->port_got, NULL, &f) < 0) {
            bbi_daemon_say(d, "error", "it cannot go on where it listened: %s", f.sentence);
        }
        place->is_away = false;
    }
}

static void
commit_listens(struct bbi_daemon *d, const struct bbi_daemon_opts *opts)
{
    struct daemon_place **at = &d->listens;
    while (*at != NULL) {
        struct daemon_place *place = *at;
        if (is_listed(place, opts)) {
            if (place->is_new && d->listening != NULL) {
                d->listening(d->user, place->host, place->port_got);
            }
            place->is_new = false;
            at = &place->next;
            continue;
        }
        int rc = place->is_away ? 0 : bbi_hub_unlisten(d->hub, place->host, place->port_got);
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

static struct bbi_dial_opts
dial_opts(const struct bbi_daemon_peer *peer)
{
    return (struct bbi_dial_opts){.name = peer->name,
                                  .slow = (enum bbi_slow_policy)peer->slow,
                                  .queue_bytes = peer->queue_bytes};
}

static int
begin_dial(struct bbi_daemon *d, const struct bbi_daemon_peer *peer, struct bbi_fault *f)
{
    struct bbi_dial_opts dial = dial_opts(peer);
    int rc = bbi_hub_dial(d->hub, peer->host, peer->port, &dial, f);
    if (rc < 0 && rc != BB_EEXIST) { /* a program asked for it before: as it stands it is dialed */
        return rc;
    }
    bool was_there = rc == BB_EEXIST;
    struct daemon_place *place = add_place(&d->peers, peer->host, peer->port, peer->name);
    if (place == NULL) {
        rc = was_there ? 0 : bbi_hub_undial(d->hub, peer->host, peer->port);
        return bbi_fault_set(f, BB_ENOMEM, peer->host, "no memory for the peer %s (%s)", peer->host,
                             bb_strerror(rc));
    }
    place->is_new = true;
    place->was_there = was_there;
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

/* Those at addresses that are dialed already, only otherwise, have to wait for the end of these. */
static int
prepare_dials(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    int rc = bbi_policy_check(d->self.name, opts->slow, opts->queue_bytes, f);
    for (size_t i = 0; rc == 0 && i < opts->peer_count; i++) {
        const struct bbi_daemon_peer *peer = &opts->peers[i];
        struct bbi_dial_opts dial = dial_opts(peer);
        if (peer->host == NULL) {
            rc = bbi_policy_check(peer->name, peer->slow, peer->queue_bytes, f);
            continue;
        }
        rc = bbi_hub_may_dial(peer->host, peer->port, &dial, f);
        if (rc == 0 && !is_there(d->peers, peer->host, peer->port)) {
            rc = begin_dial(d, peer, f);
        }
    }
    return rc;
}

static void
undo_dials(struct bbi_daemon *d)
{
    for (struct daemon_place *place = d->peers; place != NULL; place = place->next) {
        if (place->is_new && !place->was_there) {
            int rc = bbi_hub_undial(d->hub, place->host, place->port);
            (void)rc; /* it was not even tried: the hub did not have a turn */
        }
    }
    drop_places(&d->peers, is_new_place);
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

/* What may still fail here is memory alone: all words were looked at before. */
static void
commit_dials(struct bbi_daemon *d, const struct bbi_daemon_opts *opts)
{
    struct bbi_fault f = {.uid = -1};
    int rc = set_policies(d, opts, &f);
    if (rc < 0) {
        bbi_daemon_say(d, "error",
                       "%s: queues and what happens when they are full stay as they were",
                       f.sentence);
    }
    end_dials(d, opts);
    for (size_t i = 0; i < opts->peer_count; i++) {
        const struct bbi_daemon_peer *peer = &opts->peers[i];
        rc = peer->host == NULL                           ? 0
             : is_there(d->peers, peer->host, peer->port) ? retune(d, peer, &f)
                                                          : begin_dial(d, peer, &f);
        if (rc < 0) {
            bbi_daemon_say(d, "error",
                           "the peer %s is not as it should be until the next reload: %s",
                           peer->host, f.sentence);
        }
    }
    for (struct daemon_place *place = d->peers; place != NULL; place = place->next) {
        place->is_new = place->was_there = false;
    }
}

/* ---- both --------------------------------------------------------------------------------------------------------- */

int
bbi_daemon_places_prepare(struct bbi_daemon *d,
                          const struct bbi_daemon_opts *opts,
                          struct bbi_fault *f)
{
    int rc = prepare_listens(d, opts, f);
    return rc < 0 ? rc : prepare_dials(d, opts, f);
}

void
bbi_daemon_places_commit(struct bbi_daemon *d, const struct bbi_daemon_opts *opts)
{
    commit_listens(d, opts);
    commit_dials(d, opts);
}

void
bbi_daemon_places_undo(struct bbi_daemon *d)
{
    undo_dials(d);
    undo_listens(d);
}

/* ---- what stays --------------------------------------------------------------------------------------------------- */

static int
check_stays(const struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    char name[BBI_LINK_NAME_MAX + 1];
    int security = bbi_link_security(opts, f);
    int rc = security < 0 ? security : bbi_link_own_name(opts, &d->self.node, name, f);
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

/* ---- reload ------------------------------------------------------------------------------------------------------- */

/* What was read, until it is taken. */
struct prepared {
    struct bbi_hub_tls tls;
    struct bbi_rights *rights;
};

static int
prepare_keys(struct prepared *p,
             const struct bbi_daemon *d,
             const struct bbi_daemon_opts *opts,
             struct bbi_fault *f)
{
    struct bbi_link_keys keys;
    if (d->security == BBI_SECURITY_NONE) {
        return 0;
    }
    int rc = bbi_link_keys_load(&keys, opts, f);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_hub_prepare_tls(d->hub, &p->tls, &keys.tls, f);
    bbi_link_keys_wipe(&keys);
    return rc;
}

static int
prepare(struct prepared *p,
        struct bbi_daemon *d,
        const struct bbi_daemon_opts *opts,
        struct bbi_fault *f)
{
    int rc = check_stays(d, opts, f);
    rc = rc < 0 ? rc : prepare_keys(p, d, opts, f);
    rc = rc < 0 ? rc : bbi_link_rights_load(&p->rights, opts->rights, f);
    return rc < 0 ? rc : bbi_daemon_places_prepare(d, opts, f);
}

/* The last that can fail: then topics and rights are what they were. */
static int
switch_rights(struct prepared *p,
              struct bbi_daemon *d,
              const struct bbi_daemon_opts *opts,
              struct bbi_fault *f)
{
    struct bbi_local_opts local = bbi_daemon_local_opts(d, opts, p->rights);
    int rc = bbi_local_reload(d->local, &local, f);
    if (rc == 0) {
        free(d->rights);
        d->rights = p->rights;
    }
    return rc;
}

int
bbi_daemon_reload(struct bbi_daemon *daemon, const struct bbi_daemon_opts *opts)
{
    struct bbi_fault f = {.uid = -1};
    struct prepared p = {0};
    int rc = prepare(&p, daemon, opts, &f);
    rc = rc < 0 ? rc : switch_rights(&p, daemon, opts, &f);
    if (rc < 0) {
        bbi_daemon_places_undo(daemon);
        bbi_tls_ctx_close(p.tls.ctx);
        free(p.rights);
        return bbi_error_fill(opts->error, &f);
    }
    if (p.tls.ctx != NULL) {
        bbi_hub_take_tls(daemon->hub, &p.tls);
    }
    bbi_daemon_places_commit(daemon, opts);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/daemon_open.c - attach, open, listen, dial; and the way back.
 */
#include "lib/endpoint/bridge_words.h"
#include "lib/endpoint/for_bridge.h"
#include "lib/endpoint/for_cluster.h"
#include "lib/link/asked.h"
#include "lib/link/box_id.h"
#include "lib/link/daemon_impl.h"
#include "lib/link/lz4.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RING_BYTES = 8 << 20, RING_BYTES_MIN = 2 << 20, RING_MESSAGES = 4 /* largest ones */ };
#define STOP_MAX_NS INT64_C(1000000000)

static int
check_opts(const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    uint64_t ring = opts->ring_bytes;
    if (ring != 0 && (ring < RING_BYTES_MIN || (ring & (ring - 1)) != 0)) {
        return bbi_fault_set(f, BB_EINVAL, "ring_bytes",
                             "rings of %llu bytes: take a power of two, at least %d",
                             (unsigned long long)ring, RING_BYTES_MIN);
    }
    if (opts->cluster != NULL && strlen(opts->cluster) > BBI_LINK_NAME_MAX) {
        return bbi_fault_set(f, BB_EINVAL, opts->cluster,
                             "'%.80s' is too long for a cluster's name: at most %d bytes",
                             opts->cluster, BBI_LINK_NAME_MAX);
    }
    return 0;
}

/* ---- attach ------------------------------------------------------------------------------------------------------- */

static int
attach(struct bbi_daemon *d, struct bbi_fault *f)
{
    struct bb_error error = {0};
    struct bb_endpoint_opts opts = {.size = sizeof(opts),
                                    .dir = d->dir,
                                    .bus = d->bus,
                                    .name = BBI_BRIDGE_NODE,
                                    .role = BB_ROLE_TOOL,
                                    .error = &error};
    int rc = bb_endpoint_open(&d->ep, &opts);
    if (rc == BB_EEXIST) {
        rc = bbi_fault_set(f, rc, BBI_BRIDGE_NODE,
                           "a busbard runs on this bus already (pid %lld); one is enough: ask it "
                           "for more links with `busbar bridge add`, or name another bus",
                           (long long)error.owner_pid);
    } else if (rc < 0) {
        rc = bbi_fault_set(f, rc, error.name, "%s", error.sentence);
    }
    if (rc < 0) {
        bbi_fault_owner(f, error.owner_pid, error.owner_uid);
    }
    return rc;
}

/* Who we are: the id lies beside the bus, the epoch is of this life. */
static int
fill_self(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    char dir[BBI_PATH_BYTES];
    (void)snprintf(dir, sizeof(dir), "%s", bb_endpoint_path(d->ep));
    char *slash = strrchr(dir, '/');
    if (slash == NULL || slash == dir) {
        return bbi_fault_set(f, BB_EINVAL, dir, "the bus '%s' has no directory above it", dir);
    }
    *slash = '\0';
    int made = bbi_box_id(dir, slash + 1, &d->self.node, f);
    int rc = made < 0 ? made : bbi_link_own_name(opts, &d->self.node, d->self.name, f);
    if (rc < 0) {
        return rc;
    }
    if (made == 1) {
        bbi_daemon_say(d, "notice", "this box got an id, kept in %s/.box-%s", dir, slash + 1);
    }
    do {
        bbi_os_random(&d->self.epoch, sizeof(d->self.epoch));
    } while (d->self.epoch == 0);
    (void)snprintf(d->self.cluster, sizeof(d->self.cluster), "%s",
                   opts->cluster != NULL ? opts->cluster : "");
    uint64_t largest = d->ring_bytes / RING_MESSAGES - BBI_ORIGIN_BYTES_MAX;
    d->self.message_max =
        (uint32_t)(largest < BBI_LINK_MESSAGE_MAX ? largest : BBI_LINK_MESSAGE_MAX);
    return 0;
}

/* ---- open --------------------------------------------------------------------------------------------------------- */

/* An engine that was not the first choice is no secret: it costs time, and somebody may want to know why. */
static void
say_engine(struct bbi_daemon *d)
{
    const struct bbi_net *net = bbi_hub_net(d->hub);
    const char *why = bbi_net_why(net);
    bbi_daemon_say(d, why[0] != '\0' ? "notice" : "debug", "the engine is %s%s%s",
                   bbi_net_engine_name(net), why[0] != '\0' ? ": " : "", why);
}

static int
open_hub(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    struct bbi_link_keys keys;
    int rc = bbi_link_keys_load(&keys, opts, f);
    if (rc < 0) {
        return rc;
    }
    d->security = keys.security;
    keys.tls.node = d->self.name;
    struct bbi_hub_opts hub = {.self = d->self,
                               .engine = (enum bbi_net_engine)opts->engine,
                               .is_restricted = true,
                               .security = keys.security,
                               .tls = keys.tls,
                               .session.queue_bytes = opts->queue_bytes,
                               .session.codec = opts->is_compressing ? &bbi_lz4 : NULL,
                               .box_max = BBI_ASKED_BOXES,
                               .retry_max_ns = opts->retry_max_ns,
                               .stop_max_ns = d->stop_max_ns,
                               .user_timeout_ns = opts->user_timeout_ns};
    bbi_os_random(hub.session.hash_seed, sizeof(hub.session.hash_seed));
    rc = bbi_hub_open(&d->hub, &hub, &bbi_daemon_events, d, f);
    bbi_link_keys_wipe(&keys);
    if (rc == 0) {
        say_engine(d);
    }
    return rc;
}

struct bbi_local_opts
bbi_daemon_local_opts(const struct bbi_daemon *d,
                      const struct bbi_daemon_opts *opts,
                      struct bbi_rights *rights)
{
    struct bbi_local_opts local = {.ep = d->ep,
                                   .box_name = d->self.name,
                                   .epoch = d->self.epoch,
                                   .topics = opts->topics,
                                   .topic_count = opts->topic_count,
                                   .rights = rights,
                                   .ring_bytes = d->ring_bytes,
                                   .hold_max_ns = d->hold_max_ns,
                                   .hub = d->hub,
                                   .log = d->log,
                                   .user = d->user};
    memcpy(local.box, d->self.node.v, sizeof(local.box));
    return local;
}

static int
watch(struct bbi_daemon *d, int fd, struct bbi_fault *f)
{
    int rc = fd < 0 ? fd : bbi_net_watch(bbi_hub_net(d->hub), fd);
    return rc < 0 ? bbi_fault_set(f, rc, "busbard", "a descriptor cannot be waited for: %s",
                                  bb_strerror(rc))
                  : 0;
}

static int
open_sides(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    struct bbi_local_opts local = bbi_daemon_local_opts(d, opts, d->rights);
    int rc = bbi_local_open(&d->local, &local, f);
    if (rc < 0) {
        return rc;
    }
    struct bbi_control_opts control = {.ep = d->ep,
                                       .hub = d->hub,
                                       .local = d->local,
                                       .security = d->security,
                                       .self = &d->self,
                                       .started_wall_ns = bbi_os_wall_ns()};
    rc = bbi_control_open(&d->control, &control, f);
    if (rc < 0) {
        return rc;
    }
    d->bus_fd = bbi_local_fd(d->local);
    d->control_fd = bbi_control_fd(d->control);
    rc = watch(d, d->wake_fd, f);
    rc = rc < 0 ? rc : watch(d, d->bus_fd, f);
    return rc < 0 ? rc : watch(d, d->control_fd, f);
}

static char *
copy_of(const char *text, bool *is_whole)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    *is_whole = *is_whole && (text == NULL || copy != NULL);
    return copy;
}

static struct bbi_daemon *
new_daemon(const struct bbi_daemon_opts *opts)
{
    struct bbi_daemon *d = calloc(1, sizeof(*d));
    bool is_whole = true;
    if (d == NULL) {
        return NULL;
    }
    d->bus_fd = d->control_fd = -1;
    d->error = opts->error;
    d->log = opts->log;
    d->listening = opts->listening;
    d->ready = opts->ready;
    d->user = opts->user;
    d->engine = opts->engine;
    d->is_compressing = opts->is_compressing;
    d->ring_bytes = opts->ring_bytes != 0 ? opts->ring_bytes : RING_BYTES;
    d->stop_max_ns = opts->stop_max_ns != 0 ? opts->stop_max_ns : STOP_MAX_NS;
    d->hold_max_ns = opts->hold_max_ns;
    d->dir = copy_of(opts->dir, &is_whole);
    d->bus = copy_of(opts->bus, &is_whole);
    d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!is_whole || d->wake_fd < 0) {
        bbi_daemon_close(d);
        return NULL;
    }
    return d;
}

static int
open_all(struct bbi_daemon *d, const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    int rc = check_opts(opts, f);
    rc = rc < 0 ? rc : attach(d, f);
    rc = rc < 0 ? rc : fill_self(d, opts, f);
    rc = rc < 0 ? rc : bbi_link_rights_load(&d->rights, opts->rights, f);
    rc = rc < 0 ? rc : open_hub(d, opts, f);
    rc = rc < 0 ? rc : open_sides(d, opts, f);
    rc = rc < 0 ? rc : bbi_daemon_places_prepare(d, opts, f);
    if (rc == 0) {
        bbi_daemon_places_commit(d, opts);
    }
    return rc;
}

int
bbi_daemon_open(struct bbi_daemon **out, const struct bbi_daemon_opts *opts)
{
    struct bbi_fault f = {.uid = -1};
    struct bbi_daemon *d = new_daemon(opts);
    if (d == NULL) {
        (void)bbi_fault_set(&f, BB_ENOMEM, "busbard", "no memory, or no descriptor, for a bridge");
        return bbi_error_fill(opts->error, &f);
    }
    int rc = open_all(d, opts, &f);
    if (rc < 0) {
        rc = bbi_daemon_fail(d, rc, &f);
        bbi_daemon_close(d);
        return rc;
    }
    if (d->ready != NULL) {
        d->ready(d->user);
    }
    *out = d;
    return 0;
}

/* Nothing is waited for any more: before its descriptor is closed. */
static void
unwatch_all(struct bbi_daemon *d)
{
    const int fds[] = {d->bus_fd, d->control_fd, d->wake_fd};
    for (size_t i = 0; d->hub != NULL && i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0) {
            bbi_net_unwatch(bbi_hub_net(d->hub), fds[i]);
        }
    }
}

void
bbi_daemon_close(struct bbi_daemon *daemon)
{
    if (daemon == NULL) {
        return;
    }
    unwatch_all(daemon);
    bbi_control_close(daemon->control);
    bbi_local_close(daemon->local);
    if (daemon->hub != NULL) {
        bbi_hub_close(daemon->hub);
    }
    bb_endpoint_close(daemon->ep);
    if (daemon->wake_fd >= 0) {
        (void)close(daemon->wake_fd);
    }
    bbi_daemon_places_free(daemon->listens);
    bbi_daemon_places_free(daemon->peers);
    free(daemon->rights);
    free(daemon->dir);
    free(daemon->bus);
    free(daemon);
}

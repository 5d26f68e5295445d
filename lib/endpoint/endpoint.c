/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/endpoint.c - attach and leave; what happens to handles over fork.
 */
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/for_store.h"
#include "lib/endpoint/publisher_impl.h"
#include "lib/endpoint/subscriber_impl.h"
#include "shm/os.h"
#include "shm/steward.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t ATTACH_WAIT_NS = INT64_C(1000000000);

unsigned bbi_fork_gen;
static struct bb_endpoint *all_endpoints;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static uint32_t name_counter; /* under all_lock */

/* Nobody is in the middle of a change of what the child will walk over. */
static void
before_fork(void)
{
    (void)pthread_mutex_lock(&all_lock);
    for (struct bb_endpoint *ep = all_endpoints; ep != NULL; ep = ep->next) {
        (void)pthread_mutex_lock(&ep->lock);
    }
}

static void
after_fork_parent(void)
{
    for (struct bb_endpoint *ep = all_endpoints; ep != NULL; ep = ep->next) {
        (void)pthread_mutex_unlock(&ep->lock);
    }
    (void)pthread_mutex_unlock(&all_lock);
}

/* The parent's locks live in open file descriptions that we share now: let go, or we keep it alive. */
static void
after_fork_child(void)
{
    bbi_fork_gen++;
    for (struct bb_endpoint *ep = all_endpoints; ep != NULL; ep = ep->next) {
        bbi_attach_forked(&ep->at);
        for (struct bb_publisher *pub = ep->publishers; pub != NULL; pub = pub->next) {
            bbi_publisher_forked(pub);
        }
        for (struct bb_subscriber *s = ep->subscribers; s != NULL; s = s->next) {
            bbi_subscriber_forked(s);
        }
        (void)pthread_mutex_unlock(&ep->lock);
    }
    all_endpoints = NULL;
    (void)pthread_mutex_unlock(&all_lock);
}

static void
watch_forks_once(void)
{
    (void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

void
bbi_watch_forks(void)
{
    (void)pthread_once(&fork_once, watch_forks_once);
}

int
bbi_error_set(struct bb_error *error, const struct bbi_fault *fault)
{
    if (error != NULL) {
        error->code = fault->code;
        error->owner_pid = fault->pid;
        error->owner_uid = fault->uid;
        (void)snprintf(error->name, sizeof(error->name), "%s", fault->name);
        (void)snprintf(error->sentence, sizeof(error->sentence), "%s", fault->sentence);
    }
    return fault->code;
}

static void
default_name(char out[BBI_NAME_BYTES])
{
    char program[24];
    (void)pthread_mutex_lock(&all_lock);
    unsigned n = ++name_counter;
    (void)pthread_mutex_unlock(&all_lock);
    (void)snprintf(program, sizeof(program), "%s", program_invocation_short_name);
    for (char *p = program; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x21 || *p == '/') {
            *p = '_';
        }
    }
    (void)snprintf(out, BBI_NAME_BYTES, "%s-%d-%u", program, (int)getpid(), n);
}

static int
attach(struct bb_endpoint *ep, const struct bb_endpoint_opts *o, struct bbi_fault *f)
{
    char name[BBI_NAME_BYTES];
    const struct bbi_attach_opts ao = {
        .dir = o->dir,
        .bus = o->bus,
        .group = o->group,
        .may_make = (o->flags & BB_ATTACH_EXISTING) == 0,
        .wait_ns = o->timeout_ns != 0 ? o->timeout_ns : ATTACH_WAIT_NS,
    };
    int rc = bbi_attach_open(&ep->at, &ao, f);
    if (rc < 0) {
        return rc;
    }
    default_name(name);
    rc = bbi_attach_join(&ep->at, o->name != NULL ? o->name : name, o->role, f);
    if (rc < 0) {
        bbi_attach_close(&ep->at);
    }
    return rc;
}

int
bb_endpoint_open(struct bb_endpoint **out, const struct bb_endpoint_opts *opts)
{
    struct bb_endpoint_opts o;
    struct bbi_fault f = {.code = BB_ENOMEM, .uid = -1, .sentence = "out of memory"};
    int rc = BBI_OPTS_TAKE(struct bb_endpoint_opts, &o, opts);
    rc = rc < 0 ? rc
                : bbi_opts_flags(o.flags, BB_ATTACH_EXISTING | BB_ATTACH_CAPTURE,
                                 "struct bb_endpoint_opts", o.error);
    if (rc < 0) {
        return rc;
    }
    bbi_watch_forks();
    struct bb_endpoint *ep = calloc(1, sizeof(*ep));
    if (ep == NULL) {
        return bbi_error_set(o.error, &f);
    }
    rc = attach(ep, &o, &f);
    if (rc < 0) {
        free(ep);
        f.code = rc;
        return bbi_error_set(o.error, &f);
    }
    ep->waker = (struct bbi_waker){.sock_fd = -1, .dir_fd = ep->at.place.dir_fd};
    ep->flags = o.flags;
    ep->id = bbi_node_id(ep->at.member, ep->at.member_gen);
    (void)pthread_mutex_init(&ep->lock, NULL);
    (void)pthread_mutex_init(&ep->asking.lock, NULL);
    (void)pthread_mutex_lock(&all_lock);
    ep->fork_gen = bbi_fork_gen;
    ep->next = all_endpoints;
    all_endpoints = ep;
    (void)pthread_mutex_unlock(&all_lock);
    if ((o.flags & BB_ATTACH_CAPTURE) == 0) {
        bbi_endpoint_scan(ep,
                          BBI_STEWARD_EVERY_NS); /* short-lived members tidy up after each other */
    }
    *out = ep;
    return 0;
}

void
bbi_closer_add(struct bb_endpoint *ep, struct bbi_closer *c)
{
    (void)pthread_mutex_lock(&ep->lock);
    c->next = ep->closers;
    ep->closers = c;
    (void)pthread_mutex_unlock(&ep->lock);
}

void
bbi_closer_remove(struct bb_endpoint *ep, struct bbi_closer *c)
{
    (void)pthread_mutex_lock(&ep->lock);
    for (struct bbi_closer **p = &ep->closers; *p != NULL; p = &(*p)->next) {
        if (*p == c) {
            *p = c->next;
            break;
        }
    }
    (void)pthread_mutex_unlock(&ep->lock);
}

/* Without the lock: they publish, unsubscribe and close.  Nobody else uses an endpoint that is closed. */
static void
close_others(struct bb_endpoint *ep)
{
    while (ep->closers != NULL) {
        struct bbi_closer *c = ep->closers;
        ep->closers = c->next;
        c->close(c);
    }
}

void
bb_endpoint_close(struct bb_endpoint *ep)
{
    if (ep == NULL) {
        return;
    }
    close_others(ep);
    while (ep->publishers != NULL) {
        bb_publisher_close(ep->publishers);
    }
    while (ep->subscribers != NULL) {
        bb_subscriber_close(ep->subscribers);
    }
    bbi_reserved_close(ep->asking.topic); /* its publisher was one of them */
    if (!bbi_is_forked(ep->fork_gen)) {
        (void)pthread_mutex_lock(&all_lock);
        for (struct bb_endpoint **p = &all_endpoints; *p != NULL; p = &(*p)->next) {
            if (*p == ep) {
                *p = ep->next;
                break;
            }
        }
        (void)pthread_mutex_unlock(&all_lock);
        bbi_attach_close(&ep->at);
        if (ep->waker.sock_fd >= 0) {
            (void)close(ep->waker.sock_fd);
        }
        (void)pthread_mutex_destroy(&ep->lock);
        (void)pthread_mutex_destroy(&ep->asking.lock);
    }
    free(ep);
}

void
bbi_endpoint_scan(struct bb_endpoint *ep, int64_t every_ns)
{
    if (pthread_mutex_trylock(&ep->lock) == 0) {
        (void)bbi_steward_scan(&ep->at, &ep->waker, every_ns);
        (void)pthread_mutex_unlock(&ep->lock);
    }
}

const char *
bb_endpoint_name(const struct bb_endpoint *ep)
{
    return ep->at.name;
}

uint64_t
bb_endpoint_id(const struct bb_endpoint *ep)
{
    return ep->id;
}

const char *
bb_endpoint_path(const struct bb_endpoint *ep)
{
    return ep->at.place.path;
}

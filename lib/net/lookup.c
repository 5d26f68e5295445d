/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A question is in one of three places: waiting, with a thread, done.  Threads are started as questions come and end when
 * none waits.  Whoever goes last frees what is shared: the user at close, or the last thread that was still asking then.
 */
#include "lib/net/lookup.h"

#include "lib/net/net_impl.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

struct list {
    struct bbi_lookup *first, *last;
};

struct bbi_lookups {
    pthread_mutex_t lock; /* of all below */
    bbi_net_resolve_fn resolve;
    struct list waiting, done;
    int threads; /* that live */
    bool is_closed;
    int fd; /* -1: closed */
};

/* ---- lists ---- */

static void
append(struct list *list, struct bbi_lookup *lookup)
{
    lookup->next = NULL;
    *(list->last != NULL ? &list->last->next : &list->first) = lookup;
    list->last = lookup;
}

static struct bbi_lookup *
take_first(struct list *list)
{
    struct bbi_lookup *lookup = list->first;
    if (lookup != NULL) {
        list->first = lookup->next;
        list->last = list->first != NULL ? list->last : NULL;
    }
    return lookup;
}

/* False: it is not there. */
static bool
take_out(struct list *list, const struct bbi_lookup *lookup)
{
    struct list rest = {0};
    bool is_there = false;
    for (struct bbi_lookup *l = take_first(list); l != NULL; l = take_first(list)) {
        if (l == lookup) {
            is_there = true;
        } else {
            append(&rest, l);
        }
    }
    *list = rest;
    return is_there;
}

static void
free_list(struct list *list)
{
    for (struct bbi_lookup *l = take_first(list); l != NULL; l = take_first(list)) {
        free(l);
    }
}

/* ---- a thread ---- */

static void
lock(struct bbi_lookups *all)
{
    BBI_ASSERT(pthread_mutex_lock(&all->lock) == 0);
}

static void
unlock(struct bbi_lookups *all)
{
    BBI_ASSERT(pthread_mutex_unlock(&all->lock) == 0);
}

static void
free_all(struct bbi_lookups *all)
{
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
}

/* Locked. */
static void
finish(struct bbi_lookups *all, struct bbi_lookup *lookup)
{
    const uint64_t one = 1;
    if (all->is_closed || lookup->is_unwanted) {
        free(lookup);
        return;
    }
    append(&all->done, lookup);
    /* The count cannot run over; a full one would wake as well. */
    ssize_t n = write(all->fd, &one, sizeof(one));
    (void)n;
}

static void *
look_up(void *arg)
{
    struct bbi_lookups *all = arg;
    (void)prctl(PR_SET_NAME, BBI_LOOKUP_THREAD_NAME); /* for those who wonder what waits */
    lock(all);
    for (struct bbi_lookup *l = take_first(&all->waiting); l != NULL;
         l = take_first(&all->waiting)) {
        unlock(all);
        l->rc = all->resolve(l->host, l->port, l->is_passive, &l->found, &l->fault);
        lock(all);
        finish(all, l);
    }
    all->threads--;
    bool is_last = all->is_closed && all->threads == 0;
    unlock(all);
    if (is_last) {
        free_all(all);
    }
    return NULL;
}

/* Locked.  Signals are for the threads of the program. */
static int
start_thread(struct bbi_lookups *all)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t every, before;
    if (pthread_attr_init(&attr) != 0) {
        return BB_ENOMEM;
    }
    (void)sigfillset(&every);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_sigmask(SIG_SETMASK, &every, &before);
    int error = pthread_create(&thread, &attr, look_up, all);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    all->threads += error == 0;
    return error == 0 ? 0 : BB_ENOMEM;
}

/* ---- for the user ---- */

int
bbi_lookups_open(struct bbi_lookups **out, bbi_net_resolve_fn resolve)
{
    struct bbi_lookups *all = calloc(1, sizeof(*all));
    if (all == NULL || pthread_mutex_init(&all->lock, NULL) != 0) {
        free(all);
        return BB_ENOMEM;
    }
    all->resolve = resolve != NULL ? resolve : bbi_net_resolve;
    all->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (all->fd < 0) {
        int rc = -errno;
        free_all(all);
        return rc;
    }
    *out = all;
    return 0;
}

void
bbi_lookups_close(struct bbi_lookups *all)
{
    if (all == NULL) {
        return;
    }
    lock(all);
    free_list(&all->waiting);
    free_list(&all->done);
    (void)close(all->fd);
    all->fd = -1;
    all->is_closed = true;
    bool is_last = all->threads == 0;
    unlock(all);
    if (is_last) {
        free_all(all);
    }
}

int
bbi_lookups_fd(const struct bbi_lookups *all)
{
    return all->fd;
}

int
bbi_lookup_start(struct bbi_lookups *all,
                 const char *host,
                 uint16_t port,
                 bool is_passive,
                 uint64_t tag,
                 struct bbi_lookup **out,
                 struct bbi_fault *f)
{
    struct bbi_lookup *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, host, "no memory to look up the host %.64s", host);
    }
    int n = snprintf(lookup->host, sizeof(lookup->host), "%s", host);
    if (n <= 0 || n >= (int)sizeof(lookup->host)) {
        free(lookup);
        return bbi_fault_set(f, BB_EINVAL, host, "\"%.64s\" is no host: give a name or an address",
                             host);
    }
    lookup->port = port;
    lookup->is_passive = is_passive;
    lookup->tag = tag;
    lock(all);
    append(&all->waiting, lookup);
    int rc = all->threads < BBI_LOOKUP_THREADS ? start_thread(all) : 0;
    if (rc != 0 && all->threads > 0) {
        rc = 0; /* one of these takes it */
    }
    bool is_back = rc != 0 && take_out(&all->waiting, lookup);
    unlock(all);
    if (is_back) {
        free(lookup);
        return bbi_fault_set(f, rc, host,
                             "no thread could be started to look up the host %s: give its address, "
                             "or raise the limit of processes (ulimit -u)",
                             host);
    }
    *out = lookup;
    return 0;
}

void
bbi_lookup_forget(struct bbi_lookups *all, struct bbi_lookup *lookup)
{
    lock(all);
    bool is_ours = take_out(&all->waiting, lookup) || take_out(&all->done, lookup);
    if (!is_ours) {
        lookup->is_unwanted = true; /* its thread frees it */
    }
    unlock(all);
    if (is_ours) {
        free(lookup);
    }
}

struct bbi_lookup *
bbi_lookups_take(struct bbi_lookups *all)
{
    uint64_t count;
    lock(all);
    struct bbi_lookup *lookup = take_first(&all->done);
    if (lookup == NULL) {
        ssize_t n = read(all->fd, &count, sizeof(count)); /* nothing to read is as well */
        (void)n;
    }
    unlock(all);
    return lookup;
}

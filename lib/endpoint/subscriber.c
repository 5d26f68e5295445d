/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/subscriber.c - open and close, prefixes, statistics.
 */
#include "lib/endpoint/bridged_impl.h"
#include "lib/endpoint/for_bridge.h"
#include "lib/endpoint/request_impl.h"
#include "shm/filter.h"
#include "shm/os.h"
#include "shm/steward.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FLAGS = BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_VIEWS | BB_SUBSCRIBER_COPIES
            | BB_SUBSCRIBER_LOOPBACK | BB_SUBSCRIBER_STATUS,
};

enum {
    FILTER_BUF_BYTES = BBI_FILTER_BYTES - 8 - BBI_FILTER_HEAD_BYTES - BBI_LINK_TOPIC_BYTES,
    PERIOD_NS = 1000000,
};

/* ---- prefixes ---- */

/* What who hears statuses wants besides: to be woken when something happens to a link. */
static const struct bbi_filter_item LINKS = {
    .bytes = (const unsigned char *)BBI_LINK_TOPIC,
    .len = BBI_LINK_TOPIC_BYTES,
};

/* The minimal set into the file, for publishers; then the epoch, so that they look. */
static int
write_filters(struct bb_subscriber *sub)
{
    struct bbi_filter filter;
    uint32_t n = 0;
    size_t pos = 0;
    struct bbi_filter_item *items = calloc(sub->filters.shown + 2, sizeof(*items));
    if (items == NULL) {
        return BB_ENOMEM;
    }
    while (n < sub->filters.shown && bbi_filter_set_next(&sub->filters, &pos, &filter)) {
        items[n++] = (struct bbi_filter_item){.bytes = (const unsigned char *)filter.prefix,
                                              .len = (uint16_t)filter.prefix_bytes,
                                              .flags = (uint16_t)filter.flags};
    }
    if ((sub->flags & BB_SUBSCRIBER_STATUS) != 0) {
        items[n++] = LINKS;
    }
    int rc = bbi_filter_write(sub->file.seg.base, items, n);
    free(items);
    if (rc == 0) {
        (void)bbi_fetch_add_seq_cst(&sub->at->bus->sub_epoch.v, 1); /* R5, R8 */
        bbi_fence_seq_cst();
        (void)!bbi_os_membarrier_run(); /* R5: a publish that begins after we return sees it */
    }
    return rc;
}

static int
change_filters(
    struct bb_subscriber *sub, const char *prefix, size_t bytes, uint32_t flags, bool add)
{
    struct bbi_filter filter = {
        .prefix = prefix != NULL ? prefix : "", .prefix_bytes = bytes, .flags = flags};
    if (prefix == NULL && bytes > 0) {
        return BB_EINVAL;
    }
    return add ? bbi_filter_set_add(&sub->filters, &filter)
               : bbi_filter_set_remove(&sub->filters, &filter);
}

static int
apply(struct bb_subscriber *sub, int changed)
{
    if (changed <= 0) {
        return changed;
    }
    if (sub->is_gathering) {
        sub->has_gathered = true;
        return 0;
    }
    bbi_sources_match_all(sub);
    return sub->is_registered ? write_filters(sub) : 0;
}

void
bbi_subscribe_gather(struct bb_subscriber *sub)
{
    sub->is_gathering = true;
}

int
bbi_subscribe_settle(struct bb_subscriber *sub)
{
    bool has_gathered = sub->has_gathered;
    sub->is_gathering = sub->has_gathered = false;
    return has_gathered ? apply(sub, 1) : 0;
}

int
bb_subscribe(struct bb_subscriber *sub, const char *prefix, size_t prefix_bytes, uint32_t flags)
{
    if (bbi_is_forked(sub->fork_gen)) {
        return BB_EFORKED;
    }
    return apply(sub, change_filters(sub, prefix, prefix_bytes, flags, true));
}

int
bb_unsubscribe(struct bb_subscriber *sub, const char *prefix, size_t prefix_bytes, uint32_t flags)
{
    if (bbi_is_forked(sub->fork_gen)) {
        return BB_EFORKED;
    }
    return apply(sub, change_filters(sub, prefix, prefix_bytes, flags, false));
}

int
bbi_subscriber_first_prefixes(struct bb_subscriber *sub,
                              const char *const *prefixes,
                              const size_t *bytes,
                              size_t count,
                              uint32_t flags)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = bytes != NULL ? bytes[i] : strlen(prefixes[i]);
        int rc = change_filters(sub, prefixes[i], n, flags, true);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- open and close ---- */

struct bb_subscriber *
bbi_subscriber_new(struct bbi_attach *at)
{
    struct bb_subscriber *sub = calloc(1, sizeof(*sub));
    unsigned char *buf = malloc(FILTER_BUF_BYTES);
    if (sub == NULL || buf == NULL) {
        free(sub);
        free(buf);
        return NULL;
    }
    sub->at = at;
    sub->fork_gen = bbi_fork_gen;
    sub->filter_buf = buf;
    sub->events_end = &sub->events;
    sub->member_epoch = UINT64_MAX;
    sub->period_ns = PERIOD_NS;
    sub->visit_bytes = BBI_VISIT_BYTES;
    sub->waker = (struct bbi_waker){.sock_fd = -1, .dir_fd = at->place.dir_fd};
    sub->epoll_fd = sub->sock_fd = sub->self_fd = sub->timer_fd = -1;
    bbi_filter_set_init(&sub->filters, buf, FILTER_BUF_BYTES);
    return sub;
}

void
bbi_subscriber_free(struct bb_subscriber *sub)
{
    bbi_requests_free(sub);
    bbi_members_free(sub);
    if (sub->waker.sock_fd >= 0) {
        (void)close(sub->waker.sock_fd);
    }
    free(sub->dead_node);
    free(sub->filter_buf);
    bbi_given_free(sub);
    free(sub);
}

static int
take_options(struct bb_subscriber *sub, const struct bb_subscriber_opts *o, struct bbi_fault *f)
{
    if (o->start > BB_START_LAST || o->wait > BB_WAIT_PERIODIC || o->period_ns < 0
        || (o->prefix_count > 0 && o->prefixes == NULL)) {
        return bbi_fault_set(
            f, BB_EINVAL, "subscriber",
            "start, waiting mode or prefixes of the subscriber are not ones there are");
    }
    sub->flags = o->flags;
    sub->start = o->start;
    sub->start_count = o->start_count;
    sub->wait_mode = o->wait;
    sub->period_ns = o->period_ns != 0 ? o->period_ns : PERIOD_NS;
    bool reliable = (o->flags & BB_SUBSCRIBER_RELIABLE) != 0;
    sub->is_copying = (o->flags & BB_SUBSCRIBER_COPIES) != 0
                      || (!reliable && (o->flags & BB_SUBSCRIBER_VIEWS) == 0);
    int rc = bbi_subscriber_first_prefixes(sub, o->prefixes, o->prefix_bytes, o->prefix_count,
                                           o->prefix_flags);
    return rc < 0 ? bbi_fault_set(
               f, rc, "prefixes",
               "the prefixes cannot be subscribed: %s (at most 65,535 bytes each, 64 KiB together)",
               bb_strerror(rc))
                  : 0;
}

static int
register_subscriber(struct bb_subscriber *sub, struct bbi_fault *f)
{
    struct bb_endpoint *ep = sub->ep;
    uint32_t flags = ((sub->flags & BB_SUBSCRIBER_RELIABLE) != 0 ? BBI_SUB_RELIABLE : 0)
                     | ((sub->flags & BB_SUBSCRIBER_LOOPBACK) != 0 ? BBI_SUB_LOOPBACK : 0);
    (void)pthread_mutex_lock(&ep->lock);
    int rc = bbi_sub_register(&ep->at, flags, &sub->file, f);
    if (rc == BB_EFULL || rc == BB_ENOSPC) { /* perhaps only since nobody tidied up */
        (void)bbi_steward_scan(&ep->at, &ep->waker, 0);
        rc = bbi_sub_register(&ep->at, flags, &sub->file, f);
    }
    if (rc == 0) {
        sub->is_registered = true;
        sub->next = ep->subscribers;
        ep->subscribers = sub;
    }
    (void)pthread_mutex_unlock(&ep->lock);
    return rc;
}

static int
start(struct bb_subscriber *sub, const struct bb_subscriber_opts *o, struct bbi_fault *f)
{
    int rc = take_options(sub, o, f);
    if (rc == 0) {
        rc = register_subscriber(sub, f);
    }
    if (rc < 0) {
        return rc;
    }
    sub->ping = bbi_load_relaxed(&sub->at->bus->bells[sub->file.index].ping);
    bbi_store_relaxed(&((struct bbi_sub *)sub->file.seg.base)->pong, sub->ping);
    /* Rings first: whoever sees that we want something finds us joined.  A request that came between the two was
     * for us, as its publisher saw it, and unheard. */
    bbi_sources_discover(sub);
    rc = write_filters(sub);
    if (rc < 0) {
        return bbi_fault_set(f, rc, "prefixes", "the prefixes do not fit: %s", bb_strerror(rc));
    }
    if (sub->start != BB_START_NOW) {
        (void)bbi_sources_open_dead(sub, NULL);
    }
    sub->is_started = true;
    return 0;
}

int
bb_subscriber_open(struct bb_subscriber **out,
                   struct bb_endpoint *ep,
                   const struct bb_subscriber_opts *opts)
{
    struct bb_subscriber_opts o;
    struct bbi_fault f = {.code = BB_ENOMEM, .uid = -1, .sentence = "out of memory"};
    int rc = BBI_OPTS_TAKE(struct bb_subscriber_opts, &o, opts);
    rc = rc < 0 ? rc : bbi_opts_flags(o.flags, FLAGS, "struct bb_subscriber_opts", o.error);
    if (rc < 0) {
        return rc;
    }
    if (bbi_is_forked(ep->fork_gen)) {
        (void)bbi_fault_set(&f, BB_EFORKED, "endpoint", "%s", bb_strerror(BB_EFORKED));
        return bbi_error_set(o.error, &f);
    }
    struct bb_subscriber *sub = bbi_subscriber_new(&ep->at);
    if (sub == NULL) {
        return bbi_error_set(o.error, &f);
    }
    sub->ep = ep;
    rc = start(sub, &o, &f);
    if (rc < 0) {
        bb_subscriber_close(sub);
        f.code = rc;
        return bbi_error_set(o.error, &f);
    }
    *out = sub;
    return 0;
}

void
bbi_subscriber_forked(struct bb_subscriber *sub)
{
    sub->file.seg.base = NULL;
    for (struct bbi_source *src = sub->sources; src != NULL; src = src->next) {
        src->seg.base = NULL;
    }
}

static void
unlink_subscriber(struct bb_subscriber *sub)
{
    for (struct bb_subscriber **p = &sub->ep->subscribers; *p != NULL; p = &(*p)->next) {
        if (*p == sub) {
            *p = sub->next;
            return;
        }
    }
}

void
bb_subscriber_close(struct bb_subscriber *sub)
{
    if (sub == NULL) {
        return;
    }
    bool forked = bbi_is_forked(sub->fork_gen);
    if (forked) {
        bbi_subscriber_forked(sub); /* taps are in no list that fork walks */
    } else {
        (void)bbi_given_settle(sub);
    }
    (void)bbi_sources_drop_ended(sub, true);
    bbi_loop_close(sub);
    if (sub->is_registered) {
        if (!forked) {
            (void)pthread_mutex_lock(&sub->ep->lock);
            bbi_sub_close(&sub->ep->at, &sub->file);
        }
        unlink_subscriber(sub);
        if (!forked) {
            (void)pthread_mutex_unlock(&sub->ep->lock);
        }
    }
    bbi_subscriber_free(sub);
}

/* ---- statistics ---- */

void
bb_subscriber_stats(const struct bb_subscriber *sub, struct bb_subscriber_stats *out)
{
    struct bb_subscriber_stats s = {
        .size = sizeof(s),
        .messages = sub->messages,
        .delivered = sub->delivered,
        .filtered = sub->filtered,
        .lost = sub->lost,
        .evicted = sub->evicted,
        .rings = sub->rings,
        .unreadable = sub->unreadable,
        .wakes = sub->wakes,
        .requests = sub->requests != NULL ? sub->requests->count : 0,
        .late = sub->requests != NULL ? sub->requests->late : 0,
    };
    for (const struct bbi_source *src = sub->sources; src != NULL; src = src->next) {
        s.messages += src->reader.cursor - src->reader.start;
        s.delivered += src->delivered;
        s.filtered += src->reader.filtered;
        s.lost += src->reader.lost;
    }
    bbi_stats_give(out, &s, sizeof(s));
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/declare.c - an event says once where it goes; raising it sends it there.
 *
 * The key of `partition via` is the text form of the argument, so that a person who types that text at
 * `busbar pool where` is told the same node.
 */
#include "lib/cluster/services.h"
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 256 };

/* ---- the table ---------------------------------------------------------------------------------- */

static int
compare(const char *name, const char *event, size_t bytes)
{
    size_t name_bytes = strlen(name);
    int order = memcmp(name, event, name_bytes < bytes ? name_bytes : bytes);
    return order != 0 ? order : (name_bytes > bytes) - (name_bytes < bytes);
}

/* Where it stands, or would. */
static size_t
place_of(const struct bbi_declares *d, const char *event, size_t bytes)
{
    size_t low = 0, high = d->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (compare(d->list[mid].event, event, bytes) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

const struct bbi_declared *
bbi_declares_find(const struct bbi_declares *d, const char *event, size_t bytes)
{
    size_t i = place_of(d, event, bytes);
    return i < d->count && compare(d->list[i].event, event, bytes) == 0 ? &d->list[i] : NULL;
}

static bool
is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
is_same(const struct bbi_declared *d, const struct bb_declare_opts *o)
{
    bool is_same_argument = o->via == NULL || o->is_round_robin != 0 || d->argument == o->argument;
    return is_same_text(d->topic, o->topic) && is_same_text(d->via, o->via) && is_same_argument
           && (o->via == NULL || (d->is_round_robin != 0) == (o->is_round_robin != 0));
}

static void
free_one(struct bbi_declared *d)
{
    free(d->event);
    free(d->topic);
    free(d->via);
}

static char *
copy_of(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

static int
insert(struct bbi_declares *d, size_t at, const struct bb_declare_opts *o, struct bb_pool *pool)
{
    struct bbi_declared fresh = {.event = copy_of(o->event),
                                 .topic = copy_of(o->topic),
                                 .via = copy_of(o->via),
                                 .pool = pool,
                                 .argument = o->argument,
                                 .is_round_robin = o->is_round_robin};
    bool is_copied = fresh.event != NULL && (o->topic == NULL || fresh.topic != NULL)
                     && (o->via == NULL || fresh.via != NULL);
    struct bbi_declared *list = is_copied ? realloc(d->list, (d->count + 1) * sizeof(*list)) : NULL;
    if (list == NULL) {
        free_one(&fresh);
        return BB_ENOMEM;
    }
    memmove(list + at + 1, list + at, (d->count - at) * sizeof(*list));
    list[at] = fresh;
    d->list = list;
    d->count++;
    return 0;
}

int
bbi_declares_add(struct bbi_declares *d, const struct bb_declare_opts *o, struct bb_pool *pool)
{
    if (o->event == NULL || o->event[0] == '\0' || (o->topic == NULL) == (o->via == NULL)) {
        return BB_EINVAL;
    }
    const struct bbi_declared *old = bbi_declares_find(d, o->event, strlen(o->event));
    if (old != NULL) {
        return is_same(old, o) ? 0 : BB_EEXIST;
    }
    return insert(d, place_of(d, o->event, strlen(o->event)), o, pool);
}

void
bbi_declares_fini(struct bbi_declares *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free_one(&d->list[i]);
    }
    free(d->list);
    *d = (struct bbi_declares){.list = NULL};
}

/* ---- the key ------------------------------------------------------------------------------------ */

int64_t
bbi_declared_key(
    const struct bbi_declared *d, const struct bb_event *ev, char *buf, size_t cap, char **more)
{
    struct bb_value v;
    int rc = bb_event_arg(ev, d->argument, &v);
    if (rc < 0) {
        return rc;
    }
    int64_t need = bb_value_text(&v, buf, cap);
    if (need < 0 || (size_t)need < cap) {
        return need;
    }
    char *text = malloc((size_t)need + 1);
    if (text == NULL) {
        return BB_ENOMEM;
    }
    need = bb_value_text(&v, text, (size_t)need + 1);
    if (need < 0) {
        free(text);
        return need;
    }
    *more = text;
    return need;
}

/* ---- declaring and raising ---------------------------------------------------------------------- */

static int
refuse(const struct bb_declare_opts *o, int rc)
{
    struct bbi_fault f;
    const char *event = o->event != NULL ? o->event : "";
    if (rc == BB_EINVAL) {
        (void)bbi_fault_set(&f, rc, event,
                            "event '%s' needs a name, and either a topic or a pool to go via",
                            event);
    } else if (rc == BB_ENOENT) {
        (void)bbi_fault_set(&f, rc, o->via,
                            "event '%s' is to go via pool '%s', which is not there: register it "
                            "first",
                            event, o->via);
    } else if (rc == BB_EEXIST) {
        (void)bbi_fault_set(&f, rc, event,
                            "event '%s' was declared to go elsewhere: declare it the same way "
                            "everywhere",
                            event);
    } else {
        (void)bbi_fault_set(&f, rc, event, "event '%s': %s", event, bb_strerror(rc));
    }
    return bbi_error_fill(o->error, &f);
}

int
bb_cluster_declare(struct bb_cluster *c, const struct bb_declare_opts *opts)
{
    struct bb_declare_opts o;
    struct bb_pool *pool = NULL;
    int rc = BBI_OPTS_TAKE(struct bb_declare_opts, &o, opts);
    if (rc < 0) {
        return rc;
    }
    if (o.via != NULL) {
        pool = bb_pool_find(c, o.via);
        if (pool == NULL) {
            return refuse(&o, BB_ENOENT);
        }
    }
    rc = bbi_declares_add(&c->services->declares, &o, pool);
    return rc < 0 ? refuse(&o, rc) : 0;
}

static int
raise_by_key(const struct bbi_declared *d,
             const struct bb_event *ev,
             const void *event,
             size_t bytes,
             uint32_t attr)
{
    char buf[KEY_BYTES], *more = NULL;
    int64_t key_bytes = bbi_declared_key(d, ev, buf, sizeof(buf), &more);
    if (key_bytes < 0) {
        return key_bytes == BB_ENOENT ? BB_EINVAL : (int)key_bytes;
    }
    int rc = bb_cluster_publish_hrw(d->pool, more != NULL ? more : buf, (size_t)key_bytes, event,
                                    bytes, attr);
    free(more);
    return rc;
}

int
bb_cluster_raise(struct bb_cluster *c, const void *event, size_t bytes, uint32_t attr)
{
    struct bb_event ev;
    int rc = bb_event_open(&ev, event, bytes);
    if (rc < 0) {
        return rc;
    }
    const struct bbi_declared *d =
        bbi_declares_find(&c->services->declares, ev.name, ev.name_bytes);
    if (d == NULL) {
        return BB_ENOENT;
    }
    if (d->topic != NULL) {
        return bb_cluster_publish(c, d->topic, event, bytes, attr);
    }
    return d->is_round_robin != 0 ? bb_cluster_publish_rr(d->pool, d->event, event, bytes, attr)
                                  : raise_by_key(d, &ev, event, bytes, attr);
}

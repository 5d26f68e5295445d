/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/standalone.c - a bus for one, and what waits for room in its ring.
 *
 *   publish ──► data ring ──► our own subscriber
 *      └► waiting (the ring is full, or others wait already) ──► data ring, at the next poll
 */
#include "lib/cluster/standalone.h"
#include "lib/endpoint/private_bus.h"
#include <stdlib.h>
#include <string.h>

struct waiting {
    struct waiting *next;
    struct bb_topic *topic;
    size_t bytes;
    uint32_t attr;
    unsigned char data[];
};

struct bbi_alone {
    struct bbi_part part; /* first */
    char *dir;            /* NULL: the default one */
    char bus[BB_NAME_MAX + 1];
    struct waiting *first, **end;
    size_t waiting_bytes;
};

/* ---- waiting for room --------------------------------------------------------------------------- */

static int
put(struct bbi_alone *a, struct bb_topic *topic, const void *data, size_t bytes, uint32_t attr)
{
    if (a->waiting_bytes + bytes + sizeof(struct waiting) > BBI_ALONE_MOST_BYTES) {
        return BB_EAGAIN;
    }
    struct waiting *w = malloc(sizeof(*w) + bytes);
    if (w == NULL) {
        return BB_ENOMEM;
    }
    *w = (struct waiting){.topic = topic, .bytes = bytes, .attr = attr | BB_MORE};
    if (bytes > 0) {
        memcpy(w->data, data, bytes);
    }
    if (a->first == NULL) {
        a->end = &a->first;
    }
    *a->end = w;
    a->end = &w->next;
    a->waiting_bytes += sizeof(*w) + bytes;
    return 0;
}

static void
drop_first(struct bbi_alone *a)
{
    struct waiting *w = a->first;
    a->first = w->next;
    a->waiting_bytes -= sizeof(*w) + w->bytes;
    free(w);
}

/* What has room now goes into the ring; with some left the caller should look into the ring, not sleep. */
static int64_t
tick(struct bbi_part *part, struct bb_cluster *c, int64_t now_ns)
{
    struct bbi_alone *a = (struct bbi_alone *)part;
    if (a->first == NULL) {
        return INT64_MAX;
    }
    while (a->first != NULL) {
        struct waiting *w = a->first;
        if (bb_publish(w->topic, w->data, w->bytes, w->attr) == BB_EAGAIN) {
            break;
        }
        drop_first(a); /* its size was looked at before: nothing else can fail */
    }
    (void)!bb_flush(c->data);
    return a->first != NULL ? now_ns : INT64_MAX;
}

static int
publish_alone(struct bb_cluster *c,
              const char *topic,
              size_t topic_bytes,
              const void *data,
              size_t bytes,
              uint32_t attr)
{
    enum { HEAD = 16 }; /* of a topic that no dictionary holds */
    struct bb_topic *t;
    int rc = bb_topic_open(&t, c->data, topic, topic_bytes);
    if (rc == 0 && c->alone->first == NULL) {
        rc = bb_publish(t, data, bytes, attr);
        if (rc != BB_EAGAIN) {
            return rc;
        }
        rc = 0;
    }
    if (rc < 0 || (data == NULL && bytes > 0)) {
        return rc < 0 ? rc : BB_EINVAL;
    }
    return bytes + topic_bytes + HEAD > bb_publisher_max(c->data)
               ? BB_EMSGSIZE
               : put(c->alone, t, data, bytes, attr);
}

int
bbi_cluster_out(struct bb_cluster *c,
                const char *topic,
                size_t topic_bytes,
                const void *data,
                size_t bytes,
                uint32_t attr)
{
    return c->alone == NULL ? bb_publish_to(c->data, topic, topic_bytes, data, bytes, attr)
                            : publish_alone(c, topic, topic_bytes, data, bytes, attr);
}

/* ---- the bus ------------------------------------------------------------------------------------ */

int
bbi_alone_begin(struct bb_cluster *c, struct bb_endpoint_opts *eo)
{
    struct bbi_alone *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        return BB_ENOMEM;
    }
    a->part = (struct bbi_part){.tick = tick};
    a->dir = eo->dir != NULL ? strdup(eo->dir) : NULL;
    if (eo->dir != NULL && a->dir == NULL) {
        free(a);
        return BB_ENOMEM;
    }
    (void)bbi_private_bus_tidy(a->dir);
    bbi_private_bus_name(a->bus);
    eo->bus = a->bus;
    c->alone = a;
    bbi_cluster_add_part(c, &a->part);
    return 0;
}

void
bbi_alone_end(struct bb_cluster *c)
{
    struct bbi_alone *a = c->alone;
    if (a == NULL) {
        return;
    }
    while (a->first != NULL) {
        drop_first(a);
    }
    (void)!bbi_bus_remove(a->dir, a->bus); /* a forked child: its parent is attached, so it stays */
    free(a->dir);
    free(a);
    c->alone = NULL;
}

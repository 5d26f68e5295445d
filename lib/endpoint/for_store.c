/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/for_store.c - publishing on reserved topics; polls that take more.
 */
#include "lib/endpoint/for_store.h"
#include "lib/endpoint/publisher_impl.h"
#include "lib/endpoint/subscriber_impl.h"
#include <stdlib.h>

int
bbi_reserved_open(struct bb_topic **out,
                  struct bb_publisher *pub,
                  const char *topic,
                  size_t topic_bytes)
{
    if (bbi_is_forked(pub->fork_gen)) {
        return BB_EFORKED;
    }
    if (topic_bytes > BB_TOPIC_MAX) {
        return BB_ENAMETOOLONG;
    }
    if (!bb_topic_is_reserved(topic, topic_bytes)) {
        return BB_EINVAL;
    }
    struct bb_topic *t = bbi_topic_reserved(pub, topic, topic_bytes);
    if (t == NULL) {
        return BB_ENOMEM;
    }
    *out = t;
    return 0;
}

void
bbi_reserved_close(struct bb_topic *topic)
{
    free(topic);
}

void
bbi_visit_more(struct bb_subscriber *sub, size_t bytes)
{
    sub->visit_bytes = bytes;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/services.c - messages of kind BB_CONTROL on our node topic: whose they are.
 */
#include "lib/cluster/services.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
bbi_service_topic(const struct bb_cluster *c,
                  const char *node,
                  const char *service,
                  char out[BBI_SERVICE_TOPIC_BYTES])
{
    int n = bb_cluster_topic_node(c, node, out, BBI_SERVICE_TOPIC_BYTES);
    size_t more = strlen(service);
    if (n < 0 || (size_t)n + more > BBI_SERVICE_TOPIC_BYTES) {
        return n < 0 ? n : BB_EMSGSIZE;
    }
    memcpy(out + n, service, more); /* NOLINT(bugprone-not-null-terminated-result): counted */
    return n + (int)more;
}

/* Our node topic, and then the service's name. */
static bool
is_for(const struct bbi_services *s, const struct bb_msg *msg, const char *service)
{
    size_t more = strlen(service);
    return msg->topic_bytes == s->topic_bytes + more
           && memcmp(msg->topic, s->topic, s->topic_bytes) == 0
           && memcmp(msg->topic + s->topic_bytes, service, more) == 0;
}

static int
take(struct bbi_part *part, struct bb_cluster *c, const struct bb_msg *msg)
{
    const struct bbi_services *s = (const struct bbi_services *)part;
    if (msg->status != NULL || (msg->attr & BB_KIND_MASK) != BB_CONTROL) {
        return 0;
    }
    if (is_for(s, msg, BBI_RELAY_SERVICE)) {
        bbi_relay_take(c, msg);
        return 1;
    }
    if (is_for(s, msg, BBI_VARIABLE_SERVICE)) {
        bbi_variables_take(c, msg);
        return 1;
    }
    return 0;
}

static void
leave(struct bbi_part *part, struct bb_cluster *c)
{
    struct bbi_services *s = (struct bbi_services *)part;
    bbi_declares_fini(&s->declares);
    bbi_variables_fini(&s->variables);
    c->services = NULL;
    free(s);
}

int
bbi_services_begin(struct bb_cluster *c)
{
    struct bbi_services *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return BB_ENOMEM;
    }
    int n = bb_cluster_topic_node(c, c->name, s->topic, sizeof(s->topic));
    if (n < 0) {
        free(s);
        return n;
    }
    s->topic_bytes = (size_t)n;
    s->part = (struct bbi_part){.message = take, .leave = leave};
    c->services = s;
    bbi_cluster_add_part(c, &s->part);
    return bbi_variables_standard(c); /* what failed is undone by leave */
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/listing.c - count, allocate some more than that, read; again when the bus grew meanwhile.
 */
#include "tools/cli/listing.h"

#include "tools/cli/report.h"
#include <busbar/topic.h>
#include <stdlib.h>
#include <string.h>

enum { SPARE = 8 }; /* entries that may come between counting and reading */

typedef int (*list_fn)(struct bb_look *look, void *out, size_t max);

struct list_kind {
    list_fn read;
    size_t entry_bytes;
    int (*compare)(const void *a, const void *b);
    const char *what;
};

static int
list(const struct cli_call *call,
     struct bb_look *look,
     const struct list_kind *kind,
     void **v,
     size_t *count)
{
    size_t cap = 0;
    void *p = NULL;
    int n = kind->read(look, NULL, 0);

    while (n >= 0 && (p == NULL || (size_t)n > cap)) {
        cap = (size_t)n + SPARE;
        free(p);
        p = calloc(cap, kind->entry_bytes);
        n = p == NULL ? BB_ENOMEM : kind->read(look, p, cap);
    }
    if (n < 0) {
        free(p);
        return cli_report(call, n, NULL, kind->what);
    }
    qsort(p, (size_t)n, kind->entry_bytes, kind->compare);
    *v = p;
    *count = (size_t)n;
    return CLI_DONE;
}

static int
order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int
read_nodes(struct bb_look *look, void *out, size_t max)
{
    return bb_look_nodes(look, out, max);
}

static int
compare_nodes(const void *a, const void *b)
{
    const struct bb_node_info *x = a;
    const struct bb_node_info *y = b;
    int rc = strcmp(x->name, y->name);
    return rc != 0 ? rc : order(x->id, y->id);
}

int
cli_list_nodes(const struct cli_call *call, struct bb_look *look, struct cli_nodes *out)
{
    static const struct list_kind kind = {read_nodes, sizeof(struct bb_node_info), compare_nodes,
                                          "cannot list the nodes"};
    void *v = NULL;
    int code = list(call, look, &kind, &v, &out->count);
    out->v = v;
    return code;
}

static int
read_rings(struct bb_look *look, void *out, size_t max)
{
    return bb_look_rings(look, out, max);
}

static int
compare_rings(const void *a, const void *b)
{
    const struct bb_ring_info *x = a;
    const struct bb_ring_info *y = b;
    int rc = strcmp(x->node, y->node);
    rc = rc != 0 ? rc : order(x->lane, y->lane);
    return rc != 0 ? rc : order(x->ring, y->ring);
}

int
cli_list_rings(const struct cli_call *call, struct bb_look *look, struct cli_rings *out)
{
    static const struct list_kind kind = {read_rings, sizeof(struct bb_ring_info), compare_rings,
                                          "cannot list the rings"};
    void *v = NULL;
    int code = list(call, look, &kind, &v, &out->count);
    out->v = v;
    return code;
}

static int
read_subscribers(struct bb_look *look, void *out, size_t max)
{
    return bb_look_subscribers(look, out, max);
}

static int
compare_subscribers(const void *a, const void *b)
{
    const struct bb_subscriber_info *x = a;
    const struct bb_subscriber_info *y = b;
    int rc = strcmp(x->node, y->node);
    return rc != 0 ? rc : order(x->subscriber, y->subscriber);
}

int
cli_list_subscribers(const struct cli_call *call, struct bb_look *look, struct cli_subscribers *out)
{
    static const struct list_kind kind = {read_subscribers, sizeof(struct bb_subscriber_info),
                                          compare_subscribers, "cannot list the subscribers"};
    void *v = NULL;
    int code = list(call, look, &kind, &v, &out->count);
    out->v = v;
    return code;
}

int
cli_node_is_alive(uint32_t state)
{
    return state == BB_NODE_RUNNING || state == BB_NODE_STOPPED;
}

/* ---- topics ---------------------------------------------------------------------------------------- */

int
cli_topic_matches(const struct cli_topic_filter *filter, const char *topic, size_t bytes)
{
    for (int i = 0; i < filter->count; i++) {
        const char *word = filter->words[i];
        size_t word_bytes = strlen(word);
        if (filter->exact) {
            if (word_bytes == bytes && memcmp(word, topic, bytes) == 0) {
                return 1;
            }
        } else if (bb_topic_match(word, word_bytes, 0, topic, bytes)) {
            return 1;
        }
    }
    return filter->count == 0 && bb_topic_match("", 0, 0, topic, bytes);
}

struct collect {
    const struct cli_topic_filter *filter;
    struct cli_topics *out;
    int err;
};

/* grow - room for one more entry; BB_ENOMEM. */
static int
grow(struct cli_topics *topics)
{
    if (topics->count < topics->cap) {
        return 0;
    }
    size_t cap = topics->cap * 2 + 64;
    struct cli_topic *v = reallocarray(topics->v, cap, sizeof(*v));
    if (v == NULL) {
        return BB_ENOMEM;
    }
    topics->v = v;
    topics->cap = cap;
    return 0;
}

static int
collect_topic(const struct bb_topic_info *info, void *user)
{
    struct collect *collect = user;
    if (!cli_topic_matches(collect->filter, info->topic, info->topic_bytes)) {
        return 0;
    }
    char *topic = malloc(info->topic_bytes + 1);
    if (topic == NULL || grow(collect->out) != 0) {
        free(topic);
        collect->err = BB_ENOMEM;
        return 1;
    }
    memcpy(topic, info->topic, info->topic_bytes);
    topic[info->topic_bytes] = '\0';
    struct cli_topic *t = &collect->out->v[collect->out->count++];
    *t = (struct cli_topic){
        .topic = topic,
        .topic_bytes = info->topic_bytes,
        .ring = info->ring,
        .node_state = info->node_state,
        .messages = info->messages,
        .payload_bytes = info->payload_bytes,
        .subscribers = info->subscribers,
    };
    memcpy(t->node, info->node, sizeof(t->node));
    return 0;
}

static int
compare_topic_bytes(const struct cli_topic *a, const struct cli_topic *b)
{
    size_t common = a->topic_bytes < b->topic_bytes ? a->topic_bytes : b->topic_bytes;
    int rc = memcmp(a->topic, b->topic, common);
    return rc != 0 ? rc : order(a->topic_bytes, b->topic_bytes);
}

int
cli_topic_compare(const struct cli_topic *a, const struct cli_topic *b)
{
    int rc = compare_topic_bytes(a, b);
    rc = rc != 0 ? rc : strcmp(a->node, b->node);
    return rc != 0 ? rc : order(a->ring, b->ring);
}

static int
compare_topics(const void *a, const void *b)
{
    return cli_topic_compare(a, b);
}

int
cli_list_topics(const struct cli_call *call,
                struct bb_look *look,
                const struct cli_topic_filter *filter,
                struct cli_topics *out)
{
    struct collect collect = {.filter = filter, .out = out};
    cli_topics_free(out);
    int rc = bb_look_topics(look, collect_topic, &collect);
    rc = collect.err != 0 ? collect.err : rc;
    if (rc < 0) {
        cli_topics_free(out);
        return cli_report(call, rc, NULL, "cannot list the topics");
    }
    if (out->count > 0) {
        qsort(out->v, out->count, sizeof(*out->v), compare_topics);
    }
    return CLI_DONE;
}

void
cli_topics_free(struct cli_topics *topics)
{
    for (size_t i = 0; i < topics->count; i++) {
        free(topics->v[i].topic);
    }
    free(topics->v);
    *topics = (struct cli_topics){0};
}

size_t
cli_topics_same(const struct cli_topics *topics, size_t from)
{
    size_t n = 1;
    while (from + n < topics->count
           && compare_topic_bytes(&topics->v[from], &topics->v[from + n]) == 0) {
        n++;
    }
    return n;
}

int
cli_no_topic(const struct cli_topic_filter *filter)
{
    if (filter->count == 0) {
        cli_say("nobody has published on this bus yet");
    } else {
        cli_say("no topic of this bus %s \"%.80s\"; `busbar ls` lists those there are",
                filter->exact ? "is" : "begins with", filter->words[0]);
    }
    return CLI_NONE;
}

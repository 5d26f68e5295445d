/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/ask.c - one question to many nodes at once, and their answers by name.
 *
 * Each node is asked by a request of its own, all of them before the first answer is waited for: so one that
 * is stopped costs the others nothing, and which of them did not answer is known.  The replies come to a
 * subscriber that lives as long as the question and has no prefixes: the node's own messages wait, and two who
 * ask at once never hear each other's answers.  It is reliable, so that a busy ring does not run over a value.
 */
#include "lib/cluster/services.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLLED = 16 };
static const int64_t TIMEOUT_NS = INT64_C(1000000000);

struct asked {
    char name[BB_NAME_MAX + 1];
    uint64_t node_id;
    uint64_t request; /* 0: none is open */
    int code;
    bool is_done;
    unsigned char *copy; /* of the value */
    struct bb_value value;
    char sentence[BBI_SENTENCE_BYTES];
};

struct question {
    struct bb_cluster *c;
    const char *variable;
    const struct bb_value *value;
    unsigned char *data; /* its event */
    size_t bytes;
    struct bb_publisher *pub;     /* whose ring takes it */
    struct bb_publisher *own_pub; /* NULL, or opened for it */
    struct bb_subscriber *replies;
    struct asked *asked;
    size_t count;
    size_t open;
    int64_t deadline_ns;
};

/* ---- who is asked ------------------------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct asked *)a)->name, ((const struct asked *)b)->name);
}

static void
add(struct question *q, const char *name, uint64_t node_id)
{
    struct asked *a = &q->asked[q->count++];
    (void)snprintf(a->name, sizeof(a->name), "%s", name);
    a->node_id = node_id;
    a->code = BB_EPEERGONE;
}

/* All that the roll has up, whatever the application was told so far. */
static void
add_all(struct question *q)
{
    for (size_t i = 0; i < q->c->peer_count; i++) {
        const struct bbi_peer *peer = &q->c->peers[i];
        struct bbi_who who;
        if (peer->is_up && bbi_roll_who(&q->c->roll, peer->id, &who)) {
            add(q, who.name, peer->id);
        }
    }
}

static uint64_t
id_of(const struct bb_cluster *c, const char *name)
{
    for (size_t i = 0; i < c->peer_count; i++) {
        struct bbi_who who;
        if (c->peers[i].is_up && bbi_roll_who(&c->roll, c->peers[i].id, &who)
            && strcmp(who.name, name) == 0) {
            return c->peers[i].id;
        }
    }
    return 0;
}

/* A name that is there twice is asked once. */
static void
drop_doubles(struct question *q)
{
    size_t kept = 0;
    qsort(q->asked, q->count, sizeof(*q->asked), by_name);
    for (size_t i = 0; i < q->count; i++) {
        if (kept == 0 || strcmp(q->asked[kept - 1].name, q->asked[i].name) != 0) {
            q->asked[kept++] = q->asked[i];
        }
    }
    q->count = kept;
}

static int
choose(struct question *q, const char *const *names, size_t name_count)
{
    bbi_roll_catch_up(q->c);
    size_t most = name_count > 0 ? name_count : q->c->peer_count;
    q->asked = calloc(most + 1, sizeof(*q->asked));
    if (q->asked == NULL) {
        return BB_ENOMEM;
    }
    if (name_count == 0) {
        add_all(q);
    }
    for (size_t i = 0; i < name_count; i++) {
        if (names[i] == NULL || strlen(names[i]) > BB_NAME_MAX) {
            return BB_EINVAL;
        }
        add(q, names[i], id_of(q->c, names[i]));
    }
    drop_doubles(q);
    return 0;
}

/* ---- the question ------------------------------------------------------------------------------- */

static void
put_question(struct bb_builder *b, const struct question *q)
{
    bb_event_begin(b, BBI_VARIABLE_SERVICE, sizeof(BBI_VARIABLE_SERVICE) - 1);
    bb_put_string(b, q->variable, strlen(q->variable));
    if (q->value != NULL) {
        bb_put_value(b, q->value);
    }
    bb_event_end(b);
}

static int
build_question(struct question *q)
{
    struct bb_builder b;
    bb_build_init(&b, NULL, 0);
    put_question(&b, q);
    q->data = malloc(b.need_bytes);
    if (q->data == NULL) {
        return BB_ENOMEM;
    }
    bb_build_init(&b, q->data, b.need_bytes);
    put_question(&b, q);
    int64_t bytes = bb_build_end(&b);
    q->bytes = bytes > 0 ? (size_t)bytes : 0;
    return bytes < 0 ? (int)bytes : 0;
}

/* ---- answers ------------------------------------------------------------------------------------ */

static void
keep(struct asked *a, const void *data, size_t bytes)
{
    free(a->copy);
    a->copy = malloc(bytes > 0 ? bytes : 1);
    if (a->copy == NULL) {
        a->code = BB_ENOMEM;
        return;
    }
    memcpy(a->copy, data, bytes);
    a->code = bb_value_open(&a->value, a->copy, bytes);
    if (a->code == 0) {
        a->code = bb_value_check(&a->value);
    }
}

static void
keep_sentence(struct asked *a, const void *data, size_t bytes)
{
    size_t n = bytes < sizeof(a->sentence) ? bytes : sizeof(a->sentence) - 1;
    memcpy(a->sentence, data, n);
    a->sentence[n] = '\0';
}

static void
take_reply(struct question *q, const struct bb_msg *msg, const struct bb_reply_info *info)
{
    struct asked *a = NULL;
    for (size_t i = 0; i < q->count && a == NULL; i++) {
        a = q->asked[i].request == info->id ? &q->asked[i] : NULL;
    }
    if (a == NULL) {
        return;
    }
    if (info->is_end != 0) {
        a->code = a->is_done ? a->code : info->code == BB_EEND ? BB_EPEERGONE : info->code;
        a->request = 0;
        q->open--;
        return;
    }
    if (a->is_done) {
        return;
    }
    a->is_done = true;
    a->code = info->code;
    if (info->code == 0) {
        keep(a, msg->data, msg->bytes);
    } else {
        keep_sentence(a, msg->data, msg->bytes);
    }
}

/* Whatever came until now, or the first that comes. */
static int
take_some(struct question *q, int64_t timeout_ns)
{
    struct bb_msg msgs[POLLED];
    struct bb_reply_info info;
    int n = bb_poll(q->replies, msgs, POLLED, timeout_ns);
    for (int i = 0; i < n; i++) {
        if (bb_msg_reply(&msgs[i], &info) == 0) {
            take_reply(q, &msgs[i], &info);
        }
    }
    return n;
}

/* ---- asking ------------------------------------------------------------------------------------- */

static void
answer_ourselves(struct question *q, struct asked *a)
{
    struct bb_value out;
    a->is_done = true;
    a->code = bbi_variables_answer(&q->c->services->variables, q->variable, strlen(q->variable),
                                   q->value, bb_publisher_max(q->c->data), &out, a->sentence);
    if (a->code == 0) {
        keep(a, out.p, out.bytes);
    }
}

/* What is left until the deadline, as a request wants it: never 0, which is a second there. */
static int64_t
time_left(const struct question *q)
{
    if (q->deadline_ns == INT64_MAX) {
        return -1;
    }
    int64_t left = q->deadline_ns - bbi_os_mono_ns();
    return left > 0 ? left : 1;
}

static int
ask_one(struct question *q, struct asked *a)
{
    char topic[BBI_SERVICE_TOPIC_BYTES];
    struct bb_topic *t;
    int n = bbi_service_topic(q->c, a->name, BBI_VARIABLE_SERVICE, topic);
    int rc = n < 0 ? n : bb_topic_open(&t, q->pub, topic, (size_t)n);
    if (rc < 0) {
        return rc;
    }
    for (;;) {
        const struct bb_request_opts o = {
            .size = sizeof(o), .timeout_ns = time_left(q), .to_node = a->node_id, .answers = 1};
        rc = bb_request(t, q->replies, q->data, q->bytes, BB_CONTROL | BB_NATIVE | BB_MORE, &o,
                        &a->request);
        if (rc != BB_EFULL || q->open == 0) {
            break;
        }
        rc = bb_flush(q->pub);
        rc = rc < 0 ? rc : take_some(q, time_left(q)); /* room comes with the first that ends */
        if (rc < 0) {
            break;
        }
    }
    q->open += rc == 0;
    return rc;
}

static int
ask_all(struct question *q)
{
    for (size_t i = 0; i < q->count; i++) {
        struct asked *a = &q->asked[i];
        bool is_self = a->node_id == bb_endpoint_id(q->c->ep);
        if (is_self || a->node_id == 0) {
            continue;
        }
        int rc = ask_one(q, a);
        if (rc < 0) {
            a->request = 0;
            a->code = rc == BB_ENORESPONDERS ? BB_EPEERGONE : rc;
        }
        if (rc == BB_EMSGSIZE || rc == BB_ENOMEM) {
            return rc;
        }
    }
    int rc = bb_flush(q->pub);
    for (size_t i = 0; i < q->count; i++) { /* the others think meanwhile */
        if (q->asked[i].node_id == bb_endpoint_id(q->c->ep)) {
            answer_ourselves(q, &q->asked[i]);
        }
    }
    while (rc >= 0 && q->open > 0) {
        rc = take_some(q, -1); /* each request ends, at its deadline at the latest */
    }
    return rc < 0 ? rc : 0;
}

static int
tell(const struct question *q, bb_variable_cb cb, void *user)
{
    int good = 0, stop = 0;
    for (size_t i = 0; i < q->count; i++) {
        const struct asked *a = &q->asked[i];
        const struct bb_variable_answer answer = {.node = a->name,
                                                  .node_id = a->node_id,
                                                  .code = a->code,
                                                  .value = a->value,
                                                  .sentence = a->sentence};
        good += a->code == 0;
        if (cb != NULL && stop == 0) {
            stop = cb(&answer, user);
        }
    }
    return good;
}

/* A node has rings; an observer opens one for its question. */
static int
open_ring(struct question *q)
{
    enum { ONESHOT_BYTES = 16 << 10 };
    size_t room = q->bytes + (size_t)BBI_SERVICE_TOPIC_BYTES * 2; /* with the address */
    if (q->c->control != NULL) {
        q->pub = room <= bb_publisher_max(q->c->control) ? q->c->control : q->c->data;
        return 0;
    }
    const struct bb_publisher_opts o = {
        .size = sizeof(o),
        .lane = room <= ONESHOT_BYTES ? BB_LANE_ONESHOT : BB_LANE_DATA,
        .topics = 1024, /* one for each node */
    };
    int rc = bb_publisher_open(&q->own_pub, q->c->ep, &o);
    q->pub = q->own_pub;
    return rc;
}

static int
ask(struct question *q, const char *const *names, size_t name_count, int64_t timeout_ns)
{
    const struct bb_subscriber_opts so = {.size = sizeof(so), .flags = BB_SUBSCRIBER_RELIABLE};
    int64_t now = bbi_os_mono_ns();
    q->deadline_ns = timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
    int rc = choose(q, names, name_count);
    rc = rc < 0 ? rc : build_question(q);
    rc = rc < 0 ? rc : bb_subscriber_open(&q->replies, q->c->ep, &so);
    if (rc < 0) {
        return rc;
    }
    rc = open_ring(q);
    return rc < 0 ? rc : ask_all(q);
}

int
bb_cluster_ask(struct bb_cluster *c,
               const char *variable,
               const char *const *nodes,
               size_t node_count,
               const struct bb_value *value,
               int64_t timeout_ns,
               bb_variable_cb cb,
               void *user)
{
    if (variable == NULL || variable[0] == '\0' || (nodes == NULL && node_count > 0)) {
        return BB_EINVAL;
    }
    struct question q = {.c = c, .variable = variable, .value = value};
    int rc = ask(&q, nodes, node_count, timeout_ns != 0 ? timeout_ns : TIMEOUT_NS);
    bb_publisher_close(q.own_pub);
    bb_subscriber_close(q.replies);
    if (rc == 0) {
        rc = tell(&q, cb, user);
    }
    for (size_t i = 0; i < q.count; i++) {
        free(q.asked[i].copy);
    }
    free(q.asked);
    free(q.data);
    return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/cluster.c - join and leave; the names of topics.
 *
 *   endpoint ──► roll mapped, read ──► subscribed ──► publishers ──► UP appended ──► IN appended
 *
 * In this order, since UP is a promise: whoever reads it may publish to this node and be heard.  And whose
 * messages we hear was up when we read, or came later.  The way back:
 * publishers and subscriber closed, the member says LEFT, and only then DOWN: whoever reads DOWN waits for our
 * last message, and must not have to wait for us.
 */
#include "lib/cluster/cluster_impl.h"
#include "lib/cluster/services.h"
#include "lib/cluster/standalone.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROLE_LAST = BB_ROLE_TOOL };
static const char DEFAULT_PREFIX[] = "cluster/";

void
bbi_cluster_add_part(struct bb_cluster *c, struct bbi_part *part)
{
    struct bbi_part **end = &c->parts;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    part->next = NULL;
    *end = part;
}

/* ---- topics ---- */

int
bbi_cluster_topic(const struct bb_cluster *c,
                  const char *what,
                  const char *name,
                  const char *after,
                  char *out,
                  size_t cap)
{
    const char *const parts[] = {c->prefix, what, name, after};
    size_t n = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t bytes = strlen(parts[i]);
        if (bytes > cap - n) {
            return BB_EMSGSIZE;
        }
        memcpy(out + n, parts[i], bytes);
        n += bytes;
    }
    return (int)n;
}

int
bb_cluster_topic_class(const struct bb_cluster *c, uint32_t role, char *out, size_t cap)
{
    return role == BB_ROLE_NONE || role > ROLE_LAST
               ? BB_EINVAL
               : bbi_cluster_topic(c, bb_role_name(role), "", "", out, cap);
}

int
bb_cluster_topic_node(const struct bb_cluster *c, const char *name, char *out, size_t cap)
{
    return bbi_cluster_topic(c, "node/", name, "/", out, cap);
}

int
bb_cluster_topic_id(const struct bb_cluster *c, uint64_t id, char *out, size_t cap)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
    return bbi_cluster_topic(c, "nodeid/", text, "/", out, cap);
}

int
bb_cluster_topic_pool(const struct bb_cluster *c, const char *pool, char *out, size_t cap)
{
    return bbi_cluster_topic(c, "pool/", pool, "", out, cap);
}

/* ---- joining ---- */

static int
refuse(const char *name, struct bbi_fault *f, const char *sentence)
{
    return bbi_fault_set(f, BB_EINVAL, name, "%s", sentence);
}

static bool
has_own_seat(const struct bb_cluster *c)
{
    const struct bbi_node *self = bbi_node_find(c, c->name);
    bool is_expected = self != NULL && self->info.is_expected;
    return is_expected ? self->layout_role == c->role : (c->flags & BB_CLUSTER_CLOSED) == 0;
}

static int
take_names(struct bb_cluster *c, const struct bb_cluster_opts *o, struct bbi_fault *f)
{
    const char *prefix = o->prefix != NULL ? o->prefix : DEFAULT_PREFIX;
    size_t n = o->name != NULL ? strlen(o->name) : 0;
    if (n > BB_NAME_MAX || (n == 0 && (o->flags & BB_CLUSTER_OBSERVER) == 0)) {
        return refuse("name", f, "a node needs a name of 1 to 47 bytes: set `name`");
    }
    if (strlen(prefix) >= sizeof(c->prefix) || bb_topic_is_reserved(prefix, strlen(prefix))) {
        return refuse(prefix, f, "a cluster's prefix has at most 63 bytes and no `<$>`");
    }
    (void)snprintf(c->name, sizeof(c->name), "%s", n > 0 ? o->name : "");
    c->prefix_bytes = strlen(prefix);
    memcpy(c->prefix, prefix, c->prefix_bytes + 1);
    return 0;
}

static int
take_options(struct bb_cluster *c, const struct bb_cluster_opts *o, struct bbi_fault *f)
{
    c->flags = o->flags;
    c->role = o->role;
    c->weight = o->weight != 0 ? o->weight : BB_WEIGHT_EVEN;
    c->hrw = o->hrw;
    c->hold_down_ns = o->hold_down_ns;
    c->fate = o->fate;
    c->user = o->user;
    int rc = take_names(c, o, f);
    if (rc < 0) {
        return rc;
    }
    bool is_node = (o->flags & BB_CLUSTER_OBSERVER) == 0;
    if (o->role > ROLE_LAST || (is_node && o->role == BB_ROLE_NONE)) {
        return refuse("role", f, "a node has a role: manager, proxy, logger, worker or tool");
    }
    if (o->weight > 255 || o->hrw > BB_HRW_ZEEK || o->hold_down_ns < 0
        || (o->layout_count > 0 && o->layout == NULL)) {
        return refuse("options", f,
                      "weight (at most 255), hrw, hold_down_ns or layout of the "
                      "cluster are not ones there are");
    }
    /* Alone nobody else is expected; there being a layout still means that its being complete is told. */
    bool is_alone = bbi_cluster_is_alone(c);
    rc = bbi_nodes_expect(c, o->layout, is_alone ? 0 : o->layout_count);
    c->has_layout = o->layout_count > 0;
    c->flags &= is_alone ? ~(uint32_t)BB_CLUSTER_CLOSED : UINT32_MAX;
    if (rc < 0) {
        return bbi_fault_set(f, rc, "layout",
                             "the layout has a name twice, or one that is no name");
    }
    if (is_node && !has_own_seat(c)) {
        return bbi_fault_set(f, BB_ENOENT, c->name,
                             "the layout has no %s '%s': add it, or join by another name or role",
                             bb_role_name(c->role), c->name);
    }
    return 0;
}

enum { OWN_PREFIXES = 9, TOPIC_BYTES = 192 };

struct own_prefixes {
    char text[OWN_PREFIXES][TOPIC_BYTES];
    const char *at[OWN_PREFIXES];
    size_t bytes[OWN_PREFIXES];
    size_t count;
};

/* n: what was written to the next text, or a status. */
static int
add_prefix(struct own_prefixes *p, int n)
{
    if (n < 0) {
        return n;
    }
    p->at[p->count] = p->text[p->count];
    p->bytes[p->count++] = (size_t)n;
    return 0;
}

static int
add_topic(const struct bb_cluster *c, struct own_prefixes *p, const char *what, const char *name)
{
    return add_prefix(p, bbi_cluster_topic(c, what, name, "", p->text[p->count], TOPIC_BYTES));
}

/* What a node hears from the start: its class, node, id and pool by whole components, and calls to look. */
static int
prefixes_of_node(const struct bb_cluster *c, struct own_prefixes *p)
{
    int rc = add_topic(c, p, bb_role_name(c->role), "");
    rc = rc < 0 ? rc : add_topic(c, p, "pool/", bb_role_name(c->role));
    rc = rc < 0 ? rc
                : add_prefix(p, bb_cluster_topic_node(c, c->name, p->text[p->count], TOPIC_BYTES));
    return rc < 0 ? rc
                  : add_prefix(p, bb_cluster_topic_id(c, c->id, p->text[p->count], TOPIC_BYTES));
}

/* Alone: every class and every node. */
static int
prefixes_of_all(const struct bb_cluster *c, struct own_prefixes *p)
{
    int rc = add_topic(c, p, "node", "");
    rc = rc < 0 ? rc : add_topic(c, p, "nodeid", "");
    for (uint32_t role = BB_ROLE_NONE + 1; rc == 0 && role <= ROLE_LAST; role++) {
        rc = add_topic(c, p, bb_role_name(role), "");
    }
    return rc;
}

static int
open_subscriber(struct bb_cluster *c, const struct bb_cluster_opts *o)
{
    struct own_prefixes p = {.count = 0};
    int rc = add_topic(c, &p, "roll", "");
    if (rc == 0 && bbi_cluster_is_alone(c)) {
        rc = prefixes_of_all(c, &p);
    } else if (rc == 0 && (c->flags & BB_CLUSTER_OBSERVER) == 0) {
        rc = prefixes_of_node(c, &p);
    }
    if (rc < 0) {
        return rc;
    }
    uint32_t flags = o->subscriber_flags != 0 ? o->subscriber_flags : BB_SUBSCRIBER_RELIABLE;
    const struct bb_subscriber_opts so = {
        .size = sizeof(so),
        .flags = flags | BB_SUBSCRIBER_STATUS
                 | (bbi_cluster_is_alone(c) ? (uint32_t)BB_SUBSCRIBER_LOOPBACK : 0),
        .wait = o->wait,
        .prefixes = p.at,
        .prefix_bytes = p.bytes,
        .prefix_count = p.count,
        .prefix_flags = BB_TOPIC_PATH,
        .error = o->error,
    };
    return bb_subscriber_open(&c->sub, c->ep, &so);
}

static int
open_publishers(struct bb_cluster *c, const struct bb_cluster_opts *o)
{
    /* Alone nobody else makes room: never wait for ourselves, and never give ourselves up. */
    bool is_alone = bbi_cluster_is_alone(c);
    const struct bb_publisher_opts data = {.size = sizeof(data),
                                           .lane = BB_LANE_DATA,
                                           .policy = is_alone ? BB_POLICY_FAIL : o->data_policy,
                                           .block_ns = o->data_block_ns,
                                           .depth = o->data_depth,
                                           .bytes = o->data_bytes,
                                           .error = o->error};
    const struct bb_publisher_opts control = {.size = sizeof(control),
                                              .lane = BB_LANE_CONTROL,
                                              .policy =
                                                  is_alone ? BB_POLICY_FAIL : BB_POLICY_DEFAULT,
                                              .depth = o->control_depth,
                                              .bytes = o->control_bytes,
                                              .error = o->error};
    if ((c->flags & BB_CLUSTER_OBSERVER) != 0) {
        return 0;
    }
    int rc = bb_publisher_open(&c->data, c->ep, &data);
    if (rc == 0) {
        rc = bb_publisher_open(&c->control, c->ep, &control);
    }
    if (rc < 0) {
        return rc;
    }
    char topic[TOPIC_BYTES];
    int n = bbi_cluster_topic(c, "roll", "", "", topic, sizeof(topic));
    return n < 0 ? n : bb_topic_open(&c->roll_topic, c->control, topic, (size_t)n);
}

static int
open_endpoint(struct bb_cluster *c, const struct bb_cluster_opts *o)
{
    struct bb_endpoint_opts eo = {.size = sizeof(eo),
                                  .dir = o->dir,
                                  .bus = o->bus,
                                  .name = c->name[0] != '\0' ? c->name : NULL,
                                  .role = o->role,
                                  .error = o->error};
    int rc = bbi_cluster_is_alone(c) ? bbi_alone_begin(c, &eo) : 0;
    rc = rc < 0 ? rc : bb_endpoint_open(&c->ep, &eo);
    if (rc == 0) {
        c->id = bb_endpoint_id(c->ep);
        (void)snprintf(c->name, sizeof(c->name), "%s", bb_endpoint_name(c->ep));
    }
    return rc;
}

/* From here on others count on us. */
static int
come_up(struct bb_cluster *c)
{
    if ((c->flags & BB_CLUSTER_OBSERVER) != 0) {
        return 0;
    }
    bbi_roll_look_for_gone(c);
    bbi_roll_introduce(&c->roll, c->id, c->role, (int32_t)getpid(), c->name);
    int rc = bbi_roll_say(c, BBI_ROLL_UP, c->id, 0);
    c->up_since_ns = c->now_ns();
    if (rc == 0 && c->hold_down_ns == 0) {
        rc = bbi_roll_say(c, BBI_ROLL_IN, c->id, c->weight);
    }
    bbi_roll_wake(c);
    return rc;
}

static int
join(struct bb_cluster *c, const struct bb_cluster_opts *o, struct bbi_fault *f)
{
    int rc = take_options(c, o, f);
    if (rc < 0) {
        return bbi_error_fill(o->error, f);
    }
    rc = open_endpoint(c, o);
    if (rc == 0) {
        rc = bbi_roll_open(&c->roll, bbi_endpoint_at(c->ep), true, f);
        if (rc < 0) {
            return bbi_error_fill(o->error, f);
        }
        if ((c->flags & BB_CLUSTER_OBSERVER) == 0) {
            bbi_roll_set_hashing(&c->roll, c->hrw); /* others know it before they apply our UP */
        }
        if (bbi_roll_begin(c) < 0) {
            return bbi_error_fill(o->error, f);
        }
        rc = open_subscriber(c, o);
    }
    if (rc == 0) {
        rc = open_publishers(c, o);
    }
    if (rc < 0) {
        return rc; /* in words already */
    }
    rc = bbi_pools_begin(c);
    rc = rc < 0 ? rc : bbi_services_begin(c);
    if (rc == 0) {
        rc = come_up(c);
    }
    if (rc == BB_ECORRUPT) {
        (void)bbi_fault_set(f, rc, bb_endpoint_path(c->ep),
                            "the roll of nodes of bus '%s' is damaged: end its processes and run "
                            "'busbar gc'",
                            bb_endpoint_path(c->ep));
    }
    return rc < 0 ? bbi_error_fill(o->error, f) : 0;
}

static void
close_all(struct bb_cluster *c)
{
    while (c->parts != NULL) {
        struct bbi_part *part = c->parts;
        c->parts = part->next;
        if (part->leave != NULL) {
            part->leave(part, c);
        }
    }
    if (c->ep != NULL) {
        bool is_ours = !bbi_endpoint_is_forked(c->ep);
        bbi_endpoint_leave(c->ep);
        if (is_ours && c->roll.file != NULL && (c->flags & BB_CLUSTER_OBSERVER) == 0) {
            (void)bbi_roll_say(c, BBI_ROLL_DOWN, c->id, 1);
        }
        if (is_ours) {
            bbi_roll_close(&c->roll);
        }
        bb_endpoint_close(c->ep);
    }
    bbi_alone_end(c);
    bbi_items_free(&c->ready);
    bbi_items_free(&c->held);
    bbi_items_free(&c->told);
    bbi_pools_free(c);
    bbi_nodes_free(c);
    free(c->pending.at);
    free(c->peers);
    free(c);
}

int
bb_cluster_join(struct bb_cluster **out, const struct bb_cluster_opts *opts)
{
    struct bb_cluster_opts o;
    struct bbi_fault f = {.code = BB_ENOMEM, .uid = -1, .sentence = "out of memory"};
    int rc = BBI_OPTS_TAKE(struct bb_cluster_opts, &o, opts);
    if (rc < 0) {
        return rc;
    }
    struct bb_cluster *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return bbi_error_fill(o.error, &f);
    }
    c->now_ns = bbi_os_mono_ns;
    bbi_items_init(&c->ready);
    bbi_items_init(&c->held);
    bbi_items_init(&c->told);
    rc = join(c, &o, &f);
    if (rc < 0) {
        close_all(c);
        return rc;
    }
    *out = c;
    return 0;
}

void
bb_cluster_leave(struct bb_cluster *c)
{
    if (c == NULL) {
        return;
    }
    close_all(c);
}

struct bb_endpoint *
bb_cluster_endpoint(struct bb_cluster *c)
{
    return c->ep;
}

struct bb_subscriber *
bb_cluster_subscriber(struct bb_cluster *c)
{
    return c->sub;
}

struct bb_publisher *
bb_cluster_publisher(struct bb_cluster *c)
{
    return c->data;
}

uint64_t
bb_cluster_epoch(const struct bb_cluster *c)
{
    return c->epoch;
}

int
bb_cluster_subscribe(struct bb_cluster *c, const char *prefix, uint32_t flags)
{
    return bb_subscribe(c->sub, prefix, strlen(prefix), flags);
}

int
bb_cluster_drain(struct bb_cluster *c, int on)
{
    if (bbi_endpoint_is_forked(c->ep)) {
        return BB_EFORKED;
    }
    if ((c->flags & BB_CLUSTER_OBSERVER) != 0) {
        return BB_EINVAL;
    }
    c->is_draining = on != 0;
    c->hold_down_ns = 0; /* whoever ends a drain wants it used now */
    int rc = bbi_roll_say(c, on != 0 ? BBI_ROLL_OUT : BBI_ROLL_IN, c->id, c->weight);
    bbi_roll_wake(c);
    return rc;
}

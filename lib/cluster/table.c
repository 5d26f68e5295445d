/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/table.c - what a shared table holds, and which of two changes counts.
 *
 * A change has a version: its time, and who made it.  The greater one counts, so it is of no matter in which
 * order changes arrive, nor how often; nothing that came from others is ever published again.  Whoever changes
 * an element takes a time later than the element's last one, so what was seen is never newer than what follows.
 */
#include "lib/cluster/services.h"
#include "lib/cluster/table_impl.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_CHANGES = 100 };
static const int64_t BATCH_NS = INT64_C(10000000), REMEMBER_NS = INT64_C(60000000000);

/* ---- changes ------------------------------------------------------------------------------------ */

static void
tell(struct bb_table *t,
     uint32_t kind,
     const struct bbi_element *e,
     struct bb_value value,
     struct bb_value old,
     bool is_own)
{
    const struct bb_table_change change = {.table = t,
                                           .kind = kind,
                                           .is_own = is_own,
                                           .node_id = e->node_id,
                                           .wall_ns = e->wall_ns,
                                           .key = e->key,
                                           .value = value,
                                           .old = old};
    if (t->o.changed != NULL) {
        t->o.changed(&change, t->o.user);
    }
}

static const struct bb_value NO_VALUE = {.p = NULL};

/* <0: the record is older than what we have; 0: it is that; >0: it is newer. */
static int
compare(const struct bbi_record *r, const struct bbi_element *e)
{
    if (r->wall_ns != e->wall_ns) {
        return r->wall_ns < e->wall_ns ? -1 : 1;
    }
    return (r->node_id > e->node_id) - (r->node_id < e->node_id);
}

static void
expire(struct bb_table *t, struct bbi_element *e, bool is_own)
{
    tell(t, BB_TABLE_EXPIRED, e, e->value, NO_VALUE, is_own);
    bbi_map_remove(&t->map, e);
}

static int64_t
due_of(const struct bb_table *t, const struct bbi_record *r)
{
    if (r->kind == BBI_RECORD_REMOVE) {
        return t->o.wall_ns() + REMEMBER_NS;
    }
    return t->o.expire_ns > 0 && r->created_ns <= INT64_MAX - t->o.expire_ns
               ? r->created_ns + t->o.expire_ns
               : INT64_MAX;
}

static int
change(struct bb_table *t, struct bbi_element *e, const struct bbi_record *r, bool is_own)
{
    const struct bb_value old = e->value;
    bool was_gone = e->is_gone, is_put = r->kind == BBI_RECORD_PUT;
    bool is_same = is_put && !was_gone && bb_value_equal(&old, &r->value) != 0;
    unsigned char *old_memory = NULL;
    int rc = bbi_map_due(&t->map, e, due_of(t, r));
    rc = rc < 0 ? rc : bbi_map_set(&t->map, e, is_put ? &r->value : NULL, &old_memory);
    if (rc < 0) {
        return rc;
    }
    e->wall_ns = r->wall_ns;
    e->created_ns = r->created_ns;
    e->node_id = r->node_id;
    e->fill = t->fill;
    if (is_put && !is_same) {
        tell(t, was_gone ? BB_TABLE_NEW : BB_TABLE_CHANGED, e, e->value, old, is_own);
    } else if (!is_put && !was_gone) {
        /* NOLINTNEXTLINE(readability-suspicious-call-argument): the value that went */
        tell(t, BB_TABLE_REMOVED, e, old, NO_VALUE, is_own);
    }
    free(old_memory);
    return 0;
}

int
bbi_table_apply(struct bb_table *t, const struct bbi_record *r, bool is_own)
{
    struct bbi_element *e = bbi_map_find(&t->map, &r->key);
    int order = e != NULL ? compare(r, e) : 1;
    if (order == 0) {
        e->fill = t->fill;
        if (r->kind == BBI_RECORD_EXPIRE && !e->is_gone) {
            expire(t, e, is_own);
        }
        return 0;
    }
    if (order < 0 || r->kind == BBI_RECORD_EXPIRE || due_of(t, r) <= t->o.wall_ns()) {
        return 0; /* older, or over before it came */
    }
    bool is_added = e == NULL;
    e = is_added ? bbi_map_add(&t->map, &r->key) : e;
    int rc = e != NULL ? change(t, e, r, is_own) : BB_ENOMEM;
    if (rc < 0 && is_added && e != NULL) {
        bbi_map_remove(&t->map, e);
    }
    return rc;
}

void
bbi_table_confirm(struct bb_table *t)
{
    for (size_t i = 0; i < t->map.bucket_count; i++) {
        struct bbi_element *next;
        for (struct bbi_element *e = t->map.buckets[i]; e != NULL; e = next) {
            next = e->next;
            if (!e->is_gone && e->node_id != t->c->id && e->fill != t->fill) {
                tell(t, BB_TABLE_REMOVED, e, e->value, NO_VALUE, false);
                bbi_map_remove(&t->map, e);
            }
        }
    }
}

/* Elements whose time is over.  Each node sees that by itself; who changed it last also says it. */
static void
expire_all(struct bb_table *t, int64_t wall_ns)
{
    struct bbi_element *e;
    while ((e = bbi_map_first(&t->map)) != NULL && e->due_ns <= wall_ns) {
        if (e->is_gone) {
            bbi_map_remove(&t->map, e);
            continue;
        }
        bool is_own = e->node_id == t->c->id;
        const struct bbi_record r = {.kind = BBI_RECORD_EXPIRE,
                                     .key = e->key,
                                     .wall_ns = e->wall_ns,
                                     .created_ns = e->created_ns,
                                     .node_id = e->node_id};
        if (is_own) {
            (void)!bbi_table_send(t, &r); /* without it the others see it by their clocks */
        }
        expire(t, e, is_own);
    }
}

static int64_t
tick(struct bbi_part *part, struct bb_cluster *c, int64_t now_ns)
{
    struct bb_table *t = (struct bb_table *)part;
    (void)c;
    int64_t wall_ns = t->o.wall_ns();
    expire_all(t, wall_ns);
    int64_t next = bbi_table_work(t, now_ns);
    const struct bbi_element *first = bbi_map_first(&t->map);
    if (first == NULL || first->due_ns - wall_ns > INT64_MAX - now_ns) {
        return next;
    }
    return bbi_min_i64(next, now_ns + (first->due_ns - wall_ns));
}

/* ---- opening ------------------------------------------------------------------------------------ */

static void
show(struct bb_builder *b, void *user)
{
    bb_table_put_all(user, b);
}

static void
free_table(struct bb_table *t)
{
    bbi_table_wire_fini(t);
    bbi_map_fini(&t->map);
    free(t);
}

static void
leave(struct bbi_part *part, struct bb_cluster *c)
{
    struct bb_table *t = (struct bb_table *)part;
    (void)c;
    (void)!bb_table_flush(t);
    free_table(t);
}

static int
refuse(const struct bb_table_opts *o, int rc)
{
    struct bbi_fault f;
    const char *name = o->name != NULL ? o->name : "";
    (void)bbi_fault_set(&f, rc, name, "cannot open the shared table '%s': %s", name,
                        rc == BB_EINVAL   ? "its name has 1 to 47 bytes and no '/'"
                        : rc == BB_EEXIST ? "this node has it open"
                                          : bb_strerror(rc));
    return bbi_error_fill(o->error, &f);
}

static int
open_table(struct bb_table *t)
{
    char name[BB_NAME_MAX + 16];
    (void)snprintf(name, sizeof(name), "table::%s", t->name);
    int rc = bb_cluster_variable(t->c, name, show, NULL, t);
    if (rc == 0) {
        rc = bbi_table_topics(t);
        if (rc < 0) {
            bbi_variables_drop(&t->c->services->variables, name);
        }
    }
    return rc;
}

int
bb_table_open(struct bb_table **out, struct bb_cluster *c, const struct bb_table_opts *opts)
{
    struct bb_table_opts o;
    int rc = BBI_OPTS_TAKE(struct bb_table_opts, &o, opts);
    if (rc < 0) {
        return rc;
    }
    size_t bytes = o.name != NULL ? strlen(o.name) : 0;
    if (bytes == 0 || bytes > BB_NAME_MAX || strchr(o.name, '/') != NULL || o.expire_ns < 0) {
        return refuse(&o, BB_EINVAL);
    }
    if (c->data == NULL) {
        return refuse(&o, BB_ENOTSUP);
    }
    struct bb_table *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return refuse(&o, BB_ENOMEM);
    }
    t->part = (struct bbi_part){.message = bbi_table_message, .tick = tick, .leave = leave};
    t->c = c;
    t->o = o;
    t->o.batch_changes = o.batch_changes != 0 ? o.batch_changes : BATCH_CHANGES;
    t->o.batch_ns = o.batch_ns != 0 ? o.batch_ns : BATCH_NS;
    t->o.wall_ns = o.wall_ns != NULL ? o.wall_ns : bbi_os_wall_ns;
    memcpy(t->name, o.name, bytes + 1);
    rc = open_table(t);
    if (rc < 0) {
        free_table(t);
        return refuse(&o, rc);
    }
    t->is_filled = bbi_cluster_is_alone(c);
    t->must_fill = !t->is_filled;
    bbi_cluster_add_part(c, &t->part);
    *out = t;
    return 0;
}

void
bb_table_close(struct bb_table *t)
{
    char name[BB_NAME_MAX + 16];
    if (t == NULL) {
        return;
    }
    for (struct bbi_part **p = &t->c->parts; *p != NULL; p = &(*p)->next) {
        if (*p == &t->part) {
            *p = t->part.next;
            break;
        }
    }
    (void)snprintf(name, sizeof(name), "table::%s", t->name);
    bbi_variables_drop(&t->c->services->variables, name);
    leave(&t->part, t->c);
}

/* ---- using -------------------------------------------------------------------------------------- */

/* Later than what we know of it, and created when it was. */
static void
stamp(const struct bb_table *t, struct bbi_record *r)
{
    const struct bbi_element *e = bbi_map_find(&t->map, &r->key);
    int64_t now = t->o.wall_ns();
    r->node_id = t->c->id;
    r->wall_ns = e != NULL && e->wall_ns >= now ? e->wall_ns + 1 : now;
    r->created_ns = e != NULL && !e->is_gone ? e->created_ns : now;
}

static int
do_and_send(struct bb_table *t, struct bbi_record *r)
{
    stamp(t, r);
    int rc = bbi_record_fits(t, r);
    rc = rc < 0 ? rc : bbi_table_send(t, r);
    return rc < 0 ? rc : bbi_table_apply(t, r, true);
}

int
bb_table_put(struct bb_table *t, const struct bb_value *key, const struct bb_value *value)
{
    if (bb_value_check(key) < 0 || bb_value_check(value) < 0) {
        return BB_ECORRUPT;
    }
    expire_all(t, t->o.wall_ns());
    struct bbi_record r = {.kind = BBI_RECORD_PUT, .key = *key, .value = *value};
    return do_and_send(t, &r);
}

int
bb_table_remove(struct bb_table *t, const struct bb_value *key)
{
    struct bb_value value;
    if (bb_table_get(t, key, &value) < 0) {
        return BB_ENOENT;
    }
    struct bbi_record r = {.kind = BBI_RECORD_REMOVE, .key = *key};
    return do_and_send(t, &r);
}

int
bb_table_get(const struct bb_table *t, const struct bb_value *key, struct bb_value *value)
{
    const struct bbi_element *e = bbi_map_find(&t->map, key);
    if (e == NULL || e->is_gone || e->due_ns <= t->o.wall_ns()) {
        return BB_ENOENT;
    }
    *value = e->value;
    return 0;
}

size_t
bb_table_count(const struct bb_table *t)
{
    return t->map.live_count;
}

void
bb_table_put_all(const struct bb_table *t, struct bb_builder *b)
{
    bb_put_table_begin(b);
    for (size_t i = 0; i < t->map.bucket_count; i++) {
        for (const struct bbi_element *e = t->map.buckets[i]; e != NULL; e = e->next) {
            if (!e->is_gone) {
                bb_put_value(b, &e->key);
                bb_put_value(b, &e->value);
            }
        }
    }
    bb_put_end(b);
}

int
bb_table_is_filled(const struct bb_table *t)
{
    return t->is_filled;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/table.c - a set or table in a store: an element's key is the vector (name, key).
 *
 * Only what public headers offer of stores, but for one thing: an element that is written again so that it lives
 * on (BB_STORE_WRITE_EXPIRE) is not waited for, and no `done` of the application hears of it.
 *
 * A create-expiring element that is replaced keeps its deadline: its version is asked for, so that nobody's
 * change in between is lost.
 */
#include "busbar/store_table.h"
#include "lib/endpoint/opts.h"
#include "lib/store/client_impl.h"
#include "lib/store/poll_impl.h"
#include "shm/fault.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ITEMS = 64,   /* of one scan */
    CHANGES = 64, /* of one look */
    TRIES = 1000, /* somebody else changes the same element again and again */
    NAME_MAX_BYTES = 255,
};

/* A value in memory of ours. */
struct held {
    unsigned char *p;
    size_t bytes, cap;
};

struct bb_store_table {
    struct bb_store *s;
    struct bb_watch *watch; /* NULL: changes are not told */
    bb_store_table_cb changed;
    void *user;
    int64_t expire_ns;
    uint32_t expire;
    struct held prefix; /* the vector (name) */
    struct held key;    /* of the element at hand */
    struct held old;
    struct held page; /* of bb_store_table_each() */
    unsigned char none[8];
    size_t name_bytes;
    char name[NAME_MAX_BYTES + 1];
};

static struct bb_value
value_of(const struct held *h)
{
    return (struct bb_value){h->p, h->bytes};
}

static int
reserve(struct held *h, size_t bytes)
{
    if (bytes <= h->cap) {
        return 0;
    }
    unsigned char *p = realloc(h->p, bytes);
    if (p == NULL) {
        return BB_ENOMEM;
    }
    h->p = p;
    h->cap = bytes;
    return 0;
}

static int64_t
build_key(struct bb_builder *b, const struct bb_store_table *t, const struct bb_value *key)
{
    bb_put_vector_begin(b);
    bb_put_string(b, t->name, t->name_bytes);
    if (key != NULL) {
        bb_put_value(b, key);
    }
    bb_put_end(b);
    return bb_build_end(b);
}

/* The element's key in the store; key NULL: the prefix of all. */
static int
make_key(const struct bb_store_table *t, const struct bb_value *key, struct held *out)
{
    struct bb_builder b;
    bb_build_init(&b, out->p, out->cap);
    int64_t n = build_key(&b, t, key);
    if (n == BB_EMSGSIZE) {
        int rc = reserve(out, b.need_bytes);
        if (rc < 0) {
            return rc;
        }
        bb_build_init(&b, out->p, out->cap);
        n = build_key(&b, t, key);
    }
    if (n < 0) {
        return n == BB_ECORRUPT ? BB_EINVAL : (int)n;
    }
    out->bytes = (size_t)n;
    return 0;
}

static int
element_key(struct bb_store_table *t, const struct bb_value *key, struct bb_value *out)
{
    if (key == NULL || key->p == NULL) {
        return BB_EINVAL;
    }
    int rc = make_key(t, key, &t->key);
    *out = value_of(&t->key);
    return rc;
}

/* The element's own key within the store's. */
static int
strip(const struct bb_value *whole, struct bb_value *key)
{
    struct bb_iter it;
    struct bb_value name;
    int rc = bb_iter_open(&it, whole) == 2 ? 0 : BB_ECORRUPT;
    rc = rc < 0 ? rc : bb_iter_next(&it, &name);
    return rc < 0 ? rc : bb_iter_next(&it, key);
}

/* ---- open, close ---- */

static int
refuse(struct bb_error *error, int code, const char *name, const char *sentence)
{
    if (error != NULL) {
        *error = (struct bb_error){.code = code, .owner_uid = -1};
        (void)snprintf(error->name, sizeof(error->name), "%s", name != NULL ? name : "");
        (void)snprintf(error->sentence, sizeof(error->sentence), "table '%s': %s",
                       name != NULL ? name : "", sentence);
    }
    return code;
}

static int
check(const struct bb_store *s, const struct bb_store_table_opts *o)
{
    size_t bytes = o->name != NULL ? strlen(o->name) : 0;
    if (bytes == 0 || bytes > NAME_MAX_BYTES) {
        return refuse(o->error, BB_EINVAL, o->name, "a name has 1 to 255 bytes");
    }
    if (o->expire_ns < 0 || o->expire > BB_STORE_WRITE_EXPIRE || o->reserved != 0) {
        return refuse(o->error, BB_EINVAL, o->name,
                      "expire_ns is a span or 0, expire is BB_STORE_CREATE_EXPIRE or "
                      "BB_STORE_WRITE_EXPIRE");
    }
    return bbi_store_is_forked(s) ? BB_EFORKED : 0;
}

static int
begin(struct bb_store_table *t, const struct bb_store_table_opts *o)
{
    struct bb_builder b;
    t->expire_ns = o->expire_ns;
    t->expire = o->expire;
    t->changed = o->changed;
    t->user = o->user;
    t->name_bytes = strlen(o->name);
    memcpy(t->name, o->name, t->name_bytes + 1);
    bb_build_init(&b, t->none, sizeof(t->none));
    bb_put_none(&b);
    int rc = bb_build_end(&b) < 0 ? BB_EINVAL : make_key(t, NULL, &t->prefix);
    if (rc == 0 && t->changed != NULL) {
        struct bb_value prefix = value_of(&t->prefix);
        rc = bb_watch_open(&t->watch, t->s, &prefix, 0, NULL);
        if (rc < 0) {
            rc = refuse(o->error, rc, o->name,
                        "its changes cannot be watched; bb_store_error() says why");
        }
    }
    return rc;
}

int
bb_store_table_open(struct bb_store_table **out,
                    struct bb_store *s,
                    const struct bb_store_table_opts *opts)
{
    struct bb_store_table_opts o;
    int rc = BBI_OPTS_TAKE(struct bb_store_table_opts, &o, opts);
    rc = rc < 0 ? rc : check(s, &o);
    if (rc < 0) {
        return rc;
    }
    struct bb_store_table *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return BB_ENOMEM;
    }
    t->s = s;
    rc = begin(t, &o);
    if (rc < 0) {
        bb_store_table_close(t);
        return rc;
    }
    *out = t;
    return 0;
}

void
bb_store_table_close(struct bb_store_table *t)
{
    if (t == NULL) {
        return;
    }
    bb_watch_close(t->watch);
    free(t->prefix.p);
    free(t->key.p);
    free(t->old.p);
    free(t->page.p);
    free(t);
}

/* ---- one element ---- */

int
bb_store_table_contains(struct bb_store_table *t, const struct bb_value *key)
{
    struct bb_value k;
    int rc = element_key(t, key, &k);
    return rc < 0 ? rc : bb_store_exists(t->s, &k);
}

int
bb_store_table_get(struct bb_store_table *t, const struct bb_value *key, struct bb_value *value)
{
    struct bb_value k;
    int rc = element_key(t, key, &k);
    return rc < 0 ? rc : bb_store_get(t->s, &k, value);
}

static struct bb_value
value_or_none(const struct bb_store_table *t, const struct bb_value *value)
{
    return value != NULL ? *value : (struct bb_value){t->none, sizeof(t->none)};
}

/* A new value for an element whose deadline stays.  BB_EBUSY: another version is there by now. */
static int
replace(struct bb_store_table *t, const struct bb_value *k, const struct bb_value *value)
{
    struct bb_store_item item;
    struct bb_store_result r;
    int rc = bb_store_get_item(t->s, k, &item);
    if (rc < 0) {
        return rc == BB_ENOENT ? BB_EBUSY : rc;
    }
    if (bb_value_equal(&item.value, value)) {
        return 0;
    }
    const struct bb_store_cmd cmd = {.op = BB_STORE_PUT_IF,
                                     .expire_ns = BBI_EXPIRE_KEEP,
                                     .if_version = item.version,
                                     .key = *k,
                                     .value = *value};
    return bbi_store_run(t->s, &cmd, 1, 0, &r);
}

int
bb_store_table_add(struct bb_store_table *t,
                   const struct bb_value *key,
                   const struct bb_value *value)
{
    struct bb_value k, v = value_or_none(t, value);
    int rc = element_key(t, key, &k);
    if (rc < 0) {
        return rc;
    }
    if (t->expire_ns == 0 || t->expire == BB_STORE_WRITE_EXPIRE) {
        return bb_store_put(t->s, &k, &v, t->expire_ns, NULL);
    }
    rc = BB_EBUSY;
    for (int i = 0; rc == BB_EBUSY && i < TRIES; i++) {
        rc = bb_store_put_unique(t->s, &k, &v, t->expire_ns, NULL);
        rc = rc == BB_EEXIST ? replace(t, &k, &v) : rc;
    }
    return rc;
}

int
bb_store_table_remove(struct bb_store_table *t, const struct bb_value *key)
{
    struct bb_value k;
    int rc = element_key(t, key, &k);
    return rc < 0 ? rc : bb_store_erase(t->s, &k, NULL);
}

/*
 * Half of its span is over: the deadline is set anew.  Nobody waits for it, and when it cannot be sent just now
 * the next one who asks tries again.
 */
static void
live_on(struct bb_store_table *t, const struct bb_value *k)
{
    const struct bb_store_cmd cmd = {.op = BB_STORE_EXPIRE, .expire_ns = t->expire_ns, .key = *k};
    struct bb_store_result r;
    if (t->s->master != NULL) {
        (void)!bb_store_run(t->s, &cmd, 1, 0, &r);
        return;
    }
    if (t->s->client != NULL) {
        (void)!bbi_client_step(t->s, 0); /* whoever only asks never polls */
    }
    (void)!bbi_client_send_unheard(t->s, &cmd, 1);
}

int
bb_store_table_seen(struct bb_store_table *t,
                    const struct bb_value *key,
                    const struct bb_value *value)
{
    struct bb_value k, v = value_or_none(t, value);
    struct bb_store_item item;
    int rc = element_key(t, key, &k);
    rc = rc < 0 ? rc : bb_store_get_item(t->s, &k, &item);
    if (rc == 0) {
        bool is_fading = t->expire == BB_STORE_WRITE_EXPIRE && item.expires_ns >= 0
                         && item.expires_ns < t->expire_ns / 2;
        if (is_fading) {
            live_on(t, &k);
        }
        return 1;
    }
    if (rc != BB_ENOENT) {
        return rc;
    }
    rc = bb_store_put_unique(t->s, &k, &v, t->expire_ns, NULL);
    return rc == BB_EEXIST ? 1 : rc;
}

/* ---- all of them ---- */

/* Private copies, so that a callback may use the store. */
static int
copy_page(struct bb_store_table *t, struct bb_store_item *items, int64_t n)
{
    size_t need = 0;
    for (int64_t i = 0; i < n; i++) {
        need += bbi_align_up(items[i].key.bytes, 8) + bbi_align_up(items[i].value.bytes, 8);
    }
    int rc = reserve(&t->page, need + 1);
    unsigned char *p = t->page.p;
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        struct bb_value *parts[] = {&items[i].key, &items[i].value};
        for (int j = 0; j < 2; j++) {
            if (parts[j]->bytes > 0) {
                memcpy(p, parts[j]->p, parts[j]->bytes);
            }
            parts[j]->p = p;
            p += bbi_align_up(parts[j]->bytes, 8);
        }
    }
    return rc;
}

static int
call_back(struct bb_store_item *items, int64_t n, bb_store_table_each_cb cb, void *user)
{
    for (int64_t i = 0; i < n; i++) {
        struct bb_store_item element = items[i];
        int rc = strip(&items[i].key, &element.key);
        rc = rc < 0 ? rc : cb(&element, user);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int
bb_store_table_each(struct bb_store_table *t, bb_store_table_each_cb cb, void *user)
{
    struct bb_store_item items[ITEMS];
    struct bb_value prefix = value_of(&t->prefix), after = {NULL, 0};
    if (cb == NULL) {
        return BB_EINVAL;
    }
    for (;;) {
        int64_t n = bb_store_scan(t->s, &prefix, after.p != NULL ? &after : NULL, items, ITEMS);
        if (n <= 0) {
            return (int)n;
        }
        int rc = copy_page(t, items, n);
        rc = rc < 0 ? rc : call_back(items, n, cb, user);
        if (rc != 0) {
            return rc;
        }
        rc = reserve(&t->old, items[n - 1].key.bytes); /* the page is written again */
        if (rc < 0) {
            return rc;
        }
        memcpy(t->old.p, items[n - 1].key.p, items[n - 1].key.bytes);
        after = (struct bb_value){t->old.p, items[n - 1].key.bytes};
    }
}

int64_t
bb_store_table_count(struct bb_store_table *t)
{
    struct bb_value prefix = value_of(&t->prefix);
    return bb_store_count(t->s, &prefix);
}

int
bb_store_table_poll(struct bb_store_table *t, int64_t timeout_ns)
{
    struct bb_store_change changes[CHANGES];
    if (t->watch == NULL) {
        return BB_ENOTSUP;
    }
    int n = bb_watch_next(t->watch, changes, CHANGES, timeout_ns);
    for (int i = 0; i < n; i++) {
        struct bb_store_change c = changes[i];
        int rc = c.kind == BB_STORE_GAP ? 0 : strip(&changes[i].key, &c.key);
        if (rc < 0) {
            return rc;
        }
        t->changed(t, &c, t->user);
    }
    return n;
}

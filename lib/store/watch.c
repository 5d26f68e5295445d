/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/watch.c - changes in order, read in place from the store's own log.
 *
 * Versions count changes one by one and each is an entry of LOG, so what comes after version v is the entry v + 1:
 * one that is not there while later ones are, or while the store is further, is a gap.  Nothing depends on who is
 * master or on a message that came: a note on "<$>change/NAME/" only says "look now", and a watch also looks
 * before it sleeps and once a second.  Compaction copies the log, a takeover goes on with it.
 *
 * What is handed out is a copy, so no view stays open; entries that nobody asked for cost a look each.
 */
#include "lib/store/client_impl.h"
#include "lib/store/poll_impl.h"
#include "lib/store/watch_impl.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t LOOK_EVERY_NS = INT64_C(1000000000);
static const int64_t MASTER_TURN_NS = INT64_C(20000000);

enum {
    ENTRIES_AT_ONCE = 4096,   /* in one view */
    COPY_BYTES_MAX = 4 << 20, /* of one call, but for one large change */
};

struct found {
    uint64_t version;
    size_t off, bytes;
};

struct bb_watch {
    struct bb_store *s;
    struct bb_watch *next;
    uint64_t after;        /* told up to here */
    uint64_t looked_at;    /* ctl's version before the last look */
    unsigned char *prefix; /* NULL: all */
    size_t prefix_bytes;
    unsigned char *copy; /* of what was handed out */
    size_t copy_bytes, copy_cap;
    struct found *found;
    size_t found_count, found_cap;
};

/* ---- open, close ---- */

static int
note_topic(const struct bb_store *s, char *out, size_t cap)
{
    return snprintf(out, cap, "%s%s/", BBI_CHANGE_TOPIC, s->name);
}

/* Notes first, so that none is missed; then the log is kept from the answer's version on. */
static int
begin_watching(struct bb_store *s)
{
    char topic[sizeof(BBI_CHANGE_TOPIC) + BB_NAME_MAX + 2];
    int n = note_topic(s, topic, sizeof(topic));
    int rc = bbi_client_open(s);
    if (rc == 0 && s->watches == NULL) {
        rc = bb_subscribe(s->client->sub, topic, (size_t)n, 0);
    }
    return rc < 0 ? rc : bbi_client_run(s, BBI_FRAME_WATCH, NULL, 0, 0, NULL);
}

static void
end_watching(struct bb_store *s)
{
    char topic[sizeof(BBI_CHANGE_TOPIC) + BB_NAME_MAX + 2];
    int n = note_topic(s, topic, sizeof(topic));
    if (s->watches == NULL && s->client != NULL && !bbi_store_is_forked(s)) {
        (void)!bb_unsubscribe(s->client->sub, topic, (size_t)n, 0);
        (void)!bbi_client_send(s, BBI_FRAME_UNWATCH, NULL, 0, 0); /* else its death will tell */
    }
}

static void
free_watch(struct bb_watch *w)
{
    free(w->prefix);
    free(w->copy);
    free(w->found);
    free(w);
}

static int
new_watch(struct bb_watch **out, struct bb_store *s, const struct bb_value *prefix)
{
    struct bbi_key_range range; /* says whether it can be one */
    int rc = bbi_key_range(&range, prefix);
    if (rc < 0) {
        return rc;
    }
    struct bb_watch *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return BB_ENOMEM;
    }
    w->s = s;
    if (prefix != NULL) {
        w->prefix = malloc(prefix->bytes);
        if (w->prefix == NULL) {
            free(w);
            return BB_ENOMEM;
        }
        memcpy(w->prefix, prefix->p, prefix->bytes);
        w->prefix_bytes = prefix->bytes;
    }
    *out = w;
    return 0;
}

int
bb_watch_open(struct bb_watch **out,
              struct bb_store *s,
              const struct bb_value *prefix,
              uint64_t after_version,
              uint64_t *now_version)
{
    struct bb_watch *w;
    if (bbi_store_is_forked(s)) {
        return BB_EFORKED;
    }
    if (s->ep == NULL || (s->flags & BB_STORE_BY_REQUEST) != 0) {
        return bbi_store_no_bus(s);
    }
    int rc = new_watch(&w, s, prefix);
    if (rc < 0) {
        return rc;
    }
    rc = begin_watching(s);
    if (rc < 0) {
        end_watching(s);
        free_watch(w);
        return rc;
    }
    w->after = after_version != 0 ? after_version : s->client->last_version;
    if (now_version != NULL) {
        *now_version = s->client->last_version;
    }
    w->next = s->watches;
    s->watches = w;
    *out = w;
    return 0;
}

void
bb_watch_close(struct bb_watch *w)
{
    if (w == NULL) {
        return;
    }
    struct bb_watch **link = &w->s->watches;
    while (*link != w) {
        link = &(*link)->next;
    }
    *link = w->next;
    end_watching(w->s);
    free_watch(w);
}

void
bbi_watches_close(struct bb_store *s)
{
    bool had_one = s->watches != NULL;
    while (s->watches != NULL) {
        struct bb_watch *w = s->watches;
        s->watches = w->next;
        free_watch(w);
    }
    if (had_one) {
        end_watching(s);
    }
}

/* ---- reading the log ---- */

static bool
is_wanted(const struct bb_watch *w, const struct bb_store_change *c)
{
    struct bb_value prefix = {w->prefix, w->prefix_bytes};
    return w->prefix == NULL || bbi_key_has_prefix(&c->key, &prefix);
}

static size_t
more_than(size_t cap, size_t need)
{
    return need < 2 * cap ? 2 * cap : need;
}

static int
reserve_copy(struct bb_watch *w, size_t need)
{
    if (need > w->copy_cap) {
        size_t cap = more_than(w->copy_cap, need);
        unsigned char *p = realloc(w->copy, cap);
        if (p == NULL) {
            return BB_ENOMEM;
        }
        w->copy = p;
        w->copy_cap = cap;
    }
    return 0;
}

static int
reserve_found(struct bb_watch *w, size_t need)
{
    if (need > w->found_cap) {
        size_t cap = more_than(w->found_cap, need);
        struct found *p = realloc(w->found, cap * sizeof(*p));
        if (p == NULL) {
            return BB_ENOMEM;
        }
        w->found = p;
        w->found_cap = cap;
    }
    return 0;
}

static int
add_found(struct bb_watch *w, uint64_t version, struct bbi_bytes raw)
{
    size_t padded = bbi_align_up(raw.bytes, 16);
    int rc = reserve_copy(w, w->copy_bytes + padded);
    rc = rc < 0 ? rc : reserve_found(w, w->found_count + 1);
    if (rc < 0) {
        return rc;
    }
    if (raw.bytes > 0) {
        memcpy(w->copy + w->copy_bytes, raw.p, raw.bytes);
    }
    w->found[w->found_count++] = (struct found){version, w->copy_bytes, raw.bytes};
    w->copy_bytes += padded;
    return 0;
}

/* Changes that are not known any more: an entry without bytes. */
static int
add_gap(struct bb_watch *w, uint64_t version)
{
    int rc = add_found(w, version, (struct bbi_bytes){NULL, 0});
    w->after = rc == 0 ? version : w->after;
    return rc;
}

static uint64_t
version_of(struct bbi_bytes key)
{
    uint64_t v = 0;
    const unsigned char *p = key.p;
    for (size_t i = 0; i < sizeof(v) && i < key.bytes; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

/* The entry v: 1 it was taken or passed over; 0 there is no room for it in this call. */
static int
take_entry(struct bb_watch *w, uint64_t v, struct bbi_bytes raw, size_t max)
{
    struct bb_store_change c;
    int rc = v > w->after + 1 ? add_gap(w, v - 1) : 0;
    rc = rc < 0 ? rc : bbi_log_read(&c, v, raw);
    if (rc < 0) {
        return rc;
    }
    if (is_wanted(w, &c)) {
        bool is_full = w->found_count >= max
                       || (w->found_count > 0 && raw.bytes > COPY_BYTES_MAX - w->copy_bytes);
        if (is_full) {
            return 0;
        }
        rc = add_found(w, v, raw);
        if (rc < 0) {
            return rc;
        }
    }
    w->after = v;
    return 1;
}

/* Entries after w->after, of one view.  1 there may be more, 0 that was all. */
static int
read_entries(struct bb_watch *w, struct bbi_db_cursor *cursor, size_t max, uint64_t version)
{
    unsigned char first[8];
    struct bbi_bytes k, v;
    for (int i = 0; i < 8; i++) {
        first[i] = (unsigned char)((w->after + 1) >> (56 - 8 * i));
    }
    int rc = bbi_db_seek(cursor, (struct bbi_bytes){first, sizeof(first)}, &k, &v);
    for (int i = 0; rc == 0 && i < ENTRIES_AT_ONCE; i++) {
        rc = w->found_count < max ? take_entry(w, version_of(k), v, max) : 0;
        if (rc != 1) {
            return rc;
        }
        rc = bbi_db_next(cursor, &k, &v);
    }
    if (rc == BB_ENOENT && w->after < version && w->found_count < max) {
        rc = add_gap(w, version);
    }
    return rc == 0 ? 1 : rc == BB_ENOENT ? 0 : rc;
}

/* As many as there are, at most max, into w->found.  1, 0 as read_entries(). */
static int
look(struct bb_watch *w, size_t max)
{
    struct bbi_db_txn *txn;
    struct bbi_db_cursor *cursor;
    struct bbi_state state;
    w->looked_at = bbi_load_acquire(&w->s->dir.ctl->version); /* S1 */
    int rc = bbi_read_enter(w->s, &txn);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_read_state(txn, &state);
    if (rc == 0 && state.version < w->after) { /* the store was begun anew, or restored */
        rc = add_gap(w, state.version);
    }
    if (rc == 0) {
        rc = bbi_db_cursor_open(&cursor, txn, BBI_DB_LOG);
    }
    if (rc == 0) {
        rc = read_entries(w, cursor, max, state.version);
        bbi_db_cursor_close(cursor);
    }
    bbi_read_leave(w->s);
    return rc;
}

static int
give(struct bb_watch *w, struct bb_store_change *out)
{
    for (size_t i = 0; i < w->found_count; i++) {
        const struct found *f = &w->found[i];
        if (f->bytes == 0) {
            out[i] = (struct bb_store_change){.kind = BB_STORE_GAP,
                                              .version = f->version,
                                              .expires_ns = BB_STORE_NEVER,
                                              .node = ""};
            continue;
        }
        int rc = bbi_log_read(&out[i], f->version, (struct bbi_bytes){w->copy + f->off, f->bytes});
        if (rc < 0) {
            return rc;
        }
    }
    return (int)w->found_count;
}

/* ---- waiting ---- */

static bool
has_news(const struct bb_watch *w)
{
    return bbi_load_acquire(&w->s->dir.ctl->version) != w->looked_at; /* S1 */
}

/* The master forgot us, or the store is another one: it has to hear of the watch again. */
static void
renew(struct bb_store *s)
{
    bool is_kept = bbi_load_relaxed(&s->dir.ctl->has_log) != 0;
    if (!is_kept && bbi_client_is_idle(s) && bbi_store_dir_is_served(&s->dir) == 1) {
        (void)!bbi_client_send(s, BBI_FRAME_WATCH, NULL, 0, 0);
    }
}

/* Until something may have changed: 1; 0 the time is over or a signal handler ran; a status. */
static int
wait(struct bb_watch *w, int64_t until_ns)
{
    struct bb_store *s = w->s;
    int64_t now = bbi_os_mono_ns();
    int rc = bbi_role_step(s);
    if (rc != 0 || now >= until_ns) {
        return rc;
    }
    if (has_news(w)) { /* the look before the sleep; a note comes after the version */
        return 1;
    }
    int64_t until = bbi_min_i64(until_ns, now + LOOK_EVERY_NS);
    until = bbi_min_i64(until, bbi_role_next_ns(s));
    if (s->master != NULL) {
        rc = bbi_master_poll(s, bbi_min_i64(until - now, MASTER_TURN_NS));
        return rc < 0 ? rc : 1;
    }
    rc = bbi_client_step(s, until);
    bool was_cut_short = rc == 0 && bbi_os_mono_ns() < until && bbi_client_is_idle(s);
    return rc < 0 ? rc : !was_cut_short || has_news(w);
}

int
bb_watch_next(struct bb_watch *w, struct bb_store_change *out, size_t max, int64_t timeout_ns)
{
    struct bb_store *s = w->s;
    if (bbi_store_is_forked(s)) {
        return BB_EFORKED;
    }
    if (out == NULL || max == 0 || max > INT32_MAX || s->is_orphan) {
        return BB_EINVAL;
    }
    if (s->is_viewing) {
        return BB_EBUSY; /* its state does not change */
    }
    int64_t until = bbi_until_ns(timeout_ns);
    int rc =
        s->client != NULL ? bbi_client_step(s, 0) : 0; /* notes so far: the descriptor is quiet */
    w->found_count = 0;
    w->copy_bytes = 0;
    while (rc >= 0 && w->found_count == 0) {
        renew(s);
        rc = look(w, max);
        if (rc == 0 && w->found_count == 0) {
            rc = wait(w, until);
            if (rc == 0) {
                break;
            }
        }
    }
    bbi_poll_arm(s);
    return rc < 0 ? rc : give(w, out);
}

int64_t
bbi_watches_next_ns(const struct bb_store *s)
{
    if (s->watches == NULL) {
        return INT64_MAX;
    }
    for (const struct bb_watch *w = s->watches; w != NULL; w = w->next) {
        if (has_news(w)) {
            return 0;
        }
    }
    return bbi_os_mono_ns() + LOOK_EVERY_NS;
}

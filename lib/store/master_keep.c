/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/master_keep.c - who the clients are, who watches, and what is done once a second.
 *
 * A client is known by the random id of its handle.  What it ran last is remembered here and in DONE; it goes when
 * the client said BYE, or 10 minutes after its member was seen dead: by then it can send nothing again.
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/store/master_impl.h"
#include "shm/os.h"
#include <stdlib.h>
#include <string.h>

/* LOG: at most so many entries, and an eighth of the quota. */
static const uint64_t LOG_ENTRIES_MAX = 1000000;
enum { PEER_SLOTS_FIRST = 64, LOG_PART = 8, DUE_COUNTED = 100000, FORGET_MAX = 64, WATCH_NAME = 5 };

static uint32_t
slot_of(const struct bbi_master *m, const struct bbi_client_id *id)
{
    uint32_t hash;
    memcpy(&hash, id->v, sizeof(hash)); /* ids are random */
    return hash & (m->peer_slots - 1);
}

struct bbi_sender *
bbi_sender_find(struct bbi_master *m, const struct bbi_client_id *id)
{
    struct bbi_sender *p = m->peer_slots != 0 ? m->peers[slot_of(m, id)] : NULL;
    while (p != NULL && memcmp(&p->id, id, sizeof(*id)) != 0) {
        p = p->next;
    }
    return p;
}

static bool
grow(struct bbi_master *m)
{
    uint32_t old_slots = m->peer_slots;
    struct bbi_sender **old = m->peers;
    uint32_t slots = old_slots != 0 ? 2 * old_slots : PEER_SLOTS_FIRST;
    struct bbi_sender **peers = calloc(slots, sizeof(struct bbi_sender *));
    if (peers == NULL) {
        return false;
    }
    m->peers = peers;
    m->peer_slots = slots;
    for (uint32_t i = 0; i < old_slots; i++) {
        for (struct bbi_sender *p = old[i], *next; p != NULL; p = next) {
            next = p->next;
            p->next = peers[slot_of(m, &p->id)];
            peers[slot_of(m, &p->id)] = p;
        }
    }
    free(old);
    return true;
}

struct bbi_sender *
bbi_sender_open(struct bbi_master *m, const struct bbi_client_id *id, uint64_t node_id)
{
    struct bbi_sender *p = bbi_sender_find(m, id);
    if (p != NULL) {
        p->node_id = node_id;
        p->gone_ns = 0;
        return p;
    }
    if (m->peer_count >= BBI_CLIENTS_MAX || (m->peer_count >= m->peer_slots && !grow(m))) {
        return NULL;
    }
    p = calloc(1, sizeof(*p));
    if (p != NULL) {
        p->id = *id;
        p->node_id = node_id;
        p->next = m->peers[slot_of(m, id)];
        m->peers[slot_of(m, id)] = p;
        m->peer_count++;
    }
    return p;
}

void
bbi_sender_free(struct bbi_master *m, struct bbi_sender *p)
{
    struct bbi_sender **at = &m->peers[slot_of(m, &p->id)];
    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    m->peer_count--;
    free(p);
}

void
bbi_senders_free(struct bbi_master *m)
{
    for (uint32_t i = 0; i < m->peer_slots; i++) {
        for (struct bbi_sender *p = m->peers[i], *next; p != NULL; p = next) {
            next = p->next;
            free(p);
        }
    }
    free(m->peers);
    m->peers = NULL;
    m->peer_slots = 0;
    m->peer_count = 0;
    m->watcher_count = 0;
}

/* ---- from the tables ---- */

static int
load_done(struct bbi_master *m, struct bbi_bytes k, struct bbi_bytes v)
{
    struct bbi_done_head head;
    struct bbi_client_id id;
    if (k.bytes != BBI_DONE_KEY_BYTES || v.bytes < sizeof(head)) {
        return 0;
    }
    memcpy(&head, v.p, sizeof(head));
    memcpy(&id, k.p, sizeof(id));
    struct bbi_sender *p = bbi_sender_open(m, &id, head.node_id);
    if (p == NULL) {
        return BB_ENOMEM;
    }
    p->numbers[head.number % BBI_FRAMES] = head.number;
    return 0;
}

static int
load_watch(struct bbi_master *m, struct bbi_bytes k, struct bbi_bytes v)
{
    struct bbi_watch_record rec;
    struct bbi_client_id id;
    if (k.bytes != WATCH_NAME + sizeof(id) || memcmp(k.p, BBI_META_WATCH, WATCH_NAME) != 0
        || v.bytes < sizeof(rec)) {
        return 0;
    }
    memcpy(&rec, v.p, sizeof(rec));
    memcpy(&id, (const unsigned char *)k.p + WATCH_NAME, sizeof(id));
    struct bbi_sender *p = bbi_sender_open(m, &id, rec.node_id);
    if (p == NULL) {
        return BB_ENOMEM;
    }
    m->watcher_count += !p->is_watching;
    p->is_watching = true;
    return 0;
}

static int
load_table(struct bbi_master *m,
           struct bbi_db_txn *txn,
           enum bbi_db db,
           int (*load)(struct bbi_master *, struct bbi_bytes, struct bbi_bytes))
{
    struct bbi_db_cursor *c;
    struct bbi_bytes k;
    struct bbi_bytes v;
    int rc = bbi_db_cursor_open(&c, txn, db);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_db_seek(c, (struct bbi_bytes){NULL, 0}, &k, &v);
    while (rc == 0) {
        rc = load(m, k, v);
        rc = rc < 0 ? rc : bbi_db_next(c, &k, &v);
    }
    bbi_db_cursor_close(c);
    return rc == BB_ENOENT ? 0 : rc;
}

int
bbi_senders_load(struct bb_store *s)
{
    struct bbi_master *m = s->master;
    int rc = load_table(m, m->apply.txn, BBI_DB_DONE, load_done);
    return rc < 0 ? rc : load_table(m, m->apply.txn, BBI_DB_META, load_watch);
}

/* ---- watching ---- */

static struct bbi_bytes
watch_key(const struct bbi_sender *p, unsigned char out[WATCH_NAME + 16])
{
    memcpy(out, BBI_META_WATCH, WATCH_NAME);
    memcpy(out + WATCH_NAME, &p->id, sizeof(p->id));
    return (struct bbi_bytes){out, WATCH_NAME + sizeof(p->id)};
}

/* The log begins with the first watcher and ends with the last. */
static int
switch_log(struct bbi_master *m)
{
    bool has_log = m->watcher_count > 0;
    if (has_log == m->apply.has_log) {
        return 0;
    }
    m->apply.has_log = has_log;
    return bbi_log_restart(&m->apply);
}

int
bbi_sender_watch(struct bb_store *s, struct bbi_sender *p, bool is_watching)
{
    struct bbi_master *m = s->master;
    const struct bbi_watch_record rec = {.node_id = p->node_id, .wall_ns = m->apply.wall_ns};
    unsigned char name[WATCH_NAME + sizeof(p->id)];
    struct bbi_bytes key = watch_key(p, name);
    if (p->is_watching == is_watching) {
        return 0;
    }
    int rc = is_watching ? bbi_apply_put(&m->apply, BBI_DB_META, key,
                                         (struct bbi_bytes){&rec, sizeof(rec)}, 0)
                         : bbi_apply_del(&m->apply, BBI_DB_META, key);
    if (rc < 0) {
        return rc;
    }
    p->is_watching = is_watching;
    m->has_moved_watchers = true;
    m->has_written = true;
    m->watcher_count += is_watching ? 1U : UINT32_MAX;
    return switch_log(m);
}

int
bbi_sender_forget(struct bb_store *s, struct bbi_sender *p)
{
    struct bbi_master *m = s->master;
    unsigned char key[BBI_DONE_KEY_BYTES];
    int rc = bbi_sender_watch(s, p, false);
    memcpy(key, &p->id, sizeof(p->id));
    for (unsigned i = 0; rc == 0 && i < BBI_FRAMES; i++) {
        key[sizeof(p->id)] = (unsigned char)i;
        if (p->numbers[i] != 0) {
            rc = bbi_apply_del(&m->apply, BBI_DB_DONE, (struct bbi_bytes){key, sizeof(key)});
        }
    }
    return rc;
}

void
bbi_watchers_reload(struct bb_store *s)
{
    struct bbi_master *m = s->master;
    struct bbi_db_txn *txn;
    for (uint32_t i = 0; i < m->peer_slots; i++) {
        for (struct bbi_sender *p = m->peers[i]; p != NULL; p = p->next) {
            p->is_watching = false;
        }
    }
    m->watcher_count = 0;
    if (bbi_db_read_begin(m->house.env, &txn) == 0) {
        (void)!load_table(m, txn, BBI_DB_META, load_watch);
        bbi_db_abort(txn);
    }
    m->apply.has_log = m->watcher_count > 0;
}

/* ---- each second ---- */

/* Those that are to go now; a watcher goes at once. */
static uint32_t
find_gone(struct bb_store *s, int64_t now_ns, struct bbi_sender *gone[FORGET_MAX])
{
    struct bbi_master *m = s->master;
    const struct bbi_attach *at = bbi_endpoint_at(s->ep);
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->peer_slots && n < FORGET_MAX; i++) {
        for (struct bbi_sender *p = m->peers[i]; p != NULL && n < FORGET_MAX; p = p->next) {
            if (p->gone_ns == 0 && bbi_member_ending(at, p->node_id) != 0) {
                p->gone_ns = now_ns;
            }
            if (p->gone_ns != 0 && (p->is_watching || now_ns - p->gone_ns >= BBI_DEAD_KEPT_NS)) {
                gone[n++] = p;
            }
        }
    }
    return n;
}

static int
forget_gone(struct bb_store *s, int64_t now_ns)
{
    struct bbi_master *m = s->master;
    struct bbi_sender *gone[FORGET_MAX];
    uint32_t n = find_gone(s, now_ns, gone);
    if (n == 0) {
        return 0;
    }
    int rc = bbi_master_begin(s);
    if (rc < 0) {
        return rc;
    }
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        bool is_old = now_ns - gone[i]->gone_ns >= BBI_DEAD_KEPT_NS;
        rc = is_old ? bbi_sender_forget(s, gone[i]) : bbi_sender_watch(s, gone[i], false);
    }
    if (rc < 0) {
        bbi_master_abort(s);
        return rc;
    }
    rc = bbi_master_commit(s);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        if (now_ns - gone[i]->gone_ns >= BBI_DEAD_KEPT_NS) {
            bbi_sender_free(m, gone[i]);
        }
    }
    return rc;
}

static int
count_due(struct bb_store *s)
{
    struct bbi_master *m = s->master;
    struct bbi_db_txn *txn;
    int64_t first_ns = 0;
    int64_t now_ns = bbi_store_now_ns(s);
    int64_t due = 0;
    if (m->deadline_ns != 0 && m->deadline_ns <= now_ns) {
        int rc = bbi_db_read_begin(m->house.env, &txn);
        if (rc < 0) {
            return rc;
        }
        due = bbi_expiry_due(txn, now_ns, DUE_COUNTED, &first_ns);
        bbi_db_abort(txn);
    }
    bbi_store_relaxed(&s->dir.ctl->due, due < 0 ? 0 : (uint64_t)due);
    bbi_store_relaxed(&s->dir.ctl->lag_ns, due > 0 ? (uint64_t)(now_ns - first_ns) : 0);
    return due < 0 ? (int)due : 0;
}

int
bbi_log_keep(struct bb_store *s)
{
    struct bbi_master *m = s->master;
    return m->apply.has_log ? bbi_log_trim(&m->apply, LOG_ENTRIES_MAX, s->quota_bytes / LOG_PART)
                            : 0;
}

/* What everybody may see; each its own word. */
void
bbi_master_tell(struct bb_store *s)
{
    const struct bbi_master *m = s->master;
    struct bbi_store_ctl *ctl = s->dir.ctl;
    bbi_store_relaxed(&ctl->keys, m->keys);
    bbi_store_relaxed(&ctl->expired, m->house.state.expired);
    bbi_store_relaxed(&ctl->log_bytes, m->house.state.log_bytes);
    bbi_store_relaxed(&ctl->log_first, m->house.state.log_first);
    bbi_store_relaxed(&ctl->has_log, m->apply.has_log);
    bbi_store_relaxed(&ctl->watchers, m->watcher_count);
    bbi_store_relaxed(&ctl->last_error, (uint64_t)(int64_t)m->house.status);
}

static int
say_end(struct bb_store *s, int rc, const char *why)
{
    struct bbi_fault f;
    (void)bbi_fault_set(&f, rc, s->dir.path, "store '%s' in %s: %s", s->name, s->dir.path, why);
    return bbi_error_fill(&s->ended, &f);
}

int
bbi_master_keep(struct bb_store *s, int64_t now_ns)
{
    s->master->house_ns = now_ns + BBI_HOUSE_EVERY_NS;
    if (!bbi_store_dir_keeps_lock(&s->dir)) {
        return say_end(s, BB_EIO,
                       "its lock was removed or replaced while it ran: it ends before "
                       "another master begins; start it again");
    }
    if (bbi_store_dir_mend_ctl(&s->dir)) {
        bbi_master_mend_ctl(s);
    }
    bbi_parts_sweep(s, now_ns);
    int rc = forget_gone(s, now_ns);
    if (rc == 0) {
        rc = count_due(s);
    }
    if (rc < 0 && bbi_is_fatal(rc)) {
        return rc;
    }
    rc = bbi_quota_look(s, false);
    bbi_master_tell(s);
    return rc < 0 && bbi_is_fatal(rc) ? rc : 0;
}

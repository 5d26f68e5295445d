/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/apply.c - one command in a write transaction.
 *
 * The idea: each command finds its key, says what the value and the deadline will be, and everything that then
 * has to be written is written in one place, put_record() or drop_record(): MAIN, the old and new entry of
 * EXPIRY, an entry of LOG, and all of it again in a compaction's copy.
 *
 * What LMDB gives out is void after the transaction's next change, so what is needed later is copied before:
 * the old value into `old` when the log wants it or the result lies in it.
 */
#include "lib/store/apply.h"
#include "lib/store/generation.h"
#include <endian.h>
#include <string.h>

/* Above this many keys a clear() does not write them all into the log: its watchers are told of a gap. */
static const uint64_t CLEAR_LOG_MAX = 1000000;

static struct bbi_bytes
bytes_of(const struct bbi_key *key)
{
    return (struct bbi_bytes){key->bytes, key->len};
}

/* A window that ends where the value does. */
static struct bb_value
exact(const struct bb_value *v)
{
    return (struct bb_value){v->p, bbi_value_bytes(v)};
}

/* ---- both generations ---- */

int
bbi_apply_put(
    struct bbi_apply *a, enum bbi_db db, struct bbi_bytes key, struct bbi_bytes val, unsigned flags)
{
    int rc = bbi_db_put(a->txn, db, key, val, flags);
    return rc < 0 ? rc : bbi_mirror_put(a->also, db, key, val);
}

int
bbi_apply_del(struct bbi_apply *a, enum bbi_db db, struct bbi_bytes key)
{
    int rc =
        bbi_mirror_del(a->also, db, key); /* key may lie where the next line changes something */
    if (rc == 0) {
        rc = bbi_db_del(a->txn, db, key);
    }
    return rc == BB_ENOENT ? 0 : rc;
}

int
bbi_apply_drop(struct bbi_apply *a, enum bbi_db db)
{
    int rc = bbi_db_drop(a->txn, db);
    return rc < 0 ? rc : bbi_mirror_drop(a->also, db);
}

/* ---- the log ---- */

void
bbi_apply_fini(struct bbi_apply *a)
{
    bbi_made_free(&a->made);
    bbi_made_free(&a->old);
}

/* The change that made state->version what it is. */
static int
write_log(struct bbi_apply *a, struct bb_store_change *c, int64_t deadline_ns)
{
    void *p;
    uint64_t version = htobe64(a->state->version);
    const struct bbi_bytes key = {&version, sizeof(version)};
    c->wall_ns = a->wall_ns;
    if (deadline_ns == 0 || __builtin_sub_overflow(deadline_ns, a->now_ns, &c->expires_ns)) {
        c->expires_ns = BB_STORE_NEVER;
    }
    size_t bytes = bbi_log_bytes(c);
    int rc = bbi_db_reserve(a->txn, BBI_DB_LOG, key, bytes, BBI_DB_APPEND, &p);
    if (rc < 0) {
        return rc;
    }
    bbi_log_write(p, c);
    if (a->state->log_first == 0) {
        a->state->log_first = a->state->version;
    }
    a->state->log_bytes += bytes;
    return bbi_mirror_put(a->also, BBI_DB_LOG, key, (struct bbi_bytes){p, bytes});
}

/* ---- MAIN and EXPIRY ---- */

/* What a command found. */
struct found {
    struct bbi_key at;
    struct bbi_record rec; /* is_there: what lies there */
    bool is_there;
};

static int
copy_old(struct bbi_apply *a, struct found *f)
{
    int rc = bbi_made_copy(&a->old, &f->rec.value);
    f->rec.value = (struct bb_value){a->old.p, a->old.bytes};
    return rc;
}

static int
move_deadline(struct bbi_apply *a, const struct bbi_key *at, int64_t old_ns, int64_t new_ns)
{
    unsigned char entry[BBI_EXPIRY_KEY_BYTES];
    const struct bbi_bytes key = {entry, sizeof(entry)};
    int rc = 0;
    if (old_ns != 0 && old_ns != new_ns) {
        bbi_expiry_key(entry, old_ns, bytes_of(at));
        rc = bbi_apply_del(a, BBI_DB_EXPIRY, key);
    }
    if (rc == 0 && new_ns != 0 && old_ns != new_ns) {
        bbi_expiry_key(entry, new_ns, bytes_of(at));
        rc = bbi_apply_put(a, BBI_DB_EXPIRY, key, bytes_of(at), 0);
    }
    return rc;
}

static int
write_main(struct bbi_apply *a, const struct bbi_key *at, const struct bbi_record *rec)
{
    void *p;
    size_t bytes = bbi_record_bytes(rec->key.bytes, rec->value.bytes);
    int rc = bbi_db_reserve(a->txn, BBI_DB_MAIN, bytes_of(at), bytes, 0, &p);
    if (rc < 0) {
        return rc;
    }
    bbi_record_write(p, rec);
    return bbi_mirror_put(a->also, BBI_DB_MAIN, bytes_of(at), (struct bbi_bytes){p, bytes});
}

/* value must not lie in the map; nor what f says of the old one, when there is a log. */
static int
put_record(struct bbi_apply *a,
           const struct bb_store_cmd *cmd,
           const struct found *f,
           const struct bb_value *value,
           int64_t deadline_ns,
           struct bb_store_result *result)
{
    int64_t old_ns = f->is_there ? f->rec.expires_ns : 0;
    const struct bbi_record rec = {++a->state->version, deadline_ns, exact(&cmd->key),
                                   exact(value)};
    struct bb_store_change c = {.kind = f->is_there ? BB_STORE_UPDATED : BB_STORE_INSERTED,
                                .node_id = a->node_id,
                                .node = a->node,
                                .key = rec.key,
                                .value = rec.value};
    if (f->is_there) {
        c.old = f->rec.value;
    }
    int rc = write_main(a, &f->at, &rec);
    rc = rc < 0 ? rc : move_deadline(a, &f->at, old_ns, deadline_ns);
    result->changed = 1;
    result->version = rec.version;
    return rc == 0 && a->has_log ? write_log(a, &c, deadline_ns) : rc;
}

/* key: not in the map. */
static int
drop_record(struct bbi_apply *a, uint32_t kind, const struct bb_value *key, struct found *f)
{
    struct bb_store_change c = {.kind = kind, .key = exact(key)};
    int64_t deadline_ns = f->rec.expires_ns;
    int rc = a->has_log ? copy_old(a, f) : 0;
    c.old = f->rec.value;
    c.node_id = kind == BB_STORE_EXPIRED ? a->master_id : a->node_id;
    c.node = kind == BB_STORE_EXPIRED ? a->master : a->node;
    rc = rc < 0 ? rc : move_deadline(a, &f->at, deadline_ns, 0);
    rc = rc < 0 ? rc : bbi_apply_del(a, BBI_DB_MAIN, bytes_of(&f->at));
    if (rc < 0) {
        return rc;
    }
    a->state->version++;
    a->state->expired += kind == BB_STORE_EXPIRED;
    f->is_there = false;
    return a->has_log ? write_log(a, &c, deadline_ns) : 0;
}

/* ---- the commands ---- */

/* INT64_MAX, in the year 2262, stands for later. */
static int64_t
deadline_of(const struct bbi_apply *a, const struct bb_store_cmd *cmd, int64_t old_ns)
{
    int64_t deadline_ns;
    bool is_put = cmd->op <= BB_STORE_PUT_IF;
    if (cmd->expire_ns == BBI_EXPIRE_KEEP) {
        return old_ns;
    }
    if (cmd->expire_ns <= 0) {
        return cmd->expire_ns == BB_STORE_NEVER || is_put ? 0 : old_ns;
    }
    return __builtin_add_overflow(a->now_ns, cmd->expire_ns, &deadline_ns) ? INT64_MAX
                                                                           : deadline_ns;
}

static int
erase(struct bbi_apply *a,
      const struct bb_store_cmd *cmd,
      struct found *f,
      struct bb_store_result *result)
{
    if (!f->is_there) {
        return 0;
    }
    int rc = drop_record(a, BB_STORE_ERASED, &cmd->key, f);
    result->changed = rc == 0;
    return rc;
}

static int
put(struct bbi_apply *a,
    const struct bb_store_cmd *cmd,
    struct found *f,
    struct bb_store_result *result)
{
    uint64_t version = f->is_there ? f->rec.version : 0;
    bool is_refused = (cmd->op == BB_STORE_PUT_UNIQUE && f->is_there)
                      || (cmd->op == BB_STORE_PUT_IF && version != cmd->if_version);
    if (is_refused) {
        result->code = cmd->op == BB_STORE_PUT_IF ? BB_EBUSY : BB_EEXIST;
        result->version = version;
        return 0;
    }
    int rc = f->is_there && a->has_log ? copy_old(a, f) : 0;
    int64_t deadline_ns = deadline_of(a, cmd, f->is_there ? f->rec.expires_ns : 0);
    return rc < 0 ? rc : put_record(a, cmd, f, &cmd->value, deadline_ns, result);
}

/* The same value, another deadline. */
static int
expire_later(struct bbi_apply *a,
             const struct bb_store_cmd *cmd,
             struct found *f,
             struct bb_store_result *result)
{
    int64_t deadline_ns = deadline_of(a, cmd, f->rec.expires_ns);
    result->version = f->rec.version;
    if (deadline_ns == f->rec.expires_ns) {
        return 0;
    }
    int rc = copy_old(a, f);
    return rc < 0 ? rc : put_record(a, cmd, f, &f->rec.value, deadline_ns, result);
}

static int
change(struct bbi_apply *a,
       const struct bb_store_cmd *cmd,
       struct found *f,
       struct bb_store_result *result)
{
    bool is_changed;
    struct bb_value value;
    if (f->is_there && (a->has_log || cmd->op == BB_STORE_POP)) {
        int rc = copy_old(a, f);
        if (rc < 0) {
            return rc;
        }
    }
    const struct bb_value *old = f->is_there ? &f->rec.value : NULL;
    int code = bbi_op_apply(cmd, old, &a->made, &is_changed, &value);
    result->code = code;
    result->version = f->is_there ? f->rec.version : 0;
    if (code < 0) {
        return 0;
    }
    result->value = value;
    if (is_changed) {
        const struct bb_value made = {a->made.p, a->made.bytes};
        int64_t old_ns = f->is_there ? f->rec.expires_ns : 0;
        return put_record(a, cmd, f, &made, deadline_of(a, cmd, old_ns), result);
    }
    return f->is_there ? expire_later(a, cmd, f, result) : 0;
}

static int
get(const struct found *f, struct bb_store_result *result)
{
    if (!f->is_there) {
        result->code = BB_ENOENT;
        return 0;
    }
    result->version = f->rec.version;
    result->value = f->rec.value;
    return 0;
}

/* ---- clear ---- */

static int
log_cleared(struct bbi_apply *a, const struct bbi_record *rec)
{
    bool is_due = bbi_is_due(rec, a->now_ns);
    struct bb_store_change c = {.kind = is_due ? BB_STORE_EXPIRED : BB_STORE_ERASED,
                                .node_id = is_due ? a->master_id : a->node_id,
                                .node = is_due ? a->master : a->node};
    int rc = bbi_made_copy(&a->made, &rec->key);
    rc = rc < 0 ? rc : bbi_made_copy(&a->old, &rec->value);
    if (rc < 0) {
        return rc;
    }
    c.key = (struct bb_value){a->made.p, a->made.bytes};
    c.old = (struct bb_value){a->old.p, a->old.bytes};
    a->state->version++;
    a->state->expired += is_due;
    return write_log(a, &c, rec->expires_ns);
}

static int
log_all_cleared(struct bbi_apply *a)
{
    struct bbi_db_cursor *c;
    struct bbi_bytes k;
    struct bbi_bytes v;
    struct bbi_record rec;
    int rc = bbi_db_cursor_open(&c, a->txn, BBI_DB_MAIN);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_db_seek(c, (struct bbi_bytes){NULL, 0}, &k, &v);
    while (rc == 0) {
        if (bbi_record_read(&rec, v) == 0) { /* a damaged one goes without a word */
            rc = log_cleared(a, &rec);
        }
        rc = rc < 0 ? rc : bbi_db_next(c, &k, &v);
    }
    bbi_db_cursor_close(c);
    return rc == BB_ENOENT ? 0 : rc;
}

int
bbi_log_restart(struct bbi_apply *a)
{
    a->state->log_first = a->has_log ? a->state->version + 1 : 0;
    a->state->log_bytes = 0;
    return bbi_apply_drop(a, BBI_DB_LOG);
}

static int
clear(struct bbi_apply *a, struct bb_store_result *result)
{
    uint64_t keys = bbi_db_entries(a->txn, BBI_DB_MAIN);
    bool is_logged = a->has_log && keys <= CLEAR_LOG_MAX;
    int rc = 0;
    if (keys == 0) {
        return 0;
    }
    if (is_logged) {
        rc = log_all_cleared(a);
    } else {
        a->state->version += keys;
    }
    rc = rc < 0 ? rc : bbi_apply_drop(a, BBI_DB_MAIN);
    rc = rc < 0 ? rc : bbi_apply_drop(a, BBI_DB_EXPIRY);
    if (rc == 0 && a->has_log && !is_logged) {
        rc = bbi_log_restart(a);
    }
    result->changed = 1;
    return rc;
}

/* ---- one command ---- */

int
bbi_apply_expired(struct bbi_apply *a,
                  const struct bb_value *key,
                  const struct bbi_key *at,
                  const struct bbi_record *rec)
{
    struct found f = {.at = *at, .rec = *rec, .is_there = true};
    return drop_record(a, BB_STORE_EXPIRED, key, &f);
}

/* Where the key is; one that is due goes first.  result->code when the command cannot run. */
static int
look_up(struct bbi_apply *a,
        const struct bb_store_cmd *cmd,
        struct found *f,
        struct bb_store_result *result)
{
    int rc = bbi_find_any(a->txn, &cmd->key, &f->at, &f->rec);
    f->is_there = rc == 0;
    if (rc < 0 && rc != BB_ENOENT) {
        result->code = rc;
        return 0;
    }
    if (!f->is_there || !bbi_is_due(&f->rec, a->now_ns)) {
        return 0;
    }
    if (cmd->op == BB_STORE_GET) {
        f->is_there = false;
        return 0;
    }
    return drop_record(a, BB_STORE_EXPIRED, &cmd->key, f);
}

/* Out of memory is the command's own misfortune; all else is the transaction's. */
static int
settle(int rc, struct bb_store_result *result)
{
    if (rc == BB_ENOMEM && result->changed == 0) {
        result->code = rc;
        return 0;
    }
    return rc;
}

int
bbi_apply(struct bbi_apply *a, const struct bb_store_cmd *cmd, struct bb_store_result *result)
{
    struct found f;
    *result = (struct bb_store_result){0};
    if (!bbi_cmd_is_whole(cmd) || cmd->op >= BBI_OP_COUNT) {
        result->code = BB_EINVAL;
        return 0;
    }
    if (cmd->op == BB_STORE_CLEAR) {
        return clear(a, result);
    }
    int rc = look_up(a, cmd, &f, result);
    if (rc < 0 || result->code < 0) {
        return rc;
    }
    switch (cmd->op) {
    case BB_STORE_PUT:
    case BB_STORE_PUT_UNIQUE:
    case BB_STORE_PUT_IF:
        return settle(put(a, cmd, &f, result), result);
    case BB_STORE_ERASE:
        return settle(erase(a, cmd, &f, result), result);
    case BB_STORE_GET:
        return get(&f, result);
    case BB_STORE_EXPIRE:
        if (!f.is_there) {
            result->code = BB_ENOENT;
            return 0;
        }
        return settle(expire_later(a, cmd, &f, result), result);
    default:
        return settle(change(a, cmd, &f, result), result);
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/lmdb.c - bare LMDB: what our stores stand on, without processes between, types, expiry or versions.
 *
 * Same       key bytes and record bytes as ours has for the same key and value; commands in a transaction as many
 *            as ours commits at most; memory: MDB_NOSYNC on a tmpfs; durable: the full sync of each commit.  Reads
 *            are transactions that are renewed for each batch, as our views are.
 * Processes  each opens the environment itself; writers take turns at LMDB's own lock, a transaction each.
 */
#include "bench/store.h"

#include <lmdb.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    KEY_BYTES = BENCH_STORE_KEY_BYTES + 1, /* ours: the type before it */
    HEAD_BYTES =
        32 + 8 + BENCH_STORE_KEY_BYTES + 8, /* ours: record's head, key, head of the value */
    READERS = 256,
};
static const size_t map_bytes = (size_t)4 << 30; /* addresses only */

struct client {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *writer; /* NULL: none is open */
    MDB_txn *reader; /* reset between views; NULL: never begun */
    unsigned open, commit, batch;
    size_t size;
    unsigned char *record;
};

static int
complain(const char *what, int rc)
{
    (void)fprintf(stderr, "lmdb: %s: %s.\n", what, mdb_strerror(rc));
    return -1;
}

static void
describe(const struct bench_setup *s, FILE *out)
{
    int major, minor, patch;
    (void)mdb_version(&major, &minor, &patch);
    (void)fprintf(out,
                  "LMDB %d.%d.%d, stores only, %s, %u commands a transaction, records of %zu bytes "
                  "as ours for the same value",
                  major, minor, patch, s->is_durable ? "synced" : "MDB_NOSYNC on a tmpfs",
                  s->commit, HEAD_BYTES + s->size);
}

static void
close_client(void *client)
{
    struct client *c = client;
    if (c->writer != NULL) {
        mdb_txn_abort(c->writer);
    }
    if (c->reader != NULL) {
        mdb_txn_abort(c->reader);
    }
    if (c->env != NULL) {
        mdb_env_close(c->env);
    }
    free(c->record);
    free(c);
}

static int
open_env(const struct bench_setup *s, struct client *c)
{
    MDB_txn *txn;
    int rc = mdb_env_create(&c->env);
    if (rc == 0) {
        (void)mdb_env_set_mapsize(c->env, map_bytes);
        (void)mdb_env_set_maxreaders(c->env, READERS);
        (void)mdb_env_set_maxdbs(c->env, 2);
        rc = mdb_env_open(c->env, s->is_durable ? s->disk_dir : s->dir,
                          MDB_NOTLS | MDB_NORDAHEAD | (s->is_durable ? 0u : MDB_NOSYNC), 0600);
    }
    rc = rc == 0 ? mdb_txn_begin(c->env, NULL, 0, &txn) : rc;
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "main", MDB_CREATE, &c->dbi);
        if (rc == 0) {
            rc = mdb_txn_commit(txn);
        } else {
            mdb_txn_abort(txn);
        }
    }
    return rc == 0 ? 0 : complain("cannot open", rc);
}

static int
open_client(const struct bench_setup *s, void *shared, unsigned index, void **client)
{
    struct client *c = calloc(1, sizeof(*c));
    (void)shared;
    (void)index;
    if (c == NULL) {
        return complain("cannot open", MDB_PANIC);
    }
    c->commit = s->commit;
    c->batch = s->batch;
    c->size = s->size;
    c->record = calloc(1, HEAD_BYTES + s->size);
    if (c->record == NULL || open_env(s, c) < 0) {
        close_client(c);
        return -1;
    }
    *client = c;
    return 0;
}

static void
make_key(unsigned char out[KEY_BYTES], uint64_t number)
{
    out[0] = 5;
    bench_store_key((char *)out + 1, number);
}

/* ---- writing ----------------------------------------------------------------------------------- */

static int
commit(struct client *c)
{
    MDB_txn *txn = c->writer;
    c->writer = NULL;
    c->open = 0;
    int rc = txn != NULL ? mdb_txn_commit(txn) : 0;
    return rc == 0 ? 0 : complain("cannot commit", rc);
}

static int
write_one(struct client *c, struct bench_store_work *w)
{
    unsigned char bytes[KEY_BYTES];
    uint64_t number = w->next % w->keys;
    MDB_val key = {sizeof(bytes), bytes}, val = {HEAD_BYTES + c->size, c->record};
    make_key(bytes, number);
    bench_store_fill(c->record + HEAD_BYTES, c->size, number, w->next / w->keys);
    w->next++;
    int rc = mdb_put(c->writer, c->dbi, &key, &val,
                     w->op == BENCH_STORE_PUT_UNIQUE ? MDB_NOOVERWRITE : 0);
    if (rc != 0 && rc != MDB_KEYEXIST) {
        return complain("cannot put", rc);
    }
    bench_store_result(w, rc == 0, false);
    return 0;
}

static int
write_all(void *client, struct bench_store_work *w, uint64_t count)
{
    struct client *c = client;
    for (uint64_t i = 0; i < count; i++) {
        int rc = c->writer == NULL ? mdb_txn_begin(c->env, NULL, 0, &c->writer) : 0;
        if (rc != 0) {
            return complain("cannot begin", rc);
        }
        if (write_one(c, w) < 0 || (++c->open >= c->commit && commit(c) < 0)) {
            return -1;
        }
    }
    return 0;
}

static int
settle(void *client, struct bench_store_work *w)
{
    (void)w;
    return commit(client);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static int
begin_view(struct client *c)
{
    int rc = c->reader == NULL ? mdb_txn_begin(c->env, NULL, MDB_RDONLY, &c->reader)
                               : mdb_txn_renew(c->reader);
    return rc == 0 ? 0 : complain("cannot read", rc);
}

static int
get_one(struct client *c, struct bench_store_reads *r)
{
    unsigned char bytes[KEY_BYTES];
    uint64_t number = r->next % r->keys;
    MDB_val key = {sizeof(bytes), bytes}, val;
    make_key(bytes, number);
    int rc = mdb_get(c->reader, c->dbi, &key, &val);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return complain("cannot get", rc);
    }
    if (rc == 0 && val.mv_size > HEAD_BYTES) {
        bench_store_take(r, number, (const unsigned char *)val.mv_data + HEAD_BYTES,
                         val.mv_size - HEAD_BYTES);
    } else {
        bench_store_take(r, number, NULL, 0);
    }
    return 0;
}

static int
get_all(void *client, struct bench_store_reads *r, uint64_t count)
{
    struct client *c = client;
    for (uint64_t done = 0; done < count;) {
        if (begin_view(c) < 0) {
            return -1;
        }
        for (unsigned i = 0; i < c->batch && done < count; i++, done++) {
            if (get_one(c, r) < 0) {
                return -1;
            }
        }
        mdb_txn_reset(c->reader);
    }
    return 0;
}

static int64_t
count_keys(void *client)
{
    struct client *c = client;
    MDB_stat st;
    if (begin_view(c) < 0) {
        return -1;
    }
    int rc = mdb_stat(c->reader, c->dbi, &st);
    mdb_txn_reset(c->reader);
    return rc == 0 ? (int64_t)st.ms_entries : complain("cannot count", rc);
}

static const struct bench_store_driver store = {
    .describe = describe,
    .open = open_client,
    .write = write_all,
    .settle = settle,
    .get = get_all,
    .count = count_keys,
    .close = close_client,
};

const struct bench_driver bench_driver_lmdb = {
    .name = "lmdb",
    .can = BENCH_CAN_STORE | BENCH_CAN_DURABLE,
    .describe = describe,
    .store = &store,
};

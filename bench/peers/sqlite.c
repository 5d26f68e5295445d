/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/sqlite.c - SQLite: one table in WAL mode, prepared statements, transactions of as many commands as ours
 * commits at most.
 *
 * Memory     the file on a tmpfs, synchronous = OFF.  Durable: on a disk, synchronous = FULL.
 * Processes  each has a connection; writers wait for each other (busy_timeout), a transaction each.
 */
#include "bench/store.h"

#include <sqlite3.h>
#include <stdlib.h>

struct client {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *put, *put_unique, *get, *count;
    unsigned open, commit_every, batch;
    size_t size;
    unsigned char *value;
};

static int
complain(const struct client *c, const char *what)
{
    (void)fprintf(stderr, "sqlite: %s: %s.\n", what,
                  c != NULL && c->db != NULL ? sqlite3_errmsg(c->db) : "no memory");
    return -1;
}

static void
describe(const struct bench_setup *s, FILE *out)
{
    (void)fprintf(out,
                  "SQLite %s, stores only, one table without rowid, WAL, synchronous = %s, "
                  "prepared statements, %u commands a transaction",
                  sqlite3_libversion(), s->is_durable ? "FULL" : "OFF on a tmpfs", s->commit);
}

static void
close_client(void *client)
{
    struct client *c = client;
    sqlite3_stmt *const all[] = {c->begin, c->commit, c->put, c->put_unique, c->get, c->count};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        (void)sqlite3_finalize(all[i]);
    }
    (void)sqlite3_close(c->db);
    free(c->value);
    free(c);
}

static int
open_db(const struct bench_setup *s, struct client *c)
{
    char path[256], setup[256];
    (void)snprintf(path, sizeof(path), "%s/store.db", s->is_durable ? s->disk_dir : s->dir);
    (void)snprintf(setup, sizeof(setup),
                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s;"
                   "CREATE TABLE IF NOT EXISTS store (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID;",
                   s->is_durable ? "FULL" : "OFF");
    if (sqlite3_open(path, &c->db) != SQLITE_OK || sqlite3_busy_timeout(c->db, 20000) != SQLITE_OK
        || sqlite3_exec(c->db, setup, NULL, NULL, NULL) != SQLITE_OK) {
        return complain(c, "cannot open");
    }
    const struct {
        sqlite3_stmt **to;
        const char *text;
    } all[] = {
        {&c->begin, "BEGIN IMMEDIATE"},
        {&c->commit, "COMMIT"},
        {&c->put, "INSERT INTO store VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v"},
        {&c->put_unique, "INSERT OR IGNORE INTO store VALUES (?1, ?2)"},
        {&c->get, "SELECT v FROM store WHERE k = ?1"},
        {&c->count, "SELECT count(*) FROM store"},
    };
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (sqlite3_prepare_v3(c->db, all[i].text, -1, SQLITE_PREPARE_PERSISTENT, all[i].to, NULL)
            != SQLITE_OK) {
            return complain(c, "cannot prepare");
        }
    }
    return 0;
}

static int
open_client(const struct bench_setup *s, void *shared, unsigned index, void **client)
{
    struct client *c = calloc(1, sizeof(*c));
    (void)shared;
    (void)index;
    if (c == NULL) {
        return complain(NULL, "cannot open");
    }
    c->commit_every = s->commit;
    c->batch = s->batch;
    c->size = s->size;
    c->value = malloc(s->size);
    if (c->value == NULL || open_db(s, c) < 0) {
        close_client(c);
        return -1;
    }
    *client = c;
    return 0;
}

static int
run(struct client *c, sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    (void)sqlite3_reset(statement);
    return rc == SQLITE_DONE ? 0 : complain(c, "cannot run a statement");
}

/* ---- writing ----------------------------------------------------------------------------------- */

static int
commit(struct client *c)
{
    if (c->open == 0) {
        return 0;
    }
    c->open = 0;
    return run(c, c->commit);
}

static int
write_one(struct client *c, struct bench_store_work *w)
{
    sqlite3_stmt *st = w->op == BENCH_STORE_PUT ? c->put : c->put_unique;
    char key[BENCH_STORE_KEY_BYTES];
    uint64_t number = w->next % w->keys;
    bench_store_key(key, number);
    bench_store_fill(c->value, c->size, number, w->next / w->keys);
    w->next++;
    (void)sqlite3_bind_blob(st, 1, key, sizeof(key), SQLITE_STATIC);
    (void)sqlite3_bind_blob(st, 2, c->value, (int)c->size, SQLITE_STATIC);
    if (run(c, st) < 0) {
        return -1;
    }
    bench_store_result(w, sqlite3_changes(c->db) == 1, false);
    return 0;
}

static int
write_all(void *client, struct bench_store_work *w, uint64_t count)
{
    struct client *c = client;
    for (uint64_t i = 0; i < count; i++) {
        if (c->open == 0 && run(c, c->begin) < 0) {
            return -1;
        }
        if (write_one(c, w) < 0 || (++c->open >= c->commit_every && commit(c) < 0)) {
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
get_one(struct client *c, struct bench_store_reads *r)
{
    char key[BENCH_STORE_KEY_BYTES];
    uint64_t number = r->next % r->keys;
    bench_store_key(key, number);
    (void)sqlite3_bind_blob(c->get, 1, key, sizeof(key), SQLITE_STATIC);
    int rc = sqlite3_step(c->get);
    if (rc == SQLITE_ROW) {
        const void *value = sqlite3_column_blob(c->get, 0);
        bench_store_take(r, number, value, (size_t)sqlite3_column_bytes(c->get, 0));
    } else if (rc == SQLITE_DONE) {
        bench_store_take(r, number, NULL, 0);
    }
    (void)sqlite3_reset(c->get);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : complain(c, "cannot get");
}

/* A batch is one view, as with the others: one read transaction. */
static int
get_all(void *client, struct bench_store_reads *r, uint64_t count)
{
    struct client *c = client;
    for (uint64_t done = 0; done < count;) {
        bool is_view = c->batch > 1;
        if (is_view && sqlite3_exec(c->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
            return complain(c, "cannot begin");
        }
        for (unsigned i = 0; i < c->batch && done < count; i++, done++) {
            if (get_one(c, r) < 0) {
                return -1;
            }
        }
        if (is_view && run(c, c->commit) < 0) {
            return -1;
        }
    }
    return 0;
}

static int64_t
count_keys(void *client)
{
    struct client *c = client;
    int64_t count = -1;
    if (sqlite3_step(c->count) == SQLITE_ROW) {
        count = sqlite3_column_int64(c->count, 0);
    }
    (void)sqlite3_reset(c->count);
    return count >= 0 ? count : complain(c, "cannot count");
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

const struct bench_driver bench_driver_sqlite = {
    .name = "sqlite",
    .can = BENCH_CAN_STORE | BENCH_CAN_DURABLE,
    .describe = describe,
    .store = &store,
};

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/info.c - what a store says of itself.
 *
 * From the ctl and the directory alone, so that looking maps no database and takes no reader's slot.  A handle that
 * reads in place asks LMDB besides: what it tells of readers and pages then is of now, master or not.
 */
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/for_store.h"
#include "lib/store/store_impl.h"
#include "shm/os.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CTL_MEMORY = 1, CTL_RELAXED = 2 };

/* ---- one ----------------------------------------------------------------------------------------- */

static void
fill_master(struct bb_store_info *out, const struct bbi_store_dir *dir)
{
    struct bbi_store_master m;
    bbi_store_dir_master(dir, &m);
    out->has_master = bbi_store_dir_is_served(dir) == 1;
    out->master_pid = m.pid;
    out->master_id = m.id;
    (void)snprintf(out->master_node, sizeof(out->master_node), "%s", m.node);
}

/* Of the generation that counts, when no master told. */
static uint64_t
bytes_on_disk(const struct bbi_store_dir *dir)
{
    struct stat st;
    return fstatat(dir->fd, "current/data.mdb", &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

/* Relaxed: statistics, each its own word. */
static void
fill_from_ctl(struct bb_store_info *out, const struct bbi_store_dir *dir)
{
    const struct bbi_store_ctl *ctl = dir->ctl;
    uint64_t flags = bbi_load_relaxed(&ctl->flags);
    out->is_memory = (flags & CTL_MEMORY) != 0;
    out->is_relaxed = (flags & CTL_RELAXED) != 0;
    out->generation = (uint32_t)bbi_load_relaxed(&ctl->generation);
    out->version = bbi_load_acquire(&ctl->version); /* S1 */
    out->keys = bbi_load_relaxed(&ctl->keys);
    out->bytes = bbi_load_relaxed(&ctl->file_bytes);
    out->bytes = out->bytes != 0 ? out->bytes : bytes_on_disk(dir);
    out->used_bytes = bbi_load_relaxed(&ctl->used_bytes);
    out->quota_bytes = bbi_load_relaxed(&ctl->quota_bytes);
    out->commands = bbi_load_relaxed(&ctl->commands);
    out->commits = bbi_load_relaxed(&ctl->commit_count);
    out->refused = bbi_load_relaxed(&ctl->refused);
    out->repeated = bbi_load_relaxed(&ctl->repeated);
    out->expired = bbi_load_relaxed(&ctl->expired);
    out->due = bbi_load_relaxed(&ctl->due);
    out->expiry_lag_ns = (int64_t)bbi_load_relaxed(&ctl->lag_ns);
    out->watchers = bbi_load_relaxed(&ctl->watchers);
    out->log_first = bbi_load_relaxed(&ctl->has_log) != 0 ? bbi_load_relaxed(&ctl->log_first) : 0;
    out->held_bytes = bbi_load_relaxed(&ctl->held_bytes);
    out->last_error = (int64_t)bbi_load_relaxed(&ctl->last_error);
}

/* readers' words of the ctl, as the master last saw them */
static void
fill_readers(struct bb_store_info *out, const struct bbi_store_ctl *ctl)
{
    uint64_t txn = bbi_load_relaxed(&ctl->oldest_txn);
    uint64_t last = bbi_load_relaxed(&ctl->last_txn);
    uint64_t since = bbi_load_relaxed(&ctl->oldest_since_ns);
    int64_t now = bbi_os_mono_ns();
    out->readers = bbi_load_relaxed(&ctl->readers);
    out->oldest_pid = (int64_t)bbi_load_relaxed(&ctl->oldest_pid);
    out->oldest_behind = out->oldest_pid != 0 && last > txn ? last - txn : 0;
    out->oldest_ns =
        out->oldest_pid != 0 && since != 0 && now > (int64_t)since ? now - (int64_t)since : 0;
}

static void
fill_from_dir(struct bb_store_info *out, const char *name, const struct bbi_store_dir *dir)
{
    *out = (struct bb_store_info){0};
    (void)snprintf(out->name, sizeof(out->name), "%s", name);
    (void)snprintf(out->path, sizeof(out->path), "%s", dir->path);
    fill_master(out, dir);
    fill_from_ctl(out, dir);
    fill_readers(out, dir->ctl);
}

/* Of now, and our own view among the others. */
static int
add_usage(struct bb_store *s, struct bb_store_info *out)
{
    struct bbi_db_txn *txn;
    struct bbi_db_usage u;
    bool was_viewing = s->is_viewing;
    int rc = bbi_read_enter(s, &txn);
    if (rc < 0) {
        return rc;
    }
    out->keys = bbi_db_entries(txn, BBI_DB_MAIN);
    if (!was_viewing) {
        bbi_read_leave(s);
    }
    rc = bbi_db_usage(s->reader.env, &u);
    if (rc < 0) {
        return rc;
    }
    bool is_as_noticed =
        u.oldest_pid == out->oldest_pid
        && u.oldest_txn == bbi_load_relaxed(&s->dir.ctl->oldest_txn); /* a statistic */
    out->bytes = bbi_max_u64(out->bytes, u.file_bytes); /* others of its generations too */
    out->used_bytes = u.file_bytes - bbi_min_u64(u.file_bytes, u.free_bytes + u.held_bytes);
    /* Who is in a generation that was replaced has the oldest view, and only the master can see it. */
    uint64_t retired_bytes = bbi_load_relaxed(&s->dir.ctl->retired_bytes);
    out->held_bytes = retired_bytes + u.held_bytes;
    if (retired_bytes != 0 && out->oldest_pid != 0) {
        return 0;
    }
    out->readers = u.readers;
    out->oldest_pid = u.oldest_pid;
    out->oldest_behind =
        u.oldest_pid != 0 && u.last_txn > u.oldest_txn ? u.last_txn - u.oldest_txn : 0;
    out->oldest_ns = is_as_noticed ? out->oldest_ns : 0;
    return 0;
}

int
bb_store_info(struct bb_store *s, struct bb_store_info *out)
{
    struct bb_store_info info;
    if (bbi_is_forked(s->fork_gen)) {
        return BB_EFORKED;
    }
    if (out == NULL || (out->size != 0 && out->size < sizeof(out->size))) {
        return BB_EINVAL;
    }
    fill_from_dir(&info, s->name, &s->dir);
    int rc = (s->flags & BB_STORE_BY_REQUEST) == 0 ? add_usage(s, &info) : 0;
    if (rc == 0) {
        bbi_stats_give(out, &info, sizeof(info));
    }
    return rc;
}

/* ---- all of a bus -------------------------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
free_names(char **names, size_t count)
{
    for (size_t i = 0; names != NULL && i < count; i++) {
        free(names[i]);
    }
    free((void *)names);
}

/* The names in BUS/stores, sorted.  How many, or a status. */
static int64_t
list_names(const char *bus_path, char ***out)
{
    char path[512];
    char **names = NULL;
    size_t count = 0, cap = 0;
    const struct dirent *e;
    (void)snprintf(path, sizeof(path), "%s/stores", bus_path);
    DIR *dir = opendir(path);
    *out = NULL;
    if (dir == NULL) {
        return errno == ENOENT ? 0 : -errno;
    }
    while ((e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (!bbi_store_name_ok(e->d_name)) {
            continue;
        }
        if (count == cap) {
            cap = cap == 0 ? 16 : cap * 2;
            char **more = realloc((void *)names, cap * sizeof(*names));
            if (more == NULL) {
                break;
            }
            names = more;
        }
        names[count] = strdup(e->d_name);
        if (names[count] == NULL) {
            break;
        }
        count++;
    }
    (void)closedir(dir);
    if (e != NULL) {
        free_names(names, count);
        return BB_ENOMEM;
    }
    if (count > 0) {
        qsort((void *)names, count, sizeof(*names), by_name);
    }
    *out = names;
    return (int64_t)count;
}

/* Tells of one; nothing of what is no store, or of one that was removed or may not be seen.  1, 0, the callback's. */
static int
tell_of(const char *bus_path, const char *name, bb_store_info_cb cb, void *user, int *said)
{
    char path[256];
    struct bbi_store_dir dir;
    struct bb_store_info info;
    if (bbi_store_dir_find(bus_path, name, path) < 0
        || bbi_store_dir_open(&dir, path, true, NULL) < 0) {
        return 0;
    }
    fill_from_dir(&info, name, &dir);
    bbi_store_dir_close(&dir);
    info.size = sizeof(info);
    *said = cb(&info, user);
    return 1;
}

int
bb_look_stores(struct bb_look *look, bb_store_info_cb cb, void *user)
{
    const char *bus_path = bbi_look_path(look);
    char **names;
    int told = 0;
    int said = 0;
    if (bus_path == NULL) {
        return BB_EFORKED;
    }
    int64_t count = list_names(bus_path, &names);
    for (int64_t i = 0; names != NULL && i < count && said == 0; i++) {
        told += tell_of(bus_path, names[i], cb, user, &said);
    }
    if (count > 0) {
        free_names(names, (size_t)count);
    }
    return count < 0 ? (int)count : said != 0 ? said : told;
}

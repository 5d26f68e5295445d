/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/copy.c - a backup while the store is in use, and compaction for whoever asks for it.
 *
 * A copy is a store of its own: PATH/current, PATH/gen-1, and whoever opens PATH as a master serves it.  It grows as
 * PATH.new and is renamed when it is whole and synced, so PATH either is a store or is not there.
 * It is one state of the store: a view that lasts as long as the copy, and holds pages meanwhile as any other does.
 */
#include "lib/store/quota.h"
#include "lib/store/store_impl.h"
#include "lib/store/verify.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_NS INT64_C(2000000)
#define LOOK_NS INT64_C(5000000) /* between two looks at a compaction that the master does */

/* ---- copy ---- */

static int
write_copy(struct bbi_db_env *env, const char *gen_path, mode_t mode)
{
    char path[384];
    (void)snprintf(path, sizeof(path), "%s/data.mdb", gen_path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return -errno;
    }
    int rc = fchmod(fd, mode) < 0 ? -errno : bbi_db_copy(env, fd);
    if (rc == 0 && fdatasync(fd) < 0) {
        rc = -errno;
    }
    (void)close(fd);
    return rc;
}

/* It is another store: clones of the first must not take it for theirs.  Its generation is 1, and it is whole. */
static int
make_it_its_own(const char *gen_path, mode_t mode)
{
    static const char name[] = BBI_META_STATE;
    const struct bbi_bytes key = {name, sizeof(name) - 1};
    struct bbi_db_env *env = NULL;
    struct bbi_db_txn *txn = NULL;
    struct bbi_state state;
    struct bbi_bytes raw;
    struct stat st;
    char path[384];
    (void)snprintf(path, sizeof(path), "%s/data.mdb", gen_path);
    int rc = stat(path, &st) < 0 ? -errno : 0;
    if (rc == 0) {
        rc =
            bbi_db_open(&env, gen_path, (uint64_t)st.st_size + (UINT64_C(16) << 20), 0, mode, NULL);
    }
    if (rc < 0) {
        return rc;
    }
    rc = bbi_db_write_begin(env, NULL, &txn);
    if (rc == 0) {
        rc = bbi_db_get(txn, BBI_DB_META, key, &raw);
        rc = rc == 0 && raw.bytes != sizeof(state) ? BB_ECORRUPT : rc;
        if (rc == 0) {
            memcpy(&state, raw.p, sizeof(state));
            state.is_clean = 1;
            state.generation = 1;
            bbi_os_random(state.store_id, sizeof(state.store_id));
            rc = bbi_db_put(txn, BBI_DB_META, key, (struct bbi_bytes){&state, sizeof(state)}, 0);
        }
        if (rc == 0) {
            rc = bbi_db_commit(txn);
        } else {
            bbi_db_abort(txn);
        }
    }
    bbi_db_close(env);
    return rc;
}

/* The environment of the state that counts, while a view of it is open. */
static int
fill(struct bb_store *s, const struct bbi_store_dir *to)
{
    struct bbi_db_txn *view = NULL;
    char path[320];
    bbi_store_dir_gen_path(to, 1, true, path);
    int rc = bbi_store_dir_make_gen(to, 1, true);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_read_enter(s, &view);
    if (rc == 0) {
        rc = write_copy(s->reader.env, path, to->file_mode);
        bbi_read_leave(s);
    }
    BBI_HOOK("store:copy_written");
    rc = rc == 0 ? make_it_its_own(path, to->file_mode) : rc;
    return rc == 0 ? bbi_store_dir_switch(to, 1) : rc;
}

static void
remove_copy(struct bbi_store_dir *to, const char *path)
{
    bbi_store_dir_tidy(to, 0);
    (void)unlinkat(to->fd, "ctl", 0);
    (void)unlinkat(to->fd, "current", 0);
    (void)unlinkat(to->fd, "lock", 0);
    (void)rmdir(path);
}

int
bb_store_copy(struct bb_store *s, const char *path)
{
    struct bbi_store_dir to;
    struct stat st;
    char new_path[256];
    if (s == NULL || path == NULL || path[0] == '\0') {
        return BB_EINVAL;
    }
    if (snprintf(new_path, sizeof(new_path), "%s.new", path) >= (int)sizeof(new_path)) {
        return BB_ENAMETOOLONG;
    }
    if (lstat(path, &st) == 0) {
        return BB_EEXIST;
    }
    /* Left by one that was ended: its lock is free, and what is in it does not count. */
    int rc = bbi_store_dir_make(&to, new_path, false, false, NULL);
    if (rc < 0) {
        return rc;
    }
    bbi_store_dir_tidy(&to, 0);
    (void)unlinkat(to.fd, "current", 0);
    rc = fill(s, &to);
    (void)unlinkat(to.fd, "ctl",
                   0); /* nobody served it yet: who looks at it makes a ctl of their own */
    BBI_HOOK("store:copy_whole");
    if (rc == 0 && renameat2(AT_FDCWD, new_path, AT_FDCWD, path, RENAME_NOREPLACE) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        remove_copy(&to, new_path);
    }
    rc = rc == 0 ? bbi_store_dir_sync_above(path) : rc;
    bbi_store_dir_close(&to);
    return rc;
}

/* ---- compact ---- */

/* The master itself: nothing comes between two steps, so it is only steps. */
static int
compact_here(struct bb_store *s)
{
    int rc = bbi_compaction_start(s);
    rc = rc == 0 || rc == BB_EBUSY ? 1 : rc;
    while (rc > 0) {
        rc = bbi_compaction_step(s, bbi_os_mono_ns() + STEP_NS);
    }
    return rc;
}

/* It is done when the generation is another; it is given up when its status says so. */
static int
wait_for_it(struct bb_store *s, uint64_t before)
{
    const struct bbi_store_ctl *ctl = s->dir.ctl;
    uint64_t bytes = 0;
    int64_t moved_ns = bbi_os_mono_ns();
    for (;;) {
        uint64_t now_bytes = bbi_load_relaxed(&ctl->compaction_bytes);
        int64_t status = (int64_t)bbi_load_acquire(&ctl->compaction_status);
        if (bbi_load_acquire(&ctl->generation) != before) { /* S2 */
            return 0;
        }
        if (status != BB_EAGAIN && status < 0) {
            return (int)status;
        }
        if (now_bytes != bytes) {
            bytes = now_bytes;
            moved_ns = bbi_os_mono_ns();
        }
        if (bbi_os_mono_ns() - moved_ns > s->timeout_ns) {
            return BB_ETIMEDOUT;
        }
        (void)bbi_os_sleep_ns(LOOK_NS);
    }
}

int
bb_store_compact(struct bb_store *s)
{
    if (s == NULL) {
        return BB_EINVAL;
    }
    if (s->ep == NULL) {
        return bbi_store_no_bus(s);
    }
    if (s->master != NULL) {
        return compact_here(s);
    }
    uint64_t before = bbi_load_acquire(&s->dir.ctl->generation); /* S2 */
    int rc = bbi_client_run(s, BBI_FRAME_COMPACT, NULL, 0, 0, NULL);
    return rc < 0 && rc != BB_EBUSY ? rc : wait_for_it(s, before);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/open.c - from a name to a handle: where the store is, whose turn it is, who may read in place.
 *
 *   MASTER   directory ──► lock ──► ctl ──► bbi_master_start()
 *   STANDBY  the same, and when the lock is taken a clone that bb_store_poll() makes master
 *   CLONE    waits for a ctl with a generation, opens it once to see that it can be read
 *   look     a clone without a bus; a store that nobody served on this boot has a ctl of our own
 */
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/for_store.h"
#include "lib/store/poll_impl.h"
#include "lib/store/watch_impl.h"
#include "shm/os.h"
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const int64_t WAIT_NS = INT64_C(5000000000);
static const int64_t LOOK_EVERY_NS = INT64_C(5000000);
static const uint64_t QUOTA_LEAST = UINT64_C(1) << 20;
static const uint64_t QUOTA_MEMORY = UINT64_C(1) << 30;
static const uint64_t QUOTA_DISK = UINT64_C(16) << 30;

enum {
    WINDOW_MOST = BBI_FRAMES,
    MASTER_FLAGS = BB_STORE_RELAXED | BB_STORE_FRESH | BB_STORE_START_EMPTY | BB_STORE_VERIFY,
    ALL_FLAGS = MASTER_FLAGS | BB_STORE_BY_REQUEST,
};

/* What the three ways of opening have in common. */
struct opening {
    struct bb_store_opts o;
    const char *bus_path; /* NULL: without a bus */
    const char *bus;      /* its name, for sentences */
    struct bbi_fault f;
};

/* ---- options ------------------------------------------------------------------------------------- */

static int64_t
boot_ns(void *user)
{
    (void)user;
    struct timespec ts;
    (void)clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t
wall_ns(void *user)
{
    (void)user;
    return bbi_os_wall_ns();
}

static const struct bb_store_clock KERNEL_CLOCK = {.boot_ns = boot_ns, .wall_ns = wall_ns};

static int
wrong(struct opening *op, const char *sentence)
{
    return bbi_fault_set(&op->f, BB_EINVAL, op->o.name != NULL ? op->o.name : "", "%s", sentence);
}

static int
check_opts(struct opening *op)
{
    const struct bb_store_opts *o = &op->o;
    if (o->name != NULL || op->bus_path != NULL) {
        if (!bbi_store_name_ok(o->name)) {
            return bbi_fault_set(
                &op->f, BB_EINVAL, o->name != NULL ? o->name : "",
                "'%.60s' cannot be a store's name: 1 to 47 of A-Z a-z 0-9 . _ -, no '.' in front",
                o->name != NULL ? o->name : "");
        }
    }
    if (o->role > BB_STORE_STANDBY) {
        return wrong(op, "the role is none of BB_STORE_CLONE, _MASTER and _STANDBY");
    }
    if (o->role == BB_STORE_CLONE ? (o->flags & MASTER_FLAGS) != 0
                                  : (o->flags & BB_STORE_BY_REQUEST) != 0) {
        return wrong(op, o->role == BB_STORE_CLONE
                             ? "RELAXED, FRESH, START_EMPTY and VERIFY are for a master"
                             : "BY_REQUEST is for a clone");
    }
    if (o->quota_bytes != 0 && o->quota_bytes < QUOTA_LEAST) {
        return wrong(op, "a quota is at least 1 MiB");
    }
    if (o->window > WINDOW_MOST || o->reserved != 0) {
        return wrong(op, o->reserved != 0 ? "`reserved` is 0" : "at most 16 frames can wait");
    }
    if (o->clock != NULL && (o->clock->boot_ns == NULL || o->clock->wall_ns == NULL)) {
        return wrong(op, "a clock has both functions");
    }
    return 0;
}

static int
take_opts(struct opening *op, const struct bb_store_opts *opts)
{
    int rc = BBI_OPTS_TAKE(struct bb_store_opts, &op->o, opts);
    return rc < 0 ? rc
                  : bbi_opts_flags(op->o.flags, ALL_FLAGS, "struct bb_store_opts", op->o.error);
}

static struct bb_store *
new_store(const struct bb_store_opts *o)
{
    struct bb_store *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    (void)snprintf(s->name, sizeof(s->name), "%s", o->name != NULL ? o->name : "");
    s->role = o->role;
    s->flags = o->flags;
    s->timeout_ns = o->timeout_ns != 0 ? o->timeout_ns : WAIT_NS;
    s->quota_bytes = o->quota_bytes;
    s->window = o->window != 0 ? o->window : WINDOW_MOST;
    s->done = o->done;
    s->user = o->user;
    s->clock = o->clock != NULL ? *o->clock : KERNEL_CLOCK;
    s->dir = (struct bbi_store_dir){.fd = -1, .lock_fd = -1};
    bbi_watch_forks();
    s->fork_gen = bbi_fork_gen;
    return s;
}

/* ---- where it is --------------------------------------------------------------------------------- */

/* The directory as everybody will name it; what it is may not be there yet, where it lies is. */
static int
resolve(const char *path, char out[256], struct bbi_fault *f)
{
    char buf[PATH_MAX], above[PATH_MAX];
    const char *whole = realpath(path, buf);
    if (whole == NULL && errno == ENOENT) {
        if (snprintf(above, sizeof(above), "%s", path) >= (int)sizeof(above)) {
            return bbi_fault_set(f, BB_ENAMETOOLONG, path, "the path is too long");
        }
        size_t n = strlen(above);
        while (n > 1 && above[n - 1] == '/') {
            above[--n] = '\0';
        }
        char *slash = strrchr(above, '/');
        const char *last = slash != NULL ? slash + 1 : above;
        char name[NAME_MAX + 1];
        (void)snprintf(name, sizeof(name), "%.*s", NAME_MAX, last);
        if (slash != NULL) {
            slash[slash == above ? 1 : 0] = '\0';
        }
        whole = realpath(slash != NULL ? above : ".", buf);
        if (whole != NULL) {
            n = strlen(buf);
            (void)snprintf(buf + n, sizeof(buf) - n, "%s%s", n > 1 ? "/" : "", name);
        }
    }
    if (whole == NULL) {
        int rc = -errno;
        return bbi_fault_set(f, rc, path, "cannot find '%s': %s", path, bbi_errno_text(-rc));
    }
    if (snprintf(out, 256, "%s", whole) >= 256) {
        return bbi_fault_set(f, BB_ENAMETOOLONG, path, "path '%s' is longer than 255 bytes", path);
    }
    return 0;
}

/* Of a master or standby.  *is_memory: it lies below the bus itself. */
static int
choose_place(struct opening *op, char path[256], bool *is_memory)
{
    const struct bb_store_opts *o = &op->o;
    char memory[512];
    int n = snprintf(memory, sizeof(memory), "%s/stores/%s", op->bus_path, o->name);
    if (o->path != NULL) {
        int rc = resolve(o->path, path, &op->f);
        *is_memory = rc == 0 && strcmp(path, memory) == 0;
        return rc;
    }
    int rc =
        o->role == BB_STORE_STANDBY ? bbi_store_dir_find(op->bus_path, o->name, path) : BB_ENOENT;
    if (rc == 0) {
        *is_memory = strcmp(path, memory) == 0;
        return 0;
    }
    *is_memory = true;
    if (n >= 256) {
        return bbi_fault_set(&op->f, BB_ENAMETOOLONG, memory, "path '%s' is too long", memory);
    }
    memcpy(path, memory, (size_t)n + 1);
    return 0;
}

static int
say_absent(struct opening *op, const char *where)
{
    return op->bus_path != NULL
               ? bbi_fault_set(&op->f, BB_ENOENT, op->o.name,
                               "there is no store '%s' on bus '%s'%s%s: start its master "
                               "(`busbar store serve %s`)",
                               op->o.name, op->bus, where != NULL ? ", nor in " : "",
                               where != NULL ? where : "", op->o.name)
               : bbi_fault_set(&op->f, BB_ENOENT, where, "there is no store in '%s'", where);
}

/* ---- other namespaces ---------------------------------------------------------------------------- */

/*
 * Who reads in place is known to be alive by its process id (LMDB's table of readers), which means nothing in
 * another namespace: the master would take its pages away.
 */
static int
check_namespace(struct bb_store *s, struct opening *op)
{
    struct bbi_store_master m;
    if ((s->flags & BB_STORE_BY_REQUEST) != 0 || s->dir.is_private) {
        return 0;
    }
    bbi_store_dir_master(&s->dir, &m);
    if (m.pidns == 0 || m.pidns == bbi_os_pidns()) {
        return 0;
    }
    return bbi_fault_set(&op->f, BB_ENOTSUP, s->dir.path,
                         "the store in '%s' is served from another PID namespace (process %" PRId64
                         ", '%s' there): open it with BB_STORE_BY_REQUEST, or share the namespace",
                         s->dir.path, m.pid, m.node);
}

/*
 * A master may be of another namespace than the last one, a container that was started again for example, unless
 * somebody of the old one still reads: who has the environment open holds byte 0 of lock.mdb.  With another
 * namespace's master this process never opened it, so that closing the descriptor loses no lock of ours.
 */
static int
check_other_readers(struct bb_store *s, struct opening *op)
{
    struct bbi_store_master m;
    bbi_store_dir_master(&s->dir, &m);
    if (m.pidns == 0 || m.pidns == bbi_os_pidns()) {
        return 0;
    }
    int fd = openat(s->dir.fd, "current/lock.mdb", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    bool is_read = fcntl(fd, F_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
    (void)close(fd);
    return !is_read ? 0
                    : bbi_fault_set(&op->f, BB_ENOTSUP, s->dir.path,
                                    "the store in '%s' is still read in another PID namespace, "
                                    "where its last master was: end those readers, or serve it "
                                    "from there",
                                    s->dir.path);
}

/* ---- clones -------------------------------------------------------------------------------------- */

/* A store without a master on this boot: its time goes on from the wall clock, never back. */
static int
fill_private(struct bb_store *s, struct bbi_db_txn *txn)
{
    struct bbi_state state;
    uint8_t boot_id[16];
    struct bbi_store_ctl *ctl = s->dir.ctl;
    int rc = bbi_read_state(txn, &state);
    if (rc < 0) {
        return rc;
    }
    bbi_os_boot_id(boot_id);
    int64_t base = state.base_ns;
    if (memcmp(state.boot_id, boot_id, sizeof(boot_id)) != 0) {
        int64_t wall = s->clock.wall_ns(s->clock.user);
        base = (wall > state.last_ns ? wall : state.last_ns) - s->clock.boot_ns(s->clock.user);
    }
    memcpy(ctl->store_id, state.store_id, sizeof(ctl->store_id));
    bbi_store_relaxed(&ctl->base_ns, (uint64_t)base); /* our own memory, all of it */
    bbi_store_relaxed(&ctl->version, state.version);
    bbi_store_relaxed(&ctl->log_first, state.log_first);
    bbi_store_relaxed(&ctl->expired, state.expired);
    return 0;
}

/* Reads nothing, but shows that it can be read. */
static int
try_reading(struct bb_store *s, struct opening *op)
{
    struct bbi_db_txn *txn;
    if ((s->flags & BB_STORE_BY_REQUEST) != 0) {
        return 0;
    }
    int rc = bbi_read_enter(s, &txn);
    if (rc == 0) {
        rc = s->dir.is_private ? fill_private(s, txn) : 0;
        bbi_read_leave(s);
    }
    if (rc < 0 && rc != BB_EAGAIN) {
        const char *what = rc == BB_EACCES     ? "; who reads it needs the right to write its "
                                                 "lock.mdb: be in its group"
                           : rc == BB_ECORRUPT ? "; restore a copy, or let its master start empty"
                           : rc == BB_EFULL    ? "; it has 4,096 readers: close some"
                                               : "";
        return bbi_fault_set(&op->f, rc, s->dir.path, "the store in '%s' cannot be read: %s%s",
                             s->dir.path, bb_strerror(rc), what);
    }
    return rc;
}

/* One look.  BB_ENOENT, BB_EAGAIN: not yet. */
static int
look_for_it(struct bb_store *s, struct opening *op, bool is_looking)
{
    char path[256];
    int rc = op->o.path != NULL ? resolve(op->o.path, path, &op->f)
                                : bbi_store_dir_find(op->bus_path, op->o.name, path);
    if (rc < 0) {
        return rc == BB_ENOENT ? say_absent(op, op->o.path) : rc;
    }
    rc = bbi_store_dir_open(&s->dir, path, is_looking, &op->f);
    if (rc < 0) {
        return rc == BB_ENOENT && is_looking ? say_absent(op, path) : rc;
    }
    rc = bbi_load_acquire(&s->dir.ctl->generation) == 0 ? BB_EAGAIN : 0; /* S2 */
    rc = rc < 0 ? rc : check_namespace(s, op);
    rc = rc < 0 ? rc : try_reading(s, op);
    if (rc == BB_EAGAIN) {
        (void)bbi_fault_set(&op->f, rc, path, "the store in '%s' is just being made", path);
    }
    if (rc < 0) {
        bbi_read_close(s);
        bbi_store_dir_close(&s->dir);
    }
    return rc;
}

static int
open_clone(struct bb_store *s, struct opening *op, bool is_looking)
{
    int64_t wait_ns = is_looking ? op->o.timeout_ns : s->timeout_ns; /* who looks says so */
    int64_t until = bbi_until_ns(wait_ns);
    int rc;
    for (;;) {
        rc = look_for_it(s, op, is_looking);
        if ((rc != BB_ENOENT && rc != BB_EAGAIN) || bbi_os_mono_ns() >= until) {
            break;
        }
        (void)bbi_os_sleep_ns(LOOK_EVERY_NS);
    }
    return rc == BB_EAGAIN ? BB_ENOENT : rc;
}

/* ---- masters and standbys ------------------------------------------------------------------------ */

static int
start(struct bb_store *s, struct opening *op)
{
    int rc = check_other_readers(s, op);
    return rc < 0 ? rc : bbi_master_start(s, &op->f);
}

/* The directory is open and another holds the lock: what it makes may not be there yet. */
static int
open_beside(struct bb_store *s, struct opening *op)
{
    int rc = s->dir.ctl == NULL || bbi_load_acquire(&s->dir.ctl->generation) == 0 /* S2 */
                 ? BB_EAGAIN
                 : check_namespace(s, op);
    return rc < 0 ? rc : try_reading(s, op);
}

/* One try.  BB_EAGAIN: another master is just beginning. */
static int
serve(struct bb_store *s, struct opening *op, const char *path, bool is_memory)
{
    bool is_standby = s->role == BB_STORE_STANDBY;
    int rc = bbi_store_dir_make(&s->dir, path, is_memory, is_standby, &op->f);
    bool is_beside = is_standby && rc == BB_EEXIST;
    if (rc < 0 && !is_beside) {
        return rc;
    }
    rc = is_memory ? 0 : bbi_store_dir_announce(op->bus_path, s->name, path, &op->f);
    if (rc == 0) {
        rc = is_beside ? open_beside(s, op) : start(s, op);
    }
    if (rc < 0) {
        bbi_read_close(s);
        bbi_store_dir_close(&s->dir);
    }
    return rc;
}

static int
open_server(struct bb_store *s, struct opening *op)
{
    char path[256];
    bool is_memory;
    int64_t until = bbi_until_ns(s->timeout_ns);
    int rc = choose_place(op, path, &is_memory);
    rc = rc < 0
             ? rc
             : bbi_store_dir_may_announce(op->bus_path, s->name, is_memory ? NULL : path, &op->f);
    if (rc == 0 && is_memory) {
        rc = bbi_store_dir_announce(op->bus_path, s->name, NULL, &op->f);
    }
    if (rc < 0) {
        return rc;
    }
    if (s->quota_bytes == 0) {
        s->quota_bytes = is_memory ? QUOTA_MEMORY : QUOTA_DISK;
    }
    for (;;) {
        rc = serve(s, op, path, is_memory);
        if (rc != BB_EAGAIN || bbi_os_mono_ns() >= until) {
            break;
        }
        (void)bbi_os_sleep_ns(LOOK_EVERY_NS);
    }
    return rc != BB_EAGAIN ? rc
                           : bbi_fault_set(&op->f, BB_ETIMEDOUT, path,
                                           "the master of the store in '%s' has been starting for "
                                           "%.1f s (is it stopped?): continue or end it",
                                           path, (double)s->timeout_ns / 1e9);
}

/* ---- the public functions ------------------------------------------------------------------------ */

/* The endpoint goes first: what is left is a handle for looking. */
static void
lose_endpoint(struct bbi_closer *c)
{
    struct bb_store *s = (struct bb_store *)(void *)((char *)c - offsetof(struct bb_store, closer));
    s->is_orphan = true;
    if (!bbi_is_forked(s->fork_gen)) {
        bbi_client_close(s);
        if (s->master != NULL) {
            bbi_master_stop(s, true);
        }
        bbi_store_dir_resign(&s->dir);
        bbi_poll_arm(s);
    }
    s->ep = NULL;
}

static int
finish(struct bb_store **out, struct bb_store *s, struct opening *op, int rc)
{
    if (rc == 0) {
        if (op->f.code == 0 && op->f.sentence[0] != '\0') { /* what was there was moved aside */
            (void)bbi_error_set(op->o.error, &op->f);
        }
        if (s->ep != NULL) {
            s->closer.close = lose_endpoint;
            bbi_closer_add(s->ep, &s->closer);
        }
        *out = s;
        return 0;
    }
    if (s == NULL) {
        (void)bbi_fault_set(&op->f, rc, "", "out of memory");
    }
    free(s);
    op->f.code = rc;
    return bbi_error_set(op->o.error, &op->f);
}

int
bb_store_open(struct bb_store **out, struct bb_endpoint *ep, const struct bb_store_opts *opts)
{
    struct opening op = {.f = {.uid = -1}};
    int rc = take_opts(&op, opts);
    if (rc < 0) {
        return rc;
    }
    if (ep == NULL || bbi_is_forked(ep->fork_gen)) {
        return ep == NULL ? BB_EINVAL : BB_EFORKED;
    }
    op.bus_path = bb_endpoint_path(ep);
    op.bus = op.bus_path;
    rc = check_opts(&op);
    struct bb_store *s = rc == 0 ? new_store(&op.o) : NULL;
    if (rc < 0) {
        return bbi_error_set(op.o.error, &op.f);
    }
    if (s == NULL) {
        return finish(out, s, &op, BB_ENOMEM);
    }
    s->ep = ep;
    rc = s->role == BB_STORE_CLONE ? open_clone(s, &op, false) : open_server(s, &op);
    return finish(out, s, &op, rc);
}

static int
open_to_look(struct bb_store **out, struct opening *op)
{
    int rc = check_opts(op);
    if (rc == 0 && (op->o.role != BB_STORE_CLONE || (op->o.flags & BB_STORE_BY_REQUEST) != 0)) {
        rc = wrong(op, "a store is opened for looking as a clone that reads in place");
    }
    if (rc == 0 && op->bus_path == NULL && op->o.path == NULL) {
        rc = wrong(op, "`path` says which store, as there is no bus");
    }
    if (rc < 0) {
        return bbi_error_set(op->o.error, &op->f);
    }
    struct bb_store *s = new_store(&op->o);
    rc = s != NULL ? open_clone(s, op, true) : BB_ENOMEM;
    return finish(out, s, op, rc);
}

int
bb_store_open_look(struct bb_store **out, struct bb_look *look, const struct bb_store_opts *opts)
{
    struct opening op = {.f = {.uid = -1}};
    int rc = take_opts(&op, opts);
    if (rc < 0) {
        return rc;
    }
    op.bus_path = look != NULL ? bbi_look_path(look) : NULL;
    if (op.bus_path == NULL) {
        return look == NULL ? BB_EINVAL : BB_EFORKED;
    }
    op.bus = op.bus_path;
    return open_to_look(out, &op);
}

int
bb_store_open_path(struct bb_store **out, const struct bb_store_opts *opts)
{
    struct opening op = {.f = {.uid = -1}};
    int rc = take_opts(&op, opts);
    return rc < 0 ? rc : open_to_look(out, &op);
}

void
bb_store_close(struct bb_store *s)
{
    if (s == NULL) {
        return;
    }
    if (!bbi_is_forked(s->fork_gen)) {
        if (s->ep != NULL) {
            bbi_closer_remove(s->ep, &s->closer);
        }
        s->is_viewing = false;
        bbi_watches_close(s);
        bbi_client_close(s);
        if (s->master != NULL) {
            bbi_master_stop(s, true);
        }
        bbi_poll_close(s);
        bbi_read_close(s);
        bbi_store_dir_close(&s->dir);
    }
    bbi_made_free(&s->made);
    free(s->copy);
    free(s);
}

const char *
bb_store_name(const struct bb_store *s)
{
    return s->name;
}

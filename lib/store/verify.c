/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/verify.c - reads all of a store, in a child process.
 *
 * LMDB 0.9 believes its pages: a damaged one may end the process that reads it (a wild read, an assertion).  So a
 * child reads, and what it says comes through a pipe; one that says nothing was ended by what it read, and that is a
 * verdict too.  The child opens the environment itself, as fork asks for, keeps no descriptor of ours, prints nothing,
 * leaves no core, and dies with us.
 *
 *   MAIN    each record's lengths, check word and values; its key is the one that its value makes
 *   EXPIRY  each deadline names a key that has it, and each key that has one is named: the counts are equal
 *   LOG     ascending versions, none behind the state's, the first as the state says
 *   DONE    keys as long as they must be;  META  a state of this format, versions at most its own
 */
#include "lib/store/verify.h"
#include "lib/store/command.h"
#include "lib/store/store_impl.h"
#include "shm/os.h"
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_NS INT64_C(30000000000) /* for a small one, and */
#define BYTES_PER_S UINT64_C(8388608)    /* for each so many bytes one second more */
#define MAP_SLACK   (UINT64_C(64) << 20)

struct walk {
    struct bbi_db_txn *txn;
    struct bb_store_verdict *out;
    struct bbi_state state;
    uint64_t version_max; /* of the records */
};

/* What the child says. */
struct said {
    int code;
    struct bb_store_verdict verdict;
};

static void __attribute__((format(printf, 2, 3))) damage(struct walk *w, const char *format, ...)
{
    va_list args;
    if (w->out->damaged++ == 0) {
        va_start(args, format);
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is, one line above */
        (void)vsnprintf(w->out->what, sizeof(w->out->what), format, args);
        va_end(args);
    }
}

/* ---- tables ---- */

typedef void (*entry_fn)(struct walk *w, uint64_t nth, struct bbi_bytes key, struct bbi_bytes val);

/* Every entry, in strictly ascending order of keys; as many as LMDB counts. */
static int
each_entry(struct walk *w, enum bbi_db db, const char *table, entry_fn fn)
{
    struct bbi_db_cursor *c = NULL;
    struct bbi_bytes key, val;
    unsigned char before[BBI_DB_KEY_MAX];
    size_t before_bytes = 0;
    uint64_t nth = 0;
    int rc = bbi_db_cursor_open(&c, w->txn, db);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_db_seek(c, (struct bbi_bytes){0}, &key, &val);
    for (; rc == 0; rc = bbi_db_next(c, &key, &val)) {
        size_t both = key.bytes < before_bytes ? key.bytes : before_bytes;
        int order = both != 0 ? memcmp(before, key.p, both) : 0;
        if (key.bytes == 0 || key.bytes > sizeof(before)) {
            damage(w, "%s: entry %" PRIu64 " has a key of %zu bytes", table, nth, key.bytes);
            break;
        }
        if (order > 0 || (order == 0 && before_bytes >= key.bytes)) {
            damage(w, "%s: entry %" PRIu64 " does not come after the one before it", table, nth);
        }
        fn(w, nth, key, val);
        memcpy(before, key.p, key.bytes);
        before_bytes = key.bytes;
        nth++;
    }
    bbi_db_cursor_close(c);
    if (rc == BB_ENOENT && nth != bbi_db_entries(w->txn, db)) {
        damage(w, "%s: %" PRIu64 " entries are there, %" PRIu64 " are counted", table, nth,
               bbi_db_entries(w->txn, db));
    }
    return rc == BB_ENOENT ? 0 : rc;
}

static bool
is_key_of(const struct bb_value *v, struct bbi_bytes key)
{
    struct bbi_key made;
    bool is_it = false;
    if (bbi_key_make(&made, v, 0) < 0) {
        return false;
    }
    for (unsigned nth = 0; !is_it && nth < (made.is_hashed ? BBI_KEY_TRIES : 1); nth++) {
        if (made.is_hashed) {
            bbi_key_set_nth(&made, nth);
        }
        is_it = made.len == key.bytes && memcmp(made.bytes, key.p, key.bytes) == 0;
    }
    return is_it;
}

static void
look_at_record(struct walk *w, uint64_t nth, struct bbi_bytes key, struct bbi_bytes val)
{
    struct bbi_record rec;
    unsigned char index[BBI_EXPIRY_KEY_BYTES];
    struct bbi_bytes named;
    w->out->keys++;
    if (bbi_record_check(val) < 0 || bbi_record_read(&rec, val) < 0) {
        damage(w, "record %" PRIu64 " is not as it was written (its check word)", nth);
        return;
    }
    if (!is_key_of(&rec.key, key)) {
        damage(w, "record %" PRIu64 " stands under another key than its own", nth);
    }
    w->version_max = rec.version > w->version_max ? rec.version : w->version_max;
    if (rec.expires_ns == 0) {
        return;
    }
    w->out->expiring++;
    bbi_expiry_key(index, rec.expires_ns, key);
    int rc = bbi_db_get(w->txn, BBI_DB_EXPIRY,
                        (struct bbi_bytes){.p = index, .bytes = sizeof(index)}, &named);
    if (rc < 0 || named.bytes != key.bytes || memcmp(named.p, key.p, key.bytes) != 0) {
        damage(w, "record %" PRIu64 " has a deadline that the index of deadlines does not know",
               nth);
    }
}

static void
look_at_deadline(struct walk *w, uint64_t nth, struct bbi_bytes key, struct bbi_bytes val)
{
    struct bbi_bytes raw;
    struct bbi_record rec;
    unsigned char index[BBI_EXPIRY_KEY_BYTES];
    if (key.bytes != BBI_EXPIRY_KEY_BYTES || bbi_db_get(w->txn, BBI_DB_MAIN, val, &raw) < 0
        || bbi_record_read(&rec, raw) < 0) {
        damage(w, "deadline %" PRIu64 " names a key that is not there", nth);
        return;
    }
    bbi_expiry_key(index, rec.expires_ns, val);
    if (rec.expires_ns == 0 || memcmp(index, key.p, sizeof(index)) != 0) {
        damage(w, "deadline %" PRIu64 " is not the one that its record has", nth);
    }
}

static void
look_at_change(struct walk *w, uint64_t nth, struct bbi_bytes key, struct bbi_bytes val)
{
    struct bb_store_change change;
    uint64_t version = 0;
    for (size_t i = 0; i < key.bytes && i < 8; i++) {
        version = version << 8 | ((const unsigned char *)key.p)[i];
    }
    if (key.bytes != 8 || version > w->state.version || version < w->state.log_first
        || bbi_log_read(&change, version, val) < 0) {
        damage(w, "change %" PRIu64 " of the log is not as it was written", nth);
    }
}

static void
look_at_answer(struct walk *w, uint64_t nth, struct bbi_bytes key, struct bbi_bytes val)
{
    if (key.bytes != sizeof(struct bbi_client_id) + 1 || val.bytes < sizeof(uint64_t)) {
        damage(w, "remembered answer %" PRIu64 " is not as it was written", nth);
    }
}

static void
look_at_meta(struct walk *w, uint64_t nth, struct bbi_bytes key, struct bbi_bytes val)
{
    (void)val;
    if (key.bytes == 0) {
        damage(w, "note %" PRIu64 " has no name", nth);
    }
}

static int
walk_all(struct walk *w)
{
    static const struct {
        enum bbi_db db;
        const char *name;
        entry_fn fn;
    } tables[] = {
        {BBI_DB_MAIN, "keys", look_at_record}, {BBI_DB_EXPIRY, "deadlines", look_at_deadline},
        {BBI_DB_LOG, "log", look_at_change},   {BBI_DB_DONE, "answers", look_at_answer},
        {BBI_DB_META, "notes", look_at_meta},
    };
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        int rc = each_entry(w, tables[i].db, tables[i].name, tables[i].fn);
        if (rc < 0) {
            damage(w, "the table of %s cannot be read to its end: %s", tables[i].name,
                   bb_strerror(rc));
        }
    }
    if (bbi_db_entries(w->txn, BBI_DB_EXPIRY) != w->out->expiring) {
        damage(w, "%" PRIu64 " deadlines are there, %" PRIu64 " keys have one",
               bbi_db_entries(w->txn, BBI_DB_EXPIRY), w->out->expiring);
    }
    if (w->version_max > w->state.version) {
        damage(w, "a record has version %" PRIu64 ", the store's is %" PRIu64, w->version_max,
               w->state.version);
    }
    return w->out->damaged != 0 ? BB_ECORRUPT : 0;
}

/* ---- in the child ---- */

static int
read_state(struct walk *w)
{
    static const char name[] = BBI_META_STATE;
    struct bbi_bytes raw;
    int rc = bbi_db_get(w->txn, BBI_DB_META,
                        (struct bbi_bytes){.p = name, .bytes = sizeof(name) - 1}, &raw);
    if (rc < 0 || raw.bytes != sizeof(w->state)) {
        damage(w, "it has no state");
        return BB_ECORRUPT;
    }
    memcpy(&w->state, raw.p, sizeof(w->state));
    return w->state.format != BBI_STORE_FORMAT ? BB_EVERSION : 0;
}

/* By the state alone. */
static bool
is_trusted(const struct walk *w, enum bbi_verify how)
{
    uint8_t boot_id[sizeof(w->state.boot_id)];
    bbi_os_boot_id(boot_id);
    bool is_closed = w->state.is_clean == 1;
    bool is_of_boot = memcmp(boot_id, w->state.boot_id, sizeof(boot_id)) == 0;
    return how == BBI_VERIFY_UNLESS_CLOSED  ? is_closed && is_of_boot
           : how == BBI_VERIFY_UNLESS_KNOWN ? is_closed || is_of_boot
                                            : false;
}

static int
look(const char *gen_path, enum bbi_verify how, struct bb_store_verdict *out)
{
    struct walk w = {.out = out};
    struct bbi_db_env *env = NULL;
    struct bbi_fault f = {0};
    int rc =
        bbi_db_open(&env, gen_path, out->bytes + MAP_SLACK, BBI_DB_READER | BBI_DB_SHORT, 0600, &f);
    if (rc < 0) {
        damage(&w, "%.255s", f.sentence);
        return rc;
    }
    rc = bbi_db_read_begin(env, &w.txn);
    if (rc < 0) {
        damage(&w, "no view of it can be opened: %s", bb_strerror(rc));
        return rc;
    }
    rc = read_state(&w);
    return rc < 0 || is_trusted(&w, how) ? rc : walk_all(&w);
}

/* Signals as they are in a fresh process: what the program does at a crash is not for this one. */
static void
become_quiet(int *pipe_fd, pid_t parent)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTERM, SIGINT};
    const struct rlimit none = {0};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
        (void)signal(deadly[i], SIG_DFL);
    }
    (void)setrlimit(RLIMIT_CORE, &none);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2 && null_fd >= 0; fd++) {
        (void)dup2(null_fd, fd);
    }
    if (*pipe_fd != 3) {
        *pipe_fd = dup3(*pipe_fd, 3, O_CLOEXEC);
    }
    (void)close_range(4, ~0U, 0); /* locks of ours must not live on in it */
}

static _Noreturn void
be_child(int pipe_fd, pid_t parent, const char *gen_path, enum bbi_verify how, uint64_t bytes)
{
    struct said said = {.verdict = {.size = sizeof(said.verdict), .bytes = bytes}};
    become_quiet(&pipe_fd, parent);
    said.code = look(gen_path, how, &said.verdict);
    ssize_t n = write(pipe_fd, &said, sizeof(said));
    _exit(n == (ssize_t)sizeof(said) ? 0 : 1);
}

/* ---- the parent ---- */

/* All that it said, before the deadline: how many bytes. */
static size_t
hear(int fd, struct said *said, int64_t deadline_ns)
{
    unsigned char *p = (unsigned char *)said;
    size_t got = 0;
    while (got < sizeof(*said)) {
        int64_t left_ns = deadline_ns - bbi_os_mono_ns();
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        if (left_ns <= 0 || (poll(&pfd, 1, (int)(left_ns / 1000000) + 1) < 0 && errno != EINTR)) {
            break;
        }
        if (pfd.revents == 0) {
            continue;
        }
        ssize_t n = read(fd, p + got, sizeof(*said) - got);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            break;
        }
        got += n > 0 ? (size_t)n : 0;
    }
    return got;
}

static int
conclude(pid_t pid, size_t got, bool is_late, const struct said *said, struct bb_store_verdict *out)
{
    int status = 0;
    (void)kill(pid, got == sizeof(*said) ? 0 : SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (got == sizeof(*said)) {
        *out = said->verdict;
        out->what[sizeof(out->what) - 1] = '\0';
        return said->code;
    }
    out->damaged = 1;
    if (is_late) {
        (void)snprintf(out->what, sizeof(out->what), "reading it does not come to an end");
    } else {
        (void)snprintf(out->what, sizeof(out->what),
                       "reading it ends the process that does (signal %d)",
                       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    return BB_ECORRUPT;
}

int
bbi_verify_dir(const char *gen_path, enum bbi_verify how, struct bb_store_verdict *out)
{
    struct said said = {0};
    char path[384];
    struct stat st;
    int fds[2];
    *out = (struct bb_store_verdict){.size = sizeof(*out)};
    (void)snprintf(path, sizeof(path), "%s/data.mdb", gen_path);
    if (stat(path, &st) < 0) {
        (void)snprintf(out->what, sizeof(out->what), "%.200s: %s", path, strerrordesc_np(errno));
        return -errno;
    }
    out->bytes = (uint64_t)st.st_size;
    int64_t deadline_ns =
        bbi_os_mono_ns() + PATIENCE_NS + (int64_t)(out->bytes / BYTES_PER_S) * INT64_C(1000000000);
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return -errno;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        be_child(fds[1], parent, gen_path, how, out->bytes);
    }
    int rc = pid < 0 ? -errno : 0;
    (void)close(fds[1]);
    if (pid > 0) {
        size_t got = hear(fds[0], &said, deadline_ns);
        rc = conclude(pid, got, bbi_os_mono_ns() >= deadline_ns, &said, out);
    }
    (void)close(fds[0]);
    return rc;
}

int
bb_store_verify(const char *path, struct bb_store_verdict *out)
{
    struct bbi_store_dir dir = {.lock_fd = -1};
    char gen_path[320];
    uint64_t generation = 0;
    if (path == NULL || out == NULL || out->size != sizeof(*out)
        || strlen(path) >= sizeof(dir.path)) {
        return BB_EINVAL;
    }
    dir.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir.fd < 0) {
        return -errno;
    }
    memcpy(dir.path, path, strlen(path) + 1);
    int rc = bbi_store_dir_current(&dir, &generation);
    if (rc == 0) {
        bbi_store_dir_gen_path(&dir, generation, false, gen_path);
        rc = bbi_verify_dir(gen_path, BBI_VERIFY_ALL, out);
    }
    (void)close(dir.fd);
    return rc;
}

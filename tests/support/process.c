/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/process.h"
#include "busbar/inspect.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 256, SANITIZER_FACTOR = 4 };

static char bus_dir[64];
static char bus_path[80];
static struct bbt_child *children[CHILDREN]; /* while the test runs; they may lie on its stack */
static pid_t pids[CHILDREN];                 /* 0: waited for */
static int child_count;
static pid_t test_pid;

/* ---- the bus ---- */

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    (void)remove(path);
    return 0;
}

static void
remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Those of tests that were killed and had no .fini. */
static void
remove_stale(void)
{
    DIR *dir = opendir("/dev/shm");
    const struct dirent *e;
    char path[300];
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        int pid, end = 0;
        if (sscanf(e->d_name, "busbar-test-%d%n", &pid, &end) == 1 && e->d_name[end] == '\0'
            && kill(pid, 0) != 0 && errno == ESRCH) {
            (void)snprintf(path, sizeof(path), "/dev/shm/%s", e->d_name);
            remove_tree(path);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

void
bbt_bus_new(void)
{
    test_pid = getpid();
    remove_stale();
    (void)snprintf(bus_dir, sizeof(bus_dir), "/dev/shm/busbar-test-%d", (int)getpid());
    (void)snprintf(bus_path, sizeof(bus_path), "%s/" BBT_BUS, bus_dir);
    remove_tree(bus_dir);
    cr_assert_eq(mkdir(bus_dir, 0700), 0, "mkdir %s: %s", bus_dir, strerror(errno));
}

void
bbt_bus_end(void)
{
    for (int i = 0; i < child_count; i++) {
        if (pids[i] != 0) {
            (void)kill(pids[i], SIGKILL);
            (void)waitpid(pids[i], NULL, 0);
            pids[i] = 0;
        }
    }
    child_count = 0;
    remove_tree(bus_dir);
}

const char *
bbt_dir(void)
{
    return bus_dir;
}

const char *
bbt_path(void)
{
    return bus_path;
}

static int
list_files(const char *path, char *out, size_t cap, size_t *used)
{
    DIR *dir = opendir(path);
    const struct dirent *e;
    int n = 0;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char below[400];
        struct stat st;
        (void)snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0
            || strcmp(e->d_name, "lock") == 0 || lstat(below, &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            n += list_files(below, out, cap, used);
            continue;
        }
        n++;
        int len = snprintf(out + *used, cap - *used, " %s", e->d_name);
        *used = *used + (size_t)len < cap ? *used + (size_t)len : cap - 1;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n;
}

int
bbt_files(char *out, size_t cap)
{
    size_t used = 0;
    out[0] = '\0';
    return list_files(bus_path, out, cap, &used);
}

void
bbt_gc(const char *label)
{
    struct bb_error err = {0};
    char files[1024];
    int rc = bb_gc(&(struct bb_gc_opts){
        .size = sizeof(struct bb_gc_opts), .dir = bus_dir, .bus = BBT_BUS, .error = &err});
    cr_assert_geq(rc, 0, "%s: gc: %s", label, err.sentence);
    int left = bbt_files(files, sizeof(files));
    cr_assert_eq(left, 0, "%s: gc left%s", label, files);
}

int64_t
bbt_ms(int64_t ms)
{
    return getenv("BB_SANITIZE") != NULL ? ms * SANITIZER_FACTOR : ms;
}

int64_t
bbt_now_ms(void)
{
    return bbi_os_mono_ns() / 1000000;
}

void
bbt_nap(void)
{
    bbi_os_sleep_ns(500000);
}

/* ---- children, from the test's side ---- */

struct bbt_side *
bbt_side_new(void)
{
    void *p = mmap(NULL, sizeof(struct bbt_side), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(p, MAP_FAILED, "mmap: %s", strerror(errno));
    return p;
}

void
bbt_side_free(struct bbt_side *side)
{
    (void)munmap(side, sizeof(*side));
}

void
bbt_fork(struct bbt_child *c, const char *name, bbt_child_fn fn, const void *arg)
{
    *c = (struct bbt_child){.side = bbt_side_new(), .name = name};
    if (child_count == CHILDREN) { /* forget those that are gone */
        child_count = 0;
        for (int i = 0; i < CHILDREN; i++) {
            if (pids[i] != 0) {
                pids[child_count] = pids[i];
                children[child_count++] = children[i];
            }
        }
    }
    cr_assert_lt(child_count, CHILDREN, "too many children");
    (void)fflush(NULL);
    pid_t parent = getpid();
    c->pid = fork();
    cr_assert_geq(c->pid, 0, "fork: %s", strerror(errno));
    if (c->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(98);
        }
        (void)signal(SIGABRT, SIG_DFL);
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        fn(c->side, arg);
        _exit(0);
    }
    pids[child_count] = c->pid;
    children[child_count++] = c;
}

static void
mark_gone(struct bbt_child *c)
{
    c->is_gone = true;
    for (int i = 0; i < child_count; i++) {
        if (pids[i] == c->pid) {
            pids[i] = 0;
        }
    }
}

static void
note_end(struct bbt_child *c)
{
    if (!c->is_gone && waitpid(c->pid, &c->status, WNOHANG) == c->pid) {
        mark_gone(c);
    }
}

static bool
has_failed(const struct bbt_child *c)
{
    return c->is_gone && !(WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0)
           && !(WIFSIGNALED(c->status) && WTERMSIG(c->status) == SIGKILL);
}

static void
fail_child(const struct bbt_child *c, const char *what)
{
    cr_assert_fail("%s: %s: %s (wait status %#x, at %u, signal %s)", c->name, what,
                   c->side->said[0] != '\0' ? c->side->said : "said nothing", (unsigned)c->status,
                   bbi_load_acquire(&c->side->at),
                   c->is_gone && WIFSIGNALED(c->status) ? strsignal(WTERMSIG(c->status)) : "none");
}

void
bbt_check_alive(struct bbt_child *c)
{
    note_end(c);
    if (has_failed(c)) {
        fail_child(c, "failed");
    }
}

void
bbt_check_all(void)
{
    for (int i = 0; i < child_count; i++) {
        if (pids[i] != 0) {
            bbt_check_alive(children[i]);
        }
    }
}

void
bbt_order(struct bbt_child *c, uint32_t go)
{
    bbi_store_seq_cst(&c->side->go, go);
    (void)bbi_os_futex_wake(&c->side->go, 64);
}

void
bbt_wait_at(struct bbt_child *c, uint32_t at, int64_t ms)
{
    int64_t deadline = bbt_now_ms() + bbt_ms(ms);
    while (bbi_load_acquire(&c->side->at) < at) {
        bbt_check_all();
        if (c->is_gone) {
            fail_child(c, "ended too early");
        }
        if (bbt_now_ms() > deadline) {
            fail_child(c, "did not come so far");
        }
        bbt_nap();
    }
}

void
bbt_wait_end(struct bbt_child *c, int64_t ms)
{
    int64_t deadline = bbt_now_ms() + bbt_ms(ms);
    while (!c->is_gone) {
        bbt_check_all();
        if (bbt_now_ms() > deadline) {
            fail_child(c, "does not end");
        }
        bbt_nap();
    }
    if (!WIFEXITED(c->status) || WEXITSTATUS(c->status) != 0) {
        fail_child(c, "failed");
    }
}

void
bbt_wait_kill(struct bbt_child *c, int64_t ms)
{
    int64_t deadline = bbt_now_ms() + bbt_ms(ms);
    while (!c->is_gone) {
        bbt_check_all();
        if (bbt_now_ms() > deadline) {
            fail_child(c, "was not killed");
        }
        bbt_nap();
    }
    if (!WIFSIGNALED(c->status) || WTERMSIG(c->status) != SIGKILL) {
        fail_child(c, "ended by itself");
    }
}

void
bbt_wait_stop(struct bbt_child *c, int64_t ms)
{
    int64_t deadline = bbt_now_ms() + bbt_ms(ms);
    for (;;) {
        int status;
        if (!c->is_gone && waitpid(c->pid, &status, WNOHANG | WUNTRACED) == c->pid) {
            if (WIFSTOPPED(status)) {
                return;
            }
            c->status = status;
            mark_gone(c);
        }
        if (c->is_gone) {
            fail_child(c, "ended and did not stop");
        }
        if (bbt_now_ms() > deadline) {
            fail_child(c, "did not stop");
        }
        for (int i = 0; i < child_count; i++) {
            if (pids[i] != 0 && children[i] != c) {
                bbt_check_alive(children[i]);
            }
        }
        bbt_nap();
    }
}

void
bbt_signal(struct bbt_child *c, int sig)
{
    cr_assert_not(c->is_gone, "%s is gone already", c->name);
    (void)kill(c->pid, sig);
}

/* ---- in the child ---- */

void
bbt_at(struct bbt_side *side, uint32_t at)
{
    bbi_store_seq_cst(&side->at, at);
}

uint32_t
bbt_wait_go(struct bbt_side *side, uint32_t go, int64_t ms)
{
    int64_t deadline = bbt_now_ms() + bbt_ms(ms);
    for (;;) {
        uint32_t now = bbi_load_acquire(&side->go);
        if (now >= go) {
            return now;
        }
        BBT_CHECK(side, bbt_now_ms() < deadline, "no order %u came, only %u", go, now);
        (void)bbi_os_futex_wait(&side->go, now, 50000000);
    }
}

void
bbt_fail(struct bbt_side *side, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(side->said, sizeof(side->said), format, ap);
    va_end(ap);
    if (getpid() == test_pid) { /* the test itself plays a part */
        cr_assert_fail("%s", side->said);
    }
    _exit(99);
}

struct bb_endpoint *
bbt_endpoint(struct bbt_side *side, const char *name, uint32_t flags)
{
    struct bb_error err = {0};
    struct bb_endpoint *ep;
    int rc =
        bb_endpoint_open(&ep, &(struct bb_endpoint_opts){.size = sizeof(struct bb_endpoint_opts),
                                                         .dir = bus_dir,
                                                         .bus = BBT_BUS,
                                                         .name = name,
                                                         .flags = flags,
                                                         .error = &err});
    BBT_CHECK(side, rc == 0, "attach as '%s': %d, %s", name, rc, err.sentence);
    return ep;
}

struct bb_publisher *
bbt_publisher(struct bbt_side *side, struct bb_endpoint *ep, const struct bb_publisher_opts *o)
{
    struct bb_error err = {0};
    struct bb_publisher_opts opts = o != NULL ? *o : (struct bb_publisher_opts){0};
    struct bb_publisher *pub;
    opts.size = sizeof(opts);
    opts.error = &err;
    int rc = bb_publisher_open(&pub, ep, &opts);
    BBT_CHECK(side, rc == 0, "publisher: %d, %s", rc, err.sentence);
    return pub;
}

struct bb_subscriber *
bbt_subscriber_from(struct bbt_side *side,
                    struct bb_endpoint *ep,
                    const char *prefix,
                    uint32_t flags,
                    uint32_t start,
                    uint32_t start_count)
{
    struct bb_error err = {0};
    struct bb_subscriber *sub;
    const char *const prefixes[] = {prefix};
    int rc = bb_subscriber_open(&sub, ep,
                                &(struct bb_subscriber_opts){
                                    .size = sizeof(struct bb_subscriber_opts),
                                    .flags = flags,
                                    .start = start,
                                    .start_count = start_count,
                                    .prefixes = prefixes,
                                    .prefix_count = prefix != NULL,
                                    .error = &err,
                                });
    BBT_CHECK(side, rc == 0, "subscriber: %d, %s", rc, err.sentence);
    return sub;
}

struct bb_subscriber *
bbt_subscriber(struct bbt_side *side, struct bb_endpoint *ep, const char *prefix, uint32_t flags)
{
    return bbt_subscriber_from(side, ep, prefix, flags, BB_START_NOW, 0);
}

struct bb_topic *
bbt_topic(struct bbt_side *side, struct bb_publisher *pub, uint32_t writer)
{
    char text[32];
    struct bb_topic *topic;
    int n = snprintf(text, sizeof(text), "w/%u", writer);
    int rc = bb_topic_open(&topic, pub, text, (size_t)n);
    BBT_CHECK(side, rc == 0, "topic %s: %d", text, rc);
    return topic;
}

int
bbt_send(struct bb_topic *topic, uint32_t writer, uint64_t seq, size_t max, uint32_t attr)
{
    void *p;
    size_t len = bbt_payload_len(writer, seq, max);
    int rc = bb_loan(topic, len, &p);
    if (rc < 0) {
        return rc;
    }
    bbt_payload_fill(p, len, writer, seq);
    return bb_commit(topic, len, attr);
}

static uint32_t hook_step = 1; /* messages that the next ring:committed commits */

/* Those of one length are claimed as such and committed at once, the others one by one. */
int
bbt_send_batch(struct bb_topic *topic,
               uint32_t writer,
               uint64_t seq,
               uint32_t count,
               size_t max,
               uint32_t attr)
{
    void *p[8];
    size_t used[8];
    bool are_alike = true;
    count = count < 8 ? count : 8;
    for (uint32_t i = 0; i < count; i++) {
        used[i] = bbt_payload_len(writer, seq + i, max);
        are_alike = are_alike && used[i] == used[0];
    }
    int n = bb_loan_batch(topic, are_alike ? used[0] : max, count, p);
    for (int i = 0; i < n; i++) {
        bbt_payload_fill(p[i], used[i], writer, seq + (uint64_t)i);
    }
    hook_step = are_alike && n > 0 ? (uint32_t)n : 1;
    int rc = n < 0 ? n : bb_commit_batch(topic, are_alike ? NULL : used, (size_t)n, attr);
    hook_step = 1;
    return rc < 0 ? rc : n;
}

int
bbt_take(struct bbt_side *side, struct bb_subscriber *sub, int64_t timeout_ns)
{
    struct bb_msg msgs[64];
    char why[256];
    int n = bb_poll(sub, msgs, 64, timeout_ns);
    BBT_CHECK(side, n >= 0, "poll: %d", n);
    for (int i = 0; i < n; i++) {
        BBT_CHECK(side, bbt_reader_take(&side->reader, &msgs[i], why), "%s", why);
    }
    return n;
}

void
bbt_balance(struct bbt_side *side, struct bb_subscriber *sub)
{
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    bb_subscriber_stats(sub, &st);
    side->stats = st;
    BBT_CHECK(side, st.messages == st.delivered + st.filtered + st.lost,
              "%llu messages, but %llu delivered + %llu filtered + %llu lost",
              (unsigned long long)st.messages, (unsigned long long)st.delivered,
              (unsigned long long)st.filtered, (unsigned long long)st.lost);
}

/* ---- hooks ---- */

#if defined(BB_HOOKS) && BB_HOOKS
static struct bbt_side *hook_side;
static char hook_name[64];
static uint32_t hook_left;
static int hook_signal;

static void
on_hook(const char *name)
{
    if (strcmp(name, "ring:committed") == 0) {
        (void)bbi_fetch_add_seq_cst(&hook_side->committed, hook_step);
    }
    if (hook_left != 0 && strcmp(name, hook_name) == 0 && --hook_left == 0) {
        (void)bbi_fetch_add_seq_cst(&hook_side->hit, 1);
        if (hook_signal != 0) {
            (void)raise(hook_signal);
        }
    }
}

void
bbt_hook_arm(struct bbt_side *side, const char *name, uint32_t kth, int sig)
{
    hook_side = side;
    (void)snprintf(hook_name, sizeof(hook_name), "%s", name);
    hook_left = kth;
    hook_signal = sig;
    bbi_hook = on_hook;
}
#else
void
bbt_hook_arm(struct bbt_side *side, const char *name, uint32_t kth, int sig)
{
    (void)sig;
    bbt_fail(side, "hook %s (%u): this build has none (BB_HOOKS)", name, kth);
}
#endif

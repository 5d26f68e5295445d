/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/stage.c - forks, leads, reaps.
 */
#include "bench/stage.h"

#include "bench/clock.h"
#include "bench/scratch.h"
#include "bench/store.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t second_ns = 1000000000;
static const int64_t glance_ns = 500000; /* between two looks at the actors, outside the window */
static const int64_t standstill_ns = 100000000; /* counted at most for each look */
static const double open_s = 20; /* all must be open and have heard each other by then */
static const double end_s = 15;  /* all must have ended, after the window */
/* setup.is_store: a million keys are written before the window, and read after it. */
static const double store_s = 120;

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int signo)
{
    interrupted = signo;
}

static void
on_child(int signo)
{
    (void)signo; /* only ends a nap */
}

static void
handle(int signo, void (*handler)(int))
{
    struct sigaction sa = {.sa_handler = handler};
    (void)sigemptyset(&sa.sa_mask);
    (void)sigaction(signo, &sa, NULL);
}

int
bench_interrupted(void)
{
    return interrupted;
}

void
bench_watch_signals(void)
{
    handle(SIGINT, on_interrupt);
    handle(SIGTERM, on_interrupt);
    handle(SIGHUP, on_interrupt);
    handle(SIGPIPE, SIG_IGN);
}

struct bench_stage *
bench_stage_new(void)
{
    void *at = mmap(NULL, sizeof(struct bench_stage), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        perror("busbar-bench: cannot map memory for a repetition");
        return NULL;
    }
    return at;
}

void
bench_stage_delete(struct bench_stage *st)
{
    if (st != NULL) {
        (void)munmap(st, sizeof(*st));
    }
}

struct bench_actor *
bench_stage_cast(struct bench_stage *st,
                 const char *what,
                 int (*play)(struct bench_stage *, struct bench_actor *),
                 unsigned index,
                 unsigned count,
                 int cpu)
{
    struct bench_actor *a = &st->actors[st->actor_count++];
    a->play = play;
    a->what = what;
    a->index = index;
    a->count = count;
    a->hears = count == 0;
    a->cpu = cpu;
    return a;
}

void
bench_await_phase(const struct bench_stage *st, enum bench_phase phase)
{
    while (bench_phase(st) < (uint32_t)phase) {
        bench_nap(glance_ns / 2);
    }
}

/* ---- actors ------------------------------------------------------------------------------------ */

static void
pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        (void)fprintf(stderr, "busbar-bench: cannot run on core %d: %s.\n", cpu, strerror(errno));
    }
}

static _Noreturn void
act(struct bench_stage *st, struct bench_actor *self, pid_t harness)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != harness) {
        _exit(1);
    }
    handle(SIGINT, SIG_DFL);
    handle(SIGTERM, SIG_DFL);
    handle(SIGHUP, SIG_DFL);
    handle(SIGCHLD, SIG_DFL);
    if (self->cpu >= 0) {
        pin(self->cpu);
    }
    int status = self->play(st, self);
    (void)fflush(stderr);
    _exit(status == 0 ? 0 : 1);
}

static int
fork_all(struct bench_stage *st)
{
    pid_t harness = getpid();
    (void)fflush(stdout);
    (void)fflush(stderr);
    for (unsigned i = 0; i < st->actor_count; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            act(st, &st->actors[i], harness);
        }
        if (pid < 0) {
            perror("busbar-bench: cannot fork");
            return -1;
        }
        st->actors[i].pid = pid;
    }
    return 0;
}

/* Returns how many still run; negative when one ended badly. */
static int
reap(struct bench_stage *st)
{
    int running = 0, verdict = 0;
    for (unsigned i = 0; i < st->actor_count; i++) {
        struct bench_actor *a = &st->actors[i];
        int status = 0;
        if (a->pid > 0 && waitpid(a->pid, &status, WNOHANG) == a->pid) {
            a->pid = 0;
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                (void)fprintf(stderr, "busbar-bench: %s: %s %u ended with %s %d.\n",
                              st->driver->name, a->what, a->index,
                              WIFSIGNALED(status) ? "signal" : "status",
                              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
                verdict = -1;
            }
        }
        running += a->pid > 0;
    }
    return verdict < 0 ? verdict : running;
}

static void
kill_all(struct bench_stage *st)
{
    for (unsigned i = 0; i < st->actor_count; i++) {
        struct bench_actor *a = &st->actors[i];
        if (a->pid > 0) {
            (void)kill(a->pid, SIGKILL);
            while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR) {
            }
            a->pid = 0;
        }
    }
}

static void
report_late(const struct bench_stage *st, const char *what)
{
    for (unsigned i = 0; i < st->actor_count; i++) {
        const struct bench_actor *a = &st->actors[i];
        if (a->pid > 0) {
            (void)fprintf(
                stderr, "busbar-bench: %s: %s %u did not %s in time (state %u); killed.\n",
                st->driver->name, a->what, a->index, what, (unsigned)atomic_load(&a->state));
        }
    }
}

/* ---- leading ----------------------------------------------------------------------------------- */

/* A bound that a machine which stood still (a paused guest, a suspended laptop) does not use up. */
struct patience {
    int64_t last_ns, left_ns;
};

static int64_t
patience_ns(const struct bench_stage *st, double seconds)
{
    return (int64_t)((st->setup.is_store ? store_s : seconds) * (double)second_ns);
}

static bool
is_worn_out(struct patience *p)
{
    int64_t now = bench_now_ns(), passed = now - p->last_ns;
    p->last_ns = now;
    p->left_ns -= passed < standstill_ns ? passed : standstill_ns;
    return p->left_ns < 0;
}

/* Whether all actors that have to come to this state are there. */
static bool
have_come(const struct bench_stage *st, enum bench_state state)
{
    for (unsigned i = 0; i < st->actor_count; i++) {
        const struct bench_actor *a = &st->actors[i];
        bool must = state == BENCH_OPENED ? a->count > 0 : a->hears;
        if (must && atomic_load_explicit(&a->state, memory_order_acquire) < (uint32_t)state) {
            return false;
        }
    }
    return true;
}

static int
await(struct bench_stage *st, enum bench_state state, const char *what)
{
    struct patience p = {.last_ns = bench_now_ns(), .left_ns = patience_ns(st, open_s)};
    while (!have_come(st, state)) {
        if (interrupted || reap(st) < 0) {
            return -1;
        }
        if (is_worn_out(&p)) {
            report_late(st, what);
            return -1;
        }
        bench_nap(glance_ns);
    }
    return 0;
}

static void
set_phase(struct bench_stage *st, enum bench_phase phase)
{
    atomic_store_explicit(&st->phase, (uint32_t)phase, memory_order_release);
}

/* One sleep, so that the actors have the cores; the end of an actor or a signal ends it. */
static int
let_run(struct bench_stage *st, double seconds)
{
    int64_t until = bench_now_ns() + (int64_t)(seconds * (double)second_ns);
    for (int64_t left; (left = until - bench_now_ns()) > 0;) {
        bench_nap(left);
        int running = reap(st);
        if (interrupted || running < 0) {
            return -1;
        }
        if (running == 0) {
            return 0;
        }
    }
    return 0;
}

static void
signal_stopped(const struct bench_stage *st, int signo)
{
    for (unsigned i = 0; i < st->actor_count; i++) {
        if (st->actors[i].is_stopped && st->actors[i].pid > 0) {
            (void)kill(st->actors[i].pid, signo);
        }
    }
}

static int
await_end(struct bench_stage *st)
{
    struct patience p = {.last_ns = bench_now_ns(), .left_ns = patience_ns(st, end_s)};
    for (int running; (running = reap(st)) != 0;) {
        if (interrupted || running < 0) {
            return -1;
        }
        if (is_worn_out(&p)) {
            report_late(st, "end");
            return -1;
        }
        bench_nap(glance_ns);
    }
    return 0;
}

/* Called at both ends of the window: what was used in between stays there. */
static void
count_carriers(struct bench_stage *st, int64_t sign)
{
    int64_t (*used)(void *) = st->setup.is_store ? NULL : st->driver->carriers_cpu_ns;
    if (used != NULL) {
        st->carriers_cpu_ns += sign * used(st->shared);
        st->carriers_window_ns += sign * bench_now_ns();
    }
}

static int
lead(struct bench_stage *st)
{
    if (fork_all(st) < 0 || await(st, BENCH_OPENED, "open") < 0) {
        return -1;
    }
    set_phase(st, BENCH_OPEN_SUB);
    if (await(st, BENCH_LISTENING, "subscribe") < 0) {
        return -1;
    }
    set_phase(st, BENCH_HELLO);
    if (await(st, BENCH_HEARD, "hear all publishers") < 0) {
        return -1;
    }
    signal_stopped(st, SIGSTOP);
    set_phase(st, BENCH_WARM);
    int rc = let_run(st, st->warm_s);
    if (rc == 0) {
        set_phase(st, BENCH_MEASURE);
        count_carriers(st, -1);
        rc = let_run(st, st->seconds);
        count_carriers(st, 1);
    }
    set_phase(st, BENCH_DRAIN);
    signal_stopped(st, SIGCONT);
    return rc < 0 ? rc : await_end(st);
}

/* Between the driver's start and stop, if it has them. */
static int
run_with(struct bench_stage *st,
         int (*start)(const struct bench_setup *s, void **shared),
         void (*stop)(void *shared))
{
    int rc = start != NULL ? start(&st->setup, &st->shared) : 0;
    if (rc >= 0) {
        handle(SIGCHLD, on_child);
        rc = lead(st);
        kill_all(st);
        handle(SIGCHLD, SIG_DFL);
        if (stop != NULL) {
            stop(st->shared);
        }
    }
    return rc;
}

int
bench_stage_run(struct bench_stage *st)
{
    struct bench_scratch scratch, disk;
    const struct bench_driver *d = st->driver;
    if (bench_scratch_make(&scratch) < 0) {
        return -1;
    }
    int rc = st->setup.is_durable ? bench_scratch_make_on_disk(&disk) : 0;
    st->setup.dir = scratch.path;
    st->setup.disk_dir = st->setup.is_durable && rc == 0 ? disk.path : NULL;
    if (rc == 0) {
        rc = st->setup.is_store && d->store != NULL ? run_with(st, d->store->start, d->store->stop)
                                                    : run_with(st, d->start, d->stop);
    }
    if (st->setup.disk_dir != NULL) {
        bench_scratch_remove(&disk);
    }
    bench_scratch_remove(&scratch);
    st->setup.dir = st->setup.disk_dir = NULL;
    return rc < 0 ? -1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/daemon.c - fork, tie the child to the harness's life, exec; ask until it is ready; take it down.
 *
 * The death signal is set between fork and exec, and it survives exec.  Who died before it was set is noticed
 * by the parent that the child then has.
 */
#include "bench/peers/daemon.h"

#include "bench/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t ready_ns = 20000000000, end_ns = 5000000000, glance_ns = 2000000;

static int
complain(const struct bench_daemon_opts *o, const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s %s: %s.\n", o->driver, o->name, what, why);
    return -1;
}

static _Noreturn void
become(const struct bench_daemon_opts *o, int out, pid_t harness)
{
    char *argv[BENCH_DAEMON_ARGS];
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0
        || dup2(out, STDERR_FILENO) < 0) {
        _exit(127);
    }
    (void)setsid();
    if (o->cpu != NULL && *o->cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)*o->cpu, &set);
        (void)sched_setaffinity(0, sizeof(set), &set);
    }
    (void)prctl(PR_SET_PDEATHSIG, o->death_signal != 0 ? o->death_signal : SIGKILL);
    if (getppid() != harness) {
        _exit(127);
    }
    memcpy(argv, o->argv, sizeof(argv)); /* exec does not write to them, but it does not say so */
    (void)execvp(argv[0], argv);
    (void)fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Says the last line of the log that is not empty. */
static int
quote(const struct bench_daemon_opts *o, const struct bench_daemon *d, const char *what)
{
    char next[256], line[256] = "it said nothing";
    FILE *log = fopen(d->log_path, "re");
    while (log != NULL && fgets(next, sizeof(next), log) != NULL) {
        next[strcspn(next, "\n")] = '\0';
        if (next[0] != '\0') {
            memcpy(line, next, sizeof(line));
        }
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return complain(o, what, line);
}

static bool
has_ended(const struct bench_daemon *d)
{
    return waitpid(d->pid, NULL, WNOHANG) == d->pid;
}

/* NULL: it is; else what became of it instead, and it is gone. */
static const char *
await_ready(const struct bench_daemon *d,
            const struct bench_daemon_opts *o,
            const struct bench_setup *s,
            void *shared)
{
    int64_t until = bench_now_ns() + ready_ns;
    while (!o->is_ready(s, shared)) {
        bool is_late = bench_now_ns() > until;
        if (has_ended(d)) {
            return "ended before it was ready";
        }
        if (is_late) {
            bench_daemon_stop(d);
            return "was not ready in time";
        }
        bench_nap(glance_ns);
    }
    return NULL;
}

int
bench_daemon_start(struct bench_daemon *d,
                   const struct bench_daemon_opts *opts,
                   const struct bench_setup *s,
                   void *shared)
{
    pid_t harness = getpid();
    (void)snprintf(d->log_path, sizeof(d->log_path), "%s/%s.log", s->dir, opts->name);
    int out = open(d->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) {
        return complain(opts, "cannot have a log", strerror(errno));
    }
    pid_t pid = fork(); /* not into d, which the child may share: its 0 would win */
    if (pid == 0) {
        become(opts, out, harness);
    }
    int error = errno;
    (void)close(out);
    d->pid = pid;
    if (pid < 0) {
        return complain(opts, "cannot start", strerror(error));
    }
    const char *end = await_ready(d, opts, s, shared);
    return end == NULL ? 0 : quote(opts, d, end);
}

void
bench_daemon_stop(const struct bench_daemon *d)
{
    (void)kill(d->pid, SIGTERM);
    for (int64_t until = bench_now_ns() + end_ns; bench_now_ns() < until;) {
        if (has_ended(d)) {
            return;
        }
        bench_nap(glance_ns);
    }
    bench_daemon_kill(d);
}

void
bench_daemon_kill(const struct bench_daemon *d)
{
    (void)kill(d->pid, SIGKILL);
    while (waitpid(d->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

int64_t
bench_daemon_cpu_ns(const struct bench_daemon *d)
{
    clockid_t clock;
    return clock_getcpuclockid(d->pid, &clock) == 0 ? bench_clock_ns(clock) : 0;
}

int
bench_daemon_configure(const char *driver, const char *path, const char *format, ...)
{
    va_list args;
    FILE *f = fopen(path, "we");
    int rc = f != NULL ? 0 : -1;
    if (f != NULL) {
        va_start(args, format);
        (void)vfprintf(f, format, args);
        va_end(args);
        rc = fclose(f);
    }
    if (rc != 0) {
        (void)fprintf(stderr, "%s: cannot write %s: %s.\n", driver, path, strerror(errno));
        return -1;
    }
    return 0;
}

struct bench_version
bench_daemon_version(const char *program, const char *before, const char *until)
{
    struct bench_version version = {"version unknown"};
    char command[PATH_MAX + 32], line[256] = "";
    size_t skip = strlen(before);
    (void)snprintf(command, sizeof(command), "%s --version 2>/dev/null", program);
    FILE *out = popen(command, "re");
    if (out == NULL) {
        return version;
    }
    if (fgets(line, sizeof(line), out) != NULL && strncmp(line, before, skip) == 0) {
        int bytes = (int)strcspn(line + skip, until);
        (void)snprintf(version.text, sizeof(version.text), "%.*s", bytes, line + skip);
    }
    (void)pclose(out);
    return version;
}

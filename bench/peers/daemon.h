/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/daemon.h - the daemon of a bus that has one: started for a case, gone with the harness.
 *
 * Used by    drivers, in start and stop; in C and C++.
 * Processes  a child of the harness, in a session of its own: an interrupt from the keyboard is the harness's.
 * Output     goes to NAME.log in the case's directory; its last line is quoted when the daemon fails.
 * Death      The kernel signals it when the harness dies, kill -9 included.  Every wait here is bounded.
 */
#ifndef BUSBAR_BENCH_PEERS_DAEMON_H
#define BUSBAR_BENCH_PEERS_DAEMON_H

#include "bench/driver.h"
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BENCH_DAEMON_ARGS = 20 };

struct bench_daemon {
    pid_t pid;
    char log_path[PATH_MAX]; /* what it says */
};

struct bench_daemon_opts {
    const char *driver;                  /* begins what is said on stderr */
    const char *name;                    /* of the program, without its folders */
    const char *argv[BENCH_DAEMON_ARGS]; /* NULL at the end */
    int death_signal;                    /* that it gets when the harness dies; 0: SIGKILL */
    const int *cpu;                      /* the core to run on; NULL or -1: any */
    /* Whether it serves clients by now; the daemon's pid and log_path are set already. */
    bool (*is_ready)(const struct bench_setup *s, void *shared);
};

/*
 * bench_daemon_start - start it and wait until it is ready, at most 20 s.
 *
 * shared    the driver's; d lies in it, so that is_ready finds it.
 * Returns   0; -1 after saying why on stderr, and nothing is left running.
 */
int bench_daemon_start(struct bench_daemon *d,
                       const struct bench_daemon_opts *opts,
                       const struct bench_setup *s,
                       void *shared);
/* bench_daemon_stop - ask it to end; after 5 s, kill it. */
void bench_daemon_stop(const struct bench_daemon *d);
void bench_daemon_kill(const struct bench_daemon *d);
/* bench_daemon_cpu_ns - CPU time that it used so far, in all its threads; 0: that cannot be known. */
int64_t bench_daemon_cpu_ns(const struct bench_daemon *d);

/* bench_daemon_configure - write its configuration file.  Returns 0, or -1 after saying why on stderr. */
__attribute__((format(printf, 3, 4))) int
bench_daemon_configure(const char *driver, const char *path, const char *format, ...);

struct bench_version {
    char text[64];
};

/*
 * bench_daemon_version - what `program --version` says first, after `before` and up to a character of `until`;
 * "version unknown" if it says something else.
 */
struct bench_version
bench_daemon_version(const char *program, const char *before, const char *until);

#ifdef __cplusplus
}
#endif
#endif

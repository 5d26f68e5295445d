/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The launcher attaches to nothing and knows nothing but pids: the nodes find each other over the bus, just
 * as when they are started one by one.
 *
 * Child 0 is the manager, then come workers, proxies and loggers.  Over two boxes child 0 of the workers' box is the
 * site, and the manager's box has no other child than that; when it is killed the launcher tells the other box, after all
 * its children are gone.  Ends that need the launcher:
 *   a node could not begin (SENSOR_EXIT_EARLY)   the others would wait for it: SIGTERM to all
 *   the manager ended                            the others leave by themselves; after GRACE_NS SIGTERM, SIGKILL
 *   SIGINT, SIGTERM to us                        SIGTERM to all; after STOP_NS SIGKILL
 *   another node was killed                      nothing: the manager hears of it over the bus and names it
 */
#include "tools/sensor/launch.h"

#include "tools/sensor/far.h"
#include "tools/sensor/log_dir.h"
#include "tools/sensor/node.h"
#include "tools/sensor/others.h"

#include <busbar/cluster.h>
#include <busbar/inspect.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_NS INT64_C(3000000000) /* for nodes to leave after the manager did */
#define STOP_NS                                                                                    \
    INT64_C(15000000000) /* for everybody after SIGTERM; the manager waits 5 s for marks */

struct child {
    pid_t pid;      /* 0: gone */
    uint32_t role;  /* enum bb_role */
    uint32_t share; /* from 0, of its role */
    char name[BB_NAME_MAX + 1];
};

struct launcher {
    const struct sensor_options *opts;
    struct sensor_earlier earlier;
    struct child children[SENSOR_NODES_MAX];
    char log_dir[SENSOR_LOG_DIR_TEXT]; /* ours, to be removed; "" when it is not ours */
    uint32_t count;
    uint32_t living;
    bool manager_gone;
    bool manager_killed;
    int code;        /* what we return */
    int64_t term_ns; /* when SIGTERM is due; INT64_MAX: not */
    int64_t kill_ns; /* when SIGKILL is due */
};

/* ---- before the fork --------------------------------------------------------------------------- */

static void
add_children(struct launcher *l, uint32_t role, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct child *child = &l->children[l->count++];

        child->role = role;
        child->share = i;
        if (role == BB_ROLE_MANAGER) {
            (void)snprintf(child->name, sizeof(child->name),
                           l->opts->box == SENSOR_ON_WORKERS ? "site" : "manager");
        } else {
            (void)snprintf(child->name, sizeof(child->name), "%s-%u", bb_role_name(role), i + 1);
        }
    }
}

static int
check_names(const struct launcher *l, struct bb_look *look)
{
    static struct bb_node_info nodes[SENSOR_MARKS_MAX];
    int n = bb_look_nodes(look, nodes, SENSOR_MARKS_MAX);

    for (int i = 0; i < n && i < SENSOR_MARKS_MAX; i++) {
        if (nodes[i].state != BB_NODE_RUNNING && nodes[i].state != BB_NODE_STOPPED) {
            continue;
        }
        for (uint32_t k = 0; k < l->count; k++) {
            if (strcmp(nodes[i].name, l->children[k].name) == 0) {
                sensor_say(
                    NULL,
                    "a node named %s is on this bus already (pid %lld): stop that sensor, or "
                    "choose another bus with --bus",
                    nodes[i].name, (long long)nodes[i].pid);
                return SENSOR_EXIT_OTHER;
            }
        }
    }
    return SENSOR_EXIT_DONE;
}

/* Of who died unnoticed, all at once perhaps, our nodes hear when they join: a name of ours, but none of us. */
static void
note_earlier(struct launcher *l, struct bb_look *look)
{
    static struct bb_cluster_node nodes[SENSOR_EARLIER_MAX];
    int n = bb_look_cluster(look, nodes, SENSOR_EARLIER_MAX, NULL);

    for (int i = 0; i < n && i < SENSOR_EARLIER_MAX; i++) {
        l->earlier.ids[l->earlier.count] = nodes[i].id;
        l->earlier.pids[l->earlier.count++] = nodes[i].pid;
    }
}

/*
 * A bus that we may not use, or one where our names are taken: said here once, and not by every child.  The
 * children check again, for this look promises nothing about the next moment.
 */
static int
check_bus(struct launcher *l)
{
    struct bb_error error = {0};
    const struct bb_look_opts opts = {
        .size = sizeof(opts), .dir = l->opts->dir, .bus = l->opts->bus, .error = &error};
    struct sensor_fail fail;
    struct bb_look *look;
    int rc = bb_look_open(&look, &opts);

    if (rc == 0) {
        rc = check_names(l, look);
        note_earlier(l, look);
        bb_look_close(look);
        return rc;
    }
    if (rc == BB_EACCES || rc == BB_ETRUST || rc == BB_EVERSION || rc == BB_EINVAL
        || rc == BB_ENAMETOOLONG) {
        (void)sensor_fail_bus(&fail, rc, &error, "cannot use the bus");
        sensor_say(NULL, "%s", fail.sentence);
        return fail.code;
    }
    return SENSOR_EXIT_DONE; /* none yet: the first child makes it */
}

/* ---- children ---------------------------------------------------------------------------------- */

static _Noreturn void
run_child(const struct launcher *l, uint32_t idx, pid_t parent)
{
    struct sensor_options opts = *l->opts;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    sensor_stop_install();
    if (getppid() != parent) {   /* killed before prctl() */
        exit(SENSOR_EXIT_OTHER); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    opts.node = l->children[idx].name;
    opts.forked = true;
    opts.earlier = &l->earlier;
    opts.role = l->children[idx].role;
    opts.share = l->children[idx].share;
    if (l->log_dir[0] != '\0') {
        opts.log_dir = l->log_dir;
    }
    exit(sensor_node_run(&opts)); /* NOLINT(concurrency-mt-unsafe) */
}

static void
signal_all(struct launcher *l, int signo)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->children[i].pid > 0) {
            (void)kill(l->children[i].pid, signo);
        }
    }
}

static void
fork_all(struct launcher *l)
{
    pid_t parent = getpid();

    for (uint32_t i = 0; i < l->count; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            run_child(l, i, parent);
        }
        if (pid < 0) {
            sensor_say(NULL, "cannot fork %s: %s; try fewer nodes", l->children[i].name,
                       strerrordesc_np(errno));
            l->code = SENSOR_EXIT_RESOURCE;
            l->manager_gone = true; /* its code no longer counts */
            l->term_ns = 0;
            return;
        }
        l->children[i].pid = pid;
        l->living++;
    }
}

/* ---- waiting ----------------------------------------------------------------------------------- */

static void
set_term(struct launcher *l, int64_t term_ns)
{
    l->term_ns = term_ns < l->term_ns ? term_ns : l->term_ns;
}

/* The manager's end is the run's end; a node that could not begin is the end of all. */
static void
take_end(struct launcher *l, uint32_t idx, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

    if (code >= SENSOR_EXIT_EARLY && !l->manager_gone) {
        l->code = code - SENSOR_EXIT_EARLY;
        l->manager_gone = true;
        set_term(l, 0);
    }
    if (idx != 0 || l->manager_gone) {
        return;
    }
    l->manager_gone = true;
    if (WIFSIGNALED(status)) {
        l->manager_killed = true;
        sensor_say(NULL, "the %s was killed by signal %d: no result", l->children[0].name,
                   WTERMSIG(status));
        l->code = SENSOR_EXIT_OTHER;
        set_term(l, 0);
    } else {
        l->code = code;
        set_term(l, sensor_mono_ns() + GRACE_NS);
    }
}

static void
reap(struct launcher *l)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (uint32_t i = 0; i < l->count; i++) {
            if (l->children[i].pid == pid) {
                l->children[i].pid = 0;
                l->living--;
                take_end(l, i, status);
            }
        }
    }
}

static void
act_when_due(struct launcher *l)
{
    int64_t now_ns = sensor_mono_ns();

    if (now_ns >= l->term_ns && l->kill_ns == INT64_MAX) {
        signal_all(l, SIGTERM);
        l->kill_ns = now_ns + STOP_NS;
    }
    if (now_ns >= l->kill_ns) {
        sensor_say(NULL, "%u nodes did not stop when told to; killing them", l->living);
        signal_all(l, SIGKILL);
        l->kill_ns = now_ns + STOP_NS;
    }
}

static void
wait_all(struct launcher *l, const sigset_t *signals)
{
    const struct timespec slice = {.tv_nsec = SENSOR_SLICE_NS};

    while (l->living != 0) {
        int signo;

        act_when_due(l);
        signo = sigtimedwait(signals, NULL, &slice);
        if (signo == SIGINT || signo == SIGTERM) {
            set_term(l, 0);
        }
        reap(l);
    }
}

static int
fork_and_wait(struct launcher *l)
{
    sigset_t signals;

    /* Held back and taken one by one in wait_all(): none is lost between two lines. */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL); /* NOLINT(concurrency-mt-unsafe): one thread */
    fork_all(l);
    wait_all(l, &signals);
    return l->code;
}

int
sensor_launch(const struct sensor_options *opts)
{
    struct launcher l = {.opts = opts, .term_ns = INT64_MAX, .kill_ns = INT64_MAX};
    struct sensor_fail fail;
    int code;

    add_children(&l, BB_ROLE_MANAGER, 1);
    add_children(&l, BB_ROLE_WORKER, opts->box == SENSOR_ON_MANAGER ? 0 : opts->workers);
    add_children(&l, BB_ROLE_PROXY, opts->proxies);
    add_children(&l, BB_ROLE_LOGGER, opts->loggers);
    code = check_bus(&l);
    if (code != SENSOR_EXIT_DONE) {
        return code;
    }
    if (opts->loggers != 0 && opts->log_dir == NULL && sensor_log_dir_make(l.log_dir, &fail) != 0) {
        sensor_say(NULL, "%s", fail.sentence);
        return fail.code;
    }
    code = fork_and_wait(&l);
    if (l.manager_killed && opts->box != SENSOR_ON_ONE) {
        sensor_far_say_gone(opts);
    }
    sensor_log_dir_remove(l.log_dir);
    return code;
}

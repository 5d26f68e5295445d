/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/crew.c - forks, two pipes for each, and an end in order whoever dies first.
 *
 *     verb                 process
 *     fork  ------------>  attach, open, ready()
 *           <---- READY --
 *           -- window -->  work until end_ns
 *           <--- RESULT -  close, and the last one removes the bus of its own
 *
 * A process asks the kernel for SIGTERM when the verb dies; the handler only sets a flag that its loops read.
 */
#include "tools/cli/crew.h"

#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include <busbar/inspect.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY = 1, RESULT = 2, FAILED = 3 };
enum { DROP_TRIES = 100 };

#define READY_NS      (30 * CLI_SECOND_NS) /* for all to attach */
#define GRACE_NS      (5 * CLI_SECOND_NS)  /* for results after the end, and for leaving */
#define DROP_PAUSE_NS (CLI_SECOND_NS / 100)
#define START_NS      (CLI_SECOND_NS / 50) /* from the window's being known to its start */

struct said {
    int32_t kind; /* READY, RESULT, FAILED */
    int32_t code; /* FAILED: exit code */
};

/* ---- the bus ------------------------------------------------------------------------------------- */

/* buses_dir - where the buses of this call live. */
static const char *
buses_dir(const struct cli_call *call, char *buf, size_t bytes)
{
    if (call->common.dir != NULL) {
        return call->common.dir;
    }
    int n = bb_bus_dir(buf, bytes - 1);
    buf[n > 0 ? n : 0] = '\0';
    return buf;
}

/* find_bus - fills path and nodes when the bus is there; 1, 0, or a status below zero. */
static int
find_bus(struct cli_crew *crew, struct bb_error *error, uint32_t *nodes)
{
    struct bb_look *look = NULL;
    struct bb_bus_info info = {.path = ""};
    struct bb_look_opts opts = {.size = sizeof(opts),
                                .dir = crew->call.common.dir,
                                .bus = crew->call.common.bus,
                                .error = error};
    int rc = bb_look_open(&look, &opts);
    if (rc == 0) {
        rc = bb_look_bus(look, &info);
    }
    if (rc >= 0) {
        snprintf(crew->path, sizeof(crew->path), "%s", info.path);
        *nodes = info.nodes;
    }
    bb_look_close(look);
    return rc == BB_ENOBUS ? 0 : rc < 0 ? rc : 1;
}

int
cli_crew_init(struct cli_crew *crew, const struct cli_call *call, size_t result_bytes)
{
    struct bb_error error = {0};
    char dir[256];
    uint32_t nodes;

    memset(crew, 0, sizeof(*crew));
    crew->call = *call;
    crew->result_bytes = result_bytes;
    crew->run = (unsigned)getpid() ^ (unsigned)(cli_wall_ns() >> 10);
    int found = find_bus(crew, &error, &nodes);
    if (found < 0) {
        return cli_report(call, found, &error, "cannot look at the bus");
    }
    if (found == 0) {
        snprintf(crew->own_bus, sizeof(crew->own_bus), "bench-%ld", (long)getpid());
        crew->call.common.bus = crew->own_bus;
        snprintf(crew->path, sizeof(crew->path), "%s/%s", buses_dir(call, dir, sizeof(dir)),
                 crew->own_bus);
    }
    return CLI_DONE;
}

void
cli_crew_say_bus(const struct cli_crew *crew)
{
    if (crew->own_bus[0] != '\0') {
        cli_say("there is no such bus: measuring on one of its own, %s", crew->path);
    }
}

/* remove_leftovers - the directory of a bus that is gone, with the file that outlives every bus. */
static void
remove_leftovers(const char *path)
{
    char name[1024];
    DIR *dir = opendir(path);
    const struct dirent *entry;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(name) != 0 && errno == EISDIR) {
            (void)rmdir(name);
        }
    }
    if (dir != NULL) {
        closedir(dir);
        (void)rmdir(path);
    }
}

/*
 * drop_own_bus - does nothing while somebody is attached: that one will.  Two that tidy up at once hinder each
 * other, so it looks again until the bus is gone.
 */
static void
drop_own_bus(struct cli_crew *crew)
{
    struct bb_error error = {0};
    struct bb_gc_opts opts = {.size = sizeof(opts),
                              .dir = crew->call.common.dir,
                              .bus = crew->call.common.bus,
                              .error = &error};
    for (int i = 0; i < DROP_TRIES && crew->own_bus[0] != '\0'; i++) {
        uint32_t nodes = 0;
        int rc = bb_gc(&opts);
        int found = find_bus(crew, &error, &nodes);
        if (found == 0 && (rc >= 0 || rc == BB_ENOBUS)) {
            remove_leftovers(crew->path);
        }
        if (found <= 0 || nodes > 0) {
            break;
        }
        cli_sleep_until(cli_mono_ns() + DROP_PAUSE_NS);
    }
}

/* ---- in a process of the crew ---------------------------------------------------------------------- */

/* put_all - 0 or -1: the verb is gone. */
static int
put_all(int fd, const void *bytes, size_t count)
{
    const char *p = bytes;
    while (count > 0) {
        ssize_t n = write(fd, p, count);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -1;
        }
        p += n;
        count -= (size_t)n;
    }
    return 0;
}

int
cli_crew_ready(const struct cli_hand *hand, struct cli_window *window)
{
    struct said ready = {.kind = READY};
    if (put_all(hand->to_verb, &ready, sizeof(ready)) != 0) {
        return CLI_FAILED;
    }
    /* Written at once and smaller than a pipe's unit: it comes whole. */
    ssize_t n;
    do {
        n = read(hand->from_verb, window, sizeof(*window));
    } while (n < 0 && errno == EINTR && !cli_stopped());
    return n == (ssize_t)sizeof(*window) ? CLI_DONE : CLI_FAILED;
}

/* die_with - SIGTERM when the verb dies.  Signals only set the flag, however many come: loops are bounded. */
static void
die_with(pid_t verb)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], NULL, &action);
        action.sa_flags &= ~(int)SA_RESETHAND;
        sigaction(signals[i], &action, NULL);
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != verb) {
        raise(SIGTERM);
    }
}

static int
attach_hand(struct cli_hand *hand)
{
    char name[BB_NAME_MAX + 1];
    snprintf(name, sizeof(name), "bench-%ld-%.16s-%u", (long)getppid(), hand->role,
             hand->index + 1);
    return cli_attach(hand->call, name, NULL, 0, &hand->ep);
}

/* work_and_leave - the whole life of a process of the crew. */
_Noreturn static void
work_and_leave(
    struct cli_crew *crew, struct cli_hand *hand, pid_t verb, cli_work work, const void *job)
{
    unsigned char *result = calloc(1, crew->result_bytes);
    int code = result != NULL ? attach_hand(hand) : CLI_RESOURCE;

    if (code == CLI_DONE) {
        code = work(hand, job, result);
    }
    struct said said = {.kind = code == CLI_DONE ? RESULT : FAILED, .code = code};
    if (put_all(hand->to_verb, &said, sizeof(said)) == 0 && code == CLI_DONE) {
        (void)put_all(hand->to_verb, result, crew->result_bytes); /* nobody reads: nothing to do */
    }
    free(result);
    bb_endpoint_close(hand->ep);
    /* Who failed leaves it to the verb: another one may just be attaching. */
    if (code == CLI_DONE || getppid() != verb) {
        drop_own_bus(crew);
    }
    fflush(stderr);
    _exit(code);
}

/* ---- in the verb ----------------------------------------------------------------------------------- */

static void
close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* close_all_pipes - also in a new process: there the ends of the others would keep their pipes open. */
static void
close_all_pipes(struct cli_crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++) {
        close_fd(&crew->members[i].from);
        close_fd(&crew->members[i].to);
    }
}

static int
no_process(const char *what)
{
    cli_say("cannot start a process: %s: %s", what, strerrordesc_np(errno));
    return CLI_RESOURCE;
}

int
cli_crew_hire(
    struct cli_crew *crew, const char *role, unsigned index, cli_work work, const void *job)
{
    struct cli_crew_member *m = &crew->members[crew->count];
    int up[2];
    int down[2];
    pid_t verb = getpid();

    m->result = calloc(1, crew->result_bytes);
    if (m->result == NULL || pipe2(up, O_CLOEXEC) != 0) {
        free(m->result);
        return no_process("pipe");
    }
    if (pipe2(down, O_CLOEXEC) != 0) {
        close(up[0]);
        close(up[1]);
        free(m->result);
        return no_process("pipe");
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        die_with(verb);
        close_all_pipes(crew);
        close(up[0]);
        close(down[1]);
        struct cli_hand hand = {.call = &crew->call,
                                .role = role,
                                .index = index,
                                .run = crew->run,
                                .to_verb = up[1],
                                .from_verb = down[0]};
        work_and_leave(crew, &hand, verb, work, job);
    }
    close(up[1]);
    close(down[0]);
    if (pid < 0) {
        close(up[0]);
        close(down[1]);
        free(m->result);
        return no_process("fork");
    }
    m->pid = pid;
    m->from = up[0];
    m->to = down[1];
    m->role = role;
    m->index = index;
    crew->count++;
    return CLI_DONE;
}

static void
stop_all(const struct cli_crew *crew, int number)
{
    for (unsigned i = 0; i < crew->count; i++) {
        if (crew->members[i].pid > 0) {
            kill(crew->members[i].pid, number);
        }
    }
}

/* get_all - 1 whole, 0 the other side is gone, -1 the time is over. */
static int
get_all(int fd, void *bytes, size_t count, int64_t deadline_ns)
{
    char *p = bytes;
    while (count > 0) {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        int64_t left_ms = cli_left_ns(deadline_ns, CLI_SECOND_NS) / 1000000;
        if (poll(&in, 1, (int)left_ms) == 1) {
            ssize_t n = read(fd, p, count);
            if (n == 0) {
                return 0;
            }
            p += n > 0 ? n : 0;
            count -= n > 0 ? (size_t)n : 0;
        } else if (cli_left_ns(deadline_ns, 1) == 0) {
            return -1;
        }
    }
    return 1;
}

/* say_how_it_ended - the sentence about one that ended without a word. */
static int
say_how_it_ended(struct cli_crew_member *m)
{
    int status = 0;
    pid_t pid = waitpid(m->pid, &status, 0);
    m->pid = 0;
    if (pid > 0 && WIFSIGNALED(status)) {
        cli_say("%s %u was killed by signal %d; nothing was measured", m->role, m->index + 1,
                WTERMSIG(status));
    } else {
        cli_say("%s %u ended without a result", m->role, m->index + 1);
    }
    return CLI_FAILED;
}

/* hear - the next word of one process; CLI_DONE when it is `kind`. */
static int
hear(struct cli_crew *crew, struct cli_crew_member *m, int32_t kind, int64_t deadline_ns)
{
    struct said said = {0};
    int got = get_all(m->from, &said, sizeof(said), deadline_ns);
    if (got == 1 && said.kind == RESULT) {
        got = get_all(m->from, m->result, crew->result_bytes, deadline_ns);
        m->has_result = got == 1;
    }
    if (got < 0) {
        cli_say("%s %u did not answer in time", m->role, m->index + 1);
        return CLI_TIME;
    }
    if (got == 0) {
        return say_how_it_ended(m);
    }
    if (said.kind == FAILED) {
        return said.code != CLI_DONE ? said.code : CLI_FAILED; /* it has said why */
    }
    return said.kind == kind ? CLI_DONE : CLI_FAILED;
}

static int
hear_all(struct cli_crew *crew, int32_t kind, int64_t deadline_ns)
{
    int code = CLI_DONE;
    for (unsigned i = 0; i < crew->count && code == CLI_DONE; i++) {
        code = hear(crew, &crew->members[i], kind, deadline_ns);
    }
    return code;
}

/* wait_for_end - of the time; a signal, or one of the crew that speaks or dies before it, ends it for all. */
static void
wait_for_end(struct cli_crew *crew, int64_t end_ns)
{
    struct pollfd fds[CLI_CREW_MAX];
    for (unsigned i = 0; i < crew->count; i++) {
        fds[i] = (struct pollfd){.fd = crew->members[i].from, .events = POLLIN};
    }
    while (cli_left_ns(end_ns, 1) > 0) {
        int64_t left_ms = cli_left_ns(end_ns, CLI_SLICE_NS) / 1000000;
        int spoken = poll(fds, crew->count, (int)left_ms + 1) > 0;
        if (cli_stopped() || (spoken && cli_left_ns(end_ns, 1) > 0)) {
            stop_all(crew, SIGTERM);
            break;
        }
    }
}

int
cli_crew_run(struct cli_crew *crew, int64_t warm_ns, int64_t for_ns)
{
    int code = hear_all(crew, READY, cli_deadline(READY_NS));
    if (code != CLI_DONE || cli_stopped()) {
        return code != CLI_DONE ? code : CLI_NO;
    }
    struct cli_window window = {.start_ns = cli_mono_ns() + START_NS};
    window.begin_ns = window.start_ns + warm_ns;
    window.end_ns = window.begin_ns + for_ns;
    for (unsigned i = 0; i < crew->count; i++) {
        (void)put_all(crew->members[i].to, &window, sizeof(window)); /* a dead one is heard of */
    }
    wait_for_end(crew, window.end_ns);
    return hear_all(crew, RESULT, cli_deadline(GRACE_NS));
}

/* reap - waits for one process until the deadline, then kills it. */
static void
reap(struct cli_crew_member *m, int64_t deadline_ns)
{
    while (m->pid > 0) {
        pid_t pid = waitpid(m->pid, NULL, WNOHANG);
        if (pid == m->pid || (pid < 0 && errno != EINTR)) {
            m->pid = 0;
        } else if (cli_left_ns(deadline_ns, 1) == 0) {
            kill(m->pid, SIGKILL);
            waitpid(m->pid, NULL, 0);
            m->pid = 0;
        } else {
            cli_sleep_until(cli_mono_ns() + CLI_SECOND_NS / 500);
        }
    }
}

void
cli_crew_fini(struct cli_crew *crew)
{
    int64_t deadline_ns = cli_deadline(GRACE_NS);
    close_all_pipes(crew); /* ends whoever waits for the window */
    stop_all(crew, SIGTERM);
    stop_all(crew, SIGCONT); /* a stopped one could not end */
    for (unsigned i = 0; i < crew->count; i++) {
        reap(&crew->members[i], deadline_ns);
        free(crew->members[i].result);
    }
    drop_own_bus(crew);
}

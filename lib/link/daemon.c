/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/daemon.c - the loop.
 *
 *   bus ─► offers ─► bbi_hub_wait(): sends, receives ─► rings of this bus ─► flush, interests, requests ─► again
 *
 * While the bus has messages it is asked again without waiting, so that nobody has to wake us, and what one turn took goes
 * out in one piece; a turn takes so much at most, then what comes in has its turn.
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/link/daemon_impl.h"
#include "shm/os.h"
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TURN_MESSAGES = 512 };
static const int64_t LOOK_NS = INT64_C(1000000000);
static const int64_t STOP_STEP_NS = INT64_C(10000000);

void
bbi_daemon_say(struct bbi_daemon *d, const char *level, const char *format, ...)
{
    char line[640];
    va_list args;
    if (d->log == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    d->log(d->user, level, line);
}

int
bbi_daemon_fail(const struct bbi_daemon *d, int rc, const struct bbi_fault *f)
{
    struct bbi_fault said = *f;
    said.code = rc;
    if (said.sentence[0] == '\0') {
        (void)bbi_fault_set(&said, rc, "busbard", "busbard: %s", bb_strerror(rc));
    }
    return bbi_error_fill(d->error, &said);
}

/* ---- events of the hub -------------------------------------------------------------------------------------------- */

static void
on_up(void *user, struct bbi_box *box, bool is_resumed)
{
    struct bbi_daemon *d = user;
    bbi_local_up(d->local, box, is_resumed);
    bbi_control_up(d->control, box);
    d->is_control_ready = true;
}

static void
on_down(void *user, struct bbi_box *box, enum bbi_down why, const char *sentence)
{
    struct bbi_daemon *d = user;
    bbi_local_down(d->local, box, why, sentence);
}

static void
on_unavailable(void *user, const char *address, const char *sentence)
{
    struct bbi_daemon *d = user;
    bbi_local_unavailable(d->local, address, sentence);
}

static void
on_messages(void *user, struct bbi_box *box, const struct bbi_link_msg *msgs, size_t count)
{
    struct bbi_daemon *d = user;
    bbi_local_messages(d->local, box, msgs, count);
}

static void
on_gap(void *user, struct bbi_box *box, const struct bbi_gap *gap)
{
    struct bbi_daemon *d = user;
    bbi_local_gap(d->local, box, gap);
}

static void
on_interest(void *user, struct bbi_box *box, const struct bbi_interest *interest)
{
    struct bbi_daemon *d = user;
    bbi_local_interest(d->local, box, interest);
}

static void
on_settle(void *user)
{
    struct bbi_daemon *d = user;
    bbi_local_settle(d->local);
}

static void
on_barrier(void *user, struct bbi_box *box, uint64_t token)
{
    struct bbi_daemon *d = user;
    bbi_control_barrier(d->control, box, token);
    d->is_control_ready = true;
}

static void
on_dialed(void *user, const char *address, int status, const char *sentence)
{
    struct bbi_daemon *d = user;
    bbi_control_dialed(d->control, address, status, sentence);
    d->is_control_ready = true;
}

static void
on_readable(void *user, int fd)
{
    struct bbi_daemon *d = user;
    uint64_t count;
    if (fd == d->bus_fd) {
        d->is_bus_ready = true;
    } else if (fd == d->control_fd) {
        d->is_control_ready = true;
    } else if (fd == d->wake_fd && read(fd, &count, sizeof(count)) < 0) {
        d->look_ns = 0; /* somebody else took it; the flags say what is to be done */
    }
}

static void
on_log(void *user, const char *level, const char *line)
{
    struct bbi_daemon *d = user;
    bbi_daemon_say(d, level, "%s", line);
}

const struct bbi_hub_events bbi_daemon_events = {
    .up = on_up,
    .down = on_down,
    .unavailable = on_unavailable,
    .messages = on_messages,
    .gap = on_gap,
    .interest = on_interest,
    .settle = on_settle,
    .barrier = on_barrier,
    .dialed = on_dialed,
    .readable = on_readable,
    .log = on_log,
};

/* ---- signals ------------------------------------------------------------------------------------------------------ */

static void
ring(struct bbi_daemon *d)
{
    int saved = errno;
    uint64_t one = 1;
    ssize_t n = write(d->wake_fd, &one, sizeof(one));
    (void)n; /* full: then it is readable already */
    errno = saved;
}

void
bbi_daemon_stop(struct bbi_daemon *daemon)
{
    bbi_store_release(&daemon->is_stopping,
                      1); /* relaxed would do: the same process, woken after */
    ring(daemon);
}

void
bbi_daemon_wake(struct bbi_daemon *daemon)
{
    bbi_store_release(&daemon->is_woken, 1);
    ring(daemon);
}

void
bbi_daemon_set_wake(struct bbi_daemon *daemon, void (*wake)(void *user), void *user)
{
    daemon->wake = wake;
    daemon->wake_user = user;
}

static void
answer_wake(struct bbi_daemon *d)
{
    if (bbi_load_acquire(&d->is_woken) != 0) {
        bbi_store_release(&d->is_woken, 0); /* before it runs: who wakes meanwhile is heard */
        if (d->wake != NULL) {
            d->wake(d->wake_user);
        }
    }
}

/* ---- the loop ----------------------------------------------------------------------------------------------------- */

/* Its lock is the bus: when that was removed or replaced, what we are attached to is nobody's any more. */
static int
look_at_bus(struct bbi_daemon *d, int64_t now, struct bbi_fault *f)
{
    const struct bbi_attach *at = bbi_endpoint_at(d->ep);
    struct stat ours;
    struct stat theirs;
    if (now < d->look_ns) {
        return 0;
    }
    d->look_ns = now + LOOK_NS;
    char lock[BBI_PATH_BYTES + 8];
    (void)snprintf(lock, sizeof(lock), "%s/lock", at->place.path);
    if (fstat(at->lock_fd, &ours) == 0 && stat(lock, &theirs) == 0 && ours.st_ino == theirs.st_ino
        && ours.st_dev == theirs.st_dev) {
        return 0;
    }
    return bbi_fault_set(f, BB_ENOBUS, at->place.path,
                         "the bus '%s' was removed or begun anew while this bridge ran: it ends; "
                         "start it again",
                         at->place.path);
}

static int
take_bus(struct bbi_daemon *d, struct bbi_fault *f)
{
    if (!d->is_bus_ready) {
        return 0;
    }
    int n = bbi_local_out(d->local, TURN_MESSAGES);
    d->is_bus_ready = n > 0;
    return n < 0 ? bbi_fault_set(f, n, bb_endpoint_path(d->ep), "the bus '%s' cannot be read: %s",
                                 bb_endpoint_path(d->ep), bb_strerror(n))
                 : 0;
}

/* Asking costs some system calls: not in each turn, but when somebody knocked, something came out, or time is over. */
static int64_t
take_requests(struct bbi_daemon *d, int64_t now)
{
    if (d->is_control_ready || now >= d->control_ns) {
        d->is_control_ready = false;
        d->control_ns = bbi_control_turn(d->control, now);
    }
    return d->control_ns;
}

static int64_t
pause_of(const struct bbi_daemon *d, int64_t next_ns, int64_t now)
{
    if (d->is_bus_ready || d->is_control_ready || next_ns <= now) {
        return 0;
    }
    return next_ns - now;
}

static int
turn(struct bbi_daemon *d, struct bbi_fault *f)
{
    answer_wake(d);
    int64_t now = bbi_os_mono_ns();
    int rc = look_at_bus(d, now, f);
    rc = rc < 0 ? rc : take_bus(d, f);
    if (rc < 0) {
        return rc;
    }
    int64_t next = bbi_local_turn(d->local, now);
    int64_t asked = take_requests(d, now);
    next = bbi_min_i64(next, bbi_min_i64(asked, d->look_ns));
    rc = bbi_hub_wait(d->hub, pause_of(d, next, now));
    return rc < 0 ? bbi_fault_set(f, rc, "busbard", "the engine that carries the links failed: %s",
                                  bb_strerror(rc))
                  : 0;
}

/*
 * What is on the bus already still goes; then everybody is told.  A poll may bring little while there is more (a visit of a
 * ring has an end), so only nothing is the end; who publishes on and on does not take the time that saying it needs.
 */
static void
stop(struct bbi_daemon *d)
{
    int64_t now = bbi_os_mono_ns();
    int64_t until = now + d->stop_max_ns;
    int64_t read_until = now + d->stop_max_ns / 2;
    int rc = 0;
    do {
        rc = bbi_local_out(d->local, TURN_MESSAGES);
        rc = rc < 0 || bbi_hub_wait(d->hub, 0) < 0 ? 0 : rc;
    } while (rc > 0 && bbi_os_mono_ns() < read_until);
    rc = 0;
    while (rc >= 0 && !bbi_hub_stop(d->hub) && bbi_os_mono_ns() < until) {
        rc = bbi_hub_wait(d->hub, STOP_STEP_NS);
    }
    (void)bbi_local_turn(d->local, bbi_os_mono_ns());
}

int
bbi_daemon_run(struct bbi_daemon *daemon)
{
    struct bbi_fault f = {.uid = -1};
    int rc = 0;
    daemon->is_bus_ready = true;
    while (rc == 0 && bbi_load_acquire(&daemon->is_stopping) == 0) {
        rc = turn(daemon, &f);
    }
    if (rc < 0) {
        return bbi_daemon_fail(daemon, rc, &f);
    }
    stop(daemon);
    return 0;
}

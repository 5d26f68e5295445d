/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/unixsock.c - the kernel alone: a Unix stream socket, or a pipe, from each publisher to each
 * subscriber.
 *
 * Gathering  a batch lies in one buffer and goes out in one write, so the kernel is asked once a batch.
 * Framing    none: all messages of a case have the same size, which both ends know.
 * Copies     the kernel copies in and out whatever the case says.
 * Processes  the harness makes all links before it forks, so nobody connects and nothing is lost early; as it
 *            keeps them open, what a publisher wrote outlives the publisher.
 */
#include "bench/driver.h"

#include "bench/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    WRITE_BYTES = 256 * 1024,  /* one write at most, but for larger messages */
    READ_BYTES = 64 * 1024,    /* one read at most, but for larger messages */
    READ_MESSAGES = 512,       /* the same, in messages */
    BUFFER_BYTES = 512 * 1024, /* of socket and pipe; the kernel may grant less */
    EVENTS = 64,               /* links looked at in one turn */
};
static const int64_t hybrid_spin_ns = 50000, ns_per_s = 1000000000;

/* Descriptors of one link; -1: there is none. */
struct link {
    int to, from;
};

struct shared {
    unsigned publishers, subscribers;
    struct link links[]; /* publisher * subscribers + subscriber */
};

struct pub {
    const struct shared *shared;
    unsigned index;
    size_t batch; /* messages in one write, at least one */
    unsigned char *buffer;
};

/* What came from one publisher and is not a whole message yet. */
struct inlet {
    int fd;
    size_t kept_bytes;
    unsigned char *buffer;
};

struct sub {
    struct bench_setup setup;
    int epoll_fd; /* -1 with one inlet only */
    unsigned inlet_count;
    size_t room_bytes; /* of each buffer */
    struct inlet inlets[];
};

static size_t
batch_of(const struct bench_setup *s)
{
    size_t fits = WRITE_BYTES / s->size;
    fits = fits > 0 ? fits : 1;
    size_t batch = s->batch < fits ? s->batch : fits;
    return batch > 0 ? batch : 1;
}

static void
describe(const struct bench_setup *s, FILE *out, const char *kind)
{
    struct utsname u = {.release = "?"};
    uname(&u);
    (void)fprintf(out, "Linux %s %s, %zu messages a write, buffer of %d KiB asked for, waits by %s",
                  u.release, kind, batch_of(s), BUFFER_BYTES / 1024,
                  s->wait == BENCH_SLEEP  ? "ppoll"
                  : s->wait == BENCH_SPIN ? "reading again"
                                          : "reading again for 50 us, then ppoll");
}

static void
describe_unix(const struct bench_setup *s, FILE *out)
{
    describe(s, out, "socketpair(AF_UNIX, SOCK_STREAM)");
}

static void
describe_pipe(const struct bench_setup *s, FILE *out)
{
    describe(s, out, "pipe");
}

/* ---- in the harness ----------------------------------------------------------------------------- */

static int
make_link(struct link *link, bool is_pipe)
{
    int fds[2], bytes = BUFFER_BYTES;
    int rc =
        is_pipe ? pipe2(fds, O_CLOEXEC) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    if (rc < 0) {
        return -errno;
    }
    link->from = fds[0];
    link->to = fds[1];
    /* More than the default is a favour of the kernel: without it the link is only slower. */
    if (is_pipe) {
        (void)fcntl(link->to, F_SETPIPE_SZ, bytes);
    } else {
        (void)setsockopt(link->to, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
    return fcntl(link->from, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static void
stop(void *handle)
{
    struct shared *shared = handle;
    for (unsigned i = 0; shared != NULL && i < shared->publishers * shared->subscribers; i++) {
        if (shared->links[i].to >= 0) {
            (void)close(shared->links[i].to);
            (void)close(shared->links[i].from);
        }
    }
    free(shared);
}

static void
allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int
start(const struct bench_setup *s, void **out, bool is_pipe)
{
    unsigned count = s->publishers * s->subscribers;
    struct shared *shared = malloc(sizeof(*shared) + count * sizeof(struct link));
    int rc = shared == NULL ? -ENOMEM : 0;
    allow_descriptors();
    if (rc == 0) {
        shared->publishers = s->publishers;
        shared->subscribers = s->subscribers;
        for (unsigned i = 0; i < count; i++) {
            shared->links[i] = (struct link){.to = -1, .from = -1};
        }
    }
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        if (!s->is_ping || i / s->subscribers != i % s->subscribers) {
            rc = make_link(&shared->links[i], is_pipe);
        }
    }
    if (rc < 0) {
        (void)fprintf(stderr, "%s: making %u links: %s\n", is_pipe ? "pipe" : "unix", count,
                      strerror(-rc));
        stop(shared);
        return rc;
    }
    *out = shared;
    return 0;
}

static int
start_unix(const struct bench_setup *s, void **shared)
{
    return start(s, shared, false);
}

static int
start_pipe(const struct bench_setup *s, void **shared)
{
    return start(s, shared, true);
}

/* ---- publisher ---------------------------------------------------------------------------------- */

static void
pub_close(void *handle)
{
    struct pub *pub = handle;
    if (pub != NULL) {
        free(pub->buffer);
        free(pub);
    }
}

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **out)
{
    struct pub *pub = calloc(1, sizeof(*pub));
    if (pub != NULL) {
        pub->shared = shared;
        pub->index = index;
        pub->batch = batch_of(s);
        pub->buffer = malloc(pub->batch * s->size);
    }
    if (pub == NULL || pub->buffer == NULL) {
        (void)fprintf(stderr, "unix, pipe: no memory for %u messages of %zu bytes\n", s->batch,
                      s->size);
        pub_close(pub);
        return -ENOMEM;
    }
    *out = pub;
    return 0;
}

static int
write_all(int fd, const unsigned char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno != EINTR) {
            int rc = -errno;
            (void)fprintf(stderr, "unix, pipe: writing %zu bytes: %s\n", bytes, strerror(errno));
            return rc;
        }
        data += n > 0 ? n : 0;
        bytes -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int
pub_send(void *handle, struct bench_source *src, uint64_t count)
{
    struct pub *pub = handle;
    const struct link *links = pub->shared->links + (size_t)pub->index * pub->shared->subscribers;
    while (count > 0) {
        size_t n = count < pub->batch ? (size_t)count : pub->batch;
        for (size_t i = 0; i < n; i++) {
            bench_fill(src, pub->buffer + i * src->size);
        }
        for (unsigned i = 0; i < pub->shared->subscribers; i++) {
            int rc = links[i].to < 0 ? 0 : write_all(links[i].to, pub->buffer, n * src->size);
            if (rc < 0) {
                return rc;
            }
        }
        count -= n;
    }
    return 0;
}

/* ---- subscriber --------------------------------------------------------------------------------- */

static void
sub_close(void *handle)
{
    struct sub *sub = handle;
    if (sub != NULL) {
        for (unsigned i = 0; i < sub->inlet_count; i++) {
            free(sub->inlets[i].buffer);
        }
        if (sub->epoll_fd >= 0) {
            (void)close(sub->epoll_fd);
        }
        free(sub);
    }
}

static int
open_inlet(struct sub *sub, int fd)
{
    struct inlet *inlet = &sub->inlets[sub->inlet_count];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = inlet};
    inlet->fd = fd;
    inlet->kept_bytes = 0;
    inlet->buffer = malloc(sub->room_bytes);
    if (inlet->buffer == NULL) {
        return -ENOMEM;
    }
    sub->inlet_count++;
    if (sub->epoll_fd >= 0 && epoll_ctl(sub->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        return -errno;
    }
    return 0;
}

static int
sub_open(const struct bench_setup *s, void *handle, unsigned index, void **out)
{
    const struct shared *shared = handle;
    struct sub *sub = calloc(1, sizeof(*sub) + s->publishers * sizeof(struct inlet));
    int rc = sub == NULL ? -ENOMEM : 0;
    if (rc == 0) {
        size_t fits = READ_BYTES / s->size;
        fits = fits > READ_MESSAGES ? READ_MESSAGES : fits > 0 ? fits : 1;
        sub->setup = *s;
        sub->room_bytes = fits * s->size;
        sub->epoll_fd = s->publishers > 1 && !s->is_ping ? epoll_create1(EPOLL_CLOEXEC) : -1;
    }
    for (unsigned i = 0; rc == 0 && i < s->publishers; i++) {
        int fd = shared->links[i * s->subscribers + index].from;
        rc = fd >= 0 ? open_inlet(sub, fd) : 0;
    }
    if (rc < 0) {
        (void)fprintf(stderr, "unix, pipe: opening subscriber %u: %s\n", index, strerror(-rc));
        sub_close(sub);
        return rc;
    }
    *out = sub;
    return 0;
}

/* Reads once and takes the whole messages; the buffer begins with a message, so all are 8-aligned. */
static int
drain(struct sub *sub, struct inlet *inlet, struct bench_sink *sink)
{
    ssize_t n =
        read(inlet->fd, inlet->buffer + inlet->kept_bytes, sub->room_bytes - inlet->kept_bytes);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return 0;
        }
        int rc = n < 0 ? -errno : -EPIPE;
        (void)fprintf(stderr, "unix, pipe: reading: %s\n", strerror(-rc));
        return rc;
    }
    size_t bytes = inlet->kept_bytes + (size_t)n, at = 0, size = sub->setup.size;
    int taken = 0;
    for (; bytes - at >= size; at += size) {
        bench_take(sink, inlet->buffer + at, size);
        taken++;
    }
    inlet->kept_bytes = bytes - at;
    if (at > 0 && inlet->kept_bytes > 0) {
        memmove(inlet->buffer, inlet->buffer + at, inlet->kept_bytes);
    }
    return taken;
}

/* One read from each link that has something. */
static int
sweep(struct sub *sub, struct bench_sink *sink)
{
    if (sub->epoll_fd < 0) {
        return drain(sub, &sub->inlets[0], sink);
    }
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(sub->epoll_fd, events, EVENTS, 0), taken = 0;
    for (int i = 0; i < ready; i++) {
        int n = drain(sub, events[i].data.ptr, sink);
        if (n < 0) {
            return n;
        }
        taken += n;
    }
    return taken;
}

static void
rest(const struct sub *sub, int64_t waited_ns, int64_t left_ns)
{
    if (sub->setup.wait == BENCH_SPIN
        || (sub->setup.wait == BENCH_HYBRID && waited_ns < hybrid_spin_ns)) {
        return; /* a read is pause enough */
    }
    struct pollfd item = {.fd = sub->epoll_fd >= 0 ? sub->epoll_fd : sub->inlets[0].fd,
                          .events = POLLIN};
    struct timespec t = {.tv_sec = left_ns / ns_per_s, .tv_nsec = left_ns % ns_per_s};
    (void)ppoll(&item, 1, &t, NULL);
}

static int
sub_recv(void *handle, struct bench_sink *sink, int64_t timeout_ns)
{
    struct sub *sub = handle;
    int taken = sweep(sub, sink);
    if (taken != 0) {
        return taken;
    }
    int64_t since = bench_now_ns();
    for (int64_t now = since; taken == 0 && now - since < timeout_ns; now = bench_now_ns()) {
        rest(sub, now - since, since + timeout_ns - now);
        taken = sweep(sub, sink);
    }
    return taken;
}

const struct bench_driver bench_driver_unix = {
    .name = "unix",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_RELY | BENCH_CAN_SPIN
           | BENCH_CAN_SLEEP,
    .describe = describe_unix,
    .start = start_unix,
    .stop = stop,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};

const struct bench_driver bench_driver_pipe = {
    .name = "pipe",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_RELY | BENCH_CAN_SPIN
           | BENCH_CAN_SLEEP,
    .describe = describe_pipe,
    .start = start_pipe,
    .stop = stop,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};

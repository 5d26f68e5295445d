/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/net/net_pair.h - two nets in one thread, a listener and a client, and what their handlers saw.
 *
 * Every test runs for every kind: io_uring, io_uring restricted, epoll, and io_uring forbidden by a filter of its own
 * process (so AUTO takes epoll).  Where this box forbids io_uring its kinds are skipped.
 */
#ifndef BUSBAR_TESTS_UNIT_NET_NET_PAIR_H
#define BUSBAR_TESTS_UNIT_NET_NET_PAIR_H

#include "lib/net/net_impl.h"
#include "shm/os.h"
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wpedantic"
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic ignored "-Wcast-align"
#    pragma GCC diagnostic ignored "-Wduplicated-branches"
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>
#pragma GCC diagnostic pop

#define UNUSED __attribute__((unused))

/* ---- kinds ---- */

struct kind {
    char name[24];
    enum bbi_net_engine engine;
    bool is_restricted;
    int denied; /* errno that a filter gives for io_uring_setup; 0: no filter */
};

static struct kind KINDS[] UNUSED = {
    {"io_uring", BBI_NET_URING, false, 0},
    {"io_uring restricted", BBI_NET_URING, true, 0},
    {"epoll", BBI_NET_EPOLL, false, 0},
    {"denied, EPERM", BBI_NET_AUTO, false, EPERM},
    {"denied, ENOSYS", BBI_NET_AUTO, false, ENOSYS},
};
#define KIND_PARAMS(suite, name)                                                                   \
    ParameterizedTestParameters(suite, name)                                                       \
    {                                                                                              \
        return cr_make_param_array(struct kind, KINDS, sizeof(KINDS) / sizeof(KINDS[0]));          \
    }

/* From here on these calls fail with error in this process.  count at most 8. */
static UNUSED void
deny(const int *calls, int count, int error)
{
    struct sock_filter code[16];
    unsigned short n = 0;
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < count; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i],
                                                 (uint8_t)(count - i), 0);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error);
    struct sock_fprog program = {.len = n, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
        abort();
    }
}

/* Skips the test where this box itself has no io_uring; puts the kind's filter in place. */
static UNUSED void
begin_kind(const struct kind *k)
{
    char why[512];
    if (k->engine == BBI_NET_URING && bbi_net_probe(why, sizeof(why)) != BBI_NET_URING) {
        cr_skip_test("no io_uring here: %s", why);
    }
    if (k->denied != 0) {
        const int setup = SYS_io_uring_setup;
        deny(&setup, 1, k->denied);
    }
}

/* ---- a side ---- */

enum { CONNS = 64 };

struct side {
    struct bbi_net *net;
    struct bbi_net_id listener;
    uint16_t port;
    struct bbi_net_id conn; /* the last that was accepted or connected */
    struct bbi_net_id conns[CONNS];
    char peer[BBI_NET_ADDRESS_BYTES];
    int accepted, connected, refused, closed, sent, readable;
    int status;     /* of the last closed() or refused connected() */
    char said[512]; /* of the last refused connected() */
    struct bbi_net_id closed_id;
    uint64_t received;
    XXH3_state_t *hash;
    uint64_t after_close; /* events of an id that was closed before */
    /* What a test does inside; may be NULL. */
    void (*on_received)(struct side *s, struct bbi_net_id conn, const void *data, size_t bytes);
    void (*on_sent)(struct side *s, struct bbi_net_id conn);
    void (*on_accepted)(struct side *s, struct bbi_net_id conn);
    void (*on_readable)(struct side *s, int fd);
    void *arg;
};

static UNUSED void
side_accepted(void *user, struct bbi_net_id listener, struct bbi_net_id conn, const char *peer)
{
    struct side *s = user;
    cr_assert_eq(listener.v, s->listener.v);
    s->conn = conn;
    s->conns[s->accepted % CONNS] = conn;
    s->accepted++;
    (void)snprintf(s->peer, sizeof(s->peer), "%s", peer);
    if (s->on_accepted != NULL) {
        s->on_accepted(s, conn);
    }
}

static UNUSED void
side_connected(void *user, struct bbi_net_id conn, int status)
{
    struct side *s = user;
    if (status == 0) {
        s->conns[s->connected % CONNS] = conn;
        s->connected++;
        s->conn = conn;
    } else {
        s->refused++;
        s->status = status;
        (void)snprintf(s->said, sizeof(s->said), "%s", bbi_net_said(s->net));
    }
}

static UNUSED void
side_received(void *user, struct bbi_net_id conn, const void *data, size_t bytes)
{
    struct side *s = user;
    s->after_close += s->closed_id.v == conn.v;
    s->received += bytes;
    (void)XXH3_64bits_update(s->hash, data, bytes);
    if (s->on_received != NULL) {
        s->on_received(s, conn, data, bytes);
    }
}

static UNUSED void
side_sent(void *user, struct bbi_net_id conn)
{
    struct side *s = user;
    s->after_close += s->closed_id.v == conn.v;
    s->sent++;
    if (s->on_sent != NULL) {
        s->on_sent(s, conn);
    }
}

static UNUSED void
side_closed(void *user, struct bbi_net_id conn, int status)
{
    struct side *s = user;
    s->after_close += s->closed_id.v == conn.v;
    s->closed++;
    s->closed_id = conn;
    s->status = status;
}

static UNUSED void
side_readable(void *user, int fd)
{
    struct side *s = user;
    s->readable++;
    if (s->on_readable != NULL) {
        s->on_readable(s, fd);
    }
}

static UNUSED void
side_open_with(struct side *s, const struct kind *k, struct bbi_net_opts o)
{
    static const struct bbi_net_handler handler = {side_accepted, side_connected, side_received,
                                                   side_sent,     side_closed,    side_readable};
    struct bbi_fault f = {0};
    *s = (struct side){0};
    s->hash = XXH3_createState();
    (void)XXH3_64bits_reset(s->hash);
    o.engine = k->engine;
    o.is_restricted = k->is_restricted;
    cr_assert_eq(bbi_net_open(&s->net, &o, &handler, s, &f), 0, "%s: %s", k->name, f.sentence);
    const char *engine = k->engine == BBI_NET_URING ? "io_uring" : "epoll";
    cr_assert_str_eq(bbi_net_engine_name(s->net), engine);
}

static UNUSED void
side_open(struct side *s, const struct kind *k)
{
    side_open_with(s, k, (struct bbi_net_opts){0});
}

static UNUSED void
side_close(struct side *s)
{
    cr_assert_eq(s->after_close, 0, "events of a connection that was closed");
    bbi_net_close(s->net);
    XXH3_freeState(s->hash);
}

static UNUSED void
side_listen(struct side *s, const char *host)
{
    struct bbi_fault f = {0};
    cr_assert_eq(bbi_net_listen(s->net, host, 0, &s->listener, &s->port, &f), 0, "%s", f.sentence);
    cr_assert_neq(s->port, 0);
}

/* ---- driving ---- */

static UNUSED void
turn(struct side *s, int64_t timeout_ns)
{
    int rc = bbi_net_wait(s->net, timeout_ns);
    cr_assert_geq(rc, 0, "%s: %s", bbi_net_engine_name(s->net), bb_strerror(rc));
}

/* Until the expression holds, both sides taking turns; b may be NULL.  20 s at most. */
#define UNTIL(a, b, expr)                                                                          \
    do {                                                                                           \
        int64_t until_deadline_ns = bbi_os_mono_ns() + INT64_C(20000000000);                       \
        while (!(expr)) {                                                                          \
            cr_assert_lt(bbi_os_mono_ns(), until_deadline_ns, "never: %s", #expr);                 \
            turn((a), (b) == NULL ? 1000000 : 100000);                                             \
            if ((b) != NULL) {                                                                     \
                turn((b), 0);                                                                      \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static UNUSED void
link_up(struct side *client, struct side *server)
{
    struct bbi_net_id id;
    struct bbi_fault f = {0};
    int was = server->accepted, had = client->connected;
    cr_assert_eq(bbi_net_connect(client->net, "127.0.0.1", server->port, 0, &id, &f), 0, "%s",
                 f.sentence);
    UNTIL(client, server, server->accepted > was && client->connected > had);
    cr_assert_eq(client->conn.v, id.v);
}

static UNUSED struct side *
no_side(void)
{
    return NULL;
}

static UNUSED int
send_text(struct side *s, const char *text)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    return bbi_net_send(s->net, s->conn, &piece, 1);
}

/* ---- a stream whose bytes are known ---- */

enum { POOL_BYTES = 1 << 20 };

struct stream {
    unsigned char *pool;
    uint64_t seed;
    uint64_t sends_left, messages, bytes;
    size_t bytes_min, bytes_max; /* of a piece */
    int pieces_min, pieces_max;  /* of a send */
    XXH3_state_t *hash;
};

static UNUSED uint64_t
next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static UNUSED void
stream_open(struct stream *st)
{
    st->seed = 0x9e3779b97f4a7c15u;
    st->pool = malloc(POOL_BYTES);
    st->hash = XXH3_createState();
    (void)XXH3_64bits_reset(st->hash);
    for (size_t i = 0; i < POOL_BYTES; i += 8) {
        uint64_t v = next_random(&st->seed);
        memcpy(st->pool + i, &v, 8);
    }
}

static UNUSED void
stream_close(struct stream *st)
{
    free(st->pool);
    XXH3_freeState(st->hash);
}

static UNUSED uint64_t
between(uint64_t *seed, uint64_t low, uint64_t high)
{
    return low + next_random(seed) % (high - low + 1);
}

/* The next send of the stream; for on_sent, with the stream in s->arg. */
static UNUSED void
stream_send(struct side *s, struct bbi_net_id conn)
{
    struct stream *st = s->arg;
    struct iovec pieces[BBI_NET_PIECES];
    if (st->sends_left == 0) {
        return;
    }
    st->sends_left--;
    int count = (int)between(&st->seed, (uint64_t)st->pieces_min, (uint64_t)st->pieces_max);
    for (int i = 0; i < count; i++) {
        size_t bytes = between(&st->seed, st->bytes_min, st->bytes_max);
        size_t off = next_random(&st->seed) % (POOL_BYTES - bytes);
        pieces[i] = (struct iovec){.iov_base = st->pool + off, .iov_len = bytes};
        (void)XXH3_64bits_update(st->hash, st->pool + off, bytes);
        st->bytes += bytes;
        st->messages++;
    }
    cr_assert_eq(bbi_net_send(s->net, conn, pieces, count), 0);
}

static UNUSED void
stream_begin(struct side *s, struct stream *st)
{
    s->arg = st;
    s->on_sent = stream_send;
    stream_send(s, s->conn);
}

static UNUSED void
stream_check(const struct stream *st, const struct side *to)
{
    cr_assert_eq(to->received, st->bytes, "%lu of %lu bytes", (unsigned long)to->received,
                 (unsigned long)st->bytes);
    cr_assert_eq(XXH3_64bits_digest(to->hash), XXH3_64bits_digest(st->hash), "bytes differ");
}

/* ---- bare sockets ---- */

static UNUSED struct sockaddr_in
loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

static UNUSED int
bare_connect(uint16_t port)
{
    struct sockaddr_in addr = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static UNUSED int
bare_listen(int backlog, uint16_t *port)
{
    struct sockaddr_in addr = loopback(0);
    socklen_t bytes = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    cr_assert_eq(listen(fd, backlog), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &bytes), 0);
    *port = ntohs(addr.sin_port);
    return fd;
}
#endif

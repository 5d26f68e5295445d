/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/tcp.c - bare TCP between two boxes: gathered writes of framed messages, plain or through OpenSSL.
 *
 * What the links of a bus are measured against: up to 64 messages in one sendmsg, 8 bytes before each, a piece each; the
 * other side receives as much as there is and takes each message where it lies.  No topics, nothing about who wants
 * what, nothing kept for a cut, no checksum, nobody who dies.
 *
 * Drivers    tcp   as it is
 *            tls   TLS 1.3 with a pre-shared key, TLS_AES_128_GCM_SHA256; a batch is one SSL_write
 * Sockets    The publisher listens, each subscriber connects.  TCP_NODELAY; else as the kernel has them.
 * Waiting    by SO_RCVTIMEO, so that a read is one system call; a publisher waits in its write.
 * Handshake  By whoever first reads or writes: opening may not wait for the other side.
 */
#include "bench/clock.h"
#include "bench/driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    GATHER = 64,      /* messages in one write */
    HEADER_BYTES = 8, /* the payload's length */
    READ_BYTES = 256 << 10,
    OPEN_MS = 10000, /* for the other side to come */
    KEY_BYTES = 32,
};

static const int64_t over_nap_ns = 1000000;

/* Made by start, before any fork. */
struct bus {
    bool is_tls;
    _Atomic uint32_t ports[BENCH_PUBLISHERS]; /* that each publisher listens on */
};

struct conn {
    int fd;
    SSL *ssl; /* NULL: plain */
};

struct pub {
    const char *name;
    int listener;
    unsigned wanted, count, batch; /* connections */
    struct conn conns[BENCH_SUBSCRIBERS];
    SSL_CTX *ctx;
    size_t frame_bytes; /* header and payload */
    unsigned char *frames;
};

struct sub {
    const char *name;
    struct conn conn;
    SSL_CTX *ctx;
    int64_t timeout_ns; /* that the socket has */
    bool is_over;       /* the publisher has left; what is missing then, the harness counts */
    size_t frame_bytes, cap, have, at;
    unsigned char *buffer;
};

static const char *
name_of(const struct bus *bus)
{
    return bus->is_tls ? "tls" : "tcp";
}

static int
complain(const char *name, const char *what)
{
    char text[256] = "";
    unsigned long code = ERR_get_error();
    if (code != 0) {
        ERR_error_string_n(code, text, sizeof(text));
    }
    (void)fprintf(stderr, "%s: %s: %s.\n", name, what, code != 0 ? text : strerror(errno));
    return -1;
}

/* ---- the harness's process --------------------------------------------------------------------- */

static int
start(bool is_tls, void **shared)
{
    struct bus *bus =
        mmap(NULL, sizeof(*bus), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bus == MAP_FAILED) {
        return complain(is_tls ? "tls" : "tcp", "cannot start");
    }
    bus->is_tls = is_tls;
    *shared = bus;
    return 0;
}

static int
start_tcp(const struct bench_setup *s, void **shared)
{
    (void)s;
    return start(false, shared);
}

static int
start_tls(const struct bench_setup *s, void **shared)
{
    (void)s;
    return start(true, shared);
}

static void
stop(void *shared)
{
    (void)munmap(shared, sizeof(struct bus));
}

static unsigned
gather_of(const struct bench_setup *s)
{
    return s->is_ping ? 1 : s->batch < GATHER ? s->batch : GATHER;
}

static void
describe_tcp(const struct bench_setup *s, FILE *out)
{
    (void)fprintf(out,
                  "bare TCP loopback, %u messages of a piece each in one sendmsg, 8 bytes before "
                  "each, TCP_NODELAY, reads of up to %d KiB",
                  gather_of(s), READ_BYTES >> 10);
}

static void
describe_tls(const struct bench_setup *s, FILE *out)
{
    (void)fprintf(out,
                  "%s, TLS 1.3 with a pre-shared key, TLS_AES_128_GCM_SHA256, %u messages in one "
                  "SSL_write, read ahead of %d KiB",
                  OpenSSL_version(OPENSSL_VERSION), gather_of(s), READ_BYTES >> 10);
}

/* ---- TLS --------------------------------------------------------------------------------------- */

static unsigned
give_key(unsigned char *key, unsigned cap)
{
    if (cap < KEY_BYTES) {
        return 0;
    }
    memset(key, 'k', KEY_BYTES); /* what is measured does not depend on it */
    return KEY_BYTES;
}

static unsigned
client_key(
    SSL *ssl, const char *hint, char *identity, unsigned cap, unsigned char *key, unsigned key_cap)
{
    (void)ssl, (void)hint;
    (void)snprintf(identity, cap, "bench");
    return give_key(key, key_cap);
}

static unsigned
server_key(SSL *ssl, const char *identity, unsigned char *key, unsigned key_cap)
{
    (void)ssl;
    return strcmp(identity, "bench") == 0 ? give_key(key, key_cap) : 0;
}

static SSL_CTX *
new_context(bool is_server)
{
    SSL_CTX *ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1
        || SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1
        || SSL_CTX_set_num_tickets(ctx, 0) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, READ_BYTES);
    if (is_server) {
        SSL_CTX_set_psk_server_callback(ctx, server_key);
    } else {
        SSL_CTX_set_psk_client_callback(ctx, client_key);
    }
    return ctx;
}

/* ctx NULL: plain. */
static int
settle_conn(struct conn *c, SSL_CTX *ctx, bool is_server)
{
    int yes = 1;
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) < 0) {
        return -1;
    }
    if (ctx == NULL) {
        return 0;
    }
    c->ssl = SSL_new(ctx);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
        return -1;
    }
    if (is_server) {
        SSL_set_accept_state(c->ssl);
    } else {
        SSL_set_connect_state(c->ssl);
    }
    return 0;
}

static void
drop_conn(struct conn *c)
{
    SSL_free(c->ssl);
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
}

/* ---- publisher --------------------------------------------------------------------------------- */

static void
pub_close(void *pub)
{
    struct pub *p = pub;
    for (unsigned i = 0; i < p->count; i++) {
        drop_conn(&p->conns[i]);
    }
    if (p->listener >= 0) {
        (void)close(p->listener);
    }
    SSL_CTX_free(p->ctx);
    free(p->frames);
    free(p);
}

static int
listen_at(struct pub *p, _Atomic uint32_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(at);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&at, sizeof(at)) < 0
        || listen(p->listener, BENCH_SUBSCRIBERS) < 0
        || getsockname(p->listener, (struct sockaddr *)&at, &bytes) < 0) {
        return complain(p->name, "cannot listen");
    }
    atomic_store(port, ntohs(at.sin_port));
    return 0;
}

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **pub)
{
    struct bus *bus = shared;
    struct pub *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return complain(name_of(bus), "cannot open a publisher");
    }
    p->name = name_of(bus);
    p->listener = -1;
    p->wanted = s->is_ping ? 1 : s->subscribers;
    p->batch = gather_of(s);
    p->frame_bytes = HEADER_BYTES + s->size;
    p->frames = calloc(GATHER, p->frame_bytes);
    p->ctx = bus->is_tls ? new_context(true) : NULL;
    if (p->frames == NULL || (bus->is_tls && p->ctx == NULL)) {
        complain(p->name, "cannot open a publisher");
        pub_close(p);
        return -1;
    }
    if (listen_at(p, &bus->ports[index]) < 0) {
        pub_close(p);
        return -1;
    }
    *pub = p;
    return 0;
}

/* All subscribers have connected before the first message is sent, or will at once. */
static int
accept_all(struct pub *p)
{
    while (p->count < p->wanted) {
        struct pollfd waiting = {.fd = p->listener, .events = POLLIN};
        struct conn *c = &p->conns[p->count];
        if (poll(&waiting, 1, OPEN_MS) <= 0) {
            return complain(p->name, "nobody connects");
        }
        *c = (struct conn){.fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC)};
        if (c->fd < 0) {
            return complain(p->name, "cannot accept");
        }
        p->count++;
        struct timeval bound = {.tv_sec = OPEN_MS / 1000};
        if (settle_conn(c, p->ctx, true) < 0
            || setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)) < 0
            || (c->ssl != NULL && SSL_accept(c->ssl) != 1)) {
            return complain(p->name, "cannot settle a connection");
        }
    }
    return 0;
}

static int
write_gathered(const struct pub *p, const struct conn *c, unsigned count)
{
    struct iovec pieces[GATHER];
    struct msghdr msg = {.msg_iov = pieces, .msg_iovlen = count};
    for (unsigned i = 0; i < count; i++) {
        pieces[i] = (struct iovec){p->frames + i * p->frame_bytes, p->frame_bytes};
    }
    while (msg.msg_iovlen > 0) {
        ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return complain(p->name, "cannot send");
        }
        for (size_t left = (size_t)sent; left > 0;) {
            size_t step = left < msg.msg_iov->iov_len ? left : msg.msg_iov->iov_len;
            msg.msg_iov->iov_base = (unsigned char *)msg.msg_iov->iov_base + step;
            msg.msg_iov->iov_len -= step;
            left -= step;
            if (msg.msg_iov->iov_len == 0) {
                msg.msg_iov++;
                msg.msg_iovlen--;
            }
        }
    }
    return 0;
}

static int
write_encrypted(const struct pub *p, const struct conn *c, unsigned count)
{
    size_t bytes = count * p->frame_bytes, sent;
    return SSL_write_ex(c->ssl, p->frames, bytes, &sent) == 1 ? 0
                                                              : complain(p->name, "cannot send");
}

static int
pub_send(void *pub, struct bench_source *src, uint64_t count)
{
    struct pub *p = pub;
    if (p->count < p->wanted && accept_all(p) < 0) {
        return -1;
    }
    while (count > 0) {
        unsigned n = count < p->batch ? (unsigned)count : p->batch;
        for (unsigned i = 0; i < n; i++) {
            unsigned char *frame = p->frames + i * p->frame_bytes;
            uint64_t bytes = src->size;
            memcpy(frame, &bytes, HEADER_BYTES);
            bench_fill(src, frame + HEADER_BYTES);
        }
        for (unsigned i = 0; i < p->count; i++) {
            const struct conn *c = &p->conns[i];
            if ((c->ssl != NULL ? write_encrypted(p, c, n) : write_gathered(p, c, n)) < 0) {
                return -1;
            }
        }
        count -= n;
    }
    return 0;
}

/* ---- subscriber -------------------------------------------------------------------------------- */

static void
sub_close(void *sub)
{
    struct sub *r = sub;
    drop_conn(&r->conn);
    SSL_CTX_free(r->ctx);
    free(r->buffer);
    free(r);
}

static int
connect_to(struct sub *r, const struct bus *bus, unsigned publisher)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)atomic_load(&bus->ports[publisher]))};
    r->conn.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->conn.fd < 0 || connect(r->conn.fd, (struct sockaddr *)&at, sizeof(at)) < 0
        || settle_conn(&r->conn, r->ctx, false) < 0) {
        return complain(r->name, "cannot connect");
    }
    return 0;
}

static int
sub_open(const struct bench_setup *s, void *shared, unsigned index, void **sub)
{
    struct bus *bus = shared;
    struct sub *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return complain(name_of(bus), "cannot open a subscriber");
    }
    r->name = name_of(bus);
    r->conn.fd = -1;
    r->frame_bytes = HEADER_BYTES + s->size;
    r->cap = READ_BYTES + r->frame_bytes;
    r->buffer = malloc(r->cap);
    r->ctx = bus->is_tls ? new_context(false) : NULL;
    if (r->buffer == NULL || (bus->is_tls && r->ctx == NULL)) {
        complain(r->name, "cannot open a subscriber");
        sub_close(r);
        return -1;
    }
    if (connect_to(r, bus, s->is_ping ? 1 - index : 0) < 0) {
        sub_close(r);
        return -1;
    }
    *sub = r;
    return 0;
}

static int
set_timeout(struct sub *r, int64_t timeout_ns)
{
    int64_t us = timeout_ns > 0 ? (timeout_ns + 999) / 1000 : 1; /* 0 would be for ever */
    struct timeval bound = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    if (timeout_ns == r->timeout_ns) {
        return 0;
    }
    r->timeout_ns = timeout_ns;
    return setsockopt(r->conn.fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
}

static int
receive_encrypted(struct sub *r, void *to, size_t room)
{
    size_t got;
    ERR_clear_error();
    if (SSL_read_ex(r->conn.ssl, to, room, &got) == 1) {
        return (int)got;
    }
    int why = SSL_get_error(r->conn.ssl, 0);
    unsigned long code = ERR_peek_error();
    r->is_over =
        why == SSL_ERROR_ZERO_RETURN
        || (why == SSL_ERROR_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
    return r->is_over || why == SSL_ERROR_WANT_READ ? 0 : complain(r->name, "cannot read");
}

/* How many bytes came; 0: none in time, or no more will; negative: said. */
static int
receive(struct sub *r, void *to, size_t room)
{
    if (r->conn.ssl != NULL) {
        return receive_encrypted(r, to, room);
    }
    ssize_t got = recv(r->conn.fd, to, room, 0);
    r->is_over = got == 0 || (got < 0 && errno == ECONNRESET);
    bool is_late = got < 0 && (errno == EAGAIN || errno == EINTR);
    return r->is_over || is_late ? 0 : got > 0 ? (int)got : complain(r->name, "cannot read");
}

static int
take_frames(struct sub *r, struct bench_sink *sink)
{
    int taken = 0;
    for (; r->have - r->at >= r->frame_bytes; r->at += r->frame_bytes) {
        uint64_t bytes;
        memcpy(&bytes, r->buffer + r->at, HEADER_BYTES);
        if (bytes != r->frame_bytes - HEADER_BYTES) {
            errno = EPROTO;
            return complain(r->name, "a message has another size");
        }
        bench_take(sink, r->buffer + r->at + HEADER_BYTES, bytes);
        taken++;
    }
    memmove(r->buffer, r->buffer + r->at, r->have - r->at);
    r->have -= r->at;
    r->at = 0;
    return taken;
}

static int
sub_recv(void *sub, struct bench_sink *sink, int64_t timeout_ns)
{
    struct sub *r = sub;
    if (r->is_over) {
        bench_nap(timeout_ns < over_nap_ns ? timeout_ns : over_nap_ns);
        return 0;
    }
    if (set_timeout(r, timeout_ns) < 0) {
        return complain(r->name, "cannot set a bound");
    }
    int taken = 0;
    while (taken == 0) {
        int got = receive(r, r->buffer + r->have, r->cap - r->have);
        if (got <= 0) {
            return got;
        }
        r->have += (size_t)got;
        taken = take_frames(r, sink);
    }
    return taken;
}

const struct bench_driver bench_driver_tcp = {
    .name = "tcp",
    .can = BENCH_CAN_BRIDGE,
    .describe = describe_tcp,
    .start = start_tcp,
    .stop = stop,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};

const struct bench_driver bench_driver_tls = {
    .name = "tls",
    .can = BENCH_CAN_TLS,
    .describe = describe_tls,
    .start = start_tls,
    .stop = stop,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: connections begin and end as net.h promises: addresses, refusals, deadlines, orderly ends, resets, deaths,
 * ids that are gone, memory that is free when it is said to be.
 * Method: two nets, or one and a bare socket, or a child that is killed.
 */
#include "tests/unit/net/net_pair.h"
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>

TestSuite(net_life, .timeout = 60);

static struct side client, server;

static void
open_both(const struct kind *k)
{
    begin_kind(k);
    side_open(&server, k);
    side_open(&client, k);
    side_listen(&server, "127.0.0.1");
}

static void
close_both(void)
{
    side_close(&client);
    side_close(&server);
}

static uint64_t
stale(const struct side *s)
{
    struct bbi_net_stats stats;
    bbi_net_stats(s->net, &stats);
    return stats.stale;
}

/* Descriptors of this process. */
static int
descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* ---- begin ---- */

static char echoed[64];

static void
echo(struct side *s, struct bbi_net_id conn, const void *data, size_t bytes)
{
    cr_assert_lt(bytes, sizeof(echoed));
    memcpy(echoed, data, bytes);
    struct iovec piece = {.iov_base = echoed, .iov_len = bytes};
    cr_assert_eq(bbi_net_send(s->net, conn, &piece, 1), 0);
}

static void
check_echo(void)
{
    uint64_t had = client.received;
    int was = client.sent;
    cr_assert_eq(send_text(&client, "are you there?"), 0);
    cr_assert_eq(send_text(&client, "and you?"), BB_EBUSY);
    UNTIL(&client, &server, client.received == had + 14 && client.sent == was + 1);
}

KIND_PARAMS(net_life, connect_and_echo)
ParameterizedTest(struct kind *k, net_life, connect_and_echo)
{
    int before;
    char expected[BBI_NET_ADDRESS_BYTES];
    struct sockaddr_in addr;
    socklen_t bytes = sizeof(addr);
    begin_kind(k);
    before = descriptors();
    open_both(k);
    server.on_received = echo;
    link_up(&client, &server);
    check_echo();
    cr_assert_eq(
        getsockname(bbi_net_slot(client.net, client.conn)->fd, (struct sockaddr *)&addr, &bytes),
        0);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%u", ntohs(addr.sin_port));
    cr_assert_str_eq(server.peer, expected);
    close_both();
    cr_assert_eq(descriptors(), before, "descriptors leak");
}

KIND_PARAMS(net_life, every_connection_is_dressed)
ParameterizedTest(struct kind *k, net_life, every_connection_is_dressed)
{
    struct side *sides[] = {&client, &server};
    open_both(k);
    link_up(&client, &server);
    for (int i = 0; i < 2; i++) {
        int fd = bbi_net_slot(sides[i]->net, sides[i]->conn)->fd, value = 0;
        socklen_t bytes = sizeof(value);
        cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &bytes), 0);
        cr_assert_neq(value, 0);
        cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &bytes), 0);
        cr_assert_neq(value, 0);
        cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &bytes), 0);
        cr_assert_eq(value, 5000);
        cr_assert_neq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    }
    close_both();
}

KIND_PARAMS(net_life, hosts)
ParameterizedTest(struct kind *k, net_life, hosts)
{
    const char *hosts[] = {"127.0.0.1", "localhost", "[::1]", "::1"};
    struct bbi_net_id id;
    struct bbi_fault f = {0};
    begin_kind(k);
    side_open(&server, k);
    side_open(&client, k);
    side_listen(&server, "*");
    bool has_six = bbi_net_slot(server.net, server.listener) != NULL;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    has_six = has_six && fd >= 0 && bind(fd, (struct sockaddr *)&six, sizeof(six)) == 0;
    (void)close(fd);
    for (int i = 0; i < (has_six ? 4 : 2); i++) {
        cr_assert_eq(bbi_net_connect(client.net, hosts[i], server.port, 0, &id, &f), 0, "%s",
                     f.sentence);
        UNTIL(&client, &server, client.connected == i + 1 && server.accepted == i + 1);
        bool is_six = i >= 2;
        if (i != 1) {
            cr_assert_eq(strncmp(server.peer, is_six ? "[::1]:" : "127.0.0.1:", is_six ? 6 : 10), 0,
                         "%s", server.peer);
        }
    }
    cr_assert_eq(bbi_net_connect(client.net, "no such host.invalid", 1, 0, &id, &f), 0);
    UNTIL(&client, &server, client.refused == 1);
    cr_assert_eq(client.status, BB_ENOENT);
    cr_assert_not_null(strstr(client.said, "no such host.invalid"), "%s", client.said);
    cr_assert_str_eq(bbi_net_said(client.net), "", "of another time");
    cr_assert_eq(bbi_net_connect(client.net, "", 1, 0, &id, &f), BB_EINVAL);
    close_both();
}

KIND_PARAMS(net_life, listening_where_one_may_not)
ParameterizedTest(struct kind *k, net_life, listening_where_one_may_not)
{
    struct bbi_net_id id;
    struct bbi_fault f = {0};
    open_both(k);
    cr_assert_eq(bbi_net_listen(client.net, "127.0.0.1", server.port, &id, NULL, &f), -EADDRINUSE);
    cr_assert_not_null(strstr(f.sentence, "another program listens there"), "%s", f.sentence);
    cr_assert_eq(bbi_net_listen(client.net, "192.0.2.77", 0, &id, NULL, &f), -EADDRNOTAVAIL);
    cr_assert_not_null(strstr(f.sentence, "192.0.2.77"), "%s", f.sentence);
    cr_assert_eq(bbi_net_listen(client.net, "nowhere.invalid", 0, &id, NULL, &f), BB_ENOENT);
    /* The port is free as soon as its listener was ended. */
    bbi_net_end(server.net, server.listener, BBI_NET_ORDERLY);
    cr_assert_eq(bbi_net_listen(client.net, "127.0.0.1", server.port, &id, NULL, &f), 0, "%s",
                 f.sentence);
    close_both();
}

KIND_PARAMS(net_life, refused)
ParameterizedTest(struct kind *k, net_life, refused)
{
    struct bbi_net_id id;
    uint16_t port;
    begin_kind(k);
    side_open(&client, k);
    (void)close(bare_listen(1, &port));
    for (int i = 1; i <= 300; i++) { /* more than there are slots */
        cr_assert_eq(bbi_net_connect(client.net, "127.0.0.1", port, 0, &id, NULL), 0);
        UNTIL(&client, no_side(), client.refused == i);
        cr_assert_eq(client.status, -ECONNREFUSED, "%s", bb_strerror(client.status));
    }
    cr_assert_eq(bbi_net_send(client.net, id, NULL, 0), BB_ENOENT);
    side_close(&client);
}

/* What connect() says at once comes the same way. */
KIND_PARAMS(net_life, no_way_there)
ParameterizedTest(struct kind *k, net_life, no_way_there)
{
    struct bbi_net_id id;
    begin_kind(k);
    side_open(&client, k);
    cr_assert_eq(bbi_net_connect(client.net, "255.255.255.255", 4711, 0, &id, NULL), 0);
    cr_assert_eq(client.refused, 0, "not from within");
    UNTIL(&client, no_side(), client.refused == 1);
    cr_assert(client.status == -EACCES || client.status == -ENETUNREACH, "%s",
              bb_strerror(client.status));
    cr_assert_null(bbi_net_slot(client.net, id));
    side_close(&client);
}

/* A listener whose queue is full lets no more in, and does not refuse. */
KIND_PARAMS(net_life, nobody_answers)
ParameterizedTest(struct kind *k, net_life, nobody_answers)
{
    enum { FILLERS = 8 };
    struct bbi_net_id id, other;
    uint16_t port;
    int filler[FILLERS];
    begin_kind(k);
    int listener = bare_listen(0, &port);
    struct sockaddr_in addr = loopback(port);
    for (int i = 0; i < FILLERS; i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(filler[i], (struct sockaddr *)&addr, sizeof(addr));
    }
    side_open(&client, k);
    int64_t begin_ns = bbi_os_mono_ns();
    cr_assert_eq(bbi_net_connect(client.net, "127.0.0.1", port, 200000000, &id, NULL), 0);
    cr_assert_eq(
        bbi_net_connect(client.net, "127.0.0.1", port, INT64_C(3600000000000), &other, NULL), 0);
    struct iovec piece = {.iov_base = filler, .iov_len = 1};
    cr_assert_eq(bbi_net_send(client.net, id, &piece, 1), BB_EAGAIN);
    UNTIL(&client, no_side(), client.refused == 1);
    cr_assert_eq(client.status, -ETIMEDOUT);
    cr_assert_geq(bbi_os_mono_ns() - begin_ns, 200000000);
    bbi_net_end(client.net, other, BBI_NET_ORDERLY); /* given up by its owner: not a word */
    turn(&client, 1000000);
    cr_assert_eq(client.refused, 1);
    for (int i = 0; i < FILLERS; i++) {
        (void)close(filler[i]);
    }
    (void)close(listener);
    side_close(&client);
}

/* ---- ids ---- */

KIND_PARAMS(net_life, what_may_be_sent)
ParameterizedTest(struct kind *k, net_life, what_may_be_sent)
{
    static unsigned char block[BBI_NET_SEND_BYTES];
    struct iovec pieces[BBI_NET_PIECES + 1];
    for (int i = 0; i <= BBI_NET_PIECES; i++) {
        pieces[i] = (struct iovec){.iov_base = block, .iov_len = 1};
    }
    open_both(k);
    link_up(&client, &server);
    cr_assert_eq(bbi_net_send(client.net, client.conn, pieces, 0), BB_EINVAL);
    cr_assert_eq(bbi_net_send(client.net, client.conn, pieces, BBI_NET_PIECES + 1), BB_EINVAL);
    pieces[0].iov_len = BBI_NET_SEND_BYTES;
    cr_assert_eq(bbi_net_send(client.net, client.conn, pieces, 2), BB_EMSGSIZE);
    pieces[0].iov_len = 0;
    cr_assert_eq(bbi_net_send(client.net, client.conn, pieces, 1), BB_EINVAL);
    cr_assert_eq(bbi_net_send(client.net, client.conn, pieces, 3), 0,
                 "an empty piece among others");
    UNTIL(&client, &server, client.sent == 1 && server.received == 2);
    cr_assert_eq(bbi_net_send(server.net, server.listener, pieces, 3), BB_ENOENT);
    cr_assert_eq(bbi_net_send(server.net, (struct bbi_net_id){0}, pieces, 3), BB_ENOENT);
    cr_assert_eq(bbi_net_send(server.net, (struct bbi_net_id){UINT64_MAX}, pieces, 3), BB_ENOENT);
    close_both();
}

/* The slot is used again at once; the old id stays gone, whatever is done with it. */
KIND_PARAMS(net_life, an_id_that_is_gone)
ParameterizedTest(struct kind *k, net_life, an_id_that_is_gone)
{
    struct bbi_net_id old;
    open_both(k);
    server.on_received = echo;
    link_up(&client, &server);
    old = client.conn;
    for (int i = 0; i < 50; i++) {
        struct bbi_net_id was = client.conn;
        bbi_net_end(client.net, was, BBI_NET_ABORT);
        link_up(&client, &server);
        cr_assert_eq(client.conn.v & 0xffff, was.v & 0xffff, "the same slot");
        cr_assert_neq(client.conn.v, was.v);
        struct iovec piece = {.iov_base = echoed, .iov_len = 1};
        cr_assert_eq(bbi_net_send(client.net, was, &piece, 1), BB_ENOENT);
        bbi_net_pause(client.net, was, true);
        bbi_net_end(client.net, was, BBI_NET_ABORT);
        bbi_net_end(client.net, old, BBI_NET_ORDERLY);
        check_echo();
    }
    UNTIL(&client, &server, server.closed == 50);
    cr_assert_eq(client.closed, 0);
    if (k->engine == BBI_NET_URING) {
        cr_assert_gt(stale(&client), 0, "late completions were there to be dropped");
    }
    close_both();
}

/* ---- ends ---- */

/* All bytes of a send that is under way arrive, then the end; its memory is given back by sent(). */
KIND_PARAMS(net_life, orderly_end_brings_all)
ParameterizedTest(struct kind *k, net_life, orderly_end_brings_all)
{
    struct stream st = {
        .sends_left = 1, .bytes_min = 4096, .bytes_max = 4096, .pieces_min = 64, .pieces_max = 64};
    open_both(k);
    for (int i = 0; i < 20; i++) {
        link_up(&client, &server);
        (void)XXH3_64bits_reset(server.hash);
        server.received = 0;
        st.sends_left = 1;
        st.bytes = 0;
        stream_open(&st);
        stream_begin(&client, &st);
        bbi_net_end(client.net, client.conn, BBI_NET_ORDERLY);
        cr_assert_eq(send_text(&client, "too late"), BB_ENOENT);
        UNTIL(&client, &server, server.closed == i + 1 && client.sent == i + 1);
        cr_assert_eq(server.status, 0, "%s", bb_strerror(server.status));
        stream_check(&st, &server);
        stream_close(&st);
    }
    cr_assert_eq(client.closed, 0);
    UNTIL(&client, &server, bbi_net_slot(client.net, client.conn) == NULL);
    close_both();
}

/* Both ends at once, both with a send under way: both streams are whole. */
KIND_PARAMS(net_life, orderly_end_of_both)
ParameterizedTest(struct kind *k, net_life, orderly_end_of_both)
{
    struct stream st = {
        .sends_left = 1, .bytes_min = 4096, .bytes_max = 4096, .pieces_min = 64, .pieces_max = 64};
    struct stream back = st;
    open_both(k);
    link_up(&client, &server);
    stream_open(&st);
    stream_open(&back);
    stream_begin(&client, &st);
    stream_begin(&server, &back);
    bbi_net_end(client.net, client.conn, BBI_NET_ORDERLY);
    bbi_net_end(server.net, server.conn, BBI_NET_ORDERLY);
    UNTIL(&client, &server,
          bbi_net_slot(client.net, client.conn) == NULL
              && bbi_net_slot(server.net, server.conn) == NULL);
    cr_assert_eq(client.sent + server.sent, 2);
    cr_assert_eq(client.closed + server.closed, 0);
    stream_close(&st);
    stream_close(&back);
    close_both();
}

/* A peer that does not read holds an orderly end for a second, no longer; then the memory is free. */
KIND_PARAMS(net_life, orderly_end_is_given_up)
ParameterizedTest(struct kind *k, net_life, orderly_end_is_given_up)
{
    struct stream st = {.sends_left = 1000,
                        .bytes_min = 4096,
                        .bytes_max = 4096,
                        .pieces_min = 64,
                        .pieces_max = 64};
    open_both(k);
    link_up(&client, &server);
    bbi_net_pause(server.net, server.conn, true);
    stream_open(&st);
    stream_begin(&client, &st);
    uint64_t last = 0;
    for (int quiet = 0; quiet < 50; quiet = st.bytes == last ? quiet + 1 : 0) {
        last = st.bytes;
        turn(&client, 500000);
        turn(&server, 500000);
    }
    client.on_sent = NULL;
    int was = client.sent;
    int64_t begin_ns = bbi_os_mono_ns();
    bbi_net_end(client.net, client.conn, BBI_NET_ORDERLY);
    UNTIL(&client, &server, client.sent == was + 1);
    cr_assert_geq(bbi_os_mono_ns() - begin_ns, 900000000);
    cr_assert_null(bbi_net_slot(client.net, client.conn));
    UNTIL(&client, &server, server.closed == 1);
    cr_assert_eq(server.status, -ECONNRESET, "%s", bb_strerror(server.status));
    stream_close(&st);
    close_both();
}

/* On return from an abort the kernel reads nothing of the send: what is written there then reaches nobody. */
KIND_PARAMS(net_life, abort_frees_the_memory)
ParameterizedTest(struct kind *k, net_life, abort_frees_the_memory)
{
    unsigned char *block =
        mmap(NULL, BBI_NET_SEND_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec piece = {.iov_base = block, .iov_len = BBI_NET_SEND_BYTES};
    int rc = 0;
    /* Without a limit of the kernel's: it is our reset that ends it. */
    begin_kind(k);
    side_open(&server, k);
    side_open_with(&client, k, (struct bbi_net_opts){.user_timeout_ns = -1});
    side_listen(&server, "127.0.0.1");
    link_up(&client, &server);
    bbi_net_pause(server.net, server.conn, true);
    for (int quiet = 0; quiet < 50; quiet = rc == BB_EBUSY ? quiet + 1 : 0) {
        rc = bbi_net_send(client.net, client.conn, &piece, 1);
        cr_assert(rc == 0 || rc == BB_EBUSY);
        turn(&client, 500000);
        turn(&server, 500000);
    }
    bbi_net_end(client.net, client.conn, BBI_NET_ABORT);
    cr_assert_eq(munmap(block, BBI_NET_SEND_BYTES), 0);
    int was = client.sent;
    UNTIL(&client, &server, server.closed == 1);
    cr_assert_eq(server.status, -ECONNRESET, "%s", bb_strerror(server.status));
    cr_assert_eq(client.sent, was);
    cr_assert_eq(client.closed, 0);
    close_both();
}

/* A send, and an abort before the next wait: nothing of it goes out, to nobody. */
KIND_PARAMS(net_life, abort_before_it_was_submitted)
ParameterizedTest(struct kind *k, net_life, abort_before_it_was_submitted)
{
    open_both(k);
    for (int i = 1; i <= 20; i++) {
        link_up(&client, &server);
        cr_assert_eq(send_text(&client, "never"), 0);
        bbi_net_end(client.net, client.conn, BBI_NET_ABORT);
        UNTIL(&client, &server, server.closed == i);
        cr_assert_eq(server.status, -ECONNRESET);
    }
    cr_assert_eq(server.received, 0);
    cr_assert_eq(client.sent, 0);
    close_both();
}

static void
end_at_once(struct side *s, struct bbi_net_id conn, const void *data, size_t bytes)
{
    (void)data;
    (void)bytes;
    bbi_net_end(s->net, conn, *(enum bbi_net_how *)s->arg);
}

/* From within a handler, with more of it behind. */
KIND_PARAMS(net_life, ended_by_a_handler)
ParameterizedTest(struct kind *k, net_life, ended_by_a_handler)
{
    enum bbi_net_how hows[] = {BBI_NET_ABORT, BBI_NET_ORDERLY};
    open_both(k);
    server.on_received = end_at_once;
    for (int i = 0; i < 2; i++) {
        struct stream st = {.sends_left = 40,
                            .bytes_min = 4096,
                            .bytes_max = 4096,
                            .pieces_min = 64,
                            .pieces_max = 64};
        server.arg = &hows[i];
        server.received = 0;
        link_up(&client, &server);
        stream_open(&st);
        stream_begin(&client, &st);
        UNTIL(&client, &server,
              client.closed == i + 1 && bbi_net_slot(server.net, server.conn) == NULL);
        cr_assert_leq(server.received, 256 << 10, "only what the first handler had");
        cr_assert_eq(server.closed, 0);
        stream_close(&st);
        client.on_sent = NULL;
    }
    close_both();
}

/* What a peer said before it closed is received, though our own sends fail meanwhile. */
KIND_PARAMS(net_life, last_words_are_heard)
ParameterizedTest(struct kind *k, net_life, last_words_are_heard)
{
    uint16_t port;
    struct bbi_net_id id;
    begin_kind(k);
    side_open(&client, k);
    int listener = bare_listen(8, &port);
    for (int i = 1; i <= 50; i++) {
        client.received = 0;
        cr_assert_eq(bbi_net_connect(client.net, "127.0.0.1", port, 0, &id, NULL), 0);
        UNTIL(&client, no_side(), client.connected == i);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        cr_assert_geq(fd, 0);
        cr_assert_eq(send_text(&client, "what is it?"), 0);
        UNTIL(&client, no_side(), client.sent == i * 2 - 1);
        /* It closes without reading, which resets: the next send fails. */
        cr_assert_eq(send(fd, "goodbye, because", 16, MSG_NOSIGNAL), 16);
        (void)close(fd);
        cr_assert_eq(send_text(&client, "hello?"), 0);
        UNTIL(&client, no_side(), client.closed == i);
        cr_assert_eq(client.received, 16, "%d: %lu", i, (unsigned long)client.received);
        client.sent = i * 2;
    }
    (void)close(listener);
    side_close(&client);
}

/* ---- deaths ---- */

static pid_t
child_connects(uint16_t port, bool is_reading)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        char block[4096];
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct sockaddr_in addr = loopback(port);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
            _exit(1);
        }
        if (is_reading && (recv(fd, block, sizeof(block), 0) <= 0 || send(fd, "!", 1, 0) != 1)) {
            _exit(1);
        }
        for (;;) {
            (void)pause();
        }
    }
    return pid;
}

static void
kill_child(pid_t pid)
{
    int status;
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status), "it had failed before");
}

KIND_PARAMS(net_life, a_peer_that_is_killed)
ParameterizedTest(struct kind *k, net_life, a_peer_that_is_killed)
{
    begin_kind(k);
    side_open(&server, k);
    side_listen(&server, "127.0.0.1");
    for (int i = 0; i < 6; i++) {
        bool is_reading = i % 2 == 0, is_paused = i >= 4;
        pid_t pid = child_connects(server.port, is_reading);
        UNTIL(&server, no_side(), server.accepted == i + 1);
        cr_assert_eq(send_text(&server, "hello"), 0);
        UNTIL(&server, no_side(), server.sent == i + 1 && (!is_reading || server.received > 0));
        server.received = 0;
        bbi_net_pause(server.net, server.conn, is_paused && !is_reading);
        turn(&server, 0);
        kill_child(pid);
        UNTIL(&server, no_side(), server.closed == i + 1);
        /* Who had read all ends in order; who had not is reset, which a paused connection hears too. */
        cr_assert_eq(server.status, is_reading ? 0 : -ECONNRESET, "%d: %s", i,
                     bb_strerror(server.status));
        turn(&server, 1000000);
    }
    side_close(&server);
}

/* Bytes that stay unacknowledged, or a window that stays shut, end a connection after user_timeout_ns. */
KIND_PARAMS(net_life, a_peer_that_does_not_read)
ParameterizedTest(struct kind *k, net_life, a_peer_that_does_not_read)
{
    struct stream st = {.sends_left = 1000,
                        .bytes_min = 4096,
                        .bytes_max = 4096,
                        .pieces_min = 64,
                        .pieces_max = 64};
    begin_kind(k);
    side_open_with(&server, k, (struct bbi_net_opts){.user_timeout_ns = 700000000});
    side_listen(&server, "127.0.0.1");
    pid_t pid = child_connects(server.port, false);
    UNTIL(&server, no_side(), server.accepted == 1);
    stream_open(&st);
    stream_begin(&server, &st);
    UNTIL(&server, no_side(), server.closed == 1);
    cr_assert_eq(server.status, -ETIMEDOUT, "%s", bb_strerror(server.status));
    stream_close(&st);
    kill_child(pid);
    side_close(&server);
}

/* Closing the net tells nobody and leaves no peer hanging. */
KIND_PARAMS(net_life, closing_the_net_ends_all)
ParameterizedTest(struct kind *k, net_life, closing_the_net_ends_all)
{
    struct stream st = {
        .sends_left = 10, .bytes_min = 4096, .bytes_max = 4096, .pieces_min = 64, .pieces_max = 64};
    open_both(k);
    for (int i = 0; i < 10; i++) {
        link_up(&client, &server);
    }
    stream_open(&st);
    stream_begin(&client, &st);
    turn(&client, 0);
    side_close(&client);
    stream_close(&st);
    cr_assert_eq(client.closed, 0);
    UNTIL(&server, no_side(), server.closed == 10);
    side_close(&server);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: bytes arrive once, in order and whole, whatever their sizes, however slow the reader, however few the buffers.
 * Method: random pieces of a pool, XXH3 over what was sent and what came.
 * bb-long
 */
#include "tests/unit/net/net_pair.h"

TestSuite(net_stream, .timeout = 100);

static struct side client, server;

static void
begin(struct kind *k, uint32_t buffers)
{
    begin_kind(k);
    side_open_with(&server, k, (struct bbi_net_opts){.buffers = buffers});
    side_open_with(&client, k, (struct bbi_net_opts){.buffers = buffers});
    side_listen(&server, "127.0.0.1");
    link_up(&client, &server);
}

static void
end(void)
{
    side_close(&client);
    side_close(&server);
}

static void
run(struct stream *st)
{
    stream_open(st);
    stream_begin(&client, st);
    UNTIL(&client, &server, st->sends_left == 0 && server.received == st->bytes && !client.closed);
    stream_check(st, &server);
    stream_close(st);
}

KIND_PARAMS(net_stream, a_million_small_messages)
ParameterizedTest(struct kind *k, net_stream, a_million_small_messages)
{
    struct stream st = {
        .sends_left = 32000, .bytes_min = 1, .bytes_max = 64, .pieces_min = 1, .pieces_max = 64};
    begin(k, 0);
    run(&st);
    cr_assert_gt(st.messages, 1000000, "%lu", (unsigned long)st.messages);
    end();
}

KIND_PARAMS(net_stream, a_thousand_large_sends)
ParameterizedTest(struct kind *k, net_stream, a_thousand_large_sends)
{
    struct stream st = {.sends_left = 1000,
                        .bytes_min = 3000,
                        .bytes_max = 4096,
                        .pieces_min = 40,
                        .pieces_max = 64};
    begin(k, 0);
    run(&st);
    cr_assert_gt(st.bytes, UINT64_C(1000) * 120000);
    end();
}

KIND_PARAMS(net_stream, the_largest_piece)
ParameterizedTest(struct kind *k, net_stream, the_largest_piece)
{
    struct stream st = {.sends_left = 20,
                        .bytes_min = BBI_NET_SEND_BYTES,
                        .bytes_max = BBI_NET_SEND_BYTES,
                        .pieces_min = 1,
                        .pieces_max = 1};
    begin(k, 0);
    run(&st);
    end();
}

/* Both directions at once, out of one thread. */
KIND_PARAMS(net_stream, both_ways)
ParameterizedTest(struct kind *k, net_stream, both_ways)
{
    struct stream there = {
        .sends_left = 400, .bytes_min = 1, .bytes_max = 4096, .pieces_min = 1, .pieces_max = 64};
    struct stream back = there;
    begin(k, 0);
    stream_open(&there);
    stream_open(&back);
    stream_begin(&client, &there);
    stream_begin(&server, &back);
    UNTIL(&client, &server,
          there.sends_left + back.sends_left == 0 && server.received == there.bytes
              && client.received == back.bytes);
    stream_check(&there, &server);
    stream_check(&back, &client);
    stream_close(&there);
    stream_close(&back);
    end();
}

/* One buffer, two: a send fills many times what there is. */
static void
few_buffers(struct kind *k, uint32_t buffers)
{
    struct stream st = {.sends_left = 300,
                        .bytes_min = 4000,
                        .bytes_max = 4096,
                        .pieces_min = 60,
                        .pieces_max = 64};
    struct bbi_net_stats stats;
    begin(k, buffers);
    run(&st);
    bbi_net_stats(server.net, &stats);
    cr_assert_eq(stats.received_bytes, st.bytes);
    if (k->engine == BBI_NET_URING) {
        cr_assert_gt(stats.no_buffers, 0, "the case was not met");
    }
    end();
}

KIND_PARAMS(net_stream, one_buffer)
ParameterizedTest(struct kind *k, net_stream, one_buffer)
{
    few_buffers(k, 1);
}

KIND_PARAMS(net_stream, four_buffers)
ParameterizedTest(struct kind *k, net_stream, four_buffers)
{
    few_buffers(k, 4);
}

/* Several connections share four buffers: none loses its turn for good. */
KIND_PARAMS(net_stream, many_connections_share_few_buffers)
ParameterizedTest(struct kind *k, net_stream, many_connections_share_few_buffers)
{
    enum { COUNT = 12, EACH = 40 };
    static unsigned char block[100000];
    struct iovec piece = {.iov_base = block, .iov_len = sizeof(block)};
    int left[COUNT];
    begin(k, 4);
    for (int i = 1; i < COUNT; i++) {
        link_up(&client, &server);
    }
    for (int i = 0; i < COUNT; i++) {
        left[i] = EACH;
    }
    int64_t deadline_ns = bbi_os_mono_ns() + INT64_C(60000000000);
    while (server.received < (uint64_t)COUNT * EACH * sizeof(block)) {
        cr_assert_lt(bbi_os_mono_ns(), deadline_ns, "%lu", (unsigned long)server.received);
        for (int i = 0; i < COUNT; i++) {
            int rc = left[i] > 0 ? bbi_net_send(client.net, client.conns[i], &piece, 1) : BB_EBUSY;
            cr_assert(rc == 0 || rc == BB_EBUSY);
            left[i] -= rc == 0;
        }
        turn(&client, 0);
        turn(&server, 100000);
    }
    cr_assert_eq(client.sent, COUNT * EACH);
    end();
}

/* A bare reader that takes little at a time: sends go out in parts. */
KIND_PARAMS(net_stream, slow_reader)
ParameterizedTest(struct kind *k, net_stream, slow_reader)
{
    struct stream st = {
        .sends_left = 30, .bytes_min = 4000, .bytes_max = 4096, .pieces_min = 64, .pieces_max = 64};
    struct bbi_net_stats stats;
    static unsigned char block[5000];
    uint16_t port;
    struct bbi_net_id id;
    int small = 8192, window = 4096;
    begin_kind(k);
    side_open(&client, k);
    int listener = bare_listen(8, &port);
    cr_assert_eq(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
    cr_assert_eq(bbi_net_connect(client.net, "127.0.0.1", port, 0, &id, NULL), 0);
    UNTIL(&client, no_side(), client.connected == 1);
    cr_assert_eq(
        setsockopt(bbi_net_slot(client.net, id)->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)),
        0);
    int reader = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    cr_assert_geq(reader, 0);
    XXH3_state_t *hash = XXH3_createState();
    (void)XXH3_64bits_reset(hash);
    stream_open(&st);
    stream_begin(&client, &st);
    uint64_t got = 0;
    int64_t deadline_ns = bbi_os_mono_ns() + INT64_C(60000000000);
    while (st.sends_left > 0 || got < st.bytes) {
        cr_assert_lt(bbi_os_mono_ns(), deadline_ns, "%lu of %lu", (unsigned long)got,
                     (unsigned long)st.bytes);
        turn(&client, 200000);
        ssize_t n = recv(reader, block, sizeof(block), 0);
        cr_assert(n > 0 || (n < 0 && errno == EAGAIN));
        if (n > 0) {
            (void)XXH3_64bits_update(hash, block, (size_t)n);
            got += (uint64_t)n;
        }
    }
    cr_assert_eq(XXH3_64bits_digest(hash), XXH3_64bits_digest(st.hash));
    bbi_net_stats(client.net, &stats);
    cr_assert_eq(stats.sent_bytes, st.bytes);
    cr_assert_gt(stats.short_sends, 0, "the case was not met");
    stream_close(&st);
    XXH3_freeState(hash);
    (void)close(reader);
    (void)close(listener);
    side_close(&client);
}

/* While a connection is paused its sender comes to a stop; then everything is there. */
KIND_PARAMS(net_stream, pause_stops_the_sender)
ParameterizedTest(struct kind *k, net_stream, pause_stops_the_sender)
{
    struct stream st = {.sends_left = 200,
                        .bytes_min = 4096,
                        .bytes_max = 4096,
                        .pieces_min = 64,
                        .pieces_max = 64};
    begin(k, 0);
    stream_open(&st);
    stream_begin(&client, &st);
    UNTIL(&client, &server, server.received > 0);
    bbi_net_pause(server.net, server.conn, true);
    /* At a stop: neither side had anything for 50 turns of a millisecond. */
    uint64_t last = UINT64_MAX;
    for (int quiet = 0; quiet < 50;) {
        turn(&server, 500000);
        turn(&client, 500000);
        uint64_t now = server.received + (uint64_t)client.sent;
        quiet = now == last ? quiet + 1 : 0;
        last = now;
    }
    cr_assert_gt(st.sends_left, 0, "52 MB fit into the kernel?");
    cr_assert_eq(client.closed + server.closed, 0);
    /* On and off in one turn leaves it as it is. */
    bbi_net_pause(server.net, server.conn, false);
    bbi_net_pause(server.net, server.conn, true);
    turn(&server, 1000000);
    bbi_net_pause(server.net, server.conn, false);
    bbi_net_pause(server.net, server.conn, true);
    bbi_net_pause(server.net, server.conn, false);
    UNTIL(&client, &server, st.sends_left == 0 && server.received == st.bytes);
    stream_check(&st, &server);
    stream_close(&st);
    end();
}

static void
pause_now_and_then(struct side *s, struct bbi_net_id conn, const void *data, size_t bytes)
{
    (void)data;
    (void)bytes;
    uint64_t *seed = s->arg;
    if (next_random(seed) % 4 == 0) {
        bbi_net_pause(s->net, conn, true);
    }
}

/* Paused by the handler itself, at random: no byte twice, none out of order. */
KIND_PARAMS(net_stream, pause_at_random)
ParameterizedTest(struct kind *k, net_stream, pause_at_random)
{
    struct stream st = {
        .sends_left = 300, .bytes_min = 1, .bytes_max = 4096, .pieces_min = 1, .pieces_max = 64};
    uint64_t seed = 4711;
    begin(k, 16);
    server.on_received = pause_now_and_then;
    server.arg = &seed;
    stream_open(&st);
    stream_begin(&client, &st);
    int64_t deadline_ns = bbi_os_mono_ns() + INT64_C(60000000000);
    while (st.sends_left > 0 || server.received < st.bytes) {
        cr_assert_lt(bbi_os_mono_ns(), deadline_ns);
        turn(&client, 50000);
        turn(&server, 50000);
        bbi_net_pause(server.net, server.conn, next_random(&seed) % 3 == 0);
    }
    stream_check(&st, &server);
    stream_close(&st);
    end();
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what goes in comes out, in full records and whatever the pieces; a cut is never taken for the end; old and
 * hostile habits of TLS (tickets, early data, endless or changed records) get nothing and cost no memory.
 * Method: two ends with buffers of random sizes; a foreign end; a counting allocator below OpenSSL.
 */
#include "tests/unit/net/tls_pair.h"

static void
begin(void)
{
    dir_begin();
}

TestSuite(tls_flow, .timeout = 100, .init = begin, .fini = dir_end);

static uint64_t seed = 20231114;

static size_t
below(size_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed % bound);
}

static void
meet(struct end **client, struct end **server)
{
    make_usual();
    *client = end_of(ctx_of("alpha", "alpha", "ca", NULL), BBI_TLS_CLIENT, "bravo");
    *server = end_of(ctx_of("bravo", "bravo", "ca", NULL), BBI_TLS_SERVER, "alpha");
    pump(*client, *server);
    assert_met(*client, *server);
}

/* ---- bytes ---- */

enum { FLOW_BYTES = 10 << 20, BUFFER_BYTES = 40000 };

struct flow {
    struct end *from, *to;
    const unsigned char *in; /* FLOW_BYTES */
    unsigned char *out;
    size_t in_pos, out_pos;
    unsigned char wire[2 * BUFFER_BYTES]; /* on the way */
    size_t wire_bytes;
    size_t head_left;    /* of the record under way */
    size_t record_count; /* records with data, and those of them that are full */
    size_t full_count;
};

/* Counts the records of a piece of ciphertext, wherever it is cut. */
static void
count_records(struct flow *flow, const unsigned char *wire, size_t bytes)
{
    static const size_t FULL = BBI_TLS_RECORD_BYTES + 1 + 16;
    size_t pos = flow->head_left;
    while (pos < bytes) {
        /* A turn gives whole records: the room was there. */
        cr_assert_leq(pos + 5, bytes);
        cr_assert_eq(wire[pos], 23);
        size_t n = (size_t)wire[pos + 3] << 8 | wire[pos + 4];
        flow->record_count++;
        flow->full_count += n == FULL;
        pos += 5 + n;
    }
    flow->head_left = pos - bytes;
}

static void
send_some(struct flow *flow, size_t max)
{
    size_t room = sizeof(flow->wire) - flow->wire_bytes;
    struct bbi_fault f;
    struct bbi_tls_io io = {.plain_in = flow->in + flow->in_pos,
                            .plain_in_bytes = bbi_min_u64(max, FLOW_BYTES - flow->in_pos),
                            .wire_out = flow->wire + flow->wire_bytes,
                            .wire_out_cap = room};
    cr_assert_eq(bbi_tls_turn(flow->from->tls, &io, &f), 0, "%s", f.sentence);
    flow->in_pos = (size_t)(io.plain_in - flow->in);
    count_records(flow, flow->wire + flow->wire_bytes, io.wire_out_bytes);
    flow->wire_bytes += io.wire_out_bytes;
}

static void
take_some(struct flow *flow, size_t wire_max, size_t plain_max)
{
    unsigned char answer[1024];
    struct bbi_fault f;
    struct bbi_tls_io io = {.wire_in = flow->wire,
                            .wire_in_bytes = bbi_min_u64(wire_max, flow->wire_bytes),
                            .plain_out = flow->out + flow->out_pos,
                            .plain_out_cap = bbi_min_u64(plain_max, FLOW_BYTES - flow->out_pos),
                            .wire_out = answer,
                            .wire_out_cap = sizeof(answer)};
    cr_assert_eq(bbi_tls_turn(flow->to->tls, &io, &f), 0, "%s", f.sentence);
    cr_assert_eq(io.wire_out_bytes, 0);
    size_t used = (size_t)(io.wire_in - flow->wire);
    memmove(flow->wire, flow->wire + used, flow->wire_bytes - used);
    flow->wire_bytes -= used;
    flow->out_pos += io.plain_out_bytes;
}

static void
run_flow(struct end *from, struct end *to, bool is_random)
{
    unsigned char *in = malloc(FLOW_BYTES), *out = calloc(1, FLOW_BYTES);
    struct flow *flow = calloc(1, sizeof(*flow));
    cr_assert(in != NULL && out != NULL && flow != NULL);
    *flow = (struct flow){.from = from, .to = to, .in = in, .out = out};
    for (size_t i = 0; i < FLOW_BYTES; i++) {
        in[i] = (unsigned char)below(256);
    }
    while (flow->out_pos < FLOW_BYTES) {
        send_some(flow, is_random ? below(BUFFER_BYTES) : FLOW_BYTES);
        take_some(flow, is_random ? below(BUFFER_BYTES) : SIZE_MAX,
                  is_random ? below(BUFFER_BYTES) : SIZE_MAX);
    }
    cr_assert_eq(memcmp(in, out, FLOW_BYTES), 0);
    cr_assert_eq(flow->wire_bytes, 0);
    if (!is_random) {
        cr_assert_eq(flow->record_count, FLOW_BYTES / BBI_TLS_RECORD_BYTES);
        cr_assert_eq(flow->full_count, flow->record_count);
    }
    free(in);
    free(out);
    free(flow);
}

Test(tls_flow, ten_megabytes_in_full_records_and_in_pieces_of_any_size)
{
    struct end *client, *server;
    meet(&client, &server);
    run_flow(client, server, false);
    run_flow(server, client, false);
    run_flow(client, server, true);
    run_flow(server, client, true);
    end_free(client);
    end_free(server);
}

/* The handshake too comes in any pieces, with hardly any room to answer. */
Test(tls_flow, handshake_byte_by_byte)
{
    make_usual();
    struct end *ends[2] = {end_of(ctx_of("alpha", "alpha", "ca", NULL), BBI_TLS_CLIENT, "bravo"),
                           end_of(ctx_of("bravo", "bravo", "ca", NULL), BBI_TLS_SERVER, "alpha")};
    unsigned char wires[2][64]; /* towards each */
    size_t bytes[2] = {0, 0};
    for (int i = 0;
         i < 100000 && !(bbi_tls_is_ready(ends[0]->tls) && bbi_tls_is_ready(ends[1]->tls)); i++) {
        int me = i % 2;
        struct bbi_tls_io io = {.wire_in = wires[me],
                                .wire_in_bytes = bytes[me],
                                .wire_out = wires[!me] + bytes[!me],
                                .wire_out_cap = bbi_min_u64(1 + below(3), 64 - bytes[!me])};
        cr_assert_eq(bbi_tls_turn(ends[me]->tls, &io, &ends[me]->fault), 0, "%s",
                     ends[me]->fault.sentence);
        memmove(wires[me], io.wire_in, io.wire_in_bytes);
        bytes[me] = io.wire_in_bytes;
        bytes[!me] += io.wire_out_bytes;
    }
    cr_assert(bbi_tls_is_ready(ends[0]->tls) && bbi_tls_is_ready(ends[1]->tls));
    end_free(ends[0]);
    end_free(ends[1]);
}

/* ---- ends ---- */

Test(tls_flow, the_end_is_told_from_a_cut)
{
    struct end *client, *server;
    struct bbi_fault f = {0};
    meet(&client, &server);
    cr_assert_eq(bbi_tls_cut(server->tls, &f), BB_EPEERGONE);
    assert_says("cut", f.sentence, "without TLS's goodbye");
    client->to_send = "last";
    client->to_send_bytes = 4;
    bbi_tls_end(client->tls);
    pump(client, server);
    cr_assert_eq(server->got_bytes, strlen(HELLO) + 4, "the last bytes come first");
    cr_assert(bbi_tls_has_said_end(client->tls) && bbi_tls_has_ended(server->tls));
    cr_assert(!bbi_tls_has_ended(client->tls));
    cr_assert_eq(bbi_tls_cut(server->tls, &f), 0);
    cr_assert_eq(bbi_tls_cut(client->tls, &f), BB_EPEERGONE);
    /* The other direction still works. */
    server->to_send = "more";
    server->to_send_bytes = 4;
    bbi_tls_end(server->tls);
    pump(client, server);
    cr_assert_eq(client->got_bytes, strlen(HELLO) + 4);
    cr_assert_eq(bbi_tls_cut(client->tls, &f), 0);
    client->to_send_bytes = 4;
    pump(client, server);
    cr_assert_eq(client->to_send_bytes, 4, "after the goodbye nothing is taken");
    end_free(client);
    end_free(server);
}

Test(tls_flow, cut_within_the_handshake)
{
    struct bbi_fault f = {0};
    make_usual();
    struct end *client = end_of(ctx_of("alpha", "alpha", "ca", NULL), BBI_TLS_CLIENT, "bravo");
    our_turn(client, NULL, 0);
    cr_assert_eq(bbi_tls_cut(client->tls, &f), BB_EPEERGONE);
    assert_says("cut", f.sentence, "within the handshake");
    end_free(client);
}

/* A context that was replaced lives as long as its connections; the new one is for those to come. */
Test(tls_flow, reload_leaves_connections_alone)
{
    struct end *client, *server;
    meet(&client, &server); /* their contexts are closed */
    make((struct spec){.file = "ca2", .is_ca = true});
    make((struct spec){.file = "charlie", .sans = "DNS:bravo", .issuer = "ca2"});
    struct end *client2 = end_of(ctx_of("alpha", "alpha", "ca", NULL), BBI_TLS_CLIENT, "bravo");
    struct end *server2 = end_of(ctx_of("charlie", "bravo", "ca2", NULL), BBI_TLS_SERVER, "alpha");
    pump(client2, server2);
    cr_assert_eq(client2->rc, BB_EACCES);
    client->to_send = "still";
    client->to_send_bytes = 5;
    pump(client, server);
    cr_assert_eq(server->rc, 0);
    cr_assert_eq(server->got_bytes, strlen(HELLO) + 5);
    end_free(client);
    end_free(server);
    end_free(client2);
    end_free(server2);
}

/* ---- what a foreign end may try ---- */

static int tickets;

static int
count_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    (void)session;
    tickets++;
    return 0;
}

Test(tls_flow, no_tickets_and_no_renegotiation)
{
    make_usual();
    struct end *client = foreign("alpha", BBI_TLS_CLIENT, TLS1_3_VERSION);
    struct end *server = end_of(ctx_of("bravo", "bravo", "ca", NULL), BBI_TLS_SERVER, "alpha");
    SSL_CTX *ctx = SSL_get_SSL_CTX(client->ssl);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(ctx, count_ticket);
    pump(client, server);
    assert_met(client, server);
    cr_assert_eq(tickets, 0);
    cr_assert_eq(SSL_renegotiate(client->ssl), 0, "TLS 1.3 has none, and older ones are refused");
    end_free(client);
    end_free(server);
}

static const struct bbi_tls_key KEY = {.peer = NULL, .bytes = "0123456789abcdef0123456789abcde"};

/* A session of the right key that promises early data. */
static int
use_eager(
    SSL *ssl, const EVP_MD *digest, const unsigned char **id, size_t *bytes, SSL_SESSION **out)
{
    static const unsigned char CIPHER[] = {0x13, 0x01};
    (void)digest;
    *out = SSL_SESSION_new();
    *id = (const unsigned char *)"alpha";
    *bytes = 5;
    return SSL_SESSION_set1_master_key(*out, KEY.bytes, BBI_KEY_BYTES) == 1
           && SSL_SESSION_set_cipher(*out, SSL_CIPHER_find(ssl, CIPHER)) == 1
           && SSL_SESSION_set_protocol_version(*out, TLS1_3_VERSION) == 1
           && SSL_SESSION_set_max_early_data(*out, 16384) == 1;
}

Test(tls_flow, early_data_is_not_taken)
{
    struct bbi_tls_ctx *ctx = NULL;
    struct bbi_fault f;
    struct bbi_tls_opts opts = {.node = "bravo", .keys = &KEY, .key_count = 1};
    cr_assert_eq(bbi_tls_ctx_open(&ctx, &opts, &f), 0);
    struct end *server = end_of(ctx, BBI_TLS_SERVER, NULL);
    struct end *client = foreign(NULL, BBI_TLS_CLIENT, TLS1_3_VERSION);
    SSL_set_psk_use_session_callback(client->ssl, use_eager);
    size_t written = 0;
    cr_assert_eq(SSL_write_early_data(client->ssl, "EARLY", 5, &written), 1);
    cr_assert_eq(written, 5);
    pump(client, server);
    assert_met(client, server); /* HELLO and nothing before it */
    cr_assert_eq(SSL_get_early_data_status(client->ssl), SSL_EARLY_DATA_REJECTED);
    end_free(client);
    end_free(server);
}

/* ---- memory ---- */

static size_t allocated_bytes, peak_bytes;

static void *
count_realloc(void *old, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    size_t *block = old != NULL ? (size_t *)old - 2 : NULL;
    size_t before = block != NULL ? *block : 0;
    allocated_bytes -= before;
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    block = realloc(block, bytes + 2 * sizeof(size_t));
    if (block == NULL) {
        abort();
    }
    *block = bytes;
    allocated_bytes += bytes;
    peak_bytes = allocated_bytes > peak_bytes ? allocated_bytes : peak_bytes;
    return block + 2;
}

static void *
count_malloc(size_t bytes, const char *file, int line)
{
    return count_realloc(NULL, bytes, file, line);
}

static void
count_free(void *old, const char *file, int line)
{
    (void)count_realloc(old, 0, file, line);
}

/* Before any library begins, as one that Criterion uses takes memory of OpenSSL when it does. */
static void
count_from_now(int argc, char **argv, char **env)
{
    (void)argc;
    (void)argv;
    (void)env;
    if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1) {
        abort();
    }
}
static void (*const EARLY)(int, char **, char **)
    __attribute__((section(".preinit_array"), used)) = count_from_now;

/* Key updates without end from a peer that is verified. */
static void
flood(struct end *foreign_end, struct end *ours, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        foreign_end->to_send = "x";
        foreign_end->to_send_bytes = 1;
        cr_assert_eq(SSL_key_update(foreign_end->ssl, i % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED
                                                                 : SSL_KEY_UPDATE_NOT_REQUESTED),
                     1);
        pump(foreign_end, ours);
        cr_assert_eq(ours->rc, 0, "%s", ours->fault.sentence);
        cr_assert_eq(ours->got_bytes, 1);
        ours->got_bytes = 0;
    }
}

Test(tls_flow, hostile_records_do_not_make_it_grow)
{
    cr_assert_gt(allocated_bytes, 0, "it counts");
    make_usual();
    struct bbi_tls_ctx *ctx = ctx_of("bravo", "bravo", "ca", NULL);
    struct end *client = foreign("alpha", BBI_TLS_CLIENT, TLS1_3_VERSION);
    size_t before = allocated_bytes;
    struct end *server = end_of(ctx, BBI_TLS_SERVER, "alpha");
    size_t opened = allocated_bytes - before;
    pump(client, server);
    assert_met(client, server);
    server->got_bytes = 0;
    flood(client, server, 100);
    size_t after_some = allocated_bytes;
    peak_bytes = allocated_bytes;
    flood(client, server, 3000);
    cr_assert_leq(allocated_bytes, after_some + 2048, "%zu, then %zu", after_some, allocated_bytes);
    cr_assert_leq(peak_bytes, after_some + 100000, "%zu, at most %zu", after_some, peak_bytes);
    end_free(client);
    before = allocated_bytes;
    end_free(server);
    size_t held = before - allocated_bytes;
    cr_assert_lt(opened, 64 << 10, "%zu", opened);
    cr_assert_lt(held, 128 << 10, "a connection and its context: %zu", held);
    if (getenv("TLS_SENTENCES") != NULL) {
        (void)fprintf(stderr, "open %zu, with its context at the end %zu bytes\n", opened, held);
    }
}

/* What is not of the peer's hand is never given out, however it is changed. */
Test(tls_flow, changed_bytes_are_refused_and_nothing_of_them_comes_out)
{
    make_usual();
    for (int round = 0; round < 300; round++) {
        struct end *client = end_of(ctx_of("alpha", "alpha", "ca", NULL), BBI_TLS_CLIENT, "bravo");
        struct end *server = end_of(ctx_of("bravo", "bravo", "ca", NULL), BBI_TLS_SERVER, "alpha");
        struct end *ends[2] = {client, server};
        int wanted = (int)below(5); /* which flight is changed */
        int flight = 0;
        bool is_changed = false;
        for (int i = 0; i < 10; i++) {
            struct end *me = ends[i % 2], *other = ends[!(i % 2)];
            end_turn(me, other);
            if (me->wire_bytes != 0 && flight++ == wanted) {
                me->wire[below(me->wire_bytes)] ^= (unsigned char)(1 + below(255));
                is_changed = true;
            }
        }
        for (int i = 0; i < 2; i++) {
            cr_assert(ends[i]->got_bytes == 0 || ends[i]->got_bytes == strlen(HELLO));
            cr_assert_eq(memcmp(ends[i]->got, HELLO, ends[i]->got_bytes), 0);
        }
        /* A change of the length makes one wait for what never comes: then somebody has not got everything. */
        cr_assert(!is_changed || client->rc != 0 || server->rc != 0
                      || client->got_bytes + server->got_bytes < 2 * strlen(HELLO) || wanted >= 3,
                  "round %d, flight %d", round, wanted);
        end_free(client);
        end_free(server);
    }
}

Test(tls_flow, noise_after_the_handshake)
{
    struct end *client, *server;
    unsigned char noise[4096];
    meet(&client, &server);
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (unsigned char)below(256);
    }
    memcpy(noise, "\x17\x03\x03\x0f\x00", 5);
    our_turn(server, noise, sizeof(noise));
    cr_assert_eq(server->rc, BB_ECORRUPT, "%d", server->rc);
    assert_says("noise", server->fault.sentence, "breaks the rules of TLS, or somebody changed");
    cr_assert_eq(server->got_bytes, strlen(HELLO));
    end_turn(client, server);
    cr_assert_eq(client->rc, BB_EACCES);
    assert_says("noise, there", client->fault.sentence, "bad_record_mac");
    end_free(client);
    end_free(server);
}

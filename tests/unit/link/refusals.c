/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Whoever is refused, and whoever refuses, says in one sentence what is wrong and what to do: wrong or missing
 *         keys, another cluster, version, name, a node with our own id; and that before any link is told as up.
 * Method  Two hubs that differ in one thing; a bare socket for what no hub would say.  Certificates are made on the spot.
 */
#include "tests/unit/link/proxy.h"
#include "tests/unit/net/tls_pair.h"

/* a dials b once: both say this, and nobody was up. */
static void
expect_refused(const struct bbi_hub_opts *oa,
               const struct bbi_hub_opts *ob,
               const struct bbi_dial_opts *dial,
               const char *a_says,
               const char *b_says)
{
    struct side a = {0}, b = {0};
    struct bbi_fault f = {0};
    side_open(&a, oa);
    side_open(&b, ob);
    side_listen(&b);
    cr_assert_eq(bbi_hub_dial(a.hub, "127.0.0.1", b.port, dial, &f), 0, "%s", f.sentence);
    UNTIL(&a, &b, a.unavailable == 1 && logged(&b, "warning", "127.0.0.1:") == 1);
    cr_assert_not_null(strstr(a.away, a_says), "a says: %s", a.away);
    cr_assert_eq(logged(&b, "warning", b_says), 1, "b says: %s", b.log[0]);
    cr_assert_eq(logged(&a, "warning", a_says), 1, "a says: %s", a.log[0]);
    cr_assert_eq(a.ups + b.ups, 0);
    /* Who refuses has no session that could have got a byte; the other one may have seen nothing wrong. */
    cr_assert(bbi_hub_next(a.hub, NULL) == NULL || bbi_hub_next(b.hub, NULL) == NULL);
    drive(&a, &b, SECOND_NS / 10);
    cr_assert_eq(a.unavailable, 1, "tried again at once: %s", a.away);
    pair_close(&a, &b);
}

static struct bbi_hub_opts
slow_retry(struct bbi_hub_opts o)
{
    o.retry_max_ns = o.retry_min_ns = 20 * SECOND_NS;
    return o;
}

static struct kind
other(const struct kind *k, enum bbi_security security)
{
    struct kind o = *k;
    o.security = security;
    return o;
}

static struct kind ENGINES[] = {
    {"io_uring", BBI_NET_URING, BBI_SECURITY_NONE},
    {"epoll", BBI_NET_EPOLL, BBI_SECURITY_NONE},
};
#define ENGINE_PARAMS(suite, name)                                                                 \
    ParameterizedTestParameters(suite, name)                                                       \
    {                                                                                              \
        return cr_make_param_array(struct kind, ENGINES, 2);                                       \
    }

ENGINE_PARAMS(link_refusals, tls_to_plain)
ParameterizedTest(struct kind *k, link_refusals, tls_to_plain, .timeout = 60)
{
    struct kind tls = other(k, BBI_SECURITY_USER_KEY);
    begin_kind(k);
    struct bbi_hub_opts oa = slow_retry(opts_of(&tls, "alpha", 1)), ob = opts_of(k, "bravo", 2);
    expect_refused(&oa, &ob, NULL, "does not speak TLS", "speaks TLS, this side does not");
}

ENGINE_PARAMS(link_refusals, plain_to_tls)
ParameterizedTest(struct kind *k, link_refusals, plain_to_tls, .timeout = 60)
{
    struct kind tls = other(k, BBI_SECURITY_USER_KEY);
    begin_kind(k);
    struct bbi_hub_opts oa = slow_retry(opts_of(k, "alpha", 1)), ob = opts_of(&tls, "bravo", 2);
    expect_refused(&oa, &ob, NULL, "speaks TLS", "does not speak TLS");
}

KIND_PARAMS(link_refusals, another_cluster)
ParameterizedTest(struct kind *k, link_refusals, another_cluster, .timeout = 60)
{
    begin_kind(k);
    struct bbi_hub_opts oa = slow_retry(opts_of(k, "alpha", 1)), ob = opts_of(k, "bravo", 2);
    (void)snprintf(oa.self.cluster, sizeof(oa.self.cluster), "north");
    (void)snprintf(ob.self.cluster, sizeof(ob.self.cluster), "south");
    expect_refused(&oa, &ob, NULL, "cluster 'south'", "cluster 'north'");
}

KIND_PARAMS(link_refusals, another_name)
ParameterizedTest(struct kind *k, link_refusals, another_name, .timeout = 60)
{
    const struct bbi_dial_opts dial = {.name = "charlie"};
    begin_kind(k);
    struct bbi_hub_opts oa = slow_retry(opts_of(k, "alpha", 1)), ob = opts_of(k, "bravo", 2);
    expect_refused(&oa, &ob, &dial, "'charlie' was to be at 127.0.0.1", "'charlie' was to be");
}

KIND_PARAMS(link_refusals, the_same_id)
ParameterizedTest(struct kind *k, link_refusals, the_same_id, .timeout = 60)
{
    begin_kind(k);
    struct bbi_hub_opts oa = slow_retry(opts_of(k, "alpha", 1)), ob = opts_of(k, "bravo", 1);
    expect_refused(&oa, &ob, NULL, "the node itself", "the node itself");
}

ENGINE_PARAMS(link_refusals, another_key)
ParameterizedTest(struct kind *k, link_refusals, another_key, .timeout = 60)
{
    static struct bbi_tls_key key = {.peer = NULL, .bytes = {9, 9, 9}};
    struct kind psk = other(k, BBI_SECURITY_KEY);
    begin_kind(k);
    struct bbi_hub_opts oa = slow_retry(opts_of(&psk, "alpha", 1)), ob = opts_of(&psk, "bravo", 2);
    oa.tls.keys = &key;
    expect_refused(&oa, &ob, NULL, "pre-shared key", "has another pre-shared key");
}

/* Whom a key of his own vouches for cannot take another's name. */
ENGINE_PARAMS(link_refusals, name_of_another_with_a_key)
ParameterizedTest(struct kind *k, link_refusals, name_of_another_with_a_key, .timeout = 60)
{
    static struct bbi_tls_key keys[] = {{.peer = "bravo", .bytes = {9}}};
    static struct bbi_tls_key known[] = {{.peer = "alpha", .bytes = {9}}};
    struct kind psk = other(k, BBI_SECURITY_KEY);
    const struct bbi_dial_opts dial = {.name = "bravo"};
    begin_kind(k);
    struct bbi_hub_opts oa = slow_retry(opts_of(&psk, "mallory", 1));
    struct bbi_hub_opts ob = opts_of(&psk, "bravo", 2);
    oa.tls.keys = keys;
    ob.tls.keys = known;
    expect_refused(&oa, &ob, &dial, "pre-shared key", "no pre-shared key is known for 'mallory'");
}

/* ---- certificates ---- */

static void
certify(struct bbi_hub_opts *o, const char *file)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.crt", file);
    o->tls.cert_path = path_of(name);
    (void)snprintf(name, sizeof(name), "%s.key", file);
    o->tls.key_path = path_of(name);
    o->tls.ca_path = path_of("ca.crt");
    o->tls.now_s = NOW_S;
}

static struct bbi_hub_opts
certified(const struct kind *k, const char *name, uint8_t id)
{
    struct kind cert = other(k, BBI_SECURITY_CERT);
    struct bbi_hub_opts o = opts_of(&cert, name, id);
    certify(&o, name);
    return o;
}

ENGINE_PARAMS(link_refusals, good_certificates)
ParameterizedTest(struct kind *k,
                  link_refusals,
                  good_certificates,
                  .timeout = 60,
                  .init = dir_begin,
                  .fini = dir_end)
{
    struct side a = {0}, b = {0};
    struct bbi_fault f = {0};
    const struct bbi_dial_opts dial = {.name = "bravo"};
    struct bb_link_info rows[4];
    begin_kind(k);
    make((struct spec){.file = "ca", .is_ca = true});
    make((struct spec){.file = "alpha",
                       .sans = "DNS:alpha,URI:busbar:01000000000000000000000000000077",
                       .issuer = "ca"});
    make((struct spec){.file = "bravo", .sans = "DNS:bravo", .issuer = "ca"});
    struct bbi_hub_opts oa = certified(k, "alpha", 1), ob = certified(k, "bravo", 2);
    side_open(&a, &oa);
    side_open(&b, &ob);
    side_listen(&b);
    cr_assert_eq(bbi_hub_dial(a.hub, "127.0.0.1", b.port, &dial, &f), 0, "%s", f.sentence);
    UNTIL(&a, &b, a.is_up && b.is_up);
    cr_assert_str_eq(bbi_box_name(b.box), "alpha");
    cr_assert_eq(bbi_hub_links(a.hub, rows, NULL, 4), 1);
    cr_assert_not_null(strstr(rows[0].cipher, "TLS_"), "%s", rows[0].cipher);
    for (int i = 0; i < 3000; i++) {
        cr_assert_eq(offer(&a, 1000), 1);
    }
    UNTIL(&a, &b, b.received == a.offered);
    /* Other keys are for who comes then; this link stays. */
    struct bbi_tls_opts anew = ob.tls;
    cr_assert_eq(bbi_hub_reload_tls(b.hub, &anew, &f), 0, "%s", f.sentence);
    anew.ca_path = path_of("missing.crt");
    cr_assert_lt(bbi_hub_reload_tls(b.hub, &anew, &f), 0);
    cr_assert_eq(offer(&a, 10), 1);
    UNTIL(&a, &b, b.received == a.offered);
    pair_close(&a, &b);
}

ENGINE_PARAMS(link_refusals, certificates_of_another)
ParameterizedTest(struct kind *k,
                  link_refusals,
                  certificates_of_another,
                  .timeout = 60,
                  .init = dir_begin,
                  .fini = dir_end)
{
    const struct bbi_dial_opts bravo = {.name = "bravo"}, charlie = {.name = "charlie"};
    begin_kind(k);
    make_usual(); /* alpha's is bound to the id 00aa, bravo's to 00bb */
    make((struct spec){.file = "both", .sans = "DNS:both,DNS:alpha", .issuer = "ca"});
    make((struct spec){.file = "self", .sans = "DNS:alpha"});
    make((struct spec){.file = "plain", .sans = "DNS:bravo", .issuer = "ca"});
    struct bbi_hub_opts oa = slow_retry(certified(k, "alpha", 1)), ob = certified(k, "bravo", 2);
    certify(&ob, "plain");
    expect_refused(&oa, &ob, &charlie, "charlie", "refused"); /* the server's name */
    expect_refused(&oa, &ob, &bravo, "certificate is bound to 00aa", "bound to 00aa");
    certify(&oa, "self");
    expect_refused(&oa, &ob, &bravo, "refused", "self-signed");
    certify(&oa, "both");
    struct side a = {0}, b = {0};
    struct bbi_fault f = {0};
    side_open(&a, &oa);
    side_open(&b, &ob);
    side_listen(&b);
    cr_assert_eq(bbi_hub_dial(a.hub, "127.0.0.1", b.port, &bravo, &f), 0);
    UNTIL(&a, &b, a.is_up && b.is_up); /* a name of several is enough */
    pair_close(&a, &b);
}

/* b has been linked with alpha, whose id begins with 1, and holds five messages for it. */
static void
alpha_was_here(struct side *b, const struct bbi_hub_opts *oa)
{
    const struct bbi_dial_opts dial = {.name = "bravo"};
    struct side a = {0};
    struct bbi_fault f = {0};
    side_open(&a, oa);
    cr_assert_eq(bbi_hub_dial(a.hub, "127.0.0.1", b->port, &dial, &f), 0, "%s", f.sentence);
    UNTIL(&a, b, a.is_up && b->is_up);
    side_close(&a);
    UNTIL(b, &a, !b->is_up);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(offer(b, 100), 1);
    }
}

static void
dial_bravo(struct side *s, const struct bbi_hub_opts *o, uint16_t port)
{
    const struct bbi_dial_opts dial = {.name = "bravo"};
    struct bbi_fault f = {0};
    side_open(s, o);
    cr_assert_eq(bbi_hub_dial(s->hub, "127.0.0.1", port, &dial, &f), 0, "%s", f.sentence);
}

/* A box of the same CA that shows another's id gets neither its session nor what is queued for it. */
ENGINE_PARAMS(link_refusals, id_of_another)
ParameterizedTest(
    struct kind *k, link_refusals, id_of_another, .timeout = 60, .init = dir_begin, .fini = dir_end)
{
    struct side b = {0}, m = {0}, a = {0};
    begin_kind(k);
    make((struct spec){.file = "ca", .is_ca = true});
    make((struct spec){.file = "alpha", .sans = "DNS:alpha", .issuer = "ca"});
    make((struct spec){.file = "bravo", .sans = "DNS:bravo", .issuer = "ca"});
    make((struct spec){.file = "mallory", .sans = "DNS:mallory", .issuer = "ca"});
    make((struct spec){.file = "anna", .sans = "DNS:anna,DNS:alpha", .issuer = "ca"});
    struct bbi_hub_opts ob = certified(k, "bravo", 2), oa = certified(k, "alpha", 1);
    struct bbi_hub_opts om = slow_retry(certified(k, "mallory", 1));
    side_open(&b, &ob);
    side_listen(&b);
    alpha_was_here(&b, &oa);
    int ups = b.ups;
    dial_bravo(&m, &om, b.port);
    UNTIL(&m, &b, m.unavailable == 1 && logged(&b, "warning", "no link with") == 1);
    cr_assert_eq(logged(&b, "warning", "'mallory' shows the node id 0100"), 1, "%s", b.log[0]);
    cr_assert_eq(logged(&b, "warning", "is that of 'alpha' here"), 1);
    cr_assert_not_null(strstr(m.away, "it says: 'mallory' shows the node id 0100"), "%s", m.away);
    cr_assert_not_null(strstr(m.away, "remove the copied file .box-BUS"), "%s", m.away);
    cr_assert_eq(m.ups, 0);
    cr_assert_eq(b.ups, ups);
    cr_assert_eq(m.received, 0);
    side_close(&m);
    /* Who was meant comes again and has it all; so does one whose certificate has the old name too. */
    dial_bravo(&a, &oa, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up && a.received == 5);
    side_close(&a);
    UNTIL(&b, &a, !b.is_up);
    struct bbi_hub_opts on = certified(k, "anna", 1);
    dial_bravo(&a, &on, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    cr_assert_str_eq(bbi_box_name(b.box), "anna");
    pair_close(&a, &b);
}

/* The other way: who is dialed shows the id of another. */
ENGINE_PARAMS(link_refusals, id_of_another_where_we_dial)
ParameterizedTest(struct kind *k,
                  link_refusals,
                  id_of_another_where_we_dial,
                  .timeout = 60,
                  .init = dir_begin,
                  .fini = dir_end)
{
    const struct bbi_dial_opts dial = {.name = "mallory"};
    struct side b = {0}, m = {0};
    struct bbi_fault f = {0};
    begin_kind(k);
    make((struct spec){.file = "ca", .is_ca = true});
    make((struct spec){.file = "alpha", .sans = "DNS:alpha", .issuer = "ca"});
    make((struct spec){.file = "bravo", .sans = "DNS:bravo", .issuer = "ca"});
    make((struct spec){.file = "mallory", .sans = "DNS:mallory", .issuer = "ca"});
    struct bbi_hub_opts ob = slow_retry(certified(k, "bravo", 2)), oa = certified(k, "alpha", 1);
    struct bbi_hub_opts om = certified(k, "mallory", 1);
    side_open(&b, &ob);
    side_listen(&b);
    alpha_was_here(&b, &oa);
    side_open(&m, &om);
    side_listen(&m);
    cr_assert_eq(bbi_hub_dial(b.hub, "127.0.0.1", m.port, &dial, &f), 0, "%s", f.sentence);
    UNTIL(&b, &m, b.unavailable == 1 && logged(&m, "warning", "no link with") == 1);
    cr_assert_not_null(strstr(b.away, "'mallory' shows the node id 0100"), "%s", b.away);
    cr_assert_eq(logged(&m, "warning", "it says: 'mallory' shows the node id"), 1, "%s", m.log[0]);
    cr_assert_eq(m.ups, 0);
    pair_close(&b, &m);
}

/* A key of all certifies nobody's name, so a box may come under another one. */
ENGINE_PARAMS(link_refusals, a_key_of_all_names_nobody)
ParameterizedTest(struct kind *k, link_refusals, a_key_of_all_names_nobody, .timeout = 60)
{
    struct kind psk = other(k, BBI_SECURITY_KEY);
    struct side a = {0}, b = {0};
    begin_kind(k);
    struct bbi_hub_opts ob = opts_of(&psk, "bravo", 2), oa = opts_of(&psk, "alpha", 1);
    struct bbi_hub_opts on = opts_of(&psk, "anna", 1);
    side_open(&b, &ob);
    side_listen(&b);
    alpha_was_here(&b, &oa);
    dial_bravo(&a, &on, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up && a.received == 5);
    cr_assert_str_eq(bbi_box_name(b.box), "anna");
    pair_close(&a, &b);
}

/* ---- bare sockets ---- */

/* A listener that says these bytes and ends. */
static void
expect_from_bare(
    const struct kind *k, const void *bytes, size_t count, const char *says, bool is_soon)
{
    struct side a = {0}, none = {0};
    struct bbi_hub_opts o = opts_of(k, "alpha", 1);
    struct bb_link_info rows[2];
    uint16_t port;
    o.retry_min_ns = SECOND_NS;
    o.retry_max_ns = 30 * SECOND_NS;
    side_open(&a, &o);
    int fd = bare_listen(&port), conn = -1;
    cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    side_dial(&a, port);
    UNTIL(&a, &none, (conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0);
    cr_assert_eq(send(conn, bytes, count, MSG_NOSIGNAL), (ssize_t)count);
    (void)shutdown(conn, SHUT_WR);
    UNTIL(&a, &none, a.unavailable == 1);
    cr_assert_not_null(strstr(a.away, says), "%s", a.away);
    cr_assert_eq(bbi_hub_links(a.hub, rows, NULL, 2), 1);
    cr_assert_eq(rows[0].retry_in_ns <= SECOND_NS, is_soon, "%ld", (long)rows[0].retry_in_ns);
    cr_assert_eq(rows[0].state, BB_LINK_DOWN);
    side_close(&a);
    (void)close(conn);
    (void)close(fd);
}

ENGINE_PARAMS(link_refusals, no_busbar_there)
ParameterizedTest(struct kind *k, link_refusals, no_busbar_there, .timeout = 60)
{
    unsigned char preface[BBI_LINK_PREFACE_BYTES];
    begin_kind(k);
    expect_from_bare(k, "HTTP/1.1 400 Bad Request\r\n", 26, "is it the right port", false);
    expect_from_bare(k, "SSH-2.0-OpenSSH_9.2\r\n", 21, "is it the right port", false);
    bbi_link_preface_write(preface);
    preface[8] = preface[10] = 9;
    expect_from_bare(k, preface, sizeof(preface), "versions 9 to 9", false);
    expect_from_bare(k, preface, 3, "did not say why", true);
}

/* ---- keyless ---- */

Test(link_refusals, keyless_listens_on_loopback_alone, .timeout = 30)
{
    struct side a = {0};
    struct bbi_fault f = {0};
    uint16_t port = 0;
    struct bbi_hub_opts o = opts_of(&KINDS[3], "alpha", 1);
    side_open(&a, &o);
    cr_assert_eq(bbi_hub_listen(a.hub, "*", 0, &port, &f), BB_EACCES);
    cr_assert_not_null(strstr(f.sentence, "--insecure"), "%s", f.sentence);
    cr_assert_eq(bbi_hub_listen(a.hub, "0.0.0.0", 0, &port, &f), BB_EACCES);
    cr_assert_eq(bbi_hub_listen(a.hub, "::", 0, &port, &f), BB_EACCES);
    cr_assert_eq(bbi_hub_listen(a.hub, "192.0.2.1", 0, &port, &f), BB_EACCES);
    cr_assert_eq(bbi_hub_listen(a.hub, "::ffff:192.0.2.1", 0, &port, &f), BB_EACCES);
    cr_assert_eq(bbi_hub_listen(a.hub, "fe80::1", 0, &port, &f), BB_EACCES);
    cr_assert_lt(bbi_hub_listen(a.hub, "", 0, &port, &f), 0);
    cr_assert_eq(bbi_hub_listen(a.hub, "0", 0, &port, &f), BB_EACCES);
    cr_assert_lt(bbi_hub_listen(a.hub, "no.such.name.invalid", 0, &port, &f), 0);
    cr_assert_eq(bbi_hub_listen(a.hub, "::ffff:127.0.0.1", 0, &port, &f), 0, "%s", f.sentence);
    cr_assert_eq(bbi_hub_listen(a.hub, "127.0.0.2", 0, &port, &f), 0, "%s", f.sentence);
    cr_assert_eq(bbi_hub_unlisten(a.hub, "127.0.0.2", port), 0);
    cr_assert_eq(bbi_hub_unlisten(a.hub, "127.0.0.2", port), BB_ENOENT);
    cr_assert_eq(bbi_hub_listen(a.hub, "localhost", 0, &port, &f), 0, "%s", f.sentence);
    side_close(&a);
    o = opts_of(&KINDS[2], "alpha", 1);
    side_open(&a, &o);
    cr_assert_eq(bbi_hub_listen(a.hub, "*", 0, &port, &f), 0, "%s", f.sentence);
    side_close(&a);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: whoever should not be let in is refused before any byte of the application, and both sides say why, each in a
 * sentence of its own.
 * Method: certificates made here, the clock given; every fault on the client's and on the server's side; a foreign
 * end for what ours would never do.  TLS_SENTENCES=1 prints the sentences.
 */
#include "tests/unit/net/tls_pair.h"

static void
begin(void)
{
    dir_begin();
    make_usual();
}

TestSuite(tls_refusals, .timeout = 60, .init = begin, .fini = dir_end);

/* ---- by certificate ---- */

struct fault {
    const char *label;
    const char *file, *node;  /* what the one that is refused shows, and its name */
    const char *ca;           /* that it trusts */
    const char *crl;          /* of the other one */
    const char *here, *there; /* parts of the sentences of who refuses, and of who is refused */
};

static const struct fault FAULTS[] = {
    {"expired", "old", "alpha", "ca", NULL, "has expired: it was valid until 2023-11-1",
     "as expired (certificate_expired)"},
    {"not yet valid", "new", "alpha", "ca", NULL, "is not yet valid, only from 2023-11-1",
     "it is not yet valid, only from 2023-11-1"},
    {"wrong CA", "stray", "alpha", "ca", NULL, "was issued by another CA, '/CN=ca2'",
     "does not trust the issuer '/CN=ca2'"},
    {"self-signed", "own", "alpha", "ca", NULL, "is self-signed, so nobody vouches",
     "(unknown_ca): it is self-signed"},
    {"wrong name", "mallory", "mallory", "ca", NULL, "is for 'mallory', but 'alpha' must be there",
     "it is for 'mallory', so the other side expects another name"},
    {"revoked", "alpha", "alpha", "ca", "listed", "has been revoked: our CRL lists it",
     "its CRL lists it"},
    {"CRL has expired", "alpha", "alpha", "ca", "stale", "our CRL of '/CN=ca' has expired",
     "look whether its CRL has expired"},
    {"no CRL of its CA", "alpha", "alpha", "ca", "other", "has none of its issuer '/CN=ca'",
     "(unknown_ca)"},
    {"usage", "signer", "alpha", "ca", NULL, "must have both serverAuth and clientAuth",
     "its extended key usage forbids this"},
    {"two ids", "twins", "alpha", "ca", NULL, "names more than one node id", "(bad_certificate)"},
};

static void
make_faults(void)
{
    make((struct spec){.file = "ca2", .is_ca = true});
    make((struct spec){
        .file = "old", .sans = "DNS:alpha", .issuer = "ca", .from_days = -40, .until_days = -1});
    make((struct spec){
        .file = "new", .sans = "DNS:alpha", .issuer = "ca", .from_days = 1, .until_days = 40});
    make((struct spec){.file = "stray", .sans = "DNS:alpha", .issuer = "ca2"});
    make((struct spec){.file = "own", .sans = "DNS:alpha"});
    make((struct spec){.file = "mallory", .sans = "DNS:mallory", .issuer = "ca"});
    make((struct spec){
        .file = "signer", .sans = "DNS:alpha", .issuer = "ca", .usage = "codeSigning"});
    make((struct spec){
        .file = "twins", .sans = "DNS:alpha,URI:busbar:01,URI:busbar:02", .issuer = "ca"});
    make_crl("listed", "ca", "alpha", -1, 9);
    make_crl("clean", "ca", "bravo", -1, 9);
    make_crl("stale", "ca", NULL, -9, -1);
    make_crl("other", "ca2", NULL, -1, 9);
}

static void
try_fault(const struct fault *fault, bool is_client_bad)
{
    struct bbi_tls_ctx *bad_ctx = ctx_of(fault->file, fault->node, fault->ca, NULL);
    struct bbi_tls_ctx *good_ctx = ctx_of("bravo", "bravo", "ca", fault->crl);
    struct end *bad = end_of(bad_ctx, is_client_bad ? BBI_TLS_CLIENT : BBI_TLS_SERVER, "bravo");
    struct end *good = end_of(good_ctx, is_client_bad ? BBI_TLS_SERVER : BBI_TLS_CLIENT, "alpha");
    pump(is_client_bad ? bad : good, is_client_bad ? good : bad);
    cr_assert_eq(good->rc, BB_EACCES, "%s: %d", fault->label, good->rc);
    cr_assert_eq(bad->rc, BB_EACCES, "%s: %d", fault->label, bad->rc);
    assert_says(fault->label, good->fault.sentence, fault->here);
    assert_says(fault->label, bad->fault.sentence, fault->there);
    cr_assert_eq(good->got_bytes, 0);
    cr_assert_eq(bad->got_bytes, 0);
    cr_assert_eq(good->to_send_bytes, strlen(HELLO));
    cr_assert(!bbi_tls_is_ready(good->tls) && !bbi_tls_is_ready(bad->tls));
    /* And it stays refused. */
    end_turn(good, bad);
    cr_assert_eq(good->rc, BB_EACCES);
    cr_assert_eq(bbi_tls_cut(good->tls, &good->fault), BB_EACCES);
    assert_says(fault->label, good->fault.sentence, fault->here);
    end_free(bad);
    end_free(good);
}

Test(tls_refusals, certificates_both_ways)
{
    make_faults();
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(FAULTS[0]); i++) {
        try_fault(&FAULTS[i], true);
        try_fault(&FAULTS[i], false);
    }
}

Test(tls_refusals, the_same_ends_without_a_fault_meet)
{
    static const char *const FILES[] = {"alpha", "rsa"};
    make_faults();
    make((struct spec){.file = "rsa",
                       .sans = "DNS:other,DNS:alpha",
                       .issuer = "ca",
                       .rsa_bits = 2048,
                       .usage = "serverAuth,clientAuth"});
    for (int i = 0; i < 2; i++) {
        struct bbi_tls_ctx *ctx = ctx_of(FILES[i], "alpha", "ca", NULL);
        struct end *client = end_of(ctx, BBI_TLS_CLIENT, "bravo");
        /* Its CRL lists another one. */
        ctx = ctx_of("bravo", "bravo", "ca", "clean");
        struct end *server = end_of(ctx, BBI_TLS_SERVER, "alpha");
        pump(client, server);
        assert_met(client, server);
        end_free(client);
        end_free(server);
    }
}

/* Who dials an address without a name gets whom the CA vouches for at that address, and nobody else. */
Test(tls_refusals, an_address_may_stand_in_the_certificate)
{
    static const struct {
        const char *sans, *dialed;
        bool is_good;
    } CASES[] = {
        {"DNS:alpha,IP:127.0.0.1", "127.0.0.1", true},
        {"DNS:alpha,IP:::1", "::1", true},
        {"DNS:alpha,IP:127.0.0.2", "127.0.0.1", false},
        {"DNS:alpha,DNS:127.0.0.9", "127.0.0.1", false},
        {"DNS:alpha", "127.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        make((struct spec){.file = "placed", .sans = CASES[i].sans, .issuer = "ca"});
        struct end *client =
            end_of(ctx_of("bravo", "bravo", "ca", NULL), BBI_TLS_CLIENT, CASES[i].dialed);
        struct end *server = end_of(ctx_of("placed", "alpha", "ca", NULL), BBI_TLS_SERVER, NULL);
        pump(client, server);
        cr_assert_eq(client->rc == 0, CASES[i].is_good, "case %zu: %d", i, client->rc);
        if (CASES[i].is_good) {
            struct bbi_fault f = {0};
            cr_assert_eq(bbi_tls_peer_is(client->tls, "alpha", NULL, &f), 0);
            cr_assert_eq(bbi_tls_peer_is(client->tls, "mallory", NULL, &f), BB_EACCES);
        } else {
            assert_says("address", client->fault.sentence, "dial it by its name: alpha@HOST:PORT");
        }
        end_free(client);
        end_free(server);
    }
}

Test(tls_refusals, a_certificate_says_whose_it_is)
{
    char name[BBI_TLS_NAME_BYTES];
    struct bbi_fault f = {0};
    make((struct spec){.file = "two", .sans = "URI:busbar:01,DNS:alpha,DNS:bravo", .issuer = "ca"});
    cr_assert_eq(bbi_tls_cert_name(path_of("two.crt"), name, &f), 0);
    cr_assert_str_eq(name, "alpha");
    make((struct spec){.file = "nobody", .sans = "URI:busbar:01", .issuer = "ca"});
    cr_assert_eq(bbi_tls_cert_name(path_of("nobody.crt"), name, &f), BB_EINVAL);
    assert_says("nobody", f.sentence, "issue one with the SAN DNS:NAME");
    cr_assert_lt(bbi_tls_cert_name("/nonexistent", name, &f), 0);
}

/* A server that expects nobody in particular lets in all of its CA, and knows who it is. */
Test(tls_refusals, names_and_ids_are_held_against_what_is_said_later)
{
    struct bbi_fault f;
    struct end *client = end_of(ctx_of("alpha", "alpha", "ca", NULL), BBI_TLS_CLIENT, "bravo");
    struct end *server = end_of(ctx_of("bravo", "bravo", "ca", NULL), BBI_TLS_SERVER, NULL);
    cr_assert_eq(bbi_tls_peer_is(server->tls, "alpha", NULL, &f), BB_EACCES, "not yet");
    pump(client, server);
    assert_met(client, server);
    cr_assert_str_eq(bbi_tls_peer(server->tls)->name, "alpha");
    cr_assert_str_eq(bbi_tls_peer(server->tls)->id, "00aa");
    cr_assert_str_eq(bbi_tls_peer(client->tls)->name, "bravo");
    cr_assert_str_eq(bbi_tls_peer(client->tls)->id, "00bb");
    cr_assert_str_eq(bbi_tls_peer(client->tls)->cipher, "TLS_AES_128_GCM_SHA256");
    cr_assert_eq(bbi_tls_peer_is(server->tls, "alpha", "00aa", &f), 0);
    cr_assert_eq(bbi_tls_peer_is(server->tls, "alpha", NULL, &f), 0);
    cr_assert_eq(bbi_tls_peer_is(server->tls, "bravo", NULL, &f), BB_EACCES);
    assert_says("peer_is", f.sentence, "calls itself 'bravo', but what it showed is for 'alpha'");
    cr_assert_eq(bbi_tls_peer_is(server->tls, "alpha", "00ab", &f), BB_EACCES);
    assert_says("peer_is", f.sentence, "its certificate is bound to 00aa");
    cr_assert_eq(bbi_tls_peer_is(server->tls, "alph", NULL, &f), BB_EACCES);
    cr_assert_eq(bbi_tls_peer_is(server->tls, "alphaa", NULL, &f), BB_EACCES);
    end_free(client);
    end_free(server);
}

/* ---- foreign ends ---- */

static void
assert_alert(const char *label, const struct end *end, unsigned alert, const char *part)
{
    char sentence[512];
    struct bbi_tls_self self = {.node = "alpha"};
    cr_assert_eq(end->alert, alert, "%s: %u (%s)", label, end->alert,
                 bbi_tls_alert_name(end->alert));
    bbi_tls_say_alert(sentence, sizeof(sentence), end->alert, &self);
    assert_says(label, sentence, part);
}

static void
try_foreign(const char *label,
            const char *file,
            enum bbi_tls_side side,
            int version,
            int code,
            const char *here)
{
    struct bbi_tls_ctx *ctx = ctx_of("bravo", "bravo", "ca", NULL);
    struct end *ours =
        end_of(ctx, side == BBI_TLS_CLIENT ? BBI_TLS_SERVER : BBI_TLS_CLIENT, "alpha");
    struct end *other = foreign(file, side, version);
    pump(side == BBI_TLS_CLIENT ? other : ours, side == BBI_TLS_CLIENT ? ours : other);
    cr_assert_eq(ours->rc, code, "%s: %d %s", label, ours->rc, ours->fault.sentence);
    assert_says(label, ours->fault.sentence, here);
    cr_assert_eq(ours->got_bytes, 0);
    cr_assert_eq(ours->to_send_bytes, strlen(HELLO));
    if (strcmp(label, "no client certificate") == 0) {
        assert_alert(label, other, 116, "it wants a certificate and we showed none");
    } else if (strcmp(label, "weak key") == 0) {
        assert_alert(label, other, 43, "its key is too weak");
    } else if (side == BBI_TLS_CLIENT) {
        assert_alert(label, other, 70, "refused TLS 1.3 (protocol_version)");
    }
    end_free(ours);
    end_free(other);
}

Test(tls_refusals, no_certificate_weak_keys_and_old_versions)
{
    make((struct spec){.file = "weak", .sans = "DNS:alpha", .issuer = "ca", .rsa_bits = 1024});
    try_foreign("no client certificate", NULL, BBI_TLS_CLIENT, TLS1_3_VERSION, BB_EACCES,
                "shows no certificate");
    try_foreign("weak key", "weak", BBI_TLS_CLIENT, TLS1_3_VERSION, BB_EACCES,
                "has a weak key, RSA of 1024 bits");
    try_foreign("weak key", "weak", BBI_TLS_SERVER, TLS1_3_VERSION, BB_EACCES,
                "has a weak key, RSA of 1024 bits");
    try_foreign("TLS 1.2 only, client", "alpha", BBI_TLS_CLIENT, TLS1_2_VERSION, BB_EVERSION,
                "speaks TLS 1.2 or older");
    try_foreign("TLS 1.2 only, server", "alpha", BBI_TLS_SERVER, TLS1_2_VERSION, BB_EVERSION,
                "TLS 1.");
}

/* ---- plain TCP ---- */

static void
try_plain(enum bbi_tls_side side, const char *bytes, size_t step)
{
    struct end *ours = end_of(ctx_of("bravo", "bravo", "ca", NULL), side, "alpha");
    our_turn(ours, NULL, 0);
    if (side == BBI_TLS_CLIENT) {
        assert_says("plain, of a ClientHello", bbi_tls_say_plain(ours->wire, ours->wire_bytes),
                    "the other side speaks TLS and this one plain TCP");
    } else {
        cr_assert_eq(ours->wire_bytes, 0);
    }
    ours->wire_bytes = 0;
    for (size_t i = 0; i < strlen(bytes) && ours->rc == 0; i += step) {
        our_turn(ours, (const unsigned char *)bytes + i, bbi_min_u64(step, strlen(bytes) - i));
    }
    cr_assert_eq(ours->rc, BB_EVERSION, "%s", ours->fault.sentence);
    assert_says("TLS, of plain bytes", ours->fault.sentence, "does not speak TLS");
    cr_assert_eq(ours->got_bytes, 0);
    assert_says("plain, of the alert", bbi_tls_say_plain(ours->wire, ours->wire_bytes),
                "the other side wants TLS and refused plain TCP");
    end_free(ours);
}

Test(tls_refusals, plain_tcp_to_tls_and_back)
{
    static const char *const FIRST[] = {"busbar!1 and so on", "GET / HTTP/1.1\r\n\r\n", "\x16!",
                                        "\x17\x03\x03"};
    for (size_t i = 0; i < sizeof(FIRST) / sizeof(FIRST[0]); i++) {
        try_plain(BBI_TLS_CLIENT, FIRST[i], 100);
        try_plain(BBI_TLS_SERVER, FIRST[i], 100);
        try_plain(BBI_TLS_SERVER, FIRST[i], 1);
    }
    cr_assert_null(bbi_tls_say_plain("\x16\x03", 2));
    cr_assert_null(bbi_tls_say_plain("busbar", 6));
    cr_assert_null(bbi_tls_say_plain("\x17\x03\x03", 3));
}

/* ---- our own files ---- */

static void
assert_no_ctx(struct bbi_tls_opts opts, int code, const char *part)
{
    struct bbi_tls_ctx *ctx = NULL;
    struct bbi_fault f = {0};
    opts.now_s = NOW_S;
    int rc = bbi_tls_ctx_open(&ctx, &opts, &f);
    cr_assert_eq(rc, code, "%d, not %d: %s", rc, code, f.sentence);
    assert_says("ctx", f.sentence, part);
    cr_assert_null(ctx);
}

Test(tls_refusals, our_own_files_are_looked_at)
{
    static const struct bbi_tls_key KEY = {.peer = NULL};
    make((struct spec){.file = "weak", .sans = "DNS:alpha", .issuer = "ca", .rsa_bits = 1024});
    make((struct spec){.file = "nameless", .issuer = "ca"});
    struct bbi_tls_opts good = {.node = "alpha",
                                .cert_path = path_of("alpha.crt"),
                                .key_path = path_of("alpha.key"),
                                .ca_path = path_of("ca.crt")};
    struct bbi_tls_opts opts = good;
    opts.node = "bravo";
    assert_no_ctx(opts, BB_EINVAL, "is for 'alpha', but this node is 'bravo'");
    opts = good;
    opts.key_path = path_of("bravo.key");
    assert_no_ctx(opts, BB_EINVAL, "it must be the one of the certificate");
    opts = good;
    opts.cert_path = path_of("weak.crt");
    opts.key_path = path_of("weak.key");
    assert_no_ctx(opts, BB_EACCES, "weak key");
    opts.cert_path = path_of("nameless.crt");
    opts.key_path = path_of("nameless.key");
    assert_no_ctx(opts, BB_EINVAL, "issue one with the SAN DNS:alpha");
    opts = good;
    opts.ca_path = path_of("alpha.key");
    assert_no_ctx(opts, BB_EINVAL, "cannot be used as the CA");
    opts = good;
    opts.crl_path = path_of("ca.crt");
    assert_no_ctx(opts, BB_EINVAL, "cannot be used as the CRL");
    opts = good;
    opts.cert_path = path_of("none.crt");
    assert_no_ctx(opts, BB_EINVAL,
                  "none.crt' cannot be used as our certificate: No such file or directory");
    opts = good;
    opts.ca_path = NULL;
    assert_no_ctx(opts, BB_EINVAL, "all of --cert, --key and --ca");
    opts = good;
    opts.keys = &KEY;
    opts.key_count = 1;
    assert_no_ctx(opts, BB_EINVAL, "not both");
    cr_assert_eq(chmod(path_of("alpha.key"), 0640), 0);
    assert_no_ctx(good, BB_EACCES, "chmod 0600");
}

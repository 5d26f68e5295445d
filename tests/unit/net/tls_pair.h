/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/net/tls_pair.h - certificates made on the spot, and two ends of TLS without a network between them.
 *
 * An end is ours (lib/net/tls) or a foreign one (OpenSSL as it is, without our rules), for what ours would not do.
 * Both want to send from the start, so a byte that passes too early is seen.
 */
#ifndef BUSBAR_TESTS_UNIT_NET_TLS_PAIR_H
#define BUSBAR_TESTS_UNIT_NET_TLS_PAIR_H

#include "lib/net/tls.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY_S = 86400, PATH_BYTES = 160, WIRE_BYTES = 1 << 20 };
#define NOW_S INT64_C(1700000000)
#define HELLO "these bytes are the application's"

/* ---- a directory ---- */

static char temp_dir[64];

static inline void
dir_begin(void)
{
    (void)snprintf(temp_dir, sizeof(temp_dir), "/tmp/busbar-tls-XXXXXX");
    cr_assert_not_null(mkdtemp(temp_dir));
}

static inline void
dir_end(void)
{
    char command[128];
    if (temp_dir[0] != '\0') {
        (void)snprintf(command, sizeof(command), "rm -rf '%s'", temp_dir);
        cr_assert_eq(system(command), 0);
    }
}

static inline const char *
path_of(const char *name)
{
    static char paths[16][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 16];
    (void)snprintf(path, PATH_BYTES, "%s/%s", temp_dir, name);
    return path;
}

static inline FILE *
create(const char *name)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    cr_assert_not_null(file);
    return file;
}

/* ---- certificates ---- */

struct spec {
    const char *file; /* FILE.crt, FILE.key */
    const char *sans; /* as in openssl.cnf; NULL: none */
    const char *usage;
    const char *issuer; /* file; NULL: itself */
    int rsa_bits;       /* 0: P-256 */
    bool is_ca;
    int from_days, until_days; /* both 0: from yesterday for 30 days */
};

static inline EVP_PKEY *
read_key(const char *file)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.key", file);
    FILE *in = fopen(path_of(name), "re");
    cr_assert_not_null(in);
    EVP_PKEY *key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
    (void)fclose(in);
    cr_assert_not_null(key);
    return key;
}

static inline X509 *
read_cert(const char *file)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.crt", file);
    FILE *in = fopen(path_of(name), "re");
    cr_assert_not_null(in);
    X509 *cert = PEM_read_X509(in, NULL, NULL, NULL);
    (void)fclose(in);
    cr_assert_not_null(cert);
    return cert;
}

static inline void
extend(X509 *cert, X509 *issuer, int nid, const char *text)
{
    X509V3_CTX context;
    if (text == NULL) {
        return;
    }
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, text);
    cr_assert_not_null(extension, "%s", text);
    cr_assert_eq(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline void
fill_cert(X509 *cert, const struct spec *spec, EVP_PKEY *key, X509 *issuer)
{
    static long serial = 100;
    time_t now = (time_t)NOW_S;
    int from = spec->from_days, until = spec->until_days;
    if (from == 0 && until == 0) {
        from = -1;
        until = 29;
    }
    cr_assert_eq(X509_set_version(cert, 2), 1);
    cr_assert_eq(ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++), 1);
    cr_assert_not_null(X509_time_adj_ex(X509_getm_notBefore(cert), from, 0, &now));
    cr_assert_not_null(X509_time_adj_ex(X509_getm_notAfter(cert), until, 0, &now));
    cr_assert_eq(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                            (const unsigned char *)spec->file, -1, -1, 0),
                 1);
    cr_assert_eq(X509_set_issuer_name(cert, X509_get_subject_name(issuer)), 1);
    cr_assert_eq(X509_set_pubkey(cert, key), 1);
    extend(cert, issuer, NID_basic_constraints, spec->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    extend(cert, issuer, NID_subject_alt_name, spec->sans);
    extend(cert, issuer, NID_ext_key_usage, spec->usage);
}

static inline void
make(struct spec spec)
{
    char name[64];
    EVP_PKEY *key = spec.rsa_bits != 0 ? EVP_RSA_gen((unsigned)spec.rsa_bits) : EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    cr_assert(key != NULL && cert != NULL);
    X509 *issuer = spec.issuer != NULL ? read_cert(spec.issuer) : NULL;
    EVP_PKEY *issuer_key = spec.issuer != NULL ? read_key(spec.issuer) : NULL;
    fill_cert(cert, &spec, key, issuer != NULL ? issuer : cert);
    cr_assert_gt(X509_sign(cert, issuer_key != NULL ? issuer_key : key, EVP_sha256()), 0);
    (void)snprintf(name, sizeof(name), "%s.key", spec.file);
    FILE *out = create(name);
    cr_assert_eq(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    cr_assert_eq(fclose(out), 0);
    (void)snprintf(name, sizeof(name), "%s.crt", spec.file);
    out = create(name);
    cr_assert_eq(PEM_write_X509(out, cert), 1);
    cr_assert_eq(fclose(out), 0);
    X509_free(cert);
    X509_free(issuer);
    EVP_PKEY_free(key);
    EVP_PKEY_free(issuer_key);
}

/* FILE.crl by the CA: lists `revoked` (or nobody). */
static inline void
make_crl(const char *file, const char *ca, const char *revoked, int from_days, int until_days)
{
    time_t now = (time_t)NOW_S;
    X509_CRL *crl = X509_CRL_new();
    X509 *ca_cert = read_cert(ca);
    EVP_PKEY *key = read_key(ca);
    ASN1_TIME *from = X509_time_adj_ex(NULL, from_days, 0, &now);
    ASN1_TIME *until = X509_time_adj_ex(NULL, until_days, 0, &now);
    cr_assert_eq(X509_CRL_set_version(crl, 1), 1);
    cr_assert_eq(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca_cert)), 1);
    cr_assert_eq(X509_CRL_set1_lastUpdate(crl, from), 1);
    cr_assert_eq(X509_CRL_set1_nextUpdate(crl, until), 1);
    if (revoked != NULL) {
        X509 *cert = read_cert(revoked);
        X509_REVOKED *row = X509_REVOKED_new();
        cr_assert_eq(X509_REVOKED_set_serialNumber(row, X509_get_serialNumber(cert)), 1);
        cr_assert_eq(X509_REVOKED_set_revocationDate(row, from), 1);
        cr_assert_eq(X509_CRL_add0_revoked(crl, row), 1);
        X509_free(cert);
    }
    cr_assert_gt(X509_CRL_sign(crl, key, EVP_sha256()), 0);
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.crl", file);
    FILE *out = create(name);
    cr_assert_eq(PEM_write_X509_CRL(out, crl), 1);
    cr_assert_eq(fclose(out), 0);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    X509_CRL_free(crl);
    X509_free(ca_cert);
    EVP_PKEY_free(key);
}

/* The CA and two good nodes. */
static inline void
make_usual(void)
{
    make((struct spec){.file = "ca", .is_ca = true});
    make((struct spec){.file = "alpha", .sans = "DNS:alpha,URI:busbar:00aa", .issuer = "ca"});
    make((struct spec){.file = "bravo", .sans = "DNS:bravo,URI:busbar:00bb", .issuer = "ca"});
}

/* ---- ends ---- */

struct end {
    struct bbi_tls *tls; /* ours */
    SSL *ssl;            /* foreign */
    int rc;
    unsigned alert; /* foreign: that it got; 0 none */
    struct bbi_fault fault;
    const char *to_send;
    size_t to_send_bytes;
    size_t got_bytes; /* of the application */
    unsigned char got[256];
    size_t wire_bytes; /* on their way to the other end */
    unsigned char wire[WIRE_BYTES];
};

static inline struct bbi_tls_ctx *
ctx_of(const char *file, const char *node, const char *ca, const char *crl)
{
    char cert[64], key[64], ca_name[64], crl_name[64];
    struct bbi_tls_ctx *ctx = NULL;
    struct bbi_fault fault = {0};
    (void)snprintf(cert, sizeof(cert), "%s.crt", file);
    (void)snprintf(key, sizeof(key), "%s.key", file);
    (void)snprintf(ca_name, sizeof(ca_name), "%s.crt", ca);
    (void)snprintf(crl_name, sizeof(crl_name), "%s.crl", crl != NULL ? crl : "");
    struct bbi_tls_opts opts = {.node = node,
                                .cert_path = path_of(cert),
                                .key_path = path_of(key),
                                .ca_path = path_of(ca_name),
                                .crl_path = crl != NULL ? path_of(crl_name) : NULL,
                                .now_s = NOW_S};
    int rc = bbi_tls_ctx_open(&ctx, &opts, &fault);
    cr_assert_eq(rc, 0, "%s", fault.sentence);
    return ctx;
}

/* The context is given away: the connection keeps it. */
static inline struct end *
end_of(struct bbi_tls_ctx *ctx, enum bbi_tls_side side, const char *peer)
{
    struct end *end = calloc(1, sizeof(*end));
    cr_assert_not_null(end);
    int rc = bbi_tls_open(&end->tls, ctx, side, peer, &end->fault);
    cr_assert_eq(rc, 0, "%s", end->fault.sentence);
    bbi_tls_ctx_close(ctx);
    end->to_send = HELLO;
    end->to_send_bytes = strlen(HELLO);
    return end;
}

/* Foreign: trusts everybody, uses any key; file NULL: has no certificate. */
static inline struct end *
foreign(const char *file, enum bbi_tls_side side, int version)
{
    struct end *end = calloc(1, sizeof(*end));
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    cr_assert(end != NULL && ctx != NULL);
    SSL_CTX_set_security_level(ctx, 0);
    cr_assert_eq(SSL_CTX_set_max_proto_version(ctx, version), 1);
    if (file != NULL) {
        X509 *cert = read_cert(file);
        EVP_PKEY *key = read_key(file);
        cr_assert_eq(SSL_CTX_use_certificate(ctx, cert), 1);
        cr_assert_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
    end->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    cr_assert_not_null(end->ssl);
    SSL_set_bio(end->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (side == BBI_TLS_SERVER) {
        SSL_set_accept_state(end->ssl);
    } else {
        SSL_set_connect_state(end->ssl);
    }
    end->to_send = HELLO;
    end->to_send_bytes = strlen(HELLO);
    return end;
}

static inline void
end_free(struct end *end)
{
    bbi_tls_close(end->tls);
    SSL_free(end->ssl);
    free(end);
}

static inline void
note_alert(struct end *end)
{
    unsigned long error;
    while ((error = ERR_get_error()) != 0) {
        int reason = ERR_GET_REASON(error);
        if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET
            && reason < SSL_AD_REASON_OFFSET + 256) {
            end->alert = (unsigned)(reason - SSL_AD_REASON_OFFSET);
        }
    }
}

static inline void
foreign_turn(struct end *end, const unsigned char *in, size_t bytes)
{
    BIO *out = SSL_get_wbio(end->ssl);
    cr_assert(bytes == 0 || BIO_write(SSL_get_rbio(end->ssl), in, (int)bytes) == (int)bytes);
    ERR_clear_error();
    int rc = SSL_do_handshake(end->ssl);
    if (rc == 1 && end->to_send_bytes != 0) {
        rc = SSL_write(end->ssl, end->to_send, (int)end->to_send_bytes);
        end->to_send_bytes = rc > 0 ? 0 : end->to_send_bytes;
    }
    if (rc == 1 || SSL_is_init_finished(end->ssl)) {
        rc =
            SSL_read(end->ssl, end->got + end->got_bytes, (int)(sizeof(end->got) - end->got_bytes));
        end->got_bytes += rc > 0 ? (size_t)rc : 0;
    }
    note_alert(end);
    int n = BIO_read(out, end->wire + end->wire_bytes, (int)(WIRE_BYTES - end->wire_bytes));
    end->wire_bytes += n > 0 ? (size_t)n : 0;
}

static inline void
our_turn(struct end *end, const unsigned char *in, size_t bytes)
{
    struct bbi_tls_io io = {.wire_in = in,
                            .wire_in_bytes = bytes,
                            .plain_in = (const unsigned char *)end->to_send,
                            .plain_in_bytes = end->to_send_bytes,
                            .plain_out = end->got + end->got_bytes,
                            .plain_out_cap = sizeof(end->got) - end->got_bytes,
                            .wire_out = end->wire,
                            .wire_out_cap = WIRE_BYTES,
                            .wire_out_bytes = end->wire_bytes};
    end->rc = bbi_tls_turn(end->tls, &io, &end->fault);
    if (!bbi_tls_is_ready(end->tls)) {
        cr_assert_eq(io.plain_out_bytes, 0, "nothing comes before it is ready");
        cr_assert_eq(io.plain_in_bytes, end->to_send_bytes, "nothing goes before it is ready");
    }
    end->to_send += end->to_send_bytes - io.plain_in_bytes;
    end->to_send_bytes = io.plain_in_bytes;
    end->got_bytes += io.plain_out_bytes;
    end->wire_bytes = io.wire_out_bytes;
}

static inline void
end_turn(struct end *end, struct end *from)
{
    static unsigned char in[WIRE_BYTES];
    size_t bytes = from->wire_bytes;
    memcpy(in, from->wire, bytes);
    from->wire_bytes = 0;
    if (end->tls != NULL) {
        our_turn(end, in, bytes);
    } else {
        foreign_turn(end, in, bytes);
    }
}

/* Until nothing moves any more. */
static inline void
pump(struct end *client, struct end *server)
{
    int rounds = 0;
    do {
        end_turn(client, server);
        end_turn(server, client);
    } while (++rounds < 40 && (client->wire_bytes != 0 || server->wire_bytes != 0));
    end_turn(client, server);
}

static inline void
assert_met(const struct end *a, const struct end *b)
{
    const struct end *ends[] = {a, b};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(ends[i]->rc, 0, "%s", ends[i]->fault.sentence);
        cr_assert(ends[i]->tls == NULL || bbi_tls_is_ready(ends[i]->tls));
        cr_assert_eq(ends[i]->got_bytes, strlen(HELLO));
        cr_assert_eq(memcmp(ends[i]->got, HELLO, strlen(HELLO)), 0);
    }
}

static inline void
assert_says(const char *label, const char *sentence, const char *part)
{
    cr_assert_not_null(strstr(sentence, part), "%s: '%s' should hold '%s'", label, sentence, part);
    if (getenv("TLS_SENTENCES") != NULL) {
        (void)fprintf(stderr, "%s: %s\n", label, sentence);
    }
}

#endif

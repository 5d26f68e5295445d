/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OpenSSL with a BIO of our own: it reads from wire_in and writes to wire_out of the turn that runs, so ciphertext is
 * copied once each way (into and out of OpenSSL's record buffer) and nothing is kept between turns but that buffer.
 *
 *   wire_in ─ bio_read ─► SSL ─ SSL_read ─► plain_out
 *   wire_out ◄─ bio_write ─ SSL ◄─ SSL_write ─ plain_in      (only when is_ready)
 *
 * Invariants
 * - fault.code is set once and for all; callbacks set it before OpenSSL gives up, and their sentence is better than any
 *   that could be made of OpenSSL's own code, so it wins.
 * - is_ready only after check_done(): that OpenSSL is content is not enough, what it is content with is looked at again.
 * - With a key the client's identity is its own name, and a server refuses its own: else a stranger who sends a client's
 *   bytes back to it would make it talk to itself (the "Selfie" attack on pre-shared keys).
 */
#include "lib/net/tls.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CHAIN_MAX = 4,
    CHAIN_BYTES_MAX = 32 << 10, /* of certificates that the other side sends */
    RSA_BITS_MIN = 2048,
    EC_BITS_MIN = 256,
    OUR_BIO = BIO_TYPE_SOURCE_SINK | 127,
};
#define ID_PREFIX "busbar:"

struct bbi_tls_ctx {
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    uint32_t refs; /* the owner and the connections */
    uint32_t key_count;
    struct bbi_tls_key *keys; /* peer: a copy of ours */
    struct bbi_tls_self self;
    char ca_file[BBI_TLS_FILE_BYTES]; /* for sentences */
    char crl_file[BBI_TLS_FILE_BYTES];
};

struct bbi_tls {
    struct bbi_tls_ctx *ctx;
    SSL *ssl;
    struct bbi_tls_io *io; /* of the turn that runs */
    bool is_server;
    bool is_ready;
    bool has_ended;
    bool wants_end;
    bool has_said_end;
    bool was_offered_key; /* server: the client named an identity */
    bool has_received;    /* plaintext */
    uint64_t wire_taken;  /* bytes of the other side */
    size_t write_bytes;   /* of a record that did not fit: OpenSSL wants the same again */
    char expected[BBI_TLS_NAME_BYTES]; /* "": any */
    struct bbi_tls_peer peer;
    struct bbi_fault fault;
};

/* Sessions are none of ours, but a key is one to OpenSSL, and then has to be of the same context. */
static const unsigned char CONTEXT[] = {'b', 'u', 's', 'b', 'a', 'r'};
static const unsigned char SHA256_CIPHER[] = {0x13, 0x01}; /* TLS_AES_128_GCM_SHA256 */

/* ---- the BIO ---- */

static int
bio_read(BIO *bio, char *out, int cap)
{
    struct bbi_tls *tls = BIO_get_data(bio);
    struct bbi_tls_io *io = tls->io;
    BIO_clear_retry_flags(bio);
    if (cap <= 0 || io == NULL || io->wire_in_bytes == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = bbi_min_u64((size_t)cap, io->wire_in_bytes);
    memcpy(out, io->wire_in, n);
    io->wire_in += n;
    io->wire_in_bytes -= n;
    tls->wire_taken += n;
    return (int)n;
}

static int
bio_write(BIO *bio, const char *data, int bytes)
{
    struct bbi_tls *tls = BIO_get_data(bio);
    struct bbi_tls_io *io = tls->io;
    size_t room = io != NULL ? io->wire_out_cap - io->wire_out_bytes : 0;
    BIO_clear_retry_flags(bio);
    if (bytes <= 0 || room == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    size_t n = bbi_min_u64((size_t)bytes, room);
    memcpy(io->wire_out + io->wire_out_bytes, data, n);
    io->wire_out_bytes += n;
    return (int)n;
}

static long
bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_FLUSH;
}

static int
bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *
bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(OUR_BIO, "busbar");
    if (method != NULL
        && (BIO_meth_set_read(method, bio_read) != 1 || BIO_meth_set_write(method, bio_write) != 1
            || BIO_meth_set_ctrl(method, bio_ctrl) != 1
            || BIO_meth_set_create(method, bio_create) != 1)) {
        BIO_meth_free(method);
        method = NULL;
    }
    return method;
}

/* ---- what certificates say ---- */

static void
time_text(const ASN1_TIME *time, char out[BBI_TLS_TIME_BYTES])
{
    struct tm tm;
    if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1
        || strftime(out, BBI_TLS_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        (void)snprintf(out, BBI_TLS_TIME_BYTES, "an unreadable time");
    }
}

static void
issuer_text(X509 *cert, char out[BBI_TLS_NAME_BYTES])
{
    /* Escapes what is not printable. */
    (void)X509_NAME_oneline(X509_get_issuer_name(cert), out, BBI_TLS_NAME_BYTES);
}

/* Names go into sentences and logs: printable and short, or they are none. */
static bool
name_is_plain(const unsigned char *name, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (name[i] < 0x20 || name[i] >= 0x7f) {
            return false;
        }
    }
    return bytes > 0 && bytes < BBI_TLS_NAME_BYTES;
}

struct names {
    char first[BBI_TLS_NAME_BYTES]; /* of the DNS names */
    char id[BBI_TLS_ID_BYTES];
    bool has_wanted;
    bool has_two_ids;
};

/* Who dials an address, and gives no name, may be content with a certificate for that address. */
static bool
is_address(const char *wanted, const unsigned char *p, size_t bytes)
{
    unsigned char address[sizeof(struct in6_addr)];
    int family = bytes == sizeof(struct in_addr) ? AF_INET : AF_INET6;
    return wanted != NULL && (family == AF_INET || bytes == sizeof(struct in6_addr))
           && inet_pton(family, wanted, address) == 1 && memcmp(address, p, bytes) == 0;
}

static void
take_name(struct names *names, const GENERAL_NAME *general, const char *wanted)
{
    int kind;
    const ASN1_STRING *text = GENERAL_NAME_get0_value(general, &kind);
    if (kind != GEN_DNS && kind != GEN_URI && kind != GEN_IPADD) {
        return;
    }
    const unsigned char *p = ASN1_STRING_get0_data(text);
    size_t bytes = (size_t)ASN1_STRING_length(text);
    if (kind == GEN_IPADD) {
        names->has_wanted |= is_address(wanted, p, bytes);
        return;
    }
    if (!name_is_plain(p, bytes)) {
        return;
    }
    if (kind == GEN_DNS) {
        if (names->first[0] == '\0') {
            memcpy(names->first, p, bytes);
        }
        names->has_wanted |=
            wanted != NULL && strlen(wanted) == bytes && memcmp(wanted, p, bytes) == 0;
    } else if (bytes >= strlen(ID_PREFIX) && memcmp(p, ID_PREFIX, strlen(ID_PREFIX)) == 0) {
        p += strlen(ID_PREFIX);
        bytes -= strlen(ID_PREFIX);
        names->has_two_ids |= names->id[0] != '\0' || bytes == 0 || bytes >= sizeof(names->id);
        if (!names->has_two_ids) {
            memcpy(names->id, p, bytes);
        }
    }
}

static void
read_names(X509 *cert, const char *wanted, struct names *names)
{
    memset(names, 0, sizeof(*names));
    GENERAL_NAMES *list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        take_name(names, sk_GENERAL_NAME_value(list, i), wanted);
    }
    GENERAL_NAMES_free(list);
}

/* "" if the key is strong enough, else what it is. */
static void
weakness(X509 *cert, char *out, size_t cap)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    int kind = key != NULL ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;
    int bits = key != NULL ? EVP_PKEY_get_bits(key) : 0;
    bool is_rsa = kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS;
    out[0] = '\0';
    if (kind == EVP_PKEY_ED25519 || kind == EVP_PKEY_ED448) {
        return;
    }
    if (!is_rsa && kind != EVP_PKEY_EC) {
        (void)snprintf(out, cap, "of a kind that is not used here");
    } else if (bits < (is_rsa ? RSA_BITS_MIN : EC_BITS_MIN)) {
        (void)snprintf(out, cap, "%s of %d bits", is_rsa ? "RSA" : "EC", bits);
    }
}

/* ---- verifying the other side's certificate: called within the handshake ---- */

static const char WEAK[] = "%s has a weak key, %s: RSA needs 2048 bits or more, EC 256 or more; "
                           "issue it again with a stronger key";

/* Sets the sentence, and by the code the alert that the other side gets. */
static int
refuse(X509_STORE_CTX *store, int x509_code, struct bbi_tls *tls, const char *sentence)
{
    if (tls->fault.code == 0) {
        (void)bbi_fault_set(&tls->fault, BB_EACCES, tls->expected, "%s", sentence);
    }
    X509_STORE_CTX_set_error(store, x509_code);
    return 0;
}

struct shown {
    char whose[BBI_TLS_NAME_BYTES + 64]; /* "the certificate of 'x'", "the CA certificate 'y'" */
    char issuer[BBI_TLS_NAME_BYTES];
    char from[BBI_TLS_TIME_BYTES];
    char until[BBI_TLS_TIME_BYTES];
};

static void
look_at(X509 *cert, int depth, struct shown *shown)
{
    struct names names;
    memset(shown, 0, sizeof(*shown));
    if (cert == NULL) {
        (void)snprintf(shown->whose, sizeof(shown->whose), "the other side's certificate");
        return;
    }
    issuer_text(cert, shown->issuer);
    time_text(X509_get0_notBefore(cert), shown->from);
    time_text(X509_get0_notAfter(cert), shown->until);
    if (depth == 0) {
        read_names(cert, NULL, &names);
        (void)snprintf(shown->whose, sizeof(shown->whose),
                       "the other side's certificate (for '%s')", names.first);
    } else {
        char subject[BBI_TLS_NAME_BYTES];
        (void)X509_NAME_oneline(X509_get_subject_name(cert), subject, sizeof(subject));
        (void)snprintf(shown->whose, sizeof(shown->whose), "the CA certificate '%s'", subject);
    }
}

/* The CRL, not the certificate, is what is wrong. */
static bool
say_crl(int error, const struct shown *shown, char *out, size_t cap)
{
    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        (void)snprintf(
            out, cap,
            "%s cannot be held against our CRL, which has none of its issuer '%s'; add that "
            "CA's CRL to the file of --crl",
            shown->whose, shown->issuer);
        return true;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        (void)snprintf(
            out, cap,
            "our CRL of '%s' has expired, so nobody can be let in by it; fetch the CA's new one",
            shown->issuer);
        return true;
    case X509_V_ERR_CRL_NOT_YET_VALID:
        (void)snprintf(out, cap, "our CRL of '%s' is not yet valid; set this box's clock",
                       shown->issuer);
        return true;
    default:
        return false;
    }
}

static bool
say_period(int error, const struct shown *shown, char *out, size_t cap)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        (void)snprintf(out, cap, "%s has expired: it was valid until %s; issue a new one",
                       shown->whose, shown->until);
        return true;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        (void)snprintf(out, cap,
                       "%s is not yet valid, only from %s; set the clocks of both boxes or wait",
                       shown->whose, shown->from);
        return true;
    case X509_V_ERR_CERT_REVOKED:
        (void)snprintf(out, cap,
                       "%s has been revoked: our CRL lists it; issue a new one to that node",
                       shown->whose);
        return true;
    default:
        return false;
    }
}

static void
say_verify(int error, X509 *cert, const struct shown *shown, char *out, size_t cap)
{
    char weak[64] = "";
    if (say_crl(error, shown, out, cap) || say_period(error, shown, out, cap)) {
        return;
    }
    switch (error) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        (void)snprintf(
            out, cap,
            "%s is self-signed, so nobody vouches for it; have it issued by the CA of --ca",
            shown->whose);
        return;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        (void)snprintf(
            out, cap,
            "%s was issued by another CA, '%s', that --ca does not hold; both sides need the "
            "same CA",
            shown->whose, shown->issuer);
        return;
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
        if (cert != NULL) {
            weakness(cert, weak, sizeof(weak));
        }
        (void)snprintf(out, cap, WEAK, shown->whose, weak);
        return;
    case X509_V_ERR_INVALID_PURPOSE:
        (void)snprintf(
            out, cap,
            "%s is not for this use: its extended key usage must have both serverAuth and "
            "clientAuth, or not be there",
            shown->whose);
        return;
    default:
        (void)snprintf(out, cap, "%s is refused: %s", shown->whose,
                       X509_verify_cert_error_string(error));
        return;
    }
}

/* The file that would have to say something else, if it is one of ours. */
static void
say_our_file(int error, const struct bbi_tls_ctx *ctx, char *out, size_t cap)
{
    switch (error) {
    case X509_V_ERR_CERT_REVOKED:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
        bbi_tls_say_file(out, cap, "our CRL is", ctx->crl_file);
        return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        bbi_tls_say_file(out, cap, "our CA is", ctx->ca_file);
        return;
    default:
        return;
    }
}

static int
verify_leaf(X509_STORE_CTX *store, struct bbi_tls *tls, X509 *cert)
{
    char sentence[512];
    struct names names;
    read_names(cert, tls->expected, &names);
    if (tls->expected[0] != '\0' && !names.has_wanted) {
        (void)snprintf(
            sentence, sizeof(sentence),
            "the other side's certificate is for '%.100s', but '%.100s' must be there; is it the "
            "right address, and has that node its own certificate?  If it is, dial it by its name: "
            "%.100s@HOST:PORT",
            names.first, tls->expected, names.first);
        return refuse(store, X509_V_ERR_HOSTNAME_MISMATCH, tls, sentence);
    }
    if (names.first[0] == '\0' || names.has_two_ids) {
        (void)snprintf(
            sentence, sizeof(sentence),
            "the other side's certificate names %s; issue it with one DNS SAN for the node's name "
            "and at most one URI SAN " ID_PREFIX "ID",
            names.has_two_ids ? "more than one node id" : "no node");
        return refuse(store, X509_V_ERR_HOSTNAME_MISMATCH, tls, sentence);
    }
    memcpy(tls->peer.name, tls->expected[0] != '\0' ? tls->expected : names.first,
           sizeof(tls->peer.name));
    memcpy(tls->peer.id, names.id, sizeof(tls->peer.id));
    return 1;
}

static int
verify(int is_good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct bbi_tls *tls = SSL_get_app_data(ssl);
    X509 *cert = X509_STORE_CTX_get_current_cert(store);
    int depth = X509_STORE_CTX_get_error_depth(store);
    char sentence[512];
    char weak[64];
    struct shown shown;
    if (tls->ctx->self.is_psk) {
        return refuse(
            store, X509_V_ERR_APPLICATION_VERIFICATION, tls,
            "the other side answers with a certificate, but this side has a pre-shared key; "
            "give both sides the same kind of keys");
    }
    look_at(cert, depth, &shown);
    if (!is_good) {
        int error = X509_STORE_CTX_get_error(store);
        say_verify(error, cert, &shown, sentence, sizeof(sentence));
        say_our_file(error, tls->ctx, sentence, sizeof(sentence));
        bool is_weak = error == X509_V_ERR_EE_KEY_TOO_SMALL || error == X509_V_ERR_CA_KEY_TOO_SMALL;
        return refuse(store, is_weak ? X509_V_ERR_INVALID_PURPOSE : error, tls, sentence);
    }
    weakness(cert, weak, sizeof(weak));
    if (weak[0] != '\0') {
        (void)snprintf(sentence, sizeof(sentence), WEAK, shown.whose, weak);
        return refuse(store, X509_V_ERR_INVALID_PURPOSE, tls, sentence);
    }
    return depth == 0 ? verify_leaf(store, tls, cert) : 1;
}

/* ---- pre-shared keys: called within the handshake ---- */

static const struct bbi_tls_key *
find_key(const struct bbi_tls_ctx *ctx, const char *peer)
{
    const struct bbi_tls_key *any = NULL;
    for (uint32_t i = 0; i < ctx->key_count; i++) {
        const struct bbi_tls_key *key = &ctx->keys[i];
        if (key->peer == NULL) {
            any = any != NULL ? any : key;
        } else if (strcmp(key->peer, peer) == 0) {
            return key;
        }
    }
    return any;
}

static SSL_SESSION *
key_session(SSL *ssl, const struct bbi_tls_key *key)
{
    SSL_SESSION *session = SSL_SESSION_new();
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, SHA256_CIPHER);
    if (session != NULL
        && (cipher == NULL
            || SSL_SESSION_set1_master_key(session, key->bytes, sizeof(key->bytes)) != 1
            || SSL_SESSION_set_cipher(session, cipher) != 1
            || SSL_SESSION_set1_id_context(session, CONTEXT, sizeof(CONTEXT)) != 1
            || SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) != 1)) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    return session;
}

static int
use_key(
    SSL *ssl, const EVP_MD *digest, const unsigned char **id, size_t *id_bytes, SSL_SESSION **out)
{
    struct bbi_tls *tls = SSL_get_app_data(ssl);
    const struct bbi_tls_key *key = find_key(tls->ctx, tls->expected);
    *out = NULL;
    if (key == NULL || (digest != NULL && EVP_MD_get_type(digest) != NID_sha256)) {
        return 1; /* goes on without a key, and then is refused */
    }
    *out = key_session(ssl, key);
    *id = (const unsigned char *)tls->ctx->self.node;
    *id_bytes = strlen(tls->ctx->self.node);
    return *out != NULL;
}

/* Whoever names itself so: why not. */
static int
refuse_identity(struct bbi_tls *tls, const char *name, const struct bbi_tls_key *key)
{
    if (strcmp(name, tls->ctx->self.node) == 0) {
        return bbi_fault_set(
            &tls->fault, BB_EACCES, name,
            "the other side names itself '%.200s', which is this node: it is this node, or "
            "two have one name; give each node a name of its own",
            name);
    }
    if (tls->expected[0] != '\0' && strcmp(name, tls->expected) != 0) {
        return bbi_fault_set(
            &tls->fault, BB_EACCES, name,
            "the other side names itself '%.100s' with its pre-shared key, but '%.100s' must "
            "be there; is it the right address?",
            name, tls->expected);
    }
    if (key == NULL) {
        return bbi_fault_set(
            &tls->fault, BB_EACCES, name,
            "no pre-shared key is known for '%.200s' (unknown identity); name that node here "
            "with the key that it has",
            name);
    }
    return 0;
}

static int
find_session(SSL *ssl, const unsigned char *id, size_t id_bytes, SSL_SESSION **out)
{
    struct bbi_tls *tls = SSL_get_app_data(ssl);
    char name[BBI_TLS_NAME_BYTES] = "";
    *out = NULL;
    tls->was_offered_key = true;
    if (tls->fault.code != 0) {
        return 1;
    }
    if (!name_is_plain(id, id_bytes)) {
        (void)bbi_fault_set(
            &tls->fault, BB_EACCES, "",
            "the other side's pre-shared key has an identity that is no node's name");
        return 1;
    }
    memcpy(name, id, id_bytes);
    const struct bbi_tls_key *key = find_key(tls->ctx, name);
    if (refuse_identity(tls, name, key) != 0) {
        return 1; /* without a session: the handshake then fails for want of anything else */
    }
    memcpy(tls->peer.name, name, sizeof(tls->peer.name));
    *out = key_session(ssl, key);
    return *out != NULL;
}

/* ---- the context ---- */

static int
no_password(char *out, int cap, int is_writing, void *user) /* NOLINT: OpenSSL says what it is */
{
    (void)out;
    (void)cap;
    (void)is_writing;
    (void)user;
    return -1; /* never asks a terminal */
}

/* Of an error of OpenSSL's queue: the first is nearest to the cause, the last to what was asked. */
static const char *
error_text(unsigned long error)
{
    if (ERR_SYSTEM_ERROR(error)) {
        return bbi_errno_text(ERR_GET_REASON(error));
    }
    const char *text = ERR_reason_error_string(error);
    return text != NULL ? text : "no further reason";
}

/* One file of PEM; what OpenSSL says when it will not have it. */
static int
refuse_file(struct bbi_fault *f, const char *path, const char *what, const char *todo)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) == ERR_LIB_SSL
        && (reason == SSL_R_EE_KEY_TOO_SMALL || reason == SSL_R_CA_KEY_TOO_SMALL)) {
        return bbi_fault_set(f, BB_EACCES, path, WEAK, "our certificate", path);
    }
    return bbi_fault_set(f, BB_EINVAL, path, "'%s' cannot be used as %s: %s; %s", path, what,
                         error_text(error), todo);
}

static int
load_key(struct bbi_tls_ctx *ctx, const char *path, struct bbi_fault *f)
{
    unsigned char *pem = NULL;
    int64_t n = bbi_secret_read(path, &pem, f);
    if (n < 0) {
        return (int)n;
    }
    BIO *bio = BIO_new_mem_buf(pem, (int)n);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    int rc = 0;
    if (key == NULL) {
        rc = refuse_file(f, path, "the private key", "give PEM without a password");
    } else if (SSL_CTX_use_PrivateKey(ctx->ssl, key) != 1
               || SSL_CTX_check_private_key(ctx->ssl) != 1) {
        rc = refuse_file(f, path, "the private key", "it must be the one of the certificate");
    }
    EVP_PKEY_free(key);
    BIO_free(bio);
    bbi_secret_free(pem, (size_t)n);
    return rc;
}

static int
load_ca(struct bbi_tls_ctx *ctx, const struct bbi_tls_opts *opts, struct bbi_fault *f)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx->ssl);
    if (SSL_CTX_load_verify_file(ctx->ssl, opts->ca_path) != 1) {
        return refuse_file(f, opts->ca_path, "the CA", "give the PEM file of the CA's certificate");
    }
    if (opts->crl_path != NULL) {
        X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
        if (lookup == NULL || X509_load_crl_file(lookup, opts->crl_path, X509_FILETYPE_PEM) < 1) {
            return refuse_file(f, opts->crl_path, "the CRL", "give the PEM file of the CA's CRL");
        }
        if (X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) != 1) {
            return bbi_fault_set(f, BB_ENOMEM, opts->crl_path, "no memory for the CRL");
        }
    }
    if (opts->now_s != 0) {
        X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(ctx->ssl), (time_t)opts->now_s);
    }
    return 0;
}

int
bbi_tls_cert_name(const char *cert_path, char out[BBI_TLS_NAME_BYTES], struct bbi_fault *f)
{
    struct names names = {.first = ""};
    BIO *bio = BIO_new_file(cert_path, "r");
    X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (cert == NULL) {
        return refuse_file(f, cert_path, "our certificate", "give a PEM file");
    }
    read_names(cert, NULL, &names);
    X509_free(cert);
    if (names.first[0] == '\0') {
        return bbi_fault_set(f, BB_EINVAL, cert_path,
                             "certificate '%s' names no node: issue one with the SAN DNS:NAME",
                             cert_path);
    }
    memcpy(out, names.first, BBI_TLS_NAME_BYTES);
    return 0;
}

/* Our own certificate: is it ours, is it strong, and what will others say about it. */
static int
look_at_own(struct bbi_tls_ctx *ctx, const struct bbi_tls_opts *opts, struct bbi_fault *f)
{
    X509 *cert = SSL_CTX_get0_certificate(ctx->ssl);
    struct bbi_tls_self *self = &ctx->self;
    struct names names;
    char weak[64];
    time_t now = opts->now_s != 0 ? (time_t)opts->now_s : time(NULL);
    weakness(cert, weak, sizeof(weak));
    if (weak[0] != '\0') {
        return bbi_fault_set(f, BB_EACCES, opts->cert_path, WEAK, "our certificate", weak);
    }
    read_names(cert, opts->node, &names);
    if (!names.has_wanted) {
        return bbi_fault_set(
            f, BB_EINVAL, opts->cert_path,
            "certificate '%s' is for '%s', but this node is '%s'; every peer would refuse "
            "it: issue one with the SAN DNS:%s",
            opts->cert_path, names.first, opts->node, opts->node);
    }
    self->is_self_signed =
        X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(cert)) == 0;
    self->is_early = X509_cmp_time(X509_get0_notBefore(cert), &now) > 0;
    self->is_late = X509_cmp_time(X509_get0_notAfter(cert), &now) < 0;
    issuer_text(cert, self->issuer);
    time_text(X509_get0_notBefore(cert), self->from);
    time_text(X509_get0_notAfter(cert), self->until);
    return 0;
}

static int
load_certificates(struct bbi_tls_ctx *ctx, const struct bbi_tls_opts *opts, struct bbi_fault *f)
{
    SSL_CTX_set_default_passwd_cb(ctx->ssl, no_password);
    if (SSL_CTX_use_certificate_chain_file(ctx->ssl, opts->cert_path) != 1) {
        return refuse_file(f, opts->cert_path, "our certificate", "give a PEM file");
    }
    int rc = load_key(ctx, opts->key_path, f);
    if (rc == 0) {
        rc = load_ca(ctx, opts, f);
    }
    return rc == 0 ? look_at_own(ctx, opts, f) : rc;
}

static int
copy_keys(struct bbi_tls_ctx *ctx, const struct bbi_tls_opts *opts, struct bbi_fault *f)
{
    ctx->keys = calloc(opts->key_count, sizeof(*ctx->keys));
    for (uint32_t i = 0; ctx->keys != NULL && i < opts->key_count; i++) {
        const struct bbi_tls_key *key = &opts->keys[i];
        char *peer = key->peer != NULL ? strdup(key->peer) : NULL;
        if (key->peer != NULL && peer == NULL) {
            break;
        }
        ctx->keys[i] = *key;
        ctx->keys[i].peer = peer;
        ctx->key_count = i + 1;
    }
    if (ctx->key_count != opts->key_count) {
        return bbi_fault_set(f, BB_ENOMEM, "", "no memory for %u keys", opts->key_count);
    }
    SSL_CTX_set_psk_use_session_callback(ctx->ssl, use_key);
    SSL_CTX_set_psk_find_session_callback(ctx->ssl, find_session);
    return 0;
}

static int
configure(struct bbi_tls_ctx *ctx)
{
    /* A key of 256 bits goes with SHA-256, so with keys only ciphers that hash so. */
    const char *ciphers = ctx->self.is_psk ? "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
                                           : "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                             "TLS_CHACHA20_POLY1305_SHA256";
    SSL_CTX *ssl = ctx->ssl;
    if (SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) != 1
        || SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) != 1
        || SSL_CTX_set_ciphersuites(ssl, ciphers) != 1 || SSL_CTX_set_num_tickets(ssl, 0) != 1
        || SSL_CTX_set_max_early_data(ssl, 0) != 1
        || SSL_CTX_set_session_id_context(ssl, CONTEXT, sizeof(CONTEXT)) != 1) {
        return BB_ENOTSUP;
    }
    SSL_CTX_set_security_level(ssl, 2); /* whatever the system's file says */
    (void)SSL_CTX_set_options(ssl,
                              SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_cert_list(ssl, CHAIN_BYTES_MAX);
    SSL_CTX_set_verify_depth(ssl, CHAIN_MAX);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify);
    return 0;
}

static int
check_opts(const struct bbi_tls_opts *opts, struct bbi_fault *f)
{
    bool has_keys = opts->key_count != 0;
    bool has_any = opts->cert_path != NULL || opts->key_path != NULL || opts->ca_path != NULL;
    bool has_all = opts->cert_path != NULL && opts->key_path != NULL && opts->ca_path != NULL;
    if (opts->node == NULL
        || !name_is_plain((const unsigned char *)opts->node, strlen(opts->node))) {
        return bbi_fault_set(f, BB_EINVAL, "", "this node needs a name, of printable ASCII");
    }
    if (has_keys ? has_any : !has_all) {
        return bbi_fault_set(f, BB_EINVAL, opts->node,
                             "TLS needs either certificates, all of --cert, --key and --ca, or a "
                             "pre-shared key (--psk), not %s",
                             has_keys ? "both" : "less");
    }
    return 0;
}

static void
keep_file(char out[BBI_TLS_FILE_BYTES], const char *path)
{
    (void)snprintf(out, BBI_TLS_FILE_BYTES, "%s", path != NULL ? path : "");
}

static void
keep_files(struct bbi_tls_ctx *ctx, const struct bbi_tls_opts *opts)
{
    keep_file(ctx->self.file, ctx->self.is_psk ? opts->key_file : opts->cert_path);
    keep_file(ctx->ca_file, opts->ca_path);
    keep_file(ctx->crl_file, opts->crl_path);
}

int
bbi_tls_ctx_open(struct bbi_tls_ctx **out, const struct bbi_tls_opts *opts, struct bbi_fault *f)
{
    int rc = check_opts(opts, f);
    if (rc != 0) {
        return rc;
    }
    struct bbi_tls_ctx *ctx = calloc(1, sizeof(*ctx));
    if (ctx == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, opts->node, "no memory for a TLS context");
    }
    ERR_clear_error();
    ctx->refs = 1;
    ctx->self.is_psk = opts->key_count != 0;
    (void)snprintf(ctx->self.node, sizeof(ctx->self.node), "%s", opts->node);
    keep_files(ctx, opts);
    ctx->ssl = SSL_CTX_new(TLS_method());
    ctx->bio = bio_method();
    rc = ctx->ssl != NULL && ctx->bio != NULL ? configure(ctx) : BB_ENOMEM;
    if (rc != 0) {
        (void)bbi_fault_set(f, rc, opts->node, "OpenSSL cannot be set up for TLS 1.3: %s",
                            error_text(ERR_peek_last_error()));
    } else {
        rc = ctx->self.is_psk ? copy_keys(ctx, opts, f) : load_certificates(ctx, opts, f);
    }
    ERR_clear_error();
    if (rc != 0) {
        bbi_tls_ctx_close(ctx);
        return rc;
    }
    *out = ctx;
    return 0;
}

/* peer is a copy of ours, const only for those who read it. */
static void
free_keys(struct bbi_tls_ctx *ctx)
{
    for (uint32_t i = 0; i < ctx->key_count; i++) {
        char *peer;
        memcpy(&peer, &ctx->keys[i].peer, sizeof(peer));
        free(peer);
    }
    if (ctx->keys != NULL) {
        explicit_bzero(ctx->keys, ctx->key_count * sizeof(*ctx->keys));
        free(ctx->keys);
    }
}

void
bbi_tls_ctx_close(struct bbi_tls_ctx *ctx)
{
    if (ctx == NULL || --ctx->refs != 0) {
        return;
    }
    SSL_CTX_free(ctx->ssl);
    BIO_meth_free(ctx->bio);
    free_keys(ctx);
    free(ctx);
}

/* ---- a connection ---- */

static int
check_peer(const struct bbi_tls_ctx *ctx, bool is_server, const char *peer, struct bbi_fault *f)
{
    if (peer == NULL && is_server) {
        return 0;
    }
    if (peer == NULL || !name_is_plain((const unsigned char *)peer, strlen(peer))) {
        return bbi_fault_set(
            f, BB_EINVAL, "",
            "the name of the node that must be there is missing or not printable ASCII");
    }
    if (ctx->self.is_psk && find_key(ctx, peer) == NULL) {
        return bbi_fault_set(f, BB_ENOENT, peer, "there is no pre-shared key for '%s'; give one",
                             peer);
    }
    return 0;
}

static int
make_ssl(struct bbi_tls *tls)
{
    tls->ssl = SSL_new(tls->ctx->ssl);
    BIO *bio = tls->ssl != NULL ? BIO_new(tls->ctx->bio) : NULL;
    if (bio == NULL || SSL_set_app_data(tls->ssl, tls) != 1) {
        BIO_free(bio);
        return BB_ENOMEM;
    }
    BIO_set_data(bio, tls);
    SSL_set_bio(tls->ssl, bio, bio);
    if (tls->is_server) {
        SSL_set_accept_state(tls->ssl);
    } else {
        SSL_set_connect_state(tls->ssl);
    }
    return 0;
}

int
bbi_tls_open(struct bbi_tls **out,
             struct bbi_tls_ctx *ctx,
             enum bbi_tls_side side,
             const char *peer,
             struct bbi_fault *f)
{
    int rc = check_peer(ctx, side == BBI_TLS_SERVER, peer, f);
    if (rc != 0) {
        return rc;
    }
    struct bbi_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, "", "no memory for a TLS connection");
    }
    tls->ctx = ctx;
    ctx->refs++;
    tls->is_server = side == BBI_TLS_SERVER;
    (void)snprintf(tls->expected, sizeof(tls->expected), "%s", peer != NULL ? peer : "");
    rc = make_ssl(tls);
    if (rc != 0) {
        bbi_tls_close(tls);
        return bbi_fault_set(f, rc, "", "no memory for a TLS connection");
    }
    *out = tls;
    return 0;
}

void
bbi_tls_close(struct bbi_tls *tls)
{
    if (tls != NULL) {
        SSL_free(tls->ssl);
        bbi_tls_ctx_close(tls->ctx);
        free(tls);
    }
}

/* ---- what went wrong ---- */

static const char PLAIN[] = "the other side does not speak TLS: its first bytes are no TLS record; "
                            "give both sides the same kind of "
                            "keys, or start both with --insecure";

/* reason: of OpenSSL's SSL library; 0 when the error came from elsewhere. */
static int
say_reason(struct bbi_tls *tls, int reason)
{
    struct bbi_fault *f = &tls->fault;
    const char *name = tls->expected;
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
        return bbi_fault_set(
            f, BB_EVERSION, name,
            "the other side speaks TLS 1.2 or older; links need TLS 1.3: bring its TLS up to "
            "date");
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return bbi_fault_set(
            f, BB_EACCES, name,
            "the other side shows no certificate; give it one of our CA (--cert, --key)");
    case SSL_R_BINDER_DOES_NOT_VERIFY:
        return bbi_fault_set(
            f, BB_EACCES, tls->peer.name,
            "'%.200s' has another pre-shared key than the one known for it here; both "
            "sides need the same file%s%s",
            tls->peer.name, tls->ctx->self.file[0] != '\0' ? ", here " : "", tls->ctx->self.file);
    default:
        return 0;
    }
}

static int
fail(struct bbi_tls *tls)
{
    unsigned long error = ERR_peek_last_error();
    int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    const struct bbi_tls_self *self = &tls->ctx->self;
    char sentence[512];
    if (tls->fault.code != 0 || say_reason(tls, reason) != 0) {
        return tls->fault.code;
    }
    if (reason >= SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255) {
        unsigned alert = (unsigned)(reason - SSL_AD_REASON_OFFSET);
        bbi_tls_say_alert(sentence, sizeof(sentence), alert, self);
        int code = alert == SSL_AD_PROTOCOL_VERSION ? BB_EVERSION : BB_EACCES;
        return bbi_fault_set(&tls->fault, code, tls->expected, "%s", sentence);
    }
    if (!tls->is_ready && self->is_psk && tls->is_server && !tls->was_offered_key) {
        return bbi_fault_set(
            &tls->fault, BB_EACCES, tls->expected,
            "the other side offers no pre-shared key, which this side wants: it uses "
            "certificates; give both sides the same kind of keys");
    }
    return bbi_fault_set(
        &tls->fault, BB_ECORRUPT, tls->expected,
        "the other side breaks the rules of TLS, or somebody changed its bytes: %s",
        error_text(ERR_peek_last_error()));
}

/* What a call of OpenSSL that did not succeed means: 0 it wants more input or room. */
static int
settle(struct bbi_tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        tls->has_ended = true;
        return 0;
    default:
        return fail(tls);
    }
}

/* ---- a turn ---- */

/* A record begins with its kind, 22 or 21, and version 3.x; who speaks plain TCP is told with an alert. */
static int
check_first(struct bbi_tls *tls)
{
    static const unsigned char ALERT[] = {SSL3_RT_ALERT, 3, 3, 0, 2, 2, SSL_AD_UNEXPECTED_MESSAGE};
    struct bbi_tls_io *io = tls->io;
    for (size_t i = 0; tls->wire_taken + i < 2 && i < io->wire_in_bytes; i++) {
        unsigned char c = io->wire_in[i];
        if (tls->wire_taken + i == 0 ? c == SSL3_RT_HANDSHAKE || c == SSL3_RT_ALERT : c == 3) {
            continue;
        }
        if (io->wire_out_cap - io->wire_out_bytes >= sizeof(ALERT)) {
            memcpy(io->wire_out + io->wire_out_bytes, ALERT, sizeof(ALERT));
            io->wire_out_bytes += sizeof(ALERT);
        }
        return bbi_fault_set(&tls->fault, BB_EVERSION, tls->expected, "%s", PLAIN);
    }
    return 0;
}

/* OpenSSL says that it is done.  Is it what was wanted? */
static int
check_done(struct bbi_tls *tls)
{
    bool is_psk = tls->ctx->self.is_psk;
    bool is_good = SSL_version(tls->ssl) == TLS1_3_VERSION;
    if (is_psk) {
        is_good = is_good && SSL_session_reused(tls->ssl) == 1;
    } else {
        is_good = is_good && SSL_get0_peer_certificate(tls->ssl) != NULL
                  && SSL_get_verify_result(tls->ssl) == X509_V_OK && tls->peer.name[0] != '\0'
                  && SSL_session_reused(tls->ssl) == 0;
    }
    if (!is_good) {
        return bbi_fault_set(&tls->fault, BB_EACCES, tls->expected,
                             "the handshake ended without a verified peer");
    }
    if (is_psk && !tls->is_server) {
        memcpy(tls->peer.name, tls->expected, sizeof(tls->peer.name));
    }
    (void)snprintf(tls->peer.cipher, sizeof(tls->peer.cipher), "%s", SSL_get_cipher_name(tls->ssl));
    tls->is_ready = true;
    return 0;
}

static int
shake_hands(struct bbi_tls *tls)
{
    int rc = check_first(tls);
    if (rc != 0) {
        return rc;
    }
    int result = SSL_do_handshake(tls->ssl);
    return result == 1 ? check_done(tls) : settle(tls, result);
}

static int
open_records(struct bbi_tls *tls)
{
    struct bbi_tls_io *io = tls->io;
    while (!tls->has_ended && io->plain_out_bytes < io->plain_out_cap) {
        size_t n = 0;
        int result = SSL_read_ex(tls->ssl, io->plain_out + io->plain_out_bytes,
                                 io->plain_out_cap - io->plain_out_bytes, &n);
        if (result != 1) {
            return settle(tls, result);
        }
        io->plain_out_bytes += n;
        tls->has_received = true;
    }
    return 0;
}

/* Bytes of the next record; 0 not now. */
static size_t
next_record(const struct bbi_tls *tls)
{
    const struct bbi_tls_io *io = tls->io;
    if (tls->write_bytes != 0) {
        return tls->write_bytes;
    }
    size_t n = bbi_min_u64(io->plain_in_bytes, BBI_TLS_RECORD_BYTES);
    return io->wire_out_cap - io->wire_out_bytes >= n + BBI_TLS_EXTRA_BYTES ? n : 0;
}

static int
seal_records(struct bbi_tls *tls)
{
    struct bbi_tls_io *io = tls->io;
    while (!tls->has_said_end) {
        size_t done = 0;
        size_t n = next_record(tls);
        if (n == 0) {
            return 0;
        }
        int result = SSL_write_ex(tls->ssl, io->plain_in, n, &done);
        if (result != 1) {
            tls->write_bytes = n;
            return settle(tls, result);
        }
        tls->write_bytes = 0;
        io->plain_in += done;
        io->plain_in_bytes -= done;
    }
    return 0;
}

static int
say_end(struct bbi_tls *tls)
{
    const struct bbi_tls_io *io = tls->io;
    if (!tls->wants_end || tls->has_said_end || io->plain_in_bytes != 0
        || io->wire_out_cap - io->wire_out_bytes < BBI_TLS_EXTRA_BYTES) {
        return 0;
    }
    int result = SSL_shutdown(tls->ssl);
    if (result < 0) {
        return settle(tls, result);
    }
    tls->has_said_end = true;
    return 0;
}

static int
step(struct bbi_tls *tls)
{
    int rc = tls->is_ready ? 0 : shake_hands(tls);
    if (rc != 0 || !tls->is_ready) {
        return rc;
    }
    rc = open_records(tls);
    if (rc == 0) {
        rc = seal_records(tls);
    }
    return rc == 0 ? say_end(tls) : rc;
}

int
bbi_tls_turn(struct bbi_tls *tls, struct bbi_tls_io *io, struct bbi_fault *f)
{
    if (tls->fault.code == 0 && io->plain_in_bytes < tls->write_bytes) {
        return bbi_fault_set(f, BB_EINVAL, "", "what was not taken has to be given again");
    }
    int rc = tls->fault.code;
    if (rc == 0) {
        ERR_clear_error();
        tls->io = io;
        rc = step(tls);
        tls->io = NULL;
        ERR_clear_error();
    }
    if (rc != 0 && f != NULL) {
        *f = tls->fault;
    }
    return rc;
}

bool
bbi_tls_is_ready(const struct bbi_tls *tls)
{
    return tls->is_ready && tls->fault.code == 0;
}

bool
bbi_tls_has_ended(const struct bbi_tls *tls)
{
    return tls->has_ended;
}

void
bbi_tls_end(struct bbi_tls *tls)
{
    tls->wants_end = true;
}

bool
bbi_tls_has_said_end(const struct bbi_tls *tls)
{
    return tls->has_said_end;
}

int
bbi_tls_cut(const struct bbi_tls *tls, struct bbi_fault *f)
{
    if (tls->fault.code != 0) {
        if (f != NULL) {
            *f = tls->fault;
        }
        return tls->fault.code;
    }
    if (!tls->is_ready) {
        return bbi_fault_set(
            f, BB_EPEERGONE, tls->expected,
            "the other side ended the connection within the handshake without a reason: it "
            "may not speak TLS, or be overloaded; its log may say more");
    }
    if (tls->has_ended) {
        return 0;
    }
    return bbi_fault_set(
        f, BB_EPEERGONE, tls->peer.name,
        "the connection was cut: it ended without TLS's goodbye, so what was on the way %s",
        tls->has_received ? "may be missing"
                          : "is lost; as nothing had come yet, the other side may have "
                            "refused us, and its log says why");
}

const struct bbi_tls_peer *
bbi_tls_peer(const struct bbi_tls *tls)
{
    return &tls->peer;
}

int
bbi_tls_peer_is(const struct bbi_tls *tls, const char *name, const char *id, struct bbi_fault *f)
{
    const struct bbi_tls_peer *peer = &tls->peer;
    bool is_named = tls->is_ready;
    X509 *cert = SSL_get0_peer_certificate(tls->ssl);
    if (cert != NULL) {
        struct names names;
        read_names(cert, name, &names);
        is_named = is_named && names.has_wanted;
    } else {
        is_named = is_named && tls->ctx->self.is_psk && strcmp(peer->name, name) == 0;
    }
    if (!is_named) {
        return bbi_fault_set(
            f, BB_EACCES, name,
            "the other side calls itself '%.200s', but what it showed is for '%.200s'; give "
            "each node the certificate or key of its own name",
            name, peer->name);
    }
    if (id != NULL && peer->id[0] != '\0' && strcmp(peer->id, id) != 0) {
        return bbi_fault_set(
            f, BB_EACCES, name,
            "'%.200s' has node id %.64s, but its certificate is bound to %.64s; issue one for "
            "this id, or give the node its old directory back",
            name, id, peer->id);
    }
    return 0;
}

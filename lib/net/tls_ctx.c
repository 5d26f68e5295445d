/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a node has and trusts, read once, checked as others will check it.
 */
#include "lib/net/tls_impl.h"
#include <time.h>

enum {
    CHAIN_MAX = 4,
    CHAIN_BYTES_MAX = 32 << 10, /* of certificates that the other side sends */
};

static int
no_password(char *out, int cap, int is_writing, void *user) /* NOLINT: OpenSSL says what it is */
{
    (void)out;
    (void)cap;
    (void)is_writing;
    (void)user;
    return -1; /* never asks a terminal */
}

const char *
bbi_tls_error_text(unsigned long error)
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
        return bbi_fault_set(f, BB_EACCES, path, BBI_TLS_WEAK, "our certificate", path);
    }
    return bbi_fault_set(f, BB_EINVAL, path, "'%s' cannot be used as %s: %s; %s", path, what,
                         bbi_tls_error_text(error), todo);
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
    struct bbi_tls_names names = {.first = ""};
    BIO *bio = BIO_new_file(cert_path, "r");
    X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (cert == NULL) {
        return refuse_file(f, cert_path, "our certificate", "give a PEM file");
    }
    bbi_tls_read_names(cert, NULL, &names);
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
    struct bbi_tls_names names;
    char weak[64];
    time_t now = opts->now_s != 0 ? (time_t)opts->now_s : time(NULL);
    bbi_tls_weakness(cert, weak, sizeof(weak));
    if (weak[0] != '\0') {
        return bbi_fault_set(f, BB_EACCES, opts->cert_path, BBI_TLS_WEAK, "our certificate", weak);
    }
    bbi_tls_read_names(cert, opts->node, &names);
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
    bbi_tls_issuer_text(cert, self->issuer);
    bbi_tls_time_text(X509_get0_notBefore(cert), self->from);
    bbi_tls_time_text(X509_get0_notAfter(cert), self->until);
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
    SSL_CTX_set_psk_use_session_callback(ctx->ssl, bbi_tls_use_key);
    SSL_CTX_set_psk_find_session_callback(ctx->ssl, bbi_tls_find_session);
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
        || SSL_CTX_set_session_id_context(ssl, bbi_tls_context, bbi_tls_context_bytes) != 1) {
        return BB_ENOTSUP;
    }
    SSL_CTX_set_security_level(ssl, 2); /* whatever the system's file says */
    (void)SSL_CTX_set_options(ssl,
                              SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_cert_list(ssl, CHAIN_BYTES_MAX);
    SSL_CTX_set_verify_depth(ssl, CHAIN_MAX);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, bbi_tls_verify);
    return 0;
}

static int
check_opts(const struct bbi_tls_opts *opts, struct bbi_fault *f)
{
    bool has_keys = opts->key_count != 0;
    bool has_any = opts->cert_path != NULL || opts->key_path != NULL || opts->ca_path != NULL;
    bool has_all = opts->cert_path != NULL && opts->key_path != NULL && opts->ca_path != NULL;
    if (opts->node == NULL
        || !bbi_tls_name_is_plain((const unsigned char *)opts->node, strlen(opts->node))) {
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
    ctx->bio = bbi_tls_bio_method();
    rc = ctx->ssl != NULL && ctx->bio != NULL ? configure(ctx) : BB_ENOMEM;
    if (rc != 0) {
        (void)bbi_fault_set(f, rc, opts->node, "OpenSSL cannot be set up for TLS 1.3: %s",
                            bbi_tls_error_text(ERR_peek_last_error()));
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

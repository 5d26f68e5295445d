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
 */
#include "lib/net/tls_impl.h"

/* ---- a connection ---- */

static int
check_peer(const struct bbi_tls_ctx *ctx, bool is_server, const char *peer, struct bbi_fault *f)
{
    if (peer == NULL && is_server) {
        return 0;
    }
    if (peer == NULL || !bbi_tls_name_is_plain((const unsigned char *)peer, strlen(peer))) {
        return bbi_fault_set(
            f, BB_EINVAL, "",
            "the name of the node that must be there is missing or not printable ASCII");
    }
    if (ctx->self.is_psk && bbi_tls_find_key(ctx, peer) == NULL) {
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
        bbi_tls_error_text(ERR_peek_last_error()));
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
        struct bbi_tls_names names;
        bbi_tls_read_names(cert, name, &names);
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

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pre-shared keys: called within the handshake.
 *
 * With a key the client's identity is its own name, and a server refuses its own: else a stranger who sends a client's
 * bytes back to it would make it talk to itself (the "Selfie" attack on pre-shared keys).
 */
#include "lib/net/tls_impl.h"

const unsigned char bbi_tls_context[] = {'b', 'u', 's', 'b', 'a', 'r'};
const unsigned bbi_tls_context_bytes = sizeof(bbi_tls_context);
static const unsigned char SHA256_CIPHER[] = {0x13, 0x01}; /* TLS_AES_128_GCM_SHA256 */

const struct bbi_tls_key *
bbi_tls_find_key(const struct bbi_tls_ctx *ctx, const char *peer)
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
            || SSL_SESSION_set1_id_context(session, bbi_tls_context, bbi_tls_context_bytes) != 1
            || SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) != 1)) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    return session;
}

int
bbi_tls_use_key(
    SSL *ssl, const EVP_MD *digest, const unsigned char **id, size_t *id_bytes, SSL_SESSION **out)
{
    struct bbi_tls *tls = SSL_get_app_data(ssl);
    const struct bbi_tls_key *key = bbi_tls_find_key(tls->ctx, tls->expected);
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

int
bbi_tls_find_session(SSL *ssl, const unsigned char *id, size_t id_bytes, SSL_SESSION **out)
{
    struct bbi_tls *tls = SSL_get_app_data(ssl);
    char name[BBI_TLS_NAME_BYTES] = "";
    *out = NULL;
    tls->was_offered_key = true;
    if (tls->fault.code != 0) {
        return 1;
    }
    if (!bbi_tls_name_is_plain(id, id_bytes)) {
        (void)bbi_fault_set(
            &tls->fault, BB_EACCES, "",
            "the other side's pre-shared key has an identity that is no node's name");
        return 1;
    }
    memcpy(name, id, id_bytes);
    const struct bbi_tls_key *key = bbi_tls_find_key(tls->ctx, name);
    if (refuse_identity(tls, name, key) != 0) {
        return 1; /* without a session: the handshake then fails for want of anything else */
    }
    memcpy(tls->peer.name, name, sizeof(tls->peer.name));
    *out = key_session(ssl, key);
    return *out != NULL;
}

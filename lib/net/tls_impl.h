/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/net/tls_impl.h - what the files of lib/net/tls share.  The one file that includes OpenSSL.
 *
 *   tls_ctx ─ tls_cert, tls_key      what a node has and trusts; verified and found within handshakes
 *   tls ─ tls_bio                    a connection, a turn at a time
 */
#ifndef BUSBAR_LIB_NET_TLS_IMPL_H
#define BUSBAR_LIB_NET_TLS_IMPL_H

#include "lib/net/tls.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BBI_TLS_ID_PREFIX "busbar:"

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

/* ---- tls_bio.c ---- */

/* bbi_tls_bio_method - a BIO whose data is a struct bbi_tls: it reads and writes what that turn has; NULL: no memory. */
BIO_METHOD *bbi_tls_bio_method(void);

/* ---- tls_cert.c ---- */

#define BBI_TLS_WEAK                                                                               \
    "%s has a weak key, %s: RSA needs 2048 bits or more, EC 256 or more; "                         \
    "issue it again with a stronger key"

struct bbi_tls_names {
    char first[BBI_TLS_NAME_BYTES]; /* of the DNS names */
    char id[BBI_TLS_ID_BYTES];
    bool has_wanted;
    bool has_two_ids;
};

/* bbi_tls_name_is_plain - printable and short: such names may go into sentences and logs, others are none. */
bool bbi_tls_name_is_plain(const unsigned char *name, size_t bytes);

/* bbi_tls_read_names - of a certificate's SANs; wanted may be NULL. */
void bbi_tls_read_names(X509 *cert, const char *wanted, struct bbi_tls_names *names);

/* bbi_tls_weakness - "" if the certificate's key is strong enough, else what it is. */
void bbi_tls_weakness(X509 *cert, char *out, size_t cap);

void bbi_tls_time_text(const ASN1_TIME *time, char out[BBI_TLS_TIME_BYTES]);
void bbi_tls_issuer_text(X509 *cert, char out[BBI_TLS_NAME_BYTES]);

/* bbi_tls_verify - OpenSSL's callback for each certificate of a chain: sets the sentence and the alert.  1: good. */
int bbi_tls_verify(int is_good, X509_STORE_CTX *store);

/* ---- tls_key.c ---- */

/* Sessions are none of ours, but a key is one to OpenSSL, and then has to be of the same context. */
extern const unsigned char bbi_tls_context[];
extern const unsigned bbi_tls_context_bytes;

/* bbi_tls_find_key - the one for that peer, else the one for anybody; NULL. */
const struct bbi_tls_key *bbi_tls_find_key(const struct bbi_tls_ctx *ctx, const char *peer);

/* OpenSSL's callbacks: the client's key, and the server's for the identity that a client names. */
int bbi_tls_use_key(
    SSL *ssl, const EVP_MD *digest, const unsigned char **id, size_t *id_bytes, SSL_SESSION **out);
int bbi_tls_find_session(SSL *ssl, const unsigned char *id, size_t id_bytes, SSL_SESSION **out);

/* ---- tls_ctx.c ---- */

/* bbi_tls_error_text - of an error of OpenSSL's queue: the first is nearest to the cause, the last to what was asked. */
const char *bbi_tls_error_text(unsigned long error);

#endif

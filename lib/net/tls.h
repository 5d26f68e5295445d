/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/net/tls.h - TLS 1.3 as a filter: ciphertext in, plaintext out, and back.  Knows no sockets.
 *
 * Used by    lib/link, between lib/net and a link's session.
 * Promise    TLS 1.3 and nothing below; both sides show who they are, by certificates of one CA whose names must be the
 *            node's, or by a pre-shared key with fresh (EC)DHE.  No session tickets, no early data, no renegotiation.
 *            Not one byte of the application goes in or comes out before the other side is verified here.
 * Refusals   One sentence each on this side; on the other one too, if it is ours: from the alert that we send.
 * Memory     Bounded for each connection, some 70 KB, most of it OpenSSL's buffers for one record each way; nothing
 *            that the other side sends makes it grow.  Ciphertext is read from and written to the caller's buffers.
 * Threads    A context and its connections belong to one thread.
 * Library    bb_tls, which libbusbar does not link.  tls.c is the one file that includes OpenSSL.
 */
#ifndef BUSBAR_LIB_NET_TLS_H
#define BUSBAR_LIB_NET_TLS_H

#include "lib/net/key_file.h"
#include "lib/net/tls_say.h"
#include "shm/fault.h"

enum {
    BBI_TLS_RECORD_BYTES = 16 << 10, /* plaintext in a full record */
    BBI_TLS_EXTRA_BYTES = 64,        /* room beside the plaintext that a record may need */
    BBI_TLS_ID_BYTES = 64,
};

struct bbi_tls_ctx;
struct bbi_tls;

struct bbi_tls_key {
    const char *peer; /* the node that has it too; NULL: every node */
    unsigned char bytes[BBI_KEY_BYTES];
};

/* Either certificates (cert, key and CA) or keys. */
struct bbi_tls_opts {
    const char
        *node; /* our own name: the certificate must be for it; with a key, it is the identity */
    const char *
        cert_path; /* PEM, with the intermediates if any; SANs: DNS:NODE and perhaps URI:busbar:ID */
    const char *key_path; /* PEM, not encrypted, for its owner only */
    const char *ca_path;  /* PEM: the CAs that we trust, and no others */
    const char *crl_path; /* PEM: one CRL for each CA that issues; NULL: nothing is revoked */
    const struct bbi_tls_key *keys;
    uint32_t key_count;
    const char *key_file; /* where keys are from, for sentences; NULL: not said */
    int64_t now_s;        /* certificates are held against this time; 0: the clock */
};

/*
 * bbi_tls_ctx_open - reads the files and checks what is ours.  To reload, open another and use that for what comes next:
 * connections that live keep the one that they have.
 *
 * Owner     keys are copied.
 * Returns   0; BB_EINVAL both kinds or none, or a file that does not fit the others; BB_EACCES a weak key; as
 *           bbi_secret_read().  f says which file and what to do.
 */
BB_MUST_USE int
bbi_tls_ctx_open(struct bbi_tls_ctx **out, const struct bbi_tls_opts *opts, struct bbi_fault *f);
/* bbi_tls_ctx_close - its memory goes with the last connection.  NULL is nothing. */
void bbi_tls_ctx_close(struct bbi_tls_ctx *ctx);

/* bbi_tls_cert_name - the node that a certificate is for: its first DNS name.  BB_EINVAL none; as bbi_tls_ctx_open(). */
BB_MUST_USE int
bbi_tls_cert_name(const char *cert_path, char out[BBI_TLS_NAME_BYTES], struct bbi_fault *f);

enum bbi_tls_side { BBI_TLS_CLIENT = 0, BBI_TLS_SERVER = 1 };

/*
 * bbi_tls_open - a connection, before its first byte.
 *
 * peer       the node that must be there, or an address that its certificate has; NULL on the server's side: any that the CA or a key vouches for.  Then what it
 *            says of itself later has to be held against bbi_tls_peer_is().
 * Returns    0; BB_EINVAL a client without a name to expect; BB_ENOENT no key for this peer; BB_ENOMEM.
 */
BB_MUST_USE int bbi_tls_open(struct bbi_tls **out,
                             struct bbi_tls_ctx *ctx,
                             enum bbi_tls_side side,
                             const char *peer,
                             struct bbi_fault *f);
void bbi_tls_close(struct bbi_tls *tls); /* NULL is nothing */

/* Four cursors: a turn moves each as far as it goes.  What is left of the two inputs is given again, first. */
struct bbi_tls_io {
    const unsigned char *wire_in; /* from the other side */
    size_t wire_in_bytes;
    const unsigned char *plain_in; /* for the other side; taken only when it is verified */
    size_t plain_in_bytes;
    unsigned char *plain_out; /* filled from plain_out_bytes on */
    size_t plain_out_cap;
    size_t plain_out_bytes;
    unsigned char
        *wire_out; /* filled from wire_out_bytes on; a full record takes both constants above */
    size_t wire_out_cap;
    size_t wire_out_bytes;
};

/*
 * bbi_tls_turn - one step of everything: the handshake, opening records, sealing them (of BBI_TLS_RECORD_BYTES as long as
 * plain_in has so many), saying goodbye.  A client begins with a turn without input.
 *
 * Returns   0; or why this connection is refused, again in each later turn, with the sentence in f: BB_EACCES not who
 *           it should be, on either side's word; BB_EVERSION no TLS 1.3, or no TLS at all; BB_ECORRUPT not TLS's rules.
 *           What is in wire_out then still goes to the other side: the alert.  BB_EINVAL inputs were not given again.
 */
BB_MUST_USE int bbi_tls_turn(struct bbi_tls *tls, struct bbi_tls_io *io, struct bbi_fault *f);

bool bbi_tls_is_ready(const struct bbi_tls *tls); /* the other side is verified, here */
bool
bbi_tls_has_ended(const struct bbi_tls *tls); /* it said goodbye: nothing more will come of it */

/* bbi_tls_end - the next turn that has taken all of plain_in says goodbye; after that none is taken. */
void bbi_tls_end(struct bbi_tls *tls);
bool bbi_tls_has_said_end(const struct bbi_tls *tls);

/*
 * bbi_tls_cut - the connection below has ended.
 *
 * Returns   0 after a goodbye; BB_EPEERGONE without one, so that a cut is never taken for the end; or the refusal.
 */
BB_MUST_USE int bbi_tls_cut(const struct bbi_tls *tls, struct bbi_fault *f);

/* Of a connection that is ready. */
struct bbi_tls_peer {
    char name[BBI_TLS_NAME_BYTES]; /* what was expected, else the first name it has; */
    char id[BBI_TLS_ID_BYTES];     /* ID of its URI SAN `busbar:ID`; "" none */
    char cipher[BBI_TLS_ID_BYTES]; /* "TLS_AES_128_GCM_SHA256" */
};
const struct bbi_tls_peer *bbi_tls_peer(const struct bbi_tls *tls);

/*
 * bbi_tls_peer_is - 0 if what it showed covers this name and node id (id NULL: not asked).
 *
 * With a key the client's name is its identity, the server's the one that was expected.
 * A certificate without an id covers every id.
 * Returns   0; BB_EACCES, in words.
 */
BB_MUST_USE int
bbi_tls_peer_is(const struct bbi_tls *tls, const char *name, const char *id, struct bbi_fault *f);

#endif

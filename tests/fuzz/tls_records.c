/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What comes from the wire into TLS, on both sides, by certificates and by keys.  bb-links: bb_tls
 *
 * Input      u8: bit 0 certificates, bit 1 a stranger.  A stranger's bytes go into one end, the side in bit 2, in pieces
 *            of u8 bytes each.  Else two ends of ours talk and the input sits between: steps of u8 what, u8 bytes, and
 *            for changes u8 where and u8 value.
 * Oracle     each cursor stays in its buffer and says what it did; who refused goes on refusing; before the other side
 *            is verified not one byte of the application comes out or is taken; what comes out is what the other side
 *            put in, however the wire was changed; a stranger is never let in.
 */
#include "lib/net/tls.h"
#include "tests/fuzz/fuzz.h"
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

enum { WIRE = 1 << 17, PLAIN = 4096, STEPS_MAX = 200 };
#define NOW_S INT64_C(1700000000)

static struct bbi_tls_ctx *contexts[2][2]; /* by certificates or keys, of client and server */

/* ---- certificates, once ---- */

static char dir[] = "/tmp/busbar-fuzz-tls-XXXXXX";

static const char *
path_of(const char *name, const char *end)
{
    static char paths[4][96];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s%s", dir, name, end);
    return path;
}

static void
remove_all(void)
{
    static const char *const names[] = {"ca", "alpha", "bravo"};
    for (int i = 0; i < 3; i++) {
        (void)unlink(path_of(names[i], ".crt"));
        (void)unlink(path_of(names[i], ".key"));
    }
    (void)rmdir(dir);
}

static FILE *
create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    FUZZ_CHECK(file != NULL);
    return file;
}

static void
extend(X509 *cert, X509 *issuer, int nid, const char *text)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, text);
    FUZZ_CHECK(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *
certify(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    time_t now = (time_t)NOW_S;
    char sans[64];
    X509 *cert = X509_new();
    FUZZ_CHECK(key != NULL && cert != NULL && X509_set_version(cert, 2) == 1);
    FUZZ_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(cert), name[0]) == 1);
    FUZZ_CHECK(X509_time_adj_ex(X509_getm_notBefore(cert), -1, 0, &now) != NULL);
    FUZZ_CHECK(X509_time_adj_ex(X509_getm_notAfter(cert), 30, 0, &now) != NULL);
    FUZZ_CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                          (const unsigned char *)name, -1, -1, 0)
               == 1);
    FUZZ_CHECK(X509_set_pubkey(cert, key) == 1);
    issuer = issuer != NULL ? issuer : cert;
    FUZZ_CHECK(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
    extend(cert, issuer, NID_basic_constraints, issuer == cert ? "critical,CA:TRUE" : "CA:FALSE");
    (void)snprintf(sans, sizeof(sans), "DNS:%s", name);
    extend(cert, issuer, NID_subject_alt_name, sans);
    FUZZ_CHECK(X509_sign(cert, issuer_key != NULL ? issuer_key : key, EVP_sha256()) > 0);
    return cert;
}

static void
save(const char *name, X509 *cert, EVP_PKEY *key)
{
    FILE *out = create(path_of(name, ".crt"));
    FUZZ_CHECK(PEM_write_X509(out, cert) == 1 && fclose(out) == 0);
    out = create(path_of(name, ".key"));
    FUZZ_CHECK(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(out) == 0);
}

static void
make_certificates(void)
{
    static const char *const names[] = {"alpha", "bravo"};
    FUZZ_CHECK(mkdtemp(dir) != NULL && atexit(remove_all) == 0);
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    X509 *ca = certify("ca", ca_key, NULL, NULL);
    save("ca", ca, ca_key);
    for (int i = 0; i < 2; i++) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *cert = certify(names[i], key, ca, ca_key);
        save(names[i], cert, key);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
    X509_free(ca);
    EVP_PKEY_free(ca_key);
}

static void
open_contexts(void)
{
    static const char *const names[] = {"alpha", "bravo"};
    static const struct bbi_tls_key key = {.bytes = "0123456789abcdef0123456789abcde"};
    struct bbi_fault f = {0};
    make_certificates();
    for (int side = 0; side < 2; side++) {
        const struct bbi_tls_opts certs = {.node = names[side],
                                           .cert_path = path_of(names[side], ".crt"),
                                           .key_path = path_of(names[side], ".key"),
                                           .ca_path = path_of("ca", ".crt"),
                                           .now_s = NOW_S};
        const struct bbi_tls_opts keys = {.node = names[side], .keys = &key, .key_count = 1};
        FUZZ_CHECK(bbi_tls_ctx_open(&contexts[0][side], &keys, &f) == 0);
        FUZZ_CHECK(bbi_tls_ctx_open(&contexts[1][side], &certs, &f) == 0);
    }
}

/* ---- ends ---- */

struct end {
    struct bbi_tls *tls;
    int rc;
    size_t said, heard; /* bytes of the application: taken from us, given to us */
    size_t wire_bytes;  /* on their way from here, what the step between has not passed on */
    unsigned char wire[WIRE];
    size_t in_bytes; /* for us, and not taken yet */
    unsigned char in[WIRE];
};

/* What each end says: bytes that say where they stand. */
static unsigned char
spoken(size_t at)
{
    return (unsigned char)(at * 7 + (at >> 8));
}

static void
turn(struct end *end)
{
    unsigned char plain[PLAIN];
    unsigned char got[PLAIN];
    struct bbi_fault f = {0};
    size_t room = WIRE - end->wire_bytes;
    for (size_t i = 0; i < PLAIN; i++) {
        plain[i] = spoken(end->said + i);
    }
    struct bbi_tls_io io = {.wire_in = end->in,
                            .wire_in_bytes = end->in_bytes,
                            .plain_in = plain,
                            .plain_in_bytes = end->said < WIRE ? PLAIN : 0,
                            .plain_out = got,
                            .plain_out_cap = sizeof(got),
                            .wire_out = end->wire + end->wire_bytes,
                            .wire_out_cap = room};
    size_t offered = io.plain_in_bytes;
    int rc = bbi_tls_turn(end->tls, &io, &f);
    FUZZ_CHECK(end->rc == 0 || rc == end->rc);
    FUZZ_CHECK(rc == 0 || (rc < 0 && rc != BB_EINVAL && strlen(f.sentence) > 10));
    FUZZ_CHECK(io.wire_in_bytes <= end->in_bytes
               && io.wire_in + io.wire_in_bytes == end->in + end->in_bytes);
    FUZZ_CHECK(io.plain_in_bytes <= offered && io.plain_out_bytes <= PLAIN);
    FUZZ_CHECK(io.wire_out_bytes <= room);
    if (!bbi_tls_is_ready(end->tls)) {
        FUZZ_CHECK(io.plain_out_bytes == 0 && io.plain_in_bytes == offered);
    }
    for (size_t i = 0; i < io.plain_out_bytes; i++) {
        FUZZ_CHECK(got[i] == spoken(end->heard + i));
    }
    end->rc = rc;
    end->heard += io.plain_out_bytes;
    end->said += offered - io.plain_in_bytes;
    end->wire_bytes += io.wire_out_bytes;
    memmove(end->in, io.wire_in, io.wire_in_bytes);
    end->in_bytes = io.wire_in_bytes;
}

/* As many of the first bytes as there are of from's wire go on to `to`, or nowhere. */
static void
pass(struct end *from, struct end *to, size_t bytes)
{
    bytes = bytes < from->wire_bytes ? bytes : from->wire_bytes;
    if (to != NULL) {
        bytes = bytes < WIRE - to->in_bytes ? bytes : WIRE - to->in_bytes;
        memcpy(to->in + to->in_bytes, from->wire, bytes);
        to->in_bytes += bytes;
    }
    memmove(from->wire, from->wire + bytes, from->wire_bytes - bytes);
    from->wire_bytes -= bytes;
}

static void
step(struct end *ends, struct fuzz_in *in)
{
    uint8_t what = fuzz_u8(in);
    size_t bytes = fuzz_u8(in) * (size_t)16;
    struct end *from = &ends[what & 1];
    struct end *to = &ends[(what & 1) ^ 1];
    size_t got;
    switch (what >> 1 & 7) {
    case 0:
    case 1:
    case 2:
        pass(from, to, WIRE);
        break;
    case 3:
        pass(from, to, bytes + 1);
        break;
    case 4: /* changed */
        if (from->wire_bytes > 0) {
            from->wire[(bytes + fuzz_u8(in)) % from->wire_bytes] ^= fuzz_u8(in);
        }
        pass(from, to, WIRE);
        break;
    case 5: /* put in */
        for (const uint8_t *p = fuzz_bytes(in, fuzz_u8(in), &got); got > 0 && to->in_bytes < WIRE;
             got--) {
            to->in[to->in_bytes++] = *p++;
        }
        break;
    case 6: /* left out */
        pass(from, NULL, bytes / 16);
        break;
    default:
        bbi_tls_end(from->tls);
        break;
    }
    turn(to);
    turn(from);
}

static void
meet(struct fuzz_in *in, struct end *ends)
{
    turn(&ends[BBI_TLS_CLIENT]);
    for (int i = 0; i < STEPS_MAX && in->left > 0; i++) {
        step(ends, in);
    }
    FUZZ_CHECK(ends[0].heard <= ends[1].said && ends[1].heard <= ends[0].said);
}

static void
hear_stranger(struct fuzz_in *in, struct end *end)
{
    size_t got;
    turn(end);
    while (in->left > 0 && end->rc == 0) {
        const uint8_t *p = fuzz_bytes(in, (size_t)fuzz_u8(in) + 1, &got);
        got = got < WIRE - end->in_bytes ? got : WIRE - end->in_bytes;
        memcpy(end->in + end->in_bytes, p, got);
        end->in_bytes += got;
        turn(end);
        end->wire_bytes = 0;
    }
    FUZZ_CHECK(!bbi_tls_is_ready(end->tls) && end->heard == 0 && end->said == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct end ends[2];
    struct fuzz_in in = {data, bytes};
    struct bbi_fault f = {0};
    uint8_t how = fuzz_u8(&in);
    if (contexts[0][0] == NULL) {
        open_contexts();
    }
    for (int side = 0; side < 2; side++) {
        struct end *end = &ends[side];
        end->rc = 0;
        end->said = end->heard = end->wire_bytes = end->in_bytes = 0;
        FUZZ_CHECK(bbi_tls_open(&end->tls, contexts[how & 1][side], (enum bbi_tls_side)side,
                                side == BBI_TLS_CLIENT ? "bravo" : NULL, &f)
                   == 0);
    }
    if ((how & 2) != 0) {
        hear_stranger(&in, &ends[how >> 2 & 1]);
    } else {
        meet(&in, ends);
    }
    bbi_tls_close(ends[0].tls);
    bbi_tls_close(ends[1].tls);
    return 0;
}

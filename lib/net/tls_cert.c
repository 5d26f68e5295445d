/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What certificates say, and whether the other side's is good: called within the handshake.
 */
#include "lib/net/tls_impl.h"
#include <arpa/inet.h>
#include <time.h>

enum { RSA_BITS_MIN = 2048, EC_BITS_MIN = 256 };

/* ---- what certificates say ---- */

void
bbi_tls_time_text(const ASN1_TIME *time, char out[BBI_TLS_TIME_BYTES])
{
    struct tm tm;
    if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1
        || strftime(out, BBI_TLS_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        (void)snprintf(out, BBI_TLS_TIME_BYTES, "an unreadable time");
    }
}

void
bbi_tls_issuer_text(X509 *cert, char out[BBI_TLS_NAME_BYTES])
{
    /* Escapes what is not printable. */
    (void)X509_NAME_oneline(X509_get_issuer_name(cert), out, BBI_TLS_NAME_BYTES);
}

bool
bbi_tls_name_is_plain(const unsigned char *name, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (name[i] < 0x20 || name[i] >= 0x7f) {
            return false;
        }
    }
    return bytes > 0 && bytes < BBI_TLS_NAME_BYTES;
}

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
take_name(struct bbi_tls_names *names, const GENERAL_NAME *general, const char *wanted)
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
    if (!bbi_tls_name_is_plain(p, bytes)) {
        return;
    }
    if (kind == GEN_DNS) {
        if (names->first[0] == '\0') {
            memcpy(names->first, p, bytes);
        }
        names->has_wanted |=
            wanted != NULL && strlen(wanted) == bytes && memcmp(wanted, p, bytes) == 0;
    } else if (bytes >= strlen(BBI_TLS_ID_PREFIX)
               && memcmp(p, BBI_TLS_ID_PREFIX, strlen(BBI_TLS_ID_PREFIX)) == 0) {
        p += strlen(BBI_TLS_ID_PREFIX);
        bytes -= strlen(BBI_TLS_ID_PREFIX);
        names->has_two_ids |= names->id[0] != '\0' || bytes == 0 || bytes >= sizeof(names->id);
        if (!names->has_two_ids) {
            memcpy(names->id, p, bytes);
        }
    }
}

void
bbi_tls_read_names(X509 *cert, const char *wanted, struct bbi_tls_names *names)
{
    memset(names, 0, sizeof(*names));
    GENERAL_NAMES *list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        take_name(names, sk_GENERAL_NAME_value(list, i), wanted);
    }
    GENERAL_NAMES_free(list);
}

void
bbi_tls_weakness(X509 *cert, char *out, size_t cap)
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
    struct bbi_tls_names names;
    memset(shown, 0, sizeof(*shown));
    if (cert == NULL) {
        (void)snprintf(shown->whose, sizeof(shown->whose), "the other side's certificate");
        return;
    }
    bbi_tls_issuer_text(cert, shown->issuer);
    bbi_tls_time_text(X509_get0_notBefore(cert), shown->from);
    bbi_tls_time_text(X509_get0_notAfter(cert), shown->until);
    if (depth == 0) {
        bbi_tls_read_names(cert, NULL, &names);
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
            bbi_tls_weakness(cert, weak, sizeof(weak));
        }
        (void)snprintf(out, cap, BBI_TLS_WEAK, shown->whose, weak);
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
    struct bbi_tls_names names;
    bbi_tls_read_names(cert, tls->expected, &names);
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
            "and at most one URI SAN " BBI_TLS_ID_PREFIX "ID",
            names.has_two_ids ? "more than one node id" : "no node");
        return refuse(store, X509_V_ERR_HOSTNAME_MISMATCH, tls, sentence);
    }
    memcpy(tls->peer.name, tls->expected[0] != '\0' ? tls->expected : names.first,
           sizeof(tls->peer.name));
    memcpy(tls->peer.id, names.id, sizeof(tls->peer.id));
    return 1;
}

int
bbi_tls_verify(int is_good, X509_STORE_CTX *store)
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
    bbi_tls_weakness(cert, weak, sizeof(weak));
    if (weak[0] != '\0') {
        (void)snprintf(sentence, sizeof(sentence), BBI_TLS_WEAK, shown.whose, weak);
        return refuse(store, X509_V_ERR_INVALID_PURPOSE, tls, sentence);
    }
    return depth == 0 ? verify_leaf(store, tls, cert) : 1;
}

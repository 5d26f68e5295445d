/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The numbers are those of RFC 8446, section 6, so that this file needs no library.  Which alert OpenSSL sends for which
 * fault is known too (ssl/statem/statem_lib.c): bad_certificate stands for a wrong name and for one that is not yet valid,
 * unsupported_certificate for a purpose or, by our own choice, a weak key.
 */
#include "lib/net/tls_say.h"
#include <stdio.h>
#include <string.h>

enum {
    UNEXPECTED_MESSAGE = 10,
    HANDSHAKE_FAILURE = 40,
    BAD_CERTIFICATE = 42,
    UNSUPPORTED_CERTIFICATE = 43,
    CERTIFICATE_REVOKED = 44,
    CERTIFICATE_EXPIRED = 45,
    ILLEGAL_PARAMETER = 47,
    UNKNOWN_CA = 48,
    DECRYPT_ERROR = 51,
    PROTOCOL_VERSION = 70,
    UNKNOWN_PSK_IDENTITY = 115,
    CERTIFICATE_REQUIRED = 116,
};

const char *
bbi_tls_alert_name(unsigned alert)
{
    static const struct {
        unsigned alert;
        const char *name;
    } NAMES[] = {
        {0, "close_notify"},
        {UNEXPECTED_MESSAGE, "unexpected_message"},
        {20, "bad_record_mac"},
        {22, "record_overflow"},
        {HANDSHAKE_FAILURE, "handshake_failure"},
        {BAD_CERTIFICATE, "bad_certificate"},
        {UNSUPPORTED_CERTIFICATE, "unsupported_certificate"},
        {CERTIFICATE_REVOKED, "certificate_revoked"},
        {CERTIFICATE_EXPIRED, "certificate_expired"},
        {46, "certificate_unknown"},
        {ILLEGAL_PARAMETER, "illegal_parameter"},
        {UNKNOWN_CA, "unknown_ca"},
        {49, "access_denied"},
        {50, "decode_error"},
        {DECRYPT_ERROR, "decrypt_error"},
        {PROTOCOL_VERSION, "protocol_version"},
        {71, "insufficient_security"},
        {80, "internal_error"},
        {90, "user_canceled"},
        {109, "missing_extension"},
        {110, "unsupported_extension"},
        {112, "unrecognized_name"},
        {UNKNOWN_PSK_IDENTITY, "unknown_psk_identity"},
        {CERTIFICATE_REQUIRED, "certificate_required"},
    };
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (NAMES[i].alert == alert) {
            return NAMES[i].name;
        }
    }
    return "unknown alert";
}

#define LOOK "; the log of the other side names it"

/* What a side with a pre-shared key is told.  true: said. */
static bool
say_psk(char *out, size_t cap, unsigned alert, const struct bbi_tls_self *self)
{
    switch (alert) {
    case HANDSHAKE_FAILURE:
    case UNKNOWN_PSK_IDENTITY:
        (void)snprintf(
            out, cap,
            "the other side refused our pre-shared key (%s): it knows no key for '%s', or "
            "it wants certificates; name '%s' there with the key that we have" LOOK,
            bbi_tls_alert_name(alert), self->node, self->node);
        return true;
    case ILLEGAL_PARAMETER:
    case DECRYPT_ERROR:
        (void)snprintf(
            out, cap,
            "the other side refused our pre-shared key (%s): its key for '%s' is another; "
            "both sides need the same file" LOOK,
            bbi_tls_alert_name(alert), self->node);
        return true;
    default:
        return false;
    }
}

static bool
say_time(char *out, size_t cap, unsigned alert, const struct bbi_tls_self *self)
{
    if (alert == CERTIFICATE_EXPIRED) {
        (void)snprintf(
            out, cap,
            "the other side refused our certificate as expired (certificate_expired): it is "
            "valid until %s%s" LOOK,
            self->until,
            self->is_late ? "; issue a new one for this node"
                          : ", which our clock has not reached; compare the clocks of both "
                            "boxes, and look whether its CRL has expired");
        return true;
    }
    if (alert == BAD_CERTIFICATE && self->is_early) {
        (void)snprintf(
            out, cap,
            "the other side refused our certificate (bad_certificate): it is not yet valid, "
            "only from %s; set the clocks of both boxes or wait" LOOK,
            self->from);
        return true;
    }
    return false;
}

static bool
say_trust(char *out, size_t cap, unsigned alert, const struct bbi_tls_self *self)
{
    switch (alert) {
    case UNKNOWN_CA:
        if (self->is_self_signed) {
            (void)snprintf(
                out, cap,
                "the other side refused our certificate (unknown_ca): it is self-signed; "
                "have it issued by the CA that the other side trusts" LOOK);
        } else {
            (void)snprintf(
                out, cap,
                "the other side refused our certificate (unknown_ca): it does not trust the "
                "issuer '%s'; both sides need the same CA" LOOK,
                self->issuer);
        }
        return true;
    case CERTIFICATE_REVOKED:
        (void)snprintf(
            out, cap,
            "the other side refused our certificate (certificate_revoked): its CRL lists it; "
            "issue a new one for this node" LOOK);
        return true;
    case CERTIFICATE_REQUIRED:
        (void)snprintf(
            out, cap,
            "the other side refused us (certificate_required): it wants a certificate and "
            "we showed none; give --cert and --key" LOOK);
        return true;
    default:
        return false;
    }
}

static bool
say_content(char *out, size_t cap, unsigned alert, const struct bbi_tls_self *self)
{
    switch (alert) {
    case BAD_CERTIFICATE:
        (void)snprintf(
            out, cap,
            "the other side refused our certificate (bad_certificate): it is for '%s', so the "
            "other side expects another name, or by its clock it is not yet valid (it is from "
            "%s)" LOOK,
            self->node, self->from);
        return true;
    case UNSUPPORTED_CERTIFICATE:
        (void)snprintf(
            out, cap,
            "the other side refused our certificate (unsupported_certificate): its key is too "
            "weak (RSA from 2048 bits, EC from 256) or its extended key usage forbids this "
            "use" LOOK);
        return true;
    case HANDSHAKE_FAILURE:
        (void)snprintf(
            out, cap,
            "the other side refused the handshake (handshake_failure): it uses a pre-shared "
            "key where we use certificates, or has no TLS 1.3 cipher in common" LOOK);
        return true;
    default:
        return false;
    }
}

void
bbi_tls_say_file(char *out, size_t cap, const char *what, const char *file)
{
    size_t used = strlen(out);
    if (file[0] != '\0' && used < cap) {
        (void)snprintf(out + used, cap - used, "; %s '%s'", what, file);
    }
}

void
bbi_tls_say_alert(char *out, size_t cap, unsigned alert, const struct bbi_tls_self *self)
{
    if (alert == PROTOCOL_VERSION) {
        (void)snprintf(
            out, cap,
            "the other side refused TLS 1.3 (protocol_version): it speaks another version only; "
            "it must speak TLS 1.3" LOOK);
    } else if (alert == UNEXPECTED_MESSAGE) {
        (void)snprintf(
            out, cap,
            "the other side could not read what we sent (unexpected_message): something between "
            "us speaks plain TCP" LOOK);
    } else if (self->is_psk ? say_psk(out, cap, alert, self)
                            : say_time(out, cap, alert, self) || say_trust(out, cap, alert, self)
                                  || say_content(out, cap, alert, self)) {
        bbi_tls_say_file(out, cap, "ours is", self->file);
    } else {
        (void)snprintf(out, cap, "the other side ended TLS with alert %u (%s)" LOOK, alert,
                       bbi_tls_alert_name(alert));
    }
}

const char *
bbi_tls_say_plain(const void *first, size_t bytes)
{
    const unsigned char *p = first;
    if (bytes < 3 || p[1] != 3 || p[2] > 4) {
        return NULL;
    }
    if (p[0] == 22) {
        return "the other side speaks TLS and this one plain TCP; give this side the same kind of "
               "keys "
               "(--cert or --psk), or start both with --insecure";
    }
    if (p[0] == 21) {
        return "the other side wants TLS and refused plain TCP; give this side the same kind of "
               "keys "
               "(--cert or --psk), or start both with --insecure";
    }
    return NULL;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/net/tls_say.h - what an alert of the other side means, and what bytes are when one side speaks TLS and one does not.
 *
 * TLS tells the side that is refused a number and no more.  Knowing its own certificate, this side can often say the rest.
 *
 * Used by    lib/net/tls; the plain session of lib/bridge, for bytes that are no frame of its own.
 * Threads    Pure functions; any thread.
 */
#ifndef BUSBAR_LIB_NET_TLS_SAY_H
#define BUSBAR_LIB_NET_TLS_SAY_H

#include "shm/base.h"

enum { BBI_TLS_NAME_BYTES = 256, BBI_TLS_TIME_BYTES = 32, BBI_TLS_FILE_BYTES = 256 };

/* What this side showed to the other: all that an alert can be about. */
struct bbi_tls_self {
    bool is_psk; /* no certificate, so only `node` means something */
    bool is_self_signed;
    bool is_early; /* our certificate is not yet valid by our own clock */
    bool is_late;  /* it has expired by our own clock */
    char node[BBI_TLS_NAME_BYTES];
    char issuer[BBI_TLS_NAME_BYTES];
    char from[BBI_TLS_TIME_BYTES]; /* validity, UTC */
    char until[BBI_TLS_TIME_BYTES];
    char file[BBI_TLS_FILE_BYTES]; /* what we showed, certificate or key; "": not of a file */
};

/* bbi_tls_alert_name - the name that RFC 8446 gives it; "unknown alert" if none. */
const char *bbi_tls_alert_name(unsigned alert);

/* bbi_tls_say_file - behind a sentence: `; WHAT 'FILE'`; nothing when file is "". */
void bbi_tls_say_file(char *out, size_t cap, const char *what, const char *file);

/* bbi_tls_say_alert - one sentence: the other side refused us with this alert, why, and where to look. */
void bbi_tls_say_alert(char *out, size_t cap, unsigned alert, const struct bbi_tls_self *self);

/*
 * bbi_tls_say_plain - for a side that speaks plain TCP: a sentence when these first bytes are TLS, else NULL.
 *
 * Three bytes are enough to know; with fewer the answer is NULL.
 */
const char *bbi_tls_say_plain(const void *first, size_t bytes);

#endif

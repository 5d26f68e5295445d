/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/daemon/words.h - addresses, sizes and choices as people write them.
 */
#ifndef BUSBAR_TOOLS_DAEMON_WORDS_H
#define BUSBAR_TOOLS_DAEMON_WORDS_H

#include "tools/daemon/settings.h"

enum { DAEMON_HOST_MAX = 255, DAEMON_PLACE_BYTES = DAEMON_HOST_MAX + 10 };

/* daemon_read_place - HOST:PORT, "[::1]:4000", "*:0"; *host is the caller's.  0, or -1 with what is wrong. */
int daemon_read_place(const char *text, char **host, uint16_t *port, struct daemon_wrong *wrong);

/* daemon_read_peer - [NAME@]HOST:PORT, the port not 0. */
int daemon_read_peer(const char *text, struct daemon_peer *out, struct daemon_wrong *wrong);

/* daemon_place_text - "host:port", an IPv6 address in brackets. */
const char *daemon_place_text(const char *host, uint16_t port, char out[DAEMON_PLACE_BYTES]);

/* daemon_read_bytes - digits, then B, K, M, G or KiB, MiB, GiB, powers of 1024; above zero. */
int daemon_read_bytes(const char *text, uint64_t *out);

/* daemon_read_seconds - digits and perhaps a fraction, from 0.001 to 86400, in nanoseconds. */
int daemon_read_seconds(const char *text, int64_t *out);

/* daemon_read_choice - the index of the word in a list that NULL ends, or -1. */
int daemon_read_choice(const char *word, const char *const *list);
extern const char *const daemon_engines[]; /* by the number that the library takes */
extern const char *const daemon_slows[];   /* by enum bb_slow */

/* daemon_nearest - of a list, the word that this one may have meant; NULL when none is near. */
const char *daemon_nearest(const char *word, const char *const *list);

#endif

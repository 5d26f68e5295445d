/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/transport.h - one TCP connection: TLS or none, the first words, then the bytes of a box's session.
 *
 * Used by    the other parts of lib/link's hub.
 * Memory     At accept, all that a stranger ever takes: this, the greeting, a wire of 16 KiB (1 KiB without TLS) and TLS's
 *            own.  The wire of a whole send only when it is known whose it is.
 */
#ifndef BUSBAR_LIB_LINK_TRANSPORT_H
#define BUSBAR_LIB_LINK_TRANSPORT_H

#include "lib/link/hub_impl.h"

/* One that lib/net accepted or is connecting; tls is its own from now on.  NULL: no memory, and nothing was taken. */
struct bbi_transport *bbi_transport_new(struct bbi_hub *hub,
                                        struct bbi_net_id id,
                                        enum bbi_link_role role,
                                        const char *address,
                                        struct bbi_tls *tls);
struct bbi_transport *bbi_transport_find(struct bbi_hub *hub, struct bbi_net_id id);

void bbi_transport_connected(struct bbi_transport *t);
void bbi_transport_received(struct bbi_transport *t, const unsigned char *data, size_t bytes);
void bbi_transport_sent(struct bbi_transport *t);
void bbi_transport_closed(struct bbi_transport *t, int status);
/* bbi_transport_unknown - its host's name led nowhere. */
void bbi_transport_unknown(struct bbi_transport *t, int status, const char *sentence);

/* bbi_transport_pump - sends what there is, if nothing is being sent. */
void bbi_transport_pump(struct bbi_transport *t);
/* bbi_transport_flush - what the greeting has to say goes before all else, also if another transport soon takes over. */
bool bbi_transport_flush(struct bbi_transport *t); /* false: TLS is broken, which was told */
/* bbi_transport_tick - what is due.  Returns when again. */
int64_t bbi_transport_tick(struct bbi_transport *t);

/* bbi_transport_abort - ends it at once; its session is cut. */
void bbi_transport_abort(struct bbi_transport *t);
/* bbi_transport_leave - its session is cut; it stays for a moment, so that the other side sees its successor first. */
void bbi_transport_leave(struct bbi_transport *t);
/* bbi_transport_over - all was said: ends it in order, the session is cut. */
void bbi_transport_over(struct bbi_transport *t);
/* bbi_transport_unpark - what it waited for is over, or took too long. */
void bbi_transport_unpark(struct bbi_transport *t);
void bbi_transport_sweep(struct bbi_hub *hub);

#endif

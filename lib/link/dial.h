/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/dial.h - addresses that are dialed, until they are taken down.
 *
 * Used by    the other parts of lib/link's hub.
 * Rest       While the box that an address led to has a transport, whoever began that, the address is not dialed.
 */
#ifndef BUSBAR_LIB_LINK_DIAL_H
#define BUSBAR_LIB_LINK_DIAL_H

#include "lib/link/hub_impl.h"

/* bbi_dial_tick - dials when it is time.  Returns when again. */
int64_t bbi_dial_tick(struct bbi_dial *d);

/* bbi_dial_failed - an attempt came to nothing.  is_soon: a retry soon may change that. */
void bbi_dial_failed(struct bbi_dial *d, int status, bool is_soon, const char *sentence);

/* bbi_dial_satisfied - it led to a box that another transport carries, or soon will: nobody is told. */
void bbi_dial_satisfied(struct bbi_dial *d, struct bbi_box *box);

void bbi_dial_box_up(struct bbi_box *box);
void bbi_dial_box_down(struct bbi_box *box, bool is_soon, const char *sentence);
struct bbi_dial *bbi_dial_of_box(const struct bbi_box *box); /* the first; NULL */
/* bbi_dial_find - that of this address; NULL. */
struct bbi_dial *bbi_dial_find(const struct bbi_hub *hub, const char *host, uint16_t port);
void bbi_dial_sweep(struct bbi_hub *hub);

/* bbi_hub_address - "host:port", "[::1]:port". */
void bbi_hub_address(char out[BBI_HUB_ADDRESS_BYTES], const char *host, uint16_t port);

#endif

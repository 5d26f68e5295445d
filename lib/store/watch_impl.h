/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/watch_impl.h - what other files ask about watches.
 */
#ifndef BUSBAR_LIB_STORE_WATCH_IMPL_H
#define BUSBAR_LIB_STORE_WATCH_IMPL_H

#include "lib/store/store_impl.h"

/* When a watch has to look though nobody called; INT64_MAX: there is none. */
int64_t bbi_watches_next_ns(const struct bb_store *s);
/* Closes those that the application left open; before the client. */
void bbi_watches_close(struct bb_store *s);

#endif

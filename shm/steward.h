/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/steward.h - whoever is just now tidying up.
 *
 * There is no steward process and no thread: a member that waits or polls takes the STEWARD lock, makes one
 * bounded scan, and lets go.  Nobody waits for it; a steward that is stopped or killed in the middle leaves
 * nothing that the next scan does not finish.
 *
 * It finds members whose byte is free (DIED), rings that ended and were read by all (or 10 s have passed),
 * subscribers that are gone; removes their files, clears their bells, and after a death rings everybody.
 */
#ifndef BUSBAR_SHM_STEWARD_H
#define BUSBAR_SHM_STEWARD_H

#include "shm/attach.h"
#include "shm/wake.h"

#define BBI_STEWARD_EVERY_NS INT64_C(500000000)
#define BBI_STEWARD_STALE_NS INT64_C(1000000000) /* nobody scanned for so long: look oneself */
#define BBI_LINGER_NS        INT64_C(10000000000)

/* bbi_steward_scan - one scan if nobody made one in the last every_ns (0: in any case).  1 if this call scanned. */
int bbi_steward_scan(struct bbi_attach *at, struct bbi_waker *waker, int64_t every_ns);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/box_id.h - who this box is to others: an id, and a name.
 *
 * The id is made once for each bus and kept beside it, in DIR/.box-BUS: others go on where they were when the bridge
 * comes back.  The name is for people, rights and certificates.
 *
 * Used by    lib/link/daemon, tests.
 */
#ifndef BUSBAR_LIB_LINK_BOX_ID_H
#define BUSBAR_LIB_LINK_BOX_ID_H

#include "lib/bridge/frame.h"
#include "shm/fault.h"

/*
 * bbi_box_id - the id of bus BUS in directory DIR, made when it is not there; two that make it at once get the same one.
 *
 * Returns   1 made, 0 read; BB_ETRUST the file is another user's or others may write it; BB_ECORRUPT; -errno.
 */
BB_MUST_USE int
bbi_box_id(const char *dir, const char *bus, struct bbi_link_id *out, struct bbi_fault *f);

/*
 * bbi_box_own_name - wanted, or the host's name when that is NULL.  BB_EINVAL: not 1 to 63 printable ASCII characters
 * without blanks; f says what to do.
 */
BB_MUST_USE int
bbi_box_own_name(const char *wanted, char out[BBI_LINK_NAME_MAX + 1], struct bbi_fault *f);

#endif

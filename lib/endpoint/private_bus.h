/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/private_bus.h - a bus of one process, that goes with it.
 *
 * Used by    lib/cluster, alone: the program then uses rings and cursors as in a cluster, and `busbar tap` sees them.
 * Death      who is killed leaves its directory; the next one that begins below the same DIR removes it.
 */
#ifndef BUSBAR_LIB_ENDPOINT_PRIVATE_BUS_H
#define BUSBAR_LIB_ENDPOINT_PRIVATE_BUS_H

#include "busbar/endpoint.h"

#define BBI_PRIVATE_BUS "alone-" /* PID-RANDOM follow */

/* bbi_private_bus_name - a name that no bus has. */
void bbi_private_bus_name(char out[BB_NAME_MAX + 1]);

/* bbi_private_bus_tidy - removes those whose process is gone; dir NULL: the default one.  How many. */
int bbi_private_bus_tidy(const char *dir);

/* bbi_bus_remove - the whole directory of a bus.  0; BB_EBUSY somebody is attached; BB_ENOBUS; else as bb_gc(). */
BB_MUST_USE int bbi_bus_remove(const char *dir, const char *bus);

#endif

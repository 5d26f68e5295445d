/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/version.h - which busbar a program was compiled for, and which one it runs with.
 *
 * The macros are those of the header, at compile time; the functions those of the library, at run time.
 *
 * Compile time  `#if BUSBAR_VERSION_NUMBER >= 200` (0.2.0) asks whether the header has something.
 * Run time      A library with the same soname runs every program that was compiled for an older version
 *               of it.  The other way round it is not started when a function is missing, and an option that
 *               it does not know is refused with BB_ENOTSUP when it is set, so comparing versions is seldom
 *               needed.  Who wants to be sure says
 *                   if (bb_version_number() < BUSBAR_VERSION_NUMBER) ... older than compiled for
 * Layout        Programs of one bus need the same BUSBAR_LAYOUT_VERSION, whatever their versions are;
 *               another one is refused with BB_EVERSION when attaching.  Where the library is shared only
 *               bb_layout_version() counts.
 */
#ifndef BUSBAR_VERSION_H
#define BUSBAR_VERSION_H

#include <busbar/status.h>
#include <stdint.h>

#define BUSBAR_VERSION_MAJOR 0
#define BUSBAR_VERSION_MINOR 1
#define BUSBAR_VERSION_PATCH 0
#define BUSBAR_VERSION       "0.1.0"
/* 10,000 for each major, 100 for each minor: 0.1.0 is 100. */
#define BUSBAR_VERSION_NUMBER                                                                      \
    (BUSBAR_VERSION_MAJOR * 10000 + BUSBAR_VERSION_MINOR * 100 + BUSBAR_VERSION_PATCH)

#define BUSBAR_LAYOUT_VERSION 1 /* major of the memory's layout */

#ifdef __cplusplus
extern "C" {
#endif

/* Of the library that runs.  Any thread. */
BB_API const char *bb_version(void); /* "0.1.0" */
BB_API uint32_t bb_version_number(void);
BB_API uint32_t bb_layout_version(void);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/lz4.h - LZ4 blocks, as the codec of sessions.
 *
 * Used by    lib/link/daemon_open, tests, fuzzers.
 * Threads    Any: it keeps nothing between two calls.
 * Input      What is decompressed comes from another box: never more than cap bytes are written, nothing outside of
 *            [in, in + bytes) is read, whatever stands there.
 */
#ifndef BUSBAR_LIB_LINK_LZ4_H
#define BUSBAR_LIB_LINK_LZ4_H

#include "lib/bridge/memory.h"

extern const struct bbi_codec bbi_lz4;

#endif

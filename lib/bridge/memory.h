/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bridge/memory.h - where the core takes memory from, and LZ4 from: tables that its user fills.
 */
#ifndef BUSBAR_LIB_BRIDGE_MEMORY_H
#define BUSBAR_LIB_BRIDGE_MEMORY_H

#include <stddef.h>

struct bbi_memory {
    void *(*take)(void *user, size_t bytes);         /* as malloc: NULL when there is none */
    void (*give)(void *user, void *p, size_t bytes); /* as free; p is never NULL */
    void *user;
};

struct bbi_codec {
    /* Bytes that were written; 0: does not fit into cap, or nothing to gain. */
    size_t (*compress)(const void *in, size_t bytes, void *out, size_t cap);
    /* Bytes that were written; 0: not well formed, or more than cap. */
    size_t (*decompress)(const void *in, size_t bytes, void *out, size_t cap);
};

#endif

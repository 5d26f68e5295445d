/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one door to liblz4.  Blocks and not frames of LZ4: the link's own frame has the length and the checksum.
 */
#include "lib/link/lz4.h"
#include <limits.h>
#include <lz4.h>

static size_t
lz4_compress(const void *in, size_t bytes, void *out, size_t cap)
{
    if (bytes > LZ4_MAX_INPUT_SIZE || cap > INT_MAX) {
        return 0;
    }
    int made = LZ4_compress_default(in, out, (int)bytes, (int)cap);
    return made > 0 ? (size_t)made : 0;
}

static size_t
lz4_decompress(const void *in, size_t bytes, void *out, size_t cap)
{
    if (bytes > INT_MAX || cap > INT_MAX) {
        return 0;
    }
    int made = LZ4_decompress_safe(in, out, (int)bytes, (int)cap);
    return made > 0 ? (size_t)made : 0;
}

const struct bbi_codec bbi_lz4 = {.compress = lz4_compress, .decompress = lz4_decompress};

/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/hash_impl.h"

#include <endian.h>
#include <string.h>

static_assert(BBI_HASH_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "XXH3 refuses a shorter secret");

enum { WIDE_MIN = 512 }; /* below, xxHash takes other ways, or too few rounds to matter */

uint64_t
bbi_hash64(const void *data, size_t bytes)
{
#ifdef BBI_HASH_WIDE
    if (bytes >= WIDE_MIN && __builtin_cpu_supports("avx2")) {
        return bbi_hash64_wide(data, bytes);
    }
#endif
    return XXH3_64bits(data, bytes);
}

void
bbi_hash_secret_make(struct bbi_hash_secret *out, const uint64_t seed[2])
{
    for (uint64_t i = 0; i < BBI_HASH_SECRET_BYTES / sizeof(uint64_t); i++) {
        const uint64_t block[] = {htole64(seed[0]), htole64(seed[1]), htole64(i)};
        uint64_t word = htole64(XXH3_64bits_withSeed(block, sizeof(block), seed[0] ^ seed[1]));
        memcpy(out->bytes + i * sizeof(word), &word, sizeof(word));
    }
}

uint64_t
bbi_hash64_keyed(const struct bbi_hash_secret *secret, const void *data, size_t bytes)
{
    return XXH3_64bits_withSecret(data, bytes, secret->bytes, sizeof(secret->bytes));
}

void
bbi_hash128(const void *data, size_t bytes, unsigned char out[16])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, bytes));
    memcpy(out, canonical.digest, sizeof(canonical.digest));
}

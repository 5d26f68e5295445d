/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/hash.h - the one door to xxHash: checks of identity pages, bytes of names, dictionary look-ups,
 * owners of keys.
 */
#ifndef BUSBAR_SHM_HASH_H
#define BUSBAR_SHM_HASH_H

#include "shm/base.h"

/* bbi_hash64 - XXH3 (64 bit) of the bytes; the same on every machine. */
uint64_t bbi_hash64(const void *data, size_t bytes);

/* bbi_hash128 - XXH3 (128 bit) of the bytes, big-endian; the same on every machine. */
void bbi_hash128(const void *data, size_t bytes, unsigned char out[16]);

/*
 * A secret of our own for XXH3, so that who does not know its seed cannot tell what a key hashes to.
 * XXH3 is no message authentication code: it keeps keys from being chosen, not messages from being forged.
 */
enum { BBI_HASH_SECRET_BYTES = 192 };
struct bbi_hash_secret {
    unsigned char bytes[BBI_HASH_SECRET_BYTES];
};

/*
 * bbi_hash_secret_make - spreads a seed of 128 bits over a secret; the same on every machine.
 *
 * xxHash has a function for this too; its results changed between 0.8.0 and 0.8.1, and two builds on a bus must agree.
 */
void bbi_hash_secret_make(struct bbi_hash_secret *out, const uint64_t seed[2]);

/* bbi_hash64_keyed - XXH3 (64 bit) of the bytes with that secret. */
uint64_t bbi_hash64_keyed(const struct bbi_hash_secret *secret, const void *data, size_t bytes);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the hash is XXH3 of 64 bits with seed 0, since names of locks and checks of files depend on it.
 * Method: the published vectors, and every length up to beyond the long-input border against itself.
 */
#include "shm/hash.h"
#include <criterion/criterion.h>
#include <string.h>

Test(hash, golden_values, .timeout = 20)
{
    cr_assert_eq(bbi_hash64("", 0), UINT64_C(0x2d06800538d394c2));
    cr_assert_eq(bbi_hash64("busbar", 6), UINT64_C(0xb2ad875a7a5f0c45));
}

Test(hash, each_byte_and_the_length_count, .timeout = 20)
{
    unsigned char buf[300];
    for (size_t n = 1; n <= sizeof(buf); n++) {
        memset(buf, 0xa5, sizeof(buf));
        uint64_t h = bbi_hash64(buf, n);
        cr_assert_eq(h, bbi_hash64(buf, n));
        cr_assert_neq(h, bbi_hash64(buf, n - 1), "length %zu", n);
        buf[n / 2] ^= 1;
        cr_assert_neq(h, bbi_hash64(buf, n), "byte %zu of %zu", n / 2, n);
        buf[n / 2] ^= 1;
        buf[n - 1] ^= 0x80;
        cr_assert_neq(h, bbi_hash64(buf, n), "last byte of %zu", n);
    }
}

Test(hash, alignment_does_not_matter, .timeout = 20)
{
    unsigned char buf[64 + 8];
    for (size_t off = 0; off < 8; off++) {
        memset(buf, 0, sizeof(buf));
        memcpy(buf + off, "a topic that is somewhat longer than sixteen bytes", 50);
        cr_assert_eq(bbi_hash64(buf + off, 50),
                     bbi_hash64("a topic that is somewhat longer than sixteen bytes", 50));
    }
}

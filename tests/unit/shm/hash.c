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

/* Long inputs go through wider vectors where the processor has them: the result is that of xxHash's shared library. */
Test(hash, long_golden_values, .timeout = 20)
{
    static const struct {
        size_t bytes;
        uint64_t hash;
    } rows[] = {
        {511, UINT64_C(0x4645fe41d740bbff)},   {512, UINT64_C(0x18ea778bf81940b4)},
        {513, UINT64_C(0xe0b68f5ac579e156)},   {1024, UINT64_C(0x7117c50da8f5f7df)},
        {1025, UINT64_C(0x5febe27d2f62f725)},  {4608, UINT64_C(0x5393c1975b8cdd6b)},
        {32768, UINT64_C(0xa56644a86e3b62d8)}, {39999, UINT64_C(0xc91963ce92dd7448)},
    };
    static unsigned char buf[40000], odd[sizeof(buf) + 1];
    for (size_t i = 0; i < sizeof(buf); i++) {
        buf[i] = (unsigned char)(i * 131 + i / 251);
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_eq(bbi_hash64(buf, rows[i].bytes), rows[i].hash, "%zu bytes", rows[i].bytes);
        memcpy(odd + 1, buf, rows[i].bytes);
        cr_assert_eq(bbi_hash64(odd + 1, rows[i].bytes), rows[i].hash, "at an odd address");
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

/* Made with xxHash's shared library and the rule of bbi_hash_secret_make(), in another language. */
Test(hash, keyed_golden_values, .timeout = 20)
{
    static const struct {
        const char *text;
        uint64_t hash;
    } rows[] = {
        {"", UINT64_C(0xcbb6b146024cf4e5)},
        {"a", UINT64_C(0xf79fd920916286d9)},
        {"busbar", UINT64_C(0x65b1adefb0a4561c)},
        {"192.150.187.43", UINT64_C(0xff2f2583fb04795e)},
    };
    static const uint64_t seed[2] = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};
    static const unsigned char first[8] = {0x0e, 0xc4, 0x18, 0x6f, 0xd3, 0x1c, 0x6e, 0x8f};
    static const unsigned char last[8] = {0x01, 0xd8, 0x20, 0xaf, 0x97, 0x27, 0x8a, 0x4d};
    struct bbi_hash_secret secret;
    char text[300];

    bbi_hash_secret_make(&secret, seed);
    cr_assert_arr_eq(secret.bytes, first, sizeof(first));
    cr_assert_arr_eq(secret.bytes + sizeof(secret.bytes) - sizeof(last), last, sizeof(last));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_eq(bbi_hash64_keyed(&secret, rows[i].text, strlen(rows[i].text)), rows[i].hash,
                     "'%s'", rows[i].text);
    }
    memset(text, 'k', sizeof(text));
    cr_assert_eq(bbi_hash64_keyed(&secret, text, 100), UINT64_C(0x743c3c8542a38790));
    cr_assert_eq(bbi_hash64_keyed(&secret, text, 300), UINT64_C(0xba4198b7441dbec9));
}

Test(hash, each_bit_of_the_seed_changes_the_hash, .timeout = 20)
{
    struct bbi_hash_secret secret;
    uint64_t seed[2] = {0, 0};
    bbi_hash_secret_make(&secret, seed);
    uint64_t before = bbi_hash64_keyed(&secret, "10.0.2.15", 9);
    for (unsigned bit = 0; bit < 128; bit++) {
        seed[bit / 64] ^= UINT64_C(1) << (bit % 64);
        bbi_hash_secret_make(&secret, seed);
        cr_assert_neq(bbi_hash64_keyed(&secret, "10.0.2.15", 9), before, "bit %u", bit);
        seed[bit / 64] ^= UINT64_C(1) << (bit % 64);
    }
}

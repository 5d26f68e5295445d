/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: for each way in which bb_value_check() refuses, bb_value_explain() names the place and says why; it
 * refuses exactly what the check refuses.
 * Method: each rule broken by hand in a good value; random values with random bytes changed.
 */
#include <busbar/codec.h>

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

TestSuite(value_explain, .timeout = 60);

static unsigned char buf[1 << 13];

static struct bb_builder
begin(void)
{
    struct bb_builder b;
    memset(buf, 0, sizeof(buf));
    bb_build_init(&b, buf, sizeof(buf));
    return b;
}

/* The first bytes of buf, with one byte changed if at is not negative, in memory of exactly that size. */
static void
expect(size_t bytes, int at, unsigned byte, size_t offset, const char *words)
{
    struct bb_codec_error error = {0};
    unsigned char *exact = malloc(bytes);
    cr_assert_not_null(exact);
    memcpy(exact, buf, bytes);
    if (at >= 0) {
        exact[at] = (unsigned char)byte;
    }
    struct bb_value v = {exact, bytes};
    cr_assert_eq(bb_value_check(&v), BB_ECORRUPT, "%s", words);
    cr_assert_eq(bb_value_explain(&v, &error), BB_ECORRUPT, "%s", words);
    cr_assert_eq(bb_value_explain(&v, NULL), BB_ECORRUPT, "%s", words);
    cr_assert_str_eq(error.sentence, words);
    cr_assert_eq(error.offset, offset, "%s: at %zu", words, error.offset);
    free(exact);
}

Test(value_explain, heads)
{
    struct bb_builder b = begin();
    bb_put_count(&b, 1);
    expect(7, -1, 0, 0,
           "the message ends where a value should begin: a head has 8 bytes and 7 are left");
    expect(8, -1, 0, 0, "the count is said to have 16 bytes, but the message has only 8 from here");
    expect(16, 4, 15, 0, "type 15 is none: they go from 0 (none) to 14 (vector)");
    expect(16, 0, 15, 0, "15 bytes are no length for a value of type count");
    expect(16, 3, 1, 0,
           "the count is said to have 16777232 bytes, but the message has only 16 from here");
    expect(16, 5, 1, 0, "reserved bytes in the head of the count are not zero");
    expect(16, 7, 1, 0, "reserved bytes in the head of the count are not zero");
    b = begin();
    bb_put_boolean(&b, 1);
    expect(8, 5, 2, 0, "the boolean is 2, neither 0 nor 1");
    b = begin();
    bb_put_port(&b, 80, BB_PROTO_TCP);
    expect(8, 5, 4, 0, "the port's protocol is 4, and 3 (icmp) is the last one");
}

Test(value_explain, an_empty_window)
{
    struct bb_codec_error error = {.offset = 9};
    cr_assert_eq(bb_value_explain(&(struct bb_value){NULL, 0}, &error), BB_ECORRUPT);
    cr_assert_eq(error.offset, 0);
    cr_assert_not_null(strstr(error.sentence, "0 are left"));
}

Test(value_explain, subnets_and_padding)
{
    static const uint8_t ip[16] = {0x20, 1, 0xd, 0xb8};
    struct bb_builder b = begin();
    bb_put_subnet(&b, ip, 33);
    expect(24, 5, 129, 0, "the subnet's prefix has 129 bits, more than 128");
    expect(24, 12, 0x40, 0, "the subnet has bits behind its prefix of 33");
    b = begin();
    bb_put_vector_begin(&b);
    bb_put_string(&b, "abc", 3);
    bb_put_end(&b);
    expect(32, 29, 1, 16, "the padding behind this string is not zero");
    expect(32, 0, 27, 16, "the container ends before the padding of this string");
    expect(32, 16, 17, 16,
           "the string is said to have 17 bytes, but its container has only 16 from here");
}

Test(value_explain, containers)
{
    struct bb_builder b = begin();
    bb_put_vector_begin(&b);
    bb_put_table_begin(&b);
    bb_put_none(&b);
    bb_put_count(&b, 1);
    bb_put_end(&b);
    bb_put_none(&b);
    bb_put_end(&b);
    cr_assert_eq(bb_build_end(&b), 64);
    expect(64, 8, 1, 0, "the vector has 64 bytes, but its last element ends after 56");
    expect(64, 8, 3, 64,
           "the container ends where a value should begin: a head has 8 bytes and 0 are left");
    expect(64, 11, 0xff, 0,
           "the vector is said to have 4278190082 elements, but only 48 bytes for them");
    expect(64, 27, 0xff, 16,
           "the table is said to have 4278190081 pairs, but only 24 bytes for them");
    expect(64, 12, 1, 0, "reserved bytes behind the number of elements are not zero");
    expect(64, 16, 48, 16, "the table has 48 bytes, but its last element ends after 40");
    expect(64, 16, 39, 40,
           "the count is said to have 16 bytes, but its container has only 15 from here");
    expect(64, 16, 41, 16,
           "the table has 41 bytes: that is no multiple of 8, and what follows is unaligned");
    /* Its value begins inside it and ends behind it: the two overlap. */
    expect(64, 40, 15, 40, "15 bytes are no length for a value of type count");
    expect(64, 16, 32, 40,
           "the count is said to have 16 bytes, but its container has only 8 from here");
}

Test(value_explain, a_container_that_overlaps_itself)
{
    struct bb_builder b = begin();
    for (int i = 0; i < 3; i++) {
        bb_put_vector_begin(&b);
    }
    for (int i = 0; i < 3; i++) {
        bb_put_end(&b);
    }
    cr_assert_eq(bb_build_end(&b), 48);
    /* The innermost says that it has an element: it could only be where the next message begins. */
    expect(48, 40, 1, 32, "the vector is said to have 1 elements, but only 0 bytes for them");
    /* The one in the middle claims as many bytes as the outer one, of which it is a part. */
    expect(48, 16, 48, 16,
           "the vector is said to have 48 bytes, but its container has only 32 from here");
}

Test(value_explain, order)
{
    struct bb_builder b = begin();
    bb_put_set_begin(&b);
    bb_put_count(&b, 2);
    bb_put_count(&b, 5);
    bb_put_end(&b);
    expect(48, 24, 5, 32, "the set has this element twice");
    expect(48, 24, 6, 32, "this element of the set is smaller than the one before it");
    b = begin();
    bb_put_table_begin(&b);
    for (uint64_t i = 2; i < 6; i++) {
        bb_put_count(&b, i);
    }
    bb_put_end(&b);
    expect(80, 24, 4, 48, "the table has this key twice");
    expect(80, 24, 9, 48, "this key of the table is smaller than the one before it");
}

/* Vectors in vectors, the lengths of which are right. */
static void
nest(unsigned char *p, uint32_t depth)
{
    for (uint32_t i = 0; i < depth; i++) {
        uint32_t left = (depth - i) * 16;
        memset(p + (size_t)i * 16, 0, 16);
        p[i * 16] = (unsigned char)left;
        p[i * 16 + 1] = (unsigned char)(left >> 8);
        p[i * 16 + 2] = (unsigned char)(left >> 16);
        p[i * 16 + 4] = BB_VECTOR;
        p[i * 16 + 8] = i + 1 < depth;
    }
}

Test(value_explain, a_depth_of_ten_thousand)
{
    enum { DEPTH = 10000 };
    struct bb_codec_error error = {0};
    unsigned char *deep = malloc(DEPTH * 16);
    cr_assert_not_null(deep);
    nest(deep, DEPTH);
    struct bb_value v = {deep, DEPTH * 16};
    cr_assert_eq(bb_value_check(&v), BB_ECORRUPT);
    cr_assert_eq(bb_value_explain(&v, &error), BB_ECORRUPT);
    cr_assert_str_eq(error.sentence, "containers nest more than 255 deep");
    cr_assert_eq(error.offset, 255 * 16);
    nest(deep, 255);
    v.bytes = 255 * 16;
    cr_assert_eq(bb_value_explain(&v, &error), 0);
    free(deep);
}

Test(value_explain, refuses_exactly_what_the_check_refuses)
{
    uint32_t refused = 0;
    rnd_seed("value_explain");
    for (int round = 0; round < 1000; round++) {
        size_t bytes;
        unsigned char *p = rnd_value(&bytes);
        struct bb_value v = {p, bytes};
        cr_assert_eq(bb_value_explain(&v, NULL), 0);
        for (int i = 0; i < 20; i++) {
            struct bb_codec_error error = {0};
            p[rnd_below((uint32_t)bytes)] = (unsigned char)rnd();
            int rc = bb_value_explain(&v, &error);
            cr_assert_eq(rc, bb_value_check(&v));
            cr_assert_eq(rc < 0, error.sentence[0] != '\0');
            cr_assert_leq(error.offset, bytes);
            refused += rc < 0;
        }
        for (size_t cut = 0; cut + 8 <= bytes; cut += 8) {
            v.bytes = cut;
            cr_assert_eq(bb_value_explain(&v, NULL), BB_ECORRUPT);
        }
        free(p);
    }
    cr_assert_gt(refused, 1000);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: bb_put_binary() refuses whatever is not one whole value of Broker's binary v1, says where and why, and
 * costs nothing but the builder's buffer; bb_value_binary() writes what fits.
 * Method: each rule broken by hand; every truncation; hostile depths and counts, with the heap watched.
 */
#include <busbar/codec.h>
#include <malloc.h>

#include "tests/support/vectors.h"
#include <criterion/criterion.h>

TestSuite(value_binary, .timeout = 60);

static unsigned char native[1 << 16];
static unsigned char input[1 << 16];

/* A value of every type, containers in containers. */
static const char every_type[] =
    "0e0a000101020000000000000007030000000000000009043ff8000000000000" /* vector: nil, T, 7, 9, 1.5 */
    "05026869"                                                         /* "hi" */
    "0d0106000000000000000000000000000000010c0207200100000000000000000000000000001008003501"
    /* table: ::1 -> set: 2001::/16, 53/tcp */
    "0900000000000000010affffffffffffffff0b0141"; /* 1ns, -1ns, A */

static struct bb_codec_error error;

/* What the builder says at the end; need_bytes as it was. */
static int64_t
decode(const void *data, size_t bytes, size_t cap, size_t *need_bytes)
{
    struct bb_builder b;
    struct mallinfo2 before = mallinfo2();
    error = (struct bb_codec_error){0};
    bb_build_init(&b, cap == 0 ? NULL : native, cap);
    bb_put_binary(&b, data, bytes, &error);
    *need_bytes = b.need_bytes;
    struct mallinfo2 after = mallinfo2();
    cr_assert_eq(before.uordblks, after.uordblks, "nothing is allocated");
    return bb_build_end(&b);
}

static void
expect_refused(const void *data, size_t bytes, size_t offset, const char *words)
{
    size_t need_bytes;
    cr_assert_eq(decode(data, bytes, sizeof(native), &need_bytes), BB_EINVAL, "%s", words);
    cr_assert_str_eq(error.sentence, words);
    cr_assert_eq(error.offset, offset, "%s: at %zu", words, error.offset);
    cr_assert_eq(decode(data, bytes, 0, &need_bytes), BB_EINVAL, "measuring: %s", words);
}

static void
expect_hex_refused(const char *hex, size_t offset, const char *words)
{
    size_t bytes = hex_read(hex, input, sizeof(input));
    cr_assert_neq(bytes, (size_t)-1);
    expect_refused(input, bytes, offset, words);
}

Test(value_binary, what_has_no_meaning_is_refused)
{
    expect_hex_refused("", 0, "a value is missing: the input ends where its tag should be");
    expect_hex_refused("0f", 0, "tag 15 is no type: they go from 0 (none) to 14 (vector)");
    expect_hex_refused("0e02004d", 3, "tag 77 is no type: they go from 0 (none) to 14 (vector)");
    expect_hex_refused("0102", 1, "the boolean is 2, neither 0 nor 1");
    expect_hex_refused("08003504", 3, "the port's protocol is 4, and 3 (icmp) is the last one");
    expect_hex_refused("070000000000000000000000000000000081", 17,
                       "the subnet's prefix has 129 bits, more than 128");
    expect_hex_refused("0000", 1, "1 bytes follow the value");
    expect_hex_refused("02000000000000", 1,
                       "the count ends too early: it needs 8 more bytes and 6 are left");
    expect_hex_refused("0503", 2,
                       "the string ends too early: it needs 3 more bytes and 0 are left");
    expect_hex_refused("0e0100000000", 3, "3 bytes follow the value");
}

Test(value_binary, lengths_have_five_bytes_and_32_bits)
{
    size_t need_bytes;
    expect_hex_refused("058080808080808080808080808001", 1,
                       "the length of the string has more than 5 bytes");
    expect_hex_refused("0e808080808001", 1, "the length of the vector has more than 5 bytes");
    expect_hex_refused("0580808080100000000000", 1,
                       "the string is said to have 4294967296 elements or bytes: 2^32 or more");
    expect_hex_refused("05ffffffff7f", 1,
                       "the string is said to have 34359738367 elements or bytes: 2^32 or more");
    expect_hex_refused("05ffffffff0f00", 6,
                       "the string ends too early: it needs 4294967295 more bytes and 1 are left");
    expect_hex_refused("0580", 2,
                       "the string ends too early: it needs 1 more bytes and 0 are left");
    /* Broker's own decoder takes a length with more bytes than it needs. */
    size_t bytes = hex_read("058280006869", input, sizeof(input));
    cr_assert_eq(decode(input, bytes, sizeof(native), &need_bytes), 16);
}

/* Refused before anything is put: a builder that measures has counted nothing of it. */
static void
expect_refused_at_once(const char *hex, const char *words)
{
    size_t need_bytes;
    size_t bytes = hex_read(hex, input, sizeof(input));
    expect_refused(input, bytes, 0, words);
    (void)decode(input, bytes, 0, &need_bytes);
    cr_assert_eq(need_bytes, 0, "%s", hex);
}

Test(value_binary, counts_are_held_against_the_bytes_left)
{
    expect_refused_at_once(
        "0effffffff0f0000000000",
        "the vector is said to have 4294967295 elements, but only 5 bytes are left");
    expect_refused_at_once(
        "0c80808080080000000000",
        "the set is said to have 2147483648 elements, but only 5 bytes are left");
    expect_refused_at_once("0dffffffff0f0000000000",
                           "the table is said to have 4294967295 pairs, but only 5 bytes are left");
}

Test(value_binary, a_part_that_would_overlap_what_follows)
{
    /* The inner vector claims elements of the outer one, and more. */
    expect_hex_refused("0e020e030000", 2,
                       "the vector is said to have 3 elements, but only 2 bytes are left");
    /* The string inside claims the second element and what is behind the end. */
    expect_hex_refused("0e020504616200", 4,
                       "the string ends too early: it needs 4 more bytes and 3 are left");
    /* Here the claim fits, and an element is missing where the input ends. */
    expect_hex_refused("0e020503616263", 7,
                       "a value is missing: the input ends where its tag should be");
}

Test(value_binary, a_depth_of_ten_thousand)
{
    enum { DEPTH = 10000 };
    size_t need_bytes;
    for (size_t i = 0; i < DEPTH; i++) {
        input[2 * i] = BB_VECTOR;
        input[2 * i + 1] = 1;
    }
    expect_refused(input, 2 * DEPTH, 510, "containers nest more than 255 deep");
    input[2 * 254 + 1] = 0;
    cr_assert_eq(decode(input, 2 * 255, sizeof(native), &need_bytes), 255 * 16);
}

Test(value_binary, nesting_counts_from_the_callers_containers)
{
    struct bb_builder b;
    for (size_t i = 0; i < 255; i++) {
        input[2 * i] = BB_SET;
        input[2 * i + 1] = i < 254;
    }
    for (int inside = 0; inside < 2; inside++) {
        bb_build_init(&b, native, sizeof(native));
        bb_put_vector_begin(&b);
        /* One level less fits. */
        bb_put_binary(&b, input + 2 * (1 - inside), 2 * (254 + (size_t)inside), &error);
        bb_put_end(&b);
        cr_assert_eq(bb_build_end(&b), inside == 0 ? 16 * 255 : BB_EINVAL);
    }
    cr_assert_eq(error.offset, 2 * 254);
}

Test(value_binary, every_truncation_and_any_byte_behind)
{
    size_t need_bytes;
    size_t bytes = hex_read(every_type, input, sizeof(input));
    cr_assert_neq(bytes, (size_t)-1);
    int64_t whole = decode(input, bytes, sizeof(native), &need_bytes);
    cr_assert_gt(whole, 0, "%zu: %s", error.offset, error.sentence);
    cr_assert_eq(bb_value_check(&(struct bb_value){native, (size_t)whole}), 0);
    for (size_t cut = 0; cut < bytes; cut++) {
        cr_assert_eq(decode(input, cut, sizeof(native), &need_bytes), BB_EINVAL, "%zu", cut);
        cr_assert_neq(error.sentence[0], '\0');
        cr_assert_leq(error.offset, cut);
    }
    cr_assert_eq(decode(input, bytes + 1, sizeof(native), &need_bytes), BB_EINVAL);
    cr_assert_eq(error.offset, bytes);
}

Test(value_binary, input_may_begin_at_any_address)
{
    static unsigned char wanted[1 << 12];
    size_t need_bytes;
    size_t bytes = hex_read(every_type, input, sizeof(input));
    int64_t whole = decode(input, bytes, sizeof(native), &need_bytes);
    cr_assert_gt(whole, 0);
    memcpy(wanted, native, (size_t)whole);
    for (size_t shift = 1; shift < 9; shift++) {
        memmove(input + shift, input + shift - 1, bytes);
        cr_assert_eq(decode(input + shift, bytes, sizeof(native), &need_bytes), whole);
        cr_assert_eq(memcmp(native, wanted, (size_t)whole), 0);
    }
}

Test(value_binary, host_bits_are_cleared)
{
    struct bb_value v = {native, 24};
    uint8_t ip[16];
    uint32_t bits = 0;
    size_t need_bytes;
    size_t bytes = hex_read("0700000000000000000000ffff0a01020368", input, sizeof(input));
    cr_assert_eq(decode(input, bytes, sizeof(native), &need_bytes), 24);
    cr_assert_eq(bb_get_subnet(&v, ip, &bits), 0);
    cr_assert_eq(bits, 8);
    cr_assert_eq(memcmp(ip + 12, "\12\0\0\0", 4), 0);
    /* Below 96 bits the mark of IPv4 goes too: this is 80 bits of zeros. */
    bytes = hex_read("0700000000000000000000ffff0a01020350", input, sizeof(input));
    cr_assert_eq(decode(input, bytes, sizeof(native), &need_bytes), 24);
    cr_assert_eq(bb_get_subnet(&v, ip, &bits), 0);
    cr_assert_eq(bits, 80);
    cr_assert_eq(bb_value_check(&v), 0);
}

Test(value_binary, a_buffer_that_is_too_small)
{
    size_t need_bytes;
    size_t bytes = hex_read(every_type, input, sizeof(input));
    int64_t whole = decode(input, bytes, sizeof(native), &need_bytes);
    for (size_t cap = 0; cap < (size_t)whole; cap += 8) {
        memset(native, 0xee, sizeof(native));
        cr_assert_eq(decode(input, bytes, cap, &need_bytes), BB_EMSGSIZE);
        cr_assert_eq(need_bytes, (size_t)whole);
        cr_assert_eq(error.sentence[0], '\0');
        cr_assert_eq(native[cap], 0xee);
    }
}

Test(value_binary, a_builder_that_has_failed_reads_nothing)
{
    struct bb_builder b;
    error = (struct bb_codec_error){0};
    bb_build_init(&b, native, sizeof(native));
    bb_put_end(&b);
    bb_put_binary(&b, "\x4d", 1, &error);
    cr_assert_eq(b.err, BB_EINVAL);
    cr_assert_eq(error.sentence[0], '\0');
    bb_build_init(&b, native, sizeof(native));
    bb_put_binary(&b, "\x4d", 1, NULL);
    cr_assert_eq(bb_build_end(&b), BB_EINVAL);
}

Test(value_binary, inside_an_event)
{
    struct bb_builder b;
    struct bb_event ev;
    struct bb_value arg;
    uint64_t count = 0;
    size_t bytes = hex_read("020000000000000007", input, sizeof(input));
    bb_build_init(&b, native, sizeof(native));
    bb_event_begin(&b, "e", 1);
    bb_put_binary(&b, input, bytes, &error);
    bb_put_binary(&b, "\x0e\x01\x00", 3, &error);
    bb_event_end(&b);
    int64_t whole = bb_build_end(&b);
    cr_assert_gt(whole, 0);
    cr_assert_eq(bb_event_open(&ev, native, (size_t)whole), 0);
    cr_assert_eq(ev.arg_count, 2);
    cr_assert_eq(bb_event_arg(&ev, 0, &arg), 0);
    cr_assert_eq(bb_get_count(&arg, &count), 0);
    cr_assert_eq(count, 7);
}

/* ---- writing ----------------------------------------------------------------------------------- */

Test(value_binary, writes_at_most_what_there_is_room_for)
{
    unsigned char out[256];
    size_t need_bytes;
    size_t bytes = hex_read(every_type, input, sizeof(input));
    int64_t whole = decode(input, bytes, sizeof(native), &need_bytes);
    struct bb_value v = {native, (size_t)whole};
    for (size_t cap = 0; cap <= bytes; cap++) {
        memset(out, 0xee, sizeof(out));
        cr_assert_eq(bb_value_binary(&v, out, cap), (int64_t)bytes);
        cr_assert_eq(memcmp(out, input, cap), 0);
        cr_assert_eq(out[cap], 0xee);
    }
}

Test(value_binary, what_is_no_value_is_not_written)
{
    unsigned char out[64];
    struct bb_builder b;
    bb_build_init(&b, native, sizeof(native));
    bb_put_port(&b, 80, BB_PROTO_TCP);
    native[5] = 4;
    cr_assert_eq(bb_value_binary(&(struct bb_value){native, 8}, out, sizeof(out)), BB_ECORRUPT);
    cr_assert_eq(bb_value_binary(&(struct bb_value){native, 7}, out, sizeof(out)), BB_ECORRUPT);
    cr_assert_eq(bb_value_binary(&(struct bb_value){NULL, 0}, out, sizeof(out)), BB_ECORRUPT);
}

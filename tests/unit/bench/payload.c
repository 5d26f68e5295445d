/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    What the subscribers' proof sees: loss, disorder, a torn message; and nothing where nothing is.
 * Method  Messages filled as the drivers do it, then taken in other orders and with a byte changed.
 */
#include "bench/payload.h"

#include <criterion/criterion.h>

static struct bench_sink sink;

static void
fill(uint64_t *msg, size_t size, unsigned publisher, uint64_t number)
{
    struct bench_source src = {
        .word = (uint64_t)publisher << BENCH_NUMBER_BITS | number, .intended = 77, .size = size};
    bench_fill(&src, msg);
    cr_assert_eq(src.word, ((uint64_t)publisher << BENCH_NUMBER_BITS | number) + 1);
}

Test(bench_payload, a_good_stream_of_two_publishers)
{
    static const size_t sizes[] = {16, 24, 64, 1024};
    uint64_t msg[128], bytes = 0;
    for (uint64_t n = 0; n < 40; n++) {
        size_t size = sizes[n % 4];
        fill(msg, size, n % 2 == 0 ? 0 : 127, n / 2);
        bench_take(&sink, msg, size);
        bytes += size;
    }
    cr_assert_eq(sink.messages, 40);
    cr_assert_eq(sink.bytes, bytes);
    cr_assert_eq(sink.lost + sink.disorder + sink.torn, 0);
    cr_assert_eq(sink.intended, 77);
    cr_assert_eq(sink.next[0], 20);
    cr_assert_eq(sink.next[127], 20);
}

Test(bench_payload, a_gap_is_loss)
{
    uint64_t msg[8];
    fill(msg, sizeof(msg), 3, 5);
    bench_take(&sink, msg, sizeof(msg));
    cr_assert_eq(sink.lost, 5);
    cr_assert_eq(sink.disorder + sink.torn, 0);
}

Test(bench_payload, again_is_disorder)
{
    uint64_t msg[8];
    fill(msg, sizeof(msg), 0, 0);
    bench_take(&sink, msg, sizeof(msg));
    bench_take(&sink, msg, sizeof(msg));
    cr_assert_eq(sink.disorder, 1);
    cr_assert_eq(sink.lost + sink.torn, 0);
}

Test(bench_payload, any_changed_byte_behind_the_time_is_torn)
{
    for (size_t i = 2; i < 8; i++) {
        uint64_t msg[8];
        fill(msg, sizeof(msg), 0, sink.next[0]);
        msg[i] ^= UINT64_C(1) << (8 * i);
        bench_take(&sink, msg, sizeof(msg));
    }
    cr_assert_eq(sink.torn, 6);
    cr_assert_eq(sink.lost + sink.disorder, 0);
}

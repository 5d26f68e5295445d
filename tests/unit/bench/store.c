/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the harness sees every mistake of a store: a value that is missing, of another key, of an earlier round, torn,
 * a key that two have won.  Method: keys, values and results as a driver hands them over, some of them spoilt.
 */
#include "bench/store.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { SIZE = 64, KEYS = 10 };

static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, BENCH_STORE_KEY_BYTES);
}

Test(bench_store, keys_differ_and_are_letters, .timeout = 20)
{
    enum { COUNT = 20000 };
    static char keys[COUNT][BENCH_STORE_KEY_BYTES];
    for (unsigned i = 0; i < COUNT; i++) {
        bench_store_key(keys[i], i);
        for (unsigned j = 0; j < BENCH_STORE_KEY_BYTES; j++) {
            cr_assert(keys[i][j] >= 'a' && keys[i][j] <= 'p', "key %u", i);
        }
    }
    qsort(keys, COUNT, sizeof(keys[0]), compare);
    for (unsigned i = 1; i < COUNT; i++) {
        cr_assert_neq(compare(keys[i - 1], keys[i]), 0);
    }
}

/* Key 3 of a store of 10 after 25 puts: its last one was number 23, in round 2. */
static struct bench_store_reads
reads_of(uint64_t written)
{
    return (struct bench_store_reads){.keys = KEYS, .size = SIZE, .written = written};
}

Test(bench_store, value_of_the_last_round_is_right, .timeout = 20)
{
    unsigned char value[SIZE];
    struct bench_store_reads r = reads_of(25);
    bench_store_fill(value, SIZE, 3, 2);
    bench_store_take(&r, 3, value, SIZE);
    bench_store_fill(value, SIZE, 7, 1); /* number 17; 27 was not written */
    bench_store_take(&r, 7, value, SIZE);
    cr_assert_eq(r.next, 2);
    cr_assert_eq(r.wrong, 0);
    cr_assert_eq(r.missing, 0);
}

Test(bench_store, mistakes_are_seen, .timeout = 20)
{
    unsigned char value[SIZE];
    struct bench_store_reads r = reads_of(25);
    bench_store_fill(value, SIZE, 3, 1);
    bench_store_take(&r, 3, value, SIZE); /* an earlier round */
    cr_assert_eq(r.wrong, 1);
    bench_store_fill(value, SIZE, 4, 2);
    bench_store_take(&r, 3, value, SIZE); /* of another key */
    cr_assert_eq(r.wrong, 2);
    bench_store_fill(value, SIZE, 3, 2);
    bench_store_take(&r, 3, value, SIZE - 8); /* short */
    cr_assert_eq(r.wrong, 3);
    value[SIZE - 1] ^= 1;
    bench_store_take(&r, 3, value, SIZE); /* torn */
    cr_assert_eq(r.wrong, 4);
    bench_store_take(&r, 3, NULL, 0);
    cr_assert_eq(r.wrong, 4);
    cr_assert_eq(r.missing, 1);
    cr_assert_eq(r.next, 5);
}

Test(bench_store, reads_meanwhile_take_any_round, .timeout = 20)
{
    unsigned char value[SIZE];
    struct bench_store_reads r = reads_of(0);
    bench_store_fill(value, SIZE, 3, 99);
    bench_store_take(&r, 3, value, SIZE);
    cr_assert_eq(r.wrong, 0);
}

Test(bench_store, winners_are_counted_by_key, .timeout = 20)
{
    uint8_t winners[KEYS] = {0};
    struct bench_store_work a = {.op = BENCH_STORE_PUT_UNIQUE, .keys = KEYS, .winners = winners};
    struct bench_store_work b = a;
    bench_store_result(&a, true, false);
    bench_store_result(&b, false, false);
    bench_store_result(&a, true, false);
    bench_store_result(&b, true, false); /* it was given to both */
    bench_store_result(&b, false, true); /* out of memory, say */
    cr_assert_eq(winners[0], 1);
    cr_assert_eq(winners[1], 2);
    cr_assert_eq(winners[2], 0);
    cr_assert_eq(a.won, 2);
    cr_assert_eq(b.won, 1);
    cr_assert_eq(b.refused, 1);
    cr_assert_eq(b.answered, 3);
}

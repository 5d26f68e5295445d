/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: a merge sort whose merges need no room.  Units have different sizes, so they are found by walking
 * and moved by rotation:
 *
 *     [ a a a | A A A ][ b b | B B ]     A: from the middle of the longer run; b: the others' part before A
 *     [ a a a ][ b b ][ A A A ][ B B ]   rotate the two inner parts, then merge each side by itself
 *
 * Equal units meet in a compare, whatever the input: two neighbours of the final order can be told apart by
 * nothing else.  So duplicates need no pass of their own.
 *
 * Recursion is bounded by the logarithm of the count (sorting: base 2; merging: base 4/3), not by nesting.
 * The body may lie in shared memory: each offset is checked against its end, and an error ends every loop.
 */
#include "lib/value/sort.h"

enum { SPARE_BYTES = 512 }; /* moved at once through the stack */

struct sorter {
    unsigned char *base;
    size_t bytes;
    uint32_t values_each;
    int err;
};

struct run {
    size_t off;
    size_t last_off; /* its last unit */
    size_t end_off;
};

/* The offset n units further. */
static size_t
skip(struct sorter *s, size_t off, uint32_t n)
{
    for (uint64_t left = (uint64_t)n * s->values_each; left > 0; left--) {
        uint64_t head = bbi_head_read(s->base + off, s->bytes - off);
        size_t padded = bbi_pad8(bbi_head_bytes(head));
        if (head == 0 || padded > s->bytes - off) {
            s->err = BB_ECORRUPT;
            return s->bytes;
        }
        off += padded;
    }
    return off;
}

static bool
is_before(struct sorter *s, size_t a_off, size_t b_off)
{
    int order = bbi_compare(s->base + a_off, s->bytes - a_off, s->base + b_off, s->bytes - b_off);
    if (order == 0 && s->err == 0) {
        s->err = BB_EEXIST;
    }
    return order < 0;
}

static void
swap_blocks(unsigned char *a, unsigned char *b, size_t bytes)
{
    unsigned char spare[SPARE_BYTES];
    while (bytes > 0) {
        size_t n = bytes < sizeof(spare) ? bytes : sizeof(spare);
        memcpy(spare, a, n);
        memcpy(a, b, n);
        memcpy(b, spare, n);
        a += n;
        b += n;
        bytes -= n;
    }
}

/* left bytes and the right bytes behind them change places. */
static void
rotate(unsigned char *p, size_t left, size_t right)
{
    unsigned char spare[SPARE_BYTES];
    while (left > 0 && right > 0) {
        if (left <= sizeof(spare)) {
            memcpy(spare, p, left);
            memmove(p, p + left, right);
            memcpy(p + right, spare, left);
            return;
        }
        if (right <= sizeof(spare)) {
            memcpy(spare, p + left, right);
            memmove(p + right, p, left);
            memcpy(p, spare, right);
            return;
        }
        if (left <= right) {
            swap_blocks(p, p + left, left);
            p += left;
            right -= left;
        } else {
            swap_blocks(p + left - right, p + left, right);
            left -= right;
        }
    }
}

/* How many of the n units from *off are before the pivot; *off moves behind them. */
static uint32_t
count_before(struct sorter *s, size_t *off, uint32_t n, size_t pivot_off)
{
    uint32_t before = 0;
    while (n > 0 && s->err == 0) {
        uint32_t half = n / 2;
        size_t middle_off = skip(s, *off, half);
        if (is_before(s, middle_off, pivot_off)) {
            *off = skip(s, middle_off, 1);
            before += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return before;
}

/* Merges the a units from lo_off with the b units from mid_off. */
static void
merge(struct sorter *s, size_t lo_off, uint32_t a, size_t mid_off, uint32_t b)
{
    while (a > 0 && b > 0 && s->err == 0) {
        if (a == 1 && b == 1) {
            if (is_before(s, mid_off, lo_off)) {
                rotate(s->base + lo_off, mid_off - lo_off, skip(s, mid_off, 1) - mid_off);
            }
            return;
        }
        size_t a_off = lo_off;
        size_t b_off = mid_off;
        uint32_t a_before;
        uint32_t b_before;
        if (a >= b) {
            a_before = a / 2;
            a_off = skip(s, lo_off, a_before);
            b_before = count_before(s, &b_off, b, a_off);
        } else {
            b_before = b / 2;
            b_off = skip(s, mid_off, b_before);
            a_before = count_before(s, &a_off, a, b_off);
        }
        if (s->err != 0) {
            return;
        }
        rotate(s->base + a_off, mid_off - a_off, b_off - mid_off);
        size_t split_off = a_off + (b_off - mid_off);
        merge(s, lo_off, a_before, a_off, b_before);
        lo_off = split_off;
        mid_off = b_off;
        a -= a_before;
        b -= b_before;
    }
}

static struct run
sort_run(struct sorter *s, size_t off, uint32_t n)
{
    if (n == 1 || s->err != 0) {
        return (struct run){off, off, skip(s, off, 1)};
    }
    struct run a = sort_run(s, off, n / 2);
    struct run b = sort_run(s, a.end_off, n - n / 2);
    struct run both = {a.off, b.last_off, b.end_off};
    if (s->err != 0 || is_before(s, a.last_off, b.off)) {
        return both;
    }
    if (is_before(s, b.last_off, a.last_off)) {
        both.last_off = b.end_off - (a.end_off - a.last_off);
    }
    merge(s, a.off, n / 2, b.off, n - n / 2);
    return both;
}

int
bbi_sort(unsigned char *body, size_t body_bytes, uint32_t count, uint32_t values_each)
{
    struct sorter s = {.base = body, .bytes = body_bytes, .values_each = values_each};
    if (count > body_bytes / BBI_HEAD_BYTES) {
        return BB_ECORRUPT; /* no value is smaller than its head */
    }
    struct run all = sort_run(&s, 0, count);
    if (s.err == 0 && all.end_off != body_bytes) {
        s.err = BB_ECORRUPT;
    }
    return s.err;
}

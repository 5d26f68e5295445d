/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/lib/random_value.h - random values of all types, from a seed that is printed.
 *
 * Used by    value_build, value_read, value_check, value_json.  BB_SEED=N repeats a run.
 */
#ifndef BUSBAR_TESTS_UNIT_LIB_RANDOM_VALUE_H
#define BUSBAR_TESTS_UNIT_LIB_RANDOM_VALUE_H

#include <busbar/value.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t rnd_state;

static inline uint64_t
rnd(void)
{
    rnd_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = rnd_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint32_t
rnd_below(uint32_t n)
{
    return (uint32_t)(rnd() % n);
}

static inline void
rnd_seed(const char *test)
{
    const char *given = getenv("BB_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t fresh = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    rnd_state = given != NULL ? strtoull(given, NULL, 0) : fresh;
    printf("%s: BB_SEED=%llu\n", test, (unsigned long long)rnd_state);
}

static inline void
rnd_ip(uint8_t ip[16])
{
    uint64_t words[2] = {rnd(), rnd()};
    memcpy(ip, words, 16);
    if (rnd_below(2) == 0) {
        memset(ip, 0, 10);
        memset(ip + 10, 0xff, 2);
    }
}

/* A leaf; two with different `number` are never equal. */
static inline void
rnd_put_leaf(struct bb_builder *b, uint32_t number)
{
    char text[64];
    uint8_t ip[16];
    uint64_t unique = (rnd() & 0xff) << 32 | number;
    double real = (double)unique;
    switch (rnd_below(12)) {
    case 0:
        bb_put_integer(b, -(int64_t)unique);
        break;
    case 1:
        bb_put_real(b, -real);
        break;
    case 2:
    case 3:
        snprintf(text, sizeof(text), "%.*s%u", (int)rnd_below(40),
                 "\xc3\x28 zwölf Boxkämpfer jagen Eva quer über", number);
        bb_put_string(b, text, strlen(text));
        break;
    case 4:
        snprintf(text, sizeof(text), "%u::NAME", number);
        bb_put_enum(b, text, strlen(text));
        break;
    case 5:
        rnd_ip(ip);
        memcpy(ip + 12, &number, 4);
        bb_put_address(b, ip);
        break;
    case 6:
        rnd_ip(ip);
        memcpy(ip + 12, &number, 4);
        bb_put_subnet(b, ip, memcmp(ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0 ? 32 : 128);
        break;
    case 7:
        bb_put_port(b, (uint16_t)number, number < 65536 ? (enum bb_protocol)rnd_below(4) : 0);
        break;
    case 8:
        bb_put_timestamp(b, (int64_t)unique);
        break;
    case 9:
        bb_put_timespan(b, -(int64_t)unique);
        break;
    default:
        bb_put_count(b, unique);
        break;
    }
}

/* A value at most `deep` containers deep; different numbers give different values. */
static inline void
rnd_put(struct bb_builder *b, uint32_t number, uint32_t deep)
{
    uint32_t kind = deep == 0 ? 9 : rnd_below(6);
    uint32_t n = rnd_below(6);
    if (kind > 2) {
        rnd_put_leaf(b, number);
        return;
    }
    if (kind == 0) {
        bb_put_vector_begin(b);
    } else if (kind == 1) {
        bb_put_set_begin(b);
    } else {
        bb_put_table_begin(b);
    }
    /* The first element carries the number; any leaf or container carries its own. */
    bb_put_string(b, (const char *)&number, sizeof(number));
    if (kind == 2) {
        bb_put_none(b);
    }
    for (uint32_t i = 0; i < n; i++) {
        rnd_put(b, 100 + i, deep - 1);
        if (kind == 2) {
            rnd_put(b, rnd_below(1000), deep - 1);
        }
    }
    bb_put_end(b);
}

/* The whole value in a buffer of exactly its size, for free(); the same seed state gives the same value. */
static inline unsigned char *
rnd_value(size_t *bytes)
{
    struct bb_builder b;
    uint64_t state = rnd_state;
    uint32_t deep = rnd_below(5);
    bb_build_init(&b, NULL, 0);
    rnd_put(&b, 7, deep);
    *bytes = b.need_bytes;
    unsigned char *buf = malloc(*bytes);
    bb_build_init(&b, buf, *bytes);
    rnd_state = state;
    deep = rnd_below(5);
    rnd_put(&b, 7, deep);
    if (bb_build_end(&b) != (int64_t)*bytes) {
        fprintf(stderr, "rnd_value: need %zu, err %d\n", *bytes, b.err);
        abort();
    }
    return buf;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what was put comes back; no bytes whatever make a reader look outside its window.
 * Method: round trips at the extremes; then truncated and mutated values in heap buffers of exactly their size,
 * read with every accessor, under the address sanitizer.
 */
#include <busbar/value.h>

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdbool.h>

static unsigned char buf[1 << 12];

static struct bb_value
finish(struct bb_builder *b)
{
    struct bb_value v = {NULL, 0};
    int64_t bytes = bb_build_end(b);
    cr_assert_gt(bytes, 0);
    cr_assert_eq(bb_value_open(&v, buf, (size_t)bytes), 0);
    cr_assert_eq(bb_value_check(&v), 0);
    return v;
}

#define ROUND_TRIP(name, type, put, get, ...)                                                      \
    Test(value_read, name##_comes_back, .timeout = 20)                                             \
    {                                                                                              \
        static const type values[] = {__VA_ARGS__};                                                \
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {                          \
            struct bb_builder b;                                                                   \
            type got = 0;                                                                          \
            bb_build_init(&b, buf, sizeof(buf));                                                   \
            put(&b, values[i]);                                                                    \
            struct bb_value v = finish(&b);                                                        \
            cr_assert_eq(get(&v, &got), 0);                                                        \
            cr_assert_eq(memcmp(&got, &values[i], sizeof(got)), 0);                                \
        }                                                                                          \
    }

ROUND_TRIP(count, uint64_t, bb_put_count, bb_get_count, 0, 1, 127, 128, UINT64_MAX)
ROUND_TRIP(integer, int64_t, bb_put_integer, bb_get_integer, 0, -1, 42, INT64_MIN, INT64_MAX)
ROUND_TRIP(timestamp, int64_t, bb_put_timestamp, bb_get_timestamp, 0, -1, INT64_MIN, INT64_MAX)
ROUND_TRIP(timespan, int64_t, bb_put_timespan, bb_get_timespan, 0, -5000000, INT64_MIN, INT64_MAX)
ROUND_TRIP(boolean, int, bb_put_boolean, bb_get_boolean, 0, 1)
ROUND_TRIP(real,
           double,
           bb_put_real,
           bb_get_real,
           0.0,
           -0.0,
           1e-310,
           1e308,
           -1.5,
           __builtin_inf(),
           -__builtin_inf(),
           __builtin_nan(""),
           -__builtin_nan("7"))

Test(value_read, strings_and_enums_come_back, .timeout = 20)
{
    static char big[1 << 20];
    unsigned char *room = malloc(sizeof(big) + 16);
    struct bb_builder b;
    struct bb_value v;
    const char *s = "";
    size_t bytes = 0;
    memset(big, 'x', sizeof(big));
    for (size_t n = 0; n <= sizeof(big); n = n < 20 ? n + 1 : n + sizeof(big) - 20) {
        bb_build_init(&b, room, sizeof(big) + 16);
        bb_put_string(&b, big, n);
        cr_assert_eq(bb_value_open(&v, room, b.need_bytes), 0);
        cr_assert_eq(bb_get_string(&v, &s, &bytes), 0);
        cr_assert_eq(bytes, n);
        cr_assert_eq(memcmp(s, big, n), 0);
        cr_assert_eq(bb_get_enum(&v, &s, &bytes), BB_ETYPE);
    }
    bb_build_init(&b, room, 64);
    bb_put_enum(&b, "A::B", 4);
    cr_assert_eq(bb_value_open(&v, room, b.need_bytes), 0);
    cr_assert_eq(bb_get_enum(&v, &s, &bytes), 0);
    cr_assert_eq(bytes, 4);
    cr_assert_eq(bb_get_string(&v, &s, &bytes), BB_ETYPE);
    free(room);
}

Test(value_read, addresses_subnets_and_ports_come_back, .timeout = 20)
{
    static const uint8_t ip4[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3};
    static const uint8_t ip6[16] = {0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    for (uint32_t i = 0; i < 4; i++) {
        struct bb_builder b;
        struct bb_value v;
        uint8_t ip[16];
        uint32_t bits;
        uint16_t number;
        enum bb_protocol protocol;
        const uint8_t *given = i % 2 == 0 ? ip4 : ip6;
        uint32_t whole = i % 2 == 0 ? 32 : 128;

        bb_build_init(&b, buf, sizeof(buf));
        bb_put_address(&b, given);
        v = finish(&b);
        cr_assert_eq(bb_get_address(&v, ip), 0);
        cr_assert_eq(memcmp(ip, given, 16), 0);
        cr_assert_eq(bb_get_subnet(&v, ip, &bits), BB_ETYPE);

        bb_build_init(&b, buf, sizeof(buf));
        bb_put_subnet(&b, given, i < 2 ? 0 : whole);
        v = finish(&b);
        cr_assert_eq(bb_get_subnet(&v, ip, &bits), 0);
        cr_assert_eq(bits, i < 2 ? 0 : whole, "as it was given, also for IPv4");
        cr_assert_eq(bb_get_address(&v, ip), BB_ETYPE);

        bb_build_init(&b, buf, sizeof(buf));
        bb_put_port(&b, (uint16_t)(65535 - i), (enum bb_protocol)i);
        v = finish(&b);
        cr_assert_eq(bb_get_port(&v, &number, &protocol), 0);
        cr_assert_eq(number, 65535 - i);
        cr_assert_eq((uint32_t)protocol, i);
    }
}

Test(value_read, a_wrong_type_is_said_and_writes_nothing, .timeout = 20)
{
    struct bb_builder b;
    uint64_t count = 7;
    struct bb_iter it;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_integer(&b, 1);
    struct bb_value v = finish(&b);
    cr_assert_eq(bb_get_count(&v, &count), BB_ETYPE);
    cr_assert_eq(count, 7);
    cr_assert_eq(bb_iter_open(&it, &v), BB_ETYPE);
}

Test(value_read, elements_come_one_after_the_other, .timeout = 20)
{
    struct bb_builder b;
    struct bb_iter it;
    struct bb_value e;
    uint64_t count;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_table_begin(&b);
    bb_put_count(&b, 2);
    bb_put_string(&b, "two", 3);
    bb_put_count(&b, 1);
    bb_put_vector_begin(&b);
    bb_put_end(&b);
    bb_put_end(&b);
    struct bb_value v = finish(&b);
    cr_assert_eq(bb_iter_open(&it, &v), 2, "pairs");
    cr_assert_eq(it.left, 4);
    cr_assert_eq(bb_iter_next(&it, &e), 0);
    cr_assert_eq(bb_get_count(&e, &count), 0);
    cr_assert_eq(count, 1);
    cr_assert_eq(bb_iter_next(&it, &e), 0);
    cr_assert_eq(bb_value_type(&e), BB_VECTOR);
    cr_assert_eq(bb_iter_next(&it, &e), 0);
    cr_assert_eq(bb_iter_next(&it, &e), 0);
    cr_assert_eq(bb_value_type(&e), BB_STRING);
    cr_assert_eq(bb_iter_next(&it, &e), BB_EEND);
    cr_assert_eq(bb_iter_next(&it, &e), BB_EEND);
}

/* ---- hostile bytes ----------------------------------------------------------------------------- */

static uint64_t sum; /* what was read, so that reading is not optimized away */

static void
read_leaf(const struct bb_value *v)
{
    uint64_t word;
    double real;
    int boolean;
    const char *s;
    size_t bytes;
    uint8_t ip[16];
    uint32_t bits;
    uint16_t number;
    enum bb_protocol protocol;
    sum += bb_get_boolean(v, &boolean) == 0 ? (uint64_t)boolean : 0;
    sum += bb_get_count(v, &word) == 0 ? word : 0;
    sum += bb_get_integer(v, (int64_t *)&word) == 0 ? word : 0;
    sum += bb_get_timestamp(v, (int64_t *)&word) == 0 ? word : 0;
    sum += bb_get_timespan(v, (int64_t *)&word) == 0 ? word : 0;
    sum += bb_get_real(v, &real) == 0;
    sum += bb_get_address(v, ip) == 0 ? ip[0] : 0;
    sum += bb_get_subnet(v, ip, &bits) == 0 ? bits : 0;
    sum += bb_get_port(v, &number, &protocol) == 0 ? number : 0;
    if (bb_get_string(v, &s, &bytes) == 0 || bb_get_enum(v, &s, &bytes) == 0) {
        for (size_t i = 0; i < bytes; i++) {
            sum += (unsigned char)s[i];
        }
    }
}

/* Recursion is the test's own, and bounded. */
static void
read_all(const struct bb_value *v, int deep)
{
    struct bb_iter it;
    struct bb_value e;
    read_leaf(v);
    if (deep > 0 && bb_iter_open(&it, v) >= 0) {
        while (bb_iter_next(&it, &e) == 0) {
            cr_assert_geq((const void *)e.p, (const void *)v->p);
            cr_assert_leq((const void *)(e.p + e.bytes), (const void *)(v->p + v->bytes));
            read_all(&e, deep - 1);
        }
    }
}

static void
use_every_reader(const unsigned char *p, size_t bytes)
{
    struct bb_value raw = {p, bytes};
    struct bb_value v;
    struct bb_event ev;
    char text[256];
    read_all(&raw, 8);
    if (bb_value_open(&v, p, bytes) == 0) {
        read_all(&v, 8);
    }
    sum += bb_value_check(&raw) == 0;
    sum += (uint64_t)bb_value_text(&raw, text, rnd_below(sizeof(text)));
    sum += (uint64_t)bb_value_json(&raw, text, rnd_below(sizeof(text)));
    sum += bb_value_compare(&raw, &raw) == 0;
    if (bb_event_open(&ev, p, bytes) == 0) {
        for (uint32_t i = 0; i < 4; i++) {
            sum += bb_event_arg(&ev, i, &v) == 0;
        }
        sum += bb_event_get_meta(&ev, BB_META_NETWORK_TIME, &v) == 0;
    }
}

/* A few bytes become others; small numbers and lengths near the size are the interesting ones. */
static void
mutate(unsigned char *p, size_t bytes)
{
    for (uint32_t n = 1 + rnd_below(4); n > 0; n--) {
        size_t at = rnd_below((uint32_t)bytes);
        switch (rnd_below(4)) {
        case 0:
            p[at] = (unsigned char)rnd();
            break;
        case 1:
            p[at] = (unsigned char)rnd_below(17);
            break;
        case 2:
            p[at] ^= (unsigned char)(1u << rnd_below(8));
            break;
        default:
            at &= ~(size_t)7;
            p[at] = (unsigned char)(bytes - rnd_below(9));
            p[at + 1] = rnd_below(2) == 0 ? (unsigned char)(bytes >> 8) : 0xff;
            break;
        }
    }
}

Test(value_read, truncated_values_are_never_read_past_their_end, .timeout = 20)
{
    rnd_seed("truncated");
    for (int round = 0; round < 200; round++) {
        size_t bytes;
        unsigned char *one = rnd_value(&bytes);
        for (size_t kept = 0; kept < bytes; kept += 1 + bytes / 100) {
            unsigned char *part = malloc(kept + (kept == 0));
            memcpy(part, one, kept);
            use_every_reader(part, kept);
            free(part);
        }
        free(one);
    }
}

Test(value_read, mutated_values_are_never_read_outside, .timeout = 60)
{
    rnd_seed("mutated");
    for (int round = 0; round < 2000; round++) {
        size_t bytes;
        unsigned char *one = rnd_value(&bytes);
        unsigned char *bad = malloc(bytes);
        for (int i = 0; i < 20; i++) {
            memcpy(bad, one, bytes);
            mutate(bad, bytes);
            use_every_reader(bad, bytes);
        }
        free(bad);
        free(one);
    }
}

Test(value_read, noise_is_never_read_outside, .timeout = 20)
{
    rnd_seed("noise");
    for (int round = 0; round < 20000; round++) {
        size_t bytes = 1 + rnd_below(80);
        unsigned char *noise = malloc(bytes);
        for (size_t i = 0; i < bytes; i++) {
            noise[i] = (unsigned char)(rnd_below(3) == 0 ? rnd_below(32) : 0);
        }
        use_every_reader(noise, bytes);
        free(noise);
    }
}

/* What a publisher does to a view: the bytes become another value's, in pieces, again and again. */
struct overwriter {
    volatile unsigned char *view;
    const unsigned char *values[2];
    size_t bytes;
    volatile bool stop;
};

static void *
overwrite(void *arg)
{
    struct overwriter *o = arg;
    for (uint32_t turn = 0; !o->stop; turn++) {
        for (size_t i = 0; i < o->bytes; i++) {
            o->view[i] = o->values[turn % 2][i];
        }
    }
    return NULL;
}

Test(value_read, bytes_that_change_meanwhile_are_never_read_outside, .timeout = 20)
{
    rnd_seed("changing");
    for (int round = 0; round < 50; round++) {
        size_t bytes[2];
        unsigned char *values[2] = {rnd_value(&bytes[0]), rnd_value(&bytes[1])};
        size_t both = bytes[0] < bytes[1] ? bytes[0] : bytes[1];
        unsigned char *view = malloc(both);
        memcpy(view, values[0], both);
        struct overwriter o = {view, {values[0], values[1]}, both, false};
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, overwrite, &o), 0);
        for (int i = 0; i < 500; i++) {
            use_every_reader(view, both);
        }
        o.stop = true;
        pthread_join(thread, NULL);
        free(view);
        free(values[0]);
        free(values[1]);
    }
}

/* A loan lies in shared memory: the builder reads back what another process may have written over. */
Test(value_read, a_builder_whose_bytes_change_stays_inside, .timeout = 20)
{
    rnd_seed("builder_bytes");
    for (int round = 0; round < 20000; round++) {
        size_t bytes = 8 * (4 + (size_t)rnd_below(30));
        unsigned char *room = malloc(bytes);
        struct bb_builder b;
        bb_build_init(&b, room, bytes);
        bb_put_vector_begin(&b);
        bb_put_set_begin(&b);
        for (uint32_t n = rnd_below(8); n > 0; n--) {
            bb_put_string(&b, "0123456789", rnd_below(11));
        }
        mutate(room, bytes);
        bb_put_end(&b);
        mutate(room, bytes);
        bb_put_end(&b);
        sum += (uint64_t)bb_build_end(&b);
        free(room);
    }
}

Test(value_read, a_count_beyond_the_bytes_is_refused_at_once, .timeout = 20)
{
    struct bb_builder b;
    struct bb_iter it;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_vector_begin(&b);
    bb_put_none(&b);
    bb_put_end(&b);
    struct bb_value v = finish(&b);
    memset(buf + 8, 0xff, 4);
    cr_assert_eq(bb_iter_open(&it, &v), BB_ECORRUPT);
    cr_assert_eq(bb_value_check(&v), BB_ECORRUPT);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: structs that begin with their size may be older or newer than the library: every struct of options
 * and of statistics; and the numbers of the version are the same everywhere.
 * Method: each is handed in as programs of another version would: cut short, with a tail of zeros, with a
 * tail that is set, with sizes that no struct has; what lies behind a struct is watched.
 */
#include "lib/endpoint/opts.h"
#include "tests/unit/shm/bus_dir.h"
#include <busbar/busbar.h>
#include <stdalign.h>

TestSuite(opts, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

enum { TAIL_BYTES = 64, MOST_BYTES = 512 };

struct stage {
    struct bb_endpoint *ep;
    struct bb_look *look;
};

/* A struct as the header has it now, and how it is used: 0 or more, or a status; what it opened is closed. */
struct kind {
    const char *name;
    size_t bytes, error_off;
    void (*fill)(void *opts);
    int (*use)(const struct stage *s, const void *opts);
};

static void
fill_endpoint(void *opts)
{
    *(struct bb_endpoint_opts *)opts = (struct bb_endpoint_opts){.dir = bus_dir, .bus = "b"};
}

static int
use_endpoint(const struct stage *s, const void *opts)
{
    struct bb_endpoint *ep = NULL;
    (void)s;
    int rc = bb_endpoint_open(&ep, opts);
    bb_endpoint_close(ep);
    return rc;
}

static void
fill_nothing(void *opts)
{
    (void)opts;
}

static int
use_publisher(const struct stage *s, const void *opts)
{
    struct bb_publisher *pub = NULL;
    int rc = bb_publisher_open(&pub, s->ep, opts);
    bb_publisher_close(pub);
    return rc;
}

static int
use_subscriber(const struct stage *s, const void *opts)
{
    struct bb_subscriber *sub = NULL;
    int rc = bb_subscriber_open(&sub, s->ep, opts);
    bb_subscriber_close(sub);
    return rc;
}

static void
fill_look(void *opts)
{
    *(struct bb_look_opts *)opts = (struct bb_look_opts){.dir = bus_dir, .bus = "b"};
}

static int
use_look(const struct stage *s, const void *opts)
{
    struct bb_look *look = NULL;
    (void)s;
    int rc = bb_look_open(&look, opts);
    bb_look_close(look);
    return rc;
}

static int
use_tap(const struct stage *s, const void *opts)
{
    struct bb_subscriber *sub = NULL;
    int rc = bb_tap_open(&sub, s->look, opts);
    bb_subscriber_close(sub);
    return rc;
}

static void
fill_gc(void *opts)
{
    *(struct bb_gc_opts *)opts =
        (struct bb_gc_opts){.dir = bus_dir, .bus = "b", .flags = BB_GC_DRY_RUN};
}

static int
use_gc(const struct stage *s, const void *opts)
{
    (void)s;
    return bb_gc(opts);
}

#define KIND(type, fill, use)                                                                      \
    {                                                                                              \
        "struct " #type, sizeof(struct type), offsetof(struct type, error), fill, use              \
    }
static const struct kind KINDS[] = {
    KIND(bb_endpoint_opts, fill_endpoint, use_endpoint),
    KIND(bb_publisher_opts, fill_nothing, use_publisher),
    KIND(bb_subscriber_opts, fill_nothing, use_subscriber),
    KIND(bb_look_opts, fill_look, use_look),
    KIND(bb_tap_opts, fill_nothing, use_tap),
    KIND(bb_gc_opts, fill_gc, use_gc),
};
enum { KIND_COUNT = (int)(sizeof(KINDS) / sizeof(KINDS[0])) };

/* What a caller hands in: `size` as said, the struct's members, then a tail of zeros. */
union given {
    max_align_t aligned;
    size_t size;
    unsigned char bytes[MOST_BYTES];
};

static void
prepare(union given *g, const struct kind *k, size_t size, struct bb_error *error)
{
    memset(g, 0, sizeof(*g));
    cr_assert_leq(k->bytes + TAIL_BYTES, sizeof(*g));
    k->fill(g);
    g->size = size;
    memcpy(g->bytes + k->error_off, &error, sizeof(error));
}

static struct stage
stage_new(void)
{
    struct stage s = {0};
    const struct bb_endpoint_opts eo = {.size = sizeof(eo), .dir = bus_dir, .bus = "b"};
    const struct bb_look_opts lo = {.size = sizeof(lo), .dir = bus_dir, .bus = "b"};
    cr_assert_eq(bb_endpoint_open(&s.ep, &eo), 0);
    cr_assert_eq(bb_look_open(&s.look, &lo), 0);
    return s;
}

static void
stage_end(struct stage *s)
{
    bb_look_close(s->look);
    bb_endpoint_close(s->ep);
}

Test(opts, a_struct_of_an_older_header_works_and_the_rest_has_its_default)
{
    struct stage s = stage_new();
    for (int i = 0; i < KIND_COUNT; i++) {
        const struct kind *k = &KINDS[i];
        union given g;
        struct bb_error error = {.code = 77};
        prepare(&g, k, k->bytes, &error);
        cr_assert_geq(k->use(&s, &g), 0, "%s: %s", k->name, error.sentence);
        cr_assert_eq(error.code, 77, "%s: nothing went wrong", k->name);
        /* One member before the end: `error` is among what is not there any more, and not believed. */
        prepare(&g, k, k->error_off, (struct bb_error *)(uintptr_t)8);
        cr_assert_geq(k->use(&s, &g), 0, "%s cut short", k->name);
    }
    stage_end(&s);
}

/* What an option that was cut off means is its default: here a depth that would be refused. */
Test(opts, what_is_cut_off_is_not_read)
{
    struct stage s = stage_new();
    struct bb_publisher_opts o = {.size = sizeof(o), .depth = 3};
    struct bb_publisher *pub = NULL;
    cr_assert_eq(bb_publisher_open(&pub, s.ep, &o), BB_EINVAL, "3 is no power of two");
    o.size = offsetof(struct bb_publisher_opts, block_ns);
    cr_assert_eq(bb_publisher_open(&pub, s.ep, &o), 0);
    bb_publisher_close(pub);
    o.size = sizeof(size_t); /* the smallest there is: nothing but the size */
    cr_assert_eq(bb_publisher_open(&pub, s.ep, &o), 0);
    bb_publisher_close(pub);
    cr_assert_eq(bb_publisher_open(&pub, s.ep, NULL), 0, "NULL is all defaults");
    bb_publisher_close(pub);
    stage_end(&s);
}

Test(opts, a_struct_of_a_newer_header_works_while_nothing_unknown_is_set)
{
    struct stage s = stage_new();
    for (int i = 0; i < KIND_COUNT; i++) {
        const struct kind *k = &KINDS[i];
        union given g;
        struct bb_error error = {0};
        prepare(&g, k, k->bytes + TAIL_BYTES, &error);
        cr_assert_geq(k->use(&s, &g), 0, "%s with a tail of zeros: %s", k->name, error.sentence);
        for (size_t at = k->bytes; at < k->bytes + TAIL_BYTES; at += TAIL_BYTES / 2 - 1) {
            char where[32];
            error = (struct bb_error){0};
            prepare(&g, k, k->bytes + TAIL_BYTES, &error);
            g.bytes[at] = 1;
            cr_assert_eq(k->use(&s, &g), BB_ENOTSUP, "%s, byte %zu", k->name, at);
            cr_assert_eq(error.code, BB_ENOTSUP);
            (void)snprintf(where, sizeof(where), "at byte %zu,", at);
            cr_assert_neq(strstr(error.sentence, k->name), NULL, "%s", error.sentence);
            cr_assert_neq(strstr(error.sentence, where), NULL, "%s", error.sentence);
        }
        /* Behind the size that it says nothing is looked at. */
        prepare(&g, k, k->bytes, &error);
        g.bytes[k->bytes] = 1;
        cr_assert_geq(k->use(&s, &g), 0, "%s", k->name);
    }
    stage_end(&s);
}

Test(opts, a_size_that_no_struct_has_is_refused)
{
    static const size_t impossible[] = {
        1, sizeof(size_t) - 1, sizeof(size_t) + 1, BBI_OPTS_MOST_BYTES + 8, SIZE_MAX, SIZE_MAX - 7};
    struct stage s = stage_new();
    for (int i = 0; i < KIND_COUNT; i++) {
        const struct kind *k = &KINDS[i];
        union given g;
        struct bb_error error = {0};
        prepare(&g, k, 0, &error);
        cr_assert_eq(k->use(&s, &g), BB_EINVAL, "%s without a size", k->name);
        cr_assert_eq(error.code, BB_EINVAL);
        cr_assert_neq(strstr(error.sentence, k->name), NULL, "%s", error.sentence);
        for (size_t j = 0; j < sizeof(impossible) / sizeof(impossible[0]); j++) {
            prepare(&g, k, impossible[j], (struct bb_error *)(uintptr_t)8); /* not to be followed */
            cr_assert_eq(k->use(&s, &g), BB_EINVAL, "%s, size %zu", k->name, impossible[j]);
        }
    }
    stage_end(&s);
}

/* ---- statistics ---- */

/* Fills g, which says size; returns nothing. */
typedef void (*stats_fn)(const void *handle, union given *g);

static void
stats_of_publisher(const void *handle, union given *g)
{
    bb_publisher_stats(handle, (void *)g);
}

static void
stats_of_subscriber(const void *handle, union given *g)
{
    bb_subscriber_stats(handle, (void *)g);
}

static void
check_stats(const char *name, stats_fn fill, const void *handle, size_t bytes)
{
    union given whole;
    memset(&whole, 0, sizeof(whole));
    whole.size = bytes;
    fill(handle, &whole);
    cr_assert_eq(whole.size, bytes, "%s", name);
    cr_assert_neq(whole.bytes[sizeof(size_t)], 0, "%s: there were messages", name);
    for (size_t size = 0; size <= bytes + TAIL_BYTES; size += 8) {
        union given g;
        size_t valid = size < bytes ? size : bytes;
        memset(&g, 0xa5, sizeof(g));
        g.size = size;
        fill(handle, &g);
        cr_assert_eq(g.size, size == 0 ? bytes : valid, "%s, size %zu", name, size);
        for (size_t i = sizeof(size_t); i < sizeof(g); i++) {
            unsigned char wanted = i < valid ? whole.bytes[i] : 0xa5;
            cr_assert_eq(g.bytes[i], wanted, "%s, size %zu: byte %zu", name, size, i);
        }
    }
}

Test(opts, statistics_are_filled_as_far_as_the_callers_struct_reaches)
{
    struct stage s = stage_new();
    struct bb_publisher *pub = NULL;
    struct bb_subscriber *sub = NULL;
    struct bb_msg msgs[8];
    const char *prefix = "";
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = BB_SUBSCRIBER_LOOPBACK,
                                          .prefixes = &prefix,
                                          .prefix_count = 1};
    cr_assert_eq(bb_subscriber_open(&sub, s.ep, &so), 0);
    cr_assert_eq(bb_publisher_open(&pub, s.ep, NULL), 0);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(bb_publish_to(pub, "x", 1, "12", 2, BB_RAW), 0);
    }
    cr_assert_eq(bb_poll(sub, msgs, 8, INT64_C(1000000000)), 5);
    check_stats("publisher", stats_of_publisher, pub, sizeof(struct bb_publisher_stats));
    check_stats("subscriber", stats_of_subscriber, sub, sizeof(struct bb_subscriber_stats));
    stage_end(&s);
}

/* ---- versions ---- */

Test(opts, the_version_is_the_same_everywhere)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%d.%d.%d", BUSBAR_VERSION_MAJOR, BUSBAR_VERSION_MINOR,
                   BUSBAR_VERSION_PATCH);
    cr_assert_str_eq(BUSBAR_VERSION, text);
    cr_assert_str_eq(BUSBAR_VERSION, BB_VERSION_STRING, "busbar/version.h and the build differ");
    cr_assert_str_eq(bb_version(), BUSBAR_VERSION);
    cr_assert_eq(bb_version_number(), (uint32_t)BUSBAR_VERSION_NUMBER);
    cr_assert_eq(bb_layout_version(), (uint32_t)BUSBAR_LAYOUT_VERSION);
}

/* A flag of a later version is refused in words, not passed over. */
Test(opts, flags_that_nobody_knows)
{
    struct bb_error e = {0};
    struct bb_endpoint *ep = NULL;
    struct bb_publisher *pub = NULL;
    struct bb_subscriber *sub = NULL;
    struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bus_dir, .bus = "b", .flags = 1u << 31, .error = &e};
    cr_assert_eq(bb_endpoint_open(&ep, &eo), BB_ENOTSUP);
    cr_assert_not_null(strstr(e.sentence, "0x80000000"), "%s", e.sentence);
    eo.flags = BB_ATTACH_CAPTURE;
    cr_assert_eq(bb_endpoint_open(&ep, &eo), 0);
    const struct bb_publisher_opts po = {.size = sizeof(po), .flags = 1u << 20, .error = &e};
    cr_assert_eq(bb_publisher_open(&pub, ep, &po), BB_ENOTSUP);
    const struct bb_subscriber_opts so = {.size = sizeof(so), .flags = 1u << 20, .error = &e};
    cr_assert_eq(bb_subscriber_open(&sub, ep, &so), BB_ENOTSUP);
    const struct bb_gc_opts go = {
        .size = sizeof(go), .dir = bus_dir, .bus = "b", .flags = 1u << 8, .error = &e};
    cr_assert_eq(bb_gc(&go), BB_ENOTSUP);
    bb_endpoint_close(ep);
}

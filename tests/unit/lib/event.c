/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: events are built and read in place as Broker lays them out; misuse and malformed payloads are said.
 * Method: the example of the header, its measuring pass, each wrong call, each wrong shape.
 */
#include <busbar/value.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static unsigned char buf[4096];
static char text[1024];

static struct bb_builder
begin(void)
{
    struct bb_builder b;
    memset(buf, 0xee, sizeof(buf));
    bb_build_init(&b, buf, sizeof(buf));
    return b;
}

static void
put_example(struct bb_builder *b, int metas)
{
    static const uint8_t ip[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 9};
    bb_event_begin(b, "scan_seen", 9);
    bb_put_address(b, ip);
    bb_put_count(b, 3);
    bb_put_vector_begin(b);
    bb_put_string(b, "x", 1);
    bb_put_end(b);
    for (int i = 0; i < metas; i++) {
        bb_event_meta(b, (uint64_t)i + 1);
        bb_put_timestamp(b, i * 10);
    }
    bb_event_end(b);
}

Test(event, is_the_vector_that_broker_uses, .timeout = 20)
{
    static const char *const wanted[] = {
        "(scan_seen, (10.0.0.9, 3, (x)))",
        "(scan_seen, (10.0.0.9, 3, (x)), ((1, 0ns)))",
        "(scan_seen, (10.0.0.9, 3, (x)), ((1, 0ns), (2, 10ns)))",
    };
    for (int metas = 0; metas < 3; metas++) {
        struct bb_builder b = begin();
        struct bb_value v;
        put_example(&b, metas);
        int64_t bytes = bb_build_end(&b);
        cr_assert_gt(bytes, 0);
        cr_assert_eq(bb_value_open(&v, buf, (size_t)bytes), 0);
        cr_assert_eq(bb_value_check(&v), 0);
        cr_assert_gt(bb_value_text(&v, text, sizeof(text)), 0);
        cr_assert_str_eq(text, wanted[metas]);
        cr_assert_eq(buf[bytes], 0xee);
    }
}

Test(event, reads_what_was_built, .timeout = 20)
{
    struct bb_builder b = begin();
    struct bb_event ev;
    struct bb_value v;
    uint64_t count;
    int64_t ns;
    put_example(&b, 2);
    cr_assert_eq(bb_event_open(&ev, buf, (size_t)bb_build_end(&b)), 0);
    cr_assert_eq(ev.name_bytes, 9);
    cr_assert_eq(memcmp(ev.name, "scan_seen", 9), 0);
    cr_assert_eq(ev.arg_count, 3);
    cr_assert_eq(bb_event_arg(&ev, 1, &v), 0);
    cr_assert_eq(bb_get_count(&v, &count), 0);
    cr_assert_eq(count, 3);
    cr_assert_eq(bb_event_arg(&ev, 2, &v), 0);
    cr_assert_eq(bb_value_type(&v), BB_VECTOR);
    cr_assert_eq(bb_event_arg(&ev, 3, &v), BB_ENOENT);
    cr_assert_eq(bb_event_get_meta(&ev, 2, &v), 0);
    cr_assert_eq(bb_get_timestamp(&v, &ns), 0);
    cr_assert_eq(ns, 10);
    cr_assert_eq(bb_event_get_meta(&ev, BB_META_USER, &v), BB_ENOENT);
}

Test(event, without_metadata_or_arguments, .timeout = 20)
{
    struct bb_builder b = begin();
    struct bb_event ev;
    struct bb_value v;
    bb_event_begin(&b, "", 0);
    bb_event_end(&b);
    cr_assert_eq(bb_event_open(&ev, buf, (size_t)bb_build_end(&b)), 0);
    cr_assert_eq(ev.name_bytes, 0);
    cr_assert_eq(ev.arg_count, 0);
    cr_assert_null(ev.metadata.p);
    cr_assert_eq(bb_event_arg(&ev, 0, &v), BB_ENOENT);
    cr_assert_eq(bb_event_get_meta(&ev, 1, &v), BB_ENOENT);
}

Test(event, an_empty_metadata_vector_is_read, .timeout = 20)
{
    struct bb_builder b = begin();
    struct bb_event ev;
    struct bb_value v;
    bb_put_vector_begin(&b);
    bb_put_string(&b, "e", 1);
    bb_put_vector_begin(&b);
    bb_put_end(&b);
    bb_put_vector_begin(&b);
    bb_put_end(&b);
    bb_put_end(&b);
    cr_assert_eq(bb_event_open(&ev, buf, (size_t)bb_build_end(&b)), 0);
    cr_assert_not_null(ev.metadata.p);
    cr_assert_eq(bb_event_get_meta(&ev, 1, &v), BB_ENOENT);
}

Test(event, the_measuring_pass_is_exact, .timeout = 20)
{
    for (int metas = 0; metas < 4; metas++) {
        for (int inside = 0; inside < 2; inside++) {
            struct bb_builder b;
            bb_build_init(&b, NULL, 0);
            if (inside) {
                bb_put_vector_begin(&b);
            }
            put_example(&b, metas);
            put_example(&b, 0);
            if (inside) {
                bb_put_end(&b);
            }
            cr_assert_eq(bb_build_end(&b), BB_EMSGSIZE);
            size_t need = b.need_bytes;
            unsigned char *exact = malloc(need);
            bb_build_init(&b, exact, need);
            if (inside) {
                bb_put_vector_begin(&b);
            }
            put_example(&b, metas);
            put_example(&b, 0);
            if (inside) {
                bb_put_end(&b);
            }
            cr_assert_eq(bb_build_end(&b), (int64_t)need);
            free(exact);
        }
    }
}

/* ---- wrong calls ------------------------------------------------------------------------------- */

#define MISUSE(...)                                                                                \
    do {                                                                                           \
        b = begin();                                                                               \
        __VA_ARGS__;                                                                               \
        cr_assert_eq(bb_build_end(&b), BB_EINVAL);                                                 \
    } while (0)

Test(event, misuse_is_refused, .timeout = 20)
{
    struct bb_builder b;
    MISUSE(bb_event_end(&b));
    MISUSE(bb_event_meta(&b, 1));
    MISUSE(bb_event_begin(&b, "e", 1));
    MISUSE(bb_event_begin(&b, "e", 1), bb_put_end(&b), bb_event_end(&b));
    MISUSE(bb_event_begin(&b, "e", 1), bb_put_vector_begin(&b), bb_event_end(&b));
    MISUSE(bb_event_begin(&b, "e", 1), bb_put_vector_begin(&b), bb_event_meta(&b, 1));
    MISUSE(bb_event_begin(&b, "e", 1), bb_event_meta(&b, 1), bb_event_end(&b));
    MISUSE(bb_event_begin(&b, "e", 1), bb_event_meta(&b, 1), bb_event_meta(&b, 2));
    MISUSE(bb_event_begin(&b, "e", 1), bb_event_meta(&b, 1), bb_put_none(&b), bb_put_none(&b),
           bb_event_end(&b));
    MISUSE(bb_event_begin(&b, "e", 1), bb_event_meta(&b, 1), bb_put_none(&b), bb_put_end(&b),
           bb_event_end(&b));
    MISUSE(bb_event_begin(&b, "e", 1), bb_event_begin(&b, "f", 1), bb_event_end(&b),
           bb_event_end(&b));
    MISUSE(bb_put_vector_begin(&b), bb_event_end(&b), bb_put_end(&b));
}

/* ---- wrong shapes ------------------------------------------------------------------------------ */

#define SHAPE(wanted, ...)                                                                         \
    do {                                                                                           \
        b = begin();                                                                               \
        bb_put_vector_begin(&b);                                                                   \
        __VA_ARGS__;                                                                               \
        bb_put_end(&b);                                                                            \
        cr_assert_eq(bb_event_open(&ev, buf, (size_t)bb_build_end(&b)), wanted);                   \
    } while (0)
#define NAME  bb_put_string(&b, "e", 1)
#define LIST  bb_put_vector_begin(&b), bb_put_end(&b)
#define OTHER bb_put_set_begin(&b), bb_put_end(&b)

Test(event, values_that_are_no_events_are_said, .timeout = 20)
{
    struct bb_builder b;
    struct bb_event ev = {.name = "before"};
    SHAPE(BB_ETYPE, (void)0);
    SHAPE(BB_ETYPE, NAME);
    SHAPE(BB_ETYPE, LIST, LIST);
    SHAPE(BB_ETYPE, NAME, NAME);
    SHAPE(BB_ETYPE, NAME, OTHER);
    SHAPE(BB_ETYPE, NAME, LIST, NAME);
    SHAPE(BB_ETYPE, NAME, LIST, LIST, LIST);
    SHAPE(BB_ETYPE, bb_put_enum(&b, "e", 1), LIST);
    cr_assert_str_eq(ev.name, "before", "nothing is written on failure");
    b = begin();
    bb_put_none(&b);
    cr_assert_eq(bb_event_open(&ev, buf, 8), BB_ETYPE);
    cr_assert_eq(bb_event_open(&ev, buf, 7), BB_ECORRUPT);
    cr_assert_eq(bb_event_open(&ev, NULL, 0), BB_ECORRUPT);
    SHAPE(0, NAME, LIST);
    SHAPE(0, NAME, LIST, LIST);
}

Test(event, metadata_entries_are_checked_when_asked_for, .timeout = 20)
{
    struct bb_builder b;
    struct bb_event ev;
    struct bb_value v;
    SHAPE(0, NAME, LIST, bb_put_vector_begin(&b), bb_put_none(&b), bb_put_end(&b));
    cr_assert_eq(bb_event_get_meta(&ev, 1, &v), BB_ETYPE);
    SHAPE(0, NAME, LIST, bb_put_vector_begin(&b), LIST, bb_put_end(&b));
    cr_assert_eq(bb_event_get_meta(&ev, 1, &v), BB_ETYPE);
}

Test(event, truncated_events_are_never_read_past_their_end, .timeout = 20)
{
    struct bb_builder b = begin();
    struct bb_event ev;
    struct bb_value v;
    put_example(&b, 2);
    size_t bytes = (size_t)bb_build_end(&b);
    for (size_t kept = 0; kept < bytes; kept++) {
        unsigned char *part = malloc(kept + (kept == 0));
        memcpy(part, buf, kept);
        cr_assert_eq(bb_event_open(&ev, part, kept), BB_ECORRUPT);
        free(part);
    }
    /* A view that was overwritten after it had been opened. */
    unsigned char *view = malloc(bytes);
    memcpy(view, buf, bytes);
    cr_assert_eq(bb_event_open(&ev, view, bytes), 0);
    memset(view, 0x7f, bytes);
    cr_assert_eq(bb_event_arg(&ev, 1, &v), BB_ECORRUPT);
    cr_assert_eq(bb_event_get_meta(&ev, 1, &v), BB_ECORRUPT);
    free(view);
}

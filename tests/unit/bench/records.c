/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A log's lines become fields and events of the right sizes; what is no JSON does no harm.
 * Method  Lines by hand, also broken ones; each event is built in exactly the room that was measured.
 */
#include "bench/records.h"

#include <busbar/busbar.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct bench_records
parse(const char *text)
{
    struct bench_records r = {.text = strdup(text)};
    cr_assert_eq(bench_records_parse(&r, strlen(text)), 0);
    return r;
}

static void
assert_field(const struct bench_record *record, uint32_t i, const char *text)
{
    cr_assert_lt(i, record->field_count);
    cr_assert_eq(record->fields[i].bytes, strlen(text), "field %u", i);
    cr_assert_eq(memcmp(record->fields[i].text, text, strlen(text)), 0, "field %u", i);
}

Test(bench_records, fields)
{
    struct bench_records r = parse("{\"_path\":\"dns\",\"n\":12,\"a\":[\"x,}\",\"y\"],\"e\":\"\","
                                   "\"q\":\"a \\\"b\\\" c\",\"o\":{\"k\":[1,2]},\"t\":true}\n"
                                   "\n"
                                   "plain text\n"
                                   "{\"only\":1}");
    cr_assert_eq(r.count, 3, "%zu", r.count);
    cr_assert_str_eq(r.name, "dns");
    cr_assert_eq(r.records[0].field_count, 7);
    assert_field(&r.records[0], 0, "dns");
    assert_field(&r.records[0], 1, "12");
    assert_field(&r.records[0], 2, "[\"x,}\",\"y\"]");
    assert_field(&r.records[0], 3, "");
    assert_field(&r.records[0], 4, "a \\\"b\\\" c");
    assert_field(&r.records[0], 5, "{\"k\":[1,2]}");
    assert_field(&r.records[0], 6, "true");
    assert_field(&r.records[1], 0, "plain text");
    assert_field(&r.records[2], 0, "1");
    bench_records_free(&r);
}

Test(bench_records, broken_lines_stay_inside)
{
    static const char *const lines[] = {"{",         "{\"",       "{\"a",        "{\"a\"",
                                        "{\"a\":",   "{\"a\":\"", "{\"a\":\"\\", "{\"a\":[[{\"",
                                        "{\"a\":1,", "{}",        "{\"a\" 1}",   "}",
                                        "\\"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct bench_records r = parse(lines[i]);
        cr_assert_eq(r.count, 1, "%s", lines[i]);
        for (uint32_t j = 0; j < r.records[0].field_count; j++) {
            const struct bench_field *f = &r.records[0].fields[j];
            cr_assert(f->text >= r.text && f->text + f->bytes <= r.text + strlen(lines[i]), "%s",
                      lines[i]);
        }
        bench_records_free(&r);
    }
}

Test(bench_records, events_have_the_measured_size_and_sum)
{
    struct bench_records r;
    cr_assert_eq(bench_records_make(&r), 0);
    for (size_t i = 0; i < r.count; i += 97) {
        unsigned char *room = malloc(r.records[i].event_bytes);
        struct bb_builder b;
        struct bb_event ev;
        struct bb_value v;
        uint64_t number, sum, seen = 0;
        bb_build_init(&b, room, r.records[i].event_bytes);
        bench_record_event(&b, &r, &r.records[i], 4711 + i);
        cr_assert_eq(bb_build_end(&b), r.records[i].event_bytes);
        cr_assert_eq(bb_event_open(&ev, room, r.records[i].event_bytes), 0);
        cr_assert_eq(ev.arg_count, r.records[i].field_count + 2);
        cr_assert(bb_event_arg(&ev, 0, &v) == 0 && bb_get_count(&v, &number) == 0);
        cr_assert(bb_event_arg(&ev, 1, &v) == 0 && bb_get_count(&v, &sum) == 0);
        for (uint32_t j = 2; j < ev.arg_count; j++) {
            const char *text;
            size_t bytes;
            cr_assert(bb_event_arg(&ev, j, &v) == 0 && bb_get_string(&v, &text, &bytes) == 0);
            seen += bench_text_sum(text, bytes);
        }
        cr_assert_eq(number, 4711 + i);
        cr_assert_eq(seen, sum);
        free(room);
    }
    bench_records_free(&r);
}

Test(bench_records, the_sum_depends_on_every_byte)
{
    char text[] = "nineteen characters";
    uint64_t sum = bench_text_sum(text, sizeof(text) - 1);
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        text[i] ^= 1;
        cr_assert_neq(bench_text_sum(text, sizeof(text) - 1), sum, "byte %zu", i);
        text[i] ^= 1;
    }
}

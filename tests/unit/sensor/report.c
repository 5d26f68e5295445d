/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the JSON of a result is exactly the object that is documented; a failed write is noticed.
 * Method: results by hand into a memory stream.
 */
#include "tools/sensor/report.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct sensor_layout layout;
static struct sensor_address clients[20];
static struct sensor_known known[] = {
    {.node = "manager", .clients = clients, .count = 2},
    {.node = "worker-1"},
    {.node = "proxy-1", .why = "it is not there"},
};

static struct sensor_report
result(void)
{
    struct sensor_report r = {.watch = "192.150.187.43",
                              .sum = {751, 13, 13, 13, 2, 0, 12, 1, 4, 5},
                              .layout = &layout,
                              .known = known,
                              .known_count = 2,
                              .complete = true};

    cr_assert_eq(sensor_layout_init(&layout, 2, 1, 0), 0);
    layout.peers[0].state = layout.peers[1].state = layout.peers[2].state = SENSOR_PEER_ENDED;
    layout.peers[0].end.packets = 751;
    for (unsigned i = 0; i < 20; i++) {
        char text[SENSOR_ADDRESS_TEXT];

        (void)snprintf(text, sizeof(text), "10.0.2.%u", 15 + i);
        cr_assert_eq(sensor_address_parse(text, clients[i].ip), 0);
    }
    return r;
}

static char *
print(int (*report)(FILE *, const struct sensor_report *), const struct sensor_report *r)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    cr_assert_eq(report(out, r), 0);
    cr_assert_eq(fclose(out), 0);
    return text;
}

Test(report, json, .timeout = 20)
{
    struct sensor_report r = result();
    char *text = print(sensor_report_json, &r);

    cr_assert_str_eq(
        text, "{\"packets\":751,\"connections\":13,\"events\":13,\"delivered\":13,"
              "\"filtered\":2,\"lost\":0,\"nodes\":{\"manager\":[\"10.0.2.15\",\"10.0.2.16\"],"
              "\"worker-1\":[]},\"log_records\":12,\"log_lost\":1}\n");
    free(text);
    sensor_layout_fini(&layout);
}

Test(report, json_with_missing_nodes_and_odd_names, .timeout = 20)
{
    struct sensor_report r = result();
    char *text;

    r.complete = false;
    r.known_count = 3;
    known[0].count = 0;
    known[0].node = "a\"b\\c\n";
    layout.peers[1].state = SENSOR_PEER_MISSING;
    layout.peers[2].is_gone = true;
    text = print(sensor_report_json, &r);
    cr_assert_not_null(strstr(text, "\"a\\\"b\\\\c\\u000a\":[],"), "%s", text);
    cr_assert_not_null(strstr(text, ",\"proxy-1\":null},"), "%s", text);
    cr_assert_not_null(strstr(text, ",\"gone\":4,\"nowhere\":5,\"complete\":false,"
                                    "\"missing\":[\"worker-2\",\"proxy-1\"]}\n"),
                       "%s", text);
    free(text);
    sensor_layout_fini(&layout);
}

Test(report, text, .timeout = 20)
{
    struct sensor_report r = result();
    char *text;

    r.known_count = 3;
    known[0].count = 20;
    layout.peers[1].state = SENSOR_PEER_MISSING;
    layout.peers[1].why = "died";
    text = print(sensor_report_text, &r);
    cr_assert_not_null(strstr(text, "\n  10.0.2.15\n"), "%s", text);
    cr_assert_not_null(strstr(text, "and 4 more"), "%s", text);
    cr_assert_not_null(strstr(text, "it died"), "%s", text);
    cr_assert_not_null(strstr(text, "\nproxy-1              no answer: it is not there\n"), "%s",
                       text);
    cr_assert_not_null(strstr(text, "\nworker-1             EX::known_clients = {}\n"), "%s", text);
    cr_assert_not_null(strstr(text, "conn log: 12 records written, 1 lost\n"), "%s", text);
    free(text);
    sensor_layout_fini(&layout);
}

/* One process has no layout. */
Test(report, alone, .timeout = 20)
{
    struct sensor_report r = result();
    char *text;

    r.layout = NULL;
    r.complete = false;
    text = print(sensor_report_json, &r);
    cr_assert_not_null(strstr(text, "\"missing\":[]}\n"), "%s", text);
    free(text);
    text = print(sensor_report_text, &r);
    cr_assert_not_null(strstr(text, "13 delivered, 2 filtered, 0 lost"), "%s", text);
    free(text);
    sensor_layout_fini(&layout);
}

Test(report, full_disk, .timeout = 20)
{
    struct sensor_report r = result();
    FILE *out = fopen("/dev/full", "w");

    cr_assert_not_null(out);
    cr_assert_eq(sensor_report_json(out, &r), -1);
    (void)fclose(out);
    sensor_layout_fini(&layout);
}

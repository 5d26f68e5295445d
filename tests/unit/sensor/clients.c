/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the set holds each address once, sorted, up to its limit; addresses read and write as people do.
 * Method: many adds with repetitions against what is known of them.
 */
#include "tools/sensor/clients.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void
add(struct sensor_clients *set, const char *text)
{
    uint8_t ip[16];

    cr_assert_eq(sensor_address_parse(text, ip), 0);
    sensor_clients_add(set, ip);
}

Test(clients, sorted_and_once, .timeout = 20)
{
    static const char *const expected[] = {"9.0.0.1", "10.0.0.2", "10.0.0.10", "2001:db8::1"};
    struct sensor_clients set;
    struct sensor_address *sorted;
    char text[SENSOR_ADDRESS_TEXT];

    sensor_clients_init(&set, 100, 7);
    add(&set, "2001:db8::1");
    add(&set, "10.0.0.10");
    add(&set, "10.0.0.2");
    add(&set, "10.0.0.10");
    add(&set, "9.0.0.1");
    add(&set, "::"); /* nobody */
    cr_assert_eq(set.count, 4);
    sorted = sensor_clients_sorted(&set);
    for (size_t i = 0; i < 4; i++) {
        sensor_address_text(sorted[i].ip, text);
        cr_assert_str_eq(text, expected[i]);
    }
    free(sorted);
    sensor_clients_fini(&set);
}

Test(clients, grows_to_its_limit, .timeout = 20)
{
    struct sensor_clients set;
    struct sensor_address *sorted;

    sensor_clients_init(&set, 5000, 99);
    for (uint32_t i = 0; i < 12000; i++) {
        uint32_t host = i % 6000;
        uint8_t ip[16] = {[10] = 0xff,          0xff,         10, (uint8_t)(host >> 16),
                          (uint8_t)(host >> 8), (uint8_t)host};

        sensor_clients_add(&set, ip);
    }
    cr_assert_eq(set.count, 5000);
    cr_assert_eq(set.refused, 2000); /* 1,000 hosts, twice */
    sorted = sensor_clients_sorted(&set);
    for (size_t i = 1; i < set.count; i++) {
        cr_assert_lt(memcmp(sorted[i - 1].ip, sorted[i].ip, 16), 0);
    }
    free(sorted);
    sensor_clients_fini(&set);
}

Test(clients, empty, .timeout = 20)
{
    struct sensor_clients set;
    struct sensor_address *sorted;

    sensor_clients_init(&set, 10, 1);
    sorted = sensor_clients_sorted(&set);
    cr_assert_not_null(sorted);
    free(sorted);
    sensor_clients_fini(&set);
}

Test(clients, addresses_that_are_none, .timeout = 20)
{
    static const char *const wrong[] = {"",    "10.0.0",     "10.0.0.256", "any",
                                        "::g", "10.0.0.1/8", "host"};
    uint8_t ip[16];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(sensor_address_parse(wrong[i], ip), -1, "%s", wrong[i]);
    }
}

/* Neighbours, by their last or their first bytes: a poor hash would walk for minutes here. */
Test(clients, neighbours, .timeout = 20)
{
    struct sensor_clients set;

    sensor_clients_init(&set, SENSOR_CLIENTS_MAX, 3);
    for (uint32_t i = 0; i < 200000; i++) {
        uint8_t v4[16] = {[10] = 0xff, 0xff, 10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        uint8_t v6[16] = {0x20, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

        sensor_clients_add(&set, v4);
        sensor_clients_add(&set, v6);
    }
    cr_assert_eq(set.count, 400000);
    sensor_clients_fini(&set);
}

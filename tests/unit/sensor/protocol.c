/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what a node writes the other reads; nothing else is taken for a message of ours.
 * Method: each message there and back; cut, changed and foreign bytes.
 */
#include "tools/sensor/protocol.h"

#include <busbar/endpoint.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static unsigned char buf[SENSOR_EVENT_BYTES];
static struct sensor_message m;

static const struct sensor_end an_end = {1,
                                         2,
                                         3,
                                         SENSOR_END_STOPPED,
                                         5,
                                         6,
                                         UINT64_MAX,
                                         8,
                                         9,
                                         .sent = {{10, 11}, {12, 13}},
                                         .sent_count = 2};
static const struct sensor_tally a_tally = {1, 2, 3, 4, UINT64_MAX};
static const struct sensor_start a_start = {
    .workers = 16, .wall_ns = 123456789, .epoch = 77, .ids = {5, UINT64_MAX}, .id_count = 2};
static const struct sensor_connection a_connection = {
    .orig = {[10] = 0xff, 0xff, 10, 0, 2, 15},
    .resp = {0x20, 0x01, [15] = 9},
    .orig_port = 5000,
    .resp_port = 443,
};

static void
read_back(int64_t bytes)
{
    cr_assert_gt(bytes, 0);
    cr_assert_leq((size_t)bytes, sizeof(buf));
    sensor_read(&m, buf, (size_t)bytes);
}

Test(protocol, there_and_back, .timeout = 20)
{
    read_back(sensor_write_hello(buf, sizeof(buf), 16));
    cr_assert_eq(m.kind, SENSOR_MSG_HELLO);
    cr_assert_eq(m.workers, 16);
    read_back(sensor_write_ready(buf, sizeof(buf), 3, 16, BB_ROLE_PROXY));
    cr_assert_eq(m.kind, SENSOR_MSG_READY);
    cr_assert_eq(m.share, 3);
    cr_assert_eq(m.role, BB_ROLE_PROXY);
    cr_assert_eq(m.workers, 16);
    read_back(sensor_write_start(buf, sizeof(buf), &a_start));
    cr_assert_eq(m.kind, SENSOR_MSG_START);
    cr_assert_eq(m.workers, 16);
    cr_assert_eq(m.start.workers, 16);
    cr_assert_eq(m.start.wall_ns, 123456789);
    cr_assert_eq(m.start.epoch, 77);
    cr_assert_eq(m.start.id_count, 2);
    cr_assert_eq(m.start.ids[1], UINT64_MAX);
    read_back(sensor_write_passed(buf, sizeof(buf)));
    cr_assert_eq(m.kind, SENSOR_MSG_PASSED);
    read_back(sensor_write_tally(buf, sizeof(buf), &a_tally));
    cr_assert_eq(m.kind, SENSOR_MSG_TALLY);
    cr_assert_eq(memcmp(&m.tally, &a_tally, sizeof(a_tally)), 0);
    read_back(sensor_write_stop(buf, sizeof(buf)));
    cr_assert_eq(m.kind, SENSOR_MSG_STOP);
    read_back(sensor_write_end(buf, sizeof(buf), &an_end));
    cr_assert_eq(m.kind, SENSOR_MSG_END);
    cr_assert_eq(memcmp(&m.end, &an_end, sizeof(an_end)), 0);
}

Test(protocol, connection, .timeout = 20)
{
    int64_t bytes = sensor_write_connection(buf, sizeof(buf), &a_connection, 77);
    struct bb_event ev;
    struct bb_value v;
    uint16_t number = 0;
    enum bb_protocol protocol = BB_PROTO_UNKNOWN;
    int64_t wall_ns = 0;

    read_back(bytes);
    cr_assert_eq(m.kind, SENSOR_MSG_CONNECTION);
    cr_assert_arr_eq(m.orig, a_connection.orig, 16);
    cr_assert_arr_eq(m.resp, a_connection.resp, 16);
    cr_assert_eq(bb_event_open(&ev, buf, (size_t)bytes), 0);
    cr_assert_eq(ev.arg_count, 3);
    cr_assert_eq(bb_event_arg(&ev, 2, &v), 0);
    cr_assert_eq(bb_get_port(&v, &number, &protocol), 0);
    cr_assert_eq(number, 443);
    cr_assert_eq(protocol, BB_PROTO_TCP);
    cr_assert_eq(bb_event_get_meta(&ev, BB_META_NETWORK_TIME, &v), 0);
    cr_assert_eq(bb_get_timestamp(&v, &wall_ns), 0);
    cr_assert_eq(wall_ns, 77);
}

Test(protocol, result_with_and_without_clients, .timeout = 20)
{
    static const struct sensor_result result = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    static struct sensor_address many[1000];

    for (unsigned i = 0; i < 1000; i++) {
        many[i].ip[14] = (uint8_t)(i >> 8);
        many[i].ip[15] = (uint8_t)i;
    }
    read_back(sensor_write_result(buf, sizeof(buf), &result, many, 3));
    cr_assert_eq(m.kind, SENSOR_MSG_RESULT);
    read_back(sensor_write_result(buf, sizeof(buf), &result, NULL, 0));
    cr_assert_eq(m.kind, SENSOR_MSG_RESULT);
    cr_assert_eq(sensor_write_result(buf, sizeof(buf), &result, many, 1000), BB_EMSGSIZE);
}

Test(protocol, too_small_a_buffer, .timeout = 20)
{
    cr_assert_eq(sensor_write_end(buf, 64, &an_end), BB_EMSGSIZE);
    cr_assert_eq(sensor_write_hello(NULL, 0, 1), BB_EMSGSIZE);
}

Test(protocol, foreign_events, .timeout = 20)
{
    struct bb_builder b;

    sensor_read(&m, "hello", 5);
    cr_assert_eq(m.kind, SENSOR_MSG_UNKNOWN);
    sensor_read(&m, buf, 0);
    cr_assert_eq(m.kind, SENSOR_MSG_UNKNOWN);
    bb_build_init(&b, buf, sizeof(buf)); /* another name */
    bb_event_begin(&b, "scan_seen", 9);
    bb_event_end(&b);
    read_back(bb_build_end(&b));
    cr_assert_eq(m.kind, SENSOR_MSG_UNKNOWN);
    bb_build_init(&b, buf, sizeof(buf)); /* too few arguments */
    bb_event_begin(&b, "sensor_ready", 12);
    bb_put_count(&b, 1);
    bb_event_end(&b);
    read_back(bb_build_end(&b));
    cr_assert_eq(m.kind, SENSOR_MSG_UNKNOWN);
    bb_build_init(&b, buf, sizeof(buf)); /* more workers than there can be */
    bb_event_begin(&b, "sensor_start", 12);
    bb_put_count(&b, 1);
    bb_put_timestamp(&b, 2);
    bb_put_count(&b, 3);
    bb_put_vector_begin(&b);
    for (uint64_t i = 0; i <= SENSOR_IDS_MAX; i++) {
        bb_put_count(&b, i);
    }
    bb_put_end(&b);
    bb_event_end(&b);
    read_back(bb_build_end(&b));
    cr_assert_eq(m.kind, SENSOR_MSG_UNKNOWN);
    bb_build_init(&b, buf, sizeof(buf)); /* of another type */
    bb_event_begin(&b, "connection_established", 22);
    bb_put_string(&b, "10.0.0.1", 8);
    bb_put_string(&b, "10.0.0.2", 8);
    bb_event_end(&b);
    read_back(bb_build_end(&b));
    cr_assert_eq(m.kind, SENSOR_MSG_UNKNOWN);
}

Test(protocol, the_longest_end_mark, .timeout = 20)
{
    static struct sensor_end end;

    end.sent_count = SENSOR_SENT_MAX;
    for (uint64_t i = 0; i < SENSOR_SENT_MAX; i++) {
        end.sent[i] = (struct sensor_sent){UINT64_MAX - i, i};
    }
    read_back(sensor_write_end(buf, sizeof(buf), &end));
    cr_assert_eq(m.kind, SENSOR_MSG_END);
    cr_assert_eq(memcmp(&m.end, &end, sizeof(end)), 0);
}

/* Whatever becomes of the bytes, no read leaves them: blocks of exactly their size, for ASan. */
Test(protocol, cut_and_changed, .timeout = 60)
{
    int64_t bytes = sensor_write_connection(buf, sizeof(buf), &a_connection, 77);

    for (size_t n = 0; n <= (size_t)bytes; n++) {
        unsigned char *exact = malloc(n + 1);

        memcpy(exact + 1, buf, n); /* and at an odd address */
        sensor_read(&m, exact + 1, n);
        cr_assert_eq(m.kind, n == (size_t)bytes ? SENSOR_MSG_CONNECTION : SENSOR_MSG_UNKNOWN);
        free(exact);
    }
    for (size_t i = 0; i < (size_t)bytes * 8; i++) {
        unsigned char *exact = malloc((size_t)bytes);

        memcpy(exact, buf, (size_t)bytes);
        exact[i / 8] ^= (unsigned char)(1u << i % 8);
        sensor_read(&m, exact, (size_t)bytes);
        free(exact);
    }
}

Test(protocol, a_set_of_clients, .timeout = 20)
{
    struct sensor_address *clients = NULL;
    size_t count = 0;
    struct bb_builder b;
    struct bb_value v;
    int64_t bytes;

    bb_build_init(&b, buf, sizeof(buf));
    bb_put_set_begin(&b);
    bb_put_address(&b, a_connection.resp);
    bb_put_address(&b, a_connection.orig);
    bb_put_end(&b);
    bytes = bb_build_end(&b);
    cr_assert_eq(bb_value_open(&v, buf, (size_t)bytes), 0);
    cr_assert_eq(sensor_read_clients(&v, &clients, &count), 0);
    cr_assert_eq(count, 2);
    cr_assert_arr_eq(clients[0].ip, a_connection.orig, 16);
    cr_assert_arr_eq(clients[1].ip, a_connection.resp, 16);
    free(clients);
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_set_begin(&b);
    bb_put_count(&b, 1);
    bb_put_end(&b);
    bytes = bb_build_end(&b);
    cr_assert_eq(bb_value_open(&v, buf, (size_t)bytes), 0);
    cr_assert_eq(sensor_read_clients(&v, &clients, &count), BB_ETYPE);
}

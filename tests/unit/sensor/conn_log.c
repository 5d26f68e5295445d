/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a conn record has the fields that were declared, in their order; no two connections share a uid.
 * Method: a record read back; uids of neighbouring numbers and seeds.
 */
#include "tools/sensor/conn_log.h"

#include <criterion/criterion.h>
#include <string.h>

Test(conn_log, a_record, .timeout = 20)
{
    static const struct sensor_connection conn = {
        .orig = {[10] = 0xff, 0xff, 10, 0, 2, 15},
        .resp = {[10] = 0xff, 0xff, 192, 0, 2, 1},
        .orig_port = 5000,
        .resp_port = 443,
    };
    unsigned char buf[SENSOR_RECORD_BYTES];
    char text[256];
    struct bb_value v;
    int64_t bytes = sensor_write_record(buf, sizeof(buf), &conn, INT64_C(1500000000), "Cabc");

    cr_assert_gt(bytes, 0);
    cr_assert_eq(bb_value_open(&v, buf, (size_t)bytes), 0);
    cr_assert_eq(bb_value_check(&v), 0);
    bytes = bb_value_text(&v, text, sizeof(text) - 1);
    cr_assert_gt(bytes, 0);
    cr_assert_lt((size_t)bytes, sizeof(text));
    text[bytes] = '\0';
    cr_assert_not_null(strstr(text, ", Cabc, 10.0.2.15, 5000/tcp, 192.0.2.1, 443/tcp, tcp)"), "%s",
                       text);
    cr_assert_eq(sensor_write_record(buf, 64, &conn, 1, "Cabc"), BB_EMSGSIZE);
}

Test(conn_log, uids_differ, .timeout = 20)
{
    static char uids[1000][SENSOR_UID_TEXT];

    for (uint64_t i = 0; i < 1000; i++) {
        sensor_uid(i % 10, i / 10, uids[i]);
        cr_assert_eq(strlen(uids[i]), SENSOR_UID_TEXT - 1);
        cr_assert_eq(uids[i][0], 'C');
        cr_assert_eq(strspn(uids[i], "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "abcdefghijklmnopqrstuvwxyz"),
                     SENSOR_UID_TEXT - 1);
        for (uint64_t k = 0; k < i; k++) {
            cr_assert_neq(strcmp(uids[i], uids[k]), 0);
        }
    }
}

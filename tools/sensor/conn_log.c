/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/conn_log.h"

#include "tools/sensor/mix.h"

#include <string.h>

static const struct bb_log_field fields[] = {
    {"ts", BB_TIMESTAMP},   {"uid", BB_STRING},        {"id.orig_h", BB_ADDRESS},
    {"id.orig_p", BB_PORT}, {"id.resp_h", BB_ADDRESS}, {"id.resp_p", BB_PORT},
    {"proto", BB_ENUM},
};

void
sensor_uid(uint64_t seed, uint64_t number, char out[SENSOR_UID_TEXT])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint64_t high = sensor_mix_in(seed, number);
    uint64_t low = sensor_mix_in(high, seed);

    out[0] = 'C';
    for (int i = 1; i < SENSOR_UID_TEXT - 1; i++) {
        uint64_t *word = i % 2 == 0 ? &low : &high;

        out[i] = digits[*word % 62];
        *word /= 62;
    }
    out[SENSOR_UID_TEXT - 1] = '\0';
}

int64_t
sensor_write_record(
    void *buf, size_t cap, const struct sensor_connection *conn, int64_t wall_ns, const char *uid)
{
    struct bb_builder b;

    bb_build_init(&b, buf, cap);
    bb_put_vector_begin(&b);
    bb_put_timestamp(&b, wall_ns);
    bb_put_string(&b, uid, strlen(uid));
    bb_put_address(&b, conn->orig);
    bb_put_port(&b, conn->orig_port, BB_PROTO_TCP);
    bb_put_address(&b, conn->resp);
    bb_put_port(&b, conn->resp_port, BB_PROTO_TCP);
    bb_put_enum(&b, "tcp", 3);
    bb_put_end(&b);
    return bb_build_end(&b);
}

int
sensor_conn_log_open(struct bb_log **out, struct bb_cluster *cluster, struct bb_error *error)
{
    const struct bb_log_opts opts = {.size = sizeof(opts),
                                     .stream = "conn",
                                     .fields = fields,
                                     .field_count = sizeof(fields) / sizeof(fields[0]),
                                     .error = error};

    return bb_log_open(out, cluster, &opts);
}

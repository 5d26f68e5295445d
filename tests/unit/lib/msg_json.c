/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: one legal JSON object for any message and status, as DESIGN.md section 11 says.
 * Method: whole lines compared; malformed payloads fall back to data; random payloads through a JSON checker.
 */
#include <busbar/endpoint.h>
#include <busbar/value.h>

#include "tests/unit/lib/json_check.h"
#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

#define HEAD                                                                                       \
    "{\"t\":\"2018-07-07T01:12:38.459474000Z\",\"topic\":\"a/"                                     \
    "b\",\"node\":\"worker-1\",\"seq\":7,\"lost\":2,"

static unsigned char buf[4096];
static char text[1 << 16];

static struct bb_msg
message(uint32_t attr, const void *data, size_t bytes)
{
    return (struct bb_msg){
        .topic = "a/b",
        .topic_bytes = 3,
        .data = data,
        .bytes = bytes,
        .node = "worker-1",
        .seq = 7,
        .wall_ns = 1530925958459474000,
        .lost = 2,
        .attr = attr,
    };
}

static void
expect(const struct bb_msg *msg, const char *wanted)
{
    int64_t bytes = bb_msg_json(msg, text, sizeof(text));
    cr_assert_str_eq(text, wanted);
    cr_assert_eq(bytes, (int64_t)strlen(wanted));
    cr_assert(json_is_legal(text, (size_t)bytes));
}

static size_t
build_event(int metas)
{
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bb_event_begin(&b, "scan", 4);
    bb_put_count(&b, 3);
    bb_put_string(&b, "x", 1);
    for (int i = 0; i < metas; i++) {
        bb_event_meta(&b, 1);
        bb_put_timespan(&b, 5);
    }
    bb_event_end(&b);
    int64_t bytes = bb_build_end(&b);
    cr_assert_gt(bytes, 0);
    return (size_t)bytes;
}

Test(msg_json, events, .timeout = 20)
{
    struct bb_msg msg = message(BB_EVENT | BB_NATIVE, buf, build_event(0));
    expect(&msg, HEAD
           "\"kind\":\"event\",\"event\":\"scan\",\"args\":[{\"@data-type\":\"count\",\"data\":3},"
           "{\"@data-type\":\"string\",\"data\":\"x\"}]}");
    msg.bytes = build_event(1);
    msg.attr |= BB_PRIORITY;
    expect(
        &msg, HEAD
        "\"kind\":\"event\",\"event\":\"scan\",\"args\":[{\"@data-type\":\"count\",\"data\":3},"
        "{\"@data-type\":\"string\",\"data\":\"x\"}],\"meta\":[{\"@data-type\":\"vector\",\"data\":"
        "["
        "{\"@data-type\":\"count\",\"data\":1},{\"@data-type\":\"timespan\",\"data\":\"5ns\"}]}]}");
}

Test(msg_json, values, .timeout = 20)
{
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_boolean(&b, 1);
    struct bb_msg msg = message(BB_VALUE | BB_NATIVE, buf, b.need_bytes);
    expect(&msg, HEAD "\"kind\":\"value\",\"value\":{\"@data-type\":\"boolean\",\"data\":true}}");
}

Test(msg_json, raw_bytes, .timeout = 20)
{
    struct bb_msg msg = message(BB_RAW, "hi \"you\"\n", 9);
    expect(&msg, HEAD "\"kind\":\"raw\",\"data\":\"hi \\\"you\\\"\\n\"}");
    msg = message(BB_RAW, NULL, 0);
    expect(&msg, HEAD "\"kind\":\"raw\",\"data\":\"\"}");
    msg = message(BB_RAW, "\xff", 1);
    expect(&msg, HEAD "\"kind\":\"raw\",\"base64\":\"/w==\"}");
    msg = message(BB_RAW, "\xff\xfe", 2);
    expect(&msg, HEAD "\"kind\":\"raw\",\"base64\":\"//4=\"}");
    msg = message(BB_RAW,
                  "a\xff\xfe"
                  "Man",
                  6);
    expect(&msg, HEAD "\"kind\":\"raw\",\"base64\":\"Yf/+TWFu\"}");
}

Test(msg_json, other_kinds_and_formats_are_data, .timeout = 20)
{
    struct bb_msg msg = message(BB_STORE, "x", 1);
    expect(&msg, HEAD "\"kind\":\"store\",\"data\":\"x\"}");
    msg.attr = BB_CONTROL;
    expect(&msg, HEAD "\"kind\":\"control\",\"data\":\"x\"}");
    msg.attr = 7;
    expect(&msg, HEAD "\"kind\":\"unknown\",\"data\":\"x\"}");
    msg = message(BB_EVENT | BB_JSON_V1, "{}", 2);
    expect(&msg, HEAD "\"kind\":\"event\",\"data\":\"{}\"}");
    msg = message(BB_VALUE | BB_BROKER_V1, "\x01\xff", 2);
    expect(&msg, HEAD "\"kind\":\"value\",\"base64\":\"Af8=\"}");
}

Test(msg_json, malformed_payloads_fall_back_to_data, .timeout = 20)
{
    struct bb_msg msg = message(BB_EVENT, "not an event", 12);
    expect(&msg, HEAD "\"kind\":\"event\",\"data\":\"not an event\"}");
    msg.attr = BB_VALUE;
    expect(&msg, HEAD "\"kind\":\"value\",\"data\":\"not an event\"}");
    /* The last argument is bad, when half of the object stands there already. */
    size_t bytes = build_event(0);
    buf[bytes - 12] = 0x7f;
    msg = message(BB_EVENT, buf, bytes);
    cr_assert_gt(bb_msg_json(&msg, text, sizeof(text)), 0);
    cr_assert_null(strstr(text, "\"event\":"));
    cr_assert_not_null(strstr(text, "\"kind\":\"event\",\"data\":"));
}

Test(msg_json, topics_and_nodes_are_made_legal, .timeout = 20)
{
    struct bb_msg msg = message(BB_RAW, "x", 1);
    msg.topic = "a\xff\0";
    msg.node = NULL;
    msg.wall_ns = -1;
    expect(&msg, "{\"t\":\"1969-12-31T23:59:59.999999999Z\",\"topic\":\"a\\u00ff\\u0000\",\"node\":"
                 "\"\",\"seq\":7,"
                 "\"lost\":2,\"kind\":\"raw\",\"data\":\"x\"}");
}

Test(msg_json, statuses, .timeout = 20)
{
    static const char *const names[] = {"unknown", "joined",  "left",    "died",
                                        "overrun", "evicted", "corrupt", "replies"};
    struct bb_status status = {.role = BB_ROLE_WORKER, .count = 9, .pid = 42};
    struct bb_msg msg = {.node = "worker-1", .wall_ns = 1000, .status = &status};
    for (uint32_t kind = 0; kind < 9; kind++) { /* 8 to 12 are of links: unit/lib/link_status */
        char wanted[256];
        status.kind = kind < 8 ? kind : BB_STATUS_GAP + 1;
        snprintf(
            wanted, sizeof(wanted),
            "{\"t\":\"1970-01-01T00:00:00.000001000Z\",\"status\":\"%s\",\"node\":\"worker-1\","
            "\"role\":\"worker\",\"pid\":42,\"count\":9}",
            names[kind % 8]);
        expect(&msg, wanted);
    }
}

Test(msg_json, every_capacity_is_respected, .timeout = 20)
{
    struct bb_msg msg = message(BB_EVENT, buf, build_event(1));
    static char whole[1024];
    int64_t bytes = bb_msg_json(&msg, whole, sizeof(whole));
    for (size_t cap = 0; cap <= (size_t)bytes + 1; cap++) {
        char *out = malloc(cap + (cap == 0));
        cr_assert_eq(bb_msg_json(&msg, out, cap), bytes);
        if (cap > 0) {
            cr_assert_eq(strlen(out), cap - 1);
            cr_assert_eq(memcmp(out, whole, cap - 1), 0);
        }
        free(out);
    }
}

Test(msg_json, any_bytes_give_a_legal_object, .timeout = 20)
{
    rnd_seed("msg_json");
    for (int round = 0; round < 4000; round++) {
        size_t bytes;
        unsigned char *data = rnd_value(&bytes);
        for (uint32_t n = rnd_below(4); n > 0; n--) {
            data[rnd_below((uint32_t)bytes)] = (unsigned char)rnd();
        }
        struct bb_msg msg = message(rnd_below(8), data, bytes);
        int64_t chars = bb_msg_json(&msg, text, sizeof(text));
        cr_assert_gt(chars, 0);
        if ((size_t)chars < sizeof(text)) {
            cr_assert(json_is_legal(text, (size_t)chars), "%s", text);
        }
        free(data);
    }
}

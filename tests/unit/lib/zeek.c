/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: Zeek's messages are built and read as Broker has them; one bad member makes a whole batch bad; nesting
 * has a limit.
 * Method: messages built with the API and by hand, each rule broken once; a golden message in Broker's binary v1.
 */
#include <busbar/codec.h>

#include "tests/support/vectors.h"
#include <criterion/criterion.h>

TestSuite(zeek, .timeout = 20);

static unsigned char buf[1 << 15];

static struct bb_builder
begin(void)
{
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    return b;
}

static struct bb_value
end(struct bb_builder *b)
{
    int64_t bytes = bb_build_end(b);
    cr_assert_gt(bytes, 0, "%d", (int)bytes);
    struct bb_value v = {buf, (size_t)bytes};
    cr_assert_eq(bb_value_check(&v), 0);
    return v;
}

static int
open_built(struct bb_builder *b)
{
    struct bb_zeek_msg msg;
    struct bb_value v = end(b);
    return bb_zeek_open(&msg, &v);
}

static void
put_event(struct bb_builder *b, uint64_t number)
{
    bb_zeek_begin(b, BB_ZEEK_EVENT);
    bb_event_begin(b, "Lab::tick", 9);
    bb_put_count(b, number);
    if (number % 2 != 0) {
        bb_event_meta(b, BB_META_NETWORK_TIME);
        bb_put_timestamp(b, 5);
    }
    bb_event_end(b);
    bb_zeek_end(b);
}

static void
put_log_write(struct bb_builder *b)
{
    bb_zeek_begin(b, BB_ZEEK_LOG_WRITE);
    bb_put_vector_begin(b);
    bb_put_enum(b, "Conn::LOG", 9);
    bb_put_enum(b, "Log::WRITER_ASCII", 17);
    bb_put_string(b, "conn", 4);
    bb_put_string(b, "\0\1", 2);
    bb_put_end(b);
    bb_zeek_end(b);
}

static uint64_t
number_of(const struct bb_event *ev)
{
    struct bb_value arg;
    uint64_t number = UINT64_MAX;
    cr_assert_eq(bb_event_arg(ev, 0, &arg), 0);
    cr_assert_eq(bb_get_count(&arg, &number), 0);
    return number;
}

Test(zeek, an_event_as_broker_has_it)
{
    /* (1, 1, (Lab::tick, (7), ((1, 5ns)))) */
    static const char hex[] =
        "0e030200000000000000010200000000000000010e0305094c61623a3a7469636b0e01"
        "0200000000000000070e010e02020000000000000001090000000000000005";
    struct bb_builder b = begin();
    unsigned char binary[128];
    char got[257];
    put_event(&b, 7);
    struct bb_value v = end(&b);
    int64_t bytes = bb_value_binary(&v, binary, sizeof(binary));
    cr_assert_gt(bytes, 0);
    cr_assert_leq(bytes, (int64_t)sizeof(binary));
    hex_write(binary, (size_t)bytes, got);
    cr_assert_str_eq(got, hex);
    struct bb_zeek_msg msg;
    struct bb_value meta;
    cr_assert_eq(bb_zeek_open(&msg, &v), 0);
    cr_assert_eq(msg.type, BB_ZEEK_EVENT);
    cr_assert_eq(msg.event.name_bytes, 9);
    cr_assert_eq(memcmp(msg.event.name, "Lab::tick", 9), 0);
    cr_assert_eq(number_of(&msg.event), 7);
    cr_assert_eq(bb_event_get_meta(&msg.event, BB_META_NETWORK_TIME, &meta), 0);
}

Test(zeek, metadata_may_be_missing_empty_or_bad)
{
    struct bb_builder b = begin();
    put_event(&b, 2);
    cr_assert_eq(open_built(&b), 0);
    for (int kind = 0; kind < 5; kind++) {
        b = begin();
        bb_zeek_begin(&b, BB_ZEEK_EVENT);
        bb_put_vector_begin(&b);
        bb_put_string(&b, "e", 1);
        bb_put_vector_begin(&b);
        bb_put_end(&b);
        bb_put_vector_begin(&b);
        if (kind == 1) {
            bb_put_count(&b, 1); /* no entry but an id */
        } else if (kind > 1) {
            bb_put_vector_begin(&b);
            bb_put_integer(&b, 1); /* ids are counts */
            if (kind > 2) {
                bb_put_none(&b);
            }
            if (kind > 3) {
                bb_put_none(&b);
            }
            bb_put_end(&b);
        }
        bb_put_end(&b);
        bb_put_end(&b);
        bb_zeek_end(&b);
        cr_assert_eq(open_built(&b), kind == 0 ? 0 : BB_ETYPE, "%d", kind);
    }
}

/* (version, type, content), content being a vector of parts, with one of them of another type. */
static int
open_made(uint64_t version, uint64_t type, uint32_t parts, uint32_t wrong)
{
    static const int wanted[6][4] = {
        [BB_ZEEK_LOG_CREATE] = {BB_ENUM, BB_ENUM, BB_VECTOR, BB_VECTOR},
        [BB_ZEEK_LOG_WRITE] = {BB_ENUM, BB_ENUM, BB_STRING, BB_STRING},
        [BB_ZEEK_IDENTIFIER_UPDATE] = {BB_STRING, BB_COUNT, BB_NONE, BB_NONE},
    };
    struct bb_builder b = begin();
    bb_put_vector_begin(&b);
    bb_put_count(&b, version);
    bb_put_count(&b, type);
    bb_put_vector_begin(&b);
    for (uint32_t i = 0; i < parts; i++) {
        int part = type > 5 || i == wrong ? BB_BOOLEAN : wanted[type][i];
        if (part == BB_ENUM) {
            bb_put_enum(&b, "E", 1);
        } else if (part == BB_STRING) {
            bb_put_string(&b, "s", 1);
        } else if (part == BB_VECTOR) {
            bb_put_vector_begin(&b);
            bb_put_end(&b);
        } else {
            bb_put_boolean(&b, 1);
        }
    }
    bb_put_end(&b);
    bb_put_end(&b);
    return open_built(&b);
}

Test(zeek, what_each_type_asks_of_its_content)
{
    cr_assert_eq(open_made(1, BB_ZEEK_LOG_CREATE, 4, 9), 0);
    cr_assert_eq(open_made(1, BB_ZEEK_LOG_CREATE, 4, 0), BB_ETYPE);
    cr_assert_eq(open_made(1, BB_ZEEK_LOG_CREATE, 4, 1), BB_ETYPE);
    cr_assert_eq(open_made(1, BB_ZEEK_LOG_CREATE, 4, 2), 0, "the writer's settings are its own");
    cr_assert_eq(open_made(1, BB_ZEEK_LOG_CREATE, 3, 9), BB_ETYPE);
    cr_assert_eq(open_made(1, BB_ZEEK_LOG_WRITE, 4, 9), 0);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(open_made(1, BB_ZEEK_LOG_WRITE, 4, i), BB_ETYPE);
    }
    cr_assert_eq(open_made(1, BB_ZEEK_IDENTIFIER_UPDATE, 2, 9), 0);
    cr_assert_eq(open_made(1, BB_ZEEK_IDENTIFIER_UPDATE, 2, 0), BB_ETYPE);
    cr_assert_eq(open_made(1, BB_ZEEK_IDENTIFIER_UPDATE, 4, 9), BB_ETYPE);
    cr_assert_eq(open_made(1, BB_ZEEK_BATCH, 0, 9), 0, "a batch may be empty");
    cr_assert_eq(open_made(1, BB_ZEEK_BATCH, 1, 0), BB_ETYPE);
    cr_assert_eq(open_made(1, 0, 2, 9), BB_ETYPE);
    cr_assert_eq(open_made(1, 6, 2, 9), BB_ETYPE);
    cr_assert_eq(open_made(1, (UINT64_C(1) << 32) + 4, 2, 9), BB_ETYPE);
    cr_assert_eq(open_made(0, BB_ZEEK_LOG_WRITE, 4, 9), BB_ETYPE);
    cr_assert_eq(open_made(2, BB_ZEEK_LOG_WRITE, 4, 9), BB_ETYPE);
}

Test(zeek, no_message_at_all)
{
    struct bb_zeek_msg msg = {.type = 77};
    struct bb_builder b = begin();
    bb_put_string(&b, "s", 1);
    cr_assert_eq(open_built(&b), BB_ETYPE);
    b = begin();
    bb_event_begin(&b, "bare", 4);
    bb_event_end(&b);
    cr_assert_eq(open_built(&b), BB_ETYPE);
    b = begin();
    put_log_write(&b);
    struct bb_value v = end(&b);
    for (size_t bytes = 0; bytes + 8 <= v.bytes; bytes += 8) {
        struct bb_value cut = {buf, bytes};
        cr_assert_eq(bb_zeek_open(&msg, &cut), BB_ECORRUPT);
    }
    cr_assert_eq(msg.type, 77, "written only on success");
}

/* A batch of 5: events 0 and 1, a batch of (event 2, batch of (), log write), event 3. */
static struct bb_value
built_batch(void)
{
    struct bb_builder b = begin();
    bb_zeek_begin(&b, BB_ZEEK_BATCH);
    put_event(&b, 0);
    put_event(&b, 1);
    bb_zeek_begin(&b, BB_ZEEK_BATCH);
    put_event(&b, 2);
    bb_zeek_begin(&b, BB_ZEEK_BATCH);
    bb_zeek_end(&b);
    put_log_write(&b);
    bb_zeek_end(&b);
    put_event(&b, 3);
    bb_zeek_end(&b);
    return end(&b);
}

Test(zeek, nested_batches_are_read_in_order)
{
    struct bb_value v = built_batch();
    struct bb_zeek_msg batch;
    struct bb_zeek_msg msg;
    struct bb_zeek_iter it;
    uint64_t events = 0;
    cr_assert_eq(bb_zeek_open(&batch, &v), 0);
    cr_assert_eq(batch.type, BB_ZEEK_BATCH);
    cr_assert_eq(bb_zeek_iter_open(&it, &batch), 0);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(bb_zeek_next(&it, &msg), 0, "%d", i);
        cr_assert_eq(msg.type, i == 3 ? BB_ZEEK_LOG_WRITE : BB_ZEEK_EVENT);
        if (msg.type == BB_ZEEK_EVENT) {
            cr_assert_eq(number_of(&msg.event), events);
            events++;
        }
    }
    cr_assert_eq(bb_zeek_next(&it, &msg), BB_EEND);
    cr_assert_eq(bb_zeek_next(&it, &msg), BB_EEND);
    cr_assert_eq(bb_zeek_iter_open(&it, &msg), BB_ETYPE, "no batch");
}

Test(zeek, one_bad_member_makes_the_batch_bad)
{
    struct bb_builder b = begin();
    bb_zeek_begin(&b, BB_ZEEK_BATCH);
    put_event(&b, 0);
    bb_zeek_begin(&b, BB_ZEEK_BATCH);
    bb_zeek_begin(&b, BB_ZEEK_IDENTIFIER_UPDATE);
    bb_put_none(&b); /* no (id, value) */
    bb_zeek_end(&b);
    bb_zeek_end(&b);
    put_event(&b, 1);
    bb_zeek_end(&b);
    cr_assert_eq(open_built(&b), BB_ETYPE);
}

Test(zeek, batches_nest_16_deep)
{
    for (int depth = 15; depth < 100; depth += depth < 18 ? 1 : 40) {
        struct bb_builder b = begin();
        for (int i = 0; i < depth; i++) {
            bb_zeek_begin(&b, BB_ZEEK_BATCH);
        }
        put_event(&b, 1);
        for (int i = 0; i < depth; i++) {
            bb_zeek_end(&b);
        }
        cr_assert_eq(open_built(&b), depth <= 16 ? 0 : BB_ETYPE, "%d", depth);
    }
}

/* A batch inside an event's arguments, and metadata behind: what is open must be known without a buffer too. */
static int64_t
build_mixed(struct bb_builder *b, size_t cap)
{
    bb_build_init(b, cap == 0 ? NULL : buf, cap);
    bb_put_vector_begin(b);
    bb_event_begin(b, "holds a batch", 13);
    bb_zeek_begin(b, BB_ZEEK_BATCH);
    put_log_write(b);
    bb_zeek_begin(b, BB_ZEEK_BATCH);
    bb_zeek_end(b);
    bb_zeek_end(b);
    bb_event_meta(b, 200);
    bb_put_none(b);
    bb_event_end(b);
    bb_put_end(b);
    return bb_build_end(b);
}

Test(zeek, measuring_says_what_building_takes)
{
    struct bb_builder b;
    int64_t bytes = build_mixed(&b, sizeof(buf));
    cr_assert_gt(bytes, 200);
    for (size_t cap = 0; cap < (size_t)bytes; cap += 8) {
        cr_assert_eq(build_mixed(&b, cap), BB_EMSGSIZE);
        cr_assert_eq((int64_t)b.need_bytes, bytes, "%zu", cap);
    }
    cr_assert_eq(build_mixed(&b, (size_t)bytes), bytes);
}

static void
wrong_end(void (*put)(struct bb_builder *b))
{
    struct bb_builder b = begin();
    put(&b);
    cr_assert_eq(bb_build_end(&b), BB_EINVAL);
}

static void
put_no_content(struct bb_builder *b)
{
    bb_zeek_begin(b, BB_ZEEK_EVENT);
    bb_zeek_end(b);
}

static void
put_two_contents(struct bb_builder *b)
{
    bb_zeek_begin(b, BB_ZEEK_LOG_WRITE);
    bb_put_none(b);
    bb_put_none(b);
    bb_zeek_end(b);
}

static void
put_message_in_event(struct bb_builder *b)
{
    bb_zeek_begin(b, BB_ZEEK_EVENT);
    bb_zeek_begin(b, BB_ZEEK_EVENT);
    bb_put_none(b);
    bb_zeek_end(b);
    bb_zeek_end(b);
}

static void
put_container_left_open(struct bb_builder *b)
{
    bb_zeek_begin(b, BB_ZEEK_BATCH);
    bb_put_vector_begin(b);
    bb_zeek_end(b);
    bb_put_end(b);
}

static void
put_container_left_open_in_a_message(struct bb_builder *b)
{
    bb_zeek_begin(b, BB_ZEEK_LOG_WRITE);
    bb_put_vector_begin(b);
    for (uint64_t i = 0; i < 3; i++) {
        bb_put_count(b, 1 + 4 * (i == 1)); /* as if it were a batch */
    }
    bb_zeek_end(b);
    bb_put_end(b);
}

static void
put_end_only(struct bb_builder *b)
{
    bb_zeek_end(b);
}

static void
put_no_type(struct bb_builder *b)
{
    bb_zeek_begin(b, (enum bb_zeek_type)6);
    bb_put_none(b);
    bb_zeek_end(b);
}

Test(zeek, misuse_is_einval)
{
    wrong_end(put_no_content);
    wrong_end(put_two_contents);
    wrong_end(put_message_in_event);
    wrong_end(put_container_left_open);
    wrong_end(put_container_left_open_in_a_message);
    wrong_end(put_end_only);
    wrong_end(put_no_type);
}

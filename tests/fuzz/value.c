/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The native form from hostile bytes: check, explain, accessors, iterators, compare, hash, text, JSON, binary,
 * events, Zeek's messages; also while the bytes change.
 *
 * Input      u8 n, n times (u16 offset, u8 byte): changes, one before each value that is visited; then values.
 * Oracle     what passes the check is rebuilt by the builder, and comes back from binary v1, as the same bytes.
 */
#include "tests/fuzz/fuzz.h"

#include <busbar/codec.h>
#include <math.h>
#include <stdbool.h>

enum { PATCHES_MAX = 16, OUT_BYTES = 1 << 16 };

static unsigned char *bytes_of; /* the values, which change */
static size_t byte_count;
static struct fuzz_in patches;
static bool saw_nan;

static void
patch(void)
{
    if (patches.left >= 3 && byte_count > 0) {
        size_t off = fuzz_u16(&patches) % byte_count;
        bytes_of[off] = fuzz_u8(&patches);
    }
}

/* ---- every accessor ------------------------------------------------------------------------------- */

static void
read_numbers(const struct bb_value *v)
{
    int truth;
    uint64_t count;
    int64_t number;
    double real;
    enum bb_protocol protocol;
    uint16_t port;
    if (bb_get_boolean(v, &truth) == 0) {
        FUZZ_CHECK(truth == 0 || truth == 1);
    }
    (void)!bb_get_count(v, &count);
    (void)!bb_get_integer(v, &number);
    (void)!bb_get_timestamp(v, &number);
    (void)!bb_get_timespan(v, &number);
    if (bb_get_real(v, &real) == 0 && isnan(real)) {
        saw_nan = true;
    }
    if (bb_get_port(v, &port, &protocol) == 0) {
        FUZZ_CHECK((unsigned)protocol <= BB_PROTO_ICMP);
    }
}

static void
read_bytes(const struct bb_value *v)
{
    const char *s;
    size_t bytes;
    uint8_t ip[16];
    uint32_t bits;
    (void)!bb_get_address(v, ip);
    if (bb_get_subnet(v, ip, &bits) == 0) {
        FUZZ_CHECK(bits <= 128);
    }
    if (bb_get_string(v, &s, &bytes) == 0) {
        fuzz_touch(s, bytes);
    }
    if (bb_get_enum(v, &s, &bytes) == 0) {
        fuzz_touch(s, bytes);
    }
}

/* A value never begins before or ends behind the container that it was taken from. */
static void
visit_all(const struct bb_value *v)
{
    struct bb_iter levels[BB_VALUE_DEPTH + 1];
    const unsigned char *ends[BB_VALUE_DEPTH + 1];
    uint32_t depth = 0;
    struct bb_value at = *v;
    int rc = 0;
    for (;;) {
        if (rc == 0) {
            FUZZ_CHECK(depth == 0 || at.p + at.bytes <= ends[depth - 1]);
            patch();
            read_numbers(&at);
            read_bytes(&at);
            if (depth <= BB_VALUE_DEPTH && bb_iter_open(&levels[depth], &at) >= 0) {
                ends[depth++] = at.p + at.bytes;
            }
        } else {
            depth--;
        }
        if (depth == 0) {
            return;
        }
        rc = bb_iter_next(&levels[depth - 1], &at);
    }
}

/* ---- messages ------------------------------------------------------------------------------------- */

static void
visit_event(const struct bb_event *ev)
{
    struct bb_value v;
    fuzz_touch(ev->name, ev->name_bytes);
    for (uint32_t i = 0; i <= ev->arg_count && i < 8; i++) {
        if (bb_event_arg(ev, i, &v) == 0) {
            patch();
            read_bytes(&v);
        }
    }
    if (bb_event_get_meta(ev, BB_META_NETWORK_TIME, &v) == 0) {
        read_numbers(&v);
    }
}

static void
visit_messages(const struct bb_value *v)
{
    struct bb_event ev;
    struct bb_zeek_msg msg;
    struct bb_zeek_iter it;
    if (bb_event_open(&ev, v->p, v->bytes) == 0) {
        visit_event(&ev);
    }
    if (bb_zeek_open(&msg, v) < 0) {
        return;
    }
    if (msg.type == BB_ZEEK_EVENT) {
        visit_event(&msg.event);
    }
    if (msg.type == BB_ZEEK_BATCH && bb_zeek_iter_open(&it, &msg) == 0) {
        while (bb_zeek_next(&it, &msg) == 0) {
            patch();
            if (msg.type == BB_ZEEK_EVENT) {
                visit_event(&msg.event);
            }
        }
    }
}

/* ---- oracles over one value that does not change --------------------------------------------------- */

/* Prints into room for the half, then for all: the same beginning, the same size. */
static void
check_print(int64_t (*print)(const struct bb_value *, char *, size_t),
            const struct bb_value *v,
            bool is_good)
{
    static char half[OUT_BYTES];
    static char whole[OUT_BYTES];
    int64_t bytes = print(v, NULL, 0);
    FUZZ_CHECK(!is_good || bytes >= 0);
    if (bytes < 0 || bytes >= OUT_BYTES) {
        return;
    }
    size_t cap = (size_t)bytes / 2 + 1;
    FUZZ_CHECK(print(v, half, cap) == bytes);
    FUZZ_CHECK(print(v, whole, (size_t)bytes + 1) == bytes);
    FUZZ_CHECK(half[cap - 1] == '\0' && memcmp(half, whole, cap - 1) == 0);
}

static void
check_binary(const struct bb_value *v)
{
    static unsigned char binary[OUT_BYTES];
    struct bb_builder b;
    struct bb_codec_error error = {0};
    int64_t bytes = bb_value_binary(v, binary, sizeof(binary));
    FUZZ_CHECK(bytes > 0);
    if (bytes > (int64_t)sizeof(binary) || saw_nan) {
        return; /* there is only one NaN in binary v1 */
    }
    unsigned char *again = fuzz_copy(binary, v->bytes + 8);
    bb_build_init(&b, again, v->bytes + 8);
    bb_put_binary(&b, binary, (size_t)bytes, &error);
    FUZZ_CHECK(bb_build_end(&b) >= 0);
    struct bb_value w = {again, b.need_bytes};
    FUZZ_CHECK(bb_value_equal(v, &w) == 1);
    free(again);
}

static void
put_leaf(struct bb_builder *b, const struct bb_value *v)
{
    int truth;
    uint64_t count;
    int64_t number;
    double real;
    const char *s;
    size_t bytes;
    uint8_t ip[16];
    uint32_t bits;
    uint16_t port;
    enum bb_protocol protocol;
    if (bb_get_boolean(v, &truth) == 0) {
        bb_put_boolean(b, truth);
    } else if (bb_get_count(v, &count) == 0) {
        bb_put_count(b, count);
    } else if (bb_get_integer(v, &number) == 0) {
        bb_put_integer(b, number);
    } else if (bb_get_timestamp(v, &number) == 0) {
        bb_put_timestamp(b, number);
    } else if (bb_get_timespan(v, &number) == 0) {
        bb_put_timespan(b, number);
    } else if (bb_get_real(v, &real) == 0) {
        bb_put_real(b, real);
    } else if (bb_get_port(v, &port, &protocol) == 0) {
        bb_put_port(b, port, protocol);
    } else if (bb_get_address(v, ip) == 0) {
        bb_put_address(b, ip);
    } else if (bb_get_subnet(v, ip, &bits) == 0) {
        bb_put_subnet(b, ip, bits);
    } else if (bb_get_string(v, &s, &bytes) == 0) {
        bb_put_string(b, s, bytes);
    } else if (bb_get_enum(v, &s, &bytes) == 0) {
        bb_put_enum(b, s, bytes);
    } else {
        bb_put_none(b);
    }
}

/* Each value is put again; containers begin and end as they do there. */
static void
put_again(struct bb_builder *b, const struct bb_value *v)
{
    struct bb_iter levels[BB_VALUE_DEPTH];
    uint32_t depth = 0;
    struct bb_value at = *v;
    do {
        int type = bb_value_type(&at);
        if (type == BB_SET || type == BB_TABLE || type == BB_VECTOR) {
            FUZZ_CHECK(depth < BB_VALUE_DEPTH && bb_iter_open(&levels[depth], &at) >= 0);
            depth++;
            (type == BB_SET     ? bb_put_set_begin
             : type == BB_TABLE ? bb_put_table_begin
                                : bb_put_vector_begin)(b);
        } else {
            put_leaf(b, &at);
        }
        while (depth > 0 && bb_iter_next(&levels[depth - 1], &at) != 0) {
            bb_put_end(b);
            depth--;
        }
    } while (depth > 0);
}

static void
check_rebuilt(const struct bb_value *v)
{
    struct bb_builder b;
    unsigned char *again = malloc(v->bytes + 8);
    FUZZ_CHECK(again != NULL);
    bb_build_init(&b, again, v->bytes + 8);
    put_again(&b, v);
    FUZZ_CHECK(bb_build_end(&b) >= 0);
    struct bb_value w = {again, b.need_bytes};
    FUZZ_CHECK(bb_value_equal(v, &w) == 1 && bb_value_compare(v, &w) == 0);
    FUZZ_CHECK(bb_value_hash(v) == bb_value_hash(&w));
    bb_build_init(&b, again, v->bytes + 8);
    bb_put_value(&b, v);
    FUZZ_CHECK(bb_build_end(&b) == (int64_t)w.bytes);
    free(again);
}

static bool
check_value(const struct bb_value *v)
{
    struct bb_codec_error error = {0};
    int rc = bb_value_check(v);
    FUZZ_CHECK(bb_value_explain(v, &error) == rc);
    FUZZ_CHECK((rc < 0) == (error.sentence[0] != '\0'));
    FUZZ_CHECK(error.offset <= v->bytes);
    check_print(bb_value_text, v, rc == 0);
    check_print(bb_value_json, v, rc == 0);
    if (rc == 0) {
        check_binary(v);
        check_rebuilt(v);
    } else {
        static unsigned char binary[OUT_BYTES];
        (void)!bb_value_binary(v, binary, sizeof(binary));
    }
    return rc == 0;
}

static void
check_pair(const struct bb_value *a, const struct bb_value *b, bool are_good)
{
    int ab = bb_value_compare(a, b);
    int ba = bb_value_compare(b, a);
    FUZZ_CHECK(bb_value_compare(a, a) == 0);
    if (are_good) {
        FUZZ_CHECK((ab > 0) == (ba < 0) && (ab == 0) == (ba == 0));
        FUZZ_CHECK((ab == 0) == (bb_value_equal(a, b) == 1));
        FUZZ_CHECK(ab != 0 || bb_value_hash(a) == bb_value_hash(b));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_in in = {data, bytes};
    struct bb_value v;
    struct bb_value next;
    size_t patch_bytes;
    const uint8_t *patch_list =
        fuzz_bytes(&in, 3 * (size_t)(fuzz_u8(&in) % PATCHES_MAX), &patch_bytes);
    saw_nan = false;
    byte_count = in.left;
    bytes_of = fuzz_copy(in.p, in.left);
    patches.left = 0;
    if (bb_value_open(&v, bytes_of, byte_count) == 0) {
        visit_all(&v);
        bool are_good = check_value(&v);
        check_pair(&v, &v, are_good);
        if (bb_value_open(&next, v.p + v.bytes, byte_count - v.bytes) == 0) {
            check_pair(&v, &next, bb_value_check(&next) == 0 && are_good);
        }
        visit_messages(&v);
        patches = (struct fuzz_in){patch_list, patch_bytes};
        visit_all(&v);
        patches = (struct fuzz_in){patch_list, patch_bytes};
        visit_messages(&v);
    } else {
        v = (struct bb_value){bytes_of, byte_count};
        FUZZ_CHECK(bb_value_explain(&v, NULL) == BB_ECORRUPT);
        visit_all(&v);
    }
    free(bytes_of);
    return 0;
}

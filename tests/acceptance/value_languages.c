/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/acceptance/value_languages.c - a program in C and in C++ that uses all that value_inline.h has.
 *
 * value_languages.sh compiles it as both and runs it: exit 0 if an event came back as it was built.
 */
#include <busbar/value.h>
#include <string.h>

static const uint8_t IP[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 9};

static int64_t
build(void *buf, size_t bytes)
{
    struct bb_builder b;
    bb_build_init(&b, buf, bytes);
    bb_event_begin(&b, "all", 3);
    bb_put_none(&b);
    bb_put_boolean(&b, 1);
    bb_put_count(&b, 2);
    bb_put_integer(&b, -3);
    bb_put_real(&b, 4.5);
    bb_put_string(&b, "five", 4);
    bb_put_address(&b, IP);
    bb_put_subnet(&b, IP, 8);
    bb_put_port(&b, 80, BB_PROTO_TCP);
    bb_put_timestamp(&b, 9);
    bb_put_timespan(&b, 10);
    bb_put_enum(&b, "E::N", 4);
    bb_event_end(&b);
    return bb_build_end(&b);
}

struct seen {
    int boolean;
    uint64_t count;
    int64_t integer, wall_ns, span_ns;
    double real;
    const char *text, *name;
    size_t text_bytes, name_bytes;
    uint8_t ip[16], net[16];
    uint32_t prefix_bits;
    uint16_t port;
    enum bb_protocol protocol;
};

/* One after the other. */
static int
read_next(struct seen *s, const void *data, size_t bytes)
{
    struct bb_event ev;
    struct bb_iter it;
    struct bb_value none;
    return bb_event_open(&ev, data, bytes) == 0 && bb_event_args(&it, &ev) == 12
           && bb_iter_next(&it, &none) == 0 && bb_next_boolean(&it, &s->boolean) == 0
           && bb_next_count(&it, &s->count) == 0 && bb_next_integer(&it, &s->integer) == 0
           && bb_next_real(&it, &s->real) == 0 && bb_next_string(&it, &s->text, &s->text_bytes) == 0
           && bb_next_address(&it, s->ip) == 0 && bb_next_subnet(&it, s->net, &s->prefix_bits) == 0
           && bb_next_port(&it, &s->port, &s->protocol) == 0
           && bb_next_timestamp(&it, &s->wall_ns) == 0 && bb_next_timespan(&it, &s->span_ns) == 0
           && bb_next_enum(&it, &s->name, &s->name_bytes) == 0;
}

/* By number, each from a window of its own. */
static int
read_by_number(struct seen *s, const void *data, size_t bytes)
{
    struct bb_event ev;
    struct bb_value v[12];
    if (bb_event_open(&ev, data, bytes) != 0) {
        return 0;
    }
    for (uint32_t i = 0; i < 12; i++) {
        if (bb_event_arg(&ev, i, &v[i]) != 0) {
            return 0;
        }
    }
    return bb_get_boolean(&v[1], &s->boolean) == 0 && bb_get_count(&v[2], &s->count) == 0
           && bb_get_integer(&v[3], &s->integer) == 0 && bb_get_real(&v[4], &s->real) == 0
           && bb_get_string(&v[5], &s->text, &s->text_bytes) == 0
           && bb_get_address(&v[6], s->ip) == 0
           && bb_get_subnet(&v[7], s->net, &s->prefix_bits) == 0
           && bb_get_port(&v[8], &s->port, &s->protocol) == 0
           && bb_get_timestamp(&v[9], &s->wall_ns) == 0 && bb_get_timespan(&v[10], &s->span_ns) == 0
           && bb_get_enum(&v[11], &s->name, &s->name_bytes) == 0;
}

static int
is_as_built(const struct seen *s)
{
    return s->boolean == 1 && s->count == 2 && s->integer == -3 && !(s->real < 4.5)
           && !(s->real > 4.5) && s->text_bytes == 4 && memcmp(s->text, "five", 4) == 0
           && memcmp(s->ip, IP, 16) == 0 && s->net[12] == 10 && s->net[15] == 0
           && s->prefix_bits == 8 && s->port == 80 && s->protocol == BB_PROTO_TCP && s->wall_ns == 9
           && s->span_ns == 10 && s->name_bytes == 4 && memcmp(s->name, "E::N", 4) == 0;
}

int
main(void)
{
    unsigned char buf[512];
    struct seen seen[2];
    memset(seen, 0, sizeof(seen));
    int64_t bytes = build(buf, sizeof(buf));
    if (bytes <= 0 || build(buf, (size_t)bytes - 1) != BB_EMSGSIZE
        || build(buf, (size_t)bytes) != bytes) {
        return 1;
    }
    if (!read_next(&seen[0], buf, (size_t)bytes) || !is_as_built(&seen[0])) {
        return 2;
    }
    return read_by_number(&seen[1], buf, (size_t)bytes) && is_as_built(&seen[1]) ? 0 : 3;
}

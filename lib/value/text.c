/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text form, as Broker prints it: one way only, as strings stand without quotes.
 */
#include "lib/value/text.h"

#include <arpa/inet.h>

static void
put_ip(struct bbi_out *out, const unsigned char ip[16], bool as_ipv4)
{
    char text[INET6_ADDRSTRLEN];
    const char *s = as_ipv4 ? inet_ntop(AF_INET, ip + 12, text, sizeof(text))
                            : inet_ntop(AF_INET6, ip, text, sizeof(text));
    bbi_out_str(out, s == NULL ? "" : s);
}

static void
put_subnet(struct bbi_out *out, const unsigned char ip[16], uint32_t bits)
{
    bool is_ipv4 = bits >= 96 && bbi_is_ipv4(ip);
    put_ip(out, ip, is_ipv4);
    bbi_out_str(out, "/");
    bbi_out_u64(out, is_ipv4 ? bits - 96 : bits);
}

static void
put_port(struct bbi_out *out, uint64_t head)
{
    static const char *const names[] = {"/?", "/tcp", "/udp", "/icmp"};
    uint32_t protocol = bbi_head_a(head);
    bbi_out_u64(out, bbi_head_b(head));
    bbi_out_str(out, names[protocol <= BB_PROTO_ICMP ? protocol : BB_PROTO_UNKNOWN]);
}

static void
put_real(struct bbi_out *out, uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    bbi_out_real(out, v);
}

void
bbi_text_leaf(struct bbi_out *out, const struct bbi_walk *w)
{
    const unsigned char *body = w->value + BBI_HEAD_BYTES;
    unsigned char ip[16];
    switch (w->type) {
    case BB_NONE:
        bbi_out_str(out, "nil");
        break;
    case BB_BOOLEAN:
        bbi_out_str(out, bbi_head_a(w->head) != 0 ? "T" : "F");
        break;
    case BB_COUNT:
        bbi_out_u64(out, bbi_get64(body));
        break;
    case BB_INTEGER:
        bbi_out_i64(out, (int64_t)bbi_get64(body));
        break;
    case BB_REAL:
        put_real(out, bbi_get64(body));
        break;
    case BB_ADDRESS:
        memcpy(ip, body, sizeof(ip));
        put_ip(out, ip, bbi_is_ipv4(ip));
        break;
    case BB_SUBNET:
        memcpy(ip, body, sizeof(ip));
        put_subnet(out, ip, bbi_head_a(w->head));
        break;
    case BB_PORT:
        put_port(out, w->head);
        break;
    case BB_TIMESTAMP:
    case BB_TIMESPAN:
        bbi_out_i64(out, (int64_t)bbi_get64(body));
        bbi_out_str(out, "ns");
        break;
    default: /* string, enum */
        bbi_out_bytes(out, body, bbi_head_bytes(w->head) - BBI_HEAD_BYTES);
        break;
    }
}

/* What stands between a value and the one before it; `done` counts the value at hand too. */
static void
put_separator(struct bbi_out *out, const struct bbi_walk_frame *parent)
{
    if (parent == NULL || parent->done == 1) {
        return;
    }
    bool is_table_value = parent->type == BB_TABLE && parent->done % 2 == 0;
    bbi_out_str(out, is_table_value ? " -> " : ", ");
}

int64_t
bb_value_text(const struct bb_value *v, char *out, size_t cap)
{
    struct bbi_out text;
    struct bbi_walk w;
    int step;
    bbi_out_init(&text, out, cap);
    bbi_walk_init(&w, v->p, v->bytes);
    while ((step = bbi_walk_next(&w)) > 0) {
        if (step == BBI_WALK_LEAVE) {
            bbi_out_str(&text, w.type == BB_VECTOR ? ")" : "}");
            continue;
        }
        put_separator(&text, w.parent);
        if (step == BBI_WALK_ENTER) {
            bbi_out_str(&text, w.type == BB_VECTOR ? "(" : "{");
        } else {
            bbi_text_leaf(&text, &w);
        }
    }
    return step < 0 ? bbi_out_fail(&text, step) : bbi_out_finish(&text);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON v1, as Broker writes it: {"@data-type":TYPE,"data":DATA}.
 *
 * Always legal JSON, where Broker's is not: infinities and NaN are the strings "inf", "-inf" and "nan", control
 * bytes and bytes that are no UTF-8 are escaped (bbi_out_quoted() says how).  Times have milliseconds, cut off
 * towards 1970.
 */
#include "lib/value/text.h"

#include <math.h>

static const char *const type_names[BBI_TYPE_COUNT] = {
    "none", "boolean",   "count",    "integer",    "real", "string", "address", "subnet",
    "port", "timestamp", "timespan", "enum-value", "set",  "table",  "vector",
};

static void
put_real(struct bbi_out *out, uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    const char *quote = isfinite(v) ? "" : "\"";
    bbi_out_str(out, quote);
    bbi_out_real(out, v);
    bbi_out_str(out, quote);
}

static void
put_timestamp(struct bbi_out *out, int64_t wall_ns)
{
    int64_t ms = wall_ns / 1000000;
    int64_t s = ms / 1000 - (ms % 1000 < 0);
    bbi_out_str(out, "\"");
    bbi_out_date(out, s);
    bbi_out_str(out, ".");
    bbi_out_digits(out, (uint64_t)(ms - s * 1000), 3);
    bbi_out_str(out, "\"");
}

/* In the largest unit that loses nothing. */
static void
put_timespan(struct bbi_out *out, int64_t span_ns)
{
    static const char *const units[] = {"ns\"", "us\"", "ms\"", "s\""};
    size_t unit = 0;
    while (unit < 3 && span_ns % 1000 == 0) {
        span_ns /= 1000;
        unit++;
    }
    bbi_out_str(out, "\"");
    bbi_out_i64(out, span_ns);
    bbi_out_str(out, units[unit]);
}

static void
put_leaf_data(struct bbi_out *out, const struct bbi_walk *w)
{
    const unsigned char *body = w->value + BBI_HEAD_BYTES;
    switch (w->type) {
    case BB_NONE:
        bbi_out_str(out, "{}");
        break;
    case BB_BOOLEAN:
        bbi_out_str(out, bbi_head_a(w->head) != 0 ? "true" : "false");
        break;
    case BB_COUNT:
    case BB_INTEGER:
        bbi_text_leaf(out, w);
        break;
    case BB_REAL:
        put_real(out, bbi_get64(body));
        break;
    case BB_TIMESTAMP:
        put_timestamp(out, (int64_t)bbi_get64(body));
        break;
    case BB_TIMESPAN:
        put_timespan(out, (int64_t)bbi_get64(body));
        break;
    case BB_STRING:
    case BB_ENUM:
        bbi_out_quoted(out, body, bbi_head_bytes(w->head) - BBI_HEAD_BYTES);
        break;
    default: /* address, subnet, port */
        bbi_out_str(out, "\"");
        bbi_text_leaf(out, w);
        bbi_out_str(out, "\"");
        break;
    }
}

/* Before a value; `done` of its parent counts it already. */
static void
put_before(struct bbi_out *out, const struct bbi_walk *w)
{
    const struct bbi_walk_frame *parent = w->parent;
    if (parent != NULL && parent->type == BB_TABLE && parent->done % 2 == 0) {
        bbi_out_str(out, ",\"value\":");
    } else if (parent != NULL) {
        bbi_out_str(out, parent->done > 1 ? "," : "");
        bbi_out_str(out, parent->type == BB_TABLE ? "{\"key\":" : "");
    }
    bbi_out_str(out, "{\"@data-type\":\"");
    bbi_out_str(out, type_names[w->type]);
    bbi_out_str(out, "\",\"data\":");
}

static void
put_after(struct bbi_out *out, const struct bbi_walk *w)
{
    const struct bbi_walk_frame *parent = w->parent;
    bool ends_pair = parent != NULL && parent->type == BB_TABLE && parent->done % 2 == 0;
    bbi_out_str(out, ends_pair ? "}}" : "}");
}

int
bbi_json_value(struct bbi_out *out, const struct bb_value *v)
{
    struct bbi_walk w;
    int step;
    bbi_walk_init(&w, v->p, v->bytes);
    while ((step = bbi_walk_next(&w)) > 0) {
        if (step == BBI_WALK_LEAVE) {
            bbi_out_str(out, "]");
            put_after(out, &w);
            continue;
        }
        put_before(out, &w);
        if (step == BBI_WALK_ENTER) {
            bbi_out_str(out, "[");
        } else {
            put_leaf_data(out, &w);
            put_after(out, &w);
        }
    }
    return step;
}

int64_t
bb_value_json(const struct bb_value *v, char *out, size_t cap)
{
    struct bbi_out text;
    bbi_out_init(&text, out, cap);
    int rc = bbi_json_value(&text, v);
    return rc < 0 ? bbi_out_fail(&text, rc) : bbi_out_finish(&text);
}

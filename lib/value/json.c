/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON v1, as Broker writes it: {"@data-type":TYPE,"data":DATA}.
 *
 * Always legal JSON, where Broker's is not: infinities and NaN are the strings "inf", "-inf" and "nan", control
 * bytes and bytes that are no UTF-8 are escaped (bbi_out_quoted() says how).  Times have milliseconds, cut off
 * towards 1970.
 *
 * The exact form is the same JSON v1, but with all digits, and with escapes that keep apart what the other one
 * mixes up.
 */
#include "lib/value/text.h"
#include "lib/value/types.h"

#include <math.h>

#define USUAL_NAN (UINT64_C(0xfff) << 51)

static void
put_real(struct bbi_out *out, uint64_t bits, bool is_exact)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    if (!isfinite(v)) {
        bbi_out_str(out, "\"");
        bbi_out_real(out, v);
        if (is_exact && isnan(v) && bits != USUAL_NAN) {
            bbi_out_str(out, "(");
            bbi_out_hex(out, bits, 16);
            bbi_out_str(out, ")");
        }
        bbi_out_str(out, "\"");
    } else if (is_exact) {
        bbi_out_real_exact(out, v);
    } else {
        bbi_out_real(out, v);
    }
}

/* wall is in units of which a second has per_s. */
static void
put_time(struct bbi_out *out, int64_t wall, int64_t per_s, uint32_t digits)
{
    int64_t s = wall / per_s - (wall % per_s < 0);
    bbi_out_str(out, "\"");
    bbi_out_date(out, s);
    bbi_out_str(out, ".");
    bbi_out_digits(out, (uint64_t)wall - (uint64_t)s * (uint64_t)per_s, digits);
    bbi_out_str(out, "\"");
}

static void
put_timestamp(struct bbi_out *out, int64_t wall_ns, bool is_exact)
{
    if (is_exact && wall_ns % 1000000 != 0) {
        put_time(out, wall_ns, 1000000000, 9);
    } else {
        put_time(out, wall_ns / 1000000, 1000, 3);
    }
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
put_leaf_data(struct bbi_out *out, const struct bbi_walk *w, bool is_exact)
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
        put_real(out, bbi_get64(body), is_exact);
        break;
    case BB_TIMESTAMP:
        put_timestamp(out, (int64_t)bbi_get64(body), is_exact);
        break;
    case BB_TIMESPAN:
        put_timespan(out, (int64_t)bbi_get64(body));
        break;
    case BB_STRING:
    case BB_ENUM:
        (is_exact ? bbi_out_quoted_exact
                  : bbi_out_quoted)(out, body, bbi_head_bytes(w->head) - BBI_HEAD_BYTES);
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
    bbi_out_str(out, bb_type_name((int)w->type));
    bbi_out_str(out, "\",\"data\":");
}

static void
put_after(struct bbi_out *out, const struct bbi_walk *w)
{
    const struct bbi_walk_frame *parent = w->parent;
    bool ends_pair = parent != NULL && parent->type == BB_TABLE && parent->done % 2 == 0;
    bbi_out_str(out, ends_pair ? "}}" : "}");
}

static int
put_value(struct bbi_out *out, const struct bb_value *v, bool is_exact)
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
            put_leaf_data(out, &w, is_exact);
            put_after(out, &w);
        }
    }
    return step;
}

int
bbi_json_value(struct bbi_out *out, const struct bb_value *v)
{
    return put_value(out, v, false);
}

static int64_t
print(const struct bb_value *v, char *out, size_t cap, bool is_exact)
{
    struct bbi_out text;
    bbi_out_init(&text, out, cap);
    int rc = put_value(&text, v, is_exact);
    return rc < 0 ? bbi_out_fail(&text, rc) : bbi_out_finish(&text);
}

int64_t
bb_value_json(const struct bb_value *v, char *out, size_t cap)
{
    return print(v, out, cap, false);
}

int64_t
bb_value_json_exact(const struct bb_value *v, char *out, size_t cap)
{
    return print(v, out, cap, true);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON v1 into a builder: {"@data-type":TYPE,"data":DATA}, and in a table {"key":VALUE,"value":VALUE}.
 *
 * The idea: the builder needs the type before the data and a key before its value, and members of JSON stand in
 * any order.  When the second one is written first, it is skipped, the other is read, and then the text is read
 * on from where it was skipped:
 *
 *     {"data": [ ... ], "@data-type": "set"}
 *              ^ remembered by being read next; what follows the data is then checked once more
 *
 * Skipping reads bytes twice, at most once a level, and no more than a multiple of the text in all
 * (json_scan.c says which).  One frame for each open container, in an array as long as nesting may be deep.
 */
#include "lib/value/json_read.h"

#include "lib/value/build.h"
#include "lib/value/json_scan.h"
#include "lib/value/leaf.h"
#include "lib/value/types.h"

struct frame {
    const char *begin;    /* of the container's data, for sentences */
    const char *value_at; /* where the pair's value stands if it comes before its key, else NULL */
    uint8_t type;
    bool is_data_first;
    bool is_at_value; /* a table: the key has been read */
};

struct reader {
    struct bbi_json in;
    struct bb_builder *b;
    uint32_t depth;
    struct frame frames[BB_VALUE_DEPTH];
};

/* ---- members ----------------------------------------------------------------------------------- */

/* The name of a member that has to be one of two; *is_second says which. */
static bool
take_either(struct reader *r, const char *first, const char *second, bool *is_second)
{
    struct bbi_json_string name;
    (void)bbi_json_peek(&r->in);
    const char *at = r->in.p;
    if (!bbi_json_string(&r->in, &name)) {
        return false;
    }
    *is_second = bbi_json_is(&name, second);
    if (!*is_second && !bbi_json_is(&name, first)) {
        return bbi_json_refuse(&r->in, at, "only the members \"%s\" and \"%s\" belong here", first,
                               second);
    }
    return bbi_json_take(&r->in, ':');
}

/* The name of the one member that is missing yet, after a comma. */
static bool
take_other(struct reader *r, const char *name)
{
    struct bbi_json_string found;
    if (!bbi_json_take(&r->in, ',')) {
        return false;
    }
    (void)bbi_json_peek(&r->in);
    const char *at = r->in.p;
    if (!bbi_json_string(&r->in, &found)) {
        return false;
    }
    if (!bbi_json_is(&found, name)) {
        return bbi_json_refuse(&r->in, at, "here the member \"%s\" should stand, once", name);
    }
    return bbi_json_take(&r->in, ':');
}

static bool
take_type(struct reader *r, int *type)
{
    struct bbi_json_string name;
    char text[32];
    (void)bbi_json_peek(&r->in);
    const char *at = r->in.p;
    if (!bbi_json_string(&r->in, &name)) {
        return false;
    }
    *type = BB_EINVAL;
    if (name.bytes <= sizeof(text)) {
        bbi_json_decode(&name, text);
        *type = bbi_type_find(text, name.bytes);
    }
    if (*type < 0) {
        return bbi_json_refuse(
            &r->in, at,
            "there is no such @data-type; they are none, boolean, count, integer, "
            "real, string, address, subnet, port, timestamp, timespan, "
            "enum-value, set, table, vector");
    }
    return true;
}

/* From the `{` of a value to its data. */
static bool
open_object(struct reader *r, int *type, bool *is_data_first)
{
    if (!bbi_json_take(&r->in, '{') || !take_either(r, "@data-type", "data", is_data_first)) {
        return false;
    }
    if (!*is_data_first) {
        return take_type(r, type) && take_other(r, "data");
    }
    const char *data = r->in.p;
    if (!bbi_json_skip(&r->in) || !take_other(r, "@data-type") || !take_type(r, type)
        || !bbi_json_take(&r->in, '}')) {
        return false;
    }
    r->in.p = data;
    return true;
}

/* From behind a value's data past its `}`. */
static bool
close_object(struct reader *r, bool is_data_first)
{
    int type;
    if (is_data_first && (!take_other(r, "@data-type") || !take_type(r, &type))) {
        return false;
    }
    return bbi_json_take(&r->in, '}');
}

/* ---- values that are no containers --------------------------------------------------------------- */

static bool
refuse_data(struct reader *r, const char *at, int type)
{
    return bbi_json_refuse(&r->in, at, "the data is no %s, which is %s%s", bb_type_name(type),
                           type == BB_COUNT || type == BB_INTEGER || type == BB_REAL
                                   || type == BB_BOOLEAN
                               ? ""
                               : "in quotes: ",
                           type == BB_BOOLEAN ? "true or false" : bbi_leaf_form(type));
}

static bool
put_string(struct reader *r, int type)
{
    struct bbi_json_string string;
    if (!bbi_json_string(&r->in, &string)) {
        return false;
    }
    char *place = bbi_put_decoded(r->b, type, string.raw, string.bytes);
    if (place != NULL && string.bytes != string.raw_bytes) {
        bbi_json_decode(&string, place);
    }
    return true;
}

/* What is short and stands in quotes; reals only where JSON has no number for them. */
static bool
put_quoted_word(struct reader *r, int type)
{
    struct bbi_json_string string;
    char text[64];
    const char *at = r->in.p;
    if (!bbi_json_string(&r->in, &string)) {
        return false;
    }
    if (string.bytes >= sizeof(text)) {
        return refuse_data(r, at, type);
    }
    bbi_json_decode(&string, text);
    text[string.bytes] = '\0';
    bool is_odd = text[text[0] == '-'] == 'i' || text[text[0] == '-'] == 'n';
    if ((type == BB_REAL && !is_odd) || !bbi_leaf_put(r->b, type, text, string.bytes)) {
        return refuse_data(r, at, type);
    }
    return true;
}

/* A number, or the bare words of a boolean or of Broker's infinities. */
static bool
put_bare(struct reader *r, int type)
{
    const char *at;
    size_t bytes;
    if (!bbi_json_bare(&r->in, &at, &bytes)) {
        return false;
    }
    return bbi_leaf_put(r->b, type, at, bytes) || refuse_data(r, at, type);
}

static bool
put_leaf(struct reader *r, int type)
{
    char sign = bbi_json_peek(&r->in);
    bool is_quoted = sign == '"';
    switch (type) {
    case BB_NONE: /* Broker does not look at its data */
        bb_put_none(r->b);
        return bbi_json_skip(&r->in);
    case BB_BOOLEAN:
    case BB_COUNT:
    case BB_INTEGER:
        return is_quoted ? refuse_data(r, r->in.p, type) : put_bare(r, type);
    case BB_REAL:
        return is_quoted ? put_quoted_word(r, type) : put_bare(r, type);
    default:
        if (!is_quoted && r->in.p < r->in.end) {
            return refuse_data(r, r->in.p, type);
        }
        return type == BB_STRING || type == BB_ENUM ? put_string(r, type)
                                                    : put_quoted_word(r, type);
    }
}

/* ---- containers -------------------------------------------------------------------------------- */

static void
begin_container(struct bb_builder *b, int type)
{
    if (type == BB_SET) {
        bb_put_set_begin(b);
    } else if (type == BB_TABLE) {
        bb_put_table_begin(b);
    } else {
        bb_put_vector_begin(b);
    }
}

/* Before the next element: of a table, from its `{` to its key. */
static bool
begin_element(struct reader *r)
{
    struct frame *top = &r->frames[r->depth - 1];
    bool is_value_first;
    top->value_at = NULL;
    top->is_at_value = false;
    if (top->type != BB_TABLE) {
        return true;
    }
    if (!bbi_json_take(&r->in, '{') || !take_either(r, "key", "value", &is_value_first)) {
        return false;
    }
    if (is_value_first) {
        top->value_at = r->in.p;
        return bbi_json_skip(&r->in) && take_other(r, "key");
    }
    return true;
}

/* Between a key and its value. */
static bool
go_to_value(struct reader *r)
{
    struct frame *top = &r->frames[r->depth - 1];
    top->is_at_value = true;
    if (top->value_at == NULL) {
        return take_other(r, "value");
    }
    if (!bbi_json_take(&r->in, '}')) {
        return false;
    }
    r->in.p = top->value_at;
    return true;
}

/* Behind a pair's value, past its `}`. */
static bool
end_pair(struct reader *r)
{
    const struct frame *top = &r->frames[r->depth - 1];
    if (top->value_at != NULL && (!take_other(r, "key") || !bbi_json_skip(&r->in))) {
        return false;
    }
    return bbi_json_take(&r->in, '}');
}

/* At the `]`: past the container's object. */
static bool
end_container(struct reader *r)
{
    const struct frame *top = &r->frames[--r->depth];
    r->in.p++;
    bool was_good = r->b->err == 0;
    bb_put_end(r->b);
    if (was_good && r->b->err == BB_EEXIST) {
        return bbi_json_refuse(&r->in, top->begin, "this %s holds the same %s twice",
                               bb_type_name(top->type), top->type == BB_TABLE ? "key" : "element");
    }
    return close_object(r, top->is_data_first);
}

/* Behind a value: past all that ends there, up to the next value; depth is 0 when none comes. */
static bool
go_on(struct reader *r)
{
    while (r->depth > 0) {
        const struct frame *top = &r->frames[r->depth - 1];
        if (top->type == BB_TABLE && !top->is_at_value) {
            return go_to_value(r);
        }
        if (top->type == BB_TABLE && !end_pair(r)) {
            return false;
        }
        char sign = bbi_json_peek(&r->in);
        if (sign == ',') {
            r->in.p++;
            return begin_element(r);
        }
        if (sign != ']') {
            return bbi_json_refuse(&r->in, r->in.p, "%s `,` or `]` should stand",
                                   r->in.p == r->in.end ? "the text ends where" : "here");
        }
        if (!end_container(r)) {
            return false;
        }
    }
    return true;
}

/* Into a container, up to its first element; past it if it is empty. */
static bool
open_container(struct reader *r, int type, bool is_data_first)
{
    const char *begin = r->in.p;
    if (bbi_build_depth(r->b) >= BB_VALUE_DEPTH) {
        return bbi_json_refuse(&r->in, begin, "containers nest more than %d deep", BB_VALUE_DEPTH);
    }
    if (!bbi_json_take(&r->in, '[')) {
        return false;
    }
    begin_container(r->b, type);
    r->frames[r->depth++] =
        (struct frame){.begin = begin, .type = (uint8_t)type, .is_data_first = is_data_first};
    if (bbi_json_peek(&r->in) == ']') {
        return end_container(r) && go_on(r);
    }
    return begin_element(r);
}

/* One value's object: a leaf is read whole, a container opened. */
static bool
read_one(struct reader *r, int *type)
{
    bool is_data_first;
    if (!open_object(r, type, &is_data_first)) {
        return false;
    }
    if (!bbi_is_container((uint32_t)*type)) {
        return put_leaf(r, *type) && close_object(r, is_data_first) && go_on(r);
    }
    return open_container(r, *type, is_data_first);
}

int
bbi_json_read(struct bb_builder *b,
              const char *begin,
              const char **p,
              const char *end,
              struct bb_codec_error *error)
{
    struct reader r;
    int type;
    int outermost = BB_EINVAL;
    r.b = b;
    r.depth = 0;
    bbi_json_init(&r.in, begin, *p, end, error);
    do {
        if (!read_one(&r, &type)) {
            return BB_EINVAL;
        }
        outermost = outermost < 0 ? type : outermost;
    } while (r.depth > 0);
    *p = r.in.p;
    return outermost;
}

bool
bbi_looks_like_json(const char *p, const char *end)
{
    struct bbi_json in;
    struct bbi_json_string name;
    bbi_json_init(&in, p, p, end, NULL);
    return bbi_json_take(&in, '{') && bbi_json_string(&in, &name)
           && (bbi_json_is(&name, "@data-type") || bbi_json_is(&name, "data"))
           && bbi_json_take(&in, ':');
}

void
bb_put_json(struct bb_builder *b, const char *json, size_t bytes, struct bb_codec_error *error)
{
    static const char empty[1];
    const char *begin = bytes == 0 ? empty : json;
    const char *p = begin;
    const char *end = begin + bytes;
    if (b->err != 0 && b->err != BB_EMSGSIZE) {
        return;
    }
    int rc = bbi_json_read(b, begin, &p, end, error);
    if (rc >= 0) {
        while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
            p++;
        }
        if (p < end) {
            bbi_explain(error, (size_t)(p - begin), "something follows the value");
            rc = BB_EINVAL;
        }
    }
    if (rc < 0) {
        bbi_refuse_input(b);
    }
}

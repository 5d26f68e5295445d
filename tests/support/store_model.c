/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/store_model.h"
#include <string.h>

static uint64_t buffer[BBT_MODEL_BYTES / 8];

uint64_t
bbt_model_hash(const struct bb_value *v)
{
    return v->p == NULL ? 0 : bb_value_hash(v);
}

static int
built(struct bb_builder *b, struct bb_value *out)
{
    int64_t bytes = bb_build_end(b);
    return bytes < 0 ? (int)bytes : bb_value_open(out, buffer, (size_t)bytes);
}

/* ---- numbers ---- */

static int
add_count(uint64_t a, uint64_t b, bool is_minus, struct bb_builder *out)
{
    uint64_t sum;
    if (is_minus ? __builtin_sub_overflow(a, b, &sum) : __builtin_add_overflow(a, b, &sum)) {
        return BB_ERANGE;
    }
    bb_put_count(out, sum);
    return 0;
}

static int
add_signed(int64_t a, int64_t b, bool is_minus, int64_t *sum)
{
    bool is_over = is_minus ? __builtin_sub_overflow(a, b, sum) : __builtin_add_overflow(a, b, sum);
    return is_over ? BB_ERANGE : 0;
}

static int
add_reals(const struct bb_value *old,
          const struct bb_value *by,
          bool is_minus,
          struct bb_builder *b)
{
    double x = 0, y = 0;
    if ((old != NULL && bb_get_real(old, &x) != 0) || bb_get_real(by, &y) != 0) {
        return BB_ETYPE;
    }
    bb_put_real(b, is_minus ? x - y : x + y);
    return 0;
}

/* A span is added to a span or to a time; nothing is the time 1970. */
static int
add_span(const struct bb_value *old, const struct bb_value *by, bool is_minus, struct bb_builder *b)
{
    int64_t x = 0, y = 0, sum;
    bool is_span = old != NULL && bb_value_type(old) == BB_TIMESPAN;
    if (bb_get_timespan(by, &y) != 0
        || (old != NULL && (is_span ? bb_get_timespan(old, &x) : bb_get_timestamp(old, &x)) != 0)) {
        return BB_ETYPE;
    }
    int rc = add_signed(x, y, is_minus, &sum);
    if (rc == 0 && is_span) {
        bb_put_timespan(b, sum);
    } else if (rc == 0) {
        bb_put_timestamp(b, sum);
    }
    return rc;
}

static int
arithmetic(const struct bb_value *old,
           const struct bb_value *by,
           bool is_minus,
           struct bbt_model_result *out)
{
    struct bb_builder b;
    uint64_t c = 0, d = 0;
    int64_t i = 0, j = 0, sum;
    int rc = BB_ETYPE;
    if (old == NULL && is_minus) {
        return BB_ENOENT;
    }
    bb_build_init(&b, buffer, BBT_MODEL_BYTES);
    switch (bb_value_type(by)) {
    case BB_COUNT:
        if ((old == NULL || bb_get_count(old, &c) == 0) && bb_get_count(by, &d) == 0) {
            rc = add_count(c, d, is_minus, &b);
        }
        break;
    case BB_INTEGER:
        if ((old == NULL || bb_get_integer(old, &i) == 0) && bb_get_integer(by, &j) == 0) {
            rc = add_signed(i, j, is_minus, &sum);
            if (rc == 0) {
                bb_put_integer(&b, sum);
            }
        }
        break;
    case BB_REAL:
        rc = add_reals(old, by, is_minus, &b);
        break;
    case BB_TIMESPAN:
        rc = add_span(old, by, is_minus, &b);
        break;
    default:
        break;
    }
    rc = rc == 0 ? built(&b, &out->value) : rc;
    out->told = rc == 0 ? out->value : out->told;
    return rc;
}

/* ---- strings and containers ---- */

static int
append(const struct bb_value *old, const struct bb_value *what, struct bbt_model_result *out)
{
    static char text[BBT_MODEL_BYTES / 2];
    struct bb_builder b;
    const char *s = "", *t;
    size_t n = 0, m;
    if ((old != NULL && bb_get_string(old, &s, &n) != 0) || bb_get_string(what, &t, &m) != 0) {
        return BB_ETYPE;
    }
    if (n + m > sizeof(text)) {
        return BB_EMSGSIZE;
    }
    memcpy(text, s, n);
    memcpy(text + n, t, m);
    bb_build_init(&b, buffer, BBT_MODEL_BYTES);
    bb_put_string(&b, text, n + m);
    return built(&b, &out->value);
}

/* A set or table without this element or key, with it at the end if is_in.  -1: it was in it. */
static int
rebuild(const struct bb_value *old,
        const struct bb_value *index,
        const struct bb_value *value,
        bool is_table,
        bool is_in,
        struct bb_value *out)
{
    struct bb_builder b;
    struct bb_iter it;
    struct bb_value element, second;
    bool was_in = false;
    bb_build_init(&b, buffer, BBT_MODEL_BYTES);
    if (is_table) {
        bb_put_table_begin(&b);
    } else {
        bb_put_set_begin(&b);
    }
    int64_t count = old != NULL ? bb_iter_open(&it, old) : 0;
    for (int64_t i = 0; i < count; i++) {
        if (bb_iter_next(&it, &element) != 0 || (is_table && bb_iter_next(&it, &second) != 0)) {
            return BB_ECORRUPT;
        }
        if (bb_value_equal(&element, index) == 1) {
            was_in = true;
            continue;
        }
        bb_put_value(&b, &element);
        if (is_table) {
            bb_put_value(&b, &second);
        }
    }
    if (is_in) {
        bb_put_value(&b, index);
        if (is_table) {
            bb_put_value(&b, value);
        }
    }
    bb_put_end(&b);
    int rc = built(&b, out);
    return rc != 0 ? rc : was_in;
}

static int
insert(const struct bb_store_cmd *cmd, const struct bb_value *old, struct bbt_model_result *out)
{
    bool is_table = cmd->value.p != NULL;
    if (old != NULL && bb_value_type(old) != (is_table ? BB_TABLE : BB_SET)) {
        return BB_ETYPE;
    }
    int rc = rebuild(old, &cmd->index, &cmd->value, is_table, true, &out->value);
    return rc < 0 ? rc : 0;
}

static int
take_out(const struct bb_store_cmd *cmd, const struct bb_value *old, struct bbt_model_result *out)
{
    if (old == NULL) {
        return BB_ENOENT;
    }
    int type = bb_value_type(old);
    if (type != BB_SET && type != BB_TABLE) {
        return BB_ETYPE;
    }
    int rc = rebuild(old, &cmd->index, NULL, type == BB_TABLE, false, &out->value);
    return rc < 0 ? rc : 0;
}

/* The vector's first `keep` elements, and one more if it is not NULL. */
static int
vector_of(const struct bb_value *old,
          int64_t keep,
          const struct bb_value *more,
          struct bb_value *last,
          struct bb_value *out)
{
    struct bb_builder b;
    struct bb_iter it;
    struct bb_value element;
    bb_build_init(&b, buffer, BBT_MODEL_BYTES);
    bb_put_vector_begin(&b);
    int64_t count = old != NULL ? bb_iter_open(&it, old) : 0;
    for (int64_t i = 0; i < count; i++) {
        if (bb_iter_next(&it, &element) != 0) {
            return BB_ECORRUPT;
        }
        if (i < keep) {
            bb_put_value(&b, &element);
        } else {
            *last = element;
        }
    }
    if (more != NULL) {
        bb_put_value(&b, more);
    }
    bb_put_end(&b);
    return built(&b, out);
}

static int
push(const struct bb_store_cmd *cmd, const struct bb_value *old, struct bbt_model_result *out)
{
    struct bb_value none = {.p = NULL};
    if (old != NULL && bb_value_type(old) != BB_VECTOR) {
        return BB_ETYPE;
    }
    return vector_of(old, INT64_MAX, &cmd->value, &none, &out->value);
}

static int
pop(const struct bb_value *old, struct bbt_model_result *out)
{
    struct bb_iter it;
    if (old == NULL) {
        return BB_ENOENT;
    }
    if (bb_value_type(old) != BB_VECTOR) {
        return BB_ETYPE;
    }
    return vector_of(old, bb_iter_open(&it, old) - 1, NULL, &out->told, &out->value);
}

/* ---- all of them ---- */

static int
put(const struct bb_store_cmd *cmd,
    const struct bb_value *old,
    uint64_t version,
    struct bbt_model_result *out)
{
    if (cmd->op == BB_STORE_PUT_UNIQUE && old != NULL) {
        return BB_EEXIST;
    }
    if (cmd->op == BB_STORE_PUT_IF && cmd->if_version != (old != NULL ? version : 0)) {
        return BB_EBUSY;
    }
    out->value = cmd->value;
    return 0;
}

static int
run_on(const struct bb_store_cmd *cmd,
       const struct bb_value *old,
       uint64_t version,
       struct bbt_model_result *out)
{
    switch (cmd->op) {
    case BB_STORE_PUT:
    case BB_STORE_PUT_UNIQUE:
    case BB_STORE_PUT_IF:
        return put(cmd, old, version, out);
    case BB_STORE_ERASE:
        out->value.p = NULL;
        return 0;
    case BB_STORE_INCREMENT:
    case BB_STORE_DECREMENT:
        return arithmetic(old, &cmd->value, cmd->op == BB_STORE_DECREMENT, out);
    case BB_STORE_APPEND:
        return append(old, &cmd->value, out);
    case BB_STORE_INSERT:
        return insert(cmd, old, out);
    case BB_STORE_REMOVE:
        return take_out(cmd, old, out);
    case BB_STORE_PUSH:
        return push(cmd, old, out);
    case BB_STORE_POP:
        return pop(old, out);
    case BB_STORE_EXPIRE:
        return old == NULL ? BB_ENOENT : 0;
    case BB_STORE_GET:
        out->told = out->value;
        return old == NULL ? BB_ENOENT : 0;
    default:
        return BB_EINVAL;
    }
}

void
bbt_model_run(const struct bb_store_cmd *cmd,
              const struct bb_value *old,
              uint64_t version,
              struct bbt_model_result *out)
{
    const struct bb_value none = {.p = NULL}, was = old != NULL ? *old : none;
    *out = (struct bbt_model_result){.value = was};
    out->code = run_on(cmd, old, version, out);
    if (out->code != 0) {
        out->value = was;
        out->told = none;
    }
    out->has_value = out->value.p != NULL;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/ops.c - what a command does to a value.
 *
 * The idea: the native form of a container is its head, a count, and its elements one after the other; so what
 * is inserted or taken away is one splice, a copy of the old value with another middle:
 *
 *     [head|count| a a a a ][ unit ][ b b b b b ]     unit: an element; a table: key and value
 *
 * Sets and tables are sorted and stay so.  A place in them is found by halving where the type says that all
 * units have one size (numbers, addresses, ports, times), else by stepping over heads with a compare for every
 * sixteenth: the bytes are copied anyway, and a head is one load.
 *
 * The old value comes from a file: each head is read once and checked against the end.
 */
#include "lib/store/ops.h"
#include "lib/value/native.h"
#include "shm/base.h"
#include <math.h>
#include <stdlib.h>

static const size_t VALUE_BYTES_MAX = (size_t)1 << 30;

enum { STEP = 16 };

/* ---- memory ---- */

void
bbi_made_free(struct bbi_made *m)
{
    free(m->p);
    *m = (struct bbi_made){0};
}

/* Room for so many bytes; what was in it is lost. */
static int
make_room(struct bbi_made *m, size_t bytes)
{
    if (bytes > VALUE_BYTES_MAX) {
        return BB_EMSGSIZE;
    }
    if (bytes > m->cap) {
        size_t cap = bytes + bytes / 4 + 64; /* a value that grows by a bit each time */
        unsigned char *p = malloc(cap);
        if (p == NULL) {
            return BB_ENOMEM;
        }
        free(m->p);
        m->p = p;
        m->cap = cap;
    }
    m->bytes = bytes;
    return 0;
}

int
bbi_made_copy(struct bbi_made *m, const struct bb_value *v)
{
    uint64_t head = bbi_head_read(v->p, v->bytes);
    size_t bytes = bbi_head_bytes(head);
    if (head != 0 && v->p == m->p) {
        return 0; /* it lies there: its padding is zero, and its last bytes must not become so */
    }
    int rc = head == 0 ? BB_ECORRUPT : make_room(m, bbi_pad8(bytes));
    if (rc == 0) {
        bbi_put64(m->p + m->bytes - 8, 0);
        memcpy(m->p, v->p, bytes);
    }
    return rc;
}

static void
view_made(const struct bbi_made *m, struct bb_value *out)
{
    *out = (struct bb_value){m->p, m->bytes};
}

/* Is it what it was before? */
static bool
is_new(const struct bbi_made *m, const struct bb_value *old)
{
    const struct bb_value v = {m->p, m->bytes};
    return old == NULL || bb_value_equal(&v, old) == 0;
}

/* ---- numbers and times ---- */

static int
add_count(uint64_t a, uint64_t b, bool is_less, uint64_t *out)
{
    bool is_out = is_less ? __builtin_sub_overflow(a, b, out) : __builtin_add_overflow(a, b, out);
    return is_out ? BB_ERANGE : 0;
}

static int
add_integer(uint64_t a, uint64_t b, bool is_less, uint64_t *out)
{
    int64_t sum;
    bool is_out = is_less ? __builtin_sub_overflow((int64_t)a, (int64_t)b, &sum)
                          : __builtin_add_overflow((int64_t)a, (int64_t)b, &sum);
    *out = (uint64_t)sum;
    return is_out ? BB_ERANGE : 0;
}

/* Infinities may be amounts; they do not come out of finite numbers. */
static int
add_real(uint64_t a, uint64_t b, bool is_less, uint64_t *out)
{
    double x;
    double y;
    memcpy(&x, &a, sizeof(x));
    memcpy(&y, &b, sizeof(y));
    double sum = is_less ? x - y : x + y;
    memcpy(out, &sum, sizeof(sum));
    return isfinite(x) && isfinite(y) && !isfinite(sum) ? BB_ERANGE : 0;
}

static bool
is_amount(uint32_t type)
{
    return type == BB_COUNT || type == BB_INTEGER || type == BB_REAL || type == BB_TIMESPAN;
}

/* The type and 8 bytes of a number or time. */
static int
read_word(const struct bb_value *v, uint32_t *type, uint64_t *word)
{
    uint64_t head = bbi_head_read(v->p, v->bytes);
    if (head == 0) {
        return BB_ECORRUPT;
    }
    *type = bbi_head_type(head);
    if (!is_amount(*type) && *type != BB_TIMESTAMP) {
        return BB_ETYPE;
    }
    *word = bbi_get64(v->p + BBI_HEAD_BYTES);
    return 0;
}

static int
add(const struct bb_value *amount, const struct bb_value *old, bool is_less, struct bbi_made *made)
{
    uint32_t amount_type;
    uint32_t type;
    uint64_t by;
    uint64_t from = 0;
    int rc = read_word(amount, &amount_type, &by);
    if (rc < 0 || !is_amount(amount_type)) {
        return rc < 0 ? rc : BB_ETYPE;
    }
    if (old == NULL) {
        type = amount_type == BB_TIMESPAN ? BB_TIMESTAMP : amount_type;
    } else {
        rc = read_word(old, &type, &from);
        if (rc < 0) {
            return rc;
        }
    }
    if (type != amount_type && !(type == BB_TIMESTAMP && amount_type == BB_TIMESPAN)) {
        return BB_ETYPE;
    }
    rc = make_room(made, BBI_WORD_BYTES);
    if (rc < 0) {
        return rc;
    }
    uint64_t sum;
    rc = (type == BB_COUNT  ? add_count
          : type == BB_REAL ? add_real
                            : add_integer)(from, by, is_less, &sum);
    bbi_put64(made->p, BBI_HEAD(BBI_WORD_BYTES, type));
    bbi_put64(made->p + BBI_HEAD_BYTES, sum);
    return rc;
}

/* ---- strings ---- */

static int
append(const struct bb_value *value, const struct bb_value *old, struct bbi_made *made)
{
    const char *was = "";
    const char *s;
    size_t was_bytes = 0;
    size_t bytes;
    int rc = bb_get_string(value, &s, &bytes);
    if (rc == 0 && old != NULL) {
        rc = bb_get_string(old, &was, &was_bytes);
    }
    if (rc < 0) {
        return rc;
    }
    size_t whole = BBI_HEAD_BYTES + was_bytes + bytes; /* each is below 4 GiB */
    rc = make_room(made, bbi_pad8(whole));
    if (rc < 0) {
        return rc;
    }
    bbi_put64(made->p + made->bytes - 8, 0);
    bbi_put64(made->p, BBI_HEAD(whole, BB_STRING));
    memcpy(made->p + BBI_HEAD_BYTES, was, was_bytes);
    memcpy(made->p + BBI_HEAD_BYTES + was_bytes, s, bytes);
    return 0;
}

/* ---- containers ---- */

struct box {
    const unsigned char *p;
    size_t bytes;
    uint32_t type;
    uint32_t count;
    uint32_t each; /* values in a unit */
};

static int
box_open(struct box *b, const struct bb_value *v)
{
    uint64_t head = bbi_head_read(v->p, v->bytes);
    if (head == 0) {
        return BB_ECORRUPT;
    }
    uint32_t type = bbi_head_type(head);
    if (!bbi_is_container(type)) {
        return BB_ETYPE;
    }
    uint64_t count = bbi_once64(v->p + BBI_HEAD_BYTES);
    *b = (struct box){v->p, bbi_head_bytes(head), type, (uint32_t)count, type == BB_TABLE ? 2 : 1};
    uint64_t least = BBI_CONTAINER_BYTES + (uint64_t)b->count * b->each * BBI_HEAD_BYTES;
    return b->bytes % 8 != 0 || count > UINT32_MAX || least > b->bytes ? BB_ECORRUPT : 0;
}

/* What a container is when there is none yet. */
static void
box_of_nothing(struct box *b, uint32_t type)
{
    static const unsigned char none[BBI_CONTAINER_BYTES];
    *b = (struct box){none, sizeof(none), type, 0, type == BB_TABLE ? 2 : 1};
}

/* Where the value at off ends; 0 if none is there. */
static size_t
value_end(const struct box *b, size_t off)
{
    uint64_t head = bbi_head_read(b->p + off, b->bytes - off);
    size_t padded = bbi_pad8(bbi_head_bytes(head));
    return head == 0 || padded > b->bytes - off ? 0 : off + padded;
}

static size_t
unit_end(const struct box *b, size_t off)
{
    for (uint32_t i = 0; i < b->each && (i == 0 || off != 0); i++) {
        off = value_end(b, off);
    }
    return off;
}

/* A unit's key against a value. */
static int
compare_at(const struct box *b, size_t off, const struct bb_value *v)
{
    return bbi_compare(b->p + off, b->bytes - off, v->p, v->bytes);
}

/* Where a unit is, or would be: then off is end_off. */
struct place {
    size_t off, end_off;
    bool is_there;
};

/* Bytes of each unit, where the first and last say so: sorted by type, all between are of that type too. */
static size_t
unit_bytes(const struct box *b)
{
    if (b->each != 1 || b->count < STEP) {
        return 0;
    }
    uint64_t first = bbi_head_read(b->p + BBI_CONTAINER_BYTES, b->bytes - BBI_CONTAINER_BYTES);
    uint32_t type = bbi_head_type(first);
    size_t bytes = bbi_head_bytes(first);
    if (first == 0 || type == BB_STRING || type == BB_ENUM || bbi_is_container(type)
        || bytes * b->count != b->bytes - BBI_CONTAINER_BYTES) {
        return 0;
    }
    uint64_t last = bbi_head_read(b->p + b->bytes - bytes, bytes);
    return last != 0 && bbi_head_type(last) == type ? bytes : 0;
}

static void
find_by_halving(const struct box *b, size_t bytes, const struct bb_value *v, struct place *out)
{
    size_t low = 0;
    size_t high = b->count;
    bool is_there = false;
    while (low < high && !is_there) {
        size_t middle = low + (high - low) / 2;
        int order = compare_at(b, BBI_CONTAINER_BYTES + middle * bytes, v);
        is_there = order == 0;
        low = order < 0 ? middle + 1 : is_there ? middle : low;
        high = order > 0 ? middle : high;
    }
    size_t off = BBI_CONTAINER_BYTES + low * bytes;
    *out = (struct place){off, is_there ? off + bytes : off, is_there};
}

/* The offset of the last of every STEP units that is not behind v, and how many units come before it. */
static size_t
find_block(const struct box *b, const struct bb_value *v, uint32_t *index)
{
    size_t block_off = BBI_CONTAINER_BYTES;
    size_t off = block_off;
    uint32_t i = 0;
    *index = 0;
    while (i < b->count) {
        if (i != 0 && i % STEP == 0) {
            if (compare_at(b, off, v) > 0) {
                return block_off;
            }
            block_off = off;
            *index = i;
        }
        off = unit_end(b, off);
        if (off == 0) {
            return 0;
        }
        i++;
    }
    return off == b->bytes ? block_off : 0;
}

static int
find_by_walking(const struct box *b, const struct bb_value *v, struct place *out)
{
    uint32_t i;
    size_t off = find_block(b, v, &i);
    if (off == 0) {
        return BB_ECORRUPT;
    }
    for (; i < b->count; i++) {
        int order = compare_at(b, off, v);
        if (order > 0) {
            break;
        }
        size_t end_off = unit_end(b, off);
        if (end_off == 0) {
            return BB_ECORRUPT;
        }
        if (order == 0) {
            *out = (struct place){off, end_off, true};
            return 0;
        }
        off = end_off;
    }
    *out = (struct place){off, off, false};
    return 0;
}

static int
find(const struct box *b, const struct bb_value *v, struct place *out)
{
    size_t bytes = unit_bytes(b);
    if (bytes == 0) {
        return find_by_walking(b, v, out);
    }
    find_by_halving(b, bytes, v, out);
    return 0;
}

/* Bytes of a value with its padding; BB_ERANGE if it nests so deep that it fits no container. */
static int64_t
element_bytes(const struct bb_value *v)
{
    uint64_t head = bbi_head_read(v->p, v->bytes);
    if (head == 0) {
        return BB_ECORRUPT;
    }
    int depth = bbi_is_container(bbi_head_type(head)) ? bbi_check(v->p, v->bytes) : 0;
    if (depth < 0) {
        return depth;
    }
    return depth >= BB_VALUE_DEPTH ? BB_ERANGE : (int64_t)bbi_pad8(bbi_head_bytes(head));
}

static unsigned char *
put_element(unsigned char *p, const struct bb_value *v, size_t padded)
{
    size_t bytes = bbi_head_bytes(bbi_get64(v->p));
    bytes = bytes < padded ? bytes : padded;
    bbi_put64(p + padded - 8, 0);
    memcpy(p, v->p, bytes);
    return p + padded;
}

/* A copy of b, in which the values of `ins` (at most two) stand in the place. */
static int
splice(struct bbi_made *made,
       const struct box *b,
       const struct place *at,
       const struct bb_value *ins,
       uint32_t ins_count,
       uint32_t count)
{
    int64_t ins_bytes[2] = {0, 0};
    for (uint32_t i = 0; i < ins_count; i++) {
        ins_bytes[i] = element_bytes(&ins[i]);
        if (ins_bytes[i] < 0) {
            return (int)ins_bytes[i];
        }
    }
    size_t bytes = b->bytes - (at->end_off - at->off) + (size_t)(ins_bytes[0] + ins_bytes[1]);
    int rc = make_room(made, bytes);
    if (rc < 0) {
        return rc;
    }
    unsigned char *p = made->p;
    memcpy(p, b->p, at->off);
    p += at->off;
    for (uint32_t i = 0; i < ins_count; i++) {
        p = put_element(p, &ins[i], (size_t)ins_bytes[i]);
    }
    memcpy(p, b->p + at->end_off, b->bytes - at->end_off);
    bbi_put64(made->p, BBI_HEAD(bytes, b->type));
    bbi_put64(made->p + BBI_HEAD_BYTES, count);
    return 0;
}

static int
insert(const struct bb_store_cmd *cmd,
       const struct bb_value *old,
       struct bbi_made *made,
       bool *changed)
{
    uint32_t type = cmd->value.p == NULL ? BB_SET : BB_TABLE;
    const struct bb_value unit[2] = {cmd->index, cmd->value};
    struct box b;
    struct place at;
    int rc = 0;
    if (old == NULL) {
        box_of_nothing(&b, type);
    } else {
        rc = box_open(&b, old);
    }
    if (rc < 0 || b.type != type) {
        return rc < 0 ? rc : BB_ETYPE;
    }
    rc = find(&b, &cmd->index, &at);
    if (rc < 0) {
        return rc;
    }
    if (at.is_there && type == BB_SET) {
        return 0;
    }
    if (!at.is_there && b.count == UINT32_MAX) {
        return BB_EMSGSIZE;
    }
    rc = splice(made, &b, &at, unit, b.each, b.count + !at.is_there);
    *changed = rc == 0 && is_new(made, old);
    return rc;
}

static int
take_out(const struct bb_value *index,
         const struct bb_value *old,
         struct bbi_made *made,
         bool *changed)
{
    struct box b;
    struct place at;
    int rc = box_open(&b, old);
    if (rc < 0 || b.type == BB_VECTOR) {
        return rc < 0 ? rc : BB_ETYPE;
    }
    rc = find(&b, index, &at);
    if (rc < 0 || !at.is_there) {
        return rc;
    }
    *changed = true;
    return splice(made, &b, &at, NULL, 0, b.count - 1);
}

static int
push(const struct bb_value *value, const struct bb_value *old, struct bbi_made *made)
{
    struct box b;
    int rc = 0;
    if (old == NULL) {
        box_of_nothing(&b, BB_VECTOR);
    } else {
        rc = box_open(&b, old);
    }
    if (rc < 0 || b.type != BB_VECTOR) {
        return rc < 0 ? rc : BB_ETYPE;
    }
    const struct place end = {b.bytes, b.bytes, false};
    return b.count == UINT32_MAX ? BB_EMSGSIZE : splice(made, &b, &end, value, 1, b.count + 1);
}

/* The offset of element i, which is there. */
static size_t
element_off(const struct box *b, uint64_t i)
{
    size_t off = BBI_CONTAINER_BYTES;
    for (; i > 0 && off != 0; i--) {
        off = value_end(b, off);
    }
    return off;
}

static int
pop(const struct bb_value *old, struct bbi_made *made, bool *changed, struct bb_value *result)
{
    struct box b;
    int rc = box_open(&b, old);
    if (rc < 0 || b.type != BB_VECTOR) {
        return rc < 0 ? rc : BB_ETYPE;
    }
    if (b.count == 0) {
        return 0;
    }
    size_t off = element_off(&b, b.count - 1);
    if (off == 0 || value_end(&b, off) != b.bytes) {
        return BB_ECORRUPT;
    }
    const struct place last = {off, b.bytes, true};
    rc = splice(made, &b, &last, NULL, 0, b.count - 1);
    if (rc == 0) {
        *result = (struct bb_value){b.p + off, b.bytes - off};
        *changed = true;
    }
    return rc;
}

int
bbi_op_apply(const struct bb_store_cmd *cmd,
             const struct bb_value *old,
             struct bbi_made *made,
             bool *changed,
             struct bb_value *result)
{
    bool is_less = cmd->op == BB_STORE_DECREMENT;
    int rc;
    *changed = false;
    *result = (struct bb_value){NULL, 0};
    if (old == NULL && (is_less || cmd->op == BB_STORE_REMOVE || cmd->op == BB_STORE_POP)) {
        return BB_ENOENT;
    }
    switch (cmd->op) {
    case BB_STORE_INCREMENT:
    case BB_STORE_DECREMENT:
        rc = add(&cmd->value, old, is_less, made);
        if (rc == 0) {
            view_made(made, result);
        }
        break;
    case BB_STORE_APPEND:
        rc = append(&cmd->value, old, made);
        break;
    case BB_STORE_INSERT:
        return insert(cmd, old, made, changed);
    case BB_STORE_REMOVE:
        return take_out(&cmd->index, old, made, changed);
    case BB_STORE_PUSH:
        rc = push(&cmd->value, old, made);
        break;
    case BB_STORE_POP:
        return pop(old, made, changed, result);
    default:
        return BB_EINVAL;
    }
    *changed = rc == 0 && is_new(made, old);
    return rc;
}

/* ---- get_index_from_value ---- */

static int
element(const struct box *b, const struct bb_value *index, struct bb_value *out)
{
    uint64_t i = 0;
    int64_t number = 0;
    if (bb_get_count(index, &i) < 0) {
        int rc = bb_get_integer(index, &number);
        if (rc < 0) {
            return rc;
        }
        i = number < 0 ? UINT64_MAX : (uint64_t)number;
    }
    if (i >= b->count) {
        return BB_ENOENT;
    }
    size_t off = element_off(b, i);
    size_t end_off = off == 0 ? 0 : value_end(b, off);
    if (end_off == 0) {
        return BB_ECORRUPT;
    }
    *out = (struct bb_value){b->p + off, end_off - off};
    return 0;
}

static int
has_element(bool is_there, struct bbi_made *made, struct bb_value *out)
{
    int rc = make_room(made, BBI_HEAD_BYTES);
    if (rc == 0) {
        bbi_put64(made->p, BBI_HEAD(BBI_HEAD_BYTES, BB_BOOLEAN) | (uint64_t)is_there << 40);
        view_made(made, out);
    }
    return rc;
}

int
bbi_op_index(const struct bb_value *v,
             const struct bb_value *index,
             struct bbi_made *made,
             struct bb_value *out)
{
    struct box b;
    struct place at;
    int rc = box_open(&b, v);
    if (rc == BB_ETYPE) { /* no container: itself */
        return bb_value_open(out, v->p, v->bytes);
    }
    if (rc < 0) {
        return rc;
    }
    if (b.type == BB_VECTOR) {
        return element(&b, index, out);
    }
    rc = find(&b, index, &at);
    if (rc < 0) {
        return rc;
    }
    if (b.type == BB_SET) {
        return has_element(at.is_there, made, out);
    }
    size_t key_end_off = at.is_there ? value_end(&b, at.off) : 0;
    if (key_end_off == 0) {
        return BB_ENOENT;
    }
    *out = (struct bb_value){b.p + key_end_off, at.end_off - key_end_off};
    return 0;
}

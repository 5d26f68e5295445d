/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what each operation makes of a value, by store.h's rules; equal values are equal bytes whatever made them.
 * Method: cases by hand; sets, tables and vectors that grow and shrink at random against plain lists that are
 * built anew by the builder; values that are cut or changed, which must be refused or used within their bytes.
 */
#include "lib/store/ops.h"
#include "lib/value/native.h"
#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>
#include <math.h>

TestSuite(store_ops, .timeout = 60);

enum { BUF_BYTES = 4096 };

struct val {
    unsigned char buf[BUF_BYTES];
    struct bb_builder b;
    struct bb_value v;
};

static struct val *
open_val(struct val *v)
{
    bb_build_init(&v->b, v->buf, sizeof(v->buf));
    return v;
}

static const struct bb_value *
close_val(struct val *v)
{
    int64_t n = bb_build_end(&v->b);
    cr_assert_gt(n, 0, "%s", bb_strerror((int)n));
    v->v = (struct bb_value){v->buf, (size_t)n};
    return &v->v;
}

static struct bb_value
count_of(struct val *v, uint64_t n)
{
    bb_put_count(&open_val(v)->b, n);
    return *close_val(v);
}

static struct bb_value
string_of(struct val *v, const char *s)
{
    bb_put_string(&open_val(v)->b, s, strlen(s));
    return *close_val(v);
}

static void
is_text(const struct bb_value *v, const char *want)
{
    char text[512];
    cr_assert_eq(bb_value_check(v), 0);
    cr_assert_geq(bb_value_text(v, text, sizeof(text)), 0);
    cr_assert_str_eq(text, want);
}

static struct bbi_made made;
static bool changed;
static struct bb_value result;

static int
run(uint32_t op,
    const struct bb_value *old,
    const struct bb_value *index,
    const struct bb_value *value)
{
    struct bb_store_cmd cmd = {.op = op};
    if (index != NULL) {
        cmd.index = *index;
    }
    if (value != NULL) {
        cmd.value = *value;
    }
    return bbi_op_apply(&cmd, old, &made, &changed, &result);
}

/* What was made becomes the next old value. */
static struct bb_value
keep(struct val *v)
{
    cr_assert_leq(made.bytes, sizeof(v->buf));
    memcpy(v->buf, made.p, made.bytes);
    return (struct bb_value){v->buf, made.bytes};
}

/* ---- numbers ---- */

Test(store_ops, a_count_is_added_to_and_does_not_wrap)
{
    struct val a, b;
    struct bb_value two = count_of(&a, 2), old;
    cr_assert_eq(run(BB_STORE_INCREMENT, NULL, NULL, &two), 0);
    cr_assert(changed);
    is_text(&result, "2");
    old = count_of(&b, 5);
    cr_assert_eq(run(BB_STORE_INCREMENT, &old, NULL, &two), 0);
    is_text(&result, "7");
    cr_assert_eq(result.p, made.p);
    cr_assert_eq(run(BB_STORE_DECREMENT, &old, NULL, &two), 0);
    is_text(&result, "3");
    old = count_of(&b, 1);
    cr_assert_eq(run(BB_STORE_DECREMENT, &old, NULL, &two), BB_ERANGE);
    cr_assert(!changed && result.p == NULL);
    old = count_of(&b, UINT64_MAX - 1);
    cr_assert_eq(run(BB_STORE_INCREMENT, &old, NULL, &two), BB_ERANGE);
    cr_assert_eq(run(BB_STORE_DECREMENT, NULL, NULL, &two), BB_ENOENT);
    two = count_of(&a, 0);
    cr_assert_eq(run(BB_STORE_INCREMENT, &old, NULL, &two), 0);
    cr_assert(!changed, "plus nothing is no change");
    cr_assert_eq(run(BB_STORE_INCREMENT, NULL, NULL, &two), 0);
    cr_assert(changed, "but it makes the key");
    bbi_made_free(&made);
}

static struct bb_value
word_of(struct val *v, enum bb_type type, int64_t n)
{
    open_val(v);
    if (type == BB_INTEGER) {
        bb_put_integer(&v->b, n);
    } else if (type == BB_TIMESTAMP) {
        bb_put_timestamp(&v->b, n);
    } else {
        bb_put_timespan(&v->b, n);
    }
    return *close_val(v);
}

Test(store_ops, times_and_signed_numbers_stay_in_range)
{
    struct val a, b;
    static const enum bb_type same[] = {BB_INTEGER, BB_TIMESPAN};
    for (size_t i = 0; i < 2; i++) {
        struct bb_value by = word_of(&a, same[i], 1), old = word_of(&b, same[i], INT64_MAX);
        cr_assert_eq(run(BB_STORE_INCREMENT, &old, NULL, &by), BB_ERANGE);
        old = word_of(&b, same[i], INT64_MIN);
        cr_assert_eq(run(BB_STORE_DECREMENT, &old, NULL, &by), BB_ERANGE);
        cr_assert_eq(run(BB_STORE_INCREMENT, &old, NULL, &by), 0);
        cr_assert_eq(bb_value_type(&result), (int)same[i]);
        cr_assert_eq((int64_t)bbi_get64(result.p + 8), INT64_MIN + 1);
        by = word_of(&a, same[i], INT64_MIN);
        old = word_of(&b, same[i], 0);
        cr_assert_eq(run(BB_STORE_DECREMENT, &old, NULL, &by), BB_ERANGE);
    }
    struct bb_value span = word_of(&a, BB_TIMESPAN, 5), at = word_of(&b, BB_TIMESTAMP, 100);
    int64_t ns = 0;
    cr_assert_eq(run(BB_STORE_INCREMENT, &at, NULL, &span), 0);
    cr_assert_eq(bb_get_timestamp(&result, &ns), 0);
    cr_assert_eq(ns, 105);
    cr_assert_eq(run(BB_STORE_DECREMENT, &at, NULL, &span), 0);
    cr_assert_eq(bb_get_timestamp(&result, &ns), 0);
    cr_assert_eq(ns, 95);
    cr_assert_eq(run(BB_STORE_INCREMENT, NULL, NULL, &span), 0);
    cr_assert_eq(bb_get_timestamp(&result, &ns), 0);
    cr_assert_eq(ns, 5);
    cr_assert_eq(run(BB_STORE_INCREMENT, &span, NULL, &at), BB_ETYPE);
    cr_assert_eq(run(BB_STORE_INCREMENT, NULL, NULL, &at), BB_ETYPE);
    bbi_made_free(&made);
}

Test(store_ops, reals_do_not_become_infinite_by_adding)
{
    struct val a, b;
    struct bb_value by, old;
    double real = 0;
    bb_put_real(&open_val(&a)->b, 0.25);
    by = *close_val(&a);
    bb_put_real(&open_val(&b)->b, 1.5);
    old = *close_val(&b);
    cr_assert_eq(run(BB_STORE_INCREMENT, &old, NULL, &by), 0);
    cr_assert_eq(bb_get_real(&result, &real), 0);
    cr_assert_float_eq(real, 1.75, 0.0);
    bb_put_real(&open_val(&a)->b, 1.7e308);
    by = *close_val(&a);
    bb_put_real(&open_val(&b)->b, 1.7e308);
    old = *close_val(&b);
    cr_assert_eq(run(BB_STORE_INCREMENT, &old, NULL, &by), BB_ERANGE);
    bb_put_real(&open_val(&a)->b, (double)-INFINITY);
    by = *close_val(&a);
    cr_assert_eq(run(BB_STORE_INCREMENT, &old, NULL, &by), 0);
    cr_assert_eq(bb_get_real(&result, &real), 0);
    cr_assert(isinf(real));
    bbi_made_free(&made);
}

/* ---- the verb has to fit ---- */

Test(store_ops, a_value_of_another_type_is_refused)
{
    struct val s, n, i;
    struct bb_value string = string_of(&s, "x"), number = count_of(&n, 1), box[3];
    static const uint32_t verbs[] = {BB_STORE_INCREMENT, BB_STORE_DECREMENT, BB_STORE_APPEND,
                                     BB_STORE_INSERT,    BB_STORE_REMOVE,    BB_STORE_PUSH,
                                     BB_STORE_POP};
    struct val boxes[3];
    bb_put_set_begin(&open_val(&boxes[0])->b);
    bb_put_table_begin(&open_val(&boxes[1])->b);
    bb_put_vector_begin(&open_val(&boxes[2])->b);
    for (size_t k = 0; k < 3; k++) {
        bb_put_end(&boxes[k].b);
        box[k] = *close_val(&boxes[k]);
    }
    bb_put_integer(&open_val(&i)->b, 1);
    struct bb_value integer = *close_val(&i);
    for (size_t k = 0; k < sizeof(verbs) / sizeof(verbs[0]); k++) {
        bool is_number = verbs[k] <= BB_STORE_DECREMENT;
        const struct bb_value *wrong = is_number ? &string : &number;
        cr_assert_eq(run(verbs[k], wrong, &string, is_number ? &number : &string), BB_ETYPE, "%u",
                     verbs[k]);
        cr_assert(!changed);
        cr_assert_eq(run(verbs[k], &integer, &string, &number), BB_ETYPE, "%u", verbs[k]);
    }
    cr_assert_eq(run(BB_STORE_APPEND, &string, NULL, &number), BB_ETYPE);
    cr_assert_eq(run(BB_STORE_INSERT, &box[0], &number, &string), BB_ETYPE, "set with a value");
    cr_assert_eq(run(BB_STORE_INSERT, &box[1], &number, NULL), BB_ETYPE, "table without one");
    cr_assert_eq(run(BB_STORE_INSERT, &box[2], &number, NULL), BB_ETYPE);
    cr_assert_eq(run(BB_STORE_REMOVE, &box[2], &number, NULL), BB_ETYPE);
    cr_assert_eq(run(BB_STORE_PUSH, &box[0], NULL, &number), BB_ETYPE);
    cr_assert_eq(run(BB_STORE_POP, &box[1], NULL, NULL), BB_ETYPE);
    cr_assert_eq(run(BB_STORE_PUT, &box[0], NULL, &number), BB_EINVAL, "no operation on a value");
    bbi_made_free(&made);
}

Test(store_ops, what_is_missing_begins_empty_or_is_missed)
{
    struct val s, n;
    struct bb_value string = string_of(&s, "x"), number = count_of(&n, 1);
    cr_assert_eq(run(BB_STORE_APPEND, NULL, NULL, &string), 0);
    is_text(&(struct bb_value){made.p, made.bytes}, "x");
    cr_assert_eq(run(BB_STORE_INSERT, NULL, &number, NULL), 0);
    is_text(&(struct bb_value){made.p, made.bytes}, "{1}");
    cr_assert_eq(run(BB_STORE_INSERT, NULL, &number, &string), 0);
    is_text(&(struct bb_value){made.p, made.bytes}, "{1 -> x}");
    cr_assert_eq(run(BB_STORE_PUSH, NULL, NULL, &number), 0);
    is_text(&(struct bb_value){made.p, made.bytes}, "(1)");
    cr_assert_eq(run(BB_STORE_REMOVE, NULL, &number, NULL), BB_ENOENT);
    cr_assert_eq(run(BB_STORE_POP, NULL, NULL, NULL), BB_ENOENT);
    bbi_made_free(&made);
}

Test(store_ops, append_grows_a_string_by_any_bytes)
{
    struct val s, o;
    char want[600] = "";
    struct bb_value old = string_of(&o, "");
    for (int i = 0; i < 40; i++) {
        char piece[16] = "";
        memset(piece, 'a' + i % 26, (size_t)(i % 12));
        struct bb_value v = string_of(&s, piece);
        cr_assert_eq(run(BB_STORE_APPEND, &old, NULL, &v), 0);
        cr_assert_eq(changed, i % 12 != 0);
        strcat(want, piece);
        old = keep(&o);
        cr_assert_eq(bb_value_check(&old), 0, "padding is zero");
        const char *text;
        size_t bytes;
        cr_assert_eq(bb_get_string(&old, &text, &bytes), 0);
        cr_assert_eq(bytes, strlen(want));
        cr_assert_eq(memcmp(text, want, bytes), 0);
    }
    bbi_made_free(&made);
}

Test(store_ops, pop_gives_what_it_takes_and_nothing_of_nothing)
{
    struct val a, o;
    struct bb_value old, v;
    bb_put_vector_begin(&open_val(&o)->b);
    bb_put_string(&o.b, "first", 5);
    bb_put_count(&o.b, 7);
    bb_put_end(&o.b);
    old = *close_val(&o);
    cr_assert_eq(run(BB_STORE_POP, &old, NULL, NULL), 0);
    is_text(&result, "7");
    cr_assert(result.p > old.p && result.p < old.p + old.bytes);
    old = keep(&a);
    is_text(&old, "(first)");
    cr_assert_eq(run(BB_STORE_POP, &old, NULL, NULL), 0);
    is_text(&result, "first");
    v = (struct bb_value){made.p, made.bytes};
    is_text(&v, "()");
    old = keep(&o);
    cr_assert_eq(run(BB_STORE_POP, &old, NULL, NULL), 0);
    cr_assert(!changed && result.p == NULL);
    bbi_made_free(&made);
}

/* ---- against a list that is built anew ---- */

enum { KEYS_MAX = 60, KEY_BYTES = 512 };

struct model {
    unsigned char keys[KEYS_MAX][KEY_BYTES];
    size_t key_bytes[KEYS_MAX];
    bool has[KEYS_MAX];
    uint64_t value[KEYS_MAX];
};

static struct bb_value
key_of(const struct model *m, uint32_t i)
{
    return (struct bb_value){m->keys[i], m->key_bytes[i]};
}

/* Keys of one fixed size, of one type, or of all types. */
static void
make_keys(struct model *m, uint32_t kind)
{
    *m = (struct model){0};
    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        struct bb_builder b;
        bb_build_init(&b, m->keys[i], KEY_BYTES);
        if (kind == 0) {
            bb_put_count(&b, (rnd() & 0xff) << 8 | i);
        } else if (kind == 1) {
            char text[64];
            int n = snprintf(text, sizeof(text), "%.*s%u", (int)rnd_below(30),
                             "a string that is longer than it is", i);
            bb_put_string(&b, text, (size_t)n);
        } else if (i % 5 == 0) {
            bb_put_vector_begin(&b);
            rnd_put_leaf(&b, i);
            rnd_put_leaf(&b, i);
            bb_put_end(&b);
        } else {
            rnd_put_leaf(&b, i);
        }
        m->key_bytes[i] = (size_t)bb_build_end(&b);
    }
}

static void
build_model(
    const struct model *m, bool is_table, unsigned char *buf, size_t cap, struct bb_value *out)
{
    struct bb_builder b;
    bb_build_init(&b, buf, cap);
    (is_table ? bb_put_table_begin : bb_put_set_begin)(&b);
    for (uint32_t i = KEYS_MAX; i-- > 0;) {
        struct bb_value k = key_of(m, i);
        if (m->has[i]) {
            bb_put_value(&b, &k);
            if (is_table) {
                bb_put_count(&b, m->value[i]);
            }
        }
    }
    bb_put_end(&b);
    int64_t n = bb_build_end(&b);
    cr_assert_gt(n, 0);
    *out = (struct bb_value){buf, (size_t)n};
}

static void
one_step(struct model *m, bool is_table, const struct bb_value *old)
{
    struct val v;
    uint32_t i = rnd_below(KEYS_MAX);
    struct bb_value key = key_of(m, i);
    bool had = m->has[i];
    if (rnd_below(5) < 3) {
        uint64_t n = rnd_below(4);
        struct bb_value value = count_of(&v, n);
        bool is_same = had && (!is_table || m->value[i] == n);
        cr_assert_eq(run(BB_STORE_INSERT, old, &key, is_table ? &value : NULL), 0);
        cr_assert_eq(changed, !is_same);
        m->has[i] = true;
        m->value[i] = n;
    } else {
        cr_assert_eq(run(BB_STORE_REMOVE, old, &key, NULL), 0);
        cr_assert_eq(changed, had);
        m->has[i] = false;
    }
}

static void
check_index(const struct model *m, bool is_table, const struct bb_value *box)
{
    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        struct bb_value key = key_of(m, i), out = {0};
        int truth = 0;
        uint64_t n = 0;
        int rc = bbi_op_index(box, &key, &made, &out);
        if (is_table) {
            cr_assert_eq(rc, m->has[i] ? 0 : BB_ENOENT);
            cr_assert(rc < 0 || (bb_get_count(&out, &n) == 0 && n == m->value[i]));
        } else {
            cr_assert_eq(rc, 0);
            cr_assert_eq(bb_get_boolean(&out, &truth), 0);
            cr_assert_eq(truth, (int)m->has[i]);
        }
    }
}

Test(store_ops, sets_and_tables_are_what_the_builder_would_make)
{
    static unsigned char was[1 << 16], want_buf[1 << 16];
    static struct model m;
    rnd_seed("store_ops");
    for (uint32_t kind = 0; kind < 6; kind++) {
        bool is_table = kind >= 3;
        struct bb_value old, want;
        make_keys(&m, kind % 3);
        build_model(&m, is_table, was, sizeof(was), &old);
        for (int step = 0; step < 1500; step++) {
            one_step(&m, is_table, &old);
            build_model(&m, is_table, want_buf, sizeof(want_buf), &want);
            if (changed) {
                cr_assert_eq(made.bytes, want.bytes);
                cr_assert_eq(memcmp(made.p, want.p, want.bytes), 0, "kind %u step %d", kind, step);
                memcpy(was, made.p, made.bytes);
                old = (struct bb_value){was, made.bytes};
            }
            cr_assert_eq(bb_value_equal(&old, &want), 1);
        }
        check_index(&m, is_table, &old);
    }
    bbi_made_free(&made);
}

Test(store_ops, an_index_into_a_vector_is_a_number)
{
    struct val a, o, s;
    struct bb_value old, out, at = count_of(&a, 1), word = string_of(&s, "q");
    bb_put_vector_begin(&open_val(&o)->b);
    bb_put_string(&o.b, "a", 1);
    bb_put_string(&o.b, "b", 1);
    bb_put_end(&o.b);
    old = *close_val(&o);
    cr_assert_eq(bbi_op_index(&old, &at, &made, &out), 0);
    is_text(&out, "b");
    at = word_of(&a, BB_INTEGER, 0);
    cr_assert_eq(bbi_op_index(&old, &at, &made, &out), 0);
    is_text(&out, "a");
    at = word_of(&a, BB_INTEGER, -1);
    cr_assert_eq(bbi_op_index(&old, &at, &made, &out), BB_ENOENT);
    at = count_of(&a, 2);
    cr_assert_eq(bbi_op_index(&old, &at, &made, &out), BB_ENOENT);
    cr_assert_eq(bbi_op_index(&old, &word, &made, &out), BB_ETYPE);
    cr_assert_eq(bbi_op_index(&word, &at, &made, &out), 0);
    is_text(&out, "q");
    bbi_made_free(&made);
}

/* ---- limits ---- */

Test(store_ops, nothing_nests_deeper_than_can_be_read)
{
    static unsigned char deep[BB_VALUE_DEPTH * 16 + 64];
    struct bb_builder b;
    for (uint32_t depth = BB_VALUE_DEPTH - 1; depth <= BB_VALUE_DEPTH; depth++) {
        bb_build_init(&b, deep, sizeof(deep));
        for (uint32_t i = 0; i < depth; i++) {
            bb_put_vector_begin(&b);
        }
        for (uint32_t i = 0; i < depth; i++) {
            bb_put_end(&b);
        }
        struct bb_value v = {deep, (size_t)bb_build_end(&b)};
        int want = depth < BB_VALUE_DEPTH ? 0 : BB_ERANGE;
        cr_assert_eq(run(BB_STORE_PUSH, NULL, NULL, &v), want);
        cr_assert_eq(run(BB_STORE_INSERT, NULL, &v, NULL), want);
        cr_assert_eq(run(BB_STORE_INSERT, NULL, &v, &v), want);
    }
    bbi_made_free(&made);
}

Test(store_ops, one_element_into_a_hundred_thousand_is_one_allocation)
{
    enum { N = 100000 };
    size_t cap = 16 + 16 * (size_t)N;
    unsigned char *buf = malloc(cap);
    struct bb_builder b;
    struct val v;
    cr_assert_not_null(buf);
    bb_build_init(&b, buf, cap);
    bb_put_set_begin(&b);
    for (uint64_t i = 0; i < N; i++) {
        bb_put_count(&b, 2 * i);
    }
    bb_put_end(&b);
    struct bb_value old = {buf, (size_t)bb_build_end(&b)};
    struct bb_value key = count_of(&v, 77777);
    cr_assert_eq(run(BB_STORE_INSERT, &old, &key, NULL), 0);
    const unsigned char *first = made.p;
    for (uint64_t i = 0; i < 200; i++) {
        key = count_of(&v, 2 * i + 1);
        cr_assert_eq(run(BB_STORE_INSERT, &old, &key, NULL), 0);
        cr_assert_eq(made.p, first, "memory is kept");
        cr_assert_eq(made.bytes, old.bytes + 16);
    }
    struct bb_value out = {made.p, made.bytes};
    cr_assert_eq(bb_value_check(&out), 0);
    bbi_made_free(&made);
    free(buf);
}

/* Whatever is in the file: refused, or something made within its own bytes. */
Test(store_ops, a_damaged_value_does_no_harm)
{
    struct val o, k;
    rnd_seed("store_ops");
    struct bb_value key = string_of(&k, "key number 7");
    for (int round = 0; round < 3; round++) {
        open_val(&o);
        (round == 0   ? bb_put_set_begin
         : round == 1 ? bb_put_table_begin
                      : bb_put_vector_begin)(&o.b);
        for (int i = 0; i < 40; i++) {
            char text[32];
            int n = snprintf(text, sizeof(text), "key number %d", i);
            bb_put_string(&o.b, text, (size_t)n);
            if (round == 1) {
                bb_put_count(&o.b, 1);
            }
        }
        bb_put_end(&o.b);
        struct bb_value whole = *close_val(&o);
        for (size_t cut = 0; cut <= whole.bytes; cut++) {
            for (int bit = 0; bit < 8; bit++) {
                unsigned char *copy = malloc(cut + 1);
                cr_assert_not_null(copy);
                memcpy(copy, whole.p, cut);
                if (cut > 0) {
                    copy[rnd_below((uint32_t)cut)] ^= (unsigned char)(1 << bit);
                }
                struct bb_value old = {copy, cut}, out;
                for (uint32_t op = BB_STORE_INCREMENT; op <= BB_STORE_POP; op++) {
                    (void)run(op, &old, &key, op == BB_STORE_PUSH ? &key : NULL);
                }
                (void)!bbi_op_index(&old, &key, &made, &out);
                free(copy);
            }
        }
    }
    bbi_made_free(&made);
}

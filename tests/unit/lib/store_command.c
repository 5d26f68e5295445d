/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: frames and answers come back as they were written, and nothing that is not one is read beyond its end.
 * Method: random commands there and back; every cut and every flipped bit of a frame, each in memory of its own
 * size, so that a sanitizer sees a step too far; what is still accepted must hold only whole values.
 */
#include "lib/store/command.h"
#include "lib/value/native.h"
#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

TestSuite(store_command, .timeout = 60);

enum { CMDS = 20, POOL_BYTES = 1 << 16 };

static unsigned char pool[POOL_BYTES];
static size_t pool_used;

static struct bb_value
some_value(void)
{
    struct bb_builder b;
    bb_build_init(&b, pool + pool_used, sizeof(pool) - pool_used);
    if (rnd_below(4) == 0) {
        bb_put_vector_begin(&b);
        rnd_put_leaf(&b, rnd_below(1000));
        rnd_put_leaf(&b, rnd_below(1000));
        bb_put_end(&b);
    } else {
        rnd_put_leaf(&b, rnd_below(1000));
    }
    int64_t n = bb_build_end(&b);
    cr_assert_gt(n, 0);
    struct bb_value v = {pool + pool_used, (size_t)n};
    pool_used += (size_t)n;
    return v;
}

static struct bb_store_cmd
some_cmd(uint32_t op)
{
    struct bb_store_cmd c = {.op = op, .expire_ns = (int64_t)rnd_below(3) - 1, .if_version = rnd()};
    bool has_key = op != BB_STORE_CLEAR;
    bool has_index = op == BB_STORE_INSERT || op == BB_STORE_REMOVE;
    bool has_value = op <= BB_STORE_PUT_IF || op == BB_STORE_INCREMENT || op == BB_STORE_DECREMENT
                     || op == BB_STORE_APPEND || op == BB_STORE_PUSH
                     || (op == BB_STORE_INSERT && rnd_below(2) == 0);
    c.key = has_key ? some_value() : c.key;
    c.value = has_value ? some_value() : c.value;
    c.index = has_index ? some_value() : c.index;
    return c;
}

static bool
same(const struct bb_value *a, const struct bb_value *b)
{
    return a->p == NULL || b->p == NULL ? a->p == b->p : bb_value_equal(a, b) == 1;
}

static unsigned char *
frame_of(const struct bb_store_cmd *cmds, uint32_t count, size_t *bytes)
{
    const struct bbi_frame_head head = {.kind = BBI_FRAME_COMMANDS,
                                        .flags = BB_STORE_ATOMIC,
                                        .number = 9,
                                        .answered = 3,
                                        .count = count};
    int64_t n = bbi_frame_bytes(cmds, count);
    cr_assert_gt(n, 0);
    unsigned char *frame = malloc((size_t)n);
    cr_assert_not_null(frame);
    cr_assert_eq(bbi_frame_write(frame, (size_t)n, &head, cmds), 0);
    *bytes = (size_t)n;
    return frame;
}

Test(store_command, every_command_comes_back)
{
    struct bb_store_cmd cmds[CMDS], back;
    struct bbi_frame_head head;
    rnd_seed("store_command");
    for (int round = 0; round < 200; round++) {
        size_t bytes, off = 0;
        pool_used = 0;
        for (uint32_t i = 0; i < CMDS; i++) {
            cmds[i] = some_cmd(1 + (i + (uint32_t)round) % BB_STORE_GET);
            cr_assert(bbi_cmd_is_whole(&cmds[i]));
        }
        unsigned char *frame = frame_of(cmds, CMDS, &bytes);
        const struct bbi_bytes raw = {frame, bytes};
        cr_assert_eq(bbi_frame_read(&head, raw), 0);
        cr_assert_eq(head.count, (uint32_t)CMDS);
        cr_assert_eq(head.number, 9u);
        cr_assert_eq(head.answered, 3u);
        for (uint32_t i = 0; i < CMDS; i++) {
            cr_assert_eq(bbi_frame_next(raw, &off, &back), 0);
            cr_assert_eq(back.op, cmds[i].op);
            cr_assert_eq(back.expire_ns, cmds[i].expire_ns);
            cr_assert_eq(back.if_version, cmds[i].if_version);
            cr_assert(same(&back.key, &cmds[i].key) && same(&back.value, &cmds[i].value)
                      && same(&back.index, &cmds[i].index));
        }
        cr_assert_eq(off, bytes);
        cr_assert_eq(bbi_frame_next(raw, &off, &back), BB_ECORRUPT, "no further one");
        free(frame);
    }
}

Test(store_command, a_window_may_be_longer_or_lack_its_padding)
{
    unsigned char buf[64];
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_string(&b, "abc", 3);
    memset(buf + 16, 0x55, sizeof(buf) - 16);
    for (size_t window = 11; window < sizeof(buf); window += 13) {
        struct bb_store_cmd c = {.op = BB_STORE_ERASE, .key = {buf, window}}, back;
        size_t bytes, off = 0;
        unsigned char *frame = frame_of(&c, 1, &bytes);
        cr_assert_eq(bytes, 32 + 40 + 16u);
        cr_assert_eq(bbi_frame_next((struct bbi_bytes){frame, bytes}, &off, &back), 0);
        cr_assert_eq(bb_value_check(&back.key), 0);
        cr_assert_eq(bb_value_equal(&back.key, &c.key), 1);
        free(frame);
    }
}

Test(store_command, a_command_that_is_not_whole_is_refused)
{
    rnd_seed("store_command");
    pool_used = 0;
    struct bb_value v = some_value(), none = {NULL, 0};
    unsigned char bad[16] = {16, 0, 0, 0, 99};
    for (uint32_t op = 1; op <= BB_STORE_GET; op++) {
        struct bb_store_cmd c = some_cmd(op);
        c.key = op == BB_STORE_CLEAR ? v : none;
        cr_assert_eq(bbi_frame_bytes(&c, 1), BB_EINVAL, "%u", op);
        c = some_cmd(op);
        c.reserved = 1;
        cr_assert_eq(bbi_frame_bytes(&c, 1), BB_EINVAL, "%u", op);
        c = some_cmd(op);
        c.expire_ns = -2;
        cr_assert_eq(bbi_frame_bytes(&c, 1), BB_EINVAL, "%u", op);
        c = some_cmd(op);
        c.index = c.index.p == NULL ? v : none;
        cr_assert_eq(bbi_frame_bytes(&c, 1), BB_EINVAL, "%u", op);
        c = some_cmd(op);
        if (op != BB_STORE_INSERT) {
            c.value = c.value.p == NULL ? v : none;
            cr_assert_eq(bbi_frame_bytes(&c, 1), BB_EINVAL, "%u", op);
        }
    }
    struct bb_store_cmd c = {.op = BB_STORE_GET + 1, .key = v};
    cr_assert_eq(bbi_frame_bytes(&c, 1), BB_EINVAL);
    c = (struct bb_store_cmd){.op = BB_STORE_PUT, .key = v, .value = {bad, sizeof(bad)}};
    cr_assert_eq(bbi_frame_bytes(&c, 1), BB_EINVAL, "no value");
    c = (struct bb_store_cmd){.op = BBI_READ_SCAN, .if_version = 10};
    cr_assert_gt(bbi_frame_bytes(&c, 1), 0, "a scan of all");
    c = (struct bb_store_cmd){.op = BBI_READ_ITEM};
    cr_assert_eq(bbi_frame_bytes(&c, 1), BB_EINVAL);
}

Test(store_command, too_much_for_one_frame_is_said)
{
    enum { BYTES = 20 << 20 };
    unsigned char *big = calloc(1, BYTES);
    struct bb_builder b;
    struct bb_store_cmd cmds[4];
    bb_build_init(&b, big, BYTES);
    char *text = calloc(1, BYTES - 64);
    bb_put_string(&b, text, BYTES - 64);
    struct bb_value v = {big, (size_t)bb_build_end(&b)};
    for (int i = 0; i < 4; i++) {
        cmds[i] = (struct bb_store_cmd){.op = BB_STORE_PUT, .key = v, .value = v};
    }
    cr_assert_gt(bbi_frame_bytes(cmds, 1), 0);
    cr_assert_eq(bbi_frame_bytes(cmds, 2), BB_EMSGSIZE);
    free(text);
    free(big);
}

/* A copy of its own size, so that one byte beyond is seen. */
static void
read_all(const unsigned char *from, size_t bytes)
{
    unsigned char *copy = malloc(bytes > 0 ? bytes : 1);
    cr_assert_not_null(copy);
    memcpy(copy, from, bytes);
    const struct bbi_bytes raw = {copy, bytes};
    struct bbi_frame_head head;
    struct bb_store_cmd c;
    size_t off = 0;
    int rc = bbi_frame_read(&head, raw);
    for (uint32_t i = 0; rc == 0 && i < head.count; i++) {
        rc = bbi_frame_next(raw, &off, &c);
        cr_assert(rc < 0 || c.key.p == NULL || bb_value_check(&c.key) == 0);
        cr_assert(rc < 0 || c.value.p == NULL || bb_value_check(&c.value) == 0);
        cr_assert(rc < 0 || off <= bytes);
    }
    free(copy);
}

Test(store_command, cuts_and_flipped_bits_do_no_harm)
{
    struct bb_store_cmd cmds[3];
    size_t bytes;
    rnd_seed("store_command");
    pool_used = 0;
    cmds[0] = some_cmd(BB_STORE_PUT);
    cmds[1] = some_cmd(BB_STORE_INSERT);
    cmds[2] = some_cmd(BB_STORE_CLEAR);
    unsigned char *frame = frame_of(cmds, 3, &bytes);
    struct bbi_frame_head head;
    for (size_t cut = 0; cut < bytes; cut++) {
        read_all(frame, cut);
        cr_assert(cut >= 32
                  || bbi_frame_read(&head, (struct bbi_bytes){frame, cut}) == BB_ECORRUPT);
    }
    for (size_t i = 0; i < 8 * bytes; i++) {
        frame[i / 8] ^= (unsigned char)(1u << i % 8);
        read_all(frame, bytes);
        frame[i / 8] ^= (unsigned char)(1u << i % 8);
    }
    free(frame);
}

Test(store_command, heads_that_make_no_sense_are_refused)
{
    struct bbi_frame_head h = {.kind = BBI_FRAME_BYE, .number = 2, .answered = 1}, out;
    const struct bbi_bytes raw = {&h, sizeof(h)};
    cr_assert_eq(bbi_frame_read(&out, raw), 0);
    h.kind = BBI_FRAME_BYE + 1;
    cr_assert_eq(bbi_frame_read(&out, raw), BB_ENOTSUP);
    h.kind = BBI_FRAME_COMMANDS;
    h.flags = 2;
    cr_assert_eq(bbi_frame_read(&out, raw), BB_ENOTSUP);
    h.flags = 0;
    h.count = 1;
    cr_assert_eq(bbi_frame_read(&out, raw), BB_ECORRUPT);
    h.count = 0;
    h.answered = 2;
    cr_assert_eq(bbi_frame_read(&out, raw), BB_ECORRUPT);
    h.number = 0;
    h.answered = 0;
    cr_assert_eq(bbi_frame_read(&out, raw), BB_ECORRUPT);
}

Test(store_command, results_come_back)
{
    struct bb_store_result r[3], back;
    struct bbi_answer_head head = {.number = 5, .version = 77, .count = 3, .flags = 1}, got;
    rnd_seed("store_command");
    pool_used = 0;
    r[0] = (struct bb_store_result){.code = BB_EEXIST, .version = 4};
    r[1] = (struct bb_store_result){.changed = 1, .version = 77, .value = some_value()};
    r[2] = (struct bb_store_result){.value = some_value()};
    size_t bytes = (size_t)bbi_answer_bytes(r, 3);
    unsigned char *answer = malloc(bytes);
    cr_assert_not_null(answer);
    bbi_answer_write(answer, &head, r);
    const struct bbi_bytes raw = {answer, bytes};
    cr_assert_eq(bbi_answer_read(&got, raw), 0);
    cr_assert_eq(memcmp(&got, &head, sizeof(got)), 0);
    size_t off = 0;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(bbi_answer_next(raw, &off, &back), 0);
        cr_assert_eq(back.code, r[i].code);
        cr_assert_eq(back.changed, r[i].changed);
        cr_assert_eq(back.version, r[i].version);
        cr_assert(same(&back.value, &r[i].value));
    }
    cr_assert_eq(off, bytes);
    for (size_t cut = 0; cut < bytes; cut++) {
        unsigned char *copy = malloc(cut + 1);
        memcpy(copy, answer, cut);
        const struct bbi_bytes part = {copy, cut};
        int rc = bbi_answer_read(&got, part);
        off = 0;
        for (int i = 0; rc == 0 && i < 3; i++) {
            rc = bbi_answer_next(part, &off, &back);
        }
        cr_assert_eq(rc, BB_ECORRUPT);
        free(copy);
    }
    free(answer);
}

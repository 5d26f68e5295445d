/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: records and log entries come back as they were, and damaged bytes are refused.
 * Method: random values at an odd address; each bit of a record turned and each shorter length, for the check word;
 * lengths that lie, for the reader that does not compute it.
 */
#include "lib/store/record.h"

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

TestSuite(store_record, .timeout = 60);

static bool
same(const struct bb_value *a, const struct bb_value *b)
{
    return a->bytes == b->bytes && memcmp(a->p, b->p, a->bytes) == 0;
}

static struct bb_value
random_one(void)
{
    struct bb_value v;
    v.p = rnd_value(&v.bytes);
    return v;
}

static void
release(struct bb_value *v)
{
    free((void *)(uintptr_t)v->p);
}

Test(store_record, comes_back_at_any_address)
{
    rnd_seed("store_record");
    for (int i = 0; i < 200; i++) {
        struct bbi_record rec = {.version = rnd(), .expires_ns = (int64_t)(rnd() >> 1)};
        struct bbi_record got;
        rec.key = random_one();
        rec.value = random_one();
        size_t bytes = bbi_record_bytes(rec.key.bytes, rec.value.bytes);
        unsigned char *room = malloc(bytes + 1); /* LMDB's values begin anywhere */
        bbi_record_write(room + 1, &rec);
        struct bbi_bytes raw = {room + 1, bytes};
        cr_assert_eq(bbi_record_check(raw), 0);
        cr_assert_eq(bbi_record_read(&got, raw), 0);
        cr_assert_eq(got.version, rec.version);
        cr_assert_eq(got.expires_ns, rec.expires_ns);
        cr_assert(same(&got.key, &rec.key));
        cr_assert(same(&got.value, &rec.value));
        free(room);
        release(&rec.key);
        release(&rec.value);
    }
}

Test(store_record, the_last_padding_may_be_missing)
{
    unsigned char key[16] = {9, 0, 0, 0, BB_STRING, 0, 0, 0, 'k'};
    struct bbi_record rec = {.version = 1, .key = {key, 9}, .value = {key, 9}};
    unsigned char room[64];
    memset(room, 0xee, sizeof(room));
    cr_assert_eq(bbi_value_bytes(&rec.key), 16);
    cr_assert_eq(bbi_record_bytes(9, 9), 64);
    bbi_record_write(room, &rec);
    cr_assert_eq(bbi_record_check((struct bbi_bytes){room, sizeof(room)}), 0);
}

Test(store_record, every_turned_bit_is_found)
{
    struct bb_builder b;
    unsigned char native[128];
    unsigned char room[256];
    bb_build_init(&b, native, sizeof(native));
    bb_put_string(&b, "a key", 5);
    size_t key_bytes = b.need_bytes;
    bb_put_count(&b, 42);
    int64_t all = bb_build_end(&b);
    struct bbi_record rec = {.version = 7,
                             .expires_ns = 99,
                             .key = {native, key_bytes},
                             .value = {native + key_bytes, (size_t)all - key_bytes}};
    struct bbi_bytes raw = {room, bbi_record_bytes(rec.key.bytes, rec.value.bytes)};
    bbi_record_write(room, &rec);
    cr_assert_eq(bbi_record_check(raw), 0);
    for (size_t bit = 0; bit < raw.bytes * 8; bit++) {
        room[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_assert_eq(bbi_record_check(raw), BB_ECORRUPT, "bit %zu", bit);
        room[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (size_t bytes = 0; bytes < raw.bytes; bytes++) {
        unsigned char *exact = malloc(bytes + 1); /* for sanitizers: nothing behind */
        memcpy(exact + 1, room, bytes);
        struct bbi_record got;
        cr_assert_eq(bbi_record_check((struct bbi_bytes){exact + 1, bytes}), BB_ECORRUPT);
        if (bytes < sizeof(struct bbi_record_head) + key_bytes) {
            cr_assert_eq(bbi_record_read(&got, (struct bbi_bytes){exact + 1, bytes}), BB_ECORRUPT);
        }
        free(exact);
    }
}

Test(store_record, a_length_that_lies_is_refused_without_the_check_word)
{
    unsigned char key[16] = {9, 0, 0, 0, BB_STRING, 0, 0, 0, 'k'};
    struct bbi_record rec = {.version = 1, .key = {key, 16}, .value = {key, 16}};
    struct bbi_record got;
    unsigned char room[64];
    struct bbi_record_head head;
    static const uint32_t lies[] = {8, 15, 32, 40, UINT32_MAX, 0};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        bbi_record_write(room, &rec);
        memcpy(&head, room, sizeof(head));
        head.key_bytes = lies[i];
        memcpy(room, &head, sizeof(head));
        cr_assert_eq(bbi_record_read(&got, (struct bbi_bytes){room, 64}), BB_ECORRUPT);
    }
    bbi_record_write(room, &rec);
    memcpy(&head, room, sizeof(head));
    head.format = BBI_STORE_FORMAT + 1;
    memcpy(room, &head, sizeof(head));
    cr_assert_eq(bbi_record_read(&got, (struct bbi_bytes){room, 64}), BB_ECORRUPT);
}

Test(store_record, expiry_keys_sort_by_time)
{
    unsigned char a[BBI_EXPIRY_KEY_BYTES], b[BBI_EXPIRY_KEY_BYTES];
    struct bbi_bytes key = {"one", 3};
    struct bbi_bytes other = {"two", 3};
    bbi_expiry_key(a, 255, key);
    bbi_expiry_key(b, 256, key);
    cr_assert_lt(memcmp(a, b, sizeof(a)), 0);
    cr_assert_eq(memcmp(a + 8, b + 8, 16), 0);
    bbi_expiry_key(b, 255, other);
    cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
    cr_assert_eq(memcmp(a, b, 8), 0);
}

static void
expect_log_entry(const struct bb_store_change *c)
{
    struct bb_store_change got;
    size_t bytes = bbi_log_bytes(c);
    unsigned char *room = malloc(bytes + 1);
    bbi_log_write(room + 1, c);
    cr_assert_eq(bbi_log_read(&got, 12, (struct bbi_bytes){room + 1, bytes}), 0);
    cr_assert_eq(got.kind, c->kind);
    cr_assert_eq(got.version, 12);
    cr_assert_eq(got.wall_ns, c->wall_ns);
    cr_assert_eq(got.expires_ns, c->expires_ns);
    cr_assert_eq(got.node_id, c->node_id);
    cr_assert_str_eq(got.node, c->node != NULL ? c->node : "");
    cr_assert_eq(got.key.p == NULL, c->key.p == NULL);
    cr_assert_eq(got.old.p == NULL, c->old.p == NULL);
    cr_assert(c->key.p == NULL || same(&got.key, &c->key));
    cr_assert(c->value.p == NULL || same(&got.value, &c->value));
    cr_assert(c->old.p == NULL || same(&got.old, &c->old));
    for (size_t less = 0; less < bytes; less += 8) {
        cr_assert_eq(bbi_log_read(&got, 12, (struct bbi_bytes){room + 1, less}), BB_ECORRUPT);
    }
    room[1] = BB_STORE_GAP + 1;
    cr_assert_eq(bbi_log_read(&got, 12, (struct bbi_bytes){room + 1, bytes}), BB_ECORRUPT);
    free(room);
}

Test(store_record, log_entries_come_back)
{
    rnd_seed("store_record log");
    struct bb_store_change c = {.kind = BB_STORE_UPDATED,
                                .wall_ns = 5,
                                .expires_ns = BB_STORE_NEVER,
                                .node_id = UINT64_C(1) << 40,
                                .node = "worker-1"};
    for (int i = 0; i < 50; i++) {
        c.key = random_one();
        c.value = random_one();
        c.old = random_one();
        expect_log_entry(&c);
        struct bb_store_change without = c;
        without.old = (struct bb_value){NULL, 0};
        without.kind = BB_STORE_INSERTED;
        expect_log_entry(&without);
        release(&c.key);
        release(&c.value);
        release(&c.old);
    }
    struct bb_store_change gap = {.kind = BB_STORE_GAP};
    expect_log_entry(&gap);
}

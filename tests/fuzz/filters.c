/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets of prefixes against a plain list, and a subscriber's table as another process may have written it.
 *
 * Input      u8: odd: a table (u8 selected, u32 count, u32 bytes, entries); even: steps, each u8 what, u8 flags,
 *            u8 length, the prefix or topic.
 * Oracle     a topic matches if one of the prefixes that were added matches it; the minimal set covers all of
 *            them and none of its own; a table that is read is written and read again as the same.
 */
#include "lib/topic/filter_set.h"
#include "shm/filter.h"
#include "tests/fuzz/fuzz.h"

enum { SET_BYTES = 1 << 12, MODEL_MAX = 256, PREFIX_MAX = 40 };

/* ---- the set -------------------------------------------------------------------------------------- */

static struct bbi_filter model[MODEL_MAX];
static size_t model_count;

static size_t
model_find(const struct bbi_filter *f)
{
    size_t i = 0;
    while (i < model_count
           && (model[i].flags != f->flags || model[i].prefix_bytes != f->prefix_bytes
               || memcmp(model[i].prefix, f->prefix, f->prefix_bytes) != 0)) {
        i++;
    }
    return i;
}

static void
check_set(const struct bbi_filter_set *set)
{
    struct bbi_filter shown[MODEL_MAX];
    size_t count = 0;
    size_t pos = 0;
    FUZZ_CHECK(set->count == model_count && set->used_bytes <= SET_BYTES);
    while (count < MODEL_MAX && bbi_filter_set_next(set, &pos, &shown[count])) {
        FUZZ_CHECK(model_find(&shown[count]) < model_count);
        count++;
    }
    FUZZ_CHECK(count == set->shown);
    for (size_t i = 0; i < model_count; i++) {
        size_t covering = 0;
        while (covering < count && !bbi_topic_covers(&shown[covering], &model[i])) {
            covering++;
        }
        FUZZ_CHECK(covering < count);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            FUZZ_CHECK(i == k || !bbi_topic_covers(&shown[i], &shown[k]));
        }
    }
}

static void
check_match(const struct bbi_filter_set *set, const struct bbi_filter *topic)
{
    bool wanted = false;
    for (size_t i = 0; i < model_count && !wanted; i++) {
        wanted = bb_topic_match(model[i].prefix, model[i].prefix_bytes, model[i].flags,
                                topic->prefix, topic->prefix_bytes)
                 != 0;
    }
    FUZZ_CHECK(bbi_filter_set_match(set, topic->prefix, topic->prefix_bytes) == wanted);
}

static void
fuzz_set(struct fuzz_in *in)
{
    static unsigned char buf[SET_BYTES];
    struct bbi_filter_set set;
    bbi_filter_set_init(&set, buf, sizeof(buf));
    model_count = 0;
    while (in->left > 0) {
        uint8_t what = fuzz_u8(in) % 4;
        struct bbi_filter f = {.flags = fuzz_u8(in) % 8};
        f.prefix = (const char *)fuzz_bytes(in, fuzz_u8(in) % PREFIX_MAX, &f.prefix_bytes);
        size_t at = model_find(&f);
        int rc = 0;
        if (what == 0) {
            check_match(&set, &f);
            continue;
        }
        if (what == 1) {
            rc = bbi_filter_set_remove(&set, &f);
            FUZZ_CHECK((rc == BB_ENOENT) == (at == model_count));
            if (rc >= 0) {
                model[at] = model[--model_count];
            }
        } else if (at < model_count || model_count < MODEL_MAX) {
            rc = bbi_filter_set_add(&set, &f);
            if (rc >= 0 && at == model_count) {
                model[model_count++] = f;
            }
        }
        check_set(&set);
    }
}

/* ---- the table ------------------------------------------------------------------------------------ */

static void
check_table(const struct bbi_filter_table *table)
{
    static struct bbi_sub own;
    static struct bbi_filter_table again;
    static struct bbi_filter_item items[BBI_FILTER_BYTES / 4];
    uint32_t off = 0;
    uint32_t count = 0;
    while (bbi_filter_next(table, &off, &items[count]) == 1) {
        fuzz_touch(items[count].bytes, items[count].len);
        count++;
    }
    FUZZ_CHECK(count == table->count && off == table->bytes);
    FUZZ_CHECK(bbi_filter_write(&own, items, count) == 0);
    FUZZ_CHECK(bbi_filter_read(&own, &again) == 0);
    FUZZ_CHECK(again.count == table->count && again.bytes == table->bytes);
    FUZZ_CHECK(memcmp(again.entries, table->entries, table->bytes) == 0);
}

static void
fuzz_table(struct fuzz_in *in)
{
    static struct bbi_sub sub;
    static struct bbi_filter_table table;
    size_t bytes;
    uint32_t selected = fuzz_u8(in);
    struct bbi_filter_table *hostile = &sub.filters[selected & 1];
    sub.filter_sel = selected;
    hostile->count = fuzz_u16(in) | fuzz_u16(in) << 16;
    hostile->bytes = fuzz_u16(in) | fuzz_u16(in) << 16;
    const uint8_t *entries = fuzz_bytes(in, sizeof(hostile->entries), &bytes);
    memcpy(hostile->entries, entries, bytes);
    memset(hostile->entries + bytes, 0, sizeof(hostile->entries) - bytes);
    int rc = bbi_filter_read(&sub, &table);
    FUZZ_CHECK(rc == 0 || rc == BB_ECORRUPT);
    if (rc == 0) {
        check_table(&table);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_in in = {data, bytes};
    if (fuzz_u8(&in) % 2 != 0) {
        fuzz_table(&in);
    } else {
        fuzz_set(&in);
    }
    return 0;
}

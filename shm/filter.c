/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/filter.h"
#include "shm/hook.h"
#include "shm/ring.h"
#include <string.h>

enum { ITEM_HEAD = 4, TRIES = 64 };

int
bbi_filter_write(struct bbi_sub *sub, const struct bbi_filter_item *items, uint32_t count)
{
    uint32_t next = bbi_load_relaxed(&sub->filter_sel) + 1; /* our own word */
    struct bbi_filter_table *t = &sub->filters[next & 1];
    size_t off = 0;
    for (uint32_t i = 0; i < count; i++) {
        off += ITEM_HEAD + (size_t)items[i].len;
    }
    if (off > sizeof(t->entries)) {
        return BB_EFULL;
    }
    bbi_fence_release(); /* R8: who still reads this copy sees by filter_sel that it is not selected */
    uint32_t head[2] = {count, (uint32_t)off};
    bbi_fill_racy(t, head, sizeof(head));
    off = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t item[2] = {items[i].len, items[i].flags};
        bbi_fill_racy(t->entries + off, item, sizeof(item));
        bbi_fill_racy(t->entries + off + ITEM_HEAD, items[i].bytes, items[i].len);
        off += ITEM_HEAD + (size_t)items[i].len;
        BBI_HOOK("filter:half");
    }
    bbi_store_release(&sub->filter_sel, next); /* R8: pairs with bbi_filter_read() */
    BBI_HOOK("filter:selected");
    return 0;
}

static bool
table_is_good(const struct bbi_filter_table *t)
{
    uint32_t off = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        uint16_t len;
        if (off > t->bytes || t->bytes - off < ITEM_HEAD) {
            return false;
        }
        memcpy(&len, t->entries + off, sizeof(len));
        off += ITEM_HEAD;
        if (len > t->bytes - off) {
            return false;
        }
        off += len;
    }
    return off == t->bytes;
}

int
bbi_filter_read(const struct bbi_sub *sub, struct bbi_filter_table *out)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t sel = bbi_load_acquire(&sub->filter_sel); /* R8 */
        const struct bbi_filter_table *t = &sub->filters[sel & 1];
        bbi_copy_racy(out, t, 8);
        uint32_t bytes = out->bytes;
        if (bytes <= sizeof(out->entries)) {
            bbi_copy_racy(out->entries, t->entries, bytes);
        }
        /* R8: it counts, so that being switched twice is seen too. */
        if (bbi_load_acquire(&sub->filter_sel) == sel) {
            return bytes <= sizeof(out->entries) && table_is_good(out) ? 0 : BB_ECORRUPT;
        }
    }
    return BB_EAGAIN;
}

int
bbi_filter_next(const struct bbi_filter_table *table, uint32_t *off, struct bbi_filter_item *out)
{
    if (*off >= table->bytes) {
        return 0;
    }
    memcpy(&out->len, table->entries + *off, sizeof(out->len));
    memcpy(&out->flags, table->entries + *off + 2, sizeof(out->flags));
    out->bytes = table->entries + *off + ITEM_HEAD;
    *off += ITEM_HEAD + (uint32_t)out->len;
    return 1;
}

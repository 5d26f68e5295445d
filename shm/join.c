/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/join.h"
#include "shm/hook.h"
#include "shm/os.h"

static struct bbi_cursor *
line_of(const struct bbi_join *j)
{
    return &j->sub->cursors[j->ring_index];
}

/* Step 1: the line as a whole, R4; the generation last of what a publisher looks at first. */
static void
write_line(struct bbi_join *j, uint64_t cursor)
{
    struct bbi_cursor *line = line_of(j);
    bbi_store_relaxed(&line->mode, BBI_JOIN_NONE); /* R4: before the new key */
    bbi_store_release(&line->ring_key, j->ring_key);
    bbi_store_release(&line->cursor, cursor);
    BBI_HOOK("join:cursor");
    bbi_store_release(&line->mode, j->is_reliable ? BBI_JOIN_RELIABLE : BBI_JOIN_LOSSY);
    bbi_store_release(&line->join_gen, j->gen); /* R4: pairs with read_join() of the publisher */
    j->published = cursor;
    BBI_HOOK("join:line");
}

/* Step 2. */
static void
tell_publishers(struct bbi_join *j)
{
    (void)bbi_fetch_add_seq_cst(&j->bus->sub_epoch.v, 1); /* R5 */
    bbi_fence_seq_cst();            /* R5: the bump before the look at the tail */
    (void)!bbi_os_membarrier_run(); /* R5: for publishers without a fence of their own */
    BBI_HOOK("join:told");
}

void
bbi_join_begin(
    struct bbi_join *j, struct bbi_reader *r, bool reliable, enum bbi_seek seek, uint64_t last)
{
    j->is_reliable = reliable;
    j->mark = bbi_evict_mark(j->sub->ident.key);
    bbi_reader_seek(r, seek, last);
    write_line(j, r->cursor);
    if (!reliable) {
        return;
    }
    tell_publishers(j);
    bbi_reader_seek(r, seek, last);                    /* step 3 */
    bbi_store_seq_cst(&line_of(j)->cursor, r->cursor); /* R4 */
    j->published = r->cursor;
    BBI_HOOK("join:started");
}

void
bbi_join_publish(struct bbi_join *j, uint64_t cursor)
{
    if (cursor == j->published) {
        return;
    }
    struct bbi_cursor *line = line_of(j);
    j->published = cursor;
    if (!j->is_reliable) {
        bbi_store_release(&line->cursor, cursor); /* R4: for the steward and tools */
        return;
    }
    (void)bbi_exchange_seq_cst(&line->cursor, cursor); /* R4, R9: before the look at blocked */
    BBI_HOOK("join:published");
    if (BBI_UNLIKELY(bbi_load_seq_cst(&j->ring->blocked) != 0)) { /* R9 */
        (void)bbi_fetch_add_seq_cst(&line->bell, 1);              /* R9 */
        BBI_HOOK("join:bell");
        (void)bbi_os_futex_wake(&line->bell, 1);
    }
}

int
bbi_join_evicted(const struct bbi_join *j, uint32_t *why)
{
    const struct bbi_evict *e = &j->ring->evicted[j->sub_index];
    uint32_t gen = bbi_load_acquire(&e->gen); /* R4: pairs with evict() */
    if (BBI_LIKELY(gen == 0 || !j->is_reliable || (gen != j->gen && gen != j->mark))) {
        return 0;
    }
    *why = bbi_load_acquire(&e->why); /* R4: stored before gen */
    return 1;
}

void
bbi_join_again(struct bbi_join *j, const struct bbi_reader *r)
{
    j->gen = j->gen < INT32_MAX ? j->gen + 1 : 1;
    j->mark = j->gen; /* the mark has said what it had to say */
    write_line(j, r->cursor);
    tell_publishers(j);
}

void
bbi_join_end(struct bbi_join *j)
{
    struct bbi_cursor *line = line_of(j);
    /* The key and the cursor stay: the steward sees by them that we have read the ring. */
    bbi_store_release(&line->mode, BBI_JOIN_NONE); /* R4 */
    BBI_HOOK("join:ended");
    if (j->is_reliable) {
        (void)bbi_fetch_add_seq_cst(&j->bus->sub_epoch.v,
                                    1); /* R5: the publisher forgets our cursor */
    }
}

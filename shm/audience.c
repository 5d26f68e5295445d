/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/audience.c - limits, eviction and waking, from the publisher's side.
 *
 * The slowest reliable cursor c sets two limits: n < b + D, where b is the number at which its burst begins,
 * and no byte beyond the position of c plus C.  When that cursor equals our own n, descriptor n still holds an
 * old message: our own position counts then, and b is the first of the burst that may take n in.
 */
#include "shm/audience.h"
#include "shm/hook.h"
#include "shm/os.h"
#include "shm/registry.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SLICE_NS = 10000000,
    ROOM_LOOKS = 64, /* pauses before a publisher that waits goes to sleep */
    YIELD_LOOKS = 32,
    NUDGE_SHARE = 32, /* of the ring: between two looks at a slow reader that may be asleep */
};

static void
mask_set(struct bbi_mask *m, uint32_t i)
{
    m->words[i / 64] |= UINT64_C(1) << i % 64;
}

static void
mask_clear(struct bbi_mask *m, uint32_t i)
{
    m->words[i / 64] &= ~(UINT64_C(1) << i % 64);
}

static struct bbi_ring *
ring_of(const struct bbi_audience *aud)
{
    return aud->writer->map.hdr;
}

static void
forget(struct bbi_audience *aud, uint32_t i)
{
    struct bbi_listener *l = &aud->listeners[i];
    if (l->key == 0) {
        return;
    }
    bbi_segment_close(&l->seg);
    free(l->filter);
    aud->pending -= l->is_pending;
    aud->reliable -= (uint32_t)(l->join_gen != 0) + (uint32_t)l->is_owed;
    mask_clear(&aud->unmapped, i);
    *l = (struct bbi_listener){0};
    bbi_store_relaxed(&ring_of(aud)->evicted[i].gen, 0);
    bbi_store_relaxed(&ring_of(aud)->evicted[i].why, 0);
}

static void
end_owing(struct bbi_audience *aud, struct bbi_listener *l)
{
    aud->reliable -= l->is_owed;
    l->is_owed = false;
}

/* We cannot protect this one: it is told, and wanted to be woken by everything. */
static void
give_up_mapping(struct bbi_audience *aud, uint32_t i)
{
    aud->listeners[i].is_unmapped = true;
    end_owing(aud, &aud->listeners[i]); /* nor wait for it */
    mask_set(&aud->unmapped, i);
    bbi_store_relaxed(&ring_of(aud)->evicted[i].why, BBI_EVICT_UNMAPPED);
    bbi_store_release(&ring_of(aud)->evicted[i].gen,
                      bbi_evict_mark(aud->listeners[i].key)); /* R4 */
}

static void
map_listener(struct bbi_audience *aud, uint32_t i)
{
    struct bbi_listener *l = &aud->listeners[i];
    struct bbi_row row;
    char name[BBI_FILE_NAME_BYTES];
    l->is_pending = false;
    aud->pending--;
    if (!bbi_row_read(&aud->at->bus->subs[i], &row) || row.key != l->key) {
        forget(aud, i);
        return;
    }
    bbi_place_sub_name(name, i, row.gen, row.key);
    int rc = bbi_segment_open(aud->at->place.dir_fd, name, BBI_FILE_SUB, false, &l->seg);
    BBI_HOOK("audience:mapped");
    if (rc == -ENOENT) {
        forget(aud, i);
    } else if (rc < 0) {
        give_up_mapping(aud, i);
    }
}

static void
read_filter(struct bbi_audience *aud, struct bbi_listener *l)
{
    const struct bbi_sub *sub = l->seg.base;
    uint32_t sel = bbi_load_acquire(&sub->filter_sel); /* R8 */
    if (l->filter != NULL && sel == l->filter_sel) {
        return;
    }
    if (l->filter == NULL) {
        l->filter = malloc(sizeof(*l->filter));
    }
    l->wants_all = l->filter == NULL || bbi_filter_read(sub, l->filter) < 0;
    if (l->wants_all) { /* rather wake it too often than never */
        free(l->filter);
        l->filter = NULL;
    }
    l->filter_sel = sel;
    aud->mask_epoch++;
}

/*
 * The message at cursor c is whole: we are the only one who could have overwritten it.  What is on loan is
 * committed whatever comes, so the descriptor of its burst must not be where that goes.
 */
static bool
is_intact(const struct bbi_writer *w, uint64_t c)
{
    uint64_t first, pos;
    return bbi_writer_locate(w, c, &first, &pos)
           && !bbi_is_before(first + w->map.depth, w->loan_end);
}

/* Nothing that a reader at cursor c needs may be overwritten: not its bytes, nor the descriptor of its burst. */
static void
limit_to(struct bbi_audience *aud, uint64_t c)
{
    struct bbi_writer *w = aud->writer;
    uint64_t first, pos;
    if (!bbi_writer_locate(w, c, &first, &pos)) { /* cannot be: it was protected */
        first = c;
        pos = w->claim_pos - w->map.pay_bytes;
    }
    bbi_writer_limit(w, bbi_max_u64(first + w->map.depth, w->n), pos + w->map.pay_bytes);
    /* When half is used up; then each time that a share more is. */
    aud->nudge_seq = bbi_max_u64(c + w->map.depth / 2, w->n + w->map.depth / NUDGE_SHARE);
    aud->nudge_pos =
        bbi_max_u64(pos + w->map.pay_bytes / 2, w->pos + w->map.pay_bytes / NUDGE_SHARE);
}

static uint64_t
clamp_cursor(const struct bbi_audience *aud, uint64_t cursor, uint64_t low)
{
    uint64_t n = aud->writer->n;
    if (bbi_is_before(cursor, low)) {
        return low;
    }
    return bbi_is_before(n, cursor) ? n : cursor;
}

/* Takes up a reliable join, or that there is none any more. */
static void
read_join(struct bbi_audience *aud, struct bbi_listener *l)
{
    const struct bbi_sub *sub = l->seg.base;
    const struct bbi_cursor *line = &sub->cursors[aud->ring_index];
    uint32_t gen = bbi_load_acquire(&line->join_gen); /* R4 */
    bool is_ours = bbi_load_acquire(&line->ring_key) == aud->ring_key;
    uint32_t mode = bbi_load_acquire(&line->mode);
    bool joins = is_ours && mode == BBI_JOIN_RELIABLE && gen != 0;
    bool declines =
        is_ours
        && (mode == BBI_JOIN_LOSSY || bbi_load_acquire(&line->cursor) == BBI_CURSOR_RENOUNCED);
    if (joins || declines) {
        end_owing(aud, l);
    }
    if (!joins) {
        aud->reliable -= l->join_gen != 0;
        l->join_gen = 0;
        return;
    }
    if (gen == l->join_gen) {
        return;
    }
    aud->reliable += l->join_gen == 0;
    l->join_gen = gen;
    uint64_t cursor = clamp_cursor(aud, bbi_load_acquire(&line->cursor), aud->writer->map.depth);
    if (!is_intact(aud->writer,
                   cursor)) { /* what is gone cannot be protected: the reader finds out by laps */
        cursor = bbi_max_u64(cursor, l->floor);
        cursor = is_intact(aud->writer, cursor) ? cursor : aud->tail_before;
    }
    l->cursor = cursor;
    BBI_HOOK("audience:joined");
}

static bool
is_evicted(const struct bbi_audience *aud, uint32_t i)
{
    const struct bbi_listener *l = &aud->listeners[i];
    return bbi_load_relaxed(&ring_of(aud)->evicted[i].gen) == l->join_gen; /* our own word */
}

/* Limits from all reliable cursors.  The slowest one's index, or BBI_SUBS. */
static uint32_t
refresh_limits(struct bbi_audience *aud)
{
    struct bbi_writer *w = aud->writer;
    uint64_t min = UINT64_MAX;
    uint32_t slowest = BBI_SUBS;
    for (uint32_t i = 0; i < aud->top && (aud->reliable != 0 || aud->pending != 0); i++) {
        struct bbi_listener *l = &aud->listeners[i];
        if (l->is_pending) {
            min = bbi_min_u64(min, l->floor);
        } else if (l->is_owed) {
            if (w->map.depth < min) { /* the ring's first message */
                min = w->map.depth;
                slowest = i;
            }
        } else if (l->join_gen != 0 && !is_evicted(aud, i)) {
            const struct bbi_sub *sub = l->seg.base;
            l->cursor = clamp_cursor(aud, bbi_load_seq_cst(&sub->cursors[aud->ring_index].cursor),
                                     l->cursor);
            if (l->cursor < min) { /* R4, R9: the load above */
                min = l->cursor;
                slowest = i;
            }
        }
    }
    if (min == UINT64_MAX) {
        bbi_writer_limit(w, UINT64_MAX, UINT64_MAX);
        aud->nudge_seq = aud->nudge_pos = UINT64_MAX;
    } else {
        limit_to(aud, min);
    }
    return slowest;
}

/* A subscriber of our own endpoint hears us only when it asked for it. */
static bool
is_deaf_to_us(const struct bbi_audience *aud, const struct bbi_row *sub)
{
    return sub->member == aud->at->member && sub->member_gen == aud->at->member_gen
           && (sub->lane & BBI_SUB_LOOPBACK) == 0;
}

/* member_epoch when our ring was registered; our own row. */
static uint64_t
own_born(const struct bbi_audience *aud)
{
    return bbi_load_relaxed(&aud->at->bus->rings[aud->ring_index].born);
}

static void
look_at_row(struct bbi_audience *aud, uint32_t i)
{
    struct bbi_listener *l = &aud->listeners[i];
    struct bbi_row row;
    if (!bbi_row_read(&aud->at->bus->subs[i], &row) || row.state != BBI_ENTRY_ACTIVE
        || is_deaf_to_us(aud, &row)) {
        forget(aud, i);
        return;
    }
    if (row.key != l->key) {
        forget(aud, i);
        l->key = row.key;
        aud->top = i < aud->top ? aud->top : i + 1;
        aud->words = (aud->top + 63) / 64;
        l->is_pending = true;
        l->floor = aud->tail_before;
        l->is_owed = (row.lane & BBI_SUB_RELIABLE) != 0 && bbi_is_before(row.born, own_born(aud))
                     && is_intact(aud->writer, aud->writer->map.depth);
        aud->reliable += l->is_owed;
        aud->pending++;
    }
}

/* Of those that are pending one is mapped at a flush, all when somebody has to wait. */
static void
map_pending(struct bbi_audience *aud, bool all)
{
    for (uint32_t i = 0; i < aud->top && aud->pending != 0; i++) {
        if (aud->listeners[i].is_pending) {
            map_listener(aud, i);
            aud->mask_epoch++;
            if (!all) {
                return;
            }
        }
    }
}

static void
take_up(struct bbi_audience *aud, bool all)
{
    map_pending(aud, all);
    for (uint32_t i = 0; i < aud->top; i++) {
        struct bbi_listener *l = &aud->listeners[i];
        uint64_t before = aud->mask_epoch;
        if (l->seg.base != NULL) {
            read_filter(aud, l);
            read_join(aud, l);
        }
        if (l->is_pending || aud->mask_epoch != before) {
            mask_set(&aud->wake, i); /* the masks of what was committed already did not know it */
        }
    }
    (void)refresh_limits(aud);
}

void
bbi_audience_look(struct bbi_audience *aud)
{
    uint64_t epoch = bbi_load_seq_cst(&aud->at->bus->sub_epoch.v); /* R5: after our tail */
    if (BBI_LIKELY(epoch == aud->epoch && aud->pending == 0)) {
        return;
    }
    if (epoch != aud->epoch) {
        aud->mask_epoch++;
        for (uint32_t i = 0; i < BBI_SUBS; i++) {
            look_at_row(aud, i);
        }
        aud->epoch = epoch;
    }
    BBI_HOOK("audience:looked");
    take_up(aud, false);
}

void
bbi_audience_init(struct bbi_audience *aud,
                  struct bbi_attach *at,
                  struct bbi_writer *writer,
                  uint32_t ring_index,
                  uint64_t ring_key,
                  bbi_match_fn match)
{
    memset(aud, 0, sizeof(*aud));
    aud->at = at;
    aud->writer = writer;
    aud->waker = (struct bbi_waker){.sock_fd = -1, .dir_fd = at->place.dir_fd};
    aud->ring_index = ring_index;
    aud->ring_key = ring_key;
    aud->match = match;
    aud->tail_before = writer->n;
    aud->epoch = UINT64_MAX;
    bbi_audience_look(aud);
    map_pending(aud, true);
    take_up(aud, true);
}

void
bbi_audience_fini(struct bbi_audience *aud)
{
    for (uint32_t i = 0; i < aud->top; i++) {
        bbi_segment_close(&aud->listeners[i].seg);
        free(aud->listeners[i].filter);
    }
    if (aud->waker.sock_fd >= 0) {
        (void)close(aud->waker.sock_fd);
    }
}

void
bbi_audience_mask(const struct bbi_audience *aud,
                  const void *subject,
                  size_t bytes,
                  struct bbi_mask *out)
{
    *out = aud->unmapped;
    for (uint32_t i = 0; i < aud->top; i++) {
        const struct bbi_listener *l = &aud->listeners[i];
        struct bbi_filter_item item;
        uint32_t off = 0;
        if (l->is_pending || l->wants_all) {
            mask_set(out, i); /* not read yet: rather wake it once too often */
        }
        while (l->filter != NULL && bbi_filter_next(l->filter, &off, &item)) {
            if (aud->match(&item, subject, bytes)) {
                mask_set(out, i);
                break;
            }
        }
    }
}

/* Wakes one of those in `asleep`; the others are left to it. */
static bool
wake_first(struct bbi_audience *aud, uint32_t word, uint64_t asleep)
{
    for (; asleep != 0; asleep &= asleep - 1) {
        uint32_t idx = word * 64 + (uint32_t)__builtin_ctzll(asleep);
        if (bbi_wake_ring(aud->at->bus, &aud->waker, idx)) {
            bbi_own_add(&ring_of(aud)->counters.wakes, 1);
            return true;
        }
    }
    return false;
}

void
bbi_audience_wake(struct bbi_audience *aud)
{
    struct bbi_bus *bus = aud->at->bus;
    bool woke = false;
    for (uint32_t w = 0; w < aud->words; w++) {
        uint64_t mine = bbi_load_seq_cst(&bus->sleepers[w].v) & aud->wake.words[w]; /* R5 */
        if (mine == 0) {
            continue;
        }
        if ((mine & (mine - 1)) != 0 || woke) { /* more than one: whoever wakes passes it on */
            (void)bbi_fetch_or_seq_cst(&bus->pass_on[w].v, mine); /* R6: before the waking */
            BBI_HOOK("audience:pass_on");
        }
        if (!woke) {
            woke = wake_first(aud, w, mine);
        }
    }
}

void
bbi_audience_announce(struct bbi_audience *aud)
{
    struct bbi_writer *w = aud->writer;
    if (bbi_writer_is_flushed(w)) {
        return;
    }
    aud->tail_before = w->flushed_seq;
    bbi_writer_flush(w);
    bbi_audience_look(aud);
    if (w->n >= aud->nudge_seq || w->pos >= aud->nudge_pos) {
        bbi_audience_nudge(aud);
    }
}

/* A reader that sleeps since it wants nothing of this shall not be evicted for it: wake it in time. */
void
bbi_audience_nudge(struct bbi_audience *aud)
{
    const struct bbi_writer *w = aud->writer;
    uint32_t slowest = refresh_limits(aud);
    bool is_half_full =
        w->lim_seq - w->n <= w->map.depth / 2 || w->lim_pos - w->pos <= w->map.pay_bytes / 2;
    if (slowest != BBI_SUBS && is_half_full) {
        int woke = bbi_wake_ring(aud->at->bus, &aud->waker, slowest);
        bbi_own_add(&ring_of(aud)->counters.wakes, (uint64_t)woke);
        BBI_HOOK("audience:nudged");
    }
}

static void
evict(struct bbi_audience *aud, uint32_t i)
{
    struct bbi_ring *ring = ring_of(aud);
    struct bbi_listener *l = &aud->listeners[i];
    bbi_store_relaxed(&ring->evicted[i].why, BBI_EVICT_SLOW);
    bbi_store_release(&ring->evicted[i].gen,
                      l->is_owed ? bbi_evict_mark(l->key) : l->join_gen); /* R4 */
    end_owing(aud, l);
    bbi_own_add(&ring->counters.evicted, 1);
    BBI_HOOK("audience:evicted");
}

/* It died, or it closed; its row may have another owner already, who is alive. */
static bool
is_gone(const struct bbi_audience *aud, uint32_t i)
{
    struct bbi_row row;
    return !bbi_row_read(&aud->at->bus->subs[i], &row) || row.key != aud->listeners[i].key
           || !bbi_is_alive(aud->at, BBI_LOCK_SUB + i);
}

/* Looks again; drops the slowest if it is gone.  True when there is room. */
static bool
look_again(struct bbi_audience *aud, uint64_t bytes, uint32_t *slowest)
{
    for (;;) {
        bbi_audience_look(aud); /* somebody may have joined while we wait */
        *slowest = refresh_limits(aud);
        if (bbi_writer_has_room(aud->writer, bytes)) {
            return true;
        }
        if (*slowest == BBI_SUBS || !is_gone(aud, *slowest)) {
            return false;
        }
        forget(aud, *slowest);
    }
}

/* Who is in the way may sleep on a bell that a process won which then stopped: do not wait for that one. */
static void
wake_slowest(struct bbi_audience *aud, uint32_t i)
{
    uint64_t asleep = bbi_load_seq_cst(&aud->at->bus->sleepers[i / 64].v); /* R5 */
    if ((asleep >> i % 64 & 1) != 0) {
        bbi_wake_surely(aud->at->bus, &aud->waker, i);
    }
}

static const bbi_u32 *
cursor_bell(const struct bbi_audience *aud, uint32_t i)
{
    const struct bbi_sub *sub = aud->listeners[i].seg.base;
    return &sub->cursors[aud->ring_index].bell;
}

/* Waits until there is room or the time is over.  True when there is room. */
static bool
wait_for_room(struct bbi_audience *aud, uint64_t bytes, uint32_t *slowest)
{
    struct bbi_ring *ring = ring_of(aud);
    int64_t deadline = bbi_os_mono_ns() + aud->block_ns;
    bool room = false;
    bbi_own_add(&ring->counters.blocked, 1);
    (void)bbi_exchange_seq_cst(&ring->blocked, 1); /* R9: before the look at cursors */
    BBI_HOOK("audience:blocked");
    for (;;) {
        const bbi_u32 *bell = cursor_bell(aud, *slowest);
        uint32_t seen = bbi_load_seq_cst(bell); /* R9: before that look, too */
        uint32_t before = *slowest;
        room = look_again(aud, bytes, slowest);
        int64_t left = deadline - bbi_os_mono_ns();
        if (room || *slowest == BBI_SUBS || left <= 0) {
            break;
        }
        if (*slowest == before) {
            wake_slowest(aud, before);
            (void)bbi_os_futex_wait(bell, seen, left < SLICE_NS ? left : SLICE_NS);
            BBI_HOOK("audience:waited");
        }
    }
    bbi_store_relaxed(&ring->blocked, 0);
    return room;
}

/* Readers that are awake move on all the time: a few looks at their cursors, without any other work. */
static bool
find_room(struct bbi_audience *aud, uint64_t bytes, int looks)
{
    for (int i = 0; i < looks; i++) {
        (void)refresh_limits(aud);
        if (bbi_writer_has_room(aud->writer, bytes)) {
            return true;
        }
        if ((i + 1) % YIELD_LOOKS == 0) {
            bbi_os_yield(); /* the reader may be waiting for this core */
        } else {
            bbi_cpu_relax();
        }
    }
    return false;
}

int
bbi_audience_make_room(struct bbi_audience *aud, uint64_t bytes)
{
    uint32_t slowest;
    bool blocks = aud->policy == BBI_BLOCK_EVICT || aud->policy == BBI_BLOCK_FAIL;
    bbi_audience_flush(aud); /* so that whoever is in the way and asleep is woken */
    if (find_room(aud, bytes, blocks ? ROOM_LOOKS : 1)) {
        return 0;
    }
    map_pending(aud, true);
    take_up(aud, true);
    if (look_again(aud, bytes, &slowest)) {
        return 0;
    }
    if (blocks && slowest != BBI_SUBS && wait_for_room(aud, bytes, &slowest)) {
        return 0;
    }
    while (slowest != BBI_SUBS && (aud->policy == BBI_EVICT || aud->policy == BBI_BLOCK_EVICT)) {
        evict(aud, slowest);
        if (look_again(aud, bytes, &slowest)) {
            return 0;
        }
    }
    if (bbi_writer_has_room(aud->writer, bytes)) {
        return 0;
    }
    bbi_own_add(&ring_of(aud)->counters.refused, 1);
    return BB_EAGAIN;
}

uint64_t
bbi_audience_headroom(struct bbi_audience *aud)
{
    const struct bbi_writer *w = aud->writer;
    bbi_audience_look(aud);
    (void)refresh_limits(aud);
    if (w->lim_pos == UINT64_MAX) {
        return w->map.pay_bytes;
    }
    return w->n < w->lim_seq && w->lim_pos > w->pos ? w->lim_pos - w->pos : 0;
}

uint64_t
bbi_audience_headroom_msgs(struct bbi_audience *aud)
{
    const struct bbi_writer *w = aud->writer;
    if (bbi_audience_headroom(aud) == 0) {
        return 0;
    }
    return w->lim_seq == UINT64_MAX ? w->map.depth : w->lim_seq - w->n;
}

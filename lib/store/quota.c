/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/quota.c - how large a store is, and what is done about it.
 *
 *   |---- generation that counts ----|-- the one that grows --|-- replaced, still mapped --|   room   | reserve |
 *   used | can be used again | held by views                                                          quota
 *
 * All that lies on the file system counts.  A generation whose views hold many pages, or that has much to use again,
 * is replaced by a copy of what is in use as soon as all are past half of the quota: later there would be no room
 * for the copy.  A reader stopped in a view then holds the old one, and the new one does not grow because of it.
 * That one's files have no name any more; the master keeps it open, to see when its last reader is gone.
 */
#include "lib/store/quota.h"
#include "lib/store/store_impl.h"
#include "shm/os.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    RESERVE_PART = 20,       /* 5 % */
    RESERVE_MIN = 256 << 10, /* a delete copies some pages before it frees any */
    WORTH_PART = 16,         /* of the quota: less is not worth a swap */
    GROWN_PART = 100,        /* looked at again when the file grew by a hundredth of the quota */
    ROUND_BYTES = 64 << 10,
};
#define LOOK_NS      INT64_C(1000000000)
#define FULL_NS      INT64_C(10000000)   /* between two looks because there was no room */
#define IDLE_NS      INT64_C(1000000000) /* before the blocks of a replaced one are given back */
#define TRY_AGAIN_NS INT64_C(1000000000) /* after a compaction that was given up */

uint64_t
bbi_quota_map_bytes(uint64_t quota_bytes)
{
    return bbi_align_up(quota_bytes, ROUND_BYTES);
}

uint64_t
bbi_quota_reserve(uint64_t quota_bytes)
{
    return bbi_max_u64(quota_bytes / RESERVE_PART, RESERVE_MIN);
}

static uint64_t
retired_bytes(const struct bbi_house *house)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < house->retired_count; i++) {
        sum += house->retired[i].file_bytes;
    }
    return sum;
}

static uint64_t
all_bytes(const struct bbi_house *house)
{
    return bbi_db_file_bytes(house->env) + bbi_mirror_bytes(house->mirror) + retired_bytes(house);
}

bool
bbi_quota_is_over(struct bb_store *s)
{
    return all_bytes(bbi_master_house(s)) > s->quota_bytes;
}

int
bbi_quota_has_room_for_copy(struct bb_store *s)
{
    const struct bbi_house *house = bbi_master_house(s);
    struct bbi_db_usage u;
    int rc = bbi_db_usage(house->env, &u);
    if (rc < 0) {
        return rc;
    }
    uint64_t needed = u.file_bytes - bbi_min_u64(u.file_bytes, u.free_bytes + u.held_bytes);
    return house->retired_count == BBI_RETIRED_MAX || all_bytes(house) + needed > s->quota_bytes
               ? BB_ENOSPC
               : 0;
}

/* ---- who holds what ---- */

struct holder {
    int64_t pid; /* 0: nobody */
    uint64_t generation, txn;
    uint64_t held_bytes; /* of all generations */
    uint32_t readers;
};

/*
 * Nobody needs it: no slot of its table is taken, or none that has a view.  An idle reader maps it until its next view,
 * which may never come, so the blocks are given back under it.  Who begins a view looks at the generation
 * after its slot says so (view.c), and we look at the slots long after the generation moved: whatever either of them
 * had in flight then is over, so a slot without a view has none, or belongs to who sees that it moved.
 */
static bool
is_over(const struct bbi_retired *old, const struct bbi_db_usage *u, int64_t now_ns)
{
    return u->readers == 0
           || (u->oldest_pid == 0 && now_ns - old->since_ns >= IDLE_NS
               && bbi_db_discard(old->env) == 0);
}

/* Generations that were replaced: closed when they are over, else asked who it is. */
static int
look_at_retired(struct bbi_house *house, struct holder *who, int64_t now_ns)
{
    uint32_t kept = 0;
    int rc = 0;
    for (uint32_t i = 0; i < house->retired_count; i++) {
        struct bbi_retired *old = &house->retired[i];
        struct bbi_db_usage u = {0};
        int freed = bbi_db_check_readers(old->env);
        int looked = bbi_db_usage(old->env, &u);
        rc = freed < 0 ? freed : looked < 0 ? looked : rc;
        if (freed >= 0 && looked == 0 && is_over(old, &u, now_ns)) {
            bbi_db_close(old->env);
            continue;
        }
        who->readers += u.readers;
        who->held_bytes += old->file_bytes;
        if (u.oldest_pid != 0 && who->pid == 0) { /* the first is the oldest */
            who->pid = u.oldest_pid;
            who->generation = old->generation;
            who->txn = u.oldest_txn;
        }
        house->retired[kept++] = *old;
    }
    house->retired_count = kept;
    return rc;
}

static void
look_at_current(const struct bbi_house *house, const struct bbi_db_usage *u, struct holder *who)
{
    who->readers += u->readers;
    who->held_bytes += u->held_bytes;
    if (who->pid == 0 && u->oldest_pid != 0) {
        who->pid = u->oldest_pid;
        who->generation = house->state.generation;
        who->txn = u->oldest_txn;
    }
}

/* Since when it is the oldest: a view is known by its process, its generation and its transaction. */
static void
watch_oldest(struct bbi_house *house, const struct holder *who, int64_t now_ns)
{
    if (who->pid != house->oldest_pid || who->generation != house->oldest_generation
        || who->txn != house->oldest_txn) {
        house->oldest_pid = who->pid;
        house->oldest_generation = who->generation;
        house->oldest_txn = who->txn;
        house->oldest_since_ns = who->pid != 0 ? now_ns : 0;
    }
}

static void
tell(struct bb_store *s, const struct bbi_db_usage *u, const struct holder *who)
{
    const struct bbi_house *house = bbi_master_house(s);
    struct bbi_store_ctl *ctl = s->dir.ctl;
    bbi_store_relaxed(&ctl->file_bytes, all_bytes(house));
    bbi_store_relaxed(&ctl->used_bytes,
                      u->file_bytes - bbi_min_u64(u->file_bytes, u->free_bytes + u->held_bytes));
    bbi_store_relaxed(&ctl->held_bytes, who->held_bytes);
    bbi_store_relaxed(&ctl->quota_bytes, s->quota_bytes);
    bbi_store_relaxed(&ctl->retired_bytes, retired_bytes(house));
    bbi_store_relaxed(&ctl->readers, who->readers);
    bbi_store_relaxed(&ctl->oldest_pid, (uint64_t)who->pid);
    /* Each generation counts its own: who is in an older one is behind all of this one's. */
    bbi_store_relaxed(&ctl->oldest_txn, who->generation == house->state.generation ? who->txn : 0);
    bbi_store_relaxed(&ctl->oldest_since_ns, (uint64_t)house->oldest_since_ns);
    bbi_store_relaxed(&ctl->last_txn, u->last_txn);
}

/* ---- what is done about it ---- */

static void
shrink(struct bb_store *s, const struct bbi_db_usage *u, int64_t now_ns)
{
    struct bbi_house *house = bbi_master_house(s);
    uint64_t spare = u->free_bytes + u->held_bytes;
    bool is_worth_it = spare >= u->file_bytes / 4 && spare >= s->quota_bytes / WORTH_PART;
    if (house->mirror == NULL && is_worth_it && all_bytes(house) > s->quota_bytes / 2
        && (house->tried_ns == 0 || now_ns - house->tried_ns >= TRY_AGAIN_NS)
        && bbi_compaction_start(s) < 0) {
        house->tried_ns = now_ns;
    }
}

static int
explain(struct bb_store *s, const struct holder *who, int64_t now_ns)
{
    struct bbi_house *house = bbi_master_house(s);
    if (who->pid != 0 && who->held_bytes > s->quota_bytes / RESERVE_PART) {
        (void)bbi_fault_set(&house->why, BB_ENOSPC, s->name,
                            "store '%s' is full: %" PRIu64 " of its quota of %" PRIu64
                            " bytes are held by a view that process %" PRId64
                            " has open for %" PRId64
                            " s: let it end its view, or end it; or give the master a larger quota",
                            s->name, who->held_bytes, s->quota_bytes, who->pid,
                            (now_ns - house->oldest_since_ns) / 1000000000);
        bbi_fault_owner(&house->why, who->pid, -1);
        return BB_ENOSPC;
    }
    return bbi_fault_set(&house->why, BB_ENOSPC, s->name,
                         "store '%s' is full: its files have %" PRIu64
                         " bytes, its quota is %" PRIu64
                         ": erase keys, or give the master a larger quota",
                         s->name, all_bytes(house), s->quota_bytes);
}

static int
judge(struct bb_store *s, const struct bbi_db_usage *u, const struct holder *who, int64_t now_ns)
{
    struct bbi_house *house = bbi_master_house(s);
    uint64_t bytes = all_bytes(house);
    uint64_t room = u->free_bytes + (bytes < s->quota_bytes ? s->quota_bytes - bytes : 0);
    return room >= bbi_quota_reserve(s->quota_bytes) ? 0 : explain(s, who, now_ns);
}

static bool
is_due(const struct bbi_house *house, uint64_t quota_bytes, bool is_full, int64_t now_ns)
{
    int64_t since_ns = now_ns - house->looked_ns;
    if (house->looked_ns == 0 || since_ns >= LOOK_NS) {
        return true;
    }
    bool has_grown = all_bytes(house) > house->looked_bytes + quota_bytes / GROWN_PART;
    return has_grown || ((is_full || house->status < 0) && since_ns >= FULL_NS);
}

int
bbi_quota_look(struct bb_store *s, bool is_full)
{
    struct bbi_house *house = bbi_master_house(s);
    int64_t now_ns = bbi_os_mono_ns();
    if (!is_due(house, s->quota_bytes, is_full, now_ns)) {
        return house->status;
    }
    struct bbi_db_usage u;
    struct holder who = {0};
    int rc = bbi_db_check_readers(house->env);
    rc = rc < 0 ? rc : look_at_retired(house, &who, now_ns);
    rc = rc < 0 ? rc : bbi_db_usage(house->env, &u);
    if (rc < 0) {
        return rc;
    }
    look_at_current(house, &u, &who);
    watch_oldest(house, &who, now_ns);
    shrink(s, &u, now_ns);
    house->looked_ns = now_ns;
    house->looked_bytes = all_bytes(house);
    house->status = judge(s, &u, &who, now_ns);
    tell(s, &u, &who);
    return house->status;
}

void
bbi_house_fini(struct bb_store *s)
{
    struct bbi_house *house = bbi_master_house(s);
    bbi_compaction_stop(s);
    while (house->retired_count > 0) {
        bbi_db_close(house->retired[--house->retired_count].env);
    }
}

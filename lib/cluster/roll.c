/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/roll.c - the list and its file.
 *
 *   bits  0-1 kind │ 2-10 slot │ 11-42 generation │ 43-50 weight │ 51-63 lap
 *
 * The lap of place e is 1 + (e / capacity) mod 8191, so a word says by itself whether it is of this time round
 * or the last: a reader at place e sees the lap of e, or that of e - capacity (not written yet), or another
 * (overwritten).  Only who knows the whole list up to e may append at e, and swaps it for the very word that
 * was there a lap ago: whoever slept meanwhile fails.  No word of the list is ever changed otherwise.
 */
#include "lib/cluster/roll.h"
#include "busbar/cluster.h"
#include "shm/fault.h"
#include "shm/hash.h"
#include "shm/hook.h"
#include "shm/os.h"
#include "shm/ring.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SLOT_SHIFT = 2,
    GEN_SHIFT = 11,
    WEIGHT_SHIFT = 43,
    LAP_SHIFT = 51,
    SLOT_MASK = 0x1ff,
    WEIGHT_MASK = 0xff,
    TIME_SHIFT = 13,
    ID_GEN_SHIFT = 16, /* of bb_endpoint_id() */
};
#define LAP_MASK UINT64_C(0x1fff)
static const int64_t NS_PER_MS = 1000000;

static uint64_t
lap_of(uint64_t epoch)
{
    return 1 + epoch / BBI_ROLL_CHANGES % BBI_ROLL_LAPS;
}

/* What stands at a place before its change does. */
static uint64_t
lap_before(uint64_t epoch)
{
    return epoch < BBI_ROLL_CHANGES ? 0 : lap_of(epoch - BBI_ROLL_CHANGES);
}

uint64_t
bbi_roll_word(const struct bbi_change *c)
{
    return (uint64_t)c->kind | (c->id & SLOT_MASK) << SLOT_SHIFT
           | (c->id >> ID_GEN_SHIFT & UINT32_MAX) << GEN_SHIFT
           | (uint64_t)(c->weight & WEIGHT_MASK) << WEIGHT_SHIFT | lap_of(c->epoch) << LAP_SHIFT;
}

int
bbi_roll_parse(uint64_t word, uint64_t epoch, struct bbi_change *out)
{
    if (word >> LAP_SHIFT != lap_of(epoch)) {
        return 0;
    }
    *out = (struct bbi_change){
        .epoch = epoch,
        .id = (word >> GEN_SHIFT & UINT32_MAX) << ID_GEN_SHIFT | (word >> SLOT_SHIFT & SLOT_MASK),
        .kind = (uint32_t)(word & 3),
        .weight = (uint32_t)(word >> WEIGHT_SHIFT & WEIGHT_MASK),
    };
    return 1;
}

/* ---- the file ---- */

static void
roll_name(const struct bbi_attach *at, char out[BBI_FILE_NAME_BYTES])
{
    bbi_place_roll_name(out, at->bus->ident.generation, at->bus->ident.key);
}

static int
make_file(const struct bbi_attach *at, const char *name)
{
    struct bbi_segment seg;
    int fd;
    int rc = bbi_segment_new(at->place.dir_fd, sizeof(struct bbi_roll_file), 0660, &seg, &fd);
    if (rc < 0) {
        return rc;
    }
    struct bbi_roll_file *file = seg.base;
    bbi_segment_ident(&file->ident, BBI_FILE_ROLL, sizeof(*file));
    memcpy(file->ident.bus_uuid, at->bus->ident.bus_uuid, sizeof(file->ident.bus_uuid));
    file->ident.generation = at->bus->ident.generation;
    file->ident.index = file->ident.generation;
    (void)snprintf(file->ident.name, sizeof(file->ident.name), "%s", at->name);
    file->changes = BBI_ROLL_CHANGES;
    file->records = BBI_ROLL_RECORDS;
    bbi_os_random(file->seed, sizeof(file->seed));
    file->magic = BBI_ROLL_MAGIC;
    bbi_segment_seal(&file->ident);
    BBI_HOOK("roll:made");
    rc = bbi_os_link_file(fd, at->place.dir_fd, name); /* or somebody was first: theirs counts */
    BBI_HOOK("roll:linked");
    (void)close(fd);
    bbi_segment_close(&seg);
    return rc == BB_EEXIST ? 0 : rc;
}

static int
check_file(const struct bbi_segment *seg, const struct bbi_attach *at)
{
    const struct bbi_roll_file *file = seg->base;
    if (seg->bytes < sizeof(*file) || file->magic != BBI_ROLL_MAGIC) {
        return BB_ECORRUPT;
    }
    if (file->changes != BBI_ROLL_CHANGES || file->records != BBI_ROLL_RECORDS) {
        return BB_EVERSION;
    }
    return memcmp(file->ident.bus_uuid, at->bus->ident.bus_uuid, sizeof(file->ident.bus_uuid)) == 0
               ? 0
               : BB_ECORRUPT;
}

static int
say(const struct bbi_attach *at, const char *name, int rc, struct bbi_fault *f)
{
    const char *advice = rc == BB_ENOSPC     ? "remove what fills its file system, or enlarge it"
                         : rc == BB_ECORRUPT ? "end the bus's processes and run 'busbar gc'"
                         : rc == BB_EVERSION ? "use programs of one version on a bus"
                                             : "look at its owner and mode";
    return bbi_fault_set(f, rc, at->place.path, "the roll of nodes '%s/%s' (%zu bytes): %s; %s",
                         at->place.path, name, sizeof(struct bbi_roll_file), bb_strerror(rc),
                         advice);
}

int
bbi_roll_open(struct bbi_roll *roll,
              const struct bbi_attach *at,
              bool may_make,
              struct bbi_fault *f)
{
    char name[BBI_FILE_NAME_BYTES];
    roll_name(at, name);
    *roll = (struct bbi_roll){0};
    int rc = bbi_segment_open(at->place.dir_fd, name, BBI_FILE_ROLL, may_make, &roll->seg);
    if (rc == -ENOENT && may_make) {
        rc = make_file(at, name);
        rc =
            rc < 0 ? rc : bbi_segment_open(at->place.dir_fd, name, BBI_FILE_ROLL, true, &roll->seg);
    }
    if (rc < 0) {
        return rc == -ENOENT ? rc : say(at, name, rc, f);
    }
    rc = check_file(&roll->seg, at);
    if (rc < 0) {
        bbi_segment_close(&roll->seg);
        return say(at, name, rc, f);
    }
    roll->file = roll->seg.base;
    return 0;
}

void
bbi_roll_close(struct bbi_roll *roll)
{
    if (roll->file != NULL) {
        bbi_segment_close(&roll->seg);
        roll->file = NULL;
    }
}

/* Relaxed: the word is one of itself, and what it means for a change is known before that change is appended (R11). */
uint32_t
bbi_roll_hashing(const struct bbi_roll *roll)
{
    return bbi_load_relaxed(&roll->file->hashing) == BB_HRW_ZEEK ? BB_HRW_ZEEK : BB_HRW_KEYED;
}

void
bbi_roll_set_hashing(struct bbi_roll *roll, uint32_t method)
{
    if (method != BB_HRW_KEYED) {
        bbi_store_relaxed(&roll->file->hashing, method);
    }
}

/* ---- reading and appending ---- */

static uint64_t
word_at(const struct bbi_roll *roll, uint64_t epoch)
{
    return bbi_load_acquire(&roll->file->words[epoch % BBI_ROLL_CHANGES]); /* R11 */
}

/*
 * The place after the last one that is written, by one look at all words: those of the newest lap come first,
 * and the list only grows while we look.  A whole lap may pass meanwhile; the next reader of that place is told.
 * Laps come again after 67 million changes: the number of laps since the beginning is then not known, and
 * counts from the last multiple.
 */
uint64_t
bbi_roll_end(const struct bbi_roll *roll)
{
    uint64_t lap = word_at(roll, 0) >> LAP_SHIFT;
    if (lap == 0) {
        return 0;
    }
    bool has_wrapped =
        lap == 1 && word_at(roll, BBI_ROLL_CHANGES - 1) >> LAP_SHIFT == BBI_ROLL_LAPS;
    uint64_t base = (has_wrapped ? (uint64_t)BBI_ROLL_LAPS : lap - 1) * BBI_ROLL_CHANGES;
    uint64_t n = 1;
    while (n < BBI_ROLL_CHANGES && word_at(roll, n) >> LAP_SHIFT == lap) {
        n++;
    }
    return base + n;
}

int
bbi_roll_read(const struct bbi_roll *roll, uint64_t epoch, struct bbi_change *out)
{
    uint64_t word = word_at(roll, epoch);
    if (BBI_LIKELY(word >> LAP_SHIFT == lap_before(epoch))) {
        return 0;
    }
    return bbi_roll_parse(word, epoch, out) ? 1 : BB_EOVERRUN;
}

int
bbi_roll_append(struct bbi_roll *roll, const struct bbi_change *change)
{
    uint64_t epoch = change->epoch;
    uint64_t old = word_at(roll, epoch);
    if (old >> LAP_SHIFT != lap_before(epoch)) {
        return 0;
    }
    BBI_HOOK("roll:appending");
    if (!bbi_cas_seq_cst(&roll->file->words[epoch % BBI_ROLL_CHANGES], &old,
                         bbi_roll_word(change))) { /* R11 */
        return 0;
    }
    BBI_HOOK("roll:appended");
    uint64_t ms = (uint64_t)(bbi_os_wall_ns() / NS_PER_MS);
    bbi_store_relaxed(&roll->file->times[epoch % BBI_ROLL_CHANGES],
                      ms << TIME_SHIFT | lap_of(epoch)); /* by itself: the lap says whose it is */
    return 1;
}

int64_t
bbi_roll_time(const struct bbi_roll *roll, uint64_t epoch)
{
    uint64_t time = bbi_load_relaxed(&roll->file->times[epoch % BBI_ROLL_CHANGES]);
    return (time & LAP_MASK) == lap_of(epoch) ? (int64_t)(time >> TIME_SHIFT) * NS_PER_MS : 0;
}

/* ---- who is who ---- */

enum {
    WHO_OFF = offsetof(struct bbi_roll_record, id),
    WHO_BYTES = offsetof(struct bbi_roll_record, reserved) - WHO_OFF,
};
static_assert(sizeof(struct bbi_who) == WHO_BYTES, "a record, but for its check");

void
bbi_roll_introduce(struct bbi_roll *roll, uint64_t id, uint32_t role, int32_t pid, const char *name)
{
    uint64_t turn = bbi_fetch_add_relaxed(&roll->file->next_record, 1); /* only spreads them */
    struct bbi_roll_record *record = &roll->file->who[turn % BBI_ROLL_RECORDS];
    struct bbi_who who = {.id = id, .role = role, .pid = pid};
    (void)snprintf(who.name, sizeof(who.name), "%s", name);
    BBI_HOOK("roll:introducing");
    bbi_fill_racy((unsigned char *)record + WHO_OFF, &who, WHO_BYTES);
    bbi_store_release(&record->check, bbi_hash64(&who, sizeof(who))); /* R12 */
    BBI_HOOK("roll:introduced");
}

bool
bbi_roll_who(const struct bbi_roll *roll, uint64_t id, struct bbi_who *out)
{
    uint64_t newest = bbi_load_relaxed(&roll->file->next_record);
    for (uint64_t n = 1; n <= BBI_ROLL_RECORDS; n++) {
        const struct bbi_roll_record *r = &roll->file->who[(newest - n) % BBI_ROLL_RECORDS];
        struct bbi_who who;
        uint64_t check = bbi_load_acquire(&r->check); /* R12 */
        bbi_copy_racy(&who, (const unsigned char *)r + WHO_OFF, WHO_BYTES);
        if (who.id == id && check == bbi_hash64(&who, sizeof(who))) {
            *out = who;
            out->name[BBI_NAME_BYTES - 1] = '\0';
            return true;
        }
    }
    return false;
}

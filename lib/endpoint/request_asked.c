/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/request_asked.c - subscribers that were asked something, and whether they are still there.
 *
 * One that left shows in its row at once; one that was killed in its lock, which is looked at every 10 ms while
 * an answer is open.  Either may have answered just before: so it is forgotten only when every ring of its
 * member is read as far as it went when we noticed, rings that we had not seen before included.
 */
#include "lib/endpoint/request_impl.h"

enum { LOOKS = 32 }; /* at locks, at once */

static bool
is_same_row(const struct bb_subscriber *sub, const struct bbi_asked *a)
{
    struct bbi_row row;
    return bbi_row_read(&sub->at->bus->subs[a->index], &row) && row.key == a->key
           && row.state == BBI_ENTRY_ACTIVE;
}

bool
bbi_asked_is_there(const struct bb_subscriber *sub, struct bbi_asked *a, int64_t now)
{
    if (a->gone != BBI_GONE_NOT || !is_same_row(sub, a)) {
        return false;
    }
    if (a->looked_ns != 0 && now - a->looked_ns < BBI_ASKED_LOOK_NS) {
        return true;
    }
    if (!bbi_is_alive(sub->at, BBI_LOCK_SUB + a->index)) {
        return false;
    }
    a->looked_ns = now;
    return true;
}

struct bbi_asked *
bbi_asked_find(struct bbi_requests *r, uint32_t index, uint64_t key)
{
    uint32_t slot = index < BBI_SUBS ? r->slot_of_row[index] : 0;
    if (slot != 0 && r->asked[slot - 1].key == key) {
        return &r->asked[slot - 1];
    }
    for (uint32_t i = 0; key != 0 && i < BBI_ASKED; i++) { /* its row has another one by now */
        if (r->asked[i].key == key) {
            return &r->asked[i];
        }
    }
    return NULL;
}

void
bbi_asked_free(struct bbi_requests *r, struct bbi_asked *a)
{
    uint16_t *slot = &r->slot_of_row[a->index];
    if (*slot == (uint16_t)(a - r->asked) + 1) {
        *slot = 0;
    }
    r->gone -= a->gone != BBI_GONE_NOT;
    *a = (struct bbi_asked){0};
}

struct bbi_asked *
bbi_asked_open(struct bbi_requests *r, uint32_t index, const struct bbi_row *row)
{
    struct bbi_asked *a = bbi_asked_find(r, index, row->key);
    for (uint32_t i = 0; a == NULL && i < BBI_ASKED; i++) {
        a = r->asked[i].open == 0 && r->asked[i].gone == BBI_GONE_NOT ? &r->asked[i] : NULL;
    }
    if (a == NULL || a->key == row->key) {
        return a;
    }
    bbi_asked_free(r, a);
    *a = (struct bbi_asked){
        .key = row->key, .index = index, .member = row->member, .member_gen = row->member_gen};
    r->slot_of_row[index] = (uint16_t)(a - r->asked) + 1;
    return a;
}

static bool
is_of(const struct bbi_source *s, const struct bbi_asked *a)
{
    return s->member == a->member && s->member_gen == a->member_gen;
}

/* From here on it says nothing more; what it said before is to be read. */
static void
note_gone(struct bb_subscriber *sub, struct bbi_asked *a)
{
    a->gone = BBI_GONE_NEW;
    sub->requests->gone++;
    sub->must_discover = true;
    for (struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        if (is_of(s, a)) {
            s->must_reach = 0;
        }
    }
}

static bool
is_waited_for(const struct bbi_asked *a)
{
    return a->open != 0 && a->gone == BBI_GONE_NOT;
}

void
bbi_asked_look(struct bb_subscriber *sub, int64_t now)
{
    struct bbi_requests *r = sub->requests;
    uint64_t epoch = bbi_load_seq_cst(&sub->at->bus->sub_epoch.v); /* R5 */
    for (uint32_t i = 0; epoch != r->sub_epoch && i < BBI_ASKED; i++) {
        if (is_waited_for(&r->asked[i]) && !is_same_row(sub, &r->asked[i])) {
            note_gone(sub, &r->asked[i]);
        }
    }
    r->sub_epoch = epoch;
    if (now - r->looked_ns < BBI_ASKED_LOOK_NS) {
        return;
    }
    r->looked_ns = now;
    for (uint32_t i = 0, looks = 0; i < BBI_ASKED && looks < LOOKS; i++) {
        struct bbi_asked *a = &r->asked[r->look_at];
        r->look_at = (r->look_at + 1) % BBI_ASKED;
        if (is_waited_for(a)) {
            looks++;
            if (!bbi_asked_is_there(sub, a, now)) {
                note_gone(sub, a);
            }
        }
    }
}

static bool
is_all_read(const struct bb_subscriber *sub, const struct bbi_asked *a)
{
    bool is_read = true;
    for (struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        if (is_of(s, a) && !s->is_corrupt) {
            if (s->must_reach == 0) {
                s->must_reach = bbi_reader_tail(&s->reader);
            }
            is_read = is_read && !bbi_is_before(s->reader.cursor, s->must_reach);
        }
    }
    return is_read;
}

struct bbi_asked *
bbi_asked_next_read(struct bb_subscriber *sub)
{
    struct bbi_requests *r = sub->requests;
    for (uint32_t i = 0; r->gone != 0 && i < BBI_ASKED; i++) {
        struct bbi_asked *a = &r->asked[i];
        if (a->gone == BBI_GONE_NEW) {
            a->gone = BBI_GONE_DRAINING; /* rings that it made just now are looked for next time */
        } else if (a->gone == BBI_GONE_DRAINING && is_all_read(sub, a)) {
            return a;
        }
    }
    return NULL;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/payload.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
mix(uint64_t v)
{
    v ^= v >> 30;
    v *= UINT64_C(0xbf58476d1ce4e5b9);
    v ^= v >> 27;
    v *= UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

static uint64_t
seed_of(uint32_t writer, uint64_t seq)
{
    return mix((uint64_t)writer << 40 ^ seq);
}

enum { STRETCH = 8 }; /* messages of one length; then as many of any */

size_t
bbt_payload_len(uint32_t writer, uint64_t seq, size_t max)
{
    uint64_t like =
        seq / STRETCH % 2 == 0 ? seq - seq % STRETCH : seq; /* as that one: bursts, too */
    uint64_t h = seed_of(writer, like);
    uint64_t pick = h % 2048;
    uint64_t cap = pick == 0 ? max : pick < 4 ? max / 8 : pick < 128 ? 8192 : pick < 512 ? 512 : 64;
    if (seq % 4999 == 17 || seq % 97 == 0) { /* both ends are surely met */
        return seq % 97 == 0 ? 1 : max;
    }
    cap = cap < max ? cap : max;
    return cap == 0 ? 1 : 1 + (size_t)((h >> 16) % cap);
}

static uint64_t
word_at(uint64_t seed, size_t len, size_t i)
{
    return (seed ^ len) * UINT64_C(0x9e3779b97f4a7c15) + mix(seed + i);
}

void
bbt_payload_fill(void *out, size_t len, uint32_t writer, uint64_t seq)
{
    uint64_t seed = seed_of(writer, seq);
    for (size_t at = 0; at < len; at += 8) {
        uint64_t w = word_at(seed, len, at);
        memcpy((char *)out + at, &w, len - at < 8 ? len - at : 8);
    }
}

int64_t
bbt_payload_wrong(const void *data, size_t len, uint32_t writer, uint64_t seq)
{
    uint64_t seed = seed_of(writer, seq);
    for (size_t at = 0; at < len; at += 8) {
        uint64_t w = word_at(seed, len, at);
        if (memcmp((const char *)data + at, &w, len - at < 8 ? len - at : 8) != 0) {
            return (int64_t)at;
        }
    }
    return -1;
}

static bool
take_status(struct bbt_reader *r, const struct bb_msg *m, char why[256])
{
    uint32_t kind = m->status->kind;
    uint32_t i = 0, count = bbi_load_relaxed(&r->name_count);
    while (i < count && strcmp(r->names[i].name, m->node) != 0) {
        i++;
    }
    if (i == BBT_NAMES || kind >= 8) {
        (void)snprintf(why, 256, "status %u of '%s': too many names", kind, m->node);
        return false;
    }
    if (i == count) {
        (void)snprintf(r->names[i].name, sizeof(r->names[i].name), "%s", m->node);
        bbi_store_release(&r->name_count, count + 1);
    }
    (void)bbi_fetch_add_seq_cst(&r->names[i].told[kind], 1);
    if (kind == BB_STATUS_OVERRUN) {
        (void)bbi_fetch_add_relaxed(&r->lost, m->status->count);
    } else if (kind == BB_STATUS_EVICTED) {
        (void)bbi_fetch_add_relaxed(&r->evicted, 1);
    }
    return true;
}

static struct bbt_track *
track_of(struct bbt_reader *r, const struct bb_msg *m)
{
    uint32_t count = bbi_load_relaxed(&r->track_count);
    for (uint32_t i = 0; i < count; i++) {
        struct bbt_track *t = &r->tracks[i];
        if (t->node_id == m->node_id && t->ring == m->ring) {
            return t;
        }
    }
    if (count == BBT_TRACKS) {
        return NULL;
    }
    struct bbt_track *t = &r->tracks[count];
    t->node_id = m->node_id;
    t->ring = m->ring;
    t->writer = (uint32_t)strtoul(m->topic + 2, NULL, 10);
    t->first = m->seq - m->lost;
    t->next = m->seq - m->lost;
    bbi_store_release(&r->track_count, count + 1);
    return t;
}

bool
bbt_reader_take(struct bbt_reader *r, const struct bb_msg *m, char why[256])
{
    if (m->status != NULL) {
        return take_status(r, m, why);
    }
    if (m->topic_bytes < 3 || memcmp(m->topic, "w/", 2) != 0) {
        (void)snprintf(why, 256, "topic '%.*s' from '%s' was never published", (int)m->topic_bytes,
                       m->topic, m->node);
        return false;
    }
    struct bbt_track *t = track_of(r, m);
    if (t == NULL) {
        (void)snprintf(why, 256, "more than %d rings", (int)BBT_TRACKS);
        return false;
    }
    uint64_t gap = m->seq - t->next;
    if (m->seq < t->next || (gap != m->lost && (r->skips == 0 || gap < m->lost))) {
        (void)snprintf(why, 256,
                       "'%s' ring %u: message %" PRIu64 " came where %" PRIu64
                       " was due, and %" PRIu64 " were said to be lost",
                       m->node, m->ring, m->seq, (uint64_t)t->next, m->lost);
        return false;
    }
    t->lost += m->lost;
    t->next = m->seq + 1;
    size_t len = bbt_payload_len(t->writer, m->seq, r->max);
    int64_t wrong = m->bytes == len ? bbt_payload_wrong(m->data, len, t->writer, m->seq) : 0;
    if (wrong >= 0) {
        (void)snprintf(why, 256,
                       "'%s' ring %u: message %" PRIu64 " of writer %u has %zu bytes (%zu were "
                       "sent) and is wrong at byte %" PRId64,
                       m->node, m->ring, m->seq, (uint32_t)t->writer, m->bytes, len, wrong);
        return false;
    }
    t->bytes += len;
    (void)bbi_fetch_add_seq_cst(&t->got, 1);
    return true;
}

uint64_t
bbt_reader_got(const struct bbt_reader *r, uint32_t writer)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < bbi_load_acquire(&r->track_count); i++) {
        sum += r->tracks[i].writer == writer ? bbi_load_acquire(&r->tracks[i].got) : 0;
    }
    return sum;
}

uint64_t
bbt_reader_lost(const struct bbt_reader *r, uint32_t writer)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < bbi_load_acquire(&r->track_count); i++) {
        sum += r->tracks[i].writer == writer ? bbi_load_acquire(&r->tracks[i].lost) : 0;
    }
    return sum;
}

uint64_t
bbt_reader_first(const struct bbt_reader *r, uint32_t writer)
{
    for (uint32_t i = 0; i < bbi_load_acquire(&r->track_count); i++) {
        if (r->tracks[i].writer == writer) {
            return r->tracks[i].first;
        }
    }
    return 0;
}

uint64_t
bbt_reader_next(const struct bbt_reader *r, uint32_t writer)
{
    uint64_t next = 0;
    for (uint32_t i = 0; i < bbi_load_acquire(&r->track_count); i++) {
        if (r->tracks[i].writer == writer && r->tracks[i].next > next) {
            next = r->tracks[i].next;
        }
    }
    return next;
}

uint32_t
bbt_reader_told(const struct bbt_reader *r, const char *name, uint32_t kind)
{
    for (uint32_t i = 0; i < bbi_load_acquire(&r->name_count); i++) {
        if (strcmp(r->names[i].name, name) == 0) {
            return bbi_load_acquire(&r->names[i].told[kind]);
        }
    }
    return 0;
}

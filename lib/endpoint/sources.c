/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/sources.c - the rings that a subscriber reads: found, joined, drained, let go.
 *
 * A ring that is there when the subscriber opens is read from where the caller said; one that comes later
 * from its first message.  A ring that ended is read to its end and then counted into the totals.
 */
#include "lib/endpoint/subscriber_impl.h"
#include "shm/debris.h"
#include "shm/os.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CURSOR_SHARE = 16, /* the cursor is published each sixteenth of the ring */
    BASE_WAITS = 5,
    BASE_WAIT_NS = 1000000,
};

/* ---- topics of a ring ---- */

int
bbi_source_learn_tags(struct bb_subscriber *sub, struct bbi_source *src, uint32_t tag)
{
    struct bbi_reader *r = &src->reader;
    if (tag >= src->tag_capacity) {
        uint32_t capacity =
            (uint32_t)bbi_min_u64(bbi_max_u64(64, (uint64_t)tag * 2 + 2), r->map.dict_count);
        struct bbi_tag *tags = realloc(r->tags, capacity * sizeof(*tags));
        if (tags == NULL) {
            return BB_ENOMEM;
        }
        memset(tags + src->tag_capacity, 0, (capacity - src->tag_capacity) * sizeof(*tags));
        r->tags = tags;
        uint64_t *now = realloc(r->now, capacity * sizeof(*now));
        if (now == NULL) {
            return BB_ENOMEM;
        }
        r->now = now;
        src->tag_capacity = capacity;
    }
    while (r->tag_count <= tag) {
        const char *topic;
        uint32_t bytes;
        int rc = bbi_reader_topic(&r->map, r->tag_count, &topic, &bytes);
        if (rc < 0) {
            return rc == BB_ENOENT ? BB_ECORRUPT : rc; /* a message names it, so it must be there */
        }
        if (bytes > UINT16_MAX) {
            return BB_ECORRUPT;
        }
        struct bbi_tag *t = &r->tags[r->tag_count++];
        t->text_off = (uint32_t)(topic - r->map.text);
        t->text_bytes = (uint16_t)bytes;
        t->is_wanted = bbi_subscriber_wants(sub, topic, bytes);
    }
    return 0;
}

int
bbi_source_learn_all(struct bb_subscriber *sub, struct bbi_source *src)
{
    uint32_t count = bbi_load_acquire(&src->reader.map.hdr->topics); /* R7 */
    return count == 0                           ? 0
           : count > src->reader.map.dict_count ? BB_ECORRUPT
           : count > src->reader.tag_count      ? bbi_source_learn_tags(sub, src, count - 1)
                                                : 0;
}

void
bbi_sources_match_all(struct bb_subscriber *sub)
{
    for (struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        for (uint32_t t = 0; t < s->reader.tag_count; t++) {
            struct bbi_tag *tag = &s->reader.tags[t];
            tag->is_wanted =
                bbi_subscriber_wants(sub, s->reader.map.text + tag->text_off, tag->text_bytes);
        }
    }
}

/* ---- cursors ---- */

void
bbi_source_publish_cursor(struct bb_subscriber *sub, struct bbi_source *src, bool now)
{
    const struct bbi_ring_map *m = &src->reader.map;
    uint64_t behind = src->reader.cursor - src->join.published;
    if (!sub->is_registered || !src->has_joined
        || (!now && behind < m->depth / CURSOR_SHARE
            && src->unpublished_bytes < m->pay_bytes / CURSOR_SHARE)) {
        return;
    }
    bbi_join_publish(&src->join, src->reader.cursor);
    src->unpublished_bytes = 0;
    struct bbi_cursor *line = &src->join.sub->cursors[src->index];
    bbi_store_relaxed(&line->delivered, src->delivered); /* statistics for those who look */
    bbi_store_relaxed(&line->filtered, src->reader.filtered);
    bbi_store_relaxed(&line->lost, src->reader.lost);
}

/* ---- coming ---- */

static struct bbi_source *
find_source(struct bb_subscriber *sub, uint32_t index)
{
    for (struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        if (s->index == index) {
            return s;
        }
    }
    return NULL;
}

static bool
is_read_already(struct bb_subscriber *sub, uint64_t key)
{
    for (struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        if (s->key == key) {
            return true;
        }
    }
    return false;
}

static void
free_source(struct bbi_source *src)
{
    bbi_segment_close(&src->seg);
    free(src->reader.tags);
    free(src->reader.now);
    free(src);
}

/* Maps a ring's file; the reader stands at its first message. */
static int
map_source(struct bb_subscriber *sub, const char *file, struct bbi_source **out)
{
    struct bbi_ring_map map;
    struct bbi_source *src = calloc(1, sizeof(*src));
    if (src == NULL) {
        return BB_ENOMEM;
    }
    int rc = bbi_segment_open(sub->at->place.dir_fd, file, BBI_FILE_RING, false, &src->seg);
    if (rc == 0) {
        rc = bbi_ring_join(src->seg.base, src->seg.bytes, &map);
    }
    if (rc < 0) {
        free_source(src);
        return rc;
    }
    const struct bbi_ident *ident = src->seg.base;
    src->index = BBI_RINGS;
    src->idle_word = BBI_NEVER_IDLE;
    src->key = ident->key;
    src->member = ident->member % BBI_MEMBERS;
    src->member_gen = ident->member_gen;
    src->from = (struct bbi_from){src->node, bbi_node_id(src->member, src->member_gen)};
    (void)snprintf(src->node, sizeof(src->node), "%.47s", ident->name);
    bbi_reader_init(&src->reader, &map);
    src->watch = &src->reader.map.hdr->tail_seq;
    *out = src;
    return 0;
}

static enum bbi_seek
first_seek(const struct bb_subscriber *sub)
{
    return sub->is_started                 ? BBI_SEEK_FIRST
           : sub->start == BB_START_OLDEST ? BBI_SEEK_OLDEST
           : sub->start == BB_START_LAST   ? BBI_SEEK_LAST
                                           : BBI_SEEK_NOW;
}

/* What each topic had counted when we began.  A publisher put aside between counting and committing is waited for. */
static void
take_base(struct bb_subscriber *sub, struct bbi_source *src)
{
    bool is_from_now = first_seek(sub) == BBI_SEEK_NOW && !src->has_ended
                       && (sub->flags & BB_SUBSCRIBER_RELIABLE) == 0;
    if (!is_from_now) {
        (void)bbi_reader_base(&src->reader);
        return;
    }
    for (int i = 0; bbi_reader_base_here(&src->reader) != 0 && i < BASE_WAITS; i++) {
        (void)bbi_os_sleep_ns(BASE_WAIT_NS);
    }
}

static void
add_source(struct bb_subscriber *sub, struct bbi_source *src)
{
    (void)bbi_source_learn_all(sub, src); /* what fails here shows again at the first message */
    take_base(sub, src);
    struct bbi_source **end = &sub->sources;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = src; /* in the order of coming */
    sub->rings++;
}

static uint32_t
first_join_gen(uint64_t sub_key)
{
    uint32_t gen = (uint32_t)(sub_key >> 32) & (UINT32_MAX >> 1);
    return gen != 0 ? gen : 1; /* not the one of who had this row before */
}

static void
begin(struct bb_subscriber *sub, struct bbi_source *src, uint32_t index)
{
    src->index = index;
    if (!sub->is_registered) { /* a tap */
        bbi_reader_seek(&src->reader, first_seek(sub), sub->start_count);
        src->has_joined = true;
        return;
    }
    src->join = (struct bbi_join){
        .bus = sub->at->bus,
        .sub = sub->file.seg.base,
        .ring = src->reader.map.hdr,
        .ring_index = index,
        .sub_index = sub->file.index,
        .ring_key = src->key,
        .gen = first_join_gen(sub->file.key),
    };
    src->has_joined = true;
    bbi_join_begin(&src->join, &src->reader, (sub->flags & BB_SUBSCRIBER_RELIABLE) != 0,
                   first_seek(sub), sub->start_count);
}

static void
put_aside(struct bb_subscriber *sub, uint32_t index, const struct bbi_row *row)
{
    struct bbi_member_view v;
    bool known =
        bbi_member_read(&sub->at->bus->members[row->member], &v) && v.gen == row->member_gen;
    sub->past_keys[index] = row->key;
    sub->unreadable++;
    if (sub->is_registered) { /* its publisher shall not hold it for us */
        struct bbi_cursor *line = &((struct bbi_sub *)sub->file.seg.base)->cursors[index];
        bbi_store_release(&line->ring_key, row->key);
        bbi_store_release(&line->cursor, UINT64_MAX >> 1);
        bbi_store_release(&line->mode, BBI_JOIN_LOSSY);             /* R4 */
        (void)bbi_fetch_add_seq_cst(&sub->at->bus->sub_epoch.v, 1); /* R5 */
    }
    (void)bbi_event_add(sub, BB_STATUS_CORRUPT, known ? v.name : "?",
                        bbi_node_id(row->member, row->member_gen), known ? v.role : 0,
                        known ? v.pid : 0, 0);
}

/* We never read this ring: the steward need not keep it for us. */
static void
renounce(struct bb_subscriber *sub, uint32_t index, uint64_t key)
{
    sub->past_keys[index] = key;
    if (sub->is_registered) {
        struct bbi_cursor *line = &((struct bbi_sub *)sub->file.seg.base)->cursors[index];
        bbi_store_release(&line->cursor, BBI_CURSOR_RENOUNCED);
        bbi_store_release(&line->ring_key, key); /* R4 */
    }
}

static void
attach_row(struct bb_subscriber *sub, uint32_t index, const struct bbi_row *row)
{
    struct bbi_source *src;
    char file[BBI_FILE_NAME_BYTES];
    bool is_old = !sub->is_started && row->state == BBI_ENTRY_CLOSED;
    if (row->key == sub->past_keys[index]) {
        return;
    }
    if (is_old && sub->start == BB_START_NOW) { /* it ended before we began */
        renounce(sub, index, row->key);
        return;
    }
    bbi_place_ring_name(file, index, row->gen, row->key);
    int rc = map_source(sub, file, &src);
    if (rc == -ENOENT) {
        return; /* buried since we read the row */
    }
    if (rc != 0 && rc != BB_ECORRUPT && rc != BB_EVERSION) {
        sub->must_retry = true; /* too many files or no memory, just now */
        return;
    }
    if (rc < 0) {
        put_aside(sub, index, row);
        return;
    }
    (void)bbi_members_learn(sub, row->member,
                            row->member_gen); /* joined comes before its messages */
    begin(sub, src, index);
    if (row->state == BBI_ENTRY_CLOSED) {
        bbi_source_end(sub, src);
    }
    add_source(sub, src);
}

static bool
is_own(const struct bb_subscriber *sub, const struct bbi_row *row)
{
    return row->member == sub->at->member && row->member_gen == sub->at->member_gen
           && (sub->flags & BB_SUBSCRIBER_LOOPBACK) == 0;
}

static void
look_at_row(struct bb_subscriber *sub, uint32_t index)
{
    struct bbi_row row;
    struct bbi_source *src = find_source(sub, index);
    bool there = bbi_row_read(&sub->at->bus->rings[index], &row);
    if (src != NULL) {
        if (!there || row.key != src->key || row.state == BBI_ENTRY_CLOSED) {
            bbi_source_end(sub, src);
        }
        sub->must_discover = sub->must_discover || (there && row.key != src->key);
        return; /* the row's next ring waits until this one is drained */
    }
    if (there && !is_own(sub, &row)) {
        attach_row(sub, index, &row);
    }
}

void
bbi_sources_discover(struct bb_subscriber *sub)
{
    uint64_t epoch = bbi_load_seq_cst(&sub->at->bus->member_epoch.v); /* R8 */
    if (epoch == sub->member_epoch && !sub->must_discover) {
        return;
    }
    sub->member_epoch = epoch;
    sub->must_discover = false;
    sub->must_finish |= BBI_FINISH_ENDED;
    bbi_members_discover(sub);
    for (uint32_t i = 0; i < BBI_RINGS; i++) {
        if (bbi_load_relaxed(&sub->at->bus->rings[i].gen) != 0) {
            look_at_row(sub, i);
        }
    }
    if (sub->is_registered) { /* rings that went before we could look */
        uint64_t missed = bbi_load_relaxed(&sub->at->bus->subs[sub->file.index].missed);
        if (missed != sub->missed) {
            (void)bbi_event_add(sub, BB_STATUS_OVERRUN, "?", 0, 0, 0, missed - sub->missed);
            sub->messages += missed - sub->missed;
            sub->lost += missed - sub->missed;
            sub->missed = missed;
        }
    }
}

/* ---- rings in dead/ ---- */

struct dead {
    struct bb_subscriber *sub;
    const char *node; /* NULL: all */
    int found;
};

static int
open_dead(const char *file, void *user)
{
    struct dead *d = user;
    struct bbi_source *src;
    if (map_source(d->sub, file, &src) < 0) {
        return 0;
    }
    if (is_read_already(d->sub, src->key) || (d->node != NULL && strcmp(d->node, src->node) != 0)) {
        free_source(src);
        return 0;
    }
    bbi_reader_seek(&src->reader, first_seek(d->sub), d->sub->start_count);
    bbi_source_end(d->sub, src);
    add_source(d->sub, src);
    d->found++;
    return 0;
}

int
bbi_sources_open_dead(struct bb_subscriber *sub, const char *node)
{
    struct dead d = {.sub = sub, .node = node};
    (void)bbi_debris_dead(sub->at, open_dead, &d);
    return d.found;
}

int
bbi_sources_open_row(struct bb_subscriber *sub, uint32_t index)
{
    char file[BBI_FILE_NAME_BYTES];
    struct bbi_row row;
    struct bbi_source *src;
    if (!bbi_row_read(&sub->at->bus->rings[index], &row)) {
        return 0;
    }
    bbi_place_ring_name(file, index, row.gen, row.key);
    if (map_source(sub, file, &src) < 0) {
        return 0;
    }
    bbi_reader_seek(&src->reader, first_seek(sub), sub->start_count);
    bbi_source_end(sub, src);
    add_source(sub, src);
    return 1;
}

/* ---- going ---- */

void
bbi_source_end(struct bb_subscriber *sub, struct bbi_source *src)
{
    if (!src->has_ended) {
        src->has_ended = true;
        sub->must_finish |= BBI_FINISH_ENDED;
        src->is_drained = false; /* its last messages may have come since we looked */
        src->idle_word = BBI_NEVER_IDLE;
    }
}

static void
count_into_totals(struct bb_subscriber *sub, const struct bbi_source *s)
{
    sub->messages += s->reader.cursor - s->reader.start;
    sub->delivered += s->delivered;
    sub->filtered += s->reader.filtered;
    sub->lost += s->reader.lost;
}

bool
bbi_sources_drop_ended(struct bb_subscriber *sub, bool all)
{
    bool is_draining = false;
    for (struct bbi_source **p = &sub->sources; *p != NULL;) {
        struct bbi_source *s = *p;
        if (!all && !(s->has_ended && s->is_drained && s->refs == 0)) {
            is_draining = is_draining || s->has_ended;
            p = &s->next;
            continue;
        }
        count_into_totals(sub, s);
        if (s->has_joined && sub->is_registered && !bbi_is_forked(sub->fork_gen)) {
            bbi_source_publish_cursor(sub, s, true);
            bbi_join_end(&s->join);
        }
        if (s->index < BBI_RINGS) {
            sub->past_keys[s->index] = s->key; /* its row may stay a while */
        }
        sub->must_discover = true; /* its row may have another ring by now */
        if (sub->turn == s) {
            sub->turn = NULL;
        }
        *p = s->next;
        sub->rings--;
        free_source(s);
    }
    return is_draining;
}

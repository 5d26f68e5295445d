/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/look.c - open a bus for looking; nodes, rings, subscribers.
 */
#include "lib/endpoint/bridged_impl.h"
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/for_store.h"
#include "lib/endpoint/look_impl.h"
#include "shm/filter.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
bb_look_open(struct bb_look **out, const struct bb_look_opts *opts)
{
    struct bb_look_opts o;
    struct bbi_fault f = {.code = BB_ENOMEM, .uid = -1, .sentence = "out of memory"};
    int rc = BBI_OPTS_TAKE(struct bb_look_opts, &o, opts);
    if (rc < 0) {
        return rc;
    }
    struct bb_look *look = calloc(1, sizeof(*look));
    rc = look == NULL ? BB_ENOMEM : bbi_attach_look(&look->at, o.dir, o.bus, &f);
    if (rc < 0) {
        free(look);
        f.code = rc;
        return bbi_error_set(o.error, &f);
    }
    look->fork_gen = bbi_fork_gen;
    *out = look;
    return 0;
}

void
bb_look_close(struct bb_look *look)
{
    if (look != NULL) {
        if (bbi_is_forked(look->fork_gen)) {
            look->at.seg.base = NULL; /* not inherited */
        }
        bbi_attach_close(&look->at);
        free(look);
    }
}

const char *
bbi_look_path(const struct bb_look *look)
{
    return bbi_is_forked(look->fork_gen) ? NULL : look->at.place.path;
}

uint32_t
bbi_look_state(const struct bbi_attach *at, uint32_t slot, const struct bbi_member_view *m)
{
    if (m->state == BBI_MEMBER_LEFT) {
        return BB_NODE_LEFT;
    }
    if (m->state != BBI_MEMBER_ACTIVE || !bbi_is_alive(at, BBI_LOCK_MEMBER + slot)) {
        return BB_NODE_DEAD;
    }
    char state =
        at->bus->members[slot].pidns == bbi_os_pidns() ? bbi_os_process_state(m->pid) : '\0';
    return state == 'T' || state == 't' ? BB_NODE_STOPPED : BB_NODE_RUNNING;
}

bool
bbi_look_ring(const struct bbi_attach *at, uint32_t index, struct bbi_ring_look *out)
{
    char name[BBI_FILE_NAME_BYTES];
    if (!bbi_row_read(&at->bus->rings[index], &out->row)) {
        return false;
    }
    bbi_place_ring_name(name, index, out->row.gen, out->row.key);
    if (bbi_segment_open(at->place.dir_fd, name, BBI_FILE_RING, false, &out->seg) < 0) {
        return false;
    }
    if (bbi_ring_join(out->seg.base, out->seg.bytes, &out->map) < 0) {
        bbi_segment_close(&out->seg);
        return false;
    }
    uint32_t slot = out->row.member;
    out->knows_member = bbi_member_read(&at->bus->members[slot], &out->member)
                        && out->member.gen == out->row.member_gen;
    out->state = out->knows_member ? bbi_look_state(at, slot, &out->member)
                 : out->row.state == BBI_ENTRY_CLOSED
                         && bbi_load_relaxed(&out->map.hdr->state) == BBI_ENTRY_CLOSED
                     ? BB_NODE_LEFT
                     : BB_NODE_DEAD;
    return true;
}

bool
bbi_look_sub(const struct bbi_attach *at,
             uint32_t index,
             struct bbi_row *row,
             struct bbi_segment *seg)
{
    char name[BBI_FILE_NAME_BYTES];
    if (!bbi_row_read(&at->bus->subs[index], row)) {
        return false;
    }
    bbi_place_sub_name(name, index, row->gen, row->key);
    return bbi_segment_open(at->place.dir_fd, name, BBI_FILE_SUB, false, seg) == 0;
}

static uint64_t
ring_messages(const struct bbi_ring_map *map)
{
    struct bbi_reader r;
    bbi_reader_init(&r, map);
    return bbi_reader_tail(&r) - map->depth;
}

static uint64_t
ring_bytes(const struct bbi_ring_map *map)
{
    uint64_t sum = bbi_load_relaxed(&map->hdr->counters.spilled.bytes);
    uint32_t count = bbi_load_acquire(&map->hdr->topics); /* R7 */
    for (uint32_t t = 0; t < count && t < map->dict_count; t++) {
        sum += bbi_load_relaxed(&map->dict[t].counts.bytes);
    }
    return sum;
}

static void
set_name(char out[BB_NAME_MAX + 1], const char *name)
{
    (void)snprintf(out, BB_NAME_MAX + 1, "%.47s", name);
}

/* The messages that subscriber file sub has still to read, over all rings; whose ring is worst. */
static uint64_t
lag_of(const struct bbi_attach *at, const struct bbi_sub *sub, char *node)
{
    uint64_t worst = 0;
    for (uint32_t i = 0; i < BBI_RINGS; i++) {
        struct bbi_ring_look ring;
        uint64_t key = bbi_load_acquire(&sub->cursors[i].ring_key);
        if (key == 0 || bbi_load_relaxed(&at->bus->rings[i].key) != key
            || !bbi_look_ring(at, i, &ring)) {
            continue;
        }
        uint64_t cursor = bbi_load_acquire(&sub->cursors[i].cursor);
        uint64_t tail = ring_messages(&ring.map) + ring.map.depth;
        if (ring.row.key == key && bbi_is_before(cursor, tail) && tail - cursor > worst) {
            worst = tail - cursor;
            if (node != NULL) {
                set_name(node, ((struct bbi_ident *)ring.seg.base)->name);
            }
        }
        bbi_segment_close(&ring.seg);
    }
    return worst;
}

static int64_t
age_of(uint64_t beat_ns, int64_t now)
{
    return beat_ns == 0 ? -1 : now - (int64_t)beat_ns;
}

static void
younger(int64_t *age, int64_t other)
{
    if (other >= 0 && (*age < 0 || other < *age)) {
        *age = other;
    }
}

static bool
belongs(const struct bbi_row *row, uint32_t slot, uint32_t gen)
{
    return row->member == slot && row->member_gen == gen;
}

static void
add_rings(
    const struct bbi_attach *at, uint32_t slot, uint32_t gen, struct bb_node_info *out, int64_t now)
{
    for (uint32_t i = 0; i < BBI_RINGS; i++) {
        struct bbi_ring_look ring;
        struct bbi_row row;
        if (!bbi_row_read(&at->bus->rings[i], &row) || !belongs(&row, slot, gen)
            || !bbi_look_ring(at, i, &ring)) {
            continue;
        }
        out->rings++;
        out->published += ring_messages(&ring.map);
        out->published_bytes += ring_bytes(&ring.map);
        younger(&out->beat_age_ns, age_of(bbi_load_relaxed(&ring.map.hdr->beat_ns), now));
        bbi_segment_close(&ring.seg);
    }
}

static void
add_subs(
    const struct bbi_attach *at, uint32_t slot, uint32_t gen, struct bb_node_info *out, int64_t now)
{
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        struct bbi_segment seg;
        struct bbi_row row;
        if (!bbi_row_read(&at->bus->subs[i], &row) || !belongs(&row, slot, gen)
            || !bbi_look_sub(at, i, &row, &seg)) {
            continue;
        }
        const struct bbi_sub *sub = seg.base;
        out->subscribers++;
        out->lost += bbi_load_relaxed(&sub->lost);
        out->lag = bbi_max_u64(out->lag, lag_of(at, sub, NULL));
        younger(&out->beat_age_ns, age_of(bbi_load_relaxed(&sub->beat_ns), now));
        bbi_segment_close(&seg);
    }
}

static bool
has_rings(const struct bbi_attach *at, uint32_t slot, uint32_t gen)
{
    for (uint32_t i = 0; i < BBI_RINGS; i++) {
        struct bbi_row row;
        if (bbi_row_read(&at->bus->rings[i], &row) && belongs(&row, slot, gen)) {
            return true;
        }
    }
    return false;
}

int
bb_look_nodes(struct bb_look *look, struct bb_node_info *out, size_t max)
{
    const struct bbi_attach *at = &look->at;
    int64_t now = bbi_os_mono_ns();
    size_t n = 0;
    for (uint32_t i = 0; i < BBI_MEMBERS; i++) {
        struct bbi_member_view m;
        if (!bbi_member_read(&at->bus->members[i], &m)) {
            continue;
        }
        uint32_t state = bbi_look_state(at, i, &m);
        bool is_gone = m.state == BBI_MEMBER_LEFT || m.state == BBI_MEMBER_DIED;
        if (is_gone && !has_rings(at, i, m.gen)) {
            continue; /* tidied up: history */
        }
        if (n < max) {
            struct bb_node_info *info = &out[n];
            *info = (struct bb_node_info){.id = bbi_node_id(i, m.gen),
                                          .role = m.role,
                                          .state = state,
                                          .pid = m.pid,
                                          .uid = m.uid,
                                          .joined_wall_ns = m.joined_wall_ns,
                                          .beat_age_ns = -1};
            set_name(info->name, m.name);
            add_rings(at, i, m.gen, info, now);
            add_subs(at, i, m.gen, info, now);
        }
        n++;
    }
    return (int)n;
}

static void
fill_ring(struct bb_ring_info *info, uint32_t index, const struct bbi_ring_look *ring)
{
    const struct bbi_ring_counters *c = &ring->map.hdr->counters;
    struct bbi_reader r;
    bbi_reader_init(&r, &ring->map);
    bbi_reader_seek(&r, BBI_SEEK_OLDEST, 0);
    uint64_t tail = bbi_reader_tail(&r);
    *info = (struct bb_ring_info){
        .ring = index,
        .lane = ring->row.lane,
        .node_id = bbi_node_id(ring->row.member, ring->row.member_gen),
        .node_state = ring->state,
        .closed = ring->row.state == BBI_ENTRY_CLOSED,
        .depth = (uint32_t)ring->map.depth,
        .bytes = ring->map.pay_bytes,
        .file_bytes = ring->seg.bytes,
        .first_seq = r.cursor - ring->map.depth + 1,
        .next_seq = tail - ring->map.depth + 1,
        .messages = tail - ring->map.depth,
        .payload_bytes = ring_bytes(&ring->map),
        .blocked = bbi_load_relaxed(&c->blocked),
        .evicted = bbi_load_relaxed(&c->evicted),
        .refused = bbi_load_relaxed(&c->refused),
        .wakes = bbi_load_relaxed(&c->wakes),
        .topics = bbi_load_relaxed(&ring->map.hdr->topics),
        .membarrier = ring->map.fence == BBI_FENCE_MEMBARRIER,
    };
    set_name(info->node, ((struct bbi_ident *)ring->seg.base)->name);
}

int
bb_look_rings(struct bb_look *look, struct bb_ring_info *out, size_t max)
{
    size_t n = 0;
    for (uint32_t i = 0; i < BBI_RINGS; i++) {
        struct bbi_ring_look ring;
        if (!bbi_look_ring(&look->at, i, &ring)) {
            continue;
        }
        if (n < max) {
            fill_ring(&out[n], i, &ring);
        }
        n++;
        bbi_segment_close(&ring.seg);
    }
    return (int)n;
}

static uint32_t
count_prefixes(const struct bbi_sub *sub)
{
    struct bbi_filter_table *table = malloc(sizeof(*table));
    struct bbi_filter_item item;
    uint32_t n = 0, off = 0;
    if (table != NULL && bbi_filter_read(sub, table) == 0) {
        while (bbi_filter_next(table, &off, &item)) {
            n += !bbi_is_link_topic(item.bytes, item.len);
        }
    }
    free(table);
    return n;
}

static void
fill_sub(const struct bbi_attach *at,
         struct bb_subscriber_info *info,
         uint32_t index,
         const struct bbi_row *row,
         const struct bbi_sub *sub)
{
    struct bbi_member_view m;
    bool known = bbi_member_read(&at->bus->members[row->member], &m) && m.gen == row->member_gen;
    *info = (struct bb_subscriber_info){
        .subscriber = index,
        .node_id = bbi_node_id(row->member, row->member_gen),
        .node_state = known && bbi_is_alive(at, BBI_LOCK_SUB + index)
                          ? bbi_look_state(at, row->member, &m)
                          : BB_NODE_DEAD,
        .reliable = (bbi_load_relaxed(&sub->flags) & BBI_SUB_RELIABLE) != 0,
        .asleep = bbi_load_relaxed(&at->bus->bells[index].bell) == BBI_BELL_SLEEPING,
        .fd_mode = bbi_load_relaxed(&at->bus->bells[index].mode) == BBI_BELL_SOCKET,
        .prefixes = count_prefixes(sub),
        .delivered = bbi_load_relaxed(&sub->delivered),
        .filtered = bbi_load_relaxed(&sub->filtered),
        .lost = bbi_load_relaxed(&sub->lost),
        .evicted = bbi_load_relaxed(&sub->evicted),
    };
    info->lag = lag_of(at, sub, info->lag_node);
    set_name(info->node, sub->ident.name);
}

int
bb_look_subscribers(struct bb_look *look, struct bb_subscriber_info *out, size_t max)
{
    size_t n = 0;
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        struct bbi_row row;
        struct bbi_segment seg;
        if (!bbi_look_sub(&look->at, i, &row, &seg)) {
            continue;
        }
        if (n < max) {
            fill_sub(&look->at, &out[n], i, &row, seg.base);
        }
        n++;
        bbi_segment_close(&seg);
    }
    return (int)n;
}

int
bb_look_prefixes(struct bb_look *look, uint32_t subscriber, bb_prefix_cb cb, void *user)
{
    struct bbi_row row;
    struct bbi_segment seg;
    struct bbi_filter_item item;
    uint32_t off = 0;
    if (subscriber >= BBI_SUBS || !bbi_look_sub(&look->at, subscriber, &row, &seg)) {
        return BB_ENOENT;
    }
    struct bbi_filter_table *table = malloc(sizeof(*table));
    int rc = table != NULL ? bbi_filter_read(seg.base, table) : BB_ENOMEM;
    while (rc == 0 && bbi_filter_next(table, &off, &item)) {
        bool is_ours = bbi_is_link_topic(item.bytes, item.len); /* not asked for by name */
        rc = is_ours ? 0 : cb((const char *)item.bytes, item.len, item.flags, user);
    }
    free(table);
    bbi_segment_close(&seg);
    return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/shm/layout_fields.h - layout 1 field by field, for those who name a byte or read the page about it.
 *
 * Shared by  layout_golden.c (which field is at this offset of an image) and layout_page.c (what
 *            docs/layout.md says of each).  Offsets are the compiler's; nothing here is written by hand.
 */
#ifndef BUSBAR_TESTS_UNIT_SHM_LAYOUT_FIELDS_H
#define BUSBAR_TESTS_UNIT_SHM_LAYOUT_FIELDS_H

#include "shm/layout.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct layout_field {
    const char *group; /* one struct, or what the page says about one in one place */
    const char *name;  /* as the page writes it */
    uint32_t off, bytes;
};

#define FIELD_AS(group, type, member, name)                                                        \
    {                                                                                              \
        (group), (name), (uint32_t)offsetof(type, member), (uint32_t)sizeof(((type *)0)->member)   \
    }
#define IDENT(m)   FIELD_AS("identity", struct bbi_ident, m, #m)
#define GEOM(m)    FIELD_AS("geometry", struct bbi_ring_geom, m, #m)
#define BUS(m)     FIELD_AS("bus", struct bbi_bus, m, #m)
#define MEMBER(m)  FIELD_AS("member", struct bbi_member, m, #m)
#define ROW(m)     FIELD_AS("row", struct bbi_entry, m, #m)
#define BELL(m)    FIELD_AS("bell", struct bbi_bell, m, #m)
#define RING(m)    FIELD_AS("ring", struct bbi_ring, m, #m)
#define COUNTER(m) FIELD_AS("ring", struct bbi_ring, counters.m, #m)
#define EVICT(m)   FIELD_AS("evicted", struct bbi_evict, m, #m)
#define TOPIC(m)   FIELD_AS("topic", struct bbi_dict_entry, m, #m)
#define COUNTS(m)  FIELD_AS("topic", struct bbi_dict_entry, counts.m, #m)
#define ANCHOR(m)  FIELD_AS("anchor", struct bbi_anchor, m, #m)
#define DESC(m)    FIELD_AS("descriptor", struct bbi_desc, m, #m)
#define SUB(m)     FIELD_AS("subscriber", struct bbi_sub, m, #m)
#define FILTER(m)  FIELD_AS("filter", struct bbi_filter_table, m, #m)
#define CURSOR(m)  FIELD_AS("cursor", struct bbi_cursor, m, #m)

static const struct layout_field layout_fields[] = {
    IDENT(magic), IDENT(major), IDENT(minor), IDENT(kind), IDENT(check), IDENT(feat_compat),
    IDENT(feat_ro), IDENT(feat_incompat), IDENT(endian), IDENT(line_bytes), IDENT(page_bytes),
    IDENT(file_bytes), IDENT(boot_id), IDENT(bus_uuid), IDENT(key), IDENT(created_wall_ns),
    IDENT(pidns), IDENT(start_ticks), IDENT(generation), IDENT(member), IDENT(member_gen),
    IDENT(index), IDENT(lane), IDENT(pid), IDENT(uid), IDENT(reserved), IDENT(name), IDENT(build),
    IDENT(ring),
    /* identity.ring */
    GEOM(dict_off), GEOM(text_off), GEOM(anchor_off), GEOM(desc_off), GEOM(pay_off),
    GEOM(text_bytes), GEOM(pay_bytes), GEOM(max_msg), GEOM(quantum), GEOM(batch_bytes), GEOM(depth),
    GEOM(batch_msgs), GEOM(dict_count), GEOM(anchor_count), GEOM(desc_bytes), GEOM(align_bytes),
    GEOM(fence), GEOM(reserved),
    /* bus.ctl */
    BUS(sub_epoch), BUS(member_epoch), BUS(sleepers), BUS(steward_ns), BUS(pass_on), BUS(members),
    BUS(rings), BUS(subs), BUS(bells), MEMBER(state), MEMBER(gen), MEMBER(role), MEMBER(prev_end),
    MEMBER(pid), MEMBER(uid), MEMBER(pidns), MEMBER(start_ticks), MEMBER(joined_wall_ns),
    MEMBER(name), MEMBER(reserved), ROW(state), ROW(gen), ROW(member), ROW(member_gen), ROW(key),
    ROW(born), ROW(closed_ns), ROW(missed), ROW(lane), ROW(reserved), BELL(bell), BELL(mode),
    BELL(ping), BELL(reserved),
    /* a ring file */
    RING(claim_pos), RING(tail_seq), RING(tail_pos), RING(state), RING(blocked), RING(topics),
    RING(anchors), COUNTER(flushes), COUNTER(wakes), COUNTER(blocked), COUNTER(evicted),
    COUNTER(refused), COUNTER(spilled), RING(beat_ns), RING(reserved), RING(evicted), EVICT(gen),
    EVICT(why), COUNTS(messages), COUNTS(bytes), TOPIC(text_off), TOPIC(len), TOPIC(hash),
    ANCHOR(seq), ANCHOR(mono_ns), ANCHOR(wall_ns), ANCHOR(reserved), DESC(seq), DESC(pos),
    DESC(len), DESC(tag), DESC(ts), DESC(flags),
    /* a subscriber file */
    SUB(filter_sel), SUB(flags), SUB(delivered), SUB(filtered), SUB(lost), SUB(evicted), SUB(wakes),
    SUB(beat_ns), SUB(pong), SUB(filters), SUB(cursors), FILTER(count), FILTER(bytes),
    FILTER(entries), CURSOR(ring_key), CURSOR(mode), CURSOR(join_gen), CURSOR(cursor), CURSOR(bell),
    CURSOR(pad), CURSOR(delivered), CURSOR(filtered), CURSOR(lost), CURSOR(reserved)};

enum { LAYOUT_FIELDS = sizeof(layout_fields) / sizeof(layout_fields[0]) };

/* The path of a file below the source directory; tests get that in BB_SOURCE_DIR. */
static inline void
layout_source_path(char *out, size_t cap, const char *file)
{
    const char *source = getenv("BB_SOURCE_DIR");
    (void)snprintf(out, cap, "%s/%s", source != NULL ? source : ".", file);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/table_impl.h - a shared table: table.c has what it holds, table_wire.c how it travels.
 *
 * All messages are events busbar/table of kind BB_CONTROL.  On `PREFIXtable/NAME/changes` the arguments are
 * records; on `PREFIXtable/NAME/fill` a request has one count, the id of who shall send everything.  Each who is
 * asked replies with records: what it changed last itself, and what was changed by nodes that are not up any more;
 * who shall send everything does.  Why all are asked: what one published just before we subscribed, another may
 * not have read yet.
 */
#ifndef BUSBAR_LIB_CLUSTER_TABLE_IMPL_H
#define BUSBAR_LIB_CLUSTER_TABLE_IMPL_H

#include "busbar/shared_table.h"
#include "lib/cluster/cluster_impl.h"
#include "lib/cluster/table_map.h"

enum bbi_record_kind { BBI_RECORD_PUT = 1, BBI_RECORD_REMOVE = 2, BBI_RECORD_EXPIRE = 3 };

struct bbi_record {
    uint32_t kind;
    struct bb_value key, value; /* value: of PUT */
    int64_t wall_ns, created_ns;
    uint64_t node_id;
};

struct bbi_filler; /* who asked, and has not been told everything */

struct bb_table {
    struct bbi_part part; /* first */
    struct bb_cluster *c;
    struct bb_table_opts o;
    char name[BB_NAME_MAX + 1];
    size_t topic_bytes;
    char topic[192]; /* PREFIXtable/NAME/ */
    struct bb_topic *changes, *fill_topic;
    struct bbi_map map;

    unsigned char *pending; /* records that wait for others, one behind the other */
    size_t pending_bytes, pending_capacity, pending_count;
    int64_t flush_ns; /* monotonic; when they have waited long enough */

    uint64_t request; /* open, to be filled; 0: none */
    uint64_t whole;   /* who shall send everything */
    bool whole_said;  /* and did */
    bool is_filled;
    bool must_fill; /* messages were lost */
    uint32_t fill;  /* times that we asked */
    uint64_t lost;  /* of the subscriber, when we looked last */
    int64_t looked_ns;
    struct bbi_filler *fillers;
};

/* table.c: bbi_table_apply - a change of ours or of another; the older one of two does nothing.  0; BB_ENOMEM. */
BB_MUST_USE int bbi_table_apply(struct bb_table *t, const struct bbi_record *r, bool is_own);
/* bbi_table_confirm - elements that nobody has named since the last fill began are no more. */
void bbi_table_confirm(struct bb_table *t);

/* table_wire.c */
BB_MUST_USE int bbi_table_topics(struct bb_table *t);
/* bbi_table_send - the record goes to the others, with the next flush.  0; BB_EMSGSIZE; BB_ENOMEM. */
BB_MUST_USE int bbi_table_send(struct bb_table *t, const struct bbi_record *r);
/* bbi_record_fits - 0; BB_EMSGSIZE; what a builder says of key and value. */
BB_MUST_USE int bbi_record_fits(const struct bb_table *t, const struct bbi_record *r);
int bbi_table_message(struct bbi_part *part, struct bb_cluster *c, const struct bb_msg *msg);
/* bbi_table_work - flushes what is due, asks and answers.  When it wants to be called next, monotonic. */
int64_t bbi_table_work(struct bb_table *t, int64_t now_ns);
void bbi_table_wire_fini(struct bb_table *t);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of links: boxes, then addresses that led nowhere yet, then listeners. */
#include "lib/link/dial.h"

#include <stdio.h>
#include <string.h>

struct table {
    struct bb_link_info *out;
    struct bbi_box **boxes;
    size_t max, count;
};

/* The next row, empty; one that nobody sees when the table is full. */
static struct bb_link_info *
next_row(struct table *table, struct bbi_box *box)
{
    static _Thread_local struct bb_link_info unseen;
    size_t at = table->count++;
    struct bb_link_info *row = at < table->max ? &table->out[at] : &unseen;
    if (at < table->max && table->boxes != NULL) {
        table->boxes[at] = box;
    }
    *row = (struct bb_link_info){.up_wall_ns = -1, .retry_in_ns = -1};
    return row;
}

#define TEXT(field, text)                                                                          \
    (void)snprintf((field), sizeof(field), "%.*s", (int)sizeof(field) - 1, (text))

static void
fill_stats(struct bb_link_info *row, const struct bbi_box *box)
{
    struct bbi_session_stats s;
    bbi_session_stats(box->session, &s);
    row->sent = s.sent;
    row->received = s.delivered;
    row->sent_bytes = s.out_bytes;
    row->received_bytes = s.in_bytes;
    row->compressed = s.is_compressing;
    row->sent_plain_bytes = s.out_bytes + s.out_saved_bytes;
    row->received_plain_bytes = s.in_bytes + s.in_saved_bytes;
    row->sent_per_s = box->sent_per_s;
    row->received_per_s = box->received_per_s;
    row->queued = s.held_messages;
    row->queue_bytes = s.held_bytes;
    row->queue_max = box->queue_bytes != 0 ? box->queue_bytes : BBI_QUEUE_BYTES;
    row->dropped = s.dropped;
    row->lost_before = s.lost_before;
    row->gap_messages = s.gap_messages;
    row->uncertain = s.uncertain + s.gap_uncertain;
    row->credit_bytes = s.credit_bytes;
    row->credit_messages = s.credit_messages;
    row->blocked = s.blocked;
    row->interests = s.interests;
    row->peer_interests = s.peer_interests;
    row->round_trip_ns = s.round_trip_ns;
    row->clock_offset_ns = s.has_clock ? s.clock_offset_ns : 0;
    row->clock_error_ns = s.has_clock ? s.clock_error_ns : 0;
}

static void
fill_retry(struct bb_link_info *row, const struct bbi_dial *d, bool is_resting)
{
    int64_t left_ns = d->due_ns - d->hub->time.mono_ns;
    row->dialed = 1;
    row->attempts = d->attempts;
    if (!is_resting && d->transport == NULL) {
        row->retry_in_ns = left_ns > 0 ? left_ns : 0;
    }
}

static void
add_box(struct table *table, struct bbi_box *box)
{
    const struct bbi_dial *d = bbi_dial_of_box(box);
    bool is_trying = box->transport != NULL || (d != NULL && d->transport != NULL);
    if (!box->was_ever && d == NULL) {
        return; /* nobody that was agreed with */
    }
    struct bb_link_info *row = next_row(table, box);
    fill_stats(row, box);
    TEXT(row->address, d != NULL ? d->address : box->address);
    TEXT(row->name, box->hello.name);
    TEXT(row->cipher, box->is_up && box->cipher[0] != '\0' ? box->cipher : "none");
    TEXT(row->last, d != NULL && !box->is_up && d->last[0] != '\0' ? d->last : box->last);
    memcpy(row->box, box->id.v, sizeof(row->box));
    row->state = box->is_up ? BB_LINK_UP : is_trying ? BB_LINK_CONNECTING : BB_LINK_DOWN;
    row->slow = box->slow;
    row->up_wall_ns = box->is_up ? box->up_wall_ns : -1;
    row->ups = box->ups;
    if (d != NULL) {
        fill_retry(row, d, box->transport != NULL);
    }
}

static void
add_dial(struct table *table, const struct bbi_dial *d)
{
    struct bb_link_info *row = next_row(table, NULL);
    TEXT(row->address, d->address);
    TEXT(row->name, d->name);
    TEXT(row->cipher, "none");
    TEXT(row->last, d->last);
    row->state = d->transport != NULL ? BB_LINK_CONNECTING : BB_LINK_DOWN;
    row->slow = d->slow;
    row->queue_max = d->queue_bytes != 0 ? d->queue_bytes : BBI_QUEUE_BYTES;
    fill_retry(row, d, false);
}

static void
add_listener(struct table *table, const struct bbi_listener *l)
{
    char address[BBI_HUB_ADDRESS_BYTES];
    struct bb_link_info *row = next_row(table, NULL);
    bbi_hub_address(address, l->host, l->port);
    TEXT(row->address, address);
    TEXT(row->cipher, "none");
    row->state = BB_LINK_LISTENING;
}

size_t
bbi_hub_links(struct bbi_hub *hub, struct bb_link_info *out, struct bbi_box **boxes, size_t max)
{
    struct table table = {.out = out, .boxes = boxes, .max = max};
    bbi_hub_look_at_clock(hub);
    for (struct bbi_box *box = hub->boxes; box != NULL; box = box->next) {
        add_box(&table, box);
    }
    for (const struct bbi_dial *d = hub->dials; d != NULL; d = d->next) {
        if (d->box == NULL && !d->is_over && !d->is_undialed) {
            add_dial(&table, d);
        }
    }
    for (const struct bbi_listener *l = hub->listeners; l != NULL; l = l->next) {
        add_listener(&table, l);
    }
    return table.count;
}

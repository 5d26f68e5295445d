/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One output after the other: when the last was sent as a whole, the next is made of the control frames that are due
 * and of as much data as credit, pieces and BBI_SESSION_OUTPUT_BYTES allow.
 */
#include "lib/bridge/session_impl.h"

/* Small frames together, with what a greeting left over, stay far below. */
enum { SMALL_BYTES = 4096 };
static_assert(BBI_CONTROL_BYTES >= SMALL_BYTES + 64 + UINT16_MAX,
              "the longest interest fits behind them");

static unsigned char *
control_end(struct bbi_session *s)
{
    return s->out.control + s->out.control_bytes;
}

static void
added(struct bbi_session *s, uint32_t bytes)
{
    s->out.control_bytes += bytes;
    s->stats.out_frames++;
    BBI_ASSERT(s->out.control_bytes <= BBI_CONTROL_BYTES);
}

/* ---- small frames ------------------------------------------------------------------------------------------ */

static void
add_welcome(struct bbi_session *s)
{
    struct bbi_welcome w = {.first = s->queue.acked + 1,
                            .next = s->queue.next_number,
                            .credit_bytes = s->in.granted_bytes,
                            .credit_messages = s->in.granted_messages};
    if (s->in.epoch == s->peer.epoch) {
        w.received_epoch = s->in.epoch;
        w.received = s->in.number;
    }
    added(s, bbi_welcome_write(control_end(s), &w));
    s->out.has_welcomed = true;
}

static void
add_ping(struct bbi_session *s, struct bbi_link_time now)
{
    unsigned char echo[16];
    (void)bbi_put_le64(bbi_put_le64(echo, (uint64_t)now.mono_ns), (uint64_t)now.wall_ns);
    added(s, bbi_ping_write(control_end(s), echo, sizeof(echo)));
    s->out.ping = now;
    s->out.is_ping_due = false;
}

static void
add_pong(struct bbi_session *s, struct bbi_link_time now)
{
    const struct bbi_pong pong = {
        .echo = s->out.echo, .echo_bytes = s->out.echo_bytes, .time = now};
    added(s, bbi_pong_write(control_end(s), &pong));
    s->out.is_pong_due = false;
}

/* Worth saying: a quarter of a window is free, or what arrived is due to be acknowledged. */
static void
add_credit(struct bbi_session *s, int64_t now_ns)
{
    struct bbi_session_in *in = &s->in;
    const struct bbi_session_opts *o = &s->opts;
    struct bbi_credit c = {
        .bytes = bbi_session_grant(in->bytes, o->credit_bytes, in->granted_bytes, in->is_held),
        .messages =
            bbi_session_grant(in->messages, o->credit_messages, in->granted_messages, in->is_held),
        .received = in->number};
    if (c.bytes - in->granted_bytes < o->credit_bytes / 4
        && c.messages - in->granted_messages < o->credit_messages / 4 && now_ns < in->ack_due_ns) {
        return;
    }
    in->granted_bytes = c.bytes;
    in->granted_messages = c.messages;
    in->acked = in->number;
    in->ack_due_ns = INT64_MAX;
    added(s, bbi_credit_write(control_end(s), &c));
}

static void
add_known(struct bbi_session *s)
{
    unsigned char *frame = control_end(s);
    uint32_t length = BBI_LINK_HEADER_BYTES + 8;
    (void)bbi_put_le64(frame + BBI_LINK_HEADER_BYTES, s->in.known_due);
    bbi_link_frame_seal(frame, length, BBI_LINK_INTEREST_KNOWN, BBI_LINK_CRITICAL, 0);
    s->in.is_known_due = false;
    added(s, length);
}

/* ---- interests ------------------------------------------------------------------------------------------------ */

/* As many untold interests as fit; all are told anew at the beginning of a transport, also when there are none. */
static void
add_interests(struct bbi_session *s)
{
    struct bbi_interest_set *set = &s->interests;
    unsigned char *frame = control_end(s);
    unsigned char *limit = s->out.control + BBI_CONTROL_BYTES;
    unsigned char *p = frame + BBI_LINK_HEADER_BYTES + BBI_INTEREST_HEAD_BYTES;
    uint32_t flags = 0;
    if (s->out.is_ended && set->untold == NULL) {
        return;
    }
    if (!s->out.is_begun) {
        bbi_interest_set_tell_all(set);
        s->out.is_begun = true;
        flags |= BBI_INTEREST_BEGIN;
    }
    while (set->untold != NULL
           && (size_t)(limit - p) >= BBI_INTEREST_ITEM_BYTES + (size_t)set->untold->prefix_bytes) {
        struct bbi_interest interest = bbi_interest_of(set->untold);
        p = bbi_interest_write(p, &interest);
        s->out.told = set->untold->revision;
        set->untold = set->untold->next;
    }
    if (set->untold == NULL) {
        s->out.told = set->revision;
        flags |= s->out.is_ended ? 0 : BBI_INTEREST_END;
        s->out.is_ended = true;
    }
    (void)bbi_put_le32(bbi_put_le64(frame + BBI_LINK_HEADER_BYTES, s->out.told), flags);
    uint32_t length = (uint32_t)(p - frame);
    bbi_link_frame_seal(frame, length, BBI_LINK_INTEREST, BBI_LINK_CRITICAL, 0);
    added(s, length);
}

/* ---- one output --------------------------------------------------------------------------------------------------- */

static void
add_control_up(struct bbi_session *s, struct bbi_link_time now)
{
    if (s->out.is_pong_due) {
        add_pong(s, now);
    }
    if (s->out.is_ping_due) {
        add_ping(s, now);
    }
    add_credit(s, now.mono_ns);
    if (s->in.is_known_due) {
        add_known(s);
    }
    add_interests(s);
}

static void
add_control(struct bbi_session *s, struct bbi_link_time now)
{
    if (s->state == BBI_SESSION_CLOSING) {
        if (s->out.is_close_due) {
            added(s, bbi_close_write(control_end(s), &s->close));
            s->out.is_close_due = false;
        }
        return;
    }
    if (!s->out.has_welcomed) {
        add_welcome(s);
    }
    if (s->state == BBI_SESSION_UP) {
        add_control_up(s, now);
    }
}

static void
add_piece(struct bbi_session *s, void *at, size_t bytes, struct bbi_queue_item *item)
{
    s->out.pieces[s->out.count] = (struct iovec){at, bytes};
    s->out.items[s->out.count] = item;
    s->out.count++;
}

static void
add_data(struct bbi_session *s, int max)
{
    struct bbi_session_out *out = &s->out;
    size_t total = 0;
    while (out->count < max && total < BBI_SESSION_OUTPUT_BYTES) {
        struct bbi_queue_item *item;
        unsigned char *frame;
        uint32_t messages;
        bool is_blocked;
        size_t bytes = bbi_queue_next(&s->queue, out->credit_bytes - out->bytes,
                                      out->credit_messages - out->messages, &item, &frame,
                                      &messages, &is_blocked);
        s->stats.blocked += is_blocked;
        if (bytes == 0) {
            return;
        }
        out->bytes += bytes;
        out->messages += messages;
        total += bytes;
        s->stats.out_frames++;
        add_piece(s, frame, bytes, item);
    }
}

int
bbi_session_output(struct bbi_session *s, struct iovec *pieces, int max, struct bbi_link_time now)
{
    struct bbi_session_out *out = &s->out;
    if (s->state == BBI_SESSION_DOWN || max < 1) {
        return 0;
    }
    if (out->first == out->count) {
        out->first = out->count = 0;
        add_control(s, now);
        if (out->control_bytes > 0) {
            add_piece(s, out->control, out->control_bytes, NULL);
        }
        if (s->state == BBI_SESSION_UP) {
            add_data(s, max < BBI_SESSION_PIECES ? max : BBI_SESSION_PIECES);
        }
    }
    int count = out->count - out->first < max ? out->count - out->first : max;
    for (int i = 0; i < count; i++) {
        pieces[i] = out->pieces[out->first + i];
    }
    return count;
}

void
bbi_session_sent(struct bbi_session *s, size_t bytes)
{
    struct bbi_session_out *out = &s->out;
    s->stats.out_bytes += bytes;
    while (bytes > 0) {
        BBI_ASSERT(out->first < out->count);
        struct iovec *piece = &out->pieces[out->first];
        size_t done = bytes < piece->iov_len ? bytes : piece->iov_len;
        piece->iov_base = (unsigned char *)piece->iov_base + done;
        piece->iov_len -= done;
        bytes -= done;
        if (piece->iov_len > 0) {
            return;
        }
        if (out->items[out->first] != NULL) {
            bbi_queue_release(&s->queue, out->items[out->first]);
        } else {
            out->control_bytes = 0;
        }
        out->first++;
    }
}

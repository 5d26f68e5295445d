/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes into frames, frames of data into callbacks.  A frame that lies whole in what the transport gave is read there;
 * only one that came in pieces is copied.
 */
#include "lib/bridge/session_impl.h"

enum { VIEWS = 64, CHUNKS_KEEP = 1 << 20 };

/* ---- credit and numbers --------------------------------------------------------------------------------------- */

/* The frame is paid for; false: it is not. */
static bool
charge(struct bbi_session *s, const struct bbi_link_frame *frame, uint64_t messages)
{
    struct bbi_session_in *in = &s->in;
    in->bytes += frame->length;
    in->messages += messages;
    if (in->bytes > in->granted_bytes || in->messages > in->granted_messages) {
        bbi_session_fail(
            s, BBI_CLOSE_CREDIT,
            "the other side sent %llu bytes and %llu messages, it was granted %llu and %llu",
            (unsigned long long)in->bytes, (unsigned long long)in->messages,
            (unsigned long long)in->granted_bytes, (unsigned long long)in->granted_messages);
        return false;
    }
    return true;
}

/* The frame's first number is next, or old; false: messages would be missing silently. */
static bool
is_in_order(struct bbi_session *s, const struct bbi_link_frame *frame)
{
    if (frame->number == 0 || frame->number > s->in.number + 1) {
        bbi_session_fail(s, BBI_CLOSE_SEQUENCE, "message %llu came, %llu is next",
                         (unsigned long long)frame->number, (unsigned long long)s->in.number + 1);
        return false;
    }
    return true;
}

static void
malformed(struct bbi_session *s, const char *what)
{
    bbi_session_fail(s, BBI_CLOSE_PROTOCOL, "%s is not well formed", what);
}

static void
note_progress(struct bbi_session *s, struct bbi_link_time now)
{
    if (s->in.ack_due_ns == INT64_MAX) {
        s->in.ack_due_ns = now.mono_ns + s->opts.ack_ns;
    }
}

/* ---- messages --------------------------------------------------------------------------------------------------- */

static void
deliver(struct bbi_session *s, const struct bbi_link_msg *msgs, size_t count)
{
    if (count > 0) {
        s->in.number = msgs[count - 1].number;
        s->stats.delivered += count;
        s->events.messages(s->user, msgs, count);
    }
}

/* The messages of one frame, in groups. */
static void
take_messages(struct bbi_session *s, struct bbi_wire *w, uint64_t first, uint64_t count)
{
    struct bbi_link_msg views[VIEWS];
    struct bbi_link_msg msg = {0};
    size_t ready = 0;
    for (uint64_t i = 0; i < count && s->state == BBI_SESSION_UP; i++) {
        if (!bbi_msg_next(w, &msg, i == 0)) {
            deliver(s, views, ready);
            malformed(s, "a message");
            return;
        }
        msg.number = first + i;
        if (msg.number <= s->in.number) {
            s->stats.repeated++;
            continue;
        }
        views[ready++] = msg;
        if (ready == VIEWS) {
            deliver(s, views, ready);
            ready = 0;
        }
    }
    deliver(s, views, s->state == BBI_SESSION_UP ? ready : 0);
    if (w->left > 0 && s->state == BBI_SESSION_UP) {
        malformed(s, "the end of a batch");
    }
}

/* The messages as they are without compression; false: they are not well formed. */
static bool
plain_messages(struct bbi_session *s,
               const struct bbi_link_frame *frame,
               uint32_t plain,
               struct bbi_wire *w)
{
    if ((frame->flags & BBI_LINK_COMPRESSED) == 0) {
        return w->left == plain;
    }
    /* Who compresses what becomes no shorter would make us work for nothing. */
    if (s->opts.codec == NULL || plain > BBI_LINK_FRAME_MAX || plain <= w->left) {
        return false;
    }
    size_t got = s->opts.codec->decompress(w->p, w->left, s->in.plain, plain);
    if (got != plain) {
        return false;
    }
    s->stats.in_saved_bytes += plain - w->left;
    *w = (struct bbi_wire){.p = s->in.plain, .left = plain};
    return true;
}

static void
take_data(struct bbi_session *s, const struct bbi_link_frame *frame, struct bbi_link_time now)
{
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    uint32_t count = bbi_wire_u32(&w);
    uint32_t plain = bbi_wire_u32(&w);
    if (w.is_short || count == 0 || count > BBI_LINK_BATCH_MESSAGES || s->in.chunks_whole != 0) {
        malformed(s, "a batch");
        return;
    }
    if (!charge(s, frame, count) || !is_in_order(s, frame)) {
        return;
    }
    if (!plain_messages(s, frame, plain, &w)) {
        malformed(s, "a batch's length");
        return;
    }
    note_progress(s, now);
    take_messages(s, &w, frame->number, count);
}

/* ---- long messages ------------------------------------------------------------------------------------------------- */

/* Room for so many bytes; it grows by what came, not by what was announced. */
static bool
grow_chunks(struct bbi_session *s, uint64_t need)
{
    struct bbi_session_in *in = &s->in;
    if (need <= in->chunks_cap) {
        return true;
    }
    size_t cap = bbi_max_u64(need, bbi_min_u64(in->chunks_cap * 2, in->chunks_whole));
    unsigned char *bigger = s->counted.take(s->counted.user, cap);
    if (bigger == NULL) {
        bbi_session_fail(s, BBI_CLOSE_MEMORY, "no memory for a message of %llu bytes",
                         (unsigned long long)in->chunks_whole);
        return false;
    }
    (void)bbi_put_bytes(bigger, in->chunks, in->chunks_bytes);
    if (in->chunks != NULL) {
        s->counted.give(s->counted.user, in->chunks, in->chunks_cap);
    }
    in->chunks = bigger;
    in->chunks_cap = cap;
    return true;
}

static void
end_chunks(struct bbi_session *s, uint64_t number)
{
    struct bbi_session_in *in = &s->in;
    struct bbi_wire w = {.p = in->chunks, .left = in->chunks_bytes};
    in->chunks_whole = in->chunks_bytes = 0;
    take_messages(s, &w, number, 1);
    if (in->chunks_cap > CHUNKS_KEEP) {
        s->counted.give(s->counted.user, in->chunks, in->chunks_cap);
        in->chunks = NULL;
        in->chunks_cap = 0;
    }
}

/* Does this piece follow the one before? */
static bool
is_next_chunk(const struct bbi_session *s, uint64_t whole, uint64_t offset, size_t bytes)
{
    const struct bbi_session_in *in = &s->in;
    return offset == in->chunks_bytes && (offset == 0) == (in->chunks_whole == 0)
           && (offset == 0 || whole == in->chunks_whole) && bytes > 0 && bytes <= whole - offset;
}

static void
take_chunk(struct bbi_session *s, const struct bbi_link_frame *frame, struct bbi_link_time now)
{
    struct bbi_session_in *in = &s->in;
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    uint64_t whole = bbi_wire_u64(&w);
    uint64_t offset = bbi_wire_u64(&w);
    if (w.is_short) {
        malformed(s, "a piece of a message");
        return;
    }
    if (whole > s->opts.self.message_max + (uint64_t)BBI_MSG_HEAD_MAX) {
        bbi_session_fail(s, BBI_CLOSE_LIMIT,
                         "a message of %llu bytes came; this side takes %u of payload",
                         (unsigned long long)whole, s->opts.self.message_max);
        return;
    }
    if (!charge(s, frame, offset == 0) || !is_in_order(s, frame)) {
        return;
    }
    note_progress(s, now);
    if (frame->number <= in->number) {
        s->stats.repeated += offset == 0;
        return;
    }
    if (!is_next_chunk(s, whole, offset, w.left)) {
        malformed(s, "a piece of a message");
        return;
    }
    in->chunks_whole = whole;
    if (grow_chunks(s, offset + w.left)) {
        (void)bbi_put_bytes(in->chunks + offset, w.p, w.left);
        in->chunks_bytes += w.left;
        if (in->chunks_bytes == whole) {
            end_chunks(s, frame->number);
        }
    }
}

/* ---- gaps ------------------------------------------------------------------------------------------------------------ */

static void
take_gap(struct bbi_session *s, const struct bbi_link_frame *frame, struct bbi_link_time now)
{
    struct bbi_gap gap = {0};
    if (!bbi_gap_read(frame, &gap) || s->in.chunks_whole != 0) {
        malformed(s, "a gap");
        return;
    }
    if (!charge(s, frame, 1) || !is_in_order(s, frame)) {
        return;
    }
    note_progress(s, now);
    if (gap.to <= s->in.number) {
        s->stats.repeated++;
        return;
    }
    if (gap.from <= s->in.number) {
        bbi_session_fail(s, BBI_CLOSE_SEQUENCE, "a gap from message %llu on came, %llu is next",
                         (unsigned long long)gap.from, (unsigned long long)s->in.number + 1);
        return;
    }
    s->in.number = gap.to;
    s->stats.gap_messages += gap.messages;
    s->stats.gap_uncertain += gap.uncertain;
    s->events.gap(s->user, &gap);
}

/* ---- frames ------------------------------------------------------------------------------------------------------------ */

/* Data, when there may be data; false: it is something else. */
static bool
take_stream(struct bbi_session *s, const struct bbi_link_frame *frame, struct bbi_link_time now)
{
    if (s->state != BBI_SESSION_UP) {
        return false;
    }
    switch (frame->type) {
    case BBI_LINK_DATA:
        take_data(s, frame, now);
        return true;
    case BBI_LINK_CHUNK:
        take_chunk(s, frame, now);
        return true;
    case BBI_LINK_GAP:
        take_gap(s, frame, now);
        return true;
    default:
        return false;
    }
}

static void
take_frame(struct bbi_session *s, const struct bbi_link_frame *frame, struct bbi_link_time now)
{
    s->stats.in_frames++;
    if (!take_stream(s, frame, now)) {
        bbi_session_take_control(s, frame, now);
    }
}

static bool
is_open(const struct bbi_session *s)
{
    return s->state == BBI_SESSION_OPENING || s->state == BBI_SESSION_UP;
}

/* A frame that begins at p.  Returns its bytes; 0: it is not whole, or the link has failed. */
static size_t
try_frame(struct bbi_session *s,
          const unsigned char *p,
          size_t bytes,
          uint32_t *length,
          struct bbi_link_time now)
{
    struct bbi_link_frame frame;
    size_t limit = s->state == BBI_SESSION_UP ? BBI_LINK_FRAME_MAX : BBI_LINK_HELLO_MAX;
    switch (bbi_link_frame_read(p, bytes, limit, &frame, length)) {
    case BBI_LINK_READ_OK:
        take_frame(s, &frame, now);
        return *length;
    case BBI_LINK_READ_LENGTH:
        bbi_session_fail(s, BBI_CLOSE_LIMIT,
                         "a frame that is longer than %zu bytes, or shorter than its header",
                         limit);
        return 0;
    case BBI_LINK_READ_CHECK:
        bbi_session_fail(s, BBI_CLOSE_CHECKSUM,
                         "a frame's checksum is wrong: bytes were changed on the way");
        return 0;
    case BBI_LINK_READ_MORE:
    default:
        return 0;
    }
}

/* Adds to the frame that came in pieces; returns how many bytes it took. */
static size_t
fill_frame(struct bbi_session *s, const unsigned char *p, size_t bytes, struct bbi_link_time now)
{
    struct bbi_session_in *in = &s->in;
    uint32_t length = 0;
    size_t want = BBI_LINK_HEADER_BYTES;
    size_t taken = 0;
    if (in->frame_bytes >= want) {
        (void)try_frame(s, in->frame, in->frame_bytes, &length,
                        now); /* its length was seen before */
        want = length;
    }
    while (is_open(s)) {
        size_t some = bbi_min_u64(want - in->frame_bytes, bytes - taken);
        (void)bbi_put_bytes(in->frame + in->frame_bytes, p + taken, some);
        in->frame_bytes += some;
        taken += some;
        if (in->frame_bytes < want) {
            break;
        }
        if (try_frame(s, in->frame, in->frame_bytes, &length, now) > 0) {
            in->frame_bytes = 0;
            break;
        }
        want = length;
    }
    return taken;
}

int
bbi_session_receive(struct bbi_session *s, const void *data, size_t bytes, struct bbi_link_time now)
{
    struct bbi_session_in *in = &s->in;
    const unsigned char *p = data;
    if (is_open(s) && bytes > 0) {
        in->last_ns = now.mono_ns;
        s->stats.in_bytes += bytes;
    }
    while (is_open(s) && bytes > 0) {
        uint32_t length;
        size_t taken = in->frame_bytes > 0 ? fill_frame(s, p, bytes, now)
                                           : try_frame(s, p, bytes, &length, now);
        if (taken == 0 && is_open(s)) {
            in->frame_since_ns = now.mono_ns; /* the first bytes of one */
            taken = fill_frame(s, p, bytes, now);
        }
        p += taken;
        bytes -= taken;
    }
    return is_open(s) ? 0 : BB_EPEERGONE;
}

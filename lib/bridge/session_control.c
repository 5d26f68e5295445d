/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that carry no messages: agreeing, credit, interests, life, the end.
 */
#include "lib/bridge/session_impl.h"

/* More than this ahead of what was sent is no credit that anybody could mean. */
#define CREDIT_AHEAD_MAX (UINT64_C(1) << 33)

static void
malformed(struct bbi_session *s, const char *what)
{
    bbi_session_fail(s, BBI_CLOSE_PROTOCOL, "%s is not well formed", what);
}

/* ---- WELCOME --------------------------------------------------------------------------------------------------- */

/* The number up to which the other side has our stream; false: that cannot be. */
static bool
take_received(struct bbi_session *s, uint64_t received)
{
    if (received < s->queue.acked) {
        bbi_session_fail(s, BBI_CLOSE_ROLLBACK,
                         "the other side has our messages up to %llu, it acknowledged %llu before",
                         (unsigned long long)received, (unsigned long long)s->queue.acked);
        return false;
    }
    if (received > s->queue.sent) {
        bbi_session_fail(s, BBI_CLOSE_PROTOCOL,
                         "the other side acknowledges message %llu, %llu is the last that was sent",
                         (unsigned long long)received, (unsigned long long)s->queue.sent);
        return false;
    }
    bbi_queue_ack(&s->queue, received);
    return true;
}

/* Where our stream goes on. */
static bool
resume_out(struct bbi_session *s, const struct bbi_welcome *w)
{
    bool is_same_life = s->sent_epoch == s->peer.epoch;
    if (!is_same_life) {
        bbi_queue_forget_sent(&s->queue);
        s->out.known = 0;
        s->sent_epoch = s->peer.epoch;
        s->sent_base = s->queue.acked;
    }
    /* Who holds nothing of this life's stream never came so far as to hear where it began. */
    uint64_t received = w->received_epoch == s->opts.self.epoch ? w->received : s->sent_base;
    return take_received(s, received);
}

/* Where theirs goes on. */
static bool
resume_in(struct bbi_session *s, const struct bbi_welcome *w, bool *is_resumed)
{
    struct bbi_session_in *in = &s->in;
    *is_resumed = in->epoch == s->peer.epoch;
    if (!*is_resumed) {
        in->epoch = s->peer.epoch;
        in->number = in->acked = w->first - 1;
        return true;
    }
    if (w->first > in->number + 1 || w->next <= in->number) {
        bbi_session_fail(
            s, BBI_CLOSE_ROLLBACK,
            "the other side's stream goes from %llu to %llu, this side has it up to %llu",
            (unsigned long long)w->first, (unsigned long long)w->next,
            (unsigned long long)in->number);
        return false;
    }
    return true;
}

static void
take_welcome(struct bbi_session *s, const struct bbi_link_frame *frame)
{
    struct bbi_welcome w;
    bool is_resumed;
    if (!bbi_welcome_read(frame, &w) || w.credit_bytes < BBI_LINK_FRAME_MAX
        || w.credit_messages < BBI_LINK_BATCH_MESSAGES) {
        malformed(s, "WELCOME");
        return;
    }
    if (w.credit_bytes > CREDIT_AHEAD_MAX || w.credit_messages > CREDIT_AHEAD_MAX) {
        bbi_session_fail(s, BBI_CLOSE_CREDIT, "the other side grants more than anybody sends");
        return;
    }
    if (resume_out(s, &w) && resume_in(s, &w, &is_resumed)) {
        s->out.credit_bytes = w.credit_bytes;
        s->out.credit_messages = w.credit_messages;
        s->state = BBI_SESSION_UP;
        s->stats.ups++;
        s->events.up(s->user, &s->peer, is_resumed);
    }
}

/* ---- CREDIT ----------------------------------------------------------------------------------------------------- */

static void
take_credit(struct bbi_session *s, const struct bbi_link_frame *frame)
{
    struct bbi_session_out *out = &s->out;
    struct bbi_credit c;
    if (!bbi_credit_read(frame, &c)) {
        malformed(s, "CREDIT");
        return;
    }
    if (c.bytes < out->credit_bytes || c.messages < out->credit_messages
        || c.bytes - out->bytes > CREDIT_AHEAD_MAX
        || c.messages - out->messages > CREDIT_AHEAD_MAX) {
        bbi_session_fail(s, BBI_CLOSE_CREDIT,
                         "the other side takes credit back, or grants more than anybody sends");
        return;
    }
    if (take_received(s, c.received)) {
        out->credit_bytes = c.bytes;
        out->credit_messages = c.messages;
    }
}

/* ---- INTEREST ---------------------------------------------------------------------------------------------------- */

static void
set_all_stale(struct bbi_interest_set *set)
{
    for (struct bbi_interest_node *node = set->oldest; node != NULL; node = node->next) {
        node->is_stale = true;
    }
}

static void
lose_interest(struct bbi_session *s, struct bbi_interest_node *node)
{
    struct bbi_interest gone = bbi_interest_of(node);
    gone.is_removed = true;
    s->events.interest(s->user, &gone);
    bbi_interest_set_drop(&s->peer_interests, node);
}

/* False: there are too many. */
static bool
take_interest(struct bbi_session *s, const struct bbi_interest *interest)
{
    struct bbi_interest_node *node = bbi_interest_set_find(&s->peer_interests, interest);
    if (interest->is_removed) {
        if (node != NULL) {
            lose_interest(s, node);
        }
        return true;
    }
    if (node != NULL) {
        node->is_stale = false;
        return true;
    }
    int rc = bbi_interest_set_add(&s->peer_interests, interest);
    if (rc < 0) {
        bbi_session_fail(s, rc == BB_ENOMEM ? BBI_CLOSE_MEMORY : BBI_CLOSE_INTERESTS,
                         "the other side has more interests than the %u, or longer ones than the "
                         "%zu bytes, that this side keeps",
                         s->opts.interest_count, s->opts.interest_bytes);
        return false;
    }
    s->events.interest(s->user, interest);
    return true;
}

static void
lose_stale(struct bbi_session *s)
{
    struct bbi_interest_node *node = s->peer_interests.oldest;
    while (node != NULL) {
        struct bbi_interest_node *next = node->next;
        if (node->is_stale) {
            lose_interest(s, node);
        }
        node = next;
    }
}

static void
take_interests(struct bbi_session *s, const struct bbi_link_frame *frame)
{
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    struct bbi_interest interest;
    uint64_t revision = bbi_wire_u64(&w);
    uint32_t flags = bbi_wire_u32(&w);
    int more = w.is_short ? -1 : 0;
    if ((flags & BBI_INTEREST_BEGIN) != 0 && more == 0) {
        set_all_stale(&s->peer_interests);
        s->in.is_told_anew = true;
    }
    while (more >= 0 && (more = bbi_interest_next(&w, &interest)) == 1) {
        if (!take_interest(s, &interest)) {
            return;
        }
    }
    if (more < 0) {
        malformed(s, "an interest");
        return;
    }
    if ((flags & BBI_INTEREST_END) != 0) {
        lose_stale(s);
        s->in.is_told_anew = false;
    }
    if (!s->in.is_told_anew) {
        s->in.known_due = revision;
        s->in.is_known_due = true;
    }
}

static void
take_known(struct bbi_session *s, const struct bbi_link_frame *frame)
{
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    uint64_t revision = bbi_wire_u64(&w);
    if (w.is_short || revision > s->out.told) {
        malformed(s, "what the other side knows of interests");
    } else if (revision > s->out.known || (revision == 0 && s->out.known == 0)) {
        s->out.known = revision;
        bbi_interest_set_known(&s->interests, revision);
        s->events.barrier(s->user, revision);
    }
}

/* ---- PING, PONG --------------------------------------------------------------------------------------------------- */

static void
take_ping(struct bbi_session *s, const struct bbi_link_frame *frame)
{
    if (frame->body_bytes > BBI_LINK_ECHO_MAX) {
        malformed(s, "PING");
        return;
    }
    (void)bbi_put_bytes(s->out.echo, frame->body, frame->body_bytes);
    s->out.echo_bytes = (uint16_t)frame->body_bytes;
    s->out.is_pong_due = true;
}

/* Numbers from outside: differences wrap instead of overflowing. */
static int64_t
minus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static void
take_clock(struct bbi_session *s, const struct bbi_link_time *theirs, struct bbi_link_time now)
{
    int64_t trip = now.mono_ns - s->out.ping.mono_ns;
    int64_t fresh_ns = BBI_CLOCK_FRESH_S * INT64_C(1000000000);
    s->stats.round_trip_ns = trip;
    if (s->stats.has_clock && trip / 2 > s->stats.clock_error_ns
        && now.mono_ns - s->clock_ns < fresh_ns) {
        return;
    }
    /* They looked at their clock when ours stood somewhere between ping and now. */
    s->stats.has_clock = true;
    s->stats.clock_offset_ns = minus(minus(theirs->wall_ns, s->out.ping.wall_ns), trip / 2);
    s->stats.clock_error_ns = trip / 2;
    s->clock_ns = now.mono_ns;
}

static void
take_pong(struct bbi_session *s, const struct bbi_link_frame *frame, struct bbi_link_time now)
{
    unsigned char echo[16];
    struct bbi_pong pong;
    if (!bbi_pong_read(frame, &pong)) {
        malformed(s, "PONG");
        return;
    }
    (void)bbi_put_le64(bbi_put_le64(echo, (uint64_t)s->out.ping.mono_ns),
                       (uint64_t)s->out.ping.wall_ns);
    if (s->out.ping.mono_ns != 0 && pong.echo_bytes == sizeof(echo)
        && memcmp(pong.echo, echo, sizeof(echo)) == 0) {
        take_clock(s, &pong.time, now);
    }
}

/* ---- which -------------------------------------------------------------------------------------------------------- */

static void
take_close(struct bbi_session *s, const struct bbi_link_frame *frame)
{
    struct bbi_close why;
    if (bbi_close_read(frame, &why)) {
        bbi_session_ended(s, &why);
    } else {
        malformed(s, "CLOSE");
    }
}

static void
take_unknown(struct bbi_session *s, const struct bbi_link_frame *frame)
{
    if (frame->type <= BBI_LINK_GAP
        && (frame->type <= BBI_LINK_INTEREST_KNOWN || frame->type >= BBI_LINK_DATA)
        && frame->type != 0) {
        bbi_session_fail(s, BBI_CLOSE_PROTOCOL, "a frame of type %u came at a time that it may not",
                         frame->type);
    } else if ((frame->flags & BBI_LINK_CRITICAL) != 0) {
        bbi_session_fail(s, BBI_CLOSE_UNKNOWN,
                         "a frame of type %u came, which version 1 does not know: use the same "
                         "release on both sides",
                         frame->type);
    }
}

static void
take_up(struct bbi_session *s, const struct bbi_link_frame *frame)
{
    switch (frame->type) {
    case BBI_LINK_CREDIT:
        take_credit(s, frame);
        break;
    case BBI_LINK_INTEREST:
        take_interests(s, frame);
        break;
    case BBI_LINK_INTEREST_KNOWN:
        take_known(s, frame);
        break;
    default:
        take_unknown(s, frame);
        break;
    }
}

void
bbi_session_take_control(struct bbi_session *s,
                         const struct bbi_link_frame *frame,
                         struct bbi_link_time now)
{
    switch (frame->type) {
    case BBI_LINK_CLOSE:
        take_close(s, frame);
        break;
    case BBI_LINK_PING:
        take_ping(s, frame);
        break;
    case BBI_LINK_PONG:
        take_pong(s, frame, now);
        break;
    default:
        if (s->state == BBI_SESSION_UP) {
            take_up(s, frame);
        } else if (frame->type == BBI_LINK_WELCOME) {
            take_welcome(s, frame);
        } else {
            take_unknown(s, frame);
        }
        break;
    }
}

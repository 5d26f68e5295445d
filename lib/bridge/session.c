/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session is opened when both sides sent WELCOME.  Each says there what it holds of the other's stream, which it knows
 * for certain then: a session has one transport at a time, and the one before was cut.  So nothing that was on its way
 * can change it any more.
 */
#include "lib/bridge/session_impl.h"

#include <stdarg.h>
#include <stdio.h>

#define SECOND_NS INT64_C(1000000000)

/* ---- memory ---------------------------------------------------------------------------------------------- */

static void *
take_counted(void *user, size_t bytes)
{
    struct bbi_session *s = user;
    void *p = s->memory.take(s->memory.user, bytes);
    if (p != NULL) {
        s->stats.memory_bytes += bytes;
    }
    return p;
}

static void
give_counted(void *user, void *p, size_t bytes)
{
    struct bbi_session *s = user;
    s->stats.memory_bytes -= bytes;
    s->memory.give(s->memory.user, p, bytes);
}

static void
give_all(struct bbi_session *s)
{
    bbi_queue_fini(&s->queue);
    bbi_interest_set_fini(&s->interests);
    bbi_interest_set_fini(&s->peer_interests);
    if (s->in.frame != NULL) {
        give_counted(s, s->in.frame, BBI_LINK_FRAME_MAX);
    }
    if (s->in.plain != NULL) {
        give_counted(s, s->in.plain, BBI_LINK_FRAME_MAX);
    }
    if (s->in.chunks != NULL) {
        give_counted(s, s->in.chunks, s->in.chunks_cap);
    }
    if (s->out.control != NULL) {
        give_counted(s, s->out.control, BBI_CONTROL_BYTES);
    }
    BBI_ASSERT(s->stats.memory_bytes == 0);
}

/* ---- init ------------------------------------------------------------------------------------------------ */

static void
fill_in(struct bbi_session_opts *o)
{
    o->self.frame_max = BBI_LINK_FRAME_MAX;
    o->self.features = o->codec != NULL ? BBI_FEATURE_LZ4 : 0;
    o->self.message_max = o->self.message_max != 0 ? o->self.message_max : 1 << 20;
    o->queue_bytes = o->queue_bytes != 0 ? o->queue_bytes : BBI_QUEUE_BYTES;
    o->batch_bytes = o->batch_bytes != 0 ? o->batch_bytes : 32 << 10;
    o->credit_bytes = o->credit_bytes != 0 ? o->credit_bytes : 4 << 20;
    o->credit_messages = o->credit_messages != 0 ? o->credit_messages : 8192;
    o->ping_ns = o->ping_ns != 0 ? o->ping_ns : SECOND_NS;
    o->dead_ns = o->dead_ns != 0 ? o->dead_ns : 3 * SECOND_NS;
    o->handshake_ns = o->handshake_ns != 0 ? o->handshake_ns : 5 * SECOND_NS;
    o->frame_ns = o->frame_ns != 0 ? o->frame_ns : 30 * SECOND_NS;
    o->ack_ns = o->ack_ns != 0 ? o->ack_ns : SECOND_NS / 50;
    o->interest_count = o->interest_count != 0 ? o->interest_count : 65536;
    o->interest_bytes = o->interest_bytes != 0 ? o->interest_bytes : 4 << 20;
}

static bool
is_sound(const struct bbi_session_opts *o)
{
    const uint64_t window_max = UINT64_C(1) << 32;
    return o->self.epoch != 0 && o->self.message_max >= BBI_LINK_MESSAGE_MIN
           && o->self.message_max <= BBI_LINK_MESSAGE_MAX && o->queue_bytes >= BBI_QUEUE_BYTES_MIN
           && o->queue_bytes <= SIZE_MAX / 2 && o->batch_bytes >= 4096
           && o->batch_bytes <= BBI_LINK_FRAME_MAX && o->credit_bytes >= BBI_LINK_FRAME_MAX
           && o->credit_bytes <= window_max && o->credit_messages >= BBI_LINK_BATCH_MESSAGES
           && o->credit_messages <= window_max && o->ping_ns > 0 && o->dead_ns > o->ping_ns
           && o->handshake_ns > 0 && o->frame_ns > 0 && o->ack_ns > 0;
}

static enum bbi_slow
slow_of(enum bbi_slow_policy policy)
{
    switch (policy) {
    case BBI_SLOW_DROP_NEWEST:
        return BBI_SLOW_NEWEST;
    case BBI_SLOW_DISCONNECT:
        return BBI_SLOW_ALL;
    case BBI_SLOW_DROP_OLDEST:
    default:
        return BBI_SLOW_OLDEST;
    }
}

static int
take_all(struct bbi_session *s)
{
    const struct bbi_session_opts *o = &s->opts;
    s->in.frame = take_counted(s, BBI_LINK_FRAME_MAX);
    s->out.control = take_counted(s, BBI_CONTROL_BYTES);
    if (o->codec != NULL) {
        s->in.plain = take_counted(s, BBI_LINK_FRAME_MAX);
    }
    int rc = bbi_queue_init(&s->queue, &s->counted, o->codec, o->queue_bytes, o->batch_bytes);
    int rc2 = bbi_interest_set_init(&s->interests, &s->counted, o->hash_seed, o->interest_count,
                                    o->interest_bytes);
    int rc3 = bbi_interest_set_init(&s->peer_interests, &s->counted, o->hash_seed,
                                    o->interest_count, o->interest_bytes);
    bool is_short =
        s->in.frame == NULL || s->out.control == NULL || (o->codec != NULL && s->in.plain == NULL);
    return is_short || rc != 0 || rc2 != 0 || rc3 != 0 ? BB_ENOMEM : 0;
}

int
bbi_session_init(struct bbi_session **out,
                 const struct bbi_session_opts *opts,
                 const struct bbi_memory *memory,
                 const struct bbi_session_events *events,
                 void *user)
{
    struct bbi_session_opts o = *opts;
    fill_in(&o);
    if (!is_sound(&o)) {
        return BB_EINVAL;
    }
    struct bbi_session *s = memory->take(memory->user, sizeof(*s));
    if (s == NULL) {
        return BB_ENOMEM;
    }
    memset(s, 0, sizeof(*s));
    s->opts = o;
    s->memory = *memory;
    s->counted = (struct bbi_memory){take_counted, give_counted, s};
    s->events = *events;
    s->user = user;
    s->in.ack_due_ns = INT64_MAX;
    if (take_all(s) != 0) {
        bbi_session_fini(s);
        return BB_ENOMEM;
    }
    s->queue.slow = slow_of(o.policy);
    s->queue.message_max = o.self.message_max;
    *out = s;
    return 0;
}

void
bbi_session_fini(struct bbi_session *s)
{
    if (s != NULL) {
        struct bbi_memory memory = s->memory;
        give_all(s);
        memory.give(memory.user, s, sizeof(*s));
    }
}

/* ---- the end of a transport -------------------------------------------------------------------------------- */

static bool
is_ending(const struct bbi_session *s)
{
    return s->state == BBI_SESSION_DOWN || s->state == BBI_SESSION_CLOSING;
}

void
bbi_session_fail(struct bbi_session *s, enum bbi_close_code code, const char *format, ...)
{
    va_list ap;
    if (is_ending(s)) {
        return;
    }
    s->close.code = (uint16_t)code;
    va_start(ap, format);
    (void)vsnprintf(s->close.sentence, sizeof(s->close.sentence), format, ap);
    va_end(ap);
    s->state = BBI_SESSION_CLOSING;
    s->out.is_close_due = true;
    s->events.closed(s->user, &s->close, false);
}

void
bbi_session_ended(struct bbi_session *s, const struct bbi_close *why)
{
    s->close = *why;
    s->state = BBI_SESSION_CLOSING;
    s->out.is_close_due = false;
    s->events.closed(s->user, &s->close, true);
}

void
bbi_session_close(struct bbi_session *s, enum bbi_close_code code, const char *sentence)
{
    bbi_session_fail(s, code, "%s", sentence != NULL ? sentence : bbi_close_text(code));
}

bool
bbi_session_is_over(const struct bbi_session *s)
{
    return s->state == BBI_SESSION_CLOSING && !s->out.is_close_due && s->out.first == s->out.count;
}

void
bbi_session_cut(struct bbi_session *s)
{
    if (s->state == BBI_SESSION_DOWN) {
        return;
    }
    for (int i = s->out.first; i < s->out.count; i++) {
        if (s->out.items[i] != NULL) {
            bbi_queue_release(&s->queue, s->out.items[i]);
        }
    }
    s->out.first = s->out.count = 0;
    bbi_queue_rewind(&s->queue);
    bbi_interest_set_nobody(&s->interests);
    s->in.chunks_whole = s->in.chunks_bytes = 0;
    s->in.frame_bytes = 0;
    s->in.ack_due_ns = INT64_MAX;
    s->state = BBI_SESSION_DOWN;
    s->stats.cuts++;
}

/* ---- the beginning of one ------------------------------------------------------------------------------------ */

bool
bbi_link_prefer_new(const struct bbi_link_id *self,
                    const struct bbi_link_id *peer,
                    enum bbi_link_role old_role,
                    enum bbi_link_role new_role)
{
    bool we_are_lower = bbi_link_id_compare(self, peer) < 0;
    enum bbi_link_role wanted = we_are_lower ? BBI_ROLE_DIALED : BBI_ROLE_ACCEPTED;
    return old_role == new_role || new_role == wanted;
}

static bool
is_of_peer(const struct bbi_session *s, const struct bbi_greet *g)
{
    return g->state == BBI_GREET_KNOWN && bbi_link_id_compare(&g->peer.node, &s->opts.peer) == 0;
}

int
bbi_session_prefer(const struct bbi_session *s, const struct bbi_greet *g)
{
    if (!is_of_peer(s, g)) {
        return BB_EINVAL;
    }
    if (s->state == BBI_SESSION_DOWN) {
        return 0;
    }
    if (s->state == BBI_SESSION_CLOSING || s->peer.epoch != g->peer.epoch) {
        return 1; /* it leads nowhere any more */
    }
    return bbi_link_prefer_new(&s->opts.self.node, &s->opts.peer, s->role, g->role) ? 1 : BB_EBUSY;
}

static void
begin_in(struct bbi_session *s, int64_t mono_ns)
{
    struct bbi_session_in *in = &s->in;
    in->last_ns = in->tick_ns = mono_ns;
    in->due_ns = INT64_MAX;
    in->bytes = in->messages = 0;
    in->granted_bytes = s->opts.credit_bytes;
    in->granted_messages = s->opts.credit_messages;
    in->acked = in->number;
    in->is_known_due = in->is_told_anew = in->is_held = false;
}

static void
begin_out(struct bbi_session *s, const struct bbi_greet *g)
{
    struct bbi_session_out *out = &s->out;
    unsigned char *control = out->control;
    uint64_t known = out->known;
    const void *rest;
    size_t bytes = bbi_greet_output(g, &rest);
    *out = (struct bbi_session_out){.control = control, .control_bytes = bytes, .known = known};
    (void)bbi_put_bytes(control, rest, bytes);
}

int
bbi_session_attach(struct bbi_session *s, const struct bbi_greet *g, struct bbi_link_time now)
{
    if (!is_of_peer(s, g)) {
        return BB_EINVAL;
    }
    if (s->state != BBI_SESSION_DOWN) {
        return BB_EBUSY;
    }
    s->state = BBI_SESSION_OPENING;
    s->role = g->role;
    s->peer = g->peer;
    s->opened_ns = now.mono_ns;
    begin_in(s, now.mono_ns);
    begin_out(s, g);
    s->queue.peer_message_max = s->peer.message_max;
    s->queue.is_compressing = s->opts.codec != NULL && (s->peer.features & BBI_FEATURE_LZ4) != 0;
    return 0;
}

/* ---- time ---------------------------------------------------------------------------------------------------- */

static int64_t
tick_opening(struct bbi_session *s, int64_t now)
{
    int64_t due = s->opened_ns + s->opts.handshake_ns;
    if (now >= due) {
        bbi_session_fail(s, BBI_CLOSE_HANDSHAKE,
                         "the other side said who it is, and no more, for %lld ms",
                         (long long)(s->opts.handshake_ns / 1000000));
        return now;
    }
    return due;
}

static int64_t
tick_up(struct bbi_session *s, int64_t now)
{
    int64_t dead = s->in.last_ns + s->opts.dead_ns;
    int64_t ping = s->in.last_ns + s->opts.ping_ns;
    int64_t ack =
        s->in.ack_due_ns > now ? s->in.ack_due_ns : INT64_MAX; /* else the next output says it */
    int64_t stalled = s->in.frame_bytes > 0 ? s->in.frame_since_ns + s->opts.frame_ns : INT64_MAX;
    if (now >= dead) {
        bbi_session_fail(s, BBI_CLOSE_DEAD,
                         "the other side is silent for %lld ms: it, or the way to it, is gone",
                         (long long)((now - s->in.last_ns) / 1000000));
        return now;
    }
    if (now >= stalled) {
        bbi_session_fail(s, BBI_CLOSE_STALLED,
                         "a frame of the other side did not arrive within %lld ms",
                         (long long)(s->opts.frame_ns / 1000000));
        return now;
    }
    if (s->out.ping.mono_ns > s->in.last_ns) {
        ping = s->out.ping.mono_ns + s->opts.ping_ns; /* asked already */
    }
    if (now >= ping) {
        s->out.is_ping_due = true;
        ping = now + s->opts.ping_ns;
    }
    return bbi_min_i64(bbi_min_i64(dead, ping), bbi_min_i64(stalled, ack));
}

/*
 * Whoever calls us stood still (stopped, suspended, overloaded): what the other side said meanwhile lies unread.  Silence
 * is only what was listened to, so its time does not count; how long it really stood still since the last tick nobody
 * knows, and the whole is taken: it reads before it asks us again.
 */
static void
forgive_stall(struct bbi_session *s, int64_t now)
{
    struct bbi_session_in *in = &s->in;
    if (in->due_ns == INT64_MAX || now - in->due_ns < s->opts.dead_ns / 2) {
        return;
    }
    int64_t stall_ns = now - in->tick_ns;
    in->last_ns = bbi_min_i64(in->last_ns + stall_ns, now);
    in->frame_since_ns = bbi_min_i64(in->frame_since_ns + stall_ns, now);
    s->opened_ns = bbi_min_i64(s->opened_ns + stall_ns, now);
}

static int64_t
tick_on(struct bbi_session *s, int64_t now, int64_t (*tick)(struct bbi_session *s, int64_t now))
{
    forgive_stall(s, now);
    s->in.due_ns = tick(s, now);
    s->in.tick_ns = now;
    return s->in.due_ns;
}

int64_t
bbi_session_tick(struct bbi_session *s, struct bbi_link_time now)
{
    switch (s->state) {
    case BBI_SESSION_OPENING:
        return tick_on(s, now.mono_ns, tick_opening);
    case BBI_SESSION_UP:
        return tick_on(s, now.mono_ns, tick_up);
    case BBI_SESSION_DOWN:
    case BBI_SESSION_CLOSING:
    default:
        return INT64_MAX;
    }
}

void
bbi_session_hold(struct bbi_session *s, bool is_held)
{
    s->in.is_held = is_held;
}

int
bbi_session_tune(struct bbi_session *s, enum bbi_slow_policy policy, size_t queue_bytes)
{
    size_t bytes = queue_bytes != 0 ? queue_bytes : BBI_QUEUE_BYTES;
    if (bytes < BBI_QUEUE_BYTES_MIN || bytes > SIZE_MAX / 2) {
        return BB_EINVAL;
    }
    s->opts.policy = policy;
    s->opts.queue_bytes = bytes;
    s->queue.slow = slow_of(policy);
    s->queue.limit_bytes = bytes;
    return 0;
}

bool
bbi_session_recheck(struct bbi_session *s, bbi_queue_may_cb may, void *user)
{
    return bbi_queue_recheck(&s->queue, may, user);
}

/* ---- what goes to the other side -------------------------------------------------------------------------------- */

int
bbi_session_offer(struct bbi_session *s, const struct bbi_link_msg *msg)
{
    if (msg->topic_bytes > UINT16_MAX || msg->origin.name_bytes > BBI_LINK_NAME_MAX
        || msg->scope > BBI_SCOPE_GLOBAL) {
        return BB_EINVAL;
    }
    if (msg->bytes > s->opts.self.message_max) {
        return BB_EMSGSIZE;
    }
    s->stats.offered++;
    int rc = bbi_queue_offer(&s->queue, msg);
    if (rc != BB_EBUSY) {
        return rc;
    }
    bbi_session_fail(
        s, BBI_CLOSE_SLOW,
        "the queue of %zu bytes for this peer is full and its policy is to disconnect: "
        "what was not sent is lost",
        s->opts.queue_bytes);
    return 0;
}

void
bbi_session_lost(struct bbi_session *s, const struct bbi_link_loss *loss)
{
    struct bbi_gap gap = {.reasons = loss->reasons != 0 ? loss->reasons : BBI_GAP_OVERRUN};
    bbi_gap_add(&gap, &loss->origin, loss->first_seq, loss->bytes);
    gap.messages = gap.rings[0].messages = loss->messages;
    gap.rings[0].last_seq = loss->last_seq;
    s->stats.offered += loss->messages;
    bbi_queue_lost(&s->queue, &gap);
}

static bool
is_interest(const struct bbi_interest *interest)
{
    return interest->prefix_bytes <= UINT16_MAX && interest->flags <= 1
           && interest->scope <= BBI_SCOPE_GLOBAL;
}

int
bbi_session_interest_add(struct bbi_session *s, const struct bbi_interest *interest)
{
    return is_interest(interest) ? bbi_interest_set_add(&s->interests, interest) : BB_EINVAL;
}

int
bbi_session_interest_remove(struct bbi_session *s, const struct bbi_interest *interest)
{
    return is_interest(interest) ? bbi_interest_set_remove(&s->interests, interest) : BB_EINVAL;
}

uint64_t
bbi_session_barrier(const struct bbi_session *s)
{
    return s->interests.revision;
}

bool
bbi_session_is_known(const struct bbi_session *s, uint64_t token)
{
    return s->out.known >= token;
}

void
bbi_session_stats(const struct bbi_session *s, struct bbi_session_stats *out)
{
    *out = s->stats;
    out->state = s->state;
    out->acknowledged = s->queue.acked;
    out->sent = s->queue.delivered;
    out->next_number = s->queue.next_number;
    out->dropped = s->queue.dropped;
    out->lost_before = s->queue.lost_before;
    out->uncertain = s->queue.uncertain;
    out->received_number = s->in.number;
    out->queue_bytes = s->queue.bytes;
    out->is_compressing = s->queue.is_compressing;
    out->out_saved_bytes = s->queue.saved_bytes;
    out->held_messages = s->queue.held_messages;
    out->held_bytes = s->queue.held_bytes;
    if (s->state == BBI_SESSION_UP) {
        out->credit_bytes = s->out.credit_bytes - s->out.bytes;
        out->credit_messages = s->out.credit_messages - s->out.messages;
    }
    out->interests = s->interests.count;
    out->peer_interests = s->peer_interests.count;
}

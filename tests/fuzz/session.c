/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session against a peer that says whatever it likes, in frames whose checksums are right, while its user offers,
 * wants, cuts and waits.
 * bb-links: bb_link
 *
 * Input      steps: u8 what, then what it needs: a frame (u8 type, u8 flags, u8 number after the last one, u16 bytes,
 *            body), raw bytes (u8 count), offers (u8 count, u8 size), an interest, a cut, time (u8, 100 ms each) ...
 * Oracle     memory stays within the session's limits; numbers are told in order, once; what is delivered and told as
 *            missing fills the stream; a link that ends says why, in a frame; all memory is given back.
 */
#include "lib/bridge/session.h"
#include "lib/link/lz4.h"
#include "tests/fuzz/fuzz.h"

enum {
    QUEUE_BYTES = 1 << 16,
    /* fixed parts, queue, interests, one long message, and what compression needs */
    MEMORY_MAX = (2 << 20) + (1 << 18) + 2 * BBI_LINK_FRAME_MAX,
    STEPS_MAX = 4000,
};

struct world {
    struct bbi_session *session;
    struct bbi_greet greet;
    size_t memory_bytes;
    struct bbi_link_time now;
    uint64_t number; /* of the peer's stream: told up to here */
    uint64_t epoch;  /* of the peer */
    bool is_closed, was_remote, is_attached;
    uint64_t credit_bytes;
};

static void *
take(void *user, size_t bytes)
{
    struct world *w = user;
    w->memory_bytes += bytes;
    FUZZ_CHECK(w->memory_bytes <= MEMORY_MAX);
    return malloc(bytes);
}

static void
give(void *user, void *p, size_t bytes)
{
    struct world *w = user;
    FUZZ_CHECK(w->memory_bytes >= bytes);
    w->memory_bytes -= bytes;
    free(p);
}

static void
on_up(void *user, const struct bbi_hello *peer, bool is_resumed)
{
    struct world *w = user;
    struct bbi_session_stats stats;
    bbi_session_stats(w->session, &stats);
    FUZZ_CHECK(peer->epoch == w->epoch);
    FUZZ_CHECK(!is_resumed || stats.received_number == w->number);
    w->number = stats.received_number;
}

static void
on_messages(void *user, const struct bbi_link_msg *msgs, size_t count)
{
    struct world *w = user;
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(msgs[i].number == ++w->number);
        fuzz_touch(msgs[i].topic, msgs[i].topic_bytes);
        fuzz_touch(msgs[i].data, msgs[i].bytes);
        fuzz_touch(msgs[i].origin.name, msgs[i].origin.name_bytes);
    }
}

static void
on_gap(void *user, const struct bbi_gap *gap)
{
    struct world *w = user;
    FUZZ_CHECK(gap->from == w->number + 1 && gap->to >= gap->from);
    w->number = gap->to;
}

static void
on_interest(void *user, const struct bbi_interest *interest)
{
    (void)user;
    fuzz_touch(interest->prefix, interest->prefix_bytes);
}

static void
on_barrier(void *user, uint64_t token)
{
    struct world *w = user;
    FUZZ_CHECK(bbi_session_is_known(w->session, token));
    FUZZ_CHECK(token <= bbi_session_barrier(w->session));
}

static void
on_closed(void *user, const struct bbi_close *why, bool is_remote)
{
    struct world *w = user;
    FUZZ_CHECK(!w->is_closed && (is_remote || (why->code != 0 && why->sentence[0] != '\0')));
    w->is_closed = true;
    w->was_remote = is_remote;
}

static void
cut(struct world *w)
{
    bbi_session_cut(w->session);
    w->is_attached = w->is_closed = false;
}

static void
attach(struct world *w)
{
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES];
    const struct bbi_hello self = {.node = {{1}}, .epoch = 1};
    const struct bbi_hello peer = {.node = {{2}},
                                   .epoch = w->epoch,
                                   .features = w->epoch % 2 != 0 ? BBI_FEATURE_LZ4 : 0,
                                   .frame_max = BBI_LINK_FRAME_MAX,
                                   .message_max = 300000};
    bbi_link_preface_write(out);
    uint32_t bytes = bbi_hello_write(out + BBI_LINK_PREFACE_BYTES, &peer);
    bbi_greet_init(&w->greet, BBI_ROLE_DIALED, &self, INT64_MAX);
    size_t taken = bbi_greet_receive(&w->greet, out, BBI_LINK_PREFACE_BYTES + bytes);
    FUZZ_CHECK(taken == BBI_LINK_PREFACE_BYTES + bytes && w->greet.state == BBI_GREET_KNOWN);
    FUZZ_CHECK(bbi_session_attach(w->session, &w->greet, w->now)
               == (w->is_attached ? BB_EBUSY : 0));
    w->is_attached = true;
}

static void
receive(struct world *w, const void *bytes, size_t count)
{
    unsigned char *exact = fuzz_copy(bytes, count);
    int rc = bbi_session_receive(w->session, exact, count, w->now);
    FUZZ_CHECK(rc == 0 || rc == BB_EPEERGONE);
    FUZZ_CHECK((rc == 0) == (w->is_attached && !w->is_closed));
    free(exact);
}

static void
send_frame(struct world *w, struct fuzz_in *in)
{
    static unsigned char frame[1 << 17];
    uint8_t type = fuzz_u8(in);
    uint8_t flags = fuzz_u8(in);
    uint64_t number = w->number + 1 + (uint64_t)(int64_t)(int8_t)fuzz_u8(in);
    size_t bytes;
    size_t want = fuzz_u16(in);
    const uint8_t *body = fuzz_bytes(in, want, &bytes);
    (void)bbi_put_bytes(frame + BBI_LINK_HEADER_BYTES, body, bytes);
    bbi_link_frame_seal(frame, (uint32_t)(BBI_LINK_HEADER_BYTES + bytes), type, flags, number);
    receive(w, frame, BBI_LINK_HEADER_BYTES + bytes);
}

/* A good WELCOME, which a fuzzer would rarely make: numbers are near those that are right. */
static void
send_welcome(struct world *w, struct fuzz_in *in)
{
    unsigned char frame[BBI_WELCOME_BYTES];
    struct bbi_session_stats stats;
    bbi_session_stats(w->session, &stats);
    const struct bbi_welcome welcome = {.received_epoch = fuzz_u8(in) % 3,
                                        .received = stats.acknowledged + fuzz_u8(in) % 4,
                                        .first =
                                            w->number + 1 - (w->number > 0 ? fuzz_u8(in) % 2u : 0u),
                                        .next = w->number + fuzz_u8(in) + 1,
                                        .credit_bytes = BBI_LINK_FRAME_MAX,
                                        .credit_messages = BBI_LINK_BATCH_MESSAGES};
    w->credit_bytes = welcome.credit_bytes;
    receive(w, frame, bbi_welcome_write(frame, &welcome));
}

static void
send_credit(struct world *w, struct fuzz_in *in)
{
    unsigned char frame[64];
    struct bbi_session_stats stats;
    bbi_session_stats(w->session, &stats);
    w->credit_bytes += fuzz_u16(in) * UINT64_C(64);
    const struct bbi_credit credit = {w->credit_bytes,
                                      BBI_LINK_BATCH_MESSAGES + w->credit_bytes / 64,
                                      stats.acknowledged + fuzz_u8(in) % 8};
    receive(w, frame, bbi_credit_write(frame, &credit));
}

/* What comes out are whole frames, in whatever pieces it goes. */
static void
output(struct world *w, struct fuzz_in *in)
{
    struct iovec pieces[BBI_SESSION_PIECES];
    int count =
        bbi_session_output(w->session, pieces, 1 + fuzz_u8(in) % BBI_SESSION_PIECES, w->now);
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        fuzz_touch(pieces[i].iov_base, pieces[i].iov_len);
        total += pieces[i].iov_len;
    }
    bbi_session_sent(w->session, fuzz_u8(in) % 4 == 0 ? total / 2 : total);
}

static void
offer(struct world *w, struct fuzz_in *in)
{
    static unsigned char data[300001];
    uint32_t count = fuzz_u8(in);
    size_t bytes = fuzz_u8(in);
    count = bytes < 20 ? count : count % 8; /* much or many, for speed not both */
    bytes = bytes == UINT8_MAX ? sizeof(data) - 1 : bytes * bytes;
    struct bbi_link_msg msg = {
        .origin = {.node_id = count, .ring = count % 20, .name = "abc", .name_bytes = count % 4},
        .topic = "topic",
        .topic_bytes = count % 6,
        .data = data,
        .bytes = bytes};
    for (uint32_t i = 0; i < count; i++) {
        int rc = bbi_session_offer(w->session, &msg);
        FUZZ_CHECK(rc == 0 || rc == 1);
        msg.seq++;
    }
}

static void
lose(struct world *w, struct fuzz_in *in)
{
    const struct bbi_link_loss loss = {.origin = {.ring = fuzz_u8(in), .name = "", .name_bytes = 0},
                                       .messages = 1 + fuzz_u8(in),
                                       .bytes = BBI_LINK_UNKNOWN};
    bbi_session_lost(w->session, &loss);
}

static void
want(struct world *w, struct fuzz_in *in)
{
    uint8_t what = fuzz_u8(in);
    struct bbi_interest interest = {.flags = what & 1, .scope = what >> 1 & 1};
    interest.prefix = (const char *)fuzz_bytes(in, fuzz_u8(in), &interest.prefix_bytes);
    int rc = (what & 4) != 0 ? bbi_session_interest_remove(w->session, &interest)
                             : bbi_session_interest_add(w->session, &interest);
    FUZZ_CHECK(rc == 0 || rc == 1 || rc == BB_EFULL || rc == BB_ENOENT);
}

static void
step(struct world *w, struct fuzz_in *in)
{
    size_t bytes;
    uint8_t what = fuzz_u8(in) % 13;
    switch (what) {
    case 0:
    case 1:
        send_frame(w, in);
        break;
    case 2: {
        const uint8_t *raw = fuzz_bytes(in, fuzz_u8(in), &bytes);
        receive(w, raw, bytes);
        break;
    }
    case 3:
        offer(w, in);
        break;
    case 4:
        want(w, in);
        break;
    case 5:
        w->now.mono_ns += fuzz_u8(in) * INT64_C(100000000);
        (void)bbi_session_tick(w->session, w->now);
        break;
    case 6:
        output(w, in);
        break;
    case 7:
        cut(w);
        break;
    case 8:
        w->epoch += fuzz_u8(in) % 4 == 0 && !w->is_attached;
        attach(w);
        break;
    case 9:
        send_welcome(w, in);
        break;
    case 10:
        send_credit(w, in);
        break;
    case 11:
        lose(w, in);
        break;
    default:
        bbi_session_hold(w->session, fuzz_u8(in) % 2 == 0);
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_in in = {data, bytes};
    struct world w = {.now = {1, 1}, .epoch = 7};
    const struct bbi_memory memory = {take, give, &w};
    const struct bbi_session_events events = {on_up,       on_messages, on_gap,
                                              on_interest, on_barrier,  on_closed};
    uint8_t how = fuzz_u8(&in);
    struct bbi_session_opts opts = {.self = {.node = {{1}}, .epoch = 1, .message_max = 300000},
                                    .peer = {{2}},
                                    .policy = how % 3,
                                    .codec = how >= 128 ? &bbi_lz4 : NULL,
                                    .queue_bytes = (size_t)QUEUE_BYTES << fuzz_u8(&in) % 4,
                                    .batch_bytes = 4096,
                                    .interest_count = 50,
                                    .interest_bytes = 1 << 16};
    FUZZ_CHECK(bbi_session_init(&w.session, &opts, &memory, &events, &w) == 0);
    for (int i = 0; i < STEPS_MAX && in.left > 0; i++) {
        step(&w, &in);
    }
    bbi_session_fini(w.session);
    FUZZ_CHECK(w.memory_bytes == 0);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/publisher.c - a ring of our own, and what is written into it.
 */
#include "busbar/topic.h"
#include "lib/endpoint/publisher_impl.h"
#include "shm/os.h"
#include "shm/steward.h"
#include <stdlib.h>
#include <string.h>

/* What a lane means when the caller says nothing else. */
struct lane {
    uint32_t depth, dict_count;
    uint64_t pay_bytes, text_bytes;
    enum bbi_policy policy;
};

static const struct lane LANES[] = {
    [BB_LANE_DATA] = {32 * 1024, 4096, UINT64_C(8) << 20, UINT64_C(256) << 10, BBI_EVICT},
    [BB_LANE_CONTROL] = {4 * 1024, 1024, UINT64_C(1) << 20, UINT64_C(64) << 10, BBI_BLOCK_EVICT},
    [BB_LANE_ONESHOT] = {256, 64, UINT64_C(128) << 10, UINT64_C(72) << 10, BBI_BLOCK_EVICT},
};
enum {
    LANE_COUNT = (int)(sizeof(LANES) / sizeof(LANES[0])),
    BLOCK_NS = 100000000,
    TEXT_BYTES = 64, /* of a topic, when only their number was given */
};

static enum bbi_policy
policy_of(uint32_t policy, const struct lane *lane)
{
    switch (policy) {
    case BB_POLICY_FAIL:
        return BBI_FAIL;
    case BB_POLICY_EVICT:
        return BBI_EVICT;
    case BB_POLICY_BLOCK_EVICT:
        return BBI_BLOCK_EVICT;
    case BB_POLICY_BLOCK_FAIL:
        return BBI_BLOCK_FAIL;
    default:
        return lane->policy;
    }
}

static int
match_topic(const struct bbi_filter_item *item, const void *topic, size_t bytes)
{
    return bb_topic_match((const char *)item->bytes, item->len, item->flags, topic, bytes);
}

/* Membarrier where the kernel does it for us and the caller did not object. */
static uint32_t
choose_fence(uint32_t flags)
{
    bool full = (flags & BB_PUBLISHER_FENCE) != 0 || bbi_os_membarrier_register() < 0;
    return full ? BBI_FENCE_FULL : BBI_FENCE_MEMBARRIER;
}

static int
register_ring(struct bb_publisher *pub,
              const struct bbi_ring_shape *shape,
              uint32_t lane,
              struct bbi_fault *f)
{
    struct bb_endpoint *ep = pub->ep;
    (void)pthread_mutex_lock(&ep->lock);
    int rc = bbi_ring_register(&ep->at, shape, lane, &pub->file, f);
    if (rc == BB_EFULL || rc == BB_ENOSPC) { /* perhaps only since nobody tidied up */
        (void)bbi_steward_scan(&ep->at, &ep->waker, 0);
        rc = bbi_ring_register(&ep->at, shape, lane, &pub->file, f);
    }
    if (rc == 0) {
        pub->next = ep->publishers;
        ep->publishers = pub;
    }
    (void)pthread_mutex_unlock(&ep->lock);
    return rc;
}

static int
open_ring(struct bb_publisher *pub, const struct bb_publisher_opts *o, struct bbi_fault *f)
{
    struct bbi_ring_map map;
    if (o->lane >= (uint32_t)LANE_COUNT || o->policy > BB_POLICY_BLOCK_FAIL || o->block_ns < 0) {
        return bbi_fault_set(f, BB_EINVAL, "publisher",
                             "lane, policy or block time of the publisher is not one there is");
    }
    const struct lane *lane = &LANES[o->lane];
    uint64_t text_bytes = o->topics != 0 ? (uint64_t)o->topics * TEXT_BYTES : lane->text_bytes;
    const struct bbi_ring_shape shape = {
        .depth = o->depth != 0 ? o->depth : lane->depth,
        .pay_bytes = o->bytes != 0 ? o->bytes : lane->pay_bytes,
        .dict_count = o->topics != 0 ? o->topics : lane->dict_count,
        .text_bytes = o->topics_bytes != 0 ? o->topics_bytes : text_bytes,
        .fence = choose_fence(o->flags),
    };
    int rc = register_ring(pub, &shape, o->lane, f);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_ring_join(pub->file.seg.base, pub->file.seg.bytes, &map);
    BBI_ASSERT(rc == 0); /* we just made it */
    bbi_writer_init(&pub->writer, &map);
    bbi_clock_init(&pub->clock, (o->flags & BB_PUBLISHER_COARSE) != 0);
    bbi_audience_init(&pub->audience, &pub->ep->at, &pub->writer, pub->file.index, pub->file.key,
                      match_topic);
    pub->audience.policy = policy_of(o->policy, lane);
    pub->audience.block_ns = o->block_ns != 0 ? o->block_ns : BLOCK_NS;
    return 0;
}

int
bb_publisher_open(struct bb_publisher **out,
                  struct bb_endpoint *ep,
                  const struct bb_publisher_opts *opts)
{
    struct bb_publisher_opts o;
    struct bbi_fault f = {.code = BB_ENOMEM, .uid = -1, .sentence = "out of memory"};
    int rc = BBI_OPTS_TAKE(struct bb_publisher_opts, &o, opts);
    rc = rc < 0 ? rc
                : bbi_opts_flags(o.flags, BB_PUBLISHER_FENCE | BB_PUBLISHER_COARSE,
                                 "struct bb_publisher_opts", o.error);
    if (rc < 0) {
        return rc;
    }
    if (bbi_is_forked(ep->fork_gen)) {
        f.code = BB_EFORKED;
        (void)bbi_fault_set(&f, BB_EFORKED, "endpoint", "%s", bb_strerror(BB_EFORKED));
        return bbi_error_set(o.error, &f);
    }
    struct bb_publisher *pub = calloc(1, sizeof(*pub));
    rc = BB_ENOMEM;
    if (pub != NULL) {
        pub->ep = ep;
        pub->fork_gen = ep->fork_gen;
        rc = open_ring(pub, &o, &f);
    }
    if (rc < 0) {
        free(pub);
        f.code = rc;
        return bbi_error_set(o.error, &f);
    }
    *out = pub;
    return 0;
}

void
bbi_publisher_forked(struct bb_publisher *pub)
{
    pub->file.seg.base = NULL;
    pub->loan = NULL;
    pub->writer.free_seq = 0;
    pub->writer.lim_seq = 0;
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        pub->audience.listeners[i].seg.base = NULL;
    }
}

static void
unlink_publisher(struct bb_publisher *pub)
{
    for (struct bb_publisher **p = &pub->ep->publishers; *p != NULL; p = &(*p)->next) {
        if (*p == pub) {
            *p = pub->next;
            return;
        }
    }
}

void
bb_publisher_close(struct bb_publisher *pub)
{
    if (pub == NULL) {
        return;
    }
    bb_subscriber_close(pub->caller);
    if (bbi_is_forked(pub->fork_gen)) {
        unlink_publisher(pub);
    } else {
        bbi_audience_flush(&pub->audience);
        (void)pthread_mutex_lock(&pub->ep->lock);
        unlink_publisher(pub);
        bbi_ring_close(&pub->ep->at, &pub->file);
        (void)pthread_mutex_unlock(&pub->ep->lock);
        bbi_wake_all(pub->ep->at.bus,
                     &pub->audience.waker); /* its readers may finish with it now */
    }
    bbi_audience_fini(&pub->audience);
    bbi_topics_free(pub);
    free(pub);
}

/* ---- one message: claim, fill, commit; the short way and what it leaves out ---- */

/* A stream of one topic notes once who wants it, as long as the audience stays the same. */
static BBI_NOINLINE int
flush(struct bb_publisher *pub)
{
    struct bbi_audience *aud = &pub->audience;
    bbi_audience_flush(aud);
    pub->ts_state = BBI_TS_STALE;
    if (BBI_UNLIKELY(pub->noted_others || aud->mask_epoch != pub->noted_epoch)) {
        bbi_audience_forget_noted(aud);
        pub->noted = NULL;
        pub->noted_others = false;
    }
    return 0;
}

/* The batch is full: readers may have it, and who sleeps is woken by bb_flush(). */
static void
announce(struct bb_publisher *pub)
{
    struct bbi_audience *aud = &pub->audience;
    bbi_audience_announce(aud);
    pub->ts_state = BBI_TS_STALE;
    pub->owes_waking = true;
    if (aud->mask_epoch != pub->noted_epoch) { /* noted again, beside who was before */
        pub->noted = NULL;
        pub->noted_others = true;
    }
}

/* Wakes whom announce() let sleep; all that it noted is noted still. */
static BBI_NOINLINE void
wake_late(struct bb_publisher *pub)
{
    struct bbi_audience *aud = &pub->audience;
    pub->owes_waking = false;
    if (bbi_audience_asleep(aud) != 0) {
        bbi_audience_wake(aud);
    }
}

/* Flushes, waits or evicts until there is room, or says why there is none. */
static int
claim_surely(struct bb_publisher *pub, uint64_t bytes, void **out)
{
    for (;;) {
        int rc = bbi_writer_claim(&pub->writer, bytes, out);
        if (rc == BB_EBUSY && pub->is_late) {
            announce(pub);
        } else if (rc == BB_EBUSY) {
            (void)flush(pub);
        } else if (rc == BB_EAGAIN) {
            if (pub->owes_waking) {
                wake_late(pub); /* one who sleeps may be in the way */
            }
            rc = bbi_audience_make_room(&pub->audience, bytes);
            if (rc < 0) {
                return rc;
            }
            pub->ts_state = BBI_TS_STALE; /* it flushed, and perhaps waited */
        } else {
            return rc;
        }
    }
}

/* The long way: a child of fork, an open loan, a topic in front of the payload, no room. */
static int
claim_slowly(struct bb_topic *topic, size_t bytes, void **out)
{
    struct bb_publisher *pub = topic->pub;
    uint32_t spill = topic->spill_bytes;
    if (bbi_is_forked(pub->fork_gen)) {
        return BB_EFORKED;
    }
    if (pub->loan != NULL) {
        return BB_EBUSY;
    }
    if (bytes > pub->writer.map.max_msg) {
        return BB_EMSGSIZE;
    }
    void *p;
    int rc = claim_surely(pub, spill + bytes, &p);
    if (rc == 0 && spill != 0) {
        uint32_t head[2] = {topic->bytes, 0};
        pub->spill_heads += spill;
        bbi_fill_racy(p, head, sizeof(head));
        bbi_fill_racy((unsigned char *)p + sizeof(head), topic->text, topic->bytes);
    }
    if (rc == 0) {
        *out = (unsigned char *)p + spill;
    }
    return rc;
}

/* Room for a message of this topic; *out is where its own bytes begin.  After a fork no claim is short. */
static inline int
claim(struct bb_topic *topic, size_t bytes, void **out)
{
    struct bb_publisher *pub = topic->pub;
    if (BBI_LIKELY(topic->spill_bytes == 0 && pub->loan == NULL)
        && BBI_LIKELY(bbi_writer_is_free(&pub->writer, bytes))) {
        bbi_writer_open_loan(&pub->writer, bytes, out);
        return 0;
    }
    return claim_slowly(topic, bytes, out);
}

static int64_t
wall_of(int64_t mono_ns)
{
    return bbi_os_wall_ns() - (bbi_os_mono_ns() - mono_ns);
}

/* Who wants this topic is to be woken at the flush; who came since the last one, the flush itself finds. */
static void
note_wanted(struct bb_publisher *pub, struct bb_topic *topic)
{
    bbi_topic_refresh(topic);
    bool is_first = bbi_writer_is_flushed(&pub->writer) /* since the flush, which woke the others */
                    && !pub->owes_waking;
    if (is_first) {
        bbi_audience_forget_noted(&pub->audience);
    }
    pub->noted_others = !is_first && (pub->noted_others || pub->noted != NULL);
    bbi_audience_note(&pub->audience, &topic->mask);
    pub->noted = topic;
    pub->noted_epoch = pub->audience.mask_epoch;
}

/* Once a flush: a clock costs more than a message.  What nobody wants now has the time of the last tick. */
static inline void
read_clock(struct bb_publisher *pub, bool is_wanted)
{
    int64_t now = is_wanted ? bbi_clock_ns(&pub->clock) : bbi_os_coarse_ns();
    now = now > pub->last_ns ? now : pub->last_ns;
    pub->last_ns = now;
    pub->ts = bbi_writer_stamp(&pub->writer, now, wall_of);
    pub->ts_state = is_wanted ? BBI_TS_FRESH : BBI_TS_TICK;
    bbi_store_relaxed(&pub->writer.map.hdr->beat_ns, (uint64_t)now);
}

static inline int
finish(struct bb_publisher *pub, struct bb_topic *topic, size_t used, uint32_t attr)
{
    bbi_writer_commit_to(&pub->writer, topic->counts, topic->spill_bytes + (uint32_t)used,
                         topic->tag, pub->ts, attr & BBI_ATTR_MASK);
    return (attr & BB_MORE) != 0 ? 0 : flush(pub);
}

/* Before the first message since a flush, or of another topic. */
static BBI_NOINLINE void
begin_topic(struct bb_publisher *pub, struct bb_topic *topic)
{
    if (pub->noted != topic) {
        note_wanted(pub, topic);
    }
    bool is_wanted = bbi_topic_is_wanted(topic);
    if (pub->ts_state < (is_wanted ? BBI_TS_FRESH : BBI_TS_TICK)) {
        read_clock(pub, is_wanted);
    }
}

static BBI_NOINLINE int
commit_first(struct bb_publisher *pub, struct bb_topic *topic, size_t used, uint32_t attr)
{
    begin_topic(pub, topic);
    bbi_writer_commit_first(&pub->writer, topic->counts, topic->spill_bytes + (uint32_t)used,
                            topic->tag, pub->ts, attr & BBI_ATTR_MASK);
    return (attr & BB_MORE) != 0 ? 0 : flush(pub);
}

static inline int
commit(struct bb_publisher *pub, struct bb_topic *topic, size_t used, uint32_t attr)
{
    if (BBI_LIKELY(pub->noted == topic && pub->ts_state != BBI_TS_STALE)) {
        return finish(pub, topic, used, attr);
    }
    return commit_first(pub, topic, used, attr);
}

int
bb_flush(struct bb_publisher *pub)
{
    if (bbi_is_forked(pub->fork_gen)) {
        return BB_EFORKED;
    }
    if (BBI_UNLIKELY(pub->owes_waking)) {
        bbi_audience_announce(&pub->audience);
        wake_late(pub);
    }
    return flush(pub);
}

void
bbi_publisher_late(struct bb_publisher *pub)
{
    pub->is_late = true;
}

int
bb_publish(struct bb_topic *topic, const void *data, size_t bytes, uint32_t attr)
{
    void *p = NULL;
    if (BBI_UNLIKELY((attr & BB_BRIDGED) != 0)) {
        return BB_EINVAL;
    }
    int rc = claim(topic, bytes, &p);
    if (BBI_UNLIKELY(rc < 0)) {
        return rc;
    }
    bbi_fill_racy(p, data, bytes);
    return commit(topic->pub, topic, bytes, attr);
}

int
bb_publish_to(struct bb_publisher *pub,
              const char *topic,
              size_t topic_bytes,
              const void *data,
              size_t bytes,
              uint32_t attr)
{
    struct bb_topic *t;
    int rc = bb_topic_open(&t, pub, topic, topic_bytes);
    return rc < 0 ? rc : bb_publish(t, data, bytes, attr);
}

/* The long way; see claim(). */
static int
loan_slowly(struct bb_topic *topic, size_t bytes, void **data)
{
    int rc = claim_slowly(topic, bytes, data);
    if (rc == 0) {
        topic->pub->loan = topic;
    }
    return rc;
}

int
bb_loan(struct bb_topic *topic, size_t bytes, void **data)
{
    struct bb_publisher *pub = topic->pub;
    if (BBI_LIKELY(topic->spill_bytes == 0 && pub->loan == NULL)
        && BBI_LIKELY(bbi_writer_is_free(&pub->writer, bytes))) {
        bbi_writer_open_loan(&pub->writer, bytes, data);
        bbi_prefetch_write(topic->counts); /* while the caller fills */
        pub->loan = topic;
        return 0;
    }
    return loan_slowly(topic, bytes, data);
}

/* Not this topic's loan (after a fork nobody's), or more than was asked for. */
static inline bool
is_loan_of(const struct bb_publisher *pub, const struct bb_topic *topic, size_t used_bytes)
{
    return pub->loan == topic && used_bytes <= pub->writer.loan_bytes - topic->spill_bytes;
}

/* No loan to commit: why. */
static int
refuse_commit(const struct bb_publisher *pub)
{
    return bbi_is_forked(pub->fork_gen) ? BB_EFORKED : BB_EINVAL;
}

static inline int
commit_loan(struct bb_topic *topic, size_t used_bytes, uint32_t attr, uint32_t forbidden)
{
    struct bb_publisher *pub = topic->pub;
    if (BBI_UNLIKELY((attr & forbidden) != 0 || !is_loan_of(pub, topic, used_bytes))) {
        return refuse_commit(pub);
    }
    pub->loan = NULL;
    return commit(pub, topic, used_bytes, attr);
}

int
bb_commit(struct bb_topic *topic, size_t used_bytes, uint32_t attr)
{
    return commit_loan(topic, used_bytes, attr, BB_BRIDGED);
}

int
bbi_loan_commit(struct bb_topic *topic, size_t used_bytes, uint32_t attr)
{
    return commit_loan(topic, used_bytes, attr, 0);
}

int
bb_commit_at(struct bb_topic *topic, size_t used_bytes, uint32_t attr, int64_t mono_ns)
{
    struct bb_publisher *pub = topic->pub;
    if (BBI_UNLIKELY(mono_ns < 0 || (attr & BB_BRIDGED) != 0
                     || !is_loan_of(pub, topic, used_bytes))) {
        return refuse_commit(pub);
    }
    if (mono_ns != 0) {
        pub->ts = bbi_writer_stamp(&pub->writer, mono_ns, wall_of);
        pub->ts_state = BBI_TS_FRESH; /* as the caller says: it may replay an old capture */
    }
    pub->loan = NULL;
    return commit(pub, topic, used_bytes, attr);
}

int
bb_loan_batch(struct bb_topic *topic, size_t bytes, size_t count, void *data[])
{
    struct bb_publisher *pub = topic->pub;
    if (count == 0) {
        return BB_EINVAL;
    }
    if (BBI_UNLIKELY(topic->spill_bytes != 0 || pub->loan != NULL)
        || BBI_UNLIKELY(!bbi_writer_is_free(&pub->writer, bytes))) {
        int rc = loan_slowly(topic, bytes, &data[0]); /* made room, if it could */
        if (rc < 0 || topic->spill_bytes != 0 || !bbi_writer_is_free(&pub->writer, bytes)) {
            return rc < 0 ? rc : 1;
        }
    }
    pub->loan = topic;
    return (int)bbi_writer_open_loans(&pub->writer, bytes,
                                      (uint32_t)bbi_min_u64(count, BBI_BATCH_MSGS), data);
}

static bool
fits_loan(const struct bb_topic *topic, const size_t *used_bytes, size_t count)
{
    const struct bb_publisher *pub = topic->pub;
    bool fits = pub->loan == topic && count > 0 && count <= pub->writer.loan_end - pub->writer.n;
    for (size_t i = 0; fits && used_bytes != NULL && i < count; i++) {
        fits = used_bytes[i] <= pub->writer.loan_bytes - topic->spill_bytes;
    }
    return fits;
}

int
bb_commit_batch(struct bb_topic *topic, const size_t *used_bytes, size_t count, uint32_t attr)
{
    struct bb_publisher *pub = topic->pub;
    if (BBI_UNLIKELY((attr & BB_BRIDGED) != 0 || !fits_loan(topic, used_bytes, count))) {
        return refuse_commit(pub);
    }
    if (topic->spill_bytes != 0) { /* one message, and its topic before it */
        size_t whole = pub->writer.loan_bytes - topic->spill_bytes;
        return bb_commit(topic, used_bytes != NULL ? used_bytes[0] : whole, attr);
    }
    pub->loan = NULL;
    begin_topic(pub, topic);
    bbi_writer_commit_all(&pub->writer, topic->counts, used_bytes, (uint32_t)count, topic->tag,
                          pub->ts, attr & BBI_ATTR_MASK);
    return (attr & BB_MORE) != 0 ? 0 : flush(pub);
}

/* How many of them, from the first on, lie side by side when they are published: alike but for their bytes. */
static size_t
count_alike(const struct bb_out *msgs, size_t count)
{
    size_t n = 1;
    count = count < BBI_BATCH_MSGS ? count : BBI_BATCH_MSGS;
    while (n < count && msgs[n].topic == msgs->topic && msgs[n].bytes == msgs->bytes
           && msgs[n].attr == msgs->attr) {
        n++;
    }
    return n;
}

/* At most count, which are alike.  How many went without a flush, or a status. */
static int
publish_alike(const struct bb_out *msgs, size_t count)
{
    void *room[BBI_BATCH_MSGS];
    uint32_t attr = msgs->attr | BB_MORE;
    if (count == 1 || (attr & BB_BRIDGED) != 0) {
        int rc = bb_publish(msgs->topic, msgs->data, msgs->bytes, attr);
        return rc < 0 ? rc : 1;
    }
    int n = bb_loan_batch(msgs->topic, msgs->bytes, count, room);
    for (int i = 0; i < n; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): the first n of room are filled */
        bbi_fill_racy(room[i], msgs[i].data, msgs->bytes);
    }
    int rc = n < 0 ? n : bb_commit_batch(msgs->topic, NULL, (size_t)n, attr);
    return rc < 0 ? rc : n;
}

int64_t
bb_publish_batch(const struct bb_out *msgs, size_t count)
{
    struct bb_publisher *pub = count > 0 ? msgs[0].topic->pub : NULL;
    size_t i = 0;
    int rc = 0;
    while (i < count && rc >= 0) {
        rc = msgs[i].topic->pub == pub ? publish_alike(msgs + i, count_alike(msgs + i, count - i))
                                       : BB_EINVAL;
        i += rc > 0 ? (size_t)rc : 0;
    }
    if (i > 0) {
        (void)bb_flush(pub);
        return (int64_t)i;
    }
    return rc;
}

void
bb_abort(struct bb_publisher *pub)
{
    if (!bbi_is_forked(pub->fork_gen) && pub->loan != NULL) {
        pub->spill_heads -= pub->loan->spill_bytes;
        pub->loan = NULL;
        bbi_writer_abort(&pub->writer);
    }
}

size_t
bb_publisher_max(const struct bb_publisher *pub)
{
    return pub->writer.map.max_msg;
}

uint64_t
bb_headroom(struct bb_publisher *pub)
{
    return bbi_is_forked(pub->fork_gen) ? 0 : bbi_audience_headroom(&pub->audience);
}

uint64_t
bb_headroom_messages(struct bb_publisher *pub)
{
    return bbi_is_forked(pub->fork_gen) ? 0 : bbi_audience_headroom_msgs(&pub->audience);
}

/* Of all topics; a spilled topic itself is not payload. */
static uint64_t
payload_bytes(const struct bb_publisher *pub)
{
    const struct bbi_ring_map *m = &pub->writer.map;
    uint64_t sum = bbi_load_relaxed(&m->hdr->counters.spilled.bytes) - pub->spill_heads;
    for (uint32_t t = 0; t < pub->writer.topics; t++) {
        sum += bbi_load_relaxed(&m->dict[t].counts.bytes);
    }
    return sum;
}

void
bb_publisher_stats(const struct bb_publisher *pub, struct bb_publisher_stats *out)
{
    struct bb_publisher_stats s = {.size = sizeof(s)};
    if (!bbi_is_forked(pub->fork_gen)) {
        const struct bbi_ring_counters *c = &pub->writer.map.hdr->counters;
        s.messages = pub->writer.n - pub->writer.map.depth;
        s.payload_bytes = payload_bytes(pub);
        s.flushes = bbi_load_relaxed(&c->flushes);
        s.wakes = bbi_load_relaxed(&c->wakes);
        s.blocked = bbi_load_relaxed(&c->blocked);
        s.evicted = bbi_load_relaxed(&c->evicted);
        s.refused = bbi_load_relaxed(&c->refused);
        s.unheard = pub->unheard;
    }
    bbi_stats_give(out, &s, sizeof(s));
}

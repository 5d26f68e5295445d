/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Wherever a process is killed or stopped, the others go on and nothing has to be cleaned by hand.
 * Method  kill_matrix.txt names every hook and the scene that hits it.  For each: a bus with two publishers,
 *         a reliable and a lossy subscriber, all of whose messages are checked; a victim that plays the scene
 *         and is killed (test `killed`) or stopped (test `stopped`) at the hook; then the others do more work.
 *
 *   killed   The others finish; committed messages of the victim are delivered, and no other; each subscriber
 *            is told of the victim's end once; its name can be taken; gc leaves no file.
 *   stopped  The others finish meanwhile, and deaths are still noticed; continued, the victim finishes too, or
 *            finds itself evicted and accounts for every message.
 *
 * bb-timeout: 300
 * bb-long
 */
#include "busbar/cluster.h"
#include "busbar/inspect.h"
#include "busbar/request.h"
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/subscriber_impl.h"
#include "tests/support/matrix.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_MSG = 100, /* bytes */
    PHASE_1 = 150,
    PHASE_2 = 700,
    DEPTH =
        256, /* of the living publishers: less than phase 2, so that a stopped reader is in the way */
    VICTIM_MSGS = 400,
    WRITER_A = 1,
    WRITER_B = 2,
    WRITER_CORPSE = 5,
    WRITER_HEIR = 8,
    WRITER_VICTIM = 9,
    PATIENCE_MS = 20000,
};

/* Numbers in bbt_side.n */
enum { N_TARGET, N_DONE, N_QUIT };
/* Orders and marks */
enum { READY = 1, GO_ON = 1, HOLDING = 2, QUIT = 9 };

/* ---- the living ---- */

struct actor {
    const char *name;
    uint32_t writer, flags; /* of the endpoint */
    uint32_t sub_flags;
    struct bb_publisher_opts pub;
};

static void
living_publisher(struct bbt_side *side, const void *arg)
{
    const struct actor *a = arg;
    uint64_t seq = 0;
    uint32_t go = 0;
    struct bb_endpoint *ep = bbt_endpoint(side, a->name, a->flags);
    struct bb_publisher *pub = bbt_publisher(side, ep, &a->pub);
    struct bb_topic *topic = bbt_topic(side, pub, a->writer);
    bbt_at(side, READY);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        go = bbt_wait_go(side, go + 1, 60000);
        while (seq < bbi_load_acquire(&side->n[N_TARGET])) {
            int rc = bbt_send(topic, a->writer, seq + 1, MAX_MSG, seq % 3 != 0 ? BB_MORE : 0);
            BBT_CHECK(side, rc == 0, "message %llu: %d", (unsigned long long)seq + 1, rc);
            seq++;
        }
        (void)bb_flush(pub);
        bbi_store_release(&side->n[N_DONE], seq);
    }
    bb_publisher_close(pub);
    bb_endpoint_close(ep);
}

static void
living_subscriber(struct bbt_side *side, const void *arg)
{
    const struct actor *a = arg;
    struct bb_endpoint *ep = bbt_endpoint(side, a->name, a->flags);
    struct bb_subscriber *sub = bbt_subscriber(side, ep, "w/", a->sub_flags);
    side->reader.max = MAX_MSG;
    bbt_at(side, READY);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        (void)bbt_take(side, sub, -1);
    }
    bbt_balance(side, sub);
    bb_subscriber_close(sub);
    bb_endpoint_close(ep);
}

/* Reads the victim's first messages, then holds them until it is told to go on. */
static void
holding_subscriber(struct bbt_side *side, const void *arg)
{
    const struct actor *a = arg;
    struct bb_endpoint *ep = bbt_endpoint(side, a->name, a->flags);
    struct bb_subscriber *sub = bbt_subscriber(side, ep, "w/", a->sub_flags);
    side->reader.max = MAX_MSG;
    bbt_at(side, READY);
    while (bbt_reader_got(&side->reader, WRITER_VICTIM) == 0) {
        (void)bbt_take(side, sub, 10000000);
    }
    bbt_at(side, HOLDING);
    (void)bbt_wait_go(side, GO_ON, 60000);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        (void)bbt_take(side, sub, 100000000);
    }
    bbt_balance(side, sub);
    bb_endpoint_close(ep);
}

/* ---- the world of one row ---- */

static const struct bbt_row *row;
static int stop_signal;
static struct bbt_child a, b, r, l, holder, corpse, victim, heir;
static struct actor actor_a, actor_b, actor_r, actor_l, actor_holder;

static bool
is_scene(const char *scene)
{
    return strcmp(row->scene, scene) == 0;
}

static bool
is_steward(void)
{
    return strncmp(row->scene, "steward", 7) == 0;
}

static bool
ends(const char *end)
{
    return strcmp(row->end, end) == 0;
}

/* ---- the victim ---- */

static void
wait_for_sleepers(struct bb_endpoint *ep)
{
    int64_t deadline = bbt_now_ms() + bbt_ms(2000);
    while (__builtin_popcountll(bbi_load_seq_cst(&ep->at.bus->sleepers[0].v)) < 2
           && bbt_now_ms() < deadline) {
        bbt_nap();
    }
}

static void
play_publish(struct bbt_side *side)
{
    /* Deep enough that no reader is a ring behind; small in bytes, so that the watermark moves. */
    const struct bb_publisher_opts o = {.depth = 1024, .bytes = 256 * 1024};
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    struct bb_publisher *pub = bbt_publisher(side, ep, &o);
    struct bb_topic *topic = bbt_topic(side, pub, WRITER_VICTIM);
    if (r.side != NULL) {
        wait_for_sleepers(ep);
    }
    for (uint64_t seq = 1; seq <= VICTIM_MSGS; seq++) {
        int rc = bbt_send(topic, WRITER_VICTIM, seq, MAX_MSG, seq % 4 == 0 ? 0 : BB_MORE);
        BBT_CHECK(side, rc == 0, "message %llu: %d", (unsigned long long)seq, rc);
        /* The reliable subscriber's join is seen at a later flush. */
        int64_t deadline = bbt_now_ms() + bbt_ms(5000);
        while (seq == 8 && r.side != NULL && bbt_reader_got(&r.side->reader, WRITER_VICTIM) < 8
               && bbt_now_ms() < deadline) {
            bbt_nap();
        }
    }
    bb_publisher_close(pub);
    bb_endpoint_close(ep);
}

/* Between ordinary messages one to a node, in a ring of their own, that nobody who checks may see. */
static void
play_send(struct bbt_side *side)
{
    const struct bb_publisher_opts o = {.depth = 1024, .bytes = 256 * 1024};
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    struct bb_publisher *pub = bbt_publisher(side, ep, &o);
    struct bb_publisher *sender = bbt_publisher(side, ep, &o);
    struct bb_topic *topic = bbt_topic(side, pub, WRITER_VICTIM);
    uint64_t node_id = 0;
    int rc = bb_node_find(ep, "pub-a", &node_id);
    BBT_CHECK(side, rc == 0, "pub-a: %d", rc);
    for (uint64_t seq = 1; seq <= VICTIM_MSGS; seq++) {
        uint32_t more = seq % 3 == 0 ? 0 : BB_MORE;
        rc = bbt_send(topic, WRITER_VICTIM, seq, MAX_MSG, seq % 4 == 0 ? 0 : BB_MORE);
        BBT_CHECK(side, rc == 0, "message %llu: %d", (unsigned long long)seq, rc);
        rc = bb_send(sender, node_id, "for/you", 7, &seq, sizeof(seq), more);
        BBT_CHECK(side, rc == 0, "to pub-a, %llu: %d", (unsigned long long)seq, rc);
        bbi_store_relaxed(&side->committed, seq); /* the hook counts both */
    }
    bb_publisher_close(sender);
    bb_publisher_close(pub);
    bb_endpoint_close(ep);
}

/* The same in batches of one loan and one commit. */
static void
play_batch(struct bbt_side *side)
{
    const struct bb_publisher_opts o = {.depth = 1024, .bytes = 256 * 1024};
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    struct bb_publisher *pub = bbt_publisher(side, ep, &o);
    struct bb_topic *topic = bbt_topic(side, pub, WRITER_VICTIM);
    for (uint64_t seq = 1; seq <= VICTIM_MSGS;) {
        uint32_t left = (uint32_t)(VICTIM_MSGS + 1 - seq);
        int n = bbt_send_batch(topic, WRITER_VICTIM, seq, left < 5 ? left : 5, MAX_MSG,
                               seq % 3 == 0 ? 0 : BB_MORE);
        BBT_CHECK(side, n > 0, "messages from %llu: %d", (unsigned long long)seq, n);
        seq += n > 0 ? (uint64_t)n : 1;
    }
    bb_publisher_close(pub);
    bb_endpoint_close(ep);
}

/* The slow reader holds the ring: wait for it, or evict it. */
static void
play_held(struct bbt_side *side, uint32_t policy, uint32_t depth)
{
    const struct bb_publisher_opts o = {
        .depth = depth, .bytes = depth * 256, .policy = policy, .block_ns = 300000000};
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    struct bb_publisher *pub = bbt_publisher(side, ep, &o);
    struct bb_topic *topic = bbt_topic(side, pub, WRITER_VICTIM);
    int64_t deadline = bbt_now_ms() + bbt_ms(10000);
    int refused = 0;
    uint64_t seq = 0;
    BBT_CHECK(side, bbt_send(topic, WRITER_VICTIM, ++seq, MAX_MSG, 0) == 0, "first message");
    while (bbi_load_acquire(&holder.side->at) < HOLDING) {
        BBT_CHECK(side, bbt_now_ms() < deadline, "the holder does not hold");
        bbt_nap();
    }
    while (seq < depth + depth / 4 && refused < 3) {
        int rc = bbt_send(topic, WRITER_VICTIM, seq + 1, MAX_MSG, 0);
        BBT_CHECK(side, rc == 0 || (rc == BB_EAGAIN && policy == BB_POLICY_BLOCK_FAIL),
                  "message %llu: %d", (unsigned long long)seq + 1, rc);
        seq += rc == 0;
        refused += rc != 0;
        while (bbt_reader_got(&r.side->reader, WRITER_VICTIM) + depth / 2 < seq
               && bbt_now_ms() < deadline) {
            bbt_nap(); /* only the holder shall be in the way */
        }
    }
    struct bb_publisher_stats st = {.size = sizeof(st)};
    bb_publisher_stats(pub, &st);
    BBT_CHECK(side, policy != BB_POLICY_EVICT || st.evicted > 0, "evicted nobody");
    bb_endpoint_close(ep);
}

/* Every message of the living from where we began to their last is delivered or lost, and told so. */
static void
check_all_of(struct bbt_side *side, struct bb_subscriber *sub)
{
    static const uint32_t writers[] = {WRITER_A, WRITER_B};
    for (int i = 0; i < 2; i++) {
        const struct bbt_child *c = i == 0 ? &a : &b;
        int64_t deadline = bbt_now_ms() + bbt_ms(10000);
        uint64_t done;
        do {
            (void)bbt_take(side, sub, 20000000);
            done = bbi_load_acquire(&c->side->n[N_DONE]);
            BBT_CHECK(side, bbt_now_ms() < deadline, "writer %u: got %llu + lost %llu of %llu",
                      writers[i], (unsigned long long)bbt_reader_got(&side->reader, writers[i]),
                      (unsigned long long)bbt_reader_lost(&side->reader, writers[i]),
                      (unsigned long long)done);
        } while (bbt_reader_next(&side->reader, writers[i]) != done + 1);
        uint64_t got = bbt_reader_got(&side->reader, writers[i]);
        uint64_t lost = bbt_reader_lost(&side->reader, writers[i]);
        uint64_t due = done + 1 - bbt_reader_first(&side->reader, writers[i]);
        BBT_CHECK(side, got + lost == due, "writer %u: got %llu + lost %llu, not %llu", writers[i],
                  (unsigned long long)got, (unsigned long long)lost, (unsigned long long)due);
    }
    bbt_balance(side, sub);
    BBT_CHECK(side, side->stats.lost == 0 || side->stats.evicted > 0,
              "lost %llu without being evicted", (unsigned long long)side->stats.lost);
}

static void
play_subscribe(struct bbt_side *side)
{
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    struct bb_subscriber *sub = bbt_subscriber_from(
        side, ep, "w/", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_COPIES, BB_START_OLDEST, 0);
    for (int i = 0; i < 40; i++) {
        (void)bbt_take(side, sub, 5000000);
    }
    check_all_of(side, sub);
    bb_subscriber_close(sub);
    bb_endpoint_close(ep);
}

/* Reads a little, holds until a publisher is blocked by it, then reads on. */
static void
play_slow(struct bbt_side *side)
{
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    struct bb_subscriber *sub = bbt_subscriber_from(
        side, ep, "w/", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_COPIES, BB_START_OLDEST, 0);
    int64_t deadline = bbt_now_ms() + bbt_ms(10000);
    (void)bbt_take(side, sub, 100000000);
    bbt_at(side, HOLDING);
    for (bool blocked = false; !blocked;) {
        for (struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
            blocked = blocked || bbi_load_acquire(&s->reader.map.hdr->blocked) != 0;
        }
        BBT_CHECK(side, bbt_now_ms() < deadline, "nobody is blocked");
    }
    check_all_of(side, sub);
    bb_endpoint_close(ep);
}

static void
play_fd(struct bbt_side *side)
{
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    struct bb_subscriber *sub = bbt_subscriber_from(
        side, ep, "w/", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_COPIES, BB_START_OLDEST, 0);
    int fd = bb_fd(sub);
    BBT_CHECK(side, fd >= 0, "bb_fd: %d", fd);
    for (int i = 0; i < 40; i++) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        (void)poll(&pfd, 1, 5);
        (void)bbt_take(side, sub, 0);
    }
    check_all_of(side, sub);
    bb_endpoint_close(ep);
}

static void
play_filter(struct bbt_side *side)
{
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    struct bb_subscriber *sub = bbt_subscriber(side, ep, "x/", BB_SUBSCRIBER_RELIABLE);
    char prefix[32];
    side->reader.max = MAX_MSG;
    for (int i = 0; i < 20; i++) {
        int n = snprintf(prefix, sizeof(prefix), "y/%d/", i);
        int rc = bb_subscribe(sub, prefix, (size_t)n, 0);
        BBT_CHECK(side, rc >= 0, "subscribe %s: %d", prefix, rc);
        (void)bbt_take(side, sub, 0);
    }
    BBT_CHECK(side, bb_subscribe(sub, "w/", 2, 0) >= 0, "subscribe w/");
    (void)bbt_take(side, sub, 0);
    BBT_CHECK(side, bb_unsubscribe(sub, "w/", 2, 0) >= 0, "unsubscribe w/");
    while (bbt_take(side, sub, 0) > 0) {
    }
    bbt_balance(side, sub);
    bb_endpoint_close(ep);
}

/* Is there already when the corpse dies, and tidies up after it: the living have been told not to. */
static void
play_steward(struct bbt_side *side)
{
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    struct bb_subscriber *sub = bbt_subscriber(side, ep, NULL, 0);
    bbt_at(side, HOLDING);
    (void)bbt_wait_go(side, GO_ON, 60000);
    bbt_hook_arm(side, row->hook, row->hit, stop_signal);
    int64_t deadline = bbt_now_ms() + bbt_ms(8000);
    while (bbi_load_acquire(&side->go) < QUIT && bbt_now_ms() < deadline) {
        (void)bbt_take(side, sub, 20000000);
    }
    bb_endpoint_close(ep);
}

/* Has neither rings nor cursors: nothing else shows that it went. */
static void
play_leave(struct bbt_side *side)
{
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    bbt_at(side, HOLDING);
    (void)bbt_wait_go(side, GO_ON, 60000);
    bb_endpoint_close(ep);
}

static struct bb_cluster *
join_cluster(struct bbt_side *side, const char *name)
{
    struct bb_error err = {0};
    struct bb_cluster *c = NULL;
    const struct bb_cluster_opts o = {.size = sizeof(o),
                                      .dir = bbt_dir(),
                                      .bus = BBT_BUS,
                                      .name = name,
                                      .role = BB_ROLE_WORKER,
                                      .error = &err};
    int rc = bb_cluster_join(&c, &o);
    BBT_CHECK(side, rc == 0, "%s: %s", name, err.sentence);
    return c;
}

/* Polls until this node was told of that change of its own. */
static void
poll_own_change(struct bbt_side *side, struct bb_cluster *c, uint32_t kind)
{
    int64_t deadline = bbt_now_ms() + bbt_ms(5000);
    for (;;) {
        struct bb_msg m;
        int n = bb_cluster_poll(c, &m, 1, 10000000);
        BBT_CHECK(side, n >= 0, "poll: %d", n);
        BBT_CHECK(side, bbt_now_ms() < deadline, "change %u did not come", kind);
        if (n == 1 && m.status != NULL && m.status->kind == kind
            && m.node_id == bb_endpoint_id(bb_cluster_endpoint(c))) {
            return;
        }
    }
}

/* Says UP, IN, OUT, IN, and when it is gone DOWN: five changes. */
static void
play_cluster(struct bbt_side *side)
{
    struct bb_cluster *c = join_cluster(side, "victim");
    poll_own_change(side, c, BB_STATUS_NODE_IN);
    BBT_CHECK(side, bb_cluster_drain(c, 1) == 0, "drain");
    poll_own_change(side, c, BB_STATUS_NODE_OUT);
    BBT_CHECK(side, bb_cluster_drain(c, 0) == 0, "drain no more");
    poll_own_change(side, c, BB_STATUS_NODE_IN);
    bb_cluster_leave(c);
}

static bool
is_node_up(struct bb_cluster *c, const char *name)
{
    struct bb_cluster_node nodes[8];
    int n = bb_cluster_nodes(c, nodes, 8);
    for (int i = 0; i < n && i < 8; i++) {
        if (strcmp(nodes[i].name, name) == 0) {
            return nodes[i].is_up != 0;
        }
    }
    return false;
}

/* Whatever became of the victim: another node joins, is used, and does not take the dead for living. */
static void
be_next_node(struct bbt_side *side, const void *arg)
{
    bool victim_is_dead = arg != NULL;
    struct bb_cluster *c = join_cluster(side, "next");
    int64_t deadline = bbt_now_ms() + bbt_ms(5000);
    poll_own_change(side, c, BB_STATUS_NODE_IN);
    while (victim_is_dead && is_node_up(c, "victim")) {
        struct bb_msg m;
        BBT_CHECK(side, bb_cluster_poll(c, &m, 1, 10000000) >= 0, "poll");
        BBT_CHECK(side, bbt_now_ms() < deadline, "the dead victim is still up");
    }
    bb_cluster_leave(c);
}

static int
count_item(const struct bb_gc_item *item, void *user)
{
    (void)item;
    ++*(int *)user;
    return 0;
}

static void
play_gc(struct bbt_side *side)
{
    int items = 0;
    struct bb_error err = {0};
    int rc = bb_gc(&(struct bb_gc_opts){.size = sizeof(struct bb_gc_opts),
                                        .dir = bbt_dir(),
                                        .bus = BBT_BUS,
                                        .cb = count_item,
                                        .user = &items,
                                        .error = &err});
    BBT_CHECK(side, rc >= 0, "gc: %d %s", rc, err.sentence);
}

static void
play(struct bbt_side *side, const void *arg)
{
    (void)arg;
    side->reader.max = MAX_MSG;
    if (!is_steward()) {
        bbt_hook_arm(side, row->hook, row->hit, stop_signal);
    }
    if (is_scene("publish") || is_scene("start")) {
        play_publish(side);
    } else if (is_scene("batch")) {
        play_batch(side);
    } else if (is_scene("send")) {
        play_send(side);
    } else if (is_scene("blocked")) {
        play_held(side, BB_POLICY_BLOCK_FAIL, 64);
    } else if (is_scene("evict")) {
        play_held(side, BB_POLICY_EVICT, 1024);
    } else if (is_scene("subscribe")) {
        play_subscribe(side);
    } else if (is_scene("leave")) {
        play_leave(side);
    } else if (is_scene("cluster")) {
        play_cluster(side);
    } else if (is_scene("slow")) {
        play_slow(side);
    } else if (is_scene("fd")) {
        play_fd(side);
    } else if (is_scene("filter")) {
        play_filter(side);
    } else if (is_steward()) {
        play_steward(side);
    } else if (is_scene("gc") || is_scene("gcalone")) {
        play_gc(side);
    } else {
        bbt_fail(side, "no scene '%s'", row->scene);
    }
}

/* ---- helpers that die first ---- */

/* Scene steward has six rings, so that dead/ overflows; steward-1 and steward-0 fewer: nothing else shows that it died. */
static uint32_t
corpse_rings(void)
{
    return is_scene("steward-0") ? 0 : is_scene("steward-1") ? 1 : 6;
}

/* A member with rings, cursors and a socket; killed by the test. */
static void
be_corpse(struct bbt_side *side, const void *arg)
{
    const char *name = arg;
    const struct bb_publisher_opts o = {.depth = 64, .bytes = 65536};
    struct bb_endpoint *ep = bbt_endpoint(side, name, BB_ATTACH_CAPTURE);
    struct bb_subscriber *sub = bbt_subscriber(side, ep, "nothing/", BB_SUBSCRIBER_RELIABLE);
    BBT_CHECK(side, bb_fd(sub) >= 0, "bb_fd");
    for (uint32_t i = 0; i < corpse_rings(); i++) {
        struct bb_publisher *pub = bbt_publisher(side, ep, &o);
        struct bb_topic *topic = bbt_topic(side, pub, WRITER_CORPSE);
        for (uint64_t seq = 1; seq <= 5; seq++) {
            BBT_CHECK(side, bbt_send(topic, WRITER_CORPSE, seq, MAX_MSG, 0) == 0, "corpse");
        }
    }
    bbt_at(side, READY);
    for (;;) {
        (void)bbt_wait_go(side, QUIT, 60000);
    }
}

/* Leaves a ring's file that no row names. */
static void
be_orphan(struct bbt_side *side, const void *arg)
{
    (void)arg;
    bbt_hook_arm(side, "registry:linked", 1, SIGKILL);
    struct bb_endpoint *ep = bbt_endpoint(side, "orphan", BB_ATTACH_CAPTURE);
    (void)bbt_publisher(side, ep, NULL);
    bbt_fail(side, "was not killed");
}

/* Takes the victim's name and says ten messages. */
static void
be_heir(struct bbt_side *side, const void *arg)
{
    (void)arg;
    struct bb_endpoint *ep = bbt_endpoint(side, "victim", 0);
    struct bb_publisher *pub = bbt_publisher(side, ep, NULL);
    struct bb_topic *topic = bbt_topic(side, pub, WRITER_HEIR);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        BBT_CHECK(side, bbt_send(topic, WRITER_HEIR, seq, MAX_MSG, 0) == 0, "heir");
    }
    bb_endpoint_close(ep);
}

/* ---- one row ---- */

static bool
needs_nobody(void)
{
    return is_scene("start") || is_scene("gcalone");
}

static bool
is_tidying(void)
{
    return is_steward() || is_scene("gc");
}

static void
start_living(bool killed)
{
    uint32_t flags = is_tidying() ? BB_ATTACH_CAPTURE : 0;
    /*
     * A dead reader must be noticed at once, also by the side of a stopped steward; one that is stopped is
     * evicted when the time is over.
     */
    /* Less than the second that a lost wake-up may cost. */
    int64_t block_ns =
        killed || is_tidying() ? 15000000000 : (bbt_ms(1) > 1 ? 900 : 600) * INT64_C(1000000);
    struct bb_publisher_opts o = {
        .depth = DEPTH, .bytes = 65536, .policy = BB_POLICY_BLOCK_EVICT, .block_ns = block_ns};
    actor_a = (struct actor){.name = "pub-a", .writer = WRITER_A, .flags = flags, .pub = o};
    actor_b = (struct actor){.name = "pub-b", .writer = WRITER_B, .flags = flags, .pub = o};
    actor_r = (struct actor){.name = "sub-r",
                             .flags = flags,
                             .sub_flags = BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_STATUS};
    actor_l = (struct actor){.name = "sub-l", .flags = flags, .sub_flags = BB_SUBSCRIBER_STATUS};
    bbt_fork(&r, "sub-r", living_subscriber, &actor_r);
    bbt_wait_at(&r, READY, PATIENCE_MS); /* the first row: who wakes sleepers begins with it */
    bbt_fork(&l, "sub-l", living_subscriber, &actor_l);
    bbt_wait_at(&l, READY, PATIENCE_MS);
    bbt_fork(&a, "pub-a", living_publisher, &actor_a);
    bbt_fork(&b, "pub-b", living_publisher, &actor_b);
    bbt_wait_at(&a, READY, PATIENCE_MS);
    bbt_wait_at(&b, READY, PATIENCE_MS);
    if (is_scene("blocked") || is_scene("evict")) {
        actor_holder = (struct actor){.name = "holder", .sub_flags = BB_SUBSCRIBER_RELIABLE};
        bbt_fork(&holder, "holder", holding_subscriber, &actor_holder);
        bbt_wait_at(&holder, READY, PATIENCE_MS);
    }
}

static uint64_t extra; /* messages of writer A beyond the phase */
static uint32_t last_order;

static void
publish_up_to(uint64_t target)
{
    last_order++;
    bbi_store_release(&a.side->n[N_TARGET], target + extra);
    bbi_store_release(&b.side->n[N_TARGET], target);
    bbt_order(&a, last_order);
    bbt_order(&b, last_order);
}

/*
 * While the test waits for a status a message now and then keeps the subscribers awake: it comes at their
 * next housekeeping.  Rows with a later hit do without: there it comes when they have slept a second.
 */
static void
stir(void)
{
    static int64_t last_ms;
    int64_t now = bbt_now_ms();
    if (row->hit == 1 && now - last_ms >= 40) {
        last_ms = now;
        extra++;
        last_order++;
        bbi_store_release(&a.side->n[N_TARGET], bbi_load_acquire(&a.side->n[N_TARGET]) + 1);
        bbt_order(&a, last_order);
    }
}

/* Every message of both arrived at the reliable one, and at the lossy one or was counted. */
static void
wait_for_all(uint64_t target)
{
    static const uint32_t writers[] = {WRITER_A, WRITER_B};
    target += extra;
    for (int i = 0; i < 2; i++) {
        target -= i == 1 ? extra : 0;
        BBT_UNTIL(bbt_reader_got(&r.side->reader, writers[i]) == target, 10000,
                  "%s: sub-r got %lu of %lu messages of writer %u", row->label,
                  (unsigned long)bbt_reader_got(&r.side->reader, writers[i]), (unsigned long)target,
                  writers[i]);
        BBT_UNTIL(bbt_reader_got(&l.side->reader, writers[i])
                          + bbt_reader_lost(&l.side->reader, writers[i])
                      == target,
                  10000, "%s: sub-l got %lu of %lu messages of writer %u, lost %lu", row->label,
                  (unsigned long)bbt_reader_got(&l.side->reader, writers[i]), (unsigned long)target,
                  writers[i], (unsigned long)bbt_reader_lost(&l.side->reader, writers[i]));
    }
}

static void
wait_for_status(const char *name, uint32_t kind, uint32_t times, int64_t ms)
{
    for (int i = 0; i < 2; i++) {
        const struct bbt_child *c = i == 0 ? &r : &l;
        BBT_UNTIL((stir(), bbt_reader_told(&c->side->reader, name, kind) >= times), ms,
                  "%s: %s was not told of the end of '%s' (status %u) within %ld ms", row->label,
                  c->name, name, kind, (long)ms);
    }
}

static void
make_corpse(const char *name, bool wait)
{
    bbt_fork(&corpse, name, be_corpse, name);
    bbt_wait_at(&corpse, READY, PATIENCE_MS);
    if (wait) {
        BBT_UNTIL(bbt_reader_got(&r.side->reader, WRITER_CORPSE) == 5 * corpse_rings(), 10000,
                  "%s: the corpse's messages", row->label);
    }
    bbt_signal(&corpse, SIGKILL);
    bbt_wait_kill(&corpse, PATIENCE_MS);
}

/* What happens before the victim plays. */
static void
prepare(bool killed)
{
    if (needs_nobody()) {
        make_corpse("before", false);
        return;
    }
    start_living(killed);
    publish_up_to(PHASE_1);
    wait_for_all(PHASE_1);
    if (is_scene("gc")) {
        bbt_fork(&corpse, "orphan", be_orphan, NULL);
        bbt_wait_kill(&corpse, PATIENCE_MS);
    }
}

static void
start_victim(void)
{
    bbt_fork(&victim, row->label, play, NULL);
    if (is_steward()) {
        bbt_wait_at(&victim, HOLDING, PATIENCE_MS);
        wait_for_status("victim", BB_STATUS_JOINED, 1, 5000);
        make_corpse("corpse", true);
        wait_for_status("corpse", BB_STATUS_JOINED, 1, 5000);
        bbt_order(&victim, GO_ON);
    } else if (is_scene("leave")) {
        bbt_wait_at(&victim, HOLDING, PATIENCE_MS);
        wait_for_status("victim", BB_STATUS_JOINED, 1, 5000);
        bbt_order(&victim, GO_ON);
    } else if (is_scene("slow")) {
        bbt_wait_at(&victim, HOLDING, PATIENCE_MS);
        publish_up_to(PHASE_2);
    }
}

static void
release_holder(void)
{
    if (holder.side != NULL) {
        bbt_order(&holder, GO_ON);
    }
}

static void
check_victims_messages(void)
{
    if (is_scene("cluster")) {
        return; /* what it publishes is for nodes */
    }
    uint64_t committed = bbi_load_acquire(&victim.side->committed);
    BBT_UNTIL(bbt_reader_got(&r.side->reader, WRITER_VICTIM) >= committed, 10000,
              "%s: sub-r got %lu of the victim's %lu messages", row->label,
              (unsigned long)bbt_reader_got(&r.side->reader, WRITER_VICTIM),
              (unsigned long)committed);
}

static void
end_living(void)
{
    bbi_store_release(&r.side->n[N_QUIT], 1);
    bbi_store_release(&l.side->n[N_QUIT], 1);
    if (holder.side != NULL) {
        bbi_store_release(&holder.side->n[N_QUIT], 1);
    }
    bbi_store_release(&a.side->n[N_QUIT], 1);
    bbi_store_release(&b.side->n[N_QUIT], 1);
    publish_up_to(PHASE_2 + 1); /* so that the subscribers wake and see it */
    bbt_wait_end(&a, PATIENCE_MS);
    bbt_wait_end(&b, PATIENCE_MS);
    bbt_wait_end(&r, PATIENCE_MS);
    bbt_wait_end(&l, PATIENCE_MS);
    if (holder.side != NULL) {
        bbt_wait_end(&holder, PATIENCE_MS);
    }
    cr_assert_eq(r.side->stats.lost, 0, "%s: sub-r lost %lu", row->label,
                 (unsigned long)r.side->stats.lost);
    cr_assert_eq(r.side->stats.evicted, 0, "%s: sub-r was evicted", row->label);
}

static void
check_told(const char *name, uint32_t joined, uint32_t left, uint32_t died)
{
    for (int i = 0; i < 2; i++) {
        const struct bbt_child *c = i == 0 ? &r : &l;
        const struct bbt_reader *rd = &c->side->reader;
        cr_assert_eq(bbt_reader_told(rd, name, BB_STATUS_JOINED), joined,
                     "%s: %s was told %u times that '%s' joined, not %u", row->label, c->name,
                     bbt_reader_told(rd, name, BB_STATUS_JOINED), name, joined);
        cr_assert_eq(bbt_reader_told(rd, name, BB_STATUS_LEFT), left,
                     "%s: %s was told %u times that '%s' left, not %u", row->label, c->name,
                     bbt_reader_told(rd, name, BB_STATUS_LEFT), name, left);
        cr_assert_eq(bbt_reader_told(rd, name, BB_STATUS_DIED), died,
                     "%s: %s was told %u times that '%s' died, not %u", row->label, c->name,
                     bbt_reader_told(rd, name, BB_STATUS_DIED), name, died);
    }
}

/* A new process takes the name; then everybody leaves. */
static void
finish(uint32_t left, uint32_t died)
{
    bbt_fork(&heir, "heir", be_heir, NULL);
    bbt_wait_end(&heir, PATIENCE_MS);
    BBT_UNTIL(bbt_reader_got(&r.side->reader, WRITER_HEIR) == 10, 10000,
              "%s: sub-r got %lu of the heir's 10 messages", row->label,
              (unsigned long)bbt_reader_got(&r.side->reader, WRITER_HEIR));
    wait_for_status("victim", BB_STATUS_LEFT, left + 1, 5000);
    if (is_steward()) {
        wait_for_status("corpse", BB_STATUS_DIED, 1, 5000);
    }
    if (!needs_nobody() && !is_scene("cluster")) { /* all that it committed, and nothing else */
        uint64_t got = bbt_reader_got(&r.side->reader, WRITER_VICTIM);
        uint64_t committed = bbi_load_acquire(&victim.side->committed);
        cr_assert_eq(got, committed, "%s: sub-r got %lu of the victim's %lu messages", row->label,
                     (unsigned long)got, (unsigned long)committed);
    }
    end_living();
    check_told("victim", left + died + 1, left + 1, died);
    if (is_steward()) {
        check_told("corpse", 1, 0, 1);
    }
    bbt_gc(row->label);
}

static void
check_roll(bool killed)
{
    static struct bbt_child next;
    if (is_scene("cluster")) {
        bbt_fork(&next, "next", be_next_node, killed ? "dead" : NULL);
        bbt_wait_end(&next, PATIENCE_MS);
    }
}

static void
run_killed(void)
{
    stop_signal = SIGKILL;
    prepare(true);
    start_victim();
    bbt_wait_kill(&victim, PATIENCE_MS);
    cr_assert_eq(victim.side->hit, 1, "%s: never hit", row->label);
    check_roll(stop_signal == SIGKILL);
    release_holder();
    if (needs_nobody()) {
        start_living(true);
        publish_up_to(PHASE_1);
        wait_for_all(PHASE_1);
    }
    publish_up_to(PHASE_2);
    wait_for_all(PHASE_2);
    uint32_t left = ends("left"), died = ends("died");
    if (left + died > 0) {
        wait_for_status("victim", left ? BB_STATUS_LEFT : BB_STATUS_DIED, 1, 5000);
    }
    if (!needs_nobody()) {
        check_victims_messages();
    }
    finish(left, died);
}

/* The bus is held by a starter or a gc that is stopped: who joins is told by whom, in the time it gave. */
static void
check_held(void)
{
    struct bb_error err = {0};
    struct bb_endpoint *ep;
    int64_t before = bbt_now_ms();
    int rc =
        bb_endpoint_open(&ep, &(struct bb_endpoint_opts){.size = sizeof(struct bb_endpoint_opts),
                                                         .dir = bbt_dir(),
                                                         .bus = BBT_BUS,
                                                         .name = "joiner",
                                                         .timeout_ns = 100000000,
                                                         .error = &err});
    int64_t took = bbt_now_ms() - before;
    cr_assert_eq(rc, BB_ETIMEDOUT, "%s: joining a held bus: %d %s", row->label, rc, err.sentence);
    cr_assert(took >= 100 && took < bbt_ms(1000), "%s: it waited %ld ms, not 100", row->label,
              (long)took);
    cr_assert_eq(err.owner_pid, victim.pid, "%s: process %ld is named, not %d: %s", row->label,
                 (long)err.owner_pid, (int)victim.pid, err.sentence);
}

static void
run_stopped(void)
{
    stop_signal = SIGSTOP;
    prepare(false);
    start_victim();
    bbt_wait_stop(&victim, PATIENCE_MS);
    cr_assert_eq(victim.side->hit, 1, "%s: never hit", row->label);
    check_roll(stop_signal == SIGKILL);
    release_holder();
    if (ends("held")) {
        check_held();
    } else {
        if (needs_nobody()) {
            start_living(false);
            publish_up_to(PHASE_1);
            wait_for_all(PHASE_1);
        }
        publish_up_to(PHASE_2);
        wait_for_all(PHASE_2);
        if (is_steward()) {
            wait_for_status("corpse", BB_STATUS_DIED, 1, 5000);
        }
        if (is_tidying()) { /* and one that dies while the steward is stopped */
            make_corpse("corpse-2", false);
            wait_for_status("corpse-2", BB_STATUS_JOINED, 1, 5000);
            wait_for_status("corpse-2", BB_STATUS_DIED, 1, 5000);
        }
    }
    bbt_order(&victim, QUIT);
    bbt_signal(&victim, SIGCONT);
    bbt_wait_end(&victim, PATIENCE_MS);
    uint32_t left = !needs_nobody() && !is_scene("gc");
    if (ends("held")) {
        start_living(false);
        publish_up_to(PHASE_1);
        wait_for_all(PHASE_1);
        publish_up_to(PHASE_2);
        wait_for_all(PHASE_2);
    } else if (is_scene("start")) {
        left = 1; /* it went on as a member among the living */
        wait_for_status("victim", BB_STATUS_LEFT, 1, 5000);
    } else if (left != 0) {
        wait_for_status("victim", BB_STATUS_LEFT, 1, 5000);
        check_victims_messages();
    }
    finish(left, 0);
    if (is_tidying()) {
        check_told("corpse-2", 1, 0, 1);
    }
}

/* ---- the tests ---- */

static void
make_bus(void)
{
    bbt_bus_new();
}

static struct criterion_test_params
params(void)
{
    enum { CAP = 256 };
    struct bbt_row *rows = cr_malloc(sizeof(*rows) * CAP);
    return cr_make_param_array(struct bbt_row, rows, bbt_rows(rows, CAP, false), NULL);
}

#if defined(BB_HOOKS) && BB_HOOKS
ParameterizedTestParameters(kill_matrix, killed)
{
    return params();
}

ParameterizedTest(struct bbt_row *param,
                  kill_matrix,
                  killed,
                  .init = make_bus,
                  .fini = bbt_bus_end,
                  .timeout = 100)
{
    row = param;
    run_killed();
}

ParameterizedTestParameters(kill_matrix, stopped)
{
    return params();
}

ParameterizedTest(struct bbt_row *param,
                  kill_matrix,
                  stopped,
                  .init = make_bus,
                  .fini = bbt_bus_end,
                  .timeout = 100)
{
    row = param;
    run_stopped();
}
#else
Test(kill_matrix, killed)
{
    (void)params;
    (void)make_bus;
    (void)run_killed;
    (void)run_stopped;
    cr_skip_test("this build has no hooks (BB_HOOKS)");
}
#endif

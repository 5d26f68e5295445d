/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    All nodes see the same changes of membership in the same order, each node's UP before its first message
 *         and its DOWN after its last one, whoever is killed, stopped, leaves and comes again, and when.
 * Method  A dozen nodes publish to their class and poll.  Each writes down, in memory shared with the test, what
 *         it is told, and checks every message against it: from a node that is up, the next of its ring, lost ones
 *         counted.  Every few milliseconds a random one is killed, stopped for a while, or told to leave, and a
 *         new one takes its name.  One node lives from before to after; what it wrote is held against what each
 *         other wrote, of which there is one for every life.
 *
 * BB_SEED   of the dice (default: the time); printed.     BB_KILLS  how many ends (default 80).
 * Long form BB_KILLS=20000 BB_SEED=1 build/dev/tests/process/membership --timeout 100000
 */
#include "busbar/cluster.h"
#include "shm/os.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    NODES = 12, /* the first one lives for ever */
    MOST_CHANGES = 1 << 20,
    LOG_CHANGES = 8192, /* of one life; the lasting node has room for MOST_CHANGES */
    RINGS_SEEN = 4096,
    BATCH = 16,
    READY = 1,
    N_QUIT = 0, /* the test's word */
    N_EPOCH,    /* applied */
    N_MESSAGES, /* that came */
    N_LOST,
};

/* What one life wrote down: kind << 56 | count << 48 | id. */
struct life {
    uint64_t id;
    bbi_u64 count;
    uint64_t capacity;
    uint64_t at[];
};

/* What a node knows of each ring that it hears. */
struct heard {
    uint64_t node_id;
    uint32_t ring;
    uint64_t seq;
};

struct part {
    char name[32];
    struct life *life;
    uint32_t flags;
};

/* ---- a node ---- */

struct node {
    struct bbt_side *side;
    struct part part;
    struct bb_cluster *c;
    uint64_t up[64];
    size_t up_count;
    struct heard heard[RINGS_SEEN];
    size_t heard_count;
    uint64_t messages, lost;
    uint64_t voided; /* views that were overwritten, and not counted by a message yet */
};

static void
write_down(struct node *n, const struct bb_msg *m)
{
    struct life *life = n->part.life;
    uint64_t count = bbi_load_relaxed(&life->count);
    BBT_CHECK(n->side, count < life->capacity, "more changes than there is room for");
    life->at[count] =
        (uint64_t)m->status->kind << 56 | (uint64_t)m->status->count << 48 | m->node_id;
    bbi_store_release(&life->count, count + 1);
}

static size_t
find_up(const struct node *n, uint64_t id)
{
    size_t i = 0;
    while (i < n->up_count && n->up[i] != id) {
        i++;
    }
    return i;
}

static void
take_change(struct node *n, const struct bb_msg *m)
{
    size_t at = find_up(n, m->node_id);
    bool is_up = at < n->up_count;
    write_down(n, m);
    BBT_CHECK(n->side, m->node[0] != '\0' && m->node[0] != '?', "a change of nobody");
    switch (m->status->kind) {
    case BB_STATUS_NODE_UP:
        BBT_CHECK(n->side, !is_up && n->up_count < 64, "%s is up twice", m->node);
        n->up[n->up_count++] = m->node_id;
        break;
    case BB_STATUS_NODE_DOWN:
        BBT_CHECK(n->side, is_up, "%s is down and was not up", m->node);
        n->up[at] = n->up[--n->up_count];
        for (size_t i = 0; i < n->heard_count;) {
            if (n->heard[i].node_id == m->node_id) {
                n->heard[i] = n->heard[--n->heard_count];
            } else {
                i++;
            }
        }
        break;
    default:
        BBT_CHECK(n->side, is_up, "%s is used, or not, and is not up", m->node);
    }
}

static void
take_message(struct node *n, const struct bb_msg *m)
{
    BBT_CHECK(n->side, find_up(n, m->node_id) < n->up_count, "a message of %s, which is not up",
              m->node);
    struct heard *h = n->heard;
    while (h < n->heard + n->heard_count && (h->node_id != m->node_id || h->ring != m->ring)) {
        h++;
    }
    if (h == n->heard + n->heard_count) {
        BBT_CHECK(n->side, n->heard_count < RINGS_SEEN, "too many rings");
        *h = (struct heard){.node_id = m->node_id, .ring = m->ring};
        n->heard_count++;
    } else {
        /* Views that were overwritten while we had them count as lost too, a little later. */
        uint64_t gap = m->seq - h->seq - 1;
        BBT_CHECK(n->side, m->lost >= gap && m->lost <= gap + n->voided,
                  "%s: %lu after %lu, %lu lost, %lu views overwritten", m->node,
                  (unsigned long)m->seq, (unsigned long)h->seq, (unsigned long)m->lost,
                  (unsigned long)n->voided);
        n->voided -= m->lost - gap;
    }
    /* One that was held back, and overwritten before it was copied, counted as lost when the cluster polled again. */
    n->voided += bb_msg_valid(bb_cluster_subscriber(n->c), m) == 0;
    uint64_t said = 0;
    memcpy(&said, m->data, sizeof(said));
    BBT_CHECK(n->side,
              m->bytes == sizeof(said)
                  && (said == m->seq || !bb_msg_valid(bb_cluster_subscriber(n->c), m)),
              "%s: message %lu says %lu", m->node, (unsigned long)m->seq, (unsigned long)said);
    h->seq = m->seq;
    n->messages++;
    n->lost += m->lost;
}

static void
poll_once(struct node *n)
{
    struct bb_msg msgs[BATCH];
    int count = bb_cluster_poll(n->c, msgs, 1 + (size_t)(n->messages % BATCH), 3000000);
    BBT_CHECK(n->side, count >= 0, "poll: %s", bb_strerror(count));
    for (int i = 0; i < count; i++) {
        const struct bb_msg *m = &msgs[i];
        if (m->status == NULL) {
            take_message(n, m);
        } else if (m->status->kind >= BB_STATUS_NODE_UP) {
            take_change(n, m);
        }
    }
    int voided = bb_release(bb_cluster_subscriber(n->c));
    BBT_CHECK(n->side, voided >= 0, "release: %s", bb_strerror(voided));
    n->voided += (uint64_t)voided;
    bbi_store_release(&n->side->n[N_EPOCH], bb_cluster_epoch(n->c));
    bbi_store_release(&n->side->n[N_MESSAGES], n->messages);
    bbi_store_release(&n->side->n[N_LOST], n->lost);
}

static void
living(struct bbt_side *side, const void *arg)
{
    static struct node node; /* of this process */
    struct node *n = &node;
    struct bb_error error = {0};
    *n = (struct node){.side = side, .part = *(const struct part *)arg};
    const struct bb_cluster_opts o = {.size = sizeof(o),
                                      .dir = bbt_dir(),
                                      .bus = BBT_BUS,
                                      .name = n->part.name,
                                      .role = BB_ROLE_WORKER,
                                      .subscriber_flags = n->part.flags,
                                      .data_depth = 256,
                                      .data_bytes = 16384,
                                      .control_depth = 64,
                                      .control_bytes = 4096,
                                      .error = &error};
    int rc = bb_cluster_join(&n->c, &o);
    BBT_CHECK(side, rc == 0, "%s: %s", n->part.name, error.sentence);
    n->part.life->id = bb_endpoint_id(bb_cluster_endpoint(n->c));
    bbt_at(side, READY);
    for (uint64_t seq = 1; bbi_load_acquire(&side->n[N_QUIT]) == 0; seq++) {
        rc = bb_cluster_publish(n->c, "cluster/worker", &seq, sizeof(seq), 0);
        BBT_CHECK(side, rc == 0, "publish: %s", bb_strerror(rc));
        poll_once(n);
    }
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    bb_subscriber_stats(bb_cluster_subscriber(n->c), &st);
    BBT_CHECK(side, st.messages == st.delivered + st.filtered + st.lost,
              "%lu messages are not %lu delivered, %lu filtered, %lu lost",
              (unsigned long)st.messages, (unsigned long)st.delivered, (unsigned long)st.filtered,
              (unsigned long)st.lost);
    bb_cluster_leave(n->c);
}

/* ---- the test ---- */

static struct part parts[NODES];
static struct bbt_child children[NODES];
static struct life **lives; /* all that ended, and are ending */
static size_t life_count;
static uint64_t dice;

static uint64_t
throw_dice(void)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

static uint64_t
env_number(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : fallback;
}

static struct life *
life_new(uint64_t capacity)
{
    size_t bytes = sizeof(struct life) + capacity * sizeof(uint64_t);
    struct life *life =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)life, MAP_FAILED);
    life->capacity = capacity;
    return life;
}

static void
spawn(int i)
{
    struct part *p = &parts[i];
    if (children[i].side != NULL) {
        bbt_side_free(children[i].side);
    }
    (void)snprintf(p->name, sizeof(p->name), "worker-%d", i);
    p->life = life_new(i == 0 ? MOST_CHANGES : LOG_CHANGES);
    p->flags = i % 3 == 2 ? BB_SUBSCRIBER_COPIES : BB_SUBSCRIBER_RELIABLE;
    lives[life_count++] = p->life;
    bbt_fork(&children[i], p->name, living, p);
}

/* One end, or a stop; whoever comes next need not be ready before the next one goes. */
static void
strike(int i)
{
    struct bbt_child *c = &children[i];
    uint64_t how = throw_dice() % 4;
    if (how == 0) {
        bbi_store_release(&c->side->n[N_QUIT], 1);
        bbt_wait_end(c, 20000);
    } else if (how == 1) {
        bbt_signal(c, SIGSTOP);
        bbi_os_sleep_ns((int64_t)(throw_dice() % 30) * 1000000); /* the length of a stop, no wait */
        bbt_signal(c, SIGCONT);
        return;
    } else {
        bbt_signal(c, SIGKILL);
        bbt_wait_kill(c, 20000);
    }
    spawn(i);
}

static uint64_t
end_of_roll(size_t *up)
{
    struct bb_look *look = NULL;
    const struct bb_look_opts o = {.size = sizeof(o), .dir = bbt_dir(), .bus = BBT_BUS};
    struct bb_cluster_node nodes[64];
    uint64_t epoch = 0;
    cr_assert_eq(bb_look_open(&look, &o), 0);
    int n = bb_look_cluster(look, nodes, 64, &epoch);
    cr_assert_eq(n, NODES);
    *up = 0;
    for (int i = 0; i < n; i++) {
        *up += nodes[i].is_up;
    }
    bb_look_close(look);
    return epoch;
}

static bool
is_settled(void)
{
    size_t up;
    uint64_t end = end_of_roll(&up);
    for (int i = 0; i < NODES; i++) {
        if (bbi_load_acquire(&children[i].side->n[N_EPOCH]) != end) {
            return false;
        }
    }
    return up == NODES;
}

/* ---- what they wrote ---- */

static uint32_t
kind_of(uint64_t change)
{
    return (uint32_t)(change >> 56);
}

static uint64_t
id_of(uint64_t change)
{
    return change & ((UINT64_C(1) << 48) - 1);
}

/* Where this node's own UP stands; count if it does not. */
static uint64_t
find_own_up(const struct life *in, uint64_t id)
{
    uint64_t count = bbi_load_acquire(&((struct life *)(uintptr_t)in)->count);
    for (uint64_t i = 0; i < count; i++) {
        if (kind_of(in->at[i]) == BB_STATUS_NODE_UP && id_of(in->at[i]) == id) {
            return i;
        }
    }
    return count;
}

struct state {
    uint64_t id[64];
    bool is_in[64];
    size_t count;
};

static void
replay(struct state *s, const uint64_t *changes, uint64_t count)
{
    *s = (struct state){0};
    for (uint64_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < s->count && s->id[at] != id_of(changes[i])) {
            at++;
        }
        switch (kind_of(changes[i])) {
        case BB_STATUS_NODE_UP:
            s->id[s->count] = id_of(changes[i]);
            s->is_in[s->count++] = false;
            break;
        case BB_STATUS_NODE_DOWN: /* in the order of coming */
            memmove(&s->id[at], &s->id[at + 1], (s->count - at - 1) * sizeof(s->id[0]));
            memmove(&s->is_in[at], &s->is_in[at + 1], (s->count - at - 1) * sizeof(s->is_in[0]));
            s->count--;
            break;
        default:
            s->is_in[at] = kind_of(changes[i]) == BB_STATUS_NODE_IN;
        }
    }
}

/* From its own UP on a life saw what the lasting one saw; before that, who was up at that point. */
static uint64_t
compare(const struct life *all, struct life *life)
{
    uint64_t mine = find_own_up(life, life->id), count = bbi_load_acquire(&life->count);
    uint64_t there = find_own_up(all, life->id);
    struct state before, before_there;
    if (life->id == 0 || mine == count) {
        return 0; /* killed before it read its own UP */
    }
    cr_assert_lt(there, all->count, "node %lx is up for itself alone", (unsigned long)life->id);
    replay(&before, life->at, mine);
    replay(&before_there, all->at, there);
    cr_assert_eq(before.count, before_there.count, "at its beginning %zu are up, not %zu",
                 before.count, before_there.count);
    for (size_t i = 0; i < before.count; i++) {
        cr_assert_eq(before.id[i], before_there.id[i]);
        cr_assert_eq(before.is_in[i], before_there.is_in[i]);
    }
    cr_assert_leq(count - mine, all->count - there, "it saw changes that the lasting one did not");
    for (uint64_t i = mine; i < count; i++) {
        cr_assert_eq(life->at[i], all->at[there + i - mine], "change %lu: %lx, not %lx",
                     (unsigned long)i, (unsigned long)life->at[i],
                     (unsigned long)all->at[there + i - mine]);
    }
    return count - mine;
}

TestSuite(membership, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110);

Test(membership, all_see_the_same_changes_in_the_same_order)
{
    uint64_t kills = env_number("BB_KILLS", 80), compared = 0, messages = 0;
    dice = env_number("BB_SEED", (uint64_t)bbi_os_mono_ns()) | 1;
    (void)fprintf(stderr, "BB_SEED=%lu\n", (unsigned long)dice);
    lives = calloc(kills + NODES, sizeof(struct life *));
    cr_assert_not_null((void *)lives);
    for (int i = 0; i < NODES; i++) {
        spawn(i);
        bbt_wait_at(&children[i], READY, 20000);
    }
    for (uint64_t k = 0; k < kills; k++) {
        bbi_os_sleep_ns((int64_t)(throw_dice() % 20) * 1000000); /* the schedule, no wait */
        bbt_check_all();
        strike(1 + (int)(throw_dice() % (NODES - 1)));
    }
    BBT_UNTIL(is_settled(), 30000, "not all nodes came to the end of the roll");
    for (int i = 0; i < NODES; i++) {
        messages += bbi_load_acquire(&children[i].side->n[N_MESSAGES]);
    }
    for (int i = NODES - 1; i >= 0; i--) { /* the lasting one hears the others leave */
        bbi_store_release(&children[i].side->n[N_QUIT], 1);
        bbt_wait_end(&children[i], 20000);
    }
    for (size_t i = 1; i < life_count; i++) {
        compared += compare(lives[0], lives[i]);
    }
    (void)fprintf(stderr, "%zu lives, %lu changes, %lu of others' compared, %lu messages\n",
                  life_count, (unsigned long)lives[0]->count, (unsigned long)compared,
                  (unsigned long)messages);
    cr_assert_gt(compared, lives[0]->count);
    cr_assert_gt(messages, 1000);
    bbt_gc("after all");
}

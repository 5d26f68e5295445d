/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Batches to loggers.  Each logger that said it is here has a leg; a batch goes to the leg with the fewest unsaid
 * bytes, ties by turn, and stays on it until its logger has named it.
 *
 * What ends a batch's stay on a leg without a word:
 *   the logger is gone                      what it had waits again
 *   it named a later one                    this one was overwritten before it read it
 *   it answered a WHO that came after it    so was this one
 *   it is silent for STALL_NS               it is asked; when it does not answer and others are there,
 *                                           they get it, and it may be written twice
 * In the ring there is at most half of it on the way, shared by all legs: who is awake is not overtaken.
 */
#include "lib/cluster/log_impl.h"
#include "lib/endpoint/opts.h"
#include <stdlib.h>
#include <string.h>

#define STALL_NS INT64_C(2000000000)
#define REST_NS  INT64_C(200000000)

enum {
    SELF_BYTES = 1024 * 1024
}; /* unsaid by our own logger: it is told to flush, polled or not */

static struct bbi_leg *
find_leg(struct bbi_lane *lane, uint64_t id)
{
    for (size_t i = 0; i < lane->leg_count; i++) {
        if (lane->legs[i].id == id) {
            return &lane->legs[i];
        }
    }
    return NULL;
}

static struct bbi_leg *
make_leg(struct bbi_lane *lane, uint64_t id, int64_t now_ns)
{
    struct bbi_leg *leg = find_leg(lane, id);
    if (leg != NULL) {
        return leg;
    }
    if (lane->leg_count == lane->leg_cap) {
        size_t cap = lane->leg_cap == 0 ? 8 : 2 * lane->leg_cap;
        struct bbi_leg *legs = realloc(lane->legs, cap * sizeof(*legs));
        if (legs == NULL) {
            return NULL;
        }
        lane->legs = legs;
        lane->leg_cap = cap;
    }
    leg = &lane->legs[lane->leg_count++];
    *leg = (struct bbi_leg){.id = id, .heard_ns = now_ns};
    return leg;
}

/* ---- batches ----------------------------------------------------------------------------------- */

void
bbi_batch_end(struct bb_log *log)
{
    struct bbi_batch *batch = log->open;
    if (batch == NULL || batch->records == 0) {
        return;
    }
    log->open = NULL;
    batch->number = ++log->lane->next_number;
    log->stats.batches++;
    bbi_batches_add(&log->lane->waiting, batch);
}

void
bbi_batch_drop(struct bbi_batch *batch)
{
    if (batch != NULL) {
        free(batch->data);
        free(batch);
    }
}

static size_t
body_bytes(const struct bbi_batch *batch)
{
    return batch->bytes - sizeof(struct bbi_log_head);
}

/* It has ended, one way or the other, and is on no list. */
static void
settle(struct bbi_batch *batch, uint64_t written)
{
    struct bb_log *log = batch->log;
    log->stats.unsaid -= batch->records;
    log->stats.written += written;
    log->stats.lost += batch->records - written;
    log->unsaid_bytes -= body_bytes(batch);
    if (log->spare == NULL) {
        log->spare = batch;
    } else {
        bbi_batch_drop(batch);
    }
}

static void
take_off(struct bbi_leg *leg, struct bbi_batch *batch)
{
    bbi_batches_remove(&leg->sent, batch);
    leg->unsaid_bytes -= body_bytes(batch);
}

/* Back to those that wait, by number: few, and mostly older than all of them. */
static void
wait_again(struct bbi_lane *lane, struct bbi_leg *leg, struct bbi_batch *batch)
{
    take_off(leg, batch);
    struct bbi_batch *next = lane->waiting.first;
    while (next != NULL && next->number < batch->number) {
        next = next->next;
    }
    if (next == NULL) {
        bbi_batches_add(&lane->waiting, batch);
        return;
    }
    batch->next = next;
    batch->prev = next->prev;
    *(next->prev == NULL ? &lane->waiting.first : &next->prev->next) = batch;
    next->prev = batch;
}

static void
all_wait_again(struct bbi_lane *lane, struct bbi_leg *leg)
{
    while (leg->sent.last != NULL) {
        wait_again(lane, leg, leg->sent.last);
    }
}

static void
remove_leg(struct bbi_lane *lane, size_t i)
{
    all_wait_again(lane, &lane->legs[i]);
    free(lane->legs[i].known);
    lane->legs[i] = lane->legs[--lane->leg_count];
}

/* ---- sending ----------------------------------------------------------------------------------- */

static bool
is_usable(const struct bbi_leg *leg, int64_t now_ns)
{
    return leg->is_here && leg->is_in && !leg->is_stalled && leg->rest_ns <= now_ns;
}

static struct bbi_leg *
choose(struct bbi_lane *lane, size_t bytes, int64_t now_ns)
{
    struct bbi_leg *best = NULL;
    uint64_t on_the_way = bytes;
    for (size_t i = 0; i < lane->leg_count; i++) {
        struct bbi_leg *leg = &lane->legs[(lane->turn + i) % lane->leg_count];
        on_the_way += leg->is_stalled ? 0 : leg->unsaid_bytes;
        if (is_usable(leg, now_ns) && (best == NULL || leg->unsaid_bytes < best->unsaid_bytes)) {
            best = leg;
        }
    }
    if (best == NULL || (on_the_way > lane->window_bytes && best->unsaid_bytes > 0)) {
        return NULL;
    }
    lane->turn = (size_t)(best - lane->legs) + 1;
    return best;
}

static bool
knows(const struct bbi_leg *leg, uint32_t stream)
{
    return stream / 8 < leg->known_bytes && (leg->known[stream / 8] >> stream % 8 & 1) != 0;
}

static void
learn(struct bbi_leg *leg, uint32_t stream)
{
    size_t need = stream / 8 + 1;
    if (need > leg->known_bytes) {
        uint8_t *known = realloc(leg->known, need);
        if (known == NULL) {
            return; /* the schema goes along once more */
        }
        memset(known + leg->known_bytes, 0, need - leg->known_bytes);
        leg->known = known;
        leg->known_bytes = need;
    }
    leg->known[stream / 8] |= (uint8_t)(1u << stream % 8);
}

/* The message; the schema stands behind the records, where room was kept for it. */
static size_t
finish(struct bbi_batch *batch, const struct bbi_leg *leg)
{
    const struct bbi_log_schema *schema = batch->log->schema;
    bool is_known = knows(leg, batch->log->stream);
    struct bbi_log_head head = {
        .magic = BBI_LOG_MAGIC,
        .kind = BBI_LOG_BATCH,
        .number = batch->number,
        .count = batch->records,
        .stream = batch->log->stream,
        .body_bytes = (uint32_t)body_bytes(batch),
        .schema_bytes = is_known ? 0 : schema->wire_bytes,
    };
    memcpy(batch->data, &head, sizeof(head));
    if (!is_known) {
        memcpy(batch->data + batch->bytes, schema->wire, schema->wire_bytes);
    }
    return batch->bytes + head.schema_bytes;
}

/* 0: it is on the leg. */
static int
send_one(struct bbi_lane *lane, struct bbi_leg *leg, struct bbi_batch *batch, int64_t now_ns)
{
    size_t bytes = finish(batch, leg);
    int rc = leg->is_self ? 0
                          : bb_send(lane->pub, leg->id, lane->to_logger, lane->to_logger_bytes,
                                    batch->data, bytes, BBI_LOG_ATTR);
    if (rc < 0) {
        leg->is_here = rc != BB_ENOENT && leg->is_here; /* its DOWN comes by itself */
        leg->rest_ns = now_ns + REST_NS;
        return rc;
    }
    bbi_batches_remove(&lane->waiting, batch);
    if (leg->sent.first == NULL) {
        leg->heard_ns = now_ns;
    }
    bbi_batches_add(&leg->sent, batch);
    leg->unsaid_bytes += body_bytes(batch);
    batch->sent_before = lane->next_token;
    batch->log->stats.resent += batch->sends++ > 0 ? batch->records : 0;
    if (leg->is_self) {
        struct bb_logger *logger = bbi_logger_find(lane->c);
        bbi_logger_take(logger, leg->id, batch->data, bytes, now_ns);
    }
    return 0;
}

void
bbi_lane_pump(struct bbi_lane *lane, int64_t now_ns)
{
    if (lane->is_pumping) {
        return; /* our own logger answered while it was handed a batch */
    }
    lane->is_pumping = true;
    while (lane->waiting.first != NULL) {
        struct bbi_batch *batch = lane->waiting.first;
        struct bbi_leg *leg = choose(lane, body_bytes(batch), now_ns);
        if (leg == NULL) {
            break;
        }
        (void)send_one(lane, leg, batch, now_ns);
    }
    lane->is_pumping = false;
    struct bbi_leg *self = find_leg(lane, lane->c->id);
    if (self != NULL && self->is_self && self->unsaid_bytes > SELF_BYTES) {
        bbi_logger_settle(bbi_logger_find(lane->c), now_ns);
    }
}

/* ---- what loggers say --------------------------------------------------------------------------- */

static struct bbi_batch *
find_batch(const struct bbi_batches *list, uint64_t number)
{
    struct bbi_batch *batch = list->first;
    while (batch != NULL && batch->number != number) {
        batch = batch->next;
    }
    return batch;
}

static void
end_batch(struct bbi_batch *batch, const struct bbi_log_said *said)
{
    settle(batch, said->written < batch->records ? said->written : batch->records);
}

/* A logger that was given up has written it after all. */
static void
said_elsewhere(struct bbi_lane *lane, const struct bbi_log_said *said)
{
    struct bbi_batch *batch = find_batch(&lane->waiting, said->number);
    if (batch != NULL) {
        bbi_batches_remove(&lane->waiting, batch);
        end_batch(batch, said);
        return;
    }
    for (size_t i = 0; i < lane->leg_count && batch == NULL; i++) {
        batch = find_batch(&lane->legs[i].sent, said->number);
        if (batch != NULL) {
            take_off(&lane->legs[i], batch);
            end_batch(batch, said);
        }
    }
}

static void
said_one(struct bbi_lane *lane,
         struct bbi_leg *leg,
         const struct bbi_log_said *said,
         int64_t now_ns)
{
    struct bbi_batch *batch = find_batch(&leg->sent, said->number);
    if (batch == NULL && said->code == 0) {
        said_elsewhere(lane, said);
    }
    if (batch == NULL) {
        return;
    }
    while (leg->sent.first != batch) { /* earlier ones were lost on the way */
        wait_again(lane, leg, leg->sent.first);
    }
    if (said->code < 0) {
        leg->rest_ns = now_ns + REST_NS;
        wait_again(lane, leg, batch);
        return;
    }
    learn(leg, batch->log->stream);
    take_off(leg, batch);
    end_batch(batch, said);
}

void
bbi_lane_said(struct bbi_lane *lane,
              uint64_t logger_id,
              const struct bbi_log_said *said,
              uint32_t count,
              int64_t now_ns)
{
    struct bbi_leg *leg = find_leg(lane, logger_id);
    for (uint32_t i = 0; i < count; i++) {
        if (leg != NULL) {
            said_one(lane, leg, &said[i], now_ns);
        } else if (said[i].code == 0) {
            said_elsewhere(lane, &said[i]);
        }
    }
    if (leg != NULL) {
        leg->heard_ns = now_ns;
        leg->is_stalled = false;
    }
    bbi_lane_pump(lane, now_ns);
}

void
bbi_lane_here(struct bbi_lane *lane, uint64_t logger_id, uint64_t token, int64_t now_ns)
{
    struct bbi_leg *leg = make_leg(lane, logger_id, now_ns);
    if (leg == NULL) {
        return;
    }
    leg->is_here = true;
    leg->is_stalled = false;
    leg->heard_ns = now_ns;
    if (token != 0 && token == leg->token) {
        leg->asked_ns = 0;
        struct bbi_batch *next;
        for (struct bbi_batch *batch = leg->sent.first; batch != NULL; batch = next) {
            next = batch->next;
            if (batch->sent_before < token) {
                wait_again(lane, leg, batch);
            }
        }
    }
    lane->epoch = UINT64_MAX; /* is it in the pool? */
}

void
bbi_lane_gone(struct bbi_lane *lane, uint64_t logger_id)
{
    struct bbi_leg *leg = find_leg(lane, logger_id);
    if (leg != NULL) {
        remove_leg(lane, (size_t)(leg - lane->legs));
    }
}

void
bbi_lane_ask(struct bbi_lane *lane, uint64_t id, uint64_t token)
{
    struct bbi_log_head head = {.magic = BBI_LOG_MAGIC, .kind = BBI_LOG_WHO, .number = token};
    int rc = id != 0 ? bb_send(lane->pub, id, lane->to_logger, lane->to_logger_bytes, &head,
                               sizeof(head), BBI_LOG_ATTR)
                     : bb_publish_to(lane->pub, lane->to_logger, lane->to_logger_bytes, &head,
                                     sizeof(head), BBI_LOG_ATTR);
    (void)rc; /* who is not there does not answer */
}

/* ---- legs come and go --------------------------------------------------------------------------- */

static void
look_at_node(struct bbi_lane *lane, const struct bb_cluster_node *node)
{
    struct bbi_leg *leg = node->is_up != 0 ? find_leg(lane, node->id) : NULL;
    if (leg != NULL) {
        leg->is_seen = true;
        leg->is_in = leg->is_self || (node->is_in != 0 && node->role == BB_ROLE_LOGGER);
    }
}

/* Legs as the nodes are now. */
static void
look_at_nodes(struct bbi_lane *lane)
{
    int n = bb_cluster_nodes(lane->c, NULL, 0);
    struct bb_cluster_node *nodes = n > 0 ? calloc((size_t)n, sizeof(*nodes)) : NULL;
    if (n > 0 && nodes == NULL) {
        return; /* next time */
    }
    n = n > 0 ? bb_cluster_nodes(lane->c, nodes, (size_t)n) : 0;
    lane->epoch = bb_cluster_epoch(lane->c);
    for (size_t i = 0; i < lane->leg_count; i++) {
        lane->legs[i].is_seen = lane->legs[i].is_self;
    }
    for (int i = 0; i < n; i++) {
        look_at_node(lane, &nodes[i]);
    }
    free(nodes);
    for (size_t i = lane->leg_count; i > 0; i--) {
        if (!lane->legs[i - 1].is_seen) {
            remove_leg(lane, i - 1);
        }
    }
}

/* The logger of this very handle, if there is one. */
static void
look_at_self(struct bbi_lane *lane, int64_t now_ns)
{
    struct bbi_leg *leg = find_leg(lane, lane->c->id);
    bool has_logger = bbi_logger_find(lane->c) != NULL;
    if (has_logger && (leg == NULL || !leg->is_self)) {
        leg = make_leg(lane, lane->c->id, now_ns);
        if (leg != NULL) {
            leg->is_self = leg->is_here = leg->is_in = true;
        }
    } else if (!has_logger && leg != NULL) {
        remove_leg(lane, (size_t)(leg - lane->legs));
    }
}

static bool
has_other(const struct bbi_lane *lane, const struct bbi_leg *leg, int64_t now_ns)
{
    for (size_t i = 0; i < lane->leg_count; i++) {
        if (&lane->legs[i] != leg && is_usable(&lane->legs[i], now_ns)) {
            return true;
        }
    }
    return false;
}

static void
give_up(struct bbi_lane *lane, struct bbi_leg *leg, int64_t now_ns)
{
    leg->is_stalled = true;
    if (has_other(lane, leg, now_ns)) {
        all_wait_again(lane, leg);
    }
}

/* Silent for too long with something unsaid: asked; and asked in vain: others get what it has. */
static void
look_for_stall(struct bbi_lane *lane, struct bbi_leg *leg, int64_t now_ns)
{
    if (leg->is_self || (leg->sent.first == NULL && !leg->is_stalled)
        || now_ns - leg->heard_ns < STALL_NS) {
        return;
    }
    if (leg->asked_ns == 0 || now_ns - leg->asked_ns >= STALL_NS) {
        if (leg->asked_ns != 0) {
            give_up(lane, leg, now_ns);
        }
        leg->asked_ns = now_ns;
        leg->token = ++lane->next_token;
        bbi_lane_ask(lane, leg->id, leg->token);
    } else if (leg->is_stalled && leg->sent.first != NULL) {
        give_up(lane, leg, now_ns); /* somebody else has come meanwhile */
    }
}

int64_t
bbi_lane_tick(struct bbi_lane *lane, int64_t now_ns)
{
    int64_t next_ns = INT64_MAX;
    look_at_self(lane, now_ns);
    if (lane->epoch != bb_cluster_epoch(lane->c)) {
        look_at_nodes(lane);
    }
    for (size_t i = 0; i < lane->leg_count; i++) {
        struct bbi_leg *leg = &lane->legs[i];
        look_for_stall(lane, leg, now_ns);
        if (leg->sent.first != NULL || leg->is_stalled || leg->rest_ns > now_ns) {
            next_ns = now_ns + REST_NS;
        }
    }
    for (struct bb_log *log = lane->logs; log != NULL; log = log->next) {
        if (log->open != NULL && log->open->records > 0 && log->due_ns <= now_ns) {
            bbi_batch_end(log);
        } else if (log->open != NULL && log->open->records > 0 && log->due_ns < next_ns) {
            next_ns = log->due_ns;
        }
    }
    bbi_lane_pump(lane, now_ns);
    return next_ns;
}

/* ---- ends --------------------------------------------------------------------------------------- */

static uint64_t
forget_in(struct bbi_batches *list, struct bbi_leg *leg, const struct bb_log *log)
{
    uint64_t records = 0;
    struct bbi_batch *next;
    for (struct bbi_batch *batch = list->first; batch != NULL; batch = next) {
        next = batch->next;
        if (batch->log != log) {
            continue;
        }
        records += batch->records;
        if (leg != NULL) {
            take_off(leg, batch);
        } else {
            bbi_batches_remove(list, batch);
        }
        settle(batch, 0);
    }
    return records;
}

uint64_t
bbi_lane_forget(struct bbi_lane *lane, struct bb_log *log)
{
    uint64_t records = forget_in(&lane->waiting, NULL, log);
    for (size_t i = 0; i < lane->leg_count; i++) {
        records += forget_in(&lane->legs[i].sent, &lane->legs[i], log);
    }
    return records;
}

void
bbi_lane_move(struct bbi_lane *lane, int64_t now_ns)
{
    for (size_t i = 0; i < lane->leg_count; i++) {
        struct bbi_leg *leg = &lane->legs[i];
        if (leg->sent.first != NULL && !leg->is_self && now_ns - leg->heard_ns > REST_NS
            && has_other(lane, leg, now_ns)) {
            give_up(lane, leg, now_ns);
        }
    }
    bbi_lane_pump(lane, now_ns);
}

void
bbi_lane_free(struct bbi_lane *lane)
{
    while (lane->leg_count > 0) {
        remove_leg(lane, lane->leg_count - 1);
    }
    free(lane->legs);
    bb_publisher_close(lane->pub);
    free(lane);
}

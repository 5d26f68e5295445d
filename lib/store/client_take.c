/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/client_take.c - answers come, are matched with their frames, and told in order.
 *
 * Whatever says that an answer will not come any more leads to the same thing: all that is open is asked again,
 * from the lowest number on; so does silence, after 1, 2, 4, 8 s, in case that nothing said it.  After an overrun only one at first, for 16 answers together may be more than
 * the master's ring holds; then one more with each answer.
 */
#include "busbar/request.h"
#include "lib/store/client_impl.h"
#include "shm/os.h"
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 32 };

static struct bbi_out *
find_asked(struct bbi_client *c, uint64_t request_id)
{
    for (uint64_t n = c->first; n < c->next; n++) {
        struct bbi_out *o = bbi_out_of(c, n);
        if (o->state == BBI_OUT_ASKED && o->request_id == request_id) {
            return o;
        }
    }
    return NULL;
}

static int
add_answer(struct bbi_out *o, const struct bb_msg *m)
{
    if (m->bytes > BBI_FRAME_BYTES_MAX - o->answer_bytes) {
        return BB_EMSGSIZE;
    }
    unsigned char *p = realloc(o->answer, o->answer_bytes + m->bytes + 1);
    if (p == NULL) {
        return BB_ENOMEM;
    }
    memcpy(p + o->answer_bytes, m->data, m->bytes);
    o->answer = p;
    o->answer_bytes += m->bytes;
    return 0;
}

void
bbi_client_settle(struct bbi_client *c, struct bbi_out *o, int code)
{
    if (o->state == BBI_OUT_ASKED) {
        (void)bb_request_cancel(c->sub, o->request_id); /* a later answer is dropped */
    }
    if (o->state != BBI_OUT_SETTLED && o->state != BBI_OUT_FREE) {
        o->state = BBI_OUT_SETTLED;
        o->code = code;
    }
}

/* The last of its answer is there. */
static void
take_whole(struct bbi_client *c, struct bbi_out *o)
{
    struct bbi_answer_head head;
    int rc = bbi_answer_read(&head, (struct bbi_bytes){o->answer, o->answer_bytes});
    if (rc == 0 && (head.number != o->number || head.count != o->count)) {
        rc = BB_ECORRUPT;
    }
    c->backoff_ns = 0;
    c->silence_ns = 0;
    c->may_ask += c->may_ask < BBI_FRAMES;
    bbi_client_settle(c, o, rc);
}

/* The master says that it cannot run it now, or ever. */
static void
take_refusal(struct bb_store *s, struct bbi_out *o, const struct bb_msg *m, int code, int64_t now)
{
    struct bbi_client *c = s->client;
    if (code == BB_EAGAIN || code == BB_EPEERGONE) { /* not in order; it is closing */
        bbi_client_again(c, now, false);
        return;
    }
    size_t n = m->bytes < sizeof(c->error.sentence) - 1 ? m->bytes : sizeof(c->error.sentence) - 1;
    c->error = (struct bb_error){.code = code, .owner_uid = -1};
    memcpy(c->error.name, s->name, strlen(s->name) + 1);
    memcpy(c->error.sentence, m->data, n);
    bbi_client_settle(c, o, code);
}

static void
take_reply(struct bb_store *s,
           struct bbi_out *o,
           const struct bb_msg *m,
           const struct bb_reply_info *info,
           int64_t now)
{
    if (info->code < 0) {
        take_refusal(s, o, m, info->code, now);
        return;
    }
    int rc = add_answer(o, m);
    if (rc < 0) {
        bbi_client_settle(s->client, o, rc);
    } else if (info->has_more == 0) {
        take_whole(s->client, o);
    }
}

/* An end without an answer: who was asked is gone.  The deadline is looked at elsewhere. */
static void
take_end(struct bbi_client *c, const struct bb_reply_info *info, int64_t now)
{
    struct bbi_out *o = find_asked(c, info->id);
    if (o != NULL && info->code != BB_ETIMEDOUT) {
        bbi_client_again(c, now, false);
    }
}

/*
 * May an answer be among what was overwritten?  Other rings of the bus are no concern of ours, and our own is
 * lapped whenever we send without looking: a master of our own node is known by the ring of its answers.
 */
static bool
has_lost(const struct bb_store *s, const struct bb_msg *m)
{
    const struct bbi_client *c = s->client;
    bool is_own = m->node_id == bb_endpoint_id(s->ep);
    if (m->node_id != c->master_node) {
        return false;
    }
    return m->status == NULL ? is_own && m->lost != 0 && m->ring == c->master_ring
                             : !is_own && m->status->kind == BB_STATUS_OVERRUN;
}

static void
take_message(struct bb_store *s, const struct bb_msg *m, int64_t now)
{
    struct bbi_client *c = s->client;
    struct bb_reply_info info;
    if (bb_msg_reply(m, &info) == 0) {
        struct bbi_out *o = find_asked(c, info.id);
        if (info.is_end != 0) {
            take_end(c, &info, now);
        } else if (o != NULL) {
            c->master_node = m->node_id;
            c->master_ring = m->ring;
            take_reply(s, o, m, &info, now);
        }
    }
    if (has_lost(s, m)) { /* before it, but what came with it counts */
        c->may_ask = 1;
        bbi_client_again(c, now, true);
    }
}

int
bbi_client_take(struct bb_store *s, int64_t until_ns)
{
    struct bbi_client *c = s->client;
    struct bb_msg msgs[MESSAGES];
    int64_t now = until_ns > 0 ? bbi_os_mono_ns() : 0;
    int n = bb_poll(c->sub, msgs, MESSAGES, until_ns > now ? until_ns - now : 0);
    now = n > 0 ? bbi_os_mono_ns() : now;
    for (int i = 0; i < n; i++) {
        take_message(s, &msgs[i], now);
    }
    return n;
}

/* ---- telling ---- */

int
bbi_client_results(struct bbi_bytes answer, size_t count, struct bb_store_result *results)
{
    struct bbi_answer_head head;
    int first = 0;
    size_t off = 0;
    int rc = bbi_answer_read(&head, answer);
    if (rc == 0 && head.count != count) {
        rc = BB_ECORRUPT;
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct bb_store_result r;
        rc = bbi_answer_next(answer, &off, &r);
        if (rc == 0 && results != NULL) {
            results[i] = r;
        }
        first = rc == 0 ? bbi_first_code(first, r.code) : first;
    }
    return rc < 0 ? rc : first;
}

static int
reserve_results(struct bbi_client *c, size_t count)
{
    if (count <= c->result_cap) {
        return 0;
    }
    struct bb_store_result *r = realloc(c->results, count * sizeof(*r));
    if (r == NULL) {
        return BB_ENOMEM;
    }
    c->results = r;
    c->result_cap = count;
    return 0;
}

static void
tell_done(struct bb_store *s, const struct bbi_out *o)
{
    struct bbi_client *c = s->client;
    if (s->done == NULL || o->ticket == 0 || reserve_results(c, o->count) < 0) {
        return;
    }
    struct bbi_bytes answer = {o->answer, o->answer_bytes};
    int rc = o->code < 0 ? o->code : bbi_client_results(answer, o->count, c->results);
    bool has_none = o->code < 0 || rc == BB_ECORRUPT;
    for (size_t i = 0; has_none && i < o->count; i++) {
        c->results[i] = (struct bb_store_result){.code = rc};
    }
    s->done(o->ticket, c->results, o->count, s->user);
}

static void
tell_one(struct bb_store *s, struct bbi_out *o)
{
    struct bbi_answer_head head = {0};
    if (o->code == 0) {
        (void)!bbi_answer_read(&head, (struct bbi_bytes){o->answer, o->answer_bytes});
    }
    if (o->outcome != NULL) {
        *o->outcome = (struct bbi_outcome){.is_settled = true,
                                           .code = o->code,
                                           .version = head.version,
                                           .answer = o->answer,
                                           .answer_bytes = o->answer_bytes};
        o->answer = NULL; /* the caller's from now on */
        return;
    }
    s->client->told++;
    tell_done(s, o);
}

/* A callback may send more, and may wait: so the frame is out of the table before it is told. */
void
bbi_client_tell(struct bb_store *s)
{
    struct bbi_client *c = s->client;
    while (c->first < c->next && bbi_out_of(c, c->first)->state == BBI_OUT_SETTLED) {
        struct bbi_out *o = bbi_out_of(c, c->first);
        struct bbi_out told = *o;
        *o = (struct bbi_out){.state = BBI_OUT_FREE};
        c->first++;
        tell_one(s, &told);
        free(told.frame);
        free(told.answer);
    }
}

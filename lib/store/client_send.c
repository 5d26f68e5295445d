/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/client_send.c - frames go to whoever is master, in order, again and again.
 *
 * Nobody there: the clone looks again after 1, 2, 4 .. 50 ms, and at once when a master makes its first commit
 * (which it does when it begins): the futex of ctl.commits.  The master's ring reader is full: 1 ms.  A frame
 * that is too long for a message goes in parts, and all of them again when one may be missing.
 */
#include "busbar/request.h"
#include "lib/store/client_impl.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <string.h>

static const int64_t FIRST_BACKOFF_NS = INT64_C(1000000);
static const int64_t LAST_BACKOFF_NS = INT64_C(50000000);
static const int64_t FIRST_SILENCE_NS = INT64_C(1000000000);
static const int64_t LAST_SILENCE_NS = INT64_C(8000000000);
enum { TOPIC_ROOM = 256 }; /* of a message: address, topic */

static void
write_part_head(const struct bbi_client *c,
                const struct bbi_out *o,
                size_t part_bytes,
                struct bbi_part_head *head)
{
    *head = (struct bbi_part_head){
        .magic = BBI_FRAME_MAGIC,
        .part = (uint32_t)(o->sent_bytes / part_bytes),
        .parts = (uint32_t)((o->frame_bytes + part_bytes - 1) / part_bytes),
        .number = o->number,
        .frame_bytes = o->frame_bytes,
        .client = c->id,
    };
}

/* What is in front of a part was sent already: its last bytes make room for the head, and come back. */
static int
send_part(struct bbi_client *c, struct bbi_out *o, size_t part_bytes, int64_t now)
{
    struct bbi_part_head head, saved;
    size_t left = o->frame_bytes - o->sent_bytes;
    size_t n = left < part_bytes ? left : part_bytes;
    unsigned char *at = o->frame + o->sent_bytes;
    write_part_head(c, o, part_bytes, &head);
    memcpy(&saved, at, sizeof(saved));
    memcpy(at, &head, sizeof(head));
    int rc;
    if (n < left) {
        rc = bb_publish(c->topic, at, sizeof(head) + n, BB_STORE | BB_NATIVE);
    } else {
        const struct bb_request_opts ro = {
            .size = sizeof(ro),
            .timeout_ns = o->deadline_ns == INT64_MAX ? -1 : o->deadline_ns - now,
            .answers = 1};
        rc = bb_request(c->topic, c->sub, at, sizeof(head) + n, BB_STORE | BB_NATIVE, &ro,
                        &o->request_id);
    }
    memcpy(at, &saved, sizeof(saved));
    if (rc == 0) {
        o->sent_bytes += n;
        o->first_ns = o->first_ns != 0 ? o->first_ns : now;
    }
    return rc;
}

/* The same frame, but for what is settled by now. */
static void
update_answered(const struct bbi_client *c, struct bbi_out *o)
{
    struct bbi_frame_head head;
    unsigned char *at = o->frame + sizeof(struct bbi_part_head);
    memcpy(&head, at, sizeof(head));
    head.answered = c->first - 1;
    for (uint64_t n = c->first; n < o->number && c->outs[n % BBI_FRAMES].state == BBI_OUT_SETTLED;
         n++) {
        head.answered = n;
    }
    memcpy(at, &head, sizeof(head));
}

static int
send_frame(struct bbi_client *c, struct bbi_out *o, int64_t now)
{
    size_t part_bytes =
        (bb_publisher_max(c->pub) - sizeof(struct bbi_part_head) - TOPIC_ROOM) & ~(size_t)7;
    if (o->sent_bytes == 0) {
        update_answered(c, o);
        if (o->frame_bytes > part_bytes && bb_topic_wanted(c->topic) == 0) {
            return BB_ENORESPONDERS; /* parts would go to nobody */
        }
    }
    while (o->sent_bytes < o->frame_bytes) {
        int rc = send_part(c, o, part_bytes, now);
        if (rc < 0) {
            return rc;
        }
        BBI_HOOK("store:part_sent");
    }
    o->state = BBI_OUT_ASKED;
    c->asked_ns =
        o->frame_bytes > part_bytes ? bbi_os_mono_ns() : now; /* many parts take their time */
    return 0;
}

int64_t
bbi_client_silence_ns(const struct bbi_client *c)
{
    return c->asked_ns + (c->silence_ns != 0 ? c->silence_ns : FIRST_SILENCE_NS);
}

/* Nothing said that an answer is lost, and none comes: a repeated frame costs little. */
static void
end_silence(struct bbi_client *c, int64_t now)
{
    c->silence_ns =
        c->silence_ns == 0 ? 2 * FIRST_SILENCE_NS : bbi_min_i64(2 * c->silence_ns, LAST_SILENCE_NS);
    bbi_client_again(c, now, true);
}

static void
back_off(struct bbi_client *c, int64_t now)
{
    c->backoff_ns =
        c->backoff_ns == 0 ? FIRST_BACKOFF_NS : bbi_min_i64(2 * c->backoff_ns, LAST_BACKOFF_NS);
    c->retry_ns = now + c->backoff_ns;
}

static uint32_t
asked_count(const struct bbi_client *c)
{
    uint32_t n = 0;
    for (int i = 0; i < BBI_FRAMES; i++) {
        n += c->outs[i].state == BBI_OUT_ASKED;
    }
    return n;
}

/* What to do about it; true: the next frame can be tried. */
static bool
settle_sending(struct bbi_client *c, struct bbi_out *o, int rc, int64_t now)
{
    if (rc == 0) {
        return true;
    }
    if (rc == BB_EAGAIN || rc == BB_EFULL) { /* the reader is behind; parts that went are kept */
        c->retry_ns = now + FIRST_BACKOFF_NS;
        return false;
    }
    if (rc == BB_ENORESPONDERS) {
        o->sent_bytes = 0;
        back_off(c, now);
        return false;
    }
    bbi_client_settle(c, o, rc);
    return true;
}

void
bbi_client_pump(struct bb_store *s, int64_t now)
{
    struct bbi_client *c = s->client;
    if (asked_count(c) != 0 && now >= bbi_client_silence_ns(c)) {
        end_silence(c, now);
    }
    uint32_t asked = asked_count(c);
    if (now < c->retry_ns) {
        return;
    }
    for (uint64_t n = c->first; n < c->next && asked < c->may_ask; n++) {
        struct bbi_out *o = bbi_out_of(c, n);
        if (o->state != BBI_OUT_WAITS) {
            continue;
        }
        if (!settle_sending(c, o, send_frame(c, o, now), now)) {
            return; /* in order: what follows waits too */
        }
        asked += o->state == BBI_OUT_ASKED;
    }
}

void
bbi_client_again(struct bbi_client *c, int64_t now, bool at_once)
{
    for (uint64_t n = c->first; n < c->next; n++) {
        struct bbi_out *o = bbi_out_of(c, n);
        if (o->state == BBI_OUT_ASKED) {
            (void)bb_request_cancel(c->sub, o->request_id);
            o->state = BBI_OUT_WAITS;
            o->answer_bytes = 0;
        }
        if (o->state == BBI_OUT_WAITS) {
            o->sent_bytes = 0;
        }
    }
    if (at_once) {
        c->retry_ns = 0;
    } else {
        back_off(c, now);
    }
}

void
bbi_client_wait_master(struct bb_store *s, int64_t until_ns)
{
    struct bbi_client *c = s->client;
    struct bbi_store_ctl *ctl = s->dir.ctl;
    int64_t left_ns = until_ns - bbi_os_mono_ns();
    if (left_ns <= 0) {
        return;
    }
    left_ns = bbi_min_i64(left_ns, LAST_BACKOFF_NS);
    if (ctl == NULL || bb_topic_wanted(c->topic) != 0) { /* not known; there, and behind */
        (void)bbi_os_sleep_ns(left_ns);
        return;
    }
    uint32_t seen = bbi_load_acquire(&ctl->commits);
    bbi_store_seq_cst(&ctl->waiters, 1);
    if (bb_topic_wanted(c->topic) == 0) { /* the look after the word */
        (void)bbi_os_futex_wait(&ctl->commits, seen, left_ns);
    }
    if (bbi_load_relaxed(&ctl->commits) != seen) { /* somebody commits: a master */
        c->retry_ns = 0;
        c->backoff_ns = 0;
    }
}

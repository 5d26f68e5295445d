/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/master_run.c - frames in one transaction.
 *
 *   begin ─ frame, frame, .. ─ state ─ commit ─ version ─ answers ─ note ─ what is due, another time
 *             │ DONE: number and answer        (sync)
 *             └ a transaction inside, for a frame that is all or none
 *
 * Order     A client's frames run by number: all between what it says is settled and this one must be in DONE.
 *           Else one was lost on the way, and it is told to begin again with that.
 * Full      A transaction that finds no room is undone, and each of its frames tried alone: those that do fit run,
 *           the others are told why.  Nothing that could be answered later is left in doubt.
 */
#include "lib/store/master_impl.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { SWEEP_WITH_FRAMES = 500, LINGER_PART = 10 };
#define LINGER_MAX_NS INT64_C(500000)

/* ---- transactions ---- */

bool
bbi_is_fatal(int rc)
{
    switch (rc) {
    case BB_ENOSPC:
    case BB_EIO: /* a short write of a full file system looks like this: the next begin says whether it is worse */
    case BB_ENOMEM:
    case BB_EMSGSIZE:
    case BB_EFULL:
    case BB_EAGAIN:
    case BB_EBUSY:
        return false;
    default:
        return rc < 0;
    }
}

int
bbi_master_begin(struct bb_store *s)
{
    struct bbi_master *m = s->master;
    struct bbi_apply *a = &m->apply;
    int rc = bbi_db_write_begin(m->house.env, NULL, &a->txn);
    if (rc < 0) {
        return rc;
    }
    m->state = m->house.state;
    m->has_written = false;
    m->has_moved_watchers = false;
    a->state = &m->state;
    a->also = m->house.mirror;
    a->now_ns = bbi_store_now_ns(s);
    a->wall_ns = s->clock.wall_ns(s->clock.user);
    rc = bbi_mirror_begin(a->also);
    if (rc < 0) {
        bbi_db_abort(a->txn);
    }
    return rc;
}

void
bbi_master_abort(struct bb_store *s)
{
    struct bbi_master *m = s->master;
    bbi_mirror_abort(m->apply.also);
    bbi_db_abort(m->apply.txn);
    if (m->has_moved_watchers) {
        bbi_watchers_reload(s);
    }
}

/* When the next key is due, as of this transaction; and how many keys there are. */
static int
look_ahead(struct bbi_master *m, int64_t *deadline_ns, uint64_t *keys)
{
    struct bbi_db_cursor *c;
    struct bbi_bytes k;
    struct bbi_bytes v;
    uint64_t word = 0;
    *keys = bbi_db_entries(m->apply.txn, BBI_DB_MAIN);
    *deadline_ns = 0;
    if (bbi_db_entries(m->apply.txn, BBI_DB_EXPIRY) == 0) {
        return 0;
    }
    int rc = bbi_db_cursor_open(&c, m->apply.txn, BBI_DB_EXPIRY);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_db_seek(c, (struct bbi_bytes){NULL, 0}, &k, &v);
    if (rc == 0 && k.bytes >= sizeof(word)) {
        memcpy(&word, k.p, sizeof(word));
        *deadline_ns = (int64_t)be64toh(word);
    }
    bbi_db_cursor_close(c);
    return rc == BB_ENOENT ? 0 : rc;
}

static int
write_state(struct bbi_master *m)
{
    static const char name[] = BBI_META_STATE;
    m->state.last_ns = m->apply.now_ns;
    return bbi_apply_put(&m->apply, BBI_DB_META, (struct bbi_bytes){name, sizeof(name) - 1},
                         (struct bbi_bytes){&m->state, sizeof(m->state)}, 0);
}

static void
announce(struct bb_store *s)
{
    struct bbi_store_ctl *ctl = s->dir.ctl;
    bbi_store_release(&ctl->version, s->master->house.state.version); /* S1 */
    (void)bbi_fetch_add_seq_cst(&ctl->commits, 1);
    if (bbi_load_seq_cst(&ctl->waiters) != 0) {
        bbi_store_relaxed(&ctl->waiters, 0);
        (void)bbi_os_futex_wake(&ctl->commits, INT_MAX);
    }
    bbi_own_add(&ctl->commit_count, 1);
}

int
bbi_master_commit(struct bb_store *s)
{
    struct bbi_master *m = s->master;
    int64_t deadline_ns;
    uint64_t keys;
    int rc = bbi_log_keep(s);
    rc = rc < 0 ? rc : look_ahead(m, &deadline_ns, &keys);
    rc = rc < 0 ? rc : write_state(m);
    if (rc < 0) {
        bbi_master_abort(s);
        return rc;
    }
    BBI_HOOK("store:commit_ready");
    rc = bbi_db_commit(m->apply.txn);
    if (rc < 0) {
        bbi_mirror_abort(m->apply.also);
        if (m->has_moved_watchers) {
            bbi_watchers_reload(s);
        }
        return rc;
    }
    BBI_HOOK("store:committed");
    (void)!bbi_mirror_commit(m->apply.also); /* what is wrong with it, its next step says */
    m->house.state = m->state;
    m->deadline_ns = deadline_ns;
    m->keys = keys;
    announce(s);
    BBI_HOOK("store:announced");
    return 0;
}

/* ---- commands ---- */

/* What needs room is refused while there is none; the rest makes room. */
static bool
needs_room(uint32_t op)
{
    return op != BB_STORE_ERASE && op != BB_STORE_CLEAR && op != BB_STORE_REMOVE
           && op != BB_STORE_POP && op != BB_STORE_EXPIRE && op != BB_STORE_GET;
}

static int
run_one(struct bb_store *s,
        const struct bb_store_cmd *cmd,
        size_t from,
        struct bbi_out_bytes *out,
        int *code)
{
    struct bbi_master *m = s->master;
    struct bb_store_result r = {0};
    int rc = 0;
    if (m->house.status == BB_ENOSPC && needs_room(cmd->op)) {
        r.code = BB_ENOSPC;
    } else {
        rc = bbi_apply(&m->apply, cmd, &r);
    }
    if (rc < 0) {
        return rc;
    }
    if (out->bytes - from > BBI_FRAME_BYTES_MAX && r.value.p != NULL) { /* no answer is that long */
        r.value = (struct bb_value){NULL, 0};
        r.code = cmd->op == BB_STORE_GET ? BB_EMSGSIZE : r.code;
    }
    *code = r.code;
    return bbi_out_result(out, &r);
}

/* All results are the one that failed, and what was undone because of it. */
static int
undo_results(struct bbi_out_bytes *out, size_t from, size_t count, size_t failed, int code)
{
    out->bytes = from;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct bb_store_result r = {.code = i == failed ? code : BB_ECANCELED};
        rc = bbi_out_result(out, &r);
    }
    return rc;
}

static int
run_each(struct bb_store *s,
         const struct bb_store_cmd *cmds,
         size_t count,
         struct bbi_out_bytes *out,
         bool is_atomic,
         size_t *failed,
         int *code)
{
    size_t from = out->bytes;
    int rc = 0;
    *failed = count;
    for (size_t i = 0; rc == 0 && i < count && *failed == count; i++) {
        rc = run_one(s, &cmds[i], from, out, code);
        if (is_atomic && *code < 0) {
            *failed = i;
        }
    }
    return rc;
}

/* All or none: in a transaction inside the one that is open. */
static int
run_atomic(struct bb_store *s,
           const struct bb_store_cmd *cmds,
           size_t count,
           struct bbi_out_bytes *out)
{
    struct bbi_apply *a = &s->master->apply;
    const struct bbi_state before = s->master->state;
    struct bbi_db_txn *outer = a->txn;
    size_t from = out->bytes;
    size_t failed = count;
    int code = 0;
    int rc = bbi_db_write_begin(s->master->house.env, outer, &a->txn);
    if (rc < 0) {
        a->txn = outer;
        return rc;
    }
    rc = bbi_mirror_begin(a->also);
    if (rc == 0) {
        rc = run_each(s, cmds, count, out, true, &failed, &code);
        if (rc == 0 && failed == count) {
            BBI_HOOK("store:nested_ready");
            rc = bbi_db_commit(a->txn);
            a->txn = outer;
            if (rc == 0) {
                return bbi_mirror_commit(a->also);
            }
            bbi_mirror_abort(a->also);
            return rc;
        }
        bbi_mirror_abort(a->also);
    }
    bbi_db_abort(a->txn);
    a->txn = outer;
    s->master->state = before;
    return rc < 0 ? rc : undo_results(out, from, count, failed, code);
}

static int
run_commands(struct bb_store *s,
             const struct bb_store_cmd *cmds,
             size_t count,
             uint32_t flags,
             struct bbi_out_bytes *out)
{
    size_t failed;
    int code = 0;
    bbi_own_add(&s->dir.ctl->commands, count);
    if ((flags & BB_STORE_ATOMIC) != 0 && count > 1) {
        return run_atomic(s, cmds, count, out);
    }
    return run_each(s, cmds, count, out, false, &failed, &code);
}

/* The frame's commands, all of them looked at before the first one runs. */
static int
parse(struct bbi_master *m, const struct bbi_frame *fr)
{
    size_t off = 0;
    if (fr->head.count > m->cmd_cap) {
        struct bb_store_cmd *p = realloc(m->cmds, fr->head.count * sizeof(*p));
        if (p == NULL) {
            return BB_ENOMEM;
        }
        m->cmds = p;
        m->cmd_cap = fr->head.count;
    }
    for (uint32_t i = 0; i < fr->head.count; i++) {
        int rc = bbi_frame_next(fr->bytes, &off, &m->cmds[i]);
        if (rc < 0) {
            return rc;
        }
    }
    return off == fr->bytes.bytes || fr->head.count == 0 ? 0 : BB_ECORRUPT;
}

/* ---- one frame ---- */

static struct bbi_bytes
done_key(const struct bbi_frame *fr, unsigned char out[BBI_DONE_KEY_BYTES])
{
    memcpy(out, &fr->client, sizeof(fr->client));
    out[sizeof(fr->client)] = (unsigned char)(fr->head.number % BBI_FRAMES);
    return (struct bbi_bytes){out, BBI_DONE_KEY_BYTES};
}

/* What it was told before: 1 it is its answer now; 0 nothing is remembered. */
static int
repeat(struct bb_store *s, struct bbi_frame *fr)
{
    struct bbi_master *m = s->master;
    unsigned char name[BBI_DONE_KEY_BYTES];
    struct bbi_bytes raw;
    struct bbi_done_head head;
    struct bbi_answer_head answer;
    int rc = bbi_db_get(m->apply.txn, BBI_DB_DONE, done_key(fr, name), &raw);
    if (rc < 0) {
        return rc == BB_ENOENT ? 0 : rc;
    }
    if (raw.bytes < sizeof(head) + sizeof(answer)) {
        return 0;
    }
    memcpy(&head, raw.p, sizeof(head));
    if (head.number != fr->head.number) {
        return 0;
    }
    fr->answer_off = m->out.bytes;
    fr->answer_bytes = raw.bytes - sizeof(head);
    unsigned char *p = bbi_out_room(&m->out, fr->answer_bytes);
    if (p == NULL) {
        return BB_ENOMEM;
    }
    memcpy(p, (const unsigned char *)raw.p + sizeof(head), fr->answer_bytes);
    memcpy(&answer, p, sizeof(answer));
    answer.flags |= 1U;
    memcpy(p, &answer, sizeof(answer));
    bbi_own_add(&s->dir.ctl->repeated, 1);
    return 1;
}

/* Is it this one's turn?  0, or why not. */
static int
its_turn(const struct bbi_frame *fr)
{
    const struct bbi_frame_head *h = &fr->head;
    if (fr->sender->numbers[h->number % BBI_FRAMES] > h->number) {
        return BB_ECANCELED; /* an old copy: it was settled long ago */
    }
    if (h->number - h->answered > BBI_FRAMES) {
        return BB_EINVAL;
    }
    for (uint64_t n = h->answered + 1; n < h->number; n++) {
        if (fr->sender->numbers[n % BBI_FRAMES] != n) {
            return BB_EAGAIN;
        }
    }
    return 0;
}

static void
mark_run(struct bbi_frame *fr)
{
    uint64_t *number = &fr->sender->numbers[fr->head.number % BBI_FRAMES];
    fr->was = *number;
    fr->ran = true;
    *number = fr->head.number;
}

static void
unmark(struct bbi_frame *fr)
{
    if (fr->ran) {
        fr->sender->numbers[fr->head.number % BBI_FRAMES] = fr->was;
        fr->ran = false;
    }
}

/* Room for what DONE keeps: its head, the answer's head. */
static int
begin_answer(struct bbi_master *m, struct bbi_frame *fr)
{
    const struct bbi_done_head head = {.number = fr->head.number, .node_id = fr->node_id};
    unsigned char *p = bbi_out_room(&m->out, sizeof(head) + sizeof(struct bbi_answer_head));
    if (p == NULL) {
        return BB_ENOMEM;
    }
    memcpy(p, &head, sizeof(head));
    fr->answer_off = (size_t)(p - m->out.p) + sizeof(head);
    return 0;
}

static int
end_answer(struct bb_store *s, struct bbi_frame *fr, uint64_t version)
{
    struct bbi_master *m = s->master;
    const struct bbi_answer_head answer = {
        .number = fr->head.number, .version = version, .count = fr->head.count};
    unsigned char name[BBI_DONE_KEY_BYTES];
    unsigned char *p = m->out.p + fr->answer_off;
    memcpy(p, &answer, sizeof(answer));
    fr->answer_bytes = m->out.bytes - fr->answer_off;
    m->has_written = true;
    const struct bbi_bytes val = {p - sizeof(struct bbi_done_head),
                                  sizeof(struct bbi_done_head) + fr->answer_bytes};
    return bbi_apply_put(&m->apply, BBI_DB_DONE, done_key(fr, name), val, 0);
}

/* 0; a status of the transaction. */
static int
run_frame(struct bb_store *s, struct bbi_frame *fr)
{
    struct bbi_master *m = s->master;
    fr->sender = bbi_sender_open(m, &fr->client, fr->node_id);
    if (fr->sender == NULL) {
        fr->refusal = BB_EFULL;
        return 0;
    }
    int rc =
        fr->sender->numbers[fr->head.number % BBI_FRAMES] == fr->head.number ? repeat(s, fr) : 0;
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    fr->refusal = its_turn(fr);
    if (fr->refusal == 0) {
        fr->refusal = parse(m, fr);
    }
    if (fr->refusal < 0) {
        return 0;
    }
    m->apply.node_id = fr->node_id;
    m->apply.node = fr->node;
    rc = begin_answer(m, fr);
    rc = rc < 0 ? rc : run_commands(s, m->cmds, fr->head.count, fr->head.flags, &m->out);
    rc = rc < 0 ? rc : end_answer(s, fr, m->state.version);
    if (rc == 0) {
        mark_run(fr);
    }
    return rc;
}

/* ---- many frames ---- */

static bool
is_due(const struct bbi_master *m)
{
    return m->deadline_ns != 0 && m->deadline_ns <= m->apply.now_ns;
}

static int
expire_some(struct bbi_master *m, uint32_t max)
{
    int64_t n = is_due(m) ? bbi_expire(&m->apply, max, bbi_os_mono_ns() + BBI_ROUND_NS) : 0;
    m->has_written = m->has_written || n > 0;
    return n < 0 ? (int)n : 0;
}

bool
bbi_master_syncs(const struct bb_store *s)
{
    return !s->dir.is_memory && (s->flags & BB_STORE_RELAXED) == 0;
}

/* With the commands of a transaction that is synced anyway. */
static int
expire_with(struct bb_store *s)
{
    return bbi_master_syncs(s) ? expire_some(s->master, SWEEP_WITH_FRAMES) : 0;
}

/*
 * Who is answered asks again while the others are still being answered: the master that looks at once finds one
 * frame, and syncs for that one alone.  So after a group it waits for a small part of what a sync costs.
 */
static void
set_linger(struct bb_store *s, uint32_t frames, int64_t commit_ns)
{
    bool is_group = bbi_master_syncs(s) && frames > 1;
    s->master->linger_ns = is_group ? bbi_min_i64(commit_ns / LINGER_PART, LINGER_MAX_NS) : 0;
}

/* Frames [from, to) in one transaction: how many of them it was; a status, and none of them ran. */
static int
run_together(struct bb_store *s, uint32_t from, uint32_t to)
{
    struct bbi_master *m = s->master;
    int64_t round_ns = bbi_master_syncs(s) ? BBI_ROUND_SYNCED_NS : BBI_ROUND_NS;
    int64_t until = to - from > 1 ? bbi_os_mono_ns() + round_ns : INT64_MAX;
    uint32_t i = from;
    m->out.bytes = 0;
    int rc = bbi_master_begin(s);
    if (rc < 0) {
        return rc;
    }
    while (rc == 0 && i < to && (i == from || i % 8 != 0 || bbi_os_mono_ns() < until)) {
        rc = run_frame(s, &m->frames[i++]);
    }
    rc = rc < 0 ? rc : expire_with(s);
    if (rc == 0 && m->has_written) {
        int64_t began_ns = bbi_os_mono_ns();
        rc = bbi_master_commit(s);
        set_linger(s, i - from, bbi_os_mono_ns() - began_ns);
    } else {
        bbi_master_abort(s);
    }
    for (uint32_t k = from; rc < 0 && k < to; k++) {
        unmark(&m->frames[k]);
    }
    return rc < 0 ? rc : (int)(i - from);
}

/* It could not run, and is told so; DONE remembers that too if it can. */
static int
fail_frame(struct bb_store *s, struct bbi_frame *fr, int code)
{
    struct bbi_master *m = s->master;
    m->out.bytes = 0;
    bbi_own_add(&s->dir.ctl->refused, 1);
    int rc = fr->sender == NULL ? BB_ENOMEM : bbi_master_begin(s);
    if (rc < 0) {
        fr->refusal = code;
        return bbi_is_fatal(rc) ? rc : 0;
    }
    rc = begin_answer(m, fr);
    rc = rc < 0 ? rc : undo_results(&m->out, m->out.bytes, fr->head.count, 0, code);
    for (uint32_t i = 0; rc == 0 && i < fr->head.count; i++) {
        struct bbi_result_head *r = NULL;
        size_t off = fr->answer_off + sizeof(struct bbi_answer_head) + i * sizeof(*r);
        int32_t all = code;
        memcpy(m->out.p + off, &all, sizeof(all));
    }
    if (rc == 0) {
        rc = end_answer(s, fr, m->house.state.version);
        mark_run(fr);
        if (rc == 0) {
            rc = bbi_master_commit(s);
            return bbi_is_fatal(rc) ? rc
                                    : 0; /* not remembered: nothing happened, so it may run again */
        }
    }
    bbi_master_abort(s);
    return bbi_is_fatal(rc) ? rc : 0;
}

/* A commit that failed may have broken the environment: then nobody may be told anything. */
static int
probe(struct bb_store *s)
{
    int rc = bbi_master_begin(s);
    if (rc == 0) {
        bbi_master_abort(s);
    }
    return bbi_is_fatal(rc) ? rc : 0;
}

static int
run_alone(struct bb_store *s, uint32_t i, int code)
{
    int rc = run_together(s, i, i + 1);
    code = rc < 0 ? rc : code;
    if (rc < 0) {
        rc = bbi_is_fatal(rc) ? rc : probe(s);
        rc = rc < 0 ? rc : fail_frame(s, &s->master->frames[i], code);
    }
    return rc < 0 ? rc : 0;
}

static void
answer_all(struct bb_store *s, uint32_t from, uint32_t to, uint64_t before)
{
    BBI_HOOK("store:answering");
    for (uint32_t i = from; i < to; i++) {
        bbi_master_answer(s, &s->master->frames[i]);
    }
    BBI_HOOK("store:answered");
    bbi_master_note(s, before);
    bbi_master_tell(s);
}

/* What comes next of the round's commands: how many frames. */
static int
run_group(struct bb_store *s, uint32_t from, uint32_t to)
{
    struct bbi_master *m = s->master;
    uint64_t before = m->house.state.version;
    int n = run_together(s, from, to);
    if (n >= 0) {
        answer_all(s, from, from + (uint32_t)n, before);
        return n;
    }
    if (bbi_is_fatal(n)) {
        return n;
    }
    if (n == BB_ENOSPC && bbi_is_fatal(bbi_quota_look(s, true))) {
        return BB_EIO;
    }
    for (uint32_t i = from; i < to; i++) {
        before = m->house.state.version;
        int rc = run_alone(s, i, n);
        if (rc < 0) {
            return rc;
        }
        answer_all(s, i, i + 1, before);
    }
    return (int)(to - from);
}

/* ---- frames that are no commands ---- */

static int
in_transaction(struct bb_store *s, struct bbi_frame *fr)
{
    int rc = bbi_master_begin(s);
    if (rc < 0) {
        return rc;
    }
    rc = fr->head.kind == BBI_FRAME_BYE
             ? bbi_sender_forget(s, fr->sender)
             : bbi_sender_watch(s, fr->sender, fr->head.kind == BBI_FRAME_WATCH);
    s->master->has_written = s->master->has_written || fr->head.kind == BBI_FRAME_BYE;
    if (rc < 0 || !s->master->has_written) {
        bbi_master_abort(s);
        return rc;
    }
    return bbi_master_commit(s);
}

static int
answer_nothing(struct bb_store *s, struct bbi_frame *fr)
{
    const struct bbi_answer_head head = {.number = fr->head.number,
                                         .version = s->master->house.state.version};
    unsigned char *p = bbi_out_room(&s->master->out, sizeof(head));
    if (p == NULL) {
        return BB_ENOMEM;
    }
    memcpy(p, &head, sizeof(head));
    fr->answer_off = (size_t)(p - s->master->out.p);
    fr->answer_bytes = sizeof(head);
    return 0;
}

/* Each of them can be done twice without harm: so they are in no DONE, and are marked only here. */
static int
run_other(struct bb_store *s, struct bbi_frame *fr)
{
    struct bbi_master *m = s->master;
    int rc;
    m->out.bytes = 0;
    fr->sender = bbi_sender_open(m, &fr->client, fr->node_id);
    rc = fr->sender == NULL ? BB_EFULL : its_turn(fr);
    if (rc == 0 && fr->head.kind == BBI_FRAME_READ) {
        rc = bbi_master_read(s, fr);
    } else if (rc == 0 && fr->head.kind == BBI_FRAME_COMPACT) {
        rc = bbi_compaction_start(s);
    } else if (rc == 0) {
        rc = in_transaction(s, fr);
    }
    if (rc == 0 && fr->head.kind != BBI_FRAME_READ) {
        rc = answer_nothing(s, fr);
    }
    if (bbi_is_fatal(rc) && rc != BB_ECANCELED && rc != BB_EINVAL
        && fr->head.kind != BBI_FRAME_READ) {
        return rc;
    }
    fr->refusal = rc;
    if (rc == 0) {
        mark_run(fr);
    }
    bbi_master_answer(s, fr);
    bbi_master_tell(s);
    if (rc == 0 && fr->head.kind == BBI_FRAME_BYE) {
        bbi_sender_free(m, fr->sender);
    }
    return 0;
}

int
bbi_master_run_frames(struct bb_store *s)
{
    struct bbi_master *m = s->master;
    uint32_t from = m->frame_at;
    uint32_t to = from;
    uint32_t commands = 0;
    while (to < m->frame_count && m->frames[to].head.kind == BBI_FRAME_COMMANDS) {
        to++;
    }
    int n = to > from ? run_group(s, from, to) : 0;
    if (n < 0) {
        return n;
    }
    to = from + (uint32_t)n;
    if (n == 0) {
        n = run_other(s, &m->frames[to++]);
    }
    for (uint32_t i = from; i < to; i++) {
        commands += m->frames[i].head.count > 0 ? m->frames[i].head.count : 1;
    }
    m->frame_at = to;
    return n < 0 ? n : (int)commands;
}

/* ---- besides frames ---- */

int64_t
bbi_master_sweep(struct bb_store *s, uint32_t max)
{
    struct bbi_master *m = s->master;
    uint64_t before = m->house.state.version;
    uint64_t expired = m->house.state.expired;
    int rc = bbi_master_begin(s);
    if (rc < 0) {
        return rc;
    }
    rc = expire_some(m, max);
    if (rc < 0) {
        bbi_master_abort(s);
        return rc;
    }
    rc = bbi_master_commit(s);
    if (rc < 0) {
        return rc;
    }
    bbi_master_note(s, before);
    bbi_master_tell(s);
    return (int64_t)(m->house.state.expired - expired);
}

/* Nothing ran: all of them say why. */
static int
fail_own(struct bb_store_result *results, size_t count, int code)
{
    for (size_t i = 0; i < count; i++) {
        results[i] = (struct bb_store_result){.code = code};
    }
    return code;
}

static int
run_own(struct bb_store *s, const struct bb_store_cmd *cmds, size_t count, uint32_t flags)
{
    struct bbi_master *m = s->master;
    int rc = bbi_master_begin(s);
    if (rc < 0) {
        return rc;
    }
    m->apply.node_id = m->apply.master_id;
    m->apply.node = m->apply.master;
    m->own.bytes = 0;
    rc = bbi_out_room(&m->own, sizeof(struct bbi_answer_head)) == NULL ? BB_ENOMEM : 0;
    rc = rc < 0 ? rc : run_commands(s, cmds, count, flags, &m->own);
    rc = rc < 0 ? rc : expire_with(s);
    if (rc < 0) {
        bbi_master_abort(s);
        return rc;
    }
    return bbi_master_commit(s);
}

int
bbi_master_run(struct bb_store *s,
               const struct bb_store_cmd *cmds,
               size_t count,
               uint32_t flags,
               struct bb_store_result *results)
{
    struct bbi_master *m = s->master;
    uint64_t before = m->house.state.version;
    int64_t bytes = bbi_frame_bytes(cmds, count);
    int first = 0;
    size_t off = 0;
    if (bytes < 0 || m->fault < 0) {
        return bytes < 0 ? (int)bytes : m->fault;
    }
    int rc = run_own(s, cmds, count, flags);
    if (rc == BB_ENOSPC && !bbi_is_fatal(bbi_quota_look(s, true))) {
        rc = run_own(s, cmds, count, flags);
    }
    if (rc < 0) {
        m->fault = bbi_is_fatal(rc) ? rc : probe(s);
        bbi_own_add(&s->dir.ctl->refused, 1);
        return fail_own(results, count, rc);
    }
    for (size_t i = 0; i < count; i++) {
        rc = bbi_answer_next((struct bbi_bytes){m->own.p, m->own.bytes}, &off, &results[i]);
        BBI_ASSERT(rc == 0); /* our own bytes */
        first = bbi_first_code(first, results[i].code);
    }
    bbi_master_note(s, before);
    bbi_master_tell(s);
    return first;
}

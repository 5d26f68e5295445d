/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/master.c - how a master begins, what a poll of it does, and how it ends.
 *
 * Begin     The lock is held, so nobody else writes.  What is found is tidied and admitted, the environment opened,
 *           the state read; store time goes on from where it was, at wall time if the box was booted since.  What
 *           fell due meanwhile goes with the first commits; then frames are heard.
 * Time      base_ns is fixed at the first start on a boot: CLOCK_BOOTTIME does not jump, the wall clock may.
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/endpoint/for_store.h"
#include "lib/store/master_impl.h"
#include "lib/store/verify.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What fell due while there was no master is swept before it is ready, but nobody waits longer than this for it. */
#define FIRST_SWEEP_NS INT64_C(100000000)
/* So long after a frame another one is expected; so much later is swept what could go with it. */
#define BUSY_NS         INT64_C(20000000)
#define SYNCED_LATER_NS INT64_C(2000000)
enum { SWEEP_BUSY = 200 }; /* keys: each is a page to be written, all of them 1 to 2 ms */
enum {
    ANSWER_RING_BYTES = 8 << 20,
    ANSWER_RING_DEPTH = 8192,
    TOPIC_BYTES = 80,
    ROUND_BYTES = 512 << 10, /* of one client: its whole ring, nearly */
};

struct bbi_house *
bbi_master_house(struct bb_store *s)
{
    return &s->master->house;
}

int
bbi_master_fd(struct bb_store *s)
{
    return bb_fd(s->master->sub);
}

/* ---- the state ---- */

static int
read_state(struct bbi_master *m, struct bbi_db_txn *txn, uint64_t generation, struct bbi_fault *f)
{
    static const char name[] = BBI_META_STATE;
    struct bbi_bytes raw;
    int rc = bbi_db_get(txn, BBI_DB_META, (struct bbi_bytes){name, sizeof(name) - 1}, &raw);
    if (rc < 0 || raw.bytes != sizeof(m->state)) {
        rc = rc < 0 && rc != BB_ENOENT ? rc : BB_ECORRUPT;
        return bbi_fault_set(f, rc, "state",
                             "the store has no state: it is damaged; restore a copy");
    }
    memcpy(&m->state, raw.p, sizeof(m->state));
    if (m->state.format != BBI_STORE_FORMAT) {
        return bbi_fault_set(
            f, BB_EVERSION, "state",
            "the store has format %u and this program knows %d: use the release that made it",
            m->state.format, BBI_STORE_FORMAT);
    }
    m->state.generation = generation;
    return 0;
}

/* Entries beyond the state's version cannot be: the log would never take another one. */
static int
check_log(struct bbi_master *m)
{
    struct bbi_db_cursor *c;
    struct bbi_bytes k;
    struct bbi_bytes v;
    uint64_t last = 0;
    int rc = bbi_db_cursor_open(&c, m->apply.txn, BBI_DB_LOG);
    if (rc < 0) {
        return rc;
    }
    rc = bbi_db_last(c, &k, &v);
    if (rc == 0 && k.bytes == sizeof(last)) {
        memcpy(&last, k.p, sizeof(last));
        last = be64toh(last);
    }
    bbi_db_cursor_close(c);
    bool is_odd = (rc == 0 && (last == 0 || last > m->state.version))
                  || (m->apply.has_log != (m->state.log_first != 0));
    return is_odd ? bbi_log_restart(&m->apply) : rc == BB_ENOENT ? 0 : rc;
}

static void
fix_time(struct bb_store *s)
{
    struct bbi_state *st = &s->master->state;
    uint8_t boot_id[16];
    bbi_os_boot_id(boot_id);
    if (memcmp(boot_id, st->boot_id, sizeof(boot_id)) != 0 || st->last_ns == 0) {
        int64_t wall_ns = s->clock.wall_ns(s->clock.user);
        int64_t now_ns = wall_ns > st->last_ns ? wall_ns : st->last_ns;
        st->base_ns = now_ns - s->clock.boot_ns(s->clock.user);
        memcpy(st->boot_id, boot_id, sizeof(boot_id));
    }
    bbi_store_release(&s->dir.ctl->base_ns, (uint64_t)st->base_ns);
}

static void
fill_ctl(struct bb_store *s)
{
    struct bbi_store_ctl *ctl = s->dir.ctl;
    const struct bbi_master *m = s->master;
    uint64_t flags = s->dir.is_memory ? BBI_STORE_IS_MEMORY : 0;
    flags |= (s->flags & BB_STORE_RELAXED) != 0 ? BBI_STORE_IS_RELAXED : 0;
    memcpy(ctl->store_id, m->state.store_id, sizeof(ctl->store_id));
    bbi_store_relaxed(&ctl->flags, flags);
    bbi_store_relaxed(&ctl->quota_bytes, s->quota_bytes);
    bbi_store_release(&ctl->generation, m->state.generation); /* S2 */
    bbi_store_dir_set_master(&s->dir, m->apply.master_id, m->apply.master, bb_endpoint_path(s->ep));
}

void
bbi_master_mend_ctl(struct bb_store *s)
{
    const struct bbi_master *m = s->master;
    struct bbi_store_ctl *ctl = s->dir.ctl;
    fill_ctl(s);
    bbi_store_release(&ctl->base_ns, (uint64_t)m->state.base_ns);
    bbi_store_release(&ctl->version, m->state.version);
    bbi_store_release(&ctl->is_served, 1);
    bbi_master_tell(s);
}

/* ---- the bus ---- */

static int
open_bus(struct bb_store *s, struct bbi_fault *f)
{
    struct bbi_master *m = s->master;
    char listen[TOPIC_BYTES];
    char change[TOPIC_BYTES];
    const char *prefix = listen;
    struct bb_error error = {0};
    (void)snprintf(listen, sizeof(listen), BBI_STORE_TOPIC "%s/", s->name);
    (void)snprintf(change, sizeof(change), BBI_CHANGE_TOPIC "%s/", s->name);
    const struct bb_publisher_opts po = {.size = sizeof(po),
                                         .lane = BB_LANE_CONTROL,
                                         .policy = BB_POLICY_EVICT,
                                         .depth = ANSWER_RING_DEPTH,
                                         .bytes = ANSWER_RING_BYTES,
                                         .error = &error};
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_COPIES
                                                   | BB_SUBSCRIBER_LOOPBACK,
                                          .prefixes = &prefix,
                                          .prefix_count = 1,
                                          .error = &error};
    int rc = bb_publisher_open(&m->pub, s->ep, &po);
    rc = rc < 0 ? rc : bbi_reserved_open(&m->change, m->pub, change, strlen(change));
    rc = rc < 0 ? rc : bb_subscriber_open(&m->sub, s->ep, &so);
    if (rc == 0) {
        bbi_visit_more(m->sub, ROUND_BYTES);
    }
    return rc < 0
               ? bbi_fault_set(f, rc, s->name, "store '%s' cannot listen on the bus: %s", s->name,
                               error.sentence[0] != '\0' ? error.sentence : bb_strerror(rc))
               : 0;
}

static void
close_bus(struct bbi_master *m)
{
    bb_subscriber_close(m->sub);
    bb_publisher_close(m->pub);
    bbi_reserved_close(m->change);
    m->sub = NULL;
    m->pub = NULL;
    m->change = NULL;
}

/* ---- begin ---- */

static int
open_env(struct bb_store *s, uint64_t generation, unsigned more, struct bbi_fault *f)
{
    char path[320];
    unsigned flags = s->dir.is_memory                     ? (unsigned)BBI_DB_NOSYNC
                     : (s->flags & BB_STORE_RELAXED) != 0 ? (unsigned)BBI_DB_RELAXED
                                                          : 0U;
    bbi_store_dir_gen_path(&s->dir, generation, false, path);
    return bbi_db_open(&s->master->house.env, path, bbi_quota_map_bytes(s->quota_bytes),
                       flags | more, s->dir.file_mode, f);
}

/* The first transaction: what is there is taken over. */
static int
take_over(struct bb_store *s, uint64_t generation, struct bbi_fault *f)
{
    struct bbi_master *m = s->master;
    int rc = bbi_db_write_begin(m->house.env, NULL, &m->apply.txn);
    if (rc < 0) {
        return rc;
    }
    m->apply.state = &m->state;
    rc = read_state(m, m->apply.txn, generation, f);
    rc = rc < 0 ? rc : bbi_senders_load(s);
    m->apply.has_log = m->watcher_count > 0;
    rc = rc < 0 ? rc : check_log(m);
    if (rc < 0) {
        bbi_db_abort(m->apply.txn);
        return rc;
    }
    fix_time(s);
    m->state.is_clean = 0;
    m->apply.now_ns = bbi_store_now_ns(s);
    fill_ctl(s);
    return bbi_master_commit(s);
}

static int
first_sweep(struct bb_store *s)
{
    int64_t until = bbi_os_mono_ns() + FIRST_SWEEP_NS;
    int64_t n = 1;
    while (n > 0 && s->master->deadline_ns != 0 && s->master->deadline_ns <= bbi_store_now_ns(s)
           && bbi_os_mono_ns() < until) {
        n = bbi_master_sweep(s, BBI_SWEEP_MAX);
    }
    return n < 0 && bbi_is_fatal((int)n) ? (int)n : 0;
}

/* What was not looked at before it is opened, or is too short, is looked at when opening it says so. */
static int
admit_and_open(struct bb_store *s, uint64_t *generation, struct bbi_fault *f)
{
    int rc = bbi_store_admit(s, generation, f);
    bool is_admitted = rc == 0;
    rc = rc < 0 ? rc : open_env(s, *generation, 0, f);
    if (rc == BB_ECORRUPT && is_admitted) {
        uint32_t flags = s->flags;
        s->flags = (flags | BB_STORE_VERIFY) & ~(uint32_t)BB_STORE_FRESH;
        rc = bbi_store_admit(s, generation, f);
        rc = rc < 0 ? rc : open_env(s, *generation, BBI_DB_EXTEND, f);
        s->flags = flags;
    }
    return rc < 0 ? rc : bbi_store_tidy_opened(s, *generation, f);
}

static int
begin(struct bb_store *s, struct bbi_fault *f)
{
    struct bbi_master *m = s->master;
    uint64_t generation = 0;
    m->apply.master_id = bb_endpoint_id(s->ep);
    m->apply.master = bb_endpoint_name(s->ep);
    if (s->role != BB_STORE_MASTER) {
        s->flags &= ~(uint32_t)BB_STORE_FRESH; /* who takes over does not begin anew */
    }
    bbi_store_relaxed(&s->dir.ctl->flags, s->dir.is_memory ? BBI_STORE_IS_MEMORY : 0);
    if ((int64_t)bbi_load_relaxed(&s->dir.ctl->compaction_status) == BB_EAGAIN) {
        /* The last master died over it: who waits for it is told. */
        bbi_store_release(&s->dir.ctl->compaction_status, (uint64_t)(int64_t)BB_ECANCELED);
    }
    int rc = admit_and_open(s, &generation, f);
    BBI_HOOK("store:opened");
    rc = rc < 0 ? rc : open_bus(s, f);
    if (rc < 0) {
        return rc;
    }
    rc = take_over(s, generation, f);
    BBI_HOOK("store:taken_over");
    rc = rc < 0 ? rc : first_sweep(s);
    rc = rc < 0 ? rc : bbi_master_keep(s, bbi_os_mono_ns());
    if (rc < 0 && (f == NULL || f->code != rc)) {
        return bbi_fault_set(f, rc, s->dir.path, "store '%s' in %s: %s", s->name, s->dir.path,
                             bb_strerror(rc));
    }
    return rc;
}

static void
free_master(struct bb_store *s)
{
    struct bbi_master *m = s->master;
    close_bus(m);
    bbi_house_fini(s);
    bbi_db_close(m->house.env);
    bbi_master_frames_free(m);
    bbi_parts_free(m);
    bbi_senders_free(m);
    bbi_apply_fini(&m->apply);
    free(m->cmds);
    free(m->out.p);
    free(m->own.p);
    free(m);
    s->master = NULL;
}

int
bbi_master_start(struct bb_store *s, struct bbi_fault *f)
{
    bbi_store_release(&s->dir.ctl->is_served, 0); /* of one that died */
    s->master = calloc(1, sizeof(*s->master));
    if (s->master == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, s->name, "store '%s': out of memory", s->name);
    }
    int rc = begin(s, f);
    if (rc < 0) {
        free_master(s);
        return rc;
    }
    bbi_store_release(&s->dir.ctl->is_served, 1);
    BBI_HOOK("store:served");
    return 0;
}

/* ---- a poll ---- */

/* Its readers go on; its writers ask the next master. */
static int
end_mastership(struct bb_store *s, int rc)
{
    s->master->fault = rc;
    bbi_store_release(&s->dir.ctl->is_served, 0);
    bbi_store_relaxed(&s->dir.ctl->last_error, (uint64_t)(int64_t)rc);
    return rc;
}

/* When there is something to do though no frame comes. */
static int64_t
next_ns(const struct bbi_master *m, int64_t now)
{
    if (m->house.mirror != NULL) {
        return now;
    }
    int64_t next = m->house_ns;
    return m->deadline_ns != 0 ? bbi_min_i64(next, m->sweep_ns) : next;
}

/*
 * While frames come, as many keys go as commands ran, but a few at least: so what is due does not pile up, however
 * busy the store is.  What is synced went with the frames, and waits a little for the next ones.
 */
static uint32_t
sweep_max(const struct bbi_master *m, int64_t now, uint32_t commands)
{
    bool is_busy = now - m->frames_ns < BUSY_NS;
    uint32_t max = commands > SWEEP_BUSY ? commands : SWEEP_BUSY;
    return is_busy && max < BBI_SWEEP_MAX ? max : BBI_SWEEP_MAX;
}

/* How many went; a status. */
static int64_t
sweep(struct bb_store *s, int64_t now, uint32_t commands)
{
    struct bbi_master *m = s->master;
    m->frames_ns = commands > 0 ? now : m->frames_ns;
    if (commands > 0 && bbi_master_syncs(s)) {
        m->sweep_ns = now + SYNCED_LATER_NS;
    }
    if (m->deadline_ns == 0 || now < m->sweep_ns) {
        return 0;
    }
    m->sweep_ns = now + BBI_SWEEP_EVERY_NS;
    if (m->deadline_ns > bbi_store_now_ns(s)) {
        return 0;
    }
    int64_t gone = bbi_master_sweep(s, sweep_max(m, now, commands));
    bool has_more = m->deadline_ns != 0 && m->deadline_ns <= m->apply.now_ns && gone > 0;
    m->sweep_ns = has_more ? now : m->sweep_ns;
    return gone;
}

/* Sweeps, compacts, keeps house: 0; how many went; a fault. */
static int
do_what_is_due(struct bb_store *s, uint32_t commands)
{
    struct bbi_master *m = s->master;
    int64_t now = bbi_os_mono_ns();
    int64_t gone = sweep(s, now, commands);
    if (gone < 0 && bbi_is_fatal((int)gone)) {
        return (int)gone;
    }
    if (m->house.mirror != NULL) {
        int rc = bbi_compaction_step(s, now + BBI_ROUND_NS);
        if (bbi_is_fatal(rc) && m->house.mirror == NULL && rc != BB_ECANCELED) {
            return rc;
        }
    }
    if (now >= m->house_ns) {
        int rc = bbi_master_keep(s, now);
        if (rc < 0) {
            return rc;
        }
    }
    return gone > 0 ? (int)gone : 0;
}

/* What time it is then. */
static int64_t
linger(struct bbi_master *m, int64_t until)
{
    int64_t now = bbi_os_mono_ns();
    int64_t ns = m->linger_ns;
    m->linger_ns = 0;
    if (ns == 0 || m->msg_at < m->msg_count || ns > until - now) {
        return now;
    }
    (void)bbi_os_sleep_ns(ns);
    return bbi_os_mono_ns();
}

static int
one_round(struct bb_store *s, int64_t until)
{
    struct bbi_master *m = s->master;
    if (m->frame_at == m->frame_count) {
        int64_t now = until > 0 ? linger(m, until) : 0;
        int64_t wake = bbi_min_i64(until, next_ns(m, now));
        int n = bbi_master_take(s, wake > now ? wake - now : 0);
        if (n < 0) {
            return n;
        }
        m->is_woken = m->msg_count == 0 && wake > now && bbi_os_mono_ns() < wake;
    }
    int done = m->frame_count > m->frame_at ? bbi_master_run_frames(s) : 0;
    int rc = done > 0 ? bbi_quota_look(s, false) : done;
    if (bbi_is_fatal(rc)) {
        return rc;
    }
    int kept = do_what_is_due(s, done > 0 ? (uint32_t)done : 0);
    return kept < 0 ? kept : (done > 0 ? done : 0) + kept;
}

int
bbi_master_poll(struct bb_store *s, int64_t timeout_ns)
{
    struct bbi_master *m = s->master;
    int64_t now = timeout_ns > 0 ? bbi_os_mono_ns() : 0;
    int64_t until = timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
    if (m->fault < 0) {
        return m->fault;
    }
    for (;;) {
        m->is_woken = false;
        int n = one_round(s, until);
        if (n < 0) {
            return end_mastership(s, n);
        }
        if (n > 0 || m->is_woken || timeout_ns == 0 || bbi_os_mono_ns() >= until) {
            return n;
        }
    }
}

/* ---- end ---- */

/* What was taken is answered; what was not is for the next one. */
static void
finish_frames(struct bb_store *s)
{
    struct bbi_master *m = s->master;
    while (m->fault == 0 && (m->frame_at < m->frame_count || m->msg_at < m->msg_count)) {
        int rc = m->frame_at == m->frame_count ? bbi_master_take(s, 0) : 0;
        if (rc == 0 && m->frame_at == m->frame_count) {
            continue;
        }
        rc = rc < 0 ? rc : bbi_master_run_frames(s);
        if (rc < 0) {
            m->fault = rc;
        }
    }
}

static int
write_clean(struct bb_store *s)
{
    int rc = bbi_master_begin(s);
    if (rc < 0) {
        return rc;
    }
    s->master->state.is_clean = 1;
    return bbi_master_commit(s);
}

void
bbi_master_stop(struct bb_store *s, bool is_clean)
{
    struct bbi_master *m = s->master;
    if (m == NULL) {
        return;
    }
    if (is_clean) {
        finish_frames(s);
        bbi_compaction_stop(s);
        if (m->fault == 0 && write_clean(s) == 0 && (s->flags & BB_STORE_RELAXED) != 0) {
            (void)!bbi_db_sync(m->house.env);
        }
    }
    if (m->fault == 0) { /* else it was said, and another may be the master by now */
        bbi_store_release(&s->dir.ctl->is_served, 0);
    }
    BBI_HOOK("store:closing");
    free_master(s);
}

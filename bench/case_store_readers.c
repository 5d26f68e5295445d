/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_store_readers.c - store-readers: 64 processes that read one store of a million keys; busbar only.
 *
 * Each walks through the whole store in its own views and looks at every value.  When all have, and while all have it
 * mapped, the kernel's books (/proc/PID/smaps) are read: Pss shares a page among those that map it, Rss counts it for
 * each.
 * Figures    rate: items read a second by all together.  pss_mib, rss_mib: of data.mdb, summed over all processes, the
 *            master too.  file_mib: pages of it in use.  pss_of_file: 1 when the pages are there once.
 */
#include "bench/bus.h"
#include "bench/cases.h"
#include "bench/clock.h"
#include "bench/store_bus.h"
#include "bench/store_play.h"

enum { KEYS = 1000000, READERS = 64, VIEW = 500 };
static const int64_t glance_ns = 1000000;

struct client {
    struct bench_store_client common;
    struct bb_endpoint *ep;
    struct bb_store *store;
};

/* ---- reading ----------------------------------------------------------------------------------- */

static uint64_t
look_at(const struct bb_store_item *item, size_t size)
{
    struct bench_store_reads r = {.keys = UINT64_MAX, .size = size};
    const char *text;
    size_t bytes;
    uint64_t key = 0;
    if (bb_get_string(&item->value, &text, &bytes) < 0 || bytes < sizeof(key)) {
        return 1;
    }
    memcpy(&key, text, sizeof(key));
    bench_store_take(&r, key, text, bytes);
    return r.wrong;
}

/* One view; the key after which the next begins is kept.  How many items, 0 at the end, or a status. */
static int64_t
read_some(struct bench_actor *self,
          struct bb_store *store,
          size_t size,
          struct bench_store_key_value *last)
{
    static struct bb_store_item items[VIEW];
    int rc = bb_store_view_begin(store);
    if (rc < 0) {
        return rc;
    }
    const struct bb_value *after = self->messages > 0 ? &last->value : NULL;
    int64_t n = bb_store_scan(store, NULL, after, items, VIEW);
    for (int64_t i = 0; i < n; i++) {
        self->torn += look_at(&items[i], size);
    }
    if (n > 0 && items[n - 1].key.bytes == sizeof(last->bytes)) {
        memcpy(last->bytes, items[n - 1].key.p, sizeof(last->bytes));
        last->value = (struct bb_value){last->bytes, sizeof(last->bytes)};
    }
    bb_store_view_end(store);
    return n;
}

static int
read_all(const struct bench_stage *st, struct bench_actor *self, struct bb_store *store)
{
    struct bench_store_key_value last = {0};
    int64_t n, start = bench_now_ns();
    while ((n = read_some(self, store, st->setup.size, &last)) > 0) {
        self->messages += (uint64_t)n;
    }
    self->window_ns = bench_now_ns() - start;
    self->lost += st->setup.keys - self->messages;
    return n < 0 ? bench_bus_complain("cannot scan", (int)n, NULL) : 0;
}

/* ---- the kernel's books ------------------------------------------------------------------------- */

/* Adds what this process has of data.mdb, in KiB. */
static int
add_smaps(pid_t pid, double *pss, double *rss)
{
    char path[64], line[512];
    bool is_ours = false;
    double kib;
    (void)snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        perror("busbar-bench: store-readers: smaps");
        return -1;
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        if (line[0] >= '0' && line[0] <= 'f' && strchr(line, '-') != NULL
            && strchr(line, ':') > strchr(line, '-')) {
            is_ours = strstr(line, "data.mdb") != NULL;
        } else if (is_ours && sscanf(line, "Pss: %lf", &kib) == 1) {
            *pss += kib;
        } else if (is_ours && sscanf(line, "Rss: %lf", &kib) == 1) {
            *rss += kib;
        }
    }
    (void)fclose(f);
    return 0;
}

/* Of all of us, while all have it mapped. */
static int
take_stock(const struct bench_stage *st, struct bench_actor *self, struct bb_store *store)
{
    struct bb_store_info info = {.size = sizeof(info)};
    double pss = 0, rss = 0;
    for (unsigned i = 0; i < st->actor_count; i++) {
        if (add_smaps(st->actors[i].pid, &pss, &rss) < 0) {
            return -1;
        }
    }
    int rc = bb_store_info(store, &info);
    if (rc < 0) {
        return bench_bus_complain("no figures of the store", rc, NULL);
    }
    self->extra[0] = pss / 1024;
    self->extra[1] = rss / 1024;
    self->extra[2] = (double)info.used_bytes / 1048576;
    self->extra[3] = self->extra[0] / self->extra[2];
    return 0;
}

/* ---- actors ------------------------------------------------------------------------------------ */

static int
fill(const struct bench_stage *st, struct bench_store_client *c)
{
    c->d = st->driver->store;
    c->work = (struct bench_store_work){.op = BENCH_STORE_PUT, .keys = st->setup.keys};
    if (c->d->open(&st->setup, st->shared, READERS, &c->client) < 0
        || c->d->write(c->client, &c->work, st->setup.keys) < 0
        || c->d->settle(c->client, &c->work) < 0) {
        return -1;
    }
    c->d->close(c->client);
    return 0;
}

static int
open_client(const struct bench_stage *st, struct bench_actor *self, struct client *c)
{
    int rc = bench_bus_endpoint(&st->setup, "reader", self->index, &c->ep);
    rc = rc < 0 ? rc
                : bench_store_bus_open(&st->setup, c->ep, BB_STORE_CLONE, NULL, NULL, &c->store);
    return rc;
}

static void
await_all(struct bench_stage *st, _Atomic uint64_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_acq_rel);
    while (atomic_load_explicit(count, memory_order_acquire) < st->setup.subscribers) {
        bench_nap(glance_ns);
    }
}

static int
play(struct bench_stage *st, struct bench_actor *self)
{
    static struct client c;
    bench_await_phase(st, BENCH_OPEN_SUB);
    if (open_client(st, self, &c) < 0) {
        return 1;
    }
    bench_set_state(self, BENCH_LISTENING);
    bench_await_phase(st, BENCH_HELLO);
    if (self->index == 0 && fill(st, &c.common) < 0) {
        return 1;
    }
    bench_set_state(self, BENCH_HEARD);
    bench_await_phase(st, BENCH_MEASURE);
    if (read_all(st, self, c.store) < 0) {
        return 1;
    }
    await_all(st, &st->baton);
    if (self->index == 0 && take_stock(st, self, c.store) < 0) {
        return 1;
    }
    await_all(st, &st->sent[0]);
    bb_store_close(c.store);
    bb_endpoint_close(c.ep);
    atomic_fetch_add_explicit(&st->pubs_done, 1, memory_order_release);
    return 0;
}

/* ---- case -------------------------------------------------------------------------------------- */

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    bench_store_cast(plan, o, st, play);
}

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    int64_t longest_ns = 0;
    uint64_t items = 0;
    (void)plan;
    out->has_rate = true;
    for (unsigned i = 0; i < st->setup.subscribers; i++) {
        const struct bench_actor *a = &st->actors[i];
        longest_ns = a->window_ns > longest_ns ? a->window_ns : longest_ns;
        items += a->messages;
        out->lost += a->lost;
        out->torn += a->torn;
    }
    out->rate = longest_ns > 0 ? (double)items * 1e9 / (double)longest_ns : 0;
    memcpy(out->extra, st->actors[0].extra, sizeof(out->extra));
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    struct bench_plan plan;
    bench_store_plan(&plan, c->name, o, size,
                     o->subscribers != 0 ? o->subscribers : (unsigned)READERS);
    plan.setup.keys = o->keys != 0 ? o->keys : KEYS;
    plan.is_ours = true;
    plan.raw = NULL;
    plan.cast = cast;
    plan.gather = gather;
    plan.extra[0] = "pss_mib";
    plan.extra[1] = "rss_mib";
    plan.extra[2] = "file_mib";
    plan.extra[3] = "pss_of_file";
    return bench_race(o, report, &plan, 1, NULL);
}

const struct bench_case bench_case_store_readers = {
    "store-readers", "64 processes read one store of a million keys: its memory, counted once",
    false, run};

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Whatever several processes do to one store, whoever is killed meanwhile, the store did exactly that:
 *         each acknowledged change once, in one order, with the results that this order gives; nothing else.
 * Method  Writers (in place and by request) run random commands of all kinds on a few keys of all types, with
 *         expiry, batches and atomic batches; a reader looks at whole views; two watchers record the stream of
 *         changes, one of them mortal; a process compacts.  Masters, writers and the mortal watcher are killed,
 *         at any time or at a hook.  All say what they saw in memory that outlives them.  Then the stream, which
 *         has every version once, is replayed in a plain model: each change must be the next one of the writer
 *         that it names, and give what that command gives on the model's value; commands that changed nothing, and
 *         reads, must fit the key as it was at the version that they told.  At the end the store's content is the
 *         model's.  A writer's changes must all be found, so nothing that was acknowledged is lost; an entry that
 *         no command explains is one that ran twice.
 *
 * BB_SEED  of the dice (default: the time), printed.   BB_STEPS  commands (4,000).   BB_KILLS  deaths (12).
 * Long     BB_STEPS=1000000 BB_KILLS=1000 build/dev/tests/process/store_model --timeout 100000
 *
 * bb-timeout: 240
 */
#include "tests/support/store_model.h"
#include "shm/os.h"
#include "tests/support/matrix.h"
#include "tests/support/store.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    KEYS = 48,
    HOMES = 6, /* a key's usual kind of value is its number modulo this */
    WRITERS = 3,
    MASTERS = 2,
    FRAME_MAX = 6,
    LOGS = 4096,
    ROWS = 256,
    VALUE_MAX = 8192,
    WAIT_MS = 60000,
    SLACK_NS = 20000000, /* between a wall clock read here and one read there */
    N_QUIT = 30
};

static uint64_t
dice(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- what they say ---- */

struct command {
    uint8_t op, key;
    uint16_t index_spec;
    uint32_t value_spec; /* 0: none */
    int64_t expire_ns;
    uint64_t if_version;
    int32_t code;
    uint32_t changed;
    uint64_t version, value_hash;
};

struct frame {
    uint32_t first, count, flags;
    bbi_u32 is_answered;
    uint64_t before, after; /* the store's version when it was sent, and when it was answered */
    int64_t before_ns, after_ns;
};

struct read {
    uint32_t key;
    int32_t code;
    uint64_t version, value_hash, before, after;
    int64_t before_ns, after_ns;
};

/* Of one writer or reader; it writes, and dies; others read then. */
struct log {
    bbi_u64 node_id;
    uint32_t frame_cap, command_cap, read_cap;
    bbi_u32 frames, commands, reads;
    struct frame *frame;
    struct command *command;
    struct read *read;
    /* for the replay */
    uint32_t at_frame, at_command;
    bool is_clearing;
};

struct entry {
    uint64_t version;
    uint64_t node_id;
    uint64_t value_hash, old_hash;
    int64_t wall_ns, expires_ns;
    uint32_t kind;
    int32_t key; /* -1: it is none of ours */
};

struct stream {
    bbi_u64 count, first_version;
    uint64_t cap;
    struct entry *entry;
};

static void *
shared(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    cr_assert_neq(p, MAP_FAILED, "%zu bytes to share", bytes);
    return p;
}

static struct log *
log_new(uint64_t commands, uint64_t reads)
{
    struct log *l = shared(sizeof(*l));
    l->command_cap = (uint32_t)commands + FRAME_MAX;
    l->frame_cap = l->command_cap;
    l->read_cap = (uint32_t)reads;
    l->frame = shared(l->frame_cap * sizeof(struct frame));
    l->command = shared(l->command_cap * sizeof(struct command));
    l->read = shared((reads + 1) * sizeof(struct read));
    return l;
}

/* ---- keys and values ---- */

static unsigned char key_bytes[KEYS][1024] __attribute__((aligned(8)));
static struct bb_value keys[KEYS];

static void
put_long(struct bb_builder *b, size_t bytes, char last)
{
    char text[700];
    memset(text, 'k', sizeof(text));
    text[bytes - 1] = last;
    bb_put_string(b, text, bytes);
}

static void
build_key(struct bb_builder *b, int k)
{
    uint8_t ip[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, (uint8_t)k};
    char text[32];
    int n = snprintf(text, sizeof(text), "key %d", k);
    switch (k % 16) {
    case 0: /* longer than a key of LMDB, and all alike but for the end */
        put_long(b, 600, (char)('a' + k / 16));
        break;
    case 1:
        put_long(b, 470 + (size_t)k / 16 * 5, 'k'); /* around the length at which hashing begins */
        break;
    case 2:
        bb_put_count(b, (uint64_t)k);
        break;
    case 3:
        bb_put_integer(b, -k);
        break;
    case 4:
        bb_put_real(b, k / 8.0);
        break;
    case 5:
        bb_put_address(b, ip);
        break;
    case 6:
        bb_put_subnet(b, ip, 8 + (uint32_t)k / 2);
        break;
    case 7:
        bb_put_port(b, (uint16_t)k, BB_PROTO_UDP);
        break;
    case 8:
        bb_put_timestamp(b, k);
        break;
    case 9:
        bb_put_timespan(b, k);
        break;
    case 10:
        bb_put_enum(b, text, (size_t)n);
        break;
    case 11:
        bb_put_set_begin(b);
        bb_put_count(b, (uint64_t)k);
        bb_put_string(b, text, (size_t)n);
        bb_put_end(b);
        break;
    case 12:
        bb_put_table_begin(b);
        bb_put_count(b, (uint64_t)k);
        bb_put_none(b);
        bb_put_end(b);
        break;
    case 13:
        bb_put_vector_begin(b);
        bb_put_string(b, "table", 5);
        bb_put_count(b, (uint64_t)k);
        bb_put_end(b);
        break;
    case 14:
        bb_put_vector_begin(b); /* a long one */
        put_long(b, 500, 'k');
        bb_put_count(b, (uint64_t)k);
        bb_put_end(b);
        break;
    default:
        bb_put_string(b, text, (size_t)n);
        break;
    }
}

static void
make_keys(void)
{
    for (int k = 0; k < KEYS; k++) {
        struct bb_builder b;
        bb_build_init(&b, key_bytes[k], sizeof(key_bytes[k]));
        build_key(&b, k);
        int64_t bytes = bb_build_end(&b);
        cr_assert_gt(bytes, 0, "key %d: %lld", k, (long long)bytes);
        cr_assert_eq(bb_value_open(&keys[k], key_bytes[k], (size_t)bytes), 0);
    }
}

static int32_t
which_key(const struct bb_value *key)
{
    for (int32_t k = 0; k < KEYS; k++) {
        if (bb_value_equal(&keys[k], key) == 1) {
            return k;
        }
    }
    return -1;
}

static const uint64_t EDGES[] = {0, 1, 2, 7, INT64_MAX, UINT64_MAX, UINT64_C(1) << 63};

static void
put_scalar(struct bb_builder *b, uint32_t kind, uint64_t r)
{
    char text[2048];
    switch (kind) {
    case 0:
        bb_put_count(b, r % 4 == 0 ? EDGES[r / 4 % 7] : r % 10);
        break;
    case 1:
        bb_put_timespan(b, r % 4 == 0 ? (int64_t)EDGES[r / 4 % 7] : (int64_t)(r % 1000));
        break;
    case 2: /* now and then one that needs pages of its own */
        memset(text, 'a' + (int)(r % 26), sizeof(text));
        bb_put_string(b, text, r % 16 == 0 ? sizeof(text) : r / 16 % 20);
        break;
    case 3:
        bb_put_integer(b, r % 4 == 0 ? (int64_t)EDGES[r / 4 % 7] : -(int64_t)(r % 10));
        break;
    case 4:
        bb_put_real(b, (double)(r % 100) / 4);
        break;
    default:
        bb_put_boolean(b, r % 2 == 0);
        break;
    }
}

static void
build_value(struct bb_builder *b, uint32_t spec)
{
    uint64_t state = spec, r = dice(&state);
    uint32_t kind = spec % 10;
    if (kind < 6) {
        put_scalar(b, kind, r);
        return;
    }
    if (kind == 6) {
        bb_put_set_begin(b);
    } else if (kind == 7) {
        bb_put_table_begin(b);
    } else if (kind == 8) {
        bb_put_vector_begin(b);
    } else {
        bb_put_none(b);
        return;
    }
    for (uint64_t i = 0; i < r % 5; i++) {
        bb_put_count(b, i * 2);
        if (kind == 7) {
            put_scalar(b, (uint32_t)(dice(&state) % 6), dice(&state));
        }
    }
    bb_put_end(b);
}

/* The value of a spec; none of 0. */
static struct bb_value
value_of(uint32_t spec, unsigned char *room)
{
    struct bb_value v = {.p = NULL};
    struct bb_builder b;
    if (spec == 0) {
        return v;
    }
    bb_build_init(&b, room, VALUE_MAX);
    build_value(&b, spec);
    int64_t bytes = bb_build_end(&b);
    if (bytes <= 0 || bb_value_open(&v, room, (size_t)bytes) != 0) {
        abort();
    }
    return v;
}

struct rooms {
    unsigned char value[VALUE_MAX], index[VALUE_MAX];
} __attribute__((aligned(8)));

static struct bb_store_cmd
cmd_of(const struct command *c, struct rooms *rooms)
{
    return (struct bb_store_cmd){
        .op = c->op,
        .expire_ns = c->expire_ns,
        .if_version = c->if_version,
        .key = c->op == BB_STORE_CLEAR ? (struct bb_value){.p = NULL} : keys[c->key],
        .value = value_of(c->value_spec, rooms->value),
        .index = value_of(c->index_spec, rooms->index),
    };
}

/* ---- a random command ---- */

static const uint8_t USUAL[HOMES][4] = {
    {BB_STORE_INCREMENT, BB_STORE_DECREMENT, BB_STORE_INCREMENT, BB_STORE_PUT_UNIQUE},
    {BB_STORE_INCREMENT, BB_STORE_DECREMENT, BB_STORE_PUT_IF, BB_STORE_EXPIRE},
    {BB_STORE_APPEND, BB_STORE_APPEND, BB_STORE_PUT_IF, BB_STORE_PUT_UNIQUE},
    {BB_STORE_INSERT, BB_STORE_INSERT, BB_STORE_REMOVE, BB_STORE_PUT},
    {BB_STORE_INSERT, BB_STORE_INSERT, BB_STORE_REMOVE, BB_STORE_ERASE},
    {BB_STORE_PUSH, BB_STORE_PUSH, BB_STORE_POP, BB_STORE_PUT},
};
static const uint32_t VALUE_KIND[HOMES] = {0, 1, 2, 6, 7, 8}, PART_KIND[HOMES] = {0, 1, 2, 0, 0, 3};

static uint32_t
spec_of(uint64_t r, uint32_t kind)
{
    return (uint32_t)(r % 100000) * 10 + 10 + kind;
}

/* What it carries, mostly of the kind that fits. */
static void
choose_values(uint64_t *d, struct command *c)
{
    uint32_t home = c->key % HOMES;
    bool is_wild = dice(d) % 8 == 0;
    bool is_whole = c->op <= BB_STORE_PUT_IF;
    uint32_t kind = is_wild ? (uint32_t)(dice(d) % 10) : (is_whole ? VALUE_KIND : PART_KIND)[home];
    if (c->op <= BB_STORE_PUT_IF || (c->op >= BB_STORE_INCREMENT && c->op <= BB_STORE_APPEND)
        || c->op == BB_STORE_PUSH || (c->op == BB_STORE_INSERT && (home == 4) != is_wild)) {
        c->value_spec = spec_of(dice(d), kind);
    }
    if (c->op == BB_STORE_INSERT || c->op == BB_STORE_REMOVE) {
        c->index_spec = (uint16_t)spec_of(dice(d) % 12, 0);
    }
}

static void
choose(uint64_t *d, struct command *c, const uint64_t *seen)
{
    uint64_t r = dice(d) % 1000;
    memset(c, 0, sizeof(*c));
    c->key = (uint8_t)(dice(d) % KEYS);
    c->op = r < 500   ? USUAL[c->key % HOMES][r % 4]
            : r < 503 ? BB_STORE_CLEAR
                      : (uint8_t)(1 + dice(d) % BB_STORE_GET);
    if (c->op == BB_STORE_CLEAR && r >= 503) {
        c->op = BB_STORE_GET;
    }
    choose_values(d, c);
    if (c->op == BB_STORE_PUT_IF && dice(d) % 3 != 0) {
        c->if_version = seen[c->key];
    }
    r = dice(d) % 100;
    if (c->op != BB_STORE_GET && c->op != BB_STORE_CLEAR && c->op != BB_STORE_ERASE) {
        c->expire_ns = r < 12   ? (int64_t)(1 + dice(d) % 40) * BBT_MS_NS
                       : r < 18 ? 30 * BBT_S_NS
                       : r < 22 ? BB_STORE_NEVER
                                : 0;
    }
}

/* ---- writers ---- */

struct hand {
    char name[24];
    struct bbt_served served; /* of a master */
    struct bb_store_opts opts;
    struct log *log;
    struct stream *stream;
    uint64_t seed;
    uint64_t steps;
};

struct writer {
    struct bbt_side *side;
    const struct hand *hand;
    struct bb_store *s;
    struct log *log;
    uint64_t d;
    uint64_t seen[KEYS]; /* versions, for PUT_IF */
    uint32_t answered;   /* frames */
    int64_t last_ticket;
    bool is_local;
};

static void
note_results(struct writer *w, struct frame *f, const struct bb_store_result *results)
{
    for (uint32_t i = 0; i < f->count; i++) {
        struct command *c = &w->log->command[f->first + i];
        c->code = results[i].code;
        c->changed = results[i].changed;
        c->version = results[i].version;
        c->value_hash = bbt_model_hash(&results[i].value);
        if (c->op != BB_STORE_CLEAR) {
            w->seen[c->key] = results[i].version;
        }
        BBT_CHECK(w->side, !w->is_local || bb_store_version(w->s) >= c->version,
                  "told version %llu, but reads %llu", (unsigned long long)c->version,
                  (unsigned long long)bb_store_version(w->s));
    }
    f->after = w->is_local ? bb_store_version(w->s) : UINT64_MAX;
    f->after_ns = bbi_os_wall_ns();
    bbi_store_release(&f->is_answered, 1);
    w->answered++;
}

static void
on_done(int64_t ticket, const struct bb_store_result *results, size_t count, void *user)
{
    struct writer *w = user;
    struct frame *f = &w->log->frame[w->answered];
    BBT_CHECK(w->side, ticket > w->last_ticket, "ticket %lld after %lld", (long long)ticket,
              (long long)w->last_ticket);
    BBT_CHECK(w->side, count == f->count, "%zu results of %u commands", count, f->count);
    w->last_ticket = ticket;
    note_results(w, f, results);
}

static struct frame *
new_frame(struct writer *w, struct bb_store_cmd *cmds, struct rooms *rooms)
{
    struct log *l = w->log;
    struct frame *f = &l->frame[l->frames];
    uint64_t r = dice(&w->d);
    f->first = l->commands;
    f->count = r % 5 < 3 ? 1 : 1 + (uint32_t)(r / 8 % FRAME_MAX);
    f->flags = f->count > 1 && r / 64 % 2 == 0 ? BB_STORE_ATOMIC : 0;
    for (uint32_t i = 0; i < f->count; i++) {
        choose(&w->d, &l->command[f->first + i], w->seen);
        cmds[i] = cmd_of(&l->command[f->first + i], &rooms[i]);
    }
    f->before = bb_store_version(w->s);
    f->before_ns = bbi_os_wall_ns();
    bbi_store_release(&l->commands, f->first + f->count);
    bbi_store_release(&l->frames, l->frames + 1);
    return f;
}

static void
run_one(struct writer *w)
{
    static struct rooms rooms[FRAME_MAX];
    struct bb_store_cmd cmds[FRAME_MAX];
    struct bb_store_result results[FRAME_MAX];
    int want = 0;
    struct frame *f = new_frame(w, cmds, rooms);
    memset(results, 0xee, sizeof(results));
    int rc = bb_store_run(w->s, cmds, f->count, f->flags, results);
    BBT_CHECK(w->side, rc != BB_ETIMEDOUT && rc != BB_EINVAL && rc != BB_EMSGSIZE,
              "%s: %u commands, the first %u: %d", w->hand->name, f->count, cmds[0].op, rc);
    for (uint32_t i = 0; i < f->count && want == 0; i++) {
        want = results[i].code;
    }
    BBT_CHECK(w->side, rc == want || (f->flags & BB_STORE_ATOMIC) != 0,
              "it returns %d, but the first code is %d", rc, want);
    note_results(w, f, results);
}

static void
send_some(struct writer *w)
{
    static struct rooms rooms[FRAME_MAX];
    struct bb_store_cmd cmds[FRAME_MAX];
    for (uint64_t n = 2 + dice(&w->d) % 8; n > 0 && w->log->commands < w->hand->steps; n--) {
        struct frame *f = new_frame(w, cmds, rooms);
        int64_t rc;
        while ((rc = bb_store_send(w->s, cmds, f->count, f->flags)) == BB_EAGAIN) {
            int polled = bb_store_poll(w->s, BBT_S_NS);
            BBT_CHECK(w->side, polled >= 0, "poll: %d", polled);
        }
        BBT_CHECK(w->side, rc > 0, "send: %lld", (long long)rc);
    }
    int rc = bb_store_idle(w->s, WAIT_MS * BBT_MS_NS);
    BBT_CHECK(w->side, rc == 0, "idle: %d", rc);
}

static void
note_read(struct log *l, uint32_t key, int rc, const struct bb_store_item *item, struct read r)
{
    if (l->reads == l->read_cap) {
        return;
    }
    r.key = key;
    r.code = rc;
    r.version = rc == 0 ? item->version : 0;
    r.value_hash = rc == 0 ? bbt_model_hash(&item->value) : 0;
    l->read[l->reads] = r;
    bbi_store_release(&l->reads, l->reads + 1);
}

static void
read_some(struct writer *w)
{
    for (int i = 0; i < 4; i++) {
        uint32_t k = (uint32_t)(dice(&w->d) % KEYS);
        struct bb_store_item item;
        struct read r = {.before = bb_store_version(w->s), .before_ns = bbi_os_wall_ns()};
        int rc = bb_store_get_item(w->s, &keys[k], &item);
        BBT_CHECK(w->side, rc == 0 || rc == BB_ENOENT, "get: %d", rc);
        r.after = w->is_local ? bb_store_version(w->s) : UINT64_MAX;
        r.after_ns = bbi_os_wall_ns();
        note_read(w->log, k, rc, &item, r);
    }
}

static void
writing(struct bbt_side *side, const void *arg)
{
    const struct hand *h = arg;
    static struct writer w;
    struct bb_store_opts o = h->opts;
    struct bb_endpoint *ep = bbt_endpoint(side, h->name, 0);
    w = (struct writer){.side = side, .hand = h, .log = h->log, .d = h->seed};
    w.is_local = (o.flags & BB_STORE_BY_REQUEST) == 0;
    o.done = on_done;
    o.user = &w;
    bbi_store_release(&h->log->node_id, bb_endpoint_id(ep));
    w.s = bbt_store(side, ep, &o);
    bbt_at(side, 1);
    while (h->log->commands < h->steps) {
        uint64_t r = dice(&w.d) % 10;
        if (r < 6) {
            run_one(&w);
        } else if (r < 8) {
            send_some(&w);
        } else {
            read_some(&w);
        }
    }
    bb_store_close(w.s);
    bb_endpoint_close(ep);
}

/* Whole views: what is there and what is not, all of one state. */
static void
viewing(struct bbt_side *side, const void *arg)
{
    const struct hand *h = arg;
    struct bb_endpoint *ep = bbt_endpoint(side, h->name, 0);
    struct bb_store *s = bbt_store(side, ep, &h->opts);
    bbt_at(side, 1);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        struct read r = {.before_ns = bbi_os_wall_ns()};
        int rc = bb_store_view_begin(s);
        BBT_CHECK(side, rc == 0, "view: %d", rc);
        r.before = r.after = bb_store_version(s);
        for (uint32_t k = 0; k < KEYS; k++) {
            struct bb_store_item item;
            rc = bb_store_get_item(s, &keys[k], &item);
            BBT_CHECK(side, rc == 0 || rc == BB_ENOENT, "get in a view: %d", rc);
            r.after_ns = bbi_os_wall_ns();
            note_read(h->log, k, rc, &item, r);
        }
        bb_store_view_end(s);
        bbt_nap();
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

/* ---- the stream ---- */

static void
note_change(struct bbt_side *side, struct stream *st, const struct bb_store_change *c)
{
    uint64_t n = bbi_load_relaxed(&st->count);
    BBT_CHECK(side, c->kind != BB_STORE_GAP, "a gap up to %llu", (unsigned long long)c->version);
    BBT_CHECK(side, n < st->cap, "more than %llu changes", (unsigned long long)st->cap);
    st->entry[n] = (struct entry){
        .version = c->version,
        .node_id = c->node_id,
        .value_hash = bbt_model_hash(&c->value),
        .old_hash = bbt_model_hash(&c->old),
        .wall_ns = c->wall_ns,
        .expires_ns = c->expires_ns,
        .kind = c->kind,
        .key = which_key(&c->key),
    };
    bbi_store_release(&st->count, n + 1);
}

static void
watching(struct bbt_side *side, const void *arg)
{
    const struct hand *h = arg;
    struct stream *st = h->stream;
    struct bb_endpoint *ep = bbt_endpoint(side, h->name, 0);
    struct bb_store *s = bbt_store(side, ep, &h->opts);
    struct bb_store_change c[32];
    struct bb_watch *w = NULL;
    uint64_t n = bbi_load_relaxed(&st->count), now = 0;
    uint64_t after = n > 0 ? st->entry[n - 1].version : bbi_load_relaxed(&st->first_version);
    int rc = bb_watch_open(&w, s, NULL, after, &now);
    BBT_CHECK(side, rc == 0, "watch: %d", rc);
    if (after == 0) {
        bbi_store_release(&st->first_version, now);
    }
    bbt_at(side, 1);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0
           || (n > 0 ? st->entry[n - 1].version : 0) < bbi_load_relaxed(&side->n[N_QUIT])) {
        int got = bb_watch_next(w, c, 32, 20 * BBT_MS_NS);
        BBT_CHECK(side, got >= 0, "watch: %d", got);
        for (int i = 0; i < got; i++) {
            note_change(side, st, &c[i]);
        }
        n = bbi_load_relaxed(&st->count);
    }
    bb_watch_close(w);
    bb_store_close(s);
    bb_endpoint_close(ep);
}

static void
compacting(struct bbt_side *side, const void *arg)
{
    const struct hand *h = arg;
    struct bb_endpoint *ep = bbt_endpoint(side, h->name, 0);
    struct bb_store *s = bbt_store(side, ep, &h->opts);
    bbt_at(side, 1);
    while (bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        /* A master that dies meanwhile leaves the old one: that it says so is enough. */
        int rc = bb_store_compact(s);
        BBT_CHECK(side, rc != BB_ETIMEDOUT && rc != BB_ECORRUPT, "compact: %d", rc);
        side->n[rc == 0 ? 0 : 1]++;
        bbi_os_sleep_ns(20 * BBT_MS_NS);
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

/* ---- the replay ---- */

struct slot {
    bool is_there;
    struct bb_value value;
    unsigned char *bytes;
    uint64_t version;
    int64_t deadline_ns; /* of the wall clock; 0: none */
};

/* A key's past: what it was from `version` on. */
struct past {
    uint64_t version;
    uint64_t value_hash; /* 0: it is not there */
    int64_t deadline_ns;
};
struct pasts {
    struct past *at;
    size_t count, cap;
};

static struct log *logs[LOGS];
static int log_count;
static struct slot slots[KEYS];
static struct pasts pasts[KEYS];
static struct entry *doing; /* for what is said when it fails */
static uint64_t checked_changes, checked_others, checked_reads;

#define FITS(cond, ...)                                                                            \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            say_where();                                                                           \
            cr_assert_fail(__VA_ARGS__);                                                           \
        }                                                                                          \
    } while (0)

static void
say_where(void)
{
    if (doing != NULL) {
        (void)fprintf(stderr, "at version %llu: kind %u of key %d, by node %#llx\n",
                      (unsigned long long)doing->version, doing->kind, doing->key,
                      (unsigned long long)doing->node_id);
    }
}

static void
remember(int k, struct past p)
{
    struct pasts *all = &pasts[k];
    if (all->count == all->cap) {
        all->cap = all->cap == 0 ? 64 : all->cap * 2;
        all->at = realloc(all->at, all->cap * sizeof(*all->at));
        cr_assert_not_null(all->at);
    }
    all->at[all->count++] = p;
}

static void
set_slot(int k, const struct bb_value *v, const struct entry *e, int64_t deadline_ns)
{
    struct slot *s = &slots[k];
    unsigned char *bytes = NULL;
    if (v != NULL) {
        bytes = aligned_alloc(8, (v->bytes + 7) / 8 * 8);
        cr_assert_not_null(bytes);
        memcpy(bytes, v->p, v->bytes);
    }
    free(s->bytes);
    *s = (struct slot){.is_there = v != NULL, .bytes = bytes, .version = e->version};
    if (v != NULL) {
        s->value = (struct bb_value){bytes, v->bytes};
        s->deadline_ns = deadline_ns;
    }
    remember(k,
             (struct past){e->version, v != NULL ? bb_value_hash(&s->value) : 0, s->deadline_ns});
}

/* The deadline that a change gives, as the stream says it, and whether that is right. */
static int64_t
deadline_after(const struct entry *e, const struct command *c)
{
    const struct slot *s = &slots[e->key];
    bool is_put = c->op <= BB_STORE_PUT_IF;
    int64_t old = s->is_there ? s->deadline_ns : 0;
    int64_t now = e->expires_ns == BB_STORE_NEVER ? 0 : e->wall_ns + e->expires_ns;
    if (c->expire_ns > 0) {
        FITS(e->expires_ns == c->expire_ns, "expires in %lld ns, asked for %lld",
             (long long)e->expires_ns, (long long)c->expire_ns);
    } else if (c->expire_ns == BB_STORE_NEVER || is_put || old == 0) {
        FITS(now == 0, "it expires, but was not to");
    } else {
        FITS(now - old < SLACK_NS && old - now < SLACK_NS, "its deadline moved by %lld ns",
             (long long)(now - old));
    }
    return now;
}

/* Whether this command, on the key as it is, is what the stream says. */
static bool
explains(const struct entry *e, const struct command *c, struct bbt_model_result *r)
{
    static struct rooms rooms;
    const struct slot *s = &slots[e->key];
    if (c->op == BB_STORE_CLEAR || c->key != e->key) {
        return false;
    }
    const struct bb_store_cmd cmd = cmd_of(c, &rooms);
    bbt_model_run(&cmd, s->is_there ? &s->value : NULL, s->version, r);
    if (r->code != 0) {
        return false;
    }
    uint32_t kind = !r->has_value ? BB_STORE_ERASED
                    : s->is_there ? BB_STORE_UPDATED
                                  : BB_STORE_INSERTED;
    return kind == e->kind && bbt_model_hash(&r->value) == e->value_hash;
}

static void
apply(const struct entry *e, const struct command *c, const struct bbt_model_result *r)
{
    int64_t deadline = r->has_value ? deadline_after(e, c) : 0;
    set_slot(e->key, r->has_value ? &r->value : NULL, e, deadline);
}

static void
check_answer(const struct entry *e, const struct command *c, const struct bbt_model_result *r)
{
    uint64_t version = r->has_value ? e->version : 0;
    FITS(c->code == 0, "command %u changed the key, but says %d", c->op, c->code);
    FITS(c->version == version, "command %u was told version %llu", c->op,
         (unsigned long long)c->version);
    FITS(c->value_hash == bbt_model_hash(&r->told), "command %u was told another value", c->op);
}

static bool
is_empty(void)
{
    for (int k = 0; k < KEYS; k++) {
        if (slots[k].is_there) {
            return false;
        }
    }
    return true;
}

/* One key of a CLEAR. */
static void
clear_one(struct log *l, const struct entry *e)
{
    FITS(e->kind == BB_STORE_ERASED && slots[e->key].is_there, "inside of a clear");
    set_slot(e->key, NULL, e, 0);
    l->is_clearing = !is_empty();
}

/* The last key of a CLEAR may have been due. */
static void
end_clears(void)
{
    for (int i = 0; i < log_count && is_empty(); i++) {
        logs[i]->is_clearing = false;
    }
}

static void
step_command(struct log *l)
{
    const struct frame *f = &l->frame[l->at_frame];
    if (++l->at_command == f->first + f->count) {
        l->at_frame++;
    }
}

/* The writer's next command that explains it.  Answered commands may not be passed over if they changed something. */
static void
attribute(struct log *l, const struct entry *e)
{
    struct bbt_model_result r;
    while (l->at_frame < l->frames) {
        const struct frame *f = &l->frame[l->at_frame];
        const struct command *c = &l->command[l->at_command];
        bool is_answered = bbi_load_relaxed(&f->is_answered) != 0;
        if (is_answered && c->changed == 0) {
            step_command(l);
            continue;
        }
        if (c->op == BB_STORE_CLEAR && e->kind == BB_STORE_ERASED) {
            l->is_clearing = true;
            step_command(l);
            clear_one(l, e);
            return;
        }
        if (explains(e, c, &r)) {
            if (is_answered) {
                check_answer(e, c, &r);
            }
            apply(e, c, &r);
            step_command(l);
            return;
        }
        FITS(!is_answered,
             "it is not what command %u on key %u (frame %u of %u) does, which is next", c->op,
             c->key, l->at_frame, l->frames);
        step_command(l); /* it changed nothing, or never ran, or was undone with its frame */
    }
    FITS(false, "no command of that node did it: one ran twice");
}

static struct log *
log_of(uint64_t node_id)
{
    for (int i = 0; i < log_count; i++) {
        if (bbi_load_relaxed(&logs[i]->node_id) == node_id) {
            return logs[i];
        }
    }
    return NULL;
}

static void
replay_one(struct entry *e, uint64_t version)
{
    doing = e;
    FITS(e->version == version, "version %llu was to come", (unsigned long long)version);
    FITS(e->key >= 0, "an unknown key");
    const struct slot *s = &slots[e->key];
    uint64_t old_hash = s->is_there ? bb_value_hash(&s->value) : 0;
    FITS(e->old_hash == old_hash,
         "the old value is another one: %#llx, the model has %#llx of version %llu",
         (unsigned long long)e->old_hash, (unsigned long long)old_hash,
         (unsigned long long)s->version);
    FITS(s->is_there == (e->kind != BB_STORE_INSERTED), "it was%s there",
         s->is_there ? "" : " not");
    bool is_due = s->is_there && s->deadline_ns != 0 && e->wall_ns > s->deadline_ns - SLACK_NS;
    if (e->kind == BB_STORE_EXPIRED) {
        FITS(is_due, "it expired too early");
        set_slot(e->key, NULL, e, 0);
        end_clears();
        return;
    }
    FITS(!s->is_there || s->deadline_ns == 0 || e->wall_ns < s->deadline_ns + SLACK_NS,
         "it was changed after its deadline");
    struct log *l = log_of(e->node_id);
    FITS(l != NULL, "an unknown node");
    if (l->is_clearing) {
        clear_one(l, e);
    } else {
        attribute(l, e);
    }
    checked_changes++;
}

/* ---- what changed nothing ---- */

/* The last state of the key that is not newer than the version; -1: it was not there yet. */
static long
past_at(int k, uint64_t version)
{
    long low = -1, high = (long)pasts[k].count;
    while (high - low > 1) {
        long mid = low + (high - low) / 2;
        if (pasts[k].at[mid].version <= version) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Whether the key can have been read as not there between these versions and times. */
static bool
was_absent(int k, uint64_t before, uint64_t after, int64_t after_ns)
{
    for (long i = past_at(k, before); i < (long)pasts[k].count; i++) {
        const struct past *p = i < 0 ? NULL : &pasts[k].at[i];
        if (p != NULL && p->version > after) {
            break;
        }
        if (p == NULL || p->value_hash == 0
            || (p->deadline_ns != 0 && p->deadline_ns <= after_ns + SLACK_NS)) {
            return true;
        }
    }
    return false;
}

static void
check_seen(int k, const struct read *r)
{
    if (r->code == BB_ENOENT) {
        FITS(was_absent(k, r->before, r->after, r->after_ns),
             "key %d was read as absent between %llu and %llu", k, (unsigned long long)r->before,
             (unsigned long long)r->after);
        return;
    }
    long i = past_at(k, r->version);
    FITS(i >= 0 && pasts[k].at[i].version == r->version, "key %d never had version %llu", k,
         (unsigned long long)r->version);
    const struct past *p = &pasts[k].at[i];
    const struct past *next = i + 1 < (long)pasts[k].count ? p + 1 : NULL;
    FITS(p->value_hash == r->value_hash && p->value_hash != 0,
         "key %d had another value at version %llu", k, (unsigned long long)r->version);
    FITS(p->version <= r->after && (next == NULL || next->version > r->before),
         "key %d: version %llu was read between %llu and %llu", k, (unsigned long long)p->version,
         (unsigned long long)r->before, (unsigned long long)r->after);
    FITS(p->deadline_ns == 0 || r->before_ns < p->deadline_ns + SLACK_NS,
         "key %d was read %lld ms after its deadline", k,
         (long long)((r->before_ns - p->deadline_ns) / BBT_MS_NS));
    checked_reads++;
}

/* A command that said no, or that found nothing to change: with the value of the version that it told. */
static void
check_unchanged(const struct frame *f, const struct command *c, const struct slot *s)
{
    static struct rooms rooms;
    struct bbt_model_result r;
    const struct bb_store_cmd cmd = cmd_of(c, &rooms);
    const struct bb_value *old = s != NULL ? &s->value : NULL;
    bbt_model_run(&cmd, old, c->version, &r);
    FITS(r.code == c->code, "command %u on key %u at version %llu says %d, the model %d", c->op,
         c->key, (unsigned long long)c->version, c->code, r.code);
    FITS(c->value_hash == bbt_model_hash(&r.told), "command %u was told another value", c->op);
    if (old != NULL && r.code == 0 && c->op != BB_STORE_GET) {
        FITS(r.has_value && bb_value_equal(old, &r.value) == 1,
             "command %u on key %u at version %llu changes it, but said it did not", c->op, c->key,
             (unsigned long long)c->version);
    }
    if (old == NULL) {
        FITS(was_absent(c->key, f->before, f->after, f->after_ns),
             "command %u did not find key %u between %llu and %llu", c->op, c->key,
             (unsigned long long)f->before, (unsigned long long)f->after);
    }
    checked_others++;
}

/* All or none: none. */
static bool
is_undone(const struct log *l, const struct frame *f)
{
    int failed = 0, undone = 0;
    if ((f->flags & BB_STORE_ATOMIC) == 0) {
        return false;
    }
    for (uint32_t i = 0; i < f->count; i++) {
        const struct command *c = &l->command[f->first + i];
        failed += c->code != 0 && c->code != BB_ECANCELED;
        undone += c->code == BB_ECANCELED;
    }
    if (failed + undone == 0) {
        return false;
    }
    FITS(failed == 1 && undone + 1 == (int)f->count, "atomic: %d failed, %d of %u were undone",
         failed, undone, f->count);
    for (uint32_t i = 0; i < f->count; i++) {
        FITS(l->command[f->first + i].changed == 0, "atomic: undone, but changed something");
    }
    return true;
}

struct unchanged {
    const struct frame *frame;
    const struct command *command;
};
static struct unchanged *later; /* by version */
static size_t later_count, later_cap, later_at;

static int
by_version(const void *a, const void *b)
{
    uint64_t x = ((const struct unchanged *)a)->command->version;
    uint64_t y = ((const struct unchanged *)b)->command->version;
    return x < y ? -1 : x > y;
}

static void
collect_frame(const struct log *l, const struct frame *f)
{
    if (bbi_load_relaxed(&f->is_answered) == 0 || is_undone(l, f)) {
        return;
    }
    for (uint32_t i = 0; i < f->count; i++) {
        const struct command *c = &l->command[f->first + i];
        if (c->changed != 0 || c->op == BB_STORE_CLEAR) {
            continue;
        }
        if (later_count == later_cap) {
            later_cap = later_cap == 0 ? 1024 : later_cap * 2;
            later = realloc(later, later_cap * sizeof(*later));
            cr_assert_not_null(later);
        }
        later[later_count++] = (struct unchanged){f, c};
    }
}

static void
collect_unchanged(void)
{
    for (int i = 0; i < log_count; i++) {
        for (uint32_t f = 0; f < logs[i]->frames; f++) {
            collect_frame(logs[i], &logs[i]->frame[f]);
        }
    }
    if (later_count > 0) {
        qsort(later, later_count, sizeof(*later), by_version);
    }
    while (later_at < later_count && later[later_at].command->version == 0) {
        later_at++; /* those that found nothing: when the whole past is known */
    }
}

static void
check_unchanged_at(uint64_t version)
{
    for (; later_at < later_count && later[later_at].command->version == version; later_at++) {
        const struct command *c = later[later_at].command;
        FITS(slots[c->key].is_there && slots[c->key].version == version,
             "command %u on key %u was told version %llu, which is another key's", c->op, c->key,
             (unsigned long long)version);
        check_unchanged(later[later_at].frame, c, &slots[c->key]);
    }
}

static void
check_rest(void)
{
    doing = NULL;
    FITS(later_at == later_count, "version %llu was told, but never was",
         (unsigned long long)later[later_at].command->version);
    for (size_t i = 0; i < later_count && later[i].command->version == 0; i++) {
        check_unchanged(later[i].frame, later[i].command, NULL);
    }
    for (int i = 0; i < log_count; i++) {
        struct log *l = logs[i];
        for (uint32_t n = 0; n < bbi_load_relaxed(&l->reads); n++) {
            check_seen((int)l->read[n].key, &l->read[n]);
        }
        for (; l->at_frame < l->frames; step_command(l)) {
            const struct frame *f = &l->frame[l->at_frame];
            FITS(bbi_load_relaxed(&f->is_answered) == 0 || l->command[l->at_command].changed == 0
                     || l->command[l->at_command].op == BB_STORE_CLEAR,
                 "an acknowledged change is lost: command %u on key %u, version %llu",
                 l->command[l->at_command].op, l->command[l->at_command].key,
                 (unsigned long long)l->command[l->at_command].version);
        }
    }
}

static void
replay(struct stream *st)
{
    uint64_t count = bbi_load_acquire(&st->count), first = bbi_load_relaxed(&st->first_version);
    cr_assert_eq(first, 0, "the watch began at %llu", (unsigned long long)first);
    collect_unchanged();
    for (uint64_t i = 0; i < count; i++) {
        replay_one(&st->entry[i], first + 1 + i);
        check_unchanged_at(first + 1 + i);
    }
    check_rest();
}

/* Key by key, and by scanning. */
static void
check_content(struct bb_store *s, const char *who)
{
    struct bb_store_item items[KEYS + 1];
    int64_t there = 0, n = 0;
    for (int k = 0; k < KEYS; k++) {
        struct bb_store_item item;
        int rc = bb_store_get_item(s, &keys[k], &item);
        bool is_due = slots[k].deadline_ns != 0;
        cr_assert_eq(rc, slots[k].is_there ? (is_due && rc != 0 ? rc : 0) : BB_ENOENT,
                     "%s: key %d: %d", who, k, rc);
        if (rc == 0) {
            cr_assert_eq(item.version, slots[k].version, "%s: key %d", who, k);
            cr_assert_eq(bb_value_equal(&item.value, &slots[k].value), 1, "%s: key %d", who, k);
            there++;
        }
    }
    n = bb_store_scan(s, NULL, NULL, items, KEYS + 1);
    cr_assert_eq(n, there, "%s: scan finds %lld of %lld", who, (long long)n, (long long)there);
    for (int64_t i = 0; i < n; i++) {
        int32_t k = which_key(&items[i].key);
        cr_assert(k >= 0 && slots[k].is_there && items[i].version == slots[k].version);
        cr_assert_eq(bb_value_equal(&items[i].value, &slots[k].value), 1, "%s: scan %d", who, k);
    }
}

/* ---- the play ---- */

struct play {
    struct bb_store_opts opts; /* of masters */
    uint64_t d, steps, kills;
    uint32_t named;
    struct hand hand[WRITERS], master[MASTERS], watch[2], view, compact;
    struct bbt_child writer[WRITERS], server[MASTERS], watcher[2], viewer, compacter;
    uint64_t deaths, hook_deaths;
};
static struct play play;

static struct hand
hand_new(const char *what, uint32_t flags)
{
    struct hand h = {.seed = dice(&play.d)};
    (void)snprintf(h.name, sizeof(h.name), "%s-%u", what, ++play.named);
    h.opts = (struct bb_store_opts){
        .name = "model", .flags = flags, .timeout_ns = WAIT_MS * BBT_MS_NS, .window = 8};
    return h;
}

static void
start_writer(int i, uint64_t steps)
{
    cr_assert_lt(log_count, LOGS);
    play.hand[i] = hand_new("writer", i == 1 ? BB_STORE_BY_REQUEST : 0);
    play.hand[i].steps = steps;
    play.hand[i].log = logs[log_count++] = log_new(steps, steps);
    bbt_fork(&play.writer[i], "writer", writing, &play.hand[i]);
}

/* A hook at which masters are killed in kill_matrix.txt; NULL when this build has none. */
static const char *
some_hook(void)
{
    static struct bbt_row rows[ROWS];
    size_t count = bbt_rows(rows, ROWS, true);
    return count == 0 ? NULL : rows[dice(&play.d) % count].hook;
}

static void
start_master(int i, uint32_t role)
{
    struct hand *h = &play.master[i];
    *h = hand_new("master", 0);
    h->served = (struct bbt_served){.node = h->name, .opts = play.opts};
    h->served.opts.role = role;
    if (role == BB_STORE_STANDBY && dice(&play.d) % 2 == 0) {
        h->served.hook = some_hook();
        h->served.kth = 1 + (uint32_t)(dice(&play.d) % 100);
        h->served.is_hooked_early = true;
    }
    bbt_fork(&play.server[i], "master", bbt_serve, &h->served);
}

static void
start_watcher(int i)
{
    struct hand h = hand_new("watch", 0);
    h.stream = play.watch[i].stream;
    play.watch[i] = h;
    bbt_fork(&play.watcher[i], "watcher", watching, &play.watch[i]);
}

static void
respawn_gone_masters(void)
{
    for (int i = 0; i < MASTERS; i++) {
        bbt_check_alive(&play.server[i]);
        if (play.server[i].is_gone) {
            play.hook_deaths += bbi_load_relaxed(&play.server[i].side->hit) > 0;
            play.deaths++;
            bbt_side_free(play.server[i].side);
            start_master(i, BB_STORE_STANDBY);
        }
    }
}

static uint64_t
steps_done(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < log_count; i++) {
        sum += bbi_load_acquire(&logs[i]->commands);
    }
    return sum;
}

static void
kill_one(struct bbt_child *c)
{
    if (!c->is_gone) {
        (void)kill(c->pid, SIGKILL);
        bbt_wait_kill(c, WAIT_MS);
    }
}

static void
kill_somebody(void)
{
    uint64_t r = dice(&play.d) % 10;
    int i = (int)(dice(&play.d) % WRITERS);
    if (r < 6) { /* who is the master, if somebody is */
        int m = bbi_load_acquire(&play.server[0].side->n[BBT_N_IS_MASTER]) == 1 ? 0 : 1;
        bbt_check_alive(&play.server[m]);
        kill_one(&play.server[m]);
    } else if (r < 8) {
        kill_one(&play.watcher[1]);
        play.deaths++;
        start_watcher(1);
    } else if (bbi_load_acquire(&play.hand[i].log->commands) + 20 < play.hand[i].steps) {
        bbt_check_alive(&play.writer[i]);
        if (!play.writer[i].is_gone) {
            kill_one(&play.writer[i]);
            play.deaths++;
            start_writer(i, play.hand[i].steps - bbi_load_acquire(&play.hand[i].log->commands));
        }
    }
    respawn_gone_masters();
}

static bool
are_writing(void)
{
    bool is_busy = false;
    for (int i = 0; i < WRITERS; i++) {
        bbt_check_alive(&play.writer[i]);
        is_busy = is_busy || !play.writer[i].is_gone;
    }
    return is_busy;
}

static void
begin(const char *path)
{
    uint64_t cap = play.steps * 8 + 10000;
    play.opts = (struct bb_store_opts){.name = "model",
                                       .path = path,
                                       .quota_bytes = UINT64_C(1) << 30,
                                       .timeout_ns = WAIT_MS * BBT_MS_NS};
    start_master(0, BB_STORE_MASTER);
    bbt_wait_at(&play.server[0], BBT_SERVE_READY, WAIT_MS);
    start_master(1, BB_STORE_STANDBY);
    for (int i = 0; i < 2; i++) {
        struct stream *st = shared(sizeof(*st));
        st->cap = cap;
        st->entry = shared(cap * sizeof(struct entry));
        play.watch[i].stream = st;
        start_watcher(i);
        bbt_wait_at(&play.watcher[i], 1, WAIT_MS);
    }
    play.view = hand_new("viewer", 0);
    play.view.log = logs[log_count++] = log_new(0, 1 << 20);
    bbt_fork(&play.viewer, "viewer", viewing, &play.view);
    play.compact = hand_new("compacter", 0);
    bbt_fork(&play.compacter, "compacter", compacting, &play.compact);
    for (int i = 0; i < WRITERS; i++) {
        start_writer(i, play.steps / WRITERS);
    }
}

static void
quit(struct bbt_child *c, uint64_t word)
{
    bbi_store_release(&c->side->n[N_QUIT], word);
    bbt_wait_end(c, WAIT_MS);
}

static void
compare_streams(const struct stream *a, const struct stream *b)
{
    uint64_t count = bbi_load_relaxed(&a->count);
    cr_assert_eq(count, bbi_load_relaxed(&b->count), "%llu changes, the mortal watcher saw %llu",
                 (unsigned long long)count, (unsigned long long)bbi_load_relaxed(&b->count));
    for (uint64_t i = 0; i < count; i++) {
        cr_assert_eq(memcmp(&a->entry[i], &b->entry[i], sizeof(a->entry[i])), 0,
                     "the watchers differ at change %llu", (unsigned long long)i);
    }
}

static void
run_play(const char *path)
{
    uint64_t seed = bbt_number("BB_SEED", (uint64_t)bbi_os_wall_ns());
    struct bbt_side *me = bbt_side_new();
    memset(&play, 0, sizeof(play));
    play.d = seed;
    play.steps = bbt_number("BB_STEPS", 4000);
    play.kills = bbt_number("BB_KILLS", 12);
    (void)printf("BB_SEED=%llu BB_STEPS=%llu BB_KILLS=%llu\n", (unsigned long long)seed,
                 (unsigned long long)play.steps, (unsigned long long)play.kills);
    (void)fflush(stdout);
    make_keys();
    begin(path);
    while (are_writing()) {
        uint64_t due = steps_done() * (play.kills + 1) / play.steps;
        if (play.deaths < due && play.deaths < play.kills) {
            kill_somebody();
        }
        respawn_gone_masters();
        bbt_nap();
    }
    bbi_store_release(&play.viewer.side->n[N_QUIT], 1);
    quit(&play.compacter, 1);
    quit(&play.viewer, 1);
    struct bb_endpoint *ep = bbt_endpoint(me, "checker", 0);
    const struct bb_store_opts o = {.name = "model", .timeout_ns = WAIT_MS * BBT_MS_NS};
    struct bb_store *s = bbt_store(me, ep, &o);
    struct bb_store_result result;
    /* Whatever was due is swept by now; nothing else is to come but the keys of 30 s. */
    cr_assert_eq(
        bb_store_run(s, &(struct bb_store_cmd){.op = BB_STORE_GET, .key = keys[0]}, 1, 0, &result),
        result.code);
    uint64_t last = bb_store_version(s);
    for (int i = 0; i < 2; i++) {
        if (last > 0) {
            quit(&play.watcher[i], last);
        }
    }
    for (int i = 0; i < 2; i++) {
        struct stream *st = play.watch[i].stream;
        while (bbi_load_relaxed(&st->count) > last) { /* keys that expired meanwhile */
            bbi_store_relaxed(&st->count, bbi_load_relaxed(&st->count) - 1);
        }
    }
    compare_streams(play.watch[0].stream, play.watch[1].stream);
    replay(play.watch[0].stream);
    (void)printf(
        "%llu deaths (%llu at hooks), %llu changes, %llu other results and %llu reads fit; "
        "%llu compactions, %llu cut short\n",
        (unsigned long long)play.deaths, (unsigned long long)play.hook_deaths,
        (unsigned long long)checked_changes, (unsigned long long)checked_others,
        (unsigned long long)checked_reads, (unsigned long long)play.compacter.side->n[0],
        (unsigned long long)play.compacter.side->n[1]);
    check_content(s, "in place");
    bb_store_close(s);
    const struct bb_store_opts by = {
        .name = "model", .flags = BB_STORE_BY_REQUEST, .timeout_ns = WAIT_MS * BBT_MS_NS};
    s = bbt_store(me, ep, &by);
    check_content(s, "by request");
    bb_store_close(s);
    bb_endpoint_close(ep);
    for (int i = 0; i < MASTERS; i++) {
        bbt_check_alive(&play.server[i]);
        if (!play.server[i].is_gone) {
            bbt_order(&play.server[i], BBT_SERVE_QUIT);
        }
    }
    cr_assert_gt(checked_changes, play.steps / 4, "most of it has to do something");
    cr_assert_gt(play.compacter.side->n[0], 0, "no compaction came to its end");
}

Test(store_model, in_memory, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110)
{
    run_play(NULL);
}

Test(store_model, persistent, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/model-dir", bbt_dir());
    run_play(path);
}

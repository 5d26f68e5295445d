/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what a master does with frames, good and bad ones: each is answered once with what it did, a repeated one with
 * what it did then, none runs before its turn, what is no frame does no harm, and the next master goes on from there.
 * Method: master and sender on a bus of their own in one thread; the sender writes frames by hand, so that every
 * number, part and byte is the test's.  Nothing depends on time passing: both are polled until the answer is there.
 */
#include "busbar/request.h"
#include "lib/endpoint/for_store.h"
#include "lib/store/store_impl.h"
#include "shm/os.h"
#include "tests/unit/lib/random_value.h"
#include "tests/unit/shm/bus_dir.h"
#include <busbar/store.h>

TestSuite(store_master, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

#define S_NS INT64_C(1000000000)
enum { BUF = 256 };

struct val {
    unsigned char p[BUF];
};

static struct bb_value
string_of(struct val *v, const char *s)
{
    struct bb_builder b;
    bb_build_init(&b, v->p, BUF);
    bb_put_string(&b, s, strlen(s));
    return (struct bb_value){v->p, (size_t)bb_build_end(&b)};
}

static struct bb_value
count_of(struct val *v, uint64_t n)
{
    struct bb_builder b;
    bb_build_init(&b, v->p, BUF);
    bb_put_count(&b, n);
    return (struct bb_value){v->p, (size_t)bb_build_end(&b)};
}

/* ---- a master, and who sends ---- */

static struct bb_endpoint *
endpoint_of(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

static struct bb_store *
master_of(struct bb_endpoint *ep, uint64_t quota_bytes, const struct bb_store_clock *clock)
{
    struct bb_error e = {0};
    struct bb_store *s = NULL;
    const struct bb_store_opts o = {.size = sizeof(o),
                                    .name = "st",
                                    .role = BB_STORE_MASTER,
                                    .quota_bytes = quota_bytes,
                                    .clock = clock,
                                    .error = &e};
    int rc = bb_store_open(&s, ep, &o);
    cr_assert_eq(rc, 0, "%s: %s", bb_strerror(rc), e.sentence);
    return s;
}

struct sender {
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
    struct bb_topic *topic;
    struct bbi_client_id id;
    uint64_t number, answered;
};

static void
sender_open(struct sender *c, const char *name, uint8_t id)
{
    *c = (struct sender){.ep = endpoint_of(name)};
    memset(&c->id, id, sizeof(c->id));
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_CONTROL};
    const struct bb_subscriber_opts so = {.size = sizeof(so)};
    cr_assert_eq(bb_publisher_open(&c->pub, c->ep, &po), 0);
    cr_assert_eq(bb_subscriber_open(&c->sub, c->ep, &so), 0);
    cr_assert_eq(
        bbi_reserved_open(&c->topic, c->pub, BBI_STORE_TOPIC "st/", strlen(BBI_STORE_TOPIC) + 3),
        0);
}

static void
sender_close(struct sender *c)
{
    bb_endpoint_close(c->ep);
    bbi_reserved_close(c->topic);
}

/* Part head and frame; the caller frees. */
static unsigned char *
frame_of(const struct sender *c,
         uint32_t kind,
         uint32_t flags,
         const struct bb_store_cmd *cmds,
         uint32_t count,
         size_t *bytes)
{
    const struct bbi_frame_head head = {
        .kind = kind, .flags = flags, .number = c->number, .answered = c->answered, .count = count};
    int64_t n = bbi_frame_bytes(cmds, count);
    cr_assert_gt(n, 0);
    unsigned char *p = malloc(sizeof(struct bbi_part_head) + (size_t)n);
    cr_assert_not_null(p);
    const struct bbi_part_head part = {.magic = BBI_FRAME_MAGIC,
                                       .parts = 1,
                                       .number = c->number,
                                       .frame_bytes = (uint64_t)n,
                                       .client = c->id};
    memcpy(p, &part, sizeof(part));
    cr_assert_eq(bbi_frame_write(p + sizeof(part), (size_t)n, &head, cmds), 0);
    *bytes = sizeof(part) + (size_t)n;
    return p;
}

static void
send_bytes(struct sender *c, const void *p, size_t bytes)
{
    const struct bb_request_opts o = {.size = sizeof(o), .timeout_ns = 30 * S_NS, .answers = 1};
    uint64_t id;
    int rc = bb_request(c->topic, c->sub, p, bytes, BB_STORE | BB_NATIVE, &o, &id);
    cr_assert_eq(rc, 0, "%s", bb_strerror(rc));
}

/* What came back. */
struct told {
    int code; /* of bb_reply_error(), 0: an answer */
    struct bbi_answer_head head;
    struct bb_store_result results[32];
    unsigned char *raw;
    size_t raw_bytes;
};

static void
told_read(struct told *t)
{
    const struct bbi_bytes raw = {t->raw, t->raw_bytes};
    size_t off = 0;
    cr_assert_eq(bbi_answer_read(&t->head, raw), 0);
    for (uint32_t i = 0; i < t->head.count && i < 32; i++) {
        cr_assert_eq(bbi_answer_next(raw, &off, &t->results[i]), 0);
    }
}

/* Polls the master until the sender has a whole reply. */
static struct told
wait_told(struct sender *c, struct bb_store *s)
{
    struct told t = {0};
    int64_t end = bbi_os_mono_ns() + 20 * S_NS;
    while (bbi_os_mono_ns() < end) {
        struct bb_msg m;
        struct bb_reply_info info;
        int rc = s != NULL ? bb_store_poll(s, 0) : 0;
        cr_assert_geq(rc, 0, "%s", bb_strerror(rc));
        if (bb_poll(c->sub, &m, 1, 0) != 1 || bb_msg_reply(&m, &info) != 0 || info.is_end != 0) {
            continue;
        }
        if (info.code < 0) {
            t.code = info.code;
            return t;
        }
        t.raw = realloc(t.raw, t.raw_bytes + m.bytes + 1);
        cr_assert_not_null(t.raw);
        memcpy(t.raw + t.raw_bytes, m.data, m.bytes);
        t.raw_bytes += m.bytes;
        if (info.has_more == 0) {
            told_read(&t);
            return t;
        }
    }
    cr_assert(false, "no answer came");
    return t;
}

static struct told
run_kind(struct sender *c,
         struct bb_store *s,
         uint32_t kind,
         uint32_t flags,
         const struct bb_store_cmd *cmds,
         uint32_t count)
{
    size_t bytes;
    unsigned char *p = frame_of(c, kind, flags, cmds, count, &bytes);
    send_bytes(c, p, bytes);
    free(p);
    return wait_told(c, s);
}

/* The next number, everything before it answered. */
static struct told
run(struct sender *c,
    struct bb_store *s,
    uint32_t flags,
    const struct bb_store_cmd *cmds,
    uint32_t count)
{
    c->answered = c->number++;
    return run_kind(c, s, BBI_FRAME_COMMANDS, flags, cmds, count);
}

static uint64_t
number_in(const struct bb_value *v)
{
    uint64_t n = 0;
    cr_assert_eq(bb_get_count(v, &n), 0);
    return n;
}

struct bench {
    struct bb_endpoint *ep;
    struct bb_store *s;
    struct sender c;
    struct val k, v;
    struct bb_store_cmd add; /* one to the key "n" */
};

static void
bench_open(struct bench *b)
{
    b->ep = endpoint_of("master");
    b->s = master_of(b->ep, 0, NULL);
    sender_open(&b->c, "sender", 1);
    b->add = (struct bb_store_cmd){
        .op = BB_STORE_INCREMENT, .key = string_of(&b->k, "n"), .value = count_of(&b->v, 1)};
}

static void
bench_close(struct bench *b)
{
    sender_close(&b->c);
    bb_store_close(b->s);
    bb_endpoint_close(b->ep);
}

/* ---- frames ---- */

Test(store_master, each_command_has_its_result)
{
    struct bench b;
    bench_open(&b);
    struct bb_store_cmd cmds[4] = {b.add, b.add, b.add, {.op = BB_STORE_POP, .key = b.add.key}};
    struct told t = run(&b.c, b.s, 0, cmds, 4);
    cr_assert(t.code == 0 && t.head.count == 4 && t.head.number == 1 && t.head.flags == 0);
    for (uint64_t i = 0; i < 3; i++) {
        cr_assert(t.results[i].code == 0 && t.results[i].version == i + 1);
        cr_assert_eq(number_in(&t.results[i].value), i + 1);
    }
    cr_assert(t.results[3].code == BB_ETYPE && t.results[3].version == 3);
    cr_assert_eq(t.head.version, 3u);
    cr_assert_eq(bb_store_version(b.s), 3u);
    free(t.raw);
    bench_close(&b);
}

Test(store_master, a_frame_that_comes_again_is_told_what_it_did)
{
    struct bench b;
    bench_open(&b);
    struct told t = run(&b.c, b.s, 0, &b.add, 1);
    cr_assert_eq(number_in(&t.results[0].value), 1u);
    free(t.raw);
    for (int i = 0; i < 3; i++) {
        t = run_kind(&b.c, b.s, BBI_FRAME_COMMANDS, 0, &b.add, 1);
        cr_assert(t.code == 0 && t.head.flags == 1);
        cr_assert_eq(number_in(&t.results[0].value), 1u);
        free(t.raw);
        if (i == 1) { /* also by the next master */
            bb_store_close(b.s);
            b.s = master_of(b.ep, 0, NULL);
        }
    }
    cr_assert_eq(bb_store_version(b.s), 1u);
    cr_assert_eq(bbi_load_relaxed(&b.s->dir.ctl->repeated), 3u);
    bench_close(&b);
}

Test(store_master, none_runs_before_its_turn)
{
    struct bench b;
    bench_open(&b);
    b.c.number = 3;
    b.c.answered = 0;
    struct told t = run_kind(&b.c, b.s, BBI_FRAME_COMMANDS, 0, &b.add, 1);
    cr_assert_eq(t.code, BB_EAGAIN);
    for (b.c.number = 1; b.c.number <= 3; b.c.number++) {
        t = run_kind(&b.c, b.s, BBI_FRAME_COMMANDS, 0, &b.add, 1);
        cr_assert_eq(t.code, 0);
        free(t.raw);
    }
    b.c.number = 6; /* 4 and 5 were given up */
    b.c.answered = 5;
    t = run_kind(&b.c, b.s, BBI_FRAME_COMMANDS, 0, &b.add, 1);
    cr_assert_eq(number_in(&t.results[0].value), 4u);
    free(t.raw);
    b.c.number = 40;
    b.c.answered = 6;
    t = run_kind(&b.c, b.s, BBI_FRAME_COMMANDS, 0, &b.add, 1);
    cr_assert_eq(t.code, BB_EINVAL, "more than 16 cannot be open");
    b.c.number = 22;
    b.c.answered = 21;
    t = run_kind(&b.c, b.s, BBI_FRAME_COMMANDS, 0, &b.add, 1);
    cr_assert_eq(t.code, 0);
    free(t.raw);
    b.c.number = 6;
    b.c.answered = 5;
    t = run_kind(&b.c, b.s, BBI_FRAME_COMMANDS, 0, &b.add, 1);
    cr_assert_eq(t.code, BB_ECANCELED, "its place is another's");
    cr_assert_eq(bb_store_version(b.s), 5u);
    bench_close(&b);
}

Test(store_master, all_or_none)
{
    struct bench b;
    struct val k;
    bench_open(&b);
    struct bb_store_cmd cmds[3] = {b.add, b.add, b.add};
    cmds[2] = (struct bb_store_cmd){.op = BB_STORE_POP, .key = string_of(&k, "none")};
    struct told t = run(&b.c, b.s, BB_STORE_ATOMIC, cmds, 3);
    cr_assert(t.results[0].code == BB_ECANCELED && t.results[1].code == BB_ECANCELED);
    cr_assert(t.results[0].changed == 0 && t.results[0].value.p == NULL);
    cr_assert_eq(t.results[2].code, BB_ENOENT);
    cr_assert_eq(bb_store_version(b.s), 0u);
    free(t.raw);
    t = run(&b.c, b.s, BB_STORE_ATOMIC, cmds, 2);
    cr_assert(t.results[0].code == 0 && t.results[1].code == 0);
    cr_assert_eq(number_in(&t.results[1].value), 2u);
    free(t.raw);
    struct bb_store_result own[3];
    cr_assert_eq(bb_store_run(b.s, cmds, 3, BB_STORE_ATOMIC, own), BB_ENOENT);
    cr_assert(own[0].code == BB_ECANCELED && own[2].code == BB_ENOENT);
    cr_assert_eq(bb_store_run(b.s, cmds, 2, 0, own), 0);
    cr_assert_eq(number_in(&own[1].value), 4u);
    bench_close(&b);
}

/* ---- what is no frame ---- */

Test(store_master, what_is_no_frame_does_no_harm)
{
    struct bench b;
    size_t bytes;
    bench_open(&b);
    rnd_seed("store_master");
    b.c.number = 1;
    unsigned char *good = frame_of(&b.c, BBI_FRAME_COMMANDS, 0, &b.add, 1, &bytes);
    for (size_t cut = 0; cut < bytes; cut += 7) {
        send_bytes(&b.c, good, cut);
        struct told t = wait_told(&b.c, b.s);
        cr_assert_eq(t.code, BB_ECORRUPT, "cut at %zu", cut);
    }
    for (int i = 0; i < 600; i++) {
        size_t bit = rnd_below((uint32_t)bytes * 8);
        good[bit / 8] ^= (unsigned char)(1u << bit % 8);
        send_bytes(&b.c, good, bytes);
        if (i % 3 == 0) { /* no request: nobody is told */
            cr_assert_eq(bb_publish(b.c.topic, good, bytes, BB_STORE), 0);
        }
        good[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_assert_geq(bb_store_poll(b.s, 0), 0);
        struct bb_msg m[8];
        (void)!bb_poll(b.c.sub, m, 8, 0);
    }
    free(good);
    struct sender other;
    sender_open(&other, "other", 2);
    struct told t = run(&other, b.s, 0, &b.add, 1);
    cr_assert_eq(t.code, 0);
    free(t.raw);
    cr_assert_gt(bbi_load_relaxed(&b.s->dir.ctl->refused), 0u);
    sender_close(&other);
    bench_close(&b);
}

/* A frame in parts, each of `most` bytes; `skip`: this one is not sent. */
static void
send_parts(struct sender *c, const unsigned char *frame, size_t bytes, size_t most, uint32_t skip)
{
    unsigned char *p = malloc(sizeof(struct bbi_part_head) + most);
    cr_assert_not_null(p);
    uint32_t parts = (uint32_t)((bytes + most - 1) / most);
    for (uint32_t i = 0; i < parts; i++) {
        size_t n = i + 1 < parts ? most : bytes - (size_t)i * most;
        const struct bbi_part_head head = {.magic = BBI_FRAME_MAGIC,
                                           .part = i,
                                           .parts = parts,
                                           .number = c->number,
                                           .frame_bytes = bytes,
                                           .client = c->id};
        memcpy(p, &head, sizeof(head));
        memcpy(p + sizeof(head), frame + (size_t)i * most, n);
        if (i == skip) {
            continue;
        }
        if (i + 1 < parts) {
            cr_assert_eq(bb_publish(c->topic, p, sizeof(head) + n, BB_STORE), 0);
        } else {
            send_bytes(c, p, sizeof(head) + n);
        }
    }
    free(p);
}

Test(store_master, a_frame_in_parts_is_put_together)
{
    struct bench b;
    size_t bytes;
    bench_open(&b);
    struct bb_store_cmd cmds[32];
    for (int i = 0; i < 32; i++) {
        cmds[i] = b.add;
    }
    b.c.number = 1;
    unsigned char *p = frame_of(&b.c, BBI_FRAME_COMMANDS, 0, cmds, 32, &bytes);
    const unsigned char *frame = p + sizeof(struct bbi_part_head);
    bytes -= sizeof(struct bbi_part_head);
    for (uint32_t skip = 0; skip < 3; skip++) {
        send_parts(&b.c, frame, bytes, 100, skip);
        struct told t = wait_told(&b.c, b.s);
        cr_assert_eq(t.code, BB_EAGAIN, "part %u is missing", skip);
    }
    send_parts(&b.c, frame, bytes, 100, UINT32_MAX);
    struct told t = wait_told(&b.c, b.s);
    cr_assert_eq(t.code, 0);
    cr_assert_eq(number_in(&t.results[31].value), 32u);
    free(t.raw);
    free(p);
    bench_close(&b);
}

/* ---- other kinds ---- */

Test(store_master, a_log_is_kept_while_somebody_watches)
{
    struct bench b;
    bench_open(&b);
    const struct bbi_store_ctl *ctl = b.s->dir.ctl;
    struct told t = run(&b.c, b.s, 0, &b.add, 1);
    free(t.raw);
    cr_assert_eq(bbi_load_relaxed(&ctl->has_log), 0u);
    b.c.answered = b.c.number++;
    t = run_kind(&b.c, b.s, BBI_FRAME_WATCH, 0, NULL, 0);
    cr_assert(t.code == 0 && t.head.count == 0 && t.head.version == 1);
    free(t.raw);
    cr_assert_eq(bbi_load_relaxed(&ctl->has_log), 1u);
    cr_assert_eq(bbi_load_relaxed(&ctl->log_first), 2u);
    t = run(&b.c, b.s, 0, &b.add, 1);
    free(t.raw);
    cr_assert_gt(bbi_load_relaxed(&ctl->log_bytes), 0u);
    bb_store_close(b.s); /* the next one goes on with it */
    b.s = master_of(b.ep, 0, NULL);
    ctl = b.s->dir.ctl;
    cr_assert_eq(bbi_load_relaxed(&ctl->has_log), 1u);
    cr_assert_eq(bbi_load_relaxed(&ctl->log_first), 2u);
    cr_assert_eq(bbi_load_relaxed(&ctl->watchers), 1u);
    b.c.answered = b.c.number++;
    t = run_kind(&b.c, b.s, BBI_FRAME_UNWATCH, 0, NULL, 0);
    free(t.raw);
    cr_assert_eq(bbi_load_relaxed(&ctl->has_log), 0u);
    cr_assert_eq(bbi_load_relaxed(&ctl->log_bytes), 0u);
    bench_close(&b);
}

Test(store_master, who_says_bye_is_forgotten)
{
    struct bench b;
    bench_open(&b);
    for (int i = 0; i < 20; i++) {
        struct told t = run(&b.c, b.s, 0, &b.add, 1);
        cr_assert_eq(t.code, 0);
        free(t.raw);
    }
    b.c.answered = b.c.number++;
    struct told t = run_kind(&b.c, b.s, BBI_FRAME_BYE, 0, NULL, 0);
    cr_assert_eq(t.code, 0);
    free(t.raw);
    b.c.number = 0;
    t = run(&b.c, b.s, 0, &b.add, 1);
    cr_assert(t.code == 0 && t.head.flags == 0, "number 1 is a new one");
    cr_assert_eq(number_in(&t.results[0].value), 21u);
    free(t.raw);
    bench_close(&b);
}

Test(store_master, reading_by_request_is_of_one_state)
{
    struct bench b;
    struct val k[3], v;
    struct bb_store_result own;
    bench_open(&b);
    for (int i = 0; i < 3; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "key%d", i);
        struct bb_value key = string_of(&k[i], name), value = count_of(&v, (uint64_t)i);
        cr_assert_eq(bb_store_put(b.s, &key, &value, i == 1 ? 3600 * S_NS : 0, &own), 0);
    }
    struct val prefix, after;
    struct bb_store_cmd cmds[5] = {
        {.op = BBI_READ_SCAN, .key = string_of(&prefix, "key"), .if_version = 2},
        {.op = BBI_READ_SCAN, .index = string_of(&after, "key1"), .if_version = 100},
        {.op = BBI_READ_COUNT, .key = string_of(&prefix, "key")},
        {.op = BBI_READ_ITEM, .key = string_of(&k[1], "key1")},
        {.op = BB_STORE_GET, .key = string_of(&k[2], "none")},
    };
    b.c.answered = b.c.number++;
    struct told t = run_kind(&b.c, b.s, BBI_FRAME_READ, 0, cmds, 5);
    cr_assert(t.code == 0 && t.head.count == 5 && t.head.version == 3);
    struct bb_iter it;
    struct bb_value item;
    cr_assert_eq(bb_iter_open(&it, &t.results[0].value), 8);
    cr_assert_eq(bb_iter_open(&it, &t.results[1].value), 4);
    cr_assert_eq(bb_iter_next(&it, &item), 0);
    struct bb_value want = string_of(&after, "key2");
    cr_assert_eq(bb_value_equal(&item, &want), 1);
    cr_assert_eq(number_in(&t.results[2].value), 3u);
    int64_t left = 0;
    uint64_t version = 0;
    cr_assert_eq(bb_iter_open(&it, &t.results[3].value), 4);
    cr_assert(bb_iter_next(&it, &item) == 0 && bb_iter_next(&it, &item) == 0);
    cr_assert(bb_next_count(&it, &version) == 0 && version == 2);
    cr_assert(bb_next_integer(&it, &left) == 0 && left > 3000 * S_NS && left <= 3600 * S_NS);
    cr_assert_eq(t.results[4].code, BB_ENOENT);
    free(t.raw);
    bench_close(&b);
}

/* ---- expiry, room ---- */

static int64_t clock_ns = 1000000;

static int64_t
test_clock(void *user)
{
    (void)user;
    return clock_ns;
}

Test(store_master, what_falls_due_is_swept_by_polling)
{
    const struct bb_store_clock clock = {.boot_ns = test_clock, .wall_ns = test_clock};
    struct bb_endpoint *ep = endpoint_of("master");
    struct bb_store *s = master_of(ep, 0, &clock);
    struct val k, v;
    struct bb_value value = count_of(&v, 1);
    for (int i = 0; i < 3000; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%d", i);
        struct bb_value key = string_of(&k, name);
        cr_assert_eq(bb_store_put(s, &key, &value, 1000 + i, NULL), 0);
    }
    cr_assert_eq(bb_store_poll(s, 0), 0);
    clock_ns += 2000;
    int64_t end = bbi_os_mono_ns() + 20 * S_NS;
    while (bbi_load_relaxed(&s->dir.ctl->expired) < 1001 && bbi_os_mono_ns() < end) {
        cr_assert_geq(bb_store_poll(s, S_NS / 100), 0);
    }
    cr_assert_eq(bbi_load_relaxed(&s->dir.ctl->expired), 1001u);
    cr_assert_eq(bbi_load_relaxed(&s->dir.ctl->keys), 1999u);
    bb_store_close(s);
    clock_ns += 5000; /* the rest while there is no master */
    s = master_of(ep, 0, &clock);
    cr_assert_eq(bbi_load_relaxed(&s->dir.ctl->expired), 3000u, "before it was ready");
    cr_assert_eq(bbi_load_relaxed(&s->dir.ctl->keys), 0u);
    bb_store_close(s);
    bb_endpoint_close(ep);
}

/* Each key is a page to be written, and the next frame waits for them. */
Test(store_master, a_few_are_swept_at_a_time_while_frames_come)
{
    enum { KEYS = 3000, A_FEW = 200 };
    const struct bb_store_clock clock = {.boot_ns = test_clock, .wall_ns = test_clock};
    struct bench b = {.ep = endpoint_of("master")};
    b.s = master_of(b.ep, 0, &clock);
    sender_open(&b.c, "sender", 1);
    const _Atomic uint64_t *expired = &b.s->dir.ctl->expired;
    struct bb_value value = count_of(&b.v, 1);
    for (int i = 0; i < KEYS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%d", i);
        struct bb_value key = string_of(&b.k, name);
        cr_assert_eq(bb_store_put(b.s, &key, &value, 1000, NULL), 0);
    }
    clock_ns += 2000;
    const struct bb_store_cmd put = {
        .op = BB_STORE_PUT, .key = string_of(&b.k, "stays"), .value = value};
    for (int i = 0; i < 5; i++) {
        uint64_t before = bbi_load_relaxed(expired);
        size_t bytes;
        b.c.answered = b.c.number++;
        unsigned char *p = frame_of(&b.c, BBI_FRAME_COMMANDS, 0, &put, 1, &bytes);
        send_bytes(&b.c, p, bytes);
        free(p);
        cr_assert_gt(bb_store_poll(b.s, 0), 0);
        uint64_t gone = bbi_load_relaxed(expired) - before;
        cr_assert_leq(gone, A_FEW, "%llu", (unsigned long long)gone);
        struct told t = wait_told(&b.c, NULL);
        cr_assert(t.code == 0 && t.results[0].code == 0);
        free(t.raw);
    }
    int64_t end = bbi_os_mono_ns() + 20 * S_NS;
    while (bbi_load_relaxed(expired) < KEYS && bbi_os_mono_ns() < end) {
        cr_assert_geq(bb_store_poll(b.s, S_NS / 100), 0);
    }
    cr_assert_eq(bbi_load_relaxed(expired), (uint64_t)KEYS);
    cr_assert_eq(bbi_load_relaxed(&b.s->dir.ctl->keys), 1u);
    bench_close(&b);
}

/* What a client has in its ring is one commit, also when it is more than a poll takes of other rings. */
Test(store_master, frames_that_are_there_are_committed_together)
{
    enum { FRAMES = 12, COMMANDS = 60, BYTES = 200 };
    static unsigned char room[BYTES + 64];
    char text[BYTES];
    struct bb_builder builder;
    struct bench b;
    bench_open(&b);
    memset(text, 'x', sizeof(text));
    bb_build_init(&builder, room, sizeof(room));
    bb_put_string(&builder, text, sizeof(text));
    struct bb_store_cmd cmds[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) {
        cmds[i] = (struct bb_store_cmd){
            .op = BB_STORE_PUT, .key = b.add.key, .value = {room, (size_t)bb_build_end(&builder)}};
    }
    uint64_t commits = bbi_load_relaxed(&b.s->dir.ctl->commit_count);
    for (b.c.number = 1; b.c.number <= FRAMES; b.c.number++) {
        size_t bytes;
        unsigned char *p = frame_of(&b.c, BBI_FRAME_COMMANDS, 0, cmds, COMMANDS, &bytes);
        send_bytes(&b.c, p, bytes);
        free(p);
    }
    cr_assert_eq(bb_store_poll(b.s, 0) > 0, 1);
    uint64_t together = bb_store_version(b.s);
    commits = bbi_load_relaxed(&b.s->dir.ctl->commit_count) - commits;
    cr_assert_eq(commits, 1u);
    cr_assert_gt(together, 6u * COMMANDS, "of %d frames", FRAMES);
    bench_close(&b);
}

Test(store_master, a_full_store_says_so_and_lets_go)
{
    struct bench b = {0};
    static unsigned char big[65536 + 64];
    char text[65536];
    struct bb_builder builder;
    b.ep = endpoint_of("master");
    b.s = master_of(b.ep, 4 << 20, NULL);
    sender_open(&b.c, "sender", 1);
    memset(text, 'x', sizeof(text));
    bb_build_init(&builder, big, sizeof(big));
    bb_put_string(&builder, text, sizeof(text));
    const struct bb_value value = {big, (size_t)bb_build_end(&builder)};
    int stored = 0, code = 0;
    for (int i = 0; i < 200 && code == 0; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%d", i);
        struct bb_store_cmd cmd = {
            .op = BB_STORE_PUT, .key = string_of(&b.k, name), .value = value};
        struct told t = run(&b.c, b.s, 0, &cmd, 1);
        cr_assert_eq(t.code, 0, "%s", bb_strerror(t.code));
        code = t.results[0].code;
        stored += code == 0;
        free(t.raw);
    }
    cr_assert_eq(code, BB_ENOSPC);
    cr_assert_gt(stored, 20);
    struct bb_value got, key = string_of(&b.k, "k0");
    cr_assert_eq(bb_store_get(b.s, &key, &got), 0, "it is read as before");
    for (int i = 0; i < stored; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%d", i);
        struct bb_store_cmd cmd = {.op = BB_STORE_ERASE, .key = string_of(&b.k, name)};
        struct told t = run(&b.c, b.s, 0, &cmd, 1);
        cr_assert(t.code == 0 && t.results[0].code == 0, "%s", bb_strerror(t.results[0].code));
        free(t.raw);
    }
    int64_t end = bbi_os_mono_ns() + 20 * S_NS;
    do {
        struct bb_store_cmd cmd = {
            .op = BB_STORE_PUT, .key = string_of(&b.k, "again"), .value = value};
        struct told t = run(&b.c, b.s, 0, &cmd, 1);
        code = t.results[0].code;
        free(t.raw);
    } while (code == BB_ENOSPC && bbi_os_mono_ns() < end);
    cr_assert_eq(code, 0);
    bench_close(&b);
}

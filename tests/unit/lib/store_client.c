/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: frames go out in order under numbers without gaps, come back as results in order, and whatever is lost on
 * the way is asked for again under the same number; what is given up holds up nothing.
 * Method: a clone's handle without a store behind it, and masters that the test plays: it sees each frame, and
 * answers, forgets, refuses or leaves as it likes.  Nothing waits: both sides are polled by turns.
 */
#include "busbar/request.h"
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/for_store.h"
#include "lib/store/client_impl.h"
#include "lib/store/poll_impl.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#define S_NS  INT64_C(1000000000)
#define MS_NS INT64_C(1000000)
#define TOPIC "<$>store/x/"

TestSuite(store_client, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

/* ---- a master as the test likes it ---- */

enum { FRAMES_MAX = 64 };

struct seen {
    struct bbi_frame_head head;
    struct bb_request_info from;
    struct bbi_client_id client;
    unsigned char *frame;
    size_t bytes;
};

struct fake {
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
    unsigned char *parts;
    size_t parts_bytes;
    struct seen seen[FRAMES_MAX];
    size_t count;
};

static void
fake_open(struct fake *f, const char *name, uint32_t lane)
{
    const char *prefix = TOPIC;
    *f = (struct fake){0};
    const struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bus_dir, .bus = "b", .name = name};
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = lane};
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = BB_SUBSCRIBER_RELIABLE,
                                          .prefixes = &prefix,
                                          .prefix_count = 1};
    cr_assert_eq(bb_endpoint_open(&f->ep, &eo), 0);
    cr_assert_eq(bb_publisher_open(&f->pub, f->ep, &po), 0);
    cr_assert_eq(bb_subscriber_open(&f->sub, f->ep, &so), 0);
}

static void
fake_close(struct fake *f)
{
    bb_endpoint_close(f->ep);
    for (size_t i = 0; i < f->count; i++) {
        free(f->seen[i].frame);
    }
    free(f->parts);
}

static void
fake_take(struct fake *f, const struct bb_msg *m)
{
    struct bbi_part_head part;
    cr_assert_geq(m->bytes, sizeof(part));
    memcpy(&part, m->data, sizeof(part));
    cr_assert_eq(part.magic, BBI_FRAME_MAGIC);
    if (part.part == 0) {
        f->parts_bytes = 0;
    }
    size_t n = m->bytes - sizeof(part);
    f->parts = realloc(f->parts, f->parts_bytes + n);
    memcpy(f->parts + f->parts_bytes, (const char *)m->data + sizeof(part), n);
    f->parts_bytes += n;
    bool is_last = part.part + 1 == part.parts;
    struct bb_request_info from;
    cr_assert_eq(bb_msg_request(m, &from) == 0, is_last, "the last part is the request");
    if (is_last) {
        struct seen *s = &f->seen[f->count++];
        cr_assert_leq(f->count, (size_t)FRAMES_MAX);
        cr_assert_eq(f->parts_bytes, part.frame_bytes);
        *s = (struct seen){.from = from,
                           .client = part.client,
                           .frame = malloc(f->parts_bytes),
                           .bytes = f->parts_bytes};
        memcpy(s->frame, f->parts, f->parts_bytes);
        cr_assert_eq(bbi_frame_read(&s->head, (struct bbi_bytes){s->frame, s->bytes}), 0);
        cr_assert_eq(s->head.number, part.number);
    }
}

static void
fake_poll(struct fake *f)
{
    struct bb_msg m[8];
    int n;
    do {
        n = bb_poll(f->sub, m, 8, 0);
        cr_assert_geq(n, 0);
        for (int i = 0; i < n; i++) {
            fake_take(f, &m[i]);
        }
    } while (n > 0);
}

/* Each command's result has the frame's number as its version. */
static void
fake_answer(struct fake *f, const struct seen *s)
{
    unsigned char out[4096];
    struct bb_store_result r[8] = {{0}};
    cr_assert_leq(s->head.count, 8U);
    for (uint32_t i = 0; i < s->head.count; i++) {
        r[i] = (struct bb_store_result){.changed = 1, .version = s->head.number};
    }
    const struct bbi_answer_head head = {
        .number = s->head.number, .version = 1000 + s->head.number, .count = s->head.count};
    int64_t bytes = bbi_answer_bytes(r, s->head.count);
    cr_assert(bytes > 0 && bytes <= (int64_t)sizeof(out));
    bbi_answer_write(out, &head, r);
    (void)!bb_reply(f->pub, &s->from, out, (size_t)bytes, BB_STORE | BB_NATIVE);
}

/* ---- the clone ---- */

struct told {
    int64_t ticket;
    int code;
    uint64_t version;
};

static struct told told[FRAMES_MAX];
static size_t told_count;

static void
done(int64_t ticket, const struct bb_store_result *results, size_t count, void *user)
{
    (void)user;
    cr_assert_gt(count, 0U);
    cr_assert_lt(told_count, (size_t)FRAMES_MAX);
    told[told_count++] = (struct told){ticket, results[0].code, results[0].version};
}

static void
clone_open(struct bb_store *s, int64_t timeout_ns)
{
    told_count = 0;
    *s = (struct bb_store){.name = "x",
                           .fork_gen = bbi_fork_gen,
                           .timeout_ns = timeout_ns,
                           .window = BBI_FRAMES,
                           .done = done,
                           .dir = {.fd = -1, .lock_fd = -1}};
    const struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bus_dir, .bus = "b", .name = "clone"};
    cr_assert_eq(bb_endpoint_open(&s->ep, &eo), 0);
}

static void
clone_close(struct bb_store *s)
{
    bbi_client_close(s);
    bbi_poll_close(s);
    bb_endpoint_close(s->ep);
}

static struct bb_value
text_of(struct bb_builder *b, unsigned char *buf, size_t cap, const char *text, size_t bytes)
{
    bb_build_init(b, buf, cap);
    bb_put_string(b, text, bytes);
    int64_t n = bb_build_end(b);
    cr_assert_gt(n, 0);
    return (struct bb_value){buf, (size_t)n};
}

static struct bb_store_cmd
put_of(unsigned char buf[64])
{
    struct bb_builder b;
    struct bb_value v = text_of(&b, buf, 64, "key", 3);
    return (struct bb_store_cmd){.op = BB_STORE_PUT, .key = v, .value = v};
}

static int64_t
send_one(struct bb_store *s)
{
    unsigned char buf[64];
    struct bb_store_cmd cmd = put_of(buf);
    return bb_store_send(s, &cmd, 1, 0);
}

static void
poll_until(struct bb_store *s, struct fake *f, size_t seen, size_t tells)
{
    int64_t until = bbi_os_mono_ns() + 20 * S_NS;
    while ((f != NULL && f->count < seen) || told_count < tells) {
        cr_assert_lt(bbi_os_mono_ns(), until, "%zu frames came, %zu were told", f ? f->count : 0,
                     told_count);
        if (f != NULL) {
            fake_poll(f);
        }
        cr_assert_geq(bb_store_poll(s, MS_NS), 0);
    }
}

/* ---- order ---- */

Test(store_client, answers_in_any_order_are_told_in_order)
{
    struct fake f;
    struct bb_store s;
    fake_open(&f, "m", BB_LANE_CONTROL);
    clone_open(&s, 10 * S_NS);
    for (int64_t i = 1; i <= BBI_FRAMES; i++) {
        cr_assert_eq(send_one(&s), i);
    }
    cr_assert_eq(send_one(&s), BB_EAGAIN, "the window is full");
    poll_until(&s, &f, BBI_FRAMES, 0);
    for (size_t i = BBI_FRAMES; i-- > 1;) {
        fake_answer(&f, &f.seen[i]);
    }
    cr_assert_geq(bb_store_poll(&s, 0), 0);
    cr_assert_eq(told_count, 0U, "the first has no answer yet");
    cr_assert_eq(bb_store_idle(&s, MS_NS), BB_ETIMEDOUT);
    fake_answer(&f, &f.seen[0]);
    poll_until(&s, &f, 0, BBI_FRAMES);
    for (size_t i = 0; i < BBI_FRAMES; i++) {
        cr_assert_eq(f.seen[i].head.number, i + 1, "without gaps, in order");
        cr_assert_eq(f.seen[i].head.answered, 0U);
        cr_assert_eq(told[i].ticket, (int64_t)i + 1);
        cr_assert_eq(told[i].code, 0);
        cr_assert_eq(told[i].version, i + 1);
    }
    cr_assert_eq(bb_store_idle(&s, 0), 0);
    cr_assert_eq(send_one(&s), BBI_FRAMES + 1);
    poll_until(&s, &f, BBI_FRAMES + 1, 0);
    cr_assert_eq(f.seen[BBI_FRAMES].head.answered, (uint64_t)BBI_FRAMES);
    clone_close(&s);
    cr_assert_eq(told_count, (size_t)BBI_FRAMES + 1);
    cr_assert_eq(told[BBI_FRAMES].code, BB_EPEERGONE, "closed without an answer");
    fake_poll(&f);
    const struct seen *last = &f.seen[f.count - 1];
    cr_assert_eq(last->head.kind, (uint32_t)BBI_FRAME_BYE);
    cr_assert_eq(last->head.number, (uint64_t)BBI_FRAMES + 2);
    fake_close(&f);
}

/* ---- loss ---- */

Test(store_client, a_new_master_gets_what_the_dead_one_did_not_answer)
{
    struct fake a, b;
    struct bb_store s;
    fake_open(&a, "a", BB_LANE_CONTROL);
    clone_open(&s, 10 * S_NS);
    for (int i = 0; i < 5; i++) {
        cr_assert_gt(send_one(&s), 0);
    }
    poll_until(&s, &a, 5, 0);
    fake_answer(&a, &a.seen[0]);
    fake_answer(&a, &a.seen[3]); /* out of order, so that 2, 3 and 5 are open */
    poll_until(&s, &a, 0, 1);
    fake_close(&a);
    fake_open(&b, "b", BB_LANE_CONTROL);
    poll_until(&s, &b, 3, 1);
    const uint64_t numbers[] = {2, 3, 5};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(b.seen[i].head.number, numbers[i]);
        cr_assert_eq(b.seen[i].head.answered, 1U, "2 is open");
        fake_answer(&b, &b.seen[i]);
    }
    poll_until(&s, &b, 0, 5);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(told[i].code, 0);
        cr_assert_eq(told[i].version, i + 1);
    }
    clone_close(&s);
    fake_close(&b);
}

Test(store_client, an_answer_that_was_overwritten_is_asked_for_again)
{
    struct fake f;
    struct bb_store s;
    struct bb_topic *junk = NULL;
    fake_open(&f, "m", BB_LANE_ONESHOT);
    clone_open(&s, 10 * S_NS);
    cr_assert_gt(send_one(&s), 0);
    poll_until(&s, &f, 1, 0);
    fake_answer(&f, &f.seen[0]);
    poll_until(&s, &f, 1, 1);
    cr_assert_gt(send_one(&s), 0);
    cr_assert_gt(send_one(&s), 0);
    poll_until(&s, &f, 3, 1);
    fake_answer(&f, &f.seen[1]);
    fake_answer(&f, &f.seen[2]);
    cr_assert_eq(bb_topic_open(&junk, f.pub, "junk", 4), 0);
    for (int i = 0; i < 1000; i++) { /* a ring of 256 */
        cr_assert_eq(bb_publish(junk, "x", 1, BB_RAW), 0);
    }
    int64_t began = bbi_os_mono_ns();
    poll_until(&s, &f, 4, 1);
    cr_assert_lt(bbi_os_mono_ns() - began, S_NS, "at once, not when it was silent for long");
    cr_assert_eq(f.seen[3].head.number, 2U, "the same number");
    fake_answer(&f, &f.seen[3]);
    poll_until(&s, &f, 5, 2);
    cr_assert_eq(f.seen[4].head.number, 3U, "one at a time after a loss");
    cr_assert_eq(f.seen[4].head.answered, 2U);
    fake_answer(&f, &f.seen[4]);
    poll_until(&s, &f, 5, 3);
    cr_assert_eq(memcmp(&f.seen[0].client, &f.seen[4].client, sizeof(f.seen[0].client)), 0);
    clone_close(&s);
    fake_close(&f);
}

Test(store_client, after_a_silence_all_goes_again)
{
    struct fake f;
    struct bb_store s;
    fake_open(&f, "m", BB_LANE_CONTROL);
    clone_open(&s, 20 * S_NS);
    cr_assert_gt(send_one(&s), 0);
    cr_assert_gt(send_one(&s), 0);
    poll_until(&s, &f, 4, 0);
    cr_assert_eq(f.seen[2].head.number, 1U);
    cr_assert_eq(f.seen[3].head.number, 2U);
    fake_answer(&f, &f.seen[0]); /* to a request that was taken back: nobody hears it */
    fake_answer(&f, &f.seen[2]);
    fake_answer(&f, &f.seen[3]);
    poll_until(&s, &f, 4, 2);
    clone_close(&s);
    fake_close(&f);
}

Test(store_client, refused_as_out_of_order_all_go_again)
{
    struct fake f;
    struct bb_store s;
    fake_open(&f, "m", BB_LANE_CONTROL);
    clone_open(&s, 10 * S_NS);
    for (int i = 0; i < 3; i++) {
        cr_assert_gt(send_one(&s), 0);
    }
    poll_until(&s, &f, 3, 0);
    cr_assert_eq(bb_reply_error(f.pub, &f.seen[2].from, BB_EAGAIN, "1 and 2 did not come"), 0);
    poll_until(&s, &f, 6, 0);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(f.seen[3 + i].head.number, i + 1);
        fake_answer(&f, &f.seen[3 + i]);
    }
    poll_until(&s, &f, 6, 3);
    clone_close(&s);
    fake_close(&f);
}

Test(store_client, a_refusal_has_its_code_and_sentence)
{
    struct fake f;
    struct bb_store s;
    fake_open(&f, "m", BB_LANE_CONTROL);
    clone_open(&s, 10 * S_NS);
    cr_assert_eq(bb_store_error(&s)->code, 0);
    cr_assert_gt(send_one(&s), 0);
    poll_until(&s, &f, 1, 0);
    cr_assert_eq(bb_reply_error(f.pub, &f.seen[0].from, BB_EVERSION, "a protocol of 2031"), 0);
    poll_until(&s, &f, 1, 1);
    cr_assert_eq(told[0].code, BB_EVERSION);
    cr_assert_eq(bb_store_error(&s)->code, BB_EVERSION);
    cr_assert_str_eq(bb_store_error(&s)->sentence, "a protocol of 2031");
    clone_close(&s);
    fake_close(&f);
}

/* ---- time ---- */

Test(store_client, what_is_given_up_holds_up_nothing)
{
    struct fake f;
    struct bb_store s;
    fake_open(&f, "m", BB_LANE_CONTROL);
    clone_open(&s, 30 * MS_NS);
    cr_assert_gt(send_one(&s), 0);
    poll_until(&s, &f, 1, 1);
    cr_assert_eq(told[0].code, BB_ETIMEDOUT);
    cr_assert_not_null(strstr(bb_store_error(&s)->sentence, "may yet run"));
    s.timeout_ns = 10 * S_NS;
    cr_assert_gt(send_one(&s), 0);
    poll_until(&s, &f, 2, 1);
    cr_assert_eq(f.seen[1].head.number, 2U);
    cr_assert_eq(f.seen[1].head.answered, 1U, "number 1 will not be sent any more");
    fake_answer(&f, &f.seen[0]); /* late: nobody is told */
    fake_answer(&f, &f.seen[1]);
    poll_until(&s, &f, 2, 2);
    cr_assert_eq(told[1].ticket, 2);
    cr_assert_eq(told[1].version, 2U);
    clone_close(&s);
    fake_close(&f);
}

Test(store_client, without_a_master_nothing_was_sent)
{
    struct bb_store s;
    unsigned char buf[64];
    struct bb_store_cmd cmd = put_of(buf);
    struct bb_store_result r;
    clone_open(&s, 20 * MS_NS);
    cr_assert_eq(bb_store_run(&s, &cmd, 1, 0, &r), BB_ETIMEDOUT);
    const struct bb_error *e = bb_store_error(&s);
    cr_assert_eq(e->code, BB_ETIMEDOUT);
    cr_assert_str_eq(e->name, "x");
    cr_assert_not_null(strstr(e->sentence, "was not sent"), "%s", e->sentence);
    clone_close(&s);
}

/* ---- size ---- */

Test(store_client, a_large_frame_goes_in_parts_and_an_answer_comes_in_parts)
{
    enum { LARGE = 5 << 20 };
    struct fake f;
    struct bb_store s;
    struct bb_builder b;
    unsigned char key[64], *value = malloc(LARGE + 64);
    char *text = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++) {
        text[i] = (char)('a' + i * 2654435761U % 26);
    }
    struct bb_store_cmd cmd = put_of(key);
    cmd.value = text_of(&b, value, LARGE + 64, text, LARGE);
    fake_open(&f, "m", BB_LANE_CONTROL);
    clone_open(&s, 30 * S_NS);
    cr_assert_eq(bb_store_send(&s, &cmd, 1, 0), 1);
    cr_assert_eq(send_one(&s), 2, "waits behind it");
    poll_until(&s, &f, 2, 0);
    struct bb_store_cmd got;
    size_t off = 0;
    cr_assert_eq(bbi_frame_next((struct bbi_bytes){f.seen[0].frame, f.seen[0].bytes}, &off, &got),
                 0);
    cr_assert_eq(bb_value_equal(&got.value, &cmd.value), 1, "whole, in order");
    cr_assert_eq(f.seen[1].head.number, 2U);

    unsigned char answer[256];
    const struct bb_store_result r = {.changed = 1, .version = 77, .value = cmd.key};
    const struct bbi_answer_head head = {.number = 1, .version = 1, .count = 1};
    int64_t n = bbi_answer_bytes(&r, 1);
    bbi_answer_write(answer, &head, &r);
    for (int64_t i = 0; i < n; i++) {
        cr_assert_eq(bb_reply(f.pub, &f.seen[0].from, answer + i, 1,
                              BB_STORE | (i + 1 < n ? BB_REPLY_MORE : 0)),
                     0);
    }
    fake_answer(&f, &f.seen[1]);
    poll_until(&s, &f, 2, 2);
    cr_assert_eq(told[0].version, 77U);
    clone_close(&s);
    fake_close(&f);
    free(value);
    free(text);
}

Test(store_client, an_answer_that_is_none_is_said_to_be_damaged)
{
    struct fake f;
    struct bb_store s;
    fake_open(&f, "m", BB_LANE_CONTROL);
    clone_open(&s, 10 * S_NS);
    cr_assert_gt(send_one(&s), 0);
    cr_assert_gt(send_one(&s), 0);
    poll_until(&s, &f, 2, 0);
    cr_assert_eq(bb_reply(f.pub, &f.seen[0].from, "nonsense", 8, BB_STORE), 0);
    f.seen[1].head.number = 1; /* an answer to another frame */
    fake_answer(&f, &f.seen[1]);
    poll_until(&s, &f, 2, 2);
    cr_assert_eq(told[0].code, BB_ECORRUPT);
    cr_assert_eq(told[1].code, BB_ECORRUPT);
    clone_close(&s);
    fake_close(&f);
}

/* ---- waiting ---- */

static void *
serve(void *arg)
{
    struct fake *f = arg;
    int64_t until = bbi_os_mono_ns() + 20 * S_NS;
    while (f->count < 2 && bbi_os_mono_ns() < until) {
        size_t had = f->count;
        fake_poll(f);
        for (size_t i = had; i < f->count; i++) {
            fake_answer(f, &f->seen[i]);
        }
    }
    return NULL;
}

Test(store_client, run_waits_for_its_own_answer)
{
    struct fake f;
    struct bb_store s;
    pthread_t thread;
    unsigned char buf[64];
    struct bb_store_cmd cmd = put_of(buf);
    struct bb_store_result r = {0};
    fake_open(&f, "m", BB_LANE_CONTROL);
    clone_open(&s, 10 * S_NS);
    cr_assert_eq(send_one(&s), 1);
    cr_assert_eq(pthread_create(&thread, NULL, serve, &f), 0);
    cr_assert_eq(bb_store_run(&s, &cmd, 1, 0, &r), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(r.version, 2U);
    cr_assert_eq(r.changed, 1U);
    cr_assert_eq(told_count, 1U, "what was sent before is told meanwhile");
    cr_assert_eq(bb_store_run(&s, &cmd, 0, 0, &r), BB_EINVAL);
    cr_assert_eq(bb_store_run(&s, &cmd, 1, 2, &r), BB_EINVAL);
    cr_assert_eq(bb_store_run(&s, &cmd, 1, 0, NULL), BB_EINVAL);
    clone_close(&s);
    fake_close(&f);
}

static bool
is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

Test(store_client, the_descriptor_says_that_an_answer_came)
{
    struct fake f;
    struct bb_store s;
    fake_open(&f, "m", BB_LANE_CONTROL);
    clone_open(&s, 10 * S_NS);
    cr_assert_eq(send_one(&s), 1);
    int fd = bb_store_fd(&s);
    cr_assert_geq(fd, 0);
    int64_t until = bbi_os_mono_ns() + 10 * S_NS;
    while (f.count == 0 || is_readable(fd)) { /* at first it may be readable with nothing there */
        cr_assert_lt(bbi_os_mono_ns(), until, "never quiet");
        fake_poll(&f);
        cr_assert_geq(bb_store_poll(&s, 0), 0);
    }
    fake_answer(&f, &f.seen[0]);
    while (!is_readable(fd)) {
        cr_assert_lt(bbi_os_mono_ns(), until, "never readable");
    }
    poll_until(&s, &f, 1, 1);
    cr_assert_eq(bb_store_fd(&s), fd);
    while (is_readable(fd)) { /* nothing is open, and others come and go */
        cr_assert_lt(bbi_os_mono_ns(), until, "never quiet again");
        cr_assert_eq(bb_store_poll(&s, 0), 0);
    }
    clone_close(&s);
    fake_close(&f);
}

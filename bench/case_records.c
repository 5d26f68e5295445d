/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_records.c - record-mix: the lines of a log as busbar's events, in the sizes that they have.
 *
 * The publisher builds each event in its loan (or, copying, in a buffer); the subscriber opens it and reads
 * every field.  Number and sum are arguments of the event, so loss, disorder and damage show as elsewhere.
 * Other peers, and the bare ring, send the same number of bytes: fixed messages of the events' mean size.
 */
#include "bench/bus.h"
#include "bench/cases.h"
#include "bench/records.h"
#include "bench/stream.h"

#include <stdlib.h>
#include <string.h>

static const char topic_name[] = "bench/records";

static struct bench_records records; /* read before the fork */

struct pub {
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_topic *topic;
    unsigned char *buffer; /* of copies */
    size_t turn;
    unsigned batch;
};

struct sub {
    struct bb_endpoint *ep;
    struct bb_subscriber *sub;
    struct bb_msg msgs[BENCH_BUS_POLL];
};

/* ---- publisher --------------------------------------------------------------------------------- */

static void
pub_close(void *pub)
{
    struct pub *p = pub;
    bb_publisher_close(p->pub);
    bb_endpoint_close(p->ep);
    free(p->buffer);
    free(p);
}

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **pub)
{
    (void)shared;
    struct pub *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return bench_bus_complain("cannot open a publisher", BB_ENOMEM, NULL);
    }
    p->batch = s->batch < BENCH_BUS_MORE ? s->batch : BENCH_BUS_MORE;
    int rc = bench_bus_endpoint(s, "pub", index, &p->ep);
    rc = rc < 0 ? rc : bench_bus_publisher(s, p->ep, &p->pub);
    rc = rc < 0 ? rc : bb_topic_open(&p->topic, p->pub, topic_name, sizeof(topic_name) - 1);
    if (rc == 0 && s->is_copying) {
        p->buffer = malloc(bb_publisher_max(p->pub));
        rc = p->buffer != NULL ? 0 : bench_bus_complain("cannot get a buffer", BB_ENOMEM, NULL);
    }
    if (rc < 0) {
        pub_close(p);
        return rc;
    }
    *pub = p;
    return 0;
}

static int
send_one(struct pub *p, const struct bench_record *record, uint64_t word, uint32_t more)
{
    struct bb_builder b;
    void *room = p->buffer;
    int rc = p->buffer != NULL ? 0 : bb_loan(p->topic, record->event_bytes, &room);
    if (rc < 0) {
        return bench_bus_complain("cannot get a loan", rc, NULL);
    }
    bb_build_init(&b, room, record->event_bytes);
    bench_record_event(&b, &records, record, word);
    int64_t bytes = bb_build_end(&b);
    if (bytes < 0) {
        return bench_bus_complain("cannot build an event", (int)bytes, NULL);
    }
    rc = p->buffer != NULL ? bb_publish(p->topic, room, (size_t)bytes, BB_EVENT | more)
                           : bb_commit(p->topic, (size_t)bytes, BB_EVENT | more);
    return rc < 0 ? bench_bus_complain("cannot publish", rc, NULL) : 0;
}

static int
pub_send(void *pub, struct bench_source *src, uint64_t count)
{
    struct pub *p = pub;
    unsigned open = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t more = ++open < p->batch && i + 1 < count ? BB_MORE : 0;
        int rc = send_one(p, &records.records[p->turn], src->word++, more);
        if (rc < 0) {
            return rc;
        }
        p->turn = p->turn + 1 == records.count ? 0 : p->turn + 1;
        open = more != 0 ? open : 0;
    }
    return 0;
}

/* ---- subscriber -------------------------------------------------------------------------------- */

static void
sub_close(void *sub)
{
    struct sub *r = sub;
    bb_subscriber_close(r->sub);
    bb_endpoint_close(r->ep);
    free(r);
}

static int
sub_open(const struct bench_setup *s, void *shared, unsigned index, void **sub)
{
    (void)shared;
    struct sub *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return bench_bus_complain("cannot open a subscriber", BB_ENOMEM, NULL);
    }
    int rc = bench_bus_endpoint(s, "sub", index, &r->ep);
    rc = rc < 0 ? rc : bench_bus_subscriber(s, r->ep, topic_name, &r->sub);
    if (rc < 0) {
        sub_close(r);
        return rc;
    }
    *sub = r;
    return 0;
}

/* Reads the whole event; 0, or a status when it is not what was sent. */
static int
read_event(const struct bb_msg *msg, uint64_t *word)
{
    struct bb_event ev;
    struct bb_iter it;
    struct bb_value v;
    uint64_t sum = 0, seen = 0;
    int rc = bb_event_open(&ev, msg->data, msg->bytes);
    if (rc < 0 || bb_iter_open(&it, &ev.args) < 2) {
        return BB_ECORRUPT;
    }
    rc = bb_iter_next(&it, &v);
    rc = rc < 0 ? rc : bb_get_count(&v, word);
    rc = rc < 0 ? rc : bb_iter_next(&it, &v);
    rc = rc < 0 ? rc : bb_get_count(&v, &sum);
    while (rc == 0 && (rc = bb_iter_next(&it, &v)) == 0) {
        const char *text;
        size_t bytes;
        rc = bb_get_string(&v, &text, &bytes);
        seen += rc == 0 ? bench_text_sum(text, bytes) : 0;
    }
    return rc == BB_EEND && seen == sum ? 0 : BB_ECORRUPT;
}

static void
take_event(struct bench_sink *sink, const struct bb_msg *msg)
{
    uint64_t word = 0;
    if (read_event(msg, &word) < 0) {
        sink->torn++;
    }
    uint64_t *next = &sink->next[(word >> BENCH_NUMBER_BITS) % BENCH_PUBLISHERS];
    if ((word & BENCH_NUMBER_MASK) != *next) {
        bench_mishap(sink, word, *next);
    }
    *next = (word & BENCH_NUMBER_MASK) + 1;
    sink->messages++;
    sink->bytes += msg->bytes;
    sink->last_word = word;
}

static int
sub_recv(void *sub, struct bench_sink *sink, int64_t timeout_ns)
{
    struct sub *r = sub;
    int got = bb_poll(r->sub, r->msgs, BENCH_BUS_POLL, timeout_ns);
    for (int i = 0; i < got; i++) {
        take_event(sink, &r->msgs[i]);
    }
    return got < 0 ? bench_bus_complain("cannot poll", got, NULL) : got;
}

/* busbar again, with events for payloads. */
static const struct bench_driver events = {
    .name = "busbar",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_LOSE | BENCH_CAN_RELY | BENCH_CAN_SPIN
           | BENCH_CAN_SLEEP,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};

/* ---- case -------------------------------------------------------------------------------------- */

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    bench_cast_stream(plan, o, st);
    if (strcmp(st->driver->name, events.name) == 0) {
        st->driver = &events;
    }
}

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    double rate = 0;
    bench_gather_stream(plan, st, out);
    for (unsigned i = 0; i < st->actor_count; i++) {
        const struct bench_actor *a = &st->actors[i];
        if (a->hears && a->window_ns > 0) {
            rate += (double)a->bytes * 1e3 / (double)a->window_ns;
        }
    }
    out->extra[1] = rate / (plan->setup.subscribers > 0 ? plan->setup.subscribers : 1);
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    struct bench_plan plan;
    (void)size;
    int rc = o->data != NULL ? bench_records_load(&records, o->data) : bench_records_make(&records);
    if (rc < 0) {
        return 1;
    }
    bench_report_note(
        report,
        "%s: %zu records %s%s, events of %zu bytes on average; others: messages of that size.",
        c->name, records.count, o->data != NULL ? "of " : "made up (--data gives a log)",
        o->data != NULL ? o->data : "", records.mean_bytes);
    bench_plan_init(&plan, c->name, o, records.mean_bytes);
    plan.setup.publishers = o->publishers != 0 ? o->publishers : 1;
    plan.setup.subscribers = o->subscribers != 0 ? o->subscribers : 1;
    plan.needs = (plan.setup.subscribers > 1 ? BENCH_CAN_FAN_OUT : 0u)
                 | (plan.setup.publishers > 1 ? BENCH_CAN_FAN_IN : 0u);
    (void)snprintf(plan.mode, sizeof(plan.mode), "%s", o->data != NULL ? "log" : "made up");
    plan.extra[0] = "cpu_ns_per_msg";
    plan.extra[1] = "mb_per_s";
    plan.cast = cast;
    plan.gather = gather;
    rc = bench_race(o, report, &plan, 1, NULL);
    bench_records_free(&records);
    return rc;
}

const struct bench_case bench_case_record_mix = {
    "record-mix", "the lines of a log as events, in the sizes that they have", false, run};

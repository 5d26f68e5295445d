/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/iceoryx.c - iceoryx through its C binding: loan, publish, take.
 *
 * Daemon     RouDi, with monitoring off and one memory pool of just the chunks that the case can hold at once.
 *            Its socket and locks have fixed names, so there is one for a machine: start refuses when one runs.
 * Reliable   WAIT_FOR_CONSUMER and BLOCK_PRODUCER, queue of 256, as large as it can be.  Lossy: the oldest goes.
 * Topics     one port each, as iceoryx has it.  A queue knows no order with other queues, so with several
 *            topics each publisher has an instance of its own, and the subscriber takes from its queues in the
 *            order in which the publisher filled them.
 * Waiting    who is to sleep waits in a WaitSet, as does a ping's hybrid.  All else polls; when there is nothing it
 *            yields a core that it shares.  On a core of its own it naps where throughput counts: what gathers
 *            meanwhile is cheaper to take than one message at a time, and after yields in vain the scheduler
 *            lets it wait long for a core that somebody else wants too.
 * Connected  RouDi connects a port while it makes it, so what open returned can be heard at once.
 */
#include "bench/driver.h"
#include "bench/shuffle.h"

#include "bench/clock.h"
#include "bench/peers/daemon.h"
#include <errno.h>
#include <iceoryx_binding_c/config.h>
#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <iceoryx_binding_c/wait_set.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef BENCH_PROGRAM
#    define BENCH_PROGRAM "iox-roudi" /* the build says where it is */
#endif

enum {
    QUEUE_DEPTH = 256,   /* messages; the most that iceoryx allows */
    TAKE_MAX = 256,      /* messages in one sub_recv */
    OWN_PORTS = 16,      /* of all ports, those that RouDi may need itself */
    CHUNK_STEP = 32,     /* bytes; a pool's chunks are multiples of it */
    CHUNK_HEADER = 64,   /* bytes that a chunk needs besides, about */
    SPARE_CHUNKS = 16,   /* of each publishing port: on loan, kept for the next loan */
    MEMBERS_MAX = 512,   /* processes */
    POLLS_PER_LOOK = 64, /* of a ping, before a look at the clock */
    NAME_BYTES = 32,
};
static const uint64_t pool_max_bytes = UINT64_C(2) << 30;
static const int64_t hybrid_spin_ns = 50000, poll_nap_ns = 20000;
static const char service[] = "busbar-bench";

/* Made by start, before any fork.  The harness ends its processes without the library's farewell, which would remove
 * their sockets and locks; so they leave their numbers here, and stop removes them. */
struct bus {
    struct bench_daemon roudi;
    atomic_uint member_count;
    pid_t members[MEMBERS_MAX];
};

struct pub {
    unsigned port_count, turn;
    void *own; /* of copies; NULL: built in the loan */
    unsigned *order;
    iox_pub_t *ports;
    iox_pub_storage_t *storage;
};

/* The ports of one publisher's topics, in the order of the publisher's turns. */
struct lane {
    unsigned turn;
    iox_sub_t *ports;
};

struct sub {
    unsigned lane_count, port_count; /* ports of a lane */
    bool is_strict;                  /* only the port whose turn it is */
    bool is_urgent;                  /* polls without a pause */
    enum bench_wait wait;
    size_t size;
    void *own; /* of copies */
    struct lane *lanes;
    iox_sub_t *ports;
    iox_sub_storage_t *storage;
    iox_ws_t set; /* NULL: it polls */
    iox_ws_storage_t set_storage;
};

static int
complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "iceoryx: %s: %s.\n", what, why);
    return -1;
}

static void *
no_memory(void)
{
    (void)complain("cannot open", "no memory");
    return NULL;
}

/* Whether each message counts by itself, and the subscriber has a core to poll on. */
static bool
is_urgent(const struct bench_setup *s)
{
    return s->is_ping || (s->batch == 1 && s->wait == BENCH_SPIN);
}

/* Whether subscribers wait in a WaitSet when nothing has come. */
static bool
may_sleep(const struct bench_setup *s)
{
    return s->wait == BENCH_SLEEP || (s->wait == BENCH_HYBRID && s->is_ping);
}

/* ---- shape of a case --------------------------------------------------------------------------- */

/* Whether publishers are told apart by their instance, or all share one. */
static bool
has_instances(const struct bench_setup *s)
{
    return s->topics > 1 || s->is_ping;
}

static unsigned
lanes_of_subscriber(const struct bench_setup *s)
{
    return has_instances(s) && !s->is_ping ? s->publishers : 1;
}

static void
name_port(
    const struct bench_setup *s, unsigned publisher, unsigned topic, char *instance, char *event)
{
    if (has_instances(s)) {
        (void)snprintf(instance, NAME_BYTES, "publisher-%u", publisher);
    } else {
        (void)snprintf(instance, NAME_BYTES, "all");
    }
    (void)snprintf(event, NAME_BYTES, "topic-%u", topic);
}

static int
check_limits(const struct bench_setup *s, uint64_t *chunks)
{
    uint64_t pubs = (uint64_t)s->publishers * s->topics;
    uint64_t subs = (uint64_t)s->subscribers * lanes_of_subscriber(s) * s->wanted;
    *chunks = subs * (QUEUE_DEPTH + 1) + pubs * SPARE_CHUNKS;
    if (pubs + OWN_PORTS > iox_cfg_max_publishers()
        || subs + OWN_PORTS > iox_cfg_max_subscribers()) {
        (void)fprintf(
            stderr,
            "iceoryx: needs %llu ports to publish and %llu to subscribe, and it has %u and "
            "%u in all; take fewer topics.\n",
            (unsigned long long)pubs, (unsigned long long)subs, iox_cfg_max_publishers(),
            iox_cfg_max_subscribers());
        return -1;
    }
    if (*chunks * (s->size + CHUNK_HEADER) > pool_max_bytes) {
        return complain("cannot start",
                        "its pool would take more than 2 GiB; take smaller messages");
    }
    return 0;
}

/* ---- daemon ------------------------------------------------------------------------------------ */

static bool
is_ready(const struct bench_setup *s, void *shared)
{
    (void)s;
    const struct bus *bus = shared;
    char line[256];
    bool is_said = false;
    FILE *log = fopen(bus->roudi.log_path, "re");
    while (log != NULL && !is_said && fgets(line, sizeof(line), log) != NULL) {
        is_said = strstr(line, "ready for clients") != NULL;
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return is_said;
}

static int
start_roudi(const struct bench_setup *s, struct bus *bus, uint64_t chunks)
{
    char config[PATH_MAX];
    size_t chunk_bytes = (s->size + CHUNK_STEP - 1) / CHUNK_STEP * CHUNK_STEP;
    (void)snprintf(config, sizeof(config), "%s/roudi.toml", s->dir);
    if (bench_daemon_configure("iceoryx", config,
                               "[general]\nversion = 1\n\n[[segment]]\n\n[[segment.mempool]]\n"
                               "size = %zu\ncount = %llu\n",
                               chunk_bytes, (unsigned long long)chunks)
        < 0) {
        return -1;
    }
    const struct bench_daemon_opts roudi = {
        .driver = "iceoryx",
        .name = "iox-roudi",
        .argv = {BENCH_PROGRAM, "--log-level=warning", "--monitoring-mode=off", "--kill-delay=1",
                 "--config-file", config},
        .death_signal = SIGTERM, /* nobody else would take its shared memory down */
        .is_ready = is_ready,
    };
    if (bench_daemon_start(&bus->roudi, &roudi, s, bus) < 0) {
        return complain("cannot start", "if another RouDi runs on this machine, stop it");
    }
    return 0;
}

static int
start(const struct bench_setup *s, void **shared)
{
    uint64_t chunks;
    if (check_limits(s, &chunks) < 0) {
        return -1;
    }
    struct bus *bus =
        mmap(NULL, sizeof(*bus), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bus == MAP_FAILED) {
        return complain("cannot start", strerror(errno));
    }
    if (start_roudi(s, bus, chunks) < 0) {
        (void)munmap(bus, sizeof(*bus));
        return -1;
    }
    *shared = bus;
    return 0;
}

/* RouDi says: Reserving N bytes in the shared memory [NAME] */
static void
remove_segments(const char *log_path)
{
    static const char before[] = "in the shared memory [";
    char line[256], name[sizeof(line) + 1];
    FILE *log = fopen(log_path, "re");
    while (log != NULL && fgets(line, sizeof(line), log) != NULL) {
        const char *from = strstr(line, before);
        if (from != NULL) {
            from += sizeof(before) - 1;
            (void)snprintf(name, sizeof(name), "/%.*s", (int)strcspn(from, "]"), from);
            (void)shm_unlink(name);
        }
    }
    if (log != NULL) {
        (void)fclose(log);
    }
}

/*
 * Asked to end, RouDi signals every process that has not taken leave, and aborts when one is gone already, leaving
 * all behind.  So it is killed, and what it has made is removed first, while its locks keep another one away.
 */
static void
stop(void *shared)
{
    struct bus *bus = shared;
    unsigned count = atomic_load_explicit(&bus->member_count, memory_order_relaxed);
    remove_segments(bus->roudi.log_path);
    (void)unlink("/tmp/roudi");
    (void)unlink("/tmp/roudi.lock");
    (void)unlink("/tmp/iox-unique-roudi.lock");
    bench_daemon_kill(&bus->roudi);
    for (unsigned i = 0; i < count && i < MEMBERS_MAX; i++) {
        char path[NAME_BYTES * 2];
        (void)snprintf(path, sizeof(path), "/tmp/busbar-bench-%ld", (long)bus->members[i]);
        (void)unlink(path);
        (void)snprintf(path, sizeof(path), "/tmp/busbar-bench-%ld.lock", (long)bus->members[i]);
        (void)unlink(path);
    }
    (void)munmap(bus, sizeof(*bus));
}

static const char *
name_waiting(const struct bench_setup *s)
{
    if (may_sleep(s)) {
        return s->wait == BENCH_SLEEP ? "WaitSet" : "polling for 50 us, then WaitSet";
    }
    if (s->wait != BENCH_SPIN) {
        return "polling, yields when empty";
    }
    return is_urgent(s) ? "polling" : "polling, naps 20 us when empty";
}

static void
describe(const struct bench_setup *s, FILE *out)
{
    (void)fprintf(
        out,
        "%s (C binding), RouDi with monitoring off, %s, %s, queue %d, one pool of chunks of "
        "the message's size, %s",
        bench_daemon_version(BENCH_PROGRAM, "RouDi version: ", "\n").text,
        s->is_copying ? "loan filled by a copy, copied out" : "loan, publish, take",
        s->is_reliable ? "WAIT_FOR_CONSUMER and BLOCK_PRODUCER" : "oldest data discarded",
        QUEUE_DEPTH, name_waiting(s));
}

/* ---- both sides -------------------------------------------------------------------------------- */

/* The runtime is the process's; it goes with it. */
static void
join_roudi(struct bus *bus)
{
    static pid_t joined;
    if (joined != getpid()) {
        char name[NAME_BYTES];
        joined = getpid();
        unsigned i = atomic_fetch_add_explicit(&bus->member_count, 1, memory_order_relaxed);
        if (i < MEMBERS_MAX) {
            bus->members[i] = joined;
        }
        (void)snprintf(name, sizeof(name), "busbar-bench-%ld", (long)joined);
        iox_set_loglevel(Iceoryx_LogLevel_Warn);
        iox_runtime_init(name);
    }
}

/* The order in which a publisher takes its topics; when shuffled it has a fixed start, so both sides know it. */
static unsigned *
order_of_topics(const struct bench_setup *s)
{
    unsigned *order = calloc(s->topics, sizeof(*order));
    for (unsigned i = 0; order != NULL && i < s->topics; i++) {
        order[i] = i;
    }
    if (order != NULL && s->is_shuffled) {
        bench_shuffle(order, s->topics, sizeof(*order));
    }
    return order;
}

/* ---- publisher --------------------------------------------------------------------------------- */

static void
pub_close(void *pub)
{
    struct pub *p = pub;
    for (unsigned i = 0; i < p->port_count; i++) {
        if (p->ports[i] != NULL) {
            iox_pub_deinit(p->ports[i]);
        }
    }
    free(p->ports);
    free(p->storage);
    free(p->order);
    free(p->own);
    free(p);
}

static struct pub *
new_pub(const struct bench_setup *s)
{
    struct pub *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return no_memory();
    }
    p->ports = calloc(s->topics, sizeof(*p->ports));
    p->storage = calloc(s->topics, sizeof(*p->storage));
    p->order = order_of_topics(s);
    p->own = s->is_copying ? malloc(s->size) : NULL;
    if (p->ports == NULL || p->storage == NULL || p->order == NULL
        || (s->is_copying && p->own == NULL)) {
        pub_close(p);
        return no_memory();
    }
    p->port_count = s->topics;
    return p;
}

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **pub)
{
    struct pub *p = new_pub(s);
    if (p == NULL) {
        return -1;
    }
    join_roudi(shared);
    iox_pub_options_t options;
    iox_pub_options_init(&options);
    options.historyCapacity = 0;
    options.offerOnCreate = true;
    options.subscriberTooSlowPolicy = s->is_reliable ? ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER
                                                     : ConsumerTooSlowPolicy_DISCARD_OLDEST_DATA;
    for (unsigned i = 0; i < p->port_count; i++) {
        char instance[NAME_BYTES], event[NAME_BYTES];
        name_port(s, index, p->order[i], instance, event);
        p->ports[i] = iox_pub_init(&p->storage[i], service, instance, event, &options);
        if (p->ports[i] == NULL) {
            pub_close(p);
            return complain("cannot open a publisher", "RouDi gave no port");
        }
    }
    *pub = p;
    return 0;
}

static int
pub_send(void *pub, struct bench_source *src, uint64_t count)
{
    struct pub *p = pub;
    for (uint64_t i = 0; i < count; i++) {
        iox_pub_t port = p->ports[p->turn];
        void *chunk;
        p->turn = p->turn + 1 == p->port_count ? 0 : p->turn + 1;
        enum iox_AllocationResult rc = iox_pub_loan_chunk(port, &chunk, (uint32_t)src->size);
        if (__builtin_expect(rc != AllocationResult_SUCCESS, 0)) {
            (void)fprintf(stderr, "iceoryx: cannot loan a chunk of %zu bytes: result %d.\n",
                          src->size, (int)rc);
            return -1;
        }
        if (p->own == NULL) {
            bench_fill(src, chunk);
        } else {
            bench_fill(src, p->own);
            memcpy(chunk, p->own, src->size);
        }
        iox_pub_publish_chunk(port, chunk);
    }
    return 0;
}

/* ---- subscriber -------------------------------------------------------------------------------- */

static void
sub_close(void *sub)
{
    struct sub *r = sub;
    if (r->set != NULL) {
        iox_ws_deinit(r->set);
    }
    for (unsigned i = 0; i < r->lane_count * r->port_count; i++) {
        if (r->ports[i] != NULL) {
            iox_sub_deinit(r->ports[i]);
        }
    }
    free(r->lanes);
    free(r->ports);
    free(r->storage);
    free(r->own);
    free(r);
}

static struct sub *
new_sub(const struct bench_setup *s)
{
    struct sub *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return no_memory();
    }
    unsigned lanes = lanes_of_subscriber(s);
    size_t ports = (size_t)lanes * s->wanted;
    r->lanes = calloc(lanes, sizeof(*r->lanes));
    r->ports = calloc(ports + 1, sizeof(*r->ports));
    r->storage = calloc(ports + 1, sizeof(*r->storage));
    r->own = s->is_copying ? malloc(s->size) : NULL;
    if (r->lanes == NULL || r->ports == NULL || r->storage == NULL
        || (s->is_copying && r->own == NULL)) {
        sub_close(r);
        return no_memory();
    }
    r->lane_count = lanes;
    r->port_count = s->wanted;
    r->is_strict = s->is_reliable;
    r->is_urgent = is_urgent(s);
    r->wait = s->wait;
    r->size = s->size;
    return r;
}

static int
open_port(
    const struct bench_setup *s, struct sub *r, unsigned i, unsigned publisher, unsigned topic)
{
    char instance[NAME_BYTES], event[NAME_BYTES];
    iox_sub_options_t options;
    iox_sub_options_init(&options);
    options.queueCapacity = QUEUE_DEPTH;
    options.historyRequest = 0;
    options.subscribeOnCreate = true;
    options.queueFullPolicy =
        s->is_reliable ? QueueFullPolicy_BLOCK_PRODUCER : QueueFullPolicy_DISCARD_OLDEST_DATA;
    name_port(s, publisher, topic, instance, event);
    r->ports[i] = iox_sub_init(&r->storage[i], service, instance, event, &options);
    if (r->ports[i] == NULL) {
        return complain("cannot open a subscriber", "RouDi gave no port");
    }
    if (iox_sub_get_subscription_state(r->ports[i]) != SubscribeState_SUBSCRIBED) {
        return complain("cannot open a subscriber", "RouDi did not connect it at once");
    }
    return 0;
}

static int
open_lane(const struct bench_setup *s, struct sub *r, unsigned lane, unsigned publisher)
{
    unsigned *order = order_of_topics(s);
    unsigned i = lane * r->port_count;
    int rc = order != NULL ? 0 : complain("cannot open a subscriber", "no memory");
    r->lanes[lane].ports = r->ports + i;
    for (unsigned turn = 0; rc == 0 && turn < s->topics; turn++) {
        if (order[turn] < s->wanted) {
            rc = open_port(s, r, i++, publisher, order[turn]);
        }
    }
    free(order);
    return rc;
}

static int
open_set(struct sub *r)
{
    r->set = iox_ws_init(&r->set_storage);
    for (unsigned i = 0; i < r->lane_count * r->port_count; i++) {
        if (iox_ws_attach_subscriber_state(r->set, r->ports[i], SubscriberState_HAS_DATA, i, NULL)
            != WaitSetResult_SUCCESS) {
            return complain("cannot open a subscriber", "the WaitSet takes no more ports");
        }
    }
    return 0;
}

static int
sub_open(const struct bench_setup *s, void *shared, unsigned index, void **sub)
{
    struct sub *r = new_sub(s);
    if (r == NULL) {
        return -1;
    }
    join_roudi(shared);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < r->lane_count; i++) {
        rc = open_lane(s, r, i, s->is_ping ? 1 - index : i);
    }
    if (rc == 0 && may_sleep(s)) {
        rc = open_set(r);
    }
    if (rc < 0) {
        sub_close(r);
        return rc;
    }
    *sub = r;
    return 0;
}

/* Returns whether there was one. */
static bool
take_one(struct sub *r, iox_sub_t port, struct bench_sink *sink)
{
    const void *chunk;
    if (iox_sub_take_chunk(port, &chunk) != ChunkReceiveResult_SUCCESS) {
        return false;
    }
    if (r->own == NULL) {
        bench_take(sink, chunk, r->size);
        iox_sub_release_chunk(port, chunk);
    } else {
        memcpy(r->own, chunk, r->size);
        iox_sub_release_chunk(port, chunk);
        bench_take(sink, r->own, r->size);
    }
    return true;
}

/* From the port whose turn it is; when messages may be lost, from the next that has one. */
static bool
take_turn(struct sub *r, struct lane *lane, struct bench_sink *sink)
{
    unsigned tries = r->is_strict ? 1 : r->port_count;
    unsigned turn = lane->turn;
    for (unsigned i = 0; i < tries; i++) {
        iox_sub_t port = lane->ports[turn];
        turn = turn + 1 == r->port_count ? 0 : turn + 1;
        if (take_one(r, port, sink)) {
            lane->turn = turn;
            return true;
        }
    }
    return false;
}

static int
take_ready(struct sub *r, struct bench_sink *sink)
{
    int got = 0;
    for (unsigned i = 0; i < r->lane_count && r->port_count > 0; i++) {
        while (got < TAKE_MAX && take_turn(r, &r->lanes[i], sink)) {
            got++;
        }
    }
    return got;
}

static int
poll_until(struct sub *r, struct bench_sink *sink, int64_t until)
{
    unsigned polls = r->is_urgent ? POLLS_PER_LOOK : 1;
    do {
        for (unsigned i = 0; i < polls; i++) {
            int got = take_ready(r, sink);
            if (got > 0) {
                return got;
            }
            bench_pause();
        }
        if (!r->is_urgent && r->wait == BENCH_SPIN) {
            bench_nap(poll_nap_ns);
        } else if (!r->is_urgent) {
            (void)sched_yield();
        }
    } while (bench_now_ns() < until);
    return 0;
}

static int
sleep_until(struct sub *r, struct bench_sink *sink, int64_t until)
{
    int64_t left = until - bench_now_ns();
    if (left > 0) {
        iox_notification_info_t info[1];
        uint64_t missed;
        struct timespec t = {.tv_sec = (time_t)(left / 1000000000),
                             .tv_nsec = (long)(left % 1000000000)};
        (void)iox_ws_timed_wait(r->set, t, info, 1, &missed);
    }
    return take_ready(r, sink);
}

static int
sub_recv(void *sub, struct bench_sink *sink, int64_t timeout_ns)
{
    struct sub *r = sub;
    int got = take_ready(r, sink);
    if (got > 0 || timeout_ns == 0) {
        return got;
    }
    int64_t now = bench_now_ns(), until = now + timeout_ns;
    if (r->set == NULL) {
        return poll_until(r, sink, until);
    }
    if (r->wait == BENCH_HYBRID) {
        int64_t spin_ns = timeout_ns < hybrid_spin_ns ? timeout_ns : hybrid_spin_ns;
        got = poll_until(r, sink, now + spin_ns);
    }
    return got > 0 ? got : sleep_until(r, sink, until);
}

const struct bench_driver bench_driver_iceoryx = {
    .name = "iceoryx",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_LOSE | BENCH_CAN_RELY
           | BENCH_CAN_TOPICS | BENCH_CAN_SPIN | BENCH_CAN_SLEEP,
    .describe = describe,
    .start = start,
    .stop = stop,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};

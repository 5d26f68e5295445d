/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the bare handshake of sleeping and waking, as often as the time allows: nobody sleeps on while there
 * is something for it, with the fence and with membarrier.
 * Method: one publisher and one sleeper over plain memory, in lockstep: each message is published just
 * while the sleeper falls asleep, the next one when it was read.  A sleep that only its bound of a second
 * ended counts as a lost wake-up.
 */
#include "shm/ring_read.h"
#include "shm/ring_write.h"
#include "shm/wake.h"
#include "tests/stress/stress.h"
#include <sched.h>

static struct bbi_bus *bus;
static struct bbi_writer writer;
static struct bbi_reader reader;
static struct bbi_tag tags[1];
static uint64_t now[1];
static bbi_u64 answered; /* messages that were read */
static bbi_u32 is_done;
static int until_percent;
static uint64_t slept, lost, rounds;

static const int64_t LATE_NS = INT64_C(700000000);

/* What a flush does with one subscriber; the waking is the product's. */
static void
publish(void)
{
    static struct bbi_waker waker = {.sock_fd = -1, .dir_fd = -1};
    void *p;
    int rc = bbi_writer_claim(&writer, 8, &p);
    MUST(rc == 0, "claim: %d", rc);
    uint64_t n = writer.n;
    bbi_fill_racy(p, &n, 8);
    bbi_writer_commit(&writer, 8, BBI_TAG_SPILL, 0, 0);
    bbi_writer_flush(&writer);
    if (bbi_load_seq_cst(&bus->sleepers[0].v) != 0) {
        (void)bbi_wake_ring(bus, &waker, 0);
    }
}

/* Each on a processor of its own, where there are two: the kernel likes to put the woken beside its waker. */
static void
pin_to(int nth)
{
    cpu_set_t all, one;
    int seen = 0;
    if (sched_getaffinity(0, sizeof(all), &all) != 0 || CPU_COUNT(&all) < 2) {
        return;
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && seen++ == nth) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            (void)pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
        }
    }
}

/* Up to some hundred nanoseconds, so that the two meet at every step of each other's. */
static void
linger(uint64_t *rnd)
{
    for (uint64_t k = stress_random(rnd) % 512; k > 0; k--) {
        __asm__ __volatile__("");
    }
}

static void *
publish_all(void *user)
{
    uint64_t rnd = stress_stream(1);
    pin_to(0);
    for (rounds = 0; rounds % 64 != 0 || !stress_is_over(until_percent); rounds++) {
        linger(&rnd);
        publish();
        while (bbi_load_seq_cst(&answered) != rounds + 1) {
            bbi_cpu_relax();
        }
    }
    bbi_store_seq_cst(&is_done, 1);
    publish();
    return user;
}

/* Everything that is there.  How many. */
static uint64_t
take_all(void)
{
    struct bbi_item item;
    uint32_t budget = 1000;
    uint64_t n = 0;
    while (bbi_reader_next(&reader, &item, reader.cursor + budget) == BBI_READ_ITEM) {
        uint64_t v = 0;
        bbi_copy_racy(&v, item.data, 8);
        CHECK(v == reader.cursor, "%" PRIu64 " instead of %" PRIu64, v, reader.cursor);
        bbi_reader_pass(&reader, item.tag);
        n++;
    }
    return n;
}

static bool
has_news(void)
{
    return bbi_is_before(reader.cursor, bbi_load_seq_cst(&reader.map.hdr->tail_seq))
           || !bbi_reader_is_at_tail(&reader);
}

static void *
sleep_all(void *user)
{
    uint64_t rnd = stress_stream(2);
    pin_to(1);
    for (;;) {
        uint64_t n = take_all();
        if (n > 0) {
            (void)bbi_fetch_add_seq_cst(&answered, n);
        }
        if (bbi_load_seq_cst(&is_done) != 0) {
            return user;
        }
        linger(&rnd);
        (void)bbi_wake_arm(bus, 0, BBI_BELL_FUTEX);
        if (!has_news()) {
            int64_t t0 = bbi_os_mono_ns();
            bbi_wake_sleep(bus, 0, BBI_SLEEP_MAX_NS);
            slept++;
            lost += bbi_os_mono_ns() - t0 > LATE_NS;
        }
        bbi_wake_disarm(bus, 0);
    }
}

static void
run(const char *name, uint32_t fence, int percent)
{
    struct bbi_ring_geom geom;
    struct bbi_ring_map map;
    const struct bbi_ring_shape shape = {
        .depth = 64, .pay_bytes = 4096, .dict_count = 1, .fence = fence};
    uint64_t bytes = bbi_ring_footprint(&shape, &geom);
    void *memory = aligned_alloc(BBI_PAGE_BYTES, bytes);
    bus = aligned_alloc(BBI_PAGE_BYTES, bbi_align_up(sizeof(*bus), BBI_PAGE_BYTES));
    MUST(memory != NULL && bus != NULL, "memory");
    memset(memory, 0, bytes);
    memset(bus, 0, sizeof(*bus));
    ((struct bbi_ring *)memory)->ident.ring = geom;
    int rc = bbi_ring_join(memory, bytes, &map);
    MUST(rc == 0, "join: %d", rc);
    bbi_writer_init(&writer, &map);
    bbi_reader_init(&reader, &map);
    reader.tags = tags;
    reader.now = now;
    bbi_store_relaxed(&answered, 0);
    bbi_store_relaxed(&is_done, 0);
    slept = lost = 0;
    until_percent = percent;
    pthread_t s = stress_thread(sleep_all, NULL);
    pthread_t p = stress_thread(publish_all, NULL);
    (void)pthread_join(p, NULL);
    (void)pthread_join(s, NULL);
    (void)printf("%s: %" PRIu64 " rounds, slept %" PRIu64 " times, lost wake-ups: %" PRIu64 "\n",
                 name, rounds, slept, lost);
    CHECK(lost == 0, "%s", name);
    CHECK(slept > 10 && rounds > 100, "%s: nothing was tried", name);
    free(memory);
    free(bus);
}

int
main(void)
{
    stress_start("stress/handshake");
    run("fence", BBI_FENCE_FULL, 42);
    if (bbi_os_membarrier_register() == 0) {
        run("membarrier", BBI_FENCE_MEMBARRIER, 85);
    } else {
        (void)printf("the kernel refuses membarrier: only the fence was tried\n");
    }
    return stress_end();
}

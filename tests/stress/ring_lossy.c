/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: one writer at full speed laps three readers of a very small ring all the time; each message that a
 * reader hands out is whole and is the one that it says, and at the end every message is accounted for, by
 * topic.
 * Method: threads over one piece of memory; each message's length and bytes follow from its number.
 */
#include "shm/ring_read.h"
#include "shm/ring_write.h"
#include "tests/stress/stress.h"

enum { DEPTH = 64, PAY = 4096, TOPICS = 12, READERS = 3 };

static void *memory;
static uint64_t memory_bytes;
static bbi_u32 is_done;
static uint64_t committed[TOPICS]; /* by the writer; read after it is joined */

struct reader {
    int number;
    struct bbi_reader r;
    struct bbi_tag tags[TOPICS];
    uint64_t now[TOPICS];
    uint64_t passed[TOPICS], laps, torn;
    unsigned char copy[PAY];
};

static struct bbi_ring_map
join(void)
{
    struct bbi_ring_map m;
    int rc = bbi_ring_join(memory, memory_bytes, &m);
    MUST(rc == 0, "join: %d", rc);
    return m;
}

/* Stretches of messages of one topic and length, which go as bursts; then as many of any. */
static uint64_t
like(uint64_t seq)
{
    return seq / 16 % 2 == 0 ? seq - seq % 16 : seq;
}

static uint32_t
length_of(uint64_t seq)
{
    uint64_t s = like(seq);
    uint64_t v = stress_random(&s);
    return (uint32_t)(v % 8 == 0 ? v >> 32 & 1023 : v >> 32 & 63);
}

static uint32_t
topic_of(uint64_t seq)
{
    uint64_t s = like(seq) ^ stress_seed;
    uint64_t known = 1 + seq / 997; /* topics come one by one */
    return (uint32_t)(stress_random(&s) % (known < TOPICS ? known : TOPICS));
}

static void
fill(unsigned char *out, uint64_t seq, uint32_t bytes)
{
    uint64_t s = seq * 31;
    for (uint32_t i = 0; i < bytes; i += 8) {
        uint64_t v = stress_random(&s);
        memcpy(out + i, &v, bytes - i < 8 ? bytes - i : 8);
    }
}

static void *
write_all(void *user)
{
    struct bbi_writer *w = user;
    unsigned char buf[1024];
    uint64_t rnd = stress_stream(100);
    for (uint64_t seq = 1; !stress_is_over(85) || seq % 1024 != 0; seq++) {
        uint32_t bytes = length_of(seq);
        uint32_t tag = topic_of(seq);
        void *p;
        while (w->topics <= tag) {
            char topic[16];
            int n = snprintf(topic, sizeof(topic), "t/%u", w->topics);
            (void)bbi_writer_intern(w, topic, (size_t)n, w->topics);
        }
        uint64_t chance = stress_random(&rnd) % 64;
        int rc = bbi_writer_claim(w, bytes, &p);
        if (rc == BB_EBUSY) {
            bbi_writer_flush(w);
            rc = bbi_writer_claim(w, bytes, &p);
        }
        MUST(rc == 0, "claim: %d", rc);
        if (chance == 0) { /* begin, think again, begin anew */
            bbi_writer_abort(w);
            rc = bbi_writer_claim(w, bytes, &p);
            MUST(rc == 0, "claim: %d", rc);
        }
        fill(buf, seq, bytes);
        bbi_fill_racy(p, buf, bytes);
        bbi_writer_commit(w, bytes, tag, 0, 0);
        committed[tag]++;
        if (chance % 4 == 0) {
            bbi_writer_flush(w);
        }
        if (seq % 16384 == 0) {
            bbi_os_sleep_ns(1000000); /* readers reach the tail now and then */
        }
    }
    bbi_writer_flush(w);
    bbi_store_seq_cst(&is_done, 1);
    return NULL;
}

static bool
wants(int reader, uint32_t tag)
{
    return reader == 0 || (tag + (uint32_t)reader) % 2 == 0;
}

static void
learn(struct reader *rd, uint32_t count)
{
    while (rd->r.tag_count < count) {
        const char *topic;
        char expected[16];
        uint32_t bytes;
        uint32_t t = rd->r.tag_count;
        int rc = bbi_reader_topic(&rd->r.map, t, &topic, &bytes);
        int n = snprintf(expected, sizeof(expected), "t/%u", t);
        CHECK(rc == 0 && bytes == (uint32_t)n && memcmp(topic, expected, bytes) == 0, "topic %u",
              t);
        rd->tags[t] = (struct bbi_tag){.is_wanted = wants(rd->number, t)};
        rd->r.tag_count++;
    }
}

static void
use(struct reader *rd, const struct bbi_item *item)
{
    unsigned char expected[1024];
    bbi_copy_racy(rd->copy, item->data, item->bytes);
    if (!bbi_reader_is_whole(&rd->r, item->pos)) {
        rd->torn++;
        (void)bbi_reader_overrun(&rd->r);
        return;
    }
    bool right = item->bytes == length_of(item->seq) && item->tag == topic_of(item->seq);
    if (right) {
        fill(expected, item->seq, item->bytes);
        right = memcmp(expected, rd->copy, item->bytes) == 0;
    }
    CHECK(right, "reader %d: message %" PRIu64 " of %u bytes, topic %u", rd->number, item->seq,
          item->bytes, item->tag);
    rd->passed[item->tag]++;
    bbi_reader_pass(&rd->r, item->tag);
}

static void *
read_all(void *user)
{
    struct reader *rd = user;
    uint64_t rnd = stress_stream((uint64_t)rd->number);
    uint64_t last = 0;
    for (;;) {
        struct bbi_item item;
        uint32_t budget = 32;
        bool done = bbi_load_seq_cst(&is_done) != 0;
        int rc = bbi_reader_next(&rd->r, &item, rd->r.cursor + budget);
        if (rc == BBI_READ_ITEM) {
            CHECK(item.seq > last, "%" PRIu64 " after %" PRIu64, item.seq, last);
            last = item.seq;
            use(rd, &item);
        } else if (rc == BBI_READ_TAG) {
            learn(rd, item.tag + 1);
        } else if (rc == BB_EOVERRUN) {
            rd->laps++;
        } else if (rc == BBI_READ_NONE) {
            learn(rd, bbi_load_acquire(&rd->r.map.hdr->topics));
            (void)bbi_reader_settle(&rd->r, false);
            if (done) {
                return NULL;
            }
        } else {
            CHECK(rc == BBI_READ_MORE, "next: %d", rc);
        }
        if (rd->number == 2 && stress_random(&rnd) % 512 == 0) {
            bbi_os_sleep_ns(200000);
        }
    }
}

static void
check_account(const struct reader *rd)
{
    uint64_t passed = 0, wanted = 0, unwanted = 0;
    for (uint32_t t = 0; t < TOPICS; t++) {
        passed += rd->passed[t];
        if (wants(rd->number, t)) {
            wanted += committed[t];
        } else {
            unwanted += committed[t];
            CHECK(rd->passed[t] == 0, "topic %u was not wanted", t);
        }
    }
    (void)printf("reader %d: %" PRIu64 " passed, %" PRIu64 " filtered, %" PRIu64 " lost, %" PRIu64
                 " laps, %" PRIu64 " torn in use\n",
                 rd->number, passed, rd->r.filtered, rd->r.lost, rd->laps, rd->torn);
    CHECK(passed + rd->r.filtered + rd->r.lost == rd->r.cursor - rd->r.start, "sum of reader %d",
          rd->number);
    CHECK(rd->r.unsettled == 0, "reader %d has settled", rd->number);
    CHECK(passed + rd->r.lost == wanted, "wanted: %" PRIu64, wanted);
    CHECK(rd->r.filtered == unwanted, "unwanted: %" PRIu64, unwanted);
    CHECK(rd->laps > 0, "reader %d was never lapped: nothing was tried", rd->number);
}

int
main(void)
{
    static struct reader readers[READERS];
    static struct bbi_writer w;
    pthread_t threads[READERS];
    struct bbi_ring_geom geom;
    const struct bbi_ring_shape shape = {
        .depth = DEPTH, .pay_bytes = PAY, .dict_count = TOPICS, .text_bytes = 256};
    stress_start("stress/ring_lossy");
    memory_bytes = bbi_ring_footprint(&shape, &geom);
    memory = aligned_alloc(BBI_PAGE_BYTES, memory_bytes);
    MUST(memory != NULL, "memory");
    memset(memory, 0, memory_bytes);
    ((struct bbi_ring *)memory)->ident.ring = geom;
    struct bbi_ring_map map = join();
    bbi_writer_init(&w, &map);
    for (int i = 0; i < READERS; i++) {
        readers[i].number = i;
        struct bbi_ring_map m = join();
        bbi_reader_init(&readers[i].r, &m);
        readers[i].r.tags = readers[i].tags;
        readers[i].r.now = readers[i].now;
        threads[i] = stress_thread(read_all, &readers[i]);
    }
    pthread_t writer = stress_thread(write_all, &w);
    (void)pthread_join(writer, NULL);
    for (int i = 0; i < READERS; i++) {
        (void)pthread_join(threads[i], NULL);
        check_account(&readers[i]);
    }
    free(memory);
    return stress_end();
}

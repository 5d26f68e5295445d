/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: publishers that copy a subscriber's filters while it switches them see one whole list, never a
 * mixture of two.
 * Method: each list holds its own number in every item; one thread switches as fast as it can, three read.
 */
#include "shm/filter.h"
#include "tests/stress/stress.h"

enum { READERS = 3, MOST = 40 };

static struct bbi_sub *sub;
static bbi_u32 is_done;

static uint32_t
count_of(uint64_t version)
{
    uint64_t s = version;
    return 1 + (uint32_t)(stress_random(&s) % MOST);
}

static void *
switch_all(void *user)
{
    (void)user;
    static unsigned char text[8 * 64];
    struct bbi_filter_item items[MOST];
    for (uint64_t version = 1; !stress_is_over(85) || version < 100; version++) {
        uint32_t n = count_of(version);
        for (size_t i = 0; i < sizeof(text); i += 8) {
            memcpy(text + i, &version, 8);
        }
        for (uint32_t i = 0; i < n; i++) {
            items[i] = (struct bbi_filter_item){
                .bytes = text, .len = (uint16_t)(8 * (1 + i % 60)), .flags = (uint16_t)version};
        }
        int rc = bbi_filter_write(sub, items, n);
        CHECK(rc == 0, "write: %d", rc);
        if (version % 64 == 0) {
            bbi_os_sleep_ns(50000);
        }
    }
    bbi_store_seq_cst(&is_done, 1);
    return NULL;
}

static void
check_table(const struct bbi_filter_table *t, uint64_t *last)
{
    struct bbi_filter_item item;
    uint32_t off = 0, n = 0;
    uint64_t version = 0;
    bool is_whole = true;
    while (bbi_filter_next(t, &off, &item)) {
        for (uint32_t k = 0; k + 8 <= item.len; k += 8) {
            uint64_t v;
            memcpy(&v, item.bytes + k, 8);
            version = version == 0 ? v : version;
            is_whole = is_whole && v == version;
        }
        is_whole = is_whole && item.flags == (uint16_t)version && item.len == 8 * (1 + n % 60);
        n++;
    }
    CHECK(is_whole && (n == 0 || n == count_of(version)), "version %" PRIu64 ", %u items", version,
          n);
    CHECK(version >= *last, "%" PRIu64 " after %" PRIu64, version, *last);
    *last = version;
}

static void *
read_all(void *user)
{
    uint64_t *reads = user;
    struct bbi_filter_table *t = malloc(sizeof(*t));
    uint64_t last = 0;
    MUST(t != NULL, "memory");
    while (bbi_load_seq_cst(&is_done) == 0) {
        int rc = bbi_filter_read(sub, t);
        if (rc == 0) {
            check_table(t, &last);
            ++*reads;
        } else {
            CHECK(rc == BB_EAGAIN, "read: %d", rc);
        }
    }
    free(t);
    return NULL;
}

int
main(void)
{
    pthread_t threads[READERS];
    uint64_t reads[READERS] = {0};
    stress_start("stress/filter");
    sub = aligned_alloc(BBI_PAGE_BYTES, bbi_align_up(sizeof(*sub), BBI_PAGE_BYTES));
    MUST(sub != NULL, "memory");
    memset(sub, 0, sizeof(*sub));
    for (int i = 0; i < READERS; i++) {
        threads[i] = stress_thread(read_all, &reads[i]);
    }
    pthread_t writer = stress_thread(switch_all, NULL);
    (void)pthread_join(writer, NULL);
    for (int i = 0; i < READERS; i++) {
        (void)pthread_join(threads[i], NULL);
        CHECK(reads[i] > 100, "reader %d read %" PRIu64 " times", i, reads[i]);
    }
    free(sub);
    return stress_end();
}

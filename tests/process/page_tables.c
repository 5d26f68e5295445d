/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    With 128 members attached and 8 of them reading all, the page tables that the bus costs stay under a
 *         twentieth of the bus's own memory: every reader maps every ring.
 * Method  120 publishers fill their rings once over, 8 subscribers touch every message in place.  Each member
 *         says how far its VmPTE grew since before it attached; the files' blocks are summed.
 */
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PUBLISHERS = 120,
    SUBSCRIBERS = 8,
    MEMBERS = PUBLISHERS + SUBSCRIBERS,
    MSG_BYTES = 1000,
    MESSAGES = 1300, /* more than the control lane's MiB */
    OPEN = 1,
    DONE = 2,
    SAY = 1,
    QUIT = 2,
    N_KIB = 0,
    SHARE = 20,
};

struct member {
    uint32_t number;
};

/* Of this process's page tables, in KiB. */
static uint64_t
page_table_kib(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "VmPTE:", 6) == 0) {
            kib = strtoul(line + 6, NULL, 10);
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return kib;
}

static void
fill_ring(struct bbt_side *side, struct bb_endpoint *ep)
{
    static const unsigned char data[MSG_BYTES];
    const struct bb_publisher_opts o = {.lane = BB_LANE_CONTROL};
    struct bb_publisher *pub = bbt_publisher(side, ep, &o);
    struct bb_topic *topic = bbt_topic(side, pub, 1);
    bbt_at(side, OPEN);
    (void)bbt_wait_go(side, SAY, 60000);
    for (int i = 0; i < MESSAGES; i++) {
        BBT_CHECK(side, bb_publish(topic, data, sizeof(data), BB_RAW) == 0, "message %d", i);
    }
}

/* Every page of every ring is touched in turn, whatever is lost meanwhile. */
static void
read_rings(struct bbt_side *side, struct bb_endpoint *ep)
{
    struct bb_msg msgs[64];
    struct bb_subscriber *sub = bbt_subscriber(side, ep, "", BB_SUBSCRIBER_VIEWS);
    bbt_at(side, OPEN);
    (void)bbt_wait_go(side, SAY, 60000);
    int64_t wait_ns = 3000000000;
    for (int n; (n = bb_poll(sub, msgs, 64, wait_ns)) > 0; wait_ns = 1000000000) {
        for (int i = 0; i < n; i++) {
            if (msgs[i].bytes > 0) {
                (void)*(const volatile unsigned char *)msgs[i].data;
            }
        }
    }
}

static void
be_member(struct bbt_side *side, const void *arg)
{
    const struct member *m = arg;
    char name[32];
    uint64_t before = page_table_kib();
    (void)snprintf(name, sizeof(name), "member-%u", m->number);
    struct bb_endpoint *ep = bbt_endpoint(side, name, 0);
    if (m->number < PUBLISHERS) {
        fill_ring(side, ep);
    } else {
        read_rings(side, ep);
    }
    bbi_store_relaxed(&side->n[N_KIB], page_table_kib() - before);
    bbt_at(side, DONE);
    (void)bbt_wait_go(side, QUIT, 60000);
    bb_endpoint_close(ep);
}

static uint64_t bus_kib;

static int
add_blocks(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)path;
    (void)ftw;
    bus_kib += kind == FTW_F ? (uint64_t)st->st_blocks / 2 : 0;
    return 0;
}

Test(page_tables,
     are_a_twentieth_of_the_bus_at_most,
     .init = bbt_bus_new,
     .fini = bbt_bus_end,
     .timeout = 110)
{
    static struct bbt_child c[MEMBERS];
    static struct member m[MEMBERS];
    uint64_t kib = 0;
#if defined(__SANITIZE_ADDRESS__)
    cr_skip_test("the sanitizer has page tables of its own");
#endif
    for (uint32_t i = 0; i < MEMBERS; i++) {
        m[i].number = i;
        bbt_fork(&c[i], "member", be_member, &m[i]);
    }
    for (int i = 0; i < MEMBERS; i++) {
        bbt_wait_at(&c[i], OPEN, 30000);
    }
    for (int i = 0; i < MEMBERS; i++) {
        bbt_order(&c[i], SAY);
    }
    for (int i = 0; i < MEMBERS; i++) {
        bbt_wait_at(&c[i], DONE, 30000);
        kib += bbi_load_relaxed(&c[i].side->n[N_KIB]);
    }
    cr_assert_eq(nftw(bbt_path(), add_blocks, 16, FTW_PHYS), 0);
    (void)printf("page tables of %d members: %lu KiB, bus %lu KiB\n", MEMBERS, (unsigned long)kib,
                 (unsigned long)bus_kib);
    cr_assert_gt(bus_kib, PUBLISHERS * 1024U);
    cr_assert_gt(kib, 0U);
    cr_assert_lt(kib * SHARE, bus_kib);
    for (int i = 0; i < MEMBERS; i++) {
        bbt_order(&c[i], QUIT);
        bbt_wait_end(&c[i], 20000);
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a client is new once, for one node; all nodes read the same set; who stands by goes on with it; an earlier run's
 * set goes.  Method: two nodes of a cluster in this process; the first one's own commands need no poll.
 */
#include "tools/sensor/shelf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_NS INT64_C(20000000)

static char dir[64];
static struct bb_cluster *first, *second;

static struct bb_cluster *
join(const char *name, uint32_t role)
{
    struct bb_cluster *c = NULL;
    const struct bb_cluster_opts opts = {
        .size = sizeof(opts), .dir = dir, .bus = "shelf", .name = name, .role = role};
    cr_assert_eq(bb_cluster_join(&c, &opts), 0);
    return c;
}

static void
setup(void)
{
    (void)snprintf(dir, sizeof(dir), "/dev/shm/bb-shelf-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    first = join("manager", BB_ROLE_MANAGER);
    second = join("proxy-1", BB_ROLE_PROXY);
}

static void
teardown(void)
{
    char command[96];
    bb_cluster_leave(first);
    bb_cluster_leave(second);
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    cr_expect_eq(system(command), 0); /* NOLINT(cert-env33-c): its argument is ours */
}

static void
ip_of(uint8_t ip[16], unsigned n)
{
    memset(ip, 0, 16);
    ip[10] = ip[11] = 0xff;
    ip[12] = 10;
    ip[14] = (uint8_t)(n >> 8);
    ip[15] = (uint8_t)n;
}

static size_t
count_of(struct sensor_shelf *shelf)
{
    struct sensor_clients set;
    sensor_clients_init(&set, SENSOR_CLIENTS_MAX, 1);
    cr_assert_eq(sensor_shelf_load(shelf, &set), 0);
    size_t count = set.count;
    sensor_clients_fini(&set);
    return count;
}

Test(sensor_shelf, one_set_for_all, .init = setup, .fini = teardown, .timeout = 30)
{
    enum { CLIENTS = 600 }; /* more than one scan brings */
    struct sensor_shelf master = {0}, other = {0};
    uint8_t ip[16];
    cr_assert_eq(sensor_shelf_serve(&master, first, NULL), 0);
    cr_assert_eq(sensor_shelf_serve(&other, second, NULL), 0);
    cr_assert_eq(bb_store_is_master(master.store), 1);
    cr_assert_eq(bb_store_is_master(other.store), 0);
    for (unsigned i = 1; i <= CLIENTS; i++) {
        ip_of(ip, i);
        cr_assert_eq(sensor_shelf_seen(&master, ip), 0);
        cr_assert_eq(sensor_shelf_seen(&other, ip), 1); /* found in the pages: nobody is asked */
    }
    cr_assert_eq(count_of(&master), CLIENTS);
    cr_assert_eq(count_of(&other), CLIENTS);

    sensor_shelf_close(&master);
    for (int i = 0; i < 500 && bb_store_is_master(other.store) == 0; i++) {
        cr_assert_eq(sensor_shelf_wait(&other, second, SLICE_NS), 0);
    }
    cr_assert_eq(bb_store_is_master(other.store), 1);
    cr_assert_eq(sensor_shelf_seen(&other, ip), 1);
    ip_of(ip, CLIENTS + 1);
    cr_assert_eq(sensor_shelf_seen(&other, ip), 0);
    cr_assert_eq(count_of(&other), CLIENTS + 1);

    cr_assert_eq(sensor_shelf_clear(&other), 0);
    cr_assert_eq(count_of(&other), 0);
    cr_assert_eq(sensor_shelf_seen(&other, ip), 0);
    sensor_shelf_close(&other);
}

Test(sensor_shelf,
     without_a_master_one_is_asked_again,
     .init = setup,
     .fini = teardown,
     .timeout = 30)
{
    struct sensor_shelf master = {0}, worker = {0};
    uint8_t ip[16];
    ip_of(ip, 1);
    cr_assert_lt(sensor_shelf_join(&worker, second, NULL), 0); /* there is no store yet */
    cr_assert_eq(sensor_shelf_serve(&master, first, NULL), 0);
    cr_assert_eq(sensor_shelf_join(&worker, second, NULL), 0);
    cr_assert_eq(sensor_shelf_seen(&master, ip), 0);
    cr_assert_eq(sensor_shelf_seen(&worker, ip), 1);
    sensor_shelf_close(&master);
    cr_assert_eq(sensor_shelf_seen(&worker, ip), 1); /* reading goes on */
    ip_of(ip, 2);
    cr_assert_eq(sensor_shelf_seen(&worker, ip), BB_EAGAIN);
    cr_assert_eq(sensor_shelf_serve(&master, first, NULL), 0);
    for (int i = 0; i < 50 && count_of(&worker) < 2;
         i++) { /* what was sent is run by who is master now, once */
        cr_assert_eq(sensor_shelf_wait(&master, first, SLICE_NS), 0);
        if (count_of(&worker) < 2) {
            int rc = sensor_shelf_seen(&worker, ip); /* sends the same frame again */
            cr_assert(rc == BB_EAGAIN || rc == 1, "%d", rc);
        }
    }
    cr_assert_eq(count_of(&worker), 2);
    sensor_shelf_close(&worker);
    sensor_shelf_close(&master);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the bell's states and the sleepers' bits; one waker wins; the steward wakes whatever the bell says;
 * sockets carry the same news.
 * Method: a bus of our own, words looked at by hand, a thread that really sleeps.
 */
#include "shm/wake.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <poll.h>
#include <pthread.h>

static struct bbi_attach at;
static struct bbi_waker waker;

static void
set_up(void)
{
    bus_dir_make();
    attach_named(&at, "waker");
    waker = (struct bbi_waker){.sock_fd = -1, .dir_fd = at.place.dir_fd};
}

static void
tear_down(void)
{
    bbi_attach_close(&at);
    bus_dir_remove();
}

TestSuite(wake, .init = set_up, .fini = tear_down, .timeout = 30);

static uint32_t
bell(uint32_t idx)
{
    return bbi_load_relaxed(&at.bus->bells[idx].bell);
}

static uint64_t
sleepers(uint32_t word)
{
    return bbi_load_relaxed(&at.bus->sleepers[word].v);
}

Test(wake, arming_sets_bell_and_bit_and_disarming_clears_them)
{
    const uint32_t idx[] = {0, 63, 64, 255};
    for (int i = 0; i < 4; i++) {
        (void)bbi_wake_arm(at.bus, idx[i], BBI_BELL_FUTEX);
        cr_assert_eq(bell(idx[i]), (uint32_t)BBI_BELL_SLEEPING);
        cr_assert_eq(sleepers(idx[i] / 64), UINT64_C(1) << idx[i] % 64);
        bbi_wake_disarm(at.bus, idx[i]);
        cr_assert_eq(bell(idx[i]), (uint32_t)BBI_BELL_AWAKE);
        cr_assert_eq(sleepers(idx[i] / 64), 0U);
    }
}

Test(wake, disarming_leaves_the_neighbours_asleep)
{
    (void)bbi_wake_arm(at.bus, 4, BBI_BELL_FUTEX);
    (void)bbi_wake_arm(at.bus, 5, BBI_BELL_FUTEX);
    bbi_wake_disarm(at.bus, 4);
    cr_assert_eq(sleepers(0), UINT64_C(1) << 5);
    cr_assert_eq(bell(5), (uint32_t)BBI_BELL_SLEEPING);
}

Test(wake, the_first_waker_wins_and_the_second_makes_no_call)
{
    (void)bbi_wake_arm(at.bus, 7, BBI_BELL_FUTEX);
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, 7), 1);
    cr_assert_eq(bell(7), (uint32_t)BBI_BELL_NOTIFIED);
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, 7), 0);
    bbi_wake_disarm(at.bus, 7);
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, 7), 0, "awake");
    cr_assert_eq(bell(7), (uint32_t)BBI_BELL_AWAKE);
}

Test(wake, a_bell_that_rang_before_the_sleep_ends_it_at_once)
{
    (void)bbi_wake_arm(at.bus, 3, BBI_BELL_FUTEX);
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, 3), 1);
    int64_t t0 = bbi_os_mono_ns();
    bbi_wake_sleep(at.bus, 3, INT64_C(900000000));
    cr_assert_lt(bbi_os_mono_ns() - t0, INT64_C(500000000));
}

Test(wake, no_sleep_is_longer_than_a_second)
{
    (void)bbi_wake_arm(at.bus, 3, BBI_BELL_FUTEX);
    int64_t t0 = bbi_os_mono_ns();
    bbi_wake_sleep(at.bus, 3, INT64_C(20000000000));
    int64_t slept = bbi_os_mono_ns() - t0;
    cr_assert(slept >= INT64_C(990000000) && slept < INT64_C(5000000000));
}

static bbi_u32 is_up;

static void *
sleep_once(void *user)
{
    bbi_wake_sleep(at.bus, *(uint32_t *)user, BBI_SLEEP_MAX_NS);
    bbi_store_seq_cst(&is_up, 1);
    return NULL;
}

/* Until the thread sleeps in the kernel a wake-up finds nobody; then one is enough. */
static void
wait_until_asleep(void)
{
    bbi_os_sleep_ns(20000000);
}

Test(wake, a_sleeping_thread_is_woken)
{
    uint32_t idx = 9;
    pthread_t t;
    (void)bbi_wake_arm(at.bus, idx, BBI_BELL_FUTEX);
    cr_assert_eq(pthread_create(&t, NULL, sleep_once, &idx), 0);
    wait_until_asleep();
    int64_t t0 = bbi_os_mono_ns();
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, idx), 1);
    (void)pthread_join(t, NULL);
    cr_assert_lt(bbi_os_mono_ns() - t0, INT64_C(500000000));
}

Test(wake, a_sleeper_whose_waker_died_after_winning_is_woken_by_the_steward)
{
    uint32_t idx = 10;
    pthread_t t;
    (void)bbi_wake_arm(at.bus, idx, BBI_BELL_FUTEX);
    cr_assert_eq(pthread_create(&t, NULL, sleep_once, &idx), 0);
    wait_until_asleep();
    bbi_store_relaxed(&at.bus->bells[idx].bell, BBI_BELL_NOTIFIED); /* won; then killed */
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, idx), 0, "every other publisher passes by");
    cr_assert_eq(bbi_load_seq_cst(&is_up), 0U, "it sleeps on");
    int64_t t0 = bbi_os_mono_ns();
    bbi_wake_all(at.bus, &waker);
    (void)pthread_join(t, NULL);
    cr_assert_lt(bbi_os_mono_ns() - t0, INT64_C(400000000));
}

Test(wake, a_socket_sleeper_hears_one_knock)
{
    int fd = bbi_wake_socket(&at, 12);
    cr_assert_geq(fd, 0);
    cr_assert(file_exists("sock/12"));
    (void)bbi_wake_arm(at.bus, 12, BBI_BELL_SOCKET);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    cr_assert_eq(poll(&p, 1, 0), 0);
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, 12), 1);
    cr_assert_eq(poll(&p, 1, 1000), 1);
    char c;
    cr_assert_eq(read(fd, &c, 1), 1);
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, 12), 0);
    cr_assert_eq(poll(&p, 1, 0), 0, "one is enough");
    bbi_wake_socket_remove(&at, 12);
    cr_assert(!file_exists("sock/12"));
    (void)close(fd);
    (void)close(waker.sock_fd);
}

Test(wake, a_knock_never_waits_for_a_full_or_missing_socket)
{
    int fd = bbi_wake_socket(&at, 13);
    int64_t t0 = bbi_os_mono_ns();
    for (int i = 0; i < 10000; i++) {
        (void)bbi_wake_arm(at.bus, 13, BBI_BELL_SOCKET);
        cr_assert_eq(bbi_wake_ring(at.bus, &waker, 13), 1);
    }
    (void)close(fd);
    (void)bbi_wake_arm(at.bus, 13, BBI_BELL_SOCKET);
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, 13), 1, "nobody listens");
    bbi_wake_socket_remove(&at, 13);
    (void)bbi_wake_arm(at.bus, 13, BBI_BELL_SOCKET);
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, 13), 1, "nobody is there");
    cr_assert_lt(bbi_os_mono_ns() - t0, INT64_C(5000000000));
    (void)close(waker.sock_fd);
}

Test(wake, a_row_with_a_socket_of_the_one_before_is_taken_over)
{
    int fd = bbi_wake_socket(&at, 14);
    (void)close(fd); /* killed: its name stays */
    cr_assert(file_exists("sock/14"));
    fd = bbi_wake_socket(&at, 14);
    cr_assert_geq(fd, 0);
    (void)bbi_wake_arm(at.bus, 14, BBI_BELL_SOCKET);
    cr_assert_eq(bbi_wake_ring(at.bus, &waker, 14), 1);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    cr_assert_eq(poll(&p, 1, 1000), 1);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A name belongs to one living member: refused with a sentence that names the owner, free at once when
 *         the owner leaves or is killed.
 */
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READY = 1, GO = 1, TAKEN = 2, QUIT = 2, RACERS = 8, ROUNDS = 20, N_GOT = 0 };

static int
try_name(const char *name, struct bb_endpoint **ep, struct bb_error *err)
{
    *err = (struct bb_error){0};
    return bb_endpoint_open(ep, &(struct bb_endpoint_opts){.size = sizeof(struct bb_endpoint_opts),
                                                           .dir = bbt_dir(),
                                                           .bus = BBT_BUS,
                                                           .name = name,
                                                           .error = err});
}

static void
owner(struct bbt_side *side, const void *arg)
{
    struct bb_endpoint *ep = bbt_endpoint(side, arg, 0);
    bbt_at(side, READY);
    (void)bbt_wait_go(side, GO, 30000);
    bb_endpoint_close(ep);
}

Test(names, taken_is_said_with_the_owner, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 20)
{
    struct bbt_child c;
    struct bb_endpoint *ep;
    struct bb_error err;
    char pid[16];
    bbt_fork(&c, "owner", owner, "the-name");
    bbt_wait_at(&c, READY, 5000);
    cr_assert_eq(try_name("the-name", &ep, &err), BB_EEXIST);
    (void)snprintf(pid, sizeof(pid), "%d", (int)c.pid);
    cr_assert_eq(err.code, BB_EEXIST);
    cr_assert_eq(err.owner_pid, c.pid);
    cr_assert_str_eq(err.name, "the-name");
    cr_assert_not_null(strstr(err.sentence, pid), "no pid in: %s", err.sentence);
    cr_assert_not_null(strstr(err.sentence, "the-name"), "no name in: %s", err.sentence);
    cr_assert_eq(try_name("another", &ep, &err), 0);
    bb_endpoint_close(ep);
    bbt_order(&c, GO);
    bbt_wait_end(&c, 5000);
    cr_assert_eq(try_name("the-name", &ep, &err), 0, "after it left: %s", err.sentence);
    bb_endpoint_close(ep);
    bbt_gc("names");
}

Test(names,
     a_stopped_owner_keeps_it_a_killed_one_does_not,
     .init = bbt_bus_new,
     .fini = bbt_bus_end,
     .timeout = 20)
{
    struct bbt_child c;
    struct bb_endpoint *ep;
    struct bb_error err;
    bbt_fork(&c, "owner", owner, "the-name");
    bbt_wait_at(&c, READY, 5000);
    bbt_signal(&c, SIGSTOP);
    bbt_wait_stop(&c, 5000);
    cr_assert_eq(try_name("the-name", &ep, &err), BB_EEXIST);
    bbt_signal(&c, SIGKILL);
    bbt_wait_kill(&c, 5000);
    cr_assert_eq(try_name("the-name", &ep, &err), 0, "after it was killed: %s", err.sentence);
    struct bb_endpoint *twice;
    cr_assert_eq(try_name("the-name", &twice, &err), BB_EEXIST, "twice in one process");
    cr_assert_eq(err.owner_pid, getpid());
    bb_endpoint_close(ep);
    bbt_gc("names");
}

Test(names, what_cannot_be_a_name, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 20)
{
    static const char *const bad[] = {
        "", "a b", "a/b", "a\nb", "\x7f", "123456789012345678901234567890123456789012345678"};
    struct bb_endpoint *ep;
    struct bb_error err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(try_name(bad[i], &ep, &err), BB_EINVAL, "'%s'", bad[i]);
        cr_assert_gt(strlen(err.sentence), 10);
    }
    cr_assert_eq(try_name("12345678901234567890123456789012345678901234567", &ep, &err), 0);
    bb_endpoint_close(ep);
}

static void
racer(struct bbt_side *side, const void *arg)
{
    struct bb_error err;
    (void)arg;
    bbt_at(side, READY);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct bb_endpoint *ep = NULL;
        (void)bbt_wait_go(side, 2 * round - 1, 30000);
        int rc = try_name("contested", &ep, &err);
        BBT_CHECK(side, rc == 0 || rc == BB_EEXIST, "%d %s", rc, err.sentence);
        bbi_store_release(&side->n[N_GOT], rc == 0);
        bbt_at(side, READY + 2 * round - 1);
        (void)bbt_wait_go(side, 2 * round, 30000);
        bb_endpoint_close(ep);
        bbt_at(side, READY + 2 * round);
    }
}

/* Eight at once, twenty times; in the first round they also race to make the bus. */
Test(names, one_of_many_wins, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 60)
{
    struct bbt_child c[RACERS];
    for (int i = 0; i < RACERS; i++) {
        bbt_fork(&c[i], "racer", racer, NULL);
    }
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        uint64_t winners = 0;
        for (int i = 0; i < RACERS; i++) {
            bbt_wait_at(&c[i], READY + 2 * round - 2, 10000);
        }
        for (int i = 0; i < RACERS; i++) {
            bbt_order(&c[i], 2 * round - 1);
        }
        for (int i = 0; i < RACERS; i++) {
            bbt_wait_at(&c[i], READY + 2 * round - 1, 10000);
            winners += bbi_load_acquire(&c[i].side->n[N_GOT]);
        }
        cr_assert_eq(winners, 1, "round %u: %lu have the name", round, (unsigned long)winners);
        for (int i = 0; i < RACERS; i++) {
            bbt_order(&c[i], 2 * round);
        }
    }
    for (int i = 0; i < RACERS; i++) {
        bbt_wait_end(&c[i], 10000);
    }
    bbt_gc("names");
}

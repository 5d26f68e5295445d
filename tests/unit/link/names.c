/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A name whose name server is silent holds up neither the links that are there, nor their heartbeat, nor the dials
 *         of others; when it is known at last, its link comes.
 * Method  A resolver of our own that keeps names beginning with "slow" for 10 s, or until the test lets them go.
 */
#include "lib/net/net_impl.h"
#include "tests/unit/link/hub_pair.h"
#include <pthread.h>

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static bool is_open; /* under gate */
enum { SLOW_S = 10 };

static int
slow_resolve(const char *host,
             uint16_t port,
             bool is_passive,
             struct bbi_net_addresses *out,
             struct bbi_fault *f)
{
    struct timespec until;
    int rc = 0;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SLOW_S;
    (void)pthread_mutex_lock(&gate);
    while (strncmp(host, "slow", 4) == 0 && !is_open && rc == 0) {
        rc = pthread_cond_timedwait(&opened, &gate, &until);
    }
    (void)pthread_mutex_unlock(&gate);
    return bbi_net_resolve(strcmp(host, "slow-bravo") == 0 ? "127.0.0.1" : host, port, is_passive,
                           out, f);
}

static void
open_gate(void)
{
    (void)pthread_mutex_lock(&gate);
    is_open = true;
    (void)pthread_cond_broadcast(&opened);
    (void)pthread_mutex_unlock(&gate);
}

KIND_PARAMS(link_names, links_live_while_a_name_is_looked_up)
ParameterizedTest(struct kind *k, link_names, links_live_while_a_name_is_looked_up, .timeout = 60)
{
    struct side a = {0}, b = {0};
    struct bbi_hub_opts oa = opts_of(k, "alpha", 1), ob = opts_of(k, "bravo", 2);
    struct bbi_fault f = {0};
    begin_kind(k);
    oa.resolve = slow_resolve;
    side_open(&a, &oa);
    side_open(&b, &ob);
    side_listen(&b);
    side_dial(&a, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    cr_assert_eq(bbi_hub_dial(a.hub, "slow-nowhere", b.port, NULL, &f), 0, "%s", f.sentence);
    /* Longer than a link lives without a word, and no turn takes long. */
    int64_t end_ns = bbi_os_mono_ns() + 4 * SECOND_NS, longest_ns = 0;
    while (bbi_os_mono_ns() < end_ns) {
        int64_t begun_ns = bbi_os_mono_ns();
        turn(&a, SECOND_NS / 100);
        int64_t took_ns = bbi_os_mono_ns() - begun_ns;
        longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
        turn(&b, 0);
        (void)offer(&a, 100);
    }
    UNTIL(&a, &b, b.received == a.offered);
    cr_assert_lt(longest_ns, 2 * SECOND_NS);
    cr_assert(a.is_up && b.is_up);
    cr_assert_eq(a.ups, 1, "%s", a.down);
    cr_assert_eq(b.ups, 1, "%s", b.down);
    open_gate();
    UNTIL(&a, &b, a.unavailable > 0);
    cr_assert_not_null(strstr(a.away, "slow-nowhere is not known"), "%s", a.away);
    pair_close(&a, &b);
}

KIND_PARAMS(link_names, a_slow_name_comes_up_at_last)
ParameterizedTest(struct kind *k, link_names, a_slow_name_comes_up_at_last, .timeout = 60)
{
    struct side a = {0}, b = {0}, c = {0};
    struct bbi_hub_opts oa = opts_of(k, "alpha", 1), ob = opts_of(k, "bravo", 2),
                        oc = opts_of(k, "charlie", 3);
    struct bbi_fault f = {0};
    begin_kind(k);
    oa.resolve = slow_resolve;
    side_open(&a, &oa);
    side_open(&b, &ob);
    side_open(&c, &oc);
    side_listen(&b);
    side_listen(&c);
    cr_assert_eq(bbi_hub_dial(a.hub, "slow-bravo", b.port, NULL, &f), 0, "%s", f.sentence);
    side_dial(&a, c.port);
    UNTIL(&a, &c, a.is_up && c.is_up); /* the other is still being looked up */
    cr_assert_eq(b.ups, 0);
    a.is_up = false; /* of the next */
    open_gate();
    UNTIL(&a, &b, a.is_up && b.is_up);
    side_close(&c);
    pair_close(&a, &b);
}

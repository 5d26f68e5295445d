/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a name that takes its time holds nobody up: neither the wait, nor other names, nor connections; what comes back
 * after its connection was given up is dropped; threads are bounded and end.
 * Method: a resolver of our own, which keeps names that begin with "slow" until the test lets them go.
 * bb-long
 */
#include "tests/unit/net/net_pair.h"
#include <dirent.h>
#include <pthread.h>

TestSuite(net_names, .timeout = 60);

static struct side client, server;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static int inside, inside_most, let_go; /* all under gate */

static int
slow_resolve(const char *host,
             uint16_t port,
             bool is_passive,
             struct bbi_net_addresses *out,
             struct bbi_fault *f)
{
    (void)pthread_mutex_lock(&gate);
    inside++;
    inside_most = inside > inside_most ? inside : inside_most;
    while (strncmp(host, "slow", 4) == 0 && let_go == 0) {
        (void)pthread_cond_wait(&opened, &gate);
    }
    let_go -= strncmp(host, "slow", 4) == 0;
    inside--;
    (void)pthread_mutex_unlock(&gate);
    return bbi_net_resolve(strstr(host, "good") != NULL ? "127.0.0.1" : host, port, is_passive, out,
                           f);
}

static void
open_gate(int count)
{
    (void)pthread_mutex_lock(&gate);
    let_go += count;
    (void)pthread_cond_broadcast(&opened);
    (void)pthread_mutex_unlock(&gate);
}

static int
asking(void)
{
    (void)pthread_mutex_lock(&gate);
    int count = inside;
    (void)pthread_mutex_unlock(&gate);
    return count;
}

static bool
is_of_lookups(const char *thread)
{
    char path[64], name[32] = "";
    (void)snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", thread);
    FILE *file = fopen(path, "re");
    bool is_read = file != NULL && fgets(name, sizeof(name), file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_read && strcmp(name, BBI_LOOKUP_THREAD_NAME "\n") == 0;
}

/* Those that look names up. */
static int
threads(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        count += is_of_lookups(e->d_name);
    }
    (void)closedir(dir);
    return count;
}

static void
open_both(const struct kind *k)
{
    begin_kind(k);
    side_open(&server, k);
    side_open_with(&client, k, (struct bbi_net_opts){.resolve = slow_resolve});
    side_listen(&server, "127.0.0.1");
}

static struct bbi_net_id
dial(const char *host, int64_t timeout_ns)
{
    struct bbi_net_id id;
    struct bbi_fault f = {0};
    int64_t begun_ns = bbi_os_mono_ns();
    cr_assert_eq(bbi_net_connect(client.net, host, server.port, timeout_ns, &id, &f), 0, "%s",
                 f.sentence);
    cr_assert_lt(bbi_os_mono_ns() - begun_ns, INT64_C(2000000000), "it blocked");
    return id;
}

KIND_PARAMS(net_names, a_slow_one_holds_nobody_up)
ParameterizedTest(struct kind *k, net_names, a_slow_one_holds_nobody_up)
{
    open_both(k);
    (void)dial("slow good one", INT64_C(60000000000));
    UNTIL(&client, &server, asking() == 1);
    /* Addresses, and a name that the box itself knows, with the slow one still asking. */
    (void)dial("127.0.0.1", 0);
    (void)dial("localhost", 0);
    UNTIL(&client, &server, client.connected == 2 && server.accepted == 2);
    cr_assert_eq(asking(), 1);
    cr_assert_eq(client.refused, 0);
    open_gate(1);
    UNTIL(&client, &server, client.connected == 3 && server.accepted == 3);
    UNTIL(&client, &server, threads() == 0);
    side_close(&client);
    side_close(&server);
}

KIND_PARAMS(net_names, given_up_and_ended)
ParameterizedTest(struct kind *k, net_names, given_up_and_ended)
{
    struct bbi_net_stats stats;
    open_both(k);
    /* Its time is over while it is asked for. */
    (void)dial("slow and late", 50000000);
    UNTIL(&client, &server, client.refused == 1);
    cr_assert_eq(client.status, -ETIMEDOUT);
    cr_assert_not_null(strstr(client.said, "slow and late"), "%s", client.said);
    /* Its user ends it; the slot is used by another. */
    struct bbi_net_id id = dial("slow good and ended", 0);
    UNTIL(&client, &server, asking() == 2);
    bbi_net_end(client.net, id, BBI_NET_ABORT);
    link_up(&client, &server);
    open_gate(2);
    UNTIL(&client, &server, threads() == 0);
    turn(&client, 20000000);
    cr_assert_eq(client.refused, 1);
    cr_assert_eq(client.connected, 1);
    cr_assert_eq(server.accepted, 1);
    bbi_net_stats(client.net, &stats);
    cr_assert_eq(stats.stale, 0, "nobody is told, as it was forgotten");
    /* Closed with some asking, and more waiting for a thread: nobody waits for them. */
    for (int i = 0; i < BBI_LOOKUP_THREADS + 9; i++) {
        (void)dial("slow", 0);
    }
    UNTIL(&client, &server, asking() == BBI_LOOKUP_THREADS);
    int64_t begun_ns = bbi_os_mono_ns();
    side_close(&client);
    cr_assert_lt(bbi_os_mono_ns() - begun_ns, INT64_C(2000000000), "it waited");
    open_gate(BBI_LOOKUP_THREADS);
    UNTIL(&server, no_side(), threads() == 0);
    cr_assert_eq(inside_most, BBI_LOOKUP_THREADS);
    side_close(&server);
}

KIND_PARAMS(net_names, more_than_threads)
ParameterizedTest(struct kind *k, net_names, more_than_threads)
{
    enum { NAMES = BBI_LOOKUP_THREADS + 10 };
    open_both(k);
    for (int i = 0; i < NAMES; i++) {
        (void)dial("slow good", INT64_C(60000000000));
    }
    UNTIL(&client, &server, asking() == BBI_LOOKUP_THREADS);
    cr_assert_eq(threads(), BBI_LOOKUP_THREADS);
    open_gate(NAMES);
    UNTIL(&client, &server, client.connected == NAMES && server.accepted == NAMES);
    cr_assert_eq(inside_most, BBI_LOOKUP_THREADS);
    side_close(&client);
    side_close(&server);
}

/* Where to listen is needed at once, so it is asked for a second at most. */
KIND_PARAMS(net_names, listening_on_a_slow_name)
ParameterizedTest(struct kind *k, net_names, listening_on_a_slow_name)
{
    struct bbi_net_id id;
    struct bbi_fault f = {0};
    open_both(k);
    int64_t begun_ns = bbi_os_mono_ns();
    cr_assert_eq(bbi_net_listen(client.net, "slow", 0, &id, NULL, &f), BB_ETIMEDOUT);
    cr_assert_geq(bbi_os_mono_ns() - begun_ns, INT64_C(900000000));
    cr_assert_not_null(strstr(f.sentence, "slow was looked up"), "%s", f.sentence);
    cr_assert_eq(bbi_net_listen(client.net, "localhost", 0, &id, NULL, &f), 0, "%s", f.sentence);
    cr_assert_eq(bbi_net_is_loopback("localhost", &f), 1);
    open_gate(1);
    side_close(&client);
    side_close(&server);
}

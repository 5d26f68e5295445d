/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool_node NAME keyed|zeek KEY... - a proxy that says who owns these keys, for cli_pool_where.sh.
 *
 * One line each time that it changed: the owners in pool `proxy`, then in `few`, which has two of the
 * proxies; `-` for nobody.  Ends on SIGTERM.
 */
#include <busbar/busbar.h>
#include <busbar/cluster.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGES = 16, LINE_BYTES = 2048, WAIT_NS = 50000000 };

static volatile sig_atomic_t is_over;

static void
on_signal(int number)
{
    (void)number;
    is_over = 1;
}

static void
put_owners(const struct bb_pool *pool, char **keys, int count, char line[LINE_BYTES])
{
    for (int i = 0; i < count; i++) {
        const char *name = "-";
        size_t at = strlen(line);
        if (bb_pool_where(pool, keys[i], strlen(keys[i]), 0, &name) < 0) {
            name = "-";
        }
        (void)snprintf(line + at, LINE_BYTES - at, "%s%s", at > 0 ? " " : "", name);
    }
}

static int
serve(struct bb_cluster *c, struct bb_pool *const pools[2], char **keys, int count)
{
    struct bb_msg msgs[MESSAGES];
    char before[LINE_BYTES] = "";
    int rc = 0;
    while (rc >= 0 && !is_over) {
        char line[LINE_BYTES] = "";
        put_owners(pools[0], keys, count, line);
        put_owners(pools[1], keys, count, line);
        if (strcmp(line, before) != 0) {
            (void)strcpy(before, line);
            puts(line);
            (void)fflush(stdout);
        }
        rc = bb_cluster_poll(c, msgs, MESSAGES, WAIT_NS);
        bb_release(bb_cluster_subscriber(c));
    }
    return rc;
}

int
main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct bb_error error = {.code = 0};
    struct bb_cluster *c;
    struct bb_pool *pools[2];

    if (argc < 4) {
        fprintf(stderr, "usage: pool_node NAME keyed|zeek KEY...\n");
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    int rc = bb_cluster_join(
        &c,
        &(struct bb_cluster_opts){.size = sizeof(struct bb_cluster_opts),
                                  .name = argv[1],
                                  .role = BB_ROLE_PROXY,
                                  .hrw = strcmp(argv[2], "zeek") == 0 ? BB_HRW_ZEEK : BB_HRW_KEYED,
                                  .error = &error});
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], error.sentence);
        return 1;
    }
    pools[0] = bb_pool_find(c, "proxy");
    rc = bb_pool_register(c,
                          &(struct bb_pool_opts){.size = sizeof(struct bb_pool_opts),
                                                 .name = "few",
                                                 .role = BB_ROLE_PROXY,
                                                 .max_nodes = 2,
                                                 .error = &error},
                          &pools[1]);
    rc = rc == 0 ? serve(c, pools, argv + 3, argc - 3) : rc;
    if (rc < 0) {
        fprintf(stderr, "%s: %s %s\n", argv[1], bb_strerror(rc), error.sentence);
    }
    bb_cluster_leave(c);
    return rc < 0;
}

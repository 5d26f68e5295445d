/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cluster_node NAME ROLE [PREFIX] - a node with variables, for cli_cluster.sh and cli_print.sh.
 *
 * Ends on SIGTERM or SIGINT by leaving; drains on SIGUSR1, and is back on SIGUSR2.  Its variables:
 *   test::name      its name; cannot be set
 *   test::count     a count below 1000; others are refused
 *   test::clients   a set of addresses
 *   test::large     a set of 10,000 counts
 *   test::v0 ...    20 strings, `NAME says N` each
 * Workers belong to the registered pool `few`, of at most two nodes.
 */
#include <busbar/busbar.h>
#include <busbar/cluster.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { VARIABLES = 20, LARGE = 10000, COUNT_MAX = 1000, MESSAGES = 16 };

#define WAIT_NS 100000000

static volatile sig_atomic_t is_over;
static volatile sig_atomic_t wants_drain;

struct said {
    const char *name;
    int number;
};

static const char *node_name;
static uint64_t count = 7;

static void
on_signal(int number)
{
    if (number == SIGUSR1 || number == SIGUSR2) {
        wants_drain = number == SIGUSR1;
    } else {
        is_over = 1;
    }
}

static void
show_name(struct bb_builder *b, void *user)
{
    (void)user;
    bb_put_string(b, node_name, strlen(node_name));
}

static void
show_count(struct bb_builder *b, void *user)
{
    (void)user;
    bb_put_count(b, count);
}

static int
set_count(const struct bb_value *value, void *user)
{
    uint64_t wish;
    (void)user;
    if (bb_value_type(value) != BB_COUNT || bb_get_count(value, &wish) != 0) {
        return BB_ETYPE;
    }
    if (wish >= COUNT_MAX) {
        return BB_EINVAL;
    }
    count = wish;
    return 0;
}

static void
show_clients(struct bb_builder *b, void *user)
{
    static const char text[] = "{10.0.0.1, 10.0.0.2, ::1}";
    (void)user;
    bb_put_text(b, BB_SET, text, sizeof(text) - 1, NULL);
}

static void
show_large(struct bb_builder *b, void *user)
{
    (void)user;
    bb_put_set_begin(b);
    for (uint64_t i = 0; i < LARGE; i++) {
        bb_put_count(b, i);
    }
    bb_put_end(b);
}

static void
show_said(struct bb_builder *b, void *user)
{
    const struct said *said = user;
    char text[96];
    int bytes = snprintf(text, sizeof(text), "%s says %d", said->name, said->number);
    bb_put_string(b, text, (size_t)bytes);
}

static int
add_variables(struct bb_cluster *c)
{
    static struct said said[VARIABLES];
    int rc = bb_cluster_variable(c, "test::name", show_name, NULL, NULL);
    rc = rc == 0 ? bb_cluster_variable(c, "test::count", show_count, set_count, NULL) : rc;
    rc = rc == 0 ? bb_cluster_variable(c, "test::clients", show_clients, NULL, NULL) : rc;
    rc = rc == 0 ? bb_cluster_variable(c, "test::large", show_large, NULL, NULL) : rc;
    for (int i = 0; i < VARIABLES && rc == 0; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "test::v%d", i);
        said[i] = (struct said){node_name, i};
        rc = bb_cluster_variable(c, name, show_said, NULL, &said[i]);
    }
    return rc;
}

static int
add_pool(struct bb_cluster *c)
{
    struct bb_pool *pool;
    struct bb_pool_opts opts = {
        .size = sizeof(opts), .name = "few", .role = BB_ROLE_WORKER, .max_nodes = 2};
    return bb_pool_register(c, &opts, &pool);
}

static int
serve(struct bb_cluster *c)
{
    struct bb_msg msgs[MESSAGES];
    int is_drained = 0;
    int rc = 0;
    while (rc >= 0 && !is_over) {
        rc = bb_cluster_poll(c, msgs, MESSAGES, WAIT_NS);
        if (rc >= 0 && is_drained != wants_drain) {
            is_drained = wants_drain;
            rc = bb_cluster_drain(c, is_drained);
        }
    }
    return rc;
}

int
main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct bb_error error = {.code = 0};
    struct bb_cluster *c;
    int role = argc > 2 ? bb_role_parse(argv[2]) : BB_EINVAL;

    if (role < 0) {
        fprintf(stderr, "usage: cluster_node NAME ROLE [PREFIX]\n");
        return 2;
    }
    node_name = argv[1];
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    int rc = bb_cluster_join(&c, &(struct bb_cluster_opts){
                                     .size = sizeof(struct bb_cluster_opts),
                                     .name = node_name,
                                     .role = (uint32_t)role,
                                     .prefix = argc > 3 ? argv[3] : NULL,
                                     .error = &error,
                                 });
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", node_name, error.sentence);
        return 1;
    }
    rc = add_variables(c);
    rc = rc == 0 ? add_pool(c) : rc;
    rc = rc == 0 ? serve(c) : rc;
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", node_name, bb_strerror(rc));
    }
    bb_cluster_leave(c);
    return rc < 0;
}

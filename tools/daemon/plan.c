/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/daemon/plan.h"

#include "tools/daemon/words.h"
#include <busbar/inspect.h>
#include <inttypes.h>
#include <stdlib.h>

static void
print_bus(FILE *to, const struct bbi_daemon_opts *opts)
{
    char dir[256] = "";
    const char *bus = opts->bus;
    if (bus == NULL) {
        bus = getenv("BUSBAR_BUS"); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    if (opts->dir == NULL) {
        int bytes = bb_bus_dir(dir, sizeof(dir) - 1);
        dir[bytes > 0 ? bytes : 0] = '\0';
    }
    (void)fprintf(to, "bus       %s in %s\n", bus != NULL && bus[0] != '\0' ? bus : "default",
                  opts->dir != NULL ? opts->dir : dir);
}

static void
print_engine(FILE *to, uint32_t engine)
{
    char why[256] = "";
    if (engine != 0) {
        (void)fprintf(to, "engine    %s\n", daemon_engines[engine]);
    } else if (bbi_daemon_probe(why, sizeof(why)) == 1) {
        (void)fputs("engine    auto, that is io_uring\n", to);
    } else {
        (void)fprintf(to, "engine    auto, that is epoll: %s\n", why);
    }
}

static void
print_security(FILE *to, const struct bbi_daemon_opts *opts, const struct bbi_daemon_plan *plan)
{
    const char *file = opts->cert != NULL ? opts->cert : opts->psk;
    (void)fprintf(to, "security  %s", plan->security);
    if (file != NULL) {
        (void)fprintf(to, ", %s", file);
    } else if (plan->key_path[0] != '\0') {
        (void)fprintf(to, ", %s%s", plan->key_path, plan->is_key_to_make ? " (to be made)" : "");
    }
    (void)fputc('\n', to);
    if (opts->is_compressing) {
        (void)fputs("compress  LZ4, with boxes that offer it too\n", to);
    }
    if (opts->rights != NULL) {
        (void)fprintf(to, "rights    %" PRIu32 " rules of %s\n", plan->rules, opts->rights);
    }
}

static void
print_peer(FILE *to, const struct bbi_daemon_peer *peer, uint64_t queue_bytes)
{
    char text[DAEMON_PLACE_BYTES];
    uint64_t bytes = peer->queue_bytes != 0 ? peer->queue_bytes : queue_bytes;
    if (peer->host != NULL) {
        (void)fprintf(to, "peer      %s at %s, %s", peer->name != NULL ? peer->name : peer->host,
                      daemon_place_text(peer->host, peer->port, text), daemon_slows[peer->slow]);
    } else {
        (void)fprintf(to, "peer      %s, when it links to us, %s", peer->name,
                      daemon_slows[peer->slow]);
    }
    if (bytes != 0) {
        (void)fprintf(to, ", a queue of %" PRIu64 " bytes", bytes);
    }
    (void)fputc('\n', to);
}

void
daemon_plan_print(FILE *to, const struct daemon_opts *o, const struct bbi_daemon_plan *plan)
{
    char text[DAEMON_PLACE_BYTES];
    print_bus(to, &o->opts);
    print_engine(to, o->opts.engine);
    print_security(to, &o->opts, plan);
    for (size_t i = 0; i < o->opts.listen_count; i++) {
        (void)fprintf(to, "listen    %s\n",
                      daemon_place_text(o->listen[i].host, o->listen[i].port, text));
    }
    for (size_t i = 0; i < o->opts.peer_count; i++) {
        print_peer(to, &o->peers[i], o->opts.queue_bytes);
    }
    for (size_t i = 0; i < o->opts.topic_count; i++) {
        (void)fprintf(to, "topics    %s\n", o->opts.topics[i]);
    }
    if (o->opts.topic_count == 0) {
        (void)fputs("topics    all\n", to);
    }
}

void
daemon_probe_print(FILE *to)
{
    char why[256] = "";
    if (bbi_daemon_probe(why, sizeof(why)) == 1) {
        (void)fputs("engine: io_uring\n", to);
    } else {
        (void)fprintf(to, "engine: epoll: %s\n", why);
    }
}

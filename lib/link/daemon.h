/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/daemon.h - a bridge: a hub, a bus and who asks, in one loop.  The one header that tools/daemon includes.
 *
 * Threads    One: open, run and close belong to it.  stop and reload are asked for from signal handlers: they set a flag
 *            and write an eventfd.
 */
#ifndef BUSBAR_LIB_LINK_DAEMON_H
#define BUSBAR_LIB_LINK_DAEMON_H

#include <busbar/bridge.h>
#include <stdbool.h>

struct bbi_daemon;

struct bbi_daemon_peer {
    const char *host; /* NULL: it is not dialed; this is for when it comes to us by this name */
    uint16_t port;
    const char *name; /* NULL: host */
    uint32_t slow;    /* enum bb_slow */
    uint64_t queue_bytes;
};
struct bbi_daemon_place {
    const char *host;
    uint16_t port;
};

struct bbi_daemon_opts {
    const char *dir, *bus; /* as in struct bb_endpoint_opts */
    const char *name;      /* of this box; NULL: bbi_link_own_name() finds one */
    const char *cluster;   /* NULL: any */
    uint32_t engine;       /* 0 auto, 1 io_uring, 2 epoll */
    const struct bbi_daemon_place *listen;
    size_t listen_count;
    const struct bbi_daemon_peer *peers;
    size_t peer_count;
    const char *const *topics;
    size_t topic_count;
    const char *cert, *key, *ca, *crl; /* paths; all or none of the first three */
    const char *psk;                   /* path */
    bool is_insecure;
    bool is_compressing;  /* LZ4, with boxes that offer it too */
    const char *rights;   /* path; NULL: topics alone decide */
    uint32_t slow;        /* enum bb_slow, of boxes that are none of peers */
    uint64_t queue_bytes; /* of all that do not say theirs; 0: 8 MiB */
    uint64_t ring_bytes;
    int64_t user_timeout_ns;
    int64_t retry_max_ns; /* the longest pause between two attempts; 0: 30 s */
    int64_t stop_max_ns;  /* that what is queued is sent for when it stops; 0: 1 s */
    int64_t hold_max_ns;  /* that a reliable subscriber holds a link, then it is evicted; 0: 1 s */
    struct bb_error *error;
    /* For people and service managers; NULL: not told. */
    void (*log)(void *user, const char *level, const char *line);
    void (*listening)(void *user, const char *host, uint16_t port); /* the port that it got */
    void (*ready)(void *user); /* attached, listening, dialing */
    void *user;
};

/*
 * bbi_daemon_open - attaches as node `busbard`, opens the hub, listens, dials.
 *
 * Returns   0; BB_EEXIST there is a busbard on this bus; BB_EINVAL, BB_EACCES, -EADDRINUSE ...: opts->error says it.
 */
BB_MUST_USE int bbi_daemon_open(struct bbi_daemon **out, const struct bbi_daemon_opts *opts);
/* bbi_daemon_run - until stop: then everybody is told, what is queued is sent for stop_max_ns at most.  0, or a fault. */
BB_MUST_USE int bbi_daemon_run(struct bbi_daemon *daemon);
void bbi_daemon_close(struct bbi_daemon *daemon);

void bbi_daemon_stop(struct bbi_daemon *daemon); /* async-signal-safe */
/*
 * bbi_daemon_reload - between two turns of run (its `reload` callback was asked for by bbi_daemon_wake()): topics, rights,
 * keys, listeners and peers as opts say now; engine, bus, name and security stay, and a change of them is BB_EINVAL.
 * All or nothing: after a status everything is as it was.
 */
BB_MUST_USE int bbi_daemon_reload(struct bbi_daemon *daemon, const struct bbi_daemon_opts *opts);
/* bbi_daemon_wake - async-signal-safe: run calls `wake` of set_wake between two turns. */
void bbi_daemon_wake(struct bbi_daemon *daemon);
void bbi_daemon_set_wake(struct bbi_daemon *daemon, void (*wake)(void *user), void *user);

/* What a start with these options would find. */
struct bbi_daemon_plan {
    const char *security; /* "certificates", "key", "user key", "none" */
    uint32_t rules;       /* in the rights file */
    bool is_key_to_make;  /* the user's key is not there yet */
    char key_path[512];   /* of the user's key; "" with another kind */
};
/*
 * bbi_daemon_check - reads keys, certificates and rights; attaches to nothing, listens nowhere, makes nothing.
 *
 * Returns   0; why bbi_daemon_open() would refuse these files: opts->error says it.
 */
BB_MUST_USE int bbi_daemon_check(struct bbi_daemon_plan *out, const struct bbi_daemon_opts *opts);

/* bbi_daemon_probe - the engine that auto takes here: 1 io_uring, 2 epoll; why not io_uring in why. */
uint32_t bbi_daemon_probe(char *why, size_t cap);

#endif

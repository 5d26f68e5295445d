/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/daemon_impl.h - what the files of the bridge share: daemon_open.c, daemon_reload.c, daemon.c (its loop).
 */
#ifndef BUSBAR_LIB_LINK_DAEMON_IMPL_H
#define BUSBAR_LIB_LINK_DAEMON_IMPL_H

#include "lib/link/control.h"
#include "lib/link/daemon.h"
#include "lib/link/keys.h"
#include "lib/link/local.h"
#include "shm/atomic.h"

/* Where it listens, or whom it dials, as the options said it. */
struct daemon_place {
    struct daemon_place *next;
    char *host;
    uint16_t port;
    uint16_t port_got; /* of a listener: the kernel's choice */
    char *name;        /* of a peer; NULL: host */
    /* While the options change, until that is done or undone. */
    bool is_new;    /* listens, or dials, because of them */
    bool was_there; /* new; a program had it dialed before */
    bool is_away;   /* a listener that was closed: a new one takes its port */
};

struct bbi_daemon {
    struct bb_error *error;
    void (*log)(void *user, const char *level, const char *line);
    void (*listening)(void *user, const char *host, uint16_t port);
    void (*ready)(void *user);
    void *user;

    struct bb_endpoint *ep;
    char *dir, *bus; /* as they were given; NULL: the default */
    struct bbi_hello self;
    uint32_t engine;
    enum bbi_security security;
    bool is_compressing;
    struct bbi_rights *rights;
    uint64_t ring_bytes;
    int64_t stop_max_ns, hold_max_ns;
    struct bbi_hub *hub;
    struct bbi_local *local;
    struct bbi_control *control;
    struct daemon_place *listens, *peers;

    int wake_fd, bus_fd, control_fd;
    bool is_bus_ready, is_control_ready;
    int64_t control_ns;            /* requests are looked at then, whoever knocks */
    int64_t look_ns;               /* at the bus's own lock, next */
    bbi_u32 is_stopping, is_woken; /* set by signal handlers */
    void (*wake)(void *user);
    void *wake_user;
};

void bbi_daemon_say(struct bbi_daemon *d, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* bbi_daemon_fail - the sentence to who opened it. */
int bbi_daemon_fail(const struct bbi_daemon *d, int rc, const struct bbi_fault *f);
extern const struct bbi_hub_events bbi_daemon_events;

/*
 * Where it listens and whom it dials, as opts say, all or nothing: prepare begins what is new and ends nothing; then
 * commit, which cannot fail, ends what opts do not say any more, or undo, which leaves all as it was.  After a prepare
 * that failed: undo, too.
 */
BB_MUST_USE int bbi_daemon_places_prepare(struct bbi_daemon *d,
                                          const struct bbi_daemon_opts *opts,
                                          struct bbi_fault *f);
void bbi_daemon_places_commit(struct bbi_daemon *d, const struct bbi_daemon_opts *opts);
void bbi_daemon_places_undo(struct bbi_daemon *d);
void bbi_daemon_places_free(struct daemon_place *places);
struct bbi_local_opts bbi_daemon_local_opts(const struct bbi_daemon *d,
                                            const struct bbi_daemon_opts *opts,
                                            struct bbi_rights *rights);

#endif

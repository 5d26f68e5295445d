/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/hub.h - all links of one bridge: listeners, peers that are dialed, peers that dialed us, one wait.
 *
 *   TCP ─► transport (TLS, greeting) ─► peer (session, retries) ─► events
 *
 * Knows no bus: what comes in and what goes out is the caller's matter (lib/link/local.h).
 *
 * Used by    lib/link/daemon, tests (two hubs in one process).
 * Threads    One, that which opened it.  Events come from bbi_hub_wait() alone, and may call anything but that and close.
 * Peers      Another box is known by its id: one peer for each, and one link, whoever dialed.  A peer that was heard of
 *            is kept until the hub closes, also when its link is down: the number of its next message must not be
 *            forgotten.  What it holds is bounded by its queue; at most box_max of them, then strangers are refused.
 * Retries    100 ms, doubling up to 30 s, each drawn between nothing and that (full jitter); anew from 100 ms after 60 s
 *            up.  What a retry soon cannot change (bbi_close_retry()) waits 30 s at once.
 * Safety     Before TLS and greeting are over, a stranger has 5 s and some 80 KiB, and at most stranger_max are there.
 */
#ifndef BUSBAR_LIB_LINK_HUB_H
#define BUSBAR_LIB_LINK_HUB_H

#include "busbar/bridge.h"
#include "lib/bridge/rights.h"
#include "lib/bridge/session.h"
#include "lib/net/net.h"
#include "lib/net/tls.h"

enum bbi_security {
    BBI_SECURITY_CERT = 0,     /* certificates of one CA */
    BBI_SECURITY_KEY = 1,      /* a pre-shared key */
    BBI_SECURITY_USER_KEY = 2, /* $BUSBAR_DIR/.key: whoever may read it is this user */
    BBI_SECURITY_NONE = 3,     /* --insecure */
};
const char *bbi_security_name(enum bbi_security security); /* as in struct bb_bridge_info */

struct bbi_hub;
struct bbi_box; /* another box, known by its id */

enum bbi_down {
    BBI_DOWN_LOST = 0,    /* cut, silent, or the other side ended it */
    BBI_DOWN_REMOVED = 1, /* taken down here: bbi_hub_undial(), stop, or its rights are gone */
};

struct bbi_hub_events {
    /* is_resumed: its messages go on where they were; what is missing comes as gaps. */
    void (*up)(void *user, struct bbi_box *box, bool is_resumed);
    void (*down)(void *user, struct bbi_box *box, enum bbi_down why, const char *sentence);
    /* Each time that dialing came to nothing, before the link was up; address as it was given. */
    void (*unavailable)(void *user, const char *address, const char *sentence);
    void (*messages)(void *user,
                     struct bbi_box *box,
                     const struct bbi_link_msg *msgs,
                     size_t count);
    void (*gap)(void *user, struct bbi_box *box, const struct bbi_gap *gap);
    void (*interest)(void *user, struct bbi_box *box, const struct bbi_interest *interest);
    /* After interests, before the next byte goes out: what was told must hold once we say that it is known. */
    void (*settle)(void *user);
    void (*barrier)(void *user, struct bbi_box *box, uint64_t token);
    /* With ONCE, and undial: how it came out.  status 0: up. */
    void (*dialed)(void *user, const char *address, int status, const char *sentence);
    void (*readable)(void *user, int fd); /* of bbi_net_watch(bbi_hub_net()) */
    /* One line for people: level "error", "warning", "notice", "info", "debug". */
    void (*log)(void *user, const char *level, const char *line);
};

struct bbi_hub_opts {
    struct bbi_hello self; /* node, epoch, cluster, name, message_max; the rest is filled in */
    enum bbi_net_engine engine;
    bool is_restricted;
    enum bbi_security security;
    struct bbi_tls_opts tls;         /* not for NONE; node is self.name */
    struct bbi_session_opts session; /* defaults of all peers: self and peer are not looked at */
    uint32_t box_max;                /* 0: 256 */
    uint32_t stranger_max;           /* 0: 64 */
    int64_t retry_min_ns, retry_max_ns, stable_ns; /* 0: 100 ms, 30 s, 60 s */
    int64_t stop_max_ns;                           /* that a stop takes; 0: 1 s */
    /*
     * As in struct bbi_net_opts, but 0: the kernel's own patience.  A peer that is silent is noticed by its session; one
     * that lives and does not read keeps its link.
     */
    int64_t user_timeout_ns;
    void (*now)(void *user, struct bbi_link_time *out); /* NULL: the clocks; for tests */
    bbi_net_resolve_fn resolve; /* NULL: the C library's resolver; for tests */
};

/* bbi_hub_open - 0; as bbi_net_open(), bbi_tls_ctx_open(): f says it. */
BB_MUST_USE int bbi_hub_open(struct bbi_hub **out,
                             const struct bbi_hub_opts *opts,
                             const struct bbi_hub_events *events,
                             void *user,
                             struct bbi_fault *f);
/* bbi_hub_close - everything at once, without a word.  After bbi_hub_stop() came to its end nobody misses one. */
void bbi_hub_close(struct bbi_hub *hub);
struct bbi_net *
bbi_hub_net(struct bbi_hub *hub); /* to watch descriptors, for its name and reason */

/*
 * bbi_hub_listen - as bbi_net_listen().  Keyless (USER_KEY) on what is not loopback is BB_EACCES: f says to give
 * --cert or --psk, or to write --insecure.
 */
BB_MUST_USE int bbi_hub_listen(
    struct bbi_hub *hub, const char *host, uint16_t port, uint16_t *port_out, struct bbi_fault *f);
/* bbi_hub_may_listen - 0, or why bbi_hub_listen() would not, with this security: for who wants to know before. */
BB_MUST_USE int
bbi_hub_may_listen(enum bbi_security security, const char *host, struct bbi_fault *f);
BB_MUST_USE int bbi_hub_unlisten(struct bbi_hub *hub, const char *host, uint16_t port);

struct bbi_dial_opts {
    const char *name; /* that the other side must have; NULL: host */
    enum bbi_slow_policy slow;
    size_t queue_bytes; /* 0: the hub's */
    bool is_once;
};
/* bbi_hub_dial - 0; BB_EEXIST host and port are dialed already; BB_EFULL; BB_EINVAL.  What comes of it comes as events. */
BB_MUST_USE int bbi_hub_dial(struct bbi_hub *hub,
                             const char *host,
                             uint16_t port,
                             const struct bbi_dial_opts *opts,
                             struct bbi_fault *f);
/* bbi_hub_may_dial - 0, or why bbi_hub_dial() would find these words wrong: BB_EINVAL. */
BB_MUST_USE int bbi_hub_may_dial(const char *host,
                                 uint16_t port,
                                 const struct bbi_dial_opts *opts,
                                 struct bbi_fault *f);
/* bbi_hub_undial - ends it (BBI_CLOSE_REMOVED), also the link that the other side dialed to us.  BB_ENOENT. */
BB_MUST_USE int bbi_hub_undial(struct bbi_hub *hub, const char *host, uint16_t port);

/* What is done when the queue for a box is full. */
struct bbi_hub_policy {
    char name[BBI_LINK_NAME_MAX + 1]; /* of the box */
    enum bbi_slow_policy slow;
    size_t queue_bytes; /* 0: as all others */
};
/*
 * bbi_hub_policies - from now on, of boxes that no dialed address led to: those that have one of these names, and all
 * others (whose 0 bytes are 8 MiB).  Copied.  What waits stays.  BB_EINVAL, BB_ENOMEM: all stays.
 */
BB_MUST_USE int bbi_hub_policies(struct bbi_hub *hub,
                                 const struct bbi_hub_policy *list,
                                 size_t count,
                                 const struct bbi_hub_policy *others,
                                 struct bbi_fault *f);
/* bbi_hub_retune - other ones for an address that is dialed; the link stays up.  BB_ENOENT; BB_EINVAL. */
BB_MUST_USE int bbi_hub_retune(struct bbi_hub *hub,
                               const char *host,
                               uint16_t port,
                               const struct bbi_hub_policy *policy,
                               struct bbi_fault *f);

/*
 * bbi_hub_wait - one turn: sends what was offered, handles what came, keeps time; waits at most timeout_ns.
 *
 * Returns   how many events the net had; a fault of the engine.
 */
BB_MUST_USE int bbi_hub_wait(struct bbi_hub *hub, int64_t timeout_ns);

/* bbi_hub_stop - tells everybody BBI_CLOSE_SHUTDOWN.  true: it was said and sent; wait on while false, stop_max_ns at most. */
bool bbi_hub_stop(struct bbi_hub *hub);

/* Other keys, checked: the caller's until they are taken; ctx NULL is none. */
struct bbi_hub_tls {
    struct bbi_tls_ctx *ctx;
    bool is_named_by_keys;
};
/* bbi_hub_prepare_tls - reads and checks, changes nothing. */
BB_MUST_USE int bbi_hub_prepare_tls(const struct bbi_hub *hub,
                                    struct bbi_hub_tls *out,
                                    const struct bbi_tls_opts *tls,
                                    struct bbi_fault *f);
/* bbi_hub_take_tls - for connections to come; those that live keep theirs.  The ctx is the hub's from here on. */
void bbi_hub_take_tls(struct bbi_hub *hub, const struct bbi_hub_tls *prepared);
/* bbi_hub_reload_tls - both. */
BB_MUST_USE int
bbi_hub_reload_tls(struct bbi_hub *hub, const struct bbi_tls_opts *tls, struct bbi_fault *f);

/* ---- peers ---- */

struct bbi_box *bbi_hub_next(struct bbi_hub *hub,
                             struct bbi_box *before);     /* NULL: the first; the end */
struct bbi_session *bbi_box_session(struct bbi_box *box); /* offers, interests; never NULL */
bool bbi_box_is_up(const struct bbi_box *box);
const char *
bbi_box_name(const struct bbi_box *box); /* of the box, as certified where there are certificates */
const struct bbi_hello *bbi_box_hello(const struct bbi_box *box);
void *bbi_box_user(const struct bbi_box *box); /* local's own */
void bbi_box_set_user(struct bbi_box *box, void *user);
/* bbi_box_end - says why and ends the link that is up now; it may come again. */
void bbi_box_end(struct bbi_box *box, enum bbi_close_code code, const char *sentence);

/* bbi_hub_links - one for each peer, each dialed address that no peer came of yet, each listener: as bb_bridge_links().  denied_* are local's. */
size_t
bbi_hub_links(struct bbi_hub *hub, struct bb_link_info *out, struct bbi_box **boxes, size_t max);
uint64_t bbi_hub_memory(const struct bbi_hub *hub);

#endif

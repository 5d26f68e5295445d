/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/net/net.h - TCP for some dozens of fat links: one interface, two engines.
 *
 * Used by    lib/bridge.
 * Threads    One thread for each struct bbi_net, the one that opened it (io_uring insists on that); handlers are
 *            called on it, from bbi_net_wait() alone.
 * Engines    io_uring (multishot accept and receive into a provided ring of buffers; one send in flight on each
 *            socket, gathered from up to 64 pieces; one wait for completions, descriptors and the timeout) and
 *            epoll; every promise below holds on both.
 * Ids        Slot and generation: what comes late for a connection that is closed is recognised and dropped.
 * Memory     Fixed at open: buffers to receive into, slots.  Nothing that a peer says makes it grow.
 * Order      Bytes of a connection come and go in order.  After closed() nothing more comes of it.
 */
#ifndef BUSBAR_LIB_NET_NET_H
#define BUSBAR_LIB_NET_NET_H

#include "shm/base.h"
#include "shm/fault.h"
#include "shm/status.h"
#include <stdbool.h>
#include <sys/uio.h>

enum bbi_net_engine { BBI_NET_AUTO = 0, BBI_NET_URING = 1, BBI_NET_EPOLL = 2 };
enum {
    BBI_NET_PIECES = 64, /* of one send */
    BBI_NET_SEND_BYTES = 256 << 10,
    BBI_NET_ADDRESS_BYTES = 64, /* "192.0.2.1:4711", "[2001:db8::1]:4711" */
};

struct bbi_net;

/* 0: none.  Never reused. */
struct bbi_net_id {
    uint64_t v;
};

enum bbi_net_how {
    /*
     * What is being sent goes out first, then FIN; what still comes is dropped; given up after 1 s.  The memory of a
     * send that is under way stays in use: sent() says when it is free, also when it was given up, and is the last
     * that comes of this id.
     */
    BBI_NET_ORDERLY = 0,
    BBI_NET_ABORT =
        1, /* at once, with RST: nothing stays in the kernel, the memory of a send is free on return */
};

/* Any of them may call any function of this net but bbi_net_wait() and bbi_net_close(). */
struct bbi_net_handler {
    void (*accepted)(void *user,
                     struct bbi_net_id listener,
                     struct bbi_net_id conn,
                     const char *peer);
    /* status 0, or why not (-ECONNREFUSED, -ETIMEDOUT, BB_ENOENT no such host ...): the id is gone. */
    void (*connected)(void *user, struct bbi_net_id conn, int status);
    void (*received)(void *user,
                     struct bbi_net_id conn,
                     const void *data,
                     size_t bytes); /* valid within */
    void (*sent)(void *user,
                 struct bbi_net_id conn); /* all of the last bbi_net_send(): its memory is free */
    /*
     * status 0: the peer ended in order; else -errno.  The memory of a send is free; the id is gone.  What the peer
     * sent before is received first, also when it was our send that failed.
     */
    void (*closed)(void *user, struct bbi_net_id conn, int status);
    void (*readable)(void *user, int fd); /* of bbi_net_watch(): level-like */
};

struct bbi_net_addresses;
/* A name's addresses, as bbi_net_resolve() of net_impl.h: 0, BB_ENOENT ... (f says it).  Called on threads of its own. */
typedef int (*bbi_net_resolve_fn)(const char *host,
                                  uint16_t port,
                                  bool is_passive,
                                  struct bbi_net_addresses *out,
                                  struct bbi_fault *f);

struct bbi_net_opts {
    enum bbi_net_engine engine;
    /* Connections at once, either way, at most 32,768; 0: 256.  More wait; of a burst some may be closed at once. */
    uint32_t connections;
    /*
     * To receive into, of 64 KiB; a power of two, at most 32,768; 0: 8.  More are not faster: io_uring goes round
     * them, and what does not stay in the processor's cache is written to memory and fetched again.
     */
    uint32_t buffers;
    bool is_restricted; /* io_uring: operations that are not used are forbidden from the start */
    /*
     * Bytes that are not acknowledged for so long end a connection (TCP_USER_TIMEOUT); 0: 5 s; negative: the kernel's
     * own patience.  A peer that lives but does not read counts too: who wants to outlast one asks for more.
     */
    int64_t user_timeout_ns;
    bbi_net_resolve_fn resolve; /* NULL: the C library's resolver */
};

/*
 * bbi_net_open - probes (unless the engine is given), tests itself over a socket pair, and says what it chose.
 *
 * Returns   0; BB_ENOTSUP the engine that was asked for is not to be had: f says why (EPERM and the sysctl or seccomp
 *           that is behind it, ENOSYS, an operation that is missing, the self-test); BB_ENOMEM; BB_EMFILE.
 */
BB_MUST_USE int bbi_net_open(struct bbi_net **out,
                             const struct bbi_net_opts *opts,
                             const struct bbi_net_handler *handler,
                             void *user,
                             struct bbi_fault *f);
void bbi_net_close(struct bbi_net *net);                    /* aborts what is open; tells nobody */
const char *bbi_net_engine_name(const struct bbi_net *net); /* "io_uring", "epoll" */
const char *bbi_net_why(const struct bbi_net *net); /* AUTO took epoll: why, a sentence; else "" */
/* bbi_net_probe - what AUTO would take, and why not io_uring (why may be NULL): for `busbar doctor`. */
enum bbi_net_engine bbi_net_probe(char *why, size_t cap);

/*
 * bbi_net_listen - host may be a name, an address, "*" (all); port 0: the kernel's choice, *port_out.
 * Returns   0; -EADDRINUSE, -EACCES ...; BB_ENOENT no such host, BB_ETIMEDOUT a name that was looked up in vain for a
 *           second (f says it).  EMFILE on accept pauses accepting until a descriptor is free again: existing
 *           connections live, no spinning.
 */
BB_MUST_USE int bbi_net_listen(struct bbi_net *net,
                               const char *host,
                               uint16_t port,
                               struct bbi_net_id *out,
                               uint16_t *port_out,
                               struct bbi_fault *f);
/* bbi_net_is_loopback - 1: all addresses of host are this box's own loopback; 0: not; BB_ENOENT, BB_ETIMEDOUT, BB_EINVAL. */
BB_MUST_USE int bbi_net_is_loopback(const char *host, struct bbi_fault *f);
/*
 * bbi_net_connect - tells connected() later.  A name is looked up in a thread of its own, in the same time; then its
 * addresses are tried in turn, each for its share of what is left; timeout_ns 0: 10 s.
 * Returns   0; BB_EINVAL no host; BB_EFULL no connection is free; BB_EMFILE, BB_ENFILE (f says it).
 */
BB_MUST_USE int bbi_net_connect(struct bbi_net *net,
                                const char *host,
                                uint16_t port,
                                int64_t timeout_ns,
                                struct bbi_net_id *out,
                                struct bbi_fault *f);
/* bbi_net_said - within connected(): why a name led nowhere, a sentence; else "". */
const char *bbi_net_said(const struct bbi_net *net);
/* bbi_net_local - this side's address of a connection, as accepted() tells it to the other.  BB_ENOENT. */
BB_MUST_USE int
bbi_net_local(struct bbi_net *net, struct bbi_net_id conn, char out[BBI_NET_ADDRESS_BYTES]);
/*
 * bbi_net_send - one at a time: the bytes that the pieces point to stay as they are until sent().
 * Returns   0; BB_EBUSY the last one is not sent(); BB_EAGAIN not yet connected(); BB_ENOENT the id is gone;
 *           BB_EINVAL no byte, or more than BBI_NET_PIECES; BB_EMSGSIZE more than BBI_NET_SEND_BYTES.
 */
BB_MUST_USE int
bbi_net_send(struct bbi_net *net, struct bbi_net_id conn, const struct iovec *pieces, int count);
/* bbi_net_pause - no received() until it is let go on: the peer's window fills.  What is in buffers may still come. */
void bbi_net_pause(struct bbi_net *net, struct bbi_net_id conn, bool is_paused);
/* bbi_net_end - of connections and listeners; closed() is not called for it.  An id that is gone is no matter. */
void bbi_net_end(struct bbi_net *net, struct bbi_net_id id, enum bbi_net_how how);

/*
 * bbi_net_watch - readable() while fd has something to read.  Unwatch it before it is closed.
 * Returns   0; BB_EEXIST it is watched; BB_EINVAL not a descriptor that can be waited for; BB_EFULL.
 */
BB_MUST_USE int bbi_net_watch(struct bbi_net *net, int fd);
void bbi_net_unwatch(struct bbi_net *net, int fd);

/*
 * bbi_net_wait - handles what is there, waiting at most timeout_ns for the first (0: not, negative: without bound).
 * Returns   how many handlers were called; 0 time ran out or a signal came; a fault of the engine.
 */
BB_MUST_USE int bbi_net_wait(struct bbi_net *net, int64_t timeout_ns);

struct bbi_net_stats {
    uint64_t system_calls; /* io_uring_enter; epoll_wait, sendmsg, recv */
    uint64_t sends, short_sends, receives;
    uint64_t sent_bytes, received_bytes;
    uint64_t no_buffers; /* times all buffers were in use */
    uint64_t stale;      /* completions of connections that were gone */
};
void bbi_net_stats(const struct bbi_net *net, struct bbi_net_stats *out);

#endif

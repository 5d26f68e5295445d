/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/net/net_impl.h - what net.c, conn.c and the two engines share.
 *
 * Idea       A slot says what it wants of the kernel (bbi_net_wants()); an engine makes it so (settle) at the next
 *            bbi_net_wait(), and reports what came of it by the bbi_net_on_...() functions.  So calls between two
 *            waits change words in a slot only, and no request is ever made ready for a descriptor that is then closed.
 * Late       Whatever an engine reports carries the slot's id.  A handler may end any slot: after each report the
 *            engine looks the id up again.
 */
#ifndef BUSBAR_LIB_NET_NET_IMPL_H
#define BUSBAR_LIB_NET_NET_IMPL_H

#include "lib/net/lookup.h"
#include "lib/net/net.h"
#include <netinet/in.h>
#include <sys/socket.h>

enum {
    BBI_NET_BUFFER_BYTES = 64 << 10,
    BBI_NET_OTHERS = 64,   /* slots for listeners and watched descriptors */
    BBI_NET_IDX_BITS = 16, /* of an id: the slot; above it the generation, counted over all slots */
    BBI_NET_ID_BITS =
        56, /* above: in a tag, 4 bits for the try to connect and 4 for the operation */
};

/* What a slot may want; also what io_uring has in flight for it. */
enum bbi_net_op {
    BBI_NET_OP_ACCEPT = 1,
    BBI_NET_OP_CONNECT = 2, /* tell when it is writable */
    BBI_NET_OP_RECV = 3,
    BBI_NET_OP_HANGUP = 4, /* paused: tell only when it broke */
    BBI_NET_OP_SEND = 5,
    BBI_NET_OP_READABLE = 6,
};
#define BBI_NET_BIT(op) (1u << (op))

enum bbi_net_state {
    BBI_NET_FREE = 0,
    BBI_NET_LISTENING,
    BBI_NET_CONNECTING,
    BBI_NET_OPEN,
    BBI_NET_ENDING, /* by bbi_net_end(), in order */
    BBI_NET_WATCHED,
};

struct bbi_net_slot {
    struct bbi_net_id id; /* 0: free */
    enum bbi_net_state state;
    int fd; /* -1: none */
    bool is_paused;
    bool is_sending;
    bool is_peer_done; /* ENDING: its FIN came while we were still sending */
    bool is_held;    /* LISTENING: not accepting until deadline_ns or until a descriptor is free */
    bool is_touched; /* stands in net->touched */
    bool is_failed;  /* OPEN: sending failed with `status`; what was received is still handed out */
    int status;
    int64_t deadline_ns; /* 0: none */
    int64_t give_up_ns;  /* CONNECTING: for all addresses together */

    struct iovec pieces[BBI_NET_PIECES]; /* what is left to send: from piece_at on */
    int piece_at, piece_count;

    struct bbi_lookup *lookup;           /* CONNECTING: its name is being looked up */
    struct bbi_net_addresses *addresses; /* CONNECTING: what is tried */
    int address_at;

    /* The engine's own. */
    uint32_t armed; /* io_uring: operations in flight; epoll: events that it is registered for */
    uint32_t cancelling; /* io_uring: of these, those being cancelled */
    bool is_registered;  /* epoll */
    bool is_blocked;     /* epoll: the last sendmsg found no room */
    struct msghdr message;
};

struct bbi_net;

struct bbi_net_ops {
    const char *name;
    bool is_nonblocking; /* its sockets; io_uring waits itself, and with O_NONBLOCK it would not */
    int (*open)(struct bbi_net *net, const struct bbi_net_opts *opts, struct bbi_fault *f);
    void (*close)(struct bbi_net *net);
    /* Makes what is in flight what the slot wants. */
    void (*settle)(struct bbi_net *net, struct bbi_net_slot *slot);
    /* On return nothing in the kernel uses the slot's descriptor, nor what it sends. */
    void (*drop)(struct bbi_net *net, struct bbi_net_slot *slot);
    /* Submits, waits (negative: without bound), reports.  0 also when time ran out; -EINTR. */
    int (*wait)(struct bbi_net *net, int64_t timeout_ns);
};
extern const struct bbi_net_ops bbi_net_uring;
extern const struct bbi_net_ops bbi_net_epoll;

struct bbi_net {
    const struct bbi_net_ops *ops;
    void *engine;
    struct bbi_net_handler handler;
    void *user;
    int64_t user_timeout_ns;

    struct bbi_net_slot *slots;
    uint32_t slot_count;
    uint64_t generation;
    uint32_t *free_slots, *free_others; /* stacks of indexes */
    uint32_t free_slot_count, free_other_count;
    uint32_t timed;  /* slots that have a deadline */
    bool is_holding; /* a listener is held */

    uint32_t *touched, *settling; /* indexes of slots: to settle next time; being settled */
    uint32_t touched_count;

    bbi_net_resolve_fn resolve;
    struct bbi_lookups *lookups; /* NULL: no name was dialed yet */
    char said[512];              /* of bbi_net_said() */

    int called; /* handlers, in this wait */
    struct bbi_net_stats stats;
    char why[512];
};

/* ---- net.c: slots ---- */
struct bbi_net_slot *bbi_net_slot(struct bbi_net *net, struct bbi_net_id id); /* NULL: gone */
/* A tag goes to the kernel and comes back: id, try and operation.  bbi_net_tagged: NULL: late. */
uint64_t bbi_net_tag(const struct bbi_net_slot *slot, unsigned op);
struct bbi_net_slot *bbi_net_tagged(struct bbi_net *net, uint64_t tag);
struct bbi_net_slot *bbi_net_slot_take(struct bbi_net *net, enum bbi_net_state state, int fd);
/* bbi_net_slot_free - drops, closes its descriptor (unless watched), and gives it back. */
void bbi_net_slot_free(struct bbi_net *net, struct bbi_net_slot *slot, enum bbi_net_how how);
void bbi_net_touch(struct bbi_net *net, struct bbi_net_slot *slot);
void bbi_net_set_deadline(struct bbi_net *net, struct bbi_net_slot *slot, int64_t deadline_ns);
uint32_t bbi_net_wants(const struct bbi_net *net, const struct bbi_net_slot *slot); /* bits */
/* bbi_net_open_engine - without a self-test. */
BB_MUST_USE int bbi_net_open_engine(struct bbi_net **out,
                                    const struct bbi_net_ops *ops,
                                    const struct bbi_net_opts *opts,
                                    const struct bbi_net_handler *handler,
                                    void *user,
                                    struct bbi_fault *f);
/* bbi_net_adopt - a connection of a stream socket; it is ours from then on, also when this fails. */
BB_MUST_USE int bbi_net_adopt(struct bbi_net *net, int fd, struct bbi_net_id *out);

/* ---- conn.c: what engines report.  All may call handlers, and so end any slot. ---- */
void bbi_net_on_accept(struct bbi_net *net, struct bbi_net_slot *slot, int result);
void bbi_net_on_writable(struct bbi_net *net, struct bbi_net_slot *slot);
void
bbi_net_on_received(struct bbi_net *net, struct bbi_net_slot *slot, const void *data, size_t bytes);
void bbi_net_on_end(struct bbi_net *net,
                    struct bbi_net_slot *slot,
                    int status); /* nothing more to receive */
void bbi_net_on_hangup(struct bbi_net *net, struct bbi_net_slot *slot);
void bbi_net_on_sent(struct bbi_net *net, struct bbi_net_slot *slot, int64_t result);
void bbi_net_on_readable(struct bbi_net *net, struct bbi_net_slot *slot);
void bbi_net_on_deadline(struct bbi_net *net, struct bbi_net_slot *slot);
/* bbi_net_message - what is left to send. */
struct msghdr *bbi_net_message(struct bbi_net_slot *slot);

/* ---- address.c ---- */
/* bbi_net_literal - as bbi_net_resolve(), of what needs no resolver: an address, "*"; BB_EAGAIN it is a name. */
BB_MUST_USE int bbi_net_literal(const char *host,
                                uint16_t port,
                                bool is_passive,
                                struct bbi_net_addresses *out,
                                struct bbi_fault *f);
/* bbi_net_resolve_soon - as bbi_net_resolve(), for a second at most; resolve NULL: bbi_net_resolve(). */
BB_MUST_USE int bbi_net_resolve_soon(bbi_net_resolve_fn resolve,
                                     const char *host,
                                     uint16_t port,
                                     bool is_passive,
                                     struct bbi_net_addresses *out,
                                     struct bbi_fault *f);
/* bbi_net_resolve - blocks for as long as the resolver likes. */
BB_MUST_USE int bbi_net_resolve(const char *host,
                                uint16_t port,
                                bool is_passive,
                                struct bbi_net_addresses *out,
                                struct bbi_fault *f);
void
bbi_net_address_text(const struct sockaddr *addr, socklen_t bytes, char out[BBI_NET_ADDRESS_BYTES]);

/* ---- probe.c ---- */
/* bbi_net_reason - why a call of io_uring failed, in words.  sysctl: kernel.io_uring_disabled, -1 not there; seccomp:
 * mode of this process, 0 none. */
void bbi_net_reason(char *out, size_t cap, const char *call, int error, int sysctl, int seccomp);
/* bbi_net_refused - the same, of this box and process; fills f, returns BB_ENOTSUP. */
int bbi_net_refused(struct bbi_fault *f, const char *call, int error);
/* bbi_net_self_test - 1 MiB over a socket pair by this engine. */
BB_MUST_USE int bbi_net_self_test(const struct bbi_net_ops *ops,
                                  const struct bbi_net_opts *opts,
                                  struct bbi_fault *f);

#endif

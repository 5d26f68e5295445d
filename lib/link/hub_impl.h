/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/hub_impl.h - what the parts of a hub share.
 *
 *   hub.c        open, close, the wait, stop; what lib/net tells
 *   transport.c  one TCP connection: TLS, greeting, bytes in and out
 *   box.c        another box: its session, which transport carries it, up and down
 *   dial.c       addresses that are dialed, and when again
 *   listen.c     places where others come in
 *   links.c      the table
 *   policy.c     what is done when a queue is full
 *
 * Nothing is freed within a call of lib/net or of a session: what is over is marked, and bbi_hub_wait() sweeps.
 */
#ifndef BUSBAR_LIB_LINK_HUB_IMPL_H
#define BUSBAR_LIB_LINK_HUB_IMPL_H

#include "lib/link/hub.h"
#include "lib/link/retry.h"

enum {
    BBI_HUB_BUCKETS = 256,
    BBI_HUB_HOST_BYTES = 256,
    BBI_HUB_ADDRESS_BYTES = 272,
    BBI_HUB_LAST_BYTES = 256,
    BBI_HUB_SENTENCE_BYTES = 512,
    BBI_HUB_DIALS = 256,
    BBI_HUB_PLAIN_BYTES = 64 << 10,
    BBI_HUB_REFUSALS = 16,      /* told within BBI_HUB_QUIET_NS */
    BBI_HUB_PARKED_BYTES = 512, /* nobody sends more before we have answered */
};
#define BBI_HUB_STRANGER_NS INT64_C(5000000000) /* for TLS and greeting */
#define BBI_HUB_LEAVE_NS    INT64_C(1000000000) /* to say why, and to let an old transport go */
#define BBI_HUB_PARK_NS     INT64_C(300000000)
#define BBI_HUB_QUIET_NS    INT64_C(10000000000)
#define BBI_HUB_RATE_NS     INT64_C(1000000000)

enum bbi_transport_state {
    BBI_TRANSPORT_CONNECTING = 0,
    BBI_TRANSPORT_GREETING = 1,
    BBI_TRANSPORT_ATTACHED = 2,
    BBI_TRANSPORT_LEAVING = 3, /* another took its place; it hears nothing any more */
    BBI_TRANSPORT_ENDING = 4,  /* lib/net still looks at its memory */
    BBI_TRANSPORT_DEAD = 5,    /* to be swept */
};

struct bbi_transport {
    struct bbi_hub *hub;
    struct bbi_transport *next;      /* all */
    struct bbi_transport *in_bucket; /* of the same hash */
    struct bbi_net_id id;
    enum bbi_transport_state state;
    enum bbi_link_role role;
    bool is_stranger;          /* counted in stranger_count */
    bool is_unheard;           /* it ends because the other side is silent */
    bool is_told;              /* that it came to nothing */
    bool is_self;              /* both ends are this hub's */
    struct bbi_box *waits_for; /* KNOWN, and parked until the one before it is free; NULL: not */
    uint16_t parked_bytes;
    unsigned char parked[BBI_HUB_PARKED_BYTES]; /* what came behind its HELLO: WELCOME */
    char address[BBI_HUB_ADDRESS_BYTES];
    struct bbi_tls *tls;
    struct bbi_greet *greet; /* until attached */
    struct bbi_box *box;     /* ATTACHED */
    struct bbi_dial *dial;   /* whose attempt it is, until that came to something */
    int64_t deadline_ns;     /* LEAVING; GREETING and refused; ATTACHED and closing */
    /*
     * Bytes that go out from here: [wire_begin, wire_end), the greeting's, or what TLS sealed; then stage holds what
     * is to become the next record.
     */
    unsigned char *wire, *stage;
    size_t wire_cap, wire_begin, wire_end, stage_bytes;
    bool is_sending;
    size_t sending_wire, sending_pieces; /* bytes under way: of wire, or of the session's pieces */
};

struct bbi_box {
    struct bbi_hub *hub;
    struct bbi_box *next;
    struct bbi_link_id id;
    struct bbi_session *session;
    struct bbi_transport *transport; /* NULL: none */
    struct bbi_transport *parked;    /* that is to take its place; NULL: none */
    struct bbi_hello hello;          /* of the last that was attached */
    char certified[BBI_LINK_NAME_MAX
                   + 1]; /* name under which it was up first; "" none is certified */
    char address[BBI_HUB_ADDRESS_BYTES];
    char cipher[BBI_TLS_ID_BYTES];
    enum bbi_slow_policy slow;
    size_t queue_bytes;
    bool is_up;     /* as was told */
    bool was_ever;  /* up */
    bool has_ended; /* closed() came, and was not settled yet */
    bool is_ended_remotely;
    bool is_parted; /* the other side took it down, and offers us nothing until it is up again */
    struct bbi_close close;
    int64_t up_wall_ns, up_mono_ns;
    uint64_t ups;
    char last[BBI_HUB_LAST_BYTES];
    int64_t rate_ns; /* when these two were noted */
    uint64_t rate_sent, rate_received;
    uint64_t sent_per_s, received_per_s;
    void *user;
};

struct bbi_dial {
    struct bbi_hub *hub;
    struct bbi_dial *next;
    char host[BBI_HUB_HOST_BYTES];
    char name[BBI_LINK_NAME_MAX + 1]; /* "" not given */
    char address[BBI_HUB_ADDRESS_BYTES];
    uint16_t port;
    enum bbi_slow_policy slow;
    size_t queue_bytes;
    bool is_once;
    bool is_decided; /* dialed() was called */
    bool is_over;    /* to be swept */
    bool is_undialed;
    struct bbi_transport *transport; /* of the attempt that is under way */
    struct bbi_box *box;             /* where it led the last time */
    struct bbi_retry retry;
    int64_t due_ns;
    uint64_t attempts;
    char last[BBI_HUB_LAST_BYTES];
};

struct bbi_listener {
    struct bbi_listener *next;
    struct bbi_net_id id;
    char host[BBI_HUB_HOST_BYTES];
    uint16_t port;
};

struct bbi_hub {
    struct bbi_hub_opts opts; /* completed; tls is not looked at after open */
    struct bbi_hub_events events;
    void *user;
    struct bbi_net *net;
    struct bbi_tls_ctx *tls;
    bool
        is_named_by_keys; /* certificates, or each key is of one node: who has it cannot take another's name */
    struct bbi_link_time time; /* of what is being handled */
    struct bbi_transport *transports;
    struct bbi_transport *buckets[BBI_HUB_BUCKETS];
    struct bbi_box *boxes;
    struct bbi_dial *dials;
    struct bbi_listener *listeners;
    struct bbi_hub_policy *policies; /* by name; NULL: none */
    size_t policy_count;
    uint32_t box_count, dial_count, stranger_count;
    uint64_t turned_away, turned_away_told;
    int64_t turned_away_ns;
    char refused[BBI_HUB_SENTENCE_BYTES]; /* the last refusal */
    int64_t refused_ns;                   /* when the first of those was told that are told now */
    uint32_t refused_told;
    uint64_t refused_again; /* passed over since */
    uint64_t seed;
    uint64_t memory_bytes;
    struct bbi_memory memory; /* counted, for the sessions */
    bool must_settle;         /* interests were told since events.settle() */
    bool is_stopping;
    int64_t stop_ns;
    unsigned char plain[BBI_HUB_PLAIN_BYTES]; /* what TLS opened just now */
};

/* ---- hub.c ---- */

void bbi_hub_look_at_clock(struct bbi_hub *hub);
void bbi_hub_settle(struct bbi_hub *hub); /* before anything is sent */
void bbi_hub_log(struct bbi_hub *hub, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A stranger was refused, here or by its own word: told, but not again and again. */
void bbi_hub_log_refused(struct bbi_hub *hub, const char *address, const char *sentence);
void *bbi_hub_take(struct bbi_hub *hub, size_t bytes); /* counted, zeroed; NULL */
void bbi_hub_give(struct bbi_hub *hub, void *p, size_t bytes);

/* ---- listen.c ---- */

void bbi_listen_close_all(struct bbi_hub *hub);

#endif

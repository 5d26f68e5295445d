/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bridge/greet.h - the first words of a transport, before it is known whose it is.
 *
 * A transport begins with a preface and HELLO of each side; only then is it known which node speaks, and so which
 * session it belongs to: a listener takes every transport into one of these first.  Who dialed speaks first; who was
 * dialed answers only what looks like busbar, so that a stranger learns nothing of us.
 *
 *   bbi_greet_init ─► receive, output ─► BBI_GREET_KNOWN ─► look at g->peer ─► bbi_session_attach()
 *                                   │                                     └► bbi_greet_refuse()
 *                                   └► BBI_GREET_REFUSED: g->close says why; what is left of output goes out, end
 *
 * Used by    session, and who accepts and dials.
 * Memory     The struct itself, the caller's: about 6 KiB for each stranger, whatever it sends.
 * Time       deadline_ns: a stranger that is not known by then is refused by bbi_greet_tick().
 */
#ifndef BUSBAR_LIB_BRIDGE_GREET_H
#define BUSBAR_LIB_BRIDGE_GREET_H

#include "lib/bridge/frame.h"

enum bbi_link_role {
    BBI_ROLE_DIALED = 0, /* this side began the transport: its originator */
    BBI_ROLE_ACCEPTED = 1,
};

enum bbi_greet_state { BBI_GREET_WAITING = 0, BBI_GREET_KNOWN = 1, BBI_GREET_REFUSED = 2 };

struct bbi_greet {
    enum bbi_link_role role;
    enum bbi_greet_state state;
    struct bbi_hello self;
    struct bbi_hello peer;  /* KNOWN */
    uint16_t version;       /* that both speak */
    bool is_remote;         /* REFUSED by the other side */
    struct bbi_close close; /* REFUSED: why, in a sentence */
    int64_t deadline_ns;
    uint32_t in_bytes, out_bytes, out_done;
    unsigned char in[BBI_LINK_HELLO_MAX]; /* preface, then HELLO: never both */
    bool has_preface;
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES + BBI_CLOSE_BYTES];
};

/* self: node, epoch, cluster, name, features, message_max, time; frame_max is filled in. */
void bbi_greet_init(struct bbi_greet *g,
                    enum bbi_link_role role,
                    const struct bbi_hello *self,
                    int64_t deadline_ns);

/*
 * bbi_greet_receive - takes bytes until it is known who speaks.
 *
 * Returns   how many it took: what is behind them belongs to the session (bbi_session_receive()).
 */
size_t bbi_greet_receive(struct bbi_greet *g, const void *data, size_t bytes);

/* bbi_greet_output - what is to be sent now, 0: nothing.  *out stays until bbi_greet_sent(). */
size_t bbi_greet_output(const struct bbi_greet *g, const void **out);
void bbi_greet_sent(struct bbi_greet *g, size_t bytes);

/* bbi_greet_tick - refuses a stranger whose time ran out. */
void bbi_greet_tick(struct bbi_greet *g, int64_t mono_ns);

/* bbi_greet_refuse - says why; the transport ends once output is empty.  Nothing changes what was refused already. */
void bbi_greet_refuse(struct bbi_greet *g, enum bbi_close_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

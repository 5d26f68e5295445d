/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/control_impl.h - what the files that answer programs share.
 *
 *   control.c   open, close, a turn; what is asked, and answers      control_wait.c   who waits for an outcome
 */
#ifndef BUSBAR_LIB_LINK_CONTROL_IMPL_H
#define BUSBAR_LIB_LINK_CONTROL_IMPL_H

#include "busbar/request.h"
#include "lib/endpoint/bridge_words.h"
#include "lib/link/control.h"

enum { BBI_CONTROL_WAITERS = 64 }; /* programs that wait at once */

enum bbi_waits_for {
    BBI_WAITS_NOT = 0, /* free */
    BBI_WAITS_ONCE,
    BBI_WAITS_UP,
    BBI_WAITS_KNOWN,
};

struct bbi_barrier {
    struct bbi_box *box; /* NULL: it went down, and does not count */
    uint64_t token;
    bool is_known;
};

struct bbi_waiter {
    enum bbi_waits_for what;
    struct bb_request_info to;
    int64_t deadline_ns;
    char host[BBI_BRIDGE_HOST_BYTES];
    uint16_t port;
    char address[sizeof(((struct bb_link_info *)0)->address)]; /* ONCE, UP */
    struct bbi_barrier *barriers;                              /* KNOWN */
    size_t barrier_count;
};

struct bbi_control {
    struct bbi_control_opts o;
    struct bb_subscriber *sub;
    struct bb_publisher *pub;
    struct bbi_waiter waiters[BBI_CONTROL_WAITERS];
    size_t waiter_count;
    int64_t look_ns; /* at links, when somebody waits for one */
    unsigned char buf[BBI_BRIDGE_ANSWER_MAX];
};

/* ---- control.c ---- */

/* bbi_control_send - who asked is gone, or its deadline is over: nobody misses the answer. */
void bbi_control_send(struct bbi_control *c,
                      const struct bb_request_info *to,
                      const struct bbi_bridge_answer *answer,
                      const struct bbi_bridge_answer_parts *parts,
                      uint32_t more);
void bbi_control_answer(struct bbi_control *c,
                        const struct bb_request_info *to,
                        int code,
                        const char *sentence);

struct bbi_control_links {
    struct bb_link_info *v;
    struct bbi_box **boxes;
    size_t count;
};
/* bbi_control_list - all links of this moment, local's columns too; 0, BB_ENOMEM. */
BB_MUST_USE int bbi_control_list(const struct bbi_control *c, struct bbi_control_links *out);
void bbi_control_list_free(struct bbi_control_links *links);

/* ---- control_wait.c ---- */

/* bbi_control_wait - NULL: there are too many; then it was answered. */
struct bbi_waiter *bbi_control_wait(struct bbi_control *c,
                                    enum bbi_waits_for what,
                                    const struct bb_request_info *to,
                                    const struct bbi_bridge_ask *ask);
/* bbi_control_forget - nothing is answered. */
void bbi_control_forget(struct bbi_control *c, struct bbi_waiter *w);
bool bbi_control_is_of_link(const struct bbi_waiter *w);
/* bbi_control_look - answers who has an outcome, or no time left.  When again; INT64_MAX: nobody waits. */
int64_t bbi_control_look(struct bbi_control *c, int64_t now);
/* bbi_control_end_waits - busbard ends. */
void bbi_control_end_waits(struct bbi_control *c);

#endif

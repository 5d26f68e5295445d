/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/control_wait.c - programs that wait for what comes of their request.
 *
 *   waiter ─► answer    ONCE: dialed();  UP: the link is up;  KNOWN: the barriers of all boxes that are up
 *
 * A waiter is answered once, then forgotten: with its outcome, or that time ran out.  There are at most
 * BBI_CONTROL_WAITERS; who comes then is told so.
 */
#include "lib/link/control_impl.h"
#include "shm/base.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t LOOK_AGAIN_NS = INT64_C(20000000); /* at links that somebody waits for */

/* ---- waiting ------------------------------------------------------------------------------------ */

struct bbi_waiter *
bbi_control_wait(struct bbi_control *c,
                 enum bbi_waits_for what,
                 const struct bb_request_info *to,
                 const struct bbi_bridge_ask *ask)
{
    int64_t now = bbi_os_mono_ns();
    int64_t wait_ns = ask->wait_ns > 0 ? ask->wait_ns : 0;
    for (size_t i = 0; i < BBI_CONTROL_WAITERS; i++) {
        struct bbi_waiter *w = &c->waiters[i];
        if (w->what == BBI_WAITS_NOT) {
            *w = (struct bbi_waiter){.what = what, .to = *to, .port = (uint16_t)ask->port};
            w->deadline_ns = wait_ns > INT64_MAX - now ? INT64_MAX : now + wait_ns;
            memcpy(w->host, ask->host, sizeof(w->host));
            (void)bbi_bridge_address(w->address, sizeof(w->address), w->host, w->port);
            c->waiter_count++;
            return w;
        }
    }
    char sentence[96];
    (void)snprintf(sentence, sizeof(sentence),
                   "busbard has %d programs waiting already: wait for some of them to end",
                   BBI_CONTROL_WAITERS);
    bbi_control_answer(c, to, BB_EFULL, sentence);
    return NULL;
}

void
bbi_control_forget(struct bbi_control *c, struct bbi_waiter *w)
{
    free(w->barriers);
    *w = (struct bbi_waiter){.what = BBI_WAITS_NOT};
    c->waiter_count--;
}

static void
end_waiter(struct bbi_control *c, struct bbi_waiter *w, int code, const char *sentence)
{
    struct bb_request_info to = w->to;
    bbi_control_forget(c, w);
    bbi_control_answer(c, &to, code, sentence);
}

static bool
is_at(const struct bbi_waiter *w, enum bbi_waits_for what, const char *address)
{
    return w->what == what && strcmp(w->address, address) == 0;
}

void
bbi_control_dialed(struct bbi_control *control,
                   const char *address,
                   int status,
                   const char *sentence)
{
    for (size_t i = 0; i < BBI_CONTROL_WAITERS; i++) {
        struct bbi_waiter *w = &control->waiters[i];
        if (is_at(w, BBI_WAITS_ONCE, address) || is_at(w, BBI_WAITS_UP, address)) {
            char why[512];
            (void)snprintf(why, sizeof(why), "no link to %s: %s", address, sentence);
            end_waiter(control, w, status, status < 0 ? why : "");
        }
    }
}

void
bbi_control_up(struct bbi_control *control, struct bbi_box *box)
{
    (void)box; /* which address that is, the links say */
    control->look_ns = 0;
}

void
bbi_control_barrier(struct bbi_control *control, struct bbi_box *box, uint64_t token)
{
    for (size_t i = 0; i < BBI_CONTROL_WAITERS; i++) {
        struct bbi_waiter *w = &control->waiters[i];
        for (size_t k = 0; k < w->barrier_count; k++) {
            struct bbi_barrier *b = &w->barriers[k];
            b->is_known = b->is_known || (b->box == box && b->token <= token);
        }
    }
}

/* ---- links -------------------------------------------------------------------------------------- */

/* The link that was dialed at this address, NULL: there is none. */
static const struct bb_link_info *
find_link(const struct bbi_control_links *links, const char *address)
{
    for (size_t i = 0; i < links->count; i++) {
        const struct bb_link_info *l = &links->v[i];
        if (l->dialed != 0 && l->state != BB_LINK_LISTENING && strcmp(l->address, address) == 0) {
            return l;
        }
    }
    return NULL;
}

/* ---- what waits --------------------------------------------------------------------------------- */

static void
say_late(const struct bbi_waiter *w, const struct bbi_control_links *links, char sentence[512])
{
    const struct bb_link_info *l = find_link(links, w->address);
    const char *last = l != NULL ? l->last : "";
    const char *then = w->what == BBI_WAITS_ONCE ? "it is not tried any more" : "it is tried on";
    (void)snprintf(sentence, 512, "the link to %s is not up yet, and %s%s%.256s", w->address, then,
                   last[0] != '\0' ? ": " : "", last);
}

/* ONCE leaves nothing behind. */
static void
end_late(struct bbi_control *c, struct bbi_waiter *w, const struct bbi_control_links *links)
{
    char sentence[512];
    say_late(w, links, sentence);
    const struct bbi_waiter was = *w;
    end_waiter(c, w, BB_ETIMEDOUT, sentence);
    if (was.what == BBI_WAITS_ONCE) {
        (void)!bbi_hub_undial(c->o.hub, was.host, was.port);
    }
}

bool
bbi_control_is_of_link(const struct bbi_waiter *w)
{
    return w->what == BBI_WAITS_ONCE || w->what == BBI_WAITS_UP;
}

static bool
is_link_due(const struct bbi_control *c, int64_t now)
{
    for (size_t i = 0; i < BBI_CONTROL_WAITERS; i++) {
        const struct bbi_waiter *w = &c->waiters[i];
        if (bbi_control_is_of_link(w) && (now >= c->look_ns || now >= w->deadline_ns)) {
            return true;
        }
    }
    return false;
}

static void
look_at_link(struct bbi_control *c,
             struct bbi_waiter *w,
             const struct bbi_control_links *links,
             int64_t now)
{
    const struct bb_link_info *l = find_link(links, w->address);
    if (l != NULL && l->state == BB_LINK_UP) {
        end_waiter(c, w, 0, "");
    } else if (now >= w->deadline_ns) {
        end_late(c, w, links);
    }
}

static void
look_at_links(struct bbi_control *c, int64_t now)
{
    struct bbi_control_links links;
    if (!is_link_due(c, now) || bbi_control_list(c, &links) < 0) {
        return; /* looked at again soon */
    }
    c->look_ns = now + LOOK_AGAIN_NS;
    for (size_t i = 0; i < BBI_CONTROL_WAITERS; i++) {
        if (bbi_control_is_of_link(&c->waiters[i])) {
            look_at_link(c, &c->waiters[i], &links, now);
        }
    }
    bbi_control_list_free(&links);
}

/* A box that went down is waited for no longer; when it comes again it is told everything anyhow. */
static bool
is_all_known(struct bbi_waiter *w, size_t *known)
{
    bool is_all = true;
    *known = 0;
    for (size_t i = 0; i < w->barrier_count; i++) {
        struct bbi_barrier *b = &w->barriers[i];
        if (b->box != NULL && !bbi_box_is_up(b->box)) {
            b->box = NULL;
        }
        if (b->box != NULL) {
            b->is_known = b->is_known || bbi_session_is_known(bbi_box_session(b->box), b->token);
            *known += b->is_known;
            is_all = is_all && b->is_known;
        }
    }
    return is_all;
}

static void
look_at_barriers(struct bbi_control *c, struct bbi_waiter *w, int64_t now)
{
    size_t known;
    struct bbi_bridge_answer answer = {0};
    if (is_all_known(w, &known)) {
        answer.count = known;
    } else if (now >= w->deadline_ns) {
        answer.code = BB_ETIMEDOUT;
        (void)snprintf(answer.sentence, sizeof(answer.sentence),
                       "%zu of %zu boxes know what is subscribed here; the others have not said so",
                       known, w->barrier_count);
    } else {
        return;
    }
    struct bb_request_info to = w->to;
    bbi_control_forget(c, w);
    bbi_control_send(c, &to, &answer, NULL, 0);
}

int64_t
bbi_control_look(struct bbi_control *c, int64_t now)
{
    int64_t next = INT64_MAX;
    if (c->waiter_count == 0) {
        return next;
    }
    look_at_links(c, now);
    for (size_t i = 0; i < BBI_CONTROL_WAITERS; i++) {
        struct bbi_waiter *w = &c->waiters[i];
        if (w->what == BBI_WAITS_KNOWN) {
            look_at_barriers(c, w, now);
        }
        if (w->what != BBI_WAITS_NOT) {
            next = bbi_min_i64(next, bbi_min_i64(w->deadline_ns, now + LOOK_AGAIN_NS));
        }
    }
    return next;
}

void
bbi_control_end_waits(struct bbi_control *c)
{
    for (size_t i = 0; i < BBI_CONTROL_WAITERS; i++) {
        if (c->waiters[i].what != BBI_WAITS_NOT) {
            end_waiter(c, &c->waiters[i], BB_EPEERGONE, "busbard ended while this was waited for");
        }
    }
}

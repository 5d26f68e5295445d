/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Slots and their ids, what is watched and listened to, and the one wait.
 *
 *   bbi_net_wait:  settle what was touched ► engine: submit, wait, report ► deadlines ► again, until a handler was called
 *
 * Slots of connections come first, then BBI_NET_OTHERS for listeners and watched descriptors, so that neither takes
 * the other's.  A generation is never used twice, so neither is an id.
 */
#include "lib/net/net_impl.h"
#include "shm/os.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONNECTIONS_DEFAULT = 256,
    CONNECTIONS_MAX = 32768,
    BUFFERS_DEFAULT = 8,
    BUFFERS_MAX = 32768
};
static const int64_t USER_TIMEOUT_DEFAULT_NS = INT64_C(5000000000);

static_assert(CONNECTIONS_MAX + BBI_NET_OTHERS < 1 << BBI_NET_IDX_BITS, "an index fits an id");

/* ---- ids ---- */

struct bbi_net_slot *
bbi_net_slot(struct bbi_net *net, struct bbi_net_id id)
{
    uint64_t idx = id.v & ((UINT64_C(1) << BBI_NET_IDX_BITS) - 1);
    if (id.v == 0 || idx >= net->slot_count || net->slots[idx].id.v != id.v) {
        return NULL;
    }
    return &net->slots[idx];
}

static uint64_t
tries(const struct bbi_net_slot *slot)
{
    return (uint64_t)slot->address_at << BBI_NET_ID_BITS;
}

uint64_t
bbi_net_tag(const struct bbi_net_slot *slot, unsigned op)
{
    return (uint64_t)op << 60 | tries(slot) | slot->id.v;
}

struct bbi_net_slot *
bbi_net_tagged(struct bbi_net *net, uint64_t tag)
{
    struct bbi_net_id id = {tag & ((UINT64_C(1) << BBI_NET_ID_BITS) - 1)};
    struct bbi_net_slot *slot = bbi_net_slot(net, id);
    bool is_late = slot == NULL || (tag << 4 >> 4) != (tries(slot) | id.v);
    return is_late ? NULL : slot;
}

/* ---- slots ---- */

static bool
is_other(enum bbi_net_state state)
{
    return state == BBI_NET_LISTENING || state == BBI_NET_WATCHED;
}

void
bbi_net_touch(struct bbi_net *net, struct bbi_net_slot *slot)
{
    if (!slot->is_touched) {
        slot->is_touched = true;
        net->touched[net->touched_count++] = (uint32_t)(slot - net->slots);
    }
}

/* They accept while there is room and a descriptor. */
static void
touch_listeners(struct bbi_net *net, bool is_let_go)
{
    for (uint32_t i = net->slot_count - BBI_NET_OTHERS; i < net->slot_count; i++) {
        struct bbi_net_slot *slot = &net->slots[i];
        if (slot->state != BBI_NET_LISTENING) {
            continue;
        }
        if (is_let_go && slot->is_held) {
            slot->is_held = false;
            bbi_net_set_deadline(net, slot, 0);
        }
        bbi_net_touch(net, slot);
    }
}

struct bbi_net_slot *
bbi_net_slot_take(struct bbi_net *net, enum bbi_net_state state, int fd)
{
    uint32_t *stack = is_other(state) ? net->free_others : net->free_slots;
    uint32_t *count = is_other(state) ? &net->free_other_count : &net->free_slot_count;
    if (*count == 0) {
        return NULL;
    }
    uint32_t idx = stack[--*count];
    struct bbi_net_slot *slot = &net->slots[idx];
    bool is_touched = slot->is_touched;
    *slot = (struct bbi_net_slot){.state = state, .fd = fd, .is_touched = is_touched};
    slot->id.v = ++net->generation << BBI_NET_IDX_BITS | idx;
    bbi_net_touch(net, slot);
    if (net->free_slot_count == 0) {
        touch_listeners(net, false);
    }
    return slot;
}

void
bbi_net_set_deadline(struct bbi_net *net, struct bbi_net_slot *slot, int64_t deadline_ns)
{
    net->timed += (uint32_t)(deadline_ns != 0) - (uint32_t)(slot->deadline_ns != 0);
    slot->deadline_ns = deadline_ns;
}

static void
reset_at_close(int fd)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

void
bbi_net_slot_free(struct bbi_net *net, struct bbi_net_slot *slot, enum bbi_net_how how)
{
    uint32_t idx = (uint32_t)(slot - net->slots);
    bool was_full = net->free_slot_count == 0;
    net->ops->drop(net, slot);
    if (slot->fd >= 0 && slot->state != BBI_NET_WATCHED) {
        if (how == BBI_NET_ABORT && slot->state != BBI_NET_LISTENING) {
            reset_at_close(slot->fd);
        }
        (void)close(slot->fd);
    }
    bbi_net_set_deadline(net, slot, 0);
    free(slot->addresses);
    if (slot->lookup != NULL) {
        bbi_lookup_forget(net->lookups, slot->lookup);
        slot->lookup = NULL;
    }
    if (is_other(slot->state)) {
        net->free_others[net->free_other_count++] = idx;
    } else {
        net->free_slots[net->free_slot_count++] = idx;
    }
    slot->addresses = NULL;
    slot->state = BBI_NET_FREE;
    slot->id.v = 0;
    if (was_full || net->is_holding) {
        net->is_holding = false;
        touch_listeners(net, true);
    }
}

uint32_t
bbi_net_wants(const struct bbi_net *net, const struct bbi_net_slot *slot)
{
    uint32_t wants = 0;
    switch (slot->state) {
    case BBI_NET_LISTENING:
        return !slot->is_held && net->free_slot_count > 0 ? BBI_NET_BIT(BBI_NET_OP_ACCEPT) : 0;
    case BBI_NET_CONNECTING:
        return slot->fd >= 0 ? BBI_NET_BIT(BBI_NET_OP_CONNECT) : 0;
    case BBI_NET_OPEN:
        wants = BBI_NET_BIT(slot->is_paused ? BBI_NET_OP_HANGUP : BBI_NET_OP_RECV);
        return wants | (slot->is_sending && !slot->is_failed ? BBI_NET_BIT(BBI_NET_OP_SEND) : 0);
    case BBI_NET_ENDING:
        wants = slot->is_peer_done ? 0 : BBI_NET_BIT(BBI_NET_OP_RECV);
        return wants | (slot->is_sending && !slot->is_failed ? BBI_NET_BIT(BBI_NET_OP_SEND) : 0);
    case BBI_NET_WATCHED:
        return BBI_NET_BIT(BBI_NET_OP_READABLE);
    case BBI_NET_FREE:
        break;
    }
    return 0;
}

/* ---- open, close ---- */

static void
free_all(struct bbi_net *net)
{
    free(net->slots);
    free(net->touched);
    free(net->settling);
    free(net->free_slots);
    free(net->free_others);
    free(net);
}

static int
allocate(struct bbi_net **out, uint32_t connections)
{
    uint32_t count = connections + BBI_NET_OTHERS;
    struct bbi_net *net = calloc(1, sizeof(*net));
    if (net == NULL) {
        return BB_ENOMEM;
    }
    net->slot_count = count;
    net->slots = calloc(count, sizeof(*net->slots));
    net->touched = calloc(count, sizeof(*net->touched));
    net->settling = calloc(count, sizeof(*net->settling));
    net->free_slots = calloc(connections, sizeof(*net->free_slots));
    net->free_others = calloc(BBI_NET_OTHERS, sizeof(*net->free_others));
    if (net->slots == NULL || net->touched == NULL || net->settling == NULL
        || net->free_slots == NULL || net->free_others == NULL) {
        free_all(net);
        return BB_ENOMEM;
    }
    /* The lowest on top. */
    while (net->free_slot_count < connections) {
        net->free_slots[net->free_slot_count] = connections - 1 - net->free_slot_count;
        net->free_slot_count++;
    }
    while (net->free_other_count < BBI_NET_OTHERS) {
        net->free_others[net->free_other_count] = count - 1 - net->free_other_count;
        net->free_other_count++;
    }
    *out = net;
    return 0;
}

int
bbi_net_open_engine(struct bbi_net **out,
                    const struct bbi_net_ops *ops,
                    const struct bbi_net_opts *opts,
                    const struct bbi_net_handler *handler,
                    void *user,
                    struct bbi_fault *f)
{
    struct bbi_net *net = NULL;
    int rc = allocate(&net, opts->connections);
    if (rc != 0) {
        return bbi_fault_set(f, rc, ops->name, "no memory for %u connections", opts->connections);
    }
    net->ops = ops;
    net->handler = *handler;
    net->user = user;
    net->user_timeout_ns = opts->user_timeout_ns;
    net->resolve = opts->resolve;
    rc = ops->open(net, opts, f);
    if (rc != 0) {
        free_all(net);
        return rc;
    }
    *out = net;
    return 0;
}

static int
complete(struct bbi_net_opts *o, struct bbi_fault *f)
{
    o->connections = o->connections != 0 ? o->connections : CONNECTIONS_DEFAULT;
    o->buffers = o->buffers != 0 ? o->buffers : BUFFERS_DEFAULT;
    o->user_timeout_ns = o->user_timeout_ns != 0 ? o->user_timeout_ns : USER_TIMEOUT_DEFAULT_NS;
    if (o->connections > CONNECTIONS_MAX) {
        return bbi_fault_set(f, BB_EINVAL, "connections", "%u connections are too many: at most %d",
                             o->connections, CONNECTIONS_MAX);
    }
    if (!bbi_is_pow2(o->buffers) || o->buffers > BUFFERS_MAX) {
        return bbi_fault_set(f, BB_EINVAL, "buffers",
                             "%u buffers: it must be a power of two, at most %d", o->buffers,
                             BUFFERS_MAX);
    }
    return 0;
}

static int
open_tested(struct bbi_net **out,
            const struct bbi_net_ops *ops,
            const struct bbi_net_opts *opts,
            const struct bbi_net_handler *handler,
            void *user,
            struct bbi_fault *f)
{
    int rc = bbi_net_self_test(ops, opts, f);
    return rc == 0 ? bbi_net_open_engine(out, ops, opts, handler, user, f) : rc;
}

int
bbi_net_open(struct bbi_net **out,
             const struct bbi_net_opts *opts,
             const struct bbi_net_handler *handler,
             void *user,
             struct bbi_fault *f)
{
    struct bbi_net_opts o = opts != NULL ? *opts : (struct bbi_net_opts){0};
    struct bbi_fault why = {0};
    int rc = complete(&o, f);
    if (rc != 0) {
        return rc;
    }
    if (o.engine != BBI_NET_EPOLL) {
        rc = open_tested(out, &bbi_net_uring, &o, handler, user, &why);
        if (rc == 0) {
            return 0;
        }
        if (o.engine == BBI_NET_URING) {
            if (f != NULL) {
                *f = why;
            }
            return rc;
        }
    }
    rc = open_tested(out, &bbi_net_epoll, &o, handler, user, f);
    if (rc == 0) {
        (void)snprintf((*out)->why, sizeof((*out)->why), "%s", why.sentence);
    }
    return rc;
}

enum bbi_net_engine
bbi_net_probe(char *why, size_t cap)
{
    struct bbi_net_opts o = {.is_restricted = true};
    struct bbi_fault f = {0};
    int rc = complete(&o, &f);
    rc = rc == 0 ? bbi_net_self_test(&bbi_net_uring, &o, &f) : rc;
    if (why != NULL && cap > 0) {
        (void)snprintf(why, cap, "%s", rc == 0 ? "" : f.sentence);
    }
    return rc == 0 ? BBI_NET_URING : BBI_NET_EPOLL;
}

void
bbi_net_close(struct bbi_net *net)
{
    if (net == NULL) {
        return;
    }
    for (uint32_t i = 0; i < net->slot_count; i++) {
        if (net->slots[i].state != BBI_NET_FREE) {
            bbi_net_slot_free(net, &net->slots[i], BBI_NET_ABORT);
        }
    }
    net->ops->close(net);
    bbi_lookups_close(net->lookups);
    free_all(net);
}

const char *
bbi_net_engine_name(const struct bbi_net *net)
{
    return net->ops->name;
}

const char *
bbi_net_why(const struct bbi_net *net)
{
    return net->why;
}

const char *
bbi_net_said(const struct bbi_net *net)
{
    return net->said;
}

void
bbi_net_stats(const struct bbi_net *net, struct bbi_net_stats *out)
{
    *out = net->stats;
}

/* ---- watching ---- */

static struct bbi_net_slot *
watched(struct bbi_net *net, int fd)
{
    for (uint32_t i = net->slot_count - BBI_NET_OTHERS; i < net->slot_count; i++) {
        if (net->slots[i].state == BBI_NET_WATCHED && net->slots[i].fd == fd) {
            return &net->slots[i];
        }
    }
    return NULL;
}

int
bbi_net_watch(struct bbi_net *net, int fd)
{
    struct stat st;
    /* Files and directories are always ready, and epoll refuses them. */
    if (fd < 0 || fstat(fd, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
        return BB_EINVAL;
    }
    if (watched(net, fd) != NULL) {
        return BB_EEXIST;
    }
    return bbi_net_slot_take(net, BBI_NET_WATCHED, fd) != NULL ? 0 : BB_EFULL;
}

void
bbi_net_unwatch(struct bbi_net *net, int fd)
{
    struct bbi_net_slot *slot = watched(net, fd);
    if (slot != NULL) {
        bbi_net_slot_free(net, slot, BBI_NET_ORDERLY);
    }
}

/* ---- the wait ---- */

static void
settle(struct bbi_net *net)
{
    /* What a settled slot touches, by a handler that is called for it, is for the next time: nobody starves. */
    uint32_t count = net->touched_count;
    uint32_t *list = net->touched;
    net->touched = net->settling;
    net->settling = list;
    net->touched_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct bbi_net_slot *slot = &net->slots[list[i]];
        slot->is_touched = false;
        if (slot->state != BBI_NET_FREE) {
            net->ops->settle(net, slot);
        }
    }
}

/* The earliest of until_ns and all deadlines; INT64_MAX: none. */
static int64_t
earliest(const struct bbi_net *net, int64_t until_ns)
{
    uint32_t left = net->timed;
    for (uint32_t i = 0; left > 0 && i < net->slot_count; i++) {
        if (net->slots[i].deadline_ns != 0) {
            until_ns = bbi_min_i64(until_ns, net->slots[i].deadline_ns);
            left--;
        }
    }
    return until_ns;
}

static int64_t
patience(const struct bbi_net *net, int64_t until_ns)
{
    if (net->called > 0 || net->touched_count > 0 || until_ns == 0) {
        return 0;
    }
    int64_t first_ns = earliest(net, until_ns);
    if (first_ns == INT64_MAX) {
        return -1;
    }
    int64_t left_ns = first_ns - bbi_os_mono_ns();
    return left_ns > 0 ? left_ns : 0;
}

static void
run_deadlines(struct bbi_net *net)
{
    if (net->timed == 0) {
        return;
    }
    int64_t now_ns = bbi_os_mono_ns();
    for (uint32_t i = 0; net->timed > 0 && i < net->slot_count; i++) {
        struct bbi_net_slot *slot = &net->slots[i];
        if (slot->deadline_ns != 0 && slot->deadline_ns <= now_ns) {
            bbi_net_set_deadline(net, slot, 0);
            bbi_net_on_deadline(net, slot);
        }
    }
}

int
bbi_net_wait(struct bbi_net *net, int64_t timeout_ns)
{
    int64_t until_ns = timeout_ns < 0 ? INT64_MAX : 0; /* 0: only look */
    if (timeout_ns > 0 && __builtin_add_overflow(bbi_os_mono_ns(), timeout_ns, &until_ns)) {
        until_ns = INT64_MAX;
    }
    net->called = 0;
    for (;;) {
        settle(net);
        int rc = net->ops->wait(net, patience(net, until_ns));
        if (rc < 0 && rc != -EINTR) {
            return rc;
        }
        run_deadlines(net);
        bool is_over = until_ns == 0 || (until_ns != INT64_MAX && bbi_os_mono_ns() >= until_ns);
        if (net->called > 0 || rc == -EINTR || is_over) {
            return net->called;
        }
    }
}

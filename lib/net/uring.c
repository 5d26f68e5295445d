/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine over io_uring; the one door to liburing.
 *
 * One ring: SINGLE_ISSUER and DEFER_TASKRUN (Linux 6.1), so completions appear only inside our own wait, which submits
 * too: one system call a turn.  Multishot accept and receive; what is received lies in a provided ring of buffers, and
 * each buffer goes back as soon as its handler returned.  That is why running out of them is no state to wait in: when
 * -ENOBUFS is read, all buffers are back, and the next settle receives again.
 *
 * One operation of a kind is in flight for a slot (`armed`).  Never two sends on a socket: one that has to wait could
 * be overtaken.  Sends go without MSG_WAITALL: the kernel would then go on after a short one by itself, and when the
 * connection breaks meanwhile, return what went and forget why it broke.  A watched descriptor is polled once and polled again after its handler: multishot polls tell of
 * changes only, and readable() is promised while there is something.  That costs an entry in a submission that happens
 * anyway.
 *
 * Dropping a slot cancels what it has in flight and waits for that, so its memory is free when a caller is told so.
 * Completions that come afterwards carry an id that is gone.
 */
#include "lib/net/net_impl.h"
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ENTRIES = 256,
    CQ_ENTRIES_MAX = 65536,
    GROUP = 0,   /* of buffers; the only one */
    SCARCE = 32, /* so few connections are free: accept one by one, not as many as come */
    OP_NONE = 0, /* of a tag: a completion that says nothing (of a cancel) */
};

static const uint8_t USED_OPS[] = {IORING_OP_NOP,     IORING_OP_ACCEPT,   IORING_OP_RECV,
                                   IORING_OP_SENDMSG, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL};
static const char *const USED_NAMES[] = {"NOP",     "ACCEPT",   "RECV",
                                         "SENDMSG", "POLL_ADD", "ASYNC_CANCEL"};
enum { USED_COUNT = sizeof(USED_OPS) };
/* What is registered after the start. */
static const uint8_t USED_REGISTERS[] = {IORING_REGISTER_SYNC_CANCEL, IORING_REGISTER_RING_FDS,
                                         IORING_UNREGISTER_RING_FDS};
enum { USED_REGISTER_COUNT = sizeof(USED_REGISTERS) };

struct engine {
    struct io_uring ring;
    struct io_uring_buf_ring *buffer_ring;
    size_t buffer_ring_bytes;
    unsigned char *buffers;
    uint32_t buffer_count;
};

/* ---- open, close ---- */

static void *
map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED ? p : NULL;
}

static void
give_buffer(struct engine *e, uint32_t idx)
{
    io_uring_buf_ring_add(e->buffer_ring, e->buffers + (size_t)idx * BBI_NET_BUFFER_BYTES,
                          BBI_NET_BUFFER_BYTES, (unsigned short)idx,
                          io_uring_buf_ring_mask(e->buffer_count), 0);
    io_uring_buf_ring_advance(e->buffer_ring, 1);
}

static int
open_buffers(struct engine *e, uint32_t count, struct bbi_fault *f)
{
    e->buffer_ring_bytes = bbi_align_up(count * sizeof(struct io_uring_buf), BBI_PAGE_BYTES);
    e->buffer_count = count;
    e->buffer_ring = map(e->buffer_ring_bytes);
    e->buffers = map((size_t)count * BBI_NET_BUFFER_BYTES);
    if (e->buffer_ring == NULL || e->buffers == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, "io_uring", "no memory for %u buffers of 64 KiB", count);
    }
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)e->buffer_ring, .ring_entries = count, .bgid = GROUP};
    int rc = io_uring_register_buf_ring(&e->ring, &reg, 0);
    if (rc != 0) {
        return bbi_net_refused(f, "io_uring_register (a ring of buffers)", -rc);
    }
    io_uring_buf_ring_init(e->buffer_ring);
    for (uint32_t i = 0; i < count; i++) {
        give_buffer(e, i);
    }
    return 0;
}

enum { PROBE_OPS = 256 };

static int
check_ops(struct engine *e, struct bbi_fault *f)
{
    /* Not io_uring_get_probe_ring(): that does not say why not. */
    struct io_uring_probe *probe =
        calloc(1, sizeof(*probe) + PROBE_OPS * sizeof(struct io_uring_probe_op));
    int rc = probe != NULL ? io_uring_register_probe(&e->ring, probe, PROBE_OPS) : -ENOMEM;
    if (rc < 0) {
        free(probe);
        return bbi_net_refused(f, "io_uring_register (what it can do)", -rc);
    }
    rc = 0;
    for (size_t i = 0; i < USED_COUNT && rc == 0; i++) {
        if (!io_uring_opcode_supported(probe, USED_OPS[i])) {
            rc = bbi_fault_set(
                f, BB_ENOTSUP, "io_uring",
                "this kernel's io_uring lacks the operation %s: epoll does the same work; io_uring "
                "needs Linux 6.1 or later",
                USED_NAMES[i]);
        }
    }
    free(probe);
    return rc;
}

/* The ring was made disabled: nothing can be submitted before this. */
static int
restrict_ops(struct engine *e, struct bbi_fault *f)
{
    struct io_uring_restriction r[USED_COUNT + USED_REGISTER_COUNT + 1] = {0};
    unsigned count = 0;
    for (size_t i = 0; i < USED_COUNT; i++, count++) {
        r[count].opcode = IORING_RESTRICTION_SQE_OP;
        r[count].sqe_op = USED_OPS[i];
    }
    for (size_t i = 0; i < USED_REGISTER_COUNT; i++, count++) {
        r[count].opcode = IORING_RESTRICTION_REGISTER_OP;
        r[count].register_op = USED_REGISTERS[i];
    }
    r[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    r[count++].sqe_flags = IOSQE_BUFFER_SELECT;
    /* Debian's liburing 2.3 declares helpers for these two and does not export them. */
    unsigned fd = (unsigned)e->ring.ring_fd;
    int rc = io_uring_register(fd, IORING_REGISTER_RESTRICTIONS, r, count);
    rc = rc == 0 ? io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) : rc;
    return rc == 0 ? 0 : bbi_net_refused(f, "io_uring_register (restrictions)", -rc);
}

static int
open_ring(struct engine *e, uint32_t slots, const struct bbi_net_opts *opts, struct bbi_fault *f)
{
    /* Room for every buffer and for all that every slot can have in flight. */
    uint64_t most = (uint64_t)opts->buffers + 4 * (uint64_t)slots;
    struct io_uring_params p = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE
                 | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL
                 | (opts->is_restricted ? IORING_SETUP_R_DISABLED : 0u),
        .cq_entries =
            (uint32_t)bbi_min_u64(bbi_max_u64(most, UINT64_C(8) * ENTRIES), CQ_ENTRIES_MAX),
    };
    int rc = io_uring_queue_init_params(ENTRIES, &e->ring, &p);
    if (rc != 0) {
        return bbi_net_refused(f, "io_uring_setup", -rc);
    }
    (void)io_uring_ring_dontfork(&e->ring);
    rc = check_ops(e, f);
    rc = rc == 0 ? open_buffers(e, opts->buffers, f) : rc;
    if (rc == 0) {
        (void)io_uring_register_ring_fd(
            &e->ring); /* a look-up less in each call; it works without */
    }
    if (rc == 0 && opts->is_restricted) {
        rc = restrict_ops(e, f);
    }
    if (rc != 0) {
        io_uring_queue_exit(&e->ring);
    }
    return rc;
}

static void
free_engine(struct engine *e)
{
    if (e->buffer_ring != NULL) {
        (void)munmap(e->buffer_ring, e->buffer_ring_bytes);
    }
    if (e->buffers != NULL) {
        (void)munmap(e->buffers, (size_t)e->buffer_count * BBI_NET_BUFFER_BYTES);
    }
    free(e);
}

static int
engine_open(struct bbi_net *net, const struct bbi_net_opts *opts, struct bbi_fault *f)
{
    struct engine *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, "io_uring", "no memory for io_uring");
    }
    int rc = open_ring(e, net->slot_count, opts, f);
    if (rc != 0) {
        free_engine(e);
        return rc;
    }
    net->engine = e;
    return 0;
}

static void
engine_close(struct bbi_net *net)
{
    struct engine *e = net->engine;
    io_uring_queue_exit(&e->ring);
    free_engine(e);
}

/* ---- submitting ---- */

static struct io_uring_sqe *
entry(struct bbi_net *net)
{
    struct engine *e = net->engine;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&e->ring);
    if (sqe == NULL) {
        net->stats.system_calls++;
        (void)io_uring_submit(&e->ring);
        sqe = io_uring_get_sqe(&e->ring);
    }
    return sqe;
}

static void
prepare(const struct bbi_net *net,
        struct io_uring_sqe *sqe,
        struct bbi_net_slot *slot,
        enum bbi_net_op op)
{
    switch (op) {
    case BBI_NET_OP_ACCEPT:
        if (net->free_slot_count > SCARCE) {
            io_uring_prep_multishot_accept(sqe, slot->fd, NULL, NULL, SOCK_CLOEXEC);
        } else {
            io_uring_prep_accept(sqe, slot->fd, NULL, NULL, SOCK_CLOEXEC);
        }
        break;
    case BBI_NET_OP_CONNECT:
        io_uring_prep_poll_add(sqe, slot->fd, POLLOUT);
        break;
    case BBI_NET_OP_RECV:
        io_uring_prep_recv_multishot(sqe, slot->fd, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = GROUP;
        break;
    case BBI_NET_OP_HANGUP:
        io_uring_prep_poll_add(sqe, slot->fd, POLLERR | POLLHUP);
        break;
    case BBI_NET_OP_SEND:
        io_uring_prep_sendmsg(sqe, slot->fd, bbi_net_message(slot), MSG_NOSIGNAL);
        break;
    case BBI_NET_OP_READABLE:
        io_uring_prep_poll_add(sqe, slot->fd, POLLIN);
        break;
    }
    io_uring_sqe_set_data64(sqe, bbi_net_tag(slot, op));
}

static void
arm(struct bbi_net *net, struct bbi_net_slot *slot, enum bbi_net_op op)
{
    struct io_uring_sqe *sqe = entry(net);
    if (sqe == NULL) {
        bbi_net_touch(net, slot); /* the kernel takes no more just now: completions come first */
        return;
    }
    prepare(net, sqe, slot, op);
    slot->armed |= BBI_NET_BIT(op);
}

static void
cancel(struct bbi_net *net, struct bbi_net_slot *slot, enum bbi_net_op op)
{
    struct io_uring_sqe *sqe = entry(net);
    if (sqe == NULL) {
        bbi_net_touch(net, slot);
        return;
    }
    io_uring_prep_cancel64(sqe, bbi_net_tag(slot, op), 0);
    io_uring_sqe_set_data64(sqe, OP_NONE);
    slot->cancelling |= BBI_NET_BIT(op);
}

static void
engine_settle(struct bbi_net *net, struct bbi_net_slot *slot)
{
    uint32_t wants = bbi_net_wants(net, slot);
    uint32_t missing = wants & ~slot->armed;
    /* A send is never called back: what is out of it would not be known. */
    uint32_t unwanted = slot->armed & ~wants & ~slot->cancelling & ~BBI_NET_BIT(BBI_NET_OP_SEND);
    for (enum bbi_net_op op = BBI_NET_OP_ACCEPT; op <= BBI_NET_OP_READABLE; op++) {
        if ((missing & BBI_NET_BIT(op)) != 0) {
            arm(net, slot, op);
        }
        if ((unwanted & BBI_NET_BIT(op)) != 0) {
            cancel(net, slot, op);
        }
    }
}

/* Entries that the kernel has not taken (it was out of memory) must not be for a descriptor that is then closed. */
static void
forget_entries(struct bbi_net *net, const struct bbi_net_slot *slot)
{
    struct engine *e = net->engine;
    struct io_uring_sq *sq = &e->ring.sq;
    for (unsigned at = *sq->khead; at != sq->sqe_tail; at++) {
        struct io_uring_sqe *sqe = &sq->sqes[at & sq->ring_mask];
        if (bbi_net_tagged(net, sqe->user_data) == slot) {
            io_uring_prep_nop(sqe);
            io_uring_sqe_set_data64(sqe, OP_NONE);
        }
    }
}

static void
engine_drop(struct bbi_net *net, struct bbi_net_slot *slot)
{
    struct engine *e = net->engine;
    if (slot->armed == 0) {
        return;
    }
    forget_entries(net, slot);
    struct io_uring_sync_cancel_reg reg = {
        .fd = slot->fd,
        .flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL,
        .timeout = {.tv_sec = -1, .tv_nsec = -1},
    };
    int rc = io_uring_register_sync_cancel(&e->ring, &reg);
    BBI_DEBUG_ASSERT(rc >= 0 || rc == -ENOENT); /* all had completed */
    if (rc < 0 && rc != -ENOENT) {
        (void)shutdown(slot->fd,
                       SHUT_RDWR); /* what waits for room then fails before it reads memory */
    }
    /* What was cancelled holds the socket until its task work has run: only then does a close reach the peer. */
    net->stats.system_calls++;
    (void)io_uring_get_events(&e->ring);
    slot->armed = 0;
    slot->cancelling = 0;
}

/* ---- reporting ---- */

static bool
is_transient(int result)
{
    return result == -ECANCELED || result == -EINTR || result == -EAGAIN;
}

static void
report_received(struct bbi_net *net, struct bbi_net_slot *slot, int result, uint32_t flags)
{
    const struct engine *e = net->engine;
    if (result > 0) {
        size_t idx = flags >> IORING_CQE_BUFFER_SHIFT;
        bbi_net_on_received(net, slot, e->buffers + idx * BBI_NET_BUFFER_BYTES, (size_t)result);
    } else if (result == -ENOBUFS) {
        net->stats.no_buffers++;
    } else if (!is_transient(result)) {
        bbi_net_on_end(net, slot, result);
    }
}

static void
report_polled(struct bbi_net *net, struct bbi_net_slot *slot, enum bbi_net_op op, int result)
{
    bool is_wanted = (bbi_net_wants(net, slot) & BBI_NET_BIT(op)) != 0;
    if (!is_wanted || is_transient(result)) {
        return;
    }
    if (op == BBI_NET_OP_CONNECT) {
        bbi_net_on_writable(net, slot);
    } else if (op == BBI_NET_OP_HANGUP) {
        bbi_net_on_hangup(net, slot);
    } else if (result >= 0) {
        bbi_net_on_readable(net, slot);
    } else {
        bbi_net_slot_free(net, slot, BBI_NET_ORDERLY); /* it was closed before it was unwatched */
    }
}

static void
report_live(
    struct bbi_net *net, struct bbi_net_slot *slot, enum bbi_net_op op, int result, uint32_t flags)
{
    switch (op) {
    case BBI_NET_OP_ACCEPT:
        if (!is_transient(result)) {
            bbi_net_on_accept(net, slot, result);
        }
        break;
    case BBI_NET_OP_RECV:
        report_received(net, slot, result, flags);
        break;
    case BBI_NET_OP_SEND:
        bbi_net_on_sent(net, slot, result);
        break;
    case BBI_NET_OP_CONNECT:
    case BBI_NET_OP_HANGUP:
    case BBI_NET_OP_READABLE:
        report_polled(net, slot, op, result);
        break;
    }
}

static void
report(struct bbi_net *net, uint64_t tag, int result, uint32_t flags)
{
    struct engine *e = net->engine;
    unsigned op = (unsigned)(tag >> 60);
    if (op == OP_NONE) {
        return;
    }
    struct bbi_net_slot *slot = bbi_net_tagged(net, tag);
    if (slot != NULL) {
        struct bbi_net_id id = slot->id;
        if ((flags & IORING_CQE_F_MORE) == 0) {
            slot->armed &= ~BBI_NET_BIT(op);
            slot->cancelling &= ~BBI_NET_BIT(op);
            bbi_net_touch(net, slot);
        }
        BBI_ASSERT(bbi_net_slot(net, id) == slot);
        report_live(net, slot, (enum bbi_net_op)op, result, flags);
    } else {
        net->stats.stale++;
        if (op == BBI_NET_OP_ACCEPT && result >= 0) {
            (void)close(result);
        }
    }
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
        give_buffer(e, flags >> IORING_CQE_BUFFER_SHIFT);
    }
}

/* Each completion is given back before its handlers run: they may enter the kernel too (a drop). */
static void
reap(struct bbi_net *net)
{
    struct engine *e = net->engine;
    struct io_uring_cqe *cqe;
    unsigned head;
    for (;;) {
        struct io_uring_cqe seen = {0};
        bool is_there = false;
        io_uring_for_each_cqe(&e->ring, head, cqe)
        {
            seen.user_data = cqe->user_data;
            seen.res = cqe->res;
            seen.flags = cqe->flags;
            is_there = true;
            break;
        }
        if (!is_there) {
            return;
        }
        io_uring_cq_advance(&e->ring, 1);
        report(net, seen.user_data, seen.res, seen.flags);
    }
}

static int
engine_wait(struct bbi_net *net, int64_t timeout_ns)
{
    struct engine *e = net->engine;
    struct io_uring_cqe *cqe;
    int rc;
    net->stats.system_calls++;
    if (timeout_ns == 0) {
        rc = io_uring_submit_and_get_events(&e->ring);
    } else {
        struct __kernel_timespec ts = {.tv_sec = timeout_ns / 1000000000,
                                       .tv_nsec = timeout_ns % 1000000000};
        rc = io_uring_submit_and_wait_timeout(&e->ring, &cqe, 1, timeout_ns > 0 ? &ts : NULL, NULL);
    }
    reap(net);
    /* Busy: completions had to be taken first, which is done. */
    return rc >= 0 || rc == -ETIME || rc == -EAGAIN || rc == -EBUSY ? 0 : rc;
}

const struct bbi_net_ops bbi_net_uring = {
    .name = "io_uring",
    .is_nonblocking = false,
    .open = engine_open,
    .close = engine_close,
    .settle = engine_settle,
    .drop = engine_drop,
    .wait = engine_wait,
};

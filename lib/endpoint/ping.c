/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/ping.c - does a node answer, and how fast?
 *
 * The question is a counter beside the subscriber's bell, the answer a word in its own file: no ring is
 * needed on either side, and a subscriber answers whenever it polls.
 */
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/look_impl.h"
#include "shm/os.h"
#include <string.h>

static const int64_t SLICE_NS = 10000000;

uint32_t
bbi_member_find(const struct bbi_attach *at, const char *name, uint32_t *gen)
{
    for (uint32_t i = 0; i < BBI_MEMBERS; i++) {
        struct bbi_member_view m;
        if (bbi_member_read(&at->bus->members[i], &m) && m.state == BBI_MEMBER_ACTIVE
            && strcmp(m.name, name) == 0 && bbi_is_alive(at, BBI_LOCK_MEMBER + i)) {
            *gen = m.gen;
            return i;
        }
    }
    return BBI_MEMBERS;
}

static int
wait_for_pong(const struct bbi_attach *at,
              uint32_t index,
              const struct bbi_sub *sub,
              uint32_t ping,
              int64_t deadline)
{
    for (;;) {
        uint32_t pong = bbi_load_acquire(&sub->pong); /* R6: pairs with answer_ping() */
        if ((int32_t)(pong - ping) >= 0) {
            return 0;
        }
        int64_t left = deadline - bbi_os_mono_ns();
        if (left <= 0) {
            return BB_ETIMEDOUT;
        }
        if (!bbi_is_alive(at, BBI_LOCK_SUB + index)) {
            return BB_EPEERGONE;
        }
        (void)bbi_os_futex_wait(&sub->pong, pong, left < SLICE_NS ? left : SLICE_NS);
    }
}

static int
ping_subscriber(struct bb_endpoint *ep,
                uint32_t index,
                const struct bbi_sub *sub,
                int64_t timeout_ns,
                int64_t *rtt_ns)
{
    int64_t start = bbi_os_mono_ns();
    int64_t deadline =
        timeout_ns < 0 || timeout_ns > INT64_MAX - start ? INT64_MAX : start + timeout_ns;
    uint32_t ping = bbi_fetch_add_seq_cst(&ep->at.bus->bells[index].ping, 1) + 1; /* R6 */
    (void)pthread_mutex_lock(&ep->lock);
    (void)bbi_wake_ring(ep->at.bus, &ep->waker, index);
    (void)pthread_mutex_unlock(&ep->lock);
    int rc = wait_for_pong(&ep->at, index, sub, ping, deadline);
    if (rc == 0) {
        *rtt_ns = bbi_os_mono_ns() - start;
    }
    return rc;
}

int
bb_node_ping(struct bb_endpoint *ep, const char *name, int64_t timeout_ns, int64_t *rtt_ns)
{
    uint32_t gen = 0;
    if (bbi_is_forked(ep->fork_gen)) {
        return BB_EFORKED;
    }
    uint32_t slot = bbi_member_find(&ep->at, name, &gen);
    if (slot == BBI_MEMBERS) {
        return BB_ENOENT;
    }
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        struct bbi_row row;
        struct bbi_segment seg;
        if (!bbi_row_read(&ep->at.bus->subs[i], &row) || row.member != slot || row.member_gen != gen
            || !bbi_look_sub(&ep->at, i, &row, &seg)) {
            continue;
        }
        int rc = ping_subscriber(ep, i, seg.base, timeout_ns, rtt_ns);
        bbi_segment_close(&seg);
        return rc;
    }
    return BB_ENOTSUP;
}

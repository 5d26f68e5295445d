/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/wake.h - sleep without missing a message, wake without a system call when nobody sleeps.
 *
 *   subscriber                                     publisher (flush) or anyone
 *    bell = SLEEPING                                desc.seq = n
 *    sleepers |= bit          seq_cst, R5           tail_seq = n             then a fence, R5
 *    fence (membarrier)                             sleepers & wanted ?
 *    every ring's tail again                          CAS bell SLEEPING -> NOTIFIED; the winner wakes, R6
 *    sleep while bell == SLEEPING, at most 1 s
 *
 * The bell before the bit, and the look at the tails after both; other orders lose wake-ups.
 * Death      between the CAS and the waking: the steward rings every bell unconditionally, and no sleep is
 *            longer than a second.
 */
#ifndef BUSBAR_SHM_WAKE_H
#define BUSBAR_SHM_WAKE_H

#include "shm/attach.h"

#define BBI_SLEEP_MAX_NS INT64_C(1000000000)

/*
 * bbi_wake_arm - subscriber idx will sleep.  The caller then looks at every ring once more.
 *
 * Returns   0; BB_ENOTSUP when the kernel refuses membarrier: then rings that rely on it may not wake us,
 *           and the caller sleeps only briefly.
 */
int bbi_wake_arm(struct bbi_bus *bus, uint32_t idx, enum bbi_bell_mode mode);
/* bbi_wake_sleep - until the bell rings or the time is over; FUTEX mode.  -EINTR: a signal handler ran. */
int bbi_wake_sleep(const struct bbi_bus *bus, uint32_t idx, int64_t timeout_ns);
void bbi_wake_disarm(struct bbi_bus *bus, uint32_t idx);

/* Wakers of SOCKET mode need a socket of their own; made at first use. */
struct bbi_waker {
    int sock_fd; /* -1 until the first use */
    int dir_fd;  /* of the bus */
};

/* bbi_wake_ring - wake subscriber idx if it sleeps.  1 if this call did it, else 0. */
int bbi_wake_ring(struct bbi_bus *bus, struct bbi_waker *waker, uint32_t idx);

/*
 * bbi_wake_pass_on - whoever was woken wakes two of those that a publisher left to it.
 *
 * Each is taken off the set by one waker only, so the passing on ends when all are awake.
 */
void bbi_wake_pass_on(struct bbi_bus *bus, struct bbi_waker *waker);

/* bbi_wake_surely - whatever its bell says: whoever won the bell may be stopped or dead. */
void bbi_wake_surely(struct bbi_bus *bus, struct bbi_waker *waker, uint32_t idx);

/* bbi_wake_all - after a death: every sleeper, whatever its bell says. */
void bbi_wake_all(struct bbi_bus *bus, struct bbi_waker *waker);

/* The socket that a subscriber in an event loop sleeps on: `sock/IDX`.  A descriptor or a status. */
BB_MUST_USE int bbi_wake_socket(const struct bbi_attach *at, uint32_t idx);
void bbi_wake_socket_remove(const struct bbi_attach *at, uint32_t idx);

#endif

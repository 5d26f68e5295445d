/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/atomic.h - the one door to <stdatomic.h>.  The order is in the name.
 *
 * Fences     Order normally stands on the access.  The exceptions are the racy copy (R2, R3) and the
 *            handshakes that store and then load (R5, R6, R9); docs/memory-model.md lists them.
 * TSan       does not follow fences.  In its build the racy copies use ordered accesses for each word
 *            (BBI_TSAN), so the fences are not needed there.
 */
#ifndef BUSBAR_SHM_ATOMIC_H
#define BUSBAR_SHM_ATOMIC_H

#include "shm/base.h"
#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__)
#    define BBI_TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define BBI_TSAN 1
#    endif
#endif
#ifndef BBI_TSAN
#    define BBI_TSAN 0
#endif

static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
              "shared words must be lock-free and so address-free");

typedef _Atomic uint32_t bbi_u32;
typedef _Atomic uint64_t bbi_u64;

#define bbi_load_relaxed(p)         atomic_load_explicit((p), memory_order_relaxed)
#define bbi_load_acquire(p)         atomic_load_explicit((p), memory_order_acquire)
#define bbi_load_seq_cst(p)         atomic_load_explicit((p), memory_order_seq_cst)
#define bbi_store_relaxed(p, v)     atomic_store_explicit((p), (v), memory_order_relaxed)
#define bbi_store_release(p, v)     atomic_store_explicit((p), (v), memory_order_release)
#define bbi_store_seq_cst(p, v)     atomic_store_explicit((p), (v), memory_order_seq_cst)
#define bbi_exchange_seq_cst(p, v)  atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define bbi_fetch_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define bbi_fetch_add_seq_cst(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define bbi_fetch_or_seq_cst(p, v)  atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define bbi_fetch_and_seq_cst(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)
#define bbi_cas_seq_cst(p, expected, desired)                                                      \
    atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_seq_cst,      \
                                            memory_order_seq_cst)

/* A word that only its owner writes: add without a locked instruction.  Readers see some recent value. */
#define bbi_own_add(p, v) bbi_store_relaxed((p), bbi_load_relaxed(p) + (v))

static inline void
bbi_fence_acquire(void)
{
#if !BBI_TSAN
    atomic_thread_fence(memory_order_acquire);
#endif
}

static inline void
bbi_fence_release(void)
{
#if !BBI_TSAN
    atomic_thread_fence(memory_order_release);
#endif
}

static inline void
bbi_fence_seq_cst(void)
{
#if !BBI_TSAN
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* The publisher's half of the membarrier variant: only the compiler may not move accesses across. */
static inline void
bbi_fence_compiler(void)
{
#if !BBI_TSAN
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* The line will be read, or written, soon. */
static inline void
bbi_prefetch_read(const void *p)
{
    __builtin_prefetch(p);
}

static inline void
bbi_prefetch_write(void *p)
{
#if defined(__x86_64__)
    /* The builtin asks for a shared copy where the target is an x86-64 of 2003: the store then waits again. */
    __asm__ __volatile__("prefetchw %0" : : "m"(*(char *)p));
#else
    __builtin_prefetch(p, 1);
#endif
}

static inline void
bbi_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

#endif

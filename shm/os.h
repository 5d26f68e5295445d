/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/os.h - the system calls of shm/, each with our statuses.
 *
 * Locks      OFD locks only: they belong to the open file description, vanish with the process, are not
 *            lost when another descriptor of the file closes, and can be tested through a read-only one.
 * Errors     -errno as it is; interrupted calls are repeated.
 */
#ifndef BUSBAR_SHM_OS_H
#define BUSBAR_SHM_OS_H

#include "shm/atomic.h"
#include "shm/base.h"
#include <sys/types.h>

int64_t bbi_os_mono_ns(void);
int64_t bbi_os_wall_ns(void);
int64_t bbi_os_coarse_ns(void);     /* CLOCK_MONOTONIC at the kernel's last tick */
bool bbi_os_clock_is_counter(void); /* the kernel keeps time by the counter that we can read */
void bbi_os_random(void *out, size_t bytes);
void bbi_os_boot_id(uint8_t out[16]);   /* zeros when the kernel does not tell */
uint64_t bbi_os_pidns(void);            /* inode of our pid namespace, 0 if not visible */
uint64_t bbi_os_start_ticks(pid_t pid); /* start time of a process, 0 if not visible */
char bbi_os_process_state(pid_t pid);   /* 'R', 'S', 'T', ... of /proc/PID/stat, 0 if not visible */

/*
 * bbi_os_keep_fd - fd, or the same file under a number above 2 when it has one of the standard streams' (they
 * were closed): what the program prints must not go into a file of the bus.  For descriptors that stay open.
 * Like open(): -1 and errno.
 */
BB_MUST_USE int bbi_os_keep_fd(int fd);

/* bbi_os_create_file - an unnamed file of bytes bytes in dir_fd, all of them allocated, mode exact. */
BB_MUST_USE int bbi_os_create_file(int dir_fd, uint64_t bytes, mode_t mode);
/* bbi_os_read_all - from where fd stands to its end, at most cap bytes; how many, or -errno. */
BB_MUST_USE int64_t bbi_os_read_all(int fd, void *out, size_t cap);
/* bbi_os_link_file - give it its name; BB_EEXIST if the name is taken. */
BB_MUST_USE int bbi_os_link_file(int fd, int dir_fd, const char *name);
/* bbi_os_map - the whole file; it is not inherited over fork, and not dumped when read-only. */
BB_MUST_USE int bbi_os_map(int fd, uint64_t bytes, bool writable, void **out);
void bbi_os_unmap(void *base, uint64_t bytes);

/* One byte of a lock file.  try: BB_EAGAIN when another holds it.  test: 1 held exclusively by another, 0 not. */
BB_MUST_USE int bbi_os_lock_try(int fd, int64_t off, bool exclusive);
void bbi_os_unlock(int fd, int64_t off);
BB_MUST_USE int bbi_os_lock_test(int fd, int64_t off);

/* Futexes on shared words; work through read-only mappings.  wait: 0 woken or value differs, BB_ETIMEDOUT, -EINTR. */
int bbi_os_futex_wait(const bbi_u32 *word, uint32_t expected, int64_t timeout_ns);
int bbi_os_futex_wake(const bbi_u32 *word, int count);

void bbi_os_yield(void);         /* others may have this core */
int bbi_os_sleep_ns(int64_t ns); /* 0, or -EINTR when a signal handler ran */

/*
 * Membarrier.  register: a publisher's process asks for it once; 0 when the kernel will do it.
 * run: every registered running thread has passed a full barrier; <0 when the kernel refuses.
 */
BB_MUST_USE int bbi_os_membarrier_register(void);
BB_MUST_USE int bbi_os_membarrier_run(void);

#endif

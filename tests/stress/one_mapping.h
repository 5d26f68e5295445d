/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/stress/one_mapping.h - every file is mapped once in this process, whoever maps it.
 *
 * The thread sanitizer knows addresses, not files: two mappings of one file are strangers to it.  Here mmap
 * and munmap of the program are replaced: whoever maps a file that is mapped already gets that address.  So
 * endpoints in several threads stand for processes, and TSan sees all that they share.
 *
 * What is written before a file gets its name happens before whatever its readers do: the kernel sees to that
 * when one links and the other opens, and here the lock tells TSan.
 *
 * An address is never used for another file, since TSan would remember the one before.
 */
#ifndef BUSBAR_TESTS_STRESS_ONE_MAPPING_H
#define BUSBAR_TESTS_STRESS_ONE_MAPPING_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ONE_MAPPING_FILES = 4096 };

static struct one_mapping {
    void *base;
    size_t bytes;
    dev_t dev;
    ino_t ino;
    int users;
} one_mappings[ONE_MAPPING_FILES];
static pthread_mutex_t one_mapping_lock = PTHREAD_MUTEX_INITIALIZER;

static void *
one_mapping_raw(void *addr, size_t bytes, int prot, int flags, int fd, off_t off)
{
    return (void *)syscall(SYS_mmap, addr, bytes, prot, flags, fd, off);
}

static void *
one_mapping_of(const struct stat *st, size_t bytes, int fd)
{
    struct one_mapping *unused = NULL;
    for (int i = 0; i < ONE_MAPPING_FILES; i++) {
        struct one_mapping *m = &one_mappings[i];
        if (m->users > 0 && m->dev == st->st_dev && m->ino == st->st_ino && m->bytes == bytes) {
            m->users++;
            return m->base;
        }
        unused = m->users == 0 && unused == NULL ? m : unused;
    }
    if (unused == NULL) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *p = one_mapping_raw(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) {
        *unused = (struct one_mapping){p, bytes, st->st_dev, st->st_ino, 1};
    }
    return p;
}

void *
mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t off)
{
    struct stat st;
    char path[32];
    if (fd < 0 || (flags & MAP_SHARED) == 0 || off != 0 || fstat(fd, &st) != 0) {
        return one_mapping_raw(addr, bytes, prot, flags, fd, off);
    }
    /* A reader's descriptor may not write; all that follow share what the first one maps. */
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int rw = open(path, O_RDWR | O_CLOEXEC);
    (void)pthread_mutex_lock(&one_mapping_lock);
    void *p = one_mapping_of(&st, bytes, rw >= 0 ? rw : fd);
    (void)pthread_mutex_unlock(&one_mapping_lock);
    if (rw >= 0) {
        (void)close(rw);
    }
    return p;
}

int
linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    (void)pthread_mutex_lock(&one_mapping_lock);
    int rc = (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
    (void)pthread_mutex_unlock(&one_mapping_lock);
    return rc;
}

int
munmap(void *addr, size_t bytes)
{
    int rc = -1;
    (void)pthread_mutex_lock(&one_mapping_lock);
    for (int i = 0; i < ONE_MAPPING_FILES && rc < 0; i++) {
        struct one_mapping *m = &one_mappings[i];
        if (m->users > 0 && m->base == addr) {
            m->users--;
            if (m->users == 0) { /* the pages go, the addresses stay reserved */
                (void)one_mapping_raw(addr, bytes, PROT_NONE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
                                      0);
            }
            rc = 0;
        }
    }
    (void)pthread_mutex_unlock(&one_mapping_lock);
    return rc == 0 ? 0 : (int)syscall(SYS_munmap, addr, bytes);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/segment.h"
#include "shm/hash.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef BB_BUILD_STRING
#    define BB_BUILD_STRING "busbar, unnamed build"
#endif

int
bbi_segment_new(int dir_fd, uint64_t bytes, mode_t mode, struct bbi_segment *out, int *fd_out)
{
    int fd = bbi_os_create_file(dir_fd, bytes, mode);
    if (fd < 0) {
        return fd;
    }
    void *base = NULL;
    int rc = bbi_os_map(fd, bytes, true, &base);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    BBI_HOOK("segment:allocated");
    *out = (struct bbi_segment){.base = base, .bytes = bytes};
    *fd_out = fd;
    return 0;
}

void
bbi_segment_ident(struct bbi_ident *ident, enum bbi_file_kind kind, uint64_t file_bytes)
{
    ident->magic = BBI_MAGIC;
    ident->major = BBI_LAYOUT_MAJOR;
    ident->minor = BBI_LAYOUT_MINOR;
    ident->kind = kind;
    ident->endian = BBI_ENDIAN;
    ident->line_bytes = BBI_LINE_BYTES;
    ident->page_bytes = BBI_PAGE_BYTES;
    ident->file_bytes = file_bytes;
    ident->created_wall_ns = bbi_os_wall_ns();
    ident->pid = (int32_t)getpid();
    ident->uid = (uint32_t)geteuid();
    ident->pidns = bbi_os_pidns();
    ident->start_ticks = bbi_os_start_ticks(getpid());
    bbi_os_boot_id(ident->boot_id);
    bbi_os_random(&ident->key, sizeof(ident->key));
    ident->key |= 1; /* never 0 */
    (void)snprintf(ident->build, sizeof(ident->build), "%s", BB_BUILD_STRING);
}

static uint64_t
ident_check(const struct bbi_ident *ident)
{
    struct bbi_ident copy = *ident;
    copy.check = 0;
    return bbi_hash64(&copy, sizeof(copy));
}

void
bbi_segment_seal(struct bbi_ident *ident)
{
    ident->check = ident_check(ident);
}

int
bbi_segment_check(const struct bbi_ident *ident, enum bbi_file_kind kind, uint64_t file_bytes)
{
    if (ident->magic != BBI_MAGIC) {
        return BB_ECORRUPT;
    }
    /* Before anything else of the page: another major may have moved all of it. */
    if (ident->major != BBI_LAYOUT_MAJOR) {
        return BB_EVERSION;
    }
    if (ident->check != ident_check(ident) || ident->kind != (uint32_t)kind
        || ident->endian != BBI_ENDIAN || ident->line_bytes != BBI_LINE_BYTES
        || ident->page_bytes != BBI_PAGE_BYTES || ident->file_bytes > file_bytes) {
        return BB_ECORRUPT;
    }
    return ident->feat_incompat != 0 ? BB_EVERSION : 0;
}

static uint64_t
least_bytes(enum bbi_file_kind kind)
{
    switch (kind) {
    case BBI_FILE_BUS:
        return sizeof(struct bbi_bus);
    case BBI_FILE_RING:
        return sizeof(struct bbi_ring);
    case BBI_FILE_SUB:
        return sizeof(struct bbi_sub);
    case BBI_FILE_ROLL: /* their owners, lib/cluster and lib/store, know the rest */
    case BBI_FILE_STORE:
        return BBI_PAGE_BYTES;
    }
    return UINT64_MAX;
}

int
bbi_segment_open(
    int dir_fd, const char *name, enum bbi_file_kind kind, bool writable, struct bbi_segment *out)
{
    int fd = bbi_os_keep_fd(
        openat(dir_fd, name, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW));
    if (fd < 0) {
        return -errno;
    }
    struct stat st;
    void *base = NULL;
    int rc = fstat(fd, &st) == 0 ? 0 : -errno;
    uint64_t bytes = rc == 0 ? (uint64_t)st.st_size : 0;
    if (rc == 0 && (!S_ISREG(st.st_mode) || bytes < sizeof(struct bbi_ident))) {
        rc = BB_ECORRUPT;
    }
    if (rc == 0) {
        rc = bbi_os_map(fd, bytes, writable, &base);
    }
    (void)close(fd);
    if (rc < 0) {
        return rc;
    }
    BBI_ASSERT(base != NULL);
    rc = bbi_segment_check(base, kind, bytes);
    if (rc == 0 && bytes < least_bytes(kind)) {
        rc = BB_ECORRUPT;
    }
    if (rc < 0) {
        bbi_os_unmap(base, bytes);
        return rc;
    }
    *out = (struct bbi_segment){.base = base, .bytes = bytes};
    return 0;
}

void
bbi_segment_close(struct bbi_segment *seg)
{
    bbi_os_unmap(seg->base, seg->bytes);
    seg->base = NULL;
    seg->bytes = 0;
}

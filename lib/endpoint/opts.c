/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/opts.c - structs that begin with their size.
 */
#include "lib/endpoint/opts.h"
#include "busbar/version.h"
#include "lib/endpoint/endpoint_impl.h"
#include <string.h>

static struct bb_error *
error_of(const void *src, size_t size, size_t error_off)
{
    void *error = NULL;
    if (error_off != BBI_OPTS_NO_ERROR && (size == 0 || size >= error_off + sizeof(error))) {
        memcpy(&error, (const unsigned char *)src + error_off, sizeof(error));
    }
    return error;
}

/* The first byte from `from` on that is set; size if none is. */
static size_t
first_set(const unsigned char *src, size_t from, size_t size)
{
    while (from < size && src[from] == 0) {
        from++;
    }
    return from;
}

static bool
is_possible(size_t size)
{
    return size >= sizeof(size_t) && size % alignof(size_t) == 0 && size <= BBI_OPTS_MOST_BYTES;
}

static int
refuse_size(const void *src, size_t size, size_t error_off, const char *type, size_t known)
{
    struct bbi_fault f = {.uid = -1};
    (void)bbi_fault_set(&f, BB_EINVAL, type,
                        "the member `size` of %s is %zu, which no such struct has: set it to "
                        "sizeof(%s), which is %zu here",
                        type, size, type, known);
    /* Of a size that is neither forgotten nor possible nothing else is believed. */
    return bbi_error_set(size == 0 ? error_of(src, size, error_off) : NULL, &f);
}

static int
refuse_unknown(
    const void *src, size_t size, size_t error_off, const char *type, size_t known, size_t at)
{
    struct bbi_fault f = {.uid = -1};
    (void)bbi_fault_set(
        &f, BB_ENOTSUP, type,
        "%s has %zu bytes and sets something at byte %zu, but this libbusbar (" BUSBAR_VERSION
        ") knows only the first %zu: leave the newer options zero, or install the "
        "library that the program was compiled for",
        type, size, at, known);
    return bbi_error_set(error_of(src, size, error_off), &f);
}

int
bbi_opts_flags(uint32_t flags, uint32_t known, const char *type, struct bb_error *error)
{
    struct bbi_fault f = {.uid = -1};
    if ((flags & ~known) == 0) {
        return 0;
    }
    (void)bbi_fault_set(&f, BB_ENOTSUP, type,
                        "%s sets the flags %#x, which this libbusbar (" BUSBAR_VERSION
                        ") does not know: leave them out, or install the library that the program "
                        "was compiled for",
                        type, flags & ~known);
    return bbi_error_set(error, &f);
}

int
bbi_opts_take(void *dst, size_t dst_bytes, size_t error_off, const void *src, const char *type)
{
    size_t size = 0;
    memset(dst, 0, dst_bytes);
    if (src == NULL) {
        return 0;
    }
    memcpy(&size, src, sizeof(size));
    if (!is_possible(size)) {
        return refuse_size(src, size, error_off, type, dst_bytes);
    }
    size_t at = first_set(src, dst_bytes, size);
    if (at < size) {
        return refuse_unknown(src, size, error_off, type, dst_bytes, at);
    }
    memcpy(dst, src, bbi_min_u64(size, dst_bytes));
    return 0;
}

void
bbi_stats_give(void *out, const void *ours, size_t our_bytes)
{
    size_t size = 0;
    memcpy(&size, out, sizeof(size));
    size_t valid = size < our_bytes ? size : our_bytes;
    if (size >= sizeof(size)) {
        memcpy(out, ours, valid);
    }
    size = size == 0 ? our_bytes : valid;
    memcpy(out, &size, sizeof(size));
}

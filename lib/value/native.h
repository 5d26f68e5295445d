/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/native.h - the bytes of the native form, and the only way to read a head.
 *
 * Used by    every file of lib/value; lib/store and the codecs may use it too.
 * Rule       A head is one u64, loaded once into a local: its length, type and small fields belong together
 *            and cannot change between the check and the use, whatever another process does to the bytes.
 */
#ifndef BUSBAR_LIB_VALUE_NATIVE_H
#define BUSBAR_LIB_VALUE_NATIVE_H

#include <busbar/value.h>
#include <endian.h>
#include <stdbool.h>
#include <string.h>

/*  bits 0..31 bytes of the value with this head, 32..39 type, 40..47 a, 48..63 b */
#define BBI_HEAD(bytes, type) ((uint64_t)(bytes) | (uint64_t)(type) << 32)

enum {
    BBI_HEAD_BYTES = 8,
    BBI_WORD_BYTES = 16,      /* a head and 8 bytes: numbers, times */
    BBI_ADDRESS_BYTES = 24,   /* a head and 16 bytes: address, subnet */
    BBI_CONTAINER_BYTES = 16, /* a head, u32 elements, u32 zero */
    BBI_TYPE_COUNT = BB_VECTOR + 1,
};

static inline uint64_t
bbi_get64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static inline void
bbi_put64(unsigned char *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

/* The empty asm hides where v came from, so the compiler cannot read the bytes again instead of keeping v. */
static inline uint64_t
bbi_once64(const unsigned char *p)
{
    uint64_t v = bbi_get64(p);
    __asm__("" : "+r"(v));
    return v;
}

static inline size_t
bbi_pad8(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static inline uint32_t
bbi_head_bytes(uint64_t head)
{
    return (uint32_t)head;
}

static inline uint32_t
bbi_head_type(uint64_t head)
{
    return (uint32_t)(head >> 32) & 0xff;
}

static inline uint32_t
bbi_head_a(uint64_t head)
{
    return (uint32_t)(head >> 40) & 0xff;
}

static inline uint32_t
bbi_head_b(uint64_t head)
{
    return (uint32_t)(head >> 48);
}

static inline bool
bbi_is_container(uint32_t type)
{
    return type >= BB_SET && type <= BB_VECTOR;
}

/* bbi_head_fits - true if a value with this head is of a known type, as long as its type asks, in the window. */
static inline bool
bbi_head_fits(uint64_t head, size_t window)
{
    static const uint8_t least[BBI_TYPE_COUNT] = {8, 8,  16, 16, 16, 8,  24, 24,
                                                  8, 16, 16, 8,  16, 16, 16};
    uint32_t type = bbi_head_type(head);
    uint32_t bytes = bbi_head_bytes(head);
    if (type >= BBI_TYPE_COUNT || bytes > window || bytes < least[type]) {
        return false;
    }
    return bytes == least[type] || type == BB_STRING || type == BB_ENUM || bbi_is_container(type);
}

/* bbi_head_read - the head at p, or 0 (never a head) if it does not fit the window. */
static inline uint64_t
bbi_head_read(const unsigned char *p, size_t window)
{
    if (window < BBI_HEAD_BYTES) {
        return 0;
    }
    uint64_t head = bbi_once64(p);
    return bbi_head_fits(head, window) ? head : 0;
}

/* bbi_child_count - values right inside a container whose second word this is; a table counts two a pair. */
static inline uint64_t
bbi_child_count(uint32_t type, uint64_t second_word)
{
    return (second_word & UINT32_MAX) << (type == BB_TABLE);
}

/* IPv4 is ::ffff:a.b.c.d; a subnet of it counts its prefix from bit 96. */
static inline bool
bbi_is_ipv4(const unsigned char ip[16])
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(ip, mapped, sizeof(mapped)) == 0;
}

/* bbi_is_head_canonical - is all of the head beyond length and type as this type has it? */
bool bbi_is_head_canonical(uint64_t head);

/* bbi_mask_ip - clears the host bits after the first `bits` (0..128). */
void bbi_mask_ip(unsigned char ip[16], uint32_t bits);

/* bbi_compare - bb_value_compare() over bare windows. */
int bbi_compare(const unsigned char *a, size_t a_window, const unsigned char *b, size_t b_window);

/* bbi_check - how deep containers nest in a canonical value (0: none), or BB_ECORRUPT. */
BB_MUST_USE int bbi_check(const unsigned char *p, size_t window);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bridge/wire.h - little-endian numbers at any address, and a reader that cannot run over the end.
 *
 * Used by    frame, session, greet.
 * Rule       A reader that was asked for more than there is stays failed: who reads asks once, at the end.
 */
#ifndef BUSBAR_LIB_BRIDGE_WIRE_H
#define BUSBAR_LIB_BRIDGE_WIRE_H

#include "shm/base.h"
#include <endian.h>
#include <string.h>

static inline unsigned char *
bbi_put_u8(unsigned char *p, uint8_t v)
{
    *p = v;
    return p + 1;
}

static inline unsigned char *
bbi_put_le16(unsigned char *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static inline unsigned char *
bbi_put_le32(unsigned char *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static inline unsigned char *
bbi_put_le64(unsigned char *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static inline unsigned char *
bbi_put_bytes(unsigned char *p, const void *bytes, size_t count)
{
    if (count > 0) {
        memcpy(p, bytes, count);
    }
    return p + count;
}

static inline uint16_t
bbi_le16(const unsigned char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

static inline uint32_t
bbi_le32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static inline uint64_t
bbi_le64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

struct bbi_wire {
    const unsigned char *p;
    size_t left;
    bool is_short; /* something was asked for that was not there */
};

/* bbi_wire_bytes - the next count bytes, in place; NULL when there are fewer. */
static inline const unsigned char *
bbi_wire_bytes(struct bbi_wire *w, size_t count)
{
    const unsigned char *p = w->p;
    if (w->is_short || count > w->left) {
        w->is_short = true;
        return NULL;
    }
    w->p += count;
    w->left -= count;
    return p;
}

static inline uint8_t
bbi_wire_u8(struct bbi_wire *w)
{
    const unsigned char *p = bbi_wire_bytes(w, 1);
    return p != NULL ? *p : 0;
}

static inline uint16_t
bbi_wire_u16(struct bbi_wire *w)
{
    const unsigned char *p = bbi_wire_bytes(w, 2);
    return p != NULL ? bbi_le16(p) : 0;
}

static inline uint32_t
bbi_wire_u32(struct bbi_wire *w)
{
    const unsigned char *p = bbi_wire_bytes(w, 4);
    return p != NULL ? bbi_le32(p) : 0;
}

static inline uint64_t
bbi_wire_u64(struct bbi_wire *w)
{
    const unsigned char *p = bbi_wire_bytes(w, 8);
    return p != NULL ? bbi_le64(p) : 0;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The preface and the frame's header.
 *
 * The magic begins with a byte that no text begins with, and that is no type of a TLS record (20 to 24) either.
 * The checksum stands first, so that one pass over one piece of memory makes it, with the header inside.
 */
#include "lib/bridge/frame.h"
#include "shm/hash.h"

static const unsigned char magic[8] = {0xbb, 'b', 'u', 's', 'l', 'n', 'k', '\n'};

enum { LENGTH_AT = 8, TYPE_AT = 12, FLAGS_AT = 13, HEADER_AT = 14, NUMBER_AT = 16 };

static bool
is_tls(const unsigned char *p, size_t bytes)
{
    /* A record: its type, then version 3.x. */
    return p[0] >= 20 && p[0] <= 24 && (bytes < 2 || p[1] == 3);
}

static bool
is_text(unsigned char c)
{
    return (c >= 32 && c < 127) || c == '\r' || c == '\n' || c == '\t';
}

enum bbi_link_looks
bbi_link_looks(const void *data, size_t bytes)
{
    const unsigned char *p = data;
    size_t known = bytes < sizeof(magic) ? bytes : sizeof(magic);
    if (bytes == 0) {
        return BBI_LOOKS_MORE;
    }
    if (memcmp(p, magic, known) == 0) {
        return known == sizeof(magic) ? BBI_LOOKS_BUSBAR : BBI_LOOKS_MORE;
    }
    if (is_tls(p, bytes)) {
        return bytes >= 2 ? BBI_LOOKS_TLS : BBI_LOOKS_MORE;
    }
    return is_text(p[0]) ? BBI_LOOKS_TEXT : BBI_LOOKS_OTHER;
}

void
bbi_link_preface_write(unsigned char out[BBI_LINK_PREFACE_BYTES])
{
    unsigned char *p = bbi_put_bytes(out, magic, sizeof(magic));
    p = bbi_put_le16(p, BBI_LINK_VERSION_MIN);
    p = bbi_put_le16(p, BBI_LINK_VERSION_MAX);
    (void)bbi_put_le32(p, 0);
}

uint16_t
bbi_link_preface_version(const unsigned char in[BBI_LINK_PREFACE_BYTES],
                         uint16_t *min,
                         uint16_t *max)
{
    *min = bbi_le16(in + sizeof(magic));
    *max = bbi_le16(in + sizeof(magic) + 2);
    uint16_t version = *max < BBI_LINK_VERSION_MAX ? *max : BBI_LINK_VERSION_MAX;
    return version >= *min && version >= BBI_LINK_VERSION_MIN ? version : 0;
}

enum bbi_link_read
bbi_link_frame_read(
    const void *data, size_t bytes, size_t limit, struct bbi_link_frame *out, uint32_t *length)
{
    const unsigned char *p = data;
    *length = 0;
    if (bytes < TYPE_AT) {
        return BBI_LINK_READ_MORE;
    }
    uint32_t whole = bbi_le32(p + LENGTH_AT);
    if (whole < BBI_LINK_HEADER_BYTES || whole > limit) {
        return BBI_LINK_READ_LENGTH;
    }
    *length = whole;
    if (bytes < whole) {
        return BBI_LINK_READ_MORE;
    }
    if (bbi_hash64(p + LENGTH_AT, whole - LENGTH_AT) != bbi_le64(p)) {
        return BBI_LINK_READ_CHECK;
    }
    uint16_t header = bbi_le16(p + HEADER_AT);
    if (header < BBI_LINK_HEADER_BYTES || header > BBI_LINK_HEADER_MAX || header > whole) {
        return BBI_LINK_READ_LENGTH;
    }
    *out = (struct bbi_link_frame){.length = whole,
                                   .type = p[TYPE_AT],
                                   .flags = p[FLAGS_AT],
                                   .number = bbi_le64(p + NUMBER_AT),
                                   .body = p + header,
                                   .body_bytes = whole - header};
    return BBI_LINK_READ_OK;
}

void
bbi_link_frame_seal(
    unsigned char *frame, uint32_t length, uint8_t type, uint8_t flags, uint64_t number)
{
    unsigned char *p = bbi_put_le32(frame + LENGTH_AT, length);
    p = bbi_put_u8(p, type);
    p = bbi_put_u8(p, flags);
    p = bbi_put_le16(p, BBI_LINK_HEADER_BYTES);
    (void)bbi_put_le64(p, number);
    (void)bbi_put_le64(frame, bbi_hash64(frame + LENGTH_AT, length - LENGTH_AT));
}

int
bbi_link_id_compare(const struct bbi_link_id *a, const struct bbi_link_id *b)
{
    return memcmp(a->v, b->v, sizeof(a->v));
}

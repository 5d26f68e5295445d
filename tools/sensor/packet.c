/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes left to look at are a span; take() cuts a header off its front or says that it is not there.
 * So no function needs to know how long the frame was, and none can read past it.
 */
#include "tools/sensor/packet.h"

#include <string.h>

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    TYPE_VLAN = 0x8100,  /* 802.1Q */
    TYPE_QINQ = 0x88a8,  /* 802.1ad */
    TYPE_QINQ1 = 0x9100, /* the same, before it was a standard */
    TYPE_LENGTH_MAX = 1500,

    VLAN_TAGS_MAX = 4,
    IPV6_HEADERS_MAX = 16, /* extension headers; more is not traffic but an attack on parsers */
};

struct span {
    const uint8_t *p;
    size_t bytes;
};

static uint16_t
be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
be32(const uint8_t *p)
{
    return (uint32_t)be16(p) << 16 | be16(p + 2);
}

/* Cuts the first `bytes` off; NULL and an unchanged span when there are fewer. */
static const uint8_t *
take(struct span *s, size_t bytes)
{
    const uint8_t *p = s->p;

    if (bytes > s->bytes) {
        return NULL;
    }
    s->p += bytes;
    s->bytes -= bytes;
    return p;
}

/* ---- TCP, UDP ---------------------------------------------------------------------------------- */

/* wire_bytes: the segment's length by the IP header; the capture may hold less. */
static void
decode_tcp(struct span s, size_t wire_bytes, struct sensor_packet *out)
{
    const uint8_t *p = take(&s, 14); /* up to and with the flags: all that is needed of it */
    size_t header_bytes;

    if (p == NULL) {
        return;
    }
    header_bytes = (size_t)(p[12] >> 4) * 4;
    out->tcp_seq = be32(p + 4);
    out->tcp_ack = be32(p + 8);
    out->tcp_flags = p[13];
    out->tcp_bytes = wire_bytes > header_bytes ? (uint32_t)(wire_bytes - header_bytes) : 0;
    out->is_tcp = true;
}

static void
decode_transport(struct span s, size_t wire_bytes, struct sensor_packet *out)
{
    if (out->protocol != SENSOR_PROTO_TCP && out->protocol != SENSOR_PROTO_UDP) {
        return;
    }
    if (s.bytes < 4) {
        return;
    }
    out->src_port = be16(s.p);
    out->dst_port = be16(s.p + 2);
    out->has_ports = true;
    if (out->protocol == SENSOR_PROTO_TCP) {
        decode_tcp(s, wire_bytes, out);
    }
}

/* ---- IP ---------------------------------------------------------------------------------------- */

static void
map_ipv4(uint8_t ip[16], const uint8_t *p)
{
    memset(ip, 0, 10);
    ip[10] = ip[11] = 0xff;
    memcpy(ip + 12, p, 4);
}

/* A packet shorter than its frame (Ethernet pads to 60 bytes) ends where IP says. */
static void
clamp(struct span *s, size_t bytes)
{
    if (s->bytes > bytes) {
        s->bytes = bytes;
    }
}

static void
decode_ipv4(struct span s, struct sensor_packet *out)
{
    const uint8_t *p = take(&s, 20);
    size_t header_bytes;
    size_t total_bytes;

    if (p == NULL || p[0] >> 4 != 4) {
        return;
    }
    header_bytes = (size_t)(p[0] & 15) * 4;
    total_bytes = be16(p + 2);
    if (total_bytes == 0) { /* segmentation offload: the kernel had not filled it in yet */
        total_bytes = 20 + s.bytes;
    }
    if (header_bytes < 20 || total_bytes < header_bytes) {
        return;
    }
    out->is_ip = true;
    out->protocol = p[9];
    map_ipv4(out->src, p + 12);
    map_ipv4(out->dst, p + 16);
    clamp(&s, total_bytes - 20);
    if (take(&s, header_bytes - 20) == NULL || (be16(p + 6) & 0x1fff) != 0) {
        return; /* options cut off, or a fragment that is not the first */
    }
    decode_transport(s, total_bytes - header_bytes, out);
}

enum {
    NEXT_HOP_BY_HOP = 0,
    NEXT_ROUTING = 43,
    NEXT_FRAGMENT = 44,
    NEXT_AUTHENTICATION = 51,
    NEXT_DESTINATION = 60,
    NEXT_MOBILITY = 135,
    NEXT_HIP = 139,
    NEXT_SHIM6 = 140,
};

/* Length of the extension header at p (8 bytes are there); 0 if `next` is none that we walk over. */
static size_t
extension_bytes(uint8_t next, const uint8_t *p)
{
    switch (next) {
    case NEXT_HOP_BY_HOP:
    case NEXT_ROUTING:
    case NEXT_DESTINATION:
    case NEXT_MOBILITY:
    case NEXT_HIP:
    case NEXT_SHIM6:
        return ((size_t)p[1] + 1) * 8;
    case NEXT_FRAGMENT:
        return 8;
    case NEXT_AUTHENTICATION:
        return ((size_t)p[1] + 2) * 4;
    default:
        return 0;
    }
}

static bool
is_extension(uint8_t next)
{
    static const uint8_t any[8];

    return extension_bytes(next, any) != 0;
}

/*
 * Walks the extension headers; *s then begins with the transport header.  False: there is none to read
 * (cut off, or a later fragment).
 */
static bool
skip_extensions(struct span *s, size_t *wire_bytes, struct sensor_packet *out)
{
    for (unsigned walked = 0; is_extension(out->protocol); walked++) {
        const uint8_t *p = s->p;
        uint8_t next = out->protocol;
        size_t bytes;

        if (walked == IPV6_HEADERS_MAX || s->bytes < 8) {
            return false;
        }
        bytes = extension_bytes(next, p);
        if (take(s, bytes) == NULL || bytes > *wire_bytes) {
            return false;
        }
        *wire_bytes -= bytes;
        out->protocol = p[0];
        if (next == NEXT_FRAGMENT && (be16(p + 2) & 0xfff8) != 0) {
            return false;
        }
    }
    return true;
}

static void
decode_ipv6(struct span s, struct sensor_packet *out)
{
    const uint8_t *p = take(&s, 40);
    size_t payload_bytes;

    if (p == NULL || p[0] >> 4 != 6) {
        return;
    }
    out->is_ip = true;
    out->protocol = p[6];
    memcpy(out->src, p + 8, 16);
    memcpy(out->dst, p + 24, 16);
    payload_bytes = be16(p + 4);
    if (payload_bytes == 0) { /* a jumbogram, or segmentation offload */
        payload_bytes = s.bytes;
    }
    clamp(&s, payload_bytes);
    if (skip_extensions(&s, &payload_bytes, out)) {
        decode_transport(s, payload_bytes, out);
    }
}

/* ---- links ------------------------------------------------------------------------------------- */

static void
decode_raw(struct span s, struct sensor_packet *out)
{
    if (s.bytes == 0) {
        return;
    }
    if (s.p[0] >> 4 == 4) {
        decode_ipv4(s, out);
    } else {
        decode_ipv6(s, out);
    }
}

/* SNAP: AA AA 03, three zero bytes, then an EtherType. */
static uint16_t
snap_type(struct span *s)
{
    static const uint8_t snap[6] = {0xaa, 0xaa, 0x03, 0, 0, 0};
    const uint8_t *p = take(s, 8);

    if (p == NULL || memcmp(p, snap, sizeof(snap)) != 0) {
        return 0;
    }
    return be16(p + 6);
}

static void
decode_type(struct span s, uint16_t type, struct sensor_packet *out)
{
    for (unsigned tags = 0; type == TYPE_VLAN || type == TYPE_QINQ || type == TYPE_QINQ1; tags++) {
        const uint8_t *p = take(&s, 4);

        if (p == NULL || tags == VLAN_TAGS_MAX) {
            return;
        }
        type = be16(p + 2);
    }
    if (type <= TYPE_LENGTH_MAX) {
        type = snap_type(&s);
    }
    if (type == TYPE_IPV4) {
        decode_ipv4(s, out);
    } else if (type == TYPE_IPV6) {
        decode_ipv6(s, out);
    }
}

/* The family is in the byte order of the machine that captured; each system has its own AF_INET6. */
static void
decode_loopback(struct span s, struct sensor_packet *out)
{
    const uint8_t *p = take(&s, 4);
    uint32_t family;

    if (p == NULL) {
        return;
    }
    family = be32(p);
    if (family > 0xffff) {
        family = __builtin_bswap32(family);
    }
    if (family == 2) {
        decode_ipv4(s, out);
    } else if (family == 10 || family == 24 || family == 28 || family == 30) {
        decode_ipv6(s, out);
    }
}

void
sensor_packet_decode(enum sensor_link link,
                     const uint8_t *data,
                     size_t bytes,
                     struct sensor_packet *out)
{
    struct span s = {data, bytes};
    const uint8_t *p;

    memset(out, 0, sizeof(*out));
    switch (link) {
    case SENSOR_LINK_ETHERNET:
        p = take(&s, 14);
        if (p != NULL) {
            decode_type(s, be16(p + 12), out);
        }
        break;
    case SENSOR_LINK_LOOPBACK:
        decode_loopback(s, out);
        break;
    case SENSOR_LINK_RAW:
        decode_raw(s, out);
        break;
    case SENSOR_LINK_SLL:
        p = take(&s, 16);
        if (p != NULL) {
            decode_type(s, be16(p + 14), out);
        }
        break;
    case SENSOR_LINK_SLL2:
        p = take(&s, 20);
        if (p != NULL) {
            decode_type(s, be16(p), out);
        }
        break;
    }
}

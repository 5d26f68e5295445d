/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/packet.h - from a captured frame to addresses, ports and TCP fields.
 *
 * Pure: no system call, clock, allocation or libpcap.  The bytes come from the network and may be
 * anything; each read is checked against what was captured, and what does not fit is simply not there.
 *
 * Understood   Ethernet with 802.1Q and QinQ tags and SNAP, BSD loopback in both byte orders, raw IP,
 *              Linux cooked v1 and v2; IPv4 with options, IPv6 with extension headers; TCP and UDP.
 * Fragments    only the first one has ports.
 * Not          tunnels (GRE, VXLAN, IP in IP), PPPoE, MPLS: what they carry is not looked at.
 */
#ifndef BUSBAR_SENSOR_PACKET_H
#define BUSBAR_SENSOR_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sensor_link {
    SENSOR_LINK_ETHERNET,
    SENSOR_LINK_LOOPBACK, /* NULL and LOOP: 4 bytes of address family, then IP */
    SENSOR_LINK_RAW,      /* IP itself */
    SENSOR_LINK_SLL,      /* Linux cooked, 16 bytes */
    SENSOR_LINK_SLL2,     /* Linux cooked v2, 20 bytes */
};

enum {
    SENSOR_PROTO_TCP = 6,
    SENSOR_PROTO_UDP = 17,

    SENSOR_TCP_FIN = 0x01,
    SENSOR_TCP_SYN = 0x02,
    SENSOR_TCP_RST = 0x04,
    SENSOR_TCP_ACK = 0x10,
};

struct sensor_packet {
    uint8_t src[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t dst[16];
    uint16_t src_port; /* host order; 0 without ports */
    uint16_t dst_port;
    uint32_t tcp_seq;
    uint32_t tcp_ack;
    uint32_t tcp_bytes; /* payload that the segment had on the wire */
    uint8_t tcp_flags;
    uint8_t protocol; /* of IP, after extension headers */
    bool is_ip;       /* the addresses are set */
    bool has_ports;   /* the ports are set */
    bool is_tcp;      /* the TCP fields are set */
};

/* sensor_packet_decode - fills *out; what could not be read stays zero. */
void sensor_packet_decode(enum sensor_link link,
                          const uint8_t *data,
                          size_t bytes,
                          struct sensor_packet *out);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: every link type and header that packet.h names is understood, and no frame makes the decoder read a
 * byte that was not captured or say something that was not there.
 * Method: frames built by hand, whole and cut after each byte, in heap blocks of exactly their size; random
 * bytes and random changes of good frames.
 */
#include "tools/sensor/packet.h"

#include "tests/unit/sensor/frames.h"
#include <criterion/criterion.h>
#include <stdbool.h>

enum { SYN = SENSOR_TCP_SYN, IPV4 = 0x0800, IPV6 = 0x86dd, VLAN = 0x8100, QINQ = 0x88a8 };

static void
assert_tcp(const struct sensor_packet *p)
{
    cr_assert(p->is_ip);
    cr_assert(p->has_ports);
    cr_assert(p->is_tcp);
    cr_assert_eq(p->protocol, SENSOR_PROTO_TCP);
    cr_assert_eq(p->src_port, 1234);
    cr_assert_eq(p->dst_port, 80);
    cr_assert_eq(p->tcp_flags, SYN);
    cr_assert_eq(p->tcp_seq, 77);
    cr_assert_eq(p->tcp_ack, 99);
}

static void
assert_ipv4(const struct sensor_packet *p)
{
    static const uint8_t src[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
    static const uint8_t dst[16] = {[10] = 0xff, 0xff, 10, 0, 0, 2};

    cr_assert_arr_eq(p->src, src, 16);
    cr_assert_arr_eq(p->dst, dst, 16);
}

static void
assert_ipv6(const struct sensor_packet *p)
{
    static const uint8_t src[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    static const uint8_t dst[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};

    cr_assert_arr_eq(p->src, src, 16);
    cr_assert_arr_eq(p->dst, dst, 16);
}

static void
frame_ipv4_tcp(struct frame *f)
{
    frame_ipv4(f, SENSOR_PROTO_TCP, 20, 0, 0);
    frame_tcp(f, SYN, 77, 99);
}

static void
frame_ipv6_tcp(struct frame *f)
{
    frame_ipv6(f, SENSOR_PROTO_TCP, 20);
    frame_tcp(f, SYN, 77, 99);
}

/* Cut anywhere it must not read too far, and claim ports and TCP only when they are there. */
static void
assert_every_cut(enum sensor_link link, const struct frame *f, size_t transport_off)
{
    for (size_t n = 0; n <= f->n; n++) {
        struct sensor_packet p = decode_cut(link, f, n);

        cr_assert_eq(p.has_ports, n >= transport_off + 4, "cut after %zu bytes", n);
        cr_assert_eq(p.is_tcp, n >= transport_off + 14, "cut after %zu bytes", n);
    }
}

/* ---- links ------------------------------------------------------------------------------------- */

Test(packet, ethernet, .timeout = 20)
{
    struct frame f = {.n = 0};
    struct sensor_packet p;

    frame_ethernet(&f, IPV4);
    frame_ipv4_tcp(&f);
    p = decode(SENSOR_LINK_ETHERNET, &f);
    assert_tcp(&p);
    assert_ipv4(&p);
    assert_every_cut(SENSOR_LINK_ETHERNET, &f, 34);
}

Test(packet, ethernet_with_ipv6, .timeout = 20)
{
    struct frame f = {.n = 0};
    struct sensor_packet p;

    frame_ethernet(&f, IPV6);
    frame_ipv6_tcp(&f);
    p = decode(SENSOR_LINK_ETHERNET, &f);
    assert_tcp(&p);
    assert_ipv6(&p);
    assert_every_cut(SENSOR_LINK_ETHERNET, &f, 54);
}

Test(packet, vlan_and_qinq, .timeout = 20)
{
    struct frame one = {.n = 0};
    struct frame two = {.n = 0};
    struct frame many = {.n = 0};
    struct sensor_packet p;

    frame_ethernet(&one, VLAN);
    frame_vlan(&one, IPV4);
    frame_ipv4_tcp(&one);
    p = decode(SENSOR_LINK_ETHERNET, &one);
    assert_tcp(&p);
    assert_every_cut(SENSOR_LINK_ETHERNET, &one, 38);

    frame_ethernet(&two, QINQ);
    frame_vlan(&two, VLAN);
    frame_vlan(&two, IPV6);
    frame_ipv6_tcp(&two);
    p = decode(SENSOR_LINK_ETHERNET, &two);
    assert_tcp(&p);
    assert_ipv6(&p);
    assert_every_cut(SENSOR_LINK_ETHERNET, &two, 62);

    frame_ethernet(&many, VLAN);
    for (int i = 0; i < 300; i++) {
        frame_vlan(&many, VLAN);
    }
    p = decode(SENSOR_LINK_ETHERNET, &many);
    cr_assert_not(p.is_ip);
}

Test(packet, snap_and_other_types, .timeout = 20)
{
    static const uint8_t snap[] = {0xaa, 0xaa, 0x03, 0, 0, 0};
    struct frame f = {.n = 0};
    struct frame arp = {.n = 0};
    struct frame stp = {.n = 0};
    struct sensor_packet p;

    frame_ethernet(&f, 48);
    for (size_t i = 0; i < sizeof(snap); i++) {
        put8(&f, snap[i]);
    }
    put16(&f, IPV4);
    frame_ipv4_tcp(&f);
    p = decode(SENSOR_LINK_ETHERNET, &f);
    assert_tcp(&p);

    frame_ethernet(&arp, 0x0806);
    put_zeros(&arp, 46);
    p = decode(SENSOR_LINK_ETHERNET, &arp);
    cr_assert_not(p.is_ip);

    frame_ethernet(&stp, 38);
    put16(&stp, 0x4242);
    put_zeros(&stp, 44);
    p = decode(SENSOR_LINK_ETHERNET, &stp);
    cr_assert_not(p.is_ip);
}

Test(packet, loopback_in_both_byte_orders, .timeout = 20)
{
    static const uint32_t v4[] = {2, 0x02000000};
    static const uint32_t v6[] = {10, 24, 28, 30, 0x0a000000, 0x18000000, 0x1c000000, 0x1e000000};
    struct sensor_packet p;

    for (size_t i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
        struct frame f = {.n = 0};

        put32(&f, v4[i]);
        frame_ipv4_tcp(&f);
        p = decode(SENSOR_LINK_LOOPBACK, &f);
        assert_tcp(&p);
        assert_every_cut(SENSOR_LINK_LOOPBACK, &f, 24);
    }
    for (size_t i = 0; i < sizeof(v6) / sizeof(v6[0]); i++) {
        struct frame f = {.n = 0};

        put32(&f, v6[i]);
        frame_ipv6_tcp(&f);
        p = decode(SENSOR_LINK_LOOPBACK, &f);
        assert_tcp(&p);
    }
}

Test(packet, raw, .timeout = 20)
{
    struct frame v4 = {.n = 0};
    struct frame v6 = {.n = 0};
    struct sensor_packet p;

    frame_ipv4_tcp(&v4);
    p = decode(SENSOR_LINK_RAW, &v4);
    assert_tcp(&p);
    assert_every_cut(SENSOR_LINK_RAW, &v4, 20);
    frame_ipv6_tcp(&v6);
    p = decode(SENSOR_LINK_RAW, &v6);
    assert_tcp(&p);
    assert_every_cut(SENSOR_LINK_RAW, &v6, 40);
}

Test(packet, linux_cooked, .timeout = 20)
{
    struct frame sll = {.n = 0};
    struct frame sll2 = {.n = 0};
    struct sensor_packet p;

    put_zeros(&sll, 14);
    put16(&sll, IPV4);
    frame_ipv4_tcp(&sll);
    p = decode(SENSOR_LINK_SLL, &sll);
    assert_tcp(&p);
    assert_every_cut(SENSOR_LINK_SLL, &sll, 36);

    put16(&sll2, VLAN);
    put_zeros(&sll2, 18);
    frame_vlan(&sll2, IPV6);
    frame_ipv6_tcp(&sll2);
    p = decode(SENSOR_LINK_SLL2, &sll2);
    assert_tcp(&p);
    assert_every_cut(SENSOR_LINK_SLL2, &sll2, 64);
}

/* ---- IP ---------------------------------------------------------------------------------------- */

Test(packet, ipv4_options_and_padding, .timeout = 20)
{
    struct frame f = {.n = 0};
    struct sensor_packet p;

    frame_ipv4(&f, SENSOR_PROTO_TCP, 20 + 5, 10, 0);
    frame_tcp(&f, SYN, 77, 99);
    put_zeros(&f, 5);
    put_zeros(&f, 13); /* the frame's padding is no payload */
    p = decode(SENSOR_LINK_RAW, &f);
    assert_tcp(&p);
    cr_assert_eq(p.tcp_bytes, 5);
    assert_every_cut(SENSOR_LINK_RAW, &f, 60);
}

Test(packet, ipv4_padding_is_not_a_header, .timeout = 20)
{
    struct frame f = {.n = 0};
    struct sensor_packet p;

    frame_ipv4(&f, SENSOR_PROTO_TCP, 0, 0, 0); /* IP says: nothing follows */
    frame_tcp(&f, SYN, 77, 99);
    p = decode(SENSOR_LINK_RAW, &f);
    cr_assert(p.is_ip);
    cr_assert_not(p.has_ports);
}

Test(packet, ipv4_without_length, .timeout = 20)
{
    struct frame f = {.n = 0};
    struct sensor_packet p;

    frame_ipv4_tcp(&f);
    f.b[2] = f.b[3] = 0; /* segmentation offload */
    p = decode(SENSOR_LINK_RAW, &f);
    assert_tcp(&p);
}

Test(packet, ipv4_fragments, .timeout = 20)
{
    struct frame first = {.n = 0};
    struct frame later = {.n = 0};
    struct sensor_packet p;

    frame_ipv4(&first, SENSOR_PROTO_TCP, 20, 0, 0x2000); /* more fragments */
    frame_tcp(&first, SYN, 77, 99);
    p = decode(SENSOR_LINK_RAW, &first);
    assert_tcp(&p);
    frame_ipv4(&later, SENSOR_PROTO_TCP, 20, 0, 185);
    frame_tcp(&later, SYN, 77, 99);
    p = decode(SENSOR_LINK_RAW, &later);
    cr_assert(p.is_ip);
    cr_assert_eq(p.protocol, SENSOR_PROTO_TCP);
    cr_assert_not(p.has_ports);
    cr_assert_not(p.is_tcp);
}

Test(packet, ipv4_wrong_headers, .timeout = 20)
{
    struct frame f = {.n = 0};

    frame_ipv4_tcp(&f);
    for (unsigned words = 0; words < 5; words++) { /* shorter than the fixed part */
        f.b[0] = (uint8_t)(0x40 + words);
        cr_assert_not(decode(SENSOR_LINK_RAW, &f).is_ip);
    }
    f.b[0] = 0x4f; /* options beyond the packet */
    cr_assert_not(decode(SENSOR_LINK_RAW, &f).has_ports);
    f.b[0] = 0x55; /* version 5 */
    cr_assert_not(decode(SENSOR_LINK_RAW, &f).is_ip);
    f.b[0] = 0x45;
    f.b[3] = 19; /* total length below the header's */
    cr_assert_not(decode(SENSOR_LINK_RAW, &f).is_ip);
}

Test(packet, ipv6_extension_headers, .timeout = 20)
{
    struct frame f = {.n = 0};
    struct sensor_packet p;

    frame_ipv6(&f, 0, 16 + 8 + 8 + 16 + 8 + 20 + 3);
    put8(&f, 43); /* hop by hop, 16 bytes; then routing, 8 */
    put8(&f, 1);
    put_zeros(&f, 14);
    put8(&f, 44); /* routing; then fragment */
    put8(&f, 0);
    put_zeros(&f, 6);
    put8(&f, 51); /* first fragment; then authentication */
    put8(&f, 0);
    put16(&f, 0x0001);
    put32(&f, 1);
    put8(&f, 60); /* authentication, 16 bytes; then destination options */
    put8(&f, 2);
    put_zeros(&f, 14);
    put8(&f, SENSOR_PROTO_TCP);
    put8(&f, 0);
    put_zeros(&f, 6);
    frame_tcp(&f, SYN, 77, 99);
    put_zeros(&f, 3);
    p = decode(SENSOR_LINK_RAW, &f);
    assert_tcp(&p);
    assert_ipv6(&p);
    cr_assert_eq(p.tcp_bytes, 3);
    assert_every_cut(SENSOR_LINK_RAW, &f, 96);
}

Test(packet, ipv6_later_fragment, .timeout = 20)
{
    struct frame f = {.n = 0};
    struct sensor_packet p;

    frame_ipv6(&f, 44, 8 + 20);
    put8(&f, SENSOR_PROTO_TCP);
    put8(&f, 0);
    put16(&f, 0x0009);
    put32(&f, 1);
    frame_tcp(&f, SYN, 77, 99);
    p = decode(SENSOR_LINK_RAW, &f);
    cr_assert(p.is_ip);
    cr_assert_eq(p.protocol, SENSOR_PROTO_TCP);
    cr_assert_not(p.has_ports);
}

Test(packet, ipv6_chain_without_end, .timeout = 20)
{
    struct frame f = {.n = 0};

    frame_ipv6(&f, 60, 1600);
    for (int i = 0; i < 200; i++) {
        put8(&f, 60);
        put_zeros(&f, 7);
    }
    cr_assert_not(decode(SENSOR_LINK_RAW, &f).has_ports);
    f.b[6] = 59; /* no next header */
    cr_assert_not(decode(SENSOR_LINK_RAW, &f).has_ports);
}

Test(packet, udp_and_icmp, .timeout = 20)
{
    struct frame udp = {.n = 0};
    struct frame icmp = {.n = 0};
    struct sensor_packet p;

    frame_ipv4(&udp, SENSOR_PROTO_UDP, 8, 0, 0);
    frame_udp(&udp);
    p = decode(SENSOR_LINK_RAW, &udp);
    cr_assert(p.has_ports);
    cr_assert_not(p.is_tcp);
    cr_assert_eq(p.dst_port, 80);
    frame_ipv4(&icmp, 1, 8, 0, 0);
    frame_udp(&icmp);
    p = decode(SENSOR_LINK_RAW, &icmp);
    cr_assert(p.is_ip);
    cr_assert_not(p.has_ports);
}

/* ---- hostile bytes ----------------------------------------------------------------------------- */

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

Test(packet, random_bytes, .timeout = 60)
{
    uint64_t state = 88172645463325252u;

    for (int round = 0; round < 50000; round++) {
        struct frame f = {.n = 0};
        enum sensor_link link = (enum sensor_link)(round % 5);
        size_t start;

        /* Half of them begin well, so that the bytes reach the inner headers. */
        if (round % 2 == 0 && link == SENSOR_LINK_ETHERNET) {
            frame_ethernet(&f, round % 4 == 0 ? IPV4 : IPV6);
        }
        start = f.n;
        f.n += (size_t)next_random(&state) % 160;
        for (size_t i = start; i < f.n; i++) {
            f.b[i] = (uint8_t)next_random(&state);
        }
        if (f.n > start && round % 2 == 0) {
            f.b[start] = round % 4 == 0 ? 0x46 : 0x60;
        }
        (void)decode(link, &f);
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/sensor/frames.h - frames built by hand for the tests of the sensor.
 *
 * A frame grows from its front: frame_...() each append one header.
 */
#ifndef BUSBAR_TESTS_SENSOR_FRAMES_H
#define BUSBAR_TESTS_SENSOR_FRAMES_H

#include "tools/sensor/packet.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct frame {
    uint8_t b[2048];
    size_t n;
};

static inline void
put8(struct frame *f, unsigned v)
{
    assert(f->n < sizeof(f->b));
    f->b[f->n++] = (uint8_t)v;
}

static inline void
put16(struct frame *f, unsigned v)
{
    put8(f, v >> 8 & 0xff);
    put8(f, v & 0xff);
}

static inline void
put32(struct frame *f, uint32_t v)
{
    put16(f, v >> 16);
    put16(f, v & 0xffff);
}

static inline void
put_zeros(struct frame *f, size_t n)
{
    while (n-- != 0) {
        put8(f, 0);
    }
}

static inline void
frame_ethernet(struct frame *f, unsigned type)
{
    put_zeros(f, 12);
    put16(f, type);
}

static inline void
frame_vlan(struct frame *f, unsigned type)
{
    put16(f, 0x2005);
    put16(f, type);
}

/* 10.0.0.1 to 10.0.0.2; option_words * 4 bytes of options; offset in units of 8 bytes. */
static inline void
frame_ipv4(
    struct frame *f, unsigned protocol, size_t payload, unsigned option_words, unsigned offset)
{
    put8(f, 0x45 + option_words);
    put8(f, 0);
    put16(f, (unsigned)(20 + option_words * 4 + payload));
    put16(f, 7);
    put16(f, offset);
    put8(f, 64);
    put8(f, protocol);
    put16(f, 0);
    put32(f, 0x0a000001);
    put32(f, 0x0a000002);
    put_zeros(f, option_words * (size_t)4);
}

/* 2001:db8::1 to 2001:db8::2 */
static inline void
frame_ipv6(struct frame *f, unsigned next, size_t payload)
{
    put32(f, 0x60000000);
    put16(f, (unsigned)payload);
    put8(f, next);
    put8(f, 64);
    for (unsigned host = 1; host <= 2; host++) {
        put32(f, 0x20010db8);
        put_zeros(f, 8);
        put32(f, host);
    }
}

/* 1234 to 80, 20 bytes */
static inline void
frame_tcp(struct frame *f, unsigned flags, uint32_t seq, uint32_t ack)
{
    put16(f, 1234);
    put16(f, 80);
    put32(f, seq);
    put32(f, ack);
    put8(f, 0x50);
    put8(f, flags);
    put16(f, 1000);
    put32(f, 0);
}

/* 1234 to 80, 8 bytes */
static inline void
frame_udp(struct frame *f)
{
    put16(f, 1234);
    put16(f, 80);
    put16(f, 8);
    put16(f, 0);
}

/* Decodes the first n bytes from a heap block of exactly that size: ASan sees each byte too many. */
static inline struct sensor_packet
decode_cut(enum sensor_link link, const struct frame *f, size_t n)
{
    struct sensor_packet out;
    uint8_t *exact = malloc(n != 0 ? n : 1);

    assert(exact != NULL && n <= f->n);
    memcpy(exact, f->b, n);
    memset(&out, 0xa5, sizeof(out)); /* all of it is to be set */
    sensor_packet_decode(link, n != 0 ? exact : exact + 1, n, &out);
    free(exact);
    return out;
}

static inline struct sensor_packet
decode(enum sensor_link link, const struct frame *f)
{
    return decode_cut(link, f, f->n);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/acceptance/instructions_event.h - an event of three arguments, and a raw message of the same size.
 *
 * Used by    instructions_probe.c.
 * Method     Both are written in full into a loan and read in full from the view, as a program would that
 *            cares about cost: the raw message is one copy of a size known beforehand and one sum over its
 *            words, the least that touches every byte.  The event is built from values that the compiler
 *            cannot know, and read with its name compared and every argument taken.
 */
#ifndef BUSBAR_TESTS_ACCEPTANCE_INSTRUCTIONS_EVENT_H
#define BUSBAR_TESTS_ACCEPTANCE_INSTRUCTIONS_EVENT_H

#include <busbar/value.h>
#include <string.h>

enum { EVENT_PORT_BYTES = 104, EVENT_STRING_BYTES = 120 };

struct sighting {
    uint8_t ip[16];
    uint64_t count;
    uint16_t port;
    const char *host;
    size_t host_bytes;
};

static inline __attribute__((always_inline)) int64_t
build_event(void *loan, size_t bytes, const struct sighting *s, int with_string)
{
    struct bb_builder b;
    bb_build_init(&b, loan, bytes);
    bb_event_begin(&b, "scan_seen", 9);
    bb_put_address(&b, s->ip);
    bb_put_count(&b, s->count);
    if (with_string) {
        bb_put_string(&b, s->host, s->host_bytes);
    } else {
        bb_put_port(&b, s->port, BB_PROTO_TCP);
    }
    bb_event_end(&b);
    return bb_build_end(&b);
}

static inline uint64_t
sum_ip(const uint8_t ip[16])
{
    uint64_t words[2];
    memcpy(words, ip, sizeof(words));
    return words[0] + words[1];
}

static inline uint64_t
sum_text(const char *s, size_t bytes)
{
    return bytes == 0 ? 0 : bytes + (unsigned char)s[0] + (unsigned char)s[bytes - 1];
}

/* Every argument is looked at; a status if it is no such event. */
static inline __attribute__((always_inline)) int
read_event(const void *data, size_t bytes, int with_string, uint64_t *sum)
{
    struct bb_event ev;
    struct bb_iter it;
    uint8_t ip[16];
    uint64_t count;
    int rc = bb_event_open(&ev, data, bytes);
    if (rc < 0) {
        return rc;
    }
    if (ev.name_bytes != 9 || memcmp(ev.name, "scan_seen", 9) != 0
        || bb_event_args(&it, &ev) != 3) {
        return BB_ENOENT;
    }
    if ((rc = bb_next_address(&it, ip)) < 0 || (rc = bb_next_count(&it, &count)) < 0) {
        return rc;
    }
    *sum += sum_ip(ip) + count;
    if (with_string) {
        const char *s;
        size_t n;
        if ((rc = bb_next_string(&it, &s, &n)) == 0) {
            *sum += sum_text(s, n);
        }
    } else {
        uint16_t port;
        enum bb_protocol protocol;
        if ((rc = bb_next_port(&it, &port, &protocol)) == 0) {
            *sum += port + (uint64_t)protocol;
        }
    }
    return rc;
}

/* ---- a raw message of the same size ------------------------------------------------------------ */

static inline __attribute__((always_inline)) void
write_raw(void *loan, const unsigned char *from, size_t bytes)
{
    memcpy(loan, from, bytes);
}

static inline __attribute__((always_inline)) uint64_t
read_raw(const unsigned char *data, size_t bytes)
{
    uint64_t sum = 0, word;
#pragma GCC unroll 16
    for (size_t i = 0; i < bytes; i += sizeof(word)) {
        memcpy(&word, data + i, sizeof(word));
        sum += word;
    }
    return sum;
}

#endif

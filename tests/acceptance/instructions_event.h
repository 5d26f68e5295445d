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

enum { EVENT_PORT_BYTES = 104, EVENT_STRING_BYTES = 120, EVENT_LOAN_BYTES = 256 };

struct sighting {
    uint8_t ip[16];
    uint64_t count;
    uint16_t port;
    const char *host;
    size_t host_bytes;
};

__attribute__((always_inline)) static inline int64_t
build_event(void *loan, const struct sighting *s, int with_string)
{
    struct bb_builder b;
    bb_build_init(&b, loan, EVENT_LOAN_BYTES);
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

static inline int
read_event(const void *data, size_t bytes, int with_string, uint64_t *sum)
{
    struct bb_event ev;
    struct bb_value v;
    uint8_t ip[16];
    uint64_t count;
    int rc;
    if ((rc = bb_event_open(&ev, data, bytes)) < 0) {
        return rc;
    }
    if (ev.name_bytes != 9 || memcmp(ev.name, "scan_seen", 9) != 0) {
        return BB_ENOENT;
    }
    if ((rc = bb_event_arg(&ev, 0, &v)) < 0 || (rc = bb_get_address(&v, ip)) < 0
        || (rc = bb_event_arg(&ev, 1, &v)) < 0 || (rc = bb_get_count(&v, &count)) < 0
        || (rc = bb_event_arg(&ev, 2, &v)) < 0) {
        return rc;
    }
    *sum += sum_ip(ip) + count;
    if (with_string) {
        const char *s;
        size_t n;
        if ((rc = bb_get_string(&v, &s, &n)) == 0 && n > 0) {
            *sum += n + (unsigned char)s[0] + (unsigned char)s[n - 1];
        }
    } else {
        uint16_t port;
        enum bb_protocol protocol;
        if ((rc = bb_get_port(&v, &port, &protocol)) == 0) {
            *sum += port + (uint64_t)protocol;
        }
    }
    return rc;
}

#endif

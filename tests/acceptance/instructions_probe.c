/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/acceptance/instructions_probe.c - messages go from a publisher to a subscriber of another endpoint
 * of this process; instructions.sh counts what publish_batches() and poll_batches() execute.
 *
 * Usage: instructions_probe loan|stopped|copy|skip|batch|KIND MESSAGES (a multiple of 1,024)
 *   loan   bb_loan, bb_commit; the subscriber gets views
 *   stopped  the same; a second, lossy subscriber wants the topic and never polls
 *   copy   bb_publish; the subscriber gets copies
 *   skip   bb_publish of a topic that the subscriber does not want
 *   batch  bb_loan_batch, bb_commit_batch, all eight at once; bb_poll_bursts of views, up to eight bursts
 *   KIND   a loan, written in full, got as view and read in full (instructions_event.h):
 *            port-event, port-raw      104 bytes: an event with an address, a count and a port, or just bytes
 *            string-event, string-raw  120 bytes: an event with an address, a count and a string of 15
 * Else 64 bytes, neither built nor looked at: what is counted is the library, and the loops of this file.
 * Reliable, eight at a time on both sides; a ring's worth never lies unread.
 */
#include "instructions_event.h"
#include <busbar/busbar.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 64, BATCH = 8, CHUNK = 1024 };

struct bus {
    struct bb_endpoint *writer, *reader, *other;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
    struct bb_topic *topic;
};

/* Callgrind reports these by name. */
int publish_batches(struct bus *bus, int with_loan);
long poll_batches(struct bus *bus);
int publish_whole_batches(struct bus *bus);
long poll_bursts(struct bus *bus);
int publish_port_event(struct bus *bus);
int publish_port_raw(struct bus *bus);
int publish_string_event(struct bus *bus);
int publish_string_raw(struct bus *bus);
long poll_port_event(struct bus *bus);
long poll_port_raw(struct bus *bus);
long poll_string_event(struct bus *bus);
long poll_string_raw(struct bus *bus);

static unsigned char payload[BYTES];

/* What goes into the events, and what both sides saw; not static, so that nothing of it is known here. */
struct sighting sighting = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 9}, 3, 443, "www.example.org", 15};
unsigned char image[EVENT_STRING_BYTES] = {1, 2, 3};
uint64_t seen;

static uint32_t
attr_of(int i)
{
    return (uint32_t)BB_RAW | ((i + 1) % BATCH != 0 ? (uint32_t)BB_MORE : 0);
}

__attribute__((noinline)) int
publish_batches(struct bus *bus, int with_loan)
{
    int rc = 0;
    for (int i = 0; i < CHUNK && rc == 0; i++) {
        if (with_loan) {
            void *loan;
            rc = bb_loan(bus->topic, BYTES, &loan);
            rc = rc < 0 ? rc : bb_commit(bus->topic, BYTES, attr_of(i));
        } else {
            rc = bb_publish(bus->topic, payload, BYTES, attr_of(i));
        }
    }
    return rc;
}

__attribute__((noinline)) long
poll_batches(struct bus *bus)
{
    struct bb_msg msgs[BATCH];
    long total = 0;
    int n;
    while ((n = bb_poll(bus->sub, msgs, BATCH, 0)) > 0) {
        total += n;
    }
    return n < 0 ? n : total;
}

__attribute__((noinline)) int
publish_whole_batches(struct bus *bus)
{
    int rc = 0;
    for (int i = 0, n; i < CHUNK && rc == 0; i += n) {
        void *loan[BATCH];
        n = bb_loan_batch(bus->topic, BYTES, (size_t)(BATCH - i % BATCH), loan);
        rc = n < 0 ? n : bb_commit_batch(bus->topic, NULL, (size_t)n, attr_of(i + n - 1));
    }
    return rc;
}

__attribute__((noinline)) long
poll_bursts(struct bus *bus)
{
    struct bb_burst bursts[BATCH];
    long total = 0;
    int n;
    while ((n = bb_poll_bursts(bus->sub, bursts, BATCH, 0)) > 0) {
        for (int i = 0; i < n; i++) {
            total += bursts[i].count;
        }
    }
    return n < 0 ? n : total;
}

/* The loops are the same for each kind; what writes and reads one message is folded into them. */
static inline __attribute__((always_inline)) int
publish_kind(struct bus *bus, size_t bytes, int is_event, int with_string)
{
    int64_t rc = 0;
    for (int i = 0; i < CHUNK && rc >= 0; i++) {
        void *loan;
        rc = bb_loan(bus->topic, bytes, &loan);
        if (rc < 0) {
            break;
        }
        if (is_event) {
            rc = build_event(loan, bytes, &sighting, with_string);
        } else {
            write_raw(loan, image, bytes);
            rc = (int64_t)bytes;
        }
        rc = rc < 0 ? rc : bb_commit(bus->topic, (size_t)rc, attr_of(i));
    }
    return (int)rc;
}

static inline __attribute__((always_inline)) long
poll_kind(struct bus *bus, size_t bytes, int is_event, int with_string)
{
    struct bb_msg msgs[BATCH];
    long total = 0;
    int n;
    while ((n = bb_poll(bus->sub, msgs, BATCH, 0)) > 0) {
        for (int i = 0; i < n; i++) {
            int rc = 0;
            if (is_event) {
                rc = read_event(msgs[i].data, msgs[i].bytes, with_string, &seen);
            } else if (msgs[i].bytes == bytes) {
                seen += read_raw(msgs[i].data, bytes);
            } else {
                rc = BB_ECORRUPT;
            }
            if (rc < 0) {
                return rc;
            }
        }
        total += n;
    }
    return n < 0 ? n : total;
}

#define KIND(name, bytes, is_event, with_string)                                                   \
    __attribute__((noinline)) int publish_##name(struct bus *bus)                                  \
    {                                                                                              \
        return publish_kind(bus, bytes, is_event, with_string);                                    \
    }                                                                                              \
    __attribute__((noinline)) long poll_##name(struct bus *bus)                                    \
    {                                                                                              \
        return poll_kind(bus, bytes, is_event, with_string);                                       \
    }
KIND(port_event, EVENT_PORT_BYTES, 1, 0)
KIND(port_raw, EVENT_PORT_BYTES, 0, 0)
KIND(string_event, EVENT_STRING_BYTES, 1, 1)
KIND(string_raw, EVENT_STRING_BYTES, 0, 1)

static const struct kind {
    const char *mode;
    int (*publish)(struct bus *bus);
    long (*poll)(struct bus *bus);
} kinds[] = {
    {"batch", publish_whole_batches, poll_bursts},
    {"port-event", publish_port_event, poll_port_event},
    {"port-raw", publish_port_raw, poll_port_raw},
    {"string-event", publish_string_event, poll_string_event},
    {"string-raw", publish_string_raw, poll_string_raw},
};

static const struct kind *
kind_of(const char *mode)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(mode, kinds[i].mode) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

static int
open_stopped(struct bus *bus, const char *prefix)
{
    const struct bb_endpoint_opts eo = {.size = sizeof(eo), .name = "stopped"};
    const struct bb_subscriber_opts so = {
        .size = sizeof(so), .prefixes = &prefix, .prefix_count = 1};
    struct bb_subscriber *sub; /* closed with its endpoint */
    int rc = bb_endpoint_open(&bus->other, &eo);
    return rc < 0 ? rc : bb_subscriber_open(&sub, bus->other, &so);
}

static int
open_bus(struct bus *bus, const char *mode)
{
    const struct bb_endpoint_opts writer = {.size = sizeof(writer), .name = "writer"};
    const struct bb_endpoint_opts reader = {.size = sizeof(reader), .name = "reader"};
    const struct bb_publisher_opts po = {.size = sizeof(po), .policy = BB_POLICY_FAIL};
    const char *prefix = strcmp(mode, "skip") == 0 ? "other" : "zeek";
    const uint32_t copies = strcmp(mode, "copy") == 0 ? BB_SUBSCRIBER_COPIES : 0;
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = BB_SUBSCRIBER_RELIABLE | copies,
                                          .wait = BB_WAIT_SPIN,
                                          .prefixes = &prefix,
                                          .prefix_count = 1};
    int rc = bb_endpoint_open(&bus->writer, &writer);
    rc = rc < 0 ? rc : bb_endpoint_open(&bus->reader, &reader);
    rc = rc < 0 ? rc : bb_publisher_open(&bus->pub, bus->writer, &po);
    rc = rc < 0 ? rc : bb_topic_open(&bus->topic, bus->pub, "zeek/dns", 8);
    rc = rc < 0 ? rc : bb_subscriber_open(&bus->sub, bus->reader, &so);
    return rc == 0 && strcmp(mode, "stopped") == 0 ? open_stopped(bus, prefix) : rc;
}

static int
fail(const char *what, int rc)
{
    (void)fprintf(stderr, "instructions_probe: %s: %s\n", what, rc < 0 ? bb_strerror(rc) : "?");
    return 1;
}

/* All that was sent arrived, or all of it was passed over. */
static int
check_counts(const struct bus *bus, const char *mode, long sent, long got)
{
    struct bb_subscriber_stats s = {.size = sizeof(s)};
    long skipped = strcmp(mode, "skip") == 0 ? sent : 0;
    bb_subscriber_stats(bus->sub, &s);
    if (got != sent - skipped || s.filtered != (uint64_t)skipped || s.lost != 0) {
        return fail("messages are missing", 0);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    struct bus bus = {0};
    if (argc != 3) {
        return 2;
    }
    int with_loan = strcmp(argv[1], "loan") == 0 || strcmp(argv[1], "stopped") == 0;
    long count = strtol(argv[2], NULL, 10), sent = 0, got = 0;
    int rc = open_bus(&bus, argv[1]);
    if (rc < 0) {
        return fail("cannot attach", rc);
    }
    const struct kind *kind = kind_of(argv[1]);
    for (; sent < count; sent += CHUNK) {
        rc = kind != NULL ? kind->publish(&bus) : publish_batches(&bus, with_loan);
        long n = rc < 0 ? rc : kind != NULL ? kind->poll(&bus) : poll_batches(&bus);
        if (n < 0) {
            return fail("a message did not go", (int)n);
        }
        got += n;
    }
    rc = check_counts(&bus, argv[1], sent, got);
    bb_endpoint_close(bus.other);
    bb_endpoint_close(bus.reader);
    bb_endpoint_close(bus.writer);
    return rc;
}

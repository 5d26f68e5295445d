/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/clients.h - EX::known_clients: a set of addresses that only grows, up to a limit.
 *
 * An open-addressing table; what does not fit any more is counted, not kept.
 */
#ifndef BUSBAR_SENSOR_CLIENTS_H
#define BUSBAR_SENSOR_CLIENTS_H

#include <stddef.h>
#include <stdint.h>

enum {
    SENSOR_CLIENTS_MAX = 1 << 20, /* addresses */
};

struct sensor_address {
    uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d; never all zero in a set */
};

struct sensor_clients {
    struct sensor_address *slots; /* all zero: free */
    size_t slot_count;            /* a power of two, or 0 */
    size_t count;
    size_t max_count;
    uint64_t seed;
    uint64_t refused; /* adds beyond max_count or without memory */
};

void sensor_clients_init(struct sensor_clients *set, size_t max_count, uint64_t seed);
void sensor_clients_fini(struct sensor_clients *set);
void sensor_clients_add(struct sensor_clients *set, const uint8_t ip[16]);

/* sensor_clients_sorted - the addresses in ascending order;
 * the caller frees them; NULL without memory. */
struct sensor_address *sensor_clients_sorted(const struct sensor_clients *set);

enum { SENSOR_ADDRESS_TEXT = 46 };

/* sensor_address_text - "10.0.0.1" or "2001:db8::1". */
void sensor_address_text(const uint8_t ip[16], char out[SENSOR_ADDRESS_TEXT]);
/* sensor_address_parse - 0, or -1 if the text is no IPv4 or IPv6 address. */
int sensor_address_parse(const char *text, uint8_t ip[16]);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/clients.h"

#include "tools/sensor/mix.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 64 };

static const struct sensor_address nobody;
static const uint8_t ipv4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void
sensor_clients_init(struct sensor_clients *set, size_t max_count, uint64_t seed)
{
    memset(set, 0, sizeof(*set));
    set->max_count = max_count;
    set->seed = seed;
}

void
sensor_clients_fini(struct sensor_clients *set)
{
    free(set->slots);
    memset(set, 0, sizeof(*set));
}

static bool
same(const struct sensor_address *a, const struct sensor_address *b)
{
    return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* The slot that holds this address, or the free one where it belongs; one is always free. */
static struct sensor_address *
find_slot(struct sensor_address *slots,
          size_t slot_count,
          uint64_t seed,
          const struct sensor_address *a)
{
    uint64_t word[2];
    size_t idx;

    memcpy(word, a->ip, sizeof(word));
    idx = (size_t)sensor_mix_in(sensor_mix_in(seed, word[0]), word[1]) & (slot_count - 1);
    while (!same(&slots[idx], &nobody) && !same(&slots[idx], a)) {
        idx = (idx + 1) & (slot_count - 1);
    }
    return &slots[idx];
}

/* Twice the slots; false without memory. */
static bool
grow(struct sensor_clients *set)
{
    size_t slot_count = set->slot_count == 0 ? FIRST_SLOTS : set->slot_count * 2;
    struct sensor_address *slots = calloc(slot_count, sizeof(*slots));

    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < set->slot_count; i++) {
        if (!same(&set->slots[i], &nobody)) {
            *find_slot(slots, slot_count, set->seed, &set->slots[i]) = set->slots[i];
        }
    }
    free(set->slots);
    set->slots = slots;
    set->slot_count = slot_count;
    return true;
}

void
sensor_clients_add(struct sensor_clients *set, const uint8_t ip[16])
{
    struct sensor_address a;
    struct sensor_address *slot;

    memcpy(a.ip, ip, sizeof(a.ip));
    if (same(&a, &nobody)) {
        return; /* :: is no client */
    }
    if (set->count * 2 >= set->slot_count && set->count < set->max_count && !grow(set)) {
        set->refused++;
        return;
    }
    slot = find_slot(set->slots, set->slot_count, set->seed, &a);
    if (same(slot, &a)) {
        return;
    }
    if (set->count >= set->max_count) {
        set->refused++;
        return;
    }
    *slot = a;
    set->count++;
}

static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct sensor_address));
}

struct sensor_address *
sensor_clients_sorted(const struct sensor_clients *set)
{
    struct sensor_address *out = calloc(set->count + 1, sizeof(*out));
    size_t n = 0;

    if (out == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < set->slot_count; i++) {
        if (!same(&set->slots[i], &nobody)) {
            out[n++] = set->slots[i];
        }
    }
    qsort(out, n, sizeof(*out), compare);
    return out;
}

void
sensor_address_text(const uint8_t ip[16], char out[SENSOR_ADDRESS_TEXT])
{
    const char *text;

    if (memcmp(ip, ipv4_prefix, sizeof(ipv4_prefix)) == 0) {
        text = inet_ntop(AF_INET, ip + 12, out, SENSOR_ADDRESS_TEXT);
    } else {
        text = inet_ntop(AF_INET6, ip, out, SENSOR_ADDRESS_TEXT);
    }
    if (text == NULL) {
        out[0] = '\0';
    }
}

int
sensor_address_parse(const char *text, uint8_t ip[16])
{
    uint8_t v4[4];

    if (inet_pton(AF_INET, text, v4) == 1) {
        memcpy(ip, ipv4_prefix, sizeof(ipv4_prefix));
        memcpy(ip + 12, v4, sizeof(v4));
        return 0;
    }
    return inet_pton(AF_INET6, text, ip) == 1 ? 0 : -1;
}

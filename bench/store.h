/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/store.h - what the harness asks of a key-value store: of ours, of bare LMDB, of each rival.
 *
 * Keys       16 letters that a number gives: neighbours in number are far apart in the store.
 * Values     setup.size bytes:  word 0 = the key's number, word 1 = which round of puts wrote it, word i = word 0 + i
 * Processes  start and stop run in the harness's own process.  Where a store has a server that is no daemon, one
 *            actor serves and the others are its clients; else the clients work on files.
 * Proof      each command's result is looked at; each value that is read is checked; at the end the store is read
 *            back whole and counted.
 */
#ifndef BUSBAR_BENCH_STORE_H
#define BUSBAR_BENCH_STORE_H

#include "bench/driver.h"
#include <string.h>

enum {
    BENCH_STORE_KEY_BYTES = 16,
    BENCH_STORE_COMMIT = 1000, /* commands that ours commits together at most */
};

enum bench_store_op { BENCH_STORE_PUT, BENCH_STORE_PUT_UNIQUE };

/* Commands of one client; the driver counts.  Command number n is about key n % keys, in round n / keys. */
struct bench_store_work {
    enum bench_store_op op;
    uint64_t keys;
    uint64_t next;     /* number of the next command to send */
    uint64_t answered; /* commands with a result; results come in order */
    uint64_t won;      /* of put_unique: it was not there */
    uint64_t refused;  /* any other result */
    uint8_t *winners;  /* by key, of all processes; NULL: nobody asks */
};

/* Reads of one client. */
struct bench_store_reads {
    uint64_t keys;
    uint64_t next; /* reads so far; the key is next % keys */
    uint64_t missing, wrong;
    uint64_t
        written; /* not 0: so many commands were written, and each value must be of its last round */
    size_t size;
};

struct bench_store_driver {
    void (*describe)(const struct bench_setup *s, FILE *out);

    /* Both may be NULL. */
    int (*start)(const struct bench_setup *s, void **shared);
    void (*stop)(void *shared);

    /* All NULL: nobody has to serve.  grouped: commands in a commit, on average so far. */
    int (*serve_open)(const struct bench_setup *s, void *shared, void **server);
    int (*serve)(void *server, int64_t timeout_ns);
    double (*grouped)(void *server);
    void (*serve_close)(void *server);

    int (*open)(const struct bench_setup *s, void *shared, unsigned index, void **client);
    /* Sends count commands; may come back before they are answered, but takes answers on the way. */
    int (*write)(void *client, struct bench_store_work *w, uint64_t count);
    /* Until all that was sent is answered. */
    int (*settle)(void *client, struct bench_store_work *w);
    int (*get)(void *client, struct bench_store_reads *r, uint64_t count);
    /* How many keys there are; negative: it failed. */
    int64_t (*count)(void *client);
    void (*close)(void *client);
};

/* ---- keys and values --------------------------------------------------------------------------- */

/* One to one, and without order: splitmix64's last step. */
static inline uint64_t
bench_store_mix(uint64_t v)
{
    v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
    return v ^ (v >> 31);
}

/* Half a word as eight letters a to p. */
static inline uint64_t
bench_store_letters(uint32_t v)
{
    uint64_t w = v;
    w = (w | (w << 16)) & UINT64_C(0x0000ffff0000ffff);
    w = (w | (w << 8)) & UINT64_C(0x00ff00ff00ff00ff);
    w = (w | (w << 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return w + UINT64_C(0x6161616161616161);
}

static inline void
bench_store_key(char out[BENCH_STORE_KEY_BYTES], uint64_t number)
{
    uint64_t mixed = bench_store_mix(number);
    uint64_t high = bench_store_letters((uint32_t)(mixed >> 32));
    uint64_t low = bench_store_letters((uint32_t)mixed);
    memcpy(out, &high, sizeof(high));
    memcpy(out + sizeof(high), &low, sizeof(low));
}

/* The value of command `number`. */
static inline void
bench_store_fill(void *out, size_t size, uint64_t key, uint64_t round)
{
    unsigned char *to = (unsigned char *)out;
    uint64_t word = key;
    memcpy(to, &word, sizeof(word));
    memcpy(to + 8, &round, sizeof(round));
    for (size_t i = 2; i < size / 8; i++) {
        word = key + i;
        memcpy(to + 8 * i, &word, sizeof(word));
    }
}

/* What came of command number w->answered. */
static inline void
bench_store_result(struct bench_store_work *w, bool is_done, bool is_refused)
{
    uint64_t key = w->answered++ % w->keys;
    w->refused += is_refused;
    if (w->op == BENCH_STORE_PUT_UNIQUE && is_done) {
        w->won++;
        if (w->winners != NULL) {
            (void)__atomic_fetch_add(&w->winners[key], 1, __ATOMIC_RELAXED); /* C and C++ */
        }
    }
}

/* What was read for key `key`; value NULL: it is not there. */
static inline void
bench_store_take(struct bench_store_reads *r, uint64_t key, const void *value, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)value;
    uint64_t first, round, sum = 0, words = r->size / 8;
    r->next++;
    if (value == NULL || bytes != r->size) {
        r->missing += value == NULL;
        r->wrong += value != NULL;
        return;
    }
    memcpy(&first, at, sizeof(first));
    memcpy(&round, at + 8, sizeof(round));
    for (uint64_t i = 2; i < words; i++) {
        uint64_t word;
        memcpy(&word, at + 8 * i, sizeof(word));
        sum += word;
    }
    bool is_whole = first == key && sum == (words - 2) * key + (words - 2) * (words + 1) / 2;
    if (r->written != 0) {
        uint64_t last = r->written / r->keys - (key < r->written % r->keys ? 0 : 1);
        is_whole = is_whole && round == last;
    }
    r->wrong += !is_whole;
}

#endif

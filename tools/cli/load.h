/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/load.h - what the messages of measuring verbs carry, so that loss and torn bytes show.
 *
 * Shape      word 0 = run << 48 | publisher << 40 | number;  word 1 = a time, ns;  word i = word 0 + i;
 *            bytes after the last whole word are the number's lowest byte.
 */
#ifndef BUSBAR_TOOLS_CLI_LOAD_H
#define BUSBAR_TOOLS_CLI_LOAD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { CLI_LOAD_MIN_BYTES = 16, CLI_LOAD_PUBLISHERS = 64 };

#define CLI_LOAD_NUMBER_MASK ((UINT64_C(1) << 40) - 1)

struct cli_load {
    unsigned run;       /* its lowest 16 bits count */
    unsigned publisher; /* below CLI_LOAD_PUBLISHERS */
    uint64_t number;    /* from 0 */
    int64_t at_ns;
};

static inline uint64_t
cli_load_word(const struct cli_load *load)
{
    return (uint64_t)(load->run & 0xffffU) << 48 | (uint64_t)load->publisher << 40
           | (load->number & CLI_LOAD_NUMBER_MASK);
}

/* cli_load_fill - writes every byte; bytes is at least CLI_LOAD_MIN_BYTES. */
static inline void
cli_load_fill(void *out, size_t bytes, const struct cli_load *load)
{
    unsigned char *p = out;
    uint64_t word = cli_load_word(load);
    size_t words = bytes / sizeof(word);

    memcpy(p, &word, sizeof(word));
    memcpy(p + sizeof(word), &load->at_ns, sizeof(load->at_ns));
    for (size_t i = 2; i < words; i++) {
        uint64_t w = word + i;
        memcpy(p + i * sizeof(w), &w, sizeof(w));
    }
    memset(p + words * sizeof(word), (int)(word & 0xff), bytes % sizeof(word));
}

/* cli_load_read - reads every byte.  1 whole; 0 of another run, or no message of ours; -1 torn. */
static inline int
cli_load_read(const void *in, size_t bytes, unsigned run, struct cli_load *load)
{
    const unsigned char *p = in;
    uint64_t word, words = bytes / sizeof(word), sum = 0, wrong = 0;

    if (bytes < CLI_LOAD_MIN_BYTES) {
        return 0;
    }
    memcpy(&word, p, sizeof(word));
    for (size_t i = 2; i < words; i++) {
        uint64_t w;
        memcpy(&w, p + i * sizeof(w), sizeof(w));
        sum += w;
    }
    for (size_t i = words * sizeof(word); i < bytes; i++) {
        wrong |= p[i] ^ (word & 0xff);
    }
    load->run = (unsigned)(word >> 48);
    load->publisher = (unsigned)(word >> 40) & 0xffU;
    load->number = word & CLI_LOAD_NUMBER_MASK;
    memcpy(&load->at_ns, p + sizeof(word), sizeof(load->at_ns));
    if (load->run != (run & 0xffffU) || load->publisher >= CLI_LOAD_PUBLISHERS) {
        return 0;
    }
    /* (words - 2) times word 0, and 2 + 3 + ... + (words - 1) */
    return wrong == 0 && sum == (words - 2) * word + (words - 2) * (words + 1) / 2 ? 1 : -1;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/pass.h - which topics links carry at all: the prefixes of --topics.
 *
 * Used by    lib/link/local, asks, wants.
 * Rule       None given: all topics.  Reserved ones never.
 */
#ifndef BUSBAR_LIB_LINK_PASS_H
#define BUSBAR_LIB_LINK_PASS_H

#include "shm/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bbi_pass {
    size_t count;
    char **prefixes; /* owned */
    size_t *bytes;
};

/* bbi_pass_init - copies them.  BB_ENOMEM; then there is nothing to undo. */
BB_MUST_USE int bbi_pass_init(struct bbi_pass *pass, const char *const *prefixes, size_t count);
void bbi_pass_fini(struct bbi_pass *pass);

bool bbi_pass_topic(const struct bbi_pass *pass, const char *topic, size_t bytes);

/* A prefix that stands for a part of what was asked for; flags as there. */
typedef int (*bbi_pass_cb)(void *user, const char *prefix, size_t bytes, uint32_t flags);
/*
 * bbi_pass_narrow - what is left of an interest: itself, or those of the prefixes that are longer.
 *
 * What comes of it may hold a little more than both (a path prefix cut in a component): each message is looked at
 * besides.  Stops at what cb returns below 0, and returns that; else 0.
 */
int bbi_pass_narrow(const struct bbi_pass *pass,
                    const char *prefix,
                    size_t bytes,
                    uint32_t flags,
                    bbi_pass_cb cb,
                    void *user);

#endif

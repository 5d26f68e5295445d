/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/boxes.h - two boxes for busbar on one machine: two buses with a busbard each, joined by a link over the
 * loopback.
 *
 * Used by    busbar.c, in cases of links.
 * Program    busbard is looked for beside this program's folder, in ../tools; BUSBAR_BUSBARD names another.
 * Boxes      0 dials, 1 listens.  Each bus has a directory of its own below the case's, so nothing but TCP joins them.
 *            Each busbard runs on its box's core.
 * Keys       is_tls: a pre-shared key, made anew for each repetition; else both are told --insecure.
 */
#ifndef BUSBAR_BENCH_PEERS_BOXES_H
#define BUSBAR_BENCH_PEERS_BOXES_H

#include "bench/peers/credit.h"
#include "bench/peers/daemon.h"

struct bench_boxes {
    struct bench_credit credit;
    struct bench_daemon busbard[2];
    const struct bench_daemon *starting; /* of the two */
    char address[64];                    /* that box 1 listens on */
};

/* bench_boxes_start - both are up and dialing; 0, or -1 after saying why on stderr, and nothing is left running. */
int bench_boxes_start(const struct bench_setup *s, void **shared);
void bench_boxes_stop(struct bench_boxes *boxes);
/* bench_boxes_cpu_ns - that both busbards used so far. */
int64_t bench_boxes_cpu_ns(const struct bench_boxes *boxes);

/* A setup with the directory of one box. */
struct bench_place {
    struct bench_setup setup;
    char dir[PATH_MAX];
};
/* bench_boxes_at - s itself when there are no boxes, else place's setup. */
const struct bench_setup *
bench_boxes_at(struct bench_place *place, const struct bench_setup *s, unsigned box);

/* bench_boxes_read_address - of a line `listening on HOST:PORT` anywhere in the text; false: there is none yet. */
bool bench_boxes_read_address(const char *text, char *address, size_t cap);

#endif

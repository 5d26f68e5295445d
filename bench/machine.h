/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/machine.h - what a figure was measured on and with.
 */
#ifndef BUSBAR_BENCH_MACHINE_H
#define BUSBAR_BENCH_MACHINE_H

#include <stddef.h>

struct bench_options;

/* One line each, cut off at `cap`. */
void bench_machine(char *out, size_t cap);
void bench_build(char *out, size_t cap);
void bench_pins(const struct bench_options *o, char *out, size_t cap);

#endif

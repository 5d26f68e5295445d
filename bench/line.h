/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/line.h - what a cache line takes from one core to another and back.
 *
 * Why        In a virtual machine two cores are now neighbours and now far apart (another cache, another socket), for a
 *            second or an hour, and every rate between two processes follows.  A figure says little without this one.
 */
#ifndef BUSBAR_BENCH_LINE_H
#define BUSBAR_BENCH_LINE_H

/*
 * bench_line_ns - nanoseconds of a round trip between these two cores, the least of a few looks; some 2 ms.
 *
 * Returns   NaN where it cannot be measured: cpu_a is cpu_b, or one of them is not ours to use.
 */
double bench_line_ns(int cpu_a, int cpu_b);

#endif

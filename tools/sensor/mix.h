/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/mix.h - the finishing step of splitmix64 (Vigna): each input bit changes half of the output
 * bits, so addresses that differ in one byte, wherever it is, spread over a table.
 */
#ifndef BUSBAR_SENSOR_MIX_H
#define BUSBAR_SENSOR_MIX_H

#include <stdint.h>

static inline uint64_t
sensor_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t
sensor_mix_in(uint64_t hash, uint64_t word)
{
    return sensor_mix(hash ^ word) + UINT64_C(0x9e3779b97f4a7c15);
}

#endif

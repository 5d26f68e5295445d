/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/stores.h - the stores of drivers that have more: each in a file of its own, NAME_store.
 */
#ifndef BUSBAR_BENCH_PEERS_STORES_H
#define BUSBAR_BENCH_PEERS_STORES_H

#include "bench/store.h"

#ifdef __cplusplus
extern "C" {
#endif
extern const struct bench_store_driver bench_store_busbar, bench_store_redis, bench_store_broker;
#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/busbar.h - the whole public API of busbar.
 *
 * status.h    codes and their text
 * endpoint.h  attach, publish, subscribe
 * counters.h  all numbers by name
 * value.h     typed values and events: build in place, read in place, text, JSON
 * codec.h     values from text and JSON, and Broker's own forms
 * topic.h     how prefixes match topics
 * inspect.h   look at a bus without attaching
 * bridge.h    links to other boxes
 * request.h   requests and replies, messages to one node
 * cluster.h   nodes with roles, pools, events that find their way, variables
 * log.h       records from many writers to loggers and their files
 * shared_table.h  a table that all nodes hold alike
 * store.h     key-value stores with expiration, one truth for the box
 * store_table.h   sets and tables kept in a store
 * version.h   which busbar this is
 */
#ifndef BUSBAR_BUSBAR_H
#define BUSBAR_BUSBAR_H

#include <busbar/bridge.h>
#include <busbar/cluster.h>
#include <busbar/codec.h>
#include <busbar/counters.h>
#include <busbar/endpoint.h>
#include <busbar/inspect.h>
#include <busbar/log.h>
#include <busbar/request.h>
#include <busbar/shared_table.h>
#include <busbar/status.h>
#include <busbar/store.h>
#include <busbar/store_table.h>
#include <busbar/topic.h>
#include <busbar/value.h>
#include <busbar/version.h>

#endif

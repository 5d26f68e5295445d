/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_list.h - the verbs, each defined in the file of its name; verbs.c makes the table.
 */
#ifndef BUSBAR_TOOLS_CLI_VERB_LIST_H
#define BUSBAR_TOOLS_CLI_VERB_LIST_H

#include "tools/cli/verbs.h"

extern const struct cli_verb cli_verb_pub;
extern const struct cli_verb cli_verb_sub;
extern const struct cli_verb cli_verb_pipe;
extern const struct cli_verb cli_verb_tap;
extern const struct cli_verb cli_verb_req;
extern const struct cli_verb cli_verb_reply;
extern const struct cli_verb cli_verb_ls;
extern const struct cli_verb cli_verb_topic_info;
extern const struct cli_verb cli_verb_topic_hz;
extern const struct cli_verb cli_verb_topic_bw;
extern const struct cli_verb cli_verb_topic_delay;
extern const struct cli_verb cli_verb_node_list;
extern const struct cli_verb cli_verb_node_info;
extern const struct cli_verb cli_verb_node_ping;
extern const struct cli_verb cli_verb_cluster_status;
extern const struct cli_verb cli_verb_cluster_nodes;
extern const struct cli_verb cli_verb_cluster_watch;
extern const struct cli_verb cli_verb_pool_list;
extern const struct cli_verb cli_verb_pool_show;
extern const struct cli_verb cli_verb_pool_where;
extern const struct cli_verb cli_verb_print;
extern const struct cli_verb cli_verb_set;
extern const struct cli_verb cli_verb_log;
extern const struct cli_verb cli_verb_store_ls;
extern const struct cli_verb cli_verb_store_info;
extern const struct cli_verb cli_verb_store_get;
extern const struct cli_verb cli_verb_store_put;
extern const struct cli_verb cli_verb_store_add;
extern const struct cli_verb cli_verb_store_del;
extern const struct cli_verb cli_verb_store_incr;
extern const struct cli_verb cli_verb_store_decr;
extern const struct cli_verb cli_verb_store_append;
extern const struct cli_verb cli_verb_store_push;
extern const struct cli_verb cli_verb_store_pop;
extern const struct cli_verb cli_verb_store_sadd;
extern const struct cli_verb cli_verb_store_srem;
extern const struct cli_verb cli_verb_store_keys;
extern const struct cli_verb cli_verb_store_scan;
extern const struct cli_verb cli_verb_store_count;
extern const struct cli_verb cli_verb_store_ttl;
extern const struct cli_verb cli_verb_store_watch;
extern const struct cli_verb cli_verb_store_dump;
extern const struct cli_verb cli_verb_store_restore;
extern const struct cli_verb cli_verb_store_copy;
extern const struct cli_verb cli_verb_store_compact;
extern const struct cli_verb cli_verb_store_verify;
extern const struct cli_verb cli_verb_store_serve;
extern const struct cli_verb cli_verb_bridge_ls;
extern const struct cli_verb cli_verb_bridge_info;
extern const struct cli_verb cli_verb_bridge_add;
extern const struct cli_verb cli_verb_bridge_remove;
extern const struct cli_verb cli_verb_bridge_wait;
extern const struct cli_verb cli_verb_pki_init;
extern const struct cli_verb cli_verb_pki_issue;
extern const struct cli_verb cli_verb_pki_revoke;
extern const struct cli_verb cli_verb_pki_show;
extern const struct cli_verb cli_verb_bench;
extern const struct cli_verb cli_verb_latency;
extern const struct cli_verb cli_verb_value;
extern const struct cli_verb cli_verb_gc;
extern const struct cli_verb cli_verb_doctor;
extern const struct cli_verb cli_verb_version;
extern const struct cli_verb cli_verb_completion;
extern const struct cli_verb cli_verb_help;

#endif

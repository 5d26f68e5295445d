/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/listing.h - whole listings of a bus, as arrays that the caller frees.
 *
 * The bus goes on while it is looked at: each listing is a snapshot of its own.
 * All return CLI_DONE, or an exit code after they said what is wrong.
 */
#ifndef BUSBAR_TOOLS_CLI_LISTING_H
#define BUSBAR_TOOLS_CLI_LISTING_H

#include "tools/cli/verbs.h"
#include <busbar/inspect.h>
#include <stddef.h>
#include <stdint.h>

struct cli_nodes {
    struct bb_node_info *v; /* sorted by name */
    size_t count;
};
int cli_list_nodes(const struct cli_call *call, struct bb_look *look, struct cli_nodes *out);

struct cli_rings {
    struct bb_ring_info *v; /* sorted by node, lane, number */
    size_t count;
};
int cli_list_rings(const struct cli_call *call, struct bb_look *look, struct cli_rings *out);

struct cli_subscribers {
    struct bb_subscriber_info *v; /* sorted by node, number */
    size_t count;
};
int cli_list_subscribers(const struct cli_call *call,
                         struct bb_look *look,
                         struct cli_subscribers *out);

/* ---- topics: one entry for each ring that carries one ------------------------------------------------ */

struct cli_topic {
    char *topic; /* with a NUL that does not count */
    size_t topic_bytes;
    uint32_t ring;
    uint32_t node_state;
    char node[BB_NAME_MAX + 1];
    uint64_t messages;
    uint64_t payload_bytes;
    uint32_t subscribers;
};

struct cli_topics {
    struct cli_topic *v; /* sorted by topic, node, ring */
    size_t count;
    size_t cap;
};

struct cli_topic_filter {
    char *const *words; /* topics or prefixes; none: all */
    int count;
    int exact;
};

/* cli_list_topics - replaces what *out held; begin with {0}. */
int cli_list_topics(const struct cli_call *call,
                    struct bb_look *look,
                    const struct cli_topic_filter *filter,
                    struct cli_topics *out);
void cli_topics_free(struct cli_topics *topics);

/* cli_topics_same - how many entries from v[from] on have the same topic. */
size_t cli_topics_same(const struct cli_topics *topics, size_t from);

/* cli_topic_compare - order of one topic in one ring, by which entries of two snapshots meet. */
int cli_topic_compare(const struct cli_topic *a, const struct cli_topic *b);

int cli_topic_matches(const struct cli_topic_filter *filter, const char *topic, size_t bytes);

/* cli_node_is_alive - running or stopped. */
int cli_node_is_alive(uint32_t state);

/* cli_no_topic - says that no topic matches; returns CLI_NONE. */
int cli_no_topic(const struct cli_topic_filter *filter);

#endif

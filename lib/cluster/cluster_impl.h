/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/cluster_impl.h - what the files of this folder share of a cluster handle.
 *
 *   cluster.c   join, leave, topics          poll.c     messages and changes, in order
 *   peers.c     the roll, read and appended  nodes.c    nodes by name, statuses, the layout
 *   pools.c     pools of a handle            publish.c  to a topic, an owner, who is next
 *   look.c      without joining              roll.c     the file; hrw.c, pool.c: pure
 *
 * Two views of the roll.  What was *read* says what a change would be: whether a node is up there already.
 * What was *applied* is what the application was told.  Between the two stand the changes that wait, in order,
 * for the last message of a node that went.
 */
#ifndef BUSBAR_LIB_CLUSTER_CLUSTER_IMPL_H
#define BUSBAR_LIB_CLUSTER_CLUSTER_IMPL_H

#include "busbar/cluster.h"
#include "lib/cluster/roll.h"
#include "lib/endpoint/for_cluster.h"

/* ---- nodes and peers ---------------------------------------------------------------------------- */

/* A node by its name: kept when it went, since it may come again. */
struct bbi_node {
    struct bb_cluster_node info;
    uint32_t layout_role; /* of an expected one */
};

/* What an id is to us.  One entry for each id that the roll had up, or that we heard. */
enum bbi_peer_state {
    BBI_PEER_PLAIN = 0,   /* no node: a tool, an observer */
    BBI_PEER_WAITING = 1, /* its UP was read, not applied: its messages are held back */
    BBI_PEER_UP = 2,
    BBI_PEER_GONE = 3, /* a node that was down before we came; the last of it is not for us */
};
struct bbi_peer {
    uint64_t id;
    enum bbi_peer_state state;
    bool is_refused;     /* told so: counts as no node */
    bool is_up, is_in;   /* by what was read of the roll */
    uint32_t weight;     /* of its IN there */
    uint64_t up_epoch;   /* of its newest UP there */
    uint64_t in_epoch;   /* of its newest IN there */
    bool was_up, was_in; /* before the roll was read anew */
    uint32_t weight_was;
};

/* A message or status that the handle owns: held back, or not fitting into the caller's array. */
struct bbi_item {
    struct bbi_item *next;
    struct bb_msg msg;
    void *copy; /* what msg points to, when it was a message */
    struct bb_status status;
    char name[BB_NAME_MAX + 1];
};
struct bbi_items {
    struct bbi_item *first, **end;
};

enum { BBI_SELF_MOST_BYTES = 1 << 26 };

/* Changes that were read and not applied; a circle that grows. */
struct bbi_pending_changes {
    struct bbi_change *at;
    size_t first, count, capacity; /* a power of two */
};

/* ---- parts that hang themselves in ----------------------------------------------------------------- */

/* What the application is told of a change, as the parts hear it: the node's state is the new one. */
struct bbi_node_change {
    uint32_t kind; /* BB_STATUS_NODE_UP, _DOWN, _IN, _OUT */
    uint32_t count;
    uint64_t epoch;
    const struct bb_cluster_node *node;
};

/*
 * A part: relay, variables, log lane.  The struct lies in the part's own memory; all functions may be NULL.
 * They run in the thread of bb_cluster_poll() (leave: of bb_cluster_leave()), may publish, and may not poll.
 */
struct bbi_part {
    struct bbi_part *next;
    /*
     * A message of kind BB_CONTROL, or a request, reply or direct message; also the end of a request (its
     * status is BB_STATUS_REPLIES).  1: it was for this part, and the application does not see it; 0 else.
     * It may be a view: who acts on it asks bb_msg_valid() after reading and before acting.
     */
    int (*message)(struct bbi_part *part, struct bb_cluster *c, const struct bb_msg *msg);
    /* After a change was applied, before the application hears of it. */
    void (*change)(struct bbi_part *part,
                   struct bb_cluster *c,
                   const struct bbi_node_change *change);
    /* At each poll, before it waits.  When it wants to be called next, monotonic; INT64_MAX: whenever. */
    int64_t (*tick)(struct bbi_part *part, struct bb_cluster *c, int64_t now_ns);
    /* Publishers and subscriber are still open.  Frees the part. */
    void (*leave)(struct bbi_part *part, struct bb_cluster *c);
};

struct bbi_pools;    /* pools.c */
struct bbi_services; /* services.c */
struct bbi_alone;    /* standalone.c */

struct bb_cluster {
    struct bb_endpoint *ep;
    struct bb_subscriber *sub;
    struct bb_publisher *data, *control;
    struct bb_topic *roll_topic; /* of control: "look at the roll" */
    uint64_t id;
    uint32_t flags; /* BB_CLUSTER_... */
    uint32_t role, weight, hrw;
    char name[BB_NAME_MAX + 1];
    char prefix[64];
    size_t prefix_bytes;
    int64_t (*now_ns)(void); /* monotonic; tests put their own */
    int64_t hold_down_ns, up_since_ns;
    int64_t looked_ns; /* for nodes that went without our being told */
    bool is_draining;  /* as bb_cluster_drain() said */
    bool is_complete;
    bool has_layout;
    bool is_out_of_memory;

    struct bbi_roll roll;
    uint64_t read_epoch; /* next to be read */
    uint64_t epoch;      /* next to be applied */
    struct bbi_pending_changes pending;
    uint64_t lost_changes; /* overwritten before we read them */
    bool is_corrupt;       /* the roll is nonsense: it is not read any more, and this was told */

    struct bbi_peer *peers;
    size_t peer_count, peer_capacity;
    struct { /* by slot: where to look first */
        uint32_t at;
    } hint[BBI_MEMBERS];

    struct bbi_node **nodes; /* each its own memory, so that names stay where they are */
    size_t node_count, node_capacity;

    struct bbi_items ready; /* next to be given */
    struct bbi_items held;  /* of peers that wait */
    struct bbi_items told;  /* given by the last poll */

    struct bbi_part *parts;
    struct bbi_pools *pools;
    struct bbi_services *services;
    struct bbi_alone *alone; /* NULL: in a cluster */
    size_t self_bytes;       /* in ready, of bbi_deliver_to_self() */
    bb_fate_cb fate;
    void *user;
};

/* cluster.c */
void bbi_cluster_add_part(struct bb_cluster *c, struct bbi_part *part);
/* bbi_cluster_topic - PREFIX, what, name, after; bytes without NUL, or BB_EMSGSIZE. */
BB_MUST_USE int bbi_cluster_topic(const struct bb_cluster *c,
                                  const char *what,
                                  const char *name,
                                  const char *after,
                                  char *out,
                                  size_t cap);

/* peers.c */
struct bbi_peer *bbi_peer_find(struct bb_cluster *c, uint64_t id);
struct bbi_peer *bbi_peer_add(struct bb_cluster *c, uint64_t id);
void bbi_peer_remove(struct bb_cluster *c, struct bbi_peer *peer);
/* bbi_roll_catch_up - reads what others appended. */
void bbi_roll_catch_up(struct bb_cluster *c);
/* bbi_roll_begin - what the roll says of nodes that are up now; they stand in pending, in their order. */
BB_MUST_USE int bbi_roll_begin(struct bb_cluster *c);
/* bbi_roll_say - appends a change, unless the roll says it already.  0; BB_ENOMEM; BB_ECORRUPT. */
int bbi_roll_say(struct bb_cluster *c, uint32_t kind, uint64_t id, uint32_t weight);
/* bbi_roll_look_for_gone - says DOWN of nodes whose members are gone. */
void bbi_roll_look_for_gone(struct bb_cluster *c);
/* bbi_roll_wake - the others look at the roll now. */
void bbi_roll_wake(struct bb_cluster *c);

/* nodes.c */
struct bbi_node *bbi_node_of(struct bb_cluster *c, const char *name); /* NULL: no memory */
struct bbi_node *bbi_node_find(const struct bb_cluster *c, const char *name);
struct bbi_node *bbi_node_by_id(const struct bb_cluster *c, uint64_t id);
BB_MUST_USE int
bbi_nodes_expect(struct bb_cluster *c, const struct bb_layout_node *layout, size_t count);
/* bbi_node_apply - a change comes into force: the nodes' state, the parts, and what the application is told. */
void bbi_node_apply(struct bb_cluster *c, struct bbi_peer *peer, const struct bbi_change *change);
void bbi_nodes_free(struct bb_cluster *c);
/* bbi_tell - a status of the cluster for the application, behind what is ready. */
void
bbi_tell(struct bb_cluster *c, uint32_t kind, const struct bb_cluster_node *node, uint64_t count);

/* poll.c */
void bbi_items_init(struct bbi_items *list);
void bbi_items_add(struct bbi_items *list, struct bbi_item *item);
void bbi_items_free(struct bbi_items *list);
/*
 * bbi_deliver_to_self - a message that the application gets as if another node had published it.
 * 0; BB_EAGAIN when BBI_SELF_MOST_BYTES wait already: poll first; BB_ENOMEM.
 */
BB_MUST_USE int bbi_deliver_to_self(struct bb_cluster *c,
                                    const char *topic,
                                    size_t topic_bytes,
                                    const void *data,
                                    size_t bytes,
                                    uint32_t attr);

/* pools.c: a node came, went, is used or not used. */
void bbi_pools_changed(struct bb_cluster *c, const struct bbi_node_change *change);
BB_MUST_USE int bbi_pools_begin(struct bb_cluster *c);
void bbi_pools_free(struct bb_cluster *c);

#endif

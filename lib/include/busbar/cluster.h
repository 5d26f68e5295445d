/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/cluster.h - nodes with roles, pools with hashing, events that find their way.
 *
 * A node is an endpoint that joined with a role and a name.  All nodes of a bus see the same changes of
 * membership in the same order, each in order with the messages of the node that it is about.
 *
 * Threads    A cluster handle belongs to one thread at a time.  Other threads of the process publish with
 *            publishers of their own of bb_cluster_endpoint(), on topics that the handle's thread asked for.
 * Waiting    As in endpoint.h: nothing waits unless it takes a timeout.
 * Alone      With BB_CLUSTER_STANDALONE every pool has this node, it hears all classes and all nodes' topics,
 *            what is published is delivered to oneself by the next poll, the layout is complete at once, and
 *            the same program does all of it alone.  It has a bus of its own below `dir` (`alone-...`; `bus`
 *            does not count), that goes when it leaves, or with the next one if it was killed.  When nobody
 *            polls, what does not fit into the ring waits in memory: up to 64 MiB, then BB_EAGAIN.
 * Source     Zeek's cluster framework: topics, pools, hashing (rendezvous hashing, Thaler and Ravishankar
 *            1998); the total order of changes is busbar's own (docs/architecture.md).
 */
#ifndef BUSBAR_CLUSTER_H
#define BUSBAR_CLUSTER_H

#include <busbar/endpoint.h>
#include <busbar/inspect.h>
#include <busbar/request.h>
#include <busbar/status.h>
#include <busbar/value.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- hashing: pure, any thread ------------------------------------------------------------------ */

struct bb_hrw_node {
    const char *name;
    uint32_t is_alive;
    uint32_t weight; /* 1 to 255; 0: BB_WEIGHT_EVEN */
};

enum {
    BB_WEIGHT_EVEN = 16,

    BB_HRW_KEYED =
        0, /* XXH3 with a secret: keys come from the wire and must not be chosen by others */
    BB_HRW_ZEEK = 1, /* Zeek's FNV and its winner, for string keys; weights do not count */
};

/* How a pool hashes: all nodes of a bus alike, see bb_cluster_hashing(). */
struct bb_hrw_opts {
    size_t size;
    uint32_t method; /* BB_HRW_... */
    uint32_t reserved;
    uint64_t seed[2]; /* of BB_HRW_KEYED */
};

/*
 * bb_hrw - the nodes' order for a key: order[0] owns it, order[1] is who owns it when that one is down, ...
 *
 * Nodes that are not alive are left out, but name them: with BB_HRW_ZEEK what a name hashes to depends, in
 * rare cases, on the names before it, for which Zeek sorts by name.  order holds max indices into nodes.
 * opts NULL: keyed, with a seed of zeros.  Allocates nothing.
 *
 * Returns   how many were filled; 0: nobody is alive; BB_EINVAL, a name twice too; BB_ENOMEM above 512 nodes.
 */
BB_MUST_USE BB_API int bb_hrw(const struct bb_hrw_node *nodes,
                              size_t count,
                              const void *key,
                              size_t key_bytes,
                              const struct bb_hrw_opts *opts,
                              uint32_t *order,
                              size_t max);

/* ---- joining ------------------------------------------------------------------------------------ */

struct bb_cluster;

/* A node that is expected; what is not here may join all the same, unless BB_CLUSTER_CLOSED. */
struct bb_layout_node {
    const char *name;
    uint32_t role; /* enum bb_role */
};

enum {
    BB_CLUSTER_STANDALONE = 1u << 0, /* one process is all of it; no bus is shared */
    BB_CLUSTER_CLOSED =
        1u << 1, /* a node that the layout does not have is no node: an error status */
    BB_CLUSTER_OBSERVER = 1u << 2, /* sees the nodes, is none: for tools */
};

/* The fate of keys of a pool at a change; moved keys lose the state that their old owner had. */
struct bb_pool;
struct bb_fate {
    struct bb_pool *pool;
    uint64_t epoch; /* of the change */
    uint32_t
        came; /* 1: keys come to this node from `other`; 0: keys go from this node to `other` */
    const char *other; /* the node that went, came or drains; whose keys they were or will be */
};
typedef void (*bb_fate_cb)(const struct bb_fate *fate, void *user);

struct bb_cluster_opts {
    size_t size;
    const char *dir, *bus; /* as in struct bb_endpoint_opts */
    const char *name;      /* of this node; unique on the bus */
    uint32_t role;         /* enum bb_role */
    uint32_t flags;        /* BB_CLUSTER_... */
    const char *prefix;    /* of the cluster's topics; NULL: "cluster/"; Zeek's: "zeek/cluster/" */
    const struct bb_layout_node *layout; /* NULL: whoever comes */
    size_t layout_count;
    uint32_t weight; /* of this node in pools; 0: BB_WEIGHT_EVEN */
    uint32_t
        hrw; /* BB_HRW_ZEEK: all pools of the bus hash so from now on; 0: as others said, else keyed */
    int64_t hold_down_ns; /* up for so long before pools use this node: damps who comes and goes */
    uint32_t
        subscriber_flags; /* BB_SUBSCRIBER_..., besides STATUS; RELIABLE by default: 0 means that */
    uint32_t wait;        /* enum bb_wait */
    uint32_t control_depth; /* of the ring for control messages; 0: the lane's */
    uint32_t
        data_depth; /* of the ring that bb_cluster_publish() and its kin write; 0: the lane's */
    uint64_t control_bytes, data_bytes;
    uint32_t
        data_policy; /* enum bb_policy, of that ring: what publishing does when a node is behind */
    int64_t data_block_ns; /* as bb_publisher_opts.block_ns */
    bb_fate_cb fate;       /* may be NULL; called from bb_cluster_poll() */
    void *user;
    struct bb_error *error;
};

/*
 * bb_cluster_join - 0; as bb_endpoint_open(), bb_subscriber_open(), bb_publisher_open(); BB_EEXIST a living
 * member has the name; BB_ENOENT the layout has no node of this name and role; BB_ECORRUPT.
 */
BB_MUST_USE BB_API int bb_cluster_join(struct bb_cluster **out, const struct bb_cluster_opts *opts);
/* bb_cluster_leave - says so, flushes, closes. */
BB_API void bb_cluster_leave(struct bb_cluster *c);

BB_API struct bb_endpoint *bb_cluster_endpoint(struct bb_cluster *c);
BB_API struct bb_subscriber *
bb_cluster_subscriber(struct bb_cluster *c);                            /* for bb_fd, statistics */
BB_API struct bb_publisher *bb_cluster_publisher(struct bb_cluster *c); /* its data ring */
BB_API uint64_t
bb_cluster_epoch(const struct bb_cluster *c); /* changes applied so far on this bus */

/* Topics: class `PREFIXworker`, pool `PREFIXpool/NAME`, node `PREFIXnode/NAME/`, id `PREFIXnodeid/ID/`. */
/* bb_cluster_topic_... - bytes written without NUL, or BB_EMSGSIZE. */
BB_MUST_USE BB_API int
bb_cluster_topic_class(const struct bb_cluster *c, uint32_t role, char *out, size_t cap);
BB_MUST_USE BB_API int
bb_cluster_topic_node(const struct bb_cluster *c, const char *name, char *out, size_t cap);
BB_MUST_USE BB_API int
bb_cluster_topic_id(const struct bb_cluster *c, uint64_t id, char *out, size_t cap);
BB_MUST_USE BB_API int
bb_cluster_topic_pool(const struct bb_cluster *c, const char *pool, char *out, size_t cap);

/* ---- receiving ---------------------------------------------------------------------------------- */

/* What bb_cluster_poll() gives besides messages: bb_msg.status->kind. */
enum {
    BB_STATUS_NODE_UP = 64, /* before the first message of that node; role and pid in the status */
    BB_STATUS_NODE_DOWN = 65, /* after its last one; count: 1 it left, 2 it died */
    BB_STATUS_NODE_IN = 66,   /* pools use it from now on; count: its weight */
    BB_STATUS_NODE_OUT = 67,  /* it drains: pools use it no longer */
    BB_STATUS_LAYOUT_COMPLETE =
        68, /* all nodes of the layout are up and hear us; once for each time */
    BB_STATUS_NODE_REFUSED =
        69, /* not in a closed layout, or a role that the layout does not give it */
};

/*
 * bb_cluster_poll - as bb_poll() of its subscriber, with the cluster's own business done on the way: changes,
 * relays, questions about variables.  Messages of a node come after its NODE_UP and before its NODE_DOWN;
 * all nodes see all changes in the same order, a node its own ones too.  JOINED, LEFT and DIED are not given:
 * UP and DOWN are, and who is no node (a tool) comes and goes unseen.  What this node sends to itself as the
 * owner of a key comes here too.  Pools and fate follow changes when they are read, which may be a few
 * messages before their status is given.  bb_release() as usual, on bb_cluster_subscriber(): a message that
 * had to be copied stays until the next poll.  A status BB_STATUS_CORRUPT of "roll": the changes are not
 * well formed and are not read any more, messages still are.  A message with BB_BRIDGED is no node's, whatever name it
 * has: it waits for no NODE_UP, and never concerns the cluster itself.
 */
BB_MUST_USE BB_API int
bb_cluster_poll(struct bb_cluster *c, struct bb_msg *msgs, size_t max, int64_t timeout_ns);

/* bb_cluster_subscribe - a prefix besides the cluster's own topics, which a node hears from the start. */
BB_MUST_USE BB_API int
bb_cluster_subscribe(struct bb_cluster *c, const char *prefix, uint32_t flags);

/*
 * bb_cluster_is_complete - 1 if all nodes of the layout are up and what each of them subscribed to when it
 * joined is known to our publishers: what is published now reaches them.  0 if not yet; without a layout 1.
 * As of the last bb_cluster_poll().  Subscriptions hold for every publish that begins after they were made, and
 * a node is up only after it made its own.
 */
BB_API int bb_cluster_is_complete(struct bb_cluster *c);

struct bb_cluster_node {
    char name[BB_NAME_MAX + 1];
    uint64_t id;   /* 0: expected and never seen */
    uint32_t role; /* enum bb_role */
    uint32_t is_up, is_in, is_expected;
    uint32_t weight;
    uint32_t starts;        /* times it came up, as far as is known */
    uint64_t epoch;         /* of its last change */
    int64_t change_wall_ns; /* of that; 0 if not known */
    int64_t pid;
};
/* bb_cluster_nodes - fills out[0 .. min(n, max)), expected ones first, then by name; returns n. */
BB_MUST_USE BB_API int
bb_cluster_nodes(const struct bb_cluster *c, struct bb_cluster_node *out, size_t max);

/* bb_cluster_drain - on: pools use this node no longer, though it stays up; off: they do again, at once. */
BB_MUST_USE BB_API int bb_cluster_drain(struct bb_cluster *c, int on);

/* ---- pools -------------------------------------------------------------------------------------- */

/*
 * The pools "manager", "proxy", "logger" and "worker" are there always, with all nodes of that role that no
 * exclusive pool took.  A pool's nodes are those of its role that the layout has, which keep their seat while
 * they are down, and then others that are up, by name.  Its topic is heard by its nodes; one that gets the
 * seat of another hears it from when it saw that change.
 */
struct bb_pool_opts {
    size_t size;
    const char *name;   /* its topic is PREFIXpool/NAME */
    uint32_t role;      /* enum bb_role: of its nodes */
    uint32_t max_nodes; /* 0: all */
    uint32_t
        is_exclusive; /* takes its nodes before others; BB_ENOENT when there are not enough in the layout */
    struct bb_error *error;
};
/* bb_pool_register - the same on all nodes, before the first message.  BB_EEXIST; BB_ENOENT. */
BB_MUST_USE BB_API int
bb_pool_register(struct bb_cluster *c, const struct bb_pool_opts *opts, struct bb_pool **out);
/* bb_pool_find - NULL if there is none. */
BB_API struct bb_pool *bb_pool_find(struct bb_cluster *c, const char *name);
BB_API const char *bb_pool_name(const struct bb_pool *pool);
/* bb_pool_nodes - its members, as bb_cluster_nodes(). */
BB_MUST_USE BB_API int
bb_pool_nodes(const struct bb_pool *pool, struct bb_cluster_node *out, size_t max);

/*
 * bb_pool_where - the name of the node that owns the key now; rank 1: who owns it when that one is gone, ...
 * 0; BB_ENOENT fewer nodes are there.  *name is valid until the next bb_cluster_poll().
 */
BB_MUST_USE BB_API int bb_pool_where(const struct bb_pool *pool,
                                     const void *key,
                                     size_t key_bytes,
                                     uint32_t rank,
                                     const char **name);
/* bb_pool_next - the live node whose turn it is, for this key ("" is one too); round robin.  BB_ENOENT. */
BB_MUST_USE BB_API int bb_pool_next(struct bb_pool *pool, const char *key, const char **name);

/* ---- publishing --------------------------------------------------------------------------------- */

/*
 * All of these publish an event that was built in `event` (bb_event_begin() to bb_event_end()) with the
 * cluster's own data ring, and return as bb_publish(), flushed unless attr has BB_MORE.
 *
 * ..._hrw    to the owner of the key; BB_ENOENT when the pool has nobody: nothing was published.  An owner that
 *            is this node gets it with its next bb_cluster_poll(); BB_EAGAIN when 64 MiB wait for that.
 * ..._rr     to the node whose turn it is, for rr_key.
 * relay      through a node of the pool, by its turn or by the key, which publishes it on `topic`; through the
 *            manager when the pool has nobody.  BB_ENOENT when there is no manager either.  All who subscribed
 *            to the topic hear it once, also who sent it and who relays; it comes from who relays.  What
 *            that node's ring refuses it counts (busbar::relayed).  BB_EINVAL an event of kind BB_CONTROL.
 */
BB_MUST_USE BB_API int bb_cluster_publish(
    struct bb_cluster *c, const char *topic, const void *event, size_t bytes, uint32_t attr);
BB_MUST_USE BB_API int bb_cluster_publish_hrw(struct bb_pool *pool,
                                              const void *key,
                                              size_t key_bytes,
                                              const void *event,
                                              size_t bytes,
                                              uint32_t attr);
BB_MUST_USE BB_API int bb_cluster_publish_rr(
    struct bb_pool *pool, const char *rr_key, const void *event, size_t bytes, uint32_t attr);
BB_MUST_USE BB_API int bb_cluster_relay_hrw(struct bb_pool *pool,
                                            const void *key,
                                            size_t key_bytes,
                                            const char *topic,
                                            const void *event,
                                            size_t bytes,
                                            uint32_t attr);
BB_MUST_USE BB_API int bb_cluster_relay_rr(struct bb_pool *pool,
                                           const char *rr_key,
                                           const char *topic,
                                           const void *event,
                                           size_t bytes,
                                           uint32_t attr);

/*
 * Where an event goes whenever it is raised.
 *
 * `via`: to the node that owns the argument's text form (bb_value_text()), the one that `busbar pool where TEXT`
 * names; also when that is the node that raises it: then bb_cluster_poll() gives it to itself.
 */
struct bb_declare_opts {
    size_t size;
    const char *event; /* its name */
    const char *topic; /* auto publish: this topic */
    const char *via;   /* or partition via: this pool, by argument `argument`, in its text form */
    uint32_t argument; /* from 0 */
    uint32_t is_round_robin; /* via: in turn, not by the argument */
    struct bb_error *error;
};
/*
 * bb_cluster_declare - 0, also when the same was declared before; BB_EEXIST it goes elsewhere already; BB_ENOENT
 * no such pool; BB_EINVAL no event, or not just one of topic and via.
 */
BB_MUST_USE BB_API int bb_cluster_declare(struct bb_cluster *c, const struct bb_declare_opts *opts);
/*
 * bb_cluster_raise - publishes the event as it was declared.
 *
 * BB_ENOENT it was not declared, or its pool has nobody; BB_EINVAL it has no such argument; BB_ETYPE, BB_ECORRUPT
 * it is no event; else as bb_publish().
 */
BB_MUST_USE BB_API int
bb_cluster_raise(struct bb_cluster *c, const void *event, size_t bytes, uint32_t attr);

/* ---- variables ---------------------------------------------------------------------------------- */

/*
 * Puts one value; called from bb_cluster_poll(), and from bb_cluster_ask() of this node itself.  When there was
 * not room enough it is called again, and puts the same.
 */
typedef void (*bb_show_cb)(struct bb_builder *b, void *user);
/* 0, or a status; what is not of the right type is BB_ETYPE. */
typedef int (*bb_set_cb)(const struct bb_value *value, void *user);

/*
 * bb_cluster_variable - makes a name known to `busbar print`, and with set to `busbar set`.
 *
 * Every node has busbar::node, ::role, ::pid, ::epoch, ::lost (messages, by its subscriber), ::heard (all of
 * its counts), ::relayed (events that it published for others: done, refused) and ::variables (the names).
 * Returns   0; BB_EEXIST; BB_EINVAL no name or no show; BB_ENAMETOOLONG above 255 bytes; BB_ENOMEM.
 */
BB_MUST_USE BB_API int bb_cluster_variable(
    struct bb_cluster *c, const char *name, bb_show_cb show, bb_set_cb set, void *user);

struct bb_variable_answer {
    const char *node;
    uint64_t node_id;
    int code; /* 0; BB_ENOENT no such variable; what set said; BB_ETIMEDOUT, BB_EPEERGONE: no answer */
    struct bb_value value; /* code 0: as it is (after the set) */
    const char *sentence;  /* "", or why there is no value, in the node's own words */
};
/* Not 0: no more calls. */
typedef int (*bb_variable_cb)(const struct bb_variable_answer *answer, void *user);
/*
 * bb_cluster_ask - asks these nodes (none: all that are up) for a variable, or sets it when value is not NULL,
 * and calls back once for each node that was asked, by name.
 *
 * All are asked at once and it returns when the last one has answered, has gone, or timeout_ns is over (0: 1 s;
 * negative: no bound): one that is stopped costs the others nothing.  A set that was not begun by then is not
 * done.  Messages of this node wait meanwhile, questions to it too; messages that were polled stay valid.
 * Returns   how many answered with code 0; BB_EMSGSIZE the value is too large for a message; as
 *           bb_subscriber_open().
 */
BB_MUST_USE BB_API int bb_cluster_ask(struct bb_cluster *c,
                                      const char *variable,
                                      const char *const *nodes,
                                      size_t node_count,
                                      const struct bb_value *value,
                                      int64_t timeout_ns,
                                      bb_variable_cb cb,
                                      void *user);

/* ---- looking, without joining --------------------------------------------------------------------- */

/* bb_look_cluster - nodes as the bus's roll has them, by name; who died is not up, also if nobody noticed.  As bb_look_nodes(); 0 when nobody ever joined. */
BB_MUST_USE BB_API int
bb_look_cluster(struct bb_look *look, struct bb_cluster_node *out, size_t max, uint64_t *epoch);
/* bb_look_changes - changes from epoch `from` on, in their order; BB_EOVERRUN: older ones are gone, *first says. */
struct bb_change {
    uint64_t epoch;
    uint32_t kind; /* BB_STATUS_NODE_... */
    uint32_t role;
    uint32_t weight;
    char name[BB_NAME_MAX + 1]; /* "" when its slot has long been another's */
    uint64_t id;
};
BB_MUST_USE BB_API int bb_look_changes(
    struct bb_look *look, uint64_t from, struct bb_change *out, size_t max, uint64_t *first);

/*
 * bb_cluster_hashing - how the pools of this bus hash, for bb_hrw(): the seed of BB_HRW_KEYED is random, made
 * with the roll.  BB_ENOENT: nobody ever joined.
 */
BB_MUST_USE BB_API int bb_cluster_hashing(struct bb_look *look, struct bb_hrw_opts *out);

#ifdef __cplusplus
}
#endif
#endif

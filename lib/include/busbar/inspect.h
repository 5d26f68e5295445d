/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/inspect.h - look at a bus without attaching.
 *
 * A look maps a bus read-only.  It takes no lock and no slot, disturbs nobody, and also works on what a
 * crash left behind.  All numbers are snapshots that members keep writing.
 *
 * Threads    A look belongs to one thread at a time.
 */
#ifndef BUSBAR_INSPECT_H
#define BUSBAR_INSPECT_H

#include <busbar/endpoint.h>
#include <busbar/status.h>
#include <busbar/version.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bb_look;

struct bb_look_opts {
    size_t size;
    const char *dir; /* as in struct bb_endpoint_opts */
    const char *bus;
    struct bb_error *error;
};

/* bb_look_open - 0; BB_ENOBUS, BB_EACCES, BB_EVERSION, BB_ECORRUPT. */
BB_MUST_USE BB_API int bb_look_open(struct bb_look **out, const struct bb_look_opts *opts);
BB_API void bb_look_close(struct bb_look *look);

struct bb_bus_info {
    char path[256];
    uint64_t uuid;
    int64_t created_wall_ns;
    uint32_t generation; /* how often this bus was begun anew */
    uint32_t major, minor;
    char build[64];
    int64_t uid, gid;
    uint32_t mode;                      /* of the directory */
    uint64_t bytes;                     /* of all files, as allocated */
    uint32_t nodes, rings, subscribers; /* living */
    uint32_t dead_rings;                /* kept for a look after death */
};
BB_MUST_USE BB_API int bb_look_bus(struct bb_look *look, struct bb_bus_info *out);

enum bb_node_state {
    BB_NODE_RUNNING = 1,
    BB_NODE_STOPPED = 2, /* alive, and stopped by a signal or a debugger */
    BB_NODE_DEAD = 3,    /* killed or crashed, not tidied up yet */
    BB_NODE_LEFT = 4,    /* closed; its ring is still there for readers */
};
BB_API const char *bb_node_state_name(uint32_t state);

struct bb_node_info {
    char name[BB_NAME_MAX + 1];
    uint64_t id;
    uint32_t role;
    uint32_t state; /* enum bb_node_state */
    int64_t pid;
    int64_t uid;
    int64_t joined_wall_ns;
    uint32_t rings;
    uint32_t subscribers;
    uint64_t published; /* messages in its rings since they were made */
    uint64_t published_bytes;
    uint64_t lost;       /* by its subscribers */
    uint64_t lag;        /* the largest of its subscribers, in messages */
    int64_t beat_age_ns; /* since its last flush or poll; -1 if never */
};
/* Each of these fills out[0 .. min(n, max)) and returns n; call with max 0 to count. */
BB_MUST_USE BB_API int bb_look_nodes(struct bb_look *look, struct bb_node_info *out, size_t max);

struct bb_ring_info {
    uint32_t ring;
    uint32_t lane;
    char node[BB_NAME_MAX + 1];
    uint64_t node_id;
    uint32_t node_state; /* enum bb_node_state */
    uint32_t closed;
    uint32_t depth;
    uint64_t bytes;
    uint64_t file_bytes;
    uint64_t first_seq, next_seq; /* what can be read now: [first, next) */
    uint64_t messages, payload_bytes;
    uint64_t blocked, evicted, refused, wakes;
    uint32_t topics;
    uint32_t membarrier; /* 1: ordered by membarrier, 0: by a fence */
};
BB_MUST_USE BB_API int bb_look_rings(struct bb_look *look, struct bb_ring_info *out, size_t max);

struct bb_subscriber_info {
    uint32_t subscriber;
    char node[BB_NAME_MAX + 1];
    uint64_t node_id;
    uint32_t node_state;
    uint32_t reliable, asleep, fd_mode;
    uint32_t prefixes;
    uint64_t delivered, filtered, lost, evicted;
    uint64_t lag;                   /* messages, largest over rings */
    char lag_node[BB_NAME_MAX + 1]; /* whose ring that is */
};
BB_MUST_USE BB_API int
bb_look_subscribers(struct bb_look *look, struct bb_subscriber_info *out, size_t max);

/* bb_look_prefixes - calls back for each prefix of a subscriber; stops at a non-zero return. */
typedef int (*bb_prefix_cb)(const char *prefix, size_t bytes, uint32_t flags, void *user);
BB_MUST_USE BB_API int
bb_look_prefixes(struct bb_look *look, uint32_t subscriber, bb_prefix_cb cb, void *user);

struct bb_topic_info {
    const char *topic; /* valid until the next call on this look */
    size_t topic_bytes;
    uint32_t ring;
    char node[BB_NAME_MAX + 1];
    uint32_t node_state;
    uint64_t messages,
        payload_bytes;    /* published since the ring was made: exact, also with no subscriber */
    uint32_t subscribers; /* that want it now */
};
typedef int (*bb_topic_cb)(const struct bb_topic_info *topic, void *user);
/* bb_look_topics - one call for each topic of each ring; stops at a non-zero return. */
BB_MUST_USE BB_API int bb_look_topics(struct bb_look *look, bb_topic_cb cb, void *user);

/*
 * bb_tap_open - a subscriber that registers nothing: nobody waits for it, wakes it or sees it.
 *
 * It is lossy, delivers copies and looks every period_ns.  With dead_node it reads the rings that this
 * node left behind, and ends: bb_poll() returns BB_EEND when all was read.
 */
struct bb_tap_opts {
    size_t size;
    uint32_t start; /* enum bb_start */
    uint32_t start_count;
    const char *const *prefixes;
    const size_t *prefix_bytes; /* NULL: NUL-terminated */
    size_t prefix_count;
    uint32_t prefix_flags;
    uint32_t flags;        /* BB_SUBSCRIBER_STATUS */
    int64_t period_ns;     /* 0: 1 ms */
    const char *dead_node; /* NULL: the living bus */
    struct bb_error *error;
};
BB_MUST_USE BB_API int
bb_tap_open(struct bb_subscriber **out, struct bb_look *look, const struct bb_tap_opts *opts);

/* bb_bus_list - every bus below dir (NULL: all that this box's default directories hold), with its owner. */
typedef int (*bb_bus_cb)(const struct bb_bus_info *bus, void *user);
BB_MUST_USE BB_API int bb_bus_list(const char *dir, bb_bus_cb cb, void *user);

/* bb_bus_dir - the directory that NULL stands for; bytes written without NUL, or BB_EMSGSIZE. */
BB_MUST_USE BB_API int bb_bus_dir(char *out, size_t cap);

/*
 * bb_gc - remove what dead processes left: rings, cursors, sockets, and the rings kept for a look after
 * death.  Living members are not touched.  One call back for each file.
 */
struct bb_gc_item {
    const char *file; /* name within the bus's directory */
    char node[BB_NAME_MAX + 1];
    int64_t pid;
    uint64_t bytes;
    uint32_t removed; /* 0: would be removed (dry run), or could not be */
    const char *why;
};
typedef int (*bb_gc_cb)(const struct bb_gc_item *item, void *user);
struct bb_gc_opts {
    size_t size;
    const char *dir;
    const char *bus;
    uint32_t flags; /* BB_GC_... */
    bb_gc_cb cb;    /* may be NULL */
    void *user;
    struct bb_error *error;
};
enum { BB_GC_DRY_RUN = 1u << 0, BB_GC_KEEP_DEAD = 1u << 1 };
/* Returns how many files were (dry run: would be) removed, or a status. */
BB_MUST_USE BB_API int bb_gc(const struct bb_gc_opts *opts);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/subscriber_impl.h - what the files of this folder share of a subscriber.
 *
 *   subscriber.c  open, close, prefixes, statistics        sources.c  rings come, are read, go
 *   poll.c        gather messages                          visit.c    one ring
 *   given.c       what the caller holds                    wait.c     until more comes
 *   loop.c        the descriptor for event loops           members.c  who joined, left, died
 *   request_*.c   requests, replies, messages to one node: request_impl.h
 */
#ifndef BUSBAR_LIB_ENDPOINT_SUBSCRIBER_IMPL_H
#define BUSBAR_LIB_ENDPOINT_SUBSCRIBER_IMPL_H

#include "lib/endpoint/endpoint_impl.h"
#include "lib/topic/filter_set.h"
#include "shm/join.h"
#include "shm/registry.h"

/* Whose messages they are: the two fields of struct bb_msg, side by side there too. */
struct bbi_from {
    const char *node;
    uint64_t node_id;
};
static_assert(offsetof(struct bb_msg, node_id) - offsetof(struct bb_msg, node)
                  == offsetof(struct bbi_from, node_id),
              "node and node_id side by side");

/* A ring that we read. */
struct bbi_source {
    struct bbi_source *next;
    /* An idle ring costs one look: its publisher has announced nothing since we came to the end. */
    const bbi_u64 *watch; /* its tail_seq */
    uint64_t idle_word;   /* BBI_NEVER_IDLE: the last visit did not come to the end */
    uint32_t refs;        /* messages of the last poll that point into it */
    uint32_t index;       /* row of bus.ctl; BBI_RINGS for a ring out of dead/ */
    bool is_restless;     /* something is to be settled: visit it though it looks idle */
    bool is_drained;
    bool is_corrupt;  /* nothing more is read of it */
    bool has_ended;   /* its publisher closed it or died: drain it, then let go */
    bool has_joined;  /* has a cursor line */
    uint32_t last_ts; /* of the last message; its time holds for the same ts before last_ts_until */
    int64_t last_wall_ns;
    uint64_t last_ts_until;
    uint64_t clock_end; /* messages from here on may have anchors that we have not looked at */
    struct bbi_from from;
    uint64_t delivered;
    uint64_t lost_before;       /* to be told with the next message */
    uint64_t unpublished_bytes; /* passed since the cursor was published */
    uint64_t
        must_reach; /* its member is gone, and what it said up to here is read first; 0: not set */
    struct bbi_reader reader;
    struct bbi_join join;
    struct bbi_segment seg;
    uint64_t key;
    uint32_t member, member_gen;
    uint32_t tag_capacity;
    uint64_t evictions;
    char node[BBI_NAME_BYTES];
};

#define BBI_NEVER_IDLE UINT64_MAX /* no tail */

/* A member that we told the application of, or will. */
struct bbi_known {
    struct bbi_known *next;
    uint32_t slot, gen, role;
    int32_t pid;
    uint32_t ending; /* 0, or the BB_STATUS_ that comes when its last ring is drained */
    bool is_over;    /* told; kept until its slot has another owner */
    char name[BBI_NAME_BYTES];
};

/* A status that waits to be delivered. */
struct bbi_event {
    struct bbi_event *next;
    struct bb_status status;
    uint64_t node_id;
    uint64_t seq; /* OVERRUN: the last number of `ring` that was lost */
    uint32_t ring;
    char name[BBI_NAME_BYTES];
};

/* Messages side by side that the caller holds: of one burst, or one alone. */
struct bbi_given {
    uint64_t pos; /* of the first one, in its ring */
    uint32_t stride;
    uint32_t count; /* at most BBI_GIVEN_MOST */
    uint32_t
        copied; /* bit i: that one was copied whole, so nothing that happens to it matters any more */
};
enum { BBI_GIVEN_MOST = 32 };

/* What came of one visit: count of sub->given, from first on. */
struct bbi_run {
    struct bbi_source *source;
    uint32_t first, count;
};

struct bbi_requests;

/* Of bb_subscriber.must_finish: what a poll looks after before its sweep. */
enum {
    BBI_FINISH_ENDED = 1,    /* a ring or a member ended: drop what is drained, tell who went */
    BBI_FINISH_REQUESTS = 2, /* requests are open */
};

enum {
    BBI_HELD = 64,               /* messages that bb_dispatch() polls at once */
    BBI_VISIT_BYTES = 64 * 1024, /* of one ring, before the others have their turn */
};

struct bb_subscriber {
    struct bbi_attach *at;
    struct bb_endpoint *ep; /* NULL: a tap */
    struct bb_subscriber *next;
    unsigned fork_gen;
    uint32_t flags; /* BB_SUBSCRIBER_... */
    uint32_t start, start_count, wait_mode;
    int64_t period_ns;
    bool is_copying;
    bool is_registered;
    bool is_gathering; /* prefixes change together: bbi_subscribe_settle() */
    bool has_gathered;
    size_t visit_bytes;       /* BBI_VISIT_BYTES, unless the store's master wants more */
    struct bbi_waker waker;   /* of this thread: to pass wake-ups on */
    struct bbi_own_file file; /* cursors; not of a tap */
    struct bbi_filter_set filters;
    unsigned char *filter_buf;

    struct bbi_source *sources;
    struct bbi_source *turn; /* where the next sweep begins */
    struct bbi_known *known;
    struct bbi_event *events, **events_end;
    uint64_t past_keys[BBI_RINGS]; /* by row: the ring that we are done with, or put aside */
    uint64_t member_epoch;         /* at the last discovery */
    bool was_interrupted;          /* a signal handler ran while we slept */
    bool must_discover;
    bool was_busy;         /* something came since the last wait */
    bool yields_first;     /* the last spin was in vain: perhaps the other side needs this core */
    bool must_retry;       /* a ring could not be mapped just then: look again soon */
    bool is_out_of_memory; /* the last poll could not copy */
    bool must_peek;        /* the next sweep also looks for what was committed and not announced */
    uint8_t must_finish;   /* BBI_FINISH_... */
    bool is_started;       /* the first discovery is over: rings are new from now on */
    char *dead_node;       /* a tap on what this node left behind; owned */

    struct bbi_run *runs; /* of the last poll */
    struct bbi_given *given;
    uint32_t run_count, given_count;
    size_t given_messages, given_bytes; /* of its payloads */
    size_t given_capacity;              /* of both arrays */
    struct bbi_event *told;             /* statuses of the last poll */
    struct bb_msg held[BBI_HELD];       /* polled, and not handed out since a callback stopped */
    uint32_t held_at, held_count;
    unsigned char *arena; /* copies of the last poll */
    size_t arena_used, arena_capacity;
    size_t origin_at,
        origin_end; /* in it, where the last message from elsewhere is from; 0: none */

    uint64_t delivered, filtered, lost, messages, evicted; /* of rings that went */
    uint64_t unreadable, wakes, rings, missed;
    struct bbi_requests *requests; /* NULL until there was one */
    uint32_t request_topic_bytes;  /* of the longest topic of a request so far */
    int64_t kept_house_ns;
    uint32_t polls, empty_polls;
    uint32_t rest; /* how long the next poll waits before its first look; see note_pace() */
    uint32_t ping;

    int epoll_fd, sock_fd, self_fd, timer_fd; /* -1 until bb_fd() */
    int64_t timer_ns;     /* when the timer rings next, for requests that are open; 0: as usual */
    int64_t timer_due_ns; /* not before then is it asked whether it rang */
    bool is_poked;        /* self_fd is readable, of our own doing */
    bool is_armed;
    bool is_awake; /* for_bridge.h: its user polls all the time, nobody need knock */
};

/* A callback of bb_dispatch() runs: one word is looked at, which each poll looks at anyway. */
static inline bool
bbi_is_dispatching(const struct bb_subscriber *sub)
{
    return sub->held_at > sub->held_count;
}

/* subscriber.c */
struct bb_subscriber *bbi_subscriber_new(struct bbi_attach *at);
void bbi_subscriber_forked(
    struct bb_subscriber *sub); /* in a child: forgets mappings it did not inherit */
void bbi_subscriber_free(struct bb_subscriber *sub);
int bbi_subscriber_first_prefixes(struct bb_subscriber *sub,
                                  const char *const *prefixes,
                                  const size_t *bytes,
                                  size_t count,
                                  uint32_t flags);

/* sources.c */
void bbi_sources_discover(struct bb_subscriber *sub);
void bbi_sources_match_all(struct bb_subscriber *sub); /* prefixes changed */
void bbi_source_end(struct bb_subscriber *sub,
                    struct bbi_source *src); /* no more will come: what is there is still read */
bool bbi_sources_drop_ended(struct bb_subscriber *sub,
                            bool all); /* true: some are still being drained */
void bbi_source_publish_cursor(struct bb_subscriber *sub, struct bbi_source *src, bool now);
int bbi_source_learn_all(struct bb_subscriber *sub,
                         struct bbi_source *src); /* topics published by now */
int bbi_source_learn_tags(struct bb_subscriber *sub, struct bbi_source *src, uint32_t tag);
int bbi_sources_open_row(struct bb_subscriber *sub,
                         uint32_t index); /* a row whose publisher is gone: 1 or 0 */
int bbi_sources_open_dead(struct bb_subscriber *sub, const char *node);

/* members.c */
void bbi_members_discover(struct bb_subscriber *sub);
struct bbi_known *bbi_members_learn(struct bb_subscriber *sub, uint32_t slot, uint32_t gen);
bool bbi_members_finish(
    struct bb_subscriber *sub); /* who has no ring left is told of; true: some have */
void bbi_members_look_for_dead(struct bb_subscriber *sub); /* without a steward's help */
void bbi_members_look_again(struct bb_subscriber *sub);    /* who was killed before it announced */
void bbi_members_free(struct bb_subscriber *sub);
/* The event, for what else it is to say; NULL: it is not wanted, or there is no memory. */
struct bbi_event *bbi_event_add(struct bb_subscriber *sub,
                                uint32_t kind,
                                const char *name,
                                uint64_t id,
                                uint32_t role,
                                int64_t pid,
                                uint64_t count);

/* Delivered whatever the caller asked for. */
void bbi_event_queue(struct bb_subscriber *sub, struct bbi_event *ev);

/* request_wait.c */
void bbi_requests_check(struct bb_subscriber *sub); /* before a sweep, while BBI_FINISH_REQUESTS */
int64_t bbi_requests_next_ns(const struct bb_subscriber *sub); /* sweep again then; INT64_MAX */
void bbi_requests_free(struct bb_subscriber *sub);

/* visit.c */
bool bbi_subscriber_wants(const struct bb_subscriber *sub, const char *topic, size_t bytes);
/* Where messages go to: an array of struct bb_msg, or of struct bb_burst, each of which begins with one. */
struct bbi_out {
    struct bb_msg *next;
    size_t room; /* elements; as much is in sub->given */
    bool has_bursts;
};

/* The message at next is written: on to the next element. */
static inline void
bbi_out_one(struct bbi_out *out)
{
    if (out->has_bursts) {
        struct bb_burst *burst = (struct bb_burst *)(void *)out->next;
        burst->count = 1;
        burst->reserved = 0;
        burst->stride = 0;
        out->next = &burst[1].first;
    } else {
        out->next++;
    }
    out->room--;
}

/* What this ring has, as far as there is room, and at most `most` messages; what else came of it is in sub->events. */
void bbi_source_visit(struct bb_subscriber *sub,
                      struct bbi_source *src,
                      struct bbi_out *out,
                      size_t most);

/* poll.c: tidy up after others, look for the dead, say that we live; twice a second at most. */
void bbi_poll_keep_house(struct bb_subscriber *sub);

/* given.c */
BB_MUST_USE int bbi_given_reserve(struct bb_subscriber *sub, size_t max);
int bbi_given_settle(struct bb_subscriber *sub); /* how many views were overwritten meanwhile */
void bbi_given_drop_told(struct bb_subscriber *sub);
void bbi_given_free(struct bb_subscriber *sub);

/* wait.c */
bool bbi_wait_has_news(struct bb_subscriber *sub); /* something may be readable; R5 when armed */
bool bbi_wait_glance(struct bb_subscriber *sub);   /* the same, sooner and without order */
void bbi_wait_rest(uint32_t steps);
bool bbi_wait_looks(struct bb_subscriber *sub); /* some glances, as the waiting mode says */
void bbi_wait_once(struct bb_subscriber *sub, int64_t deadline); /* the caller sweeps again */

/* loop.c */
void bbi_loop_enter(struct bb_subscriber *sub);
void bbi_loop_leave(struct bb_subscriber *sub, bool may_have_more);
void bbi_loop_poke(struct bb_subscriber *sub); /* the descriptor is readable from now on */
void bbi_loop_close(struct bb_subscriber *sub);

#endif

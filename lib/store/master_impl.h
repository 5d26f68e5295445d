/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/master_impl.h - what a master keeps: frames that came, who sent them, the transaction that runs them.
 *
 *   master.c       begins, ends, polls            master_take.c     messages become frames; parts
 *   master_run.c   frames in one transaction      master_answer.c   what they are told; frames that read
 *   master_keep.c  clients, watchers, the second's housekeeping
 *
 * One round: frames that are there are run in order, at most ROUND_COMMANDS or ROUND_NS of them, in one write
 * transaction with what DONE remembers of them; commit; ctl's version; answers; a note to watchers.  Where a commit
 * is a sync, which costs more than many commands, a round takes more of them.
 *
 * What is due goes in transactions of its own, after the answers: a few hundred keys while frames come, since each
 * is a page to be written and the next frame waits for it; many when none come.  Where a commit is a sync, frames
 * take what is due with them, as a sync more would cost them more.
 * Death      Before the commit nothing happened, and the clients ask the next master.  After it, what DONE says
 *            is what they are told by the next one.
 */
#ifndef BUSBAR_LIB_STORE_MASTER_IMPL_H
#define BUSBAR_LIB_STORE_MASTER_IMPL_H

#include "busbar/request.h"
#include "lib/store/generation.h"
#include "lib/store/store_impl.h"

enum {
    BBI_ROUND_COMMANDS = 1000,
    BBI_ROUND_COMMANDS_SYNCED = 4000, /* where a commit is a sync */
    BBI_ROUND_FRAMES = 256,
    BBI_CLIENTS_MAX = 65536,
    BBI_PARTS_MAX = 64,   /* frames in parts at a time */
    BBI_SWEEP_MAX = 1000, /* keys that expire in one transaction */
};
#define BBI_ROUND_NS        INT64_C(2000000)
#define BBI_ROUND_SYNCED_NS INT64_C(10000000)
#define BBI_SWEEP_EVERY_NS  INT64_C(50000000)
#define BBI_HOUSE_EVERY_NS  INT64_C(1000000000)
#define BBI_DEAD_KEPT_NS    INT64_C(600000000000)
#define BBI_PARTS_BYTES     (UINT64_C(256) << 20)

/* One handle somewhere.  Those with entries in DONE are known from the start of a master. */
struct bbi_sender {
    struct bbi_client_id id;
    struct bbi_sender *next; /* of the same hash */
    uint64_t node_id;
    uint64_t numbers[BBI_FRAMES]; /* of the last frame that ran, by number % BBI_FRAMES; 0: none */
    int64_t gone_ns;              /* monotonic: when its member was seen dead; 0: it lives */
    bool is_watching;
};

struct bbi_parts {
    struct bbi_client_id client;
    uint64_t number, node_id, frame_bytes;
    uint32_t parts, next; /* 0: free */
    int64_t came_ns;
    unsigned char *p;
    size_t bytes, cap;
};

struct bbi_frame {
    struct bb_request_info from;
    struct bbi_client_id client;
    struct bbi_frame_head head;
    struct bbi_bytes bytes;
    const char *node;
    uint64_t node_id;
    unsigned char *owned; /* assembled from parts; to be freed */
    struct bbi_sender *sender;
    uint64_t was; /* peer's number in this slot before; to be put back when the transaction fails */
    bool ran;     /* in the transaction that is open */
    int refusal;  /* a status: not run, and why */
    size_t answer_off, answer_bytes;
};

struct bbi_out_bytes {
    unsigned char *p;
    size_t bytes, cap;
};

struct bbi_master {
    struct bbi_house house;
    struct bbi_state state; /* of the transaction that is open */
    struct bbi_apply apply;
    struct bb_subscriber *sub;
    struct bb_publisher *pub;
    struct bb_topic *change;
    struct bb_msg msgs[BBI_ROUND_FRAMES];
    int msg_count, msg_at; /* those that were not looked at yet */
    struct bbi_frame frames[BBI_ROUND_FRAMES];
    uint32_t frame_count, frame_at; /* before frame_at they are settled */
    uint32_t command_count;         /* of them */
    struct bb_store_cmd *cmds;      /* of the frame that runs */
    size_t cmd_cap;
    struct bbi_parts parts[BBI_PARTS_MAX];
    uint64_t parts_bytes;
    struct bbi_sender **peers; /* chains; a power of two */
    uint32_t peer_slots, peer_count, watcher_count;
    bool has_moved_watchers; /* in the transaction that is open */
    bool has_written;        /* in it: there is something to commit */
    uint64_t keys;
    struct bbi_out_bytes out; /* answers of this round */
    struct bbi_out_bytes own; /* of the master's own commands */
    int64_t deadline_ns;      /* store time of the first key that will be due; 0: none */
    int64_t sweep_ns, house_ns;
    int64_t frames_ns; /* monotonic: when frames ran last */
    int64_t
        linger_ns; /* before the next look: those that were just answered, many at once, ask again */
    bool is_woken; /* its wait ended early, by a signal: the poll ends too */
    int fault;     /* ended the mastership */
};

/* master_take.c: the frames of the next round, waiting at most timeout_ns for the first.  How many; a status. */
BB_MUST_USE int bbi_master_take(struct bb_store *s, int64_t timeout_ns);
void bbi_master_frames_free(struct bbi_master *m);
/* Parts of the dead, and of who did not go on. */
void bbi_parts_sweep(struct bb_store *s, int64_t now_ns);
void bbi_parts_free(struct bbi_master *m);

/* master_run.c: the next frames of the round, with their answers.  How many commands; a fault that ends the mastership. */
BB_MUST_USE int bbi_master_run_frames(struct bb_store *s);
BB_MUST_USE int bbi_master_begin(struct bb_store *s);
BB_MUST_USE int bbi_master_commit(struct bb_store *s);
void bbi_master_abort(struct bb_store *s);
/* bbi_master_sweep - a transaction that only expires, at most so many keys.  How many; a status. */
BB_MUST_USE int64_t bbi_master_sweep(struct bb_store *s, uint32_t max);
/* A commit waits for the disk. */
bool bbi_master_syncs(const struct bb_store *s);
/* A transaction's status ends the mastership: nobody knows what is on the disk. */
bool bbi_is_fatal(int rc);

/* master.c: what others read in ctl, after somebody wrote over it. */
void bbi_master_mend_ctl(struct bb_store *s);

/* master_answer.c */
BB_MUST_USE unsigned char *bbi_out_room(struct bbi_out_bytes *o, size_t bytes);
BB_MUST_USE int bbi_out_result(struct bbi_out_bytes *o, const struct bb_store_result *r);
void bbi_master_answer(struct bb_store *s, struct bbi_frame *fr);
void bbi_master_refuse(struct bb_store *s, const struct bb_request_info *to, int code);
void bbi_master_note(struct bb_store *s, uint64_t before);
BB_MUST_USE int bbi_master_read(struct bb_store *s, struct bbi_frame *fr);

/* master_keep.c */
struct bbi_sender *bbi_sender_find(struct bbi_master *m, const struct bbi_client_id *id);
/* NULL: there are too many, or no memory. */
struct bbi_sender *
bbi_sender_open(struct bbi_master *m, const struct bbi_client_id *id, uint64_t node_id);
void bbi_senders_free(struct bbi_master *m);
BB_MUST_USE int bbi_senders_load(struct bb_store *s);
/* In the transaction that is open. */
BB_MUST_USE int bbi_sender_watch(struct bb_store *s, struct bbi_sender *p, bool is_watching);
BB_MUST_USE int bbi_sender_forget(struct bb_store *s, struct bbi_sender *p);
/* After a transaction that was undone: who watches, as the tables say. */
void bbi_watchers_reload(struct bb_store *s);
/* LOG within its bounds. */
BB_MUST_USE int bbi_log_keep(struct bb_store *s);
void bbi_sender_free(struct bbi_master *m, struct bbi_sender *p);
BB_MUST_USE int bbi_master_keep(struct bb_store *s, int64_t now_ns);
void bbi_master_tell(struct bb_store *s);

#endif

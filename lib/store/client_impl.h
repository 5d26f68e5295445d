/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/client_impl.h - the writing side of a clone: frames that wait for their answer.
 *
 *   client.c        open and close, a frame's life, waiting        client_send.c    to whoever is master
 *   client_take.c   answers, what became of each                   client_say.c     errors in words
 *
 * A frame has a number, and goes out again under it until somebody answers:
 *
 *   WAITS ──sent──► ASKED ──answer──► SETTLED ──told, in order of number──► gone
 *     ▲               │                  ▲
 *     └─ lost, master gone: all that     └─ its time is over: given up, "may yet run, never twice"
 *        are ASKED, from the lowest on
 *
 * Order     The master runs a client's frames by number.  It hears them in that order: one ring, and after a
 *           loss everything that is open is sent again from the lowest number on.  One that comes while a
 *           lower one did not (a new master began to listen between the two) is refused by it: `answered`
 *           says up to where no number will be sent any more, because it was answered or given up; between
 *           that and the frame's own number all must be in DONE.  So what is given up holds up nothing, and
 *           can run only where an old copy of it is still in the ring, which is before all that follows.
 * Twice     The master keeps number and answer in DONE, by (client, number % 16), in the transaction of the
 *           effect.  A slot is used again 16 numbers later, and such a number is made only when the earlier one
 *           is settled.
 * Memory    Masters forget a client 10 minutes after its member died.  A living one is never forgotten on its
 *           own bus, however long it is stopped; but a master of the same directory on another bus cannot see
 *           that it lives.  So no frame is sent again more than AGAIN_MAX_NS after it was sent first, whatever
 *           the timeout, and a stopped process looks at the clock before it sends again.
 */
#ifndef BUSBAR_LIB_STORE_CLIENT_IMPL_H
#define BUSBAR_LIB_STORE_CLIENT_IMPL_H

#include "lib/store/store_impl.h"

enum bbi_out_state { BBI_OUT_FREE, BBI_OUT_WAITS, BBI_OUT_ASKED, BBI_OUT_SETTLED };

/* Where a call that waits finds what became of its frame. */
struct bbi_outcome {
    bool is_settled;
    int code;              /* 0: there is an answer */
    uint64_t version;      /* of the store */
    unsigned char *answer; /* to be freed */
    size_t answer_bytes;
};

struct bbi_out {
    enum bbi_out_state state;
    uint64_t number;
    int64_t ticket;       /* of bb_store_send(); 0: somebody waits, or nobody cares */
    size_t count;         /* commands */
    unsigned char *frame; /* behind room for a part's head */
    size_t frame_bytes;
    size_t sent_bytes; /* in parts that went */
    uint64_t request_id;
    int64_t deadline_ns;
    int64_t first_ns; /* when it was sent first; 0: never */
    struct bbi_outcome *outcome;
    unsigned char *answer; /* what came of it so far */
    size_t answer_bytes;
    int code;
};

struct bbi_client {
    struct bbi_client_id id;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
    struct bb_topic *topic;
    struct bbi_out outs[BBI_FRAMES]; /* by number */
    uint64_t first, next;            /* numbers that are not told yet: first <= n < next */
    int64_t last_ticket;
    uint32_t
        may_ask; /* frames at once: few after answers were lost, as they may be too large together */
    int64_t retry_ns; /* not before; 0: at once */
    int64_t backoff_ns;
    int64_t asked_ns;     /* when something was asked last */
    int64_t silence_ns;   /* so long after it all is asked again; 0: the shortest */
    uint64_t master_node; /* who answered last, or should */
    uint32_t master_ring;
    uint64_t last_version;           /* of the last answer */
    int64_t told;                    /* since the caller asked */
    unsigned char *kept;             /* the answer that the caller's results point into */
    struct bb_store_result *results; /* for `done` */
    size_t result_cap;
    struct bb_error error;
};

static inline struct bbi_out *
bbi_out_of(struct bbi_client *c, uint64_t number)
{
    return &c->outs[number % BBI_FRAMES];
}

#define BBI_AGAIN_MAX_NS INT64_C(300000000000)

/* client.c */
BB_MUST_USE int bbi_client_open(struct bb_store *s);
/*
 * One round: sends, takes what came, gives up, tells; waits at most until then for something to come.
 * Returns   how many messages of the bus it took: 0 and it is not so late, a signal handler ran; a status.
 */
BB_MUST_USE int bbi_client_step(struct bb_store *s, int64_t until_ns);
/* Nothing is open. */
bool bbi_client_is_idle(const struct bb_store *s);
/* Commands whose results nobody is told.  0; BB_EAGAIN the window is full. */
BB_MUST_USE int
bbi_client_send_unheard(struct bb_store *s, const struct bb_store_cmd *cmds, size_t count);
/* When it has to be stepped though nothing comes; INT64_MAX. */
int64_t bbi_client_next_ns(const struct bb_store *s);

/* client_send.c: sends what waits, and again what has no answer for too long. */
void bbi_client_pump(struct bb_store *s, int64_t now);
/* What is asked has to be asked again, after `wait_ns`. */
void bbi_client_again(struct bbi_client *c, int64_t now, bool at_once);
/* When what is asked is asked again. */
int64_t bbi_client_silence_ns(const struct bbi_client *c);
/* Sleeps until a master may have come. */
void bbi_client_wait_master(struct bb_store *s, int64_t until_ns);

/* client_take.c: how many messages. */
BB_MUST_USE int bbi_client_take(struct bb_store *s, int64_t until_ns);
void bbi_client_settle(struct bbi_client *c, struct bbi_out *o, int code);
void bbi_client_tell(struct bb_store *s);
/* Results of an answer: 0; BB_ECORRUPT not as many as there were commands. */
BB_MUST_USE int
bbi_client_results(struct bbi_bytes answer, size_t count, struct bb_store_result *results);

/* client_say.c: why nobody answers, into c->error. */
int bbi_client_say(struct bb_store *s, int code, const char *what);

#endif

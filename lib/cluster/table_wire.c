/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/table_wire.c - changes of a shared table on their way, and the filling of who comes late.
 */
#include "lib/cluster/standalone.h"
#include "lib/cluster/table_impl.h"
#include <stdlib.h>
#include <string.h>

#define TABLE_EVENT "busbar/table"
enum { TOPIC_BYTES = 192, CHUNK_BYTES = 64 << 10, HEAD_BYTES = 512, RECORD_VALUES = 6 };
static const int64_t FILL_NS = INT64_C(10000000000), AGAIN_NS = 1000000, LOOK_NS = 100000000;

struct bbi_filler {
    struct bbi_filler *next;
    struct bb_request_info to;
    bool wants_all;
    size_t bucket, bucket_count; /* next; of how many: when they were made more it begins anew */
};

/* ---- records ------------------------------------------------------------------------------------ */

static void
put_record(struct bb_builder *b, const struct bbi_record *r)
{
    bb_put_vector_begin(b);
    bb_put_count(b, r->kind);
    bb_put_value(b, &r->key);
    if (r->kind == BBI_RECORD_PUT) {
        bb_put_value(b, &r->value);
    } else {
        bb_put_none(b);
    }
    bb_put_timestamp(b, r->wall_ns);
    bb_put_timestamp(b, r->created_ns);
    bb_put_count(b, r->node_id);
    bb_put_end(b);
}

static int
read_record(const struct bb_value *v, struct bbi_record *r)
{
    struct bb_iter it;
    uint64_t kind = 0;
    if (bb_value_type(v) != BB_VECTOR || bb_iter_open(&it, v) != RECORD_VALUES
        || bb_next_count(&it, &kind) < 0 || kind < BBI_RECORD_PUT || kind > BBI_RECORD_EXPIRE
        || bb_iter_next(&it, &r->key) < 0 || bb_iter_next(&it, &r->value) < 0
        || bb_next_timestamp(&it, &r->wall_ns) < 0 || bb_next_timestamp(&it, &r->created_ns) < 0
        || bb_next_count(&it, &r->node_id) < 0) {
        return BB_ETYPE;
    }
    r->kind = (uint32_t)kind;
    return 0;
}

static size_t
size_of(const struct bbi_record *r)
{
    struct bb_builder b;
    bb_build_init(&b, NULL, 0);
    put_record(&b, r);
    return b.need_bytes;
}

int
bbi_record_fits(const struct bb_table *t, const struct bbi_record *r)
{
    return size_of(r) + HEAD_BYTES + t->topic_bytes > bb_publisher_max(t->c->data) ? BB_EMSGSIZE
                                                                                   : 0;
}

/* Behind those that are there; the buffer grows. */
static int
append(unsigned char **buf, size_t *used, size_t *capacity, const struct bbi_record *r)
{
    struct bb_builder b;
    size_t need = size_of(r);
    if (need > *capacity - *used) {
        size_t more = *capacity * 2 > *used + need ? *capacity * 2 : *used + need;
        unsigned char *grown = realloc(*buf, more);
        if (grown == NULL) {
            return BB_ENOMEM;
        }
        *buf = grown;
        *capacity = more;
    }
    bb_build_init(&b, *buf + *used, need);
    put_record(&b, r);
    int64_t bytes = bb_build_end(&b);
    *used += bytes > 0 ? (size_t)bytes : 0;
    return bytes < 0 ? (int)bytes : 0;
}

/* An event of the first records: at most so many and so large; how many, and their bytes. */
static size_t
measure(const unsigned char *records, size_t bytes, size_t most, size_t most_bytes, size_t *used)
{
    size_t n = 0, at = 0;
    struct bb_value v;
    while (n < most && at < bytes && bb_value_open(&v, records + at, bytes - at) == 0
           && (n == 0 || at + v.bytes <= most_bytes)) {
        at += v.bytes;
        n++;
    }
    *used = at;
    return n;
}

static void
put_event(struct bb_builder *b, const unsigned char *records, size_t bytes)
{
    struct bb_value v;
    bb_event_begin(b, TABLE_EVENT, sizeof(TABLE_EVENT) - 1);
    for (size_t at = 0; at < bytes; at += v.bytes) {
        if (bb_value_open(&v, records + at, bytes - at) < 0) {
            break;
        }
        bb_put_value(b, &v);
    }
    bb_event_end(b);
}

/* ---- changes ------------------------------------------------------------------------------------ */

int
bbi_table_send(struct bb_table *t, const struct bbi_record *r)
{
    if (bbi_cluster_is_alone(t->c)) {
        return 0; /* nobody else has it */
    }
    int rc = append(&t->pending, &t->pending_bytes, &t->pending_capacity, r);
    if (rc < 0) {
        return rc;
    }
    t->flush_ns = t->pending_count++ == 0 ? t->c->now_ns() + t->o.batch_ns : t->flush_ns;
    if (t->o.batch_ns < 0 || t->pending_count >= t->o.batch_changes) {
        (void)!bb_table_flush(t); /* when there is no room now, the next poll does it */
    }
    return 0;
}

static int
publish(struct bb_table *t, size_t bytes)
{
    struct bb_builder b;
    void *loan = NULL;
    bb_build_init(&b, NULL, 0);
    put_event(&b, t->pending, bytes);
    int rc = bb_loan(t->changes, b.need_bytes, &loan);
    if (rc < 0) {
        return rc;
    }
    bb_build_init(&b, loan, b.need_bytes);
    put_event(&b, t->pending, bytes);
    int64_t built = bb_build_end(&b);
    if (built < 0) {
        bb_abort(t->c->data);
        return (int)built;
    }
    return bb_commit(t->changes, (size_t)built, BB_CONTROL | BB_NATIVE);
}

int
bb_table_flush(struct bb_table *t)
{
    size_t most = bb_publisher_max(t->c->data) / 2;
    while (t->pending_count > 0) {
        size_t bytes = 0;
        size_t n = measure(t->pending, t->pending_bytes, t->o.batch_changes, most, &bytes);
        int rc = publish(t, bytes);
        if (rc < 0) {
            return rc;
        }
        t->pending_bytes -= bytes;
        t->pending_count -= n;
        memmove(t->pending, t->pending + bytes, t->pending_bytes);
    }
    return 0;
}

/* ---- what comes --------------------------------------------------------------------------------- */

static void
take_records(struct bb_table *t, const void *data, size_t bytes)
{
    struct bb_event ev;
    struct bb_iter it;
    struct bb_value v;
    struct bbi_record r;
    if (bb_event_open(&ev, data, bytes) < 0 || bb_value_check(&ev.args) < 0) {
        t->must_fill = true; /* whatever it was to say */
        return;
    }
    (void)bb_event_args(&it, &ev);
    while (bb_iter_next(&it, &v) == 0) {
        if (read_record(&v, &r) < 0 || bbi_table_apply(t, &r, false) < 0) {
            t->must_fill = true;
        }
    }
}

/* A private copy is read: shared memory is input. */
static void
take_message(struct bb_table *t, const struct bb_msg *msg)
{
    void *copy = malloc(msg->bytes > 0 ? msg->bytes : 1);
    if (copy != NULL) {
        memcpy(copy, msg->data, msg->bytes);
    }
    if (copy != NULL && bb_msg_valid(t->c->sub, msg)) {
        take_records(t, copy, msg->bytes);
    } else {
        t->must_fill = true;
    }
    free(copy);
}

static void
take_question(struct bb_table *t, const struct bb_msg *msg)
{
    struct bb_request_info to;
    struct bb_event ev;
    struct bb_iter it;
    uint64_t whole = 0;
    if (bb_msg_request(msg, &to) < 0 || bb_event_open(&ev, msg->data, msg->bytes) < 0
        || bb_event_args(&it, &ev) != 1 || bb_next_count(&it, &whole) < 0) {
        return;
    }
    struct bbi_filler *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        (void)!bb_reply_error(t->c->control, &to, BB_ENOMEM, "this node is out of memory");
        return;
    }
    *f = (struct bbi_filler){.next = t->fillers, .to = to, .wants_all = whole == t->c->id};
    t->fillers = f;
}

/* All who were asked have answered, or went, or the time is over. */
static void
end_fill(struct bb_table *t, int code)
{
    t->request = 0;
    if (!t->whole_said) {
        t->must_fill =
            true; /* somebody else shall say it; t->whole stays, so that it is the next one */
        return;
    }
    if (code == BB_EEND) {
        bbi_table_confirm(t);
    }
    t->is_filled = true;
    t->whole = 0;
}

static bool
is_topic(const struct bb_table *t, const struct bb_msg *msg, const char *what)
{
    size_t more = strlen(what);
    return msg->topic_bytes == t->topic_bytes + more
           && memcmp(msg->topic, t->topic, t->topic_bytes) == 0
           && memcmp(msg->topic + t->topic_bytes, what, more) == 0;
}

int
bbi_table_message(struct bbi_part *part, struct bb_cluster *c, const struct bb_msg *msg)
{
    struct bb_table *t = (struct bb_table *)part;
    struct bb_reply_info info;
    if (t->request != 0 && bb_msg_reply(msg, &info) == 0 && info.id == t->request) {
        if (info.is_end != 0) {
            end_fill(t, info.code);
        } else if (info.code == 0) {
            take_message(t, msg);
            t->whole_said = t->whole_said || (msg->node_id == t->whole && info.has_more == 0);
        }
        return 1;
    }
    if (msg->status != NULL || (msg->attr & BB_KIND_MASK) != BB_CONTROL) {
        return 0;
    }
    if (is_topic(t, msg, "changes")) {
        if (msg->node_id != c->id) {
            take_message(t, msg);
        }
        return 1;
    }
    if (is_topic(t, msg, "fill")) {
        take_question(t, msg);
        return 1;
    }
    return 0;
}

/* ---- filling others ----------------------------------------------------------------------------- */

static bool
is_for(struct bb_table *t, const struct bbi_filler *f, const struct bbi_element *e)
{
    if (f->wants_all || e->node_id == t->c->id) {
        return true;
    }
    const struct bbi_peer *author = bbi_peer_find(t->c, e->node_id);
    return author == NULL || !author->is_up;
}

/* Some buckets, until the piece is large enough.  0 or BB_ENOMEM. */
static int
gather(
    struct bb_table *t, struct bbi_filler *f, unsigned char **buf, size_t *used, size_t *capacity)
{
    while (f->bucket < t->map.bucket_count && *used < CHUNK_BYTES) {
        for (const struct bbi_element *e = t->map.buckets[f->bucket]; e != NULL; e = e->next) {
            const struct bbi_record r = {.kind = e->is_gone ? BBI_RECORD_REMOVE : BBI_RECORD_PUT,
                                         .key = e->key,
                                         .value = e->value,
                                         .wall_ns = e->wall_ns,
                                         .created_ns = e->created_ns,
                                         .node_id = e->node_id};
            int rc = is_for(t, f, e) ? append(buf, used, capacity, &r) : 0;
            if (rc < 0) {
                return rc;
            }
        }
        f->bucket++;
    }
    return 0;
}

static int
reply(struct bb_table *t,
      const struct bbi_filler *f,
      const unsigned char *records,
      size_t bytes,
      uint32_t more)
{
    struct bb_builder b;
    bb_build_init(&b, NULL, 0);
    put_event(&b, records, bytes);
    size_t need = b.need_bytes;
    unsigned char *event = malloc(need);
    if (event == NULL) {
        return BB_ENOMEM;
    }
    bb_build_init(&b, event, need);
    put_event(&b, records, bytes);
    int64_t built = bb_build_end(&b);
    int rc = built < 0 ? (int)built
                       : bb_reply(t->c->data, &f->to, event, (size_t)built,
                                  BB_CONTROL | BB_NATIVE | more);
    free(event);
    return rc;
}

/* One piece.  1: there is more; 0: that was all; or a status. */
static int
fill_some(struct bb_table *t, struct bbi_filler *f)
{
    unsigned char *buf = NULL;
    size_t used = 0, capacity = 0, at = 0;
    if (f->bucket_count != t->map.bucket_count) {
        f->bucket = 0;
        f->bucket_count = t->map.bucket_count;
    }
    int rc = gather(t, f, &buf, &used, &capacity);
    bool is_end = f->bucket >= t->map.bucket_count;
    do { /* a bucket of large elements takes several messages */
        size_t bytes = 0;
        (void)measure(buf, used - at, SIZE_MAX, CHUNK_BYTES, &bytes);
        bool is_last = is_end && at + bytes >= used;
        rc = rc < 0 ? rc : reply(t, f, buf + at, bytes, is_last ? 0 : BB_REPLY_MORE);
        at += bytes;
    } while (rc == 0 && at < used);
    free(buf);
    return rc < 0 ? rc : !is_end;
}

/* As much as the ring takes without giving up a reader; true: there is more to do. */
static bool
fill_others(struct bb_table *t)
{
    for (struct bbi_filler **at = &t->fillers; *at != NULL;) {
        struct bbi_filler *f = *at;
        int rc = 1;
        while (rc == 1 && bb_headroom(t->c->data) >= bb_publisher_max(t->c->data)) {
            rc = fill_some(t, f);
        }
        if (rc == 1) {
            at = &f->next;
            continue;
        }
        *at = f->next; /* done, or who asked is gone */
        free(f);
    }
    return t->fillers != NULL;
}

/* ---- being filled ------------------------------------------------------------------------------- */

/* The next one that is up, by its id; 0: there is none. */
static uint64_t
next_peer(const struct bb_cluster *c, uint64_t after)
{
    uint64_t best = 0;
    for (size_t i = 0; i < c->peer_count; i++) {
        uint64_t id = c->peers[i].id;
        if (c->peers[i].is_up && id != c->id && id > after && (best == 0 || id < best)) {
            best = id;
        }
    }
    return best;
}

static void
ask(struct bb_table *t)
{
    unsigned char buf[HEAD_BYTES];
    struct bb_builder b;
    const struct bb_request_opts o = {.size = sizeof(o), .timeout_ns = FILL_NS};
    bbi_roll_catch_up(t->c);
    t->must_fill = false;
    t->whole = next_peer(t->c, t->whole);
    if (t->whole == 0) { /* nobody else, or nobody who has this table */
        t->is_filled = true;
        return;
    }
    t->whole_said = false;
    t->fill++;
    bb_build_init(&b, buf, sizeof(buf));
    bb_event_begin(&b, TABLE_EVENT, sizeof(TABLE_EVENT) - 1);
    bb_put_count(&b, t->whole);
    bb_event_end(&b);
    int64_t bytes = bb_build_end(&b);
    int rc = bytes < 0 ? (int)bytes
                       : bb_request(t->fill_topic, t->c->sub, buf, (size_t)bytes,
                                    BB_CONTROL | BB_NATIVE, &o, &t->request);
    if (rc == BB_ENORESPONDERS) {
        t->whole = 0;
        t->is_filled = true;
    } else if (rc < 0) {
        t->whole = 0;
        t->must_fill = true; /* later */
    }
}

/* Messages that we lost may have been changes. */
static void
look_for_losses(struct bb_table *t, int64_t now_ns)
{
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    if (now_ns - t->looked_ns < LOOK_NS) {
        return;
    }
    t->looked_ns = now_ns;
    bb_subscriber_stats(t->c->sub, &st);
    t->must_fill = t->must_fill || st.lost != t->lost;
    t->lost = st.lost;
}

int64_t
bbi_table_work(struct bb_table *t, int64_t now_ns)
{
    int64_t next = INT64_MAX;
    if (bbi_cluster_is_alone(t->c)) {
        return next;
    }
    look_for_losses(t, now_ns);
    if (t->must_fill && t->request == 0) {
        ask(t);
    }
    if (t->pending_count > 0 && now_ns >= t->flush_ns && bb_table_flush(t) < 0) {
        t->flush_ns = now_ns + AGAIN_NS;
    }
    if (t->pending_count > 0) {
        next = t->flush_ns;
    }
    return t->fillers != NULL && fill_others(t) ? bbi_min_i64(next, now_ns + AGAIN_NS) : next;
}

/* ---- topics ------------------------------------------------------------------------------------- */

int
bbi_table_topics(struct bb_table *t)
{
    char text[TOPIC_BYTES];
    int n = bbi_cluster_topic(t->c, "table/", t->name, "/", t->topic, sizeof(t->topic) - 1);
    if (n < 0) {
        return n;
    }
    t->topic_bytes = (size_t)n;
    t->topic[n] = '\0';
    n = bbi_cluster_topic(t->c, "table/", t->name, "/changes", text, sizeof(text));
    int rc = n < 0 ? n : bb_topic_open(&t->changes, t->c->data, text, (size_t)n);
    if (rc == 0) {
        n = bbi_cluster_topic(t->c, "table/", t->name, "/fill", text, sizeof(text));
        rc = n < 0 ? n : bb_topic_open(&t->fill_topic, t->c->control, text, (size_t)n);
    }
    return rc < 0 ? rc : bb_cluster_subscribe(t->c, t->topic, 0);
}

void
bbi_table_wire_fini(struct bb_table *t)
{
    while (t->fillers != NULL) {
        struct bbi_filler *f = t->fillers;
        t->fillers = f->next;
        free(f);
    }
    if (t->request != 0) {
        (void)bb_request_cancel(t->c->sub, t->request);
    }
    if (t->topic_bytes > 0) {
        (void)!bb_unsubscribe(t->c->sub, t->topic, t->topic_bytes, 0);
    }
    free(t->pending);
}

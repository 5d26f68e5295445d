/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/master_answer.c - what a frame is told, and frames that only read.
 *
 * Answers go out through a publisher that waits for nobody: a client that stands still loses them, asks again, and
 * is told what DONE remembers.  One that is longer than a message goes in several replies.
 */
#include "lib/store/master_impl.h"
#include "lib/value/native.h"
#include <stdlib.h>
#include <string.h>

enum { REPLY_ROOM = 256 }; /* of a message: its address */

/* ---- bytes ---- */

unsigned char *
bbi_out_room(struct bbi_out_bytes *o, size_t bytes)
{
    if (bytes > o->cap - o->bytes) {
        size_t cap = 2 * (o->bytes + bytes) + 4096;
        unsigned char *p = realloc(o->p, cap);
        if (p == NULL) {
            return NULL;
        }
        o->p = p;
        o->cap = cap;
    }
    unsigned char *at = o->p + o->bytes;
    o->bytes += bytes;
    return at;
}

int
bbi_out_result(struct bbi_out_bytes *o, const struct bb_store_result *r)
{
    size_t bytes = sizeof(struct bbi_result_head) + bbi_value_bytes(&r->value);
    unsigned char *p = bbi_out_room(o, bytes);
    if (p == NULL) {
        return BB_ENOMEM;
    }
    (void)bbi_result_write(p, r);
    return 0;
}

/* ---- replies ---- */

void
bbi_master_refuse(struct bb_store *s, const struct bb_request_info *to, int code)
{
    const struct bbi_house *house = &s->master->house;
    bool has_words = code == BB_ENOSPC && house->why.code == code;
    const char *sentence = code == BB_EAGAIN     ? "a frame before this one is not known here"
                           : code == BB_ECORRUPT ? "this is no frame of store protocol 1"
                           : has_words           ? house->why.sentence
                                                 : bb_strerror(code);
    (void)!bb_reply_error(s->master->pub, to, code < 0 ? code : BB_EINVAL, sentence);
}

void
bbi_master_answer(struct bb_store *s, struct bbi_frame *fr)
{
    struct bbi_master *m = s->master;
    size_t left = fr->answer_bytes;
    size_t most = bb_publisher_max(m->pub) - REPLY_ROOM;
    if (fr->refusal < 0) {
        bbi_master_refuse(s, &fr->from, fr->refusal);
        return;
    }
    const unsigned char *p = m->out.p + fr->answer_off;
    int rc = 0;
    while (rc == 0) {
        size_t n = left < most ? left : most;
        left -= n;
        uint32_t attr = BB_STORE | BB_NATIVE | (left > 0 ? (uint32_t)BB_REPLY_MORE : 0U);
        rc = bb_reply(m->pub, &fr->from, p, n, attr); /* one that cannot be told asks again */
        p += n;
        if (left == 0) {
            break;
        }
    }
}

/* Versions first and last of what changed: whoever watches looks into the log. */
void
bbi_master_note(struct bb_store *s, uint64_t before)
{
    struct bbi_master *m = s->master;
    const uint64_t versions[2] = {before + 1, m->house.state.version};
    if (m->apply.has_log && versions[1] > before && bb_topic_wanted(m->change) != 0) {
        (void)!bb_publish(m->change, versions, sizeof(versions), BB_STORE | BB_NATIVE);
    }
}

/* ---- reading ---- */

struct reading {
    struct bb_store *s;
    struct bbi_db_txn *txn;
    int64_t now_ns;
    struct bbi_out_bytes value; /* being built */
};

static int
put_word(struct bbi_out_bytes *o, enum bb_type type, uint64_t v)
{
    unsigned char *p = bbi_out_room(o, BBI_WORD_BYTES);
    if (p == NULL) {
        return BB_ENOMEM;
    }
    bbi_put64(p, BBI_HEAD(BBI_WORD_BYTES, type));
    bbi_put64(p + BBI_HEAD_BYTES, v);
    return 0;
}

static int
put_copy(struct bbi_out_bytes *o, const struct bb_value *v)
{
    size_t bytes = bbi_value_bytes(v);
    unsigned char *p = bbi_out_room(o, bytes);
    if (p == NULL || bytes == 0 || bytes > v->bytes) {
        return p == NULL ? BB_ENOMEM : BB_ECORRUPT;
    }
    memcpy(p, v->p, bytes);
    return 0;
}

/* Key, value, version, what is left: a vector's elements, by hand, for a value may nest as deep as values can. */
static int
put_item(struct reading *r, const struct bbi_record *rec)
{
    int64_t left_ns = rec->expires_ns == 0 ? BB_STORE_NEVER : rec->expires_ns - r->now_ns;
    int rc = put_copy(&r->value, &rec->key);
    rc = rc < 0 ? rc : put_copy(&r->value, &rec->value);
    rc = rc < 0 ? rc : put_word(&r->value, BB_COUNT, rec->version);
    return rc < 0 ? rc : put_word(&r->value, BB_INTEGER, (uint64_t)left_ns);
}

static int
begin_vector(struct reading *r)
{
    r->value.bytes = 0;
    return bbi_out_room(&r->value, BBI_CONTAINER_BYTES) == NULL ? BB_ENOMEM : 0;
}

static void
end_vector(struct reading *r, uint64_t count, struct bb_store_result *result)
{
    bbi_put64(r->value.p, BBI_HEAD(r->value.bytes, BB_VECTOR));
    bbi_put64(r->value.p + BBI_HEAD_BYTES, count);
    result->value = (struct bb_value){r->value.p, r->value.bytes};
}

static int
read_one(struct reading *r, const struct bb_store_cmd *cmd, struct bb_store_result *result)
{
    struct bbi_key at;
    struct bbi_record rec;
    int rc = bbi_find(r->txn, &cmd->key, r->now_ns, &at, &rec);
    if (rc < 0) {
        return rc == BB_EFULL ? BB_ENOENT : rc;
    }
    result->version = rec.version;
    if (cmd->op == BB_STORE_GET) {
        result->value = rec.value;
        return 0;
    }
    rc = begin_vector(r);
    rc = rc < 0 ? rc : put_item(r, &rec);
    if (rc == 0) {
        end_vector(r, 4, result);
    }
    return rc;
}

/* Walks a range: items (count false) or only how many. */
struct walk {
    uint64_t max, seen;
    bool is_count;
};

static bool
is_before(const void *a, size_t a_bytes, struct bbi_bytes b)
{
    size_t n = a_bytes < b.bytes ? a_bytes : b.bytes;
    int order = memcmp(a, b.p, n);
    return order < 0 || (order == 0 && a_bytes < b.bytes);
}

static int
walk_record(struct reading *r,
            const struct bb_store_cmd *cmd,
            bool may_differ,
            struct bbi_bytes raw,
            struct walk *w)
{
    struct bbi_record rec;
    int rc = bbi_record_read(&rec, raw);
    if (rc < 0 || bbi_is_due(&rec, r->now_ns)
        || (may_differ && !bbi_key_has_prefix(&rec.key, &cmd->key))) {
        return rc;
    }
    w->seen++;
    return w->is_count ? 0 : put_item(r, &rec);
}

/* One range, behind the key `after` if that lies in it. */
static int
walk_range(struct reading *r,
           const struct bb_store_cmd *cmd,
           const struct bbi_key_range *range,
           const struct bbi_key *after,
           struct walk *w)
{
    struct bbi_db_cursor *c;
    struct bbi_bytes k = {range->first, range->first_len};
    struct bbi_bytes v;
    const struct bbi_bytes end = {range->behind, range->behind_len};
    bool is_after =
        after->len != 0
        && !is_before(after->bytes, after->len, (struct bbi_bytes){range->first, range->first_len});
    int rc = bbi_db_cursor_open(&c, r->txn, BBI_DB_MAIN);
    if (rc < 0) {
        return rc;
    }
    if (is_after) {
        k = (struct bbi_bytes){after->bytes, after->len};
    }
    rc = bbi_db_seek(c, k.bytes == 0 ? (struct bbi_bytes){NULL, 0} : k, &k, &v);
    while (rc == 0 && w->seen < w->max && r->value.bytes < BBI_READ_BYTES) {
        if (end.bytes != 0 && !is_before(k.p, k.bytes, end)) {
            break;
        }
        if (!(is_after && !is_before(after->bytes, after->len, k))) {
            rc = walk_record(r, cmd, range->may_differ, v, w);
        }
        rc = rc < 0 ? rc : bbi_db_next(c, &k, &v);
    }
    bbi_db_cursor_close(c);
    return rc == BB_ENOENT ? 0 : rc;
}

static int
read_range(struct reading *r, const struct bb_store_cmd *cmd, struct bb_store_result *result)
{
    static const uint64_t COUNT_MAX = UINT32_MAX / 4;
    struct bbi_key_range range;
    struct bbi_key after = {.len = 0};
    struct walk w = {.is_count = cmd->op == BBI_READ_COUNT};
    w.max = w.is_count ? UINT64_MAX : bbi_min_u64(cmd->if_version, COUNT_MAX);
    int rc = bbi_key_range(&range, &cmd->key);
    if (rc == 0
        && cmd->index.p != NULL) { /* one that is hashed stands at most between keys of one hash */
        rc = bbi_key_make(&after, &cmd->index, 0) < 0 ? BB_EINVAL : 0;
        if (rc == 0 && after.is_hashed) {
            struct bbi_record rec;
            (void)!bbi_find_any(r->txn, &cmd->index, &after, &rec);
        }
    }
    rc = rc < 0 ? rc : begin_vector(r);
    rc = rc < 0 ? rc : walk_range(r, cmd, &range, &after, &w);
    if (rc == 0 && range.has_next) {
        bbi_key_range_next(&range, &cmd->key);
        rc = walk_range(r, cmd, &range, &after, &w);
    }
    if (rc == 0 && w.is_count) {
        r->value.bytes = 0;
        rc = put_word(&r->value, BB_COUNT, w.seen);
        result->value = (struct bb_value){r->value.p, r->value.bytes};
    } else if (rc == 0) {
        end_vector(r, 4 * w.seen, result);
    }
    return rc;
}

static int
read_command(struct reading *r, const struct bb_store_cmd *cmd, struct bbi_out_bytes *out)
{
    struct bb_store_result result = {0};
    bool is_one = cmd->op == BB_STORE_GET || cmd->op == BBI_READ_ITEM;
    bool is_range = cmd->op == BBI_READ_SCAN || cmd->op == BBI_READ_COUNT;
    if ((!is_one && !is_range) || !bbi_cmd_is_whole(cmd)) {
        result.code = BB_EINVAL;
    } else {
        result.code = is_one ? read_one(r, cmd, &result) : read_range(r, cmd, &result);
    }
    if (out->bytes > BBI_FRAME_BYTES_MAX && result.value.p != NULL) {
        result.code = BB_EMSGSIZE;
    }
    if (result.code < 0) {
        result.value = (struct bb_value){NULL, 0};
    }
    return bbi_out_result(out, &result);
}

int
bbi_master_read(struct bb_store *s, struct bbi_frame *fr)
{
    struct bbi_master *m = s->master;
    struct reading r = {.s = s, .now_ns = bbi_store_now_ns(s)};
    struct bb_store_cmd cmd;
    const struct bbi_answer_head head = {
        .number = fr->head.number, .version = m->house.state.version, .count = fr->head.count};
    size_t off = 0;
    fr->answer_off = m->out.bytes;
    unsigned char *p = bbi_out_room(&m->out, sizeof(head));
    int rc = p == NULL ? BB_ENOMEM : bbi_db_read_begin(m->house.env, &r.txn);
    if (rc < 0) {
        return rc;
    }
    memcpy(p, &head, sizeof(head));
    for (uint32_t i = 0; rc == 0 && i < fr->head.count; i++) {
        rc = bbi_frame_next(fr->bytes, &off, &cmd);
        rc = rc < 0 ? rc : read_command(&r, &cmd, &m->out);
    }
    bbi_db_abort(r.txn);
    free(r.value.p);
    fr->answer_bytes = m->out.bytes - fr->answer_off;
    return rc;
}

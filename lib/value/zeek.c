/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zeek's messages: (count 1, count TYPE, content).
 *
 *     event              (string name, (arguments) [, ((count id, value), ...)])
 *     log-create         (enum stream, enum writer, writer's settings, fields)
 *     log-write          (enum stream, enum writer, string path, string bytes)
 *     identifier-update  (string id, value)
 *     batch              (message, ...), which may be batches
 *
 * The idea: what a type asks of its content is a row of a table.  Opening looks at one message; only a batch's
 * open goes through all that is in it, with the iterator that its reader uses, so nothing recurses.
 *
 * Only shapes are checked here, not whether the value is canonical: bb_value_check() does.
 */
#include "lib/value/build.h"

#include <busbar/codec.h>

enum {
    VERSION = 1,
    MESSAGE_PARTS = 3,
    CONTENT_PARTS_MAX = 4,
    ANY = 0xff,
    LEVELS = sizeof(((struct bb_zeek_iter *)0)->levels) / sizeof(struct bb_iter),
};

struct shape {
    uint8_t parts;
    uint8_t types[CONTENT_PARTS_MAX];
};

static int
take_count(struct bb_iter *it, uint64_t *out)
{
    struct bb_value v;
    int rc = bb_iter_next(it, &v);
    return rc < 0 ? rc : bb_get_count(&v, out);
}

/* A vector's iterator; its length must be from least to most. */
static int
open_vector(struct bb_iter *it, const struct bb_value *v, int64_t least, int64_t most)
{
    int type = bb_value_type(v);
    if (type != BB_VECTOR) {
        return type < 0 ? type : BB_ETYPE;
    }
    int64_t parts = bb_iter_open(it, v);
    if (parts < 0) {
        return (int)parts;
    }
    return parts < least || parts > most ? BB_ETYPE : 0;
}

static int
check_shape(const struct bb_value *content, const struct shape *shape)
{
    struct bb_iter it;
    struct bb_value v;
    int rc = open_vector(&it, content, shape->parts, shape->parts);
    for (uint32_t i = 0; rc == 0 && i < shape->parts; i++) {
        rc = bb_iter_next(&it, &v);
        if (rc == 0) {
            int type = bb_value_type(&v);
            rc = type < 0 ? type : shape->types[i] == ANY || shape->types[i] == type ? 0 : BB_ETYPE;
        }
    }
    return rc;
}

/* Each entry is (count id, value). */
static int
check_metadata(const struct bb_value *metadata)
{
    static const struct shape entry_shape = {2, {BB_COUNT, ANY}};
    struct bb_iter it;
    struct bb_value entry;
    int rc = open_vector(&it, metadata, 0, UINT32_MAX);
    while (rc == 0) {
        rc = bb_iter_next(&it, &entry);
        if (rc == 0) {
            rc = check_shape(&entry, &entry_shape);
        }
    }
    return rc == BB_EEND ? 0 : rc;
}

static int
open_event(struct bb_zeek_msg *msg)
{
    int rc = bb_event_open(&msg->event, msg->content.p, msg->content.bytes);
    return rc < 0 || msg->event.metadata.p == NULL ? rc : check_metadata(&msg->event.metadata);
}

static int
open_content(struct bb_zeek_msg *msg)
{
    static const struct shape create = {4, {BB_ENUM, BB_ENUM, ANY, ANY}};
    static const struct shape write = {4, {BB_ENUM, BB_ENUM, BB_STRING, BB_STRING}};
    static const struct shape update = {2, {BB_STRING, ANY}};
    struct bb_iter it;
    switch (msg->type) {
    case BB_ZEEK_EVENT:
        return open_event(msg);
    case BB_ZEEK_LOG_CREATE:
        return check_shape(&msg->content, &create);
    case BB_ZEEK_LOG_WRITE:
        return check_shape(&msg->content, &write);
    case BB_ZEEK_IDENTIFIER_UPDATE:
        return check_shape(&msg->content, &update);
    default: /* batch */
        return open_vector(&it, &msg->content, 0, UINT32_MAX);
    }
}

/* One message, without what is in a batch. */
static int
open_one(struct bb_zeek_msg *out, const struct bb_value *v)
{
    struct bb_zeek_msg msg = {.type = 0};
    struct bb_iter it;
    uint64_t version;
    uint64_t type;
    int rc;
    if ((rc = open_vector(&it, v, MESSAGE_PARTS, MESSAGE_PARTS)) < 0
        || (rc = take_count(&it, &version)) < 0 || (rc = take_count(&it, &type)) < 0
        || (rc = bb_iter_next(&it, &msg.content)) < 0) {
        return rc;
    }
    if (version != VERSION || type < BB_ZEEK_EVENT || type > BB_ZEEK_BATCH) {
        return BB_ETYPE;
    }
    msg.type = (int)type;
    rc = open_content(&msg);
    if (rc == 0) {
        *out = msg;
    }
    return rc;
}

int
bb_zeek_open(struct bb_zeek_msg *out, const struct bb_value *v)
{
    struct bb_zeek_msg msg = {.type = 0};
    struct bb_zeek_msg member = {.type = 0};
    struct bb_zeek_iter it;
    int rc = open_one(&msg, v);
    if (rc == 0 && msg.type == BB_ZEEK_BATCH) {
        rc = bb_zeek_iter_open(&it, &msg);
        while (rc == 0) {
            rc = bb_zeek_next(&it, &member);
        }
        rc = rc == BB_EEND ? 0 : rc;
    }
    if (rc == 0) {
        *out = msg;
    }
    return rc;
}

int
bb_zeek_iter_open(struct bb_zeek_iter *it, const struct bb_zeek_msg *batch)
{
    if (batch->type != BB_ZEEK_BATCH) {
        return BB_ETYPE;
    }
    int rc = open_vector(&it->levels[0], &batch->content, 0, UINT32_MAX);
    it->depth = rc == 0;
    return rc;
}

/* The message may have changed since bb_zeek_open(), so each member is looked at again. */
int
bb_zeek_next(struct bb_zeek_iter *it, struct bb_zeek_msg *out)
{
    while (it->depth > 0 && it->depth <= LEVELS) {
        struct bb_zeek_msg msg = {.type = 0};
        struct bb_value v;
        int rc = bb_iter_next(&it->levels[it->depth - 1], &v);
        if (rc == BB_EEND) {
            it->depth--;
            continue;
        }
        if (rc < 0 || (rc = open_one(&msg, &v)) < 0) {
            return rc;
        }
        if (msg.type != BB_ZEEK_BATCH) {
            *out = msg;
            return 0;
        }
        if (it->depth == LEVELS) {
            return BB_ETYPE;
        }
        rc = open_vector(&it->levels[it->depth], &msg.content, 0, UINT32_MAX);
        if (rc < 0) {
            return rc;
        }
        it->depth++;
    }
    return it->depth == 0 ? BB_EEND : BB_EINVAL;
}

/* ---- building ---------------------------------------------------------------------------------- */

/* Only batches hold messages, so one bit says of all that are open whether they have a vector of members. */
void
bb_zeek_begin(struct bb_builder *b, enum bb_zeek_type type)
{
    if (type < BB_ZEEK_EVENT || type > BB_ZEEK_BATCH || (b->depth & BBI_BUILD_MESSAGE) != 0) {
        bbi_build_fail(b, BB_EINVAL);
    }
    bb_put_vector_begin(b);
    bb_put_count(b, VERSION);
    bb_put_count(b, (uint64_t)type);
    if (type == BB_ZEEK_BATCH) {
        bb_put_vector_begin(b);
    } else {
        b->depth |= BBI_BUILD_MESSAGE;
    }
}

/* Is the innermost container a message, complete? */
static bool
is_at_message(const struct bb_builder *b, bool is_batch)
{
    struct bb_value v;
    uint64_t version = 0;
    uint64_t type = 0;
    if (b->open_off == SIZE_MAX || bbi_build_children(b) != MESSAGE_PARTS) {
        return false;
    }
    const unsigned char *parts = b->buf + b->open_off + BBI_CONTAINER_BYTES;
    v = (struct bb_value){parts, BBI_WORD_BYTES};
    if (bb_get_count(&v, &version) < 0) {
        return false;
    }
    v = (struct bb_value){parts + BBI_WORD_BYTES, BBI_WORD_BYTES};
    return bb_get_count(&v, &type) == 0 && version == VERSION
           && is_batch == (type == BB_ZEEK_BATCH);
}

void
bb_zeek_end(struct bb_builder *b)
{
    bool is_batch = (b->depth & BBI_BUILD_MESSAGE) == 0;
    b->depth &= ~BBI_BUILD_MESSAGE;
    if (is_batch) {
        bb_put_end(b); /* its members */
    }
    if (b->err == 0 && !is_at_message(b, is_batch)) {
        bbi_build_fail(b, BB_EINVAL);
    }
    bb_put_end(b);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/command.c - commands and results on the wire.
 *
 * Lengths of values are multiples of 8, so every head stands at a multiple of 8 of the frame.  A frame itself may
 * begin anywhere, and may lie in memory that others write: heads are copied, checked, and used from the copy.
 */
#include "lib/store/command.h"
#include "lib/value/native.h"

static_assert(sizeof(struct bbi_frame_head) == 32, "store protocol 1");
static_assert(sizeof(struct bbi_cmd_head) == 40, "store protocol 1");
static_assert(sizeof(struct bbi_answer_head) == 24, "store protocol 1");
static_assert(sizeof(struct bbi_result_head) == 24, "store protocol 1");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "heads are copied as they are");

/* ---- which command needs what ---- */

enum { NEEDS_KEY = 1, NEEDS_VALUE = 2, NEEDS_INDEX = 4, MAY_VALUE = 8 };

static const uint8_t needs[BBI_OP_COUNT] = {
    [BB_STORE_PUT] = NEEDS_KEY | NEEDS_VALUE,
    [BB_STORE_PUT_UNIQUE] = NEEDS_KEY | NEEDS_VALUE,
    [BB_STORE_PUT_IF] = NEEDS_KEY | NEEDS_VALUE,
    [BB_STORE_ERASE] = NEEDS_KEY,
    [BB_STORE_CLEAR] = 0,
    [BB_STORE_INCREMENT] = NEEDS_KEY | NEEDS_VALUE,
    [BB_STORE_DECREMENT] = NEEDS_KEY | NEEDS_VALUE,
    [BB_STORE_APPEND] = NEEDS_KEY | NEEDS_VALUE,
    [BB_STORE_INSERT] = NEEDS_KEY | NEEDS_INDEX | MAY_VALUE,
    [BB_STORE_REMOVE] = NEEDS_KEY | NEEDS_INDEX,
    [BB_STORE_PUSH] = NEEDS_KEY | NEEDS_VALUE,
    [BB_STORE_POP] = NEEDS_KEY,
    [BB_STORE_EXPIRE] = NEEDS_KEY,
    [BB_STORE_GET] = NEEDS_KEY,
};

/* A part that is needed is there, one that is not needed is not. */
static bool
fits(const struct bb_value *v, bool is_needed, bool may_be)
{
    return v->p != NULL ? is_needed || may_be : !is_needed;
}

bool
bbi_cmd_is_whole(const struct bb_store_cmd *cmd)
{
    bool is_span = cmd->expire_ns >= BB_STORE_NEVER || cmd->expire_ns == BBI_EXPIRE_KEEP;
    if (cmd->reserved != 0 || !is_span) {
        return false;
    }
    if (cmd->op >= BBI_READ_ITEM && cmd->op <= BBI_READ_COUNT) {
        bool is_item = cmd->op == BBI_READ_ITEM;
        return fits(&cmd->key, is_item, true) && fits(&cmd->value, false, false)
               && fits(&cmd->index, false, cmd->op == BBI_READ_SCAN);
    }
    if (cmd->op == 0 || cmd->op >= BBI_OP_COUNT) {
        return false;
    }
    uint8_t n = needs[cmd->op];
    return fits(&cmd->key, (n & NEEDS_KEY) != 0, false)
           && fits(&cmd->value, (n & NEEDS_VALUE) != 0, (n & MAY_VALUE) != 0)
           && fits(&cmd->index, (n & NEEDS_INDEX) != 0, false);
}

/* ---- values ---- */

/* Bytes with padding; 0 if there is none; BB_EINVAL if it is not well formed. */
static int64_t
value_bytes(const struct bb_value *v)
{
    if (v->p == NULL) {
        return 0;
    }
    uint64_t head = bbi_head_read(v->p, v->bytes);
    return head == 0 || bb_value_check(v) < 0 ? BB_EINVAL : (int64_t)bbi_pad8(bbi_head_bytes(head));
}

/* Its padding may be missing where it comes from; it may also change while it is copied. */
static unsigned char *
put_value(unsigned char *p, const struct bb_value *v, size_t padded)
{
    if (padded > 0) {
        size_t bytes = padded < v->bytes ? padded : v->bytes;
        memset(p + bytes, 0, padded - bytes);
        memcpy(p, v->p, bytes);
    }
    return p + padded;
}

/* The value of exactly so many bytes at off, which moves behind it. */
static int
take_value(struct bbi_bytes from, size_t *off, uint32_t bytes, struct bb_value *out)
{
    *out = (struct bb_value){NULL, 0};
    if (bytes == 0) {
        return 0;
    }
    const unsigned char *p = (const unsigned char *)from.p + *off;
    if (bytes % 8 != 0 || bytes > from.bytes - *off) {
        return BB_ECORRUPT;
    }
    uint64_t head = bbi_head_read(p, bytes);
    if (head == 0 || bbi_pad8(bbi_head_bytes(head)) != bytes) {
        return BB_ECORRUPT;
    }
    *out = (struct bb_value){p, bytes};
    *off += bytes;
    return 0;
}

static bool
take_head(struct bbi_bytes from, size_t *off, void *head, size_t bytes)
{
    if (*off > from.bytes || bytes > from.bytes - *off) {
        return false;
    }
    memcpy(head, (const unsigned char *)from.p + *off, bytes);
    *off += bytes;
    return true;
}

/* ---- frames ---- */

int64_t
bbi_frame_bytes(const struct bb_store_cmd *cmds, size_t count)
{
    int64_t sum = sizeof(struct bbi_frame_head);
    for (size_t i = 0; i < count; i++) {
        int64_t key = value_bytes(&cmds[i].key);
        int64_t value = value_bytes(&cmds[i].value);
        int64_t index = value_bytes(&cmds[i].index);
        if (!bbi_cmd_is_whole(&cmds[i]) || key < 0 || value < 0 || index < 0) {
            return BB_EINVAL;
        }
        sum += (int64_t)sizeof(struct bbi_cmd_head) + key + value + index;
        if (sum > BBI_FRAME_BYTES_MAX) {
            return BB_EMSGSIZE;
        }
    }
    return sum;
}

/* As value_bytes(), of one that was checked. */
static uint32_t
bytes_again(const struct bb_value *v)
{
    return v->p == NULL ? 0 : (uint32_t)bbi_pad8(bbi_head_bytes(bbi_head_read(v->p, v->bytes)));
}

int
bbi_frame_write(void *out,
                size_t bytes,
                const struct bbi_frame_head *head,
                const struct bb_store_cmd *cmds)
{
    unsigned char *p = out;
    const unsigned char *end = p + bytes;
    memcpy(p, head, sizeof(*head));
    p += sizeof(*head);
    for (uint32_t i = 0; i < head->count; i++) {
        const struct bb_store_cmd *c = &cmds[i];
        const struct bbi_cmd_head h = {.op = c->op,
                                       .key_bytes = bytes_again(&c->key),
                                       .value_bytes = bytes_again(&c->value),
                                       .index_bytes = bytes_again(&c->index),
                                       .expire_ns = c->expire_ns,
                                       .if_version = c->if_version};
        uint64_t whole = sizeof(h) + (uint64_t)h.key_bytes + h.value_bytes + h.index_bytes;
        if (whole > (uint64_t)(end - p)) {
            return BB_EINVAL;
        }
        memcpy(p, &h, sizeof(h));
        p = put_value(p + sizeof(h), &c->key, h.key_bytes);
        p = put_value(p, &c->value, h.value_bytes);
        p = put_value(p, &c->index, h.index_bytes);
    }
    return p == end ? 0 : BB_EINVAL;
}

int
bbi_frame_read(struct bbi_frame_head *head, struct bbi_bytes frame)
{
    size_t off = 0;
    struct bbi_frame_head h;
    if (!take_head(frame, &off, &h, sizeof(h)) || h.reserved != 0 || h.number == 0
        || h.answered >= h.number || frame.bytes > BBI_FRAME_BYTES_MAX) {
        return BB_ECORRUPT;
    }
    if (h.kind < BBI_FRAME_COMMANDS || h.kind > BBI_FRAME_BYE
        || (h.flags & ~(uint32_t)BB_STORE_ATOMIC) != 0) {
        return BB_ENOTSUP;
    }
    bool has_commands = h.kind == BBI_FRAME_COMMANDS || h.kind == BBI_FRAME_READ;
    if (has_commands ? h.count > (frame.bytes - off) / sizeof(struct bbi_cmd_head)
                     : h.count != 0 || frame.bytes != off) {
        return BB_ECORRUPT;
    }
    *head = h;
    return 0;
}

int
bbi_frame_next(struct bbi_bytes frame, size_t *off, struct bb_store_cmd *cmd)
{
    struct bbi_cmd_head h;
    size_t at = *off == 0 ? sizeof(struct bbi_frame_head) : *off;
    struct bb_store_cmd c = {0};
    if (!take_head(frame, &at, &h, sizeof(h)) || h.reserved != 0 || h.reserved2 != 0) {
        return BB_ECORRUPT;
    }
    int rc = take_value(frame, &at, h.key_bytes, &c.key);
    rc = rc < 0 ? rc : take_value(frame, &at, h.value_bytes, &c.value);
    rc = rc < 0 ? rc : take_value(frame, &at, h.index_bytes, &c.index);
    if (rc < 0 || value_bytes(&c.key) < 0 || value_bytes(&c.value) < 0
        || value_bytes(&c.index) < 0) {
        return BB_ECORRUPT;
    }
    c.op = h.op;
    c.expire_ns = h.expire_ns;
    c.if_version = h.if_version;
    *cmd = c;
    *off = at;
    return 0;
}

/* ---- answers ---- */

int64_t
bbi_answer_bytes(const struct bb_store_result *results, size_t count)
{
    int64_t sum = sizeof(struct bbi_answer_head);
    for (size_t i = 0; i < count; i++) {
        sum += (int64_t)sizeof(struct bbi_result_head) + bytes_again(&results[i].value);
    }
    return sum;
}

unsigned char *
bbi_result_write(unsigned char *p, const struct bb_store_result *r)
{
    const struct bbi_result_head h = {.code = r->code,
                                      .changed = r->changed,
                                      .version = r->version,
                                      .value_bytes = bytes_again(&r->value)};
    memcpy(p, &h, sizeof(h));
    return put_value(p + sizeof(h), &r->value, h.value_bytes);
}

void
bbi_answer_write(void *out,
                 const struct bbi_answer_head *head,
                 const struct bb_store_result *results)
{
    unsigned char *p = out;
    memcpy(p, head, sizeof(*head));
    p += sizeof(*head);
    for (uint32_t i = 0; i < head->count; i++) {
        p = bbi_result_write(p, &results[i]);
    }
}

int
bbi_answer_read(struct bbi_answer_head *head, struct bbi_bytes answer)
{
    size_t off = 0;
    struct bbi_answer_head h;
    if (!take_head(answer, &off, &h, sizeof(h))
        || h.count > (answer.bytes - off) / sizeof(struct bbi_result_head)) {
        return BB_ECORRUPT;
    }
    *head = h;
    return 0;
}

int
bbi_answer_next(struct bbi_bytes answer, size_t *off, struct bb_store_result *result)
{
    struct bbi_result_head h;
    struct bb_store_result r;
    size_t at = *off == 0 ? sizeof(struct bbi_answer_head) : *off;
    if (!take_head(answer, &at, &h, sizeof(h)) || h.reserved != 0 || h.changed > 1 || h.code > 0
        || take_value(answer, &at, h.value_bytes, &r.value) < 0) {
        return BB_ECORRUPT;
    }
    r.code = h.code;
    r.changed = h.changed;
    r.version = h.version;
    *result = r;
    *off = at;
    return 0;
}

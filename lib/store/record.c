/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Heads are copied as they are, so this is for little-endian machines, as everything in shared memory is.
 */
#include "lib/store/record.h"
#include "lib/value/native.h"
#include "shm/hash.h"
#include <limits.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "store format 1");

enum { CHECK_BYTES = sizeof(uint64_t), ALIGN = 8 };

size_t
bbi_value_bytes(const struct bb_value *v)
{
    return v->p != NULL ? bbi_pad8(bbi_head_bytes(bbi_head_read(v->p, v->bytes))) : 0;
}

/* The value and zeros up to bytes; its last padding may lie outside of its window. */
static unsigned char *
add_value(unsigned char *to, const struct bb_value *v, size_t bytes)
{
    size_t n = v->p != NULL ? bbi_head_bytes(bbi_head_read(v->p, v->bytes)) : 0;
    n = n < bytes ? n : bytes;
    if (n > 0) {
        memcpy(to, v->p, n);
    }
    memset(to + n, 0, bytes - n);
    return to + bytes;
}

size_t
bbi_record_bytes(size_t key_bytes, size_t value_bytes)
{
    return sizeof(struct bbi_record_head) + bbi_pad8(key_bytes) + bbi_pad8(value_bytes);
}

void
bbi_record_write(void *out, const struct bbi_record *rec)
{
    unsigned char *p = out;
    size_t key_bytes = bbi_pad8(rec->key.bytes);
    size_t bytes = bbi_record_bytes(rec->key.bytes, rec->value.bytes);
    struct bbi_record_head head = {.version = rec->version,
                                   .expires_ns = rec->expires_ns,
                                   .key_bytes = (uint32_t)key_bytes,
                                   .format = BBI_STORE_FORMAT};
    unsigned char *value = add_value(p + sizeof(head), &rec->key, key_bytes);
    (void)add_value(value, &rec->value, bbi_pad8(rec->value.bytes));
    memcpy(p, &head, sizeof(head));
    head.check = bbi_hash64(p + CHECK_BYTES, bytes - CHECK_BYTES);
    memcpy(p, &head, CHECK_BYTES);
}

int
bbi_record_read(struct bbi_record *out, struct bbi_bytes raw)
{
    struct bbi_record_head head;
    const unsigned char *p = raw.p;
    if (raw.bytes < sizeof(head)) {
        return BB_ECORRUPT;
    }
    memcpy(&head, p, sizeof(head));
    size_t left = raw.bytes - sizeof(head);
    if (head.format != BBI_STORE_FORMAT || head.flags != 0 || head.key_bytes > left
        || head.key_bytes % ALIGN != 0 || left % ALIGN != 0) {
        return BB_ECORRUPT;
    }
    out->version = head.version;
    out->expires_ns = head.expires_ns;
    out->key = (struct bb_value){p + sizeof(head), head.key_bytes};
    out->value = (struct bb_value){p + sizeof(head) + head.key_bytes, left - head.key_bytes};
    return bbi_head_read(out->key.p, out->key.bytes) != 0
                   && bbi_head_read(out->value.p, out->value.bytes) != 0
               ? 0
               : BB_ECORRUPT;
}

/* Well formed, and nothing behind it. */
static bool
is_whole(const struct bb_value *v)
{
    return bb_value_check(v) == 0 && bbi_value_bytes(v) == v->bytes;
}

int
bbi_record_check(struct bbi_bytes raw)
{
    struct bbi_record rec;
    uint64_t check;
    if (bbi_record_read(&rec, raw) < 0 || rec.expires_ns < 0) {
        return BB_ECORRUPT;
    }
    const unsigned char *p = raw.p;
    memcpy(&check, p, sizeof(check));
    return check == bbi_hash64(p + CHECK_BYTES, raw.bytes - CHECK_BYTES) && is_whole(&rec.key)
                   && is_whole(&rec.value)
               ? 0
               : BB_ECORRUPT;
}

void
bbi_expiry_key(unsigned char out[BBI_EXPIRY_KEY_BYTES],
               int64_t expires_ns,
               struct bbi_bytes main_key)
{
    uint64_t deadline = htobe64((uint64_t)expires_ns);
    memcpy(out, &deadline, sizeof(deadline));
    bbi_hash128(main_key.p, main_key.bytes, out + sizeof(deadline));
}

/* ---- the log ------------------------------------------------------------------------------------- */

static size_t
name_bytes(const struct bb_store_change *c)
{
    return (c->node != NULL ? strlen(c->node) : 0) + 1;
}

size_t
bbi_log_bytes(const struct bb_store_change *c)
{
    return sizeof(struct bbi_log_head) + bbi_pad8(name_bytes(c)) + bbi_value_bytes(&c->key)
           + bbi_value_bytes(&c->value) + bbi_value_bytes(&c->old);
}

void
bbi_log_write(void *out, const struct bb_store_change *c)
{
    unsigned char *p = out;
    struct bbi_log_head head = {.kind = c->kind,
                                .name_bytes = (uint32_t)name_bytes(c),
                                .wall_ns = c->wall_ns,
                                .expires_ns = c->expires_ns,
                                .node_id = c->node_id,
                                .key_bytes = (uint32_t)bbi_value_bytes(&c->key),
                                .value_bytes = (uint32_t)bbi_value_bytes(&c->value),
                                .old_bytes = (uint32_t)bbi_value_bytes(&c->old)};
    memcpy(p, &head, sizeof(head));
    p += sizeof(head);
    memset(p, 0, bbi_pad8(head.name_bytes));
    if (c->node != NULL) {
        memcpy(p, c->node, head.name_bytes);
    }
    p += bbi_pad8(head.name_bytes);
    p = add_value(p, &c->key, head.key_bytes);
    p = add_value(p, &c->value, head.value_bytes);
    (void)add_value(p, &c->old, head.old_bytes);
}

/* bytes 0: there is none. */
static int
take_value(struct bb_value *v, const unsigned char **p, uint32_t bytes)
{
    *v = (struct bb_value){bytes != 0 ? *p : NULL, bytes};
    *p += bytes;
    return bytes == 0 || bbi_head_read(v->p, v->bytes) != 0 ? 0 : BB_ECORRUPT;
}

int
bbi_log_read(struct bb_store_change *c, uint64_t version, struct bbi_bytes raw)
{
    struct bbi_log_head head;
    const unsigned char *p = raw.p;
    if (raw.bytes < sizeof(head)) {
        return BB_ECORRUPT;
    }
    memcpy(&head, p, sizeof(head));
    p += sizeof(head);
    uint64_t need = bbi_pad8((size_t)head.name_bytes) + (uint64_t)head.key_bytes + head.value_bytes
                    + head.old_bytes;
    if (need != raw.bytes - sizeof(head) || head.name_bytes == 0 || p[head.name_bytes - 1] != '\0'
        || head.kind < BB_STORE_INSERTED || head.kind > BB_STORE_GAP) {
        return BB_ECORRUPT;
    }
    *c = (struct bb_store_change){.kind = head.kind,
                                  .version = version,
                                  .wall_ns = head.wall_ns,
                                  .expires_ns = head.expires_ns,
                                  .node_id = head.node_id,
                                  .node = (const char *)p};
    p += bbi_pad8(head.name_bytes);
    int rc = take_value(&c->key, &p, head.key_bytes);
    rc = rc < 0 ? rc : take_value(&c->value, &p, head.value_bytes);
    return rc < 0 ? rc : take_value(&c->old, &p, head.old_bytes);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An event: (string name, (arguments) [, ((count id, value), ...)]).
 *
 * The builder's floor keeps the caller's puts inside the arguments or inside one metadata entry; which of the
 * two is open, BBI_BUILD_META says.  An event cannot be begun inside an event: bb_put_value() puts a whole one.
 */
#define BB_NO_INLINE 1 /* the exported functions are defined here */
#include "lib/value/build.h"

/* Is the caller done with all containers that it opened itself inside the event? */
static bool
is_at_floor(struct bb_builder *b)
{
    uint32_t floor = bbi_build_floor(b);
    if (floor == 0 || bbi_build_depth(b) != floor) {
        bbi_build_fail(b, BB_EINVAL);
        return false;
    }
    return true;
}

/* Closes the arguments, or the metadata entry, which holds an id and one value. */
static void
close_part(struct bb_builder *b)
{
    if ((b->depth & BBI_BUILD_META) != 0 && b->children != 2) {
        bbi_build_fail(b, BB_EINVAL);
    }
    bbi_build_close(b);
}

void
bb_event_begin(struct bb_builder *b, const char *name, size_t name_bytes)
{
    if (bbi_build_floor(b) != 0) {
        bbi_build_fail(b, BB_EINVAL);
        return;
    }
    b->event_off = (uint32_t)b->need_bytes;
    bbi_build_open(b, BB_VECTOR);
    bb_put_string(b, name, name_bytes);
    bbi_build_open(b, BB_VECTOR);
    bbi_build_set_event(b, bbi_build_depth(b), 0);
}

void
bb_event_meta(struct bb_builder *b, uint64_t id)
{
    if (!is_at_floor(b)) {
        return;
    }
    close_part(b);
    if ((b->depth & BBI_BUILD_META) == 0) {
        bbi_build_open(b, BB_VECTOR);
    }
    bbi_build_open(b, BB_VECTOR);
    bb_put_count(b, id);
    bbi_build_set_event(b, bbi_build_depth(b), BBI_BUILD_META);
}

void
bb_event_end(struct bb_builder *b)
{
    if (!is_at_floor(b)) {
        return;
    }
    close_part(b);
    if ((b->depth & BBI_BUILD_META) != 0) {
        bbi_build_close(b);
    }
    bbi_build_close(b);
    bbi_build_set_event(b, 0, 0);
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* The next part of the event: its head (0: it does not fit), and *out as its window. */
static inline uint64_t
take_part(struct bb_value *rest, struct bb_value *out)
{
    uint64_t head = bbi_head_read(rest->p, rest->bytes);
    size_t padded = bbi_pad8(bbi_head_bytes(head));
    if (head == 0 || padded > rest->bytes) {
        return 0;
    }
    *out = (struct bb_value){rest->p, padded};
    rest->p += padded;
    rest->bytes -= padded;
    return head;
}

/* The parts of the vector; each head is looked at once. */
static int
take_parts(struct bb_event *ev, struct bb_value rest, uint32_t parts)
{
    struct bb_value name;
    uint64_t name_head = take_part(&rest, &name);
    uint64_t args_head = name_head == 0 ? 0 : take_part(&rest, &ev->args);
    uint64_t meta_head = BBI_HEAD(0, BB_VECTOR);
    if (parts == 3 && args_head != 0) {
        meta_head = take_part(&rest, &ev->metadata);
    }
    if (args_head == 0 || meta_head == 0) {
        return BB_ECORRUPT;
    }
    if (bbi_head_type(name_head) != BB_STRING || bbi_head_type(args_head) != BB_VECTOR
        || bbi_head_type(meta_head) != BB_VECTOR) {
        return BB_ETYPE;
    }
    ev->name = (const char *)name.p + BBI_HEAD_BYTES;
    ev->name_bytes = bbi_head_bytes(name_head) - BBI_HEAD_BYTES;
    ev->arg_count = (uint32_t)bbi_once64(ev->args.p + BBI_HEAD_BYTES);
    return ev->arg_count > ev->args.bytes / BBI_HEAD_BYTES ? BB_ECORRUPT : 0;
}

int
bb_event_open(struct bb_event *out, const void *data, size_t bytes)
{
    uint64_t head = bbi_head_read(data, bytes);
    if (head == 0) {
        return BB_ECORRUPT;
    }
    if (bbi_head_type(head) != BB_VECTOR) {
        return BB_ETYPE;
    }
    const unsigned char *p = data;
    uint32_t parts = (uint32_t)bbi_once64(p + BBI_HEAD_BYTES);
    if (parts != 2 && parts != 3) {
        return BB_ETYPE;
    }
    struct bb_event ev = {.metadata = {.p = NULL}};
    struct bb_value rest = {p + BBI_CONTAINER_BYTES, bbi_head_bytes(head) - BBI_CONTAINER_BYTES};
    int rc = take_parts(&ev, rest, parts);
    if (rc == 0) {
        *out = ev;
    }
    return rc;
}

uint32_t
bb_event_args(struct bb_iter *it, const struct bb_event *ev)
{
    it->rest.p = ev->args.p + BBI_CONTAINER_BYTES;
    it->rest.bytes = ev->args.bytes - BBI_CONTAINER_BYTES;
    it->left = ev->arg_count;
    return ev->arg_count;
}

int
bb_event_arg(const struct bb_event *ev, uint32_t i, struct bb_value *out)
{
    struct bb_iter it;
    struct bb_value v;
    int64_t count = bb_iter_open(&it, &ev->args);
    if (count < 0) {
        return (int)count;
    }
    if (i >= count) {
        return BB_ENOENT;
    }
    for (uint32_t at = 0; at <= i; at++) {
        int rc = bb_iter_next(&it, &v);
        if (rc < 0) {
            return rc;
        }
    }
    *out = v;
    return 0;
}

/* 1 and the value if the entry has this id, 0 if it has another. */
static int
entry_has_id(const struct bb_value *entry, uint64_t id, struct bb_value *out)
{
    struct bb_iter it;
    struct bb_value id_value;
    struct bb_value v;
    uint64_t entry_id;
    int64_t parts = bb_iter_open(&it, entry);
    if (parts < 0) {
        return (int)parts;
    }
    if (parts != 2) {
        return BB_ETYPE;
    }
    int rc;
    if ((rc = bb_iter_next(&it, &id_value)) < 0 || (rc = bb_iter_next(&it, &v)) < 0
        || (rc = bb_get_count(&id_value, &entry_id)) < 0) {
        return rc;
    }
    if (entry_id != id) {
        return 0;
    }
    *out = v;
    return 1;
}

int
bb_event_get_meta(const struct bb_event *ev, uint64_t id, struct bb_value *out)
{
    struct bb_iter it;
    struct bb_value entry;
    if (ev->metadata.p == NULL) {
        return BB_ENOENT;
    }
    int64_t count = bb_iter_open(&it, &ev->metadata);
    if (count < 0) {
        return (int)count;
    }
    int rc;
    while ((rc = bb_iter_next(&it, &entry)) == 0) {
        int found = entry_has_id(&entry, id, out);
        if (found != 0) {
            return found < 0 ? found : 0;
        }
    }
    return rc == BB_EEND ? BB_ENOENT : rc;
}

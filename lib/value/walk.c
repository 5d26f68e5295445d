/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: one frame for each open container, in an array as long as nesting may be deep.
 */
#include "lib/value/walk.h"

void
bbi_walk_init(struct bbi_walk *w, const unsigned char *p, size_t window)
{
    w->p = p;
    w->end = p == NULL ? NULL : p + window;
    w->started = false;
    w->why = BBI_WHY_OK;
    w->depth = 0;
    w->value = NULL;
    w->parent = NULL;
}

static struct bbi_walk_frame *
innermost(struct bbi_walk *w)
{
    return w->depth == 0 ? NULL : &w->frames[w->depth - 1];
}

/* Cold, so that the walk of a good value does not pay for it. */
__attribute__((cold, noinline)) static int
refuse(struct bbi_walk *w, enum bbi_why why)
{
    w->why = why;
    return BB_ECORRUPT;
}

static int
leave(struct bbi_walk *w)
{
    struct bbi_walk_frame *frame = &w->frames[w->depth - 1];
    if (w->p != frame->end) {
        return refuse(w, BBI_WHY_END);
    }
    w->depth--;
    w->type = frame->type;
    w->parent = innermost(w);
    return BBI_WALK_LEAVE;
}

static int
enter(struct bbi_walk *w)
{
    uint32_t bytes = bbi_head_bytes(w->head);
    uint64_t children = bbi_child_count(w->type, bbi_once64(w->p + BBI_HEAD_BYTES));
    if (w->depth == BB_VALUE_DEPTH) {
        return refuse(w, BBI_WHY_DEEP);
    }
    if (children > (bytes - BBI_CONTAINER_BYTES) / BBI_HEAD_BYTES) {
        return refuse(w, BBI_WHY_COUNT); /* no value is smaller than its head */
    }
    struct bbi_walk_frame *frame = &w->frames[w->depth++];
    frame->begin = w->p;
    frame->end = w->p + bytes;
    frame->key = NULL;
    frame->left = children;
    frame->done = 0;
    frame->type = w->type;
    w->p += BBI_CONTAINER_BYTES;
    return BBI_WALK_ENTER;
}

int
bbi_walk_next(struct bbi_walk *w)
{
    struct bbi_walk_frame *parent = innermost(w);
    if (parent != NULL && parent->left == 0) {
        return leave(w);
    }
    if (parent == NULL && w->started) {
        return BBI_WALK_END;
    }
    size_t window = (size_t)((parent != NULL ? parent->end : w->end) - w->p);
    w->started = true;
    w->parent = parent;
    w->value = w->p;
    w->head = bbi_head_read(w->p, window);
    w->type = bbi_head_type(w->head);
    if (w->head == 0) {
        return refuse(w, BBI_WHY_HEAD);
    }
    if (parent != NULL) {
        parent->left--;
        parent->done++;
    }
    if (bbi_is_container(w->type)) {
        return enter(w);
    }
    size_t padded = bbi_pad8(bbi_head_bytes(w->head));
    if (padded > window) {
        if (parent != NULL) {
            return refuse(w, BBI_WHY_CUT);
        }
        padded = window; /* the last padding of a message may be missing */
    }
    w->p += padded;
    return BBI_WALK_LEAF;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/master_take.c - messages become frames.
 *
 * The subscriber gives copies: what a client wrote cannot change any more once it was checked.  A frame of one part
 * is used where it lies, until the next poll; several parts are put together in memory of their own, which grows
 * as they come, never by what the first one says.
 *
 * Whoever sends what is no frame is told so if it asked, else it is dropped; both are counted.
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/store/master_impl.h"
#include "shm/os.h"
#include <stdlib.h>
#include <string.h>

/* A frame whose next part does not come for so long was given up. */
#define PARTS_KEPT_NS INT64_C(30000000000)

static void
count_refused(struct bb_store *s)
{
    bbi_own_add(&s->dir.ctl->refused, 1);
}

static void
drop(struct bb_store *s, const struct bb_request_info *from, int code)
{
    count_refused(s);
    if (from != NULL) {
        bbi_master_refuse(s, from, code);
    }
}

/* ---- parts ---- */

static void
parts_drop(struct bbi_master *m, struct bbi_parts *a)
{
    m->parts_bytes -= a->cap;
    free(a->p);
    *a = (struct bbi_parts){0};
}

void
bbi_parts_free(struct bbi_master *m)
{
    for (int i = 0; i < BBI_PARTS_MAX; i++) {
        parts_drop(m, &m->parts[i]);
    }
}

void
bbi_parts_sweep(struct bb_store *s, int64_t now_ns)
{
    struct bbi_master *m = s->master;
    const struct bbi_attach *at = bbi_endpoint_at(s->ep);
    for (int i = 0; i < BBI_PARTS_MAX; i++) {
        struct bbi_parts *a = &m->parts[i];
        if (a->next != 0
            && (now_ns - a->came_ns > PARTS_KEPT_NS || bbi_member_ending(at, a->node_id) != 0)) {
            parts_drop(m, a);
        }
    }
}

/* A client sends one frame after the other: another one in the making was given up by it. */
static struct bbi_parts *
parts_of(struct bbi_master *m, const struct bbi_part_head *head, uint64_t node_id)
{
    struct bbi_parts *free_one = NULL;
    for (int i = 0; i < BBI_PARTS_MAX; i++) {
        struct bbi_parts *a = &m->parts[i];
        if (a->next == 0) {
            free_one = free_one != NULL ? free_one : a;
        } else if (a->node_id == node_id
                   && memcmp(&a->client, &head->client, sizeof(a->client)) == 0) {
            return a;
        }
    }
    return head->part == 0 ? free_one : NULL;
}

static int
parts_grow(struct bbi_master *m, struct bbi_parts *a, size_t bytes)
{
    if (bytes == 0 || a->bytes + bytes > a->frame_bytes) {
        return BB_ECORRUPT;
    }
    if (a->p != NULL && a->bytes + bytes <= a->cap) {
        return 0;
    }
    size_t cap = (size_t)bbi_min_u64(2 * (a->bytes + bytes), a->frame_bytes);
    if (m->parts_bytes + (cap - a->cap) > BBI_PARTS_BYTES) {
        return BB_EAGAIN;
    }
    unsigned char *p = realloc(a->p, cap);
    if (p == NULL) {
        return BB_EAGAIN;
    }
    m->parts_bytes += cap - a->cap;
    a->p = p;
    a->cap = cap;
    return 0;
}

/* 1: all parts are there; 0: not yet; a status: it is dropped. */
static int
parts_add(struct bbi_master *m,
          const struct bbi_part_head *head,
          uint64_t node_id,
          struct bbi_bytes part,
          struct bbi_parts **out)
{
    struct bbi_parts *a = parts_of(m, head, node_id);
    if (a == NULL) {
        return BB_EAGAIN;
    }
    if (head->part == 0) {
        parts_drop(m, a);
        *a = (struct bbi_parts){.client = head->client,
                                .number = head->number,
                                .node_id = node_id,
                                .frame_bytes = head->frame_bytes,
                                .parts = head->parts};
    }
    bool is_next = a->next == head->part && a->number == head->number && a->parts == head->parts
                   && a->frame_bytes == head->frame_bytes;
    int rc = is_next ? parts_grow(m, a, part.bytes) : BB_EAGAIN;
    if (rc < 0) {
        parts_drop(m, a);
        return rc;
    }
    memcpy(a->p + a->bytes, part.p, part.bytes);
    a->bytes += part.bytes;
    a->next++;
    a->came_ns = bbi_os_mono_ns();
    *out = a;
    if (a->next < a->parts) {
        return 0;
    }
    if (a->bytes != a->frame_bytes) {
        parts_drop(m, a);
        return BB_ECORRUPT;
    }
    return 1;
}

/* ---- messages ---- */

/* The frame's bytes: 1; 0 there is more to come; a status. */
static int
assemble(struct bbi_master *m,
         const struct bb_msg *msg,
         const struct bbi_part_head *head,
         struct bbi_frame *fr)
{
    const struct bbi_bytes part = {(const unsigned char *)msg->data + sizeof(*head),
                                   msg->bytes - sizeof(*head)};
    struct bbi_parts *a = NULL;
    if (head->parts == 1) {
        fr->bytes = part;
        return part.bytes == head->frame_bytes ? 1 : BB_ECORRUPT;
    }
    int rc = parts_add(m, head, msg->node_id, part, &a);
    if (rc == 1) {
        fr->bytes = (struct bbi_bytes){a->p, a->bytes};
        fr->owned = a->p;
        m->parts_bytes -= a->cap;
        *a = (struct bbi_parts){0};
    }
    return rc;
}

static bool
is_part(const struct bb_msg *msg, struct bbi_part_head *head)
{
    if (msg->status != NULL || msg->bytes < sizeof(*head)) {
        return false;
    }
    memcpy(head, msg->data, sizeof(*head));
    return head->magic == BBI_FRAME_MAGIC && head->reserved == 0 && head->parts > head->part
           && head->frame_bytes <= BBI_FRAME_BYTES_MAX
           && head->parts <= head->frame_bytes / sizeof(struct bbi_frame_head) && head->number != 0;
}

/* The message's frame into the round. */
static void
take_message(struct bb_store *s, const struct bb_msg *msg)
{
    struct bbi_master *m = s->master;
    struct bbi_frame *fr = &m->frames[m->frame_count];
    struct bbi_part_head head;
    struct bb_request_info from;
    if (msg->status != NULL) {
        return;
    }
    bool is_request = bb_msg_request(msg, &from) == 0;
    if (!is_part(msg, &head)) {
        drop(s, is_request ? &from : NULL, BB_ECORRUPT);
        return;
    }
    *fr = (struct bbi_frame){.node = msg->node, .node_id = msg->node_id, .client = head.client};
    int rc = assemble(m, msg, &head, fr);
    if (rc == 0) {
        return;
    }
    rc = rc < 0 ? rc : bbi_frame_read(&fr->head, fr->bytes);
    if (rc == 0 && fr->head.number != head.number) {
        rc = BB_ECORRUPT;
    }
    if (rc < 0 || !is_request) {
        drop(s, is_request ? &from : NULL, rc);
        free(fr->owned);
        return;
    }
    fr->from = from;
    m->command_count += fr->head.count;
    m->frame_count++;
}

void
bbi_master_frames_free(struct bbi_master *m)
{
    for (uint32_t i = 0; i < m->frame_count; i++) {
        free(m->frames[i].owned);
    }
    m->frame_count = 0;
    m->frame_at = 0;
    m->command_count = 0;
}

int
bbi_master_take(struct bb_store *s, int64_t timeout_ns)
{
    struct bbi_master *m = s->master;
    bbi_master_frames_free(m);
    if (m->msg_at == m->msg_count) {
        m->msg_at = 0;
        m->msg_count = 0;
        int n = bb_poll(m->sub, m->msgs, BBI_ROUND_FRAMES, timeout_ns);
        if (n < 0) {
            return n;
        }
        m->msg_count = n;
    }
    uint32_t most = bbi_master_syncs(s) ? BBI_ROUND_COMMANDS_SYNCED : BBI_ROUND_COMMANDS;
    while (m->msg_at < m->msg_count && m->command_count < most) {
        take_message(s, &m->msgs[m->msg_at++]);
    }
    return (int)m->frame_count;
}

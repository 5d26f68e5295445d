/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Three places in one list, each before the next: oldest (not acknowledged), cursor (to be handed out on this transport),
 * unsent (never handed out on any).  Only what is at or behind unsent may be dropped: what was sent may have arrived,
 * and a number has one fate.
 */
#include "lib/bridge/queue.h"

enum {
    DATA_AT = BBI_LINK_HEADER_BYTES + BBI_DATA_HEAD_BYTES, /* of the first message in a frame */
    CHUNK_AT = BBI_LINK_HEADER_BYTES + BBI_CHUNK_HEAD_BYTES,
    CHUNK_BYTES = BBI_LINK_FRAME_MAX - CHUNK_AT, /* of the message, in one frame */
    COMPRESS_MIN = 512,                          /* less is not worth it */
    FRAME_LENGTH_AT = 8,
    FRAME_FLAGS_AT = 13,
};

int
bbi_queue_init(struct bbi_queue *q,
               const struct bbi_memory *memory,
               const struct bbi_codec *codec,
               size_t limit_bytes,
               uint32_t batch_bytes)
{
    memset(q, 0, sizeof(*q));
    q->memory = memory;
    q->codec = codec;
    q->limit_bytes = limit_bytes;
    q->batch_bytes = batch_bytes;
    q->next_number = 1;
    q->message_max = q->peer_message_max = BBI_LINK_MESSAGE_MIN;
    if (codec != NULL) {
        q->scratch_bytes = BBI_LINK_FRAME_MAX;
        q->scratch = memory->take(memory->user, q->scratch_bytes);
        if (q->scratch == NULL) {
            return BB_ENOMEM;
        }
    }
    return 0;
}

/* ---- segments and items ------------------------------------------------------------------------------- */

static size_t
segment_bytes(size_t cap)
{
    return sizeof(struct bbi_queue_segment) + cap;
}

static void
give_segment(struct bbi_queue *q, struct bbi_queue_segment *segment)
{
    size_t bytes = segment_bytes(segment->cap_bytes);
    q->bytes -= bytes;
    q->memory->give(q->memory->user, segment, bytes);
}

static struct bbi_queue_segment *
take_segment(struct bbi_queue *q, size_t cap, size_t limit)
{
    size_t bytes = segment_bytes(cap);
    if (bytes > limit || q->bytes > limit - bytes) {
        return NULL;
    }
    struct bbi_queue_segment *segment = q->memory->take(q->memory->user, bytes);
    if (segment != NULL) {
        *segment = (struct bbi_queue_segment){.cap_bytes = cap};
        q->bytes += bytes;
    }
    return segment;
}

static size_t
shared_cap(const struct bbi_queue *q)
{
    return sizeof(struct bbi_queue_item) + q->batch_bytes;
}

/*
 * Whether an item of so many bytes has a segment for itself: no second one like it would fit beside it, and of messages of
 * half a segment the queue would hold half as many as it has bytes for.
 */
static bool
is_alone(const struct bbi_queue *q, size_t need)
{
    return need > shared_cap(q) / 2;
}

/* Bytes for another item in the shared segment. */
static size_t
shared_left(const struct bbi_queue *q)
{
    if (q->segment == NULL) {
        return 0;
    }
    size_t used = bbi_align_up(q->segment->used_bytes, alignof(struct bbi_queue_item));
    return used < q->segment->cap_bytes ? q->segment->cap_bytes - used : 0;
}

/* No item lies in it: the shared one begins anew, others go. */
static void
empty_segment(struct bbi_queue *q, struct bbi_queue_segment *segment)
{
    if (segment == q->segment) {
        segment->used_bytes = 0;
    } else {
        give_segment(q, segment);
    }
}

static void
insert_before(struct bbi_queue *q, struct bbi_queue_item *item, struct bbi_queue_item *next)
{
    item->next = next;
    item->prev = next != NULL ? next->prev : q->newest;
    *(item->prev != NULL ? &item->prev->next : &q->oldest) = item;
    *(next != NULL ? &next->prev : &q->newest) = item;
}

static struct bbi_queue_item *
item_in(struct bbi_queue_segment *segment, enum bbi_item_kind kind)
{
    struct bbi_queue_item *item =
        (struct bbi_queue_item *)(void *)(segment->at + segment->used_bytes);
    *item = (struct bbi_queue_item){.segment = segment, .kind = kind};
    item->frames = (unsigned char *)item + sizeof(*item);
    segment->items++;
    return item;
}

/* An item that has a segment for itself. */
static struct bbi_queue_item *
new_item(struct bbi_queue *q, enum bbi_item_kind kind, size_t frame_bytes, size_t limit)
{
    struct bbi_queue_segment *segment =
        take_segment(q, sizeof(struct bbi_queue_item) + frame_bytes, limit);
    if (segment == NULL) {
        return NULL;
    }
    struct bbi_queue_item *item = item_in(segment, kind);
    segment->used_bytes = segment->cap_bytes;
    return item;
}

static uint64_t
messages_in(const struct bbi_queue_item *item)
{
    return item->kind == BBI_ITEM_GAP ? 0 : item->last - item->first + 1;
}

/* What a message costs on its way: its item is memory as well. */
static uint64_t
flying_bytes(const struct bbi_queue_item *item)
{
    return item->pos > 0 ? item->pos + sizeof(*item) : 0;
}

static void
remove_item(struct bbi_queue *q, struct bbi_queue_item *item)
{
    BBI_ASSERT(item->out == 0);
    q->flying_bytes -= flying_bytes(item);
    q->held_messages -= messages_in(item);
    q->held_bytes -= item->kind == BBI_ITEM_GAP ? 0 : item->bytes;
    q->cursor = q->cursor == item ? item->next : q->cursor;
    q->unsent = q->unsent == item ? item->next : q->unsent;
    q->open = q->open == item ? NULL : q->open;
    *(item->prev != NULL ? &item->prev->next : &q->oldest) = item->next;
    *(item->next != NULL ? &item->next->prev : &q->newest) = item->prev;
    if (--item->segment->items == 0) {
        empty_segment(q, item->segment);
    }
}

/* It comes last and nothing of it was sent. */
static void
append_item(struct bbi_queue *q, struct bbi_queue_item *item)
{
    insert_before(q, item, NULL);
    q->cursor = q->cursor == NULL ? item : q->cursor;
    q->unsent = q->unsent == NULL ? item : q->unsent;
    q->open = NULL;
}

void
bbi_queue_fini(struct bbi_queue *q)
{
    while (q->oldest != NULL) {
        q->oldest->out = 0;
        remove_item(q, q->oldest);
    }
    if (q->segment != NULL) {
        give_segment(q, q->segment);
        q->segment = NULL;
    }
    if (q->scratch != NULL) {
        q->memory->give(q->memory->user, q->scratch, q->scratch_bytes);
        q->scratch = NULL;
    }
}

/* ---- gaps ------------------------------------------------------------------------------------------------ */

/* The gap reaches on to this number. */
static void
extend_gap(struct bbi_gap *gap, uint64_t first, uint64_t last, uint32_t reason)
{
    if (gap->from == 0) {
        memset(gap, 0, sizeof(*gap));
        gap->from = first;
    }
    gap->to = last;
    gap->reasons |= reason;
}

static bool
is_packed(const struct bbi_queue_item *item)
{
    return item->kind == BBI_ITEM_DATA && item->is_sealed
           && (item->frames[FRAME_FLAGS_AT] & BBI_LINK_COMPRESSED) != 0;
}

static size_t
plain_bytes(const struct bbi_queue_item *item)
{
    return bbi_le32(item->frames + BBI_LINK_HEADER_BYTES + 4);
}

/* The messages of a DATA item, plain. */
static struct bbi_wire
messages_of(const struct bbi_queue *q, const struct bbi_queue_item *item)
{
    struct bbi_wire w = {.p = item->frames + DATA_AT, .left = item->bytes - DATA_AT};
    if (is_packed(item)) {
        size_t plain = plain_bytes(item);
        size_t got = q->codec->decompress(w.p, w.left, q->scratch, q->scratch_bytes);
        BBI_ASSERT(got == plain); /* we made it */
        w = (struct bbi_wire){.p = q->scratch, .left = plain};
    }
    return w;
}

static void
add_data(const struct bbi_queue *q, const struct bbi_queue_item *item, struct bbi_gap *gap)
{
    struct bbi_wire w = messages_of(q, item);
    struct bbi_link_msg msg = {0};
    for (uint64_t n = item->first; n <= item->last; n++) {
        bool is_whole = bbi_msg_next(&w, &msg, n == item->first);
        BBI_ASSERT(is_whole); /* we wrote it */
        bbi_gap_add(gap, &msg.origin, msg.seq, msg.bytes);
    }
}

static void
add_chunks(const struct bbi_queue_item *item, struct bbi_gap *gap)
{
    struct bbi_wire w = {.p = item->frames + CHUNK_AT, .left = CHUNK_BYTES};
    struct bbi_link_msg msg = {0};
    bool is_whole = bbi_msg_next_head(&w, &msg, true);
    BBI_ASSERT(is_whole);
    bbi_gap_add(gap, &msg.origin, msg.seq, msg.bytes);
}

static void
add_gap(const struct bbi_queue_item *item, struct bbi_gap *gap)
{
    struct bbi_link_frame frame;
    struct bbi_gap old;
    uint32_t length;
    enum bbi_link_read read =
        bbi_link_frame_read(item->frames, item->bytes, BBI_LINK_FRAME_MAX, &frame, &length);
    bool is_gap = read == BBI_LINK_READ_OK && bbi_gap_read(&frame, &old);
    BBI_ASSERT(is_gap);
    bbi_gap_merge(gap, &old);
}

/* The item is lost: its messages become the end of *gap. */
static void
drop_item(struct bbi_queue *q, struct bbi_queue_item *item, struct bbi_gap *gap, uint32_t reason)
{
    uint64_t before = gap->from != 0 ? gap->messages : 0;
    bool is_gap = item->kind == BBI_ITEM_GAP;
    extend_gap(gap, item->first, item->last, is_gap ? 0 : reason);
    if (is_gap) {
        add_gap(item, gap);
    } else if (item->kind == BBI_ITEM_CHUNKS) {
        add_chunks(item, gap);
    } else {
        add_data(q, item, gap);
    }
    if (!is_gap) {
        q->dropped += gap->messages - before;
    }
    remove_item(q, item);
}

/* *gap as an item before next; false when there is no memory: it stays what it is. */
static bool
place_gap(struct bbi_queue *q, struct bbi_gap *gap, struct bbi_queue_item *next)
{
    size_t limit = q->limit_bytes + BBI_QUEUE_RESERVE;
    struct bbi_queue_item *item = new_item(q, BBI_ITEM_GAP, bbi_gap_bytes(gap), limit);
    if (item == NULL) {
        return false;
    }
    item->first = gap->from;
    item->last = gap->to;
    item->bytes = bbi_gap_write(item->frames, gap);
    item->is_sealed = true;
    gap->from = 0;
    if (next == NULL) {
        append_item(q, item);
        return true;
    }
    insert_before(q, item, next);
    q->cursor = q->cursor == next ? item : q->cursor;
    q->unsent = q->unsent == next ? item : q->unsent;
    return true;
}

void
bbi_queue_drop_unsent(struct bbi_queue *q, uint32_t reason)
{
    while (q->unsent != NULL) {
        drop_item(q, q->unsent, &q->head, reason);
    }
    if (q->tail.from != 0) {
        if (q->head.from == 0) {
            q->head = q->tail;
        } else {
            bbi_gap_merge(&q->head, &q->tail);
        }
        q->tail.from = 0;
    }
}

/* The first topic of this item that is refused; false: none is. */
static bool
is_refused(const struct bbi_queue *q,
           const struct bbi_queue_item *item,
           bbi_queue_may_cb may,
           void *user)
{
    struct bbi_link_msg msg = {0};
    if (item->kind == BBI_ITEM_CHUNKS) {
        struct bbi_wire head = {.p = item->frames + CHUNK_AT, .left = CHUNK_BYTES};
        return bbi_msg_next_head(&head, &msg, true) && !may(user, msg.topic, msg.topic_bytes);
    }
    struct bbi_wire w = messages_of(q, item);
    for (uint64_t n = item->first; n <= item->last; n++) {
        const char *before = msg.topic;
        bool is_whole = bbi_msg_next(&w, &msg, n == item->first);
        BBI_ASSERT(is_whole); /* we wrote it */
        if (msg.topic != before && !may(user, msg.topic, msg.topic_bytes)) {
            return true;
        }
    }
    return false;
}

bool
bbi_queue_recheck(struct bbi_queue *q, bbi_queue_may_cb may, void *user)
{
    const struct bbi_queue_item *item = q->unsent;
    while (item != NULL && (item->kind == BBI_ITEM_GAP || !is_refused(q, item, may, user))) {
        item = item->next;
    }
    if (item == NULL) {
        return false;
    }
    bbi_queue_drop_unsent(q, BBI_GAP_RIGHTS);
    return true;
}

/* ---- offering -------------------------------------------------------------------------------------------- */

/* Room for an item of so many bytes of frames: in the shared segment, or a new one. */
static bool
has_room(const struct bbi_queue *q, size_t frame_bytes)
{
    size_t need = sizeof(struct bbi_queue_item) + frame_bytes;
    if (need <= shared_left(q)) {
        return true;
    }
    need = segment_bytes(is_alone(q, need) ? need : shared_cap(q));
    return need <= q->limit_bytes && q->bytes <= q->limit_bytes - need;
}

static int
make_room(struct bbi_queue *q, size_t frame_bytes)
{
    while (q->slow == BBI_SLOW_OLDEST && q->unsent != NULL && !has_room(q, frame_bytes)) {
        drop_item(q, q->unsent, &q->head, BBI_GAP_OLDEST);
    }
    if (has_room(q, frame_bytes)) {
        return 0;
    }
    if (q->slow != BBI_SLOW_ALL) {
        return BB_EAGAIN;
    }
    bbi_queue_drop_unsent(q, BBI_GAP_SLOW);
    return BB_EBUSY;
}

/* An empty batch in the shared segment, or in one of its own when the message is longer. */
static struct bbi_queue_item *
new_batch(struct bbi_queue *q, size_t frame_bytes)
{
    size_t need = sizeof(struct bbi_queue_item) + frame_bytes;
    struct bbi_queue_item *item = NULL;
    if (need > shared_left(q) && is_alone(q, need)) {
        item = new_item(q, BBI_ITEM_DATA, frame_bytes, q->limit_bytes);
    } else {
        if (need > shared_left(q)) {
            struct bbi_queue_segment *segment = take_segment(q, shared_cap(q), q->limit_bytes);
            if (segment == NULL) {
                return NULL;
            }
            struct bbi_queue_segment *full = q->segment;
            q->segment = segment;
            if (full != NULL && full->items == 0) {
                give_segment(q, full);
            }
        }
        q->segment->used_bytes =
            bbi_align_up(q->segment->used_bytes, alignof(struct bbi_queue_item));
        item = item_in(q->segment, BBI_ITEM_DATA);
        q->segment->used_bytes += sizeof(*item) + DATA_AT;
    }
    if (item != NULL) {
        item->bytes = DATA_AT;
    }
    return item;
}

/* Remembers the message as it stands in the frame, for the next one to be held against. */
static void
remember(struct bbi_queue *q,
         const struct bbi_link_msg *msg,
         const unsigned char *at,
         const unsigned char *payload,
         uint8_t flags)
{
    const char *name = q->before.origin.name;
    const char *topic = q->before.topic;
    if ((flags & BBI_MSG_HAS_ORIGIN) != 0) {
        name = (const char *)at + BBI_MSG_HEAD_BYTES + BBI_MSG_ORIGIN_BYTES;
    }
    if ((flags & BBI_MSG_HAS_TOPIC) != 0) {
        topic = (const char *)payload - msg->topic_bytes;
    }
    q->before = *msg;
    q->before.origin.name = name;
    q->before.topic = topic;
}

static void
write_message(struct bbi_queue *q,
              struct bbi_queue_item *item,
              const struct bbi_link_msg *msg,
              uint8_t flags)
{
    unsigned char *at = item->frames + item->bytes;
    unsigned char *payload = bbi_msg_write_head(at, msg, flags);
    unsigned char *end = bbi_put_bytes(payload, msg->data, msg->bytes);
    if (item->segment == q->segment) {
        item->segment->used_bytes += (size_t)(end - at);
    }
    uint64_t bytes = (uint64_t)(end - item->frames);
    q->held_messages++;
    q->held_bytes += bytes - (item->first == msg->number ? 0 : item->bytes);
    item->bytes = bytes;
    item->last = msg->number;
    remember(q, msg, at, payload, flags);
}

/* Into the batch that grows; false when it does not fit there. */
static bool
grow_open(struct bbi_queue *q, const struct bbi_link_msg *msg)
{
    uint8_t flags;
    struct bbi_queue_item *item = q->open;
    if (item == NULL || item->segment != q->segment
        || item->last - item->first + 1 >= BBI_LINK_BATCH_MESSAGES) {
        return false;
    }
    size_t bytes = bbi_msg_bytes(msg, &q->before, &flags);
    if (bytes > q->segment->cap_bytes - q->segment->used_bytes) {
        return false;
    }
    write_message(q, item, msg, flags);
    return true;
}

/* A message that no frame holds, cut into some that stand one behind the other. */
static void
write_chunks(struct bbi_queue *q,
             struct bbi_queue_item *item,
             const struct bbi_link_msg *msg,
             uint64_t whole)
{
    unsigned char *frame = item->frames;
    const unsigned char *data = msg->data;
    uint64_t done = 0;
    while (done < whole) {
        uint64_t bytes = bbi_min_u64(CHUNK_BYTES, whole - done);
        unsigned char *p = bbi_put_le64(frame + BBI_LINK_HEADER_BYTES, whole);
        unsigned char *end = frame + CHUNK_AT + bytes;
        p = bbi_put_le64(p, done);
        if (done == 0) {
            p = bbi_msg_write_head(p, msg, BBI_MSG_HAS_ORIGIN | BBI_MSG_HAS_TOPIC);
        }
        (void)bbi_put_bytes(p, data, (size_t)(end - p));
        data += end - p;
        bbi_link_frame_seal(frame, (uint32_t)(end - frame), BBI_LINK_CHUNK, BBI_LINK_CRITICAL,
                            msg->number);
        frame = end;
        done += bytes;
    }
    item->first = item->last = msg->number;
    item->bytes = (uint64_t)(frame - item->frames);
    item->payload_bytes = msg->bytes;
    item->is_sealed = true;
    q->held_messages++;
    q->held_bytes += item->bytes;
}

static int
append_message(struct bbi_queue *q, const struct bbi_link_msg *msg)
{
    uint8_t flags;
    size_t whole = bbi_msg_bytes(msg, NULL, &flags);
    bool is_long = DATA_AT + whole > BBI_LINK_FRAME_MAX;
    size_t bytes =
        is_long ? whole + (whole + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_AT : DATA_AT + whole;
    q->open = NULL;
    int rc = make_room(q, bytes);
    if (rc != 0 || (q->tail.from != 0 && !place_gap(q, &q->tail, NULL))) {
        return rc != 0 ? rc : BB_ENOMEM;
    }
    struct bbi_queue_item *item =
        is_long ? new_item(q, BBI_ITEM_CHUNKS, bytes, q->limit_bytes) : new_batch(q, bytes);
    if (item == NULL) {
        return BB_ENOMEM;
    }
    append_item(q, item);
    item->first = msg->number;
    if (is_long) {
        write_chunks(q, item, msg, whole);
    } else {
        write_message(q, item, msg, flags);
        q->open = item;
    }
    return 1;
}

int
bbi_queue_offer(struct bbi_queue *q, const struct bbi_link_msg *msg)
{
    struct bbi_link_msg numbered = *msg;
    uint64_t dropped = q->dropped;
    numbered.number = q->next_number++;
    if (grow_open(q, &numbered)) {
        return 1;
    }
    int rc = append_message(q, &numbered);
    if (rc != 1) {
        extend_gap(&q->tail, numbered.number, numbered.number,
                   rc == BB_EBUSY ? BBI_GAP_SLOW : BBI_GAP_NEWEST);
        bbi_gap_add(&q->tail, &msg->origin, msg->seq, msg->bytes);
        q->dropped++;
    }
    return rc == BB_EBUSY ? BB_EBUSY : q->dropped == dropped;
}

void
bbi_queue_lost(struct bbi_queue *q, struct bbi_gap *gap)
{
    gap->from = gap->to = q->next_number++;
    q->lost_before += gap->messages;
    q->open = NULL;
    if (q->tail.from == 0) {
        q->tail = *gap;
    } else {
        bbi_gap_merge(&q->tail, gap);
    }
}

/* ---- sending --------------------------------------------------------------------------------------------- */

static uint8_t
compress(struct bbi_queue *q, struct bbi_queue_item *item)
{
    size_t plain = item->bytes - DATA_AT;
    if (!q->is_compressing || plain < COMPRESS_MIN) {
        return 0;
    }
    size_t cap = bbi_min_u64(plain - plain / 16, q->scratch_bytes);
    size_t bytes = q->codec->compress(item->frames + DATA_AT, plain, q->scratch, cap);
    if (bytes == 0) {
        return 0;
    }
    (void)bbi_put_bytes(item->frames + DATA_AT, q->scratch, bytes);
    q->held_bytes -= plain - bytes;
    item->bytes = DATA_AT + bytes;
    return BBI_LINK_COMPRESSED;
}

static void
seal(struct bbi_queue *q, struct bbi_queue_item *item)
{
    unsigned char *p = item->frames + BBI_LINK_HEADER_BYTES;
    if (item == q->open) {
        q->open = NULL;
    }
    p = bbi_put_le32(p, (uint32_t)(item->last - item->first + 1));
    (void)bbi_put_le32(p, (uint32_t)(item->bytes - DATA_AT));
    uint8_t flags = BBI_LINK_CRITICAL | compress(q, item);
    bbi_link_frame_seal(item->frames, (uint32_t)item->bytes, BBI_LINK_DATA, flags, item->first);
    item->is_sealed = true;
}

/* Sealed for a life of the other side that knew how; this one does not.  Its room is still that of the plain bytes. */
static void
unpack(struct bbi_queue *q, struct bbi_queue_item *item)
{
    struct bbi_wire plain = messages_of(q, item);
    (void)bbi_put_bytes(item->frames + DATA_AT, plain.p, plain.left);
    item->bytes = DATA_AT + plain.left;
    bbi_link_frame_seal(item->frames, (uint32_t)item->bytes, BBI_LINK_DATA, BBI_LINK_CRITICAL,
                        item->first);
}

/* The other side does not take so long a message: a gap in its place. */
static bool
replace_long(struct bbi_queue *q, struct bbi_queue_item *item)
{
    struct bbi_gap gap = {0};
    extend_gap(&gap, item->first, item->last, BBI_GAP_SIZE);
    add_chunks(item, &gap);
    if (!place_gap(q, &gap, item)) {
        return false;
    }
    q->dropped++;
    remove_item(q, item);
    return true;
}

/* Gaps become items where the cursor meets them.  False: there is nothing to send, or no memory. */
static bool
settle_cursor(struct bbi_queue *q)
{
    if (q->cursor == q->unsent && q->head.from != 0 && !place_gap(q, &q->head, q->unsent)) {
        return false;
    }
    if (q->cursor == NULL && q->tail.from != 0 && !place_gap(q, &q->tail, NULL)) {
        return false;
    }
    struct bbi_queue_item *item = q->cursor;
    if (item == NULL) {
        return false;
    }
    return item->kind != BBI_ITEM_CHUNKS || item->pos > 0
           || item->payload_bytes <= q->peer_message_max || replace_long(q, item);
}

static void
hand_out(struct bbi_queue *q, struct bbi_queue_item *item, uint32_t length)
{
    q->unsent = q->unsent == item ? item->next : q->unsent;
    q->flying_bytes -= flying_bytes(item);
    item->pos += length;
    q->flying_bytes += flying_bytes(item);
    item->out++;
    if (is_packed(item)) {
        q->saved_bytes += plain_bytes(item) - (item->bytes - DATA_AT);
    }
    if (item->pos == item->bytes) {
        q->cursor = item->next;
        q->sent = bbi_max_u64(q->sent, item->last);
    }
}

/*
 * What was handed out must be kept, so where the oldest are to go it fills half of the queue at most: the other half is
 * for what can go.  One item may always be on its way, and what is begun goes on: only a whole item is acknowledged.
 */
static bool
flies_enough(const struct bbi_queue *q, const struct bbi_queue_item *next, uint32_t length)
{
    return q->slow == BBI_SLOW_OLDEST && next->pos == 0 && q->flying_bytes > 0
           && q->flying_bytes + length > q->limit_bytes / 2;
}

size_t
bbi_queue_next(struct bbi_queue *q,
               uint64_t credit_bytes,
               uint64_t credit_messages,
               struct bbi_queue_item **item,
               unsigned char **frame,
               uint32_t *messages,
               bool *is_blocked)
{
    *is_blocked = false;
    if (!settle_cursor(q)) {
        return 0;
    }
    struct bbi_queue_item *next = q->cursor;
    if (!next->is_sealed) {
        seal(q, next);
    } else if (is_packed(next) && !q->is_compressing) {
        unpack(q, next);
    }
    *frame = next->frames + next->pos;
    uint32_t length = bbi_le32(*frame + FRAME_LENGTH_AT);
    *messages =
        next->kind == BBI_ITEM_DATA ? (uint32_t)(next->last - next->first + 1) : next->pos == 0;
    if (length > credit_bytes || *messages > credit_messages || flies_enough(q, next, length)) {
        *is_blocked = true;
        return 0;
    }
    hand_out(q, next, length);
    *item = next;
    return length;
}

/* Frees what is acknowledged and no longer looked at. */
static void
free_acked(struct bbi_queue *q)
{
    while (q->oldest != NULL && q->oldest->last <= q->acked && q->oldest->out == 0) {
        q->delivered += messages_in(q->oldest);
        remove_item(q, q->oldest);
    }
}

void
bbi_queue_release(struct bbi_queue *q, struct bbi_queue_item *item)
{
    BBI_ASSERT(item->out > 0);
    item->out--;
    free_acked(q);
}

void
bbi_queue_ack(struct bbi_queue *q, uint64_t number)
{
    BBI_ASSERT(number >= q->acked && number <= q->sent);
    q->acked = number;
    free_acked(q);
}

void
bbi_queue_rewind(struct bbi_queue *q)
{
    for (struct bbi_queue_item *item = q->oldest; item != NULL; item = item->next) {
        item->pos = 0;
    }
    q->flying_bytes = 0;
    q->cursor = q->oldest;
}

void
bbi_queue_forget_sent(struct bbi_queue *q)
{
    struct bbi_gap gap = {0};
    while (q->oldest != NULL && q->oldest != q->unsent) {
        struct bbi_queue_item *item = q->oldest;
        uint64_t before = gap.from != 0 ? gap.messages : 0;
        bool is_uncertain = item->kind != BBI_ITEM_GAP && item->last <= q->sent;
        drop_item(q, item, &gap, BBI_GAP_RESTART);
        if (is_uncertain) {
            gap.uncertain += gap.messages - before;
            q->uncertain += gap.messages - before;
            q->dropped -= gap.messages - before;
        }
    }
    q->sent = q->acked; /* nothing was handed out to this life */
    if (gap.from == 0) {
        return;
    }
    if (q->head.from != 0) {
        bbi_gap_merge(&gap, &q->head);
    }
    q->head = gap;
}
